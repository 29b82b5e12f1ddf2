/**
 * The router: an address map of windows onto targets. Windows of one priority must not overlap; of overlapping windows with
 * different priorities the higher one answers. A router is itself a target, so maps nest.
 */
import { Module, type Simulation } from "../sim/index.ts";
import {
  type DirectRegion,
  RESPONSE_DECODE_ERROR,
  SIZES_UP_TO_64,
  type Target,
  type Transaction,
} from "./transaction.ts";

export interface Window {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly target: Target;
  /** Offset in the target of the window's first byte; 0 unless given. */
  readonly offset?: number;
  /** Higher answers first; 0 unless given. */
  readonly priority?: number;
}

/** What an access to an address without a target does: an external abort, or reads as zero and ignores writes. */
export type DecodeErrorPolicy = "abort" | "zero";

/** An uninterrupted stretch of one window, as found by `find`. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly window: Window;
  /** To be added to an address for the offset in the target. */
  readonly delta: number;
}

const MAX_ADDRESS = 2 ** 52;

export class Router extends Module implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly policy: DecodeErrorPolicy;
  #windows: Window[] = [];
  #segments: Segment[] = [];
  #last: Segment | null = null;
  readonly #listeners: ((address: number, length: number) => void)[] = [];
  readonly #watched = new Set<Target>();

  constructor(parent: Module | Simulation, name: string, policy: DecodeErrorPolicy = "abort") {
    super(parent, name);
    this.policy = policy;
  }

  get windows(): readonly Window[] {
    return this.#windows;
  }
  /** The flattened map, by address. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Adds a window. Throws when it overlaps another of the same priority, naming both. */
  map(window: Window): Window {
    const { name, base, size } = window;
    if (
      !Number.isSafeInteger(base) ||
      !Number.isSafeInteger(size) ||
      base < 0 ||
      size <= 0 ||
      base + size > MAX_ADDRESS
    ) {
      throw new RangeError(`${this.fullName}: window "${name}" at ${hex(base)}, size ${hex(size)}: out of range`);
    }
    for (const other of this.#windows) {
      if ((other.priority ?? 0) !== (window.priority ?? 0)) continue;
      if (base < other.base + other.size && other.base < base + size) {
        throw new Error(`${this.fullName}: window ${describe(window)} overlaps ${describe(other)}`);
      }
    }
    this.#windows = [...this.#windows, window];
    this.#watch(window.target);
    this.#flatten();
    this.#invalidate(base, size);
    return window;
  }

  /** Makes base..base + size another view of the same router's addresses from `to` on. */
  alias(name: string, base: number, size: number, to: number, priority = 0): Window {
    if (base < to + size && to < base + size)
      throw new Error(`${this.fullName}: alias "${name}" overlaps what it shows`);
    return this.map({ name, base, size, target: this, offset: to, priority });
  }

  unmap(window: Window): void {
    if (!this.#windows.includes(window)) throw new Error(`${this.fullName}: window "${window.name}" is not mapped`);
    this.#windows = this.#windows.filter((w) => w !== window);
    this.#flatten();
    this.#invalidate(window.base, window.size);
  }

  /** The stretch that answers at `address`, or null. */
  find(address: number): Segment | null {
    const last = this.#last;
    if (last !== null && address >= last.start && address < last.end) return last;
    const segments = this.#segments;
    let low = 0;
    let high = segments.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const s = segments[middle] as Segment;
      if (address < s.start) high = middle - 1;
      else if (address >= s.end) low = middle + 1;
      else {
        this.#last = s;
        return s;
      }
    }
    return null;
  }

  read(address: number, size: number, tx: Transaction): number {
    const s = this.find(address);
    if (s === null) return this.#missing(address, size, false, 0, tx);
    const target = s.window.target;
    const offset = address + s.delta;
    if (size !== 8 || (target.accessSizes & 8) !== 0) return target.read(offset, size, tx);
    const low = target.read(offset, 4, tx);
    const high = target.read(offset + 4, 4, tx);
    tx.high = high;
    return low;
  }

  write(address: number, size: number, value: number, tx: Transaction): void {
    const s = this.find(address);
    if (s === null) {
      this.#missing(address, size, true, value, tx);
      return;
    }
    const target = s.window.target;
    const offset = address + s.delta;
    if (size !== 8 || (target.accessSizes & 8) !== 0) {
      target.write(offset, size, value, tx);
      return;
    }
    const high = tx.high;
    target.write(offset, 4, value, tx);
    target.write(offset + 4, 4, high, tx);
    tx.high = high;
  }

  peek(address: number, size: number): number {
    const s = this.find(address);
    return s === null ? 0 : s.window.target.peek(address + s.delta, size);
  }

  poke(address: number, size: number, value: number): void {
    const s = this.find(address);
    s?.window.target.poke(address + s.delta, size, value);
  }

  direct(address: number, write: boolean): DirectRegion | null {
    const s = this.find(address);
    const region = s?.window.target.direct?.(address + s.delta, write);
    if (!s || !region) return null;
    const start = Math.max(s.start, region.start - s.delta);
    const end = Math.min(s.end, region.end - s.delta);
    return { start, end, arenaAt: region.arenaAt + (start + s.delta - region.start), writable: region.writable };
  }

  onInvalidate(listener: (address: number, length: number) => void): void {
    this.#listeners.push(listener);
  }

  #watch(target: Target): void {
    if (target === this || this.#watched.has(target)) return;
    this.#watched.add(target);
    target.onInvalidate?.((offset, length) => {
      for (const w of this.#windows) {
        if (w.target !== target) continue;
        const first = Math.max(offset, w.offset ?? 0);
        const last = Math.min(offset + length, (w.offset ?? 0) + w.size);
        if (first < last) this.#invalidate(w.base + first - (w.offset ?? 0), last - first);
      }
    });
  }

  #invalidate(address: number, length: number): void {
    for (const listener of this.#listeners) listener(address, length);
    for (const w of this.#windows) {
      const to = w.offset ?? 0;
      if (w.target !== this || address >= to + w.size || to >= address + length) continue;
      for (const listener of this.#listeners) listener(w.base, w.size);
    }
  }

  #flatten(): void {
    const edges = new Set<number>();
    for (const w of this.#windows) edges.add(w.base).add(w.base + w.size);
    const sorted = [...edges].sort((a, b) => a - b);
    const byPriority = [...this.#windows].sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
    const segments: Segment[] = [];
    for (let i = 0; i + 1 < sorted.length; i++) {
      const start = sorted[i] as number;
      const end = sorted[i + 1] as number;
      const window = byPriority.find((w) => w.base <= start && start < w.base + w.size);
      if (!window) continue;
      const previous = segments[segments.length - 1];
      if (previous?.window === window && previous.end === start) segments[segments.length - 1] = { ...previous, end };
      else segments.push({ start, end, window, delta: (window.offset ?? 0) - window.base });
    }
    this.#segments = segments;
    this.#last = null;
  }

  #missing(address: number, size: number, write: boolean, value: number, tx: Transaction): number {
    this.guestError({
      kind: "decode",
      address,
      size,
      write,
      ...(write ? { value } : {}),
      ...(tx.requesterId >= 0 ? { requesterId: tx.requesterId } : {}),
      detail: "no target at this address",
    });
    if (this.policy === "abort") tx.response = RESPONSE_DECODE_ERROR;
    tx.high = 0;
    return 0;
  }
}

function hex(n: number): string {
  return `0x${n.toString(16)}`;
}

function describe(w: Window): string {
  return `"${w.name}" (${hex(w.base)} to ${hex(w.base + w.size - 1)})`;
}
