/** Driver of the GICv2 CPU interface (Arm IHI 0048B 4.4), real or virtual: the registers a guest kernel needs. */
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const CTLR = 0x0;
const PMR = 0x4;
const IAR = 0xc;
const EOIR = 0x10;

/** INTIDs from here on mean that nothing is pending (4.4.4). */
export const SPURIOUS = 1020;

/** Enables the interface for interrupts of every priority. */
export function* enableGic(g: Guest, base: number): Routine {
  yield g.store(base + PMR, 0xff);
  yield g.store(base + CTLR, 1);
}

/** Acknowledges the highest-priority interrupt: its INTID, or one from `SPURIOUS` on. */
export function* acknowledge(g: Guest, base: number): Routine<number> {
  return yield g.load(base + IAR);
}

export function* endOfInterrupt(g: Guest, base: number, id: number): Routine {
  yield g.store(base + EOIR, id);
}
