/**
 * What a CPU interface does with the highest-priority pending interrupt: mask, preemption, acknowledge, priority drop. The physical
 * interface (GICC) and the virtual one (GICV) are this same logic over different sources of interrupts.
 */

/** Where a CPU interface takes its interrupts from. */
export interface InterruptSource {
  /** The highest-priority pending interrupt as `priority << 10 | INTID`; NOTHING_PENDING when there is none. */
  highest(cpu: number): number;
  /** The group of that interrupt. */
  group(cpu: number, id: number): number;
  /** The CPU that requested it, if it is an SGI, without effects. */
  requester(cpu: number, id: number): number;
  /** Makes it active. */
  acknowledge(cpu: number, id: number): void;
}

export interface CpuInterfaceOptions {
  readonly cpus: number;
  /** Implemented bits of a priority, 4 to 8. */
  readonly priorityBits: number;
  /** Bits of CTLR that exist. */
  readonly controlMask: number;
  /** One set of active priorities for both groups (the virtual interface, whose set is GICH_APR). */
  readonly sharedActivePriorities?: boolean;
}

export const ENABLE_GROUP0 = 1;
export const ENABLE_GROUP1 = 2;
export const ACK_CTL = 4;
export const FIQ_ENABLE = 8;
export const CBPR = 0x10;
export const EOI_MODE = 0x200;
export const EOI_MODE_NS = 0x400;

/** Running priority when nothing is active: below every interrupt's. */
export const IDLE = 0x100;
export const SPURIOUS = 1023;
/** The interrupt is in Group 1, and this read does not acknowledge those. */
export const SPURIOUS_GROUP1 = 1022;

const APRS = 4;

export function cpuInterfaceState(options: CpuInterfaceOptions) {
  const minimum = minimumBinaryPoint(options.priorityBits);
  return {
    control: new Int32Array(options.cpus),
    priorityMask: new Uint8Array(options.cpus),
    binaryPoint: new Uint8Array(options.cpus).fill(minimum),
    aliasedBinaryPoint: new Uint8Array(options.cpus).fill(minimum + 1),
    /** Active priorities: four words a CPU. */
    activeGroup0: new Int32Array(options.cpus * APRS),
    activeGroup1: new Int32Array(options.cpus * APRS),
  };
}

/** IHI 0048B 3.3.3: the group priority never has more bits than are implemented, nor more than seven. */
export function minimumBinaryPoint(priorityBits: number): number {
  return Math.max(7 - priorityBits, 0);
}

export class CpuInterface {
  readonly state: ReturnType<typeof cpuInterfaceState>;
  readonly priorityMask: number;
  readonly minimumBinaryPoint: number;
  readonly controlMask: number;
  /** Bits of active priorities that exist, by word. */
  readonly levels: number;
  readonly #cpus: number;
  readonly #source: InterruptSource;
  readonly #drive: (cpu: number, irq: boolean, fiq: boolean) => void;
  readonly #shared: boolean;
  /** By CPU: group priority of the highest active interrupt, or IDLE. */
  readonly #running: Int32Array;

  /** `drive` sets the CPU's interrupt request lines. */
  constructor(
    options: CpuInterfaceOptions,
    state: ReturnType<typeof cpuInterfaceState>,
    source: InterruptSource,
    drive: (cpu: number, irq: boolean, fiq: boolean) => void,
  ) {
    this.state = state;
    this.priorityMask = (0xff << (8 - options.priorityBits)) & 0xff;
    this.minimumBinaryPoint = minimumBinaryPoint(options.priorityBits);
    this.controlMask = options.controlMask;
    this.levels = 1 << (7 - this.minimumBinaryPoint);
    this.#cpus = options.cpus;
    this.#source = source;
    this.#drive = drive;
    this.#shared = options.sharedActivePriorities ?? false;
    this.#running = new Int32Array(options.cpus).fill(IDLE);
  }

  running(cpu: number): number {
    return this.#running[cpu] as number;
  }

  /** Bits of active-priorities word `word` that exist. */
  activeMask(word: number): number {
    const left = this.levels - word * 32;
    return left <= 0 ? 0 : left >= 32 ? -1 : (1 << left) - 1;
  }

  /** The bits of a priority that take part in preemption (IHI 0048B 3.3.3, tables 3-2 and 3-3). */
  groupMask(cpu: number, group: number): number {
    const { control, binaryPoint, aliasedBinaryPoint } = this.state;
    const point =
      group === 1 && ((control[cpu] as number) & CBPR) === 0
        ? (aliasedBinaryPoint[cpu] as number) - 1
        : (binaryPoint[cpu] as number);
    return -1 << (point + 1);
  }

  /** The highest-priority pending interrupt if it may be signalled now (4.4.4), else NOTHING (SPURIOUS in its low bits). */
  signalled(cpu: number): number {
    const key = this.#source.highest(cpu);
    const id = key & 1023;
    if (id === SPURIOUS) return SPURIOUS;
    const group = this.#source.group(cpu, id);
    const priority = key >>> 10;
    if (((this.state.control[cpu] as number) & (1 << group)) === 0) return SPURIOUS;
    if (priority >= (this.state.priorityMask[cpu] as number)) return SPURIOUS;
    // Where the groups' binary points differ, the pending interrupt's decides about both sides.
    const mask = this.groupMask(cpu, group);
    return (priority & mask) < ((this.#running[cpu] as number) & mask) ? key : SPURIOUS;
  }

  /** To be called when the highest-priority pending interrupt, or a register here, has changed. */
  update(cpu: number): void {
    const key = this.signalled(cpu);
    const id = key & 1023;
    if (id === SPURIOUS) this.#drive(cpu, false, false);
    else {
      const fiq = ((this.state.control[cpu] as number) & FIQ_ENABLE) !== 0 && this.#source.group(cpu, id) === 0;
      this.#drive(cpu, !fiq, fiq);
    }
  }

  /** What a read of IAR gives. `view`: 0 Secure or no Security Extensions, 1 Non-secure or aliased (Group 1 only). */
  interruptAcknowledge(cpu: number, view: number): number {
    return this.#identify(cpu, this.signalled(cpu) & 1023, view);
  }

  /** What a read of HPPIR gives: as IAR, whatever the priority mask and the running priority. */
  highestPending(cpu: number, view: number): number {
    const id = this.#source.highest(cpu) & 1023;
    if (id === SPURIOUS) return SPURIOUS;
    const enabled = ((this.state.control[cpu] as number) & (1 << this.#source.group(cpu, id))) !== 0;
    return enabled ? this.#identify(cpu, id, view) : SPURIOUS;
  }

  #identify(cpu: number, id: number, view: number): number {
    if (id === SPURIOUS) return SPURIOUS;
    const group = this.#source.group(cpu, id);
    if (view === 1 && group === 0) return SPURIOUS;
    if (view === 0 && group === 1 && ((this.state.control[cpu] as number) & ACK_CTL) === 0) return SPURIOUS_GROUP1;
    return id | (this.#source.requester(cpu, id) << 10);
  }

  /** The effect of reading IAR, `id` being the interrupt that the read gave. */
  acknowledge(cpu: number, id: number): void {
    const group = this.#source.group(cpu, id);
    const priority = (this.#source.highest(cpu) >>> 10) & this.groupMask(cpu, group);
    const level = priority >>> (this.minimumBinaryPoint + 1);
    const active = group === 1 && !this.#shared ? this.state.activeGroup1 : this.state.activeGroup0;
    const at = cpu * APRS + (level >>> 5);
    active[at] = (active[at] as number) | (1 << (level & 31));
    this.#running[cpu] = priority;
    this.#source.acknowledge(cpu, id);
    this.update(cpu);
  }

  /** Priority drop: the highest active priority of the group ends. False where none was active. */
  drop(cpu: number, group: number): boolean {
    const active = group === 1 && !this.#shared ? this.state.activeGroup1 : this.state.activeGroup0;
    for (let at = cpu * APRS; at < (cpu + 1) * APRS; at++) {
      const word = active[at] as number;
      if (word === 0) continue;
      active[at] = word & (word - 1);
      this.#findRunning(cpu);
      this.update(cpu);
      return true;
    }
    return false;
  }

  setControl(cpu: number, value: number): void {
    this.state.control[cpu] = value & this.controlMask;
    this.update(cpu);
  }
  setPriorityMask(cpu: number, value: number): void {
    this.state.priorityMask[cpu] = value & this.priorityMask;
    this.update(cpu);
  }
  /** Values below the minimum become the minimum (4.4.3). */
  setBinaryPoint(cpu: number, value: number): void {
    this.state.binaryPoint[cpu] = Math.max(value & 7, this.minimumBinaryPoint);
    this.update(cpu);
  }
  setAliasedBinaryPoint(cpu: number, value: number): void {
    this.state.aliasedBinaryPoint[cpu] = Math.max(value & 7, this.minimumBinaryPoint + 1);
    this.update(cpu);
  }
  activePriorities(cpu: number, group: number, word: number): number {
    return (group === 1 ? this.state.activeGroup1 : this.state.activeGroup0)[cpu * APRS + word] as number;
  }
  setActivePriorities(cpu: number, group: number, word: number, value: number): void {
    const active = group === 1 ? this.state.activeGroup1 : this.state.activeGroup0;
    active[cpu * APRS + word] = value & this.activeMask(word);
    this.#findRunning(cpu);
    this.update(cpu);
  }

  /** After reset and restore: what is derived. */
  rebuild(): void {
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.#findRunning(cpu);
  }

  #findRunning(cpu: number): void {
    const { activeGroup0, activeGroup1 } = this.state;
    this.#running[cpu] = IDLE;
    for (let word = 0; word < APRS; word++) {
      const bits = (activeGroup0[cpu * APRS + word] as number) | (activeGroup1[cpu * APRS + word] as number);
      if (bits === 0) continue;
      this.#running[cpu] = (word * 32 + 31 - Math.clz32(bits & -bits)) << (this.minimumBinaryPoint + 1);
      return;
    }
  }
}
