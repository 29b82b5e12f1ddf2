/** `armature top`: VMs in a table that is drawn anew while they run; snapshots of all counters as JSON lines; consoles in files. */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { InputError } from "../formats/index.ts";
import type { HypervisorReport, VcpuReport, VmReport } from "../hypervisor/report.ts";
import { MS, NEVER, type Simulation, TICKS_PER_SECOND, type Time } from "../sim/index.ts";
import { systemReason } from "./files.ts";
import { table } from "./vm-report.ts";

/** Host milliseconds between two tables. */
const REDRAW = 500;
/** Host milliseconds between looks at the event loop, for Ctrl-C. */
const BREATH = 20;
/** Simulated time between looks at the clock. */
const STEP: Time = MS / 10;
/** Exits shown of each VM. */
const REASONS = 3;

export interface TopOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const HEAD = [
  ...["VM", "state", "CPU %", "run %", "wait %", "stolen %", "asleep %"],
  ...["exits/s", "irqs/s", "latency us", "longest us", "most exits/s"],
];
const RIGHT = HEAD.map((_, n) => n >= 2 && n < HEAD.length - 1);

/**
 * A line a VM. Shares and rates are those since `before`, or since the start: "CPU %" is of all the machine's CPUs, the four after it of the VM's
 * vCPUs; a second is a simulated one. Latencies are means since then; the longest is of the whole run.
 */
export function topText(report: HypervisorReport, before: HypervisorReport | null): string {
  const span = report.time - (before?.time ?? 0);
  const busy = sum(report.cpus, (c) => c.busy) - sum(before?.cpus ?? [], (c) => c.busy);
  const rows = report.vms.map((vm, n) => row(vm, before?.vms[n] ?? null, span, report.cpus.length));
  const cpus = `${report.cpus.length} ${report.cpus.length === 1 ? "CPU" : "CPUs"}`;
  const title = `${report.time.toFixed(4)} s simulated, ${cpus} ${percent(busy, span * report.cpus.length)} % busy, scheduler ${report.scheduler}`;
  return [title, "", ...table(HEAD, rows, RIGHT)].join("\n");
}

function row(vm: VmReport, before: VmReport | null, span: number, cpus: number): string[] {
  const since = (of: (vcpu: VcpuReport) => number): number => sum(vm.vcpus, of) - sum(before?.vcpus ?? [], of);
  const share = (of: (vcpu: VcpuReport) => number): string => percent(since(of), span * vm.vcpus.length);
  const interrupts = since((v) => v.interrupts);
  const latency = since((v) => v.interruptLatency * v.interrupts);
  const reasons = vm.reasons
    .map(({ name, count }) => ({ name, count: count - (before?.reasons.find((r) => r.name === name)?.count ?? 0) }))
    .filter((r) => r.count > 0)
    .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
    .slice(0, REASONS);
  return [
    vm.name,
    vm.state,
    percent(
      since((v) => v.running),
      span * cpus,
    ),
    share((v) => v.running),
    share((v) => v.waiting),
    share((v) => v.stolen),
    share((v) => v.blocked),
    rate(vm.exits - (before?.exits ?? 0), span),
    rate(interrupts, span),
    interrupts <= 0 ? "-" : micro(latency / interrupts),
    micro(Math.max(0, ...vm.vcpus.map((v) => v.longestInterruptLatency))),
    reasons.map((r) => `${r.name} ${rate(r.count, span)}`).join(", "),
  ];
}

const sum = <T>(list: readonly T[], of: (item: T) => number): number => list.reduce((a, item) => a + of(item), 0);
const percent = (part: number, whole: number): string => (whole > 0 ? ((100 * part) / whole).toFixed(1) : "-");
const rate = (count: number, span: number): string => (span > 0 ? Math.round(count / span).toLocaleString("en") : "-");
const micro = (seconds: number): string => (seconds * 1e6).toFixed(1);

/** The table on a terminal, drawn in place; elsewhere only what stands at the end. */
export class TopView {
  readonly #output: TopOutput;
  readonly #now: () => number;
  readonly #begun: number;
  #next: number;
  #before: HypervisorReport | null = null;
  #open = false;

  /** `now`: milliseconds of the host. */
  constructor(output: TopOutput, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
    this.#begun = now();
    this.#next = this.#begun;
  }

  /** Draws, if it is time to; `report` is asked for only then. */
  look(report: () => HypervisorReport): void {
    const now = this.#now();
    if (this.#output.isTTY !== true || now < this.#next) return;
    this.#next = now + REDRAW;
    const current = report();
    // nothing has happened since: the last table still holds
    if (this.#before !== null && current.time <= this.#before.time) return;
    const { columns = 80, rows = 24 } = this.#output;
    const seconds = ((now - this.#begun) / 1000).toFixed(1);
    const foot = ["", `${seconds} s on the host. Rates are of simulated time. Ctrl-C ends.`];
    const lines = [...topText(current, this.#before).split("\n"), ...foot].slice(0, rows - 1);
    // another screen, no cursor; home; each line to its end; what is below
    const begin = this.#open ? "" : "\x1b[?1049h\x1b[?25l";
    this.#open = true;
    this.#output.write(`${begin}\x1b[H${lines.map((l) => `${l.slice(0, columns)}\x1b[K\n`).join("")}\x1b[J`);
    this.#before = current;
  }

  /** Gives the terminal back. */
  close(): void {
    if (this.#open) this.#output.write("\x1b[?25h\x1b[?1049l");
    this.#open = false;
  }
}

/** A file to which lines are added while the machine runs. Throws InputError where it cannot be written. */
class Lines {
  readonly #option: string;
  readonly #path: string;
  readonly #file: number;
  #bytes: number[] = [];

  constructor(option: string, path: string) {
    this.#option = option;
    this.#path = path;
    this.#file = this.#try(() => openSync(path, "w"));
  }
  put(byte: number): void {
    this.#bytes.push(byte);
    if (byte === 10 || this.#bytes.length >= 4096) this.flush();
  }
  add(text: string): void {
    this.#try(() => writeSync(this.#file, text));
  }
  flush(): void {
    const bytes = Uint8Array.from(this.#bytes);
    this.#bytes = [];
    if (bytes.length > 0) this.#try(() => writeSync(this.#file, bytes));
  }
  close(): void {
    this.flush();
    closeSync(this.#file);
  }
  #try<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw new InputError(`${this.#option} ${this.#path}: cannot be written: ${systemReason(error)}`);
    }
  }
}

export interface TopOptions {
  /** A folder with a file for each VM's console; without it nobody reads them. */
  readonly consoles?: string;
  /** A file for snapshots, a line of JSON each. */
  readonly json?: string;
  /** Simulated seconds between snapshots. */
  readonly interval: number;
}

/** A run that is watched: what it writes, and how it is moved on. */
export class Top {
  readonly #view: TopView;
  readonly #report: () => HypervisorReport;
  readonly #consoles: readonly Lines[];
  readonly #json: Lines | null;
  readonly #interval: Time;
  #snapshot: Time;
  #interrupted = false;

  /** Throws InputError where a file cannot be written. */
  constructor(options: TopOptions, names: readonly string[], output: TopOutput, report: () => HypervisorReport) {
    this.#view = new TopView(output);
    this.#report = report;
    const { consoles: folder, json, interval } = options;
    if (folder !== undefined) makeFolder(folder);
    this.#consoles = folder === undefined ? [] : names.map((n) => new Lines("--consoles", join(folder, `${n}.txt`)));
    this.#json = json === undefined ? null : new Lines("--json", json);
    this.#interval = Math.max(1, Math.round(interval * TICKS_PER_SECOND));
    this.#snapshot = this.#json === null ? NEVER : this.#interval;
  }

  /** The user has asked for the end. */
  get interrupted(): boolean {
    return this.#interrupted;
  }

  /** A character of console `vm`. */
  put(vm: number, byte: number): void {
    this.#consoles[vm]?.put(byte);
  }

  /** Runs until `done`, `limit` or Ctrl-C. */
  async run(simulation: Simulation, limit: Time, done: () => boolean): Promise<void> {
    await this.watch(async (over) => {
      let breath = performance.now() + BREATH;
      while (!over() && simulation.now < limit) {
        // where nothing happens there is nothing to look at
        const next = Math.max(simulation.now + STEP, simulation.nextEventTime);
        simulation.run(Math.min(next, this.#snapshot, limit));
        this.look(simulation.now);
        if (performance.now() < breath) continue;
        await setImmediate();
        breath = performance.now() + BREATH;
      }
    }, done);
  }

  /** Lets `run` move the machine; `over` is for it to ask. The terminal is given back however it ends. */
  async watch(run: (over: () => boolean) => Promise<void>, done: () => boolean): Promise<void> {
    const onInterrupt = (): void => {
      this.#interrupted = true;
    };
    process.on("SIGINT", onInterrupt);
    try {
      await run(() => this.#interrupted || done());
    } finally {
      process.off("SIGINT", onInterrupt);
      this.#view.close();
    }
  }

  /** A look at the machine between two of its steps. */
  look(now: Time): void {
    if (now >= this.#snapshot) {
      this.#save();
      while (this.#snapshot <= now) this.#snapshot += this.#interval;
    }
    this.#view.look(this.#report);
  }

  /** The last snapshot; files are closed. */
  end(): void {
    for (const file of this.#consoles) file.close();
    if (this.#json === null) return;
    this.#save();
    this.#json.close();
  }

  #save(): void {
    this.#json?.add(`${JSON.stringify(this.#report())}\n`);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return;
    throw new InputError(`--consoles ${path}: cannot be made: ${systemReason(error)}`);
  }
}
