/**
 * Parallel NOR flash with the Common Flash Interface and the Intel/Sharp extended command set 0x0001 (JEDEC JESD68.01,
 * JEP137; commands and status register as in the Intel StrataFlash J3 and P30 datasheets). A bank is one or more
 * devices side by side; QEMU's `virt` has two 16-bit ones a bank.
 *
 * Modelled: read array, status, identifier and query; word program (0x40, 0x10), buffered program (0xE8), block erase
 * (0x20), suspend and resume, block locking (0x60), clear status. Programming clears bits only, erasing sets them.
 * Times are an option; unless given, operations are done when the write is. While every device is in array mode the
 * contents are reached directly, so that a CPU executes from flash as from RAM.
 *
 * Not modelled: burst modes and the configuration register, OTP protection registers, blank check (no guest of the
 * board uses them).
 *
 * Choices: a command on some of the bank's byte lanes is one to all its devices, as in QEMU's model: Debian's U-Boot
 * drives a 32-bit bank with 16-bit accesses (option `lanes`). Contents that nobody has loaded, programmed or erased
 * read as zero, as in QEMU, and not as erased. Blocks are unlocked after reset, and lock-down is the same as lock. An
 * unknown command is recorded and leads back to the array. Clear status leaves the mode alone. A read-only bank
 * refuses as if Vpp were low.
 */
import {
  type Arena,
  type DirectRegion,
  Memory,
  SIZES_UP_TO_32,
  type Target,
  type Transaction,
} from "../../bus/index.ts";
import { Module, type Simulation, type Time } from "../../sim/index.ts";
import { type DeviceHost, type DeviceOptions, deviceState, FlashDevice } from "./device.ts";
import { BUFFER_SHIFT, cfiQuery } from "./query.ts";

export interface CfiFlashOptions {
  /** Bytes of the bank; 64 MiB unless given. */
  readonly size?: number;
  /** Bytes of a sector of the bank, over all its devices; 256 KiB unless given. */
  readonly sectorSize?: number;
  /** Bytes of the bank's and of each device's data bus; 4 and 2 unless given. */
  readonly bankWidth?: number;
  readonly deviceWidth?: number;
  readonly manufacturerId?: number;
  readonly deviceId?: number;
  /**
   * "joint": a command on any byte lanes is one to every device, as in QEMU's model, whose guests count on it. "separate": each
   * device hears its own lanes only, as real ones do. "joint" unless given.
   */
  readonly lanes?: "joint" | "separate";
  /** Programs and erases fail. */
  readonly readOnly?: boolean;
  /** Ticks that a word program, a buffered program and a block erase take; 0 unless given. */
  readonly programTime?: Time;
  readonly bufferTime?: Time;
  readonly eraseTime?: Time;
}

export class CfiFlash extends Module implements Target {
  readonly accessSizes = SIZES_UP_TO_32;
  readonly size: number;
  /** The bytes of the array. Its `fill` loads an image, its `slice` gets bytes out. */
  readonly contents: Memory;
  /** Told of every range that a guest programs or erases, so that a file can follow. Holds no state. */
  onChange: ((offset: number, length: number) => void) | null = null;
  readonly #devices: FlashDevice[];
  readonly #bankWidth: number;
  readonly #deviceWidth: number;
  readonly #sectorSize: number;
  readonly #joint: boolean;
  readonly #listeners: ((offset: number, length: number) => void)[] = [];
  /** Reads go straight to the contents. Derived from the devices' modes. */
  #direct = true;

  constructor(parent: Module | Simulation, name: string, arena: Arena, options: CfiFlashOptions = {}) {
    super(parent, name);
    const { size = 0x400_0000, sectorSize = 0x4_0000, bankWidth = 4, deviceWidth = 2 } = options;
    const devices = bankWidth / deviceWidth;
    const good =
      [size, sectorSize, bankWidth, deviceWidth, devices].every(isPowerOfTwo) &&
      bankWidth <= 4 &&
      sectorSize >= devices << BUFFER_SHIFT &&
      size >= sectorSize &&
      size / sectorSize <= 0x1_0000;
    if (!good) {
      throw new RangeError(
        `${this.fullName}: ${size} bytes in sectors of ${sectorSize}, ${bankWidth} bytes wide of devices ${deviceWidth} wide: ` +
          "expected powers of two that fit each other",
      );
    }
    this.size = size;
    this.#bankWidth = bankWidth;
    this.#deviceWidth = deviceWidth;
    this.#sectorSize = sectorSize;
    this.#joint = options.lanes !== "separate";
    this.contents = new Memory(this, "contents", arena, { size });
    const deviceOptions: DeviceOptions = {
      deviceWidth,
      blockSize: sectorSize / devices,
      blocks: size / sectorSize,
      bufferSize: 1 << BUFFER_SHIFT,
      manufacturerId: options.manufacturerId ?? 0x89,
      deviceId: options.deviceId ?? 0x18,
      readOnly: options.readOnly ?? false,
      query: cfiQuery({ size, sectorSize, bankWidth, deviceWidth }),
      programTime: options.programTime ?? 0,
      bufferTime: options.bufferTime ?? 0,
      eraseTime: options.eraseTime ?? 0,
    };
    this.#devices = Array.from({ length: devices }, (_, i) => {
      const state = this.state(deviceState(deviceOptions), `device${i}`);
      return new FlashDevice(this, i, deviceOptions, state, this.#host(i));
    });
    this.contents.onInvalidate((offset, length) => this.#invalidate(offset, length));
  }

  read(offset: number, size: number, tx: Transaction): number {
    return this.#direct ? this.contents.read(offset, size, tx) : this.#answer(offset, size);
  }

  write(offset: number, size: number, value: number, _tx: Transaction): void {
    for (let at = offset; at < offset + size; ) {
      const address = Math.floor(at / this.#bankWidth);
      const end = Math.min((address + 1) * this.#bankWidth, offset + size);
      this.#cycle(address, at, end - at, value >>> (8 * (at - offset)));
      at = end;
    }
    this.#updateMode();
  }

  /** One write cycle on the bank's bus: `bytes` bytes from `at` on, within bank word `address`. */
  #cycle(address: number, at: number, bytes: number, value: number): void {
    const width = this.#deviceWidth;
    const mask = width === 4 ? -1 : (1 << (8 * width)) - 1;
    const driven = ((1 << bytes) - 1) << (at - address * this.#bankWidth);
    const onBus = value << (8 * (at - address * this.#bankWidth));
    this.#devices.forEach((device, i) => {
      const lanes = (driven >>> (i * width)) & ((1 << width) - 1);
      const data = ((onBus >>> (8 * i * width)) & mask) >>> 0;
      if (this.#joint) device.write(address, (value & mask) >>> 0, data, lanes);
      else if (lanes !== 0) device.write(address, (lanes & 1) !== 0 ? data : 0, data, lanes);
    });
  }

  /** As a read: nothing here changes by being read. */
  peek(offset: number, size: number): number {
    return this.#direct ? this.contents.peek(offset, size) : this.#answer(offset, size);
  }
  /** Changes the contents, whatever mode the devices are in. */
  poke(offset: number, size: number, value: number): void {
    this.contents.poke(offset, size, value);
  }

  direct(offset: number, write: boolean): DirectRegion | null {
    if (write || !this.#direct) return null;
    const region = this.contents.direct(offset, false);
    return region && { ...region, writable: false };
  }

  onInvalidate(listener: (offset: number, length: number) => void): void {
    this.#listeners.push(listener);
  }

  protected override onReset(): void {
    this.#updateMode();
  }
  protected override onRestore(): void {
    this.#updateMode();
  }

  #host(index: number): DeviceHost {
    const width = this.#deviceWidth;
    const lane = index * width;
    /** Offset in the bank of byte `address` of this device. */
    const offsetOf = (address: number): number =>
      Math.floor(address / width) * this.#bankWidth + lane + (address % width);
    return {
      readWord: (address) => this.contents.peek(address * this.#bankWidth + lane, width),
      program: (address, data) => {
        let first = -1;
        let last = 0;
        data.forEach((byte, i) => {
          if (byte === 0xff) return;
          const at = offsetOf(address + i);
          this.contents.poke(at, 1, this.contents.peek(at, 1) & byte);
          if (first < 0) first = at;
          last = at;
        });
        if (first >= 0) this.onChange?.(first, last - first + 1);
      },
      erase: (block) => {
        const start = block * this.#sectorSize;
        if (!this.#backed(start)) return;
        if (this.#bankWidth === width) this.contents.fill(start, new Uint8Array(this.#sectorSize).fill(0xff));
        else {
          const sector = this.contents.slice(start, this.#sectorSize);
          for (let at = lane; at < sector.length; at += this.#bankWidth) sector.fill(0xff, at, at + width);
          this.contents.fill(start, sector);
        }
        this.onChange?.(start, this.#sectorSize);
      },
      complain: (kind, command, detail) => {
        // Joint devices make the same mistakes.
        if (index > 0 && this.#joint) return;
        const clause = "JEP137, command set 0x0001";
        this.guestError({ kind, register: `device${index}`, write: true, value: command, clause, detail });
      },
    };
  }

  /** Takes host memory for the sector at `start`; false (and recorded by the memory) where the machine has no more. */
  #backed(start: number): boolean {
    for (let at = start; at < start + this.#sectorSize; ) {
      const region = this.contents.direct(at, true);
      if (region === null) return false;
      at = region.end;
    }
    return true;
  }

  #answer(offset: number, size: number): number {
    const width = this.#deviceWidth;
    let value = 0;
    for (let at = offset; at < offset + size; at++) {
      const word = Math.floor(at / width);
      const device = this.#devices[word % this.#devices.length] as FlashDevice;
      const byte = (device.read(Math.floor(at / this.#bankWidth)) >>> (8 * (at % width))) & 0xff;
      value |= byte << (8 * (at - offset));
    }
    return value >>> 0;
  }

  /** Direct access exists in array mode only; whoever has it must hear when that ends, and when it begins. */
  #updateMode(): void {
    const direct = this.#devices.every((d) => d.inArrayMode);
    if (direct === this.#direct) return;
    this.#direct = direct;
    this.#invalidate(0, this.size);
  }

  #invalidate(offset: number, length: number): void {
    for (const listener of this.#listeners) listener(offset, length);
  }
}

function isPowerOfTwo(n: number): boolean {
  return Number.isSafeInteger(n) && n > 0 && Number.isInteger(Math.log2(n));
}
