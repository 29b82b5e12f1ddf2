/**
 * Round robin: one queue for all CPUs, FIFO, a slice each. The plainest policy, and the yardstick of the others: no
 * weights, no caps, a vCPU that wakes goes to the tail and preempts nobody. Starves none; work conserving.
 */
import { MS, NEVER, type Time } from "../../sim/index.ts";
import { type DomainRecord, type Entry, Policy, readOptions, type SchedulerOptions } from "./policy.ts";
import type { Choice, DomainParameters, Schedulable, Tickled } from "./scheduler.ts";

const DEFAULTS = {
  /** Slice in milliseconds. */
  slice: 10,
};

export class RoundRobinScheduler extends Policy<Entry, DomainRecord> {
  readonly name = "round-robin";
  readonly #slice: Time;

  constructor(cpus: number, options: SchedulerOptions = {}) {
    super(cpus);
    const { slice } = readOptions("round-robin", DEFAULTS, options);
    if (slice * MS < 1) throw new RangeError("round-robin: slice=0: expected a time above 0");
    this.#slice = Math.ceil(slice * MS);
  }

  protected override makeDomain(parameters: DomainParameters): DomainRecord {
    return readOptions("round-robin domain", {}, parameters);
  }

  protected override makeEntry(vcpu: Schedulable, cpu: number): Entry {
    return { vcpu, cpu, runnable: false, started: 0 };
  }

  override wake(vcpu: Schedulable, now: Time): Tickled {
    const entry = this.entry(vcpu);
    entry.runnable = true;
    if (this.runsOn(entry) >= 0 || this.queue(0).includes(entry)) return 0;
    return this.requeue(entry, now);
  }

  protected override requeue(entry: Entry, _now: Time): Tickled {
    this.queue(0).push(entry);
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      if (this.current[cpu] === null && this.allowed(entry, cpu)) return 1 << cpu;
    }
    return 0;
  }

  override schedule(cpu: number, now: Time): Choice {
    const queue = this.queue(0);
    const last = this.current[cpu];
    let tickled = 0;
    this.current[cpu] = null;
    if (last?.runnable) tickled = this.requeue(last, now) & ~(1 << cpu);
    const at = queue.findIndex((e) => this.allowed(e, cpu));
    const next = at < 0 ? undefined : queue[at];
    if (next === undefined) return { vcpu: null, slice: NEVER, tickled };
    queue.splice(at, 1);
    this.current[cpu] = next;
    next.cpu = cpu;
    next.started = now;
    return { vcpu: next.vcpu, slice: this.#slice, tickled: next === last ? 0 : tickled };
  }
}
