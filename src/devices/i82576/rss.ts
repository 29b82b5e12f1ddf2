/** Receive side scaling, 82576 datasheet 7.1: the Toeplitz hash and what packets it is taken over. */
import type { Frame } from "../../net/index.ts";
import { type Packet, TCP, UDP } from "../../net/packet.ts";
import { toeplitz } from "../../net/toeplitz.ts";

/** RSS type of the descriptor by bit of MRQC.RSS_FIELD (bit 16 of the register first). */
const IPV4_TCP = 1;
const IPV4 = 2;
const IPV6_TCP = 3;
const IPV6_EX = 4;
const IPV6 = 5;
const IPV6_TCP_EX = 6;
const IPV4_UDP = 7;
const IPV6_UDP = 8;
const IPV6_UDP_EX = 9;

/** The type of hash that a packet gets with MRQC as given, 0 for none. Fragments and unknown protocols hash addresses only. */
export function hashType(packet: Packet, mrqc: number): number {
  const on = (bit: number) => (mrqc & (1 << bit)) !== 0;
  const whole = packet.l4 !== 0 && !packet.fragment;
  if (packet.ip === 4) {
    if (whole && packet.l4 === TCP && on(16)) return IPV4_TCP;
    if (whole && packet.l4 === UDP && on(22)) return IPV4_UDP;
    return on(17) ? IPV4 : 0;
  }
  if (packet.ip !== 6) return 0;
  if (whole && packet.l4 === TCP && on(21)) return IPV6_TCP;
  if (whole && packet.l4 === TCP && on(18)) return IPV6_TCP_EX;
  if (whole && packet.l4 === UDP && on(23)) return IPV6_UDP;
  if (whole && packet.l4 === UDP && on(24)) return IPV6_UDP_EX;
  if (on(20)) return IPV6;
  return on(19) ? IPV6_EX : 0;
}

/** The hash of type `type` over addresses and, for TCP and UDP types, ports. `key` is RSSRK's ten words from `keyAt` on. */
export function hash(frame: Frame, packet: Packet, type: number, key: Int32Array, keyAt: number): number {
  return toeplitz(frame, packet, type !== IPV4 && type !== IPV6 && type !== IPV6_EX, key, keyAt);
}
