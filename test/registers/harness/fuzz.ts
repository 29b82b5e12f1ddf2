/**
 * Random accesses to a device. What must hold: no exception; no endless chain of events; no stored bit that the declaration
 * lacks; the same answers, guest errors and state hash in a second run, traced and with a debugger that peeks; and, saved at a random point and loaded
 * into a fresh machine, the same answers and hash to the end. Knows no test runner: `npm run fuzz` uses it too.
 */
import { maskOf, type Register, RegisterBank } from "../../../src/registers/index.ts";
import { Random, StateHash, type StateValue } from "../../../src/sim/index.ts";
import { declaredOffsets, describeStep, perform, randomStep, type Step } from "./access.ts";
import { Bench, type DeviceFactory } from "./bench.ts";

export type { DeviceFactory } from "./bench.ts";

export interface FuzzOptions {
  /** 100,000 unless given. */
  readonly accesses?: number;
  /** 1 unless given. */
  readonly seed?: number;
}

export interface FuzzResult {
  readonly accesses: number;
  /** Hash of the state at the end. */
  readonly hash: string;
  /** Hash of all answers given. */
  readonly answers: string;
  readonly guestErrors: number;
}

/** What did not hold, with the seed and the access at which it showed. */
export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
}

export function runFuzz(factory: DeviceFactory, options: FuzzOptions = {}): FuzzResult {
  const accesses = options.accesses ?? 100_000;
  const seed = options.seed ?? 1;
  const saveAt = new Random(seed, "fuzz.save").below(accesses);

  const first = new Run(factory, seed, new Random(seed, "fuzz"));
  first.go(0, saveAt);
  const saved = structuredClone(first.bench.simulation.save());
  const continued = first.random.save();
  const hashAtSave = first.bench.simulation.stateHash();

  const restored = new Run(factory, seed, new Random(seed, "fuzz"));
  restored.guard(saveAt, null, () => restored.bench.simulation.load(saved));
  restored.random.load(continued, "fuzz");
  restored.expectSame("the state after loading", restored.bench.simulation.stateHash(), hashAtSave, saveAt);

  first.forgetAnswers();
  first.go(saveAt, accesses);
  restored.go(saveAt, accesses);
  restored.expectSame("an answer after loading", restored.answers, first.answers, saveAt);
  const hash = first.bench.simulation.stateHash();
  restored.expectSame("the state at the end, having loaded,", restored.bench.simulation.stateHash(), hash, saveAt);
  first.checkState(accesses);

  const second = new Run(factory, seed, new Random(seed, "fuzz"));
  second.peeking = true;
  let traced = 0;
  second.bench.simulation.reporter.observe({ registerAccess: () => void traced++ });
  second.go(0, saveAt);
  second.forgetAnswers();
  second.go(saveAt, accesses);
  const watched = "in a second run, traced and peeked at,";
  second.expectSame(`the state ${watched}`, second.bench.simulation.stateHash(), hash, accesses);
  second.expectSame(`an answer ${watched}`, second.answers, first.answers, accesses);
  const { guestErrors } = first.bench.simulation.reporter;
  const again = second.bench.simulation.reporter.guestErrors;
  second.expectSame(`the number of guest errors ${watched}`, `${again}`, `${guestErrors}`, accesses);
  return { accesses, hash, answers: first.answers, guestErrors };
}

class Run {
  readonly bench: Bench;
  readonly random: Random;
  /** Peeks at each place before it is accessed, and at all sizes. */
  peeking = false;
  readonly #declared: readonly number[][];
  readonly #seed: number;
  #answers = new StateHash();

  constructor(factory: DeviceFactory, seed: number, random: Random) {
    this.bench = new Bench(factory, seed);
    this.random = random;
    this.#seed = seed;
    this.#declared = declaredOffsets(this.bench);
  }

  get answers(): string {
    return this.#answers.digest();
  }
  forgetAnswers(): void {
    this.#answers = new StateHash();
  }

  /** Accesses `from` to `to` - 1. */
  go(from: number, to: number): void {
    const { bench, random } = this;
    for (let n = from; n < to; n++) {
      const step = randomStep(bench, this.#declared, random);
      this.guard(n, step, () => {
        if (this.peeking) this.#peekAt(step);
        const value = perform(bench, step, random);
        if (!(value >= 0 && value <= 0xffff_ffff)) this.#fail(`the answer ${value} is no 32-bit word`, n, step);
        this.#answers.word(value).word(bench.transaction.response);
        if (step.size === 8 && !step.write) this.#answers.word(bench.transaction.high);
      });
    }
  }

  #peekAt({ target, offset, cpu }: Step): void {
    for (const size of [1, 2, 4]) this.bench.peek(target, offset - (offset % size), size, cpu);
  }

  guard(access: number, step: Step | null, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof FuzzFailure) throw error;
      this.#fail(error instanceof Error ? `threw ${error.stack ?? error.message}` : "threw", access, step);
    }
  }

  expectSame(what: string, got: string, expected: string, access: number): void {
    if (got !== expected) this.#fail(`${what} differs: ${got}, expected ${expected}`, access, null);
  }

  /** Stored bits outside the declaration, and numbers that are none. */
  checkState(access: number): void {
    this.bench.device.targets.forEach((t, i) => {
      const declaration = this.bench.declaration(i);
      if (!(t.target instanceof RegisterBank) || declaration === null) return;
      for (const [name, register] of Object.entries<Register>(declaration.registers)) {
        const words = (register.width ?? 32) > 32 ? 2 : 1;
        const first = (t.target.slot as Record<string, number>)[name] as number;
        for (let w = 0; w < (register.count ?? 1) * words; w++) {
          const stray = (t.target.values[first + w] as number) & ~maskOf(register, () => true, w % words);
          if (stray !== 0)
            this.#fail(`${name}: stored bits 0x${(stray >>> 0).toString(16)} are in no field`, access, null);
        }
      }
    });
    for (const [name, { state }] of Object.entries(this.bench.simulation.save().modules))
      this.#sane(state, name, access);
  }

  #sane(value: StateValue, path: string, access: number): void {
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.#fail(`${path} is ${value}`, access, null);
    } else if (value === undefined) this.#fail(`${path} is undefined`, access, null);
    else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
      for (const [key, item] of Object.entries(value)) this.#sane(item as StateValue, `${path}.${key}`, access);
    }
  }

  #fail(what: string, access: number, step: Step | null): never {
    const at = step === null ? "" : ` (${describeStep(this.bench, step)})`;
    throw new FuzzFailure(`seed ${this.#seed}, access ${access}${at}: ${what}`);
  }
}
