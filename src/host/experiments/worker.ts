/** One thread of an experiment: runs the tasks it is sent, one after the other, and answers with what they measured. */
import { parentPort } from "node:worker_threads";
import { findExperiment, type Task } from "../../experiments/index.ts";

parentPort?.on("message", (task: Task) => {
  try {
    const measured = findExperiment(task.experiment).run(task.settings, task.parameters, task.seed);
    parentPort?.postMessage({ measured });
  } catch (error) {
    parentPort?.postMessage({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
