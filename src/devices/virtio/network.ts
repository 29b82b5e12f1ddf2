/**
 * virtio network device (Virtual I/O Device Version 1.2, clause 5.1): queue pairs with mergeable receive buffers, checksum and segmentation offloads both ways,
 * the control queue with its filters, several queue pairs with automatic or hashed (RSS) steering, link status, MTU, speed. Frames on the link are whole
 * Ethernet frames with right checksums: large sends are cut here, received segments put together here (`coalescing.ts`).
 * Not modelled: UFO, GUEST_ANNOUNCE, RSC_EXT, STANDBY, GUEST_HDRLEN (header lengths are found in the packet): not offered, drivers do without.
 * Choices: a driver that never sets a receive mode gets every frame; received frames wait in a short list while the driver has no buffers, more are
 * dropped; a packet whose header does not fit it is recorded and not sent.
 */
import { get16 } from "../../net/bytes.ts";
import type { Frame, Station } from "../../net/link.ts";
import { Packet, TCP } from "../../net/packet.ts";
import { checksumField } from "../../net/segmentation.ts";
import {
  type Event,
  type Module,
  type Simulation,
  SnapshotError,
  type StatePart,
  type StateValue,
  type Time,
  US,
} from "../../sim/index.ts";
import { Coalescing } from "./coalescing.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { type Controlled, NetworkControl } from "./network-control.ts";
import * as F from "./network-features.ts";
import { NetworkFilter } from "./network-filter.ts";
import { HASH_TYPES, KEY_BYTES, Steering, TABLE_ENTRIES } from "./network-steering.ts";
import {
  checksumsGood,
  DATA_VALID,
  FRAME_LONGEST,
  GSO_TCPV4,
  GSO_TCPV6,
  HEADER_LONGEST,
  NEEDS_CSUM,
  outgoing,
  VLAN,
} from "./network-transmit.ts";
import { type Chain, lengthOf, type Virtqueue } from "./queue.ts";

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

const LINK_UP = 1;
const QUEUE_SIZE = 256;
const CONTROL_QUEUE_SIZE = 64;
export const PAIRS_MAX = 8;
const WAITING_MAX = 64;
const COALESCING_TIME: Time = 50 * US;
/** Frames that the link must take for the next packet to be sent: a large one's. */
const ROOM = 64;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const GUEST_OFFLOADS = (1 << F.F_GUEST_CSUM) | (1 << F.F_GUEST_TSO4) | (1 << F.F_GUEST_TSO6) | (1 << F.F_GUEST_ECN);

/** Messages, headers and frames, that wait for receive buffers. */
class Waiting implements StatePart {
  readonly messages: Uint8Array[] = [];
  save(): StateValue {
    return [...this.messages];
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of messages`);
    this.messages.length = 0;
    for (const message of value as StateValue[]) {
      if (!(message instanceof Uint8Array)) throw new SnapshotError(`${path}: expected messages`);
      this.messages.push(message.slice());
    }
  }
  reset(): void {
    this.messages.length = 0;
  }
}

export class VirtioNetwork extends VirtioDevice implements Station, Controlled {
  override readonly stateVersion = 2;
  readonly deviceId = 1;
  readonly configurationBytes = 24;
  protected readonly ownFeatures: number;
  protected override readonly ownFeaturesHigh: number;
  /** Where transmitted frames go; dropped while null. */
  onTransmit: ((frame: Frame) => void) | null = null;
  /** How long until the link takes so many frames, 0 for now; any number while null. Packets wait in their queue until it does. */
  linkTakesIn: ((frames: number) => Time) | null = null;
  /**
   * Packets given to the driver, and frames of the link: `dropped` for want of buffers or because nobody listened, `filtered` because the driver does not
   * want them, `coalesced` into longer packets.
   */
  readonly counts: { received: number; transmitted: number; dropped: number; filtered: number; coalesced: number };
  readonly pairs: number;
  readonly filter: NetworkFilter;
  readonly steering: Steering;
  /** The MAC address; drivers of the legacy interface may write it. */
  readonly #mac: Uint8Array;
  readonly #link: { up: boolean };
  /** GUEST_* features in use, as their bits; -1 for all that were negotiated. */
  readonly #offloads: { enabled: number };
  readonly #configuration = new DataView(new ArrayBuffer(24));
  readonly #mtu: number;
  readonly #waiting: readonly Waiting[];
  readonly #control: NetworkControl;
  readonly #coalescing: Coalescing;
  readonly #coalescingTime: Time;
  readonly #release: Event;
  readonly #resume: Event;
  readonly #packet = new Packet();

  constructor(parent: Module | Simulation, name: string, options: VirtioNetworkOptions) {
    super(parent, name, options, queueSizes(options));
    const features = featuresOf(options);
    this.ownFeatures = features.low;
    this.ownFeaturesHigh = features.high;
    this.pairs = options.pairs ?? 1;
    this.#mac = this.state({ mac: options.mac.slice(0, 6) }, "address").mac;
    this.#link = this.state({ up: true }, "link");
    this.#offloads = this.state({ enabled: -1 }, "offloads");
    this.counts = this.state({ received: 0, transmitted: 0, dropped: 0, filtered: 0, coalesced: 0 });
    this.#waiting = Array.from({ length: this.pairs }, (_, i) => this.part(`waiting${i}`, new Waiting()));
    this.filter = new NetworkFilter(this.state(NetworkFilter.initialState(), "filter"));
    this.steering = new Steering(this.state(Steering.initialState(), "steering"));
    this.#control = new NetworkControl(this);
    this.#coalescing = this.part("coalescing", new Coalescing(HEADER_LONGEST));
    this.#coalescingTime = options.coalescingTime ?? COALESCING_TIME;
    this.#release = this.event("release", () => this.#give());
    this.#resume = this.event("resume", () => this.#resumeAll());
    this.#mtu = options.mtu ?? 0;
    this.#configure(options);
  }

  /** What of the configuration never changes: all but address and status (5.1.4). */
  #configure(options: VirtioNetworkOptions): void {
    const view = this.#configuration;
    const hashes = options.rss === true || options.hashReport === true;
    view.setUint16(8, this.pairs, true);
    view.setUint16(10, this.#mtu, true);
    view.setUint32(12, options.speed ?? 0xffff_ffff, true);
    view.setUint8(16, options.duplex === undefined ? 0xff : options.duplex === "full" ? 1 : 0);
    view.setUint8(17, hashes ? KEY_BYTES : 0);
    view.setUint16(18, options.rss === true ? TABLE_ENTRIES : 0, true);
    view.setUint32(20, hashes ? HASH_TYPES : 0, true);
  }

  protected override featuresLack(): string | null {
    return F.unmetRequirement((feature) => this.accepted(feature));
  }

  configurationByte(offset: number): number {
    if (offset < 6) return this.#mac[offset] as number;
    if (offset === 6) return this.#link.up ? LINK_UP : 0;
    return this.#configuration.getUint8(offset);
  }

  /** 5.1.4.3: without VERSION_1 the address is the driver's to write, a byte at a time. */
  override writeConfiguration(offset: number, size: number, value: number): void {
    if (!this.legacy || offset + size > 6) {
      super.writeConfiguration(offset, size, value);
      return;
    }
    for (let i = 0; i < size; i++) this.#mac[offset + i] = value >>> (8 * i);
  }

  setLink(up: boolean): void {
    if (up === this.#link.up) return;
    this.#link.up = up;
    this.transport?.configurationChanged();
  }

  setAddress(mac: Uint8Array): void {
    this.#mac.set(mac);
  }

  setOffloads(offloads: number): boolean {
    if ((offloads & ~GUEST_OFFLOADS) !== 0) return false;
    for (let f = 0; f < 32; f++) if ((offloads & (1 << f)) !== 0 && !this.accepted(f)) return false;
    this.#give();
    this.#offloads.enabled = offloads;
    return true;
  }

  steeringChanged(): void {
    for (const w of this.#waiting.slice(this.steering.pairs)) w.reset();
  }

  complain(detail: string, value: number): void {
    this.guestError({ kind: "value", value, detail, clause: "VIRTIO 1.2 5.1.6" });
  }

  /** An offload towards the driver that was negotiated and is on. */
  #uses(feature: number): boolean {
    return this.accepted(feature) && (this.#offloads.enabled & (1 << feature)) !== 0;
  }

  // Queues

  /** The control queue's number, or -1 without one (5.1.2). */
  get #controlIndex(): number {
    if (!this.accepted(F.F_CTRL_VQ)) return -1;
    return this.accepted(F.F_MQ) || this.accepted(F.F_RSS) ? 2 * this.pairs : 2;
  }

  protected serve(queue: Virtqueue): void {
    const { index } = queue;
    if (index === this.#controlIndex) this.#command(queue);
    else if (index % 2 === 0) this.#deliver(index >> 1);
    else this.#transmit(queue);
  }

  protected override queueStopped(queue: Virtqueue): void {
    if (queue.index % 2 === 0) this.#waiting[queue.index >> 1]?.reset();
  }
  protected override stopped(): void {
    for (const w of this.#waiting) w.reset();
    this.#coalescing.reset();
    this.#release.cancel();
    this.#resume.cancel();
    this.filter.reset();
    this.steering.reset();
    this.#offloads.enabled = -1;
  }

  #command(queue: Virtqueue): void {
    for (let chain = queue.pop(); chain !== null; chain = queue.pop())
      queue.push(chain, this.#control.serve(queue, chain));
    this.flush(queue);
  }

  /** Bytes of the header: with a hash, with num_buffers, or without (5.1.6). */
  #headerBytes(): number {
    if (this.accepted(F.F_HASH_REPORT)) return HEADER_LONGEST;
    return this.modern || this.accepted(F.F_MRG_RXBUF) ? 12 : 10;
  }

  // Transmission

  #transmit(queue: Virtqueue): void {
    const bytes = this.#headerBytes();
    const header = new Uint8Array(bytes);
    for (let chain = this.#next(queue); chain !== null; chain = this.#next(queue)) {
      const length = lengthOf(chain.readable) - bytes;
      if (length < 14 || length > FRAME_LONGEST) {
        this.complain("frame of an impossible length", Math.max(0, length));
      } else {
        const frame = new Uint8Array(length);
        queue.read(chain, header);
        queue.read(chain, frame, bytes);
        this.#send(header, frame, queue.index >> 1);
      }
      queue.push(chain, 0);
    }
    this.flush(queue);
  }

  /** The next packet, or null where there is none or the link is busy: it goes on when the link takes more. */
  #next(queue: Virtqueue): Chain | null {
    const wait = this.linkTakesIn?.(ROOM) ?? 0;
    if (wait === 0) return queue.pop();
    if (queue.pending > 0 && !this.#resume.pending) this.#resume.notify(wait);
    return null;
  }

  #resumeAll(): void {
    if (!this.running) return;
    for (const queue of this.queues) if (queue.index % 2 === 1 && queue.pending > 0) this.#transmit(queue);
  }

  #send(header: Uint8Array, packet: Frame, pair: number): void {
    const frames = outgoing(header, packet, (feature) => this.accepted(feature));
    if (typeof frames === "string") {
      this.complain(frames, header[1] as number);
      return;
    }
    if (this.steering.pairs > 1) this.steering.sent(packet, this.#packet.parse(packet, VLAN, -1), pair);
    this.counts.transmitted += frames.length;
    if (this.#link.up) for (const frame of frames) this.onTransmit?.(frame);
  }

  // Reception

  /** A frame arrived from the link. */
  receive(frame: Frame): void {
    if (!this.running || !this.#link.up || this.#tooLong(frame)) {
      this.counts.dropped++;
      return;
    }
    if (!this.filter.wants(frame, this.#mac, this.accepted(F.F_CTRL_VLAN))) {
      this.counts.filtered++;
      return;
    }
    if (!this.#hold(frame)) this.#alone(frame, this.#uses(F.F_GUEST_CSUM) && this.#checked(frame));
  }

  #checked(frame: Frame): boolean {
    return checksumsGood(frame, this.#packet.parse(frame, VLAN, -1));
  }

  /** Holds a segment of TCP for those that follow it; else what is held goes before the frame. */
  #hold(frame: Frame): boolean {
    const held = this.#coalescing;
    if (held.joiner.frames === 0 && !this.#joins(frame)) return false;
    if (!held.add(frame)) {
      this.#give();
      if (!this.#joins(frame) || !held.add(frame)) return false;
    }
    if (held.joiner.complete) this.#give();
    else if (!this.#release.pending) this.#release.notify(this.#coalescingTime);
    return true;
  }

  /** The driver takes packets of segments of this version of IP. */
  #joins(frame: Frame): boolean {
    const type = get16(frame, 12);
    return (type === IPV4 && this.#uses(F.F_GUEST_TSO4)) || (type === IPV6 && this.#uses(F.F_GUEST_TSO6));
  }

  /** 5.1.4.1: nothing beyond an MTU that was negotiated. */
  #tooLong(frame: Frame): boolean {
    return this.accepted(F.F_MTU) && frame.length > this.#mtu + (get16(frame, 12) === VLAN ? 18 : 14);
  }

  /** The receive queue of a frame, or -1 where too many wait for its buffers already. */
  #queueOf(frame: Frame): number {
    const { steering } = this;
    const pair = steering.active ? steering.queueOf(frame, this.#packet.parse(frame, VLAN, -1)) : 0;
    return (this.#waiting[pair] as Waiting).messages.length < WAITING_MAX ? pair : -1;
  }

  #alone(frame: Frame, good: boolean): void {
    const pair = this.#queueOf(frame);
    if (pair < 0) {
      this.counts.dropped++;
      return;
    }
    const at = this.#headerBytes();
    const message = new Uint8Array(at + frame.length);
    message[0] = good ? DATA_VALID : 0;
    message.set(frame, at);
    this.#enqueue(pair, message);
  }

  /** Gives on what is held. Of several segments the checksums are right, that of TCP is left to whoever wants it (5.1.6.4). */
  #give(): void {
    const held = this.#coalescing;
    const { joiner, only } = held;
    const { frames, headers, length, buffer } = joiner;
    this.#release.cancel();
    if (frames === 0) return;
    joiner.finish();
    const start = headers.macLength + headers.ipLength;
    const pair = only === null ? this.#queueOf(buffer.subarray(HEADER_LONGEST, HEADER_LONGEST + length)) : -1;
    held.reset();
    if (only !== null) {
      this.#alone(only, true);
      return;
    }
    if (pair < 0) {
      this.counts.dropped += frames;
      return;
    }
    const at = this.#headerBytes();
    const message = buffer.slice(HEADER_LONGEST - at, HEADER_LONGEST + length);
    const view = new DataView(message.buffer);
    message[0] = NEEDS_CSUM;
    message[1] = headers.ipv4 ? GSO_TCPV4 : GSO_TCPV6;
    view.setUint16(2, start + headers.l4Length, true);
    view.setUint16(4, headers.mss, true);
    view.setUint16(6, start, true);
    view.setUint16(8, checksumField(TCP), true);
    this.counts.coalesced += frames;
    this.#enqueue(pair, message);
  }

  #enqueue(pair: number, message: Uint8Array): void {
    const { steering } = this;
    if (this.accepted(F.F_HASH_REPORT) && steering.active) {
      const view = new DataView(message.buffer);
      view.setUint32(12, steering.hash, true);
      view.setUint16(16, steering.report, true);
    }
    (this.#waiting[pair] as Waiting).messages.push(message);
    this.#deliver(pair);
  }

  #deliver(pair: number): void {
    const queue = this.queues[2 * pair] as Virtqueue;
    const messages = this.#waiting[pair]?.messages;
    if (messages === undefined || !queue.state.ready || messages.length === 0) return;
    while (messages.length > 0) {
      const chains = this.#buffersFor(queue, (messages[0] as Uint8Array).length);
      if (chains === null) break;
      const message = messages.shift() as Uint8Array;
      if (chains.length > 0) this.#fill(queue, chains, message);
      else this.counts.dropped++;
    }
    this.flush(queue);
  }

  /**
   * Buffers that hold `needed` bytes: one, or with MRG_RXBUF as many as it takes (5.1.6.3.1). Null: not enough are there yet, and
   * none is taken. Empty: the frame does not fit what the driver gave, and is lost.
   */
  #buffersFor(queue: Virtqueue, needed: number): Chain[] | null {
    const before = queue.state.nextAvailable;
    const header = this.#headerBytes();
    const chains: Chain[] = [];
    for (let room = 0; room < needed; ) {
      const chain = queue.pop();
      if (chain === null) {
        queue.state.nextAvailable = before;
        return null;
      }
      const length = lengthOf(chain.writable);
      chains.push(chain);
      room += length;
      if (length < header || (room < needed && !this.accepted(F.F_MRG_RXBUF))) {
        this.guestError({
          kind: "value",
          value: length,
          detail: "receive buffer too short for the header or the frame",
          clause: "VIRTIO 1.2 5.1.6.3.1",
        });
        for (const unused of chains) queue.push(unused, 0);
        return [];
      }
    }
    return chains;
  }

  #fill(queue: Virtqueue, chains: readonly Chain[], message: Uint8Array): void {
    // num_buffers is there with VERSION_1 or MRG_RXBUF.
    if (this.#headerBytes() > 10) new DataView(message.buffer).setUint16(10, chains.length, true);
    let done = 0;
    const written = chains.map((chain) => {
      const n = queue.write(chain, message.subarray(done));
      done += n;
      return n;
    });
    // All of a frame's buffers become visible at once.
    queue.pushAll(chains, written);
    this.counts.received++;
  }
}

function queueSizes(options: VirtioNetworkOptions): number[] {
  const pairs = options.pairs ?? 1;
  if (!Number.isInteger(pairs) || pairs < 1 || pairs > PAIRS_MAX) {
    throw new RangeError(`virtio-net: ${pairs} queue pairs: expected 1 to ${PAIRS_MAX}`);
  }
  const { receiveQueueSize = QUEUE_SIZE, transmitQueueSize = QUEUE_SIZE } = options;
  const sizes = Array.from({ length: 2 * pairs }, (_, i) => (i % 2 === 0 ? receiveQueueSize : transmitQueueSize));
  return options.control === false ? sizes : [...sizes, CONTROL_QUEUE_SIZE];
}

/** What is offered: all that is not withheld and does not need what is (5.1.3.1). */
function featuresOf(options: VirtioNetworkOptions): { low: number; high: number } {
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
