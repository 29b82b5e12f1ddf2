/**
 * Fuzzes every part on and on with new seeds: `npm run fuzz -- [NAME...] [--seed N] [--seconds N] [--accesses N] [--once]`.
 * Parts are the records `devices` in test/devices/<part>/device.ts. The first failure is printed with the command that
 * repeats it, and ends the run with exit code 1; Ctrl-C and `--seconds` end it with 0.
 */
import { existsSync, readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { type DeviceFactory, FuzzFailure, runFuzz } from "../test/registers/harness/fuzz.ts";

async function factories(): Promise<Map<string, DeviceFactory>> {
  const found = new Map<string, DeviceFactory>();
  const root = new URL("../test/devices/", import.meta.url);
  for (const folder of readdirSync(root).sort()) {
    const file = new URL(`${folder}/device.ts`, root);
    if (!existsSync(file)) continue;
    const { devices = {} } = (await import(file.href)) as { devices?: { [name: string]: DeviceFactory } };
    for (const [name, factory] of Object.entries(devices)) found.set(name, factory);
  }
  return found;
}

function usage(message: string): never {
  console.error(`fuzz: ${message}`);
  console.error("usage: npm run fuzz -- [NAME...] [--seed N] [--seconds N] [--accesses N] [--once]");
  process.exit(2);
}

function whole(option: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) usage(`--${option} ${text}: expected a whole number`);
  return value;
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seed: { type: "string" },
        seconds: { type: "string" },
        accesses: { type: "string" },
        once: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return usage(error instanceof Error ? error.message : "bad options");
  }
}

const { values, positionals } = options();
const all = await factories();
const names = positionals.length > 0 ? positionals : [...all.keys()];
for (const name of names) if (!all.has(name)) usage(`no part "${name}"; there are: ${[...all.keys()].join(", ")}`);
const seconds = values.seconds === undefined ? Number.POSITIVE_INFINITY : whole("seconds", values.seconds, 0);
const accesses = whole("accesses", values.accesses, 100_000);
const firstSeed = whole("seed", values.seed, Date.now() % 1_000_000_000);
const end = performance.now() + 1000 * seconds;

let runs = 0;
let interrupted = false;
process.once("SIGINT", () => {
  interrupted = true;
});
fuzzing: for (let seed = firstSeed; ; seed++) {
  for (const name of names) {
    await new Promise((resolve) => setImmediate(resolve));
    if (interrupted || performance.now() >= end) break fuzzing;
    try {
      runFuzz(all.get(name) as DeviceFactory, { seed, accesses });
      runs++;
    } catch (error) {
      if (!(error instanceof FuzzFailure)) throw error;
      console.error(`${name}: ${error.message}`);
      console.error(`repeat with: npm run fuzz -- "${name}" --seed ${seed} --accesses ${accesses} --once`);
      process.exit(1);
    }
  }
  console.log(`seed ${seed}: ${names.length} parts, ${accesses} accesses each: passed`);
  if (values.once) break;
}
console.log(`fuzz: ${runs} runs passed, seeds from ${firstSeed} on`);
