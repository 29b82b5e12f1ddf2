/** Sums over frames: the Internet checksum (RFC 1071), CRC-32 of Ethernet, CRC-32C of SCTP (RFC 4960 appendix B). */
import { get16 } from "./bytes.ts";
import type { Frame } from "./link.ts";

/** Bytes from which on a view pays. */
const LONG = 64;
/** Bytes whose words' halves can be added in 31 bits. */
const ROUND = 0x1_0000;

/** Sum of 16-bit words of `from` to `end`, folded to 16 bits. */
export function sum(b: Uint8Array, from: number, end: number, start = 0): number {
  let s = start;
  let i = from;
  const last = Math.min(end, b.length);
  if (last - i >= LONG) {
    // Two words at a time, their halves apart, as integers.
    const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
    while (last - i >= 4) {
      let high = 0;
      let low = 0;
      for (const stop = Math.min(last - 3, i + ROUND); i < stop; i += 4) {
        const two = view.getInt32(i);
        high = (high + (two >>> 16)) | 0;
        low = (low + (two & 0xffff)) | 0;
      }
      s += high + low;
    }
  }
  for (; i + 1 < end; i += 2) s += ((b[i] as number) << 8) | (b[i + 1] as number);
  if (i < end) s += (b[i] as number) << 8;
  return fold(s);
}

export function fold(s: number): number {
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return s;
}

/** Sum of the pseudo header of an IP packet: addresses, protocol and length of what follows. */
export function pseudoHeader(frame: Frame, ip: number, l3At: number, protocol: number, length: number): number {
  const addresses = ip === 4 ? l3At + 12 : l3At + 8;
  const end = addresses + (ip === 4 ? 8 : 32);
  let s = protocol + length;
  for (let i = addresses; i < end; i += 2) s += get16(frame, i);
  return fold(s);
}

/** Reflected CRC with polynomial `polynomial`, by nibbles from a table of 16. */
function crc(table: readonly number[], b: Uint8Array, from: number, end: number, skip: number): number {
  let c = -1;
  for (let i = from; i < end; i++) {
    // The checksum field itself counts as zero.
    const byte = i >= skip && i < skip + 4 ? 0 : (b[i] as number);
    c ^= byte;
    c = (c >>> 4) ^ (table[c & 15] as number);
    c = (c >>> 4) ^ (table[c & 15] as number);
  }
  return ~c >>> 0;
}

function nibbles(polynomial: number): readonly number[] {
  return Array.from({ length: 16 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 4; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ polynomial : c >>> 1;
    return c;
  });
}

const ETHERNET = nibbles(0xedb8_8320);
const CASTAGNOLI = nibbles(0x82f6_3b78);

export function crc32(b: Uint8Array): number {
  return crc(ETHERNET, b, 0, b.length, b.length);
}

/** Of an SCTP packet from `from` to `end`, whose checksum lies at `from` + 8. */
export function crc32c(b: Uint8Array, from: number, end: number): number {
  return crc(CASTAGNOLI, b, from, end, from + 8);
}
