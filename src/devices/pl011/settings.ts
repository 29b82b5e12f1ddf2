/** How the guest has set a PL011 up, as its logic sees it: Arm DDI 0183G 3.3.5 to 3.3.9, 4.4.1. Nothing here changes anything. */
import type { RegisterBank } from "../../registers/index.ts";
import * as F from "./fields.ts";
import type { PL011 } from "./registers.ts";
import type { Pl011State } from "./state.ts";

export class Settings {
  readonly #values: Int32Array;
  readonly #slot: RegisterBank<typeof PL011>["slot"];
  readonly #state: Pl011State;
  readonly #tolerant: boolean;

  /** `tolerant`: the UART works before anyone has set it up. */
  constructor(registers: RegisterBank<typeof PL011>, state: Pl011State, tolerant: boolean) {
    this.#values = registers.values;
    this.#slot = registers.slot;
    this.#state = state;
    this.#tolerant = tolerant;
  }

  get control(): number {
    return this.#values[this.#slot.UARTCR] as number;
  }
  get fifos(): boolean {
    return ((this.#values[this.#slot.UARTLCR_H] as number) & F.LCR_FEN) !== 0;
  }
  get depth(): number {
    return this.fifos ? F.FIFO_DEPTH : 1;
  }
  get loopback(): boolean {
    return (this.control & F.CR_LBE) !== 0;
  }
  get testing(): boolean {
    return ((this.#values[this.#slot.UARTTCR] as number) & F.TCR_ITEN) !== 0;
  }
  get testFifo(): boolean {
    return ((this.#values[this.#slot.UARTTCR] as number) & F.TCR_TESTFIFO) !== 0;
  }
  get unconfigured(): boolean {
    return this.#tolerant && !this.#state.controlWritten;
  }
  get transmitting(): boolean {
    const on = F.CR_UARTEN | F.CR_TXE;
    return (this.control & on) === on || this.unconfigured;
  }
  get receiving(): boolean {
    const on = F.CR_UARTEN | F.CR_RXE;
    return (this.control & on) === on || this.unconfigured;
  }
  /** Fill level of the receive FIFO from which on UARTRXINTR, UARTRXDMABREQ and nUARTRTS react. */
  get receiveLevel(): number {
    return this.fifos ? (F.FIFO_LEVELS[((this.#values[this.#slot.UARTIFLS] as number) >> 3) & 7] as number) : 1;
  }
  get transmitLevel(): number {
    return this.fifos ? (F.FIFO_LEVELS[(this.#values[this.#slot.UARTIFLS] as number) & 7] as number) : 0;
  }
  /** The divisor in 1/64, or 0 where it is invalid: integer part 0, or above 65535 (3.3.6). */
  get divisor(): number {
    const d = this.#state.divisor;
    return d < 64 || d > 0xffff * 64 ? 0 : d;
  }
  get dataBits(): number {
    const s = this.#state;
    return this.#tolerant && !s.lineWritten ? 8 : 5 + ((s.line >> 5) & 3);
  }
  /** Start, data, parity and stop bits (2.4.5). */
  get frameBits(): number {
    const line = this.#state.line;
    return 2 + this.dataBits + ((line & F.LCR_PEN) !== 0 ? 1 : 0) + ((line & F.LCR_STP2) !== 0 ? 1 : 0);
  }
}
