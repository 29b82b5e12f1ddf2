/** Numbers the handlers: the variants of all rows whose code differs, hot ones first, then pairs of them, then cold ones. */
import { PAIRS } from "../isa/pairs.ts";
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

/** A variant of a row. */
export interface Variant {
  readonly row: Row;
  readonly variant: number;
}

export interface Handlers {
  readonly tree: Tree;
  /** Handler number of each row's variants; -1 where a variant has none. */
  readonly numbers: ReadonlyMap<Row, Int16Array>;
  /** Handlers from FIRST on, pairs at the end; the cold ones follow. */
  readonly hot: readonly Code[];
  readonly cold: readonly Code[];
  /** Handler that executes an operation and the next one, by both handlers: first << 16 | second. */
  readonly pairs: ReadonlyMap<number, number>;
  /** The first of the pair by handler number; other handlers stand for themselves. */
  readonly first: Uint16Array;
}

export interface Emission {
  /** The code of a variant. */
  one(v: Variant, cold: boolean): Code;
  /** The code of two hot variants one after the other. */
  two(a: Variant, b: Variant): Code;
  /** A text that is equal for equal code. */
  key(code: Code): string;
}

/** Variants of equal code share a handler, as the scaled and unscaled forms of a load do. */
export function numberHandlers(emit: Emission): Handlers {
  const hot: Code[] = [];
  const cold: Code[] = [];
  const known = new Map<string, number>();
  const places = new Map<Row, Int16Array>();
  const isCold = new Map<Row, boolean[]>();
  const variants = new Map<string, Variant & { readonly at: number }>();
  for (const row of TABLE) {
    const numbers = new Int16Array(row.variants).fill(-1);
    const colds: boolean[] = [];
    for (let variant = 0; variant < row.variants; variant++) {
      if (!row.has(variant)) continue;
      const c = row.cold(variant);
      colds[variant] = c;
      const code = emit.one({ row, variant }, c);
      const text = `${c ? "cold" : "hot"} ${emit.key(code)}`;
      let at = known.get(text);
      if (at === undefined) {
        at = (c ? cold : hot).push(code) - 1;
        known.set(text, at);
      }
      numbers[variant] = at;
      if (!c) variants.set(row.describe(variant), { row, variant, at });
    }
    places.set(row, numbers);
    isCold.set(row, colds);
  }
  const pairs = new Map<number, number>();
  const firsts: number[] = [];
  const singles = hot.length;
  for (const [a, b] of PAIRS) {
    const one = variants.get(a);
    const two = variants.get(b);
    if (one === undefined || two === undefined) throw new Error(`no hot handler is "${one ? b : a}"`);
    const key = ((FIRST + one.at) << 16) | (FIRST + two.at);
    if (pairs.has(key)) continue;
    pairs.set(key, FIRST + hot.push(emit.two(one, two)) - 1);
    firsts.push(FIRST + one.at);
  }
  for (const [row, numbers] of places) {
    const colds = isCold.get(row) as boolean[];
    numbers.forEach((n, v) => {
      if (n >= 0) numbers[v] = FIRST + n + (colds[v] ? hot.length : 0);
    });
  }
  const first = Uint16Array.from({ length: FIRST + hot.length + cold.length }, (_, n) => n);
  firsts.forEach((n, i) => {
    first[FIRST + singles + i] = n;
  });
  return { tree: buildTree(TABLE), numbers: places, hot, cold, pairs, first };
}
