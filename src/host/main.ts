/** The two programs: `armature` with its verbs, and `armature-system-aarch64` with QEMU's command line. */
import type { InterpreterCode } from "../cpu/aarch64/engine/interpreter.ts";
import { InputError } from "../formats/index.ts";
import { isSystemError, systemReason } from "./files.ts";
import { type Beginning, readBeginning } from "./keeper.ts";
import type { Flavour } from "./options/builder.ts";
import { parseCommandLine, withMachineWords } from "./options/parse.ts";
import type { RunOptions } from "./options/run-options.ts";
import { version } from "./product.ts";
import { EXIT_OK, EXIT_USER_ERROR } from "./runner.ts";
import { runSession } from "./session.ts";
import { runVerb } from "./verbs.ts";
import { buildMachine } from "./virt.ts";

export type Program = "armature" | "armature-system-aarch64";

/** A defect of ours; nothing a user does should lead here. */
const EXIT_DEFECT = 70;

/**
 * Runs the program with the words after its name. Returns the exit code; never throws. `code` is the compiled interpreter, for several runs in
 * one process.
 */
export async function main(program: Program, words: readonly string[], code?: InterpreterCode): Promise<number> {
  try {
    if (program === "armature") return await runVerb(words, (rest) => runMachine(program, rest, code));
    return await runMachine(program, words, code);
  } catch (error) {
    if (error instanceof InputError) {
      process.stderr.write(`${program}: ${error.message}\n`);
      return EXIT_USER_ERROR;
    }
    if (isSystemError(error) && error.code === "EPIPE") return EXIT_OK; // nobody reads our output any more
    if (isSystemError(error)) {
      process.stderr.write(`${program}: ${error.syscall}: ${systemReason(error)}\n`);
      return EXIT_USER_ERROR;
    }
    process.stderr.write(
      `${program}: internal error, please report it\n${error instanceof Error ? error.stack : error}\n`,
    );
    return EXIT_DEFECT;
  }
}

async function runMachine(program: Program, words: readonly string[], code?: InterpreterCode): Promise<number> {
  const flavour = program === "armature" ? "armature" : "qemu";
  const parsed = parseCommandLine(words, flavour, { program, version: version() });
  if (parsed.kind === "text") {
    process.stdout.write(parsed.text);
    return EXIT_OK;
  }
  const beginning = readBeginning(parsed.options);
  return start(program, asSaved(parsed.options, words, beginning, flavour, program), beginning, code);
}

/** The options with those of the machine that a snapshot or a recording is of, where the user left them out. */
function asSaved(
  run: RunOptions,
  words: readonly string[],
  beginning: Beginning,
  flavour: Flavour,
  program: Program,
): RunOptions {
  const saved = beginning.snapshot ?? beginning.recording;
  if (saved === null) return run;
  const all = withMachineWords(saved.options, words, run.machineWords);
  const parsed = parseCommandLine(all, flavour, { program, version: version() });
  if (parsed.kind !== "run") return run;
  const { options } = parsed;
  // The clock of the host was asked once, when the machine was first built.
  const base = saved.machine["rtc base"];
  const asked = options.rtcBase === "now" || options.rtcBase === "local";
  return asked && typeof base === "number" ? { ...options, rtcBase: base } : options;
}

async function start(
  program: Program,
  run: RunOptions,
  beginning: Beginning,
  code: InterpreterCode | undefined,
): Promise<number> {
  const machine = buildMachine(run, code);
  if (machine === null) return EXIT_OK;
  return runSession(machine, {
    beginning,
    run,
    program,
    prompt: program === "armature" ? "(armature) " : "(qemu) ",
    remark: program === "armature",
  });
}
