/**
 * GICv2 virtualization (Arm IHI 0048B chapter 5): for each CPU the virtual interface control registers (GICH) with which a hypervisor
 * presents interrupts, and the virtual CPU interface (GICV), which its guest takes for a GICC.
 *
 * Modelled: list registers (4, as in a GIC-400), hardware interrupts with their physical deactivation, EOICount, maintenance interrupt with
 * all its reasons, active priorities, virtual priority mask and binary points, both groups, EOImode.
 *
 * Choices where the architecture leaves one:
 * - Of pending list registers of equal priority the lower INTID is first; of the same INTID twice (UNPREDICTABLE) the lower list register.
 * - GICV_DIR with EOImode 0 is ignored and recorded. GICV_EOIR with no active priority changes nothing but the list register, if there is one.
 * - A physical INTID below 16, or one that does not exist, is not deactivated, and is recorded. Reserved bits of list registers read as zero.
 */
import type { Target } from "../../bus/index.ts";
import { RegisterBank } from "../../registers/index.ts";
import { type Line, Module, type Simulation } from "../../sim/index.ts";
import { CpuInterface, cpuInterfaceState, EOI_MODE, IDLE, SPURIOUS_GROUP1 } from "./cpu-interface.ts";
import { NOTHING_PENDING } from "./distributor.ts";
import type { Gicv2 } from "./gicv2.ts";
import { GICH, GICV } from "./registers-virtual.ts";

export const LIST_REGISTERS = 4;
const PRIORITY_BITS = 5;
const CONTROL_MASK = 0x21f;
const HCR_MASK = 0xf800_00ff | 0;
const EOI_COUNT_SHIFT = 27;

// Fields of a list register.
const LR_MASK = 0xff8f_ffff | 0;
const PENDING = 0x1000_0000;
const ACTIVE = 0x2000_0000;
const STATE = 0x3000_0000;
const GROUP1 = 0x4000_0000;
const HARDWARE = 0x8000_0000 | 0;
const EOI = 0x0008_0000;

export class GicVirtualization extends Module {
  readonly hypervisorRegisters: RegisterBank<typeof GICH>;
  readonly virtualCpuRegisters: RegisterBank<typeof GICV>;
  /** The frames on the bus: GICH (512 bytes) and GICV (8 KiB). */
  readonly hypervisor: Target;
  readonly virtualCpu: Target;
  /** To each CPU: virtual interrupt requests. */
  readonly virq: readonly Line[];
  readonly vfiq: readonly Line[];
  /** From each CPU's interface: the maintenance interrupt, a level-sensitive PPI. */
  readonly maintenance: readonly Line[];
  readonly #gic: Gicv2;
  readonly #cpus: number;
  readonly #interface: CpuInterface;
  readonly #state: { hcr: Int32Array; lists: Int32Array };

  constructor(parent: Module | Simulation, name: string, gic: Gicv2) {
    super(parent, name);
    const { cpus } = gic;
    this.#gic = gic;
    this.#cpus = cpus;
    const perCpu = (prefix: string): Line[] => Array.from({ length: cpus }, (_, i) => this.line(`${prefix}${i}`));
    this.virq = perCpu("virq");
    this.vfiq = perCpu("vfiq");
    this.maintenance = perCpu("maintenance");
    this.#state = this.state({ hcr: new Int32Array(cpus), lists: new Int32Array(cpus * LIST_REGISTERS) });
    const options = { cpus, priorityBits: PRIORITY_BITS, controlMask: CONTROL_MASK, sharedActivePriorities: true };
    this.#interface = new CpuInterface(
      options,
      this.state(cpuInterfaceState(options), "virtualCpuInterfaces"),
      {
        highest: (cpu) => this.#highest(cpu),
        group: (cpu) => ((this.#list(cpu, this.#best(cpu)) & GROUP1) !== 0 ? 1 : 0),
        requester: (cpu) => requesterOf(this.#list(cpu, this.#best(cpu))),
        acknowledge: (cpu) => {
          const best = this.#best(cpu);
          this.#setList(cpu, best, (this.#list(cpu, best) & ~STATE) | ACTIVE);
        },
      },
      (cpu, irq, fiq) => {
        (this.virq[cpu] as Line).set(irq);
        (this.vfiq[cpu] as Line).set(fiq);
      },
    );
    this.hypervisorRegisters = this.part("GICH", this.#buildHypervisor());
    this.virtualCpuRegisters = this.part("GICV", this.#buildVirtualCpu());
    this.hypervisor = this.hypervisorRegisters;
    this.virtualCpu = this.virtualCpuRegisters;
  }

  protected override onReset(): void {
    this.#rebuild();
  }
  protected override onRestore(): void {
    this.#rebuild();
  }

  #rebuild(): void {
    this.#interface.rebuild();
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.#update(cpu);
  }

  #list(cpu: number, index: number): number {
    return this.#state.lists[cpu * LIST_REGISTERS + index] as number;
  }
  #setList(cpu: number, index: number, value: number): void {
    this.#state.lists[cpu * LIST_REGISTERS + index] = value;
  }
  #enabled(cpu: number): boolean {
    return ((this.#state.hcr[cpu] as number) & 1) !== 0;
  }

  /** The list register of the highest-priority pending interrupt, or -1. One that is active as well does not count. */
  #best(cpu: number): number {
    let best = -1;
    let bestKey = NOTHING_PENDING;
    for (let i = 0; i < LIST_REGISTERS; i++) {
      const list = this.#list(cpu, i);
      const id = list & 0x3ff;
      if ((list & STATE) !== PENDING || id >= 1020) continue;
      const key = (((list >>> 23) & 0x1f) << 13) | id;
      if (key < bestKey) {
        bestKey = key;
        best = i;
      }
    }
    return best;
  }

  #highest(cpu: number): number {
    const best = this.#enabled(cpu) ? this.#best(cpu) : -1;
    if (best < 0) return NOTHING_PENDING;
    const list = this.#list(cpu, best);
    return (((list >>> 23) & 0x1f) << 13) | (list & 0x3ff);
  }

  #update(cpu: number): void {
    this.#interface.update(cpu);
    (this.maintenance[cpu] as Line).set(this.#enabled(cpu) && this.#misr(cpu) !== 0);
  }

  /** List registers, a bit each, that `choose` picks. */
  #lists(cpu: number, choose: (list: number) => boolean): number {
    let bits = 0;
    for (let i = 0; i < LIST_REGISTERS; i++) if (choose(this.#list(cpu, i))) bits |= 1 << i;
    return bits;
  }

  /** Why a maintenance interrupt is due (5.3.4). */
  #misr(cpu: number): number {
    const hcr = this.#state.hcr[cpu] as number;
    const control = this.#interface.state.control[cpu] as number;
    const valid = this.#lists(cpu, (list) => (list & STATE) !== 0);
    const pending = this.#lists(cpu, (list) => (list & STATE) === PENDING);
    const on = (enable: number, condition: boolean): number => ((hcr & enable) !== 0 && condition ? enable : 0);
    return (
      (this.#lists(cpu, hasEnded) !== 0 ? 1 : 0) |
      on(2, (valid & (valid - 1)) === 0) |
      on(4, hcr >>> EOI_COUNT_SHIFT !== 0) |
      on(8, pending === 0) |
      on(0x10, (control & 1) !== 0) |
      on(0x20, (control & 1) === 0) |
      on(0x40, (control & 2) !== 0) |
      on(0x80, (control & 2) === 0)
    );
  }

  #endOfInterrupt(cpu: number, written: number): void {
    const id = written & 0x3ff;
    if (id >= 1020) return;
    const dropped = this.#interface.drop(cpu, 0);
    if (((this.#interface.state.control[cpu] as number) & EOI_MODE) === 0) this.#deactivate(cpu, id, dropped);
    this.#update(cpu);
  }

  #deactivateInterrupt(cpu: number, written: number): void {
    const id = written & 0x3ff;
    if (id >= 1020) return;
    if (((this.#interface.state.control[cpu] as number) & EOI_MODE) === 0) {
      this.#complain("sequence", "GICV_DIR", "5.5.14", "GICV_CTLR.EOImode is 0; the write is ignored");
      return;
    }
    this.#deactivate(cpu, id, true);
    this.#update(cpu);
  }

  /** Ends virtual interrupt `id`; one that is in no list register is counted for the hypervisor, if `count` is set. */
  #deactivate(cpu: number, id: number, count: boolean): void {
    for (let i = 0; i < LIST_REGISTERS; i++) {
      const list = this.#list(cpu, i);
      if ((list & 0x3ff) !== id || (list & ACTIVE) === 0) continue;
      this.#setList(cpu, i, list & ~ACTIVE);
      if ((list & HARDWARE) !== 0) this.#deactivatePhysical(cpu, (list >>> 10) & 0x3ff);
      return;
    }
    const { hcr } = this.#state;
    if (count) hcr[cpu] = ((hcr[cpu] as number) + (1 << EOI_COUNT_SHIFT)) | 0;
  }

  #deactivatePhysical(cpu: number, id: number): void {
    if (id >= 16 && id < this.#gic.interrupts) this.#gic.deactivate(cpu, id);
    else this.#complain("value", "GICH_LR", "5.3.8", `physical INTID ${id} cannot be deactivated`);
  }

  #complain(kind: "value" | "sequence", register: string, clause: string, detail: string): void {
    this.guestError({ kind, register, write: true, clause: `Arm IHI 0048B ${clause}`, detail });
  }

  #buildHypervisor(): RegisterBank<typeof GICH> {
    const { hcr } = this.#state;
    const c = this.#interface;
    return new RegisterBank(
      this,
      GICH,
      {
        GICH_HCR: {
          get: (_index, cpu) => hcr[cpu] as number,
          onWrite: (written, _mask, _before, _index, cpu) => {
            hcr[cpu] = written & HCR_MASK;
            this.#update(cpu);
          },
        },
        GICH_VTR: { get: () => ((PRIORITY_BITS - 1) << 29) | ((PRIORITY_BITS - 1) << 26) | (LIST_REGISTERS - 1) },
        GICH_VMCR: {
          get: (_index, cpu) =>
            (c.state.control[cpu] as number) |
            ((c.state.aliasedBinaryPoint[cpu] as number) << 18) |
            ((c.state.binaryPoint[cpu] as number) << 21) |
            ((c.state.priorityMask[cpu] as number) << 24),
          onWrite: (written, _mask, _before, _index, cpu) => {
            c.setControl(cpu, written);
            c.setAliasedBinaryPoint(cpu, written >>> 18);
            c.setBinaryPoint(cpu, written >>> 21);
            c.setPriorityMask(cpu, written >>> 24);
            this.#update(cpu);
          },
        },
        GICH_MISR: { get: (_index, cpu) => this.#misr(cpu) },
        GICH_EISR: { get: (index, cpu) => (index === 0 ? this.#lists(cpu, hasEnded) : 0) },
        GICH_ELRSR: { get: (index, cpu) => (index === 0 ? this.#lists(cpu, isEmpty) : 0) },
        GICH_APR: {
          get: (_index, cpu) => c.activePriorities(cpu, 0, 0),
          onWrite: (written, _mask, _before, _index, cpu) => c.setActivePriorities(cpu, 0, 0, written),
        },
        GICH_LR: {
          get: (index, cpu) => (index < LIST_REGISTERS ? this.#list(cpu, index) : 0),
          onWrite: (written, _mask, _before, index, cpu) => {
            if (index >= LIST_REGISTERS) return;
            this.#setList(cpu, index, written & LR_MASK);
            this.#update(cpu);
          },
        },
      },
      { cpus: this.#cpus },
    );
  }

  #buildVirtualCpu(): RegisterBank<typeof GICV> {
    const c = this.#interface;
    const { state } = c;
    const acknowledge = (_index: number, cpu: number, value: number): void => {
      const id = value & 0x3ff;
      if (id >= SPURIOUS_GROUP1) return;
      c.acknowledge(cpu, id);
      this.#update(cpu);
    };
    return new RegisterBank(
      this,
      GICV,
      {
        GICV_CTLR: {
          get: (_index, cpu) => state.control[cpu] as number,
          onWrite: (written, _mask, _before, _index, cpu) => {
            c.setControl(cpu, written);
            this.#update(cpu);
          },
        },
        GICV_PMR: {
          get: (_index, cpu) => state.priorityMask[cpu] as number,
          onWrite: (written, _mask, _before, _index, cpu) => c.setPriorityMask(cpu, written),
        },
        GICV_BPR: {
          get: (_index, cpu) => state.binaryPoint[cpu] as number,
          onWrite: (written, _mask, _before, _index, cpu) => c.setBinaryPoint(cpu, written),
        },
        GICV_IAR: { get: (_index, cpu) => c.interruptAcknowledge(cpu, 0), onRead: acknowledge },
        GICV_EOIR: { onWrite: (written, _mask, _before, _index, cpu) => this.#endOfInterrupt(cpu, written) },
        GICV_RPR: { get: (_index, cpu) => (c.running(cpu) === IDLE ? 0xff : c.running(cpu)) },
        GICV_HPPIR: { get: (_index, cpu) => c.highestPending(cpu, 0) },
        GICV_ABPR: {
          get: (_index, cpu) => state.aliasedBinaryPoint[cpu] as number,
          onWrite: (written, _mask, _before, _index, cpu) => c.setAliasedBinaryPoint(cpu, written),
        },
        GICV_AIAR: { get: (_index, cpu) => c.interruptAcknowledge(cpu, 1), onRead: acknowledge },
        GICV_AEOIR: { onWrite: (written, _mask, _before, _index, cpu) => this.#endOfInterrupt(cpu, written) },
        GICV_AHPPIR: { get: (_index, cpu) => c.highestPending(cpu, 1) },
        GICV_APR: {
          get: (index, cpu) => c.activePriorities(cpu, 0, index),
          onWrite: (written, _mask, _before, index, cpu) => c.setActivePriorities(cpu, 0, index, written),
        },
        GICV_DIR: { onWrite: (written, _mask, _before, _index, cpu) => this.#deactivateInterrupt(cpu, written) },
      },
      { cpus: this.#cpus },
    );
  }
}

/** GICH_EISR: its interrupt has ended, and the hypervisor wants to know. */
function hasEnded(list: number): boolean {
  return (list & (STATE | HARDWARE | EOI)) === EOI;
}

/** GICH_ELRSR: invalid, and nothing to be noticed. */
function isEmpty(list: number): boolean {
  return (list & STATE) === 0 && !hasEnded(list);
}

function requesterOf(list: number): number {
  return (list & HARDWARE) !== 0 ? 0 : (list >>> 10) & 7;
}
