/**
 * The generic timer of one CPU: physical and virtual counters, the EL1 physical and virtual and EL2 physical and virtual timers, the event stream;
 * DDI 0487J.a D12. Counts are computed from virtual time; a timer is one event at the instant its condition becomes true. The output
 * lines are levels, as the GIC's PPIs expect.
 */
import { type Event, Frequency, type Line, TICKS_PER_SECOND } from "../../sim/index.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import { offsetOf, type Register, type SysregName } from "./sysreg/table.ts";

const CNTVOFF_EL2 = offsetOf("CNTVOFF_EL2");
const CNTKCTL_EL1 = offsetOf("CNTKCTL_EL1");
const CNTHCTL_EL2 = offsetOf("CNTHCTL_EL2");

const ENABLE = 1;
const IMASK = 2;
const ISTATUS = 4;
const EVNTEN = 1 << 2;
const EVNTDIR = 1 << 3;

interface Timer {
  readonly value: number;
  readonly control: number;
  readonly compare: number;
  /** Counts from CNTVCT. */
  readonly virtual: boolean;
  readonly line: Line;
  readonly event: Event;
}

export class GenericTimer {
  readonly frequency: Frequency;
  /** Output of the EL1 physical timer (PPI 30), of the EL1 virtual timer (PPI 27), of the EL2 physical timer (PPI 26). */
  readonly physicalLine: Line;
  readonly virtualLine: Line;
  readonly hypervisorLine: Line;
  /** Output of the EL2 virtual timer (PPI 28), which VHE adds. */
  readonly hypervisorVirtualLine: Line;
  /** Ticks a count, 0 where that is no whole number. */
  readonly #period: number;
  readonly #cpu: Cpu;
  readonly #timers: readonly Timer[];
  readonly #stream: Event;
  // a 64-bit count
  #low = 0;
  #high = 0;

  constructor(cpu: Cpu, hz: number) {
    this.#cpu = cpu;
    this.frequency = new Frequency(hz);
    this.#period = TICKS_PER_SECOND % hz === 0 ? TICKS_PER_SECOND / hz : 0;
    this.physicalLine = cpu.line("CNTPNSIRQ");
    this.virtualLine = cpu.line("CNTVIRQ");
    this.hypervisorLine = cpu.line("CNTHPIRQ");
    this.hypervisorVirtualLine = cpu.line("CNTHVIRQ");
    this.#timers = [
      this.#timer("CNTP", "_EL0", false, this.physicalLine),
      this.#timer("CNTV", "_EL0", true, this.virtualLine),
      this.#timer("CNTHP", "_EL2", false, this.hypervisorLine),
      // counts as CNTVCT_EL0 does at EL2 with E2H: without an offset
      this.#timer("CNTHV", "_EL2", false, this.hypervisorVirtualLine),
    ];
    this.#stream = cpu.event("eventStream", () => cpu.wakeForEvent());
  }

  #timer(name: "CNTP" | "CNTV" | "CNTHP" | "CNTHV", level: "_EL0" | "_EL2", virtual: boolean, line: Line): Timer {
    const at = (what: string) => offsetOf(`${name}_${what}${level}` as SysregName);
    const timer: Timer = {
      value: at("TVAL"),
      control: at("CTL"),
      compare: at("CVAL"),
      virtual,
      line,
      event: this.#cpu.event(`${name}_deadline`, () => this.#evaluate(timer, this.#cpu.simulation.now)),
    };
    return timer;
  }

  /** Puts what a counter, TVAL or CTL is at `time` into MAIL_VALUE. */
  read(register: Register, time: number): void {
    const { context } = this.#cpu;
    const hook = register.hook;
    if (hook === "physicalCount" || hook === "virtualCount") {
      this.#count(time, hook === "virtualCount" && !this.#withoutOffset);
      context.set(L.MAIL_VALUE, this.#low, this.#high);
      return;
    }
    const timer = this.#byOffset(register.offset);
    this.#count(time, timer.virtual);
    if (hook === "timerControl") {
      const control = context.low(timer.control) & (ENABLE | IMASK);
      context.set(L.MAIL_VALUE, control | (this.#met(timer) ? ISTATUS : 0), 0);
    } else {
      context.set(L.MAIL_VALUE, (context.low(timer.compare) - this.#low) | 0, 0);
    }
  }

  /** For a VHE host CNTVCT_EL0 has no offset (D17.11.29). */
  get #withoutOffset(): boolean {
    const { context, exceptions } = this.#cpu;
    return context.el === 2 ? exceptions.isE2h : context.el === 0 && exceptions.isHost;
  }

  /** Writes TVAL, CTL or CVAL from MAIL_VALUE. */
  write(register: Register): void {
    const cpu = this.#cpu;
    if (!cpu.beginAccess()) return;
    const { context } = cpu;
    const timer = this.#byOffset(register.offset);
    const time = cpu.simulation.now;
    const low = context.low(L.MAIL_VALUE);
    if (register.hook === "timerControl") context.set(timer.control, low & (ENABLE | IMASK), 0);
    else if (register.hook === "timerCompare") context.set(timer.compare, low, context.high(L.MAIL_VALUE));
    else {
      this.#count(time, timer.virtual);
      const sum = (this.#low >>> 0) + (low >>> 0);
      const carry = sum > 0xffff_ffff ? 1 : 0;
      context.set(timer.compare, sum | 0, (this.#high + (low >> 31) + carry) | 0);
    }
    this.#evaluate(timer, time);
    cpu.endAccess();
  }

  /** An offset or control that all timers may depend on was written. */
  update(): void {
    const cpu = this.#cpu;
    if (!cpu.beginAccess()) return; // the write is done again with the same value
    for (const timer of this.#timers) this.#evaluate(timer, cpu.simulation.now);
    cpu.endAccess();
  }

  /** Lines and events from the registers, after reset. */
  reset(): void {
    for (const timer of this.#timers) this.#evaluate(timer, this.#cpu.simulation.now);
  }

  /** Wakes WFE at the next event of an event stream that is switched on (D12.2.5). */
  startStream(time: number): void {
    const { context } = this.#cpu;
    this.#stream.cancel();
    for (const [control, virtual] of [
      [context.low(CNTKCTL_EL1), true],
      [this.#cpu.el2 ? context.low(CNTHCTL_EL2) : 0, false],
    ] as const) {
      if ((control & EVNTEN) === 0) continue;
      this.#count(time, virtual);
      const bit = (control >>> 4) & 15;
      const period = 2 ** (bit + 1);
      const edge = (control & EVNTDIR) !== 0 ? 0 : 2 ** bit;
      const wait = (edge - (this.#low & (period - 1)) + period) % period || period;
      const at = this.frequency.timeOf(this.frequency.cyclesAt(time) + wait);
      if (!this.#stream.pending || at < this.#stream.deadline) this.#stream.scheduleAt(at);
    }
  }
  stopStream(): void {
    this.#stream.cancel();
  }

  #byOffset(offset: number): Timer {
    for (const t of this.#timers) {
      if (offset === t.value || offset === t.control || offset === t.compare) return t;
    }
    throw new Error("not a timer register");
  }

  #count(time: number, virtual: boolean): void {
    const count = this.#period === 0 ? this.frequency.cyclesAt(time) : Math.floor(time / this.#period);
    const low = count | 0;
    const high = Math.floor(count / 4294967296) | 0;
    if (!virtual) {
      this.#low = low;
      this.#high = high;
      return;
    }
    const { context } = this.#cpu;
    const offset = context.low(CNTVOFF_EL2);
    const borrow = low >>> 0 < offset >>> 0 ? 1 : 0;
    this.#low = (low - offset) | 0;
    this.#high = (high - context.high(CNTVOFF_EL2) - borrow) | 0;
  }

  /** The count just computed has reached the compare value (unsigned, 64 bits). */
  #met(timer: Timer): boolean {
    const { context } = this.#cpu;
    const high = context.high(timer.compare) >>> 0;
    if (this.#high >>> 0 !== high) return this.#high >>> 0 > high;
    return this.#low >>> 0 >= context.low(timer.compare) >>> 0;
  }

  #evaluate(timer: Timer, time: number): void {
    const { context } = this.#cpu;
    const control = context.low(timer.control);
    timer.event.cancel();
    if ((control & (ENABLE | IMASK)) !== ENABLE) {
      timer.line.set(false);
      return;
    }
    this.#count(time, timer.virtual);
    const met = this.#met(timer);
    // counts until the condition changes: the compare value, or the wrap of the virtual count to zero
    const toLow = met ? 0 : context.low(timer.compare);
    const toHigh = met ? 0 : context.high(timer.compare);
    const borrow = toLow >>> 0 < this.#low >>> 0 ? 1 : 0;
    const wait = ((toHigh - this.#high - borrow) >>> 0) * 4294967296 + ((toLow - this.#low) >>> 0);
    const at = this.frequency.cyclesAt(time) + wait;
    // beyond the range of time there is nothing to schedule
    if (wait > 0 && at < 2 ** 46) timer.event.scheduleAt(this.frequency.timeOf(at));
    timer.line.set(met);
  }
}
