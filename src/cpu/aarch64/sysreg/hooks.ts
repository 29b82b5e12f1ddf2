/** Registers whose value is computed, or whose write does more than store. Values travel in MAIL_VALUE. */
import type { Cpu } from "../cpu.ts";
import * as L from "../engine/layout.ts";
import type { Hook } from "./declaration.ts";
import { offsetOf, type Register } from "./table.ts";

/** Puts the value into MAIL_VALUE; false where the stored value is the value. `peek`: for a debugger, without side effects. */
export type ReadHook = (cpu: Cpu, register: Register, peek: boolean) => boolean;
/** Writes MAIL_VALUE; false where it is simply to be stored. */
export type WriteHook = (cpu: Cpu, register: Register) => boolean;

function give(cpu: Cpu, low: number): true {
  cpu.context.set(L.MAIL_VALUE, low, 0);
  return true;
}
function giveFrom(cpu: Cpu, offset: number): true {
  cpu.context.copy(L.MAIL_VALUE, offset);
  return true;
}
const value = (cpu: Cpu) => cpu.context.low(L.MAIL_VALUE);

const readTimer: ReadHook = (cpu, register, peek) => {
  cpu.timer.read(register, peek ? cpu.cluster.accessTime(cpu) : cpu.readCounter());
  return true;
};
const writeTimer: WriteHook = (cpu, register) => {
  cpu.timer.write(register);
  return true;
};

export const READ_HOOKS: { readonly [hook in Hook]?: ReadHook } = {
  NZCV: (cpu) => give(cpu, cpu.context.nzcv),
  DAIF: (cpu) => give(cpu, cpu.context.daif << 6),
  CurrentEL: (cpu) => give(cpu, cpu.context.el << 2),
  SPSel: (cpu) => give(cpu, cpu.context.low(L.SPSEL)),
  FPCR: (cpu) => giveFrom(cpu, L.FPCR),
  FPSR: (cpu) => giveFrom(cpu, L.FPSR),
  SP_EL0: (cpu) => cpu.exceptions.isCurrentStack(0) && giveFrom(cpu, L.SP),
  MIDR: (cpu) => cpu.el2 && cpu.context.el === 1 && giveFrom(cpu, offsetOf("VPIDR_EL2")),
  MPIDR: (cpu) => cpu.el2 && cpu.context.el === 1 && giveFrom(cpu, offsetOf("VMPIDR_EL2")),
  CCSIDR: (cpu) => give(cpu, cacheSize(cpu, cpu.context.low(offsetOf("CSSELR_EL1")))),
  ISR: (cpu) => give(cpu, cpu.exceptions.status()),
  DCZID: (cpu, register) => give(cpu, register.resetLow | (cpu.system.zeroEnabled ? 0 : 16)), // DZP,
  claimSet: (cpu) => give(cpu, 0xff), // the eight claim tags that exist
  L2CTLR: (cpu) => give(cpu, (Math.min(cpu.cluster.cpus.length, 4) - 1) << 24),
  CPTR: (cpu, register) => {
    // with E2H the register has CPACR_EL1's layout, in which the RES1 bits and TFP are RES0; without it FPEN is
    const { context } = cpu;
    const other = cpu.exceptions.isE2h ? 0x37ff : 0x0030_0000;
    return give(cpu, context.low(register.offset) & ~other);
  },
  pmu: (cpu, register) => cpu.pmu.read(register),
  physicalCount: readTimer,
  virtualCount: readTimer,
  timerValue: readTimer,
  timerControl: readTimer,
};

export const WRITE_HOOKS: { readonly [hook in Hook]?: WriteHook } = {
  NZCV: (cpu) => {
    cpu.context.nzcv = value(cpu);
    return true;
  },
  DAIF: (cpu) => {
    cpu.context.setLow(L.DAIF, (value(cpu) >>> 6) & 15);
    cpu.stateChanged();
    return true;
  },
  SPSel: (cpu) => {
    cpu.exceptions.setLevel(cpu.context.el, value(cpu) & 1);
    return true;
  },
  FPCR: (cpu, register) => {
    cpu.context.set(L.FPCR, value(cpu) & register.maskLow, 0);
    return true;
  },
  FPSR: (cpu, register) => {
    cpu.context.set(L.FPSR, value(cpu) & register.maskLow, 0);
    return true;
  },
  SP_EL0: (cpu) => {
    if (!cpu.exceptions.isCurrentStack(0)) return false;
    cpu.context.copy(L.SP, L.MAIL_VALUE);
    return true;
  },
  OSLAR: (cpu) => {
    const { context } = cpu;
    const oslsr = offsetOf("OSLSR_EL1");
    context.setLow(oslsr, (context.low(oslsr) & ~2) | ((value(cpu) & 1) << 1));
    cpu.selfHosted.changed();
    cpu.stateChanged();
    return true;
  },
  MDSCR: (cpu, register) => {
    const { context } = cpu;
    // while the OS lock is open, what belongs to the external debugger is read-only (D17.3.20)
    if ((context.low(offsetOf("OSLSR_EL1")) & 2) !== 0) return false;
    const writable = 0xb001; // MDE, KDE, TDCC, SS
    context.setLow(L.MAIL_VALUE, (value(cpu) & writable) | (context.low(register.offset) & ~writable));
    return false;
  },
  claimSet: (cpu) => {
    const claim = offsetOf("DBGCLAIMCLR_EL1");
    cpu.context.setLow(claim, cpu.context.low(claim) | (value(cpu) & 0xff));
    return true;
  },
  claimClear: (cpu, register) => {
    cpu.context.setLow(register.offset, cpu.context.low(register.offset) & ~value(cpu));
    return true;
  },
  L2CTLR: () => true,
  pmu: (cpu, register) => {
    cpu.pmu.write(register);
    return true;
  },
  CPTR: (cpu, register) => {
    const { context } = cpu;
    // TFP keeps its value while it is not there
    if (cpu.exceptions.isE2h) {
      context.setLow(L.MAIL_VALUE, (value(cpu) & ~0x400) | (context.low(register.offset) & 0x400));
    }
    return false;
  },
  MDCR: (cpu) => {
    cpu.pmu.sync();
    return false;
  },
  CONTEXTIDR: (cpu) => {
    cpu.pmu.contextWritten();
    return false;
  },
  timerValue: writeTimer,
  timerControl: writeTimer,
  timerCompare: writeTimer,
};

/** CCSIDR_EL1 for the level and type in CSSELR_EL1; zero for caches that do not exist (UNKNOWN in the manual). */
function cacheSize(cpu: Cpu, selector: number): number {
  const level = selector >> 1;
  const instruction = (selector & 1) !== 0;
  if (level === 0) return cpu.model.caches[instruction ? 1 : 0];
  return level === 1 && !instruction ? cpu.model.caches[2] : 0;
}
