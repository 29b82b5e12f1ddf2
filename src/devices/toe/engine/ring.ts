/**
 * Byte rings for send and receive queues. A ring has memory only while it holds something; it grows by doubling and gives its memory
 * back to the pool of its stack when it is empty. What a ring has taken is charged against the stack's quota.
 */

const SMALLEST = 2048;
/** Spare arrays kept a size. They are a cache, not state. */
const SPARE = 8;
const NOTHING = new Uint8Array([]);

/** Who pays for buffers: one a stack. */
export class BufferPool {
  /** Bytes charged. */
  used = 0;
  limit = 0;
  readonly #spare: Uint8Array[][] = [];

  /** An array of `size` bytes, a power of two, with any content; null where the quota does not allow it. */
  take(size: number): Uint8Array | null {
    if (this.used + size > this.limit) return null;
    this.used += size;
    return this.#spare[31 - Math.clz32(size)]?.pop() ?? new Uint8Array(size);
  }
  give(array: Uint8Array): void {
    this.used -= array.length;
    const index = 31 - Math.clz32(array.length);
    this.#spare[index] ??= [];
    if (this.#spare[index].length < SPARE) this.#spare[index].push(array);
  }
  /** For what is kept outside rings: datagrams and fragments. */
  charge(bytes: number): boolean {
    if (this.used + bytes > this.limit) return false;
    this.used += bytes;
    return true;
  }
  release(bytes: number): void {
    this.used -= bytes;
  }
}

export class Ring {
  /** Bytes that follow each other from the start; there may be others behind, at offsets the owner knows. */
  used = 0;
  #bytes: Uint8Array = NOTHING;
  #start = 0;

  /** Writes `length` bytes of `from` at `offset` behind the start. False where there is no memory for them. */
  write(pool: BufferPool, offset: number, from: Uint8Array, at: number, length: number, extent: number): boolean {
    if (offset + length > this.#bytes.length && !this.#grow(pool, offset + length, extent)) return false;
    const size = this.#bytes.length;
    let to = this.#start + offset;
    if (to >= size) to -= size;
    const first = Math.min(length, size - to);
    if (first === length) {
      this.#bytes.set(at === 0 && length === from.length ? from : from.subarray(at, at + length), to);
    } else {
      this.#bytes.set(from.subarray(at, at + first), to);
      this.#bytes.set(from.subarray(at + first, at + length), 0);
    }
    return true;
  }

  /** Copies `length` bytes at `offset` behind the start into `into`. */
  read(offset: number, into: Uint8Array, at: number, length: number): void {
    const size = this.#bytes.length;
    let from = this.#start + offset;
    if (from >= size) from -= size;
    const first = Math.min(length, size - from);
    into.set(this.#bytes.subarray(from, from + first), at);
    if (first < length) into.set(this.#bytes.subarray(0, length - first), at + first);
  }

  /** Drops `length` bytes from the start. `keep`: something lies behind `used` still. */
  drop(pool: BufferPool, length: number, keep: boolean): void {
    this.used -= length;
    this.#start += length;
    if (this.#start >= this.#bytes.length) this.#start -= this.#bytes.length;
    if (this.used === 0 && !keep) this.free(pool);
  }

  free(pool: BufferPool): void {
    if (this.#bytes.length > 0) pool.give(this.#bytes);
    this.#bytes = NOTHING;
    this.#start = 0;
    this.used = 0;
  }

  get capacity(): number {
    return this.#bytes.length;
  }

  /** Everything up to `extent` bytes behind the start; `restore` takes it back. */
  save(extent: number): Uint8Array {
    const copy = new Uint8Array(extent);
    if (extent > 0) this.read(0, copy, 0, extent);
    return copy;
  }
  /** The pool's charge is taken as far as `capacity`, whatever the quota. */
  restore(pool: BufferPool, saved: Uint8Array, used: number, capacity: number): void {
    this.used = used;
    this.#start = 0;
    this.#bytes = capacity === 0 ? NOTHING : new Uint8Array(capacity);
    pool.used += capacity;
    this.#bytes.set(saved);
  }

  #grow(pool: BufferPool, needed: number, extent: number): boolean {
    let size = Math.max(SMALLEST, this.#bytes.length * 2);
    while (size < needed) size *= 2;
    const bytes = pool.take(size);
    if (bytes === null) return false;
    if (extent > 0) this.read(0, bytes, 0, extent);
    if (this.#bytes.length > 0) pool.give(this.#bytes);
    this.#bytes = bytes;
    this.#start = 0;
    return true;
  }
}
