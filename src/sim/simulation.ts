/**
 * One simulation: virtual time, the event queue, the module tree, the seed, the reporter. A simulation is a value; many
 * live side by side in one process and share nothing.
 */
import type { Event } from "./event.ts";
import { StateHash } from "./hash.ts";
import type { Module } from "./module.ts";
import { Random } from "./random.ts";
import { type Initiator, Reporter } from "./report.ts";
import { hashState, SnapshotError, type StateRecord, type StateValue } from "./state.ts";
import { NEVER, type Time } from "./time.ts";

export interface SimulationOptions {
  /** Seed of all random streams. */
  readonly seed?: number;
}

/** Why `run` came back: the time given was reached, nothing is left to do, `pause` or `stop` was called. */
export type RunResult = "time" | "starved" | "paused" | "stopped";

/** What a snapshot holds, by module name; files add a header of their own around it. */
export interface SimulationState {
  readonly time: Time;
  readonly sequence: number;
  readonly seed: number;
  readonly modules: { readonly [fullName: string]: { readonly version: number; readonly state: StateRecord } };
}

export class Simulation {
  /**
   * The current instant. While an initiator runs ahead inside its quantum and touches a device, it sets `now` to its own
   * local time for the length of the access, so a device always reads the exact time of the access here.
   */
  now: Time = 0;
  readonly seed: number;
  readonly reporter = new Reporter();
  /** Who is acting right now; null outside CPU accesses. */
  initiator: Initiator | null = null;
  /** An initiator running ahead stops here at the latest: the next event, or the end of `run`. */
  horizon: Time = NEVER;
  /** Called when `horizon` moves closer while an initiator runs ahead. */
  onHorizon: (() => void) | null = null;
  readonly modules = new Map<string, Module>();
  #queue: Event[] = [];
  #sequence = 0;
  #paused = false;
  #stopped = false;
  #running = false;
  #until: Time = NEVER;

  constructor(options: SimulationOptions = {}) {
    this.seed = options.seed ?? 1;
  }

  /** Called by the constructor of `Module`. */
  register(module: Module): void {
    if (this.modules.has(module.fullName)) throw new Error(`two modules are named "${module.fullName}"`);
    this.modules.set(module.fullName, module);
  }
  /** Called by the constructor of `Event`. */
  registerEvent(_event: Event): void {}

  module(fullName: string): Module {
    const found = this.modules.get(fullName);
    if (!found) throw new Error(`no module is named "${fullName}"`);
    return found;
  }

  /** A stream of random numbers of `owner`'s own, saved with it. */
  random(owner: Module, name: string): Random {
    return owner.part(name, new Random(this.seed, `${owner.fullName}.${name}`));
  }

  /** Puts the event at `time`, replacing a pending notification. Called by `Event`. */
  schedule(event: Event, time: Time): void {
    this.reschedule(event, Math.max(time, this.now), this.#sequence++);
    if (time < this.horizon) {
      this.horizon = Math.max(time, this.now);
      this.onHorizon?.();
    }
  }

  reschedule(event: Event, time: Time, sequence: number): void {
    if (event.position >= 0) this.unschedule(event);
    event.deadline = time;
    event.sequence = sequence;
    event.position = this.#queue.length;
    this.#queue.push(event);
    this.#up(event.position);
  }

  unschedule(event: Event): void {
    const at = event.position;
    if (at < 0) return;
    const last = this.#queue.pop() as Event;
    event.position = -1;
    event.deadline = NEVER;
    if (last === event) return;
    this.#queue[at] = last;
    last.position = at;
    this.#up(at);
    this.#down(last.position);
  }

  /** The instant of the next event, or NEVER. */
  get nextEventTime(): Time {
    return this.#queue.length > 0 ? (this.#queue[0] as Event).deadline : NEVER;
  }

  /** The end of the current `run`. */
  get until(): Time {
    return this.#until;
  }

  /** Runs events up to and including the instant `until`; time then stands at `until` unless stopped before. */
  run(until: Time = NEVER): RunResult {
    if (this.#running) throw new Error("run() inside run(): call pause() and return instead");
    if (this.#stopped) return "stopped";
    this.#running = true;
    this.#paused = false;
    this.#until = until;
    try {
      for (;;) {
        const next = this.#queue[0];
        if (next === undefined || next.deadline > until) {
          if (until !== NEVER) this.now = Math.max(this.now, until);
          return next === undefined && until === NEVER ? "starved" : "time";
        }
        this.now = next.deadline;
        this.unschedule(next);
        this.horizon = Math.min(this.nextEventTime, until);
        next.fire();
        if (this.#stopped) return "stopped";
        if (this.#paused) return "paused";
      }
    } finally {
      this.#running = false;
      this.#until = NEVER;
      this.horizon = NEVER;
    }
  }

  /** Makes `run` return after the current event; a later `run` goes on. */
  pause(): void {
    this.#paused = true;
    this.horizon = this.now;
    this.onHorizon?.();
  }
  /** Ends the simulation: `run` returns now and at every later call. */
  stop(): void {
    this.#stopped = true;
    this.pause();
  }
  get pausing(): boolean {
    return this.#paused || this.#stopped;
  }

  /** Power-on reset of every module. */
  reset(): void {
    for (const m of [...this.modules.values()]) if (m.parent === null) m.reset();
  }

  save(): SimulationState {
    const modules: Record<string, { version: number; state: StateRecord }> = {};
    for (const [name, m] of this.modules) modules[name] = { version: m.stateVersion, state: m.saveState() };
    return { time: this.now, sequence: this.#sequence, seed: this.seed, modules };
  }

  /** Restores what `save` gave on a machine built alike. Throws `SnapshotError` naming the first thing that does not fit. */
  load(saved: SimulationState): void {
    for (const name of Object.keys(saved.modules)) {
      if (!this.modules.has(name)) throw new SnapshotError(`${name}: this machine has no such module`);
    }
    for (const name of this.modules.keys()) {
      if (!(name in saved.modules)) throw new SnapshotError(`${name}: missing from the snapshot`);
    }
    this.now = saved.time;
    for (const [name, { version, state }] of Object.entries(saved.modules)) this.module(name).loadState(state, version);
    this.#sequence = saved.sequence;
    for (const m of this.modules.values()) m.restored();
  }

  /**
   * Hash of all state that can change what happens next: equal hashes, equal futures. Independent of observers, of
   * debuggers and of how often the queue was touched (sequence numbers enter as ranks).
   */
  stateHash(): string {
    const hash = new StateHash();
    hash.number(this.now);
    const order = [...this.#queue].sort(before);
    hash.word(order.length);
    for (const e of order) hash.text(e.fullName).number(e.deadline);
    for (const name of [...this.modules.keys()].sort()) {
      hash.text(name);
      const m = this.module(name);
      hashState(hash, withoutEvents(m.saveState()));
    }
    return hash.digest();
  }

  #up(at: number): void {
    const queue = this.#queue;
    const event = queue[at] as Event;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = queue[parentAt] as Event;
      if (before(parent, event) <= 0) break;
      queue[at] = parent;
      parent.position = at;
      at = parentAt;
    }
    queue[at] = event;
    event.position = at;
  }

  #down(at: number): void {
    const queue = this.#queue;
    const event = queue[at] as Event;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= queue.length) break;
      if (childAt + 1 < queue.length && before(queue[childAt + 1] as Event, queue[childAt] as Event) < 0) childAt++;
      const child = queue[childAt] as Event;
      if (before(event, child) <= 0) break;
      queue[at] = child;
      child.position = at;
      at = childAt;
    }
    queue[at] = event;
    event.position = at;
  }
}

function before(a: Event, b: Event): number {
  return a.deadline - b.deadline || a.priority - b.priority || a.sequence - b.sequence;
}

function withoutEvents(record: StateRecord): StateRecord {
  const out: Record<string, StateValue> = {};
  for (const [name, value] of Object.entries(record)) {
    const v = value as { deadline?: StateValue; sequence?: StateValue } | null;
    if (v !== null && typeof v === "object" && "deadline" in v && "sequence" in v) continue;
    out[name] = value;
  }
  return out;
}
