/** Performance monitors registers, DDI 0487J.a D17.5. What they do is in `pmu.ts`. */
import type { SysregRoom, SysregRow } from "./declaration.ts";

const COUNTERS = 6;
const FILTER = { P: 31, U: 30, NSH: 27 } as const;
/** Bits of counters: PMCCNTR, and event counters. */
const BITS = { C: 31, P: [COUNTERS - 1, 0] } as const;
const PMU = { feature: "PMU" } as const;
/** EL0 needs PMUSERENR_EL0.EN. */
const USER = { ...PMU, access: "EL0:RW", traps: ["PMU_EN", "TPM"], hook: "pmu" } as const;
const KERNEL = { ...PMU, access: "EL1:RW", traps: ["TPM"], hook: "pmu" } as const;

const general = [
  {
    name: "PMCR_EL0",
    at: "S3_3_C9_C12_0",
    ...USER,
    traps: ["PMU_EN", "TPM", "TPMCR"],
    fields: { E: 0, P: 1, C: 2, DP: 5 },
    unimplemented: "X: there is nothing to export to",
  },
  { name: "PMCNTENSET_EL0", at: "S3_3_C9_C12_1", ...USER, fields: BITS },
  { name: "PMCNTENCLR_EL0", at: "S3_3_C9_C12_2", ...USER, fields: BITS },
  { name: "PMOVSCLR_EL0", at: "S3_3_C9_C12_3", ...USER, fields: BITS },
  {
    name: "PMSWINC_EL0",
    at: "S3_3_C9_C12_4",
    ...USER,
    access: "EL0:WO",
    traps: ["PMU_SW", "TPM"],
    fields: { P: [COUNTERS - 1, 0] },
  },
  {
    name: "PMSELR_EL0",
    at: "S3_3_C9_C12_5",
    ...PMU,
    access: "EL0:RW",
    traps: ["PMU_ER", "TPM"],
    fields: { SEL: [4, 0] },
  },
  { name: "PMCEID0_EL0", at: "S3_3_C9_C12_6", ...PMU, access: "EL0:RO", traps: ["PMU_EN", "TPM"] },
  { name: "PMCEID1_EL0", at: "S3_3_C9_C12_7", ...PMU, access: "EL0:RO", traps: ["PMU_EN", "TPM"] },
  { name: "PMCCNTR_EL0", at: "S3_3_C9_C13_0", ...USER, traps: ["PMU_CR", "PMU_CR_WRITE", "TPM"] },
  { name: "PMXEVTYPER_EL0", at: "S3_3_C9_C13_1", ...USER },
  { name: "PMXEVCNTR_EL0", at: "S3_3_C9_C13_2", ...USER, traps: ["PMU_ER_READ", "PMU_EN_WRITE", "TPM"] },
  {
    name: "PMUSERENR_EL0",
    at: "S3_3_C9_C14_0",
    ...PMU,
    access: "EL0:RO EL1:RW",
    traps: ["TPM"],
    fields: { EN: 0, SW: 1, CR: 2, ER: 3 },
  },
  { name: "PMOVSSET_EL0", at: "S3_3_C9_C14_3", ...USER, fields: BITS },
  { name: "PMINTENSET_EL1", at: "S3_0_C9_C14_1", ...KERNEL, fields: BITS },
  { name: "PMINTENCLR_EL1", at: "S3_0_C9_C14_2", ...KERNEL, fields: BITS },
  { name: "PMCCFILTR_EL0", at: "S3_3_C14_C15_7", ...USER, fields: FILTER },
] as const satisfies readonly SysregRow[];

function counterRows(): SysregRow[] {
  const rows: SysregRow[] = [];
  for (let n = 0; n < COUNTERS; n++) {
    rows.push(
      {
        name: `PMEVCNTR${n}_EL0`,
        at: `S3_3_C14_C8_${n}`,
        ...USER,
        traps: ["PMU_ER_READ", "PMU_EN_WRITE", "TPM"],
        fields: { value: [31, 0] },
      },
      {
        name: `PMEVTYPER${n}_EL0`,
        at: `S3_3_C14_C12_${n}`,
        ...USER,
        fields: { ...FILTER, evtCount: [9, 0] },
      },
    );
  }
  return rows;
}

export const PMU_ROOM = {
  section: "D17.5",
  title: "Performance monitors registers",
  rows: general,
} as const satisfies SysregRoom;
export const PMU_COUNTER_ROOM: SysregRoom = {
  section: "D17.5",
  title: "Event counters",
  rows: counterRows(),
};
