/**
 * Between a VM's virtual distributor and the list registers of the physical CPU that a vCPU is on (Arm IHI 0048B 5.2, 5.3). `present` fills them
 * before the guest goes on; `collect` reads them after it was left, so that between the two the distributor alone knows what is pending and
 * active. More interrupts than registers: the rest waits for the maintenance interrupt "underflow".
 */
import type { StateRecord } from "../../sim/index.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import type { VirtualDistributor } from "./distributor.ts";

const GICH_HCR = 0x000;
const GICH_VTR = 0x004;
const GICH_VMCR = 0x008;
const GICH_APR = 0x0f0;
const GICH_LR = 0x100;
const HCR_EN = 1;
const HCR_UIE = 2;
const HCR_LRENPIE = 4;
const EOI_COUNT = 27;

const PENDING = 1 << 28;
const ACTIVE = 1 << 29;
const GROUP1 = 1 << 30;
const HARDWARE = 0x8000_0000;
const EOI = 1 << 19;

/** VMCR after reset: priority mask 0, binary points 2 and 3. */
const VMCR_RESET = (2 << 21) | (3 << 18);

export type VirtualInterfaceState = {
  vmcr: number;
  apr: number;
  /** How many list registers are in use while the vCPU is loaded and outside EL2. */
  used: number;
  /** A bit a list register: it was filled as pending. */
  pending: number;
  control: number;
};

export function virtualInterfaceState(): VirtualInterfaceState & StateRecord {
  return { vmcr: VMCR_RESET, apr: 0, used: 0, pending: 0, control: 0 };
}

/** The physical interrupt behind a virtual one, -1 for none. */
export type HardwareOf = (id: number) => number;

/** Of a CPU that comes up. The interface stays on: with no list register in use it does nothing. */
export function enableVirtualInterface(cpu: PhysicalCpu, gich: number): void {
  cpu.write(gich + GICH_HCR, 4, HCR_EN);
}

export class VirtualInterface {
  readonly #gich: number;
  readonly #distributor: VirtualDistributor;
  readonly #vcpu: number;
  readonly #state: VirtualInterfaceState;
  readonly #hardware: HardwareOf;
  /** How many list registers there are; 0: not yet known. */
  #room = 0;

  constructor(
    gich: number,
    distributor: VirtualDistributor,
    vcpu: number,
    state: VirtualInterfaceState,
    hardware: HardwareOf,
  ) {
    this.#gich = gich;
    this.#distributor = distributor;
    this.#vcpu = vcpu;
    this.#state = state;
    this.#hardware = hardware;
  }

  reset(): void {
    Object.assign(this.#state, virtualInterfaceState());
  }

  /** An interrupt waits that the vCPU's interface would signal: what ends its WFI. */
  get signals(): boolean {
    const { vmcr } = this.#state;
    return (vmcr & 3) !== 0 && this.#distributor.best(this.#vcpu) < (vmcr >>> 27) << 3;
  }

  load(cpu: PhysicalCpu): void {
    this.#state.control = HCR_EN;
    cpu.write(this.#gich + GICH_VMCR, 4, this.#state.vmcr >>> 0);
    if (this.#state.apr !== 0) cpu.write(this.#gich + GICH_APR, 4, this.#state.apr >>> 0);
  }

  /** After `collect`. GICH_APR is left 0, GICH_HCR with EN alone. */
  unload(cpu: PhysicalCpu): void {
    this.#state.vmcr = cpu.read(this.#gich + GICH_VMCR, 4) | 0;
    this.#state.apr = cpu.read(this.#gich + GICH_APR, 4) | 0;
    if (this.#state.apr !== 0) cpu.write(this.#gich + GICH_APR, 4, 0);
  }

  /** Takes back what list registers hold, and empties them. */
  collect(cpu: PhysicalCpu): void {
    const state = this.#state;
    const d = this.#distributor;
    const vcpu = this.#vcpu;
    for (let i = 0; i < state.used; i++) {
      const at = this.#gich + GICH_LR + 4 * i;
      const list = cpu.read(at, 4);
      cpu.write(at, 4, 0);
      const id = list & 0x3ff;
      d.setActive(vcpu, id, (list & ACTIVE) !== 0);
      const hardware = (list & HARDWARE) !== 0;
      if ((list & PENDING) === 0) {
        // taken as pending, a level has used up what software made pending; one that was active all the time has not
        if (id >= 16 && !hardware && ((state.pending >>> i) & 1) !== 0 && !d.isEdge(vcpu, id)) d.unlatch(vcpu, id);
        continue;
      }
      if (id < 16) d.requestSgi(vcpu, id, (list >>> 10) & 7);
      else if (hardware || d.isEdge(vcpu, id)) d.latch(vcpu, id);
    }
    state.used = 0;
    state.pending = 0;
    if ((state.control & HCR_UIE) === 0) return;
    // ends of interrupts that had no list register: the highest active ones, as ends come in that order
    let ended = cpu.read(this.#gich + GICH_HCR, 4) >>> EOI_COUNT;
    cpu.write(this.#gich + GICH_HCR, 4, HCR_EN);
    state.control = HCR_EN;
    for (const i of ended > 0 ? d.present(vcpu) : []) {
      if (ended-- <= 0 || !i.active) break;
      d.setActive(vcpu, i.id, false);
    }
  }

  /** Fills the list registers. Returns how many interrupts are presented. */
  present(cpu: PhysicalCpu): number {
    const state = this.#state;
    const d = this.#distributor;
    const vcpu = this.#vcpu;
    let control = HCR_EN;
    if (!d.isQuiet(vcpu)) {
      const all = d.present(vcpu);
      if (this.#room === 0) this.#room = (cpu.read(this.#gich + GICH_VTR, 4) & 0x3f) + 1;
      const chosen = choose(all, this.#room);
      if (chosen.length < all.length)
        control |= all.some((i) => i.active && !chosen.includes(i)) ? HCR_UIE | HCR_LRENPIE : HCR_UIE;
      for (const i of chosen) {
        const physical = i.id < 16 ? -1 : this.#hardware(i.id);
        const edge = i.id < 16 || d.isEdge(vcpu, i.id);
        // hardware interrupts are never pending and active; a level is looked at again at its end
        const pending = i.pending && (!i.active || (physical < 0 && edge));
        let list = i.id | ((i.priority >>> 3) << 23) | (pending ? PENDING : 0) | (i.active ? ACTIVE : 0);
        if (d.group(vcpu, i.id) !== 0) list |= GROUP1;
        if (physical >= 0) list |= HARDWARE | (physical << 10);
        else if (i.id < 16) list |= i.source << 10;
        else if (!edge) list |= EOI;
        cpu.write(this.#gich + GICH_LR + 4 * state.used, 4, list >>> 0);
        if (pending) state.pending |= 1 << state.used;
        state.used++;
        if (pending && (edge || physical >= 0)) d.taken(vcpu, i.id, i.source);
      }
    }
    if (control !== state.control) {
      cpu.write(this.#gich + GICH_HCR, 4, control);
      state.control = control;
    }
    return state.used;
  }
}

/** Of more interrupts than registers: active ones, but for the best pending one's place. */
function choose<T extends { readonly active: boolean }>(all: readonly T[], room: number): readonly T[] {
  if (all.length <= room) return all;
  const active = all.filter((i) => i.active);
  const pending = all.filter((i) => !i.active);
  const kept = active.slice(0, pending.length > 0 ? room - 1 : room);
  return [...kept, ...pending.slice(0, room - kept.length)];
}
