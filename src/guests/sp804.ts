/** Driver of one counter of the SP804 dual timer (Arm DDI 0271): a periodic or one-shot interrupt. `base` is the counter's, 0x20 apart. */
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const LOAD = 0x00;
const VALUE = 0x04;
const CONTROL = 0x08;
const INTCLR = 0x0c;

const ONE_SHOT = 1 << 0;
const SIZE_32 = 1 << 1;
const INTERRUPT = 1 << 5;
const PERIODIC = 1 << 6;
const ENABLE = 1 << 7;

/** Interrupts every `counts` counts. */
export function* startPeriodic(g: Guest, base: number, counts: number): Routine {
  yield g.store(base + CONTROL, SIZE_32);
  yield g.store(base + LOAD, counts);
  yield g.store(base + CONTROL, SIZE_32 | INTERRUPT | PERIODIC | ENABLE);
}

/** Interrupts once, after `counts` counts. */
export function* startOnce(g: Guest, base: number, counts: number): Routine {
  yield g.store(base + CONTROL, SIZE_32);
  yield g.store(base + LOAD, counts);
  yield g.store(base + CONTROL, SIZE_32 | INTERRUPT | ONE_SHOT | ENABLE);
}

export function* stopTimer(g: Guest, base: number): Routine {
  yield g.store(base + CONTROL, SIZE_32);
  yield g.store(base + INTCLR, 1);
}

export function* clearTimer(g: Guest, base: number): Routine {
  yield g.store(base + INTCLR, 1);
}

export function* timerValue(g: Guest, base: number): Routine<number> {
  return yield g.load(base + VALUE);
}
