/**
 * Decoded pages in the arena, keyed by the arena page of the code. Bounded: the oldest page makes room for a new one. Derived
 * from memory alone, so it is no state: it is neither saved nor hashed, and may be dropped at any time outside `run`.
 *
 * Stores to a page that has decoded code are slow. Systems give memory that once held code to other uses, so a page that is stored to
 * and not decoded from is *cleared*: all its operations go back to DECODE, stores are fast again, and whoever executes there finds the
 * same decoded page, empty. The next operation decoded in it makes stores slow again.
 */
import { type Arena, PAGE_HAS_CODE } from "../../../bus/arena.ts";
import type { Decoder } from "./decode.ts";
import { BREAKPOINT, DECODE, PAGE_END } from "./handlers.ts";
import { GO_ON } from "./layout.ts";
import { OPERATION_BYTES } from "./operation.ts";

const WORDS = 1024;
/**
 * Slow stores since the last decoding after which a page is cleared: where nothing is left decoded, and otherwise. Clearing costs as much as some
 * hundred slow stores, decoding again as some thousand; so pages of code and data are at worst about twice as slow.
 */
const STORES_EMPTY = 64;
const STORES_DECODED = 2048;
/** 1,024 operations and the end of the page. */
export const DECODED_PAGE_BYTES = (WORDS + 1) * OPERATION_BYTES;
/** Behind the number of the operation at the end of the page: i32, stores to words that are not decoded, which the engine counts. */
export const STORES_AT = WORDS * OPERATION_BYTES + 4;

export interface CodeCacheOptions {
  /** Decoded pages kept; default 2048 (8 MiB of code in 32 MiB). */
  readonly pages?: number;
  /** A page got decoded code, at `at`: write TLB entries for it must no longer hit. `at` 0: it has none any more, they may. */
  readonly onCode?: (arenaPage: number, at: number) => void;
  /** The decoded page at `at` is given to other code: fetch TLB entries that lead to it must go. */
  readonly onDrop?: (at: number) => void;
}

export class CodeCache {
  readonly #arena: Arena;
  readonly #decoder: Decoder;
  readonly #base: number;
  readonly #count: number;
  readonly #onCode: (arenaPage: number, at: number) => void;
  readonly #onDrop: (at: number) => void;
  /** 1 + index of the decoded page of each arena page, by arena page number; 0 where there is none. */
  readonly #places: Int32Array;
  /** Arena page of each decoded page, -1 where free. */
  readonly #owners: Int32Array;
  /** Operations decoded in each decoded page, and slow stores to its code since the last of them. */
  readonly #decoded: Int32Array;
  readonly #stores: Int32Array;
  #next = 0;
  /** Arena addresses of planted breakpoints. */
  readonly #breakpoints = new Set<number>();

  constructor(arena: Arena, decoder: Decoder, options: CodeCacheOptions = {}) {
    this.#arena = arena;
    this.#decoder = decoder;
    this.#count = options.pages ?? 2048;
    this.#owners = new Int32Array(this.#count).fill(-1);
    this.#decoded = new Int32Array(this.#count);
    this.#stores = new Int32Array(this.#count);
    this.#base = arena.allocate(this.#count * DECODED_PAGE_BYTES);
    const pages = arena.pageFlags.length;
    const places = arena.allocate(4 * pages);
    if (this.#base < 0 || places < 0) throw new Error("the arena has no room for decoded code");
    this.#places = arena.words.subarray(places >>> 2, (places >>> 2) + pages);
    this.#onCode = options.onCode ?? (() => {});
    this.#onDrop = options.onDrop ?? (() => {});
  }

  /** Address of the decoded page for the code at arena address `address`, made empty if there is none. Only outside operations. */
  page(address: number): number {
    const owner = Math.floor(address / 4096);
    const known = this.#places[owner] as number;
    if (known !== 0) return this.#base + (known - 1) * DECODED_PAGE_BYTES;
    const place = this.#next;
    this.#next = (place + 1) % this.#count;
    const old = this.#owners[place] as number;
    const at = this.#base + place * DECODED_PAGE_BYTES;
    if (old >= 0) {
      this.#forget(old);
      this.#onDrop(at);
    }
    this.#owners[place] = owner;
    this.#places[owner] = place + 1;
    this.#clear(place);
    return at;
  }

  /** Address of the decoded page, or 0: what TLB_CODE of a write entry holds. */
  find(address: number): number {
    const place = this.#places[Math.floor(address / 4096)] as number;
    return place === 0 ? 0 : this.#base + (place - 1) * DECODED_PAGE_BYTES;
  }

  /** The import `decode`: fills the operation at `slot`. */
  decode(slot: number): number {
    const place = Math.floor((slot - this.#base) / DECODED_PAGE_BYTES);
    const at = this.#base + place * DECODED_PAGE_BYTES;
    const owner = this.#owners[place] as number;
    const offset = (slot - at) / (OPERATION_BYTES / 4);
    const address = owner * 4096 + offset;
    const { halves, pageFlags } = this.#arena;
    const flags = pageFlags[owner] as number;
    if ((flags & PAGE_HAS_CODE) === 0) {
      pageFlags[owner] = flags | PAGE_HAS_CODE;
      this.#onCode(owner, at);
    }
    this.#decoded[place] = (this.#decoded[place] as number) + 1;
    this.#stores[place] = 0;
    this.#decoder.decode(this.#arena.words[address >>> 2] as number, offset, halves, slot);
    if (this.#breakpoints.has(address)) halves[slot >>> 1] = BREAKPOINT;
    else {
      // the end of the page joins with nothing
      this.#decoder.join(halves, slot);
      if (offset !== 0) this.#decoder.join(halves, slot - OPERATION_BYTES);
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
    let word = Math.floor(address / 4);
    while (word <= last) {
      const page = Math.floor(word / WORDS);
      const end = Math.min(last, page * WORDS + WORDS - 1);
      const place = (this.#places[page] as number) - 1;
      if (place >= 0) for (; word <= end; word++) this.#undecode(place, word % WORDS);
      word = end + 1;
    }
  }

  /** Memory was written past the fast path of stores: what was decoded there goes, and pages that serve for data now are cleared. */
  written(address: number, length: number): void {
    this.invalidate(address, length);
    const last = Math.floor((address + length - 1) / 4096);
    for (let page = Math.floor(address / 4096); page <= last; page++) {
      const place = (this.#places[page] as number) - 1;
      if (place < 0) continue;
      const stores = (this.#stores[place] as number) + 1;
      this.#stores[place] = stores;
      if (stores < STORES_EMPTY || (stores < STORES_DECODED && this.#decoded[place] !== 0)) continue;
      this.#clear(place);
      this.#clean(page);
    }
  }

  /** Drops all decoded code; every fetch TLB entry must go with it. */
  clear(): void {
    for (const owner of this.#owners) if (owner >= 0) this.#forget(owner);
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
    this.#places[owner] = 0;
    this.#clean(owner);
  }
  /** Nothing is decoded in the page. */
  #clean(owner: number): void {
    const { pageFlags } = this.#arena;
    const flags = pageFlags[owner] as number;
    if ((flags & PAGE_HAS_CODE) === 0) return;
    pageFlags[owner] = flags & ~PAGE_HAS_CODE;
    this.#onCode(owner, 0);
  }
  #clear(place: number): void {
    const at = this.#base + place * DECODED_PAGE_BYTES;
    const { halves } = this.#arena;
    halves.fill(0, at >>> 1, (at + DECODED_PAGE_BYTES) >>> 1);
    if (DECODE !== 0) throw new Error("cleared pages must decode");
    halves[(at + WORDS * OPERATION_BYTES) >>> 1] = PAGE_END;
    this.#decoded[place] = 0;
    this.#stores[place] = 0;
  }
  #undecode(place: number, index: number): void {
    const { halves } = this.#arena;
    const slot = this.#base + place * DECODED_PAGE_BYTES + index * OPERATION_BYTES;
    if (halves[slot >>> 1] === DECODE) return;
    halves[slot >>> 1] = DECODE;
    this.#decoded[place] = (this.#decoded[place] as number) - 1;
    // the operation before may have been joined with it
    if (index > 0) this.#decoder.part(halves, slot - OPERATION_BYTES);
  }
}
