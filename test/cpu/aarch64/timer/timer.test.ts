import { describe, expect, it } from "vitest";
import type { Cpu } from "../../../../src/cpu/aarch64/cpu.ts";
import { US } from "../../../../src/sim/index.ts";
import { Machine, mrs, msr } from "../cpu/machine.ts";

// 62.5 MHz: a count is 16 ns, 160 ticks
const COUNT = 160;
const CODE = 0x4001_0000;
const CTL = { CNTP: "CNTP_CTL_EL0", CNTV: "CNTV_CTL_EL0", CNTHP: "CNTHP_CTL_EL2" } as const;
const CVAL = { CNTP: "CNTP_CVAL_EL0", CNTV: "CNTV_CVAL_EL0", CNTHP: "CNTHP_CVAL_EL2" } as const;
const line = (cpu: Cpu, t: keyof typeof CTL) =>
  t === "CNTP" ? cpu.timer.physicalLine : t === "CNTV" ? cpu.timer.virtualLine : cpu.timer.hypervisorLine;

/** A machine whose CPU sleeps, so that only time passes. */
function idle(el2 = true): Machine {
  const m = Machine.fresh({ el2 });
  m.words(CODE, [0xd503_207f, 0x17ff_ffff]); // wfi; b .-4
  m.enter(el2 ? 2 : 1, BigInt(CODE));
  m.run(US);
  return m;
}
/** Counts at which the line changed. */
function watch(m: Machine, t: keyof typeof CTL): [boolean, number][] {
  const seen: [boolean, number][] = [];
  line(m.cpu, t).connect((level) => seen.push([level, Math.floor(m.simulation.now / COUNT)]));
  return seen;
}
const now = (m: Machine) => BigInt(Math.floor(m.simulation.now / COUNT));

describe("D12.2: timers", () => {
  for (const t of ["CNTP", "CNTV", "CNTHP"] as const) {
    it(`${t}: the output rises when the count reaches the compare value, and falls when it is moved away`, () => {
      const m = idle();
      const seen = watch(m, t);
      const at = now(m) + 1000n;
      m.setSys(CVAL[t], at);
      m.setSys(CTL[t], 1n);
      expect(m.sys(CTL[t])).toBe(1n);
      m.run(2000 * COUNT);
      expect(seen).toEqual([[true, Number(at)]]);
      expect(m.sys(CTL[t])).toBe(5n); // ISTATUS
      m.setSys(CVAL[t], now(m) + 500n);
      expect(line(m.cpu, t).level).toBe(false);
      m.run(1000 * COUNT);
      expect(line(m.cpu, t).level).toBe(true);
      m.setSys(CTL[t], 0n);
      expect(line(m.cpu, t).level).toBe(false);
    });
  }
  it("IMASK holds the output low; ISTATUS shows the condition all the same", () => {
    const m = idle();
    m.setSys("CNTP_CVAL_EL0", 0n);
    m.setSys("CNTP_CTL_EL0", 3n);
    expect([m.sys("CNTP_CTL_EL0"), m.cpu.timer.physicalLine.level]).toEqual([7n, false]);
    m.setSys("CNTP_CTL_EL0", 1n);
    expect(m.cpu.timer.physicalLine.level).toBe(true);
  });
  it("TVAL is the signed distance to the compare value; writing it sets that from the count", () => {
    const m = idle();
    m.setSys("CNTP_TVAL_EL0", 100n);
    expect(m.sys("CNTP_CVAL_EL0")).toBe(now(m) + 100n);
    expect(m.sys("CNTP_TVAL_EL0")).toBe(100n);
    m.run(150 * COUNT);
    expect(m.sys("CNTP_TVAL_EL0")).toBe(0xffff_ffcen); // -50 in 32 bits
    m.setSys("CNTP_TVAL_EL0", 0xffff_fff6n); // -10
    expect(m.sys("CNTP_CVAL_EL0")).toBe(now(m) - 10n);
  });
  it("the virtual count is the physical one less CNTVOFF_EL2; moving the offset moves the deadline", () => {
    const m = idle();
    m.setSys("CNTVOFF_EL2", 1000n);
    expect(m.sys("CNTVCT_EL0")).toBe(BigInt.asUintN(64, m.sys("CNTPCT_EL0") - 1000n));
    const seen = watch(m, "CNTV");
    const at = now(m);
    m.setSys("CNTVOFF_EL2", at);
    m.setSys("CNTV_CVAL_EL0", 200n);
    m.setSys("CNTV_CTL_EL0", 1n);
    m.run(100 * COUNT);
    m.setSys("CNTVOFF_EL2", at + 50n);
    m.run(1000 * COUNT);
    expect(seen).toEqual([[true, Number(at) + 250]]);
  });
  it("a virtual count before its zero is large, so the condition is met until it wraps", () => {
    const m = idle();
    const at = now(m);
    m.setSys("CNTVOFF_EL2", at + 100n);
    m.setSys("CNTV_CVAL_EL0", 50n);
    m.setSys("CNTV_CTL_EL0", 1n);
    const seen = watch(m, "CNTV");
    m.run(1000 * COUNT);
    expect(seen).toEqual([
      [true, Number(at)],
      [false, Number(at) + 100],
      [true, Number(at) + 150],
    ]);
  });
  it("compare values are compared as 64-bit unsigned numbers", () => {
    const m = idle();
    m.setSys("CNTP_CVAL_EL0", 0x1_0000_0000n);
    m.setSys("CNTP_CTL_EL0", 1n);
    expect(m.sys("CNTP_CTL_EL0")).toBe(1n);
    m.setSys("CNTP_CVAL_EL0", 2n ** 64n - 1n);
    expect(m.sys("CNTP_CTL_EL0")).toBe(1n);
    expect(m.simulation.nextEventTime).toBeGreaterThan(2 ** 52);
  });
});

describe("D12.1: counters", () => {
  it("CNTPCT_EL0 counts 62.5 MHz of virtual time: read at the reading instruction's own instant", () => {
    const m = Machine.fresh({});
    m.words(CODE, [...Array.from({ length: 160 }, () => 0xd503_201f), mrs(0, "S3_3_C14_C0_1")]); // nops
    m.enter(1, BigInt(CODE));
    const start = m.simulation.now;
    m.step(161);
    expect(m.x(0)).toBe(BigInt(Math.floor((start + 1600) / COUNT)));
  });
  it("a timer that the guest sets wakes it from WFI by its own interrupt at the exact count", () => {
    const m = Machine.fresh({});
    m.words(CODE, [
      msr("S3_3_C14_C2_2", 0), // msr cntp_cval_el0, x0
      0xd280_0021, // mov x1, #1
      msr("S3_3_C14_C2_1", 1), // msr cntp_ctl_el0, x1
      0xd503_207f, // wfi
      mrs(2, "S3_3_C14_C0_1"), // mrs x2, cntpct_el0
      0x1400_0000, // b .
    ]);
    m.cpu.timer.physicalLine.connect(m.cpu.irq);
    m.enter(1, BigInt(CODE)); // masked: WFI wakes all the same
    const at = now(m) + 12_345n;
    m.setX(0, at);
    m.run(20_000 * COUNT);
    expect(m.x(2)).toBe(at);
  });
  it("the event stream of CNTKCTL_EL1 wakes WFE at the chosen edge of the virtual count", () => {
    const m = Machine.fresh({});
    m.words(CODE, [0xd503_205f, mrs(2, "S3_3_C14_C0_2"), 0xd503_205f, mrs(3, "S3_3_C14_C0_2"), 0x1400_0000]);
    m.enter(1, BigInt(CODE));
    m.setSys("CNTKCTL_EL1", 4n | (9n << 4n)); // EVNTEN, bit 9, rising
    m.run(5000 * COUNT);
    expect([m.x(2) % 1024n, m.x(3) - m.x(2)]).toEqual([512n, 1024n]);
  });
});
