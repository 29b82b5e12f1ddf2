import { describe, expect, it } from "vitest";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { Machine, mrs, RAM } from "../cpu/machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;
const NOP = 0xd503_201f;
const ERET = 0xd69f_03e0;

/** A machine at an exception level with vectors, code at CODE. */
function machine(el: number, words: readonly number[], options: { el2?: boolean; spsel?: number; psci?: "none" } = {}) {
  const m = Machine.fresh({ el2: options.el2 ?? el === 2, ...(options.psci ? { psci: options.psci } : {}) });
  m.words(CODE, words);
  m.setSys("VBAR_EL1", VBAR1);
  if (m.cluster.el2) m.setSys("VBAR_EL2", VBAR2);
  m.enter(el, AT, options.spsel ?? 1, 0);
  return m;
}

describe("D1.3.1: exception entry", () => {
  it("SVC at EL1: ELR is the next instruction, SPSR the old PSTATE, ESR EC 0x15 with the immediate", () => {
    const m = machine(1, [0xd402_4681]); // svc #0x1234
    m.cpu.context.nzcv = 0x6000_0000;
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x5600_1234n);
    expect(m.sys("ELR_EL1")).toBe(AT + 4n);
    expect(m.sys("SPSR_EL1")).toBe(0x6000_0005n);
    expect(m.pc()).toBe(VBAR1 + 0x200n);
    expect(m.pstate).toBe(0x6000_03c5);
  });
  it("vectors: +0x000 with SP_EL0, +0x200 with SP_ELx, +0x400 from a lower level", () => {
    const pc = (el: number, spsel: number) => {
      const m = machine(el, [0xd400_0001], { spsel }); // svc #0
      m.step();
      return m.pc();
    };
    expect(pc(1, 0)).toBe(VBAR1);
    expect(pc(1, 1)).toBe(VBAR1 + 0x200n);
    expect(pc(0, 0)).toBe(VBAR1 + 0x400n);
    expect(pc(2, 1)).toBe(VBAR2 + 0x200n);
  });
  it("the stack pointer becomes that of the target level and comes back with ERET", () => {
    const m = machine(0, [0xd400_0001]);
    m.words(Number(VBAR1) + 0x400, [ERET]);
    m.set(L.SP, 0x1111n);
    m.setSys("SP_EL1", 0x2222n);
    m.step();
    expect(m.get(L.SP)).toBe(0x2222n);
    expect(m.sys("SP_EL0")).toBe(0x1111n);
    m.step();
    expect(m.cpu.context.el).toBe(0);
    expect(m.get(L.SP)).toBe(0x1111n);
    expect(m.pc()).toBe(AT + 4n);
  });
  it("UNDEFINED: EC 0, ELR at the instruction", () => {
    for (const word of [0x0000_0007 /* udf #7 */, 0xd440_0020 /* hlt #1 */, 0xd6bf_03e0 /* drps */]) {
      const m = machine(1, [word]);
      m.step();
      expect([m.sys("ESR_EL1"), m.sys("ELR_EL1")]).toEqual([0x0200_0000n, AT]);
    }
  });
  it("BRK: EC 0x3c with the comment, ELR at the instruction", () => {
    const m = machine(1, [0xd42a_b540]); // brk #0x55aa
    m.step();
    expect([m.sys("ESR_EL1"), m.sys("ELR_EL1")]).toEqual([0xf200_55aan, AT]);
  });
  it("HCR_EL2.TGE sends EL0's exceptions to EL2; MDCR_EL2.TDE sends debug exceptions there", () => {
    const tge = machine(0, [0xd400_0001], { el2: true });
    tge.setSys("HCR_EL2", 1n << 27n);
    tge.step();
    expect([tge.pc(), tge.sys("ESR_EL2")]).toEqual([VBAR2 + 0x400n, 0x5600_0000n]);
    const tde = machine(1, [0xd420_0000], { el2: true }); // brk #0
    tde.setSys("MDCR_EL2", 1n << 8n);
    tde.step();
    expect([tde.pc(), tde.sys("ESR_EL2")]).toEqual([VBAR2 + 0x400n, 0xf200_0000n]);
  });
});

describe("C6.2: HVC and SMC", () => {
  it("HVC from EL1 goes to EL2: EC 0x16, ELR behind it; from EL0, or with HCR_EL2.HCD, it is UNDEFINED", () => {
    const m = machine(1, [0xd400_0062], { el2: true }); // hvc #3
    m.step();
    expect([m.pc(), m.sys("ESR_EL2"), m.sys("ELR_EL2")]).toEqual([VBAR2 + 0x400n, 0x5a00_0003n, AT + 4n]);
    const el0 = machine(0, [0xd400_0062], { el2: true });
    el0.step();
    expect([el0.pc(), el0.sys("ESR_EL1")]).toEqual([VBAR1 + 0x400n, 0x0200_0000n]);
    const hcd = machine(1, [0xd400_0062], { el2: true });
    hcd.setSys("HCR_EL2", 1n << 29n);
    hcd.step();
    expect(hcd.sys("ESR_EL1")).toBe(0x0200_0000n);
  });
  it("HVC without EL2 and without PSCI is UNDEFINED", () => {
    const m = machine(1, [0xd400_0062], { psci: "none" });
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x0200_0000n);
  });
  it("SMC: trapped by HCR_EL2.TSC with EC 0x17, ELR at it; UNDEFINED without EL3 and PSCI", () => {
    const m = machine(1, [0xd400_0083], { el2: true }); // smc #4
    m.setSys("HCR_EL2", 1n << 19n);
    m.step();
    expect([m.pc(), m.sys("ESR_EL2"), m.sys("ELR_EL2")]).toEqual([VBAR2 + 0x400n, 0x5e00_0004n, AT]);
    const none = machine(1, [0xd400_0083], { psci: "none" });
    none.step();
    expect(none.sys("ESR_EL1")).toBe(0x0200_0000n);
  });
});

describe("D1.3.6: exception return", () => {
  const eret = (spsr: bigint, options: { el?: 1 | 2; hcr?: bigint } = {}) => {
    const el = options.el ?? 1;
    const m = machine(el, [ERET], { el2: el === 2 || options.hcr !== undefined });
    m.words(CODE + 0x100, [NOP]);
    m.setSys(`SPSR_EL${el}`, spsr);
    m.setSys(`ELR_EL${el}`, AT + 0x100n);
    if (options.hcr !== undefined) m.setSys("HCR_EL2", options.hcr);
    m.step();
    return m;
  };
  it("restores NZCV, DAIF, the level and the stack pointer selection", () => {
    const m = eret(0x9000_0284n); // N, V; D, I? bits 9 and 7; EL1t
    expect(m.pstate).toBe(0x9000_0284);
    expect(m.pc()).toBe(AT + 0x100n);
    expect(eret(0n).pstate).toBe(0);
    expect(eret(0x3c9n, { el: 2 }).pstate).toBe(0x3c9);
    expect(eret(0x3c5n, { el: 2 }).pstate).toBe(0x3c5);
  });
  it("illegal returns set IL and keep the level: AArch32, a higher level, EL2 where it is not, reserved M, EL1 with TGE", () => {
    for (const spsr of [0x1dan, 0x10n, 0x9n, 0xdn, 0x2n, 0x1n]) {
      const m = eret(spsr | 0x4000_0000n);
      // the next instruction takes the Illegal Execution state exception: EC 0x0e, ELR the return address
      expect([m.sys("ESR_EL1"), m.sys("ELR_EL1")]).toEqual([0x3a00_0000n, AT + 0x100n]);
      expect(m.sys("SPSR_EL1") & 0xf010_001fn).toBe(0x4010_0005n);
      expect(m.pc()).toBe(VBAR1 + 0x200n);
    }
    const tge = eret(0x5n, { el: 2, hcr: 1n << 27n });
    expect([tge.sys("ESR_EL2"), tge.cpu.context.el]).toEqual([0x3a00_0000n, 2]);
  });
  it("SPSR.IL returns into the Illegal Execution state", () => {
    const m = eret(0x0010_0005n);
    expect([m.sys("ESR_EL1"), m.sys("SPSR_EL1") & 0x0010_001fn]).toEqual([0x3a00_0000n, 0x0010_0005n]);
  });
  it("ERET at EL0 is UNDEFINED", () => {
    const m = machine(0, [ERET]);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x0200_0000n);
  });
  it("ERET clears the local exclusive monitor", () => {
    const m = machine(1, [0xc85f_7c20, ERET, 0xc802_7c20]); // ldxr x0, [x1]; eret; stxr w2, x0, [x1]
    m.setX(1, BigInt(RAM) + 0x100n);
    m.setSys("SPSR_EL1", 0x5n);
    m.setSys("ELR_EL1", AT + 8n);
    m.step(3);
    expect(m.x(2)).toBe(1n);
  });
});

describe("D1.3.4: synchronous exceptions of addresses", () => {
  it("PC alignment: EC 0x22, FAR and ELR the address", () => {
    const m = machine(1, [0xd61f_0000]); // br x0
    m.setX(0, AT + 0x102n);
    m.step(2);
    expect([m.sys("ESR_EL1"), m.sys("FAR_EL1"), m.sys("ELR_EL1")]).toEqual([0x8a00_0000n, AT + 0x102n, AT + 0x102n]);
  });
  it("SP alignment: EC 0x26 where SCTLR_EL1.SA is set, nothing where it is clear", () => {
    const run = (sa: boolean) => {
      const m = machine(1, [0xf940_03e0]); // ldr x0, [sp]
      m.setSys("SCTLR_EL1", sa ? 8n : 0n);
      m.set(L.SP, BigInt(RAM) + 0x108n);
      m.step();
      return [m.sys("ESR_EL1"), m.pc()];
    };
    expect(run(true)).toEqual([0x9a00_0000n, VBAR1 + 0x200n]);
    expect(run(false)).toEqual([0n, AT + 4n]);
  });
  it("MMU off: an unaligned load is an alignment fault (Device), DFSC 0x21, with WnR for a store", () => {
    const load = machine(1, [0xf940_0020]); // ldr x0, [x1]
    load.setX(1, BigInt(RAM) + 0x101n);
    load.step();
    expect([load.sys("ESR_EL1"), load.sys("FAR_EL1")]).toEqual([0x9600_0021n, BigInt(RAM) + 0x101n]);
    const store = machine(0, [0xb900_0020]); // str w0, [x1]
    store.setX(1, BigInt(RAM) + 0x102n);
    store.step();
    expect([store.sys("ESR_EL1"), store.sys("ELR_EL1")]).toEqual([0x9200_0061n, AT]);
  });
  it("nothing at the address: synchronous external abort, DFSC 0x10, EA 0; refused by the target: EA 1", () => {
    const m = machine(1, [0xf940_0020]);
    m.setX(1, 0x1000_0000n);
    m.step();
    expect([m.sys("ESR_EL1"), m.sys("FAR_EL1")]).toEqual([0x9600_0010n, 0x1000_0000n]);
    expect(m.errors.map((e) => e.kind)).toEqual(["decode"]);
    const refused = machine(1, [0xf940_0020]);
    refused.setX(1, 0x0a00_0000n);
    refused.probe.response = 2;
    refused.step();
    expect(refused.sys("ESR_EL1")).toBe(0x9600_0210n);
  });
  it("instruction abort on a fetch from nowhere: EC 0x21 from the same level, 0x20 from below, IFSC 0x10", () => {
    const m = machine(1, [0xd61f_0000]);
    m.setX(0, 0x1000_0000n);
    m.step(2);
    expect([m.sys("ESR_EL1"), m.sys("FAR_EL1"), m.sys("ELR_EL1")]).toEqual([0x8600_0010n, 0x1000_0000n, 0x1000_0000n]);
    const user = machine(0, [0xd61f_0000]);
    user.setX(0, 0x1000_0000n);
    user.step(2);
    expect(user.sys("ESR_EL1")).toBe(0x8200_0010n);
  });
  it("an exception whose vector faults as well goes on for ever without stopping the simulation", () => {
    const m = Machine.fresh({ quantum: 10_000 });
    m.words(CODE, [0xd400_0001]);
    m.enter(1, AT);
    m.setSys("VBAR_EL1", 0x1000_0000n);
    expect(m.run(20_000)).toBe("time");
    expect(m.cpu.instructions).toBeGreaterThan(1000);
  });
});

describe("D1.3.5: floating-point traps", () => {
  const LDR = 0xfd40_0020; // ldr d0, [x1]
  const run = (el: 0 | 1 | 2, cpacr: bigint, cptr = 0n, hcr = 0n) => {
    const m = machine(el, [LDR], { el2: true });
    m.setX(1, BigInt(RAM));
    m.setSys("CPACR_EL1", cpacr << 20n);
    m.setSys("CPTR_EL2", cptr);
    m.setSys("HCR_EL2", hcr);
    m.step();
    return m.pc() === VBAR1 + 0x200n || m.pc() === VBAR1 + 0x400n
      ? `EL1 ${m.sys("ESR_EL1").toString(16)}`
      : m.pc() >= VBAR2 && m.pc() < VBAR2 + 0x800n
        ? `EL2 ${m.sys("ESR_EL2").toString(16)}`
        : "";
  };
  it("CPACR_EL1.FPEN 0 and 2 trap EL0 and EL1, 1 traps EL0: EC 0x07, CV 1, COND 14", () => {
    expect([run(1, 0n), run(0, 0n), run(1, 2n)]).toEqual(["EL1 1fe00000", "EL1 1fe00000", "EL1 1fe00000"]);
    expect([run(1, 1n), run(0, 1n), run(1, 3n), run(0, 3n)]).toEqual(["", "EL1 1fe00000", "", ""]);
  });
  it("CPTR_EL2.TFP traps to EL2 after CPACR_EL1", () => {
    expect([run(1, 3n, 1n << 10n), run(2, 0n, 1n << 10n), run(1, 0n, 1n << 10n)]).toEqual([
      "EL2 1fe00000",
      "EL2 1fe00000",
      "EL1 1fe00000",
    ]);
  });
  it("with TGE the trap of CPACR_EL1 goes to EL2 as EC 0", () => {
    expect(run(0, 0n, 0n, 1n << 27n)).toBe("EL2 2000000");
  });
});

describe("D1.6: WFI and WFE", () => {
  const WFI = 0xd503_207f;
  const WFE = 0xd503_205f;
  it("SCTLR_EL1.nTWI and nTWE trap EL0 to EL1: EC 0x01, TI tells which", () => {
    const run = (word: number, sctlr: bigint) => {
      const m = machine(0, [word]);
      m.setSys("SCTLR_EL1", sctlr);
      m.step();
      return [m.sys("ESR_EL1"), m.sys("ELR_EL1")];
    };
    expect(run(WFI, 0n)).toEqual([0x07e0_0000n, AT]);
    expect(run(WFE, 1n << 16n)).toEqual([0x07e0_0001n, AT]);
  });
  it("HCR_EL2.TWI and TWE trap EL1 to EL2", () => {
    const run = (word: number, hcr: bigint) => {
      const m = machine(1, [word], { el2: true });
      m.setSys("HCR_EL2", hcr);
      m.step();
      return [m.pc(), m.sys("ESR_EL2")];
    };
    expect(run(WFI, 1n << 13n)).toEqual([VBAR2 + 0x400n, 0x07e0_0000n]);
    expect(run(WFE, 1n << 14n)).toEqual([VBAR2 + 0x400n, 0x07e0_0001n]);
  });
  it("WFE with the event register set clears it and goes on; SEVL sets it", () => {
    const m = machine(1, [0xd503_20bf, WFE, NOP]); // sevl; wfe; nop
    m.step(3);
    expect([m.pc(), m.cpu.context.low(L.EVENT)]).toEqual([AT + 12n, 0]);
  });
});

describe("D1.3.4: interrupts", () => {
  const LINES = ["irq", "fiq", "virtualIrq", "virtualFiq"] as const;
  const run = (el: number, line: (typeof LINES)[number] | null, daif: number, hcr: bigint) => {
    const m = machine(
      el,
      Array.from({ length: 8 }, () => NOP),
      { el2: true },
    );
    for (const base of [VBAR1, VBAR2]) {
      for (let offset = 0; offset < 0x800; offset += 0x80) m.words(Number(base) + offset, [NOP]);
    }
    m.setSys("HCR_EL2", hcr);
    m.enter(el, AT, 1, daif);
    if (line !== null) m.cpu[line](true);
    m.step();
    const pc = m.pc();
    // the first instruction of the vector has been run
    if (pc >= VBAR2 && pc < VBAR2 + 0x800n) return `EL2+${(pc & 0x600n).toString(16)}`;
    if (pc >= VBAR1 && pc < VBAR1 + 0x800n) return `EL1+${(pc & 0x600n).toString(16)}`;
    return "";
  };
  const IMO = 1n << 4n;
  const FMO = 1n << 3n;
  const AMO = 1n << 5n;
  const TGE = 1n << 27n;
  it("a physical interrupt goes to EL1, masked by PSTATE, and waits while at EL2", () => {
    expect(run(1, "irq", 0, 0n)).toBe("EL1+200");
    expect(run(0, "irq", 0, 0n)).toBe("EL1+400");
    expect(run(1, "irq", 2, 0n)).toBe("");
    expect(run(1, "fiq", 0, 0n)).toBe("EL1+200");
    expect(run(1, "fiq", 1, 0n)).toBe("");
    expect(run(2, "irq", 0, 0n)).toBe("");
  });
  it("routed to EL2 it cannot be masked from below, and is masked by PSTATE at EL2", () => {
    expect(run(1, "irq", 15, IMO)).toBe("EL2+400");
    expect(run(0, "fiq", 15, FMO)).toBe("EL2+400");
    expect(run(0, "irq", 15, TGE)).toBe("EL2+400");
    expect(run(2, "irq", 0, IMO)).toBe("EL2+200");
    expect(run(2, "irq", 2, IMO)).toBe("");
    expect(run(1, "irq", 2, FMO)).toBe("");
  });
  it("virtual interrupts are taken to EL1 while HCR_EL2.IMO, FMO, AMO enable them, never at EL2 or with TGE", () => {
    expect(run(1, "virtualIrq", 0, IMO)).toBe("EL1+200");
    expect(run(1, "virtualIrq", 0, 0n)).toBe("");
    expect(run(1, "virtualIrq", 2, IMO)).toBe("");
    expect(run(2, "virtualIrq", 0, IMO)).toBe("");
    expect(run(0, "virtualFiq", 0, FMO)).toBe("EL1+400");
    expect(run(1, null, 0, IMO | (1n << 7n))).toBe("EL1+200"); // HCR_EL2.VI
    expect(run(1, null, 0, FMO | (1n << 6n))).toBe("EL1+200"); // HCR_EL2.VF
    expect(run(1, null, 0, AMO | (1n << 8n))).toBe("EL1+200"); // HCR_EL2.VSE
  });
  it("vectors +0x080, +0x100, +0x180; ELR is the instruction not yet run; a virtual SError clears HCR_EL2.VSE", () => {
    const take = (line: (typeof LINES)[number] | null, hcr: bigint) => {
      const m = machine(1, [NOP, NOP], { el2: true });
      for (const offset of [0x280, 0x300, 0x380]) m.words(Number(VBAR1) + offset, [NOP]);
      m.setSys("HCR_EL2", hcr);
      if (line !== null) m.cpu[line](true);
      m.step();
      return { at: m.pc() - VBAR1 - 4n, elr: m.sys("ELR_EL1"), esr: m.sys("ESR_EL1"), hcr: m.sys("HCR_EL2") };
    };
    expect(take("irq", 0n)).toMatchObject({ at: 0x280n, elr: AT });
    expect(take("fiq", 0n)).toMatchObject({ at: 0x300n, elr: AT });
    expect(take(null, AMO | (1n << 8n))).toMatchObject({
      at: 0x380n,
      esr: 0xbe00_0000n,
      hcr: 0x8000_0020n,
    });
  });
  it("ISR_EL1 shows physical inputs at EL2, virtual ones at EL1 where they are routed (D17.2.62)", () => {
    const at = (el: number, hcr: bigint, line: (typeof LINES)[number]) => {
      const m = machine(el, [mrs(0, "S3_0_C12_C1_0")], { el2: true });
      m.setSys("HCR_EL2", hcr);
      m.enter(el, AT, 1, 15);
      m.cpu[line](true);
      m.step();
      return m.x(0);
    };
    expect(at(1, 0n, "irq")).toBe(0x80n);
    expect(at(1, 0n, "fiq")).toBe(0x40n);
    expect(at(1, IMO, "virtualIrq")).toBe(0x80n);
    expect(at(2, IMO, "virtualIrq")).toBe(0n);
    expect(at(2, IMO, "irq")).toBe(0x80n);
  });
});

describe("D2.12: software step", () => {
  it("steps one instruction at EL0 after ERET with SPSR.SS, then takes EC 0x32 with ELR at the next", () => {
    const m = machine(1, [ERET]);
    m.words(CODE + 0x100, [NOP, NOP, NOP]);
    m.words(Number(VBAR1) + 0x400, [ERET]);
    m.setSys("OSLSR_EL1", 0n); // no effect: read-only
    m.set(L.MAIL_VALUE, 0n);
    const oslar = m.cpu.registers.table.byName("OSLAR_EL1");
    if (oslar) m.cpu.registers.poke(oslar); // unlock
    m.setSys("MDSCR_EL1", 1n);
    m.setSys("SPSR_EL1", 0x0020_0000n);
    m.setSys("ELR_EL1", AT + 0x100n);
    m.step(2); // eret, nop; the exception is taken before the next instruction
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0xcb00_0022n);
    expect(m.sys("ELR_EL1")).toBe(AT + 0x104n);
    expect(m.sys("SPSR_EL1") & (1n << 21n)).toBe(0n);
  });
});
