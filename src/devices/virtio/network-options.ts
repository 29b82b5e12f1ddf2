/** What the virtio network card is made from: features by option, sizes of its queues. */
import type { Time } from "../../sim/index.ts";
import type { VirtioOptions } from "./device.ts";
import * as F from "./network-features.ts";

const QUEUE_SIZE = 256;
const CONTROL_QUEUE_SIZE = 64;
export const PAIRS_MAX = 8;

/** Features that an option of the same meaning withholds, by option; on unless given. */
const SWITCHES = {
  checksum: F.F_CSUM,
  guestChecksum: F.F_GUEST_CSUM,
  hostTso4: F.F_HOST_TSO4,
  hostTso6: F.F_HOST_TSO6,
  hostEcn: F.F_HOST_ECN,
  hostUso: F.F_HOST_USO,
  guestTso4: F.F_GUEST_TSO4,
  guestTso6: F.F_GUEST_TSO6,
  guestEcn: F.F_GUEST_ECN,
  mergeable: F.F_MRG_RXBUF,
  linkStatus: F.F_STATUS,
  control: F.F_CTRL_VQ,
  controlReceive: F.F_CTRL_RX,
  controlReceiveExtra: F.F_CTRL_RX_EXTRA,
  controlVlan: F.F_CTRL_VLAN,
  controlAddress: F.F_CTRL_MAC_ADDR,
  controlOffloads: F.F_CTRL_GUEST_OFFLOADS,
} as const;
export type NetworkSwitch = keyof typeof SWITCHES;

export interface VirtioNetworkOptions extends VirtioOptions, Partial<Record<NetworkSwitch, boolean>> {
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Queue pairs, 1 to 8; with more than one MQ is offered. 1 unless given. */
  readonly pairs?: number;
  /** Offer RSS, HASH_REPORT; false unless given. */
  readonly rss?: boolean;
  readonly hashReport?: boolean;
  /** Entries of a receive and of a transmit queue: 256, 512 or 1024; 256 unless given. */
  readonly receiveQueueSize?: number;
  readonly transmitQueueSize?: number;
  /** Longest packet behind the Ethernet header; not offered unless given. */
  readonly mtu?: number;
  /** Mb/s and duplex that the driver is told; not offered unless one is given, then unknown unless given. */
  readonly speed?: number;
  readonly duplex?: "half" | "full";
  /** How long a TCP segment is held for those that follow it; 0: for those of the same instant. 50 us unless given. */
  readonly coalescingTime?: Time;
}

/** Of receive and transmit queues in turn, and the control queue behind them (5.1.2). Throws RangeError for a number of pairs that there cannot be. */
export function queueSizes(options: VirtioNetworkOptions): number[] {
  const pairs = options.pairs ?? 1;
  if (!Number.isInteger(pairs) || pairs < 1 || pairs > PAIRS_MAX) {
    throw new RangeError(`virtio-net: ${pairs} queue pairs: expected 1 to ${PAIRS_MAX}`);
  }
  const { receiveQueueSize = QUEUE_SIZE, transmitQueueSize = QUEUE_SIZE } = options;
  const sizes = Array.from({ length: 2 * pairs }, (_, i) => (i % 2 === 0 ? receiveQueueSize : transmitQueueSize));
  return options.control === false ? sizes : [...sizes, CONTROL_QUEUE_SIZE];
}

/** What is offered: all that is not withheld and does not need what is (5.1.3.1). */
export function featuresOf(options: VirtioNetworkOptions): { low: number; high: number } {
  const offered = new Set<number>([F.F_MAC]);
  for (const [name, feature] of Object.entries(SWITCHES)) {
    if (options[name as NetworkSwitch] !== false) offered.add(feature);
  }
  if ((options.pairs ?? 1) > 1) offered.add(F.F_MQ);
  if (options.rss === true) offered.add(F.F_RSS);
  if (options.hashReport === true) offered.add(F.F_HASH_REPORT);
  if (options.mtu !== undefined) offered.add(F.F_MTU);
  if (options.speed !== undefined || options.duplex !== undefined) offered.add(F.F_SPEED_DUPLEX);
  F.withdrawUnmet(offered);
  let low = 0;
  let high = 0;
  for (const feature of offered) {
    if (feature < 32) low |= 1 << feature;
    else high |= 1 << (feature - 32);
  }
  return { low, high };
}
