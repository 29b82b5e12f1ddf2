/**
 * A bank: the declaration compiled into flat tables indexed by `offset >> 2`, so that a plain access is a few loads and
 * masks. Side effects are hooks, called only where a register has one.
 */

import type { Target, Transaction } from "../bus/index.ts";
import { type Module, SnapshotError, type StatePart, type StateValue } from "../sim/index.ts";
import { type Declaration, elements, maskOf, type Register, resetOf } from "./declare.ts";

/** What a register does beyond storing. `index` is the element of an array, `cpu` the bank of a banked register (else 0). */
export interface Hooks {
  /** Pure: the value now, for registers computed from other state. Serves guest reads and `peek` alike. */
  get?(index: number, cpu: number, word: number): number;
  /** After a guest read: what reading changes. `value` is what the guest was given. */
  onRead?(index: number, cpu: number, value: number): void;
  /**
   * After a guest write was stored. `written` has the written bits in place, `mask` the byte lanes that were written,
   * `before` the stored value from before. `word` is 1 for the high half of a 64-bit register.
   */
  onWrite?(written: number, mask: number, before: number, index: number, cpu: number, word: number): void;
}

export type HooksOf<D extends Declaration> = { readonly [R in keyof D["registers"]]?: Hooks };
export interface FieldMask {
  /** The field's bits at their place (low word for fields above bit 31: shift - 32). */
  readonly mask: number;
  readonly shift: number;
}

export interface BankOptions {
  /** How many CPUs banked registers exist for; 1 unless given. */
  readonly cpus?: number;
}

const NO_SLOT = -1;
const FULL = [0, 0xff, 0xffff, 0, -1, 0, 0, 0, -1];

export class RegisterBank<const D extends Declaration> implements Target, StatePart {
  readonly declaration: D;
  /** 64-bit accesses arrive as two of 32 bits. */
  readonly accessSizes = 1 | 2 | 4;
  /** Stored words. `slot[name] + index` (times two for 64-bit registers) is the place of an element for CPU 0. */
  readonly values: Int32Array;
  /** First slot of each register. */
  readonly slot: { readonly [R in keyof D["registers"]]: number };
  /** Mask and shift of each field. */
  readonly field: {
    readonly [R in keyof D["registers"]]: { readonly [F in keyof D["registers"][R]["fields"]]: FieldMask };
  };
  readonly #owner: Module;
  readonly #cpus: number;
  /** By word of the frame: slot of CPU 0, or NO_SLOT. */
  readonly #slotAt: Int16Array;
  readonly #bankStride: Int32Array;
  readonly #index: Int32Array;
  readonly #word: Uint8Array;
  readonly #reset: Int32Array;
  readonly #readMask: Int32Array;
  readonly #writeMask: Int32Array;
  readonly #w1c: Int32Array;
  readonly #w1s: Int32Array;
  readonly #rc: Int32Array;
  readonly #sizes: Uint8Array;
  readonly #names: string[] = [];
  readonly #registers: Register[] = [];
  readonly #hooks: (Hooks | null)[] = [];
  /** Bit 0: has no readable field. Bit 1: has no writable field. Bit 2: something of it is unimplemented. */
  readonly #kind: Uint8Array;
  readonly #reported = new Set<number>();

  /** Compiles `declaration` for `owner`, under whose name guest errors and traces appear; add it with `owner.part`. */
  constructor(owner: Module, declaration: D, hooks: HooksOf<D> = {}, options: BankOptions = {}) {
    this.#owner = owner;
    this.declaration = declaration;
    this.#cpus = options.cpus ?? 1;
    const slotAt = new Int16Array(declaration.size >> 2).fill(NO_SLOT);
    const slot: Record<string, number> = {};
    const field: Record<string, Record<string, FieldMask>> = {};
    const rows: {
      register: Register;
      name: string;
      index: number;
      word: number;
      hook: Hooks | null;
      stride: number;
    }[] = [];
    for (const [name, register] of Object.entries<Register>(declaration.registers)) {
      const words = (register.width ?? 32) > 32 ? 2 : 1;
      const hook = (hooks as { readonly [name: string]: Hooks | undefined })[name] ?? null;
      slot[name] = rows.length;
      const banked = register.banked ?? 0;
      const bankedWords = banked * words;
      for (const { index, offset } of elements(register)) {
        for (let word = 0; word < words; word++) {
          slotAt[(offset >> 2) + word] = rows.length;
          rows.push({ register, name, index, word, hook, stride: index < banked ? 1 : 0 });
        }
      }
      // Further CPUs' banks follow the array; `stride` becomes the distance from one bank to the next.
      const first = slot[name] as number;
      for (let w = 0; w < bankedWords; w++) {
        const row = rows[first + w] as (typeof rows)[number];
        row.stride = bankedWords;
      }
      for (let cpu = 1; cpu < this.#cpus && banked > 0; cpu++) {
        for (let w = 0; w < bankedWords; w++) rows.push({ ...(rows[first + w] as (typeof rows)[number]) });
      }
      const masks: Record<string, FieldMask> = {};
      for (const [fieldName, f] of Object.entries(register.fields)) {
        masks[fieldName] = { mask: maskOf(register, (g) => g === f, f.low >= 32 ? 1 : 0), shift: f.low % 32 };
      }
      field[name] = masks;
    }
    const n = rows.length;
    this.slot = slot as typeof this.slot;
    this.field = field as typeof this.field;
    this.values = new Int32Array(n);
    this.#slotAt = slotAt;
    this.#bankStride = new Int32Array(n);
    this.#index = new Int32Array(n);
    this.#word = new Uint8Array(n);
    this.#reset = new Int32Array(n);
    this.#readMask = new Int32Array(n);
    this.#writeMask = new Int32Array(n);
    this.#w1c = new Int32Array(n);
    this.#w1s = new Int32Array(n);
    this.#rc = new Int32Array(n);
    this.#sizes = new Uint8Array(n);
    this.#kind = new Uint8Array(n);
    rows.forEach((row, i) => {
      const { register, word } = row;
      const choose = (...kinds: string[]) => maskOf(register, (f) => kinds.includes(f.access), word);
      this.#bankStride[i] = row.stride;
      this.#index[i] = row.index;
      this.#word[i] = word;
      this.#reset[i] = resetOf(register, row.index, word);
      this.#readMask[i] = choose("rw", "ro", "w1c", "w1s", "rc");
      this.#writeMask[i] = choose("rw", "wo");
      this.#w1c[i] = choose("w1c");
      this.#w1s[i] = choose("w1s");
      this.#rc[i] = choose("rc");
      for (const size of register.sizes ?? declaration.sizes) this.#sizes[i] = (this.#sizes[i] as number) | size;
      const fields = Object.values(register.fields);
      const readable = fields.some((f) => f.access !== "wo");
      const writable = fields.some((f) => f.access !== "ro" && f.access !== "rc");
      const partial = register.unimplemented !== undefined || fields.some((f) => f.unimplemented !== undefined);
      this.#kind[i] = (readable ? 0 : 1) | (writable ? 0 : 2) | (partial ? 4 : 0);
      this.#names.push(row.name);
      this.#registers.push(register);
      this.#hooks.push(row.hook);
    });
    this.values.set(this.#reset);
  }

  read(offset: number, size: number, tx: Transaction): number {
    const at = offset >> 2;
    let slot = at < this.#slotAt.length ? (this.#slotAt[at] as number) : NO_SLOT;
    if (slot === NO_SLOT || ((this.#sizes[slot] as number) & size) === 0 || (offset & (size - 1)) !== 0) {
      return this.#refused(offset, size, slot, false, 0);
    }
    const stride = this.#bankStride[slot] as number;
    let cpu = 0;
    if (stride !== 0 && tx.cpu > 0) {
      cpu = tx.cpu;
      slot = this.#banked(slot, cpu);
    }
    const hooks = this.#hooks[slot] as Hooks | null;
    let value = this.values[slot] as number;
    const before = value;
    if (hooks?.get !== undefined) value = hooks.get(this.#index[slot] as number, cpu, this.#word[slot] as number);
    value &= this.#readMask[slot] as number;
    const rc = this.#rc[slot] as number;
    const shift = (offset & 3) << 3;
    if (rc !== 0) {
      const lanes = (FULL[size] as number) << shift;
      this.values[slot] = before & ~(rc & lanes);
    }
    const kind = this.#kind[slot] as number;
    if ((kind & 5) !== 0) this.#remarkRead(slot, offset, size, kind);
    if (hooks?.onRead !== undefined) hooks.onRead(this.#index[slot] as number, cpu, value);
    const result = size === 4 ? value >>> 0 : (value >>> shift) & (FULL[size] as number);
    if (this.#owner.simulation.reporter.tracing) this.#trace(slot, offset, size, false, result, before);
    return result;
  }

  write(offset: number, size: number, value: number, tx: Transaction): void {
    const at = offset >> 2;
    let slot = at < this.#slotAt.length ? (this.#slotAt[at] as number) : NO_SLOT;
    if (slot === NO_SLOT || ((this.#sizes[slot] as number) & size) === 0 || (offset & (size - 1)) !== 0) {
      this.#refused(offset, size, slot, true, value);
      return;
    }
    const stride = this.#bankStride[slot] as number;
    let cpu = 0;
    if (stride !== 0 && tx.cpu > 0) {
      cpu = tx.cpu;
      slot = this.#banked(slot, cpu);
    }
    const shift = (offset & 3) << 3;
    const lanes = (FULL[size] as number) << shift;
    const written = (value << shift) & lanes;
    const before = this.values[slot] as number;
    const mask = (this.#writeMask[slot] as number) & lanes;
    this.values[slot] =
      ((before & ~mask) | (written & mask) | (written & (this.#w1s[slot] as number))) &
      ~(written & (this.#w1c[slot] as number));
    const kind = this.#kind[slot] as number;
    if ((kind & 6) !== 0) this.#remarkWrite(slot, offset, size, written, kind);
    const hooks = this.#hooks[slot] as Hooks | null;
    if (hooks?.onWrite !== undefined) {
      hooks.onWrite(written, lanes, before, this.#index[slot] as number, cpu, this.#word[slot] as number);
    }
    if (this.#owner.simulation.reporter.tracing) this.#trace(slot, offset, size, true, value, before);
  }

  peek(offset: number, size: number): number {
    return this.peekBank(offset, size, 0);
  }

  /** As `peek`, of CPU `cpu`'s bank. */
  peekBank(offset: number, size: number, cpu: number): number {
    const at = offset >> 2;
    let slot = at < this.#slotAt.length ? (this.#slotAt[at] as number) : NO_SLOT;
    if (slot === NO_SLOT) return 0;
    if (this.#bankStride[slot] !== 0 && cpu > 0) slot = this.#banked(slot, cpu);
    const hooks = this.#hooks[slot] as Hooks | null;
    const stored = this.values[slot] as number;
    const value = hooks?.get ? hooks.get(this.#index[slot] as number, cpu, this.#word[slot] as number) : stored;
    const masked = value & (this.#readMask[slot] as number);
    return size === 4 ? masked >>> 0 : (masked >>> ((offset & 3) << 3)) & (FULL[size] as number);
  }

  /** Changes stored bits as a debugger does: no hook runs, read-only fields change too. */
  poke(offset: number, size: number, value: number): void {
    const at = offset >> 2;
    const slot = at < this.#slotAt.length ? (this.#slotAt[at] as number) : NO_SLOT;
    if (slot === NO_SLOT) return;
    const shift = (offset & 3) << 3;
    const lanes =
      ((FULL[size] as number) << shift) & ((this.#readMask[slot] as number) | (this.#writeMask[slot] as number));
    this.values[slot] = ((this.values[slot] as number) & ~lanes) | ((value << shift) & lanes);
  }

  /** The place of element `index` of a banked register for `cpu`. */
  bankedSlot(name: keyof D["registers"], index: number, cpu: number): number {
    const slot = this.slot[name] + index;
    return cpu > 0 && this.#bankStride[slot] !== 0 ? this.#banked(slot, cpu) : slot;
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
      if (length === 1 && typeof saved === "number") this.values[first] = saved;
      else if (length > 1 && saved instanceof Int32Array && saved.length === length) this.values.set(saved, first);
      else throw new SnapshotError(`${path}.${name}: expected ${length} words`);
    }
    for (const name of Object.keys(record)) {
      if (!(name in this.declaration.registers)) throw new SnapshotError(`${path}.${name}: unknown register`);
    }
  }

  reset(): void {
    this.values.set(this.#reset);
  }

  #lengthOf(register: Register): number {
    const words = (register.width ?? 32) > 32 ? 2 : 1;
    return words * ((register.count ?? 1) + (register.banked ?? 0) * (this.#cpus - 1));
  }

  /** Banks of CPUs above 0 follow the whole array, one after the other. */
  #banked(slot: number, cpu: number): number {
    const register = this.#registers[slot] as Register;
    const words = (register.width ?? 32) > 32 ? 2 : 1;
    const unbanked = ((register.count ?? 1) - (register.banked ?? 0)) * words;
    return slot + cpu * (this.#bankStride[slot] as number) + unbanked;
  }

  #refused(offset: number, size: number, slot: number, write: boolean, value: number): number {
    const known = slot !== NO_SLOT;
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

  #remarkRead(slot: number, offset: number, size: number, kind: number): void {
    const base = { offset, size, write: false, register: this.#nameOf(slot), clause: this.#clauseOf(slot) };
    if ((kind & 1) !== 0) this.#owner.guestError({ ...base, kind: "access", detail: "read of a write-only register" });
    const reason = (this.#registers[slot] as Register).unimplemented;
    if (reason !== undefined && !this.#reported.has(slot)) {
      this.#reported.add(slot);
      this.#owner.guestError({ ...base, kind: "unimplemented", detail: reason });
    }
  }

  #remarkWrite(slot: number, offset: number, size: number, written: number, kind: number): void {
    const register = this.#registers[slot] as Register;
    const base = {
      offset,
      size,
      write: true,
      value: written >>> 0,
      register: this.#nameOf(slot),
      clause: this.#clauseOf(slot),
    };
    if ((kind & 2) !== 0) this.#owner.guestError({ ...base, kind: "access", detail: "write to a read-only register" });
    if ((kind & 4) === 0 || this.#reported.has(slot)) return;
    for (const [name, f] of Object.entries(register.fields)) {
      if (f.unimplemented === undefined) continue;
      if ((written & maskOf(register, (g) => g === f, this.#word[slot] as number)) === 0) continue;
      this.#reported.add(slot);
      this.#owner.guestError({ ...base, kind: "unimplemented", detail: `${name}: ${f.unimplemented}` });
    }
    if (register.unimplemented !== undefined) {
      this.#reported.add(slot);
      this.#owner.guestError({ ...base, kind: "unimplemented", detail: register.unimplemented });
    }
  }

  #trace(slot: number, offset: number, size: number, write: boolean, value: number, before: number): void {
    this.#owner.simulation.reporter.registerAccess({
      time: this.#owner.simulation.now,
      module: this.#owner.fullName,
      register: this.#names[slot] as string,
      index: this.#index[slot] as number,
      offset,
      size,
      write,
      value,
      before: before >>> 0,
      after: (this.values[slot] as number) >>> 0,
    });
  }

  #nameOf(slot: number): string {
    const register = this.#registers[slot] as Register;
    const name = this.#names[slot] as string;
    return (register.count ?? 1) > 1 ? `${name}[${this.#index[slot]}]` : name;
  }

  #clauseOf(slot: number): string {
    return `${this.declaration.manual} ${(this.#registers[slot] as Register).clause}`;
  }
}
