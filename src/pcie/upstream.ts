/**
 * A function's way up: what its DMA and MSI writes go through. Requests leave only with Bus Master Enable set here and in every
 * bridge above, in D0 (clauses 7.5.1.1.3, 5.3.1.4). A bridge sends nothing up that lies in its own windows; switches turn peer-to-peer requests
 * round unless ACS redirects them; all else reaches the root complex, where an IOMMU may stand. Bound to anew when bus numbers change.
 */
import {
  type DirectRegion,
  RESPONSE_DECODE_ERROR,
  RESPONSE_OK,
  RESPONSE_TARGET_ERROR,
  SIZES_UP_TO_64,
  type Target,
  type Transaction,
} from "../bus/index.ts";
import type { Hop } from "./bus.ts";
import type { PcieFunction } from "./function.ts";
import { STATUS } from "./header.ts";

const EVERYTHING = 2 ** 52;

export class UpstreamPath implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly #function: PcieFunction;
  #system: Target | null = null;
  /** End of the last beat that was refused; means something within one block transfer only. */
  #refusedTo = 0;
  /** Bridges on the way up, the nearest first. */
  #hops: readonly Hop[] = [];
  /** Where no bridge turns requests round: the last regions given for reads and writes, and what they were cut from. */
  readonly #cutFrom: [DirectRegion | null, DirectRegion | null] = [null, null];
  readonly #cut: [DirectRegion | null, DirectRegion | null] = [null, null];
  #turns = false;
  readonly #watched = new Set<Target>();
  readonly #listeners: ((address: number, length: number) => void)[] = [];

  constructor(owner: PcieFunction) {
    this.#function = owner;
  }

  /** Requests may leave. */
  get enabled(): boolean {
    return this.#system !== null;
  }

  /** What decides about the way has changed; `system` is null where no request may leave. */
  update(system: Target | null, hops: readonly Hop[]): void {
    this.#system = system;
    this.#hops = hops;
    this.#turns = hops.some(({ turn }) => turn !== null);
    this.#cut.fill(null);
    for (const { turn } of hops)
      if (turn !== null) this.#watch(turn.memory, () => this.#hops.some((h) => h.turn === turn));
    if (system !== null) this.#watch(system, () => this.#system === system);
    for (const listener of this.#listeners) listener(0, EVERYTHING);
  }

  read(address: number, size: number, tx: Transaction): number {
    const target = this.#target(address);
    if (target === null) return this.#refused(address, size, false, tx);
    const value = transfer(target, address, size, tx);
    if (tx.response !== RESPONSE_OK) this.#failed(address, size, false, tx);
    return value;
  }

  write(address: number, size: number, value: number, tx: Transaction): void {
    const target = this.#target(address);
    if (target === null) {
      this.#refused(address, size, true, tx);
      return;
    }
    if ((target.accessSizes & size) !== 0) target.write(address, size, value, tx);
    else if (size === 8) {
      const { high } = tx;
      target.write(address, 4, value, tx);
      target.write(address + 4, 4, high, tx);
      tx.high = high;
    } else tx.response = RESPONSE_TARGET_ERROR;
    // Memory writes are posted: the function does not hear of failure; the port's user may, for diagnosis.
    if (tx.response !== RESPONSE_OK) this.#failed(address, size, true, tx);
  }

  peek(address: number, size: number): number {
    return this.#system?.peek(address, size) ?? 0;
  }

  poke(address: number, size: number, value: number): void {
    this.#system?.poke(address, size, value);
  }

  direct(address: number, write: boolean): DirectRegion | null {
    if (!this.enabled) return null;
    const whole: DirectRegion | null = this.#system?.direct?.(address, write) ?? null;
    if (whole === null || this.#hops.length === 0) return whole;
    const kind = write ? 1 : 0;
    const known = this.#cut[kind];
    if (known !== null && this.#cutFrom[kind] === whole && address >= known.start && address < known.end) return known;
    let region: DirectRegion | null = whole;
    for (const { blocked, turn } of this.#hops) {
      if (region === null) return null;
      let start: number = region.start;
      let end: number = region.end;
      for (const window of blocked) {
        if (address >= window.base && address < window.end) return null;
        if (window.base > address) end = Math.min(end, window.base);
        else start = Math.max(start, window.end);
      }
      if (turn !== null) {
        const gap = turn.unclaimed(address);
        if (gap === null) return null;
        start = Math.max(start, gap.start);
        end = Math.min(end, gap.end);
      }
      region = { ...region, start, end, arenaAt: region.arenaAt + (start - region.start) };
    }
    if (!this.#turns) {
      this.#cutFrom[kind] = whole;
      this.#cut[kind] = region;
    }
    return region;
  }

  onInvalidate(listener: (address: number, length: number) => void): void {
    this.#listeners.push(listener);
  }

  #target(address: number): Target | null {
    if (!this.enabled) return null;
    for (const { blocked, turn } of this.#hops) {
      for (const window of blocked) if (address >= window.base && address < window.end) return null;
      if (turn !== null && turn.unclaimed(address) === null) return turn.memory;
    }
    return this.#system;
  }

  #watch(target: Target, inUse: () => boolean): void {
    if (this.#watched.has(target)) return;
    this.#watched.add(target);
    target.onInvalidate?.((address, length) => {
      if (inUse()) for (const listener of this.#listeners) listener(address, length);
    });
  }

  #refused(address: number, size: number, write: boolean, tx: Transaction): number {
    if (this.enabled && !write) this.#function.setStatus(STATUS.receivedMasterAbort);
    if (this.#begins(address, size, tx)) {
      const detail = this.enabled
        ? "DMA to an address behind the requester's own port"
        : this.#function.poweredDown
          ? "DMA outside D0"
          : "DMA while Bus Master Enable is clear here or above";
      this.#report(address, size, write, this.enabled ? "7.5.1.3" : "7.5.1.1.3", detail);
    }
    tx.response = RESPONSE_DECODE_ERROR;
    tx.high = size === 8 ? 0xffff_ffff : 0;
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
  }

  #failed(address: number, size: number, write: boolean, tx: Transaction): void {
    if (!write)
      this.#function.setStatus(
        tx.response === RESPONSE_DECODE_ERROR ? STATUS.receivedMasterAbort : STATUS.receivedTargetAbort,
      );
    if (this.#begins(address, size, tx)) this.#report(address, size, write, "2.3.1", "DMA was refused");
  }

  /** One record a stretch of a block: false where this beat follows a refused one. */
  #begins(address: number, size: number, tx: Transaction): boolean {
    const follows = tx.continued && address === this.#refusedTo;
    this.#refusedTo = address + size;
    return !follows;
  }

  #report(address: number, size: number, write: boolean, clause: string, detail: string): void {
    const { requesterId } = this.#function;
    this.#function.guestError({
      kind: "dma",
      address,
      size,
      write,
      requesterId,
      clause: `PCI Express Base 5.0 ${clause}`,
      detail,
    });
  }
}

function transfer(target: Target, address: number, size: number, tx: Transaction): number {
  if ((target.accessSizes & size) !== 0) return target.read(address, size, tx);
  if (size !== 8) {
    tx.response = RESPONSE_TARGET_ERROR;
    return 0;
  }
  const low = target.read(address, 4, tx);
  const high = target.read(address + 4, 4, tx);
  tx.high = high;
  return low;
}
