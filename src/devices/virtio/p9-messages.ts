/** Reading and writing 9P2000.L messages: little-endian numbers and counted strings. Reads beyond the end give zero and mark the reader. */

export class Reader {
  /** Set when a message was shorter than its fields. */
  short = false;
  at = 0;
  readonly #data: Uint8Array;
  readonly #view: DataView;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
  #room(n: number): boolean {
    if (this.at + n <= this.#data.length) return true;
    this.short = true;
    return false;
  }
  u8(): number {
    if (!this.#room(1)) return 0;
    return this.#data[this.at++] as number;
  }
  u16(): number {
    if (!this.#room(2)) return 0;
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }
  u32(): number {
    if (!this.#room(4)) return 0;
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }
  u64(): number {
    const low = this.u32();
    return this.u32() * 4294967296 + low;
  }
  text(): string {
    const n = this.u16();
    if (!this.#room(n)) return "";
    this.at += n;
    return new TextDecoder().decode(this.#data.subarray(this.at - n, this.at));
  }
  bytes(n: number): Uint8Array {
    if (!this.#room(n)) return new Uint8Array(0);
    this.at += n;
    return this.#data.subarray(this.at - n, this.at);
  }
}

export class Writer {
  #data = new Uint8Array(256);
  #view = new DataView(this.#data.buffer);
  length = 0;

  #grow(n: number): void {
    if (this.length + n <= this.#data.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#data.length, this.length + n));
    larger.set(this.#data);
    this.#data = larger;
    this.#view = new DataView(larger.buffer);
  }
  u8(v: number): this {
    this.#grow(1);
    this.#data[this.length++] = v;
    return this;
  }
  u16(v: number): this {
    this.#grow(2);
    this.#view.setUint16(this.length, v, true);
    this.length += 2;
    return this;
  }
  u32(v: number): this {
    this.#grow(4);
    this.#view.setUint32(this.length, v, true);
    this.length += 4;
    return this;
  }
  u64(v: number): this {
    return this.u32(v % 4294967296).u32(Math.floor(v / 4294967296));
  }
  text(s: string): this {
    const bytes = new TextEncoder().encode(s);
    return this.u16(bytes.length).bytes(bytes);
  }
  bytes(b: Uint8Array): this {
    this.#grow(b.length);
    this.#data.set(b, this.length);
    this.length += b.length;
    return this;
  }
  /** Puts a word written earlier in its place. */
  patch32(at: number, v: number): void {
    this.#view.setUint32(at, v, true);
  }
  done(): Uint8Array {
    return this.#data.subarray(0, this.length);
  }
}
