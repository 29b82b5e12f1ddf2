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

/** Feature bits that every device here offers, by number (6); ANY_LAYOUT on the legacy interface alone (6.3). */
export const F_ANY_LAYOUT = 27;
export const F_INDIRECT_DESC = 28;
export const F_EVENT_IDX = 29;
export const F_VERSION_1 = 32;
export const F_RING_RESET = 40;

const HIGH_FEATURES = (1 << (F_VERSION_1 - 32)) | (1 << (F_RING_RESET - 32));

/** What a transport does for its device. */
export interface Transport {
  /** The driver sees the legacy interface: no FEATURES_OK, 32 feature bits, use before DRIVER_OK (2.2.3, 3.1.2). */
  readonly legacy: boolean;
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
      return new Virtqueue(this, i, this.port, state, {
        indirect: () => this.accepted(F_INDIRECT_DESC),
        fail: () => this.needsReset(),
      });
    });
  }

  /** Feature bits 0 to 31 that this kind of device offers beside the common ones. */
  protected abstract readonly ownFeatures: number;
  /** Feature bits 32 to 63 of this kind of device. */
  protected readonly ownFeaturesHigh: number = 0;
  /** What the accepted features lack (a feature may require another), or null. */
  protected featuresLack(): string | null {
    return null;
  }
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
  /** The device may use its queues. Drivers of the legacy interface need not have set DRIVER_OK (3.1.2). */
  get running(): boolean {
    const { status } = this.common;
    if (this.legacy) return status !== 0 && (status & STATUS_NEEDS_RESET) === 0;
    const needed = STATUS_DRIVER_OK | STATUS_FEATURES_OK;
    return (status & (needed | STATUS_NEEDS_RESET)) === needed;
  }
  get legacy(): boolean {
    return this.transport?.legacy ?? false;
  }
  get eventIndex(): boolean {
    return this.accepted(F_EVENT_IDX);
  }

  /** Word 0 or 1 of the offered features. */
  features(word: number): number {
    const { legacy } = this;
    if (word === 0) return (this.ownFeatures | this.#ringFeatures | (legacy ? 1 << F_ANY_LAYOUT : 0)) >>> 0;
    return word === 1 && !legacy ? (this.ownFeaturesHigh | HIGH_FEATURES) >>> 0 : 0;
  }

  setDriverFeatures(word: number, value: number): void {
    if ((this.common.status & STATUS_FEATURES_OK) !== 0) {
      this.#complain("sequence", "features written after FEATURES_OK", "3.1.1", value);
      return;
    }
    if (word === 0) this.common.driverLow = value | 0;
    else if (word === 1) this.common.driverHigh = value | 0;
    if (this.legacy && (value & ~this.features(word)) !== 0) {
      this.#complain("value", "driver accepts features that were not offered", "2.2", value);
    }
  }

  /** The driver accepted VERSION_1. */
  get modern(): boolean {
    return this.accepted(F_VERSION_1);
  }

  /** This feature was offered and the driver accepted it. */
  accepted(feature: number): boolean {
    const word = feature >> 5;
    const driver = word === 0 ? this.common.driverLow : this.common.driverHigh;
    return (((driver & this.features(word)) >>> (feature & 31)) & 1) !== 0;
  }

  /** Device status as the driver writes it (2.1.1, 3.1.1); 0 resets the device. */
  writeStatus(value: number): void {
    if (value === 0) {
      this.resetDevice();
      return;
    }
    const { legacy } = this;
    const before = this.common.status;
    let status = value & 0xff;
    const newly = status & ~before;
    if ((before & ~status & ~STATUS_NEEDS_RESET) !== 0) {
      this.#complain("sequence", "the driver clears status bits", "2.1.1", value);
    }
    if ((newly & STATUS_FEATURES_OK) !== 0 && !legacy && !this.#featuresFit()) {
      status &= ~STATUS_FEATURES_OK;
      this.#complain("value", "driver accepts features that were not offered, or not VERSION_1", "2.2.2; 6.1", value);
    }
    if ((newly & (legacy ? STATUS_DRIVER_OK : STATUS_FEATURES_OK)) !== 0) {
      const lack = this.featuresLack();
      if (lack !== null) {
        this.#complain("value", lack, "2.2.1", value);
        status &= ~STATUS_FEATURES_OK;
      }
    }
    if ((newly & STATUS_DRIVER_OK) !== 0 && !legacy && (status & STATUS_FEATURES_OK) === 0) {
      this.#complain("sequence", "DRIVER_OK without FEATURES_OK", "3.1.1", value);
    }
    // Only the device sets DEVICE_NEEDS_RESET (2.1).
    this.common.status = (status & ~STATUS_NEEDS_RESET) | (before & STATUS_NEEDS_RESET);
    if ((newly & STATUS_DRIVER_OK) !== 0 && this.running) this.started();
  }

  #featuresFit(): boolean {
    const { driverLow, driverHigh } = this.common;
    return ((driverLow & ~this.features(0)) | (driverHigh & ~this.features(1))) === 0 && this.modern;
  }

  #complain(kind: "value" | "sequence", detail: string, clause: string, value: number): void {
    this.guestError({ kind, detail, value: value >>> 0, clause: `VIRTIO 1.2 ${clause}` });
  }

  /** The driver is ready; buffers may already be available. */
  protected started(): void {
    for (const q of this.queues) if (q.pending > 0) this.notify(q.index);
  }

  notify(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined || !queue.state.ready || !this.running) {
      this.#complain("sequence", "notification of a queue that is not ready", "3.1.1", index);
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

  /** Resets one queue (2.6.1): the driver sets it up anew if it wants it again. */
  resetQueue(queue: Virtqueue): void {
    Object.assign(queue.state, Virtqueue.initialState());
    this.queueStopped(queue);
  }
  /** Drop what is under way in one queue. */
  protected queueStopped(_queue: Virtqueue): void {}

  resetDevice(): void {
    this.common.status = 0;
    this.common.driverLow = 0;
    this.common.driverHigh = 0;
    for (const q of this.queues) Object.assign(q.state, Virtqueue.initialState());
    this.stopped();
  }
}
