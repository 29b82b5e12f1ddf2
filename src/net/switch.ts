/**
 * A learning switch: the MAC relay of IEEE 802.1D-2004 clause 7 and, with `vlans`, of a VLAN bridge (IEEE 802.1Q-2011 clauses 6.9 and 8.6) with an
 * address table for each VLAN. It stands among links: each port is a station at the end of one.
 *
 * Not modelled: spanning tree (loops of links are the user's to avoid), GARP and MRP registration, priorities (a port sends in order; rate and
 * queue are its link's). A frame is forwarded at the instant at which it has arrived.
 */
import {
  Cells,
  Module,
  SEC,
  type Simulation,
  SnapshotError,
  type StatePart,
  type StateValue,
  type Time,
} from "../sim/index.ts";
import { get16, get32, put16 } from "./bytes.ts";
import type { Frame } from "./link.ts";
import type { NetworkDevice } from "./user-link.ts";

export interface SwitchOptions {
  /** After this time without a frame an address is forgotten; 300 s unless given (802.1D table 7-5). */
  readonly aging?: Time;
  /** Addresses that the table holds; 8192 unless given. While it is full of addresses that are in use, no more are learned. */
  readonly addresses?: number;
  /** Look at VLAN tags; else frames pass with whatever tags they have. */
  readonly vlans?: boolean;
}

export interface SwitchPortOptions {
  /** VLAN of frames that come without a tag, and of those with VLAN 0; 1 unless given. */
  readonly pvid?: number;
  /** VLANs whose frames leave with their tag. */
  readonly tagged?: readonly number[];
  /** VLANs whose frames leave without one; the PVID unless given. */
  readonly untagged?: readonly number[];
}

export interface PortCounts {
  received: number;
  transmitted: number;
  /** Received frames that stay on their own side: the destination is behind the same port, or reserved for the switch. */
  filtered: number;
  /** Received frames for a destination that is not known, or for a group. */
  flooded: number;
  /** Received frames of a VLAN that the port is no member of, or with a reserved tag. */
  refused: number;
}

const DOT1Q = 0x8100;
const AGING: Time = 300 * SEC;
const ADDRESSES = 8192;

interface Entry {
  port: number;
  seen: Time;
}

/** The filtering database: for each VLAN, where an address was last seen. The order is that of last learning. */
class AddressTable implements StatePart {
  readonly #vlans = new Map<number, Map<number, Entry>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(vlan: number, address: number): Entry | undefined {
    return this.#vlans.get(vlan)?.get(address);
  }

  learn(vlan: number, address: number, port: number, now: Time): void {
    let table = this.#vlans.get(vlan);
    if (table === undefined) {
      table = new Map();
      this.#vlans.set(vlan, table);
    }
    const known = table.get(address);
    if (known === undefined) {
      table.set(address, { port, seen: now });
      this.#size++;
    } else {
      known.port = port;
      known.seen = now;
    }
  }

  /** Forgets what was last seen before `time`. */
  prune(time: Time): void {
    for (const table of this.#vlans.values()) {
      for (const [address, { seen }] of table) {
        if (seen >= time) continue;
        table.delete(address);
        this.#size--;
      }
    }
  }

  /** [VLAN, address, port, last seen] of each. */
  list(): (readonly [vlan: number, address: number, port: number, seen: Time])[] {
    return [...this.#vlans].flatMap(([vlan, table]) =>
      [...table].map(([address, { port, seen }]) => [vlan, address, port, seen] as const),
    );
  }

  save(): StateValue {
    return this.list();
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of addresses`);
    this.reset();
    for (const row of value as StateValue[]) {
      const numbers = Array.isArray(row) ? row : [];
      const [vlan, address, port, seen] = numbers as StateValue[];
      if (
        typeof vlan !== "number" ||
        typeof address !== "number" ||
        typeof port !== "number" ||
        typeof seen !== "number"
      ) {
        throw new SnapshotError(`${path}: expected VLAN, address, port and time`);
      }
      this.learn(vlan, address, port, seen);
    }
  }
  reset(): void {
    this.#vlans.clear();
    this.#size = 0;
  }
}

export class SwitchPort implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly number: number;
  readonly counts: PortCounts;
  readonly pvid: number;
  readonly #tagged: ReadonlySet<number>;
  readonly #untagged: ReadonlySet<number>;
  readonly #relay: (port: SwitchPort, frame: Frame) => void;

  constructor(
    number: number,
    counts: PortCounts,
    options: SwitchPortOptions,
    relay: (port: SwitchPort, frame: Frame) => void,
  ) {
    this.number = number;
    this.counts = counts;
    this.pvid = options.pvid ?? 1;
    this.#tagged = new Set(options.tagged ?? []);
    this.#untagged = new Set(options.untagged ?? [this.pvid]);
    for (const vlan of [this.pvid, ...this.#tagged, ...this.#untagged]) {
      if (!Number.isInteger(vlan) || vlan < 1 || vlan > 4094) {
        throw new RangeError(`port ${number}: VLAN ${vlan}: expected 1 to 4094`);
      }
    }
    this.#relay = relay;
  }

  receive(frame: Frame): void {
    this.counts.received++;
    this.#relay(this, frame);
  }
  send(frame: Frame): void {
    this.counts.transmitted++;
    this.onTransmit?.(frame);
  }
  isMember(vlan: number): boolean {
    return this.#tagged.has(vlan) || this.#untagged.has(vlan);
  }
  sendsUntagged(vlan: number): boolean {
    return this.#untagged.has(vlan);
  }
}

export class Switch extends Module {
  readonly ports: SwitchPort[] = [];
  readonly #table: AddressTable;
  readonly #cells = this.state({ nextPrune: 0 });
  readonly #aging: Time;
  readonly #limit: number;
  readonly #vlans: boolean;

  constructor(parent: Module | Simulation, name: string, options: SwitchOptions = {}) {
    super(parent, name);
    this.#table = this.part("addresses", new AddressTable());
    this.#aging = options.aging ?? AGING;
    this.#limit = options.addresses ?? ADDRESSES;
    this.#vlans = options.vlans ?? false;
  }

  /** A new port; to be called while the machine is built. Throws RangeError for impossible VLANs. */
  addPort(options: SwitchPortOptions = {}): SwitchPort {
    const number = this.ports.length;
    const initial: PortCounts = { received: 0, transmitted: 0, filtered: 0, flooded: 0, refused: 0 };
    const { cells } = this.part(`port${number}`, new Cells({ ...initial }));
    const port = new SwitchPort(number, cells, options, (from, frame) => this.#relay(from, frame));
    this.ports.push(port);
    return port;
  }

  /** The number of the port behind which an address (48 bits as a number) is known; null where it is not, or no longer. */
  lookUp(address: number, vlan = 0): number | null {
    const entry = this.#table.find(vlan, address);
    return entry === undefined || this.simulation.now - entry.seen > this.#aging ? null : entry.port;
  }
  /** Addresses in the table, those that are too old included. */
  get addresses(): number {
    return this.#table.size;
  }

  #relay(from: SwitchPort, frame: Frame): void {
    const { counts } = from;
    // 802.1D 7.12.6: 01-80-C2-00-00-00 to -0F are for the bridge itself.
    if (frame.length < 14 || (get32(frame, 0) === 0x0180c200 && frame[4] === 0 && (frame[5] as number) < 16)) {
      counts.filtered++;
      return;
    }
    let vlan = 0;
    if (this.#vlans) {
      vlan = ingressVlan(from, frame);
      if (vlan === 0xfff || !from.isMember(vlan)) {
        counts.refused++;
        return;
      }
    }
    this.#learn(from, frame, vlan);
    if (((frame[0] as number) & 1) === 0) {
      const known = this.lookUp(addressAt(frame, 0), vlan);
      if (known === from.number) {
        counts.filtered++;
        return;
      }
      if (known !== null) {
        this.#send(this.ports[known] as SwitchPort, frame, vlan);
        return;
      }
    }
    counts.flooded++;
    for (const port of this.ports) if (port !== from) this.#send(port, frame, vlan);
  }

  /** 802.1D 7.8: the source, if it is an address of one station. */
  #learn(from: SwitchPort, frame: Frame, vlan: number): void {
    if (((frame[6] as number) & 1) !== 0) return;
    const { now } = this.simulation;
    const source = addressAt(frame, 6);
    const table = this.#table;
    if (table.size >= this.#limit && table.find(vlan, source) === undefined && !this.#makeRoom(now)) return;
    table.learn(vlan, source, from.number, now);
  }

  /** The table is searched for old addresses once a second at most, so that a flood of new ones costs little. */
  #makeRoom(now: Time): boolean {
    if (now < this.#cells.nextPrune) return false;
    this.#cells.nextPrune = now + SEC;
    this.#table.prune(now - this.#aging);
    return this.#table.size < this.#limit;
  }

  #send(to: SwitchPort, frame: Frame, vlan: number): void {
    if (!this.#vlans) to.send(frame);
    else if (to.isMember(vlan)) to.send(to.sendsUntagged(vlan) ? untagged(frame) : tagged(frame, vlan));
  }
}

/** 802.1Q 6.9: the tag's VLAN, or the port's where there is none or it says priority only. */
function ingressVlan(port: SwitchPort, frame: Frame): number {
  const vlan = isTagged(frame) ? get16(frame, 14) & 0xfff : 0;
  return vlan === 0 ? port.pvid : vlan;
}

function isTagged(frame: Frame): boolean {
  return frame.length >= 18 && get16(frame, 12) === DOT1Q;
}

function untagged(frame: Frame): Frame {
  if (!isTagged(frame)) return frame;
  const out = new Uint8Array(frame.length - 4);
  out.set(frame.subarray(0, 12));
  out.set(frame.subarray(16), 12);
  return out;
}

/** With the tag of `vlan`; the priority stays as it was, 0 where there was none. */
function tagged(frame: Frame, vlan: number): Frame {
  if (isTagged(frame)) {
    const control = get16(frame, 14);
    if ((control & 0xfff) === vlan) return frame;
    const out = frame.slice();
    put16(out, 14, (control & 0xf000) | vlan);
    return out;
  }
  const out = new Uint8Array(frame.length + 4);
  out.set(frame.subarray(0, 12));
  put16(out, 12, DOT1Q);
  put16(out, 14, vlan);
  out.set(frame.subarray(12), 16);
  return out;
}

function addressAt(b: Frame, at: number): number {
  return get16(b, at) * 4_294_967_296 + get32(b, at + 2);
}
