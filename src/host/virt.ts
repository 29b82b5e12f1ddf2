/** The `virt` board as the host sees it: files read into images, the board's parts by QEMU's names, flash written back. */
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { PPI, VIRT_PARTS } from "../../platform/virt/board.ts";
import type { LoaderOptions } from "../../platform/virt/boot.ts";
import { createVirtMachine, type VirtMachine, type VirtOptions } from "../../platform/virt/machine.ts";
import type { InterpreterCode } from "../cpu/aarch64/engine/interpreter.ts";
import { PC } from "../cpu/aarch64/engine/layout.ts";
import { BREAK, Pl011 } from "../devices/pl011/index.ts";
import { Sp804 } from "../devices/sp804/index.ts";
import { VirtioDevice } from "../devices/virtio/index.ts";
import { InputError } from "../formats/index.ts";
import { machineReport, type QtestDevice, type SnapshotMachine } from "../observe/index.ts";
import { Line, type Module, StateHash } from "../sim/index.ts";
import { debugPort } from "./debug-port.ts";
import { readInput, systemReason, writeOutput } from "./files.ts";
import { type HostConsole, type HostMachine, type PowerRequest, type SerialPort, serialPort } from "./machine.ts";
import { HostNetworks } from "./net/networks.ts";
import type { FlashImage, RunOptions, ToeOption } from "./options/run-options.ts";
import { pcieSlots } from "./pcie.ts";
import { HostVirtio } from "./virtio.ts";

/** 2025-01-01T00:00:00Z: the date at power-on unless an option says otherwise, so that runs repeat. */
const DEFAULT_DATE = 1_735_689_600;

/**
 * Builds the machine that the options describe; null where they only asked for its device tree, which is written then. `code` is the compiled
 * interpreter, where there is one already.
 */
export function buildMachine(run: RunOptions, code?: InterpreterCode): HostMachine | null {
  const networks = new HostNetworks();
  const virtio = new HostVirtio(run.virtio, networks);
  const machine = createVirtMachine({
    ...virtOptions(run),
    virtio: virtio.slots,
    pcie: pcieSlots(run.pcie, networks),
    ...toeSlot(run.toe, networks),
    ...(code === undefined ? {} : { code }),
  });
  for (const network of run.switched) networks.connectSwitched(machine.simulation, network);
  if (run.machine.dumpTree !== undefined) {
    writeOutput("-M dumpdtb", run.machine.dumpTree, machine.deviceTree);
    return null;
  }
  networks.captures.open();
  return new VirtHost(machine, run, virtio, networks);
}

function toeSlot(toe: ToeOption | undefined, networks: HostNetworks): Pick<VirtOptions, "toe"> {
  if (toe === undefined) return {};
  const { network, mac, interfaces } = toe;
  return {
    toe: {
      ...(mac === undefined ? {} : { mac }),
      ...(interfaces === undefined ? {} : { interfaces }),
      ...(network === null
        ? {}
        : { connect: (simulation, name, device) => void networks.connect(simulation, name, device, network) }),
    },
  };
}

function virtOptions(run: RunOptions): VirtOptions {
  const firmware =
    run.bios === undefined ? flashImage(run, 0) : image("-bios", findFirmware(run.bios, run.searchPaths));
  const kernel = run.kernel === undefined ? undefined : image("-kernel", run.kernel);
  return {
    cpus: run.cpus,
    cpu: run.cpuModel as NonNullable<VirtOptions["cpu"]>,
    memory: run.memory,
    virtualization: run.machine.virtualization,
    virtioLegacy: run.legacyVirtio,
    rtcBase: rtcBase(run.rtcBase),
    treeRandomness: run.machine.treeRandomness,
    highEcam: run.machine.highEcam,
    highMmio: run.machine.highMmio,
    secondUart: run.secondSerial !== undefined,
    secondTimer: run.machine.secondTimer,
    ...(run.machine.iommu === undefined ? {} : { iommu: run.machine.iommu }),
    readOnlyFlash: run.flash.filter((f) => f.readOnly).map((f) => (f.bank === 0 ? 0 : 1)),
    ...(run.instructionTime === undefined ? {} : { instructionTime: run.instructionTime }),
    ...(run.seed === undefined ? {} : { seed: run.seed }),
    ...(firmware ? { firmware } : {}),
    ...(kernel ? { kernel: { ...kernel, data: unzip(kernel.data) } } : {}),
    ...(run.initrd === undefined ? {} : { initrd: image("-initrd", run.initrd) }),
    ...(run.append === undefined ? {} : { append: run.append }),
    ...(run.dtb === undefined ? {} : { deviceTree: image("-dtb", run.dtb) }),
    ...(flashImage(run, 1) ? { flash1: flashImage(run, 1) as { name: string; data: Uint8Array } } : {}),
    loaders: run.loaders.map(loader),
  };
}

function image(option: string, path: string): { name: string; data: Uint8Array } {
  return { name: path, data: readInput(option, path) };
}

function flashImage(run: RunOptions, bank: number): { name: string; data: Uint8Array } | undefined {
  const found = run.flash.find((f) => f.bank === bank);
  return found === undefined ? undefined : image("-drive if=pflash", found.path);
}

function findFirmware(name: string, paths: readonly string[]): string {
  if (existsSync(name)) return name;
  return paths.map((p) => join(p, name)).find((p) => existsSync(p)) ?? name;
}

/** Kernels come compressed as a whole at times; QEMU takes those too. */
function unzip(data: Uint8Array): Uint8Array {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  try {
    return new Uint8Array(gunzipSync(data, { maxOutputLength: 2 ** 30 }));
  } catch (error) {
    throw new InputError(`-kernel: the gzip file is damaged: ${systemReason(error)}`);
  }
}

function loader(l: RunOptions["loaders"][number]): LoaderOptions {
  if (l.kind === "file") {
    return {
      image: image("-device loader", l.path),
      ...(l.address === undefined ? {} : { address: placeOf(l.address) }),
      ...(l.cpu === undefined ? {} : { cpu: l.cpu }),
      forceRaw: l.raw,
    };
  }
  const address = placeOf(l.address);
  if (l.kind === "entry") return { address, cpu: l.cpu };
  return { image: { name: "-device loader", data: l.bytes }, address, forceRaw: true };
}

function placeOf(address: bigint): number {
  if (address >= 1n << 48n)
    throw new InputError(`-device loader: addr=0x${address.toString(16)}: expected at most 48 bits`);
  return Number(address);
}

function rtcBase(base: RunOptions["rtcBase"]): number {
  if (base === undefined) return DEFAULT_DATE;
  if (typeof base === "number") return base;
  const now = new Date();
  const seconds = Math.floor(now.getTime() / 1000);
  return base === "now" ? seconds : seconds - now.getTimezoneOffset() * 60;
}

function uartPort(uart: Pl011): SerialPort {
  return serialPort(uart, () => void uart.receive(0, BREAK));
}

class VirtHost implements HostMachine {
  readonly #machine: VirtMachine;
  readonly #run: RunOptions;
  readonly serial: SerialPort;
  readonly consoles: readonly HostConsole[];
  readonly debug;
  onPower: ((request: PowerRequest) => void) | null = null;
  readonly #writeBack: (() => void)[] = [];
  readonly #gicWatchers: ((pin: number, level: boolean) => void)[] = [];

  readonly #virtio: HostVirtio;
  readonly #networks: HostNetworks;

  constructor(machine: VirtMachine, run: RunOptions, virtio: HostVirtio, networks: HostNetworks) {
    this.#machine = machine;
    this.#run = run;
    this.#virtio = virtio;
    this.#networks = networks;
    this.debug = debugPort(machine.cpus);
    this.serial = uartPort(machine.uart);
    const { secondSerial } = run;
    const second =
      machine.uart1 === null || secondSerial === undefined
        ? []
        : [{ label: "serial1", spec: secondSerial, port: uartPort(machine.uart1) }];
    this.consoles = [...second, ...virtio.consoles];
    machine.onPower = (state) => this.onPower?.(state === "off" ? "off" : "reset");
    for (const f of run.firmwareFiles) {
      const { source } = f;
      const data = "path" in source ? readInput("-fw_cfg", source.path) : new TextEncoder().encode(source.text);
      machine.fwCfg.addFile(f.name, data);
    }
    for (const f of run.flash) if (f.writeBack) this.#followFlash(f);
    this.#holdCpus();
  }

  get simulation() {
    return this.#machine.simulation;
  }
  get bus() {
    return this.#machine.bus;
  }
  get declarations() {
    return this.#machine.declarations;
  }
  get deviceTree(): Uint8Array {
    return this.#machine.deviceTree;
  }
  get instructions(): readonly number[] {
    return this.#machine.cpus.cpus.map((c) => c.instructions);
  }

  identity(): SnapshotMachine {
    const { options, devices } = this.#machine;
    const { cpus, cpu, memory, virtualization, virtioLegacy, seed, rtcBase } = options;
    const own = new Set(VIRT_PARTS.filter((p) => p.option === undefined).map((p) => p.name));
    const added = [...devices].filter(
      ([name, d]) => !own.has(name) && (d instanceof VirtioDevice || d instanceof Pl011 || d instanceof Sp804),
    );
    const { kernel, initrd, append, firmware, flash1, deviceTree, loaders } = options;
    const writtenBack = (bank: number) => this.#run.flash.some((f) => f.bank === bank && f.writeBack);
    return {
      board: this.#machine.name,
      cpu: cpu ?? "",
      cpus: cpus ?? 1,
      memory: memory ?? 0,
      virtualization: virtualization ?? false,
      "virtio-mmio": virtioLegacy === false ? "modern" : "legacy",
      devices: [
        ...added.map(([name]) => name),
        ...this.#run.pcie.map((p) => `${p.driver}:${p.name}`),
        ...(this.#machine.toe === null ? [] : [`toe:${this.#machine.toe.count}`]),
      ].join(" "),
      seed: seed ?? 1,
      "rtc base": rtcBase ?? 0,
      // Images are put in place anew at a reset, so they are part of what happens next.
      ...imageHash("kernel", kernel?.data),
      ...imageHash("initrd", initrd?.data),
      ...(append === undefined ? {} : { append }),
      ...imageHash("dtb", deviceTree?.data),
      ...(writtenBack(0) ? {} : imageHash("firmware", firmware?.data)),
      ...(writtenBack(1) ? {} : imageHash("flash bank 1", flash1?.data)),
      ...imageHash("loader", ...(loaders ?? []).map((l) => l.image?.data)),
    };
  }

  get idle(): boolean {
    return this.#machine.cpus.cpus.every((c) => !c.isRunning);
  }

  reset(): void {
    this.#machine.reset();
    this.#holdCpus();
  }

  pressPowerKey(): void {
    this.#machine.pressPowerKey();
  }

  memoryMap(): readonly string[] {
    const hex = (n: number) => n.toString(16).padStart(16, "0");
    return this.bus.segments.map((s) => `${hex(s.start)}-${hex(s.end - 1)}: ${s.window.name}`);
  }

  get outside() {
    return this.#networks.outside;
  }

  flush(): void {
    this.#networks.captures.flush();
    for (const { port } of this.#networks.outside) port.flush();
  }

  report(): readonly string[] {
    const machine = this.#machine;
    const { cpus } = machine.cpus;
    return machineReport({
      time: machine.simulation.now,
      instructions: this.instructions.reduce((sum, n) => sum + n, 0),
      cpus: cpus.map((cpu) => ({
        description: machine.cpus.debugger.describe(cpu),
        pcHigh: cpu.context.high(PC),
        pcLow: cpu.context.low(PC),
        exceptions: cpu.recent.exceptions,
        interrupts: cpu.recent.interrupts,
        accesses: cpu.recent.accesses,
      })),
      symbols: machine.boot.symbols,
      part: (address) => this.bus.find(address)?.window.name ?? null,
    });
  }

  finish(): void {
    for (const write of this.#writeBack) write();
    this.#virtio.close();
    for (const line of this.#networks.report()) process.stderr.write(`${line}\n`);
    this.#networks.captures.close();
  }

  /** Under qtest the protocol is the only one that moves the machine. */
  #holdCpus(): void {
    if (this.#run.accelerator !== "qtest") return;
    for (const cpu of this.#machine.cpus.cpus) cpu.powerOff();
  }

  /** What the guest programs goes into the file when the host has time, and at the end. */
  #followFlash(file: FlashImage): void {
    const flash = this.#machine.flash[file.bank as 0 | 1];
    const length = readInput("-drive if=pflash", file.path).length;
    let first = Number.POSITIVE_INFINITY;
    let last = 0;
    let timer: NodeJS.Timeout | null = null;
    const write = () => {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      const end = Math.min(last, length);
      if (first >= end) return;
      const data = flash.contents.slice(first, end - first);
      try {
        const fd = openSync(file.path, "r+");
        writeSync(fd, data, 0, data.length, first);
        closeSync(fd);
      } catch (error) {
        process.stderr.write(`${file.path}: cannot be written: ${systemReason(error)}\n`);
      }
      first = Number.POSITIVE_INFINITY;
      last = 0;
    };
    flash.onChange = (offset, bytes) => {
      first = Math.min(first, offset);
      last = Math.max(last, offset + bytes);
      timer ??= setTimeout(write, 500).unref();
    };
    this.#writeBack.push(write);
  }

  /** A device by QEMU's path (its unnamed devices count CPUs first) or by its name on the board. */
  qtestDevice(path: string): QtestDevice | null {
    const name = this.#nameOf(path);
    if (name === null) return null;
    if (name === "gic") return this.#gicPins();
    const part = VIRT_PARTS.find((p) => p.name === name);
    const module = this.#machine.devices.get(name);
    if (part === undefined || module === undefined) return null;
    const { gpio } = this.#machine;
    return {
      watchOutputs: (list, sink) => {
        const lines =
          list === "sysbus-irq"
            ? part.interrupts.map((i) => lineOf(module, i.line))
            : list === null && module === gpio
              ? gpio.GPOUT
              : [];
        const named = list === null ? undefined : lineOf(module, list);
        return watch(named ? [named] : lines, sink);
      },
      setInput: (list, pin, level) => {
        if (module !== gpio || list !== null || pin < 0 || pin > 7) return false;
        gpio.setPin(pin, level !== 0);
        return true;
      },
    };
  }

  #nameOf(path: string): string | null {
    const m = /^(?:\/machine)?(?:\/unattached)?\/?device\[(\d+)\]$/.exec(path);
    if (m === null) {
      const name = path.replace(/^\/machine\/(unattached\/|peripheral\/)?/, "").replace(/^virt\./, "");
      return name === "fw_cfg" ? "fwcfg" : name;
    }
    const n = Number(m[1]) - this.#run.cpus;
    const fixed = ["gic", "gicv2m", "uart0", "rtc", "pcie", "gpio", "powerKey"];
    return n < 0 ? null : (fixed[n] ?? (n < fixed.length + 32 ? `virtio${n - fixed.length}` : null));
  }

  /** Pins of the interrupt controller: SPI n is pin n, PPI n of CPU c is pin 256 + 32 c + 16 + n. */
  #gicPins(): QtestDevice {
    const { gic, cpus, devices } = this.#machine;
    return {
      watchInputs: (sink) => {
        this.#gicWatchers.push(sink);
        for (const part of VIRT_PARTS) {
          const module = devices.get(part.name);
          for (const i of part.interrupts) {
            const line = module === undefined ? undefined : lineOf(module, i.line);
            if (line) watch([line], (_, level) => sink(i.number, level));
          }
        }
        cpus.cpus.forEach((cpu, c) => {
          const pin = (ppi: number) => SPIS + 32 * c + 16 + ppi;
          watch([cpu.timer.physicalLine], (_, level) => sink(pin(PPI.physicalTimer), level));
          watch([cpu.timer.virtualLine], (_, level) => sink(pin(PPI.virtualTimer), level));
          watch([cpu.timer.hypervisorLine], (_, level) => sink(pin(PPI.hypervisorTimer), level));
        });
        return true;
      },
      watchOutputs: () => false,
      setInput: (list, pin, level) => {
        if (list !== null || !Number.isInteger(pin) || pin < 0 || pin >= SPIS + 32 * cpus.cpus.length) return false;
        if (pin >= SPIS && (pin - SPIS) % 32 < 16) return false;
        for (const watcher of this.#gicWatchers) watcher(pin, level !== 0);
        if (pin < SPIS) gic.spi(pin)(level !== 0);
        else {
          const intid = (pin - SPIS) % 32;
          gic.ppi(Math.floor((pin - SPIS) / 32), intid)(level !== 0);
        }
        return true;
      },
    };
  }
}

function imageHash(name: string, ...images: readonly (Uint8Array | undefined)[]): { readonly [name: string]: string } {
  const hash = new StateHash();
  let any = false;
  for (const image of images) {
    if (image === undefined) continue;
    hash.bytes(image);
    any = true;
  }
  return any ? { [name]: hash.digest() } : {};
}

const SPIS = 256;

function lineOf(module: Module, name: string): Line | undefined {
  const value = (module as unknown as { readonly [name: string]: unknown })[name];
  return value instanceof Line ? value : undefined;
}

/** Tells of changes from now on; a line that is high already is not news. */
function watch(lines: readonly (Line | undefined)[], sink: (pin: number, level: boolean) => void): boolean {
  lines.forEach((line, n) => {
    let first = line?.level === true;
    line?.connect((level) => {
      if (!first) sink(n, level);
      first = false;
    });
  });
  return lines.length > 0;
}
