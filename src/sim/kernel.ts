/**
 * The scheduler (IEEE 1666-2011 clause 4.2): timed notification, evaluation, update, delta notification. It knows events,
 * processes and signals, and nothing of modules. Order within an instant:
 *
 * 1. the timed events due, one after the other by (priority, sequence): action first, then its processes become runnable;
 * 2. evaluation: runnable methods, then runnable threads, again while immediate notifications add some;
 * 3. update of the signals written;
 * 4. delta notifications: events with an action by (priority, sequence), then plain events in SystemC's order (the last
 *    notified first); then 2 again, until nothing is left to do at this instant.
 */
import type { Event } from "./event.ts";
import type { MethodProcess } from "./method.ts";
import type { Process } from "./process.ts";
import { TimedQueue } from "./queue.ts";
import { Runnable } from "./runnable.ts";
import type { ThreadProcess } from "./thread.ts";
import { NEVER, type Time } from "./time.ts";

/** Why `run` came back: the time given was reached, nothing is left to do, `pause` or `stop` was called. */
export type RunResult = "time" | "starved" | "paused" | "stopped";

/** A channel with a new value to take over in the update phase. */
export interface Updatable {
  readonly fullName: string;
  update(): void;
}

/** `horizon` is computed when it is asked for: no time is before this one, so `schedule` need not look. */
const UNASKED = -1;

export class Kernel {
  /**
   * The current instant. While an initiator runs ahead inside its quantum and touches a device, it sets `now` to its own
   * local time for the length of the access, so a device always reads the exact time of the access here.
   */
  now: Time = 0;
  /** Called when `horizon` moves closer while an initiator runs ahead. */
  onHorizon: (() => void) | null = null;
  /** The process that is running; null in an action and outside `run`. */
  current: Process | null = null;
  /** Evaluation phases with at least one process so far. */
  deltaCount = 0;
  /** Changes with every evaluation phase and every instant: what carries the present stamp has just happened. */
  changeStamp = 0;
  /** True once processes have been initialized, at the beginning of the first `run`. */
  initialized = false;
  /** True while processes are being run; between runs too, as a pause lies within evaluation. */
  evaluating = false;
  protected readonly queue = new TimedQueue();
  protected sequence = 0;
  /** All processes, in the order of construction. */
  protected readonly processes: Process[] = [];
  /** Delta notifications of events with an action, and whether their priorities differ. */
  protected actions: (Event | null)[] = [];
  protected actionCount = 0;
  #mixed = false;
  /** Those of them, and of the round under way, that have not been cancelled. */
  #actionsPending = 0;
  /** The notification phase under way: the actions taken, and the place of the next. */
  protected round: (Event | null)[] = [];
  protected roundAt = 0;
  protected roundCount = 0;
  protected notifying = false;
  /** Delta notifications of plain events. */
  protected readonly deltas: Event[] = [];
  protected deltaEvents = 0;
  protected updates: Updatable[] = [];
  #spareUpdates: Updatable[] = [];
  protected readonly methods = new Runnable<MethodProcess>();
  protected readonly threads = new Runnable<ThreadProcess>();
  /** Something to do at this instant was added since it was last found idle. */
  #work = false;
  #horizon: Time = NEVER;
  /** The instant of the scheduler itself, whatever an initiator has made of `now`. */
  #instant: Time = 0;
  #acting: Event | null = null;
  #running = false;
  #paused = false;
  #stopped = false;
  /** Paused or stopped. */
  #halted = false;
  #until: Time = NEVER;

  // Events

  /** Puts the event at `time`, replacing a pending notification. Called by `Event`. */
  schedule(event: Event, time: Time): void {
    if (time < this.now) time = this.now;
    if (time > (this.#running ? this.#instant : this.now)) {
      if (time >= NEVER) {
        this.unschedule(event);
        return;
      }
      if (event.position !== -1) this.unschedule(event);
      event.sequence = this.sequence++;
      this.queue.insert(event, time);
    } else {
      this.scheduleDelta(event);
    }
    if (time < this.#horizon) {
      this.#horizon = time;
      this.onHorizon?.();
    }
  }

  /** Notifies in the next delta cycle; the event's other notification, if any, is dropped. */
  protected scheduleDelta(event: Event): void {
    if (event.position !== -1) {
      if (event.position < -1 && event.action === null) return;
      this.unschedule(event);
    }
    this.#work = true;
    if (event.action === null) {
      event.position = -2 - this.deltaEvents;
      this.deltas[this.deltaEvents++] = event;
      return;
    }
    event.sequence = this.sequence++;
    this.#actionsPending++;
    event.position = -2 - this.actionCount;
    if (this.actionCount > 0 && (this.actions[this.actionCount - 1]?.priority ?? NEVER) !== event.priority) {
      this.#mixed = true;
    }
    this.actions[this.actionCount++] = event;
  }

  /** Queues the event with the sequence number of a snapshot. */
  reschedule(event: Event, time: Time, sequence: number): void {
    this.unschedule(event);
    event.sequence = sequence;
    this.queue.restore(event, time);
  }

  unschedule(event: Event): void {
    const { position } = event;
    if (position >= 0) {
      this.queue.remove(event);
      return;
    }
    if (position === -1) return;
    const at = -2 - position;
    event.position = -1;
    if (event.action === null) {
      const last = this.deltas[--this.deltaEvents] as Event;
      if (last !== event) {
        this.deltas[at] = last;
        last.position = position;
      }
    } else {
      this.#actionsPending--;
      if (this.actions[at] === event) this.actions[at] = null;
      else this.round[at] = null;
    }
  }

  /** Immediate notification; see `Event.notify`. */
  notifyImmediately(event: Event): void {
    this.unschedule(event);
    if ((event.target ?? event.waiters) !== null && !this.initialized) {
      throw new Error(`${event.fullName}: immediate notification before the simulation has started`);
    }
    if (event.action !== null) {
      if (event === this.#acting || event.acting) return;
      event.acting = true;
      try {
        event.action();
      } finally {
        event.acting = false;
      }
    }
    event.trigger();
  }

  /** The instant of the next event, or NEVER; now, while something is left to do at this instant. */
  get nextEventTime(): Time {
    return this.#pendingNow() ? this.#instant : this.queue.first;
  }

  #pendingNow(): boolean {
    return (
      !this.methods.empty ||
      !this.threads.empty ||
      this.deltaEvents > 0 ||
      this.#actionsPending > 0 ||
      this.updates.length > 0
    );
  }

  /** The scheduler's own instant: `now`, unless an initiator has run ahead of it. */
  get instant(): Time {
    return this.#running ? this.#instant : this.now;
  }

  /** An initiator running ahead stops here at the latest: the next event, or the end of `run`. */
  get horizon(): Time {
    if (this.#horizon === UNASKED) {
      this.#horizon = this.#halted ? this.#instant : Math.min(this.nextEventTime, this.#until);
    }
    return this.#horizon;
  }
  set horizon(time: Time) {
    this.#horizon = time;
  }

  // Processes and channels

  registerProcess(added: Process): void {
    this.processes.push(added);
    if (this.initialized && !added.dontInitialize) this.enqueue(added);
  }

  enqueueMethod(method: MethodProcess): void {
    this.methods.push(method);
    this.#work = true;
  }

  enqueueThread(thread: ThreadProcess): void {
    this.threads.push(thread);
    this.#work = true;
  }

  protected enqueue(added: Process): void {
    if (added.isThread) this.enqueueThread(added as ThreadProcess);
    else this.enqueueMethod(added as MethodProcess);
  }

  /** The thread runs as the next thread of this or the coming evaluation phase. */
  enqueueNext(thread: ThreadProcess): void {
    this.threads.pushNext(thread);
    this.#work = true;
  }

  /** Runs a process inside the current one. */
  runNow(target: Process): void {
    const { current } = this;
    this.current = target;
    try {
      target.run();
    } finally {
      this.current = current;
    }
  }

  removeRunnable(target: Process): void {
    if (target.isThread) this.threads.remove(target as ThreadProcess);
    else this.methods.remove(target as MethodProcess);
  }

  requestUpdate(channel: Updatable): void {
    this.updates.push(channel);
    this.#work = true;
  }

  /** Empties every list of this instant, for a restore. */
  protected clearInstant(): void {
    for (const p of [...this.methods.inOrder(), ...this.threads.inOrder()]) this.removeRunnable(p);
    while (this.deltaEvents > 0) this.unschedule(this.deltas[0] as Event);
    for (const event of [
      ...this.actions.slice(0, this.actionCount),
      ...this.round.slice(this.roundAt, this.roundCount),
    ]) {
      if (event && event.position < -1) this.unschedule(event);
    }
    this.actionCount = this.roundAt = this.roundCount = 0;
    this.updates.length = 0;
    this.#mixed = false;
    this.notifying = false;
  }

  // Running

  /** The end of the current `run`. */
  get until(): Time {
    return this.#until;
  }

  /**
   * Runs up to and including the instant `until`, all its delta cycles done; time then stands at `until` unless paused or
   * stopped before. Without `until`, until nothing is left to do. With `beforeEvaluation` the last instant ends after its
   * timed notifications and its processes run at the next call, as SystemC's `sc_start(time)` does.
   */
  run(until: Time = NEVER, options: { readonly beforeEvaluation?: boolean } = {}): RunResult {
    if (this.#stopped) return "stopped";
    this.#begin(until);
    try {
      return this.#loop(until, options.beforeEvaluation === true);
    } finally {
      this.#end();
    }
  }

  /** Runs one delta cycle of this instant: SystemC's `sc_start(SC_ZERO_TIME)`. */
  runDelta(): RunResult {
    if (this.#stopped) return "stopped";
    this.#begin(this.now);
    try {
      const going = this.initialized || this.#initialize();
      if (going && (!this.notifying || this.#notify())) this.#deltaCycle();
      return this.#stopped ? "stopped" : this.#paused ? "paused" : "time";
    } finally {
      this.#end();
    }
  }

  #begin(until: Time): void {
    if (this.#running) throw new Error("run() inside run(): call pause() and return instead");
    this.#running = true;
    this.#paused = this.#halted = false;
    this.#until = until;
    this.#instant = this.now;
    this.#work = true;
    this.#horizon = UNASKED;
  }

  #end(): void {
    this.#running = false;
    this.#until = NEVER;
    this.#horizon = NEVER;
    this.#acting = null;
    this.current = null;
    this.evaluating = this.initialized;
  }

  #loop(until: Time, beforeEvaluation: boolean): RunResult {
    if (!this.initialized && !this.#initialize()) return this.#stopped ? "stopped" : "paused";
    // What a pause in an action has left of its phase.
    if (this.notifying && !this.#notify()) return this.#stopped ? "stopped" : "paused";
    if (this.queue.first <= this.now && !this.#fireDue(this.now)) return this.#stopped ? "stopped" : "paused";
    for (;;) {
      while (this.#work) {
        this.#work = false;
        if (!this.#deltaCycle()) return this.#stopped ? "stopped" : "paused";
      }
      const time = this.queue.first;
      if (time > until || time === NEVER) {
        if (until === NEVER) return "starved";
        if (this.now < until) this.now = this.#instant = until;
        return "time";
      }
      this.now = this.#instant = time;
      this.changeStamp++;
      if (!this.#fireDue(time)) return this.#stopped ? "stopped" : "paused";
      if (beforeEvaluation && time === until) return "time";
    }
  }

  /** Initialization (4.2.1.1): pending updates, all processes but those that decline, pending delta notifications. */
  #initialize(): boolean {
    this.initialized = true;
    this.#update();
    for (const threads of [false, true]) {
      for (const p of this.processes) {
        if (p.isThread !== threads || p.isDisabled || p.dontInitialize || p.terminated || p.runnable) continue;
        if (p.isSuspended) p.markReady();
        else this.enqueue(p);
      }
    }
    return this.#notify();
  }

  /** Timed notification. Returns false when an action has called `pause` or `stop`. */
  #fireDue(time: Time): boolean {
    for (let event = this.queue.take(time); event !== null; event = this.queue.take(time)) {
      if (event.action !== null) {
        this.#act(event, event.action);
        event.trigger();
        if (this.#halted) return false;
      } else {
        event.trigger();
      }
    }
    return true;
  }

  #act(event: Event, action: () => void): void {
    this.#horizon = UNASKED;
    this.#acting = event;
    action();
    this.#acting = null;
  }

  /** Evaluation, update, delta notification. Returns false when the run is over. */
  #deltaCycle(): boolean {
    let ran = false;
    if (!this.methods.empty || !this.threads.empty) {
      ran = true;
      this.#horizon = UNASKED;
      this.#evaluate();
    }
    if (ran) this.changeStamp++;
    if (this.updates.length > 0) this.#update();
    if (this.#stopped) return false;
    if (this.deltaEvents > 0 || this.actionCount > 0) this.#notify();
    if (ran) this.deltaCount++;
    return !this.#halted;
  }

  #evaluate(): void {
    const { methods, threads } = this;
    this.evaluating = true;
    do {
      methods.begin();
      for (let p = methods.take(); p !== null; p = methods.take()) {
        this.current = p;
        p.run();
      }
      threads.begin();
      for (let p = threads.take(); p !== null; p = threads.take()) {
        this.current = p;
        p.run();
      }
    } while (!methods.empty || !threads.empty);
    this.current = null;
    this.evaluating = false;
  }

  /** The channel that asked last is updated first, as in SystemC. */
  #update(): void {
    const channels = this.updates;
    this.updates = this.#spareUpdates;
    this.#spareUpdates = channels;
    for (let i = channels.length - 1; i >= 0; i--) (channels[i] as Updatable).update();
    while (channels.length > 0) channels.pop();
  }

  /** Delta notification. Returns false when an action has called `pause` or `stop`; it goes on at the next call. */
  #notify(): boolean {
    if (!this.notifying && this.actionCount > 0) this.takeRound();
    while (this.roundAt < this.roundCount) {
      const event = this.round[this.roundAt++];
      if (!event) continue;
      this.round[this.roundAt - 1] = null;
      event.position = -1;
      this.#actionsPending--;
      this.#act(event, event.action as () => void);
      event.trigger();
      if (this.#halted) return false;
    }
    this.notifying = false;
    const { deltas } = this;
    for (let i = this.deltaEvents - 1; i >= 0; i--) {
      const event = deltas[i] as Event;
      event.position = -1;
      event.trigger();
    }
    this.deltaEvents = 0;
    return true;
  }

  /** The delta notifications of events with an action become the round under way. */
  protected takeRound(): void {
    this.notifying = true;
    const { round } = this;
    this.round = this.actions;
    this.actions = round;
    this.roundAt = 0;
    this.roundCount = this.actionCount;
    this.actionCount = 0;
    if (!this.#mixed) return;
    this.#mixed = false;
    const sorted = this.round.slice(0, this.roundCount).filter((e) => e !== null);
    sorted.sort((a, b) => a.priority - b.priority || a.sequence - b.sequence);
    // No event may stay behind the end: `unschedule` tells by what it finds in a place whose place it is.
    this.round.fill(null, sorted.length, this.roundCount);
    this.roundCount = sorted.length;
    sorted.forEach((event, i) => {
      this.round[i] = event;
      event.position = -2 - i;
    });
  }

  /**
   * Makes `run` return; a later `run` goes on as if nothing had happened. From an action: after that action. From a
   * process: after the current delta cycle.
   */
  pause(): void {
    this.#paused = this.#halted = true;
    this.#horizon = this.now;
    this.onHorizon?.();
  }

  /** Ends the simulation: `run` returns, as for `pause` but without the delta notifications, now and at every later call. */
  stop(): void {
    this.#stopped = true;
    this.pause();
  }
  get pausing(): boolean {
    return this.#halted;
  }
}
