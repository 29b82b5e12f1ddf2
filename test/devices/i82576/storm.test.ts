/** Storm control: numbers of the datasheet's chapter 8.14. */
import { describe, expect, it } from "vitest";
import { Driver, frameOf, OWN, PEER, REG } from "./driver.ts";

const SCCRL = 0x5db0;
const SCSTS = 0x5db4;
const BSCTRH = 0x5db8;
const MSCTRH = 0x5dbc;
const BSCCNT = 0x5dc0;
const MSCCNT = 0x5dc4;
const SCTC = 0x5dc8;
const SCBI = 0x5dcc;
const SCE = 1 << 25;
const ALL = "ffffffffffff";
const GROUP = "01005e000001";
/** A basic interval of 6,250 units of 16 ns: 100 us, in units of 100 ps. */
const BASIC = 6_250;
const BASIC_TIME = 1_000_000;

/** Intervals of ten basic ones, 1 ms, threshold 10 times 64 bytes for broadcast and 20 for multicast; all multicast is taken. */
function armed(drops: number): Driver {
  const d = new Driver();
  d.startReceive(0, { count: 512, rctl: 0x0400_8012 });
  d.write(SCBI, BASIC);
  d.write(BSCTRH, 10);
  d.write(MSCTRH, 20);
  d.write(SCCRL, (10 << 8) | drops);
  d.read(REG.ICR);
  return d;
}

/** How many of `count` frames of 64 bytes with check sequence get through. */
function through(d: Driver, to: string, count: number): number {
  for (let i = 0; i < count; i++) d.core.receive(frameOf(to, PEER, 0x88b5));
  return d.received(0).length;
}

describe("82576 storm control (7.10, 8.14)", () => {
  it("SCBI is 5F5E10h after reset, 100 ms; without INTERVAL nothing is counted or dropped", () => {
    const d = new Driver();
    d.startReceive(0, { count: 512 });
    expect(d.read(SCBI)).toBe(0x5f_5e10);
    d.write(SCCRL, 0xf);
    expect(through(d, ALL, 50)).toBe(50);
    expect([d.read(SCSTS), d.read(BSCCNT), d.read(SCTC)]).toEqual([0, 0, 0]);
  });

  it("BDICW: broadcast beyond the threshold is dropped in the rest of the interval, and passes in the next", () => {
    const d = armed(1 << 3);
    expect(through(d, ALL, 30)).toBe(10);
    expect([d.read(SCSTS), d.read(BSCCNT), d.read(MSCCNT)]).toEqual([1, 30, 0]);
    expect(through(d, OWN, 5)).toBe(5);
    expect(through(d, GROUP, 30)).toBe(30);
    d.run(10 * BASIC_TIME - 1);
    expect([through(d, ALL, 1), d.read(SCSTS)]).toEqual([0, 1]);
    d.run(1);
    expect([d.read(SCSTS), d.read(BSCCNT)]).toEqual([2, 0]);
    expect(through(d, ALL, 10)).toBe(10);
  });

  it("BDIPW: the interval after one beyond the threshold drops all broadcast; counted all the same, the storm goes on", () => {
    const d = armed(1 << 2);
    expect(through(d, ALL, 30)).toBe(30);
    d.run(10 * BASIC_TIME);
    expect([d.read(SCSTS), through(d, ALL, 30), d.read(SCSTS)]).toEqual([2, 0, 3]);
    d.run(10 * BASIC_TIME);
    expect([d.read(SCSTS), through(d, ALL, 5)]).toEqual([2, 0]);
    d.run(10 * BASIC_TIME);
    expect([d.read(SCSTS), through(d, ALL, 5)]).toEqual([0, 5]);
  });

  it("MDICW and MDIPW: the same for multicast, bits 1 and 0, with a threshold of its own and SCSTS bits 2 and 3", () => {
    const d = armed(3);
    expect(through(d, GROUP, 30)).toBe(20);
    expect(through(d, ALL, 30)).toBe(30);
    expect([d.read(SCSTS), d.read(MSCCNT), d.read(BSCCNT)]).toEqual([4, 30, 30]);
    d.run(10 * BASIC_TIME);
    expect([d.read(SCSTS), through(d, GROUP, 1), through(d, ALL, 1)]).toEqual([8, 0, 1]);
  });

  it("counts are units of 64 bytes with check sequence", () => {
    const d = armed(1 << 3);
    d.core.receive(frameOf(ALL, PEER, 0x88b5, 1500));
    d.core.receive(frameOf(ALL, PEER, 0x88b5, 96));
    // 1,518 and 114 bytes.
    expect(d.read(BSCCNT)).toBe(25);
    expect(d.received(0)).toHaveLength(0);
  });

  it("BIDU: unicast that only the default pool takes counts as broadcast", () => {
    for (const [bidu, expected] of [
      [0, 30],
      [1 << 4, 10],
    ] as const) {
      const d = armed((1 << 3) | bidu);
      d.write(REG.MRQC, 3);
      d.write(REG.VMOLR, 0x8900_2600);
      d.write(REG.RAH, 0x8004_5544);
      expect(through(d, "02deadbeef00", 30)).toBe(expected);
      // The address of pool 0 is resolved.
      expect(through(d, OWN, 30)).toBe(30);
    }
  });

  it("SCTC counts basic intervals of the running interval; a write of SCCRL begins a new one", () => {
    const d = armed(1 << 3);
    d.run(3 * BASIC_TIME);
    expect(d.read(SCTC)).toBe(3);
    d.run(9 * BASIC_TIME);
    expect(d.read(SCTC)).toBe(2);
    through(d, ALL, 30);
    d.write(SCCRL, (10 << 8) | 8);
    expect([d.read(SCTC), d.read(BSCCNT), d.read(SCSTS)]).toEqual([0, 0, 0]);
    expect(through(d, ALL, 10)).toBe(10);
  });

  it("8.8: ICR.SCE, bit 25, is raised when storm control becomes active, and when an interval has gone by below the threshold", () => {
    const d = armed(1 << 3);
    d.write(REG.IMS, SCE);
    through(d, ALL, 10);
    expect(d.read(REG.ICS) & SCE).toBe(0);
    through(d, ALL, 1);
    expect(d.read(REG.ICR) & SCE).toBe(SCE);
    through(d, ALL, 20);
    d.run(15 * BASIC_TIME);
    expect(d.read(REG.ICS) & SCE).toBe(0);
    d.run(5 * BASIC_TIME);
    expect(d.read(REG.ICR) & SCE).toBe(SCE);
    d.run(50 * BASIC_TIME);
    expect(d.read(REG.ICS) & SCE).toBe(0);
  });

  it("what pools send each other is not counted", () => {
    const d = armed(1 << 3);
    d.write(REG.MRQC, 3);
    d.write(REG.DTXSWC, 0x8000_0000);
    d.write(REG.VT_CTL, 0x4000_0000);
    for (const p of [0, 1]) d.write(REG.VMOLR + 4 * p, 0x8900_2600);
    d.startTransmit(1, 64);
    for (let i = 0; i < 30; i++) d.send(1, frameOf(ALL, OWN, 0x88b5));
    expect(d.read(BSCCNT)).toBe(0);
    expect(d.received(0)).toHaveLength(30);
  });
});
