/**
 * An event: the only thing that can wait in the simulation's queue. It belongs to a module and has a name, so a queue can
 * be saved and restored. Notification follows IEEE 1666-2011 clause 5.10: at most one notification is pending, and the
 * earliest wins. An event may carry an action, the cheap primitive of device models; processes may be sensitive to it.
 */

import type { MethodProcess } from "./method.ts";
import type { Module } from "./module.ts";
import type { Process } from "./process.ts";
import type { Simulation } from "./simulation.ts";
import { SnapshotError, type StatePart, type StateValue } from "./state.ts";
import type { ThreadProcess } from "./thread.ts";
import { NEVER, type Time } from "./time.ts";

/** The processes sensitive to an event. Lists change as SystemC's do, for their order is the order of execution. */
export class Waiters {
  readonly staticMethods: MethodProcess[] = [];
  readonly dynamicMethods: MethodProcess[] = [];
  readonly staticThreads: ThreadProcess[] = [];
  readonly dynamicThreads: ThreadProcess[] = [];

  /** The statically sensitive ones, in the order of the lists. */
  get statics(): Process[] {
    return [...this.staticMethods, ...this.staticThreads];
  }
  /** Puts the statically sensitive ones in the order of their places. */
  sortStatics(place: (process: Process) => number): void {
    this.staticMethods.sort((a, b) => place(a) - place(b));
    this.staticThreads.sort((a, b) => place(a) - place(b));
  }
}

export class Event implements StatePart {
  // What the kernel touches most comes first: these fields share a cache line.
  readonly simulation: Simulation;
  /** Place in the queue; -1 outside it; -2 - n for place n among the delta notifications. The queue's own. */
  position = -1;
  /** Runs whenever the event fires. */
  readonly action: (() => void) | null;
  /** The only method statically sensitive, or the process whose time-out this event is; others are in `waiters`. */
  target: Process | null = null;
  /** Processes sensitive to this event; the kernel's own. */
  waiters: Waiters | null = null;
  /** The pending instant in two words of 32 bits, the lower one signed; the queue's own. */
  low = 0;
  high = 0;
  /** Neighbours in a list of the queue's. */
  queueNext: Event | null = null;
  queuePrevious: Event | null = null;
  /** Among events of one instant the smaller priority fires first; then the one notified first. */
  readonly priority: number;
  /** Order of notification; the queue's own. */
  sequence = 0;
  /** True inside the action after an immediate notification; the kernel's own. */
  acting = false;
  readonly owner: Module;
  readonly name: string;

  constructor(owner: Module, name: string, action?: () => void, priority = 0) {
    this.owner = owner;
    this.simulation = owner.simulation;
    this.name = name;
    this.priority = priority;
    this.action = action ?? null;
    this.simulation.registerEvent(this);
  }

  get fullName(): string {
    return `${this.owner.fullName}.${this.name}`;
  }
  /** The pending instant, or NEVER. */
  get deadline(): Time {
    if (this.position < 0) return this.position === -1 ? NEVER : this.simulation.instant;
    return this.high * 4294967296 + (this.low >>> 0);
  }
  get pending(): boolean {
    return this.position !== -1;
  }
  /** True while the pending notification is a delta notification. */
  get pendingDelta(): boolean {
    return this.position < -1;
  }

  /**
   * Notifies after `delay` ticks from now unless an earlier notification is pending; 0 is a delta notification: in the
   * next delta cycle of this instant. Without `delay` the notification is immediate: a pending one is dropped, the action
   * runs inside this call, and sensitive processes run in the current evaluation phase; a process or an action that
   * notifies its own event immediately is not started by it.
   */
  notify(delay?: Time): void {
    const simulation = this.simulation;
    if (delay === undefined) {
      simulation.notifyImmediately(this);
      return;
    }
    const time = simulation.now + delay;
    if (this.position === -1 || time < this.deadline) simulation.schedule(this, time);
  }

  /**
   * Notifies at `time` exactly, replacing any pending notification: a timer that is set anew. A time that is not after
   * now is a delta notification; NEVER cancels.
   */
  scheduleAt(time: Time): void {
    this.simulation.schedule(this, time);
  }

  /** Drops the pending notification, if any. */
  cancel(): void {
    if (this.position !== -1) this.simulation.unschedule(this);
  }

  /** Makes the sensitive processes runnable; the kernel calls it after the action. Order as in SystemC 2.3.4. */
  trigger(): void {
    const { target, waiters } = this;
    if (target !== null) target.triggerBy(this);
    if (waiters === null) return;
    const methods = waiters.staticMethods;
    for (let i = methods.length - 1; i >= 0; i--) (methods[i] as MethodProcess).triggerStatic();
    if (waiters.dynamicMethods.length !== 0) triggerDynamic(waiters.dynamicMethods, this);
    const threads = waiters.staticThreads;
    for (let i = threads.length - 1; i >= 0; i--) (threads[i] as ThreadProcess).triggerStatic();
    if (waiters.dynamicThreads.length !== 0) triggerDynamic(waiters.dynamicThreads, this);
  }

  /** A timed notification; delta notifications and waiting processes are saved by the scheduler. */
  save(): StateValue {
    return this.position >= 0 ? { deadline: this.deadline, sequence: this.sequence } : null;
  }
  load(value: StateValue, path: string): void {
    this.cancel();
    if (value === null) return;
    const { deadline, sequence } = value as { deadline?: StateValue; sequence?: StateValue };
    if (typeof deadline !== "number" || typeof sequence !== "number") {
      throw new SnapshotError(`${path}: expected null or a deadline and a sequence`);
    }
    this.simulation.reschedule(this, deadline, sequence);
  }
  reset(): void {
    this.cancel();
  }
}

/** A process that is done with the event leaves the list, and the last one takes its place. */
function triggerDynamic(waiting: Process[], event: Event): void {
  let last = waiting.length - 1;
  for (let i = 0; i <= last; i++) {
    if (!(waiting[i] as Process).triggerDynamic(event)) continue;
    waiting[i] = waiting[last] as Process;
    last--;
    i--;
  }
  for (let n = waiting.length; n > last + 1; n--) waiting.pop();
}
