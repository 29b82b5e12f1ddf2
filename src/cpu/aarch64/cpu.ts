/**
 * One AArch64 CPU: Armv8.0-A, EL0 to EL1 or EL2, AArch64 state only, DDI 0487J.a. Modelled: base instructions (`engine/`, `isa/`), system
 * registers (`sysreg/`), translation (`mmu/`), exceptions, generic timer, self-hosted debug, PMU, PSCI. Not modelled: EL3 and secure state, AArch32,
 * big-endian data, caches (always coherent, maintenance does nothing), external debug. Choices where the architecture leaves
 * them are in docs/devices/aarch64.md.
 */
import { Transaction } from "../../bus/index.ts";
import { FETCH, NO_FAULT } from "../../mmu/index.ts";
import { type Initiator, Module, NEVER } from "../../sim/index.ts";
import type { Cluster, El2Software } from "./cluster.ts";
import { Context } from "./context.ts";
import { CpuDebug } from "./debug.ts";
import { BusReader, PeekReader } from "./descriptors.ts";
import * as L from "./engine/layout.ts";
import { EC_PC_ALIGNMENT, Exceptions, NO_INTERRUPT } from "./exceptions.ts";
import { DataPath } from "./mmu/data.ts";
import { Mmu } from "./mmu/mmu.ts";
import { TlbState } from "./mmu/tlb-state.ts";
import { Pmu } from "./pmu.ts";
import { Recent } from "./recent.ts";
import { SelfHostedDebug, type StepCells } from "./self-hosted.ts";
import { CpuState } from "./state.ts";
import { SystemRegisters } from "./sysreg/access.ts";
import type { CpuModel } from "./sysreg/models.ts";
import { offsetOf, type RegisterTable } from "./sysreg/table.ts";
import { SystemInstructions } from "./system.ts";
import { GenericTimer } from "./timer.ts";

const ELR_EL2 = offsetOf("ELR_EL2");

/** What a CPU is doing. */
export const RUNNING = 0;
export const WAITING_FOR_INTERRUPT = 1;
export const WAITING_FOR_EVENT = 2;
export const OFF = 3;

/** Statuses that leave the engine, beside those of `layout.ts`. */
export const LEAVE_RETRY = 3; // the access waits for events that are due before it
export const LEAVE_SLEEP = 4;
export const LEAVE_STOP = 5; // a debugger's watchpoint
export const LEAVE_EL2 = 6; // an exception to EL2, where a model stands for software

type CpuCells = {
  time: number;
  instructions: number;
  spent: number;
  power: number;
  blockEnd: boolean;
  stalled: boolean;
};
type Inputs = { irq: boolean; fiq: boolean; virq: boolean; vfiq: boolean };

/** As a count limit: the engine returns at the next block end. */
const AT_ONCE = 0x8000_0000 | 0;

export class Cpu extends Module {
  readonly cluster: Cluster;
  readonly index: number;
  readonly model: CpuModel;
  /** EL2 is implemented. */
  readonly el2: boolean;
  /** MPIDR_EL1.Aff2:Aff1:Aff0. */
  readonly affinity: number;
  readonly context: Context;
  readonly registers: SystemRegisters;
  readonly exceptions: Exceptions;
  readonly mmu: Mmu;
  readonly data: DataPath;
  readonly timer: GenericTimer;
  readonly system: SystemInstructions;
  readonly debug: CpuDebug;
  readonly selfHosted: SelfHostedDebug;
  readonly pmu: Pmu;
  readonly tlbState: TlbState;
  readonly recent = new Recent();
  /** Side-band of this CPU's bus accesses. */
  readonly transaction = new Transaction();
  readonly initiator: Initiator;
  /** Instruction clock: ticks an instruction. */
  readonly #ticks: number;
  readonly #cells: CpuCells;
  readonly #inputs: Inputs;
  #status = L.GO_ON;

  constructor(cluster: Cluster, index: number, table: RegisterTable) {
    super(cluster, `cpu${index}`);
    this.cluster = cluster;
    this.index = index;
    this.model = cluster.model;
    this.el2 = cluster.el2;
    // QEMU's virt with a GICv2: eight CPUs to a cluster of affinity level 1
    this.affinity = ((index >> 3) << 8) | (index & 7);
    this.#ticks = cluster.ticksPerInstruction;
    this.#cells = this.state<CpuCells>({
      /** Local time at the last fold of the count. */
      time: 0,
      instructions: 0,
      /** Time that accesses took beyond their instructions. */
      spent: 0,
      power: OFF,
      /** The last instruction ended a block: interrupts are sampled here. */
      blockEnd: true,
      /** The next instruction has to wait for events up to `time`. */
      stalled: false,
    });
    this.#inputs = this.state<Inputs>({ irq: false, fiq: false, virq: false, vfiq: false }, "inputs");
    this.context = new Context(cluster.arena);
    this.registers = new SystemRegisters(this, table);
    this.exceptions = new Exceptions(this);
    this.selfHosted = new SelfHostedDebug(this, this.state<StepCells>({ stepped: 0 }, "step"));
    this.mmu = new Mmu(this, new BusReader(cluster), new PeekReader(cluster));
    this.data = new DataPath(this, cluster.arena);
    this.pmu = new Pmu(this);
    this.timer = new GenericTimer(this, cluster.counterFrequency);
    this.system = new SystemInstructions(this);
    this.debug = new CpuDebug(this);
    this.transaction.cpu = index;
    // what a model at EL2 does on a guest's behalf is the guest's instruction
    const atGuest = () => cluster.el2Software !== null && this.context.el === 2;
    this.initiator = { cpu: index, pc: () => this.context.hex(atGuest() ? ELR_EL2 : L.PC) };
    this.part("registers", new CpuState(this));
    this.tlbState = this.part("tlb", new TlbState(this));
  }

  // --- interrupt inputs, to be connected to the interrupt controller's lines

  readonly irq = (level: boolean): void => {
    this.#inputs.irq = level;
    this.#inputChanged(level);
  };
  readonly fiq = (level: boolean): void => {
    this.#inputs.fiq = level;
    this.#inputChanged(level);
  };
  readonly virtualIrq = (level: boolean): void => {
    this.#inputs.virq = level;
    this.#inputChanged(level);
  };
  readonly virtualFiq = (level: boolean): void => {
    this.#inputs.vfiq = level;
    this.#inputChanged(level);
  };
  get irqLevel(): boolean {
    return this.#inputs.irq;
  }
  get fiqLevel(): boolean {
    return this.#inputs.fiq;
  }
  get virtualIrqLevel(): boolean {
    return this.#inputs.virq;
  }
  get virtualFiqLevel(): boolean {
    return this.#inputs.vfiq;
  }

  #inputChanged(level: boolean): void {
    if (!level) return;
    const { power } = this.#cells;
    if (power === RUNNING) {
      if (this.interruptDue()) this.kick();
    } else if (power === WAITING_FOR_INTERRUPT) {
      if (this.exceptions.wakes()) this.#wake(this.simulation.now);
    } else if (power === WAITING_FOR_EVENT) {
      if (this.interruptDue()) this.#wake(this.simulation.now);
    }
  }

  // --- time

  /** Time of the instruction being executed. */
  get localTime(): number {
    return this.#cells.time + (this.context.low(L.COUNT) >> 4) * this.#ticks;
  }
  /** Time up to which this CPU has run. */
  get time(): number {
    return this.#cells.time;
  }
  /** Instructions retired since reset. */
  get instructions(): number {
    return this.#cells.instructions + (this.context.low(L.COUNT) >> 4);
  }
  /** Cycles spent executing since reset: instructions, and the time of accesses beyond them. */
  get cycles(): number {
    return this.instructions + Math.floor(this.#cells.spent / this.#ticks);
  }
  get isRunning(): boolean {
    return this.#cells.power === RUNNING;
  }
  get isOff(): boolean {
    return this.#cells.power === OFF;
  }
  /** RUNNING, WAITING_FOR_INTERRUPT, WAITING_FOR_EVENT or OFF. */
  get power(): number {
    return this.#cells.power;
  }
  /** True where interrupts are sampled and a slice may end. */
  get atBlockEnd(): boolean {
    return this.#cells.blockEnd;
  }
  get isStalled(): boolean {
    return this.#cells.stalled;
  }

  /** Makes the engine return at the next block end. */
  kick(): void {
    this.context.setLow(L.LIMIT, AT_ONCE);
  }

  /** Prepares the context for up to `end`; at least one instruction. */
  arm(end: number, one: boolean): void {
    const left = Math.ceil((end - this.#cells.time) / this.#ticks);
    this.context.setLow(L.COUNT, 0);
    // an interrupt that came in the middle of a block is taken at its end
    const most = one || this.interruptDue() ? 1 : Math.min(Math.max(left, 1), 0x400_0000);
    this.context.setLow(L.LIMIT, (this.pmu.active ? Math.min(most, this.pmu.untilOverflow()) : most) * 16);
    this.#cells.stalled = false;
  }

  /** Moves the engine's count into time and instructions. */
  fold(): void {
    const count = this.context.low(L.COUNT) >> 4;
    this.context.setLow(L.COUNT, 0);
    this.#cells.instructions += count;
    this.#cells.time += count * this.#ticks;
  }

  /** Takes what the engine returned. */
  left(status: number): void {
    this.fold();
    const cells = this.#cells;
    switch (status) {
      case L.RUN_LIMIT:
        cells.blockEnd = this.context.low(L.BLOCK_END) !== 0;
        break;
      case LEAVE_SLEEP:
        cells.blockEnd = true;
        break;
      case LEAVE_RETRY:
        // nothing can happen before the next event: it may as well be waited for
        cells.stalled = true;
        cells.blockEnd = false;
        cells.time = Math.max(cells.time, Math.min(this.simulation.nextEventTime, NEVER - 1));
        break;
      default:
        cells.blockEnd = false;
    }
  }

  /** Takes an interrupt that is due. Only at block ends. */
  sampleInterrupts(): void {
    const what = this.exceptions.pending();
    if (what === NO_INTERRUPT) return;
    this.context.setLow(L.COUNT, 0);
    this.exceptions.interrupt(what);
    this.fold();
  }

  /**
   * Before an instruction that has to be looked at: takes the software step exception (true) where it is due, or that of a breakpoint on
   * a context.
   */
  debugException(): boolean {
    const { selfHosted } = this;
    this.context.setLow(L.COUNT, 0);
    const taken = selfHosted.stepPending() || selfHosted.breakpoint();
    this.fold();
    if (!taken) selfHosted.before();
    return taken;
  }

  /** A planted breakpoint has been reached: true, with the exception taken, where it is the guest's. */
  breakpointException(): boolean {
    this.context.setLow(L.COUNT, 0);
    const taken = this.selfHosted.breakpoint();
    this.fold();
    return taken;
  }

  interruptDue(): boolean {
    return this.exceptions.pending() !== NO_INTERRUPT;
  }

  /**
   * Begins an access to something that events change too. Time is then this CPU's own until `endAccess`. False, with the status to return left
   * for `takeStatus`, where an event comes first: the instruction is run again after it.
   */
  beginAccess(): boolean {
    const { cluster, simulation } = this;
    const time = cluster.accessTime(this);
    if (simulation.nextEventTime <= time) {
      this.#status = LEAVE_RETRY;
      return false;
    }
    cluster.accessBegins(time);
    return true;
  }
  endAccess(): void {
    const { delay } = this.transaction;
    if (delay !== 0) {
      this.transaction.delay = 0;
      this.#spend(delay);
    }
    this.cluster.accessDone();
  }
  /** Local time for a counter that is read; reading takes some. */
  readCounter(): number {
    const { cluster } = this;
    const time = cluster.accessTime(this);
    cluster.observed(time);
    this.#spend(cluster.counterLatency);
    return time;
  }
  /** Lets time pass without instructions; the limit of the run under way comes closer by as much. */
  #spend(ticks: number): void {
    const { context } = this;
    this.#cells.time += ticks;
    this.#cells.spent += ticks;
    const limit = context.low(L.LIMIT);
    const left = Math.ceil((this.cluster.sliceEnd - this.#cells.time) / this.#ticks) * 16;
    if (left < limit) context.setLow(L.LIMIT, Math.max(left, AT_ONCE));
    if (this.pmu.active) this.pmu.levelChanged();
  }

  /** The status that something inside an access has left; GO_ON unless it has. */
  takeStatus(): number {
    const status = this.#status;
    this.#status = L.GO_ON;
    return status;
  }
  leaveWith(status: number): void {
    this.#status = status;
  }

  /**
   * At EL2: lets `software` act as an access does, at this CPU's own time; what it leaves in `transaction.delay` is the time it takes. False,
   * with the CPU stalled, where an event comes first.
   */
  runEl2(software: El2Software): boolean {
    this.context.setLow(L.COUNT, 0);
    if (!this.beginAccess()) {
      this.left(this.takeStatus());
      return false;
    }
    const cells = this.#cells;
    cells.stalled = false;
    cells.blockEnd = true;
    software.run(this);
    this.endAccess();
    this.fold();
    return true;
  }

  // --- instructions

  /** The current instruction is done: PC and count go on. */
  nextInstruction(): void {
    const { context } = this;
    const low = (context.low(L.PC) + 4) | 0;
    context.set(L.PC, low, low >>> 0 < 4 ? (context.high(L.PC) + 1) | 0 : context.high(L.PC));
    this.countInstruction();
  }
  countInstruction(): void {
    this.context.setLow(L.COUNT, this.context.low(L.COUNT) + 16);
  }

  /** Level, masks or controls changed: what the engine looks at is made to fit. */
  stateChanged(): void {
    const { context } = this;
    this.mmu.enter();
    context.setLow(L.FP_ENABLED, this.system.floatingPointEnabled ? 1 : 0);
    context.setLow(L.ZERO_ENABLED, this.system.zeroEnabled ? 1 : 0);
    const { selfHosted } = this;
    const before = selfHosted.everyInstruction;
    selfHosted.update();
    if (selfHosted.everyInstruction !== before) this.kick();
    else if (this.interruptDue()) this.kick();
  }

  floatingPointTrap(): number {
    return this.system.floatingPointTrap();
  }

  /** The instruction that called out; inside the engine's imports only. */
  get instructionWord(): number {
    return this.cluster.engine.wordAt(this.context.base);
  }

  /** The engine's import `fetch`. */
  fetch(): number {
    const { context, mmu, exceptions, cluster } = this;
    const low = context.low(L.PC);
    let high = context.high(L.PC);
    const el = context.el;
    if ((low & 3) !== 0) return exceptions.abort(EC_PC_ALIGNMENT, 0, exceptions.defaultTarget, low, high);
    // AArch64.BranchAddr: with the top byte ignored, PC holds the sign-extended address
    const one = mmu.one[el as 0 | 1 | 2];
    const upper = one.level === 1 && (high & (1 << 23)) !== 0;
    if ((upper ? one.upper : one.lower).tbi) {
      high = upper ? high | 0xff00_0000 : high & 0x00ff_ffff;
      context.set(L.PC, low, high);
    }
    const t = mmu.translate(high, low, el, FETCH);
    if (t.fault !== NO_FAULT || t.permission !== NO_FAULT) return mmu.abort(t, FETCH, 0, high, low);
    const page = t.pa - (t.pa % 4096);
    const at = cluster.arenaPage(page, false);
    if (at < 0) return this.#fetchFromDevice(page, high, low);
    const decoded = cluster.codePage(at);
    mmu.set(el).fill(FETCH, high, low, page, t.size, 0, decoded, 0);
    this.debug.plant(high, low, at);
    return L.GO_ON;
  }

  /** Code is executed from memory alone: there is nothing to decode behind a device's registers. */
  #fetchFromDevice(page: number, high: number, low: number): number {
    const { cluster, transaction: tx } = this;
    if (!this.beginAccess()) return this.takeStatus();
    tx.instruction = true;
    tx.response = 0;
    cluster.bus.read(page + (low & 0xfff), 4, tx);
    tx.instruction = false;
    this.endAccess();
    if (tx.response === 0) {
      this.guestError({ kind: "unimplemented", address: page, size: 4, detail: "instruction fetch from a device" });
    }
    return this.mmu.externalAbort(FETCH, tx.response === 2, high, low);
  }

  // --- power

  /** WFI or WFE with nothing to wake it; PC is already behind the instruction. */
  sleep(forEvent: boolean): number {
    this.#cells.power = forEvent ? WAITING_FOR_EVENT : WAITING_FOR_INTERRUPT;
    if (forEvent) {
      // an open monitor would be closed at the end of the slice, which is an event (DDI 0487J.a D1.6.1): sleep until then
      const { context } = this;
      if (context.low(L.EXCLUSIVE_ADDRESS) !== -1 || context.high(L.EXCLUSIVE_ADDRESS) !== -1) {
        this.#cells.power = RUNNING;
        context.set(L.EXCLUSIVE_ADDRESS, -1, -1);
        this.cluster.yieldSlice(this);
        return LEAVE_SLEEP;
      }
      this.timer.startStream(this.localTime);
    }
    return LEAVE_SLEEP;
  }

  /** The slice is over for this CPU: its time goes to the end of it. */
  skipTo(time: number): void {
    this.#cells.time = Math.max(this.#cells.time, time);
  }

  /** An event for WFE: SEV, or the event stream. */
  wakeForEvent(): void {
    if (this.#cells.power === WAITING_FOR_EVENT) this.#wake(this.simulation.now);
    else if (this.#cells.power !== OFF) this.context.setLow(L.EVENT, 1);
  }

  #wake(time: number): void {
    if (this.#cells.power === WAITING_FOR_EVENT) this.timer.stopStream();
    this.#cells.power = RUNNING;
    this.#cells.time = Math.max(this.#cells.time, time);
    this.cluster.woken(this.#cells.time);
  }

  /** PSCI CPU_OFF, or a request to the whole system after which this CPU runs no more. */
  powerOff(): number {
    this.#cells.power = OFF;
    return LEAVE_SLEEP;
  }

  /** PSCI CPU_ON: starts at the highest level there is, from reset, at an entry point with X0. */
  powerOn(entryLow: number, entryHigh: number, x0Low: number, x0High: number, time: number): void {
    this.#coldReset();
    this.start(entryLow, entryHigh, time);
    this.context.set(L.X, x0Low, x0High);
  }

  /** Runs from an address on at `time`, registers as they are: for the boot code of boards. */
  start(entryLow: number, entryHigh: number, time = this.simulation.now): void {
    this.context.set(L.PC, entryLow, entryHigh);
    this.#cells.power = RUNNING;
    this.#cells.blockEnd = true;
    this.#cells.stalled = false;
    this.#cells.time = Math.max(this.#cells.time, time);
    this.cluster.woken(this.#cells.time);
  }

  #coldReset(): void {
    const { context } = this;
    context.words.fill(0, 0, L.TLB_SETS / 4);
    this.registers.reset();
    context.nzcv = 0;
    context.setLow(L.EL, this.el2 ? 2 : 1);
    context.setLow(L.SPSEL, 1);
    context.setLow(L.DAIF, 15);
    context.set(L.EXCLUSIVE_ADDRESS, -1, -1);
    this.mmu.flushAll();
    this.derive();
    this.timer.reset();
    this.selfHosted.returned();
    this.pmu.reset();
  }

  /** Recomputes all that is derived from registers. */
  derive(): void {
    this.mmu.changed();
    this.selfHosted.changed();
    this.stateChanged();
  }

  protected override onReset(): void {
    this.#cells.time = this.simulation.now;
    this.recent.clear();
    this.#coldReset();
    if (this.index === 0) this.start(this.cluster.resetAddress, 0);
  }

  protected override onRestore(): void {
    this.mmu.flushAll();
    this.tlbState.restoreKeys();
    this.mmu.restored();
    this.derive();
    this.pmu.restart();
    const { cpus } = this.cluster;
    if (this.index < cpus.length - 1) return;
    for (const fetches of [true, false]) for (const cpu of cpus) cpu.tlbState.restoreEntries(fetches);
  }
}
