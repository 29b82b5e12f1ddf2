/**
 * Transmit offloads, 82576 datasheet 7.2: segmentation of TCP and UDP, checksums of IP, TCP, UDP and SCTP, VLAN insertion.
 * Software has put the sum of the pseudo header into the checksum field: with the length for single sends, without it for segmentation.
 */
import { get16, put16 } from "../../net/bytes.ts";
import { crc32c, sum } from "../../net/checksum.ts";
import type { Frame } from "../../net/index.ts";
import { SCTP, TCP, UDP } from "../../net/packet.ts";
import { checksumField, ipChecksum, type SendHeaders } from "../../net/segmentation.ts";
import { put32le } from "./bytes.ts";

/** A context descriptor's fields (7.2). */
export interface Context extends SendHeaders {
  readonly vlan: number;
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

/** Inserts what POPTS asks for. False where a header lies outside the frame; the frame is left as it was then. */
export function insertChecksums(frame: Frame, context: Context, ip: boolean, transport: boolean): boolean {
  const { macLength, ipLength, l4 } = context;
  const l4At = macLength + ipLength;
  if (ip && context.ipv4 && (ipLength < 20 || l4At > frame.length)) return false;
  if (transport && (l4 === 0 || l4At + checksumField(l4) + (l4 === SCTP ? 4 : 2) > frame.length)) return false;
  if (ip && context.ipv4) ipChecksum(frame, macLength, l4At);
  if (!transport) return true;
  if (l4 === SCTP) {
    put32le(frame, l4At + 8, crc32c(frame, l4At, endOfPacket(frame, context)));
    return true;
  }
  const result = ~sum(frame, l4At, endOfPacket(frame, context)) & 0xffff;
  put16(frame, l4At + checksumField(l4), l4 === UDP && result === 0 ? 0xffff : result);
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
