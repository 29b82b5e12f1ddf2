/** A study: one experiment with its parameters set and swept, as tasks to run, and from their results the report's data. */
import {
  type Experiment,
  type Measured,
  type Outcome,
  ParameterError,
  type Plot,
  type Point,
  parameterOf,
  parseValue,
  type Value,
  type Values,
} from "./experiment.ts";

export interface StudyOptions {
  /** name=value */
  readonly set?: readonly string[];
  /** name=a,b,c */
  readonly sweep?: readonly string[];
  readonly seed?: number;
}

/** One set of parameters. */
export interface Variant {
  /** The swept parameters only. */
  readonly swept: Values;
  readonly parameters: Values;
}

/** What a worker is told. */
export interface Task {
  readonly experiment: string;
  readonly variant: number;
  readonly configuration: string;
  readonly settings: Values;
  readonly parameters: Values;
  readonly seed: number;
}

export interface Study {
  readonly experiment: Experiment;
  readonly seed: number;
  readonly variants: readonly Variant[];
  readonly tasks: readonly Task[];
  /** Parameters given another value than the experiment's own. */
  readonly changed: readonly string[];
  /** The options as words of a command line. */
  readonly words: readonly string[];
}

export type Verdict = "reproduced" | "not reproduced" | "fitted";

export interface JudgedOutcome extends Outcome {
  readonly about: Point;
  readonly verdict: Verdict;
  readonly fittedBy: readonly string[];
}

export interface VariantReport {
  readonly swept: Values;
  readonly parameters: Values;
  readonly rows: readonly { readonly configuration: string; readonly settings: Values; readonly result: Measured }[];
  readonly outcomes: readonly JudgedOutcome[];
  readonly plots: readonly Plot[];
}

export interface StudyReport {
  readonly study: Study;
  readonly variants: readonly VariantReport[];
  /** Plots over the swept parameter, where one was swept. */
  readonly plots: readonly Plot[];
}

/** Variants a study may have. */
const VARIANT_LIMIT = 10_000;

/** Lays out a study. Throws ParameterError for what cannot be. */
export function plan(experiment: Experiment, options: StudyOptions = {}): Study {
  const seed = options.seed ?? 1;
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw new ParameterError(`seed ${seed}: expected a whole number from 0 to 4294967295`);
  }
  const base: Record<string, Value> = {};
  for (const p of experiment.parameters) base[p.name] = p.value;
  const changed = new Set<string>();
  for (const word of options.set ?? []) {
    const [name, text] = split(word, "--set", "name=value");
    base[name] = parseValue(parameterOf(experiment, name), text);
    changed.add(name);
  }
  let variants: Variant[] = [{ swept: {}, parameters: base }];
  for (const word of options.sweep ?? []) {
    const [name, list] = split(word, "--sweep", "name=a,b,c");
    if (changed.has(name)) throw new ParameterError(`${name} is given twice`);
    changed.add(name);
    const parameter = parameterOf(experiment, name);
    const values = list.split(",").map((text) => parseValue(parameter, text));
    if (new Set(values).size !== values.length) throw new ParameterError(`--sweep ${word}: a value is given twice`);
    variants = variants.flatMap((v) =>
      values.map((value) => ({
        swept: { ...v.swept, [name]: value },
        parameters: { ...v.parameters, [name]: value },
      })),
    );
    if (variants.length > VARIANT_LIMIT) throw new ParameterError(`more than ${VARIANT_LIMIT} sets of parameters`);
  }
  const tasks = variants.flatMap(({ parameters }, variant) =>
    experiment.configurations(parameters).map(({ name, settings }) => ({
      experiment: experiment.id,
      variant,
      configuration: name,
      settings,
      parameters,
      seed,
    })),
  );
  const words = [
    ...(options.set ?? []).flatMap((w) => ["--set", w]),
    ...(options.sweep ?? []).flatMap((w) => ["--sweep", w]),
    ...(options.seed === undefined ? [] : ["--seed", String(seed)]),
  ];
  return { experiment, seed, variants, tasks, changed: [...changed], words };
}

/** The report's data from the tasks' results, in the tasks' order. */
export function conclude(study: Study, results: readonly Measured[]): StudyReport {
  const { experiment, tasks } = study;
  if (results.length !== tasks.length) throw new TypeError(`${results.length} results of ${tasks.length} tasks`);
  const variants = study.variants.map(({ swept, parameters }, variant) => {
    const rows = tasks.flatMap((task, n) => {
      const result = results[n];
      if (task.variant !== variant || result === undefined) return [];
      return [{ configuration: task.configuration, settings: task.settings, result }];
    });
    const byName = new Map(rows.map((row) => [row.configuration, row.result]));
    const outcomes = experiment.outcomes(byName, parameters).map((outcome) => judge(study, outcome));
    return { swept, parameters, rows, outcomes, plots: experiment.plots(byName, parameters) };
  });
  return { study, variants, plots: sweepPlots(study, variants) };
}

function judge({ experiment, changed }: Study, outcome: Outcome): JudgedOutcome {
  const about = experiment.points.find((p) => p.id === outcome.point);
  if (about === undefined) throw new TypeError(`${experiment.id} has no point "${outcome.point}"`);
  // A parameter that was set by hand is no longer the fitted one.
  const fittedBy = experiment.parameters
    .filter((p) => p.fitted === about.id && !changed.includes(p.name))
    .map((p) => p.name);
  const verdict = fittedBy.length > 0 ? "fitted" : outcome.holds ? "reproduced" : "not reproduced";
  return { ...outcome, about, verdict, fittedBy };
}

/** Each measure over the first swept number, a line a configuration (and a value of the other swept parameters). */
function sweepPlots({ experiment, variants }: Study, reports: readonly VariantReport[]): Plot[] {
  const names = Object.keys(variants[0]?.swept ?? {});
  const [x] = names;
  if (x === undefined || typeof variants[0]?.swept[x] !== "number") return [];
  const unit = experiment.parameters.find((p) => p.name === x)?.unit ?? "";
  return experiment.measures.map((measure) => {
    const lines = new Map<string, [number, number][]>();
    for (const report of reports) {
      const others = names.slice(1).map((n) => `${n}=${String(report.swept[n])}`);
      const left = experiment.configurations(report.parameters).filter((c) => c.auxiliary === true);
      for (const { configuration, result } of report.rows) {
        if (left.some((c) => c.name === configuration)) continue;
        const y = result.measures[measure.name];
        if (y === undefined) continue;
        const name = [configuration, ...others].join(", ");
        const line = lines.get(name) ?? [];
        line.push([report.swept[x] as number, y]);
        lines.set(name, line);
      }
    }
    return {
      title: `${measure.title} over ${x}`,
      kind: "line" as const,
      x: unit === "" ? x : `${x} (${unit})`,
      y: measure.unit === "" ? measure.title : `${measure.title} (${measure.unit})`,
      series: [...lines].map(([name, data]) => ({ name, data: data.sort((a, b) => a[0] - b[0]) })),
    };
  });
}

function split(word: string, option: string, shape: string): [string, string] {
  const at = word.indexOf("=");
  if (at <= 0) throw new ParameterError(`${option} ${word}: expected ${shape}`);
  return [word.slice(0, at), word.slice(at + 1)];
}
