/**
 * Split virtqueues (Virtual I/O Device Version 1.2, clause 2.7), little-endian, with indirect descriptors and event
 * indices. What a driver gets wrong in its rings is a guest error, after which the device needs a reset (2.1.2).
 */
import type { Port } from "../../bus/index.ts";
import type { Module } from "../../sim/index.ts";

/** Largest queue a device offers; descriptors of one chain are at most as many. */
export const QUEUE_SIZE_MAX = 1024;

const DESC_NEXT = 1;
const DESC_WRITE = 2;
const DESC_INDIRECT = 4;
const AVAIL_NO_INTERRUPT = 1;
const DESC_BYTES = 16;

export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** A buffer that the driver made available: what the device reads, then what it writes. */
export interface Chain {
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** What a queue asks its device. */
export interface VirtqueueDevice {
  /** The driver accepted INDIRECT_DESC. */
  indirect(): boolean;
  /** The driver broke the ring: the device needs a reset. */
  fail(): void;
}

export class Virtqueue {
  /** Saved state: ring addresses and positions. */
  readonly state: {
    size: number;
    ready: boolean;
    descriptors: number;
    available: number;
    used: number;
    nextAvailable: number;
    nextUsed: number;
    /** Used index at the last decision about an interrupt. */
    signalled: number;
  };
  readonly index: number;
  readonly #owner: Module;
  readonly #port: Port;
  readonly #device: VirtqueueDevice;

  constructor(owner: Module, index: number, port: Port, state: Virtqueue["state"], device: VirtqueueDevice) {
    this.#owner = owner;
    this.index = index;
    this.#port = port;
    this.state = state;
    this.#device = device;
  }

  #fail(detail: string, clause: string): void {
    const where = `queue ${this.index}: ${detail}`;
    this.#owner.guestError({ kind: "value", detail: where, clause: `VIRTIO 1.2 ${clause}` });
    this.#device.fail();
  }

  static initialState(): Virtqueue["state"] {
    return {
      size: 0,
      ready: false,
      descriptors: 0,
      available: 0,
      used: 0,
      nextAvailable: 0,
      nextUsed: 0,
      signalled: 0,
    };
  }

  /** Buffers the driver has made available and the device has not taken. */
  get pending(): number {
    const s = this.state;
    if (!s.ready || s.size === 0) return 0;
    return (this.#port.read(s.available + 2, 2) - s.nextAvailable) & 0xffff;
  }

  /** Takes the next available buffer, or null when there is none (or the ring is broken). */
  pop(): Chain | null {
    const s = this.state;
    const waiting = this.pending;
    if (waiting === 0) return null;
    if (waiting > s.size) {
      this.#fail(`available index is ${waiting} ahead, the queue has ${s.size} entries`, "2.7.6");
      return null;
    }
    const head = this.#port.read(s.available + 4 + 2 * (s.nextAvailable % s.size), 2);
    const chain = this.#walk(head);
    if (chain !== null) s.nextAvailable = (s.nextAvailable + 1) & 0xffff;
    return chain;
  }

  /** Gives a buffer back, `written` bytes of it filled. */
  push(chain: Chain, written: number): void {
    this.pushAll([chain], [written]);
  }

  /** Gives buffers back that the driver is to see at once. */
  pushAll(chains: readonly Chain[], written: readonly number[]): void {
    const s = this.state;
    chains.forEach((chain, i) => {
      const at = s.used + 4 + 8 * (s.nextUsed % s.size);
      this.#port.write(at, 4, chain.head);
      this.#port.write(at + 4, 4, written[i] as number);
      s.nextUsed = (s.nextUsed + 1) & 0xffff;
    });
    this.#port.write(s.used + 2, 2, s.nextUsed);
  }

  /** Whether the driver wants an interrupt for what was pushed since the last call (2.7.7). */
  interruptWanted(eventIndex: boolean): boolean {
    const s = this.state;
    if (!s.ready || s.nextUsed === s.signalled) return false;
    const before = s.signalled;
    s.signalled = s.nextUsed;
    if (!eventIndex) return (this.#port.read(s.available, 2) & AVAIL_NO_INTERRUPT) === 0;
    const event = this.#port.read(s.available + 4 + 2 * s.size, 2);
    return ((s.nextUsed - event - 1) & 0xffff) < ((s.nextUsed - before) & 0xffff);
  }

  /** Tells the driver from which buffer on the device wants a notification (2.7.10). */
  askForNotification(eventIndex: boolean): void {
    const s = this.state;
    if (eventIndex && s.ready) this.#port.write(s.used + 4 + 8 * s.size, 2, s.nextAvailable);
  }

  /** Copies what the device may read of the chain, from byte `from` on, into `into`; the number of bytes copied. */
  read(chain: Chain, into: Uint8Array, from = 0): number {
    return this.#transfer(chain.readable, into, from, false);
  }

  /** Copies `data` into what the device may write of the chain, from byte `from` on; the number of bytes copied. */
  write(chain: Chain, data: Uint8Array, from = 0): number {
    return this.#transfer(chain.writable, data, from, true);
  }

  #transfer(segments: readonly Segment[], data: Uint8Array, from: number, write: boolean): number {
    let skip = from;
    let done = 0;
    for (const segment of segments) {
      if (skip >= segment.length) {
        skip -= segment.length;
        continue;
      }
      const n = Math.min(segment.length - skip, data.length - done);
      const part = data.subarray(done, done + n);
      const address = segment.address + skip;
      const good = write ? this.#port.writeBlock(address, part) : this.#port.readBlock(address, part);
      if (!good)
        this.#owner.guestError({
          kind: "dma",
          address,
          size: n,
          write,
          detail: `queue ${this.index}: buffer is not memory`,
        });
      done += n;
      skip = 0;
      if (done === data.length) break;
    }
    return done;
  }

  #walk(head: number): Chain | null {
    const s = this.state;
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = s.descriptors;
    let entries = s.size;
    let index = head;
    let indirect = false;
    for (let count = 0; count < QUEUE_SIZE_MAX; count++) {
      if (index >= entries) {
        this.#fail(`descriptor ${index} of ${entries}`, "2.7.5");
        return null;
      }
      const at = table + DESC_BYTES * index;
      const low = this.#port.read(at, 8);
      const address = this.#port.high * 4294967296 + low;
      const length = this.#port.read(at + 8, 4);
      const flags = this.#port.read(at + 12, 2);
      if ((flags & DESC_INDIRECT) !== 0) {
        if (!this.#device.indirect()) {
          this.#fail("indirect descriptor without INDIRECT_DESC", "2.7.5.3.1");
          return null;
        }
        if (indirect || (flags & DESC_NEXT) !== 0 || length === 0 || length % DESC_BYTES !== 0) {
          this.#fail("indirect table that is nested, chained or of a bad length", "2.7.5.3.1");
          return null;
        }
        indirect = true;
        table = address;
        entries = length / DESC_BYTES;
        index = 0;
        continue;
      }
      if ((flags & DESC_WRITE) !== 0) writable.push({ address, length });
      else if (writable.length > 0) {
        this.#fail("device-readable buffer after a device-writable one", "2.7.4.2");
        return null;
      } else readable.push({ address, length });
      if ((flags & DESC_NEXT) === 0) return { head, readable, writable };
      index = this.#port.read(at + 14, 2);
    }
    this.#fail("a chain of descriptors without end", "2.7.5");
    return null;
  }
}

/** Bytes of a list of segments. */
export function lengthOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, s) => sum + s.length, 0);
}
