import { describe, expect, it } from "vitest";
import { percentiles, runScheduling } from "../../src/guests/scheduling.ts";
import { MS, SEC } from "../../src/sim/index.ts";

const SHORT = { duration: 500 * MS, warmUp: 100 * MS, scheduler: "round-robin" };

describe("guests of scheduling studies", () => {
  it("equal burners share a CPU equally, and it is used whole", () => {
    const { guests } = runScheduling({ ...SHORT, guests: ["burn", "burn", "burn"], duration: 300 * MS });
    const shares = guests.filter((g) => g.habit === "burn").map((g) => g.running);
    for (const share of shares) expect(share).toBeCloseTo(1 / 3, 1);
    expect(shares.reduce((a, b) => a + b)).toBeGreaterThan(0.98);
  });

  it("a ping alone is answered within a fraction of a millisecond, each of them", () => {
    const { guests } = runScheduling({ ...SHORT, guests: ["ping"] });
    const latency = guests[1]?.latency;
    expect(latency?.lost).toBeLessThanOrEqual(1);
    expect(latency?.count).toBeGreaterThan(40);
    expect(latency?.maximum).toBeLessThan(MS / 5);
  });

  it("under round robin with 10 ms slices a ping waits for two burners' slices", () => {
    const { guests } = runScheduling({ ...SHORT, guests: ["burn", "burn", "ping"], duration: 2 * SEC });
    const p50 = guests[3]?.latency?.p50 ?? 0;
    expect(p50).toBeGreaterThan(20 * MS);
    expect(p50).toBeLessThan(45 * MS);
  });

  it("streams alone are bound by the processor: bytes a second times the cycles of both domains come to the clock", () => {
    const { guests } = runScheduling({ ...SHORT, guests: ["stream", "stream"] });
    const bits = guests.reduce((sum, g) => sum + g.bitsPerSecond, 0);
    const packets = bits / 8 / 1514;
    // 13.4 + 7.1 cycles a byte, 2 x 2000 a packet, of 2.8 GHz
    const used = (packets * (20.5 * 1514 + 4000)) / 2.8e9;
    expect(used).toBeGreaterThan(0.85);
    expect(used).toBeLessThan(1);
  });

  it("two CPUs move more than one", () => {
    const rate = (cpus: number) =>
      runScheduling({ ...SHORT, guests: ["stream", "stream"], cpus }).guests.reduce(
        (sum, g) => sum + g.bitsPerSecond,
        0,
      );
    expect(rate(2)).toBeGreaterThan(rate(1) * 1.3);
  });

  it("the same seed gives the same result, another one other arrivals", () => {
    const run = (seed: number) => runScheduling({ ...SHORT, guests: ["burn", "ping", "stream"], seed });
    expect(run(3)).toEqual(run(3));
    expect(run(4)).not.toEqual(run(3));
  });

  it("percentiles of few and of no samples", () => {
    expect(percentiles([], 2)).toMatchObject({ count: 0, lost: 2, p99: 0 });
    expect(percentiles([5, 1, 3], 3)).toMatchObject({ minimum: 1, p50: 3, maximum: 5, mean: 3, lost: 0 });
  });
});
