/**
 * The virtio network header (VIRTIO 1.2, 5.1.6) and what the device does for transmitted packets: checksums, segmentation (5.1.6.2). Header lengths are
 * found in the packet itself: hdr_len is a hint on which the device must not rely.
 */
import { put16 } from "../../net/bytes.ts";
import { pseudoHeader, sum } from "../../net/checksum.ts";
import type { Frame } from "../../net/link.ts";
import { Packet, TCP, UDP } from "../../net/packet.ts";
import { checksumField, segment } from "../../net/segmentation.ts";
import { F_CSUM, F_HOST_ECN, F_HOST_TSO4, F_HOST_TSO6, F_HOST_USO } from "./network-features.ts";

/** Longest header: with a hash. */
export const HEADER_LONGEST = 20;
/** Longest frame either way: a header of 14 bytes, a VLAN tag, an IP packet of 65535. */
export const FRAME_LONGEST = 65_553;
export const VLAN = 0x8100;

export const NEEDS_CSUM = 1;
export const DATA_VALID = 2;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80;

/** Segments of one packet: 32 bytes in each, as no TCP has them; more would only be a lever against the device. */
const SEGMENTS_MAX = 2048;

const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;
const ALL = 0xfff;
/** FIN and PSH belong to the last segment, CWR to the first (RFC 3168 6.1.2). */
const MASKS = { first: ALL & ~(FIN | PSH), middle: ALL & ~(FIN | PSH | CWR), last: ALL & ~CWR } as const;
const UNCHANGED = { first: ALL, middle: ALL, last: ALL } as const;

/** `ip` 0: either version. */
const GSO_KINDS: { readonly [type: number]: { ip: number; l4: number; feature: number } } = {
  [GSO_TCPV4]: { ip: 4, l4: TCP, feature: F_HOST_TSO4 },
  [GSO_TCPV6]: { ip: 6, l4: TCP, feature: F_HOST_TSO6 },
  [GSO_UDP_L4]: { ip: 0, l4: UDP, feature: F_HOST_USO },
};

function le16(b: Uint8Array, at: number): number {
  return (b[at] as number) | ((b[at + 1] as number) << 8);
}

/**
 * The frames that a packet and its header ask for; `frame` may be changed. A text where they do not fit each other or what was negotiated: nothing is
 * sent then. `accepted` tells of features by number.
 */
export function outgoing(
  header: Uint8Array,
  frame: Frame,
  accepted: (feature: number) => boolean,
): readonly Frame[] | string {
  const needsChecksum = ((header[0] as number) & NEEDS_CSUM) !== 0;
  const type = header[1] as number;
  if (!needsChecksum) return type === GSO_NONE ? [frame] : "segmentation without NEEDS_CSUM";
  if (!accepted(F_CSUM)) return "NEEDS_CSUM without CSUM";
  const start = le16(header, 6);
  const offset = le16(header, 8);
  if (start + offset + 2 > frame.length) return "checksum beyond the end of the packet";
  if (type !== GSO_NONE) return segments(frame, type, le16(header, 4), start, offset, accepted);
  // All ones for zero, which in UDP is "no checksum" and to the others the same.
  put16(frame, start + offset, ~sum(frame, start, frame.length) & 0xffff || 0xffff);
  return [frame];
}

function segments(
  frame: Frame,
  type: number,
  size: number,
  start: number,
  offset: number,
  accepted: (feature: number) => boolean,
): readonly Frame[] | string {
  const packet = new Packet().parse(frame, VLAN, -1);
  const plain = type & ~GSO_ECN;
  const kind = GSO_KINDS[plain];
  if (kind === undefined || !accepted(kind.feature)) return "a kind of segmentation that was not negotiated";
  if (plain !== type && (kind.l4 !== TCP || !accepted(F_HOST_ECN))) return "GSO_ECN without HOST_ECN or TCP";
  if (packet.ip === 0 || (kind.ip !== 0 && packet.ip !== kind.ip) || packet.l4 !== kind.l4 || packet.fragment) {
    return "segmentation of a packet of another kind";
  }
  if (start !== packet.l4At || offset !== checksumField(kind.l4))
    return "checksum elsewhere than in the packet's header";
  const payload = packet.end - packet.payloadAt;
  if (size === 0 || payload === 0 || payload > size * SEGMENTS_MAX) return "gso_size that does not fit the packet";
  // Software has put in the sum with the length of the whole; segments have their own.
  put16(frame, start + offset, pseudoHeader(frame, packet.ip, packet.l3At, kind.l4, 0));
  const headers = {
    macLength: packet.l3At,
    ipLength: packet.l4At - packet.l3At,
    ipv4: packet.ip === 4,
    l4: kind.l4,
    l4Length: packet.payloadAt - packet.l4At,
    mss: size,
  };
  const masks = payload > size ? MASKS : UNCHANGED;
  return (
    segment(frame.subarray(0, packet.end), headers, true, true, masks) ?? "segmentation of a packet of another kind"
  );
}

/** The checksums of a received packet are right: those of IPv4, and of TCP or UDP, which must be there. */
export function checksumsGood(frame: Frame, packet: Packet): boolean {
  const { ip, l4, l4At, l3At, end } = packet;
  if ((l4 !== TCP && l4 !== UDP) || packet.fragment) return false;
  if (l4 === UDP && frame[l4At + 6] === 0 && frame[l4At + 7] === 0) return false;
  if (ip === 4 && sum(frame, l3At, l3At + 4 * ((frame[l3At] as number) & 15)) !== 0xffff) return false;
  return sum(frame, l4At, end, pseudoHeader(frame, ip, l3At, l4, end - l4At)) === 0xffff;
}
