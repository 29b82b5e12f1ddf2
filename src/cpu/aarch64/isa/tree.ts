/**
 * The decoder's tree, made from the rows' masks and values; building it proves that no two rows overlap. What no row
 * matches is UNDEFINED.
 */
import type { Row } from "./row.ts";

export type Tree =
  | { readonly rows: readonly Row[] }
  | { readonly shift: number; readonly mask: number; readonly children: readonly (Tree | undefined)[] };

/** Pairs of rows that share an encoding; empty in a sound table. */
export function overlaps(rows: readonly Row[]): [Row, Row][] {
  const out: [Row, Row][] = [];
  rows.forEach((a, i) => {
    for (const b of rows.slice(i + 1)) {
      if ((a.mask & b.mask & (a.value ^ b.value)) === 0 && !excludes(a, b) && !excludes(b, a)) out.push([a, b]);
    }
  });
  return out;
}

/** Whether b's words have zeros where a wants some bit set. */
function excludes(a: Row, b: Row): boolean {
  return a.nonzero !== 0 && (a.nonzero & b.mask) >>> 0 === a.nonzero && (a.nonzero & b.value) === 0;
}

/** Throws when rows overlap: a fault of the table. */
export function buildTree(rows: readonly Row[]): Tree {
  const [first] = overlaps(rows);
  if (first)
    throw new Error(`rows "${first[0].name}" and "${first[1].name}" overlap: ${first[0].bits} | ${first[1].bits}`);
  return grow(rows, 0);
}

const LEAF = 2;
/** Longest run of bits tested at one node. */
const RUN = 8;

function grow(rows: readonly Row[], tested: number): Tree {
  if (rows.length <= LEAF) return { rows };
  // the run of untested bits that most rows fix
  let best = { shift: 0, width: 0, score: 0 };
  for (let shift = 0; shift < 32; shift++) {
    for (let width = 1; width <= RUN && shift + width <= 32; width++) {
      const bits = ((2 ** width - 1) << shift) >>> 0;
      if ((bits & tested) !== 0) break;
      let fixed = 0;
      for (const r of rows) if ((r.mask & bits) >>> 0 === bits) fixed++;
      const score = fixed * width;
      if (score > best.score) best = { shift, width, score };
    }
  }
  if (best.score === 0) return { rows };
  const mask = 2 ** best.width - 1;
  const bits = (mask << best.shift) >>> 0;
  const children: (Tree | undefined)[] = [];
  for (let v = 0; v <= mask; v++) {
    const at = (v << best.shift) >>> 0;
    const matching = rows.filter((r) => (r.mask & bits & (r.value ^ at)) === 0);
    children.push(matching.length === 0 ? undefined : grow(matching, tested | bits));
  }
  return { shift: best.shift, mask, children };
}

export function findRow(tree: Tree, word: number): Row | undefined {
  let node: Tree | undefined = tree;
  while (node !== undefined && "children" in node) node = node.children[(word >>> node.shift) & node.mask];
  if (node === undefined) return undefined;
  for (const r of node.rows) {
    if ((word & r.mask) >>> 0 === r.value && (r.nonzero === 0 || (word & r.nonzero) !== 0)) return r;
  }
  return undefined;
}
