/**
 * Translation table walks: stage 1 of EL1&0 and EL2, stage 2, and both combined (DDI 0487J.a D8; pseudocode AArch64.FullTranslate),
 * for CPUs and for SMMUs, whose tables are the same (IHI 0070 3.4). Virtual addresses are two halves; physical and intermediate ones are numbers below 2^48. No state: the result object is
 * reused from walk to walk.
 */
import type { Range, StageOneTables, StageTwoTables } from "./tables.ts";

/** Kinds of access. */
export const READ = 0;
export const WRITE = 1;
export const FETCH = 2;

/** Fault status codes, ESR_ELx.ISS[5:0]; the level is added to the first five. */
export const FAULT_ADDRESS_SIZE = 0x00;
export const FAULT_TRANSLATION = 0x04;
export const FAULT_ACCESS_FLAG = 0x08;
export const FAULT_PERMISSION = 0x0c;
export const FAULT_EXTERNAL_ON_WALK = 0x14;
export const FAULT_EXTERNAL = 0x10;
export const FAULT_ALIGNMENT = 0x21;
/** No fault. The code 0 is a level 0 address size fault, hence this. */
export const NO_FAULT = -1;

/** Reads descriptors from physical memory. */
export interface DescriptorReader {
  /** Low word of the descriptor at `address`; the high word is in `high`, `failed` tells of an external abort. */
  read(address: number): number;
  high: number;
  failed: boolean;
}

/** What the last walk found. */
export class Translation {
  /** Fault status code, or NO_FAULT. */
  fault = NO_FAULT;
  /** The fault is of stage 2. */
  stage2 = false;
  /** It hit a stage 1 table walk. */
  onWalk = false;
  /** Intermediate physical address of a stage 2 fault, or of the translation. */
  ipa = 0;
  /** Physical address. */
  pa = 0;
  /** log2 of the size of the smallest mapping that covers the address. */
  size = 12;
  device = false;
  /** MAIR attribute byte, shareability, as PAR_EL1 shows them. */
  attributes = 0;
  shareability = 0;
  /** Rights of the level asked for. A walk that finds a missing right reports it in `permission`. */
  read = false;
  write = false;
  execute = false;
  /** Stage 1 calls the mapping global (nG = 0). */
  global = false;
  /**
   * Fault status code of the missing right, or NO_FAULT. Alignment faults on Device memory come before it. Where stage 1 lacks it,
   * stage 2 was not walked.
   */
  permission = NO_FAULT;
  /** The missing right is of stage 2. */
  permissionStage2 = false;
}

export class Walker {
  readonly result = new Translation();
  readonly #reader: DescriptorReader;
  // the last stage 1 or stage 2 descriptor found by #tables
  #low = 0;
  #high = 0;
  #level = 0;
  #output = 0;
  #sizeLog2 = 0;
  // rights taken away by tables on the way: bits of the descriptor's high word
  #tableBits = 0;

  constructor(reader: DescriptorReader) {
    this.#reader = reader;
  }

  /**
   * Translates (`high`, `low`) for an access of kind `access` at exception level `el` (0 for unprivileged accesses, too). `two` is null where
   * stage 2 does not apply. `limit` is 2^(physical address bits).
   */
  translate(
    one: StageOneTables,
    two: StageTwoTables | null,
    high: number,
    low: number,
    el: number,
    access: number,
    limit: number,
  ): Translation {
    const r = this.stageOneOnly(one, two, high, low, el, access, limit);
    const stage2 = two?.enabled ? two : null;
    if (r.fault !== NO_FAULT || r.permission !== NO_FAULT || stage2 === null) return r;
    this.#combine(stage2, el, access);
    return r;
  }

  /** Stage 1 alone, its table walks still through stage 2: what AT S1E* asks for. */
  stageOneOnly(
    one: StageOneTables,
    two: StageTwoTables | null,
    high: number,
    low: number,
    el: number,
    access: number,
    limit: number,
  ): Translation {
    const r = this.result;
    r.fault = NO_FAULT;
    r.permission = NO_FAULT;
    r.stage2 = false;
    r.onWalk = false;
    r.permissionStage2 = false;
    if (!one.enabled) this.#flat(one, high, low, access, limit);
    else this.#stageOne(one, two?.enabled ? two : null, high, low, el, access);
    return r;
  }

  /** Stage 1 off: the address is the output (AArch64.S1DisabledOutput). */
  #flat(one: StageOneTables, high: number, low: number, access: number, limit: number): void {
    const r = this.result;
    const range = one.level === 1 && (high & (1 << 23)) !== 0 ? one.upper : one.lower;
    const top = range.tbi ? high & 0x00ff_ffff : high >>> 0;
    const address = top * 4294967296 + (low >>> 0);
    if (address >= limit) {
      r.fault = FAULT_ADDRESS_SIZE;
      return;
    }
    r.ipa = address;
    r.pa = address;
    r.size = 48;
    r.device = access !== FETCH && !one.defaultCacheable;
    r.attributes = one.defaultCacheable ? 0xff : access === FETCH ? 0x44 : 0;
    r.shareability = one.defaultCacheable ? 0 : 2;
    r.read = true;
    r.write = true;
    r.execute = true;
    r.global = true;
  }

  #stageOne(
    one: StageOneTables,
    two: StageTwoTables | null,
    high: number,
    low: number,
    el: number,
    access: number,
  ): void {
    const r = this.result;
    const isUpper = one.level === 1 && (high & (1 << 23)) !== 0;
    const range = isUpper ? one.upper : one.lower;
    if (range.disabled || !inRange(range, high, low, isUpper)) {
      r.fault = FAULT_TRANSLATION;
      return;
    }
    const bits = range.inputSize;
    const inputHigh = bits >= 32 ? high & mask(bits - 32) : 0;
    const inputLow = bits >= 32 ? low : low & mask(bits);
    if (!this.#tables(range, inputHigh, inputLow, one.outputLimit, one.accessFlagFaults, two)) return;
    const d = this.#low;
    r.ipa = this.#output;
    r.pa = this.#output;
    r.size = this.#sizeLog2;
    const index = (d >> 2) & 7;
    r.attributes = ((index < 4 ? one.mairLow : one.mairHigh) >>> (8 * (index & 3))) & 0xff;
    r.device = (r.attributes & 0xf0) === 0;
    r.shareability = r.device ? 2 : (d >> 8) & 3;
    r.global = (d & 0x800) === 0;
    this.#rights(one, el);
    const allowed = access === READ ? r.read : access === WRITE ? r.write : r.execute;
    if (!allowed) r.permission = FAULT_PERMISSION + this.#level;
  }

  /** Stage 1 rights (AArch64.S1DirectBasePermissions, S1ApplyTablePerms). */
  #rights(one: StageOneTables, el: number): void {
    const r = this.result;
    const tables = this.#tableBits;
    const readOnly = (this.#low & 0x80) !== 0 || (tables & (1 << 30)) !== 0; // AP[2], APTable[1]
    const xn = (this.#high & (1 << 22)) !== 0 || (tables & (1 << 28)) !== 0; // UXN or XN, UXNTable
    if (one.level === 2) {
      r.read = true;
      r.write = !readOnly;
      r.execute = !xn && !(one.wxn && r.write);
      return;
    }
    const user = (this.#low & 0x40) !== 0 && (tables & (1 << 29)) === 0; // AP[1], APTable[0]
    const userWrites = user && !readOnly;
    if (el === 0) {
      r.read = user;
      r.write = userWrites;
      r.execute = !xn && !(one.wxn && userWrites);
    } else {
      const pxn = (this.#high & (1 << 21)) !== 0 || (tables & (1 << 27)) !== 0; // PXN, PXNTable
      r.read = !(one.privilegedNever && user);
      r.write = r.read && !readOnly;
      r.execute = !pxn && !userWrites && !(one.wxn && r.write);
    }
  }

  /** Puts stage 2 behind a stage 1 result. */
  #combine(two: StageTwoTables, el: number, access: number): void {
    const r = this.result;
    const { device, attributes, shareability, read, write, execute, size } = r;
    if (!this.#stageTwo(two, r.ipa, false)) return;
    r.size = Math.min(size, this.#sizeLog2);
    const s2ap = this.#low >> 6;
    r.read = read && (s2ap & 1) !== 0;
    r.write = write && (s2ap & 2) !== 0;
    r.execute = execute && this.#executable(two, el);
    const memAttr = (this.#low >> 2) & 15;
    const s2device = (memAttr & 12) === 0;
    r.device = device || s2device;
    r.attributes = combineAttributes(device, attributes, memAttr);
    r.shareability = r.device ? 2 : Math.max(shareability, (this.#low >> 8) & 3);
    const allowed = access === READ ? r.read : access === WRITE ? r.write : r.execute;
    if (allowed) return;
    r.permission = FAULT_PERMISSION + this.#level;
    r.permissionStage2 = true;
  }

  /** Translates `ipa`; false with the fault recorded. */
  #stageTwo(two: StageTwoTables, ipa: number, onWalk: boolean): boolean {
    const r = this.result;
    const range = two.range;
    r.ipa = ipa;
    const found =
      range.startLevel < 0 || ipa >= range.inputLimit
        ? this.#fail(FAULT_TRANSLATION)
        : this.#tables(range, Math.floor(ipa / 4294967296), ipa | 0, two.outputLimit, two.accessFlagFaults, null);
    if (found) {
      r.pa = this.#output;
      const device = ((this.#low >> 2) & 12) === 0;
      const readable = (this.#low & 0x40) !== 0;
      if (!onWalk || (readable && !(device && two.protectWalks))) return true;
      this.#fail(FAULT_PERMISSION + this.#level);
    }
    r.stage2 = true;
    r.onWalk = onWalk;
    r.ipa = ipa;
    return false;
  }

  /** XN[1:0] of a stage 2 descriptor: 0b00 executable, 0b01 at EL0 alone, 0b10 not, 0b11 at EL1 alone. */
  #executable(two: StageTwoTables, el: number): boolean {
    const xn = (this.#high >>> 21) & 3;
    if (!two.executeByLevel) return (xn & 2) === 0;
    return xn === 0 || xn === (el === 0 ? 1 : 3);
  }

  #fail(code: number): false {
    this.result.fault = code;
    return false;
  }

  /** Walks the tables of one stage down to a block or page; false with the fault recorded. */
  #tables(
    range: Range,
    inputHigh: number,
    inputLow: number,
    limit: number,
    accessFlagFaults: boolean,
    two: StageTwoTables | null,
  ): boolean {
    const r = this.result;
    if (range.baseTooLarge) return this.#fail(FAULT_ADDRESS_SIZE);
    const granule = range.granule;
    const stride = granule - 3;
    const strideMask = (1 << stride) - 1;
    const granuleMask = -1 << granule;
    const reader = this.#reader;
    let level = range.startLevel;
    let table = range.base;
    let tableBits = 0;
    let first = true;
    for (;;) {
      const shift = (3 - level) * stride + granule;
      // the input above `shift`: at most 16 bits at the first level, concatenated tables included
      let index = shift >= 32 ? inputHigh >>> (shift - 32) : (inputHigh << (32 - shift)) | (inputLow >>> shift);
      if (!first) index &= strideMask;
      first = false;
      let at = table + index * 8;
      if (two !== null) {
        if (!this.#stageTwo(two, at, true)) return false;
        at = r.pa;
      }
      const low = reader.read(at);
      const high = reader.high;
      if (reader.failed) return this.#fail(FAULT_EXTERNAL_ON_WALK + level);
      if ((low & 1) === 0) return this.#fail(FAULT_TRANSLATION + level);
      const isTable = (low & 2) !== 0;
      const top = (high & 0xffff) * 4294967296;
      if (isTable && level < 3) {
        table = top + ((low & granuleMask) >>> 0);
        if (table >= limit) return this.#fail(FAULT_ADDRESS_SIZE + level);
        tableBits |= high;
        level++;
        continue;
      }
      // a block at level 1 is for the 4 KiB granule alone; level 3 has no blocks
      if (!isTable && (level === 0 || level === 3 || (level === 1 && granule !== 12))) {
        return this.#fail(FAULT_TRANSLATION + level);
      }
      // blocks are 1 GiB at most: the offset lies in the low word
      const sizeMask = -1 << shift;
      const output = top + ((low & sizeMask) >>> 0);
      if (output >= limit) return this.#fail(FAULT_ADDRESS_SIZE + level);
      if ((low & 0x400) === 0 && accessFlagFaults) return this.#fail(FAULT_ACCESS_FLAG + level);
      this.#low = low;
      this.#high = high;
      this.#level = level;
      this.#output = output + ((inputLow & ~sizeMask) >>> 0);
      this.#sizeLog2 = shift;
      this.#tableBits = range.flatRights ? 0 : tableBits;
      return true;
    }
  }
}

/** Bits [top:inputSize] all equal the range's bit; top is 55 with TBI, else 63. */
function inRange(range: Range, high: number, low: number, upper: boolean): boolean {
  let h = high;
  if (range.tbi) h = upper ? high | 0xff00_0000 : high & 0x00ff_ffff;
  const expect = upper ? -1 : 0;
  const bits = range.inputSize;
  if (bits >= 32) return h >> (bits - 32) === expect;
  return h === expect && low >> bits === expect;
}

function mask(bits: number): number {
  return bits >= 32 ? -1 : (1 << bits) - 1;
}

/** The weaker of the two memory types, as a MAIR byte (DDI 0487J.a D8.6.2); Normal keeps the less cacheable of each half. */
function combineAttributes(device: boolean, attributes: number, memAttr: number): number {
  if ((memAttr & 12) === 0) {
    const kind = (memAttr & 3) << 2;
    return device ? Math.min(attributes, kind) : kind;
  }
  if (device) return attributes;
  return (half(attributes >> 4, memAttr >> 2) << 4) | half(attributes & 15, memAttr & 3);
}

/** Stage 2: 1 non-cacheable, 2 write-through, 3 write-back. */
function half(one: number, two: number): number {
  if (one === 4 || two === 1) return 4;
  if (two === 2 && one > 11) return one & ~4;
  return one;
}
