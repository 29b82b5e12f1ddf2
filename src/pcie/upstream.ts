/**
 * A function's way up: what its DMA and MSI writes go through. Requests leave only with Bus Master Enable set here and in every
 * bridge above, in D0 (clauses 7.5.1.1.3, 5.3.1.4). Switches turn peer-to-peer requests round unless ACS redirects them; all else reaches
 * the root complex, where an IOMMU may stand. Bound to anew when bus numbers change.
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
import type { PcieBus } from "./bus.ts";
import type { PcieFunction } from "./function.ts";
import { STATUS } from "./header.ts";

const EVERYTHING = 2 ** 52;

export class UpstreamPath implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly #function: PcieFunction;
  #enabled = false;
  #system: Target | null = null;
  /** Buses on the way up where a switch may turn a request round. */
  #turns: readonly PcieBus[] = [];
  readonly #watched = new Set<Target>();
  readonly #listeners: ((address: number, length: number) => void)[] = [];

  constructor(owner: PcieFunction) {
    this.#function = owner;
  }

  /** Requests may leave. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** What decides about the way has changed. */
  update(enabled: boolean, system: Target | null, turns: readonly PcieBus[]): void {
    this.#enabled = enabled && system !== null;
    this.#system = system;
    this.#turns = turns;
    if (system !== null && !this.#watched.has(system)) {
      this.#watched.add(system);
      system.onInvalidate?.((address, length) => {
        if (this.#system === system) for (const listener of this.#listeners) listener(address, length);
      });
    }
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
    if (!this.#enabled) return null;
    let region = this.#system?.direct?.(address, write) ?? null;
    for (const bus of this.#turns) {
      if (region === null) return null;
      const gap = bus.unclaimed(address);
      if (gap === null) return null;
      const start = Math.max(region.start, gap.start);
      region = {
        ...region,
        start,
        end: Math.min(region.end, gap.end),
        arenaAt: region.arenaAt + (start - region.start),
      };
    }
    return region;
  }

  onInvalidate(listener: (address: number, length: number) => void): void {
    this.#listeners.push(listener);
  }

  #target(address: number): Target | null {
    if (!this.#enabled) return null;
    for (const bus of this.#turns) if (bus.unclaimed(address) === null) return bus.memory;
    return this.#system;
  }

  #refused(address: number, size: number, write: boolean, tx: Transaction): number {
    this.#function.guestError({
      kind: "dma",
      address,
      size,
      write,
      requesterId: this.#function.requesterId,
      clause: "PCI Express Base 5.0 7.5.1.1.3",
      detail: this.#function.poweredDown ? "DMA outside D0" : "DMA while Bus Master Enable is clear here or above",
    });
    tx.response = RESPONSE_DECODE_ERROR;
    tx.high = size === 8 ? 0xffff_ffff : 0;
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
  }

  #failed(address: number, size: number, write: boolean, tx: Transaction): void {
    if (!write)
      this.#function.setStatus(
        tx.response === RESPONSE_DECODE_ERROR ? STATUS.receivedMasterAbort : STATUS.receivedTargetAbort,
      );
    this.#function.guestError({
      kind: "dma",
      address,
      size,
      write,
      requesterId: this.#function.requesterId,
      clause: "PCI Express Base 5.0 2.3.1",
      detail: "DMA was refused",
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
