/**
 * The configuration cache: stream table entries and context descriptors as fetched, kept until software invalidates them (IHI 0070
 * 3.21.3, 4.3), invalid ones included. First-level descriptors are not kept.
 */
import type { StateHash } from "../../sim/index.ts";
import { hashState, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { C_BAD_STREAMID, C_BAD_SUBSTREAMID, CLASS_CD, F_CD_FETCH, F_STE_FETCH, type Fault } from "./events.ts";
import { CD_LEAF_4K, CD_LINEAR, ContextEntry, ENTRY_WORDS, StreamEntry } from "./formats.ts";
import type { BusReader, PeekReader } from "./memory.ts";
import { STREAM_ID_BITS } from "./registers.ts";

const SLOTS = 256;
const NOWHERE = -1;

/** Where the stream table is, as registers say. */
export interface StreamTable {
  readonly base: number;
  readonly bits: number;
  readonly split: number;
  readonly twoLevels: boolean;
  readonly e2h: boolean;
}

/** Raw entries by key, direct-mapped. */
class RawCache implements StatePart {
  /** Key of each slot, -1 while empty. */
  readonly first = new Int32Array(SLOTS).fill(NOWHERE);
  readonly second = new Int32Array(SLOTS).fill(NOWHERE);
  /** Where the entry was read. */
  readonly address = new Float64Array(SLOTS);
  readonly words = new Int32Array(SLOTS * ENTRY_WORDS);
  /** Derived: the slot's decoded entry is good; when it was seen to differ from memory (see `Configuration`). */
  readonly decoded = new Uint8Array(SLOTS);
  readonly doubted = new Float64Array(SLOTS).fill(NOWHERE);

  put(slot: number, first: number, second: number, address: number, words: Int32Array): void {
    this.first[slot] = first;
    this.second[slot] = second;
    this.address[slot] = address;
    this.words.set(words, slot * ENTRY_WORDS);
    this.decoded[slot] = 0;
    this.doubted[slot] = NOWHERE;
  }

  save(): StateValue {
    const slots: number[] = [];
    this.first.forEach((id, n) => {
      if (id >= 0) slots.push(n);
    });
    const words = new Int32Array(slots.length * ENTRY_WORDS);
    slots.forEach((slot, n) => {
      words.set(this.words.subarray(slot * ENTRY_WORDS, (slot + 1) * ENTRY_WORDS), n * ENTRY_WORDS);
    });
    return {
      slots: Int32Array.from(slots),
      first: Int32Array.from(slots, (n) => this.first[n] as number),
      second: Int32Array.from(slots, (n) => this.second[n] as number),
      addresses: Float64Array.from(slots, (n) => this.address[n] as number),
      words,
    };
  }

  load(value: StateValue, path: string): void {
    const { slots, first, second, addresses, words } = (value ?? {}) as { readonly [name: string]: StateValue };
    const good =
      slots instanceof Int32Array &&
      first instanceof Int32Array &&
      second instanceof Int32Array &&
      addresses instanceof Float64Array &&
      words instanceof Int32Array &&
      [first, second, addresses].every((a) => a.length === slots.length) &&
      words.length === slots.length * ENTRY_WORDS &&
      slots.every((n) => n >= 0 && n < SLOTS);
    if (!good) throw new SnapshotError(`${path}: expected cache slots with their keys and words`);
    this.reset();
    slots.forEach((slot, n) => {
      const entry = words.subarray(n * ENTRY_WORDS, (n + 1) * ENTRY_WORDS);
      this.put(slot, first[n] as number, second[n] as number, addresses[n] as number, entry);
    });
  }

  hash(hash: StateHash): void {
    hashState(hash, this.save());
  }

  reset(): void {
    this.first.fill(NOWHERE);
  }
}

export class Configuration {
  readonly streams = new RawCache();
  readonly contexts = new RawCache();
  /** Told when anything was invalidated or replaced. */
  onChange: () => void = () => {};
  /**
   * A cached entry was used that memory no longer agrees with, after a CMD_SYNC that should have followed its invalidation. Once an
   * entry. `syncs` counts completed CMD_SYNCs.
   */
  onStale: (streamId: number, substreamId: number) => void = () => {};
  syncs = 0;
  readonly #streamEntries = Array.from({ length: SLOTS }, () => new StreamEntry());
  readonly #contextEntries = Array.from({ length: SLOTS }, () => new ContextEntry());
  readonly #reader: BusReader;
  readonly #peekReader: PeekReader;
  readonly #words = new Int32Array(ENTRY_WORDS);
  readonly #check: boolean;
  // results of peeks
  readonly #peekedStream = new StreamEntry();
  readonly #peekedContext = new ContextEntry();

  constructor(reader: BusReader, peekReader: PeekReader, check: boolean) {
    this.#reader = reader;
    this.#peekReader = peekReader;
    this.#check = check;
  }

  /** The entry of a stream; null with `fault` filled in. With `peek` nothing is kept or read with side effects. */
  stream(table: StreamTable, streamId: number, peek: boolean, fault: Fault): StreamEntry | null {
    const slot = (streamId ^ (streamId >>> 8)) & (SLOTS - 1);
    const cache = this.streams;
    if (cache.first[slot] === streamId) {
      const entry = this.#streamEntries[slot] as StreamEntry;
      if (cache.decoded[slot] === 0) {
        entry.decode(streamId, cache.words, slot * ENTRY_WORDS, table.e2h);
        cache.decoded[slot] = 1;
      }
      if (this.#check && !peek) this.#doubt(cache, slot);
      return entry;
    }
    const at = this.#findStream(table, streamId, peek, fault);
    if (at === NOWHERE) return null;
    if (!this.#fetch(at, peek)) {
      fault.type = F_STE_FETCH;
      fault.address = this.#reader.last;
      return null;
    }
    if (peek) {
      this.#peekedStream.decode(streamId, this.#words, 0, table.e2h);
      return this.#peekedStream;
    }
    if (cache.first[slot] !== NOWHERE) this.onChange();
    cache.put(slot, streamId, NOWHERE, at, this.#words);
    const entry = this.#streamEntries[slot] as StreamEntry;
    entry.decode(streamId, this.#words, 0, table.e2h);
    cache.decoded[slot] = 1;
    return entry;
  }

  /**
   * The context descriptor of substream `index`; null with `fault` filled in. `translate` gives the physical address of an intermediate one, or
   * -1 with the fault filled in.
   */
  context(
    stream: StreamEntry,
    index: number,
    peek: boolean,
    fault: Fault,
    translate: (stream: StreamEntry, address: number, peek: boolean) => number,
  ): ContextEntry | null {
    const slot = (stream.streamId ^ (stream.streamId >>> 8) ^ Math.imul(index, 0x9d)) & (SLOTS - 1);
    const cache = this.contexts;
    if (cache.first[slot] === stream.streamId && cache.second[slot] === index) {
      const entry = this.#contextEntries[slot] as ContextEntry;
      if (cache.decoded[slot] === 0) {
        entry.decode(cache.words, slot * ENTRY_WORDS, stream.world);
        cache.decoded[slot] = 1;
      }
      if (this.#check && !peek) this.#doubt(cache, slot);
      return entry;
    }
    const at = this.#findContext(stream, index, peek, fault, translate);
    if (at === NOWHERE) return null;
    if (!this.#fetch(at, peek)) {
      fault.type = F_CD_FETCH;
      fault.address = this.#reader.last;
      return null;
    }
    if (peek) {
      this.#peekedContext.decode(this.#words, 0, stream.world);
      return this.#peekedContext;
    }
    if (cache.first[slot] !== NOWHERE) this.onChange();
    cache.put(slot, stream.streamId, index, at, this.#words);
    const entry = this.#contextEntries[slot] as ContextEntry;
    entry.decode(this.#words, 0, stream.world);
    cache.decoded[slot] = 1;
    return entry;
  }

  /** Drops entries of streams `first` to `last`, with their context descriptors. */
  dropStreams(first: number, last: number): void {
    for (const cache of [this.streams, this.contexts]) {
      for (let n = 0; n < SLOTS; n++) {
        const id = cache.first[n] as number;
        if (id >= first && id <= last) cache.first[n] = NOWHERE;
      }
    }
    this.onChange();
  }

  /** Drops a stream's context descriptors; one where `substreamId` is not negative. */
  dropContexts(streamId: number, substreamId: number): void {
    const { first, second } = this.contexts;
    for (let n = 0; n < SLOTS; n++) {
      if (first[n] === streamId && (substreamId < 0 || second[n] === substreamId)) first[n] = NOWHERE;
    }
    this.onChange();
  }

  dropAll(): void {
    this.streams.reset();
    this.contexts.reset();
    this.onChange();
  }

  /** Where a stream's entry lies. */
  #findStream(table: StreamTable, streamId: number, peek: boolean, fault: Fault): number {
    fault.type = C_BAD_STREAMID;
    const { base, bits, split } = table;
    if (streamId >= 2 ** Math.min(bits, STREAM_ID_BITS)) return NOWHERE;
    if (!table.twoLevels) return aligned(base, bits + 6) + streamId * 64;
    const descriptor = aligned(base, Math.max(bits - split, 3) + 3) + Math.floor(streamId / 2 ** split) * 8;
    const low = this.#read(descriptor, peek);
    if (this.#failed(peek)) {
      fault.type = F_STE_FETCH;
      fault.address = descriptor;
      return NOWHERE;
    }
    const span = low & 31;
    const within = streamId % 2 ** split;
    if (span === 0 || span > split + 1 || within >= 2 ** (span - 1)) return NOWHERE;
    const table2 = (this.#high(peek) & 0xf_ffff) * 4294967296 + ((low & ~63) >>> 0);
    return aligned(table2, span + 5) + within * 64;
  }

  #findContext(
    stream: StreamEntry,
    index: number,
    peek: boolean,
    fault: Fault,
    translate: (stream: StreamEntry, address: number, peek: boolean) => number,
  ): number {
    const place = (address: number) => (stream.stageTwo ? translate(stream, address, peek) : address);
    fault.class = CLASS_CD;
    const { contexts, contextBits, format } = stream;
    if (contextBits === 0 || format === CD_LINEAR) return place(aligned(contexts, contextBits + 6) + index * 64);
    const leafBits = format === CD_LEAF_4K ? 6 : 10;
    const entries = Math.max(contextBits - leafBits, 0);
    const descriptor = place(aligned(contexts, Math.max(entries + 3, 6)) + Math.floor(index / 2 ** leafBits) * 8);
    if (descriptor === NOWHERE) return NOWHERE;
    const low = this.#read(descriptor, peek);
    if (this.#failed(peek)) {
      fault.type = F_CD_FETCH;
      fault.address = descriptor;
      return NOWHERE;
    }
    if ((low & 1) === 0) {
      fault.type = C_BAD_SUBSTREAMID;
      return NOWHERE;
    }
    const leaf = (this.#high(peek) & 0xf_ffff) * 4294967296 + ((low & ~0xfff) >>> 0);
    return place(aligned(leaf, leafBits + 6) + (index % 2 ** leafBits) * 64);
  }

  #read(address: number, peek: boolean): number {
    return peek ? this.#peekReader.read(address) : this.#reader.read(address);
  }
  #failed(peek: boolean): boolean {
    return !peek && this.#reader.failed;
  }
  #high(peek: boolean): number {
    return peek ? this.#peekReader.high : this.#reader.high;
  }

  #fetch(at: number, peek: boolean): boolean {
    for (let n = 0; n < ENTRY_WORDS; n += 2) {
      this.#words[n] = this.#read(at + 4 * n, peek);
      if (this.#failed(peek)) return false;
      this.#words[n + 1] = this.#high(peek);
    }
    return true;
  }

  /** Compares a cached entry with memory. Between a change and the CMD_SYNC after its invalidation either may be used. */
  #doubt(cache: RawCache, slot: number): void {
    const since = cache.doubted[slot] as number;
    if (since === Number.POSITIVE_INFINITY) return;
    const at = cache.address[slot] as number;
    let same = true;
    for (let n = 0; n < ENTRY_WORDS && same; n += 2) {
      same = this.#peekReader.read(at + 4 * n) === cache.words[slot * ENTRY_WORDS + n];
      if (same) same = this.#peekReader.high === cache.words[slot * ENTRY_WORDS + n + 1];
    }
    if (same) cache.doubted[slot] = NOWHERE;
    else if (since === NOWHERE) cache.doubted[slot] = this.syncs;
    else if (this.syncs > since) {
      cache.doubted[slot] = Number.POSITIVE_INFINITY;
      this.onStale(cache.first[slot] as number, cache.second[slot] as number);
    }
  }
}

/** Tables are aligned to their size: lower bits of the base are taken as zero. */
function aligned(base: number, bits: number): number {
  return base - (base % 2 ** bits);
}
