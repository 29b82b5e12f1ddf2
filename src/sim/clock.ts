/**
 * A clock (IEEE 1666-2011 clause 6.7): a boolean signal with edges at exact instants. An edge's instant follows from its
 * number, never from the one before, so that a frequency whose period is no whole number of ticks does not drift.
 */
import type { Event } from "./event.ts";
import { Module } from "./module.ts";
import type { Signal } from "./signal.ts";
import type { Simulation } from "./simulation.ts";
import type { Frequency, Time } from "./time.ts";

export interface ClockOptions {
  /** In ticks, 2 or more; or a frequency. */
  readonly period: Time | Frequency;
  /** Share of the period at the high level, between 0 and 1; 0.5 unless given. */
  readonly duty?: number;
  /** Instant of the first edge; 0 unless given. */
  readonly start?: Time;
  /** The first edge rises; true unless given. */
  readonly posedgeFirst?: boolean;
}

export class Clock extends Module {
  readonly output: Signal<boolean>;
  readonly duty: number;
  readonly start: Time;
  readonly posedgeFirst: boolean;
  readonly #period: Time | Frequency;
  readonly #cells = this.state({ edges: 0, origin: 0 });
  readonly #tick: Event = this.event("tick");

  constructor(parent: Module | Simulation, name: string, options: ClockOptions) {
    super(parent, name);
    const { period, duty = 0.5, start = 0, posedgeFirst = true } = options;
    if (!(duty > 0 && duty < 1))
      throw new RangeError(`clock ${this.fullName}: duty of ${duty}, expected more than 0, less than 1`);
    if (!Number.isSafeInteger(start) || start < 0) throw new RangeError(`clock ${this.fullName}: start at ${start}`);
    this.#period = period;
    this.duty = duty;
    this.start = start;
    this.posedgeFirst = posedgeFirst;
    const shortest = this.#cycleStart(1);
    if (!Number.isSafeInteger(shortest) || shortest < 2) {
      throw new RangeError(`clock ${this.fullName}: period of ${shortest} ticks, expected a whole number from 2`);
    }
    this.output = this.signal("output", !posedgeFirst);
    this.method("edge", () => this.#edge(), { sensitive: [this.#tick], dontInitialize: true });
    this.#arm();
  }

  /** Edges so far, of both kinds. */
  get edges(): number {
    return this.#cells.edges;
  }
  read(): boolean {
    return this.output.read();
  }
  get changed(): Event {
    return this.output.changed;
  }
  get posedge(): Event {
    return this.output.posedge;
  }
  get negedge(): Event {
    return this.output.negedge;
  }

  /** The instant of edge `n`, counted from 0. */
  edgeTime(n: number): Time {
    const cycle = Math.floor(n / 2);
    const from = this.#cycleStart(cycle);
    if (n % 2 === 0) return this.#cells.origin + this.start + from;
    const length = this.#cycleStart(cycle + 1) - from;
    const high = Math.min(length - 1, Math.max(1, Math.round(length * this.duty)));
    return this.#cells.origin + this.start + from + (this.posedgeFirst ? high : length - high);
  }

  #cycleStart(cycle: number): Time {
    return typeof this.#period === "number" ? cycle * this.#period : this.#period.timeOf(cycle);
  }

  #edge(): void {
    this.#cells.edges++;
    this.#arm();
    this.output.write(!this.output.read());
  }

  #arm(): void {
    this.#tick.scheduleAt(this.edgeTime(this.#cells.edges));
  }

  /** Power-on restarts the clock: its first edge comes `start` from now. */
  protected override onReset(): void {
    this.#cells.origin = this.simulation.now;
    this.#arm();
  }
}
