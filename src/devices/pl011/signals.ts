/** What the PL011's inputs and outputs are, as functions of its state: Arm DDI 0183G 2.6 to 2.8, 4.4. */
import type { Line } from "../../sim/index.ts";
import * as F from "./fields.ts";
import type { Pl011State } from "./state.ts";

/** UARTITIP[5:0]: levels of the primary inputs. SIRIN and UARTRXD idle. */
export function inputPins(s: Pl011State): number {
  const m = s.modemInputs;
  return (
    ((m & F.FR_RI) === 0 ? 0x20 : 0) |
    ((m & F.FR_DCD) === 0 ? 0x10 : 0) |
    ((m & F.FR_CTS) === 0 ? 0x08 : 0) |
    ((m & F.FR_DSR) === 0 ? 0x04 : 0) |
    0x03
  );
}

/** Whether nUARTRTS is asserted: by RTS, or with RTSEn while the receive FIFO is below its level (2.6.1). */
export function requestToSend(s: Pl011State, control: number, receiveLevel: number): boolean {
  return (control & F.CR_RTSEn) === 0 ? (control & F.CR_RTS) !== 0 : s.rxCount < receiveLevel;
}

/** The modem bits of UARTFR: the inputs, or in loopback the outputs (3.3.8). */
export function modemStatus(s: Pl011State, control: number, receiveLevel: number): number {
  if ((control & F.CR_LBE) === 0) return s.modemInputs;
  return (
    (requestToSend(s, control, receiveLevel) ? F.FR_CTS : 0) |
    ((control & F.CR_DTR) !== 0 ? F.FR_DSR : 0) |
    ((control & F.CR_Out1) !== 0 ? F.FR_DCD : 0) |
    ((control & F.CR_Out2) !== 0 ? F.FR_RI : 0)
  );
}

/** The interrupts of modem bits that changed (2.8.1). */
export function modemInterrupts(changed: number): number {
  return (
    ((changed & F.FR_RI) !== 0 ? F.INT_RI : 0) |
    ((changed & F.FR_CTS) !== 0 ? F.INT_CTS : 0) |
    ((changed & F.FR_DCD) !== 0 ? F.INT_DCD : 0) |
    ((changed & F.FR_DSR) !== 0 ? F.INT_DSR : 0)
  );
}

/**
 * UARTITOP[15:12]. A request stays until its clear input is asserted, or DMA or the UART is disabled (2.7). `enable` is UARTDMACR,
 * `clear` the clear inputs as in UARTITIP[7:6], `depth` 1 while the FIFOs are disabled: there are no burst requests then.
 */
export function dmaRequests(
  s: Pl011State,
  control: number,
  enable: number,
  clear: number,
  depth: number,
  receiveLevel: number,
  transmitLevel: number,
): number {
  const on = (control & F.CR_UARTEN) !== 0;
  let requests = s.dmaRequests;
  if (!on || (enable & F.DMACR_TXDMAE) === 0 || (clear & F.ITIP_UARTTXDMACLR) !== 0) requests &= ~0xc000;
  else {
    if (s.txCount < depth) requests |= 0x8000;
    if (depth > 1 && s.txCount <= transmitLevel) requests |= 0x4000;
  }
  if (!on || (enable & F.DMACR_RXDMAE) === 0 || (clear & F.ITIP_UARTRXDMACLR) !== 0) requests &= ~0x3000;
  else {
    if (s.rxCount > 0) requests |= 0x2000;
    if (depth > 1 && s.rxCount >= receiveLevel) requests |= 0x1000;
  }
  return requests;
}

/** UARTITOP[15:6] in normal operation: DMA requests and interrupts. */
export function intraChipOutputs(s: Pl011State, mask: number, dmaControl: number): number {
  const masked = s.raw & mask;
  const error = (masked & F.INT_ERRORS) !== 0;
  const held = error && (dmaControl & F.DMACR_DMAONERR) !== 0;
  return (
    (s.dmaRequests & (held ? 0xc000 : 0xf000)) |
    ((masked & F.INT_MODEM) !== 0 ? 0x0800 : 0) |
    ((masked & F.INT_RX) !== 0 ? 0x0400 : 0) |
    ((masked & F.INT_TX) !== 0 ? 0x0200 : 0) |
    ((masked & F.INT_RT) !== 0 ? 0x0100 : 0) |
    (error ? 0x0080 : 0) |
    (masked !== 0 ? 0x0040 : 0)
  );
}

/** UARTITOP[5:2] in normal operation: levels of the modem outputs. */
export function modemOutputs(s: Pl011State, control: number, receiveLevel: number): number {
  return (
    ((control & F.CR_Out2) === 0 ? 0x20 : 0) |
    ((control & F.CR_Out1) === 0 ? 0x10 : 0) |
    (requestToSend(s, control, receiveLevel) ? 0 : 0x08) |
    ((control & F.CR_DTR) === 0 ? 0x04 : 0)
  );
}

/** Output lines in the order of UARTITOP from bit 15 down, UARTINTR being called `interrupt`. */
const OUTPUTS = [
  "UARTTXDMASREQ",
  "UARTTXDMABREQ",
  "UARTRXDMASREQ",
  "UARTRXDMABREQ",
  "UARTMSINTR",
  "UARTRXINTR",
  "UARTTXINTR",
  "UARTRTINTR",
  "UARTEINTR",
  "interrupt",
  "nUARTOut2",
  "nUARTOut1",
  "nUARTRTS",
  "nUARTDTR",
] as const;

/** Gives the lines the levels of UARTITOP[15:2]. */
export function drive(lines: { readonly [name in (typeof OUTPUTS)[number]]: Line }, levels: number): void {
  let bit = 0x8000;
  for (const name of OUTPUTS) {
    lines[name].set((levels & bit) !== 0);
    bit >>= 1;
  }
}
