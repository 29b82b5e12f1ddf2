/** A VM's memory as the models behind its trapped regions reach it: by guest-physical addresses, as its stage 2 tables have them. There is nothing else. */
import {
  type Arena,
  type DirectRegion,
  type Memory,
  Port,
  RESPONSE_DECODE_ERROR,
  SIZES_UP_TO_64,
  type Target,
  type Transaction,
} from "../bus/index.ts";

/** Where a VM's memory is. */
export interface GuestMemoryPlace {
  /** Guest-physical, and bytes. */
  readonly base: number;
  readonly size: number;
  /** Offset in the machine's RAM of a stretch of it; -1 where not all of it is there. */
  readonly offsetOf: (address: number, length: number) => number;
}

export class GuestMemory implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly #ram: Memory;
  readonly #place: GuestMemoryPlace;
  readonly #listeners: ((address: number, length: number) => void)[] = [];

  constructor(ram: Memory, place: GuestMemoryPlace) {
    this.#ram = ram;
    this.#place = place;
    ram.onInvalidate(() => this.moved());
  }

  /** It lies elsewhere in RAM from now on, or nowhere. */
  moved(): void {
    const { base, size } = this.#place;
    for (const listener of this.#listeners) listener(base, size);
  }

  read(address: number, size: number, tx: Transaction): number {
    const offset = this.#place.offsetOf(address, size);
    if (offset >= 0) return this.#ram.read(offset, size, tx);
    tx.response = RESPONSE_DECODE_ERROR;
    tx.high = 0;
    return 0;
  }
  write(address: number, size: number, value: number, tx: Transaction): void {
    const offset = this.#place.offsetOf(address, size);
    if (offset >= 0) this.#ram.write(offset, size, value, tx);
    else tx.response = RESPONSE_DECODE_ERROR;
  }
  peek(address: number, size: number): number {
    const offset = this.#place.offsetOf(address, size);
    return offset < 0 ? 0 : this.#ram.peek(offset, size);
  }
  poke(address: number, size: number, value: number): void {
    const offset = this.#place.offsetOf(address, size);
    if (offset >= 0) this.#ram.poke(offset, size, value);
  }

  direct(address: number, write: boolean): DirectRegion | null {
    const offset = this.#place.offsetOf(address, 1);
    const found = offset < 0 ? null : this.#ram.direct(offset, write);
    if (found === null) return null;
    const { base, size } = this.#place;
    const shift = address - offset;
    const start = Math.max(found.start + shift, base);
    const end = Math.min(found.end + shift, base + size);
    return { start, end, arenaAt: found.arenaAt + (start - shift - found.start), writable: found.writable };
  }
  onInvalidate(listener: (address: number, length: number) => void): void {
    this.#listeners.push(listener);
  }
}

/** DMA of a model, which is the hypervisor's own copying: `moved` hears of the bytes. */
export class CopyingPort extends Port {
  readonly #moved: (bytes: number) => void;

  constructor(memory: GuestMemory, arena: Arena, moved: (bytes: number) => void) {
    super(memory, arena);
    this.#moved = moved;
  }
  override read(address: number, size: number): number {
    this.#moved(size);
    return super.read(address, size);
  }
  override write(address: number, size: number, value: number): void {
    this.#moved(size);
    super.write(address, size, value);
  }
  override readBlock(address: number, into: Uint8Array): boolean {
    this.#moved(into.length);
    return super.readBlock(address, into);
  }
  override writeBlock(address: number, from: Uint8Array): boolean {
    this.#moved(from.length);
    return super.writeBlock(address, from);
  }
}
