/** What the hypervisor asks of a scheduling policy, and what it tells it. One file a policy stands beside this one. */
import type { StateValue, Time } from "../../sim/index.ts";

/** A vCPU as the policy sees it. Identity is the object; `id` orders and names, and is unique in one dispatcher. */
export interface Schedulable {
  readonly id: number;
  /** The domain (VM) it belongs to. */
  readonly domain: number;
  /** Physical CPUs it may run on, bit n is CPU n. After a change `Dispatcher.affinityChanged` is to be called. */
  readonly affinity: number;
}

/** Per-domain settings; each policy reads its own. */
export interface DomainParameters {
  readonly [name: string]: number | boolean | string;
}

/** What a policy may ask for: CPUs that should choose again, as soon as possible. Bit n is CPU n. */
export type Tickled = number;

export interface Choice {
  /** null: nothing is runnable for this CPU. */
  readonly vcpu: Schedulable | null;
  /** Longest time until `schedule` is asked again; NEVER where only an event can change the choice. */
  readonly slice: Time;
  /** Other CPUs that have to choose again because of this choice (a vCPU moved to one of them). */
  readonly tickled?: Tickled;
}

export interface Scheduler {
  readonly name: string;
  /** Throws RangeError for a parameter that is out of the policy's range. */
  addDomain(domain: number, parameters: DomainParameters): void;
  setDomain(domain: number, parameters: DomainParameters): void;
  removeDomain(domain: number): void;
  /** A vCPU enters, blocked. */
  add(vcpu: Schedulable, now: Time): void;
  remove(vcpu: Schedulable, now: Time): void;
  /** Blocked to runnable. `reason`: what woke it ("event", "timer", "io"), for policies that tell them apart. */
  wake(vcpu: Schedulable, now: Time, reason: string): Tickled;
  /** Something has come for a vCPU that is runnable already. */
  notify(vcpu: Schedulable, now: Time, reason: string): Tickled;
  /** The vCPU blocks, or is paused; where it was running the caller then asks `schedule` of its CPU. */
  block(vcpu: Schedulable, now: Time): void;
  /** The running vCPU gives the CPU up but stays runnable. */
  yield(vcpu: Schedulable, now: Time): void;
  /** The vCPU's affinity has another value than at the last call. */
  affinityChanged(vcpu: Schedulable, now: Time): Tickled;
  /** What CPU `cpu` is to run now; what ran until now is still runnable unless `block` or `remove` said otherwise. */
  schedule(cpu: number, now: Time): Choice;
  /** Periodic work: when the next is due (NEVER: none), and doing it, which moves `nextTick` beyond `now`. */
  nextTick(cpu: number): Time;
  tick(cpu: number, now: Time): Tickled;
  /** All that changes, by name, for snapshots and the state hash. */
  save(): StateValue;
  /** Restores what `save` gave, with the same domains and vCPUs added. Throws SnapshotError where it does not fit. */
  load(value: StateValue): void;
}
