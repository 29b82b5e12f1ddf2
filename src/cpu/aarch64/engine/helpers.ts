/** Imports of the interpreter and the functions that its handlers share. */

import { STORES_AT } from "./codecache.ts";
import { defineFloat } from "./fp/index.ts";
import * as L from "./layout.ts";
import * as w from "./wasm.ts";
import { type I32, type I64, Label, type Local } from "./wasm.ts";
import { type Helpers, tlbIndex } from "./wasm-emitter.ts";

export interface AllHelpers extends Helpers {
  readonly imports: { readonly fetch: w.Func; readonly decode: w.Func };
}

export function defineHelpers(m: w.ModuleBuilder): AllHelpers {
  const fetch = m.importFunction("env", "fetch", ["i32"], "i32");
  const decode = m.importFunction("env", "decode", ["i32", "i32"], "i32");
  const load = m.importFunction("env", "load", ["i32", "i32"], "i32");
  const storeImport = m.importFunction("env", "store", ["i32", "i32"], "i32");
  const sysreg = m.importFunction("env", "sysreg", ["i32", "i32", "i32"], "i32");
  const system = m.importFunction("env", "system", ["i32", "i32"], "i32");

  const save = m.func(["i32", "i32", "i32", "i64"], "void");
  save.body = saveCode(
    save.parameter(0, "i32"),
    save.parameter(1, "i32"),
    save.parameter(2, "i32"),
    save.parameter(3, "i64"),
  );

  const slow = (host: w.Func, store: boolean): w.Func => {
    const f = m.func(["i32", "i32", "i32", "i64", "i64", "i32", "i32"], "i32");
    const context = f.parameter(0, "i32");
    const address = f.parameter(4, "i64");
    const size = f.parameter(5, "i32");
    const access = f.parameter(6, "i32");
    f.body = [
      store ? undecodedStore(f, context, address, size, access) : [],
      saveCode(context, f.parameter(1, "i32"), f.parameter(2, "i32"), f.parameter(3, "i64")),
      w.store(w.STORE_I64, context.get, address.get, L.MAIL_ADDRESS),
      w.store(w.STORE_I32, context.get, access.get, L.MAIL_ACCESS),
      host.call(context.get, size.get),
    ];
    return f;
  };
  const slowLoad = slow(load, false);
  const slowStore = slow(storeImport, true);
  const float = new Map<string, w.Func>();
  const helpers = { slowLoad, slowStore, save, sysreg, system, float, crc32: defineCrc(m), imports: { fetch, decode } };
  for (const [name, func] of defineFloat(m, helpers)) float.set(name, func);
  return helpers;
}

function saveCode(context: Local<"i32">, pc: Local<"i32">, count: Local<"i32">, va: Local<"i64">): w.Code {
  return [
    w.store(w.STORE_I64, context.get, va.get, L.PC),
    w.store(w.STORE_I32, context.get, count.get, L.COUNT),
    w.store(w.STORE_I32, context.get, pc.get, L.SLOT),
  ];
}

/** A power of two: of so many stores to words that are not decoded one goes to the host. */
const STORES_INSIDE = 64;

/**
 * A store into a page with decoded code, to words that are not decoded themselves: done here, as data and code share pages in small
 * programs. Only plain stores; returns from the function when done.
 */
function undecodedStore(
  f: w.Func,
  context: Local<"i32">,
  address: Local<"i64">,
  size: Local<"i32">,
  access: Local<"i32">,
): w.Code {
  const entry = f.local("i32");
  const slots = f.local("i32");
  const host = f.local("i32");
  const done = new Label("host");
  const op = (a: I32, b: I32, opcode: number): I32 => w.value("i32", a.code, b.code, opcode);
  const op64 = (a: I64, b: I64, opcode: number): I64 => w.value("i64", a.code, b.code, opcode);
  const k = w.i32Const;
  const wrap = (a: I64): I32 => w.value("i32", a.code, 0xa7);
  const last = op64(address.get, w.value("i64", op(size.get, k(1), 0x6b).code, 0xad), 0x7c);
  const tag = op64(op64(last, w.i64Const(12), 0x88), w.i64Const(0, -0x80000000), 0x84);
  const at = (offset: number) => L.TLB_WRITE + offset;
  // the slots of the words touched, up to three, or five
  const slot = (a: I64) => op(slots.get, op(op(wrap(a), k(4092), 0x71), k(2), 0x74), 0x6a);
  const later = (by: number) => w.load("i32", w.LOAD_U16, slot(op64(address.get, w.i64Const(by), 0x7c)));
  const value = w.load("i64", w.LOAD_I64, context.get, L.MAIL_VALUE);
  const counted = w.load("i32", w.LOAD_I32, slots.get, STORES_AT);
  const store = (bytes: number, opcode: number) =>
    w.when(op(size.get, k(bytes), 0x46), [w.store([opcode], host.get, value), k(L.GO_ON).code, w.RETURN]);
  return [
    w.block(done, [
      w.brIf(op(access.get, k(~L.ACCESS_PAIR), 0x71), done),
      entry.set(op(w.load("i32", w.LOAD_I32, context.get, L.TLB), tlbIndex(address.get), 0x6a)),
      w.brIf(w.value("i32", w.load("i64", w.LOAD_I64, entry.get, at(L.TLB_TAG)).code, tag.code, 0x52), done),
      w.brIf(w.value("i32", slots.tee(w.load("i32", w.LOAD_I32, entry.get, at(L.TLB_CODE))).code, 0x45), done),
      w.brIf(
        op(
          op(w.load("i32", w.LOAD_U16, slot(address.get)), w.load("i32", w.LOAD_U16, slot(last)), 0x72),
          later(3),
          0x72,
        ),
        done,
      ),
      // one of some goes to the host, which clears the page when there are many of them and the page is not executed
      w.store(w.STORE_I32, slots.get, op(counted, k(1), 0x6a), STORES_AT),
      w.brIf(w.value("i32", op(counted, k(STORES_INSIDE - 1), 0x71).code, 0x45), done),
      host.set(op(w.load("i32", w.LOAD_I32, entry.get, at(L.TLB_ADDEND)), wrap(address.get), 0x6a)),
      w.when(op(size.get, k(16), 0x46), [
        w.brIf(op(later(7), later(11), 0x72), done),
        w.store(w.simd(11), host.get, w.load("v128", w.simd(0), context.get, L.MAIL_VALUE)),
        k(L.GO_ON).code,
        w.RETURN,
      ]),
      store(8, 0x37),
      store(4, 0x3e),
      store(1, 0x3c),
      store(2, 0x3d),
    ]),
  ];
}

/** CRC-32 with a reversed polynomial, bit by bit: rare in guests. */
function defineCrc(m: w.ModuleBuilder): w.Func {
  const f = m.func(["i32", "i64", "i32", "i32"], "i32");
  const crc = f.parameter(0, "i32");
  const data = f.parameter(1, "i64");
  const bits = f.parameter(2, "i32");
  const polynomial = f.parameter(3, "i32");
  const again = new Label("bit");
  const op = (a: I32, b: I32, opcode: number): I32 => w.value("i32", a.code, b.code, opcode);
  const bit = op(op(crc.get, w.value("i32", data.get.code, 0xa7), 0x73), w.i32Const(1), 0x71);
  const down = op(crc.get, w.i32Const(1), 0x76);
  const masked = op(polynomial.get, op(w.i32Const(0), bit, 0x6b), 0x71);
  f.body = [
    bits.set(op(bits.get, w.i32Const(3), 0x74)),
    w.loop(again, [
      crc.set(op(down, masked, 0x73)),
      data.set(w.value("i64", data.get.code, w.i64Const(1).code, 0x88)),
      w.brIf(bits.tee(op(bits.get, w.i32Const(1), 0x6b)), again),
    ]),
    crc.get.code,
  ];
  return f;
}
