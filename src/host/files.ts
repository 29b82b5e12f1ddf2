/** Files of the user: read and write them, and say in plain words what went wrong. */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { InputError } from "../formats/index.ts";

const REASONS: { readonly [code: string]: string } = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "it is a directory",
  ENOTDIR: "not a directory",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left on the device",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "the address is not on this machine",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "no host of that name",
  ETIMEDOUT: "timed out",
  ENXIO: "nobody at the other end",
  EMFILE: "too many open files",
  ENAMETOOLONG: "the path is too long",
};

/** The reason of a system error, without code and call. */
export function systemReason(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return (code === undefined ? undefined : REASONS[code]) ?? message ?? String(error);
}

export function isSystemError(error: unknown): error is Error & { code: string; syscall: string } {
  return error instanceof Error && "code" in error && "syscall" in error;
}

/** Largest file taken as an image. */
const MAX_FILE = 2 ** 31 - 1;

/** Reads a file that option `option` names. */
export function readInput(option: string, path: string): Uint8Array {
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE) throw new InputError(`${option} ${path}: ${size} bytes: expected less than 2 GiB`);
    const data = readFileSync(path);
    return new Uint8Array(data.buffer, data.byteOffset, data.length);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${option} ${path}: cannot be read: ${systemReason(error)}`);
  }
}

export function writeOutput(option: string, path: string, data: Uint8Array | string): void {
  try {
    writeFileSync(path, data);
  } catch (error) {
    throw new InputError(`${option} ${path}: cannot be written: ${systemReason(error)}`);
  }
}

/** As `writeOutput`, but the file is there whole or not at all: an older one stays until the new one is complete. */
export function replaceOutput(option: string, path: string, data: Uint8Array | string): void {
  const part = `${path}.part`;
  try {
    writeFileSync(part, data);
    renameSync(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw new InputError(`${option} ${path}: cannot be written: ${systemReason(error)}`);
  }
}
