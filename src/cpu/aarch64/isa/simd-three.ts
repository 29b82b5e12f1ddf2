/** C4.1.90: Advanced SIMD three same, three different and by element, integer part. */
import type { Emitter, I64, V128 } from "../engine/emitter.ts";
import type { VectorName } from "../engine/vector-names.ts";
import * as lane from "./lanes.ts";
import { axis, bit, type Fields, type Role, type Row, row, vector } from "./row.ts";
import { arrangement } from "./simd-memory.ts";
import { qAxis, three } from "./vector-operands.ts";

export const SHAPE = ["i8x16", "i16x8", "i32x4", "i64x2"] as const;
/** Name of the operation on elements of 1 << size bytes. */
export const op = (size: number, name: string) => `${SHAPE[size]}.${name}` as VectorName;
export const mask = (e: Emitter, condition: Parameters<Emitter["extendU"]>[0]) => e.sub(e.k64(0), e.extendU(condition));

interface Operation {
  readonly name: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly sizes: readonly number[];
  readonly scalar?: readonly number[];
  readonly signed: boolean;
  /** The destination takes part. */
  readonly accumulate?: boolean;
  readonly lane: (e: Emitter, a: I64, b: I64, bytes: number, d: I64) => I64;
  /** On whole vectors, for the sizes where WebAssembly has it. */
  readonly native?: (e: Emitter, a: V128, b: V128, size: number, d: V128) => V128;
  readonly nativeSizes?: readonly number[];
}
const ALL = [0, 1, 2, 3];
const SMALL = [0, 1, 2];
const D = [3];
type Native = (name: string) => NonNullable<Operation["native"]>;
const direct: Native = (name) => (e, a, b, size) => e.vector(op(size, name), a, b);

/** Both signednesses of an operation: U is 0 for the signed one. */
function both(
  names: string,
  opcode: string,
  sizes: readonly number[],
  make: (signed: boolean) => Omit<Operation, "name" | "U" | "opcode" | "sizes" | "signed">,
): Operation[] {
  const [s = "", u = ""] = names.split(" ");
  return [
    { name: s, U: 0, opcode, sizes, signed: true, ...make(true) },
    { name: u, U: 1, opcode, sizes, signed: false, ...make(false) },
  ];
}
const su = (signed: boolean) => (signed ? "_s" : "_u");
const halving = (e: Emitter, v: I64) => e.sar(v, e.k64(1));

const OPERATIONS: readonly Operation[] = [
  ...both("SHADD UHADD", "00000", SMALL, () => ({ lane: (e, a, b) => halving(e, e.add(a, b)) })),
  ...both("SQADD UQADD", "00001", ALL, (signed) => ({
    scalar: ALL,
    lane: (e, a, b, bytes) => lane.saturatingAdd(e, a, b, bytes, signed, false),
  })),
  ...both("SRHADD URHADD", "00010", SMALL, (signed) => ({
    lane: (e, a, b) => halving(e, e.add(e.add(a, b), e.k64(1))),
    ...(signed ? {} : { native: direct("avgr_u"), nativeSizes: [0, 1] }),
  })),
  ...both("SHSUB UHSUB", "00100", SMALL, () => ({ lane: (e, a, b) => halving(e, e.sub(a, b)) })),
  ...both("SQSUB UQSUB", "00101", ALL, (signed) => ({
    scalar: ALL,
    lane: (e, a, b, bytes) => lane.saturatingAdd(e, a, b, bytes, signed, true),
  })),
  ...both("CMGT CMHI", "00110", ALL, (signed) => ({
    scalar: D,
    lane: (e, a, b) => mask(e, lane.less(e, b, a, signed)),
    native: direct(`gt${su(signed)}`),
    nativeSizes: signed ? ALL : SMALL,
  })),
  ...both("CMGE CMHS", "00111", ALL, (signed) => ({
    scalar: D,
    lane: (e, a, b) => mask(e, e.eqz(lane.less(e, a, b, signed))),
    native: direct(`ge${su(signed)}`),
    nativeSizes: signed ? ALL : SMALL,
  })),
  ...both("SSHL USHL", "01000", ALL, (signed) => ({
    scalar: D,
    lane: (e, a, b, bytes) => lane.shiftBy(e, a, b, bytes, signed, false, false),
  })),
  ...both("SQSHL UQSHL", "01001", ALL, (signed) => ({
    scalar: ALL,
    lane: (e, a, b, bytes) => lane.shiftBy(e, a, b, bytes, signed, false, true),
  })),
  ...both("SRSHL URSHL", "01010", ALL, (signed) => ({
    scalar: D,
    lane: (e, a, b, bytes) => lane.shiftBy(e, a, b, bytes, signed, true, false),
  })),
  ...both("SQRSHL UQRSHL", "01011", ALL, (signed) => ({
    scalar: ALL,
    lane: (e, a, b, bytes) => lane.shiftBy(e, a, b, bytes, signed, true, true),
  })),
  ...both("SMAX UMAX", "01100", SMALL, (signed) => ({
    lane: (e, a, b) => lane.maximum(e, a, b, signed),
    native: direct(`max${su(signed)}`),
    nativeSizes: SMALL,
  })),
  ...both("SMIN UMIN", "01101", SMALL, (signed) => ({
    lane: (e, a, b) => lane.minimum(e, a, b, signed),
    native: direct(`min${su(signed)}`),
    nativeSizes: SMALL,
  })),
  ...both("SABD UABD", "01110", SMALL, (signed) => ({
    lane: (e, a, b) => lane.difference(e, a, b, signed),
    native: (e, a, b, size) => absoluteDifference(e, a, b, size, signed),
    nativeSizes: SMALL,
  })),
  ...both("SABA UABA", "01111", SMALL, (signed) => ({
    accumulate: true,
    lane: (e, a, b, _, d) => e.add(d, lane.difference(e, a, b, signed)),
    native: (e, a, b, size, d) => e.vector(op(size, "add"), d, absoluteDifference(e, a, b, size, signed)),
    nativeSizes: SMALL,
  })),
  plain("ADD", 0, "10000", ALL, D, (e, a, b) => e.add(a, b), direct("add"), ALL),
  plain("SUB", 1, "10000", ALL, D, (e, a, b) => e.sub(a, b), direct("sub"), ALL),
  plain(
    "CMTST",
    0,
    "10001",
    ALL,
    D,
    (e, a, b) => mask(e, e.eqz(e.eqz(e.and(a, b)))),
    (e, a, b, size) => e.vector(op(size, "ne"), e.vector("v128.and", a, b), zero(e)),
    ALL,
  ),
  plain("CMEQ", 1, "10001", ALL, D, (e, a, b) => mask(e, e.eq(a, b)), direct("eq"), ALL),
  {
    ...plain(
      "MLA",
      0,
      "10010",
      SMALL,
      [],
      (e, a, b, _, d) => e.add(d, e.mul(a, b)),
      (e, a, b, size, d) => e.vector(op(size, "add"), d, e.vector(op(size, "mul"), a, b)),
      [1, 2],
    ),
    accumulate: true,
  },
  {
    ...plain(
      "MLS",
      1,
      "10010",
      SMALL,
      [],
      (e, a, b, _, d) => e.sub(d, e.mul(a, b)),
      (e, a, b, size, d) => e.vector(op(size, "sub"), d, e.vector(op(size, "mul"), a, b)),
      [1, 2],
    ),
    accumulate: true,
  },
  plain("MUL", 0, "10011", SMALL, [], (e, a, b) => e.mul(a, b), direct("mul"), [1, 2]),
  plain("PMUL", 1, "10011", [0], [], lane.polynomial),
  {
    ...plain("SQDMULH", 0, "10110", [1, 2], [1, 2], (e, a, b, bytes) => lane.doublingHigh(e, a, b, bytes, false)),
    signed: true,
  },
  {
    ...plain("SQRDMULH", 1, "10110", [1, 2], [1, 2], (e, a, b, bytes) => lane.doublingHigh(e, a, b, bytes, true)),
    signed: true,
  },
];
function plain(
  name: string,
  U: 0 | 1,
  opcode: string,
  sizes: readonly number[],
  scalar: readonly number[],
  f: Operation["lane"],
  native?: Operation["native"],
  nativeSizes: readonly number[] = [],
): Operation {
  return { name, U, opcode, sizes, scalar, signed: false, lane: f, ...(native ? { native, nativeSizes } : {}) };
}
function zero(e: Emitter): V128 {
  return e.kv(new Array<number>(16).fill(0));
}
function absoluteDifference(e: Emitter, x: V128, y: V128, size: number, signed: boolean): V128 {
  const a = e.let(x);
  const b = e.let(y);
  const pick = (name: string) => e.vector(op(size, `${name}${su(signed)}`), a, b);
  return e.vector(op(size, "sub"), pick("max"), pick("min"));
}

/** Result of an operation on vectors: native, or element by element up to `limit` bytes. */
function apply(
  e: Emitter,
  o: Operation,
  size: number,
  limit: number | ReturnType<Emitter["imm32"]>,
  n: V128,
  m: V128,
  d: V128,
): V128 {
  const bytes = 1 << size;
  const { signed } = o;
  const sources = [
    { v: n, bytes, signed },
    { v: m, bytes, signed },
  ];
  if (!o.accumulate) return e.mapLanes(bytes, limit, sources, (a, b) => o.lane(e, a, b, bytes, a));
  return e.mapLanes(bytes, limit, [...sources, { v: d, bytes }], (a, b, acc) => o.lane(e, a, b, bytes, acc));
}
const isNative = (o: Operation, size: number) => o.nativeSizes?.includes(size) ?? false;

const regText = (f: { Rd: number; Rn: number; Rm: number }, t: string) => `v${f.Rd}.${t}, v${f.Rn}.${t}, v${f.Rm}.${t}`;
const scalarText = (f: { Rd: number; Rn: number; Rm: number; size: number }) => {
  const c = "bhsd"[f.size];
  return `${c}${f.Rd}, ${c}${f.Rn}, ${c}${f.Rm}`;
};
const same: Row[] = OPERATIONS.flatMap((o) => {
  const U = `${o.U}` as "0";
  const opcode = o.opcode as "00000";
  const reserved = (f: { size: number; Q: number }) => !o.sizes.includes(f.size) || (f.size === 3 && !f.Q);
  const rows = [
    row({
      name: `${o.name} (vector)`,
      section: "C7.2",
      bits: `0 Q ${U} 01110 size:2 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
      axes: {
        size: axis(o.sizes, (f: { size: number }) => f.size),
        q: axis([0, 1], (f: { Q: number; size: number }) => (isNative(o, f.size) ? f.Q : 0)),
      },
      never: (v) => v.q === 1 && !isNative(o, v.size),
      fp: true,
      cold: (v) => !isNative(o, v.size) || !HOT.test(o.name),
      undefinedIf: reserved,
      regs: three,
      imm: (f) => (f.Q ? 16 : 8),
      meaning: (e, r) => {
        const { native } = o;
        if (native && isNative(o, r.size)) {
          e.writeQ(r.d, native(e, e.v(r.n), e.v(r.m), r.size, e.v(r.d)), r.q);
        } else e.writeV(r.d, apply(e, o, r.size, e.imm32(), e.v(r.n), e.v(r.m), e.v(r.d)));
      },
      asm: (f) => `${o.name.toLowerCase()} ${regText(f, arrangement(f.size, f.Q))}`,
    }),
  ];
  const scalar = o.scalar ?? [];
  if (scalar.length > 0) {
    rows.push(
      row({
        name: `${o.name} (scalar)`,
        section: "C7.2",
        bits: `01 ${U} 11110 size:2 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
        axes: { size: axis(scalar, (f: { size: number }) => f.size) },
        fp: true,
        cold: true,
        undefinedIf: (f) => !scalar.includes(f.size),
        regs: three,
        imm: (f) => 1 << f.size,
        meaning: (e, r) => e.writeV(r.d, apply(e, o, r.size, e.imm32(), e.v(r.n), e.v(r.m), e.v(r.d))),
        asm: (f) => `${o.name.toLowerCase()} ${scalarText(f)}`,
      }),
    );
  }
  return rows;
});
/** Common in compiled code: in the hot function. */
const HOT = /^(ADD|SUB|MUL|MLA|CMEQ|CMHI|CMHS|CMGT|CMGE|SMAX|UMAX|SMIN|UMIN)$/;

const LOGICAL: readonly [string, "0", "00", (e: Emitter, n: V128, m: V128, d: V128) => V128][] = [
  ["AND", "0", "00", (e, n, m) => e.vector("v128.and", n, m)],
  ["BIC", "0", "01" as "00", (e, n, m) => e.vector("v128.andnot", n, m)],
  ["ORR", "0", "10" as "00", (e, n, m) => e.vector("v128.or", n, m)],
  ["ORN", "0", "11" as "00", (e, n, m) => e.vector("v128.or", n, e.vector("v128.not", m))],
  ["EOR", "1" as "0", "00", (e, n, m) => e.vector("v128.xor", n, m)],
  ["BSL", "1" as "0", "01" as "00", (e, n, m, d) => e.vector("v128.bitselect", n, m, d)],
  ["BIT", "1" as "0", "10" as "00", (e, n, m, d) => e.vector("v128.bitselect", n, d, m)],
  ["BIF", "1" as "0", "11" as "00", (e, n, m, d) => e.vector("v128.bitselect", d, n, m)],
];
const logical = LOGICAL.map(([name, U, size, f]) =>
  row({
    name: `${name} (vector)`,
    section: "C7.2",
    bits: `0 Q ${U} 01110 ${size} 1 Rm:5 000111 Rn:5 Rd:5`,
    axes: { q: qAxis },
    fp: true,
    regs: three,
    meaning: (e, o) => e.writeQ(o.d, f(e, e.v(o.n), e.v(o.m), e.v(o.d)), o.q),
    asm: (f) =>
      name === "ORR" && f.Rn === f.Rm
        ? `mov v${f.Rd}.${arrangement(0, f.Q)}, v${f.Rn}.${arrangement(0, f.Q)}`
        : `${name.toLowerCase()} ${regText(f, arrangement(0, f.Q))}`,
  }),
);

/** Elements `odd`, odd + 2, ... of the two sources one after the other. */
export function everyOther(e: Emitter, n: V128, m: V128, size: number, q: number, odd: number): V128 {
  const bytes = 1 << size;
  const width = q ? 16 : 8;
  const lanes = Array.from({ length: 16 }, (_, i) => {
    const at = 2 * Math.floor(i / bytes) + odd;
    const from = at * bytes + (i % bytes);
    return from < width ? from : 16 + ((from - width) % width);
  });
  return e.shuffle(n, m, lanes);
}
const PAIRS: readonly [string, "0", string, readonly number[], (e: Emitter, a: V128, b: V128, size: number) => V128][] =
  [
    ["SMAXP", "0", "10100", SMALL, (e, a, b, size) => e.vector(op(size, "max_s"), a, b)],
    ["UMAXP", "1" as "0", "10100", SMALL, (e, a, b, size) => e.vector(op(size, "max_u"), a, b)],
    ["SMINP", "0", "10101", SMALL, (e, a, b, size) => e.vector(op(size, "min_s"), a, b)],
    ["UMINP", "1" as "0", "10101", SMALL, (e, a, b, size) => e.vector(op(size, "min_u"), a, b)],
    ["ADDP", "0", "10111", ALL, (e, a, b, size) => e.vector(op(size, "add"), a, b)],
  ];
const pairwise = PAIRS.map(([name, U, opcode, sizes, f]) =>
  row({
    name: `${name} (vector)`,
    section: "C7.2",
    bits: `0 Q ${U} 01110 size:2 1 Rm:5 ${opcode as "10100"} 1 Rn:5 Rd:5`,
    axes: { q: qAxis, size: axis(sizes, (f: { size: number }) => f.size) },
    never: (v) => v.size === 3 && v.q === 0,
    fp: true,
    cold: true,
    undefinedIf: (f) => !sizes.includes(f.size) || (f.size === 3 && !f.Q),
    regs: three,
    meaning: (e, o) => {
      const n = e.let(e.v(o.n));
      const m = e.let(e.v(o.m));
      const part = (odd: number) => everyOther(e, n, m, o.size, o.q, odd);
      e.writeQ(o.d, f(e, part(0), part(1), o.size), o.q);
    },
    asm: (f) => `${name.toLowerCase()} ${regText(f, arrangement(f.size, f.Q))}`,
  }),
);

/** The low or (q) high half of a vector with elements extended to twice their width. */
export function extendHalf(e: Emitter, v: V128, size: number, q: number, signed: boolean): V128 {
  const half = q ? "high" : "low";
  return e.vector(op(size + 1, `extend_${half}_${SHAPE[size]}${su(signed)}`), v);
}
/** Writes narrowed elements, which lie in the low half of `v`: to the low half (clearing the high one), or to the high half. */
export function writeNarrow(e: Emitter, d: Parameters<Emitter["writeD"]>[0], v: V128, q: number): void {
  if (q) e.setElement(d, 8, 8, e.half(v, 0));
  else e.writeD(d, e.half(v, 0));
}

type Wider = (e: Emitter, a: V128, b: V128, wide: number, d: V128) => V128;
const wider =
  (name: string): Wider =>
  (e, a, b, wide) =>
    e.vector(op(wide, name), a, b);
const accumulating =
  (name: string, f: Wider): Wider =>
  (e, a, b, wide, d) =>
    e.vector(op(wide, name), d, f(e, a, b, wide, d));
const distance: Wider = (e, a, b, wide) => e.vector(op(wide, "abs"), e.vector(op(wide, "sub"), a, b));
/** opcode, names of the signed and unsigned form, operation on extended elements, whether the first source is wide already. */
const LONG: readonly [string, string, string, Wider, boolean][] = [
  ["0000", "SADDL", "UADDL", wider("add"), false],
  ["0001", "SADDW", "UADDW", wider("add"), true],
  ["0010", "SSUBL", "USUBL", wider("sub"), false],
  ["0011", "SSUBW", "USUBW", wider("sub"), true],
  ["0101", "SABAL", "UABAL", accumulating("add", distance), false],
  ["0111", "SABDL", "UABDL", distance, false],
  ["1000", "SMLAL", "UMLAL", accumulating("add", wider("mul")), false],
  ["1010", "SMLSL", "UMLSL", accumulating("sub", wider("mul")), false],
  ["1100", "SMULL", "UMULL", wider("mul"), false],
];
const longText = (name: string, f: { size: number; Q: number; Rd: number; Rn: number; Rm: number }, wide: boolean) => {
  const t = arrangement(f.size, f.Q);
  const w = arrangement(f.size + 1, 1);
  return `${name.toLowerCase()}${f.Q ? "2" : ""} v${f.Rd}.${w}, v${f.Rn}.${wide ? w : t}, v${f.Rm}.${t}`;
};
const smallSize = axis(SMALL, (f: { size: number }) => f.size);
const long = LONG.map(([opcode, s, u, f, wideFirst]) =>
  row({
    name: `${s}, ${u} (vector)`,
    section: "C7.2",
    bits: `0 Q U 01110 size:2 1 Rm:5 ${opcode as "0000"} 00 Rn:5 Rd:5`,
    axes: { q: qAxis, U: bit("U"), size: smallSize },
    fp: true,
    cold: true,
    undefinedIf: (f) => f.size === 3,
    regs: three,
    meaning: (e, o) => {
      const extend = (v: V128) => extendHalf(e, v, o.size, o.q, o.U === 0);
      const n = wideFirst ? e.v(o.n) : extend(e.v(o.n));
      e.writeV(o.d, f(e, n, extend(e.v(o.m)), o.size + 1, e.v(o.d)));
    },
    asm: (x) => longText(x.U ? u : s, x, wideFirst),
  }),
);

/** SQDMLAL, SQDMLSL, SQDMULL: product, then saturating accumulation. */
const DOUBLING: readonly [string, string, 0 | 1 | -1][] = [
  ["SQDMLAL", "1001", 1],
  ["SQDMLSL", "1011", -1],
  ["SQDMULL", "1101", 0],
];
function doublingLong(
  e: Emitter,
  n: V128,
  m: V128,
  d: V128,
  size: number,
  from: number,
  limit: number,
  sign: number,
): V128 {
  const bytes = 1 << size;
  const sources = [
    { v: n, bytes, signed: true, from },
    { v: m, bytes, signed: true, from },
    { v: d, bytes: 2 * bytes, signed: true },
  ];
  return e.mapLanes(2 * bytes, limit, sources, (a, b, acc) => {
    const product = e.let(lane.doublingLong(e, a, b, bytes)) as I64;
    return sign === 0 ? product : lane.saturatingAdd(e, acc, product, 2 * bytes, true, sign < 0);
  });
}
const middle = axis([1, 2], (f: { size: number }) => f.size);
const middleOnly = (f: { size: number }) => f.size !== 1 && f.size !== 2;
const doubling: Row[] = DOUBLING.flatMap(([name, opcode, sign]) => [
  row({
    name: `${name} (vector)`,
    section: "C7.2",
    bits: `0 Q 001110 size:2 1 Rm:5 ${opcode as "1001"} 00 Rn:5 Rd:5`,
    axes: { q: qAxis, size: middle },
    fp: true,
    cold: true,
    undefinedIf: middleOnly,
    regs: three,
    meaning: (e, o) => e.writeV(o.d, doublingLong(e, e.v(o.n), e.v(o.m), e.v(o.d), o.size, 8 * o.q, 16, sign)),
    asm: (f) => longText(name, f, false),
  }),
  row({
    name: `${name} (scalar)`,
    section: "C7.2",
    bits: `01011110 size:2 1 Rm:5 ${opcode as "1001"} 00 Rn:5 Rd:5`,
    axes: { size: middle },
    fp: true,
    cold: true,
    undefinedIf: middleOnly,
    regs: three,
    meaning: (e, o) => e.writeV(o.d, doublingLong(e, e.v(o.n), e.v(o.m), e.v(o.d), o.size, 0, 2 << o.size, sign)),
    asm: (f) => `${name.toLowerCase()} ${"hsd"[f.size]}${f.Rd}, ${"bhs"[f.size]}${f.Rn}, ${"bhs"[f.size]}${f.Rm}`,
  }),
]);

/** The upper halves of wide elements, gathered in the low half. */
const highNarrow: Row[] = [
  ["0100", "ADDHN", "RADDHN", "add"] as const,
  ["0110", "SUBHN", "RSUBHN", "sub"] as const,
].map(([opcode, plainName, rounding, operation]) =>
  row({
    name: `${plainName}, ${rounding}`,
    section: "C7.2",
    bits: `0 Q U 01110 size:2 1 Rm:5 ${opcode} 00 Rn:5 Rd:5`,
    axes: { q: qAxis, U: bit("U"), size: smallSize },
    fp: true,
    cold: true,
    undefinedIf: (f) => f.size === 3,
    regs: three,
    meaning: (e, o) => {
      const wide = o.size + 1;
      let v = e.vector(op(wide, operation), e.v(o.n), e.v(o.m));
      if (o.U) v = e.vector(op(wide, "add"), v, e.splat(1 << wide, e.k64((2 ** ((8 << o.size) - 1)) | 0, 0)));
      const pinned = e.let(v);
      writeNarrow(e, o.d, everyOther(e, pinned, pinned, o.size, 1, 1), o.q);
    },
    asm: (f) => {
      const w = arrangement(f.size + 1, 1);
      const name = (f.U ? rounding : plainName).toLowerCase();
      return `${name}${f.Q ? "2" : ""} v${f.Rd}.${arrangement(f.size, f.Q)}, v${f.Rn}.${w}, v${f.Rm}.${w}`;
    },
  }),
);
const polynomialLong = row({
  name: "PMULL",
  section: "C7.2.245",
  bits: "0 Q 001110001 Rm:5 111000 Rn:5 Rd:5",
  axes: { q: qAxis },
  fp: true,
  cold: true,
  regs: three,
  meaning: (e, o) => {
    const from = 8 * o.q;
    const sources = [
      { v: e.v(o.n), bytes: 1, from },
      { v: e.v(o.m), bytes: 1, from },
    ];
    e.writeV(
      o.d,
      e.mapLanes(2, 16, sources, (a, b) => lane.polynomial(e, a, b)),
    );
  },
  asm: (f) => `pmull${f.Q ? "2" : ""} v${f.Rd}.8h, v${f.Rn}.${arrangement(0, f.Q)}, v${f.Rm}.${arrangement(0, f.Q)}`,
});

// --- by element: the register number has four bits for halfwords, and the index takes the fifth
export const elementRegister: Role<"Rm"> = {
  field: "Rm",
  offset: (n, f: Fields) => vector("Rm").offset((f["size"] as number) === 1 ? n & 15 : n, f),
};
type ElementFields = { size: number; L: number; H: number; Rm: number };
export const elementIndex = (f: ElementFields) =>
  f.size === 1 ? (f.H << 2) | (f.L << 1) | (f.Rm >> 4) : f.size === 2 ? (f.H << 1) | f.L : f.H;
export const elementImmediate = (f: ElementFields & { Q?: number }, limit: number): { low: number; high: number } => ({
  low: limit,
  high: elementIndex(f) << f.size,
});
export const elementText = (f: ElementFields) =>
  `v${f.size === 1 ? f.Rm & 15 : f.Rm}.${"bhsd"[f.size]}[${elementIndex(f)}]`;
const indexed = { d: vector("Rd"), n: vector("Rn"), m: elementRegister } as const;
const splatElement = (e: Emitter, m: Parameters<Emitter["v"]>[0], size: number): V128 =>
  e.let(e.splat(1 << size, e.element(m, 1 << size, e.immHigh())));

const BY_ELEMENT: readonly [string, "0", string][] = [
  ["MLA", "1" as "0", "0000"],
  ["MLS", "1" as "0", "0100"],
  ["MUL", "0", "1000"],
  ["SQDMULH", "0", "1100"],
  ["SQRDMULH", "0", "1101"],
];
const sameByElement: Row[] = BY_ELEMENT.flatMap(([name, U, opcode]) => {
  const o = OPERATIONS.find((x) => x.name === name) as Operation;
  const rows = [
    row({
      name: `${name} (by element)`,
      section: "C7.2",
      bits: `0 Q ${U} 01111 size:2 L Rm:5 ${opcode as "0000"} H 0 Rn:5 Rd:5`,
      axes: { q: qAxis, size: middle },
      fp: true,
      cold: true,
      undefinedIf: middleOnly,
      regs: indexed,
      imm: (f) => elementImmediate(f, 0),
      meaning: (e, r) => {
        const m = splatElement(e, r.m, r.size);
        const v = o.native
          ? o.native(e, e.v(r.n), m, r.size, e.v(r.d))
          : apply(e, o, r.size, r.q ? 16 : 8, e.v(r.n), m, e.v(r.d));
        e.writeQ(r.d, v, r.q);
      },
      asm: (f) => {
        const t = arrangement(f.size, f.Q);
        return `${name.toLowerCase()} v${f.Rd}.${t}, v${f.Rn}.${t}, ${elementText(f)}`;
      },
    }),
  ];
  if (name.startsWith("SQ")) {
    rows.push(
      row({
        name: `${name} (by element, scalar)`,
        section: "C7.2",
        bits: `01 ${U} 11111 size:2 L Rm:5 ${opcode as "0000"} H 0 Rn:5 Rd:5`,
        axes: { size: middle },
        fp: true,
        cold: true,
        undefinedIf: middleOnly,
        regs: indexed,
        imm: (f) => elementImmediate(f, 0),
        meaning: (e, r) => {
          const m = splatElement(e, r.m, r.size);
          e.writeV(r.d, apply(e, o, r.size, 1 << r.size, e.v(r.n), m, e.v(r.d)));
        },
        asm: (f) => `${name.toLowerCase()} ${"bhs"[f.size]}${f.Rd}, ${"bhs"[f.size]}${f.Rn}, ${elementText(f)}`,
      }),
    );
  }
  return rows;
});
const LONG_ELEMENT = [
  ["0010", 6],
  ["0110", 7],
  ["1010", 8],
] as const;
const longByElement: Row[] = LONG_ELEMENT.map(([opcode, which]) => {
  const [, s, u, f] = LONG[which] as (typeof LONG)[number];
  return row({
    name: `${s}, ${u} (by element)`,
    section: "C7.2",
    bits: `0 Q U 01111 size:2 L Rm:5 ${opcode} H 0 Rn:5 Rd:5`,
    axes: { q: qAxis, U: bit("U"), size: middle },
    fp: true,
    cold: true,
    undefinedIf: middleOnly,
    regs: indexed,
    imm: (f) => elementImmediate(f, 0),
    meaning: (e, o) => {
      const m = splatElement(e, o.m, o.size);
      const extend = (v: V128) => extendHalf(e, v, o.size, o.q, o.U === 0);
      e.writeV(o.d, f(e, extend(e.v(o.n)), extend(m), o.size + 1, e.v(o.d)));
    },
    asm: (x) =>
      `${(x.U ? u : s).toLowerCase()}${x.Q ? "2" : ""} v${x.Rd}.${arrangement(x.size + 1, 1)}, v${x.Rn}.${arrangement(x.size, x.Q)}, ${elementText(x)}`,
  });
});
const DOUBLING_ELEMENT = ["0011", "0111", "1011"] as const;
const doublingByElement: Row[] = DOUBLING.flatMap(([name, , sign], i) => {
  const opcode = DOUBLING_ELEMENT[i] as "0011";
  return [
    row({
      name: `${name} (by element)`,
      section: "C7.2",
      bits: `0 Q 001111 size:2 L Rm:5 ${opcode} H 0 Rn:5 Rd:5`,
      axes: { q: qAxis, size: middle },
      fp: true,
      cold: true,
      undefinedIf: middleOnly,
      regs: indexed,
      imm: (f) => elementImmediate(f, 0),
      meaning: (e, o) => {
        const m = splatElement(e, o.m, o.size);
        e.writeV(o.d, doublingLong(e, e.v(o.n), m, e.v(o.d), o.size, 8 * o.q, 16, sign));
      },
      asm: (f) =>
        `${name.toLowerCase()}${f.Q ? "2" : ""} v${f.Rd}.${arrangement(f.size + 1, 1)}, v${f.Rn}.${arrangement(f.size, f.Q)}, ${elementText(f)}`,
    }),
    row({
      name: `${name} (by element, scalar)`,
      section: "C7.2",
      bits: `01011111 size:2 L Rm:5 ${opcode} H 0 Rn:5 Rd:5`,
      axes: { size: middle },
      fp: true,
      cold: true,
      undefinedIf: middleOnly,
      regs: indexed,
      imm: (f) => elementImmediate(f, 0),
      meaning: (e, o) => {
        const m = splatElement(e, o.m, o.size);
        e.writeV(o.d, doublingLong(e, e.v(o.n), m, e.v(o.d), o.size, 0, 2 << o.size, sign));
      },
      asm: (f) => `${name.toLowerCase()} ${"hsd"[f.size]}${f.Rd}, ${"bhs"[f.size]}${f.Rn}, ${elementText(f)}`,
    }),
  ];
});

export const simdThree: readonly Row[] = [
  ...same,
  ...logical,
  ...pairwise,
  ...long,
  ...doubling,
  ...highNarrow,
  polynomialLong,
  ...sameByElement,
  ...longByElement,
  ...doublingByElement,
];
