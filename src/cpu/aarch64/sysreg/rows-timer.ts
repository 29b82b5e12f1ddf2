/** Generic timer registers, DDI 0487J.a D17.11 and D12. */
import type { SysregRoom } from "./declaration.ts";

export const TIMER_CONTROL = { ENABLE: 0, IMASK: 1, ISTATUS: 2 } as const;
const PHYSICAL = { access: "EL0:RW", traps: ["EL0PTEN", "EL1PCEN"] } as const;
const VIRTUAL = { access: "EL0:RW", traps: ["EL0VTEN"] } as const;

export const TIMER_ROOM = {
  section: "D17.11",
  title: "Generic timer registers",
  rows: [
    {
      name: "CNTKCTL_EL1",
      at: "S3_0_C14_C1_0",
      access: "EL1:RW",
      fields: { EL0PCTEN: 0, EL0VCTEN: 1, EVNTEN: 2, EVNTDIR: 3, EVNTI: [7, 4], EL0VTEN: 8, EL0PTEN: 9 },
      effect: "timer",
    },
    {
      name: "CNTFRQ_EL0",
      at: "S3_3_C14_C0_0",
      access: "EL0:RO highest:RW",
      traps: ["EL0xCTEN"],
      fields: { Frequency: [31, 0] },
    },
    {
      name: "CNTPCT_EL0",
      at: "S3_3_C14_C0_1",
      access: "EL0:RO",
      traps: ["EL0PCTEN", "EL1PCTEN"],
      hook: "physicalCount",
    },
    { name: "CNTVCT_EL0", at: "S3_3_C14_C0_2", access: "EL0:RO", traps: ["EL0VCTEN"], hook: "virtualCount" },
    { name: "CNTP_TVAL_EL0", at: "S3_3_C14_C2_0", ...PHYSICAL, hook: "timerValue" },
    { name: "CNTP_CTL_EL0", at: "S3_3_C14_C2_1", ...PHYSICAL, fields: TIMER_CONTROL, hook: "timerControl" },
    { name: "CNTP_CVAL_EL0", at: "S3_3_C14_C2_2", ...PHYSICAL, hook: "timerCompare" },
    { name: "CNTV_TVAL_EL0", at: "S3_3_C14_C3_0", ...VIRTUAL, hook: "timerValue" },
    { name: "CNTV_CTL_EL0", at: "S3_3_C14_C3_1", ...VIRTUAL, fields: TIMER_CONTROL, hook: "timerControl" },
    { name: "CNTV_CVAL_EL0", at: "S3_3_C14_C3_2", ...VIRTUAL, hook: "timerCompare" },
    { name: "CNTVOFF_EL2", at: "S3_4_C14_C0_3", access: "EL2:RW", effect: "timer" },
    {
      name: "CNTHCTL_EL2",
      at: "S3_4_C14_C1_0",
      access: "EL2:RW",
      fields: { EL1PCTEN: 0, EL1PCEN: 1, EVNTEN: 2, EVNTDIR: 3, EVNTI: [7, 4] },
      // with E2H bits 0 and 1 are EL0PCTEN and EL0VCTEN, and EL1's move up
      vhe: { EL0VTEN: 8, EL0PTEN: 9, EL1PCTEN: 10, EL1PTEN: 11 },
      reset: 3,
      effect: "timer",
    },
    { name: "CNTHP_TVAL_EL2", at: "S3_4_C14_C2_0", access: "EL2:RW", hook: "timerValue" },
    { name: "CNTHP_CTL_EL2", at: "S3_4_C14_C2_1", access: "EL2:RW", fields: TIMER_CONTROL, hook: "timerControl" },
    { name: "CNTHP_CVAL_EL2", at: "S3_4_C14_C2_2", access: "EL2:RW", hook: "timerCompare" },
  ],
} as const satisfies SysregRoom;
