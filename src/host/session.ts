/** One run from the command line: the machine, its character devices, the protocols on them, the loop, the end. */
import { unlinkSync, writeFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { InputError } from "../formats/index.ts";
import { GdbSession, Monitor, MonitorTerminal, PanicWatch, QmpSession, QtestServer } from "../observe/index.ts";
import { formatTime, NEVER, SEC } from "../sim/index.ts";
import type { CharacterDevice } from "./chardev/device.ts";
import { RingDevice } from "./chardev/files.ts";
import { CharacterDevices, type CharacterLine } from "./chardev/open.ts";
import { SocketDevice } from "./chardev/socket.ts";
import { MachineDebugger } from "./debugger.ts";
import { type Beginning, Keeper } from "./keeper.ts";
import { attachLog, type Log } from "./log.ts";
import type { HostMachine } from "./machine.ts";
import type { OutsideNetwork } from "./net/networks.ts";
import { parseCharacterDevice } from "./options/chardev-spec.ts";
import type { RunOptions } from "./options/run-options.ts";
import { openQtestLog } from "./qtest-log.ts";
import { asCommand, EXIT_FAILED, EXIT_OK, EXIT_RESET, type Outcome, Runner } from "./runner.ts";
import { Script } from "./script.ts";

export interface SessionOptions {
  readonly run: RunOptions;
  readonly program: string;
  /** Prompt of the human monitor. */
  readonly prompt: string;
  /** Tell of guest errors at the end even where no option asked for them. */
  readonly remark: boolean;
  /** The snapshot to go on from, the recording to repeat; neither unless given. */
  readonly beginning?: Beginning;
}

/** A port of a virtio console and what it has written since the last flush. */
interface ConsoleLine {
  readonly label: string;
  readonly line: CharacterLine;
  readonly output: number[];
}

/** Runs `machine` to its end. Returns the exit code. */
export async function runSession(machine: HostMachine, options: SessionOptions): Promise<number> {
  const session = new Session(machine, options);
  return session.run();
}

class Session {
  readonly #machine: HostMachine;
  readonly #options: SessionOptions;
  readonly #run: RunOptions;
  readonly #runner: Runner;
  readonly #devices: CharacterDevices;
  readonly #script: Script | null;
  readonly #log: Log;
  readonly #debugger: MachineDebugger | null;
  readonly #monitor: Monitor;
  readonly #keeper: Keeper;
  readonly #outside: readonly OutsideNetwork[];
  #serialLine: CharacterLine | null = null;
  #serialOutput: number[] = [];
  readonly #consoleLines: ConsoleLine[] = [];
  #gdbServer: SocketDevice | null = null;

  constructor(machine: HostMachine, options: SessionOptions) {
    this.#machine = machine;
    this.#options = options;
    const { run } = options;
    this.#run = run;
    this.#keeper = new Keeper(machine, run, options.beginning ?? { snapshot: null, recording: null });
    const { journal, replay, midway } = this.#keeper;
    // A replay needs nobody outside.
    this.#outside = replay === null ? (machine.outside ?? []) : [];
    const paced = this.#outside.length > 0 && run.throttle !== false;
    this.#script =
      run.script.length === 0
        ? null
        : new Script(run.script, {
            send: (text) => this.#runner.type(Buffer.from(text, "latin1")),
            now: () => performance.now(),
          });
    this.#runner = new Runner(machine, {
      description: {
        machine: "virt",
        cpuModel: run.cpuModel,
        cpus: run.cpus,
        memory: run.memory,
        ...(run.name === undefined ? {} : { guestName: run.name }),
      },
      startPaused: run.startPaused,
      midway,
      journal,
      replay,
      clockOwned: run.accelerator === "qtest",
      onReset: run.onReset,
      onShutdown: run.onShutdown,
      maxTime: run.maxTime === undefined ? NEVER : Math.round(run.maxTime * SEC),
      timeout: run.timeout === undefined ? Number.POSITIVE_INFINITY : run.timeout * 1000,
      throttle: () => run.throttle ?? (replay === null && (paced || (this.#script === null && this.#attended()))),
      paced,
      attended: () => this.#attended(),
      script: this.#script,
      // QEMU's own code on its command line
      resetCode: options.remark ? EXIT_RESET : EXIT_OK,
    });
    this.#log = attachLog(run, machine.simulation, machine.declarations);
    this.#devices = new CharacterDevices(run.characterDevices, run.escapeCharacter, {
      interrupt: () => this.#runner.leave("host-signal"),
      leave: () => this.#runner.leave("host-ui"),
      save: () => this.#keeper.saveOnDemand(),
      now: () => performance.now(),
    });
    this.#debugger = machine.debug === null ? null : new MachineDebugger(this.#runner, machine.debug);
    this.#monitor = this.#makeMonitor();
    if (this.#debugger) {
      this.#debugger.monitorCommands = this.#monitor;
      this.#debugger.frozen = this.#keeper.frozen;
    }
    this.#connect();
  }

  async run(): Promise<number> {
    const { run } = this.#options;
    const onSignal = (signal: NodeJS.Signals) => {
      this.#runner.leave("host-signal", `ended by ${signal}`);
    };
    const signals: NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const s of signals) process.on(s, onSignal);
    if (run.pidFile !== undefined) writePidFile(run.pidFile);
    try {
      await this.#devices.start();
      for (const { port } of this.#outside) await port.start();
      this.#keeper.begin(this.#runner);
      this.#runner.onFlush = () => {
        this.#keeper.flush();
        this.#flushSerial();
        this.#log.flush();
        this.#machine.flush?.();
      };
      const outcome = await this.#runner.run();
      this.#flushSerial();
      this.#machine.finish();
      await this.#closeOutside();
      // The terminal is the user's again before anything is said.
      await this.#devices.close();
      return this.#report(outcome);
    } finally {
      for (const s of signals) process.off(s, onSignal);
      this.#keeper.abandon();
      await this.#closeOutside();
      await this.#devices.close();
      await this.#gdbServer?.close();
      this.#log.close();
      if (run.pidFile !== undefined) removePidFile(run.pidFile);
    }
  }

  #report(outcome: Outcome): number {
    const say = (text: string) => process.stderr.write(`${this.#options.program}: ${text}\n`);
    if (outcome.message !== undefined) say(outcome.message);
    if (outcome.report === true) for (const line of this.#machine.report()) say(line);
    const code = this.#keeper.finish(outcome, say);
    const run = this.#run;
    const { reporter } = this.#machine.simulation;
    const asked = run.strict || run.guestErrorsFile !== undefined || run.logGuestErrors || run.logUnimplemented;
    const summary = this.#log.guestErrors.summary();
    if (asked) for (const line of summary) say(line);
    else if (this.#options.remark && reporter.guestErrors > 0) {
      say(`${reporter.guestErrors} guest errors; -d guest_errors shows them`);
    }
    if (run.statistics) {
      const { instructions, simulation } = this.#machine;
      say(`${instructions} instructions, ${formatTime(simulation.now)} of simulated time`);
    }
    if (run.stateHash) process.stdout.write(`state hash ${this.#machine.simulation.stateHash()}\n`);
    return run.strict && reporter.guestErrors > 0 ? EXIT_FAILED : code;
  }

  async #closeOutside(): Promise<void> {
    await Promise.all(this.#outside.map((network) => network.close()));
  }

  /** Somebody may still type, connect or send a command. */
  #attended(): boolean {
    return this.#devices.all.some((d) => d.interactive) || this.#gdbServer !== null;
  }

  #connect(): void {
    const { run } = this.#options;
    if (run.qtest !== undefined) this.#connectQtest(run.qtest);
    this.#connectSerial();
    this.#connectConsoles();
    for (const m of run.monitors) {
      if (m.mode === "control") this.#connectQmp(m.device, m.pretty);
      else this.#connectMonitor(m.device);
    }
    if (run.gdb !== undefined) this.#connectGdb(run.gdb);
  }

  #connectSerial(): void {
    const { serial } = this.#machine;
    if (serial === null) return;
    const spec = this.#run.serial;
    const line = this.#devices.connect("serial0", spec, true, {
      receive: (data) => {
        this.#runner.type(data);
        if (this.#runner.pendingInput() > HIGH_WATER) line.device.hold(true);
      },
      sendBreak: () => this.#runner.sendBreak(),
      closed: () => this.#runner.wake(),
    });
    this.#serialLine = line;
    const output = this.#serialOutput;
    const script = this.#script;
    const panics = new PanicWatch();
    serial.onTransmit = (byte) => {
      output.push(byte);
      const panic = panics.output(byte);
      if (panic !== null) this.#runner.panicked(panic);
      const text = String.fromCharCode(byte);
      script?.output(text);
      this.#keeper.output(text);
      if (output.length >= 65_536) this.#flushSerial();
    };
  }

  #connectConsoles(): void {
    this.#machine.consoles?.forEach(({ label, spec, port }, n) => {
      const line = this.#devices.connect(label, spec, true, {
        receive: (data) => {
          this.#runner.type(data, label);
          if (this.#runner.pendingInput(label) > HIGH_WATER) line.device.hold(true);
        },
        closed: () => this.#runner.wake(),
      });
      const output: number[] = [];
      this.#consoleLines.push({ label, line, output });
      port.onTransmit = (byte) => {
        output.push(byte);
        if (output.length >= 65_536) this.#flushConsole(n);
      };
    });
  }

  #flushConsole(n: number): void {
    const { label, line, output } = this.#consoleLines[n] as ConsoleLine;
    if (output.length > 0) line.write(Buffer.from(output));
    output.length = 0;
    if (this.#runner.pendingInput(label) < HIGH_WATER / 2) line.device.hold(false);
  }

  #flushSerial(): void {
    for (const n of this.#consoleLines.keys()) this.#flushConsole(n);
    if (this.#serialOutput.length > 0) {
      const data = Buffer.from(this.#serialOutput);
      this.#serialOutput.length = 0;
      this.#serialLine?.write(data);
    }
    if (this.#serialLine !== null && this.#runner.pendingInput() < HIGH_WATER / 2) this.#serialLine.device.hold(false);
  }

  #makeMonitor(): Monitor {
    const machine = this.#machine;
    return new Monitor({
      control: this.#runner,
      target: this.#debugger,
      deviceTree: () => machine.deviceTree,
      memoryMap: () => machine.memoryMap(),
      guestErrors: () => this.#log.guestErrors.summary(),
      characterDevices: () => this.#characterDevices(),
      gdbServer: (device) => this.#startGdb(device),
      stateHash: () => machine.simulation.stateHash(),
      saveSnapshot: (path) => asCommand(() => this.#keeper.save(path)),
    });
  }

  #characterDevices() {
    return this.#devices.all.map((d) => ({ label: d.label, filename: d.filename, open: d.connected }));
  }

  #connectMonitor(spec: RunOptions["serial"]): void {
    let terminal: MonitorTerminal;
    const shared = spec.mux === true;
    const line = this.#devices.connect("monitor", spec, true, {
      receive: (data) => terminal.receive(data.toString("latin1")),
      focus: () => terminal.open(),
      opened: () => {
        if (!shared) terminal.open();
      },
    });
    terminal = new MonitorTerminal(
      this.#monitor,
      (text) => line.write(Buffer.from(text, "latin1")),
      this.#options.prompt,
    );
  }

  #connectQmp(spec: RunOptions["serial"], pretty: boolean): void {
    const machine = this.#machine;
    const target = this.#debugger;
    let session: QmpSession;
    const line = this.#devices.connect("qmp", spec, false, {
      receive: (data) => session.receive(data.toString("utf8")),
      opened: () => session.open(),
      closed: () => session.close(),
    });
    session = new QmpSession(
      {
        control: this.#runner,
        deviceTree: () => machine.deviceTree,
        ...(target === null
          ? {}
          : {
              readPhysical: (address, length) => target.readPhysical(address, length),
              readVirtual: (cpu, address, length) => {
                const data = target.readMemory(cpu, address, length);
                return data.length < length ? null : data;
              },
            }),
        saveSnapshot: (path) => asCommand(() => this.#keeper.save(path)),
        monitor: (text, cpu) => this.#monitor.run(text, cpu),
        wallClock: () => (performance.timeOrigin + performance.now()) * 1000,
        characterDevices: () => this.#characterDevices(),
        sendBreak: (label) => {
          if (this.#devices.find(label) === null) return false;
          this.#runner.sendBreak();
          return true;
        },
        readRing: (label, size) => {
          const ring = this.#devices.find(label);
          return ring instanceof RingDevice ? ring.take(size).toString("latin1") : null;
        },
      },
      (text) => line.write(Buffer.from(text, "utf8")),
      pretty,
    );
  }

  #connectQtest(spec: RunOptions["serial"]): void {
    const machine = this.#machine;
    const log = openQtestLog(this.#run.qtestLog);
    let line: CharacterLine;
    const server = new QtestServer(
      {
        simulation: machine.simulation,
        bus: machine.bus,
        ownsClock: this.#run.accelerator === "qtest",
        device: (path) => machine.qtestDevice(path),
      },
      (text) => {
        log?.sent(text);
        line.write(Buffer.from(text, "latin1"));
      },
    );
    line = this.#devices.connect("qtest", spec, false, {
      receive: (data) => {
        const text = data.toString("latin1");
        log?.received(text);
        server.receive(text);
        this.#flushSerial();
      },
      opened: () => log?.event("OPENED"),
      closed: () => {
        log?.event("CLOSED");
        // Who drove the machine is gone, and nothing else moves it.
        if (this.#run.accelerator === "qtest" && line.device.ended && !this.#attended()) this.#runner.quit();
      },
    });
  }

  #connectGdb(spec: RunOptions["serial"]): void {
    const target = this.#debugger;
    if (target === null) throw new InputError("-gdb: this machine has no CPU to debug");
    let session: GdbSession | null = null;
    const line = this.#devices.connect("gdb", spec, false, {
      receive: (data) => session?.receive(data.toString("latin1")),
      opened: () => {
        session = new GdbSession(target, (text) => line.write(Buffer.from(text, "latin1")));
        session.open();
      },
      closed: () => {
        session?.close();
        session = null;
      },
    });
    if (line.device instanceof SocketDevice) this.#gdbServer = line.device;
  }

  /** The monitor's `gdbserver`. */
  #startGdb(device: string): string {
    void this.#gdbServer?.close();
    this.#gdbServer = null;
    if (device === "none") return "Disabled gdbserver";
    const target = this.#debugger;
    if (target === null) return "this machine has no CPU to debug";
    const spec = parseCharacterDevice("gdbserver", device);
    if (spec.kind !== "socket") return `${device}: expected tcp:HOST:PORT or unix:PATH`;
    const server = new SocketDevice("gdb", { ...spec, server: true, wait: false });
    let session: GdbSession | null = null;
    server.onOpen = () => {
      session = new GdbSession(target, (text) => server.print(text));
      session.open();
    };
    server.onData = (data) => session?.receive(data.toString("latin1"));
    server.onClose = () => session?.close();
    server
      .start()
      .catch((error: unknown) => process.stderr.write(`${this.#options.program}: ${(error as Error).message}\n`));
    this.#gdbServer = server;
    return `Waiting for gdb connection on device '${device}'`;
  }
}

/** Bytes of input waiting for the guest at which the other side is held. */
const HIGH_WATER = 65_536;

function writePidFile(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch (error) {
    throw new InputError(`-pidfile ${path}: cannot be written: ${(error as Error).message}`);
  }
}

function removePidFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody was quicker.
  }
}

export type { CharacterDevice };
