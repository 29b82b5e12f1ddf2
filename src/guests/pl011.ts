/** Driver of the PL011 UART (Arm DDI 0183): polled output and interrupt-driven input. */
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const UARTDR = 0x00;
const UARTFR = 0x18;
const UARTIBRD = 0x24;
const UARTFBRD = 0x28;
const UARTLCR_H = 0x2c;
const UARTCR = 0x30;
const UARTIMSC = 0x38;
const UARTICR = 0x44;

const RXFE = 1 << 4;
const TXFF = 1 << 5;
const FIFO_8_BITS = 0x70;
const ENABLE = 0x301;
/** Receive and receive timeout. */
const RECEIVE = 0x50;

/** 8N1 with FIFOs at about `baud` (3.2.4: divisor = UARTCLK / (16 x baud), six fractional bits). */
export function* setUpUart(g: Guest, base: number, clock: number, baud: number): Routine {
  const divisor = Math.round((clock * 4) / baud);
  yield g.store(base + UARTCR, 0);
  yield g.store(base + UARTIBRD, divisor >> 6);
  yield g.store(base + UARTFBRD, divisor & 63);
  yield g.store(base + UARTLCR_H, FIFO_8_BITS);
  yield g.store(base + UARTICR, 0x7ff);
  yield g.store(base + UARTIMSC, RECEIVE);
  yield g.store(base + UARTCR, ENABLE);
}

/** Writes text (one byte a character), waiting while the transmit FIFO is full. */
export function* print(g: Guest, base: number, text: string): Routine {
  for (let n = 0; n < text.length; n++) {
    while (((yield g.load(base + UARTFR)) & TXFF) !== 0) yield g.compute(1000);
    yield g.store(base + UARTDR, text.charCodeAt(n) & 0xff);
  }
}

/** All bytes that have been received; interrupts of the receiver are cleared. */
export function* receive(g: Guest, base: number): Routine<number[]> {
  const bytes: number[] = [];
  yield g.store(base + UARTICR, RECEIVE);
  while (((yield g.load(base + UARTFR)) & RXFE) === 0) bytes.push((yield g.load(base + UARTDR)) & 0xff);
  return bytes;
}
