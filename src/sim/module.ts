/**
 * A named place in the module tree. It owns state parts, events and lines, is reset and saved with them, and reports
 * guest errors under its full name.
 */
import { Event } from "./event.ts";
import type { StateHash } from "./hash.ts";
import { Line } from "./line.ts";
import { MethodProcess } from "./method.ts";
import type { ProcessOptions } from "./process.ts";
import type { GuestError } from "./report.ts";
import { Signal, type SignalValue, type WriterPolicy } from "./signal.ts";
import type { Simulation } from "./simulation.ts";
import { Cells, hashPart, SnapshotError, type StatePart, type StateRecord, type StateValue } from "./state.ts";
import { ThreadProcess } from "./thread.ts";
import type { Thread } from "./wait.ts";

export class Module {
  readonly simulation: Simulation;
  readonly parent: Module | null;
  readonly name: string;
  /** Path from the root, dots between: "soc.uart0". */
  readonly fullName: string;
  readonly children: Module[] = [];
  /** Version of this module's saved fields; raise it when they change and override `upgradeState`. */
  readonly stateVersion: number = 1;
  readonly #parts = new Map<string, StatePart>();

  constructor(parent: Module | Simulation, name: string) {
    if (!/^[A-Za-z_][\w@-]*$/.test(name))
      throw new Error(`module name "${name}": expected a letter, then word characters`);
    this.parent = parent instanceof Module ? parent : null;
    this.simulation = parent instanceof Module ? parent.simulation : parent;
    this.name = name;
    this.fullName = this.parent ? `${this.parent.fullName}.${name}` : name;
    if (this.parent) this.parent.children.push(this);
    this.simulation.register(this);
  }

  /** Declares cells of state: the object returned is saved, restored, hashed and reset to the values given. */
  protected state<T extends Record<string, StateValue>>(initial: T, part = "state"): T {
    return this.part(part, new Cells(initial)).cells;
  }

  /** Adds a part of state under a name unique in this module. */
  part<P extends StatePart>(name: string, part: P): P {
    if (this.#parts.has(name)) throw new Error(`${this.fullName}: two parts of state are named "${name}"`);
    this.#parts.set(name, part);
    return part;
  }

  /** The parts of state by name. */
  get parts(): ReadonlyMap<string, StatePart> {
    return this.#parts;
  }

  /** Declares an event; `action`, when given, runs whenever it fires. */
  event(name: string, action?: () => void, priority = 0): Event {
    return this.part(name, new Event(this, name, action, priority));
  }

  /** Declares a line (wire) driven by this module, low after reset. */
  line(name: string): Line {
    return this.part(name, new Line(this, name));
  }

  /** Declares a signal: what is written is read from the next delta cycle on. */
  signal(name: string, initial: boolean, writers?: WriterPolicy): Signal<boolean>;
  signal(name: string, initial: number, writers?: WriterPolicy): Signal<number>;
  signal(name: string, initial: string, writers?: WriterPolicy): Signal<string>;
  signal(name: string, initial: SignalValue, writers?: WriterPolicy): Signal<SignalValue> {
    return this.part(name, new Signal<SignalValue>(this, name, initial, writers));
  }

  /** Declares a method process: `body` runs from start to end whenever the process is triggered. */
  method(name: string, body: (self: MethodProcess) => void, options?: ProcessOptions): MethodProcess {
    return this.part(name, new MethodProcess(this, name, body, options));
  }

  /** Declares a thread process, a generator that yields its waits. A machine with a running thread cannot be saved. */
  thread(name: string, body: (self: ThreadProcess) => Thread, options?: ProcessOptions): ThreadProcess {
    return this.part(name, new ThreadProcess(this, name, body, options));
  }

  /** The part of state named `name`, if there is one. */
  findPart(name: string): StatePart | undefined {
    return this.#parts.get(name);
  }

  /** Power-on reset of this module and all below it: state first, children next, then `onReset`. */
  reset(): void {
    for (const part of this.#parts.values()) part.reset();
    for (const child of this.children) child.reset();
    this.onReset();
  }

  /** What reset does beyond returning state to its initial values: driving lines, scheduling events. */
  protected onReset(): void {}

  /** After a restore: recompute what is derived from state and not saved. */
  protected onRestore(): void {}

  saveState(): StateRecord {
    const record: Record<string, StateValue> = {};
    for (const [name, part] of this.#parts) record[name] = part.save();
    return record;
  }

  loadState(record: StateRecord, version: number): void {
    const current = version === this.stateVersion ? record : this.upgradeState(record, version);
    for (const [name, part] of this.#parts) {
      const value = current[name];
      if (value === undefined) throw new SnapshotError(`${this.fullName}.${name}: missing`);
      part.load(value, `${this.fullName}.${name}`);
    }
    for (const name of Object.keys(current)) {
      if (!this.#parts.has(name)) throw new SnapshotError(`${this.fullName}.${name}: unknown`);
    }
  }

  /** Feeds all parts but events; the simulation hashes the queue itself. */
  hashState(hash: StateHash): void {
    for (const name of [...this.#parts.keys()].sort()) {
      const part = this.#parts.get(name);
      if (part === undefined || part instanceof Event) continue;
      hash.text(name);
      hashPart(hash, part);
    }
  }

  restored(): void {
    this.onRestore();
  }

  /** Turns the fields of an older version into today's. */
  protected upgradeState(_record: StateRecord, version: number): StateRecord {
    throw new SnapshotError(`${this.fullName}: state has version ${version}, expected ${this.stateVersion}`);
  }

  /** Records a guest's mistake (or, with kind "unimplemented", a limit of the model) found by this module. */
  guestError(error: Omit<GuestError, "module" | "time" | "cpu" | "pc">): void {
    const { reporter, initiator, now } = this.simulation;
    reporter.guestError({
      ...error,
      module: this.fullName,
      time: now,
      ...(initiator ? { cpu: initiator.cpu, pc: initiator.pc() } : {}),
    });
  }
}
