/** The queue of timed notifications and the delta rounds of events with actions, against a list that is searched. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Event, Module, NEVER, Simulation } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

/** What one action does to which event: notify after, schedule at now plus, cancel. */
interface Operation {
  readonly kind: "notify" | "schedule" | "cancel";
  readonly event: number;
  readonly ticks: number;
}
interface Script {
  readonly priorities: readonly number[];
  /** By event, what its first, second, ... firing does; afterwards nothing. */
  readonly firings: readonly (readonly (readonly Operation[])[])[];
  /** What is done from outside before each run, and how long that runs. */
  readonly runs: readonly { readonly before: readonly Operation[]; readonly ticks: number }[];
}

interface Side {
  readonly now: number;
  perform(operation: Operation): void;
  run(until: number): void;
  next(): number;
}

/** The reference: the rules of docs/sim.md for events with an action, as plainly as can be. */
class Naive implements Side {
  now = 0;
  #sequence = 0;
  #pending: { event: number; time: number; delta: boolean; sequence: number }[] = [];
  readonly #script: Script;
  readonly #fire: (event: number) => void;

  constructor(script: Script, fire: (event: number) => void) {
    this.#script = script;
    this.#fire = fire;
  }

  perform({ kind, event, ticks }: Operation): void {
    const time = this.now + ticks;
    const pending = this.#pending.find((p) => p.event === event);
    if (kind === "notify" && pending && (pending.delta || pending.time <= time)) return;
    this.#pending = this.#pending.filter((p) => p.event !== event);
    if (kind !== "cancel") this.#pending.push({ event, time, delta: ticks === 0, sequence: this.#sequence++ });
  }

  run(until: number): void {
    for (;;) {
      for (let round = this.#delta(); round.length > 0; round = this.#delta()) {
        for (const p of round) {
          if (!this.#pending.includes(p)) continue;
          this.#take(p);
        }
      }
      const time = Math.min(...this.#pending.map((p) => p.time));
      if (time > until) break;
      this.now = time;
      for (;;) {
        const due = this.#sorted(this.#pending.filter((p) => !p.delta && p.time === time));
        if (due[0] === undefined) break;
        this.#take(due[0]);
      }
    }
    this.now = until;
  }

  next(): number {
    return Math.min(NEVER, ...this.#pending.map((p) => p.time));
  }
  #delta() {
    return this.#sorted(this.#pending.filter((p) => p.delta));
  }
  #sorted<T extends { event: number; sequence: number }>(list: T[]): T[] {
    const priority = (e: number) => this.#script.priorities[e] ?? 0;
    return list.sort((a, b) => priority(a.event) - priority(b.event) || a.sequence - b.sequence);
  }
  #take(p: { event: number }): void {
    this.#pending = this.#pending.filter((other) => other !== p);
    this.#fire(p.event);
  }
}

class Real implements Side {
  readonly sim = new Simulation();
  readonly #events: Event[];

  constructor(script: Script, fire: (event: number) => void) {
    const top = new Module(this.sim, "top");
    this.#events = script.priorities.map((priority, i) => top.event(`e${i}`, () => fire(i), priority));
  }
  get now(): number {
    return this.sim.now;
  }
  perform({ kind, event, ticks }: Operation): void {
    const target = this.#events[event];
    if (kind === "notify") target?.notify(ticks);
    else if (kind === "schedule") target?.scheduleAt(this.sim.now + ticks);
    else target?.cancel();
  }
  run(until: number): void {
    this.sim.run(until);
  }
  next(): number {
    return this.sim.nextEventTime;
  }
}

function trace(script: Script, make: (fire: (event: number) => void) => Side): string[] {
  const lines: string[] = [];
  const fired = script.firings.map(() => 0);
  const side = make((event) => {
    lines.push(`${side.now} e${event}`);
    const n = fired[event] ?? 0;
    fired[event] = n + 1;
    for (const operation of script.firings[event]?.[n] ?? []) side.perform(operation);
  });
  for (const { before, ticks } of script.runs) {
    for (const operation of before) side.perform(operation);
    lines.push(`next ${side.next()}`);
    side.run(side.now + ticks);
    lines.push(`at ${side.now}`);
  }
  return lines;
}

const EVENTS = 8;
/** Many ties, all levels of the wheel, and times around 2^32 where the high word begins. */
const ticks = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 100 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 100_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 4_294_967_200, max: 4_294_967_400 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 46 }) },
);
const operation = fc.record({
  kind: fc.constantFrom("notify", "notify", "notify", "schedule", "schedule", "cancel") as fc.Arbitrary<
    Operation["kind"]
  >,
  event: fc.nat(EVENTS - 1),
  ticks,
});
const script: fc.Arbitrary<Script> = fc.record({
  priorities: fc.array(fc.constantFrom(0, 0, 0, -1, 5), { minLength: EVENTS, maxLength: EVENTS }),
  firings: fc.array(fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 8 }), {
    minLength: EVENTS,
    maxLength: EVENTS,
  }),
  runs: fc.array(fc.record({ before: fc.array(operation, { maxLength: 12 }), ticks }), { minLength: 1, maxLength: 6 }),
});

describe("queue", () => {
  it("fires in the order (time, priority, sequence), delta rounds within an instant, whatever is done to it", () => {
    check(
      fc.property(script, (s) => {
        expect(trace(s, (fire) => new Real(s, fire))).toEqual(trace(s, (fire) => new Naive(s, fire)));
      }),
      { numRuns: 1500 },
    );
  });

  it("keeps the order among thousands of events of few instants", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const fired: string[] = [];
    const expected: { time: number; priority: number; i: number }[] = [];
    let state = 12345;
    for (let i = 0; i < 5000; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      const time = 1 + ((state >>> 8) % 20) * 50;
      const priority = (state >>> 20) % 3;
      top.event(`e${i}`, () => fired.push(`${sim.now} ${i}`), priority).scheduleAt(time);
      expected.push({ time, priority, i });
    }
    sim.run();
    expected.sort((a, b) => a.time - b.time || a.priority - b.priority || a.i - b.i);
    expect(fired).toEqual(expected.map((e) => `${e.time} ${e.i}`));
  });

  it("a delta notification that is cancelled stays so, whatever a round of several priorities has left behind", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const fired: string[] = [];
    const cancelled = top.event("cancelled", () => fired.push("cancelled"));
    const urgent = top.event("urgent", () => fired.push("urgent"), -1);
    const timer = top.event("timer", () => fired.push("timer"));
    const other = top.event("other", () => fired.push("other"));
    const cancelling = top.event("cancelling", () => timer.cancel());
    for (const e of [cancelled, urgent, timer]) e.notify(0);
    cancelled.cancel();
    sim.runDelta();
    expect(fired).toEqual(["urgent", "timer"]);
    // The timer has the third place again, and is cancelled while the round is under way.
    for (const e of [cancelling, other, timer]) e.notify(0);
    sim.runDelta();
    expect(fired).toEqual(["urgent", "timer", "other"]);
    timer.notify(5);
    sim.run(10);
    expect(fired).toEqual(["urgent", "timer", "other", "timer"]);
  });

  it("takes insertions before the time of the event it has looked at last", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const fired: number[] = [];
    const far = top.event("far", () => fired.push(sim.now));
    const near = top.event("near", () => fired.push(sim.now));
    far.scheduleAt(5_000_000_000);
    sim.run(10);
    near.scheduleAt(20);
    expect(sim.nextEventTime).toBe(20);
    sim.run(30);
    near.scheduleAt(4_999_999_999);
    sim.run();
    expect(fired).toEqual([20, 4_999_999_999, 5_000_000_000]);
  });

  it("goes on where time was set back, as a restore does", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const fired: number[] = [];
    const e = top.event("e", () => fired.push(sim.now));
    const f = top.event("f", () => fired.push(sim.now));
    f.scheduleAt(100_000);
    e.scheduleAt(1000);
    sim.run(2000);
    sim.now = 5;
    e.scheduleAt(7);
    sim.run();
    expect(fired).toEqual([1000, 7, 100_000]);
  });
});
