/**
 * The register declaration: what a part's manual says of its programmer's model, once. The bank, its types, traces, snapshots,
 * the C header, SVD, documentation and generic tests all come from this object.
 */

export type Access =
  | "rw"
  /** Writes are ignored. */
  | "ro"
  /** Reads as zero. */
  | "wo"
  /** Write one to clear; zero bits leave the field alone. */
  | "w1c"
  /** Write one to set; zero bits leave the field alone. */
  | "w1s"
  /** Reading clears; the read returns the value from before. Writes are ignored. */
  | "rc"
  /** Named by the manual, but reads as zero and ignores writes. What is writable at times only is "rw" with a hook. */
  | "reserved";

export interface Field {
  readonly high: number;
  readonly low: number;
  readonly access: Access;
  readonly reset: number;
  readonly title: string;
  /** Meaning of values, for documentation and traces. */
  readonly values?: { readonly [value: number]: string };
  /** The model leaves this field's function out, and why. Writing another value than its reset is reported once. */
  readonly unimplemented?: string;
}

type Bits = number | readonly [high: number, low: number];
export interface FieldOptions {
  readonly reset?: number;
  readonly values?: { readonly [value: number]: string };
  readonly unimplemented?: string;
}

function field(access: Access, bits: Bits, title: string, options: FieldOptions = {}): Field {
  const [high, low] = typeof bits === "number" ? [bits, bits] : bits;
  return { high, low, access, title, ...options, reset: options.reset ?? 0 };
}

/** Fields by access: `rw([7, 0], "Data")`, `ro(3, "Busy", { reset: 1 })`. Bits are numbered as in the manual. */
export const rw = (bits: Bits, title: string, options?: FieldOptions): Field => field("rw", bits, title, options);
export const ro = (bits: Bits, title: string, options?: FieldOptions): Field => field("ro", bits, title, options);
export const wo = (bits: Bits, title: string, options?: FieldOptions): Field => field("wo", bits, title, options);
export const w1c = (bits: Bits, title: string, options?: FieldOptions): Field => field("w1c", bits, title, options);
export const w1s = (bits: Bits, title: string, options?: FieldOptions): Field => field("w1s", bits, title, options);
export const rc = (bits: Bits, title: string, options?: FieldOptions): Field => field("rc", bits, title, options);
export const reserved = (bits: Bits, title: string): Field => field("reserved", bits, title);

export interface Register {
  /** Byte offset of the (first) register. */
  readonly at: number;
  readonly title: string;
  /** Where the manual defines it: section or table. */
  readonly clause: string;
  /** Bits, 8 to 64; 32 unless given. Bits outside the fields read as zero and ignore writes. */
  readonly width?: number;
  /** Number of registers in an array, and bytes between them (4, or 8 for 64 bits, unless given). */
  readonly count?: number;
  readonly stride?: number;
  /** How many elements, from the first, exist once for each CPU. */
  readonly banked?: number;
  /** Sizes of access in bytes that the register takes, where they differ from the device's. */
  readonly sizes?: readonly number[];
  /** The value is computed by the model whenever it is read (hook `get`); nothing is stored, nothing saved. */
  readonly computed?: boolean;
  /** Reset values by element, where elements differ; overrides the fields'. */
  readonly resets?: readonly number[];
  /** The model leaves the whole register out, and why: it reads as its reset value, and its first access is reported. */
  readonly unimplemented?: string;
  readonly fields: { readonly [name: string]: Field };
}

export interface Declaration {
  /** Short name of the part: "PL011". */
  readonly name: string;
  readonly title: string;
  /** Manual and revision: "Arm DDI 0183G". */
  readonly manual: string;
  /** Bytes of the register frame. */
  readonly size: number;
  /** Sizes of access in bytes that registers take unless they say otherwise. */
  readonly sizes: readonly number[];
  readonly registers: { readonly [name: string]: Register };
}

/** Checks a declaration and gives it its exact type, so that a misspelt register or field does not compile. */
export function defineRegisters<const D extends Declaration>(declaration: D): D {
  const { name: part, size, sizes } = declaration;
  if (!Number.isSafeInteger(size) || size <= 0 || size % 4 !== 0) {
    throw new Error(`${part}: size ${size}: expected a positive multiple of 4`);
  }
  checkSizes(part, sizes);
  const taken = new Map<number, string>();
  for (const [name, register] of Object.entries<Register>(declaration.registers)) {
    const where = `${part}.${name}`;
    checkRegister(where, name, register);
    for (const { offset } of elements(register)) {
      for (let word = offset; word < offset + 4 * wordsOf(register); word += 4) {
        const other = taken.get(word);
        if (other !== undefined) throw new Error(`${part}: ${other} and ${name} share offset ${word}`);
        if (word + 4 > size) throw new Error(`${where}: offset ${word} is outside the frame`);
        taken.set(word, name);
      }
    }
  }
  return declaration;
}

function checkSizes(where: string, sizes: readonly number[]): void {
  if (sizes.length === 0 || sizes.some((s) => ![1, 2, 4, 8].includes(s))) {
    throw new Error(`${where}: access sizes ${sizes.join()}: expected some of 1, 2, 4, 8`);
  }
}

function checkRegister(where: string, name: string, register: Register): void {
  const width = register.width ?? 32;
  const count = register.count ?? 1;
  if (!IDENTIFIER.test(name)) throw new Error(`${where}: expected a name of letters, digits and _`);
  if (!(width >= 1 && width <= 64)) throw new Error(`${where}: width ${width}: expected 1 to 64`);
  if (!(register.at >= 0) || register.at % 4 !== 0) {
    throw new Error(`${where}: offset ${register.at}: expected a multiple of 4`);
  }
  if (!Number.isInteger(count) || count < 1) throw new Error(`${where}: count ${count}: expected 1 or more`);
  if (strideOf(register) % 4 !== 0) throw new Error(`${where}: stride ${strideOf(register)}: expected a multiple of 4`);
  if ((register.banked ?? 0) > count) throw new Error(`${where}: ${register.banked} of ${count} elements are banked`);
  if (register.sizes !== undefined) checkSizes(where, register.sizes);
  const used = new Map<number, string>();
  for (const [fieldName, f] of Object.entries(register.fields)) {
    if (!IDENTIFIER.test(fieldName)) throw new Error(`${where}.${fieldName}: expected a name of letters, digits and _`);
    if (!(f.low >= 0 && f.high >= f.low && f.high < width)) {
      throw new Error(`${where}.${fieldName}: bits ${f.high}:${f.low} do not fit ${width} bits`);
    }
    for (let b = f.low; b <= f.high; b++) {
      const other = used.get(b);
      if (other !== undefined) throw new Error(`${where}: bit ${b} is in ${other} and in ${fieldName}`);
      used.set(b, fieldName);
    }
    if (!Number.isSafeInteger(f.reset) || f.reset < 0 || f.reset >= 2 ** (f.high - f.low + 1)) {
      throw new Error(`${where}.${fieldName}: reset value ${f.reset} does not fit`);
    }
  }
  register.resets?.forEach((reset, index) => {
    const stray = [0, 1].some((word) => (resetOf(register, index, word) & ~maskOf(register, () => true, word)) !== 0);
    if (index >= count || !Number.isSafeInteger(reset) || reset < 0 || stray) {
      throw new Error(`${where}[${index}]: reset value ${reset} does not fit the fields`);
    }
  });
}

const IDENTIFIER = /^[A-Za-z_]\w*$/;

/** Index and byte offset of each element of a register (one, unless it is an array). */
export function elements(register: Register): { index: number; offset: number }[] {
  const stride = strideOf(register);
  return Array.from({ length: register.count ?? 1 }, (_, index) => ({ index, offset: register.at + index * stride }));
}

/** Bytes from one element of an array to the next. */
export function strideOf(register: Register): number {
  return register.stride ?? 4 * wordsOf(register);
}

/** How many 32-bit words one element takes: 1 or 2. */
export function wordsOf(register: Register): number {
  return (register.width ?? 32) > 32 ? 2 : 1;
}

/** The reset value of one 32-bit word (0: low, 1: high) of element `index`. */
export function resetOf(register: Register, index: number, word = 0): number {
  const given = register.resets?.[index];
  if (given !== undefined) return word === 0 ? given | 0 : Math.floor(given / 2 ** 32) | 0;
  let value = 0;
  for (const f of Object.values(register.fields)) value |= wordOfField(f, f.reset, word);
  return value;
}

/** The mask, within one 32-bit word, of the fields that `choose` picks. */
export function maskOf(register: Register, choose: (field: Field) => boolean, word = 0): number {
  let mask = 0;
  for (const f of Object.values(register.fields)) {
    if (!choose(f)) continue;
    const low = Math.max(f.low - 32 * word, 0);
    const high = Math.min(f.high - 32 * word, 31);
    if (low <= high) mask |= (-1 >>> (31 - (high - low))) << low;
  }
  return mask;
}

/** Field value `value` (a safe integer) at its place in word `word`. */
function wordOfField(f: Field, value: number, word: number): number {
  const low = f.low - 32 * word;
  if (low >= 32 || f.high < 32 * word) return 0;
  if (low >= 0) return (value % 2 ** (32 - low)) << low;
  return Math.floor(value / 2 ** -low) | 0;
}
