/**
 * The quick way for the five basic operations: WebAssembly's own, which round to nearest. Their result is the architecture's when FPCR asks
 * for nothing else and the result is a normal number or an exact zero. IXC is sticky: while it is set nothing need be known about
 * exactness; while it is clear, the result is taken when it is exact, and the function that raises flags is called when it is not.
 */
import type { F32, F64, I32, I64 } from "../emitter.ts";
import { FPCR, FPSR } from "../layout.ts";
import type { WasmEmitter } from "../wasm-emitter.ts";

export type Basic = "add" | "sub" | "mul" | "div" | "sqrt";
export const BASIC = /^(add|sub|mul|div|sqrt)[48]$/;
type Native = F64 | F32;

/** FPCR.DN, FZ and RMode. */
export const MODES = 0x03c00000;
const IXC = 16;

const wide = (e: WasmEmitter, v: Native): F64 => (v.type === "f64" ? v : e.promote(v));
const operate = (e: WasmEmitter, name: Basic, a: Native, b?: Native): Native =>
  a.type === "f64" ? e.float(name, a, b as F64 | undefined) : e.float(name, a, b as F32 | undefined);

/** Whether a + b is s exactly, for finite s: the error term of FastTwoSum, by size. */
function sumExact(e: WasmEmitter, a: F64, b: F64, s: F64): I32 {
  const greater = e.let(e.floatCompare("lt", e.float("abs", a), e.float("abs", b)));
  const big = e.let(e.select(greater, b, a));
  const small = e.select(greater, a, b);
  return e.floatCompare("eq", small, e.float("sub", s, big));
}
/**
 * Whether the product of two normal doubles fits 53 bits: the bits below are zero. False when that cannot be told from the low
 * 53 bits of the product of significands.
 */
function productExact(e: WasmEmitter, a: I64, b: I64): I32 {
  const significand = (v: I64) => e.or(e.and(v, e.k64(-1, 0xfffff)), e.k64(0, 0x100000));
  return e.eqz(e.and(e.mul(significand(a), significand(b)), e.k64(-1, 0x1fffff)));
}
function normal64(e: WasmEmitter, v: I64): I32 {
  const field = e.and(v, e.k64(0, 0x7ff00000));
  return e.ltU(e.sub(field, e.k64(0, 0x00100000)), e.k64(0, 0x7fe00000));
}

function exact(e: WasmEmitter, name: Basic, bytes: number, r: Native, x: Native, y: Native, a: I64, b: I64): I32 {
  const p = wide(e, x);
  const q = wide(e, y);
  if (name === "add" || name === "sub") {
    const addend = e.let(name === "sub" ? e.negateFloat(q) : q);
    if (bytes === 8) return sumExact(e, p, addend, r as F64);
    const s = e.let(e.float("add", p, addend));
    return e.and(e.floatCompare("eq", wide(e, r), s), sumExact(e, e.let(p), addend, s));
  }
  if (bytes === 4) {
    // products of singles are exact in double
    const result = e.let(wide(e, r));
    if (name === "mul") return e.floatCompare("eq", result, e.float("mul", p, q));
    if (name === "div") return e.floatCompare("eq", e.float("mul", result, q), p);
    return e.floatCompare("eq", e.float("mul", result, result), p);
  }
  if (name === "mul") return e.and(e.and(normal64(e, a), normal64(e, b)), productExact(e, a, b));
  // exact when the result times the divisor (or itself) is the first operand
  const bits = e.let(e.bits64(r as F64));
  const back = name === "div" ? e.float("mul", r as F64, y as F64) : e.float("mul", r as F64, r as F64);
  const same = e.floatCompare("eq", back, x as F64);
  const fits = productExact(e, bits, name === "div" ? b : bits);
  return e.and(e.and(same, fits), e.and(normal64(e, a), name === "div" ? normal64(e, b) : e.k32(1)));
}

/** The result of the operation on bit patterns; `slow` calls the function that knows all. */
export function basic(
  e: WasmEmitter,
  name: Basic,
  bytes: number,
  a0: I64,
  b0: I64,
  slow: (a: I64, b: I64) => I64,
): I64 {
  const a = e.let(a0);
  const b = name === "sqrt" ? a : e.let(b0);
  const native = (v: I64): Native => (bytes === 8 ? e.f64(v) : e.f32(v));
  const x = e.let(native(a)) as Native;
  const y = (name === "sqrt" ? x : e.let(native(b))) as Native;
  const r = e.let(operate(e, name, x, name === "sqrt" ? undefined : y)) as Native;
  const bits = e.let(r.type === "f64" ? e.bits64(r) : e.bits32(r));
  const infinity = bytes === 8 ? e.k64(0, 0x7ff00000) : e.k64(0x7f800000, 0);
  const field = e.let(e.and(bits, infinity));
  // two binades above the smallest, where rounding up could hide underflow; below infinity
  const least = bytes === 8 ? e.k64(0, 0x00200000) : e.k64(0x01000000, 0);
  const span = bytes === 8 ? e.k64(0, 0x7fd00000) : e.k64(0x7e800000, 0);
  const regular = e.ltU(e.sub(field, least), span);
  const plain = e.eqz(e.and(e.contextI32(FPCR), e.k32(MODES)));
  const magnitude = (v: I64) => e.and(v, bytes === 8 ? e.k64(-1, 0x7fffffff) : e.k64(0x7fffffff, 0));
  const good = e.choose(
    e.and(regular, plain),
    () =>
      e.choose(
        e.and(e.contextI32(FPSR), e.k32(IXC)),
        () => e.k32(1),
        () => exact(e, name, bytes, r, x, y, a, b),
      ),
    () => {
      // sums and differences that are zero are exact; products with a zero factor too
      const zero = e.and(e.eqz(magnitude(bits)), plain);
      if (name === "add" || name === "sub") return zero;
      const factor = e.eqz(magnitude(a));
      if (name === "mul") return e.and(zero, e.or(factor, e.eqz(magnitude(b))));
      return name === "sqrt" ? e.and(zero, factor) : e.k32(0);
    },
  );
  return e.choose(
    good,
    () => bits,
    () => slow(a, b),
  );
}

/** s = a + b rounded, and the rounding error. */
function twoSum(e: WasmEmitter, a: F64, b: F64): { s: F64; error: F64 } {
  const s = e.let(e.float("add", a, b));
  const part = e.let(e.float("sub", s, a));
  const error = e.let(e.float("add", e.float("sub", a, e.float("sub", s, part)), e.float("sub", b, part)));
  return { s, error };
}
/** a + b rounded to odd: the sum's last bit tells of what was lost. */
function addToOdd(e: WasmEmitter, a: F64, b: F64): F64 {
  const { s, error } = twoSum(e, a, b);
  const zero = e.f64(e.k64(0));
  const bits = e.let(e.bits64(s));
  const even = e.eqz(e.and(bits, e.k64(1)));
  const outward = e.eq(e.floatCompare("gt", error, zero), e.floatCompare("gt", s, zero));
  const moved = e.add(bits, e.select(outward, e.k64(1), e.k64(-1)));
  return e.f64(e.select(e.and(even, e.floatCompare("ne", error, zero)), moved, bits));
}
/** n * m as a rounded product and its error (Dekker, Veltkamp). */
function twoProduct(e: WasmEmitter, n: F64, m: F64): { p: F64; error: F64 } {
  const split = (x: F64) => {
    const t = e.let(e.float("mul", x, e.f64(e.k64(0x02000000, 0x41a00000))));
    const high = e.let(e.float("sub", t, e.float("sub", t, x)));
    return { high, low: e.let(e.float("sub", x, high)) };
  };
  const a = split(n);
  const b = split(m);
  const p = e.let(e.float("mul", n, m));
  const first = e.float("sub", e.float("mul", a.high, b.high), p);
  const cross = e.float("add", e.float("add", first, e.float("mul", a.high, b.low)), e.float("mul", a.low, b.high));
  return { p, error: e.let(e.float("add", cross, e.float("mul", a.low, b.low))) };
}
/**
 * addend + n * m with one rounding, where double arithmetic can give it (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums",
 * 2008): to nearest, IXC set, exponents far from the ends. Code that hands the result to `done`; falls through otherwise.
 */
export function fused(e: WasmEmitter, bytes: number, addend: I64, n: I64, m: I64, done: (bits: I64) => void): void {
  const easy = e.and(
    e.eqz(e.and(e.contextI32(FPCR), e.k32(MODES))),
    e.and(e.shr(e.contextI32(FPSR), e.k32(4)), e.k32(1)),
  );
  const within = (v: I64, low: number, span: number) => {
    const field = bytes === 8 ? e.and(e.shr(v, e.k64(52)), e.k64(0x7ff)) : e.and(e.shr(v, e.k64(23)), e.k64(0xff));
    return e.ltU(e.sub(field, e.k64(low)), e.k64(span));
  };
  const middle = (v: I64) => (bytes === 8 ? within(v, 723, 600) : within(v, 1, 254));
  e.when(e.and(easy, e.and(middle(addend), e.and(middle(n), middle(m)))), () => {
    if (bytes === 4) {
      // the product of singles is exact in double
      const product = e.float("mul", e.promote(e.f32(n)), e.promote(e.f32(m)));
      const r = e.let(e.bits32(e.demote(addToOdd(e, e.let(product), e.let(e.promote(e.f32(addend)))))));
      e.when(within(r, 2, 253), () => done(r));
      return;
    }
    const { p, error } = twoProduct(e, e.let(e.f64(n)), e.let(e.f64(m)));
    const t = twoSum(e, e.let(e.f64(addend)), error);
    const v = twoSum(e, p, t.s);
    const r = e.let(e.bits64(e.float("add", v.s, addToOdd(e, t.error, v.error))));
    e.when(within(r, 2, 2045), () => done(r));
  });
}
