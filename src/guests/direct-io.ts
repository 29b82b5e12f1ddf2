/**
 * One guest with a network interface of its own and others that burn: what bandwidth the first keeps, by scheduler and load (the setting of adjustable credit
 * scheduling, CLUSTER 2012: direct I/O under a loaded processor).
 */
import { AbstractHypervisor, AbstractMachine, type GuestProgram } from "../hypervisor/abstract/index.ts";
import { type CostTable, costTable } from "../hypervisor/costs.ts";
import { hypervisorTotals } from "../hypervisor/report.ts";
import { createScheduler, type DomainParameters, type SchedulerOptions } from "../hypervisor/scheduler/index.ts";
import type { Vcpu } from "../hypervisor/vcpu.ts";
import { type Event, Module, MS, SEC, type Simulation, type Time } from "../sim/index.ts";
import { acknowledge, enableGic, enableInterrupt, endOfInterrupt, SPURIOUS } from "./gic.ts";
import { bytesOf, IdealNic, NIC, packet, passedNic } from "./ideal-nic.ts";
import { burn, FRAME_BYTES, type PacketCost, STREAM } from "./programs.ts";
import { GIC_DISTRIBUTOR, GIC_INTERFACE, NIC_BASE } from "./split-driver.ts";

const NIC_ADDRESS = 0x0b00_0000;
const NIC_SPI = 200;

export interface DirectIoOptions {
  /** Guests that burn beside the one that receives. */
  readonly hogs: number;
  readonly scheduler: string;
  readonly schedulerOptions?: SchedulerOptions;
  readonly ioGuest?: DomainParameters;
  readonly hog?: DomainParameters;
  readonly cpus?: number;
  /** Cycles a second; 2.8 GHz unless given. */
  readonly frequency?: number;
  readonly costs?: Partial<CostTable>;
  /** Frames of 1514 bytes a second; line rate of 1 Gb/s unless given. */
  readonly framesPerSecond?: number;
  /** Frames that the interface holds; 512 unless given. */
  readonly slots?: number;
  /** Least time between two of its interrupts; 124.928 us (ITR 488 of an 82576 VF, some 8,000 a second) unless given. No fraction of the 10 ms tick, which would never see the guest run. */
  readonly interval?: Time;
  /** Simulated time measured, and before that; 5 s and 1 s unless given. */
  readonly duration?: Time;
  readonly warmUp?: Time;
  readonly seed?: number;
}

export interface DirectIoResult {
  readonly bitsPerSecond: number;
  /** Part of the frames offered that was lost. */
  readonly lost: number;
  /** Share of one CPU that the receiver and each hog had. */
  readonly receiver: number;
  readonly hogs: readonly number[];
  readonly worldSwitches: number;
  readonly exits: number;
}

/** Frames at a fixed rate. */
class Line extends Module {
  readonly #nic: IdealNic;
  readonly #period: number;
  readonly #next: Event;
  readonly #cells = this.state({ sent: 0 });

  constructor(simulation: Simulation, nic: IdealNic, rate: number) {
    super(simulation, "wire");
    this.#nic = nic;
    this.#period = SEC / rate;
    this.#next = this.event("frame", () => this.#send());
    this.#next.scheduleAt(1);
  }
  get sent(): number {
    return this.#cells.sent;
  }
  #send(): void {
    this.#nic.receive(packet(0, STREAM, FRAME_BYTES), ++this.#cells.sent);
    this.#next.scheduleAt(1 + Math.round(this.#cells.sent * this.#period));
  }
}

/** Takes what the interface has received, 64 frames between two looks at the clock, and tells `taken` of each. */
export function receiver(cost: PacketCost, taken: (bytes: number) => void, interrupt: number): GuestProgram {
  return {
    name: "receiver",
    *main(g) {
      yield* enableInterrupt(g, GIC_DISTRIBUTOR, interrupt, "level");
      yield* enableGic(g, GIC_INTERFACE);
      g.unmask();
      for (;;) {
        while ((yield g.load(NIC_BASE + NIC.COUNT)) > 0) {
          const bytes = bytesOf(yield g.load(NIC_BASE + NIC.HEADER));
          yield g.store(NIC_BASE + NIC.POP, 0);
          yield g.compute(cost.cyclesPerPacket + cost.cyclesPerByte * bytes);
          taken(bytes);
        }
        g.mask();
        yield g.store(NIC_BASE + NIC.ENABLE, 1);
        if ((yield g.load(NIC_BASE + NIC.COUNT)) === 0) yield g.wait();
        g.unmask();
        yield g.compute(10);
      }
    },
    *interrupt(g) {
      const id = yield* acknowledge(g, GIC_INTERFACE);
      if (id >= SPURIOUS) return;
      if (id === interrupt) yield g.store(NIC_BASE + NIC.ENABLE, 0);
      yield* endOfInterrupt(g, GIC_INTERFACE, id);
    },
  };
}

export function runDirectIo(options: DirectIoOptions): DirectIoResult {
  const { hogs, cpus = 1, frequency = 2_800_000_000, duration = 5 * SEC, warmUp = 1000 * MS } = options;
  const costs = costTable(options.costs);
  const machine = new AbstractMachine({ cpus, frequency, costs, seed: options.seed ?? 1 });
  const { simulation } = machine;
  const nic = new IdealNic(simulation, "nic", options.slots ?? 512, options.interval ?? 1_249_280);
  machine.bus.map({ name: "nic", base: NIC_ADDRESS, size: 0x1000, target: nic });
  nic.interrupt.connect(machine.gic.spi(NIC_SPI));
  const guests = new AbstractHypervisor(
    machine,
    createScheduler(options.scheduler, cpus, options.schedulerOptions ?? {}),
  );
  const line = new Line(simulation, nic, options.framesPerSecond ?? 1e9 / 8 / (FRAME_BYTES + 24));
  const count = { bytes: 0 };
  const cost = { cyclesPerByte: costs.receiveGuest, cyclesPerPacket: 2000 };
  const take = (bytes: number): void => {
    count.bytes += bytes;
  };
  const io = guests.add({
    name: "receiver",
    program: receiver(cost, take, 32 + NIC_SPI),
    regions: [passedNic(NIC_BASE, NIC_ADDRESS, NIC_SPI)],
    ...(options.ioGuest ? { scheduling: options.ioGuest } : {}),
  });
  const all = [io];
  for (let n = 0; n < hogs; n++) {
    const scheduling = options.hog ? { scheduling: options.hog } : {};
    all.push(guests.add({ name: `hog${n}`, program: burn(), ...scheduling }));
  }
  const { hypervisor } = guests;
  simulation.run(warmUp);
  const running = () => all.map((vm) => hypervisor.dispatcher.account(vm.vcpus[0] as Vcpu, simulation.now).running);
  const before = {
    bytes: count.bytes,
    sent: line.sent,
    dropped: nic.dropped,
    running: running(),
    ...hypervisorTotals(hypervisor),
  };
  simulation.run(warmUp + duration);
  const after = hypervisorTotals(hypervisor);
  const shares = running().map((n, i) => (n - (before.running[i] as number)) / duration);
  return {
    bitsPerSecond: ((count.bytes - before.bytes) * 8 * SEC) / duration,
    lost: (nic.dropped - before.dropped) / (line.sent - before.sent),
    receiver: shares[0] as number,
    hogs: shares.slice(1),
    worldSwitches: after.worldSwitches - before.worldSwitches,
    exits: after.exits - before.exits,
  };
}
