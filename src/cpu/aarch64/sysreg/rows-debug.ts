/**
 * Debug registers, DDI 0487J.a D17.3. The debug communications channel has no external debugger behind it; breakpoints, watchpoints and
 * software step are in `self-hosted.ts`.
 */
import type { SysregRoom, SysregRow } from "./declaration.ts";

const NO_DEBUGGER = "no external debugger: the channel is always empty and swallows what is sent";

export const DEBUG_ROOM = {
  section: "D17.3",
  title: "Debug registers",
  rows: [
    {
      name: "OSDTRRX_EL1",
      at: "S2_0_C0_C0_2",
      access: "EL1:RW",
      traps: ["TDA"],
      fields: { DTRRX: [31, 0] },
      unimplemented: NO_DEBUGGER,
    },
    {
      name: "MDCCINT_EL1",
      at: "S2_0_C0_C2_0",
      access: "EL1:RW",
      traps: ["TDA"],
      fields: { RX: 30, TX: 29 },
      unimplemented: NO_DEBUGGER,
    },
    {
      name: "MDSCR_EL1",
      at: "S2_0_C0_C2_2",
      access: "EL1:RW",
      traps: ["TDA"],
      fields: {
        SS: 0,
        ERR: 6,
        TDCC: 12,
        KDE: 13,
        HDE: 14,
        MDE: 15,
        TDA: 21,
        INTdis: [23, 22],
        TXU: 26,
        RXO: 27,
        TXfull: 29,
        RXfull: 30,
      },
      hook: "MDSCR",
      effect: "debug",
    },
    {
      name: "OSDTRTX_EL1",
      at: "S2_0_C0_C3_2",
      access: "EL1:RW",
      traps: ["TDA"],
      fields: { DTRTX: [31, 0] },
      unimplemented: NO_DEBUGGER,
    },
    { name: "OSECCR_EL1", at: "S2_0_C0_C6_2", access: "EL1:RW", traps: ["TDA"], fields: {} },
    { name: "MDRAR_EL1", at: "S2_0_C1_C0_0", access: "EL1:RO", traps: ["TDRA"] },
    { name: "OSLAR_EL1", at: "S2_0_C1_C0_4", access: "EL1:WO", traps: ["TDOSA"], hook: "OSLAR" },
    { name: "OSLSR_EL1", at: "S2_0_C1_C1_4", access: "EL1:RO", traps: ["TDOSA"], reset: 0xa, hook: "OSLSR" },
    { name: "OSDLR_EL1", at: "S2_0_C1_C3_4", access: "EL1:RW", traps: ["TDOSA"], fields: { DLK: 0 }, effect: "debug" },
    { name: "DBGPRCR_EL1", at: "S2_0_C1_C4_4", access: "EL1:RW", traps: ["TDOSA"], fields: { CORENPDRQ: 0 } },
    { name: "DBGCLAIMSET_EL1", at: "S2_0_C7_C8_6", access: "EL1:RW", traps: ["TDA"], hook: "claimSet" },
    { name: "DBGCLAIMCLR_EL1", at: "S2_0_C7_C9_6", access: "EL1:RW", traps: ["TDA"], hook: "claimClear" },
    { name: "DBGAUTHSTATUS_EL1", at: "S2_0_C7_C14_6", access: "EL1:RO", traps: ["TDA"], reset: 0xf },
    { name: "MDCCSR_EL0", at: "S2_3_C0_C1_0", access: "EL0:RO", traps: ["TDCC", "TDA"], unimplemented: NO_DEBUGGER },
    {
      name: "DBGDTR_EL0",
      at: "S2_3_C0_C4_0",
      access: "EL0:RW",
      traps: ["TDCC", "TDA"],
      fields: {},
      unimplemented: NO_DEBUGGER,
    },
    {
      name: "DBGDTRRX_EL0",
      at: "S2_3_C0_C5_0",
      access: "EL0:RW",
      traps: ["TDCC", "TDA"],
      fields: {},
      unimplemented: NO_DEBUGGER,
    },
  ],
} as const satisfies SysregRoom;

/** The register pairs of `breakpoints` breakpoints and `watchpoints` watchpoints. */
export function breakpointRows(breakpoints: number, watchpoints: number): SysregRow[] {
  const common = { access: "EL1:RW", traps: ["TDA"], effect: "debug" } as const;
  const rows: SysregRow[] = [];
  for (let n = 0; n < 16; n++) {
    if (n < breakpoints) {
      rows.push(
        { name: `DBGBVR${n}_EL1`, at: `S2_0_C0_C${n}_4`, ...common },
        {
          name: `DBGBCR${n}_EL1`,
          at: `S2_0_C0_C${n}_5`,
          ...common,
          fields: { E: 0, PMC: [2, 1], HMC: 13, SSC: [15, 14], LBN: [19, 16], BT: [23, 20] },
          res1: [[8, 5]], // BAS: no AArch32
        },
      );
    }
    if (n < watchpoints) {
      rows.push(
        { name: `DBGWVR${n}_EL1`, at: `S2_0_C0_C${n}_6`, ...common, fields: { VA: [63, 2] } },
        {
          name: `DBGWCR${n}_EL1`,
          at: `S2_0_C0_C${n}_7`,
          ...common,
          fields: {
            E: 0,
            PAC: [2, 1],
            LSC: [4, 3],
            BAS: [12, 5],
            HMC: 13,
            SSC: [15, 14],
            LBN: [19, 16],
            WT: 20,
            MASK: [28, 24],
          },
        },
      );
    }
  }
  return rows;
}
