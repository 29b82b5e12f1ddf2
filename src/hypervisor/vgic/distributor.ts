/**
 * The virtual distributor of a VM: the registers and rules of a GICv2 distributor (Arm IHI 0048B chapter 4), that of `src/devices/gicv2`, with
 * list registers in place of CPU interfaces. What is in a list register is not pending here; it comes back when the list registers are read.
 *
 * Not modelled: Security Extensions (the guest's GIC has none).
 */

import { Distributor, distributorState, InputLevels, NOTHING_PENDING } from "../../devices/gicv2/distributor.ts";
import { distributorHooks } from "../../devices/gicv2/distributor-registers.ts";
import { GICD } from "../../devices/gicv2/index.ts";
import { RegisterBank } from "../../registers/index.ts";
import { type LineSink, Module, type Simulation } from "../../sim/index.ts";

export interface VirtualDistributorOptions {
  readonly vcpus: number;
  /** Shared interrupts, a multiple of 32; 256 unless given. */
  readonly spis?: number;
}

/** Best interrupts first: priority, then INTID. */
export interface PendingInterrupt {
  readonly id: number;
  readonly priority: number;
  /** Requesting vCPU of an SGI. */
  readonly source: number;
  readonly active: boolean;
  readonly pending: boolean;
}

const SGIS = 16;

export class VirtualDistributor extends Module {
  readonly registers: RegisterBank<typeof GICD>;
  readonly interrupts: number;
  /** A vCPU may have something to take, or no longer. */
  onChange: ((vcpu: number) => void) | null = null;
  readonly #d: Distributor;

  constructor(parent: Module | Simulation, name: string, options: VirtualDistributorOptions) {
    super(parent, name);
    const { vcpus: cpus, spis = 256 } = options;
    const words = spis / 32 + 1;
    this.interrupts = Math.min(32 + spis, 1020);
    const settings = { cpus, words, interrupts: this.interrupts, priorityMask: 0xf8 };
    const inputs = this.part("inputs", new InputLevels(cpus + words - 1));
    this.#d = new Distributor(settings, this.state(distributorState(settings), "distributor"), inputs, (cpu) =>
      this.onChange?.(cpu),
    );
    const hooks = distributorHooks(this.#d, { nonSecure: false }, false, (kind, register, clause, detail) =>
      this.guestError({ kind, register, write: true, clause: `Arm IHI 0048B ${clause}`, detail }),
    );
    this.registers = this.part("GICD", new RegisterBank(this, GICD, hooks, { cpus }));
    this.#d.rebuild();
  }

  /** The input of shared interrupt `n`, from 0. Throws RangeError when there is none. */
  spi(n: number): LineSink {
    const id = 32 + n;
    if (!Number.isInteger(n) || n < 0 || id >= this.interrupts) {
      throw new RangeError(`${this.fullName}: SPI ${n}: expected 0 to ${this.interrupts - 33}`);
    }
    const stored = this.#d.stored(id >>> 5, 0);
    return (level) => this.#d.input(stored, id & 31, level);
  }
  /** The level of private input `id` of a vCPU. */
  setPrivate(vcpu: number, id: number, level: boolean): void {
    this.#d.input(vcpu, id, level);
  }

  /** Makes an interrupt pending as an edge does, whatever its configuration: those of the hardware, and what list registers give back. */
  latch(vcpu: number, id: number): void {
    this.#d.change(this.#d.state.latched, this.#d.stored(id >>> 5, vcpu), 1 << (id & 31), 0);
  }
  unlatch(vcpu: number, id: number): void {
    this.#d.change(this.#d.state.latched, this.#d.stored(id >>> 5, vcpu), 0, 1 << (id & 31));
  }
  isLatched(vcpu: number, id: number): boolean {
    return (((this.#d.state.latched[this.#d.stored(id >>> 5, vcpu)] as number) >>> (id & 31)) & 1) !== 0;
  }
  requestSgi(vcpu: number, id: number, source: number): void {
    this.#d.setSource(id, vcpu, 1 << source, true);
  }

  isActive(vcpu: number, id: number): boolean {
    return this.#d.isActive(id, vcpu);
  }
  setActive(vcpu: number, id: number, active: boolean): void {
    const bit = 1 << (id & 31);
    this.#d.change(this.#d.state.active, this.#d.stored(id >>> 5, vcpu), active ? bit : 0, active ? 0 : bit);
  }
  isEnabled(vcpu: number, id: number): boolean {
    return (((this.#d.state.enabled[this.#d.stored(id >>> 5, vcpu)] as number) >>> (id & 31)) & 1) !== 0;
  }
  isEdge(vcpu: number, id: number): boolean {
    return (((this.#d.state.edge[this.#d.stored(id >>> 5, vcpu)] as number) >>> (id & 31)) & 1) !== 0;
  }
  group(vcpu: number, id: number): number {
    return this.#d.groupOf(id, vcpu);
  }
  /** The interrupt has been put into a list register: what made it pending is used up, levels apart. */
  taken(vcpu: number, id: number, source: number): void {
    if (id < SGIS) this.#d.setSource(id, vcpu, 1 << source, false);
    else this.unlatch(vcpu, id);
  }

  /** The priority of the best pending interrupt, or 256. */
  best(vcpu: number): number {
    return (this.#d.best[vcpu] as number) >>> 10;
  }
  /** Whether there is nothing to present: neither pending nor active. */
  isQuiet(vcpu: number): boolean {
    if (this.#d.best[vcpu] !== NOTHING_PENDING) return false;
    const { active } = this.#d.state;
    for (let word = 0; word < this.#d.words; word++) if (active[this.#d.stored(word, vcpu)] !== 0) return false;
    return true;
  }

  /** All that a vCPU has pending and may take, and what it has active, active ones first, then by priority and INTID. */
  present(vcpu: number): PendingInterrupt[] {
    const d = this.#d;
    const { enabled, active, group, enableGroups, targets, sources, priority } = d.state;
    const out: PendingInterrupt[] = [];
    for (let word = 0; word < d.words; word++) {
      const stored = d.stored(word, vcpu);
      const g = group[stored] as number;
      const forwarded = ((enableGroups & 1) !== 0 ? ~g : 0) | ((enableGroups & 2) !== 0 ? g : 0);
      const pending = d.pendingWord(stored) & (enabled[stored] as number) & forwarded;
      const busy = active[stored] as number;
      for (let rest = pending | busy; rest !== 0; rest &= rest - 1) {
        const bit = 31 - Math.clz32(rest & -rest);
        const id = word * 32 + bit;
        if (id >= 32 && (((targets[id - 32] as number) >>> vcpu) & 1) === 0) continue;
        const requesters = id < SGIS ? (sources[vcpu * SGIS + id] as number) : 0;
        out.push({
          id,
          priority: priority[stored * 32 + bit] as number,
          source: requesters === 0 ? 0 : 31 - Math.clz32(requesters & -requesters),
          active: ((busy >>> bit) & 1) !== 0,
          pending: ((pending >>> bit) & 1) !== 0,
        });
      }
    }
    return out.sort((a, b) => Number(b.active) - Number(a.active) || a.priority - b.priority || a.id - b.id);
  }

  protected override onReset(): void {
    this.#d.rebuild();
  }
  protected override onRestore(): void {
    const { onChange } = this;
    this.onChange = null;
    this.#d.rebuild();
    this.onChange = onChange;
  }
}
