/** C4.1.90: scalar floating point. Half precision only converts: FEAT_FP16 is no part of Armv8.0. */
import type { Emitter, I32, I64, Operand } from "../engine/emitter.ts";
import { TIE_AWAY, TO_ZERO } from "../engine/fp/format.ts";
import * as L from "../engine/layout.ts";
import { CONDITION_VALUES, CONDITIONS, conditionOf, hex, R } from "./common.ts";
import { conditionMask } from "./data-register.ts";
import { axis, bit, type Row, row, source, target, vector } from "./row.ts";
import { expandImmediate, floatText } from "./simd-move.ts";
import { three, two } from "./vector-operands.ts";

/** ftype: 0 single, 1 double, 3 half. */
export const LETTER = "sd?h";
export const bytesOf = (ftype: number) => [4, 8, 0, 2][ftype] as 4 | 8 | 2;
const typeAxis = axis([0, 1], (f: { ftype: number }) => f.ftype);
const noHalf = (f: { ftype: number }) => f.ftype > 1;
export const get = (e: Emitter, r: Operand, bytes: number): I64 => e.element(r, bytes, 0);
/** Rounding mode of FPCR. */
export const mode = (e: Emitter): I32 => e.and(e.shr(e.contextI32(L.FPCR), e.k32(22)), e.k32(3));
const signBit = (e: Emitter, bytes: number): I64 => (bytes === 8 ? e.k64(0, -0x80000000) : e.k64(-0x80000000, 0));
export const negate = (e: Emitter, v: I64, bytes: number): I64 => e.xor(v, signBit(e, bytes));
export const absolute = (e: Emitter, v: I64, bytes: number): I64 =>
  e.and(v, bytes === 8 ? e.k64(-1, 0x7fffffff) : e.k64(0x7fffffff, 0));
const reg = (ftype: number, n: number) => `${LETTER[ftype]}${n}`;

const ONE: readonly [string, string, (e: Emitter, v: I64, bytes: number) => I64][] = [
  ["FMOV", "000000", (_, v) => v],
  ["FABS", "000001", absolute],
  ["FNEG", "000010", negate],
  ["FSQRT", "000011", (e, v, bytes) => e.fp(`sqrt${bytes}`, v)],
  ...(["FRINTN", "FRINTP", "FRINTM", "FRINTZ", "FRINTA"] as const).map(
    (name, i) =>
      [
        name,
        `001${i.toString(2).padStart(3, "0")}`,
        (e: Emitter, v: I64, bytes: number) => e.fp(`roundIntegral${bytes}`, v, e.k32(i), e.k32(0)),
      ] as [string, string, (e: Emitter, v: I64, bytes: number) => I64],
  ),
  ["FRINTX", "001110", (e, v, bytes) => e.fp(`roundIntegral${bytes}`, v, mode(e), e.k32(1))],
  ["FRINTI", "001111", (e, v, bytes) => e.fp(`roundIntegral${bytes}`, v, mode(e), e.k32(0))],
];
if (TIE_AWAY !== 4 || TO_ZERO !== 3) throw new Error("the rounding modes are numbered as the instructions are");
const one: Row[] = ONE.map(([name, opcode, f]) =>
  row({
    name: `${name} (scalar)`,
    section: "C7.2",
    bits: `00011110 ftype:2 1 ${opcode as "000000"} 10000 Rn:5 Rd:5`,
    axes: { ftype: typeAxis },
    fp: true,
    cold: name.startsWith("FRINT"),
    undefinedIf: noHalf,
    regs: two,
    meaning: (e, o) => {
      const bytes = bytesOf(o.ftype);
      e.writeD(o.d, f(e, get(e, o.n, bytes), bytes));
    },
    asm: (f) => `${name.toLowerCase()} ${reg(f.ftype, f.Rd)}, ${reg(f.ftype, f.Rn)}`,
  }),
);
const convert = row({
  name: "FCVT",
  section: "C7.2.69",
  bits: "00011110 ftype:2 10001 opc:2 10000 Rn:5 Rd:5",
  axes: {
    from: axis([0, 1, 3], (f: { ftype: number }) => f.ftype),
    to: axis([0, 1, 3], (f: { opc: number }) => f.opc),
  },
  never: (v) => v.from === v.to,
  fp: true,
  cold: true,
  undefinedIf: (f) => f.ftype === f.opc || f.ftype === 2 || f.opc === 2,
  regs: two,
  meaning: (e, o) => {
    const from = bytesOf(o.from);
    e.writeD(o.d, e.fp(`convert${from}${bytesOf(o.to)}`, get(e, o.n, from), mode(e)));
  },
  asm: (f) => `fcvt ${reg(f.opc, f.Rd)}, ${reg(f.ftype, f.Rn)}`,
});

const TWO: readonly [string, string, string][] = [
  ["FMUL", "0000", "mul"],
  ["FDIV", "0001", "div"],
  ["FADD", "0010", "add"],
  ["FSUB", "0011", "sub"],
  ["FMAX", "0100", "max"],
  ["FMIN", "0101", "min"],
  ["FMAXNM", "0110", "maxnm"],
  ["FMINNM", "0111", "minnm"],
  ["FNMUL", "1000", "mul"],
];
const binary: Row[] = TWO.map(([name, opcode, f]) =>
  row({
    name: `${name} (scalar)`,
    section: "C7.2",
    bits: `00011110 ftype:2 1 Rm:5 ${opcode as "0000"} 10 Rn:5 Rd:5`,
    axes: { ftype: typeAxis },
    fp: true,
    undefinedIf: noHalf,
    regs: three,
    meaning: (e, o) => {
      const bytes = bytesOf(o.ftype);
      const v = e.fp(`${f}${bytes}`, get(e, o.n, bytes), get(e, o.m, bytes));
      e.writeD(o.d, name === "FNMUL" ? negate(e, v, bytes) : v);
    },
    asm: (f) => `${name.toLowerCase()} ${reg(f.ftype, f.Rd)}, ${reg(f.ftype, f.Rn)}, ${reg(f.ftype, f.Rm)}`,
  }),
);

const FUSED = ["fmadd", "fmsub", "fnmadd", "fnmsub"];
const fused = row({
  name: "FMADD, FMSUB, FNMADD, FNMSUB",
  section: "C7.2.134, C7.2.146, C7.2.150, C7.2.151",
  bits: "00011111 ftype:2 o1 Rm:5 o0 Ra:5 Rn:5 Rd:5",
  axes: { ftype: typeAxis, o1: bit("o1"), o0: bit("o0") },
  fp: true,
  cold: true,
  undefinedIf: noHalf,
  regs: { ...three, a: vector("Ra") },
  meaning: (e, o) => {
    const bytes = bytesOf(o.ftype);
    const a = get(e, o.a, bytes);
    const n = get(e, o.n, bytes);
    const v = e.fp(
      `muladd${bytes}`,
      o.o1 ? negate(e, a, bytes) : a,
      // FMSUB and FNMADD negate the product
      o.o1 !== o.o0 ? negate(e, n, bytes) : n,
      get(e, o.m, bytes),
    );
    e.writeD(o.d, v);
  },
  asm: (f) =>
    `${FUSED[2 * f.o1 + f.o0]} ${reg(f.ftype, f.Rd)}, ${reg(f.ftype, f.Rn)}, ${reg(f.ftype, f.Rm)}, ${reg(f.ftype, f.Ra)}`,
});

const compare: Row[] = ([0, 1] as const).map((zero) =>
  row({
    name: zero ? "FCMP, FCMPE (zero)" : "FCMP, FCMPE",
    section: "C7.2.66, C7.2.67",
    bits: `00011110 ftype:2 1 Rm:5 001000 Rn:5 E ${(zero ? "1" : "0") as "0"} 000`,
    axes: { ftype: typeAxis, E: bit("E") },
    fp: true,
    undefinedIf: (f) => noHalf(f),
    regs: { n: vector("Rn"), m: vector("Rm") },
    meaning: (e, o) => {
      const bytes = bytesOf(o.ftype);
      e.setNzcv(e.fpCompare(bytes, get(e, o.n, bytes), zero ? e.k64(0) : get(e, o.m, bytes), o.E));
    },
    asm: (f) => `fcmp${f.E ? "e" : ""} ${reg(f.ftype, f.Rn)}, ${zero ? "#0.0" : reg(f.ftype, f.Rm)}`,
  }),
);
const conditionalCompare = row({
  name: "FCCMP, FCCMPE",
  section: "C7.2.55, C7.2.56",
  bits: "00011110 ftype:2 1 Rm:5 cond:4 01 Rn:5 E nzcv:4",
  axes: { ftype: typeAxis, E: bit("E") },
  fp: true,
  cold: true,
  undefinedIf: noHalf,
  regs: { n: vector("Rn"), m: vector("Rm") },
  imm: (f) => ({ low: f.nzcv, high: conditionMask(f.cond) }),
  meaning: (e, o) => {
    const bytes = bytesOf(o.ftype);
    const holds = e.and(e.shr(e.immHigh(), e.nzcv()), e.k32(1));
    e.when(
      holds,
      () => e.setNzcv(e.fpCompare(bytes, get(e, o.n, bytes), get(e, o.m, bytes), o.E)),
      () => e.setNzcv(e.imm32()),
    );
  },
  asm: (f) =>
    `fccmp${f.E ? "e" : ""} ${reg(f.ftype, f.Rn)}, ${reg(f.ftype, f.Rm)}, #${hex(f.nzcv)}, ${CONDITIONS[f.cond]}`,
});
const conditionalSelect = row({
  name: "FCSEL",
  section: "C7.2.68",
  bits: "00011110 ftype:2 1 Rm:5 cond:4 11 Rn:5 Rd:5",
  axes: { ftype: typeAxis, cond: axis(CONDITION_VALUES, (f: { cond: number }) => conditionOf(f.cond)) },
  fp: true,
  cold: true,
  undefinedIf: noHalf,
  regs: three,
  meaning: (e, o) => {
    const bytes = bytesOf(o.ftype);
    e.writeD(o.d, e.select(e.condition(o.cond), get(e, o.n, bytes), get(e, o.m, bytes)));
  },
  asm: (f) => `fcsel ${reg(f.ftype, f.Rd)}, ${reg(f.ftype, f.Rn)}, ${reg(f.ftype, f.Rm)}, ${CONDITIONS[f.cond]}`,
});
const immediate = row({
  name: "FMOV (scalar, immediate)",
  section: "C7.2.142",
  bits: "00011110 ftype:2 1 imm8:8 10000000 Rd:5",
  fp: true,
  undefinedIf: noHalf,
  regs: { d: vector("Rd") },
  imm: (f) => {
    const wide = expandImmediate(f.ftype, 15, f.imm8);
    return f.ftype ? wide : { low: wide.low, high: 0 };
  },
  meaning: (e, o) => e.writeD(o.d, e.imm64()),
  asm: (f) => `fmov ${reg(f.ftype, f.Rd)}, #${floatText(f.imm8)}`,
});

// --- to and from general registers
const WAYS = ["n", "p", "m", "z", "a"];
/** rmode, and 4 (to nearest, ties away) for the opcodes 10x. */
const way = (f: { rmode: number; A: number }) => (f.A ? 4 : f.rmode);
const toInteger = row({
  name: "FCVTNS, FCVTNU, FCVTPS, FCVTMS, FCVTZS, FCVTAS...",
  section: "C7.2.70 to C7.2.96",
  bits: "sf 0011110 ftype:2 1 rmode:2 A 0 U 000000 Rn:5 Rd:5",
  axes: { sf: bit("sf"), ftype: typeAxis, way: axis([0, 1, 2, 3, 4], way), U: bit("U") },
  fp: true,
  cold: (v) => v.way !== 3,
  undefinedIf: (f) => noHalf(f) || (f.A === 1 && f.rmode !== 0),
  regs: { d: target("Rd"), n: vector("Rn") },
  meaning: (e, o) => {
    const bytes = bytesOf(o.ftype);
    const bits = e.k32(o.sf ? 64 : 32);
    e.write(o.d, e.fp(`toFixed${bytes}`, get(e, o.n, bytes), e.k32(o.way), e.k32(0), e.k32(o.U), bits));
  },
  asm: (f) => `fcvt${WAYS[way(f)]}${f.U ? "u" : "s"} ${R(f.sf, f.Rd)}, ${reg(f.ftype, f.Rn)}`,
});
const integerOf = (e: Emitter, r: Operand, sf: number, U: number): I64 =>
  sf ? e.x(r) : U ? e.extendU(e.w(r)) : e.extendS(e.w(r));
const fromInteger = row({
  name: "SCVTF, UCVTF (scalar, integer)",
  section: "C7.2.258, C7.2.376",
  bits: "sf 0011110 ftype:2 10001 U 000000 Rn:5 Rd:5",
  axes: { sf: bit("sf"), ftype: typeAxis, U: bit("U") },
  fp: true,
  undefinedIf: noHalf,
  regs: { d: vector("Rd"), n: source("Rn") },
  meaning: (e, o) => {
    const v = integerOf(e, o.n, o.sf, o.U);
    e.writeD(o.d, e.fp(`fromFixed${bytesOf(o.ftype)}`, v, e.k32(0), e.k32(o.U), mode(e)));
  },
  asm: (f) => `${f.U ? "u" : "s"}cvtf ${reg(f.ftype, f.Rd)}, ${R(f.sf, f.Rn)}`,
});
const scaleReserved = (f: { sf: number; scale: number; ftype: number }) => noHalf(f) || (!f.sf && f.scale < 32);
const fixed: Row[] = [
  row({
    name: "FCVTZS, FCVTZU (scalar, fixed-point)",
    section: "C7.2.92, C7.2.96",
    bits: "sf 0011110 ftype:2 01100 U scale:6 Rn:5 Rd:5",
    axes: { sf: bit("sf"), ftype: typeAxis, U: bit("U") },
    fp: true,
    cold: true,
    undefinedIf: scaleReserved,
    regs: { d: target("Rd"), n: vector("Rn") },
    imm: (f) => 64 - f.scale,
    meaning: (e, o) => {
      const bytes = bytesOf(o.ftype);
      const bits = e.k32(o.sf ? 64 : 32);
      e.write(o.d, e.fp(`toFixed${bytes}`, get(e, o.n, bytes), e.k32(TO_ZERO), e.imm32(), e.k32(o.U), bits));
    },
    asm: (f) => `fcvtz${f.U ? "u" : "s"} ${R(f.sf, f.Rd)}, ${reg(f.ftype, f.Rn)}, #${64 - f.scale}`,
  }),
  row({
    name: "SCVTF, UCVTF (scalar, fixed-point)",
    section: "C7.2.257, C7.2.375",
    bits: "sf 0011110 ftype:2 00001 U scale:6 Rn:5 Rd:5",
    axes: { sf: bit("sf"), ftype: typeAxis, U: bit("U") },
    fp: true,
    cold: true,
    undefinedIf: scaleReserved,
    regs: { d: vector("Rd"), n: source("Rn") },
    imm: (f) => 64 - f.scale,
    meaning: (e, o) => {
      const v = integerOf(e, o.n, o.sf, o.U);
      e.writeD(o.d, e.fp(`fromFixed${bytesOf(o.ftype)}`, v, e.imm32(), e.k32(o.U), mode(e)));
    },
    asm: (f) => `${f.U ? "u" : "s"}cvtf ${reg(f.ftype, f.Rd)}, ${R(f.sf, f.Rn)}, #${64 - f.scale}`,
  }),
];
const moves: Row[] = (
  [
    ["W", "000111100010011", 0, "s", "w"],
    ["X", "100111100110011", 1, "d", "x"],
  ] as const
).flatMap(([name, prefix, sf, letter]) => [
  row({
    name: `FMOV (general, to ${name})`,
    section: "C7.2.143",
    bits: `${prefix as "0"} 0000000 Rn:5 Rd:5`,
    fp: true,
    regs: { d: target("Rd"), n: vector("Rn") },
    meaning: (e, o) => e.write(o.d, get(e, o.n, sf ? 8 : 4)),
    asm: (f) => `fmov ${R(sf, f.Rd)}, ${letter}${f.Rn}`,
  }),
  row({
    name: `FMOV (general, from ${name})`,
    section: "C7.2.143",
    bits: `${prefix as "0"} 1000000 Rn:5 Rd:5`,
    fp: true,
    regs: { d: vector("Rd"), n: source("Rn") },
    meaning: (e, o) => e.writeD(o.d, sf ? e.x(o.n) : e.extendU(e.w(o.n))),
    asm: (f) => `fmov ${letter}${f.Rd}, ${R(sf, f.Rn)}`,
  }),
]);
const moveHigh: Row[] = [
  row({
    name: "FMOV (general, to X from the upper half)",
    section: "C7.2.143",
    bits: "1001111010101110000000 Rn:5 Rd:5",
    fp: true,
    regs: { d: target("Rd"), n: vector("Rn") },
    meaning: (e, o) => e.write(o.d, e.element(o.n, 8, 8)),
    asm: (f) => `fmov ${R(1, f.Rd)}, v${f.Rn}.d[1]`,
  }),
  row({
    name: "FMOV (general, from X to the upper half)",
    section: "C7.2.143",
    bits: "1001111010101111000000 Rn:5 Rd:5",
    fp: true,
    regs: { d: vector("Rd"), n: source("Rn") },
    meaning: (e, o) => e.setElement(o.d, 8, 8, e.x(o.n)),
    asm: (f) => `fmov v${f.Rd}.d[1], ${R(1, f.Rn)}`,
  }),
];

export const fpScalar: readonly Row[] = [
  ...one,
  convert,
  ...binary,
  fused,
  ...compare,
  conditionalCompare,
  conditionalSelect,
  immediate,
  toInteger,
  fromInteger,
  ...fixed,
  ...moves,
  ...moveHigh,
];
