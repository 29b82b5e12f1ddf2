/**
 * PrimeCell Real Time Clock (PL031) r1p3, Arm DDI 0224C.
 *
 * Modelled: the counter, the update block with its offset and equivalent match value, the alarm, all registers with the test
 * registers. CLK1HZ is virtual time; its edges are the whole seconds since time 0. Counting costs nothing: one event waits for
 * the alarm, if that is within reach.
 * Not modelled: scan test; the two PCLK cycles that an update takes.
 *
 * Where the manual is open:
 * - The counter is called free-running (2.2.6), started by RTCCR (2.2.4), reset to 0 (table 3-1) and counting up from 1 (2.1). Here it
 *   is 0 and stands until RTCCR starts it; the first CLK1HZ edge then makes it 1.
 * - A write of RTCCR after the start sets the RTC value to zero (3.3.4); the RTC stays enabled. Issue B of the manual lets such a write
 *   do nothing, and U-Boot and Linux rely on it: option `restart`.
 * - RTCICR clears by a one in bit 0 (3.3.8, 3.6), not by any value (2.1).
 * - The interrupt is raised when a running RTC comes to equal RTCMR, be it by counting, by RTCLR or by RTCMR; while equality lasts, a cleared
 *   interrupt stays clear.
 * - All resets are power-on resets (nPOR and nRTCRST with PRESETn), except that with `base` the time of day goes on.
 * - Narrow accesses reach the written byte lanes only.
 */
import { RegisterBank } from "../../registers/index.ts";
import { Frequency, Module, NEVER, type Simulation } from "../../sim/index.ts";
import { PL031 } from "./registers.ts";

export interface Pl031Options {
  /**
   * Seconds since 1970 at time 0. When given, the RTC has been running on its battery: it is started, and holds this time plus the
   * time that has passed. Unless given it comes up as the manual has it, stopped at 0.
   */
  readonly base?: number;
  /**
   * What a write of RTCCR does to a running RTC: "reset" its value to zero (DDI 0224C), or "ignore" it (DDI 0224B). "ignore" where `base`
   * is given, as drivers set the bit each time they find the part and would lose the time of day; else "reset".
   */
  readonly restart?: "reset" | "ignore";
  /** Frequency of CLK1HZ in Hz; 1 unless given. */
  readonly clk1hz?: number;
}

export class Pl031 extends Module {
  readonly registers: RegisterBank<typeof PL031>;
  /** RTCINTR, active high. */
  readonly interrupt = this.line("interrupt");
  readonly #clock: Frequency;
  readonly #base: number | null;
  readonly #restartResets: boolean;
  readonly #alarm = this.event("alarm", () => {
    this.#state.raw = true;
    this.#updateLine();
  });
  readonly #state = this.state({
    running: false as boolean,
    /** The counter (0 to 2^32 - 1) as it was at CLK1HZ edge `edge`; it counts on from there while running. */
    counter: 0,
    edge: 0,
    offset: 0,
    raw: false as boolean,
    testOutput: 0,
  });

  /** Throws RangeError for a base that is no whole number of seconds from 0 or a clock that is no whole number of Hz. */
  constructor(parent: Module | Simulation, name: string, options: Pl031Options = {}) {
    super(parent, name);
    const { base } = options;
    if (base !== undefined && (!Number.isSafeInteger(base) || base < 0)) {
      throw new RangeError(`${name}: base of ${base}: expected whole seconds since 1970`);
    }
    this.#clock = new Frequency(options.clk1hz ?? 1);
    this.#base = base ?? null;
    this.#restartResets = (options.restart ?? (base === undefined ? "reset" : "ignore")) === "reset";
    const s = this.#state;
    this.registers = this.part(
      "registers",
      new RegisterBank(this, PL031, {
        RTCDR: { get: () => this.value | 0 },
        RTCMR: { onWrite: () => this.#compare() },
        RTCLR: {
          onWrite: () => {
            this.#set(this.#register("RTCLR"));
            this.#compare();
          },
        },
        RTCCR: {
          get: () => (s.running ? 1 : 0),
          onWrite: (written, mask) => {
            if ((mask & 1) !== 0) this.#writeControl((written & 1) !== 0);
          },
        },
        RTCIMSC: { onWrite: () => this.#updateLine() },
        RTCRIS: { get: () => (s.raw ? 1 : 0) },
        RTCMIS: { get: () => (this.#masked ? 1 : 0) },
        RTCICR: {
          onWrite: (written) => {
            if ((written & 1) === 0) return;
            s.raw = false;
            this.#updateLine();
            this.#arm();
          },
        },
        RTCITCR: { onWrite: () => this.#updateLine() },
        RTCITOP: {
          get: () => (this.interruptLevel ? 1 : 0),
          onWrite: (written, mask) => {
            if ((mask & 1) !== 0) s.testOutput = written & 1;
            this.#updateLine();
          },
        },
        RTCTOFFSET: {
          get: () => ((this.#register("RTCITCR") & 4) !== 0 ? s.offset | 0 : 0),
          onWrite: (written, mask) => {
            if ((this.#register("RTCITCR") & 4) === 0) return;
            s.offset = ((s.offset & ~mask) | written) >>> 0;
            this.#compare();
          },
        },
        RTCTCOUNT: {
          get: () => ((this.#register("RTCITCR") & 2) !== 0 ? this.#counter | 0 : 0),
          onWrite: (written, mask) => {
            if ((this.#register("RTCITCR") & 2) === 0) return;
            s.counter = ((this.#counter & ~mask) | written) >>> 0;
            s.edge = this.#clock.cyclesAt(this.simulation.now);
            this.#compare();
          },
        },
      }),
    );
    this.#powerUp();
  }

  /** The RTC value, seconds modulo 2^32. */
  get value(): number {
    return (this.#counter + this.#state.offset) % 0x1_0000_0000;
  }

  /** The level that RTCINTR has to have. */
  get interruptLevel(): boolean {
    return (this.#register("RTCITCR") & 1) !== 0 ? this.#state.testOutput === 1 : this.#masked;
  }

  protected override onReset(): void {
    this.#powerUp();
  }

  #powerUp(): void {
    const s = this.#state;
    if (this.#base === null) return;
    s.running = true;
    s.edge = this.#clock.cyclesAt(this.simulation.now);
    this.#set((this.#base + s.edge) % 0x1_0000_0000);
    this.#arm();
  }

  get #counter(): number {
    const s = this.#state;
    if (!s.running) return s.counter;
    return (s.counter + this.#clock.cyclesAt(this.simulation.now) - s.edge) % 0x1_0000_0000;
  }

  /** The update block (2.2.4): the offset that makes the RTC value `value`. */
  #set(value: number): void {
    this.#state.offset = (value - this.#counter) >>> 0;
  }

  #writeControl(start: boolean): void {
    const s = this.#state;
    if (!s.running) {
      if (!start) return;
      s.edge = this.#clock.cyclesAt(this.simulation.now);
      s.running = true;
      this.#arm();
    } else if (this.#restartResets) {
      this.#set(0);
      this.#compare();
    }
  }

  /** After an update of value or match: equality raises the interrupt at once, or its instant is awaited. */
  #compare(): void {
    const s = this.#state;
    if (s.running && this.value === this.#register("RTCMR")) s.raw = true;
    this.#updateLine();
    this.#arm();
  }

  /** Waits for the edge at which the RTC value becomes RTCMR, unless that is beyond the reach of time or changes nothing. */
  #arm(): void {
    const s = this.#state;
    this.#alarm.cancel();
    if (!s.running || s.raw) return;
    const seconds = (this.#register("RTCMR") - this.value) >>> 0;
    if (seconds === 0) return;
    const time = this.#clock.timeOf(this.#clock.cyclesAt(this.simulation.now) + seconds);
    if (time < NEVER) this.#alarm.scheduleAt(time);
  }

  #updateLine(): void {
    this.interrupt.set(this.interruptLevel);
  }

  get #masked(): boolean {
    return this.#state.raw && this.#register("RTCIMSC") !== 0;
  }

  #register(name: "RTCMR" | "RTCLR" | "RTCIMSC" | "RTCITCR"): number {
    return (this.registers.values[this.registers.slot[name]] as number) >>> 0;
  }
}
