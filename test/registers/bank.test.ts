import bitwise from "bitwise";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Transaction } from "../../src/bus/index.ts";
import {
  type Access,
  type Declaration,
  defineRegisters,
  type Hooks,
  RegisterBank,
  rc,
  reserved,
  ro,
  rw,
  w1c,
  w1s,
  wo,
} from "../../src/registers/index.ts";
import { type GuestError, Module, type RegisterAccess, Simulation } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

type Registers = Declaration["registers"];

class Part extends Module {
  readonly bank: RegisterBank<Declaration>;
  readonly errors: GuestError[] = [];

  constructor(registers: Registers, hooks: { [name: string]: Hooks } = {}, cpus = 1, sizes = [1, 2, 4]) {
    super(new Simulation(), "part");
    const declaration = defineRegisters<Declaration>({
      name: "PART",
      title: "Part",
      manual: "Manual A",
      size: 0x100,
      sizes,
      registers,
    });
    this.bank = this.part("registers", new RegisterBank(this, declaration, hooks, { cpus }));
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
  }

  read(offset: number, size = 4, cpu = -1): number {
    return this.bank.read(offset, size, by(cpu));
  }
  write(offset: number, value: number, size = 4, cpu = -1): void {
    this.bank.write(offset, size, value, by(cpu));
  }
  kinds(): string[] {
    return this.errors.map((e) => e.kind);
  }
}

function by(cpu: number): Transaction {
  const tx = new Transaction();
  tx.cpu = cpu;
  return tx;
}

const one = (fields: Registers[string]["fields"], more: Partial<Registers[string]> = {}): Registers => ({
  R: { at: 0, title: "R", clause: "1.2", fields, ...more },
});

describe("each kind of access, bit by bit, against a naive model", () => {
  const KINDS: readonly (Access | "none")[] = ["rw", "ro", "wo", "w1c", "w1s", "rc", "reserved", "none"];
  const make = { rw, ro, wo, w1c, w1s, rc };

  /** Each bit on its own, as a manual describes it. */
  function expectWrite(kind: string, before: number, written: number): number {
    if (kind === "rw" || kind === "wo") return written;
    if (kind === "w1c") return written ? 0 : before;
    if (kind === "w1s") return written ? 1 : before;
    return before;
  }
  const reads = (kind: string, bit: number) => (["wo", "reserved", "none"].includes(kind) ? 0 : bit);

  const access = fc.record({
    write: fc.boolean(),
    size: fc.constantFrom(1, 2, 4),
    lane: fc.nat(3),
    value: fc.integer({ min: 0, max: 0xffff_ffff }),
  });

  it("agree for random layouts and random accesses of every width", () => {
    check(
      fc.property(
        fc.array(fc.constantFrom(...KINDS), { minLength: 32, maxLength: 32 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.array(access, { maxLength: 20 }),
        (kinds, reset, accesses) => {
          const fields: Record<string, Registers[string]["fields"][string]> = {};
          const bits: number[] = kinds.map((kind, b) => {
            if (kind === "none") return 0;
            const bit = kind === "reserved" ? 0 : bitwise.integer.getBit(reset, b);
            fields[`B${b}`] = kind === "reserved" ? reserved(b, "r") : make[kind](b, "b", { reset: bit });
            return bit;
          });
          const part = new Part(one(fields));
          for (const { write, size, lane: anyLane, value } of accesses) {
            const lane = anyLane - (anyLane % size);
            const inLanes = (b: number) => b >= 8 * lane && b < 8 * (lane + size);
            if (write) {
              part.write(lane, size === 4 ? value : value % 2 ** (8 * size), size);
              kinds.forEach((kind, b) => {
                if (inLanes(b))
                  bits[b] = expectWrite(kind, bits[b] as number, bitwise.integer.getBit(value, b - 8 * lane));
              });
            } else {
              const got = part.read(lane, size);
              for (let b = 0; b < 8 * size; b++) {
                const at = b + 8 * lane;
                expect(bitwise.integer.getBit(got, b)).toBe(reads(kinds[at] as string, bits[at] as number));
                if (kinds[at] === "rc") bits[at] = 0;
              }
            }
            const seen = part.bank.peek(0, 4);
            kinds.forEach((kind, b) => {
              expect(bitwise.integer.getBit(seen, b)).toBe(reads(kind, bits[b] as number));
            });
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("widths", () => {
  it("a refused size or alignment reads as zero, changes nothing and is a guest error of kind width", () => {
    const part = new Part(one({ F: rw([31, 0], "f", { reset: 0x12345678 }) }), {}, 1, [4]);
    expect(part.read(0, 1)).toBe(0);
    expect(part.read(1, 4)).toBe(0);
    part.write(0, 0xff, 1);
    part.write(2, 0xff, 2);
    expect(part.read(0)).toBe(0x12345678);
    expect(part.kinds()).toEqual(["width", "width", "width", "width"]);
    expect(part.errors[2]).toMatchObject({
      module: "part",
      register: "R",
      clause: "Manual A 1.2",
      offset: 0,
      size: 1,
      write: true,
      value: 0xff,
    });
  });

  it("a register's own sizes come before the device's", () => {
    const part = new Part(one({ F: rw([31, 0], "f") }, { sizes: [1] }), {}, 1, [4]);
    part.write(3, 0xab, 1);
    expect(part.read(3, 1)).toBe(0xab);
    part.read(0, 4);
    expect(part.kinds()).toEqual(["width"]);
  });

  it("an offset without register, inside the frame or beyond it, is reported as reserved", () => {
    const part = new Part(one({ F: rw(0, "f") }));
    for (const offset of [4, 0xfc, 0x100, 0xfffc, 0x7fff_fffc, 0xffff_fffc]) {
      expect(part.read(offset)).toBe(0);
      part.write(offset, 1);
      expect(part.bank.peek(offset, 4)).toBe(0);
      part.bank.poke(offset, 4, 1);
    }
    expect(part.kinds()).toEqual(new Array(12).fill("reserved-offset"));
  });

  it("64-bit accesses do not reach a bank, whatever flags its registers carry", () => {
    const part = new Part(one({ F: rw([31, 0], "f") }, { sizes: [4, 8] }), { R: { get: () => 7, onWrite: () => {} } });
    expect(part.bank.accessSizes).toBe(7);
    expect(part.read(0, 8)).toBe(0);
    expect(part.kinds()).toEqual(["width"]);
  });
});

describe("what is reported", () => {
  it("writes to read-only and reads of write-only registers, but not of mixed or empty ones", () => {
    const part = new Part({
      RO: { at: 0, title: "", clause: "1", fields: { F: ro(0, "f") } },
      WO: { at: 4, title: "", clause: "2", fields: { F: wo([7, 0], "f") } },
      MIX: { at: 8, title: "", clause: "3", fields: { F: wo([7, 0], "f"), G: ro(8, "g") } },
      NONE: { at: 12, title: "", clause: "4", fields: {} },
      NAMED: { at: 16, title: "", clause: "5", fields: { F: reserved([31, 0], "f") } },
    });
    for (const offset of [0, 4, 8, 12, 16]) {
      part.read(offset);
      part.write(offset, 0xff);
    }
    expect(part.errors.map((e) => [e.kind, e.register, e.write])).toEqual([
      ["access", "RO", true],
      ["access", "WO", false],
    ]);
  });

  it("a register that is left out: once, and it keeps its reset value", () => {
    const part = new Part(one({ F: rw([7, 0], "f", { reset: 0x21 }) }, { unimplemented: "no such clock here" }));
    part.write(0, 0xff);
    part.write(0, 0xff);
    expect(part.read(0)).toBe(0x21);
    expect(part.errors.map((e) => [e.kind, e.detail])).toEqual([["unimplemented", "no such clock here"]]);
  });

  it("a field that is left out: once each, when a value other than its reset is written; the value is kept", () => {
    const part = new Part(
      one({
        A: rw(0, "a", { unimplemented: "no A" }),
        B: rw(1, "b", { reset: 1, unimplemented: "no B" }),
        C: rw(2, "c"),
      }),
    );
    part.read(0);
    part.write(0, 0b110);
    expect(part.errors).toEqual([]);
    part.write(0, 0b011);
    part.write(0, 0b001);
    part.write(0, 0b000);
    expect(part.errors.map((e) => e.detail)).toEqual(["A: no A", "B: no B"]);
    part.write(0, 0b101);
    expect(part.read(0)).toBe(0b101);
    part.write(0, 0xff, 1);
    part.write(1, 0xff, 1);
    expect(part.errors.length).toBe(2);
  });
});

describe("hooks", () => {
  it("get sees element, CPU and word; what it gives is masked by the fields", () => {
    const calls: number[][] = [];
    const part = new Part(
      {
        R: {
          at: 0,
          title: "",
          clause: "1",
          width: 64,
          count: 2,
          banked: 1,
          computed: true,
          fields: { F: ro([39, 4], "f") },
        },
      },
      { R: { get: (...args) => calls.push(args) && -1 } },
      2,
    );
    expect(part.read(0, 4, 1)).toBe(0xffff_fff0);
    expect(part.read(4, 4, 1)).toBe(0xff);
    expect(part.read(12, 4, 1)).toBe(0xff);
    expect(calls).toEqual([
      [0, 1, 0],
      [0, 1, 1],
      [1, 0, 1],
    ]);
    expect(part.bank.peekBank(1, 1, 1)).toBe(0xff);
  });

  it("onRead runs after the value was taken, with the lanes that were given; peek never runs it", () => {
    const calls: number[][] = [];
    const part = new Part(one({ F: rc([31, 0], "f", { reset: 0xcafe_babe }) }), {
      R: { onRead: (...args) => calls.push(args) },
    });
    part.bank.peek(0, 4);
    expect(part.read(2, 2)).toBe(0xcafe);
    expect(calls).toEqual([[0, 0, 0xcafe_babe | 0, 0xffff_0000 | 0, 0]]);
    expect(part.bank.peek(0, 4)).toBe(0xbabe);
  });

  it("onWrite runs after the store, with lanes in place and the value from before", () => {
    const calls: number[][] = [];
    const part: Part = new Part(one({ F: rw([31, 0], "f", { reset: 0x1111_1111 }) }), {
      R: { onWrite: (...args) => calls.push([...args, part.bank.values[0] as number]) },
    });
    part.write(1, 0xab, 1);
    expect(calls).toEqual([[0xab00, 0xff00, 0x1111_1111, 0, 0, 0, 0x1111_ab11]]);
  });

  it("a computed register stores nothing, and needs a get where it can be read", () => {
    const part = new Part(one({ F: rw([31, 0], "f") }, { computed: true }), { R: { get: () => 5 } });
    part.write(0, 0xffff_ffff);
    part.bank.poke(0, 4, 0xffff_ffff);
    expect([part.bank.values[0], part.read(0)]).toEqual([0, 5]);
    expect(part.bank.save()).toEqual({});
    expect(() => new Part(one({ F: rw(0, "f") }, { computed: true }))).toThrow(
      'part: PART.R is computed, but has no hook "get"',
    );
    expect(new Part(one({ F: wo(0, "f") }, { computed: true })).read(0)).toBe(0);
  });
});

describe("banked registers", () => {
  const registers: Registers = {
    A: { at: 0, title: "", clause: "1", count: 4, banked: 2, fields: { F: rw([31, 0], "f") } },
    W: { at: 0x20, title: "", clause: "2", width: 64, count: 3, banked: 2, fields: { F: rw([63, 0], "f") } },
    Z: { at: 0x40, title: "", clause: "3", fields: { F: rw([31, 0], "f") } },
  };

  it("hold one value a CPU, shared elements one for all, against a naive model", () => {
    check(
      fc.property(
        fc.array(
          fc.record({
            cpu: fc.integer({ min: -1, max: 3 }),
            word: fc.nat(16),
            value: fc.integer({ min: 0, max: 0xffff_ffff }),
          }),
          { maxLength: 60 },
        ),
        (writes) => {
          const part = new Part(registers, {}, 3);
          const model = new Map<string, number>();
          const isBanked = (offset: number) => offset < 8 || (offset >= 0x20 && offset < 0x30);
          const offsets = [0, 4, 8, 12, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x40];
          // Initiators that are no CPU, and CPUs that the bank was not made for, see CPU 0's.
          const key = (offset: number, cpu: number) => `${offset}/${isBanked(offset) && cpu > 0 && cpu < 3 ? cpu : 0}`;
          for (const { cpu, word, value } of writes) {
            const offset = offsets[word % offsets.length] as number;
            part.write(offset, value, 4, cpu);
            model.set(key(offset, cpu), value);
          }
          for (let cpu = -1; cpu < 4; cpu++) {
            for (const offset of offsets) {
              expect(part.read(offset, 4, cpu)).toBe(model.get(key(offset, cpu)) ?? 0);
              expect(part.bank.peekBank(offset, 4, cpu)).toBe(model.get(key(offset, cpu)) ?? 0);
            }
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it("are found by bankedSlot and pokeBank, 64-bit arrays included", () => {
    const part = new Part(registers, {}, 3);
    part.bank.pokeBank(0x2c, 4, 0x1234, 2);
    expect(part.bank.values[part.bank.bankedSlot("W", 1, 2) + 1]).toBe(0x1234);
    part.write(0x30, 0x55, 4, 2);
    expect(part.bank.values[part.bank.bankedSlot("W", 2, 2)]).toBe(0x55);
    part.write(4, 0x66, 4, 1);
    expect(part.bank.values[part.bank.bankedSlot("A", 1, 1)]).toBe(0x66);
    expect([part.read(4, 4, 0), part.read(0x40, 4, 2)]).toEqual([0, 0]);
  });
});

describe("state", () => {
  const registers: Registers = {
    A: { at: 0, title: "", clause: "1", fields: { F: rw([31, 0], "f", { reset: 3 }) } },
    B: { at: 8, title: "", clause: "2", width: 64, count: 2, banked: 1, fields: { F: rw([63, 0], "f") } },
    C: { at: 0x40, title: "", clause: "3", computed: true, fields: { F: ro(0, "f") } },
  };
  const build = () => new Part(registers, { C: { get: () => 1 } }, 2);

  it("is saved by name, without computed registers, and comes back", () => {
    const part = build();
    part.write(0, 0x8000_0001);
    part.write(12, 5, 4, 1);
    const saved = structuredClone(part.bank.save());
    expect(saved).toEqual({ A: 0x80000001 | 0, B: Int32Array.of(0, 0, 0, 0, 0, 5) });
    part.bank.reset();
    expect(part.read(0)).toBe(3);
    const other = build();
    other.bank.load(saved, "part.registers");
    expect([other.read(0), other.read(12, 4, 1), other.read(12, 4, 0)]).toEqual([0x8000_0001, 5, 0]);
  });

  it.each([
    ["no record", null, "part.registers: expected a record"],
    ["a register missing", { B: new Int32Array(6) }, "part.registers.A: expected 1 words"],
    ["no whole number", { A: 0.5, B: new Int32Array(6) }, "part.registers.A: expected 1 words"],
    ["a short array", { A: 1, B: new Int32Array(5) }, "part.registers.B: expected 6 words"],
    ["a computed register", { A: 1, B: new Int32Array(6), C: 1 }, "part.registers.C: unknown register"],
    ["an unknown register", { A: 1, B: new Int32Array(6), D: 1 }, "part.registers.D: unknown register"],
  ])("a snapshot that does not fit is refused with the place: %s", (_, saved, message) => {
    expect(() => build().bank.load(saved, "part.registers")).toThrow(message);
  });
});

it("an access is traced with what was visible before and after", () => {
  const part = new Part(
    {
      ...one({ F: rw([7, 0], "f"), G: wo([15, 8], "g") }, { count: 2 }),
      T: { at: 0x10, title: "", clause: "2", computed: true, fields: { F: ro([7, 0], "f") } },
    },
    { T: { get: () => 9 } },
  );
  const seen: RegisterAccess[] = [];
  const stop = part.simulation.reporter.observe({ registerAccess: (a) => seen.push(a) });
  part.write(4, 0x1234);
  part.read(5, 1);
  part.read(0x10);
  stop();
  part.read(0);
  expect(seen).toEqual([
    {
      time: 0,
      module: "part",
      register: "R",
      index: 1,
      offset: 4,
      size: 4,
      write: true,
      value: 0x1234,
      before: 0,
      after: 0x34,
    },
    {
      time: 0,
      module: "part",
      register: "R",
      index: 1,
      offset: 5,
      size: 1,
      write: false,
      value: 0,
      before: 0x34,
      after: 0x34,
    },
    {
      time: 0,
      module: "part",
      register: "T",
      index: 0,
      offset: 16,
      size: 4,
      write: false,
      value: 9,
      before: 9,
      after: 9,
    },
  ]);
});

it("fields have mask and shift under their names; those above bit 31 in the high word", () => {
  const owner = new Module(new Simulation(), "part");
  const bank = new RegisterBank(
    owner,
    defineRegisters({
      name: "PART",
      title: "Part",
      manual: "none",
      size: 8,
      sizes: [4],
      registers: {
        R: { at: 0, title: "", clause: "1", width: 64, fields: { LOW: rw([7, 4], "l"), HIGH: rw([35, 33], "h") } },
      },
    }),
  );
  expect(bank.field.R.LOW).toEqual({ mask: 0xf0, shift: 4 });
  expect(bank.field.R.HIGH).toEqual({ mask: 0xe, shift: 1 });
  // @ts-expect-error MIDDLE is no field
  expect(bank.field.R.MIDDLE).toBeUndefined();
});
