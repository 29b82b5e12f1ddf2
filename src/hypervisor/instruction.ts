/**
 * Emulation of loads and stores whose abort has no syndrome (ESR_EL2.ISV = 0): pairs, writeback, literals, SIMD registers. The word is found in the
 * table of instructions, whose fields say what is meant (DDI 0487J.a C4.1.88); each element is then read or written by itself. Left out:
 * exclusives, whose success on a device is not defined, and lists of SIMD structures; the guest gets an external abort.
 */
import { signExtend } from "../cpu/aarch64/isa/bits.ts";
import { TABLE } from "../cpu/aarch64/isa/table.ts";
import { buildTree, findRow } from "../cpu/aarch64/isa/tree.ts";
import type { Exit, InstructionAccess, PhysicalCpu } from "./physical-cpu.ts";
import type { Vcpu } from "./vcpu.ts";

export interface LoadStore {
  readonly load: boolean;
  readonly simd: boolean;
  /** Bytes of an element, 1 to 16. */
  readonly size: number;
  /** Loads: sign-extended, to 32 or 64 bits. */
  readonly signed: 0 | 32 | 64;
  readonly registers: readonly number[];
  /** Number of the base, 31 for SP; -1: PC. */
  readonly base: number;
  readonly offset: number;
  /** The offset is a register: its number, extension (option) and shift. */
  readonly index: { readonly register: number; readonly option: number; readonly shift: number } | null;
  readonly mode: "offset" | "pre" | "post";
}

const MEMORY_ROWS = TABLE.filter((row) => ((row.value >>> 25) & 5) === 4 && ((row.mask >>> 25) & 5) === 5);
const TREE = buildTree(MEMORY_ROWS);

/** What a word loads or stores; null where it is no load or store of those above. */
export function decodeLoadStore(word: number): LoadStore | null {
  const row = findRow(TREE, word);
  if (row === undefined) return null;
  const f = row.extract(word);
  const field = (name: string): number => f[name] ?? 0;
  const simd = ((word >>> 26) & 1) !== 0;
  const top = word >>> 30;
  const group = (word >>> 27) & 7;
  const rt = field("Rt");
  const base = field("Rn");
  if (group === 5) {
    const mode = field("mode");
    const size = simd ? 4 << top : top === 2 ? 8 : 4;
    return {
      load: ((word >>> 22) & 1) !== 0,
      simd,
      size,
      signed: !simd && top === 1 ? 64 : 0,
      registers: [rt, field("Rt2")],
      base,
      offset: signExtend(field("imm7"), 7) * size,
      index: null,
      mode: mode === 1 ? "post" : mode === 3 ? "pre" : "offset",
    };
  }
  if (group === 3 && ((word >>> 24) & 1) === 0) {
    const size = simd ? 4 << top : top === 1 ? 8 : 4;
    const offset = signExtend(field("imm19"), 19) * 4;
    const signed = !simd && top === 2 ? 64 : 0;
    return { load: true, simd, size, signed, registers: [rt], base: -1, offset, index: null, mode: "offset" };
  }
  if (group !== 7) return null;
  const opc = (word >>> 22) & 3;
  const size = simd && opc >= 2 ? 16 : 1 << top;
  const load = simd ? (opc & 1) !== 0 : opc !== 0;
  const signed = simd || opc < 2 ? 0 : opc === 2 ? 64 : 32;
  const common = { load, simd, size, signed, registers: [rt], base } as const;
  if (((word >>> 24) & 1) !== 0) return { ...common, offset: field("imm12") * size, index: null, mode: "offset" };
  if (((word >>> 21) & 1) !== 0) {
    if (((word >>> 10) & 3) !== 2) return null;
    const shift = field("S") !== 0 ? Math.log2(size) : 0;
    return { ...common, offset: 0, index: { register: field("Rm"), option: field("option"), shift }, mode: "offset" };
  }
  const form = (word >>> 10) & 3;
  const mode = form === 1 ? "post" : form === 3 ? "pre" : "offset";
  return { ...common, offset: signExtend(field("imm9"), 9), index: null, mode };
}

/** "retry": the guest's own translation fails by now, so the instruction is to run again. "failed": an external abort is due. */
export function emulateInstruction(cpu: PhysicalCpu, vcpu: Vcpu, _exit: Exit): "done" | "retry" | "failed" {
  const access = cpu.instructions;
  if (access === null) return "failed";
  const word = access.word();
  if (word < 0) return "retry";
  const what = decodeLoadStore(word);
  if (what === null) return "failed";
  return new Emulation(cpu, access, vcpu, what).run();
}

class Emulation {
  readonly #cpu: PhysicalCpu;
  readonly #access: InstructionAccess;
  readonly #vcpu: Vcpu;
  readonly #what: LoadStore;
  #low = 0;
  #high = 0;

  constructor(cpu: PhysicalCpu, access: InstructionAccess, vcpu: Vcpu, what: LoadStore) {
    this.#cpu = cpu;
    this.#access = access;
    this.#vcpu = vcpu;
    this.#what = what;
  }

  run(): "done" | "retry" | "failed" {
    const { base, offset, index, mode, load, registers, size } = this.#what;
    const cpu = this.#cpu;
    this.#base(base);
    const fromLow = this.#low;
    const fromHigh = this.#high;
    if (index !== null) this.#addIndex(index);
    else if (mode !== "post") this.#add(offset);
    const atLow = this.#low;
    const atHigh = this.#high;
    // all of it or nothing: the elements' places first
    const pieces = registers.length * (size > 8 ? 2 : 1);
    const width = Math.min(size, 8);
    const places: number[] = [];
    for (let i = 0; i < pieces; i++) {
      const ipa = this.#access.translate(this.#high, this.#low, !load);
      if (ipa < 0) return "retry";
      places.push(ipa);
      this.#add(width);
    }
    const values = new Int32Array(2 * pieces);
    if (!load) this.#gather(values);
    for (let i = 0; i < pieces; i++) if (!this.#one(places[i] as number, width, values, 2 * i)) return "failed";
    if (load) this.#scatter(values);
    if (mode !== "offset") {
      this.#low = mode === "pre" ? atLow : fromLow;
      this.#high = mode === "pre" ? atHigh : fromHigh;
      if (mode === "post") this.#add(offset);
      if (base === 31) this.#access.setStackPointer(this.#low, this.#high);
      else cpu.setRegister(base, this.#low, this.#high);
    }
    cpu.skip();
    return "done";
  }

  #base(base: number): void {
    const access = this.#access;
    if (base === 31) {
      this.#low = access.stackPointerLow;
      this.#high = access.stackPointerHigh;
    } else if (base < 0) {
      this.#low = access.pcLow;
      this.#high = access.pcHigh;
    } else {
      this.#low = this.#cpu.low(base);
      this.#high = this.#cpu.high(base);
    }
  }

  #add(value: number): void {
    this.#add64(value | 0, value < 0 ? -1 : 0);
  }
  #add64(low: number, high: number): void {
    const sum = (this.#low >>> 0) + (low >>> 0);
    this.#high = (this.#high + high + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    this.#low = sum | 0;
  }

  /** UXTW, LSL, SXTW, SXTX. */
  #addIndex({ register, option, shift }: NonNullable<LoadStore["index"]>): void {
    let low = this.#cpu.low(register) | 0;
    let high = option === 2 ? 0 : option === 6 ? low >> 31 : this.#cpu.high(register) | 0;
    if (shift > 0) {
      high = (high << shift) | (low >>> (32 - shift));
      low <<= shift;
    }
    this.#add64(low, high);
  }

  /** One element, of the VM's memory or of a model. */
  #one(ipa: number, size: number, values: Int32Array, at: number): boolean {
    const { vm, index } = this.#vcpu;
    const cpu = this.#cpu;
    const { load } = this.#what;
    const physical = vm.physical(ipa);
    if (physical >= 0) {
      for (let done = 0; done < size; done++) {
        const lane = at + (done >>> 2);
        const shift = 8 * (done & 3);
        if (load) values[lane] = (values[lane] as number) | (cpu.read(physical + done, 1) << shift);
        else cpu.write(physical + done, 1, ((values[lane] as number) >>> shift) & 0xff);
      }
      return true;
    }
    const tx = vm.transaction;
    tx.cpu = index;
    tx.response = 0;
    tx.delay = 0;
    tx.high = 0;
    if (ipa % size !== 0) return false;
    if (load) {
      values[at] = vm.bus.read(ipa, size, tx) | 0;
      values[at + 1] = size === 8 ? tx.high | 0 : 0;
    } else {
      const low = values[at] as number;
      tx.high = (values[at + 1] as number) >>> 0;
      vm.bus.write(ipa, size, size < 4 ? low & ((1 << (8 * size)) - 1) : low >>> 0, tx);
    }
    return tx.response === 0;
  }

  #gather(values: Int32Array): void {
    const { registers, simd, size } = this.#what;
    const words = Math.max(2, size / 4);
    registers.forEach((r, n) => {
      if (simd) values.set(this.#access.vector(r).subarray(0, words), n * words);
      else values.set([this.#cpu.low(r) | 0, this.#cpu.high(r) | 0], n * words);
    });
  }

  #scatter(values: Int32Array): void {
    const { registers, simd, size, signed } = this.#what;
    const words = Math.max(2, size / 4);
    registers.forEach((r, n) => {
      const part = values.subarray(n * words, (n + 1) * words);
      if (simd) {
        const vector = new Int32Array(4);
        vector.set(part);
        this.#access.setVector(r, vector);
        return;
      }
      let low = part[0] as number;
      let high = size === 8 ? (part[1] as number) : 0;
      if (signed !== 0) {
        const unused = 32 - 8 * Math.min(size, 4);
        low = (low << unused) >> unused;
        high = signed === 64 ? low >> 31 : 0;
      }
      this.#cpu.setRegister(r, low, high);
    });
  }
}
