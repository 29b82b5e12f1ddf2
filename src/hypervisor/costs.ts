/**
 * What things cost that the model does not execute: cycles (of the CPU's own frequency) for a hypervisor's work and, on abstract CPUs, for what a guest
 * does. Data with a source each; "assumed" numbers are choices without a published source, to be varied in experiments.
 */

export interface Cost {
  readonly value: number;
  readonly unit: "cycles" | "cycles/byte";
  readonly what: string;
  /** Where the number is from, or why it was chosen. */
  readonly source: string;
  /** No published number stands behind it. */
  readonly assumed: boolean;
}

const found = (value: number, unit: Cost["unit"], what: string, source: string): Cost => ({
  value,
  unit,
  what,
  source,
  assumed: false,
});
const assumed = (value: number, unit: Cost["unit"], what: string, source: string): Cost => ({
  value,
  unit,
  what,
  source,
  assumed: true,
});

const SPLITX = "SplitX (WIOV 2011): exit and entry on an X5570 at 2.93 GHz, KVM, EPT and VPID, direct cost";
const XEN_EOI = "Xen commit 77ec53b686: APIC-access exit emulated 7.8k TSC cycles, on the fast path 3k";
const LRO = "Oi and Nakajima 2009: receive cost in driver domain and guest";

export const COSTS = {
  exitEntry: found(2000, "cycles", "leaving a guest and entering it again", SPLITX),
  emulation: found(
    5800,
    "cycles",
    "fetching, decoding and emulating a trapped access",
    `${XEN_EOI}; 7.8k less the exit`,
  ),
  fastEmulation: found(
    1000,
    "cycles",
    "emulating an access that the syndrome describes",
    `${XEN_EOI}; 3k less the exit`,
  ),
  receiveDriverDomain: found(13.4, "cycles/byte", "receive path of a driver domain, no LRO", `${LRO}, 577 Mb/s`),
  receiveGuest: found(7.1, "cycles/byte", "receive path of a guest, no LRO", `${LRO}, 577 Mb/s`),
  receiveDriverDomainLro: found(3.3, "cycles/byte", "receive path of a driver domain, tuned LRO", `${LRO}, 748 Mb/s`),
  receiveGuestLro: found(5.9, "cycles/byte", "receive path of a guest, tuned LRO", `${LRO}, 748 Mb/s`),
  injection: assumed(500, "cycles", "presenting a virtual interrupt", "a few accesses to GICH registers"),
  hypercall: assumed(500, "cycles", "a hypercall's work beyond exit and entry", "an event-channel operation"),
  forwardCommand: assumed(
    1500,
    "cycles",
    "checking, translating and forwarding a command of an emulated TOE",
    "some 200 instructions, 64 bytes read and written, a table of sockets",
  ),
  forwardCompletion: assumed(800, "cycles", "handing a completion to an emulated TOE", "half of a command's work"),
  worldSwitch: assumed(3000, "cycles", "exchanging one vCPU for another", "some 100 registers and 20 GICH accesses"),
  schedule: assumed(500, "cycles", "the scheduler's choice", "a short run queue"),
  cacheRefill: assumed(
    5120,
    "cycles",
    "refilling caches after a world switch",
    "512 lines of a 32 KiB L1 at 10 cycles",
  ),
  interruptEntry: assumed(
    100,
    "cycles",
    "a guest's own interrupt entry and return",
    "saving and restoring 31 registers",
  ),
  memoryAccess: assumed(4, "cycles", "a load from or store to memory", "an L1 hit"),
  deviceRead: assumed(300, "cycles", "a load from a device's register", "a round trip on the bus"),
  deviceWrite: assumed(60, "cycles", "a store to a device's register", "a posted write"),
  copy: assumed(0.25, "cycles/byte", "copying memory", "16 bytes in 4 cycles"),
} as const satisfies { readonly [name: string]: Cost };

export type CostName = keyof typeof COSTS;
/** The numbers alone. */
export type CostTable = { readonly [name in CostName]: number };

/** The defaults with some of them replaced. Throws RangeError where a number is negative or none. */
export function costTable(overrides: Partial<CostTable> = {}): CostTable {
  const table = Object.fromEntries(Object.entries(COSTS).map(([name, cost]) => [name, cost.value]));
  for (const [name, value] of Object.entries(overrides)) {
    if (!(name in COSTS)) throw new RangeError(`cost "${name}": expected one of ${Object.keys(COSTS).join(", ")}`);
    if (!Number.isFinite(value) || value < 0)
      throw new RangeError(`cost ${name}: ${value}: expected a number from 0 on`);
    table[name] = value;
  }
  return table as CostTable;
}
