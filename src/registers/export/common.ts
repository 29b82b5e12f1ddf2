/** What the exports share: numbers as manuals print them, and an access summed up over a register's fields. */
import { type Access, type Field, maskOf, type Register, resetOf, strideOf, wordsOf } from "../declare.ts";

/** "0x00c": `digits` hexadecimal digits at least. */
export function hex(value: number, digits = 3): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** A register's two 32-bit words as one hexadecimal number of the register's width. */
export function hexWords(low: number, high: number, register: Register): string {
  const digits = Math.ceil((register.width ?? 32) / 4);
  const text = (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
  return `0x${text.slice(-digits)}`;
}

/** Reset value of element `index` as a hexadecimal number. */
export function resetText(register: Register, index = 0): string {
  return hexWords(resetOf(register, index, 0), resetOf(register, index, 1), register);
}

export function maskText(register: Register, choose: (field: Field) => boolean): string {
  return hexWords(maskOf(register, choose, 0), maskOf(register, choose, 1), register);
}

/** Field names in the manual's order: from the high bits down. */
export function fieldsFromTop(register: Register): [string, Field][] {
  return Object.entries(register.fields).sort(([, a], [, b]) => b.high - a.high);
}

/** Registers by offset. */
export function byOffset(registers: { readonly [name: string]: Register }): [string, Register][] {
  return Object.entries(registers).sort(([, a], [, b]) => a.at - b.at);
}

/** "31:0", or "3" for one bit. */
export function bitsText(field: Field): string {
  return field.high === field.low ? `${field.low}` : `${field.high}:${field.low}`;
}

/** "RO", "WO", "RW", or the one kind that all fields share; "-" for a register without fields. */
export function accessText(register: Register): string {
  const kinds = new Set<Access>();
  for (const f of Object.values(register.fields)) if (f.access !== "reserved") kinds.add(f.access);
  if (kinds.size === 0) return "-";
  if (kinds.size === 1) return ([...kinds][0] as Access).toUpperCase();
  if (!readable(register)) return "WO";
  return writable(register) ? "RW" : "RO";
}

export function readable(register: Register): boolean {
  return Object.values(register.fields).some((f) => f.access !== "wo" && f.access !== "reserved");
}

export function writable(register: Register): boolean {
  return Object.values(register.fields).some((f) => !["ro", "rc", "reserved"].includes(f.access));
}

/** "0x400 to 0x7fc, every 4" for arrays, else the offset. */
export function offsetText(register: Register): string {
  const count = register.count ?? 1;
  if (count === 1) return hex(register.at);
  const stride = strideOf(register);
  return `${hex(register.at)} to ${hex(register.at + (count - 1) * stride)}, every ${stride}`;
}

/** "NAME[0..7]" for arrays, else the name. */
export function nameText(name: string, register: Register): string {
  return (register.count ?? 1) === 1 ? name : `${name}[0..${(register.count ?? 1) - 1}]`;
}

/** The C type of one element, and how many of them an element takes. */
export function cType(register: Register, sizes: readonly number[]): { type: string; bytes: number; parts: number } {
  const taken = register.sizes ?? sizes;
  const room = 4 * wordsOf(register);
  const bytes = Math.max(...taken.filter((s) => s <= room));
  const width = (register.width ?? 32) / 8;
  const parts = Math.max(1, Math.ceil(width / bytes));
  return { type: `uint${8 * bytes}_t`, bytes, parts };
}
