/**
 * Identification registers. Their values come from the CPU model (`models.ts`). The whole space op0=3, op1=0, CRn=0,
 * CRm=1..7 is allotted to them: what has no name yet reads as zero (DDI 0487J.a D17.1.3).
 */
import type { SysregRoom } from "./declaration.ts";

const ID = { access: "EL1:RO", traps: ["TID3"] } as const;

export const ID_ROOM = {
  section: "D17.2",
  title: "Identification registers",
  rows: [
    { name: "MIDR_EL1", at: "S3_0_C0_C0_0", access: "EL1:RO", hook: "MIDR" },
    { name: "MPIDR_EL1", at: "S3_0_C0_C0_5", access: "EL1:RO", hook: "MPIDR" },
    { name: "REVIDR_EL1", at: "S3_0_C0_C0_6", access: "EL1:RO", traps: ["TID1"] },
    // AArch32 is not implemented at any level: these are UNKNOWN, read as zero
    { name: "ID_PFR0_EL1", at: "S3_0_C0_C1_0", ...ID },
    { name: "ID_PFR1_EL1", at: "S3_0_C0_C1_1", ...ID },
    { name: "ID_DFR0_EL1", at: "S3_0_C0_C1_2", ...ID },
    { name: "ID_AFR0_EL1", at: "S3_0_C0_C1_3", ...ID },
    { name: "ID_MMFR0_EL1", at: "S3_0_C0_C1_4", ...ID },
    { name: "ID_MMFR1_EL1", at: "S3_0_C0_C1_5", ...ID },
    { name: "ID_MMFR2_EL1", at: "S3_0_C0_C1_6", ...ID },
    { name: "ID_MMFR3_EL1", at: "S3_0_C0_C1_7", ...ID },
    { name: "ID_ISAR0_EL1", at: "S3_0_C0_C2_0", ...ID },
    { name: "ID_ISAR1_EL1", at: "S3_0_C0_C2_1", ...ID },
    { name: "ID_ISAR2_EL1", at: "S3_0_C0_C2_2", ...ID },
    { name: "ID_ISAR3_EL1", at: "S3_0_C0_C2_3", ...ID },
    { name: "ID_ISAR4_EL1", at: "S3_0_C0_C2_4", ...ID },
    { name: "ID_ISAR5_EL1", at: "S3_0_C0_C2_5", ...ID },
    { name: "ID_MMFR4_EL1", at: "S3_0_C0_C2_6", ...ID },
    { name: "ID_ISAR6_EL1", at: "S3_0_C0_C2_7", ...ID },
    { name: "MVFR0_EL1", at: "S3_0_C0_C3_0", ...ID },
    { name: "MVFR1_EL1", at: "S3_0_C0_C3_1", ...ID },
    { name: "MVFR2_EL1", at: "S3_0_C0_C3_2", ...ID },
    { name: "ID_PFR2_EL1", at: "S3_0_C0_C3_4", ...ID },
    { name: "ID_DFR1_EL1", at: "S3_0_C0_C3_5", ...ID },
    { name: "ID_MMFR5_EL1", at: "S3_0_C0_C3_6", ...ID },
    { name: "ID_AA64PFR0_EL1", at: "S3_0_C0_C4_0", ...ID },
    { name: "ID_AA64PFR1_EL1", at: "S3_0_C0_C4_1", ...ID },
    { name: "ID_AA64ZFR0_EL1", at: "S3_0_C0_C4_4", ...ID },
    { name: "ID_AA64SMFR0_EL1", at: "S3_0_C0_C4_5", ...ID },
    { name: "ID_AA64DFR0_EL1", at: "S3_0_C0_C5_0", ...ID },
    { name: "ID_AA64DFR1_EL1", at: "S3_0_C0_C5_1", ...ID },
    { name: "ID_AA64AFR0_EL1", at: "S3_0_C0_C5_4", ...ID },
    { name: "ID_AA64AFR1_EL1", at: "S3_0_C0_C5_5", ...ID },
    { name: "ID_AA64ISAR0_EL1", at: "S3_0_C0_C6_0", ...ID },
    { name: "ID_AA64ISAR1_EL1", at: "S3_0_C0_C6_1", ...ID },
    { name: "ID_AA64ISAR2_EL1", at: "S3_0_C0_C6_2", ...ID },
    { name: "ID_AA64MMFR0_EL1", at: "S3_0_C0_C7_0", ...ID },
    { name: "ID_AA64MMFR1_EL1", at: "S3_0_C0_C7_1", ...ID },
    { name: "ID_AA64MMFR2_EL1", at: "S3_0_C0_C7_2", ...ID },
    { name: "ID_AA64MMFR3_EL1", at: "S3_0_C0_C7_3", ...ID },
    { name: "CCSIDR_EL1", at: "S3_1_C0_C0_0", access: "EL1:RO", traps: ["TID2"], hook: "CCSIDR" },
    { name: "CLIDR_EL1", at: "S3_1_C0_C0_1", access: "EL1:RO", traps: ["TID2"] },
    { name: "AIDR_EL1", at: "S3_1_C0_C0_7", access: "EL1:RO", traps: ["TID1"] },
    {
      name: "CSSELR_EL1",
      at: "S3_2_C0_C0_0",
      access: "EL1:RW",
      traps: ["TID2"],
      fields: { InD: 0, Level: [3, 1] },
    },
    { name: "CTR_EL0", at: "S3_3_C0_C0_1", access: "EL0:RO", traps: ["UCT", "TID2"] },
    { name: "DCZID_EL0", at: "S3_3_C0_C0_7", access: "EL0:RO", hook: "DCZID" },
    { name: "VPIDR_EL2", at: "S3_4_C0_C0_0", access: "EL2:RW", fields: { VPIDR: [31, 0] } },
    { name: "VMPIDR_EL2", at: "S3_4_C0_C0_5", access: "EL2:RW" },
  ],
} as const satisfies SysregRoom;

/** Encodings of the identification space that have no row above: they read as zero and trap as the others do. */
export function reservedIdEncodings(taken: ReadonlySet<string>): string[] {
  const out: string[] = [];
  for (let crm = 1; crm <= 7; crm++) {
    for (let op2 = 0; op2 <= 7; op2++) {
      const at = `S3_0_C0_C${crm}_${op2}`;
      if (!taken.has(at)) out.push(at);
    }
  }
  return out;
}
