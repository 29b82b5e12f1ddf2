/**
 * Preemptive I/O on top of the credit scheduler: the vCPU whose device completion is waiting (a wake or notification
 * with reason "io") runs at once, whatever its credits, for at most `ioSlice`; then it is what its credits make it. So
 * that I/O cannot starve others, a vCPU has this privilege for `ioShare` percent of an accounting period, and caps hold.
 * No published source has numbers; the two limits are this model's.
 */
import { MS, type Time, US } from "../../sim/index.ts";
import { type CreditEntry, CreditScheduler, OVER, UNDER } from "./credit.ts";
import { readOptions, type SchedulerOptions, splitOptions } from "./policy.ts";
import type { Choice, Schedulable, Tickled } from "./scheduler.ts";

/** Above BOOST. */
export const IO = 1;
const PERIOD: Time = 30 * MS;

const DEFAULTS = {
  /** Microseconds a completion may run before others. */
  ioSlice: 1000,
  /** Percent of an accounting period (30 ms) that one vCPU may run so. */
  ioShare: 50,
};

export class PreemptiveIoScheduler extends CreditScheduler {
  override readonly name = "preemptive-io";
  readonly #slice: Time;
  readonly #budget: Time;

  constructor(cpus: number, options: SchedulerOptions = {}) {
    const [own, base] = splitOptions(DEFAULTS, options);
    super(cpus, { exactDebit: true, ...base });
    const { ioSlice, ioShare } = readOptions("preemptive-io", DEFAULTS, own);
    if (ioSlice < 1) throw new RangeError("preemptive-io: ioSlice: expected 1 microsecond or more");
    if (ioShare > 100) throw new RangeError("preemptive-io: ioShare: expected 0 to 100 percent");
    this.#slice = Math.ceil(ioSlice * US);
    this.#budget = Math.floor((ioShare * PERIOD) / 100);
  }

  protected override enqueueWoken(entry: CreditEntry, now: Time, reason: string, boost = true): Tickled {
    if (reason === "io" && entry.ioTime < this.#budget) entry.priority = IO;
    return super.enqueueWoken(entry, now, reason, boost);
  }

  override notify(vcpu: Schedulable, _now: Time, reason: string): Tickled {
    const entry = this.entry(vcpu);
    if (reason !== "io" || entry.parked || entry.ioTime >= this.#budget || entry.priority === IO) return 0;
    if (!this.unqueue(entry)) return 0;
    entry.priority = IO;
    return this.requeue(entry);
  }

  override block(vcpu: Schedulable, now: Time): void {
    const entry = this.entry(vcpu);
    super.block(vcpu, now);
    if (this.runsOn(entry) < 0) this.#settle(entry);
  }

  override schedule(cpu: number, now: Time): Choice {
    const last = this.current[cpu];
    if (last?.priority === IO) {
      last.ioTime += Math.max(0, now - last.debited);
      if (!last.runnable || now - last.started >= this.#slice || last.ioTime >= this.#budget) this.#settle(last);
    }
    return super.schedule(cpu, now);
  }

  protected override sliceOf(entry: CreditEntry, now: Time): Time {
    if (entry.priority !== IO) return super.sliceOf(entry, now);
    const left = Math.min(this.#slice - (now - entry.started), this.#budget - entry.ioTime);
    return Math.max(1, left);
  }

  protected override afterAccounting(): Tickled {
    for (const e of this.entries.values()) e.ioTime = 0;
    return 0;
  }

  /** Back to what its credits make it. */
  #settle(entry: CreditEntry): void {
    if (entry.priority === IO) entry.priority = entry.credit < 0 ? OVER : UNDER;
  }
}
