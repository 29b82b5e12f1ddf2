/**
 * MRS and MSR: levels, traps, fields, hooks and effects of the rows, on the context of one CPU. Values travel in MAIL_VALUE.
 */
import type { Cpu } from "../cpu.ts";
import * as L from "../engine/layout.ts";
import { EC_SYSTEM_REGISTER, HCR_TGE } from "../exceptions.ts";
import type { Effect } from "./declaration.ts";
import { HOST_NAMES, HOST_USER_NAMES } from "./rows-vhe.ts";
import type { CompiledTrap, Register, RegisterTable } from "./table.ts";

export class SystemRegisters {
  readonly table: RegisterTable;
  readonly #cpu: Cpu;
  /** VHE is implemented. */
  readonly #hasHost: boolean;

  constructor(cpu: Cpu, table: RegisterTable) {
    this.#cpu = cpu;
    this.#hasHost = cpu.cluster.hasVhe;
    this.table = table;
  }

  reset(): void {
    for (const r of this.table.registers) this.#cpu.context.set(r.offset, r.resetLow, r.resetHigh);
  }

  /** The engine's import `sysreg`. */
  access(encoding: number, write: boolean): number {
    const cpu = this.#cpu;
    const { context } = cpu;
    const el = context.el;
    const register = this.table.find(this.#hasHost && el === 2 ? this.#meant(encoding) : encoding);
    if (register === undefined) return this.#unknown(encoding, write);
    if (el < (write ? register.writeLevel : register.readLevel)) return cpu.exceptions.undefined();
    if (register.hook === "SP_EL0" && context.low(L.SPSEL) === 0) return cpu.exceptions.undefined();
    const target = this.trapped(register.traps, el, write);
    if (target !== 0) return cpu.exceptions.trap(EC_SYSTEM_REGISTER, this.#syndrome(encoding, write), target);
    if ((register.hook === "FPCR" || register.hook === "FPSR") && context.low(L.FP_ENABLED) === 0) {
      return cpu.floatingPointTrap();
    }
    const actual = this.#hasHost && el === 0 ? this.#ofHost(register) : register;
    return write ? this.#write(actual) : this.#read(actual);
  }

  /** The encoding that is meant at EL2, where HCR_EL2.E2H renames some. */
  #meant(encoding: number): number {
    return this.#cpu.exceptions.isE2h ? (HOST_NAMES.get(encoding) ?? encoding) : encoding;
  }
  /** The timers' registers that EL0 of a host has under their names. */
  #ofHost(register: Register): Register {
    const encoding = this.#cpu.exceptions.isHost ? HOST_USER_NAMES.get(register.encoding) : undefined;
    return encoding === undefined ? register : (this.table.find(encoding) ?? register);
  }

  /** The level to which the first trap that applies goes, or 0. */
  trapped(traps: readonly CompiledTrap[], el: number, write: boolean): number {
    const { context, exceptions } = this.#cpu;
    for (let i = 0; i < traps.length; i++) {
      const t = traps[i] as CompiledTrap;
      if (((t.from >> el) & 1) === 0 || !(write ? t.write : t.read)) continue;
      if (t.tge && (exceptions.hcr & HCR_TGE) !== 0) return t.target;
      const host = this.#hasHost && exceptions.isHost;
      const offset = host ? t.hostOffset : t.offset;
      if (offset < 0) continue;
      const low = this.#hasHost && exceptions.isE2h ? t.lowE2h : t.low;
      const some = (context.low(offset) & low) !== 0 || (context.high(offset) & t.high) !== 0;
      if (some === t.whenSet) return t.target;
    }
    return 0;
  }

  /** The value now, without traps or effects: for debuggers. Result in MAIL_VALUE. */
  peek(register: Register): void {
    const { context } = this.#cpu;
    if (!register.read?.(this.#cpu, register, true)) context.copy(L.MAIL_VALUE, register.offset);
  }

  /** Stores MAIL_VALUE without traps, with the effects: for debuggers. */
  poke(register: Register): void {
    this.#store(register);
    // a timer that would have to wait for an event is left as it is
    this.#cpu.takeStatus();
  }

  #read(register: Register): number {
    const { context } = this.#cpu;
    if (register.read?.(this.#cpu, register, false)) return this.#cpu.takeStatus();
    context.copy(L.MAIL_VALUE, register.offset);
    return L.GO_ON;
  }

  #write(register: Register): number {
    const cpu = this.#cpu;
    const look = this.#store(register);
    const status = cpu.takeStatus();
    if (status !== L.GO_ON) return status;
    if (!look && !cpu.interruptDue()) return L.GO_ON;
    cpu.nextInstruction();
    return L.REFETCH;
  }

  /** True where the engine must look at the TLB set again. A status may be left with the CPU. */
  #store(register: Register): boolean {
    const cpu = this.#cpu;
    const { context } = cpu;
    if (register.write?.(cpu, register)) return false;
    const { maskLow, maskHigh, offset } = register;
    context.set(
      offset,
      (context.low(offset) & ~maskLow) | (context.low(L.MAIL_VALUE) & maskLow),
      (context.high(offset) & ~maskHigh) | (context.high(L.MAIL_VALUE) & maskHigh),
    );
    return register.effect !== undefined && this.#effect(register.effect);
  }

  #effect(effect: Effect): boolean {
    const cpu = this.#cpu;
    switch (effect) {
      case "translation":
        cpu.mmu.changed();
        return true;
      case "hypervisor":
        cpu.mmu.changed();
        cpu.stateChanged();
        return true;
      case "fp":
        cpu.stateChanged();
        return true;
      case "debug":
        cpu.selfHosted.changed();
        cpu.stateChanged();
        return true;
      case "monitors":
        cpu.pmu.controlsChanged();
        cpu.stateChanged();
        return true;
      case "timer":
        cpu.timer.update();
        return false;
    }
  }

  /** An encoding without a row: HCR_EL2.TIDCP traps what is set aside for IMPLEMENTATION DEFINED use, the rest is UNDEFINED. */
  #unknown(encoding: number, write: boolean): number {
    const cpu = this.#cpu;
    const crn = (encoding >> 7) & 15;
    if (encoding >> 14 === 3 && (crn === 11 || crn === 15) && cpu.context.el < 2) {
      if ((cpu.exceptions.hcr & (1 << 20)) !== 0) {
        return cpu.exceptions.trap(EC_SYSTEM_REGISTER, this.#syndrome(encoding, write), 2);
      }
    }
    return cpu.exceptions.undefined();
  }

  #syndrome(encoding: number, write: boolean): number {
    return systemSyndrome(encoding, this.#cpu.instructionWord & 31, !write);
  }
}

/** ISS of EC 0x18 (DDI 0487J.a D17.2.37): Op0, Op2, Op1, CRn, Rt, CRm, direction. */
export function systemSyndrome(encoding: number, rt: number, read: boolean): number {
  const op0 = (encoding >> 14) & 3;
  const op1 = (encoding >> 11) & 7;
  const crn = (encoding >> 7) & 15;
  const crm = (encoding >> 3) & 15;
  const op2 = encoding & 7;
  return (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (rt << 5) | (crm << 1) | (read ? 1 : 0);
}
