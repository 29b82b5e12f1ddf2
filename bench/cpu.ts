/**
 * Speed of the interpreter on a bare-metal image: node bench/cpu.ts IMAGE.bin [--wait]
 * IMAGE is a flat binary linked at 0x40080000 that prints "K name check=..." lines on the UART (see `--kernels` in the docs).
 */
import { readFileSync } from "node:fs";
import { InterpreterCode } from "../src/cpu/aarch64/engine/interpreter.ts";
import { FlatMachine, LEFT_HVC } from "../test/cpu/aarch64/engine/flat-machine.ts";

/** Milliseconds of processor time of this thread: other load on the machine does not count. */
const clock = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};
const image = process.argv[2];
if (image === undefined) {
  console.error("usage: node bench/cpu.ts IMAGE.bin");
  process.exit(2);
}
const t0 = clock();
const code = new InterpreterCode();
const t1 = clock();
const machine = new FlatMachine(code);
console.log(
  `module built and compiled in ${(t1 - t0).toFixed(0)} ms, machine in ${(clock() - t1).toFixed(1)} ms`,
);
console.log(`handlers: ${code.handlers.hot.length} hot, ${code.handlers.cold.length} cold`);
machine.load8(readFileSync(image), 0x4008_0000);
machine.pc = 0x4008_0000;

let line = "";
let lastTime = clock();
let lastCount = 0;
const results: { name: string; check: string; instructions: number; seconds: number }[] = [];
machine.onOutput = (text) => {
  if (text !== "\n") {
    line += text;
    return;
  }
  const now = clock();
  const count = machine.retired + machine.get32(0x14c) / 16;
  const m = /^K (\w+) check=(\w+)/.exec(line.trim());
  if (m && m[1] !== "TOTAL") {
    const seconds = (now - lastTime) / 1000;
    const instructions = count - lastCount;
    results.push({ name: m[1] as string, check: m[2] as string, instructions, seconds });
    console.log(
      `${(m[1] as string).padEnd(10)} ${m[2]} ${(instructions / 1e6).toFixed(0).padStart(6)} M ${(instructions / seconds / 1e6).toFixed(0).padStart(6)} MIPS`,
    );
  } else console.log(line.trim());
  lastTime = now;
  lastCount = count;
  line = "";
};
let status = 0;
const start = clock();
while (status === 0) status = machine.run(2_000_000);
const seconds = (clock() - start) / 1000;
if (status !== LEFT_HVC) {
  const word = machine.arena.words[machine.host(machine.pc, 4) >>> 2] ?? 0;
  console.log(`stopped with ${status.toString(16)} at ${machine.pc.toString(16)}: ${(word >>> 0).toString(16)}`);
}
console.log(
  `${(machine.retired / 1e6).toFixed(0)} M instructions in ${seconds.toFixed(2)} s: ${(machine.retired / seconds / 1e6).toFixed(0)} MIPS`,
  machine.calls,
);
