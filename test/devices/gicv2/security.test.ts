// With the Security Extensions; values typed from Arm IHI 0048B 3.5, 4.3.14 and the Non-secure copies of section 4.4.
import { describe, expect, it } from "vitest";
import { GicBench } from "./device.ts";

const OPTIONS = { cpus: 2, spis: 64, securityExtensions: true, priorityBits: 8 } as const;

/** SPI 33 in Group 1, SPI 32 in Group 0, both enabled at 0x90; forwarding and signalling on for both, FIQEn set. */
function bench(): GicBench {
  const gic = new GicBench(OPTIONS).on(3, 0xb);
  gic.enable(32, 0x90, 1);
  gic.enable(33, 0x90, 1);
  gic.wd(0x084, 2);
  return gic;
}
const nonSecure = (gic: GicBench): GicBench => {
  gic.secure = false;
  return gic;
};

describe("GICv2 Security Extensions: the distributor as Non-secure software sees it", () => {
  it("4.3.1 GICD_CTLR: bit 0 is the Secure EnableGrp1", () => {
    const gic = bench();
    gic.wd(0x000, 1);
    nonSecure(gic).wd(0x000, 3);
    expect(gic.rd(0x000)).toBe(1);
    gic.secure = true;
    expect(gic.rd(0x000)).toBe(3);
  });

  it("4.3.4 GICD_IGROUPR is RAZ/WI", () => {
    const gic = nonSecure(bench());
    gic.wd(0x084, 0xff);
    expect(gic.rd(0x084)).toBe(0);
    gic.secure = true;
    expect(gic.rd(0x084)).toBe(2);
  });

  it("4.1.6: bits of Group 0 interrupts are RAZ/WI in enables, pending, active, configuration and targets", () => {
    const gic = nonSecure(bench());
    expect([gic.rd(0x104), gic.rd(0x820) & 0xffff]).toEqual([2, 0x0100]);
    gic.wd(0x184, 3);
    gic.wd(0x204, 3);
    gic.wd(0x304, 3);
    gic.wd(0xc08, 0xf);
    gic.secure = true;
    expect([gic.rd(0x104), gic.rd(0x204), gic.rd(0x304), gic.rd(0xc08)]).toEqual([1, 2, 2, 8]);
  });

  it("3.5.2, 4.3.11: priorities of Group 1 read shifted up, and written ones go to the lower half", () => {
    const gic = nonSecure(bench());
    expect([gic.rd(0x420, 0, 1), gic.rd(0x421, 0, 1)]).toEqual([0, 0x20]);
    gic.wd(0x421, 0x40, 0, 1);
    gic.wd(0x420, 0x40, 0, 1);
    expect(gic.rd(0x421, 0, 1)).toBe(0x40);
    gic.secure = true;
    expect([gic.rd(0x420, 0, 1), gic.rd(0x421, 0, 1)]).toEqual([0x90, 0xa0]);
  });

  it("4.3.14 GICD_NSACR: 1 opens set-pending, 2 also clear-pending, 3 also the targets, of a Group 0 interrupt", () => {
    const allowed = (access: number): boolean[] => {
      const gic = bench();
      gic.wd(0xe08, access);
      gic.edge(32);
      nonSecure(gic).wd(0x204, 1);
      gic.secure = true;
      const set = gic.pending(32) === 1;
      gic.wd(0x204, 1);
      nonSecure(gic).wd(0x284, 1);
      gic.wd(0x820, 2, 0, 1);
      gic.secure = true;
      return [set, gic.pending(32) === 0, gic.rd(0x820, 0, 1) === 2];
    };
    expect([0, 1, 2, 3].map(allowed)).toEqual([
      [false, false, false],
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ]);
  });

  it("4.3.14: GICD_NSACR itself is Secure, and has nothing for PPIs", () => {
    const gic = bench();
    gic.wd(0xe00, 0x5);
    gic.wd(0xe04, 0xffffffff);
    expect([gic.rd(0xe00), gic.rd(0xe04)]).toEqual([5, 0]);
    nonSecure(gic).wd(0xe00, 0);
    expect(gic.rd(0xe00)).toBe(0);
    gic.secure = true;
    expect(gic.rd(0xe00)).toBe(5);
  });

  it("4.3.15 GICD_SGIR, table 4-23: NSATT and the target's group decide about Secure writes, Group 1 about others", () => {
    const forwarded = (secure: boolean, value: number, group: number, access = 0): boolean => {
      const gic = bench();
      gic.wd(0x080, group, 1);
      gic.wd(0xe00, access, 1);
      gic.secure = secure;
      gic.wd(0xf00, value, 0);
      gic.secure = true;
      return gic.pending(0, 1) === 1;
    };
    const TO_1 = 0x00020000;
    const NSATT = 0x8000;
    expect([forwarded(true, TO_1, 0), forwarded(true, TO_1, 1)]).toEqual([true, false]);
    expect([forwarded(true, TO_1 | NSATT, 0), forwarded(true, TO_1 | NSATT, 1)]).toEqual([false, true]);
    expect([forwarded(false, TO_1, 0), forwarded(false, TO_1, 1)]).toEqual([false, true]);
    expect(forwarded(false, TO_1, 0, 1)).toBe(true);
  });
});

describe("GICv2 Security Extensions: the CPU interface as Non-secure software sees it", () => {
  it("4.4.1 GICC_CTLR: EnableGrp1 is bit 0, EOImodeNS bit 9, the Group 1 bypass bits 6 and 5", () => {
    const gic = bench();
    gic.wc(0x000, 0x7ff);
    nonSecure(gic);
    expect(gic.rc(0x000)).toBe(0x261);
    gic.wc(0x000, 0x200);
    gic.secure = true;
    expect(gic.rc(0x000)).toBe(0x67d);
  });

  it("3.5.1: Group 0 is FIQ and hidden from Non-secure reads of GICC_IAR; Group 1 is IRQ", () => {
    const gic = bench();
    gic.pins.spi[0]?.raise();
    expect([gic.fiq(), nonSecure(gic).iar(), gic.rc(0x018)]).toEqual([true, 1023, 1023]);
    gic.pins.spi[0]?.lower();
    gic.pins.spi[1]?.raise();
    expect([gic.irq(), gic.rc(0x018), gic.iar()]).toEqual([true, 33, 33]);
    gic.eoi(33);
    gic.secure = true;
    expect([gic.active(33), gic.rc(0x014)]).toEqual([0, 0xff]);
  });

  it("4.4.5: a Non-secure end of a Group 0 interrupt is ignored", () => {
    const gic = bench();
    gic.pins.spi[0]?.raise();
    gic.iar();
    nonSecure(gic).eoi(32);
    gic.secure = true;
    expect(gic.active(32)).toBe(1);
  });

  it("4.4.2 GICC_PMR: only the lower half is Non-secure software's; with a Secure mask above it is RAZ/WI", () => {
    const gic = bench();
    nonSecure(gic).wc(0x004, 0x40);
    expect(gic.rc(0x004)).toBe(0x40);
    gic.secure = true;
    expect(gic.rc(0x004)).toBe(0xa0);
    gic.wc(0x004, 0x70);
    nonSecure(gic).wc(0x004, 0xff);
    expect(gic.rc(0x004)).toBe(0);
    gic.secure = true;
    expect(gic.rc(0x004)).toBe(0x70);
  });

  it("4.4.3 GICC_BPR: the Non-secure copy is GICC_ABPR; with CBPR it reads one more than the Secure one, and is WI", () => {
    const gic = bench();
    nonSecure(gic).wc(0x008, 5);
    expect(gic.rc(0x008)).toBe(5);
    gic.secure = true;
    expect([gic.rc(0x008), gic.rc(0x01c)]).toEqual([0, 5]);
    gic.wc(0x000, 0x1b);
    gic.wc(0x008, 3);
    nonSecure(gic).wc(0x008, 7);
    expect(gic.rc(0x008)).toBe(4);
  });

  it("4.4.6 GICC_RPR: a running priority of the upper half reads as 0, one of the lower half shifted up", () => {
    const gic = bench();
    gic.pins.spi[1]?.raise();
    nonSecure(gic).iar();
    expect(gic.rc(0x014)).toBe(0x20);
    gic.secure = true;
    gic.wd(0x420, 0x10, 0, 1);
    gic.pins.spi[0]?.raise();
    gic.iar();
    expect([gic.rc(0x014), nonSecure(gic).rc(0x014)]).toEqual([0x10, 0]);
  });

  it("4.4.8 to 4.4.11, 4.4.13: the aliased registers and GICC_NSAPR are RAZ/WI to Non-secure software", () => {
    const gic = bench();
    gic.pins.spi[1]?.raise();
    nonSecure(gic);
    expect([0x01c, 0x020, 0x028, 0x0e0].map((at) => gic.rc(at))).toEqual([0, 0, 0, 0]);
    gic.secure = true;
    expect([gic.active(33), gic.rc(0x028), gic.rc(0x020)]).toEqual([0, 33, 33]);
  });

  it("4.4.12 GICC_APR: the Non-secure copies are the lower-priority half of GICC_NSAPR", () => {
    const gic = bench();
    gic.pins.spi[1]?.raise();
    nonSecure(gic).iar();
    // 0x90: level 0x48 of 128, word 2, bit 8; in the lower half word 0, bit 8.
    expect([gic.rc(0x0d0), gic.rc(0x0d8)]).toEqual([0x100, 0]);
    gic.wc(0x0d4, 0x3);
    gic.secure = true;
    expect([gic.rc(0x0e8), gic.rc(0x0ec)]).toEqual([0x100, 3]);
  });

  it("4.4.15 GICC_DIR: EOImodeNS counts for Non-secure writes, and Group 0 stays out of reach", () => {
    const gic = bench();
    gic.wc(0x000, 0x40b);
    gic.pins.spi[1]?.raise();
    nonSecure(gic).iar();
    gic.pins.spi[1]?.lower();
    gic.eoi(33);
    gic.secure = true;
    expect(gic.active(33)).toBe(1);
    gic.wd(0x304, 1);
    nonSecure(gic).wc(0x1000, 33);
    gic.wc(0x1000, 32);
    gic.secure = true;
    expect([gic.active(33), gic.active(32)]).toEqual([0, 1]);
  });
});
