/**
 * What all policies share: the table of vCPUs with their home CPU, who is current where, queues saved by id. A policy
 * keeps what changes as numbers and booleans of its entries, of its domains' records and of `shared`.
 */
import {
  assignState,
  cloneState,
  NEVER,
  SnapshotError,
  type StateRecord,
  type StateValue,
  type Time,
} from "../../sim/index.ts";
import type { Choice, DomainParameters, Schedulable, Scheduler, Tickled } from "./scheduler.ts";

/** A vCPU inside a policy. Numbers and booleans are saved. */
export interface Entry {
  readonly vcpu: Schedulable;
  /** The CPU whose queue it uses. */
  cpu: number;
  /** Wants to run. */
  runnable: boolean;
  /** When it was last given a CPU. */
  started: Time;
}

export type DomainRecord = Record<string, number | boolean>;

/** Options of a policy as configuration has them; unknown names are refused. */
export interface SchedulerOptions {
  readonly [name: string]: number | boolean;
}

/** The options over their defaults. Throws RangeError for an unknown name, another type or a negative number. */
export function readOptions<T extends Record<keyof T, number | boolean>>(
  policy: string,
  defaults: T,
  given: { readonly [name: string]: number | boolean | string },
): T {
  const result = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, name)) {
      throw new RangeError(`${policy}: unknown option "${name}"; known: ${Object.keys(defaults).join(", ")}`);
    }
    const key = name as keyof T;
    if (typeof value !== typeof defaults[key]) {
      throw new RangeError(`${policy}: ${name}=${value}: expected a ${typeof defaults[key]}`);
    }
    if (typeof value === "number" && !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(`${policy}: ${name}=${value}: expected a number from 0 up`);
    }
    result[key] = value as T[keyof T];
  }
  return result;
}

/** Divides options into those named in `own` and the rest, for a policy built on another. */
export function splitOptions(own: object, given: SchedulerOptions): [SchedulerOptions, SchedulerOptions] {
  const mine: Record<string, number | boolean> = {};
  const rest: Record<string, number | boolean> = {};
  for (const [name, value] of Object.entries(given)) (Object.hasOwn(own, name) ? mine : rest)[name] = value;
  return [mine, rest];
}

/** First CPU after `cpu`, cyclically, whose bit is set in `mask`; -1 for an empty mask. */
export function cycle(cpu: number, mask: number, cpus: number): number {
  for (let n = 1; n <= cpus; n++) {
    const next = (cpu + n) % cpus;
    if ((mask >>> next) & 1) return next;
  }
  return -1;
}

export abstract class Policy<E extends Entry, D extends DomainRecord> implements Scheduler {
  abstract readonly name: string;
  protected readonly cpus: number;
  protected readonly entries = new Map<Schedulable, E>();
  protected readonly domains = new Map<number, D>();
  /** The vCPU each CPU runs; null: idle. */
  protected readonly current: (E | null)[];
  /** One run queue a CPU; a policy with one queue for all uses the first. */
  protected readonly queues: E[][];

  /** @param cpus number of physical CPUs, 1 to 32 */
  constructor(cpus: number) {
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 32) throw new RangeError(`${cpus} CPUs: expected 1 to 32`);
    this.cpus = cpus;
    this.current = new Array<E | null>(cpus).fill(null);
    this.queues = Array.from({ length: cpus }, () => []);
  }

  protected abstract makeDomain(parameters: DomainParameters, domain: number): D;
  protected abstract makeEntry(vcpu: Schedulable, cpu: number, now: Time): E;
  /** Further state, as typed arrays, lists and numbers. */
  protected saveShared(): StateRecord {
    return {};
  }
  protected loadShared(_value: StateRecord): void {}

  abstract wake(vcpu: Schedulable, now: Time, reason: string): Tickled;
  abstract schedule(cpu: number, now: Time): Choice;

  addDomain(domain: number, parameters: DomainParameters): void {
    if (this.domains.has(domain)) throw new RangeError(`domain ${domain} is there already`);
    this.domains.set(domain, this.makeDomain(parameters, domain));
  }

  setDomain(domain: number, parameters: DomainParameters): void {
    this.domainOf(domain);
    this.domains.set(domain, this.makeDomain(parameters, domain));
  }

  removeDomain(domain: number): void {
    for (const vcpu of this.entries.keys()) {
      if (vcpu.domain === domain) throw new RangeError(`domain ${domain} still has vCPU ${vcpu.id}`);
    }
    this.domains.delete(domain);
  }

  add(vcpu: Schedulable, now: Time): void {
    this.domainOf(vcpu.domain);
    if (this.entries.has(vcpu)) throw new RangeError(`vCPU ${vcpu.id} is there already`);
    this.entries.set(vcpu, this.makeEntry(vcpu, this.#placement(vcpu), now));
  }

  remove(vcpu: Schedulable, _now: Time): void {
    const entry = this.entry(vcpu);
    this.unqueue(entry);
    for (let cpu = 0; cpu < this.cpus; cpu++) if (this.current[cpu] === entry) this.current[cpu] = null;
    this.entries.delete(vcpu);
  }

  notify(_vcpu: Schedulable, _now: Time, _reason: string): Tickled {
    return 0;
  }

  block(vcpu: Schedulable, _now: Time): void {
    const entry = this.entry(vcpu);
    entry.runnable = false;
    this.unqueue(entry);
  }

  yield(_vcpu: Schedulable, _now: Time): void {}

  affinityChanged(vcpu: Schedulable, now: Time): Tickled {
    const entry = this.entry(vcpu);
    if (this.allowed(entry, entry.cpu)) return 0;
    const from = entry.cpu;
    const running = this.current[from] === entry;
    const queued = this.unqueue(entry);
    // A running vCPU stays on its CPU until that CPU chooses again; `schedule` then finds it at home elsewhere.
    entry.cpu = this.#placement(vcpu);
    if (running) return 1 << from;
    return queued ? this.requeue(entry, now) : 0;
  }

  nextTick(_cpu: number): Time {
    return NEVER;
  }

  tick(_cpu: number, _now: Time): Tickled {
    return 0;
  }

  save(): StateValue {
    const entries: Record<string, StateValue> = {};
    for (const e of this.entries.values()) entries[String(e.vcpu.id)] = plain(e);
    const domains: Record<string, StateValue> = {};
    for (const [id, d] of this.domains) domains[String(id)] = { ...d };
    return {
      entries,
      domains,
      current: this.current.map((e) => e?.vcpu.id ?? -1),
      queues: this.queues.map((q) => q.map((e) => e.vcpu.id)),
      shared: this.saveShared(),
    };
  }

  load(value: StateValue): void {
    const state = assignState(cloneState(this.save()), value, "scheduler") as StateRecord;
    const entries = state["entries"] as StateRecord;
    for (const e of this.entries.values()) Object.assign(e, entries[String(e.vcpu.id)]);
    const domains = state["domains"] as StateRecord;
    for (const [id, d] of this.domains) Object.assign(d, domains[String(id)]);
    const current = this.byIds(state["current"] as StateValue, "current");
    const queues = state["queues"] as readonly StateValue[];
    if (current.length !== this.cpus || queues.length !== this.cpus) {
      throw new SnapshotError(`scheduler: state of ${current.length} CPUs, expected ${this.cpus}`);
    }
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      this.current[cpu] = current[cpu] ?? null;
      const queue = this.queues[cpu] as E[];
      queue.length = 0;
      for (const e of this.byIds(queues[cpu] as StateValue, `queue ${cpu}`)) if (e) queue.push(e);
    }
    this.loadShared(state["shared"] as StateRecord);
  }

  /** Entries by a saved list of ids; -1 is null. */
  protected byIds(value: StateValue, where: string): (E | null)[] {
    if (!Array.isArray(value)) throw new SnapshotError(`scheduler.${where}: expected a list`);
    return value.map((id: StateValue) => {
      if (id === -1) return null;
      for (const e of this.entries.values()) if (e.vcpu.id === id) return e;
      throw new SnapshotError(`scheduler.${where}: unknown vCPU ${String(id)}`);
    });
  }

  protected entry(vcpu: Schedulable): E {
    const entry = this.entries.get(vcpu);
    if (entry === undefined) throw new RangeError(`vCPU ${vcpu.id} is not known to the scheduler`);
    return entry;
  }

  protected domainOf(domain: number): D {
    const record = this.domains.get(domain);
    if (record === undefined) throw new RangeError(`domain ${domain} is not known to the scheduler`);
    return record;
  }

  protected queue(cpu: number): E[] {
    return this.queues[cpu] as E[];
  }

  protected allowed(entry: E, cpu: number): boolean {
    return ((entry.vcpu.affinity >>> cpu) & 1) === 1;
  }

  /** The CPU that runs this vCPU, or -1. */
  protected runsOn(entry: E): number {
    return this.current.indexOf(entry);
  }

  /** Takes a vCPU off its run queue; whether it was on one. */
  protected unqueue(entry: E): boolean {
    for (const queue of this.queues) {
      const at = queue.indexOf(entry);
      if (at >= 0) {
        queue.splice(at, 1);
        return true;
      }
    }
    return false;
  }

  protected isQueued(entry: E): boolean {
    return this.queue(entry.cpu).includes(entry);
  }

  /** Puts a runnable vCPU on the queue of its (new) CPU. */
  protected abstract requeue(entry: E, now: Time): Tickled;

  /** Home of a vCPU: of the CPUs it may use the one that is home to the fewest, the lowest number among equals. */
  #placement(vcpu: Schedulable): number {
    const homes = new Array<number>(this.cpus).fill(0);
    for (const e of this.entries.values()) if (e.vcpu !== vcpu) homes[e.cpu] = (homes[e.cpu] ?? 0) + 1;
    let best = -1;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      if (((vcpu.affinity >>> cpu) & 1) === 0) continue;
      if (best < 0 || (homes[cpu] ?? 0) < (homes[best] ?? 0)) best = cpu;
    }
    if (best < 0) throw new RangeError(`vCPU ${vcpu.id}: affinity ${vcpu.affinity} holds none of ${this.cpus} CPUs`);
    return best;
  }
}

/** The numbers and booleans of an entry. */
function plain(entry: Entry): StateRecord {
  const record: Record<string, StateValue> = {};
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value === "number" || typeof value === "boolean") record[key] = value;
  }
  return record;
}
