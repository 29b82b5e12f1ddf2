/** The TypeScript side of cases.hpp: what the twins of the C++ cases are written with. */
import {
  Clock,
  type ClockOptions,
  type Event,
  type MethodProcess,
  Module,
  type ProcessOptions,
  type Signal,
  Simulation,
  type Thread,
  type ThreadProcess,
} from "../../../src/sim/index.ts";

export class Bench {
  readonly sim = new Simulation();
  readonly top = new Module(this.sim, "top");
  readonly lines: string[] = [];
  #events = 0;

  get ticks(): number {
    return this.sim.now;
  }
  readonly say = (text: string): void => {
    this.lines.push(`${this.sim.now} ${this.sim.deltaCount} ${text}`);
  };
  event(): Event {
    return this.top.event(`event${this.#events++}`);
  }
  /** As `sc_start(T(ticks))`. */
  start(ticks: number): void {
    this.sim.run(this.sim.now + ticks, { beforeEvaluation: true });
  }
  /** As `sc_start()`. */
  startAll(): void {
    this.sim.run();
  }
  method(name: string, body: (self: MethodProcess) => void, options?: ProcessOptions): MethodProcess {
    return this.top.method(name, body, options);
  }
  thread(name: string, body: (self: ThreadProcess) => Thread, options?: ProcessOptions): ThreadProcess {
    return this.top.thread(name, body, options);
  }
  number(name: string, initial = 0): Signal<number> {
    return this.top.signal(name, initial);
  }
  boolean(name: string, initial = false): Signal<boolean> {
    return this.top.signal(name, initial);
  }
  clock(name: string, options: ClockOptions): Clock {
    return new Clock(this.top, name, options);
  }
}

export type Case = (bench: Bench) => void;

/** Sensitive to these, not run at initialization. */
export function later(...events: Event[]): ProcessOptions {
  return { sensitive: events, dontInitialize: true };
}
export function on(...events: Event[]): ProcessOptions {
  return { sensitive: events };
}
