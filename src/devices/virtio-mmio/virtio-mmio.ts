/**
 * Part: virtio-mmio transport slot, empty or with a device behind it.
 * Manual: Virtual I/O Device (VIRTIO) Version 1.2, clause 4.2; 4.2.4 for the legacy interface.
 *
 * Modelled: every register of table 4.1 and of the legacy table, both versions (one a slot, by option), interrupts, queue set-up, the
 * configuration space. An empty slot shows magic value, version and vendor, device id 0; everything else reads as zero and
 * ignores writes.
 * Not modelled: shared memory regions (no device has one: lengths and addresses read as all ones, as the clause asks). Resets of the
 * device and of single queues are done at once.
 * Open in the manual: registers of the other version read as zero, ignore writes and are guest errors; a queue size that is no
 * power of two, or too large, is ignored and reported; addresses keep 52 bits.
 */
import { type Hooks, type HooksOf, RegisterBank } from "../../registers/index.ts";
import { Module, type Simulation } from "../../sim/index.ts";
import { F_RING_RESET, STATUS_DRIVER_OK, type Transport, type VirtioDevice, type Virtqueue } from "../virtio/index.ts";
import { VIRTIO_MMIO } from "./registers.ts";

const INTERRUPT_USED_BUFFER = 1;
const INTERRUPT_CONFIGURATION = 2;
const ABSENT = -1;
const HALF = 4294967296;
/** Bits of the high word of an address that are kept. */
const HIGH_MASK = 0xf_ffff;

export interface VirtioMmioOptions {
  /** Version 1 of the register layout; true unless given, as on QEMU's board. */
  readonly legacy?: boolean;
  /** What is behind the slot; none unless given. */
  readonly device?: VirtioDevice | null;
}

type Name = keyof typeof VIRTIO_MMIO.registers;
type Address = "descriptors" | "available" | "used";

export class VirtioMmio extends Module implements Transport {
  readonly legacy: boolean;
  readonly device: VirtioDevice | null;
  readonly registers: RegisterBank<typeof VIRTIO_MMIO>;
  /** High while an interrupt cause is pending. */
  readonly interrupt = this.line("interrupt");
  /** Alignment of each queue's used ring as a legacy driver wrote it. */
  readonly #align: Int32Array;

  constructor(parent: Module | Simulation, name: string, options: VirtioMmioOptions = {}) {
    super(parent, name);
    this.legacy = options.legacy ?? true;
    this.device = options.device ?? null;
    this.#align = this.state({ align: new Int32Array(this.device?.queues.length ?? 0) }, "queues").align;
    this.registers = this.part("registers", new RegisterBank(this, VIRTIO_MMIO, this.#hooks()));
    if (this.device) this.device.transport = this;
  }

  queueInterrupt(_queue: number): void {
    this.#cause(INTERRUPT_USED_BUFFER);
  }

  configurationChanged(): void {
    const { values, slot } = this.registers;
    if (!this.legacy) values[slot.ConfigGeneration] = (values[slot.ConfigGeneration] as number) + 1;
    // A driver that is not up yet will read the configuration anyway.
    if (((this.device?.status ?? 0) & STATUS_DRIVER_OK) !== 0) this.#cause(INTERRUPT_CONFIGURATION);
  }

  #stored(name: Name): number {
    return (this.registers.values[this.registers.slot[name]] as number) >>> 0;
  }

  #cause(bits: number): void {
    const at = this.registers.slot.InterruptStatus;
    this.registers.values[at] = (this.registers.values[at] as number) | bits;
    this.interrupt.raise();
  }

  #acknowledge(bits: number): void {
    const at = this.registers.slot.InterruptStatus;
    this.registers.values[at] = (this.registers.values[at] as number) & ~bits;
    this.interrupt.set(this.registers.values[at] !== 0);
  }

  #acknowledged(value: number): void {
    if (this.device === null) return;
    if ((value & ~3) !== 0) this.#complain("value", "acknowledges causes that do not exist", "4.2.2.2", value >>> 0);
    this.#acknowledge(value & 3);
  }

  /** The queue that QueueSel names, or null. */
  #queue(): Virtqueue | null {
    return this.device?.queues[this.#stored("QueueSel")] ?? null;
  }

  #hooks(): HooksOf<typeof VIRTIO_MMIO> {
    return {
      Version: { get: () => (this.legacy ? 1 : 2) },
      DeviceID: { get: () => this.device?.deviceId ?? 0 },
      DeviceFeatures: { get: () => this.#deviceFeatures() },
      DriverFeatures: { onWrite: (v) => this.#driverFeatures(v) },
      GuestPageSize: this.#only(true, {}),
      QueueNumMax: { get: () => this.device?.queueSizes[this.#stored("QueueSel")] ?? 0 },
      QueueNum: { onWrite: (v) => this.#queueNum(v >>> 0) },
      QueueAlign: this.#only(true, { onWrite: (v) => this.#queueAlign(v) }),
      QueuePFN: this.#only(true, { get: () => this.#pageNumber(), onWrite: (v) => this.#queuePage(v >>> 0) }),
      QueueReady: this.#only(false, {
        get: () => (!this.legacy && this.#queue()?.state.ready ? 1 : 0),
        onWrite: (v) => this.#queueReady((v & 1) !== 0),
      }),
      QueueNotify: { onWrite: (v) => this.device?.notify(v >>> 0) },
      InterruptACK: { onWrite: (v) => this.#acknowledged(v) },
      Status: { get: () => this.device?.status ?? 0, onWrite: (v) => this.#status(v & 0xff) },
      QueueDescLow: this.#half("descriptors", false),
      QueueDescHigh: this.#half("descriptors", true),
      QueueDriverLow: this.#half("available", false),
      QueueDriverHigh: this.#half("available", true),
      QueueDeviceLow: this.#half("used", false),
      QueueDeviceHigh: this.#half("used", true),
      SHMLenLow: { get: () => this.#noRegion() },
      SHMLenHigh: { get: () => this.#noRegion() },
      SHMBaseLow: { get: () => this.#noRegion() },
      SHMBaseHigh: { get: () => this.#noRegion() },
      QueueReset: this.#only(false, { get: () => 0, onWrite: (v) => this.#queueReset((v & 1) !== 0) }),
      ConfigGeneration: this.#only(false, {}),
      Config: {
        get: (index) => this.#configurationWord(index),
        onWrite: (written, mask, _before, index) => this.#writeConfiguration(written, mask, index),
      },
    };
  }

  /** Hooks of a register that only one version has: in the other, and in an empty slot, it does nothing. */
  #only(legacy: boolean, { get, onWrite }: Hooks): Hooks {
    const wrong = () => {
      if (this.device === null || this.legacy === legacy) return;
      const detail = `a register of the ${legacy ? "legacy" : "current"} interface only`;
      this.guestError({ kind: "access", detail, clause: "VIRTIO 1.2 4.2.2" });
    };
    return {
      ...(get ? { get: (i, c, w) => (this.legacy === legacy ? get(i, c, w) : 0) } : {}),
      onRead: wrong,
      onWrite: (...args) => {
        wrong();
        if (this.legacy === legacy) onWrite?.(...args);
      },
    };
  }

  /** One half of an address of the selected queue. */
  #half(address: Address, high: boolean): Hooks {
    return this.#only(false, { onWrite: (v) => this.#setHalf(address, high, v >>> 0) });
  }

  #setHalf(address: Address, high: boolean, value: number): void {
    const queue = this.#configurable();
    if (queue === null) return;
    const before = queue.state[address];
    if (!high) {
      queue.state[address] = Math.floor(before / HALF) * HALF + value;
      return;
    }
    if (value > HIGH_MASK) this.#complain("value", "queue address of more than 52 bits", "4.2.2", value);
    queue.state[address] = (value & HIGH_MASK) * HALF + (before % HALF);
  }

  #complain(kind: "value" | "sequence", detail: string, clause: string, value: number): void {
    this.guestError({ kind, detail, value, clause: `VIRTIO 1.2 ${clause}` });
  }

  /** The selected queue, unless there is none or it is in use (4.2.2.2: it must not be changed then). */
  #configurable(): Virtqueue | null {
    const queue = this.#queue();
    if (this.device === null) return null;
    if (queue === null) {
      this.#complain("sequence", "no such queue", "4.2.2.2", this.#stored("QueueSel"));
      return null;
    }
    if (queue.state.ready) {
      this.#complain("sequence", "the queue is in use", "4.2.2.2", this.#stored("QueueSel"));
      return null;
    }
    return queue;
  }

  #deviceFeatures(): number {
    const word = this.#stored("DeviceFeaturesSel");
    if (this.device === null || word > 1 || (this.legacy && word !== 0)) return 0;
    return this.device.features(word) | 0;
  }

  #driverFeatures(value: number): void {
    const word = this.#stored("DriverFeaturesSel");
    if (word > 1 || (this.legacy && word !== 0)) {
      if (value !== 0) this.#complain("value", "features that were not offered", "2.2", value >>> 0);
      return;
    }
    this.device?.setDriverFeatures(word, value);
  }

  #queueNum(value: number): void {
    const queue = this.#configurable();
    if (queue === null) return;
    const most = this.device?.queueSizes[queue.index] ?? 0;
    if (value === 0 || value > most || (value & (value - 1)) !== 0) {
      this.#complain("value", `queue size: expected a power of two, at most ${most}`, "4.2.2.2; 2.7", value);
      return;
    }
    queue.state.size = value;
  }

  #queueReady(ready: boolean): void {
    const queue = this.#queue();
    if (queue === null) {
      if (this.device) this.#complain("sequence", "no such queue", "4.2.2.2", this.#stored("QueueSel"));
      return;
    }
    if (ready && !queue.state.ready) this.#start(queue);
    else if (!ready) queue.state.ready = false;
  }

  #start(queue: Virtqueue): void {
    const s = queue.state;
    if (s.size === 0) {
      this.#complain("sequence", "queue made ready without a size", "4.2.3.2", queue.index);
      return;
    }
    if (s.descriptors % 16 !== 0 || s.available % 2 !== 0 || s.used % 4 !== 0) {
      this.#complain("value", "queue areas: expected multiples of 16, 2 and 4", "2.7", queue.index);
    }
    Object.assign(s, { ready: true, nextAvailable: 0, nextUsed: 0, signalled: 0 });
  }

  /** Takes no time: the register never shows 1 (4.2.2.1). */
  #queueReset(wanted: boolean): void {
    const queue = this.#queue();
    if (!wanted || this.device === null) return;
    if (queue === null || !this.device.accepted(F_RING_RESET)) {
      this.#complain(
        "sequence",
        "reset of a queue that does not exist, or without RING_RESET",
        "4.2.2",
        this.#stored("QueueSel"),
      );
    } else this.device.resetQueue(queue);
  }

  #queueAlign(value: number): void {
    const queue = this.#configurable();
    if (queue === null) return;
    if (value <= 0 || (value & (value - 1)) !== 0) {
      this.#complain("value", "queue alignment: expected a power of two", "4.2.4", value >>> 0);
    } else this.#align[queue.index] = value;
  }

  #pageNumber(): number {
    const queue = this.#queue();
    const page = this.#stored("GuestPageSize");
    return queue?.state.ready && page !== 0 ? Math.floor(queue.state.descriptors / page) | 0 : 0;
  }

  /** Legacy: the three areas follow each other from the page on (2.7.2). */
  #queuePage(value: number): void {
    const queue = this.#queue();
    if (queue === null || value === 0) {
      if (queue !== null) queue.state.ready = false;
      return;
    }
    const page = this.#stored("GuestPageSize");
    const align = this.#align[queue.index] as number;
    if (queue.state.ready || page === 0 || align === 0) {
      this.#complain("sequence", "queue in use, or page size or alignment not set", "4.2.4", value);
      return;
    }
    const s = queue.state;
    if (s.size === 0) s.size = this.device?.queueSizes[queue.index] ?? 0;
    s.descriptors = (value * page) % (HALF * (HIGH_MASK + 1));
    s.available = s.descriptors + 16 * s.size;
    s.used = Math.ceil((s.available + 6 + 2 * s.size) / align) * align;
    this.#start(queue);
  }

  #status(value: number): void {
    if (this.device === null) return;
    this.device.writeStatus(value);
    if (value !== 0) return;
    this.#align.fill(0);
    this.#acknowledge(INTERRUPT_USED_BUFFER | INTERRUPT_CONFIGURATION);
  }

  #noRegion(): number {
    return this.device === null ? 0 : ABSENT;
  }

  #configurationWord(index: number): number {
    const { device } = this;
    if (device === null) return 0;
    let word = 0;
    for (let lane = 0; lane < 4; lane++) {
      const offset = 4 * index + lane;
      if (offset < device.configurationBytes) word |= (device.configurationByte(offset) & 0xff) << (8 * lane);
    }
    return word;
  }

  #writeConfiguration(written: number, mask: number, index: number): void {
    if (this.device === null) return;
    const lane = (31 - Math.clz32(mask & -mask)) >> 3;
    const size = (32 - Math.clz32(mask)) / 8 - lane;
    const offset = 4 * index + lane;
    if (offset + size > this.device.configurationBytes) {
      this.guestError({
        kind: "reserved-offset",
        offset: 0x100 + offset,
        size,
        write: true,
        detail: "beyond the configuration",
      });
    } else this.device.writeConfiguration(offset, size, written >>> (8 * lane));
  }
}
