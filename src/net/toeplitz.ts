/** The Toeplitz hash of receive side scaling. */
import type { Frame } from "./link.ts";
import type { Packet } from "./packet.ts";

/**
 * The hash over source and destination address of an IP packet and, if `ports`, over both ports. The key's 40 bytes are ten words from `keyAt` of `key` on,
 * the first byte lowest.
 */
export function toeplitz(frame: Frame, packet: Packet, ports: boolean, key: Int32Array, keyAt: number): number {
  const from = packet.ip === 4 ? packet.l3At + 12 : packet.l3At + 8;
  const addresses = packet.ip === 4 ? 8 : 32;
  const total = addresses + (ports ? 4 : 0);
  const keyByte = (i: number) => ((key[keyAt + (i >>> 2)] as number) >>> ((i & 3) << 3)) & 0xff;
  let window = (keyByte(0) << 24) | (keyByte(1) << 16) | (keyByte(2) << 8) | keyByte(3);
  let result = 0;
  for (let i = 0; i < total; i++) {
    const data = frame[i < addresses ? from + i : packet.l4At + i - addresses] as number;
    const next = keyByte(i + 4);
    for (let b = 7; b >= 0; b--) {
      if (((data >>> b) & 1) !== 0) result ^= window;
      window = (window << 1) | ((next >>> b) & 1);
    }
  }
  return result >>> 0;
}
