/**
 * Arm Generic Interrupt Controller, architecture version 2.0 (Arm IHI 0048B): distributor and CPU interfaces for 1 to 8 CPUs.
 * Identification, and what the architecture leaves to the implementation, as the CoreLink GIC-400 r0p1 (Arm DDI 0471B).
 *
 * Modelled: SGIs, PPIs and SPIs, level and edge; priorities, preemption, binary points; Groups 0 and 1 with FIQ; priority drop and
 * deactivation apart; active priorities; the Security Extensions (optional), with GICD_NSACR and both views of each register.
 * Not modelled: interrupt bypass (no legacy inputs on any board), CFGSDISABLE (no lockable SPIs). The virtualization frames
 * (GICH, GICV) are a module of their own, `GicVirtualization`.
 *
 * Choices where the architecture leaves one:
 * - SGIs are always enabled. PPIs can be configured as level or edge, a bank a CPU (as on QEMU's `virt`; a GIC-400 has them fixed).
 * - Of several requesters of one SGI the lowest CPU number is acknowledged first; the SGI has one active state, so that a
 *   second requester waits until the first is deactivated.
 * - Equal priorities: the lowest INTID first.
 * - Where the groups' binary points differ, preemption compares the bits that the pending interrupt's binary point leaves.
 * - GICC_HPPIR does not look at GICC_PMR or the running priority; a group disabled in GICC_CTLR hides its interrupt.
 * - A change of GICD_ICFGR, GICD_IGROUPR or GICD_ITARGETSR takes effect at once, also while the interrupt is enabled or pending.
 * - GICC_EOIR of a Group 1 interrupt with AckCtl 0 (UNPREDICTABLE) works, and is recorded. With nothing active, or of an interrupt
 *   that does not exist, it is ignored and recorded; of an interrupt that is not active it still drops the priority. GICC_DIR with EOImode 0 is ignored and
 *   recorded.
 */
import type { Target, Transaction } from "../../bus/index.ts";
import { RegisterBank } from "../../registers/index.ts";
import { type Line, type LineSink, Module, type Simulation } from "../../sim/index.ts";
import { CpuInterface, type CpuInterfaceOptions, cpuInterfaceState } from "./cpu-interface.ts";
import { cpuInterfaceHooks } from "./cpu-interface-registers.ts";
import { Distributor, distributorState, InputLevels, NOTHING_PENDING } from "./distributor.ts";
import { type AccessView, type Complain, distributorHooks } from "./distributor-registers.ts";
import { GICC, GICD } from "./registers.ts";

export interface Gicv2Options {
  /** CPU interfaces, 1 to 8; 1 unless given. */
  readonly cpus?: number;
  /** Shared interrupts, a multiple of 32 up to 992 (of which 988 exist); 256 unless given. */
  readonly spis?: number;
  /** Implemented bits of a priority, 4 to 8; 5 (32 levels) unless given. */
  readonly priorityBits?: number;
  /** The GIC Security Extensions; absent unless true. */
  readonly securityExtensions?: boolean;
}

export class Gicv2 extends Module {
  readonly cpus: number;
  /** Number of INTIDs, the 32 private ones included. */
  readonly interrupts: number;
  readonly distributorRegisters: RegisterBank<typeof GICD>;
  readonly cpuInterfaceRegisters: RegisterBank<typeof GICC>;
  /** The frames on the bus: GICD (4 KiB) and GICC (8 KiB). */
  readonly distributor: Target;
  readonly cpuInterface: Target;
  /** To each CPU: interrupt requests. */
  readonly irq: readonly Line[];
  readonly fiq: readonly Line[];
  /** To each CPU's power controller: an interrupt waits for it, whatever its CPU interface is set to. */
  readonly wake: readonly Line[];
  /** Told of every change of an input: INTID, level, and the CPU of a private one (else -1). For probes; holds no state. */
  onInput: ((id: number, level: boolean, cpu: number) => void) | null = null;
  readonly #view: AccessView = { nonSecure: false };
  readonly #distributor: Distributor;
  readonly #interface: CpuInterface;

  constructor(parent: Module | Simulation, name: string, options: Gicv2Options = {}) {
    super(parent, name);
    const { cpus = 1, spis = 256, priorityBits = 5, securityExtensions = false } = options;
    check(cpus >= 1 && cpus <= 8, `${cpus} CPUs: expected 1 to 8`);
    check(spis >= 0 && spis <= 992 && spis % 32 === 0, `${spis} SPIs: expected a multiple of 32, at most 992`);
    check(priorityBits >= 4 && priorityBits <= 8, `${priorityBits} priority bits: expected 4 to 8`);
    this.cpus = cpus;
    this.interrupts = Math.min(32 + spis, 1020);
    const perCpu = (prefix: string): Line[] => Array.from({ length: cpus }, (_, i) => this.line(`${prefix}${i}`));
    this.irq = perCpu("irq");
    this.fiq = perCpu("fiq");
    this.wake = perCpu("wake");

    const words = spis / 32 + 1;
    const priorityMask = (0xff << (8 - priorityBits)) & 0xff;
    const distributorOptions = { cpus, words, interrupts: this.interrupts, priorityMask };
    const inputs = this.part("inputs", new InputLevels(cpus + words - 1));
    const d = new Distributor(
      distributorOptions,
      this.state(distributorState(distributorOptions), "distributor"),
      inputs,
      (cpu) => this.#update(cpu),
    );
    this.#distributor = d;

    const interfaceOptions: CpuInterfaceOptions = {
      cpus,
      priorityBits,
      controlMask: securityExtensions ? 0x7ff : 0x3ff,
    };
    const source = {
      highest: (cpu: number) => d.best[cpu] as number,
      group: (cpu: number, id: number) => d.groupOf(id, cpu),
      requester: (cpu: number, id: number) => d.sourceOf(id, cpu),
      acknowledge: (cpu: number, id: number) => d.acknowledge(id, cpu),
    };
    this.#interface = new CpuInterface(
      interfaceOptions,
      this.state(cpuInterfaceState(interfaceOptions), "cpuInterfaces"),
      source,
      (cpu, irq, fiq) => {
        (this.irq[cpu] as Line).set(irq);
        (this.fiq[cpu] as Line).set(fiq);
      },
    );

    const complain: Complain = (kind, register, clause, detail) =>
      this.guestError({ kind, register, write: true, clause: `Arm IHI 0048B ${clause}`, detail });
    this.distributorRegisters = this.part(
      "GICD",
      new RegisterBank(this, GICD, distributorHooks(d, this.#view, securityExtensions, complain), { cpus }),
    );
    this.cpuInterfaceRegisters = this.part(
      "GICC",
      new RegisterBank(this, GICC, cpuInterfaceHooks(this.#interface, d, this.#view, complain), { cpus }),
    );
    const frame = (bank: Target): Target => (securityExtensions ? new SecureFrame(bank, this.#view) : bank);
    this.distributor = frame(this.distributorRegisters);
    this.cpuInterface = frame(this.cpuInterfaceRegisters);
    d.rebuild();
  }

  /** The input of shared interrupt `n`, counted from 0 (INTID 32 + n). Throws RangeError when there is none. */
  spi(n: number): LineSink {
    const id = 32 + n;
    if (!Number.isInteger(n) || n < 0 || id >= this.interrupts) {
      throw new RangeError(`${this.fullName}: SPI ${n}: expected 0 to ${this.interrupts - 33}`);
    }
    const stored = this.#distributor.stored(id >>> 5, 0);
    return (level) => {
      this.onInput?.(id, level, -1);
      this.#distributor.input(stored, id & 31, level);
    };
  }

  /** The input of private interrupt `id` (INTID 16 to 31) of CPU `cpu`. Throws RangeError when there is none. */
  ppi(cpu: number, id: number): LineSink {
    if (!Number.isInteger(id) || id < 16 || id > 31 || !(cpu >= 0 && cpu < this.cpus)) {
      throw new RangeError(
        `${this.fullName}: PPI ${id} of CPU ${cpu}: expected INTID 16 to 31, CPU 0 to ${this.cpus - 1}`,
      );
    }
    return (level) => {
      this.onInput?.(id, level, cpu);
      this.#distributor.input(cpu, id, level);
    };
  }

  /** Ends the active state of interrupt `id`, as the virtual CPU interface does for interrupts of the hardware (5.2.2). */
  deactivate(cpu: number, id: number): void {
    this.#distributor.deactivate(id, cpu);
  }

  protected override onReset(): void {
    this.#rebuild();
  }
  protected override onRestore(): void {
    this.#rebuild();
  }

  #rebuild(): void {
    this.#interface.rebuild();
    this.#distributor.rebuild();
  }

  #update(cpu: number): void {
    this.#interface.update(cpu);
    (this.wake[cpu] as Line).set(this.#distributor.best[cpu] !== NOTHING_PENDING);
  }
}

function check(good: boolean, message: string): void {
  if (!good) throw new RangeError(`GICv2: ${message}`);
}

/** A frame of a GIC with the Security Extensions: which view of the registers an access has depends on its security. */
class SecureFrame implements Target {
  readonly accessSizes: number;
  readonly #bank: Target;
  readonly #view: AccessView;

  constructor(bank: Target, view: AccessView) {
    this.accessSizes = bank.accessSizes;
    this.#bank = bank;
    this.#view = view;
  }
  read(offset: number, size: number, tx: Transaction): number {
    this.#view.nonSecure = !tx.secure;
    const value = this.#bank.read(offset, size, tx);
    this.#view.nonSecure = false;
    return value;
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    this.#view.nonSecure = !tx.secure;
    this.#bank.write(offset, size, value, tx);
    this.#view.nonSecure = false;
  }
  /** Debuggers have the Secure view. */
  peek(offset: number, size: number): number {
    return this.#bank.peek(offset, size);
  }
  poke(offset: number, size: number, value: number): void {
    this.#bank.poke(offset, size, value);
  }
}
