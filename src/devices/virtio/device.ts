/**
 * A virtio device without its transport (Virtual I/O Device Version 1.2, clause 2): status, features, queues, configuration space.
 * A transport (virtio-mmio; PCI later) puts registers in front and hears of interrupts and of configuration changes.
 */
import type { Port } from "../../bus/index.ts";
import { Module, type Simulation } from "../../sim/index.ts";
import { Virtqueue } from "./queue.ts";

/** Device status bits (2.1). */
export const STATUS_ACKNOWLEDGE = 1;
export const STATUS_DRIVER = 2;
export const STATUS_DRIVER_OK = 4;
export const STATUS_FEATURES_OK = 8;
export const STATUS_NEEDS_RESET = 64;
export const STATUS_FAILED = 128;

/** Feature bits that every device here offers, by number (6). */
export const F_INDIRECT_DESC = 28;
export const F_EVENT_IDX = 29;
export const F_VERSION_1 = 32;

/** What a transport does for its device. */
export interface Transport {
  /** A queue has used buffers of which the driver wants to hear. */
  queueInterrupt(queue: number): void;
  configurationChanged(): void;
}

export interface VirtioOptions {
  /** DMA of the device. */
  readonly port: Port;
  /** Offer EVENT_IDX, INDIRECT_DESC; true unless given. */
  readonly eventIndex?: boolean;
  readonly indirect?: boolean;
}

export abstract class VirtioDevice extends Module {
  /** Device id (5). */
  abstract readonly deviceId: number;
  /** Bytes of the configuration space. */
  abstract readonly configurationBytes: number;
  readonly queues: readonly Virtqueue[];
  readonly queueSizes: readonly number[];
  readonly port: Port;
  transport: Transport | null = null;
  protected readonly common: { status: number; driverLow: number; driverHigh: number };
  readonly #ringFeatures: number;

  constructor(parent: Module | Simulation, name: string, options: VirtioOptions, queueSizes: readonly number[]) {
    super(parent, name);
    this.port = options.port;
    this.queueSizes = queueSizes;
    this.#ringFeatures =
      (options.indirect === false ? 0 : 1 << F_INDIRECT_DESC) | (options.eventIndex === false ? 0 : 1 << F_EVENT_IDX);
    this.common = this.state({ status: 0, driverLow: 0, driverHigh: 0 }, "virtio");
    this.queues = queueSizes.map((_, i) => {
      const state = this.state(Virtqueue.initialState(), `queue${i}`);
      return new Virtqueue(this, i, this.port, () => this.needsReset(), state);
    });
  }

  /** Feature bits 0 to 31 that this kind of device offers beside the common ones. */
  protected abstract readonly ownFeatures: number;
  /** A byte of the configuration space. */
  abstract configurationByte(offset: number): number;
  /** A driver's write to the configuration space; most devices have nothing writable. */
  writeConfiguration(offset: number, size: number, value: number): void {
    this.guestError({
      kind: "access",
      offset,
      size,
      write: true,
      value,
      detail: "this configuration space is read-only",
    });
  }
  /** The driver notified queue `queue`. Called only while the driver runs. */
  protected abstract serve(queue: Virtqueue): void;
  /** Beyond the common state: drop what is under way. */
  protected stopped(): void {}

  get status(): number {
    return this.common.status;
  }
  get running(): boolean {
    return (this.common.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) === STATUS_DRIVER_OK;
  }
  get eventIndex(): boolean {
    return (this.common.driverLow & (1 << F_EVENT_IDX)) !== 0;
  }

  /** Word 0 or 1 of the offered features. */
  features(word: number): number {
    if (word === 0) return (this.ownFeatures | this.#ringFeatures) >>> 0;
    return word === 1 ? 1 << (F_VERSION_1 - 32) : 0;
  }

  setDriverFeatures(word: number, value: number): void {
    if ((this.common.status & STATUS_FEATURES_OK) !== 0) {
      this.guestError({
        kind: "sequence",
        value,
        detail: "features written after FEATURES_OK",
        clause: "VIRTIO 1.2 3.1.1",
      });
      return;
    }
    if (word === 0) this.common.driverLow = value | 0;
    else if (word === 1) this.common.driverHigh = value | 0;
  }

  /** The driver accepted VERSION_1. */
  get modern(): boolean {
    return (this.common.driverHigh & (1 << (F_VERSION_1 - 32))) !== 0;
  }

  /** The driver accepted this one of feature bits 0 to 31. */
  accepted(feature: number): boolean {
    return ((this.common.driverLow >>> feature) & 1) !== 0;
  }

  /** Device status as the driver writes it (2.1.1, 3.1.1); 0 resets the device. `legacy` drivers set no FEATURES_OK. */
  writeStatus(value: number, legacy: boolean): void {
    if (value === 0) {
      this.resetDevice();
      return;
    }
    let status = value & 0xff;
    const newly = status & ~this.common.status;
    if ((newly & STATUS_FEATURES_OK) !== 0) {
      const beyond = (this.common.driverLow & ~this.features(0)) | (this.common.driverHigh & ~this.features(1));
      const modern = (this.common.driverHigh & this.features(1)) !== 0;
      if (beyond !== 0 || (!modern && !legacy)) {
        status &= ~STATUS_FEATURES_OK;
        this.guestError({ kind: "value", detail: "driver accepts features that were not offered, or not VERSION_1" });
      }
    }
    this.common.status = status | (this.common.status & STATUS_NEEDS_RESET);
    if ((newly & STATUS_DRIVER_OK) !== 0) this.started();
  }

  /** The driver is ready; buffers may already be available. */
  protected started(): void {
    for (const q of this.queues) if (q.pending > 0) this.notify(q.index);
  }

  notify(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined || !queue.state.ready || !this.running) {
      this.guestError({ kind: "sequence", value: index, detail: "notification of a queue that is not ready" });
      return;
    }
    this.serve(queue);
  }

  /** After buffers were given back: interrupts the driver if it wants that, and asks for the next notification. */
  protected flush(queue: Virtqueue): void {
    queue.askForNotification(this.eventIndex);
    if (queue.interruptWanted(this.eventIndex)) this.transport?.queueInterrupt(queue.index);
  }

  protected needsReset(): void {
    this.common.status |= STATUS_NEEDS_RESET;
    if ((this.common.status & STATUS_DRIVER_OK) !== 0) this.transport?.configurationChanged();
  }

  resetDevice(): void {
    this.common.status = 0;
    this.common.driverLow = 0;
    this.common.driverHigh = 0;
    for (const q of this.queues) Object.assign(q.state, Virtqueue.initialState());
    this.stopped();
  }
}
