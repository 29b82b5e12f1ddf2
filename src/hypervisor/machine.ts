/** The `virt` board with this hypervisor at EL2 of its CPUs, and VMs described by the board's own parts. */
import { GENERIC_TIMER_FREQUENCY, RAM_BASE, virtPart } from "../../platform/virt/board.ts";
import type { VirtMachine } from "../../platform/virt/machine.ts";
import type { Cpu } from "../cpu/aarch64/cpu.ts";
import { Aarch64Context } from "./aarch64/context.ts";
import { Aarch64Cpu } from "./aarch64/cpu.ts";
import type { CostTable } from "./costs.ts";
import { Hypervisor } from "./hypervisor.ts";
import { BLOCK, MemoryPool } from "./memory.ts";
import { createScheduler, type Scheduler } from "./scheduler/index.ts";

export interface HypervisorMachineOptions {
  readonly scheduler?: Scheduler;
  readonly costs?: Partial<CostTable>;
  readonly trapWfe?: boolean;
}

/** Puts a hypervisor on a board with EL2 (`virtualization`), all of whose RAM is the hypervisor's. Reset the machine before running it. */
export function addHypervisor(machine: VirtMachine, options: HypervisorMachineOptions = {}): Hypervisor {
  const { simulation, cpus, bus, ram } = machine;
  if (!cpus.el2) throw new Error("the machine has no EL2");
  const contexts: Aarch64Context[] = [];
  const gic = {
    distributor: virtPart("gicd").base,
    cpuInterface: virtPart("gicc").base,
    hypervisor: virtPart("gich").base,
  };
  const physical = new Map<Cpu, Aarch64Cpu>();
  for (const cpu of cpus.cpus) {
    physical.set(
      cpu,
      new Aarch64Cpu(simulation, `el2cpu${cpu.index}`, cpu, contexts, {
        distributor: gic.distributor,
        ...(options.trapWfe === undefined ? {} : { trapWfe: options.trapWfe }),
      }),
    );
  }
  cpus.el2Software = { run: (cpu) => physical.get(cpu)?.run() };
  const count = cpus.cpus.length;
  return new Hypervisor(simulation, "hypervisor", {
    physicalCpus: [...physical.values()],
    scheduler: options.scheduler ?? createScheduler("round-robin", count),
    makeContext: (vcpu) => {
      const context = new Aarch64Context(vcpu, "context", vcpu.index, GENERIC_TIMER_FREQUENCY);
      contexts.push(context);
      return context;
    },
    counterFrequency: GENERIC_TIMER_FREQUENCY,
    gic,
    bus,
    ram: { memory: ram, base: RAM_BASE },
    pool: new MemoryPool(RAM_BASE, ram.size - (ram.size % BLOCK)),
    physicalAddressSize: (cpus.model.values["ID_AA64MMFR0_EL1"] ?? 0) & 15,
    guest: { ram: RAM_BASE, distributor: gic.distributor, cpuInterface: gic.cpuInterface },
    virtualCpuInterface: virtPart("gicv").base,
    ...(options.costs ? { costs: options.costs } : {}),
  });
}
