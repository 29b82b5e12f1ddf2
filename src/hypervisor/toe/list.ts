/** Scatter lists of a guest (docs/devices/toe.md 7) with the machine's addresses. */
import { MAX_SEGMENTS, STATUS } from "../../devices/toe/codes.ts";
import type { Command } from "../../devices/toe/command.ts";
import type { Blocks } from "../../devices/toe/frame.ts";

const ENTRY = 16;
const TWO32 = 2 ** 32;
/** Bytes of the longest list. */
export const LIST_BYTES = MAX_SEGMENTS * ENTRY;

/** The command's list, read once from the guest's `memory`, each entry by `physical` (-1: not the guest's); a status code where that fails. */
export function translatedList(
  memory: Blocks,
  command: Command,
  physical: (ipa: number, length: number) => number,
): Uint8Array | number {
  const { arg1: count, buffer } = command;
  if (count < 1 || count > MAX_SEGMENTS) return STATUS.BAD_LIST;
  const list = new Uint8Array(ENTRY * count);
  if (!memory.readBlock(buffer, list)) return STATUS.BUFFER_FAULT;
  const entries = new DataView(list.buffer);
  for (let at = 0; at < list.length; at += ENTRY) {
    const length = entries.getUint32(at + 8, true);
    const high = entries.getUint32(at + 4, true);
    const from = high * TWO32 + entries.getUint32(at, true);
    const found = length === 0 ? 0 : high > 0xffff ? -1 : physical(from, length);
    if (found < 0) return STATUS.BUFFER_FAULT;
    entries.setUint32(at, found % TWO32, true);
    entries.setUint32(at + 4, Math.floor(found / TWO32), true);
  }
  return list;
}
