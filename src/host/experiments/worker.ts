/** One thread of an experiment: runs the tasks it is sent, one after the other, and answers with what they measured. */
import { parentPort } from "node:worker_threads";
import type { Task } from "../../experiments/index.ts";
import { runTask } from "./task.ts";

parentPort?.on("message", (task: Task) => {
  try {
    const measured = runTask(task);
    parentPort?.postMessage({ measured });
  } catch (error) {
    parentPort?.postMessage({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
