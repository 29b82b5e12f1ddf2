/** The state that option handlers fill, and how it becomes `RunOptions`: defaults, and checks across options. */
import { InputError } from "../../formats/index.ts";
import { type CharacterSpec, optional } from "./chardev-spec.ts";
import { switchedNetworks } from "./network-options.ts";
import type { PcieRequest } from "./pcie-options.ts";
import type {
  FirmwareFile,
  FlashImage,
  LoaderDevice,
  MonitorOption,
  ResetAction,
  RunOptions,
  SavePoint,
  ScriptStep,
  ShutdownAction,
  ToeOption,
} from "./run-options.ts";
import { VirtioRequests } from "./virtio-requests.ts";

export type Flavour = "armature" | "qemu";

/** Raised by a handler to print text instead of running. */
export class TextRequest extends Error {}

const DEFAULT_EXPECT_TIMEOUT = 60;

export class Builder {
  readonly flavour: Flavour;
  virtualization = false;
  treeRandomness = true;
  highMemory = true;
  highEcam = true;
  highMmio = true;
  secondTimer = false;
  iommu: "smmuv3" | undefined;
  readonly pcie: PcieRequest[] = [];
  /** The TOE on the platform bus, complete when all options are known. */
  toe: (() => ToeOption) | undefined;
  dumpTree: string | undefined;
  machineAccelerators: string[] = [];
  accelerators: string[] = [];
  cpuModel: string | undefined;
  cpus = 1;
  memory = 128 * 2 ** 20;
  instructionTime: number | undefined;
  throttle: boolean | undefined;
  bios: string | undefined;
  kernel: string | undefined;
  initrd: string | undefined;
  append: string | undefined;
  dtb: string | undefined;
  flash: FlashImage[] = [];
  snapshot = false;
  loaders: LoaderDevice[] = [];
  firmwareFiles: FirmwareFile[] = [];
  legacyVirtio = true;
  readonly virtio = new VirtioRequests();
  searchPaths: string[] = [];
  rtcBase: number | "now" | "local" | undefined;
  seed: number | undefined;
  characterDevices = new Map<string, CharacterSpec>();
  serial: { where: string; spec: CharacterSpec; none: boolean }[] = [];
  monitor: CharacterSpec | undefined;
  monitors: MonitorOption[] = [];
  gdb: CharacterSpec | undefined;
  qtest: CharacterSpec | undefined;
  qtestLog: string | undefined;
  escapeCharacter = 1;
  nographic = false;
  display: string | undefined;
  noDefaults = false;
  startPaused = false;
  onReset: ResetAction = "reset";
  onShutdown: ShutdownAction = "poweroff";
  name: string | undefined;
  pidFile: string | undefined;
  logGuestErrors = false;
  logUnimplemented = false;
  logFile: string | undefined;
  trace: string[] = [];
  traceFile: string | undefined;
  guestErrorsFile: string | undefined;
  strict = false;
  stateHash = false;
  statistics = false;
  script: ({ kind: "expect"; text: string } | { kind: "send"; text: string } | { kind: "timeout"; seconds: number })[] =
    [];
  maxTime: number | undefined;
  saveSnapshot: string | undefined;
  saveAt: SavePoint | undefined;
  restore: string | undefined;
  record: string | undefined;
  replay: string | undefined;
  readonly machineWords: string[] = [];

  constructor(flavour: Flavour) {
    this.flavour = flavour;
  }

  build(): RunOptions {
    this.#check();
    const script = this.#script();
    const timeouts = this.script.filter((s) => s.kind === "timeout");
    const { serial, monitors } = this.#consoles();
    return {
      machine: {
        virtualization: this.virtualization,
        treeRandomness: this.treeRandomness,
        highEcam: this.highEcam && this.highMemory,
        highMmio: this.highMmio && this.highMemory,
        secondTimer: this.secondTimer,
        ...(this.iommu === undefined ? {} : { iommu: this.iommu }),
        ...optional("dumpTree", this.dumpTree),
      },
      cpuModel: this.cpuModel ?? "cortex-a57",
      cpus: this.cpus,
      memory: this.memory,
      accelerator: this.#accelerator(),
      ...optional("instructionTime", this.instructionTime),
      ...optional("throttle", this.throttle),
      ...optional("bios", this.bios),
      ...optional("kernel", this.kernel),
      ...optional("initrd", this.initrd),
      ...optional("append", this.append),
      ...optional("dtb", this.dtb),
      flash: this.snapshot ? this.flash.map((f) => ({ ...f, writeBack: false })) : this.flash,
      loaders: this.loaders,
      firmwareFiles: this.firmwareFiles,
      legacyVirtio: this.legacyVirtio,
      virtio: [...this.virtio.devices, ...this.virtio.implied].map((d) => d.make()),
      pcie: this.pcie.map((d) => d.make()),
      ...optional("toe", this.toe?.()),
      switched: switchedNetworks(this),
      searchPaths: this.searchPaths,
      ...optional("rtcBase", this.rtcBase),
      ...optional("seed", this.seed),
      characterDevices: this.characterDevices,
      serial,
      ...(this.serial[1] === undefined || this.serial[1].none ? {} : { secondSerial: this.serial[1].spec }),
      monitors,
      ...optional("gdb", this.gdb),
      ...optional("qtest", this.qtest),
      ...optional("qtestLog", this.qtestLog),
      escapeCharacter: this.escapeCharacter,
      startPaused: this.startPaused,
      onReset: this.onReset,
      onShutdown: this.onShutdown,
      ...optional("name", this.name),
      ...optional("pidFile", this.pidFile),
      logGuestErrors: this.logGuestErrors,
      logUnimplemented: this.logUnimplemented,
      ...optional("logFile", this.logFile),
      trace: this.trace,
      ...optional("traceFile", this.traceFile),
      ...optional("guestErrorsFile", this.guestErrorsFile),
      strict: this.strict,
      stateHash: this.stateHash,
      statistics: this.statistics,
      script,
      ...optional("timeout", script.some((s) => s.kind === "expect") ? undefined : timeouts.at(-1)?.seconds),
      ...optional("maxTime", this.maxTime),
      ...optional("saveSnapshot", this.saveSnapshot),
      ...optional("saveAt", this.saveAt),
      ...optional("snapshot", this.restore),
      ...optional("record", this.record),
      ...optional("replay", this.replay),
      machineWords: this.machineWords,
    };
  }

  #check(): void {
    if (!this.highMemory && this.memory > 3 * 2 ** 30) {
      throw new InputError(`-M highmem=off: ${this.memory} bytes of RAM: expected at most 3G, all below 4 GiB`);
    }
    this.#checkRecording();
    for (const { where, network } of this.virtio.captures) {
      if (!this.virtio.networks.has(network)) throw new InputError(`${where}: there is no -netdev with id=${network}`);
    }
    if (this.kernel === undefined) {
      if (this.append !== undefined)
        throw new InputError("-append: only with -kernel: there is no kernel to give it to");
      if (this.initrd !== undefined)
        throw new InputError("-initrd: only with -kernel: there is no kernel to give it to");
    }
    const bank0 = this.flash.some((f) => f.bank === 0);
    if (bank0 && this.bios !== undefined) {
      throw new InputError(
        "-bios and -drive if=pflash,unit=0 (or -pflash) both fill flash bank 0: expected one of them",
      );
    }
    const extra = this.serial.slice(2).find((s) => !s.none && s.spec.kind !== "null");
    if (extra) throw new InputError(`${extra.where}: the board has two UARTs: expected at most two -serial`);
  }

  #checkRecording(): void {
    if (this.saveAt !== undefined && this.saveSnapshot === undefined) {
      throw new InputError("--save-at: only with --save-snapshot FILE: there is no file to save to");
    }
    if (this.record !== undefined && this.replay !== undefined) {
      throw new InputError("--record and --replay: expected one of them: a replay is a recording already");
    }
    for (const [option, file] of [
      ["--record", this.record],
      ["--replay", this.replay],
    ] as const) {
      if (file === undefined) continue;
      if (this.qtest !== undefined)
        throw new InputError(`${option}: not with -qtest: what qtest is told is not recorded`);
      if (this.onShutdown === "pause") {
        throw new InputError(`${option}: not with -no-shutdown: a recording ends where the guest powers off`);
      }
    }
  }

  /** The first accelerator named that can be had. */
  #accelerator(): "tcg" | "qtest" {
    const named = this.accelerators.length > 0 ? this.accelerators : this.machineAccelerators;
    for (const name of named) if (name === "tcg" || name === "qtest") return name;
    if (named.length > 0) {
      throw new InputError(
        `accelerator ${named.join(", ")}: not supported by Armature: there is no hardware virtualization; expected tcg or qtest`,
      );
    }
    return this.qtest === undefined ? "tcg" : "qtest";
  }

  /**
   * Who gets the terminal. As in QEMU, `-nographic` puts serial port and monitor on it unless an option says otherwise, and nothing is on
   * it with `-display none` or `-nodefaults`. There being no graphical display, no display option at all means `-nographic`.
   */
  #consoles(): { serial: CharacterSpec; monitors: MonitorOption[] } {
    const nothing: CharacterSpec = { kind: "null" };
    const terminal = this.nographic || this.display === undefined;
    const explicit = this.serial[0]?.spec;
    const readline = this.monitors.some((m) => m.mode === "readline") || this.monitor !== undefined;
    const control = this.monitors.some((m) => m.mode === "control");
    const stdioTaken = [this.qtest, explicit, this.monitor, ...this.monitors.map((m) => m.device)].some((s) =>
      this.#isStdio(s),
    );
    const defaults = terminal && !this.noDefaults && !stdioTaken;
    const monitors = [...this.monitors];
    if (this.monitor !== undefined && this.monitor.kind !== "null") {
      monitors.push({ mode: "readline", pretty: false, device: this.monitor });
    }
    let serial = explicit ?? nothing;
    if (explicit === undefined && defaults && this.qtest === undefined) {
      const shared: CharacterSpec = { kind: "stdio", signal: false, mux: true };
      serial = readline || control ? { kind: "stdio", signal: true } : shared;
      if (serial === shared) monitors.push({ mode: "readline", pretty: false, device: shared });
    } else if (explicit !== undefined && defaults && this.nographic && !readline && !control) {
      monitors.push({ mode: "readline", pretty: false, device: { kind: "stdio", signal: true } });
    } else if (explicit?.mux === true && explicit.kind !== "chardev") {
      monitors.push({ mode: "readline", pretty: false, device: explicit });
    }
    return { serial, monitors };
  }

  #isStdio(spec: CharacterSpec | undefined): boolean {
    if (spec?.kind === "chardev") return this.characterDevices.get(spec.id)?.kind === "stdio";
    return spec?.kind === "stdio";
  }

  /** Each expect has the last timeout before it; without one the first after it; without any the default. */
  #script(): ScriptStep[] {
    const steps: ScriptStep[] = [];
    let current: number | undefined;
    this.script.forEach((step, i) => {
      if (step.kind === "timeout") current = step.seconds;
      else if (step.kind === "send") steps.push(step);
      else {
        const later = this.script.slice(i).find((s) => s.kind === "timeout");
        const timeout = current ?? (later?.kind === "timeout" ? later.seconds : DEFAULT_EXPECT_TIMEOUT);
        steps.push({ ...step, timeout });
      }
    });
    return steps;
  }
}
