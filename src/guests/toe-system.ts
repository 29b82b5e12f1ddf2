/**
 * A machine of abstract CPUs with a TOE on its platform bus, a host at the other end of the link, and VMs that have an interface of their own ("direct"), an
 * emulated one ("emulated"), or the machine to themselves ("native").
 *
 * Native is the same with a hypervisor whose work takes no time: abstract CPUs take interrupts to EL2 always, so something has to hand them on. What is left
 * of it is 100 ps an exit.
 */
import { virtPart } from "../../platform/virt/board.ts";
import type { ToeCore } from "../devices/toe/index.ts";
import { AbstractHypervisor } from "../hypervisor/abstract/core.ts";
import { AbstractMachine, type GuestProgram } from "../hypervisor/abstract/index.ts";
import { type CostTable, costTable } from "../hypervisor/costs.ts";
import { createScheduler, type DomainParameters, type SchedulerOptions } from "../hypervisor/scheduler/index.ts";
import { HypervisorSmmu } from "../hypervisor/smmu.ts";
import { ToeService, type ToeServiceOptions, toeAddress } from "../hypervisor/toe/service.ts";
import type { Vm } from "../hypervisor/vm.ts";
import { Link } from "../net/index.ts";
import { NS, type Simulation, US } from "../sim/index.ts";
import { ToePeer } from "./toe-peer.ts";

export type ToeMode = "native" | "emulated" | "direct";
export const TOE_MODES: readonly ToeMode[] = ["native", "direct", "emulated"];

/** What a hypervisor does, without which the machine is the guest's own. */
const NO_HYPERVISOR: Partial<CostTable> = {
  exitEntry: 0,
  emulation: 0,
  fastEmulation: 0,
  injection: 0,
  hypercall: 0,
  forwardCommand: 0,
  forwardCompletion: 0,
  worldSwitch: 0,
  schedule: 0,
  cacheRefill: 0,
};

/** Mb/s and delay of the link, one way. */
const LINK_RATE = 10_000_000_000;
const LINK_DELAY = US;

export interface ToeSystemOptions {
  readonly mode: ToeMode;
  readonly cpus?: number;
  /** Cycles a second; 1 GHz unless given. */
  readonly frequency?: number;
  readonly costs?: Partial<CostTable>;
  readonly scheduler?: string;
  readonly schedulerOptions?: SchedulerOptions;
  readonly service?: ToeServiceOptions;
  /** Interfaces of the TOE; 8 unless given. */
  readonly interfaces?: number;
  readonly seed?: number;
}

export interface ToeVmOptions {
  readonly program: GuestProgram;
  /** Bytes, a multiple of 2 MiB. */
  readonly memory: number;
  /** Of its interface in the dispatcher; 1 unless given. */
  readonly weight?: number;
  readonly scheduling?: DomainParameters;
  readonly affinity?: number;
}

export class ToeSystem {
  readonly machine: AbstractMachine;
  readonly hypervisor: AbstractHypervisor;
  readonly toe: ToeCore;
  readonly peer: ToePeer;
  readonly link: Link;
  readonly vms: Vm[] = [];
  readonly #service: ToeService;
  readonly #mode: ToeMode;
  #addresses = 0;

  constructor(options: ToeSystemOptions) {
    const { mode, cpus = 1, frequency = 1_000_000_000, interfaces = 8, scheduler = "round-robin", seed = 1 } = options;
    this.#mode = mode;
    const costs = costTable({ ...options.costs, ...(mode === "native" ? NO_HYPERVISOR : {}) });
    const machine = new AbstractMachine({ cpus, frequency, costs, seed, iommu: "smmuv3", toe: { interfaces } });
    this.machine = machine;
    const { simulation } = machine;
    this.toe = machine.toe as ToeCore;
    // the device paces its own frames; the link does so for the peer
    const link = new Link(simulation, "link", { rate: LINK_RATE, delay: LINK_DELAY, queue: 100_000 });
    this.link = link;
    this.peer = new ToePeer(simulation, "peer", (frame) => link.send(1, frame));
    link.attach(0, this.toe);
    link.attach(1, this.peer);
    this.toe.onTransmit = (frame) => void link.send(0, frame);
    this.hypervisor = new AbstractHypervisor(machine, createScheduler(scheduler, cpus, options.schedulerOptions ?? {}));
    const { hypervisor } = this.hypervisor;
    this.#service = new ToeService(hypervisor, machine, options.service);
    const { base, interrupts } = virtPart("smmu");
    hypervisor.services.push(
      new HypervisorSmmu(hypervisor, "smmu", {
        base,
        eventSpi: interrupts.find((i) => i.line === "eventq")?.number ?? 0,
        pool: hypervisor.options.pool,
        physicalAddressSize: hypervisor.options.physicalAddressSize,
        own: ToeService.streams,
      }),
    );
  }

  get simulation(): Simulation {
    return this.machine.simulation;
  }

  /** A VM with an interface: 10.0.0.(n + 1)/24 for the nth, from 0 on; direct ones have interface n + 1. All before the machine runs. */
  add({ program, memory, weight, scheduling, affinity }: ToeVmOptions): Vm {
    const address = toeAddress(`10.0.0.${++this.#addresses}/24`);
    if (address === null) throw new RangeError("too many VMs");
    const region = this.#service.region(this.#mode === "emulated" ? "trap" : "pass", {
      addresses: [address],
      ...(weight === undefined ? {} : { weight }),
    });
    return this.#define(program, memory, [region], scheduling, affinity);
  }

  /** A VM without one. */
  addOther(program: GuestProgram, scheduling?: DomainParameters): Vm {
    return this.#define(program, 2 ** 21, [], scheduling, undefined);
  }

  #define(
    program: GuestProgram,
    memory: number,
    regions: readonly ReturnType<ToeService["region"]>[],
    scheduling: DomainParameters | undefined,
    affinity: number | undefined,
  ): Vm {
    const vm = this.hypervisor.add({
      name: program.name,
      program,
      memory,
      regions,
      ...(scheduling === undefined ? {} : { scheduling }),
      ...(affinity === undefined ? {} : { affinity: [affinity] }),
    });
    this.vms.push(vm);
    return vm;
  }

  /** Runs in steps of `step`, calling `look` after each. */
  watch(until: number, step: number, look: () => void): void {
    const { simulation } = this;
    const least = Math.max(step, NS);
    for (let at = simulation.now + least; at <= until; at += least) {
      simulation.run(at);
      look();
    }
  }
}
