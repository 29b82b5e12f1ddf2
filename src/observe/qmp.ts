/**
 * QEMU's machine protocol (QMP), the part that drives a machine: greeting, capabilities, queries, run control, events. One
 * object is one connection. The version that it reports is the one of QEMU whose behaviour it follows.
 */
import { ControlError, type ControlEvent, type MachineControl } from "./control.ts";
import { formatJson, JsonStream } from "./json.ts";

export const QMP_VERSION = { qemu: { micro: 2, minor: 0, major: 10 }, package: "Armature" };

export interface QmpServices {
  readonly control: MachineControl;
  /** The device tree in use. */
  readonly deviceTree?: () => Uint8Array;
  /** Physical memory without side effects. */
  readonly readPhysical?: (address: bigint, length: number) => Uint8Array;
  /** Memory by virtual address as CPU `cpu` sees it; null where it is not mapped. */
  readonly readVirtual?: (cpu: number, address: bigint, length: number) => Uint8Array | null;
  /** Runs a line of the human monitor, returns what it prints. */
  readonly monitor?: (line: string, cpu: number) => string;
  /** Saves a snapshot; throws with a reason. */
  readonly saveSnapshot?: (path: string) => void;
  /** Wall-clock time in microseconds since 1970, for events. */
  readonly wallClock: () => number;
  /** Character devices: label and what they are connected to. */
  readonly characterDevices?: () => readonly {
    readonly label: string;
    readonly filename: string;
    readonly open: boolean;
  }[];
  /** Sends a break on a character device; false where there is none of that name. */
  readonly sendBreak?: (label: string) => boolean;
  /** Takes up to `size` bytes out of a ring buffer; null where there is none of that name. */
  readonly readRing?: (label: string, size: number) => string | null;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
type Arguments = { readonly [name: string]: Json | undefined };
interface Command {
  /** Arguments by name with their type; a `?` at the end of the type makes one optional. */
  readonly arguments?: { readonly [name: string]: "string" | "int" | "string?" | "int?" | "bool?" };
  run(args: Arguments): Json;
}

export class QmpSession {
  readonly #services: QmpServices;
  readonly #send: (text: string) => void;
  readonly #pretty: boolean;
  readonly #stream = new JsonStream();
  readonly #commands: { readonly [name: string]: Command };
  #negotiated = false;
  #unobserve: (() => void) | null = null;

  /** `send` gets whole messages with their line end. */
  constructor(services: QmpServices, send: (text: string) => void, pretty = false) {
    this.#services = services;
    this.#send = send;
    this.#pretty = pretty;
    this.#commands = commandsOf(services, () => Object.keys(this.#commands));
  }

  /** A client has connected. */
  open(): void {
    this.#negotiated = false;
    this.#message({ QMP: { version: QMP_VERSION, capabilities: [] } });
    this.#unobserve?.();
    this.#unobserve = this.#services.control.observe((e) => {
      if (this.#negotiated) this.#event(e);
    });
  }

  close(): void {
    this.#unobserve?.();
    this.#unobserve = null;
  }

  receive(text: string): void {
    for (const message of this.#stream.push(text)) this.#request(message);
  }

  #request(text: string): void {
    let request: Json;
    try {
      request = JSON.parse(text) as Json;
    } catch {
      this.#message({ error: { class: "GenericError", desc: `JSON parse error in '${text.slice(0, 80)}'` } });
      return;
    }
    const id = isObject(request) ? request["id"] : undefined;
    try {
      this.#message({ return: this.#execute(request), id });
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      this.#message({ id, error: { class: error.kind, desc: error.message } });
    }
  }

  #execute(request: Json): Json {
    if (!isObject(request)) throw new ControlError("QMP input must be a JSON object");
    for (const key of Object.keys(request)) {
      if (!["execute", "exec-oob", "arguments", "id"].includes(key)) {
        throw new ControlError(`QMP input member '${key}' is unexpected`);
      }
    }
    const name = request["execute"];
    if (request["exec-oob"] !== undefined) {
      throw new ControlError("Out-of-band execution is not enabled: expected the member 'execute'");
    }
    if (name === undefined) throw new ControlError("QMP input lacks member 'execute'");
    if (typeof name !== "string") throw new ControlError("QMP input member 'execute' must be a string");
    const args = request["arguments"] ?? {};
    if (!isObject(args)) throw new ControlError("QMP input member 'arguments' must be an object");
    if (name === "qmp_capabilities") {
      if (this.#negotiated) {
        throw new ControlError("Capabilities negotiation is already complete, command ignored", "CommandNotFound");
      }
      this.#negotiated = true;
      return {};
    }
    if (!this.#negotiated) {
      throw new ControlError("Expecting capabilities negotiation with 'qmp_capabilities'", "CommandNotFound");
    }
    const command = Object.hasOwn(this.#commands, name) ? this.#commands[name] : undefined;
    if (command === undefined) throw new ControlError(`The command ${name} has not been found`, "CommandNotFound");
    check(args, command.arguments ?? {});
    return command.run(args);
  }

  #event(event: ControlEvent): void {
    const now = this.#services.wallClock();
    this.#message({
      timestamp: { seconds: Math.floor(now / 1e6), microseconds: Math.floor(now % 1e6) },
      event: event.name,
      data: "data" in event ? event.data : undefined,
    });
  }

  #message(message: Json): void {
    this.#send(`${formatJson(message, this.#pretty)}\r\n`);
  }
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json | undefined } {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function check(args: Arguments, expected: NonNullable<Command["arguments"]>): void {
  for (const [name, type] of Object.entries(expected)) {
    const value = args[name];
    const optional = type.endsWith("?");
    if (value === undefined) {
      if (!optional) throw new ControlError(`Parameter '${name}' is missing`);
      continue;
    }
    const base = optional ? type.slice(0, -1) : type;
    if (base === "string" && typeof value !== "string") throw wrongType(name, "string");
    if (base === "bool" && typeof value !== "boolean") throw wrongType(name, "boolean");
    if (base === "int" && !Number.isSafeInteger(value)) throw wrongType(name, "integer");
  }
  for (const name of Object.keys(args)) {
    if (!(name in expected)) throw new ControlError(`Parameter '${name}' is unexpected`);
  }
}

function wrongType(name: string, expected: string): ControlError {
  return new ControlError(`Invalid parameter type for '${name}', expected: ${expected}`);
}

function commandsOf(services: QmpServices, names: () => string[]): { readonly [name: string]: Command } {
  const { control } = services;
  const d = control.description;
  const nothing = (action: () => void): Command => ({
    run: () => {
      action();
      return {};
    },
  });
  const answer = (value: () => Json): Command => ({ run: value });
  const save = (path: Json | undefined, bytes: Uint8Array): Json => {
    control.saveFile(path as string, bytes);
    return {};
  };
  const range = (args: Arguments): [bigint, number] => {
    const size = args["size"] as number;
    if (size < 0 || size > 2 ** 31) throw new ControlError(`size ${size}: expected 0 to 2^31`);
    return [BigInt.asUintN(64, BigInt(args["val"] as number)), size];
  };
  const unavailable = (what: string) => new ControlError(`${what} is not available`);
  return {
    "query-commands": answer(() => ["qmp_capabilities", ...names()].map((name) => ({ name }))),
    "query-version": answer(() => QMP_VERSION),
    "query-status": answer(() => ({ status: control.state, running: control.state === "running" })),
    "query-name": answer(() => (d.guestName === undefined ? {} : { name: d.guestName })),
    "query-uuid": answer(() => ({ UUID: "00000000-0000-0000-0000-000000000000" })),
    "query-kvm": answer(() => ({ enabled: false, present: false })),
    "query-target": answer(() => ({ arch: "aarch64" })),
    "query-machines": answer(() => [
      {
        "hotpluggable-cpus": false,
        name: "virt-10.0",
        "numa-mem-supported": false,
        "default-cpu-type": `${DEFAULT_CPU}-arm-cpu`,
        acpi: false,
        "cpu-max": MAX_CPUS,
        deprecated: false,
        "default-ram-id": "mach-virt.ram",
        alias: "virt",
        "is-default": true,
      },
    ]),
    "query-current-machine": answer(() => ({ "wakeup-suspend-support": false })),
    "query-cpus-fast": answer(() =>
      Array.from({ length: d.cpus }, (_, n) => ({
        "thread-id": n + 1,
        props: { "core-id": n, "thread-id": 0, "socket-id": 0, "cluster-id": 0 },
        "qom-path": `/machine/unattached/device[${n}]`,
        "cpu-index": n,
        target: "aarch64",
      })),
    ),
    "query-memory-size-summary": answer(() => ({ "base-memory": d.memory, "plugged-memory": 0 })),
    "query-gic-capabilities": answer(() => [{ emulated: true, version: 2, kernel: false }]),
    "query-cpu-definitions": answer(() => [{ name: d.cpuModel, typename: `${d.cpuModel}-arm-cpu`, static: false }]),
    "query-iothreads": answer(() => []),
    "query-block": answer(() => []),
    "query-block-jobs": answer(() => []),
    "query-migrate": answer(() => ({})),
    "query-chardev": answer(() =>
      (services.characterDevices?.() ?? []).map((c) => ({
        "frontend-open": c.open,
        filename: c.filename,
        label: c.label,
      })),
    ),
    "chardev-send-break": {
      arguments: { id: "string" },
      run: ({ id }) => {
        if (services.sendBreak?.(id as string) !== true) {
          throw new ControlError(`Chardev '${id}' not found`, "DeviceNotFound");
        }
        return {};
      },
    },
    "ringbuf-read": {
      arguments: { device: "string", size: "int", format: "string?" },
      run: ({ device, size, format }) => {
        const text = services.readRing?.(device as string, size as number) ?? null;
        if (text === null) throw new ControlError(`Device '${device}' not found`);
        return format === "base64" ? btoa(text) : text;
      },
    },
    stop: nothing(() => control.stop()),
    cont: nothing(() => control.cont()),
    system_reset: nothing(() => control.reset()),
    system_powerdown: nothing(() => control.powerdown()),
    system_wakeup: answer(() => {
      throw new ControlError("wake-up from suspend is not supported by this guest");
    }),
    "inject-nmi": answer(() => {
      throw new ControlError("machine does not provide NMIs");
    }),
    quit: nothing(() => control.quit()),
    "x-save-snapshot": {
      arguments: { filename: "string" },
      run: ({ filename }) => {
        if (services.saveSnapshot === undefined) throw unavailable("saving");
        services.saveSnapshot(filename as string);
        return {};
      },
    },
    dumpdtb: {
      arguments: { filename: "string" },
      run: ({ filename }) => {
        if (services.deviceTree === undefined) throw unavailable("the device tree");
        return save(filename, services.deviceTree());
      },
    },
    memsave: {
      arguments: { val: "int", size: "int", filename: "string", "cpu-index": "int?" },
      run: (args) => {
        const cpu = (args["cpu-index"] as number | undefined) ?? 0;
        if (cpu < 0 || cpu >= d.cpus) throw new ControlError("Parameter 'cpu-index' expects a CPU number");
        const [address, size] = range(args);
        if (services.readVirtual === undefined) throw unavailable("virtual memory");
        const bytes = services.readVirtual(cpu, address, size);
        if (bytes === null) {
          throw new ControlError(`Invalid addr 0x${address.toString(16).padStart(16, "0")}/size ${size} specified`);
        }
        return save(args["filename"], bytes);
      },
    },
    pmemsave: {
      arguments: { val: "int", size: "int", filename: "string" },
      run: (args) => {
        if (services.readPhysical === undefined) throw unavailable("physical memory");
        return save(args["filename"], services.readPhysical(...range(args)));
      },
    },
    "human-monitor-command": {
      arguments: { "command-line": "string", "cpu-index": "int?" },
      run: (args) => {
        if (services.monitor === undefined) throw unavailable("the human monitor");
        return services.monitor(args["command-line"] as string, (args["cpu-index"] as number | undefined) ?? 0);
      },
    },
  };
}

const DEFAULT_CPU = "cortex-a57";
const MAX_CPUS = 8;
