/**
 * The human monitor: a small command set of QEMU's, with its output. `Monitor` runs lines, `MonitorTerminal` is the line editor around it for a
 * character device.
 */
import { ControlError, type MachineControl } from "./control.ts";
import type { DebugTarget } from "./gdb/target.ts";
import { parseUnsigned } from "./qtest.ts";

export interface MonitorServices {
  readonly control: MachineControl;
  /** Registers and memory; null where the machine has no CPU to show. */
  readonly target: DebugTarget | null;
  readonly deviceTree?: () => Uint8Array;
  /** The address map, one line a window. */
  readonly memoryMap?: () => readonly string[];
  /** Guest errors so far, as lines. */
  readonly guestErrors?: () => readonly string[];
  readonly characterDevices?: () => readonly {
    readonly label: string;
    readonly filename: string;
    readonly open: boolean;
  }[];
  /** Starts the GDB server on a device ("none" stops it); returns what to tell. */
  readonly gdbServer?: (device: string) => string;
  /** The state hash, for comparing runs. */
  readonly stateHash?: () => string;
  /** Saves a snapshot; throws with a reason. */
  readonly saveSnapshot?: (path: string) => void;
}

interface MonitorCommand {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly usage?: string;
  readonly help: string;
  run(args: readonly string[], rest: string): string;
}

/** Number of bytes a memory dump may show. */
const MAX_DUMP = 65_536;

export class Monitor {
  readonly #services: MonitorServices;
  readonly #commands: readonly MonitorCommand[];
  readonly #info: readonly MonitorCommand[];
  #cpu = 0;

  constructor(services: MonitorServices) {
    this.#services = services;
    this.#commands = this.#mainCommands();
    this.#info = this.#infoCommands();
  }

  /** Runs one line; returns what it prints, lines ending in CR LF. Never throws for what the user typed. */
  run(line: string, cpu?: number): string {
    const before = this.#cpu;
    if (cpu !== undefined) this.#cpu = cpu;
    try {
      return this.#dispatch(this.#commands, line.trim(), "");
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      return `Error: ${error.message}\r\n`;
    } finally {
      if (cpu !== undefined) this.#cpu = before;
    }
  }

  #dispatch(table: readonly MonitorCommand[], text: string, prefix: string): string {
    if (text === "") return "";
    // A format may stick to the command: x/4xw.
    const m = /^([^\s/]+)\s*(.*)$/s.exec(text);
    const name = m?.[1] ?? text;
    const rest = m?.[2] ?? "";
    const command = table.find((c) => c.name === name || c.aliases?.includes(name) === true);
    if (command === undefined) return `unknown command: '${prefix}${name}'\r\n`;
    return command.run(rest === "" ? [] : rest.split(/\s+/), rest);
  }

  #mainCommands(): readonly MonitorCommand[] {
    const { control } = this.#services;
    const plain = (
      name: string,
      help: string,
      action: () => void,
      aliases: readonly string[] = [],
    ): MonitorCommand => ({
      name,
      aliases,
      help,
      run: () => {
        action();
        return "";
      },
    });
    return [
      plain("quit", "end the emulator", () => control.quit(), ["q"]),
      plain("stop", "stop the machine", () => control.stop(), ["s"]),
      plain("cont", "let the machine go on", () => control.cont(), ["c"]),
      plain("system_reset", "reset the machine", () => control.reset()),
      plain("system_powerdown", "press the power key", () => control.powerdown()),
      {
        name: "info",
        usage: "[subcommand]",
        help: "show something about the machine",
        run: (_args, rest) =>
          rest === "" ? this.#list(this.#info, "info ") : this.#dispatch(this.#info, rest, "info "),
      },
      {
        name: "help",
        aliases: ["?"],
        usage: "[command]",
        help: "show this help",
        run: (args) => this.#help(args[0]),
      },
      {
        name: "x",
        usage: "/fmt addr",
        help: "show memory by virtual address; fmt is a count, a format (x, d, u, o, c) and a size (b, h, w, g)",
        run: (_args, rest) => this.#dump(rest, false),
      },
      {
        name: "xp",
        usage: "/fmt addr",
        help: "show memory by physical address",
        run: (_args, rest) => this.#dump(rest, true),
      },
      {
        name: "print",
        aliases: ["p"],
        usage: "expression",
        help: "print a number or a register ($x0)",
        run: (args) => {
          const value = this.#expression(args.at(-1) ?? "");
          return `0x${value.toString(16)}\r\n`;
        },
      },
      {
        name: "cpu",
        usage: "index",
        help: "choose the CPU that commands look at",
        run: (args) => {
          const n = Number(args[0]);
          if (!Number.isInteger(n) || n < 0 || n >= control.description.cpus) return "invalid CPU index\r\n";
          this.#cpu = n;
          return "";
        },
      },
      {
        name: "gdbserver",
        usage: "[device]",
        help: "start the GDB server (default tcp::1234), stop it with 'none'",
        run: (args) => {
          const start = this.#services.gdbServer;
          if (start === undefined) throw new ControlError("no GDB server in this program");
          return `${start(args[0] ?? "tcp::1234")}\r\n`;
        },
      },
      {
        name: "memsave",
        usage: "addr size file",
        help: "write virtual memory to a file",
        run: (args) => this.#save(args, false),
      },
      {
        name: "pmemsave",
        usage: "addr size file",
        help: "write physical memory to a file",
        run: (args) => this.#save(args, true),
      },
      {
        name: "savevm",
        usage: "file",
        help: "save a snapshot of the machine; --snapshot goes on from it",
        run: ([path]) => {
          const save = this.#services.saveSnapshot;
          if (path === undefined || save === undefined) throw new ControlError("savevm: expected a file name");
          save(path);
          return "";
        },
      },
      {
        name: "dumpdtb",
        usage: "file",
        help: "write the device tree to a file",
        run: ([path]) => {
          const tree = this.#services.deviceTree;
          if (path === undefined || tree === undefined) throw new ControlError("dumpdtb: expected a file name");
          control.saveFile(path, tree());
          return "";
        },
      },
    ];
  }

  #infoCommands(): readonly MonitorCommand[] {
    const { control } = this.#services;
    const lines = (list: readonly string[] | undefined) => (list ?? []).map((l) => `${l}\r\n`).join("");
    const item = (name: string, help: string, run: (args: readonly string[]) => string): MonitorCommand => ({
      name,
      help,
      run,
    });
    return [
      item("status", "whether the machine runs", () => {
        const { state } = control;
        return `VM status: ${state === "prelaunch" ? "paused (prelaunch)" : state === "debug" ? "paused (debug)" : state}\r\n`;
      }),
      item("registers", "registers of the CPU (-a: of all)", (args) => this.#registers(args[0] === "-a")),
      item("cpus", "the CPUs", () =>
        lines(
          Array.from(
            { length: control.description.cpus },
            (_, n) => `${n === this.#cpu ? "*" : " "} CPU #${n}: thread_id=${n + 1}`,
          ),
        ),
      ),
      item("version", "version of this program", () => "10.0.2 (Armature)\r\n"),
      item("name", "name of the guest", () =>
        lines(control.description.guestName === undefined ? [] : [control.description.guestName]),
      ),
      item("mtree", "the address map", () => lines(this.#services.memoryMap?.())),
      item("chardev", "character devices", () =>
        lines((this.#services.characterDevices?.() ?? []).map((c) => `${c.label}: filename=${c.filename}`)),
      ),
      item("guest-errors", "guest errors so far", () => lines(this.#services.guestErrors?.())),
      item("hash", "hash of the machine's state", () =>
        lines(this.#services.stateHash ? [this.#services.stateHash()] : []),
      ),
    ];
  }

  #list(table: readonly MonitorCommand[], prefix = ""): string {
    return table
      .map((c) => {
        const names = [c.name, ...(c.aliases ?? [])].join("|");
        return `${prefix}${names} ${c.usage ?? ""} -- ${c.help}\r\n`;
      })
      .join("");
  }

  #help(name: string | undefined): string {
    if (name === undefined) return this.#list(this.#commands);
    if (name === "info") return this.#list(this.#info, "info ");
    return this.#list(this.#commands.filter((c) => c.name === name || c.aliases?.includes(name) === true));
  }

  get #target(): DebugTarget {
    const { target } = this.#services;
    if (target === null) throw new ControlError("this machine has no CPU to look at");
    return target;
  }

  /** A register of the CPU as a number, or null where it has none of that name. */
  #register(name: string, cpu = this.#cpu): bigint | null {
    const target = this.#target;
    const index = target.registers.findIndex((r) => r.name.toLowerCase() === name.toLowerCase());
    const bytes = index < 0 ? null : target.readRegister(cpu, index);
    return bytes === null ? null : toNumber(bytes);
  }

  #expression(text: string): bigint {
    const value = text.startsWith("$") ? this.#register(text.slice(1)) : parseUnsigned(text);
    if (value === null) throw new ControlError(`'${text}': expected a number or $register`);
    return value;
  }

  #registers(all: boolean): string {
    const cpus = all ? Array.from({ length: this.#services.control.description.cpus }, (_, n) => n) : [this.#cpu];
    return cpus.map((cpu) => this.#registersOf(cpu)).join("");
  }

  #registersOf(cpu: number): string {
    const get = (name: string) => (this.#register(name, cpu) ?? 0n).toString(16).padStart(16, "0");
    const items = [
      ` PC=${get("pc")}`,
      ...Array.from({ length: 31 }, (_, n) => `X${String(n).padStart(2, "0")}=${get(`x${n}`)}`),
      ` SP=${get("sp")}`,
    ];
    let text = `\r\nCPU#${cpu}\r\n`;
    items.forEach((item, i) => {
      const endOfLine = i === items.length - 1 || (i > 0 && (i === 1 || (i - 1) % 3 === 0));
      text += item + (endOfLine ? "\r\n" : " ");
    });
    const pstate = Number(this.#register("cpsr", cpu) ?? 0n);
    const flags = ["N", "Z", "C", "V"].map((f, i) => ((pstate >>> (31 - i)) & 1 ? f : "-")).join("");
    const level = (pstate >>> 2) & 3;
    return `${text}PSTATE=${pstate.toString(16).padStart(8, "0")} ${flags} EL${level}${(pstate & 1) !== 0 ? "h" : "t"}\r\n`;
  }

  #dump(text: string, physical: boolean): string {
    const m = /^(?:\/(\d*)([xduoci]?)([bhwg]?)([xduoci]?)\s+)?(\S+)$/.exec(text.trim());
    if (m === null) throw new ControlError("expected /fmt and an address, such as x /4xw 0x40000000");
    const format = m[2] || m[4] || "x";
    if (format === "i") throw new ControlError("no disassembler here: use GDB's x/i");
    const size = format === "c" ? 1 : ({ b: 1, h: 2, w: 4, g: 8 }[m[3] as string] ?? 4);
    const count = m[1] ? Number(m[1]) : 1;
    if (count * size > MAX_DUMP) throw new ControlError(`${count} items: expected at most ${MAX_DUMP / size}`);
    const address = this.#expression(m[5] as string);
    const data = physical
      ? this.#target.readPhysical(address, count * size)
      : this.#target.readMemory(this.#cpu, address, count * size);
    const perLine = format === "c" ? 8 : Math.max(1, 16 / size);
    let out = "";
    for (let i = 0; i < count; i += perLine) {
      const at = BigInt.asUintN(64, address + BigInt(i * size));
      out += `${at.toString(16).padStart(16, "0")}:`;
      for (let j = i; j < Math.min(i + perLine, count); j++) {
        if ((j + 1) * size > data.length) return `${out}\r\nCannot access memory\r\n`;
        out += ` ${formatItem(data.subarray(j * size, (j + 1) * size), format)}`;
      }
      out += "\r\n";
    }
    return out;
  }

  #save(args: readonly string[], physical: boolean): string {
    const [address, size, path] = args;
    if (address === undefined || size === undefined || path === undefined) {
      throw new ControlError("expected an address, a size and a file name");
    }
    const at = this.#expression(address);
    const length = Number(this.#expression(size));
    if (length > 2 ** 31) throw new ControlError(`size ${size}: expected at most 2^31`);
    const data = physical ? this.#target.readPhysical(at, length) : this.#target.readMemory(this.#cpu, at, length);
    if (data.length < length) throw new ControlError(`Invalid addr ${address}/size ${size} specified`);
    this.#services.control.saveFile(path, data);
    return "";
  }
}

function toNumber(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
  return value;
}

function formatItem(bytes: Uint8Array, format: string): string {
  const value = toNumber(bytes);
  switch (format) {
    case "d":
      return BigInt.asIntN(8 * bytes.length, value).toString();
    case "u":
      return value.toString();
    case "o":
      return `0${value.toString(8)}`;
    case "c": {
      const n = Number(value);
      return n >= 32 && n < 127 ? `'${String.fromCharCode(n)}'` : `'\\x${n.toString(16).padStart(2, "0")}'`;
    }
    default:
      return `0x${value.toString(16).padStart(2 * bytes.length, "0")}`;
  }
}

/** A line editor on a character device: echo, backspace, Ctrl-U, history by up and down. */
export class MonitorTerminal {
  readonly #monitor: Monitor;
  readonly #send: (text: string) => void;
  readonly #prompt: string;
  #line = "";
  #escape = "";
  readonly #history: string[] = [];
  #at = 0;
  #greeted = false;

  constructor(monitor: Monitor, send: (text: string) => void, prompt = "(qemu) ") {
    this.#monitor = monitor;
    this.#send = send;
    this.#prompt = prompt;
  }

  /** The user turns to the monitor. */
  open(): void {
    if (!this.#greeted) this.#send("Armature monitor - type 'help' for more information\r\n");
    this.#greeted = true;
    this.#send(this.#prompt + this.#line);
  }

  receive(text: string): void {
    for (const c of text) this.#character(c);
  }

  #character(c: string): void {
    if (this.#escape !== "" || c === "\x1b") {
      this.#escapeSequence(c);
      return;
    }
    if (c === "\r" || c === "\n") {
      const line = this.#line;
      this.#line = "";
      this.#send("\r\n");
      if (line.trim() !== "" && this.#history.at(-1) !== line) this.#history.push(line);
      if (this.#history.length > 100) this.#history.shift();
      this.#at = this.#history.length;
      this.#send(this.#monitor.run(line));
      this.#send(this.#prompt);
    } else if (c === "\x7f" || c === "\b") {
      if (this.#line !== "") this.#send("\b \b");
      this.#line = this.#line.slice(0, -1);
    } else if (c === "\x15") this.#replace("");
    else if (c >= " " && this.#line.length < 4096) {
      this.#line += c;
      this.#send(c);
    }
  }

  #escapeSequence(c: string): void {
    this.#escape += c;
    if (this.#escape === "\x1b[" || this.#escape === "\x1b" || this.#escape === "\x1bO") return;
    if (/[0-9;]/.test(c) && this.#escape.length < 8) return;
    this.#escape = "";
    const step = c === "A" ? -1 : c === "B" ? 1 : 0;
    const line = this.#history[this.#at + step];
    if (step === 0 || (line === undefined && step < 0)) return;
    this.#at = Math.min(this.#at + step, this.#history.length);
    this.#replace(line ?? "");
  }

  #replace(line: string): void {
    this.#send("\b \b".repeat(this.#line.length) + line);
    this.#line = line;
  }
}
