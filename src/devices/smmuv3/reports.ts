/** What the SMMU tells software: Event queue, PRI queue, global errors, and their interrupts by wire or MSI (IHI 0070 3.5, 3.18, 7, 8). */
import type { Port } from "../../bus/index.ts";
import type { RegisterBank } from "../../registers/index.ts";
import type { Line } from "../../sim/index.ts";
import type { PageRequest } from "./ats.ts";
import { C_BAD_STREAMID, EVENT_WORDS, type Fault } from "./events.ts";
import { Queue } from "./queue.ts";
import type { SMMUV3 } from "./registers.ts";

// Bits of SMMU_GERROR.
export const GERROR_CMDQ = 1 << 0;
const GERROR_EVENTQ_ABT = 1 << 2;
const GERROR_PRIQ_ABT = 1 << 3;
const GERROR_MSI_CMDQ_ABT = 1 << 4;
const GERROR_MSI_EVENTQ_ABT = 1 << 5;
const GERROR_MSI_PRIQ_ABT = 1 << 6;
const GERROR_MSI_GERROR_ABT = 1 << 7;

// Bits of SMMU_CR0 and SMMU_IRQ_CTRL.
const SMMUEN = 1 << 0;
const PRIQEN = 1 << 1;
const EVENTQEN = 1 << 2;
const GERROR_IRQEN = 1 << 0;
const PRIQ_IRQEN = 1 << 1;
const EVENTQ_IRQEN = 1 << 2;
const RECINVSID = 1 << 1;
const OVERFLOW = 1 << 31;
const LAST_ONLY = 1 << 31;
const HALF = 4294967296;
const PRI_WORDS = 4;

export interface Wires {
  readonly eventq: Line;
  readonly priq: Line;
  readonly cmdqSync: Line;
  readonly gerror: Line;
}

export type PageQueued = "queued" | "full" | "disabled";

export class Reports {
  readonly events: Queue;
  readonly pages: Queue;
  /** More than 0 while the SMMU's own access is under way. */
  depth = 0;
  readonly #registers: RegisterBank<typeof SMMUV3>;
  readonly #port: Port;
  readonly #wires: Wires;
  readonly #words = new Int32Array(EVENT_WORDS);
  readonly #bytes = new Uint8Array(this.#words.buffer);
  readonly #pageWords = new Int32Array(PRI_WORDS);
  readonly #pageBytes = new Uint8Array(this.#pageWords.buffer);

  constructor(registers: RegisterBank<typeof SMMUV3>, port: Port, wires: Wires) {
    this.#registers = registers;
    this.#port = port;
    this.#wires = wires;
    const { values, slot } = registers;
    this.events = new Queue(values, slot.SMMU_EVENTQ_BASE, slot.SMMU_EVENTQ_PROD, slot.SMMU_EVENTQ_CONS, 5);
    this.pages = new Queue(values, slot.SMMU_PRIQ_BASE, slot.SMMU_PRIQ_PROD, slot.SMMU_PRIQ_CONS, 4);
  }

  /** Puts a fault into the Event queue. */
  record(fault: Fault): void {
    const { slot } = this.#registers;
    if ((this.#value(slot.SMMU_CR0) & EVENTQEN) === 0) return;
    if (fault.type === C_BAD_STREAMID && (this.#value(slot.SMMU_CR2) & RECINVSID) === 0) return;
    if (this.events.full) {
      this.#overflow(slot.SMMU_EVENTQ_PROD, slot.SMMU_EVENTQ_CONS);
      return;
    }
    fault.encode(this.#words);
    const wasEmpty = this.events.empty;
    if (!this.writeBlock(this.events.producerAddress, this.#bytes)) {
      this.raise(GERROR_EVENTQ_ABT);
      return;
    }
    this.events.produced();
    if (wasEmpty && (this.#value(slot.SMMU_IRQ_CTRL) & EVENTQ_IRQEN) !== 0) {
      this.#interrupt(slot.SMMU_EVENTQ_IRQ_CFG0, slot.SMMU_EVENTQ_IRQ_CFG1, this.#wires.eventq, GERROR_MSI_EVENTQ_ABT);
    }
  }

  /** Puts a page request into the PRI queue. */
  pageRequest(request: PageRequest): PageQueued {
    const { slot } = this.#registers;
    if ((this.#value(slot.SMMU_CR0) & (PRIQEN | SMMUEN)) !== (PRIQEN | SMMUEN)) return "disabled";
    if (this.pages.full || this.#overflowing(slot.SMMU_PRIQ_PROD, slot.SMMU_PRIQ_CONS)) {
      this.#overflow(slot.SMMU_PRIQ_PROD, slot.SMMU_PRIQ_CONS);
      return "full";
    }
    const w = this.#pageWords;
    const substream = request.substreamId >= 0;
    w[0] = request.streamId;
    w[1] =
      (substream ? (request.substreamId & 0xf_ffff) | (1 << 31) : 0) |
      (request.privileged && substream ? 1 << 26 : 0) |
      (request.execute && substream ? 1 << 27 : 0) |
      (request.read ? 1 << 28 : 0) |
      (request.write ? 1 << 29 : 0) |
      (request.last ? 1 << 30 : 0);
    w[2] = (request.address & ~0xfff) | (request.group & 0x1ff);
    w[3] = Math.floor(request.address / HALF) | 0;
    const wasEmpty = this.pages.empty;
    if (!this.writeBlock(this.pages.producerAddress, this.#pageBytes)) {
      this.raise(GERROR_PRIQ_ABT);
      return "full";
    }
    this.pages.produced();
    const lastOnly = (this.#value(slot.SMMU_PRIQ_IRQ_CFG2) & LAST_ONLY) !== 0;
    if ((lastOnly ? request.last : wasEmpty) && (this.#value(slot.SMMU_IRQ_CTRL) & PRIQ_IRQEN) !== 0) {
      this.#interrupt(slot.SMMU_PRIQ_IRQ_CFG0, slot.SMMU_PRIQ_IRQ_CFG1, this.#wires.priq, GERROR_MSI_PRIQ_ABT);
    }
    return "queued";
  }

  /** Makes global errors active that are not yet. */
  raise(error: number): void {
    const { slot, values } = this.#registers;
    const active = this.#value(slot.SMMU_GERROR) ^ this.#value(slot.SMMU_GERRORN);
    if ((active & error) !== 0) return;
    values[slot.SMMU_GERROR] = this.#value(slot.SMMU_GERROR) ^ error;
    if (error === GERROR_MSI_GERROR_ABT || (this.#value(slot.SMMU_IRQ_CTRL) & GERROR_IRQEN) === 0) return;
    this.#interrupt(slot.SMMU_GERROR_IRQ_CFG0, slot.SMMU_GERROR_IRQ_CFG1, this.#wires.gerror, GERROR_MSI_GERROR_ABT);
  }

  /** Completion of a CMD_SYNC that asked for an interrupt: an MSI where it gives an address. */
  signalSync(address: number, data: number): void {
    if (address === 0) this.#wires.cmdqSync.pulse();
    else if (!this.#write(address, data)) this.raise(GERROR_MSI_CMDQ_ABT);
  }

  /** Reads and writes of the SMMU's own; false where the bus refused. */
  readBlock(address: number, into: Uint8Array): boolean {
    this.depth++;
    const good = this.#port.readBlock(address, into);
    this.depth--;
    return good;
  }
  writeBlock(address: number, from: Uint8Array): boolean {
    this.depth++;
    const good = this.#port.writeBlock(address, from);
    this.depth--;
    return good;
  }

  #write(address: number, data: number): boolean {
    this.depth++;
    this.#port.write(address, 4, data >>> 0);
    this.depth--;
    return this.#port.response === 0;
  }

  #interrupt(addressSlot: number, dataSlot: number, wire: Line, error: number): void {
    const address = (this.#value(addressSlot + 1) & 0xf_ffff) * HALF + ((this.#value(addressSlot) & ~3) >>> 0);
    if (address === 0) wire.pulse();
    else if (!this.#write(address, this.#value(dataSlot))) this.raise(error);
  }

  #overflowing(producer: number, consumer: number): boolean {
    return ((this.#value(producer) ^ this.#value(consumer)) & OVERFLOW) !== 0;
  }
  /** Toggles the overflow flag unless an overflow is unacknowledged. */
  #overflow(producer: number, consumer: number): void {
    if (this.#overflowing(producer, consumer)) return;
    this.#registers.values[producer] = this.#value(producer) ^ OVERFLOW;
  }

  #value(slot: number): number {
    return this.#registers.values[slot] as number;
  }
}
