import { describe, expect, it } from "vitest";
import { buildTimer, CYCLE, TIMERS } from "./timer.ts";

const PERIODIC = 0xe2;
const FREE = 0xa2;
const ONE_SHOT = 0xa3;
const NEVER = Number.MAX_SAFE_INTEGER;

describe.each(TIMERS)("SP804 %s, DDI 0271D 2.2 and 3.3", (_name, at, line) => {
  const [LOAD, VALUE, CONTROL, INTCLR, RIS, MIS, BGLOAD] = [0, 4, 8, 0xc, 0x10, 0x14, 0x18].map((o) => at + o) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];

  it("2.2: periodic mode interrupts every Load cycles and reloads; the value runs from Load down to 1", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 5);
    const values: number[] = [];
    for (let i = 0; i < 12; i++) {
      values.push(t.read(VALUE));
      t.run(CYCLE);
    }
    expect(values).toEqual([5, 4, 3, 2, 1, 5, 4, 3, 2, 1, 5, 4]);
  });

  it("2.2.5: the interrupt comes exactly Load cycles after the load, and Load cycles after that", () => {
    const t = buildTimer();
    const rises: number[] = [];
    t.timer[line].connect((level) => level && rises.push(t.simulation.now));
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 1000);
    for (let i = 0; i < 3; i++) {
      t.run(1000 * CYCLE);
      t.write(INTCLR, 0);
    }
    expect(rises).toEqual([10_000_000, 20_000_000, 30_000_000]);
  });

  it("2.2.5: with 24 MHz, whose period is no whole tick, a thousand periods do not drift", () => {
    const t = buildTimer({ timclk: 24_000_000 });
    let rises = 0;
    let last = 0;
    t.timer[line].connect((level) => {
      if (!level) return;
      rises++;
      last = t.simulation.now;
    });
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 7);
    for (let i = 0; i < 1000; i++) {
      t.run(t.simulation.nextEventTime - t.simulation.now);
      t.write(INTCLR, 0);
    }
    expect(rises).toBe(1000);
    // 7000 cycles of 1/24 us.
    expect(last).toBe(2_916_667);
  });

  it.each([
    [0, 1],
    [1, 16],
    [2, 256],
  ])("3.3.3: TimerPre 0b%s divides the clock by %s", (pre, divisor) => {
    const t = buildTimer();
    t.write(LOAD, 10);
    t.write(CONTROL, PERIODIC | (pre << 2));
    t.run((10 * divisor - 1) * CYCLE);
    expect(t.read(RIS)).toBe(0);
    expect(t.read(VALUE)).toBe(divisor === 1 ? 1 : 1);
    t.run(CYCLE);
    expect(t.read(RIS)).toBe(1);
    t.run(divisor * CYCLE - 1);
    expect(t.read(VALUE)).toBe(10);
    t.run(1);
    expect(t.read(VALUE)).toBe(9);
  });

  it("2.1: TIMCLKEN enables every n-th edge only", () => {
    const t = buildTimer({ timclken: [3, 3] });
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 4);
    t.run(12 * CYCLE - 1);
    expect(t.read(RIS)).toBe(0);
    t.run(1);
    expect(t.read(RIS)).toBe(1);
  });

  it("2.2: free-running mode wraps from zero to 0xFFFFFFFF and interrupts each time round", () => {
    const t = buildTimer();
    t.write(CONTROL, FREE);
    t.write(LOAD, 2);
    t.run(2 * CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 1]);
    t.write(INTCLR, 1);
    t.run(CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0xffff_ffff, 0]);
    t.run(0xffff_ffff * CYCLE - 1);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([1, 0]);
    t.run(1);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 1]);
  });

  it("2.2: free-running with 16 bits wraps from zero to 0xFFFF", () => {
    const t = buildTimer();
    t.write(CONTROL, 0xa0);
    t.write(LOAD, 2);
    t.run(3 * CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0xffff, 1]);
    t.write(INTCLR, 0);
    t.run(0xffff * CYCLE - 1);
    expect(t.read(RIS)).toBe(0);
    t.run(1);
    expect(t.read(RIS)).toBe(1);
  });

  it.each([
    ["periodic", 0xe0],
    ["one-shot", 0xa1],
  ])("3.3.3: with 16 bits %s mode counts the low half of Load", (_mode, control) => {
    const t = buildTimer();
    t.write(CONTROL, control);
    t.write(LOAD, 0x1234_0003);
    expect(t.read(LOAD)).toBe(0x1234_0003);
    expect(t.read(VALUE)).toBe(3);
    t.run(3 * CYCLE - 1);
    expect(t.read(RIS)).toBe(0);
    t.run(1);
    expect(t.read(RIS)).toBe(1);
  });

  it("3.3.2: after a change to 16 bits the upper half of Value keeps what it was until the next load", () => {
    const t = buildTimer();
    t.write(CONTROL, FREE);
    t.write(LOAD, 0x0005_0002);
    t.write(CONTROL, 0xa0);
    t.run(CYCLE);
    expect(t.read(VALUE)).toBe(0x0005_0001);
    t.run(2 * CYCLE);
    expect(t.read(VALUE)).toBe(0x0005_ffff);
    t.write(LOAD, 7);
    expect(t.read(VALUE)).toBe(7);
  });

  it("2.2: one-shot mode interrupts once and halts at zero", () => {
    const t = buildTimer();
    t.write(CONTROL, ONE_SHOT);
    t.write(LOAD, 3);
    t.run(3 * CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 1]);
    t.write(INTCLR, 0);
    t.run(1_000_000 * CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 0]);
    expect(t.simulation.nextEventTime).toBe(NEVER);
  });

  it("2.2: a halted one-shot is started again by a new load", () => {
    const t = buildTimer();
    t.write(CONTROL, ONE_SHOT);
    t.write(LOAD, 3);
    t.run(10 * CYCLE);
    t.write(INTCLR, 0);
    t.write(LOAD, 2);
    t.run(2 * CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 1]);
  });

  it.each([
    ["free-running", FREE, 0xffff_ffff],
    ["periodic", PERIODIC, 3],
  ])(
    "2.2: clearing OneShotCount lets a halted count proceed in %s mode, with no interrupt of its own",
    (_mode, control, next) => {
      const t = buildTimer();
      t.write(CONTROL, control | 1);
      t.write(LOAD, 3);
      t.run(10 * CYCLE);
      t.write(INTCLR, 0);
      t.write(CONTROL, control);
      expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 0]);
      t.run(CYCLE);
      expect([t.read(VALUE), t.read(RIS)]).toEqual([next, 0]);
    },
  );

  it("3.3.1: a load restarts a running count at once, reads back at once in Value, and takes effect at the next edge", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 100);
    t.run(10.5 * CYCLE);
    expect(t.read(VALUE)).toBe(90);
    t.write(LOAD, 50);
    expect(t.read(VALUE)).toBe(50);
    t.run(CYCLE);
    expect(t.read(VALUE)).toBe(50);
    t.run(CYCLE);
    expect(t.read(VALUE)).toBe(49);
    t.run(48.5 * CYCLE);
    expect(t.read(RIS)).toBe(1);
  });

  it("3.3.1, note: a load of 0 interrupts immediately, at the next edge", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.run(CYCLE / 2);
    t.write(LOAD, 0);
    expect(t.read(RIS)).toBe(0);
    t.run(CYCLE / 2);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([0, 1]);
    t.write(INTCLR, 0);
    t.run(CYCLE);
    expect(t.read(RIS)).toBe(1);
  });

  it("2.2: a load of a disabled timer waits; nothing counts and nothing interrupts until it is enabled", () => {
    const t = buildTimer();
    t.write(LOAD, 4);
    t.run(100 * CYCLE);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([4, 0]);
    t.write(CONTROL, PERIODIC);
    t.run(4 * CYCLE - 1);
    expect([t.read(VALUE), t.read(RIS)]).toEqual([1, 0]);
    t.run(1);
    expect(t.read(RIS)).toBe(1);
  });

  it("3.3.3: a disabled timer keeps its count and goes on from it", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 10);
    t.run(4 * CYCLE);
    t.write(CONTROL, PERIODIC & ~0x80);
    t.run(100 * CYCLE);
    expect(t.read(VALUE)).toBe(6);
    t.write(CONTROL, PERIODIC);
    t.run(6 * CYCLE);
    expect(t.read(RIS)).toBe(1);
  });

  it("3.3.7: BGLoad does not disturb the current count; Load reads back the new value, which the next period has", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 10);
    t.run(4 * CYCLE);
    t.write(BGLOAD, 3);
    expect([t.read(LOAD), t.read(BGLOAD), t.read(VALUE)]).toEqual([3, 3, 6]);
    t.run(6 * CYCLE);
    expect([t.read(RIS), t.read(VALUE)]).toEqual([1, 3]);
    t.write(INTCLR, 0);
    t.run(3 * CYCLE);
    expect([t.read(RIS), t.read(VALUE)]).toEqual([1, 3]);
  });

  it("3.3.1: Load and BGLoad written before one edge: Load is counted, BGLoad reloads and is what Load reads", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.run(CYCLE / 2);
    t.write(LOAD, 4);
    t.write(BGLOAD, 2);
    expect([t.read(LOAD), t.read(VALUE)]).toEqual([2, 4]);
    t.run(CYCLE / 2 + 4 * CYCLE);
    expect([t.read(RIS), t.read(VALUE)]).toEqual([1, 2]);
    t.write(INTCLR, 0);
    t.run(2 * CYCLE);
    expect(t.read(RIS)).toBe(1);
  });

  it("3.3.3: a write to Control that changes no mode, size or prescale does not restart the count or the prescaler", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC | 4);
    t.write(LOAD, 10);
    t.run(40 * CYCLE);
    for (const control of [PERIODIC | 4, (PERIODIC & ~0x20) | 4, PERIODIC | 4]) t.write(CONTROL, control);
    expect(t.read(VALUE)).toBe(8);
    t.run(8 * CYCLE);
    expect(t.read(VALUE)).toBe(7);
    t.run(7 * 16 * CYCLE - 1);
    expect(t.read(RIS)).toBe(0);
    t.run(1);
    expect(t.read(RIS)).toBe(1);
  });

  it("3.3.3: a change of mode goes on from the current value", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 10);
    t.run(4 * CYCLE);
    t.write(CONTROL, FREE);
    expect(t.read(VALUE)).toBe(6);
    t.run(7 * CYCLE);
    expect(t.read(VALUE)).toBe(0xffff_ffff);
  });

  it("3.3.5, 3.3.6: RIS does not depend on IntEnable; MIS and the line are RIS and IntEnable, whichever moves", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC & ~0x20);
    t.write(LOAD, 5);
    expect(t.simulation.nextEventTime).toBe(NEVER);
    t.run(5 * CYCLE);
    expect([t.read(RIS), t.read(MIS), t.timer[line].level]).toEqual([1, 0, false]);
    t.write(CONTROL, PERIODIC);
    expect([t.read(RIS), t.read(MIS), t.timer[line].level]).toEqual([1, 1, true]);
    t.write(CONTROL, PERIODIC & ~0x20);
    expect([t.read(RIS), t.read(MIS), t.timer[line].level]).toEqual([1, 0, false]);
    t.write(INTCLR, 0);
    expect(t.read(RIS)).toBe(0);
  });

  it.each([0, 1, 2, 0xffff_ffff])(
    "3.3.4: a write of 0x%s to IntClr clears; until then the interrupt stays up",
    (value) => {
      const t = buildTimer();
      t.write(CONTROL, PERIODIC);
      t.write(LOAD, 5);
      t.run(23 * CYCLE);
      expect([t.read(RIS), t.read(MIS), t.timer[line].level]).toEqual([1, 1, true]);
      t.write(INTCLR, value);
      expect([t.read(RIS), t.read(MIS), t.timer[line].level]).toEqual([0, 0, false]);
      t.run(2 * CYCLE);
      expect(t.timer[line].level).toBe(true);
    },
  );

  it("the other timer does nothing of it, and the combined line is the OR of both", () => {
    const t = buildTimer();
    const other = at === 0 ? 0x20 : 0;
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 5);
    t.run(5 * CYCLE);
    expect(t.timer.combinedInterrupt.level).toBe(true);
    expect([t.read(other + 4), t.read(other + 0x10)]).toEqual([0xffff_ffff, 0]);
    expect(t.timer[line === "timer1Interrupt" ? "timer2Interrupt" : "timer1Interrupt"].level).toBe(false);
    t.write(other + 8, PERIODIC);
    t.write(other, 1);
    t.run(CYCLE);
    t.write(INTCLR, 0);
    expect(t.timer.combinedInterrupt.level).toBe(true);
    t.write(other + 0xc, 0);
    expect(t.timer.combinedInterrupt.level).toBe(false);
  });

  it("2.2: at reset the counter is disabled, the interrupt cleared, Load zero and Value all ones", () => {
    const t = buildTimer();
    t.write(CONTROL, PERIODIC);
    t.write(LOAD, 5);
    t.run(7 * CYCLE);
    t.reset();
    expect([LOAD, VALUE, CONTROL, RIS, MIS].map((o) => t.read(o))).toEqual([0, 0xffff_ffff, 0x20, 0, 0]);
    expect(t.timer[line].level).toBe(false);
    expect(t.simulation.nextEventTime).toBe(NEVER);
    t.run(100 * CYCLE);
    expect(t.read(VALUE)).toBe(0xffff_ffff);
  });

  it("an event waits only while it can raise the line: none while the interrupt is up, masked or the timer is off", () => {
    const t = buildTimer();
    t.write(LOAD, 5);
    expect(t.simulation.nextEventTime).toBe(NEVER);
    t.write(CONTROL, PERIODIC);
    expect(t.simulation.nextEventTime).toBe(5 * CYCLE);
    t.run(6 * CYCLE);
    expect(t.simulation.nextEventTime).toBe(NEVER);
    t.write(INTCLR, 0);
    expect(t.simulation.nextEventTime).toBe(10 * CYCLE);
    t.write(CONTROL, PERIODIC & ~0x20);
    expect(t.simulation.nextEventTime).toBe(NEVER);
  });
});
