import { describe, expect, it } from "vitest";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { Machine, msr, RAM } from "../cpu/machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;
const DATA = 0x4004_0000n;
const NOP = 0xd503_201f;
const ERET = 0xd69f_03e0;
const SVC = 0xd400_0001;
const MDE = 1n << 15n;
const KDE = 1n << 13n;
const SS = 1n;

interface Setting {
  readonly el: number;
  readonly el2?: boolean;
  readonly sys?: Record<string, bigint>;
  /** PSTATE.DAIF; 0 unless given. */
  readonly daif?: number;
  readonly x?: Record<number, bigint>;
}

/** A machine at a level with the OS lock open, vectors, code at CODE and the registers given. */
function machine(words: readonly number[], s: Setting): Machine {
  const m = Machine.fresh({ el2: s.el2 ?? s.el === 2 });
  m.words(CODE, words);
  m.setSys("VBAR_EL1", VBAR1);
  if (m.cluster.el2) m.setSys("VBAR_EL2", VBAR2);
  m.setSys("OSLAR_EL1", 0n);
  for (const [name, value] of Object.entries(s.sys ?? {})) m.setSys(name, value);
  for (const [n, value] of Object.entries(s.x ?? {})) m.setX(Number(n), value);
  m.enter(s.el, AT, 1, s.daif ?? 0);
  return m;
}
/** "none" or "ELn ESR ELR-offset FAR" of the exception that `n` steps end in. */
function outcome(m: Machine, n: number): string {
  for (let i = 0; i < n; i++) {
    m.step();
    for (const [el, base] of [
      [1, VBAR1],
      [2, VBAR2],
    ] as const) {
      if (m.pc() < base || m.pc() >= base + 0x800n) continue;
      return `EL${el} ${m.sys(`ESR_EL${el}`).toString(16)} +${m.sys(`ELR_EL${el}`) - AT}`;
    }
  }
  return "none";
}

// DBGBCR: E 0, PMC 2:1, HMC 13, SSC 15:14, LBN 19:16, BT 23:20
const bcr = (pmc: bigint, hmc = 0n, ssc = 0n, bt = 0n, lbn = 0n) =>
  1n | (pmc << 1n) | (hmc << 13n) | (ssc << 14n) | (lbn << 16n) | (bt << 20n);

describe("D2.9: breakpoint exceptions", () => {
  const at8 = { DBGBVR0_EL1: AT + 8n };
  it("EL0: EC 0x30, IFSC 0x22, ELR at the instruction, which has not been executed", () => {
    const m = machine([NOP, NOP, 0xd280_0540 /* mov x0, #42 */], {
      el: 0,
      sys: { ...at8, DBGBCR0_EL1: bcr(2n), MDSCR_EL1: MDE },
    });
    expect(outcome(m, 4)).toBe("EL1 c2000022 +8");
    expect(m.x(0)).toBe(0n);
  });
  it("the same in a run instead of steps, and from the same level EC 0x31 where KDE is set and D clear", () => {
    const m = machine([NOP, NOP, NOP, 0x1400_0000], {
      el: 1,
      sys: { ...at8, DBGBCR0_EL1: bcr(1n), MDSCR_EL1: MDE | KDE },
    });
    m.words(Number(VBAR1) + 0x200, [0x1400_0000]);
    m.run(1000);
    expect([m.sys("ESR_EL1"), m.sys("ELR_EL1")]).toEqual([0xc600_0022n, AT + 8n]);
  });
  // [what, EL, control, registers, DAIF, expected]
  const rows: readonly (readonly [string, number, bigint, Record<string, bigint>, number, string])[] = [
    ["PMC EL0 at EL1", 1, bcr(2n), { MDSCR_EL1: MDE | KDE }, 0, "none"],
    ["PMC EL1 at EL0", 0, bcr(1n), { MDSCR_EL1: MDE }, 0, "none"],
    ["PMC EL0 and EL1 at EL0", 0, bcr(3n), { MDSCR_EL1: MDE }, 0, "EL1 c2000022 +8"],
    ["MDE clear", 0, bcr(2n), { MDSCR_EL1: 0n }, 0, "none"],
    ["E clear", 0, bcr(2n) - 1n, { MDSCR_EL1: MDE }, 0, "none"],
    ["EL1 without KDE", 1, bcr(1n), { MDSCR_EL1: MDE }, 0, "none"],
    ["EL1 with PSTATE.D", 1, bcr(1n), { MDSCR_EL1: MDE | KDE }, 8, "none"],
    ["EL0 whatever PSTATE.D", 0, bcr(2n), { MDSCR_EL1: MDE }, 8, "EL1 c2000022 +8"],
    ["OS lock", 0, bcr(2n), { MDSCR_EL1: MDE, OSLAR_EL1: 1n }, 0, "none"],
    ["OS double lock", 0, bcr(2n), { MDSCR_EL1: MDE, OSDLR_EL1: 1n }, 0, "none"],
    ["MDCR_EL2.TDE", 1, bcr(1n), { MDSCR_EL1: MDE, MDCR_EL2: 1n << 8n }, 8, "EL2 c2000022 +8"],
    ["HCR_EL2.TGE", 0, bcr(2n), { MDSCR_EL1: MDE, HCR_EL2: 1n << 27n }, 0, "EL2 c2000022 +8"],
    ["HMC at EL1: EL2 and EL1", 1, bcr(1n, 1n), { MDSCR_EL1: MDE | KDE }, 0, "EL1 c6000022 +8"],
    ["HMC at EL2", 2, bcr(1n, 1n), { MDSCR_EL1: MDE | KDE, MDCR_EL2: 1n << 8n }, 0, "EL2 c6000022 +8"],
    ["HMC, SSC 3: EL2 alone", 1, bcr(0n, 1n, 3n), { MDSCR_EL1: MDE | KDE }, 0, "none"],
    ["HMC, SSC 3 at EL2", 2, bcr(0n, 1n, 3n), { MDSCR_EL1: MDE | KDE, MDCR_EL2: 256n }, 0, "EL2 c6000022 +8"],
    ["EL2 without TDE: disabled there", 2, bcr(0n, 1n, 3n), { MDSCR_EL1: MDE | KDE }, 0, "none"],
    ["SSC 1: reserved without EL3", 0, bcr(2n, 0n, 1n), { MDSCR_EL1: MDE }, 0, "none"],
    ["BT 4, address mismatch: reserved", 0, bcr(2n, 0n, 0n, 4n), { MDSCR_EL1: MDE }, 0, "none"],
  ];
  it.each(rows)("%s", (_what, el, control, sys, daif, expected) => {
    const m = machine([NOP, NOP, NOP, NOP], { el, el2: true, daif, sys: { ...at8, DBGBCR0_EL1: control, ...sys } });
    expect(outcome(m, 4)).toBe(expected);
  });
  it("linked address match: with LBN's context alone (BT 1 with 3, CONTEXTIDR_EL1)", () => {
    const at = (contextidr: bigint, lbn = 5n, bt = 3n) =>
      outcome(
        machine([NOP, NOP, NOP, NOP], {
          el: 0,
          sys: {
            ...at8,
            DBGBCR0_EL1: bcr(2n, 0n, 0n, 1n, lbn),
            DBGBVR5_EL1: 0x77n,
            DBGBCR5_EL1: bcr(2n, 0n, 0n, bt),
            CONTEXTIDR_EL1: contextidr,
            MDSCR_EL1: MDE,
          },
        }),
        4,
      );
    expect([at(0x77n), at(0x78n), at(0x77n, 4n), at(0x77n, 3n)]).toEqual(["EL1 c2000022 +8", "none", "none", "none"]);
  });
  it("a context alone (BT 2): every instruction of it, on context-aware breakpoints 4 and 5", () => {
    const at = (n: number, contextidr: bigint) =>
      outcome(
        machine([NOP, NOP], {
          el: 0,
          sys: {
            [`DBGBVR${n}_EL1`]: 0x77n,
            [`DBGBCR${n}_EL1`]: bcr(2n, 0n, 0n, 2n),
            CONTEXTIDR_EL1: contextidr,
            MDSCR_EL1: MDE,
          },
        }),
        2,
      );
    expect([at(4, 0x77n), at(5, 0x76n), at(3, 0x77n)]).toEqual(["EL1 c2000022 +0", "none", "none"]);
  });
  it("linked VMID (BT 9): VTTBR_EL2.VMID", () => {
    const at = (vmid: bigint) =>
      outcome(
        machine([NOP, NOP, NOP], {
          el: 0,
          el2: true,
          sys: {
            ...at8,
            DBGBCR0_EL1: bcr(2n, 0n, 0n, 1n, 4n),
            DBGBVR4_EL1: 5n << 32n,
            DBGBCR4_EL1: bcr(2n, 0n, 0n, 9n),
            VTTBR_EL2: vmid << 48n,
            MDSCR_EL1: MDE,
          },
        }),
        3,
      );
    expect([at(5n), at(6n)]).toEqual(["EL1 c2000022 +8", "none"]);
  });
  it("a breakpoint that the guest sets in code that has run already, and takes back", () => {
    const loop = machine([NOP, 0xd503_3fdf /* isb */, msr("S2_0_C0_C0_5", 1), 0x17ff_fffd], {
      el: 1,
      sys: { DBGBVR0_EL1: AT + 4n, MDSCR_EL1: MDE | KDE },
      x: { 1: bcr(1n) },
    });
    loop.words(Number(VBAR1) + 0x200, [0x1400_0000]);
    loop.run(10_000);
    expect([loop.sys("ESR_EL1"), loop.sys("ELR_EL1")]).toEqual([0xc600_0022n, AT + 4n]);
    loop.setSys("DBGBCR0_EL1", 0n);
    loop.setX(1, 0n);
    loop.enter(1, AT, 1, 0);
    loop.setSys("ESR_EL1", 0n);
    loop.run(10_000);
    expect(loop.sys("ESR_EL1")).toBe(0n);
  });
});

describe("D2.10: watchpoint exceptions", () => {
  // DBGWCR: E 0, PAC 2:1, LSC 4:3, BAS 12:5, HMC 13, SSC 15:14, LBN 19:16, WT 20, MASK 28:24
  const wcr = (lsc: bigint, bas: bigint, options: { mask?: bigint; pac?: bigint; link?: bigint } = {}) =>
    1n |
    ((options.pac ?? 1n) << 1n) |
    (lsc << 3n) |
    (bas << 5n) |
    ((options.mask ?? 0n) << 24n) |
    (options.link === undefined ? 0n : (1n << 20n) | (options.link << 16n));
  const LDR = 0xf940_0020; // ldr x0, [x1]
  const STR = 0xf900_0020;
  const LDRB = 0x3940_0020;
  const STP = 0xa900_0820; // stp x0, x2, [x1]
  const LDTR = 0xf840_0820;
  const DC_ZVA = 0xd50b_7421;
  const DC_IVAC = 0xd508_7621;
  const DC_CIVAC = 0xd50b_7e21;
  const at = (word: number, address: bigint, wvr: bigint, control: bigint, sys: Record<string, bigint> = {}) => {
    // HCR_EL2.DC: memory is Normal though the MMU is off; stage 2 maps the address on itself in a block of 1 GiB
    const m = machine([word, NOP], {
      el: 1,
      el2: true,
      x: { 1: address },
      sys: {
        HCR_EL2: 1n << 12n,
        VTTBR_EL2: BigInt(RAM) + 0x8_0000n,
        VTCR_EL2: 25n | (1n << 6n) | (2n << 16n),
        DBGWVR0_EL1: wvr,
        DBGWCR0_EL1: control,
        MDSCR_EL1: MDE | KDE,
        ...sys,
      },
    });
    m.quads(RAM + 0x8_0000, [0x7fdn, 0x4000_07fdn]);
    const o = outcome(m, 2);
    return o === "none" ? o : `${o.slice(0, 12)} ${(m.sys(`FAR_EL${o[2]}`) - DATA).toString(16)}`;
  };
  // EC 0x35 from the same level, DFSC 0x22, WnR bit 6, CM bit 8; then FAR - DATA
  const rows: readonly (readonly [string, number, bigint, bigint, bigint, string])[] = [
    ["load, LSC 1", LDR, DATA, DATA, wcr(1n, 0xffn), "EL1 d6000022 0"],
    ["store, LSC 1", STR, DATA, DATA, wcr(1n, 0xffn), "none"],
    ["store, LSC 2: WnR", STR, DATA, DATA, wcr(2n, 0xffn), "EL1 d6000062 0"],
    ["load, LSC 3", LDR, DATA, DATA, wcr(3n, 0xffn), "EL1 d6000022 0"],
    ["LSC 0", LDR, DATA, DATA, wcr(0n, 0xffn), "none"],
    ["BAS of one byte: hit, FAR its address", LDR, DATA, DATA, wcr(1n, 0x20n), "EL1 d6000022 5"],
    ["BAS of one byte: the byte before", LDRB, DATA + 4n, DATA, wcr(1n, 0x20n), "none"],
    ["BAS of one byte: it", LDRB, DATA + 5n, DATA, wcr(1n, 0x20n), "EL1 d6000022 5"],
    ["WVR bit 2 set: BAS[3:0] from there", LDRB, DATA + 5n, DATA + 4n, wcr(1n, 0x2n), "EL1 d6000022 5"],
    ["WVR bit 2 set: the byte below", LDRB, DATA + 1n, DATA + 4n, wcr(1n, 0x2n), "none"],
    ["pair: the second element", STP, DATA, DATA + 8n, wcr(2n, 0xffn), "EL1 d6000062 8"],
    ["unaligned access that reaches into it", LDR, DATA + 1n, DATA + 8n, wcr(1n, 0x1n), "EL1 d6000022 8"],
    ["access across pages", LDR, DATA + 0xffcn, DATA + 0x1000n, wcr(1n, 0xfn), "EL1 d6000022 1000"],
    ["MASK 12: in the page", LDRB, DATA + 0xfffn, DATA, wcr(1n, 0xffn, { mask: 12n }), "EL1 d6000022 fff"],
    ["MASK 12: behind it", LDRB, DATA + 0x1000n, DATA, wcr(1n, 0xffn, { mask: 12n }), "none"],
    ["MASK 16: another page", LDRB, DATA + 0x3000n, DATA, wcr(1n, 0xffn, { mask: 16n }), "EL1 d6000022 3000"],
    ["MASK 3", LDRB, DATA + 7n, DATA, wcr(1n, 0xffn, { mask: 3n }), "EL1 d6000022 7"],
    ["MASK with BAS not all ones: never", LDRB, DATA, DATA, wcr(1n, 0xfn, { mask: 3n }), "none"],
    ["PAC EL0 at EL1", LDR, DATA, DATA, wcr(1n, 0xffn, { pac: 2n }), "none"],
    ["PAC EL0, LDTR: as EL0", LDTR, DATA, DATA, wcr(1n, 0xffn, { pac: 2n }), "EL1 d6000022 0"],
    ["PAC EL1, LDTR", LDTR, DATA, DATA, wcr(1n, 0xffn), "none"],
    ["DC ZVA: a store of the block", DC_ZVA, DATA, DATA + 0x38n, wcr(2n, 0xffn), "EL1 d6000062 38"],
    ["DC IVAC: a store with CM", DC_IVAC, DATA, DATA + 8n, wcr(2n, 0xffn), "EL1 d6000162 8"],
    ["DC CIVAC: none", DC_CIVAC, DATA, DATA, wcr(3n, 0xffn), "none"],
  ];
  it.each(rows)("%s", (_what, word, address, wvr, control, expected) => {
    expect(at(word, address, wvr, control)).toBe(expected);
  });
  it("the access has not happened; translation faults come first", () => {
    const m = machine([STR], {
      el: 1,
      x: { 0: 7n, 1: DATA },
      sys: { DBGWVR0_EL1: DATA, DBGWCR0_EL1: wcr(2n, 0xffn), MDSCR_EL1: MDE | KDE },
    });
    expect(outcome(m, 1)).toBe("EL1 d6000062 +0");
    expect(m.quad(Number(DATA))).toBe(0n);
  });
  it("linked to a context", () => {
    const linked = (contextidr: bigint) =>
      at(LDR, DATA, DATA, wcr(1n, 0xffn, { link: 5n }), {
        DBGBVR5_EL1: 9n,
        DBGBCR5_EL1: bcr(1n, 0n, 0n, 3n),
        CONTEXTIDR_EL1: contextidr,
      });
    expect([linked(9n), linked(8n)]).toEqual(["EL1 d6000022 0", "none"]);
  });
  it("MDCR_EL2.TDE takes it to EL2, EC 0x34, with FAR_EL2", () => {
    expect(at(LDR, DATA, DATA, wcr(1n, 0xffn), { MDCR_EL2: 1n << 8n })).toBe("EL2 d2000022 0");
  });
});

describe("D2.12: software step", () => {
  const USER = CODE + 0x100;
  /** ERET at EL1 to the words at EL0 with SPSR.SS; what the step exception's syndrome is, by ESR and offset of ELR. */
  const stepped = (words: readonly number[], ss = 1n, steps = 3) => {
    const m = machine([ERET], { el: 1, sys: { MDSCR_EL1: SS, SPSR_EL1: ss << 21n, ELR_EL1: BigInt(USER) } });
    m.words(USER, words);
    m.setX(1, DATA);
    m.setX(2, 0x1_0000_0000_0000n);
    m.step(steps - 1);
    // the exception is taken before the instruction of the last step
    m.step();
    return [m.sys("ESR_EL1").toString(16), Number(m.sys("ELR_EL1")) - USER, (m.sys("SPSR_EL1") >> 21n) & 1n];
  };
  it("EC 0x32, IFSC 0x22; ISV 1 and EX 0 after an instruction", () => {
    expect(stepped([NOP, NOP])).toEqual(["cb000022", 4, 0n]);
  });
  it("EX 1 after LDXR and LDAXP, not after LDR, STXR or CASP", () => {
    expect(stepped([0xc85f_7c20, NOP])[0]).toBe("cb000062"); // ldxr x0, [x1]
    expect(stepped([0xc87f_8c20, NOP])[0]).toBe("cb000062"); // ldaxp x0, x3, [x1]
    expect(stepped([0xc802_7c20, NOP])[0]).toBe("cb000022"); // stxr w2, x0, [x1]
    expect(stepped([0xf940_0020, NOP])[0]).toBe("cb000022"); // ldr x0, [x1]
  });
  it("SPSR.SS 0: active-pending at once, ISV 0", () => {
    expect(stepped([NOP, NOP], 0n, 2)).toEqual(["ca000022", 0, 0n]);
  });
  it("an instruction that faults is still to be stepped: SPSR.SS 1; SVC has been executed: SPSR.SS 0", () => {
    const ends = (word: number) => {
      const m = machine([ERET], { el: 1, sys: { MDSCR_EL1: SS, SPSR_EL1: 1n << 21n, ELR_EL1: BigInt(USER) } });
      m.words(USER, [word]);
      m.setX(2, 0x1_0000_0000_0000n);
      m.step(2);
      return [m.sys("ESR_EL1") >> 26n, Number(m.sys("ELR_EL1")) - USER, (m.sys("SPSR_EL1") >> 21n) & 1n];
    };
    expect(ends(0xf940_0040 /* ldr x0, [x2]: beyond the address space */)).toEqual([0x24n, 0, 1n]);
    expect(ends(0)).toEqual([0n, 0, 1n]);
    expect(ends(SVC)).toEqual([0x15n, 4, 0n]);
  });
  it("a branch to itself, stepped in a run, takes the exception after one instruction", () => {
    const m = machine([ERET], { el: 1, sys: { MDSCR_EL1: SS, SPSR_EL1: 1n << 21n, ELR_EL1: BigInt(USER) } });
    m.words(USER, [0x1400_0000]);
    m.words(Number(VBAR1) + 0x400, [0x1400_0000]);
    const before = m.cpu.instructions;
    m.run(10 * 20);
    expect([m.sys("ESR_EL1"), m.sys("ELR_EL1")]).toEqual([0xcb00_0022n, BigInt(USER)]);
    expect(m.cpu.instructions - before).toBeGreaterThan(2);
  });
  it("at EL1 with KDE and D clear: MSR that sets SS, then each instruction is taken at the same level, EC 0x33", () => {
    const m = machine([msr("S2_0_C0_C2_2", 1), NOP, NOP], { el: 1, x: { 1: SS | KDE } });
    expect(outcome(m, 3)).toBe("EL1 ce000022 +4");
  });
  it("PSTATE.SS is not seen in a step of the debugger, nor does one change the guest's", () => {
    const m = machine([ERET], { el: 1, sys: { MDSCR_EL1: SS, SPSR_EL1: 1n << 21n, ELR_EL1: BigInt(USER) } });
    m.words(USER, [NOP, NOP]);
    m.step();
    expect(m.cpu.context.low(L.SS)).toBe(1);
    m.step();
    expect(m.cpu.context.low(L.SS)).toBe(0);
  });
});

describe("D17.3.20: MDSCR_EL1 and the OS lock", () => {
  const stored = (lock: bigint) => {
    const m = Machine.fresh({});
    m.setSys("OSLAR_EL1", lock);
    m.setSys("MDSCR_EL1", 2n ** 64n - 1n);
    const all = m.sys("MDSCR_EL1");
    m.setSys("OSLAR_EL1", 1n);
    m.setSys("MDSCR_EL1", 0n);
    return all;
  };
  it("open: SS, TDCC, KDE, MDE; locked: what the lock saves and restores, too", () => {
    expect(stored(0n)).toBe(0xb001n);
    expect(stored(1n)).toBe(0x6ce0_f041n);
  });
  it("DBGBCR.BAS is all ones: there is no AArch32", () => {
    const m = Machine.fresh({});
    m.setSys("DBGBCR0_EL1", 0n);
    expect(m.sys("DBGBCR0_EL1")).toBe(0x1e0n);
  });
});
