import { Sp804, type Sp804Options } from "../../../src/devices/sp804/index.ts";
import { type Guest, guestOf } from "../guest.ts";

export interface DualTimer extends Guest {
  readonly timer: Sp804;
}

/** TIMCLK of 1 MHz unless the options say otherwise: a TIMCLK cycle is 10,000 ticks. */
export function buildTimer(options: Sp804Options = {}): DualTimer {
  let timer: Sp804 | undefined;
  const guest = guestOf((simulation) => {
    timer = new Sp804(simulation, "timer0", options);
    return { module: timer, targets: [{ name: "registers", target: timer.registers, size: 0x1000 }] };
  });
  return { ...guest, timer: timer as unknown as Sp804 };
}

export const CYCLE = 10_000;
/** Offsets of timer 1 and timer 2. */
export const TIMERS = [
  ["timer 1", 0x00, "timer1Interrupt"],
  ["timer 2", 0x20, "timer2Interrupt"],
] as const;
