/**
 * Which receive queue a frame goes to (VIRTIO 1.2, 5.1.6.5.5 to 5.1.6.5.6): the one of the queue pair on which the driver last sent for that flow (MQ), or by hash
 * and table (RSS). Hash types of IPv6 extension headers are not supported: such packets hash as those without.
 */
import type { Frame } from "../../net/link.ts";
import { type Packet, TCP, UDP } from "../../net/packet.ts";
import { toeplitz } from "../../net/toeplitz.ts";
import { assignState } from "../../sim/index.ts";

/** Bits of supported_hash_types: IPv4, TCPv4, UDPv4, IPv6, TCPv6, UDPv6 (5.1.6.4.3.1). */
export const HASH_TYPES = 0x3f;
export const KEY_BYTES = 40;
export const TABLE_ENTRIES = 128;
/** Flows that automatic steering tells apart. */
const FLOWS = 256;

export interface RssSettings {
  readonly types: number;
  /** Entries of the table less one. */
  readonly mask: number;
  readonly unclassified: number;
  readonly table: Uint16Array;
  readonly key: Uint8Array;
}

export class Steering {
  /** Saved state: the key is 40 bytes and a word beyond it; flows hold the pair of the last transmission plus one. */
  readonly #state: {
    pairs: number;
    rss: boolean;
    types: number;
    mask: number;
    unclassified: number;
    table: Uint16Array;
    key: Int32Array;
    flows: Uint8Array;
  };
  /** Of the last packet steered: its hash and, for hash_report, the hash's type; 0 for none. */
  hash = 0;
  report = 0;

  constructor(state: ReturnType<typeof Steering.initialState>) {
    this.#state = state;
  }

  static initialState() {
    const tables = { table: new Uint16Array(TABLE_ENTRIES), key: new Int32Array(11), flows: new Uint8Array(FLOWS) };
    return { pairs: 1, rss: false, types: 0, mask: 0, unclassified: 0, ...tables };
  }
  reset(): void {
    assignState(this.#state, Steering.initialState(), "reset");
  }

  /** Queue pairs in use. */
  get pairs(): number {
    return this.#state.pairs;
  }
  /** Frames need to be looked at. */
  get active(): boolean {
    return this.#state.pairs > 1 || this.#state.types !== 0;
  }

  /** Automatic steering among `pairs` queue pairs. */
  setPairs(pairs: number): void {
    this.#state.pairs = pairs;
    this.#state.rss = false;
    this.#state.flows.fill(0);
  }

  setRss(settings: RssSettings, pairs: number): void {
    this.setHash(settings.types, settings.key);
    Object.assign(this.#state, { pairs, rss: true, mask: settings.mask, unclassified: settings.unclassified });
    this.#state.table.fill(0);
    this.#state.table.set(settings.table);
  }

  setHash(types: number, key: Uint8Array): void {
    this.#state.types = types;
    const words = this.#state.key;
    words.fill(0);
    for (const [i, byte] of key.entries()) words[i >> 2] = (words[i >> 2] as number) | (byte << (8 * (i & 3)));
  }

  /** The receive queue of a frame, from 0; its hash is in `hash` and `report`. */
  queueOf(frame: Frame, packet: Packet): number {
    const s = this.#state;
    this.report = this.#reportOf(packet);
    const ports = this.report % 3 !== 1;
    this.hash = this.report === 0 ? 0 : toeplitz(frame, packet, ports, s.key, 0);
    if (s.rss) return this.report === 0 ? s.unclassified : (s.table[this.hash & s.mask] as number);
    if (s.pairs === 1) return 0;
    const flow = flowOf(frame, packet);
    const last = s.flows[flow] as number;
    return last > 0 && last <= s.pairs ? last - 1 : flow % s.pairs;
  }

  /** The driver sent a frame on transmit queue `pair`. */
  sent(frame: Frame, packet: Packet, pair: number): void {
    if (!this.#state.rss) this.#state.flows[flowOf(frame, packet)] = pair + 1;
  }

  /** The hash report's type (5.1.6.4.4): IPv4 1, TCPv4 2, UDPv4 3, IPv6 4, TCPv6 5, UDPv6 6; its bit in the types is one lower. */
  #reportOf(packet: Packet): number {
    if (packet.ip === 0) return 0;
    const base = packet.ip === 4 ? 1 : 4;
    const { types } = this.#state;
    const has = (report: number) => (types & (1 << (report - 1))) !== 0;
    if (!packet.fragment && packet.l4 === TCP && has(base + 1)) return base + 1;
    if (!packet.fragment && packet.l4 === UDP && has(base + 2)) return base + 2;
    return has(base) ? base : 0;
  }
}

/** The same number for both directions of a flow. */
function flowOf(frame: Frame, packet: Packet): number {
  if (packet.ip === 0) return 0;
  const from = packet.ip === 4 ? packet.l3At + 12 : packet.l3At + 8;
  const bytes = packet.ip === 4 ? 8 : 32;
  let sum = packet.protocol;
  for (let i = 0; i < bytes; i++) sum += (frame[from + i] as number) * (1 + 2 * (i & 3));
  if (!packet.fragment && (packet.l4 === TCP || packet.l4 === UDP)) sum += packet.sourcePort + packet.destinationPort;
  return (sum ^ (sum >>> 8)) & (FLOWS - 1);
}
