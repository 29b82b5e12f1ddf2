/**
 * The router: an address map of windows onto targets. Windows of one priority must not overlap; of overlapping windows with
 * different priorities the higher one answers. A router is itself a target, so maps nest.
 */
import { Module, type Simulation } from "../sim/index.ts";
import { CHUNK_BYTES } from "./arena.ts";
import {
  type DirectRegion,
  RESPONSE_DECODE_ERROR,
  SIZES_UP_TO_64,
  type Target,
  type Transaction,
} from "./transaction.ts";

export interface Window {
  readonly name: string;
  /** Base and size are multiples of 8, so that no access crosses the border of two windows. */
  readonly base: number;
  readonly size: number;
  readonly target: Target;
  /** Offset in the target of the window's first byte, a multiple of 8; 0 unless given. */
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
  /** The window of the map that shows it; an alias where one does. */
  readonly window: Window;
  /** What answers, aliases followed. */
  readonly target: Target;
  /** To be added to an address for the offset in the target. */
  readonly delta: number;
}

const MAX_ADDRESS = 2 ** 52;
const REGIONS_KEPT = 64;

export class Router extends Module implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly policy: DecodeErrorPolicy;
  #windows: readonly Window[] = [];
  /** Null after a change, until somebody asks. */
  #segments: readonly Segment[] | null = null;
  #last: Segment | null = null;
  /** Direct regions given out lately, readable and writable ones in turn: they hold until invalidated. */
  readonly #regions: (DirectRegion | null)[] = new Array<DirectRegion | null>(2 * REGIONS_KEPT).fill(null);
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
    this.#segments ??= flatten(this, this.#windows);
    return this.#segments;
  }

  /** Adds a window. Throws when it overlaps another of the same priority, naming both. */
  map(window: Window): Window {
    this.#check(window);
    const before = this.#windows;
    this.#change([...before, window]);
    try {
      // Aliases are followed at once, so that a circle of them is an error here and now.
      if (this.#windows.some((w) => w.target === this)) this.#segments = flatten(this, this.#windows);
    } catch (error) {
      this.#change(before);
      throw error;
    }
    this.#watch(window.target);
    this.#invalidate(window.base, window.size);
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
    this.#change(this.#windows.filter((w) => w !== window));
    this.#invalidate(window.base, window.size);
  }

  /** The stretch that answers at `address`, or null. */
  find(address: number): Segment | null {
    const last = this.#last;
    return last !== null && address >= last.start && address < last.end ? last : this.#search(address);
  }

  read(address: number, size: number, tx: Transaction): number {
    const s = this.find(address);
    if (s === null) return this.#missing(address, size, false, 0, tx);
    const target = s.target;
    const offset = address + s.delta;
    if ((target.accessSizes & size) !== 0) return target.read(offset, size, tx);
    if (size !== 8) return this.#refused(s, address, size, false, 0, tx);
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
    const target = s.target;
    const offset = address + s.delta;
    if ((target.accessSizes & size) !== 0) {
      target.write(offset, size, value, tx);
    } else if (size !== 8) this.#refused(s, address, size, true, value, tx);
    else {
      const high = tx.high;
      target.write(offset, 4, value, tx);
      target.write(offset + 4, 4, high, tx);
      tx.high = high;
    }
  }

  peek(address: number, size: number): number {
    const s = this.find(address);
    return s === null ? 0 : s.target.peek(address + s.delta, size);
  }

  poke(address: number, size: number, value: number): void {
    const s = this.find(address);
    s?.target.poke(address + s.delta, size, value);
  }

  direct(address: number, write: boolean): DirectRegion | null {
    const slot = 2 * (Math.floor(address / CHUNK_BYTES) % REGIONS_KEPT) + (write ? 1 : 0);
    const known = this.#regions[slot] as DirectRegion | null;
    if (known !== null && address >= known.start && address < known.end) return known;
    const s = this.find(address);
    const region = s?.target.direct?.(address + s.delta, write);
    if (!s || !region) return null;
    const start = Math.max(s.start, region.start - s.delta);
    const end = Math.min(s.end, region.end - s.delta);
    const found = { start, end, arenaAt: region.arenaAt + (start + s.delta - region.start), writable: region.writable };
    this.#regions[slot] = found;
    return found;
  }

  onInvalidate(listener: (address: number, length: number) => void): void {
    this.#listeners.push(listener);
  }

  /** Whether an access to this router could come to `router`. */
  reaches(router: Router): boolean {
    return this.#windows.some(
      ({ target }) => target !== this && target instanceof Router && (target === router || target.reaches(router)),
    );
  }

  #check(window: Window): void {
    const { name, base, size, target } = window;
    const offset = window.offset ?? 0;
    const where = `${this.fullName}: window "${name}" at ${hex(base)}, size ${hex(size)}`;
    for (const n of [base, size, offset]) {
      if (!Number.isSafeInteger(n) || n < 0 || n % 8 !== 0) {
        throw new RangeError(`${where}: ${hex(n)}: expected a multiple of 8`);
      }
    }
    if (size === 0 || base + size > MAX_ADDRESS) throw new RangeError(`${where}: out of range`);
    if ((target.accessSizes & 8) === 0 && offset + size > 2 ** 32) {
      throw new RangeError(`${where}: registers have offsets of at most 32 bits`);
    }
    if (target.size !== undefined && offset + size > target.size) {
      throw new RangeError(`${where}: reaches beyond its target, which ends at ${hex(target.size)}`);
    }
    if (target !== this && target instanceof Router && target.reaches(this)) {
      throw new Error(`${where}: leads back to ${this.fullName} through ${target.fullName}`);
    }
    for (const other of this.#windows) {
      if ((other.priority ?? 0) !== (window.priority ?? 0)) continue;
      if (base < other.base + other.size && other.base < base + size) {
        throw new Error(`${this.fullName}: window ${describe(window)} overlaps ${describe(other)}`);
      }
    }
  }

  #change(windows: readonly Window[]): void {
    this.#windows = windows;
    this.#segments = null;
    this.#last = null;
    this.#regions.fill(null);
  }

  #search(address: number): Segment | null {
    const segments = this.segments;
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

  /** Passes on what a target invalidates, wherever the map shows it. */
  #watch(target: Target): void {
    if (target === this || this.#watched.has(target)) return;
    this.#watched.add(target);
    target.onInvalidate?.((offset, length) => {
      for (const s of this.segments) {
        if (s.target !== target) continue;
        const start = Math.max(s.start, offset - s.delta);
        const end = Math.min(s.end, offset + length - s.delta);
        this.#regions.fill(null);
        if (start < end) for (const listener of this.#listeners) listener(start, end - start);
      }
    });
  }

  /** Tells of a change of the map at `address`, and at all aliases that may show it. */
  #invalidate(address: number, length: number, told: Set<Window> = new Set()): void {
    for (const listener of this.#listeners) listener(address, length);
    for (const w of this.#windows) {
      const to = w.offset ?? 0;
      if (w.target !== this || told.has(w) || address >= to + w.size || to >= address + length) continue;
      this.#invalidate(w.base, w.size, told.add(w));
    }
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
    if (!write) tx.high = 0;
    return 0;
  }

  #refused(s: Segment, address: number, size: number, write: boolean, value: number, tx: Transaction): number {
    this.guestError({
      kind: "width",
      address,
      size,
      write,
      ...(write ? { value } : {}),
      ...(tx.requesterId >= 0 ? { requesterId: tx.requesterId } : {}),
      detail: `${s.window.name} takes no access of this size`,
    });
    return 0;
  }
}

/** The map as stretches that do not overlap, by address, with aliases followed to what they show. */
function flatten(router: Router, windows: readonly Window[]): Segment[] {
  const edges = new Set<number>();
  for (const w of windows) edges.add(w.base).add(w.base + w.size);
  const sorted = [...edges].sort((a, b) => a - b);
  const byPriority = [...windows].sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));

  /** Stretches of `from` to `to`, in the router's own addresses. */
  const resolve = (from: number, to: number, through: readonly Window[]): Segment[] => {
    const out: Segment[] = [];
    const cuts = [from, ...sorted.filter((e) => from < e && e < to), to];
    for (let i = 0; i + 1 < cuts.length; i++) {
      const start = cuts[i] as number;
      const end = cuts[i + 1] as number;
      const window = byPriority.find((w) => w.base <= start && start < w.base + w.size);
      if (!window) continue;
      const delta = (window.offset ?? 0) - window.base;
      if (window.target !== router) {
        append(out, { start, end, window, target: window.target, delta });
        continue;
      }
      if (through.includes(window)) {
        const names = through.map((w) => `"${w.name}"`).join(", ");
        throw new Error(`${router.fullName}: aliases show each other in a circle: ${names}`);
      }
      for (const s of resolve(start + delta, end + delta, [...through, window])) {
        append(out, { start: s.start - delta, end: s.end - delta, window, target: s.target, delta: s.delta + delta });
      }
    }
    return out;
  };
  return sorted.length === 0 ? [] : resolve(sorted[0] as number, sorted[sorted.length - 1] as number, []);
}

function append(segments: Segment[], next: Segment): void {
  const last = segments[segments.length - 1];
  const same = last?.window === next.window && last.target === next.target && last.delta === next.delta;
  if (last && same && last.end === next.start) segments[segments.length - 1] = { ...last, end: next.end };
  else segments.push(next);
}

function hex(n: number): string {
  return `0x${n.toString(16)}`;
}

function describe(w: Window): string {
  return `"${w.name}" (${hex(w.base)} to ${hex(w.base + w.size - 1)})`;
}
