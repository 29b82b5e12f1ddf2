/**
 * The three formats of IEEE 754 that A64 uses, as constants and as pieces of code: classification, unpacking, NaNs, flags, rounding
 * (DDI 0487 shared/functions/float). Values are bit patterns in i64, zero-extended.
 */
import type { I32, I64 } from "../emitter.ts";
import { FPCR, FPSR } from "../layout.ts";
import type { FunctionEmitter } from "./function.ts";

export type Bytes = 2 | 4 | 8;
export interface Format {
  readonly bytes: Bytes;
  readonly fraction: number;
  readonly exponent: number;
  /** Smallest exponent of a normal number. */
  readonly minimum: number;
}
export const FORMATS: Readonly<Record<Bytes, Format>> = {
  2: { bytes: 2, fraction: 10, exponent: 5, minimum: -14 },
  4: { bytes: 4, fraction: 23, exponent: 8, minimum: -126 },
  8: { bytes: 8, fraction: 52, exponent: 11, minimum: -1022 },
};

// FPSR
export const IOC = 1;
export const DZC = 2;
export const OFC = 4;
export const UFC = 8;
export const IXC = 16;
export const IDC = 128;
// FPCR
export const AHP = 1 << 26;
export const DN = 1 << 25;
export const FZ = 1 << 24;
export const RMODE = 22;
/** Rounding: the values of FPCR.RMode, then those that only instructions ask for. */
export const TIE_EVEN = 0;
export const PLUS_INFINITY = 1;
export const MINUS_INFINITY = 2;
export const TO_ZERO = 3;
export const TIE_AWAY = 4;
export const TO_ODD = 5;

/** 1 << n as a 64-bit constant. */
export function power(e: FunctionEmitter, n: number): I64 {
  return n < 32 ? e.k64(n === 31 ? -0x80000000 : 1 << n, 0) : e.k64(0, 1 << (n - 32));
}
/** The low n bits set. */
export function lowMask(e: FunctionEmitter, n: number): I64 {
  if (n === 64) return e.k64(-1);
  return n < 32 ? e.k64(2 ** n - 1, 0) : e.k64(-1, n === 32 ? 0 : 2 ** (n - 32) - 1);
}

export class Code {
  readonly e: FunctionEmitter;
  readonly format: Format;
  constructor(e: FunctionEmitter, bytes: Bytes) {
    this.e = e;
    this.format = FORMATS[bytes];
  }
  get signAt(): number {
    return this.format.fraction + this.format.exponent;
  }
  sign(a: I64): I32 {
    return this.e.wrap(this.e.shr(a, this.e.k64(this.signAt)));
  }
  magnitude(a: I64): I64 {
    return this.e.and(a, lowMask(this.e, this.signAt));
  }
  /** Bits of the infinity. */
  get infinity(): I64 {
    const { e, format } = this;
    const { fraction, exponent } = format;
    // exponent bits set: as wide halves
    const top = fraction + exponent;
    if (top < 32) return e.k64(2 ** top - 2 ** fraction, 0);
    return e.k64(0, 2 ** (top - 32) - 2 ** (fraction - 32));
  }
  get defaultNaN(): I64 {
    return this.e.or(this.infinity, this.quietBit);
  }
  get quietBit(): I64 {
    return power(this.e, this.format.fraction - 1);
  }
  isNaN(a: I64): I32 {
    return this.e.ltU(this.infinity, this.magnitude(a));
  }
  isInfinity(a: I64): I32 {
    return this.e.eq(this.magnitude(a), this.infinity);
  }
  isZero(a: I64): I32 {
    return this.e.eqz(this.magnitude(a));
  }
  isSignalling(a: I64): I32 {
    const { e } = this;
    return e.and(this.isNaN(a), e.eqz(e.and(a, this.quietBit)));
  }
  isSubnormal(a: I64): I32 {
    const { e, format } = this;
    const m = this.magnitude(a);
    return e.and(e.ne(m, e.k64(0)), e.ltU(m, power(e, format.fraction)));
  }
  signed(sign: I32, magnitude: I64): I64 {
    const { e } = this;
    return e.or(e.shl(e.extendU(sign), e.k64(this.signAt)), magnitude);
  }
  zero(sign: I32): I64 {
    return this.signed(sign, this.e.k64(0));
  }
  fpcr(mask: number): I32 {
    return this.e.and(this.e.contextI32(FPCR), this.e.k32(mask));
  }
  roundingMode(): I32 {
    return this.e.and(this.e.shr(this.e.contextI32(FPCR), this.e.k32(RMODE)), this.e.k32(3));
  }
  raise(flags: number): void {
    raise(this.e, flags);
  }

  /** FPProcessNaN: `a` is a NaN. */
  processNaN(a: I64): I64 {
    const { e } = this;
    e.when(e.eqz(e.and(a, this.quietBit)), () => this.raise(IOC));
    return e.select(this.fpcr(DN), this.defaultNaN, e.or(a, this.quietBit));
  }
  /** Returns from the function when one of two operands is a NaN (FPProcessNaNs). */
  returnNaNs(a: I64, b: I64): void {
    const { e } = this;
    e.when(e.or(this.isNaN(a), this.isNaN(b)), () => {
      const first = e.or(this.isSignalling(a), e.and(e.eqz(this.isSignalling(b)), this.isNaN(a)));
      e.return(this.processNaN(e.let(e.select(first, a, b)) as I64));
    });
  }
  invalid(): I64 {
    this.raise(IOC);
    return this.defaultNaN;
  }
  /** Subnormal input becomes zero with FPCR.FZ (half precision is never flushed). */
  flushed(a: I64): I64 {
    const { e } = this;
    if (this.format.bytes === 2) return a;
    const v = e.variable(a);
    e.when(e.and(e.ne(this.fpcr(FZ), e.k32(0)), this.isSubnormal(a)), () => {
      this.raise(IDC);
      v.set(this.zero(this.sign(a)));
    });
    return v.get;
  }

  /** Finite, not zero: exponent, and significand with its leading one in bit 62. */
  unpack(a: I64): { exponent: I32; significand: I64 } {
    const { e, format } = this;
    const { fraction, minimum } = format;
    const m = e.let(this.magnitude(a)) as I64;
    const biased = e.let(e.wrap(e.shr(m, e.k64(fraction)))) as I32;
    const bits = e.let(e.select(biased, e.or(e.and(m, lowMask(e, fraction)), power(e, fraction)), m)) as I64;
    const up = e.let(e.sub(e.clz(bits), e.k64(1))) as I64;
    const significand = e.let(e.shl(bits, up)) as I64;
    // the leading one of a normal number is bit `fraction`: 62 - fraction up
    const unbiased = e.add(e.select(biased, biased, e.k32(1)), e.k32(minimum - 1));
    const exponent = e.let(e.sub(e.add(unbiased, e.k32(62 - fraction)), e.wrap(up))) as I32;
    return { exponent, significand };
  }
}
export function raise(e: FunctionEmitter, flags: number): void {
  e.setContext(FPSR, e.or(e.contextI32(FPSR), e.k32(flags)));
}

/** Right shift that keeps a one in bit 0 when ones are shifted out. */
export function shiftJam(e: FunctionEmitter, v: I64, by: I32): I64 {
  const n = e.let(e.extendU(by)) as I64;
  const a = e.let(v) as I64;
  const far = e.ltU(e.k64(62), n);
  const lost = e.ne(e.shl(e.shr(a, n), n), a);
  return e.let(e.select(far, e.extendU(e.ne(a, e.k64(0))), e.or(e.shr(a, n), e.extendU(lost)))) as I64;
}

/**
 * FPRoundBase: sign, exponent and significand (leading one in bit 62, sticky bit 0) to a number of the format, with flags.
 * Parameters: context, sign, exponent, significand, rounding.
 */
export function roundBody(e: FunctionEmitter, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const { fraction, exponent: width, minimum } = c.format;
  const sign = e.parameter(1, "i32");
  const exponent = e.parameter(2, "i32");
  const significand = e.parameter(3, "i64");
  const rounding = e.parameter(4, "i32");
  const tiny = e.let(e.ltS(exponent, e.k32(minimum))) as I32;
  if (bytes !== 2) {
    e.returnIf(e.and(tiny, e.ne(c.fpcr(FZ), e.k32(0))), () => {
      c.raise(UFC);
      return c.zero(sign);
    });
  }
  const down = e.let(e.add(e.k32(62 - fraction), e.select(tiny, e.sub(e.k32(minimum), exponent), e.k32(0)))) as I32;
  // beyond 63 bits only a trace is left
  const far = e.let(e.ltS(e.k32(63), down)) as I32;
  const sig = e.let(e.select(far, e.k64(1), significand)) as I64;
  const by = e.let(e.extendU(e.select(far, e.k32(63), down))) as I64;
  const mantissa = e.variable(e.shr(sig, by));
  const lost = e.let(e.and(sig, e.sub(e.shl(e.k64(1), by), e.k64(1)))) as I64;
  const half = e.let(e.shl(e.k64(1), e.sub(by, e.k64(1)))) as I64;
  const inexact = e.let(e.ne(lost, e.k64(0))) as I32;
  const biased = e.variable(e.select(tiny, e.k32(0), e.add(e.sub(exponent, e.k32(minimum)), e.k32(1))));
  e.when(e.and(tiny, inexact), () => c.raise(UFC));
  const odd = e.wrap(e.and(mantissa.get, e.k64(1)));
  const nearest = e.or(e.ltU(half, lost), e.and(e.eq(half, lost), odd));
  const isMode = (mode: number) => e.eq(rounding, e.k32(mode));
  const away = e.or(e.and(isMode(PLUS_INFINITY), e.eqz(sign)), e.and(isMode(MINUS_INFINITY), sign));
  const up = e.let(e.select(isMode(TIE_EVEN), nearest, e.and(away, inexact))) as I32;
  const toInfinity = e.let(e.or(isMode(TIE_EVEN), away)) as I32;
  e.when(e.and(isMode(TO_ODD), inexact), () => mantissa.set(e.or(mantissa.get, e.k64(1))));
  e.when(up, () => {
    mantissa.set(e.add(mantissa.get, e.k64(1)));
    e.when(e.and(e.eqz(biased.get), e.eq(mantissa.get, power(e, fraction))), () => biased.set(e.k32(1)));
    e.when(e.eq(mantissa.get, power(e, fraction + 1)), () => {
      biased.set(e.add(biased.get, e.k32(1)));
      mantissa.set(e.shr(mantissa.get, e.k64(1)));
    });
  });
  const greatest = 2 ** width - 1;
  if (bytes === 2) {
    const over = e.ltS(e.k32(greatest), biased.get);
    e.returnIf(e.and(over, e.ne(c.fpcr(AHP), e.k32(0))), () => {
      c.raise(IOC);
      return c.signed(sign, lowMask(e, 15));
    });
  }
  const overflow =
    bytes === 2 ? e.and(e.geS(biased.get, e.k32(greatest)), e.eqz(c.fpcr(AHP))) : e.geS(biased.get, e.k32(greatest));
  e.returnIf(overflow, () => {
    c.raise(OFC | IXC);
    return c.signed(sign, e.select(toInfinity, c.infinity, e.sub(c.infinity, e.k64(1))));
  });
  e.when(inexact, () => c.raise(IXC));
  const packed = e.or(e.shl(e.extendU(biased.get), e.k64(fraction)), e.and(mantissa.get, lowMask(e, fraction)));
  e.return(c.signed(sign, packed));
}
