/** The verbs of `armature`: run a machine, and print what is derived from declarations and board data. */
import { Command, CommanderError } from "commander";
import { boardHeader, boardMarkdown } from "../../platform/virt/exports.ts";
import { InputError, parseFdt, printDts } from "../formats/index.ts";
import { addExperimentCommands } from "./experiments/verb.ts";
import { writeOutput } from "./files.ts";
import { parseCommandLine } from "./options/parse.ts";
import { version } from "./product.ts";
import { describeDevice, deviceNames, type RegisterFormat } from "./registers.ts";
import { EXIT_OK } from "./runner.ts";
import { buildMachine } from "./virt.ts";
import { runVms, type VmRunOptions } from "./vm.ts";

interface TopWords {
  readonly json?: string;
  readonly interval: string;
  readonly consoles?: string;
  readonly net?: string;
}

/** Runs one verb; `run` takes the words after `armature run`. Throws InputError for what the user got wrong. */
export async function runVerb(
  words: readonly string[],
  run: (words: readonly string[]) => Promise<number>,
): Promise<number> {
  let code = EXIT_OK;
  const product = { program: "armature", version: version() };
  const program = new Command("armature")
    .description("A virtual platform: register-accurate Arm SoC running real firmware")
    .version(product.version)
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput({ writeErr: () => {} });

  program
    .command("run")
    .description("run a machine; takes the options of qemu-system-aarch64 (armature run --help)")
    .argument("[options...]")
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action(async (options: string[]) => {
      code = await run(options);
    });
  program
    .command("regs")
    .description("print a device's registers, from its declaration")
    .argument("[device]", "name of the part; without it the parts are listed")
    .option("--header", "as a C header")
    .option("--test", "as a C program that checks the header")
    .option("--svd", "as CMSIS-SVD")
    .option("--markdown", "as Markdown")
    .option("-o, --output <file>", "write to a file")
    .action((device: string | undefined, options: { [key: string]: boolean | string | undefined }) => {
      const { output, ...formats } = options;
      const chosen = Object.keys(formats).filter((f) => formats[f] === true);
      if (chosen.length > 1) throw new InputError(`regs: --${chosen.join(" --")}: expected one format`);
      const text =
        device === undefined ? deviceNames() : describeDevice(device, (chosen[0] ?? "table") as RegisterFormat);
      print(text, output);
    });
  program
    .command("dtb")
    .description("print the board's device tree, as a blob or as source; machine options as for run")
    .argument("[options...]", "-M, -smp, -m, -cpu, -kernel, -append, ...")
    .allowUnknownOption()
    .option("--dts", "as source, as dtc prints it")
    .option("-o, --output <file>", "write to a file (the blob otherwise goes to standard output)")
    .action((options: string[], { dts, output }: { dts?: boolean; output?: string }) => {
      const tree = deviceTree(options);
      if (dts === true) print(printDts(parseFdt(tree, "the board's device tree")), output);
      else if (output !== undefined) writeOutput("-o", output, tree);
      else if (process.stdout.isTTY) {
        throw new InputError("dtb: a blob is nothing for a terminal: expected -o FILE, --dts, or a pipe");
      } else process.stdout.write(tree);
    });
  program
    .command("map")
    .description("print the board's address map and interrupts, as Markdown")
    .option("--header", "as a C header")
    .option("-o, --output <file>", "write to a file")
    .action(({ header, output }: { header?: boolean; output?: string }) => {
      print(header === true ? boardHeader() : boardMarkdown(), output);
    });
  const vm = program.command("vm").description("virtual machines under the hypervisor");
  vm.command("run")
    .description("run the VMs of a file (docs/hypervisor.md), and print their exits and what they cost")
    .argument("<config>", "JSON with comments, schema docs/vm-config.schema.json")
    .option("--layout <layout>", "prefix: each line with its VM's name; columns: side by side", "prefix")
    .option("--json <file>", "write exits and accounts to a file")
    .option("--net <network>", "the network behind the TOE, as -netdev: tap,ifname=tap0 (the file's peer unless given)")
    .option("--guest-errors <file>", "write guest errors to a file as JSON lines, as text to standard error")
    .option("--quiet", "no table at the end")
    .option("--input <vm>", "standard input goes to this VM's console")
    .action(async (config: string, options: Omit<VmRunOptions, "layout" | "top"> & { layout: string }) => {
      const { layout, json, net, guestErrors, quiet, input } = options;
      if (layout !== "prefix" && layout !== "columns") {
        throw new InputError(`vm run: --layout ${layout}: expected prefix or columns`);
      }
      code = await runVms(config, {
        layout,
        ...(net === undefined ? {} : { net }),
        ...(json === undefined ? {} : { json }),
        ...(guestErrors === undefined ? {} : { guestErrors }),
        ...(quiet === undefined ? {} : { quiet }),
        ...(input === undefined ? {} : { input }),
      });
    });
  program
    .command("top")
    .description("run the VMs of a file and show exits and times while they run, in place of their consoles")
    .argument("<config>", "as for vm run")
    .option("--json <file>", "write snapshots of all counters, a line of JSON each")
    .option("--interval <seconds>", "simulated time between snapshots", "0.1")
    .option("--consoles <dir>", "write the consoles to files there")
    .option("--net <network>", "as for vm run")
    .action(async (config: string, options: TopWords) => {
      const { json, interval, consoles, net } = options;
      const seconds = Number(interval);
      if (!(seconds >= 1e-6 && seconds <= 1e6)) {
        throw new InputError(`top: --interval ${interval}: expected seconds, from 0.000001 up`);
      }
      const top = {
        interval: seconds,
        ...(json === undefined ? {} : { json }),
        ...(consoles === undefined ? {} : { consoles }),
      };
      code = await runVms(config, { top, ...(net === undefined ? {} : { net }) });
    });
  program
    .command("machines")
    .description("list the machines")
    .action(() => {
      const list = parseCommandLine(["-M", "help"], "armature", product);
      if (list.kind === "text") process.stdout.write(list.text);
    });
  addExperimentCommands(program);
  program.addHelpText("after", "\n`armature run --help` lists the options of a run.");

  try {
    await program.parseAsync(words as string[], { from: "user" });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT_OK;
    if (error.code === "commander.help") {
      // No verb at all.
      process.stderr.write(program.helpInformation());
      throw new InputError("expected a command: run, vm, top, experiment, regs, dtb, map or machines");
    }
    throw new InputError(`${error.message.replace(/^error: /, "")} (armature --help lists the commands)`);
  }
}

function deviceTree(options: readonly string[]): Uint8Array {
  const parsed = parseCommandLine([...options], "armature", { program: "armature", version: version() });
  if (parsed.kind === "text") throw new InputError(`dtb: "${options.join(" ")}": expected machine options`);
  const machine = buildMachine(parsed.options);
  if (machine === null) throw new InputError("dtb: dumpdtb= already writes the tree: use -o");
  return machine.deviceTree;
}

function print(text: string, output: string | boolean | undefined): void {
  const whole = text.endsWith("\n") ? text : `${text}\n`;
  if (typeof output === "string") writeOutput("-o", output, whole);
  else process.stdout.write(whole);
}
