/**
 * The abstract emitter: what the meanings in `isa/` are written against. A back end gives each method its effect: the
 * interpreter reads operands from the decoded operation, a translator puts constants and keeps registers in locals, a printer writes text.
 *
 * Values are expressions and may be evaluated where they are used: a meaning that writes a register or flag and later uses a value
 * read before pins it with `let`. `load`, `let` and all that returns void take effect in the order of the calls.
 */
import type { VectorName } from "./vector-names.ts";
import type { F32, F64, I32, I64, V128, Value, ValueType } from "./wasm.ts";

export type { F32, F64, I32, I64, V128, Value, ValueType };
export type Int = I32 | I64;
type IntType = "i32" | "i64";

/** A register operand: one of the four of a decoded operation, or one that the instruction implies. */
export type Operand =
  | {
      readonly place: 0 | 1 | 2 | 3 /** Vector register so many after the one named, modulo 32. */;
      readonly plus?: number;
    }
  | { readonly offset: number };

/** Condition codes of C1.2.4, `Condition` being the 4-bit field. */
export type Condition = number;

/** How a loaded value becomes a 64-bit register value: access size in bytes and extension. */
export interface LoadKind {
  readonly size: 1 | 2 | 4 | 8;
  /** Sign extension to 32 or 64 bits; zero extension without. */
  readonly signed?: 32 | 64;
}

/** A source of `mapLanes`: elements of `bytes` bytes from byte `from` on, zero- or sign-extended to 64 bits. */
export interface LaneSource {
  readonly v: V128;
  readonly bytes: number;
  readonly signed?: boolean;
  readonly from?: number;
}

export interface Emitter {
  // --- operands
  x(r: Operand): I64;
  w(r: Operand): I32;
  /** X register when `sf`, else W register. */
  read(r: Operand, sf: number): Int;
  /** Writes a register; 32-bit values are zero-extended. */
  write(r: Operand, v: Int): void;
  /** The immediate, sign-extended from the decoded form: 64 bits, or its low 32. */
  imm64(): I64;
  imm32(): I32;
  immediate(sf: number): Int;
  /** The upper word of the immediate. */
  immHigh(): I32;
  /** The small constant in the place of the third register. */
  aux(): I32;

  /** A SIMD and floating-point register, all 128 bits. */
  v(r: Operand): V128;
  writeV(r: Operand, v: V128): void;
  /** Its low 64 bits; writing clears the others. */
  d(r: Operand): I64;
  writeD(r: Operand, v: I64): void;

  /** All 128 bits when `q`, else the low 64 with the others cleared. */
  writeQ(r: Operand, v: V128, q: number): void;
  /** Element of a register, zero- or sign-extended, at a byte offset. */
  element(r: Operand, bytes: number, at: number | I32, signed?: boolean): I64;
  setElement(r: Operand, bytes: number, at: number | I32, v: I64): void;

  // --- vectors
  /** A vector operation by its WebAssembly name; shifts take an i32 amount. */
  vector(name: VectorName, ...args: readonly (V128 | I32)[]): V128;
  /** Truth of v128.any_true and the like. */
  test(name: VectorName, v: V128): I32;
  kv(bytes: readonly number[]): V128;
  shuffle(a: V128, b: V128, lanes: readonly number[]): V128;
  splat(bytes: number, v: I64): V128;
  /** Two 64-bit halves. */
  halves(low: I64, high: I64): V128;
  half(v: V128, index: 0 | 1): I64;
  /**
   * Element by element: `out` bytes of result each, `limit` bytes of result in all (the rest is zero); `f` gets the sources' elements.
   * With `down`, from the last element to the first.
   */
  mapLanes(out: number, limit: number | I32, sources: readonly LaneSource[], f: (...a: I64[]) => I64): V128;
  /** Folds the elements of `v` with `f`, in order. */
  foldLanes(v: V128, bytes: number, limit: number, signed: boolean, f: (acc: I64, a: I64) => I64): I64;
  /**
   * A floating-point function of fp/index.ts on bit patterns (zero-extended to 64 bits), by the rounding and for the flags that FPCR and
   * FPSR hold; "add8" adds two doubles.
   */
  fp(name: string, ...args: readonly (I64 | I32)[]): I64;
  /**
   * Addition and the like on whole vectors of `limit` bytes where WebAssembly's own operation gives the architecture's result (nothing
   * asked of FPCR, IXC set already, all results normal), else by `lanes`.
   */
  fpVector(name: "add" | "sub" | "mul" | "div", bytes: number, a: V128, b: V128, limit: I32, lanes: () => V128): V128;
  /** NZCV of a comparison; `signal`: quiet NaNs set IOC too. */
  fpCompare(bytes: number, a: I64, b: I64, signal: number): I32;
  /** Sets FPSR.QC when the condition holds. */
  saturated(condition: I32): void;

  // --- constants and integer arithmetic; both operands have the same type
  k32(n: number): I32;
  k64(low: number, high?: number): I64;
  /** A small constant of the width of `like`. */
  like(like: Int, n: number): Int;
  add<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  sub<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  mul<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  and<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  or<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  xor<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  not<T extends IntType>(a: Value<T>): Value<T>;
  /** Shifts and rotates take the amount modulo the width. */
  shl<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T>;
  shr<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T>;
  sar<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T>;
  ror<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T>;
  clz<T extends IntType>(a: Value<T>): Value<T>;
  popcount<T extends IntType>(a: Value<T>): Value<T>;
  /** Quotients as WebAssembly has them: the divisor must not be 0, nor -1 for signed division. */
  divS<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  divU<T extends IntType>(a: Value<T>, b: Value<T>): Value<T>;
  eqz(a: Int): I32;
  eq<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  ne<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  ltS<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  ltU<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  leU<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  geS<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  geU<T extends IntType>(a: Value<T>, b: Value<T>): I32;
  wrap(a: I64): I32;
  extendU(a: I32): I64;
  extendS(a: I32): I64;
  /** Sign extension of the low 8, 16 or 32 bits within the width. */
  sext<T extends IntType>(a: Value<T>, bits: 8 | 16 | 32): Value<T>;
  select<T extends ValueType>(condition: I32, yes: Value<T>, no: Value<T>): Value<T>;
  /** CRC-32 of `a` continued over the low `bytes` bytes of `data`, with the reversed polynomial. */
  crc32(a: I32, data: I64, bytes: number, polynomial: number): I32;

  // --- statements
  let<T extends ValueType>(v: Value<T>): Value<T>;
  when(condition: I32, body: () => void, otherwise?: () => void): void;
  choose<T extends ValueType>(condition: I32, yes: () => Value<T>, no: () => Value<T>): Value<T>;

  // --- flags
  condition(c: Condition): I32;
  carry(): I32;
  /** N and Z from a result, C and V as given. */
  setFlags(result: Int, c: I32, v: I32): void;
  /** After `setFlags`: they are those of comparing `a` with `b`, both pinned. Conditions in the same meaning may use that. */
  compared(a: Int, b: Int): void;
  /** All four from NZCV in bits 3 to 0. */
  setNzcv(nzcv: I32): void;
  /** NZCV in bits 3 to 0. */
  nzcv(): I32;

  // --- control flow; the first two end the meaning when taken
  /** Address of this instruction. */
  pc(): I64;
  /** To pc + immediate; `near` when the target lies in the same page. */
  branch(near: number): void;
  branchIf(condition: I32, near: number): void;
  branchTo(address: I64): void;

  // --- memory
  load(address: I64, kind: LoadKind, access?: number): I64;
  store(address: I64, v: I64, size: 1 | 2 | 4 | 8, access?: number): void;
  /** Two elements of `size` bytes at once: nothing is written before both are known to be accessible. */
  loadPair(address: I64, size: 4 | 8, signed: boolean, access?: number): [I64, I64];
  storePair(address: I64, first: I64, second: I64, size: 4 | 8, access?: number): void;
  /** As above by the host alone, `size` and `access` being values of the operation. */
  loadSlow(address: I64, size: I32, access: I32): void;
  storeSlow(address: I64, size: I32, access: I32): void;
  /** Sets the monitor and returns the value; the pair form leaves both in the mailbox. */
  loadExclusive(address: I64, size: 1 | 2 | 4 | 8, access: number): I64;
  /** 0 when stored, 1 when not. */
  storeExclusive(address: I64, v: I64, size: 1 | 2 | 4 | 8, access: number): I32;
  clearExclusive(): void;
  loadVector(address: I64): V128;
  storeVector(address: I64, v: V128): void;
  /** Zeroes the aligned 64 bytes around an address; `host` where the engine cannot by itself. */
  zeroBlock(address: I64, host: () => void): void;
  /** Checks the alignment of the stack pointer before it is used as a base. */
  checkStackPointer(): void;
  /** Traps when SIMD and floating point are disabled. */
  checkFp(): void;

  // --- the context and the host
  /** A word of the context outside the registers: mailbox, monitor, control registers. */
  contextI32(offset: number): I32;
  contextI64(offset: number): I64;
  setContext(offset: number, v: Value): void;
  sysreg(encoding: I32, write: number): void;
  system(kind: number): void;
}
