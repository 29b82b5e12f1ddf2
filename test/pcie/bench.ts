/** A root complex with RAM, as software sees it: configuration space by ECAM, memory and I/O through the board's windows. */
import { Arena, Memory, Router, Transaction } from "../../src/bus/index.ts";
import {
  makeDownstreamPort,
  makeRootPort,
  makeUpstreamPort,
  type PcieBridge,
  PcieHost,
  type PcieHostOptions,
  PcieTestFunction,
  type StreamTargets,
} from "../../src/pcie/index.ts";
import { type GuestError, Simulation } from "../../src/sim/index.ts";

export const RAM = 0x4000_0000;
export const ECAM = 0x40_1000_0000;
const IO = 0x3eff_0000;

export class PcieBench {
  readonly simulation: Simulation;
  readonly arena = new Arena();
  readonly ram: Memory;
  readonly system: Router;
  readonly host: PcieHost;
  readonly errors: GuestError[] = [];
  readonly transaction = new Transaction();
  /** MSI writes as they reached the doorbell page at 0x0802_0000: [address, value]. */
  readonly messages: [number, number][] = [];

  constructor(dma?: PcieHostOptions["dma"], simulation = new Simulation()) {
    this.simulation = simulation;
    this.ram = new Memory(simulation, "ram", this.arena, { size: 0x10_0000 });
    this.system = new Router(simulation, "system");
    this.host = new PcieHost(simulation, "pcie", { arena: this.arena, dma: dma ?? this.system });
    this.system.map({ name: "ram", base: RAM, size: 0x10_0000, target: this.ram });
    this.system.map({ name: "ecam", base: ECAM, size: 0x1000_0000, target: this.host.ecam });
    const { memory, io } = this.host.bus;
    this.system.map({ name: "memory32", base: 0x1000_0000, size: 0x2eff_0000, target: memory, offset: 0x1000_0000 });
    this.system.map({
      name: "memory64",
      base: 0x80_0000_0000,
      size: 0x80_0000_0000,
      target: memory,
      offset: 0x80_0000_0000,
    });
    this.system.map({ name: "io", base: IO, size: 0x1_0000, target: io });
    this.system.map({
      name: "doorbell",
      base: 0x802_0000,
      size: 0x1000,
      target: {
        accessSizes: 4,
        read: () => 0,
        write: (offset, _size, value) => void this.messages.push([0x802_0000 + offset, value]),
        peek: () => 0,
        poke: () => undefined,
      },
    });
    simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
  }

  read(address: number, size = 4): number {
    this.transaction.response = 0;
    return this.system.read(address, size, this.transaction);
  }
  write(address: number, value: number, size = 4): void {
    this.transaction.response = 0;
    this.system.write(address, size, value, this.transaction);
  }
  /** Configuration register `register` of function "bus:device.function", hexadecimal. */
  config(where: string, register: number, size = 4): number {
    return this.read(placeOf(where) + register, size);
  }
  setConfig(where: string, register: number, value: number, size = 4): void {
    this.write(placeOf(where) + register, value, size);
  }
  io(port: number, size = 4): number {
    return this.read(IO + port, size);
  }
  setIo(port: number, value: number, size = 4): void {
    this.write(IO + port, value, size);
  }
  /** Offset of a capability, found by walking the list; 0 where it is not there. */
  capability(where: string, id: number): number {
    let at = this.config(where, 0x34, 1);
    for (let n = 0; n < 48 && at !== 0; n++) {
      if (this.config(where, at, 1) === id) return at;
      at = this.config(where, at + 1, 1);
    }
    return 0;
  }
  extended(where: string, id: number): number {
    let at = 0x100;
    for (let n = 0; n < 48 && at !== 0; n++) {
      const head = this.config(where, at);
      if ((head & 0xffff) === id) return at;
      at = head >>> 20;
    }
    return 0;
  }
}

function placeOf(where: string): number {
  const m = /^([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/.exec(where);
  if (!m) throw new Error(`"${where}": expected bus:device.function`);
  const [bus, device, fn] = m.slice(1).map((s) => Number.parseInt(s, 16)) as [number, number, number];
  return ECAM + bus * 0x10_0000 + device * 0x8000 + fn * 0x1000;
}

/**
 * Root port 00:01.0, a switch below it with two downstream ports, test functions at 03:00.0 (with `vfs` VFs) and 04:00.0 behind them and
 * at 00:05.0: buses 1 (switch), 2 (inside), 3 and 4. Windows: root port and upstream port 0x1000_0000 to 0x101f_ffff, port 3 the
 * first MiB, port 4 the second; prefetchable 0x80_0000_0000 likewise; I/O 0x1000 to 0x2fff likewise.
 */
export class SwitchBench extends PcieBench {
  readonly rootPort: PcieBridge;
  readonly upstream: PcieBridge;
  readonly ports: readonly [PcieBridge, PcieBridge];
  readonly first: PcieTestFunction;
  readonly second: PcieTestFunction;
  readonly integrated: PcieTestFunction;

  constructor(vfs = 0, simulation?: Simulation, dma?: StreamTargets) {
    super(dma, simulation);
    const { host, arena } = this;
    const port = { arena, root: host };
    this.rootPort = makeRootPort(host, "rp", { ...port, slot: 7 });
    host.bus.attach(this.rootPort, 1);
    this.upstream = makeUpstreamPort(host, "up", port);
    this.rootPort.below.attach(this.upstream, 0);
    this.ports = [makeDownstreamPort(host, "dn0", port), makeDownstreamPort(host, "dn1", port)];
    this.ports.forEach((p, n) => {
      this.upstream.below.attach(p, n);
    });
    this.first = new PcieTestFunction(host, "first", { arena, vfs });
    this.ports[0].below.attach(this.first.function, 0);
    this.second = new PcieTestFunction(host, "second", { arena });
    this.ports[1].below.attach(this.second.function, 0);
    this.integrated = new PcieTestFunction(host, "integrated", { arena });
    host.bus.attach(this.integrated.function, 5);
    this.simulation.reset();
  }

  /** Numbers buses, opens windows, gives BARs addresses and enables everything. */
  enumerate(): this {
    const bridge = (where: string, buses: number, mib: number, mibs: number) => {
      this.setConfig(where, 0x18, buses);
      const memory = (0x1000_0000 + mib * 0x10_0000) >>> 16;
      this.setConfig(where, 0x20, (memory | ((memory + 16 * (mibs - 1)) << 16)) >>> 0);
      const prefetchable = mib << 4;
      this.setConfig(where, 0x24, (prefetchable | ((prefetchable + 16 * (mibs - 1)) << 16)) >>> 0);
      this.setConfig(where, 0x28, 0x80);
      this.setConfig(where, 0x2c, 0x80);
      this.setConfig(where, 0x1c, 0x10 * (mib + 1) + 0x1000 * (mib + mibs), 2);
      this.setConfig(where, 0x30, 0);
      this.setConfig(where, 0x3e, 2, 2);
      this.setConfig(where, 0x04, 7, 2);
    };
    bridge("00:01.0", 0x04_01_00, 0, 2);
    bridge("01:00.0", 0x04_02_01, 0, 2);
    bridge("02:00.0", 0x03_03_02, 0, 1);
    bridge("02:01.0", 0x04_04_02, 1, 1);
    this.setConfig("00:01.0", 0x10, 0x1100_0000);
    this.place("03:00.0", 0x1000_0000, 0, 0x1000);
    this.place("04:00.0", 0x1010_0000, 0x10_0000, 0x2000);
    this.place("00:05.0", 0x1200_0000, 0x100_0000, 0x5000);
    return this;
  }

  /** BAR 0 and 4 at `memory`, BAR 2 at 0x80_0000_0000 + `high`, BAR 1 at I/O address `io`. */
  place(where: string, memory: number, high: number, io: number): void {
    this.setConfig(where, 0x10, memory);
    this.setConfig(where, 0x14, io);
    this.setConfig(where, 0x18, high);
    this.setConfig(where, 0x1c, 0x80);
    this.setConfig(where, 0x20, memory + 0x1000);
    this.setConfig(where, 0x04, 7, 2);
  }
}
