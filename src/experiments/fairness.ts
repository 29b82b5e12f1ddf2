/** How even a dispatcher is, looked at after every choice: the difference of what two backlogged flows were served, by their weights. */

/** The largest |S_i/w_i - S_j/w_j| so far over all pairs, with weights whose smallest is 1. */
export class Fairness {
  readonly #weights: readonly number[];
  readonly #served: Float64Array;
  /** Largest difference since the beginning. */
  worst = 0;
  /** Looks at which it was above the bound. */
  above = 0;
  looks = 0;
  readonly bound: number;

  /** `bound`: what the difference is held against. */
  constructor(weights: readonly number[], bound: number) {
    const least = Math.min(...weights);
    this.#weights = weights.map((w) => w / least);
    this.#served = new Float64Array(weights.length);
    this.bound = bound;
  }

  /** Flow n was served this much in all. Returns whether that is new. */
  set(flow: number, total: number): boolean {
    const before = this.#served[flow];
    this.#served[flow] = total;
    return before !== total;
  }
  served(flow: number): number {
    return this.#served[flow] as number;
  }

  /** The difference at this moment. */
  look(): number {
    let least = Number.POSITIVE_INFINITY;
    let most = Number.NEGATIVE_INFINITY;
    for (let n = 0; n < this.#weights.length; n++) {
      const normal = (this.#served[n] as number) / (this.#weights[n] as number);
      if (normal < least) least = normal;
      if (normal > most) most = normal;
    }
    const difference = most - least;
    this.looks++;
    if (difference > this.bound) this.above++;
    if (difference > this.worst) this.worst = difference;
    return difference;
  }
}
