/**
 * QEMU's firmware configuration device (docs/specs/fw_cfg of QEMU), memory-mapped as on Arm machines: selector, data and DMA.
 *
 * Modelled: all of it. Items are added by the machine and the host before it runs: `add` for keys with a fixed meaning, `addFile` for
 * files, which get keys from 0x20 on in the order of their names, as in QEMU.
 *
 * Choices: writes to the data register are ignored, as in QEMU since 2.4, and recorded. A key without an item reads as zeroes. A read of the
 * data register that does not begin at offset 0 takes nothing from the item, and is recorded. DMA that fails sets
 * the error bit and is recorded; a read may go at most 16 MiB past the item's end (zeroes, as in QEMU, where there is no limit). A
 * transfer that would start another one by writing to this device does not.
 */
import { type Port, RESPONSE_OK } from "../../bus/index.ts";
import { RegisterBank } from "../../registers/index.ts";
import { type GuestErrorKind, Module, type Simulation } from "../../sim/index.ts";
import { ascii, type Item, type ItemOptions, Items, KEY, littleEndian } from "./items.ts";
import { FW_CFG } from "./registers.ts";

const SIGNATURE = 0x554d4551;
const DMA_SIGNATURE = 0x47464320;

const DMA_ERROR = 0x01;
const DMA_READ = 0x02;
const DMA_SKIP = 0x04;
const DMA_SELECT = 0x08;
const DMA_WRITE = 0x10;

const BLOCK = 0x1_0000;
const MAX_PADDING = 0x100_0000;

export interface FwCfgOptions {
  /** Where DMA goes; without it the device has no DMA interface. */
  readonly port?: Port;
  /** Number of CPUs to tell; 1 unless given. */
  readonly cpus?: number;
  /** 16 bytes; zero unless given. */
  readonly uuid?: Uint8Array;
}

export interface LinuxBoot {
  readonly kernel?: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine?: string;
}

export class FwCfg extends Module {
  readonly registers: RegisterBank<typeof FW_CFG>;
  readonly items = new Items();
  readonly #port: Port | null;
  readonly #state = this.state({ key: KEY.SIGNATURE as number, offset: 0, addressHigh: 0 });
  /** A DMA transfer is under way. */
  #busy = false;

  constructor(parent: Module | Simulation, name: string, options: FwCfgOptions = {}) {
    super(parent, name);
    this.#port = options.port ?? null;
    this.part("items", this.items);
    const data = {
      get: () => this.#next(),
      onRead: (_index: number, _cpu: number, _value: number, mask: number) => this.#advance(mask),
    };
    this.registers = this.part(
      "registers",
      new RegisterBank(this, FW_CFG, {
        DATA: data,
        DATA_UPPER: data,
        SELECTOR: { onWrite: (written) => this.#select(((written & 0xff) << 8) | ((written >>> 8) & 0xff)) },
        DMA_ADDRESS_HIGH: {
          get: () => (this.#port === null ? 0 : SIGNATURE),
          onWrite: (written) => {
            this.#state.addressHigh = swap(written);
          },
        },
        DMA_ADDRESS_LOW: {
          get: () => (this.#port === null ? 0 : DMA_SIGNATURE),
          onWrite: (written) => this.#startDma(swap(written)),
        },
      }),
    );
    this.items.add(KEY.SIGNATURE, ascii("QEMU"));
    this.addNumber(KEY.ID, this.#port === null ? 1 : 3, 4);
    // What QEMU's `virt` always has, save the tables of ACPI and SMBIOS.
    this.add(KEY.UUID, options.uuid ?? new Uint8Array(16));
    this.addNumber(KEY.NOGRAPHIC, 0, 2);
    this.addNumber(KEY.NB_CPUS, options.cpus ?? 1, 2);
    this.addNumber(KEY.BOOT_MENU, 0, 2);
    this.addFile("bootorder", new Uint8Array(0));
    this.addFile("etc/boot-fail-wait", littleEndian(0xffff_ffff, 4));
  }

  /** Adds an item under a key with a fixed meaning. Throws where the key is taken or no key. */
  add(key: number, data: Uint8Array, options: ItemOptions = {}): void {
    this.items.add(key, data, options);
  }
  /** As `add`, a little-endian number of 2, 4 or 8 bytes. */
  addNumber(key: number, value: number, bytes: 2 | 4 | 8): void {
    this.items.add(key, littleEndian(value, bytes));
  }
  /** Adds a file. Throws where the name is taken, no ASCII or longer than 55 characters, or the directory is full. */
  addFile(name: string, data: Uint8Array, options: ItemOptions = {}): void {
    this.items.addFile(name, data, options);
  }

  /** Kernel, initrd and command line for firmware to start: what `-kernel` with firmware gives. */
  setBoot(boot: LinuxBoot): void {
    if (boot.kernel) {
      this.addNumber(KEY.KERNEL_SIZE, boot.kernel.length, 4);
      this.add(KEY.KERNEL_DATA, boot.kernel);
    }
    if (boot.initrd) {
      this.addNumber(KEY.INITRD_SIZE, boot.initrd.length, 4);
      this.add(KEY.INITRD_DATA, boot.initrd);
    }
    if (boot.commandLine !== undefined) {
      const text = new TextEncoder().encode(`${boot.commandLine}\0`);
      this.addNumber(KEY.CMDLINE_SIZE, text.length, 4);
      this.add(KEY.CMDLINE_DATA, text);
    }
  }

  #select(key: number): void {
    this.#state.key = key;
    this.#state.offset = 0;
  }

  /** The item's next four bytes, the first in bits 7:0; zeroes past its end. */
  #next(): number {
    const item = this.items.find(this.#state.key);
    if (item === null) return 0;
    let value = 0;
    for (let i = 0; i < 4; i++) value |= (item.data[this.#state.offset + i] ?? 0) << (8 * i);
    return value;
  }

  #advance(mask: number): void {
    if ((mask & 0xff) === 0) {
      this.#complain("width", "a read of the data register begins at offset 0");
      return;
    }
    const item = this.items.find(this.#state.key);
    const bytes = mask === 0xff ? 1 : mask === 0xffff ? 2 : 4;
    if (item !== null)
      this.#state.offset = Math.max(this.#state.offset, Math.min(this.#state.offset + bytes, item.data.length));
  }

  #startDma(addressLow: number): void {
    const high = this.#state.addressHigh;
    this.#state.addressHigh = 0;
    if (this.#port === null) this.#complain("unimplemented", "this machine's fw_cfg has no DMA interface");
    else if (this.#busy) this.#complain("dma", "a transfer writes to this device's own DMA register; ignored");
    else {
      this.#busy = true;
      this.#transfer(this.#port, high * 2 ** 32 + addressLow);
      this.#busy = false;
    }
  }

  #transfer(port: Port, descriptor: number): void {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    let outcome = DMA_ERROR;
    if (!port.readBlock(descriptor, bytes)) {
      this.#complain("dma", "the DMA descriptor cannot be read", descriptor);
    } else {
      const control = view.getUint32(0);
      if ((control & DMA_SELECT) !== 0) this.#select(control >>> 16);
      const address = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
      if (this.#perform(port, control, address, view.getUint32(4))) outcome = 0;
    }
    port.write(descriptor, 4, swap(outcome));
    if (port.response !== RESPONSE_OK) this.#complain("dma", "the DMA descriptor cannot be written", descriptor);
  }

  #perform(port: Port, control: number, address: number, length: number): boolean {
    const item = this.items.find(this.#state.key);
    const { offset } = this.#state;
    const left = item === null ? 0 : Math.max(item.data.length - offset, 0);
    if ((control & DMA_READ) !== 0) return this.#read(port, item, address, length, left);
    if ((control & DMA_WRITE) !== 0) return this.#write(port, item, address, length, left);
    if ((control & DMA_SKIP) !== 0) this.#state.offset = offset + Math.min(length, left);
    return true;
  }

  #read(port: Port, item: Item | null, address: number, length: number, left: number): boolean {
    if (length - left > MAX_PADDING) {
      return this.#complain("dma", `a read of ${length} bytes where the item has ${left} left`, address);
    }
    const { offset } = this.#state;
    const fromItem = Math.min(length, left);
    this.#state.offset = offset + fromItem;
    const good =
      fromItem === 0 || item === null || port.writeBlock(address, item.data.subarray(offset, offset + fromItem));
    if (!good) return this.#complain("dma", "the destination refuses", address);
    const zeroes = new Uint8Array(Math.min(length - fromItem, BLOCK));
    for (let done = fromItem; done < length; done += BLOCK) {
      const block = zeroes.subarray(0, Math.min(BLOCK, length - done));
      if (!port.writeBlock(address + done, block)) return this.#complain("dma", "the destination refuses", address);
    }
    return true;
  }

  #write(port: Port, item: Item | null, address: number, length: number, left: number): boolean {
    if (length === 0) return true;
    if (item === null || !item.writable) return this.#complain("dma", "a write to an item that is read-only", address);
    const { offset } = this.#state;
    // A write that does not fit is dropped, but the bytes that would fit are passed over.
    this.#state.offset = offset + Math.min(length, left);
    if (length > left) {
      return this.#complain("dma", `a write of ${length} bytes where the item has ${left} left`, address);
    }
    const bytes = new Uint8Array(length);
    if (!port.readBlock(address, bytes)) return this.#complain("dma", "the source refuses", address);
    item.data.set(bytes, offset);
    item.onWrite?.(offset, length);
    return true;
  }

  /** Records; returns false, for failing transfers. */
  #complain(kind: GuestErrorKind, detail: string, address?: number): false {
    this.guestError({
      kind,
      register: kind === "width" ? "DATA" : "DMA_ADDRESS_LOW",
      clause: `${FW_CFG.manual} ${kind === "width" ? "Data Register" : "Guest-side DMA Interface"}`,
      ...(address !== undefined ? { address } : {}),
      detail,
    });
    return false;
  }
}

/** Reverses the bytes of a 32-bit word. */
function swap(word: number): number {
  return (((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | ((word >>> 24) & 0xff)) >>> 0;
}
