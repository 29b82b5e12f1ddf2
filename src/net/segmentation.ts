/** Cutting large sends of TCP and UDP into frames, as network cards do. */
import { get16, get32, put16, put32 } from "./bytes.ts";
import { sum } from "./checksum.ts";
import type { Frame } from "./link.ts";
import { TCP, UDP } from "./packet.ts";

/** Where the headers of a send lie, and how much payload a frame takes. Lengths in bytes. */
export interface SendHeaders {
  readonly macLength: number;
  readonly ipLength: number;
  readonly ipv4: boolean;
  /** TCP, UDP or SCTP as protocol number, else 0. */
  readonly l4: number;
  readonly l4Length: number;
  readonly mss: number;
}

/** Where the checksum of a protocol stands within its header. */
export function checksumField(protocol: number): number {
  return protocol === TCP ? 16 : protocol === UDP ? 6 : 8;
}

/** Puts the checksum into the IPv4 header that lies from `from` to `end`. */
export function ipChecksum(frame: Frame, from: number, end: number): void {
  put16(frame, from + 10, 0);
  put16(frame, from + 10, ~sum(frame, from, end) & 0xffff);
}

/** Which flags of the TCP header stay in the first frame, in those between, and in the last: the 12 bits from the data offset's byte on. */
export interface FlagMasks {
  readonly first: number;
  readonly middle: number;
  readonly last: number;
}

/**
 * Cuts `data`, headers and payload of one large send, into frames; `ip` and `transport` say which checksums are inserted. The transport's checksum field
 * holds the sum of the pseudo header without the length. Null where the headers do not fit. The frames have memory of their own.
 */
export function segment(
  data: Uint8Array,
  layout: SendHeaders,
  ip: boolean,
  transport: boolean,
  masks: FlagMasks,
): Frame[] | null {
  const { macLength, ipLength, l4, l4Length, mss, ipv4 } = layout;
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
  const headers = data.subarray(0, header);
  for (let done = 0, n = 0; done < payload; n++) {
    const length = Math.min(mss, payload - done);
    const frame = new Uint8Array(header + length);
    frame.set(headers);
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
      put16(frame, l4At + checksumField(l4), l4 === UDP && result === 0 ? 0xffff : result);
    }
    frames.push(frame);
    done += length;
  }
  return frames;
}
