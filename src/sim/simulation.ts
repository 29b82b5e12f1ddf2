/**
 * One simulation: virtual time, the event queue, the module tree, the seed, the reporter. A simulation is a value; many
 * live side by side in one process and share nothing.
 */
import { type Event, Waiters } from "./event.ts";
import { StateHash } from "./hash.ts";
import { Kernel } from "./kernel.ts";
import type { MethodProcess } from "./method.ts";
import type { Module } from "./module.ts";
import type { Process } from "./process.ts";
import { Random } from "./random.ts";
import { type Initiator, Reporter } from "./report.ts";
import { Signal, type SignalValue } from "./signal.ts";
import { SnapshotError, type StateRecord, type StateValue } from "./state.ts";
import { ThreadProcess } from "./thread.ts";
import type { Time } from "./time.ts";

export interface SimulationOptions {
  /** Seed of all random streams. */
  readonly seed?: number;
}

/** What is left to do at the instant of the snapshot, in order, by full names. */
export interface SchedulerState {
  readonly initialized: boolean;
  readonly deltaCount: number;
  /** Events with an action left of a notification phase that a pause has cut short; null outside such a phase. */
  readonly round: readonly string[] | null;
  readonly actions: readonly string[];
  readonly deltas: readonly string[];
  readonly methods: readonly string[];
  readonly threads: readonly string[];
  readonly updates: readonly string[];
  /** Method processes waiting dynamically, by event. */
  readonly waiting: { readonly [event: string]: readonly string[] };
  /** Processes statically sensitive, by event, where ended ones have left an order other than that of construction. */
  readonly sensitive: { readonly [event: string]: readonly string[] };
}

/** What a snapshot holds, by module name; files add a header of their own around it. */
export interface SimulationState {
  readonly time: Time;
  readonly sequence: number;
  readonly seed: number;
  readonly scheduler: SchedulerState;
  readonly modules: { readonly [fullName: string]: { readonly version: number; readonly state: StateRecord } };
}

export class Simulation extends Kernel {
  readonly seed: number;
  readonly reporter = new Reporter();
  /** Who is acting right now; null outside CPU accesses. */
  initiator: Initiator | null = null;
  readonly modules = new Map<string, Module>();
  readonly #events: Event[] = [];
  /** By full name, for snapshots; made when needed, complete for the first `#indexed` events. */
  readonly #eventIndex = new Map<string, Event>();
  #indexed = 0;
  readonly #shared = new Map<object, unknown>();

  constructor(options: SimulationOptions = {}) {
    super();
    this.seed = options.seed ?? 1;
  }

  /** Called by the constructor of `Module`. */
  register(module: Module): void {
    if (this.modules.has(module.fullName)) throw new Error(`two modules are named "${module.fullName}"`);
    this.modules.set(module.fullName, module);
  }
  /** Called by the constructor of `Event`. */
  registerEvent(event: Event): void {
    this.#events.push(event);
  }

  module(fullName: string): Module {
    const found = this.modules.get(fullName);
    if (!found) throw new Error(`no module is named "${fullName}"`);
    return found;
  }

  /** What modules of a kind have in common and nobody changes: made by the first that asks. `key` stands for the kind, and always for the same type. */
  shared<T>(key: object, make: () => T): T {
    if (!this.#shared.has(key)) this.#shared.set(key, make());
    return this.#shared.get(key) as T;
  }

  /** A stream of random numbers of `owner`'s own, saved with it. */
  random(owner: Module, name: string): Random {
    return owner.part(name, new Random(this.seed, `${owner.fullName}.${name}`));
  }

  /** Power-on reset of every module. */
  reset(): void {
    for (const m of [...this.modules.values()]) if (m.parent === null) m.reset();
    this.#orderOfConstruction();
  }

  /** A process that ends or comes back changes the order in which others run (see `remove`): this undoes it. */
  #orderOfConstruction(): void {
    const place = this.#places();
    for (const { waiters } of this.#events) waiters?.sortStatics(place);
  }
  #places(): (process: Process) => number {
    const places = new Map(this.processes.map((p, i) => [p, i]));
    return (process) => places.get(process) ?? 0;
  }

  /** Throws `SnapshotError` naming the thread processes that are running: their place cannot be saved. */
  save(): SimulationState {
    const threads = this.processes.filter((p) => p instanceof ThreadProcess && p.started).map((p) => p.fullName);
    if (threads.length > 0) throw new SnapshotError(`thread processes cannot be saved: ${threads.join(", ")}`);
    const modules: Record<string, { version: number; state: StateRecord }> = {};
    for (const [name, m] of this.modules) modules[name] = { version: m.stateVersion, state: m.saveState() };
    return { time: this.now, sequence: this.sequence, seed: this.seed, scheduler: this.#saveScheduler(), modules };
  }

  #saveScheduler(): SchedulerState {
    const names = (list: readonly ({ readonly fullName: string } | null)[]) =>
      list.flatMap((item) => (item ? [item.fullName] : []));
    const waiting: Record<string, string[]> = {};
    const sensitive: Record<string, string[]> = {};
    const place = this.#places();
    for (const event of this.#events) {
      if (event.waiters === null) continue;
      const { dynamicMethods, staticMethods, staticThreads, statics } = event.waiters;
      if (dynamicMethods.length > 0) waiting[event.fullName] = names(dynamicMethods);
      if (!ascends(staticMethods.map(place)) || !ascends(staticThreads.map(place)))
        sensitive[event.fullName] = names(statics);
    }
    return {
      initialized: this.initialized,
      deltaCount: this.deltaCount,
      round: this.notifying ? names(this.round.slice(this.roundAt, this.roundCount)) : null,
      actions: names(this.actions.slice(0, this.actionCount)),
      deltas: names(this.deltas.slice(0, this.deltaEvents)),
      methods: names(this.methods.inOrder()),
      threads: names(this.threads.inOrder()),
      updates: names(this.updates),
      waiting,
      sensitive,
    };
  }

  /** Restores what `save` gave on a machine built alike. Throws `SnapshotError` naming the first thing that does not fit. */
  load(saved: SimulationState): void {
    for (const name of Object.keys(saved.modules)) {
      if (!this.modules.has(name)) throw new SnapshotError(`${name}: this machine has no such module`);
    }
    for (const name of this.modules.keys()) {
      if (!(name in saved.modules)) throw new SnapshotError(`${name}: missing from the snapshot`);
    }
    this.clearInstant();
    this.now = saved.time;
    for (const [name, { version, state }] of Object.entries(saved.modules)) this.module(name).loadState(state, version);
    this.#loadScheduler(saved.scheduler);
    this.sequence = saved.sequence;
    for (const m of this.modules.values()) m.restored();
  }

  #loadScheduler(saved: SchedulerState): void {
    const events = (names: readonly string[], part: string) => names.map((n) => this.findEvent(n, `scheduler.${part}`));
    this.initialized = this.evaluating = saved.initialized;
    this.deltaCount = saved.deltaCount;
    if (saved.round !== null) {
      for (const event of events(saved.round, "round")) this.scheduleDelta(event);
      this.takeRound();
    }
    for (const event of events(saved.actions, "actions")) this.scheduleDelta(event);
    for (const event of events(saved.deltas, "deltas")) this.scheduleDelta(event);
    for (const name of [...saved.methods, ...saved.threads]) this.enqueue(this.#process(name));
    for (const name of saved.updates) this.#signal(name).restoreRequest();
    for (const event of this.#events) if (event.waiters) event.waiters.dynamicMethods.length = 0;
    for (const [name, waiting] of Object.entries(saved.waiting)) {
      const event = this.findEvent(name, "scheduler.waiting");
      event.waiters ??= new Waiters();
      for (const method of waiting) event.waiters.dynamicMethods.push(this.#process(method) as MethodProcess);
    }
    this.#orderOfConstruction();
    for (const [name, sensitive] of Object.entries(saved.sensitive)) {
      const order = sensitive.map((process) => this.#process(process));
      this.findEvent(name, "scheduler.sensitive").waiters?.sortStatics((process) => order.indexOf(process));
    }
  }

  /** The event of that full name; edge events of signals and lines are made where they do not exist yet. */
  findEvent(fullName: string, path: string): Event {
    while (this.#indexed < this.#events.length) {
      const event = this.#events[this.#indexed++] as Event;
      this.#eventIndex.set(event.fullName, event);
    }
    const found = this.#eventIndex.get(fullName);
    if (found) return found;
    const dot = fullName.lastIndexOf(".");
    const part = this.#part(fullName.slice(0, dot)) as
      | { changed?: Event; posedge?: Event; negedge?: Event }
      | undefined;
    const edge = fullName.slice(dot + 1);
    const event = edge === "changed" || edge === "posedge" || edge === "negedge" ? part?.[edge] : undefined;
    if (!event) throw new SnapshotError(`${path}: this machine has no event "${fullName}"`);
    return event;
  }

  #part(fullName: string) {
    const dot = fullName.lastIndexOf(".");
    return this.modules.get(fullName.slice(0, dot))?.findPart(fullName.slice(dot + 1));
  }

  #process(fullName: string): Process {
    const found = this.processes.find((p) => p.fullName === fullName);
    if (!found) throw new SnapshotError(`scheduler: this machine has no process "${fullName}"`);
    return found;
  }

  #signal(fullName: string): Signal<SignalValue> {
    const found = this.#part(fullName);
    if (!(found instanceof Signal))
      throw new SnapshotError(`scheduler.updates: this machine has no signal "${fullName}"`);
    return found;
  }

  /**
   * Hash of all state that can change what happens next: equal hashes, equal futures. Independent of observers, of
   * debuggers and of how often the queue was touched (sequence numbers enter as ranks).
   */
  stateHash(): string {
    const hash = new StateHash();
    hash.number(this.now);
    const order = this.queue.inOrder();
    hash.word(order.length);
    for (const e of order) hash.text(e.fullName).number(e.deadline);
    const { round, waiting, sensitive, actions, deltas, methods, threads, updates } = this.#saveScheduler();
    for (const names of [round ?? [], actions, deltas, methods, threads, updates]) hashNames(hash, names);
    hash.word(round === null ? 0 : 1);
    for (const lists of [waiting, sensitive]) {
      for (const event of Object.keys(lists).sort()) hashNames(hash.text(event), lists[event] ?? []);
    }
    for (const name of [...this.modules.keys()].sort()) this.module(name).hashState(hash.text(name));
    return hash.digest();
  }
}

function ascends(list: readonly number[]): boolean {
  return list.every((n, i) => i === 0 || n > (list[i - 1] as number));
}

function hashNames(hash: StateHash, names: readonly StateValue[]): void {
  hash.word(names.length);
  for (const name of names) hash.text(String(name));
}
