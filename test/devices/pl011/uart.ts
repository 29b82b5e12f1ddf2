import { Pl011, type Pl011Options } from "../../../src/devices/pl011/index.ts";
import { type Guest, guestOf } from "../guest.ts";

export interface Uart extends Guest {
  readonly uart: Pl011;
  /** Characters that left, with the tick at which their last stop bit ended. */
  readonly sent: { byte: number; at: number }[];
  readonly breaks: { active: boolean; at: number }[];
}

export function buildUart(options: Pl011Options = {}): Uart {
  let uart: Pl011 | undefined;
  const guest = guestOf((simulation) => {
    uart = new Pl011(simulation, "uart0", options);
    return { module: uart, targets: [{ name: "registers", target: uart.registers, size: 0x1000 }] };
  });
  const built = uart as unknown as Pl011;
  const sent: Uart["sent"] = [];
  const breaks: Uart["breaks"] = [];
  built.onTransmit = (byte) => sent.push({ byte, at: guest.simulation.now });
  built.onBreak = (active) => breaks.push({ active, at: guest.simulation.now });
  return { ...guest, uart: built, sent, breaks };
}

/** The sequence of 3.3.8: divisor, line control, control. 8 data bits and FIFOs unless given; UARTCLK / 16 unless given. */
export function setUp(u: Uart, lcr = 0x70, cr = 0x301, ibrd = 1, fbrd = 0): void {
  u.write(0x030, 0);
  u.write(0x024, ibrd);
  u.write(0x028, fbrd);
  u.write(0x02c, lcr);
  u.write(0x030, cr);
}

/** Ticks of one character of ten bits at UARTCLK / 16 of 4 MHz: 10 bits of 4 us. */
export const CHARACTER = 400_000;
