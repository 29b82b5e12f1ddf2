/** Back end for WebAssembly: expressions are code; operands, control flow and exits are left to the engines that extend it. */
import type { Emitter, Int, LaneSource, LoadKind, Operand } from "./emitter.ts";
import { BASIC, type Basic, basic, MODES } from "./fp/native.ts";
import * as L from "./layout.ts";
import type { Code, I32, I64, Local, Node, V128, Value, ValueType } from "./wasm.ts";
import * as w from "./wasm.ts";
import { WasmValues } from "./wasm-values.ts";

/** The functions that meanings of any engine call; see `interpreter-helpers.ts`. */
export interface Helpers {
  /** (ctx, pc, count, pcVa, address, size, access) -> status */
  readonly slowLoad: w.Func;
  readonly slowStore: w.Func;
  /** (ctx, pc, count, pcVa): PC, COUNT and SLOT into the context. */
  readonly save: w.Func;
  /** (crc, data, bytes, polynomial) -> crc */
  readonly crc32: w.Func;
  readonly sysreg: w.Func;
  /** Floating point: fp/index.ts. */
  readonly float: ReadonlyMap<string, w.Func>;
  readonly system: w.Func;
}

/** What every function that holds meanings has in locals. */
export interface Frame {
  readonly func: w.Func;
  readonly context: Local<"i32">;
  readonly pc: Local<"i32">;
  readonly bias: Local<"i32">;
  readonly vaBias: Local<"i64">;
  readonly tlb: Local<"i32">;
}

const LOADS: { readonly [key: string]: readonly [opcode: number, extend: readonly number[]] } = {
  // opcode gives i64 directly; `extend` does the same to the raw value of the slow path
  "1": [0x31, []],
  "2": [0x33, []],
  "4": [0x35, []],
  "8": [0x29, []],
  "1s64": [0x30, [0xc2]],
  "2s64": [0x32, [0xc3]],
  "4s64": [0x34, [0xc4]],
};
/** `tlbSlot` of an address, times the bytes of an entry. */
export function tlbIndex(address: I64): I32 {
  // the low word of the address only
  const low = w.value("i32", address.code, 0xa7);
  const shift = (by: number) => w.value("i32", low.code, w.i32Const(by).code, 0x76).code;
  return w.value("i32", shift(8), shift(18), 0x73, w.i32Const((L.TLB_ENTRIES - 1) << 4).code, 0x71);
}
function loadOpcode(bytes: number, signed: boolean): number {
  return ({ 1: 0x31, 2: 0x33, 4: 0x35, 8: 0x29 }[bytes] as number) - (signed && bytes < 8 ? 1 : 0);
}
const STORES = { 1: [0x3c], 2: [0x3d], 4: [0x3e], 8: [0x37] } as const;

export abstract class WasmEmitter extends WasmValues implements Emitter {
  protected readonly frame: Frame;
  protected readonly helpers: Helpers;
  protected out: Node[] = [];
  readonly #free = new Map<ValueType, Local[]>();
  readonly #used: Local[] = [];
  /** The flags are those of comparing these two, so far in the meaning. */
  #compared: { readonly a: Int; readonly b: Int } | null = null;
  #fpChecked = false;

  constructor(frame: Frame, helpers: Helpers) {
    super();
    this.frame = frame;
    this.helpers = helpers;
  }

  /** The code of one whole meaning; its locals are free again afterwards. */
  protected meaning(body: () => void): Code {
    this.#compared = null;
    this.#fpChecked = false;
    const code = this.arm(body);
    for (const local of this.#used.splice(0)) this.#free.get(local.type)?.push(local);
    return code;
  }
  protected temp<T extends ValueType>(type: T): Local<T> {
    let free = this.#free.get(type);
    if (free === undefined) {
      free = [];
      this.#free.set(type, free);
    }
    const local = (free.pop() as Local<T> | undefined) ?? this.frame.func.local(type);
    this.#used.push(local);
    return local;
  }

  // --- left to the engine
  /** Address of the register in memory. */
  protected abstract address(r: Operand): { base: I32; offset: number };
  /** Leaves the meaning with a status other than GO_ON. */
  protected abstract exit(status: I32): Code;
  abstract imm64(): I64;
  abstract imm32(): I32;
  abstract immHigh(): I32;
  abstract aux(): I32;
  abstract branch(near: number): void;
  abstract branchIf(condition: I32, near: number): void;
  abstract branchTo(address: I64): void;

  // --- operands
  x(r: Operand): I64 {
    const { base, offset } = this.address(r);
    return w.load("i64", w.LOAD_I64, base, offset);
  }
  w(r: Operand): I32 {
    const { base, offset } = this.address(r);
    return w.load("i32", w.LOAD_I32, base, offset);
  }
  read(r: Operand, sf: number): Int {
    return sf ? this.x(r) : this.w(r);
  }
  write(r: Operand, v: Int): void {
    const { base, offset } = this.address(r);
    this.out.push(w.store(w.STORE_I64, base, v.type === "i32" ? this.extendU(v) : v, offset));
  }
  immediate(sf: number): Int {
    return sf ? this.imm64() : this.imm32();
  }

  v(r: Operand): V128 {
    const { base, offset } = this.address(r);
    return w.load("v128", w.simd(0), base, offset);
  }
  writeV(r: Operand, v: V128): void {
    const { base, offset } = this.address(r);
    this.out.push(w.store(w.simd(11), base, v, offset));
  }
  d(r: Operand): I64 {
    return this.x(r);
  }
  writeD(r: Operand, v: I64): void {
    const { base, offset } = this.address(r);
    this.out.push(w.store(w.STORE_I64, base, v, offset), w.store(w.STORE_I64, base, this.k64(0), offset + 8));
  }

  writeQ(r: Operand, v: V128, q: number): void {
    if (q) this.writeV(r, v);
    else this.writeD(r, this.half(v, 0));
  }
  #elementAt(r: Operand, at: number | I32): { base: I32; offset: number } {
    const { base, offset } = this.address(r);
    return typeof at === "number" ? { base, offset: offset + at } : { base: this.add(base, at), offset };
  }
  element(r: Operand, bytes: number, at: number | I32, signed = false): I64 {
    const { base, offset } = this.#elementAt(r, at);
    return w.load("i64", [loadOpcode(bytes, signed)], base, offset);
  }
  setElement(r: Operand, bytes: number, at: number | I32, v: I64): void {
    const { base, offset } = this.#elementAt(r, at);
    this.out.push(w.store(STORES[bytes as 1], base, v, offset));
  }

  // --- vectors
  mapLanes(out: number, limit: number | I32, sources: readonly LaneSource[], f: (...a: I64[]) => I64): V128 {
    const context = this.frame.context.get;
    const result = L.SCRATCH + 16 * sources.length;
    sources.forEach(({ v }, i) => {
      this.out.push(w.store(w.simd(11), context, v, L.SCRATCH + 16 * i));
    });
    this.out.push(w.store(w.simd(11), context, this.kv(new Array<number>(16).fill(0)), result));
    const end = typeof limit === "number" ? this.k32(limit / out) : this.let(this.shr(limit, this.k32(Math.log2(out))));
    this.#lanes(end, (at) => {
      const args = sources.map(({ bytes, signed, from }, i) =>
        this.let(w.load("i64", [loadOpcode(bytes, signed ?? false)], at(bytes), L.SCRATCH + 16 * i + (from ?? 0))),
      ) as I64[];
      const v = this.let(f(...args)) as I64;
      this.out.push(w.store(STORES[out as 1], at(out), v, result));
    });
    return this.let(w.load("v128", w.simd(0), context, result));
  }
  foldLanes(v: V128, bytes: number, limit: number, signed: boolean, f: (acc: I64, a: I64) => I64): I64 {
    const context = this.frame.context.get;
    const acc = this.temp("i64");
    const opcode = loadOpcode(bytes, signed);
    this.out.push(w.store(w.simd(11), context, v, L.SCRATCH));
    this.out.push(acc.set(w.load("i64", [opcode], context, L.SCRATCH)));
    if (limit > bytes) {
      this.#lanes(this.k32(limit / bytes - 1), (at) => {
        const a = this.let(w.load("i64", [opcode], at(bytes), L.SCRATCH + bytes)) as I64;
        this.out.push(acc.set(f(acc.get, a)));
      });
    }
    return acc.get;
  }
  /** A loop over lane numbers 0 to `end` - 1; `at` gives the context's address plus lane times bytes. */
  #lanes(end: I32, body: (at: (bytes: number) => I32) => void): void {
    const index = this.temp("i32");
    const again = new w.Label("lane");
    const context = this.frame.context.get;
    this.out.push(index.set(this.k32(0)));
    const code = this.arm(() =>
      body((bytes) => this.add(context, bytes === 1 ? index.get : this.shl(index.get, this.k32(Math.log2(bytes))))),
    );
    const next = index.tee(this.add(index.get, this.k32(1)));
    this.out.push(w.loop(again, [code, w.brIf(this.ltU(next, end), again)]));
  }
  fp(name: string, ...args: readonly (I64 | I32)[]): I64 {
    if (BASIC.test(name)) {
      const [a, b = a] = args as readonly I64[];
      const slow = (x: I64, y: I64) =>
        this.#float(name).callValue("i64", this.frame.context.get, ...(args.length === 1 ? [x] : [x, y]));
      return basic(this, name.slice(0, -1) as Basic, Number(name.slice(-1)), a as I64, b as I64, slow);
    }
    return this.let(this.#float(name).callValue("i64", this.frame.context.get, ...args)) as I64;
  }
  fpVector(name: "add" | "sub" | "mul" | "div", bytes: number, a: V128, b: V128, limit: I32, lanes: () => V128): V128 {
    const shape = bytes === 8 ? "f64x2" : "f32x4";
    const ints = bytes === 8 ? "i64x2" : "i32x4";
    // FPCR without modes and FPSR.IXC
    const modes = this.and(this.contextI32(L.FPCR), this.k32(MODES));
    const inexact = this.and(this.contextI32(L.FPSR), this.k32(16));
    const easy = this.and(this.eqz(modes), this.ne(inexact, this.k32(0)));
    const r = this.let(this.vector(`${shape}.${name}`, a, b));
    const infinity = bytes === 8 ? this.k64(0, 0x7ff00000) : this.k64(0x7f800000, 0);
    const field = this.let(this.vector("v128.and", r, this.splat(bytes, infinity)));
    const low = this.vector(`${ints}.eq`, field, this.splat(bytes, this.k64(0)));
    const high = this.vector(`${ints}.eq`, field, this.splat(bytes, infinity));
    const odd = this.test("v128.any_true", this.vector("v128.or", low, high));
    const keep = this.eq(limit, this.k32(16));
    return this.choose(
      this.and(easy, this.eqz(odd)),
      () => this.halves(this.half(r, 0), this.select(keep, this.half(r, 1), this.k64(0))),
      lanes,
    );
  }
  fpCompare(bytes: number, a: I64, b: I64, signal: number): I32 {
    const f = this.#float(`compare${bytes}`);
    return this.let(f.callValue("i32", this.frame.context.get, a, b, this.k32(signal))) as I32;
  }
  #float(name: string): w.Func {
    const f = this.helpers.float.get(name);
    if (f === undefined) throw new Error(`no floating-point function is named "${name}"`);
    return f;
  }
  saturated(condition: I32): void {
    const qc = this.shl(condition, this.k32(27));
    this.setContext(L.FPSR, this.or(this.contextI32(L.FPSR), qc));
  }

  crc32(a: I32, data: I64, bytes: number, polynomial: number): I32 {
    return this.helpers.crc32.callValue("i32", a, data, this.k32(bytes), this.k32(polynomial));
  }

  // --- statements
  let<T extends ValueType>(v: Value<T>): Value<T> {
    const local = this.temp(v.type);
    this.out.push(local.set(v));
    return local.get;
  }
  when(condition: I32, body: () => void, otherwise?: () => void): void {
    const yes = this.arm(body);
    this.out.push(w.when(condition, yes, otherwise ? this.arm(otherwise) : undefined));
  }
  choose<T extends ValueType>(condition: I32, yes: () => Value<T>, no: () => Value<T>): Value<T> {
    const arm = (f: () => Value<T>): { v: Value<T>; code: Code } => {
      let v: Value<T> | undefined;
      const statements = this.arm(() => {
        v = f();
      });
      const result = v as unknown as Value<T>;
      return { v: result, code: [statements, result.code] };
    };
    const a = arm(yes);
    const b = arm(no);
    return this.let(w.chooseCode(a.v.type, condition, a.code, b.code));
  }
  /** The code of a nested arm; its locals stay taken until the meaning ends. */
  protected arm(body: () => void): Code {
    const outer = this.out;
    this.out = [];
    body();
    const code = this.out;
    this.out = outer;
    return code;
  }

  // --- flags
  condition(c: number): I32 {
    const known = this.#comparison(c);
    if (known !== null) return known;
    const z = this.contextI64(L.ZRES);
    const carry = this.contextI32(L.CFLAG);
    const v = this.contextI32(L.VFLAG);
    const n = this.ltS(this.contextI64(L.NRES), this.k64(0));
    const notZ = this.ne(z, this.k64(0));
    const no = (c & 1) === 1 && c !== 15;
    switch (c >> 1) {
      case 0:
        return no ? notZ : this.eqz(z);
      case 1:
        return no ? this.eqz(carry) : carry;
      case 2:
        return no ? this.geS(this.contextI64(L.NRES), this.k64(0)) : n;
      case 3:
        return no ? this.eqz(v) : v;
      case 4:
        return no ? this.or(this.eqz(carry), this.eqz(z)) : this.and(carry, notZ);
      case 5:
        return no ? this.ne(n, v) : this.eq(n, v);
      case 6:
        return no ? this.or(this.ne(n, v), this.eqz(z)) : this.and(this.eq(n, v), notZ);
      default:
        return this.k32(1);
    }
  }
  /** Conditions straight from the operands of a comparison. */
  #comparison(c: number): I32 | null {
    if (this.#compared === null) return null;
    const { a, b } = this.#compared;
    switch (c) {
      case 0:
        return this.eq(a, b);
      case 1:
        return this.ne(a, b);
      case 2:
        return this.geU(a, b);
      case 3:
        return this.ltU(a, b);
      case 8:
        return this.ltU(b, a);
      case 9:
        return this.leU(a, b);
      case 10:
        return this.geS(a, b);
      case 11:
        return this.ltS(a, b);
      case 12:
        return this.ltS(b, a);
      case 13:
        return this.geS(b, a);
      default:
        return null;
    }
  }
  compared(a: Int, b: Int): void {
    this.#compared = { a, b };
  }
  carry(): I32 {
    return this.contextI32(L.CFLAG);
  }
  setFlags(result: Int, c: I32, v: I32): void {
    this.#compared = null;
    const pinned = this.let(result.type === "i32" ? this.extendS(result) : result);
    this.setContext(L.CFLAG, c);
    this.setContext(L.VFLAG, v);
    this.setContext(L.NRES, pinned);
    this.setContext(L.ZRES, pinned);
  }
  setNzcv(nzcv: I32): void {
    this.#compared = null;
    const f = this.let(nzcv);
    this.setContext(L.NRES, this.shl(this.extendU(f), this.k64(60)));
    this.setContext(L.ZRES, this.extendU(this.eqz(this.and(f, this.k32(4)))));
    this.setContext(L.CFLAG, this.and(this.shr(f, this.k32(1)), this.k32(1)));
    this.setContext(L.VFLAG, this.and(f, this.k32(1)));
  }
  nzcv(): I32 {
    const n = this.wrap(this.shr(this.contextI64(L.NRES), this.k64(63)));
    const z = this.eqz(this.contextI64(L.ZRES));
    const at = (bit: I32, by: number) => this.shl(bit, this.k32(by));
    return this.or(this.or(at(n, 3), at(z, 2)), this.or(at(this.contextI32(L.CFLAG), 1), this.contextI32(L.VFLAG)));
  }

  pc(): I64 {
    const slots = this.extendU(this.shr(this.frame.pc.get, this.k32(2)));
    return this.add(this.frame.vaBias.get, slots);
  }

  // --- memory
  /** The address of the TLB entry for the page of `address`. */
  #entry(address: I64, access = 0): I32 {
    const index = tlbIndex(address);
    const { tlb } = this.frame;
    if (!(access & L.ACCESS_UNPRIVILEGED)) return this.add(tlb.get, index);
    return this.add(this.contextI32(L.TLB_USER), index);
  }
  #hit(entry: I32, address: I64, size: number, table: number): I32 {
    const last = size === 1 ? address : this.add(address, this.k64(size - 1));
    return this.eq(w.load("i64", w.LOAD_I64, entry, table + L.TLB_TAG), this.shr(last, this.k64(12)));
  }
  #host(entry: I32, address: I64, table: number): I32 {
    return this.add(w.load("i32", w.LOAD_I32, entry, table + L.TLB_ADDEND), this.wrap(address));
  }
  /** What follows a store by the host, which may have changed the code that comes next. */
  protected stored(): Code {
    return [];
  }
  /** Code that calls the host and leaves when it does not say GO_ON. */
  #slow(f: w.Func, address: I64, size: I32, access: I32): Code {
    const { context, pc, bias } = this.frame;
    const status = this.temp("i32");
    const count = this.add(bias.get, pc.get);
    const call = f.callValue("i32", context.get, pc.get, count, this.pc(), address, size, access);
    return [w.when(status.tee(call), this.exit(status.get))];
  }
  load(address: I64, kind: LoadKind, access = 0): I64 {
    const a = this.let(address) as I64;
    const key = kind.signed ? `${kind.size}s64` : `${kind.size}`;
    const [opcode, extend] = LOADS[key] as (typeof LOADS)[string];
    const entry = this.temp("i32");
    const aligned = access & (L.ACCESS_ORDERED | L.ACCESS_EXCLUSIVE) && kind.size > 1;
    let hit = this.#hit(entry.tee(this.#entry(a, access)), a, kind.size, L.TLB_READ);
    if (aligned) hit = this.and(hit, this.eqz(this.and(this.wrap(a), this.k32(kind.size - 1))));
    const fast = w.load("i64", [opcode], this.#host(entry.get, a, L.TLB_READ));
    const slow = [
      this.#slow(this.helpers.slowLoad, a, this.k32(kind.size), this.k32(access)),
      this.contextI64(L.MAIL_VALUE).code,
      extend,
    ];
    const v = w.chooseCode("i64", hit, fast.code, slow, true);
    return this.let(kind.signed === 32 ? this.and(v, this.k64(-1, 0)) : v) as I64;
  }
  store(address: I64, v: I64, size: 1 | 2 | 4 | 8, access = 0): void {
    const a = this.let(address) as I64;
    const entry = this.temp("i32");
    let hit = this.#hit(entry.tee(this.#entry(a, access)), a, size, L.TLB_WRITE);
    if (access & L.ACCESS_ORDERED && size > 1) {
      hit = this.and(hit, this.eqz(this.and(this.wrap(a), this.k32(size - 1))));
    }
    const fast = w.store(STORES[size], this.#host(entry.get, a, L.TLB_WRITE), v);
    const slow = [
      this.contextStore(L.MAIL_VALUE, v),
      this.#slow(this.helpers.slowStore, a, this.k32(size), this.k32(access)),
      this.stored(),
    ];
    this.out.push(w.when(hit, fast, slow, true));
  }
  loadPair(address: I64, size: 4 | 8, signed: boolean, access = 0): [I64, I64] {
    const a = this.let(address) as I64;
    const entry = this.temp("i32");
    let hit = this.#hit(entry.tee(this.#entry(a)), a, 2 * size, L.TLB_READ);
    if (access & L.ACCESS_EXCLUSIVE) hit = this.and(hit, this.eqz(this.and(this.wrap(a), this.k32(2 * size - 1))));
    const first = this.temp("i64");
    const second = this.temp("i64");
    const opcode = size === 8 ? 0x29 : signed ? 0x34 : 0x35;
    const fast = [
      entry.set(this.#host(entry.get, a, L.TLB_READ)),
      first.set(w.load("i64", [opcode], entry.get)),
      second.set(w.load("i64", [opcode], entry.get, size)),
    ];
    const mail = (offset: number) =>
      size === 8 ? this.contextI64(offset) : w.load("i64", [opcode], this.frame.context.get, offset);
    const slow = [
      this.#slow(this.helpers.slowLoad, a, this.k32(2 * size), this.k32(access | L.ACCESS_PAIR)),
      first.set(mail(L.MAIL_VALUE)),
      second.set(mail(L.MAIL_VALUE + size)),
    ];
    this.out.push(w.when(hit, fast, slow, true));
    return [first.get, second.get];
  }
  storePair(address: I64, first: I64, second: I64, size: 4 | 8, access = 0): void {
    const a = this.let(address) as I64;
    const entry = this.temp("i32");
    const hit = this.#hit(entry.tee(this.#entry(a)), a, 2 * size, L.TLB_WRITE);
    const fast = [
      entry.set(this.#host(entry.get, a, L.TLB_WRITE)),
      w.store(STORES[size], entry.get, first),
      w.store(STORES[size], entry.get, second, size),
    ];
    const slow = [
      w.store(STORES[size], this.frame.context.get, first, L.MAIL_VALUE),
      w.store(STORES[size], this.frame.context.get, second, L.MAIL_VALUE + size),
      this.#slow(this.helpers.slowStore, a, this.k32(2 * size), this.k32(access | L.ACCESS_PAIR)),
      this.stored(),
    ];
    this.out.push(w.when(hit, fast, slow, true));
  }
  loadSlow(address: I64, size: I32, access: I32): void {
    this.out.push(this.#slow(this.helpers.slowLoad, address, size, access));
  }
  storeSlow(address: I64, size: I32, access: I32): void {
    this.out.push(this.#slow(this.helpers.slowStore, address, size, access));
  }
  loadExclusive(address: I64, size: 1 | 2 | 4 | 8, access: number): I64 {
    const a = this.let(address) as I64;
    const v = this.load(a, { size }, access | L.ACCESS_EXCLUSIVE);
    this.setContext(L.EXCLUSIVE_ADDRESS, a);
    this.setContext(L.EXCLUSIVE_VALUE, v);
    this.setContext(L.EXCLUSIVE_SIZE, this.k32(size));
    return v;
  }
  storeExclusive(address: I64, v: I64, size: 1 | 2 | 4 | 8, access: number): I32 {
    const a = this.let(address) as I64;
    const entry = this.temp("i32");
    const failed = this.temp("i32");
    let hit = this.#hit(entry.tee(this.#entry(a)), a, size, L.TLB_WRITE);
    if (size > 1) hit = this.and(hit, this.eqz(this.and(this.wrap(a), this.k32(size - 1))));
    const [opcode] = LOADS[`${size}`] as (typeof LOADS)[string];
    const matches = this.and(
      this.and(
        this.eq(this.contextI64(L.EXCLUSIVE_ADDRESS), a),
        this.eq(this.contextI32(L.EXCLUSIVE_SIZE), this.k32(size)),
      ),
      this.eq(
        this.contextI64(L.EXCLUSIVE_VALUE),
        w.load("i64", [opcode], entry.tee(this.#host(entry.get, a, L.TLB_WRITE))),
      ),
    );
    const fast = [failed.set(this.eqz(matches)), w.when(this.eqz(failed.get), w.store(STORES[size], entry.get, v))];
    const slow = [
      this.contextStore(L.MAIL_VALUE, v),
      this.#slow(this.helpers.slowStore, a, this.k32(size), this.k32(access | L.ACCESS_EXCLUSIVE)),
      this.stored(),
      failed.set(this.contextI32(L.MAIL_WORD)),
    ];
    this.out.push(w.when(hit, fast, slow, true));
    this.clearExclusive();
    return failed.get;
  }
  clearExclusive(): void {
    this.setContext(L.EXCLUSIVE_ADDRESS, this.k64(-1));
  }
  loadVector(address: I64): V128 {
    const a = this.let(address) as I64;
    const entry = this.temp("i32");
    const hit = this.#hit(entry.tee(this.#entry(a)), a, 16, L.TLB_READ);
    const fast = w.load("v128", w.simd(0), this.#host(entry.get, a, L.TLB_READ));
    const slow = [
      this.#slow(this.helpers.slowLoad, a, this.k32(16), this.k32(0)),
      w.load("v128", w.simd(0), this.frame.context.get, L.MAIL_VALUE).code,
    ];
    return this.let(w.chooseCode("v128", hit, fast.code, slow, true));
  }
  storeVector(address: I64, v: V128): void {
    const a = this.let(address) as I64;
    const entry = this.temp("i32");
    const hit = this.#hit(entry.tee(this.#entry(a)), a, 16, L.TLB_WRITE);
    const fast = w.store(w.simd(11), this.#host(entry.get, a, L.TLB_WRITE), v);
    const slow = [
      this.contextStore(L.MAIL_VALUE, v),
      this.#slow(this.helpers.slowStore, a, this.k32(16), this.k32(0)),
      this.stored(),
    ];
    this.out.push(w.when(hit, fast, slow, true));
  }
  zeroBlock(address: I64, host: () => void): void {
    const a = this.let(this.and(address, this.k64(-64, -1))) as I64;
    const entry = this.temp("i32");
    const hit = this.#hit(entry.tee(this.#entry(a)), a, 64, L.TLB_WRITE);
    const zero = this.kv(new Array<number>(16).fill(0));
    const fast = [
      entry.set(this.#host(entry.get, a, L.TLB_WRITE)),
      [0, 16, 32, 48].map((at) => w.store(w.simd(11), entry.get, zero, at)),
    ];
    this.out.push(w.when(hit, fast, this.arm(host), true));
  }
  checkFp(): void {
    if (this.#fpChecked) return;
    this.#fpChecked = true;
    const off = this.eqz(this.contextI32(L.FP_ENABLED));
    this.out.push(
      w.when(
        off,
        this.arm(() => this.system(L.SYSTEM_FP_ACCESS)),
        undefined,
        false,
      ),
    );
  }
  checkStackPointer(): void {
    const misaligned = this.and(this.wrap(this.contextI64(L.SP)), this.k32(15));
    this.out.push(
      w.when(
        misaligned,
        this.arm(() => this.system(L.SYSTEM_SP_ALIGNMENT)),
        undefined,
        false,
      ),
    );
  }

  // --- context and host
  contextI32(offset: number): I32 {
    return w.load("i32", w.LOAD_I32, this.frame.context.get, offset);
  }
  contextI64(offset: number): I64 {
    return w.load("i64", w.LOAD_I64, this.frame.context.get, offset);
  }
  protected contextStore(offset: number, v: Value): Code {
    const opcode = v.type === "i32" ? w.STORE_I32 : v.type === "i64" ? w.STORE_I64 : w.simd(11);
    return w.store(opcode, this.frame.context.get, v, offset);
  }
  setContext(offset: number, v: Value): void {
    this.out.push(this.contextStore(offset, v));
  }
  protected save(): Code {
    const { context, pc, bias } = this.frame;
    return this.helpers.save.call(context.get, pc.get, this.add(bias.get, pc.get), this.pc());
  }
  protected leaveUnless(call: I32): void {
    const status = this.temp("i32");
    this.out.push(w.when(status.tee(call), this.exit(status.get)));
  }
  sysreg(encoding: I32, write: number): void {
    this.out.push(this.save());
    this.leaveUnless(this.helpers.sysreg.callValue("i32", this.frame.context.get, encoding, this.k32(write)));
  }
  system(kind: number): void {
    this.out.push(this.save());
    this.leaveUnless(this.helpers.system.callValue("i32", this.frame.context.get, this.k32(kind)));
  }
}
