/** Assembly text of instruction words, from the rows of the table, in the style of GNU objdump. */

import type { Encoded } from "./row.ts";
import { findRow, type Tree } from "./tree.ts";

/** `pc`: address of the instruction, for the targets of branches and literals. Words that are UNDEFINED give ".inst 0x...". */
export function disassemble(tree: Tree, word: number, pc = 0): string {
  const raw = `.inst 0x${(word >>> 0).toString(16).padStart(8, "0")}`;
  const row = findRow(tree, word);
  if (row?.asm === undefined) return raw;
  const encoded: Encoded = { variant: 0, regs: [0, 0, 0, 0], aux: 0, low: 0, high: 0 };
  return row.encode(word, pc % 4096, encoded) ? row.asm(row.extract(word), pc) : raw;
}
