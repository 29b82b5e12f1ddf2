/** Module tree, reset, state parts, hashes, random streams, time. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  assignState,
  cloneState,
  Frequency,
  formatTime,
  Module,
  MS,
  NEVER,
  NS,
  SEC,
  Simulation,
  StateHash,
  type StateValue,
  wait,
} from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

describe("module tree", () => {
  it("names are paths, and unique", () => {
    const sim = new Simulation();
    const soc = new Module(sim, "soc");
    const uart = new Module(soc, "uart0");
    expect(uart.fullName).toBe("soc.uart0");
    expect(sim.module("soc.uart0")).toBe(uart);
    expect(uart.event("tick").fullName).toBe("soc.uart0.tick");
    expect(uart.line("irq").fullName).toBe("soc.uart0.irq");
    expect(() => new Module(soc, "uart0")).toThrow('two modules are named "soc.uart0"');
    expect(() => new Module(soc, "0uart")).toThrow('module name "0uart": expected a letter');
    expect(() => uart.event("tick")).toThrow('soc.uart0: two parts of state are named "tick"');
    expect(() => sim.module("soc.uart1")).toThrow('no module is named "soc.uart1"');
  });

  it("reset: state first, children next, then onReset", () => {
    class Part extends Module {
      readonly cells = this.state({ n: 1, table: new Uint8Array(4) });
      readonly timer = this.event("timer");
      readonly log: string[];
      constructor(parent: Module | Simulation, name: string, log: string[]) {
        super(parent, name);
        this.log = log;
      }
      protected override onReset(): void {
        this.log.push(`${this.fullName} ${this.cells.n} ${this.timer.pending} ${this.cells.table[2]}`);
        this.timer.notify(10);
      }
    }
    const sim = new Simulation();
    const log: string[] = [];
    const top = new Part(sim, "top", log);
    const { table } = top.cells;
    const child = new Part(top, "child", log);
    top.cells.n = child.cells.n = 7;
    top.cells.table[2] = 9;
    top.timer.notify(5);
    sim.reset();
    expect(log).toEqual(["top.child 1 false 0", "top 1 false 0"]);
    expect(top.cells.table).toBe(table);
    expect(top.timer.deadline).toBe(10);
  });

  it("reset of a running machine starts its processes anew", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const log: string[] = [];
    const e = top.event("e");
    top.method("m", (self) => {
      log.push(`${sim.now} m`);
      self.nextTrigger(e);
    });
    top.thread("t", function* () {
      try {
        for (;;) {
          log.push(`${sim.now} t`);
          yield wait(30);
        }
      } finally {
        log.push(`${sim.now} t unwound`);
      }
    });
    sim.run(40);
    sim.reset();
    sim.run(75);
    expect(log).toEqual(["0 m", "0 t", "30 t", "40 t unwound", "40 m", "40 t", "70 t"]);
  });
});

describe("reset from within a thread", () => {
  it("ends the thread where it yields next, and starts it anew", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const log: string[] = [];
    let resets = 0;
    top.thread("t", function* () {
      try {
        log.push(`${sim.now} start`);
        yield wait(10);
        if (resets++ === 0) sim.reset();
        log.push(`${sim.now} goes on`);
        yield wait(10);
        log.push(`${sim.now} end`);
      } finally {
        log.push(`${sim.now} left`);
      }
    });
    sim.run();
    expect(log).toEqual(["0 start", "10 goes on", "10 left", "10 start", "20 goes on", "30 end", "30 left"]);
  });
});

const stateValue: fc.Arbitrary<StateValue> = fc.letrec<{ value: StateValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 }),
    fc.double({ noNaN: true }),
    fc.boolean(),
    fc.string({ maxLength: 8 }),
    fc.constant(null),
    fc.uint8Array({ maxLength: 9 }),
    fc.int32Array({ maxLength: 5 }),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 4 }), tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;

describe("state", () => {
  it("a copy is equal and shares nothing; a copy assigned back changes nothing", () => {
    check(
      fc.property(stateValue, (value) => {
        const copy = cloneState(value);
        expect(copy).toEqual(value);
        expect(assignState(copy, value, "x")).toEqual(value);
      }),
      { numRuns: 200 },
    );
  });

  it("a value of another shape is refused with its place", () => {
    expect(() => assignState({ a: { b: 1 } }, { a: { b: "1" } }, "m")).toThrow(
      "m.a.b: expected a number, found a string",
    );
    expect(() => assignState({ a: 1 }, {}, "m")).toThrow("m.a: missing");
    expect(() => assignState({ a: 1 }, { a: 1, c: 2 }, "m")).toThrow("m.c: unknown");
    expect(() => assignState(new Uint8Array(4), new Uint8Array(5), "m")).toThrow("m: expected 4 elements, found 5");
  });
});

function hashOf(feed: (hash: StateHash) => void): string {
  const hash = new StateHash();
  feed(hash);
  return hash.digest();
}

describe("hash", () => {
  it("stays as it is: hashes of today are compared with hashes of tomorrow", () => {
    expect(hashOf(() => {})).toMatch(/^[0-9a-f]{16}$/);
    const fed = hashOf((h) =>
      h
        .word(1)
        .number(2 ** 40 + 5)
        .number(0.5)
        .text("uart")
        .bytes(new Uint8Array([1, 2, 3, 4, 5])),
    );
    expect(fed).toBe(
      hashOf((h) =>
        h
          .word(1)
          .number(2 ** 40 + 5)
          .number(0.5)
          .text("uart")
          .bytes(new Uint8Array([1, 2, 3, 4, 5])),
      ),
    );
    expect(fed).not.toBe(hashOf(() => {}));
  });

  it("bytes hash alike whatever their alignment", () => {
    check(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        const shifted = new Uint8Array(data.length + 3);
        for (const offset of [1, 2, 3]) {
          shifted.set(data, offset);
          expect(hashOf((h) => h.bytes(shifted.subarray(offset, offset + data.length)))).toBe(
            hashOf((h) => h.bytes(data)),
          );
        }
      }),
    );
  });

  it("a single changed bit changes it", () => {
    const data = new Uint8Array(64);
    const seen = new Set([hashOf((h) => h.bytes(data))]);
    for (let bit = 0; bit < 512; bit++) {
      const changed = data.slice();
      changed[bit >> 3] = 1 << (bit & 7);
      seen.add(hashOf((h) => h.bytes(changed)));
    }
    expect(seen.size).toBe(513);
  });

  it("pages: zeroes are passed over, contents and place count, pieces make no difference", () => {
    const memory = new Int32Array(8 * 1024);
    const empty = hashOf((h) => h.pages(memory));
    expect(empty).toBe(hashOf((h) => h.pages(new Int32Array(1024))));
    memory[5 * 1024 + 7] = 3;
    const one = hashOf((h) => h.pages(memory));
    expect(one).not.toBe(empty);
    expect(hashOf((h) => h.pages(memory.subarray(0, 4096)).pages(memory.subarray(4096), 4))).toBe(one);
    expect(hashOf((h) => h.pages(memory.subarray(5 * 1024), 5))).toBe(one);
    expect(hashOf((h) => h.pages(memory.subarray(5 * 1024), 6))).not.toBe(one);
  });

  it("a part with a hash of its own is not copied for it", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const ram = new Int32Array(1024);
    const refuse = () => {
      throw new Error("copied");
    };
    top.part("ram", { save: refuse, load: refuse, reset: () => ram.fill(0), hash: (h) => void h.pages(ram) });
    const before = sim.stateHash();
    ram[3] = 1;
    expect(sim.stateHash()).not.toBe(before);
    ram[3] = 0;
    expect(sim.stateHash()).toBe(before);
  });
});

describe("random streams", () => {
  it("depend on the seed and their name alone, and are saved", () => {
    const draw = (seed: number, name: string, skipOthers: number) => {
      const sim = new Simulation({ seed });
      const top = new Module(sim, "top");
      const other = sim.random(top, "other");
      for (let i = 0; i < skipOthers; i++) other.uint32();
      const stream = sim.random(top, name);
      return Array.from({ length: 4 }, () => stream.uint32());
    };
    expect(draw(1, "loss", 0)).toEqual(draw(1, "loss", 100));
    expect(draw(1, "loss", 0)).not.toEqual(draw(2, "loss", 0));
    expect(draw(1, "loss", 0)).not.toEqual(draw(1, "delay", 0));
    const sim = new Simulation();
    const stream = sim.random(new Module(sim, "top"), "s");
    stream.uint32();
    const saved = sim.save();
    const next = stream.uint32();
    sim.load(saved);
    expect(stream.uint32()).toBe(next);
  });

  it("below(n) gives each of 0 to n - 1 about as often", () => {
    const sim = new Simulation();
    const stream = sim.random(new Module(sim, "top"), "s");
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) (counts[stream.below(7)] as number)++;
    for (const n of counts) expect(Math.abs(n - 10_000)).toBeLessThan(500);
  });
});

describe("time", () => {
  it("a tick is 100 ps", () => {
    expect(NS).toBe(10);
    expect(MS).toBe(10_000_000);
    expect(SEC).toBe(10_000_000_000);
  });

  it("cycles and instants convert without drift, both ways", () => {
    check(
      fc.property(fc.integer({ min: 1, max: 10_000_000_000 }), fc.nat(2 ** 53 - 1), (hz, some) => {
        // Any count of cycles within ten days.
        const cycles = some % (hz * 900_000);
        const f = new Frequency(hz);
        const time = f.timeOf(cycles);
        expect(f.cyclesAt(time)).toBe(cycles);
        if (time > 0) expect(f.cyclesAt(time - 1)).toBe(cycles - 1);
        expect(BigInt(time)).toBe((BigInt(cycles) * 10_000_000_000n + BigInt(hz) - 1n) / BigInt(hz));
      }),
      { numRuns: 2000 },
    );
    expect(() => new Frequency(0)).toThrow("frequency of 0 Hz");
    expect(() => new Frequency(1.5)).toThrow("frequency of 1.5 Hz");
  });

  it("reads as seconds", () => {
    expect([0, SEC, 10_000_005, NEVER].map(formatTime)).toEqual(["0 s", "1 s", "0.0010000005 s", "never"]);
  });
});
