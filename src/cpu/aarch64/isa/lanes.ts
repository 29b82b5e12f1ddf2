/** Element arithmetic of Advanced SIMD: on 64-bit values that hold elements of `bytes` bytes, sign- or zero-extended. */
import type { Emitter, I32, I64 } from "../engine/emitter.ts";
import { ones, shiftLeft } from "./bits.ts";

const k = (e: Emitter, n: number) => e.k64(n);
export const bitsOf = (bytes: number) => 8 * bytes;
const wide = (e: Emitter, w: { low: number; high: number }) => e.k64(w.low, w.high);
/** Greatest and smallest value of an element. */
export const greatest = (e: Emitter, bytes: number, signed: boolean) => wide(e, ones(bitsOf(bytes) - (signed ? 1 : 0)));
export const smallest = (e: Emitter, bytes: number, signed: boolean) => {
  const top = shiftLeft({ low: -1, high: -1 }, bitsOf(bytes) - 1);
  return signed ? wide(e, top) : k(e, 0);
};

export const less = (e: Emitter, a: I64, b: I64, signed: boolean) => (signed ? e.ltS(a, b) : e.ltU(a, b));
export const minimum = (e: Emitter, a: I64, b: I64, signed: boolean) => e.select(less(e, a, b, signed), a, b);
export const maximum = (e: Emitter, a: I64, b: I64, signed: boolean) => e.select(less(e, a, b, signed), b, a);
export const difference = (e: Emitter, a: I64, b: I64, signed: boolean) =>
  e.select(less(e, a, b, signed), e.sub(b, a), e.sub(a, b));

/** SatQ of a value of less than 64 significant bits, with QC. `from` says whether `v` is signed. */
export function saturate(e: Emitter, v: I64, bytes: number, signed: boolean, from = true): I64 {
  const a = e.let(v) as I64;
  const high = greatest(e, bytes, signed);
  const low = smallest(e, bytes, signed);
  const above = e.let(less(e, high, a, from));
  if (!from) {
    e.saturated(above);
    return e.select(above, high, a);
  }
  const below = e.let(e.ltS(a, low));
  e.saturated(e.or(above, below));
  return e.select(above, high, e.select(below, low, a));
}

/** SQADD, UQADD, SQSUB, UQSUB. */
export function saturatingAdd(e: Emitter, a: I64, b: I64, bytes: number, signed: boolean, subtract: boolean): I64 {
  const r = e.let(subtract ? e.sub(a, b) : e.add(a, b)) as I64;
  if (bytes < 8) return saturate(e, r, bytes, signed);
  if (signed) {
    const overflow = e.let(
      e.ltS(subtract ? e.and(e.xor(a, b), e.xor(a, r)) : e.and(e.xor(a, r), e.xor(b, r)), k(e, 0)),
    );
    e.saturated(overflow);
    return e.select(overflow, e.xor(e.sar(a, k(e, 63)), greatest(e, 8, true)), r);
  }
  const overflow = e.let(subtract ? e.ltU(a, b) : e.ltU(r, a));
  e.saturated(overflow);
  return e.select(overflow, k(e, subtract ? 0 : -1), r);
}

/** SUQADD (signed accumulator, unsigned addend), USQADD (unsigned accumulator, signed addend). */
export function mixedAdd(e: Emitter, acc: I64, addend: I64, bytes: number, accSigned: boolean): I64 {
  const r = e.let(e.add(acc, addend)) as I64;
  if (bytes < 8) return saturate(e, r, bytes, accSigned);
  if (accSigned) {
    const over = e.let(e.ltU(e.sub(greatest(e, 8, true), acc), addend));
    e.saturated(over);
    return e.select(over, greatest(e, 8, true), r);
  }
  const up = e.geS(addend, k(e, 0));
  const over = e.let(e.select(up, e.ltU(r, acc), e.ltU(acc, e.sub(k(e, 0), addend))));
  e.saturated(over);
  return e.select(over, e.select(up, k(e, -1), k(e, 0)), r);
}

/** Right shift by 1 to 64 or more with optional rounding, of an extended element. */
export function shiftRightBy(e: Emitter, a: I64, by: I64, signed: boolean, round: boolean): I64 {
  const down = (n: I64) => (signed ? e.sar(a, n) : e.shr(a, n));
  const n = e.let(by) as I64;
  const far = e.leU(k(e, 64), n);
  const empty = signed ? e.sar(a, k(e, 63)) : k(e, 0);
  const plain = e.select(far, empty, down(n));
  if (!round) return plain;
  // the last bit shifted out; nothing of a shift beyond 64 survives rounding
  const last = e.and(down(e.sub(n, k(e, 1))), k(e, 1));
  return e.select(e.ltU(k(e, 64), n), k(e, 0), e.add(plain, last));
}

/** SSHL, USHL, SRSHL, URSHL, and with saturation SQSHL...: by the signed low byte of `b`. */
export function shiftBy(
  e: Emitter,
  a: I64,
  b: I64,
  bytes: number,
  signed: boolean,
  round: boolean,
  saturating: boolean,
): I64 {
  const n = e.let(e.sext(b, 8)) as I64;
  return e.choose(
    e.ltS(n, k(e, 0)),
    () => shiftRightBy(e, a, e.sub(k(e, 0), n), signed, round),
    () =>
      saturating
        ? saturatingShiftLeft(e, a, n, bytes, signed, signed)
        : e.select(e.leU(k(e, 64), n), k(e, 0), e.shl(a, n)),
  );
}
/** Left shift of an element; `to` signed or not for the result (SQSHLU: signed source, unsigned result). */
export function saturatingShiftLeft(e: Emitter, a: I64, by: I64, bytes: number, from: boolean, to: boolean): I64 {
  const n = e.let(by) as I64;
  const bits = bitsOf(bytes);
  const all = e.let(e.leU(k(e, bits), n));
  const r = e.let(e.shl(a, n)) as I64;
  const back = from && to ? e.sar(r, n) : e.shr(r, n);
  let overflow: I32;
  if (bytes === 8) overflow = e.ne(back, a);
  else overflow = e.or(e.ltS(greatest(e, bytes, to), r), e.ltS(r, smallest(e, bytes, to)));
  if (from && !to) overflow = e.or(overflow, e.ltS(a, k(e, 0)));
  const over = e.let(e.and(e.or(all, overflow), e.ne(a, k(e, 0))));
  e.saturated(over);
  const limit = from
    ? e.select(e.ltS(a, k(e, 0)), smallest(e, bytes, to), greatest(e, bytes, to))
    : greatest(e, bytes, to);
  return e.select(over, limit, e.select(all, k(e, 0), r));
}

/** SQDMULH, SQRDMULH on 16- and 32-bit elements. */
export function doublingHigh(e: Emitter, a: I64, b: I64, bytes: number, round: boolean): I64 {
  const bits = bitsOf(bytes);
  const product = e.mul(a, b);
  const sum = round ? e.add(product, e.k64(1 << (bits - 2))) : product;
  // doubled, then the upper half: down by one less; the only overflow is the smallest by itself
  return saturate(e, e.sar(sum, k(e, bits - 1)), bytes, true);
}
/** SQDMULL: 2ab in twice the width. */
export function doublingLong(e: Emitter, a: I64, b: I64, bytes: number): I64 {
  const product = e.let(e.mul(a, b)) as I64;
  if (bytes === 2) return saturate(e, e.add(product, product), 4, true);
  const over = e.let(e.eq(product, e.k64(0, 0x40000000)));
  e.saturated(over);
  return e.select(over, greatest(e, 8, true), e.add(product, product));
}

/** Polynomial product of two bytes (or more narrow values) over GF(2). */
export function polynomial(e: Emitter, a: I64, b: I64): I64 {
  let r: I64 = e.k64(0);
  for (let i = 0; i < 8; i++) {
    const bit = e.and(e.shr(b, k(e, i)), k(e, 1));
    r = e.xor(r, e.mul(bit, e.shl(a, k(e, i))));
  }
  return r;
}
