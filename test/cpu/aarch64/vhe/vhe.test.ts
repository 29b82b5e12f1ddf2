import { describe, expect, it } from "vitest";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { Machine, mrs, msr, RAM } from "../cpu/machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;
const NOP = 0xd503_201f;
const SVC = 0xd400_0001;
const TGE = 1n << 27n;
const E2H = 1n << 34n;
const HOST = E2H | TGE;

/** A machine of model max with EL2, HCR_EL2 and registers as given, at a level with code at CODE. */
function machine(el: number, words: readonly number[], sys: Record<string, bigint> = {}, daif = 0): Machine {
  const m = Machine.fresh({ el2: true, model: "max" });
  m.words(CODE, words);
  m.setSys("VBAR_EL1", VBAR1);
  m.setSys("VBAR_EL2", VBAR2);
  for (const [name, value] of Object.entries(sys)) m.setSys(name, value);
  m.enter(el, AT, 1, daif);
  return m;
}
/** "ok", or "ELn ESR" of the exception that one step takes. */
function outcome(m: Machine): string {
  m.step();
  const pc = m.pc();
  if (pc >= VBAR1 && pc < VBAR1 + 0x800n) return `EL1 ${m.sys("ESR_EL1").toString(16)}`;
  return pc >= VBAR2 && pc < VBAR2 + 0x800n ? `EL2 ${m.sys("ESR_EL2").toString(16)}` : "ok";
}
const UNDEFINED_AT_EL2 = "EL2 2000000";

describe("D17.2: identification", () => {
  it("max has VHE, the Cortex models do not", () => {
    const vh = (model: string) => (Machine.fresh({ el2: true, model }).sys("ID_AA64MMFR1_EL1") >> 8n) & 15n;
    expect([vh("max"), vh("cortex-a57"), vh("cortex-a53")]).toEqual([1n, 0n, 0n]);
    expect(Machine.fresh({ el2: true, model: "max" }).sys("ID_AA64DFR0_EL1") & 15n).toBe(7n);
  });
  it("HCR_EL2.E2H is RES0 without it, and TTBR1_EL2 UNDEFINED", () => {
    const m = Machine.fresh({ el2: true });
    m.setSys("HCR_EL2", E2H);
    expect(m.sys("HCR_EL2")).toBe(0x8000_0000n);
    expect(m.cpu.registers.table.byName("TTBR1_EL2")).toBeUndefined();
  });
});

describe("D8.1.3: names of registers at EL2 while HCR_EL2.E2H is 1", () => {
  // [name in EL1 encoding, register at EL1, EL2 register, a value that both hold]
  const rows: readonly (readonly [string, string, string, bigint])[] = [
    ["C1_C0_0", "SCTLR_EL1", "SCTLR_EL2", 0x34d5_d99cn],
    ["C1_C0_2", "CPACR_EL1", "CPTR_EL2", 0x30_0000n],
    ["C2_C0_0", "TTBR0_EL1", "TTBR0_EL2", 0x0012_0000_4567_8000n],
    ["C2_C0_1", "TTBR1_EL1", "TTBR1_EL2", 0x0034_0000_4321_0000n],
    ["C2_C0_2", "TCR_EL1", "TCR_EL2", 0x75_b5d9_3519n],
    ["C4_C0_0", "SPSR_EL1", "SPSR_EL2", 0x6000_03c5n],
    ["C4_C0_1", "ELR_EL1", "ELR_EL2", 0xffff_0000_1234_5678n],
    ["C5_C2_0", "ESR_EL1", "ESR_EL2", 0x5600_0042n],
    ["C6_C0_0", "FAR_EL1", "FAR_EL2", 0xffff_8000_0bad_0000n],
    ["C10_C2_0", "MAIR_EL1", "MAIR_EL2", 0x1122_3344_5566_7788n],
    ["C12_C0_0", "VBAR_EL1", "VBAR_EL2", 0x4444_0800n],
    ["C13_C0_1", "CONTEXTIDR_EL1", "CONTEXTIDR_EL2", 0x1234n],
    ["C14_C1_0", "CNTKCTL_EL1", "CNTHCTL_EL2", 0x3c3n],
  ];
  it.each(rows)("%s: %s leads to %s, its EL12 name to EL1's", (at, el1, el2, value) => {
    const m = machine(2, [msr(`S3_0_${at}`, 1), mrs(2, `S3_5_${at}`), msr(`S3_5_${at}`, 3), mrs(4, `S3_0_${at}`)], {
      HCR_EL2: E2H,
    });
    const before = m.sys(el1);
    m.setX(1, value);
    m.setX(3, value);
    m.step();
    expect([m.sys(el2), m.sys(el1)]).toEqual([value, before]);
    m.step();
    expect(m.x(2)).toBe(before);
    m.step(2);
    expect([m.sys(el1), m.x(4)]).toEqual([value, m.sys(el2)]);
  });
  it("without E2H the EL12 names are UNDEFINED and EL1's lead to EL1", () => {
    expect(outcome(machine(2, [mrs(1, "S3_5_C2_C0_0")]))).toBe(UNDEFINED_AT_EL2);
    const m = machine(2, [msr("S3_0_C6_C0_0", 1)]);
    m.setX(1, 5n);
    m.step();
    expect([m.sys("FAR_EL1"), m.sys("FAR_EL2")]).toEqual([5n, 0n]);
  });
  it("at EL1 EL12 names are UNDEFINED whatever E2H is, and EL1's lead to EL1", () => {
    expect(outcome(machine(1, [mrs(1, "S3_5_C2_C0_0")], { HCR_EL2: E2H }))).toBe("EL1 2000000");
    const m = machine(1, [msr("S3_0_C6_C0_0", 1)], { HCR_EL2: E2H });
    m.setX(1, 5n);
    m.step();
    expect([m.sys("FAR_EL1"), m.sys("FAR_EL2")]).toEqual([5n, 0n]);
  });
  it("timers: CNTP and CNTV are CNTHP and CNTHV at EL2 and at EL0 of the host; EL02 names lead to EL1's", () => {
    const write = (el: number, hcr: bigint, at: string) => {
      const m = machine(el, [msr(at, 1)], { HCR_EL2: hcr, CNTHCTL_EL2: 0xf03n, CNTKCTL_EL1: 0x303n });
      m.setX(1, 77n);
      m.step();
      return ["CNTP_CVAL_EL0", "CNTV_CVAL_EL0", "CNTHP_CVAL_EL2", "CNTHV_CVAL_EL2"].find((r) => m.sys(r) === 77n);
    };
    const CNTP = "S3_3_C14_C2_2";
    const CNTV = "S3_3_C14_C3_2";
    expect([write(2, E2H, CNTP), write(2, E2H, CNTV)]).toEqual(["CNTHP_CVAL_EL2", "CNTHV_CVAL_EL2"]);
    expect([write(0, HOST, CNTP), write(0, HOST, CNTV)]).toEqual(["CNTHP_CVAL_EL2", "CNTHV_CVAL_EL2"]);
    expect([write(0, E2H, CNTP), write(1, E2H, CNTV)]).toEqual(["CNTP_CVAL_EL0", "CNTV_CVAL_EL0"]);
    expect([write(2, E2H, "S3_5_C14_C2_2"), write(2, E2H, "S3_5_C14_C3_2")]).toEqual([
      "CNTP_CVAL_EL0",
      "CNTV_CVAL_EL0",
    ]);
    expect([write(2, 0n, CNTP), write(2, 0n, CNTV)]).toEqual(["CNTP_CVAL_EL0", "CNTV_CVAL_EL0"]);
  });
});

describe("D12.2: the EL2 virtual timer", () => {
  it("counts without CNTVOFF_EL2 and drives its own line", () => {
    const m = machine(2, [0xd503_207f, 0x17ff_ffff], { HCR_EL2: E2H, CNTVOFF_EL2: 0xffff_0000n });
    m.run(1000);
    m.setSys("CNTHV_CVAL_EL2", 1000n);
    m.setSys("CNTHV_CTL_EL2", 1n);
    expect(m.cpu.timer.hypervisorVirtualLine.level).toBe(false);
    m.run(1100 * 160);
    expect(m.cpu.timer.hypervisorVirtualLine.level).toBe(true);
    expect([m.cpu.timer.hypervisorLine.level, m.cpu.timer.virtualLine.level]).toEqual([false, false]);
  });
  it("CNTVCT_EL0 has no offset at EL2 with E2H and at EL0 of the host (D17.11.29)", () => {
    const count = (el: number, hcr: bigint) => {
      const m = machine(el, [mrs(1, "S3_3_C14_C0_2")], {
        HCR_EL2: hcr,
        CNTVOFF_EL2: 1n << 40n,
        CNTHCTL_EL2: 0xf03n,
        CNTKCTL_EL1: 0x303n,
      });
      m.step();
      return m.x(1) >> 40n === 0n;
    };
    expect([count(2, E2H), count(0, HOST), count(1, E2H), count(0, E2H), count(2, 0n)]).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

describe("D8: the EL2&0 regime", () => {
  // 4 KiB pages, 39 bits: level 1 tables; T0SZ = T1SZ = 25, TG1 = 2, IPS 40 bits
  const TCR = 25n | (25n << 16n) | (2n << 30n) | (2n << 32n);
  const LOW = BigInt(RAM) + 0x10_0000n;
  const HIGH = BigInt(RAM) + 0x10_1000n;
  const AF = 0x400n;
  const USER = 0x40n; // AP[1]
  const UXN = 1n << 54n;
  const PXN = 1n << 53n;
  const block = (attributes: bigint) => 0x4000_0000n | AF | attributes | 1n;
  const sys = {
    HCR_EL2: HOST,
    MAIR_EL2: 0xffn,
    TCR_EL2: TCR,
    TTBR0_EL2: LOW,
    TTBR1_EL2: HIGH,
  };
  /** TTBR0 maps 1 GiB at 0x4000_0000 on itself, TTBR1 the last gigabyte of the address space to the same RAM. */
  const regime = (el: number, words: readonly number[], low: bigint, high: bigint) => {
    const m = machine(el, words, sys);
    m.quads(Number(LOW), [0n, block(low)]);
    m.quads(Number(HIGH) + 8 * 511, [block(high)]);
    m.setX(1, 0xffff_ffff_c005_0000n);
    m.setX(3, 0x4005_0008n);
    m.quads(0x4005_0000, [0x1234n, 0x5678n]);
    m.setSys("SCTLR_EL2", 0x30d0_0801n);
    m.enter(el, AT, 1, 0);
    return m;
  };
  const LDR_HIGH = 0xf940_0022; // ldr x2, [x1]
  const LDR_LOW = 0xf940_0064; // ldr x4, [x3]
  const LDTR_LOW = 0xf840_0864; // ldtr x4, [x3]
  it("EL2 has two ranges: TTBR0_EL2 and TTBR1_EL2, laid out as for EL1", () => {
    const m = regime(2, [LDR_HIGH, LDR_LOW], UXN, UXN | PXN);
    m.step(2);
    expect([m.x(2), m.x(4)]).toEqual([0x1234n, 0x5678n]);
  });
  it("EL0 of the host uses it with the rights of EL0; its faults go to EL2", () => {
    const m = regime(0, [LDR_LOW, LDR_HIGH], USER | PXN, UXN | PXN);
    m.step();
    expect(m.x(4)).toBe(0x5678n);
    // EC 0x24, permission fault level 1
    expect([outcome(m), m.sys("FAR_EL2")]).toEqual(["EL2 9200000d", 0xffff_ffff_c005_0000n]);
  });
  it("PXN keeps EL2 from executing, UXN does not", () => {
    expect(outcome(regime(2, [NOP], UXN, 0n))).toBe("ok");
    expect(outcome(regime(2, [NOP], PXN, 0n))).toBe("EL2 8600000d");
  });
  it("LDTR at EL2 of the host has the rights of EL0; with TGE 0 those of EL2", () => {
    expect(outcome(regime(2, [LDTR_LOW], UXN, 0n))).toBe("EL2 9600000d");
    const guest = regime(2, [LDTR_LOW], UXN, 0n);
    guest.setSys("HCR_EL2", E2H);
    expect(outcome(guest)).toBe("ok");
  });
  it("AT S1E1R at EL2 of the host translates in it; TLBI VMALLE1 empties it", () => {
    const AT_S1E1R = 0xd508_7801; // at s1e1r, x1
    const TLBI = 0xd508_871f; // tlbi vmalle1
    const m = regime(2, [LDR_HIGH, AT_S1E1R, TLBI, LDR_HIGH], UXN, UXN | PXN);
    m.step(2);
    expect(m.sys("PAR_EL1") & 0xffff_ffff_f001n).toBe(0x4005_0000n);
    m.quads(Number(HIGH) + 8 * 511, [0n]);
    m.step();
    expect(outcome(m)).toBe("EL2 96000005"); // translation fault level 1
  });
  it("the guest's EL1&0 regime is not touched: its MMU is off", () => {
    const m = regime(1, [NOP], 0n, 0n);
    m.setSys("HCR_EL2", E2H);
    expect(outcome(m)).toBe("ok");
  });
});

describe("D1.3, D17.2: traps and exceptions of a host", () => {
  const EC_FP = "1fe00000"; // EC 7, IL, CV 1, COND 14
  const FADD = 0x1e62_2820; // fadd d0, d1, d2
  it("CPTR_EL2.FPEN: 0 traps EL2 and EL0, 1 EL0 of the host alone, 3 nothing; CPACR_EL1 has no say there", () => {
    const at = (el: number, fpen: bigint, hcr = HOST, cpacr = 0n) =>
      outcome(machine(el, [FADD], { HCR_EL2: hcr, CPTR_EL2: fpen << 20n, CPACR_EL1: cpacr << 20n }));
    expect([at(2, 0n), at(2, 1n), at(2, 2n), at(2, 3n)]).toEqual([`EL2 ${EC_FP}`, "ok", `EL2 ${EC_FP}`, "ok"]);
    expect([at(0, 0n), at(0, 1n), at(0, 3n)]).toEqual([`EL2 ${EC_FP}`, `EL2 ${EC_FP}`, "ok"]);
    // guests: CPACR_EL1 first, then FPEN
    expect([at(1, 3n, E2H), at(1, 0n, E2H, 3n), at(1, 1n, E2H, 3n)]).toEqual([`EL1 ${EC_FP}`, `EL2 ${EC_FP}`, "ok"]);
  });
  it("CPTR_EL2 reads in CPACR_EL1's layout: no RES1 bits, no TFP", () => {
    const m = machine(2, [], { HCR_EL2: E2H });
    m.setSys("CPTR_EL2", 0xffff_ffffn);
    expect(m.sys("CPTR_EL2")).toBe(0x8030_0000n);
    m.setSys("HCR_EL2", 0n);
    expect(m.sys("CPTR_EL2")).toBe(0x8000_33ffn);
  });
  it("SVC of the host's EL0 goes to EL2 from a lower level, ERET goes back", () => {
    const m = machine(0, [SVC], { HCR_EL2: HOST });
    expect(outcome(m)).toBe("EL2 56000000");
    expect([m.pc(), m.sys("SPSR_EL2") & 0xfn]).toEqual([VBAR2 + 0x400n, 0n]);
  });
  it("PSTATE.I masks interrupts of the host's EL0; without E2H what goes to EL2 is not masked", () => {
    const taken = (hcr: bigint, daif: number) => {
      const m = machine(0, [NOP, 0x17ff_ffff], { HCR_EL2: hcr }, daif);
      m.cpu.irq(true);
      m.run(1000);
      return m.cpu.context.el === 2;
    };
    expect([taken(HOST, 2), taken(HOST, 0), taken(TGE, 2)]).toEqual([false, true, true]);
  });
  it("EL0 controls are those of SCTLR_EL2 and CNTHCTL_EL2; HCR_EL2's traps have no effect", () => {
    const CTR = "S3_3_C0_C0_1";
    const CNTVCT = "S3_3_C14_C0_2";
    const at = (name: string, sys: Record<string, bigint>) => outcome(machine(0, [mrs(1, name)], sys));
    expect(at(CTR, { HCR_EL2: HOST, SCTLR_EL2: 1n << 15n })).toBe("ok");
    expect(at(CTR, { HCR_EL2: HOST, SCTLR_EL1: 1n << 15n, SCTLR_EL2: 0n })).toMatch(/^EL2 62/);
    expect(at(CTR, { HCR_EL2: HOST | (1n << 17n), SCTLR_EL2: 1n << 15n })).toBe("ok"); // TID2
    expect(at(CNTVCT, { HCR_EL2: HOST, CNTHCTL_EL2: 2n })).toBe("ok");
    expect(at(CNTVCT, { HCR_EL2: HOST, CNTHCTL_EL2: 1n, CNTKCTL_EL1: 3n })).toMatch(/^EL2 62/);
  });
  it("CNTHCTL_EL2.EL1PCTEN and EL1PTEN are bits 10 and 11", () => {
    const at = (name: string, control: bigint) =>
      outcome(machine(1, [mrs(1, name)], { HCR_EL2: E2H, CNTHCTL_EL2: control }));
    expect([at("S3_3_C14_C0_1", 1n << 10n), at("S3_3_C14_C2_1", 1n << 11n)]).toEqual(["ok", "ok"]);
    expect(at("S3_3_C14_C0_1", 3n | (1n << 11n))).toMatch(/^EL2 62/);
    expect(at("S3_3_C14_C2_1", 3n | (1n << 10n))).toMatch(/^EL2 62/);
  });
  it("illegal: a return to EL1 while TGE is set", () => {
    const m = machine(2, [0xd69f_03e0], { HCR_EL2: HOST, SPSR_EL2: 5n, ELR_EL2: AT });
    m.step();
    expect(m.sys("ESR_EL2") >> 26n).toBe(0xen);
  });
});

describe("D2.9: breakpoints of VHE", () => {
  const DEBUG = { MDSCR_EL1: (1n << 15n) | (1n << 13n) };
  const linked = (el: number, hcr: bigint, bt: bigint, value: bigint, sys: Record<string, bigint>) => {
    const m = machine(el, [NOP, NOP]);
    m.setSys("OSLAR_EL1", 0n);
    const all = {
      HCR_EL2: hcr,
      ...sys,
      DBGBVR0_EL1: AT,
      // EL2, EL1 and EL0; linked address match with breakpoint 5
      DBGBCR0_EL1: 1n | (3n << 1n) | (1n << 13n) | (5n << 16n) | (1n << 20n),
      DBGBVR5_EL1: value,
      DBGBCR5_EL1: 1n | (3n << 1n) | (1n << 13n) | (bt << 20n),
      ...DEBUG,
    };
    for (const [name, v] of Object.entries(all)) m.setSys(name, v);
    m.enter(el, AT, 1, 0);
    return outcome(m);
  };
  it("BT 3 matches CONTEXTIDR_EL2 of a host, CONTEXTIDR_EL1 of a guest; BT 7 the latter, BT 13 the former", () => {
    const ids = { CONTEXTIDR_EL1: 0x11n, CONTEXTIDR_EL2: 0x22n };
    expect(linked(0, HOST, 3n, 0x22n, ids)).toBe("EL2 c2000022");
    expect(linked(0, HOST, 3n, 0x11n, ids)).toBe("ok");
    expect(linked(1, E2H, 3n, 0x11n, ids)).toBe("EL1 c6000022");
    expect(linked(1, E2H, 7n, 0x11n, ids)).toBe("EL1 c6000022");
    expect(linked(0, HOST, 7n, 0x11n, ids)).toBe("ok");
    expect(linked(1, E2H, 13n, 0x22n << 32n, ids)).toBe("EL1 c6000022");
    expect(linked(1, E2H, 15n, (0x22n << 32n) | 0x11n, ids)).toBe("EL1 c6000022");
    expect(linked(1, E2H, 15n, (0x22n << 32n) | 0x12n, ids)).toBe("ok");
  });
});

describe("the levels' stack pointers", () => {
  it("SP_EL0 is EL0's own, the host's too", () => {
    const m = machine(0, [SVC], { HCR_EL2: HOST });
    m.set(L.SP, 0x1230n);
    m.step();
    expect(m.sys("SP_EL0")).toBe(0x1230n);
  });
});
