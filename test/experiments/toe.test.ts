import { describe, expect, it } from "vitest";
import { Fairness } from "../../src/experiments/fairness.ts";
import { type Experiment, findExperiment, type Measured, type Values } from "../../src/experiments/index.ts";
import { TOE_MODES, type ToeMode, ToeSystem } from "../../src/guests/toe-system.ts";
import { toeTraffic } from "../../src/guests/toe-traffic.ts";
import { MS } from "../../src/sim/index.ts";

function defaults(experiment: Experiment, changed: Values): Values {
  return { ...Object.fromEntries(experiment.parameters.map((p) => [p.name, p.value])), ...changed };
}

function run(id: string, names: readonly string[], changed: Values = {}): Map<string, Measured> {
  const experiment = findExperiment(id);
  const parameters = defaults(experiment, changed);
  const all = experiment.configurations(parameters);
  return new Map(
    names.map((name) => {
      const settings = all.find((c) => c.name === name)?.settings;
      expect(settings, name).toBeDefined();
      return [name, experiment.run(settings as Values, parameters, 1)];
    }),
  );
}
const measure = (results: Map<string, Measured>, name: string, of: string): number =>
  results.get(name)?.measures[of] ?? Number.NaN;

/** Two guests (without a hypervisor one with both connections) that send or receive 4 KiB at a time for 2 ms. */
function traffic(mode: ToeMode, direction: "send" | "receive") {
  const system = new ToeSystem({ mode });
  const guests = Array.from({ length: mode === "native" ? 1 : 2 }, (_, n) =>
    toeTraffic({
      name: `guest${n}`,
      direction,
      connections: mode === "native" ? 2 : 1,
      window: 4,
      size: () => 4096,
      largest: 4096,
      perTransfer: 1000,
      perByte: 0,
    }),
  );
  for (const { program, memory } of guests) system.add({ program, memory });
  system.simulation.run(2 * MS);
  const taken = [1, 2].map((last) => system.peer.taken(last));
  return { system, guests, taken, exits: system.machine.cpus.cpus[0]?.exits ?? 0 };
}

describe("a guest program with a TOE interface", () => {
  for (const mode of TOE_MODES) {
    it(`${mode}: the same program sends to the peer what it counts, and receives`, () => {
      const { guests, taken } = traffic(mode, "send");
      for (const [n, guest] of guests.entries()) {
        expect(guest.failure).toBeNull();
        expect(guest.transfers).toBeGreaterThan(50);
        expect(guest.bytes).toBe(4096 * guest.transfers);
        // what is done has been read from memory: no more than a send buffer of 256 KiB a connection is on its way
        const arrived = guests.length === 1 ? (taken[0] as number) + (taken[1] as number) : (taken[n] as number);
        const underWay = guest.bytes - arrived;
        expect(underWay).toBeGreaterThan(-4 * 4096 * 2);
        expect(underWay).toBeLessThan(2 * 262_144);
      }
      const received = traffic(mode, "receive");
      for (const guest of received.guests) {
        expect(guest.failure).toBeNull();
        expect(guest.bytes).toBeGreaterThan(50 * 4096);
      }
    });
  }

  it("an emulated interface leaves to the hypervisor oftener a transfer than one of the VM's own", () => {
    const ratio = (mode: ToeMode) => {
      const { guests, exits } = traffic(mode, "send");
      return exits / guests.reduce((sum, g) => sum + g.transfers, 0);
    };
    expect(ratio("emulated")).toBeGreaterThan(1.5 * ratio("direct"));
  });

  it("two runs end in the same state", () => {
    const [a, b] = [traffic("emulated", "send"), traffic("emulated", "send")];
    expect(b.system.simulation.stateHash()).toBe(a.system.simulation.stateHash());
  });
});

describe("fairness", () => {
  it("differences are by weights whose smallest is 1, and counted above the bound", () => {
    const f = new Fairness([2, 4], 100);
    expect(f.set(0, 50)).toBe(true);
    expect(f.set(0, 50)).toBe(false);
    f.set(1, 300);
    expect(f.look()).toBe(100);
    f.set(1, 302);
    expect(f.look()).toBe(101);
    f.set(0, 151);
    expect(f.look()).toBe(0);
    expect([f.worst, f.above, f.looks]).toEqual([101, 1, 3]);
  });
});

describe("E2-1", () => {
  it("native, direct, emulated, in this order, with transfers of 64 KiB", () => {
    const of = (mode: string) => `${mode}, send 64 KiB, 2 VMs`;
    const results = run("E2-1", TOE_MODES.map(of), { duration: 3 });
    const [native, direct, emulated] = TOE_MODES.map((mode) => measure(results, of(mode), "rate"));
    expect(native).toBeGreaterThan(9);
    expect(direct).toBeLessThan(native as number);
    expect(emulated).toBeLessThan(0.9 * (direct as number));
  });
});

describe("E2-2", () => {
  it("DWRR: no command is above Q + 2 Max = 196,608 bytes, and the shares are the weights; FIFO is above it", () => {
    const results = run("E2-2", ["DWRR, 1:2:4", "FIFO, 1:2:4", "DWRR, 1:2:4, VM 2 idle"], { duration: 6 });
    for (const [name, shares] of [
      ["DWRR, 1:2:4", [1 / 7, 2 / 7, 4 / 7]],
      ["DWRR, 1:2:4, VM 2 idle", [1 / 5, 0, 4 / 5]],
    ] as const) {
      expect(measure(results, name, "bound")).toBe(196_608);
      expect(measure(results, name, "above")).toBe(0);
      expect(measure(results, name, "commands")).toBeGreaterThan(500);
      shares.forEach((share, n) => {
        expect(Math.abs(measure(results, name, `share${n}`) - 100 * share)).toBeLessThan(3);
      });
    }
    expect(measure(results, "FIFO, 1:2:4", "above")).toBeGreaterThan(0);
    expect(measure(results, "FIFO, 1:2:4", "share0")).toBeGreaterThan(45);
  });
});

describe("E2-3", () => {
  it("commands of a VM that is switched out are served; coupled they wait for its next slice, of 5 ms here", () => {
    const changed = { commands: 200, slice: 5 };
    const results = run("E2-3", ["decoupled, alone", "decoupled, descheduled", "coupled, descheduled"], changed);
    for (const name of results.keys()) expect(measure(results, name, "completed")).toBe(200);
    expect(measure(results, "decoupled, descheduled", "out")).toBeGreaterThan(180);
    const alone = measure(results, "decoupled, alone", "time");
    expect(Math.abs(measure(results, "decoupled, descheduled", "time") - alone)).toBeLessThan(0.02);
    expect(measure(results, "coupled, descheduled", "stall")).toBeGreaterThan(4.9);
    expect(measure(results, "coupled, descheduled", "stall")).toBeLessThan(5.5);
  });
});

describe("E7-5", () => {
  it("64 to 1500 bytes, Q 1500: DWRR within 4,500 bytes by weight after every packet, WRR by packets not", () => {
    const names = ["DWRR, weights 1:2:4", "WRR by packets, weights 1:2:4"];
    const results = run("E7-5", names, { packets: 20_000 });
    expect(measure(results, names[0] as string, "bound")).toBe(4500);
    expect(measure(results, names[0] as string, "above")).toBe(0);
    expect(measure(results, names[1] as string, "worst")).toBeGreaterThan(1e6);
    expect(measure(results, names[1] as string, "share0")).toBeGreaterThan(100 / 7 + 10);
  });
});
