/**
 * A 64-bit hash of simulation state, fed word by word: two lanes of 32 bits, each mixed as in MurmurHash3's 32-bit
 * variant with a seed of its own. It tells runs apart; it is no defence against an adversary.
 */
export class StateHash {
  #a = 0x9747b28c | 0;
  #b = 0x3c6ef372 | 0;
  #length = 0;
  readonly #scratch = new DataView(new ArrayBuffer(8));

  word(w: number): this {
    let k = Math.imul(w, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    let a = this.#a ^ k;
    a = (a << 13) | (a >>> 19);
    this.#a = (Math.imul(a, 5) + 0xe6546b64) | 0;
    k = Math.imul(w ^ 0x5bd1e995, 0x85ebca6b);
    k = Math.imul((k << 16) | (k >>> 16), 0xc2b2ae35);
    let b = this.#b ^ k;
    b = (b << 15) | (b >>> 17);
    this.#b = (Math.imul(b, 5) + 0x561ccd1b) | 0;
    this.#length = (this.#length + 1) | 0;
    return this;
  }

  number(n: number): this {
    if (Number.isInteger(n)) return this.word(n | 0).word(Math.floor(n / 4294967296) | 0);
    this.#scratch.setFloat64(0, n);
    return this.word(this.#scratch.getInt32(0)).word(this.#scratch.getInt32(4)).word(1);
  }

  text(s: string): this {
    for (let i = 0; i < s.length; i++) this.word(s.charCodeAt(i));
    return this.word(s.length);
  }

  words(data: Int32Array): this {
    return this.#words(data, 0, data.length);
  }

  /** Any alignment is fine; four-byte aligned data goes fastest. The result depends on the bytes alone. */
  bytes(data: Uint8Array): this {
    const whole = data.length & ~3;
    if ((data.byteOffset & 3) === 0 && LITTLE_ENDIAN) {
      this.#words(new Int32Array(data.buffer, data.byteOffset, whole >> 2), 0, whole >> 2);
    } else {
      for (let i = 0; i < whole; i += 4) {
        this.word(
          (data[i] as number) |
            ((data[i + 1] as number) << 8) |
            ((data[i + 2] as number) << 16) |
            ((data[i + 3] as number) << 24),
        );
      }
    }
    for (let i = whole; i < data.length; i++) this.word(data[i] as number);
    return this.word(data.length);
  }

  /**
   * A memory of pages of 4 KiB whose first page has the number `page`: pages of zeroes are passed over, so that memory
   * that was never touched hashes like memory that was cleared. `data` may be fed in pieces of whole pages.
   */
  pages(data: Int32Array, page = 0): this {
    for (let at = 0; at < data.length; at += PAGE_WORDS) {
      const end = Math.min(at + PAGE_WORDS, data.length);
      let i = at;
      while (i < end && data[i] === 0) i++;
      if (i === end) continue;
      this.number(page + at / PAGE_WORDS);
      this.#words(data, at, end);
    }
    return this;
  }

  /** As `word` for each, with the lanes in registers. */
  #words(data: Int32Array, from: number, to: number): this {
    let a = this.#a;
    let b = this.#b;
    for (let i = from; i < to; i++) {
      const w = data[i] as number;
      let k = Math.imul(w, 0xcc9e2d51);
      k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
      a ^= k;
      a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0;
      k = Math.imul(w ^ 0x5bd1e995, 0x85ebca6b);
      k = Math.imul((k << 16) | (k >>> 16), 0xc2b2ae35);
      b ^= k;
      b = (Math.imul((b << 15) | (b >>> 17), 5) + 0x561ccd1b) | 0;
    }
    this.#a = a;
    this.#b = b;
    this.#length = (this.#length + to - from) | 0;
    return this;
  }

  /** Sixteen hexadecimal digits. The hash may be fed further afterwards. */
  digest(): string {
    return finish(this.#a ^ this.#length) + finish(this.#b ^ this.#length);
  }
}

const PAGE_WORDS = 1024;
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function finish(h: number): string {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return (h >>> 0).toString(16).padStart(8, "0");
}
