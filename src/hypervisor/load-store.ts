/**
 * What a load or store without a syndrome moves, from its row of the table of instructions (DDI 0487J.a C4.1.88). Sizes of accesses to
 * devices, and the alignment that these ask for, are those of the CPU model.
 */
import { signExtend } from "../cpu/aarch64/isa/bits.ts";
import type { Fields } from "../cpu/aarch64/isa/row.ts";
import {
  registersOf,
  type SingleFields,
  STRUCTURES,
  singleOffset,
  singleScale,
} from "../cpu/aarch64/isa/simd-memory.ts";
import { TABLE } from "../cpu/aarch64/isa/table.ts";
import { buildTree, findRow } from "../cpu/aarch64/isa/tree.ts";

/** So many bytes of a register, from byte `at` on. */
export interface Element {
  readonly register: number;
  readonly at: number;
  readonly bytes: number;
}

export interface LoadStore {
  readonly load: boolean;
  readonly simd: boolean;
  /** In the order of memory, without gaps. */
  readonly elements: readonly Element[];
  /** Bytes of one access to a device, `alignment` where the address is no multiple of that. */
  readonly width: number;
  /** Bytes that are moved at once, and the multiple at which the access must lie in Device memory. */
  readonly unit: number;
  readonly alignment: number;
  /** General registers: sign-extended, to 32 or 64 bits. */
  readonly signed: 0 | 32 | 64;
  /** SIMD registers: bytes that a load leaves as they are are kept; else they are cleared. */
  readonly keep: boolean;
  /** SIMD registers: the element fills so many bytes; 0: it is there once. */
  readonly replicate: 0 | 8 | 16;
  /** Number of the base, 31 for SP; -1: PC. */
  readonly base: number;
  readonly offset: number;
  /** The offset is a register: its number, extension (option) and shift. */
  readonly index: { readonly register: number; readonly option: number; readonly shift: number } | null;
  readonly mode: "offset" | "pre" | "post";
}

const MEMORY_ROWS = TABLE.filter((row) => ((row.value >>> 25) & 5) === 4 && ((row.mask >>> 25) & 5) === 5);
const TREE = buildTree(MEMORY_ROWS);

/** "exclusive": a load or store exclusive, or an atomic instruction. Null: no load or store of those that leave without a syndrome. */
export function decodeLoadStore(word: number): LoadStore | "exclusive" | null {
  const row = findRow(TREE, word);
  if (row === undefined) return null;
  const f = row.extract(word);
  const group = (word >>> 27) & 7;
  if (group === 5) return pair(word, f);
  if (group === 3) return literal(word, f);
  if (group === 7) return single(word, f);
  if (((word >>> 26) & 1) !== 0) return structures(word, f);
  // compare and swap, exclusives; LDAR and STLR have a syndrome
  return ((word >>> 21) & 5) === 4 ? null : "exclusive";
}

const field = (f: Fields, name: string): number => f[name] ?? 0;
const isSimd = (word: number): boolean => ((word >>> 26) & 1) !== 0;
const PLAIN = { keep: false, replicate: 0, signed: 0, offset: 0, index: null } as const;

function whole(size: number): Pick<LoadStore, "width" | "unit" | "alignment"> {
  return { width: Math.min(size, 8), unit: size, alignment: size };
}

function pair(word: number, f: Fields): LoadStore {
  const top = word >>> 30;
  const simd = isSimd(word);
  const size = simd ? 4 << top : top === 2 ? 8 : 4;
  const mode = field(f, "mode");
  const quad = size === 16;
  return {
    ...PLAIN,
    load: ((word >>> 22) & 1) !== 0,
    simd,
    elements: ["Rt", "Rt2"].map((name) => ({ register: field(f, name), at: 0, bytes: size })),
    width: quad ? 8 : size,
    unit: quad ? 16 : 2 * size,
    alignment: size,
    signed: !simd && top === 1 ? 64 : 0,
    base: field(f, "Rn"),
    offset: signExtend(field(f, "imm7"), 7) * size,
    mode: mode === 1 ? "post" : mode === 3 ? "pre" : "offset",
  };
}

function literal(word: number, f: Fields): LoadStore | null {
  const top = word >>> 30;
  const simd = isSimd(word);
  if (!simd && top === 3) return null; // PRFM
  const size = simd ? 4 << top : top === 1 ? 8 : 4;
  return {
    ...PLAIN,
    load: true,
    simd,
    elements: [{ register: field(f, "Rt"), at: 0, bytes: size }],
    ...whole(size),
    signed: !simd && top === 2 ? 64 : 0,
    base: -1,
    offset: signExtend(field(f, "imm19"), 19) * 4,
    mode: "offset",
  };
}

/** One register, with an offset of any kind. */
function single(word: number, f: Fields): LoadStore | "exclusive" | null {
  const top = word >>> 30;
  const simd = isSimd(word);
  const opc = (word >>> 22) & 3;
  if (!simd && top === 3 && opc === 2) return null; // PRFM
  const size = simd && opc >= 2 ? 16 : 1 << top;
  const form = (word >>> 10) & 3;
  const unsignedOffset = ((word >>> 24) & 1) !== 0;
  const byRegister = !unsignedOffset && ((word >>> 21) & 1) !== 0;
  if (byRegister && form !== 2) return "exclusive";
  const immediate = unsignedOffset || byRegister;
  return {
    ...PLAIN,
    load: simd ? (opc & 1) !== 0 : opc !== 0,
    simd,
    elements: [{ register: field(f, "Rt"), at: 0, bytes: size }],
    ...whole(size),
    signed: simd || opc < 2 ? 0 : opc === 2 ? 64 : 32,
    base: field(f, "Rn"),
    offset: unsignedOffset ? field(f, "imm12") * size : byRegister ? 0 : signExtend(field(f, "imm9"), 9),
    index: byRegister
      ? { register: field(f, "Rm"), option: field(f, "option"), shift: field(f, "S") !== 0 ? Math.log2(size) : 0 }
      : null,
    mode: immediate ? "offset" : form === 1 ? "post" : form === 3 ? "pre" : "offset",
  };
}

/** LD1 to ST4: multiple structures, one structure, and one to all lanes. */
function structures(word: number, f: Fields): LoadStore {
  const one = ((word >>> 24) & 1) !== 0;
  const post = ((word >>> 23) & 1) !== 0;
  const what = one ? singleStructure(f as SingleFields & Fields) : multipleStructures(word, f);
  const bytes = what.elements.reduce((sum, e) => sum + e.bytes, 0);
  const m = field(f, "Rm");
  const byRegister = post && m !== 31;
  return {
    ...PLAIN,
    load: field(f, "L") !== 0,
    simd: true,
    ...what,
    base: field(f, "Rn"),
    offset: post && !byRegister ? bytes : 0,
    index: byRegister ? { register: m, option: 3, shift: 0 } : null,
    mode: post ? "post" : "offset",
  };
}

type Shape = Pick<LoadStore, "elements" | "width" | "unit" | "alignment" | "keep" | "replicate">;

function multipleStructures(word: number, f: Fields): Shape {
  const [structure, registers] = STRUCTURES[(word >>> 12) & 15] ?? [1, 1];
  const length = field(f, "Q") !== 0 ? 16 : 8;
  const bytes = 1 << field(f, "size");
  const elements: Element[] = [];
  for (let first = 0; first < registers; first += structure) {
    for (let at = 0; at < length; at += bytes) {
      for (let r = 0; r < structure; r++) elements.push({ register: (field(f, "Rt") + first + r) & 31, at, bytes });
    }
  }
  return { elements, ...whole(length), alignment: bytes, keep: false, replicate: 0 };
}

function singleStructure(f: SingleFields & Fields): Shape {
  const scale = singleScale(f);
  const all = scale === 4;
  const bytes = 1 << (all ? f.size : scale);
  const at = singleOffset(f);
  const elements = Array.from({ length: registersOf(f) }, (_, r) => ({
    register: (field(f, "Rt") + r) & 31,
    at,
    bytes,
  }));
  return { elements, ...whole(bytes), keep: !all, replicate: !all ? 0 : f.Q !== 0 ? 16 : 8 };
}
