/**
 * A host folder as the tree of a 9P device. Names come as lists without "/" and ".."; links are never followed: each component
 * is looked at with lstat, and files are opened with O_NOFOLLOW, so there is no way out of the folder.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { constants as osConstants } from "node:os";
import { join } from "node:path";
import type { FileStatus, FileTree, Path } from "../../devices/virtio/index.ts";
import { InputError } from "../../formats/index.ts";
import { systemReason } from "../files.ts";

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
const ENOTDIR = 20;
const EINVAL = 22;
const EIO = 5;

export class Folder implements FileTree {
  readonly readOnly: boolean;
  readonly #root: string;

  /** Throws InputError, with `where` in front, where `root` is no folder. */
  constructor(where: string, root: string, readOnly: boolean) {
    this.readOnly = readOnly;
    try {
      // The folder itself may be named by a link; from here on nothing is followed.
      this.#root = realpathSync(root);
      readdirSync(this.#root);
    } catch (error) {
      throw new InputError(`${where}: ${root}: ${systemReason(error)}: expected a folder to share`);
    }
  }

  status(path: Path): FileStatus | number {
    return this.#within(path, (host) => {
      const s = lstatSync(host, { bigint: true });
      return {
        mode: Number(s.mode),
        uid: Number(s.uid),
        gid: Number(s.gid),
        links: Number(s.nlink),
        size: Number(s.size),
        inode: Number(BigInt.asUintN(52, s.ino)),
        modified: Number(s.mtimeNs / 1_000_000_000n),
        modifiedNs: Number(s.mtimeNs % 1_000_000_000n),
      };
    });
  }
  list(path: Path): string[] | number {
    return this.#within(path, (host) => (lstatSync(host).isDirectory() ? readdirSync(host) : -ENOTDIR));
  }
  read(path: Path, offset: number, into: Uint8Array): number {
    return this.#opened(path, O_RDONLY, (file) => readSync(file, into, 0, into.length, offset));
  }
  write(path: Path, offset: number, data: Uint8Array): number {
    return this.#opened(path, O_WRONLY, (file) => writeSync(file, data, 0, data.length, offset));
  }
  truncate(path: Path, size: number): number {
    return this.#opened(path, O_WRONLY, (file) => {
      ftruncateSync(file, size);
      return 0;
    });
  }
  setMode(path: Path, mode: number): number {
    return this.#opened(path, O_RDONLY, (file) => {
      fchmodSync(file, mode & 0o777);
      return 0;
    });
  }
  readLink(path: Path): string | number {
    return this.#within(path, (host) => readlinkSync(host));
  }
  create(path: Path, mode: number): number {
    return this.#within(path, (host) => {
      closeSync(openSync(host, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0o777));
      return 0;
    });
  }
  makeDirectory(path: Path, mode: number): number {
    return this.#within(path, (host) => {
      mkdirSync(host, mode & 0o777);
      return 0;
    });
  }
  makeLink(path: Path, target: string): number {
    return this.#within(path, (host) => {
      symlinkSync(target, host);
      return 0;
    });
  }
  remove(path: Path, directory: boolean): number {
    if (path.length === 0) return -EINVAL;
    return this.#within(path, (host) => {
      if (directory) rmdirSync(host);
      else unlinkSync(host);
      return 0;
    });
  }
  rename(from: Path, to: Path): number {
    if (from.length === 0 || to.length === 0) return -EINVAL;
    return this.#within(from, (hostFrom) =>
      this.#within(to, (hostTo) => {
        renameSync(hostFrom, hostTo);
        return 0;
      }),
    );
  }

  /** Runs `action` on the host's path when every component before the last is a folder and no link. */
  #within<T>(path: Path, action: (host: string) => T | number): T | number {
    try {
      let host = this.#root;
      for (const [i, name] of path.entries()) {
        if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) return -EINVAL;
        if (i > 0 && !lstatSync(host).isDirectory()) return -ENOTDIR;
        host = join(host, name);
      }
      return action(host);
    } catch (error) {
      return errorNumber(error);
    }
  }

  #opened(path: Path, flags: number, action: (file: number) => number): number {
    return this.#within(path, (host) => {
      const status = lstatSync(host);
      if (!status.isFile()) return -EINVAL;
      const file = openSync(host, flags | O_NOFOLLOW | O_NONBLOCK);
      try {
        return action(file);
      } finally {
        closeSync(file);
      }
    }) as number;
  }
}

/** The Linux error number of a system error, negative; the host's own number is only right on Linux, names are everywhere. */
function errorNumber(error: unknown): number {
  const code = (error as { code?: string }).code;
  const { errno } = osConstants;
  const known = code === undefined ? undefined : (errno as { readonly [name: string]: number })[code];
  return -(known ?? EIO);
}
