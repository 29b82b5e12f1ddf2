/** Bad lines: rates within what chance allows (checked for fixed seeds), conservation of counts, repeatable, saved. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Impairments, Link } from "../../src/net/index.ts";
import { MS, SEC, Simulation, US } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

interface Arrival {
  readonly time: number;
  readonly frame: Uint8Array;
}

function setUp(impairments: Impairments, seed = 1) {
  const simulation = new Simulation({ seed });
  const link = new Link(simulation, "link", { rate: 1_000_000_000, delay: 10 * US, queue: 100_000, impairments });
  const arrivals: Arrival[] = [];
  link.attach(1, { receive: (frame) => arrivals.push({ time: simulation.now, frame }) });
  simulation.reset();
  return { simulation, link, arrivals };
}

/** A frame that bears its number. */
function numbered(n: number): Uint8Array {
  const frame = new Uint8Array(100);
  new DataView(frame.buffer).setUint32(14, n);
  return frame;
}
const numberOf = (frame: Uint8Array) => new DataView(frame.buffer, frame.byteOffset).getUint32(14);

function sendAll(bench: ReturnType<typeof setUp>, count: number): number[] {
  for (let i = 0; i < count; i++) bench.link.send(0, numbered(i));
  bench.simulation.run(bench.simulation.now + SEC);
  return bench.arrivals.map(({ frame }) => numberOf(frame));
}

const COUNT = 20_000;
/** Five standard deviations of a share of `COUNT` frames. */
const within = (p: number) => 5 * Math.sqrt((p * (1 - p)) / COUNT);

describe("impairments of a link", () => {
  it("loss: the share asked for is missing, the rest keeps its order and its time", () => {
    const bench = setUp({ loss: 0.1 });
    const numbers = sendAll(bench, COUNT);
    expect(Math.abs(1 - numbers.length / COUNT - 0.1)).toBeLessThan(within(0.1));
    expect(bench.link.counts(0)).toMatchObject({ sent: COUNT, lost: COUNT - numbers.length, received: numbers.length });
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    // 124 bytes of wire time each at 1 Gb/s: 992 ns; then 10 us.
    expect(bench.arrivals.every(({ time, frame }) => time === (numberOf(frame) + 1) * 9_920 + 100_000)).toBe(true);
  });

  it("bursts: as many are lost, in runs of the mean length asked for", () => {
    const bench = setUp({ loss: 0.1, burst: 5 });
    const got = new Set(sendAll(bench, COUNT));
    let runs = 0;
    for (let i = 0; i < COUNT; i++) if (!got.has(i) && (i === 0 || got.has(i - 1))) runs++;
    const lost = COUNT - got.size;
    expect(Math.abs(lost / COUNT - 0.1)).toBeLessThan(0.02);
    expect(Math.abs(lost / runs - 5)).toBeLessThan(0.6);
  });

  it("duplication: both copies arrive at the same instant", () => {
    const bench = setUp({ duplicate: 0.05 });
    const numbers = sendAll(bench, COUNT);
    const extra = numbers.length - COUNT;
    expect(Math.abs(extra / COUNT - 0.05)).toBeLessThan(within(0.05));
    expect(bench.link.counts(0)).toMatchObject({ duplicated: extra, received: numbers.length });
    expect(numbers.filter((n, i) => n === numbers[i - 1])).toHaveLength(extra);
  });

  it("corruption: one bit of a copy; the sender's frame is as it was", () => {
    const bench = setUp({ corrupt: 0.02 });
    const frames = Array.from({ length: COUNT }, (_, i) => numbered(i));
    for (const frame of frames) bench.link.send(0, frame);
    bench.simulation.run(SEC);
    expect(frames.every((f, i) => numberOf(f) === i)).toBe(true);
    const flipped = bench.arrivals.map(({ frame }, i) =>
      frame.reduce((sum, byte, at) => {
        let x = byte ^ ((frames[i] as Uint8Array)[at] as number);
        let bits = 0;
        for (; x !== 0; x >>= 1) bits += x & 1;
        return sum + bits;
      }, 0),
    );
    const changed = flipped.filter((n) => n > 0);
    expect(changed.every((n) => n === 1)).toBe(true);
    expect(changed).toHaveLength(bench.link.counts(0).corrupted);
    expect(Math.abs(changed.length / COUNT - 0.02)).toBeLessThan(within(0.02));
  });

  it("reordering: those held back come the given time later, all others in order", () => {
    const bench = setUp({ reorder: 0.01, reorderDelay: 50 * US });
    const numbers = sendAll(bench, COUNT);
    const late = bench.arrivals.filter(({ time, frame }) => time > (numberOf(frame) + 1) * 9_920 + 100_000);
    expect(late).toHaveLength(bench.link.counts(0).reordered);
    expect(late.every(({ time, frame }) => time === (numberOf(frame) + 1) * 9_920 + 100_000 + 500_000)).toBe(true);
    expect(Math.abs(late.length / COUNT - 0.01)).toBeLessThan(within(0.01));
    const held = new Set(late.map(({ frame }) => numberOf(frame)));
    const rest = numbers.filter((n) => !held.has(n));
    expect(rest).toEqual(rest.toSorted((a, b) => a - b));
    expect(numbers).toHaveLength(COUNT);
  });

  it("jitter: up to the time given, without overtaking", () => {
    const bench = setUp({ jitter: 100 * US });
    for (let i = 0; i < 500; i++) {
      bench.link.send(0, numbered(i));
      bench.simulation.run(bench.simulation.now + MS);
    }
    const extra = bench.arrivals.map(({ time, frame }) => time - numberOf(frame) * MS - 9_920 - 100_000);
    expect(Math.min(...extra)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...extra)).toBeLessThanOrEqual(100 * US);
    expect(Math.max(...extra)).toBeGreaterThan(80 * US);
    const burst = setUp({ jitter: 100 * US });
    expect(sendAll(burst, 1000)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  const impairments = fc.record({
    loss: fc.double({ min: 0, max: 0.9, noNaN: true }),
    burst: fc.integer({ min: 1, max: 5 }),
    duplicate: fc.double({ min: 0, max: 1, noNaN: true }),
    corrupt: fc.double({ min: 0, max: 1, noNaN: true }),
    reorder: fc.double({ min: 0, max: 1, noNaN: true }),
    jitter: fc.integer({ min: 0, max: 1000 }).map((n) => n * US),
  });

  it("sent + duplicated = received + lost + under way, at any time; what arrives is in order of time", () => {
    check(
      fc.property(impairments, fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 2000 }), (bad, n, us) => {
        const bench = setUp(bad);
        for (let i = 0; i < n; i++) bench.link.send(0, numbered(i));
        bench.simulation.run(us * US + 1);
        const c = bench.link.counts(0);
        expect(c.sent + c.duplicated).toBe(c.received + c.lost + bench.link.underWay(0));
        expect(c.received).toBe(bench.arrivals.length);
        bench.simulation.run(bench.simulation.now + SEC);
        expect(bench.link.underWay(0)).toBe(0);
        const times = bench.arrivals.map(({ time }) => time);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
      }),
      { numRuns: 60 },
    );
  });

  it("the same seed gives the same bytes at the same instants, a snapshot in between or not; another seed others", () => {
    check(
      fc.property(impairments, fc.integer({ min: 1, max: 900 }), (bad, us) => {
        const whole = setUp(bad, 7);
        const before = setUp(bad, 7);
        const after = setUp(bad, 7);
        for (const { link } of [whole, before]) for (let i = 0; i < 60; i++) link.send(0, numbered(i));
        before.simulation.run(us * US);
        after.simulation.load(structuredClone(before.simulation.save()));
        expect(after.simulation.stateHash()).toBe(before.simulation.stateHash());
        whole.simulation.run(us * US);
        for (const { link } of [whole, after]) for (let i = 60; i < 80; i++) link.send(0, numbered(i));
        for (const { simulation } of [whole, after]) simulation.run(SEC);
        expect([...before.arrivals, ...after.arrivals]).toEqual(whole.arrivals);
        expect(after.simulation.stateHash()).toBe(whole.simulation.stateHash());
      }),
      { numRuns: 40 },
    );
    const numbers = (seed: number) => sendAll(setUp({ loss: 0.5 }, seed), 200).join();
    expect(numbers(1)).not.toBe(numbers(2));
  });

  it("one impairment's numbers do not move another's", () => {
    const alone = new Set(sendAll(setUp({ loss: 0.2 }), 1000));
    const among = new Set(sendAll(setUp({ loss: 0.2, reorder: 0.3, duplicate: 0.3, jitter: 5 * US }), 1000));
    expect(among).toEqual(alone);
  });

  it("each direction has its own; probabilities beyond 0 to 1 are refused", () => {
    const simulation = new Simulation();
    const link = new Link(simulation, "link", { impairments: [{ loss: 1 }, {}] });
    const heard = [0, 0];
    link.attach(0, { receive: () => heard[0]++ });
    link.attach(1, { receive: () => heard[1]++ });
    link.send(0, numbered(1));
    link.send(1, numbered(1));
    simulation.run(SEC);
    expect(heard).toEqual([1, 0]);
    expect(() => new Link(simulation, "other", { impairments: { loss: 1.5 } })).toThrow(RangeError);
  });
});
