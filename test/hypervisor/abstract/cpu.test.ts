import { describe, expect, it } from "vitest";
import { Transaction } from "../../../src/bus/index.ts";
import { type Guest, GuestAbort, type GuestProgram, type Routine } from "../../../src/hypervisor/abstract/index.ts";
import { MS, SEC, US } from "../../../src/sim/index.ts";
import { Bare, RAM } from "./bare.ts";

type Body = (g: Guest) => Routine;
const program = (main: Body, interrupt?: Body): GuestProgram => ({
  name: "test",
  main,
  ...(interrupt ? { interrupt } : {}),
});
const GICD = 0x800_0000;
const GICC = 0x801_0000;
const GICH = 0x803_0000;
const GICV = 0x804_0000;
const SP804 = 0xc00_0000;

function run(body: Body, setup?: (b: Bare) => void, without: readonly number[] = []): Bare {
  const b = new Bare();
  b.guest(program(body), without);
  setup?.(b);
  b.machine.simulation.run(SEC);
  return b;
}

describe("abstract CPU: memory and devices", () => {
  it("loads and stores of every size go through stage 2 to RAM, little-endian", () => {
    const seen: number[] = [];
    const b = run(function* (g) {
      yield g.store(RAM + 0x100, 0x8877_6655, 8, 0x1122_3344);
      seen.push(yield g.load(RAM + 0x100, 8), g.high);
      seen.push(yield g.load(RAM + 0x104, 4), yield g.load(RAM + 0x102, 2), yield g.load(RAM + 0x107, 1));
      yield g.store(RAM + 0x101, 0x1ff, 1);
      seen.push(yield g.load(RAM + 0x100));
    });
    expect(seen).toEqual([0x8877_6655, 0x1122_3344, 0x1122_3344, 0x8877, 0x11, 0x8877_ff55]);
    expect(b.word(RAM + 0x20_0100)).toBe(0x8877_ff55);
  });

  it("blocks of memory cross pages, at the cost of copying", () => {
    const into = new Uint8Array(6000);
    let took = 0;
    run(function* (g) {
      const from = Uint8Array.from({ length: 6000 }, (_, i) => i % 251);
      const before = g.now;
      yield g.write(RAM + 0xffc, from);
      took = g.now - before;
      yield g.read(RAM + 0xffc, into);
    });
    expect(into[5999]).toBe(5999 % 251);
    expect(took).toBe((4 + 6000 / 4) * 10);
  });

  it("a device sees the exact local time: an SP804 counts on while the guest computes", () => {
    const counts: number[] = [];
    run(function* (g) {
      yield g.store(SP804, 10_000);
      yield g.store(SP804 + 8, 0x82); // enabled, 32 bits, 1 MHz
      for (let n = 0; n < 3; n++) {
        counts.push(yield g.load(SP804 + 4));
        yield g.compute(1_000_000 - 300);
      }
    });
    expect(counts[0]).toBeGreaterThan(9990);
    expect((counts[1] as number) - (counts[2] as number)).toBe(1000);
  });

  it("an access to nothing is an external abort, which the routine may catch", () => {
    let caught: unknown;
    const b = run(function* (g) {
      try {
        yield g.load(0x1000);
      } catch (error) {
        caught = error;
      }
      yield g.store(RAM, 7);
    });
    expect(caught).toBeInstanceOf(GuestAbort);
    expect(b.word(RAM + 0x20_0000)).toBe(7);
  });

  it("an abort that nobody catches ends the program with PSCI SYSTEM_OFF", () => {
    const b = run(function* (g) {
      yield g.load(0x1000);
    });
    const last = b.exits[b.exits.length - 1];
    expect(last?.reason).toBe("hvc");
    expect(b.machine.simulation.now).toBe(SEC);
  });
});

describe("abstract CPU: exits", () => {
  it("a stage 2 fault has the syndrome of DDI 0487 D17.2.37 and ends with what the handler gives", () => {
    let got = 0;
    const b = run(
      function* (g) {
        got = yield g.load(0x900_0018, 2);
        yield g.store(0x900_0004, 0xabcd, 4);
      },
      (bare) => {
        bare.onExit = (cpu, exit) => {
          if (exit.reason === "data abort") cpu.complete(0x1_2345, 0);
        };
      },
      [0x900_0000],
    );
    expect(got).toBe(0x2345);
    const [load, store] = b.exits.filter((e) => e.reason === "data abort");
    // EC 0x24, IL, ISV, SAS halfword, translation fault of level 2
    expect(load).toMatchObject({ syndrome: 0x9340_0006, ipa: 0x900_0018 });
    // SAS word, WnR
    expect(store).toMatchObject({ syndrome: 0x9380_0046, ipa: 0x900_0004, value: 0xabcd });
  });

  it("a fault whose cause is taken away is retried", () => {
    let got = 0;
    run(
      function* (g) {
        got = yield g.load(0x900_0018);
      },
      (b) => {
        b.onExit = (cpu, exit) => {
          if (exit.reason !== "data abort") return;
          cpu.write(
            b.root().base + 0x1000 + 8 * (0x900_0000 / 0x20_0000),
            4,
            0x900_0000 - (0x900_0000 % 0x20_0000) + 0x4c5,
          );
        };
      },
      [0x900_0000],
    );
    expect(got & 0x90).toBe(0x90); // UARTFR: both FIFOs empty
  });

  it("a table that has changed counts once the TLB is invalidated", () => {
    const seen: number[] = [];
    const b = run(
      function* (g) {
        seen.push(yield g.load(RAM));
        yield g.hypercall(1);
        seen.push(yield g.load(RAM));
        yield g.hypercall(2);
        seen.push(yield g.load(RAM));
      },
      (bare) => {
        bare.word(RAM + 0x20_0000, 0x11);
        bare.word(RAM + 0x60_0000, 0x22);
        bare.onExit = (cpu, exit) => {
          if (exit.reason !== "hvc") return;
          if ((exit.syndrome & 0xffff) === 1) cpu.write(bare.root().base + 0x2000, 4, (RAM + 0x60_0000) | 0x7fd);
          if ((exit.syndrome & 0xffff) === 2) cpu.invalidate(1, RAM, 0x1000);
        };
      },
    );
    expect(seen).toEqual([0x11, 0x11, 0x22]);
    expect(b.exits.filter((e) => e.reason === "hvc").map((e) => e.syndrome)).toContain(0x5a00_0001);
  });

  it("WFI, WFE, HVC, SMC: syndromes and what comes back", () => {
    const results: number[] = [];
    const b = run(
      function* (g) {
        yield g.wait();
        yield g.yield();
        results.push(yield g.hypercall(0x1234, 5, 6, 7, 8));
        results.push(yield g.secureCall(3, 0x8400_0000));
        results.push(g.register(0));
      },
      (bare) => {
        bare.onExit = (cpu, exit) => {
          if (exit.reason === "hvc") cpu.setRegister(0, cpu.low(0) + cpu.low(1) + cpu.low(2) + cpu.low(3), 0);
          if (exit.reason === "smc") cpu.setRegister(0, 0x1_0001, 0);
          if (exit.reason === "smc" || exit.reason === "wfi" || exit.reason === "wfe") cpu.skip();
        };
      },
    );
    expect(results).toEqual([26, 0x1_0001, 0x1_0001]);
    const syndromes = b.exits.map((e) => `${e.reason} ${e.syndrome.toString(16)}`);
    expect(syndromes).toEqual([
      "start 0",
      "wfi 7e00000",
      "wfe 7e00001",
      "hvc 5a001234",
      "smc 5e000003",
      "hvc 5a000000",
    ]);
  });

  it("an exit of the handler's own time is time: spend", () => {
    const times: number[] = [];
    run(
      function* (g) {
        times.push(g.now);
        yield g.hypercall(1);
        times.push(g.now);
      },
      (b) => {
        b.onExit = (cpu, exit) => exit.reason === "hvc" && cpu.spend(2000);
      },
    );
    expect((times[1] as number) - (times[0] as number)).toBe(20_001);
  });
});

describe("abstract CPU: interrupts", () => {
  /** Physical interrupts for EL2, all of priority 0x80. */
  const enable = (b: Bare, ...ids: number[]) => {
    const write = (at: number, value: number, size = 4) => b.machine.bus.write(at, size, value, tx(b));
    write(GICD, 1);
    write(GICC, 0x201);
    write(GICC + 4, 0xff);
    for (const id of ids) {
      write(GICD + 0x100 + 4 * (id >> 5), 1 << (id & 31));
      write(GICD + 0x400 + id, 0x80, 1);
      if (id >= 32) write(GICD + 0x800 + id, 1, 1);
    }
  };

  it("a computation is left at the instant of an interrupt, and goes on after it", () => {
    let end = 0;
    const b = new Bare();
    b.guest(
      program(function* (g) {
        yield g.compute(10_000_000);
        end = g.now;
      }),
    );
    enable(b, 26);
    b.onExit = (cpu, exit) => {
      if (exit.reason === "start") cpu.setTimer(3 * MS);
      if (exit.reason !== "irq") return;
      expect(cpu.read(GICC + 0xc, 4)).toBe(26);
      cpu.setTimer(Number.MAX_SAFE_INTEGER);
      cpu.write(GICC + 0x10, 4, 26);
      cpu.write(GICC + 0x1000, 4, 26);
      cpu.spend(1000);
    };
    b.machine.simulation.run(SEC);
    const irqs = b.exits.filter((e) => e.reason === "irq");
    expect(irqs.map((e) => e.time)).toEqual([3 * MS + 1]);
    expect(end).toBe(10 * MS + 2 + 10_000);
  });

  it("the virtual timer's interrupt reaches the guest's routine through a list register, and what it stopped goes on", () => {
    const log: string[] = [];
    const b = new Bare();
    b.guest(
      program(
        function* (g) {
          yield g.store(GICV, 1);
          yield g.store(GICV + 4, 0xff);
          g.unmask();
          yield g.setTimer(2 * MS);
          const before = g.now;
          yield g.compute(5_000_000);
          log.push(`computed ${g.now - before >= 5 * MS}`);
        },
        function* (g) {
          const id = yield g.load(GICV + 0xc);
          log.push(`interrupt ${id} ${Math.floor(g.now / MS)} ms`);
          yield g.setTimer(Number.MAX_SAFE_INTEGER);
          yield g.store(GICV + 0x10, id);
        },
      ),
    );
    enable(b, 27);
    b.onExit = (cpu, exit) => {
      if (exit.reason === "start") cpu.write(GICH, 4, 1);
      if (exit.reason !== "irq") return;
      const id = cpu.read(GICC + 0xc, 4);
      cpu.write(GICC + 0x10, 4, id);
      // pending, hardware, priority 0x80, physical and virtual INTID 27
      cpu.write(GICH + 0x100, 4, (0x9800_0000 | (16 << 23) | (id << 10) | id) >>> 0);
    };
    b.machine.simulation.run(SEC);
    expect(log).toEqual(["interrupt 27 2 ms", "computed true"]);
    expect(b.exits.filter((e) => e.reason === "irq")).toHaveLength(1);
  });

  it("an interrupt by another CPU is taken at its own instant", () => {
    const b = new Bare({ cpus: 2 });
    b.guest(
      program(function* (g) {
        yield g.compute(50_000);
        yield g.store(GICD + 0xf00, 0x0002_0001); // SGI 1 to CPU 1
      }),
    );
    b.guest(
      program(function* (g) {
        yield g.compute(100_000_000);
      }),
      [],
      1,
    );
    enable(b);
    b.machine.bus.write(GICC, 4, 0x201, tx(b, 1));
    b.machine.bus.write(GICC + 4, 4, 0xff, tx(b, 1));
    b.onExit = (cpu, exit) => {
      if (exit.reason !== "irq") return;
      const id = cpu.read(GICC + 0xc, 4);
      cpu.write(GICC + 0x10, 4, id);
      cpu.write(GICC + 0x1000, 4, id);
    };
    b.machine.simulation.run(SEC);
    const irqs = b.exits.filter((e) => e.reason === "irq");
    expect(irqs).toHaveLength(1);
    expect(irqs[0]?.time).toBe(50 * US + 2);
  });

  it("an interrupt that nobody serves does not stop time", () => {
    const b = new Bare();
    b.guest(
      program(function* (g) {
        yield g.compute(1_000_000);
      }),
    );
    enable(b, 26);
    b.onExit = (cpu, exit) => {
      if (exit.reason === "start") cpu.setTimer(0);
    };
    b.machine.simulation.run(US);
    expect(b.machine.simulation.now).toBe(US);
    expect(b.exits.length).toBeGreaterThan(100);
  });
});

describe("abstract CPU: determinism", () => {
  it("a run in pieces has the state hash of a run in one", () => {
    const make = () => {
      const b = new Bare({ cpus: 2 });
      for (const cpu of [0, 1]) {
        b.guest(
          program(function* (g) {
            for (let n = 0; n < 300; n++) {
              yield g.compute(1000 + ((n * 7919) % 501));
              yield g.store(RAM + 4 * n, yield g.load(SP804 + 4));
            }
          }),
          [],
          cpu,
        );
      }
      return b.machine.simulation;
    };
    const whole = make();
    whole.run(MS);
    const pieces = make();
    for (let n = 1; n <= 97; n++) pieces.run(Math.floor((MS * n) / 97));
    expect(pieces.stateHash()).toBe(whole.stateHash());
  });

  it("a machine whose guest has begun cannot be saved, and says which", () => {
    const b = run(function* (g) {
      yield g.compute(100_000_000_000);
    });
    expect(() => b.machine.simulation.save()).toThrow('guest program "test"');
  });
});

function tx(b: Bare, cpu = 0) {
  const t = new Transaction();
  t.cpu = cpu;
  expect(b.machine.physicalCpus.length).toBeGreaterThan(cpu);
  return t;
}
