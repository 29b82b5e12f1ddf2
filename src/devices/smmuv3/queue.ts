/** Circular queues in memory, shared with software by two indices with a wrap bit each (IHI 0070 3.5.1). */
import { QUEUE_BITS } from "./registers.ts";

const HALF = 4294967296;

export class Queue {
  readonly #values: Int32Array;
  readonly #base: number;
  readonly #producer: number;
  readonly #consumer: number;
  readonly #entryBits: number;

  /** Slots of the registers in `values`, and log2 of an entry's bytes. */
  constructor(values: Int32Array, base: number, producer: number, consumer: number, entryBits: number) {
    this.#values = values;
    this.#base = base;
    this.#producer = producer;
    this.#consumer = consumer;
    this.#entryBits = entryBits;
  }

  /** log2 of the number of entries. */
  get bits(): number {
    return Math.min((this.#values[this.#base] as number) & 31, QUEUE_BITS);
  }
  get empty(): boolean {
    return this.#difference === 0;
  }
  get full(): boolean {
    return this.#difference === 1 << this.bits;
  }
  /** More entries than the queue has: indices that cannot be. */
  get inconsistent(): boolean {
    const mask = (2 << this.bits) - 1;
    const used = ((this.#values[this.#producer] as number) - (this.#values[this.#consumer] as number)) & mask;
    return used > 1 << this.bits;
  }
  /** Address of the entry that the producer fills next. */
  get producerAddress(): number {
    return this.#address(this.#values[this.#producer] as number);
  }
  /** Address of the entry that the consumer takes next. */
  get consumerAddress(): number {
    return this.#address(this.#values[this.#consumer] as number);
  }

  produced(): void {
    this.#advance(this.#producer);
  }
  consumed(): void {
    this.#advance(this.#consumer);
  }

  /** Bits that differ: 0 for empty, the wrap bit alone for full. */
  get #difference(): number {
    const differ = (this.#values[this.#producer] as number) ^ (this.#values[this.#consumer] as number);
    return differ & ((2 << this.bits) - 1);
  }

  #address(index: number): number {
    const { bits } = this;
    const base = this.#values[this.#base] as number;
    const full = ((this.#values[this.#base + 1] as number) & 0xf_ffff) * HALF + ((base & ~31) >>> 0);
    const size = 2 ** (bits + this.#entryBits);
    return full - (full % size) + (index & ((1 << bits) - 1)) * 2 ** this.#entryBits;
  }

  /** Flags above the index stay. */
  #advance(slot: number): void {
    const value = this.#values[slot] as number;
    const mask = (2 << this.bits) - 1;
    this.#values[slot] = (value & ~0xf_ffff) | ((value + 1) & mask);
  }
}
