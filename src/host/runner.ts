/**
 * Runs a machine beside Node's event loop: simulation in slices of a few milliseconds of host time, sockets and terminal between them.
 *
 * Simulated time advances on a fixed grid, and what comes from outside reaches the guest at points of that grid only; so a script that is
 * driven by the guest's output gives the same run every time, however fast the host is. Somebody at a terminal gets a guest whose idle
 * time is real time; a run without anybody goes as fast as it can.
 */
import { performance } from "node:perf_hooks";
import { InputError } from "../formats/index.ts";
import {
  ControlError,
  type ControlEvent,
  type Input,
  type MachineControl,
  type MachineDescription,
  type Point,
  type RunState,
} from "../observe/index.ts";
import { NEVER, TICKS_PER_SECOND, type Time, US } from "../sim/index.ts";
import { writeOutput } from "./files.ts";
import { Inputs, type Replay, SERIAL } from "./inputs.ts";
import type { HostMachine, PowerRequest } from "./machine.ts";
import type { ResetAction, ShutdownAction } from "./options/run-options.ts";
import type { Script } from "./script.ts";

/** Grid of simulated time on which input arrives. */
const GRID: Time = 250 * US;
/** Host milliseconds of simulation between looks at the event loop. */
const SLICE = 8;
/** The same where frames come from outside: each look costs some microseconds, and a frame waits for it. */
const PACED_SLICE = 1;
/** A guest this far behind host time (ms) is not made to catch up. */
const MAX_LAG = 50;
const TICKS_PER_MS = TICKS_PER_SECOND / 1000;

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USER_ERROR = 2;
/** The guest sleeps and nothing is left that could wake it. */
export const EXIT_HANG = 3;
/** The guest asked for a reset, which ends the run (-no-reboot). */
export const EXIT_RESET = 4;
/** The guest's kernel said that it panicked. */
export const EXIT_PANIC = 5;

export interface Outcome {
  readonly code: number;
  /** Said on standard error. */
  readonly message?: string;
  /** The guest came to a bad end: tell where it was. */
  readonly report?: boolean;
}

export interface RunnerOptions {
  readonly description: MachineDescription;
  readonly startPaused: boolean;
  /** The machine was restored from the middle of a slice. */
  readonly midway?: boolean;
  /** No CPU runs and time stands still unless a protocol moves it. */
  readonly clockOwned: boolean;
  readonly onReset: ResetAction;
  readonly onShutdown: ShutdownAction;
  /** Simulated time at which the run ends. */
  readonly maxTime: Time;
  /** Host milliseconds after which the run fails. */
  readonly timeout: number;
  /** While idle, wait for host time. */
  readonly throttle: () => boolean;
  /** Never be ahead of host time, and look at the outside often: others who keep host time are at the far end of a network. */
  readonly paced?: boolean;
  /** Something may still come from outside. */
  readonly attended: () => boolean;
  readonly script: Script | null;
  /** Exit code of a guest that asked for a reset which ends the run. */
  readonly resetCode: number;
  /** Called for each thing that reaches the guest from outside, with the point at which it does. */
  readonly journal: ((point: Point, input: Input) => void) | null;
  /** A recording that stands for the outside. */
  readonly replay: Replay | null;
}

/** Somebody who wants the machine to stand still at certain instants. */
export interface Stop {
  /** The next instant that it wants; NEVER where it only looks on. */
  readonly next: Time;
  /** The machine stands still, between runs, everything up to `now` done. */
  reached(now: Time): void;
}

/** What a debugger puts between the runner and the machine. */
export interface DebugHook {
  /** The simulation has paused; true where it was for the debugger, who has been told. */
  paused(): boolean;
  ended(code: number): void;
}

export class Runner implements MachineControl {
  readonly description: MachineDescription;
  readonly #machine: HostMachine;
  readonly #options: RunnerOptions;
  readonly #listeners = new Set<(event: ControlEvent) => void>();
  #state: RunState;
  #outcome: Outcome | null = null;
  #power: PowerRequest | null = null;
  readonly #inputs: Inputs;
  /** Frames may come. */
  readonly #reachable: boolean;
  /** All that happens up to now has happened: false inside a slice that a debugger has cut short, and after a power request. */
  #settled: boolean;
  #poweredOff = false;
  #wake: (() => void) | null = null;
  /** Host time and simulated time that belong together, for throttling. */
  #anchorHost = 0;
  #anchorTime: Time = 0;
  /** Simulated time up to which the guest, idle, has been slept through. */
  #sleptUntil: Time = 0;
  #flush: (() => void) | null = null;
  #panic: string | null = null;
  debugHook: DebugHook | null = null;
  readonly stops: Stop[] = [];

  constructor(machine: HostMachine, options: RunnerOptions) {
    this.#machine = machine;
    this.#options = options;
    const { serial, consoles = [], outside = [] } = machine;
    const { journal, replay } = options;
    this.#inputs = new Inputs({
      ports: [...(serial === null ? [] : [{ label: SERIAL, port: serial }]), ...consoles],
      networks: outside,
      press: (button) => {
        if (button === "reset") this.#doReset(false, "host-qmp-system-reset");
        else this.#pressPower();
      },
      journal: journal === null ? null : (input) => journal(this.point, input),
      replay,
    });
    for (const { port } of outside) port.onReady = () => this.wake();
    this.#reachable = outside.length > 0 && replay === null;
    this.#settled = options.midway !== true;
    this.description = options.description;
    this.#state = options.startPaused ? "prelaunch" : "running";
    machine.onPower = (request) => {
      this.#power = request;
      machine.simulation.pause();
    };
  }

  get machine(): HostMachine {
    return this.#machine;
  }
  get state(): RunState {
    return this.#state;
  }
  get outcome(): Outcome | null {
    return this.#outcome;
  }

  // MachineControl

  stop(): void {
    this.halt("paused");
  }

  /** Stops with a state of one's own: the debugger's is "debug". */
  halt(state: RunState): void {
    if (this.#state !== "running") return;
    this.#state = state;
    this.#machine.simulation.pause();
    this.#emit({ name: "STOP" });
  }

  cont(): void {
    if (this.#state === "running") return;
    if (this.#state === "shutdown") this.#machine.reset();
    this.#state = "running";
    this.#anchor();
    this.#emit({ name: "RESUME" });
    this.wake();
  }

  reset(): void {
    this.#inputs.press("reset");
    this.#pressed();
  }

  powerdown(): void {
    this.#inputs.press("powerdown");
    this.#pressed();
  }

  /** Buttons act at points of the grid; on a machine that stands still elsewhere too, unless a recording must be able to repeat it. */
  #pressed(): void {
    const { clockOwned, journal, replay } = this.#options;
    const standing = this.#state !== "running" || clockOwned;
    if (replay === null && (this.#onGrid || (standing && journal === null))) this.#inputs.deliver(this.#now);
    this.wake();
  }

  #pressPower(): void {
    this.#emit({ name: "POWERDOWN" });
    this.#machine.pressPowerKey();
  }

  quit(): void {
    this.#end({ code: EXIT_OK }, { guest: false, reason: "host-qmp-quit" });
  }

  /** The user leaves from the terminal, or a signal says so. */
  leave(reason: "host-ui" | "host-signal", message?: string): void {
    const unfinished = this.#options.script !== null && !this.#options.script.done;
    const code = unfinished ? EXIT_FAILED : EXIT_OK;
    this.#end(message === undefined ? { code } : { code, message }, { guest: false, reason });
  }

  observe(listener: (event: ControlEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  saveFile(path: string, bytes: Uint8Array): void {
    asCommand(() => writeOutput("file", path, bytes));
  }

  // Input

  /** Bytes typed by somebody, at the serial port or at the console of that label. */
  type(data: Uint8Array, label = SERIAL): void {
    this.#inputs.add(label, data);
    this.wake();
  }
  sendBreak(label = SERIAL): void {
    this.#inputs.sendBreak(label);
    this.wake();
  }
  /** Bytes that the port has not had room for yet. */
  pendingInput(label = SERIAL): number {
    return this.#inputs.pending(label);
  }
  get inputs(): Inputs {
    return this.#inputs;
  }

  /** Where the machine is. */
  get point(): Point {
    return { time: this.#now, instructions: this.#machine.instructions ?? [] };
  }
  get settled(): boolean {
    return this.#settled;
  }
  /** The run has ended because the guest wanted it. */
  get poweredOff(): boolean {
    return this.#poweredOff;
  }
  /** Another run with the same inputs comes to this point. */
  get repeatable(): boolean {
    return this.#settled || this.#poweredOff;
  }
  get #now(): Time {
    return this.#machine.simulation.now;
  }
  get #onGrid(): boolean {
    return this.#settled && this.#now % GRID === 0;
  }

  /** `flush` is called whenever the host is about to look elsewhere: output that was gathered goes out. */
  set onFlush(flush: () => void) {
    this.#flush = flush;
  }

  wake(): void {
    this.#wake?.();
  }

  // The loop

  /** Runs until something ends it. */
  async run(): Promise<Outcome> {
    const started = performance.now();
    this.#anchor();
    this.#options.script?.start();
    if (this.#settled) for (const stop of this.stops) stop.reached(this.#now);
    while (this.#outcome === null) {
      const deadline = Math.min(
        started + this.#options.timeout,
        this.#options.script?.deadline ?? Number.POSITIVE_INFINITY,
      );
      if (performance.now() >= deadline) {
        this.#timedOut();
        break;
      }
      if (this.#state !== "running" || this.#options.clockOwned) await this.#sleep(deadline - performance.now());
      else {
        const pause = this.#slice();
        if (this.#outcome !== null) break;
        if (pause > 0) {
          this.#listen();
          const [host, time] = [performance.now(), this.#now];
          await this.#sleep(Math.min(pause, deadline - host));
          this.#sleptUntil = time + (performance.now() - host) * TICKS_PER_MS;
        } else await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
    this.#flush?.();
    return this.#outcome as Outcome;
  }

  /** The guest sleeps until frames come. Those that are there already wait for their instant: they wake nobody. */
  #listen(): void {
    if (!this.#reachable) return;
    for (const { port } of this.#machine.outside ?? []) if (!port.ready) port.listen();
  }

  /** Simulates for a few milliseconds. Returns for how many milliseconds of host time there is nothing to do. */
  #slice(): number {
    const { simulation } = this.#machine;
    const begin = performance.now();
    const throttle = this.#options.throttle();
    const length = this.#options.paced === true ? PACED_SLICE : SLICE;
    let pause = 0;
    do {
      // What has come while the guest slept reaches it now, not when it fell asleep; what came while it worked, as soon as it can.
      const late = throttle && this.#machine.idle && gridBefore(this.#sleptUntil) > this.#now;
      if (!late) this.#stand();
      if (this.#outcome !== null || this.#state !== "running") break;
      const idle = this.#machine.idle && (late || !this.#inputs.ready);
      const target = this.#target(idle, throttle, late);
      if (target === null) {
        pause = idle ? this.#idlePause(throttle) : 1;
        break;
      }
      this.#settled = simulation.run(target) === "time";
      this.#settle();
    } while (this.#outcome === null && this.#state === "running" && performance.now() - begin < length);
    if (throttle && this.#ahead() < -MAX_LAG) this.#anchor();
    this.#flush?.();
    return pause;
  }

  /** The point of the grid up to which to run now; null where the guest waits for what is not there yet. */
  #target(idle: boolean, throttle: boolean, late: boolean): Time | null {
    const { simulation } = this.#machine;
    const next = simulation.nextEventTime;
    const limit = this.#limit;
    let target = gridAfter(simulation.now);
    if (idle) {
      if (next === NEVER && limit === NEVER && !throttle) {
        if (!this.#options.attended() && !this.#reachable) this.#starved();
        return null;
      }
      // Nothing happens before the next event: one step takes us to the grid point behind it.
      if (next > target) target = next === NEVER ? limit : gridAtOrAfter(next);
    }
    if (throttle && (idle || this.#options.paced === true)) {
      const due = late ? Math.min(this.#sleptUntil, this.#due) : this.#due;
      if (target > due) {
        target = gridBefore(due);
        if (target <= simulation.now) return null;
      }
    }
    return Math.min(target, limit);
  }

  /** The simulated time that host time has reached. */
  get #due(): Time {
    return this.#anchorTime + (performance.now() - this.#anchorHost) * TICKS_PER_MS;
  }

  /** The next instant at which somebody wants the machine to stand still. */
  get #limit(): Time {
    let limit = Math.min(this.#options.maxTime, this.#inputs.next);
    for (const stop of this.stops) limit = Math.min(limit, stop.next);
    return limit;
  }

  /** Milliseconds until host time has reached what comes next. */
  #idlePause(throttle: boolean): number {
    if (!throttle) return LONG_SLEEP;
    const next = Math.min(this.#machine.simulation.nextEventTime, this.#limit);
    if (next === NEVER) return LONG_SLEEP;
    const due = this.#anchorHost + (next - this.#anchorTime) / TICKS_PER_MS;
    return Math.max(1, Math.min(due - performance.now(), LONG_SLEEP));
  }

  /** Milliseconds by which simulated time is ahead of host time. */
  #ahead(): number {
    const simulated = (this.#machine.simulation.now - this.#anchorTime) / TICKS_PER_MS;
    return simulated - (performance.now() - this.#anchorHost);
  }

  #anchor(): void {
    this.#anchorHost = performance.now();
    this.#anchorTime = this.#machine.simulation.now;
  }

  /** Between two runs: the machine is looked at, then the outside reaches it. A debugger that stops in between changes nothing. */
  #stand(): void {
    if (!this.#settled) return;
    const { replay } = this.#options;
    if (replay !== null) {
      if (replay.next > this.#now) return;
      const verdict = replay.check(this.point);
      if (verdict === "end") this.#end({ code: this.#scriptCode() });
      else if (verdict !== null) this.#end({ code: EXIT_FAILED, message: verdict.message });
      else this.#inputs.deliver(this.#now);
    } else if (this.#onGrid) this.#inputs.deliver(this.#now);
  }

  /** After a run: what the guest asked for, what the debugger wanted, whether the script is through. */
  #settle(): void {
    const { simulation } = this.#machine;
    if (this.#power !== null) {
      const request = this.#power;
      this.#power = null;
      this.#poweredOff = true;
      if (request === "reset") this.#doReset(true, "guest-reset");
      else this.#guestOff();
      return;
    }
    if (this.debugHook?.paused() === true) return;
    if (this.#settled) for (const stop of this.stops) stop.reached(simulation.now);
    if (this.#panic !== null) {
      this.#end({ code: EXIT_PANIC, message: this.#panic, report: true });
      return;
    }
    const { script, maxTime } = this.#options;
    // A replay ends where its recording does.
    if (this.#options.replay === null && script?.done && this.pendingInput() === 0) this.#end({ code: EXIT_OK });
    else if (simulation.now >= maxTime) {
      if (script === null) this.#end({ code: EXIT_OK });
      else this.#end({ code: EXIT_FAILED, message: `simulated time is up, still waiting for ${script.waitingFor}` });
    }
  }

  #doReset(guest: boolean, reason: string): void {
    if (this.#options.onReset === "shutdown") {
      const { script, resetCode } = this.#options;
      const code = script !== null ? this.#scriptCode() : guest ? resetCode : EXIT_OK;
      const bad = code !== EXIT_OK;
      this.#end({ code, ...(bad ? { message: "the guest asked for a reset", report: true } : {}) }, { guest, reason });
      return;
    }
    this.#machine.reset();
    this.#poweredOff = false;
    this.#emit({ name: "RESET", data: { guest, reason } });
    this.wake();
  }

  #guestOff(): void {
    const data = { guest: true, reason: "guest-shutdown" };
    if (this.#options.onShutdown === "pause") {
      this.#emit({ name: "SHUTDOWN", data });
      this.#state = "shutdown";
      this.#emit({ name: "STOP" });
      return;
    }
    const { script } = this.#options;
    if (script === null || script.done) this.#end({ code: EXIT_OK }, data);
    else
      this.#end({ code: EXIT_FAILED, message: `the guest powered off before it printed ${script.waitingFor}` }, data);
  }

  #scriptCode(): number {
    const { script } = this.#options;
    return script === null || script.done ? EXIT_OK : EXIT_FAILED;
  }

  #timedOut(): void {
    const { script } = this.#options;
    const what =
      script === null || script.empty
        ? "time is up: the guest has not ended by itself"
        : `time is up waiting for ${script.waitingFor}; the guest's last output was ${JSON.stringify(script.lastOutput)}`;
    this.#end({ code: EXIT_FAILED, message: what, report: true });
  }

  #starved(): void {
    const { script } = this.#options;
    const waiting = script === null || script.done ? "" : `, while waiting for ${script.waitingFor}`;
    this.#end({
      code: EXIT_HANG,
      message: `the guest sleeps and nothing is left that could wake it${waiting}`,
      report: true,
    });
  }

  /** The guest's kernel says that it does not go on; called inside a run. Somebody at the terminal may still want to look. */
  panicked(reason: string): void {
    if (this.#options.attended()) return;
    const { script } = this.#options;
    const waiting = script === null || script.done ? "" : `, while waiting for ${script.waitingFor}`;
    this.#panic = `the guest's kernel panicked: ${reason}${waiting}`;
    this.#machine.simulation.pause();
  }

  #end(outcome: Outcome, data?: { readonly guest: boolean; readonly reason: string }): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    if (data !== undefined) this.#emit({ name: "SHUTDOWN", data });
    this.debugHook?.ended(outcome.code);
    this.#machine.simulation.pause();
    this.wake();
  }

  #emit(event: ControlEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Waits until woken, at most `ms`. */
  #sleep(ms: number): Promise<void> {
    this.#flush?.();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), Math.max(0, Math.min(ms, LONG_SLEEP)));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }
}

/** What the user got wrong is told to whoever gave the command. */
export function asCommand(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new ControlError(error.message);
  }
}

/** Longest wait without a look round, in milliseconds. */
const LONG_SLEEP = 60_000;

function gridAfter(time: Time): Time {
  return (Math.floor(time / GRID) + 1) * GRID;
}
function gridBefore(time: Time): Time {
  return gridAtOrAfter(time) - GRID;
}
function gridAtOrAfter(time: Time): Time {
  return Math.ceil(time / GRID) * GRID;
}
