/**
 * Debian's kernel to the shell of its initramfs, beside QEMU's translator (-accel tcg,thread=single) on the same machine in one run: runs
 * of both in turn, medians. Needs what `npm run guests` fetches.
 *   node bench/linux.ts [RUNS] [-smp N] [--el2]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IMAGES, needImages, processorSeconds } from "./support/linux.ts";

const words = process.argv.slice(2);
const runs = Number(words.find((w) => /^\d+$/.test(w) && words[words.indexOf(w) - 1] !== "-smp") ?? 3);
const cpus = words.includes("-smp") ? (words[words.indexOf("-smp") + 1] as string) : "1";
const el2 = words.includes("--el2") ? ",virtualization=on" : "";
const kernel = join(IMAGES, "vmlinuz");
const initrd = join(IMAGES, "initrd-min.cpio.gz");
needImages("vmlinuz", "initrd-min.cpio.gz");

/** The shell of the initramfs says this. */
const MARKER = "VP-BOOT-OK";
const LIMIT = 300_000;

interface Figures {
  /** Seconds to the marker: of the clock, and of processor time of the whole process. */
  readonly wall: number;
  readonly processor: number;
  /** Peak resident memory at the marker, MiB. */
  readonly memory: number;
  readonly instructions?: number;
}

const machines: readonly { readonly name: string; readonly command: string; readonly options: readonly string[] }[] = [
  {
    name: "Armature",
    command: process.execPath,
    options: [join(import.meta.dirname, "../bin/armature.mjs"), "run", "-M", `virt${el2}`, "--stats"],
  },
  {
    name: "QEMU TCG",
    command: "qemu-system-aarch64",
    options: ["-M", `virt,gic-version=2${el2}`, "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-nic", "none"],
  },
];
const COMMON = [
  ...["-smp", cpus, "-m", "1G", "-nographic", "-kernel", kernel, "-initrd", initrd],
  ...["-append", "console=ttyAMA0 earlycon vptest=poweroff"],
];

async function boot(machine: (typeof machines)[number]): Promise<Figures> {
  const start = performance.now();
  const child = spawn(machine.command, [...machine.options, ...COMMON], { stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const timer = setTimeout(() => child.kill(), LIMIT);
  const figures = await atMarker(child, start);
  const code = await new Promise<number | null>((resolve) => child.on("exit", resolve));
  clearTimeout(timer);
  if (figures === null || code !== 0)
    throw new Error(`${machine.name}: ended with ${code} before or after the marker: ${errors}`);
  const [, instructions] = /(\d+) instructions, /.exec(errors) ?? [];
  return instructions === undefined ? figures : { ...figures, instructions: Number(instructions) };
}

function atMarker(child: ChildProcess, start: number): Promise<Figures | null> {
  let output = "";
  return new Promise((resolve) => {
    child.on("error", () => resolve(null));
    child.stdout?.on("end", () => resolve(null));
    child.stdout?.on("data", (data: Buffer) => {
      if (output.includes(MARKER)) return;
      output += data.toString("latin1");
      if (output.includes(MARKER))
        resolve({ wall: (performance.now() - start) / 1000, ...resources(child.pid as number) });
    });
  });
}

function resources(pid: number): { readonly processor: number; readonly memory: number } {
  const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
  return { processor: processorSeconds(pid), memory: Number(peak) / 1024 };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

const all = new Map<string, Figures[]>(machines.map((m) => [m.name, []]));
for (let i = 0; i < runs; i++) for (const m of machines) all.get(m.name)?.push(await boot(m));

console.log(
  `Debian's kernel from reset to user space, ${cpus} CPU(s)${el2 === "" ? "" : " at EL2"}, medians of ${runs} runs in turn`,
);
console.log("machine      wall s  processor s  peak MiB  M instructions    MIPS");
const walls: number[] = [];
for (const { name } of machines) {
  const list = all.get(name) as Figures[];
  const wall = median(list.map((f) => f.wall));
  walls.push(wall);
  const instructions = list[0]?.instructions;
  const millions = instructions === undefined ? "" : (instructions / 1e6).toFixed(0);
  const mips = instructions === undefined ? "" : (instructions / wall / 1e6).toFixed(0);
  console.log(
    `${name.padEnd(10)}${wall.toFixed(2).padStart(9)}${median(list.map((f) => f.processor))
      .toFixed(2)
      .padStart(13)}` +
      `${median(list.map((f) => f.memory))
        .toFixed(0)
        .padStart(10)}${millions.padStart(16)}${mips.padStart(8)}`,
  );
}
console.log(`ratio of wall times ${((walls[0] as number) / (walls[1] as number)).toFixed(2)} (aim: at most 3)`);
