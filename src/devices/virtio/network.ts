/**
 * virtio network device (Virtual I/O Device Version 1.2, clause 5.1): one queue pair, no offloads. Received frames wait in a short
 * list while the driver has no buffers; more are dropped, as a NIC drops them.
 */
import type { Frame, Station } from "../../net/link.ts";
import { type Module, type Simulation, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { lengthOf, type Virtqueue } from "./queue.ts";

export interface VirtioNetworkOptions extends VirtioOptions {
  /** Six bytes. */
  readonly mac: Uint8Array;
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
  protected readonly ownFeatures = (1 << F_MAC) | (1 << F_MRG_RXBUF) | (1 << F_STATUS);
  /** Where transmitted frames go; dropped while null. */
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly counts: { received: number; transmitted: number; dropped: number };
  readonly #mac: Uint8Array;
  readonly #link: { up: boolean };
  readonly #waiting: Waiting;

  constructor(parent: Module | Simulation, name: string, options: VirtioNetworkOptions) {
    super(parent, name, options, [QUEUE_SIZE, QUEUE_SIZE]);
    this.#mac = options.mac.slice(0, 6);
    this.#link = this.state({ up: true }, "link");
    this.counts = this.state({ received: 0, transmitted: 0, dropped: 0 });
    this.#waiting = this.part("waiting", new Waiting());
  }

  configurationByte(offset: number): number {
    if (offset < 6) return this.#mac[offset] as number;
    return offset === 6 && this.#link.up ? STATUS_LINK_UP : 0;
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

  protected override stopped(): void {
    this.#waiting.frames.length = 0;
  }

  #deliver(): void {
    const queue = this.queues[RECEIVE] as Virtqueue;
    const { frames } = this.#waiting;
    while (frames.length > 0) {
      const chain = queue.pop();
      if (chain === null) break;
      const frame = frames.shift() as Frame;
      const header = new Uint8Array(this.#headerBytes());
      // num_buffers is there with VERSION_1 or MRG_RXBUF: a frame always fits one buffer here.
      if (header.length === 12) header[10] = 1;
      if (lengthOf(chain.writable) < header.length + frame.length) {
        this.counts.dropped++;
        this.guestError({
          kind: "value",
          detail: "receive buffer shorter than the frame",
          clause: "VIRTIO 1.2 5.1.6.3",
        });
        queue.push(chain, 0);
        continue;
      }
      queue.write(chain, header);
      queue.write(chain, frame, header.length);
      queue.push(chain, header.length + frame.length);
      this.counts.received++;
    }
    this.flush(queue);
  }

  #headerBytes(): number {
    return this.modern || this.accepted(F_MRG_RXBUF) ? 12 : 10;
  }
}
