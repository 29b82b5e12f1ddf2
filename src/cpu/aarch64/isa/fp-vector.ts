/** C4.1.90: floating point on vectors, their scalar forms, by element, pairwise and across lanes. */
import type { Emitter, I32, I64, V128 } from "../engine/emitter.ts";
import { TIE_EVEN, TO_ODD, TO_ZERO } from "../engine/fp/format.ts";
import { absolute, LETTER, mode, negate } from "./fp-scalar.ts";
import { bit, type Row, row } from "./row.ts";
import { arrangement } from "./simd-memory.ts";
import { elementImmediate, elementRegister, elementText, everyOther, mask } from "./simd-three.ts";
import { qAxis, three, two } from "./vector-operands.ts";

const sz = bit("sz");
const bytesOf = (double: number) => (double ? 8 : 4);
/** Doubles need the full vector. */
const noSingleDouble = (f: { sz: number; Q: number }) => f.sz === 1 && f.Q === 0;
const shape = (f: { sz: number; Q: number }) => arrangement(2 + f.sz, f.Q);

type Binary = (e: Emitter, a: I64, b: I64, bytes: number, d: I64) => I64;
const plain =
  (name: string): Binary =>
  (e, a, b, bytes) =>
    e.fp(`${name}${bytes}`, a, b);
/** FPCompareEQ, GE, GT: flags of the comparison; GE and GT signal for quiet NaNs. */
function compared(e: Emitter, a: I64, b: I64, bytes: number, kind: "eq" | "ge" | "gt"): I64 {
  const flags = e.fpCompare(bytes, a, b, kind === "eq" ? 0 : 1);
  const equal = e.eq(flags, e.k32(0b0110));
  const greater = e.eq(flags, e.k32(0b0010));
  return mask(e, kind === "eq" ? equal : kind === "gt" ? greater : e.or(equal, greater));
}
const fused =
  (subtract: boolean): Binary =>
  (e, a, b, bytes, d) =>
    e.fp(`muladd${bytes}`, d, subtract ? negate(e, a, bytes) : a, b);

interface Same {
  readonly name: string;
  readonly U: 0 | 1;
  /** Upper bit of the size field. */
  readonly a: 0 | 1;
  readonly opcode: string;
  readonly f: Binary;
  readonly accumulate?: boolean;
  readonly scalar?: boolean;
  /** WebAssembly's operation on whole vectors, used where it gives the same. */
  readonly native?: "add" | "sub" | "mul" | "div";
}
const SAME: readonly Same[] = [
  { name: "FMAXNM", U: 0, a: 0, opcode: "11000", f: plain("maxnm") },
  { name: "FMINNM", U: 0, a: 1, opcode: "11000", f: plain("minnm") },
  { name: "FMLA", U: 0, a: 0, opcode: "11001", f: fused(false), accumulate: true },
  { name: "FMLS", U: 0, a: 1, opcode: "11001", f: fused(true), accumulate: true },
  { name: "FADD", U: 0, a: 0, opcode: "11010", f: plain("add"), native: "add" },
  { name: "FSUB", U: 0, a: 1, opcode: "11010", f: plain("sub"), native: "sub" },
  { name: "FMULX", U: 0, a: 0, opcode: "11011", f: plain("mulx"), scalar: true },
  { name: "FCMEQ", U: 0, a: 0, opcode: "11100", f: (e, a, b, n) => compared(e, a, b, n, "eq"), scalar: true },
  { name: "FMAX", U: 0, a: 0, opcode: "11110", f: plain("max") },
  { name: "FMIN", U: 0, a: 1, opcode: "11110", f: plain("min") },
  { name: "FRECPS", U: 0, a: 0, opcode: "11111", f: plain("recps"), scalar: true },
  { name: "FRSQRTS", U: 0, a: 1, opcode: "11111", f: plain("rsqrts"), scalar: true },
  {
    name: "FABD",
    U: 1,
    a: 1,
    opcode: "11010",
    f: (e, a, b, n) => absolute(e, e.fp(`sub${n}`, a, b), n),
    scalar: true,
  },
  { name: "FMUL", U: 1, a: 0, opcode: "11011", f: plain("mul"), native: "mul" },
  { name: "FCMGE", U: 1, a: 0, opcode: "11100", f: (e, a, b, n) => compared(e, a, b, n, "ge"), scalar: true },
  { name: "FCMGT", U: 1, a: 1, opcode: "11100", f: (e, a, b, n) => compared(e, a, b, n, "gt"), scalar: true },
  {
    name: "FACGE",
    U: 1,
    a: 0,
    opcode: "11101",
    f: (e, a, b, n) => compared(e, absolute(e, a, n), absolute(e, b, n), n, "ge"),
    scalar: true,
  },
  {
    name: "FACGT",
    U: 1,
    a: 1,
    opcode: "11101",
    f: (e, a, b, n) => compared(e, absolute(e, a, n), absolute(e, b, n), n, "gt"),
    scalar: true,
  },
  { name: "FDIV", U: 1, a: 0, opcode: "11111", f: plain("div"), native: "div" },
];
function lanes(e: Emitter, o: Same, bytes: number, limit: number | I32, n: V128, m: V128, d: V128): V128 {
  const sources = [
    { v: n, bytes },
    { v: m, bytes },
  ];
  if (!o.accumulate) return e.mapLanes(bytes, limit, sources, (a, b) => o.f(e, a, b, bytes, a));
  return e.mapLanes(bytes, limit, [...sources, { v: d, bytes }], (a, b, acc) => o.f(e, a, b, bytes, acc));
}
const low = (name: string) => name.toLowerCase();
const same: Row[] = SAME.flatMap((o) => {
  const pattern = `${o.a} sz 1 Rm:5 ${o.opcode} 1 Rn:5 Rd:5` as "0 sz 1 Rm:5 11000 1 Rn:5 Rd:5";
  const rows = [
    row({
      name: `${o.name} (vector)`,
      section: "C7.2",
      bits: `0 Q ${`${o.U}` as "0"} 01110 ${pattern}`,
      axes: { sz },
      fp: true,
      cold: true,
      undefinedIf: noSingleDouble,
      regs: three,
      imm: (f) => (f.Q ? 16 : 8),
      meaning: (e, r) => {
        const bytes = bytesOf(r.sz);
        const { native } = o;
        if (native) {
          const n = e.let(e.v(r.n));
          const m = e.let(e.v(r.m));
          const v = e.fpVector(native, bytes, n, m, e.imm32(), () => lanes(e, o, bytes, e.imm32(), n, m, n));
          e.writeV(r.d, v);
        } else e.writeV(r.d, lanes(e, o, bytes, e.imm32(), e.v(r.n), e.v(r.m), e.v(r.d)));
      },
      asm: (f) => `${low(o.name)} v${f.Rd}.${shape(f)}, v${f.Rn}.${shape(f)}, v${f.Rm}.${shape(f)}`,
    }),
  ];
  if (o.scalar) {
    rows.push(
      row({
        name: `${o.name} (scalar)`,
        section: "C7.2",
        bits: `01 ${`${o.U}` as "0"} 11110 ${pattern}`,
        axes: { sz },
        fp: true,
        cold: true,
        regs: three,
        imm: (f) => bytesOf(f.sz),
        meaning: (e, r) => e.writeV(r.d, lanes(e, o, bytesOf(r.sz), e.imm32(), e.v(r.n), e.v(r.m), e.v(r.d))),
        asm: (f) => `${low(o.name)} ${LETTER[f.sz]}${f.Rd}, ${LETTER[f.sz]}${f.Rn}, ${LETTER[f.sz]}${f.Rm}`,
      }),
    );
  }
  return rows;
});

// --- pairwise and across lanes
const PAIRS: readonly [string, 0 | 1, string, string][] = [
  ["FMAXNMP", 0, "11000", "maxnm"],
  ["FMINNMP", 1, "11000", "minnm"],
  ["FADDP", 0, "11010", "add"],
  ["FMAXP", 0, "11110", "max"],
  ["FMINP", 1, "11110", "min"],
];
const pairs: Row[] = PAIRS.flatMap(([name, a, opcode, f]) => [
  row({
    name: `${name} (vector)`,
    section: "C7.2",
    bits: `0 Q 101110 ${`${a}` as "0"} sz 1 Rm:5 ${opcode as "11000"} 1 Rn:5 Rd:5`,
    axes: { q: qAxis, sz },
    never: (v) => v.sz === 1 && v.q === 0,
    fp: true,
    cold: true,
    undefinedIf: noSingleDouble,
    regs: three,
    meaning: (e, o) => {
      const bytes = bytesOf(o.sz);
      const n = e.let(e.v(o.n));
      const m = e.let(e.v(o.m));
      const part = (odd: number) => ({ v: everyOther(e, n, m, 2 + o.sz, o.q, odd), bytes });
      e.writeV(
        o.d,
        e.mapLanes(bytes, o.q ? 16 : 8, [part(0), part(1)], (x, y) => e.fp(`${f}${bytes}`, x, y)),
      );
    },
    asm: (x) => `${low(name)} v${x.Rd}.${shape(x)}, v${x.Rn}.${shape(x)}, v${x.Rm}.${shape(x)}`,
  }),
  row({
    name: `${name} (scalar)`,
    section: "C7.2",
    bits: `01111110 ${`${a}` as "0"} sz 11000 ${pairOpcode(opcode) as "01100"} 10 Rn:5 Rd:5`,
    axes: { sz },
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => {
      const bytes = bytesOf(o.sz);
      e.writeD(o.d, e.fp(`${f}${bytes}`, e.element(o.n, bytes, 0), e.element(o.n, bytes, bytes)));
    },
    asm: (x) => `${low(name)} ${LETTER[x.sz]}${x.Rd}, v${x.Rn}.2${LETTER[x.sz]}`,
  }),
]);
/** The scalar pairwise group numbers its operations 011xx. */
function pairOpcode(opcode: string): string {
  return { "11000": "01100", "11010": "01101", "11110": "01111" }[opcode] ?? "";
}
const across: Row[] = (
  [
    ["FMAXNMV", 0, "01100", "maxnm4"],
    ["FMINNMV", 1, "01100", "minnm4"],
    ["FMAXV", 0, "01111", "max4"],
    ["FMINV", 1, "01111", "min4"],
  ] as const
).map(([name, a, opcode, f]) =>
  row({
    name,
    section: "C7.2",
    bits: `01101110 ${`${a}` as "0"} 011000 ${opcode} 10 Rn:5 Rd:5`,
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => {
      const part = (i: number) => e.element(o.n, 4, 4 * i);
      e.writeD(o.d, e.fp(f, e.fp(f, part(0), part(1)), e.fp(f, part(2), part(3))));
    },
    asm: (x) => `${low(name)} s${x.Rd}, v${x.Rn}.4s`,
  }),
);

// --- by element
const BY_ELEMENT: readonly [string, 0 | 1, string, Binary, boolean][] = [
  ["FMLA", 0, "0001", fused(false), true],
  ["FMLS", 0, "0101", fused(true), true],
  ["FMUL", 0, "1001", plain("mul"), false],
  ["FMULX", 1, "1001", plain("mulx"), false],
];
type ElementFields = { sz: number; L: number; H: number; Rm: number };
const sized = <F extends ElementFields>(f: F) => ({ ...f, size: 2 + f.sz });
const byElement: Row[] = BY_ELEMENT.flatMap(([name, U, opcode, f, accumulate]) => {
  const o: Same = { name, U, a: 0, opcode, f, accumulate };
  const pattern = `1 sz L Rm:5 ${opcode} H 0 Rn:5 Rd:5` as "1 sz L Rm:5 0001 H 0 Rn:5 Rd:5";
  const u = `${U}` as "0";
  const regs = { ...two, m: elementRegister } as const;
  const make = (
    e: Emitter,
    r: { n: { place: 0 }; m: { place: 0 }; d: { place: 0 } },
    double: number,
    limit: number,
  ) => {
    const bytes = bytesOf(double);
    const m = e.let(e.splat(bytes, e.element(r.m, bytes, e.immHigh())));
    return lanes(e, o, bytes, limit, e.v(r.n), m, e.v(r.d));
  };
  return [
    row({
      name: `${name} (by element)`,
      section: "C7.2",
      bits: `0 Q ${u} 01111 ${pattern}`,
      axes: { q: qAxis, sz },
      never: (v) => v.sz === 1 && v.q === 0,
      fp: true,
      cold: true,
      undefinedIf: (x) => noSingleDouble(x) || (x.sz === 1 && x.L === 1),
      regs,
      imm: (x) => elementImmediate(sized(x), 0),
      meaning: (e, r) => e.writeV(r.d, make(e, r as never, r.sz, r.q ? 16 : 8)),
      asm: (x) => `${low(name)} v${x.Rd}.${shape(x)}, v${x.Rn}.${shape(x)}, ${elementText(sized(x))}`,
    }),
    row({
      name: `${name} (by element, scalar)`,
      section: "C7.2",
      bits: `01 ${u} 11111 ${pattern}`,
      axes: { sz },
      fp: true,
      cold: true,
      undefinedIf: (x) => x.sz === 1 && x.L === 1,
      regs,
      imm: (x) => elementImmediate(sized(x), 0),
      meaning: (e, r) => e.writeV(r.d, make(e, r as never, r.sz, bytesOf(r.sz))),
      asm: (x) => `${low(name)} ${LETTER[x.sz]}${x.Rd}, ${LETTER[x.sz]}${x.Rn}, ${elementText(sized(x))}`,
    }),
  ];
});

// --- two-register miscellaneous
type Unary = (e: Emitter, a: I64, bytes: number) => I64;
const toInteger =
  (way: number, unsigned: number): Unary =>
  (e, a, bytes) =>
    e.fp(`toFixed${bytes}`, a, e.k32(way), e.k32(0), e.k32(unsigned), e.k32(8 * bytes));
const fromInteger =
  (unsigned: number): Unary =>
  (e, a, bytes) => {
    const v = bytes === 8 ? a : unsigned ? a : (e.let(e.sext(a, 32)) as I64);
    return e.fp(`fromFixed${bytes}`, v, e.k32(0), e.k32(unsigned), mode(e));
  };
const integral =
  (way: number | null, exact: number): Unary =>
  (e, a, bytes) =>
    e.fp(`roundIntegral${bytes}`, a, way === null ? mode(e) : e.k32(way), e.k32(exact));
const withZero =
  (kind: "eq" | "ge" | "gt", swap: boolean): Unary =>
  (e, a, bytes) =>
    swap ? compared(e, e.let(e.k64(0)) as I64, a, bytes, kind) : compared(e, a, e.let(e.k64(0)) as I64, bytes, kind);
const function1 =
  (name: string): Unary =>
  (e, a, bytes) =>
    e.fp(`${name}${bytes}`, a);
/** Name, U, upper bit of size, opcode, meaning, whether a scalar form, whether only single. */
const MISC: readonly [string, 0 | 1, 0 | 1, string, Unary, boolean][] = [
  ["FRINTN", 0, 0, "11000", integral(0, 0), false],
  ["FRINTM", 0, 0, "11001", integral(2, 0), false],
  ["FCVTNS", 0, 0, "11010", toInteger(0, 0), true],
  ["FCVTMS", 0, 0, "11011", toInteger(2, 0), true],
  ["FCVTAS", 0, 0, "11100", toInteger(4, 0), true],
  ["SCVTF", 0, 0, "11101", fromInteger(0), true],
  ["FCMGT (zero)", 0, 1, "01100", withZero("gt", false), true],
  ["FCMEQ (zero)", 0, 1, "01101", withZero("eq", false), true],
  ["FCMLT (zero)", 0, 1, "01110", withZero("gt", true), true],
  ["FABS", 0, 1, "01111", absolute, false],
  ["FRINTP", 0, 1, "11000", integral(1, 0), false],
  ["FRINTZ", 0, 1, "11001", integral(3, 0), false],
  ["FCVTPS", 0, 1, "11010", toInteger(1, 0), true],
  ["FCVTZS", 0, 1, "11011", toInteger(3, 0), true],
  ["FRECPE", 0, 1, "11101", function1("recpe"), true],
  ["FRINTA", 1, 0, "11000", integral(4, 0), false],
  ["FRINTX", 1, 0, "11001", integral(null, 1), false],
  ["FCVTNU", 1, 0, "11010", toInteger(0, 1), true],
  ["FCVTMU", 1, 0, "11011", toInteger(2, 1), true],
  ["FCVTAU", 1, 0, "11100", toInteger(4, 1), true],
  ["UCVTF", 1, 0, "11101", fromInteger(1), true],
  ["FCMGE (zero)", 1, 1, "01100", withZero("ge", false), true],
  ["FCMLE (zero)", 1, 1, "01101", withZero("ge", true), true],
  ["FNEG", 1, 1, "01111", negate, false],
  ["FRINTI", 1, 1, "11001", integral(null, 0), false],
  ["FCVTPU", 1, 1, "11010", toInteger(1, 1), true],
  ["FCVTZU", 1, 1, "11011", toInteger(3, 1), true],
  ["FRSQRTE", 1, 1, "11101", function1("rsqrte"), true],
  ["FSQRT", 1, 1, "11111", function1("sqrt"), false],
];
const short = (name: string) => low(name.replace(" (zero)", ""));
const miscellaneous: Row[] = MISC.flatMap(([name, U, a, opcode, f, scalar]) => {
  const pattern = `${a} sz 10000 ${opcode} 10 Rn:5 Rd:5` as "0 sz 10000 11000 10 Rn:5 Rd:5";
  const u = `${U}` as "0";
  const tail = name.includes("zero") ? ", #0.0" : "";
  const apply = (e: Emitter, v: V128, bytes: number, limit: I32) =>
    e.mapLanes(bytes, limit, [{ v, bytes }], (x) => f(e, x, bytes));
  const rows = [
    row({
      name: `${name} (vector)`,
      section: "C7.2",
      bits: `0 Q ${u} 01110 ${pattern}`,
      axes: { sz },
      fp: true,
      cold: true,
      undefinedIf: noSingleDouble,
      regs: two,
      imm: (x) => (x.Q ? 16 : 8),
      meaning: (e, o) => e.writeV(o.d, apply(e, e.v(o.n), bytesOf(o.sz), e.imm32())),
      asm: (x) => `${short(name)} v${x.Rd}.${shape(x)}, v${x.Rn}.${shape(x)}${tail}`,
    }),
  ];
  if (scalar) {
    rows.push(
      row({
        name: `${name} (scalar, vector registers)`,
        section: "C7.2",
        bits: `01 ${u} 11110 ${pattern}`,
        axes: { sz },
        fp: true,
        cold: true,
        regs: two,
        imm: (x) => bytesOf(x.sz),
        meaning: (e, o) => e.writeV(o.d, apply(e, e.v(o.n), bytesOf(o.sz), e.imm32())),
        asm: (x) => `${short(name)} ${LETTER[x.sz]}${x.Rd}, ${LETTER[x.sz]}${x.Rn}${tail}`,
      }),
    );
  }
  return rows;
});
const exponentReciprocal = row({
  name: "FRECPX",
  section: "C7.2.156",
  bits: "010111101 sz 10000 11111 10 Rn:5 Rd:5",
  axes: { sz },
  fp: true,
  cold: true,
  regs: two,
  meaning: (e, o) => e.writeD(o.d, e.fp(`recpx${bytesOf(o.sz)}`, e.element(o.n, bytesOf(o.sz), 0))),
  asm: (f) => `frecpx ${LETTER[f.sz]}${f.Rd}, ${LETTER[f.sz]}${f.Rn}`,
});
const unsignedEstimates: Row[] = (
  [
    ["URECPE", "0", "urecpe4"],
    ["URSQRTE", "1", "ursqrte4"],
  ] as const
).map(([name, U, f]) =>
  row({
    name,
    section: "C7.2",
    bits: `0 Q ${U as "0"} 01110 101000011100 10 Rn:5 Rd:5`,
    fp: true,
    cold: true,
    regs: two,
    imm: (x) => (x.Q ? 16 : 8),
    meaning: (e, o) =>
      e.writeV(
        o.d,
        e.mapLanes(4, e.imm32(), [{ v: e.v(o.n), bytes: 4 }], (a) => e.fp(f, a)),
      ),
    asm: (x) => `${low(name)} v${x.Rd}.${arrangement(2, x.Q)}, v${x.Rn}.${arrangement(2, x.Q)}`,
  }),
);

// --- between sizes: sz is the wider one's, 0 half and single, 1 single and double
const lengthen = row({
  name: "FCVTL, FCVTL2",
  section: "C7.2.74",
  bits: "0 Q 0011100 sz 100001011110 Rn:5 Rd:5",
  axes: { q: qAxis, sz },
  fp: true,
  cold: true,
  regs: two,
  meaning: (e, o) => {
    const bytes = bytesOf(o.sz);
    const source = { v: e.v(o.n), bytes: bytes / 2, from: 8 * o.q };
    const name = `convert${bytes / 2}${bytes}`;
    e.writeV(
      o.d,
      e.mapLanes(bytes, 16, [source], (a) => e.fp(name, a, mode(e))),
    );
  },
  asm: (f) => `fcvtl${f.Q ? "2" : ""} v${f.Rd}.${arrangement(2 + f.sz, 1)}, v${f.Rn}.${arrangement(1 + f.sz, f.Q)}`,
});
function narrow(e: Emitter, v: V128, bytes: number, limit: number, rounding: I32): V128 {
  const name = `convert${bytes}${bytes / 2}`;
  return e.mapLanes(bytes / 2, limit, [{ v, bytes }], (a) => e.fp(name, a, rounding));
}
const shorten = row({
  name: "FCVTN, FCVTN2",
  section: "C7.2.79",
  bits: "0 Q 0011100 sz 100001011010 Rn:5 Rd:5",
  axes: { q: qAxis, sz },
  fp: true,
  cold: true,
  regs: two,
  meaning: (e, o) => {
    const v = narrow(e, e.v(o.n), bytesOf(o.sz), 8, mode(e));
    if (o.q) e.setElement(o.d, 8, 8, e.half(v, 0));
    else e.writeD(o.d, e.half(v, 0));
  },
  asm: (f) => `fcvtn${f.Q ? "2" : ""} v${f.Rd}.${arrangement(1 + f.sz, f.Q)}, v${f.Rn}.${arrangement(2 + f.sz, 1)}`,
});
const shortenOdd: Row[] = [
  row({
    name: "FCVTXN, FCVTXN2 (vector)",
    section: "C7.2.89",
    bits: "0 Q 1011100 1 100001011010 Rn:5 Rd:5",
    axes: { q: qAxis },
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => {
      const v = narrow(e, e.v(o.n), 8, 8, e.k32(TO_ODD));
      if (o.q) e.setElement(o.d, 8, 8, e.half(v, 0));
      else e.writeD(o.d, e.half(v, 0));
    },
    asm: (f) => `fcvtxn${f.Q ? "2" : ""} v${f.Rd}.${arrangement(2, f.Q)}, v${f.Rn}.2d`,
  }),
  row({
    name: "FCVTXN (scalar)",
    section: "C7.2.89",
    bits: "0111111001100001011010 Rn:5 Rd:5",
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => e.writeV(o.d, narrow(e, e.v(o.n), 8, 4, e.k32(TO_ODD))),
    asm: (f) => `fcvtxn s${f.Rd}, d${f.Rn}`,
  }),
];

// --- fixed point: immh says 01xx single, 1xxx double
type ShiftFields = { immh: number; immb: number };
const fractionBits = (f: ShiftFields) => (f.immh >= 8 ? 128 : 64) - ((f.immh << 3) | f.immb);
const double = { values: [0, 1], of: (f: ShiftFields) => (f.immh >= 8 ? 1 : 0) };
const FIXED: readonly [string, string, (e: Emitter, a: I64, bytes: number, U: number) => I64][] = [
  [
    "SCVTF, UCVTF",
    "11100",
    (e, a, bytes, U) => {
      const v = bytes === 8 || U ? a : (e.let(e.sext(a, 32)) as I64);
      return e.fp(`fromFixed${bytes}`, v, e.imm32(), e.k32(U), mode(e));
    },
  ],
  [
    "FCVTZS, FCVTZU",
    "11111",
    (e, a, bytes, U) => e.fp(`toFixed${bytes}`, a, e.k32(TO_ZERO), e.imm32(), e.k32(U), e.k32(8 * bytes)),
  ],
];
const fixedName = (opcode: string, U: number) =>
  opcode === "11100" ? (U ? "ucvtf" : "scvtf") : U ? "fcvtzu" : "fcvtzs";
const fixed: Row[] = FIXED.flatMap(([name, opcode, f]) => {
  const apply = (e: Emitter, v: V128, wide: number, U: number, limit: I32) => {
    const bytes = bytesOf(wide);
    return e.mapLanes(bytes, limit, [{ v, bytes }], (a) => f(e, a, bytes, U));
  };
  return [
    row({
      name: `${name} (vector, fixed-point)`,
      section: "C7.2",
      bits: `0 Q U 011110 immh:4 immb:3 ${opcode as "11100"} 1 Rn:5 Rd:5`,
      nonzero: "immh",
      axes: { U: bit("U"), double },
      fp: true,
      cold: true,
      undefinedIf: (x) => x.immh < 4 || (x.immh >= 8 && !x.Q),
      regs: two,
      imm: (x) => ({ low: fractionBits(x), high: x.Q ? 16 : 8 }),
      meaning: (e, o) => e.writeV(o.d, apply(e, e.v(o.n), o.double, o.U, e.immHigh())),
      asm: (x) => {
        const t = arrangement(x.immh >= 8 ? 3 : 2, x.Q);
        return `${fixedName(opcode, x.U)} v${x.Rd}.${t}, v${x.Rn}.${t}, #${fractionBits(x)}`;
      },
    }),
    row({
      name: `${name} (vector registers, scalar, fixed-point)`,
      section: "C7.2",
      bits: `01 U 111110 immh:4 immb:3 ${opcode as "11100"} 1 Rn:5 Rd:5`,
      nonzero: "immh",
      axes: { U: bit("U"), double },
      fp: true,
      cold: true,
      undefinedIf: (x) => x.immh < 4,
      regs: two,
      imm: (x) => ({ low: fractionBits(x), high: x.immh >= 8 ? 8 : 4 }),
      meaning: (e, o) => e.writeV(o.d, apply(e, e.v(o.n), o.double, o.U, e.immHigh())),
      asm: (x) => {
        const c = x.immh >= 8 ? "d" : "s";
        return `${fixedName(opcode, x.U)} ${c}${x.Rd}, ${c}${x.Rn}, #${fractionBits(x)}`;
      },
    }),
  ];
});
if (TIE_EVEN !== 0) throw new Error("rounding to nearest is mode 0");

export const fpVector: readonly Row[] = [
  ...same,
  ...pairs,
  ...across,
  ...byElement,
  ...miscellaneous,
  exponentReciprocal,
  ...unsignedEstimates,
  lengthen,
  shorten,
  ...shortenOdd,
  ...fixed,
];
