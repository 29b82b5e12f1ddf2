/**
 * A small simulation of physical CPUs under one dispatcher: workloads are generators that compute, wait and yield. No
 * instructions, no devices; for tests of policies and for experiments that need nothing else. Times are absolute from 0.
 */
import { NEVER, type Time } from "../../sim/index.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { DomainParameters, Schedulable, Scheduler } from "./scheduler.ts";

/** What a workload does next; `yield` returns the present instant once it is done. */
export type Step =
  | { readonly do: "compute"; readonly time: Time }
  /** Computes while it has a CPU until that instant. */
  | { readonly do: "spin"; readonly until: Time }
  /** Blocks until that instant (NEVER: until `wake`). `reason` is what the policy is told. */
  | { readonly do: "sleep"; readonly until: Time; readonly reason?: string }
  | { readonly do: "yield" };
export type Workload = Generator<Step, void, Time>;

export interface VirtualCpuOptions {
  readonly domain: number;
  readonly affinity?: number;
  readonly workload: Workload;
}

class Vcpu implements Schedulable {
  readonly id: number;
  readonly domain: number;
  affinity: number;
  readonly workload: Workload;
  step: Step = { do: "yield" };
  /** Of a compute step: time left. */
  left: Time = 0;
  /** When a sleeper wakes. */
  wakeAt: Time = 0;
  reason = "event";
  ended = false;

  constructor(id: number, options: VirtualCpuOptions) {
    this.id = id;
    this.domain = options.domain;
    this.affinity = options.affinity ?? -1;
    this.workload = options.workload;
  }
}

export interface SimulationOptions {
  /** Time a world switch takes from the vCPU that comes. */
  readonly switchCost?: Time;
  /** Called after each dispatch, for tests. */
  readonly observe?: (cpu: number, now: Time, vcpu: Schedulable | null) => void;
}

/** Zero-length steps in a row after which a workload is held to be in error. */
const STEP_LIMIT = 10_000;

export class SchedulerSimulation {
  readonly dispatcher: Dispatcher;
  readonly cpus: number;
  now: Time = 0;
  readonly #options: SimulationOptions;
  readonly #vcpus: Vcpu[] = [];
  readonly #kicked: boolean[];
  readonly #running: (Vcpu | null)[];
  /** Up to when the running vCPU's progress is booked; ahead of `now` while a switch takes its time. */
  readonly #booked: Time[];
  readonly #last: (Vcpu | null)[];

  constructor(scheduler: Scheduler, cpus: number, options: SimulationOptions = {}) {
    this.cpus = cpus;
    this.#options = options;
    this.#kicked = new Array<boolean>(cpus).fill(true);
    this.#running = new Array<Vcpu | null>(cpus).fill(null);
    this.#last = new Array<Vcpu | null>(cpus).fill(null);
    this.#booked = new Array<Time>(cpus).fill(0);
    this.dispatcher = new Dispatcher(scheduler, cpus, {
      kick: (cpu) => {
        this.#kicked[cpu] = true;
      },
    });
  }

  addDomain(domain: number, parameters: DomainParameters = {}): void {
    this.dispatcher.addDomain(domain, parameters);
  }

  /** Adds a vCPU that wakes at once. */
  add(options: VirtualCpuOptions): Schedulable {
    const vcpu = new Vcpu(this.#vcpus.length, options);
    this.dispatcher.add(vcpu, this.now);
    this.#vcpus.push(vcpu);
    vcpu.wakeAt = this.now;
    return vcpu;
  }

  /** Changes the CPUs a vCPU may use. */
  pin(vcpu: Schedulable, affinity: number): void {
    (vcpu as Vcpu).affinity = affinity;
    this.dispatcher.affinityChanged(vcpu, this.now);
  }

  /** Wakes a vCPU that sleeps until NEVER, or early; one that does not sleep is only notified. */
  wake(vcpu: Schedulable, reason = "event"): void {
    (vcpu as Vcpu).wakeAt = NEVER;
    this.dispatcher.wake(vcpu, this.now, reason);
  }

  /** Runs to `end`. */
  run(end: Time): void {
    for (;;) {
      this.#settle();
      const next = this.#next();
      if (next > end) break;
      this.now = next;
    }
    this.now = end;
    for (let cpu = 0; cpu < this.cpus; cpu++) this.#book(cpu);
    for (const v of this.#vcpus) this.dispatcher.account(v, end);
    for (let cpu = 0; cpu < this.cpus; cpu++) this.dispatcher.cpuAccount(cpu, end);
  }

  /** All that happens at this instant: sleepers wake in their order, CPUs finish steps, CPUs choose. */
  #settle(): void {
    for (let round = 0; ; round++) {
      if (round > STEP_LIMIT) throw new Error(`scheduler simulation: no progress at ${this.now}`);
      for (const v of this.#vcpus) {
        if (v.wakeAt > this.now) continue;
        v.wakeAt = NEVER;
        this.dispatcher.wake(v, this.now, v.reason);
        this.#startIdle();
      }
      let busy = false;
      for (let cpu = 0; cpu < this.cpus; cpu++) {
        this.#book(cpu);
        const v = this.#running[cpu];
        // A switch under way is not interrupted.
        if (v && (this.#booked[cpu] as number) <= this.now) this.#finish(v);
        if (!this.#kicked[cpu] && !this.dispatcher.due(cpu, this.now)) continue;
        busy = true;
        this.#kicked[cpu] = false;
        this.#dispatch(cpu);
      }
      if (!busy && !this.#vcpus.some((v) => v.wakeAt <= this.now)) return;
    }
  }

  /** An idle CPU that was told of a wake has taken the vCPU before the next one wakes. */
  #startIdle(): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      if (this.#running[cpu] || !this.#kicked[cpu]) continue;
      this.#kicked[cpu] = false;
      this.#dispatch(cpu);
    }
  }

  #dispatch(cpu: number): void {
    const vcpu = this.dispatcher.dispatch(cpu, this.now) as Vcpu | null;
    if (vcpu !== this.#running[cpu]) {
      this.#running[cpu] = vcpu;
      this.#booked[cpu] = this.now;
      if (vcpu && this.#last[cpu] !== vcpu) this.#booked[cpu] = this.now + (this.#options.switchCost ?? 0);
      if (vcpu) this.#last[cpu] = vcpu;
    }
    this.#options.observe?.(cpu, this.now, vcpu);
  }

  /** Books what the running vCPU has computed up to now. */
  #book(cpu: number): void {
    const v = this.#running[cpu];
    const from = this.#booked[cpu] as number;
    if (!v || from >= this.now) return;
    if (v.step.do === "compute") v.left -= this.now - from;
    this.#booked[cpu] = this.now;
  }

  /** Takes steps until one takes time. */
  #finish(v: Vcpu): void {
    for (let count = 0; ; count++) {
      if (count > STEP_LIMIT) throw new Error(`vCPU ${v.id}: its workload takes no time`);
      if (v.step.do === "compute" && v.left > 0) return;
      if (v.step.do === "spin" && v.step.until > this.now) return;
      const next = v.ended ? { done: true as const, value: undefined } : v.workload.next(this.now);
      if (next.done) {
        v.ended = true;
        v.step = { do: "yield" };
        this.dispatcher.block(v, this.now);
        return;
      }
      v.step = next.value;
      if (v.step.do === "compute") v.left = v.step.time;
      else if (v.step.do === "sleep") {
        v.wakeAt = v.step.until;
        v.reason = v.step.reason ?? "timer";
        this.dispatcher.block(v, this.now);
        return;
      } else if (v.step.do === "yield") {
        this.dispatcher.yield(v, this.now);
        return;
      }
    }
  }

  #next(): Time {
    let next = NEVER;
    for (const v of this.#vcpus) next = Math.min(next, v.wakeAt);
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      next = Math.min(next, this.dispatcher.deadline(cpu));
      const v = this.#running[cpu];
      if (!v) continue;
      const booked = this.#booked[cpu] as number;
      if (v.step.do === "compute") next = Math.min(next, booked + v.left);
      else if (v.step.do === "spin") next = Math.min(next, Math.max(booked, v.step.until));
      else next = Math.min(next, booked);
    }
    return Math.max(next, this.now + 1);
  }
}

/** Never stops computing. */
export function* hog(): Workload {
  for (;;) yield { do: "compute", time: NEVER };
}

/** Sleeps and computes in turn. */
export function* periodic(sleep: Time, compute: Time, reason = "io"): Workload {
  let now = 0;
  for (;;) {
    now = yield { do: "sleep", until: now + sleep, reason };
    now = yield { do: "compute", time: compute };
  }
}
