/**
 * PCIe functions for VMs: the hypervisor finds the machine's cards, keeps the physical functions whose virtual ones it gives away, resets what it gives
 * (at assignment, when the VM ends, when the guest asks), and hands messages on. Each vector has an interrupt of the machine's message frame to itself; its message
 * is taken by the hypervisor and becomes the guest's own in the VM's frame.
 *
 * The SMMU translates DMA of a function by the VM's tables for DMA: its memory, and the page of the machine's message frame, which the device must reach. A
 * GICv2m does not know who writes to it, so a guest can have its device raise messages that are another's: these are spurious, and no more.
 */
import { GICV2M_BASE_SPI, GICV2M_SPI_COUNT, PCIE, virtPart } from "../../../platform/virt/board.ts";
import { Module } from "../../sim/index.ts";
import type { Hypervisor } from "../hypervisor.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import type { Service } from "../service.ts";
import type { RegionOptions, Vm } from "../vm.ts";
import { I82576Pf, type VfSettings } from "./i82576-pf.ts";
import {
  config,
  DEVICE_CONTROL,
  Enumerator,
  FUNCTION_LEVEL_RESET,
  type FunctionRecord,
  restoreBars,
} from "./topology.ts";
import type { VirtualFunction } from "./virtual-function.ts";
import { pcieRegions, type VirtualPcie } from "./virtual-pcie.ts";

export interface PciCard {
  readonly name: string;
  /** Virtual functions to be switched on; 0: the card is given as a whole. */
  readonly vfs: number;
  /** The hypervisor's driver for the physical function of a card with VFs; none unless given. */
  readonly driver?: "i82576";
}

export interface PciAssignment {
  readonly card: string;
  /** Number of the virtual function; the physical one unless given. */
  readonly vf?: number;
  /** What the PF's driver enters for a VF. */
  readonly settings?: VfSettings;
}

interface Given {
  readonly assignment: PciAssignment;
  virtual: VirtualFunction | null;
  vm: Vm | null;
}

interface CardPart {
  readonly card: PciCard;
  readonly index: number;
  readonly driver: I82576Pf | null;
}

/** DMA of VMs reaches the machine's message frame at its own address, where no VM has memory. */
export const MESSAGE_FRAME = virtPart("gicv2m").base;
const FIRST = 32 + GICV2M_BASE_SPI;
/** Root ports are devices 1 and up of bus 0. */
const FIRST_PORT = 1;
/** A card's buses; the board's slots follow the order of cards. */
const busOf = (card: number): number => 1 + 2 * card;

export class PciService extends Module implements Service {
  readonly #hypervisor: Hypervisor;
  readonly #cards: readonly CardPart[];
  readonly #given: Given[] = [];
  readonly #bridges = new Map<Vm, VirtualPcie>();
  /** Assignments by VM. */
  readonly #lists = new Map<Vm, readonly number[]>();
  readonly #c: {
    /** By the order of assignments, and of each its first message interrupt. */
    functions: FunctionRecord[];
    first: number[];
    /** The CPU that its interrupts go to. */
    targets: number[];
    /** INTIDs that are in use, from `FIRST` on: first those of the PFs' drivers. */
    used: number;
  };

  /** Cards in the order of their root ports. Before the machine runs. */
  constructor(hypervisor: Hypervisor, cards: readonly PciCard[]) {
    super(hypervisor, "pci");
    this.#hypervisor = hypervisor;
    this.#cards = cards.map((card, index) => ({
      card,
      index,
      driver: card.driver === undefined || card.vfs === 0 ? null : new I82576Pf(this, card.name, hypervisor.costs),
    }));
    this.#c = this.state({
      functions: [] as FunctionRecord[],
      first: [] as number[],
      targets: [] as number[],
      used: 0,
    });
    hypervisor.services.push(this);
  }

  /** Streams of the functions that the hypervisor keeps. */
  get ownStreams(): readonly number[] {
    return this.#cards.filter(({ card }) => card.vfs > 0).map(({ index }) => busOf(index) << 8);
  }
  /** Streams of what the VM has. */
  streams(vm: Vm): readonly number[] {
    return this.#of(vm).flatMap((n) => this.#c.functions[n]?.id ?? []);
  }

  readonly edge = true;
  get interrupts(): readonly number[] {
    return Array.from({ length: this.#c.used }, (_, n) => FIRST + n);
  }

  /** Regions for a VM that is given functions. Throws RangeError where there is none such. */
  regions(assignments: readonly PciAssignment[]): RegionOptions[] {
    if (assignments.length === 0) return [];
    const first = this.#given.length;
    for (const assignment of assignments) {
      const part = this.#cards.find(({ card }) => card.name === assignment.card);
      const vf = assignment.vf ?? -1;
      if (part === undefined || (vf >= 0 ? vf >= part.card.vfs : part.card.vfs > 0)) {
        throw new RangeError(`${assignment.card}: there is no function ${vf < 0 ? "to give as a whole" : vf}`);
      }
      if (vf >= 0 && assignment.settings !== undefined) part.driver?.set(vf, assignment.settings);
      this.#given.push({ assignment, virtual: null, vm: null });
    }
    const host = {
      bus: this.#hypervisor.options.bus,
      record: (fn: VirtualFunction) => this.#c.functions[this.#index(fn)] ?? null,
      reset: (fn: VirtualFunction) => this.#prepare(this.#index(fn)),
      current: () => this.#hypervisor.current,
      exhausted: (vm: Vm) => this.#hypervisor.life.halt(vm, "stopped", "no memory is left for translation tables"),
    };
    return pcieRegions(assignments.length, host, (pcie: VirtualPcie, vm: Vm) => {
      this.#bridges.set(vm, pcie);
      this.#lists.set(
        vm,
        pcie.functions.map((_, n) => first + n),
      );
      pcie.functions.forEach((virtual, n) => {
        Object.assign(this.#given[first + n] as Given, { virtual, vm });
      });
    });
  }

  // --- at EL2

  setUp(cpu: PhysicalCpu): void {
    const c = this.#c;
    const enumerator = new Enumerator(PCIE.ecam.base, PCIE.memory32);
    const found = this.#cards.map(({ card, index }) => enumerator.card(cpu, FIRST_PORT + index, card.vfs));
    c.functions.length = 0;
    c.first.length = 0;
    c.targets.length = 0;
    c.used = 0;
    this.#cards.forEach(({ driver }, n) => {
      const pf = found[n]?.pf;
      if (driver === null || pf === undefined) return;
      driver.start(cpu, pf, PCIE.ecam.base, MESSAGE_FRAME + 0x40, FIRST + c.used);
      c.used++;
    });
    for (const { assignment } of this.#given) {
      const card = found[this.#cards.findIndex((p) => p.card.name === assignment.card)];
      const record = assignment.vf === undefined ? card?.pf : card?.vfs[assignment.vf];
      if (record === undefined) throw new Error(`${assignment.card}: function ${assignment.vf} is not there`);
      c.functions.push(record);
      c.first.push(FIRST + c.used);
      c.targets.push(0);
      c.used = Math.min(c.used + record.vectors, GICV2M_SPI_COUNT);
    }
  }

  /** The VM's functions are reset and its own from here on. */
  started(_cpu: PhysicalCpu, vm: Vm): void {
    for (const n of this.#of(vm)) if (this.#given[n]?.virtual?.begun === false) this.#prepare(n);
    this.#bridges.get(vm)?.remap();
  }

  /** Interrupts of a VM's functions go where its first vCPU runs, so that no other guest is left for them. */
  switched(cpu: PhysicalCpu, vm: Vm): void {
    if (vm.vcpus[0]?.cells.on !== cpu.index) return;
    const c = this.#c;
    for (const n of this.#of(vm)) {
      if (c.targets[n] === cpu.index) continue;
      c.targets[n] = cpu.index;
      const { vectors = 0 } = c.functions[n] ?? {};
      for (let vector = 0; vector < vectors; vector++) {
        cpu.spend(this.#hypervisor.costs.deviceWrite);
        this.#hypervisor.interrupts.target(cpu, (c.first[n] as number) + vector, cpu.index);
      }
    }
  }

  /** They do nothing any more, and keep nothing for their next user. */
  halted(_cpu: PhysicalCpu, vm: Vm): void {
    for (const n of this.#of(vm)) {
      const virtual = this.#given[n]?.virtual;
      if (virtual?.begun !== true) continue;
      virtual.end();
      this.#reset(n);
    }
  }

  interrupt(cpu: PhysicalCpu, id: number): boolean {
    const c = this.#c;
    if (id < FIRST || id >= FIRST + c.used) return false;
    const driver = this.#cards.find((p) => p.driver?.interruptId === id)?.driver;
    driver?.interrupt(cpu);
    for (let n = 0; n < c.first.length; n++) {
      const vector = id - (c.first[n] as number);
      if (vector < 0 || vector >= (c.functions[n] as FunctionRecord).vectors) continue;
      const given = this.#given[n];
      const alive = given?.vm?.status === "running" || given?.vm?.status === "paused";
      if (alive && given.virtual?.begun === true) given.virtual.deliver(vector);
    }
    return true;
  }

  #of(vm: Vm): readonly number[] {
    return this.#lists.get(vm) ?? [];
  }
  #index(fn: VirtualFunction): number {
    return this.#given.findIndex((g) => g.virtual === fn);
  }

  /** Function-level reset (6.6.2). A real function would be left alone for 100 ms then; this one is ready at once. */
  #reset(n: number): void {
    const record = this.#c.functions[n];
    const cpu = this.#hypervisor.current;
    if (record === undefined || cpu === null) return;
    const space = config(PCIE.ecam.base, record.id, cpu);
    if (record.express !== 0) space.write(record.express + DEVICE_CONTROL, 2, FUNCTION_LEVEL_RESET);
    if (!record.virtual) restoreBars(space, record);
  }

  #prepare(n: number): void {
    const record = this.#c.functions[n];
    const { virtual } = this.#given[n] as Given;
    if (record === undefined || virtual === null) return;
    this.#reset(n);
    const first = this.#c.first[n] as number;
    virtual.program(record, MESSAGE_FRAME, (vector) => first + vector);
    virtual.begin(record);
  }
}
