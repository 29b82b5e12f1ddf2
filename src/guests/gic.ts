/** Driver of the GICv2 (Arm IHI 0048B 4.3, 4.4), real or virtual: the registers a guest kernel needs of distributor and CPU interface. */
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const GICD_CTLR = 0x0;
const GICD_ISENABLER = 0x100;
const GICD_IPRIORITYR = 0x400;
const GICD_ITARGETSR = 0x800;
const GICD_ICFGR = 0xc00;

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

/** Has the distributor forward an interrupt to this CPU, at priority 0x80. */
export function* enableInterrupt(g: Guest, distributor: number, id: number, trigger: "level" | "edge"): Routine {
  yield g.store(distributor + GICD_CTLR, 1);
  yield g.store(distributor + GICD_IPRIORITYR + id, 0x80, 1);
  if (id >= 32) yield g.store(distributor + GICD_ITARGETSR + id, 1 << g.vcpu, 1);
  if (trigger === "edge") {
    const at = distributor + GICD_ICFGR + 4 * (id >> 4);
    yield g.store(at, ((yield g.load(at)) | (2 << (2 * (id & 15)))) >>> 0);
  }
  yield g.store(distributor + GICD_ISENABLER + 4 * (id >> 5), (1 << (id & 31)) >>> 0);
}

/** Acknowledges the highest-priority interrupt: its INTID, or one from `SPURIOUS` on. */
export function* acknowledge(g: Guest, base: number): Routine<number> {
  return yield g.load(base + IAR);
}

export function* endOfInterrupt(g: Guest, base: number, id: number): Routine {
  yield g.store(base + EOIR, id);
}
