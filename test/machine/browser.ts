/** For the browser tests: the bundle, and a snapshot of the self test with what becomes of it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { createVirtMachine } from "../../platform/virt/machine.ts";
import { ZSTD } from "../../src/host/snapshots.ts";
import { encodeSnapshot } from "../../src/observe/index.ts";
import { MS } from "../../src/sim/index.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** One script that leaves `armature.goOn` behind. */
export async function bundle(): Promise<string> {
  const result = await build({
    entryPoints: [path("browser-entry.ts")],
    bundle: true,
    format: "iife",
    globalName: "armature",
    platform: "browser",
    target: "es2024",
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

export interface Sample {
  /** Arguments of `armature.goOn`. */
  readonly file: string;
  readonly kernel: string;
  /** What it must return. */
  readonly expected: { readonly before: string; readonly after: string; readonly output: string };
}

/** A snapshot taken among the checks, packed with zstd by Node; the same machine then runs on. */
export function sample(): Sample {
  const data = new Uint8Array(readFileSync(path("../../firmware/images/selftest.elf")));
  const machine = createVirtMachine({ kernel: { name: "selftest.elf", data }, cpus: 2, memory: 64 * 2 ** 20 });
  const { simulation } = machine;
  simulation.run(95 * MS);
  const before = simulation.stateHash();
  const state = simulation.save();
  const file = encodeSnapshot({ machine: {}, options: [], state, input: {}, midway: false }, ZSTD);
  let output = "";
  machine.uart.onTransmit = (byte) => {
    output += String.fromCharCode(byte);
  };
  simulation.run(simulation.now + 10_000_000_000);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  return { file: base64(file), kernel: base64(data), expected: { before, after: simulation.stateHash(), output } };
}
