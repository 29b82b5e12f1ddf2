/**
 * Event channels and shared memory between VMs, in the manner of Xen, for guests with paravirtual drivers and the driver domain that has the device. A channel joins a port
 * of one VM with a port of another. HVC `EVENT_CHANNEL` with X0 = 0 sends on the port in X1: the other end's pending bit is set in its event page, and if
 * it was clear, the upcall interrupt is made pending at its vCPU 0. X0 is then 0, or -1 where the port has no other end. Ports are fixed by the configuration: guests
 * neither open nor close any.
 */
import { Module } from "../sim/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { clear, PAGE } from "./memory.ts";
import type { Exit, PhysicalCpu } from "./physical-cpu.ts";
import type { Service } from "./service.ts";
import type { Vcpu } from "./vcpu.ts";
import type { RegionOptions, Vm } from "./vm.ts";

/** Immediate of the hypercall. */
export const EVENT_CHANNEL = 0x4556;
/** Virtual INTID of the upcall: the PPI that Xen on Arm uses. A guest sets it up as edge-triggered. */
export const UPCALL = 31;
/** Where a guest finds the pending bits of its ports: bit n of word n / 32. */
export const EVENT_PAGE = 0x0b00_0000;
export const PORTS = 1024;

const EVENTS = "events";

interface Channel {
  readonly vm: Vm;
  readonly port: number;
}

export class EventChannels extends Module implements Service {
  readonly #hypervisor: Hypervisor;
  readonly #channels = new Map<number, Channel>();
  /** Stretches of memory that this service has taken: address and size. */
  readonly #shared: (readonly [at: number, size: number])[] = [];

  /** To be made, and its regions with it, before the first VM starts. */
  constructor(hypervisor: Hypervisor) {
    super(hypervisor, "events");
    this.#hypervisor = hypervisor;
    hypervisor.services.push(this);
  }

  /** The event page of a VM that is to have channels. */
  events(): RegionOptions {
    return this.share(PAGE, [{ name: EVENTS, base: EVENT_PAGE }])[0] as RegionOptions;
  }

  /** `size` bytes, whole pages, that those see who get the regions: one a view. Zero when the machine comes up. */
  share(size: number, views: readonly { readonly name: string; readonly base: number }[]): RegionOptions[] {
    const at = this.#hypervisor.options.pool.reserve(size);
    this.#shared.push([at, size]);
    return views.map((view) => ({
      ...view,
      size,
      mode: "pass",
      physical: { base: at, kind: "memory", interrupts: [] },
    }));
  }

  /** Joins a port of one VM with a port of another. Throws RangeError for a port beyond the last, or of a VM without an event page. */
  connect(one: Vm, onePort: number, other: Vm, otherPort: number): void {
    for (const [vm, port] of [
      [one, onePort],
      [other, otherPort],
    ] as const) {
      if (pendingOf(vm) < 0) throw new RangeError(`${vm.name} has no event page`);
      if (!Number.isInteger(port) || port < 0 || port >= PORTS) {
        throw new RangeError(`${vm.name}: port ${port}: expected 0 to ${PORTS - 1}`);
      }
    }
    this.#channels.set(one.id * PORTS + onePort, { vm: other, port: otherPort });
    this.#channels.set(other.id * PORTS + otherPort, { vm: one, port: onePort });
  }

  // --- at EL2

  setUp(cpu: PhysicalCpu): void {
    for (const [at, size] of this.#shared) clear(cpu, at, size);
  }

  /** What was sent before a VM starts anew is lost. */
  halted(cpu: PhysicalCpu, vm: Vm): void {
    const at = pendingOf(vm);
    if (at >= 0) clear(cpu, at, PORTS / 8);
  }

  call(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): boolean {
    if (exit.reason !== "hvc" || (exit.syndrome & 0xffff) !== EVENT_CHANNEL) return false;
    cpu.spend(this.#hypervisor.costs.hypercall);
    const port = cpu.low(1) >>> 0;
    const channel = port < PORTS ? this.#channels.get(vcpu.vm.id * PORTS + port) : undefined;
    if (cpu.low(0) !== 0 || channel === undefined) {
      cpu.setRegister(0, -1, -1);
      return true;
    }
    cpu.setRegister(0, 0, 0);
    const { vm } = channel;
    if (vm.status !== "running" && vm.status !== "paused") return true;
    const at = pendingOf(vm) + 4 * (channel.port >> 5);
    const bit = (1 << (channel.port & 31)) >>> 0;
    const before = cpu.read(at, 4);
    if ((before & bit) !== 0) return true;
    cpu.write(at, 4, (before | bit) >>> 0);
    this.#hypervisor.inject(vm.vcpus[0] as Vcpu, UPCALL);
    return true;
  }
}

/** Physical address of a VM's event page, or -1. */
function pendingOf(vm: Vm): number {
  return vm.regions.get(EVENTS)?.options.physical?.base ?? -1;
}
