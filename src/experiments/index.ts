import { toeModes } from "./e2-1-toe-modes.ts";
import { toeShares } from "./e2-2-toe-shares.ts";
import { toeDescheduled } from "./e2-3-toe-descheduled.ts";
import { hypervisorOverhead } from "./e2-4-hypervisor-overhead.ts";
import { schedulerMatrix } from "./e7-1-scheduler-matrix.ts";
import { tickTheft } from "./e7-2-tick-theft.ts";
import { rateLimit } from "./e7-3-rate-limit.ts";
import { adjustableCredit } from "./e7-4-adjustable-credit.ts";
import { drrFairness } from "./e7-5-drr.ts";
import { type Experiment, ParameterError } from "./experiment.ts";

export * from "./experiment.ts";
export * from "./study.ts";
export * from "./text.ts";

/** All experiments, by id. */
export const EXPERIMENTS: readonly Experiment[] = [
  toeModes,
  toeShares,
  toeDescheduled,
  hypervisorOverhead,
  schedulerMatrix,
  tickTheft,
  rateLimit,
  adjustableCredit,
  drrFairness,
];

/** The experiment named; upper and lower case are the same. Throws ParameterError that names those there are. */
export function findExperiment(id: string): Experiment {
  const found = EXPERIMENTS.find((e) => e.id.toLowerCase() === id.toLowerCase());
  if (found === undefined) {
    throw new ParameterError(`experiment "${id}": expected one of ${EXPERIMENTS.map((e) => e.id).join(", ")}`);
  }
  return found;
}
