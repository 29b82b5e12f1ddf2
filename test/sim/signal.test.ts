/** Lines, clocks and signals: what SystemC's cases leave out. */
import { describe, expect, it } from "vitest";
import { Clock, Frequency, Module, NS, SEC, Simulation, wait } from "../../src/sim/index.ts";

function machine() {
  const sim = new Simulation();
  const top = new Module(sim, "top");
  const log: string[] = [];
  return { sim, top, log, say: (text: string) => log.push(`${sim.now} ${text}`) };
}

describe("line", () => {
  it("a change reaches every sink inside the driver's call; no change reaches none", () => {
    const { top } = machine();
    const line = top.line("irq");
    const heard: string[] = [];
    line.connect((level) => heard.push(`a ${level}`));
    const off = line.connect((level) => heard.push(`b ${level}`));
    line.set(true);
    line.set(true);
    off();
    line.lower();
    expect(heard).toEqual(["a true", "b true", "a false"]);
  });

  it("a sink of a line that is high is told at once", () => {
    const { top } = machine();
    const line = top.line("irq");
    line.raise();
    const heard: boolean[] = [];
    line.connect((level) => heard.push(level));
    expect(heard).toEqual([true]);
  });

  it("edges wake processes in the next delta cycle, a pulse both of them", () => {
    const { sim, top, log, say } = machine();
    const line = top.line("irq");
    top.method("rose", () => say(`rose, ${line.level}`), { sensitive: [line.posedge], dontInitialize: true });
    top.method("fell", () => say(`fell, ${line.level}`), { sensitive: [line.negedge], dontInitialize: true });
    top.method("any", () => say("changed"), { sensitive: [line], dontInitialize: true });
    top.event("up", () => line.raise()).notify(10);
    top.event("down", () => line.lower()).notify(20);
    top.event("pulse", () => line.pulse()).notify(30);
    sim.run();
    expect(log.filter((l) => l.startsWith("10"))).toEqual(["10 rose, true", "10 changed"]);
    expect(log.filter((l) => l.startsWith("20"))).toEqual(["20 fell, false", "20 changed"]);
    expect(log.filter((l) => l.startsWith("30")).sort()).toEqual(["30 changed", "30 fell, false", "30 rose, false"]);
  });

  it("is low after reset", () => {
    const { sim, top } = machine();
    const line = top.line("irq");
    line.raise();
    sim.reset();
    expect(line.level).toBe(false);
  });
});

describe("clock", () => {
  it("of 24 MHz does not drift: edge n lies within a tick of n / 48 MHz, a day of them too", () => {
    const { sim, top } = machine();
    const clock = new Clock(top, "clock", { period: new Frequency(24_000_000) });
    // 24 MHz is 416 2/3 ticks of 100 ps.
    expect([0, 2, 4, 6, 8].map((n) => clock.edgeTime(n))).toEqual([0, 417, 834, 1250, 1667]);
    expect([1, 3, 5].map((n) => clock.edgeTime(n))).toEqual([209, 626, 1042]);
    expect(clock.edgeTime(2 * 24_000_000)).toBe(SEC);
    expect(clock.edgeTime(2 * 24_000_000 * 86_400)).toBe(86_400 * SEC);
    sim.run(1_000_000);
    // Edges at 0 and after: 2,400 cycles in 100 us, and the edge at its end.
    expect(clock.edges).toBe(4801);
  });

  it("starts anew from the present instant after reset", () => {
    const { sim, top, log, say } = machine();
    const clock = new Clock(top, "clock", { period: 10 * NS, start: 30 });
    top.method("rose", () => say("rose"), { sensitive: [clock.posedge], dontInitialize: true });
    sim.run(100);
    sim.reset();
    expect(clock.edges).toBe(0);
    sim.run(300);
    expect(log).toEqual(["30 rose", "130 rose", "230 rose"]);
  });

  it("refuses what is no clock", () => {
    const { top } = machine();
    expect(() => new Clock(top, "c1", { period: 1 })).toThrow("clock top.c1: period of 1 ticks");
    expect(() => new Clock(top, "c2", { period: 10, duty: 1 })).toThrow("clock top.c2: duty of 1");
    expect(() => new Clock(top, "c3", { period: 10, start: -1 })).toThrow("clock top.c3: start at -1");
  });
});

describe("signal", () => {
  it("written by an action between delta cycles is updated in the next", () => {
    const { sim, top, log, say } = machine();
    const level = top.signal("level", false);
    top.method("on_level", () => say(`level ${level.read()}`), { sensitive: [level], dontInitialize: true });
    top
      .event("e", () => {
        level.write(true);
        say(`wrote, reads ${level.read()}`);
      })
      .notify(10);
    sim.run();
    expect(log).toEqual(["10 wrote, reads false", "10 level true"]);
  });

  it("edges are for booleans", () => {
    const { top } = machine();
    expect(() => top.signal("count", 0).posedge).toThrow("signal top.count: posedge of a signal that is no boolean");
  });

  it("one writer in an evaluation phase, unless unchecked", () => {
    const { sim, top } = machine();
    const many = top.signal("many", 0, "many");
    top.thread("one", function* () {
      many.write(1);
      yield wait(10);
      many.write(1);
    });
    top.thread("two", function* () {
      yield wait(5);
      many.write(2);
      yield wait(5);
      many.write(3);
    });
    expect(() => sim.run()).toThrow("signal top.many: driven by top.one, then by top.two");
    expect(many.read()).toBe(2);
  });
});
