/** Runs an experiment's tasks in threads, on as many cores as there are; the results stand in the tasks' order. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Measured, Task } from "../../experiments/index.ts";
import { runTask } from "./task.ts";

interface Answer {
  readonly measured?: Measured;
  readonly failed?: string;
}

export function coreCount(): number {
  return availableParallelism();
}

/** @param jobs threads at most; with 1 the tasks run here. `done` is told of each task that has ended. */
export async function runTasks(tasks: readonly Task[], jobs: number, done: () => void = () => {}): Promise<Measured[]> {
  const results = new Array<Measured>(tasks.length);
  const count = Math.min(jobs, tasks.length);
  if (count <= 1) {
    for (const [n, task] of tasks.entries()) {
      results[n] = runTask(task);
      done();
    }
    return results;
  }
  const threads = Array.from({ length: count }, () => new Thread());
  let next = 0;
  try {
    await Promise.all(
      threads.map(async (thread) => {
        while (next < tasks.length) {
          const n = next++;
          results[n] = await thread.run(tasks[n] as Task);
          done();
        }
      }),
    );
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
  }
  return results;
}

/** A worker, and the task it is at. */
class Thread {
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url));
  #settle: ((answer: Answer) => void) | null = null;
  /** Why it has ended. */
  #dead: string | null = null;

  constructor() {
    this.#worker.on("message", (answer: Answer) => this.#answer(answer));
    this.#worker.on("error", (error) => this.#ended(error instanceof Error ? error.message : String(error)));
    this.#worker.on("exit", (code) => this.#ended(`the worker ended with code ${code}`));
  }

  async run(task: Task): Promise<Measured> {
    const { measured, failed } = await new Promise<Answer>((resolve) => {
      this.#settle = resolve;
      if (this.#dead !== null) this.#answer({ failed: this.#dead });
      this.#worker.postMessage(task);
    });
    if (measured === undefined) throw new Error(`${task.experiment}, ${task.configuration}: ${failed ?? "no answer"}`);
    return measured;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #ended(why: string): void {
    this.#dead ??= why;
    this.#answer({ failed: why });
  }

  #answer(answer: Answer): void {
    this.#settle?.(answer);
    this.#settle = null;
  }
}
