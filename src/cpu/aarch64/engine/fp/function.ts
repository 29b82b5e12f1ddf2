/** Shared functions of the engines, written with the emitter's own operations. */
import type { Emitter } from "../emitter.ts";
import type { Code, Func, I32, Value, ValueType } from "../wasm.ts";
import * as w from "../wasm.ts";
import { type Helpers, WasmEmitter } from "../wasm-emitter.ts";

/** An emitter for the body of a function whose first parameter is the context; it has no operands and no program counter. */
export class FunctionEmitter extends WasmEmitter {
  readonly func: Func;
  readonly context: I32;

  constructor(func: Func, helpers: Helpers) {
    const context = func.parameter(0, "i32");
    const none = new w.Local(-1, "i32");
    super({ func, context, pc: none, bias: none, vaBias: new w.Local(-1, "i64"), tlb: none }, helpers);
    this.func = func;
    this.context = context.get;
  }
  parameter<T extends ValueType>(at: number, type: T): Value<T> {
    return this.func.parameter(at, type).get;
  }
  return(v: Value): void {
    this.out.push(v.code, w.RETURN);
  }
  returnIf(condition: I32, v: () => Value): void {
    this.when(condition, () => this.return(v()));
  }
  /** Repeats the body `times` times. */
  repeat(times: number, body: () => void): void {
    const left = this.temp("i32");
    const again = new w.Label("again");
    this.out.push(left.set(this.k32(times)));
    const code = this.arm(body);
    this.out.push(w.loop(again, [code, w.brIf(left.tee(this.sub(left.get, this.k32(1))), again)]));
  }
  /** A variable of its own, to be assigned. */
  variable<T extends ValueType>(initial: Value<T>): { readonly get: Value<T>; set(v: Value<T>): void } {
    const local = this.temp(initial.type);
    this.out.push(local.set(initial));
    return {
      get: local.get,
      set: (v) => {
        this.out.push(local.set(v));
      },
    };
  }
  /** Finishes the function; control must not reach the end without a return. */
  define(body: () => void): Func {
    this.func.body = [this.meaning(body), w.UNREACHABLE];
    return this.func;
  }

  raw<T extends ValueType>(type: T, ...code: Code): Value<T> {
    return w.value(type, ...code);
  }

  // --- what a function has not
  #none(): never {
    throw new Error("a shared function has no operands");
  }
  protected address(): never {
    return this.#none();
  }
  protected exit(): never {
    return this.#none();
  }
  imm64(): never {
    return this.#none();
  }
  imm32(): never {
    return this.#none();
  }
  immHigh(): never {
    return this.#none();
  }
  aux(): never {
    return this.#none();
  }
  branch(): never {
    return this.#none();
  }
  branchIf(): never {
    return this.#none();
  }
  branchTo(): never {
    return this.#none();
  }
}
export type FunctionBody = (e: FunctionEmitter) => void;
export type { Emitter };
