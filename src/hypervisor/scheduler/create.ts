/** The policies by the names that configurations use. */
import { AdjustableCreditScheduler } from "./adjustable-credit.ts";
import { BvtScheduler } from "./bvt.ts";
import { CreditScheduler } from "./credit.ts";
import type { SchedulerOptions } from "./policy.ts";
import { PreemptiveIoScheduler } from "./preemptive-io.ts";
import { RoundRobinScheduler } from "./round-robin.ts";
import type { Scheduler } from "./scheduler.ts";
import { SedfScheduler } from "./sedf.ts";

type Maker = (cpus: number, options: SchedulerOptions) => Scheduler;

const MAKERS: ReadonlyMap<string, Maker> = new Map<string, Maker>([
  ["round-robin", (cpus, options) => new RoundRobinScheduler(cpus, options)],
  ["credit", (cpus, options) => new CreditScheduler(cpus, options)],
  ["credit-sorted", (cpus, options) => new CreditScheduler(cpus, { ...options, sorted: true })],
  ["adjustable-credit", (cpus, options) => new AdjustableCreditScheduler(cpus, options)],
  ["preemptive-io", (cpus, options) => new PreemptiveIoScheduler(cpus, options)],
  ["sedf", (cpus, options) => new SedfScheduler(cpus, options)],
  ["bvt", (cpus, options) => new BvtScheduler(cpus, options)],
]);

export const SCHEDULER_NAMES: readonly string[] = [...MAKERS.keys()];

/** A policy for `cpus` physical CPUs. Throws RangeError for an unknown name or option, with the known ones. */
export function createScheduler(name: string, cpus: number, options: SchedulerOptions = {}): Scheduler {
  const make = MAKERS.get(name);
  if (make === undefined) throw new RangeError(`scheduler "${name}": expected one of ${SCHEDULER_NAMES.join(", ")}`);
  return make(cpus, options);
}
