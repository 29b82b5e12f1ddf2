/** The CPU interface's registers over its logic, in the Secure and the Non-secure view. */
import type { Hooks, HooksOf } from "../../registers/index.ts";
import { CBPR, type CpuInterface, EOI_MODE, EOI_MODE_NS, IDLE, SPURIOUS, SPURIOUS_GROUP1 } from "./cpu-interface.ts";
import type { Distributor } from "./distributor.ts";
import type { AccessView, Complain } from "./distributor-registers.ts";
import type { GICC } from "./registers.ts";

export function cpuInterfaceHooks(
  c: CpuInterface,
  d: Distributor,
  view: AccessView,
  complain: Complain,
): HooksOf<typeof GICC> {
  const { state } = c;
  const control = (cpu: number): number => state.control[cpu] as number;

  /** A register that only Secure accesses reach: RAZ/WI to others. */
  const secureOnly = (hooks: Hooks): Hooks => {
    const { get, onRead, onWrite } = hooks;
    return {
      ...(get ? { get: (i, cpu, w) => (view.nonSecure ? 0 : get(i, cpu, w)) } : {}),
      ...(onRead
        ? {
            onRead: (i, cpu, v, m, w) => {
              if (!view.nonSecure) onRead(i, cpu, v, m, w);
            },
          }
        : {}),
      ...(onWrite
        ? {
            onWrite: (v, m, b, i, cpu, w) => {
              if (!view.nonSecure) onWrite(v, m, b, i, cpu, w);
            },
          }
        : {}),
    };
  };

  const acknowledge = (_index: number, cpu: number, value: number): void => {
    const id = value & 0x3ff;
    if (id < SPURIOUS_GROUP1) c.acknowledge(cpu, id);
  };

  const deactivate = (id: number, cpu: number, register: string, clause: string): void => {
    if (!d.isActive(id, cpu)) complain("sequence", register, clause, `interrupt ${id} is not active`);
    d.deactivate(id, cpu);
  };

  const endOfInterrupt = (written: number, cpu: number, aliased: boolean): void => {
    const register = aliased ? "GICC_AEOIR" : "GICC_EOIR";
    const clause = aliased ? "4.4.10" : "4.4.5";
    const id = written & 0x3ff;
    if (id === SPURIOUS || id === SPURIOUS_GROUP1) return;
    if (id >= d.interrupts) {
      complain("value", register, clause, `there is no interrupt ${id}; the write is ignored`);
      return;
    }
    if (c.running(cpu) === IDLE) {
      complain("sequence", register, clause, "no interrupt is active on this CPU interface; the write is ignored");
      return;
    }
    const group = d.groupOf(id, cpu);
    if (group === 0 && (aliased || view.nonSecure)) {
      if (aliased) complain("sequence", register, clause, `interrupt ${id} is in Group 0; the write is ignored`);
      return;
    }
    if (group === 1 && !aliased && !view.nonSecure && (control(cpu) & 4) === 0) {
      complain("sequence", register, clause, `interrupt ${id} is in Group 1 and AckCtl is 0`);
    }
    if (!c.drop(cpu, group)) complain("sequence", register, clause, `no interrupt of Group ${group} is active`);
    const split = view.nonSecure ? EOI_MODE_NS : EOI_MODE;
    if ((control(cpu) & split) === 0) deactivate(id, cpu, register, clause);
  };

  const deactivateInterrupt = (written: number, cpu: number): void => {
    const id = written & 0x3ff;
    if (id === SPURIOUS || id === SPURIOUS_GROUP1) return;
    const split = view.nonSecure ? EOI_MODE_NS : EOI_MODE;
    if (id >= d.interrupts) {
      complain("value", "GICC_DIR", "4.4.15", `there is no interrupt ${id}; the write is ignored`);
    } else if ((control(cpu) & split) === 0) {
      complain("sequence", "GICC_DIR", "4.4.15", "GICC_CTLR.EOImode is 0; the write is ignored");
    } else if (!view.nonSecure || d.groupOf(id, cpu) === 1) {
      deactivate(id, cpu, "GICC_DIR", "4.4.15");
    }
  };

  /** A Non-secure view shows the upper half of the priorities, as if it were the whole (IHI 0048B 3.5.2). */
  const nonSecurePriority = (priority: number): number => (priority >= 0x80 ? (priority << 1) & 0xff : 0);
  /** Half of the active priorities of Group 1, the lower-priority one, is what Non-secure software sees as its own. */
  const half = c.levels / 2;

  return {
    GICC_CTLR: {
      get: (_index, cpu) => {
        const value = control(cpu);
        if (!view.nonSecure) return value;
        return ((value >>> 1) & 1) | ((value >>> 2) & 0x60) | ((value >>> 1) & EOI_MODE);
      },
      onWrite: (written, _mask, _before, _index, cpu) => {
        if (!view.nonSecure) c.setControl(cpu, written);
        else {
          const mine = ((written & 1) << 1) | ((written & 0x60) << 2) | ((written & EOI_MODE) << 1);
          c.setControl(cpu, (control(cpu) & ~(2 | 0x180 | EOI_MODE_NS)) | mine);
        }
      },
    },
    GICC_PMR: {
      get: (_index, cpu) => {
        const mask = state.priorityMask[cpu] as number;
        return view.nonSecure ? nonSecurePriority(mask) : mask;
      },
      onWrite: (written, _mask, _before, _index, cpu) => {
        const value = written & 0xff;
        if (!view.nonSecure) c.setPriorityMask(cpu, value);
        else if ((state.priorityMask[cpu] as number) >= 0x80) c.setPriorityMask(cpu, 0x80 | (value >>> 1));
      },
    },
    GICC_BPR: {
      get: (_index, cpu) => {
        const point = state.binaryPoint[cpu] as number;
        if (!view.nonSecure) return point;
        return (control(cpu) & CBPR) !== 0 ? Math.min(point + 1, 7) : (state.aliasedBinaryPoint[cpu] as number);
      },
      onWrite: (written, _mask, _before, _index, cpu) => {
        if (!view.nonSecure) c.setBinaryPoint(cpu, written);
        else if ((control(cpu) & CBPR) === 0) c.setAliasedBinaryPoint(cpu, written);
      },
    },
    GICC_IAR: {
      get: (_index, cpu) => c.interruptAcknowledge(cpu, view.nonSecure ? 1 : 0),
      onRead: acknowledge,
    },
    GICC_EOIR: { onWrite: (written, _mask, _before, _index, cpu) => endOfInterrupt(written, cpu, false) },
    GICC_RPR: {
      get: (_index, cpu) => {
        const running = c.running(cpu);
        if (running === IDLE) return 0xff;
        return view.nonSecure ? nonSecurePriority(running) : running;
      },
    },
    GICC_HPPIR: { get: (_index, cpu) => c.highestPending(cpu, view.nonSecure ? 1 : 0) },
    GICC_ABPR: secureOnly({
      get: (_index, cpu) => state.aliasedBinaryPoint[cpu] as number,
      onWrite: (written, _mask, _before, _index, cpu) => c.setAliasedBinaryPoint(cpu, written),
    }),
    GICC_AIAR: secureOnly({
      get: (_index, cpu) => c.interruptAcknowledge(cpu, 1),
      onRead: acknowledge,
    }),
    GICC_AEOIR: secureOnly({
      onWrite: (written, _mask, _before, _index, cpu) => endOfInterrupt(written, cpu, true),
    }),
    GICC_AHPPIR: secureOnly({ get: (_index, cpu) => c.highestPending(cpu, 1) }),
    GICC_APR: {
      get: (index, cpu) => {
        if (!view.nonSecure) return c.activePriorities(cpu, 0, index);
        return upperHalf(index, half, (word) => c.activePriorities(cpu, 1, word));
      },
      onWrite: (written, _mask, _before, index, cpu) => {
        if (!view.nonSecure) c.setActivePriorities(cpu, 0, index, written);
        else if (half >= 32) {
          if (index < half / 32) c.setActivePriorities(cpu, 1, index + half / 32, written);
        } else if (index === 0) {
          const mask = (1 << half) - 1;
          c.setActivePriorities(cpu, 1, 0, (c.activePriorities(cpu, 1, 0) & mask) | ((written & mask) << half));
        }
      },
    },
    GICC_NSAPR: secureOnly({
      get: (index, cpu) => c.activePriorities(cpu, 1, index),
      onWrite: (written, _mask, _before, index, cpu) => c.setActivePriorities(cpu, 1, index, written),
    }),
    GICC_DIR: { onWrite: (written, _mask, _before, _index, cpu) => deactivateInterrupt(written, cpu) },
  };
}

/** Word `index` of the upper `half` of a set of 2 * `half` bits. */
function upperHalf(index: number, half: number, word: (index: number) => number): number {
  if (half >= 32) return index < half / 32 ? word(index + half / 32) : 0;
  return index === 0 ? word(0) >>> half : 0;
}
