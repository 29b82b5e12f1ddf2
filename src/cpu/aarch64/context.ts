/**
 * One CPU's context in the arena, seen from TypeScript. 64-bit values are two int32 halves; offsets are those of
 * `engine/layout.ts`. It holds no state of its own.
 */
import type { Arena } from "../../bus/index.ts";
import * as L from "./engine/layout.ts";

/** Bits of SPSR_ELx (and of `pstate`), DDI 0487 C5.2.18. */
export const SPSR_N = 0x8000_0000 | 0;
export const SPSR_SS = 1 << 21;
export const SPSR_IL = 1 << 20;

/** Bits of the DAIF field of the context. */
export const DAIF_D = 8;
export const DAIF_A = 4;
export const DAIF_I = 2;
export const DAIF_F = 1;

export class Context {
  /** Address in the arena; what the engine's functions take. */
  readonly base: number;
  /** The context's bytes as int32; index = offset >> 2. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;

  constructor(arena: Arena) {
    const base = arena.allocate(L.CONTEXT_BYTES, 0x1_0000);
    if (base < 0) throw new RangeError("the machine's host memory has no room for another CPU");
    this.base = base;
    this.words = new Int32Array(arena.memory.buffer, base, L.CONTEXT_BYTES / 4);
    this.bytes = new Uint8Array(arena.memory.buffer, base, L.CONTEXT_BYTES);
  }

  /** An i32 field, or the low half of an i64 one. */
  low(offset: number): number {
    return this.words[offset >> 2] as number;
  }
  high(offset: number): number {
    return this.words[(offset >> 2) + 1] as number;
  }
  setLow(offset: number, value: number): void {
    this.words[offset >> 2] = value;
  }
  set(offset: number, low: number, high: number): void {
    this.words[offset >> 2] = low;
    this.words[(offset >> 2) + 1] = high;
  }
  copy(to: number, from: number): void {
    this.words[to >> 2] = this.words[from >> 2] as number;
    this.words[(to >> 2) + 1] = this.words[(from >> 2) + 1] as number;
  }
  /** An i64 field as an unsigned number; exact below 2^53. */
  number(offset: number): number {
    return (this.high(offset) >>> 0) * 4294967296 + (this.low(offset) >>> 0);
  }
  setNumber(offset: number, value: number): void {
    this.set(offset, value | 0, Math.floor(value / 4294967296) | 0);
  }

  get el(): number {
    return this.words[L.EL >> 2] as number;
  }
  get daif(): number {
    return this.words[L.DAIF >> 2] as number;
  }

  /** NZCV in bits 31 to 28. */
  get nzcv(): number {
    const n = this.high(L.NRES) & SPSR_N;
    const z = this.low(L.ZRES) === 0 && this.high(L.ZRES) === 0 ? 0x4000_0000 : 0;
    const c = this.low(L.CFLAG) !== 0 ? 0x2000_0000 : 0;
    const v = this.low(L.VFLAG) !== 0 ? 0x1000_0000 : 0;
    return n | z | c | v;
  }
  set nzcv(value: number) {
    this.set(L.NRES, 0, value & SPSR_N);
    this.set(L.ZRES, (value & 0x4000_0000) !== 0 ? 0 : 1, 0);
    this.setLow(L.CFLAG, (value >>> 29) & 1);
    this.setLow(L.VFLAG, (value >>> 28) & 1);
  }

  /** PSTATE as SPSR_ELx holds it for AArch64. */
  get pstate(): number {
    return (
      this.nzcv |
      (this.low(L.SS) << 21) |
      (this.low(L.IL) << 20) |
      (this.daif << 6) |
      (this.el << 2) |
      (this.el === 0 ? 0 : this.low(L.SPSEL))
    );
  }

  /** "0x%016x" */
  hex(offset: number): string {
    return `0x${hex32(this.high(offset))}${hex32(this.low(offset))}`;
  }
}

export function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
