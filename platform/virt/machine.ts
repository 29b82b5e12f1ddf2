/** The `virt` machine: the board's parts as modules on one bus, wired by the board's data, with images put in place at every reset. */
import { Arena, type DecodeErrorPolicy, Memory, Port, Router, type Target, Transaction } from "../../src/bus/index.ts";
import { Cluster } from "../../src/cpu/aarch64/cluster.ts";
import type { Cpu } from "../../src/cpu/aarch64/cpu.ts";
import type { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { X } from "../../src/cpu/aarch64/engine/layout.ts";
import { CfiFlash } from "../../src/devices/cfi-flash/index.ts";
import { FwCfg } from "../../src/devices/fw-cfg/index.ts";
import { GicVirtualization, Gicv2 } from "../../src/devices/gicv2/index.ts";
import { Gicv2m } from "../../src/devices/gicv2m/index.ts";
import { PL011, Pl011 } from "../../src/devices/pl011/index.ts";
import { Pl031 } from "../../src/devices/pl031/index.ts";
import { Pl061 } from "../../src/devices/pl061/index.ts";
import { Smmuv3 } from "../../src/devices/smmuv3/index.ts";
import { Sp804 } from "../../src/devices/sp804/index.ts";
import { FRAME_SIZE, type ToeCore } from "../../src/devices/toe/index.ts";
import type { VirtioDevice } from "../../src/devices/virtio/index.ts";
import { VirtioMmio } from "../../src/devices/virtio-mmio/index.ts";
import { InputError } from "../../src/formats/index.ts";
import { PcieHost, type StreamTargets } from "../../src/pcie/index.ts";
import { type Declaration, RegisterBank } from "../../src/registers/index.ts";
import { Line, Module, MS, NS, Simulation } from "../../src/sim/index.ts";
import {
  type BoardPart,
  FLASH_SECTOR_SIZE,
  GENERIC_TIMER_FREQUENCY,
  GIC_SPI_COUNT,
  GICV2M_BASE_SPI,
  GICV2M_SPI_COUNT,
  type PartKind,
  PCIE,
  POWER_KEY_PIN,
  PPI,
  RAM_BASE,
  VIRT_PARTS,
  VIRTIO_MMIO_COUNT,
  virtPart,
} from "./board.ts";
import { type BootOptions, type BootPlan, planBoot } from "./boot.ts";
import { type PcieSlot, populatePcie } from "./pcie.ts";
import { connectToe, makeToe, type ToeSlot } from "./toe.ts";

export interface VirtOptions extends BootOptions {
  /** 1 to 8; 1 unless given. */
  readonly cpus?: number;
  /** "cortex-a57" unless given. */
  readonly cpu?: string;
  /** The compiled interpreter, to share between machines. */
  readonly code?: InterpreterCode;
  /** Bytes of RAM, a multiple of 1 MiB; 128 MiB unless given. */
  readonly memory?: number;
  /** The CPUs have EL2 and start there. */
  readonly virtualization?: boolean;
  readonly seed?: number;
  /** Seconds since 1970 at which the real-time clock starts; 0 unless given. */
  readonly rtcBase?: number;
  /** What accesses to addresses without a target do; "abort" unless given. */
  readonly decodeErrors?: DecodeErrorPolicy;
  /** Devices behind the virtio-mmio slots. */
  readonly virtio?: readonly VirtioSlot[];
  /** Version 1 of the virtio-mmio register layout; true unless given, as in QEMU. */
  readonly virtioLegacy?: boolean;
  /** What stands between PCIe functions and memory; nothing unless given. */
  readonly iommu?: "smmuv3";
  /** A second PL011, `uart1`; false unless given. */
  readonly secondUart?: boolean;
  /** A second SP804, `timer1`; false unless given. */
  readonly secondTimer?: boolean;
  /** The TCP/IP offload engine on the platform bus; none unless given. */
  readonly toe?: ToeSlot;
  /** Functions on the PCIe bus, ports before what sits behind them. */
  readonly pcie?: readonly PcieSlot[];
  /** Configuration space above 4 GiB (256 buses) or below (16); true unless given. */
  readonly highEcam?: boolean;
  /** The window for 64-bit BARs above 4 GiB; true unless given. */
  readonly highMmio?: boolean;
  /** Simulated nanoseconds an instruction takes; 1 unless given. */
  readonly instructionTime?: number;
  /** Random seeds in the device tree, from `seed`; true unless given. */
  readonly treeRandomness?: boolean;
  /** Flash banks that the guest cannot write. */
  readonly readOnlyFlash?: readonly (0 | 1)[];
  /** Contents of flash bank 1. */
  readonly flash1?: { readonly name: string; readonly data: Uint8Array };
}

export interface VirtioSlot {
  /** Name of the device's module. */
  readonly name: string;
  /** 0 to 31; unless given the highest that is free, as QEMU gives them out. */
  readonly slot?: number;
  readonly make: (parent: Module | Simulation, name: string, port: Port) => VirtioDevice;
}

export const DEFAULT_MEMORY = 128 * 2 ** 20;
export const MAX_MEMORY = 255 * 2 ** 30;
export const MAX_CPUS = 8;
const MIB = 2 ** 20;

/** Long enough for a driver that debounces. */
const KEY_PRESS = 100 * MS;

class PowerKey extends Module {
  readonly #gpio: Pl061;
  readonly #release = this.event("release", () => this.#gpio.setPin(POWER_KEY_PIN, false));

  constructor(simulation: Simulation, gpio: Pl061) {
    super(simulation, "powerKey");
    this.#gpio = gpio;
  }
  press(): void {
    this.#gpio.setPin(POWER_KEY_PIN, true);
    this.#release.scheduleAt(this.simulation.now + KEY_PRESS);
  }
}

/** "reset-requested": the guest asked for a reset; whoever runs the machine calls `reset` or ends the run. */
export type PowerState = "running" | "off" | "reset-requested";

export class VirtMachine {
  readonly name = "virt";
  readonly options: VirtOptions;
  readonly simulation: Simulation;
  readonly arena = new Arena();
  readonly bus: Router;
  readonly ram: Memory;
  readonly gic: Gicv2;
  readonly uart: Pl011;
  readonly uart1: Pl011 | null;
  readonly rtc: Pl031;
  readonly gpio: Pl061;
  readonly timer: Sp804;
  readonly timer1: Sp804 | null;
  readonly fwCfg: FwCfg;
  readonly flash: readonly [CfiFlash, CfiFlash];
  readonly virtio: readonly VirtioMmio[];
  readonly pcie: PcieHost;
  readonly smmu: Smmuv3 | null;
  readonly toe: ToeCore | null;
  readonly cpus: Cluster;
  /** Parts by their name on the board. */
  readonly devices = new Map<string, Module>();
  /** Declarations of all register banks, by the full name of the module that owns them. */
  readonly declarations = new Map<string, readonly Declaration[]>();
  readonly boot: BootPlan;
  readonly #powerKey: PowerKey;
  powerState: PowerState = "running";
  /** Called when the guest turns itself off or asks for a reset. */
  onPower: ((state: "off" | "reset-requested") => void) | null = null;

  /** Builds and resets the machine. Throws InputError where an option or image does not fit. */
  constructor(options: VirtOptions = {}) {
    this.options = options;
    const { cpus = 1, cpu = "cortex-a57", memory = DEFAULT_MEMORY, virtualization = false, seed = 1 } = options;
    check(Number.isInteger(cpus) && cpus >= 1 && cpus <= MAX_CPUS, `${cpus} CPUs: expected 1 to ${MAX_CPUS}`);
    check(
      memory >= MIB && memory <= MAX_MEMORY && memory % MIB === 0,
      `${memory} bytes of RAM: expected a multiple of 1 MiB from 1 MiB to 255 GiB`,
    );
    const simulation = new Simulation({ seed });
    this.simulation = simulation;
    this.bus = new Router(simulation, "bus", options.decodeErrors ?? "abort");
    const { arena, bus } = this;

    const build = <M extends Module>(name: string, module: M): M => {
      this.devices.set(name, module);
      return module;
    };
    this.ram = build("ram", new Memory(simulation, "ram", arena, { size: memory }));
    this.gic = build("gic", new Gicv2(simulation, "gic", { cpus, spis: GIC_SPI_COUNT }));
    const virtualGic = virtualization
      ? build("gicVirtual", new GicVirtualization(simulation, "gicVirtual", this.gic))
      : null;
    const msi = build("gicv2m", new Gicv2m(simulation, "gicv2m", { baseSpi: GICV2M_BASE_SPI, spis: GICV2M_SPI_COUNT }));
    const flash = (bank: 0 | 1) => {
      const { name, size } = virtPart(`flash${bank}`);
      const readOnly = options.readOnlyFlash?.includes(bank) ?? false;
      return build(name, new CfiFlash(simulation, name, arena, { sectorSize: FLASH_SECTOR_SIZE, size, readOnly }));
    };
    this.flash = [flash(0), flash(1)];
    // Software made for QEMU's machine writes to the UART without setting it up; each first use is reported.
    const uart = (name: string) =>
      build(
        name,
        new Pl011(simulation, name, { uartclk: clockOf(name), pacing: "immediate", unconfigured: "enabled" }),
      );
    this.uart = uart("uart0");
    this.uart1 = options.secondUart === true ? uart("uart1") : null;
    this.rtc = build("rtc", new Pl031(simulation, "rtc", { base: options.rtcBase ?? 0 }));
    this.gpio = build("gpio", new Pl061(simulation, "gpio"));
    this.#powerKey = new PowerKey(simulation, this.gpio);
    this.fwCfg = build("fwcfg", new FwCfg(simulation, "fwcfg", { port: new Port(bus, arena), cpus }));
    const timer = (name: string) => build(name, new Sp804(simulation, name, { timclk: clockOf(name) }));
    this.timer = timer("timer0");
    this.timer1 = options.secondTimer === true ? timer("timer1") : null;
    const behind = this.#virtioDevices(options.virtio ?? []);
    this.virtio = partsOf("virtio-mmio").map((p, n) =>
      build(
        p.name,
        new VirtioMmio(simulation, p.name, { legacy: options.virtioLegacy ?? true, device: behind[n] ?? null }),
      ),
    );
    const { highEcam = true, highMmio = true } = options;
    const ecam = highEcam ? PCIE.ecam : PCIE.lowEcam;
    this.smmu = options.iommu === "smmuv3" ? build("smmu", new Smmuv3(simulation, "smmu", { bus, arena })) : null;
    const dma: Target | StreamTargets = this.smmu ?? bus;
    this.pcie = build("pcie", new PcieHost(simulation, "pcie", { arena, dma, ecamSize: ecam.size }));
    for (const [name, module] of populatePcie(this.pcie, options.pcie ?? [])) build(name, module);

    this.toe = options.toe === undefined ? null : build("toe", makeToe(simulation, options.toe, bus, arena, this.smmu));

    const { smmu, toe } = this;
    const targets: { readonly [kind in PartKind]?: (p: BoardPart) => Target } = {
      ram: () => this.ram,
      "gicv2-distributor": () => this.gic.distributor,
      "gicv2-cpu-interface": () => this.gic.cpuInterface,
      ...(virtualGic
        ? { "gicv2-hypervisor": () => virtualGic.hypervisor, "gicv2-virtual-cpu": () => virtualGic.virtualCpu }
        : {}),
      gicv2m: () => msi.registers,
      "cfi-flash": (p) => this.devices.get(p.name) as CfiFlash,
      pl011: (p) => (this.devices.get(p.name) as Pl011).registers,
      pl031: () => this.rtc.registers,
      pl061: () => this.gpio.registers,
      sp804: (p) => (this.devices.get(p.name) as Sp804).registers,
      "fw-cfg": () => this.fwCfg.registers,
      "virtio-mmio": (p) => (this.devices.get(p.name) as VirtioMmio).registers,
      "pcie-ecam": () => this.pcie.ecam,
      ...(smmu ? { smmuv3: () => smmu.registers } : {}),
      ...(toe ? { toe: () => toe.space } : {}),
    };
    for (const p of VIRT_PARTS) {
      if (p.option !== undefined && !options[p.option]) continue;
      const target = targets[p.kind]?.(p);
      if (!target) continue;
      const place = p.kind === "pcie-ecam" ? ecam : p;
      const size = p.kind === "ram" ? memory : toe && p.kind === "toe" ? (1 + toe.count) * FRAME_SIZE : place.size;
      this.bus.map({ name: p.name, base: place.base, size, target });
      this.#connect(p);
    }
    if (toe) connectToe(toe, (number) => this.gic.spi(number));
    const { memory: pcieMemory, io: pcieIo } = this.pcie.bus;
    const window = (name: string, { base, size }: { base: number; size: number }, target: Target, offset: number) =>
      bus.map({ name, base, size, target, offset });
    const { memory32 } = PCIE;
    window("pcieMemory32", memory32, pcieMemory, memory32.base);
    if (highMmio) window("pcieMemory64", PCIE.memory64, pcieMemory, PCIE.memory64.base);
    window("pcieIo", PCIE.io, pcieIo, 0);
    msi.spi.forEach((line, n) => {
      line.connect(this.gic.spi(GICV2M_BASE_SPI + n));
    });

    this.cpus = new Cluster(simulation, "cpus", {
      bus,
      arena,
      cpus,
      model: cpu,
      el2: virtualization,
      psci: virtualization ? "smc" : "hvc",
      counterFrequency: GENERIC_TIMER_FREQUENCY,
      ticksPerInstruction: (options.instructionTime ?? 1) * NS,
      ...(options.code ? { code: options.code } : {}),
    });
    this.cpus.cpus.forEach((c, n) => {
      (this.gic.irq[n] as Line).connect(c.irq);
      (this.gic.fiq[n] as Line).connect(c.fiq);
      virtualGic?.virq[n]?.connect(c.virtualIrq);
      virtualGic?.vfiq[n]?.connect(c.virtualFiq);
      virtualGic?.maintenance[n]?.connect(this.gic.ppi(n, 16 + PPI.gicMaintenance));
      c.pmu.line.connect(this.gic.ppi(n, 16 + PPI.pmu));
      c.timer.physicalLine.connect(this.gic.ppi(n, 16 + PPI.physicalTimer));
      c.timer.virtualLine.connect(this.gic.ppi(n, 16 + PPI.virtualTimer));
      c.timer.hypervisorLine.connect(this.gic.ppi(n, 16 + PPI.hypervisorTimer));
      c.timer.hypervisorVirtualLine.connect(this.gic.ppi(n, 16 + PPI.hypervisorVirtualTimer));
    });
    this.smmu?.wakeUp.connect((level) => {
      if (level) for (const c of this.cpus.cpus) c.wakeForEvent();
    });
    this.cpus.onPowerRequest = (request) => {
      this.powerState = request === "off" ? "off" : "reset-requested";
      simulation.pause();
      this.onPower?.(this.powerState);
    };

    for (const [name, module] of simulation.modules) {
      const banks = [...module.parts.values()].filter((p) => p instanceof RegisterBank);
      if (banks.length > 0)
        this.declarations.set(
          name,
          banks.map((b) => b.declaration),
        );
    }

    const random = simulation.random(this.ram, "deviceTreeSeeds");
    this.boot = planBoot(options, {
      cpus,
      cpuCompatible: cpu === "max" ? "arm,cortex-a57" : `arm,${cpu}`,
      memory,
      virtualization,
      gicVirtualization: virtualization,
      hypervisorVirtualTimer: this.cpus.hasVhe,
      pcie: { ecam, memory64: highMmio },
      smmu: this.smmu !== null,
      secondUart: this.uart1 !== null,
      secondTimer: this.timer1 !== null,
      toeInterfaces: this.toe?.count ?? 0,
      random: options.treeRandomness === false ? [] : Array.from({ length: 10 }, () => random.uint32()),
    });
    this.#offerToFirmware();
    this.reset();
  }

  /** Power-on reset: every module, then the images are put in place anew. RAM keeps its other contents. */
  reset(): void {
    this.powerState = "running";
    this.simulation.reset();
    const { firmware, flash1 } = this.options;
    if (firmware) this.flash[0].contents.fill(0, firmware.data);
    if (flash1) this.flash[1].contents.fill(0, flash1.data);
    for (const blob of this.boot.blobs) {
      this.#put(blob.address, blob.data);
      for (let done = 0; done < blob.zeros; done += MIB) {
        this.#put(blob.address + blob.data.length + done, new Uint8Array(Math.min(MIB, blob.zeros - done)));
      }
    }
    if (this.options.kernel && !firmware) this.#setUpConsole();
    this.#start(0, this.boot.entry, this.boot.x0);
    for (const { cpu, entry } of this.boot.starts) this.#start(cpu, entry, 0);
  }

  /** Presses the power key, the GPIO pin that the device tree calls "GPIO Key Poweroff", for 100 ms. */
  pressPowerKey(): void {
    this.#powerKey.press();
  }

  get deviceTree(): Uint8Array {
    return this.boot.deviceTree;
  }

  /**
   * What firmware leaves behind where none runs: the console at 115,200 baud, 8N1, enabled. Linux restores UARTCR as it found it and
   * its early console then waits for a transmitter that would be off.
   */
  #setUpConsole(): void {
    const tx = new Transaction();
    const divisor = Math.round((clockOf("uart0") * 4) / 115_200);
    const offsets = PL011.registers;
    this.uart.registers.write(offsets.UARTIBRD.at, 4, divisor >> 6, tx);
    this.uart.registers.write(offsets.UARTFBRD.at, 4, divisor & 63, tx);
    this.uart.registers.write(offsets.UARTLCR_H.at, 4, 0x70, tx);
    this.uart.registers.write(offsets.UARTCR.at, 4, 0x301, tx);
  }

  #start(index: number, entry: number, x0: number): void {
    const cpu = this.cpus.cpus[index] as Cpu;
    cpu.context.setNumber(X, x0);
    cpu.start(entry | 0, Math.floor(entry / 2 ** 32));
  }

  /** The devices by slot. */
  #virtioDevices(wanted: readonly VirtioSlot[]): (VirtioDevice | undefined)[] {
    const slots: (VirtioDevice | undefined)[] = Array.from({ length: VIRTIO_MMIO_COUNT });
    for (const { name, slot, make } of wanted) {
      const at = slot ?? slots.lastIndexOf(undefined);
      check(
        at >= 0 && at < VIRTIO_MMIO_COUNT,
        `${name}: the board has ${VIRTIO_MMIO_COUNT} virtio-mmio slots, all are taken`,
      );
      check(slots[at] === undefined, `${name}: virtio-mmio slot ${at} is taken`);
      slots[at] = make(this.simulation, name, new Port(this.bus, this.arena));
      this.devices.set(name, slots[at]);
    }
    return slots;
  }

  #put(address: number, data: Uint8Array): void {
    if (address >= RAM_BASE) this.ram.fill(address - RAM_BASE, data);
    else {
      const bank = address < virtPart("flash1").base ? 0 : 1;
      this.flash[bank].contents.fill(address - virtPart(`flash${bank}`).base, data);
    }
  }

  /** Connects the lines that the board's data names to the GIC. */
  #connect(p: BoardPart): void {
    const module = this.devices.get(p.name);
    for (const i of p.interrupts) {
      const line = (module as unknown as { readonly [name: string]: unknown } | undefined)?.[i.line];
      if (!(line instanceof Line)) throw new Error(`${p.name} has no line "${i.line}"`);
      line.connect(this.gic.spi(i.number));
    }
  }

  /** Where firmware boots, kernel, initrd and command line are its to load, by fw_cfg. */
  #offerToFirmware(): void {
    const { firmware, kernel, initrd, append } = this.options;
    if (!firmware) return;
    this.fwCfg.setBoot({
      ...(kernel ? { kernel: kernel.data } : {}),
      ...(initrd ? { initrd: initrd.data } : {}),
      ...(append === undefined ? {} : { commandLine: append }),
    });
  }
}

function check(good: boolean, message: string): void {
  if (!good) throw new InputError(message);
}

function partsOf(kind: PartKind): BoardPart[] {
  return VIRT_PARTS.filter((p) => p.kind === kind);
}
function clockOf(name: string): number {
  return virtPart(name).clock ?? 0;
}

export function createVirtMachine(options: VirtOptions = {}): VirtMachine {
  return new VirtMachine(options);
}
