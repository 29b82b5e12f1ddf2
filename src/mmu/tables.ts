/**
 * What a walk needs to know about the translation tables of each stage (DDI 0487J.a D8), whoever decoded it: a CPU from TCR_ELx and
 * its neighbours, an SMMU from context descriptors and stream table entries.
 */

/** One table base with the geometry that belongs to it. */
export interface Range {
  /** log2 of the granule: 12, 14 or 16. */
  granule: number;
  /** Bits of the input address, and 2 to that power. */
  inputSize: number;
  inputLimit: number;
  /** Level at which the walk starts; negative where the geometry is not valid. */
  startLevel: number;
  /** Physical (or intermediate) address of the first table. */
  base: number;
  /** The base has bits above the output size. */
  baseTooLarge: boolean;
  /** Walks are disabled (EPDn). */
  disabled: boolean;
  /** The top byte of addresses is ignored. */
  tbi: boolean;
  /** Rights in table descriptors are ignored (HPDn, HADn). */
  flatRights: boolean;
}

function emptyRange(): Range {
  return {
    granule: 12,
    inputSize: 48,
    inputLimit: 2 ** 48,
    startLevel: 0,
    base: 0,
    baseTooLarge: false,
    disabled: true,
    tbi: false,
    flatRights: false,
  };
}

/** Tables of stage 1. */
export class StageOneTables {
  /** 1 for EL1&0, and for EL2&0; 2 for EL2 alone, which has one range and one privilege. */
  level: number;
  enabled = false;
  wxn = false;
  /** Privileged data accesses to what unprivileged ones may reach fail. */
  privilegedNever = false;
  /** With stage 1 off: data is Normal Write-Back instead of Device. */
  defaultCacheable = false;
  /** Descriptors whose access flag is 0 fault. */
  accessFlagFaults = true;
  /** Exclusive upper bound of output addresses. */
  outputLimit = 2 ** 48;
  mairLow = 0;
  mairHigh = 0;
  readonly lower = emptyRange();
  /** Of the upper half of the address space; EL2 alone has none. */
  readonly upper = emptyRange();

  constructor(level: number) {
    this.level = level;
  }
}

/** Tables of stage 2. */
export class StageTwoTables {
  enabled = false;
  /** Walks of stage 1 into Device memory are permission faults (HCR_EL2.PTW, STE.S2PTW). */
  protectWalks = false;
  /** Descriptors whose access flag is 0 fault. */
  accessFlagFaults = true;
  /** XN[1:0] says for each exception level whether memory is executed (FEAT_XNX); else XN[1] alone. */
  executeByLevel = false;
  outputLimit = 2 ** 48;
  readonly range = emptyRange();
}

/** Bits of the physical address by the encoding of TCR_ELx.IPS, PS, SMMU_IDR5.OAS; reserved ones behave as the largest. */
export function physicalAddressSize(encoding: number): number {
  return [32, 36, 40, 42, 44, 48][encoding] ?? 48;
}

/** Sets granule and start level of a stage 1 range with `inputSize` bits of input address. */
export function setGeometry(range: Range, granule: number, inputSize: number): void {
  range.granule = granule;
  range.inputSize = inputSize;
  range.inputLimit = 2 ** inputSize;
  range.startLevel = 4 - Math.ceil((inputSize - granule) / (granule - 3));
}

/**
 * Sets the start level of a stage 2 range, whose geometry is set, by SL0; negative where it does not fit. The first table may be up to 16
 * concatenated ones; its index has 1 to stride + 4 bits (DDI 0487J.a D8.2.2).
 */
export function setStartLevel(range: Range, sl0: number): void {
  const level = range.granule === 12 ? 2 - sl0 : 3 - sl0;
  const stride = range.granule - 3;
  const indexBits = range.inputSize - ((3 - level) * stride + range.granule);
  range.startLevel = sl0 === 3 || indexBits < 1 || indexBits > stride + 4 ? -1 : level;
}

/** Sets the base from a TTBR's bits 47:0, aligned to the size of the first table. */
export function setBase(range: Range, high: number, low: number, outputSize: number): void {
  const full = (high & 0xffff) * 4294967296 + (low >>> 0);
  const stride = range.granule - 3;
  const lowBit = 3 + range.inputSize - ((3 - Math.max(range.startLevel, 0)) * stride + range.granule);
  const align = 2 ** Math.max(lowBit, 3);
  range.base = full - (full % align);
  range.baseTooLarge = range.base >= 2 ** outputSize;
}
