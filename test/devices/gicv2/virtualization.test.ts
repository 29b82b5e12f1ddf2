// Offsets, fields and values typed from Arm IHI 0048B chapter 5; numbers of the implementation from Arm DDI 0471B 3.4 and 3.5.
import { describe, expect, it } from "vitest";
import { Transaction } from "../../../src/bus/index.ts";
import { GicVirtualization } from "../../../src/devices/gicv2/index.ts";
import { GicBench } from "./device.ts";

const PENDING = 0x10000000;
const ACTIVE = 0x20000000;
const GRP1 = 0x40000000;
const HW = 0x80000000;
const EOI = 0x00080000;

/** A list register: pending at priority `priority` (0 to 31), with further bits. */
const list = (id: number, priority: number, more = PENDING): number => (id | (priority << 23) | more) >>> 0;

class Hypervisor {
  readonly bench = new GicBench({ cpus: 2 });
  readonly virtual = new GicVirtualization(this.bench.simulation, "virtual", this.bench.gic);
  readonly #tx = new Transaction();

  constructor() {
    this.virtual.maintenance.forEach((line, cpu) => {
      line.connect(this.bench.gic.ppi(cpu, 25));
    });
    this.bench.simulation.reset();
  }
  /** Reads GICH. */
  rh(offset: number, cpu = 0): number {
    return this.virtual.hypervisor.read(offset, 4, this.#by(cpu));
  }
  wh(offset: number, value: number, cpu = 0): void {
    this.virtual.hypervisor.write(offset, 4, value, this.#by(cpu));
  }
  /** Reads GICV. */
  rv(offset: number, cpu = 0): number {
    return this.virtual.virtualCpu.read(offset, 4, this.#by(cpu));
  }
  wv(offset: number, value: number, cpu = 0): void {
    this.virtual.virtualCpu.write(offset, 4, value, this.#by(cpu));
  }
  /** Interface on, everything unmasked, guest's control register as given. */
  on(control = 1, cpu = 0): this {
    this.wh(0x000, 1, cpu);
    this.wv(0x004, 0xf8, cpu);
    this.wv(0x000, control, cpu);
    return this;
  }
  lr(index: number, value?: number, cpu = 0): number {
    if (value !== undefined) this.wh(0x100 + 4 * index, value, cpu);
    return this.rh(0x100 + 4 * index, cpu);
  }
  virq(cpu = 0): boolean {
    return this.virtual.virq[cpu]?.level ?? false;
  }
  vfiq(cpu = 0): boolean {
    return this.virtual.vfiq[cpu]?.level ?? false;
  }
  maintenance(cpu = 0): boolean {
    return this.virtual.maintenance[cpu]?.level ?? false;
  }
  get errors(): string[] {
    return this.bench.errors.map((e) => e.kind);
  }
  #by(cpu: number): Transaction {
    this.#tx.cpu = cpu;
    return this.#tx;
  }
}

describe("GICv2 virtual interface control", () => {
  it("5.3.2 GICH_VTR: 4 list registers, 5 preemption and 5 priority bits", () => {
    expect(new Hypervisor().rh(0x004)).toBe(0x90000003);
  });

  it("5.3.3 GICH_VMCR: shows and sets the guest's CTLR, PMR, BPR and ABPR; reset 0x004C0000", () => {
    const h = new Hypervisor();
    expect(h.rh(0x008)).toBe(0x004c0000);
    h.wv(0x000, 0x21f);
    h.wv(0x004, 0xa8);
    h.wv(0x008, 4);
    h.wv(0x01c, 5);
    expect(h.rh(0x008)).toBe(0xa894021f);
    h.wh(0x008, 0x58f00001);
    expect([0x000, 0x004, 0x008, 0x01c].map((at) => h.rv(at))).toEqual([1, 0x58, 7, 4]);
  });

  it("5.3.8 GICH_LR: four of 64 exist, bits 22:20 are reserved; each CPU has its own", () => {
    const h = new Hypervisor();
    for (let i = 0; i < 64; i++) h.lr(i, 0xffffffff);
    expect([h.lr(0), h.lr(3), h.lr(4), h.lr(63), h.rh(0x100, 1)]).toEqual([0xff8fffff, 0xff8fffff, 0, 0, 0]);
  });

  it("5.3.6 GICH_ELRSR: invalid list registers, but for those whose end is still to be noticed", () => {
    const h = new Hypervisor();
    expect(h.rh(0x030)).toBe(0xf);
    h.lr(0, list(40, 1));
    h.lr(1, list(41, 1, ACTIVE));
    h.lr(2, list(42, 1, EOI));
    expect([h.rh(0x030), h.rh(0x034), h.rh(0x020), h.rh(0x024)]).toEqual([0x8, 0, 0x4, 0]);
    h.lr(2, list(42, 1, EOI | HW)); // with HW set, bit 19 is part of the physical INTID
    expect([h.rh(0x030), h.rh(0x020)]).toEqual([0xc, 0]);
  });

  it("5.3.7 GICH_APR: the active priorities; writing it sets the guest's running priority", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(40, 20));
    h.rv(0x00c);
    expect([h.rh(0x0f0), h.rv(0x0d0), h.rv(0x014)]).toEqual([1 << 20, 1 << 20, 0xa0]);
    h.wh(0x0f0, 0);
    expect(h.rv(0x014)).toBe(0xff);
    h.wh(0x0f0, 0x4);
    expect(h.rv(0x014)).toBe(0x10);
  });
});

describe("GICv2 virtual CPU interface", () => {
  it("5.2.1: a pending list register raises the virtual IRQ; GICV_IAR makes it active, GICV_EOIR ends it", () => {
    const h = new Hypervisor().on();
    h.lr(1, list(40, 20));
    expect([h.virq(), h.rv(0x018)]).toEqual([true, 40]);
    expect(h.rv(0x00c)).toBe(40);
    expect([h.lr(1), h.virq(), h.rv(0x014)]).toEqual([list(40, 20, ACTIVE), false, 0xa0]);
    h.wv(0x010, 40);
    expect([h.lr(1), h.rv(0x014), h.rh(0x000)]).toEqual([list(40, 20, 0), 0xff, 1]);
  });

  it("5.3.1 En: with the interface off nothing is signalled and GICV_IAR gives 1023", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(40, 20));
    h.wh(0x000, 0);
    expect([h.virq(), h.rv(0x00c)]).toEqual([false, 1023]);
    expect(h.lr(0)).toBe(list(40, 20));
  });

  it("5.3.8: pending and active is not signalled; its end makes it pending again", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(40, 20));
    h.rv(0x00c);
    h.lr(0, list(40, 20, PENDING | ACTIVE));
    expect([h.virq(), h.rv(0x018)]).toEqual([false, 1023]);
    h.wv(0x010, 40);
    expect([h.lr(0), h.virq()]).toEqual([list(40, 20), true]);
  });

  it("the highest priority wins and preempts; mask and binary point count as on a physical interface", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(40, 20));
    h.lr(1, list(41, 10));
    expect([h.rv(0x00c), h.virq()]).toEqual([41, false]);
    h.lr(2, list(42, 9));
    expect([h.virq(), h.rv(0x00c), h.rv(0x014)]).toEqual([true, 42, 0x48]);
    h.wv(0x010, 42);
    h.wv(0x010, 41);
    h.wv(0x004, 0xa0);
    expect([h.virq(), h.rv(0x00c), h.rv(0x018)]).toEqual([false, 1023, 40]);
    h.wv(0x004, 0xa8);
    expect(h.rv(0x00c)).toBe(40);
    h.wv(0x008, 5); // group priority bits 7:6: 0x98 and 0xa0 are one group
    h.lr(1, list(41, 19));
    expect(h.virq()).toBe(false);
  });

  it("5.3.8 CPUID: bits 12:10 of a software interrupt come back in GICV_IAR", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(3, 20, PENDING | (5 << 10)));
    expect([h.rv(0x018), h.rv(0x00c)]).toEqual([0x1403, 0x1403]);
    h.wv(0x010, 0x1403);
    expect(h.lr(0) & (PENDING | ACTIVE)).toBe(0);
  });

  it("5.5.1: Group 0 goes to virtual FIQ with FIQEn; Group 1 reads as 1022 through GICV_IAR without AckCtl", () => {
    const h = new Hypervisor().on(0xb);
    h.lr(0, list(40, 20));
    expect([h.virq(), h.vfiq()]).toEqual([false, true]);
    h.lr(0, list(40, 20, PENDING | GRP1));
    expect([h.virq(), h.vfiq(), h.rv(0x00c), h.rv(0x028)]).toEqual([true, false, 1022, 40]);
    expect([h.rv(0x020), h.rh(0x0f0)]).toEqual([40, 1 << 20]);
    h.wv(0x024, 40);
    expect([h.lr(0), h.rh(0x0f0)]).toEqual([list(40, 20, GRP1), 0]);
  });

  it("5.5.5, 5.5.14 EOImode: GICV_EOIR drops the priority only, GICV_DIR deactivates", () => {
    const h = new Hypervisor().on(0x201);
    h.lr(0, list(40, 20));
    h.rv(0x00c);
    h.wv(0x010, 40);
    expect([h.lr(0), h.rv(0x014)]).toEqual([list(40, 20, ACTIVE), 0xff]);
    h.wv(0x1000, 40);
    expect([h.lr(0), h.errors]).toEqual([list(40, 20, 0), []]);
  });

  it("5.5.14: GICV_DIR with EOImode 0 is ignored and recorded", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(40, 20, ACTIVE));
    h.wv(0x1000, 40);
    expect([h.lr(0), h.errors]).toEqual([list(40, 20, ACTIVE), ["sequence"]]);
  });

  it("5.2.2 HW: the end of a hardware interrupt deactivates the physical one too", () => {
    const h = new Hypervisor().on();
    h.bench.wd(0x304, 1 << 14); // SPI 46 is active: the hypervisor has taken it
    h.bench.wd(0x300, 1 << 27, 1); // and CPU 1 its PPI 27
    h.lr(0, list(60, 20, PENDING | HW | (46 << 10)));
    expect(h.rv(0x00c)).toBe(60);
    h.wv(0x010, 60);
    expect([h.lr(0) & (PENDING | ACTIVE), h.bench.active(46)]).toEqual([0, 0]);
    h.on(1, 1);
    h.lr(0, list(27, 20, PENDING | HW | (27 << 10)), 1);
    h.wv(0x010, h.rv(0x00c, 1), 1);
    expect(h.bench.active(27, 1)).toBe(0);
  });

  it("5.3.8: a physical INTID that cannot be is recorded", () => {
    const h = new Hypervisor().on();
    h.lr(0, list(60, 20, ACTIVE | HW | (3 << 10)));
    h.wh(0x0f0, 1 << 20);
    h.wv(0x010, 60);
    expect(h.errors).toEqual(["value"]);
  });
});

describe("GICv2 maintenance interrupt", () => {
  it("5.3.1 EOICount: ends of interrupts in no list register are counted, five bits, if a priority was dropped", () => {
    const h = new Hypervisor().on();
    h.wv(0x010, 40);
    expect(h.rh(0x000) >>> 27).toBe(0);
    for (let n = 0; n < 33; n++) {
      h.wh(0x0f0, 1);
      h.wv(0x010, 40);
    }
    expect(h.rh(0x000)).toBe(0x08000001);
    h.wv(0x000, 0x201);
    h.wv(0x1000, 40); // GICV_DIR counts as well
    h.wv(0x1000, 1023);
    expect(h.rh(0x000) >>> 27).toBe(2);
  });

  it.each([
    [
      0x02,
      "UIE: at most one list register is valid",
      0x02,
      (h: Hypervisor) => [0, 1].map((i) => h.lr(i, list(40 + i, 1))),
    ],
    [0x04, "LRENPIE: EOICount is not 0", 0x04, (h: Hypervisor) => h.wh(0x000, 0x05)],
    [0x08, "NPIE: no list register is pending", 0x08, (h: Hypervisor) => h.lr(0, list(40, 1))],
    [0x10, "VGrp0EIE: Group 0 is enabled", 0x10, (h: Hypervisor) => h.wv(0x000, 0)],
    [0x20, "VGrp0DIE: Group 0 is disabled", 0x20, (h: Hypervisor) => h.wv(0x000, 1)],
    [0x40, "VGrp1EIE: Group 1 is enabled", 0x40, (h: Hypervisor) => h.wv(0x000, 0)],
    [0x80, "VGrp1DIE: Group 1 is disabled", 0x80, (h: Hypervisor) => h.wv(0x000, 2)],
  ] as const)("5.3.4 GICH_MISR, enable 0x%x, %s", (enable, _title, status, end) => {
    const h = new Hypervisor();
    h.wv(0x000, (enable & 0x10) !== 0 ? 1 : (enable & 0x40) !== 0 ? 2 : 0);
    h.wh(0x000, enable === 0x04 ? 0x18000005 : enable | 1);
    expect([h.rh(0x010), h.maintenance(), h.bench.pending(25)]).toEqual([status, true, 1]);
    end(h);
    expect([h.rh(0x010), h.maintenance(), h.bench.pending(25)]).toEqual([0, false, 0]);
  });

  it("5.3.4, 5.3.5 EOI: the end of a software interrupt that asked for it, until the list register is written", () => {
    const h = new Hypervisor().on();
    h.lr(2, list(40, 20, PENDING | EOI));
    expect([h.rh(0x010), h.maintenance()]).toEqual([0, false]);
    h.wv(0x010, h.rv(0x00c));
    expect([h.rh(0x010), h.rh(0x020), h.maintenance()]).toEqual([1, 4, true]);
    h.lr(2, 0);
    expect([h.rh(0x010), h.rh(0x020), h.maintenance()]).toEqual([0, 0, false]);
  });

  it("5.3.1 En: with the interface off there is no maintenance interrupt", () => {
    const h = new Hypervisor();
    h.wh(0x000, 0x0a);
    expect([h.rh(0x010), h.maintenance()]).toEqual([0x0a, false]);
  });

  it("each CPU has its own interface and line", () => {
    const h = new Hypervisor().on(1, 1);
    h.lr(0, list(40, 20), 1);
    expect([h.virq(0), h.virq(1), h.rv(0x00c, 0), h.rv(0x00c, 1)]).toEqual([false, true, 1023, 40]);
    h.wh(0x000, 0x09, 1);
    expect([h.bench.pending(25, 0), h.bench.pending(25, 1)]).toEqual([0, 1]);
  });
});
