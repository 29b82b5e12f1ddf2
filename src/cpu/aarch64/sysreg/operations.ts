/**
 * System instructions (SYS, op0 = 1) as rows: cache maintenance, address translation, TLB maintenance; DDI 0487J.a C5.3 to C5.5.
 * Encodings without a row are UNDEFINED.
 */
import { encodingOf, TRAPS, type TrapName } from "./declaration.ts";
import { type CompiledTrap, compileTrap } from "./table.ts";

/** What an operation does; the fields it needs are in the row. */
export type OperationKind =
  /** Maintenance of caches that are not there, by set and way or of everything. */
  | "nothing"
  /** Maintenance by address: faults of the translation. `write`: needs the right to write. */
  | "touch"
  | "zero"
  | "translate"
  | "flush"
  | "flushAsid"
  | "flushAddress";

export interface OperationRow {
  readonly name: string;
  readonly at: string;
  /** Lowest level that may execute it. */
  readonly level: 0 | 1 | 2;
  readonly kind: OperationKind;
  readonly traps?: readonly TrapName[];
  /** "translate": level whose rights are asked for; "flush": regime, 1 for EL1&0. */
  readonly target?: 0 | 1 | 2;
  readonly write?: boolean;
  /** "translate": through stage 2 as well. */
  readonly combined?: boolean;
  /** Reaches all CPUs. */
  readonly broadcast?: boolean;
}

const TLB1 = { level: 1, target: 1, traps: ["TTLB"] } as const;
const TLB2 = { level: 2, target: 2 } as const;
/** Of EL1&0, but for the hypervisor alone. */
const TLB12 = { level: 2, target: 1 } as const;
const IS = { broadcast: true } as const;

export const OPERATIONS: readonly OperationRow[] = [
  { name: "IC IALLUIS", at: "S1_0_C7_C1_0", level: 1, kind: "nothing", traps: ["TPU"] },
  { name: "IC IALLU", at: "S1_0_C7_C5_0", level: 1, kind: "nothing", traps: ["TPU"] },
  { name: "IC IVAU", at: "S1_3_C7_C5_1", level: 0, kind: "touch", traps: ["UCI", "TPU"] },
  { name: "DC IVAC", at: "S1_0_C7_C6_1", level: 1, kind: "touch", write: true, traps: ["TPC"] },
  { name: "DC ISW", at: "S1_0_C7_C6_2", level: 1, kind: "nothing", traps: ["TSW"] },
  { name: "DC CSW", at: "S1_0_C7_C10_2", level: 1, kind: "nothing", traps: ["TSW"] },
  { name: "DC CISW", at: "S1_0_C7_C14_2", level: 1, kind: "nothing", traps: ["TSW"] },
  { name: "DC ZVA", at: "S1_3_C7_C4_1", level: 0, kind: "zero", traps: ["DZE", "TDZ"] },
  { name: "DC CVAC", at: "S1_3_C7_C10_1", level: 0, kind: "touch", traps: ["UCI", "TPC"] },
  { name: "DC CVAU", at: "S1_3_C7_C11_1", level: 0, kind: "touch", traps: ["UCI", "TPU"] },
  { name: "DC CIVAC", at: "S1_3_C7_C14_1", level: 0, kind: "touch", traps: ["UCI", "TPC"] },

  { name: "AT S1E1R", at: "S1_0_C7_C8_0", level: 1, kind: "translate", target: 1 },
  { name: "AT S1E1W", at: "S1_0_C7_C8_1", level: 1, kind: "translate", target: 1, write: true },
  { name: "AT S1E0R", at: "S1_0_C7_C8_2", level: 1, kind: "translate", target: 0 },
  { name: "AT S1E0W", at: "S1_0_C7_C8_3", level: 1, kind: "translate", target: 0, write: true },
  { name: "AT S1E2R", at: "S1_4_C7_C8_0", level: 2, kind: "translate", target: 2 },
  { name: "AT S1E2W", at: "S1_4_C7_C8_1", level: 2, kind: "translate", target: 2, write: true },
  { name: "AT S12E1R", at: "S1_4_C7_C8_4", level: 2, kind: "translate", target: 1, combined: true },
  { name: "AT S12E1W", at: "S1_4_C7_C8_5", level: 2, kind: "translate", target: 1, combined: true, write: true },
  { name: "AT S12E0R", at: "S1_4_C7_C8_6", level: 2, kind: "translate", target: 0, combined: true },
  { name: "AT S12E0W", at: "S1_4_C7_C8_7", level: 2, kind: "translate", target: 0, combined: true, write: true },

  { name: "TLBI VMALLE1IS", at: "S1_0_C8_C3_0", kind: "flush", ...TLB1, ...IS },
  { name: "TLBI VAE1IS", at: "S1_0_C8_C3_1", kind: "flushAddress", ...TLB1, ...IS },
  { name: "TLBI ASIDE1IS", at: "S1_0_C8_C3_2", kind: "flushAsid", ...TLB1, ...IS },
  { name: "TLBI VAAE1IS", at: "S1_0_C8_C3_3", kind: "flushAddress", ...TLB1, ...IS },
  { name: "TLBI VALE1IS", at: "S1_0_C8_C3_5", kind: "flushAddress", ...TLB1, ...IS },
  { name: "TLBI VAALE1IS", at: "S1_0_C8_C3_7", kind: "flushAddress", ...TLB1, ...IS },
  { name: "TLBI VMALLE1", at: "S1_0_C8_C7_0", kind: "flush", ...TLB1 },
  { name: "TLBI VAE1", at: "S1_0_C8_C7_1", kind: "flushAddress", ...TLB1 },
  { name: "TLBI ASIDE1", at: "S1_0_C8_C7_2", kind: "flushAsid", ...TLB1 },
  { name: "TLBI VAAE1", at: "S1_0_C8_C7_3", kind: "flushAddress", ...TLB1 },
  { name: "TLBI VALE1", at: "S1_0_C8_C7_5", kind: "flushAddress", ...TLB1 },
  { name: "TLBI VAALE1", at: "S1_0_C8_C7_7", kind: "flushAddress", ...TLB1 },

  { name: "TLBI IPAS2E1IS", at: "S1_4_C8_C0_1", kind: "flush", ...TLB12, ...IS },
  { name: "TLBI IPAS2LE1IS", at: "S1_4_C8_C0_5", kind: "flush", ...TLB12, ...IS },
  { name: "TLBI IPAS2E1", at: "S1_4_C8_C4_1", kind: "flush", ...TLB12 },
  { name: "TLBI IPAS2LE1", at: "S1_4_C8_C4_5", kind: "flush", ...TLB12 },
  { name: "TLBI ALLE2IS", at: "S1_4_C8_C3_0", kind: "flush", ...TLB2, ...IS },
  { name: "TLBI VAE2IS", at: "S1_4_C8_C3_1", kind: "flushAddress", ...TLB2, ...IS },
  { name: "TLBI ALLE1IS", at: "S1_4_C8_C3_4", kind: "flush", ...TLB12, ...IS },
  { name: "TLBI VALE2IS", at: "S1_4_C8_C3_5", kind: "flushAddress", ...TLB2, ...IS },
  { name: "TLBI VMALLS12E1IS", at: "S1_4_C8_C3_6", kind: "flush", ...TLB12, ...IS },
  { name: "TLBI ALLE2", at: "S1_4_C8_C7_0", kind: "flush", ...TLB2 },
  { name: "TLBI VAE2", at: "S1_4_C8_C7_1", kind: "flushAddress", ...TLB2 },
  { name: "TLBI ALLE1", at: "S1_4_C8_C7_4", kind: "flush", ...TLB12 },
  { name: "TLBI VALE2", at: "S1_4_C8_C7_5", kind: "flushAddress", ...TLB2 },
  { name: "TLBI VMALLS12E1", at: "S1_4_C8_C7_6", kind: "flush", ...TLB12 },
];

export interface Operation {
  readonly row: OperationRow;
  readonly traps: readonly CompiledTrap[];
}

/** By 16-bit encoding op0:op1:CRn:CRm:op2. */
export function compileOperations(el2: boolean): ReadonlyMap<number, Operation> {
  const out = new Map<number, Operation>();
  for (const row of OPERATIONS) {
    const encoding = encodingOf(row.at);
    if (out.has(encoding)) throw new Error(`${row.name}: encoding is taken`);
    const traps = (row.traps ?? []).map((name) => compileTrap(TRAPS[name])).filter((t) => t.target < 2 || el2);
    out.set(encoding, { row, traps });
  }
  return out;
}
