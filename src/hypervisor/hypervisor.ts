/**
 * A type-1 hypervisor at EL2 of the machine's CPUs: exits, emulation, interrupts, world switches. It acts inside `El2Handler.exit` of a physical CPU
 * alone, and uses what EL2 software has. Requests from outside (`request`) are carried out at the next such moment.
 */
import { Frequency, Module, NEVER, type Simulation, type Time } from "../sim/index.ts";
import { emulateAccess } from "./access.ts";
import { type CostTable, costTable } from "./costs.ts";
import { Deadlines } from "./deadlines.ts";
import { emulateInstruction } from "./instruction.ts";
import { InterruptRouting } from "./interrupt-routing.ts";
import { LifeCycle, type VmRequest } from "./life-cycle.ts";
import type { MemoryPool } from "./memory.ts";
import type { AccessFault, El2Handler, Exit, PhysicalCpu, VcpuContext } from "./physical-cpu.ts";
import { HYPERVISOR_TIMER, MAINTENANCE, PhysicalInterrupts } from "./physical-interrupts.ts";
import { type PsciRequest, psciCall } from "./psci.ts";
import { Dispatcher, type Scheduler } from "./scheduler/index.ts";
import type { Service } from "./service.ts";
import { emulateSystemRegister, systemRegisterName } from "./system-registers.ts";
import { Vcpu, VIRTUAL_TIMER } from "./vcpu.ts";
import { enableVirtualInterface } from "./vgic/list-registers.ts";
import { Vm, type VmHost, type VmOptions } from "./vm.ts";

export interface HypervisorOptions extends Omit<VmHost, "pool"> {
  readonly pool: MemoryPool;
  readonly physicalCpus: readonly PhysicalCpu[];
  readonly scheduler: Scheduler;
  /** Makes the registers of a vCPU, a module below it, for CPUs of the kind given. */
  readonly makeContext: (vcpu: Vcpu) => VcpuContext;
  /** Hz of the system counter. */
  readonly counterFrequency: number;
  /** The machine's GIC frames. */
  readonly gic: { readonly distributor: number; readonly cpuInterface: number; readonly hypervisor: number };
  readonly costs?: Partial<CostTable>;
}

/** Injected aborts at one address in a row that end a VM: nothing but an unmapped vector does that. */
const ENDLESS = 1000;

type CpuCells = {
  ready: boolean;
  /** Numbers of the vCPU that is loaded, and of the last one that was; -1: none. */
  vcpu: number;
  last: number;
  armed: Time;
};

interface PerCpu {
  readonly cpu: PhysicalCpu;
  readonly cells: CpuCells;
}

export class Hypervisor extends Module implements El2Handler {
  readonly options: HypervisorOptions;
  readonly costs: CostTable;
  readonly dispatcher: Dispatcher;
  readonly interrupts: PhysicalInterrupts;
  readonly vms: Vm[] = [];
  readonly routing: InterruptRouting;
  readonly life: LifeCycle;
  /** Drivers of devices that the hypervisor keeps for itself; to be added before the machine runs. */
  readonly services: Service[] = [];
  readonly #vcpus: Vcpu[] = [];
  readonly #cpus: readonly PerCpu[];
  readonly #deadlines: Deadlines;
  readonly #frequency: Frequency;
  /** The CPU whose handler is running. */
  #inside: PhysicalCpu | null = null;
  /** What list registers give back is nothing new. */
  #collecting = false;
  /** What policies are told of a wake: "io" for what an interrupt of a device leads to, "event" for the rest. */
  #reason = "event";
  #region = "";
  #register = "";

  constructor(parent: Module | Simulation, name: string, options: HypervisorOptions) {
    super(parent, name);
    this.options = options;
    this.costs = costTable(options.costs);
    this.#frequency = new Frequency(options.counterFrequency);
    this.interrupts = new PhysicalInterrupts(options.gic.distributor, options.gic.cpuInterface);
    this.routing = new InterruptRouting(this.interrupts, this.vms);
    this.part("memory", options.pool);
    const { physicalCpus } = options;
    this.dispatcher = this.part(
      "dispatcher",
      new Dispatcher(options.scheduler, physicalCpus.length, { kick: (cpu) => this.#kick(cpu) }),
    );
    this.#cpus = physicalCpus.map((cpu) => ({
      cpu,
      cells: this.state<CpuCells>({ ready: false, vcpu: -1, last: -1, armed: NEVER }, `cpu${cpu.index}`),
    }));
    this.#deadlines = new Deadlines(this.#vcpus, physicalCpus.length);
    this.life = new LifeCycle(this.dispatcher, this.routing, this.vms, {
      now: () => this.#now(),
      unload: (cpu, vcpu) => this.#unload(cpu, this.#cpus[cpu.index] as PerCpu, vcpu),
      kick: (cpu) => this.#kick(cpu),
      current: () => this.#inside,
      services: this.services,
    });
    for (const cpu of physicalCpus) cpu.handler = this;
  }

  // --- virtual machines

  /** Defines a VM; `request(vm, "start")` lets it run. Throws where names or interrupts clash. */
  createVm(options: VmOptions): Vm {
    const vm = new Vm(this, this.vms.length, options, this.options);
    this.vms.push(vm);
    this.dispatcher.addDomain(vm.id, options.scheduling ?? {});
    for (let index = 0; index < options.vcpus; index++) {
      const all = 2 ** this.#cpus.length - 1;
      const affinity = (options.affinity?.[index] ?? all) & all;
      const make = (vcpu: Vcpu) => this.options.makeContext(vcpu);
      const id = this.#vcpus.length;
      const vcpu = new Vcpu(vm, index, id, make, this.options.gic.hypervisor, affinity, this.#frequency);
      vm.vcpus.push(vcpu);
      this.#vcpus.push(vcpu);
      this.dispatcher.add(vcpu, this.simulation.now);
    }
    this.#deadlines.lookAgain();
    vm.distributor.onChange = (index) => this.#interruptChanged(vm.vcpus[index] as Vcpu);
    return vm;
  }

  /** Asks for a change of a VM's life, or of a region, which happens at EL2. Throws RangeError where a region has no such mode. */
  request(vm: Vm, what: VmRequest): void {
    this.life.request(vm, what);
    if (this.#cpus[0]?.cells.ready) this.#kick(0);
  }

  /** Pins a vCPU: bit n is CPU n. */
  setAffinity(vcpu: Vcpu, affinity: number): void {
    vcpu.cells.affinity = affinity;
    this.dispatcher.affinityChanged(vcpu, this.#now());
  }

  /** Makes interrupt `id` of a vCPU pending, as an edge on its input would: for hypercalls and models. */
  inject(vcpu: Vcpu, id: number): void {
    vcpu.vm.distributor.latch(vcpu.index, id);
  }

  /** Asks for an exit, after which `poked` of all services is called. From anywhere. */
  poke(): void {
    if (this.#cpus[0]?.cells.ready) this.#kick(0);
  }

  /** The CPU at EL2 that is at work. */
  get current(): PhysicalCpu | null {
    return this.#inside;
  }

  #now(): Time {
    return this.#inside?.time ?? this.simulation.now;
  }

  #kick(cpu: number): void {
    const physical = this.#cpus[cpu]?.cpu;
    if (physical !== undefined && physical !== this.#inside) physical.kick();
  }

  // --- exits

  exit(cpu: PhysicalCpu, exit: Exit): void {
    const per = this.#cpus[cpu.index] as PerCpu;
    this.#inside = cpu;
    const begun = cpu.time;
    const vcpu = per.cells.vcpu >= 0 ? (this.#vcpus[per.cells.vcpu] as Vcpu) : null;
    if (!per.cells.ready) this.#setUp(cpu, per);
    if (vcpu !== null) {
      cpu.spend(this.costs.exitEntry / 2);
      this.#collecting = true;
      vcpu.interface.collect(cpu);
      this.#collecting = false;
      this.#region = "";
      this.#register = "";
      this.#handle(cpu, vcpu, exit);
      vcpu.vm.spendCopies(cpu, this.costs.copy);
    }
    if (exit.reason === "irq" || exit.reason === "start") {
      this.#takeInterrupts(cpu, vcpu);
      for (const service of this.services) service.poked?.(cpu);
    }
    if (this.life.asked) {
      this.life.carryOut(cpu);
      this.#deadlines.lookAgain();
    }
    this.#deadlines.expire(cpu.index, cpu.time, this.#wakeByTimer);
    this.#goOn(cpu, per);
    if (vcpu !== null) {
      const { statistics } = vcpu.vm;
      const took = cpu.time - begun;
      statistics.count("reasons", exit.reason, took);
      if (this.#region !== "") statistics.count("regions", this.#region, took);
      if (this.#register !== "") statistics.count("registers", this.#register, took);
    }
    this.#inside = null;
  }

  #setUp(cpu: PhysicalCpu, per: PerCpu): void {
    per.cells.ready = true;
    this.interrupts.setUp(cpu, [VIRTUAL_TIMER]);
    enableVirtualInterface(cpu, this.options.gic.hypervisor);
    if (cpu.index !== 0) return;
    for (const service of this.services) {
      service.setUp?.(cpu);
      for (const id of service.interrupts ?? []) {
        this.interrupts.route(cpu, id, service.edge === true);
        this.interrupts.enable(cpu, id, true);
      }
    }
    for (let other = 1; other < this.#cpus.length; other++) cpu.powerOn(other);
  }

  #handle(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): void {
    switch (exit.reason) {
      case "wfi":
        cpu.skip();
        this.#wait(cpu, vcpu);
        break;
      case "wfe":
        cpu.skip();
        this.dispatcher.yield(vcpu, cpu.time);
        break;
      case "hvc":
      case "smc":
        if (exit.reason === "smc") cpu.skip();
        this.#call(cpu, vcpu, exit);
        break;
      case "system register":
        this.#register = systemRegisterName(exit.syndrome);
        this.#deadlines.lookAgain();
        if (!emulateSystemRegister(cpu, vcpu, exit)) cpu.injectUndefined();
        break;
      case "floating point":
        cpu.giveFloatingPoint();
        break;
      case "data abort":
        this.#access(cpu, vcpu, exit);
        break;
      case "instruction abort":
        this.#region = vcpu.vm.regionAt(exit.ipa);
        this.#abort(cpu, vcpu, exit);
        break;
      case "irq":
        this.#lookAtVector(cpu, vcpu, exit);
        break;
      case "fiq":
      case "start":
        break;
      default:
        this.#halt(vcpu.vm, "stopped", `exit "${exit.reason}", syndrome 0x${exit.syndrome.toString(16)}`);
    }
  }

  /** WFI: unless something has come, the vCPU sleeps. */
  #wait(cpu: PhysicalCpu, vcpu: Vcpu): void {
    if (vcpu.interface.signals || cpu.virtualTimerAsserted) return;
    vcpu.activity = "blocked";
    this.dispatcher.block(vcpu, cpu.time);
  }

  #call(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): void {
    const { vm } = vcpu;
    for (const service of this.services) if (service.call?.(cpu, vcpu, exit) === true) return;
    if (exit.reason !== vm.options.psci) {
      cpu.setRegister(0, -1, -1); // NOT_SUPPORTED (SMC Calling Convention, DEN 0028)
      return;
    }
    this.#deadlines.lookAgain();
    const request: PsciRequest = psciCall(this.life, cpu, vcpu);
    if (request === "suspend") this.#wait(cpu, vcpu);
    else if (request === "cpu off") {
      vcpu.activity = "off";
      this.dispatcher.block(vcpu, cpu.time);
      if (vm.vcpus.every((v) => v.activity === "off")) this.#halt(vm, "off", "all CPUs are off");
    } else if (request === "system off") this.#halt(vm, "off", "");
    else if (request === "system reset") {
      if (vm.options.stopOnReset === true) this.#halt(vm, "off", "reset");
      else this.request(vm, "reset");
    }
  }

  /** A stage 2 fault of a load or store: emulated where a model stands there, else an external abort. */
  #access(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): void {
    const { vm } = vcpu;
    const { ipa } = exit;
    this.#region = vm.regionAt(ipa);
    const onWalk = (exit.syndrome & (1 << 7)) !== 0;
    if (onWalk) {
      this.#abort(cpu, vcpu, exit);
      return;
    }
    if ((exit.syndrome & (1 << 8)) !== 0) {
      cpu.skip(); // cache maintenance of a device does nothing
      return;
    }
    const known = vm.bus.find(ipa) !== null;
    if (known) this.#register = vm.registerAt(ipa);
    cpu.spend(exit.valid ? this.costs.fastEmulation : this.costs.emulation);
    const done = !known ? null : exit.valid ? emulateAccess(cpu, vcpu, exit) : emulateInstruction(cpu, vcpu);
    if (done === "retry") return;
    if (done === "done") {
      vm.cells.faults = 0;
      if (exit.write) this.#distributorWritten(cpu, vm, ipa);
    } else this.#abort(cpu, vcpu, exit, done);
  }

  #distributorWritten(cpu: PhysicalCpu, vm: Vm, ipa: number): void {
    const offset = ipa - this.options.guest.distributor;
    if (offset >= 0x100 && offset < 0x200) this.routing.enable(cpu, vm);
  }

  /** An abort for the guest, an external one unless another is given. One whose vector aborts in turn, for ever, is stopped. */
  #abort(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit, fault: AccessFault | null = null): void {
    const { cells } = vcpu.vm;
    cells.faults = cells.faultAt === exit.pc ? cells.faults + 1 : 0;
    cells.faultAt = exit.pc;
    if (cells.faults >= ENDLESS) {
      this.#halt(vcpu.vm, "stopped", `aborts without end at 0x${exit.pc.toString(16)}`);
      return;
    }
    cpu.injectAbort(fault);
  }

  /** A vector that faults within the guest causes no exits (`#abort` counts those that do): it is seen when the CPU is taken from it, twice at the same place. */
  #lookAtVector(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): void {
    if (!cpu.faultsAtVector) return;
    const { cells } = vcpu.vm;
    if (cells.faultAt !== exit.pc) {
      cells.faultAt = exit.pc;
      cells.faults = 0;
    } else if (cells.faults === 0) {
      this.#halt(vcpu.vm, "stopped", `its vector at 0x${exit.pc.toString(16)} faults without end`);
    }
  }

  #halt(vm: Vm, state: "off" | "stopped", reason: string): void {
    this.#deadlines.lookAgain();
    this.life.halt(vm, state, reason);
  }

  // --- interrupts

  #takeInterrupts(cpu: PhysicalCpu, vcpu: Vcpu | null): void {
    for (let n = 0; n < 64; n++) {
      const acknowledged = this.interrupts.acknowledge(cpu);
      const id = acknowledged & 0x3ff;
      if (id >= 1020) return;
      if (id === HYPERVISOR_TIMER) {
        cpu.setTimer(NEVER);
        (this.#cpus[cpu.index] as PerCpu).cells.armed = NEVER;
      }
      this.interrupts.drop(cpu, acknowledged);
      if (id < 16 || id === HYPERVISOR_TIMER || id === MAINTENANCE) this.interrupts.deactivate(cpu, acknowledged);
      else if (id === VIRTUAL_TIMER) {
        // stays active until the guest ends it
        if (vcpu === null) this.interrupts.deactivate(cpu, acknowledged);
        else {
          vcpu.vm.distributor.latch(vcpu.index, id);
          vcpu.cells.timerTaken = true;
        }
      } else {
        this.#reason = "io";
        const ours = this.#isOurs(cpu, id);
        const passed = !ours && this.routing.passOn(id);
        this.#reason = "event";
        if (passed) continue; // the guest's to end
        this.interrupts.deactivate(cpu, acknowledged);
        if (!ours) this.interrupts.enable(cpu, id, false);
      }
    }
  }

  #isOurs(cpu: PhysicalCpu, id: number): boolean {
    for (const service of this.services) if (service.interrupt?.(cpu, id) === true) return true;
    return false;
  }

  /** Something became pending for a vCPU, or no longer is. */
  #interruptChanged(vcpu: Vcpu): void {
    const { cells, vm } = vcpu;
    if (this.#collecting) return;
    if (vm.distributor.best(vcpu.index) >= 256) return;
    const now = this.#now();
    if (cells.waiting < 0) cells.waiting = now;
    const { activity } = vcpu;
    if (activity === "blocked" && vcpu.interface.signals) {
      if (vm.status === "running") this.#wake(vcpu, now, this.#reason);
      return;
    }
    if (cells.on >= 0 && cells.on !== this.#inside?.index) this.#kick(cells.on);
    // a policy may let who has a completion waiting go first
    if (this.#reason === "io" && activity === "runnable" && vm.status === "running") {
      this.dispatcher.wake(vcpu, now, this.#reason);
    }
  }

  #wake(vcpu: Vcpu, now: Time, reason: string): void {
    this.#deadlines.withdraw(vcpu, now);
    vcpu.activity = "runnable";
    this.dispatcher.wake(vcpu, now, reason);
  }
  readonly #wakeByTimer = (vcpu: Vcpu): void => this.#wake(vcpu, this.#now(), "timer");

  // --- which vCPU next

  #goOn(cpu: PhysicalCpu, per: PerCpu): void {
    const from = this.#vcpus[per.cells.vcpu] ?? null;
    const { dispatcher, costs } = this;
    if (dispatcher.due(cpu.index, cpu.time)) cpu.spend(costs.schedule);
    let next = dispatcher.dispatch(cpu.index, cpu.time) as Vcpu | null;
    if (next !== null && next.cells.on >= 0 && next.cells.on !== cpu.index) {
      // still on another CPU, which is about to leave it
      this.#kick(next.cells.on);
      next = null;
    }
    if (next !== from) {
      if (from !== null) this.#unload(cpu, per, from);
      if (next !== null) this.#load(cpu, per, next);
    }
    this.#arm(cpu, per);
    if (next === null) {
      cpu.sleep();
      return;
    }
    this.routing.retractTimer(cpu, next);
    const { cells } = next;
    const before = next.interfaceState.used;
    if (next.interface.present(cpu) > before) cpu.spend(costs.injection);
    if (cells.waiting >= 0) {
      const waited = cpu.time - cells.waiting;
      cells.presented++;
      cells.latency += waited;
      cells.longest = Math.max(cells.longest, waited);
      cells.waiting = -1;
    }
    cpu.spend(costs.exitEntry / 2);
  }

  #arm(cpu: PhysicalCpu, per: PerCpu): void {
    const at = Math.min(this.dispatcher.deadline(cpu.index), this.#deadlines.next(cpu.index, cpu.time));
    if (at === per.cells.armed) return;
    per.cells.armed = at;
    cpu.setTimer(at);
  }

  #load(cpu: PhysicalCpu, per: PerCpu, vcpu: Vcpu): void {
    const { vm, cells } = vcpu;
    cpu.spend(this.costs.worldSwitch);
    if (per.cells.last !== vcpu.id) {
      if (per.cells.last >= 0) cpu.spend(this.costs.cacheRefill);
      per.cells.last = vcpu.id;
    }
    this.#deadlines.withdraw(vcpu, cpu.time);
    if (cells.home !== cpu.index) this.#deadlines.moved();
    cells.on = cpu.index;
    cells.home = cpu.index;
    cells.timer = NEVER;
    this.#deadlines.enter(vcpu, cpu.time);
    per.cells.vcpu = vcpu.id;
    cpu.load(vcpu.context, vm.stage2.root(this.options.physicalAddressSize));
    vcpu.interface.load(cpu);
    if (this.routing.timerInFlight(vcpu)) this.interrupts.setActive(cpu, VIRTUAL_TIMER, true);
    for (const service of this.services) service.switched?.(cpu, vm);
  }

  #unload(cpu: PhysicalCpu, per: PerCpu, vcpu: Vcpu): void {
    const { cells } = vcpu;
    vcpu.interface.unload(cpu);
    if (this.routing.timerInFlight(vcpu)) this.interrupts.setActive(cpu, VIRTUAL_TIMER, false);
    cpu.unload();
    cells.on = -1;
    per.cells.vcpu = -1;
    cells.timer = vcpu.context.timerDeadline;
    this.#deadlines.enter(vcpu, cpu.time);
    for (const service of this.services) service.switched?.(cpu, vcpu.vm);
  }

  protected override onReset(): void {
    this.life.asked = true;
    this.#deadlines.lookAgain();
  }
  protected override onRestore(): void {
    this.life.asked = true;
    this.#deadlines.lookAgain();
    for (const { cpu } of this.#cpus) cpu.handler = this;
  }
}
