import { describe, expect, it } from "vitest";
import { acknowledge, enableGic, enableInterrupt, endOfInterrupt } from "../../src/guests/gic.ts";
import {
  AbstractHypervisor,
  AbstractMachine,
  type Guest,
  type GuestProgram,
  type Routine,
} from "../../src/hypervisor/abstract/index.ts";
import { costTable } from "../../src/hypervisor/costs.ts";
import { region } from "../../src/hypervisor/devices.ts";
import { EventChannels } from "../../src/hypervisor/event-channels.ts";
import { createScheduler, type Scheduler } from "../../src/hypervisor/scheduler/index.ts";
import type { RegionOptions, Vm } from "../../src/hypervisor/vm.ts";
import { MS, US } from "../../src/sim/index.ts";

const GICD = 0x800_0000;
const GICC = 0x801_0000;
const EVENTS = 0x0b00_0000;
const SHARED = 0x0b10_0000;
const HVC = 0x4556;
const REFUSED = 0xffff_ffff;

/** A VM with an event page; `main` runs with the upcall enabled and interrupts unmasked. */
function setting(scheduler?: Scheduler, cpus = 1) {
  const machine = new AbstractMachine({ cpus });
  const hypervisor = new AbstractHypervisor(machine, scheduler);
  const channels = new EventChannels(hypervisor.hypervisor);
  const upcalls: string[] = [];
  const add = (name: string, main: (g: Guest) => ReturnType<GuestProgram["main"]>, regions: RegionOptions[] = []) =>
    hypervisor.add({
      name,
      program: {
        name,
        *main(g) {
          yield* enableInterrupt(g, GICD, 31, "edge");
          yield* enableGic(g, GICC);
          g.unmask();
          yield* main(g);
        },
        *interrupt(g) {
          const id = yield* acknowledge(g, GICC);
          upcalls.push(`${name} ${id}`);
          yield* endOfInterrupt(g, GICC, id);
        },
      },
      regions: [channels.events(), ...regions],
    });
  const run = (time: number) => machine.simulation.run(machine.simulation.now + time);
  return { machine, hypervisor: hypervisor.hypervisor, channels, add, run, upcalls };
}

describe("event channels between guests", () => {
  it("a send sets the bit of the other end's port and raises PPI 31 there once until the bit is cleared", () => {
    const s = setting();
    const results: number[] = [];
    const seen: number[] = [];
    const one = s.add("one", function* (g) {
      for (let n = 0; n < 3; n++) results.push(yield g.hypercall(HVC, 0, 40));
      yield g.compute(10 * 1_000_000);
      results.push(yield g.hypercall(HVC, 0, 40));
    });
    const other = s.add("other", function* (g) {
      for (let n = 0; n < 2; n++) {
        while ((yield g.load(EVENTS + 8)) === 0) yield g.wait();
        seen.push(yield g.load(EVENTS), yield g.load(EVENTS + 8));
        yield g.compute(1_000_000);
        yield g.clearBits(EVENTS + 8, -1);
      }
    });
    s.channels.connect(one, 40, other, 65);
    s.run(100 * MS);
    expect(results).toEqual([0, 0, 0, 0]);
    expect(seen).toEqual([0, 2, 0, 2]);
    expect(s.upcalls).toEqual(["other 31", "other 31"]);
  });

  it("both directions of a channel work; a port without another end, beyond the last, or another operation: X0 is -1", () => {
    const s = setting();
    const results: number[] = [];
    const one = s.add("one", function* (g) {
      while ((yield g.load(EVENTS)) === 0) yield g.wait();
      results.push(yield g.load(EVENTS));
    });
    const other = s.add("other", function* (g) {
      results.push(yield g.hypercall(HVC, 0, 0), yield g.hypercall(HVC, 0, 4096), yield g.hypercall(HVC, 1, 7));
      results.push(yield g.hypercall(HVC, 0, -1), yield g.hypercall(HVC, 0, 7));
    });
    s.channels.connect(one, 3, other, 7);
    s.run(20 * MS);
    expect(results).toEqual([REFUSED, REFUSED, REFUSED, REFUSED, 0, 1 << 3]);
  });

  it("memory that is shared is the same for both, and nobody else's", () => {
    const s = setting();
    const [mine, yours] = s.channels.share(0x2000, [
      { name: "ring", base: SHARED },
      { name: "ring", base: SHARED + 0x10_0000 },
    ]);
    const read: number[] = [];
    s.add("one", (g) => writes(g, SHARED + 0x1ffc, 0x1234_5678), [mine as RegionOptions]);
    s.add("other", (g) => reads(g, SHARED + 0x10_1ffc, read), [yours as RegionOptions]);
    const third = s.add("third", (g) => reads(g, SHARED, read));
    s.run(20 * MS);
    expect(read).toEqual([0x1234_5678]);
    expect(third.status).toBe("off");
  });

  it("what was sent to a VM before its reset is lost, its shared memory is not", () => {
    const s = setting();
    const [ring] = s.channels.share(0x1000, [{ name: "ring", base: SHARED }]);
    const found: number[][] = [];
    const one = s.add(
      "one",
      function* (g) {
        found.push([yield g.load(EVENTS), yield g.load(SHARED)]);
        yield g.store(SHARED, 77);
        for (;;) yield g.wait();
      },
      [ring as RegionOptions],
    );
    const other = s.add("other", function* (g) {
      yield g.compute(1_000_000);
      yield g.hypercall(HVC, 0, 1);
    });
    s.channels.connect(one, 0, other, 1);
    s.run(10 * MS);
    s.hypervisor.request(one, "reset");
    s.run(10 * MS);
    expect(found).toEqual([
      [0, 0],
      [0, 77],
    ]);
    expect(s.upcalls).toEqual(["one 31"]);
  });

  it("refuses ports that do not exist, VMs without an event page, and memory once a VM has started", () => {
    const s = setting();
    const one = s.add("one", idle);
    const two = s.add("two", idle);
    const none = s.hypervisor.vms.length;
    const bare = s.hypervisor.createVm({ ...one.options, name: "bare", regions: [] });
    expect(none).toBe(2);
    expect(() => s.channels.connect(one, 1024, two, 0)).toThrow("one: port 1024: expected 0 to 1023");
    expect(() => s.channels.connect(one, 0, bare, 0)).toThrow("bare has no event page");
    s.run(MS);
    expect(() => s.channels.events()).toThrow("memory is reserved before the first VM starts");
  });

  it("the same run has the same state", () => {
    const outcome = () => {
      const s = setting();
      const one = s.add("one", (g) => pingPong(g, 1, true));
      const other = s.add("other", (g) => pingPong(g, 1, false));
      s.channels.connect(one, 1, other, 1);
      s.run(5 * MS);
      expect(s.upcalls.length).toBeGreaterThan(10);
      return s.machine.simulation.stateHash();
    };
    expect(outcome()).toBe(outcome());
  });
});

/** The reasons of wakes that a policy is told. */
class Told {
  readonly reasons: string[] = [];
  readonly scheduler = createScheduler("round-robin", 1);
  constructor() {
    const { scheduler, reasons } = this;
    const { wake, notify } = scheduler;
    scheduler.wake = (vcpu, now, reason) => {
      reasons.push(`wake ${reason}`);
      return wake.call(scheduler, vcpu, now, reason);
    };
    scheduler.notify = (vcpu, now, reason) => {
      reasons.push(`notify ${reason}`);
      return notify.call(scheduler, vcpu, now, reason);
    };
  }
}

describe("what wakes a guest", () => {
  const SP804 = 0xc00_0000;
  /** One shot of the SP804's timer 1 after `microseconds`. */
  function* shot(g: Guest, microseconds: number) {
    yield* enableInterrupt(g, GICD, 32 + 114, "level");
    yield g.store(SP804, microseconds);
    yield g.store(SP804 + 8, 0xa3);
  }

  it("an interrupt of a device that is passed through is told to the policy as I/O, whether the guest sleeps or waits for a CPU", () => {
    const told = new Told();
    const s = setting(told.scheduler);
    s.add(
      "guest",
      function* (g) {
        yield* shot(g, 2000);
        yield g.wait();
        yield g.store(SP804 + 12, 0);
        yield* shot(g, 1000);
        for (;;) yield g.compute(1_000_000);
      },
      [region({ part: "timer0", mode: "pass" })],
    );
    s.run(1500 * US);
    told.reasons.length = 0;
    s.run(MS);
    expect(told.reasons).toContain("wake io");
    s.run(2 * MS);
    expect(told.reasons).toContain("notify io");
  });

  it("a passed interrupt comes to a CPU that the VM may run on", () => {
    const machine = new AbstractMachine({ cpus: 2 });
    const h = new AbstractHypervisor(machine);
    let taken = 0;
    h.add({
      name: "guest",
      affinity: [2],
      regions: [region({ part: "timer0", mode: "pass" })],
      program: {
        name: "guest",
        *main(g) {
          yield* enableGic(g, GICC);
          g.unmask();
          yield* shot(g, 1000);
          while (taken === 0) yield g.wait();
        },
        *interrupt(g) {
          const id = yield* acknowledge(g, GICC);
          if (id === 146) taken++;
          yield g.store(SP804 + 12, 0);
          yield* endOfInterrupt(g, GICC, id);
        },
      },
    });
    machine.simulation.run(MS / 2);
    const before = machine.cpus.cpus[0]?.exits;
    // GICD_ITARGETSR of INTID 146: CPU 1
    expect(machine.gic.distributor.peek(0x800 + 146, 1)).toBe(2);
    machine.simulation.run(5 * MS);
    expect(taken).toBe(1);
    expect(machine.cpus.cpus[0]?.exits).toBe(before);
  });

  it("another guest's turn costs a refill of the caches besides the world switch; the same guest's next turn does not", () => {
    const time = (names: readonly string[], refill: number) => {
      const machine = new AbstractMachine({ costs: costTable({ cacheRefill: refill }) });
      const h = new AbstractHypervisor(machine);
      const vms: Vm[] = names.map((name) =>
        h.add({
          name,
          program: {
            name,
            *main(g) {
              for (let n = 0; n < 10; n++) yield g.yield();
            },
          },
        }),
      );
      machine.simulation.run(100 * MS);
      expect(vms.every((vm) => vm.status === "off")).toBe(true);
      return machine.cpus.cpus[0]?.hypervisorTime as number;
    };
    expect(time(["one"], 5120)).toBe(time(["one"], 0));
    const switches = (time(["one", "two"], 5120) - time(["one", "two"], 0)) / (5120 * 10);
    expect(switches).toBeGreaterThanOrEqual(19);
    expect(switches).toBeLessThanOrEqual(23);
  });
});

function* idle(g: Guest) {
  for (;;) yield g.wait();
}
function* writes(g: Guest, address: number, value: number) {
  yield g.store(address, value);
  for (;;) yield g.wait();
}
function* reads(g: Guest, address: number, into: number[]): Routine {
  yield g.compute(1_000_000);
  into.push(yield g.load(address));
  for (;;) yield g.wait();
}
function* pingPong(g: Guest, port: number, first: boolean): Routine {
  if (first) yield g.hypercall(HVC, 0, port);
  for (;;) {
    while ((yield g.load(EVENTS)) === 0) yield g.wait();
    yield g.clearBits(EVENTS, -1);
    yield g.hypercall(HVC, 0, port);
  }
}
