/** `armature vm run FILE`: VMs under the hypervisor, from a file of JSON with comments. Consoles go to standard output, each line with its VM's name. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { gunzipSync } from "node:zlib";
import { Ajv } from "ajv";
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import { InputError } from "../formats/index.ts";
import {
  checkConfiguration,
  createConfiguredMachine,
  type HypervisorConfiguration,
  type Place,
  type VmImages,
} from "../hypervisor/config.ts";
import { VM_CONFIG_SCHEMA } from "../hypervisor/config-schema.ts";
import { hypervisorReport } from "../hypervisor/report.ts";
import { formatTime, NEVER, SEC } from "../sim/index.ts";
import { isSystemError, readInput, systemReason, writeOutput } from "./files.ts";
import { attachLog } from "./log.ts";
import { EXIT_FAILED, EXIT_HANG, EXIT_OK } from "./runner.ts";
import { Top, type TopOptions, topText } from "./top.ts";
import { VmConsoles } from "./vm-consoles.ts";
import { Attendant, runAttended } from "./vm-input.ts";
import { VmNetwork } from "./vm-network.ts";
import { reportText } from "./vm-report.ts";
import { VmVirtio } from "./vm-virtio.ts";

export interface VmRunOptions {
  /** "columns": one beside the other. */
  readonly layout?: "prefix" | "columns";
  /** File for the report as JSON. */
  readonly json?: string;
  /** The network behind the TOE, as -netdev; in place of the file's peer. */
  readonly net?: string;
  /** File for guest errors as JSON lines, as text on standard error then. */
  readonly guestErrors?: string;
  /** No table at the end. */
  readonly quiet?: boolean;
  /** In place of the consoles a table of exits and times, drawn anew while the VMs run. */
  readonly top?: TopOptions;
  /** The VM whose console has standard input. */
  readonly input?: string;
}

/** Of what a run of the board alone can log. */
const QUIET = { logGuestErrors: false, logUnimplemented: false, strict: false, trace: [] } as const;

/** Simulated seconds unless the file says otherwise. */
const DEFAULT_LIMIT = 600;

/** Reads and checks a file. Throws InputError that names file, line and both parties. */
export function readVmConfiguration(path: string): HypervisorConfiguration {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new InputError(`${path}: cannot be read: ${systemReason(error)}`);
  }
  return parseVmConfiguration(path, text);
}

/** The same of a text; `path` is for messages. */
export function parseVmConfiguration(path: string, text: string): HypervisorConfiguration {
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first !== undefined || root === undefined) {
    const what = first === undefined ? "it is empty" : words(printParseErrorCode(first.error));
    throw new InputError(`${path}:${lineOf(text, first?.offset ?? 0)}: ${what}`);
  }
  const line = (place: Place): number => lineOf(text, nearest(root, place).offset);
  const value: unknown = getNodeValue(root);
  const validate = new Ajv({ allErrors: true, strict: false }).compile(VM_CONFIG_SCHEMA);
  const problems: string[] = [];
  if (!validate(value)) {
    for (const error of validate.errors ?? []) {
      const place = error.instancePath.split("/").slice(1).map(unescapePointer);
      // of alternatives their sum says enough
      if (error.schemaPath.includes("/anyOf/")) continue;
      const extra = (error.params as { additionalProperty?: string }).additionalProperty;
      const at = extra === undefined ? place : [...place, extra];
      const name = at.length === 0 ? "the file" : at.join(".");
      problems.push(
        `${path}:${line(at)}: ${name}: ${extra === undefined ? error.message : "no such property is known"}`,
      );
    }
    throw new InputError(problems.join("\n"));
  }
  const config = value as HypervisorConfiguration;
  for (const { message, at, other } of checkConfiguration(config)) {
    const second = other === undefined ? "" : ` (the other: ${path}:${line(other)})`;
    problems.push(`${path}:${line(at)}: ${message}${second}`);
  }
  if (problems.length > 0) throw new InputError(problems.join("\n"));
  return config;
}

/** Runs the VMs of a file. 0: all have switched themselves off. */
export async function runVms(path: string, options: VmRunOptions = {}): Promise<number> {
  const config = readVmConfiguration(path);
  const { input } = options;
  const listener = config.vms.findIndex((vm) => vm.name === input);
  if (input !== undefined && listener < 0) {
    throw new InputError(`vm run: --input ${input}: expected one of ${config.vms.map((vm) => vm.name).join(", ")}`);
  }
  const names = config.vms.map((vm) => vm.name);
  const consoles = new VmConsoles(names, options.layout ?? "prefix", (text) => process.stdout.write(text));
  const folder = dirname(path);
  const images = config.vms.map((vm): VmImages => {
    const image = (name: string) => ({ name, data: unzip(name, readInput(`${vm.name}:`, resolve(folder, name))) });
    const plain = (name: string) => ({ name, data: readInput(`${vm.name}:`, resolve(folder, name)) });
    return {
      kernel: image(vm.kernel),
      ...(vm.initrd === undefined ? {} : { initrd: plain(vm.initrd) }),
      ...(vm.dtb === undefined ? {} : { dtb: plain(vm.dtb) }),
    };
  });
  const begun = performance.now();
  const network = new VmNetwork(config, options.net);
  const { connect, connectCard } = network;
  const virtio = new VmVirtio(config, folder, network.networks);
  let top: Top | null = null;
  const put = (vm: number, byte: number) => (top ?? consoles).put(vm, byte);
  const made = createConfiguredMachine(config, images, put, {
    virtio: virtio.make,
    connectCard,
    ...(connect === undefined ? {} : { connect }),
  });
  virtio.onOutput(put);
  const { machine, hypervisor, vms } = made;
  const { simulation } = machine;
  const { guestErrors } = options;
  const log =
    guestErrors === undefined
      ? null
      : attachLog({ ...QUIET, guestErrorsFile: guestErrors }, simulation, machine.declarations);
  if (options.top !== undefined) {
    top = new Top(options.top, names, process.stdout, () => hypervisorReport(hypervisor));
  }
  const done = () => vms.every((vm) => vm.status === "off" || vm.status === "stopped");
  for (const vm of vms) {
    vm.onState = () => {
      if (vm.status !== "defined" && top === null)
        consoles.remark(vm.id, `[${vm.status}${vm.cells.reason === "" ? "" : `: ${vm.cells.reason}`}]`);
      if (done()) simulation.pause();
    };
  }
  const limit = (config.limit ?? DEFAULT_LIMIT) * SEC;
  const console = made.consoles[listener] ?? virtio.consoleOf(listener);
  if (top !== null && network.outside) {
    const watched = top;
    const looked = (over: () => boolean) => (): boolean => {
      watched.look(simulation.now);
      return over();
    };
    await top.watch((over) => network.run(simulation, limit, looked(over)), done);
  } else if (top !== null) await top.run(simulation, limit, done);
  else if (console !== null && network.outside) {
    // simulated time is no faster than the host's then anyway
    const attendant = new Attendant(console);
    await network.run(simulation, limit, () => {
      attendant.pump();
      return done();
    });
    attendant.close();
  } else if (console !== null) await runAttended(simulation, console, limit, done);
  else if (network.outside) await network.run(simulation, limit, done);
  else simulation.run(limit);
  virtio.close();
  log?.close();
  (top ?? consoles).end();
  const report = hypervisorReport(hypervisor);
  if (top !== null) process.stdout.write(`${topText(report, null)}\n`);
  if (options.quiet !== true) {
    const wall = performance.now() - begun;
    process.stdout.write(
      `\n${reportText(report)}\n${network.report}${formatTime(simulation.now)} simulated in ${(wall / 1000).toFixed(1)} s\n`,
    );
  }
  if (options.json !== undefined) writeOutput("--json", options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (top?.interrupted === true) return EXIT_OK;
  if (!done()) {
    const idle = simulation.nextEventTime >= NEVER;
    process.stderr.write(`armature: ${idle ? "the VMs sleep and nothing would wake them" : "the time is up"}\n`);
    return idle ? EXIT_HANG : EXIT_FAILED;
  }
  return vms.every((vm) => vm.status === "off") && network.complete ? EXIT_OK : EXIT_FAILED;
}

function unzip(name: string, data: Uint8Array): Uint8Array {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  try {
    return new Uint8Array(gunzipSync(data, { maxOutputLength: 2 ** 30 }));
  } catch (error) {
    throw new InputError(
      `${name}: the gzip file is damaged: ${isSystemError(error) ? systemReason(error) : String(error)}`,
    );
  }
}

/** The node at a place, or the innermost one on the way that exists. */
function nearest(root: Node, place: Place): Node {
  for (let length = place.length; length > 0; length--) {
    const path = place.slice(0, length).map((step, i) => listPosition(root, place.slice(0, i), step));
    const found = findNodeAtLocation(root, path);
    if (found !== undefined) return found.parent?.type === "property" ? found.parent : found;
  }
  return root;
}

/** Pointers hold list positions as text. */
function listPosition(root: Node, before: Place, step: string | number): string | number {
  const numbers = before.map((s) => (typeof s === "string" && /^\d+$/.test(s) ? Number(s) : s));
  const parent = findNodeAtLocation(root, numbers);
  return parent?.type === "array" ? Number(step) : step;
}

function unescapePointer(step: string): string {
  return step.replaceAll("~1", "/").replaceAll("~0", "~");
}
function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
/** "PropertyNameExpected" in words. */
function words(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}
