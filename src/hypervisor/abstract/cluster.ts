/**
 * Abstract CPUs on one bus. What they do next is done in the order of their local times (the lower index first at the same instant), each before
 * the next event of the simulation; an event that is due comes first. So a CPU that computes for ten milliseconds takes one step, nothing
 * that two of them share is seen out of order, and there is no quantum: only what a hypervisor does within one exit is not cut, and may end after
 * another CPU's next step has begun.
 */
import type { Arena, Target } from "../../bus/index.ts";
import {
  type Event,
  Module,
  NEVER,
  type Simulation,
  SnapshotError,
  type StateHash,
  type StateValue,
  type Time,
} from "../../sim/index.ts";
import { type CostTable, costTable } from "../costs.ts";
import { AbstractContext, BUSY } from "./context.ts";
import { AbstractCpu } from "./cpu.ts";
import type { GuestProgram } from "./program.ts";

export interface AbstractClusterOptions {
  readonly arena: Arena;
  readonly bus: Target;
  /** 1 to 8; 1 unless given. */
  readonly cpus?: number;
  /** Cycles a second; 1 GHz unless given, at most 10 GHz. */
  readonly frequency?: number;
  readonly costs?: CostTable;
}

/** After everything else at its instant. */
const RUN_PRIORITY = 1000;

export class AbstractCluster extends Module {
  readonly arena: Arena;
  readonly bus: Target;
  readonly frequency: number;
  /** Ticks of 100 ps a cycle. */
  readonly ticksPerCycle: number;
  readonly costs: CostTable;
  readonly cpus: readonly AbstractCpu[];
  /** `due` of every CPU side by side, for it is looked at before every step. */
  readonly dues: Float64Array;
  readonly #contexts: AbstractContext[] = [];
  /** The latest instant that an access has shown: time never goes back, whichever CPU looks. */
  readonly #cells = this.state({ observed: 0 });
  readonly #run: Event;
  #running = false;

  constructor(parent: Module | Simulation, name: string, options: AbstractClusterOptions) {
    super(parent, name);
    const { cpus = 1, frequency = 1_000_000_000 } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 8) throw new RangeError(`${cpus} CPUs: expected 1 to 8`);
    if (!Number.isSafeInteger(frequency) || frequency < 1_000_000 || frequency > 10_000_000_000) {
      throw new RangeError(`frequency of ${frequency} Hz: expected 1 MHz to 10 GHz`);
    }
    this.arena = options.arena;
    this.bus = options.bus;
    this.frequency = frequency;
    this.ticksPerCycle = 1e10 / frequency;
    this.costs = options.costs ?? costTable();
    this.#run = this.event("run", () => this.#slice(), RUN_PRIORITY);
    this.part("contexts", {
      save: () => this.#saveContexts(),
      load: () => undefined,
      reset: () => undefined,
      hash: (hash: StateHash) => {
        for (const context of this.#contexts) context.hash(hash);
      },
    });
    this.dues = new Float64Array(cpus).fill(NEVER);
    this.cpus = Array.from({ length: cpus }, (_, n) => new AbstractCpu(this, n));
    this.bus.onInvalidate?.(() => {
      for (const cpu of this.cpus) cpu.tlb.flush();
    });
  }

  /** A vCPU that runs `program`; its number is for the program. */
  createContext(program: GuestProgram, vcpu = 0): AbstractContext {
    const context = new AbstractContext(program, vcpu);
    this.#contexts.push(context);
    return context;
  }
  removeContext(context: AbstractContext): void {
    const at = this.#contexts.indexOf(context);
    if (at >= 0) this.#contexts.splice(at, 1);
  }

  /** TLBI, broadcast to all CPUs: `length` bytes from `ipa` of that VMID, or all of it where `ipa` is negative. */
  invalidate(vmid: number, ipa: number, length: number): void {
    for (const cpu of this.cpus) cpu.tlb.invalidate(vmid, ipa, length);
  }

  /** Where a routine stands cannot be saved, so neither can a machine on which one has begun or is loaded. */
  #saveContexts(): StateValue {
    const running = this.#contexts.find((c) => c.started);
    if (running) throw new SnapshotError(`guest program "${running.program.name}" is running and cannot be saved`);
    if (this.cpus.some((c) => c.loaded !== null)) throw new SnapshotError(`${this.fullName}: a guest is loaded`);
    return null;
  }

  /** The operation under way has had its effect and takes that many cycles. */
  takes(context: AbstractContext, cycles: number): void {
    context.remaining = Math.max(Math.round(cycles * this.ticksPerCycle), 1);
    context.status = BUSY;
  }

  get observed(): Time {
    return this.#cells.observed;
  }
  set observed(time: Time) {
    this.#cells.observed = time;
  }

  /** A CPU has something to do at `due`, earlier than it was known. */
  changed(due: Time): void {
    if (this.#running) return;
    const at = Math.max(due, this.simulation.now);
    if (at < this.#run.deadline || this.#run.position === -1) this.#run.scheduleAt(at);
  }

  #slice(): void {
    const { simulation, cpus, dues } = this;
    const cells = this.#cells;
    const instant = simulation.now;
    const { until } = simulation;
    this.#running = true;
    let next = NEVER;
    for (;;) {
      let soonest = 0;
      next = dues[0] as number;
      for (let n = 1; n < dues.length; n++) {
        const due = dues[n] as number;
        if (due < next) {
          next = due;
          soonest = n;
        }
      }
      if (next >= NEVER || next >= simulation.nextEventTime || next > until || simulation.pausing) break;
      simulation.now = next > cells.observed ? next : cells.observed;
      const cpu = cpus[soonest] as AbstractCpu;
      simulation.initiator = cpu.initiator;
      cpu.step(next);
    }
    this.#running = false;
    simulation.initiator = null;
    simulation.now = instant;
    if (next < NEVER) this.#run.scheduleAt(Math.max(next, instant));
  }

  protected override onReset(): void {
    for (const context of this.#contexts) context.reset();
    if (this.cpus.some((c) => c.due < NEVER)) this.changed(this.simulation.now);
  }
}
