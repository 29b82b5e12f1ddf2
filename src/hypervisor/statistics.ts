/** What a VM's exits were and what they took: by reason, by region, by register. Counts are state; names come from declarations. */
import { SnapshotError, type StatePart, type StateRecord, type StateValue, type Time } from "../sim/index.ts";

export interface ExitCount {
  readonly count: number;
  /** Ticks spent at EL2. */
  readonly time: Time;
}

type Entry = { count: number; time: Time };

export class ExitStatistics implements StatePart {
  readonly #tables: { readonly [table in Table]: Map<string, Entry> } = {
    reasons: new Map(),
    regions: new Map(),
    registers: new Map(),
  };

  /** One more of `name`, which took `time`. */
  count(table: Table, name: string, time: Time): void {
    const map = this.#tables[table];
    const entry = map.get(name);
    if (entry === undefined) map.set(name, { count: 1, time });
    else {
      entry.count++;
      entry.time += time;
    }
  }

  /** By name, most frequent first. */
  table(table: Table): { readonly name: string; readonly count: number; readonly time: Time }[] {
    return [...this.#tables[table]]
      .map(([name, entry]) => ({ name, ...entry }))
      .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
  }
  get total(): ExitCount {
    const sum = { count: 0, time: 0 };
    for (const { count, time } of this.#tables.reasons.values()) {
      sum.count += count;
      sum.time += time;
    }
    return sum;
  }

  save(): StateValue {
    const out: { [table: string]: StateRecord } = {};
    for (const table of TABLES) {
      const record: { [name: string]: StateValue } = {};
      for (const [name, { count, time }] of this.#tables[table]) record[name] = { count, time };
      out[table] = record;
    }
    return out;
  }
  load(value: StateValue, path: string): void {
    for (const table of TABLES) {
      const record = (value as { readonly [table: string]: { readonly [name: string]: StateValue } })[table];
      if (record === undefined || typeof record !== "object") throw new SnapshotError(`${path}.${table}: missing`);
      this.#tables[table].clear();
      for (const [name, entry] of Object.entries(record)) this.#tables[table].set(name, { ...(entry as Entry) });
    }
  }
  reset(): void {
    for (const table of TABLES) this.#tables[table].clear();
  }
}

const TABLES = ["reasons", "regions", "registers"] as const;
export type Table = (typeof TABLES)[number];
