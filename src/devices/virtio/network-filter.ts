/** Which received frames the driver wants (VIRTIO 1.2, 5.1.6.5.1 to 5.1.6.5.3): receive modes, MAC addresses, VLANs. */
import { get16 } from "../../net/bytes.ts";
import type { Frame } from "../../net/link.ts";
import { assignState } from "../../sim/index.ts";
import { VLAN } from "./network-transmit.ts";

/** Addresses of each kind that are filtered one by one; with more all of the kind pass, as on QEMU. */
export const ADDRESSES_MAX = 64;
const NO_MODES = { promiscuous: 0, allMulticast: 0, allUnicast: 0, noMulticast: 0, noUnicast: 0, noBroadcast: 0 };
/** By command of class VIRTIO_NET_CTRL_RX. */
const MODES = ["promiscuous", "allMulticast", "allUnicast", "noMulticast", "noUnicast", "noBroadcast"] as const;

type Modes = { [K in (typeof MODES)[number]]: number };

export class NetworkFilter {
  /** Saved state: addresses have six bytes each, all of a kind pass where there are more than ADDRESSES_MAX; VLANs a bit each. */
  readonly #state: {
    modes: Modes;
    counts: { unicast: number; multicast: number };
    unicast: Uint8Array;
    multicast: Uint8Array;
    vlans: Int32Array;
  };

  constructor(state: ReturnType<typeof NetworkFilter.initialState>) {
    this.#state = state;
  }

  /** Drivers that never ask for filtering get everything. */
  static initialState() {
    return {
      modes: { ...NO_MODES, promiscuous: 1 },
      counts: { unicast: 0, multicast: 0 },
      unicast: new Uint8Array(6 * ADDRESSES_MAX),
      multicast: new Uint8Array(6 * ADDRESSES_MAX),
      vlans: new Int32Array(128),
    };
  }
  reset(): void {
    assignState(this.#state, NetworkFilter.initialState(), "reset");
  }

  /** False where there is no such mode. */
  setMode(command: number, on: boolean): boolean {
    const mode = MODES[command];
    if (mode === undefined) return false;
    this.#state.modes[mode] = on ? 1 : 0;
    return true;
  }

  /** A table of `count` addresses, which are in `table` where they are at most ADDRESSES_MAX. */
  setAddresses(kind: "unicast" | "multicast", count: number, table: Uint8Array): void {
    this.#state.counts[kind] = Math.min(count, ADDRESSES_MAX + 1);
    this.#state[kind].fill(0);
    this.#state[kind].set(table);
  }

  setVlan(id: number, on: boolean): void {
    const { vlans } = this.#state;
    const word = vlans[id >> 5] as number;
    vlans[id >> 5] = on ? word | (1 << (id & 31)) : word & ~(1 << (id & 31));
  }

  /** `mac` is the device's own address; `byVlan`: frames of VLANs that were not added are not wanted. */
  wants(frame: Frame, mac: Uint8Array, byVlan: boolean): boolean {
    const { modes } = this.#state;
    if (modes.promiscuous !== 0) return true;
    if (byVlan && get16(frame, 12) === VLAN && !this.#hasVlan(get16(frame, 14) & 0xfff)) return false;
    if (((frame[0] as number) & 1) === 0) {
      if (modes.noUnicast !== 0) return false;
      return modes.allUnicast !== 0 || sameAddress(frame, mac, 0) || this.#lists("unicast", frame);
    }
    if (isBroadcast(frame)) return modes.noBroadcast === 0;
    if (modes.noMulticast !== 0) return false;
    return modes.allMulticast !== 0 || this.#lists("multicast", frame);
  }

  #hasVlan(id: number): boolean {
    return ((this.#state.vlans[id >> 5] as number) & (1 << (id & 31))) !== 0;
  }

  #lists(kind: "unicast" | "multicast", frame: Frame): boolean {
    const { counts, [kind]: table } = this.#state;
    const count = counts[kind];
    if (count > ADDRESSES_MAX) return true;
    for (let i = 0; i < count; i++) if (sameAddress(frame, table, 6 * i)) return true;
    return false;
  }
}

function sameAddress(frame: Frame, table: Uint8Array, at: number): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== table[at + i]) return false;
  return true;
}

function isBroadcast(frame: Frame): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return false;
  return true;
}
