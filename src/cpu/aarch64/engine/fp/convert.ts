/** Comparisons, minimum and maximum, estimates, rounding to integers and conversions (DDI 0487 shared/functions/float). */
import type { I32, I64 } from "../emitter.ts";
import { FPSR } from "../layout.ts";
import type { Func } from "../wasm.ts";
import type { Core } from "./arithmetic.ts";
import { two } from "./arithmetic.ts";
import {
  AHP,
  type Bytes,
  Code,
  DN,
  DZC,
  FORMATS,
  FZ,
  IDC,
  IOC,
  IXC,
  lowMask,
  MINUS_INFINITY,
  OFC,
  PLUS_INFINITY,
  power,
  TIE_AWAY,
  TIE_EVEN,
  TO_ZERO,
  UFC,
} from "./format.ts";
import type { FunctionEmitter } from "./function.ts";

/** FPMax, FPMin; `number`: FMAXNM, FMINNM, where a quiet NaN yields to a number. */
export function extremeBody(e: FunctionEmitter, bytes: Bytes, maximum: boolean, number: boolean): void {
  const c = new Code(e, bytes);
  const a = e.variable(e.parameter(1, "i64"));
  const b = e.variable(e.parameter(2, "i64"));
  if (number) {
    const quiet = (v: I64) => e.and(c.isNaN(v), e.ne(e.and(v, c.quietBit), e.k64(0)));
    const least = c.signed(e.k32(maximum ? 1 : 0), c.infinity);
    const qa = e.let(quiet(a.get)) as I32;
    const qb = e.let(quiet(b.get)) as I32;
    e.when(e.and(qa, e.eqz(qb)), () => a.set(least));
    e.when(e.and(qb, e.eqz(qa)), () => b.set(least));
  }
  const x = c.flushed(a.get);
  const y = c.flushed(b.get);
  c.returnNaNs(x, y);
  // as ordered integers: negative numbers the other way round
  const ordered = (v: I64) => {
    const s = e.let(c.sign(v)) as I32;
    const m = c.magnitude(v);
    return e.let(e.select(s, e.sub(e.k64(-1), m), m)) as I64;
  };
  const less = e.ltS(ordered(x), ordered(y));
  e.return(maximum ? e.select(less, y, x) : e.select(less, x, y));
}

/** FPCompare: NZCV. Parameters: a, b, whether quiet NaNs signal. */
export function compareBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  const b0 = e.parameter(2, "i64");
  const a = c.flushed(a0);
  const b = c.flushed(b0);
  e.when(e.or(c.isNaN(a0), c.isNaN(b0)), () => {
    const signals = e.or(e.parameter(3, "i32"), e.or(c.isSignalling(a0), c.isSignalling(b0)));
    e.when(signals, () => c.raise(IOC));
    e.return(e.k32(0b0011));
  });
  const ordered = (v: I64) => {
    const m = e.let(c.magnitude(v)) as I64;
    return e.let(e.select(c.sign(v), e.sub(e.k64(0), m), m)) as I64;
  };
  const x = ordered(a);
  const y = ordered(b);
  e.returnIf(e.eq(x, y), () => e.k32(0b0110));
  e.return(e.select(e.ltS(x, y), e.k32(0b1000), e.k32(0b0010)));
}

/** Rounds a magnitude with `fraction` given by remainder and half; returns the increment. */
function increment(e: FunctionEmitter, value: I64, rest: I64, half: I64, sign: I32, rounding: I32): I64 {
  const is = (mode: number) => e.eq(rounding, e.k32(mode));
  const more = e.ltU(half, rest);
  const tie = e.eq(half, rest);
  const any = e.ne(rest, e.k64(0));
  const odd = e.wrap(e.and(value, e.k64(1)));
  const nearest = e.or(more, e.and(tie, e.or(is(TIE_AWAY), odd)));
  const directed = e.and(any, e.or(e.and(is(PLUS_INFINITY), e.eqz(sign)), e.and(is(MINUS_INFINITY), sign)));
  return e.extendU(e.select(e.or(is(TIE_EVEN), is(TIE_AWAY)), nearest, directed));
}

/**
 * FPToFixed. Parameters: bits, rounding, fraction bits, unsigned (0 or 1), result bits (32 or 64); the result is zero-extended
 * to 64 bits.
 */
export function toFixedBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  const rounding = e.parameter(2, "i32");
  const scale = e.parameter(3, "i32");
  const unsigned = e.parameter(4, "i32");
  const width = e.parameter(5, "i32");
  truncateNative(e, c, a0, rounding, scale, unsigned, width);
  e.returnIf(c.isNaN(a0), () => {
    c.raise(IOC);
    return e.k64(0);
  });
  const a = c.flushed(a0);
  e.returnIf(c.isZero(a), () => e.k64(0));
  const sign = e.let(c.sign(a)) as I32;
  const wide = e.let(e.extendU(width)) as I64;
  // greatest magnitude of the result for this sign
  const top = e.sub(e.sub(wide, e.extendU(e.eqz(unsigned))), e.k64(0));
  const positive = e.let(e.shr(e.k64(-1), e.sub(e.k64(64), top))) as I64;
  const limit = e.let(e.select(sign, e.select(unsigned, e.k64(0), e.add(positive, e.k64(1))), positive)) as I64;
  const resultMask = e.let(e.shr(e.k64(-1), e.sub(e.k64(64), wide))) as I64;
  const signed = (magnitude: I64) => e.and(e.select(sign, e.sub(e.k64(0), magnitude), magnitude), resultMask);
  const saturated = () => {
    c.raise(IOC);
    return signed(limit);
  };
  e.returnIf(c.isInfinity(a), saturated);
  const p = c.unpack(a);
  const exponent = e.let(e.add(p.exponent, scale)) as I32;
  e.returnIf(e.ltS(e.k32(63), exponent), saturated);
  const value = e.variable(e.k64(0));
  const inexact = e.variable(e.k32(0));
  e.when(
    e.geS(exponent, e.k32(62)),
    () => value.set(e.shl(p.significand, e.extendU(e.sub(exponent, e.k32(62))))),
    () => {
      const down = e.let(e.sub(e.k32(62), exponent)) as I32;
      const far = e.let(e.ltS(e.k32(63), down)) as I32;
      const sig = e.let(e.select(far, e.k64(1), p.significand)) as I64;
      const by = e.let(e.extendU(e.select(far, e.k32(63), down))) as I64;
      const whole = e.let(e.shr(sig, by)) as I64;
      const rest = e.let(e.and(sig, e.sub(e.shl(e.k64(1), by), e.k64(1)))) as I64;
      const half = e.let(e.shl(e.k64(1), e.sub(by, e.k64(1)))) as I64;
      inexact.set(e.ne(rest, e.k64(0)));
      value.set(e.add(whole, increment(e, whole, rest, half, sign, rounding)));
    },
  );
  e.returnIf(e.ltU(limit, value.get), saturated);
  e.when(inexact.get, () => c.raise(IXC));
  e.return(signed(value.get));
}

/** Returns when truncation by WebAssembly does: a small number, no scale, nothing asked of FPCR, and exact or IXC set already. */
function truncateNative(
  e: FunctionEmitter,
  c: Code,
  a: I64,
  rounding: I32,
  scale: I32,
  unsigned: I32,
  width: I32,
): void {
  const { fraction, minimum } = c.format;
  // below 2^31, and not negative for unsigned results
  const small = e.ltU(c.magnitude(a), e.shl(e.k64(31 + 1 - minimum), e.k64(fraction)));
  const plain = e.eqz(e.or(scale, e.or(e.xor(rounding, e.k32(TO_ZERO)), c.fpcr(FZ))));
  const sign = e.and(unsigned, c.sign(a));
  e.when(e.and(e.and(small, plain), e.eqz(sign)), () => {
    const x = c.format.bytes === 8 ? e.f64(a) : e.promote(e.f32(a));
    const t = e.let(e.raw("i32", x.code, 0xaa)) as I32;
    const back = e.raw("f64", t.code, 0xb7);
    const done = e.or(e.and(e.contextI32(FPSR), e.k32(IXC)), e.floatCompare("eq", back, x));
    e.returnIf(done, () => e.select(e.eq(width, e.k32(64)), e.extendS(t), e.extendU(t)));
  });
}

/** FixedToFP. Parameters: value (sign- or zero-extended to 64 bits), fraction bits, unsigned, rounding. */
export function fromFixedBody(e: FunctionEmitter, core: Core, bytes: Bytes): void {
  const v = e.parameter(1, "i64");
  const scale = e.parameter(2, "i32");
  const unsigned = e.parameter(3, "i32");
  const rounding = e.parameter(4, "i32");
  // integers that fit the significand convert exactly
  const digits = FORMATS[bytes].fraction;
  const fits = e.ltU(e.add(v, power(e, digits)), power(e, digits + 1));
  const huge = e.and(unsigned, e.ltS(v, e.k64(0)));
  e.returnIf(e.and(fits, e.eqz(e.or(scale, huge))), () =>
    bytes === 8 ? e.bits64(e.raw("f64", v.code, 0xb9)) : e.bits32(e.raw("f32", v.code, 0xb4)),
  );
  e.returnIf(e.eqz(v), () => e.k64(0));
  const sign = e.let(e.and(e.eqz(unsigned), e.ltS(v, e.k64(0)))) as I32;
  const magnitude = e.let(e.select(sign, e.sub(e.k64(0), v), v)) as I64;
  const up = e.let(e.clz(magnitude)) as I64;
  const shifted = e.let(e.shl(magnitude, up)) as I64;
  const significand = e.or(e.shr(shifted, e.k64(1)), e.and(shifted, e.k64(1)));
  const exponent = e.sub(e.sub(e.k32(63), e.wrap(up)), scale);
  e.return(core.round[bytes].callValue("i64", e.context, sign, exponent, significand, rounding));
}

/** FPRoundInt. Parameters: bits, rounding, whether inexact results set IXC. */
export function roundIntegralBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const { fraction } = c.format;
  const a0 = e.parameter(1, "i64");
  const rounding = e.parameter(2, "i32");
  const exact = e.parameter(3, "i32");
  e.returnIf(c.isNaN(a0), () => c.processNaN(a0));
  const a = c.flushed(a0);
  e.returnIf(e.or(c.isInfinity(a), c.isZero(a)), () => a);
  const sign = e.let(c.sign(a)) as I32;
  const p = c.unpack(a);
  e.returnIf(e.geS(p.exponent, e.k32(fraction)), () => a);
  // below one half everything is a trace
  const far = e.let(e.ltS(p.exponent, e.k32(-1))) as I32;
  const sig = e.let(e.select(far, e.k64(1), p.significand)) as I64;
  const by = e.let(e.extendU(e.select(far, e.k32(63), e.sub(e.k32(62), p.exponent)))) as I64;
  const whole = e.let(e.shr(sig, by)) as I64;
  const rest = e.let(e.and(sig, e.sub(e.shl(e.k64(1), by), e.k64(1)))) as I64;
  const half = e.let(e.shl(e.k64(1), e.sub(by, e.k64(1)))) as I64;
  e.when(e.and(exact, e.ne(rest, e.k64(0))), () => c.raise(IXC));
  const value = e.let(e.add(whole, increment(e, whole, rest, half, sign, rounding))) as I64;
  e.returnIf(e.eqz(value), () => c.zero(sign));
  // an integer of at most fraction + 1 bits: exact
  const up = e.let(e.clz(value)) as I64;
  const exponent = e.sub(e.k64(63), up);
  const mantissa = e.shr(e.shl(value, up), e.k64(63 - fraction));
  const biased = e.add(exponent, e.k64(1 - c.format.minimum));
  e.return(c.signed(sign, e.or(e.shl(biased, e.k64(fraction)), e.and(mantissa, lowMask(e, fraction)))));
}

/** FPConvert from one format to another. Parameters: bits, rounding. */
export function convertBody(e: FunctionEmitter, core: Core, from: Bytes, to: Bytes): void {
  const c = new Code(e, from);
  const d = new Code(e, to);
  const a0 = e.parameter(1, "i64");
  const rounding = e.parameter(2, "i32");
  const alternative = (code: Code) => (code.format.bytes === 2 ? code.fpcr(AHP) : e.k32(0));
  const sign = e.let(c.sign(a0)) as I32;
  const special = from === 2 ? e.eqz(alternative(c)) : e.k32(1);
  e.when(e.and(special, c.isNaN(a0)), () => {
    if (to === 2) {
      e.returnIf(alternative(d), () => {
        d.raise(IOC);
        return d.zero(sign);
      });
    }
    e.when(c.isSignalling(a0), () => c.raise(IOC));
    e.returnIf(c.fpcr(DN), () => d.defaultNaN);
    const payload = e.and(a0, lowMask(e, FORMATS[from].fraction));
    const shift = FORMATS[to].fraction - FORMATS[from].fraction;
    const moved = shift >= 0 ? e.shl(payload, e.k64(shift)) : e.shr(payload, e.k64(-shift));
    e.return(d.signed(sign, e.or(e.or(moved, d.quietBit), d.infinity)));
  });
  e.when(e.and(special, c.isInfinity(a0)), () => {
    if (to === 2) {
      e.returnIf(alternative(d), () => {
        d.raise(IOC);
        return d.signed(sign, lowMask(e, 15));
      });
    }
    e.return(d.signed(sign, d.infinity));
  });
  const a = c.flushed(a0);
  e.returnIf(c.isZero(a), () => d.zero(sign));
  const p = c.unpack(a);
  e.return(core.round[to].callValue("i64", e.context, sign, p.exponent, p.significand, rounding));
}

/** RecipEstimate: 9 bits of 1/x from 9 bits. */
function reciprocal(e: FunctionEmitter, scaled: I64): I64 {
  const a = e.add(e.shl(scaled, e.k64(1)), e.k64(1));
  const b = e.divU(e.k64(1 << 19), a);
  return e.shr(e.add(b, e.k64(1)), e.k64(1));
}
/** FPRecipEstimate. */
export function reciprocalEstimateBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const { fraction, exponent: width } = c.format;
  const a0 = e.parameter(1, "i64");
  e.returnIf(c.isNaN(a0), () => c.processNaN(a0));
  const a = c.flushed(a0);
  const sign = e.let(c.sign(a)) as I32;
  e.returnIf(c.isInfinity(a), () => c.zero(sign));
  e.returnIf(c.isZero(a), () => {
    c.raise(DZC);
    return c.signed(sign, c.infinity);
  });
  const m = e.let(c.magnitude(a)) as I64;
  // too small for a finite result
  e.returnIf(e.ltU(m, power(e, fraction - 2)), () => {
    c.raise(OFC | IXC);
    const mode = c.roundingMode();
    const infinite = e.or(
      e.eq(mode, e.k32(TIE_EVEN)),
      e.or(e.and(e.eq(mode, e.k32(PLUS_INFINITY)), e.eqz(sign)), e.and(e.eq(mode, e.k32(MINUS_INFINITY)), sign)),
    );
    return c.signed(sign, e.select(infinite, c.infinity, e.sub(c.infinity, e.k64(1))));
  });
  const bias = 2 ** (width - 1) - 1;
  e.returnIf(e.and(e.ne(c.fpcr(FZ), e.k32(0)), e.geU(m, e.shl(e.k64(2 * bias - 1), e.k64(fraction)))), () => {
    c.raise(UFC);
    return c.zero(sign);
  });
  const p = c.unpack(a);
  // eight fraction bits below the leading one
  const estimate = e.let(reciprocal(e, e.and(e.shr(p.significand, e.k64(54)), e.k64(0x1ff)))) as I64;
  const biased = e.let(e.sub(e.k32(bias - 1), p.exponent)) as I32;
  const bits = e.let(e.shl(e.and(estimate, e.k64(0xff)), e.k64(fraction - 8))) as I64;
  // results below the normal range: with the leading one inside the fraction
  const withOne = e.or(bits, power(e, fraction));
  const low = e.select(
    e.eqz(biased),
    e.shr(withOne, e.k64(1)),
    e.select(e.eq(biased, e.k32(-1)), e.shr(withOne, e.k64(2)), bits),
  );
  const field = e.select(e.ltS(biased, e.k32(0)), e.k32(0), biased);
  e.return(c.signed(sign, e.or(e.shl(e.extendU(field), e.k64(fraction)), low)));
}
/** RecipSqrtEstimate of a value 128 to 511, by the manual's loop in closed steps. */
function reciprocalRoot(e: FunctionEmitter, scaled: I64): I64 {
  const low = e.ltU(scaled, e.k64(256));
  const lowValue = e.add(e.shl(scaled, e.k64(1)), e.k64(1));
  const highValue = e.shl(e.add(e.shl(e.shr(scaled, e.k64(1)), e.k64(1)), e.k64(1)), e.k64(1));
  const a = e.let(e.select(low, lowValue, highValue)) as I64;
  const b = e.variable(e.k64(512));
  // the largest b from 512 up with a * b * b < 2^28
  for (let step = 256; step >= 1; step /= 2) {
    const next = e.let(e.add(b.get, e.k64(step))) as I64;
    e.when(e.ltU(e.mul(a, e.mul(next, next)), e.k64(1 << 28)), () => b.set(next));
  }
  return e.shr(e.add(b.get, e.k64(1)), e.k64(1));
}
/** FPRSqrtEstimate. */
export function rootEstimateBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const { fraction, exponent: width } = c.format;
  const a0 = e.parameter(1, "i64");
  e.returnIf(c.isNaN(a0), () => c.processNaN(a0));
  const a = c.flushed(a0);
  const sign = e.let(c.sign(a)) as I32;
  e.returnIf(c.isZero(a), () => {
    c.raise(DZC);
    return c.signed(sign, c.infinity);
  });
  e.returnIf(sign, () => c.invalid());
  e.returnIf(c.isInfinity(a), () => e.k64(0));
  const p = c.unpack(a);
  const bias = 2 ** (width - 1) - 1;
  // odd biased exponents take the fraction from 256 up, even ones half of it
  const biasedIn = e.let(e.add(p.exponent, e.k32(bias))) as I32;
  const odd = e.and(biasedIn, e.k32(1));
  const top = e.shr(p.significand, e.k64(54));
  const scaled = e.let(e.select(odd, e.shr(top, e.k64(1)), top)) as I64;
  const estimate = reciprocalRoot(e, scaled);
  const exponent = e.sar(e.sub(e.k32(3 * bias - 1), biasedIn), e.k32(1));
  const bits = e.shl(e.and(estimate, e.k64(0xff)), e.k64(fraction - 8));
  e.return(e.or(e.shl(e.extendU(exponent), e.k64(fraction)), bits));
}
/** UnsignedRecipEstimate and UnsignedRSqrtEstimate on the low 32 bits. */
export function unsignedEstimateBody(e: FunctionEmitter, root: boolean): void {
  const a = e.parameter(1, "i64");
  const limit = root ? e.k64(1 << 30) : e.k64(-0x80000000, 0);
  e.returnIf(e.ltU(a, limit), () => e.k64(-1, 0));
  const top = e.let(e.shr(a, e.k64(23))) as I64;
  e.return(e.shl(root ? reciprocalRoot(e, top) : reciprocal(e, top), e.k64(23)));
}
/** FPRecpX: the exponent's complement. */
export function exponentReciprocalBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const { fraction, exponent: width } = c.format;
  const a = e.parameter(1, "i64");
  // the result does not depend on flushing, the flag does
  c.flushed(a);
  e.returnIf(c.isNaN(a), () => c.processNaN(a));
  const field = lowMask(e, width);
  const exponent = e.let(e.and(e.shr(a, e.k64(fraction)), field)) as I64;
  const complement = e.select(e.eqz(exponent), e.k64(2 ** width - 2), e.and(e.xor(exponent, e.k64(-1)), field));
  e.return(c.signed(c.sign(a), e.shl(complement, e.k64(fraction))));
}
/** FPRecipStepFused (2 - a*b) and FPRSqrtStepFused ((3 - a*b) / 2). */
export function stepBody(e: FunctionEmitter, bytes: Bytes, muladd: Func, root: boolean): void {
  const c = new Code(e, bytes);
  const b0 = e.parameter(2, "i64");
  // the first operand is negated before NaNs are looked at
  const a0 = e.let(e.xor(e.parameter(1, "i64"), power(e, c.signAt))) as I64;
  const a = c.flushed(a0);
  const b = c.flushed(b0);
  c.returnNaNs(a, b);
  const oneAndHalf = e.or(e.sub(two(e, c), power(e, c.format.fraction)), c.quietBit);
  e.when(e.or(c.isInfinity(a), c.isInfinity(b)), () => {
    e.returnIf(e.or(c.isZero(a), c.isZero(b)), () => (root ? oneAndHalf : two(e, c)));
    e.return(c.signed(e.xor(c.sign(a), c.sign(b)), c.infinity));
  });
  const three = e.or(two(e, c), c.quietBit);
  e.return(muladd.callValue("i64", e.context, root ? three : two(e, c), a, b));
}
export { IDC, TO_ZERO };
