import { describe, expect, it } from "vitest";
import { defineRegisters, RegisterBank, rc, ro, rw, w1c, w1s, wo } from "../../src/registers/index.ts";
import { Frequency, Module, type Simulation, US } from "../../src/sim/index.ts";
import { RULES, type RuleName, registersUnderTest } from "./harness/rules.ts";
import { Bench, type DeviceFactory, describeDeclaration, fuzzDevice, runFuzz } from "./harness.ts";

/** One register of each kind. */
const SAMPLE = defineRegisters({
  name: "SAMPLE",
  title: "Sample part",
  manual: "none",
  size: 0x100,
  sizes: [1, 2, 4],
  registers: {
    CTRL: {
      at: 0x00,
      title: "Control",
      clause: "1",
      fields: { EN: rw(0, "Enable"), MODE: rw([5, 4], "Mode", { reset: 2 }), BUSY: ro(31, "Busy", { reset: 1 }) },
    },
    STATUS: {
      at: 0x04,
      title: "Status",
      clause: "2",
      fields: { EVENTS: w1c([15, 8], "Events"), SET: w1s([7, 0], "Set") },
    },
    COUNT: { at: 0x08, title: "Cleared by reading", clause: "3", fields: { VALUE: rc([15, 0], "Value") } },
    KEY: { at: 0x0c, title: "Key", clause: "4", sizes: [4], fields: { VALUE: wo([31, 0], "Value") } },
    ID: { at: 0x10, title: "Identification", clause: "5", fields: { VALUE: ro([7, 0], "Value", { reset: 0x5a }) } },
    WIDE: { at: 0x18, title: "64 bits", clause: "6", width: 64, fields: { VALUE: rw([63, 0], "Value") } },
    BANK: {
      at: 0x20,
      title: "Array, the first two banked",
      clause: "7",
      count: 4,
      banked: 2,
      fields: { VALUE: rw([31, 0], "Value") },
    },
    NOW: { at: 0x40, title: "Time in us", clause: "8", computed: true, fields: { VALUE: ro([31, 0], "Value") } },
    PERIOD: { at: 0x44, title: "Period in us", clause: "9", fields: { VALUE: rw([15, 0], "Value") } },
  },
});

class Sample extends Module {
  readonly clock = new Frequency(1_000_000);
  readonly interrupt = this.line("interrupt");
  readonly #tick = this.event("tick", () => this.#expired());
  readonly registers: RegisterBank<typeof SAMPLE>;

  constructor(parent: Module | Simulation, name: string) {
    super(parent, name);
    this.registers = this.part(
      "registers",
      new RegisterBank(
        this,
        SAMPLE,
        {
          NOW: { get: () => this.clock.cyclesAt(this.simulation.now) | 0 },
          PERIOD: {
            onWrite: (written) => {
              const period = written & 0xffff;
              if (period === 0) this.#tick.cancel();
              else this.#tick.scheduleAt(this.simulation.now + period * US);
            },
          },
          STATUS: { onWrite: () => this.#update() },
        },
        { cpus: 3 },
      ),
    );
  }

  raise(bit: number): void {
    const { values, slot } = this.registers;
    values[slot.STATUS] = (values[slot.STATUS] as number) | (0x100 << bit);
    values[slot.COUNT] = ((values[slot.COUNT] as number) + 1) & 0xffff;
    this.#update();
  }

  #expired(): void {
    this.raise(0);
    const period = this.registers.values[this.registers.slot.PERIOD] as number;
    if (period !== 0) this.#tick.scheduleAt(this.simulation.now + period * US);
  }

  #update(): void {
    this.interrupt.set(((this.registers.values[this.registers.slot.STATUS] as number) & 0xff00) !== 0);
  }
}

const buildSample: DeviceFactory = (simulation) => {
  const module = new Sample(simulation, "sample");
  return {
    module,
    targets: [{ name: "registers", target: module.registers, size: 0x200, cpus: 3 }],
    stimulate: (random) => module.raise(random.below(8)),
  };
};

describeDeclaration("A device that keeps its declaration", buildSample, {
  exempt: { NOW: { rules: ["reset-after-use"], reason: "it counts from the start of the simulation" } },
});
fuzzDevice("A device that keeps its declaration", buildSample, { accesses: 20_000 });

/** The sample with one defect; the harness must see each. */
function broken(sabotage: (device: Sample, simulation: Simulation) => void): DeviceFactory {
  return (simulation) => {
    const built = buildSample(simulation);
    sabotage(built.module as Sample, simulation);
    return built;
  };
}

function violations(factory: DeviceFactory, rule: RuleName): string[] {
  const bench = new Bench(factory);
  return registersUnderTest(bench).flatMap((under) => {
    bench.reset();
    return RULES[rule].check(bench, under);
  });
}

describe("the harness sees", () => {
  it("a register that is not reset", () => {
    const factory = broken((device) => {
      device.registers.reset = () => {};
    });
    expect(violations(factory, "reset-after-use").join()).toContain("CTRL");
  });

  it("state kept beside the registers", () => {
    const factory: DeviceFactory = (simulation) => {
      const built = buildSample(simulation);
      const { registers } = built.module as Sample;
      let secret = 0;
      const read = registers.read.bind(registers);
      registers.read = (offset, size, tx) => (offset === 0x40 ? secret++ : read(offset, size, tx)) & 0xff;
      return built;
    };
    expect(() => runFuzz(factory, { accesses: 5_000 })).toThrow(/seed 1, access \d+: an answer after loading differs/);
  });

  it("a peek with an effect", () => {
    const factory = broken((device) => {
      const { registers } = device;
      registers.peekBank = (offset, size) => registers.read(offset, size, new Bench(buildSample).transaction);
    });
    expect(violations(factory, "peek").join()).toContain("COUNT: two peeks differ");
  });

  it("an exception, with the seed and the access", () => {
    const factory = broken((device) => {
      device.raise = () => {
        throw new Error("not today");
      };
    });
    expect(() => runFuzz(factory, { seed: 9, accesses: 5_000 })).toThrow(/^seed 9, access \d+ \(.*not today/s);
  });

  it("events that keep each other going at one instant", () => {
    const factory = broken((device, simulation) => {
      const again = device.event("again", () => again.scheduleAt(simulation.now));
      device.raise = () => again.scheduleAt(simulation.now);
    });
    expect(() => runFuzz(factory, { accesses: 5_000 })).toThrow(/sample\.again: more than 1000000 notifications/);
  });

  it("write-one-to-clear that clears all", () => {
    const factory = broken((device) => {
      const { registers } = device;
      const write = registers.write.bind(registers);
      registers.write = (offset, size, value, tx) =>
        write(offset, size, offset === 4 && value !== 0 ? 0xff00 : value, tx);
    });
    expect(violations(factory, "w1c").join()).toContain("STATUS: writing bit 8 left 0x00000000");
  });
});
