/** What the engine does by itself of system instructions, and where it must not: DDI 0487J.a C5.2, C6.2, D17.2. */
import { describe, expect, it } from "vitest";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { Machine, mrs, RAM } from "./machine.ts";

const CODE = 0x4001_0000;
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;
const SP_EL0 = "S3_0_C4_C1_0";
const TPIDR_EL1 = "S3_0_C13_C0_4";
const TPIDR_EL0 = "S3_3_C13_C0_2";
const DAIF = "S3_3_C4_C2_1";
const DAIFSET_I = 0xd503_42df;
const DC_ZVA_X1 = 0xd50b_7421;
const UNDEFINED = 0x0200_0000n;

function machine(el: number, words: readonly number[], options: { el2?: boolean; spsel?: number; daif?: number } = {}) {
  const m = Machine.fresh({ el2: options.el2 ?? el === 2 });
  m.words(CODE, words);
  m.setSys("VBAR_EL1", VBAR1);
  if (m.cluster.el2) m.setSys("VBAR_EL2", VBAR2);
  m.enter(el, BigInt(CODE), options.spsel ?? 1, options.daif ?? 0);
  return m;
}
const trapOf = (rt: number, op0: bigint, op1: bigint, crn: bigint, crm: bigint, op2: bigint, read: bigint) =>
  (0x18n << 26n) |
  (1n << 25n) |
  (op0 << 20n) |
  (op2 << 17n) |
  (op1 << 14n) |
  (crn << 10n) |
  (BigInt(rt) << 5n) |
  (crm << 1n) |
  read;

describe("MRS of registers that kernels read often", () => {
  it("C5.2.25: SP_EL0 is readable above EL0 while it is not the current stack pointer, else UNDEFINED", () => {
    for (const el of [1, 2]) {
      const m = machine(el, [mrs(3, SP_EL0)]);
      m.setSys("SP_EL0", 0x1234_5678_9abc_def0n);
      m.step();
      expect(m.x(3)).toBe(0x1234_5678_9abc_def0n);
    }
    const current = machine(1, [mrs(3, SP_EL0)], { spsel: 0 });
    current.step();
    expect([current.pc(), current.sys("ESR_EL1")]).toEqual([VBAR1, UNDEFINED]);
    const el0 = machine(0, [mrs(3, SP_EL0)], { spsel: 0 });
    el0.step();
    expect([el0.pc(), el0.sys("ESR_EL1")]).toEqual([VBAR1 + 0x400n, UNDEFINED]);
  });
  it("D17.2.139, D17.2.140: TPIDR_EL1 from EL1 on, TPIDR_EL0 at every level", () => {
    for (const el of [0, 1, 2]) {
      const m = machine(el, [mrs(4, TPIDR_EL0), mrs(5, TPIDR_EL1)], { spsel: el === 0 ? 0 : 1 });
      m.setSys("TPIDR_EL0", 0xfeed_0000_0000_0001n);
      m.setSys("TPIDR_EL1", 0xbeef_0000_0000_0002n);
      m.step(2);
      expect(m.x(4)).toBe(0xfeed_0000_0000_0001n);
      if (el === 0) expect(m.sys("ESR_EL1")).toBe(UNDEFINED);
      else expect(m.x(5)).toBe(0xbeef_0000_0000_0002n);
    }
  });
  it("C5.2.2: DAIF in bits 9 to 6; at EL0 trapped unless SCTLR_EL1.UMA", () => {
    const m = machine(1, [mrs(6, DAIF)], { daif: 0b1010 });
    m.step();
    expect(m.x(6)).toBe(0x280n);
    const el0 = machine(0, [mrs(6, DAIF)], { spsel: 0 });
    el0.step();
    expect(el0.sys("ESR_EL1")).toBe(trapOf(6, 3n, 3n, 4n, 2n, 1n, 1n));
    const uma = machine(0, [mrs(6, DAIF)], { spsel: 0, daif: 0b0001 });
    uma.setSys("SCTLR_EL1", 0x30d0_0800n | (1n << 9n));
    uma.step();
    expect(uma.x(6)).toBe(0x40n);
  });
});

describe("C6.2.195: MSR DAIFSet", () => {
  it("sets bits and keeps the others", () => {
    const m = machine(1, [DAIFSET_I], { daif: 0b1000 });
    m.step();
    expect(m.cpu.context.low(L.DAIF)).toBe(0b1010);
  });
  it("at EL0 is trapped unless SCTLR_EL1.UMA", () => {
    const m = machine(0, [DAIFSET_I], { spsel: 0 });
    m.step();
    expect([m.pc(), m.sys("ESR_EL1") >> 26n]).toEqual([VBAR1 + 0x400n, 0x18n]);
    const uma = machine(0, [DAIFSET_I], { spsel: 0 });
    uma.setSys("SCTLR_EL1", 0x30d0_0800n | (1n << 9n));
    uma.step();
    expect(uma.cpu.context.low(L.DAIF)).toBe(0b0010);
  });
});

describe("C6.2.74: DC ZVA", () => {
  const AT = RAM + 0x20_0000;
  const fill = (m: Machine) =>
    m.quads(
      AT,
      Array.from({ length: 32 }, (_, i) => BigInt(i) + 0x1111_0000_0000_0000n),
    );
  /** RAM as Normal memory at its own address, by one block of 1 GiB: without translation it would be Device memory. */
  const TABLE = RAM + 0x10_0000;
  const mapped = (m: Machine, el: number) => {
    m.quads(TABLE, [0n, BigInt(RAM) | (el === 0 ? 0x741n : 0x701n)]); // AF, inner shareable; AP[1] for EL0
    m.setSys("MAIR_EL1", 0xffn);
    m.setSys("TCR_EL1", 25n);
    m.setSys("TTBR0_EL1", BigInt(TABLE));
    return 0x30d0_0800n | 1n;
  };
  it("zeroes the aligned 64 bytes around the address, at the first access to the page and later", () => {
    const m = machine(1, [DC_ZVA_X1, 0x9102_0021 /* add x1, x1, #128 */, DC_ZVA_X1]);
    m.setSys("SCTLR_EL1", mapped(m, 1));
    fill(m);
    m.setX(1, BigInt(AT) + 0x47n);
    m.step(3);
    for (let i = 0; i < 32; i++) {
      const zero = (i >= 8 && i < 16) || (i >= 24 && i < 32);
      expect(m.quad(AT + 8 * i)).toBe(zero ? 0n : BigInt(i) + 0x1111_0000_0000_0000n);
    }
    expect(m.pc()).toBe(BigInt(CODE) + 12n);
  });
  it("of decoded code: the instructions are gone", () => {
    const m = machine(1, [DC_ZVA_X1, DC_ZVA_X1]);
    m.setSys("SCTLR_EL1", mapped(m, 1));
    m.words(CODE + 0x1000, [0xd503_201f, 0x17ff_ffff]); // nop; b .-4
    m.set(L.PC, BigInt(CODE) + 0x1000n);
    m.step(4);
    m.set(L.PC, BigInt(CODE));
    m.setX(1, BigInt(CODE) + 0x1000n);
    m.step(2);
    m.set(L.PC, BigInt(CODE) + 0x1000n);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(UNDEFINED);
  });
  it("to Device memory is an alignment fault (D7.5.8)", () => {
    const m = machine(1, [DC_ZVA_X1]);
    m.setX(1, BigInt(AT));
    m.step();
    expect(m.sys("ESR_EL1") & 0xffn).toBe(0x61n); // WnR, DFSC 0x21
  });
  it("at EL0 needs SCTLR_EL1.DZE; below EL2 HCR_EL2.TDZ traps it to EL2", () => {
    const el0 = machine(0, [DC_ZVA_X1], { spsel: 0 });
    el0.setX(1, BigInt(AT));
    el0.step();
    expect(el0.sys("ESR_EL1")).toBe(trapOf(1, 1n, 3n, 7n, 4n, 1n, 0n));
    for (const el of [0, 1]) {
      const m = machine(el, [DC_ZVA_X1], { el2: true, spsel: el });
      m.setSys("SCTLR_EL1", mapped(m, el) | (1n << 14n));
      m.setSys("HCR_EL2", 1n << 28n);
      m.enter(el, BigInt(CODE), el, 0);
      m.setX(1, BigInt(AT));
      fill(m);
      m.step();
      expect([m.pc(), m.sys("ESR_EL2")]).toEqual([VBAR2 + 0x400n, trapOf(1, 1n, 3n, 7n, 4n, 1n, 0n)]);
      expect(m.quad(AT)).toBe(0x1111_0000_0000_0000n);
    }
  });
});

describe("C6.2.97: ISB", () => {
  it("does nothing that is not done already: what an MSR changes is in force at the next instruction", () => {
    // msr vbar_el1, x2 ; isb ; svc #0
    const m = machine(1, [0xd518_c002, 0xd503_3fdf, 0xd400_0001]);
    m.setX(2, 0x4004_0000n);
    m.step(3);
    expect(m.pc()).toBe(0x4004_0200n);
  });
});
