/** Virtualization Host Extensions, DDI 0487J.a D8.1.3, D17.2: registers, and the names that mean others while HCR_EL2.E2H is 1. */
import { encodingOf, type SysregRoom } from "./declaration.ts";
import { TIMER_CONTROL } from "./rows-timer.ts";

const VHE = { feature: "VHE", access: "EL2:RW" } as const;

export const VHE_ROOM = {
  section: "D17.2",
  title: "Virtualization Host Extensions",
  rows: [
    {
      name: "TTBR1_EL2",
      at: "S3_4_C2_C0_1",
      ...VHE,
      fields: { BADDR: [47, 1], ASID: [63, 48] },
      effect: "translation",
    },
    { name: "CONTEXTIDR_EL2", at: "S3_4_C13_C0_1", ...VHE, fields: { PROCID: [31, 0] } },
    { name: "CNTHV_TVAL_EL2", at: "S3_4_C14_C3_0", ...VHE, hook: "timerValue" },
    { name: "CNTHV_CTL_EL2", at: "S3_4_C14_C3_1", ...VHE, fields: TIMER_CONTROL, hook: "timerControl" },
    { name: "CNTHV_CVAL_EL2", at: "S3_4_C14_C3_2", ...VHE, hook: "timerCompare" },
  ],
} as const satisfies SysregRoom;

/** EL1 registers by CRn, CRm and op2: at EL2 their names lead to the EL2 register (op1 4), and those with op1 5 to them. */
const REDIRECTED = [
  "C1_C0_0", // SCTLR
  "C1_C0_2", // CPACR: CPTR_EL2
  "C2_C0_0", // TTBR0
  "C2_C0_1", // TTBR1
  "C2_C0_2", // TCR
  "C4_C0_0", // SPSR
  "C4_C0_1", // ELR
  "C5_C1_0", // AFSR0
  "C5_C1_1", // AFSR1
  "C5_C2_0", // ESR
  "C6_C0_0", // FAR
  "C10_C2_0", // MAIR
  "C10_C3_0", // AMAIR
  "C12_C0_0", // VBAR
  "C13_C0_1", // CONTEXTIDR
  "C14_C1_0", // CNTKCTL: CNTHCTL_EL2
];
/** TVAL, CTL, CVAL of CNTP and CNTV: of EL0 by op1 3, as EL02 by op1 5, those of EL2 by op1 4. */
const TIMERS = ["C14_C2_0", "C14_C2_1", "C14_C2_2", "C14_C3_0", "C14_C3_1", "C14_C3_2"];
const OTHER_NAMES: { readonly [name: string]: string } = { C1_C0_2: "C1_C1_2" };

function pairs(list: readonly string[], from: string, to: (name: string) => string): [number, number][] {
  return list.map((name) => [encodingOf(`${from}_${name}`), encodingOf(to(name))]);
}

/** What encodings mean at EL0 of the host: the timers. */
export const HOST_USER_NAMES: ReadonlyMap<number, number> = new Map(pairs(TIMERS, "S3_3", timerOfEl2));
/** What encodings mean at EL2. */
export const HOST_NAMES: ReadonlyMap<number, number> = new Map([
  ...HOST_USER_NAMES,
  ...pairs(REDIRECTED, "S3_0", (name) => `S3_4_${OTHER_NAMES[name] ?? name}`),
  ...pairs(REDIRECTED, "S3_5", (name) => `S3_0_${name}`),
  ...pairs(TIMERS, "S3_5", (name) => `S3_3_${name}`),
]);

function timerOfEl2(name: string): string {
  return `S3_4_${name}`;
}
