/**
 * The machine of the studies on SR-IOV scalability (Dong et al., HPCA 2010): 82576 ports behind root ports, their virtual functions passed to VMs, packets from the wire at the rate
 * of each link. There is no SMMU: guests know their machine addresses, as paravirtual ones do.
 */
import { GICV2M_BASE_SPI, PCIE, RAM_BASE, virtPart } from "../../platform/virt/board.ts";
import { Transaction } from "../bus/index.ts";
import { I82576Device } from "../devices/i82576/index.ts";
import { AbstractHypervisor, AbstractMachine, type GuestProgram } from "../hypervisor/abstract/index.ts";
import { type CostTable, costTable } from "../hypervisor/costs.ts";
import { hypervisorTotals } from "../hypervisor/report.ts";
import { createScheduler, type SchedulerOptions } from "../hypervisor/scheduler/index.ts";
import type { RegionOptions, Vm } from "../hypervisor/vm.ts";
import { makeRootPort } from "../pcie/index.ts";
import { type Event, Module, MS, SEC, type Simulation, type Time } from "../sim/index.ts";
import { acknowledge, enableGic, enableInterrupt, endOfInterrupt, SPURIOUS } from "./gic.ts";
import { mailboxServer } from "./igb-mailbox.ts";
import { IgbVf } from "./igbvf.ts";

const GIC_DISTRIBUTOR = virtPart("gicd").base;
const GIC_INTERFACE = virtPart("gicc").base;
/** Where a guest sees its virtual function, and its SPI. */
const VF_BASE = 0x1000_0000;
const VF_SPI = 16;
const MSI_ADDRESS = virtPart("gicv2m").base + 0x40;
/** Auto-negotiation and link training. */
const LINK_UP = 2 * SEC;

export interface SriovOptions {
  /** 1 to 10. */
  readonly ports: number;
  /** Of each port, 1 to 6. */
  readonly functions: number;
  readonly cpus?: number;
  readonly frequency?: number;
  readonly costs?: Partial<CostTable>;
  readonly scheduler?: string;
  readonly schedulerOptions?: SchedulerOptions;
  /** Bytes of each frame without check sequence; 1514 unless given. */
  readonly frameBytes?: number;
  /** Frames a second on each link; line rate of 1 Gb/s unless given. */
  readonly framesPerSecond?: number;
  /** Least time between interrupts of a VF in microseconds; 125 unless given. */
  readonly interval?: number;
  /** Guests send back every packet; false unless given. */
  readonly echo?: boolean;
  readonly seed?: number;
}

export interface SriovResult {
  /** Packets that guests have taken, and bits of payload a second, in the time measured. */
  readonly packets: number;
  readonly bitsPerSecond: number;
  readonly offered: number;
  readonly echoed: number;
  /** Share of all CPUs' time in guests and at EL2. */
  readonly guestShare: number;
  readonly hypervisorShare: number;
  readonly exits: number;
  readonly worldSwitches: number;
  readonly injections: number;
  readonly perDomain: readonly number[];
}

/** Frames from the far end of each link, to its VFs in turn. */
class Source extends Module {
  readonly sent: Float64Array;
  readonly returned: Float64Array;
  readonly #events: readonly Event[];
  readonly #frames: readonly (readonly Uint8Array[])[];
  readonly #ports: readonly I82576Device[];
  readonly #period: number;
  #from: Time = 0;

  constructor(
    simulation: Simulation,
    ports: readonly I82576Device[],
    frames: readonly (readonly Uint8Array[])[],
    rate: number,
  ) {
    super(simulation, "source");
    this.#ports = ports;
    this.#frames = frames;
    this.#period = SEC / rate;
    const counts = this.state({ sent: new Float64Array(ports.length), returned: new Float64Array(ports.length) });
    this.sent = counts.sent;
    this.returned = counts.returned;
    this.#events = ports.map((_, n) => this.event(`port${n}`, () => this.#send(n)));
    ports.forEach((p, n) => {
      p.core.onTransmit = () => {
        this.returned[n] = (this.returned[n] as number) + 1;
      };
    });
  }

  start(): void {
    this.#from = this.simulation.now;
    for (const event of this.#events) event.scheduleAt(this.#from + 1);
  }

  #send(port: number): void {
    const count = (this.sent[port] as number) + 1;
    const frames = this.#frames[port] as readonly Uint8Array[];
    this.sent[port] = count;
    this.#ports[port]?.core.receive(frames[count % frames.length] as Uint8Array);
    this.#events[port]?.scheduleAt(this.#from + Math.round(count * this.#period));
  }
}

export const macOf = (port: number, vf: number): Uint8Array => Uint8Array.of(2, 0, 0, port, 0, vf + 1);

export class SriovSystem {
  readonly machine: AbstractMachine;
  readonly hypervisor: AbstractHypervisor;
  readonly vms: readonly Vm[];
  /** Packets that each VM has taken. */
  readonly received: Float64Array;
  readonly #options: SriovOptions;
  readonly #source: Source;
  readonly #ports: readonly I82576Device[];
  readonly #tx = new Transaction();
  #echoed = 0;

  /** Builds all and runs it until the links are up and every driver has started. Throws RangeError for options that do not fit. */
  constructor(options: SriovOptions) {
    const { ports, functions, cpus = 8, frameBytes = 1514 } = options;
    if (!(ports >= 1 && ports <= 10)) throw new RangeError(`${ports} ports: expected 1 to 10`);
    if (!(functions >= 1 && functions <= 6)) throw new RangeError(`${functions} functions a port: expected 1 to 6`);
    this.#options = options;
    this.received = new Float64Array(ports * functions);
    const costs = costTable(options.costs);
    this.machine = new AbstractMachine({
      cpus,
      costs,
      frequency: options.frequency ?? 2_800_000_000,
      memory: 512 * 2 ** 20,
      seed: options.seed ?? 1,
    });
    const { machine } = this;
    this.#ports = Array.from({ length: ports }, (_, n) => this.#attach(n));
    this.hypervisor = new AbstractHypervisor(
      machine,
      createScheduler(options.scheduler ?? "round-robin", cpus, options.schedulerOptions ?? {}),
    );
    for (let n = 0; n < ports; n++) this.#configure(n);
    const { simulation } = machine;
    const frames = Array.from({ length: ports }, (_, port) =>
      Array.from({ length: functions }, (_, vf) => frameTo(macOf(port, vf), frameBytes)),
    );
    const rate = options.framesPerSecond ?? 1e9 / 8 / (frameBytes + 24);
    this.#source = new Source(simulation, this.#ports, frames, rate);
    simulation.run(LINK_UP);

    this.hypervisor.add({
      name: "pf",
      program: mailboxServer({
        ports: this.#ports.map((_, n) => registersOf(n)),
        functions,
        address: macOf,
        interval: 100_000,
        looks: 2000,
      }),
      regions: this.#ports.map((_, n): RegionOptions => {
        const base = registersOf(n);
        return { name: `port${n}`, base, size: 0x2_0000, mode: "pass", physical: { base, interrupts: [] } };
      }),
    });
    this.vms = Array.from({ length: ports * functions }, (_, n) => {
      const port = n % ports;
      const vf = Math.floor(n / ports);
      const cpu = n % cpus;
      return this.hypervisor.add({
        name: `vm${n}`,
        program: this.#program(n, () => (this.vms[n] as Vm).physical(RAM_BASE) - RAM_BASE, costs),
        affinity: [1 << cpu],
        regions: [
          {
            name: "vf",
            base: VF_BASE,
            size: 0x4000,
            mode: "pass",
            physical: {
              base: virtualOf(port) + 0x4000 * vf,
              interrupts: [{ guest: VF_SPI, machine: GICV2M_BASE_SPI + n, edge: true }],
            },
          },
        ],
      });
    });
    simulation.run(LINK_UP + 100 * MS);
    this.#source.start();
  }

  /** Runs for `duration` of simulated time: what happened in it. */
  run(duration: Time): SriovResult {
    const { machine } = this;
    const { simulation } = machine;
    const cpus = machine.cpus.cpus;
    const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
    const look = () => ({
      received: this.received.slice(),
      sent: sum(this.#source.sent),
      echoed: this.#echoed,
      guest: sum(cpus.map((c) => c.guestTime)),
      hypervisor: sum(cpus.map((c) => c.hypervisorTime)),
      ...hypervisorTotals(this.hypervisor.hypervisor),
    });
    const before = look();
    simulation.run(simulation.now + duration);
    const after = look();
    const perDomain = [...after.received].map((n, i) => n - (before.received[i] as number));
    const packets = sum(perDomain);
    return {
      packets,
      bitsPerSecond: (packets * (this.#options.frameBytes ?? 1514) * 8 * SEC) / duration,
      offered: after.sent - before.sent,
      echoed: after.echoed - before.echoed,
      guestShare: (after.guest - before.guest) / duration / cpus.length,
      hypervisorShare: (after.hypervisor - before.hypervisor) / duration / cpus.length,
      exits: after.exits - before.exits,
      worldSwitches: after.worldSwitches - before.worldSwitches,
      injections: after.injections - before.injections,
      perDomain,
    };
  }

  #program(n: number, dmaOffset: () => number, costs: CostTable): GuestProgram {
    const echo = this.#options.echo === true;
    const { received } = this;
    const packet = new Uint8Array(2048);
    const back = () => this.#echoed++;
    let due = true;
    return {
      name: `vm${n}`,
      *main(g) {
        const vf = new IgbVf({
          base: VF_BASE,
          memory: RAM_BASE + 0x8_0000,
          dmaOffset: dmaOffset(),
          descriptors: 128,
        });
        yield* enableInterrupt(g, GIC_DISTRIBUTOR, 32 + VF_SPI, "edge");
        yield* enableGic(g, GIC_INTERFACE);
        if ((yield* vf.reset(g)) === null) return;
        yield* vf.start(g);
        g.unmask();
        for (;;) {
          let taken = 0;
          for (;;) {
            const length = yield* vf.receive(g, echo ? packet : null);
            if (length < 0) break;
            taken++;
            received[n] = (received[n] as number) + 1;
            yield g.compute(costs.receiveGuest * length);
            if (echo) {
              packet.copyWithin(0, 6, 12);
              if (yield* vf.transmit(g, packet.subarray(0, length))) back();
            }
          }
          if (taken > 0) {
            if (echo) yield* vf.flush(g);
            continue;
          }
          yield* vf.unmaskInterrupt(g);
          g.mask();
          if (!due) yield g.wait();
          due = false;
          g.unmask();
          yield g.compute(10);
        }
      },
      *interrupt(g) {
        const id = yield* acknowledge(g, GIC_INTERFACE);
        if (id >= SPURIOUS) return;
        due = true;
        yield* endOfInterrupt(g, GIC_INTERFACE, id);
      },
    };
  }

  // --- what firmware does

  #attach(n: number): I82576Device {
    const { pcie, arena } = this.machine;
    const port = makeRootPort(pcie, `rp${n}`, { arena, root: pcie, slot: n });
    pcie.bus.attach(port, 1 + n);
    const device = new I82576Device(pcie, `eth${n}`, { arena, mac: Uint8Array.of(2, 0, 0, n, 1, 0) });
    port.below.attach(device.function, 0);
    return device;
  }

  #write(address: number, value: number, size = 4): void {
    this.machine.bus.write(address, size, value >>> 0, this.#tx);
  }
  #config(bus: number, place: number, offset: number, value: number, size = 4): void {
    this.#write(PCIE.ecam.base + bus * 0x10_0000 + place * 0x1000 + offset, value, size);
  }

  /** Root port and PF: buses, windows, BARs, VFs, MSI-X of VFs; registers of the PF for VMDq with one pool a VF. */
  #configure(n: number): void {
    const { functions, ports } = this.#options;
    const bus = n + 1;
    const rootPort = (1 + n) << 3;
    const registers = registersOf(n);
    const virtual = virtualOf(n);
    const window = registers >>> 16;
    const prefetchable = (virtual % 2 ** 32) >>> 16;
    const top = Math.floor(virtual / 2 ** 32);
    this.#config(0, rootPort, 0x18, (bus << 16) | (bus << 8));
    this.#config(0, rootPort, 0x20, ((window << 16) | window) >>> 0);
    this.#config(0, rootPort, 0x24, ((prefetchable << 16) | prefetchable | 0x0001_0001) >>> 0);
    this.#config(0, rootPort, 0x28, top);
    this.#config(0, rootPort, 0x2c, top);
    this.#config(0, rootPort, 0x04, 7, 2);
    this.#config(0, rootPort, 0x54 + 0x28, 0x20, 2); // ARI forwarding
    this.#config(bus, 0, 0x10, registers);
    this.#config(bus, 0, 0x1c, registers + 0x2_0000);
    this.#config(bus, 0, 0x04, 6, 2);
    const sriov = 0x160;
    this.#config(bus, 0, sriov + 0x24, virtual % 2 ** 32);
    this.#config(bus, 0, sriov + 0x28, top);
    this.#config(bus, 0, sriov + 0x30, (virtual + 0x2_0000) % 2 ** 32);
    this.#config(bus, 0, sriov + 0x34, top);
    this.#config(bus, 0, sriov + 0x10, functions, 2);
    this.#config(bus, 0, sriov + 0x08, 0x19, 2);
    for (let vf = 0; vf < functions; vf++) {
      const table = virtual + 0x2_0000 + 0x4000 * vf;
      const place = 0x80 + 2 * vf;
      this.#config(bus, place, 0x04, 6, 2);
      this.#write(table, MSI_ADDRESS);
      this.#write(table + 4, 0);
      this.#write(table + 8, 32 + GICV2M_BASE_SPI + vf * ports + n);
      this.#write(table + 12, 0);
      this.#config(bus, place, 0x72, 0x8000, 2);
    }
    const pf = (offset: number, value: number) => this.#write(registers + offset, value);
    pf(0x1514, 0x4000_0011); // GPIE: several MSI-X vectors
    pf(0x5818, 3); // MRQC: VMDq
    pf(0x581c, (0x4000_0000 | (7 << 7)) >>> 0); // VT_CTL: replication, default pool 7
    for (let vf = 0; vf < functions; vf++) {
      const mac = macOf(n, vf);
      const byte = (i: number) => mac[i] as number;
      pf(0x5400 + 8 * (vf + 1), (byte(3) << 24) | (byte(2) << 16) | (byte(1) << 8) | byte(0));
      pf(0x5404 + 8 * (vf + 1), 0x8000_0000 | (1 << (18 + vf)) | (byte(5) << 8) | byte(4));
      pf(0x5ad0 + 4 * vf, 0x8900_2600); // VMOLR
    }
    pf(0x400, 0xa); // TCTL
    pf(0x100, 0x0400_8002); // RCTL
    pf(0x0, 0x241); // CTRL: set link up
  }
}

/** BAR 0 of PF `n`, and the BARs of its VFs. */
function registersOf(n: number): number {
  return PCIE.memory32.base + 0x10_0000 * (n + 1);
}
function virtualOf(n: number): number {
  return PCIE.memory64.base + 0x10_0000 * n;
}

function frameTo(mac: Uint8Array, length: number): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(mac);
  frame.set([2, 0, 0, 0xff, 0, 1, 0x88, 0xb5], 6);
  for (let n = 14; n < length; n++) frame[n] = n & 0xff;
  return frame;
}
