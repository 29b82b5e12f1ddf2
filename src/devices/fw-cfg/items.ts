/** The items of the firmware configuration: byte strings by key, and files, which have names and a directory. */
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

/** Keys with a fixed meaning, of those that machines without a BIOS of the PC use. */
export const KEY = {
  SIGNATURE: 0x00,
  ID: 0x01,
  UUID: 0x02,
  RAM_SIZE: 0x03,
  NOGRAPHIC: 0x04,
  NB_CPUS: 0x05,
  KERNEL_SIZE: 0x08,
  INITRD_SIZE: 0x0b,
  BOOT_MENU: 0x0e,
  MAX_CPUS: 0x0f,
  KERNEL_DATA: 0x11,
  INITRD_DATA: 0x12,
  CMDLINE_SIZE: 0x14,
  CMDLINE_DATA: 0x15,
  FILE_DIR: 0x19,
} as const;

/** Files have keys from here on, in the order of their names. */
export const FILE_FIRST = 0x20;
export const FILE_SLOTS = 0x20;
/** Bit 14 of a key once meant writing; bit 15 marks items of one architecture. */
const IGNORED_KEY_BIT = 0x4000;
const NAME_BYTES = 56;
const ENTRY_BYTES = 64;

export interface ItemOptions {
  /** Called after the guest has written `length` bytes at `offset`; with it, the item is writable by DMA. */
  readonly onWrite?: (offset: number, length: number) => void;
  readonly writable?: boolean;
}

export interface Item {
  readonly data: Uint8Array;
  readonly writable: boolean;
  readonly onWrite: ((offset: number, length: number) => void) | undefined;
  /** What reset returns a writable item to. */
  readonly initial: Uint8Array | null;
}

interface FileItem extends Item {
  readonly name: string;
}

/** Items are configuration and are not saved, but for the bytes of those that the guest may write. */
export class Items implements StatePart {
  readonly #fixed = new Map<number, Item>();
  #files: FileItem[] = [];

  add(key: number, data: Uint8Array, options: ItemOptions = {}): void {
    if (!Number.isInteger(key) || key < 0 || key > 0xffff || (key & IGNORED_KEY_BIT) !== 0) {
      throw new RangeError(`fw_cfg key ${key}: expected 16 bits with bit 14 clear`);
    }
    if (this.#fixed.has(key) || (key >= FILE_FIRST && key < FILE_FIRST + FILE_SLOTS)) {
      throw new Error(`fw_cfg key 0x${key.toString(16)} is taken`);
    }
    this.#fixed.set(key, makeItem(data, options));
  }

  addFile(name: string, data: Uint8Array, options: ItemOptions = {}): void {
    if (!/^[\x20-\x7e]+$/.test(name) || name.length >= NAME_BYTES) {
      throw new RangeError(`fw_cfg file "${name}": expected 1 to ${NAME_BYTES - 1} ASCII characters`);
    }
    if (this.#files.some((f) => f.name === name)) throw new Error(`fw_cfg file "${name}" exists already`);
    if (this.#files.length >= FILE_SLOTS) throw new Error(`fw_cfg file "${name}": all ${FILE_SLOTS} places are taken`);
    const files = [...this.#files, { ...makeItem(data, options), name }];
    this.#files = files.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#fixed.set(KEY.FILE_DIR, makeItem(this.#directory(), {}));
  }

  /** The item that `key` selects, or null. */
  find(key: number): Item | null {
    const k = key & ~IGNORED_KEY_BIT;
    return this.#fixed.get(k) ?? this.#files[k - FILE_FIRST] ?? null;
  }

  /** Names and keys of the files, in the order of the directory. */
  get files(): readonly { readonly name: string; readonly key: number; readonly size: number }[] {
    return this.#files.map((f, i) => ({ name: f.name, key: FILE_FIRST + i, size: f.data.length }));
  }

  save(): StateValue {
    const record: Record<string, StateValue> = {};
    for (const [id, item] of this.#writable()) record[id] = item.data.slice();
    return record;
  }

  load(value: StateValue, path: string): void {
    const record = value as { readonly [id: string]: StateValue } | null;
    if (record === null || typeof record !== "object") throw new SnapshotError(`${path}: expected a record of items`);
    const items = new Map(this.#writable());
    for (const id of Object.keys(record)) if (!items.has(id)) throw new SnapshotError(`${path}.${id}: unknown item`);
    for (const [id, item] of items) {
      const saved = record[id];
      if (!(saved instanceof Uint8Array) || saved.length !== item.data.length) {
        throw new SnapshotError(`${path}.${id}: expected ${item.data.length} bytes`);
      }
      item.data.set(saved);
    }
  }

  reset(): void {
    for (const [, item] of this.#writable()) if (item.initial !== null) item.data.set(item.initial);
  }

  *#writable(): Generator<[string, Item]> {
    for (const [key, item] of this.#fixed) if (item.writable) yield [`key 0x${key.toString(16)}`, item];
    for (const file of this.#files) if (file.writable) yield [file.name, file];
  }

  #directory(): Uint8Array {
    const bytes = new Uint8Array(4 + ENTRY_BYTES * FILE_SLOTS);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.#files.length);
    this.#files.forEach((file, i) => {
      const at = 4 + ENTRY_BYTES * i;
      view.setUint32(at, file.data.length);
      view.setUint16(at + 4, FILE_FIRST + i);
      bytes.set(ascii(file.name), at + 8);
    });
    return bytes;
  }
}

function makeItem(data: Uint8Array, options: ItemOptions): Item {
  const writable = options.writable ?? options.onWrite !== undefined;
  return {
    data: writable ? data.slice() : data,
    writable,
    onWrite: options.onWrite,
    initial: writable ? data.slice() : null,
  };
}

/** The bytes of a text of ASCII characters. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** A number of `bytes` bytes, little-endian, as fixed items hold them. */
export function littleEndian(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) % 256);
}
