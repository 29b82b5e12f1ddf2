/** The hypervisor of this folder's parent on a machine of abstract CPUs: VMs whose guests are programs. */
import { GENERIC_TIMER_FREQUENCY, RAM_BASE, virtPart } from "../../../platform/virt/board.ts";
import { Hypervisor } from "../hypervisor.ts";
import { BLOCK, MemoryPool } from "../memory.ts";
import { createScheduler, type DomainParameters, type Scheduler } from "../scheduler/index.ts";
import type { RegionOptions, Vm } from "../vm.ts";
import type { AbstractMachine } from "./machine.ts";
import type { GuestProgram } from "./program.ts";

export interface AbstractVmOptions {
  readonly name: string;
  readonly program: GuestProgram;
  /** Bytes, a multiple of 2 MiB; 2 MiB unless given. */
  readonly memory?: number;
  readonly vcpus?: number;
  readonly regions?: readonly RegionOptions[];
  readonly scheduling?: DomainParameters;
  readonly affinity?: readonly number[];
}

export class AbstractHypervisor {
  readonly machine: AbstractMachine;
  readonly hypervisor: Hypervisor;
  readonly #programs = new Map<string, GuestProgram>();

  constructor(
    machine: AbstractMachine,
    scheduler: Scheduler = createScheduler("round-robin", machine.physicalCpus.length),
  ) {
    this.machine = machine;
    const { simulation, bus, ram, cpus } = machine;
    const distributor = virtPart("gicd").base;
    const cpuInterface = virtPart("gicc").base;
    this.hypervisor = new Hypervisor(simulation, "hypervisor", {
      physicalCpus: machine.physicalCpus,
      scheduler,
      makeContext: (vcpu) => cpus.createContext(this.#programs.get(vcpu.vm.options.name) as GuestProgram, vcpu.index),
      counterFrequency: GENERIC_TIMER_FREQUENCY,
      gic: { distributor, cpuInterface, hypervisor: virtPart("gich").base },
      bus,
      ram: { memory: ram, base: RAM_BASE },
      pool: new MemoryPool(RAM_BASE, ram.size - (ram.size % BLOCK)),
      physicalAddressSize: 5,
      guest: { ram: RAM_BASE, distributor, cpuInterface },
      virtualCpuInterface: virtPart("gicv").base,
      costs: cpus.costs,
    });
    machine.reset();
  }

  /** Defines a VM and asks for its start. */
  add(options: AbstractVmOptions): Vm {
    const { name, program, memory = BLOCK, vcpus = 1, regions = [], scheduling, affinity } = options;
    this.#programs.set(name, program);
    const vm = this.hypervisor.createVm({
      name,
      memory,
      vcpus,
      psci: "hvc",
      regions,
      images: [],
      entry: RAM_BASE,
      x0: 0,
      ...(scheduling ? { scheduling } : {}),
      ...(affinity ? { affinity } : {}),
    });
    this.hypervisor.request(vm, "start");
    return vm;
  }
}
