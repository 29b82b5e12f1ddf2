/** The part of the WebAssembly back end that makes values of values: arithmetic, vectors, floats. */
import type { Int } from "./emitter.ts";
import { VECTOR_OPCODES, type VectorName } from "./vector-names.ts";
import type { I32, I64, V128, Value, ValueType } from "./wasm.ts";
import * as w from "./wasm.ts";

export type IntType = "i32" | "i64";

const int = (i32: number, i64: number) => [i32, i64] as const;
const OP = {
  add: int(0x6a, 0x7c),
  sub: int(0x6b, 0x7d),
  mul: int(0x6c, 0x7e),
  divS: int(0x6d, 0x7f),
  divU: int(0x6e, 0x80),
  and: int(0x71, 0x83),
  or: int(0x72, 0x84),
  xor: int(0x73, 0x85),
  shl: int(0x74, 0x86),
  sar: int(0x75, 0x87),
  shr: int(0x76, 0x88),
  ror: int(0x78, 0x8a),
  clz: int(0x67, 0x79),
  popcount: int(0x69, 0x7b),
  eqz: int(0x45, 0x50),
  eq: int(0x46, 0x51),
  ne: int(0x47, 0x52),
  ltS: int(0x48, 0x53),
  ltU: int(0x49, 0x54),
  leU: int(0x4d, 0x58),
  geS: int(0x4e, 0x59),
  geU: int(0x4f, 0x5a),
} as const;
type Name = keyof typeof OP;

function same(name: Name, a: Value, b: Value): number {
  if (a.type !== b.type || (a.type !== "i32" && a.type !== "i64")) throw new Error(`${name}: ${a.type} and ${b.type}`);
  return OP[name][a.type === "i32" ? 0 : 1];
}
function arith<T extends IntType>(name: Name, a: Value<T>, b: Value<T>): Value<T> {
  return w.value(a.type, a.code, b.code, same(name, a, b));
}
function compare(name: Name, a: Value, b: Value): I32 {
  return w.value("i32", a.code, b.code, same(name, a, b));
}

const FLOAT = {
  add: [0x92, 0xa0],
  sub: [0x93, 0xa1],
  mul: [0x94, 0xa2],
  div: [0x95, 0xa3],
  sqrt: [0x91, 0x9f],
  abs: [0x8b, 0x99],
} as const;
type FloatName = keyof typeof FLOAT;

export class WasmValues {
  // --- arithmetic
  k32(n: number): I32 {
    return w.i32Const(n);
  }
  k64(low: number, high?: number): I64 {
    return w.i64Const(low, high);
  }
  like(like: Int, n: number): Int {
    return like.type === "i32" ? w.i32Const(n) : w.i64Const(n);
  }
  add<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("add", a, b);
  }
  sub<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("sub", a, b);
  }
  mul<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("mul", a, b);
  }
  and<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("and", a, b);
  }
  or<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("or", a, b);
  }
  xor<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("xor", a, b);
  }
  not<T extends IntType>(a: Value<T>): Value<T> {
    return w.value(a.type, a.code, a.type === "i32" ? [0x41, 0x7f, 0x73] : [0x42, 0x7f, 0x85]);
  }
  shl<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T> {
    return arith("shl", a, amount);
  }
  shr<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T> {
    return arith("shr", a, amount);
  }
  sar<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T> {
    return arith("sar", a, amount);
  }
  ror<T extends IntType>(a: Value<T>, amount: Value<T>): Value<T> {
    return arith("ror", a, amount);
  }
  clz<T extends IntType>(a: Value<T>): Value<T> {
    return w.value(a.type, a.code, same("clz", a, a));
  }
  popcount<T extends IntType>(a: Value<T>): Value<T> {
    return w.value(a.type, a.code, same("popcount", a, a));
  }
  divS<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("divS", a, b);
  }
  divU<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return arith("divU", a, b);
  }
  eqz(a: Int): I32 {
    return w.value("i32", a.code, same("eqz", a, a));
  }
  eq<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("eq", a, b);
  }
  ne<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("ne", a, b);
  }
  ltS<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("ltS", a, b);
  }
  ltU<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("ltU", a, b);
  }
  leU<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("leU", a, b);
  }
  geS<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("geS", a, b);
  }
  geU<T extends IntType>(a: Value<T>, b: Value<T>): I32 {
    return compare("geU", a, b);
  }
  wrap(a: I64): I32 {
    return w.value("i32", a.code, 0xa7);
  }
  extendU(a: I32): I64 {
    return w.value("i64", a.code, 0xad);
  }
  extendS(a: I32): I64 {
    return w.value("i64", a.code, 0xac);
  }
  sext<T extends IntType>(a: Value<T>, bits: 8 | 16 | 32): Value<T> {
    if (a.type === "i32") return bits === 32 ? a : w.value(a.type, a.code, bits === 8 ? 0xc0 : 0xc1);
    return w.value(a.type, a.code, bits === 8 ? 0xc2 : bits === 16 ? 0xc3 : 0xc4);
  }
  select<T extends ValueType>(condition: I32, yes: Value<T>, no: Value<T>): Value<T> {
    if (yes.type !== no.type) throw new Error(`select: ${yes.type} and ${no.type}`);
    return w.select(condition, yes, no);
  }

  // --- vectors
  vector(name: VectorName, ...args: readonly (V128 | I32)[]): V128 {
    return w.value("v128", ...args.map((a) => a.code), w.simd(VECTOR_OPCODES[name]));
  }
  test(name: VectorName, v: V128): I32 {
    return w.value("i32", v.code, w.simd(VECTOR_OPCODES[name]));
  }
  kv(bytes: readonly number[]): V128 {
    return w.value("v128", w.simd(12), bytes);
  }
  shuffle(a: V128, b: V128, lanes: readonly number[]): V128 {
    return w.value("v128", a.code, b.code, w.simd(13), lanes);
  }
  splat(bytes: number, v: I64): V128 {
    const opcode = { 1: 15, 2: 16, 4: 17, 8: 18 }[bytes] as number;
    return w.value("v128", bytes === 8 ? v.code : this.wrap(v).code, w.simd(opcode));
  }
  halves(low: I64, high: I64): V128 {
    return w.value("v128", low.code, w.simd(18), high.code, w.simd(30), 1);
  }
  half(v: V128, index: 0 | 1): I64 {
    return w.value("i64", v.code, w.simd(29), index);
  }

  // --- floats
  f64(bits: I64): w.F64 {
    return w.value("f64", bits.code, 0xbf);
  }
  bits64(v: w.F64): I64 {
    return w.value("i64", v.code, 0xbd);
  }
  /** From and to the low 32 bits. */
  f32(bits: I64): w.F32 {
    return w.value("f32", bits.code, 0xa7, 0xbe);
  }
  bits32(v: w.F32): I64 {
    return w.value("i64", v.code, 0xbc, 0xad);
  }
  demote(v: w.F64): w.F32 {
    return w.value("f32", v.code, 0xb6);
  }
  negateFloat(v: w.F64): w.F64 {
    return w.value("f64", v.code, 0x9a);
  }
  promote(v: w.F32): w.F64 {
    return w.value("f64", v.code, 0xbb);
  }
  float<T extends "f32" | "f64">(name: FloatName, a: Value<T>, b?: Value<T>): Value<T> {
    return w.value(a.type, a.code, b?.code ?? [], FLOAT[name][a.type === "f32" ? 0 : 1]);
  }
  floatCompare(name: "eq" | "ne" | "lt" | "gt", a: w.F32 | w.F64, b: w.F32 | w.F64): I32 {
    const opcode = { eq: 0x5b, ne: 0x5c, lt: 0x5d, gt: 0x5e }[name] + (a.type === "f64" ? 6 : 0);
    return w.value("i32", a.code, b.code, opcode);
  }
}
