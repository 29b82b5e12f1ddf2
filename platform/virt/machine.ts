/** The `virt` machine: the board's parts as modules on one bus, wired by the board's data, with images put in place at every reset. */
import { Port, Transaction } from "../../src/bus/index.ts";
import { Cluster } from "../../src/cpu/aarch64/cluster.ts";
import type { Cpu } from "../../src/cpu/aarch64/cpu.ts";
import type { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { X } from "../../src/cpu/aarch64/engine/layout.ts";
import { CfiFlash } from "../../src/devices/cfi-flash/index.ts";
import { FwCfg } from "../../src/devices/fw-cfg/index.ts";
import { PL011 } from "../../src/devices/pl011/index.ts";
import { Pl061 } from "../../src/devices/pl061/index.ts";
import type { VirtioDevice } from "../../src/devices/virtio/index.ts";
import { VirtioMmio } from "../../src/devices/virtio-mmio/index.ts";
import { InputError } from "../../src/formats/index.ts";
import { type Declaration, RegisterBank } from "../../src/registers/index.ts";
import { Module, MS, NS, type Simulation } from "../../src/sim/index.ts";
import { type AssemblyOptions, clockOf, DEFAULT_MEMORY, VirtAssembly } from "./assembly.ts";
import {
  type BoardPart,
  FLASH_SECTOR_SIZE,
  GENERIC_TIMER_FREQUENCY,
  type PartKind,
  POWER_KEY_PIN,
  PPI,
  RAM_BASE,
  VIRT_PARTS,
  VIRTIO_MMIO_COUNT,
  virtPart,
} from "./board.ts";
import { type BootOptions, type BootPlan, planBoot } from "./boot.ts";

export interface VirtOptions extends BootOptions, AssemblyOptions {
  /** "cortex-a57" unless given. */
  readonly cpu?: string;
  /** The compiled interpreter, to share between machines. */
  readonly code?: InterpreterCode;
  /** The CPUs have EL2 and start there. */
  readonly virtualization?: boolean;
  /** Devices behind the virtio-mmio slots. */
  readonly virtio?: readonly VirtioSlot[];
  /** Version 1 of the virtio-mmio register layout; true unless given, as in QEMU. */
  readonly virtioLegacy?: boolean;
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

export class VirtMachine extends VirtAssembly {
  readonly options: VirtOptions;
  readonly gpio: Pl061;
  readonly fwCfg: FwCfg;
  readonly flash: readonly [CfiFlash, CfiFlash];
  readonly virtio: readonly VirtioMmio[];
  readonly cpus: Cluster;
  /** Declarations of all register banks, by the full name of the module that owns them. */
  readonly declarations = new Map<string, readonly Declaration[]>();
  readonly boot: BootPlan;
  readonly #powerKey: PowerKey;
  powerState: PowerState = "running";
  /** Called when the guest turns itself off or asks for a reset. */
  onPower: ((state: "off" | "reset-requested") => void) | null = null;

  /** Builds and resets the machine. Throws InputError where an option or image does not fit. */
  constructor(options: VirtOptions = {}) {
    const { cpus = 1, cpu = "cortex-a57", memory = DEFAULT_MEMORY, virtualization = false } = options;
    check(Number.isInteger(cpus) && cpus >= 1 && cpus <= MAX_CPUS, `${cpus} CPUs: expected 1 to ${MAX_CPUS}`);
    check(
      memory >= MIB && memory <= MAX_MEMORY && memory % MIB === 0,
      `${memory} bytes of RAM: expected a multiple of 1 MiB from 1 MiB to 255 GiB`,
    );
    super(options, virtualization);
    this.options = options;
    const { simulation, arena, bus } = this;
    const flash = (bank: 0 | 1) => {
      const { name, size } = virtPart(`flash${bank}`);
      const readOnly = options.readOnlyFlash?.includes(bank) ?? false;
      return this.build(name, new CfiFlash(simulation, name, arena, { sectorSize: FLASH_SECTOR_SIZE, size, readOnly }));
    };
    this.flash = [flash(0), flash(1)];
    this.gpio = this.build("gpio", new Pl061(simulation, "gpio"));
    this.#powerKey = new PowerKey(simulation, this.gpio);
    this.fwCfg = this.build("fwcfg", new FwCfg(simulation, "fwcfg", { port: new Port(bus, arena), cpus }));
    const behind = this.#virtioDevices(options.virtio ?? []);
    this.virtio = partsOf("virtio-mmio").map((p, n) =>
      this.build(
        p.name,
        new VirtioMmio(simulation, p.name, { legacy: options.virtioLegacy ?? true, device: behind[n] ?? null }),
      ),
    );
    this.place({
      "cfi-flash": (p) => this.devices.get(p.name) as CfiFlash,
      pl061: () => this.gpio.registers,
      "fw-cfg": () => this.fwCfg.registers,
      "virtio-mmio": (p) => (this.devices.get(p.name) as VirtioMmio).registers,
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
    this.connectCpus(
      this.cpus.cpus.map(({ irq, fiq, virtualIrq, virtualFiq, pmu, timer }) => ({
        irq,
        fiq,
        virtualIrq,
        virtualFiq,
        outputs: [
          [pmu.line, PPI.pmu],
          [timer.physicalLine, PPI.physicalTimer],
          [timer.virtualLine, PPI.virtualTimer],
          [timer.hypervisorLine, PPI.hypervisorTimer],
          [timer.hypervisorVirtualLine, PPI.hypervisorVirtualTimer],
        ],
      })),
    );
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
      pcie: { ecam: this.ecam, memory64: options.highMmio ?? true },
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

export function createVirtMachine(options: VirtOptions = {}): VirtMachine {
  return new VirtMachine(options);
}
