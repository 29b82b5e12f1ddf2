/**
 * A CPU that runs guest programs instead of instructions, with what a hypervisor at EL2 sees of one: stage 2 walked in memory, syndromes, physical
 * and virtual interrupts, the EL2 and the virtual timer.
 *
 * Modelled: all that `PhysicalCpu` offers; WFI and WFE trapped always (HCR_EL2.TWI, TWE), SMC and HVC, physical IRQs taken to EL2 (IMO), virtual IRQs of
 * GICV to the guest. Not modelled: stage 1, FIQ and SError, floating point, system registers, since programs have none; PC is 0. The virtual
 * timer compares simulated time itself, not a count, and has no offset.
 */
import { Transaction } from "../../bus/index.ts";
import { type Event, type Initiator, type Line, Module, NEVER, type Time } from "../../sim/index.ts";
import type { El2Handler, Exit, ExitReason, PhysicalCpu, Stage2Root, VcpuContext } from "../physical-cpu.ts";
import type { AbstractCluster } from "./cluster.ts";
import { AbstractContext, BEGIN, BUSY, READY } from "./context.ts";
import { MemoryPath } from "./memory-path.ts";
import {
  CLEAR_BITS,
  COMPUTE,
  GuestAbort,
  HYPERCALL,
  LOAD,
  READ_BLOCK,
  SECURE_CALL,
  SET_TIMER,
  STORE,
  WAIT,
  WRITE_BLOCK,
  YIELD,
} from "./program.ts";
import { StageTwoTlb } from "./translation.ts";

/** ESR_EL2 (DDI 0487 D17.2.37): EC in 31:26, IL. */
const ESR_WFX = (0x01 << 26) | (1 << 25) | (1 << 24) | (14 << 20);
const ESR_HVC = (0x16 << 26) | (1 << 25);
const ESR_SMC = (0x17 << 26) | (1 << 25);
const ESR_DATA_ABORT = (0x24 << 26) | (1 << 25) | (1 << 24);
/** PSCI SYSTEM_OFF (DEN 0022 5.10). */
const PSCI_SYSTEM_OFF = 0x8400_0008;

class ExitRecord implements Exit {
  reason: ExitReason = "start";
  syndrome = 0;
  readonly pc = 0;
  virtualAddress = 0;
  ipa = 0;
  valid = false;
  size = 0;
  write = false;
}

type Cells = {
  time: number;
  due: number;
  irq: boolean;
  virq: boolean;
  kicked: boolean;
  vmid: number;
  guest: number;
  hypervisor: number;
  exits: number;
};

export class AbstractCpu extends Module implements PhysicalCpu {
  readonly kind = "abstract";
  readonly index: number;
  readonly frequency: number;
  readonly initiator: Initiator;
  readonly tlb: StageTwoTlb;
  handler: El2Handler | null = null;
  /** PPI 10, the EL2 physical timer, and PPI 11, the virtual timer of the loaded guest. */
  readonly hypervisorLine: Line = this.line("CNTHPIRQ");
  readonly virtualLine: Line = this.line("CNTVIRQ");
  readonly #cluster: AbstractCluster;
  readonly #transaction = new Transaction();
  readonly #memory: MemoryPath;
  readonly #exit = new ExitRecord();
  readonly #hypervisorTimer: Event;
  readonly #virtualTimer: Event;
  readonly #ticks: number;
  readonly #cells: Cells;
  #context: AbstractContext | null = null;
  #inExit = false;
  /** Ticks spent at EL2 in the exit under way. */
  #spent = 0;
  #entered: Time = 0;

  constructor(cluster: AbstractCluster, index: number) {
    super(cluster, `cpu${index}`);
    this.#cluster = cluster;
    this.index = index;
    this.frequency = cluster.frequency;
    this.#ticks = cluster.ticksPerCycle;
    this.#cells = this.state<Cells>({
      /** Local time: where the operation under way began or was last cut. */
      time: 0,
      due: 0,
      irq: false,
      virq: false,
      kicked: false,
      vmid: 0,
      /** Ticks in guests and at EL2, and exits, since reset. */
      guest: 0,
      hypervisor: 0,
      exits: 0,
    });
    this.#transaction.cpu = index;
    this.#transaction.exceptionLevel = 1;
    this.tlb = new StageTwoTlb(cluster.bus, this.#transaction);
    this.#memory = new MemoryPath(this, cluster, this.tlb, this.#transaction);
    this.initiator = { cpu: index, pc: () => this.#context?.program.name ?? "EL2" };
    this.#hypervisorTimer = this.event("CNTHP_deadline", () => this.hypervisorLine.raise());
    this.#virtualTimer = this.event("CNTV_deadline", () => this.virtualLine.raise());
  }

  // --- interrupt inputs

  readonly irq = (level: boolean): void => {
    this.#cells.irq = level;
    if (level) this.#attend();
  };
  readonly virtualIrq = (level: boolean): void => {
    this.#cells.virq = level;
    if (level && this.#context !== null && this.#takesVirtual(this.#context)) this.#attend();
  };

  #takesVirtual(context: AbstractContext): boolean {
    return this.#cells.virq && !context.masked && context.handlesInterrupts;
  }

  /** Something is pending: what can be interrupted ends now. */
  #attend(): void {
    if (this.#inExit) return; // looked at when the handler is done
    const cells = this.#cells;
    const context = this.#context;
    if (context !== null && context.status === BUSY && context.operation.kind !== COMPUTE) return;
    const at = Math.max(cells.time, this.simulation.now);
    if (at >= this.due) return;
    this.#setDue(at);
    this.#cluster.changed(at);
  }

  /** When this CPU has to do something next: the end of its operation, an interrupt, or NEVER. Local time is at most this. */
  get due(): Time {
    return this.#cluster.dues[this.index] as number;
  }
  #setDue(time: Time): void {
    this.#cluster.dues[this.index] = time;
    this.#cells.due = time;
  }

  // --- running

  /** Statistics: ticks spent in guests and at EL2, exits. */
  get guestTime(): Time {
    return this.#cells.guest;
  }
  get hypervisorTime(): Time {
    return this.#cells.hypervisor;
  }
  get exits(): number {
    return this.#cells.exits;
  }

  /** Does what is due at `time`; called by the cluster, which has set the simulation's time. */
  step(time: Time): void {
    const cells = this.#cells;
    const context = this.#context;
    if (context === null) {
      cells.time = time;
      cells.kicked = false;
      this.#leave("start", 0);
      return;
    }
    const passed = time - cells.time;
    cells.time = time;
    cells.guest += passed;
    if (context.status === BUSY) {
      context.remaining -= passed;
      if (context.remaining <= 0) context.status = READY;
    }
    if (cells.irq || cells.kicked) {
      cells.kicked = false;
      this.#leave("irq", 0);
      return;
    }
    if (cells.virq && this.#takesVirtual(context)) {
      context.enterInterrupt();
      context.remaining = this.#toTicks(this.#cluster.costs.interruptEntry);
      context.operation.kind = COMPUTE;
      context.status = BUSY;
    } else if (context.status !== BUSY) {
      if (context.status === READY) this.#ask(context);
      if (context.status === BEGIN && !this.#begin(context)) return;
    }
    this.#setDue(time + (context.status === BUSY ? context.remaining : 0));
  }

  #toTicks(cycles: number): number {
    return Math.round(cycles * this.#ticks);
  }

  /** Asks the routine for its next operation. */
  #ask(context: AbstractContext): void {
    const { routine } = context;
    context.time = this.#cells.time;
    context.operations++;
    context.status = BEGIN;
    const op = context.operation;
    try {
      const { abort } = context;
      context.abort = -1;
      const step = abort >= 0 ? routine.throw(new GuestAbort(abort)) : routine.next(context.result);
      context.result = 0;
      if (step.done !== true) return;
      if (context.inHandler) {
        context.leaveInterrupt();
        return;
      }
    } catch (error) {
      if (!(error instanceof GuestAbort)) throw error;
      this.guestError({ kind: "decode", address: error.address, detail: `${context.program.name}: ${error.message}` });
      context.abandon();
    }
    op.kind = HYPERCALL;
    op.low = 0;
    context.setRegister(0, PSCI_SYSTEM_OFF | 0, 0);
  }

  /** Begins the operation; false where it has left the guest. */
  #begin(context: AbstractContext): boolean {
    const { costs } = this.#cluster;
    const op = context.operation;
    switch (op.kind) {
      case COMPUTE:
        this.#cluster.takes(context, op.amount);
        return true;
      case LOAD:
      case STORE:
      case CLEAR_BITS:
        return this.#memory.access(context) || this.#abort();
      case READ_BLOCK:
      case WRITE_BLOCK:
        return this.#memory.block(context) || this.#abort();
      case WAIT:
        // WFI that has something to wake it does not trap (DDI 0487 D1.7.2)
        if (this.#cells.virq) {
          this.#cluster.takes(context, 1);
          return true;
        }
        this.#leave("wfi", ESR_WFX);
        return false;
      case YIELD:
        this.#leave("wfe", ESR_WFX | 1);
        return false;
      case HYPERCALL:
      case SECURE_CALL:
        // HVC's preferred return is the instruction behind it, SMC's (trapped by HCR_EL2.TSC) the SMC itself
        if (op.kind === HYPERCALL) this.#done(context);
        this.#leave(op.kind === HYPERCALL ? "hvc" : "smc", (op.kind === HYPERCALL ? ESR_HVC : ESR_SMC) | op.low);
        return false;
      case SET_TIMER:
        context.timerDeadline = Math.min(op.amount, NEVER);
        this.#armVirtualTimer(context.timerDeadline);
        this.#cluster.takes(context, costs.deviceWrite);
        return true;
      default:
        this.#cluster.takes(context, 1);
        return true;
    }
  }

  #done(context: AbstractContext): void {
    context.remaining = 0;
    context.status = READY;
  }

  /** Stage 2 data abort (ISS encoding of DDI 0487 D17.2.37): valid, no extension, register 0. */
  #abort(): false {
    const { address, size, write } = this.#memory.fault;
    const exit = this.#exit;
    exit.virtualAddress = address;
    exit.ipa = address;
    exit.valid = true;
    exit.size = size;
    exit.write = write;
    const sas = size === 8 ? 3 : size >> 1;
    const iss = (sas << 22) | (size === 8 ? 1 << 15 : 0) | (write ? 1 << 6 : 0) | this.tlb.fault.code;
    this.#leave("data abort", ESR_DATA_ABORT | iss);
    return false;
  }

  // --- EL2

  #leave(reason: ExitReason, syndrome: number): void {
    const { handler } = this;
    const cells = this.#cells;
    const exit = this.#exit;
    exit.reason = reason;
    exit.syndrome = syndrome >>> 0;
    if (reason !== "data abort") {
      exit.virtualAddress = 0;
      exit.ipa = 0;
      exit.valid = false;
      exit.size = 0;
      exit.write = false;
    }
    cells.exits++;
    if (handler === null) {
      this.#setDue(NEVER);
      return;
    }
    this.#inExit = true;
    this.#entered = cells.time;
    this.#spent = 1; // an exit takes time, so that an interrupt that nobody serves cannot stop it
    handler.exit(this, exit);
    this.#inExit = false;
    cells.time += this.#spent;
    cells.hypervisor += this.#spent;
    const context = this.#context;
    const pending = cells.irq || cells.kicked;
    if (context === null) this.#setDue(pending ? cells.time : NEVER);
    else if (pending || this.#takesVirtual(context) || context.status !== BUSY) this.#setDue(cells.time);
    else this.#setDue(cells.time + context.remaining);
  }

  get time(): Time {
    return this.#inExit ? this.#entered + this.#spent : Math.max(this.#cells.time, this.simulation.now);
  }
  spend(cycles: number): void {
    this.#spent += this.#toTicks(cycles);
  }

  get loaded(): VcpuContext | null {
    return this.#context;
  }

  load(context: VcpuContext, stage2: Stage2Root): void {
    if (!(context instanceof AbstractContext)) throw new TypeError("an abstract CPU runs abstract guests");
    if (this.#context !== null) this.unload();
    this.#context = context;
    this.#cells.vmid = stage2.vmid;
    this.tlb.setRoot(stage2);
    this.#armVirtualTimer(context.timerDeadline);
  }

  unload(): void {
    const context = this.#context;
    if (context === null) return;
    this.#context = null;
    this.#armVirtualTimer(NEVER);
  }

  sleep(): void {
    if (this.#context !== null) this.unload();
  }

  #armVirtualTimer(at: Time): void {
    this.#arm(this.#virtualTimer, this.virtualLine, at);
  }
  setTimer(at: Time): void {
    this.#arm(this.#hypervisorTimer, this.hypervisorLine, at);
  }
  #arm(event: Event, line: Line, at: Time): void {
    const isDue = at <= this.simulation.now;
    line.set(isDue);
    event.scheduleAt(isDue ? NEVER : at);
  }

  kick(): void {
    this.#cells.kicked = true;
    this.#attend();
  }

  low(register: number): number {
    return this.#context?.low(register) ?? 0;
  }
  high(register: number): number {
    return this.#context?.high(register) ?? 0;
  }
  setRegister(register: number, low: number, high: number): void {
    const context = this.#context;
    if (context === null) return;
    context.setRegister(register, low, high);
    const { kind } = context.operation;
    if (register === 0 && (kind === HYPERCALL || kind === SECURE_CALL)) context.result = low >>> 0;
  }

  /** No instructions, no floating point: there is nothing to give or to decode. */
  readonly instructions = null;
  /** There is no vector. */
  readonly faultsAtVector = false;
  giveFloatingPoint(): void {}
  get virtualTimerAsserted(): boolean {
    return this.virtualLine.level;
  }
  powerOn(index: number): void {
    this.#cluster.cpus[index]?.start();
  }
  /** Comes up; the handler is called with "start". */
  start(): void {
    if (this.due < NEVER || this.#context !== null) return;
    this.#cells.time = Math.max(this.#cells.time, this.simulation.now);
    this.#setDue(this.#cells.time);
    this.#cluster.changed(this.due);
  }

  get storedLow(): number {
    return this.#context?.operation.low ?? 0;
  }
  get storedHigh(): number {
    return this.#context?.operation.high ?? 0;
  }

  complete(low: number, high: number): void {
    const context = this.#context;
    if (context === null || context.status !== BEGIN) return;
    const op = context.operation;
    if (op.kind === LOAD) {
      context.result = op.size === 4 || op.size === 8 ? low >>> 0 : low & (op.size === 1 ? 0xff : 0xffff);
      op.high = op.size === 8 ? high >>> 0 : 0;
    } else if (op.kind === READ_BLOCK || op.kind === WRITE_BLOCK) {
      if (op.kind === READ_BLOCK) op.data[op.position] = low & 0xff;
      op.position++;
      return; // the rest is begun again
    }
    this.#done(context);
  }

  skip(): void {
    const context = this.#context;
    if (context !== null && context.status === BEGIN) this.#done(context);
  }

  injectAbort(): void {
    const context = this.#context;
    if (context === null || context.status !== BEGIN) return;
    context.abort = context.operation.address;
    this.#done(context);
  }
  /** Of a call that does not exist: the routine ends as by an abort. */
  injectUndefined(): void {
    const context = this.#context;
    if (context === null) return;
    context.abort = 0;
    this.#done(context);
  }

  /** Time is that of the handler, as far as no event comes before. */
  #reach(): Transaction {
    const { simulation } = this;
    const { observed } = this.#cluster;
    const now = Math.min(this.#entered + this.#spent, simulation.nextEventTime - 1);
    if (this.#inExit && now > observed && now > simulation.now) {
      this.#cluster.observed = now;
      simulation.now = now;
    }
    const tx = this.#transaction;
    tx.response = 0;
    tx.delay = 0;
    tx.exceptionLevel = 2;
    return tx;
  }
  #reached(tx: Transaction): void {
    tx.exceptionLevel = 1;
    this.#spent += tx.delay;
  }

  read(address: number, size: 1 | 2 | 4 | 8): number {
    const tx = this.#reach();
    const value = this.#cluster.bus.read(address, size, tx);
    this.#reached(tx);
    return tx.response === 0 ? value : 0;
  }
  write(address: number, size: 1 | 2 | 4 | 8, value: number): void {
    const tx = this.#reach();
    tx.high = size === 8 ? Math.floor(value / 2 ** 32) >>> 0 : 0;
    this.#cluster.bus.write(address, size, value >>> 0, tx);
    this.#reached(tx);
  }
  /** TLBI by VMID, of all CPUs (inner shareable): `length` bytes from `ipa`, or everything where `ipa` is negative. */
  invalidate(vmid: number, ipa: number, length: number): void {
    this.#cluster.invalidate(vmid, ipa, length);
  }

  protected override onReset(): void {
    this.#context = null;
    this.tlb.flush();
    this.#cells.time = this.simulation.now;
    this.#setDue(this.index === 0 ? this.simulation.now : NEVER);
  }
  protected override onRestore(): void {
    this.tlb.flush();
    this.#setDue(this.#cells.due);
  }
}
