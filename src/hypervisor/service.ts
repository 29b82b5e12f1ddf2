/** Software of the hypervisor beside its core, at EL2 of the CPU given: drivers of devices that it keeps for itself. */
import type { Exit, PhysicalCpu } from "./physical-cpu.ts";
import type { Vcpu } from "./vcpu.ts";
import type { Vm } from "./vm.ts";

export interface Service {
  /** Interrupts of the machine (INTIDs) that are its own. */
  readonly interrupts?: readonly number[];
  /** They are edges. */
  readonly edge?: boolean;
  /** The first CPU has come up. */
  setUp?(cpu: PhysicalCpu): void;
  /** A VM's tables are there and its devices are as configured; also after each change of a region. */
  started?(cpu: PhysicalCpu, vm: Vm): void;
  /** A VM runs no more. */
  halted?(cpu: PhysicalCpu, vm: Vm): void;
  /** A vCPU of the VM was loaded on the CPU, or unloaded from it. */
  switched?(cpu: PhysicalCpu, vm: Vm): void;
  /** After an exit for an interrupt, also one that `Hypervisor.poke` has asked for. */
  poked?(cpu: PhysicalCpu): void;
  /** DMA of the VM's that was refused, as far as the service knows. */
  refusedDma?(vm: Vm): number;
  /** One of its own interrupts was taken; true where it was its. */
  interrupt?(cpu: PhysicalCpu, id: number): boolean;
  /** HVC or SMC of a guest, before it is looked at as a call of PSCI; true where it was the service's. */
  call?(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): boolean;
}
