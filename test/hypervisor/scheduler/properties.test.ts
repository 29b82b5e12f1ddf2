import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BvtScheduler } from "../../../src/hypervisor/scheduler/bvt.ts";
import {
  createScheduler,
  hog,
  periodic,
  type Schedulable,
  type SchedulerOptions,
  SchedulerSimulation,
} from "../../../src/hypervisor/scheduler/index.ts";
import { check } from "../../support/soak.ts";

/** Units of 100 ps. */
const MS = 10_000_000;
const RUNS = { numRuns: 30, seed: 7 };

const mixed = fc.array(
  fc.oneof(
    fc.constant<readonly [number, number]>([0, 0]),
    fc.tuple(fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: 1, max: 20_000 })),
  ),
  { minLength: 1, maxLength: 8 },
);

interface Machine {
  readonly simulation: SchedulerSimulation;
  readonly vcpus: Schedulable[];
}

/** vCPUs, a domain each: [0, 0] computes always, else sleeps and computes so many microseconds in turn. */
function machine(
  name: string,
  cpus: number,
  loads: readonly (readonly [number, number])[],
  options: SchedulerOptions = {},
  onDispatch?: (m: Machine) => void,
): Machine {
  const vcpus: Schedulable[] = [];
  const simulation = new SchedulerSimulation(createScheduler(name, cpus, options), cpus, {
    observe: () => onDispatch?.({ simulation, vcpus }),
  });
  for (const [n, [sleep, compute]] of loads.entries()) {
    simulation.addDomain(n + 1);
    const workload = compute === 0 ? hog() : periodic((sleep * MS) / 1000, (compute * MS) / 1000, "io");
    vcpus.push(simulation.add({ domain: n + 1, workload }));
  }
  return { simulation, vcpus };
}

/** Time in which some CPU idled although a vCPU was waiting to run, by stepping a millisecond at a time. */
function wasted({ simulation, vcpus }: Machine, cpus: number, end: number): number {
  let bad = 0;
  for (let t = 0; t < end; t += MS / 7) {
    simulation.run(t);
    const idle = Array.from({ length: cpus }, (_, c) => c).filter((c) => simulation.dispatcher.current(c) === null);
    const waiting = vcpus.filter((v) => ["waiting", "stolen"].includes(simulation.dispatcher.account(v).state));
    if (idle.length > 0 && waiting.length > 0) bad++;
  }
  return bad;
}

const BALANCING = ["round-robin", "credit", "credit-sorted", "adjustable-credit", "preemptive-io"];

describe("work conserving", () => {
  it.each(BALANCING)("%s: no CPU idles while a vCPU waits (1 to 4 CPUs)", (name) => {
    check(
      fc.property(fc.integer({ min: 1, max: 4 }), mixed, (cpus, loads) => {
        expect(wasted(machine(name, cpus, loads), cpus, 200 * MS)).toBe(0);
      }),
      RUNS,
    );
  });

  it("bvt, which has no balancer: on one CPU", () => {
    check(
      fc.property(mixed, (loads) => {
        expect(wasted(machine("bvt", 1, loads), 1, 200 * MS)).toBe(0);
      }),
      RUNS,
    );
  });
});

describe("time is accounted for to the unit", () => {
  it.each([...BALANCING, "bvt", "sedf"])("%s: a vCPU's times add up to its life, a CPU's to the clock", (name) => {
    check(
      fc.property(fc.integer({ min: 1, max: 3 }), mixed, (cpus, loads) => {
        const { simulation, vcpus } = machine(name, cpus, loads);
        const end = 300 * MS;
        simulation.run(end);
        let running = 0;
        for (const v of vcpus) {
          const a = simulation.dispatcher.account(v);
          expect(a.running + a.waiting + a.stolen + a.blocked).toBe(end);
          running += a.running;
        }
        let busy = 0;
        for (let c = 0; c < cpus; c++) {
          const a = simulation.dispatcher.cpuAccount(c);
          expect(a.busy + a.idle).toBe(end);
          busy += a.busy;
        }
        expect(running).toBe(busy);
      }),
      RUNS,
    );
  });
});

describe("no starvation where the policy promises none", () => {
  // Hogs only: in a window of two rounds of the longest slice everyone runs.
  it.each([
    ["round-robin", 10],
    ["credit", 30],
    ["bvt", 50],
    ["sedf", 1],
  ] as const)("%s: every hog runs within two rounds of %i ms", (name, slice) => {
    check(
      fc.property(fc.integer({ min: 2, max: 8 }), (count) => {
        const m = machine(name, 1, new Array(count).fill([0, 0]));
        const window = 2 * count * slice * MS;
        const before = new Array<number>(count).fill(0);
        for (let n = 1; n <= 8; n++) {
          m.simulation.run(n * window);
          for (const [i, v] of m.vcpus.entries()) {
            const { running } = m.simulation.dispatcher.account(v);
            expect(running).toBeGreaterThan(before[i] as number);
            before[i] = running;
          }
        }
      }),
      { numRuns: 7, seed: 7 },
    );
  });

  it("preemptive-io: a vCPU with completions without end leaves others half the CPU and more by its credits", () => {
    const s = new SchedulerSimulation(createScheduler("preemptive-io", 1), 1);
    s.addDomain(1);
    s.addDomain(2);
    s.add({ domain: 1, workload: periodic(MS / 100, 10 * MS, "io") });
    const victim = s.add({ domain: 2, workload: hog() });
    s.run(3000 * MS);
    expect(s.dispatcher.account(victim).running / (3000 * MS)).toBeGreaterThan(0.45);
  });
});

describe("shares within one slice of the weights", () => {
  /** Running times in `span` after the first second, in which all are made active one after the other. */
  function shares(name: string, options: SchedulerOptions, weights: readonly number[], span: number): number[] {
    const s = new SchedulerSimulation(createScheduler(name, 1, options), 1);
    const vcpus = weights.map((weight, n) => {
      s.addDomain(n + 1, { weight });
      return s.add({ domain: n + 1, workload: hog() });
    });
    s.run(1000 * MS);
    const from = vcpus.map((v) => s.dispatcher.account(v).running);
    s.run(1000 * MS + span);
    return vcpus.map((v, n) => s.dispatcher.account(v).running - (from[n] as number));
  }

  it.each([false, true])("credit, exactDebit %s: hogs of equal weight on one CPU", (exactDebit) => {
    check(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.integer({ min: 16, max: 1024 }), (count, weight) => {
        for (const ran of shares("credit", { exactDebit }, new Array(count).fill(weight), 6000 * MS)) {
          expect(Math.abs(ran - (6000 * MS) / count) / MS).toBeLessThanOrEqual(30);
        }
      }),
      RUNS,
    );
  });

  it.each(["credit", "credit-sorted"])("%s with exact debit: two hogs of any weights", (name) => {
    const weight = fc.integer({ min: 64, max: 1024 });
    check(
      fc.property(weight, weight, (a, b) => {
        const [ran] = shares(name, { exactDebit: true }, [a, b], 6000 * MS);
        expect(Math.abs((ran ?? 0) - (6000 * MS * a) / (a + b)) / MS).toBeLessThanOrEqual(30);
      }),
      RUNS,
    );
  });

  it("credit: three and more uneven weights are not promised a slice (credits end at 300), but who weighs no more than the average is", () => {
    check(
      fc.property(fc.array(fc.integer({ min: 1, max: 1024 }), { minLength: 3, maxLength: 8 }), (weights) => {
        const total = weights.reduce((a, b) => a + b, 0);
        const ran = shares("credit", {}, weights, 6000 * MS);
        for (const [n, weight] of weights.entries()) {
          // It cannot come to 300 while it waits for its turn, so it loses nothing; what others lose goes to all.
          if (weight * weights.length > total) continue;
          expect((ran[n] as number) - (6000 * MS * weight) / total).toBeGreaterThanOrEqual(-30 * MS);
        }
      }),
      RUNS,
    );
  });

  it("bvt: hogs by the inverse of `advance`, virtual times within one allowance", () => {
    check(
      fc.property(fc.array(fc.integer({ min: 5, max: 40 }), { minLength: 2, maxLength: 5 }), (advances) => {
        const scheduler = new BvtScheduler(1);
        const s = new SchedulerSimulation(scheduler, 1);
        const vcpus = advances.map((advance, n) => {
          s.addDomain(n + 1, { advance });
          return s.add({ domain: n + 1, workload: hog() });
        });
        s.run(3000 * MS);
        const times = vcpus.map((v) => scheduler.virtualTime(v).avt);
        const least = Math.min(...times);
        const total = advances.reduce((a, b) => a + 1 / b, 0);
        for (const [n, v] of vcpus.entries()) {
          const advance = advances[n] as number;
          // 5 ms are 50 units, and one that has only begun.
          expect((times[n] as number) - least).toBeLessThanOrEqual(51 * advance);
          // So one vCPU may be ahead by an allowance, or behind by its share of what all the others are ahead; a run is charged for up to 51 units of 50.
          const share = 1 / advance / total;
          const bound = 5 * MS * Math.max(1 - share, share * (advances.length - 1));
          const due = 3000 * MS * share;
          expect(Math.abs(s.dispatcher.account(v).running - due)).toBeLessThanOrEqual(bound + due / 50);
        }
      }),
      RUNS,
    );
  });
});

describe("caps are held", () => {
  it.each([false, true])("credit, exactDebit %s: no more than the cap and one slice", (exactDebit) => {
    check(
      fc.property(fc.integer({ min: 10, max: 90 }), fc.boolean(), (cap, rival) => {
        const s = new SchedulerSimulation(createScheduler("credit", 2, { exactDebit }), 2);
        s.addDomain(1, { cap });
        s.addDomain(2);
        const capped = s.add({ domain: 1, workload: hog() });
        if (rival) s.add({ domain: 2, workload: hog() });
        s.run(6000 * MS);
        expect(s.dispatcher.account(capped).running / MS).toBeLessThanOrEqual(60 * cap + 60);
        expect(s.dispatcher.account(capped).running / MS).toBeGreaterThanOrEqual(60 * cap - 120);
      }),
      { numRuns: 20, seed: 7 },
    );
  });
});

describe("saved and restored", () => {
  it.each([...BALANCING, "bvt", "sedf"])(
    "%s: the state after a restore is the state, and gives the same future",
    (name) => {
      check(
        fc.property(fc.integer({ min: 1, max: 3 }), mixed, (cpus, loads) => {
          const a = machine(name, cpus, loads);
          a.simulation.run(95 * MS);
          const saved = a.simulation.dispatcher.save();
          const b = machine(name, cpus, loads);
          b.simulation.dispatcher.load(saved);
          expect(b.simulation.dispatcher.save()).toEqual(saved);
          for (let c = 0; c < cpus; c++) {
            const at = a.simulation.dispatcher.deadline(c);
            expect(b.simulation.dispatcher.deadline(c)).toBe(at);
            if (at === Number.MAX_SAFE_INTEGER) continue;
            const left = a.simulation.dispatcher.dispatch(c, at);
            expect(b.simulation.dispatcher.dispatch(c, at)?.id).toBe(left?.id);
          }
          expect(b.simulation.dispatcher.save()).toEqual(a.simulation.dispatcher.save());
        }),
        RUNS,
      );
    },
  );
});
