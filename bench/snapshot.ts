/**
 * How long a booted Linux of 512 MiB takes to be saved and restored, and how large the file is: `node bench/snapshot.ts`. Needs Debian's kernel
 * and the initramfs of `npm run guests`; the machine is built before the clock starts, as a restoring process does while it reads the file.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { createVirtMachine, type VirtMachine } from "../platform/virt/machine.ts";
import { InterpreterCode } from "../src/cpu/aarch64/engine/interpreter.ts";
import { ZSTD } from "../src/host/snapshots.ts";
import { decodeSnapshot, encodeSnapshot } from "../src/observe/index.ts";
import { SEC } from "../src/sim/index.ts";

const folder = join(process.env["ARMATURE_GUESTS"] ?? join(homedir(), ".cache/armature-guests"), "img");
const [kernelPath, initrdPath] = [join(folder, "vmlinuz"), join(folder, "initrd-min.cpio.gz")];
if (!existsSync(kernelPath) || !existsSync(initrdPath)) {
  console.log('no Linux here: "npm run guests" fetches it');
  process.exit(0);
}
const packed = readFileSync(kernelPath);
const kernel = packed[0] === 0x1f ? new Uint8Array(gunzipSync(packed)) : new Uint8Array(packed);
const code = new InterpreterCode();

function build(): VirtMachine {
  return createVirtMachine({
    kernel: { name: "vmlinuz", data: kernel },
    initrd: { name: "initrd", data: new Uint8Array(readFileSync(initrdPath)) },
    append: "console=ttyAMA0 vptest=shell",
    memory: 512 * 2 ** 20,
    code,
  });
}

const machine = build();
let output = "";
machine.uart.onTransmit = (byte) => {
  output += String.fromCharCode(byte);
};
const limit = 20 * SEC;
while (!output.includes("VP-SHELL") && machine.simulation.now < limit && machine.powerState === "running") {
  machine.simulation.run(machine.simulation.now + SEC / 100);
}
if (!output.includes("VP-SHELL")) throw new Error(`no shell: ${output.slice(-500)}`);

const directory = mkdtempSync(join(tmpdir(), "armature-"));
const path = join(directory, "linux.snap");
const hash = machine.simulation.stateHash();
const rows: string[] = [];
for (let round = 0; round < 3; round++) {
  const began = performance.now();
  const state = machine.simulation.save();
  const collected = performance.now();
  const file = encodeSnapshot({ machine: {}, options: [], state, input: {}, midway: false }, ZSTD);
  const encoded = performance.now();
  writeFileSync(path, file);
  const written = performance.now();
  const fresh = build();
  const start = performance.now();
  const read = readFileSync(path);
  const snapshot = decodeSnapshot(read, path, [ZSTD]);
  const decoded = performance.now();
  fresh.simulation.load(snapshot.state);
  const loaded = performance.now();
  if (fresh.simulation.stateHash() !== hash) throw new Error("the restored machine is another");
  const ms = (n: number) => `${n.toFixed(0)} ms`;
  rows.push(
    `save ${ms(written - began)} (collect ${ms(collected - began)}, pack ${ms(encoded - collected)}, write ${ms(written - encoded)}), ` +
      `restore ${ms(loaded - start)} (read ${ms(decoded - start)}, load ${ms(loaded - decoded)}), ${(statSync(path).size / 2 ** 20).toFixed(1)} MiB`,
  );
}
rmSync(directory, { recursive: true });
console.log(`Linux of 512 MiB at its shell, ${(machine.simulation.now / SEC).toFixed(2)} s after power-on`);
for (const row of rows) console.log(row);
