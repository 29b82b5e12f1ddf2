/** C4.1.90: the Cryptographic Extension: AES, SHA-1, SHA-256 and the 64-bit polynomial multiply. */
import type { Emitter, I32, I64, V128 } from "../engine/emitter.ts";
import { type Row, row } from "./row.ts";
import { qAxis, three, two } from "./vector-operands.ts";

type Two = Parameters<Parameters<typeof row<"Rn:5 Rd:5", "d" | "n">>[0]["meaning"]>[1];

// --- AES (FIPS 197); the state is four columns of four bytes, byte r + 4c being row r of column c

/** Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
const double = (a: number) => ((a << 1) ^ ((a & 0x80) !== 0 ? 0x11b : 0)) & 0xff;
function multiply(a: number, b: number): number {
  let sum = 0;
  for (let bit = 0, power = a; bit < 8; bit++, power = double(power)) if ((b >> bit) & 1) sum ^= power;
  return sum;
}
/** FIPS 197 5.1.1: the multiplicative inverse (a to the 254th), then the affine map. */
function substitute(a: number): number {
  let inverse = 1;
  for (let i = 0; i < 254; i++) inverse = multiply(inverse, a);
  let s = inverse;
  for (let turn = 1; turn <= 4; turn++) s ^= (inverse << turn) | (inverse >> (8 - turn));
  return (s & 0xff) ^ 0x63;
}
const bytes256 = Array.from({ length: 256 }, (_, i) => i);
const SUBSTITUTION: readonly number[] = bytes256.map(substitute);
const INVERSE_SUBSTITUTION: readonly number[] = bytes256.map((b) => SUBSTITUTION.indexOf(b));
const shiftRows = (by: 1 | -1): readonly number[] =>
  Array.from({ length: 16 }, (_, i) => {
    const r = i % 4;
    return r + 4 * (((i >> 2) + by * r + 4) % 4);
  });

const xor = (e: Emitter, a: V128, b: V128) => e.vector("v128.xor", a, b);
const fill = (e: Emitter, byte: number) => e.kv(new Array<number>(16).fill(byte));

/** Sixteen look-ups of sixteen bytes: an index outside a table gives zero. */
function lookUp(e: Emitter, table: readonly number[], index: V128): V128 {
  let sum = e.vector("i8x16.swizzle", e.kv(table.slice(0, 16)), index);
  for (let at = 16; at < 256; at += 16) {
    const part = e.vector("i8x16.swizzle", e.kv(table.slice(at, at + 16)), e.vector("i8x16.sub", index, fill(e, at)));
    sum = e.vector("v128.or", sum, part);
  }
  return sum;
}
const aesRound = (table: readonly number[], by: 1 | -1) => (e: Emitter, o: Two) => {
  const state = e.let(xor(e, e.v(o.d), e.v(o.n)));
  const index = e.let(e.shuffle(state, state, shiftRows(by)));
  e.writeV(o.d, lookUp(e, table, index));
};
/** Each byte times x. */
const twice = (e: Emitter, a: V128) =>
  xor(e, e.vector("i8x16.shl", a, e.k32(1)), e.vector("v128.and", e.vector("i8x16.shr_s", a, e.k32(7)), fill(e, 0x1b)));
const rotateColumns = (e: Emitter, a: V128, by: number) =>
  e.shuffle(
    a,
    a,
    Array.from({ length: 16 }, (_, i) => (i & 12) + ((i + by) & 3)),
  );
/** FIPS 197 5.1.3: 2 a + 3 a[1] + a[2] + a[3] of each column. */
function mixColumns(e: Emitter, a: V128): V128 {
  const doubled = e.let(twice(e, a));
  const next = xor(e, rotateColumns(e, doubled, 1), rotateColumns(e, a, 1));
  return xor(e, xor(e, doubled, next), xor(e, rotateColumns(e, a, 2), rotateColumns(e, a, 3)));
}
/** The inverse is the forward mix of a + 4 (a + a[2]): 0x0E = 2 + 4 + 8 and so on. */
function inverseMixColumns(e: Emitter, a: V128): V128 {
  const pairs = e.let(xor(e, a, rotateColumns(e, a, 2)));
  const doubled = e.let(twice(e, pairs));
  return mixColumns(e, e.let(xor(e, a, twice(e, doubled))));
}

function aes(name: string, section: string, opcode: string, meaning: (e: Emitter, o: Two) => void): Row {
  return row({
    name,
    section,
    feature: "AES",
    bits: `010011100010100${opcode as "00100"}10 Rn:5 Rd:5`,
    fp: true,
    cold: true,
    regs: two,
    meaning,
    asm: (f) => `${name.toLowerCase()} v${f.Rd}.16b, v${f.Rn}.16b`,
  });
}

// --- SHA (FIPS 180-4)

const rotateRight = (e: Emitter, a: I32, by: number) => e.ror(a, e.k32(by));
const rotateLeft = (e: Emitter, a: I32, by: number) => e.ror(a, e.k32(32 - by));
type Mix = (e: Emitter, x: I32, y: I32, z: I32) => I32;
const choose: Mix = (e, x, y, z) => e.xor(e.and(e.xor(y, z), x), z);
const parity: Mix = (e, x, y, z) => e.xor(e.xor(x, y), z);
const majority: Mix = (e, x, y, z) => e.or(e.and(x, y), e.and(e.or(x, y), z));

type Words = [I32, I32, I32, I32];
const wordsOf = (e: Emitter, r: Parameters<Emitter["element"]>[0]): Words => {
  const word = (i: number) => e.let(e.wrap(e.element(r, 4, 4 * i)));
  return [word(0), word(1), word(2), word(3)];
};
const pair = (e: Emitter, low: I32, high: I32): I64 => e.or(e.extendU(low), e.shl(e.extendU(high), e.k64(32)));
const fromWords = (e: Emitter, [a, b, c, d]: Words): V128 => e.halves(pair(e, a, b), pair(e, c, d));

function sha1(name: string, section: string, opcode: string, mix: Mix): Row {
  return row({
    name,
    section,
    feature: "SHA1",
    bits: `01011110000 Rm:5 0${opcode as "000"}00 Rn:5 Rd:5`,
    fp: true,
    cold: true,
    regs: three,
    meaning: (e, o) => {
      let [a, b, c, d] = wordsOf(e, o.d);
      let last = e.let(e.wrap(e.element(o.n, 4, 0)));
      for (const w of wordsOf(e, o.m)) {
        const sum = e.let(e.add(e.add(last, rotateLeft(e, a, 5)), e.add(mix(e, b, c, d), w)));
        [last, d, c, b, a] = [d, c, e.let(rotateLeft(e, b, 30)), a, sum];
      }
      e.writeV(o.d, fromWords(e, [a, b, c, d]));
    },
    asm: (f) => `${name.toLowerCase()} q${f.Rd}, s${f.Rn}, v${f.Rm}.4s`,
  });
}

/** Four rounds; gives what becomes of `x` (the first half) or of `y`. */
function sha256Hash(e: Emitter, x: Words, y: Words, w: Words, first: boolean): V128 {
  let [x0, x1, x2, x3] = x;
  let [y0, y1, y2, y3] = y;
  for (const word of w) {
    const big1 = e.xor(e.xor(rotateRight(e, y0, 6), rotateRight(e, y0, 11)), rotateRight(e, y0, 25));
    const big0 = e.xor(e.xor(rotateRight(e, x0, 2), rotateRight(e, x0, 13)), rotateRight(e, x0, 22));
    const t = e.let(e.add(e.add(y3, big1), e.add(choose(e, y0, y1, y2), word)));
    const up = e.let(e.add(t, x3));
    const top = e.let(e.add(t, e.add(big0, majority(e, x0, x1, x2))));
    [y3, y2, y1, y0, x3, x2, x1, x0] = [y2, y1, y0, up, x2, x1, x0, top];
  }
  return fromWords(e, first ? [x0, x1, x2, x3] : [y0, y1, y2, y3]);
}
function sha256Rounds(name: string, section: string, opcode: string, first: boolean): Row {
  return row({
    name,
    section,
    feature: "SHA256",
    bits: `01011110000 Rm:5 0${opcode as "100"}00 Rn:5 Rd:5`,
    fp: true,
    cold: true,
    regs: three,
    meaning: (e, o) => {
      const [x, y] = first ? [o.d, o.n] : [o.n, o.d];
      e.writeV(o.d, sha256Hash(e, wordsOf(e, x), wordsOf(e, y), wordsOf(e, o.m), first));
    },
    asm: (f) => `${name.toLowerCase()} q${f.Rd}, q${f.Rn}, v${f.Rm}.4s`,
  });
}

const small0 = (e: Emitter, a: I32) => e.xor(e.xor(rotateRight(e, a, 7), rotateRight(e, a, 18)), e.shr(a, e.k32(3)));
const small1 = (e: Emitter, a: I32) => e.xor(e.xor(rotateRight(e, a, 17), rotateRight(e, a, 19)), e.shr(a, e.k32(10)));

const sha: readonly Row[] = [
  sha1("SHA1C", "C7.2.263", "000", choose),
  sha1("SHA1P", "C7.2.266", "001", parity),
  sha1("SHA1M", "C7.2.265", "010", majority),
  row({
    name: "SHA1SU0",
    section: "C7.2.267",
    feature: "SHA1",
    bits: "01011110000 Rm:5 001100 Rn:5 Rd:5",
    fp: true,
    cold: true,
    regs: three,
    meaning: (e, o) => {
      const d = e.let(e.v(o.d));
      const n = e.let(e.v(o.n));
      const middle = e.halves(e.half(d, 1), e.half(n, 0));
      e.writeV(o.d, xor(e, xor(e, middle, d), e.v(o.m)));
    },
    asm: (f) => `sha1su0 v${f.Rd}.4s, v${f.Rn}.4s, v${f.Rm}.4s`,
  }),
  sha256Rounds("SHA256H", "C7.2.270", "100", true),
  sha256Rounds("SHA256H2", "C7.2.269", "101", false),
  row({
    name: "SHA256SU1",
    section: "C7.2.272",
    feature: "SHA256",
    bits: "01011110000 Rm:5 011000 Rn:5 Rd:5",
    fp: true,
    cold: true,
    regs: three,
    meaning: (e, o) => {
      const [d0, d1, d2, d3] = wordsOf(e, o.d);
      const [, n1, n2, n3] = wordsOf(e, o.n);
      const [m0, , m2, m3] = wordsOf(e, o.m);
      const sum = (t1: I32, d: I32, t0: I32) => e.let(e.add(small1(e, t1), e.add(d, t0)));
      const r0 = sum(m2, d0, n1);
      const r1 = sum(m3, d1, n2);
      e.writeV(o.d, fromWords(e, [r0, r1, sum(r0, d2, n3), sum(r1, d3, m0)]));
    },
    asm: (f) => `sha256su1 v${f.Rd}.4s, v${f.Rn}.4s, v${f.Rm}.4s`,
  }),
  row({
    name: "SHA1H",
    section: "C7.2.264",
    feature: "SHA1",
    bits: "0101111000101000000010 Rn:5 Rd:5",
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => e.writeD(o.d, e.extendU(rotateLeft(e, e.wrap(e.element(o.n, 4, 0)), 30))),
    asm: (f) => `sha1h s${f.Rd}, s${f.Rn}`,
  }),
  row({
    name: "SHA1SU1",
    section: "C7.2.268",
    feature: "SHA1",
    bits: "0101111000101000000110 Rn:5 Rd:5",
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => {
      const [d0, d1, d2, d3] = wordsOf(e, o.d);
      const [, n1, n2, n3] = wordsOf(e, o.n);
      const t0 = e.let(e.xor(d0, n1));
      const once = (a: I32) => rotateLeft(e, a, 1);
      e.writeV(
        o.d,
        fromWords(e, [once(t0), once(e.xor(d1, n2)), once(e.xor(d2, n3)), e.xor(once(d3), rotateLeft(e, t0, 2))]),
      );
    },
    asm: (f) => `sha1su1 v${f.Rd}.4s, v${f.Rn}.4s`,
  }),
  row({
    name: "SHA256SU0",
    section: "C7.2.271",
    feature: "SHA256",
    bits: "0101111000101000001010 Rn:5 Rd:5",
    fp: true,
    cold: true,
    regs: two,
    meaning: (e, o) => {
      const [d0, d1, d2, d3] = wordsOf(e, o.d);
      const n0 = e.let(e.wrap(e.element(o.n, 4, 0)));
      const sum = (a: I32, t: I32) => e.add(a, small0(e, t));
      e.writeV(o.d, fromWords(e, [sum(d0, d1), sum(d1, d2), sum(d2, d3), sum(d3, n0)]));
    },
    asm: (f) => `sha256su0 v${f.Rd}.4s, v${f.Rn}.4s`,
  }),
];

// --- polynomial multiply of 64 bits

/** Carry-less product: the sum (exclusive or) of `a` shifted to each set bit of `b`. */
function polynomial128(e: Emitter, a: I64, b: I64): V128 {
  let low = e.k64(0);
  let high = e.k64(0);
  for (let bit = 0; bit < 64; bit++) {
    const chosen = e.let(e.and(a, e.sub(e.k64(0), e.and(e.shr(b, e.k64(bit)), e.k64(1)))));
    low = e.let(e.xor(low, e.shl(chosen, e.k64(bit))));
    if (bit > 0) high = e.let(e.xor(high, e.shr(chosen, e.k64(64 - bit))));
  }
  return e.halves(low, high);
}
const polynomialLong = row({
  name: "PMULL (64 bits)",
  section: "C7.2.245",
  feature: "PMULL",
  bits: "0 Q 001110111 Rm:5 111000 Rn:5 Rd:5",
  axes: { q: qAxis },
  fp: true,
  cold: true,
  regs: three,
  meaning: (e, o) => {
    const a = e.let(e.element(o.n, 8, 8 * o.q));
    const b = e.let(e.element(o.m, 8, 8 * o.q));
    e.writeV(o.d, polynomial128(e, a, b));
  },
  asm: (f) => `pmull${f.Q ? "2" : ""} v${f.Rd}.1q, v${f.Rn}.${f.Q + 1}d, v${f.Rm}.${f.Q + 1}d`,
});

export const crypto: readonly Row[] = [
  aes("AESE", "C7.2.5", "00100", aesRound(SUBSTITUTION, 1)),
  aes("AESD", "C7.2.4", "00101", aesRound(INVERSE_SUBSTITUTION, -1)),
  aes("AESMC", "C7.2.7", "00110", (e, o) => e.writeV(o.d, mixColumns(e, e.let(e.v(o.n))))),
  aes("AESIMC", "C7.2.6", "00111", (e, o) => e.writeV(o.d, inverseMixColumns(e, e.let(e.v(o.n))))),
  ...sha,
  polynomialLong,
];
