/**
 * Decoded pages in the arena, keyed by the arena page of the code. Bounded: the oldest page makes room for a new one. Derived
 * from memory alone, so it is no state: it is neither saved nor hashed, and may be dropped at any time outside `run`.
 */
import { type Arena, PAGE_HAS_CODE } from "../../../bus/arena.ts";
import type { Decoder } from "./decode.ts";
import { BREAKPOINT, DECODE, PAGE_END } from "./handlers.ts";
import { GO_ON } from "./layout.ts";
import { OPERATION_BYTES } from "./operation.ts";

const WORDS = 1024;
/** 1,024 operations and the end of the page. */
export const DECODED_PAGE_BYTES = (WORDS + 1) * OPERATION_BYTES;

export interface CodeCacheOptions {
  /** Decoded pages kept; default 2048 (8 MiB of code in 32 MiB). */
  readonly pages?: number;
  /** A page got decoded code: write TLB entries for it must no longer hit. */
  readonly onCode?: (arenaPage: number) => void;
  /** The decoded page at `at` is given to other code: fetch TLB entries that lead to it must go. */
  readonly onDrop?: (at: number) => void;
}

export class CodeCache {
  readonly #arena: Arena;
  readonly #decoder: Decoder;
  readonly #base: number;
  readonly #count: number;
  readonly #onCode: (arenaPage: number) => void;
  readonly #onDrop: (at: number) => void;
  /** Index of the decoded page of each arena page, by arena page number. */
  readonly #places = new Map<number, number>();
  /** Arena page of each decoded page, -1 where free. */
  readonly #owners: Int32Array;
  #next = 0;
  /** Arena addresses of planted breakpoints. */
  readonly #breakpoints = new Set<number>();

  constructor(arena: Arena, decoder: Decoder, options: CodeCacheOptions = {}) {
    this.#arena = arena;
    this.#decoder = decoder;
    this.#count = options.pages ?? 2048;
    this.#owners = new Int32Array(this.#count).fill(-1);
    this.#base = arena.allocate(this.#count * DECODED_PAGE_BYTES);
    if (this.#base < 0) throw new Error("the arena has no room for decoded code");
    this.#onCode = options.onCode ?? (() => {});
    this.#onDrop = options.onDrop ?? (() => {});
  }

  /** Address of the decoded page for the code at arena address `address`, made empty if there is none. Only outside operations. */
  page(address: number): number {
    const owner = Math.floor(address / 4096);
    const known = this.#places.get(owner);
    if (known !== undefined) return this.#base + known * DECODED_PAGE_BYTES;
    const place = this.#next;
    this.#next = (place + 1) % this.#count;
    const old = this.#owners[place] as number;
    const at = this.#base + place * DECODED_PAGE_BYTES;
    if (old >= 0) {
      this.#forget(old);
      this.#onDrop(at);
    }
    this.#owners[place] = owner;
    this.#places.set(owner, place);
    this.#clear(at);
    this.#arena.pageFlags[owner] = (this.#arena.pageFlags[owner] as number) | PAGE_HAS_CODE;
    this.#onCode(owner);
    return at;
  }

  /** Address of the decoded page, or 0: what TLB_CODE of a write entry holds. */
  find(address: number): number {
    const place = this.#places.get(Math.floor(address / 4096));
    return place === undefined ? 0 : this.#base + place * DECODED_PAGE_BYTES;
  }

  /** The import `decode`: fills the operation at `slot`. */
  decode(slot: number): number {
    const address = this.addressOf(slot);
    const { halves } = this.#arena;
    this.#decoder.decode(this.#arena.words[address >>> 2] as number, address & 4095, halves, slot);
    if (this.#breakpoints.has(address)) halves[slot >>> 1] = BREAKPOINT;
    else {
      // the end of the page joins with nothing
      this.#decoder.join(halves, slot);
      if ((address & 4095) !== 0) this.#decoder.join(halves, slot - OPERATION_BYTES);
    }
    return GO_ON;
  }

  /** Arena address of the instruction that the operation at `slot` was decoded from. */
  addressOf(slot: number): number {
    const relative = (slot >>> 0) - this.#base;
    const place = Math.floor(relative / DECODED_PAGE_BYTES);
    const index = (relative - place * DECODED_PAGE_BYTES) / OPERATION_BYTES;
    return (this.#owners[place] as number) * 4096 + index * 4;
  }
  /** The instruction word of the operation at `slot`. */
  wordOf(slot: number): number {
    return this.#arena.words[this.addressOf(slot) >>> 2] as number;
  }

  /** Code in `length` bytes at arena address `address` has changed, or may have. */
  invalidate(address: number, length: number): void {
    const last = Math.floor((address + length - 1) / 4);
    for (let word = Math.floor(address / 4); word <= last; word++) {
      const place = this.#places.get(Math.floor(word / WORDS));
      if (place === undefined) {
        word = Math.floor(word / WORDS) * WORDS + WORDS - 1;
        continue;
      }
      this.#undecode(this.#base + place * DECODED_PAGE_BYTES, word % WORDS);
    }
  }

  /** Drops all decoded code; every fetch TLB entry must go with it. */
  clear(): void {
    for (const owner of [...this.#places.keys()]) this.#forget(owner);
    this.#owners.fill(-1);
    this.#next = 0;
  }

  /** Makes `run` return RUN_BREAKPOINT before the instruction at this arena address; guest memory is not touched. */
  plant(address: number): void {
    this.#breakpoints.add(address);
    this.invalidate(address, 4);
  }
  unplant(address: number): void {
    this.#breakpoints.delete(address);
    this.invalidate(address, 4);
  }

  #forget(owner: number): void {
    this.#places.delete(owner);
    this.#arena.pageFlags[owner] = (this.#arena.pageFlags[owner] as number) & ~PAGE_HAS_CODE;
  }
  #clear(at: number): void {
    const { halves } = this.#arena;
    halves.fill(0, at >>> 1, (at + DECODED_PAGE_BYTES) >>> 1);
    if (DECODE !== 0) throw new Error("cleared pages must decode");
    halves[(at + WORDS * OPERATION_BYTES) >>> 1] = PAGE_END;
  }
  #undecode(at: number, index: number): void {
    const { halves } = this.#arena;
    const slot = at + index * OPERATION_BYTES;
    halves[slot >>> 1] = DECODE;
    // the operation before may have been joined with it
    if (index > 0) this.#decoder.part(halves, slot - OPERATION_BYTES);
  }
}
