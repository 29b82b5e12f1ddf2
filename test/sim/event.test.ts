/** Events with actions: the rules of docs/sim.md that SystemC has no counterpart of. */
import { describe, expect, it } from "vitest";
import { Module, NEVER, Simulation, wait } from "../../src/sim/index.ts";

function machine() {
  const sim = new Simulation();
  const top = new Module(sim, "top");
  const log: string[] = [];
  return { sim, top, log, say: (text: string) => log.push(`${sim.now} ${text}`) };
}

describe("event", () => {
  it("notify: the earlier notification wins; scheduleAt replaces", () => {
    const { sim, top } = machine();
    const e = top.event("e");
    e.notify(50);
    e.notify(80);
    expect(e.deadline).toBe(50);
    e.notify(20);
    expect(e.deadline).toBe(20);
    e.scheduleAt(90);
    expect(e.deadline).toBe(90);
    expect(e.pending).toBe(true);
    e.cancel();
    expect(e.deadline).toBe(NEVER);
    expect(e.pending).toBe(false);
    expect(sim.nextEventTime).toBe(NEVER);
  });

  it("scheduleAt(NEVER) cancels", () => {
    const { sim, top, say, log } = machine();
    const e = top.event("e", () => say("e"));
    e.scheduleAt(10);
    e.scheduleAt(NEVER);
    expect(e.pending).toBe(false);
    expect(sim.run()).toBe("starved");
    expect(log).toEqual([]);
  });

  it("an instant that has passed is now: a delta notification", () => {
    const { sim, top, say, log } = machine();
    const late = top.event("late", () => say("late"));
    top
      .event("e", () => {
        say("e");
        late.scheduleAt(3);
        expect(late.pendingDelta).toBe(true);
        expect(late.deadline).toBe(10);
      })
      .scheduleAt(10);
    sim.run(20);
    expect(log).toEqual(["10 e", "10 late"]);
  });

  it("an event that a smaller priority cancels at its own instant does not fire", () => {
    const { sim, top, say, log } = machine();
    const victim = top.event("victim", () => say("victim"));
    const first = top.event("first", () => victim.cancel(), -1);
    victim.scheduleAt(10);
    first.scheduleAt(10);
    sim.run();
    expect(log).toEqual([]);
  });

  it("delta rounds: what a round notifies belongs to the next, however small its priority", () => {
    const { sim, top, say, log } = machine();
    const urgent = top.event("urgent", () => say("urgent"), -5);
    const b = top.event("b", () => say("b"), 1);
    const a = top.event("a", () => {
      say("a");
      urgent.notify(0);
    });
    top
      .event("start", () => {
        b.notify(0);
        a.notify(0);
      })
      .notify(7);
    sim.run();
    expect(log).toEqual(["7 a", "7 b", "7 urgent"]);
  });

  it("a delta notification cancelled by another action of the same round does not fire", () => {
    const { sim, top, say, log } = machine();
    const b = top.event("b", () => say("b"));
    const a = top.event("a", () => {
      say("a");
      b.cancel();
      expect(b.pending).toBe(false);
    });
    a.notify(0);
    b.notify(0);
    sim.run();
    expect(log).toEqual(["0 a"]);
  });

  it("immediate notification runs the action inside the call, and drops the pending one", () => {
    const { sim, top, say, log } = machine();
    const b = top.event("b", () => say("b"));
    const a = top.event("a", () => {
      b.notify(5);
      say("before");
      b.notify();
      say("after");
    });
    a.notify(1);
    expect(sim.run()).toBe("starved");
    expect(log).toEqual(["1 before", "1 b", "1 after"]);
  });

  it("actions that notify each other immediately end: an action does not start inside itself", () => {
    const { sim, top, say, log } = machine();
    const a = top.event("a", () => {
      say("a");
      b.notify();
    });
    const b = top.event("b", () => {
      say("b");
      a.notify();
      b.notify();
    });
    a.notify(1);
    sim.run();
    expect(log).toEqual(["1 a", "1 b"]);
    log.length = 0;
    a.notify();
    expect(log).toEqual(["1 a", "1 b"]);
  });

  it("the action runs before the processes sensitive to the event", () => {
    const { sim, top, say, log } = machine();
    const e = top.event("e", () => say("action"));
    const f = top.event("f", () => say("other action"));
    top.method("m", () => say("method"), { sensitive: [e], dontInitialize: true });
    e.notify(10);
    f.notify(10);
    sim.run();
    expect(log).toEqual(["10 action", "10 other action", "10 method"]);
  });

  it("immediate notification of processes before the start is a mistake of the model", () => {
    const { top } = machine();
    const e = top.event("e");
    top.method("m", () => {}, { sensitive: [e] });
    expect(() => e.notify()).toThrow("top.e: immediate notification before the simulation has started");
  });
});

describe("run, pause, stop", () => {
  it("run(until) includes the whole instant, its delta cycles and processes too", () => {
    const { sim, top, say, log } = machine();
    const e = top.event("e", () => say("e"));
    top.method("m", (self) => {
      say("m");
      if (sim.now === 10) e.notify(0);
      self.nextTrigger(10);
    });
    expect(sim.run(10)).toBe("time");
    expect(log).toEqual(["0 m", "10 m", "10 e"]);
  });

  it("time stands at `until` afterwards, and at the last event after starvation", () => {
    const { sim, top } = machine();
    top.event("e", () => {}).notify(7);
    expect(sim.run(100)).toBe("time");
    expect(sim.now).toBe(100);
    top.event("f", () => {}).notify(5);
    expect(sim.run()).toBe("starved");
    expect(sim.now).toBe(105);
    expect(sim.run(50)).toBe("time");
    expect(sim.now).toBe(105);
  });

  it("a pause in an action returns after it, and changes nothing of what follows", () => {
    const run = (pauses: boolean) => {
      const { sim, top, say, log } = machine();
      const d1 = top.event("d1", () => {
        say("d1");
        if (pauses) sim.pause();
      });
      const d2 = top.event("d2", () => say("d2"));
      const plain = top.event("plain");
      const a = top.event("a", () => {
        say("a");
        d1.notify(0);
        d2.notify(0);
        plain.notify(0);
        if (pauses) sim.pause();
      });
      const b = top.event("b", () => say("b"));
      top.method("on_a", () => say("on a"), { sensitive: [a], dontInitialize: true });
      top.method("on_b", () => say("on b"), { sensitive: [b], dontInitialize: true });
      top.method("on_plain", () => say("on plain"), { sensitive: [plain], dontInitialize: true });
      top.method("on_d1", () => say("on d1"), { sensitive: [d1], dontInitialize: true });
      a.notify(10);
      b.notify(10);
      const results: string[] = [];
      for (let r = sim.run(); ; r = sim.run()) {
        results.push(r);
        if (r !== "paused") break;
      }
      return { log, results };
    };
    const paused = run(true);
    expect(paused.results).toEqual(["paused", "paused", "starved"]);
    expect(paused.log).toEqual(run(false).log);
    expect(paused.log).toEqual(["10 a", "10 b", "10 on a", "10 on b", "10 d1", "10 d2", "10 on d1", "10 on plain"]);
  });

  it("run after stop does nothing", () => {
    const { sim, top, say, log } = machine();
    top.event("a", () => sim.stop()).notify(1);
    top.event("b", () => say("b")).notify(1);
    expect(sim.run()).toBe("stopped");
    expect(sim.run()).toBe("stopped");
    expect(log).toEqual([]);
  });

  it("run inside run is a mistake", () => {
    const { sim, top } = machine();
    top.event("a", () => sim.run()).notify(1);
    expect(() => sim.run()).toThrow("run() inside run()");
  });

  it("an exception of an action leaves run and the queue usable", () => {
    const { sim, top, say, log } = machine();
    top
      .event("a", () => {
        throw new Error("a bug");
      })
      .notify(1);
    top.event("b", () => say("b")).notify(2);
    expect(() => sim.run()).toThrow("a bug");
    expect(sim.run()).toBe("starved");
    expect(log).toEqual(["2 b"]);
  });
});

describe("horizon", () => {
  it("is the next event, or the end of run; it moves closer and tells so", () => {
    const { sim, top } = machine();
    const moved: number[] = [];
    const timer = top.event("timer", () => {});
    const other = top.event("other", () => {});
    top
      .event("cpu", () => {
        expect(sim.horizon).toBe(100);
        sim.onHorizon = () => moved.push(sim.horizon);
        sim.now = 40;
        timer.notify(30);
        expect(sim.horizon).toBe(70);
        other.notify(50);
        expect(sim.horizon).toBe(70);
        sim.now = 10;
        sim.onHorizon = null;
      })
      .notify(10);
    sim.run(100);
    expect(moved).toEqual([70]);
  });

  it("is now while something else is due at the same instant, and when paused", () => {
    const { sim, top } = machine();
    const seen: number[] = [];
    top
      .event("a", () => {
        seen.push(sim.horizon);
        sim.pause();
        seen.push(sim.horizon);
      })
      .notify(10);
    top.event("b", () => seen.push(sim.horizon)).notify(10);
    sim.run(50);
    sim.run(50);
    expect(seen).toEqual([10, 10, 50]);
  });

  it("an event set within a quantum that ran ahead fires at the time it was set for", () => {
    const { sim, top, say, log } = machine();
    const timer = top.event("timer", () => say("timer"));
    top
      .event("cpu", () => {
        sim.now = 25;
        timer.scheduleAt(20);
        sim.now = 0;
      })
      .notify(0);
    sim.run(100);
    expect(log).toEqual(["25 timer"]);
  });
});

describe("mistakes of a model are named", () => {
  it("nextTrigger outside its own run, a thread that suspends itself, two writers of a signal", () => {
    const { sim, top } = machine();
    const m = top.method("m", () => {}, { sensitive: [top.event("e")] });
    expect(() => m.nextTrigger(5)).toThrow("top.m: nextTrigger outside its own run");
    const t = top.thread("t", function* () {
      t.suspend();
    });
    expect(() => sim.run()).toThrow("top.t: a running thread cannot suspend itself");
    const s = top.signal("s", 0);
    top.method("w1", () => s.write(1));
    top.method("w2", () => s.write(2));
    expect(() => sim.run()).toThrow("signal top.s: driven by top.w1, then by top.w2");
  });

  it("a thread that waits in its clean-up", () => {
    const { sim, top } = machine();
    const t = top.thread("t", function* () {
      try {
        yield wait(10);
      } finally {
        yield wait(1);
      }
    });
    sim.run(5);
    expect(() => t.kill()).toThrow("top.t: waits in the clean-up after a reset or a kill");
  });
});
