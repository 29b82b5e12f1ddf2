/**
 * The CPUs of a machine: one engine, one run event, a turn for each CPU.
 *
 * The run event starts a *slice*: each CPU in index order runs up to the slice's end, the next event of the simulation or
 * one quantum from now, whichever is first. A slice does not depend on how far the host lets the simulation run, and one that is cut
 * short by a pause or a breakpoint goes on where it was; so neither changes a result. Local times of CPUs may differ by a
 * quantum; time seen by accesses and counters never goes back, whichever CPU looks.
 *
 * Exclusives across CPUs: a store-exclusive succeeds only if memory still holds what was loaded, and each CPU's monitor is cleared at the
 * end of its slice, before another CPU can have stored; clearing is an event for WFE.
 */
import type { Arena, DirectRegion, Target } from "../../bus/index.ts";
import { type Event, Module, type Simulation, US } from "../../sim/index.ts";
import { Cpu, LEAVE_EL2, LEAVE_SLEEP, LEAVE_STOP } from "./cpu.ts";
import { Debugger } from "./debug.ts";
import { Interpreter, InterpreterCode } from "./engine/interpreter.ts";
import * as L from "./engine/layout.ts";
import { Psci } from "./psci.ts";
import { absentInstructions, type CpuModel, cpuModel } from "./sysreg/models.ts";
import { RegisterTable } from "./sysreg/table.ts";

export interface ClusterOptions {
  readonly arena: Arena;
  /** What the CPUs' accesses go to. */
  readonly bus: Target;
  /** The compiled interpreter, to share between machines; made when absent (some 20 ms). */
  readonly code?: InterpreterCode;
  /** A model of `sysreg/models.ts` or its name; default "cortex-a57". */
  readonly model?: CpuModel | string;
  /** 1 to 8; default 1. */
  readonly cpus?: number;
  /** EL2 is implemented and CPUs start there; default false. */
  readonly el2?: boolean;
  /** How PSCI is called; default "smc" with EL2, else "hvc". */
  readonly psci?: Conduit;
  /** PC of CPU 0 after reset, below 2^32; default 0. */
  readonly resetAddress?: number;
  /** CNTFRQ_EL0 in hertz; default 62,500,000, as QEMU's `virt`. */
  readonly counterFrequency?: number;
  /** Ticks of 100 ps an instruction takes; default 10 (1 GHz). */
  readonly ticksPerInstruction?: number;
  /**
   * Ticks that reading a counter or timer register takes beyond its instruction; default 500 (50 ns). Real cores take about that long, and loops
   * that wait by polling a counter reach their end in as many fewer instructions.
   */
  readonly counterLatency?: number;
  /** Longest slice in ticks; default 100 us for one CPU, 10 us for more. */
  readonly quantum?: number;
  /** Decoded pages kept; default 2048. */
  readonly decodedPages?: number;
}

/**
 * Stands in for software at EL2: where a CPU would run code there, from its reset or exception vectors, `run` is called instead, at the CPU's
 * local time. On return the CPU has left EL2 by `exceptions.return`, sleeps, or is at EL2 still and comes back at once.
 */
export interface El2Software {
  run(cpu: Cpu): void;
}

export type Conduit = "hvc" | "smc" | "none";
export type PowerRequest = "off" | "reset";

type ClusterCells = { active: boolean; end: number; next: number; observed: number; request: string };

const NOWHERE: DirectRegion = { start: 1, end: 0, arenaAt: 0, writable: false };
/** After everything else at its instant. */
const RUN_PRIORITY = 1000;

export class Cluster extends Module {
  readonly arena: Arena;
  readonly bus: Target;
  readonly model: CpuModel;
  readonly el2: boolean;
  readonly conduit: Conduit;
  readonly resetAddress: number;
  readonly counterFrequency: number;
  readonly ticksPerInstruction: number;
  readonly counterLatency: number;
  readonly quantum: number;
  readonly cpus: readonly Cpu[];
  readonly psci: Psci;
  readonly debugger: Debugger;
  readonly engine: Interpreter;
  /**
   * Called, at an event of its own after the call, when the guest asks PSCI to switch off or reset. Unless set, the simulation pauses.
   */
  onPowerRequest: ((request: PowerRequest) => void) | null = null;
  /** What an import returns after an exception to EL2. */
  el2Status: number = L.REFETCH;
  #el2Software: El2Software | null = null;
  readonly #cells: ClusterCells;
  readonly #run: Event;
  readonly #power: Event;
  /** Inside a slice; the CPU whose turn it is. */
  #current: Cpu | null = null;
  /** Time outside the access under way. */
  #outside = 0;
  /** The regions that the last pages were found in. */
  #readable: DirectRegion = NOWHERE;
  #writable: DirectRegion = NOWHERE;
  readonly #kickCurrent = () => this.#current?.kick();

  constructor(parent: Module | Simulation, name: string, options: ClusterOptions) {
    super(parent, name);
    const model = typeof options.model === "object" ? options.model : cpuModel(options.model ?? "cortex-a57");
    if (model === undefined) throw new RangeError(`${this.fullName}: no CPU model is named "${String(options.model)}"`);
    const count = options.cpus ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > 8) {
      throw new RangeError(`${this.fullName}: ${count} CPUs: expected 1 to 8`);
    }
    this.arena = options.arena;
    this.bus = options.bus;
    this.model = model;
    this.el2 = options.el2 ?? false;
    this.conduit = options.psci ?? (this.el2 ? "smc" : "hvc");
    this.resetAddress = options.resetAddress ?? 0;
    this.counterFrequency = options.counterFrequency ?? 62_500_000;
    this.ticksPerInstruction = options.ticksPerInstruction ?? 10;
    this.counterLatency = options.counterLatency ?? 500;
    this.quantum = options.quantum ?? (count === 1 ? 100 * US : 10 * US);
    this.#cells = this.state<ClusterCells>({
      /** A slice is under way (only while paused inside one): its end, and the CPU whose turn it is. */
      active: false,
      end: 0,
      next: 0,
      /** The latest instant that an access or a counter has shown. */
      observed: 0,
      request: "",
    });
    this.#run = this.event("run", () => this.#slice(), RUN_PRIORITY);
    this.#power = this.event("power", () => this.#powerRequested());
    this.psci = new Psci(this);
    const index = (context: number) => (this.#current ?? this.#find(context)) as Cpu;
    this.engine = new Interpreter(
      options.code ?? new InterpreterCode(),
      this.arena,
      {
        fetch: (context) => index(context).fetch(),
        load: (context, size) => index(context).data.load(size),
        store: (context, size) => index(context).data.store(size),
        sysreg: (context, encoding, write) => index(context).registers.access(encoding, write !== 0),
        system: (context, kind) => index(context).system.execute(kind),
      },
      {
        ...(options.decodedPages === undefined ? {} : { pages: options.decodedPages }),
        absent: absentInstructions(model),
        onCode: (page, at) => this.#eachSet((set) => set.setCode(page * 4096, at)),
        onDrop: (at) => this.#eachSet((set) => set.flushDecoded(at)),
      },
    );
    this.cpus = Array.from({ length: count }, (_, i) => new Cpu(this, i, this.#table(i)));
    this.debugger = new Debugger(this);
    this.arena.onCodeWrite = (address, length) => this.codeWritten(address, length);
    this.bus.onInvalidate?.((address, length) => {
      this.#readable = NOWHERE;
      this.#writable = NOWHERE;
      this.#eachSet((set) => set.flushPhysical(address, address + length));
    });
  }

  #table(index: number): RegisterTable {
    const { model } = this;
    const values = model.values;
    const affinity = ((index >> 3) << 8) | (index & 7);
    return new RegisterTable({
      el2: this.el2,
      features: new Set(model.features),
      breakpoints: model.breakpoints,
      watchpoints: model.watchpoints,
      values: {
        ...values,
        ID_AA64PFR0_EL1: (values["ID_AA64PFR0_EL1"] ?? 0) | (this.el2 ? 0x100 : 0),
        MPIDR_EL1: 0x8000_0000 + affinity,
        VMPIDR_EL2: 0x8000_0000 + affinity,
        VPIDR_EL2: values["MIDR_EL1"] ?? 0,
        CNTFRQ_EL0: this.counterFrequency,
        RVBAR_EL1: this.resetAddress,
        RVBAR_EL2: this.resetAddress,
      },
    });
  }

  /** The Virtualization Host Extensions are there. */
  get hasVhe(): boolean {
    return this.el2 && this.model.features.includes("VHE");
  }

  /** Puts `software` at EL2 of all CPUs; null gives EL2 back to the guest's code. */
  set el2Software(software: El2Software | null) {
    this.#el2Software = software;
    this.el2Status = software === null ? L.REFETCH : LEAVE_EL2;
  }
  get el2Software(): El2Software | null {
    return this.#el2Software;
  }

  /** The system registers of a CPU of this cluster. */
  registerTable(): RegisterTable {
    return (this.cpus[0] as Cpu).registers.table;
  }

  #find(context: number): Cpu | undefined {
    return this.cpus.find((c) => c.context.base === context);
  }

  #eachSet(visit: (set: Cpu["mmu"]["sets"][number]) => void): void {
    if (this.cpus === undefined) return; // while the cluster is being built
    for (const cpu of this.cpus) for (const set of cpu.mmu.sets) visit(set);
  }

  // --- memory

  /** Arena address of the physical page at `page` if the CPUs may reach it directly, else -1. */
  arenaPage(page: number, write: boolean): number {
    let region = write ? this.#writable : this.#readable;
    if (page < region.start || page + 4096 > region.end) {
      const found = this.bus.direct?.(page, write);
      if (!found || page < found.start || page + 4096 > found.end || (write && !found.writable)) return -1;
      region = found;
      if (write) this.#writable = found;
      else this.#readable = found;
    }
    return region.arenaAt + (page - region.start);
  }

  // --- decoded code

  /** The decoded page of the code at an arena address. */
  codePage(at: number): number {
    return this.engine.codeCache.page(at);
  }
  /** The same, 0 where nothing is decoded. */
  decodedPage(at: number): number {
    return this.engine.codeCache.find(at);
  }
  codeWritten(at: number, length: number): void {
    this.engine.codeCache.written(at, length);
  }

  // --- time

  /** The instant of an access by `cpu`: its local time, but not before what another CPU has seen; outside its turn the present. */
  accessTime(cpu: Cpu): number {
    if (this.#current === cpu) return Math.max(cpu.localTime, this.#cells.observed);
    return cpu.isRunning ? Math.max(cpu.localTime, this.simulation.now) : this.simulation.now;
  }
  get sliceEnd(): number {
    return this.#cells.end;
  }
  observed(time: number): void {
    this.#cells.observed = time;
  }

  /** Time is `time` until `accessDone`. */
  accessBegins(time: number): void {
    const { simulation } = this;
    this.#cells.observed = time;
    this.#outside = simulation.now;
    simulation.now = time;
  }
  accessDone(): void {
    this.simulation.now = this.#outside;
    this.#shorten();
  }

  /** An event has been scheduled in the turn of a CPU, outside an access. */
  eventMade(): void {
    this.#shorten();
  }

  /** The slice ends at the latest at an event that has been made during it. */
  #shorten(): void {
    const next = this.simulation.nextEventTime;
    if (this.#current !== null && next < this.#cells.end) {
      this.#cells.end = next;
      this.#current.kick();
    }
  }

  /** Some CPU has become runnable at `time`. */
  woken(time: number): void {
    if (this.#current !== null) return; // the slice looks at all CPUs when it ends
    const at = Math.max(time, this.simulation.now);
    if (at < this.#run.deadline) this.#run.scheduleAt(at);
  }

  /** The rest of the slice passes for `cpu` without it: it polls for something that others do. */
  yieldSlice(cpu: Cpu): void {
    cpu.fold();
    cpu.skipTo(this.#cells.end);
  }

  sendEvent(): void {
    for (const cpu of this.cpus) cpu.wakeForEvent();
  }

  /** PSCI SYSTEM_OFF and SYSTEM_RESET: `cpu` runs no more, the request is an event. */
  powerRequest(cpu: Cpu, request: PowerRequest): number {
    this.#cells.request = request;
    const status = cpu.powerOff();
    this.#power.scheduleAt(this.accessTime(cpu));
    this.#shorten();
    return status;
  }

  #powerRequested(): void {
    const request = this.#cells.request as PowerRequest;
    this.#cells.request = "";
    if (this.onPowerRequest !== null) this.onPowerRequest(request);
    else this.simulation.pause();
  }

  // --- running

  #slice(): void {
    const { simulation } = this;
    const cells = this.#cells;
    const now = simulation.now;
    if (!cells.active) {
      cells.active = true;
      cells.next = 0;
      cells.end = now + this.quantum;
    }
    cells.end = Math.min(cells.end, simulation.nextEventTime);
    simulation.onHorizon = this.#kickCurrent;
    void simulation.horizon; // asking for it makes the kernel tell of changes
    while (cells.next < this.cpus.length) {
      const cpu = this.cpus[cells.next] as Cpu;
      this.#turn(cpu);
      if (simulation.pausing) break;
      cells.next++;
    }
    simulation.onHorizon = null;
    if (cells.next < this.cpus.length) {
      this.#run.scheduleAt(now);
      return;
    }
    cells.active = false;
    let next = Number.POSITIVE_INFINITY;
    for (const cpu of this.cpus) if (cpu.isRunning && cpu.time < next) next = cpu.time;
    if (next < Number.POSITIVE_INFINITY) this.#run.scheduleAt(Math.max(next, now));
  }

  /** Runs `cpu` to the end of the slice, or until it sleeps, has to wait for an event, or the simulation pauses. */
  #turn(cpu: Cpu): void {
    const { simulation, engine } = this;
    const cells = this.#cells;
    const { context } = cpu;
    const el2Software = this.#el2Software;
    this.#current = cpu;
    simulation.initiator = cpu.initiator;
    if (cpu.debug.held) cpu.skipTo(cells.end);
    while (cpu.isRunning && !simulation.pausing) {
      if (cpu.time >= cells.end && (cpu.atBlockEnd || cpu.isStalled || cpu.debug.held)) break;
      if (cpu.atBlockEnd) cpu.sampleInterrupts();
      if (el2Software !== null && cpu.context.el === 2) {
        if (!cpu.runEl2(el2Software)) break;
        continue;
      }
      const looked = cpu.selfHosted.everyInstruction;
      if (looked && cpu.debugException()) {
        cpu.debug.stepped();
        continue;
      }
      const single = cpu.debug.singleStep || looked;
      cpu.arm(cells.end, single);
      const status = single ? engine.step(context.base) : engine.run(context.base);
      cpu.left(status);
      if (looked && (status === L.RUN_LIMIT || status === LEAVE_SLEEP)) cpu.selfHosted.after();
      if (status === L.RUN_BREAKPOINT || status === LEAVE_STOP) cpu.debug.stopped(status);
      else if (single) cpu.debug.stepped();
      if (cpu.pmu.active && cpu.atBlockEnd) cpu.pmu.atBlockEnd(cpu.time);
      if (cpu.isStalled) break;
    }
    // a turn that ends at the end of the slice closes the monitor; one that a pause has cut short does not
    if (!simulation.pausing) this.#closeMonitor(cpu);
    this.#current = null;
    simulation.initiator = null;
  }

  #closeMonitor(cpu: Cpu): void {
    const { context } = cpu;
    if (context.low(L.EXCLUSIVE_ADDRESS) === -1 && context.high(L.EXCLUSIVE_ADDRESS) === -1) return;
    context.set(L.EXCLUSIVE_ADDRESS, -1, -1);
    cpu.wakeForEvent();
  }

  protected override onReset(): void {
    if (this.cpus.some((c) => c.isRunning)) this.woken(this.simulation.now);
  }
}
