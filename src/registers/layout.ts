/**
 * A declaration compiled into flat tables. They are the same for all banks of a declaration in a simulation that have hooks in the same places, and are made once: a machine has
 * many devices of a kind, and what one of them has touched is in the cache for the next.
 */
import type { Simulation } from "../sim/index.ts";
import { type Declaration, elements, maskOf, type Register, resetOf, wordsOf } from "./declare.ts";

/**
 * What a register does beyond storing. `index` is the element of an array, `cpu` the bank of a banked register (else 0),
 * `word` is 1 for the high half of a 64-bit register.
 */
export interface Hooks {
  /** Pure: the value now, for registers computed from other state. Serves guest reads and `peek` alike. */
  get?(index: number, cpu: number, word: number): number;
  /**
   * After a guest read: what reading changes. `value` is the whole word as an int32, `mask` the byte lanes that the guest
   * was given.
   */
  onRead?(index: number, cpu: number, value: number, mask: number, word: number): void;
  /**
   * After a guest write was stored. `written` has the written bits in place, `mask` the byte lanes that were written,
   * `before` the stored value from before.
   */
  onWrite?(written: number, mask: number, before: number, index: number, cpu: number, word: number): void;
}

export interface FieldMask {
  /** The field's bits at their place in its word: the low one, or the high one for fields that begin above bit 31. */
  readonly mask: number;
  readonly shift: number;
}

// Flags of a row; bits 0 to 2 are the sizes of access that the register takes, bit 3 (64-bit accesses) stays clear.
const SIZES = 7;
/** Reads need more than a mask. */
export const READ_MORE = 0x10;
/** Writes need more than a mask. */
export const WRITE_MORE = 0x20;
/** Has fields, and none that reads. */
export const WRITE_ONLY = 0x40;
/** Has fields, and none that takes writes. */
export const READ_ONLY = 0x80;
/** The whole register is left out by the model. */
export const LEFT_OUT = 0x100;
/** Some field is left out by the model. */
export const LEFT_OUT_FIELD = 0x200;
export const PLACE_SHIFT = 10;
/** No register: takes no access, and has no slot. */
export const NO_PLACE = 0;

/** One 32-bit word of one element of one bank. */
export interface Row {
  readonly register: Register;
  readonly name: string;
  readonly index: number;
  readonly word: number;
  /** Which register of the declaration it is. */
  readonly ordinal: number;
  /** Slots from one CPU's bank to the next, and from bank 0 to where bank 1 would be less one stride; 0 when not banked. */
  readonly stride: number;
  readonly skip: number;
  readonly flags: number;
}

/** By slot unless said otherwise. Never changed. */
export interface Layout {
  readonly rows: readonly Row[];
  /** First slot of each register. */
  readonly slot: { readonly [register: string]: number };
  readonly field: { readonly [register: string]: { readonly [field: string]: FieldMask } };
  /** By word of the frame: the slot in bank 0 above PLACE_SHIFT and its flags below, or NO_PLACE. */
  readonly places: Int32Array;
  readonly readMask: Int32Array;
  readonly writeMask: Int32Array;
  readonly w1c: Int32Array;
  readonly w1s: Int32Array;
  readonly rc: Int32Array;
  readonly reset: Int32Array;
}

/** The layout of `declaration` for banks of so many CPUs whose hooks, by register in order, are `hooks`. */
export function layoutOf(
  simulation: Simulation,
  declaration: Declaration,
  cpus: number,
  hooks: readonly (Hooks | null)[],
): Layout {
  const known = simulation.shared(declaration, () => new Map<string, Layout>());
  const kind = `${cpus} ${hooks.map((h) => (h?.get ? 1 : 0) | (h?.onRead ? 2 : 0) | (h?.onWrite ? 4 : 0)).join("")}`;
  const found = known.get(kind) ?? compile(declaration, cpus, hooks);
  known.set(kind, found);
  return found;
}

function compile(declaration: Declaration, cpus: number, hooks: readonly (Hooks | null)[]): Layout {
  const slot: Record<string, number> = {};
  const field: Record<string, Record<string, FieldMask>> = {};
  const rows: Row[] = [];
  const slotAt = new Int32Array(declaration.size >> 2).fill(-1);
  Object.entries<Register>(declaration.registers).forEach(([name, register], ordinal) => {
    slot[name] = rows.length;
    addRows(rows, slotAt, declaration, name, ordinal, hooks[ordinal] ?? null, cpus);
    field[name] = fieldMasks(register);
  });
  const keeps = ({ register }: Row) => register.computed !== true && register.unimplemented === undefined;
  const choose = ({ register, word }: Row, ...kinds: string[]) =>
    maskOf(register, (f) => kinds.includes(f.access), word);
  const table = (of: (row: Row) => number) => Int32Array.from(rows, of);
  return {
    rows,
    slot,
    field,
    places: slotAt.map((s) => (s < 0 ? NO_PLACE : (s << PLACE_SHIFT) | (rows[s] as Row).flags)),
    readMask: table((row) => choose(row, "rw", "ro", "w1c", "w1s", "rc")),
    writeMask: table((row) => (keeps(row) ? choose(row, "rw", "wo") : 0)),
    w1c: table((row) => (keeps(row) ? choose(row, "w1c") : 0)),
    w1s: table((row) => (keeps(row) ? choose(row, "w1s") : 0)),
    rc: table((row) => (keeps(row) ? choose(row, "rc") : 0)),
    reset: table((row) => resetOf(row.register, row.index, row.word)),
  };
}

/** Appends the rows of one register: all elements for CPU 0, then the banked ones again for each further CPU. */
function addRows(
  rows: Row[],
  slotAt: Int32Array,
  declaration: Declaration,
  name: string,
  ordinal: number,
  hooks: Hooks | null,
  cpus: number,
): void {
  const register = declaration.registers[name] as Register;
  const words = wordsOf(register);
  const banked = cpus > 1 ? (register.banked ?? 0) : 0;
  const stride = banked * words;
  const skip = (register.count ?? 1) * words - stride;
  const first = rows.length;
  for (const { index, offset } of elements(register)) {
    for (let word = 0; word < words; word++) {
      slotAt[(offset >> 2) + word] = rows.length;
      const own = index < banked ? { stride, skip } : { stride: 0, skip: 0 };
      const flags = flagsOf(register, hooks, own.stride !== 0, register.sizes ?? declaration.sizes);
      rows.push({ register, name, index, word, ordinal, ...own, flags });
    }
  }
  for (let cpu = 1; cpu < cpus; cpu++) for (let w = 0; w < stride; w++) rows.push(rows[first + w] as Row);
}

function fieldMasks(register: Register): Record<string, FieldMask> {
  const masks: Record<string, FieldMask> = {};
  for (const [name, f] of Object.entries(register.fields)) {
    masks[name] = { mask: maskOf(register, (g) => g === f, f.low >= 32 ? 1 : 0), shift: f.low % 32 };
  }
  return masks;
}

function flagsOf(register: Register, hooks: Hooks | null, banked: boolean, sizes: readonly number[]): number {
  const fields = Object.values(register.fields);
  const some = (...kinds: string[]) => fields.some((f) => kinds.includes(f.access));
  let flags = 0;
  for (const size of sizes) flags |= size & SIZES;
  if (some("wo") && !some("rw", "ro", "w1c", "w1s", "rc")) flags |= WRITE_ONLY;
  if (some("ro", "rc") && !some("rw", "wo", "w1c", "w1s")) flags |= READ_ONLY;
  if (register.unimplemented !== undefined) flags |= LEFT_OUT;
  if (fields.some((f) => f.unimplemented !== undefined)) flags |= LEFT_OUT_FIELD;
  const more = banked || (flags & LEFT_OUT) !== 0;
  if (more || hooks?.get || hooks?.onRead || some("rc") || (flags & WRITE_ONLY) !== 0) flags |= READ_MORE;
  if (more || hooks?.onWrite || some("w1c", "w1s") || (flags & (READ_ONLY | LEFT_OUT_FIELD)) !== 0) flags |= WRITE_MORE;
  return flags;
}
