/**
 * An event: the only thing that can wait in the simulation's queue. It belongs to a module and has a name, so a queue can
 * be saved and restored. Notification follows IEEE 1666: at most one notification is pending, and the earliest wins.
 */
import type { Module } from "./module.ts";
import { SnapshotError, type StatePart, type StateValue } from "./state.ts";
import { NEVER, type Time } from "./time.ts";

export class Event implements StatePart {
  readonly owner: Module;
  readonly name: string;
  /** Among events of one instant the smaller priority fires first; then the one notified first. */
  readonly priority: number;
  /** The pending instant, or NEVER. */
  deadline: Time = NEVER;
  /** Order of notification; the queue's own. */
  sequence = 0;
  /** Place in the queue, -1 outside it; the queue's own. */
  position = -1;
  readonly #action: (() => void) | undefined;

  constructor(owner: Module, name: string, action?: () => void, priority = 0) {
    this.owner = owner;
    this.name = name;
    this.priority = priority;
    this.#action = action;
    owner.simulation.registerEvent(this);
  }

  get fullName(): string {
    return `${this.owner.fullName}.${this.name}`;
  }
  get pending(): boolean {
    return this.deadline !== NEVER;
  }

  /** Notifies after `delay` ticks from now unless an earlier notification is pending. */
  notify(delay: Time): void {
    const time = this.owner.simulation.now + delay;
    if (time < this.deadline) this.scheduleAt(time);
  }

  /** Notifies at `time` exactly, replacing any pending notification: a timer that is set anew. */
  scheduleAt(time: Time): void {
    this.owner.simulation.schedule(this, time);
  }

  cancel(): void {
    this.owner.simulation.unschedule(this);
  }

  /** Called by the queue when the instant has come. */
  fire(): void {
    this.#action?.();
  }

  save(): StateValue {
    return this.pending ? { deadline: this.deadline, sequence: this.sequence } : null;
  }
  load(value: StateValue, path: string): void {
    this.cancel();
    if (value === null) return;
    const { deadline, sequence } = value as { deadline?: StateValue; sequence?: StateValue };
    if (typeof deadline !== "number" || typeof sequence !== "number") {
      throw new SnapshotError(`${path}: expected null or a deadline and a sequence`);
    }
    this.owner.simulation.reschedule(this, deadline, sequence);
  }
  reset(): void {
    this.cancel();
  }
}
