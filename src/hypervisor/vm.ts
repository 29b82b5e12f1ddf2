/**
 * A virtual machine: memory, stage 2 tables, vCPUs, a bus of its own with the models behind its trapped regions, a virtual distributor. It
 * does nothing by itself: the hypervisor acts for it, at EL2.
 */

import type { Target } from "../bus/index.ts";
import { type Memory, type Port, Router, Transaction } from "../bus/index.ts";
import { type Declaration, RegisterBank } from "../registers/index.ts";
import { type Line, Module, type Simulation, type Time } from "../sim/index.ts";
import { CopyingPort, GuestMemory } from "./guest-memory.ts";
import { BLOCK, type MemoryPool, PAGE } from "./memory.ts";
import type { PhysicalCpu } from "./physical-cpu.ts";
import type { DomainParameters } from "./scheduler/index.ts";
import { Stage2 } from "./stage2.ts";
import { ExitStatistics } from "./statistics.ts";
import { Divided, Forward } from "./target.ts";
import type { Vcpu } from "./vcpu.ts";
import { VirtualDistributor } from "./vgic/distributor.ts";

export type RegionMode = "trap" | "pass" | "none";

/** What stands behind a trapped region. */
export interface DeviceModel {
  readonly target: Target;
  /** Its interrupt outputs, with the SPI of the VM's distributor that each drives. */
  readonly lines: readonly { readonly line: Line; readonly spi: number }[];
  /** The VM has ended: nothing of what the model does by itself reaches it any more. */
  readonly halt?: () => void;
}

export interface RegionOptions {
  readonly name: string;
  /** Intermediate physical address; multiples of a page. */
  readonly base: number;
  readonly size: number;
  readonly mode: RegionMode;
  /** Makes the model for `trap`, once, below the VM. */
  readonly model?: (vm: Vm) => DeviceModel;
  /** What `pass` leads to, with its interrupts: SPIs of the machine by SPIs of the VM. */
  readonly physical?: {
    readonly base: number;
    /** It is memory, shared with other VMs; devices unless given. */
    readonly kind?: "memory";
    readonly interrupts: readonly { readonly guest: number; readonly machine: number; readonly edge: boolean }[];
    /** Streams of its DMA, which the SMMU translates by the VM's tables. */
    readonly streams?: readonly number[];
  };
  /** What firmware leaves in the registers, of the model or of the part itself, when the VM starts: offsets and values of 32 bits. */
  readonly setUp?: readonly (readonly [offset: number, value: number])[];
  /**
   * Behind it are devices that send messages to the machine's frame at this address. The VM's DMA has tables of its own then: its memory, and the frame, which
   * its CPUs do not reach.
   */
  readonly messageFrame?: number;
  /** Where some registers go another way than the rest: offsets from `from` up to `to`. The page is trapped then. */
  readonly registers?: readonly { readonly from: number; readonly to: number; readonly mode: RegionMode }[];
}

export interface GuestImage {
  readonly address: number;
  readonly data: Uint8Array;
}

export interface VmOptions {
  readonly name: string;
  /** Bytes, a multiple of 2 MiB, from `VmBoard.ramBase` on. */
  readonly memory: number;
  readonly vcpus: number;
  /** How the guest calls PSCI. */
  readonly psci: "hvc" | "smc";
  readonly regions: readonly RegionOptions[];
  readonly images: readonly GuestImage[];
  readonly entry: number;
  readonly x0: number;
  readonly scheduling?: DomainParameters;
  /** Physical CPUs for each vCPU, bit n is CPU n; all unless given. */
  readonly affinity?: readonly number[];
  readonly spis?: number;
  /** A reset that the guest asks for stops it. */
  readonly stopOnReset?: boolean;
}

/** What all VMs of a hypervisor share of the machine. */
export interface VmHost {
  readonly bus: Target;
  readonly ram: { readonly memory: Memory; readonly base: number };
  readonly pool: MemoryPool;
  readonly physicalAddressSize: number;
  /** Guest-physical places, as on the `virt` board. */
  readonly guest: { readonly ram: number; readonly distributor: number; readonly cpuInterface: number };
  /** Physical GICV. */
  readonly virtualCpuInterface: number;
}

/**
 * "defined": nothing is taken yet. "running", "paused". "off": stopped by the guest. "stopped": by the hypervisor, for the reason given; both keep
 * memory until "destroyed".
 */
export type VmState = "defined" | "running" | "paused" | "off" | "stopped" | "destroyed";

type VmCells = {
  state: string;
  reason: string;
  request: string;
  memory: number;
  epoch: Time;
  /** Modes of regions that differ from their options' by now. */
  modes: string[];
  /** For noticing endless faults: address and count of the last injected abort. */
  faultAt: number;
  faults: number;
  /** Bytes that models have moved by DMA and no CPU has spent time on yet. */
  moved: number;
};

interface Region {
  readonly options: RegionOptions;
  readonly model: DeviceModel | null;
}

export class Vm extends Module {
  readonly id: number;
  readonly options: VmOptions;
  readonly bus: Router;
  readonly distributor: VirtualDistributor;
  readonly statistics: ExitStatistics;
  readonly stage2: Stage2;
  /** What DMA of passed devices is translated by: `stage2` unless they have tables of their own. */
  readonly dma: Stage2;
  readonly vcpus: Vcpu[] = [];
  readonly transaction = new Transaction();
  readonly cells: VmCells;
  readonly regions = new Map<string, Region>();
  readonly #host: VmHost;
  readonly #memory: GuestMemory;
  #windows: ReturnType<Router["map"]>[] = [];
  /** INTIDs of the machine by those of the VM, and the other way round. */
  readonly #hardware = new Map<number, number>();
  readonly #ofHardware = new Map<number, number>();
  /** Names of registers by address. */
  readonly #names = new Map<number, string>();
  /** Told of every change of `state`. */
  onState: ((vm: Vm) => void) | null = null;

  constructor(parent: Module | Simulation, id: number, options: VmOptions, host: VmHost) {
    super(parent, options.name);
    this.id = id;
    this.options = options;
    this.#host = host;
    this.cells = this.state<VmCells>({
      state: "defined",
      reason: "",
      request: "",
      memory: -1,
      epoch: 0,
      modes: options.regions.map((r) => r.mode),
      faultAt: -1,
      faults: 0,
      moved: 0,
    });
    this.statistics = this.part("statistics", new ExitStatistics());
    this.#memory = new GuestMemory(host.ram.memory, {
      base: host.guest.ram,
      size: options.memory,
      offsetOf: (ipa, length) => {
        const at = this.physical(ipa, length);
        return at < 0 ? -1 : at - host.ram.base;
      },
    });
    this.bus = new Router(this, "bus", "abort");
    this.distributor = new VirtualDistributor(this, "gicd", { vcpus: options.vcpus, spis: options.spis ?? 256 });
    this.stage2 = new Stage2(this, "stage2", host.pool, id + 1);
    const messages = options.regions.some((r) => r.messageFrame !== undefined);
    this.dma = messages ? new Stage2(this, "dma", host.pool, id + 1) : this.stage2;
    this.bus.map({ name: "gicd", base: host.guest.distributor, size: 0x1000, target: this.distributor.registers });
    for (const r of options.regions) {
      const model = r.model?.(this) ?? null;
      for (const { line, spi } of model?.lines ?? []) line.connect(this.distributor.spi(spi));
      this.regions.set(r.name, { options: r, model });
    }
    this.#mapRegions();
  }

  get status(): VmState {
    return this.cells.state as VmState;
  }
  setStatus(state: VmState, reason = ""): void {
    this.cells.state = state;
    this.cells.reason = reason;
    if (state !== "running" && state !== "paused") for (const { model } of this.regions.values()) model?.halt?.();
    this.onState?.(this);
  }

  /** The machine's INTID behind one of this VM, or -1. */
  hardwareOf(id: number): number {
    return this.#hardware.get(id) ?? -1;
  }

  modeOf(name: string): RegionMode {
    const at = this.options.regions.findIndex((r) => r.name === name);
    return (this.cells.modes[at] ?? "none") as RegionMode;
  }

  // --- memory

  /** Takes memory and builds the tables. Null, or what is missing. */
  build(cpu: PhysicalCpu): string | null {
    const { memory } = this.options;
    const { pool, guest, virtualCpuInterface } = this.#host;
    this.release();
    const at = pool.allocate(memory, BLOCK);
    if (at < 0) return `no ${memory / 2 ** 20} MiB of memory are left`;
    this.cells.memory = at;
    this.#memory.moved();
    const { stage2 } = this;
    const mapped =
      stage2.create(cpu) &&
      stage2.map(cpu, null, guest.ram, at, memory, "memory") &&
      stage2.map(cpu, null, guest.cpuInterface, virtualCpuInterface, 2 * PAGE, "device") &&
      this.options.regions.every((r) => this.#mapPassed(cpu, null, r, this.modeOf(r.name))) &&
      this.#mapDma(cpu, at);
    if (!mapped) return "no memory is left for translation tables";
    cpu.invalidate(stage2.vmid, -1, 0);
    return null;
  }

  #mapDma(cpu: PhysicalCpu, memory: number): boolean {
    const { dma, options } = this;
    if (dma === this.stage2) return true;
    return (
      dma.create(cpu) &&
      dma.map(cpu, null, this.#host.guest.ram, memory, options.memory, "memory") &&
      options.regions.every(({ messageFrame: at }) => at === undefined || dma.map(cpu, null, at, at, PAGE, "device"))
    );
  }

  /** Devices as firmware hands them over. */
  setUpDevices(cpu: PhysicalCpu): void {
    for (const { options: r, model } of this.regions.values()) {
      const passed = this.modeOf(r.name) === "pass" && r.physical !== undefined && r.registers === undefined;
      for (const [offset, value] of r.setUp ?? []) {
        if (passed) cpu.write((r.physical as { base: number }).base + offset, 4, value);
        else if (model !== null) this.bus.write(r.base + offset, 4, value, this.transaction);
      }
    }
  }

  /** Clears memory and puts the images in place, as a boot loader. */
  loadImages(): void {
    const { ram, guest } = this.#host;
    const offset = this.cells.memory - ram.base;
    ram.memory.clear(offset, this.options.memory);
    for (const { address, data } of this.options.images) ram.memory.fill(offset + address - guest.ram, data);
  }

  release(): void {
    this.stage2.destroy();
    this.dma.destroy();
    if (this.cells.memory >= 0) this.#host.pool.release(this.cells.memory, this.options.memory);
    this.cells.memory = -1;
    this.#memory.moved();
  }

  /** What a model behind one of its regions does DMA by: it reaches the VM's memory alone. */
  dmaPort(): Port {
    return new CopyingPort(this.#memory, this.#host.ram.memory.arena, (bytes) => {
      this.cells.moved += bytes;
    });
  }
  /** The time that moving took, since the call before. */
  spendCopies(cpu: PhysicalCpu, cyclesPerByte: number): void {
    const { cells } = this;
    if (cells.moved === 0) return;
    cpu.spend(cyclesPerByte * cells.moved);
    cells.moved = 0;
  }

  /** Guest memory for debuggers and reports; 0 outside. */
  peek(ipa: number): number {
    const offset = ipa - this.#host.guest.ram;
    if (this.cells.memory < 0 || offset < 0 || offset >= this.options.memory) return 0;
    return this.#host.ram.memory.peek(this.cells.memory - this.#host.ram.base + offset, 4);
  }
  /** Physical address of a stretch of a guest's memory, or -1 where not all of it is. */
  physical(ipa: number, length = 1): number {
    const offset = ipa - this.#host.guest.ram;
    const inside = this.cells.memory >= 0 && offset >= 0 && offset < this.options.memory;
    return inside && offset + length <= this.options.memory ? this.cells.memory + offset : -1;
  }

  // --- regions

  /** Throws RangeError where the region has no such mode. */
  checkMode(name: string, mode: string): void {
    const region = this.regions.get(name);
    if (region === undefined) throw new RangeError(`${this.fullName}: there is no region "${name}"`);
    const possible =
      mode === "none" || (mode === "trap" ? region.model : mode === "pass" ? region.options.physical : null);
    if (!possible) throw new RangeError(`${this.fullName}: region "${name}" has no mode "${mode}"`);
  }

  /** Gives a region another mode, which `checkMode` has approved of. */
  setMode(cpu: PhysicalCpu, name: string, mode: RegionMode): void {
    const at = this.options.regions.findIndex((r) => r.name === name);
    const options = this.options.regions[at];
    if (options === undefined) return;
    this.cells.modes[at] = mode;
    this.#mapPassed(cpu, cpu, options, mode);
    this.#mapRegions();
  }

  /** Stage 2 for a region: the real page where all of it is passed, nothing else. */
  #mapPassed(cpu: PhysicalCpu, live: PhysicalCpu | null, r: RegionOptions, mode: RegionMode): boolean {
    const { physical } = r;
    if (physical === undefined) return true;
    if (mode === "pass" && r.registers === undefined) {
      return this.stage2.map(cpu, live, r.base, physical.base, r.size, physical.kind ?? "device");
    }
    return this.stage2.unmap(cpu, live, r.base, r.size);
  }

  /** The bus and the interrupts by the modes. */
  #mapRegions(): void {
    for (const w of this.#windows) this.bus.unmap(w);
    this.#windows = [];
    this.#hardware.clear();
    this.#ofHardware.clear();
    for (const { options: r, model } of this.regions.values()) {
      const mode = this.modeOf(r.name);
      const forward = r.physical === undefined ? null : new Forward(this.#host.bus, r.physical.base);
      const behind = (m: RegionMode): Target | null =>
        m === "trap" ? (model?.target ?? null) : m === "pass" ? forward : null;
      const target =
        r.registers === undefined
          ? mode === "trap"
            ? behind(mode)
            : null
          : new Divided(
              r.registers.map((d) => ({ from: d.from, to: d.to, target: behind(d.mode) })),
              behind(mode),
            );
      if (target !== null) this.#windows.push(this.bus.map({ name: r.name, base: r.base, size: r.size, target }));
      if (mode !== "pass") continue;
      for (const i of r.physical?.interrupts ?? []) {
        this.#hardware.set(32 + i.guest, 32 + i.machine);
        this.#ofHardware.set(32 + i.machine, 32 + i.guest);
      }
    }
  }

  /** The VM's INTID behind one of the machine, or -1. */
  guestInterrupt(machine: number): number {
    return this.#ofHardware.get(machine) ?? -1;
  }
  get machineInterrupts(): readonly number[] {
    return [...this.#hardware.values()];
  }

  /** Names of region and register at an address, for statistics. */
  regionAt(ipa: number): string {
    return this.bus.find(ipa)?.window.name ?? `0x${(ipa - (ipa % PAGE)).toString(16)}`;
  }
  registerAt(ipa: number): string {
    const found = this.bus.find(ipa);
    if (found === null) return `0x${ipa.toString(16)}`;
    const word = ipa - (ipa % 4);
    const known = this.#names.get(word);
    if (known !== undefined) return known;
    const offset = (ipa + found.delta) & ~3;
    // a register that is passed has the name that the model's has
    const target = this.regions.get(found.window.name)?.model?.target ?? found.target;
    const name = target instanceof RegisterBank ? registerName(target, offset) : `0x${offset.toString(16)}`;
    const full = `${found.window.name}.${name}`;
    this.#names.set(word, full);
    return full;
  }

  protected override onReset(): void {
    this.#memory.moved();
    this.#mapRegions();
  }
  protected override onRestore(): void {
    this.#memory.moved();
    this.#mapRegions();
  }
}

function registerName(bank: RegisterBank<Declaration>, offset: number): string {
  for (const [name, r] of Object.entries(bank.declaration.registers)) {
    const bytes = (r.width ?? 32) > 32 ? 8 : 4;
    const at = offset - r.at;
    if (at < 0) continue;
    const stride = r.stride ?? bytes;
    const index = Math.floor(at / stride);
    if (index < (r.count ?? 1) && at - index * stride < bytes) return name;
  }
  return `0x${offset.toString(16)}`;
}
