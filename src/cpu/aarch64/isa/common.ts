/** Meanings that several rooms share. */
import type { Emitter, I32, Int, Operand } from "../engine/emitter.ts";

export const X30: Operand = { offset: 30 * 8 };
export const SF = [0, 1] as const;
/** Assembly names: register 31 as zero register, or as stack pointer. */
export const R = (sf: number, n: number) => (n === 31 ? (sf ? "xzr" : "wzr") : `${sf ? "x" : "w"}${n}`);
export const RSP = (sf: number, n: number) => (n === 31 ? (sf ? "sp" : "wsp") : `${sf ? "x" : "w"}${n}`);
/** Two digits at least, as hints and barriers are shown. */
export const hex2 = (n: number) => `0x${n.toString(16).padStart(2, "0")}`;
/** A list of vector registers from `first` on, modulo 32: three and more as a range unless they wrap. */
export function registerList(first: number, n: number, arrangement: string): string {
  const name = (k: number) => `v${(first + k) % 32}.${arrangement}`;
  if (n > 2 && first + n <= 32) return `{${name(0)}-${name(n - 1)}}`;
  return `{${Array.from({ length: n }, (_, k) => name(k)).join(", ")}}`;
}
export const hex = (n: number) => `0x${n.toString(16)}`;
export const CONDITIONS = "eq ne cs cc mi pl vs vc hi ls ge lt gt le al nv".split(" ");
/** Conditions with a handler of their own; AL and NV share one. */
export const CONDITION_VALUES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
export const conditionOf = (cond: number) => (cond === 15 ? 14 : cond);

/** Sign bit as 0 or 1. */
export function signBit(e: Emitter, v: Int): I32 {
  return v.type === "i32" ? e.shr(v, e.k32(31)) : e.wrap(e.shr(v, e.k64(63)));
}

/** AddWithCarry (shared/functions/integer) without carry in, with flags. The operands are pinned. */
export function addFlags(e: Emitter, x: Int, y: Int): Int {
  const a = e.let(x);
  const b = e.let(y);
  const r = e.let(e.add(a, b));
  e.setFlags(r, e.ltU(r, a), signBit(e, e.and(e.xor(a, r), e.xor(b, r))));
  return r;
}
export function subFlags(e: Emitter, x: Int, y: Int): Int {
  const a = e.let(x);
  const b = e.let(y);
  const r = e.let(e.sub(a, b));
  e.setFlags(r, e.geU(a, b), signBit(e, e.and(e.xor(a, b), e.xor(a, r))));
  e.compared(a, b);
  return r;
}
/** AddWithCarry with the carry flag; subtraction passes the complement of y. */
export function addCarry(e: Emitter, x: Int, y: Int, flags: boolean): Int {
  const a = e.let(x);
  const b = e.let(y);
  const c = e.let(e.carry());
  const r = e.let(e.add(e.add(a, b), a.type === "i64" ? e.extendU(c) : c));
  if (flags) {
    const out = e.select(c, e.leU(r, a), e.ltU(r, a));
    e.setFlags(r, e.let(out), signBit(e, e.and(e.xor(a, r), e.xor(b, r))));
  }
  return r;
}
/** Flags of a logical operation: C and V are cleared. */
export function logicFlags(e: Emitter, v: Int): Int {
  const r = e.let(v);
  e.setFlags(r, e.k32(0), e.k32(0));
  return r;
}
/** DecodeShift and ShiftReg: 0 LSL, 1 LSR, 2 ASR, 3 ROR. */
export function shift(e: Emitter, kind: number, v: Int, amount: Int): Int {
  return kind === 0
    ? e.shl(v, amount)
    : kind === 1
      ? e.shr(v, amount)
      : kind === 2
        ? e.sar(v, amount)
        : e.ror(v, amount);
}
