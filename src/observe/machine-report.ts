/** What to say of a machine whose guest came to a bad end: where each CPU is, the last exceptions, the last accesses to devices. */
import type { BusAccess, TakenException } from "../cpu/aarch64/recent.ts";
import type { ElfSymbol } from "../formats/index.ts";
import { formatTime, type Time } from "../sim/index.ts";

export interface ReportedCpu {
  /** "CPU 0 [running], EL1, pc 0x..." */
  readonly description: string;
  readonly pcHigh: number;
  readonly pcLow: number;
  /** Synchronous exceptions and interrupts, oldest first. */
  readonly exceptions: readonly TakenException[];
  readonly interrupts: readonly TakenException[];
  readonly accesses: readonly BusAccess[];
}

export interface ReportInput {
  readonly time: Time;
  readonly instructions: number;
  readonly cpus: readonly ReportedCpu[];
  readonly symbols: readonly ElfSymbol[];
  /** Name of the part at a bus address. */
  part(address: number): string | null;
}

const EXCEPTIONS_SHOWN = 5;
const INTERRUPTS_SHOWN = 2;
const ACCESSES_SHOWN = 8;
const VECTORS = ["synchronous", "IRQ", "FIQ", "SError"];
/** ESR_ELx.EC, DDI 0487 D17.2.37. */
const CLASSES: Readonly<Record<number, string>> = {
  0: "unknown reason (UNDEFINED)",
  1: "trapped WFI or WFE",
  7: "access to SIMD or floating point",
  14: "Illegal Execution state",
  21: "SVC",
  22: "HVC",
  23: "SMC",
  24: "trapped MSR, MRS or system instruction",
  32: "instruction abort from a lower level",
  33: "instruction abort",
  34: "PC alignment",
  36: "data abort from a lower level",
  37: "data abort",
  38: "SP alignment",
  47: "SError",
  48: "breakpoint from a lower level",
  49: "breakpoint",
  50: "software step from a lower level",
  51: "software step",
  52: "watchpoint from a lower level",
  53: "watchpoint",
  60: "BRK",
};

/** Lines for people. */
export function machineReport(input: ReportInput): string[] {
  const find = symbolFinder(input.symbols);
  const place = (high: number, low: number) => {
    const symbol = find(high, low);
    return `0x${word(high)}${word(low)}${symbol === null ? "" : ` <${symbol}>`}`;
  };
  const out = [`at ${formatTime(input.time)}, after ${input.instructions} instructions`];
  for (const cpu of input.cpus) {
    const symbol = find(cpu.pcHigh, cpu.pcLow);
    out.push(`${cpu.description}${symbol === null ? "" : ` <${symbol}>`}`);
    const shown = [...cpu.exceptions.slice(-EXCEPTIONS_SHOWN), ...cpu.interrupts.slice(-INTERRUPTS_SHOWN)];
    for (const e of shown.sort((a, b) => a.time - b.time)) out.push(`  ${describeException(e, place)}`);
  }
  const accesses = input.cpus
    .flatMap((cpu, n) => cpu.accesses.map((access) => ({ n, access })))
    .sort((a, b) => a.access.time - b.access.time)
    .slice(-ACCESSES_SHOWN);
  if (accesses.length > 0) out.push("last accesses to devices:");
  for (const { n, access: a } of accesses) {
    const part = input.part(a.address);
    const where = `${part ?? "nothing"} 0x${a.address.toString(16)}`;
    const failed = a.response === 0 ? "" : ", refused";
    out.push(
      `  [${formatTime(a.time)}] CPU ${n} ${a.write ? "writes" : "reads"} 0x${(a.value >>> 0).toString(16)} (${a.size} byte${a.size === 1 ? "" : "s"}) ` +
        `${a.write ? "to" : "from"} ${where}${failed}, at ${place(a.pcHigh, a.pcLow)}`,
    );
  }
  return out;
}

function describeException(e: TakenException, place: (high: number, low: number) => string): string {
  const kind = VECTORS[(e.vector >> 7) & 3] as string;
  const head = `[${formatTime(e.time)}] ${kind} exception from EL${e.from} to EL${e.to}`;
  if ((e.vector & 0x180) !== 0) return `${head}, return to ${place(e.returnHigh, e.returnLow)}`;
  const ec = (e.syndrome >>> 26) & 63;
  const name = CLASSES[ec] ?? "class of its own";
  const fault = ec >= 0x20 && ec <= 0x25 ? `, address 0x${word(e.faultHigh)}${word(e.faultLow)}` : "";
  return `${head}: ${name}, ESR 0x${word(e.syndrome)}${fault}, return to ${place(e.returnHigh, e.returnLow)}`;
}

/** The symbol around an address, "name+0x10"; addresses beyond 2^53 have none. */
function symbolFinder(symbols: readonly ElfSymbol[]): (high: number, low: number) => string | null {
  const sorted = symbols
    .filter((s) => s.name !== "" && !s.name.startsWith("$"))
    .toSorted((a, b) => a.address - b.address);
  return (high, low) => {
    const address = (high >>> 0) * 4294967296 + (low >>> 0);
    let first = 0;
    let last = sorted.length;
    while (first < last) {
      const middle = (first + last) >> 1;
      if ((sorted[middle] as ElfSymbol).address <= address) first = middle + 1;
      else last = middle;
    }
    const s = sorted[first - 1];
    if (s === undefined || !Number.isSafeInteger(address)) return null;
    const next = sorted[first]?.address ?? s.address + 4096;
    if (address >= (s.bytes > 0 ? s.address + s.bytes : next)) return null;
    const offset = address - s.address;
    return offset === 0 ? s.name : `${s.name}+0x${offset.toString(16)}`;
  };
}

function word(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
