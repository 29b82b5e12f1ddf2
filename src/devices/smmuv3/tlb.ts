/**
 * The SMMU's TLB (IHI 0070 3.17): direct-mapped, 4 KiB a slot, larger mappings fractured. It keeps what it has until software invalidates
 * it or another page needs the slot; that is why its contents are state, saved and hashed like registers.
 */
import type { StateHash } from "../../sim/index.ts";
import { hashState, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

const SLOTS = 1024;
/** Up to so many pages are looked for one by one when they are invalidated. */
const FEW_PAGES = 64;

// Bits of `meta`.
const VALID = 1;
/** Stages that the translation went through. */
export const BY_STAGE_1 = 2;
export const BY_STAGE_2 = 4;
const WORLD_SHIFT = 3; // two bits
const PRIVILEGED = 1 << 5;
/** For all ASIDs. */
const GLOBAL = 1 << 6;
export const CAN_READ = 1 << 7;
export const CAN_WRITE = 1 << 8;
export const CAN_EXECUTE = 1 << 9;
export const CAN_ALL = CAN_READ | CAN_WRITE | CAN_EXECUTE;
const SIZE_SHIFT = 10; // six bits

/** What tells translations apart. `page` is the canonical input address of a 4 KiB page, negative in the upper half. */
export interface TlbKey {
  page: number;
  world: number;
  vmid: number;
  asid: number;
  /** BY_STAGE_1, BY_STAGE_2. */
  stages: number;
  privileged: boolean;
}

/** What to invalidate. */
export interface TlbScope {
  readonly world: number;
  /** Entries that went through any of these stages, */
  readonly stages: number;
  /** and through none of these. */
  readonly without?: number;
  readonly vmid?: number;
  /** Entries of this ASID; global ones stay unless an address is given, too. */
  readonly asid?: number;
  /** Input addresses start to start + bytes - 1. */
  readonly start?: number;
  readonly bytes?: number;
}

export class Tlb implements StatePart {
  readonly slots = SLOTS;
  readonly #page = new Float64Array(SLOTS);
  readonly #ids = new Int32Array(SLOTS);
  readonly #meta = new Int32Array(SLOTS);
  readonly #output = new Float64Array(SLOTS);
  /** Derived: how many slots hold a part of a larger mapping. */
  #large = 0;
  /** Told of each slot that loses its translation. */
  onDrop: (slot: number, page: number) => void = () => {};

  /** The slot that holds the translation, or -1. */
  find(key: TlbKey): number {
    const meta = metaOf(key);
    const own = slotOf(key.page, key.vmid, key.asid);
    if (this.#is(own, key.page, (key.asid << 16) | key.vmid, meta)) return own;
    const shared = slotOf(key.page, key.vmid, 0);
    return this.#is(shared, key.page, key.vmid, meta | GLOBAL) ? shared : -1;
  }

  /** Keeps a translation: `output` is the page's output address, `rights` CAN_*, `size` log2 of the mapping's bytes. */
  insert(key: TlbKey, output: number, rights: number, size: number, global: boolean): number {
    const asid = global ? 0 : key.asid;
    const slot = slotOf(key.page, key.vmid, asid);
    this.#drop(slot);
    this.#page[slot] = key.page;
    this.#ids[slot] = (asid << 16) | key.vmid;
    this.#meta[slot] = metaOf(key) | (global ? GLOBAL : 0) | rights | (size << SIZE_SHIFT);
    this.#output[slot] = output;
    if (size > 12) this.#large++;
    return slot;
  }

  output(slot: number): number {
    return this.#output[slot] as number;
  }
  rights(slot: number): number {
    return (this.#meta[slot] as number) & CAN_ALL;
  }
  /** log2 of the mapping's bytes. */
  size(slot: number): number {
    return ((this.#meta[slot] as number) >>> SIZE_SHIFT) & 63;
  }
  global(slot: number): boolean {
    return ((this.#meta[slot] as number) & GLOBAL) !== 0;
  }

  drop(slot: number): void {
    this.#drop(slot);
  }

  invalidate(scope: TlbScope): void {
    const { vmid = -1, asid = -1, start, bytes = 0 } = scope;
    if (start === undefined || vmid < 0 || asid < 0 || this.#large > 0 || bytes > FEW_PAGES * 4096) {
      for (let slot = 0; slot < SLOTS; slot++) if (this.#matches(slot, scope)) this.#drop(slot);
      return;
    }
    for (let page = start; page < start + bytes; page += 4096) {
      const own = slotOf(page, vmid, asid);
      if (this.#matches(own, scope)) this.#drop(own);
      const shared = slotOf(page, vmid, 0);
      if (this.#matches(shared, scope)) this.#drop(shared);
    }
  }

  #matches(slot: number, scope: TlbScope): boolean {
    const { world, stages, without = 0, vmid = -1, asid = -1, start, bytes = 0 } = scope;
    const meta = this.#meta[slot] as number;
    if ((meta & VALID) === 0 || ((meta >>> WORLD_SHIFT) & 3) !== world) return false;
    if ((meta & stages) === 0 || (meta & without) !== 0) return false;
    const ids = this.#ids[slot] as number;
    if (vmid >= 0 && (ids & 0xffff) !== vmid) return false;
    if (asid >= 0) {
      const global = (meta & GLOBAL) !== 0;
      if (global ? start === undefined : ids >>> 16 !== asid) return false;
    }
    if (start === undefined) return true;
    const size = 2 ** ((meta >>> SIZE_SHIFT) & 63);
    const first = Math.floor((this.#page[slot] as number) / size) * size;
    return first < start + bytes && start < first + size;
  }

  #is(slot: number, page: number, ids: number, meta: number): boolean {
    const mask = (1 << 7) - 1; // all but rights and size
    return (
      this.#page[slot] === page && this.#ids[slot] === ids && ((this.#meta[slot] as number) & mask) === (meta | VALID)
    );
  }

  #drop(slot: number): void {
    if (((this.#meta[slot] as number) & VALID) === 0) return;
    if (this.size(slot) > 12) this.#large--;
    this.#meta[slot] = 0;
    this.onDrop(slot, this.#page[slot] as number);
  }

  save(): StateValue {
    const slots: number[] = [];
    for (let n = 0; n < SLOTS; n++) if (((this.#meta[n] as number) & VALID) !== 0) slots.push(n);
    return {
      slots: Int32Array.from(slots),
      pages: Float64Array.from(slots, (n) => this.#page[n] as number),
      ids: Int32Array.from(slots, (n) => this.#ids[n] as number),
      meta: Int32Array.from(slots, (n) => this.#meta[n] as number),
      outputs: Float64Array.from(slots, (n) => this.#output[n] as number),
    };
  }

  load(value: StateValue, path: string): void {
    const { slots, pages, ids, meta, outputs } = (value ?? {}) as { readonly [name: string]: StateValue };
    const good =
      slots instanceof Int32Array &&
      pages instanceof Float64Array &&
      ids instanceof Int32Array &&
      meta instanceof Int32Array &&
      outputs instanceof Float64Array &&
      [pages, ids, meta, outputs].every((a) => a.length === slots.length) &&
      slots.every((n) => n >= 0 && n < SLOTS);
    if (!good) throw new SnapshotError(`${path}: expected TLB slots with pages, ids, meta and outputs`);
    this.reset();
    slots.forEach((slot, n) => {
      this.#page[slot] = pages[n] as number;
      this.#ids[slot] = ids[n] as number;
      this.#meta[slot] = meta[n] as number;
      this.#output[slot] = outputs[n] as number;
      if (this.size(slot) > 12) this.#large++;
    });
  }

  hash(hash: StateHash): void {
    hashState(hash, this.save());
  }

  reset(): void {
    this.#meta.fill(0);
    this.#large = 0;
  }
}

function metaOf(key: TlbKey): number {
  return VALID | key.stages | (key.world << WORLD_SHIFT) | (key.privileged ? PRIVILEGED : 0);
}

/** Neighbouring pages have neighbouring slots; contexts begin at different ones. */
function slotOf(page: number, vmid: number, asid: number): number {
  const number = Math.floor(page / 4096) | 0;
  const context = Math.imul(asid ^ (vmid << 16), 0x9e3779b1) >>> 22;
  return ((number ^ (number >>> 10)) + context) & (SLOTS - 1);
}
