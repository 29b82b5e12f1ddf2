/** C4.1.90: Advanced SIMD two-register miscellaneous, across lanes, pairwise scalar and shifts by immediate, integer part. */
import type { Emitter, I64, V128 } from "../engine/emitter.ts";
import * as lane from "./lanes.ts";
import { axis, bit, type Row, row } from "./row.ts";
import { arrangement } from "./simd-memory.ts";
import { everyOther, extendHalf, op, writeNarrow } from "./simd-three.ts";
import { qAxis, two } from "./vector-operands.ts";

const ALL = [0, 1, 2, 3];
const SMALL = [0, 1, 2];
const zero = (e: Emitter) => e.kv(new Array<number>(16).fill(0));

interface Operation {
  readonly name: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly sizes: readonly number[];
  readonly scalar?: readonly number[];
  readonly signed?: boolean;
  readonly accumulate?: boolean;
  readonly native?: (e: Emitter, a: V128, size: number) => V128;
  readonly lane?: (e: Emitter, a: I64, bytes: number, d: I64) => I64;
}
const compareZero =
  (name: string): NonNullable<Operation["native"]> =>
  (e, a, size) =>
    e.vector(op(size, name), a, zero(e));
/** Reverses groups of `group` bytes in units of 1 << size bytes. */
const reversed = (group: number) => (e: Emitter, a: V128, size: number) => {
  const bytes = 1 << size;
  const from = (i: number) => {
    const inGroup = i % group;
    return i - inGroup + (group - bytes - (inGroup - (i % bytes))) + (i % bytes);
  };
  const pinned = e.let(a);
  return e.shuffle(
    pinned,
    pinned,
    Array.from({ length: 16 }, (_, i) => from(i)),
  );
};
/** Leading zeros of an unsigned element. */
const leadingZeros = (e: Emitter, a: I64, bytes: number) => e.sub(e.clz(a), e.k64(64 - 8 * bytes));
const OPERATIONS: readonly Operation[] = [
  { name: "REV64", U: 0, opcode: "00000", sizes: SMALL, native: reversed(8) },
  { name: "REV32", U: 1, opcode: "00000", sizes: [0, 1], native: reversed(4) },
  { name: "REV16", U: 0, opcode: "00001", sizes: [0], native: reversed(2) },
  {
    name: "SUQADD",
    U: 0,
    opcode: "00011",
    sizes: ALL,
    scalar: ALL,
    accumulate: true,
    // the accumulator is signed: extended here, as sources are read unsigned
    lane: (e, a, bytes, d) => lane.mixedAdd(e, signedElement(e, d, bytes), a, bytes, true),
  },
  {
    name: "USQADD",
    U: 1,
    opcode: "00011",
    sizes: ALL,
    scalar: ALL,
    accumulate: true,
    lane: (e, a, bytes, d) => lane.mixedAdd(e, d, signedElement(e, a, bytes), bytes, false),
  },
  {
    name: "CLS",
    U: 0,
    opcode: "00100",
    sizes: SMALL,
    signed: true,
    lane: (e, a, bytes) => e.sub(e.clz(e.xor(a, e.sar(a, e.k64(1)))), e.k64(64 - 8 * bytes + 1)),
  },
  { name: "CLZ", U: 1, opcode: "00100", sizes: SMALL, lane: leadingZeros },
  { name: "CNT", U: 0, opcode: "00101", sizes: [0], native: (e, a) => e.vector("i8x16.popcnt", a) },
  {
    name: "SQABS",
    U: 0,
    opcode: "00111",
    sizes: ALL,
    scalar: ALL,
    signed: true,
    lane: (e, a, bytes) => {
      const negated = e.let(
        lane.saturatingAdd(e, e.k64(0), e.select(e.ltS(a, e.k64(0)), a, e.k64(0)), bytes, true, true),
      );
      return e.select(e.ltS(a, e.k64(0)), negated as I64, a);
    },
  },
  {
    name: "SQNEG",
    U: 1,
    opcode: "00111",
    sizes: ALL,
    scalar: ALL,
    signed: true,
    lane: (e, a, bytes) => lane.saturatingAdd(e, e.let(e.k64(0)) as I64, a, bytes, true, true),
  },
  { name: "CMGT (zero)", U: 0, opcode: "01000", sizes: ALL, scalar: [3], native: compareZero("gt_s") },
  { name: "CMGE (zero)", U: 1, opcode: "01000", sizes: ALL, scalar: [3], native: compareZero("ge_s") },
  { name: "CMEQ (zero)", U: 0, opcode: "01001", sizes: ALL, scalar: [3], native: compareZero("eq") },
  { name: "CMLE (zero)", U: 1, opcode: "01001", sizes: ALL, scalar: [3], native: compareZero("le_s") },
  { name: "CMLT (zero)", U: 0, opcode: "01010", sizes: ALL, scalar: [3], native: compareZero("lt_s") },
  { name: "ABS", U: 0, opcode: "01011", sizes: ALL, scalar: [3], native: (e, a, size) => e.vector(op(size, "abs"), a) },
  { name: "NEG", U: 1, opcode: "01011", sizes: ALL, scalar: [3], native: (e, a, size) => e.vector(op(size, "neg"), a) },
];
function signedElement(e: Emitter, v: I64, bytes: number): I64 {
  return e.let(bytes === 8 ? v : e.sext(v, (8 * bytes) as 8)) as I64;
}
function result(
  e: Emitter,
  o: Operation,
  size: number,
  limit: number | ReturnType<Emitter["imm32"]>,
  n: V128,
  d: V128,
): V128 {
  const bytes = 1 << size;
  const f = o.lane;
  if (f === undefined) throw new Error(`${o.name}: no meaning`);
  const first = { v: n, bytes, signed: o.signed ?? false };
  if (!o.accumulate) return e.mapLanes(bytes, limit, [first], (a) => f(e, a, bytes, a));
  return e.mapLanes(bytes, limit, [first, { v: d, bytes }], (a, acc) => f(e, a, bytes, acc));
}
const HOT = /^(NEG|CMEQ \(zero\)|ABS)/;
const short = (name: string) => name.replace(" (zero)", "").toLowerCase();
const miscellaneous: Row[] = OPERATIONS.flatMap((o) => {
  const U = `${o.U}` as "0";
  const opcode = o.opcode as "00000";
  const tail = o.name.includes("zero") ? ", #0" : "";
  const rows = [
    row({
      name: `${o.name} (vector)`,
      section: "C7.2",
      bits: `0 Q ${U} 01110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
      axes: {
        size: axis(o.sizes, (f: { size: number }) => f.size),
        q: axis([0, 1], (f: { Q: number }) => (o.native ? f.Q : 0)),
      },
      never: (v) => v.q === 1 && !o.native,
      fp: true,
      cold: !HOT.test(o.name),
      undefinedIf: (f) => !o.sizes.includes(f.size) || (f.size === 3 && !f.Q),
      regs: two,
      imm: (f) => (f.Q ? 16 : 8),
      meaning: (e, r) => {
        if (o.native) e.writeQ(r.d, o.native(e, e.v(r.n), r.size), r.q);
        else e.writeV(r.d, result(e, o, r.size, e.imm32(), e.v(r.n), e.v(r.d)));
      },
      asm: (f) => `${short(o.name)} v${f.Rd}.${arrangement(f.size, f.Q)}, v${f.Rn}.${arrangement(f.size, f.Q)}${tail}`,
    }),
  ];
  const scalar = o.scalar ?? [];
  if (scalar.length > 0) {
    rows.push(
      row({
        name: `${o.name} (scalar)`,
        section: "C7.2",
        bits: `01 ${U} 11110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
        axes: { size: axis(scalar, (f: { size: number }) => f.size) },
        fp: true,
        cold: true,
        undefinedIf: (f) => !scalar.includes(f.size),
        regs: two,
        imm: (f) => 1 << f.size,
        meaning: (e, r) => {
          if (o.native) e.writeQ(r.d, o.native(e, e.v(r.n), r.size), 0);
          else e.writeV(r.d, result(e, o, r.size, e.imm32(), e.v(r.n), e.v(r.d)));
        },
        asm: (f) => `${short(o.name)} ${"bhsd"[f.size]}${f.Rd}, ${"bhsd"[f.size]}${f.Rn}${tail}`,
      }),
    );
  }
  return rows;
});

const smallSize = axis(SMALL, (f: { size: number }) => f.size);
const pairwiseLong: Row[] = (
  [
    ["00010", "SADDLP", "UADDLP", false],
    ["00110", "SADALP", "UADALP", true],
  ] as const
).map(([opcode, s, u, accumulate]) =>
  row({
    name: `${s}, ${u}`,
    section: "C7.2",
    bits: `0 Q U 01110 size:2 10000 ${opcode} 10 Rn:5 Rd:5`,
    axes: { q: qAxis, U: bit("U"), size: smallSize },
    fp: true,
    cold: true,
    undefinedIf: (f) => f.size === 3,
    regs: two,
    meaning: (e, o) => {
      const wide = o.size + 1;
      const shr = op(wide, o.U ? "shr_u" : "shr_s");
      const by = e.k32(8 << o.size);
      const n = e.let(e.v(o.n));
      const sum = e.vector(op(wide, "add"), e.vector(shr, n, by), e.vector(shr, e.vector(op(wide, "shl"), n, by), by));
      e.writeQ(o.d, accumulate ? e.vector(op(wide, "add"), e.v(o.d), sum) : sum, o.q);
    },
    asm: (f) =>
      `${(f.U ? u : s).toLowerCase()} v${f.Rd}.${arrangement(f.size + 1, f.Q)}, v${f.Rn}.${arrangement(f.size, f.Q)}`,
  }),
);
const bitwise: Row[] = [
  row({
    name: "NOT (vector)",
    section: "C7.2.236",
    bits: "0 Q 10111000100000010110 Rn:5 Rd:5",
    axes: { q: qAxis },
    fp: true,
    regs: two,
    meaning: (e, o) => e.writeQ(o.d, e.vector("v128.not", e.v(o.n)), o.q),
    asm: (f) => `mvn v${f.Rd}.${arrangement(0, f.Q)}, v${f.Rn}.${arrangement(0, f.Q)}`,
  }),
  row({
    name: "RBIT (vector)",
    section: "C7.2.251",
    bits: "0 Q 10111001100000010110 Rn:5 Rd:5",
    axes: { q: qAxis },
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => {
      let v = e.v(o.n);
      for (const [by, m] of [
        [1, 0x55],
        [2, 0x33],
        [4, 0x0f],
      ] as const) {
        const x = e.let(v);
        const low = e.kv(new Array<number>(16).fill(m));
        const down = e.vector("v128.and", e.vector("i8x16.shr_u", x, e.k32(by)), low);
        v = e.vector("v128.or", down, e.vector("i8x16.shl", e.vector("v128.and", x, low), e.k32(by)));
      }
      e.writeQ(o.d, v, o.q);
    },
    asm: (f) => `rbit v${f.Rd}.${arrangement(0, f.Q)}, v${f.Rn}.${arrangement(0, f.Q)}`,
  }),
];

const narrowText = (name: string, f: { size: number; Q: number; Rd: number; Rn: number }) =>
  `${name.toLowerCase()}${f.Q ? "2" : ""} v${f.Rd}.${arrangement(f.size, f.Q)}, v${f.Rn}.${arrangement(f.size + 1, 1)}`;
/** Narrowing: signedness of source and result; null takes the low half. */
const NARROW: readonly [string, "0", string, { from: boolean; to: boolean } | null][] = [
  ["XTN", "0", "10010", null],
  ["SQXTUN", "1" as "0", "10010", { from: true, to: false }],
  ["SQXTN", "0", "10100", { from: true, to: true }],
  ["UQXTN", "1" as "0", "10100", { from: false, to: false }],
];
const narrows: Row[] = NARROW.flatMap(([name, U, opcode, kind]) => {
  const narrowed = (e: Emitter, n: V128, size: number, limit: number): V128 => {
    if (kind === null) {
      const v = e.let(n);
      return everyOther(e, v, v, size, 1, 0);
    }
    const bytes = 1 << size;
    return e.mapLanes(bytes, limit, [{ v: n, bytes: 2 * bytes, signed: kind.from }], (a) =>
      lane.saturate(e, a, bytes, kind.to, kind.from),
    );
  };
  const rows = [
    row({
      name: `${name} (vector)`,
      section: "C7.2",
      bits: `0 Q ${U} 01110 size:2 10000 ${opcode as "10010"} 10 Rn:5 Rd:5`,
      axes: { q: qAxis, size: smallSize },
      fp: true,
      cold: true,
      undefinedIf: (f) => f.size === 3,
      regs: two,
      meaning: (e, o) => writeNarrow(e, o.d, narrowed(e, e.v(o.n), o.size, 8), o.q),
      asm: (f) => narrowText(name, f),
    }),
  ];
  if (kind !== null) {
    rows.push(
      row({
        name: `${name} (scalar)`,
        section: "C7.2",
        bits: `01 ${U} 11110 size:2 10000 ${opcode as "10010"} 10 Rn:5 Rd:5`,
        axes: { size: smallSize },
        fp: true,
        cold: true,
        undefinedIf: (f) => f.size === 3,
        regs: two,
        meaning: (e, o) => e.writeV(o.d, narrowed(e, e.v(o.n), o.size, 1 << o.size)),
        asm: (f) => `${name.toLowerCase()} ${"bhs"[f.size]}${f.Rd}, ${"hsd"[f.size]}${f.Rn}`,
      }),
    );
  }
  return rows;
});
const shiftLong = row({
  name: "SHLL",
  section: "C7.2.269",
  bits: "0 Q 101110 size:2 10000 1001110 Rn:5 Rd:5",
  axes: { q: qAxis, size: smallSize },
  fp: true,
  cold: true,
  undefinedIf: (f) => f.size === 3,
  regs: two,
  meaning: (e, o) => {
    const v = extendHalf(e, e.v(o.n), o.size, o.q, false);
    e.writeV(o.d, e.vector(op(o.size + 1, "shl"), v, e.k32(8 << o.size)));
  },
  asm: (f) =>
    `shll${f.Q ? "2" : ""} v${f.Rd}.${arrangement(f.size + 1, 1)}, v${f.Rn}.${arrangement(f.size, f.Q)}, #${8 << f.size}`,
});

// --- across lanes
const ACROSS: readonly [string, string, "0" | "1", boolean, boolean, (e: Emitter, a: I64, b: I64) => I64][] = [
  ["SADDLV", "00011", "0", true, true, (e, a, b) => e.add(a, b)],
  ["UADDLV", "00011", "1", false, true, (e, a, b) => e.add(a, b)],
  ["SMAXV", "01010", "0", true, false, (e, a, b) => lane.maximum(e, a, b, true)],
  ["UMAXV", "01010", "1", false, false, (e, a, b) => lane.maximum(e, a, b, false)],
  ["SMINV", "11010", "0", true, false, (e, a, b) => lane.minimum(e, a, b, true)],
  ["UMINV", "11010", "1", false, false, (e, a, b) => lane.minimum(e, a, b, false)],
  ["ADDV", "11011", "0", false, false, (e, a, b) => e.add(a, b)],
];
const across = ACROSS.map(([name, opcode, U, signed, long, f]) =>
  row({
    name,
    section: "C7.2",
    bits: `0 Q ${U as "0"} 01110 size:2 11000 ${opcode as "00011"} 10 Rn:5 Rd:5`,
    axes: { q: qAxis, size: smallSize },
    never: (v) => v.size === 2 && v.q === 0,
    fp: true,
    cold: true,
    undefinedIf: (f) => f.size === 3 || (f.size === 2 && !f.Q),
    regs: two,
    meaning: (e, o) => {
      const bytes = 1 << o.size;
      const v = e.foldLanes(e.v(o.n), bytes, o.q ? 16 : 8, signed, (acc, a) => f(e, acc, a));
      const bits = 8 * bytes * (long ? 2 : 1);
      e.writeD(o.d, bits === 64 ? v : e.and(v, e.k64(bits === 32 ? -1 : 2 ** bits - 1, 0)));
    },
    asm: (f) => `${name.toLowerCase()} ${"bhsd"[f.size + (long ? 1 : 0)]}${f.Rd}, v${f.Rn}.${arrangement(f.size, f.Q)}`,
  }),
);
const addPair = row({
  name: "ADDP (scalar)",
  section: "C7.2.5",
  bits: "0101111011110001101110 Rn:5 Rd:5",
  fp: true,
  cold: true,
  regs: two,
  meaning: (e, o) => e.writeD(o.d, e.add(e.element(o.n, 8, 0), e.element(o.n, 8, 8))),
  asm: (f) => `addp d${f.Rd}, v${f.Rn}.2d`,
});

// --- shifts by immediate: immh's highest bit gives the size, immh:immb the amount
type ShiftFields = { immh: number; immb: number };
const sizeOf = (f: ShiftFields) => 31 - Math.clz32(f.immh);
const right = (f: ShiftFields) => (16 << sizeOf(f)) - ((f.immh << 3) | f.immb);
const left = (f: ShiftFields) => ((f.immh << 3) | f.immb) - (8 << sizeOf(f));
type Shift = (e: Emitter, v: V128, size: number, signed: boolean, d: V128) => V128;
/** The immediate is the amount less one: shifts by the full width take two steps. */
const amountLess1 = (e: Emitter) => e.imm32();
const shr = (size: number, signed: boolean) => op(size, signed ? "shr_s" : "shr_u");
const plainRight: Shift = (e, v, size, signed) =>
  e.vector(shr(size, signed), e.vector(shr(size, signed), v, amountLess1(e)), e.k32(1));
const roundingRight: Shift = (e, v, size, signed) => {
  const most = e.let(e.vector(shr(size, signed), v, amountLess1(e)));
  const last = e.vector("v128.and", most, e.splat(1 << size, e.k64(1)));
  return e.vector(op(size, "add"), e.vector(shr(size, signed), most, e.k32(1)), last);
};
const accumulated =
  (f: Shift): Shift =>
  (e, v, size, signed, d) =>
    e.vector(op(size, "add"), d, f(e, v, size, signed, d));
const allOnes = (e: Emitter) => e.kv(new Array<number>(16).fill(255));
const insertRight: Shift = (e, v, size, _, d) => {
  const kept = plainRight(e, allOnes(e), size, false, d);
  return e.vector("v128.bitselect", plainRight(e, v, size, false, d), d, e.let(kept));
};
const shiftLeft: Shift = (e, v, size) => e.vector(op(size, "shl"), v, e.imm32());
const insertLeft: Shift = (e, v, size, signed, d) =>
  e.vector("v128.bitselect", shiftLeft(e, v, size, signed, d), d, shiftLeft(e, allOnes(e), size, signed, d));
/** opcode; names by U (empty: UNDEFINED); operation; whether the shift is to the right. */
const SHIFTS: readonly [string, readonly [string, string], readonly [Shift, Shift], boolean][] = [
  ["00000", ["SSHR", "USHR"], [plainRight, plainRight], true],
  ["00010", ["SSRA", "USRA"], [accumulated(plainRight), accumulated(plainRight)], true],
  ["00100", ["SRSHR", "URSHR"], [roundingRight, roundingRight], true],
  ["00110", ["SRSRA", "URSRA"], [accumulated(roundingRight), accumulated(roundingRight)], true],
  ["01000", ["", "SRI"], [plainRight, insertRight], true],
  ["01010", ["SHL", "SLI"], [shiftLeft, insertLeft], false],
];
const shiftAmount = (f: ShiftFields, toRight: boolean) => (toRight ? right(f) : left(f));
const shiftText = (name: string, f: ShiftFields & { Rd: number; Rn: number }, q: number | null, amount: number) => {
  const t = (n: number) => (q === null ? `d${n}` : `v${n}.${arrangement(sizeOf(f), q)}`);
  return `${name.toLowerCase()} ${t(f.Rd)}, ${t(f.Rn)}, #${amount}`;
};
const sizeAxis = axis(ALL, sizeOf);
const shifts: Row[] = SHIFTS.flatMap(([opcode, names, f, toRight]) =>
  ([0, 1] as const).flatMap((U) => {
    const name = names[U];
    if (name === "") return [];
    const u = `${U}` as "0";
    const shift = f[U];
    return [
      row({
        name: `${name} (vector)`,
        section: "C7.2",
        bits: `0 Q ${u} 011110 immh:4 immb:3 ${opcode as "00000"} 1 Rn:5 Rd:5`,
        nonzero: "immh",
        axes: { q: qAxis, size: sizeAxis },
        never: (v) => v.size === 3 && v.q === 0,
        fp: true,
        cold: !/^(SHL|USHR|SSHR|USRA)$/.test(name),
        undefinedIf: (x) => x.immh === 0 || (x.immh >= 8 && !x.Q),
        regs: two,
        imm: (x) => (toRight ? right(x) - 1 : left(x)),
        meaning: (e, o) => e.writeQ(o.d, shift(e, e.v(o.n), o.size, U === 0, e.v(o.d)), o.q),
        asm: (x) => shiftText(name, x, x.Q, shiftAmount(x, toRight)),
      }),
      row({
        name: `${name} (scalar)`,
        section: "C7.2",
        bits: `01 ${u} 111110 immh:4 immb:3 ${opcode as "00000"} 1 Rn:5 Rd:5`,
        nonzero: "immh",
        fp: true,
        cold: true,
        undefinedIf: (x) => x.immh < 8,
        regs: two,
        imm: (x) => (toRight ? right(x) - 1 : left(x)),
        meaning: (e, o) => e.writeQ(o.d, shift(e, e.v(o.n), 3, U === 0, e.v(o.d)), 0),
        asm: (x) => shiftText(name, x, null, shiftAmount(x, toRight)),
      }),
    ];
  }),
);
/** SQSHLU (signed to unsigned), SQSHL, UQSHL. */
const saturatingLeft: Row[] = (
  [
    ["SQSHLU", "1", "01100", true, false],
    ["SQSHL", "0", "01110", true, true],
    ["UQSHL", "1", "01110", false, false],
  ] as const
).flatMap(([name, U, opcode, from, to]) => {
  const shifted = (e: Emitter, v: V128, size: number, limit: ReturnType<Emitter["imm32"]>): V128 => {
    const bytes = 1 << size;
    return e.mapLanes(bytes, limit, [{ v, bytes, signed: from }], (a) =>
      lane.saturatingShiftLeft(e, a, e.extendU(e.imm32()), bytes, from, to),
    );
  };
  return [
    row({
      name: `${name} (immediate, vector)`,
      section: "C7.2",
      bits: `0 Q ${U as "0"} 011110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
      nonzero: "immh",
      axes: { size: sizeAxis },
      fp: true,
      cold: true,
      undefinedIf: (x) => x.immh === 0 || (x.immh >= 8 && !x.Q),
      regs: two,
      imm: (x) => ({ low: left(x), high: x.Q ? 16 : 8 }),
      meaning: (e, o) => e.writeV(o.d, shifted(e, e.v(o.n), o.size, e.immHigh())),
      asm: (x) => shiftText(name, x, x.Q, left(x)),
    }),
    row({
      name: `${name} (immediate, scalar)`,
      section: "C7.2",
      bits: `01 ${U as "0"} 111110 immh:4 immb:3 ${opcode} 1 Rn:5 Rd:5`,
      nonzero: "immh",
      axes: { size: sizeAxis },
      fp: true,
      cold: true,
      undefinedIf: (x) => x.immh === 0,
      regs: two,
      imm: (x) => ({ low: left(x), high: 1 << sizeOf(x) }),
      meaning: (e, o) => e.writeV(o.d, shifted(e, e.v(o.n), o.size, e.immHigh())),
      asm: (x) => `${name.toLowerCase()} ${"bhsd"[sizeOf(x)]}${x.Rd}, ${"bhsd"[sizeOf(x)]}${x.Rn}, #${left(x)}`,
    }),
  ];
});
/** Right shifts that narrow: rounding or not, saturating from and to signedness or not. */
const NARROW_SHIFTS: readonly [string, "0" | "1", string, boolean, { from: boolean; to: boolean } | null][] = [
  ["SHRN", "0", "10000", false, null],
  ["SQSHRUN", "1", "10000", false, { from: true, to: false }],
  ["RSHRN", "0", "10001", true, null],
  ["SQRSHRUN", "1", "10001", true, { from: true, to: false }],
  ["SQSHRN", "0", "10010", false, { from: true, to: true }],
  ["UQSHRN", "1", "10010", false, { from: false, to: false }],
  ["SQRSHRN", "0", "10011", true, { from: true, to: true }],
  ["UQRSHRN", "1", "10011", true, { from: false, to: false }],
];
const narrowShifts: Row[] = NARROW_SHIFTS.flatMap(([name, U, opcode, round, kind]) => {
  const narrowed = (e: Emitter, n: V128, size: number, limit: number): V128 => {
    if (kind === null) {
      const wide = e.let((round ? roundingRight : plainRight)(e, n, size + 1, false, n));
      return everyOther(e, wide, wide, size, 1, 0);
    }
    const bytes = 1 << size;
    return e.mapLanes(bytes, limit, [{ v: n, bytes: 2 * bytes, signed: kind.from }], (a) => {
      const by = e.add(e.extendU(e.imm32()), e.k64(1));
      return lane.saturate(e, lane.shiftRightBy(e, a, by, kind.from, round), bytes, kind.to, kind.from);
    });
  };
  const rows = [
    row({
      name: `${name} (vector)`,
      section: "C7.2",
      bits: `0 Q ${U as "0"} 011110 immh:4 immb:3 ${opcode as "10000"} 1 Rn:5 Rd:5`,
      nonzero: "immh",
      axes: { q: qAxis, size: axis(SMALL, sizeOf) },
      fp: true,
      cold: true,
      undefinedIf: (x) => x.immh === 0 || x.immh >= 8,
      regs: two,
      imm: (x) => right(x) - 1,
      meaning: (e, o) => writeNarrow(e, o.d, narrowed(e, e.v(o.n), o.size, 8), o.q),
      asm: (x) => `${narrowText(name, { ...x, size: sizeOf(x) })}, #${right(x)}`,
    }),
  ];
  if (kind !== null) {
    rows.push(
      row({
        name: `${name} (scalar)`,
        section: "C7.2",
        bits: `01 ${U as "0"} 111110 immh:4 immb:3 ${opcode as "10000"} 1 Rn:5 Rd:5`,
        nonzero: "immh",
        axes: { size: axis(SMALL, sizeOf) },
        fp: true,
        cold: true,
        undefinedIf: (x) => x.immh === 0 || x.immh >= 8,
        regs: two,
        imm: (x) => right(x) - 1,
        meaning: (e, o) => e.writeV(o.d, narrowed(e, e.v(o.n), o.size, 1 << o.size)),
        asm: (x) => `${name.toLowerCase()} ${"bhs"[sizeOf(x)]}${x.Rd}, ${"hsd"[sizeOf(x)]}${x.Rn}, #${right(x)}`,
      }),
    );
  }
  return rows;
});
const leftLong = row({
  name: "SSHLL, USHLL",
  section: "C7.2.310, C7.2.390",
  bits: "0 Q U 011110 immh:4 immb:3 101001 Rn:5 Rd:5",
  nonzero: "immh",
  axes: { q: qAxis, U: bit("U"), size: axis(SMALL, sizeOf) },
  fp: true,
  undefinedIf: (x) => x.immh === 0 || x.immh >= 8,
  regs: two,
  imm: left,
  meaning: (e, o) => {
    const v = extendHalf(e, e.v(o.n), o.size, o.q, o.U === 0);
    e.writeV(o.d, e.vector(op(o.size + 1, "shl"), v, e.imm32()));
  },
  asm: (x) => {
    const regs = `v${x.Rd}.${arrangement(sizeOf(x) + 1, 1)}, v${x.Rn}.${arrangement(sizeOf(x), x.Q)}`;
    const name = `${x.U ? "u" : "s"}${left(x) === 0 ? "xtl" : "shll"}${x.Q ? "2" : ""}`;
    return left(x) === 0 ? `${name} ${regs}` : `${name} ${regs}, #${left(x)}`;
  },
});

export const simdTwo: readonly Row[] = [
  ...miscellaneous,
  ...pairwiseLong,
  ...bitwise,
  ...narrows,
  shiftLong,
  ...across,
  addPair,
  ...shifts,
  ...saturatingLeft,
  ...narrowShifts,
  leftLong,
];
