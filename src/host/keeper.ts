/** What of a run is kept: snapshots saved and restored, the recording made or repeated. */
import { InputError } from "../formats/index.ts";
import type { Input, Point, Recording, Snapshot } from "../observe/index.ts";
import type { Replay } from "./inputs.ts";
import type { HostMachine } from "./machine.ts";
import type { RunOptions } from "./options/run-options.ts";
import { RecordingFile, Replayer, readRecordingFile } from "./recording.ts";
import { EXIT_FAILED, type Outcome, type Runner } from "./runner.ts";
import { readSnapshot, requireSameMachine, restoreSnapshot, SaveStop, saveSnapshot } from "./snapshots.ts";

/** The files that a run begins with. */
export interface Beginning {
  readonly snapshot: Snapshot | null;
  readonly recording: Recording | null;
}

/** Reads them. Throws InputError where one is damaged or of another format. */
export function readBeginning(run: RunOptions): Beginning {
  return {
    snapshot: run.snapshot === undefined ? null : readSnapshot(run.snapshot),
    recording: run.replay === undefined ? null : readRecordingFile(run.replay),
  };
}

export class Keeper {
  readonly #machine: HostMachine;
  readonly #run: RunOptions;
  readonly #snapshot: Snapshot | null;
  readonly #stop: SaveStop | null;
  readonly #replayer: Replayer | null;
  #runner: Runner | null = null;
  #file: RecordingFile | null = null;
  /** For the runner. */
  readonly journal: ((point: Point, input: Input) => void) | null;

  /** Restores the machine. Throws InputError where a file is not of this machine. */
  constructor(machine: HostMachine, run: RunOptions, { snapshot, recording }: Beginning) {
    this.#machine = machine;
    this.#run = run;
    this.#snapshot = snapshot;
    if (snapshot !== null) restoreSnapshot(run.snapshot ?? "snapshot", snapshot, machine);
    this.#replayer = recording === null ? null : this.#replay(run.replay ?? "recording", recording);
    this.#stop = run.saveAt === undefined ? null : new SaveStop(run.saveAt, () => this.#saveToFile());
    this.journal = run.record === undefined ? null : (point, input) => this.#file?.input(point, input);
  }

  #replay(path: string, recording: Recording): Replayer {
    const { simulation } = this.#machine;
    requireSameMachine(path, recording.machine, this.#machine);
    const { start } = recording;
    if (start.time !== simulation.now || start.hash !== simulation.stateHash()) {
      const hint = start.time > 0 ? ": expected the --snapshot that it was made from" : "";
      throw new InputError(`${path}: it starts in another state, at ${start.time} ticks${hint}`);
    }
    return new Replayer(path, recording);
  }

  get replay(): Replay | null {
    return this.#replayer;
  }
  get midway(): boolean {
    return this.#snapshot?.midway === true;
  }
  /** What a debugger writes could not be repeated. */
  get frozen(): boolean {
    return this.journal !== null || this.#replayer !== null;
  }

  /** The runner is there; a recording begins. Throws InputError where its file cannot be written. */
  begin(runner: Runner): void {
    this.#runner = runner;
    runner.inputs.load(this.#snapshot?.input ?? {});
    if (this.#stop !== null) runner.stops.push(this.#stop);
    const { record, machineWords } = this.#run;
    if (record === undefined) return;
    const { simulation } = this.#machine;
    this.#file = new RecordingFile(record, {
      machine: this.#machine.identity(),
      options: machineWords,
      start: { time: simulation.now, hash: simulation.stateHash() },
    });
  }

  /** The guest has printed `text` on the serial port. */
  output(text: string): void {
    this.#stop?.output(text);
  }

  flush(): void {
    this.#file?.flush();
  }

  save(path: string): void {
    if (this.#runner !== null) saveSnapshot(path, this.#runner, this.#run);
  }

  /** Ctrl-A S; what to tell the user. */
  saveOnDemand(): string {
    const path = this.#run.saveSnapshot;
    if (path === undefined) return "nothing saved: start with --save-snapshot FILE, or use savevm FILE in the monitor";
    try {
      this.save(path);
      return `saved to ${path}`;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return error.message;
    }
  }

  #saveToFile(): void {
    this.save(this.#run.saveSnapshot ?? "");
  }

  /** The run is over: what is left to save, and what to tell. Returns the exit code. */
  finish({ code }: Outcome, say: (text: string) => void): number {
    const runner = this.#runner;
    if (runner === null) return code;
    let result = code;
    if (this.#stop !== null && !this.#stop.done) {
      say(`--save-snapshot ${this.#run.saveSnapshot}: nothing saved: the run has ended before the point of --save-at`);
      result = EXIT_FAILED;
    } else if (this.#run.saveSnapshot !== undefined && this.#stop === null) this.#saveToFile();
    const hash = () => this.#machine.simulation.stateHash();
    this.#file?.finish({ ...runner.point, hash: runner.repeatable ? hash() : null });
    if (this.#replayer !== null && !this.#replayer.diverged) {
      const { message, failed } = this.#replayer.outcome(runner.point, runner.poweredOff, hash);
      say(message);
      if (failed) result = EXIT_FAILED;
    }
    return result;
  }

  /** The run has failed on our side. */
  abandon(): void {
    this.#file?.abandon();
  }
}
