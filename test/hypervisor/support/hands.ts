/**
 * Guests that do what the test tells them: real loads, stores and WFI of a vCPU, one at a time. And a driver on top of that for a virtio-mmio slot: numbers
 * are typed from VIRTIO 1.2 (4.2.2, 2.7).
 */
import type { PhysicalCpu } from "../../../src/hypervisor/physical-cpu.ts";
import { type Guests, program } from "./machine.ts";

/**
 * loop: hvc #0; cbz x0, loop; tbnz x0, #1, 1f; ldr w2, [x1]; b loop; 1: tbnz x0, #0, 2f; str w2, [x1]; b loop; 2: wfi; b loop
 */
export const HANDS = program(
  ...[0xd4000002, 0xb4ffffe0, 0x37080060, 0xb9400022, 0x17fffffc, 0x37000060, 0xb9000022, 0x17fffff9, 0xd503207f],
  0x17fffff7,
);
const READ = 1;
const WRITE = 2;
const WAIT = 3;
const RAM = 0x4000_0000;
const SECOND = 10_000_000_000;

interface Order {
  readonly kind: number;
  readonly address: number;
  readonly value: number;
}

/** The hands of all VMs of a machine; each VM has a CPU of its own. */
export class Hands {
  readonly #guests: Guests;
  readonly #orders: (Order | null)[];
  readonly #busy: boolean[];
  readonly #results: number[];

  constructor(guests: Guests) {
    this.#guests = guests;
    this.#orders = guests.vms.map(() => null);
    this.#busy = guests.vms.map(() => false);
    this.#results = guests.vms.map(() => 0);
    guests.hypervisor.services.push({ call: (cpu, { vm }) => this.#called(cpu, vm.id) });
  }

  #called(cpu: PhysicalCpu, vm: number): boolean {
    if (this.#busy[vm]) {
      this.#busy[vm] = false;
      this.#results[vm] = cpu.low(2) >>> 0;
      this.#guests.machine.simulation.pause();
    }
    const order = this.#orders[vm] ?? null;
    this.#orders[vm] = null;
    this.#busy[vm] = order !== null;
    cpu.setRegister(0, order?.kind ?? 0, 0);
    cpu.setRegister(1, order?.address ?? 0, 0);
    cpu.setRegister(2, order?.value ?? 0, 0);
    return true;
  }

  /** False where the order was not carried out within a simulated millisecond. */
  #carryOut(vm: number, order: Order): boolean {
    const { simulation } = this.#guests.machine;
    this.#orders[vm] = order;
    simulation.run(simulation.now + SECOND / 1000);
    return this.#orders[vm] === null && this.#busy[vm] === false;
  }
  read(vm: number, address: number): number {
    if (!this.#carryOut(vm, { kind: READ, address, value: 0 })) throw new Error(`VM ${vm} did not read`);
    return this.#results[vm] ?? 0;
  }
  write(vm: number, address: number, value: number): void {
    if (!this.#carryOut(vm, { kind: WRITE, address, value })) throw new Error(`VM ${vm} did not write`);
  }
  /** WFI; false: nothing has come within a simulated millisecond. */
  wait(vm: number): boolean {
    return this.#carryOut(vm, { kind: WAIT, address: 0, value: 0 });
  }
  idle(): void {
    const { simulation } = this.#guests.machine;
    simulation.run(simulation.now + SECOND / 10_000);
  }

  /** GICv2 of the VM: interrupt `id` comes to its first vCPU (IHI 0048B 4.3, 4.4). */
  enable(vm: number, id: number): void {
    this.write(vm, 0x800_0000, 1);
    this.write(vm, 0x800_0100 + 4 * (id >> 5), 1 << (id & 31));
    this.write(vm, 0x800_0800 + 4 * (id >> 2), 0x0101_0101);
    this.write(vm, 0x801_0004, 0xff);
    this.write(vm, 0x801_0000, 1);
  }
  /** GICC_IAR; the interrupt is ended when `handle` has returned. */
  acknowledge(vm: number, handle: () => void): number {
    const id = this.read(vm, 0x801_000c) & 0x3ff;
    handle();
    if (id < 1020) this.write(vm, 0x801_0010, id);
    return id;
  }

  /** What is in a VM's memory, without its doing. */
  peek(vm: number, address: number, length: number): number[] {
    const at = this.#physical(vm, address);
    return Array.from({ length }, (_, i) => this.#guests.machine.bus.peek(at + i, 1));
  }
  poke(vm: number, address: number, data: readonly number[] | Uint8Array): void {
    this.#guests.machine.ram.fill(this.#physical(vm, address) - RAM, Uint8Array.from(data));
  }
  #physical(vm: number, address: number): number {
    const at = this.#guests.vms[vm]?.physical(address) ?? -1;
    if (at < 0) throw new Error(`VM ${vm} has no memory at 0x${address.toString(16)}`);
    return at;
  }
}

export interface Part {
  readonly address: number;
  readonly length: number;
  readonly write?: boolean;
}

const QUEUE_BYTES = 0x1000;
const SIZE = 8;

/** A driver of slot `slot` (version 2) in a VM, whose rings begin at `rings`; interrupts are polled or taken by the caller. */
export class SlotDriver {
  readonly #hands: Hands;
  readonly #vm: number;
  readonly #base: number;
  readonly #rings: number;
  readonly #offered = new Map<number, number>();

  constructor(hands: Hands, vm: number, slot: number, rings = RAM + 0x10_0000) {
    this.#hands = hands;
    this.#vm = vm;
    this.#base = 0xa00_0000 + 0x200 * slot;
    this.#rings = rings;
  }

  /** The same driver on a machine that was restored: how many chains queue 0 has been given. */
  on(hands: Hands, offered: number): SlotDriver {
    const copy = new SlotDriver(hands, this.#vm, (this.#base - 0xa00_0000) / 0x200, this.#rings);
    copy.#offered.set(0, offered);
    return copy;
  }

  read(offset: number): number {
    return this.#hands.read(this.#vm, this.#base + offset);
  }
  write(offset: number, value: number): void {
    this.#hands.write(this.#vm, this.#base + offset, value);
  }

  /** 3.1.1, with VERSION_1 alone. */
  start(queues: number): void {
    for (const status of [0, 1, 3]) this.write(0x070, status);
    for (const [word, value] of [
      [0, 0],
      [1, 1],
    ] as const) {
      this.write(0x024, word);
      this.write(0x020, value);
    }
    this.write(0x070, 11);
    for (let queue = 0; queue < queues; queue++) {
      const at = this.#rings + queue * QUEUE_BYTES;
      this.#hands.poke(this.#vm, at, new Uint8Array(QUEUE_BYTES));
      this.write(0x030, queue);
      this.write(0x038, SIZE);
      for (const [offset, address] of [
        [0x080, at],
        [0x090, at + 0x400],
        [0x0a0, at + 0x800],
      ] as const) {
        this.write(offset, address);
        this.write(offset + 4, 0);
      }
      this.write(0x044, 1);
    }
    this.write(0x070, 15);
  }

  /** Makes a chain available and notifies the device. */
  send(queue: number, parts: readonly Part[]): void {
    const at = this.#rings + queue * QUEUE_BYTES;
    parts.forEach(({ address, length, write }, i) => {
      const more = i + 1 < parts.length;
      const flags = (more ? 1 : 0) | (write === true ? 2 : 0);
      const data = [...le(address, 8), ...le(length, 4), ...le(flags, 2), ...le(more ? i + 1 : 0, 2)];
      this.#hands.poke(this.#vm, at + 16 * i, data);
    });
    const n = this.#offered.get(queue) ?? 0;
    this.#offered.set(queue, n + 1);
    this.#hands.poke(this.#vm, at + 0x404 + 2 * (n % SIZE), [0, 0]);
    this.#hands.poke(this.#vm, at + 0x402, le(n + 1, 2));
    this.write(0x050, queue);
  }

  /** Index of the used ring, and the length of its entry before. */
  used(queue: number): { readonly index: number; readonly length: number } {
    const at = this.#rings + queue * QUEUE_BYTES + 0x800;
    const index = number(this.#hands.peek(this.#vm, at + 2, 2));
    return { index, length: number(this.#hands.peek(this.#vm, at + 4 + 8 * ((index + 7) % SIZE) + 4, 4)) };
  }
}

/** Little-endian bytes, and back. */
export function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 0xff);
}
function number(bytes: readonly number[]): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
