/** The GIC under test, with lines to its inputs and both its frames at hand. */
import { Transaction } from "../../../src/bus/index.ts";
import { GICC, GICD, GicVirtualization, Gicv2, type Gicv2Options } from "../../../src/devices/gicv2/index.ts";
import { type GuestError, type Line, Module, Simulation } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

/** Stands for the devices whose lines go to the GIC. */
class Pins extends Module {
  readonly spi: Line[];
  readonly ppi: Line[][];

  constructor(simulation: Simulation, gic: Gicv2) {
    super(simulation, "pins");
    this.spi = Array.from({ length: gic.interrupts - 32 }, (_, n) => {
      const line = this.line(`spi${n}`);
      line.connect(gic.spi(n));
      return line;
    });
    this.ppi = Array.from({ length: gic.cpus }, (_, cpu) =>
      Array.from({ length: 16 }, (_, n) => {
        const line = this.line(`cpu${cpu}ppi${n + 16}`);
        line.connect(gic.ppi(cpu, n + 16));
        return line;
      }),
    );
  }
}

function factory(options: Gicv2Options, declared: boolean): DeviceFactory {
  return (simulation) => {
    const module = new Gicv2(simulation, "gic", options);
    const pins = new Pins(simulation, module);
    const { cpus } = module;
    return {
      module,
      targets: [
        { name: "distributor", target: module.distributor, size: 0x1000, cpus, declaration: GICD },
        { name: "cpuInterface", target: module.cpuInterface, size: 0x2000, cpus, declaration: GICC },
      ],
      ...(declared
        ? {}
        : {
            stimulate: (random) => {
              const level = random.below(2) === 1;
              if (random.below(4) === 0) pins.ppi[random.below(cpus)]?.[random.below(16)]?.set(level);
              else pins.spi[random.below(pins.spi.length)]?.set(level);
            },
          }),
    };
  };
}

export const buildGic = factory({ cpus: 4 }, true);
export const buildGicDriven = factory({ cpus: 4 }, false);
export const buildGicSecure = factory({ cpus: 2, spis: 64, securityExtensions: true, priorityBits: 8 }, false);

/** GICH and GICV with a GIC behind them. */
export const buildVirtualization: DeviceFactory = (simulation) => {
  const gic = new Gicv2(simulation, "gic", { cpus: 2, spis: 32 });
  const module = new GicVirtualization(simulation, "gicVirtual", gic);
  const tx = new Transaction();
  return {
    module,
    targets: [
      { name: "hypervisor", target: module.hypervisor, size: 0x1000, cpus: 2 },
      { name: "virtualCpu", target: module.virtualCpu, size: 0x2000, cpus: 2 },
    ],
    // List registers that can be signalled, which random words hardly ever make, and a guest that takes interrupts.
    stimulate: (random) => {
      tx.cpu = random.below(2);
      const act = random.below(4);
      if (act === 0) {
        const list = ((random.uint32() & 0xcf8803ff) | (1 << 28)) >>> 0;
        module.hypervisor.write(0x100 + 4 * random.below(4), 4, list, tx);
        module.hypervisor.write(0x000, 4, (random.below(256) | 1) >>> 0, tx);
        module.virtualCpu.write(0x004, 4, 0xf8, tx);
        module.virtualCpu.write(0x000, 4, 7 | (random.below(2) << 9), tx);
      } else {
        const taken = module.virtualCpu.read(0x00c, 4, tx);
        if (act === 1) module.virtualCpu.write(0x010, 4, taken, tx);
        if (act === 2) module.virtualCpu.write(0x1000, 4, taken, tx);
      }
    },
  };
};
export const devices = {
  gicv2: buildGicDriven,
  "gicv2-secure": buildGicSecure,
  "gicv2-virtualization": buildVirtualization,
};

/** A GIC with shorthand for what software does. Accesses are Secure unless `secure` is set to false. */
export class GicBench {
  readonly simulation = new Simulation();
  readonly gic: Gicv2;
  readonly pins: Pins;
  readonly errors: GuestError[] = [];
  secure = true;
  readonly #tx = new Transaction();

  constructor(options: Gicv2Options = {}) {
    this.gic = new Gicv2(this.simulation, "gic", options);
    this.pins = new Pins(this.simulation, this.gic);
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
    this.simulation.reset();
  }

  /** Reads the distributor. */
  rd(offset: number, cpu = 0, size = 4): number {
    return this.gic.distributor.read(offset, size, this.#by(cpu));
  }
  wd(offset: number, value: number, cpu = 0, size = 4): void {
    this.gic.distributor.write(offset, size, value, this.#by(cpu));
  }
  /** Reads the CPU interface. */
  rc(offset: number, cpu = 0): number {
    return this.gic.cpuInterface.read(offset, 4, this.#by(cpu));
  }
  wc(offset: number, value: number, cpu = 0): void {
    this.gic.cpuInterface.write(offset, 4, value, this.#by(cpu));
  }

  iar(cpu = 0): number {
    return this.rc(0x00c, cpu);
  }
  eoi(value: number, cpu = 0): void {
    this.wc(0x010, value, cpu);
  }
  irq(cpu = 0): boolean {
    return this.gic.irq[cpu]?.level ?? false;
  }
  fiq(cpu = 0): boolean {
    return this.gic.fiq[cpu]?.level ?? false;
  }

  /** Distributor and all CPU interfaces on, for Group 0 (or as `groups` says), all priorities unmasked. */
  on(groups = 1, control = groups): this {
    this.wd(0x000, groups);
    for (let cpu = 0; cpu < this.gic.cpus; cpu++) {
      this.wc(0x004, 0xff, cpu);
      this.wc(0x000, control, cpu);
    }
    return this;
  }

  /** Enables interrupt `id` at `priority`, a shared one for the CPUs `targets`. */
  enable(id: number, priority = 0xa0, targets = 1, cpu = 0): void {
    this.wd(0x400 + id, priority, cpu, 1);
    if (id >= 32) this.wd(0x800 + id, targets, cpu, 1);
    this.wd(0x100 + 4 * (id >> 5), (1 << (id & 31)) >>> 0, cpu);
  }

  /** Makes interrupt `id` edge-triggered. */
  edge(id: number): void {
    const at = 0xc00 + 4 * (id >> 4);
    this.wd(at, (this.rd(at) | (2 << (2 * (id & 15)))) >>> 0);
  }

  bit(offset: number, id: number, cpu = 0): number {
    return (this.rd(offset + 4 * (id >> 5), cpu) >>> (id & 31)) & 1;
  }
  pending(id: number, cpu = 0): number {
    return this.bit(0x200, id, cpu);
  }
  active(id: number, cpu = 0): number {
    return this.bit(0x300, id, cpu);
  }

  #by(cpu: number): Transaction {
    this.#tx.cpu = cpu;
    this.#tx.secure = this.secure;
    return this.#tx;
  }
}
