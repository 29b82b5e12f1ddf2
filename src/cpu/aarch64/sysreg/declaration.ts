/**
 * What a system register's row says. Rows are data: encoding, who may access it, which controls trap it, which bits are
 * there. `table.ts` compiles them.
 */

/** A bit, or [most significant, least significant]. */
export type Field = number | readonly [msb: number, lsb: number];

/**
 * Lowest exception level that reads and writes. "highest" is EL2 where it is implemented, else EL1 (CNTFRQ_EL0).
 * Below that level the access is UNDEFINED; a missing direction is UNDEFINED everywhere.
 */
export type Access =
  | "EL0:RW"
  | "EL0:RO"
  | "EL0:WO"
  | "EL0:RO EL1:RW"
  | "EL0:RO highest:RW"
  | "EL1:RW"
  | "EL1:RO"
  | "EL1:WO"
  | "EL2:RW"
  | "EL2:RO"
  | "EL2:WO"
  | "EL3:RW";

/** Parts of the architecture that a CPU model may lack; rows of a missing one are UNDEFINED. */
export type Feature = "CortexA5x" | "PMU" | "VHE";

/** A read or write that is more than the stored value; see `hooks.ts`. */
export type Hook =
  | "NZCV"
  | "DAIF"
  | "CurrentEL"
  | "SPSel"
  | "FPCR"
  | "FPSR"
  | "SP_EL0"
  | "MIDR"
  | "MPIDR"
  | "CCSIDR"
  | "ISR"
  | "DCZID"
  | "OSLAR"
  | "MDSCR"
  | "CPTR"
  | "OSLSR"
  | "claimSet"
  | "claimClear"
  | "L2CTLR"
  | "pmu"
  | "MDCR"
  | "CONTEXTIDR"
  | "physicalCount"
  | "virtualCount"
  | "timerValue"
  | "timerControl"
  | "timerCompare";

/** What is recomputed after a write. */
export type Effect =
  /** Translation: TLB set, memory types, permissions. */
  | "translation"
  /** HCR_EL2: translation, interrupt routing. */
  | "hypervisor"
  /** Floating-point access. */
  | "fp"
  /** Timers: offsets and controls. */
  | "timer"
  /** Software step and breakpoints. */
  | "debug"
  /** MDCR_EL2: what is debugged and counted at EL2. */
  | "monitors";

export interface SysregRow {
  readonly name: string;
  /** The manual's generic name, which is the encoding: S<op0>_<op1>_C<CRn>_C<CRm>_<op2>. */
  readonly at: string;
  readonly access: Access;
  /** Controls that trap it, in the order in which they are checked; names of `TRAPS`. */
  readonly traps?: readonly TrapName[];
  /** Bits that a write changes; others keep their reset value. Absent: all 64. */
  readonly fields?: { readonly [name: string]: Field };
  /** Bits that always read as one. */
  readonly res1?: readonly Field[];
  /**
   * Further bits that a write changes where VHE is implemented. Bits that mean something with HCR_EL2.E2H alone are stored whatever
   * it is; RES1 ones among them are 1 after reset.
   */
  readonly vhe?: { readonly [name: string]: Field };
  /** Value after reset, below 2^53. Where the architecture says UNKNOWN this model's choice is 0 unless given. */
  readonly reset?: number;
  readonly hook?: Hook;
  readonly effect?: Effect;
  readonly feature?: Feature;
  /** Why the register does less than the manual says. */
  readonly unimplemented?: string;
}

/** Rows of one section of the manual. */
export interface SysregRoom {
  /** Section of DDI 0487J.a. */
  readonly section: string;
  readonly title: string;
  readonly rows: readonly SysregRow[];
}

/** A control bit that turns accesses into exceptions. */
export interface Trap {
  readonly register: ControlRegister;
  /** The trap is on when a bit of `mask` is set ("set"), or when all of them are clear ("clear"). */
  readonly mask: readonly Field[];
  readonly when: "set" | "clear";
  /** Exception levels whose accesses are trapped. */
  readonly from: readonly (0 | 1 | 2)[];
  readonly on: "read" | "write" | "both";
  /** Target level; traps to EL1 go to EL2 while HCR_EL2.TGE is set. */
  readonly to: 1 | 2;
  /** HCR_EL2.TGE switches the trap on as well. */
  readonly tge?: true;
  /** The bits while HCR_EL2.E2H is set, where they are others. */
  readonly vhe?: readonly Field[];
}

export type ControlRegister =
  | "SCTLR_EL1"
  | "CNTKCTL_EL1"
  | "CPACR_EL1"
  | "MDSCR_EL1"
  | "PMUSERENR_EL0"
  | "HCR_EL2"
  | "CPTR_EL2"
  | "MDCR_EL2"
  | "CNTHCTL_EL2";

/**
 * The controls of EL0 to EL2, DDI 0487J.a D1.3 and the fields of the registers named. HSTR_EL2 traps AArch32 only, which this
 * model does not have.
 */
export const TRAPS = {
  UMA: { register: "SCTLR_EL1", mask: [9], when: "clear", from: [0], on: "both", to: 1 },
  UCT: { register: "SCTLR_EL1", mask: [15], when: "clear", from: [0], on: "both", to: 1 },
  DZE: { register: "SCTLR_EL1", mask: [14], when: "clear", from: [0], on: "both", to: 1 },
  UCI: { register: "SCTLR_EL1", mask: [26], when: "clear", from: [0], on: "both", to: 1 },
  EL0PCTEN: { register: "CNTKCTL_EL1", mask: [0], when: "clear", from: [0], on: "both", to: 1 },
  EL0VCTEN: { register: "CNTKCTL_EL1", mask: [1], when: "clear", from: [0], on: "both", to: 1 },
  EL0xCTEN: { register: "CNTKCTL_EL1", mask: [[1, 0]], when: "clear", from: [0], on: "both", to: 1 },
  EL0VTEN: { register: "CNTKCTL_EL1", mask: [8], when: "clear", from: [0], on: "both", to: 1 },
  EL0PTEN: { register: "CNTKCTL_EL1", mask: [9], when: "clear", from: [0], on: "both", to: 1 },
  TDCC: { register: "MDSCR_EL1", mask: [12], when: "set", from: [0], on: "both", to: 1 },

  /** PMUSERENR_EL0: EN opens all to EL0; SW, CR and ER some. */
  PMU_EN: { register: "PMUSERENR_EL0", mask: [0], when: "clear", from: [0], on: "both", to: 1 },
  PMU_EN_WRITE: { register: "PMUSERENR_EL0", mask: [0], when: "clear", from: [0], on: "write", to: 1 },
  PMU_SW: { register: "PMUSERENR_EL0", mask: [[1, 0]], when: "clear", from: [0], on: "both", to: 1 },
  PMU_CR: { register: "PMUSERENR_EL0", mask: [0, 2], when: "clear", from: [0], on: "read", to: 1 },
  PMU_CR_WRITE: { register: "PMUSERENR_EL0", mask: [0], when: "clear", from: [0], on: "write", to: 1 },
  PMU_ER: { register: "PMUSERENR_EL0", mask: [0, 3], when: "clear", from: [0], on: "both", to: 1 },
  PMU_ER_READ: { register: "PMUSERENR_EL0", mask: [0, 3], when: "clear", from: [0], on: "read", to: 1 },

  TID1: { register: "HCR_EL2", mask: [16], when: "set", from: [1], on: "read", to: 2 },
  TID2: { register: "HCR_EL2", mask: [17], when: "set", from: [0, 1], on: "both", to: 2 },
  TID3: { register: "HCR_EL2", mask: [18], when: "set", from: [1], on: "read", to: 2 },
  TIDCP: { register: "HCR_EL2", mask: [20], when: "set", from: [0, 1], on: "both", to: 2 },
  TACR: { register: "HCR_EL2", mask: [21], when: "set", from: [1], on: "both", to: 2 },
  TSW: { register: "HCR_EL2", mask: [22], when: "set", from: [1], on: "both", to: 2 },
  TPC: { register: "HCR_EL2", mask: [23], when: "set", from: [0, 1], on: "both", to: 2 },
  TPU: { register: "HCR_EL2", mask: [24], when: "set", from: [0, 1], on: "both", to: 2 },
  TTLB: { register: "HCR_EL2", mask: [25], when: "set", from: [1], on: "both", to: 2 },
  TVM: { register: "HCR_EL2", mask: [26], when: "set", from: [1], on: "write", to: 2 },
  TDZ: { register: "HCR_EL2", mask: [28], when: "set", from: [0, 1], on: "both", to: 2 },
  TRVM: { register: "HCR_EL2", mask: [30], when: "set", from: [1], on: "read", to: 2 },
  TCPAC: { register: "CPTR_EL2", mask: [31], when: "set", from: [1], on: "both", to: 2 },
  EL1PCTEN: { register: "CNTHCTL_EL2", mask: [0], vhe: [10], when: "clear", from: [0, 1], on: "both", to: 2 },
  EL1PCEN: { register: "CNTHCTL_EL2", mask: [1], vhe: [11], when: "clear", from: [0, 1], on: "both", to: 2 },
  TPM: { register: "MDCR_EL2", mask: [6], when: "set", from: [0, 1], on: "both", to: 2 },
  TPMCR: { register: "MDCR_EL2", mask: [5], when: "set", from: [0, 1], on: "both", to: 2 },
  /** TDE, and HCR_EL2.TGE, make TDA, TDOSA and TDRA behave as 1. */
  TDA: { register: "MDCR_EL2", mask: [8, 9], tge: true, when: "set", from: [0, 1], on: "both", to: 2 },
  TDOSA: { register: "MDCR_EL2", mask: [8, 10], tge: true, when: "set", from: [1], on: "both", to: 2 },
  TDRA: { register: "MDCR_EL2", mask: [8, 11], tge: true, when: "set", from: [0, 1], on: "both", to: 2 },
} as const satisfies { readonly [name: string]: Trap };

export type TrapName = keyof typeof TRAPS;

/** Low and high words of the bits of `fields`. */
export function maskOf(fields: readonly Field[]): { readonly low: number; readonly high: number } {
  let low = 0;
  let high = 0;
  for (const field of fields) {
    const [msb, lsb] = typeof field === "number" ? [field, field] : field;
    for (let bit = lsb; bit <= msb; bit++) {
      if (bit < 32) low |= 1 << bit;
      else high |= 1 << (bit - 32);
    }
  }
  return { low, high };
}

/** The 16 bits op0:op1:CRn:CRm:op2 of a generic name such as "S3_0_C1_C0_0". Throws on any other text. */
export function encodingOf(at: string): number {
  const m = /^S([0-3])_([0-7])_C(\d{1,2})_C(\d{1,2})_([0-7])$/.exec(at);
  if (!m) throw new Error(`"${at}" is no system register encoding`);
  const [op0, op1, crn, crm, op2] = m.slice(1).map(Number) as [number, number, number, number, number];
  if (crn > 15 || crm > 15) throw new Error(`"${at}" is no system register encoding`);
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}
