/** Copy on write over another store: what the guest writes stays in memory, is saved with the machine, and is gone with it. */
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

export const SECTOR_BYTES = 512;

/** What holds the data of a disk. Sectors out of range are never asked for. Throws `StoreError` where the host cannot do it. */
export interface BlockStore {
  /** Size in sectors of 512 bytes. */
  readonly sectors: number;
  readonly readOnly: boolean;
  read(sector: number, into: Uint8Array): void;
  write(sector: number, from: Uint8Array): void;
  flush(): void;
}

/** The host's medium failed: the guest gets an I/O error. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

/** Sectors kept together. */
const CLUSTER = 8;
const CLUSTER_BYTES = CLUSTER * SECTOR_BYTES;

export class OverlayStore implements BlockStore, StatePart {
  readonly sectors: number;
  readonly readOnly = false;
  readonly #base: BlockStore;
  readonly #clusters = new Map<number, Uint8Array>();

  constructor(base: BlockStore) {
    this.#base = base;
    this.sectors = base.sectors;
  }

  read(sector: number, into: Uint8Array): void {
    if (this.#clusters.size === 0) {
      this.#base.read(sector, into);
      return;
    }
    this.#each(sector, into.length, (cluster, at, from, n) => {
      const part = into.subarray(from, from + n);
      const own = this.#clusters.get(cluster);
      if (own) part.set(own.subarray(at, at + n));
      else this.#base.read(cluster * CLUSTER + at / SECTOR_BYTES, part);
    });
  }

  write(sector: number, data: Uint8Array): void {
    this.#each(sector, data.length, (cluster, at, from, n) => {
      let own = this.#clusters.get(cluster);
      if (!own) {
        own = new Uint8Array(CLUSTER_BYTES);
        const inBase = Math.min(CLUSTER, this.sectors - cluster * CLUSTER) * SECTOR_BYTES;
        if (n < inBase) this.#base.read(cluster * CLUSTER, own.subarray(0, inBase));
        this.#clusters.set(cluster, own);
      }
      own.set(data.subarray(from, from + n), at);
    });
  }

  flush(): void {}

  save(): StateValue {
    const numbers = [...this.#clusters.keys()].sort((a, b) => a - b);
    const data = new Uint8Array(numbers.length * CLUSTER_BYTES);
    numbers.forEach((n, i) => {
      data.set(this.#clusters.get(n) as Uint8Array, i * CLUSTER_BYTES);
    });
    return { clusters: Float64Array.from(numbers), data };
  }
  load(value: StateValue, path: string): void {
    const { clusters, data } = value as { clusters?: StateValue; data?: StateValue };
    if (
      !(clusters instanceof Float64Array) ||
      !(data instanceof Uint8Array) ||
      data.length !== clusters.length * CLUSTER_BYTES
    ) {
      throw new SnapshotError(`${path}: expected cluster numbers and their data`);
    }
    this.#clusters.clear();
    clusters.forEach((n, i) => {
      this.#clusters.set(n, data.slice(i * CLUSTER_BYTES, (i + 1) * CLUSTER_BYTES));
    });
  }
  /** A disk keeps its contents through a reset of the machine. */
  reset(): void {}

  #each(sector: number, bytes: number, visit: (cluster: number, at: number, from: number, n: number) => void): void {
    for (let done = 0; done < bytes; ) {
      const s = sector + done / SECTOR_BYTES;
      const cluster = Math.floor(s / CLUSTER);
      const at = (s - cluster * CLUSTER) * SECTOR_BYTES;
      const n = Math.min(CLUSTER_BYTES - at, bytes - done);
      visit(cluster, at, done, n);
      done += n;
    }
  }
}
