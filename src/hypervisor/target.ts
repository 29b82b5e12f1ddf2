/** Targets of a VM's bus that lead to the machine's: a device whose registers are passed though their page is trapped. */
import type { Target, Transaction } from "../bus/index.ts";

/** What a VM's bus shows of the machine: accesses go on as they are, by the physical CPU that traps them. */
export class Forward implements Target {
  readonly accessSizes = 1 | 2 | 4;
  readonly #bus: Target;
  readonly #base: number;
  constructor(bus: Target, base: number) {
    this.#bus = bus;
    this.#base = base;
  }
  read(offset: number, size: number, tx: Transaction): number {
    return this.#bus.read(this.#base + offset, size, tx);
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    this.#bus.write(this.#base + offset, size, value, tx);
  }
  peek(offset: number, size: number): number {
    return this.#bus.peek(this.#base + offset, size);
  }
  poke(offset: number, size: number, value: number): void {
    this.#bus.poke(this.#base + offset, size, value);
  }
}

/** How a device's page is divided, by words. */
export interface Division {
  readonly from: number;
  readonly to: number;
  readonly target: Target | null;
}

/** A page in which some registers are one target's and the rest another's; null: an external abort. */
export class Divided implements Target {
  readonly accessSizes = 1 | 2 | 4;
  readonly #parts: readonly Division[];
  readonly #rest: Target | null;
  constructor(parts: readonly Division[], rest: Target | null) {
    this.#parts = parts;
    this.#rest = rest;
  }
  /** Who answers at `offset`. */
  at(offset: number): Target | null {
    for (const p of this.#parts) if (offset >= p.from && offset < p.to) return p.target;
    return this.#rest;
  }
  read(offset: number, size: number, tx: Transaction): number {
    const target = this.at(offset);
    if (target !== null) return target.read(offset, size, tx);
    tx.response = 1;
    return 0;
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    const target = this.at(offset);
    if (target !== null) target.write(offset, size, value, tx);
    else tx.response = 1;
  }
  peek(offset: number, size: number): number {
    return this.at(offset)?.peek(offset, size) ?? 0;
  }
  poke(offset: number, size: number, value: number): void {
    this.at(offset)?.poke(offset, size, value);
  }
}
