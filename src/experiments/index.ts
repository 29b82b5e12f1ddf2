import { adjustableCredit } from "./adjustable-credit.ts";
import { toeModes } from "./e2-1-toe-modes.ts";
import { toeShares } from "./e2-2-toe-shares.ts";
import { toeDescheduled } from "./e2-3-toe-descheduled.ts";
import { hypervisorOverhead } from "./e2-4-hypervisor-overhead.ts";
import { drrFairness } from "./e7-5-drr.ts";
import { type Experiment, ParameterError } from "./experiment.ts";
import { rateLimit } from "./rate-limit.ts";
import { schedulerMatrix } from "./scheduler-matrix.ts";
import { tickTheft } from "./tick-theft.ts";

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
