/**
 * A 64-bit hash of simulation state, fed word by word: two lanes of 32 bits, each mixed as in MurmurHash3's 32-bit
 * variant with a seed of its own. It tells runs apart; it is no defence against an adversary.
 */
export class StateHash {
  #a = 0x9747b28c | 0;
  #b = 0x3c6ef372 | 0;
  #length = 0;

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
    scratch.setFloat64(0, n);
    return this.word(scratch.getInt32(0)).word(scratch.getInt32(4)).word(1);
  }

  text(s: string): this {
    for (let i = 0; i < s.length; i++) this.word(s.charCodeAt(i));
    return this.word(s.length);
  }

  words(data: Int32Array): this {
    for (let i = 0; i < data.length; i++) this.word(data[i] as number);
    return this;
  }

  bytes(data: Uint8Array): this {
    const whole = data.length & ~3;
    for (let i = 0; i < whole; i += 4) {
      this.word(
        (data[i] as number) |
          ((data[i + 1] as number) << 8) |
          ((data[i + 2] as number) << 16) |
          ((data[i + 3] as number) << 24),
      );
    }
    for (let i = whole; i < data.length; i++) this.word(data[i] as number);
    return this.word(data.length);
  }

  /** Sixteen hexadecimal digits. The hash may be fed further afterwards. */
  digest(): string {
    return finish(this.#a ^ this.#length) + finish(this.#b ^ this.#length);
  }
}

const scratch = new DataView(new ArrayBuffer(8));

function finish(h: number): string {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return (h >>> 0).toString(16).padStart(8, "0");
}
