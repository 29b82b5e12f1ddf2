/**
 * Transmit offloads, 82576 datasheet 7.2: segmentation of TCP and UDP, checksums of IP, TCP, UDP and SCTP, VLAN insertion.
 * Software has put the sum of the pseudo header into the checksum field: with the length for single sends, without it for segmentation.
 */
import { get16, get32, put16, put32 } from "../../net/bytes.ts";
import type { Frame } from "../../net/index.ts";
import { put32le } from "./bytes.ts";
import { crc32c, sum } from "./checksum.ts";
import { SCTP, TCP, UDP } from "./packet.ts";

/** A context descriptor's fields (7.2). */
export interface Context {
  readonly ipLength: number;
  readonly macLength: number;
  readonly vlan: number;
  readonly ipv4: boolean;
  /** TCP, UDP or SCTP as protocol number, else 0. */
  readonly l4: number;
  readonly l4Length: number;
  readonly mss: number;
}

export function contextOf(words: Int32Array, at: number): Context {
  const w0 = words[at] as number;
  const w2 = words[at + 2] as number;
  const w3 = words[at + 3] as number;
  const type = (w2 >>> 11) & 3;
  return {
    ipLength: w0 & 0x1ff,
    macLength: (w0 >>> 9) & 0x7f,
    vlan: w0 >>> 16,
    ipv4: (w2 & (1 << 10)) !== 0,
    l4: type === 0 ? UDP : type === 1 ? TCP : type === 2 ? SCTP : 0,
    l4Length: (w3 >>> 8) & 0xff,
    mss: w3 >>> 16,
  };
}

/** The tag behind the addresses. */
export function insertTag(frame: Frame, etherType: number, tag: number): Frame {
  const longer = new Uint8Array(frame.length + 4);
  longer.set(frame.subarray(0, 12));
  put16(longer, 12, etherType);
  put16(longer, 14, tag);
  longer.set(frame.subarray(12), 16);
  return longer;
}

/** Where the checksum of a protocol stands within its header. */
function fieldOf(protocol: number): number {
  return protocol === TCP ? 16 : protocol === UDP ? 6 : 8;
}

/** Inserts what POPTS asks for. False where a header lies outside the frame; the frame is left as it was then. */
export function insertChecksums(frame: Frame, context: Context, ip: boolean, transport: boolean): boolean {
  const { macLength, ipLength, l4 } = context;
  const l4At = macLength + ipLength;
  if (ip && context.ipv4 && (ipLength < 20 || l4At > frame.length)) return false;
  if (transport && (l4 === 0 || l4At + fieldOf(l4) + (l4 === SCTP ? 4 : 2) > frame.length)) return false;
  if (ip && context.ipv4) ipChecksum(frame, macLength, l4At);
  if (!transport) return true;
  if (l4 === SCTP) {
    put32le(frame, l4At + 8, crc32c(frame, l4At, endOfPacket(frame, context)));
    return true;
  }
  const result = ~sum(frame, l4At, endOfPacket(frame, context)) & 0xffff;
  put16(frame, l4At + fieldOf(l4), l4 === UDP && result === 0 ? 0xffff : result);
  return true;
}

/** Padding behind the IP packet does not count. */
function endOfPacket(frame: Frame, context: Context): number {
  const { macLength, ipv4, ipLength } = context;
  if (ipLength < (ipv4 ? 20 : 40)) return frame.length;
  const length = ipv4 ? get16(frame, macLength + 2) : 40 + get16(frame, macLength + 4);
  const end = macLength + length;
  return end > macLength + ipLength && end <= frame.length ? end : frame.length;
}

function ipChecksum(frame: Frame, from: number, end: number): void {
  put16(frame, from + 10, 0);
  put16(frame, from + 10, ~sum(frame, from, end) & 0xffff);
}

/** Flags of TCP segments: DTXTCPFLGL and DTXTCPFLGH. */
export interface FlagMasks {
  readonly first: number;
  readonly middle: number;
  readonly last: number;
}

/** Cuts `data`, headers and payload of one large send, into frames. Null where the context does not fit it. */
export function segment(
  data: Uint8Array,
  context: Context,
  ip: boolean,
  transport: boolean,
  masks: FlagMasks,
): Frame[] | null {
  const { macLength, ipLength, l4, l4Length, mss, ipv4 } = context;
  const l4At = macLength + ipLength;
  const header = l4At + l4Length;
  const payload = data.length - header;
  const shortest = l4 === TCP ? 20 : 8;
  if (
    mss === 0 ||
    (l4 !== TCP && l4 !== UDP) ||
    l4Length < shortest ||
    ipLength < (ipv4 ? 20 : 40) ||
    payload <= 0 ||
    macLength < 14
  )
    return null;
  const sequence = l4 === TCP ? get32(data, l4At + 4) : 0;
  const identification = ipv4 ? get16(data, macLength + 4) : 0;
  const frames: Frame[] = [];
  for (let done = 0, n = 0; done < payload; n++) {
    const length = Math.min(mss, payload - done);
    const frame = new Uint8Array(header + length);
    frame.set(data.subarray(0, header));
    frame.set(data.subarray(header + done, header + done + length), header);
    const total = ipLength + l4Length + length;
    if (ipv4) {
      put16(frame, macLength + 2, total);
      put16(frame, macLength + 4, identification + n);
      if (ip) ipChecksum(frame, macLength, l4At);
    } else put16(frame, macLength + 4, total - 40);
    const last = done + length >= payload;
    if (l4 === TCP) {
      put32(frame, l4At + 4, sequence + done);
      const mask = last ? masks.last : n === 0 ? masks.first : masks.middle;
      frame[l4At + 12] = (frame[l4At + 12] as number) & (0xf0 | (mask >>> 8));
      frame[l4At + 13] = (frame[l4At + 13] as number) & mask;
    } else put16(frame, l4At + 4, l4Length + length);
    if (transport) {
      const result = ~sum(frame, l4At, frame.length, l4Length + length) & 0xffff;
      put16(frame, l4At + fieldOf(l4), l4 === UDP && result === 0 ? 0xffff : result);
    }
    frames.push(frame);
    done += length;
  }
  return frames;
}
