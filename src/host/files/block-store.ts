/** Raw disk images for block devices: on a file, read-only or written through; or in memory over a file (copy on write). */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { type BlockStore, SECTOR_BYTES } from "../../devices/virtio/index.ts";
import { InputError } from "../../formats/index.ts";

/** A raw image file. The last partial sector, if any, is not part of the disk. */
export class FileStore implements BlockStore {
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly #file: number;

  /** Throws InputError where the file cannot be opened as asked. */
  constructor(path: string, readOnly: boolean) {
    this.readOnly = readOnly;
    try {
      this.#file = openSync(path, readOnly ? "r" : "r+");
      const status = fstatSync(this.#file);
      if (!status.isFile()) throw new Error("not a regular file");
      this.sectors = Math.floor(status.size / SECTOR_BYTES);
    } catch (error) {
      throw new InputError(`${path}: ${(error as Error).message}; expected a disk image`);
    }
  }
  read(sector: number, into: Uint8Array): void {
    const n = readSync(this.#file, into, 0, into.length, sector * SECTOR_BYTES);
    into.fill(0, n);
  }
  write(sector: number, from: Uint8Array): void {
    writeSync(this.#file, from, 0, from.length, sector * SECTOR_BYTES);
  }
  flush(): void {
    if (!this.readOnly) fsyncSync(this.#file);
  }
  close(): void {
    closeSync(this.#file);
  }
}
