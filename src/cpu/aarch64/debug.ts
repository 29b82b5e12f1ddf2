/**
 * What debuggers do with a cluster: registers by name, memory through the current translation, breakpoints, watchpoints, single step, stop
 * reasons. Nothing here changes what the guest computes, but for writes. Addresses are two halves. Calls come while the simulation stands
 * still; a stop pauses it, `stop` says why, and the next `run` of the simulation goes on.
 *
 * Breakpoints are by virtual address, whatever is mapped there: they are planted into decoded code when a page is fetched, invisible to
 * guest memory. A watchpoint stops before the access. Continuing from either executes the instruction it stopped at.
 */

import { NO_FAULT, READ, WRITE } from "../../mmu/index.ts";
import type { Cluster } from "./cluster.ts";
import { hex32 } from "./context.ts";
import { type Cpu, LEAVE_STOP, OFF, RUNNING } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import type { Register } from "./sysreg/table.ts";

export type WatchKind = "read" | "write" | "access";
export type StopReason =
  | { readonly kind: "breakpoint"; readonly cpu: number }
  | {
      readonly kind: "watchpoint";
      readonly cpu: number;
      readonly watch: WatchKind;
      readonly high: number;
      readonly low: number;
    }
  | { readonly kind: "step"; readonly cpu: number };

export interface DebugRegister {
  readonly name: string;
  readonly bits: 32 | 64 | 128;
  readonly group: "core" | "fpu" | "el1" | "el2";
}

interface Watchpoint {
  readonly high: number;
  readonly low: number;
  readonly length: number;
  readonly kind: WatchKind;
}

export class Debugger {
  /** Why the simulation stands still, null where no debugger stopped it. Cleared by `resume`. */
  stop: StopReason | null = null;
  /** GDB's order: x0 to x30, sp, pc, cpsr, then vectors, fpsr, fpcr, then system registers. */
  readonly registers: readonly DebugRegister[];
  readonly #system: readonly Register[];
  readonly #cluster: Cluster;
  readonly #breakpoints = new Map<string, { readonly high: number; readonly low: number }>();
  readonly #planted = new Set<number>();
  #watchpoints: readonly Watchpoint[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const registers: DebugRegister[] = [];
    for (let i = 0; i < 31; i++) registers.push({ name: `x${i}`, bits: 64, group: "core" });
    registers.push({ name: "sp", bits: 64, group: "core" }, { name: "pc", bits: 64, group: "core" });
    registers.push({ name: "cpsr", bits: 32, group: "core" });
    for (let i = 0; i < 32; i++) registers.push({ name: `v${i}`, bits: 128, group: "fpu" });
    registers.push({ name: "fpsr", bits: 32, group: "fpu" }, { name: "fpcr", bits: 32, group: "fpu" });
    this.#system = cluster.registerTable().registers.filter((r) => {
      const level = Math.min(r.readLevel, r.writeLevel);
      const exists = r.readLevel < 4 && level <= (cluster.el2 ? 3 : 1);
      return exists && !r.name.startsWith("S3_") && r.hook !== "FPCR" && r.hook !== "FPSR";
    });
    for (const r of this.#system) {
      registers.push({ name: r.name, bits: 64, group: Math.min(r.readLevel, r.writeLevel) >= 2 ? "el2" : "el1" });
    }
    this.registers = registers;
  }

  // --- registers

  /** Little-endian bytes of `registers[index]`, or null where there is no such register. */
  readRegister(cpu: Cpu, index: number): Uint8Array | null {
    const register = this.registers[index];
    if (register === undefined) return null;
    const { context } = cpu;
    const out = new Uint8Array(register.bits / 8);
    const at = offsetOf(index);
    if (at >= 0) {
      out.set(context.bytes.subarray(at, at + out.length));
      return out;
    }
    if (register.name === "cpsr") put32(out, context.pstate);
    else {
      const system = this.#system[index - FIRST_SYSTEM] as Register;
      cpu.registers.peek(system);
      out.set(context.bytes.subarray(L.MAIL_VALUE, L.MAIL_VALUE + 8));
    }
    return out;
  }

  /** False where the register does not exist or the value does not have its size. */
  writeRegister(cpu: Cpu, index: number, value: Uint8Array): boolean {
    const register = this.registers[index];
    if (register === undefined || value.length !== register.bits / 8) return false;
    const { context } = cpu;
    const at = offsetOf(index);
    if (at >= 0) context.bytes.set(value, at);
    else if (register.name === "cpsr") this.#writePstate(cpu, get32(value));
    else {
      const system = this.#system[index - FIRST_SYSTEM] as Register;
      if (system.writeLevel > 3) return false;
      context.bytes.set(value, L.MAIL_VALUE);
      cpu.registers.poke(system);
    }
    return true;
  }

  #writePstate(cpu: Cpu, value: number): void {
    const { context } = cpu;
    cpu.pmu.sync();
    context.nzcv = value;
    context.setLow(L.DAIF, (value >>> 6) & 15);
    const el = (value >> 2) & 3;
    // a level that is not implemented is not entered
    if (el <= (cpu.el2 ? 2 : 1) && (value & 0x12) === 0) cpu.exceptions.setLevel(el, value & 1);
    cpu.stateChanged();
  }

  // --- memory

  /** Bytes through the CPU's current translation, without side effects; fewer than asked where the rest is not mapped. */
  readMemory(cpu: Cpu, high: number, low: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const pa = this.physical(cpu, high, low, done);
      if (pa < 0) return out.subarray(0, done);
      const n = Math.min(length - done, 4096 - (pa % 4096));
      this.#peek(pa, out.subarray(done, done + n));
      done += n;
    }
    return out;
  }

  /** False where some of it is not mapped; then nothing is written. */
  writeMemory(cpu: Cpu, high: number, low: number, data: Uint8Array): boolean {
    const parts: { pa: number; from: number; n: number }[] = [];
    for (let done = 0; done < data.length; ) {
      const pa = this.physical(cpu, high, low, done);
      if (pa < 0) return false;
      const n = Math.min(data.length - done, 4096 - (pa % 4096));
      parts.push({ pa, from: done, n });
      done += n;
    }
    for (const { pa, from, n } of parts) this.writePhysical(pa, data.subarray(from, from + n));
    return true;
  }

  readPhysical(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.#peek(address, out);
    return out;
  }
  writePhysical(address: number, data: Uint8Array): void {
    const { bus } = this.#cluster;
    for (let i = 0; i < data.length; i++) bus.poke(address + i, 1, data[i] as number);
  }

  #peek(address: number, into: Uint8Array): void {
    const { bus } = this.#cluster;
    let i = 0;
    // registers of devices are read by words, as drivers do
    for (; (address + i) % 4 === 0 && i + 4 <= into.length; i += 4) {
      put32(into.subarray(i), bus.peek(address + i, 4));
    }
    for (; i < into.length; i++) into[i] = bus.peek(address + i, 1);
  }

  /** Physical address of (high, low) + offset, -1 where it is not mapped. Rights are not checked. */
  physical(cpu: Cpu, high: number, low: number, offset = 0): number {
    const sum = (low >>> 0) + offset;
    const t = cpu.mmu.translateForDebug((high + Math.floor(sum / 4294967296)) | 0, sum | 0, READ);
    return t.fault === NO_FAULT ? t.pa : -1;
  }

  // --- breakpoints and watchpoints

  setBreakpoint(high: number, low: number): boolean {
    if ((low & 3) !== 0) return false;
    this.#breakpoints.set(key(high, low), { high, low });
    this.replant();
    return true;
  }
  clearBreakpoint(high: number, low: number): boolean {
    if (!this.#breakpoints.delete(key(high, low))) return false;
    this.replant();
    return true;
  }

  /** Pages are fetched anew, which plants what is to be planted. */
  replant(): void {
    const { codeCache } = this.#cluster.engine;
    for (const at of this.#planted) codeCache.unplant(at);
    this.#planted.clear();
    for (const cpu of this.#cluster.cpus) for (const set of cpu.mmu.sets) set.flushFetches();
  }

  /** The page at (high, low) has been fetched by `cpu`; its code is at arena address `at`. */
  plant(cpu: Cpu, high: number, low: number, at: number): void {
    for (const b of this.#breakpoints.values()) {
      if (b.high === high && (b.low ^ low) >>> 12 === 0) this.#plant(at + (b.low & 0xfff));
    }
    cpu.selfHosted.eachIn(high, low, (address) => this.#plant(at + (address & 0xfff)));
  }
  #plant(address: number): void {
    if (this.#planted.has(address)) return;
    this.#planted.add(address);
    this.#cluster.engine.codeCache.plant(address);
  }
  hasBreakpoint(high: number, low: number): boolean {
    return this.#breakpoints.has(key(high, low));
  }

  setWatchpoint(high: number, low: number, length: number, kind: WatchKind): boolean {
    if (length < 1 || length > 4096) return false;
    this.#watchpoints = [...this.#watchpoints, { high, low, length, kind }];
    for (const cpu of this.#cluster.cpus) cpu.mmu.flushAll();
    return true;
  }
  clearWatchpoint(high: number, low: number, length: number, kind: WatchKind): boolean {
    const at = this.#watchpoints.findIndex(
      (w) => w.high === high && w.low === low && w.length === length && w.kind === kind,
    );
    if (at < 0) return false;
    this.#watchpoints = this.#watchpoints.filter((_, i) => i !== at);
    for (const cpu of this.#cluster.cpus) cpu.mmu.flushAll();
    return true;
  }

  /** A watchpoint is in the page of (high, low). */
  watches(high: number, low: number): boolean {
    return this.#watchpoints.some((w) => overlaps(w, high, low & -4096, 4096));
  }
  /** The watchpoint that an access hits. */
  watched(access: number, high: number, low: number, size: number): Watchpoint | undefined {
    return this.#watchpoints.find(
      (w) =>
        (w.kind === "access" || (w.kind === "read" && access === READ) || (w.kind === "write" && access === WRITE)) &&
        overlaps(w, high, low, size),
    );
  }

  // --- running

  /** Prepares the next run of the simulation: CPUs to step by one instruction, CPUs to hold; the rest runs. */
  resume(actions: readonly ("continue" | "step" | "hold")[] = []): void {
    this.stop = null;
    for (const cpu of this.#cluster.cpus) cpu.debug.resume(actions[cpu.index] ?? "continue");
  }

  /** Takes everything away. */
  detach(): void {
    this.#breakpoints.clear();
    this.replant();
    this.#watchpoints = [];
    for (const cpu of this.#cluster.cpus) cpu.mmu.flushAll();
    this.resume();
  }

  stopWith(reason: StopReason): void {
    this.stop ??= reason;
    this.#cluster.simulation.pause();
  }

  /** "CPU 0 [running], EL1, pc 0x...". */
  describe(cpu: Cpu): string {
    const what = cpu.power === RUNNING ? "running" : cpu.power === OFF ? "off" : "sleeping";
    return `CPU ${cpu.index} [${what}], EL${cpu.context.el}, pc ${cpu.context.hex(L.PC)}`;
  }
}

/** The debugger's part in one CPU. */
export class CpuDebug {
  /** The next instruction is stepped, and a stop reported after it. */
  singleStep = false;
  /** This CPU does not run. */
  held = false;
  readonly #cpu: Cpu;
  #hit: Watchpoint | null = null;
  /** Instruction count at which breakpoints and watchpoints are passed over. */
  #passAt = -1;
  #stepFrom = -1;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  resume(action: "continue" | "step" | "hold"): void {
    this.held = action === "hold";
    this.singleStep = action === "step";
    this.#passAt = this.#cpu.instructions;
    this.#stepFrom = this.#passAt;
  }

  plant(high: number, low: number, at: number): void {
    this.#cpu.cluster.debugger.plant(this.#cpu, high, low, at);
  }
  watches(high: number, low: number): boolean {
    return this.#cpu.selfHosted.watches(high, low) || this.#cpu.cluster.debugger.watches(high, low);
  }
  /**
   * An access with the rights of `el` to a watched page: true, with the status left to take, where a watchpoint of the debugger stops
   * it, or one of the guest's makes it an exception. `iss` has CM for cache maintenance.
   */
  watch(access: number, high: number, low: number, size: number, el: number, iss = 0): boolean {
    return this.#watch(access, high, low, size) || this.#cpu.selfHosted.watch(access, high, low, size, el, iss);
  }
  #watch(access: number, high: number, low: number, size: number): boolean {
    const cpu = this.#cpu;
    if (cpu.instructions === this.#passAt) return false;
    const hit = cpu.cluster.debugger.watched(access, high, low, size);
    if (hit === undefined) return false;
    this.#hit = hit;
    cpu.leaveWith(LEAVE_STOP);
    return true;
  }

  /** The engine has left with RUN_BREAKPOINT or LEAVE_STOP. */
  stopped(status: number): void {
    const cpu = this.#cpu;
    const { context, cluster } = cpu;
    const hit = this.#hit;
    this.#hit = null;
    if (status === LEAVE_STOP && hit !== null) {
      cluster.debugger.stopWith({
        kind: "watchpoint",
        cpu: cpu.index,
        watch: hit.kind,
        high: hit.high,
        low: hit.low,
      });
      return;
    }
    const here = cluster.debugger.hasBreakpoint(context.high(L.PC), context.low(L.PC));
    if (here && cpu.instructions !== this.#passAt) {
      cluster.debugger.stopWith({ kind: "breakpoint", cpu: cpu.index });
      return;
    }
    // the guest's own; where software step has just looked, it has been found not to match
    if (cpu.breakpointException()) {
      this.stepped();
      return;
    }
    // passed over, or planted for another virtual address of the same code
    const { codeCache, step } = cluster.engine;
    const at = codeCache.addressOf(context.low(L.SLOT));
    codeCache.unplant(at);
    cpu.arm(cpu.time, true);
    const left = step(context.base);
    cpu.left(left);
    codeCache.plant(at);
    if (cpu.selfHosted.everyInstruction && left === L.RUN_LIMIT) cpu.selfHosted.after();
    if (this.singleStep) this.stepped();
  }

  /** After an instruction run by the stepping engine. */
  stepped(): void {
    const cpu = this.#cpu;
    if (!this.singleStep || cpu.instructions === this.#stepFrom) return;
    this.singleStep = false;
    cpu.cluster.debugger.stopWith({ kind: "step", cpu: cpu.index });
  }
}

const FIRST_VECTOR = 34;
const FIRST_SYSTEM = FIRST_VECTOR + 34;

/** Offset in the context of the registers that simply lie there, -1 for others. */
function offsetOf(index: number): number {
  if (index < 31) return L.X + 8 * index;
  if (index === 31) return L.SP;
  if (index === 32) return L.PC;
  if (index >= FIRST_VECTOR && index < FIRST_VECTOR + 32) return L.V + 16 * (index - FIRST_VECTOR);
  if (index === FIRST_VECTOR + 32) return L.FPSR;
  return index === FIRST_VECTOR + 33 ? L.FPCR : -1;
}

function overlaps(w: Watchpoint, high: number, low: number, size: number): boolean {
  if (w.high !== high) return false;
  const start = w.low >>> 0;
  const other = low >>> 0;
  return start < other + size && other < start + w.length;
}

function key(high: number, low: number): string {
  return hex32(high) + hex32(low);
}

function put32(bytes: Uint8Array, value: number): void {
  bytes[0] = value;
  bytes[1] = value >>> 8;
  bytes[2] = value >>> 16;
  bytes[3] = value >>> 24;
}
function get32(b: Uint8Array): number {
  return (b[0] as number) | ((b[1] as number) << 8) | ((b[2] as number) << 16) | ((b[3] as number) << 24);
}
