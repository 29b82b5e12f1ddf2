/**
 * The `virt` board with abstract CPUs in place of the cluster: same parts, addresses and interrupts (platform/virt/assembly.ts). Left out is what
 * only firmware and real kernels look for: flash, fw_cfg, GPIO, device tree, virtio-mmio slots.
 */
import { type AssemblyOptions, VirtAssembly } from "../../../platform/virt/assembly.ts";
import { PPI, RAM_BASE } from "../../../platform/virt/board.ts";
import type { CostTable } from "../costs.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import { AbstractCluster } from "./cluster.ts";

export interface AbstractMachineOptions extends AssemblyOptions {
  /** Cycles a second; 1 GHz unless given. */
  readonly frequency?: number;
  readonly costs?: CostTable;
}

export class AbstractMachine extends VirtAssembly {
  readonly cpus: AbstractCluster;

  constructor(options: AbstractMachineOptions = {}) {
    super(options, true);
    const { cpus = 1, frequency, costs } = options;
    this.place({});
    this.cpus = new AbstractCluster(this.simulation, "cpus", {
      arena: this.arena,
      bus: this.bus,
      cpus,
      ...(frequency === undefined ? {} : { frequency }),
      ...(costs === undefined ? {} : { costs }),
    });
    this.connectCpus(
      this.cpus.cpus.map((c) => ({
        irq: c.irq,
        virtualIrq: c.virtualIrq,
        outputs: [
          [c.hypervisorLine, PPI.hypervisorTimer],
          [c.virtualLine, PPI.virtualTimer],
        ],
      })),
    );
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
}

export function createAbstractMachine(options: AbstractMachineOptions = {}): AbstractMachine {
  return new AbstractMachine(options);
}
