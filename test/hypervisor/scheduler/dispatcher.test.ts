import { describe, expect, it } from "vitest";
import { createScheduler, Dispatcher, type Schedulable } from "../../../src/hypervisor/scheduler/index.ts";

/** Units of 100 ps. */
const MS = 10_000_000;

interface Pinned extends Schedulable {
  affinity: number;
}

function setUp(cpus: number, count: number, policy = "credit"): { d: Dispatcher; kicks: number[]; v: Pinned[] } {
  const kicks: number[] = [];
  const d = new Dispatcher(createScheduler(policy, cpus), cpus, { kick: (cpu) => kicks.push(cpu) });
  const v = Array.from({ length: count }, (_, n) => ({ id: n + 1, domain: n + 1, affinity: -1 }));
  for (const one of v) {
    d.addDomain(one.domain);
    d.add(one, 0);
  }
  for (let cpu = 0; cpu < cpus; cpu++) d.dispatch(cpu, 0);
  return { d, kicks, v };
}

describe("dispatcher", () => {
  it("kicks the CPU that is to take a woken vCPU, once, and names its deadline", () => {
    const { d, kicks, v } = setUp(2, 2);
    const [a] = v;
    if (!a) throw new Error();
    d.wake(a, MS);
    d.wake(a, MS);
    expect(kicks).toEqual([0]);
    expect(d.due(0, MS)).toBe(true);
    expect(d.due(1, MS)).toBe(false);
    expect(d.dispatch(0, MS)).toBe(a);
    // The tick at 10 ms comes before the end of the slice at 31 ms.
    expect(d.deadline(0)).toBe(10 * MS);
  });

  it("tells waiting after a wake from time stolen by preemption", () => {
    const { d, v } = setUp(1, 2);
    const [a, b] = v;
    if (!a || !b) throw new Error();
    d.wake(a, 0);
    d.dispatch(0, 1 * MS);
    d.dispatch(0, 10 * MS);
    d.wake(b, 12 * MS);
    expect(d.dispatch(0, 12 * MS)).toBe(b);
    d.block(b, 15 * MS);
    expect(d.dispatch(0, 15 * MS)).toBe(a);
    expect(d.account(a, 20 * MS)).toMatchObject({
      waiting: 1 * MS,
      running: 16 * MS,
      stolen: 3 * MS,
      blocked: 0,
      preemptions: 1,
      dispatches: 2,
      longestWait: 1 * MS,
    });
    expect(d.account(b, 20 * MS)).toMatchObject({ running: 3 * MS, blocked: 17 * MS, preemptions: 0, wakes: 1 });
    expect(d.cpuAccount(0, 20 * MS)).toMatchObject({ busy: 19 * MS, idle: 1 * MS, switches: 2 });
  });

  it("a vCPU that blocks and is woken before its CPU chose again has never stopped", () => {
    const { d, v } = setUp(1, 1);
    const [a] = v;
    if (!a) throw new Error();
    d.wake(a, 0);
    d.dispatch(0, 0);
    d.block(a, MS);
    d.wake(a, MS);
    expect(d.dispatch(0, MS)).toBe(a);
    expect(d.account(a, 2 * MS)).toMatchObject({ running: 2 * MS, dispatches: 1 });
  });

  it.each(["round-robin", "credit", "sedf", "bvt"])(
    "%s: pinning moves a running vCPU, a queued one and back",
    (policy) => {
      const { d, kicks, v } = setUp(2, 2, policy);
      const [a, b] = v;
      if (!a || !b) throw new Error();
      a.affinity = 1;
      b.affinity = 1;
      for (const one of v) d.affinityChanged(one, 0);
      d.wake(a, 0);
      expect(settle(d, 0)).toEqual([a, null]);
      d.wake(b, 0);
      settle(d, 0);
      kicks.length = 0;
      const running = d.current(0) as Pinned;
      running.affinity = 2;
      d.affinityChanged(running, MS);
      expect(kicks).toContain(0);
      const other = running === a ? b : a;
      expect(settle(d, MS)).toEqual([other, running]);
      expect(d.account(running).migrations).toBe(1);
    },
  );

  it("removing a running vCPU leaves its CPU to the next", () => {
    const { d, v } = setUp(1, 2);
    const [a, b] = v;
    if (!a || !b) throw new Error();
    d.wake(a, 0);
    d.dispatch(0, 0);
    d.wake(b, 0);
    d.remove(a, MS);
    expect(d.dispatch(0, MS)).toBe(b);
    d.removeDomain(1);
    expect(() => d.wake(a, MS)).toThrow("vCPU 1 is not known");
    expect(() => d.removeDomain(2)).toThrow("domain 2 still has vCPU 2");
  });

  it("refuses a state of other vCPUs", () => {
    const one = setUp(1, 1).d.save();
    expect(() => setUp(1, 2).d.load(one)).toThrow("missing");
    expect(() => setUp(2, 1).d.load(one)).toThrow();
  });
});

/** Dispatches every CPU that is due until none is, and returns what they run. */
function settle(d: Dispatcher, now: number): (Schedulable | null)[] {
  for (let round = 0; round < 4; round++) {
    for (let cpu = 0; cpu < d.cpuCount; cpu++) if (d.due(cpu, now)) d.dispatch(cpu, now);
  }
  return Array.from({ length: d.cpuCount }, (_, cpu) => d.current(cpu));
}
