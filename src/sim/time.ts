/**
 * Simulated time is one whole number of ticks of 100 ps: a byte on a 10 Gb/s link is 8 ticks, and a safe integer
 * spans ten days. There are no fractional seconds anywhere below the command line.
 */
export type Time = number;

export const NS: Time = 10;
export const US: Time = 1_000 * NS;
export const MS: Time = 1_000 * US;
export const SEC: Time = 1_000 * MS;
export const TICKS_PER_SECOND = SEC;

/** Later than any instant a simulation can reach; the deadline of something that is not scheduled. */
export const NEVER: Time = Number.MAX_SAFE_INTEGER;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** a * b / c, rounded up or down, exact for numbers below 2^34 with a < c: a long division by 17 bits at a time. */
function scale(a: number, b: number, c: number, up: boolean): number {
  const high = Math.floor(a / 131072);
  const first = Math.floor((high * b) / c);
  const rest = (high * b - first * c) * 131072 + (a - high * 131072) * b;
  return first * 131072 + (up ? Math.ceil(rest / c) : Math.floor(rest / c));
}

/**
 * A frequency in whole hertz, converting between cycle counts and time without drift: instants are computed from the
 * cycle number, never by adding up rounded periods. Exact for every count whose instant is a safe integer.
 */
export class Frequency {
  readonly hz: number;
  /** The reduced fraction ticks / cycles of one period. */
  readonly #ticks: number;
  readonly #cycles: number;
  /** Their products are safe integers. */
  readonly #plain: boolean;

  constructor(hz: number) {
    if (!Number.isSafeInteger(hz) || hz <= 0 || hz > TICKS_PER_SECOND) {
      throw new RangeError(`frequency of ${hz} Hz: expected a whole number from 1 to ${TICKS_PER_SECOND}`);
    }
    this.hz = hz;
    const d = gcd(TICKS_PER_SECOND, hz);
    this.#ticks = TICKS_PER_SECOND / d;
    this.#cycles = hz / d;
    this.#plain = Number.isSafeInteger(this.#ticks * this.#cycles);
  }

  /** The first instant at which `cycles` whole cycles have passed since time 0. */
  timeOf(cycles: number): Time {
    const whole = Math.floor(cycles / this.#cycles);
    const rest = cycles - whole * this.#cycles;
    if (this.#plain) return whole * this.#ticks + Math.ceil((rest * this.#ticks) / this.#cycles);
    return whole * this.#ticks + scale(rest, this.#ticks, this.#cycles, true);
  }

  /** Whole cycles that have passed at `time`. */
  cyclesAt(time: Time): number {
    const whole = Math.floor(time / this.#ticks);
    const rest = time - whole * this.#ticks;
    if (this.#plain) return whole * this.#cycles + Math.floor((rest * this.#cycles) / this.#ticks);
    return whole * this.#cycles + scale(rest, this.#cycles, this.#ticks, false);
  }
}

/** `time` for people: "1.0000005 s". */
export function formatTime(time: Time): string {
  if (time === NEVER) return "never";
  const whole = Math.floor(time / SEC);
  const fraction = String(time % SEC)
    .padStart(10, "0")
    .replace(/0+$/, "");
  return fraction === "" ? `${whole} s` : `${whole}.${fraction} s`;
}
