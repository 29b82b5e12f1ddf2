/** Registers whose value is computed, or whose write does more than store. Values travel in MAIL_VALUE. */
import type { Cpu } from "../cpu.ts";
import * as L from "../engine/layout.ts";
import { offsetOf, type Register } from "./table.ts";

const VPIDR_EL2 = offsetOf("VPIDR_EL2");
const VMPIDR_EL2 = offsetOf("VMPIDR_EL2");
const CSSELR_EL1 = offsetOf("CSSELR_EL1");
const SCTLR_EL1 = offsetOf("SCTLR_EL1");
const OSLSR_EL1 = offsetOf("OSLSR_EL1");
const CLAIM = offsetOf("DBGCLAIMCLR_EL1");

/** Puts the value into MAIL_VALUE; false where the stored value is the value. `peek`: for a debugger, without side effects. */
export function readHook(cpu: Cpu, register: Register, peek: boolean): boolean {
  const { context } = cpu;
  switch (register.hook) {
    case "NZCV":
      context.set(L.MAIL_VALUE, context.nzcv, 0);
      return true;
    case "DAIF":
      context.set(L.MAIL_VALUE, context.daif << 6, 0);
      return true;
    case "CurrentEL":
      context.set(L.MAIL_VALUE, context.el << 2, 0);
      return true;
    case "SPSel":
      context.set(L.MAIL_VALUE, context.low(L.SPSEL), 0);
      return true;
    case "FPCR":
      context.copy(L.MAIL_VALUE, L.FPCR);
      return true;
    case "FPSR":
      context.copy(L.MAIL_VALUE, L.FPSR);
      return true;
    case "SP_EL0":
      if (!cpu.exceptions.isCurrentStack(0)) return false;
      context.copy(L.MAIL_VALUE, L.SP);
      return true;
    case "MIDR":
      if (!cpu.el2 || context.el !== 1) return false;
      context.copy(L.MAIL_VALUE, VPIDR_EL2);
      return true;
    case "MPIDR":
      if (!cpu.el2 || context.el !== 1) return false;
      context.copy(L.MAIL_VALUE, VMPIDR_EL2);
      return true;
    case "CCSIDR":
      context.set(L.MAIL_VALUE, cacheSize(cpu, context.low(CSSELR_EL1)), 0);
      return true;
    case "ISR":
      context.set(L.MAIL_VALUE, cpu.exceptions.status(), 0);
      return true;
    case "DCZID":
      context.set(L.MAIL_VALUE, register.resetLow | (zeroProhibited(cpu) ? 16 : 0), 0);
      return true;
    case "claimSet":
      context.set(L.MAIL_VALUE, 0xff, 0); // the eight claim tags that exist
      return true;
    case "claimClear":
      return false;
    case "L2CTLR":
      context.set(L.MAIL_VALUE, (Math.min(cpu.cluster.cpus.length, 4) - 1) << 24, 0);
      return true;
    case "physicalCount":
    case "virtualCount":
    case "timerValue":
    case "timerControl":
      cpu.timer.read(register, peek ? cpu.cluster.accessTime(cpu.localTime) : cpu.observeTime());
      return true;
    default:
      return false;
  }
}

/** Writes MAIL_VALUE; false where it is simply to be stored. */
export function writeHook(cpu: Cpu, register: Register): boolean {
  const { context } = cpu;
  const low = context.low(L.MAIL_VALUE);
  switch (register.hook) {
    case "NZCV":
      context.nzcv = low;
      return true;
    case "DAIF":
      context.setLow(L.DAIF, (low >>> 6) & 15);
      cpu.stateChanged();
      return true;
    case "SPSel":
      cpu.exceptions.setLevel(context.el, low & 1);
      return true;
    case "FPCR":
      context.set(L.FPCR, low & register.maskLow, 0);
      return true;
    case "FPSR":
      context.set(L.FPSR, low & register.maskLow, 0);
      return true;
    case "SP_EL0":
      if (!cpu.exceptions.isCurrentStack(0)) return false;
      context.copy(L.SP, L.MAIL_VALUE);
      return true;
    case "OSLAR":
      context.setLow(OSLSR_EL1, (context.low(OSLSR_EL1) & ~2) | ((low & 1) << 1));
      cpu.stateChanged();
      return true;
    case "claimSet":
      context.setLow(CLAIM, context.low(CLAIM) | (low & 0xff));
      return true;
    case "claimClear":
      context.setLow(CLAIM, context.low(CLAIM) & ~low);
      return true;
    case "L2CTLR":
      return true;
    case "timerValue":
    case "timerControl":
    case "timerCompare":
      cpu.timer.write(register);
      return true;
    default:
      return false;
  }
}

/** CCSIDR_EL1 for the level and type in CSSELR_EL1; zero for caches that do not exist (UNKNOWN in the manual). */
function cacheSize(cpu: Cpu, selector: number): number {
  const level = selector >> 1;
  const instruction = (selector & 1) !== 0;
  if (level === 0) return cpu.model.caches[instruction ? 1 : 0];
  return level === 1 && !instruction ? cpu.model.caches[2] : 0;
}

/** DCZID_EL0.DZP: whether DC ZVA would be trapped at the current level. */
function zeroProhibited(cpu: Cpu): boolean {
  const { context } = cpu;
  if (context.el === 0 && (context.low(SCTLR_EL1) & (1 << 14)) === 0) return true;
  return context.el < 2 && (cpu.exceptions.hcr & (1 << 28)) !== 0;
}
