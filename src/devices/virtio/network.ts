/**
 * virtio network device (Virtual I/O Device Version 1.2, clause 5.1): one queue pair, mergeable receive buffers, link status. Received
 * frames wait in a short list while the driver has no buffers; more are dropped, as a NIC drops them.
 * Not modelled: checksum and segmentation offloads, the control queue, multi-queue: not offered, drivers do without.
 */
import type { Frame, Station } from "../../net/link.ts";
import { type Module, type Simulation, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { type Chain, lengthOf, type Virtqueue } from "./queue.ts";

export interface VirtioNetworkOptions extends VirtioOptions {
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Offer MRG_RXBUF, STATUS; true unless given. */
  readonly mergeable?: boolean;
  readonly linkStatus?: boolean;
}

const F_MAC = 5;
const F_MRG_RXBUF = 15;
const F_STATUS = 16;
const STATUS_LINK_UP = 1;
const RECEIVE = 0;
const QUEUE_SIZE = 256;
/** Longest frame taken from a driver: 64 KiB less one, beyond any MTU. */
const LONGEST = 65535;
const WAITING_MAX = 64;

/** Frames that wait for a receive buffer. */
class Waiting implements StatePart {
  readonly frames: Frame[] = [];
  save(): StateValue {
    return [...this.frames];
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of frames`);
    this.frames.length = 0;
    for (const frame of value as StateValue[]) {
      if (!(frame instanceof Uint8Array)) throw new SnapshotError(`${path}: expected frames`);
      this.frames.push(frame.slice());
    }
  }
  reset(): void {
    this.frames.length = 0;
  }
}

export class VirtioNetwork extends VirtioDevice implements Station {
  readonly deviceId = 1;
  readonly configurationBytes = 12;
  protected readonly ownFeatures: number;
  /** Where transmitted frames go; dropped while null. */
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly counts: { received: number; transmitted: number; dropped: number };
  /** The MAC address; drivers of the legacy interface may write it. */
  readonly #mac: Uint8Array;
  readonly #link: { up: boolean };
  readonly #waiting: Waiting;

  constructor(parent: Module | Simulation, name: string, options: VirtioNetworkOptions) {
    super(parent, name, options, [QUEUE_SIZE, QUEUE_SIZE]);
    this.ownFeatures =
      (1 << F_MAC) |
      (options.mergeable === false ? 0 : 1 << F_MRG_RXBUF) |
      (options.linkStatus === false ? 0 : 1 << F_STATUS);
    this.#mac = this.state({ mac: options.mac.slice(0, 6) }, "address").mac;
    this.#link = this.state({ up: true }, "link");
    this.counts = this.state({ received: 0, transmitted: 0, dropped: 0 });
    this.#waiting = this.part("waiting", new Waiting());
  }

  configurationByte(offset: number): number {
    if (offset < 6) return this.#mac[offset] as number;
    return offset === 6 && this.#link.up ? STATUS_LINK_UP : 0;
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

  /** A frame arrived from the link. */
  receive(frame: Frame): void {
    if (!this.running || !this.#link.up || this.#waiting.frames.length >= WAITING_MAX) {
      this.counts.dropped++;
      return;
    }
    this.#waiting.frames.push(frame);
    this.#deliver();
  }

  protected serve(queue: Virtqueue): void {
    if (queue.index === RECEIVE) {
      this.#deliver();
      return;
    }
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      const header = this.#headerBytes();
      const length = lengthOf(chain.readable) - header;
      if (length < 14 || length > LONGEST) {
        this.guestError({
          kind: "value",
          value: Math.max(0, length),
          detail: "frame of an impossible length",
          clause: "VIRTIO 1.2 5.1.6",
        });
      } else {
        const frame = new Uint8Array(length);
        queue.read(chain, frame, header);
        this.counts.transmitted++;
        if (this.#link.up) this.onTransmit?.(frame);
      }
      queue.push(chain, 0);
    }
    this.flush(queue);
  }

  protected override queueStopped(queue: Virtqueue): void {
    if (queue.index === RECEIVE) this.#waiting.frames.length = 0;
  }
  protected override stopped(): void {
    this.#waiting.frames.length = 0;
  }

  #deliver(): void {
    const queue = this.queues[RECEIVE] as Virtqueue;
    const { frames } = this.#waiting;
    if (!queue.state.ready || frames.length === 0) return;
    while (frames.length > 0) {
      const chains = this.#buffersFor(queue, frames[0] as Frame);
      if (chains === null) break;
      const frame = frames.shift() as Frame;
      if (chains.length > 0) this.#fill(queue, chains, frame);
      else this.counts.dropped++;
    }
    this.flush(queue);
  }

  /**
   * Buffers that hold header and frame: one, or with MRG_RXBUF as many as it takes (5.1.6.3.1). Null: not enough are there yet, and
   * none is taken. Empty: the frame does not fit what the driver gave, and is lost.
   */
  #buffersFor(queue: Virtqueue, frame: Frame): Chain[] | null {
    const needed = this.#headerBytes() + frame.length;
    const before = queue.state.nextAvailable;
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
      if (length < this.#headerBytes() || (room < needed && !this.accepted(F_MRG_RXBUF))) {
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

  #fill(queue: Virtqueue, chains: readonly Chain[], frame: Frame): void {
    const bytes = this.#headerBytes();
    const message = new Uint8Array(bytes + frame.length);
    // num_buffers is there with VERSION_1 or MRG_RXBUF; all other fields stay zero without offloads (5.1.6.4.1).
    if (bytes === 12) new DataView(message.buffer).setUint16(10, chains.length, true);
    message.set(frame, bytes);
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

  #headerBytes(): number {
    return this.modern || this.accepted(F_MRG_RXBUF) ? 12 : 10;
  }
}
