/**
 * Recordings of what came into a machine from outside: bytes for its character devices, frames for its networks, and the buttons of its front
 * panel; each with the instant at which it reached the guest. Text, one JSON value a line:
 *
 *     {"armature recording": 1, "machine": {...}, "options": [...], "start": {"time": 0, "hash": "..."}}
 *     {"time": 2500000, "instructions": [81], "input": {"device": "serial0", "bytes": "ls\r"}}
 *     {"end": {"time": 9000000, "instructions": [4711], "hash": "..."}, "inputs": 1, "check": "..."}
 *
 * Times are ticks of 100 ps of simulated time. Inputs come between runs of the simulation, when all that happens up to `time` has
 * happened and nothing later has; `instructions`, the count of each CPU, marks the same point again and shows where a replay has gone another
 * way. Bytes are characters 0 to 255. The check is a hash of all text before the last line.
 */
import { InputError } from "../formats/index.ts";
import { StateHash, type Time } from "../sim/index.ts";
import type { SnapshotMachine } from "./snapshot.ts";

const FORMAT = 1;
const MARK = "armature recording";

/** One thing that came from outside. */
export type Input =
  | { readonly device: string; readonly bytes: string }
  | { readonly device: string; readonly signal: "break" }
  /** Frames that entered a network, in their order. */
  | { readonly network: string; readonly frames: readonly string[] }
  | { readonly panel: "reset" | "powerdown" };

export interface Point {
  readonly time: Time;
  /** Retired by each CPU. */
  readonly instructions: readonly number[];
}

export interface RecordedInput extends Point {
  readonly input: Input;
}

export interface RecordingHeader {
  readonly machine: SnapshotMachine;
  /** Command-line words that make such a machine. */
  readonly options: readonly string[];
  readonly start: { readonly time: Time; readonly hash: string };
}

export interface RecordingEnd extends Point {
  /** The state hash; null where the run ended in the middle of something. */
  readonly hash: string | null;
}

export interface Recording extends RecordingHeader {
  readonly inputs: readonly RecordedInput[];
  readonly end: RecordingEnd;
}

/** Makes the lines of a recording; `write` gets whole lines. */
export class RecordingWriter {
  readonly #write: (text: string) => void;
  readonly #check = new StateHash();
  #inputs = 0;

  constructor(header: RecordingHeader, write: (text: string) => void) {
    this.#write = write;
    this.#line({ [MARK]: FORMAT, ...header });
  }

  input(point: Point, input: Input): void {
    this.#inputs++;
    this.#line({ ...point, input });
  }

  end(end: RecordingEnd): void {
    this.#write(`${JSON.stringify({ end, inputs: this.#inputs, check: this.#check.digest() })}\n`);
  }

  #line(value: object): void {
    const text = `${JSON.stringify(value)}\n`;
    this.#check.text(text);
    this.#write(text);
  }
}

/** What a recording says of its machine. Throws InputError, naming `where`, for anything that is no recording. */
export function readRecordingHeader(text: string, where: string): RecordingHeader {
  const end = text.indexOf("\n");
  const first = parseLine(end < 0 ? text : text.slice(0, end));
  const format = first?.[MARK];
  if (first === null || format === undefined) throw new InputError(`${where}: not a recording of Armature's`);
  if (format !== FORMAT)
    throw new InputError(`${where}: recording format ${String(format)}; this version reads ${FORMAT}`);
  const { machine, options, start } = first;
  if (!isRecord(machine) || !Array.isArray(options) || !isRecord(start) || !isTime(start["time"])) {
    throw new InputError(`${where}: line 1: damaged`);
  }
  return first as unknown as RecordingHeader;
}

/** Reads a recording. Throws InputError, naming `where` and the line, for one that is damaged or cut off. */
export function readRecording(text: string, where: string): Recording {
  const header = readRecordingHeader(text, where);
  const lines = text.split("\n");
  const wrong = (line: number, what: string): never => {
    throw new InputError(`${where}: line ${line}: ${what}`);
  };
  if (lines.pop() !== "") wrong(lines.length + 1, "cut off");
  const last = parseLine(lines.at(-1) ?? "");
  const end = last?.["end"];
  if (last === null || !isPoint(end)) return wrong(lines.length, "the end of the recording is missing");
  const check = new StateHash();
  const inputs: RecordedInput[] = [];
  let before = header.start.time;
  lines.slice(0, -1).forEach((line, n) => {
    check.text(`${line}\n`);
    if (n === 0) return;
    const entry = parseLine(line);
    if (!isPoint(entry) || !isInput(entry["input"])) wrong(n + 1, "damaged");
    const input = entry as unknown as RecordedInput;
    if (input.time < before) wrong(n + 1, "damaged: its time is before the line above");
    before = input.time;
    inputs.push(input);
  });
  if (last["check"] !== check.digest() || last["inputs"] !== inputs.length) {
    wrong(lines.length, "damaged: the lines above do not match its check");
  }
  const { time, hash } = end as unknown as RecordingEnd;
  if (time < before || (hash !== null && typeof hash !== "string")) wrong(lines.length, "damaged");
  return { ...header, inputs, end: end as unknown as RecordingEnd };
}

/** Bytes as the text of a recording, and back. */
export function bytesToText(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += String.fromCharCode(b);
  return text;
}
export function textToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

type Fields = { readonly [name: string]: unknown };

function parseLine(line: string): Fields | null {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
function isTime(value: unknown): value is Time {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
function isPoint(value: unknown): value is Fields {
  if (!isRecord(value) || !isTime(value["time"])) return false;
  const { instructions } = value;
  return Array.isArray(instructions) && instructions.every(isTime);
}
function isInput(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { device, bytes, signal, panel, network, frames } = value;
  if (network !== undefined) return typeof network === "string" && Array.isArray(frames) && frames.every(isBytes);
  if (device === undefined) return panel === "reset" || panel === "powerdown";
  if (bytes === undefined) return typeof device === "string" && signal === "break";
  return typeof device === "string" && isBytes(bytes);
}
function isBytes(value: unknown): boolean {
  return typeof value === "string" && bytesToText(textToBytes(value)) === value;
}
