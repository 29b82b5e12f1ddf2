/**
 * The `virt` board with abstract CPUs in place of the cluster: same parts, addresses and interrupts (platform/virt/board.ts). Left out is what
 * only firmware and real kernels look for: flash, fw_cfg, GPIO, device tree, virtio-mmio slots.
 */
import {
  type BoardPart,
  GIC_SPI_COUNT,
  GICV2M_BASE_SPI,
  GICV2M_SPI_COUNT,
  PCIE,
  PPI,
  RAM_BASE,
  VIRT_PARTS,
  virtPart,
} from "../../../platform/virt/board.ts";
import { type PcieSlot, populatePcie } from "../../../platform/virt/pcie.ts";
import { connectToe, makeToe, type ToeSlot } from "../../../platform/virt/toe.ts";
import { Arena, Memory, Router, type Target } from "../../bus/index.ts";
import { GicVirtualization, Gicv2 } from "../../devices/gicv2/index.ts";
import { Gicv2m } from "../../devices/gicv2m/index.ts";
import { Pl011 } from "../../devices/pl011/index.ts";
import { Pl031 } from "../../devices/pl031/index.ts";
import { Smmuv3 } from "../../devices/smmuv3/index.ts";
import { Sp804 } from "../../devices/sp804/index.ts";
import { FRAME_SIZE, type ToeCore } from "../../devices/toe/index.ts";
import { PcieHost } from "../../pcie/index.ts";
import { Line, type Module, Simulation } from "../../sim/index.ts";
import type { CostTable } from "../costs.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import { AbstractCluster } from "./cluster.ts";

export interface AbstractMachineOptions {
  /** 1 to 8; 1 unless given. */
  readonly cpus?: number;
  /** Cycles a second; 1 GHz unless given. */
  readonly frequency?: number;
  /** Bytes of RAM, a multiple of 1 MiB; 128 MiB unless given. */
  readonly memory?: number;
  readonly seed?: number;
  readonly costs?: CostTable;
  readonly iommu?: "smmuv3";
  /** Functions on the PCIe bus. */
  readonly pcie?: readonly PcieSlot[];
  readonly secondUart?: boolean;
  readonly secondTimer?: boolean;
  /** The TCP/IP offload engine; absent unless given. */
  readonly toe?: ToeSlot;
}

export class AbstractMachine {
  readonly name = "virt";
  readonly options: AbstractMachineOptions;
  readonly simulation: Simulation;
  readonly arena = new Arena();
  readonly bus: Router;
  readonly ram: Memory;
  readonly gic: Gicv2;
  readonly gicVirtual: GicVirtualization;
  readonly uart: Pl011;
  readonly timer: Sp804;
  readonly smmu: Smmuv3 | null;
  readonly toe: ToeCore | null;
  readonly pcie: PcieHost;
  readonly cpus: AbstractCluster;
  /** Parts by their name on the board. */
  readonly devices = new Map<string, Module>();

  constructor(options: AbstractMachineOptions = {}) {
    this.options = options;
    const { cpus = 1, memory = 128 * 2 ** 20, seed = 1 } = options;
    const simulation = new Simulation({ seed });
    this.simulation = simulation;
    this.bus = new Router(simulation, "bus");
    const { arena, bus } = this;
    const build = <M extends Module>(name: string, module: M): M => {
      this.devices.set(name, module);
      return module;
    };
    this.ram = build("ram", new Memory(simulation, "ram", arena, { size: memory }));
    this.gic = build("gic", new Gicv2(simulation, "gic", { cpus, spis: GIC_SPI_COUNT }));
    this.gicVirtual = build("gicVirtual", new GicVirtualization(simulation, "gicVirtual", this.gic));
    const msi = build("gicv2m", new Gicv2m(simulation, "gicv2m", { baseSpi: GICV2M_BASE_SPI, spis: GICV2M_SPI_COUNT }));
    const uart = (name: string) =>
      build(name, new Pl011(simulation, name, { uartclk: virtPart(name).clock ?? 0, pacing: "immediate" }));
    const timer = (name: string) => build(name, new Sp804(simulation, name, { timclk: virtPart(name).clock ?? 0 }));
    this.uart = uart("uart0");
    if (options.secondUart === true) uart("uart1");
    this.timer = timer("timer0");
    if (options.secondTimer === true) timer("timer1");
    const rtc = build("rtc", new Pl031(simulation, "rtc", { base: 0 }));
    this.smmu = options.iommu === "smmuv3" ? build("smmu", new Smmuv3(simulation, "smmu", { bus, arena })) : null;
    this.pcie = build(
      "pcie",
      new PcieHost(simulation, "pcie", { arena, dma: this.smmu ?? bus, ecamSize: PCIE.ecam.size }),
    );
    for (const [name, module] of populatePcie(this.pcie, options.pcie ?? [])) build(name, module);

    this.toe = options.toe === undefined ? null : build("toe", makeToe(simulation, options.toe, bus, arena, this.smmu));
    const { smmu, toe } = this;
    const targets: { readonly [kind: string]: (p: BoardPart) => Target | undefined } = {
      ram: () => this.ram,
      "gicv2-distributor": () => this.gic.distributor,
      "gicv2-cpu-interface": () => this.gic.cpuInterface,
      "gicv2-hypervisor": () => this.gicVirtual.hypervisor,
      "gicv2-virtual-cpu": () => this.gicVirtual.virtualCpu,
      gicv2m: () => msi.registers,
      pl011: (p) => (this.devices.get(p.name) as Pl011 | undefined)?.registers,
      sp804: (p) => (this.devices.get(p.name) as Sp804 | undefined)?.registers,
      pl031: () => rtc.registers,
      "pcie-ecam": () => this.pcie.ecam,
      smmuv3: () => smmu?.registers,
      toe: () => toe?.space,
    };
    for (const p of VIRT_PARTS) {
      const target = targets[p.kind]?.(p);
      if (!target) continue;
      const size = p.kind === "ram" ? memory : toe && p.kind === "toe" ? (1 + toe.count) * FRAME_SIZE : p.size;
      bus.map({ name: p.name, base: p.base, size, target });
      this.#connect(p);
    }
    if (toe) connectToe(toe, (number) => this.gic.spi(number));
    const { memory: pcieMemory, io } = this.pcie.bus;
    const { memory32, memory64 } = PCIE;
    bus.map({ name: "pcieMemory32", ...memory32, target: pcieMemory, offset: memory32.base });
    bus.map({ name: "pcieMemory64", ...memory64, target: pcieMemory, offset: memory64.base });
    bus.map({ name: "pcieIo", ...PCIE.io, target: io, offset: 0 });
    msi.spi.forEach((line, n) => {
      line.connect(this.gic.spi(GICV2M_BASE_SPI + n));
    });

    this.cpus = new AbstractCluster(simulation, "cpus", {
      arena,
      bus,
      cpus,
      ...(options.frequency === undefined ? {} : { frequency: options.frequency }),
      ...(options.costs === undefined ? {} : { costs: options.costs }),
    });
    this.cpus.cpus.forEach((c, n) => {
      this.gic.irq[n]?.connect(c.irq);
      this.gicVirtual.virq[n]?.connect(c.virtualIrq);
      this.gicVirtual.maintenance[n]?.connect(this.gic.ppi(n, 16 + PPI.gicMaintenance));
      c.hypervisorLine.connect(this.gic.ppi(n, 16 + PPI.hypervisorTimer));
      c.virtualLine.connect(this.gic.ppi(n, 16 + PPI.virtualTimer));
    });
    this.reset();
  }

  /** What a hypervisor runs on. */
  get physicalCpus(): readonly PhysicalCpu[] {
    return this.cpus.cpus;
  }

  /** Power-on reset; RAM keeps its contents. */
  reset(): void {
    this.simulation.reset();
  }

  /** Copies `data` to a physical address in RAM. Throws RangeError where it does not fit. */
  fill(address: number, data: Uint8Array): void {
    this.ram.fill(address - RAM_BASE, data);
  }

  #connect(p: BoardPart): void {
    const module = this.devices.get(p.name);
    for (const i of p.interrupts) {
      const line = (module as unknown as { readonly [name: string]: unknown } | undefined)?.[i.line];
      if (!(line instanceof Line)) throw new Error(`${p.name} has no line "${i.line}"`);
      line.connect(this.gic.spi(i.number));
    }
  }
}

export function createAbstractMachine(options: AbstractMachineOptions = {}): AbstractMachine {
  return new AbstractMachine(options);
}
