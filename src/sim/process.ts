/**
 * Processes (IEEE 1666-2011 clause 5.2): what method and thread processes share. A process is a part of its module. It runs when an event of its static sensitivity fires or, after `nextTrigger` or a thread's wait,
 * when the dynamic one is met. The rules and the order are those of SystemC 2.3.4; `docs/sim.md` lists them.
 */
import { Event, Waiters } from "./event.ts";
import type { StateHash } from "./hash.ts";
import type { MethodProcess } from "./method.ts";
import type { Module } from "./module.ts";
import type { Signal } from "./signal.ts";
import type { Simulation } from "./simulation.ts";
import { SnapshotError, type StatePart, type StateValue } from "./state.ts";
import { type Changing, Cycles, EventList, eventOf, TimedWait, type Wait } from "./wait.ts";

/** A reset of a process: active while `signal` has the value `level`. */
export interface ResetLevel {
  readonly signal: Signal<boolean>;
  readonly level: boolean;
}

export interface ProcessOptions {
  /** Static sensitivity: events, or signals and lines for their change. */
  readonly sensitive?: readonly (Event | Changing)[];
  /** Do not run at initialization; wait for the sensitivity first. */
  readonly dontInitialize?: boolean;
  /** Resets taken when the process would run next: `reset_signal_is`. */
  readonly reset?: readonly ResetLevel[];
  /** Resets taken at once: `async_reset_signal_is`. */
  readonly asyncReset?: readonly ResetLevel[];
}

/** What the process waits for. */
export const STATIC = 0;
export const EVENT = 1;
export const ANY = 2;
export const ALL = 3;
export const TIME = 4;

/** What is to be thrown into the process when it runs next. */
export const NO_THROW = 0;
export const SYNC_RESET = 1;
export const ASYNC_RESET = 2;
export const KILL = 3;

/** Unwinds a process that is killed or reset by its own code; user code lets it pass. */
export class Unwind extends Error {
  override readonly name = "Unwind";
  readonly target: Process;
  readonly isReset: boolean;
  constructor(target: Process, isReset: boolean) {
    super(`${target.fullName}: ${isReset ? "reset" : "killed"}`);
    this.target = target;
    this.isReset = isReset;
  }
}

/** What is not said is as after construction. */
type SavedProcess = {
  flags?: StateValue;
  wait?: StateValue;
  timed?: StateValue;
  count?: StateValue;
  events?: StateValue;
  skip?: StateValue;
  throwing?: StateValue;
  timeout?: StateValue;
};

export abstract class Process implements StatePart {
  // What the kernel touches most comes first: these fields share a cache line.
  readonly simulation: Simulation;
  /** Link of the runnable list; the kernel's own, like all that follows but `timedOut`. */
  next: Process | null = null;
  runnable = false;
  waitKind = STATIC;
  /** A trigger does more than to make the process runnable: disabled, suspended, or triggers still to be skipped. */
  held = false;
  readonly timeout: Event;
  /** A run does more than to run the body: a reset or a kill is due, or resets are declared. */
  special = false;
  /** A method's body. */
  readonly body: ((self: MethodProcess) => void) | null;
  waitEvent: Event | null = null;
  waitTimed = false;
  /** True when the wait that led to this run ended by its time-out. */
  timedOut = false;
  /** Events of an ALL list still to come. */
  waitCount = 0;
  waitList: EventList | null = null;
  abstract readonly isThread: boolean;
  readonly owner: Module;
  readonly name: string;
  readonly dontInitialize: boolean;
  readonly staticEvents: readonly Event[];
  /** Static triggers still to be skipped: wait(int). */
  skip = 0;
  protected suspended = false;
  protected disabled = false;
  protected ready = false;
  protected ended = false;
  protected unwinding = false;
  protected throwing = NO_THROW;
  protected sticky = false;
  #terminated: Event | null = null;
  #resetEvent: Event | null = null;
  readonly #syncResets: readonly ResetLevel[];
  readonly #asyncResets: readonly ResetLevel[];
  readonly #hasResets: boolean;

  constructor(owner: Module, name: string, options: ProcessOptions, body: ((self: MethodProcess) => void) | null) {
    this.simulation = owner.simulation;
    this.body = body;
    this.owner = owner;
    this.name = name;
    this.#syncResets = options.reset ?? [];
    this.#asyncResets = options.asyncReset ?? [];
    this.#hasResets = this.special = this.#syncResets.length + this.#asyncResets.length > 0;
    this.dontInitialize = options.dontInitialize ?? false;
    this.staticEvents = [...new Set((options.sensitive ?? []).map(eventOf))];
    this.timeout = new Event(owner, `${name}.timeout`);
    this.timeout.target = this;
    for (const { signal, level } of this.#syncResets) signal.addReset(this, level, false);
    for (const { signal, level } of this.#asyncResets) signal.addReset(this, level, true);
  }

  get fullName(): string {
    return `${this.owner.fullName}.${this.name}`;
  }
  /** True once `kill` was called. */
  get killed(): boolean {
    return this.throwing === KILL;
  }
  /** True once the process has ended: a thread that returned, or a process that was killed. */
  get terminated(): boolean {
    return this.ended;
  }
  /** Fires, immediately, when the process ends. */
  get terminatedEvent(): Event {
    this.#terminated ??= new Event(this.owner, `${this.name}.terminated`);
    return this.#terminated;
  }
  /** Fires, immediately, when the process is reset. */
  get resetEvent(): Event {
    this.#resetEvent ??= new Event(this.owner, `${this.name}.reset`);
    return this.#resetEvent;
  }

  /** Runs the process once; the kernel calls it. */
  abstract run(): void;
  protected abstract enqueue(): void;
  /** A running body is left, a waiting one unwound, and the process starts anew. */
  protected abstract restart(): void;
  protected abstract dynamicWaiters(event: Event): Process[];
  protected abstract addStatic(event: Event): void;
  protected abstract removeStatic(event: Event): void;

  /** Adds the process to its events; the constructors call it last. */
  protected attach(): void {
    for (const event of this.staticEvents) this.addStatic(event);
    this.simulation.registerProcess(this);
  }

  /** The event, whose `target` this is, fired. */
  triggerBy(event: Event): void {
    if (event === this.timeout) this.triggerDynamic(event);
    else this.triggerStatic();
  }

  triggerStatic(): void {
    if (this.runnable || this.waitKind !== STATIC || this.simulation.current === this) return;
    if (this.held) this.#triggerHeld();
    else this.enqueue();
  }

  #triggerHeld(): void {
    if (this.disabled) return;
    if (this.skip > 0 && this.throwing === NO_THROW) this.skip--;
    else this.#fulfil();
    this.derive();
  }

  /** The summaries that the fast paths look at. */
  protected derive(): void {
    this.held = this.disabled || this.suspended || this.skip > 0;
    this.special = this.#hasResets || this.throwing !== NO_THROW;
  }

  /** The event fired; returns true where the process no longer waits for it. */
  triggerDynamic(event: Event): boolean {
    this.timedOut = false;
    if (this.simulation.current === this) return false;
    if (this.runnable) return true;
    if (this.waitKind === TIME && !this.held) {
      this.waitKind = STATIC;
      this.enqueue();
      return true;
    }
    const timeout = event === this.timeout;
    if (this.disabled) {
      if (!timeout) return false;
      this.clearWait();
      return true;
    }
    if (this.waitKind === STATIC) return true;
    if (timeout) {
      if (this.waitKind !== TIME) this.timedOut = true;
    } else if (this.waitKind === ALL && --this.waitCount > 0) {
      return true;
    }
    this.#leaveLists(event);
    if (this.waitTimed && !timeout) this.timeout.cancel();
    this.waitKind = STATIC;
    this.waitTimed = false;
    this.#fulfil();
    return true;
  }

  #fulfil(): void {
    if (this.suspended) this.ready = true;
    else this.enqueue();
  }

  /** Takes the process off every event it waits for but `except`, which is taking it off itself. */
  #leaveLists(except: Event | null): void {
    if (this.waitEvent !== null) {
      if (this.waitEvent !== except) remove(this.dynamicWaiters(this.waitEvent), this);
      this.waitEvent = null;
    } else if (this.waitList !== null) {
      for (const event of this.waitList.events) if (event !== except) remove(this.dynamicWaiters(event), this);
      this.waitList = null;
    }
  }

  /** Ends the dynamic wait: the static sensitivity counts again. */
  clearWait(): void {
    if (this.waitKind === STATIC) return;
    this.#leaveLists(null);
    this.timeout.cancel();
    this.waitKind = STATIC;
    this.waitTimed = false;
    this.waitCount = 0;
  }

  /** Starts a wait; none is pending. */
  protected startWait(on: Wait): void {
    if (typeof on === "number") {
      this.waitKind = TIME;
      const { simulation } = this;
      simulation.schedule(this.timeout, simulation.now + on);
    } else if (on instanceof Event) {
      this.#waitFor(on);
    } else if (on === undefined) {
      this.waitKind = STATIC;
    } else if (on instanceof Cycles) {
      this.skip = on.count - 1;
      this.derive();
    } else if (on instanceof TimedWait) {
      this.waitTimed = true;
      this.timeout.notify(on.time);
      this.#waitFor(on.events);
    } else {
      this.#waitFor(on);
    }
  }

  #waitFor(on: Event | EventList): void {
    if (on instanceof Event) {
      this.waitKind = EVENT;
      this.waitEvent = on;
      this.dynamicWaiters(on).push(this);
      return;
    }
    this.waitKind = on.all ? ALL : ANY;
    this.waitList = on;
    this.waitCount = on.events.length;
    for (const event of on.events) this.dynamicWaiters(event).push(this);
  }

  /** Holds the process back; a trigger meanwhile is remembered and acts at `resume`. */
  suspend(): void {
    if (this.isThread && this.simulation.current === this) {
      throw new Error(`${this.fullName}: a running thread cannot suspend itself; let it wait for an event`);
    }
    this.suspended = true;
    this.derive();
    if (this.runnable) {
      this.ready = true;
      this.simulation.removeRunnable(this);
    }
    if (this.simulation.current === this) this.ready = true;
  }

  resume(): void {
    this.suspended = false;
    this.derive();
    if (!this.ready) return;
    this.ready = false;
    if (this.runnable || this.simulation.current === this) return;
    this.enqueue();
    this.clearWait();
  }

  /** Ignores triggers until `enable`; a run that is already due takes place. */
  disable(): void {
    this.disabled = true;
    this.derive();
    if (!this.simulation.initialized) this.simulation.removeRunnable(this);
  }

  enable(): void {
    this.disabled = false;
    this.derive();
  }
  get isDisabled(): boolean {
    return this.disabled;
  }
  get isSuspended(): boolean {
    return this.suspended;
  }
  /** Initialization met a suspended process: it is due at `resume`. */
  markReady(): void {
    this.ready = true;
  }

  /** Ends the process for good, now. */
  kill(): void {
    if (this.unwinding || this.ended) return;
    this.throwing = KILL;
    this.skip = 0;
    this.derive();
    this.clearWait();
    this.simulation.removeRunnable(this);
    if (this.simulation.current === this) throw new Unwind(this, false);
    this.unwind();
    this.end();
  }

  /** Resets the process once, now: it leaves what it does and starts from its beginning. */
  resetProcess(): void {
    this.clearWait();
    this.throwReset(true);
  }

  /** Holds the process in synchronous reset until `syncResetOff`. */
  syncResetOn(): void {
    if (this.sticky) return;
    this.sticky = true;
    this.resetChanged(false, true);
  }
  syncResetOff(): void {
    if (!this.sticky) return;
    this.sticky = false;
    this.resetChanged(false, false);
  }

  /** A reset signal became active or inactive; a process that has ended stays where it is in the signal's list. */
  resetChanged(async: boolean, active: boolean): void {
    if (this.ended) return;
    if (active && this.simulation.initialized) this.throwReset(async);
    const resetting = this.throwing === SYNC_RESET || this.throwing === ASYNC_RESET;
    if (!active && resetting && this.#activeReset() === NO_THROW) this.throwing = NO_THROW;
    this.derive();
  }

  protected throwReset(async: boolean): void {
    if (this.unwinding || this.ended) return;
    this.throwing = async ? ASYNC_RESET : SYNC_RESET;
    this.skip = 0;
    this.derive();
    if (!async) return;
    this.ready = false;
    this.clearWait();
    if (this.simulation.current === this) throw new Unwind(this, true);
    this.restart();
  }

  /** The state of the resets at the start of a run from the beginning. */
  protected enterFromStart(): void {
    if (this.throwing === SYNC_RESET || this.throwing === ASYNC_RESET) this.#resetEvent?.notify();
    this.throwing = this.#activeReset();
    this.derive();
  }

  /** Runs clean-up code of a waiting body. */
  protected unwind(): void {}

  protected end(): void {
    if (this.ended) return;
    this.clearWait();
    for (const event of this.staticEvents) this.removeStatic(event);
    this.simulation.removeRunnable(this);
    this.ended = true;
    this.#terminated?.notify();
  }

  /** What the active resets throw: nothing, a synchronous or an asynchronous reset. */
  #activeReset(): number {
    const active = ({ signal, level }: ResetLevel) => signal.read() === level;
    if (this.#asyncResets.some(active)) return ASYNC_RESET;
    return this.sticky || this.#syncResets.some(active) ? SYNC_RESET : NO_THROW;
  }

  save(): StateValue {
    const record: SavedProcess = {};
    const flags = this.flags();
    if (flags.length > 0) record.flags = flags;
    if (this.waitKind !== STATIC) {
      record.wait = this.waitKind;
      record.timed = this.waitTimed;
      record.count = this.waitCount;
      record.events = this.#waitingFor().map((e) => e.fullName);
    }
    if (this.skip > 0) record.skip = this.skip;
    if (this.throwing !== NO_THROW) record.throwing = this.throwing;
    const timeout = this.timeout.save();
    if (timeout !== null) record.timeout = timeout;
    return record;
  }

  load(value: StateValue, path: string): void {
    if (value === null || typeof value !== "object" || Array.isArray(value) || ArrayBuffer.isView(value)) {
      throw new SnapshotError(`${path}: expected a record`);
    }
    const record = value as SavedProcess;
    this.initialState();
    const flags = record.flags ?? "";
    if (typeof flags !== "string") throw new SnapshotError(`${path}.flags: expected a string`);
    this.suspended = flags.includes("s");
    this.disabled = flags.includes("d");
    this.ready = flags.includes("r");
    this.timedOut = flags.includes("t");
    this.sticky = flags.includes("k");
    if (flags.includes("e") && !this.ended) this.end();
    this.skip = numberIn(record, "skip", path);
    this.throwing = numberIn(record, "throwing", path);
    this.waitKind = numberIn(record, "wait", path);
    this.waitTimed = record.timed === true;
    const events = record.events ?? [];
    if (!Array.isArray(events)) throw new SnapshotError(`${path}.events: expected a list`);
    const found = events.map((name: StateValue) => this.simulation.findEvent(String(name), `${path}.events`));
    if (this.waitKind === EVENT) this.waitEvent = found[0] ?? null;
    else if (this.waitKind === ANY || this.waitKind === ALL)
      this.waitList = new EventList(this.waitKind === ALL, found);
    this.waitCount = numberIn(record, "count", path);
    this.timeout.load(record.timeout ?? null, `${path}.timeout`);
    this.derive();
  }

  /** The time-out is hashed with the queue. */
  hash(hash: StateHash): void {
    hash.text(this.flags()).word(this.skip).word(this.throwing).word(this.waitKind);
    if (this.waitKind === STATIC) return;
    hash.word(this.waitTimed ? 1 : 0).word(this.waitKind === ALL ? this.waitCount : 0);
    for (const event of this.#waitingFor()) hash.text(event.fullName);
  }

  protected flags(): string {
    const { suspended, disabled, ready, ended, timedOut, sticky } = this;
    return `${suspended ? "s" : ""}${disabled ? "d" : ""}${ready ? "r" : ""}${ended ? "e" : ""}${timedOut ? "t" : ""}${sticky ? "k" : ""}`;
  }

  #waitingFor(): readonly Event[] {
    return this.waitEvent ? [this.waitEvent] : (this.waitList?.events ?? []);
  }

  /** As built: nothing awaited, no control in force, resets at zero. */
  protected initialState(): void {
    this.clearWait();
    this.timeout.cancel();
    this.simulation.removeRunnable(this);
    this.timedOut = this.suspended = this.disabled = this.ready = this.sticky = false;
    this.skip = 0;
    this.throwing = NO_THROW;
    this.derive();
    if (!this.ended) return;
    this.ended = false;
    for (const event of this.staticEvents) this.addStatic(event);
  }

  /** Power-on: as after construction, and due to be initialized again where the simulation already runs. */
  reset(): void {
    this.initialState();
    if (this.simulation.initialized && !this.dontInitialize) this.enqueue();
  }
}

/** The event's lists of processes, made where it has none. */
export function waitersOf(event: Event): Waiters {
  event.waiters ??= new Waiters();
  return event.waiters;
}

/** Takes `item` out; the last one takes its place. */
export function remove<T>(list: T[], item: T): void {
  const at = list.lastIndexOf(item);
  if (at < 0) return;
  const last = list.pop() as T;
  if (at < list.length) list[at] = last;
}

function numberIn(record: SavedProcess, name: "skip" | "throwing" | "wait" | "count", path: string): number {
  const value = record[name] ?? 0;
  if (typeof value !== "number") throw new SnapshotError(`${path}.${name}: expected a number`);
  return value;
}
