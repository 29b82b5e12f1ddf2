/**
 * The distributor's state and what follows from it: which interrupt each CPU sees as its highest-priority pending one.
 *
 * Bitmaps hold a bit an interrupt in 32-bit words. Words 0 to cpus - 1 are the private interrupts (INTID 0 to 31) of
 * each CPU; the shared ones follow. Derived from them, and kept up to date word by word, are a bitmap of candidates
 * for each CPU (pending, enabled, not active, group forwarded, targeted there) and its best one, so that an access
 * costs a few operations however many interrupts there are.
 */
import type { StatePart, StateValue } from "../../sim/index.ts";
import { assignState } from "../../sim/index.ts";

/** Interrupts of a CPU's best candidate are compared by priority, then by INTID: `priority << 10 | INTID`. */
export const NOTHING_PENDING = (0x100 << 10) | 1023;

const SGI_BITS = 0xffff;

export interface DistributorOptions {
  readonly cpus: number;
  /** Words of 32 interrupts, the private ones included. */
  readonly words: number;
  /** Highest INTID, plus one. */
  readonly interrupts: number;
  readonly priorityMask: number;
}

/** The state proper; all of it is saved, and reset to these values. */
export function distributorState(options: DistributorOptions) {
  const { cpus, words } = options;
  const stored = cpus + words - 1;
  const enabled = new Int32Array(stored);
  const edge = new Int32Array(stored);
  enabled.fill(SGI_BITS, 0, cpus);
  edge.fill(SGI_BITS, 0, cpus);
  return {
    enableGroups: 0,
    group: new Int32Array(stored),
    enabled,
    /** Pending by an edge, by software or by an SGI; a level-sensitive interrupt is also pending while its input is high. */
    latched: new Int32Array(stored),
    active: new Int32Array(stored),
    edge,
    priority: new Uint8Array(stored * 32),
    /** Target CPUs, a bit a CPU, of the shared interrupts. A lone CPU is always the target (4.3.12). */
    targets: new Uint8Array((words - 1) * 32).fill(cpus === 1 ? 1 : 0),
    /** For each CPU and SGI the CPUs that requested it. */
    sources: new Uint8Array(cpus * 16),
    nonSecureAccess: new Uint8Array(stored * 32),
  };
}

/** The levels of the inputs. They are the wires' and not the GIC's, so a reset leaves them alone. */
export class InputLevels implements StatePart {
  readonly words: Int32Array;
  constructor(stored: number) {
    this.words = new Int32Array(stored);
  }
  save(): StateValue {
    return this.words.slice();
  }
  load(value: StateValue, path: string): void {
    assignState(this.words, value, path);
  }
  reset(): void {}
}

export class Distributor {
  readonly cpus: number;
  readonly words: number;
  readonly interrupts: number;
  readonly priorityMask: number;
  readonly state: ReturnType<typeof distributorState>;
  readonly inputs: InputLevels;
  /** By CPU: the best candidate as `priority << 10 | INTID`, or NOTHING_PENDING. */
  readonly best: Int32Array;
  /** Bits of CPUs that exist. */
  readonly cpuMask: number;
  readonly #candidates: Int32Array;
  /** By CPU and word: the interrupts that go to the CPU. */
  readonly #targeted: Int32Array;
  readonly #changed: (cpu: number) => void;
  #quiet = false;

  /** `changed` is called after the best candidate of a CPU may have changed. */
  constructor(
    options: DistributorOptions,
    state: ReturnType<typeof distributorState>,
    inputs: InputLevels,
    changed: (cpu: number) => void,
  ) {
    this.cpus = options.cpus;
    this.words = options.words;
    this.interrupts = options.interrupts;
    this.priorityMask = options.priorityMask;
    this.cpuMask = (1 << options.cpus) - 1;
    this.state = state;
    this.inputs = inputs;
    this.best = new Int32Array(options.cpus).fill(NOTHING_PENDING);
    this.#candidates = new Int32Array(options.cpus * options.words);
    this.#targeted = new Int32Array(options.cpus * options.words);
    this.#changed = changed;
  }

  /** Index of the stored word that holds word `word` of the registers as CPU `cpu` sees them. */
  stored(word: number, cpu: number): number {
    return word === 0 ? cpu : this.cpus - 1 + word;
  }
  /** Index of a private or shared interrupt's byte in `priority` and `nonSecureAccess`. */
  slot(id: number, cpu: number): number {
    return this.stored(id >>> 5, cpu) * 32 + (id & 31);
  }
  /** The bits of word `word` that are interrupts of this instance. */
  implemented(word: number): number {
    if (word >= this.words) return 0;
    const left = this.interrupts - word * 32;
    return left >= 32 ? -1 : (1 << left) - 1;
  }

  pendingWord(stored: number): number {
    const { latched, edge } = this.state;
    return (latched[stored] as number) | ((this.inputs.words[stored] as number) & ~(edge[stored] as number));
  }
  isActive(id: number, cpu: number): boolean {
    return (((this.state.active[this.stored(id >>> 5, cpu)] as number) >>> (id & 31)) & 1) !== 0;
  }
  groupOf(id: number, cpu: number): number {
    return ((this.state.group[this.stored(id >>> 5, cpu)] as number) >>> (id & 31)) & 1;
  }

  /** An input line has a new level. */
  input(stored: number, bit: number, level: boolean): void {
    const { words } = this.inputs;
    const mask = 1 << bit;
    const before = words[stored] as number;
    const after = level ? before | mask : before & ~mask;
    if (after === before) return;
    words[stored] = after;
    const { edge, latched } = this.state;
    if (((edge[stored] as number) & mask) !== 0) {
      if (!level) return;
      latched[stored] = (latched[stored] as number) | mask;
    }
    this.refresh(stored);
  }

  /** Sets and clears bits of one stored word of a bitmap. */
  change(map: Int32Array, stored: number, set: number, clear: number): void {
    const before = map[stored] as number;
    const after = (before & ~clear) | set;
    if (after === before) return;
    map[stored] = after;
    this.refresh(stored);
  }

  setEnableGroups(value: number): void {
    if (this.state.enableGroups === value) return;
    this.state.enableGroups = value;
    this.#refreshAll();
  }

  setGroups(stored: number, groups: number): void {
    const { group } = this.state;
    if (group[stored] === groups) return;
    group[stored] = groups;
    this.refresh(stored);
    // The best candidate may be the same one in another group, hence on another line.
    if (stored < this.cpus) this.#changed(stored);
    else for (let cpu = 0; cpu < this.cpus; cpu++) this.#changed(cpu);
  }

  setPriority(id: number, cpu: number, value: number): void {
    const slot = this.slot(id, cpu);
    const { priority } = this.state;
    const masked = value & this.priorityMask;
    if (priority[slot] === masked) return;
    priority[slot] = masked;
    const first = id < 32 ? cpu : 0;
    const last = id < 32 ? cpu : this.cpus - 1;
    for (let c = first; c <= last; c++) {
      if (((this.#candidates[c * this.words + (id >>> 5)] as number) & (1 << (id & 31))) === 0) continue;
      this.#rescan(c);
      this.#changed(c);
    }
  }

  /** Sets the targets of shared interrupt `id`. */
  setTargets(id: number, value: number): void {
    const { targets } = this.state;
    if (targets[id - 32] === value) return;
    targets[id - 32] = value;
    const word = id >>> 5;
    this.#retarget(word, id & 31, value);
    this.refresh(this.stored(word, 0));
  }

  /** SGI `id` from CPU `source` becomes pending on `cpu`, or, with `pending` false, no longer is. */
  setSource(id: number, cpu: number, sources: number, pending: boolean): void {
    const at = cpu * 16 + id;
    const { sources: all, latched } = this.state;
    const before = all[at] as number;
    const after = pending ? before | sources : before & ~sources;
    if (after === before) return;
    all[at] = after;
    const bit = 1 << id;
    this.change(latched, cpu, after !== 0 ? bit : 0, after !== 0 ? 0 : bit);
  }

  /**
   * The highest-priority pending interrupt `id` of `cpu` is acknowledged: it becomes active, and is no longer pending unless its
   * level says so. Returns the CPU that requested an SGI, else 0.
   */
  acknowledge(id: number, cpu: number): number {
    const stored = this.stored(id >>> 5, cpu);
    const bit = 1 << (id & 31);
    const { active, latched, sources } = this.state;
    active[stored] = (active[stored] as number) | bit;
    let source = 0;
    let keep = 0;
    if (id < 16) {
      const at = cpu * 16 + id;
      const all = sources[at] as number;
      source = lowestBit(all) & 7;
      sources[at] = all & (all - 1);
      keep = (all & (all - 1)) !== 0 ? bit : 0;
    }
    latched[stored] = ((latched[stored] as number) & ~bit) | keep;
    this.refresh(stored);
    return source;
  }

  /** The lowest CPU whose request for SGI `id` waits at `cpu`. */
  sourceOf(id: number, cpu: number): number {
    return id < 16 ? lowestBit(this.state.sources[cpu * 16 + id] as number) & 7 : 0;
  }

  deactivate(id: number, cpu: number): void {
    this.change(this.state.active, this.stored(id >>> 5, cpu), 0, 1 << (id & 31));
  }

  /** Recomputes all that is derived: after reset and restore. Calls `changed` for every CPU. */
  rebuild(): void {
    this.#targeted.fill(0);
    for (let cpu = 0; cpu < this.cpus; cpu++) this.#targeted[cpu * this.words] = -1;
    const { targets } = this.state;
    for (let i = 0; i < targets.length; i++) {
      if (targets[i] !== 0) this.#retarget((i >>> 5) + 1, i & 31, targets[i] as number);
    }
    this.#candidates.fill(0);
    this.best.fill(NOTHING_PENDING);
    this.#refreshAll();
  }

  /** Recomputes the candidates of one stored word. */
  refresh(stored: number): void {
    if (stored < this.cpus) this.#refreshCpu(stored, 0, stored);
    else {
      const word = stored - this.cpus + 1;
      for (let cpu = 0; cpu < this.cpus; cpu++) this.#refreshCpu(cpu, word, stored);
    }
  }

  /** The lines hear of the outcome only, not of each step. */
  #refreshAll(): void {
    this.#quiet = true;
    for (let stored = 0; stored < this.state.group.length; stored++) this.refresh(stored);
    this.#quiet = false;
    for (let cpu = 0; cpu < this.cpus; cpu++) this.#changed(cpu);
  }

  #refreshCpu(cpu: number, word: number, stored: number): void {
    const { enabled, active, group, enableGroups } = this.state;
    const at = cpu * this.words + word;
    const g = group[stored] as number;
    const forwarded = ((enableGroups & 1) !== 0 ? ~g : 0) | ((enableGroups & 2) !== 0 ? g : 0);
    const now =
      this.pendingWord(stored) &
      (enabled[stored] as number) &
      ~(active[stored] as number) &
      forwarded &
      (this.#targeted[at] as number);
    const before = this.#candidates[at] as number;
    if (now === before) return;
    this.#candidates[at] = now;
    const old = this.best[cpu] as number;
    const oldId = old & 1023;
    if (oldId >>> 5 === word && ((before & ~now) >>> (oldId & 31)) & 1) this.#rescan(cpu);
    else this.#improve(cpu, word, stored, now & ~before);
    if (this.best[cpu] !== old && !this.#quiet) this.#changed(cpu);
  }

  /** Takes the best of `bits` if it beats what the CPU has. */
  #improve(cpu: number, word: number, stored: number, bits: number): void {
    const { priority } = this.state;
    let best = this.best[cpu] as number;
    for (let rest = bits; rest !== 0; rest &= rest - 1) {
      const bit = lowestBit(rest);
      const key = ((priority[stored * 32 + bit] as number) << 10) | (word * 32 + bit);
      if (key < best) best = key;
    }
    this.best[cpu] = best;
  }

  #rescan(cpu: number): void {
    this.best[cpu] = NOTHING_PENDING;
    const base = cpu * this.words;
    for (let word = 0; word < this.words; word++) {
      const bits = this.#candidates[base + word] as number;
      if (bits !== 0) this.#improve(cpu, word, this.stored(word, cpu), bits);
    }
  }

  #retarget(word: number, bit: number, targets: number): void {
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const at = cpu * this.words + word;
      const before = this.#targeted[at] as number;
      this.#targeted[at] = ((targets >>> cpu) & 1) !== 0 ? before | (1 << bit) : before & ~(1 << bit);
    }
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
