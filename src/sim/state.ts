/**
 * State that is saved, restored, reset and hashed by name. A module keeps all that changes during simulation in parts:
 * cells declared with `module.state({...})`, register banks, lines, events, memories. Nothing else may hold state.
 */
import type { StateHash } from "./hash.ts";

export type TypedData = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float64Array;
/** What a snapshot holds: numbers, booleans, strings, null, typed arrays, and lists and records of them. */
export type StateValue = number | boolean | string | null | TypedData | readonly StateValue[] | StateRecord;
export interface StateRecord {
  readonly [name: string]: StateValue;
}

/** One named part of a module's state. */
export interface StatePart {
  save(): StateValue;
  /** Restores what `save` gave. Throws `SnapshotError` where the value is not of this part's shape. */
  load(value: StateValue, path: string): void;
  /** Returns to the state after power-on. */
  reset(): void;
  /**
   * Feeds the state to `hash` without copying it; a part without this method is saved and the result hashed. Memories
   * use `StateHash.pages`, which passes over pages of zeroes.
   */
  hash?(hash: StateHash): void;
}

/** A snapshot that does not fit the machine it is loaded into. Its message names the place. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

export function isTyped(value: unknown): value is TypedData {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

function isRecord(value: unknown): value is Record<string, StateValue> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isTyped(value);
}

export function cloneState<T extends StateValue>(value: T): T;
export function cloneState(value: StateValue): StateValue {
  if (isTyped(value)) return value.slice();
  if (Array.isArray(value)) return value.map((v: StateValue) => cloneState(v));
  if (isRecord(value)) {
    const copy: Record<string, StateValue> = {};
    for (const key of Object.keys(value)) copy[key] = cloneState(value[key] as StateValue);
    return copy;
  }
  return value;
}

/** The value to store where `into` stands, filling typed arrays and records in place so that references stay good. */
export function assignState(into: StateValue, from: StateValue, path: string): StateValue {
  if (isTyped(into)) {
    if (!isTyped(from) || from.length !== into.length) {
      throw new SnapshotError(`${path}: expected ${into.length} elements, found ${describe(from)}`);
    }
    into.set(from);
    return into;
  }
  if (Array.isArray(into)) {
    if (!Array.isArray(from)) throw new SnapshotError(`${path}: expected a list, found ${describe(from)}`);
    into.length = 0;
    for (const item of from) into.push(cloneState(item as StateValue));
    return into;
  }
  if (isRecord(into)) {
    if (!isRecord(from)) throw new SnapshotError(`${path}: expected a record, found ${describe(from)}`);
    for (const key of Object.keys(into)) {
      if (!(key in from)) throw new SnapshotError(`${path}.${key}: missing`);
      const cells = into as Record<string, StateValue>;
      cells[key] = assignState(cells[key] as StateValue, from[key] as StateValue, `${path}.${key}`);
    }
    for (const key of Object.keys(from)) if (!(key in into)) throw new SnapshotError(`${path}.${key}: unknown`);
    return into;
  }
  if (typeof from !== typeof into || isTyped(from) || Array.isArray(from)) {
    throw new SnapshotError(`${path}: expected a ${typeof into}, found ${describe(from)}`);
  }
  return from;
}

function describe(value: StateValue): string {
  if (isTyped(value)) return `${value.length} elements`;
  if (Array.isArray(value)) return "a list";
  return value === null ? "null" : `a ${typeof value}`;
}

/** Plain cells: an object whose properties are the state; `reset` returns to the values given here. */
export class Cells<T extends Record<string, StateValue>> implements StatePart {
  readonly cells: T;
  readonly #initial: T;

  constructor(initial: T) {
    this.#initial = cloneState(initial);
    this.cells = initial;
  }
  save(): StateValue {
    return cloneState(this.cells);
  }
  load(value: StateValue, path: string): void {
    assignState(this.cells, value, path);
  }
  reset(): void {
    assignState(this.cells, this.#initial, "reset");
  }
  hash(hash: StateHash): void {
    hashState(hash, this.cells);
  }
}

export function hashPart(hash: StateHash, part: StatePart): void {
  if (part.hash) part.hash(hash);
  else hashState(hash, part.save());
}

export function hashState(hash: StateHash, value: StateValue): void {
  if (typeof value === "number") hash.word(1).number(value);
  else if (typeof value === "boolean") hash.word(value ? 3 : 2);
  else if (typeof value === "string") hash.word(4).text(value);
  else if (value === null) hash.word(5);
  else if (isTyped(value)) hash.word(6).bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  else if (Array.isArray(value)) {
    hash.word(7).word(value.length);
    for (const item of value) hashState(hash, item as StateValue);
  } else {
    const record = value as StateRecord;
    const keys = Object.keys(record).sort();
    hash.word(8).word(keys.length);
    for (const key of keys) {
      hash.text(key);
      hashState(hash, record[key] as StateValue);
    }
  }
}
