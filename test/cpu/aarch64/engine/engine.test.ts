/** The interpreter's own rules: counting, limits, block ends, decoded code, breakpoints, slow paths. Words beside their assembly. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InterpreterCode } from "../../../../src/cpu/aarch64/engine/interpreter.ts";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { check } from "../../../support/soak.ts";
import { FlatMachine, LEFT_FAULT, LEFT_HVC, LEFT_UNDEFINED } from "./flat-machine.ts";

const code = new InterpreterCode();
const BASE = 0x4000_0000;
const machineWith = (...words: number[]): FlatMachine => {
  const m = new FlatMachine(code, BASE, 0x40_0000);
  m.loadWords(words, BASE);
  m.pc = BASE;
  return m;
};
const NOP = 0xd503201f;
const HVC = 0xd4000002; // hvc #0
const B_SELF = 0x14000000; // b .
const ADD1 = 0x91000400; // add x0, x0, #1
const count = (m: FlatMachine): number => m.get32(L.COUNT) / 16;

describe("counting and limits", () => {
  it("counts straight-line code up to a call out, the instruction under way not yet", () => {
    const m = machineWith(ADD1, ADD1, ADD1, HVC);
    expect(m.run(100)).toBe(LEFT_HVC);
    expect(count(m)).toBe(3);
    expect(m.x(0)).toBe(3n);
    expect(m.pc).toBe(BASE + 12);
  });
  it("stops at block ends only: the first taken branch at or after the limit", () => {
    const m = machineWith(ADD1, ADD1, ADD1, 0x17fffffd); // b -12
    expect(m.run(5)).toBe(L.RUN_LIMIT);
    expect(count(m)).toBe(8);
    expect(m.x(0)).toBe(6n);
    expect(m.pc).toBe(BASE);
    expect(m.get32(L.BLOCK_END)).toBe(1);
  });
  it("steps one instruction at a time and says which ones end a block", () => {
    const m = machineWith(ADD1, 0x17ffffff); // b -4
    expect([m.run(1, true), m.pc - BASE, m.get32(L.BLOCK_END)]).toEqual([L.RUN_LIMIT, 4, 0]);
    expect([m.run(1, true), m.pc - BASE, m.get32(L.BLOCK_END)]).toEqual([L.RUN_LIMIT, 0, 1]);
  });
  it("ends a block at the end of a page, stepped or not", () => {
    const m = machineWith();
    m.loadWords([ADD1, ADD1, HVC], BASE + 4096 - 8);
    m.pc = BASE + 4096 - 8;
    expect(m.run(1)).toBe(L.RUN_LIMIT);
    expect([m.pc - BASE, count(m), m.get32(L.BLOCK_END)]).toEqual([4096, 2, 1]);
    m.pc = BASE + 4096 - 8;
    m.run(1, true);
    expect(m.get32(L.BLOCK_END)).toBe(0);
    m.run(1, true);
    expect([m.pc - BASE, m.get32(L.BLOCK_END)]).toEqual([4096, 1]);
  });
  it("ends a loop to itself at the limit", () => {
    const m = machineWith(B_SELF);
    expect(m.run(1000)).toBe(L.RUN_LIMIT);
    expect(count(m)).toBe(1000);
  });
  it("sees a limit that the host lowers at the next block end", () => {
    const m = machineWith(0xb9400041, 0x17ffffff); // ldr w1, [x2]; b -4
    m.setX(2, 0x0900_0000n);
    const { load } = m;
    m.load = (context, size) => {
      m.set32(L.LIMIT, 0);
      return load.call(m, context, size);
    };
    expect(m.run(1_000_000)).toBe(L.RUN_LIMIT);
    expect(count(m)).toBe(2);
  });
  it("counts the same over random branching programs, stepped and not, with the same state", () => {
    const word = fc.oneof(
      fc.constantFrom(ADD1, NOP, 0x8b010000, 0xeb01001f, 0xd2400421, 0x9b017c00),
      fc.integer({ min: -6, max: 6 }).map((d) => (0x14000000 | (d & 0x3ffffff)) >>> 0),
      fc
        .tuple(fc.integer({ min: -6, max: 6 }), fc.integer({ min: 0, max: 13 }))
        .map(([d, c]) => (0x54000000 | ((d & 0x7ffff) << 5) | c) >>> 0),
    );
    const whole = machineWith();
    const stepped = machineWith();
    check(
      fc.property(fc.array(word, { minLength: 8, maxLength: 24 }), fc.integer({ min: 1, max: 300 }), (words, limit) => {
        const around = new Array<number>(8).fill(HVC);
        for (const m of [whole, stepped]) {
          m.loadWords([...around, ...words, ...around], BASE);
          m.pc = BASE + 32;
          m.nzcv = 0;
          m.setX(0, 0n);
          m.setX(1, 0x1234_5678n);
        }
        const status = whole.run(limit);
        let n = 0;
        let last = 0;
        while (last === L.RUN_LIMIT && (n < limit || stepped.get32(L.BLOCK_END) === 0)) {
          last = stepped.run(1, true);
          n += count(stepped);
        }
        expect([last, n, stepped.pc, stepped.x(0), stepped.x(1), stepped.nzcv]).toEqual([
          status,
          count(whole),
          whole.pc,
          whole.x(0),
          whole.x(1),
          whole.nzcv,
        ]);
      }),
      { numRuns: 60 },
    );
  });
});

describe("branches", () => {
  it("reach other pages directly and come back", () => {
    const m = machineWith(0x94000800, HVC); // bl +0x2000
    m.loadWords([ADD1, 0xd65f03c0], BASE + 0x2000); // ret
    expect(m.run(100)).toBe(LEFT_HVC);
    expect([m.x(0), m.x(30), count(m)]).toEqual([1n, BigInt(BASE + 4), 3]);
  });
  it("to an address that is not a multiple of 4 ask the host, even when the page is known", () => {
    const m = machineWith(0xd61f0020); // br x1
    m.setX(1, BigInt(BASE + 2));
    expect(m.run(100)).toBe(LEFT_FAULT);
    expect(m.pc).toBe(BASE + 2);
  });
});

describe("decoded code", () => {
  it("is dropped when a store changes the instruction", () => {
    const m = machineWith(0xb9000041, ADD1, HVC); // str w1, [x2]
    m.setX(2, BigInt(BASE + 4));
    m.setX(1, 0x91000800n); // add x0, x0, #2
    m.pc = BASE + 4;
    m.run(100);
    expect(m.x(0)).toBe(1n);
    m.pc = BASE;
    m.run(100);
    expect(m.x(0)).toBe(3n);
  });
  it("is dropped when DMA changes the instruction", () => {
    const m = machineWith(ADD1, HVC);
    m.run(100);
    m.loadWords([0x91000800], BASE); // add x0, x0, #2
    m.pc = BASE;
    m.run(100);
    expect(m.x(0)).toBe(3n);
  });
  it("survives stores to words of its page that were never executed, without the host", () => {
    const m = machineWith(0xf9000041, HVC); // str x1, [x2]
    m.setX(2, BigInt(BASE + 0x100));
    m.run(100);
    const before = m.calls.store;
    for (let i = 0; i < 10; i++) {
      m.pc = BASE;
      m.setX(1, BigInt(i));
      m.run(100);
    }
    expect(m.calls.store).toBe(before);
    expect(m.arena.view.getBigUint64(m.host(BASE + 0x100, 8), true)).toBe(9n);
  });
  it("is dropped by an unaligned store that touches it with its middle or last byte", () => {
    for (const offset of [-7, -4, -1, 0, 3]) {
      const m = machineWith(0xf9000041, HVC, NOP, NOP, ADD1, HVC); // str x1, [x2]
      const target = BASE + 16;
      m.pc = target;
      m.run(100);
      m.setX(2, BigInt(target + offset));
      m.setX(1, 0n);
      m.pc = BASE;
      m.run(100); // fills the entry
      m.loadWords([ADD1, HVC], target);
      m.pc = target;
      m.run(100);
      m.pc = BASE;
      m.run(100); // by the entry
      m.pc = target;
      expect(m.run(100), `offset ${offset}`).toBe(
        m.arena.view.getUint32(m.host(target, 4), true) === ADD1 ? LEFT_HVC : LEFT_UNDEFINED,
      );
    }
  });
  it("makes room for new pages when full", () => {
    const m = new FlatMachine(code, BASE, 0x40_0000, 4);
    for (let page = 0; page < 12; page++) m.loadWords([ADD1, HVC], BASE + page * 4096);
    for (let round = 0; round < 3; round++) {
      for (let page = 0; page < 12; page++) {
        m.pc = BASE + page * 4096;
        expect(m.run(10)).toBe(LEFT_HVC);
      }
    }
    expect(m.x(0)).toBe(36n);
  });
  it("gives the word of an operation back", () => {
    const m = machineWith(ADD1, HVC);
    m.run(10);
    expect(m.interpreter.codeCache.wordOf(m.get32(L.SLOT)) >>> 0).toBe(HVC);
  });
});

describe("breakpoints", () => {
  it("stop before the instruction, leave memory alone, and go when removed", () => {
    const m = machineWith(ADD1, ADD1, HVC);
    const at = m.host(BASE + 4, 4);
    m.interpreter.codeCache.plant(at);
    expect(m.run(100)).toBe(L.RUN_BREAKPOINT);
    expect([m.pc, m.x(0), count(m)]).toEqual([BASE + 4, 1n, 1]);
    expect(m.arena.view.getUint32(at, true)).toBe(ADD1);
    expect(m.run(100)).toBe(L.RUN_BREAKPOINT);
    m.interpreter.codeCache.unplant(at);
    expect(m.run(100)).toBe(LEFT_HVC);
    expect(m.x(0)).toBe(2n);
  });
  it("are there again when the code is decoded again", () => {
    const m = machineWith(ADD1, HVC);
    m.run(10);
    m.interpreter.codeCache.plant(m.host(BASE, 4));
    m.loadWords([0x91000800], BASE); // add x0, x0, #2
    m.pc = BASE;
    expect(m.run(10)).toBe(L.RUN_BREAKPOINT);
  });
});

describe("memory accesses", () => {
  const LDR = 0xf9400041; // ldr x1, [x2]
  it("inside a page may be unaligned and stay in the engine; across pages they go to the host", () => {
    const m = machineWith(LDR, HVC);
    m.arena.view.setBigUint64(m.host(BASE + 0x1003, 8), 0x1122_3344_5566_7788n, true);
    m.setX(2, BigInt(BASE + 0x1003));
    m.run(10);
    m.pc = BASE;
    const { load } = m.calls;
    m.run(10);
    expect([m.x(1), m.calls.load]).toEqual([0x1122_3344_5566_7788n, load]);
    m.setX(2, BigInt(BASE + 0x1ffc));
    m.pc = BASE;
    m.run(10);
    expect(m.calls.load).toBe(load + 1);
  });
  it("that fault change no register, not even the base of a write-back", () => {
    const m = machineWith(0xf8408c41); // ldr x1, [x2, #8]!
    m.setX(2, 0x1000n);
    m.setX(1, 7n);
    expect(m.run(10)).toBe(LEFT_FAULT);
    expect([m.x(1), m.x(2), m.pc, count(m)]).toEqual([7n, 0x1000n, BASE, 0]);
  });
  it("with a misaligned SP as base ask the host first (D1.8.2)", () => {
    const m = machineWith(0xf94003e1, HVC); // ldr x1, [sp]
    m.set64(L.SP, BigInt(BASE + 0x1008));
    m.run(10);
    expect(m.lastSystem).toBe(L.SYSTEM_HVC);
    expect(m.calls.system).toBe(2);
  });
  it("of SIMD registers ask the host while FP_ENABLED is 0", () => {
    const m = machineWith(0x3dc00040, HVC); // ldr q0, [x2]
    m.setX(2, BigInt(BASE + 0x1000));
    m.set32(L.FP_ENABLED, 0);
    expect(m.run(10)).not.toBe(LEFT_HVC);
    expect([m.lastSystem, m.pc]).toEqual([L.SYSTEM_FP_ACCESS, BASE]);
  });
  it("exclusive: a store succeeds once after its load, and not at another address or size (B2.9)", () => {
    // ldxr x1, [x2]; stxr w3, x4, [x2]; stxr w5, x4, [x2]; hvc
    const m = machineWith(0xc85f7c41, 0xc8037c44, 0xc8057c44, HVC);
    m.setX(2, BigInt(BASE + 0x1000));
    m.setX(4, 99n);
    m.run(10);
    expect([m.x(3), m.x(5)]).toEqual([0n, 1n]);
    expect(m.arena.view.getBigUint64(m.host(BASE + 0x1000, 8), true)).toBe(99n);
    const other = machineWith(0xc85f7c41, 0x88037c44, HVC); // ldxr x1, [x2]; stxr w3, w4, [x2]
    other.setX(2, BigInt(BASE + 0x1000));
    other.run(10);
    expect(other.x(3)).toBe(1n);
  });
});

describe("UNDEFINED", () => {
  it("goes to the host with the word's slot, nothing executed", () => {
    const m = machineWith(0x00000000);
    expect(m.run(10)).toBe(LEFT_UNDEFINED);
    expect([m.pc, count(m), m.lastSystem]).toEqual([BASE, 0, L.SYSTEM_UNDEFINED]);
  });
});
