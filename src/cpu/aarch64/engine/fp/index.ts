/** The floating-point functions of a module, by name and size of the operands. */
import type { Func, ModuleBuilder, ValueType } from "../wasm.ts";
import type { Helpers } from "../wasm-emitter.ts";
import { ARITHMETIC, type Core, multiplyHighBody } from "./arithmetic.ts";
import * as convert from "./convert.ts";
import { type Bytes, roundBody } from "./format.ts";
import { FunctionEmitter } from "./function.ts";

export type FloatFunctions = ReadonlyMap<string, Func>;

/** Names are operation and bytes: "add8", "toFixed4"; conversions "convert48". */
export function defineFloat(m: ModuleBuilder, helpers: Helpers): FloatFunctions {
  const functions = new Map<string, Func>();
  const define = (
    name: string,
    parameters: readonly ValueType[],
    body: (e: FunctionEmitter) => void,
    result: ValueType = "i64",
  ): Func => {
    const func = m.func(["i32", ...parameters], result);
    const e = new FunctionEmitter(func, helpers);
    e.define(() => body(e));
    functions.set(name, func);
    return func;
  };
  const round = (bytes: Bytes) => define(`round${bytes}`, ["i32", "i32", "i64", "i32"], (e) => roundBody(e, bytes));
  const core: Core = {
    round: { 2: round(2), 4: round(4), 8: round(8) },
    multiplyHigh: define("multiplyHigh", ["i64", "i64"], multiplyHighBody),
  };
  for (const bytes of [4, 8] as const) {
    for (const [name, { operands, body }] of Object.entries(ARITHMETIC)) {
      define(`${name}${bytes}`, new Array<ValueType>(operands).fill("i64"), (e) => body(e, core, bytes));
    }
    const two: readonly ValueType[] = ["i64", "i64"];
    define(`max${bytes}`, two, (e) => convert.extremeBody(e, bytes, true, false));
    define(`min${bytes}`, two, (e) => convert.extremeBody(e, bytes, false, false));
    define(`maxnm${bytes}`, two, (e) => convert.extremeBody(e, bytes, true, true));
    define(`minnm${bytes}`, two, (e) => convert.extremeBody(e, bytes, false, true));
    define(`compare${bytes}`, ["i64", "i64", "i32"], (e) => convert.compareBody(e, bytes), "i32");
    define(`toFixed${bytes}`, ["i64", "i32", "i32", "i32", "i32"], (e) => convert.toFixedBody(e, bytes));
    define(`fromFixed${bytes}`, ["i64", "i32", "i32", "i32"], (e) => convert.fromFixedBody(e, core, bytes));
    define(`roundIntegral${bytes}`, ["i64", "i32", "i32"], (e) => convert.roundIntegralBody(e, bytes));
    define(`recpe${bytes}`, ["i64"], (e) => convert.reciprocalEstimateBody(e, bytes));
    define(`rsqrte${bytes}`, ["i64"], (e) => convert.rootEstimateBody(e, bytes));
    define(`recpx${bytes}`, ["i64"], (e) => convert.exponentReciprocalBody(e, bytes));
    const muladd = functions.get(`muladd${bytes}`) as Func;
    const half = functions.get(`halfmuladd${bytes}`) as Func;
    define(`recps${bytes}`, two, (e) => convert.stepBody(e, bytes, muladd, false));
    define(`rsqrts${bytes}`, two, (e) => convert.stepBody(e, bytes, half, true));
  }
  define("urecpe4", ["i64"], (e) => convert.unsignedEstimateBody(e, false));
  define("ursqrte4", ["i64"], (e) => convert.unsignedEstimateBody(e, true));
  for (const from of [2, 4, 8] as const) {
    for (const to of [2, 4, 8] as const) {
      if (from === to) continue;
      define(`convert${from}${to}`, ["i64", "i32"], (e) => convert.convertBody(e, core, from, to));
    }
  }
  return functions;
}
