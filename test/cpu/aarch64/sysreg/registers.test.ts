import { describe, expect, it } from "vitest";
import { ROOMS } from "../../../../src/cpu/aarch64/sysreg/table.ts";
import { Machine, mrs, msr } from "../cpu/machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;

interface Setting {
  readonly el: number;
  readonly el2?: boolean;
  readonly model?: string;
  readonly sys?: Record<string, bigint>;
  readonly x1?: bigint;
}
/** Runs one instruction; what happened, as "ok", or "ELn ESR". */
function run(word: number, s: Setting): { readonly outcome: string; readonly m: Machine } {
  const m = Machine.fresh({ el2: s.el2 ?? true, ...(s.model ? { model: s.model } : {}) });
  m.words(CODE, [word]);
  m.setSys("VBAR_EL1", VBAR1);
  if (m.cluster.el2) m.setSys("VBAR_EL2", VBAR2);
  for (const [name, value] of Object.entries(s.sys ?? {})) m.setSys(name, value);
  m.setX(1, s.x1 ?? 0n);
  m.enter(s.el, AT);
  m.step();
  const pc = m.pc();
  const hex = (name: string) => m.sys(name).toString(16);
  const at = (base: bigint) => pc >= base && pc < base + 0x800n;
  if (at(VBAR1)) return { outcome: `EL1 ${hex("ESR_EL1")}`, m };
  return { outcome: m.cluster.el2 && at(VBAR2) ? `EL2 ${hex("ESR_EL2")}` : "ok", m };
}
const UNDEFINED = "EL1 2000000";

describe("C5.3, D17: who may access what", () => {
  // [register, EL0 read, EL0 write, EL1 read, EL1 write, EL2 read, EL2 write], with EL2 implemented and all EL0 controls open
  const rows: readonly (readonly [string, string])[] = [
    ["S3_0_C0_C0_0 MIDR_EL1", "--r-r-"],
    ["S3_0_C1_C0_0 SCTLR_EL1", "--rwrw"],
    ["S3_0_C2_C0_0 TTBR0_EL1", "--rwrw"],
    ["S3_0_C4_C2_2 CurrentEL", "--r-r-"],
    ["S3_0_C4_C0_1 ELR_EL1", "--rwrw"],
    ["S3_3_C13_C0_2 TPIDR_EL0", "rwrwrw"],
    ["S3_3_C13_C0_3 TPIDRRO_EL0", "r-rwrw"],
    ["S3_0_C13_C0_4 TPIDR_EL1", "--rwrw"],
    ["S3_3_C0_C0_1 CTR_EL0", "r-r-r-"],
    ["S3_3_C0_C0_7 DCZID_EL0", "r-r-r-"],
    ["S3_3_C14_C0_0 CNTFRQ_EL0", "r-r-rw"],
    ["S3_3_C14_C0_1 CNTPCT_EL0", "r-r-r-"],
    ["S3_3_C14_C3_1 CNTV_CTL_EL0", "rwrwrw"],
    ["S3_0_C14_C1_0 CNTKCTL_EL1", "--rwrw"],
    ["S3_4_C1_C1_0 HCR_EL2", "----rw"],
    ["S3_4_C2_C1_0 VTTBR_EL2", "----rw"],
    ["S3_4_C4_C1_0 SP_EL1", "----rw"],
    ["S3_6_C4_C1_0 SP_EL2", "------"],
    ["S3_6_C1_C1_0 SCR_EL3", "------"],
    ["S2_0_C1_C0_4 OSLAR_EL1", "---w-w"],
    ["S2_0_C1_C1_4 OSLSR_EL1", "--r-r-"],
    ["S3_0_C0_C7_7 (reserved identification register)", "--r-r-"],
    ["S3_0_C12_C12_5 ICC_SRE_EL1 (no system register interface)", "------"],
    ["S3_3_C9_C12_0 PMCR_EL0", "rwrwrw"],
    ["S3_3_C9_C12_4 PMSWINC_EL0", "-w-w-w"],
    ["S3_3_C9_C12_6 PMCEID0_EL0", "r-r-r-"],
    ["S3_3_C9_C14_0 PMUSERENR_EL0", "r-rwrw"],
    ["S3_0_C9_C14_1 PMINTENSET_EL1", "--rwrw"],
    ["S3_3_C14_C8_5 PMEVCNTR5_EL0", "rwrwrw"],
    ["S3_3_C14_C8_6 PMEVCNTR6_EL0 (six counters)", "------"],
    ["S3_3_C14_C15_7 PMCCFILTR_EL0", "rwrwrw"],
    ["S3_0_C9_C9_0 (unallocated)", "------"],
  ];
  const open = {
    SCTLR_EL1: (1n << 15n) | (1n << 9n),
    CNTKCTL_EL1: 0x303n,
    PMUSERENR_EL0: 1n,
    CNTHCTL_EL2: 3n,
    VPIDR_EL2: 1n,
  };
  it.each(rows)("%s: %s (read and write at EL0, EL1, EL2)", (name, expected) => {
    const at = name.split(" ")[0] as string;
    let found = "";
    for (const el of [0, 1, 2]) {
      for (const write of [false, true]) {
        const sys = el === 2 ? { CNTHCTL_EL2: 3n } : open;
        const { outcome } = run(write ? msr(at, 1) : mrs(1, at), { el, sys });
        const undefinedThere = el === 2 ? "EL2 2000000" : UNDEFINED;
        expect([undefinedThere, "ok"]).toContain(outcome);
        found += outcome === "ok" ? (write ? "w" : "r") : "-";
      }
    }
    expect(found).toBe(expected);
  });
  it("without EL2 its registers are UNDEFINED at EL1, and CNTFRQ_EL0 is written at EL1", () => {
    expect(run(mrs(0, "S3_4_C1_C1_0"), { el: 1, el2: false }).outcome).toBe(UNDEFINED);
    expect(run(msr("S3_3_C14_C0_0", 1), { el: 1, el2: false }).outcome).toBe("ok");
  });
  it("SP_EL0 is UNDEFINED while it is the current stack pointer (C5.2.17)", () => {
    const m = Machine.fresh({});
    m.words(CODE, [mrs(0, "S3_0_C4_C1_0")]);
    m.setSys("VBAR_EL1", VBAR1);
    m.enter(1, AT, 0);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x0200_0000n);
  });
});

describe("D17.2: reset values and reserved bits", () => {
  const stored = (name: string, value: bigint, el2 = true) => {
    const m = Machine.fresh({ el2 });
    m.setSys(name, value);
    return m.sys(name);
  };
  const ALL = 2n ** 64n - 1n;
  // [register, after writing ones, after writing zeros]
  const rows: readonly (readonly [string, bigint, bigint])[] = [
    // EE, E0E: no big-endian data; CP15BEN: no AArch32; ITD, SED RES1 for the same reason
    ["SCTLR_EL1", 0x34dd_db9fn | (1n << 11n), 0x30d0_0980n],
    ["SCTLR_EL2", 0x30cd_183fn | 0x0040_0000n, 0x30c5_0830n],
    ["TCR_EL1", 0x77_ffff_ffbfn, 0n],
    ["TTBR0_EL1", 0xffff_ffff_ffff_fffen, 0n],
    ["TTBR0_EL2", 0x0000_ffff_ffff_fffen, 0n],
    ["VBAR_EL1", 0xffff_ffff_ffff_f800n, 0n],
    ["CPACR_EL1", 0x0030_0000n, 0n],
    ["HCR_EL2", 0x3_ffff_ffffn, 0x8000_0000n],
    ["CPTR_EL2", 0x8000_37ffn, 0x33ffn],
    ["VTTBR_EL2", 0x00ff_ffff_ffff_fffen, 0n],
    ["VTCR_EL2", 0x8007_ffffn, 0x8000_0000n],
    ["HPFAR_EL2", 0xff_ffff_fff0n, 0n],
    ["ESR_EL1", 0xffff_ffffn, 0n],
    ["SPSR_EL1", 0xf030_03dfn, 0n],
    ["CNTKCTL_EL1", 0x3ffn, 0n],
    ["CNTHCTL_EL2", 0xffn, 0n],
    ["CONTEXTIDR_EL1", 0xffff_ffffn, 0n],
    ["MAIR_EL1", ALL, 0n],
    ["TPIDR_EL0", ALL, 0n],
    ["CSSELR_EL1", 0xfn, 0n],
    ["FPCR", 0x07c0_0000n, 0n],
    ["FPSR", 0x0800_009fn, 0n],
    ["PAR_EL1", ALL, 0n],
    ["DBGBVR5_EL1", ALL, 0n],
    ["DBGWVR3_EL1", ALL - 3n, 0n],
  ];
  it.each(rows)("%s: ones give %d, zeros give %d", (name, ones, zeros) => {
    expect(stored(name, ALL)).toBe(ones);
    expect(stored(name, 0n)).toBe(zeros);
  });
  it("after reset: highest level, SP_ELx, all masked, MMU off, OS lock on, the counter's frequency", () => {
    const m = Machine.fresh({ el2: true });
    expect(m.pstate).toBe(0x3c9);
    expect([m.sys("SCTLR_EL1") & 1n, m.sys("SCTLR_EL2") & 1n, m.sys("OSLSR_EL1")]).toEqual([0n, 0n, 0xan]);
    expect(m.sys("CNTFRQ_EL0")).toBe(62_500_000n);
    expect(m.sys("CNTHCTL_EL2")).toBe(3n);
    expect(Machine.fresh({}).pstate).toBe(0x3c5);
  });
});

describe("D17.2: identification", () => {
  const read = (name: string, model: string, el2 = false) => Machine.fresh({ model, el2 }).sys(name);
  it("MIDR_EL1 of the Cortex-A53 r0p4 and A57 r1p0 (DDI 0500J 4.3.1, DDI 0488H 4.3.1)", () => {
    expect(read("MIDR_EL1", "cortex-a53")).toBe(0x410f_d034n);
    expect(read("MIDR_EL1", "cortex-a57")).toBe(0x411f_d070n);
  });
  it("ID_AA64PFR0_EL1: AArch64 alone at EL0 and EL1, EL2 where it is, no EL3, floating point and Advanced SIMD", () => {
    expect(read("ID_AA64PFR0_EL1", "cortex-a57")).toBe(0x11n);
    expect(read("ID_AA64PFR0_EL1", "cortex-a57", true)).toBe(0x111n);
  });
  it("ID_AA64MMFR0_EL1: 44-bit, 40-bit and 48-bit physical addresses, 16-bit ASIDs, 16 KiB granule on max", () => {
    expect(read("ID_AA64MMFR0_EL1", "cortex-a57")).toBe(0x24n);
    expect(read("ID_AA64MMFR0_EL1", "cortex-a53")).toBe(0x22n);
    expect(read("ID_AA64MMFR0_EL1", "max")).toBe(0x10_0025n);
  });
  it("CCSIDR_EL1 follows CSSELR_EL1 (DDI 0488H 4.3.21)", () => {
    const m = Machine.fresh({});
    const sizes = [0n, 1n, 2n].map((select) => {
      m.setSys("CSSELR_EL1", select);
      return m.sys("CCSIDR_EL1");
    });
    expect(sizes).toEqual([0x701f_e00an, 0x201f_e012n, 0x70ff_e07an]);
  });
  it("EL1 reads MIDR_EL1 and MPIDR_EL1 through VPIDR_EL2 and VMPIDR_EL2, EL2 does not", () => {
    const sys = { VPIDR_EL2: 0x1234n, VMPIDR_EL2: 0x8000_0005n };
    expect(run(mrs(0, "S3_0_C0_C0_0"), { el: 1, sys }).m.x(0)).toBe(0x1234n);
    expect(run(mrs(0, "S3_0_C0_C0_5"), { el: 1, sys }).m.x(0)).toBe(0x8000_0005n);
    expect(run(mrs(0, "S3_0_C0_C0_0"), { el: 2, sys }).m.x(0)).toBe(0x411f_d070n);
    expect(run(mrs(0, "S3_0_C0_C0_5"), { el: 2, sys }).m.x(0)).toBe(0x8000_0000n);
  });
  it("after reset VPIDR_EL2 and VMPIDR_EL2 are those of the core", () => {
    const m = Machine.fresh({ el2: true });
    expect([m.sys("VPIDR_EL2"), m.sys("VMPIDR_EL2")]).toEqual([0x411f_d070n, 0x8000_0000n]);
  });
  it("DCZID_EL0: blocks of 64 bytes; DZP where DC ZVA would trap", () => {
    expect(run(mrs(0, "S3_3_C0_C0_7"), { el: 1 }).m.x(0)).toBe(4n);
    expect(run(mrs(0, "S3_3_C0_C0_7"), { el: 0 }).m.x(0)).toBe(0x14n);
    expect(run(mrs(0, "S3_3_C0_C0_7"), { el: 1, sys: { HCR_EL2: 1n << 28n } }).m.x(0)).toBe(0x14n);
  });
});

// EC 0x18: ISS = Op0[21:20], Op2[19:17], Op1[16:14], CRn[13:10], Rt[9:5], CRm[4:1], read[0]
const ESR = (at: string, rt: number, read: boolean) => {
  const [op0, op1, crn, crm, op2] = (/^S(\d)_(\d)_C(\d+)_C(\d+)_(\d)$/.exec(at) as RegExpExecArray)
    .slice(1)
    .map(Number) as [number, number, number, number, number];
  const iss = (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (rt << 5) | (crm << 1) | (read ? 1 : 0);
  return (0x6200_0000 + iss).toString(16);
};

describe("D1.3.5: configurable traps, EC 0x18", () => {
  it("ISS of MRS X7, SCTLR_EL1 trapped by HCR_EL2.TRVM", () => {
    const { outcome, m } = run(mrs(7, "S3_0_C1_C0_0"), { el: 1, sys: { HCR_EL2: 1n << 30n } });
    expect(outcome).toBe("EL2 623004e1");
    expect(m.sys("ELR_EL2")).toBe(AT);
  });
  // [what, encoding, "r" or "w", EL, register, value that traps, target]; without the value the access works
  const rows: readonly (readonly [string, string, "r" | "w", number, string, bigint, number, bigint?])[] = [
    ["TVM", "S3_0_C1_C0_0", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C2_C0_0", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C2_C0_1", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C2_C0_2", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C5_C2_0", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C6_C0_0", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C10_C2_0", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TVM", "S3_0_C13_C0_1", "w", 1, "HCR_EL2", 1n << 26n, 2],
    ["TRVM", "S3_0_C10_C3_0", "r", 1, "HCR_EL2", 1n << 30n, 2],
    ["TRVM", "S3_0_C5_C1_0", "r", 1, "HCR_EL2", 1n << 30n, 2],
    ["TACR", "S3_0_C1_C0_1", "r", 1, "HCR_EL2", 1n << 21n, 2],
    ["TIDCP", "S3_1_C15_C2_1", "r", 1, "HCR_EL2", 1n << 20n, 2],
    ["TID1", "S3_1_C0_C0_7", "r", 1, "HCR_EL2", 1n << 16n, 2],
    ["TID1", "S3_0_C0_C0_6", "r", 1, "HCR_EL2", 1n << 16n, 2],
    ["TID2", "S3_1_C0_C0_0", "r", 1, "HCR_EL2", 1n << 17n, 2],
    ["TID2", "S3_1_C0_C0_1", "r", 1, "HCR_EL2", 1n << 17n, 2],
    ["TID2", "S3_2_C0_C0_0", "w", 1, "HCR_EL2", 1n << 17n, 2],
    ["TID2", "S3_3_C0_C0_1", "r", 1, "HCR_EL2", 1n << 17n, 2],
    ["TID3", "S3_0_C0_C4_0", "r", 1, "HCR_EL2", 1n << 18n, 2],
    ["TID3", "S3_0_C0_C7_5", "r", 1, "HCR_EL2", 1n << 18n, 2],
    ["TCPAC", "S3_0_C1_C0_2", "w", 1, "CPTR_EL2", 1n << 31n, 2],
    ["EL1PCTEN", "S3_3_C14_C0_1", "r", 1, "CNTHCTL_EL2", 2n, 2],
    ["EL1PCEN", "S3_3_C14_C2_1", "w", 1, "CNTHCTL_EL2", 1n, 2],
    ["EL1PCEN", "S3_3_C14_C2_2", "r", 1, "CNTHCTL_EL2", 1n, 2],
    ["TDA", "S2_0_C0_C2_2", "r", 1, "MDCR_EL2", 1n << 9n, 2],
    ["TDA", "S2_0_C0_C0_5", "w", 1, "MDCR_EL2", 1n << 9n, 2],
    ["TDE", "S2_0_C0_C2_2", "r", 1, "MDCR_EL2", 1n << 8n, 2],
    ["TGE as TDA", "S2_3_C0_C1_0", "r", 0, "HCR_EL2", 1n << 27n, 2],
    ["TDOSA", "S2_0_C1_C0_4", "w", 1, "MDCR_EL2", 1n << 10n, 2],
    ["TDRA", "S2_0_C1_C0_0", "r", 1, "MDCR_EL2", 1n << 11n, 2],
    ["TPM", "S3_3_C9_C12_5", "r", 1, "MDCR_EL2", 1n << 6n, 2],
    ["TPM", "S3_0_C9_C14_2", "w", 1, "MDCR_EL2", 1n << 6n, 2],
    ["TPM", "S3_3_C14_C8_0", "r", 1, "MDCR_EL2", 1n << 6n, 2],
    ["TPMCR", "S3_3_C9_C12_0", "w", 1, "MDCR_EL2", 1n << 5n, 2],
    ["TSW", "S1_0_C7_C14_2", "w", 1, "HCR_EL2", 1n << 22n, 2],
    ["TPC", "S1_3_C7_C10_1", "w", 1, "HCR_EL2", 1n << 23n, 2],
    ["TPU", "S1_0_C7_C5_0", "w", 1, "HCR_EL2", 1n << 24n, 2],
    ["TPU", "S1_3_C7_C11_1", "w", 1, "HCR_EL2", 1n << 24n, 2],
    ["TTLB", "S1_0_C8_C7_0", "w", 1, "HCR_EL2", 1n << 25n, 2],
    ["TTLB", "S1_0_C8_C3_1", "w", 1, "HCR_EL2", 1n << 25n, 2],
    ["TDZ", "S1_3_C7_C4_1", "w", 1, "HCR_EL2", 1n << 28n, 2],
    // controls that trap EL0 while clear
    ["UMA", "S3_3_C4_C2_1", "r", 0, "SCTLR_EL1", 0n, 1, 1n << 9n],
    ["UCT", "S3_3_C0_C0_1", "r", 0, "SCTLR_EL1", 0n, 1, 1n << 15n],
    ["DZE", "S1_3_C7_C4_1", "w", 0, "SCTLR_EL1", 0n, 1, 1n << 14n],
    ["UCI", "S1_3_C7_C14_1", "w", 0, "SCTLR_EL1", 0n, 1, 1n << 26n],
    ["UCI", "S1_3_C7_C5_1", "w", 0, "SCTLR_EL1", 0n, 1, 1n << 26n],
    ["EL0PCTEN", "S3_3_C14_C0_1", "r", 0, "CNTKCTL_EL1", 0n, 1, 1n],
    ["EL0VCTEN", "S3_3_C14_C0_2", "r", 0, "CNTKCTL_EL1", 0n, 1, 2n],
    ["EL0PCTEN and EL0VCTEN", "S3_3_C14_C0_0", "r", 0, "CNTKCTL_EL1", 0n, 1, 2n],
    ["EL0VTEN", "S3_3_C14_C3_1", "w", 0, "CNTKCTL_EL1", 0n, 1, 1n << 8n],
    ["EL0PTEN", "S3_3_C14_C2_2", "r", 0, "CNTKCTL_EL1", 0n, 1, 1n << 9n],
    ["EN", "S3_3_C9_C12_0", "r", 0, "PMUSERENR_EL0", 0n, 1, 1n],
    ["EN", "S3_3_C9_C13_1", "w", 0, "PMUSERENR_EL0", 0xen, 1, 1n],
    ["EN", "S3_3_C9_C13_0", "w", 0, "PMUSERENR_EL0", 0xen, 1, 1n],
    ["EN", "S3_3_C14_C8_2", "w", 0, "PMUSERENR_EL0", 0xen, 1, 1n],
    ["SW", "S3_3_C9_C12_4", "w", 0, "PMUSERENR_EL0", 0xcn, 1, 2n],
    ["CR", "S3_3_C9_C13_0", "r", 0, "PMUSERENR_EL0", 0xan, 1, 4n],
    ["ER", "S3_3_C9_C12_5", "w", 0, "PMUSERENR_EL0", 6n, 1, 8n],
    ["ER", "S3_3_C9_C13_2", "r", 0, "PMUSERENR_EL0", 6n, 1, 8n],
    ["ER", "S3_3_C14_C8_2", "r", 0, "PMUSERENR_EL0", 6n, 1, 8n],
    ["TDCC", "S2_3_C0_C1_0", "r", 0, "MDSCR_EL1", 1n << 12n, 1],
  ];
  it.each(rows.map((row) => [`${row[0]}: ${row[1]} ${row[2]} at EL${row[3]}`, row] as const))("%s", (_title, row) => {
    const [, at, direction, el, control, trapping, target, open] = row;
    const word = direction === "r" ? mrs(1, at) : msr(at, 1);
    // data addresses for maintenance by address lie in RAM, MMU off
    const base = { el, x1: 0x4000_8000n };
    const always = { CNTHCTL_EL2: 3n };
    const free = run(word, { ...base, sys: { ...always, ...(open === undefined ? {} : { [control]: open }) } });
    // DC ZVA with the MMU off goes to Device memory
    expect(free.outcome).toMatch(at === "S1_3_C7_C4_1" ? /ok|EL1 9[26]000061/ : /^ok$/);
    const trapped = run(word, { ...base, sys: { ...always, [control]: trapping } });
    expect(trapped.outcome).toBe(`EL${target} ${ESR(at, 1, direction === "r")}`);
  });
  it("traps of EL0 to EL1 go to EL2 while HCR_EL2.TGE is set", () => {
    const sys = { HCR_EL2: 1n << 27n, CNTKCTL_EL1: 0n };
    expect(run(mrs(1, "S3_3_C14_C0_2"), { el: 0, sys }).outcome).toBe(`EL2 ${ESR("S3_3_C14_C0_2", 1, true)}`);
  });
  it("MSR DAIFSet at EL0 with SCTLR_EL1.UMA clear: trapped with the fields of the instruction, Rt 31", () => {
    // msr daifset, #2: op0 0, op1 3, CRn 4, CRm 2, op2 6
    expect(run(0xd503_42df, { el: 0 }).outcome).toBe(`EL1 ${ESR("S0_3_C4_C2_6", 31, false)}`);
    expect(run(0xd503_42df, { el: 0, sys: { SCTLR_EL1: 1n << 9n } }).outcome).toBe("ok");
  });
  it("TIDCP traps the IMPLEMENTATION DEFINED space even where nothing is there", () => {
    expect(run(mrs(1, "S3_0_C15_C7_7"), { el: 1, sys: { HCR_EL2: 1n << 20n } }).outcome).toBe(
      `EL2 ${ESR("S3_0_C15_C7_7", 1, true)}`,
    );
    expect(run(mrs(1, "S3_0_C15_C7_7"), { el: 1 }).outcome).toBe(UNDEFINED);
  });
});

describe("the declaration", () => {
  it("has one row for a name and one for an encoding", () => {
    const rows = ROOMS.flatMap((r) => r.rows);
    expect(new Set(rows.map((r) => r.name)).size).toBe(rows.length);
    const el2 = rows.filter((r) => r.name !== "RVBAR_EL1");
    expect(new Set(el2.map((r) => r.at)).size).toBe(el2.length);
  });
  it("gives fields without overlap, none of them RES1", () => {
    for (const row of ROOMS.flatMap((r) => r.rows)) {
      let seen = 0n;
      for (const f of [...Object.values(row.fields ?? {}), ...(row.res1 ?? [])]) {
        const [msb, lsb] = typeof f === "number" ? [f, f] : f;
        const bits = ((1n << BigInt(msb - lsb + 1)) - 1n) << BigInt(lsb);
        expect([row.name, seen & bits]).toEqual([row.name, 0n]);
        seen |= bits;
      }
    }
  });
});
