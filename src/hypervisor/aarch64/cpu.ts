/** A CPU of the cluster as the hypervisor sees it: what code at EL2 would do with MRS, MSR, loads, stores, TLBI, ERET and WFI. */
import { Transaction } from "../../bus/index.ts";
import type { Cpu } from "../../cpu/aarch64/cpu.ts";
import * as L from "../../cpu/aarch64/engine/layout.ts";
import {
  EC_DATA_ABORT,
  EC_FP,
  EC_HVC,
  EC_INSTRUCTION_ABORT,
  EC_SMC,
  EC_SYSTEM_REGISTER,
  EC_UNKNOWN,
  EC_WFX,
  HCR_AMO,
  HCR_FMO,
  HCR_IMO,
  HCR_TSC,
  HCR_TWE,
  HCR_TWI,
  HCR_VM,
} from "../../cpu/aarch64/exceptions.ts";
import { offsetOf } from "../../cpu/aarch64/sysreg/table.ts";
import { FAULT_EXTERNAL, NO_FAULT, READ, WRITE } from "../../mmu/index.ts";
import { Module, NEVER, type Simulation, TICKS_PER_SECOND, type Time } from "../../sim/index.ts";
import type {
  AccessFault,
  El2Handler,
  Exit,
  ExitReason,
  InstructionAccess,
  PhysicalCpu,
  Stage2Root,
  VcpuContext,
} from "../physical-cpu.ts";
import type { Aarch64Context } from "./context.ts";

const ELR_EL2 = offsetOf("ELR_EL2");
const SPSR_EL2 = offsetOf("SPSR_EL2");
const ESR_EL2 = offsetOf("ESR_EL2");
const FAR_EL2 = offsetOf("FAR_EL2");
const HPFAR_EL2 = offsetOf("HPFAR_EL2");
const HCR_EL2 = offsetOf("HCR_EL2");
const CPTR_EL2 = offsetOf("CPTR_EL2");
const MDCR_EL2 = offsetOf("MDCR_EL2");
const CNTHCTL_EL2 = offsetOf("CNTHCTL_EL2");
const CNTHP_CTL_EL2 = offsetOf("CNTHP_CTL_EL2");
const CNTHP_CVAL_EL2 = offsetOf("CNTHP_CVAL_EL2");
const CNTV_CTL_EL0 = offsetOf("CNTV_CTL_EL0");
const VTTBR_EL2 = offsetOf("VTTBR_EL2");
const VTCR_EL2 = offsetOf("VTCR_EL2");
const SP_EL: readonly [number, number] = [offsetOf("SP_EL0"), offsetOf("SP_EL1")];
const ELR_EL1 = offsetOf("ELR_EL1");
const SPSR_EL1 = offsetOf("SPSR_EL1");
const ESR_EL1 = offsetOf("ESR_EL1");
const FAR_EL1 = offsetOf("FAR_EL1");
const VBAR_EL1 = offsetOf("VBAR_EL1");

const HCR_SWIO = 1 << 1;
const HCR_FB = 1 << 9;
const HCR_BSU_INNER = 1 << 10;
const HCR_TIDCP = 1 << 20;
const HCR_TACR = 1 << 21;
const HCR_RW = 1 << 31;
const HCR = HCR_VM | HCR_SWIO | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_INNER | HCR_TWI | HCR_TSC | HCR_TIDCP;
const CPTR_TFP = 1 << 10;
/** TPMCR, TPM, TDA, TDOSA, TDRA: performance monitors and self-hosted debug are not the guest's. HPMN stays 6. */
const MDCR = 0xe60 | 6;
const IL = 1 << 25;
const DAIF_MASKED = 0x3c0;
const EL1H = 5;
/** SGI by which CPUs ask each other, and themselves, for an exit. */
export const KICK_SGI = 0;

const VECTORS: { readonly [vector: number]: ExitReason } = { 1152: "irq", 1280: "fiq", 1408: "serror" };
const CLASSES: { readonly [ec: number]: ExitReason } = {
  [EC_HVC]: "hvc",
  [EC_SMC]: "smc",
  [EC_SYSTEM_REGISTER]: "system register",
  [EC_FP]: "floating point",
  [EC_DATA_ABORT]: "data abort",
  [EC_INSTRUCTION_ABORT]: "instruction abort",
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface Aarch64CpuOptions {
  /** Where the GIC distributor is. */
  readonly distributor: number;
  /** WFE of guests is trapped as WFI is. */
  readonly trapWfe?: boolean;
}

export class Aarch64Cpu extends Module implements PhysicalCpu, InstructionAccess {
  readonly index: number;
  readonly kind = "aarch64";
  readonly frequency: number;
  handler: El2Handler | null = null;
  readonly instructions = this;
  readonly #cpu: Cpu;
  readonly #options: Aarch64CpuOptions;
  readonly #tx = new Transaction();
  /** Contexts by number; the list is shared by the CPUs of a machine. */
  readonly #contexts: readonly Aarch64Context[];
  readonly #cells: { loaded: number; floatingPointOf: number; set: boolean };
  readonly #exit: Mutable<Exit> = {
    reason: "start",
    syndrome: 0,
    pc: 0,
    virtualAddress: 0,
    ipa: 0,
    valid: false,
    size: 0,
    write: false,
  };
  /** Ticks spent since the handler was entered. */
  #spent = 0;
  #slept = false;

  constructor(
    parent: Module | Simulation,
    name: string,
    cpu: Cpu,
    contexts: readonly Aarch64Context[],
    options: Aarch64CpuOptions,
  ) {
    super(parent, name);
    this.#cpu = cpu;
    this.index = cpu.index;
    this.#contexts = contexts;
    this.#options = options;
    this.frequency = TICKS_PER_SECOND / cpu.cluster.ticksPerInstruction;
    this.#tx.cpu = cpu.index;
    this.#tx.exceptionLevel = 2;
    /** Numbers of contexts, or -1; whether EL2's own registers have been written. */
    this.#cells = this.state({ loaded: -1, floatingPointOf: -1, set: false });
  }

  get time(): Time {
    return this.simulation.now + this.#spent;
  }

  /** Called by the cluster where this CPU would run code at EL2. */
  run(): void {
    const { handler } = this;
    const cpu = this.#cpu;
    if (handler === null) {
      cpu.leaveWith(cpu.powerOff());
      return;
    }
    this.#spent = 0;
    this.#slept = false;
    if (!this.#cells.set) this.#setUp();
    this.#describe();
    handler.exit(this, this.#exit);
    if (this.#cells.loaded >= 0) cpu.exceptions.return();
    else if (!this.#slept) this.sleep();
    cpu.transaction.delay += this.#spent;
  }

  /** EL2's own registers, once after reset. */
  #setUp(): void {
    const { context } = this.#cpu;
    context.set(MDCR_EL2, MDCR, 0);
    // counters are the guest's to read, its physical timer is not
    context.setLow(CNTHCTL_EL2, (context.low(CNTHCTL_EL2) & ~3) | 1);
    this.#cells.set = true;
  }

  #describe(): void {
    const exit = this.#exit;
    const { context } = this.#cpu;
    exit.syndrome = 0;
    exit.valid = false;
    if (this.#cells.loaded < 0) {
      exit.reason = "start";
      exit.pc = 0;
      return;
    }
    exit.pc = context.number(ELR_EL2);
    const vector = VECTORS[context.low(L.PC) & 0x7ff];
    if (vector !== undefined) {
      exit.reason = vector;
      return;
    }
    const esr = context.low(ESR_EL2);
    const ec = esr >>> 26;
    exit.syndrome = esr >>> 0;
    exit.reason = ec === EC_WFX ? ((esr & 1) !== 0 ? "wfe" : "wfi") : (CLASSES[ec] ?? "other");
    if (ec !== EC_DATA_ABORT && ec !== EC_INSTRUCTION_ABORT) return;
    exit.virtualAddress = context.number(FAR_EL2);
    // HPFAR_EL2.FIPA is IPA[47:12] from bit 4
    const page = (context.high(HPFAR_EL2) * 2 ** 32 + (context.low(HPFAR_EL2) >>> 0)) / 16;
    exit.ipa = page * 4096 + (context.low(FAR_EL2) & 0xfff);
    exit.write = (esr & (1 << 6)) !== 0;
    exit.valid = ec === EC_DATA_ABORT && (esr & (1 << 24)) !== 0;
    exit.size = exit.valid ? 1 << ((esr >>> 22) & 3) : 0;
  }

  spend(cycles: number): void {
    this.#spent += Math.round(cycles * this.#cpu.cluster.ticksPerInstruction);
  }

  // --- world switch

  get loaded(): VcpuContext | null {
    return this.#contexts[this.#cells.loaded] ?? null;
  }

  load(context: VcpuContext, stage2: Stage2Root): void {
    const cpu = this.#cpu;
    const to = cpu.context;
    const number = this.#contexts.indexOf(context as Aarch64Context);
    const from = this.#contexts[number];
    if (from === undefined) throw new Error(`${this.fullName}: a context of another kind of CPU`);
    from.load(to);
    to.set(HCR_EL2, HCR | HCR_RW | HCR_TACR | (this.#options.trapWfe === true ? HCR_TWE : 0), 0);
    to.set(VTCR_EL2, stage2.vtcr, 0);
    to.set(VTTBR_EL2, stage2.base | 0, Math.floor(stage2.base / 2 ** 32) | (stage2.vmid << 16));
    const owns = from.floatingPointOn === this.index && this.#cells.floatingPointOf === number;
    this.#trapFloatingPoint(!owns);
    to.set(L.EXCLUSIVE_ADDRESS, -1, -1);
    this.#cells.loaded = number;
    this.#derive();
  }

  unload(): void {
    const cpu = this.#cpu;
    const from = cpu.context;
    const to = this.#contexts[this.#cells.loaded];
    if (to === undefined) return;
    to.save(from);
    if ((from.low(CPTR_EL2) & CPTR_TFP) === 0) to.saveFloatingPoint(from);
    this.#cells.loaded = -1;
    from.setLow(CNTV_CTL_EL0, 0);
    from.set(HCR_EL2, HCR_RW | HCR_FMO | HCR_IMO | HCR_AMO, 0);
    this.#derive();
  }

  #derive(): void {
    this.#cpu.derive();
    this.#cpu.timer.reset();
  }

  #trapFloatingPoint(trap: boolean): void {
    const { context } = this.#cpu;
    const cptr = context.low(CPTR_EL2);
    context.setLow(CPTR_EL2, trap ? cptr | CPTR_TFP : cptr & ~CPTR_TFP);
  }

  giveFloatingPoint(): void {
    const context = this.#contexts[this.#cells.loaded];
    if (context === undefined) return;
    context.loadFloatingPoint(this.#cpu.context);
    context.floatingPointOn = this.index;
    this.#cells.floatingPointOf = this.#cells.loaded;
    this.#trapFloatingPoint(false);
    this.#cpu.stateChanged();
  }

  sleep(): void {
    const cpu = this.#cpu;
    this.#slept = true;
    cpu.countInstruction();
    if (!cpu.exceptions.wakes()) cpu.sleep(false);
  }

  powerOn(index: number): void {
    const { context, cluster } = this.#cpu;
    // SMC to the firmware below: CPU_ON with an entry point that is never run
    context.set(L.X, 0xc400_0003 | 0, 0);
    context.set(L.X + 8, cluster.cpus[index]?.affinity ?? 0xff_ffff, 0);
    context.set(L.X + 16, 0, 0);
    context.set(L.X + 24, 0, 0);
    cluster.psci.call(this.#cpu);
  }

  invalidate(_vmid: number, _ipa: number, _length: number): void {
    // combined entries are not tagged by intermediate address, so that the second step takes all of EL1&0 along
    for (const cpu of this.#cpu.cluster.cpus) cpu.mmu.flush(1);
  }

  // --- registers of the guest

  low(register: number): number {
    return register === 31 ? 0 : this.#cpu.context.low(L.X + 8 * register);
  }
  high(register: number): number {
    return register === 31 ? 0 : this.#cpu.context.high(L.X + 8 * register);
  }
  setRegister(register: number, low: number, high: number): void {
    if (register !== 31) this.#cpu.context.set(L.X + 8 * register, low | 0, high | 0);
  }
  get #transfer(): number {
    return (this.#cpu.context.low(ESR_EL2) >>> 16) & 31;
  }
  get storedLow(): number {
    return this.low(this.#transfer) >>> 0;
  }
  get storedHigh(): number {
    return this.high(this.#transfer) >>> 0;
  }

  complete(low: number, high: number): void {
    const esr = this.#cpu.context.low(ESR_EL2);
    this.skip();
    if ((esr & (1 << 6)) !== 0) return;
    const size = 1 << ((esr >>> 22) & 3);
    let l = low | 0;
    let h = size === 8 ? high | 0 : 0;
    if (size < 4) l &= (1 << (8 * size)) - 1;
    if ((esr & (1 << 21)) !== 0) {
      if (size < 4) l = (l << (32 - 8 * size)) >> (32 - 8 * size);
      h = (esr & (1 << 15)) !== 0 ? l >> 31 : 0;
    }
    this.setRegister(this.#transfer, l, h);
  }

  skip(): void {
    const { context } = this.#cpu;
    const low = (context.low(ELR_EL2) + 4) | 0;
    context.set(ELR_EL2, low, low >>> 0 < 4 ? (context.high(ELR_EL2) + 1) | 0 : context.high(ELR_EL2));
    context.setLow(SPSR_EL2, context.low(SPSR_EL2) & ~(1 << 21)); // a step has been used up
  }

  injectAbort(fault: AccessFault | null): void {
    const { context } = this.#cpu;
    const fetch = context.low(ESR_EL2) >>> 26 === EC_INSTRUCTION_ABORT;
    const write = context.low(ESR_EL2) & (1 << 6);
    const status = fault?.status ?? FAULT_EXTERNAL;
    const { low, high } = fault?.address ?? { low: context.low(FAR_EL2), high: context.high(FAR_EL2) };
    context.set(FAR_EL1, low, high);
    const same = (context.low(SPSR_EL2) & 12) !== 0 ? 1 : 0;
    const ec = (fetch ? EC_INSTRUCTION_ABORT : EC_DATA_ABORT) + same;
    this.#enterEl1((ec << 26) | IL | (fetch ? 0 : write) | status);
  }

  injectUndefined(): void {
    this.#enterEl1((EC_UNKNOWN << 26) | IL);
  }

  /** The guest takes a synchronous exception at EL1 when it goes on (AArch64.TakeException). */
  #enterEl1(esr: number): void {
    const { context } = this.#cpu;
    const spsr = context.low(SPSR_EL2);
    const group = (spsr & 12) === 0 ? 0x400 : (spsr & 1) !== 0 ? 0x200 : 0;
    context.set(ESR_EL1, esr, 0);
    context.copy(ELR_EL1, ELR_EL2);
    context.copy(SPSR_EL1, SPSR_EL2);
    context.set(ELR_EL2, context.low(VBAR_EL1) | group, context.high(VBAR_EL1));
    context.setLow(SPSR_EL2, (spsr & 0xf000_0000) | DAIF_MASKED | EL1H);
  }

  get virtualTimerAsserted(): boolean {
    return this.#cpu.timer.virtualLine.level;
  }

  get faultsAtVector(): boolean {
    const { context } = this.#cpu;
    const low = context.low(ELR_EL2);
    return (
      low === (context.low(VBAR_EL1) | 0x200) &&
      low === context.low(ELR_EL1) &&
      context.high(ELR_EL2) === context.high(ELR_EL1) &&
      context.high(ELR_EL2) === context.high(VBAR_EL1)
    );
  }

  // --- instruction access

  word(): number {
    const { context, mmu, cluster } = this.#cpu;
    const el = (context.low(SPSR_EL2) >> 2) & 3;
    const t = mmu.translateAs(context.high(ELR_EL2), context.low(ELR_EL2), el, READ);
    return t.fault !== NO_FAULT ? -1 : cluster.bus.peek(t.pa, 4) >>> 0;
  }
  get pcLow(): number {
    return this.#cpu.context.low(ELR_EL2);
  }
  get pcHigh(): number {
    return this.#cpu.context.high(ELR_EL2);
  }
  get stackPointerLow(): number {
    return this.#cpu.context.low(this.#stack);
  }
  get stackPointerHigh(): number {
    return this.#cpu.context.high(this.#stack);
  }
  setStackPointer(low: number, high: number): void {
    this.#cpu.context.set(this.#stack, low, high);
  }
  get #stack(): number {
    const spsr = this.#cpu.context.low(SPSR_EL2);
    return SP_EL[(spsr & 12) !== 0 && (spsr & 1) !== 0 ? 1 : 0];
  }
  vector(register: number): Int32Array {
    const at = L.V / 4 + 4 * register;
    return this.#cpu.context.words.slice(at, at + 4);
  }
  setVector(register: number, words: Int32Array): void {
    this.#cpu.context.words.set(words, L.V / 4 + 4 * register);
  }
  translate(high: number, low: number, write: boolean): number {
    const { mmu, context } = this.#cpu;
    const el = (context.low(SPSR_EL2) >> 2) & 3;
    const t = mmu.translateAs(high, low, el, write ? WRITE : READ);
    if (t.fault !== NO_FAULT) {
      if (!t.stage2) return -1 - t.fault;
      return t.onWalk ? -1 - FAULT_EXTERNAL : t.ipa;
    }
    return t.permission !== NO_FAULT && !t.permissionStage2 ? -1 - t.permission : t.ipa;
  }

  // --- memory and devices

  read(address: number, size: 1 | 2 | 4 | 8): number {
    const tx = this.#tx;
    tx.response = 0;
    tx.high = 0;
    const value = this.#cpu.cluster.bus.read(address, size, tx);
    return tx.response !== 0 ? 0 : size === 8 ? tx.high * 2 ** 32 + (value >>> 0) : value >>> 0;
  }
  write(address: number, size: 1 | 2 | 4 | 8, value: number): void {
    const tx = this.#tx;
    tx.response = 0;
    tx.high = size === 8 ? Math.floor(value / 2 ** 32) >>> 0 : 0;
    this.#cpu.cluster.bus.write(address, size, value >>> 0, tx);
  }

  setTimer(at: Time): void {
    const { context, timer } = this.#cpu;
    if (at >= NEVER) {
      if (context.low(CNTHP_CTL_EL2) === 0) return;
      context.setLow(CNTHP_CTL_EL2, 0);
    } else {
      const count = timer.frequency.cyclesAt(Math.max(at - 1, 0)) + 1;
      context.setNumber(CNTHP_CVAL_EL2, count);
      context.setLow(CNTHP_CTL_EL2, 1);
    }
    timer.reset();
  }

  kick(): void {
    this.write(this.#options.distributor + 0xf00, 4, (1 << (16 + this.index)) | KICK_SGI);
  }
}
