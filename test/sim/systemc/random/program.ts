/**
 * Random programs of processes, events and signals, for this kernel and for SystemC (random.cpp reads `encode`). Delays are
 * drawn from a wide range, so that two timed events hardly ever meet at one instant, the one order that differs.
 */
import {
  allOf,
  anyOf,
  cycles,
  type Event,
  type MethodProcess,
  Module,
  type Process,
  Simulation,
  type Thread,
  type Wait,
  wait,
} from "../../../../src/sim/index.ts";

interface Step {
  /** Operation codes: 0 notify now, 1 delta, 2 after ticks, 3 cancel, 4 write, 5 suspend, 6 resume, 7 kill. */
  readonly operations: readonly (readonly number[])[];
  /** Wait codes: 0 static, 1 time, 2 event, 3 any, 4 all, 5 to 7 these with a time-out, 8 static cycles (threads). */
  readonly wait: readonly number[];
}
interface Proc {
  readonly thread: boolean;
  readonly initialize: boolean;
  readonly sensitive: readonly number[];
  readonly steps: readonly Step[];
}
export interface Program {
  readonly events: number;
  readonly signals: number;
  readonly processes: readonly Proc[];
  /** Ticks of each run; 0 is one delta cycle. */
  readonly runs: readonly number[];
}

/** Activations of a process that still do something. */
const LIMIT = 12;

export interface Kinds {
  readonly threads: boolean;
  readonly control: boolean;
}

/** mulberry32 */
function generator(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

export function makeProgram(seed: number, kinds: Kinds = { threads: true, control: true }): Program {
  const below = generator(seed);
  const list = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
  const events = 2 + below(5);
  const signals = below(3);
  const count = 2 + below(6);
  const all = events + 3 * signals;
  const ticks = () => 1 + below(100_000);
  const some = () => {
    const chosen = [...new Set(list(2 + below(3), () => below(all)))];
    return chosen.length > 1 ? chosen : [0, 1];
  };
  const operation = (): number[] => {
    const kind = below(kinds.control ? 14 : 12);
    if (kind < 3) return [0, below(events)];
    if (kind < 6) return [1, below(events)];
    if (kind < 8) return [2, below(events), ticks()];
    if (kind < 9) return [3, below(events)];
    if (kind < 12) return signals > 0 ? [4, below(signals), below(2)] : [1, below(events)];
    return [below(8) === 0 ? 7 : 5 + below(2), below(count)];
  };
  const waitSpec = (thread: boolean): number[] => {
    const kind = below(thread ? 10 : 9);
    const time = below(4) === 0 ? 0 : ticks();
    if (kind < 1) return [1, time];
    if (kind < 2) return [2, below(all)];
    if (kind < 3) return [3, ...some()];
    if (kind < 4) return [4, ...some()];
    if (kind < 5) return [5, time, below(all)];
    if (kind < 6) return [6, time, ...some()];
    if (kind < 7) return [7, time, ...some()];
    if (kind < 9) return [0];
    return [8, 1 + below(3)];
  };
  const processes = list(count, (): Proc => {
    const thread = kinds.threads && below(2) === 0;
    return {
      thread,
      initialize: below(4) > 0,
      sensitive: [...new Set(list(1 + below(3), () => below(all)))],
      steps: list(1 + below(4), () => ({ operations: list(below(4), operation), wait: waitSpec(thread) })),
    };
  });
  const runs = [...list(2 + below(3), () => (below(3) === 0 ? 0 : ticks())), 1_000_000];
  return { events, signals, processes, runs };
}

/** The form that random.cpp reads. */
export function encode(program: Program): string {
  const numbers = (list: readonly number[]) => [list.length, ...list];
  const step = (s: Step) => [s.operations.length, ...s.operations.flatMap(numbers), ...numbers(s.wait)];
  const processes = program.processes.flatMap((p) => [
    Number(p.thread),
    Number(p.initialize),
    ...numbers(p.sensitive),
    p.steps.length,
    ...p.steps.flatMap(step),
  ]);
  const all = [program.events, program.signals, program.processes.length, ...processes, ...numbers(program.runs)];
  return all.join(" ");
}

/** A machine that runs the program; `lines` is what it has printed so far. */
export class Machine {
  readonly sim = new Simulation();
  readonly lines: string[] = [];
  readonly #program: Program;
  readonly #top = new Module(this.sim, "top");
  readonly #events: Event[] = [];
  readonly #signals: { read(): boolean; write(value: boolean): void }[] = [];
  readonly #all: Event[] = [];
  readonly #processes: Process[] = [];
  /** Activations of each process: state, so that a machine can go on where another was saved. */
  readonly #runs: Int32Array;

  constructor(program: Program) {
    this.#program = program;
    const part = new Counters(program.processes.length);
    this.#runs = this.#top.part("runs", part).counts;
    for (let i = 0; i < program.events; i++) this.#events.push(this.#top.event(`e${i}`));
    const signals = Array.from({ length: program.signals }, (_, i) => this.#top.signal(`s${i}`, false, "unchecked"));
    this.#signals.push(...signals);
    this.#all.push(...this.#events, ...signals.map((s) => s.changed));
    this.#all.push(...signals.map((s) => s.posedge), ...signals.map((s) => s.negedge));
    program.processes.forEach((p, i) => {
      const options = { sensitive: p.sensitive.map((e) => this.#event(e)), dontInitialize: !p.initialize };
      if (p.thread) this.#processes.push(this.#top.thread(`p${i}`, () => this.#thread(i), options));
      else this.#processes.push(this.#top.method(`p${i}`, (self) => this.#method(i, self), options));
    });
  }

  run(): string[] {
    for (const ticks of this.#program.runs) this.runFor(ticks);
    return this.lines;
  }

  /** 0 is one delta cycle. */
  runFor(ticks: number): void {
    if (ticks === 0) this.sim.runDelta();
    else this.sim.run(this.sim.now + ticks, { beforeEvaluation: true });
    this.lines.push(`run ${this.sim.now}`);
  }

  #event(i: number): Event {
    const event = this.#all[i];
    if (!event) throw new Error(`no event ${i}`);
    return event;
  }

  *#thread(self: number): Thread {
    for (let step = this.#activate(self); step; step = this.#activate(self)) yield this.#wait(step.wait);
  }

  #method(self: number, method: MethodProcess): void {
    const step = this.#activate(self);
    if (step && step.wait[0] !== 0) method.nextTrigger(this.#wait(step.wait));
  }

  #activate(self: number): Step | undefined {
    const signals = this.#signals.map((s) => (s.read() ? 1 : 0)).join("");
    this.lines.push(`${this.sim.now} ${this.sim.deltaCount} ${self} ${signals}`);
    const run = this.#runs[self] ?? 0;
    if (run === LIMIT) return undefined;
    this.#runs[self] = run + 1;
    const steps = this.#program.processes[self]?.steps ?? [];
    const step = steps[run % steps.length];
    for (const operation of step?.operations ?? []) this.#perform(self, operation);
    return step;
  }

  #perform(self: number, [code = 0, which = 0, value = 0]: readonly number[]): void {
    const event = this.#events[which];
    if (code === 0) event?.notify();
    else if (code === 1) event?.notify(0);
    else if (code === 2) event?.notify(value);
    else if (code === 3) event?.cancel();
    else if (code === 4) this.#signals[which]?.write(value !== 0);
    else {
      const target = this.#processes[which];
      if (!target || target.terminated) return;
      if (code === 5 && !(which === self && target.isThread)) target.suspend();
      if (code === 6) target.resume();
      if (code === 7 && !(target.isThread && this.#runs[which] === 0)) target.kill();
    }
  }

  #wait([code = 0, first = 0, ...rest]: readonly number[]): Wait {
    const events = (list: readonly number[]) => list.map((e) => this.#event(e));
    if (code === 1) return wait(first);
    if (code === 2) return wait(this.#event(first));
    if (code === 3) return wait(anyOf(...events([first, ...rest])));
    if (code === 4) return wait(allOf(...events([first, ...rest])));
    if (code === 5) return wait(first, this.#event(rest[0] ?? 0));
    if (code === 6) return wait(first, anyOf(...events(rest)));
    if (code === 7) return wait(first, allOf(...events(rest)));
    return code === 8 ? cycles(first) : wait();
  }
}

class Counters {
  readonly counts: Int32Array;
  constructor(length: number) {
    this.counts = new Int32Array(length);
  }
  save(): Int32Array {
    return this.counts.slice();
  }
  load(value: unknown): void {
    this.counts.set(value as Int32Array);
  }
  reset(): void {
    this.counts.fill(0);
  }
}
