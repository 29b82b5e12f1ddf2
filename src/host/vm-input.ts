/** Standard input for the console of one VM. */
import { performance } from "node:perf_hooks";
import { MS, type Simulation, type Time, US } from "../sim/index.ts";

/** A UART, or a port of a virtio console. */
export interface VmInput {
  readonly receiveSpace: number;
  receive(byte: number): unknown;
}

/** Host milliseconds of simulation between looks at the event loop. */
const SLICE = 8;
/** Simulated time between looks at characters that found no room. */
const STEP: Time = 100 * US;

/** Characters of standard input on their way to a console. */
export class Attendant {
  readonly #input: VmInput;
  readonly #waiting: number[] = [];
  /** More may come. */
  open = true;

  constructor(input: VmInput) {
    this.#input = input;
    process.stdin.on("data", this.#onData).on("end", this.#onEnd);
  }
  readonly #onData = (data: Uint8Array): void => {
    for (const byte of data) this.#waiting.push(byte);
  };
  readonly #onEnd = (): void => {
    this.open = false;
  };

  /** Hands over what has room. */
  pump(): void {
    while (this.#waiting.length > 0 && this.#input.receiveSpace > 0) this.#input.receive(this.#waiting.shift() ?? 0);
  }
  close(): void {
    process.stdin.off("data", this.#onData).off("end", this.#onEnd).pause();
  }
}

/**
 * Runs until `done` or `limit`. What comes on standard input goes to `input` as it has room; until its end simulated time is no faster than
 * the host's, so that somebody may answer what is asked.
 */
export async function runAttended(
  simulation: Simulation,
  input: VmInput,
  limit: Time,
  done: () => boolean,
): Promise<void> {
  const attendant = new Attendant(input);
  const begun = performance.now();
  const isOver = (): boolean => done() || simulation.now >= limit;
  while (!isOver()) {
    const ahead = attendant.open && simulation.now / MS - (performance.now() - begun) >= SLICE;
    const until = ahead ? 0 : performance.now() + SLICE;
    while (!isOver() && performance.now() < until) {
      attendant.pump();
      simulation.run(Math.min(simulation.now + STEP, limit));
    }
    await new Promise((resolve) => setTimeout(resolve, ahead ? SLICE : 0));
  }
  attendant.close();
}
