/**
 * Self-hosted debug: hardware breakpoints, watchpoints and software step as guests use them; DDI 0487J.a D2. Debug exceptions that the
 * registers ask for are found where the debugger's own stops are: breakpoints are planted into decoded code when a page is fetched,
 * watchpoints mark TLB entries. Address mismatch breakpoints (of AArch32) and reserved types never match. Choices: docs/devices/aarch64.md.
 */

import { FETCH, READ } from "../../mmu/walk.ts";
import { DAIF_D } from "./context.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import { EC_BREAKPOINT, EC_SOFTWARE_STEP, EC_WATCHPOINT, HCR_TGE } from "./exceptions.ts";
import { offsetOf, type SysregName } from "./sysreg/table.ts";

const MDSCR_EL1 = offsetOf("MDSCR_EL1");
const MDCR_EL2 = offsetOf("MDCR_EL2");
const OSLSR_EL1 = offsetOf("OSLSR_EL1");
const OSDLR_EL1 = offsetOf("OSDLR_EL1");
const CONTEXTIDR_EL1 = offsetOf("CONTEXTIDR_EL1");
const CONTEXTIDR_EL2 = offsetOf("CONTEXTIDR_EL2");
const VTTBR_EL2 = offsetOf("VTTBR_EL2");
const BVR = offsets("DBGBVR");
const BCR = offsets("DBGBCR");
const WVR = offsets("DBGWVR");
const WCR = offsets("DBGWCR");

const MDCR_TDE = 1 << 8;
const MDSCR_SS = 1 << 0;
const MDSCR_KDE = 1 << 13;
const MDSCR_MDE = 1 << 15;
const OSLK = 1 << 1;
const DLK = 1 << 0;
const ENABLED = 1;
/** Fault status of debug exceptions, ISS[5:0]. */
const DEBUG_STATUS = 0x22;
const ISS_WNR = 1 << 6;
const ISS_ISV = 1 << 24;
const ISS_EX = 1 << 6;
/** Addresses are compared up to bit 48 (D2.9.3: 52-bit addresses are not implemented). */
const HIGH_BITS = 0x1_ffff;

/** What software step has done since it was entered: nothing, an instruction, a load-exclusive. */
const STEPPED_NOTHING = 0;
const STEPPED = 1;
const STEPPED_EXCLUSIVE = 2;

/** What software step has done since it was entered is state that no register shows. */
export type StepCells = { stepped: number };

export class SelfHostedDebug {
  /** Instructions have to be looked at one by one: software step, or a breakpoint on a context alone. */
  everyInstruction = false;
  readonly #cpu: Cpu;
  readonly #cells: StepCells;
  readonly #contextAware: number;
  /** Indexes of those that are switched on; without MDSCR_EL1.MDE, or under the OS lock, none. */
  #breakpoints: readonly number[] = [];
  #watchpoints: readonly number[] = [];
  #contextBreakpoint = false;
  #wasStepping = false;
  // where the instruction under way began
  #high = 0;
  #low = 0;

  constructor(cpu: Cpu, cells: StepCells) {
    this.#cpu = cpu;
    this.#cells = cells;
    // ID_AA64DFR0_EL1.CTX_CMPs: the highest numbered are context-aware
    this.#contextAware = cpu.model.breakpoints - 2;
  }

  /** Debug exceptions are generated at `el` with those masks (AArch64.GenerateDebugExceptionsFrom). */
  enabled(el: number, daif: number): boolean {
    const { context, el2 } = this.#cpu;
    if ((context.low(OSLSR_EL1) & OSLK) !== 0 || (context.low(OSDLR_EL1) & DLK) !== 0) return false;
    const toEl2 = el2 && ((this.#cpu.exceptions.hcr & HCR_TGE) !== 0 || (context.low(MDCR_EL2) & MDCR_TDE) !== 0);
    const target = toEl2 ? 2 : 1;
    if (el < target) return true;
    return el === target && (context.low(MDSCR_EL1) & MDSCR_KDE) !== 0 && (daif & DAIF_D) === 0;
  }

  /** Software step is on at `el` (D2.12.3). */
  stepEnabled(el: number, daif: number): boolean {
    return (this.#cpu.context.low(MDSCR_EL1) & MDSCR_SS) !== 0 && this.enabled(el, daif);
  }

  /** Level, masks or controls changed. */
  update(): void {
    const { context } = this.#cpu;
    this.everyInstruction = this.#contextBreakpoint || this.stepEnabled(context.el, context.daif);
  }

  /** A debug register was written, or all of them. */
  changed(): void {
    const { context, model, cluster, mmu } = this.#cpu;
    const on =
      (context.low(MDSCR_EL1) & MDSCR_MDE) !== 0 &&
      (context.low(OSLSR_EL1) & OSLK) === 0 &&
      (context.low(OSDLR_EL1) & DLK) === 0;
    const breakpoints = on ? indexes(model.breakpoints, (n) => (context.low(at(BCR, n)) & ENABLED) !== 0) : [];
    const watchpoints = on ? indexes(model.watchpoints, (n) => (context.low(at(WCR, n)) & ENABLED) !== 0) : [];
    const replant = breakpoints.length !== 0 || this.#breakpoints.length !== 0;
    const refill = watchpoints.length !== 0 || this.#watchpoints.length !== 0;
    this.#breakpoints = breakpoints;
    this.#watchpoints = watchpoints;
    // BT with bit 0 clear is not linked, and but for 0 (and the reserved 4) a context
    this.#contextBreakpoint = breakpoints.some((n) => isContext(type(context.low(at(BCR, n)))));
    if (replant) cluster.debugger.replant();
    if (refill) mmu.flushAll();
  }

  // --- software step

  /** Takes the step exception, and returns true, where it is due; before an instruction. */
  stepPending(): boolean {
    const { context } = this.#cpu;
    this.#wasStepping = this.stepEnabled(context.el, context.daif);
    if (!this.#wasStepping || context.low(L.SS) !== 0) return false;
    const { stepped } = this.#cells;
    this.#cells.stepped = STEPPED_NOTHING;
    const iss = stepped === STEPPED_NOTHING ? 0 : ISS_ISV | (stepped === STEPPED_EXCLUSIVE ? ISS_EX : 0);
    this.#cpu.exceptions.debug(EC_SOFTWARE_STEP, iss | DEBUG_STATUS);
    return true;
  }

  /** Remembers the instruction that is to be executed. */
  before(): void {
    this.#high = this.#cpu.context.high(L.PC);
    this.#low = this.#cpu.context.low(L.PC);
  }

  /** The instruction has been executed, or has taken an exception (which has cleared PSTATE.SS by itself). */
  after(): void {
    if (!this.#wasStepping) return;
    const { context } = this.#cpu;
    context.setLow(L.SS, 0);
    const still = this.stepEnabled(context.el, context.daif);
    this.#cells.stepped = !still ? STEPPED_NOTHING : this.#wasLoadExclusive() ? STEPPED_EXCLUSIVE : STEPPED;
  }

  /** An exception return: what follows has not been stepped yet. */
  returned(): void {
    this.#cells.stepped = STEPPED_NOTHING;
  }

  #wasLoadExclusive(): boolean {
    const { mmu, context, cluster } = this.#cpu;
    const set = mmu.set(context.el);
    const entry = set.find(FETCH, this.#high, this.#low);
    if (entry < 0) return false;
    const word = cluster.engine.codeCache.wordOf(set.addend(entry) + (this.#low & 0xfff) * 4);
    // size 001000 0 1 o1: LDXR, LDAXR, and with o1 LDXP, LDAXP, whose size is 1x (C4.1.88)
    return (word & 0x3fc0_0000) === 0x0840_0000 && ((word & 0x0020_0000) === 0 || word >>> 31 === 1);
  }

  // --- breakpoints

  /** Calls `found` with the low address of each breakpoint in the page at (high, low). */
  eachIn(high: number, low: number, found: (low: number) => void): void {
    const { context } = this.#cpu;
    for (const n of this.#breakpoints) {
      const bvr = at(BVR, n);
      if (type(context.low(at(BCR, n))) > 1 || ((context.high(bvr) ^ high) & HIGH_BITS) !== 0) continue;
      if ((context.low(bvr) ^ low) >>> 12 === 0) found(context.low(bvr) & ~3);
    }
  }

  /** True, with the exception taken, where a breakpoint matches the instruction at PC (AArch64.BreakpointMatch). */
  breakpoint(): boolean {
    if (this.#breakpoints.length === 0) return false;
    const { context, exceptions } = this.#cpu;
    if (!this.enabled(context.el, context.daif)) return false;
    if (!this.#breakpoints.some((n) => this.#matches(n))) return false;
    exceptions.debug(EC_BREAKPOINT, DEBUG_STATUS);
    return true;
  }

  #matches(n: number): boolean {
    const { context } = this.#cpu;
    const control = context.low(at(BCR, n));
    const bt = type(control);
    if (!this.#state(control, context.el)) return false;
    if (isContext(bt)) return this.#context(n);
    if (bt > 1) return false; // linked contexts match with others alone; the rest is reserved
    const bvr = at(BVR, n);
    if (((context.low(bvr) ^ context.low(L.PC)) & ~3) !== 0) return false;
    if (((context.high(bvr) ^ context.high(L.PC)) & HIGH_BITS) !== 0) return false;
    return bt === 0 || this.#linked((control >>> 16) & 15);
  }

  /** Breakpoint `n` is a linked one and its context is the current one. */
  #linked(n: number): boolean {
    if (n >= this.#cpu.model.breakpoints) return false;
    const control = this.#cpu.context.low(at(BCR, n));
    const bt = type(control);
    return (control & ENABLED) !== 0 && (bt & 1) !== 0 && isContext(bt & ~1) && this.#context(n);
  }

  /** What context-aware breakpoint `n` names is the current context (AArch64.BreakpointValueMatch). */
  #context(n: number): boolean {
    if (n < this.#contextAware) return false;
    const { context, el2, exceptions, cluster } = this.#cpu;
    const el = context.el;
    const bt = type(context.low(at(BCR, n)));
    const value = at(BVR, n);
    const host = exceptions.isHost;
    if (bt >= 12) {
      // CONTEXTIDR_EL2, in BVR's upper half; with it, or alone
      if (!cluster.hasVhe || context.high(value) !== context.low(CONTEXTIDR_EL2)) return false;
      if (bt < 14) return true;
    }
    if (bt === 6 || bt === 7 || bt >= 14) {
      return cluster.hasVhe && el < 2 && !host && context.low(value) === context.low(CONTEXTIDR_EL1);
    }
    if ((bt & 2) !== 0) {
      const ofHost = host || (el === 2 && exceptions.isE2h);
      if (el === 2 && !ofHost) return false;
      if (context.low(value) !== context.low(ofHost ? CONTEXTIDR_EL2 : CONTEXTIDR_EL1)) return false;
    }
    if (bt < 8) return true;
    if (!el2 || el > 1 || host) return false;
    return (context.high(value) & 0xff) === ((context.high(VTTBR_EL2) >>> 16) & 0xff);
  }

  /**
   * The level is one that HMC, SSC and PMC or PAC select (AArch64.StateMatch). Without EL3 and secure state just these combinations
   * are not reserved; reserved ones never match.
   */
  #state(control: number, el: number): boolean {
    const hmc = (control & (1 << 13)) !== 0;
    const ssc = (control >>> 14) & 3;
    const pxc = (control >>> 1) & 3;
    if (!hmc) return ssc === 0 && ((el === 1 && (pxc & 1) !== 0) || (el === 0 && (pxc & 2) !== 0));
    if (!this.#cpu.el2) return false;
    if (ssc === 3) return pxc === 0 && el === 2;
    return ssc === 0 && (pxc & 1) !== 0 && (el > 0 || pxc === 3);
  }

  // --- watchpoints

  /** A watchpoint that is switched on may match in the page of (high, low). */
  watches(high: number, low: number): boolean {
    const { context } = this.#cpu;
    return this.#watchpoints.some((n) => {
      const wvr = at(WVR, n);
      const mask = Math.max((context.low(at(WCR, n)) >>> 24) & 31, 12);
      return ((context.high(wvr) ^ high) & HIGH_BITS) === 0 && above(context.low(wvr) ^ low, mask) === 0;
    });
  }

  /** True, with the exception taken and its status left with the CPU, where an access hits a watchpoint. */
  watch(access: number, high: number, low: number, size: number, el: number, iss: number): boolean {
    if (this.#watchpoints.length === 0) return false;
    const cpu = this.#cpu;
    const { context, exceptions } = cpu;
    if (!this.enabled(context.el, context.daif)) return false;
    let first = size;
    for (const n of this.#watchpoints) {
      const control = context.low(at(WCR, n));
      if ((control & (access === READ ? 1 << 3 : 1 << 4)) === 0 || !this.#state(control, el)) continue;
      if ((control & (1 << 20)) !== 0 && !this.#linked((control >>> 16) & 15)) continue;
      for (let i = 0; i < first; i++) if (this.#watchesByte(n, high, low, i)) first = i;
    }
    if (first === size) return false;
    // the first byte of the access that is watched
    const address = (low >>> 0) + first;
    exceptions.setDebugAddress(address | 0, address > 0xffff_ffff ? (high + 1) | 0 : high);
    cpu.leaveWith(exceptions.debug(EC_WATCHPOINT, DEBUG_STATUS | iss | (access === READ ? 0 : ISS_WNR)));
    return true;
  }

  /** AArch64.WatchpointByteMatch; byte selections with gaps select what they say. */
  #watchesByte(n: number, high: number, low: number, offset: number): boolean {
    const { context } = this.#cpu;
    const wvr = at(WVR, n);
    const control = context.low(at(WCR, n));
    const sum = (low >>> 0) + offset;
    const byteHigh = sum > 0xffff_ffff ? (high + 1) | 0 : high;
    if (((context.high(wvr) ^ byteHigh) & HIGH_BITS) !== 0) return false;
    const mask = (control >>> 24) & 31;
    const bas = (control >>> 5) & 0xff;
    if (mask > 2) return bas === 0xff && above(context.low(wvr) ^ sum, mask) === 0; // BAS must be all ones
    const bottom = (context.low(wvr) & 4) !== 0 ? 2 : 3;
    return (
      mask === 0 && above(context.low(wvr) ^ sum, bottom) === 0 && (bas & (1 << (sum & ((1 << bottom) - 1)))) !== 0
    );
  }
}

/** DBGBCR.BT. */
function type(control: number): number {
  return (control >>> 20) & 15;
}
/** An unlinked type that is a context: CONTEXTIDR, VMID, and those of VHE. */
function isContext(bt: number): boolean {
  return (bt & 1) === 0 && bt !== 0 && bt !== 4;
}
function above(bits: number, shift: number): number {
  return bits >>> shift;
}
function at(list: readonly number[], n: number): number {
  return list[n] as number;
}
function offsets(name: "DBGBVR" | "DBGBCR" | "DBGWVR" | "DBGWCR"): number[] {
  return Array.from({ length: 16 }, (_, n) => offsetOf(`${name}${n}_EL1` as SysregName));
}
function indexes(count: number, keep: (n: number) => boolean): number[] {
  return Array.from({ length: count }, (_, n) => n).filter(keep);
}
