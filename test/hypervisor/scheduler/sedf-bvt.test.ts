import { describe, expect, it } from "vitest";
import { BvtScheduler } from "../../../src/hypervisor/scheduler/bvt.ts";
import {
  createScheduler,
  hog,
  type Schedulable,
  SchedulerSimulation,
} from "../../../src/hypervisor/scheduler/index.ts";
import { SedfScheduler } from "../../../src/hypervisor/scheduler/sedf.ts";

/** Units of 100 ps. */
const MS = 10_000_000;
const US = 10_000;

function vcpu(id: number, domain = id): Schedulable {
  return { id, domain, affinity: -1 };
}

describe("SEDF of Xen 3.3", () => {
  it("domain 0 has 15 of every 20 ms by default, the rest is extra time shared in quanta of 500 us", () => {
    const s = new SchedulerSimulation(createScheduler("sedf", 1), 1);
    s.addDomain(0);
    s.addDomain(1, {});
    const zero = s.add({ domain: 0, workload: hog() });
    const one = s.add({ domain: 1, workload: hog() });
    s.run(2000 * MS);
    const [a, b] = [s.dispatcher.account(zero).running, s.dispatcher.account(one).running];
    // 15 ms and half of the remaining 5.
    expect(a / (2000 * MS)).toBeCloseTo(0.875, 1);
    expect(b / (2000 * MS)).toBeCloseTo(0.125, 1);
    expect(a / (2000 * MS)).toBeGreaterThanOrEqual(0.75);
  });

  it("a slice is kept whatever the others want: 40 of 100 ms and 20 of 50 ms without extra time", () => {
    const s = new SchedulerSimulation(createScheduler("sedf", 1), 1);
    s.addDomain(1, { period: 100_000, slice: 40_000, extratime: false });
    s.addDomain(2, { period: 50_000, slice: 20_000, extratime: false });
    s.addDomain(3);
    const a = s.add({ domain: 1, workload: hog() });
    const b = s.add({ domain: 2, workload: hog() });
    const c = s.add({ domain: 3, workload: hog() });
    s.run(2000 * MS);
    expect(s.dispatcher.account(a).running / MS).toBeCloseTo(800, -1);
    expect(s.dispatcher.account(b).running / MS).toBeCloseTo(800, -1);
    expect(s.dispatcher.account(c).running / MS).toBeGreaterThan(380);
  });

  it("extra time comes in quanta of 500 us, and not in a rest shorter than that before a period begins", () => {
    const s = new SedfScheduler(1);
    s.addDomain(1, { period: 1000, slice: 700, extratime: true });
    const v = vcpu(1);
    s.add(v, 0);
    s.wake(v, 1 * MS);
    // A first wake's deadline is one slice away, and counts as a short block: the period after it begins at 1.7 ms.
    expect(s.schedule(0, 1 * MS)).toMatchObject({ vcpu: v, slice: 500 * US });
    expect(s.schedule(0, 1 * MS + 500 * US)).toMatchObject({ vcpu: null, slice: 200 * US });
    expect(s.schedule(0, 1 * MS + 700 * US)).toMatchObject({ vcpu: v, slice: 700 * US });
    expect(s.schedule(0, 2 * MS + 400 * US)).toMatchObject({ vcpu: null, slice: 300 * US });
    expect(s.schedule(0, 2 * MS + 700 * US)).toMatchObject({ vcpu: v, slice: 700 * US });
  });

  it("extra time is shared by the inverse of the score: extraweight 1 and 3", () => {
    const s = new SchedulerSimulation(createScheduler("sedf", 1), 1);
    s.addDomain(1, { extraweight: 1 });
    s.addDomain(2, { extraweight: 3 });
    const a = s.add({ domain: 1, workload: hog() });
    const b = s.add({ domain: 2, workload: hog() });
    s.run(2000 * MS);
    const ratio = s.dispatcher.account(b).running / s.dispatcher.account(a).running;
    expect(ratio).toBeGreaterThan(2.8);
    expect(ratio).toBeLessThan(3.2);
  });

  it("limits: period 10 us to 10 s, slice from 5 us to the period", () => {
    const s = new SedfScheduler(1);
    expect(() => s.addDomain(1, { period: 9 })).toThrow("period=9");
    expect(() => s.addDomain(1, { period: 10_000_001 })).toThrow("period=10000001");
    expect(() => s.addDomain(1, { slice: 4 })).toThrow("slice=4");
    s.addDomain(1, { period: 10, slice: 5 });
    expect(() => s.addDomain(2, { period: 20, slice: 21 })).toThrow("slice=21");
  });
});

describe("BVT before August 2006", () => {
  it("a begun unit of 100 us costs 10 of virtual time", () => {
    const s = new BvtScheduler(1);
    s.addDomain(1, {});
    s.addDomain(2, { advance: 5 });
    const [a, b] = [vcpu(1), vcpu(2)];
    s.add(a, 0);
    s.add(b, 0);
    s.wake(a, 0);
    s.schedule(0, 0);
    s.block(a, 250 * US);
    s.wake(b, 250 * US);
    s.schedule(0, 250 * US);
    expect(s.virtualTime(a).avt).toBe(30);
    s.schedule(0, 500 * US);
    expect(s.virtualTime(b).avt).toBe(15);
  });

  it("alone: ten times the allowance of 5 ms; with another: the allowance and the lead, units counted as nanoseconds", () => {
    const s = new BvtScheduler(1);
    for (const n of [1, 2]) s.addDomain(n, {});
    const [a, b] = [vcpu(1), vcpu(2)];
    s.add(a, 0);
    s.add(b, 0);
    s.wake(a, 0);
    expect(s.schedule(0, 0)).toMatchObject({ vcpu: a, slice: 50 * MS });
    // a leads by 10 units at 1 ms: EVT 100 against 0, b preempts and may run 10 ns beyond 5 ms.
    expect(s.wake(b, 1 * MS)).toBe(1);
    expect(s.schedule(0, 1 * MS)).toMatchObject({ vcpu: b, slice: 5 * MS + 10 * 10 });
  });

  it("a long sleeper comes back with the virtual time of the CPU, not with its own", () => {
    const s = new SchedulerSimulation(createScheduler("bvt", 1), 1);
    for (const n of [1, 2]) s.addDomain(n);
    s.add({ domain: 1, workload: hog() });
    const late = s.add({
      domain: 2,
      workload: (function* () {
        yield { do: "sleep", until: 1000 * MS } as const;
        yield* hog();
      })(),
    });
    s.run(1200 * MS);
    // Half of 200 ms, and at most half of the 50 ms that the CPU's virtual time is behind while one runs alone.
    expect(s.dispatcher.account(late).running / MS).toBeGreaterThanOrEqual(95);
    expect(s.dispatcher.account(late).running / MS).toBeLessThanOrEqual(126);
  });

  it("warp: a domain ahead by its warp value preempts one with less virtual time, for 2 s of running, then not for 1 s", () => {
    const s = new SchedulerSimulation(createScheduler("bvt", 1), 1);
    s.addDomain(1);
    s.addDomain(2, { warp: true, warpValue: 1_000_000 });
    s.add({ domain: 1, workload: hog() });
    const warped = s.add({ domain: 2, workload: hog() });
    s.run(40 * MS);
    expect(s.dispatcher.account(warped).running / MS).toBeGreaterThan(34);
  });
});

describe("BVT warp limits", () => {
  it("a warp ends after warpLimit milliseconds in one go and comes back after unwarp", () => {
    const s = new BvtScheduler(1);
    s.addDomain(1, {});
    s.addDomain(2, { warp: true, warpValue: 100_000, warpLimit: 3, unwarp: 7 });
    const [a, b] = [vcpu(1), vcpu(2)];
    s.add(a, 0);
    s.add(b, 0);
    s.wake(a, 0);
    s.wake(b, 0);
    expect(s.schedule(0, 0).vcpu).toBe(b);
    expect(s.virtualTime(b).evt).toBe(-100_000);
    expect(s.nextTick(0)).toBe(3 * MS);
    expect(s.tick(0, 3 * MS)).toBe(0);
    expect(s.schedule(0, 3 * MS).vcpu).toBe(a);
    expect(s.virtualTime(b).evt).toBe(300);
    expect(s.nextTick(0)).toBe(10 * MS);
    expect(s.tick(0, 10 * MS)).toBe(1);
  });
});
