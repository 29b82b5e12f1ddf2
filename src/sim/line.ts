/**
 * A wire with a level: interrupt, reset, gpio. A change reaches every sink at once, inside the driver's call, as hardware
 * wires do within a delta cycle; a sink that must not run inside it notifies an event of its own. Processes wait for
 * `changed`, `posedge` or `negedge`, notified for the next delta cycle; these events exist once asked for.
 */
import { Event } from "./event.ts";
import type { Module } from "./module.ts";
import { SnapshotError, type StatePart, type StateValue } from "./state.ts";

export type LineSink = (level: boolean) => void;

export class Line implements StatePart {
  readonly owner: Module;
  readonly name: string;
  #level = false;
  #sinks: LineSink[] = [];
  #changed: Event | null = null;
  #posedge: Event | null = null;
  #negedge: Event | null = null;

  constructor(owner: Module, name: string) {
    this.owner = owner;
    this.name = name;
  }

  get fullName(): string {
    return `${this.owner.fullName}.${this.name}`;
  }
  get level(): boolean {
    return this.#level;
  }

  /** Drives the level; sinks hear of changes only. */
  set(level: boolean): void {
    if (level === this.#level) return;
    this.#level = level;
    for (const sink of this.#sinks) sink(level);
    this.#changed?.notify(0);
    (level ? this.#posedge : this.#negedge)?.notify(0);
  }

  get changed(): Event {
    this.#changed ??= new Event(this.owner, `${this.name}.changed`);
    return this.#changed;
  }
  get posedge(): Event {
    this.#posedge ??= new Event(this.owner, `${this.name}.posedge`);
    return this.#posedge;
  }
  get negedge(): Event {
    this.#negedge ??= new Event(this.owner, `${this.name}.negedge`);
    return this.#negedge;
  }

  raise(): void {
    this.set(true);
  }
  lower(): void {
    this.set(false);
  }
  /** Up and down again: an edge for edge-triggered sinks. */
  pulse(): void {
    this.set(true);
    this.set(false);
  }

  /** Adds a sink. It hears changes from now on; a line that is already high is told at once. */
  connect(sink: LineSink): () => void {
    this.#sinks.push(sink);
    if (this.#level) sink(true);
    return () => {
      this.#sinks = this.#sinks.filter((s) => s !== sink);
    };
  }

  save(): StateValue {
    return this.#level;
  }
  /** Restores the level silently: each sink restores its own state. */
  load(value: StateValue, path: string): void {
    if (typeof value !== "boolean") throw new SnapshotError(`${path}: expected a boolean`);
    this.#level = value;
  }
  reset(): void {
    this.set(false);
  }
}
