/** Simple targets for tests of the bus. */
import { Arena, type DirectRegion, Memory, Port, Router, type Target, type Transaction } from "../../src/bus/index.ts";
import { type GuestError, Simulation } from "../../src/sim/index.ts";

/** Writes down every call; reads give the offset. */
export class Recorder implements Target {
  readonly accessSizes: number;
  readonly calls: string[] = [];
  constructor(accessSizes = 15) {
    this.accessSizes = accessSizes;
  }
  read(offset: number, size: number, tx: Transaction): number {
    this.calls.push(`read ${offset.toString(16)}/${size}`);
    tx.high = size === 8 ? 0xabcd : tx.high;
    return offset >>> 0;
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    const high = size === 8 ? `${tx.high.toString(16)}:` : "";
    this.calls.push(`write ${offset.toString(16)}/${size} ${high}${value.toString(16)}`);
  }
  peek(offset: number, size: number): number {
    this.calls.push(`peek ${offset.toString(16)}/${size}`);
    return offset >>> 0;
  }
  poke(offset: number, size: number, value: number): void {
    this.calls.push(`poke ${offset.toString(16)}/${size} ${value.toString(16)}`);
  }
  /** The calls since the last time. */
  take(): string[] {
    return this.calls.splice(0);
  }
}

/** One page of direct memory that a test can take away. */
export class Revocable extends Recorder {
  granted = true;
  readonly #at: number;
  #listener: ((offset: number, length: number) => void) | null = null;
  constructor(arena: Arena) {
    super();
    this.#at = arena.allocate(0x1_0000);
  }
  direct(): DirectRegion | null {
    return this.granted ? { start: 0, end: 0x1000, arenaAt: this.#at, writable: true } : null;
  }
  onInvalidate(listener: (offset: number, length: number) => void): void {
    this.#listener = listener;
  }
  revoke(offset = 0, length = 0x1000): void {
    this.granted = false;
    this.#listener?.(offset, length);
  }
}

/** A bus with nothing on it, its guest errors, and a port. */
export class Bus {
  readonly simulation = new Simulation();
  readonly arena = new Arena();
  readonly router: Router;
  readonly port: Port;
  readonly errors: GuestError[] = [];

  constructor(policy: "abort" | "zero" = "abort") {
    this.router = new Router(this.simulation, "bus", policy);
    this.port = new Port(this.router, this.arena);
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
  }

  memory(name: string, base: number, size: number, readOnly = false): Memory {
    const target = new Memory(this.simulation, name, this.arena, { size, readOnly });
    this.router.map({ name, base, size, target });
    return target;
  }

  device(name: string, base: number, size: number, accessSizes = 15): Recorder {
    const target = new Recorder(accessSizes);
    this.router.map({ name, base, size, target });
    return target;
  }
}
