/**
 * Exception entry and return, syndromes and interrupt routing for EL0 to EL2 in AArch64 state: DDI 0487J.a D1.3 and the
 * pseudocode AArch64.TakeException, AArch64.ExceptionReturn (J1.1). EL3 is not implemented; levels are numbers throughout, so that
 * nothing here would have to change its shape for it.
 */

import { DAIF_A, DAIF_D, DAIF_F, DAIF_I, SPSR_IL, SPSR_SS } from "./context.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import { offsetOf } from "./sysreg/table.ts";

/** Exception classes, ESR_ELx.EC. Those in pairs are "from a lower level"; add 1 for "from the same level". */
export const EC_UNKNOWN = 0x00;
export const EC_WFX = 0x01;
export const EC_FP = 0x07;
export const EC_ILLEGAL_STATE = 0x0e;
export const EC_SVC = 0x15;
export const EC_HVC = 0x16;
export const EC_SMC = 0x17;
export const EC_SYSTEM_REGISTER = 0x18;
export const EC_INSTRUCTION_ABORT = 0x20;
export const EC_PC_ALIGNMENT = 0x22;
export const EC_DATA_ABORT = 0x24;
export const EC_SP_ALIGNMENT = 0x26;
export const EC_SERROR = 0x2f;
export const EC_BREAKPOINT = 0x30;
export const EC_SOFTWARE_STEP = 0x32;
export const EC_WATCHPOINT = 0x34;
export const EC_BRK = 0x3c;

/** Offsets of vectors within a group. */
export const VECTOR_SYNCHRONOUS = 0x000;
export const VECTOR_IRQ = 0x080;
export const VECTOR_FIQ = 0x100;
export const VECTOR_SERROR = 0x180;

/** HCR_EL2, low word. */
export const HCR_VM = 1 << 0;
export const HCR_PTW = 1 << 2;
export const HCR_FMO = 1 << 3;
export const HCR_IMO = 1 << 4;
export const HCR_AMO = 1 << 5;
export const HCR_VF = 1 << 6;
export const HCR_VI = 1 << 7;
export const HCR_VSE = 1 << 8;
export const HCR_DC = 1 << 12;
export const HCR_TWI = 1 << 13;
export const HCR_TWE = 1 << 14;
export const HCR_TSC = 1 << 19;
export const HCR_TGE = 1 << 27;
export const HCR_HCD = 1 << 29;
/** HCR_EL2, high word. */
export const HCR_E2H = 1 << 2;

const MDCR_TDE = 1 << 8;

const BANKED_SP = [offsetOf("SP_EL0"), offsetOf("SP_EL1"), offsetOf("SP_EL2")] as const;
const ELR = [0, offsetOf("ELR_EL1"), offsetOf("ELR_EL2")] as const;
const SPSR = [0, offsetOf("SPSR_EL1"), offsetOf("SPSR_EL2")] as const;
const ESR = [0, offsetOf("ESR_EL1"), offsetOf("ESR_EL2")] as const;
const FAR = [0, offsetOf("FAR_EL1"), offsetOf("FAR_EL2")] as const;
const VBAR = [0, offsetOf("VBAR_EL1"), offsetOf("VBAR_EL2")] as const;
const HCR_EL2 = offsetOf("HCR_EL2");
const HPFAR_EL2 = offsetOf("HPFAR_EL2");
const MDCR_EL2 = offsetOf("MDCR_EL2");

/** What interrupt, if any, would be taken now. */
export const NO_INTERRUPT = 0;
export const TAKE_FIQ = 1;
export const TAKE_IRQ = 2;
export const TAKE_VIRTUAL_FIQ = 3;
export const TAKE_VIRTUAL_IRQ = 4;
export const TAKE_VIRTUAL_SERROR = 5;

export class Exceptions {
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** HCR_EL2's low word, 0 where EL2 is not implemented. */
  get hcr(): number {
    return this.#cpu.context.low(HCR_EL2);
  }

  /** HCR_EL2.E2H: EL2 has the registers and the translation regime of a host kernel (D8.1.3). */
  get isE2h(): boolean {
    return (this.#cpu.context.high(HCR_EL2) & HCR_E2H) !== 0;
  }
  /** HCR_EL2.E2H and TGE: EL0 is the host's. */
  get isHost(): boolean {
    return this.isE2h && (this.hcr & HCR_TGE) !== 0;
  }

  /** Where a synchronous exception that EL1 would handle goes from the current level. */
  get defaultTarget(): number {
    const el = this.#cpu.context.el;
    if (el === 2) return 2;
    return el === 0 && (this.hcr & HCR_TGE) !== 0 ? 2 : 1;
  }

  /** Target of debug exceptions of the current level (DDI 0487J.a D2.8). */
  get debugTarget(): number {
    const { context, el2 } = this.#cpu;
    if (context.el === 2) return 2;
    return el2 && ((this.hcr & HCR_TGE) !== 0 || (context.low(MDCR_EL2) & MDCR_TDE) !== 0) ? 2 : 1;
  }

  /**
   * Takes a synchronous exception of class `ec` to `target`. The preferred return address is PC + `advance`: 0 to run the
   * instruction again, 4 to go on behind it. Adds the instruction to the count, so that nothing loops uncounted.
   */
  synchronous(ec: number, iss: number, target: number, advance: number): number {
    const context = this.#cpu.context;
    // the instruction length bit: all A64 instructions are 32 bits long, and it is 1 wherever it means nothing
    context.set(ESR[target] as number, (ec << 26) | (1 << 25) | iss, 0);
    // SVC, HVC and SMC have been executed, so a step is used up; an instruction that faults is to be stepped still
    if (advance !== 0) context.setLow(L.SS, 0);
    this.#enter(target, VECTOR_SYNCHRONOUS, advance);
    return target === 2 ? this.#cpu.cluster.el2Status : L.REFETCH;
  }

  undefined(): number {
    return this.synchronous(EC_UNKNOWN, 0, this.defaultTarget, 0);
  }

  /** A trap of the current instruction to `target` 1 or 2; those to EL1 go to EL2 while HCR_EL2.TGE is set. */
  trap(ec: number, iss: number, target: number): number {
    const to = target === 1 ? this.defaultTarget : target;
    return this.synchronous(ec, iss, to, 0);
  }

  /** A SIMD or floating-point instruction trapped to `target`; its class is "unknown" where TGE reroutes it. */
  floatingPoint(target: number): number {
    if (target === 1 && !this.isHost && this.defaultTarget === 2 && this.#cpu.context.el < 2) return this.undefined();
    return this.synchronous(EC_FP, 0x1e0_0000, target === 1 ? this.defaultTarget : target, 0);
  }

  /**
   * An instruction or data abort, or PC alignment fault: like `synchronous`, with the faulting address in FAR. `ec` is that of
   * the lower level; EC_PC_ALIGNMENT has no pair.
   */
  abort(ec: number, iss: number, target: number, addressLow: number, addressHigh: number): number {
    const context = this.#cpu.context;
    context.set(FAR[target] as number, addressLow, addressHigh);
    const same = context.el === target && ec !== EC_PC_ALIGNMENT ? 1 : 0;
    return this.synchronous(ec + same, iss, target, 0);
  }

  /** HPFAR_EL2 from an intermediate physical address. */
  setIntermediateAddress(ipa: number): void {
    const page = Math.floor(ipa / 4096);
    this.#cpu.context.set(HPFAR_EL2, page << 4, Math.floor(page / 0x1000_0000) | 0);
  }

  /** FAR of the level that debug exceptions go to. */
  setDebugAddress(low: number, high: number): void {
    this.#cpu.context.set(FAR[this.debugTarget] as number, low, high);
  }

  /** BRK, watchpoints and the like: routed as debug exceptions. */
  debug(ec: number, iss: number): number {
    const target = this.debugTarget;
    const paired = ec !== EC_BRK;
    return this.synchronous(ec + (paired && this.#cpu.context.el === target ? 1 : 0), iss, target, 0);
  }

  /** ERET. */
  return(): number {
    const { context } = this.#cpu;
    const el = context.el;
    if (el === 0) return this.undefined();
    const spsr = context.low(SPSR[el] as number);
    context.copy(L.PC, ELR[el] as number);
    this.#cpu.countInstruction();
    const { pmu } = this.#cpu;
    if (pmu.active) pmu.exceptionReturned();
    context.set(L.EXCLUSIVE_ADDRESS, -1, -1);
    // the level that returns decides whether software step is switched on for what follows
    const { selfHosted } = this.#cpu;
    const stepWasOff = !selfHosted.stepEnabled(el, context.daif);
    selfHosted.returned();
    context.setLow(L.DAIF, (spsr >>> 6) & 15);
    context.nzcv = spsr;
    if (this.#illegal(spsr)) {
      context.setLow(L.IL, 1);
      context.setLow(L.SS, 0);
      this.#cpu.stateChanged();
      return this.illegalState();
    }
    context.setLow(L.IL, (spsr & SPSR_IL) === 0 ? 0 : 1);
    this.setLevel((spsr >> 2) & 3, spsr & 1);
    const step = (spsr & SPSR_SS) !== 0 && stepWasOff && selfHosted.stepEnabled(context.el, context.daif);
    context.setLow(L.SS, step ? 1 : 0);
    this.#cpu.stateChanged();
    if (pmu.active) pmu.levelChanged();
    if (context.low(L.IL) !== 0) return this.illegalState();
    return L.REFETCH;
  }

  /** Illegal Execution state exception, unless PC alignment comes first. */
  illegalState(): number {
    const context = this.#cpu.context;
    if ((context.low(L.PC) & 3) !== 0) return L.REFETCH;
    return this.synchronous(EC_ILLEGAL_STATE, 0, this.defaultTarget, 0);
  }

  /** Conditions of IllegalExceptionReturn (DDI 0487J.a D1.3.6) that can occur without AArch32 and EL3. */
  #illegal(spsr: number): boolean {
    const { context, el2 } = this.#cpu;
    const target = (spsr >> 2) & 3;
    if ((spsr & 0x12) !== 0) return true; // M[4]: AArch32; M[1] is RES0
    if (target > context.el || (target === 2 && !el2)) return true;
    if (target === 0 && (spsr & 1) !== 0) return true;
    return target === 1 && (this.hcr & HCR_TGE) !== 0;
  }

  /** Makes the stack pointer of (`el`, `spsel`) the current one. */
  setLevel(el: number, spsel: number): void {
    const context = this.#cpu.context;
    context.copy(this.#bank(), L.SP);
    context.setLow(L.EL, el);
    context.setLow(L.SPSEL, el === 0 ? 0 : spsel);
    context.copy(L.SP, this.#bank());
  }

  /** Where the current stack pointer is kept while it is not current. */
  #bank(): number {
    const context = this.#cpu.context;
    return BANKED_SP[context.low(L.SPSEL) === 0 ? 0 : context.el] as number;
  }

  /** True when the stack pointer of `el` is the current one, so that its banked copy is stale. */
  isCurrentStack(el: number): boolean {
    return this.#bank() === BANKED_SP[el];
  }

  #enter(target: number, vector: number, advance: number): void {
    const { context, pmu } = this.#cpu;
    const spsr = context.pstate;
    const el = context.el;
    if (pmu.active) pmu.exceptionTaken(advance !== 0);
    const group = el < target ? 0x400 : context.low(L.SPSEL) !== 0 ? 0x200 : 0;
    const low = context.low(L.PC);
    const returnLow = (low + advance) | 0;
    context.set(
      ELR[target] as number,
      returnLow,
      advance !== 0 && returnLow >>> 0 < low >>> 0 ? (context.high(L.PC) + 1) | 0 : context.high(L.PC),
    );
    context.set(SPSR[target] as number, spsr, 0);
    const esr = ESR[target] as number;
    const far = FAR[target] as number;
    const elr = ELR[target] as number;
    this.#cpu.recent.exception(
      this.#cpu.localTime,
      el,
      target,
      vector,
      context.low(esr),
      context.high(elr),
      context.low(elr),
      context.high(far),
      context.low(far),
    );
    this.setLevel(target, 1);
    context.setLow(L.DAIF, DAIF_D | DAIF_A | DAIF_I | DAIF_F);
    context.setLow(L.IL, 0);
    context.setLow(L.SS, 0);
    const vbar = VBAR[target] as number;
    context.set(L.PC, context.low(vbar) | (group + vector), context.high(vbar));
    this.#cpu.countInstruction();
    this.#cpu.stateChanged();
    if (pmu.active) pmu.levelChanged();
  }

  /** The interrupt that would be taken at this instant, by level, mask and route (DDI 0487J.a D1.3.4, G1 excluded). */
  pending(): number {
    const cpu = this.#cpu;
    const { context } = cpu;
    const el = context.el;
    const daif = context.daif;
    const hcr = this.hcr;
    const tge = hcr & HCR_TGE;
    // PSTATE masks what goes to a higher level only for EL0 of a host (D1.3.6.2)
    const from = el === 0 && tge !== 0 && this.isE2h ? 2 : el;
    if (cpu.fiqLevel && taken(from, (hcr & HCR_FMO) | tge, daif & DAIF_F)) return TAKE_FIQ;
    if (cpu.irqLevel && taken(from, (hcr & HCR_IMO) | tge, daif & DAIF_I)) return TAKE_IRQ;
    if (el === 2 || tge !== 0) return NO_INTERRUPT;
    const virtualFiq = cpu.virtualFiqLevel || (hcr & HCR_VF) !== 0;
    if (virtualFiq && (hcr & HCR_FMO) !== 0 && (daif & DAIF_F) === 0) return TAKE_VIRTUAL_FIQ;
    const virtualIrq = cpu.virtualIrqLevel || (hcr & HCR_VI) !== 0;
    if (virtualIrq && (hcr & HCR_IMO) !== 0 && (daif & DAIF_I) === 0) return TAKE_VIRTUAL_IRQ;
    if ((hcr & HCR_VSE) !== 0 && (hcr & HCR_AMO) !== 0 && (daif & DAIF_A) === 0) return TAKE_VIRTUAL_SERROR;
    return NO_INTERRUPT;
  }

  /** Takes what `pending` returned. */
  interrupt(what: number): void {
    const { context } = this.#cpu;
    const hcr = this.hcr;
    const routed = context.el === 2 || (hcr & HCR_TGE) !== 0;
    if (what === TAKE_FIQ) this.#enter(routed || (hcr & HCR_FMO) !== 0 ? 2 : 1, VECTOR_FIQ, 0);
    else if (what === TAKE_IRQ) this.#enter(routed || (hcr & HCR_IMO) !== 0 ? 2 : 1, VECTOR_IRQ, 0);
    else if (what === TAKE_VIRTUAL_FIQ) this.#enter(1, VECTOR_FIQ, 0);
    else if (what === TAKE_VIRTUAL_IRQ) this.#enter(1, VECTOR_IRQ, 0);
    else if (what === TAKE_VIRTUAL_SERROR) {
      context.setLow(HCR_EL2, hcr & ~HCR_VSE);
      context.set(ESR[1], (EC_SERROR << 26) | (1 << 25), 0);
      this.#enter(1, VECTOR_SERROR, 0);
    }
  }

  /**
   * True when an interrupt input is high that ends WFI: physical ones whatever the masks, virtual ones where they are enabled and the
   * level is below EL2 (DDI 0487J.a D1.6.2).
   */
  wakes(): boolean {
    const cpu = this.#cpu;
    if (cpu.irqLevel || cpu.fiqLevel) return true;
    const hcr = this.hcr;
    if (cpu.context.el === 2 || (hcr & HCR_TGE) !== 0) return false;
    return (
      ((cpu.virtualFiqLevel || (hcr & HCR_VF) !== 0) && (hcr & HCR_FMO) !== 0) ||
      ((cpu.virtualIrqLevel || (hcr & HCR_VI) !== 0) && (hcr & HCR_IMO) !== 0) ||
      ((hcr & HCR_VSE) !== 0 && (hcr & HCR_AMO) !== 0)
    );
  }

  /** ISR_EL1: bits A, I, F of what is pending for this level; virtual ones where EL1 sees those. */
  status(): number {
    const cpu = this.#cpu;
    const hcr = this.hcr;
    const el1 = cpu.context.el < 2;
    let isr = 0;
    if (el1 && (hcr & HCR_AMO) !== 0) isr |= (hcr & HCR_VSE) !== 0 ? 0x100 : 0;
    if (el1 && (hcr & HCR_IMO) !== 0) isr |= cpu.virtualIrqLevel || (hcr & HCR_VI) !== 0 ? 0x80 : 0;
    else if (cpu.irqLevel) isr |= 0x80;
    if (el1 && (hcr & HCR_FMO) !== 0) isr |= cpu.virtualFiqLevel || (hcr & HCR_VF) !== 0 ? 0x40 : 0;
    else if (cpu.fiqLevel) isr |= 0x40;
    return isr;
  }
}

/** A physical interrupt: routed to EL2 it is unmaskable from below and masked by PSTATE at EL2; else EL2 never takes it. */
function taken(el: number, routedToEl2: number, masked: number): boolean {
  if (routedToEl2 !== 0) return el < 2 || masked === 0;
  return el < 2 && masked === 0;
}
