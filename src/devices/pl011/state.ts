/** All that a PL011 holds beside its stored registers. */
import { FIFO_DEPTH } from "./fields.ts";

/** Contents of the shift register beside characters. */
export const IDLE = -1;
export const BREAK_FRAME = 256;

export function powerOnState() {
  return {
    /** UARTRIS. */
    raw: 0,
    rsr: 0,
    rx: new Uint16Array(FIFO_DEPTH),
    rxHead: 0,
    rxCount: 0,
    /** An overrun that the next received character carries into the FIFO (2.4.3). */
    overrun: false as boolean,
    /** There was room to receive when last looked at. */
    space: false as boolean,
    tx: new Uint8Array(FIFO_DEPTH),
    txHead: 0,
    txCount: 0,
    /** The transmit shift register: a character, IDLE or BREAK_FRAME. */
    shift: IDLE,
    /** UARTTXD is held low by BRK. */
    breaking: false as boolean,
    /** When the characters that follow each other without a gap began, and how long they are in quarters of UARTCLK cycles. */
    burstStart: 0,
    burstLength: 0,
    /** The internal UARTLCR (3.3.7): divisor times 64 and line control, as of the last write of UARTLCR_H. */
    divisor: 0,
    line: 0,
    lineWritten: false as boolean,
    controlWritten: false as boolean,
    toleranceReported: false as boolean,
    divisorReported: false as boolean,
    /** Levels of the modem inputs, asserted ones set (as in UARTFR), and of UARTFR's modem bits, which loopback changes. */
    modemInputs: 0,
    modem: 0,
    /** DMA clear inputs as in UARTITIP[7:6], and DMA requests as in UARTITOP[15:12]. */
    dmaClear: 0,
    dmaRequests: 0,
    /** Written bits of the test registers. */
    testInputs: 0,
    testOutputs: 0,
  };
}

export type Pl011State = ReturnType<typeof powerOnState>;
