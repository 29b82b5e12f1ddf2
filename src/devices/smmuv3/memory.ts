/** How the SMMU itself reads memory: descriptors and configuration, over the bus or as a debugger does. */
import { type Arena, type DirectRegion, Port, RESPONSE_OK, type Target } from "../../bus/index.ts";
import type { DescriptorReader } from "../../mmu/index.ts";

export class BusReader implements DescriptorReader {
  high = 0;
  failed = false;
  /** Address of the last read, for fault records. */
  last = 0;
  readonly #port: Port;

  constructor(bus: Target, arena: Arena) {
    this.#port = new Port(bus, arena);
  }

  read(address: number): number {
    this.last = address;
    const low = this.#port.read(address, 8);
    this.failed = this.#port.response !== RESPONSE_OK;
    this.high = this.#port.high | 0;
    return low | 0;
  }
}

/** Without side effects: RAM directly, all else by peek. */
export class PeekReader implements DescriptorReader {
  high = 0;
  readonly failed = false;
  last = 0;
  readonly #bus: Target;
  readonly #arena: Arena;
  #region: DirectRegion | null = null;

  constructor(bus: Target, arena: Arena) {
    this.#bus = bus;
    this.#arena = arena;
    bus.onInvalidate?.(() => {
      this.#region = null;
    });
  }

  read(address: number): number {
    this.last = address;
    let region = this.#region;
    if (region === null || address < region.start || address + 8 > region.end) {
      region = this.#bus.direct?.(address, false) ?? null;
      this.#region = region;
    }
    if (region !== null && address + 8 <= region.end) {
      const at = region.arenaAt + (address - region.start);
      this.high = this.#arena.view.getInt32(at + 4, true);
      return this.#arena.view.getInt32(at, true);
    }
    this.high = this.#bus.peek(address + 4, 4) | 0;
    return this.#bus.peek(address, 4) | 0;
  }
}
