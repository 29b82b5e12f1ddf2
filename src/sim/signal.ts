/**
 * A signal (IEEE 1666-2011 clauses 6.4 and 6.7): what is written in an evaluation phase is read from the next delta cycle
 * on. `changed`, `posedge` and `negedge` are notified in the delta cycle of the new value; they exist once asked for.
 */
import { Event } from "./event.ts";
import type { StateHash } from "./hash.ts";
import type { Updatable } from "./kernel.ts";
import type { Module } from "./module.ts";
import type { Process } from "./process.ts";
import { hashState, SnapshotError, type StatePart, type StateValue } from "./state.ts";

export type SignalValue = number | boolean | string;

/**
 * Which processes may write: `one` process for good; `many`, but one in an evaluation phase; or any, `unchecked`, the last
 * write of an evaluation phase being the one that counts. A write that is not allowed is a mistake of the model.
 */
export type WriterPolicy = "one" | "many" | "unchecked";

interface ResetTarget {
  readonly process: Process;
  readonly level: boolean;
  readonly async: boolean;
}

export class Signal<T extends SignalValue> implements StatePart, Updatable {
  readonly owner: Module;
  readonly name: string;
  readonly writers: WriterPolicy;
  readonly #initial: T;
  #value: T;
  #next: T;
  #requested = false;
  #stamp = -1;
  #writer: Process | null = null;
  #changed: Event | null = null;
  #posedge: Event | null = null;
  #negedge: Event | null = null;
  #resets: ResetTarget[] = [];

  constructor(owner: Module, name: string, initial: T, writers: WriterPolicy = "one") {
    this.owner = owner;
    this.name = name;
    this.writers = writers;
    this.#initial = this.#value = this.#next = initial;
  }

  get fullName(): string {
    return `${this.owner.fullName}.${this.name}`;
  }

  read(): T {
    return this.#value;
  }

  /** Asks for a new value in the update phase. Throws where the policy forbids the writing process. */
  write(value: T): void {
    const { simulation } = this.owner;
    if (this.writers !== "unchecked") this.#check(simulation.current);
    if (value === this.#next && this.writers !== "many") return;
    this.#next = value;
    if (this.#requested) return;
    this.#requested = true;
    simulation.requestUpdate(this);
  }

  #check(writer: Process | null): void {
    if (writer === null || writer === this.#writer) return;
    if (this.#writer !== null) {
      throw new Error(`signal ${this.fullName}: driven by ${this.#writer.fullName}, then by ${writer.fullName}`);
    }
    this.#writer = writer;
  }

  /** True in the delta cycle that follows a change. */
  get event(): boolean {
    return this.#stamp === this.owner.simulation.changeStamp;
  }

  get changed(): Event {
    this.#changed ??= new Event(this.owner, `${this.name}.changed`);
    return this.#changed;
  }
  /** From false to true; for boolean signals. */
  get posedge(): Event {
    this.#posedge ??= new Event(this.owner, this.#edge("posedge"));
    return this.#posedge;
  }
  /** From true to false; for boolean signals. */
  get negedge(): Event {
    this.#negedge ??= new Event(this.owner, this.#edge("negedge"));
    return this.#negedge;
  }

  #edge(kind: string): string {
    if (typeof this.#initial !== "boolean")
      throw new Error(`signal ${this.fullName}: ${kind} of a signal that is no boolean`);
    return `${this.name}.${kind}`;
  }

  /** The update phase; called by the kernel. */
  update(): void {
    this.#requested = false;
    if (this.writers === "many") this.#writer = null;
    if (this.#next === this.#value) return;
    this.#value = this.#next;
    this.#stamp = this.owner.simulation.changeStamp;
    this.#changed?.notify(0);
    const value = this.#value;
    if (typeof value !== "boolean") return;
    for (const { process, level, async } of this.#resets) process.resetChanged(async, level === value);
    (value ? this.#posedge : this.#negedge)?.notify(0);
  }

  /** `process` is reset by this signal; called by the process. */
  addReset(process: Process, level: boolean, async: boolean): void {
    this.#resets = [...this.#resets, { process, level, async }];
  }

  save(): StateValue {
    return { value: this.#value, next: this.#next, event: this.event };
  }
  /** Restores silently: whoever is sensitive has state of its own. */
  load(value: StateValue, path: string): void {
    const saved = value as { value?: StateValue; next?: StateValue; event?: StateValue } | null;
    const type = typeof this.#initial;
    if (saved === null || typeof saved !== "object" || typeof saved.value !== type || typeof saved.next !== type) {
      throw new SnapshotError(`${path}: expected a value and a next value of type ${type}`);
    }
    this.#value = saved.value as T;
    this.#next = saved.next as T;
    this.#writer = null;
    this.#requested = false;
    this.#stamp = saved.event === true ? this.owner.simulation.changeStamp : -1;
  }
  /** The scheduler's list of updates names this signal. */
  restoreRequest(): void {
    this.#requested = true;
    this.owner.simulation.requestUpdate(this);
  }
  hash(hash: StateHash): void {
    hashState(hash, this.save());
  }
  /** Power-on: the initial value, silently. */
  reset(): void {
    this.#value = this.#next = this.#initial;
    this.#writer = null;
  }
}
