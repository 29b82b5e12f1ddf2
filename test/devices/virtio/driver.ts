/**
 * A driver for tests: it goes through the registers of a virtio-mmio slot, of either version, and lays split rings out in RAM. Numbers are
 * typed from VIRTIO 1.2 (4.2.2, 4.2.4, 2.7), nothing is taken from the model.
 */
import { Arena, Memory, Port, Router, Transaction } from "../../../src/bus/index.ts";
import type { VirtioDevice } from "../../../src/devices/virtio/index.ts";
import { VirtioMmio } from "../../../src/devices/virtio-mmio/index.ts";
import { type GuestError, Simulation } from "../../../src/sim/index.ts";

export const RAM = 0x4000_0000;
const RAM_BYTES = 0x100_0000;
const RING_BYTES = 0x4000;
const PAGE = 4096;

/** Both interfaces, for `describe.each`. */
export const INTERFACES = [
  ["version 2", false],
  ["legacy", true],
] as const;

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
  readonly slot: VirtioMmio;
  readonly legacy: boolean;
  readonly errors: GuestError[] = [];
  size = 8;
  #free = 0x10_0000;
  readonly #available = new Map<number, number>();

  constructor(make: (simulation: Simulation, port: Port) => D, legacy = false) {
    const arena = new Arena();
    this.legacy = legacy;
    this.ram = new Memory(this.simulation, "ram", arena, { size: RAM_BYTES });
    this.router.map({ name: "ram", base: RAM, size: RAM_BYTES, target: this.ram });
    this.device = make(this.simulation, new Port(this.router, arena));
    this.slot = new VirtioMmio(this.simulation, "slot", { legacy, device: this.device });
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
    this.simulation.reset();
  }

  /** A register of the slot. */
  read(offset: number, size = 4): number {
    return this.slot.registers.read(offset, size, new Transaction());
  }
  write(offset: number, value: number, size = 4): void {
    this.slot.registers.write(offset, size, value >>> 0, new Transaction());
  }
  get status(): number {
    return this.read(0x070);
  }
  get details(): string {
    return this.errors.map((e) => `${e.kind}: ${e.detail}`).join("\n");
  }
  features(word: number): number {
    this.write(0x014, word);
    return this.read(0x010);
  }
  configuration(offset: number, bytes: number): number[] {
    return Array.from({ length: bytes }, (_, i) => this.read(0x100 + offset + i, 1));
  }

  /** Reads and acknowledges the causes of the interrupt; the line must agree. */
  takeInterrupt(): number {
    const causes = this.read(0x060);
    if (this.slot.interrupt.level !== (causes !== 0)) throw new Error("line and InterruptStatus disagree");
    this.write(0x064, causes);
    if (this.slot.interrupt.level) throw new Error("acknowledged, but the line is high");
    return causes;
  }

  /** Lets the events of this instant, and of the given time, happen. */
  run(ticks = 0): void {
    this.simulation.run(this.simulation.now + ticks);
  }

  ring(queue: number): { descriptors: number; available: number; used: number } {
    const base = RAM + queue * RING_BYTES;
    if (!this.legacy) return { descriptors: base, available: base + 0x2000, used: base + 0x3000 };
    // 2.7.2: the used ring begins at the next multiple of the alignment.
    const available = base + 16 * this.size;
    return { descriptors: base, available, used: Math.ceil((available + 6 + 2 * this.size) / PAGE) * PAGE };
  }

  /** 3.1.1: ACKNOWLEDGE, DRIVER, features (both words; VERSION_1 is the lowest of the high one), FEATURES_OK, queues, DRIVER_OK. */
  start(size = 8, low = 0, high = 1): void {
    this.size = size;
    this.write(0x070, 0);
    this.write(0x070, 1);
    this.write(0x070, 3);
    if (this.legacy) this.write(0x028, PAGE);
    this.write(0x024, 0);
    this.write(0x020, low);
    if (!this.legacy) {
      this.write(0x024, 1);
      this.write(0x020, high);
      this.write(0x070, 11);
    }
    for (let queue = 0; ; queue++) {
      this.write(0x030, queue);
      if (this.read(0x034) === 0) break;
      this.setUp(queue);
    }
    this.write(0x070, this.legacy ? 7 : 15);
  }

  /** Sets a queue up anew at its place; its rings are empty. */
  setUp(queue: number): void {
    const { descriptors, available, used } = this.ring(queue);
    this.ram.fill(descriptors - RAM, new Uint8Array(RING_BYTES));
    this.#available.delete(queue);
    this.write(0x030, queue);
    this.write(0x038, this.size);
    if (this.legacy) {
      this.write(0x03c, PAGE);
      this.write(0x040, descriptors / PAGE);
      return;
    }
    [descriptors, available, used].forEach((address, i) => {
      const offset = [0x080, 0x090, 0x0a0][i] as number;
      this.write(offset, address);
      this.write(offset + 4, 0);
    });
    this.write(0x044, 1);
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
  offer(queue: number, head: number): void {
    const { available } = this.ring(queue);
    const index = this.#available.get(queue) ?? 0;
    this.put(available + 4 + 2 * (index % this.size), head, 2);
    this.#available.set(queue, index + 1);
    this.put(available + 2, (index + 1) & 0xffff, 2);
  }
  notify(queue: number): void {
    this.write(0x050, queue);
  }

  /** Makes a chain of the buffers available from descriptor `first` on and gives their addresses. */
  post(queue: number, buffers: readonly Buffer[], first = 0): number[] {
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
    return addresses;
  }
  /** As `post`, and notifies. */
  send(queue: number, buffers: readonly Buffer[], first = 0): number[] {
    const addresses = this.post(queue, buffers, first);
    this.notify(queue);
    return addresses;
  }
  usedIndex(queue: number): number {
    return this.word(this.ring(queue).used + 2, 2);
  }
  /** Entry `n` of the used ring: head and bytes written. */
  used(queue: number, n: number): { id: number; length: number } {
    const at = this.ring(queue).used + 4 + 8 * (n % this.size);
    return { id: this.word(at), length: this.word(at + 4) };
  }
  bytes(address: number, length: number): number[] {
    return [...this.ram.slice(address - RAM, length)];
  }
}

/** Little-endian bytes. */
export function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 0xff);
}
