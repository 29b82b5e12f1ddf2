/** Small helpers for the chapters' tables. */
import { type Field, type Register, ro, rw } from "../../../registers/index.ts";

/** A chapter's registers, with their exact types. */
export function chapter<const T extends { readonly [name: string]: Register }>(table: T): T {
  return table;
}

/** One read-write field over the low `bits` bits. */
export function word<const N extends string>(
  name: N,
  title: string,
  bits = 32,
  reset = 0,
): { readonly [K in N]: Field } {
  return { [name]: rw([bits - 1, 0], title, { reset }) } as { readonly [K in N]: Field };
}

/** As `word`, read-only. */
export function fixed<const N extends string>(
  name: N,
  title: string,
  bits = 32,
  reset = 0,
): { readonly [K in N]: Field } {
  return { [name]: ro([bits - 1, 0], title, { reset }) } as { readonly [K in N]: Field };
}
