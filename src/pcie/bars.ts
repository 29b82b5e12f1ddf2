/** BARs of a function: what answers behind them, and their windows on the bus, which follow address and enable bits. */
import type { Target, Window } from "../bus/index.ts";
import type { PcieFunction } from "./function.ts";
import type { BarShape } from "./header.ts";

export interface BarSpec extends BarShape {
  /** May be given later by `setBarTarget`; until then only MSI-X structures answer. */
  readonly target?: Target;
}

/** Registers inside a BAR that belong to a capability: the MSI-X table and PBA. */
export interface BarOverlay {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly target: Target;
}

/** No window reaches beyond this. */
const MAX_ADDRESS = 2 ** 52;

export class Bar {
  readonly spec: BarSpec;
  /** What answers behind the BAR, capabilities' structures included; null where nothing does. */
  target: Target | null;

  constructor(spec: BarSpec) {
    this.spec = spec;
    this.target = spec.target ?? null;
  }
}

interface Mapped {
  readonly window: Window;
  readonly io: boolean;
}

export class BarSet {
  readonly list: readonly Bar[];
  readonly #function: PcieFunction;
  readonly #mapped: (Mapped | null)[];
  readonly #overlays: (readonly BarOverlay[])[];

  constructor(owner: PcieFunction, specs: readonly BarSpec[]) {
    this.#function = owner;
    this.list = specs.map((s) => new Bar(s));
    this.#mapped = specs.map(() => null);
    this.#overlays = specs.map(() => []);
  }

  get(index: number): Bar {
    return this.list[this.#place(index)] as Bar;
  }

  setTarget(index: number, target: Target): void {
    const n = this.#place(index);
    (this.list[n] as Bar).target = withOverlays(target, this.#overlays[n] as readonly BarOverlay[]);
    this.update();
  }

  /** Puts a capability's structure before what else answers in the BAR. */
  overlay(index: number, overlay: BarOverlay): void {
    const n = this.#place(index);
    const bar = this.list[n] as Bar;
    if (overlay.offset + overlay.size > bar.spec.size)
      throw new Error(`${this.#function.fullName}: ${overlay.name} reaches beyond BAR ${index}`);
    const overlays = [...(this.#overlays[n] as readonly BarOverlay[]), overlay];
    this.#overlays[n] = overlays;
    bar.target = withOverlays(bar.target instanceof OverlaidTarget ? bar.target.below : bar.target, overlays);
  }

  /** The address that software gave, type bits removed. */
  address(index: number): number {
    const { config } = this.#function;
    const { kind } = this.get(index).spec;
    const low = config.peek(0x10 + 4 * index, 4);
    if (kind === "io") return low - (low % 4);
    return low - (low % 16) + (kind === "mem64" ? config.peek(0x14 + 4 * index, 4) * 2 ** 32 : 0);
  }

  /** Maps, moves and unmaps windows as registers say now. */
  update(): void {
    const owner = this.#function;
    const { bus } = owner;
    if (bus === null || owner.isVirtual) return;
    this.list.forEach((bar, n) => {
      const { index, size, kind } = bar.spec;
      const io = kind === "io";
      const base = this.address(index);
      const wanted = bar.target !== null && (io ? owner.ioEnabled : owner.memoryEnabled) && base + size <= MAX_ADDRESS;
      const router = io ? bus.io : bus.memory;
      const before = this.#mapped[n];
      if (before && wanted && before.window.base === base && before.window.target === bar.target) return;
      if (before) router.unmap(before.window);
      this.#mapped[n] = null;
      if (!wanted || bar.target === null) return;
      const name = `${owner.fullName} BAR ${index}`;
      const window = { name, base, size, target: bar.target, priority: bus.priorityOf(owner, index) };
      this.#mapped[n] = { window: router.map(window), io };
    });
  }

  #place(index: number): number {
    const n = this.list.findIndex((b) => b.spec.index === index);
    if (n < 0) throw new Error(`${this.#function.fullName}: there is no BAR ${index}`);
    return n;
  }
}

function withOverlays(below: Target | null, overlays: readonly BarOverlay[]): Target | null {
  return overlays.length === 0 ? below : new OverlaidTarget(below, overlays);
}

/** Capabilities' structures before a device's own registers; what neither has reads as zero. */
class OverlaidTarget implements Target {
  readonly accessSizes: number;
  readonly below: Target | null;
  readonly #overlays: readonly BarOverlay[];

  constructor(below: Target | null, overlays: readonly BarOverlay[]) {
    this.below = below;
    this.#overlays = overlays;
    let sizes = below?.accessSizes ?? 15;
    for (const o of overlays) sizes &= o.target.accessSizes;
    this.accessSizes = sizes;
  }

  read(offset: number, size: number, tx: Parameters<Target["read"]>[2]): number {
    for (const o of this.#overlays) {
      if (offset >= o.offset && offset < o.offset + o.size) return o.target.read(offset - o.offset, size, tx);
    }
    return this.below?.read(offset, size, tx) ?? 0;
  }
  write(offset: number, size: number, value: number, tx: Parameters<Target["write"]>[3]): void {
    for (const o of this.#overlays) {
      if (offset >= o.offset && offset < o.offset + o.size) {
        o.target.write(offset - o.offset, size, value, tx);
        return;
      }
    }
    this.below?.write(offset, size, value, tx);
  }
  peek(offset: number, size: number): number {
    for (const o of this.#overlays) {
      if (offset >= o.offset && offset < o.offset + o.size) return o.target.peek(offset - o.offset, size);
    }
    return this.below?.peek(offset, size) ?? 0;
  }
  poke(offset: number, size: number, value: number): void {
    for (const o of this.#overlays) {
      if (offset >= o.offset && offset < o.offset + o.size) {
        o.target.poke(offset - o.offset, size, value);
        return;
      }
    }
    this.below?.poke(offset, size, value);
  }
}
