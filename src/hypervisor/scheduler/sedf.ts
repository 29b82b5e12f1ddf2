/**
 * Simple earliest deadline first with extra time, as of Xen 3.3 (sched_sedf.c).
 *
 * Rules: a vCPU has `slice` of every `period`, earliest deadline first. What is left is extra time, in quanta of 500 us:
 * first for those that blocked briefly and lost the rest of a slice (penalty queue, the greater loss first), then for all
 * that take extra time, by weighted scores (utilisation queue). Domain 0 has 15 of 20 ms by default, others have no slice
 * and a period of 100 ms: extra time only. Blocking and waking within a period forfeits the rest of that slice; waking
 * later starts a period at that instant. A last stretch below one quantum before the next period begins is left idle, so
 * the policy is not work conserving. Domains without a slice and without extra time never run.
 *
 * Not modelled: latency scaling and weights that are turned into slices by the control operation (3.3 leaves periods
 * alone unless told otherwise). vCPUs stay on their home CPU: SEDF has no balancer.
 */
import { NEVER, SEC, type StateRecord, type StateValue, type Time, US } from "../../sim/index.ts";
import { type DomainRecord, type Entry, Policy, readOptions, type SchedulerOptions } from "./policy.ts";
import type { Choice, DomainParameters, Schedulable, Tickled } from "./scheduler.ts";

const QUANTUM: Time = 500 * US;
const PERIOD_MIN: Time = 10 * US;
const PERIOD_MAX: Time = 10 * SEC;
const SLICE_MIN: Time = 5 * US;

interface SedfDomain extends DomainRecord {
  period: Time;
  slice: Time;
  extraTime: boolean;
  extraWeight: number;
}

interface SedfEntry extends Entry {
  deadline: Time;
  /** Run in this period. */
  used: Time;
  blocked: Time;
  /** Lost by a short block, to be made good. */
  lost: Time;
  penaltyScore: number;
  utilScore: number;
  wantsPenalty: boolean;
  runsPenalty: boolean;
  runsUtil: boolean;
}

const EDF = 0;
const PENALTY = 1;
const UTIL = 2;
const IDLE = 3;

export class SedfScheduler extends Policy<SedfEntry, SedfDomain> {
  readonly name = "sedf";
  /** By CPU: waiting for their period to begin; wanting extra time. The base's queues hold those whose period runs. */
  readonly #waiting: SedfEntry[][];
  readonly #penalty: SedfEntry[][];
  readonly #util: SedfEntry[][];
  readonly #expires: Float64Array;

  constructor(cpus: number, options: SchedulerOptions = {}) {
    super(cpus);
    readOptions("sedf", {}, options);
    this.#waiting = Array.from({ length: cpus }, () => []);
    this.#penalty = Array.from({ length: cpus }, () => []);
    this.#util = Array.from({ length: cpus }, () => []);
    this.#expires = new Float64Array(cpus);
  }

  /** Parameters: `period` and `slice` in microseconds, `extratime`, `extraweight`. */
  protected override makeDomain(parameters: DomainParameters, domain: number): SedfDomain {
    const given = readOptions(
      "sedf domain",
      domain === 0
        ? { period: 20_000, slice: 15_000, extratime: true, extraweight: 1 }
        : { period: 100_000, slice: 0, extratime: true, extraweight: 1 },
      parameters,
    );
    const period = given.period * US;
    const slice = given.slice * US;
    if (period < PERIOD_MIN || period > PERIOD_MAX) {
      throw new RangeError(`sedf domain: period=${given.period}: expected 10 to 10000000 microseconds`);
    }
    if (slice !== 0 && (slice < SLICE_MIN || slice > period)) {
      throw new RangeError(`sedf domain: slice=${given.slice}: expected 0, or 5 microseconds to the period`);
    }
    return { period, slice, extraTime: given.extratime, extraWeight: given.extraweight };
  }

  protected override makeEntry(vcpu: Schedulable, cpu: number): SedfEntry {
    return {
      vcpu,
      cpu,
      runnable: false,
      started: 0,
      deadline: 0,
      used: 0,
      blocked: 0,
      lost: 0,
      penaltyScore: 0,
      utilScore: 0,
      wantsPenalty: false,
      runsPenalty: false,
      runsUtil: false,
    };
  }

  protected override unqueue(entry: SedfEntry): boolean {
    let found = super.unqueue(entry);
    for (const queues of [this.#waiting, this.#penalty, this.#util]) {
      for (const queue of queues) found = drop(queue, entry) || found;
    }
    return found;
  }

  override block(vcpu: Schedulable, _now: Time): void {
    const entry = this.entry(vcpu);
    entry.runnable = false;
    // One that runs is taken off by `schedule`, which still has to book its time.
    if (this.runsOn(entry) < 0) this.unqueue(entry);
  }

  override wake(vcpu: Schedulable, now: Time): Tickled {
    const entry = this.entry(vcpu);
    entry.runnable = true;
    return this.#onQueue(entry) ? 0 : this.requeue(entry, now);
  }

  protected override requeue(entry: SedfEntry, now: Time): Tickled {
    const d = this.#of(entry);
    const cpu = entry.cpu;
    if (entry.deadline === 0) entry.deadline = now + d.slice;
    if (this.#begin(entry) > now) {
      // Blocked in extra time; where it was made good a loss, it goes on.
      if (entry.wantsPenalty) addByScore(this.#queueOf(this.#penalty, cpu), entry, "penaltyScore", 0);
    } else if (now < entry.deadline) {
      this.#shortBlock(entry);
    } else {
      entry.deadline = now + d.period;
      entry.used = 0;
    }
    if (d.extraTime) addByScore(this.#queueOf(this.#util, cpu), entry, "utilScore", 0);
    if (this.#begin(entry) > now) this.#wait(entry);
    else this.#ready(entry);
    return this.#shouldSwitch(cpu, entry) ? 1 << cpu : 0;
  }

  /** No more of its slice in this period; the loss is made good in extra time, greater losses first. */
  #shortBlock(entry: SedfEntry): void {
    const d = this.#of(entry);
    entry.deadline += d.period;
    if (entry.blocked !== 0) {
      entry.lost = Math.max(0, d.slice - entry.used);
      if (entry.lost !== 0) {
        entry.penaltyScore = Math.floor((d.period * 1024) / entry.lost);
        entry.wantsPenalty = true;
        addByScore(this.#queueOf(this.#penalty, entry.cpu), entry, "penaltyScore", 0);
      }
    }
    entry.used = 0;
  }

  #shouldSwitch(cpu: number, other: SedfEntry): boolean {
    if (this.#begin(other) < (this.#expires[cpu] as number)) return true;
    const current = this.current[cpu] ?? null;
    switch (kindOf(current)) {
      case EDF:
        return false;
      case PENALTY:
        return other.wantsPenalty && other.penaltyScore < (current?.penaltyScore ?? 0);
      case UTIL:
        return other.wantsPenalty;
      default:
        return true;
    }
  }

  override schedule(cpu: number, now: Time): Choice {
    const last = this.current[cpu];
    let tickled = 0;
    this.current[cpu] = null;
    if (last) {
      if (!last.runnable) last.blocked = now;
      // Moved away: its queues of the old CPU are gone, it enters those of the new one.
      const moved = last.cpu !== cpu;
      if (!moved && (last.runsPenalty || last.runsUtil)) this.#endExtra(last);
      else if (!moved) this.#endSlice(last, now);
      else {
        last.runsPenalty = false;
        last.runsUtil = false;
        this.unqueue(last);
        if (last.runnable) tickled = this.requeue(last, now);
      }
    }
    this.#update(cpu, now);
    const choice = this.#choose(cpu, now);
    const slice = choice.slice > 0 ? choice.slice : QUANTUM;
    this.#expires[cpu] = slice === NEVER ? NEVER : now + slice;
    this.current[cpu] = choice.entry;
    if (choice.entry) choice.entry.started = now;
    return { vcpu: choice.entry?.vcpu ?? null, slice, tickled };
  }

  #choose(cpu: number, now: Time): { entry: SedfEntry | null; slice: Time } {
    const first = this.queue(cpu)[0];
    const waiting = this.#queueOf(this.#waiting, cpu)[0];
    const next = waiting ? this.#begin(waiting) : NEVER;
    if (first) {
      const slice = this.#of(first).slice - first.used;
      return { entry: first, slice: next === NEVER ? slice : Math.min(slice, next - now) };
    }
    if (!waiting) return { entry: null, slice: NEVER };
    if (next - now < QUANTUM) return { entry: null, slice: next - now };
    const penalty = this.#queueOf(this.#penalty, cpu)[0];
    if (penalty) {
      penalty.runsPenalty = true;
      return { entry: penalty, slice: QUANTUM };
    }
    const util = this.#queueOf(this.#util, cpu)[0];
    if (!util) return { entry: null, slice: next - now };
    util.runsUtil = true;
    return { entry: util, slice: QUANTUM };
  }

  /** Books a run in a slice. */
  #endSlice(entry: SedfEntry, now: Time): void {
    const d = this.#of(entry);
    entry.used += now - entry.started;
    if (entry.used < d.slice && entry.runnable) return;
    drop(this.queue(entry.cpu), entry);
    if (entry.used >= d.slice) {
      entry.used -= d.slice;
      entry.deadline += d.period;
    }
    if (entry.runnable) this.#wait(entry);
    else this.unqueue(entry);
  }

  /** Books a run in extra time: a fresh slice, a new score, the others' scores lowered by the old one. */
  #endExtra(entry: SedfEntry): void {
    const d = this.#of(entry);
    const cpu = entry.cpu;
    const inPenalty = entry.runsPenalty;
    entry.runsPenalty = false;
    entry.runsUtil = false;
    entry.used = 0;
    drop(this.#queueOf(inPenalty ? this.#penalty : this.#util, cpu), entry);
    const old = inPenalty ? entry.penaltyScore : entry.utilScore;
    if (inPenalty) {
      // One quantum makes good whatever was lost; else domain 0 could hold the CPU for seconds.
      entry.lost = 0;
      entry.wantsPenalty = false;
    } else {
      // Without a weight the score is the inverse of the utilisation, in 1/1024.
      entry.utilScore = Math.floor(
        d.extraWeight === 0 ? (d.period * 1024) / Math.max(1, d.slice) : 131072 / d.extraWeight,
      );
    }
    if (!entry.runnable) {
      this.unqueue(entry);
    } else if (!inPenalty && d.extraTime) {
      addByScore(this.#queueOf(this.#util, cpu), entry, "utilScore", old);
    }
  }

  /** Moves those whose period has begun to the run queue, and those that are done with theirs away from it. */
  #update(cpu: number, now: Time): void {
    const waiting = this.#queueOf(this.#waiting, cpu);
    while (waiting[0] && this.#begin(waiting[0]) <= now) this.#ready(waiting.shift() as SedfEntry);
    for (const entry of [...this.queue(cpu)]) {
      const d = this.#of(entry);
      if (d.slice === 0) {
        drop(this.queue(cpu), entry);
        entry.deadline += d.period;
        const begin = this.#begin(entry);
        if (begin < now) entry.deadline += Math.ceil((now - begin) / d.period) * d.period;
        this.#wait(entry);
      } else if (entry.deadline < now || entry.used > d.slice) {
        drop(this.queue(cpu), entry);
        entry.deadline += d.period;
        if (entry.deadline < now) entry.deadline += Math.ceil((now - entry.deadline) / d.period) * d.period;
        entry.used = 0;
        if (this.#begin(entry) > now) this.#wait(entry);
        else this.#ready(entry);
      } else {
        break;
      }
    }
  }

  #wait(entry: SedfEntry): void {
    const queue = this.#queueOf(this.#waiting, entry.cpu);
    const at = queue.findIndex((e) => this.#begin(entry) < this.#begin(e));
    queue.splice(at < 0 ? queue.length : at, 0, entry);
  }

  #ready(entry: SedfEntry): void {
    const queue = this.queue(entry.cpu);
    const at = queue.findIndex((e) => entry.deadline < e.deadline);
    queue.splice(at < 0 ? queue.length : at, 0, entry);
  }

  #onQueue(entry: SedfEntry): boolean {
    return this.runsOn(entry) >= 0 || this.isQueued(entry) || this.#queueOf(this.#waiting, entry.cpu).includes(entry);
  }

  #begin(entry: SedfEntry): Time {
    return entry.deadline - this.#of(entry).period;
  }

  #of(entry: SedfEntry): SedfDomain {
    return this.domainOf(entry.vcpu.domain);
  }

  #queueOf(queues: SedfEntry[][], cpu: number): SedfEntry[] {
    return queues[cpu] as SedfEntry[];
  }

  protected override saveShared(): StateRecord {
    const ids = (queues: SedfEntry[][]): StateValue => queues.map((q) => q.map((e) => e.vcpu.id));
    return {
      waiting: ids(this.#waiting),
      penalty: ids(this.#penalty),
      util: ids(this.#util),
      expires: this.#expires.slice(),
    };
  }

  protected override loadShared(value: StateRecord): void {
    for (const [name, queues] of [
      ["waiting", this.#waiting],
      ["penalty", this.#penalty],
      ["util", this.#util],
    ] as const) {
      const saved = value[name] as readonly StateValue[];
      for (const [cpu, queue] of queues.entries()) {
        queue.length = 0;
        for (const e of this.byIds(saved[cpu] ?? null, name)) if (e) queue.push(e);
      }
    }
    this.#expires.set(value["expires"] as Float64Array);
  }
}

function kindOf(entry: SedfEntry | null): number {
  if (entry === null) return IDLE;
  if (entry.runsPenalty) return PENALTY;
  return entry.runsUtil ? UTIL : EDF;
}

/** Takes `sub` off all scores on the queue and puts the entry before the first with a higher score than its own. */
function addByScore(queue: SedfEntry[], entry: SedfEntry, score: "penaltyScore" | "utilScore", sub: number): void {
  for (const e of queue) e[score] -= sub;
  const at = queue.findIndex((e) => entry[score] < e[score]);
  queue.splice(at < 0 ? queue.length : at, 0, entry);
}

function drop(queue: SedfEntry[], entry: SedfEntry): boolean {
  const at = queue.indexOf(entry);
  if (at >= 0) queue.splice(at, 1);
  return at >= 0;
}
