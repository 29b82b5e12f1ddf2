/**
 * A 9P2000.L file server (Linux net/9p: 9p.h; the protocol page of diod) over a tree that the host provides. Files are named by lists
 * of names from the root; a name never contains "/" and is never "..", so nothing outside the tree can be named. Symbolic
 * links are shown to the client and never followed here.
 */
import { Reader, Writer } from "./p9-messages.ts";

/** What a file is: mode bits as in Linux's st_mode, sizes in bytes, times in seconds and nanoseconds. */
export interface FileStatus {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly size: number;
  readonly inode: number;
  readonly modified: number;
  readonly modifiedNs: number;
}

/** Linux error numbers. */
export const ENOENT = 2;
export const EIO = 5;
export const EBADF = 9;
export const EEXIST = 17;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const EROFS = 30;
export const EOPNOTSUPP = 95;

export type Path = readonly string[];

/** The host's side. Operations return a result, or a Linux error number as a negative number. */
export interface FileTree {
  readonly readOnly: boolean;
  status(path: Path): FileStatus | number;
  list(path: Path): string[] | number;
  read(path: Path, offset: number, into: Uint8Array): number;
  write(path: Path, offset: number, data: Uint8Array): number;
  readLink(path: Path): string | number;
  create(path: Path, mode: number): number;
  makeDirectory(path: Path, mode: number): number;
  makeLink(path: Path, target: string): number;
  remove(path: Path, directory: boolean): number;
  rename(from: Path, to: Path): number;
  truncate(path: Path, size: number): number;
  setMode(path: Path, mode: number): number;
}

/** A handle of the client's: saved with the device. */
export interface Fid {
  path: string[];
  open: boolean;
}

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const O_TRUNC = 0o1000;
const O_ACCMODE = 3;
const BLOCK = 4096;
/** Most fids a client may hold. */
const FIDS_MAX = 65536;
const MESSAGE_MAX = 1 << 20;
const MESSAGE_MIN = 512;

/** Request types; a reply is one more. Errors are RLERROR. */
const T = {
  statfs: 8,
  lopen: 12,
  lcreate: 14,
  symlink: 16,
  mknod: 18,
  rename: 20,
  readlink: 22,
  getattr: 24,
  setattr: 26,
  xattrwalk: 30,
  xattrcreate: 32,
  readdir: 40,
  fsync: 50,
  lock: 52,
  getlock: 54,
  link: 70,
  mkdir: 72,
  renameat: 74,
  unlinkat: 76,
  version: 100,
  auth: 102,
  attach: 104,
  flush: 108,
  walk: 110,
  read: 116,
  write: 118,
  clunk: 120,
  remove: 122,
} as const;
const RLERROR = 7;
const VERSION = "9P2000.L";

export interface P9State {
  messageSize: number;
  fids: Map<number, Fid>;
}

export class P9Server {
  readonly #tree: FileTree;
  readonly #state: P9State;

  constructor(tree: FileTree, state: P9State) {
    this.#tree = tree;
    this.#state = state;
  }

  /** The reply to a request. */
  answer(request: Uint8Array): Uint8Array {
    const r = new Reader(request);
    r.u32();
    const type = r.u8();
    const tag = r.u16();
    const w = new Writer();
    w.u32(0)
      .u8(type + 1)
      .u16(tag);
    let error = this.#handle(type, r, w);
    if (r.short && error >= 0) error = -EINVAL;
    if (error < 0) {
      const e = new Writer();
      e.u32(11).u8(RLERROR).u16(tag).u32(-error);
      return e.done();
    }
    w.patch32(0, w.length);
    return w.done();
  }

  #handle(type: number, r: Reader, w: Writer): number {
    switch (type) {
      case T.version:
        return this.#version(r, w);
      case T.attach:
        return this.#attach(r, w);
      case T.walk:
        return this.#walk(r, w);
      case T.clunk:
        return this.#state.fids.delete(r.u32()) ? 0 : -EBADF;
      case T.getattr:
        return this.#onFid(r, (fid) => this.#getattr(fid, w));
      case T.lopen:
        return this.#onFid(r, (fid) => this.#lopen(fid, r.u32(), w));
      case T.lcreate:
        return this.#onFid(r, (fid) => this.#lcreate(fid, r, w));
      case T.read:
        return this.#onFid(r, (fid) => this.#read(fid, r.u64(), r.u32(), w));
      case T.write:
        return this.#onFid(r, (fid) => this.#write(fid, r, w));
      case T.readdir:
        return this.#onFid(r, (fid) => this.#readdir(fid, r.u64(), r.u32(), w));
      case T.readlink:
        return this.#onFid(r, (fid) => {
          const target = this.#tree.readLink(fid.path);
          return typeof target === "number" ? target : done(w.text(target));
        });
      case T.setattr:
        return this.#onFid(r, (fid) => this.#setattr(fid, r));
      case T.statfs:
        return this.#onFid(r, () => done(this.#statfs(w)));
      case T.mkdir:
        return this.#inDirectory(r, w, (path) => this.#tree.makeDirectory(path, r.u32() & 0o7777));
      case T.symlink:
        return this.#inDirectory(r, w, (path) => this.#tree.makeLink(path, r.text()));
      case T.unlinkat:
        return this.#onFid(r, (fid) => {
          const path = child(fid.path, r.text());
          const directory = (r.u32() & 0x200) !== 0;
          return path === null ? -EINVAL : this.#change(() => this.#tree.remove(path, directory));
        });
      case T.renameat:
        return this.#renameat(r);
      case T.rename:
        return this.#onFid(r, (fid) =>
          this.#onFid(r, (directory) => {
            const to = child(directory.path, r.text());
            return to === null ? -EINVAL : this.#rename(fid.path, to);
          }),
        );
      case T.remove:
        return this.#remove(r);
      case T.fsync:
      case T.flush:
        return 0;
      case T.lock:
        return this.#onFid(r, () => done(w.u8(0)));
      case T.getlock:
        return this.#onFid(r, () => {
          r.u8();
          // No lock is held by others: type F_UNLCK and the range as asked.
          return done(w.u8(2).u64(r.u64()).u64(r.u64()).u32(r.u32()).text(r.text()));
        });
      default:
        return -EOPNOTSUPP;
    }
  }

  #version(r: Reader, w: Writer): number {
    const size = Math.min(r.u32(), MESSAGE_MAX);
    const version = r.text();
    if (size < MESSAGE_MIN) return -EINVAL;
    this.#state.fids.clear();
    this.#state.messageSize = size;
    return done(w.u32(size).text(version.startsWith(VERSION) ? VERSION : "unknown"));
  }

  #attach(r: Reader, w: Writer): number {
    const number = r.u32();
    const status = this.#tree.status([]);
    if (typeof status === "number") return status;
    const error = this.#addFid(number, []);
    return error < 0 ? error : done(qid(w, status));
  }

  #walk(r: Reader, w: Writer): number {
    const from = this.#state.fids.get(r.u32());
    const number = r.u32();
    const count = r.u16();
    if (from === undefined) return -EBADF;
    if (count > 16) return -EINVAL;
    let path = from.path;
    const found: FileStatus[] = [];
    for (let i = 0; i < count; i++) {
      const name = r.text();
      const next = name === ".." ? path.slice(0, -1) : child(path, name);
      const here = this.#tree.status(path);
      if (next === null || typeof here === "number" || (here.mode & S_IFMT) !== S_IFDIR) {
        if (i === 0) return next === null ? -EINVAL : -ENOTDIR;
        break;
      }
      const status = this.#tree.status(next);
      if (typeof status === "number") {
        if (i === 0) return status;
        break;
      }
      found.push(status);
      path = next;
    }
    if (found.length === count) {
      const error = this.#addFid(number, path);
      if (error < 0) return error;
    }
    w.u16(found.length);
    for (const status of found) qid(w, status);
    return 0;
  }

  #getattr(fid: Fid, w: Writer): number {
    const s = this.#tree.status(fid.path);
    if (typeof s === "number") return s;
    w.u64(0x7ff); // P9_GETATTR_BASIC
    qid(w, s);
    w.u32(s.mode)
      .u32(s.uid)
      .u32(s.gid)
      .u64(s.links)
      .u64(0)
      .u64(s.size)
      .u64(BLOCK)
      .u64(Math.ceil(s.size / 512));
    for (let i = 0; i < 3; i++) w.u64(s.modified).u64(s.modifiedNs);
    return done(w.u64(0).u64(0).u64(0).u64(0));
  }

  #lopen(fid: Fid, flags: number, w: Writer): number {
    const status = this.#tree.status(fid.path);
    if (typeof status === "number") return status;
    const writes = (flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0;
    if (writes && this.#tree.readOnly) return -EROFS;
    if (writes && (status.mode & S_IFMT) === S_IFDIR) return -EISDIR;
    if ((flags & O_TRUNC) !== 0) {
      const error = this.#tree.truncate(fid.path, 0);
      if (error < 0) return error;
    }
    fid.open = true;
    return done(qid(w, status).u32(0));
  }

  #lcreate(fid: Fid, r: Reader, w: Writer): number {
    const path = child(fid.path, r.text());
    r.u32();
    const mode = r.u32() & 0o7777;
    if (path === null) return -EINVAL;
    const error = this.#change(() => this.#tree.create(path, mode));
    if (error < 0) return error;
    const status = this.#tree.status(path);
    if (typeof status === "number") return status;
    fid.path = path;
    fid.open = true;
    return done(qid(w, status).u32(0));
  }

  #read(fid: Fid, offset: number, count: number, w: Writer): number {
    if (!fid.open) return -EBADF;
    const data = new Uint8Array(Math.min(count, Math.max(0, this.#state.messageSize - 11)));
    const n = this.#tree.read(fid.path, offset, data);
    return n < 0 ? n : done(w.u32(n).bytes(data.subarray(0, n)));
  }

  #write(fid: Fid, r: Reader, w: Writer): number {
    const offset = r.u64();
    const data = r.bytes(r.u32());
    if (!fid.open) return -EBADF;
    if (r.short) return -EINVAL;
    const n = this.#change(() => this.#tree.write(fid.path, offset, data));
    return n < 0 ? n : done(w.u32(n));
  }

  /** Entries are numbered from 1 in the order of the host's sorted list, so that a directory reads the same each time. */
  #readdir(fid: Fid, offset: number, count: number, w: Writer): number {
    if (!fid.open) return -EBADF;
    const names = this.#tree.list(fid.path);
    if (typeof names === "number") return names;
    const all = [".", "..", ...names.sort()];
    const entries = new Writer();
    for (let i = offset; i < all.length; i++) {
      const name = all[i] as string;
      const path = name === "." ? fid.path : name === ".." ? fid.path.slice(0, -1) : [...fid.path, name];
      const status = this.#tree.status(path);
      if (typeof status === "number") continue;
      const bytes = 13 + 8 + 1 + 2 + new TextEncoder().encode(name).length;
      if (entries.length + bytes > Math.min(count, this.#state.messageSize - 11)) break;
      qid(entries, status)
        .u64(i + 1)
        .u8((status.mode & S_IFMT) >> 12)
        .text(name);
    }
    return done(w.u32(entries.length).bytes(entries.done()));
  }

  #setattr(fid: Fid, r: Reader): number {
    const valid = r.u32();
    const mode = r.u32();
    r.u32();
    r.u32();
    const size = r.u64();
    return this.#change(() => {
      let error = 0;
      if ((valid & 1) !== 0) error = this.#tree.setMode(fid.path, mode & 0o7777);
      if (error >= 0 && (valid & 8) !== 0) error = this.#tree.truncate(fid.path, size);
      return error;
    });
  }

  #statfs(w: Writer): Writer {
    // V9FS_MAGIC, block size, and counts that say "plenty".
    w.u32(0x01021997).u32(BLOCK);
    for (const n of [1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 0]) w.u64(n);
    return w.u32(255);
  }

  #renameat(r: Reader): number {
    return this.#onFid(r, (a) => {
      const from = child(a.path, r.text());
      return this.#onFid(r, (b) => {
        const to = child(b.path, r.text());
        return from === null || to === null ? -EINVAL : this.#rename(from, to);
      });
    });
  }

  #rename(from: string[], to: string[]): number {
    const error = this.#change(() => this.#tree.rename(from, to));
    if (error < 0) return error;
    for (const fid of this.#state.fids.values()) {
      if (from.every((name, i) => fid.path[i] === name)) fid.path = [...to, ...fid.path.slice(from.length)];
    }
    return 0;
  }

  #remove(r: Reader): number {
    const number = r.u32();
    const fid = this.#state.fids.get(number);
    if (fid === undefined) return -EBADF;
    this.#state.fids.delete(number);
    const status = this.#tree.status(fid.path);
    if (typeof status === "number") return status;
    return this.#change(() => this.#tree.remove(fid.path, (status.mode & S_IFMT) === S_IFDIR));
  }

  #inDirectory(r: Reader, w: Writer, make: (path: string[]) => number): number {
    return this.#onFid(r, (fid) => {
      const path = child(fid.path, r.text());
      if (path === null) return -EINVAL;
      const error = this.#change(() => make(path));
      if (error < 0) return error;
      const status = this.#tree.status(path);
      return typeof status === "number" ? status : done(qid(w, status));
    });
  }

  #change(action: () => number): number {
    return this.#tree.readOnly ? -EROFS : action();
  }

  #onFid(r: Reader, action: (fid: Fid) => number): number {
    const fid = this.#state.fids.get(r.u32());
    return fid === undefined ? -EBADF : action(fid);
  }

  #addFid(number: number, path: string[]): number {
    if (this.#state.fids.size >= FIDS_MAX && !this.#state.fids.has(number)) return -EINVAL;
    this.#state.fids.set(number, { path: [...path], open: false });
    return 0;
  }
}

function done(_w: Writer): number {
  return 0;
}

/** The path of an entry, or null where the name is none. */
function child(path: readonly string[], name: string): string[] | null {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) return null;
  return [...path, name];
}

/** Writes the 13 bytes that identify a file: type, version, inode. */
function qid(w: Writer, s: FileStatus): Writer {
  const kind = s.mode & S_IFMT;
  return w
    .u8(kind === S_IFDIR ? 0x80 : kind === S_IFLNK ? 2 : 0)
    .u32((s.modified ^ s.size) >>> 0)
    .u64(s.inode);
}
