/**
 * One counter of the SP804 as arithmetic: nothing ticks. A counter is what it was at an edge of its clock (the anchor) and the
 * number of edges since; value, zero crossings and the next deadline follow. All functions are pure but `advance`.
 */
import type { Frequency, Time } from "../../sim/index.ts";

export const CONTROL_TimerEn = 1 << 7;
export const CONTROL_TimerMode = 1 << 6;
export const CONTROL_IntEnable = 1 << 5;
export const CONTROL_TimerPre = 3 << 2;
export const CONTROL_TimerSize = 1 << 1;
export const CONTROL_OneShotCount = 1 << 0;

export function counterState() {
  return {
    /** Clock edge, counted from time 0, at which the counter was `count` (0 to 2^32 - 1). */
    edge: 0,
    count: 0xffff_ffff,
    /** `count` has been loaded and not yet counted: a loaded zero interrupts, a zero that was counted down to has done so. */
    loaded: false as boolean,
    /** One-shot mode has come to zero: halted until OneShotCount is cleared or a load comes (2.2). */
    halted: false as boolean,
    /** Raw interrupt status as far as it has been worked out; see `zeroReached`. */
    ris: false as boolean,
  };
}
export type CounterState = ReturnType<typeof counterState>;

/** The clock of a counter: TIMCLK, of which TIMCLKEN enables each `enable`-th edge. */
export class CounterClock {
  readonly #timclk: Frequency;
  readonly #enable: number;

  constructor(timclk: Frequency, enable: number) {
    this.#timclk = timclk;
    this.#enable = enable;
  }
  /** The latest enabled edge at or before `time`. */
  edgeAt(time: Time): number {
    return Math.floor(this.#timclk.cyclesAt(time) / this.#enable);
  }
  /** The first enabled edge at or after `time`. */
  edgeFrom(time: Time): number {
    const edge = this.edgeAt(time);
    return this.timeOf(edge) === time ? edge : edge + 1;
  }
  timeOf(edge: number): Time {
    return this.#timclk.timeOf(edge * this.#enable);
  }
}

/** Clock edges for one decrement; the undefined prescale acts as 256 (3.3.3). */
export function prescale(control: number): number {
  const pre = (control >> 2) & 3;
  return pre === 0 ? 1 : pre === 1 ? 16 : 256;
}

/** How many values the counter has: 2^16 or 2^32. */
export function modulus(control: number): number {
  return (control & CONTROL_TimerSize) !== 0 ? 0x1_0000_0000 : 0x1_0000;
}

/** Decrements since the anchor at clock edge `edge`; -1 while the counter is disabled or a load waits for its edge. */
export function ticks(s: CounterState, control: number, edge: number): number {
  if (edge < s.edge || (control & CONTROL_TimerEn) === 0) return -1;
  return Math.floor((edge - s.edge) / prescale(control));
}

/** The counter's value after `n` decrements. With 16 bits the upper half stands still (3.3.2). */
export function valueAfter(s: CounterState, control: number, load: number, n: number): number {
  const size = modulus(control);
  const low = s.count % size;
  const oneShot = (control & CONTROL_OneShotCount) !== 0;
  if (n < 0 || (s.halted && oneShot)) return s.count;
  if (n < low) return s.count - n;
  const upper = s.count - low;
  const passed = low === 0 && !s.loaded;
  if (oneShot || (passed && n === 0)) return upper;
  if ((control & CONTROL_TimerMode) === 0) return upper + ((low - (n % size) + size) % size);
  // Periodic: zero and the reloaded value are one state, so that a period is `load` decrements. Only a zero that was already
  // there when counting began takes a decrement to reload.
  const period = load % size;
  if (period === 0) return upper;
  return upper + period - ((n - (passed ? 1 : low)) % period);
}

/** The first decrement after `n` at which the counter reaches zero, or Infinity. `n` is -1 for none so far. */
export function nextZero(s: CounterState, control: number, load: number, n: number): number {
  const oneShot = (control & CONTROL_OneShotCount) !== 0;
  if ((control & CONTROL_TimerEn) === 0 || (s.halted && oneShot)) return Number.POSITIVE_INFINITY;
  const size = modulus(control);
  const low = s.count % size;
  const periodic = (control & CONTROL_TimerMode) !== 0;
  const period = Math.max(1, periodic ? load % size : size);
  let first = low;
  if (low === 0 && !s.loaded) {
    if (oneShot) return Number.POSITIVE_INFINITY;
    first = periodic && load % size !== 0 ? 1 + period : period;
  }
  if (n < first) return first;
  return oneShot ? Number.POSITIVE_INFINITY : first + (Math.floor((n - first) / period) + 1) * period;
}

/** Whether the counter has reached zero at any of the decrements up to `n`, the anchor's own included. */
export function zeroReached(s: CounterState, control: number, load: number, n: number): boolean {
  return nextZero(s, control, load, -1) <= n;
}

/** Works the state out up to clock edge `edge`: the anchor moves to the latest decrement, the prescaler's phase is kept. */
export function advance(s: CounterState, control: number, load: number, edge: number): void {
  const n = ticks(s, control, edge);
  if (n < 0) return;
  const zero = zeroReached(s, control, load, n);
  s.count = valueAfter(s, control, load, n);
  if (zero) {
    s.ris = true;
    s.halted = (control & CONTROL_OneShotCount) !== 0;
  }
  s.edge += n * prescale(control);
  s.loaded = false;
}
