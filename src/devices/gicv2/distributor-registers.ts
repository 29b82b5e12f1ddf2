/** The distributor's registers over its state: the Secure view, and the Non-secure one where there are Security Extensions. */
import type { Hooks, HooksOf } from "../../registers/index.ts";
import type { Distributor } from "./distributor.ts";
import type { GICD } from "./registers.ts";

/** How the access that is under way sees the registers. */
export interface AccessView {
  /** Non-secure access to a GIC with the Security Extensions. */
  nonSecure: boolean;
}

export type Complain = (
  kind: "access" | "value" | "sequence",
  register: string,
  clause: string,
  detail: string,
) => void;

/** Levels of GICD_NSACR: what a Non-secure access may do to an interrupt of Group 0 (4.3.14). */
const MAY_SET_PENDING = 1;
const MAY_CLEAR_PENDING = 2;
const MAY_TARGET = 3;
const NEVER = 4;

const PPIS = 0xffff_0000 | 0;

export function distributorHooks(
  d: Distributor,
  view: AccessView,
  securityExtensions: boolean,
  complain: Complain,
): HooksOf<typeof GICD> {
  const { state } = d;

  /** Bits of a word that this access may see and change: all, or Group 1 and what GICD_NSACR opens. */
  const visible = (word: number, cpu: number, level = NEVER): number => {
    const implemented = d.implemented(word);
    if (!view.nonSecure || implemented === 0) return implemented;
    const stored = d.stored(word, cpu);
    let bits = state.group[stored] as number;
    if (level !== NEVER) {
      for (let b = 0; b < 32; b++) if ((state.nonSecureAccess[stored * 32 + b] as number) >= level) bits |= 1 << b;
    }
    return bits & implemented;
  };
  const sees = (id: number, cpu: number, level = NEVER): boolean =>
    id < d.interrupts &&
    (!view.nonSecure || d.groupOf(id, cpu) === 1 || (state.nonSecureAccess[d.slot(id, cpu)] as number) >= level);

  /** A pair of registers that set or clear bits of one bitmap. SGIs take no part where `sgis` is false. */
  const bitmap = (map: Int32Array, set: boolean, sgis: boolean, level = NEVER, pending = false): Hooks => ({
    get: (word, cpu) => {
      if (word >= d.words) return 0;
      const stored = d.stored(word, cpu);
      return (pending ? d.pendingWord(stored) : (map[stored] as number)) & visible(word, cpu, level);
    },
    onWrite: (written, _mask, _before, word, cpu) => {
      let bits = written & visible(word, cpu, level);
      if (word === 0 && !sgis) bits &= PPIS;
      if (bits !== 0) d.change(map, d.stored(word, cpu), set ? bits : 0, set ? 0 : bits);
    },
  });

  /** A register of four interrupts, a byte each. */
  const bytes = (
    get: (id: number, cpu: number) => number,
    set: (id: number, cpu: number, value: number) => void,
  ): Hooks => ({
    get: (index, cpu) => {
      let word = 0;
      for (let lane = 0; lane < 4; lane++) word |= get(index * 4 + lane, cpu) << (8 * lane);
      return word;
    },
    onWrite: (written, mask, _before, index, cpu) => {
      for (let lane = 0; lane < 4; lane++) {
        if (((mask >>> (8 * lane)) & 0xff) !== 0) set(index * 4 + lane, cpu, (written >>> (8 * lane)) & 0xff);
      }
    },
  });

  /** A register of the sources of four SGIs. */
  const sources = (pending: boolean, level: number): Hooks =>
    bytes(
      (id, cpu) => (sees(id, cpu, level) ? (state.sources[cpu * 16 + id] as number) : 0),
      (id, cpu, value) => {
        if (sees(id, cpu, level)) d.setSource(id, cpu, value & d.cpuMask, pending);
      },
    );

  const requestSgi = (written: number, requester: number): void => {
    const id = written & 0xf;
    const filter = (written >>> 24) & 3;
    if (filter === 3) {
      complain("value", "GICD_SGIR", "4.3.15", "TargetListFilter 0b11 is reserved; the write is ignored");
      return;
    }
    const self = 1 << requester;
    const targets = filter === 0 ? (written >>> 16) & 0xff : filter === 1 ? ~self : self;
    const group1Only = (written & 0x8000) !== 0;
    for (let cpu = 0; cpu < d.cpus; cpu++) {
      if (((targets >>> cpu) & 1) === 0) continue;
      // 4.3.15, table 4-23: with the Security Extensions the target's group decides whether the SGI is forwarded.
      if (view.nonSecure && !sees(id, cpu, MAY_SET_PENDING)) continue;
      if (securityExtensions && !view.nonSecure && (d.groupOf(id, cpu) === 1) !== group1Only) continue;
      d.setSource(id, cpu, self, true);
    }
  };

  return {
    GICD_CTLR: {
      get: () => (view.nonSecure ? (state.enableGroups >>> 1) & 1 : state.enableGroups),
      onWrite: (written) => {
        d.setEnableGroups(view.nonSecure ? (state.enableGroups & 1) | ((written & 1) << 1) : written & 3);
      },
    },
    GICD_TYPER: {
      get: () => (d.words - 1) | ((d.cpus - 1) << 5) | (securityExtensions ? 1 << 10 : 0),
    },
    GICD_IGROUPR: {
      get: (word, cpu) =>
        view.nonSecure || word >= d.words ? 0 : (state.group[d.stored(word, cpu)] as number) & d.implemented(word),
      onWrite: (written, _mask, _before, word, cpu) => {
        if (!view.nonSecure && word < d.words) d.setGroups(d.stored(word, cpu), written & d.implemented(word));
      },
    },
    GICD_ISENABLER: bitmap(state.enabled, true, false),
    GICD_ICENABLER: bitmap(state.enabled, false, false),
    GICD_ISPENDR: bitmap(state.latched, true, false, MAY_SET_PENDING, true),
    GICD_ICPENDR: bitmap(state.latched, false, false, MAY_CLEAR_PENDING, true),
    GICD_ISACTIVER: bitmap(state.active, true, true),
    GICD_ICACTIVER: bitmap(state.active, false, true),
    GICD_IPRIORITYR: bytes(
      (id, cpu) => {
        if (!sees(id, cpu)) return 0;
        const priority = state.priority[d.slot(id, cpu)] as number;
        return view.nonSecure ? (priority << 1) & 0xff : priority;
      },
      (id, cpu, value) => {
        if (sees(id, cpu)) d.setPriority(id, cpu, view.nonSecure ? 0x80 | (value >>> 1) : value);
      },
    ),
    GICD_ITARGETSR: bytes(
      (id, cpu) => {
        if (d.cpus === 1 || !sees(id, cpu, MAY_TARGET)) return 0;
        return id < 32 ? 1 << cpu : (state.targets[id - 32] as number);
      },
      (id, cpu, value) => {
        if (d.cpus === 1 || !sees(id, cpu, MAY_TARGET)) return;
        if (id >= 32) d.setTargets(id, value & d.cpuMask);
        else complain("access", "GICD_ITARGETSR", "4.3.12", "the targets of private interrupts are read-only");
      },
    ),
    GICD_ICFGR: {
      get: (index, cpu) => {
        const word = index >> 1;
        if (word >= d.words) return 0;
        const bits = (state.edge[d.stored(word, cpu)] as number) & visible(word, cpu);
        return spread(bits >>> ((index & 1) * 16)) << 1;
      },
      onWrite: (written, _mask, _before, index, cpu) => {
        const word = index >> 1;
        if (index === 0 || word >= d.words) return;
        const shift = (index & 1) * 16;
        const bits = visible(word, cpu) & (0xffff << shift);
        const edges = gather(written >>> 1) << shift;
        d.change(state.edge, d.stored(word, cpu), edges & bits, bits);
      },
    },
    GICD_PPISR: { get: (_index, cpu) => ((d.inputs.words[cpu] as number) & visible(0, cpu)) >>> 16 },
    GICD_SPISR: {
      get: (index) =>
        index + 1 < d.words ? (d.inputs.words[d.stored(index + 1, 0)] as number) & visible(index + 1, 0) : 0,
    },
    GICD_NSACR: {
      get: (index, cpu) => {
        let word = 0;
        if (!securityExtensions || view.nonSecure || index >> 1 >= d.words) return 0;
        for (let i = 0; i < 16; i++) word |= (state.nonSecureAccess[d.slot(index * 16 + i, cpu)] as number) << (2 * i);
        return word;
      },
      onWrite: (written, _mask, _before, index, cpu) => {
        // Register 1 would be for PPIs, which take no part (4.3.14).
        if (!securityExtensions || view.nonSecure || index === 1) return;
        for (let i = 0; i < 16; i++) {
          const id = index * 16 + i;
          if (id < d.interrupts) state.nonSecureAccess[d.slot(id, cpu)] = (written >>> (2 * i)) & 3;
        }
      },
    },
    GICD_SGIR: { onWrite: (written, _mask, _before, _index, cpu) => requestSgi(written, cpu) },
    GICD_CPENDSGIR: sources(false, MAY_CLEAR_PENDING),
    GICD_SPENDSGIR: sources(true, MAY_SET_PENDING),
  };
}

/** Moves bit n of a half word to bit 2n. */
function spread(half: number): number {
  let x = half & 0xffff;
  x = (x | (x << 8)) & 0x00ff00ff;
  x = (x | (x << 4)) & 0x0f0f0f0f;
  x = (x | (x << 2)) & 0x33333333;
  return (x | (x << 1)) & 0x55555555;
}

/** Moves bit 2n to bit n. */
function gather(word: number): number {
  let x = word & 0x55555555;
  x = (x | (x >>> 1)) & 0x33333333;
  x = (x | (x >>> 2)) & 0x0f0f0f0f;
  x = (x | (x >>> 4)) & 0x00ff00ff;
  return (x | (x >>> 8)) & 0xffff;
}
