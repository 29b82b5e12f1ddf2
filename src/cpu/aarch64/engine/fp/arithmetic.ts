/**
 * Addition, multiplication, division, square root and fused multiply-add, with all rounding modes and flags.
 * `native.ts` tries the quick way first.
 */
import type { I32, I64 } from "../emitter.ts";
import type { Func } from "../wasm.ts";
import { type Bytes, Code, DZC, MINUS_INFINITY, shiftJam } from "./format.ts";
import type { FunctionEmitter } from "./function.ts";
import { fused } from "./native.ts";

export interface Core {
  /** (ctx, sign, exponent, significand, rounding) -> bits */
  readonly round: Readonly<Record<Bytes, Func>>;
  /** Upper half of the unsigned product of two i64. */
  readonly multiplyHigh: Func;
}

function multiplyHighBody(e: FunctionEmitter): void {
  const a = e.parameter(1, "i64");
  const b = e.parameter(2, "i64");
  const low = (v: I64) => e.and(v, e.k64(-1, 0));
  const high = (v: I64) => e.shr(v, e.k64(32));
  const lowHigh = e.let(e.add(e.mul(low(a), high(b)), high(e.mul(low(a), low(b))))) as I64;
  const highLow = e.let(e.add(e.mul(high(a), low(b)), low(lowHigh))) as I64;
  e.return(e.add(e.add(e.mul(high(a), high(b)), high(lowHigh)), high(highLow)));
}

/** Sum of two finite numbers that are not zero, given unpacked. */
function addFinite(e: FunctionEmitter, core: Core, bytes: Bytes, a: I64, b: I64, signB: I32): void {
  const c = new Code(e, bytes);
  const signA = e.let(c.sign(a)) as I32;
  const x = c.unpack(a);
  const y = c.unpack(b);
  const swap = e.let(
    e.or(e.ltS(x.exponent, y.exponent), e.and(e.eq(x.exponent, y.exponent), e.ltU(x.significand, y.significand))),
  ) as I32;
  const exponent = e.let(e.select(swap, y.exponent, x.exponent)) as I32;
  const sign = e.let(e.select(swap, signB, signA)) as I32;
  const big = e.let(e.select(swap, y.significand, x.significand)) as I64;
  const distance = e.let(e.sub(exponent, e.select(swap, x.exponent, y.exponent))) as I32;
  const small = shiftJam(e, e.select(swap, x.significand, y.significand), distance);
  const finish = (exp: I32, sig: I64) =>
    e.return(core.round[bytes].callValue("i64", e.context, sign, exp, sig, c.roundingMode()));
  e.when(e.eq(signA, signB), () => {
    const sum = e.let(e.add(big, small)) as I64;
    e.when(e.ltS(sum, e.k64(0)), () => {
      finish(e.add(exponent, e.k32(1)), e.or(e.shr(sum, e.k64(1)), e.and(sum, e.k64(1))));
    });
    finish(exponent, sum);
  });
  const rest = e.let(e.sub(big, small)) as I64;
  e.returnIf(e.eqz(rest), () => c.zero(e.eq(c.roundingMode(), e.k32(MINUS_INFINITY))));
  const up = e.let(e.sub(e.clz(rest), e.k64(1))) as I64;
  finish(e.sub(exponent, e.wrap(up)), e.shl(rest, up));
}

function addBody(e: FunctionEmitter, core: Core, bytes: Bytes, subtract: boolean): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  const b0 = e.parameter(2, "i64");
  const a = c.flushed(a0);
  const b = c.flushed(b0);
  c.returnNaNs(a, b);
  const signA = c.sign(a);
  const signB = e.let(subtract ? e.xor(c.sign(b), e.k32(1)) : c.sign(b)) as I32;
  e.when(c.isInfinity(a), () => {
    e.returnIf(e.and(c.isInfinity(b), e.ne(signA, signB)), () => c.invalid());
    e.return(a);
  });
  const other = () => c.signed(signB, c.magnitude(b));
  e.returnIf(c.isInfinity(b), other);
  e.when(c.isZero(a), () => {
    e.when(c.isZero(b), () => {
      e.returnIf(e.eq(signA, signB), () => a);
      e.return(c.zero(e.eq(c.roundingMode(), e.k32(MINUS_INFINITY))));
    });
    e.return(other());
  });
  e.returnIf(c.isZero(b), () => a);
  addFinite(e, core, bytes, a, b, signB);
}

/** `extended`: FMULX, where infinity times zero is two. */
function multiplyBody(e: FunctionEmitter, core: Core, bytes: Bytes, extended: boolean): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  const b0 = e.parameter(2, "i64");
  const a = c.flushed(a0);
  const b = c.flushed(b0);
  c.returnNaNs(a, b);
  const sign = e.let(e.xor(c.sign(a), c.sign(b))) as I32;
  e.when(e.or(c.isInfinity(a), c.isInfinity(b)), () => {
    e.returnIf(e.or(c.isZero(a), c.isZero(b)), () => (extended ? c.signed(sign, two(e, c)) : c.invalid()));
    e.return(c.signed(sign, c.infinity));
  });
  e.returnIf(e.or(c.isZero(a), c.isZero(b)), () => c.zero(sign));
  const p = c.unpack(a);
  const q = c.unpack(b);
  const one = e.k64(1);
  const pp = e.let(e.shl(p.significand, one)) as I64;
  const qq = e.let(e.shl(q.significand, one)) as I64;
  const sticky = e.extendU(e.ne(e.mul(pp, qq), e.k64(0)));
  const high = e.let(e.or(core.multiplyHigh.callValue("i64", e.context, pp, qq), sticky)) as I64;
  const exponent = e.let(e.add(p.exponent, q.exponent)) as I32;
  const big = e.let(e.ltS(high, e.k64(0))) as I32;
  const significand = e.select(big, e.or(e.shr(high, one), e.and(high, one)), high);
  e.return(core.round[bytes].callValue("i64", e.context, sign, e.add(exponent, big), significand, c.roundingMode()));
}
/** Bits of 2.0. */
export function two(e: FunctionEmitter, c: Code): I64 {
  return e.shl(e.k64(2 ** (c.format.exponent - 1)), e.k64(c.format.fraction));
}

function divideBody(e: FunctionEmitter, core: Core, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  const b0 = e.parameter(2, "i64");
  const a = c.flushed(a0);
  const b = c.flushed(b0);
  c.returnNaNs(a, b);
  const sign = e.let(e.xor(c.sign(a), c.sign(b))) as I32;
  e.returnIf(e.or(e.and(c.isInfinity(a), c.isInfinity(b)), e.and(c.isZero(a), c.isZero(b))), () => c.invalid());
  e.returnIf(c.isInfinity(a), () => c.signed(sign, c.infinity));
  e.returnIf(e.or(c.isInfinity(b), c.isZero(a)), () => c.zero(sign));
  e.returnIf(c.isZero(b), () => {
    c.raise(DZC);
    return c.signed(sign, c.infinity);
  });
  const p = c.unpack(a);
  const q = c.unpack(b);
  const less = e.let(e.ltU(p.significand, q.significand)) as I32;
  const rest = e.variable(e.shl(p.significand, e.extendU(less)));
  const quotient = e.variable(e.k64(0));
  e.repeat(63, () => {
    const fits = e.let(e.geU(rest.get, q.significand)) as I32;
    quotient.set(e.or(e.shl(quotient.get, e.k64(1)), e.extendU(fits)));
    rest.set(e.shl(e.sub(rest.get, e.select(fits, q.significand, e.k64(0))), e.k64(1)));
  });
  const significand = e.or(quotient.get, e.extendU(e.ne(rest.get, e.k64(0))));
  const exponent = e.sub(e.sub(p.exponent, q.exponent), less);
  e.return(core.round[bytes].callValue("i64", e.context, sign, exponent, significand, c.roundingMode()));
}

function squareRootBody(e: FunctionEmitter, core: Core, bytes: Bytes): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  e.returnIf(c.isNaN(a0), () => c.processNaN(a0));
  const a = c.flushed(a0);
  e.returnIf(c.isZero(a), () => a);
  e.returnIf(c.sign(a), () => c.invalid());
  e.returnIf(c.isInfinity(a), () => a);
  const p = c.unpack(a);
  const odd = e.let(e.and(p.exponent, e.k32(1))) as I32;
  const radicand = e.variable(e.shl(p.significand, e.extendU(odd)));
  const rest = e.variable(e.k64(0));
  const root = e.variable(e.k64(0));
  e.repeat(56, () => {
    rest.set(e.or(e.shl(rest.get, e.k64(2)), e.shr(radicand.get, e.k64(62))));
    radicand.set(e.shl(radicand.get, e.k64(2)));
    const trial = e.let(e.or(e.shl(root.get, e.k64(2)), e.k64(1))) as I64;
    const fits = e.let(e.geU(rest.get, trial)) as I32;
    rest.set(e.sub(rest.get, e.select(fits, trial, e.k64(0))));
    root.set(e.or(e.shl(root.get, e.k64(1)), e.extendU(fits)));
  });
  const sticky = e.extendU(e.ne(rest.get, e.k64(0)));
  const exponent = e.sar(e.sub(p.exponent, odd), e.k32(1));
  const significand = e.or(e.shl(root.get, e.k64(7)), sticky);
  e.return(core.round[bytes].callValue("i64", e.context, e.k32(0), exponent, significand, c.roundingMode()));
}

/** Fused a + n * m, by 128-bit arithmetic (FPMulAdd). The caller negates operands as the instruction asks. */
function multiplyAddBody(e: FunctionEmitter, core: Core, bytes: Bytes, halve: boolean): void {
  const c = new Code(e, bytes);
  const a0 = e.parameter(1, "i64");
  const n0 = e.parameter(2, "i64");
  const m0 = e.parameter(3, "i64");
  if (!halve) fused(e, bytes, a0, n0, m0, (bits) => e.return(bits));
  const infiniteByZero = (n: I64, m: I64) =>
    e.or(e.and(c.isInfinity(n), c.isZero(m)), e.and(c.isZero(n), c.isInfinity(m)));
  const n = c.flushed(n0);
  const m = c.flushed(m0);
  const a = c.flushed(a0);
  const anyNaN = e.or(c.isNaN(a), e.or(c.isNaN(n), c.isNaN(m)));
  e.when(anyNaN, () => {
    // a quiet addend with infinity times zero is invalid too
    const quiet = e.and(c.isNaN(a), e.eqz(c.isSignalling(a)));
    e.returnIf(e.and(quiet, infiniteByZero(n, m)), () => c.invalid());
    for (const v of [a, n, m]) e.returnIf(c.isSignalling(v), () => c.processNaN(v));
    for (const v of [a, n, m]) e.returnIf(c.isNaN(v), () => c.processNaN(v));
  });
  const signP = e.let(e.xor(c.sign(n), c.sign(m))) as I32;
  const signA = e.let(c.sign(a)) as I32;
  const infiniteP = e.or(c.isInfinity(n), c.isInfinity(m));
  e.returnIf(e.or(infiniteByZero(n, m), e.and(e.and(c.isInfinity(a), infiniteP), e.ne(signA, signP))), () =>
    c.invalid(),
  );
  e.returnIf(c.isInfinity(a), () => a);
  e.returnIf(infiniteP, () => c.signed(signP, c.infinity));
  const cancelled = () => c.zero(e.eq(c.roundingMode(), e.k32(MINUS_INFINITY)));
  const scaled = (exponent: I32) => (halve ? e.sub(exponent, e.k32(1)) : exponent);
  e.when(e.or(c.isZero(n), c.isZero(m)), () => {
    e.when(c.isZero(a), () => {
      e.returnIf(e.eq(signA, signP), () => a);
      e.return(cancelled());
    });
    const p = c.unpack(a);
    e.return(core.round[bytes].callValue("i64", e.context, signA, scaled(p.exponent), p.significand, c.roundingMode()));
  });
  const p = c.unpack(n);
  const q = c.unpack(m);
  const exponentP = e.let(e.add(p.exponent, q.exponent)) as I32;
  const high = e.variable(core.multiplyHigh.callValue("i64", e.context, p.significand, q.significand));
  const low = e.variable(e.mul(p.significand, q.significand));
  const exponent = e.variable(exponentP);
  const sign = e.variable(signP);
  e.when(e.eqz(c.isZero(a)), () => {
    const r = c.unpack(a);
    // both as 128-bit integers with 124 fraction bits; the one of smaller exponent goes down
    const highA = e.variable(e.shr(r.significand, e.k64(2)));
    const lowA = e.variable(e.shl(r.significand, e.k64(62)));
    const distance = e.let(e.sub(exponentP, r.exponent)) as I32;
    const move = (h: typeof high, l: typeof low, by: I32) => {
      const d = e.let(e.extendU(e.select(e.ltS(e.k32(127), by), e.k32(127), by))) as I64;
      const h0 = e.let(h.get) as I64;
      const l0 = e.let(l.get) as I64;
      e.when(
        e.geU(d, e.k64(64)),
        () => {
          const by64 = e.let(e.sub(d, e.k64(64))) as I64;
          const lost = e.or(e.ne(l0, e.k64(0)), e.ne(e.shl(e.shr(h0, by64), by64), h0));
          l.set(e.or(e.shr(h0, by64), e.extendU(lost)));
          h.set(e.k64(0));
        },
        () => {
          e.when(e.ne(d, e.k64(0)), () => {
            const lost = e.ne(e.shl(l0, e.sub(e.k64(64), d)), e.k64(0));
            l.set(e.or(e.or(e.shr(l0, d), e.shl(h0, e.sub(e.k64(64), d))), e.extendU(lost)));
            h.set(e.shr(h0, d));
          });
        },
      );
    };
    e.when(
      e.ltS(distance, e.k32(0)),
      () => {
        move(high, low, e.sub(e.k32(0), distance));
        exponent.set(r.exponent);
      },
      () => move(highA, lowA, distance),
    );
    e.when(
      e.eq(signA, signP),
      () => {
        const sum = e.let(e.add(low.get, lowA.get)) as I64;
        const carry = e.extendU(e.ltU(sum, low.get));
        high.set(e.add(e.add(high.get, highA.get), carry));
        low.set(sum);
      },
      () => {
        const less = e.let(
          e.or(e.ltU(high.get, highA.get), e.and(e.eq(high.get, highA.get), e.ltU(low.get, lowA.get))),
        ) as I32;
        const h1 = e.let(e.select(less, highA.get, high.get)) as I64;
        const l1 = e.let(e.select(less, lowA.get, low.get)) as I64;
        const h2 = e.let(e.select(less, high.get, highA.get)) as I64;
        const l2 = e.let(e.select(less, low.get, lowA.get)) as I64;
        high.set(e.sub(e.sub(h1, h2), e.extendU(e.ltU(l1, l2))));
        low.set(e.sub(l1, l2));
        sign.set(e.select(less, signA, signP));
        e.returnIf(e.eqz(e.or(high.get, low.get)), cancelled);
      },
    );
  });
  // 124 fraction bits: bit 60 of the upper word is one
  e.when(e.eqz(high.get), () => {
    high.set(low.get);
    low.set(e.k64(0));
    exponent.set(e.sub(exponent.get, e.k32(64)));
  });
  const up = e.let(e.clz(high.get)) as I64;
  // leading one to bit 63, then one down with the rest sticky
  const shifted = e.let(
    e.select(e.eqz(up), high.get, e.or(e.shl(high.get, up), e.shr(low.get, e.sub(e.k64(64), up)))),
  ) as I64;
  const rest = e.or(e.shl(low.get, up), e.and(shifted, e.k64(1)));
  const significand = e.or(e.shr(shifted, e.k64(1)), e.extendU(e.ne(rest, e.k64(0))));
  const result = e.add(exponent.get, e.sub(e.k32(3), e.wrap(up)));
  e.return(core.round[bytes].callValue("i64", e.context, sign.get, scaled(result), significand, c.roundingMode()));
}

export const ARITHMETIC: Readonly<
  Record<string, { readonly operands: number; body(e: FunctionEmitter, core: Core, bytes: Bytes): void }>
> = {
  add: { operands: 2, body: (e, core, bytes) => addBody(e, core, bytes, false) },
  sub: { operands: 2, body: (e, core, bytes) => addBody(e, core, bytes, true) },
  mul: { operands: 2, body: (e, core, bytes) => multiplyBody(e, core, bytes, false) },
  mulx: { operands: 2, body: (e, core, bytes) => multiplyBody(e, core, bytes, true) },
  div: { operands: 2, body: divideBody },
  sqrt: { operands: 1, body: squareRootBody },
  /** Operands: addend, factors. */
  muladd: { operands: 3, body: (e, core, bytes) => multiplyAddBody(e, core, bytes, false) },
  /** Half of it, for FRSQRTS. */
  halfmuladd: { operands: 3, body: (e, core, bytes) => multiplyAddBody(e, core, bytes, true) },
};
export { multiplyHighBody };
