/**
 * What a walk needs to know about a translation regime, decoded from its registers once after they change: TCR_ELx, TTBRn_ELx,
 * MAIR_ELx, SCTLR_ELx, HCR_EL2, VTCR_EL2, VTTBR_EL2.
 */
import {
  physicalAddressSize,
  type Range,
  StageOneTables,
  StageTwoTables,
  setBase,
  setGeometry,
  setStartLevel,
} from "../../../mmu/index.ts";
import type { Context } from "../context.ts";
import { HCR_DC, HCR_E2H, HCR_TGE, HCR_VM } from "../exceptions.ts";
import { offsetOf } from "../sysreg/table.ts";

const SCTLR = [0, offsetOf("SCTLR_EL1"), offsetOf("SCTLR_EL2")] as const;
const TCR = [0, offsetOf("TCR_EL1"), offsetOf("TCR_EL2")] as const;
const TTBR0 = [0, offsetOf("TTBR0_EL1"), offsetOf("TTBR0_EL2")] as const;
const TTBR1 = [0, offsetOf("TTBR1_EL1"), offsetOf("TTBR1_EL2")] as const;
const MAIR = [0, offsetOf("MAIR_EL1"), offsetOf("MAIR_EL2")] as const;
const HCR_EL2 = offsetOf("HCR_EL2");
const VTCR_EL2 = offsetOf("VTCR_EL2");
const VTTBR_EL2 = offsetOf("VTTBR_EL2");

const SCTLR_M = 1 << 0;
const SCTLR_A = 1 << 1;
const SCTLR_WXN = 1 << 19;

/** Stage 1 of EL1&0, or of EL2: with HCR_EL2.E2H EL2&0, whose registers are laid out as those of EL1. */
export class StageOne extends StageOneTables {
  /** Whose registers: 1 or 2. */
  readonly el: 1 | 2;
  /** All data accesses must be aligned. */
  alignmentChecked = false;

  constructor(el: 1 | 2) {
    super(el);
    this.el = el;
  }

  /** `physicalSize` is the number of physical address bits, `granules` the implemented ones as a sum of 2^log2. */
  update(context: Context, physicalSize: number, granules: number): void {
    const el = this.el;
    const host = el === 2 && (context.high(HCR_EL2) & HCR_E2H) !== 0;
    this.level = host ? 1 : el;
    const sctlr = context.low(SCTLR[el]);
    const hcr = el === 1 ? context.low(HCR_EL2) : 0;
    this.defaultCacheable = (hcr & HCR_DC) !== 0;
    this.enabled = (sctlr & SCTLR_M) !== 0 && (hcr & (HCR_DC | HCR_TGE)) === 0;
    this.alignmentChecked = (sctlr & SCTLR_A) !== 0;
    this.wxn = (sctlr & SCTLR_WXN) !== 0;
    this.mairLow = context.low(MAIR[el]);
    this.mairHigh = context.high(MAIR[el]);
    const split = this.level === 1;
    const tcr = context.low(TCR[el]);
    const tcrHigh = context.high(TCR[el]);
    const size = split ? tcrHigh & 7 : (tcr >>> 16) & 7;
    const outputSize = Math.min(physicalAddressSize(size), physicalSize);
    this.outputLimit = 2 ** outputSize;

    const lower = this.lower;
    lower.disabled = split && (tcr & (1 << 7)) !== 0;
    lower.tbi = split ? (tcrHigh & (1 << 5)) !== 0 : (tcr & (1 << 20)) !== 0;
    geometry(lower, granuleOf0((tcr >>> 14) & 3, granules), tcr & 63);
    setBaseFrom(lower, context, TTBR0[el], outputSize);
    if (!split) return;
    const upper = this.upper;
    upper.disabled = (tcr & (1 << 23)) !== 0;
    upper.tbi = (tcrHigh & (1 << 6)) !== 0;
    geometry(upper, granuleOf1((tcr >>> 30) & 3, granules), (tcr >>> 16) & 63);
    setBaseFrom(upper, context, TTBR1[el], outputSize);
  }
}

/** Stage 2 of EL1&0. */
export class StageTwo extends StageTwoTables {
  update(context: Context, physicalSize: number, granules: number): void {
    const hcr = context.low(HCR_EL2);
    this.enabled = (hcr & (HCR_VM | HCR_DC)) !== 0 && (hcr & HCR_TGE) === 0;
    this.protectWalks = (hcr & 4) !== 0;
    const vtcr = context.low(VTCR_EL2);
    const outputSize = Math.min(physicalAddressSize((vtcr >>> 16) & 7), physicalSize);
    this.outputLimit = 2 ** outputSize;
    const range = this.range;
    range.disabled = false;
    geometry(range, granuleOf0((vtcr >>> 14) & 3, granules), vtcr & 63);
    setStartLevel(range, (vtcr >>> 6) & 3);
    setBaseFrom(range, context, VTTBR_EL2, outputSize);
  }
}

/** TG0: 4, 64, 16 KiB. A granule that is reserved or not implemented behaves as 4 KiB (DDI 0487J.a D17.2.131: a choice). */
function granuleOf0(tg: number, granules: number): number {
  return implemented(tg === 1 ? 16 : tg === 2 ? 14 : 12, granules);
}
/** TG1: 16, 4, 64 KiB. */
function granuleOf1(tg: number, granules: number): number {
  return implemented(tg === 1 ? 14 : tg === 3 ? 16 : 12, granules);
}
function implemented(granule: number, granules: number): number {
  return (granules & (1 << granule)) !== 0 ? granule : 12;
}

/** TxSZ outside 16 to 39 behaves as the nearest of these (DDI 0487J.a D8.2.1: a choice). */
function geometry(range: Range, granule: number, txsz: number): void {
  setGeometry(range, granule, 64 - Math.min(Math.max(txsz, 16), 39));
}

function setBaseFrom(range: Range, context: Context, ttbr: number, outputSize: number): void {
  setBase(range, context.high(ttbr), context.low(ttbr), outputSize);
}
