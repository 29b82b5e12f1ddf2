/** One task of an experiment, with the images that it needs read from `firmware/images`. */
import { fileURLToPath } from "node:url";
import { findExperiment, type Measured, type Task } from "../../experiments/index.ts";
import { readInput } from "../files.ts";

/** Throws InputError where an image cannot be read. */
export function runTask(task: Task): Measured {
  const experiment = findExperiment(task.experiment);
  const images = new Map<string, Uint8Array>();
  for (const name of experiment.images ?? []) {
    const path = fileURLToPath(new URL(`../../../firmware/images/${name}`, import.meta.url));
    images.set(name, readInput(task.experiment, path));
  }
  return experiment.run(task.settings, task.parameters, task.seed, images);
}
