/**
 * One row of the instruction table: bit pattern, operands, section of the Arm ARM (DDI 0487), feature, meaning, assembly
 * text. A row may be specialised over axes (width, shift type, condition...): each combination becomes a handler.
 */
import type { Emitter, Operand } from "../engine/emitter.ts";
import { SINK, SP, V, X, XZR } from "../engine/layout.ts";

/** Names of the fields in a pattern: tokens that are not made of 0, 1 and x. */
type FieldNames<S extends string> = S extends `${infer A} ${infer B}` ? FieldName<A> | FieldNames<B> : FieldName<S>;
type FieldName<A extends string> = A extends `${infer N}:${number}`
  ? N
  : A extends "" | `0${string}` | `1${string}` | `x${string}`
    ? never
    : A;
export type Fields<N extends string = string> = { readonly [name in N]: number };

/** Which place in the context a register number stands for: 31 is ZR, the write sink, SP, or a register like others. */
export interface Role<N extends string = string> {
  readonly field: N;
  readonly offset: (n: number, f: Fields) => number;
}
const general =
  (thirtyOne: number) =>
  (n: number): number =>
    n === 31 ? thirtyOne : X + 8 * n;
/** Source: 31 is ZR. */
export const source = <N extends string>(field: N): Role<N> => ({ field, offset: general(XZR) });
/** Destination: writes to 31 are dropped. */
export const target = <N extends string>(field: N): Role<N> => ({ field, offset: general(SINK) });
/** 31 is the current stack pointer. */
export const stack = <N extends string>(field: N): Role<N> => ({ field, offset: general(SP) });
/** SIMD and floating-point register. */
export const vector = <N extends string>(field: N): Role<N> => ({ field, offset: (n) => V + 16 * n });

/** Specialisation: the values that get handlers of their own, and how an encoding selects one. */
export interface Axis<F> {
  readonly values: readonly number[];
  /** `at` is the offset of the instruction in its 4 KiB page. */
  readonly of: (f: F, at: number) => number;
}
export const axis = <F>(values: readonly number[], of: (f: F, at: number) => number): Axis<F> => ({ values, of });
/** A one-bit field as axis. */
export const bit = <N extends string>(field: N): Axis<Fields<N>> => ({ values: [0, 1], of: (f) => f[field] });

/** A 64-bit immediate as two words. */
export interface Wide {
  readonly low: number;
  readonly high: number;
}

export interface RowSpec<B extends string, R extends string, A extends string> {
  readonly name: string;
  /** Section of DDI 0487. */
  readonly section: string;
  /** Architecture extension; absent for the base of Armv8.0. */
  readonly feature?: string;
  /** Most significant bit first: runs of 0, 1 and x (not decoded), and fields `name` or `name:width`. */
  readonly bits: B;
  readonly axes?: { readonly [name in A]: Axis<Fields<FieldNames<B>>> };
  /** Up to four register operands (three with an `aux`, a 64-bit immediate or an `immHigh`). */
  readonly regs?: { readonly [name in R]: Role<FieldNames<B>> };
  /** Small constant (0 to 65535) in the place of the third register. */
  readonly aux?: (f: Fields<FieldNames<B>>) => number;
  /** Safe integers are sign-extended to 64 bits. */
  readonly imm?: (f: Fields<FieldNames<B>>, at: number) => number | Wide;
  /** Byte displacement of a direct branch: becomes the immediate, and the axis `near`. */
  readonly branch?: (f: Fields<FieldNames<B>>) => number;
  /** A field that is not zero: with zero the word belongs to other rows. */
  readonly nonzero?: FieldNames<B>;
  /** Encodings of the pattern that are UNDEFINED. */
  readonly undefinedIf?: (f: Fields<FieldNames<B>>) => boolean;
  /** Outside the hot function of the interpreter. */
  readonly cold?: boolean | ((v: { readonly [name in NoInfer<A>]: number }) => boolean);
  /** Combinations of axes that no encoding selects. */
  readonly never?: (v: { readonly [name in NoInfer<A>]: number }) => boolean;
  /** A SIMD or floating-point instruction: traps while those are disabled. */
  readonly fp?: boolean;
  readonly meaning: (
    e: Emitter,
    o: { readonly [name in R]: Operand } & { readonly [name in A]: number } & { readonly near: number },
  ) => void;
  /** Assembly text; `pc` as a number for labels. */
  readonly asm?: (f: Fields<FieldNames<B>>, pc: number) => string;
}

export interface Field {
  readonly name: string;
  readonly shift: number;
  readonly mask: number;
}

/** What an instruction word becomes: the handler's variant and the operands of the 16-byte operation. */
export interface Encoded {
  variant: number;
  readonly regs: [number, number, number, number];
  aux: number;
  low: number;
  high: number;
}

/** A row in the form that the decoder, the engines and the disassembler use. */
export interface Row {
  readonly name: string;
  readonly section: string;
  readonly feature: string;
  readonly bits: string;
  readonly mask: number;
  readonly value: number;
  readonly fields: readonly Field[];
  /** Bits that are not all zero in words of this row; 0 when there is no such condition. */
  readonly nonzero: number;
  /** Number of register operands. */
  readonly places: number;
  /** Number of variants; `meaning` and `cold` are asked for 0 to variants - 1, those for which `has` is true. */
  readonly variants: number;
  has(variant: number): boolean;
  /** The row's name and the variant's place on the axes: "CBZ, CBNZ [sf=1 op=0 near=1]". */
  describe(variant: number): string;
  cold(variant: number): boolean;
  meaning(e: Emitter, variant: number): void;
  /** Fills `out`; false when the encoding is UNDEFINED. */
  encode(word: number, at: number, out: Encoded): boolean;
  /** Field values of a word. */
  extract(word: number): Fields;
  asm: ((f: Fields, pc: number) => string) | undefined;
}

export function parsePattern(bits: string): { mask: number; value: number; fields: Field[] } {
  let mask = 0;
  let value = 0;
  let at = 32;
  const fields: Field[] = [];
  for (const token of bits.split(" ").filter((t) => t !== "")) {
    if (/^[01x]+$/.test(token)) {
      for (const c of token) {
        at--;
        if (c !== "x") mask |= 1 << at;
        if (c === "1") value |= 1 << at;
      }
    } else {
      const [name = "", width = "1"] = token.split(":");
      at -= Number(width);
      fields.push({ name, shift: at, mask: 2 ** Number(width) - 1 });
    }
  }
  if (at !== 0) throw new Error(`pattern "${bits}": ${32 - at} bits`);
  return { mask: mask >>> 0, value: value >>> 0, fields };
}

const PLACES: readonly Operand[] = [{ place: 0 }, { place: 1 }, { place: 2 }, { place: 3 }];

/** Makes a row; the types check that roles, axes and functions name fields of the pattern. */
export function row<const B extends string, R extends string = never, A extends string = never>(
  spec: RowSpec<B, R, A>,
): Row {
  type F = Fields<FieldNames<B>>;
  const { mask, value, fields } = parsePattern(spec.bits);
  const roles = Object.entries(spec.regs ?? {}) as [R, Role<FieldNames<B>>][];
  const { branch } = spec;
  const axes: [string, Axis<F>][] = Object.entries(spec.axes ?? {});
  if (branch) {
    const near = (f: F, at: number) => {
      const to = at + branch(f);
      return to >= 0 && to < 4096 ? 1 : 0;
    };
    axes.push(["near", { values: [0, 1], of: near }]);
  }
  const variants = axes.reduce((n, [, a]) => n * a.values.length, 1);
  const operands = Object.fromEntries(roles.map(([name], i) => [name, PLACES[i]]));
  const settings = (variant: number) => {
    const out: Record<string, number> = {};
    let rest = variant;
    for (const [name, a] of axes) {
      out[name] = a.values[rest % a.values.length] as number;
      rest = Math.floor(rest / a.values.length);
    }
    return out as { readonly [name in A]: number } & { readonly near: number };
  };
  const extract = (word: number) => {
    const out: Record<string, number> = {};
    for (const { name, shift, mask } of fields) out[name] = (word >>> shift) & mask;
    return out as F;
  };
  const { aux, imm, undefinedIf, never, cold, meaning } = spec;
  return {
    name: spec.name,
    section: spec.section,
    feature: spec.feature ?? "",
    bits: spec.bits,
    mask,
    value,
    fields,
    nonzero: fields.reduce((m, f) => (f.name === spec.nonzero ? (f.mask << f.shift) >>> 0 : m), 0),
    places: roles.length,
    variants,
    describe: (variant) =>
      `${spec.name} [${Object.entries(settings(variant))
        .map(([name, v]) => `${name}=${v}`)
        .join(" ")}]`,
    has: (variant) => !never?.(settings(variant)),
    cold: (variant) => (typeof cold === "function" ? cold(settings(variant)) : (cold ?? false)),
    meaning: (e, variant) => {
      if (spec.fp) e.checkFp();
      meaning(e, { ...operands, ...settings(variant) } as { readonly [name in R]: Operand } & {
        readonly [name in A]: number;
      } & { readonly near: number });
    },
    encode: (word, at, out) => {
      const f = extract(word);
      if (undefinedIf?.(f)) return false;
      let variant = 0;
      let scale = 1;
      for (const [name, a] of axes) {
        const index = a.values.indexOf(a.of(f, at));
        if (index < 0) throw new Error(`${spec.name}: ${word.toString(16)} has no value on axis ${name}`);
        variant += index * scale;
        scale *= a.values.length;
      }
      out.variant = variant;
      for (let i = 0; i < roles.length; i++) {
        const [, role] = roles[i] as [R, Role<FieldNames<B>>];
        out.regs[i] = role.offset(f[role.field], f as Fields);
      }
      out.aux = aux ? aux(f) : -1;
      let immediate: number | Wide = 0;
      if (branch) {
        immediate = branch(f);
        const to = at + immediate;
        if (to >= 0 && to < 4096) immediate *= 4;
      } else if (imm) immediate = imm(f, at);
      if (typeof immediate === "number") {
        out.low = immediate | 0;
        out.high = Math.floor(immediate / 0x1_0000_0000) | 0;
      } else {
        out.low = immediate.low;
        out.high = immediate.high;
      }
      return true;
    },
    extract,
    asm: spec.asm as ((f: Fields, pc: number) => string) | undefined,
  };
}
