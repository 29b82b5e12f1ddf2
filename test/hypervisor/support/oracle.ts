/** Single instructions of a VM on three places that hold the same bytes: its memory, a trapped device and a passed one. */
import { createVirtMachine } from "../../../platform/virt/machine.ts";
import type { Target, Transaction } from "../../../src/bus/index.ts";
import { offsetOf } from "../../../src/cpu/aarch64/sysreg/table.ts";
import { addHypervisor } from "../../../src/hypervisor/machine.ts";
import type { PhysicalCpu } from "../../../src/hypervisor/physical-cpu.ts";
import type { Service } from "../../../src/hypervisor/service.ts";
import { code } from "./machine.ts";

export const PAGE = 4096;
const RAM = 0x4000_0000;
const MEMORY = 4 * 2 ** 20;
/** Guest-physical places, each of two pages: the device's second one ends where memory begins, that of "beyond" begins where it ends. */
export const PLACES = { memory: RAM + 0x8_0000, trap: RAM - 2 * PAGE, pass: RAM - 4 * PAGE, beyond: RAM + MEMORY };
export type PlaceName = keyof typeof PLACES;
const PHYSICAL = 0xa10_0000;
const CODE = RAM + 0x1000;

/** Memory behind a bus that notes what was asked of it. */
export class NotingMemory implements Target {
  readonly accessSizes = 15;
  readonly size = 2 * PAGE;
  readonly bytes = new Uint8Array(2 * PAGE);
  readonly log: string[] = [];
  readonly #view = new DataView(this.bytes.buffer);
  read(offset: number, size: number, tx: Transaction): number {
    this.log.push(`r${size} ${offset.toString(16)}`);
    if (size === 8) tx.high = this.#view.getUint32(offset + 4, true);
    return size === 1
      ? this.#view.getUint8(offset)
      : size === 2
        ? this.#view.getUint16(offset, true)
        : this.#low(offset);
  }
  write(offset: number, size: number, value: number, tx: Transaction): void {
    this.log.push(`w${size} ${offset.toString(16)}`);
    if (size === 1) this.#view.setUint8(offset, value);
    else if (size === 2) this.#view.setUint16(offset, value, true);
    else this.#view.setUint32(offset, value, true);
    if (size === 8) this.#view.setUint32(offset + 4, tx.high, true);
  }
  #low(offset: number): number {
    return this.#view.getUint32(offset, true);
  }
  peek(offset: number): number {
    return this.bytes[offset] ?? 0;
  }
  poke(): void {}
}

export interface Case {
  readonly place: PlaceName;
  /** The instruction, given the distance from it to the place. */
  readonly word: (distance: number) => number;
  /** General registers by number, 31 being SP; "place" is added to those named here. */
  readonly registers: readonly { readonly low: number; readonly high: number }[];
  readonly relative: readonly number[];
  readonly vectors: readonly Int32Array[];
  /** What the place holds, over and over. */
  readonly data: Uint8Array;
}

export interface Result {
  /** Low and high words of X0 to X30 and SP, those that were relative less the place. */
  readonly registers: readonly number[];
  /** Words of vectors, and bytes of the place, that are others than before, with their numbers. */
  readonly vectors: readonly string[];
  readonly data: readonly string[];
  readonly log: readonly string[];
  /** ESR_EL1 and the distance of FAR_EL1 from the place; null: no abort. */
  readonly fault: { readonly esr: number; readonly far: number } | null;
}

/** mov x1, #0x40000000; mov x0, #0x300000; msr cpacr_el1, x0; isb; msr vbar_el1, x1; movi v0.16b, #0 */
const HEAD = [0xd2a80001, 0xd2a00600, 0xd5181040, 0xd5033fdf, 0xd518c001, 0x4f00e400];
/** msr mair_el1, x2; msr tcr_el1, x3; msr ttbr0_el1, x4; isb; msr sctlr_el1, x5; isb; nop */
const MMU_ON = [0xd518a202, 0xd5182043, 0xd5182004, 0xd5033fdf, 0xd5181005, 0xd5033fdf, 0xd503201f];
const HVC = (n: number) => (0xd4000002 | (n << 5)) >>> 0;
/** hvc #2; mrs x30, elr_el1; add x30, x30, #4; msr elr_el1, x30; eret */
const VECTOR = [HVC(2), 0xd538403e, 0x910013de, 0xd518403e, 0xd69f03e0];
const TABLE = RAM + 0x4_0000;

/** Runs the instructions one after another; with `mmu` all of the VM's space is Normal memory for stage 1, else Device. */
export function runCases(cases: readonly Case[], mmu: boolean): Result[] {
  const words = new Map<number, number>();
  const put = (at: number, list: readonly number[]): void => {
    list.forEach((w, i) => {
      words.set(at + 4 * i, w);
    });
  };
  put(CODE, [...HEAD, HVC(0), ...(mmu ? MMU_ON : Array<number>(7).fill(0xd503201f)), HVC(1)]);
  const first = CODE + 4 * (HEAD.length + 9);
  cases.forEach(({ word, place }, n) => {
    const at = first + 8 * n;
    put(at, [word(PLACES[place] - at), HVC(1)]);
  });
  put(RAM + 0x200, VECTOR);
  // level 1 blocks of 1 GiB: AF, inner shareable, AttrIndx 0 (D8.3.1); the first is EL0's too, and again the fourth, with nothing behind it
  put(TABLE, [0x0000_0741, 0, 0x4000_0701, 0, 0, 0, 0x0000_0701, 0]);
  const end = Math.max(...words.keys()) + 4;
  const data = new Uint8Array(end - RAM);
  for (const [at, w] of words) new DataView(data.buffer).setUint32(at - RAM, w, true);

  const machine = createVirtMachine({ cpu: "max", virtualization: true, memory: 32 * 2 ** 20, code });
  const hypervisor = addHypervisor(machine);
  const devices = { trap: new NotingMemory(), pass: new NotingMemory(), beyond: new NotingMemory() };
  machine.bus.map({ name: "passed", base: PHYSICAL, size: 2 * PAGE, target: devices.pass });
  const trapped = (name: "trap" | "beyond") => ({
    name,
    base: PLACES[name],
    size: 2 * PAGE,
    mode: "trap" as const,
    model: () => ({ target: devices[name], lines: [] }),
  });
  const vm = hypervisor.createVm({
    name: "vm",
    memory: MEMORY,
    vcpus: 1,
    psci: "hvc",
    regions: [
      trapped("trap"),
      trapped("beyond"),
      { name: "pass", base: PLACES.pass, size: 2 * PAGE, mode: "pass", physical: { base: PHYSICAL, interrupts: [] } },
    ],
    images: [{ address: RAM, data }],
    entry: CODE,
    x0: 0,
  });
  const { context } = machine.cpus.cpus[0] ?? { context: null };
  if (context === null) throw new Error("no CPU");
  const ramAt = () => vm.cells.memory - RAM;
  const bytes = (place: PlaceName): Uint8Array => {
    if (place !== "memory") return devices[place].bytes;
    const at = ramAt() + PLACES.memory - RAM;
    const region = machine.ram.direct(at, true);
    if (region === null) throw new Error("no memory");
    const from = region.arenaAt + at - region.start;
    return machine.arena.bytes.subarray(from, from + 2 * PAGE);
  };
  const results: Result[] = [];
  let fault: Result["fault"] = null;
  const takeDown = (cpu: PhysicalCpu): void => {
    const c = cases[results.length];
    const access = cpu.instructions;
    if (c === undefined || access === null) return;
    const registers = Array.from({ length: 32 }, (_, r) => {
      const low = (r === 31 ? access.stackPointerLow : cpu.low(r)) >>> 0;
      const high = r === 31 ? access.stackPointerHigh : cpu.high(r);
      const place = c.relative.includes(r) ? PLACES[c.place] : 0;
      return [(low - place) | 0, (low < place ? high - 1 : high) | 0];
    }).flat();
    if (fault !== null) registers[60] = registers[61] = 0; // the vector's own
    const vectors = c.vectors.flatMap((before, r) => differences(before, access.vector(r), 4 * r));
    const data = differences(repeated(c.data), bytes(c.place), 0);
    const log = c.place === "memory" ? [] : devices[c.place].log.splice(0);
    results.push({ registers, vectors, data, log, fault });
    fault = null;
  };
  const prepare = (cpu: PhysicalCpu): void => {
    const c = cases[results.length];
    const access = cpu.instructions;
    if (c === undefined || access === null) {
      machine.simulation.pause();
      return;
    }
    c.registers.forEach(({ low, high }, r) => {
      const to = c.relative.includes(r) ? low + PLACES[c.place] : low;
      if (r === 31) access.setStackPointer(to | 0, high);
      else cpu.setRegister(r, to | 0, high);
    });
    c.vectors.forEach((v, r) => {
      access.setVector(r, v);
    });
    bytes(c.place).set(repeated(c.data));
  };
  let begun = false;
  const call: NonNullable<Service["call"]> = (cpu, _vcpu, exit) => {
    const number = exit.syndrome & 0xffff;
    if (number === 0) {
      cpu.setRegister(2, 0xff, 0); // Attr0: Normal, write-back
      cpu.setRegister(3, 25 | (3 << 12) | (1 << 8) | (1 << 10) | (1 << 23), 1); // 39 bits, 4 KiB, no TTBR1, IPS 36 bits
      cpu.setRegister(4, TABLE, 0);
      cpu.setRegister(5, 0x30d0_0801 | 4, 0);
    } else if (number === 2) {
      const c = cases[results.length];
      const place = c === undefined ? 0 : PLACES[c.place];
      fault = { esr: context.low(offsetOf("ESR_EL1")) >>> 0, far: (context.low(offsetOf("FAR_EL1")) - place) | 0 };
    } else {
      if (begun) takeDown(cpu);
      begun = true;
      prepare(cpu);
    }
    return true;
  };
  hypervisor.services.push({ call });
  machine.reset();
  hypervisor.request(vm, "start");
  machine.simulation.run(100_000_000_000);
  return results;
}

function repeated(data: Uint8Array): Uint8Array {
  const all = new Uint8Array(2 * PAGE);
  for (let at = 0; at < all.length; at += data.length) all.set(data, at);
  return all;
}

function differences(before: ArrayLike<number>, after: ArrayLike<number>, first: number): string[] {
  const found: string[] = [];
  for (let i = 0; i < before.length; i++) if (before[i] !== after[i]) found.push(`${first + i}: ${after[i]}`);
  return found;
}
