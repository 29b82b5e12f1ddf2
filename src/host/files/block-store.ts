/** Raw disk images for block devices: on a file, read-only or written through. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { type BlockStore, SECTOR_BYTES, StoreError } from "../../devices/virtio/index.ts";
import { InputError } from "../../formats/index.ts";
import { systemReason } from "../files.ts";

/** First bytes of formats that are not raw. */
const FORMATS: readonly (readonly [magic: string, name: string])[] = [
  ["QFI\xfb", "qcow2"],
  ["KDMV", "vmdk"],
  ["vhdxfile", "vhdx"],
  ["conectix", "vpc"],
  ["<<< ", "vdi"],
  ["QED\0", "qed"],
  ["LUKS\xba\xbe", "luks"],
];

export interface FileStoreOptions {
  readonly readOnly: boolean;
  /** Refuse an image that looks like another format than raw. */
  readonly probe?: boolean;
}

/** A raw image file. The last partial sector, if any, is not part of the disk. */
export class FileStore implements BlockStore {
  readonly sectors: number;
  readonly readOnly: boolean;
  /** Device and inode: what tells two names of one file. */
  readonly identity: string;
  readonly #file: number;

  /** Throws InputError, with `where` in front, where the file cannot be opened as asked. */
  constructor(where: string, path: string, options: FileStoreOptions) {
    this.readOnly = options.readOnly;
    this.#file = open(where, path, options.readOnly);
    try {
      const status = fstatSync(this.#file);
      if (!status.isFile()) throw new InputError(`${where}: ${path}: expected a regular file with a disk image`);
      this.sectors = Math.floor(status.size / SECTOR_BYTES);
      this.identity = `${status.dev}:${status.ino}`;
      if (this.sectors === 0)
        throw new InputError(`${where}: ${path}: ${status.size} bytes: expected at least one sector of 512`);
      if (options.probe === true) this.#probe(where, path);
    } catch (error) {
      closeSync(this.#file);
      throw error;
    }
  }

  read(sector: number, into: Uint8Array): void {
    try {
      let done = 0;
      while (done < into.length) {
        const n = readSync(this.#file, into, done, into.length - done, sector * SECTOR_BYTES + done);
        if (n === 0) break;
        done += n;
      }
      into.fill(0, done);
    } catch (error) {
      throw new StoreError(systemReason(error));
    }
  }

  write(sector: number, from: Uint8Array): void {
    try {
      for (let done = 0; done < from.length; ) {
        done += writeSync(this.#file, from, done, from.length - done, sector * SECTOR_BYTES + done);
      }
    } catch (error) {
      throw new StoreError(systemReason(error));
    }
  }

  flush(): void {
    if (this.readOnly) return;
    try {
      fsyncSync(this.#file);
    } catch (error) {
      throw new StoreError(systemReason(error));
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #probe(where: string, path: string): void {
    const start = new Uint8Array(SECTOR_BYTES);
    this.read(0, start);
    const text = String.fromCharCode(...start.subarray(0, 8));
    const found = FORMATS.find(([magic]) => text.startsWith(magic));
    if (found) {
      throw new InputError(
        `${where}: ${path}: a ${found[1]} image: not supported by Armature: expected raw (qemu-img convert -O raw makes one)`,
      );
    }
  }
}

function open(where: string, path: string, readOnly: boolean): number {
  try {
    // A pipe or a device is not waited for.
    return openSync(path, (readOnly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NONBLOCK);
  } catch (error) {
    throw new InputError(`${where}: ${path}: cannot be opened: ${systemReason(error)}`);
  }
}
