/** Decodes an instruction word into a 16-byte operation, for the handlers of one interpreter and one CPU model. */
import type { Encoded } from "../isa/row.ts";
import { findRow } from "../isa/tree.ts";
import { type Handlers, UNDEFINED } from "./handlers.ts";
import { OPERATION_BYTES } from "./operation.ts";

export class Decoder {
  readonly #handlers: Handlers;
  readonly #encoded: Encoded = { variant: 0, regs: [0, 0, 0, 0], aux: -1, low: 0, high: 0 };

  readonly #absent: ReadonlySet<string>;

  /** Rows of a feature that is `absent` are UNDEFINED. */
  constructor(handlers: Handlers, absent: ReadonlySet<string> = new Set()) {
    this.#handlers = handlers;
    this.#absent = absent;
  }

  /** Fills the operation at `halves[at / 2]` for `word`, which lies at `offset` in its page. */
  decode(word: number, offset: number, halves: Uint16Array, at: number): void {
    const i = at >>> 1;
    halves.fill(0, i + 1, i + 8);
    const row = findRow(this.#handlers.tree, word);
    const out = this.#encoded;
    if (row === undefined || this.#absent.has(row.feature) || !row.encode(word, offset, out)) {
      halves[i] = UNDEFINED;
      return;
    }
    const numbers = this.#handlers.numbers.get(row);
    const handler = numbers?.[out.variant] ?? -1;
    if (handler < 0) throw new Error(`${row.name}: ${word.toString(16)} selects a variant that has no handler`);
    const { regs } = out;
    halves[i + 1] = regs[0];
    halves[i + 2] = regs[1];
    halves[i + 3] = out.aux >= 0 ? out.aux : regs[2];
    if (row.places === 4) {
      halves[i + 4] = regs[3];
    } else {
      halves[i + 4] = out.low & 0xffff;
      halves[i + 5] = out.low >>> 16;
    }
    halves[i + 6] = out.high & 0xffff;
    halves[i + 7] = out.high >>> 16;
    halves[i] = handler;
  }

  /**
   * Joins the operation at `halves[at / 2]` with the one after it, if both are decoded and have a handler in common. Operands stay where they
   * are, and the second operation stays executable by itself.
   */
  join(halves: Uint16Array, at: number): void {
    const { pairs, first } = this.#handlers;
    const a = first[halves[at >>> 1] as number] as number;
    const b = first[halves[(at + OPERATION_BYTES) >>> 1] as number] as number;
    const pair = pairs.get((a << 16) | b);
    if (pair !== undefined) halves[at >>> 1] = pair;
  }
  /** Undoes `join`. */
  part(halves: Uint16Array, at: number): void {
    halves[at >>> 1] = this.#handlers.first[halves[at >>> 1] as number] as number;
  }
}
