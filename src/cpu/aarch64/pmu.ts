/**
 * The performance monitors of one CPU: PMUv3 of Armv8.0, six event counters and the cycle counter; DDI 0487J.a D13, D17.5. Modelled:
 * SW_INCR, INST_RETIRED, EXC_TAKEN, EXC_RETURN, CID_WRITE_RETIRED, CPU_CYCLES, CHAIN; PMCEID0_EL0 lists just these. Not modelled: events of
 * caches, TLBs and pipelines, which this CPU does not have; external access; export.
 *
 * Counts are exact and the same in every run: they follow from the instructions executed. Counters are brought up to date when software
 * looks, when the level changes, and at the block end behind an overflow that interrupts. A cycle is an instruction, or the time
 * of one that a counter or device access took beyond that; a CPU that sleeps has none.
 */
import type { Event, Line } from "../../sim/index.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import { offsetOf, type Register, type SysregName } from "./sysreg/table.ts";

export const PMU_COUNTERS = 6;
const CYCLES_BIT = 31;
const ALL_COUNTERS = (1 << PMU_COUNTERS) - 1;

const SW_INCR = 0x00;
const INST_RETIRED = 0x08;
const EXC_TAKEN = 0x09;
const EXC_RETURN = 0x0a;
const CID_WRITE_RETIRED = 0x0b;
const CPU_CYCLES = 0x11;
const CHAIN = 0x1e;
/** PMCEID0_EL0: bit n is event n. */
export const PMU_EVENTS = [SW_INCR, INST_RETIRED, EXC_TAKEN, EXC_RETURN, CID_WRITE_RETIRED, CPU_CYCLES, CHAIN].reduce(
  (bits, event) => bits + 2 ** event,
  0,
);

const PMCR = offsetOf("PMCR_EL0");
const ENABLED = offsetOf("PMCNTENSET_EL0");
const OVERFLOWS = offsetOf("PMOVSSET_EL0");
const INTERRUPTS = offsetOf("PMINTENSET_EL1");
const SELECT = offsetOf("PMSELR_EL0");
const CYCLES = offsetOf("PMCCNTR_EL0");
const CYCLE_FILTER = offsetOf("PMCCFILTR_EL0");
const MDCR_EL2 = offsetOf("MDCR_EL2");
const COUNTER = Array.from({ length: PMU_COUNTERS }, (_, n) => offsetOf(`PMEVCNTR${n}_EL0` as SysregName));
const TYPE = Array.from({ length: PMU_COUNTERS }, (_, n) => offsetOf(`PMEVTYPER${n}_EL0` as SysregName));

const PMCR_E = 1;
const PMCR_P = 2;
const PMCR_C = 4;
/** E, X, DP: what a write changes. D is RES0 and LC RES1 without AArch32. */
const PMCR_WRITABLE = 0x31 & ~0x10;
const MDCR_HPME = 1 << 7;
/** PMEVTYPER: P, U, NSH, evtCount (10 bits before FEAT_PMUv3p1). */
const TYPE_MASK = 0xc800_03ff | 0;
const FILTER_MASK = 0xc800_0000 | 0;
/** Values of PMSELR.SEL: the cycle counter. */
const SELECT_CYCLES = 31;

export class Pmu {
  /** Something counts. */
  active = false;
  /** The overflow interrupt (PPI 23), a level. */
  readonly line: Line;
  readonly #cpu: Cpu;
  readonly #lineEvent: Event;
  // totals up to which the counters are up to date; derived: saving brings them up to date first
  #instructions = 0;
  #cycles = 0;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.line = cpu.line("PMUIRQ");
    this.#lineEvent = cpu.event("pmuLine", () => this.line.set(this.#interrupting()));
  }

  /** After reset or a restore: counting starts from now. */
  restart(): void {
    this.#look();
    this.#derive();
  }
  reset(): void {
    this.#lineEvent.cancel();
    this.line.set(false);
    this.restart();
  }

  // --- counting

  /** Brings the counters up to date. */
  sync(): void {
    if (!this.active) return;
    const instructions = this.#cpu.instructions - this.#instructions;
    const cycles = this.#cpu.cycles - this.#cycles;
    if (instructions !== 0) this.#count(INST_RETIRED, instructions);
    if (cycles !== 0) this.#count(CPU_CYCLES, cycles);
    this.#look();
  }
  #look(): void {
    this.#instructions = this.#cpu.instructions;
    this.#cycles = this.#cpu.cycles;
  }

  /** An exception is taken, before the level changes. Of those that instructions make on purpose (SVC...), the instruction has retired. */
  exceptionTaken(retired: boolean): void {
    this.sync();
    this.#count(EXC_TAKEN, 1);
    if (retired) this.#count(INST_RETIRED, 1);
    this.#count(CPU_CYCLES, 1);
    // the entry is counted as an instruction, which has been accounted for here
    this.#instructions++;
    this.#cycles++;
  }
  /** After an exception return is counted, before the level changes. */
  exceptionReturned(): void {
    this.sync();
    this.#count(EXC_RETURN, 1);
  }
  contextWritten(): void {
    if (!this.active) return;
    this.sync();
    this.#count(CID_WRITE_RETIRED, 1);
  }
  /** The level has changed: overflows are due at other counts. */
  levelChanged(): void {
    const { context } = this.#cpu;
    const limit = context.low(L.COUNT) + this.untilOverflow() * 16;
    if (limit < context.low(L.LIMIT)) context.setLow(L.LIMIT, limit);
  }

  /** Where interrupts are sampled: makes the interrupt follow the counters. */
  atBlockEnd(time: number): void {
    this.sync();
    this.#drive(time);
  }

  /** Where the line has to change, it does so in an event, which accesses to the interrupt controller then wait for. */
  #drive(time: number): void {
    if (this.#interrupting() === this.line.level || this.#lineEvent.pending) return;
    this.#lineEvent.scheduleAt(Math.max(time, this.#cpu.simulation.now));
    this.#cpu.cluster.eventMade();
  }

  /** Instructions until the next overflow that interrupts, at the current level; at least 1, at most 2^26. */
  untilOverflow(): number {
    const { context } = this.#cpu;
    const armed = this.#running() & context.low(INTERRUPTS) & ~context.low(OVERFLOWS);
    if (armed === 0) return 0x400_0000;
    // what has been counted since the counters were brought up to date
    let left = 0x400_0000;
    for (let n = 0; n < PMU_COUNTERS; n++) {
      if ((armed & (1 << n)) === 0) continue;
      const chained = this.#event(n) === CHAIN;
      left = Math.min(left, this.#left(chained ? n - 1 : n));
    }
    if (armed < 0 && context.high(CYCLES) === -1 && this.#passes(context.low(CYCLE_FILTER))) {
      left = Math.min(left, 4294967296 - (context.low(CYCLES) >>> 0) - (this.#cpu.cycles - this.#cycles));
    }
    return Math.max(left, 1);
  }
  /** Counts left before event counter `n` wraps, as instructions. */
  #left(n: number): number {
    const { context } = this.#cpu;
    if (n < 0 || !this.#passes(context.low(TYPE[n] as number))) return 0x400_0000;
    const event = this.#event(n);
    if (event !== INST_RETIRED && event !== CPU_CYCLES) return 0x400_0000;
    const since = event === CPU_CYCLES ? this.#cpu.cycles - this.#cycles : this.#cpu.instructions - this.#instructions;
    return 4294967296 - (context.low(COUNTER[n] as number) >>> 0) - since;
  }

  #event(n: number): number {
    return this.#cpu.context.low(TYPE[n] as number) & 0x3ff;
  }

  /** Counters that are on: PMCR.E and PMCNTENSET; those from MDCR_EL2.HPMN on are EL2's, by MDCR_EL2.HPME. */
  #running(): number {
    const { context } = this.#cpu;
    const own = this.#guestCounters();
    const on =
      ((context.low(PMCR) & PMCR_E) !== 0 ? own | (1 << CYCLES_BIT) : 0) |
      ((context.low(MDCR_EL2) & MDCR_HPME) !== 0 ? ALL_COUNTERS & ~own : 0);
    return on & context.low(ENABLED);
  }
  /** The event counters that EL1 and EL0 have. A value of HPMN above the number of counters gives all (a choice). */
  #guestCounters(): number {
    const { context, el2 } = this.#cpu;
    if (!el2) return ALL_COUNTERS;
    return (1 << Math.min(context.low(MDCR_EL2) & 31, PMU_COUNTERS)) - 1;
  }
  /** Counters and bits that the current level may see. */
  #visible(): number {
    return (this.#cpu.context.el === 2 ? ALL_COUNTERS : this.#guestCounters()) | (1 << CYCLES_BIT);
  }

  /** The current level is counted: P excludes EL1, U excludes EL0, NSH includes EL2. */
  #passes(filter: number): boolean {
    const { el } = this.#cpu.context;
    if (el === 2) return (filter & (1 << 27)) !== 0;
    return (filter & (el === 1 ? 1 << 31 : 1 << 30)) === 0;
  }

  #count(event: number, n: number): void {
    const { context } = this.#cpu;
    const running = this.#running();
    for (let i = 0; i < PMU_COUNTERS; i++) {
      if ((running & (1 << i)) === 0 || this.#event(i) !== event) continue;
      if (this.#passes(context.low(TYPE[i] as number))) this.#add(i, n);
    }
    if (event === CPU_CYCLES && running < 0 && this.#passes(context.low(CYCLE_FILTER))) {
      const sum = (context.low(CYCLES) >>> 0) + n;
      const high = (context.high(CYCLES) >>> 0) + Math.floor(sum / 4294967296);
      context.set(CYCLES, sum | 0, high | 0);
      if (high > 0xffff_ffff) this.#overflowed(CYCLES_BIT);
    }
  }
  #add(i: number, n: number): void {
    const { context } = this.#cpu;
    const at = COUNTER[i] as number;
    const sum = (context.low(at) >>> 0) + n;
    context.set(at, sum | 0, 0);
    const wraps = Math.floor(sum / 4294967296);
    if (wraps === 0) return;
    this.#overflowed(i);
    // an odd counter may count the overflows of the even one below it
    const odd = i + 1;
    if ((i & 1) !== 0 || this.#event(odd) !== CHAIN || (this.#running() & (1 << odd)) === 0) return;
    if (this.#passes(context.low(TYPE[odd] as number))) this.#add(odd, wraps);
  }
  #overflowed(bit: number): void {
    const { context } = this.#cpu;
    context.setLow(OVERFLOWS, context.low(OVERFLOWS) | (1 << bit));
  }

  /** The level of the interrupt (CheckForPMUOverflow). */
  #interrupting(): boolean {
    const { context } = this.#cpu;
    const own = this.#guestCounters() | (1 << CYCLES_BIT);
    const on =
      ((context.low(PMCR) & PMCR_E) !== 0 ? own : 0) |
      ((context.low(MDCR_EL2) & MDCR_HPME) !== 0 ? ALL_COUNTERS & ~own : 0);
    return (on & context.low(INTERRUPTS) & context.low(OVERFLOWS)) !== 0;
  }

  // --- registers

  /** Puts the value of `register` into MAIL_VALUE. */
  read(register: Register): true {
    const { context } = this.#cpu;
    this.sync();
    const give = (low: number, high = 0): true => {
      context.set(L.MAIL_VALUE, low, high);
      return true;
    };
    const visible = this.#visible();
    switch (register.name) {
      case "PMCR_EL0": {
        const counters = context.el === 2 ? PMU_COUNTERS : Math.min(PMU_COUNTERS, popcount(this.#guestCounters()));
        return give((context.low(PMCR) & ~0xf800) | (counters << 11));
      }
      case "PMCNTENSET_EL0":
      case "PMCNTENCLR_EL0":
        return give(context.low(ENABLED) & visible);
      case "PMOVSSET_EL0":
      case "PMOVSCLR_EL0":
        return give(context.low(OVERFLOWS) & visible);
      case "PMINTENSET_EL1":
      case "PMINTENCLR_EL1":
        return give(context.low(INTERRUPTS) & visible);
      case "PMXEVTYPER_EL0": {
        const at = this.#selected(TYPE);
        if (context.low(SELECT) === SELECT_CYCLES) return give(context.low(CYCLE_FILTER));
        return give(at < 0 ? 0 : context.low(at));
      }
      case "PMXEVCNTR_EL0": {
        const at = this.#selected(COUNTER);
        return give(at < 0 ? 0 : context.low(at));
      }
      default: {
        // PMCCNTR, PMEVCNTRn, PMEVTYPERn
        const n = index(register.name);
        if (n >= 0 && (visible & (1 << n)) === 0) return give(0);
        return give(context.low(register.offset), context.high(register.offset));
      }
    }
  }

  /** Writes MAIL_VALUE to `register`. */
  write(register: Register): void {
    this.sync();
    this.#write(register);
    this.#derive();
    this.#drive(this.#cpu.cluster.accessTime(this.#cpu));
    if (this.active) this.levelChanged();
  }

  #write(register: Register): void {
    const { context } = this.#cpu;
    const low = context.low(L.MAIL_VALUE);
    const high = context.high(L.MAIL_VALUE);
    const visible = this.#visible();
    const set = (offset: number) => context.setLow(offset, context.low(offset) | (low & visible));
    const clear = (offset: number) => context.setLow(offset, context.low(offset) & ~(low & visible));
    switch (register.name) {
      case "PMCR_EL0":
        context.setLow(PMCR, (context.low(PMCR) & ~PMCR_WRITABLE) | (low & PMCR_WRITABLE));
        if ((low & PMCR_P) !== 0) {
          COUNTER.forEach((at, n) => {
            if ((visible & (1 << n)) !== 0) context.set(at, 0, 0);
          });
        }
        if ((low & PMCR_C) !== 0) context.set(CYCLES, 0, 0);
        return;
      case "PMCNTENSET_EL0":
        set(ENABLED);
        return;
      case "PMCNTENCLR_EL0":
        clear(ENABLED);
        return;
      case "PMOVSSET_EL0":
        set(OVERFLOWS);
        return;
      case "PMOVSCLR_EL0":
        clear(OVERFLOWS);
        return;
      case "PMINTENSET_EL1":
        set(INTERRUPTS);
        return;
      case "PMINTENCLR_EL1":
        clear(INTERRUPTS);
        return;
      case "PMSWINC_EL0":
        for (let n = 0; n < PMU_COUNTERS; n++) {
          const counts = (low & visible & this.#running() & (1 << n)) !== 0 && this.#event(n) === SW_INCR;
          if (counts && this.#passes(context.low(TYPE[n] as number))) this.#add(n, 1);
        }
        return;
      case "PMXEVTYPER_EL0": {
        const at = this.#selected(TYPE);
        if (context.low(SELECT) === SELECT_CYCLES) context.set(CYCLE_FILTER, low & FILTER_MASK, 0);
        else if (at >= 0) context.set(at, low & TYPE_MASK, 0);
        return;
      }
      case "PMXEVCNTR_EL0": {
        const at = this.#selected(COUNTER);
        if (at >= 0) context.set(at, low, 0);
        return;
      }
      case "PMCCNTR_EL0":
        context.set(CYCLES, low, high);
        return;
      default: {
        const n = index(register.name);
        if (n < 0 || (visible & (1 << n)) !== 0) context.set(register.offset, low & register.maskLow, 0);
      }
    }
  }

  /** Offset of the register of `list` that PMSELR selects, -1 where the level has none. */
  #selected(list: readonly number[]): number {
    const n = this.#cpu.context.low(SELECT) & 31;
    return n < PMU_COUNTERS && (this.#visible() & (1 << n)) !== 0 ? (list[n] as number) : -1;
  }

  /** After registers have changed. */
  #derive(): void {
    const active = this.#running() !== 0;
    if (active && !this.active) this.#look();
    this.active = active;
  }
  /** MDCR_EL2 has been written, after `sync`. */
  controlsChanged(): void {
    this.#derive();
  }
}

/** n of PMEVCNTRn_EL0 and PMEVTYPERn_EL0, -1 for other names. */
function index(name: string): number {
  const m = /^PMEV(?:CNTR|TYPER)(\d)_EL0$/.exec(name);
  return m === null ? -1 : Number(m[1]);
}
function popcount(bits: number): number {
  let n = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) n++;
  return n;
}
