/**
 * A machine on which guests with different habits share CPUs and a driver domain's network interface, and what each of them got: the setting of the studies on
 * VMM schedulers and I/O (systems of Ongaro, Cox and Rixner, VEE 2008, and of adjustable credit scheduling, CLUSTER 2012).
 */
import { AbstractHypervisor, AbstractMachine, type GuestProgram } from "../hypervisor/abstract/index.ts";
import { type CostTable, costTable } from "../hypervisor/costs.ts";
import { EventChannels } from "../hypervisor/event-channels.ts";
import { hypervisorTotals } from "../hypervisor/report.ts";
import { createScheduler, type DomainParameters, type SchedulerOptions } from "../hypervisor/scheduler/index.ts";
import type { Vcpu } from "../hypervisor/vcpu.ts";
import type { RegionOptions, Vm } from "../hypervisor/vm.ts";
import { type Event, Module, MS, type Random, SEC, type Simulation, type Time } from "../sim/index.ts";
import { bytesOf, IdealNic, kindOf, packet, passedNic, userOf } from "./ideal-nic.ts";
import { burn, type PacketCost, PING, PING_BYTES, pingResponder, STREAM, streamSender } from "./programs.ts";
import { BACKEND_PORT, backend, type EventScan, NIC_BASE, RING_PAGE, RING_PAGES } from "./split-driver.ts";

/** A free place of the address map, and a free interrupt, for the ideal network interface. */
const NIC_ADDRESS = 0x0b00_0000;
const NIC_SPI = 200;

export type Habit = "burn" | "ping" | "stream";

export interface SchedulingOptions {
  /** What each guest does, in the order of their event-channel ports. */
  readonly guests: readonly Habit[];
  readonly scheduler: string;
  readonly schedulerOptions?: SchedulerOptions;
  /** Parameters of the driver domain and of guests, as the policy knows them. */
  readonly driverDomain?: DomainParameters;
  readonly guest?: DomainParameters;
  readonly scan?: EventScan;
  /** Physical CPUs; 1 unless given. */
  readonly cpus?: number;
  /** Cycles a second; 2.8 GHz unless given. */
  readonly frequency?: number;
  readonly costs?: Partial<CostTable>;
  /** Simulated time measured, and before that; 5 s and 0.5 s unless given. */
  readonly duration?: Time;
  readonly warmUp?: Time;
  /** Mean time between two pings to a guest; 10 ms unless given. */
  readonly pingInterval?: Time;
  readonly seed?: number;
}

export interface Percentiles {
  readonly count: number;
  readonly lost: number;
  /** Times in units of 100 ps; 0 where nothing was measured. */
  readonly minimum: Time;
  readonly mean: Time;
  readonly p50: Time;
  readonly p90: Time;
  readonly p99: Time;
  readonly maximum: Time;
}

export interface GuestResult {
  readonly name: string;
  readonly habit: Habit | "driver domain";
  /** Of the measured time: on a CPU, ready but waiting. */
  readonly running: number;
  readonly waiting: number;
  /** Sent by a stream, in bits a second. */
  readonly bitsPerSecond: number;
  /** Round trip of pings. */
  readonly latency: Percentiles | null;
}

export interface SchedulingResult {
  /** The driver domain first. */
  readonly guests: readonly GuestResult[];
  readonly worldSwitches: number;
  readonly exits: number;
  readonly injections: number;
  readonly dropped: number;
}

/** The far end of the wire: sends pings, counts what comes back. */
class Wire extends Module {
  readonly bytes: Float64Array;
  readonly latencies: number[][];
  readonly sent: Float64Array;
  readonly #nic: IdealNic;
  readonly #interval: Time;
  readonly #random: Random;
  readonly #pings: readonly Event[];
  /** When the pings of each guest, by sequence number modulo 4096, were sent. */
  readonly #at: Float64Array[];
  readonly #next: Float64Array;
  from: Time = 0;

  constructor(simulation: Simulation, nic: IdealNic, habits: readonly Habit[], interval: Time) {
    super(simulation, "wire");
    this.#nic = nic;
    this.#interval = interval;
    this.#random = simulation.random(this, "intervals");
    const counts = this.state({
      bytes: new Float64Array(habits.length),
      sent: new Float64Array(habits.length),
      next: new Float64Array(habits.length),
    });
    this.bytes = counts.bytes;
    this.sent = counts.sent;
    this.#next = counts.next;
    this.latencies = habits.map(() => []);
    this.#at = habits.map(() => new Float64Array(4096));
    this.#pings = habits.map((_, n) => this.event(`ping${n}`, () => this.#ping(n)));
    nic.onSend = (header, sequence) => this.#receive(header, sequence);
    habits.forEach((habit, n) => {
      if (habit === "ping") this.#arm(n);
    });
  }

  /** Uniform from half to one and a half of the interval, so that nothing falls into step. */
  #arm(n: number): void {
    const wait = Math.round(this.#interval * (0.5 + this.#random.uint32() / 2 ** 32));
    this.#pings[n]?.scheduleAt(this.simulation.now + wait);
  }

  #ping(n: number): void {
    const sequence = this.#next[n] as number;
    this.#next[n] = sequence + 1;
    (this.#at[n] as Float64Array)[sequence % 4096] = this.simulation.now;
    this.#nic.receive(packet(n, PING, PING_BYTES), sequence);
    if (this.simulation.now >= this.from) this.sent[n] = (this.sent[n] as number) + 1;
    this.#arm(n);
  }

  #receive(header: number, sequence: number): void {
    const user = userOf(header);
    const { now } = this.simulation;
    if (kindOf(header) === STREAM) {
      if (now >= this.from) this.bytes[user] = (this.bytes[user] as number) + bytesOf(header);
    } else {
      const at = (this.#at[user] as Float64Array)[sequence % 4096] as number;
      if (at >= this.from) this.latencies[user]?.push(now - at);
    }
  }
}

/** Builds the machine, runs it, and tells what everybody got. Throws RangeError for parameters that a policy does not know. */
export function runScheduling(options: SchedulingOptions): SchedulingResult {
  const { guests: habits, cpus = 1, frequency = 2_800_000_000, duration = 5 * SEC, warmUp = 500 * MS } = options;
  const costs = costTable(options.costs);
  const machine = new AbstractMachine({
    cpus,
    frequency,
    costs,
    seed: options.seed ?? 1,
    memory: 256 * 2 ** 20,
  });
  const { simulation } = machine;
  const nic = new IdealNic(simulation, "nic");
  machine.bus.map({ name: "nic", base: NIC_ADDRESS, size: 0x1000, target: nic });
  nic.interrupt.connect(machine.gic.spi(NIC_SPI));
  const scheduler = createScheduler(options.scheduler, cpus, options.schedulerOptions ?? {});
  const virtual = new AbstractHypervisor(machine, scheduler);
  const { hypervisor } = virtual;
  const wire = new Wire(simulation, nic, habits, options.pingInterval ?? 10 * MS);
  const channels = new EventChannels(hypervisor);
  const rings = habits.map((_, n) =>
    channels.share(0x1000, [
      { name: `ring${n}`, base: RING_PAGES + 0x1000 * n },
      { name: "ring", base: RING_PAGE },
    ]),
  );

  const driverCost: PacketCost = { cyclesPerByte: costs.receiveDriverDomain, cyclesPerPacket: 2000 };
  const guestCost: PacketCost = { cyclesPerByte: costs.receiveGuest, cyclesPerPacket: 2000 };
  const driver = virtual.add({
    name: "driver",
    program: backend({
      guests: habits.length,
      scan: options.scan ?? "round-robin",
      interrupt: 32 + NIC_SPI,
      ...driverCost,
    }),
    regions: [
      passedNic(NIC_BASE, NIC_ADDRESS, NIC_SPI),
      channels.events(),
      ...rings.map(([driverView]) => driverView as RegionOptions),
    ],
    ...(options.driverDomain ? { scheduling: options.driverDomain } : {}),
  });
  const programs: { readonly [habit in Habit]: (n: number) => GuestProgram } = {
    burn: () => burn(),
    ping: (n) => pingResponder(n, guestCost),
    stream: (n) => streamSender(n, guestCost),
  };
  const vms = habits.map((habit, n) => {
    const vm = virtual.add({
      name: `${habit}${n}`,
      program: programs[habit](n),
      regions: [channels.events(), rings[n]?.[1] as RegionOptions],
      ...(options.guest ? { scheduling: options.guest } : {}),
    });
    channels.connect(driver, n, vm, BACKEND_PORT);
    return vm;
  });

  wire.from = warmUp;
  simulation.run(warmUp);
  const all = [driver, ...vms];
  const account = (vm: Vm) => ({ ...hypervisor.dispatcher.account(vm.vcpus[0] as Vcpu, simulation.now) });
  const before = all.map(account);
  const counts = hypervisorTotals(hypervisor);
  simulation.run(warmUp + duration);
  const after = all.map(account);
  const ended = hypervisorTotals(hypervisor);
  return {
    guests: all.map((d, i) => {
      const n = i - 1;
      const habit = habits[n];
      const of = (state: "running" | "waiting" | "stolen") =>
        ((after[i]?.[state] ?? 0) - (before[i]?.[state] ?? 0)) / duration;
      return {
        name: d.options.name,
        habit: habit ?? "driver domain",
        running: of("running"),
        waiting: of("waiting") + of("stolen"),
        bitsPerSecond: habit === "stream" ? ((wire.bytes[n] ?? 0) * 8 * SEC) / duration : 0,
        latency: habit === "ping" ? percentiles(wire.latencies[n] ?? [], wire.sent[n] ?? 0) : null,
      };
    }),
    worldSwitches: ended.worldSwitches - counts.worldSwitches,
    exits: ended.exits - counts.exits,
    injections: ended.injections - counts.injections,
    dropped: nic.dropped,
  };
}

/** Of samples in any order; `sent` is how many there could have been. */
export function percentiles(samples: readonly number[], sent: number): Percentiles {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? 0;
  return {
    count: sorted.length,
    lost: Math.max(0, sent - sorted.length),
    minimum: sorted[0] ?? 0,
    mean: sorted.length === 0 ? 0 : Math.round(sorted.reduce((sum, n) => sum + n, 0) / sorted.length),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    maximum: sorted[sorted.length - 1] ?? 0,
  };
}
