/** Values on the command line: QEMU's `a,b=c` lists, sizes, numbers, switches, escaped text. All errors are InputErrors. */
import { InputError } from "../../formats/index.ts";

/** `key=value` pairs in order; the value of a word without `=` is null. */
export type Pairs = readonly (readonly [key: string, value: string | null])[];

/** Splits at single commas; two commas stand for one in a value. */
export function splitPairs(text: string): Pairs {
  const words: string[] = [""];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== ",") words[words.length - 1] += text[i];
    else if (text[i + 1] === ",") {
      words[words.length - 1] += ",";
      i++;
    } else words.push("");
  }
  return words
    .filter((w, i) => w !== "" || i === 0)
    .map((word) => {
      const equals = word.indexOf("=");
      return equals < 0 ? [word, null] : [word.slice(0, equals), word.slice(equals + 1)];
    });
}

/**
 * The list of one option, with `implied` as the key of a first word that has none. A later word without a value is a switch: `wait`
 * is wait=on, `nowait` is wait=off. `where` is the option as the user wrote it.
 */
export class KeyValues {
  readonly where: string;
  readonly #values = new Map<string, string>();
  readonly #used = new Set<string>();

  constructor(where: string, text: string, implied: string | null = null) {
    this.where = where;
    splitPairs(text).forEach(([key, value], i) => {
      if (value !== null) this.#values.set(key, value);
      else if (i === 0 && implied !== null) this.#values.set(implied, key);
      else if (key !== "") {
        const off = key.startsWith("no") && key !== "nodelay";
        this.#values.set(off ? key.slice(2) : key, off ? "off" : "on");
      }
    });
  }

  get keys(): readonly string[] {
    return [...this.#values.keys()];
  }

  text(key: string): string | undefined {
    this.#used.add(key);
    return this.#values.get(key);
  }

  required(key: string, what: string): string {
    const value = this.text(key);
    if (value === undefined || value === "")
      throw new InputError(`${this.where}: ${key}= is missing: expected ${what}`);
    return value;
  }

  choice<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const value = this.text(key);
    if (value === undefined) return undefined;
    if (!(choices as readonly string[]).includes(value)) {
      throw new InputError(`${this.where}: ${key}=${value}: expected ${choices.join(", ")}`);
    }
    return value as T;
  }

  flag(key: string): boolean | undefined {
    const value = this.text(key);
    return value === undefined ? undefined : parseSwitch(`${this.where}: ${key}`, value);
  }

  integer(key: string, minimum: number, maximum: number): number | undefined {
    const value = this.text(key);
    return value === undefined ? undefined : parseInteger(`${this.where}: ${key}`, value, minimum, maximum);
  }

  /** To be called last: a key that nobody asked for is an error. */
  finish(known?: string): void {
    for (const key of this.#values.keys()) {
      if (this.#used.has(key)) continue;
      const expected = known ?? [...this.#used].join(", ");
      throw new InputError(`${this.where}: unknown parameter "${key}": expected ${expected}`);
    }
  }
}

export function parseSwitch(where: string, value: string): boolean {
  if (value === "on" || value === "yes" || value === "true" || value === "y") return true;
  if (value === "off" || value === "no" || value === "false" || value === "n") return false;
  throw new InputError(`${where}: "${value}": expected on or off`);
}

/** A whole number, decimal or 0x hexadecimal. */
export function parseInteger(where: string, value: string, minimum: number, maximum: number): number {
  const n = /^(0[xX][0-9a-fA-F]+|-?[0-9]+)$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(n) || n < minimum || n > maximum) {
    throw new InputError(`${where}: "${value}": expected a whole number from ${minimum} to ${maximum}`);
  }
  return n;
}

/** A 64-bit number as BigInt. */
export function parseWide(where: string, value: string): bigint {
  if (!/^(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(value) || BigInt(value) >= 1n << 64n) {
    throw new InputError(`${where}: "${value}": expected a number below 2^64, decimal or 0x hexadecimal`);
  }
  return BigInt(value);
}

const UNITS: { readonly [suffix: string]: number } = { b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** A number of bytes with a suffix B, K, M, G or T; without one it is in `unit`s. */
export function parseSize(where: string, value: string, unit: number): number {
  const m = /^(0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?)([bkmgtBKMGT]?)$/.exec(value);
  const bytes = m === null ? Number.NaN : Number(m[1]) * (m[2] ? (UNITS[m[2].toLowerCase()] as number) : unit);
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new InputError(`${where}: "${value}": expected a size such as 512M, 1G or 0x8000000`);
  }
  return bytes;
}

/** Seconds, a decimal fraction allowed. */
export function parseSeconds(where: string, value: string): number {
  const seconds = /^[0-9]+(\.[0-9]*)?$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds > 0) || seconds > 864_000) {
    throw new InputError(`${where}: "${value}": expected seconds, more than 0 and at most 864000`);
  }
  return seconds;
}

/** Text with \n \r \t \\ \e \0 and \xNN, as bytes in Latin-1 (what lies outside ASCII is taken as UTF-8). */
export function parseEscapes(where: string, text: string): string {
  const utf8 = Buffer.from(text, "utf8").toString("latin1");
  return utf8.replace(/\\(x[0-9a-fA-F]{2}|[\s\S]|$)/g, (all, code: string) => {
    if (code.startsWith("x") && code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    const found = { n: "\n", r: "\r", t: "\t", e: "\x1b", "0": "\0", "\\": "\\" }[code];
    if (found === undefined) {
      throw new InputError(`${where}: escape "${all}": expected \\n, \\r, \\t, \\e, \\0, \\\\ or \\xNN`);
    }
    return found;
  });
}

/** Seconds since 1970 of "2026-05-17" or "2026-05-17T16:01:21", UTC. */
export function parseDateTime(where: string, text: string): number {
  const m = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2}))?$/.exec(text);
  const ms = m === null ? Number.NaN : Date.parse(`${m[1]}T${m[2] ?? "00:00:00"}Z`);
  if (Number.isNaN(ms) || ms < 0) {
    throw new InputError(`${where}: "${text}": expected utc, localtime, 2026-06-17 or 2026-06-17T16:01:21`);
  }
  return Math.floor(ms / 1000);
}
