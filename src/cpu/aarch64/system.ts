/**
 * The engine's import `system`: exception generating instructions, hints, barriers with an effect, MSR (immediate), SYS. DDI 0487J.a C6.2
 * under the instructions' names.
 */

import { READ, WRITE } from "../../mmu/index.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import {
  EC_BRK,
  EC_FP,
  EC_HVC,
  EC_SMC,
  EC_SP_ALIGNMENT,
  EC_SVC,
  EC_SYSTEM_REGISTER,
  EC_WFX,
  HCR_HCD,
  HCR_TSC,
  HCR_TWE,
  HCR_TWI,
} from "./exceptions.ts";
import { systemSyndrome } from "./sysreg/access.ts";
import { compileOperations, type Operation } from "./sysreg/operations.ts";
import { offsetOf } from "./sysreg/table.ts";

const SCTLR = [offsetOf("SCTLR_EL1"), offsetOf("SCTLR_EL1"), offsetOf("SCTLR_EL2")] as const;
const CPACR_EL1 = offsetOf("CPACR_EL1");
const CPTR_EL2 = offsetOf("CPTR_EL2");
const SCTLR_SA = 1 << 3;
const SCTLR_SA0 = 1 << 4;
const SCTLR_UMA = 1 << 9;
const SCTLR_DZE = 1 << 14;
const SCTLR_NTWI = 1 << 16;
const SCTLR_NTWE = 1 << 18;
const CPTR_TFP = 1 << 10;
const HCR_FB = 1 << 9;
const HCR_TDZ = 1 << 28;
/** CV 1, COND 14: "always". */
const CONDITION = 0x1e0_0000;

export class SystemInstructions {
  readonly #cpu: Cpu;
  readonly #operations: ReadonlyMap<number, Operation>;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.#operations = compileOperations(cpu.el2);
  }

  execute(kind: number): number {
    const cpu = this.#cpu;
    const { context, exceptions } = cpu;
    switch (kind) {
      case L.SYSTEM_SVC:
        return exceptions.synchronous(EC_SVC, immediate(cpu), exceptions.defaultTarget, 4);
      case L.SYSTEM_HVC:
        return this.#hvc();
      case L.SYSTEM_SMC:
        return this.#smc();
      case L.SYSTEM_BRK:
        return exceptions.debug(EC_BRK, immediate(cpu));
      case L.SYSTEM_ERET:
        return exceptions.return();
      case L.SYSTEM_WFI:
        return this.#wait(false);
      case L.SYSTEM_WFE:
        return this.#wait(true);
      case L.SYSTEM_SEV:
        cpu.cluster.sendEvent();
        return L.GO_ON;
      case L.SYSTEM_SEVL:
        context.setLow(L.EVENT, 1);
        return L.GO_ON;
      case L.SYSTEM_SYS:
        return this.#sys();
      case L.SYSTEM_MSR_IMMEDIATE:
        return this.#msrImmediate();
      case L.SYSTEM_SP_ALIGNMENT:
        return this.#stackAlignment();
      case L.SYSTEM_FP_ACCESS:
        return this.floatingPointTrap();
      default:
        // UNDEFINED, HLT and DCPSn (halting debug is not enabled), DRPS, SYSL (no encodings)
        return exceptions.undefined();
    }
  }

  #hvc(): number {
    const cpu = this.#cpu;
    const { exceptions, context } = cpu;
    if (cpu.cluster.conduit === "hvc" && context.el > 0) return cpu.cluster.psci.call(cpu);
    if (!cpu.el2 || context.el === 0 || (exceptions.hcr & HCR_HCD) !== 0) return exceptions.undefined();
    return exceptions.synchronous(EC_HVC, immediate(cpu), 2, 4);
  }

  #smc(): number {
    const cpu = this.#cpu;
    const { exceptions, context } = cpu;
    if (context.el === 0) return exceptions.undefined();
    if (context.el === 1 && (exceptions.hcr & HCR_TSC) !== 0)
      return exceptions.synchronous(EC_SMC, immediate(cpu), 2, 0);
    if (cpu.cluster.conduit === "smc") return cpu.cluster.psci.call(cpu);
    return exceptions.undefined(); // EL3 is not implemented
  }

  #wait(forEvent: boolean): number {
    const cpu = this.#cpu;
    const { context, exceptions } = cpu;
    const el = context.el;
    // an instruction that would not wait is not trapped either
    if (forEvent && context.low(L.EVENT) !== 0) {
      context.setLow(L.EVENT, 0);
      return L.GO_ON;
    }
    if (!forEvent && exceptions.wakes()) return L.GO_ON;
    const iss = CONDITION | (forEvent ? 1 : 0);
    const enabled = forEvent ? SCTLR_NTWE : SCTLR_NTWI;
    if (el === 0 && (this.#userControls & enabled) === 0) return exceptions.trap(EC_WFX, iss, 1);
    const trapped = forEvent ? HCR_TWE : HCR_TWI;
    if (el < 2 && (exceptions.hcr & trapped) !== 0 && !exceptions.isHost) return exceptions.trap(EC_WFX, iss, 2);
    cpu.nextInstruction();
    return cpu.sleep(forEvent);
  }

  /** DAIFSet, DAIFClr, SPSel; the rest belongs to later versions of the architecture. */
  #msrImmediate(): number {
    const cpu = this.#cpu;
    const { context, exceptions } = cpu;
    const word = this.#cpu.instructionWord;
    const op1 = (word >>> 16) & 7;
    const op2 = (word >>> 5) & 7;
    const crm = (word >>> 8) & 15;
    const el = context.el;
    if (op1 === 3 && (op2 === 6 || op2 === 7)) {
      if (el === 0 && (this.#userControls & SCTLR_UMA) === 0) {
        return exceptions.trap(EC_SYSTEM_REGISTER, systemSyndrome((word >>> 5) & 0xffff, word & 31, false), 1);
      }
      const daif = context.daif;
      context.setLow(L.DAIF, op2 === 6 ? daif | crm : daif & ~crm);
      if (op2 === 6) return L.GO_ON;
      cpu.stateChanged();
      if (!cpu.interruptDue()) return L.GO_ON;
      cpu.nextInstruction();
      return L.REFETCH;
    }
    if (op1 === 0 && op2 === 5 && el > 0) {
      exceptions.setLevel(el, crm & 1);
      return L.GO_ON;
    }
    return exceptions.undefined();
  }

  /** What controls EL0: SCTLR_EL1, or SCTLR_EL2 while EL0 is the host's. */
  get #userControls(): number {
    const { context, exceptions } = this.#cpu;
    return context.low(exceptions.isHost ? SCTLR[2] : SCTLR[1]);
  }

  #stackAlignment(): number {
    const { context, exceptions } = this.#cpu;
    const el = context.el;
    const sctlr = el === 0 ? this.#userControls : context.low(SCTLR[el as 1 | 2]);
    if ((sctlr & (el === 0 ? SCTLR_SA0 : SCTLR_SA)) === 0) return L.GO_ON;
    return exceptions.synchronous(EC_SP_ALIGNMENT, 0, exceptions.defaultTarget, 0);
  }

  /** A SIMD or floating-point instruction while access is off: whose control says so decides where it goes. */
  floatingPointTrap(): number {
    const { exceptions } = this.#cpu;
    const target = this.#floatingPointTarget();
    if (target === 1) return exceptions.floatingPoint(1);
    return target === 2 ? exceptions.synchronous(EC_FP, CONDITION, 2, 0) : L.GO_ON;
  }

  /** The level whose control traps SIMD and floating-point instructions of the current one, 0 where none does. */
  #floatingPointTarget(): number {
    const { context, exceptions, el2 } = this.#cpu;
    const el = context.el;
    if (el < 2 && !exceptions.isHost) {
      const fpen = (context.low(CPACR_EL1) >>> 20) & 3;
      if ((fpen & 1) === 0 || (el === 0 && fpen === 1)) return 1;
    }
    if (!el2) return 0;
    if (!exceptions.isE2h) return (context.low(CPTR_EL2) & CPTR_TFP) !== 0 ? 2 : 0;
    const fpen = (context.low(CPTR_EL2) >>> 20) & 3;
    return (fpen & 1) === 0 || (fpen === 1 && el === 0 && exceptions.isHost) ? 2 : 0;
  }

  /** Whether DC ZVA may execute at the current level. */
  get zeroEnabled(): boolean {
    const { context, exceptions } = this.#cpu;
    const el = context.el;
    if (el === 0 && (this.#userControls & SCTLR_DZE) === 0) return false;
    return context.el === 2 || (exceptions.hcr & HCR_TDZ) === 0 || exceptions.isHost;
  }

  /** Whether SIMD and floating-point instructions may execute at the current level. */
  get floatingPointEnabled(): boolean {
    return this.#floatingPointTarget() === 0;
  }

  #sys(): number {
    const cpu = this.#cpu;
    const { context, exceptions } = cpu;
    const word = this.#cpu.instructionWord;
    const encoding = (word >>> 5) & 0xffff;
    const el = context.el;
    const operation = this.#operations.get(encoding);
    if (operation === undefined || el < operation.row.level || (operation.row.level === 2 && !cpu.el2)) {
      return this.#unknown(encoding, word);
    }
    const target = cpu.registers.trapped(operation.traps, el, true);
    if (target !== 0) return exceptions.trap(EC_SYSTEM_REGISTER, systemSyndrome(encoding, word & 31, false), target);
    return this.#operate(operation.row, context.low(L.MAIL_VALUE), context.high(L.MAIL_VALUE));
  }

  #operate(row: Operation["row"], low: number, high: number): number {
    const cpu = this.#cpu;
    const el = cpu.context.el;
    switch (row.kind) {
      case "nothing":
        return L.GO_ON;
      case "touch":
        return cpu.data.touch(row.write ? WRITE : READ, high, low, el);
      case "zero":
        return cpu.data.zero(high, low);
      case "translate":
        return cpu.mmu.addressTranslate(high, low, row.target ?? 1, row.write ? WRITE : READ, row.combined ?? false);
      case "flush":
      case "flushAsid":
      case "flushAddress": {
        const regime = row.target ?? 1;
        // the operand has the page number, bits 55 to 12, in bits 43 to 0
        const pageLow = low << 12;
        const pageHigh = ((high & 0xfff) << 12) | (low >>> 20);
        const everywhere = row.broadcast === true || (el === 1 && (cpu.exceptions.hcr & HCR_FB) !== 0);
        for (const other of cpu.cluster.cpus) {
          if (other !== cpu && !everywhere) continue;
          if (row.kind === "flush") other.mmu.flush(regime);
          else if (row.kind === "flushAsid") other.mmu.flushAsid(high >>> 16);
          else other.mmu.flushAddress(regime, pageHigh, pageLow);
        }
        return L.GO_ON;
      }
    }
  }

  #unknown(encoding: number, word: number): number {
    const { context, exceptions } = this.#cpu;
    const crn = (encoding >> 7) & 15;
    // CRn 11 and 15 are IMPLEMENTATION DEFINED
    if ((crn === 11 || crn === 15) && context.el < 2 && (exceptions.hcr & (1 << 20)) !== 0) {
      return exceptions.trap(EC_SYSTEM_REGISTER, systemSyndrome(encoding, word & 31, false), 2);
    }
    return exceptions.undefined();
  }
}

/** The 16-bit immediate of an exception generating instruction. */
function immediate(cpu: Cpu): number {
  return (cpu.instructionWord >>> 5) & 0xffff;
}
