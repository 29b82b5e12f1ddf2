/** The two programs: `armature` with its verbs, and `armature-system-aarch64` with QEMU's command line. */
import { InputError } from "../formats/index.ts";
import { isSystemError, systemReason } from "./files.ts";
import { parseCommandLine } from "./options/parse.ts";
import type { RunOptions } from "./options/run-options.ts";
import { version } from "./product.ts";
import { EXIT_OK, EXIT_USER_ERROR } from "./runner.ts";
import { runSession } from "./session.ts";
import { runVerb } from "./verbs.ts";
import { buildMachine } from "./virt.ts";

export type Program = "armature" | "armature-system-aarch64";

/** A defect of ours; nothing a user does should lead here. */
const EXIT_DEFECT = 70;

/** Runs the program with the words after its name. Returns the exit code; never throws. */
export async function main(program: Program, words: readonly string[]): Promise<number> {
  try {
    if (program === "armature") return await runVerb(words, (rest) => runMachine(program, rest));
    return await runMachine(program, words);
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

async function runMachine(program: Program, words: readonly string[]): Promise<number> {
  const flavour = program === "armature" ? "armature" : "qemu";
  const parsed = parseCommandLine(words, flavour, { program, version: version() });
  if (parsed.kind === "text") {
    process.stdout.write(parsed.text);
    return EXIT_OK;
  }
  return start(program, parsed.options);
}

async function start(program: Program, run: RunOptions): Promise<number> {
  const machine = buildMachine(run);
  if (machine === null) return EXIT_OK;
  return runSession(machine, {
    run,
    program,
    prompt: program === "armature" ? "(armature) " : "(qemu) ",
    remark: program === "armature",
  });
}
