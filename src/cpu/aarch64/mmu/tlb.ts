/**
 * The software TLB that the engine looks into, and what this side knows beside it. A CPU has 13 sets of 2,048 entries a kind of access: four
 * for EL0, eight for EL1, one for EL2. A set belongs to the values of all registers that steer its translations, its key; when those
 * change, another set with the right key is taken, or the one not used for longest is emptied. So switching page tables to
 * and fro (KPTI) or between levels costs no entries. The TLB is a cache, not state: it is not hashed
 * (`tlb-state.ts` says what snapshots have of it).
 */
import type { Context } from "../context.ts";
import * as L from "../engine/layout.ts";

/** Kinds of entry. None of the bits set: the engine may use it. */
export const ENTRY_ALIGNED = 1; // unaligned accesses fault: Device memory or SCTLR_ELx.A
export const ENTRY_IO = 2; // not in the arena: over the bus
export const ENTRY_CODE = 4; // a write entry of a page with decoded code
export const ENTRY_WATCHED = 8; // a watchpoint is in the page

export const ENTRIES = L.TLB_ENTRIES;
const ENTRY_WORDS = L.TLB_ENTRY_BYTES / 4;
const KIND_WORDS = ENTRIES * ENTRY_WORDS;
const MARK = 0x8000_0000 | 0;

export const KEY_WORDS = 16;
const REGIONS = 1024;

export class TlbSet {
  /** Offset of the set in the context. */
  readonly offset: number;
  readonly key = new Int32Array(KEY_WORDS);
  /** For the choice of the set to empty. */
  used = 0;
  /** Physical page address, kind and log2 of mapping size by entry. */
  readonly #pages = new Float64Array(3 * ENTRIES);
  readonly #kinds = new Uint8Array(3 * ENTRIES);
  readonly #sizes = new Uint8Array(3 * ENTRIES);
  /** Which 2 MiB regions (hashed) have entries of mappings larger than 4 KiB, and which of larger than 2 MiB. */
  readonly #large = new Uint8Array(REGIONS);
  readonly #largest = new Uint8Array(REGIONS);
  readonly #words: Int32Array;
  readonly #first: number;
  #empty = false;

  constructor(context: Context, index: number) {
    this.offset = L.TLB_SETS + index * L.TLB_SET_BYTES;
    this.#words = context.words;
    this.#first = this.offset / 4;
    this.flush();
  }

  /** The entry of (`high`, `low`) for `access`, marked or not; -1 when there is none. */
  find(access: number, high: number, low: number): number {
    const slot = L.tlbSlot(low);
    const word = this.#first + access * KIND_WORDS + slot * ENTRY_WORDS;
    const words = this.#words;
    if (words[word] !== ((low >>> 12) | (high << 20))) return -1;
    if (((words[word + 1] as number) & ~MARK) !== high >>> 12) return -1;
    return access * ENTRIES + slot;
  }

  kind(entry: number): number {
    return this.#kinds[entry] as number;
  }
  /** Physical address of the entry's page. */
  page(entry: number): number {
    return this.#pages[entry] as number;
  }
  /** log2 of the size of the entry's mapping. */
  size(entry: number): number {
    return this.#sizes[entry] as number;
  }

  /** All entries, with the virtual addresses of their pages. */
  visit(see: (access: number, high: number, low: number, entry: number) => void): void {
    if (this.#empty) return;
    for (let entry = 0; entry < 3 * ENTRIES; entry++) {
      const word = this.#word(entry);
      const tagLow = this.#words[word] as number;
      const tagHigh = this.#words[word + 1] as number;
      if (tagLow === -1 && tagHigh === -1) continue;
      see(Math.floor(entry / ENTRIES), (tagHigh << 12) | (tagLow >>> 20), tagLow << 12, entry);
    }
  }

  /** To be added to the low word of the virtual address for the arena address (read and write entries). */
  addend(entry: number): number {
    return this.#words[this.#word(entry) + 2] as number;
  }

  /**
   * Makes the entry of (`high`, `low`). `page` is the physical page, `size` the log2 of the mapping, `kind` ENTRY_* bits,
   * `addend` and `code` as in `layout.ts`.
   */
  fill(
    access: number,
    high: number,
    low: number,
    page: number,
    size: number,
    kind: number,
    addend: number,
    code: number,
  ): number {
    const slot = L.tlbSlot(low);
    const entry = access * ENTRIES + slot;
    const word = this.#word(entry);
    const words = this.#words;
    words[word] = (low >>> 12) | (high << 20);
    words[word + 1] = (high >>> 12) | (kind !== 0 ? MARK : 0);
    words[word + 2] = addend;
    words[word + 3] = code;
    this.#pages[entry] = page;
    this.#kinds[entry] = kind;
    this.#sizes[entry] = size;
    if (size > 21) this.#largest[region(high, low, 30)] = 1;
    else if (size > 12) this.#large[region(high, low, 21)] = 1;
    this.#empty = false;
    return entry;
  }

  drop(entry: number): void {
    const word = this.#word(entry);
    this.#words[word] = -1;
    this.#words[word + 1] = -1;
  }

  flush(): void {
    if (this.#empty) return;
    this.#words.fill(-1, this.#first, this.#first + 3 * KIND_WORDS);
    this.#large.fill(0);
    this.#largest.fill(0);
    this.#empty = true;
  }

  /** Drops what a TLBI of the page at (`high`, `low`) touches: its slot, and all entries of a larger mapping around it. */
  flushAddress(high: number, low: number): void {
    if (this.#empty) return;
    const slot = L.tlbSlot(low);
    for (let access = 0; access < 3; access++) this.drop(access * ENTRIES + slot);
    // bits 55 to 12: the top byte of the address is not part of the operand
    if (this.#large[region(high, low, 21)] === 0 && this.#largest[region(high, low, 30)] === 0) return;
    for (let entry = 0; entry < 3 * ENTRIES; entry++) {
      const size = this.#sizes[entry] as number;
      if (size <= 12) continue;
      const word = this.#word(entry);
      const tagLow = this.#words[word] as number;
      const tagHigh = this.#words[word + 1] as number;
      if (tagLow === -1 && tagHigh === -1) continue;
      // tags are addresses shifted by 12
      const entryLow = tagLow << 12;
      const entryHigh = (tagHigh << 12) | (tagLow >>> 20);
      if (sameMapping(entryHigh, entryLow, high, low, size)) this.drop(entry);
    }
  }

  /** Drops entries of `access` kinds whose physical page lies in start..end. */
  flushPhysical(start: number, end: number): void {
    if (this.#empty) return;
    for (let entry = 0; entry < 3 * ENTRIES; entry++) {
      const page = this.#pages[entry] as number;
      if (page >= start && page < end) this.drop(entry);
    }
  }

  /**
   * The arena page at `arenaPage` (an address) has got decoded code at `code`, or has none any more (0). Write entries for it are changed where
   * they are: to drop them would let a guest see that an old translation has gone.
   */
  setCode(arenaPage: number, code: number): void {
    if (this.#empty) return;
    const words = this.#words;
    for (let entry = ENTRIES, word = this.#word(ENTRIES); entry < 2 * ENTRIES; entry++, word += ENTRY_WORDS) {
      if (((words[word + 2] as number) + ((words[word] as number) << 12)) >>> 0 !== arenaPage) continue;
      const old = this.#kinds[entry] as number;
      if ((old & ENTRY_IO) !== 0 || (words[word] === -1 && words[word + 1] === -1)) continue;
      const kind = code !== 0 ? old | ENTRY_CODE : old & ~ENTRY_CODE;
      this.#kinds[entry] = kind;
      words[word + 1] = kind !== 0 ? (words[word + 1] as number) | MARK : (words[word + 1] as number) & ~MARK;
      words[word + 3] = kind === ENTRY_CODE ? code : 0;
    }
  }

  /** The decoded page at `at` is given to other code: drops fetch entries that lead to it. */
  flushDecoded(at: number): void {
    if (this.#empty) return;
    for (let entry = 2 * ENTRIES, word = this.#word(entry); entry < 3 * ENTRIES; entry++, word += ENTRY_WORDS) {
      if ((this.#words[word + 2] as number) >>> 0 === at) this.drop(entry);
    }
  }

  /** Drops all fetch entries. */
  flushFetches(): void {
    if (this.#empty) return;
    this.#words.fill(-1, this.#first + 2 * KIND_WORDS, this.#first + 3 * KIND_WORDS);
  }

  #word(entry: number): number {
    return this.#first + entry * ENTRY_WORDS;
  }
}

/** A hash of address bits 55 to `shift` (above 20). */
function region(high: number, low: number, shift: number): number {
  const above = ((high & 0x00ff_ffff) << (32 - shift)) | (low >>> shift);
  return (above ^ (above >>> 10) ^ (above >>> 20) ^ ((high & 0x00ff_ffff) >>> 9)) & (REGIONS - 1);
}

/** Bits 55 to `size` of both addresses are equal. */
function sameMapping(high1: number, low1: number, high2: number, low2: number, size: number): boolean {
  const high = (high1 ^ high2) & 0x00ff_ffff;
  if (size >= 32) return high >>> (size - 32) === 0;
  return high === 0 && (low1 ^ low2) >>> size === 0;
}
