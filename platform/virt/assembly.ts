/**
 * What all machines of this board have in common: parts as modules on one bus, wired by the board's data. Its CPUs, and what only firmware and kernels look for, are added by
 * the machine: `platform/virt/machine.ts` with the AArch64 cluster, `src/hypervisor/abstract/machine.ts` with CPUs that run guest programs.
 */
import { Arena, type DecodeErrorPolicy, Memory, Router, type Target } from "../../src/bus/index.ts";
import { GicVirtualization, Gicv2 } from "../../src/devices/gicv2/index.ts";
import { Gicv2m } from "../../src/devices/gicv2m/index.ts";
import { Pl011 } from "../../src/devices/pl011/index.ts";
import { Pl031 } from "../../src/devices/pl031/index.ts";
import { Smmuv3 } from "../../src/devices/smmuv3/index.ts";
import { Sp804 } from "../../src/devices/sp804/index.ts";
import { FRAME_SIZE, type ToeCore } from "../../src/devices/toe/index.ts";
import { PcieHost } from "../../src/pcie/index.ts";
import { Line, type LineSink, type Module, Simulation } from "../../src/sim/index.ts";
import {
  type BoardPart,
  GIC_SPI_COUNT,
  GICV2M_BASE_SPI,
  GICV2M_SPI_COUNT,
  type PartKind,
  PCIE,
  PPI,
  VIRT_PARTS,
  virtPart,
} from "./board.ts";
import { type PcieSlot, populatePcie } from "./pcie.ts";
import { connectToe, makeToe, type ToeSlot } from "./toe.ts";

export const DEFAULT_MEMORY = 128 * 2 ** 20;

export interface AssemblyOptions {
  /** 1 to 8; 1 unless given. */
  readonly cpus?: number;
  /** Bytes of RAM, a multiple of 1 MiB; 128 MiB unless given. */
  readonly memory?: number;
  readonly seed?: number;
  /** Seconds since 1970 at which the real-time clock starts; 0 unless given. */
  readonly rtcBase?: number;
  /** What accesses to addresses without a target do; "abort" unless given. */
  readonly decodeErrors?: DecodeErrorPolicy;
  /** What stands between PCIe functions and memory; nothing unless given. */
  readonly iommu?: "smmuv3";
  /** A second PL011, `uart1`; false unless given. */
  readonly secondUart?: boolean;
  /** A second SP804, `timer1`; false unless given. */
  readonly secondTimer?: boolean;
  /** The TCP/IP offload engine on the platform bus; none unless given. */
  readonly toe?: ToeSlot;
  /** Functions on the PCIe bus, ports before what sits behind them. */
  readonly pcie?: readonly PcieSlot[];
  /** Configuration space above 4 GiB (256 buses) or below (16); true unless given. */
  readonly highEcam?: boolean;
  /** The window for 64-bit BARs above 4 GiB; true unless given. */
  readonly highMmio?: boolean;
}

/** What stands at a part of the board; undefined: nothing. */
export type PartTargets = { readonly [kind in PartKind]?: (part: BoardPart) => Target | undefined };

/** One CPU's side of the GIC: its inputs, and its outputs by the number of the private interrupt that each drives. */
export interface CpuLines {
  readonly irq: LineSink;
  readonly fiq?: LineSink;
  readonly virtualIrq: LineSink;
  readonly virtualFiq?: LineSink;
  readonly outputs: readonly (readonly [line: Line, ppi: number])[];
}

export class VirtAssembly {
  readonly name = "virt";
  readonly simulation: Simulation;
  readonly arena = new Arena();
  readonly bus: Router;
  readonly ram: Memory;
  readonly gic: Gicv2;
  /** Where the CPUs have EL2. */
  readonly gicVirtual: GicVirtualization | null;
  readonly uart: Pl011;
  readonly uart1: Pl011 | null;
  readonly rtc: Pl031;
  readonly timer: Sp804;
  readonly timer1: Sp804 | null;
  readonly smmu: Smmuv3 | null;
  readonly pcie: PcieHost;
  readonly toe: ToeCore | null;
  /** Configuration space of PCIe. */
  readonly ecam: { readonly base: number; readonly size: number };
  /** Parts by their name on the board. */
  readonly devices = new Map<string, Module>();
  readonly #msi: Gicv2m;
  readonly #options: AssemblyOptions;

  /** `virtualization`: the CPUs have EL2. Throws InputError where a slot's options do not fit. */
  protected constructor(options: AssemblyOptions, virtualization: boolean) {
    this.#options = options;
    const { cpus = 1, memory = DEFAULT_MEMORY, seed = 1, decodeErrors = "abort" } = options;
    const simulation = new Simulation({ seed });
    this.simulation = simulation;
    this.bus = new Router(simulation, "bus", decodeErrors);
    const { arena, bus } = this;
    this.ram = this.build("ram", new Memory(simulation, "ram", arena, { size: memory }));
    this.gic = this.build("gic", new Gicv2(simulation, "gic", { cpus, spis: GIC_SPI_COUNT }));
    this.gicVirtual = virtualization
      ? this.build("gicVirtual", new GicVirtualization(simulation, "gicVirtual", this.gic))
      : null;
    const spis = { baseSpi: GICV2M_BASE_SPI, spis: GICV2M_SPI_COUNT };
    this.#msi = this.build("gicv2m", new Gicv2m(simulation, "gicv2m", spis));
    // Software made for QEMU's machine writes to the UART without setting it up; each first use is reported.
    const uart = (name: string) =>
      this.build(
        name,
        new Pl011(simulation, name, { uartclk: clockOf(name), pacing: "immediate", unconfigured: "enabled" }),
      );
    this.uart = uart("uart0");
    this.uart1 = options.secondUart === true ? uart("uart1") : null;
    this.rtc = this.build("rtc", new Pl031(simulation, "rtc", { base: options.rtcBase ?? 0 }));
    const timer = (name: string) => this.build(name, new Sp804(simulation, name, { timclk: clockOf(name) }));
    this.timer = timer("timer0");
    this.timer1 = options.secondTimer === true ? timer("timer1") : null;
    this.smmu = options.iommu === "smmuv3" ? this.build("smmu", new Smmuv3(simulation, "smmu", { bus, arena })) : null;
    this.ecam = options.highEcam === false ? PCIE.lowEcam : PCIE.ecam;
    const pcie = new PcieHost(simulation, "pcie", { arena, dma: this.smmu ?? bus, ecamSize: this.ecam.size });
    this.pcie = this.build("pcie", pcie);
    for (const [name, module] of populatePcie(pcie, options.pcie ?? [])) this.build(name, module);
    this.toe =
      options.toe === undefined ? null : this.build("toe", makeToe(simulation, options.toe, bus, arena, this.smmu));
  }

  /** A part of the board by its name, or another device of the machine. */
  protected build<M extends Module>(name: string, module: M): M {
    this.devices.set(name, module);
    return module;
  }

  /** Puts all parts on the bus and their lines on the GIC, with those that the machine has beside the common ones. */
  protected place(others: PartTargets): void {
    const { bus, toe } = this;
    const { memory = DEFAULT_MEMORY, highMmio = true } = this.#options;
    const device = <M extends Module>(part: BoardPart) => this.devices.get(part.name) as M | undefined;
    const targets: PartTargets = {
      ram: () => this.ram,
      "gicv2-distributor": () => this.gic.distributor,
      "gicv2-cpu-interface": () => this.gic.cpuInterface,
      "gicv2-hypervisor": () => this.gicVirtual?.hypervisor,
      "gicv2-virtual-cpu": () => this.gicVirtual?.virtualCpu,
      gicv2m: () => this.#msi.registers,
      pl011: (p) => device<Pl011>(p)?.registers,
      pl031: () => this.rtc.registers,
      sp804: (p) => device<Sp804>(p)?.registers,
      "pcie-ecam": () => this.pcie.ecam,
      smmuv3: () => this.smmu?.registers,
      toe: () => toe?.space,
      ...others,
    };
    for (const p of VIRT_PARTS) {
      const target = targets[p.kind]?.(p);
      if (!target) continue;
      const { base } = p.kind === "pcie-ecam" ? this.ecam : p;
      const size =
        p.kind === "ram"
          ? memory
          : p.kind === "pcie-ecam"
            ? this.ecam.size
            : toe && p.kind === "toe"
              ? (1 + toe.count) * FRAME_SIZE
              : p.size;
      bus.map({ name: p.name, base, size, target });
      this.#connect(p);
    }
    if (toe) connectToe(toe, (number) => this.gic.spi(number));
    const { memory: pcieMemory, io } = this.pcie.bus;
    const { memory32, memory64 } = PCIE;
    bus.map({ name: "pcieMemory32", ...memory32, target: pcieMemory, offset: memory32.base });
    if (highMmio) bus.map({ name: "pcieMemory64", ...memory64, target: pcieMemory, offset: memory64.base });
    bus.map({ name: "pcieIo", ...PCIE.io, target: io, offset: 0 });
    this.#msi.spi.forEach((line, n) => {
      line.connect(this.gic.spi(GICV2M_BASE_SPI + n));
    });
  }

  /** Joins CPUs and GIC, in the order of the CPUs' numbers. */
  protected connectCpus(cpus: readonly CpuLines[]): void {
    const { gic, gicVirtual } = this;
    cpus.forEach((cpu, n) => {
      gic.irq[n]?.connect(cpu.irq);
      if (cpu.fiq) gic.fiq[n]?.connect(cpu.fiq);
      gicVirtual?.virq[n]?.connect(cpu.virtualIrq);
      if (cpu.virtualFiq) gicVirtual?.vfiq[n]?.connect(cpu.virtualFiq);
      gicVirtual?.maintenance[n]?.connect(gic.ppi(n, 16 + PPI.gicMaintenance));
      for (const [line, ppi] of cpu.outputs) line.connect(gic.ppi(n, 16 + ppi));
    });
  }

  /** Connects the lines that the board's data names to the GIC. */
  #connect(p: BoardPart): void {
    const module = this.devices.get(p.name);
    for (const i of p.interrupts) {
      const line = (module as unknown as { readonly [name: string]: unknown } | undefined)?.[i.line];
      if (!(line instanceof Line)) throw new Error(`${p.name} has no line "${i.line}"`);
      line.connect(this.gic.spi(i.number));
    }
  }
}

export function clockOf(name: string): number {
  return virtPart(name).clock ?? 0;
}
