/** Snapshot files of a run: saved at a point, restored in a fresh process; damaged ones, and those of other machines, refused. */
import * as zlib from "node:zlib";
import { InputError } from "../formats/index.ts";
import {
  type Codec,
  decodeSnapshot,
  encodeSnapshot,
  machineDifference,
  PLAIN,
  type Snapshot,
  type SnapshotMachine,
} from "../observe/index.ts";
import { NEVER, SEC, SnapshotError, type Time } from "../sim/index.ts";
import { readInput, replaceOutput } from "./files.ts";
import type { HostMachine } from "./machine.ts";
import type { RunOptions, SavePoint } from "./options/run-options.ts";
import type { Runner, Stop } from "./runner.ts";

/** The fastest level: RAM of a booted Linux packs to a third with it, at a gigabyte in a second or two. */
export const ZSTD: Codec = {
  name: "zstd",
  compress: (data) => zlib.zstdCompressSync(data, { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } }),
  decompress: (data, bytes) => {
    const out = zlib.zstdDecompressSync(data, { maxOutputLength: bytes, chunkSize: Math.max(bytes, 64) });
    if (out.length !== bytes) throw new Error(`${out.length} bytes instead of ${bytes}`);
    return out;
  },
};

/** Node has zstd from version 22.15 on. */
function codecs(): readonly Codec[] {
  return typeof zlib.zstdCompressSync === "function" ? [ZSTD, PLAIN] : [PLAIN];
}

/** Reads the file of `--snapshot`. */
export function readSnapshot(path: string): Snapshot {
  return decodeSnapshot(readInput("--snapshot", path), path, codecs());
}

/** Throws InputError where a file's machine is not this one. */
export function requireSameMachine(path: string, theirs: SnapshotMachine, machine: HostMachine): void {
  const difference = machineDifference(theirs, machine.identity());
  if (difference !== null) throw new InputError(`${path}: it is of another machine: ${difference}`);
}

/** The machine goes on from the snapshot. Throws InputError where it does not fit. */
export function restoreSnapshot(path: string, snapshot: Snapshot, machine: HostMachine): void {
  requireSameMachine(path, snapshot.machine, machine);
  try {
    machine.simulation.load(snapshot.state);
  } catch (error) {
    // A state that is no state at all stumbles anywhere.
    if (!(error instanceof SnapshotError || error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new InputError(`${path}: it does not fit this machine: ${error.message}`);
  }
}

/** Saves the machine that `runner` runs. Throws InputError where the file cannot be written. */
export function saveSnapshot(path: string, runner: Runner, run: RunOptions): void {
  const { machine } = runner;
  const snapshot: Snapshot = {
    machine: machine.identity(),
    options: run.machineWords,
    state: machine.simulation.save(),
    input: runner.inputs.save(),
    midway: !runner.settled,
  };
  replaceOutput("--save-snapshot", path, encodeSnapshot(snapshot, codecs()[0]));
}

/** Waits for the point of `--save-at` and saves there, once. */
export class SaveStop implements Stop {
  readonly #time: Time;
  readonly #text: string | null;
  readonly #save: () => void;
  #seen = "";
  #found = false;
  done = false;

  constructor(point: SavePoint, save: () => void) {
    this.#time = "time" in point ? Math.round(point.time * SEC) : NEVER;
    this.#text = "text" in point ? point.text : null;
    this.#save = save;
  }

  /** The guest has printed `text`. */
  output(text: string): void {
    if (this.#text === null || this.#found) return;
    this.#seen += text;
    this.#found = this.#seen.includes(this.#text);
    this.#seen = this.#seen.slice(-this.#text.length);
  }

  get next(): Time {
    return this.done ? NEVER : this.#time;
  }
  reached(now: Time): void {
    if (this.done || (now < this.#time && !this.#found)) return;
    this.done = true;
    this.#save();
  }
}
