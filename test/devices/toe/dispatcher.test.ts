/** The dispatcher against docs/devices/toe.md 12.1, and Shreedhar and Varghese's bound. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Dispatcher, POLICY } from "../../../src/devices/toe/dispatcher/index.ts";
import { check } from "../../support/soak.ts";

const LARGEST = 65_536;

/** Keeps every flow's queue filled from `sizes`, and hands out `n` choices with what was served so far. */
function run(
  d: Dispatcher,
  sizes: readonly (() => number)[],
  n: number,
  each: (served: readonly number[], flow: number) => void,
): number[] {
  const served = sizes.map(() => 0);
  sizes.forEach((size, flow) => {
    for (let i = 0; i < 4; i++) d.enqueue(flow, size());
  });
  for (let i = 0; i < n; i++) {
    const flow = d.next();
    served[flow] = (served[flow] as number) + d.lastCost;
    d.enqueue(flow, (sizes[flow] as () => number)());
    each(served, flow);
  }
  return served;
}

describe("dispatcher, policy 0", () => {
  it("12.1: shares of backlogged flows stay within quantum + 2 of the largest command at every instant", () => {
    check(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 2, maxLength: 8 }),
        fc.integer({ min: LARGEST, max: 3 * LARGEST }),
        fc.infiniteStream(fc.oneof(fc.integer({ min: 64, max: 1500 }), fc.integer({ min: 64, max: LARGEST }))),
        (raw, quantum, stream) => {
          // Weights whose smallest is 1.
          const weights = raw.map((w, i) => (i === 0 ? 1 : w));
          const d = new Dispatcher(weights.length);
          d.setQuantum(quantum);
          weights.forEach((w, i) => {
            d.setWeight(i, w);
          });
          const size = () => stream.next().value as number;
          let worst = 0;
          run(
            d,
            weights.map(() => size),
            400,
            (served) => {
              const scaled = served.map((s, i) => s / (weights[i] as number));
              worst = Math.max(worst, Math.max(...scaled) - Math.min(...scaled));
            },
          );
          expect(worst).toBeLessThanOrEqual(quantum + 2 * LARGEST);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("12.1: weights 1, 2, 4 give shares of 1, 2, 4 whatever the sizes", () => {
    const d = new Dispatcher(3);
    d.setQuantum(LARGEST);
    [1, 2, 4].forEach((w, i) => {
      d.setWeight(i, w);
    });
    const served = run(d, [() => 64, () => 1500, () => 65_536], 30_000, () => {});
    const unit = (served[2] as number) / 4;
    expect((served[0] as number) / unit).toBeCloseTo(1, 1);
    expect((served[1] as number) / unit / 2).toBeCloseTo(1, 1);
  });

  it("12.1: a flow that runs empty loses its deficit, and others take its share", () => {
    const d = new Dispatcher(2);
    d.setQuantum(1000);
    d.enqueue(0, 100);
    expect(d.next()).toBe(0);
    expect(d.next()).toBe(-1);
    for (let i = 0; i < 30; i++) d.enqueue(1, 100);
    expect(d.next()).toBe(1);
    for (let i = 0; i < 30; i++) d.enqueue(0, 100);
    // Flow 1 finishes the visit that it has begun, then flow 0 has exactly one quantum.
    const order = Array.from({ length: 21 }, () => d.next()).join("");
    expect(order).toBe("111111111000000000011");
  });

  it("12.1: a flow that is not ready is passed over", () => {
    const d = new Dispatcher(2);
    d.setQuantum(1000);
    d.enqueue(0, 10);
    d.enqueue(1, 10);
    d.setReady(0, false);
    expect([d.next(), d.next()]).toEqual([1, -1]);
    d.setReady(0, true);
    expect(d.next()).toBe(0);
  });
});

describe("dispatcher, other policies", () => {
  const order = (policy: number, weights: readonly number[]) => {
    const d = new Dispatcher(weights.length);
    d.setPolicy(policy);
    weights.forEach((w, i) => {
      d.setWeight(i, w);
    });
    for (let n = 0; n < 6; n++)
      weights.forEach((_, i) => {
        d.enqueue(i, i === 0 ? 60_000 : 100);
      });
    d.enqueue(0, 1);
    return Array.from({ length: 6 * weights.length }, () => d.next()).join("");
  };
  it("12.1: FIFO serves in the order of arrival", () => expect(order(POLICY.fifo, [1, 5])).toBe("010101010101"));
  it("12.1: round robin serves one command a visit", () =>
    expect(order(POLICY.roundRobin, [3, 1])).toBe("010101010101"));
  it("12.1: weighted round robin serves w commands a visit", () =>
    expect(order(POLICY.weightedRoundRobin, [1, 3]).slice(0, 8)).toBe("01110111"));
});

describe("dispatcher, state", () => {
  it("goes on after a save and a load as if nothing had been", () => {
    const make = () => {
      const d = new Dispatcher(3);
      d.setQuantum(1000);
      return d;
    };
    const d = make();
    for (let i = 0; i < 90; i++) d.enqueue(i % 3, 50 + 37 * (i % 11));
    for (let i = 0; i < 20; i++) d.next();
    const copy = make();
    copy.load(d.save(), "dispatcher");
    expect(Array.from({ length: 71 }, () => copy.next())).toEqual(Array.from({ length: 71 }, () => d.next()));
  });
  it("clear drops a flow's costs and no other's", () => {
    const d = new Dispatcher(2);
    d.setQuantum(100);
    d.enqueue(0, 1);
    d.enqueue(1, 1);
    d.clear(0);
    expect([d.length(0), d.next(), d.next()]).toEqual([0, 1, -1]);
  });
});
