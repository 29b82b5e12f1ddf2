// Offsets and values typed from Arm IHI 0048B, table 4-1 and section 4.3; identification from Arm DDI 0471B.
import { describe, expect, it } from "vitest";
import { GicBench } from "./device.ts";

describe("GICv2 identification", () => {
  it("4.3.2 GICD_TYPER: ITLinesNumber, CPUNumber, SecurityExtn, LSPI", () => {
    expect(new GicBench().rd(0x004)).toBe(0x008); // 32 * (8 + 1) = 288 interrupts, 1 CPU
    expect(new GicBench({ cpus: 8 }).rd(0x004)).toBe(0x0e8);
    expect(new GicBench({ cpus: 2, spis: 32, securityExtensions: true }).rd(0x004)).toBe(0x421);
    expect(new GicBench({ spis: 992 }).rd(0x004)).toBe(0x01f);
  });

  it("4.3.3, DDI 0471B 3.2: GICD_IIDR of a GIC-400 r0p1", () => expect(new GicBench().rd(0x008)).toBe(0x0200143b));
  it("4.4.14, DDI 0471B 3.3: GICC_IIDR of a GIC-400 r0p1", () => expect(new GicBench().rc(0x0fc)).toBe(0x0202143b));

  it("4.3.18: the identification registers, architecture version 2 in ICPIDR2[7:4]", () => {
    const gic = new GicBench();
    const ids = Array.from({ length: 12 }, (_, i) => gic.rd(0xfd0 + 4 * i));
    expect(ids).toEqual([0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
  });
});

describe("GICv2 distributor: enable, pending, active", () => {
  it("4.3.1 GICD_CTLR: EnableGrp0 and EnableGrp1, nothing else", () => {
    const gic = new GicBench();
    gic.wd(0x000, 0xffffffff);
    expect(gic.rd(0x000)).toBe(3);
  });

  it("4.3.1: with forwarding off interrupts stay pending and none reaches a CPU", () => {
    const gic = new GicBench().on(0, 1);
    gic.enable(40);
    gic.pins.spi[8]?.raise();
    expect([gic.pending(40), gic.irq(), gic.rc(0x018)]).toEqual([1, false, 1023]);
    gic.wd(0x000, 1);
    expect([gic.irq(), gic.rc(0x018)]).toEqual([true, 40]);
  });

  it("4.3.5, 4.3.6 GICD_ISENABLER, GICD_ICENABLER: ones set and clear, zeros do nothing, both read the enables", () => {
    const gic = new GicBench();
    gic.wd(0x104, 0x00f00001);
    gic.wd(0x104, 0x00000100);
    expect([gic.rd(0x104), gic.rd(0x184)]).toEqual([0x00f00101, 0x00f00101]);
    gic.wd(0x184, 0x00300001);
    expect([gic.rd(0x104), gic.rd(0x184)]).toEqual([0x00c00100, 0x00c00100]);
  });

  it("4.3.5: bits of interrupts that are not implemented are RAZ/WI", () => {
    const gic = new GicBench({ spis: 64 });
    gic.wd(0x108, 0xffffffff);
    gic.wd(0x10c, 0xffffffff);
    expect([gic.rd(0x108), gic.rd(0x10c)]).toEqual([0xffffffff, 0]);
    const full = new GicBench({ spis: 992 });
    full.wd(0x17c, 0xffffffff);
    expect(full.rd(0x17c)).toBe(0x0fffffff); // INTID 1020 to 1023 are no interrupts
  });

  it("4.3.5: SGIs are always enabled here; PPIs are each CPU's own", () => {
    const gic = new GicBench({ cpus: 2 });
    gic.wd(0x180, 0xffffffff, 0);
    gic.wd(0x100, 0x08000000, 1);
    expect([gic.rd(0x100, 0), gic.rd(0x100, 1)]).toEqual([0x0000ffff, 0x0800ffff]);
  });

  it("4.3.7, 4.3.8 GICD_ISPENDR, GICD_ICPENDR: software makes an edge-triggered interrupt pending and not", () => {
    const gic = new GicBench().on();
    gic.enable(50);
    gic.edge(50);
    gic.wd(0x204, 1 << 18);
    expect([gic.rd(0x204), gic.rd(0x284), gic.irq()]).toEqual([1 << 18, 1 << 18, true]);
    gic.wd(0x284, 1 << 18);
    expect([gic.rd(0x204), gic.irq()]).toEqual([0, false]);
  });

  it("4.3.7: a level-sensitive interrupt made pending by software stays so when its line falls; 4.3.8 ends it", () => {
    const gic = new GicBench().on();
    gic.enable(50);
    gic.wd(0x204, 1 << 18);
    gic.pins.spi[18]?.pulse();
    expect([gic.pending(50), gic.irq()]).toEqual([1, true]);
    gic.wd(0x284, 1 << 18);
    expect([gic.pending(50), gic.irq()]).toEqual([0, false]);
  });

  it("4.3.8: clearing pending has no effect while the line of a level-sensitive interrupt is high", () => {
    const gic = new GicBench().on();
    gic.enable(50);
    gic.pins.spi[18]?.raise();
    gic.wd(0x284, 1 << 18);
    expect(gic.pending(50)).toBe(1);
    gic.pins.spi[18]?.lower();
    expect([gic.pending(50), gic.irq()]).toEqual([0, false]);
  });

  it("4.3.7, 4.3.8: writes do not reach the pending bits of SGIs", () => {
    const gic = new GicBench().on();
    gic.wd(0x200, 0xffff);
    expect(gic.rd(0x200)).toBe(0);
    gic.wd(0xf20, 0x01, 0, 1);
    gic.wd(0x280, 0xffff);
    expect(gic.rd(0x200)).toBe(1);
  });

  it("4.3.9, 4.3.10 GICD_ISACTIVER, GICD_ICACTIVER: an active interrupt is not forwarded", () => {
    const gic = new GicBench().on();
    gic.enable(50);
    gic.wd(0x304, 1 << 18);
    gic.pins.spi[18]?.raise();
    expect([gic.rd(0x304), gic.rd(0x384), gic.irq(), gic.rc(0x018)]).toEqual([1 << 18, 1 << 18, false, 1023]);
    gic.wd(0x384, 1 << 18);
    expect([gic.rd(0x304), gic.irq()]).toEqual([0, true]);
  });

  it("DDI 0471B 3.2 GICD_PPISR, GICD_SPISR: the levels of the inputs, whatever is enabled", () => {
    const gic = new GicBench({ cpus: 2 });
    gic.pins.ppi[1]?.[11]?.raise();
    gic.pins.spi[33]?.raise();
    expect([gic.rd(0xd00, 0), gic.rd(0xd00, 1), gic.rd(0xd04), gic.rd(0xd08)]).toEqual([0, 0x800, 0, 2]);
  });
});

describe("GICv2 distributor: level and edge", () => {
  it("1.4.2, 4.3.13: a rising edge makes an edge-triggered interrupt pending once; a falling one does not", () => {
    const gic = new GicBench().on();
    gic.enable(60);
    gic.edge(60);
    gic.pins.spi[28]?.raise();
    const id = gic.iar();
    gic.eoi(id);
    expect([id, gic.pending(60), gic.irq()]).toEqual([60, 0, false]);
    gic.pins.spi[28]?.lower();
    expect(gic.pending(60)).toBe(0);
    gic.pins.spi[28]?.raise();
    expect([gic.pending(60), gic.irq()]).toEqual([1, true]);
  });

  it("3.2.4: an edge while the interrupt is active makes it active and pending; it is signalled again after its end", () => {
    const gic = new GicBench().on();
    gic.enable(60);
    gic.edge(60);
    gic.pins.spi[28]?.pulse();
    gic.iar();
    gic.pins.spi[28]?.pulse();
    expect([gic.active(60), gic.pending(60), gic.irq()]).toEqual([1, 1, false]);
    gic.eoi(60);
    expect([gic.active(60), gic.pending(60), gic.irq()]).toEqual([0, 1, true]);
  });

  it("3.2.4: a level-sensitive interrupt whose line stays high is active and pending, and comes again after its end", () => {
    const gic = new GicBench().on();
    gic.enable(60);
    gic.pins.spi[28]?.raise();
    expect(gic.iar()).toBe(60);
    expect([gic.active(60), gic.pending(60), gic.irq()]).toEqual([1, 1, false]);
    gic.eoi(60);
    expect(gic.irq()).toBe(true);
    expect(gic.iar()).toBe(60);
    gic.pins.spi[28]?.lower();
    expect([gic.active(60), gic.pending(60)]).toEqual([1, 0]);
    gic.eoi(60);
    expect([gic.active(60), gic.irq()]).toEqual([0, false]);
  });

  it("4.3.13 GICD_ICFGR: the upper bit of each pair is the trigger, the lower is reserved; SGIs are fixed as edge", () => {
    const gic = new GicBench({ cpus: 2 });
    gic.wd(0xc08, 0xffffffff);
    gic.wd(0xc00, 0);
    expect([gic.rd(0xc08), gic.rd(0xc00)]).toEqual([0xaaaaaaaa, 0xaaaaaaaa]);
    gic.wd(0xc08, 0x80000002);
    expect(gic.rd(0xc08)).toBe(0x80000002);
    gic.wd(0xc04, 0x00800000, 1); // INTID 27 of CPU 1
    expect([gic.rd(0xc04, 0), gic.rd(0xc04, 1)]).toEqual([0, 0x00800000]);
  });
});

describe("GICv2 distributor: priorities and targets", () => {
  it("4.3.11 GICD_IPRIORITYR: by byte and by word; unimplemented low bits are RAZ/WI (3.3)", () => {
    const gic = new GicBench();
    gic.wd(0x428, 0xfffefdfc);
    expect(gic.rd(0x428)).toBe(0xf8f8f8f8); // five bits: 32 levels
    gic.wd(0x429, 0x57, 0, 1);
    expect([gic.rd(0x428), gic.rd(0x429, 0, 1)]).toEqual([0xf8f850f8, 0x50]);
    const full = new GicBench({ priorityBits: 8 });
    full.wd(0x428, 0xfffefdfc);
    expect(full.rd(0x428)).toBe(0xfffefdfc);
    const least = new GicBench({ priorityBits: 4 });
    least.wd(0x428, 0xffffffff);
    expect(least.rd(0x428)).toBe(0xf0f0f0f0);
  });

  it("4.3.11: the priorities of private interrupts are each CPU's own", () => {
    const gic = new GicBench({ cpus: 2 });
    gic.wd(0x41b, 0x20, 1, 1);
    expect([gic.rd(0x41b, 0, 1), gic.rd(0x41b, 1, 1)]).toEqual([0, 0x20]);
  });

  it("4.3.12 GICD_ITARGETSR: private interrupts read as the CPU that reads, and are read-only", () => {
    const gic = new GicBench({ cpus: 3 });
    gic.wd(0x800, 0, 2);
    expect([gic.rd(0x800, 0), gic.rd(0x81c, 2)]).toEqual([0x01010101, 0x04040404]);
    expect(gic.errors.map((e) => [e.kind, e.clause])).toContainEqual(["access", "Arm IHI 0048B 4.3.12"]);
  });

  it("4.3.12: bits of CPUs that are not there are RAZ/WI", () => {
    const gic = new GicBench({ cpus: 3 });
    gic.wd(0x820, 0xff, 0, 1);
    expect(gic.rd(0x820)).toBe(0x07);
  });

  it("4.3.12: in a uniprocessor implementation all interrupts go to the one CPU, and the registers are RAZ/WI", () => {
    const gic = new GicBench().on();
    gic.wd(0x820, 0xffffffff);
    expect([gic.rd(0x800), gic.rd(0x820), gic.errors.length]).toEqual([0, 0, 0]);
    gic.wd(0x104, 1);
    gic.pins.spi[0]?.raise();
    expect(gic.irq()).toBe(true);
  });

  it("3.2.3: an interrupt for several CPUs is signalled to all, and taken by the first to acknowledge (1-N model)", () => {
    const gic = new GicBench({ cpus: 4 }).on();
    gic.enable(70, 0xa0, 0b1101);
    gic.pins.spi[38]?.raise();
    expect([0, 1, 2, 3].map((c) => gic.irq(c))).toEqual([true, false, true, true]);
    expect(gic.iar(2)).toBe(70);
    expect([0, 1, 2, 3].map((c) => gic.irq(c))).toEqual([false, false, false, false]);
    expect(gic.iar(0)).toBe(1023);
  });

  it("4.3.12: a change of targets moves a pending interrupt at once", () => {
    const gic = new GicBench({ cpus: 2 }).on();
    gic.enable(70, 0xa0, 1);
    gic.pins.spi[38]?.raise();
    gic.wd(0x846, 2, 0, 1);
    expect([gic.irq(0), gic.irq(1)]).toEqual([false, true]);
    gic.wd(0x846, 0, 0, 1);
    expect([gic.irq(0), gic.irq(1), gic.pending(70)]).toEqual([false, false, 1]);
  });

  it("3.3: of pending interrupts the highest priority (lowest number) wins; of equals the lowest INTID", () => {
    const gic = new GicBench().on();
    for (const [id, priority] of [
      [90, 0x80],
      [91, 0x40],
      [33, 0x40],
      [34, 0x88],
    ] as const)
      gic.enable(id, priority);
    for (const n of [58, 59, 1, 2]) gic.pins.spi[n]?.raise();
    expect(gic.rc(0x018)).toBe(33);
    gic.pins.spi[1]?.lower();
    expect(gic.rc(0x018)).toBe(91);
    gic.wd(0x45b, 0xf0, 0, 1);
    expect(gic.rc(0x018)).toBe(90);
  });
});

describe("GICv2 distributor: software generated interrupts", () => {
  it("4.3.15 GICD_SGIR: TargetListFilter 0 goes to the list, 1 to all others, 2 to the requester", () => {
    const reached = (value: number, by: number): number[] => {
      const gic = new GicBench({ cpus: 4 }).on();
      gic.wd(0xf00, value, by);
      return [0, 1, 2, 3].filter((cpu) => gic.irq(cpu));
    };
    expect(reached(0x000a0005, 0)).toEqual([1, 3]);
    expect(reached(0x000f0005, 1)).toEqual([0, 1, 2, 3]);
    expect(reached(0x01000005, 1)).toEqual([0, 2, 3]);
    expect(reached(0x02ff0005, 3)).toEqual([3]);
    expect(reached(0x00f00005, 0)).toEqual([]); // CPUs that are not there
  });

  it("4.3.15: TargetListFilter 3 is reserved: recorded, no effect", () => {
    const gic = new GicBench({ cpus: 2 }).on();
    gic.wd(0xf00, 0x03ff0001);
    expect([gic.irq(0), gic.irq(1)]).toEqual([false, false]);
    expect(gic.errors.map((e) => [e.kind, e.clause])).toEqual([["value", "Arm IHI 0048B 4.3.15"]]);
  });

  it("4.4.4: GICC_IAR gives the requester's CPU in bits 12:10; several requesters are separate interrupts", () => {
    const gic = new GicBench({ cpus: 8 }).on();
    gic.wd(0xf00, 0x00010003, 5);
    gic.wd(0xf00, 0x00010003, 2);
    expect(gic.rc(0x018)).toBe(0x0803);
    const first = gic.iar();
    expect([first, gic.pending(3), gic.irq()]).toEqual([0x0803, 1, false]);
    gic.eoi(first);
    const second = gic.iar();
    expect([second, gic.pending(3)]).toEqual([0x1403, 0]);
    gic.eoi(second);
    expect(gic.iar()).toBe(1023);
  });

  it("4.3.16, 4.3.17 GICD_CPENDSGIR, GICD_SPENDSGIR: a byte an SGI, a bit a source, each CPU's own", () => {
    const gic = new GicBench({ cpus: 4 }).on();
    gic.wd(0xf24, 0xff000600, 1); // SGI 5 from CPUs 1 and 2, SGI 7 from all there are
    expect([gic.rd(0xf24, 1), gic.rd(0xf14, 1), gic.rd(0xf24, 0)]).toEqual([0x0f000600, 0x0f000600, 0]);
    expect(gic.rd(0x200, 1)).toBe(0xa0);
    gic.wd(0xf15, 0x02, 1, 1);
    expect([gic.rd(0xf25, 1, 1), gic.pending(5, 1)]).toEqual([0x04, 1]);
    gic.wd(0xf15, 0x04, 1, 1);
    expect(gic.pending(5, 1)).toBe(0);
    expect(gic.iar(1)).toBe(7);
  });

  it("4.3.16: clearing the last source of an SGI takes back the request", () => {
    const gic = new GicBench({ cpus: 2 }).on();
    gic.wd(0xf00, 0x00020000, 0);
    expect(gic.irq(1)).toBe(true);
    gic.wd(0xf10, 0x01, 1);
    expect(gic.irq(1)).toBe(false);
  });
});

describe("GICv2 distributor: access", () => {
  it("4.1.4: bytes reach priorities, targets and the SGI pending registers only; others are refused and recorded", () => {
    const gic = new GicBench({ cpus: 2 });
    gic.wd(0x104, 0xff, 0, 1);
    expect([gic.rd(0x104), gic.errors[0]?.kind]).toEqual([0, "width"]);
  });

  it("2.1.1: inputs that do not exist cannot be wired", () => {
    const { gic } = new GicBench({ cpus: 2, spis: 32 });
    expect(() => gic.spi(32)).toThrow(RangeError);
    expect(() => gic.ppi(2, 27)).toThrow(RangeError);
    expect(() => gic.ppi(0, 15)).toThrow(RangeError);
  });
});
