/** Save and restore by name: a machine restored anywhere goes on as the one that was saved. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allOf,
  anyOf,
  Clock,
  type Event,
  Frequency,
  type MethodProcess,
  Module,
  NS,
  Simulation,
  SnapshotError,
  wait,
} from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";
import { Machine, makeProgram } from "./systemc/random/program.ts";

const METHODS = { threads: false, control: true };

describe("snapshot of random machines of method processes", () => {
  it("restored anywhere, it goes on with the same order, the same hash", () => {
    check(
      fc.property(fc.nat(1_000_000), fc.array(fc.nat(60_000), { maxLength: 4 }), (seed, runs) => {
        const program = makeProgram(seed, METHODS);
        const first = new Machine(program);
        for (const ticks of runs) first.runFor(ticks);
        const saved = first.sim.save();
        const second = new Machine(program);
        second.sim.load(saved);
        expect(second.sim.stateHash()).toBe(first.sim.stateHash());
        expect(second.sim.save()).toEqual(saved);
        first.lines.length = 0;
        for (const ticks of [0, 100, 5000, 0, 1_000_000]) {
          first.runFor(ticks);
          second.runFor(ticks);
          expect(second.lines).toEqual(first.lines);
          expect(second.sim.stateHash()).toBe(first.sim.stateHash());
        }
      }),
      { numRuns: 400 },
    );
  });

  it("processes that were killed have changed the order of the others, and that is restored", () => {
    const program = makeProgram(963590, METHODS);
    const first = new Machine(program);
    first.runFor(1);
    const saved = first.sim.save();
    // p0 to p4 wait for e0, p1 to p3 for e1. p1 is killed, then p0; the last of the list takes the place each time.
    expect(saved.scheduler.sensitive).toEqual({
      "top.e0": ["top.p3", "top.p4", "top.p2"],
      "top.e1": ["top.p3", "top.p2"],
    });
    const second = new Machine(program);
    second.runFor(1_000_000);
    second.sim.load(saved);
    expect(second.sim.stateHash()).toBe(first.sim.stateHash());
    first.lines.length = second.lines.length = 0;
    first.runFor(1_000_000);
    second.runFor(1_000_000);
    expect(second.lines).toEqual(first.lines);
  });

  it("restored into a machine that has run elsewhere, too", () => {
    for (let seed = 0; seed < 100; seed++) {
      const program = makeProgram(seed, METHODS);
      const machine = new Machine(program);
      machine.runFor(3000);
      const saved = machine.sim.save();
      const hash = machine.sim.stateHash();
      machine.lines.length = 0;
      machine.runFor(200_000);
      const lines = [...machine.lines];
      machine.lines.length = 0;
      machine.sim.load(saved);
      expect(machine.sim.stateHash()).toBe(hash);
      machine.runFor(200_000);
      expect(machine.lines).toEqual(lines);
    }
  });

  it("two runs of one program give the same hashes; threads are hashed too", () => {
    for (let seed = 0; seed < 50; seed++) {
      const hashes = () => {
        const machine = new Machine(makeProgram(seed));
        return [1000, 20_000, 0, 50_000].map((ticks) => {
          machine.runFor(ticks);
          return machine.sim.stateHash();
        });
      };
      expect(hashes()).toEqual(hashes());
    }
  });
});

/** A machine with one of everything that can be saved. */
function everything() {
  const sim = new Simulation({ seed: 7 });
  const top = new Module(sim, "top");
  const log: string[] = [];
  const clock = new Clock(top, "clock", { period: new Frequency(24_000_000) });
  const line = top.line("irq");
  const a = top.event("a");
  const b = top.event("b");
  const level = top.signal("level", 0);
  const random = sim.random(top, "noise");
  const count = (self: MethodProcess) => {
    log.push(`${sim.now} count ${level.read()} ${random.below(100)}`);
    level.write(level.read() + 1);
    line.set((level.read() & 2) !== 0);
    const n = level.read() % 4;
    if (n === 0) self.nextTrigger(wait(90 * NS, allOf(a, b)));
    if (n === 1) self.nextTrigger(anyOf(a, line.posedge));
  };
  top.method("count", count, { sensitive: [clock.posedge], dontInitialize: true });
  top.method("low", () => log.push(`${sim.now} low`), { sensitive: [line.negedge], dontInitialize: true });
  top.event("tick", () => (level.read() & 1 ? a : b).notify(0)).notify(10);
  const again = top.event("again", () => {
    a.notify(3);
    again.notify(170);
  });
  again.notify(5);
  return { sim, top, log, clock };
}

describe("snapshot", () => {
  it("holds clocks, lines, signals, waits, time-outs and random streams", () => {
    for (const until of [0, 5, 104, 105, 417, 1000, 5000]) {
      const first = everything();
      first.sim.run(until);
      const second = everything();
      second.sim.load(first.sim.save());
      first.log.length = 0;
      first.sim.run(20_000);
      second.sim.run(20_000);
      expect(first.log.length).toBeGreaterThan(20);
      expect(second.log).toEqual(first.log);
      expect(second.sim.stateHash()).toBe(first.sim.stateHash());
      expect(second.clock.edges).toBe(first.clock.edges);
    }
  });

  it("taken before the first run, too", () => {
    const first = everything();
    const second = everything();
    second.sim.load(first.sim.save());
    first.sim.run(3000);
    second.sim.run(3000);
    expect(second.log).toEqual(first.log);
  });

  it("taken where a pause has cut a phase short, goes on within that phase", () => {
    const build = (pausing: Set<string>) => {
      const sim = new Simulation();
      const top = new Module(sim, "top");
      const log: string[] = [];
      const act = (name: string, then: Event[] = []) => {
        const event: Event = top.event(name, () => {
          log.push(name);
          for (const e of then) e.notify(0);
          if (pausing.has(name)) sim.pause();
        });
        top.method(`on_${name}`, () => log.push(`on ${name}`), { sensitive: [event], dontInitialize: true });
        return event;
      };
      const plain = top.event("plain");
      top.method("on_plain", () => log.push("on plain"), { sensitive: [plain], dontInitialize: true });
      const d2 = act("d2");
      const d1 = act("d1");
      act("a", [d1, d2, plain]).notify(10);
      act("b").notify(10);
      return { sim, log };
    };
    const whole = build(new Set());
    expect(whole.sim.run()).toBe("starved");
    const pausing = new Set(["a", "d1"]);
    const pieces: string[][] = [];
    let machine = build(pausing);
    while (machine.sim.run() === "paused") {
      pieces.push(machine.log);
      const next = build(pausing);
      next.sim.load(machine.sim.save());
      expect(next.sim.stateHash()).toBe(machine.sim.stateHash());
      machine = next;
    }
    pieces.push(machine.log);
    expect(pieces.map((piece) => piece.at(-1))).toEqual(["a", "d1", whole.log.at(-1)]);
    expect(pieces.flat()).toEqual(whole.log);
  });

  it("is refused while threads run, and names them", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    top.thread("one", function* () {
      yield wait(10);
    });
    top.thread("two", function* () {
      yield wait(20);
    });
    expect(() => sim.save()).not.toThrow();
    sim.run(5);
    expect(() => sim.save()).toThrow(new SnapshotError("thread processes cannot be saved: top.one, top.two"));
    sim.run(15);
    expect(() => sim.save()).toThrow(new SnapshotError("thread processes cannot be saved: top.two"));
    sim.run();
    const saved = sim.save();
    sim.load(saved);
    expect(sim.run()).toBe("starved");
  });

  it("that does not fit is refused with the place", () => {
    const { sim } = everything();
    sim.run(500);
    const saved = sim.save();
    const other = new Simulation();
    const top = new Module(other, "top");
    expect(() => other.load(saved)).toThrow("top.clock: this machine has no such module");
    new Clock(top, "clock", { period: 10 });
    expect(() => other.load(saved)).toThrow(/^top\.irq: unknown$/);
    const scheduler = { ...saved.scheduler, actions: ["top.nothing"] };
    expect(() => everything().sim.load({ ...saved, scheduler })).toThrow(
      'scheduler.actions: this machine has no event "top.nothing"',
    );
    const { top: savedTop } = saved.modules;
    const module = { version: 1, state: { ...savedTop?.state, tick: 3 } };
    expect(() => everything().sim.load({ ...saved, modules: { ...saved.modules, top: module } })).toThrow(
      "top.tick: expected null or a deadline and a sequence",
    );
  });

  it("the hash does not depend on how often the queue was touched", () => {
    const build = (touches: number) => {
      const sim = new Simulation();
      const top = new Module(sim, "top");
      const [a, b] = [top.event("a"), top.event("b")];
      for (let i = 0; i < touches; i++) b.scheduleAt(100 + i);
      a.scheduleAt(50);
      b.scheduleAt(50);
      return sim.stateHash();
    };
    expect(build(5)).toBe(build(0));
  });

  it("the hash sees the order of events of one instant, and what waits for what", () => {
    const build = (swap: boolean, any: boolean) => {
      const sim = new Simulation();
      const top = new Module(sim, "top");
      const [a, b] = [top.event("a"), top.event("b")];
      for (const e of swap ? [b, a] : [a, b]) e.scheduleAt(50);
      top.method("m", (self) => self.nextTrigger(any ? anyOf(a, b) : allOf(a, b)));
      sim.run(10);
      return sim.stateHash();
    };
    expect(new Set([build(false, false), build(true, false), build(false, true)]).size).toBe(3);
  });
});
