/** Bytes between guest memory and commands: plain buffers and scatter lists (manual 7). */
import type { Port } from "../../bus/index.ts";
import { MAX_SEGMENTS, STATUS } from "./codes.ts";
import type { Command } from "./command.ts";

const TWO32 = 4294967296;
const LIMIT = 2 ** 48;
const LIST = 1;

/** Reads the command's scatter list once and keeps it in the command. A status code: SUCCESS, BAD_LIST or BUFFER_FAULT. */
export function readList(port: Port, command: Command): number {
  if ((command.flags & LIST) === 0) {
    command.list = [command.buffer, command.length];
    return STATUS.SUCCESS;
  }
  const count = command.arg1;
  if (count < 1 || count > MAX_SEGMENTS) return STATUS.BAD_LIST;
  const bytes = new Uint8Array(16 * count);
  if (command.buffer >= LIMIT || !port.readBlock(command.buffer, bytes)) return STATUS.BUFFER_FAULT;
  const view = new DataView(bytes.buffer);
  const list: number[] = [];
  let total = 0;
  for (let at = 0; at < bytes.length; at += 16) {
    if (view.getUint32(at + 12, true) !== 0) return STATUS.BAD_LIST;
    const high = view.getUint32(at + 4, true);
    const length = view.getUint32(at + 8, true);
    list.push(high >= 0x1_0000 ? LIMIT : high * TWO32 + view.getUint32(at, true), length);
    total += length;
  }
  if (total !== command.length) return STATUS.BAD_LIST;
  command.list = list;
  return STATUS.SUCCESS;
}

/** Bytes `from` to `from + n - 1` of the command's payload; null where some cannot be read. */
export function gather(port: Port, command: Command, from: number, n: number): Uint8Array | null {
  const data = new Uint8Array(n);
  return walk(command.list, from, n, (address, at, length) => port.readBlock(address, data.subarray(at, at + length)))
    ? data
    : null;
}

/** Writes `data` at byte `from` of the command's buffers. False where some cannot be written. */
export function scatter(port: Port, command: Command, from: number, data: Uint8Array): boolean {
  return walk(command.list, from, data.length, (address, at, length) =>
    port.writeBlock(address, data.subarray(at, at + length)),
  );
}

function walk(
  list: readonly number[] | null,
  from: number,
  n: number,
  move: (address: number, at: number, length: number) => boolean,
): boolean {
  if (list === null) return false;
  let skip = from;
  let done = 0;
  for (let i = 0; i + 1 < list.length && done < n; i += 2) {
    const address = list[i] as number;
    const length = list[i + 1] as number;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const piece = Math.min(length - skip, n - done);
    if (address + skip + piece > LIMIT || !move(address + skip, done, piece)) return false;
    done += piece;
    skip = 0;
  }
  return done === n;
}
