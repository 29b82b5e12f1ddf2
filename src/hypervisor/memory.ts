/** Physical memory that the hypervisor gives out: pages for tables, aligned stretches for guests. First fit, deterministic. */
import type { StatePart, StateValue } from "../sim/index.ts";
import { SnapshotError } from "../sim/index.ts";

export const PAGE = 4096;
export const BLOCK = 0x20_0000;

/** Clears whole words. */
export function clear(
  access: { write(address: number, size: 4, value: number): void },
  at: number,
  bytes: number,
): void {
  for (let offset = 0; offset < bytes; offset += 4) access.write(at + offset, 4, 0);
}

export class MemoryPool implements StatePart {
  readonly base: number;
  /** Bytes that are given out and taken back; what `reserve` took is not among them. */
  size: number;
  /** Free stretches as start and length in turn, by address, never adjacent. */
  #free: number[];

  constructor(base: number, size: number) {
    this.base = base;
    this.size = size;
    this.#free = [base, size];
  }

  /** Takes the last `size` bytes, in whole pages, for good: resets give them back to nobody. Throws RangeError where anything is allocated already. */
  reserve(size: number): number {
    if (this.free !== this.size) throw new RangeError("memory is reserved before the first VM starts");
    this.size -= Math.ceil(size / PAGE) * PAGE;
    this.#free = [this.base, this.size];
    return this.base + this.size;
  }

  get free(): number {
    return this.#free.reduce((sum, n, i) => (i % 2 === 1 ? sum + n : sum), 0);
  }

  /** Address of `size` bytes, aligned to `align`; -1 where no stretch is long enough. */
  allocate(size: number, align = PAGE): number {
    const free = this.#free;
    for (let i = 0; i < free.length; i += 2) {
      const start = free[i] as number;
      const end = start + (free[i + 1] as number);
      const at = Math.ceil(start / align) * align;
      if (at + size > end) continue;
      const rest: number[] = [];
      if (at > start) rest.push(start, at - start);
      if (end > at + size) rest.push(at + size, end - at - size);
      free.splice(i, 2, ...rest);
      return at;
    }
    return -1;
  }

  release(at: number, size: number): void {
    const pairs: [number, number][] = [[at, size]];
    for (let i = 0; i < this.#free.length; i += 2) pairs.push([this.#free[i] as number, this.#free[i + 1] as number]);
    pairs.sort((a, b) => a[0] - b[0]);
    const out: number[] = [];
    for (const [start, length] of pairs) {
      const last = out.length - 2;
      if (last >= 0 && (out[last] as number) + (out[last + 1] as number) === start) {
        out[last + 1] = (out[last + 1] as number) + length;
      } else out.push(start, length);
    }
    this.#free = out;
  }

  save(): StateValue {
    return [...this.#free];
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value) || value.some((v) => typeof v !== "number")) {
      throw new SnapshotError(`${path}: expected a list of numbers`);
    }
    this.#free = [...value] as number[];
  }
  reset(): void {
    this.#free = [this.base, this.size];
  }
}
