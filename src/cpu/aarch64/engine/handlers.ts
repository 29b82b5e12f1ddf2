/** Numbers the handlers: the variants of all rows whose code differs, hot ones first. */

import type { Row } from "../isa/row.ts";
import { TABLE } from "../isa/table.ts";
import { buildTree, type Tree } from "../isa/tree.ts";
import type { Code } from "./wasm.ts";

/** Handlers that are no instruction: not decoded yet, end of the page, planted breakpoint, UNDEFINED. */
export const DECODE = 0;
export const PAGE_END = 1;
export const BREAKPOINT = 2;
export const UNDEFINED = 3;
export const FIRST = 4;

export interface Handlers {
  readonly tree: Tree;
  /** First handler number of each row's variants; -1 where a variant has none. */
  readonly numbers: ReadonlyMap<Row, Int16Array>;
  /** Handlers FIRST to FIRST + hot.length - 1, then the cold ones. */
  readonly hot: readonly Code[];
  readonly cold: readonly Code[];
}

/**
 * `emit` gives the code of a variant, `key` a text that is equal for equal code. Variants of equal code share a handler, as
 * the scaled and unscaled forms of a load do.
 */
export function numberHandlers(
  emit: (r: Row, variant: number, cold: boolean) => Code,
  key: (code: Code, cold: boolean) => string,
): Handlers {
  const hot: Code[] = [];
  const cold: Code[] = [];
  const known = new Map<string, number>();
  const places = new Map<Row, Int16Array>();
  const isCold = new Map<Row, boolean[]>();
  for (const r of TABLE) {
    const numbers = new Int16Array(r.variants).fill(-1);
    const colds: boolean[] = [];
    for (let v = 0; v < r.variants; v++) {
      if (!r.has(v)) continue;
      const c = r.cold(v);
      colds[v] = c;
      const code = emit(r, v, c);
      const text = `${c ? "cold" : "hot"} ${key(code, c)}`;
      let at = known.get(text);
      if (at === undefined) {
        at = (c ? cold : hot).push(code) - 1;
        known.set(text, at);
      }
      numbers[v] = at;
    }
    places.set(r, numbers);
    isCold.set(r, colds);
  }
  for (const [r, numbers] of places) {
    const colds = isCold.get(r) as boolean[];
    numbers.forEach((n, v) => {
      if (n >= 0) numbers[v] = FIRST + n + (colds[v] ? hot.length : 0);
    });
  }
  return { tree: buildTree(TABLE), numbers: places, hot, cold };
}
