/**
 * Runs the C++ cases and the random programs on the SystemC installed (2.3.4; Debian's libsystemc-dev) and writes what they print to
 * two files expected.json, or with --check compares. The reasons for differing from SystemC, in differences.json, are written by hand.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode, makeProgram } from "./random/program.ts";

const RANDOM_PROGRAMS = 150;

const here = import.meta.dirname;
const build = mkdtempSync(join(tmpdir(), "systemc-cases-"));
const env = { ...process.env, SYSTEMC_DISABLE_COPYRIGHT_MESSAGE: "1", SC_COPYRIGHT_MESSAGE: "DISABLE" };

function compile(name: string, folder: string): string {
  const sources = readdirSync(folder).filter((file) => file.endsWith(".cpp"));
  const program = join(build, name);
  const flags = ["-O0", "-std=c++17", "-Wall", "-o", program];
  execFileSync("g++", [...flags, ...sources.map((s) => join(folder, s)), "-lsystemc"], { stdio: "inherit" });
  return program;
}

function run(program: string, args: string[], input = ""): string {
  const { status, stdout } = spawnSync(program, args, {
    env,
    input,
    encoding: "utf8",
    timeout: 20_000,
    maxBuffer: 1 << 17,
  });
  if (status !== 0) throw new Error(`${args.join(" ")} ${input}: the program fails, does not end, or prints too much`);
  return stdout.trimEnd();
}

/** Writes the data or, with --check, compares. */
function deliver(file: string, data: unknown): void {
  const path = join(here, file);
  if (!process.argv.includes("--check")) writeFileSync(path, `${JSON.stringify(data, null, 2)}\n`);
  else if (JSON.stringify(JSON.parse(readFileSync(path, "utf8"))) !== JSON.stringify(data)) {
    console.error(
      `${file} is not what SystemC prints; run node test/sim/systemc/generate.ts and look at the difference`,
    );
    process.exitCode = 1;
  } else console.log(`${file}: as SystemC prints it`);
}

try {
  const cases = compile("cases", here);
  const names = run(cases, []).split("\n");
  deliver("expected.json", Object.fromEntries(names.map((name) => [name, run(cases, [name]).split("\n")])));
  const random = compile("random", join(here, "random"));
  const traces = Array.from({ length: RANDOM_PROGRAMS }, (_, seed) => run(random, [], encode(makeProgram(seed))));
  deliver("random/expected.json", traces);
} finally {
  rmSync(build, { recursive: true });
}
