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
  const waiting: number[] = [];
  let open = true;
  const onData = (data: Uint8Array): void => {
    for (const byte of data) waiting.push(byte);
  };
  const onEnd = (): void => {
    open = false;
  };
  process.stdin.on("data", onData).on("end", onEnd);
  const begun = performance.now();
  const isOver = (): boolean => done() || simulation.now >= limit;
  while (!isOver()) {
    const ahead = open && simulation.now / MS - (performance.now() - begun) >= SLICE;
    const until = ahead ? 0 : performance.now() + SLICE;
    while (!isOver() && performance.now() < until) {
      while (waiting.length > 0 && input.receiveSpace > 0) input.receive(waiting.shift() ?? 0);
      simulation.run(Math.min(simulation.now + STEP, limit));
    }
    await new Promise((resolve) => setTimeout(resolve, ahead ? SLICE : 0));
  }
  process.stdin.off("data", onData).off("end", onEnd).pause();
}
