/**
 * Runs the C++ cases on the SystemC installed (2.3.4; Debian's libsystemc-dev) and writes what they print to
 * expected.json, or with --check compares. The reasons for differing from SystemC, in differences.json, are written by hand.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const here = import.meta.dirname;
const build = mkdtempSync(join(tmpdir(), "systemc-cases-"));
try {
  const sources = readdirSync(here).filter((name) => name.endsWith(".cpp"));
  const program = join(build, "cases");
  execFileSync(
    "g++",
    ["-O0", "-std=c++17", "-Wall", "-o", program, ...sources.map((s) => join(here, s)), "-lsystemc"],
    {
      stdio: "inherit",
    },
  );
  const env = { ...process.env, SYSTEMC_DISABLE_COPYRIGHT_MESSAGE: "1", SC_COPYRIGHT_MESSAGE: "DISABLE" };
  const run = (...args: string[]) => {
    const { status, stdout } = spawnSync(program, args, { env, encoding: "utf8", timeout: 20_000, maxBuffer: 1 << 16 });
    if (status !== 0) throw new Error(`${args.join(" ")}: the case does not end, or prints too much`);
    return stdout.trimEnd().split("\n");
  };
  const expected = Object.fromEntries(run().map((name) => [name, run(name)]));
  const text = `${JSON.stringify(expected, null, 1)}\n`;
  const path = join(here, "expected.json");
  if (!process.argv.includes("--check")) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) {
    console.error(
      "expected.json is not what SystemC prints; run node test/sim/systemc/generate.ts and look at the difference",
    );
    process.exitCode = 1;
  } else console.log(`${Object.keys(expected).length} cases as SystemC prints them`);
} finally {
  rmSync(build, { recursive: true });
}
