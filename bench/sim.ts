/**
 * Events a second of the kernel, side by side with SystemC on the same machine: `node bench/sim.ts [runs]`. Builds
 * bench/systemc/sim.cpp with g++ -O2 (Debian: g++, libsystemc-dev), runs both by turns, each run a process of its own,
 * and prints the medians and their ratio. Processor time is measured, of all threads: other load disturbs it less. Without
 * a compiler or SystemC only the kernel's side runs. ARMATURE_BENCH=short: one short run each.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Module, Simulation, wait } from "../src/sim/index.ts";
import { median } from "./support/measure.ts";

const workloads: Record<string, { readonly events: number; readonly build: (top: Module, count: () => void) => void }> =
  {
    timers: {
      events: 10_000_000,
      build(top, count) {
        for (let i = 0; i < 1000; i++) {
          const timer = top.event(`timer${i}`, () => {
            count();
            timer.notify(period(i));
          });
          timer.notify(period(i));
        }
      },
    },
    "timers-method": {
      events: 5_000_000,
      build(top, count) {
        for (let i = 0; i < 1000; i++) {
          top.method(`timer${i}`, (self) => {
            count();
            self.nextTrigger(period(i));
          });
        }
      },
    },
    ring: {
      events: 50_000_000,
      build(top, count) {
        const tokens = Array.from({ length: 1000 }, (_, i) => top.event(`token${i}`));
        tokens.forEach((token, i) => {
          const next = tokens[(i + 1) % 1000] ?? token;
          const pass = () => {
            count();
            next.notify(0);
          };
          top.method(`link${i}`, pass, { sensitive: [token], dontInitialize: true });
        });
        tokens[0]?.notify(0);
      },
    },
    threads: {
      events: 10_000_000,
      build(top, count) {
        for (let i = 0; i < 100; i++) {
          const ticks = period(i);
          top.thread(`thread${i}`, function* () {
            for (;;) {
              yield wait(ticks);
              count();
            }
          });
        }
      },
    },
  };

/** As in the C++ program: 1,000 to 7,993 ticks. */
function period(i: number): number {
  return 1000 + 7 * i;
}

/** Seconds of processor time, all threads counted, for the workload; construction and initialization not counted. */
function measure(name: string, limit: number): { events: number; seconds: number } {
  const workload = workloads[name];
  if (!workload) throw new Error(`no workload "${name}"`);
  const sim = new Simulation();
  let events = 0;
  workload.build(new Module(sim, "top"), () => {
    if (++events === limit) sim.stop();
  });
  sim.runDelta();
  const before = events;
  const from = process.cpuUsage();
  sim.run();
  const { user, system } = process.cpuUsage(from);
  return { events: events - before, seconds: (user + system) / 1e6 };
}

function compare(runs: number, scale: number): void {
  const directory = mkdtempSync(join(tmpdir(), "armature-bench-"));
  try {
    const program = join(directory, "sim");
    const source = join(import.meta.dirname, "systemc/sim.cpp");
    const compiler = spawnSync("g++", ["-O2", "-std=c++17", "-o", program, source, "-lsystemc"], { encoding: "utf8" });
    const systemc = compiler.status === 0;
    if (!systemc) console.log("no g++ or no SystemC (Debian: g++ libsystemc-dev): the kernel alone");
    const rate = (text: string) => {
      const [events = 0, seconds = 1] = text.trim().split(" ").map(Number);
      return events / seconds / 1e6;
    };
    const env = { ...process.env, SYSTEMC_DISABLE_COPYRIGHT_MESSAGE: "1", SC_COPYRIGHT_MESSAGE: "DISABLE" };
    const run = (command: string, args: string[]) => rate(execFileSync(command, args, { encoding: "utf8", env }));
    console.log("| workload | Armature, M events/s | SystemC 2.3.4, M events/s | ratio |");
    console.log("|---|---|---|---|");
    for (const [name, workload] of Object.entries(workloads)) {
      const events = String(Math.round(workload.events * scale));
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let i = 0; i < runs; i++) {
        ours.push(run(process.execPath, [import.meta.filename, "--worker", name, events]));
        if (systemc) theirs.push(run(program, [name, events]));
      }
      const [a, b] = [median(ours), median(theirs)];
      console.log(`| ${name} | ${a.toFixed(1)} | ${systemc ? `${b.toFixed(1)} | ${(a / b).toFixed(2)}` : "- | -"} |`);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const { ARMATURE_BENCH } = process.env;
const short = ARMATURE_BENCH === "short";
if (process.argv[2] === "--worker") {
  const { events, seconds } = measure(process.argv[3] ?? "", Number(process.argv[4]));
  console.log(`${events} ${seconds}`);
} else {
  compare(Number(process.argv[2] ?? (short ? 1 : 5)), short ? 0.3 : 1);
}
