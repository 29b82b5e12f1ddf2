/**
 * A network interface with nothing but what experiments on schedulers need: a queue of packet headers in each direction, one interrupt, no DMA. It stands for no
 * real part. What a packet costs is for the guest to compute; the other end of the wire is the experiment's.
 *
 * | offset | |
 * |---|---|
 * | 0x00 | packets received and waiting |
 * | 0x04 | the first of them: user (bits 7:0), kind (15:8), bytes (31:16) |
 * | 0x08 | its sequence number |
 * | 0x0c | written: the first is done with |
 * | 0x10, 0x14 | sequence number; header as 0x04: sends |
 * | 0x18 | interrupt enable: the line is high while something waits and this is 1 |
 */
import type { Target, Transaction } from "../bus/index.ts";
import type { RegionOptions } from "../hypervisor/vm.ts";
import { type Event, type Line, Module, type Simulation, type Time } from "../sim/index.ts";

export const NIC = { COUNT: 0x0, HEADER: 0x4, SEQUENCE: 0x8, POP: 0xc, SEND_SEQUENCE: 0x10, SEND: 0x14, ENABLE: 0x18 };

export const packet = (user: number, kind: number, bytes: number): number => ((bytes << 16) | (kind << 8) | user) >>> 0;
export const userOf = (header: number): number => header & 0xff;
export const kindOf = (header: number): number => (header >>> 8) & 0xff;
export const bytesOf = (header: number): number => header >>> 16;

/** A region that passes the interface at machine address `base` to a guest, which sees it at `ipa`; the SPI is the same in both. */
export function passedNic(ipa: number, base: number, spi: number): RegionOptions {
  const interrupts = [{ guest: spi, machine: spi, edge: false }];
  return { name: "nic", base: ipa, size: 0x1000, mode: "pass", physical: { base, interrupts } };
}

type Cells = { first: number; count: number; sequence: number; enabled: boolean; dropped: number; next: Time };

export class IdealNic extends Module implements Target {
  readonly accessSizes = 4;
  readonly interrupt: Line = this.line("interrupt");
  readonly slots: number;
  readonly #headers: Uint32Array;
  readonly #sequences: Uint32Array;
  readonly #cells = this.state<Cells>({ first: 0, count: 0, sequence: 0, enabled: false, dropped: 0, next: 0 });
  readonly #interval: Time;
  readonly #allowed: Event;
  /** The other end of the wire. */
  onSend: ((header: number, sequence: number) => void) | null = null;

  /** `interval` is the least time between two rises of the interrupt line. */
  constructor(parent: Module | Simulation, name: string, slots = 256, interval: Time = 0) {
    super(parent, name);
    this.slots = slots;
    this.#interval = interval;
    this.#allowed = this.event("allowed", () => this.#update());
    const queue = this.state({ headers: new Uint32Array(slots), sequences: new Uint32Array(slots) }, "queue");
    this.#headers = queue.headers;
    this.#sequences = queue.sequences;
  }

  get dropped(): number {
    return this.#cells.dropped;
  }

  /** A packet arrives; false where the queue is full and it is lost. */
  receive(header: number, sequence: number): boolean {
    const cells = this.#cells;
    if (cells.count === this.slots) {
      cells.dropped++;
      return false;
    }
    const at = (cells.first + cells.count++) % this.slots;
    this.#headers[at] = header;
    this.#sequences[at] = sequence;
    this.#update();
    return true;
  }

  #update(): void {
    const cells = this.#cells;
    const wanted = cells.enabled && cells.count > 0;
    if (wanted && !this.interrupt.level) {
      const { now } = this.simulation;
      if (now < cells.next) {
        this.#allowed.scheduleAt(cells.next);
        return;
      }
      cells.next = now + this.#interval;
    }
    this.interrupt.set(wanted);
  }

  read(offset: number): number {
    return this.peek(offset);
  }
  write(offset: number, _size: number, value: number, _tx: Transaction): void {
    const cells = this.#cells;
    if (offset === NIC.POP && cells.count > 0) {
      cells.first = (cells.first + 1) % this.slots;
      cells.count--;
    } else if (offset === NIC.SEND_SEQUENCE) cells.sequence = value;
    else if (offset === NIC.SEND) this.onSend?.(value, cells.sequence);
    else if (offset === NIC.ENABLE) cells.enabled = (value & 1) !== 0;
    this.#update();
  }
  peek(offset: number): number {
    const cells = this.#cells;
    switch (offset) {
      case NIC.COUNT:
        return cells.count;
      case NIC.HEADER:
        return this.#headers[cells.first] as number;
      case NIC.SEQUENCE:
        return this.#sequences[cells.first] as number;
      case NIC.ENABLE:
        return cells.enabled ? 1 : 0;
      default:
        return 0;
    }
  }
  poke(): void {}
}
