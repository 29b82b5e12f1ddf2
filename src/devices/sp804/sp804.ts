/**
 * Dual-Timer Module (SP804), Arm DDI 0271D.
 *
 * Modelled: both counters in free-running, periodic and one-shot mode, 16 and 32 bits, prescaling, background load, raw and masked
 * interrupts with a line for each timer and the combined one, integration test registers. Counting costs nothing: values
 * follow from the time of an access, and an event waits only while an interrupt can come of it.
 * Not modelled: scan test.
 *
 * Where the manual is open:
 * - A load takes effect at the first enabled TIMCLK edge at or after the write (3.3.1) and reads back at once (3.3.2);
 *   zero comes Load decrements later, and a period is Load decrements long (2.2.5): in Periodic mode zero and the reloaded value
 *   are one state, VALUE shows the latter.
 * - The prescaler starts anew with a load, with TimerEn and with a change of TimerPre.
 * - A change of mode or size goes on from the current value. With 16 bits the upper half of VALUE stands still until the next load,
 *   which clears it. The undefined prescale 0b11 acts as 256, and is reported.
 * - Narrow accesses reach the written byte lanes only.
 */
import { type Hooks, RegisterBank } from "../../registers/index.ts";
import { type Event, Frequency, Module, NEVER, type Simulation } from "../../sim/index.ts";
import * as C from "./counter.ts";
import { SP804 } from "./registers.ts";

export interface Sp804Options {
  /** Frequency of TIMCLK in Hz; 1 MHz unless given. */
  readonly timclk?: number;
  /** TIMCLKEN1 and TIMCLKEN2 enable each n-th edge of TIMCLK; every edge unless given. */
  readonly timclken?: readonly [timer1: number, timer2: number];
}

export class Sp804 extends Module {
  readonly registers: RegisterBank<typeof SP804>;
  /** TIMINT1, TIMINT2 and TIMINTC, active high. */
  readonly timer1Interrupt = this.line("timer1Interrupt");
  readonly timer2Interrupt = this.line("timer2Interrupt");
  readonly combinedInterrupt = this.line("combinedInterrupt");
  readonly #timers: readonly [Timer, Timer];

  /** Throws RangeError for a clock that is no whole number of Hz or an enable that is no whole number of edges. */
  constructor(parent: Module | Simulation, name: string, options: Sp804Options = {}) {
    super(parent, name);
    const timclk = new Frequency(options.timclk ?? 1_000_000);
    const enables = options.timclken ?? [1, 1];
    for (const n of enables) {
      if (!Number.isSafeInteger(n) || n < 1)
        throw new RangeError(`${name}: timclken of ${n}: expected a whole number from 1`);
    }
    const timer = (index: 1 | 2): Timer => {
      const state = this.state(C.counterState(), `timer${index}`);
      const clock = new C.CounterClock(timclk, enables[index - 1] as number);
      return new Timer(
        this,
        index,
        state,
        clock,
        this.event(`timer${index}Zero`, () => this.#zero(index - 1)),
      );
    };
    this.#timers = [timer(1), timer(2)];
    const [one, two] = this.#timers;
    this.registers = this.part(
      "registers",
      new RegisterBank(this, SP804, {
        Timer1Load: one.load,
        Timer1Value: one.value,
        Timer1Control: one.control,
        Timer1IntClr: one.intClr,
        Timer1RIS: one.ris,
        Timer1MIS: one.mis,
        Timer1BGLoad: one.bgLoad,
        Timer2Load: two.load,
        Timer2Value: two.value,
        Timer2Control: two.control,
        Timer2IntClr: two.intClr,
        Timer2RIS: two.ris,
        Timer2MIS: two.mis,
        Timer2BGLoad: two.bgLoad,
        TimerITCR: { onWrite: () => this.updateLines() },
        TimerITOP: { onWrite: () => this.updateLines() },
      }),
    );
    const { values, slot } = this.registers;
    one.attach(values, slot.Timer1Load, slot.Timer1Control);
    two.attach(values, slot.Timer2Load, slot.Timer2Control);
  }

  /** Brings the interrupt lines up to date. Called by the timers. */
  updateLines(): void {
    const { values, slot } = this.registers;
    const testing = ((values[slot.TimerITCR] as number) & 1) !== 0;
    const test = values[slot.TimerITOP] as number;
    const one = testing ? (test & 1) !== 0 : this.#timers[0].asserted;
    const two = testing ? (test & 2) !== 0 : this.#timers[1].asserted;
    this.timer1Interrupt.set(one);
    this.timer2Interrupt.set(two);
    this.combinedInterrupt.set(one || two);
  }

  #zero(timer: number): void {
    (this.#timers[timer] as Timer).settle();
  }
}

/** One timer: its registers' behaviour around the counter. */
class Timer {
  readonly #owner: Sp804;
  readonly #index: 1 | 2;
  readonly #state: C.CounterState;
  readonly #clock: C.CounterClock;
  readonly #event: Event;
  #values: Int32Array = new Int32Array(2);
  #loadSlot = 0;
  #controlSlot = 1;

  constructor(owner: Sp804, index: 1 | 2, state: C.CounterState, clock: C.CounterClock, event: Event) {
    this.#owner = owner;
    this.#index = index;
    this.#state = state;
    this.#clock = clock;
    this.#event = event;
  }

  /** Where the bank keeps this timer's Load and Control registers. */
  attach(values: Int32Array, loadSlot: number, controlSlot: number): void {
    this.#values = values;
    this.#loadSlot = loadSlot;
    this.#controlSlot = controlSlot;
  }

  readonly load: Hooks = {
    onWrite: (_written, _mask, before) => {
      const s = this.#state;
      const value = this.#load;
      C.advance(s, this.#control, before >>> 0, this.#edge);
      s.count = value % C.modulus(this.#control);
      s.edge = this.#clock.edgeFrom(this.#owner.simulation.now);
      s.loaded = true;
      s.halted = false;
      this.settle();
    },
  };

  readonly value: Hooks = {
    get: () => C.valueAfter(this.#state, this.#control, this.#load, this.#ticks) | 0,
  };

  readonly control: Hooks = {
    onWrite: (_written, _mask, before) => {
      const s = this.#state;
      const control = this.#control;
      C.advance(s, before, this.#load, this.#edge);
      const changed = control ^ before;
      if ((control & C.CONTROL_OneShotCount) === 0) s.halted = false;
      const enabled = (changed & control & C.CONTROL_TimerEn) !== 0;
      // The first decrement is at the next edge, by the prescaler's count from here. A load that waits for its edge goes first, and a
      // loaded zero takes the next edge for its interrupt.
      if (enabled && s.loaded && s.count % C.modulus(control) === 0) {
        s.edge = Math.max(s.edge, this.#clock.edgeFrom(this.#owner.simulation.now));
      } else if (enabled || (changed & C.CONTROL_TimerPre) !== 0) s.edge = Math.max(s.edge, this.#edge);
      if ((control & C.CONTROL_TimerPre) === C.CONTROL_TimerPre) this.#remarkPrescale(control);
      this.settle();
    },
  };

  readonly intClr: Hooks = {
    onWrite: () => {
      C.advance(this.#state, this.#control, this.#load, this.#edge);
      this.#state.ris = false;
      this.settle();
    },
  };

  readonly ris: Hooks = { get: () => (this.#raw ? 1 : 0) };
  readonly mis: Hooks = { get: () => (this.asserted ? 1 : 0) };

  readonly bgLoad: Hooks = {
    get: () => this.#load | 0,
    onWrite: (written, mask) => {
      const load = this.#load;
      C.advance(this.#state, this.#control, load, this.#edge);
      this.#values[this.#loadSlot] = (load & ~mask) | written;
      this.settle();
    },
  };

  /** The masked interrupt, which drives the timer's line. */
  get asserted(): boolean {
    return (this.#control & C.CONTROL_IntEnable) !== 0 && this.#raw;
  }

  /** After a change or at a deadline: works out the interrupt and arms the event for the next zero that can raise it. */
  settle(): void {
    const s = this.#state;
    const control = this.#control;
    C.advance(s, control, this.#load, this.#edge);
    this.#owner.updateLines();
    const wanted = !s.ris && (control & C.CONTROL_IntEnable) !== 0;
    const zero = wanted ? C.nextZero(s, control, this.#load, this.#ticks) : Number.POSITIVE_INFINITY;
    const time = Number.isFinite(zero) ? this.#clock.timeOf(s.edge + zero * C.prescale(control)) : NEVER;
    if (time < NEVER) this.#event.scheduleAt(time);
    else this.#event.cancel();
  }

  get #load(): number {
    return (this.#values[this.#loadSlot] as number) >>> 0;
  }
  get #control(): number {
    return this.#values[this.#controlSlot] as number;
  }
  get #edge(): number {
    return this.#clock.edgeAt(this.#owner.simulation.now);
  }
  get #ticks(): number {
    return C.ticks(this.#state, this.#control, this.#edge);
  }
  /** Raw interrupt status now, whether or not the state has been worked out so far. */
  get #raw(): boolean {
    return this.#state.ris || C.zeroReached(this.#state, this.#control, this.#load, this.#ticks);
  }

  #remarkPrescale(control: number): void {
    const register = this.#index === 1 ? "Timer1Control" : "Timer2Control";
    this.#owner.guestError({
      kind: "value",
      register,
      offset: SP804.registers[register].at,
      write: true,
      value: control,
      clause: `${SP804.manual} 3.3.3`,
      detail: "undefined prescale: taken as 256",
    });
  }
}
