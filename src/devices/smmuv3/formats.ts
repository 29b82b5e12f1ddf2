/**
 * Stream table entries and context descriptors, decoded from their words (IHI 0070 5.2, 5.4). What the architecture calls ILLEGAL for
 * this SMMU's features makes an entry `bad`: transactions end with C_BAD_STE or C_BAD_CD.
 */
import {
  physicalAddressSize,
  StageOneTables,
  StageTwoTables,
  setBase,
  setGeometry,
  setStartLevel,
} from "../../mmu/index.ts";
import { OUTPUT_BITS, SUBSTREAM_ID_BITS } from "./registers.ts";

/** Words of a stream table entry, and of a context descriptor. */
export const ENTRY_WORDS = 16;

/** Whose translations an entry makes (StreamWorld). */
export const WORLD_EL1 = 0;
export const WORLD_EL2 = 1;
export const WORLD_EL2_E2H = 2;

/** STE.S1DSS: transactions without a substream are terminated, bypass stage 1, or use substream 0. */
export const DSS_TERMINATE = 0;
export const DSS_BYPASS = 1;
export const DSS_SUBSTREAM_0 = 2;
/** STE.S1Fmt. */
export const CD_LINEAR = 0;
export const CD_LEAF_4K = 1;
export const CD_LEAF_64K = 2;
/** STE.EATS. */
export const ATS_NONE = 0;
export const ATS_FULL = 1;
export const ATS_SPLIT = 2;

/** PRIVCFG and INSTCFG: as the transaction says, 0 or 1. */
const OVERRIDE = 2;

export class StreamEntry {
  streamId = -1;
  bad = true;
  /** All transactions are aborted without a record. */
  abort = false;
  stageOne = false;
  stageTwo = false;
  /** Address of the context descriptor, or of their table. */
  contexts = 0;
  format = CD_LINEAR;
  /** log2 of the number of context descriptors. */
  contextBits = 0;
  dss = DSS_TERMINATE;
  world = WORLD_EL1;
  ats = ATS_NONE;
  vmid = 0;
  /** Faults of stage 2 are recorded. */
  record = false;
  readonly two = new StageTwoTables();
  #privilege = 0;
  #instruction = 0;

  privileged(incoming: boolean): boolean {
    return this.#privilege >= OVERRIDE ? this.#privilege === 3 : incoming;
  }
  instruction(incoming: boolean): boolean {
    return this.#instruction >= OVERRIDE ? this.#instruction === 3 : incoming;
  }

  /** Decodes `words[at]` on; `e2h` is SMMU_CR2.E2H. */
  decode(streamId: number, words: Int32Array, at: number, e2h: boolean): void {
    const w = (n: number) => words[at + n] as number;
    const config = (w(0) >>> 1) & 7;
    this.streamId = streamId;
    this.abort = (config & 4) === 0;
    this.stageOne = (config & 5) === 5;
    this.stageTwo = (config & 6) === 6;
    this.format = (w(0) >>> 4) & 3;
    this.contexts = (w(1) & 0xf_ffff) * 4294967296 + ((w(0) & ~63) >>> 0);
    this.contextBits = w(1) >>> 27;
    this.dss = w(2) & 3;
    this.ats = (w(2) >>> 28) & 3;
    const strw = w(2) >>> 30;
    this.world = !this.stageOne || strw === 0 ? WORLD_EL1 : e2h ? WORLD_EL2_E2H : WORLD_EL2;
    this.#privilege = (w(3) >>> 16) & 3;
    this.#instruction = (w(3) >>> 18) & 3;
    this.vmid = this.world === WORLD_EL1 ? w(4) & 0xffff : 0;
    this.record = (w(5) & (1 << 26)) !== 0;
    this.two.enabled = this.stageTwo;
    this.bad = (w(0) & 1) === 0;
    if (this.bad || this.abort) return;
    if (this.stageOne) this.bad = this.#badStageOne(w(2), strw);
    if (this.stageTwo && !this.bad) this.bad = this.#badStageTwo(w(5), w(7), w(6));
    // split-stage ATS is for both stages; 3 is reserved
    if (this.ats === 3 || (this.ats === ATS_SPLIT && !(this.stageOne && this.stageTwo))) this.bad = true;
  }

  #badStageOne(word: number, strw: number): boolean {
    const stallDisable = (word & (1 << 27)) !== 0; // S1STALLD: no stalls here
    if (strw === 1 || strw === 3 || (this.stageTwo && strw !== 0) || stallDisable) return true;
    if (this.contextBits === 0) return false;
    return this.contextBits > SUBSTREAM_ID_BITS || this.format === 3 || this.dss === 3;
  }

  #badStageTwo(control: number, baseHigh: number, baseLow: number): boolean {
    const { two } = this;
    const tg = (control >>> 14) & 3;
    const inputSize = 64 - (control & 63);
    const has = (bit: number) => (control & (1 << bit)) !== 0;
    // S2AA64, S2ENDI, S2HD, S2HA, S2S
    if (!has(19) || has(20) || has(23) || has(24) || has(25)) return true;
    if (tg === 3 || inputSize < 25 || inputSize > OUTPUT_BITS) return true;
    two.accessFlagFaults = !has(21); // S2AFFD
    two.protectWalks = has(22); // S2PTW
    two.executeByLevel = true; // IDR3.XNX
    const outputSize = Math.min(physicalAddressSize((control >>> 16) & 7), OUTPUT_BITS);
    two.outputLimit = 2 ** outputSize;
    const { range } = two;
    range.disabled = false;
    setGeometry(range, tg === 1 ? 16 : tg === 2 ? 14 : 12, inputSize);
    setStartLevel(range, (control >>> 6) & 3);
    if (range.startLevel < 0) return true;
    setBase(range, baseHigh, baseLow & ~15, outputSize);
    return range.baseTooLarge || (baseHigh & 0xf_0000) !== 0;
  }
}

export class ContextEntry {
  bad = true;
  asid = 0;
  /** Faults of stage 1 are recorded. */
  record = false;
  /** Faulting transactions are aborted; else they read as zero and writes are ignored. */
  abort = true;
  readonly one = new StageOneTables(1);

  /** Decodes `words[at]` on, for entries of `world`. */
  decode(words: Int32Array, at: number, world: number): void {
    const w = (n: number) => words[at + n] as number;
    const has = (bit: number) => (w(1) & (1 << bit)) !== 0;
    const { one } = this;
    this.asid = world === WORLD_EL2 ? 0 : w(1) >>> 16;
    this.record = has(13);
    this.abort = has(14);
    one.level = world === WORLD_EL2 ? 2 : 1;
    one.enabled = true;
    one.accessFlagFaults = !has(3);
    one.wxn = has(4);
    one.privilegedNever = has(8) && world !== WORLD_EL2;
    one.mairLow = w(6);
    one.mairHigh = w(7);
    const outputSize = Math.min(physicalAddressSize(w(1) & 7), OUTPUT_BITS);
    one.outputLimit = 2 ** outputSize;
    const { lower, upper } = one;
    lower.disabled = (w(0) & (1 << 14)) !== 0;
    upper.disabled = (w(0) & (1 << 30)) !== 0 || world === WORLD_EL2;
    lower.tbi = has(6);
    upper.tbi = has(7);
    lower.flatRights = (w(2) & 2) !== 0;
    upper.flatRights = (w(4) & 2) !== 0;
    // V, AA64; ENDI, HD, HA, S
    this.bad = (w(0) & (1 << 31)) === 0 || !has(9) || (w(0) & (1 << 15)) !== 0 || has(10) || has(11) || has(12);
    if (!this.bad && !lower.disabled) {
      this.bad = badRange(lower, [12, 16, 14, 0][(w(0) >>> 6) & 3] as number, w(0) & 63, w(3), w(2), outputSize);
    }
    if (!this.bad && !upper.disabled) {
      const size = (w(0) >>> 16) & 63;
      this.bad = badRange(upper, [0, 14, 12, 16][(w(0) >>> 22) & 3] as number, size, w(5), w(4), outputSize);
    }
  }
}

/** Sets one range of stage 1; true where its fields are reserved values. `granule` is 0 for a reserved encoding. */
function badRange(
  range: StageOneTables["lower"],
  granule: number,
  txsz: number,
  baseHigh: number,
  baseLow: number,
  outputSize: number,
): boolean {
  if (granule === 0 || txsz < 16 || txsz > 39) return true;
  setGeometry(range, granule, 64 - txsz);
  setBase(range, baseHigh, baseLow & ~15, outputSize);
  return range.baseTooLarge || (baseHigh & 0xf_0000) !== 0;
}
