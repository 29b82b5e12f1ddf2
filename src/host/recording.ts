/** `--record` and `--replay`: the file that grows while the machine runs, and the outside that comes from such a file. */
import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { InputError } from "../formats/index.ts";
import {
  type Input,
  type Point,
  type RecordedInput,
  type Recording,
  type RecordingEnd,
  type RecordingHeader,
  RecordingWriter,
  readRecording,
} from "../observe/index.ts";
import { NEVER, TICKS_PER_SECOND, type Time } from "../sim/index.ts";
import { readInput, systemReason } from "./files.ts";
import type { Replay } from "./inputs.ts";

/** Writes FILE.part, which becomes FILE when the recording is complete. */
export class RecordingFile {
  readonly #path: string;
  readonly #writer: RecordingWriter;
  #file: number | null;
  #lines: string[] = [];

  /** Throws InputError where the file cannot be written. */
  constructor(path: string, header: RecordingHeader) {
    this.#path = path;
    try {
      this.#file = openSync(`${path}.part`, "w");
    } catch (error) {
      throw new InputError(`--record ${path}: cannot be written: ${systemReason(error)}`);
    }
    this.#writer = new RecordingWriter(header, (text) => this.#lines.push(text));
  }

  input(point: Point, input: Input): void {
    this.#writer.input(point, input);
  }

  /** Writes what is buffered. */
  flush(): void {
    if (this.#file === null || this.#lines.length === 0) return;
    const text = this.#lines.join("");
    this.#lines = [];
    try {
      writeSync(this.#file, text);
    } catch (error) {
      throw new InputError(`--record ${this.#path}: cannot be written: ${systemReason(error)}`);
    }
  }

  finish(end: RecordingEnd): void {
    this.#writer.end(end);
    this.flush();
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    renameSync(`${this.#path}.part`, this.#path);
  }

  /** The run did not come to an end: there is no recording. */
  abandon(): void {
    if (this.#file === null) return;
    closeSync(this.#file);
    this.#file = null;
    rmSync(`${this.#path}.part`, { force: true });
  }
}

export function readRecordingFile(path: string): Recording {
  return readRecording(Buffer.from(readInput("--replay", path)).toString("utf8"), path);
}

/** A recording as the outside of a run. */
export class Replayer implements Replay {
  readonly #recording: Recording;
  readonly #path: string;
  #at = 0;
  /** The run has gone another way, and that has been told. */
  diverged = false;

  constructor(path: string, recording: Recording) {
    this.#path = path;
    this.#recording = recording;
  }

  get next(): Time {
    return this.#recording.inputs[this.#at]?.time ?? this.#recording.end.time;
  }

  take(now: Time): readonly RecordedInput[] {
    const { inputs } = this.#recording;
    const from = this.#at;
    while ((inputs[this.#at]?.time ?? NEVER) <= now) this.#at++;
    return inputs.slice(from, this.#at);
  }

  check(point: Point): { readonly message: string } | "end" | null {
    const expected = this.#recording.inputs[this.#at];
    if (expected === undefined) return "end";
    const difference = this.#compare(point, expected);
    if (difference !== null) this.diverged = true;
    return difference;
  }

  #compare(point: Point, expected: Point): { readonly message: string } | null {
    const cpu = expected.instructions.findIndex((n, i) => n !== point.instructions[i]);
    if (cpu < 0 && point.time === expected.time) return null;
    const where =
      cpu < 0
        ? `the run is at ${seconds(point.time)}, the recording at ${seconds(expected.time)}`
        : `at ${seconds(point.time)} CPU ${cpu} has executed ${point.instructions[cpu] ?? 0} instructions, in the recording ${expected.instructions[cpu]}`;
    return { message: `${this.#path}: the replay has gone another way: ${where}` };
  }

  /** At the end of the run, by power-off or not: what to tell, and whether it is a failure. `hash` is asked for only where it is compared. */
  outcome(
    point: Point,
    poweredOff: boolean,
    hash: () => string,
  ): { readonly message: string; readonly failed: boolean } {
    const { inputs, end } = this.#recording;
    const count = `${inputs.length} ${inputs.length === 1 ? "input" : "inputs"}`;
    if (point.time < end.time) {
      const message = `${this.#path}: the replay ends at ${seconds(point.time)}, the recording goes on to ${seconds(end.time)}`;
      return { message, failed: poweredOff };
    }
    if (end.hash === null) {
      return { message: `${this.#path}: ${count} replayed; the recording has no state to compare`, failed: false };
    }
    const other = this.#compare(point, end);
    if (other !== null) return { ...other, failed: true };
    const found = hash();
    if (found !== end.hash) {
      const message = `${this.#path}: the replay ends in another state: ${found}, in the recording ${end.hash}`;
      return { message, failed: true };
    }
    return { message: `${this.#path}: ${count} replayed, the state is that of the recording: ${found}`, failed: false };
  }
}

function seconds(time: Time): string {
  return `${time / TICKS_PER_SECOND} s`;
}
