// Offsets and values typed from Arm IHI 0048B, table 4-2 and sections 3.2, 3.3, 4.4; reset values from Arm DDI 0471B 3.3.
import { describe, expect, it } from "vitest";
import { GicBench } from "./device.ts";

/** A GIC with SPIs 32 to 47 level-sensitive and enabled, at the priorities given. */
function withPriorities(gic: GicBench, priorities: readonly number[]): GicBench {
  priorities.forEach((p, i) => {
    gic.enable(32 + i, p);
  });
  return gic;
}

describe("GICv2 CPU interface: acknowledge and end", () => {
  it("4.4.4 GICC_IAR: the read makes the interrupt active; with none pending it gives 1023 and changes nothing", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0]);
    expect(gic.iar()).toBe(1023);
    gic.pins.spi[0]?.raise();
    expect(gic.iar()).toBe(32);
    expect([gic.active(32), gic.irq(), gic.iar()]).toEqual([1, false, 1023]);
  });

  it("4.4.4: a debugger's look at GICC_IAR acknowledges nothing", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0]);
    gic.pins.spi[0]?.raise();
    expect([gic.gic.cpuInterface.peek(0x00c, 4), gic.gic.cpuInterface.peek(0x00c, 4)]).toEqual([32, 32]);
    expect([gic.active(32), gic.irq()]).toEqual([0, true]);
  });

  it("4.4.5 GICC_EOIR: with EOImode 0 drops the priority and deactivates", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.pins.spi[0]?.lower();
    expect(gic.rc(0x014)).toBe(0xa0);
    gic.eoi(32);
    expect([gic.rc(0x014), gic.active(32)]).toEqual([0xff, 0]);
  });

  it("3.2.1, 4.4.1 EOImode 1: GICC_EOIR drops the priority only, GICC_DIR deactivates", () => {
    const gic = withPriorities(new GicBench().on(1, 0x201), [0xa0, 0xa0]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.eoi(32);
    expect([gic.rc(0x014), gic.active(32), gic.irq()]).toEqual([0xff, 1, false]);
    gic.pins.spi[1]?.raise();
    expect(gic.iar()).toBe(33); // the dropped priority no longer holds it back
    gic.eoi(33);
    gic.wc(0x1000, 32);
    expect([gic.active(32), gic.active(33), gic.irq()]).toEqual([0, 1, true]);
    expect(gic.errors).toEqual([]);
  });

  it("4.4.15 GICC_DIR: with EOImode 0 the write is UNPREDICTABLE; here it is ignored and recorded", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.wc(0x1000, 32);
    expect(gic.active(32)).toBe(1);
    expect(gic.errors.map((e) => [e.kind, e.clause])).toEqual([["sequence", "Arm IHI 0048B 4.4.15"]]);
  });

  it("4.4.5: writing 1023 is ignored; an end with nothing active, or of no interrupt, is ignored and recorded", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0]);
    gic.eoi(1023);
    expect(gic.errors).toEqual([]);
    gic.eoi(32);
    gic.eoi(900);
    expect(gic.errors.map((e) => [e.kind, e.register])).toEqual([
      ["sequence", "GICC_EOIR"],
      ["value", "GICC_EOIR"],
    ]);
  });

  it("4.4.5: ends must nest; one of an interrupt that is not active is recorded", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0, 0xa0]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.eoi(33);
    expect(gic.errors.map((e) => e.kind)).toEqual(["sequence"]);
    expect([gic.rc(0x014), gic.active(32)]).toEqual([0xff, 1]);
  });
});

describe("GICv2 CPU interface: mask and preemption", () => {
  it("4.4.2 GICC_PMR: only priorities above the mask (numerically lower) are signalled; reset masks all", () => {
    const gic = withPriorities(new GicBench(), [0xa0]);
    gic.wd(0x000, 1);
    gic.wc(0x000, 1);
    gic.pins.spi[0]?.raise();
    expect([gic.rc(0x004), gic.irq(), gic.iar()]).toEqual([0, false, 1023]);
    gic.wc(0x004, 0xa0);
    expect(gic.irq()).toBe(false);
    gic.wc(0x004, 0xa8);
    expect(gic.irq()).toBe(true);
  });

  it("3.3.1: the lowest priority, 0xF8 with five bits, passes no mask", () => {
    const gic = withPriorities(new GicBench().on(), [0xff]);
    gic.wc(0x004, 0xff);
    gic.pins.spi[0]?.raise();
    expect([gic.rc(0x004), gic.irq()]).toEqual([0xf8, false]);
  });

  it("4.4.7 GICC_HPPIR: neither mask nor running priority hides the highest pending interrupt", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0, 0xb0]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.pins.spi[1]?.raise();
    expect([gic.rc(0x018), gic.irq()]).toEqual([33, false]);
    gic.wc(0x004, 0);
    expect(gic.rc(0x018)).toBe(33);
  });

  it("4.4.7: an interrupt whose group the CPU interface does not signal is not given", () => {
    const gic = withPriorities(new GicBench().on(1, 0), [0xa0]);
    gic.pins.spi[0]?.raise();
    expect(gic.rc(0x018)).toBe(1023);
  });

  it("3.3.2: a higher group priority preempts; the running priority follows in and out (4.4.6 GICC_RPR)", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0, 0x80, 0x20]);
    const seen: number[] = [];
    for (const n of [0, 1, 2]) {
      gic.pins.spi[n]?.raise();
      seen.push(gic.iar(), gic.rc(0x014));
    }
    expect(seen).toEqual([32, 0xa0, 33, 0x80, 34, 0x20]);
    for (const id of [34, 33, 32]) {
      gic.pins.spi[id - 32]?.lower();
      gic.eoi(id);
      seen.push(gic.rc(0x014));
    }
    expect(seen.slice(6)).toEqual([0x80, 0xa0, 0xff]);
  });

  it("3.3.2: an equal or lower priority does not preempt", () => {
    const gic = withPriorities(new GicBench().on(), [0x80, 0x80, 0x88]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.pins.spi[1]?.raise();
    gic.pins.spi[2]?.raise();
    expect([gic.irq(), gic.iar()]).toEqual([false, 1023]);
  });

  it("3.3.3, table 3-2: GICC_BPR takes priority bits out of preemption", () => {
    // Binary point 4: the group priority is bits 7:5. 0x80 and 0x98 are one group, 0x78 another.
    const gic = withPriorities(new GicBench().on(), [0x98, 0x80, 0x78]);
    gic.wc(0x008, 4);
    gic.pins.spi[0]?.raise();
    expect([gic.iar(), gic.rc(0x014)]).toEqual([32, 0x80]);
    gic.pins.spi[1]?.raise();
    expect(gic.irq()).toBe(false);
    gic.pins.spi[2]?.raise();
    expect([gic.irq(), gic.iar(), gic.rc(0x014)]).toEqual([true, 34, 0x60]);
  });

  it("3.3.3: with binary point 7 nothing preempts; without anything active interrupts are still signalled", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0, 0x00]);
    gic.wc(0x008, 7);
    gic.pins.spi[0]?.raise();
    expect(gic.iar()).toBe(32);
    gic.pins.spi[1]?.raise();
    expect(gic.irq()).toBe(false);
    gic.eoi(32);
    expect(gic.iar()).toBe(33);
  });

  it("4.4.3, 4.4.8: binary points reset to their minimum, and lower values become it: 2 and 3 with five bits", () => {
    const gic = new GicBench();
    expect([gic.rc(0x008), gic.rc(0x01c)]).toEqual([2, 3]);
    gic.wc(0x008, 0);
    gic.wc(0x01c, 0);
    expect([gic.rc(0x008), gic.rc(0x01c)]).toEqual([2, 3]);
    gic.wc(0x008, 0xfffffffd);
    expect(gic.rc(0x008)).toBe(5);
    const full = new GicBench({ priorityBits: 8 });
    expect([full.rc(0x008), full.rc(0x01c)]).toEqual([0, 1]);
    const least = new GicBench({ priorityBits: 4 });
    expect([least.rc(0x008), least.rc(0x01c)]).toEqual([3, 4]);
  });

  it("4.4.12 GICC_APR: one bit a group priority with five bits; writing it sets the running priority", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0, 0x20]);
    for (const n of [0, 1]) {
      gic.pins.spi[n]?.raise();
      gic.iar();
    }
    expect([gic.rc(0x0d0), gic.rc(0x0d4)]).toEqual([(1 << 20) | (1 << 4), 0]);
    gic.wc(0x0d0, 0);
    expect(gic.rc(0x014)).toBe(0xff);
    gic.wc(0x0d0, 0x00010000);
    expect(gic.rc(0x014)).toBe(0x80);
  });

  it("4.4.12: with eight bits there are 128 group priorities in four registers", () => {
    const gic = withPriorities(new GicBench({ priorityBits: 8 }).on(), [0xa1, 0x23]);
    for (const n of [0, 1]) {
      gic.pins.spi[n]?.raise();
      gic.iar();
    }
    // 0xa1: group priority 0xa0, level 0x50 = word 2, bit 16. 0x23: 0x22, level 0x11 = word 0, bit 17.
    expect([0xd0, 0xd4, 0xd8, 0xdc].map((at) => gic.rc(at))).toEqual([1 << 17, 0, 1 << 16, 0]);
    expect(gic.rc(0x014)).toBe(0x22);
  });
});

describe("GICv2 CPU interface: groups without the Security Extensions", () => {
  const ALL = 0x3; // both groups
  const group1 = (gic: GicBench, id: number): void => gic.wd(0x080 + 4 * (id >> 5), 1 << (id & 31));

  it("4.4.1 GICC_CTLR: bits 9:0 exist; the bypass bits do nothing and say so", () => {
    const gic = new GicBench();
    gic.wc(0x000, 0xffffffff);
    expect(gic.rc(0x000)).toBe(0x3ff);
    expect(gic.errors.map((e) => e.kind)).toEqual(Array(4).fill("unimplemented")); // one a field
  });

  it("4.4.1 FIQEn: Group 0 goes to FIQ, Group 1 always to IRQ", () => {
    const gic = withPriorities(new GicBench().on(ALL, 0xb), [0xa0, 0xa0]);
    group1(gic, 33);
    gic.pins.spi[1]?.raise();
    expect([gic.irq(), gic.fiq()]).toEqual([true, false]);
    gic.pins.spi[0]?.raise();
    expect([gic.irq(), gic.fiq()]).toEqual([false, true]);
    gic.wc(0x000, 0x3);
    expect([gic.irq(), gic.fiq()]).toEqual([true, false]);
  });

  it("4.3.4 GICD_IGROUPR: a pending interrupt that changes group changes line", () => {
    const gic = withPriorities(new GicBench().on(ALL, 0xb), [0xa0]);
    gic.pins.spi[0]?.raise();
    expect([gic.irq(), gic.fiq()]).toEqual([false, true]);
    gic.wd(0x084, 1);
    expect([gic.irq(), gic.fiq(), gic.rd(0x084)]).toEqual([true, false, 1]);
  });

  it("4.4.1 EnableGrp1: a group that is off at the CPU interface is not signalled, nor passed by a lower priority", () => {
    const gic = withPriorities(new GicBench().on(ALL, 0x1), [0xa0, 0x20]);
    group1(gic, 33);
    gic.pins.spi[0]?.raise();
    gic.pins.spi[1]?.raise();
    expect([gic.irq(), gic.iar()]).toEqual([false, 1023]);
  });

  it("4.3.1: a group that is off at the distributor is not forwarded, and the other one is", () => {
    const gic = withPriorities(new GicBench().on(1, ALL), [0xa0, 0x20]);
    group1(gic, 33);
    gic.pins.spi[0]?.raise();
    gic.pins.spi[1]?.raise();
    expect([gic.irq(), gic.iar()]).toEqual([true, 32]);
  });

  it("4.4.4 AckCtl: a Group 1 interrupt reads as 1022 through GICC_IAR and GICC_HPPIR while AckCtl is 0", () => {
    const gic = withPriorities(new GicBench().on(ALL), [0xa0]);
    group1(gic, 32);
    gic.pins.spi[0]?.raise();
    expect([gic.irq(), gic.iar(), gic.rc(0x018), gic.active(32)]).toEqual([true, 1022, 1022, 0]);
    gic.wc(0x000, 0x7);
    expect([gic.rc(0x018), gic.iar(), gic.active(32)]).toEqual([32, 32, 1]);
  });

  it("3.6: 1022 is given only where the interrupt has the priority to be signalled", () => {
    const gic = withPriorities(new GicBench().on(ALL), [0xa0]);
    group1(gic, 32);
    gic.wc(0x004, 0x80);
    gic.pins.spi[0]?.raise();
    expect(gic.iar()).toBe(1023);
  });

  it("4.4.9 GICC_AIAR, 4.4.11 GICC_AHPPIR, 4.4.10 GICC_AEOIR: Group 1 only", () => {
    const gic = withPriorities(new GicBench().on(ALL), [0xa0, 0x80]);
    group1(gic, 32);
    gic.pins.spi[1]?.raise();
    expect([gic.rc(0x020), gic.rc(0x028)]).toEqual([1023, 1023]);
    gic.pins.spi[1]?.lower();
    gic.pins.spi[0]?.raise();
    expect([gic.rc(0x028), gic.rc(0x020), gic.active(32)]).toEqual([32, 32, 1]);
    expect([gic.rc(0x0d0), gic.rc(0x0e0)]).toEqual([0, 1 << 20]); // 4.4.13 GICC_NSAPR
    gic.wc(0x024, 32);
    expect([gic.rc(0x0e0), gic.active(32), gic.errors.length]).toEqual([0, 0, 0]);
  });

  it("4.4.10: GICC_AEOIR of a Group 0 interrupt is ignored and recorded", () => {
    const gic = withPriorities(new GicBench().on(ALL), [0xa0]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.wc(0x024, 32);
    expect([gic.active(32), gic.rc(0x014), gic.errors.map((e) => e.register)]).toEqual([1, 0xa0, ["GICC_AEOIR"]]);
  });

  it("3.3.3, table 3-3: GICC_ABPR serves Group 1, one bit apart from GICC_BPR, until CBPR is set", () => {
    // ABPR 5: group priority bits 7:5 for Group 1. BPR 2: bits 7:3 for Group 0.
    const run = (control: number): number[] => {
      const gic = withPriorities(new GicBench().on(ALL, control), [0x98, 0x80]);
      gic.wd(0x084, 3);
      gic.wc(0x01c, 5);
      gic.pins.spi[0]?.raise();
      gic.rc(0x020);
      gic.pins.spi[1]?.raise();
      return [gic.rc(0x014), gic.irq() ? 1 : 0];
    };
    expect(run(0x03)).toEqual([0x80, 0]);
    expect(run(0x13)).toEqual([0x98, 1]);
  });
});

describe("GICv2 CPU interface: binary points that differ", () => {
  it("3.3.3: the pending interrupt's binary point decides which bits of both priorities are compared", () => {
    const gic = withPriorities(new GicBench().on(3, 0x7), [0x28, 0x10, 0x10]);
    gic.wd(0x084, 2); // INTID 33 in Group 1
    gic.wc(0x01c, 6); // group priority bits 7:6 for Group 1, 7:3 for Group 0
    gic.pins.spi[0]?.raise();
    expect([gic.iar(), gic.rc(0x014)]).toEqual([32, 0x28]);
    gic.pins.spi[1]?.raise();
    expect(gic.irq()).toBe(false);
    gic.pins.spi[1]?.lower();
    gic.pins.spi[2]?.raise();
    expect(gic.irq()).toBe(true);
  });
});

describe("GICv2 CPU interface: many CPUs, wake-up, reset, snapshot", () => {
  it("4.1.5: the registers of a CPU interface are each CPU's own", () => {
    const gic = new GicBench({ cpus: 8 });
    for (let cpu = 0; cpu < 8; cpu++) gic.wc(0x004, cpu << 3, cpu);
    expect(Array.from({ length: 8 }, (_, cpu) => gic.rc(0x004, cpu))).toEqual([0, 8, 16, 24, 32, 40, 48, 56]);
  });

  it("PPIs reach their own CPU", () => {
    const gic = new GicBench({ cpus: 2 }).on();
    for (const cpu of [0, 1]) gic.enable(27, 0x80, 0, cpu);
    gic.pins.ppi[1]?.[11]?.raise();
    expect([gic.irq(0), gic.irq(1), gic.iar(0), gic.iar(1)]).toEqual([false, true, 1023, 27]);
  });

  it("the wake line says that an interrupt waits, whatever the CPU interface is set to", () => {
    const gic = withPriorities(new GicBench(), [0xa0]);
    gic.wd(0x000, 1);
    gic.pins.spi[0]?.raise();
    expect([gic.irq(), gic.gic.wake[0]?.level]).toEqual([false, true]);
    gic.pins.spi[0]?.lower();
    expect(gic.gic.wake[0]?.level).toBe(false);
  });

  it("reset: requests fall, all state is that of power-on, inputs keep the level that their drivers give them", () => {
    const gic = withPriorities(new GicBench().on(), [0xa0]);
    const power = new GicBench().simulation.stateHash();
    gic.pins.spi[0]?.raise();
    gic.gic.reset();
    expect([gic.irq(), gic.pending(32), gic.rc(0x004)]).toEqual([false, 1, 0]);
    gic.simulation.reset();
    expect(gic.simulation.stateHash()).toBe(power);
  });

  it("a snapshot taken between acknowledge and end goes on in another machine without moving a line", () => {
    const make = (): GicBench => new GicBench({ cpus: 2 });
    const gic = withPriorities(make().on(), [0xa0, 0x40]);
    gic.pins.spi[0]?.raise();
    gic.iar();
    gic.pins.spi[1]?.raise();
    const other = make();
    other.simulation.load(gic.simulation.save());
    let moves = 0;
    other.gic.irq[0]?.connect(() => moves++);
    moves = 0;
    expect([other.irq(), other.rc(0x014), other.iar()]).toEqual([true, 0xa0, 33]);
    expect(moves).toBe(1);
    other.eoi(33);
    expect(other.rc(0x014)).toBe(0xa0);
  });
});
