/** RAM and ROM, sparse: a chunk of the arena is taken when it is first written; until then it reads as zero. */
import {
  Module,
  type Simulation,
  SnapshotError,
  type StateHash,
  type StatePart,
  type StateValue,
} from "../sim/index.ts";
import { type Arena, CHUNK_BYTES } from "./arena.ts";
import {
  type DirectRegion,
  RESPONSE_DECODE_ERROR,
  RESPONSE_TARGET_ERROR,
  SIZES_UP_TO_64,
  type Target,
  type Transaction,
} from "./transaction.ts";

const PAGE = 4096;
const CHUNK_PAGES = CHUNK_BYTES / PAGE;

export interface MemoryOptions {
  /** Bytes; a multiple of 4096. */
  readonly size: number;
  /** Guest writes are guest errors and change nothing; `load` and `poke` still work. */
  readonly readOnly?: boolean;
}

export class Memory extends Module implements Target, StatePart {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly size: number;
  readonly readOnly: boolean;
  readonly arena: Arena;
  /** Arena address of each chunk, 0 while untouched. */
  readonly #chunks: Float64Array;
  readonly #listeners: ((offset: number, length: number) => void)[] = [];

  constructor(parent: Module | Simulation, name: string, arena: Arena, options: MemoryOptions) {
    super(parent, name);
    if (!Number.isSafeInteger(options.size) || options.size <= 0 || options.size % PAGE !== 0) {
      throw new RangeError(`${this.fullName}: size ${options.size}: expected a positive multiple of ${PAGE} bytes`);
    }
    this.size = options.size;
    this.readOnly = options.readOnly ?? false;
    this.arena = arena;
    this.#chunks = new Float64Array(Math.ceil(options.size / CHUNK_BYTES));
    this.part("contents", this);
  }

  read(offset: number, size: number, tx: Transaction): number {
    if (!(offset >= 0 && offset + size <= this.size)) return this.#outside(offset, size, false, 0, tx);
    const at = this.#readAt(offset);
    if (size === 4) return this.arena.view.getUint32(at, true);
    if (size === 1) return this.arena.bytes[at] as number;
    if (size === 2) return this.arena.view.getUint16(at, true);
    tx.high = this.arena.view.getUint32(at + 4, true);
    return this.arena.view.getUint32(at, true);
  }

  write(offset: number, size: number, value: number, tx: Transaction): void {
    if (!(offset >= 0 && offset + size <= this.size)) {
      this.#outside(offset, size, true, value, tx);
      return;
    }
    if (this.readOnly) {
      this.guestError({ kind: "access", offset, size, write: true, value, detail: "write to read-only memory" });
      return;
    }
    if (!this.#store(offset, size, value, tx.high)) tx.response = RESPONSE_TARGET_ERROR;
  }

  peek(offset: number, size: number): number {
    if (!(offset >= 0 && offset + size <= this.size)) return 0;
    const at = this.#readAt(offset);
    if (size === 4) return this.arena.view.getUint32(at, true);
    return size === 1 ? (this.arena.bytes[at] as number) : this.arena.view.getUint16(at, true);
  }

  poke(offset: number, size: number, value: number): void {
    if (offset >= 0 && offset + size <= this.size) this.#store(offset, size, value, 0);
  }

  direct(offset: number, write: boolean): DirectRegion | null {
    if (!(offset >= 0 && offset < this.size) || (write && this.readOnly)) return null;
    const index = Math.floor(offset / CHUNK_BYTES);
    const start = index * CHUNK_BYTES;
    const end = Math.min(start + CHUNK_BYTES, this.size);
    const arenaAt = write ? this.#chunkForWrite(index) : (this.#chunks[index] as number);
    if (arenaAt < 0) return null;
    if (arenaAt === 0) return { start, end, arenaAt: this.arena.zeroChunkAt, writable: false };
    return { start, end, arenaAt, writable: !this.readOnly };
  }

  onInvalidate(listener: (offset: number, length: number) => void): void {
    this.#listeners.push(listener);
  }

  /** Copies `data` in at `offset`, read-only or not: for images. Throws RangeError when it does not fit. */
  fill(offset: number, data: Uint8Array): void {
    if (offset < 0 || offset + data.length > this.size) {
      throw new RangeError(
        `${this.fullName}: ${data.length} bytes at offset ${offset} do not fit into ${this.size} bytes`,
      );
    }
    for (let done = 0; done < data.length; ) {
      const index = Math.floor((offset + done) / CHUNK_BYTES);
      const within = offset + done - index * CHUNK_BYTES;
      const n = Math.min(CHUNK_BYTES - within, data.length - done);
      const chunk = this.#chunkForWrite(index);
      if (chunk < 0) throw new RangeError(`${this.fullName}: the machine's 4 GiB of host memory are used up`);
      this.arena.bytes.set(data.subarray(done, done + n), chunk + within);
      this.arena.written(chunk + within, n);
      done += n;
    }
  }

  /** A copy of `length` bytes from `offset`. Throws RangeError beyond the end. */
  slice(offset: number, length: number): Uint8Array {
    if (offset < 0 || offset + length > this.size) {
      throw new RangeError(
        `${this.fullName}: ${length} bytes at offset ${offset} are not all inside ${this.size} bytes`,
      );
    }
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const within = (offset + done) % CHUNK_BYTES;
      const n = Math.min(CHUNK_BYTES - within, length - done);
      const at = this.#readAt(offset + done);
      out.set(this.arena.bytes.subarray(at, at + n), done);
      done += n;
    }
    return out;
  }

  /** Pages that are not all zero: their numbers, and their contents one after the other. */
  save(): StateValue {
    const pages: number[] = [];
    this.#eachPage((page) => pages.push(page));
    const data = new Uint8Array(pages.length * PAGE);
    let done = 0;
    this.#eachPage((_page, at) => {
      data.set(this.arena.bytes.subarray(at, at + PAGE), done);
      done += PAGE;
    });
    return { pages: Uint32Array.from(pages), data };
  }

  load(value: StateValue, path: string): void {
    const { pages, data } = (value ?? {}) as { pages?: StateValue; data?: StateValue };
    if (!(pages instanceof Uint32Array) || !(data instanceof Uint8Array)) {
      throw new SnapshotError(`${path}: expected page numbers and their contents`);
    }
    if (data.length !== pages.length * PAGE) {
      throw new SnapshotError(`${path}: ${data.length} bytes for ${pages.length} pages`);
    }
    const outside = pages.find((page) => page * PAGE + PAGE > this.size);
    if (outside !== undefined) throw new SnapshotError(`${path}: page ${outside} is outside the memory`);
    this.clear();
    // Neighbours go together.
    for (let from = 0, to = 1; from < pages.length; from = to++) {
      const first = pages[from] as number;
      while (to < pages.length && pages[to] === first + (to - from)) to++;
      this.fill(first * PAGE, data.subarray(from * PAGE, to * PAGE));
    }
  }

  /** Hashes what is not zero, so that touched and untouched zero pages are the same. */
  hash(hash: StateHash): void {
    this.#eachPage((page, at) => {
      hash.word(page).words(this.arena.words.subarray(at >>> 2, (at + PAGE) >>> 2));
    });
  }

  /** Contents survive a reset, as in DRAM that stays powered; `clear` empties them. */
  override reset(): void {}

  /** Zeroes pages of 4 KiB: all of them, or those from `offset` on, read-only or not. */
  clear(offset = 0, length = this.size - offset): void {
    // Page by page: to clear what is zero would make the host give memory for it.
    this.#eachPage(
      (_page, at) => {
        this.arena.bytes.fill(0, at, at + PAGE);
        this.arena.written(at, PAGE);
      },
      offset,
      length,
    );
  }

  /** Visits the pages that are not all zero. */
  #eachPage(visit: (page: number, at: number) => void, offset = 0, length = this.size - offset): void {
    const words = this.arena.words;
    const beyond = Math.ceil((offset + length) / PAGE);
    for (let page = Math.floor(offset / PAGE); page < beyond; ) {
      const chunk = this.#chunks[Math.floor(page / CHUNK_PAGES)] as number;
      const last = Math.min(beyond, (Math.floor(page / CHUNK_PAGES) + 1) * CHUNK_PAGES);
      if (chunk === 0) page = last;
      for (; page < last; page++) {
        const at = chunk + (page % CHUNK_PAGES) * PAGE;
        const end = (at + PAGE) / 4;
        let i = at / 4;
        while (i < end && words[i] === 0) i++;
        if (i < end) visit(page, at);
      }
    }
  }

  #readAt(offset: number): number {
    const index = Math.floor(offset / CHUNK_BYTES);
    const chunk = this.#chunks[index] as number;
    return (chunk === 0 ? this.arena.zeroChunkAt : chunk) + (offset - index * CHUNK_BYTES);
  }

  #chunkForWrite(index: number): number {
    const chunk = this.#chunks[index] as number;
    if (chunk !== 0) return chunk;
    const fresh = this.arena.allocate(CHUNK_BYTES, CHUNK_BYTES);
    if (fresh < 0) {
      this.guestError({
        kind: "unimplemented",
        detail: "more than 4 GiB of RAM touched: the machine's host memory is used up",
      });
      return -1;
    }
    this.#chunks[index] = fresh;
    for (const listener of this.#listeners) listener(index * CHUNK_BYTES, CHUNK_BYTES);
    return fresh;
  }

  #store(offset: number, size: number, value: number, high: number): boolean {
    const index = Math.floor(offset / CHUNK_BYTES);
    const chunk = this.#chunkForWrite(index);
    if (chunk < 0) return false;
    const at = chunk + (offset - index * CHUNK_BYTES);
    const { view, bytes } = this.arena;
    if (size === 4) view.setUint32(at, value, true);
    else if (size === 1) bytes[at] = value;
    else if (size === 2) view.setUint16(at, value, true);
    else {
      view.setUint32(at, value, true);
      view.setUint32(at + 4, high, true);
    }
    this.arena.writtenWord(at, size);
    return true;
  }

  #outside(offset: number, size: number, write: boolean, value: number, tx: Transaction): number {
    this.guestError({
      kind: "decode",
      offset,
      size,
      write,
      ...(write ? { value } : {}),
      detail: "beyond the memory's end",
    });
    tx.response = RESPONSE_DECODE_ERROR;
    tx.high = 0;
    return 0;
  }
}
