/** The register space of the PF as its memory BAR shows it: registers answer at their second addresses too. */
import type { Target, Transaction } from "../../bus/index.ts";
import { ALIASES } from "./registers/index.ts";

export class CsrSpace implements Target {
  readonly accessSizes: number;
  readonly size: number;
  readonly #bank: Target;
  /** By word of the space: where it is in the bank. */
  readonly #place: Int32Array;

  constructor(bank: Target, size: number) {
    this.#bank = bank;
    this.size = size;
    this.accessSizes = bank.accessSizes;
    this.#place = Int32Array.from({ length: size / 4 }, (_, i) => 4 * i);
    for (const [from, to, words] of ALIASES) {
      for (let i = 0; i < words; i++) this.#place[(from >> 2) + i] = to + 4 * i;
    }
  }

  #at(offset: number): number {
    return offset < this.size ? (this.#place[offset >> 2] as number) + (offset & 3) : offset;
  }
  read(offset: number, size: number, tx: Transaction): number {
    return this.#bank.read(this.#at(offset), size, tx);
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    this.#bank.write(this.#at(offset), size, value, tx);
  }
  peek(offset: number, size: number): number {
    return this.#bank.peek(this.#at(offset), size);
  }
  poke(offset: number, size: number, value: number): void {
    this.#bank.poke(this.#at(offset), size, value);
  }
}

/** IOADDR and IODATA of the I/O BAR (82576 datasheet 8.1): one register at a time. */
export class IoWindow implements Target {
  readonly accessSizes = 4;
  readonly size = 32;
  readonly #space: Target;
  readonly #cells: { ioAddress: number };

  constructor(space: Target, cells: { ioAddress: number }) {
    this.#space = space;
    this.#cells = cells;
  }
  read(offset: number, size: number, tx: Transaction): number {
    if (offset === 0) return this.#cells.ioAddress;
    return offset === 4 ? this.#space.read(this.#cells.ioAddress, size, tx) : 0;
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    if (offset === 0) this.#cells.ioAddress = value & 0x1_fffc;
    else if (offset === 4) this.#space.write(this.#cells.ioAddress, size, value, tx);
  }
  peek(offset: number, size: number): number {
    if (offset === 0) return this.#cells.ioAddress;
    return offset === 4 ? this.#space.peek(this.#cells.ioAddress, size) : 0;
  }
  poke(offset: number, _size: number, value: number): void {
    if (offset === 0) this.#cells.ioAddress = value & 0x1_fffc;
  }
}
