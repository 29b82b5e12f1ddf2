/**
 * The field-level register trace: each access to a declared register as one line, decoded from its declaration. The bank
 * passes numbers; all text is made here.
 */
import { type Declaration, elements, type Field, type Register } from "../registers/index.ts";
import { formatTime, type Observer, type RegisterAccess } from "../sim/index.ts";
import { compileRegisterGlob } from "./glob.ts";

/** Declarations by full name of the module; a part with several frames has several. */
export type Declarations = ReadonlyMap<string, Declaration | readonly Declaration[]>;

export interface FieldValue {
  readonly name: string;
  /** The bits of the field that the access covered, as a number. */
  readonly value: number;
  readonly before: number;
  readonly meaning?: string;
}

/** An access decoded: the register's value in its 32-bit word after a write, as read by a read. */
export interface DecodedAccess {
  readonly register: string;
  readonly word: number;
  readonly fields: readonly FieldValue[];
}

export function findRegister(declarations: Declarations, module: string, register: string): Register | null {
  const found = declarations.get(module);
  if (found === undefined) return null;
  for (const d of Array.isArray(found) ? (found as readonly Declaration[]) : [found as Declaration]) {
    const r = d.registers[register];
    if (r !== undefined) return r;
  }
  return null;
}

/** Fields of `register` within one 32-bit word (0: low, 1: high) of it. */
export function decodeFields(register: Register, word: number, value: number, before: number): FieldValue[] {
  const out: FieldValue[] = [];
  for (const [name, f] of Object.entries<Field>(register.fields)) {
    if (f.access === "reserved" || f.high < 32 * word || f.low >= 32 * (word + 1)) continue;
    const v = extract(f, word, value);
    const meaning = f.low >= 32 * word && f.high < 32 * (word + 1) ? f.values?.[v] : undefined;
    out.push({ name, value: v, before: extract(f, word, before), ...(meaning === undefined ? {} : { meaning }) });
  }
  return out;
}

function extract(f: Field, word: number, value: number): number {
  const low = Math.max(f.low - 32 * word, 0);
  const high = Math.min(f.high - 32 * word, 31);
  const shifted = (value >>> 0) >>> low;
  const bits = high - low + 1;
  return bits >= 32 ? shifted : shifted & (2 ** bits - 1);
}

/** Decodes one access; null where the module or register is not declared. */
export function decodeAccess(declarations: Declarations, access: RegisterAccess): DecodedAccess | null {
  const register = findRegister(declarations, access.module, access.register);
  if (register === null) return null;
  const first = elements(register)[access.index]?.offset ?? register.at;
  const word = access.offset - first >= 4 ? 1 : 0;
  const shift = (access.offset & 3) * 8;
  const lanes = access.size >= 4 ? -1 : (2 ** (8 * access.size) - 1) << shift;
  const placed = access.size >= 4 ? access.value : access.value << shift;
  // A write shows what is stored afterwards in the lanes that were written: effects like write-one-to-clear are then seen.
  // Fields that hold nothing (write-only) show what was written.
  const fields = decodeFields(register, word, access.write ? access.after : placed, access.before)
    .filter((f) => (maskIn(register, f.name, word) & lanes) !== 0)
    .map((f) => {
      if (!access.write || register.fields[f.name]?.access !== "wo") return f;
      const value = extract(register.fields[f.name] as Field, word, placed);
      return { ...f, value, before: value };
    });
  return { register: nameOf(register, access), word, fields };
}

function maskIn(register: Register, name: string, word: number): number {
  const f = register.fields[name] as Field;
  const low = Math.max(f.low - 32 * word, 0);
  const high = Math.min(f.high - 32 * word, 31);
  return high - low === 31 ? -1 : (2 ** (high - low + 1) - 1) << low;
}

function nameOf(register: Register, access: RegisterAccess): string {
  return (register.count ?? 1) > 1 ? `${access.register}[${access.index}]` : access.register;
}

/**
 * One line: time, module, register, direction, value, fields. A write lists every field with its value, and `before->after`
 * where it changed; a read lists the fields that are not zero.
 */
export function formatAccess(declarations: Declarations, access: RegisterAccess): string {
  const decoded = decodeAccess(declarations, access);
  const name = `${access.module}.${decoded?.register ?? access.register}${decoded?.word === 1 ? ".high" : ""}`;
  const digits = 2 * Math.min(access.size, 4);
  const value = `0x${(access.value >>> 0).toString(16).padStart(digits, "0")}`;
  const arrow = access.write ? "<=" : "=>";
  const fields = (decoded?.fields ?? [])
    .filter((f) => access.write || f.value !== 0 || f.meaning !== undefined)
    .map((f) => {
      const change = access.write && f.before !== f.value ? `${number(f.before)}->` : "";
      return `${f.name}=${change}${number(f.value)}${f.meaning === undefined ? "" : `(${f.meaning})`}`;
    });
  return `[${formatTime(access.time)}] ${name} ${arrow} ${value}${fields.length > 0 ? `  ${fields.join(" ")}` : ""}`;
}

function number(n: number): string {
  return n < 10 ? String(n) : `0x${n.toString(16)}`;
}

/** An observer that writes accesses to registers that match one of `patterns` as lines. */
export class RegisterTrace implements Observer {
  readonly #declarations: Declarations;
  readonly #tests: readonly ((module: string, register: string) => boolean)[];
  readonly #wanted = new Map<string, boolean>();
  readonly #line: (text: string) => void;
  readonly #who: () => string;

  /** `who` names the initiator of the access under way, for the end of the line; empty where there is none. */
  constructor(
    patterns: readonly string[],
    declarations: Declarations,
    line: (text: string) => void,
    who: () => string = () => "",
  ) {
    this.#who = who;
    this.#tests = patterns.map(compileRegisterGlob);
    this.#declarations = declarations;
    this.#line = line;
  }

  registerAccess(access: RegisterAccess): void {
    const key = `${access.module}.${access.register}`;
    let wanted = this.#wanted.get(key);
    if (wanted === undefined) {
      wanted = this.#tests.some((t) => t(access.module, access.register));
      this.#wanted.set(key, wanted);
    }
    if (!wanted) return;
    const who = this.#who();
    this.#line(`${formatAccess(this.#declarations, access)}${who === "" ? "" : `  by ${who}`}`);
  }
}
