/** `armature experiment list` and `armature experiment run ID`. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SingleBar } from "cli-progress";
import type { Command } from "commander";
import {
  conclude,
  EXPERIMENTS,
  findExperiment,
  ParameterError,
  plan,
  toCsv,
  toJson,
  toTable,
} from "../../experiments/index.ts";
import { InputError } from "../../formats/index.ts";
import { replaceOutput, systemReason } from "../files.ts";
import { coreCount, runTasks } from "./pool.ts";

export interface RunOptions {
  readonly set: readonly string[];
  readonly sweep: readonly string[];
  readonly seed?: string;
  readonly out?: string;
  readonly jobs?: string;
  /** Show a bar on standard error. */
  readonly progress?: boolean;
}

/** Adds the commands to the program. */
export function addExperimentCommands(program: Command): void {
  const experiment = program.command("experiment").description("rerun tables of published studies on the simulation");
  experiment
    .command("list")
    .description("list the experiments, or one's parameters and points")
    .argument("[id]")
    .action((id: string | undefined) => {
      process.stdout.write(listExperiments(id));
    });
  const collect = (word: string, words: readonly string[]): string[] => [...words, word];
  experiment
    .command("run")
    .description("run an experiment and print what the paper says beside what the simulation gave")
    .argument("<id>", "as `experiment list` names it")
    .option("--set <name=value>", "give a parameter another value; may be repeated", collect, [])
    .option("--sweep <name=a,b,c>", "run with each of the values; may be repeated", collect, [])
    .option("--seed <n>", "of all random numbers (1)")
    .option("--out <dir>", "write ID.json, ID.csv and ID.html there")
    .option("--jobs <n>", "runs at the same time (as many as there are cores)")
    .action(async (id: string, options: RunOptions) => {
      const progress = process.stderr.isTTY === true;
      process.stdout.write(await runExperiment(id, { ...options, progress }));
    });
}

/** What `experiment list` prints. Throws InputError for an unknown id. */
export function listExperiments(id?: string): string {
  if (id === undefined) return `${EXPERIMENTS.map((e) => `${e.id.padEnd(8)}${e.title}`).join("\n")}\n`;
  const e = asInput(() => findExperiment(id));
  const lines = [`${e.id}  ${e.title}`, "", e.question, "", "Parameters:"];
  for (const p of e.parameters) {
    const fitted = p.fitted === undefined ? "" : ` (fitted to ${p.fitted})`;
    lines.push(`  ${`${p.name}=${String(p.value)}`.padEnd(18)} ${p.unit.padEnd(4)} ${p.source}${fitted}`);
  }
  lines.push("", "Points:");
  for (const p of e.points) lines.push(`  ${p.id.padEnd(14)} ${p.class}  ${p.title}: ${p.paper} [${p.standing}]`);
  return `${lines.join("\n")}\n`;
}

/** Runs, writes the files asked for, and returns the table. Throws InputError for what the user got wrong. */
export async function runExperiment(id: string, options: RunOptions): Promise<string> {
  const study = asInput(() => {
    const { set, sweep } = options;
    const seed = options.seed === undefined ? {} : { seed: wholeNumber("--seed", options.seed, 0) };
    return plan(findExperiment(id), { set, sweep, ...seed });
  });
  const jobs = options.jobs === undefined ? coreCount() : wholeNumber("--jobs", options.jobs, 1);
  if (options.out !== undefined) makeFolder(options.out);
  const bar =
    options.progress === true && study.tasks.length > 1
      ? new SingleBar({
          format: `${study.experiment.id} {bar} {value}/{total} runs, {eta_formatted} left`,
          stream: process.stderr,
          clearOnComplete: true,
          hideCursor: true,
        })
      : null;
  bar?.start(study.tasks.length, 0);
  const results = await runTasks(study.tasks, jobs, () => bar?.increment()).finally(() => bar?.stop());
  const report = conclude(study, results);
  if (options.out !== undefined) {
    // The plots' library is loaded only where a page is asked for.
    const { toPage } = await import("./page.ts");
    const command = ["armature experiment run", study.experiment.id, ...study.words].join(" ");
    const path = (suffix: string): string => join(options.out as string, `${study.experiment.id}.${suffix}`);
    replaceOutput("--out", path("json"), toJson(report));
    replaceOutput("--out", path("csv"), toCsv(report));
    replaceOutput("--out", path("html"), toPage(report, command));
  }
  return toTable(report);
}

/** The folder and those above it; one step at a time, as Node's recursive mkdir never returns on /proc. */
function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.push(at);
  try {
    for (const folder of missing.reverse()) mkdirSync(folder);
  } catch (error) {
    throw new InputError(`--out ${path}: cannot be made: ${systemReason(error)}`);
  }
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= 0xffff_ffff))
    throw new InputError(`${option} ${text}: expected a whole number from ${least} up`);
  return value;
}

function asInput<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof ParameterError ? new InputError(error.message) : error;
  }
}
