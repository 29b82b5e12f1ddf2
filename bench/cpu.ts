/**
 * Speed of the CPU over the programs of kernels.c, bare metal, MMU on: `npm run bench cpu [IMAGE]`. Each program's check value must be
 * met. Where qemu-system-aarch64 is installed the same image runs on it by turns, and the ratio of the medians is printed.
 * The image is `kernels-bare-100.bin` of `npm run guests` (ARMATURE_BENCH=short: `-10`, one run).
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createVirtMachine } from "../platform/virt/machine.ts";
import { InterpreterCode } from "../src/cpu/aarch64/engine/interpreter.ts";
import { MS } from "../src/sim/index.ts";
import { median } from "./support/measure.ts";

const short = process.env["ARMATURE_BENCH"] === "short";
const guests = process.env["ARMATURE_GUESTS"] ?? join(homedir(), ".cache", "armature-guests");
const image = process.argv[2] ?? join(guests, "img", `kernels-bare-${short ? 10 : 100}.bin`);
const runs = short ? 1 : 3;

interface Program {
  readonly name: string;
  readonly check: string;
  /** Seconds of wall time. */
  readonly seconds: number;
  /** Instructions, where they are counted. */
  readonly instructions: number;
}

/** Wall time of each program from the moments at which its lines appear; the guest's own clock runs in simulated time. */
function onArmature(code: InterpreterCode): Program[] {
  const machine = createVirtMachine({ code, memory: 2 ** 30, kernel: { name: image, data: readFileSync(image) } });
  const cpu = machine.cpus.cpus[0];
  const programs: Program[] = [];
  let line = "";
  let since = performance.now();
  let before = 0;
  machine.uart.onTransmit = (byte) => {
    if (byte !== 10) {
      line += String.fromCharCode(byte);
      return;
    }
    const now = performance.now();
    const instructions = cpu?.instructions ?? 0;
    const m = /^K (\w+) check=(\w+)/.exec(line);
    if (m && m[1] !== "TOTAL") {
      const [, name = "", check = ""] = m;
      programs.push({ name, check, seconds: (now - since) / 1000, instructions: instructions - before });
    }
    since = now;
    before = instructions;
    line = "";
  };
  // Short slices: the engine must be left for the optimised code to be taken up.
  while (machine.powerState === "running") machine.simulation.run(machine.simulation.now + MS);
  return programs;
}

/** QEMU's programs by the guest's clock, which is the host's there. */
function onQemu(): Program[] {
  const args = [
    "-M",
    "virt,gic-version=2",
    "-cpu",
    "cortex-a57",
    "-m",
    "1G",
    "-nographic",
    "-nic",
    "none",
    "-kernel",
    image,
  ];
  const { stdout } = spawnSync("qemu-system-aarch64", args, { encoding: "latin1", timeout: 120_000, input: "" });
  return [...(stdout ?? "").matchAll(/^K (\w+) check=(\w+) ns=(\d+)/gm)]
    .filter((m) => m[1] !== "TOTAL")
    .map(([, name = "", check = "", ns]) => ({ name, check, seconds: Number(ns) / 1e9, instructions: 0 }));
}

if (!existsSync(image)) {
  console.error(`bench/cpu: ${image} is missing: npm run guests makes it, or name an image`);
  process.exit(process.argv[2] === undefined ? 0 : 2);
}
const code = new InterpreterCode();
const ours: Program[][] = [];
const theirs: Program[][] = [];
for (let i = 0; i < runs; i++) {
  ours.push(onArmature(code));
  const other = onQemu();
  if (other.length > 0) theirs.push(other);
}
const first = ours[0] ?? [];
let good = first.length > 0;
console.log("program     instructions     MIPS    QEMU takes");
let instructions = 0;
let seconds = 0;
let qemuSeconds = 0;
first.forEach((p, i) => {
  const own = median(ours.map((r) => r[i]?.seconds ?? Number.NaN));
  const qemu = median(theirs.map((r) => r[i]?.seconds ?? Number.NaN));
  const checks = [...ours, ...theirs].map((r) => r[i]?.check);
  if (checks.some((c) => c !== p.check)) {
    good = false;
    console.log(`${p.name}: check values differ: ${[...new Set(checks)].join(", ")}`);
  }
  instructions += p.instructions;
  seconds += own;
  qemuSeconds += qemu;
  const ratio = theirs.length > 0 ? `${(qemu / own).toFixed(2)} of our time` : "";
  console.log(
    `${p.name.padEnd(10)} ${(p.instructions / 1e6).toFixed(1).padStart(10)} M ${(p.instructions / own / 1e6).toFixed(0).padStart(8)}    ${ratio}`,
  );
});
const ratio = theirs.length > 0 ? `${(qemuSeconds / seconds).toFixed(2)} of our time` : "";
console.log(
  `${"all".padEnd(10)} ${(instructions / 1e6).toFixed(1).padStart(10)} M ${(instructions / seconds / 1e6).toFixed(0).padStart(8)}    ${ratio}`,
);
process.exit(good ? 0 : 1);
