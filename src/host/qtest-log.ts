/** The log of a qtest session, in QEMU's form: `[R +time] command`, `[S +time] reply`. */
import { closeSync, writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { openOutput } from "./chardev/device.ts";

export interface QtestLog {
  event(name: "OPENED" | "CLOSED"): void;
  received(text: string): void;
  sent(text: string): void;
}

/** `path` undefined: standard error; "none": no log. */
export function openQtestLog(path: string | undefined): QtestLog | null {
  if (path === "none") return null;
  const fd = path === undefined ? 2 : openOutput(path, false);
  const started = performance.now();
  let partial = "";
  const stamp = () => ((performance.now() - started) / 1000).toFixed(6);
  const write = (text: string) => {
    try {
      writeSync(fd, text);
    } catch {
      // A log that nobody can read is no reason to stop.
    }
  };
  return {
    event: (name) => {
      write(`[I ${name === "OPENED" ? "" : "+"}${stamp()}] ${name}\n`);
      if (name === "CLOSED" && fd !== 2) closeSync(fd);
    },
    received: (text) => {
      const lines = (partial + text).split("\n");
      partial = lines.pop() as string;
      for (const line of lines) write(`[R +${stamp()}] ${line}\n`);
    },
    sent: (text) => write(`[S +${stamp()}] ${text}`),
  };
}
