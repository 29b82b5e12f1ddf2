/**
 * What an experiment is: data and a run function. It reruns rows of a published study; a report sets what the paper says
 * beside what the simulation gave, and names where each parameter comes from.
 */

export type Value = number | string | boolean;
export type Values = { readonly [name: string]: Value };

/** How well what is taken from a paper is known. Only the first three may be held against a number. */
export type Standing =
  | "stated" // by the abstract of the study
  | "found" // in published material, named in the source
  | "computed" // follows from what is published, by arithmetic
  | "recalled"; // from memory, unverified: orders and defaults only

/** N: a number to hit. R: a ratio or an order. X: an exact mechanism. */
export type OutcomeClass = "N" | "R" | "X";

export interface Parameter {
  readonly name: string;
  readonly value: Value;
  /** "" where there is none. */
  readonly unit: string;
  /** Where the value comes from: a publication, arithmetic, "assumed: why". */
  readonly source: string;
  /** The point this value was fitted to, which therefore does not count as reproduced. */
  readonly fitted?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly choices?: readonly string[];
}

/** A row of the paper. */
export interface Point {
  readonly id: string;
  readonly title: string;
  readonly class: OutcomeClass;
  readonly standing: Standing;
  /** What the paper says, in our words. */
  readonly paper: string;
  readonly source: string;
}

/** One run of the experiment; the runs of a set of parameters are independent of each other. */
export interface Configuration {
  /** Unique among the configurations. */
  readonly name: string;
  readonly settings: Values;
  /** A point of a curve of the experiment's own plots: left out of plots over a swept parameter. */
  readonly auxiliary?: boolean;
}

export interface Measure {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  /** Digits behind the point in tables. */
  readonly digits: number;
}

export interface Curve {
  readonly x: readonly number[];
  readonly y: readonly number[];
}

export interface Measured {
  readonly measures: { readonly [name: string]: number };
  /** Courses over time and the like, for plots. */
  readonly curves?: { readonly [name: string]: Curve };
}

export interface Outcome {
  readonly point: string;
  /** What the simulation gave, in words and numbers. */
  readonly simulated: string;
  readonly holds: boolean;
  /** Why a simulation that differs does, or what the comparison leaves out. */
  readonly remark?: string;
}

export interface Plot {
  readonly title: string;
  readonly kind: "line" | "bar";
  readonly x: string;
  readonly y: string;
  /** Bars: the names along x. */
  readonly categories?: readonly string[];
  readonly series: readonly PlotSeries[];
  /** Horizontal lines: what the paper says. */
  readonly marks?: readonly { readonly name: string; readonly y: number }[];
  readonly yMaximum?: number;
}

export interface PlotSeries {
  readonly name: string;
  /** [x, y], or with categories y alone at its place. */
  readonly data: readonly (readonly [number, number])[] | readonly number[];
}

/** Images of guests by file name: what `firmware/images` holds, brought by whoever runs the experiment. */
export type Images = ReadonlyMap<string, Uint8Array>;

/** The runs of one set of parameters, by configuration name. */
export type Results = ReadonlyMap<string, Measured>;

export interface Experiment {
  readonly id: string;
  readonly title: string;
  /** What is asked, in a few sentences. */
  readonly question: string;
  /** Where the points are from. */
  readonly publications: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly points: readonly Point[];
  readonly measures: readonly Measure[];
  /** Files of `firmware/images` that `run` needs. */
  readonly images?: readonly string[];
  configurations(parameters: Values): readonly Configuration[];
  /** Pure: the same arguments give the same numbers, in any thread. */
  run(settings: Values, parameters: Values, seed: number, images?: Images): Measured;
  outcomes(results: Results, parameters: Values): readonly Outcome[];
  plots(results: Results, parameters: Values): readonly Plot[];
}

/** A wrong parameter, with the choices there are. */
export class ParameterError extends Error {
  override readonly name = "ParameterError";
}

/** A parameter's value from text. Throws ParameterError where it is not of the parameter's kind or out of its range. */
export function parseValue(parameter: Parameter, text: string): Value {
  const { name, value, unit } = parameter;
  const fail = (expected: string): never => {
    throw new ParameterError(`${name}=${text}: expected ${expected}`);
  };
  if (typeof value === "boolean") return text === "true" || (text === "false" ? false : fail("true or false"));
  if (typeof value === "string") {
    if (parameter.choices && !parameter.choices.includes(text)) fail(`one of ${parameter.choices.join(", ")}`);
    return text;
  }
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = parameter;
  const number = text.trim() === "" ? Number.NaN : Number(text);
  if (!(number >= minimum && number <= maximum)) {
    const range = maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum} up` : `from ${minimum} to ${maximum}`;
    fail(`a number ${range}${unit === "" ? "" : ` (${unit})`}`);
  }
  return number;
}

/** The parameter named. Throws ParameterError that names the experiment's. */
export function parameterOf(experiment: Experiment, name: string): Parameter {
  const parameter = experiment.parameters.find((p) => p.name === name);
  if (parameter === undefined) {
    const known = experiment.parameters.map((p) => p.name).join(", ");
    throw new ParameterError(`${experiment.id} has no parameter "${name}": expected one of ${known}`);
  }
  return parameter;
}

/** A number among values; a defect of the experiment where it is not one. */
export function num(values: Values, name: string): number {
  const value = values[name];
  if (typeof value !== "number") throw new TypeError(`${name}: ${String(value)} is no number`);
  return value;
}

/** A result's measure; a defect of the experiment where there is none. */
export function measured(results: Results, configuration: string, measure: string): number {
  const value = results.get(configuration)?.measures[measure];
  if (value === undefined) throw new TypeError(`no ${measure} of ${configuration}`);
  return value;
}
