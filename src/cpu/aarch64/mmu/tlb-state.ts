/**
 * The TLB in snapshots. It is a cache and no state: it is not hashed, and resets and debuggers may empty it. But a guest that has changed its page
 * tables and not yet invalidated the old translations still sees these, so a machine that is to go on exactly takes them along: addresses,
 * rights and sizes. What leads into the arena is found anew.
 */
import { FETCH, WRITE } from "../../../mmu/index.ts";
import { SnapshotError, type StatePart, type StateRecord, type StateValue } from "../../../sim/index.ts";
import type { Cpu } from "../cpu.ts";
import { ENTRY_ALIGNED, KEY_WORDS, type TlbSet } from "./tlb.ts";

interface SavedSet {
  readonly key: Int32Array;
  readonly used: number;
  /** Virtual pages: high words, and low words with the kind of access in bits 1:0 and ENTRY_ALIGNED in bit 2. */
  readonly high: Int32Array;
  readonly low: Int32Array;
  /** Physical pages, and log2 of the mappings' sizes. */
  readonly pages: Float64Array;
  readonly sizes: Uint8Array;
}

const ALIGNED = 4;

export class TlbState implements StatePart {
  readonly #cpu: Cpu;
  #saved: readonly SavedSet[] = [];

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  save(): StateValue {
    return this.#cpu.mmu.sets.map((set) => saveSet(set));
  }

  load(value: StateValue, path: string): void {
    const { sets } = this.#cpu.mmu;
    if (!Array.isArray(value) || value.length !== sets.length) {
      throw new SnapshotError(`${path}: expected ${sets.length} sets`);
    }
    this.#saved = value.map((set: StateValue, i) => checked(set, `${path}.${i}`));
  }

  /** Keys and order of use: before the registers choose their sets. */
  restoreKeys(): void {
    this.#cpu.mmu.sets.forEach((set, i) => {
      const saved = this.#saved[i];
      if (saved === undefined) return;
      set.key.set(saved.key);
      set.used = saved.used;
    });
  }

  /** Instruction pages come first, of all CPUs: the write entries of a page know that it has code. */
  restoreEntries(fetches: boolean): void {
    const { mmu, cluster, data } = this.#cpu;
    this.#saved.forEach((saved, i) => {
      const set = mmu.sets[i] as TlbSet;
      saved.low.forEach((word, n) => {
        const access = word & 3;
        if ((access === FETCH) !== fetches) return;
        const high = saved.high[n] as number;
        const low = word & -4096;
        const page = saved.pages[n] as number;
        const size = saved.sizes[n] as number;
        if (access === FETCH) {
          const at = cluster.arenaPage(page, false);
          if (at >= 0) set.fill(FETCH, high, low, page, size, 0, cluster.codePage(at), 0);
        } else data.refill(set, access, high, low, page, size, (word & ALIGNED) !== 0);
      });
    });
    if (!fetches) this.#saved = [];
  }

  /** Reset of the CPU empties it. */
  reset(): void {}
  hash(): void {}
}

function saveSet(set: TlbSet): StateRecord {
  const high: number[] = [];
  const low: number[] = [];
  const pages: number[] = [];
  const sizes: number[] = [];
  set.visit((access, entryHigh, entryLow, entry) => {
    high.push(entryHigh);
    low.push(entryLow | access | ((set.kind(entry) & ENTRY_ALIGNED) !== 0 ? ALIGNED : 0));
    pages.push(set.page(entry));
    sizes.push(set.size(entry));
  });
  return {
    key: set.key.slice(),
    used: set.used,
    high: Int32Array.from(high),
    low: Int32Array.from(low),
    pages: Float64Array.from(pages),
    sizes: Uint8Array.from(sizes),
  };
}

function checked(value: StateValue, path: string): SavedSet {
  const { key, used, high, low, pages, sizes } = (value ?? {}) as { readonly [name: string]: StateValue };
  const n = high instanceof Int32Array ? high.length : -1;
  const whole =
    key instanceof Int32Array &&
    key.length === KEY_WORDS &&
    typeof used === "number" &&
    low instanceof Int32Array &&
    low.length === n &&
    low.every((word) => (word & 3) <= Math.max(FETCH, WRITE)) &&
    pages instanceof Float64Array &&
    pages.length === n &&
    sizes instanceof Uint8Array &&
    sizes.length === n;
  if (!whole) throw new SnapshotError(`${path}: expected a set of TLB entries`);
  return value as unknown as SavedSet;
}
