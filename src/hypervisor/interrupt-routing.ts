/** Interrupts of the machine that belong to guests: of devices that are passed through, and of the virtual timer. */
import type { PhysicalCpu } from "./physical-cpu.ts";
import type { PhysicalInterrupts } from "./physical-interrupts.ts";
import { type Vcpu, VIRTUAL_TIMER } from "./vcpu.ts";
import type { Vm } from "./vm.ts";

export class InterruptRouting {
  readonly #interrupts: PhysicalInterrupts;
  readonly #vms: readonly Vm[];
  /** Of the first `#known` VMs, those that may be passed an interrupt of the machine. */
  readonly #users = new Map<number, Vm[]>();
  #known = 0;

  constructor(interrupts: PhysicalInterrupts, vms: readonly Vm[]) {
    this.#interrupts = interrupts;
    this.#vms = vms;
  }

  /** Interrupts of devices that are passed through, while the guest has them enabled: to this CPU, or where the VM may not run on it, to the first one that it may. */
  route(cpu: PhysicalCpu, vm: Vm, on: boolean): void {
    const affinity = vm.vcpus[0]?.affinity ?? 0;
    const target =
      (affinity & (1 << cpu.index)) !== 0 || affinity === 0 ? cpu.index : 31 - Math.clz32(affinity & -affinity);
    for (const r of vm.options.regions) {
      if (vm.modeOf(r.name) !== "pass") continue;
      for (const i of r.physical?.interrupts ?? []) {
        if (on) this.#interrupts.route(cpu, 32 + i.machine, i.edge, target);
        else this.#interrupts.enable(cpu, 32 + i.machine, false);
      }
    }
    if (on) this.enable(cpu, vm);
  }

  /**
   * The machine's enables follow the guest's, so that a level that comes and goes while the guest has it disabled is not kept for it. One that waits
   * already is taken back, as a level would be looked at again.
   */
  enable(cpu: PhysicalCpu, vm: Vm): void {
    const { distributor } = vm;
    for (const machine of vm.machineInterrupts) {
      const guest = vm.guestInterrupt(machine);
      const on = distributor.isEnabled(0, guest);
      this.#interrupts.enable(cpu, machine, on);
      if (on || !distributor.isLatched(0, guest) || distributor.isActive(0, guest)) continue;
      distributor.unlatch(0, guest);
      this.#interrupts.setActive(cpu, machine, false);
    }
  }

  /** A shared interrupt for the VM that has its device. */
  passOn(id: number): boolean {
    for (const vm of this.#usersOf(id)) {
      const guest = vm.status === "running" || vm.status === "paused" ? vm.guestInterrupt(id) : -1;
      if (guest < 0) continue;
      vm.distributor.latch(0, guest);
      return true;
    }
    return false;
  }

  #usersOf(id: number): readonly Vm[] {
    for (; this.#known < this.#vms.length; this.#known++) {
      const vm = this.#vms[this.#known] as Vm;
      for (const { physical } of vm.options.regions) {
        for (const { machine } of physical?.interrupts ?? []) {
          const users = this.#users.get(32 + machine) ?? [];
          if (!users.includes(vm)) this.#users.set(32 + machine, [...users, vm]);
        }
      }
    }
    return this.#users.get(id) ?? [];
  }

  /** The virtual timer's interrupt is pending or active in the guest, hence active in the machine's GIC. */
  timerInFlight(vcpu: Vcpu): boolean {
    const { distributor } = vcpu.vm;
    return distributor.isLatched(vcpu.index, VIRTUAL_TIMER) || distributor.isActive(vcpu.index, VIRTUAL_TIMER);
  }

  /** A timer interrupt that the guest has made go away before it was taken, or has ended. */
  retractTimer(cpu: PhysicalCpu, vcpu: Vcpu): void {
    const { distributor } = vcpu.vm;
    const { index, cells } = vcpu;
    // what the guest has made pending itself (GICD_ISPENDR) stays until it is taken
    if (!cells.timerTaken) return;
    if (distributor.isLatched(index, VIRTUAL_TIMER)) {
      if (cpu.virtualTimerAsserted) return;
      distributor.unlatch(index, VIRTUAL_TIMER);
    } else if (distributor.isActive(index, VIRTUAL_TIMER)) return;
    cells.timerTaken = false;
    this.#interrupts.setActive(cpu, VIRTUAL_TIMER, false);
  }
}
