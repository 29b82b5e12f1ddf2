/**
 * A bank: the declaration compiled into flat tables (`layout.ts`) indexed by `offset >> 2`, so that a plain access is a few loads and
 * masks. Side effects are hooks, called only where a register has one.
 */

import type { Target, Transaction } from "../bus/index.ts";
import {
  type Module,
  type Reporter,
  SnapshotError,
  type StateHash,
  type StatePart,
  type StateValue,
} from "../sim/index.ts";
import { type Declaration, type Field, maskOf, type Register, wordsOf } from "./declare.ts";
import {
  type FieldMask,
  type Hooks,
  LEFT_OUT,
  LEFT_OUT_FIELD,
  layoutOf,
  NO_PLACE,
  PLACE_SHIFT,
  READ_MORE,
  READ_ONLY,
  type Row,
  WRITE_MORE,
  WRITE_ONLY,
} from "./layout.ts";

export type HooksOf<D extends Declaration> = { readonly [R in keyof D["registers"]]?: Hooks };
export interface BankOptions {
  /** How many CPUs banked registers exist for; 1 unless given. */
  readonly cpus?: number;
}

/** The byte lanes of an access of `size` bytes at lane 0. */
function lanesOf(size: number): number {
  return -1 >>> (32 - (size << 3));
}

export class RegisterBank<const D extends Declaration> implements Target, StatePart {
  readonly declaration: D;
  /** 64-bit accesses arrive as two of 32 bits. */
  readonly accessSizes = 1 | 2 | 4;
  /** How many CPUs banked registers exist for. */
  readonly cpus: number;
  // The tables of the plain path are given a value here, so that the engine knows the class that these properties hold.
  /** Stored words. `slot[name] + index` (times two for 64-bit registers) is the place of an element for CPU 0. */
  readonly values: Int32Array = new Int32Array(0);
  /** First slot of each register. */
  readonly slot: { readonly [R in keyof D["registers"]]: number };
  /** Mask and shift of each field. */
  readonly field: {
    readonly [R in keyof D["registers"]]: { readonly [F in keyof D["registers"][R]["fields"]]: FieldMask };
  };
  readonly #owner: Module;
  readonly #reporter: Reporter;
  readonly #size: number;
  // Shared with other banks: see `Layout`.
  readonly #places: Int32Array = new Int32Array(0);
  readonly #readMask: Int32Array = new Int32Array(0);
  readonly #writeMask: Int32Array = new Int32Array(0);
  readonly #w1c: Int32Array;
  readonly #w1s: Int32Array;
  readonly #rc: Int32Array;
  readonly #reset: Int32Array;
  readonly #rows: readonly Row[];
  /** By register, in the order of the declaration. */
  readonly #hooks: readonly (Hooks | null)[];
  /** Limits of the model that were met: each is reported once. */
  readonly #met = new Set<Register | Field>();

  /**
   * Compiles `declaration` for `owner`, under whose name guest errors and traces appear; add it with `owner.part`. Throws
   * where a computed register that can be read has no hook `get`.
   */
  constructor(owner: Module, declaration: D, hooks: HooksOf<D> = {}, options: BankOptions = {}) {
    this.#owner = owner;
    this.#reporter = owner.simulation.reporter;
    this.declaration = declaration;
    this.cpus = options.cpus ?? 1;
    this.#size = declaration.size;
    this.#hooks = Object.entries<Register>(declaration.registers).map(([name, register]) => {
      const own = (hooks as { readonly [name: string]: Hooks | undefined })[name] ?? null;
      this.#checkHooks(name, register, own);
      return own;
    });
    const layout = layoutOf(owner.simulation, declaration, this.cpus, this.#hooks);
    this.slot = layout.slot as typeof this.slot;
    this.field = layout.field as typeof this.field;
    this.values = new Int32Array(layout.rows.length);
    this.#rows = layout.rows;
    this.#places = layout.places;
    this.#readMask = layout.readMask;
    this.#writeMask = layout.writeMask;
    this.#w1c = layout.w1c;
    this.#w1s = layout.w1s;
    this.#rc = layout.rc;
    this.#reset = layout.reset;
    this.values.set(this.#reset);
  }

  read(offset: number, size: number, tx: Transaction): number {
    const places = this.#places;
    const word = offset >>> 2;
    if (word >= places.length) return this.#refused(offset, size, NO_PLACE, false, 0);
    const place = places[word] as number;
    if ((place & size) === 0 || (offset & (size - 1)) !== 0) return this.#refused(offset, size, place, false, 0);
    const slot = place >> PLACE_SHIFT;
    if ((place & READ_MORE) !== 0 || this.#reporter.tracing) return this.#readMore(slot, offset, size, tx);
    const value = (this.values[slot] as number) & (this.#readMask[slot] as number);
    return size === 4 ? value >>> 0 : (value >>> ((offset & 3) << 3)) & lanesOf(size);
  }

  write(offset: number, size: number, value: number, tx: Transaction): void {
    const places = this.#places;
    const word = offset >>> 2;
    if (word >= places.length) {
      this.#refused(offset, size, NO_PLACE, true, value);
      return;
    }
    const place = places[word] as number;
    if ((place & size) === 0 || (offset & (size - 1)) !== 0) {
      this.#refused(offset, size, place, true, value);
      return;
    }
    const slot = place >> PLACE_SHIFT;
    if ((place & WRITE_MORE) !== 0 || this.#reporter.tracing) {
      this.#writeMore(slot, offset, size, value, tx);
      return;
    }
    const before = this.values[slot] as number;
    let mask = this.#writeMask[slot] as number;
    if (size !== 4) {
      const shift = (offset & 3) << 3;
      mask &= lanesOf(size) << shift;
      value <<= shift;
    }
    this.values[slot] = before ^ ((before ^ value) & mask);
  }

  peek(offset: number, size: number): number {
    return this.peekBank(offset, size, 0);
  }

  /** As `peek`, of CPU `cpu`'s bank. */
  peekBank(offset: number, size: number, cpu: number): number {
    if (!(offset >= 0 && offset < this.#size)) return 0;
    const place = this.#places[offset >>> 2] as number;
    if (place === NO_PLACE) return 0;
    const value = this.#visible(this.#inBank(place >> PLACE_SHIFT, cpu), cpu);
    return size === 4 ? value >>> 0 : (value >>> ((offset & 3) << 3)) & lanesOf(size);
  }

  /** Changes stored bits as a debugger does: no hook runs, read-only fields change too, computed registers do not. */
  poke(offset: number, size: number, value: number): void {
    this.pokeBank(offset, size, value, 0);
  }

  /** As `poke`, of CPU `cpu`'s bank. */
  pokeBank(offset: number, size: number, value: number, cpu: number): void {
    if (!(offset >= 0 && offset < this.#size)) return;
    const place = this.#places[offset >>> 2] as number;
    if (place === NO_PLACE) return;
    const slot = this.#inBank(place >> PLACE_SHIFT, cpu);
    const { register, word } = this.#rows[slot] as Row;
    if (register.computed) return;
    const shift = (offset & 3) << 3;
    const mask = (lanesOf(size) << shift) & maskOf(register, (f) => f.access !== "reserved", word);
    const before = this.values[slot] as number;
    this.values[slot] = before ^ ((before ^ (value << shift)) & mask);
  }

  /** The place of (the low word of) element `index` of a register, in `cpu`'s bank where it is banked. */
  bankedSlot(name: keyof D["registers"], index: number, cpu: number): number {
    const register = this.declaration.registers[name as string] as Register;
    return this.#inBank(this.slot[name] + index * wordsOf(register), cpu);
  }

  save(): StateValue {
    const record: Record<string, StateValue> = {};
    for (const [name, register] of Object.entries<Register>(this.declaration.registers)) {
      if (register.computed) continue;
      const first = (this.slot as { readonly [name: string]: number })[name] as number;
      const length = this.#lengthOf(register);
      record[name] = length === 1 ? (this.values[first] as number) : this.values.slice(first, first + length);
    }
    return record;
  }

  load(value: StateValue, path: string): void {
    if (value === null || typeof value !== "object") throw new SnapshotError(`${path}: expected a record of registers`);
    const record = value as { readonly [name: string]: StateValue };
    for (const [name, register] of Object.entries<Register>(this.declaration.registers)) {
      if (register.computed) continue;
      const first = (this.slot as { readonly [name: string]: number })[name] as number;
      const length = this.#lengthOf(register);
      const saved = record[name];
      if (length === 1 && typeof saved === "number" && (saved | 0) === saved) this.values[first] = saved;
      else if (length > 1 && saved instanceof Int32Array && saved.length === length) this.values.set(saved, first);
      else throw new SnapshotError(`${path}.${name}: expected ${length} words`);
    }
    for (const name of Object.keys(record)) {
      const register = (this.declaration.registers as { readonly [name: string]: Register | undefined })[name];
      if (register === undefined || register.computed) throw new SnapshotError(`${path}.${name}: unknown register`);
    }
  }

  hash(hash: StateHash): void {
    this.#rows.forEach((row, slot) => {
      if (!row.register.computed) hash.word(this.values[slot] as number);
    });
  }

  reset(): void {
    this.values.set(this.#reset);
  }

  #checkHooks(name: string, register: Register, hooks: Hooks | null): void {
    if (!register.computed || hooks?.get !== undefined) return;
    if (Object.values(register.fields).some((f) => f.access !== "wo" && f.access !== "reserved")) {
      throw new Error(`${this.#owner.fullName}: ${this.declaration.name}.${name} is computed, but has no hook "get"`);
    }
  }

  /** The slot in `cpu`'s bank of what bank 0 has at `slot`. CPUs that the bank was not made for see bank 0. */
  #inBank(slot: number, cpu: number): number {
    const row = this.#rows[slot] as Row;
    return row.stride === 0 || cpu <= 0 || cpu >= this.cpus ? slot : slot + row.skip + cpu * row.stride;
  }

  /** The word as a guest would read it, without side effects. */
  #visible(slot: number, cpu: number): number {
    const { ordinal, index, word } = this.#rows[slot] as Row;
    const hooks = this.#hooks[ordinal];
    const value = hooks?.get === undefined ? (this.values[slot] as number) : hooks.get(index, cpu, word);
    return value & (this.#readMask[slot] as number);
  }

  #readMore(first: number, offset: number, size: number, tx: Transaction): number {
    const slot = this.#inBank(first, tx.cpu);
    const { ordinal, index, word, stride, flags } = this.#rows[slot] as Row;
    const hooks = this.#hooks[ordinal];
    const cpu = stride !== 0 && tx.cpu > 0 && tx.cpu < this.cpus ? tx.cpu : 0;
    const value = this.#visible(slot, cpu);
    const shift = (offset & 3) << 3;
    const lanes = lanesOf(size) << shift;
    const rc = (this.#rc[slot] as number) & lanes;
    if (rc !== 0) this.values[slot] = (this.values[slot] as number) & ~rc;
    if ((flags & (WRITE_ONLY | LEFT_OUT)) !== 0) this.#remarkRead(slot, offset, size, flags);
    if (hooks?.onRead !== undefined) hooks.onRead(index, cpu, value, lanes, word);
    const result = size === 4 ? value >>> 0 : (value >>> shift) & lanesOf(size);
    if (this.#reporter.tracing) this.#trace(slot, cpu, offset, size, false, result, value);
    return result;
  }

  #writeMore(first: number, offset: number, size: number, value: number, tx: Transaction): void {
    const slot = this.#inBank(first, tx.cpu);
    const { ordinal, index, word, stride, flags } = this.#rows[slot] as Row;
    const hooks = this.#hooks[ordinal];
    const cpu = stride !== 0 && tx.cpu > 0 && tx.cpu < this.cpus ? tx.cpu : 0;
    const tracing = this.#reporter.tracing;
    const visible = tracing ? this.#visible(slot, cpu) : 0;
    const shift = (offset & 3) << 3;
    const lanes = lanesOf(size) << shift;
    const written = (value << shift) & lanes;
    const before = this.values[slot] as number;
    const mask = (this.#writeMask[slot] as number) & lanes;
    this.values[slot] =
      ((before & ~mask) | (written & mask) | (written & (this.#w1s[slot] as number))) &
      ~(written & (this.#w1c[slot] as number));
    if ((flags & (READ_ONLY | LEFT_OUT | LEFT_OUT_FIELD)) !== 0) {
      this.#remarkWrite(slot, offset, size, written, lanes, flags);
    }
    if (hooks?.onWrite !== undefined) hooks.onWrite(written, lanes, before, index, cpu, word);
    if (tracing) this.#trace(slot, cpu, offset, size, true, value, visible);
  }

  #lengthOf(register: Register): number {
    return wordsOf(register) * ((register.count ?? 1) + (register.banked ?? 0) * (this.cpus - 1));
  }

  #refused(offset: number, size: number, place: number, write: boolean, value: number): number {
    const known = place !== NO_PLACE;
    const slot = place >> PLACE_SHIFT;
    this.#owner.guestError({
      kind: known ? "width" : "reserved-offset",
      offset,
      size,
      write,
      ...(write ? { value } : {}),
      ...(known ? { register: this.#nameOf(slot), clause: this.#clauseOf(slot) } : {}),
      detail: known ? "access of a size or alignment that the register does not take" : "no register at this offset",
    });
    return 0;
  }

  #remarkRead(slot: number, offset: number, size: number, flags: number): void {
    const { register } = this.#rows[slot] as Row;
    if ((flags & LEFT_OUT) !== 0) this.#leftOut(slot, offset, size, null, register, register.unimplemented);
    if ((flags & WRITE_ONLY) === 0) return;
    this.#owner.guestError({
      kind: "access",
      offset,
      size,
      write: false,
      register: this.#nameOf(slot),
      clause: this.#clauseOf(slot),
      detail: "read of a write-only register",
    });
  }

  #remarkWrite(slot: number, offset: number, size: number, written: number, lanes: number, flags: number): void {
    const { register, word } = this.#rows[slot] as Row;
    if ((flags & LEFT_OUT) !== 0) this.#leftOut(slot, offset, size, written, register, register.unimplemented);
    if ((flags & LEFT_OUT_FIELD) !== 0) {
      const changed = (written ^ (this.#reset[slot] as number)) & lanes;
      for (const [name, f] of Object.entries(register.fields)) {
        if (f.unimplemented === undefined || (changed & maskOf(register, (g) => g === f, word)) === 0) continue;
        this.#leftOut(slot, offset, size, written, f, `${name}: ${f.unimplemented}`);
      }
    }
    if ((flags & READ_ONLY) === 0) return;
    this.#owner.guestError({
      kind: "access",
      offset,
      size,
      write: true,
      value: written >>> 0,
      register: this.#nameOf(slot),
      clause: this.#clauseOf(slot),
      detail: "write to a read-only register",
    });
  }

  /** Reports a limit of the model the first time that it is met. */
  #leftOut(
    slot: number,
    offset: number,
    size: number,
    written: number | null,
    what: Register | Field,
    detail = "left out",
  ): void {
    if (this.#met.has(what)) return;
    this.#met.add(what);
    this.#owner.guestError({
      kind: "unimplemented",
      offset,
      size,
      write: written !== null,
      ...(written !== null ? { value: written >>> 0 } : {}),
      register: this.#nameOf(slot),
      clause: this.#clauseOf(slot),
      detail,
    });
  }

  #trace(slot: number, cpu: number, offset: number, size: number, write: boolean, value: number, before: number): void {
    const { name, index } = this.#rows[slot] as Row;
    this.#reporter.registerAccess({
      time: this.#owner.simulation.now,
      module: this.#owner.fullName,
      register: name,
      index,
      offset,
      size,
      write,
      value: value >>> 0,
      before: before >>> 0,
      after: this.#visible(slot, cpu) >>> 0,
    });
  }

  #nameOf(slot: number): string {
    const { register, name, index } = this.#rows[slot] as Row;
    return (register.count ?? 1) > 1 ? `${name}[${index}]` : name;
  }

  #clauseOf(slot: number): string {
    return `${this.declaration.manual} ${(this.#rows[slot] as Row).register.clause}`;
  }
}
