/**
 * Addresses as four 32-bit words, signed, in network order. IPv4 has the form ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that one
 * comparison and one hash serve both families. Sums for the Internet checksum, and a keyed hash.
 */
import type { IpAddress } from "./api.ts";

export type Family = 4 | 6;
export type Words = Int32Array;

/** Last but one word of an IPv4 address. */
export const MAPPED = 0xffff;

/** Four bytes at `at` as a signed number. */
export function load(b: Uint8Array, at: number): number {
  return (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3];
}

export function store(b: Uint8Array, at: number, w: number): void {
  b[at] = w >>> 24;
  b[at + 1] = w >>> 16;
  b[at + 2] = w >>> 8;
  b[at + 3] = w;
}

/** Words of an address of 4 or 16 bytes; null for any other length. */
export function wordsOf(address: IpAddress): Words | null {
  if (address.length === 4) return Int32Array.of(0, 0, MAPPED, load(address, 0));
  if (address.length !== 16) return null;
  return Int32Array.of(load(address, 0), load(address, 4), load(address, 8), load(address, 12));
}

export function familyOf(address: IpAddress): Family {
  return address.length === 4 ? 4 : 6;
}

export function addressOf(family: Family, w0: number, w1: number, w2: number, w3: number): IpAddress {
  const address = new Uint8Array(family === 4 ? 4 : 16);
  if (family === 4) {
    store(address, 0, w3);
    return address;
  }
  store(address, 0, w0);
  store(address, 4, w1);
  store(address, 8, w2);
  store(address, 12, w3);
  return address;
}

export function isUnspecified(family: Family, w: Words): boolean {
  return w[3] === 0 && (family === 4 || (w[0] === 0 && w[1] === 0 && w[2] === 0));
}

/** Multicast, or 255.255.255.255. */
export function isGroup(family: Family, w0: number, w3: number): boolean {
  return family === 4 ? w3 >>> 28 === 0xe || w3 === -1 : w0 >>> 24 === 0xff;
}

/** Does `a` lie in the network `n` of `prefix` bits (counted within the family's own length)? */
export function inPrefix(
  family: Family,
  n: Words,
  prefix: number,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
): boolean {
  if (family === 4) return prefix === 0 || (n[3] ^ a3) >>> (32 - prefix) === 0;
  let left = prefix;
  for (let i = 0; i < 4 && left > 0; i++, left -= 32) {
    const difference = n[i] ^ (i === 0 ? a0 : i === 1 ? a1 : i === 2 ? a2 : a3);
    if (left >= 32 ? difference !== 0 : difference >>> (32 - left) !== 0) return false;
  }
  return true;
}

/**
 * Sum of 16-bit words of `length` bytes from `at`, not folded below 32 bits: for at most 64 KiB, to be fed to `fold`. An odd last
 * byte counts as the high half (RFC 1071 4.1).
 */
export function sum16(b: Uint8Array, at: number, length: number): number {
  let high = 0;
  let low = 0;
  let i = at;
  const eights = at + (length & ~7);
  for (; i < eights; i += 8) {
    high += b[i] + b[i + 2] + b[i + 4] + b[i + 6];
    low += b[i + 1] + b[i + 3] + b[i + 5] + b[i + 7];
  }
  const end = at + (length & ~1);
  for (; i < end; i += 2) {
    high += b[i];
    low += b[i + 1];
  }
  if ((length & 1) !== 0) high += b[i];
  return high * 256 + low;
}

/**
 * `sum16` for long runs: 32 bits at a time, through a view of the whole buffer that is kept while frames come from the same one. Where the
 * bytes do not lie so, `sum16`. Sums of swapped bytes are swapped sums (RFC 1071 2 B).
 */
export class Summer {
  readonly #littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  #buffer: ArrayBufferLike | null = null;
  #words: Uint32Array = new Uint32Array([]);

  sum(b: Uint8Array, at: number, length: number): number {
    const from = b.byteOffset + at;
    if ((from & 3) !== 0 || length < 64 || !this.#littleEndian) return sum16(b, at, length);
    const { buffer } = b;
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#words = new Uint32Array(buffer, 0, buffer.byteLength >> 2);
    }
    const words = this.#words;
    let low = 0;
    let high = 0;
    const end = (from + length) >> 2;
    let i = from >> 2;
    for (; i + 3 < end; i += 4) {
      const w0 = words[i];
      const w1 = words[i + 1];
      const w2 = words[i + 2];
      const w3 = words[i + 3];
      low += (w0 & 0xffff) + (w1 & 0xffff) + (w2 & 0xffff) + (w3 & 0xffff);
      high += (w0 >>> 16) + (w1 >>> 16) + (w2 >>> 16) + (w3 >>> 16);
    }
    for (; i < end; i++) {
      low += words[i] & 0xffff;
      high += words[i] >>> 16;
    }
    let sum = low + high;
    sum = (sum & 0xffff) + (sum >>> 16);
    sum = (sum & 0xffff) + (sum >>> 16);
    const rest = length & 3;
    return (((sum & 0xff) << 8) | (sum >> 8)) + (rest === 0 ? 0 : sum16(b, at + length - rest, rest));
  }
}

/** The complement of the folded sum, as it stands in a header. */
export function fold(sum: number): number {
  let s = sum >= 4294967296 ? (sum % 4294967296) + Math.floor(sum / 4294967296) : sum;
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~((s & 0xffff) + (s >>> 16)) & 0xffff;
}

/** Sum of the pseudo-header without length (RFC 9293 3.1, RFC 8200 8.1). */
export function pseudoSum(
  family: Family,
  a0: number,
  a1: number,
  a2: number,
  a3: number,
  b0: number,
  b1: number,
  b2: number,
  b3: number,
  protocol: number,
): number {
  const last = (a3 >>> 16) + (a3 & 0xffff) + (b3 >>> 16) + (b3 & 0xffff) + protocol;
  if (family === 4) return last;
  return (
    last +
    (a0 >>> 16) +
    (a0 & 0xffff) +
    (a1 >>> 16) +
    (a1 & 0xffff) +
    (a2 >>> 16) +
    (a2 & 0xffff) +
    (b0 >>> 16) +
    (b0 & 0xffff) +
    (b1 >>> 16) +
    (b1 & 0xffff) +
    (b2 >>> 16) +
    (b2 & 0xffff)
  );
}

/** HalfSipHash-2-4 (Aumasson and Bernstein) of 32-bit words under a 64-bit key, 32 bits of output. Its own object: no allocation a use. */
export class KeyedHash {
  /** Two words, a secret of the stack. */
  readonly key: Int32Array;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;
  #words = 0;

  constructor(key: Int32Array) {
    this.key = key;
  }
  start(): void {
    this.#v0 = this.key[0];
    this.#v1 = this.key[1];
    this.#v2 = 0x6c796765 ^ this.key[0];
    this.#v3 = 0x74656462 ^ this.key[1];
    this.#words = 0;
  }
  word(m: number): void {
    this.#words++;
    this.#v3 ^= m;
    this.#round();
    this.#round();
    this.#v0 ^= m;
  }
  finish(): number {
    this.word((this.#words * 4) << 24);
    this.#v2 ^= 0xff;
    for (let i = 0; i < 4; i++) this.#round();
    return this.#v1 ^ this.#v3;
  }
  #round(): void {
    let v0 = this.#v0;
    let v1 = this.#v1;
    let v2 = this.#v2;
    let v3 = this.#v3;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
