/**
 * Where images go in memory and where the first CPU starts, as QEMU's `virt` places them, so that software which relies on it
 * finds what it expects: `-kernel` with device tree in X0 (Linux booting.rst), `-bios` with the device tree at the start of RAM.
 */

import {
  type ElfSymbol,
  encodeFdt,
  InputError,
  isElf,
  notArm64Code,
  parseArm64Image,
  parseElf,
  parseFdt,
} from "../../src/formats/index.ts";
import { RAM_BASE, virtPart } from "./board.ts";
import { completeDeviceTree, type DeviceTreeOptions, virtDeviceTree } from "./device-tree.ts";

export interface ImageFile {
  /** Path or other name for messages. */
  readonly name: string;
  readonly data: Uint8Array;
}

export interface BootOptions {
  /** Firmware for flash bank 0; the CPU starts at address 0. */
  readonly firmware?: ImageFile;
  /** Linux image, ELF or flat binary. */
  readonly kernel?: ImageFile;
  readonly initrd?: ImageFile;
  readonly append?: string;
  /** A device tree of the user's own instead of the board's. */
  readonly deviceTree?: ImageFile;
  /** Further images; `address` is needed for flat binaries. */
  readonly loaders?: readonly LoaderOptions[];
}

export interface LoaderOptions {
  /** Nothing is loaded without one: `address` is then where `cpu` starts. */
  readonly image?: ImageFile;
  readonly address?: number;
  /** Load the file's bytes as they are, even of an ELF. */
  readonly forceRaw?: boolean;
  /** Start this CPU at the image's entry (or address). */
  readonly cpu?: number;
}

/** Bytes to put into memory at every reset. */
export interface Blob {
  readonly name: string;
  readonly address: number;
  readonly data: Uint8Array;
  /** Zero bytes after the data. */
  readonly zeros: number;
}

export interface BootPlan {
  readonly blobs: readonly Blob[];
  /** Start of CPU 0. */
  readonly entry: number;
  /** X0 of CPU 0 at start. */
  readonly x0: number;
  /** Starts of CPUs given by loaders. */
  readonly starts: readonly { readonly cpu: number; readonly entry: number }[];
  readonly deviceTree: Uint8Array;
  readonly symbols: readonly ElfSymbol[];
}

const MIB = 0x10_0000;
/** QEMU's `-kernel` without an image header. */
const FLAT_OFFSET = 0x8_0000;
/** An image with text_offset 0 leaves this much for the boot loader's own code. */
const LOADER_ROOM = 0x1000;

const hex = (n: number) => `0x${n.toString(16)}`;
const alignUp = (n: number, to: number) => Math.ceil(n / to) * to;

/**
 * Places everything. With firmware the CPU starts in flash, and kernel and initrd are the firmware's to load: the machine offers
 * them by fw_cfg. Throws InputError where an image is bad, does not fit, or overlaps another.
 */
export function planBoot(boot: BootOptions, board: Omit<DeviceTreeOptions, "bootargs" | "initrd">): BootPlan {
  const ramEnd = RAM_BASE + board.memory;
  const blobs: Blob[] = [];
  const symbols: ElfSymbol[] = [];
  const starts: { cpu: number; entry: number }[] = [];
  const add = (name: string, address: number, data: Uint8Array, memoryBytes = data.length) => {
    if (!placeable(address, memoryBytes, ramEnd)) {
      throw new InputError(
        `${name}: needs ${hex(address)} to ${hex(address + memoryBytes - 1)}; RAM is ${hex(RAM_BASE)} to ${hex(ramEnd - 1)}`,
      );
    }
    for (const other of blobs) {
      if (address < other.address + other.data.length + other.zeros && other.address < address + memoryBytes) {
        throw new InputError(`${name} at ${hex(address)} overlaps ${other.name} at ${hex(other.address)}`);
      }
    }
    blobs.push({ name, address, data, zeros: memoryBytes - data.length });
  };
  const addElf = (image: ImageFile): number => {
    const elf = parseElf(image.data, image.name);
    for (const s of elf.segments) add(image.name, s.address, s.data, s.memoryBytes);
    symbols.push(...elf.symbols);
    return elf.entry;
  };

  if (boot.firmware) {
    const flash = virtPart("flash0");
    if (boot.firmware.data.length > flash.size) {
      throw new InputError(
        `${boot.firmware.name}: ${boot.firmware.data.length} bytes; flash bank 0 holds ${flash.size}`,
      );
    }
  }
  if (boot.initrd && !boot.kernel) throw new InputError(`${boot.initrd.name}: an initrd needs a kernel (-kernel)`);

  let entry = 0;
  let low = Number.POSITIVE_INFINITY;
  const kernel = boot.firmware ? undefined : boot.kernel;
  const initrdImage = boot.firmware ? undefined : boot.initrd;
  if (kernel) {
    const { name, data } = kernel;
    if (data.length === 0) throw new InputError(`${name}: the file is empty`);
    if (isElf(data)) {
      entry = addElf(kernel);
    } else {
      const header = parseArm64Image(data);
      const other = header ? null : notArm64Code(data);
      if (other !== null) {
        throw new InputError(
          `${name}: ${other}; expected an arm64 Linux image (also with gzip), an ELF file, or a flat A64 binary`,
        );
      }
      let offset = header ? header.textOffset : FLAT_OFFSET;
      if (offset < LOADER_ROOM) offset += 2 * MIB;
      entry = RAM_BASE + offset;
      add(name, entry, data, Math.max(data.length, header?.imageBytes ?? 0));
    }
    low = Math.min(...blobs.map((b) => b.address));
  }

  let top = Math.max(RAM_BASE, ...blobs.map((b) => b.address + b.data.length + b.zeros));
  let initrd: { start: number; end: number } | undefined;
  if (initrdImage) {
    const start = alignUp(Math.max(RAM_BASE + Math.min(board.memory / 2, 128 * MIB), top), 4096);
    initrd = { start, end: start + initrdImage.data.length };
    add(initrdImage.name, start, initrdImage.data);
    top = initrd.end;
  }

  const tree = makeTree(boot, board, initrd);
  const fitsBelow = !kernel || (!initrdImage && isElf(kernel.data) && low >= RAM_BASE + tree.length);
  const treeAt = fitsBelow
    ? RAM_BASE
    : alignUp(Math.max(top, RAM_BASE + Math.min(board.memory / 2, 128 * MIB)), 2 * MIB);
  add("device tree", treeAt, tree);

  for (const loader of boot.loaders ?? []) {
    const { image } = loader;
    const name = image?.name ?? "loader";
    let start: number;
    if (image && isElf(image.data) && !loader.forceRaw) start = addElf(image);
    else if (loader.address === undefined) throw new InputError(`${name}: no ELF file, so addr= is needed`);
    else {
      start = loader.address;
      if (image) add(name, start, image.data);
    }
    if (loader.cpu !== undefined) {
      if (loader.cpu >= board.cpus)
        throw new InputError(`${name}: cpu-num=${loader.cpu}; the machine has ${board.cpus}`);
      starts.push({ cpu: loader.cpu, entry: start });
    }
  }
  // With firmware the CPU starts in flash, whatever else was loaded.
  return {
    blobs,
    entry: boot.firmware ? 0 : entry,
    x0: boot.kernel && !boot.firmware ? treeAt : 0,
    starts,
    deviceTree: tree,
    symbols,
  };
}

/** RAM or flash: the places an image may be loaded into. */
function placeable(address: number, bytes: number, ramEnd: number): boolean {
  if (address >= RAM_BASE) return address + bytes <= ramEnd;
  const flash = [virtPart("flash0"), virtPart("flash1")];
  return flash.some((f) => address >= f.base && address + bytes <= f.base + f.size);
}

function makeTree(
  boot: BootOptions,
  board: Omit<DeviceTreeOptions, "bootargs" | "initrd">,
  initrd: { start: number; end: number } | undefined,
): Uint8Array {
  const chosen = {
    ...(boot.append === undefined ? {} : { bootargs: boot.append }),
    ...(initrd ? { initrd } : {}),
  };
  if (boot.deviceTree) {
    const parsed = parseFdt(boot.deviceTree.data, boot.deviceTree.name);
    return encodeFdt(completeDeviceTree(parsed, { memory: board.memory, ...chosen }));
  }
  return encodeFdt(virtDeviceTree({ ...board, ...chosen }));
}
