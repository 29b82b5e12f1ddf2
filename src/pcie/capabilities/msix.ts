/**
 * MSI-X (PCI Local Bus 3.0, clause 6.8.2; PCI Express Base 5.0, clauses 6.1.4 and 7.7.2). Table and pending bit array
 * lie in a BAR of the function, and take aligned accesses of 4 bytes (8-byte ones arrive as two).
 */
import { type Port, RESPONSE_OK, SIZES_UP_TO_32, type Target } from "../../bus/index.ts";
import { type Field, ro, rw } from "../../registers/index.ts";
import { SnapshotError, type StateHash, type StatePart, type StateValue } from "../../sim/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { ConfigRegister } from "../space.ts";

export interface MsixStructurePlace {
  readonly bar: number;
  /** Multiple of 8. */
  readonly offset: number;
}
export interface MsixOptions extends CapabilityPlace {
  /** 1 to 2048. */
  readonly vectors: number;
  readonly table: MsixStructurePlace;
  readonly pba: MsixStructurePlace;
}

const ENABLE = 1 << 31;
const FUNCTION_MASK = 1 << 30;
const WORDS = 4;
const CONTROL = 3;

/** Table and pending bits: state of the function. */
class MsixState implements StatePart {
  readonly table: Int32Array;
  readonly pending: Int32Array;

  constructor(vectors: number) {
    this.table = new Int32Array(vectors * WORDS);
    this.pending = new Int32Array(2 * Math.ceil(vectors / 64));
    this.reset();
  }
  /** Every vector is masked after reset (7.7.2.9). */
  reset(): void {
    this.table.fill(0);
    this.pending.fill(0);
    for (let i = CONTROL; i < this.table.length; i += WORDS) this.table[i] = 1;
  }
  save(): StateValue {
    return { table: this.table.slice(), pending: this.pending.slice() };
  }
  load(value: StateValue, path: string): void {
    const record = value as { readonly table?: StateValue; readonly pending?: StateValue } | null;
    const { table, pending } = record ?? {};
    if (!(table instanceof Int32Array && table.length === this.table.length))
      throw new SnapshotError(`${path}.table: expected ${this.table.length} words`);
    if (!(pending instanceof Int32Array && pending.length === this.pending.length))
      throw new SnapshotError(`${path}.pending: expected ${this.pending.length} words`);
    this.table.set(table);
    this.pending.set(pending);
  }
  hash(hash: StateHash): void {
    hash.words(this.table).words(this.pending);
  }
}

export class Msix extends Capability {
  override readonly name = "MSIX";
  override readonly id = 0x11;
  override readonly length = 12;
  override readonly headClause = "7.7.2.2";
  override readonly headFields: { readonly [name: string]: Field };
  readonly vectors: number;
  readonly #options: MsixOptions;
  readonly #state: MsixState;
  #port: Port | null = null;
  #upstream: Target | null = null;

  constructor(options: MsixOptions) {
    super(options);
    this.#options = options;
    this.vectors = options.vectors;
    if (!(options.vectors >= 1 && options.vectors <= 2048))
      throw new RangeError(`MSI-X: ${options.vectors} vectors: expected 1 to 2048`);
    this.#state = new MsixState(options.vectors);
    this.headFields = {
      TableSize: ro([26, 16], "Vectors less one", { reset: options.vectors - 1 }),
      FunctionMask: rw(30, "Function Mask"),
      MSIXEnable: rw(31, "MSI-X Enable"),
    };
  }

  override get head(): Pick<ConfigRegister, "hooks"> {
    return { hooks: { onWrite: () => this.#deliver() } };
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    const { table, pba } = this.#options;
    const place = (p: MsixStructurePlace) => ({
      BIR: ro([2, 0] as const, "BAR", { reset: p.bar }),
      Offset: ro([31, 3] as const, "Offset in it, in units of 8 bytes", { reset: p.offset >>> 3 }),
    });
    return {
      MSIX_TABLE: { at: 4, title: "Table Offset and BIR", clause: "7.7.2.3", fields: place(table) },
      MSIX_PBA: { at: 8, title: "PBA Offset and BIR", clause: "7.7.2.4", fields: place(pba) },
    };
  }

  override ready(): void {
    const owner = this.function;
    owner.part("msix", this.#state);
    this.#port = owner.makePort();
    this.#upstream = owner.upstream;
    const { table, pba } = this.#options;
    owner.bars.overlay(table.bar, {
      name: "MSI-X table",
      offset: table.offset,
      size: 16 * this.vectors,
      target: this.#tableTarget(),
    });
    owner.bars.overlay(pba.bar, {
      name: "MSI-X PBA",
      offset: pba.offset,
      size: 4 * this.#state.pending.length,
      target: this.#pbaTarget(),
    });
  }

  override onReset(): void {
    this.#state.reset();
  }

  get enabled(): boolean {
    return (this.headWord & ENABLE) !== 0;
  }
  isMasked(vector: number): boolean {
    return (this.headWord & FUNCTION_MASK) !== 0 || ((this.#state.table[vector * WORDS + CONTROL] as number) & 1) !== 0;
  }
  isPending(vector: number): boolean {
    return (((this.#state.pending[vector >> 5] as number) >>> (vector & 31)) & 1) !== 0;
  }

  /** Sends vector `vector`, or leaves it pending while it or the function is masked. Nothing while MSI-X is disabled. */
  raise(vector: number): void {
    if (!this.enabled || !(vector >= 0 && vector < this.vectors)) return;
    if (this.isMasked(vector)) {
      const { pending } = this.#state;
      pending[vector >> 5] = (pending[vector >> 5] as number) | (1 << (vector & 31));
    } else this.#send(vector);
  }

  /** Takes back a vector that is pending: its cause is gone (6.1.4.5). */
  clearPending(vector: number): void {
    if (!(vector >= 0 && vector < this.vectors)) return;
    const { pending } = this.#state;
    pending[vector >> 5] = (pending[vector >> 5] as number) & ~(1 << (vector & 31));
  }

  /** Sends what is pending and no longer masked. */
  #deliver(): void {
    if (!this.enabled || (this.headWord & FUNCTION_MASK) !== 0) return;
    const { pending } = this.#state;
    for (let w = 0; w < pending.length; w++) {
      if (pending[w] === 0) continue;
      for (let v = 32 * w; v < 32 * w + 32 && v < this.vectors; v++) this.#deliverOne(v);
    }
  }

  #deliverOne(vector: number): void {
    if (!this.enabled || !this.isPending(vector) || this.isMasked(vector)) return;
    this.clearPending(vector);
    this.#send(vector);
  }

  #send(vector: number): void {
    const { table } = this.#state;
    const at = vector * WORDS;
    const low = (table[at] as number) & ~3;
    const port = this.#port;
    if (port === null) return;
    // Not through the port itself, which looks for memory first: messages go to registers.
    const tx = port.transaction;
    tx.response = RESPONSE_OK;
    tx.delay = 0;
    const address = ((table[at + 1] as number) >>> 0) * 2 ** 32 + (low >>> 0);
    this.#upstream?.write(address, 4, (table[at + 2] as number) >>> 0, tx);
  }

  #tableTarget(): Target {
    const { table } = this.#state;
    const word = (offset: number) => (table[offset >> 2] as number) >>> 0;
    return {
      accessSizes: SIZES_UP_TO_32,
      read: (offset, size) => (this.#aligned(offset, size, false) ? word(offset) : 0),
      write: (offset, size, value) => {
        if (this.#aligned(offset, size, true)) this.#writeTable(offset >> 2, value);
      },
      peek: (offset, size) => narrow(word(offset), offset, size),
      poke: (offset, size, value) => {
        table[offset >> 2] = widen(word(offset), offset, size, value);
      },
    };
  }

  #writeTable(at: number, value: number): void {
    const { table } = this.#state;
    const vector = Math.floor(at / WORDS);
    // Reserved bits of Vector Control keep zero; a masked vector's address and data may be changed (6.1.4.2).
    if (at % WORDS === CONTROL) {
      table[at] = value & 1;
      this.#deliverOne(vector);
      return;
    }
    if (this.enabled && !this.isMasked(vector)) {
      this.function.guestError({
        kind: "sequence",
        register: `MSI-X table[${vector}]`,
        write: true,
        value: value >>> 0,
        clause: "PCI Express Base 5.0 6.1.4.2",
        detail: "address or data of a vector changed while it is not masked",
      });
    }
    table[at] = value;
  }

  #pbaTarget(): Target {
    const { pending } = this.#state;
    const word = (offset: number) => (pending[offset >> 2] as number) >>> 0;
    return {
      accessSizes: SIZES_UP_TO_32,
      read: (offset, size) => (this.#aligned(offset, size, false) ? word(offset) : 0),
      // "Software should never write" (7.7.2.10): ignored.
      write: (offset, size, value) => {
        this.function.guestError({
          kind: "access",
          register: "MSI-X PBA",
          offset,
          size,
          write: true,
          value,
          clause: "PCI Express Base 5.0 7.7.2.10",
          detail: "write to the pending bit array",
        });
      },
      peek: (offset, size) => narrow(word(offset), offset, size),
      poke: (offset, size, value) => {
        pending[offset >> 2] = widen(word(offset), offset, size, value);
      },
    };
  }

  #aligned(offset: number, size: number, write: boolean): boolean {
    if (size === 4 && offset % 4 === 0) return true;
    this.function.guestError({
      kind: "width",
      register: "MSI-X structure",
      offset,
      size,
      write,
      clause: "PCI Express Base 5.0 6.1.4.2",
      detail: "MSI-X structures take aligned accesses of 4 or 8 bytes",
    });
    return false;
  }
}

function narrow(word: number, offset: number, size: number): number {
  const shifted = word >>> ((offset & 3) << 3);
  return size === 4 ? shifted : shifted & (size === 1 ? 0xff : 0xffff);
}

function widen(word: number, offset: number, size: number, value: number): number {
  const shift = (offset & 3) << 3;
  const lanes = (size === 4 ? -1 : size === 2 ? 0xffff : 0xff) << shift;
  return (word & ~lanes) | ((value << shift) & lanes);
}
