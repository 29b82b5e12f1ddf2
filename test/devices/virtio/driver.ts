/** A driver for tests: split rings laid out in RAM, numbers typed from VIRTIO 1.2 clause 2.7, nothing taken from the model. */
import { Arena, Memory, Port, Router } from "../../../src/bus/index.ts";
import type { VirtioDevice } from "../../../src/devices/virtio/index.ts";
import { Simulation } from "../../../src/sim/index.ts";

const RAM = 0x4000_0000;
const RING_BYTES = 0x4000;

export interface Buffer {
  readonly data?: Uint8Array;
  /** Length of a device-writable buffer. */
  readonly space?: number;
}

export class Bench<D extends VirtioDevice> {
  readonly simulation = new Simulation({ seed: 7 });
  readonly router = new Router(this.simulation, "bus");
  readonly ram: Memory;
  readonly device: D;
  readonly interrupts: number[] = [];
  configurationChanges = 0;
  #free = 0x10_0000;
  readonly #available = new Map<number, number>();

  constructor(make: (simulation: Simulation, port: Port) => D) {
    const arena = new Arena();
    this.ram = new Memory(this.simulation, "ram", arena, { size: 0x100_0000 });
    this.router.map({ name: "ram", base: RAM, size: 0x100_0000, target: this.ram });
    this.device = make(this.simulation, new Port(this.router, arena));
    this.device.transport = {
      queueInterrupt: (queue) => this.interrupts.push(queue),
      configurationChanged: () => {
        this.configurationChanges++;
      },
    };
  }

  ring(queue: number): { descriptors: number; available: number; used: number } {
    const base = RAM + queue * RING_BYTES;
    return { descriptors: base, available: base + 0x2000, used: base + 0x3000 };
  }

  /** 3.1.1: ACKNOWLEDGE, DRIVER, features, FEATURES_OK, queues, DRIVER_OK. */
  start(size = 8, low = 0): void {
    const d = this.device;
    d.writeStatus(1, false);
    d.writeStatus(3, false);
    d.setDriverFeatures(0, low);
    d.setDriverFeatures(1, 1);
    d.writeStatus(11, false);
    for (const q of d.queues) {
      const { descriptors, available, used } = this.ring(q.index);
      Object.assign(q.state, { size, ready: true, descriptors, available, used });
    }
    d.writeStatus(15, false);
  }

  word(address: number, size: 2 | 4 = 4): number {
    return this.router.peek(address, size);
  }
  put(address: number, value: number, size: 1 | 2 | 4 = 4): void {
    this.router.poke(address, size, value);
  }
  descriptor(queue: number, index: number, address: number, length: number, flags: number, next: number): void {
    const at = this.ring(queue).descriptors + 16 * index;
    this.put(at, address);
    this.put(at + 4, 0);
    this.put(at + 8, length);
    this.put(at + 12, flags, 2);
    this.put(at + 14, next, 2);
  }
  /** Puts the chain that starts at descriptor `head` into the available ring. */
  offer(queue: number, head: number, size = 8): void {
    const { available } = this.ring(queue);
    const index = this.#available.get(queue) ?? 0;
    this.put(available + 4 + 2 * (index % size), head, 2);
    this.#available.set(queue, index + 1);
    this.put(available + 2, (index + 1) & 0xffff, 2);
  }

  /** Makes a chain of the buffers available from descriptor `first` on, notifies, and gives their addresses. */
  send(queue: number, buffers: readonly Buffer[], first = 0): number[] {
    const addresses = buffers.map((b, i) => {
      const address = RAM + this.#free;
      const length = b.data?.length ?? b.space ?? 0;
      this.#free += (length + 63) & ~63;
      if (b.data) this.ram.fill(address - RAM, b.data);
      const flags = (i + 1 < buffers.length ? 1 : 0) | (b.data ? 0 : 2);
      this.descriptor(queue, first + i, address, length, flags, first + i + 1);
      return address;
    });
    this.offer(queue, first);
    this.device.notify(queue);
    return addresses;
  }
  usedIndex(queue: number): number {
    return this.word(this.ring(queue).used + 2, 2);
  }
  /** Entry `n` of the used ring: head and bytes written. */
  used(queue: number, n: number): { id: number; length: number } {
    const at = this.ring(queue).used + 4 + 8 * n;
    return { id: this.word(at), length: this.word(at + 4) };
  }
  bytes(address: number, length: number): number[] {
    return [...this.ram.slice(address - RAM, length)];
  }
}
