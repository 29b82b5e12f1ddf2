/**
 * PrimeCell General Purpose Input/Output (PL061), Arm DDI 0190B.
 *
 * Modelled: eight pins with software and hardware control, the address mask of GPIODATA, edge and level interrupts with a line for
 * each pin and the combined one, the integration test registers.
 * Not modelled: the synchronizers' delay (two PCLK cycles), scan test.
 *
 * Where the manual is open:
 * - The pin that GPIN sees is the pad: what the part drives, where it drives, else what is outside. An output pin therefore raises
 *   interrupts by its own edges and levels, as it does with the pad's input buffer wired to GPIN.
 * - A write to GPIODATA reaches output pins only: bits of input pins keep what they last were as outputs.
 * - Edges are latched while the pin detects edges. Changing GPIOIS, GPIOIBE or GPIOIEV is no edge. GPIOIC does not touch levels.
 * - Undriven alternate inputs are nGPAFEN high (not driving) and GPAFOUT low.
 * - Narrow accesses reach the written byte lanes only.
 */
import { RegisterBank } from "../../registers/index.ts";
import { Module, type Simulation } from "../../sim/index.ts";
import { PL061 } from "./registers.ts";

const PINS = [0, 1, 2, 3, 4, 5, 6, 7] as const;

export interface Pl061Options {
  /** Levels of pins that nothing outside drives, one bit a pin: pull-ups set, pull-downs clear; 0 unless given. */
  readonly pull?: number;
}

export class Pl061 extends Module {
  readonly registers: RegisterBank<typeof PL061>;
  /** GPIOINTR, the OR of GPIOMIS[7:0]. Active high. */
  readonly interrupt = this.line("interrupt");
  /** GPIOMIS[7:0], an interrupt line for each pin. */
  readonly GPIOMIS = PINS.map((n) => this.line(`GPIOMIS${n}`));
  /** Levels that the part puts on its pins, to be heeded where nGPEN is low. */
  readonly GPOUT = PINS.map((n) => this.line(`GPOUT${n}`));
  /** Output enables, active low: high after reset. */
  readonly nGPEN = PINS.map((n) => this.line(`nGPEN${n}`));
  /** What the pins bring in for the hardware that shares them. */
  readonly GPAFIN = PINS.map((n) => this.line(`GPAFIN${n}`));

  readonly #pull: number;
  readonly #state;
  #updating = false;
  #again = false;

  /** Throws RangeError for `pull` outside 0 to 255. */
  constructor(parent: Module | Simulation, name: string, options: Pl061Options = {}) {
    super(parent, name);
    this.#pull = options.pull ?? 0;
    if (!Number.isInteger(this.#pull) || this.#pull < 0 || this.#pull > 0xff) {
      throw new RangeError(`${name}: pull of ${options.pull}: expected 0 to 255`);
    }
    this.#state = this.state({
      /** The data register's output latch. */
      data: 0,
      /** Levels from outside. */
      pins: this.#pull,
      /** Levels of the pads as last seen by the edge detector. */
      pads: this.#pull,
      /** Edges that were detected. */
      edges: 0,
      GPAFOUT: 0,
      nGPAFEN: 0xff,
    });
    const s = this.#state;
    const changed = { onWrite: () => this.#update() };
    this.registers = this.part(
      "registers",
      new RegisterBank(this, PL061, {
        GPIODATA: {
          get: (mask) => ((s.data & this.#register("GPIODIR")) | (s.pads & ~this.#register("GPIODIR"))) & mask,
          onWrite: (written, lanes, _before, mask) => {
            const bits = mask & lanes & this.#register("GPIODIR");
            s.data = (s.data & ~bits) | (written & bits);
            this.#update();
          },
        },
        GPIODIR: changed,
        GPIOIS: changed,
        GPIOIBE: changed,
        GPIOIEV: changed,
        GPIOIE: changed,
        GPIORIS: { get: () => this.#raw },
        GPIOMIS: { get: () => this.#masked },
        GPIOIC: {
          onWrite: (written) => {
            s.edges &= ~written;
            this.#update();
          },
        },
        GPIOAFSEL: changed,
        GPIOITCR: changed,
        GPIOITIP1: changed,
        GPIOITIP2: changed,
        GPIOITOP1: changed,
        GPIOITOP2: { get: () => (this.#masked !== 0 ? 1 : 0) },
        GPIOITOP3: changed,
      }),
    );
    this.#update();
  }

  /** Drives pin `pin` (0 to 7) from outside. It is seen while the part does not drive the pin itself. */
  setPin(pin: number, level: boolean): void {
    const bit = bitOf(pin);
    this.#state.pins = level ? this.#state.pins | bit : this.#state.pins & ~bit;
    this.#update();
  }

  /** The level on pin `pin`, whoever drives it. */
  pin(pin: number): boolean {
    return (this.#state.pads & bitOf(pin)) !== 0;
  }

  /** The hardware that shares pin `pin`: the level it would drive (GPAFOUT), and whether it drives (nGPAFEN low). */
  setAlternate(pin: number, level: boolean, drive: boolean): void {
    const s = this.#state;
    const bit = bitOf(pin);
    s.GPAFOUT = level ? s.GPAFOUT | bit : s.GPAFOUT & ~bit;
    s.nGPAFEN = drive ? s.nGPAFEN & ~bit : s.nGPAFEN | bit;
    this.#update();
  }

  protected override onReset(): void {
    this.#update();
  }

  get #testing(): boolean {
    return this.#register("GPIOITCR") !== 0;
  }
  get #raw(): number {
    const s = this.#state;
    const levels = this.#register("GPIOIS");
    return (s.edges & ~levels) | (~(s.pads ^ this.#register("GPIOIEV")) & levels & 0xff);
  }
  get #masked(): number {
    return this.#testing ? this.#register("GPIOITOP1") : this.#raw & this.#register("GPIOIE");
  }

  /** After any change: drives the pads, looks for edges, then drives the other outputs. */
  #update(): void {
    this.#again = true;
    if (this.#updating) return;
    this.#updating = true;
    // Whoever hears of a line may act on the part within the call.
    while (this.#again) {
      this.#again = false;
      this.#settle();
    }
    this.#updating = false;
  }

  #settle(): void {
    const s = this.#state;
    const testing = this.#testing;
    const hardware = this.#register("GPIOAFSEL");
    const alternateLevel = testing ? this.#register("GPIOITIP1") : s.GPAFOUT;
    const alternateOff = testing ? this.#register("GPIOITIP2") : s.nGPAFEN;
    const out = (s.data & ~hardware) | (alternateLevel & hardware);
    const off = ((~this.#register("GPIODIR") & ~hardware) | (alternateOff & hardware)) & 0xff;
    const pads = (out & ~off) | (s.pins & off);
    const moved = pads ^ s.pads;
    const both = this.#register("GPIOIBE");
    s.edges |= moved & ~this.#register("GPIOIS") & (both | ~(pads ^ this.#register("GPIOIEV")));
    s.pads = pads;
    const masked = this.#masked;
    drive(this.nGPEN, off);
    drive(this.GPOUT, out);
    drive(this.GPAFIN, testing ? this.#register("GPIOITOP3") : pads);
    drive(this.GPIOMIS, masked);
    this.interrupt.set(masked !== 0);
  }

  #register(
    name:
      | "GPIODIR"
      | "GPIOIS"
      | "GPIOIBE"
      | "GPIOIEV"
      | "GPIOIE"
      | "GPIOAFSEL"
      | "GPIOITCR"
      | "GPIOITIP1"
      | "GPIOITIP2"
      | "GPIOITOP1"
      | "GPIOITOP3",
  ): number {
    return this.registers.values[this.registers.slot[name]] as number;
  }
}

function drive(lines: readonly { set(level: boolean): void }[], levels: number): void {
  for (let n = 0; n < lines.length; n++) lines[n]?.set(((levels >> n) & 1) !== 0);
}

function bitOf(pin: number): number {
  if (!Number.isInteger(pin) || pin < 0 || pin > 7) throw new RangeError(`pin ${pin}: expected 0 to 7`);
  return 1 << pin;
}
