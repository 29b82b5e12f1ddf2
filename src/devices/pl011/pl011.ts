/**
 * PrimeCell UART (PL011) r1p5, Arm DDI 0183G.
 *
 * Modelled: all registers, both FIFOs, the four error conditions, flow control, loopback of data, break and modem lines, all
 * interrupts, the DMA request and clear lines, the test registers. Characters are whole: they arrive at the instant of
 * their last stop bit and leave after exactly their bits at the programmed rate, fraction included.
 * Not modelled: the infrared ENDEC (there is no infrared line, characters pass as if it were off), scan test.
 *
 * Where the manual is open:
 * - Reserved trigger levels act as 7/8. An invalid divisor gives no bit clock: nothing is sent, and receive timeouts are due at once.
 * - A read of an empty receive FIFO gives zero; a write to a full transmit FIFO is lost. Both are reported.
 * - Clearing FEN empties both FIFOs (3.3.8 says so of the transmit FIFO); setting it keeps what they hold.
 * - After UARTICR has cleared a receive timeout, data that stays unread raises it again 32 bit periods later.
 * - While BRK is set no character starts; those in the FIFO follow the break.
 * - Undriven modem inputs are high (not asserted). Narrow accesses reach the written byte lanes only; UARTDR and UARTTDR act on
 *   byte lane 0, and any read of them takes the character.
 */
import { RegisterBank } from "../../registers/index.ts";
import { Frequency, type LineSink, Module, type Simulation, type Time } from "../../sim/index.ts";
import * as F from "./fields.ts";
import { BREAK, type Pl011Options } from "./options.ts";
import { PL011 } from "./registers.ts";
import { Settings } from "./settings.ts";
import {
  dmaRequests,
  drive,
  inputPins,
  intraChipOutputs,
  modemInterrupts,
  modemOutputs,
  modemStatus,
} from "./signals.ts";
import { BREAK_FRAME, IDLE, powerOnState } from "./state.ts";

export class Pl011 extends Module {
  readonly registers: RegisterBank<typeof PL011>;
  /** UARTINTR, the OR of the masked interrupts, and the five it is made of (2.8). Active high. */
  readonly interrupt = this.line("interrupt");
  readonly UARTRXINTR = this.line("UARTRXINTR");
  readonly UARTTXINTR = this.line("UARTTXINTR");
  readonly UARTRTINTR = this.line("UARTRTINTR");
  readonly UARTMSINTR = this.line("UARTMSINTR");
  readonly UARTEINTR = this.line("UARTEINTR");
  /** DMA requests (2.7). Active high. */
  readonly UARTRXDMASREQ = this.line("UARTRXDMASREQ");
  readonly UARTRXDMABREQ = this.line("UARTRXDMABREQ");
  readonly UARTTXDMASREQ = this.line("UARTTXDMASREQ");
  readonly UARTTXDMABREQ = this.line("UARTTXDMABREQ");
  /** Modem outputs. Active low: high after reset. */
  readonly nUARTRTS = this.line("nUARTRTS");
  readonly nUARTDTR = this.line("nUARTDTR");
  readonly nUARTOut1 = this.line("nUARTOut1");
  readonly nUARTOut2 = this.line("nUARTOut2");

  /** Modem and DMA inputs: connect lines to them or call them with a level. Reset takes them back to their idle level. */
  readonly nUARTCTS: LineSink = (level) => this.#modemInput(F.FR_CTS, level);
  readonly nUARTDSR: LineSink = (level) => this.#modemInput(F.FR_DSR, level);
  readonly nUARTDCD: LineSink = (level) => this.#modemInput(F.FR_DCD, level);
  readonly nUARTRI: LineSink = (level) => this.#modemInput(F.FR_RI, level);
  readonly UARTRXDMACLR: LineSink = (level) => this.#dmaClear(F.ITIP_UARTRXDMACLR, level);
  readonly UARTTXDMACLR: LineSink = (level) => this.#dmaClear(F.ITIP_UARTTXDMACLR, level);

  /** Called with each character that has left on UARTTXD. */
  onTransmit: ((byte: number) => void) | null = null;
  /** Called when a break begins and ends on UARTTXD. */
  onBreak: ((active: boolean) => void) | null = null;
  /** Called when there is room to receive again after there was none. */
  onReceiveSpace: (() => void) | null = null;

  /** Counts quarters of UARTCLK cycles: a bit is 64 * UARTIBRD + UARTFBRD of them (3.3.6). */
  readonly #quarters: Frequency;
  readonly #immediate: boolean;
  readonly #settings: Settings;
  readonly #frameEnd = this.event("frameEnd", () => this.#endFrame());
  readonly #receiveTimeout = this.event("receiveTimeout", () => {
    this.#state.raw |= F.INT_RT;
    this.#update();
  });
  readonly #values: Int32Array;
  readonly #slot: RegisterBank<typeof PL011>["slot"];

  readonly #state = this.state(powerOnState());
  /** Guards `#update` against its own consequences; never set between events. */
  #updating = false;
  #again = false;
  /** The levels that the lines were last given, or -1. */
  #driven = -1;

  /** Throws RangeError for a clock that is no whole number of Hz up to 2.5 GHz. */
  constructor(parent: Module | Simulation, name: string, options: Pl011Options = {}) {
    super(parent, name);
    this.#quarters = new Frequency(4 * (options.uartclk ?? 24_000_000));
    this.#immediate = options.pacing === "immediate";
    const s = this.#state;
    this.registers = this.part(
      "registers",
      new RegisterBank(this, PL011, {
        UARTDR: {
          get: () => (s.rxCount > 0 ? (s.rx[s.rxHead] as number) : 0),
          onRead: () => this.#readData(),
          onWrite: (written, mask) => {
            if ((mask & 0xff) !== 0) this.#writeData(written & 0xff);
          },
        },
        UARTRSR: {
          get: () => s.rsr,
          onWrite: () => {
            s.rsr = 0;
          },
        },
        UARTFR: { get: () => this.#flags() },
        UARTIBRD: { onWrite: (_written, _mask, before) => this.#checkDisabled("UARTIBRD", before) },
        UARTFBRD: { onWrite: (_written, _mask, before) => this.#checkDisabled("UARTFBRD", before) },
        UARTLCR_H: { onWrite: (_written, _mask, before) => this.#writeLineControl(before) },
        UARTCR: {
          onWrite: () => {
            s.controlWritten = true;
            this.#update();
          },
        },
        UARTIFLS: { onWrite: () => this.#writeLevels() },
        UARTIMSC: { onWrite: () => this.#update() },
        UARTRIS: { get: () => s.raw },
        UARTMIS: { get: () => s.raw & (this.#values[this.#slot.UARTIMSC] as number) },
        UARTICR: { onWrite: (written) => this.#clearInterrupts(written & 0x7ff) },
        UARTDMACR: { onWrite: () => this.#update() },
        UARTTCR: { onWrite: () => this.#update() },
        UARTITIP: {
          get: () => this.#dmaClearLevels() | inputPins(s),
          onWrite: (written, mask) => {
            s.testInputs = (s.testInputs & ~mask) | (written & 0xc0);
            this.#update();
          },
        },
        UARTITOP: {
          get: () => (this.#settings.testing ? s.testOutputs : this.#outputs() | (s.testOutputs & 0x3f)),
          onWrite: (written, mask) => {
            s.testOutputs = (s.testOutputs & ~mask) | (written & 0xffff);
            this.#update();
          },
        },
        UARTTDR: {
          get: () => (this.#settings.testFifo && s.txCount > 0 ? (s.tx[s.txHead] as number) : 0),
          onRead: () => {
            if (this.#settings.testFifo && s.txCount > 0) this.#popTransmit();
            this.#update();
          },
          onWrite: (written, mask) => {
            if (this.#settings.testFifo && (mask & 0xff) !== 0) this.#push(written & 0x7ff);
            this.#update();
          },
        },
      }),
    );
    this.#values = this.registers.values;
    this.#slot = this.registers.slot;
    this.#settings = new Settings(this.registers, s, options.unconfigured === "enabled");
    this.#update();
  }

  /** How many characters the receiver takes before it overruns; 0 while it is disabled or looped back. */
  get receiveSpace(): number {
    return this.#settings.receiving && !this.#settings.loopback ? this.#settings.depth - this.#state.rxCount : 0;
  }

  /** Ticks that a character takes on the line as it is set up; 0 while the divisor is invalid. */
  get frameTime(): Time {
    return this.#quarters.timeOf(this.#settings.frameBits * this.#settings.divisor);
  }

  /**
   * A character arrives on UARTRXD, its last stop bit now; a break is a character of its own. Takes as many bits of `byte` as the
   * line has. `flags`: FRAMING_ERROR, PARITY_ERROR (where parity is enabled), BREAK. False where it was lost: to an overrun,
   * which is recorded for the guest, or because the receiver is disabled or looped back.
   */
  receive(byte: number, flags = 0): boolean {
    if (!this.#settings.receiving || this.#settings.loopback) return false;
    const taken = this.#arrive(byte, flags);
    if (this.#updating) {
      // A sender within the same instant has to see the flow control before its next character.
      this.#driven = -1;
      this.nUARTRTS.set((this.#levels() & 0x08) !== 0);
    }
    this.#update();
    return taken;
  }

  protected override onReset(): void {
    this.#driven = -1;
    this.#update();
  }
  protected override onRestore(): void {
    this.#driven = -1;
  }

  // Guest accesses

  #readData(): void {
    const s = this.#state;
    if (s.rxCount === 0) {
      this.#remark("UARTDR", "sequence", "3.3.1", false, "read of an empty receive FIFO");
      return;
    }
    const level = this.#settings.receiveLevel;
    s.rsr = (s.rsr & F.RSR_OE) | (((s.rx[s.rxHead] as number) >> 8) & F.RSR_ERRORS);
    s.rxHead = (s.rxHead + 1) % F.FIFO_DEPTH;
    s.rxCount--;
    if (s.rxCount < level) s.raw &= ~F.INT_RX;
    if (s.rxCount === 0) {
      s.raw &= ~F.INT_RT;
      this.#receiveTimeout.cancel();
    }
    this.#update();
  }

  #writeData(byte: number): void {
    const s = this.#state;
    if (s.txCount >= this.#settings.depth) {
      this.#remark("UARTDR", "sequence", "3.3.3", true, "write to a full transmit FIFO: the character is lost");
      return;
    }
    if (this.#settings.unconfigured && !s.toleranceReported) {
      s.toleranceReported = true;
      this.#remark("UARTDR", "sequence", "3.3.8", true, "character sent by a UART that was never enabled");
    }
    s.tx[(s.txHead + s.txCount) % F.FIFO_DEPTH] = byte;
    s.txCount++;
    if (s.txCount > this.#settings.transmitLevel) s.raw &= ~F.INT_TX;
    this.#update();
  }

  #writeLineControl(before: number): void {
    const s = this.#state;
    const line = this.#values[this.#slot.UARTLCR_H] as number;
    this.#checkDisabled("UARTLCR_H", before);
    s.divisor = 64 * (this.#values[this.#slot.UARTIBRD] as number) + (this.#values[this.#slot.UARTFBRD] as number);
    s.line = line;
    s.lineWritten = true;
    s.divisorReported = false;
    if ((before & ~line & F.LCR_FEN) !== 0) {
      s.rxCount = 0;
      s.txCount = 0;
      s.raw &= ~(F.INT_RX | F.INT_RT);
      this.#receiveTimeout.cancel();
    }
    this.#update();
  }

  #writeLevels(): void {
    const levels = this.#values[this.#slot.UARTIFLS] as number;
    if ((levels & 7) > 4 || levels >> 3 > 4) {
      this.#remark("UARTIFLS", "value", "3.3.9", true, "reserved trigger level: taken as 7/8", levels);
    }
    this.#update();
  }

  #clearInterrupts(bits: number): void {
    const s = this.#state;
    const timeout = (s.raw & bits & F.INT_RT) !== 0;
    s.raw &= ~bits;
    if (timeout && s.rxCount > 0) this.#armTimeout();
    this.#update();
  }

  #checkDisabled(register: "UARTIBRD" | "UARTFBRD" | "UARTLCR_H", before: number): void {
    const now = this.#values[this.#slot[register]] as number;
    if (now === before || (this.#settings.control & F.CR_UARTEN) === 0) return;
    this.#remark(register, "sequence", "3.3.7", true, "must not be changed while the UART is enabled", now);
  }

  #flags(): number {
    const s = this.#state;
    return (
      s.modem |
      (s.txCount === 0 ? F.FR_TXFE : 0) |
      (s.rxCount >= this.#settings.depth ? F.FR_RXFF : 0) |
      (s.txCount >= this.#settings.depth ? F.FR_TXFF : 0) |
      (s.rxCount === 0 ? F.FR_RXFE : 0) |
      (s.txCount > 0 || (s.shift !== IDLE && s.shift !== BREAK_FRAME) ? F.FR_BUSY : 0)
    );
  }

  // Receiver

  #arrive(byte: number, flags: number): boolean {
    const parity = (this.#state.line & F.LCR_PEN) !== 0;
    const errors = flags & (parity ? 7 : 5);
    const data = (errors & BREAK) !== 0 ? 0 : byte & ((1 << this.#settings.dataBits) - 1);
    return this.#push(data | (errors << 8));
  }

  /** Puts a character with its errors in bits 10:8 into the receive FIFO; false for an overrun. */
  #push(entry: number): boolean {
    const s = this.#state;
    if (s.rxCount >= this.#settings.depth) {
      s.overrun = true;
      s.rsr |= F.RSR_OE;
      s.raw |= F.INT_OE;
      return false;
    }
    s.rx[(s.rxHead + s.rxCount) % F.FIFO_DEPTH] = entry | (s.overrun ? F.DR_OE : 0);
    s.rxCount++;
    s.overrun = false;
    s.raw |= ((entry >> 8) & 7) << F.INT_FE_SHIFT;
    if (s.rxCount === this.#settings.receiveLevel) s.raw |= F.INT_RX;
    this.#armTimeout();
    return true;
  }

  /** UARTRTINTR: no more data during 32 bit periods (2.8.4). */
  #armTimeout(): void {
    if ((this.#state.raw & F.INT_RT) !== 0) return;
    this.#receiveTimeout.scheduleAt(this.simulation.now + this.#quarters.timeOf(32 * this.#settings.divisor));
  }

  // Transmitter

  /** Takes the oldest character out of the transmit FIFO, which may pass the trigger level. */
  #popTransmit(): number {
    const s = this.#state;
    const level = this.#settings.transmitLevel;
    const byte = s.tx[s.txHead] as number;
    s.txHead = (s.txHead + 1) % F.FIFO_DEPTH;
    s.txCount--;
    if (s.txCount === level) s.raw |= F.INT_TX;
    return byte;
  }

  /** Starts what the transmitter has to send: a break, or the next character. */
  #serve(): void {
    const s = this.#state;
    const breakWanted = (s.line & F.LCR_BRK) !== 0 && this.#settings.transmitting;
    if (s.breaking && !breakWanted) this.#endBreak();
    while (s.shift === IDLE && !s.breaking && this.#settings.transmitting) {
      if (breakWanted) this.#beginBreak();
      else if (s.txCount === 0) return;
      else if ((this.#settings.control & F.CR_CTSEn) !== 0 && (s.modem & F.FR_CTS) === 0) return;
      else if (this.#immediate) {
        const byte = this.#popTransmit();
        s.raw |= F.INT_TX;
        this.#leave(byte);
        this.#updateModem();
      } else if (this.#settings.divisor === 0) {
        this.#remarkDivisor();
        return;
      } else this.#startFrame(this.#popTransmit());
    }
  }

  /** Instants count from the start of a burst without gaps, so that rounded bit times do not add up. */
  #startFrame(content: number): void {
    const s = this.#state;
    const now = this.simulation.now;
    s.shift = content;
    if (s.burstStart + this.#quarters.timeOf(s.burstLength) !== now) {
      s.burstStart = now;
      s.burstLength = 0;
    }
    s.burstLength += this.#settings.frameBits * this.#settings.divisor;
    this.#frameEnd.scheduleAt(s.burstStart + this.#quarters.timeOf(s.burstLength));
  }

  #endFrame(): void {
    const s = this.#state;
    const content = s.shift;
    s.shift = IDLE;
    if (content !== BREAK_FRAME) this.#leave(content);
    else if (this.#settings.loopback && this.#settings.receiving) this.#arrive(0, BREAK);
    this.#update();
  }

  #leave(byte: number): void {
    const data = byte & ((1 << this.#settings.dataBits) - 1);
    if (this.#settings.loopback && this.#settings.receiving) this.#arrive(data, 0);
    this.onTransmit?.(data);
  }

  #beginBreak(): void {
    const s = this.#state;
    s.breaking = true;
    this.onBreak?.(true);
    if (this.#immediate) {
      if (this.#settings.loopback && this.#settings.receiving) this.#arrive(0, BREAK);
    } else if (this.#settings.divisor !== 0) this.#startFrame(BREAK_FRAME);
  }

  /** A break shorter than a frame is none to the receiver. */
  #endBreak(): void {
    const s = this.#state;
    s.breaking = false;
    if (s.shift === BREAK_FRAME) {
      s.shift = IDLE;
      this.#frameEnd.cancel();
    }
    this.onBreak?.(false);
  }

  #remarkDivisor(): void {
    const s = this.#state;
    if (s.divisorReported) return;
    s.divisorReported = true;
    this.#remark("UARTIBRD", "value", "3.3.6", true, "characters wait: the divisor is invalid", s.divisor >> 6);
  }

  // Modem lines, DMA, interrupts

  #modemInput(bit: number, level: boolean): void {
    const s = this.#state;
    s.modemInputs = level ? s.modemInputs & ~bit : s.modemInputs | bit;
    this.#update();
  }

  #dmaClear(bit: number, level: boolean): void {
    const s = this.#state;
    s.dmaClear = level ? s.dmaClear | bit : s.dmaClear & ~bit;
    this.#update();
  }

  #dmaClearLevels(): number {
    return this.#settings.testing ? this.#state.testInputs : this.#state.dmaClear;
  }

  #updateModem(): void {
    const s = this.#state;
    const modem = modemStatus(s, this.#settings.control, this.#settings.receiveLevel);
    s.raw |= modemInterrupts(s.modem ^ modem);
    s.modem = modem;
  }

  /** UARTITOP[15:6] in normal operation. */
  #outputs(): number {
    const values = this.#values;
    return intraChipOutputs(this.#state, values[this.#slot.UARTIMSC] as number, values[this.#slot.UARTDMACR] as number);
  }

  /** UARTITOP[15:2]: the levels that the output lines have to have. */
  #levels(): number {
    const s = this.#state;
    if (this.#settings.testing) return s.testOutputs & 0xfffc;
    return this.#outputs() | modemOutputs(s, this.#settings.control, this.#settings.receiveLevel);
  }

  /** After any change: goes on sending, then brings derived state and output lines up to date. */
  #update(): void {
    this.#again = true;
    if (this.#updating) return;
    this.#updating = true;
    // Whoever hears of a line or a character may act on the UART within the call.
    while (this.#again) {
      this.#again = false;
      this.#settle();
    }
    this.#updating = false;
  }

  #settle(): void {
    const s = this.#state;
    const control = this.#settings.control;
    this.#updateModem();
    this.#serve();
    this.#updateModem();
    const enable = this.#values[this.#slot.UARTDMACR] as number;
    const clear = this.#dmaClearLevels();
    s.dmaRequests = dmaRequests(
      s,
      control,
      enable,
      clear,
      this.#settings.depth,
      this.#settings.receiveLevel,
      this.#settings.transmitLevel,
    );
    const levels = this.#levels();
    if (levels !== this.#driven) {
      this.#driven = levels;
      drive(this, levels);
    }
    const space = this.receiveSpace > 0;
    if (space === s.space) return;
    s.space = space;
    if (space) this.onReceiveSpace?.();
  }

  #remark(
    register: keyof typeof PL011.registers,
    kind: "sequence" | "value",
    clause: string,
    write: boolean,
    detail: string,
    value?: number,
  ): void {
    const offset = PL011.registers[register].at;
    this.guestError({
      kind,
      register,
      offset,
      write,
      ...(value === undefined ? {} : { value }),
      clause: `${PL011.manual} ${clause}`,
      detail,
    });
  }
}
