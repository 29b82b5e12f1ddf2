/** A cluster on a bus with RAM at 0x40000000, a UART's transmit register at 0x09000000 and a device that records accesses. */
import { Arena, Memory, Router, SIZES_UP_TO_64, type Target, type Transaction } from "../../../../src/bus/index.ts";
import { Cluster, type ClusterOptions } from "../../../../src/cpu/aarch64/cluster.ts";
import type { Cpu } from "../../../../src/cpu/aarch64/cpu.ts";
import { InterpreterCode } from "../../../../src/cpu/aarch64/engine/interpreter.ts";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { type Event, type GuestError, Module, NEVER, Simulation, type Time } from "../../../../src/sim/index.ts";

export const RAM = 0x4000_0000;
export const UART = 0x0900_0000;
export const PROBE = 0x0a00_0000;

let shared: InterpreterCode | undefined;
/** One compiled interpreter a test file. */
export function interpreterCode(): InterpreterCode {
  shared ??= new InterpreterCode();
  return shared;
}

class Uart implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  text = "";
  onText: () => void = () => {};
  read(): number {
    return 0;
  }
  write(offset: number, _size: number, value: number): void {
    if (offset !== 0) return;
    this.text += String.fromCharCode(value & 0xff);
    this.onText();
  }
  peek(): number {
    return 0;
  }
  poke(): void {}
}

export interface ProbeAccess {
  readonly write: boolean;
  readonly offset: number;
  readonly size: number;
  readonly value: number;
  readonly high: number;
  readonly time: Time;
  readonly cpu: number;
  readonly el: number;
}

/** Records what reaches it. Reads give `values` in turn. `at` a write to offset 0x100 it notifies its event after that many ticks. */
export class Probe extends Module implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly log: ProbeAccess[] = [];
  values: number[] = [];
  valueHigh = 0;
  response = 0;
  onEvent: () => void = () => {};
  readonly fired: Time[] = [];
  readonly later: Event;
  constructor(parent: Simulation) {
    super(parent, "probe");
    this.later = this.event("later", () => {
      this.fired.push(this.simulation.now);
      this.onEvent();
    });
  }
  read(offset: number, size: number, tx: Transaction): number {
    const value = this.values.shift() ?? 0;
    tx.high = this.valueHigh;
    tx.response = this.response;
    this.#record(false, offset, size, value, tx);
    return value;
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    tx.response = this.response;
    this.#record(true, offset, size, value, tx);
    if (offset === 0x100) this.later.notify(value);
  }
  peek(): number {
    return 0;
  }
  poke(): void {}
  forget(): void {
    this.log.length = 0;
    this.fired.length = 0;
    this.values = [];
    this.valueHigh = 0;
    this.response = 0;
    this.onEvent = () => {};
  }
  #record(write: boolean, offset: number, size: number, value: number, tx: Transaction): void {
    const { now } = this.simulation;
    this.log.push({ write, offset, size, value, high: tx.high, time: now, cpu: tx.cpu, el: tx.exceptionLevel });
  }
}

export type MachineOptions = Partial<ClusterOptions> & { readonly ramBytes?: number };
const pool = new Map<string, Machine>();

export class Machine {
  readonly simulation = new Simulation();
  readonly arena = new Arena();
  readonly bus: Router;
  readonly ram: Memory;
  readonly uart = new Uart();
  readonly probe: Probe;
  readonly cluster: Cluster;
  readonly errors: GuestError[] = [];
  power = "";

  constructor(options: MachineOptions = {}) {
    this.bus = new Router(this.simulation, "bus");
    const size = options.ramBytes ?? 0x1000_0000;
    this.ram = new Memory(this.simulation, "ram", this.arena, { size });
    this.probe = new Probe(this.simulation);
    this.bus.map({ name: "ram", base: RAM, size, target: this.ram });
    this.bus.map({ name: "uart", base: UART, size: 0x1000, target: this.uart });
    this.bus.map({ name: "probe", base: PROBE, size: 0x1000, target: this.probe });
    this.cluster = new Cluster(this.simulation, "cpus", {
      code: interpreterCode(),
      resetAddress: RAM,
      decodedPages: 256,
      ...options,
      arena: this.arena,
      bus: this.bus,
    });
    this.cluster.onPowerRequest = (request) => {
      this.power = request;
      this.simulation.pause();
    };
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
    this.simulation.reset();
  }

  /** A machine after reset with empty RAM; those with the same options are used again, which is faster than building. */
  static fresh(options: MachineOptions = {}): Machine {
    const key = JSON.stringify(options);
    const known = pool.get(key);
    if (known === undefined) {
      const made = new Machine(options);
      pool.set(key, made);
      return made;
    }
    known.ram.clear();
    known.cluster.debugger.detach();
    known.simulation.reset();
    known.errors.length = 0;
    known.probe.forget();
    known.uart.text = "";
    known.power = "";
    return known;
  }

  get cpu(): Cpu {
    return this.cluster.cpus[0] as Cpu;
  }

  /** Puts instruction or data words at a physical address. */
  words(address: number, words: readonly number[]): void {
    this.ram.fill(address - RAM, new Uint8Array(Uint32Array.from(words).buffer));
  }
  quads(address: number, quads: readonly bigint[]): void {
    this.ram.fill(address - RAM, new Uint8Array(BigUint64Array.from(quads).buffer));
  }
  quad(address: number): bigint {
    return new DataView(this.ram.slice(address - RAM, 8).buffer).getBigUint64(0, true);
  }

  get(offset: number, cpu: Cpu = this.cpu): bigint {
    const { context } = cpu;
    return (BigInt(context.high(offset) >>> 0) << 32n) | BigInt(context.low(offset) >>> 0);
  }
  set(offset: number, value: bigint, cpu: Cpu = this.cpu): void {
    cpu.context.set(offset, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }
  x(n: number, cpu: Cpu = this.cpu): bigint {
    return this.get(L.X + 8 * n, cpu);
  }
  setX(n: number, value: bigint, cpu: Cpu = this.cpu): void {
    this.set(L.X + 8 * n, value, cpu);
  }
  pc(cpu: Cpu = this.cpu): bigint {
    return this.get(L.PC, cpu);
  }
  /** A system register by name, as a debugger sees it. */
  sys(name: string, cpu: Cpu = this.cpu): bigint {
    const register = cpu.registers.table.byName(name);
    if (register === undefined) throw new Error(`no ${name}`);
    cpu.registers.peek(register);
    return this.get(L.MAIL_VALUE, cpu);
  }
  setSys(name: string, value: bigint, cpu: Cpu = this.cpu): void {
    const register = cpu.registers.table.byName(name);
    if (register === undefined) throw new Error(`no ${name}`);
    this.set(L.MAIL_VALUE, value, cpu);
    cpu.registers.poke(register);
  }

  /** Puts CPU 0 at a level, with PSTATE.SP and DAIF (bits of PSTATE[9:6]) as given, at an address. */
  enter(el: number, pc: bigint, spsel = 1, daif = 15, cpu: Cpu = this.cpu): void {
    cpu.exceptions.setLevel(el, spsel);
    cpu.context.setLow(L.DAIF, daif);
    this.set(L.PC, pc, cpu);
    cpu.derive();
  }
  /** PSTATE as SPSR_ELx shows it. */
  get pstate(): number {
    return this.cpu.context.pstate >>> 0;
  }

  /** Runs `n` instructions of CPU 0, one by one. */
  step(n = 1): void {
    for (let i = 0; i < n; i++) {
      this.cluster.debugger.resume(["step"]);
      this.simulation.run();
    }
  }
  run(ticks: Time = NEVER): string {
    this.cluster.debugger.resume();
    return this.simulation.run(ticks === NEVER ? NEVER : this.simulation.now + ticks);
  }
}

/** MRS Xt, S<op0>_<op1>_C<n>_C<m>_<op2>: DDI 0487J.a C6.2.193. */
export function mrs(rt: number, name: string): number {
  return (0xd520_0000 | (encode(name) << 5) | rt) >>> 0;
}
/** MSR; also SYS for S1 names. */
export function msr(name: string, rt: number): number {
  return (0xd500_0000 | (encode(name) << 5) | rt) >>> 0;
}
function encode(name: string): number {
  const m = /^S(\d)_(\d)_C(\d+)_C(\d+)_(\d)$/.exec(name);
  if (!m) throw new Error(name);
  const [op0, op1, crn, crm, op2] = m.slice(1).map(Number) as [number, number, number, number, number];
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}
