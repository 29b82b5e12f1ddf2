/** A guest at one device: word accesses through a bus of its own, and what the device reported of them. */
import type { GuestError, Simulation, Time } from "../../src/sim/index.ts";
import { Bench, type DeviceFactory } from "../registers/harness.ts";

export interface Guest {
  readonly simulation: Simulation;
  read(offset: number, size?: number): number;
  write(offset: number, value: number, size?: number): void;
  /** As a debugger sees it. */
  peek(offset: number): number;
  /** Lets `ticks` of 100 ps pass. */
  run(ticks: Time): void;
  reset(): void;
  readonly errors: readonly GuestError[];
}

export function guestOf(factory: DeviceFactory): Guest {
  const bench = new Bench(factory);
  return {
    simulation: bench.simulation,
    read: (offset, size = 4) => bench.read(0, offset, size),
    write: (offset, value, size = 4) => bench.write(0, offset, size, value),
    peek: (offset) => bench.peek(0, offset, 4),
    run: (ticks) => bench.run(ticks),
    reset: () => bench.reset(),
    errors: bench.errors,
  };
}
