/** C4.1.89: data processing, register. */
import type { Emitter, I32, I64, Int } from "../engine/emitter.ts";
import {
  addCarry,
  addFlags,
  CONDITION_VALUES,
  CONDITIONS,
  conditionOf,
  hex,
  logicFlags,
  R,
  RSP,
  shift,
  subFlags,
} from "./common.ts";
import { axis, bit, type Row, row, source, stack, target } from "./row.ts";

const SHIFTS = ["lsl", "lsr", "asr", "ror"];
const NO_SHIFT = 4;
/** Shift type, or NO_SHIFT when the amount is zero. */
const shiftAxis = axis([0, 1, 2, 3, NO_SHIFT], (f: { shift: number; imm6: number }) =>
  f.imm6 === 0 ? NO_SHIFT : f.shift,
);
const shiftText = (f: { shift: number; imm6: number }) =>
  f.imm6 === 0 && f.shift === 0 ? "" : `, ${SHIFTS[f.shift]} #${f.imm6}`;
const shifted = (e: Emitter, kind: number, v: Int, amount: Int): Int =>
  kind === NO_SHIFT ? v : shift(e, kind, v, amount);
const shiftReserved = (f: { sf: number; imm6: number }) => !f.sf && f.imm6 > 31;

const logicalOperations: readonly [string, string, string, string, (e: Emitter, a: Int, b: Int) => Int][] = [
  ["AND", "00", "C6.2.13", "C6.2.30", (e, a, b) => e.and(a, b)],
  ["ORR", "01", "C6.2.208", "C6.2.206", (e, a, b) => e.or(a, b)],
  ["EOR", "10", "C6.2.84", "C6.2.82", (e, a, b) => e.xor(a, b)],
];
const INVERTED: Record<string, string> = { AND: "bic", ORR: "orn", EOR: "eon" };
const logical: Row[] = [
  ...logicalOperations.map(([name, opc, plain, inverted, apply]) =>
    row({
      name: `${name}, ${(INVERTED[name] as string).toUpperCase()} (shifted register)`,
      section: `${plain}, ${inverted}`,
      bits: `sf ${opc as "00"} 01010 shift:2 N Rm:5 imm6:6 Rn:5 Rd:5`,
      axes: {
        sf: bit("sf"),
        shift: shiftAxis,
        N: bit("N"),
        move: axis([0, 1], (f: { Rn: number; imm6: number }) =>
          name === "ORR" && f.Rn === 31 && f.imm6 === 0 ? 1 : 0,
        ),
      },
      never: (v) => v.move === 1 && (v.shift !== NO_SHIFT || name !== "ORR"),
      regs: { d: target("Rd"), n: source("Rn"), m: source("Rm") },
      undefinedIf: shiftReserved,
      imm: (f) => f.imm6,
      meaning: (e, o) => {
        const m = shifted(e, o.shift, e.read(o.m, o.sf), e.immediate(o.sf));
        const b = o.N ? e.not(m) : m;
        e.write(o.d, o.move ? b : apply(e, e.read(o.n, o.sf), b));
      },
      asm: (f) => {
        if (name === "ORR" && f.Rn === 31 && !f.N && f.imm6 === 0 && f.shift === 0)
          return `mov ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rm)}`;
        if (name === "ORR" && f.Rn === 31 && f.N) return `mvn ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rm)}${shiftText(f)}`;
        const text = f.N ? INVERTED[name] : name.toLowerCase();
        return `${text} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}${shiftText(f)}`;
      },
    }),
  ),
  row({
    name: "ANDS, BICS (shifted register)",
    section: "C6.2.15, C6.2.31",
    bits: "sf 11 01010 shift:2 N Rm:5 imm6:6 Rn:5 Rd:5",
    axes: { sf: bit("sf"), shift: shiftAxis, N: bit("N") },
    regs: { d: target("Rd"), n: source("Rn"), m: source("Rm") },
    undefinedIf: shiftReserved,
    imm: (f) => f.imm6,
    meaning: (e, o) => {
      const m = shifted(e, o.shift, e.read(o.m, o.sf), e.immediate(o.sf));
      e.write(o.d, logicFlags(e, e.and(e.read(o.n, o.sf), o.N ? e.not(m) : m)));
    },
    asm: (f) =>
      f.Rd === 31 && !f.N
        ? `tst ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}${shiftText(f)}`
        : `${f.N ? "bics" : "ands"} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}${shiftText(f)}`,
  }),
];

const addSubShifted = row({
  name: "ADD, ADDS, SUB, SUBS (shifted register)",
  section: "C6.2.5, C6.2.8, C6.2.309, C6.2.315",
  bits: "sf op S 01011 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5",
  axes: { sf: bit("sf"), op: bit("op"), S: bit("S"), shift: shiftAxis },
  never: (v) => v.shift === 3,
  regs: { d: target("Rd"), n: source("Rn"), m: source("Rm") },
  undefinedIf: (f) => shiftReserved(f) || f.shift === 3,
  imm: (f) => f.imm6,
  meaning: (e, o) => {
    const m = shifted(e, o.shift, e.read(o.m, o.sf), e.immediate(o.sf));
    const n = e.read(o.n, o.sf);
    if (o.S) e.write(o.d, (o.op ? subFlags : addFlags)(e, n, m));
    else e.write(o.d, o.op ? e.sub(n, m) : e.add(n, m));
  },
  asm: (f) => {
    const m = `${R(f.sf, f.Rm)}${shiftText(f)}`;
    if (f.S && f.Rd === 31) return `${f.op ? "cmp" : "cmn"} ${R(f.sf, f.Rn)}, ${m}`;
    if (f.op && f.Rn === 31) return `neg${f.S ? "s" : ""} ${R(f.sf, f.Rd)}, ${m}`;
    return `${f.op ? "sub" : "add"}${f.S ? "s" : ""} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${m}`;
  },
});

/** ExtendReg without the shift: option 0 to 7 is UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX. */
function extended(e: Emitter, option: number, v: Int): Int {
  if (v.type === "i32") {
    if (option === 0) return e.and(v, e.k32(0xff));
    if (option === 1) return e.and(v, e.k32(0xffff));
    return option === 4 ? e.sext(v, 8) : option === 5 ? e.sext(v, 16) : v;
  }
  if (option === 3 || option === 7) return v;
  if (option < 3) return e.and(v, option === 2 ? e.k64(-1, 0) : e.k64(option === 0 ? 0xff : 0xffff));
  return e.sext(v, option === 4 ? 8 : option === 5 ? 16 : 32);
}
const EXTENDS = ["uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"];
const optionAxis = axis([0, 1, 2, 3, 4, 5, 6], (f: { sf: number; option: number }) => {
  if (!f.sf && (f.option & 2) !== 0) return 2;
  return f.option === 7 ? 3 : f.option;
});
const addSubExtended = ([0, 1] as const).map((S) =>
  row({
    name: S ? "ADDS, SUBS (extended register)" : "ADD, SUB (extended register)",
    section: S ? "C6.2.6, C6.2.313" : "C6.2.3, C6.2.307",
    bits: S ? "sf op 1 01011 001 Rm:5 option:3 imm3:3 Rn:5 Rd:5" : "sf op 0 01011 001 Rm:5 option:3 imm3:3 Rn:5 Rd:5",
    axes: { sf: bit("sf"), op: bit("op"), option: optionAxis },
    never: (v) => v.sf === 0 && (v.option === 3 || v.option === 6),
    regs: { d: S ? target("Rd") : stack("Rd"), n: stack("Rn"), m: source("Rm") },
    undefinedIf: (f) => f.imm3 > 4,
    imm: (f) => f.imm3,
    meaning: (e, o) => {
      const m = e.shl(extended(e, o.option, e.read(o.m, o.sf)), e.immediate(o.sf));
      const n = e.read(o.n, o.sf);
      if (S) e.write(o.d, (o.op ? subFlags : addFlags)(e, n, m));
      else e.write(o.d, o.op ? e.sub(n, m) : e.add(n, m));
    },
    asm: (f) => {
      const lsl = f.option === (f.sf ? 3 : 2) && (f.Rn === 31 || (!S && f.Rd === 31));
      const kind = lsl ? (f.imm3 ? ", lsl" : "") : `, ${EXTENDS[f.option]}`;
      const m = `${R(f.sf && (f.option & 3) === 3 ? 1 : 0, f.Rm)}${kind}${f.imm3 ? ` #${f.imm3}` : ""}`;
      if (S && f.Rd === 31) return `${f.op ? "cmp" : "cmn"} ${RSP(f.sf, f.Rn)}, ${m}`;
      const d = S ? R(f.sf, f.Rd) : RSP(f.sf, f.Rd);
      return `${f.op ? "sub" : "add"}${S ? "s" : ""} ${d}, ${RSP(f.sf, f.Rn)}, ${m}`;
    },
  }),
);

const carry = row({
  name: "ADC, ADCS, SBC, SBCS",
  section: "C6.2.1, C6.2.2, C6.2.231, C6.2.232",
  bits: "sf op S 11010000 Rm:5 000000 Rn:5 Rd:5",
  axes: { sf: bit("sf"), op: bit("op"), S: bit("S") },
  regs: { d: target("Rd"), n: source("Rn"), m: source("Rm") },
  meaning: (e, o) => {
    const m = e.read(o.m, o.sf);
    e.write(o.d, addCarry(e, e.read(o.n, o.sf), o.op ? e.not(m) : m, o.S === 1));
  },
  asm: (f) => {
    const s = f.S ? "s" : "";
    if (f.op && f.Rn === 31) return `ngc${s} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rm)}`;
    return `${f.op ? "sbc" : "adc"}${s} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}`;
  },
});

/** Sixteen bits: whether the condition holds for each value of NZCV. */
export function conditionMask(cond: number): number {
  let mask = 0;
  for (let flags = 0; flags < 16; flags++) {
    const n = (flags >> 3) & 1;
    const z = (flags >> 2) & 1;
    const c = (flags >> 1) & 1;
    const v = flags & 1;
    const base = [z, c, n, v, c & ~z & 1, n === v ? 1 : 0, n === v && !z ? 1 : 0, 1][cond >> 1] as number;
    if ((cond & 1) !== 0 && cond !== 15 ? base === 0 : base === 1) mask |= 1 << flags;
  }
  return mask;
}
/** Condition by mask in the upper word of the immediate: bits 0 to 15; bits 16 to 19 hold the flags of a failed comparison. */
const conditional = ([0, 1] as const).map((immediate) =>
  row({
    name: `CCMN, CCMP (${immediate ? "immediate" : "register"})`,
    section: immediate ? "C6.2.36, C6.2.38" : "C6.2.37, C6.2.39",
    bits: immediate
      ? "sf op 1 11010010 Rm:5 cond:4 1 0 Rn:5 0 nzcv:4"
      : "sf op 1 11010010 Rm:5 cond:4 0 0 Rn:5 0 nzcv:4",
    axes: { sf: bit("sf"), op: bit("op") },
    regs: { n: source("Rn"), m: source("Rm") },
    imm: (f) => ({ low: f.Rm, high: conditionMask(f.cond) | (f.nzcv << 16) }),
    meaning: (e, o) => {
      const holds = e.and(e.shr(e.immHigh(), e.nzcv()), e.k32(1));
      e.when(
        holds,
        () => {
          const low = o.sf ? e.extendU(e.imm32()) : e.imm32();
          (o.op ? subFlags : addFlags)(e, e.read(o.n, o.sf), immediate ? low : e.read(o.m, o.sf));
        },
        () => e.setNzcv(e.shr(e.immHigh(), e.k32(16))),
      );
    },
    asm: (f) =>
      `${f.op ? "ccmp" : "ccmn"} ${R(f.sf, f.Rn)}, ${immediate ? `#${hex(f.Rm)}` : R(f.sf, f.Rm)}, #${hex(f.nzcv)}, ${CONDITIONS[f.cond]}`,
  }),
);

const SELECTS = ["csel", "csinc", "csinv", "csneg"];
const SELECT_ALIAS: Record<string, [string, string]> = {
  csinc: ["cset", "cinc"],
  csinv: ["csetm", "cinv"],
  csneg: ["cneg", "cneg"],
};
const conditionalSelect = row({
  name: "CSEL, CSINC, CSINV, CSNEG",
  section: "C6.2.62, C6.2.65, C6.2.66, C6.2.67",
  bits: "sf op 0 11010100 Rm:5 cond:4 0 op2 Rn:5 Rd:5",
  axes: {
    sf: bit("sf"),
    op: axis([0, 1, 2, 3], (f: { op: number; op2: number }) => 2 * f.op + f.op2),
    cond: axis(CONDITION_VALUES, (f: { cond: number }) => conditionOf(f.cond)),
  },
  cold: (v) => v.cond === 14 || (v.op >= 2 && v.cond > 1),
  regs: { d: target("Rd"), n: source("Rn"), m: source("Rm") },
  meaning: (e, o) => {
    const m = e.read(o.m, o.sf);
    const other = [m, e.add(m, e.like(m, 1)), e.not(m), e.sub(e.like(m, 0), m)][o.op] as Int;
    e.write(o.d, e.select(e.condition(o.cond), e.read(o.n, o.sf), other));
  },
  asm: (f) => {
    const name = SELECTS[2 * f.op + f.op2] as string;
    const alias = SELECT_ALIAS[name];
    if (alias && f.Rn === f.Rm && f.cond < 14) {
      const inverse = CONDITIONS[f.cond ^ 1];
      if (f.Rn === 31 && name !== "csneg") return `${alias[0]} ${R(f.sf, f.Rd)}, ${inverse}`;
      return `${alias[1]} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${inverse}`;
    }
    return `${name} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}, ${CONDITIONS[f.cond]}`;
  },
});

/** Quotient with the architecture's results for a divisor of 0 and for the smallest number by -1. */
function divide(e: Emitter, signed: boolean, x: Int, y: Int): Int {
  const a = e.let(x);
  const b = e.let(y);
  const zero = e.like(a, 0);
  const quotient = () =>
    signed
      ? e.choose(
          e.eq(b, e.like(b, -1)),
          () => e.sub(zero, a),
          () => e.divS(a, b),
        )
      : e.divU(a, b);
  return e.choose(e.eqz(b), () => zero, quotient);
}
const threeRegisters = { d: target("Rd"), n: source("Rn"), m: source("Rm") } as const;
const division = row({
  name: "UDIV, SDIV",
  section: "C6.2.341, C6.2.236",
  bits: "sf 0011010110 Rm:5 00001 o1 Rn:5 Rd:5",
  axes: { sf: bit("sf"), o1: bit("o1") },
  regs: threeRegisters,
  meaning: (e, o) => e.write(o.d, divide(e, o.o1 === 1, e.read(o.n, o.sf), e.read(o.m, o.sf))),
  asm: (f) => `${f.o1 ? "sdiv" : "udiv"} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}`,
});
const variableShift = row({
  name: "LSLV, LSRV, ASRV, RORV",
  section: "C6.2.180, C6.2.183, C6.2.18, C6.2.229",
  bits: "sf 0011010110 Rm:5 0010 op2:2 Rn:5 Rd:5",
  axes: { sf: bit("sf"), op2: axis([0, 1, 2, 3], (f: { op2: number }) => f.op2) },
  regs: threeRegisters,
  meaning: (e, o) => e.write(o.d, shift(e, o.op2, e.read(o.n, o.sf), e.read(o.m, o.sf))),
  asm: (f) => `${SHIFTS[f.op2]} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}`,
});
const crc = row({
  name: "CRC32B, CRC32H, CRC32W, CRC32X, CRC32CB...",
  section: "C6.2.60, C6.2.61",
  feature: "CRC32",
  bits: "sf 0011010110 Rm:5 010 C sz:2 Rn:5 Rd:5",
  axes: { C: bit("C"), sz: axis([0, 1, 2, 3], (f: { sz: number }) => f.sz) },
  cold: true,
  regs: threeRegisters,
  undefinedIf: (f) => f.sf !== (f.sz === 3 ? 1 : 0),
  meaning: (e, o) => {
    const polynomial = o.C ? 0x82f63b78 : 0xedb88320;
    e.write(o.d, e.crc32(e.w(o.n), e.x(o.m), 1 << o.sz, polynomial));
  },
  asm: (f) => `crc32${f.C ? "c" : ""}${"bhwx"[f.sz]} ${R(0, f.Rd)}, ${R(0, f.Rn)}, ${R(f.sf, f.Rm)}`,
});

/** Reverses the bytes of each group of `bytes` bytes. */
function reverseBytes(e: Emitter, v: Int, bytes: number): Int {
  let x = v;
  const swap = (by: number, low: number, high: number) => {
    const pinned = e.let(x);
    const mask: Int = pinned.type === "i32" ? e.k32(low) : e.k64(low, high);
    const amount = e.like(pinned, by);
    x = e.or(e.and(e.shr(pinned, amount), mask), e.shl(e.and(pinned, mask), amount));
  };
  swap(8, 0x00ff00ff, 0x00ff00ff);
  if (bytes >= 4) swap(16, 0x0000ffff, 0x0000ffff);
  if (bytes >= 8) x = e.ror(x as I64, e.k64(32));
  return x;
}
function reverseBits(e: Emitter, v: Int): Int {
  let x = v;
  for (const [by, mask] of [
    [1, 0x55555555],
    [2, 0x33333333],
    [4, 0x0f0f0f0f],
  ] as const) {
    const pinned = e.let(x);
    const m: Int = pinned.type === "i32" ? e.k32(mask) : e.k64(mask, mask);
    const amount = e.like(pinned, by);
    x = e.or(e.and(e.shr(pinned, amount), m), e.shl(e.and(pinned, m), amount));
  }
  return reverseBytes(e, x, x.type === "i32" ? 4 : 8);
}
const twoRegisters = { d: target("Rd"), n: source("Rn") } as const;
const oneSource: Row[] = [
  row({
    name: "RBIT",
    section: "C6.2.220",
    bits: "sf 101101011000000000000 Rn:5 Rd:5",
    axes: { sf: bit("sf") },
    cold: true,
    regs: twoRegisters,
    meaning: (e, o) => e.write(o.d, reverseBits(e, e.read(o.n, o.sf))),
    asm: (f) => `rbit ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`,
  }),
  row({
    name: "REV16",
    section: "C6.2.224",
    bits: "sf 101101011000000000001 Rn:5 Rd:5",
    axes: { sf: bit("sf") },
    regs: twoRegisters,
    meaning: (e, o) => e.write(o.d, reverseBytes(e, e.read(o.n, o.sf), 2)),
    asm: (f) => `rev16 ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`,
  }),
  row({
    name: "REV32, REV",
    section: "C6.2.225, C6.2.223",
    bits: "sf 10110101100000000001 opc Rn:5 Rd:5",
    axes: { sf: bit("sf"), opc: bit("opc") },
    never: (v) => v.sf === 0 && v.opc === 1,
    undefinedIf: (f) => f.opc === 1 && !f.sf,
    regs: twoRegisters,
    meaning: (e, o) => e.write(o.d, reverseBytes(e, e.read(o.n, o.sf), o.opc ? 8 : 4)),
    asm: (f) => `${f.opc === f.sf ? "rev" : "rev32"} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`,
  }),
  row({
    name: "CLZ, CLS",
    section: "C6.2.48, C6.2.47",
    bits: "sf 10110101100000000010 op Rn:5 Rd:5",
    axes: { sf: bit("sf"), op: bit("op") },
    regs: twoRegisters,
    meaning: (e, o) => {
      const v = e.let(e.read(o.n, o.sf));
      // CLS: the bits that differ from their left neighbour; the top one has none
      e.write(o.d, o.op ? e.sub(e.clz(e.xor(v, e.sar(v, e.like(v, 1)))), e.like(v, 1)) : e.clz(v));
    },
    asm: (f) => `${f.op ? "cls" : "clz"} ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`,
  }),
];

const fourRegisters = { d: target("Rd"), n: source("Rn"), m: source("Rm"), a: source("Ra") } as const;
const noAddend = (f: { Ra: number }) => (f.Ra === 31 ? 1 : 0);
/** Upper half of the 128-bit product, by 32-bit parts. */
function multiplyHigh(e: Emitter, signed: boolean, x: I64, y: I64): I64 {
  const a = e.let(x);
  const b = e.let(y);
  const low = (v: I64) => e.and(v, e.k64(-1, 0));
  const high = (v: I64) => (signed ? e.sar(v, e.k64(32)) : e.shr(v, e.k64(32)));
  const lowHigh = e.let(e.add(e.mul(low(a), high(b)), e.shr(e.mul(low(a), low(b)), e.k64(32))));
  const highLow = e.let(e.add(e.mul(high(a), low(b)), low(lowHigh)));
  return e.add(e.add(e.mul(high(a), high(b)), high(lowHigh)), high(highLow));
}
const multiply: Row[] = [
  row({
    name: "MADD, MSUB",
    section: "C6.2.184, C6.2.200",
    bits: "sf 0011011000 Rm:5 o0 Ra:5 Rn:5 Rd:5",
    axes: { sf: bit("sf"), o0: bit("o0"), plain: axis([0, 1], noAddend) },
    regs: fourRegisters,
    meaning: (e, o) => {
      const product = e.mul(e.read(o.n, o.sf), e.read(o.m, o.sf));
      if (o.plain && !o.o0) e.write(o.d, product);
      else {
        const a = e.read(o.a, o.sf);
        e.write(o.d, o.o0 ? e.sub(a, product) : e.add(a, product));
      }
    },
    asm: (f) => {
      const regs = `${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}`;
      if (f.Ra === 31) return `${f.o0 ? "mneg" : "mul"} ${regs}`;
      return `${f.o0 ? "msub" : "madd"} ${regs}, ${R(f.sf, f.Ra)}`;
    },
  }),
  row({
    name: "SMADDL, SMSUBL, UMADDL, UMSUBL",
    section: "C6.2.237, C6.2.243, C6.2.342, C6.2.344",
    bits: "10011011 U 01 Rm:5 o0 Ra:5 Rn:5 Rd:5",
    axes: { U: bit("U"), o0: bit("o0") },
    regs: fourRegisters,
    meaning: (e, o) => {
      const wide = (v: I32) => (o.U ? e.extendU(v) : e.extendS(v));
      const product = e.mul(wide(e.w(o.n)), wide(e.w(o.m)));
      e.write(o.d, o.o0 ? e.sub(e.x(o.a), product) : e.add(e.x(o.a), product));
    },
    asm: (f) => {
      const p = f.U ? "u" : "s";
      const regs = `${R(1, f.Rd)}, ${R(0, f.Rn)}, ${R(0, f.Rm)}`;
      if (f.Ra === 31) return `${p}${f.o0 ? "mnegl" : "mull"} ${regs}`;
      return `${p}${f.o0 ? "msubl" : "maddl"} ${regs}, ${R(1, f.Ra)}`;
    },
  }),
  row({
    name: "SMULH, UMULH",
    section: "C6.2.244, C6.2.345",
    bits: "10011011 U 10 Rm:5 0xxxxx Rn:5 Rd:5",
    axes: { U: bit("U") },
    regs: threeRegisters,
    meaning: (e, o) => e.write(o.d, multiplyHigh(e, o.U === 0, e.x(o.n), e.x(o.m))),
    asm: (f) => `${f.U ? "umulh" : "smulh"} ${R(1, f.Rd)}, ${R(1, f.Rn)}, ${R(1, f.Rm)}`,
  }),
];

export const dataRegister: readonly Row[] = [
  ...logical,
  addSubShifted,
  ...addSubExtended,
  carry,
  ...conditional,
  conditionalSelect,
  division,
  variableShift,
  crc,
  ...oneSource,
  ...multiply,
];
