/** The lives of VMs: started, paused, reset, stopped, destroyed. Asked for from anywhere, done at EL2 of the CPU that comes by first. */
import type { Time } from "../sim/index.ts";
import type { InterruptRouting } from "./interrupt-routing.ts";
import type { PhysicalCpu } from "./physical-cpu.ts";
import type { Dispatcher } from "./scheduler/index.ts";
import type { Service } from "./service.ts";
import { Stage2 } from "./stage2.ts";
import { Vcpu } from "./vcpu.ts";
import type { RegionMode, Vm } from "./vm.ts";

export type VmRequest = "start" | "pause" | "resume" | "reset" | "stop" | "destroy" | `mode ${string} ${RegionMode}`;

export interface LifeCycleHost {
  now(): Time;
  /** The CPU that acts. */
  current(): PhysicalCpu | null;
  readonly services: readonly Service[];
  /** Takes a vCPU off the CPU that acts. */
  unload(cpu: PhysicalCpu, vcpu: Vcpu): void;
  kick(cpu: number): void;
}

export class LifeCycle {
  /** Some VM may have a request; set after a restore, when nobody knows. */
  asked = false;
  readonly #dispatcher: Dispatcher;
  readonly #routing: InterruptRouting;
  readonly #vms: readonly Vm[];
  readonly #host: LifeCycleHost;

  constructor(dispatcher: Dispatcher, routing: InterruptRouting, vms: readonly Vm[], host: LifeCycleHost) {
    this.#dispatcher = dispatcher;
    this.#routing = routing;
    this.#vms = vms;
    this.#host = host;
  }

  /** Throws RangeError for a mode that the region cannot have. */
  request(vm: Vm, what: VmRequest): void {
    const [kind, name = "", mode = ""] = what.split(" ");
    if (kind === "mode") vm.checkMode(name, mode);
    vm.cells.request += `${vm.cells.request === "" ? "" : ";"}${what}`;
    this.asked = true;
  }

  carryOut(cpu: PhysicalCpu): void {
    this.asked = false;
    for (const vm of this.#vms) {
      if (vm.cells.request === "") continue;
      const all = vm.cells.request.split(";");
      vm.cells.request = "";
      for (const what of all) this.#one(cpu, vm, what as VmRequest);
    }
  }

  #one(cpu: PhysicalCpu, vm: Vm, request: VmRequest): void {
    const { status } = vm;
    const [what, name = "", mode = ""] = request.split(" ");
    if (what === "pause" && status === "running") {
      vm.setStatus("paused");
      for (const v of vm.vcpus) this.#dispatcher.block(v, this.#host.now());
    } else if (what === "resume" && status === "paused") this.#resume(vm);
    else if (what === "mode") {
      this.#routing.route(cpu, vm, false);
      vm.setMode(cpu, name, mode as RegionMode);
      this.#routing.route(cpu, vm, true);
      for (const service of this.#host.services) service.started?.(cpu, vm);
    } else if (what === "stop" && status !== "defined") this.halt(vm, "stopped", "asked to");
    else if (what === "start" || what === "reset" || what === "destroy") this.#renew(cpu, vm, what);
  }

  /** What has come while the VM was paused wakes its vCPUs now. */
  #resume(vm: Vm): void {
    const now = this.#host.now();
    vm.setStatus("running");
    for (const v of vm.vcpus) {
      if (v.activity === "blocked" && (v.interface.signals || v.cells.timer <= now)) v.activity = "runnable";
      if (v.activity === "runnable") this.#dispatcher.wake(v, now, "event");
    }
  }

  /** What takes memory or gives it back: once no CPU has a vCPU of the VM loaded any more. */
  #renew(cpu: PhysicalCpu, vm: Vm, what: "start" | "reset" | "destroy"): void {
    const { status } = vm;
    if (what === "start" && (status === "running" || status === "paused")) return;
    if (what === "reset" && (status === "defined" || status === "destroyed")) return;
    this.#silence(vm);
    for (const v of vm.vcpus) {
      if (v.cells.on === cpu.index) this.#host.unload(cpu, v);
      else if (v.cells.on >= 0) {
        this.#host.kick(v.cells.on);
        this.request(vm, what);
        return;
      }
    }
    for (const service of this.#host.services) service.halted?.(cpu, vm);
    if (what !== "destroy") {
      this.#start(cpu, vm);
      return;
    }
    this.#routing.route(cpu, vm, false);
    vm.release();
    vm.setStatus("destroyed");
  }

  #start(cpu: PhysicalCpu, vm: Vm): void {
    vm.cells.epoch = cpu.time;
    const missing = vm.build(cpu);
    if (missing !== null) {
      vm.setStatus("stopped", missing);
      return;
    }
    vm.loadImages();
    for (const module of vm.children) if (!(module instanceof Stage2 || module instanceof Vcpu)) module.reset();
    vm.setUpDevices(cpu);
    this.#routing.route(cpu, vm, true);
    for (const service of this.#host.services) service.started?.(cpu, vm);
    vm.setStatus("running");
    this.startVcpu(vm.vcpus[0] as Vcpu, vm.options.entry, vm.options.x0);
  }

  startVcpu(vcpu: Vcpu, entry: number, x0: number): void {
    vcpu.restart();
    vcpu.context.reset({ entry, x0, epoch: vcpu.vm.cells.epoch });
    vcpu.activity = "runnable";
    this.#dispatcher.wake(vcpu, this.#host.now(), "event");
  }

  /** No vCPU runs from here on. */
  #silence(vm: Vm): void {
    for (const v of vm.vcpus) {
      v.activity = "off";
      this.#dispatcher.block(v, this.#host.now());
    }
  }

  halt(vm: Vm, state: "off" | "stopped", reason: string): void {
    this.#silence(vm);
    const cpu = this.#host.current();
    if (cpu !== null) for (const service of this.#host.services) service.halted?.(cpu, vm);
    vm.setStatus(state, reason);
    if (state === "stopped") vm.guestError({ kind: "sequence", detail: `${vm.name} stopped: ${reason}` });
  }
}
