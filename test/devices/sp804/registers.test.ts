import { describe, expect, it } from "vitest";
import { buildTimer, TIMERS } from "./timer.ts";

/** Table 3-1: offset, name, value after reset, bits that hold what is written. */
const REGISTERS: readonly (readonly [number, string, number, number])[] = [
  [0x00, "Timer1Load", 0x0000_0000, 0xffff_ffff],
  [0x04, "Timer1Value", 0xffff_ffff, 0],
  [0x08, "Timer1Control", 0x20, 0xef],
  [0x10, "Timer1RIS", 0, 0],
  [0x14, "Timer1MIS", 0, 0],
  [0x18, "Timer1BGLoad", 0x0000_0000, 0xffff_ffff],
  [0x20, "Timer2Load", 0x0000_0000, 0xffff_ffff],
  [0x24, "Timer2Value", 0xffff_ffff, 0],
  [0x28, "Timer2Control", 0x20, 0xef],
  [0x30, "Timer2RIS", 0, 0],
  [0x34, "Timer2MIS", 0, 0],
  [0x38, "Timer2BGLoad", 0x0000_0000, 0xffff_ffff],
  [0xf00, "TimerITCR", 0, 1],
  [0xfe0, "TimerPeriphID0", 0x04, 0],
  [0xfe4, "TimerPeriphID1", 0x18, 0],
  [0xfe8, "TimerPeriphID2", 0x14, 0],
  [0xfec, "TimerPeriphID3", 0x00, 0],
  [0xff0, "TimerPCellID0", 0x0d, 0],
  [0xff4, "TimerPCellID1", 0xf0, 0],
  [0xff8, "TimerPCellID2", 0x05, 0],
  [0xffc, "TimerPCellID3", 0xb1, 0],
];

describe("SP804 programmer's model, DDI 0271D chapter 3", () => {
  it.each(REGISTERS)("table 3-1: offset 0x%s is %s, with its reset value", (offset, _name, reset) => {
    expect(buildTimer().read(offset)).toBe(reset);
  });

  it.each(REGISTERS.filter(([, , , bits]) => bits !== 0))(
    "table 3-1: offset 0x%s, %s, is so wide",
    (offset, _n, _r, bits) => {
      const t = buildTimer();
      for (const value of [0xffff_ffff, 0, 0x5555_5555, 0xaaaa_aaaa]) {
        t.write(offset, value);
        expect(t.read(offset)).toBe((value & bits) >>> 0);
      }
    },
  );

  it("table 3-1: Value, RIS, MIS and the identification registers are read-only; a write is the guest's mistake", () => {
    const t = buildTimer();
    for (const offset of [0x04, 0x10, 0x14, 0x24, 0x30, 0x34, 0xfe0, 0xffc]) {
      const before = t.read(offset);
      t.write(offset, 0x1234_5678);
      expect(t.read(offset)).toBe(before);
      expect(t.errors.at(-1)).toMatchObject({ kind: "access", offset, write: true });
    }
  });

  it("table 3-1: IntClr and TimerITOP are write-only; a read gives zero and is the guest's mistake", () => {
    const t = buildTimer();
    t.write(0xf04, 3);
    for (const offset of [0x0c, 0x2c, 0xf04]) {
      expect(t.read(offset)).toBe(0);
      expect(t.errors.at(-1)).toMatchObject({ kind: "access", offset, write: false });
    }
  });

  it("a bad offset is the guest's mistake, reads as zero and stops nothing", () => {
    const t = buildTimer();
    for (const offset of [0x1c, 0x3c, 0x40, 0xefc, 0xf08, 0xfdc]) {
      t.write(offset, 0xffff_ffff);
      expect(t.read(offset)).toBe(0);
    }
    expect(t.errors.map((e) => e.kind)).toEqual(Array(12).fill("reserved-offset"));
  });

  it("narrow accesses reach their byte lanes: Load and BGLoad byte by byte", () => {
    const t = buildTimer();
    t.write(0x00, 0x1122_3344);
    t.write(0x01, 0xaa, 1);
    expect(t.read(0x00)).toBe(0x1122_aa44);
    t.write(0x1a, 0xbbcc, 2);
    expect(t.read(0x00)).toBe(0xbbcc_aa44);
    expect(t.read(0x1b, 1)).toBe(0xbb);
    expect(t.read(0x06, 2)).toBe(0x0000);
  });

  it("3.3.8, 3.3.9: in integration test mode TimerITOP drives TIMINT1, TIMINT2 and their OR", () => {
    const t = buildTimer();
    const lines = () =>
      [t.timer.timer1Interrupt, t.timer.timer2Interrupt, t.timer.combinedInterrupt]
        .map((l) => Number(l.level))
        .join("");
    t.write(0xf04, 3);
    expect(lines()).toBe("000");
    t.write(0xf00, 1);
    expect(lines()).toBe("111");
    t.write(0xf04, 1);
    expect(lines()).toBe("101");
    t.write(0xf04, 2);
    expect(lines()).toBe("011");
    expect(t.read(0x14) | t.read(0x34)).toBe(0);
    t.write(0xf00, 0);
    expect(lines()).toBe("000");
  });

  it.each(TIMERS)("3.3.3: the undefined prescale 0b11 of %s is reported, and acts as 256", (_name, at) => {
    const t = buildTimer();
    t.write(at, 2);
    t.write(at + 8, 0xae);
    expect(t.errors.map((e) => e.kind)).toEqual(["value"]);
    t.run(511 * 10_000);
    expect(t.read(at + 0x10)).toBe(0);
    t.run(10_000);
    expect(t.read(at + 0x10)).toBe(1);
  });
});
