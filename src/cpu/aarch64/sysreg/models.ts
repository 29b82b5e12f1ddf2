/**
 * CPU models: identification registers with the real part's MIDR and caches, and feature registers that say exactly what is
 * implemented here. Real values: Cortex-A57 TRM DDI 0488H 4.3, Cortex-A53 TRM DDI 0500J 4.3. Differences, all of them
 * things this model does not have: AArch32 (ID_AA64PFR0_EL1 0x2222, MVFRn, ID_*), mixed endianness and secure memory
 * (ID_AA64MMFR0_EL1 0x1124 and 0x1122), EL3.
 */
import type { Feature } from "./declaration.ts";

export interface CpuModel {
  /** QEMU's name for it, as in `-cpu`. */
  readonly name: string;
  /** The device tree's. */
  readonly compatible: string;
  readonly features: readonly Feature[];
  readonly breakpoints: number;
  readonly watchpoints: number;
  /** Identification registers; those not named are zero. */
  readonly values: { readonly [name: string]: number };
  /** CCSIDR_EL1 by CSSELR_EL1: level 1 data, level 1 instruction, level 2 unified. */
  readonly caches: readonly [number, number, number];
}

const CORTEX = {
  features: ["CortexA5x", "PMU"],
  breakpoints: 6,
  watchpoints: 4,
} as const;

const COMMON_VALUES = {
  ID_AA64PFR0_EL1: 0x0000_0011, // EL0, EL1: AArch64 only; EL2 is added where it is there; FP and Advanced SIMD: implemented
  ID_AA64DFR0_EL1: 0x1030_5106, // CTX_CMPs 1, WRPs 3, BRPs 5, PMUv3, no trace, Armv8 debug
  PMCEID0_EL0: 0x4002_0f01, // CHAIN, CPU_CYCLES, CID_WRITE_RETIRED, EXC_RETURN, EXC_TAKEN, INST_RETIRED, SW_INCR
  ID_AA64ISAR0_EL1: 0x0001_1120, // CRC32, SHA-256, SHA-1, AES with PMULL
  CLIDR_EL1: 0x0a20_0023,
  DCZID_EL0: 4, // 64 bytes
} as const;

export const CPU_MODELS: readonly CpuModel[] = [
  {
    name: "cortex-a53",
    compatible: "arm,cortex-a53",
    ...CORTEX,
    values: {
      ...COMMON_VALUES,
      MIDR_EL1: 0x410f_d034,
      PMCR_EL0: 0x4103_3040, // Arm, Cortex-A53, 6 counters, LC
      CTR_EL0: 0x8444_8004,
      ID_AA64MMFR0_EL1: 0x0000_0022, // 16-bit ASIDs, 40-bit physical addresses, 4 and 64 KiB granules
    },
    caches: [0x700f_e01a, 0x201f_e00a, 0x707f_e07a],
  },
  {
    name: "cortex-a57",
    compatible: "arm,cortex-a57",
    ...CORTEX,
    values: {
      ...COMMON_VALUES,
      MIDR_EL1: 0x411f_d070,
      PMCR_EL0: 0x4101_3040, // Arm, Cortex-A57
      CTR_EL0: 0x8444_c004,
      ID_AA64MMFR0_EL1: 0x0000_0024, // 44-bit physical addresses
    },
    caches: [0x701f_e00a, 0x201f_e012, 0x70ff_e07a],
  },
  {
    name: "max",
    compatible: "arm,armv8",
    features: ["PMU", "VHE"],
    breakpoints: 6,
    watchpoints: 4,
    values: {
      ...COMMON_VALUES,
      PMCR_EL0: 0x0000_3040,
      ID_AA64ISAR0_EL1: 0x1021_1120, // RDM and LSE (Atomic 2) besides
      MIDR_EL1: 0x000f_0410, // implementer 0: reserved for software use; part 0x041
      CTR_EL0: 0x8444_c004,
      ID_AA64DFR0_EL1: 0x1030_5107, // Armv8 debug with VHE
      ID_AA64MMFR1_EL1: 0x0000_0100, // VH
      ID_AA64MMFR0_EL1: 0x0010_0025, // 48-bit physical addresses, and the 16 KiB granule
    },
    caches: [0x701f_e00a, 0x201f_e012, 0x70ff_e07a],
  },
];

/** The model of that name, or undefined. */
export function cpuModel(name: string): CpuModel | undefined {
  return CPU_MODELS.find((m) => m.name === name);
}

/** Features that give instruction rows of their own, where not every model has them: field of ID_AA64ISAR0_EL1, least value. */
const OPTIONAL_INSTRUCTIONS = [
  ["LSE", 20, 2],
  ["RDM", 28, 1],
] as const;

/** Features of instruction rows (`isa/`) that the model's identification registers do not report. */
export function absentInstructions(model: CpuModel): ReadonlySet<string> {
  const isar0 = model.values["ID_AA64ISAR0_EL1"] ?? 0;
  const absent = OPTIONAL_INSTRUCTIONS.filter(([, shift, least]) => ((isar0 >>> shift) & 15) < least);
  return new Set(absent.map(([feature]) => feature));
}
