import { describe, expect, it } from "vitest";
import { CreditScheduler } from "../../../src/hypervisor/scheduler/credit.ts";
import {
  createScheduler,
  hog,
  periodic,
  type Schedulable,
  type SchedulerOptions,
  SchedulerSimulation,
  type Workload,
} from "../../../src/hypervisor/scheduler/index.ts";

/** Units of 100 ps. */
const MS = 10_000_000;
const US = 10_000;

const [BOOST, UNDER, OVER] = [0, -1, -2];

class Vcpu implements Schedulable {
  readonly id: number;
  readonly domain: number;
  affinity = -1;
  constructor(id: number, domain = id) {
    this.id = id;
    this.domain = domain;
  }
}

/** A scheduler with vCPUs 1.., a domain each, all awake. */
function setUp(count: number, cpus = 1, options: SchedulerOptions = {}): { s: CreditScheduler; v: Vcpu[] } {
  const s = new CreditScheduler(cpus, options);
  const v = Array.from({ length: count }, (_, n) => new Vcpu(n + 1));
  for (const one of v) {
    s.addDomain(one.domain, {});
    s.add(one, 0);
  }
  return { s, v };
}

function at<T>(list: readonly T[], n: number): T {
  const value = list[n];
  if (value === undefined) throw new Error(`no element ${n}`);
  return value;
}

describe("credit scheduler of Xen 3.3: ticks and slices", () => {
  it("a slice is 30 ms, a tick 10 ms", () => {
    const { s, v } = setUp(1);
    s.wake(at(v, 0), 0, "event");
    expect(s.schedule(0, 0)).toMatchObject({ vcpu: at(v, 0), slice: 30 * MS });
    expect(s.nextTick(0)).toBe(10 * MS);
    s.tick(0, 10 * MS);
    expect(s.nextTick(0)).toBe(20 * MS);
  });

  it("who runs at the tick pays 100 credits for all of it, whoever ran before", () => {
    const { s, v } = setUp(2);
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.block(at(v, 0), 9_500 * US);
    s.wake(at(v, 1), 9_500 * US, "event");
    s.schedule(0, 9_500 * US);
    s.tick(0, 10 * MS);
    expect([s.creditOf(at(v, 0)), s.creditOf(at(v, 1))]).toEqual([0, -100]);
  });

  it("option exactDebit: 100,000 credits a millisecond and one more, at each switch", () => {
    const { s, v } = setUp(1, 1, { exactDebit: true });
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.block(at(v, 0), 9_500 * US);
    s.schedule(0, 9_500 * US);
    expect(s.creditOf(at(v, 0))).toBe(-950_001);
  });

  it("accounting every third tick of CPU 0 hands out 300 credits, by weight, rounded up", () => {
    const { s, v } = setUp(2);
    s.setDomain(1, { weight: 512 });
    for (const one of v) s.wake(one, 0, "event");
    // Each runs at a tick, so that both are active.
    s.schedule(0, 0);
    s.tick(0, 10 * MS);
    s.block(at(v, 0), 10 * MS);
    expect(s.schedule(0, 10 * MS).vcpu).toBe(at(v, 1));
    s.wake(at(v, 0), 10 * MS, "event");
    s.tick(0, 20 * MS);
    expect([s.creditOf(at(v, 0)), s.creditOf(at(v, 1))]).toEqual([-100, -100]);
    s.tick(0, 30 * MS);
    // 300 x 512 / 768 = 200; 300 x 256 / 768 = 100; the second ran at two ticks.
    expect([s.creditOf(at(v, 0)), s.creditOf(at(v, 1))]).toEqual([100, -100]);
    expect([s.priorityOf(at(v, 0)), s.priorityOf(at(v, 1))]).toEqual([UNDER, OVER]);
  });

  it("a domain gets no more than 300 credits an active vCPU; credits above 300 end its earning and become 0", () => {
    const { s, v } = setUp(1, 2);
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.tick(0, 10 * MS);
    s.block(at(v, 0), 10 * MS);
    s.schedule(0, 10 * MS);
    s.tick(0, 20 * MS);
    s.tick(0, 30 * MS);
    expect(s.creditOf(at(v, 0))).toBe(200);
    for (let n = 4; n <= 6; n++) s.tick(0, n * 10 * MS);
    expect(s.creditOf(at(v, 0))).toBe(0);
    for (let n = 7; n <= 9; n++) s.tick(0, n * 10 * MS);
    expect(s.creditOf(at(v, 0))).toBe(0);
  });

  it("option halveCredits: half is kept", () => {
    const { s, v } = setUp(1, 2, { halveCredits: true });
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.tick(0, 10 * MS);
    s.block(at(v, 0), 10 * MS);
    s.schedule(0, 10 * MS);
    for (let n = 2; n <= 6; n++) s.tick(0, n * 10 * MS);
    expect(s.creditOf(at(v, 0))).toBe(250);
  });
});

describe("credit scheduler of Xen 3.3: wake and priorities", () => {
  it("a vCPU that wakes as UNDER is BOOSTed and preempts one that is UNDER; a tick that finds it running ends that", () => {
    const { s, v } = setUp(2);
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.tick(0, 10 * MS);
    expect(s.priorityOf(at(v, 0))).toBe(UNDER);
    expect(s.wake(at(v, 1), 11 * MS, "event")).toBe(1);
    expect(s.priorityOf(at(v, 1))).toBe(BOOST);
    expect(s.schedule(0, 11 * MS).vcpu).toBe(at(v, 1));
    s.tick(0, 20 * MS);
    expect(s.priorityOf(at(v, 1))).toBe(UNDER);
  });

  it("a boosted vCPU does not preempt a boosted one: tickle needs a strictly higher priority", () => {
    const { s, v } = setUp(2);
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    expect(s.wake(at(v, 1), MS, "event")).toBe(0);
  });

  it("option boost: false: waking as UNDER stays UNDER and waits its turn", () => {
    const { s, v } = setUp(2, 1, { boost: false });
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    expect(s.wake(at(v, 1), MS, "event")).toBe(0);
    expect(s.priorityOf(at(v, 1))).toBe(UNDER);
  });

  it("option tickle: false: the boosted vCPU is first in the queue but interrupts nobody", () => {
    const { s, v } = setUp(2, 1, { tickle: false });
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.tick(0, 10 * MS);
    expect(s.wake(at(v, 1), 11 * MS, "event")).toBe(0);
    expect(s.schedule(0, 30 * MS).vcpu).toBe(at(v, 1));
  });

  it("a wake on a busy CPU tickles all idlers; option tickleOneIdler: one, in turn", () => {
    for (const [one, expected] of [
      [false, [0b1110, 0b1110]],
      [true, [0b0010, 0b0100]],
    ] as const) {
      const { s, v } = setUp(9, 4, { tickleOneIdler: one, boost: false });
      s.wake(at(v, 0), 0, "event");
      s.schedule(0, 0);
      // vCPUs 5 and 9 live on CPU 0 too: homes are handed out in turn.
      expect([s.wake(at(v, 4), MS, "event"), s.wake(at(v, 8), MS, "event")]).toEqual(expected);
    }
  });

  it("a CPU with nothing to run steals the head of its neighbour's queue", () => {
    const { s, v } = setUp(3, 2);
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.wake(at(v, 2), 0, "event");
    expect(s.schedule(1, 0).vcpu).toBe(at(v, 2));
  });

  it("but not what is pinned elsewhere, and nothing from a CPU that idles", () => {
    const { s, v } = setUp(3, 2);
    at(v, 2).affinity = 1;
    s.wake(at(v, 0), 0, "event");
    expect(s.schedule(1, 0).vcpu).toBeNull();
    s.schedule(0, 0);
    s.wake(at(v, 2), 0, "event");
    expect(s.schedule(1, 0).vcpu).toBeNull();
  });

  it("yield goes behind its equals; option yield: behind one of lower priority too", () => {
    for (const [option, first] of [
      [false, 1],
      [true, 2],
    ] as const) {
      const { s, v } = setUp(2, 1, { yield: option });
      const [a, b] = [at(v, 0), at(v, 1)];
      s.wake(b, 0, "event");
      s.schedule(0, 0);
      // b pays three ticks and earns 300, pays two and earns half of 300: -50. a pays one and earns the other half.
      for (let n = 1; n <= 5; n++) s.tick(0, n * 10 * MS);
      s.wake(a, 51 * MS, "event");
      expect(s.schedule(0, 51 * MS).vcpu).toBe(a);
      s.tick(0, 60 * MS);
      expect([s.priorityOf(a), s.priorityOf(b)]).toEqual([UNDER, OVER]);
      s.yield(a, 61 * MS);
      expect(s.schedule(0, 61 * MS).vcpu?.id).toBe(first);
    }
  });

  it("option rateLimit: the running vCPU is left alone until it ran 1000 us", () => {
    const { s, v } = setUp(2, 1, { rateLimit: 1000 });
    s.wake(at(v, 0), 0, "event");
    s.schedule(0, 0);
    s.tick(0, 10 * MS);
    s.block(at(v, 0), 10 * MS);
    s.schedule(0, 10 * MS);
    s.wake(at(v, 0), 10_100 * US, "event");
    s.schedule(0, 10_100 * US);
    s.wake(at(v, 1), 10_400 * US, "event");
    expect(s.schedule(0, 10_400 * US)).toMatchObject({ vcpu: at(v, 0), slice: 700 * US });
    expect(s.schedule(0, 11_100 * US).vcpu).toBe(at(v, 1));
  });
});

describe("credit scheduler: the balancer between cores", () => {
  it.each([
    [false, BOOST],
    [true, UNDER],
  ])("two threads of one core, another core idle: a tick moves one; noBoostOnMigrate %s", (option, priority) => {
    const { s, v } = setUp(2, 4, { threadsPerCore: 2, noBoostOnMigrate: option });
    for (const [n, one] of v.entries()) {
      s.wake(one, 0, "event");
      s.schedule(n, 0);
    }
    expect(s.tick(1, 10 * MS)).toBe(0);
    expect(s.tick(1, 20 * MS)).toBe(0b10);
    const choice = s.schedule(1, 20 * MS);
    expect(choice.vcpu).toBeNull();
    expect(choice.tickled).toBe(0b0100);
    expect(s.priorityOf(at(v, 1))).toBe(priority);
    expect(s.schedule(2, 20 * MS).vcpu).toBe(at(v, 1));
  });
});

/** Runs until 9.5 ms after each tick, then sleeps over the next one; an ordinary hog for the first 35 ms. */
function* rogue(): Workload {
  let now = yield { do: "compute", time: 35 * MS };
  for (;;) {
    const tick = Math.floor(now / (10 * MS)) * 10 * MS;
    now = yield { do: "spin", until: tick + 9_500 * US };
    now = yield { do: "sleep", until: tick + 10 * MS + US, reason: "timer" };
  }
}

describe("theft by sleeping at ticks", () => {
  it.each([
    [false, 0.94, 0.955],
    [true, 0.49, 0.51],
  ])("exactDebit %s: the rogue's share of one CPU against an honest hog", (exactDebit, low, high) => {
    const s = new SchedulerSimulation(createScheduler("credit", 1, { exactDebit }), 1);
    s.addDomain(1);
    s.addDomain(2);
    const thief = s.add({ domain: 1, workload: rogue() });
    s.add({ domain: 2, workload: hog() });
    s.run(10_000 * MS);
    const share = s.dispatcher.account(thief).running / (10_000 * MS);
    expect(share).toBeGreaterThan(low);
    expect(share).toBeLessThan(high);
  });
});

describe("policies on top of credit", () => {
  /** An I/O domain that needs 30 % of the CPU in pieces of 0.3 ms, against seven hogs: its share, and longest wait in ms. */
  function io(name: string, options: SchedulerOptions = {}): { share: number; wait: number } {
    const s = new SchedulerSimulation(createScheduler(name, 1, options), 1);
    s.addDomain(1);
    const v = s.add({ domain: 1, workload: periodic(710 * US, 310 * US, "io") });
    for (let n = 2; n <= 8; n++) {
      s.addDomain(n);
      s.add({ domain: n, workload: hog() });
    }
    s.run(3000 * MS);
    const a = s.dispatcher.account(v);
    return { share: a.running / (3000 * MS), wait: a.longestWait / MS };
  }

  it("adjustable credit gives an I/O domain the CPU that the hogs share, where exact credit accounting does not", () => {
    expect(io("credit", { exactDebit: true }).share).toBeLessThan(0.2);
    expect(io("adjustable-credit", { exactDebit: true }).share).toBeGreaterThan(0.27);
  });

  it("preemptive I/O: a completion waits for nobody while the privilege lasts", () => {
    const { share, wait } = io("preemptive-io");
    expect(share).toBeGreaterThan(0.29);
    expect(wait).toBeLessThan(0.001);
  });

  it("unknown options and values out of range are refused by name", () => {
    expect(() => createScheduler("credit", 1, { exact: true })).toThrow('credit: unknown option "exact"');
    expect(() => createScheduler("credit", 1, { rateLimit: -1 })).toThrow("rateLimit=-1");
    expect(() => createScheduler("cfs", 1)).toThrow('scheduler "cfs": expected one of round-robin, credit');
    expect(() => new CreditScheduler(1).addDomain(1, { weight: 0 })).toThrow("weight=0");
  });
});
