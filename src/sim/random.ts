/**
 * A seeded generator (xoshiro128**), one a purpose: `simulation.random("net0.loss")` gives each user a stream of its own,
 * so that adding one user does not move another's numbers. Its four words are state and are saved.
 */
import { assignState, type StatePart, type StateValue } from "./state.ts";

export class Random implements StatePart {
  readonly #s = new Int32Array(4);
  readonly #seed: number;
  readonly #purpose: string;

  constructor(seed: number, purpose: string) {
    this.#seed = seed;
    this.#purpose = purpose;
    this.reset();
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const s = this.#s;
    const s1 = s[1] as number;
    const x = Math.imul(s1, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = s1 << 9;
    s[2] = (s[2] as number) ^ (s[0] as number);
    s[3] = (s[3] as number) ^ s1;
    s[1] = s1 ^ (s[2] as number);
    s[0] = (s[0] as number) ^ (s[3] as number);
    s[2] = (s[2] as number) ^ t;
    const s3 = s[3] as number;
    s[3] = (s3 << 11) | (s3 >>> 21);
    return result;
  }

  /** A whole number from 0 to `limit` - 1, without bias. */
  below(limit: number): number {
    const reject = 4294967296 - (4294967296 % limit);
    for (;;) {
      const x = this.uint32();
      if (x < reject) return x % limit;
    }
  }

  save(): StateValue {
    return this.#s.slice();
  }
  load(value: StateValue, path: string): void {
    assignState(this.#s, value, path);
  }
  /** Seeds the four words from (seed, purpose) by splitmix32. */
  reset(): void {
    let h = this.#seed | 0;
    for (let i = 0; i < this.#purpose.length; i++) h = Math.imul(h ^ this.#purpose.charCodeAt(i), 0x01000193);
    for (let i = 0; i < 4; i++) {
      h = (h + 0x9e3779b9) | 0;
      let z = h;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.#s[i] = z ^ (z >>> 16);
    }
    if (this.#s.every((w) => w === 0)) this.#s[0] = 1;
  }
}
