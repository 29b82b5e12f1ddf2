/**
 * Emulation of loads and stores whose abort has no syndrome (ESR_EL2.ISV = 0): pairs, writeback, literals, SIMD registers and lists of
 * structures. All of it is done or nothing, but for an error of a model in its middle.
 *
 * What is no plain access ends as on a passed device: an access that is not aligned is an alignment fault, as to any Device memory (DDI 0487J.a
 * B2.8.2), DC ZVA too (D7.5.8), an atomic instruction the fault "unsupported Exclusive or Atomic access" (B2.2.5). Exclusives end so as well, which
 * is IMPLEMENTATION DEFINED for Device memory (B2.9.2): the exception return after an emulated load would clear the monitor, and the store
 * could never succeed.
 */
import { RESPONSE_DECODE_ERROR, RESPONSE_TARGET_ERROR } from "../bus/index.ts";
import { FAULT_ALIGNMENT, FAULT_EXTERNAL } from "../mmu/index.ts";
import { decodeLoadStore, type LoadStore } from "./load-store.ts";
import type { AccessFault, InstructionAccess, PhysicalCpu } from "./physical-cpu.ts";
import type { Vcpu } from "./vcpu.ts";

const FAULT_UNSUPPORTED_EXCLUSIVE = 0x35;
const PAGE_OFFSET = 0xfff;

/** ESR_ELx.EA tells an error of the target from one of decoding, as on the CPU model. */
const EXTERNAL_OF_TARGET = 1 << 9;

export function externalAbort(response: number): number {
  return FAULT_EXTERNAL | (response === RESPONSE_TARGET_ERROR ? EXTERNAL_OF_TARGET : 0);
}

/** "retry": the guest's own translation of the instruction fails by now, so it is to run again. Null: an external abort is due. */
export function emulateInstruction(cpu: PhysicalCpu, vcpu: Vcpu): "done" | "retry" | AccessFault | null {
  const access = cpu.instructions;
  if (access === null) return null;
  const word = access.word();
  if (word < 0) return "retry";
  if (isZeroBlock(word)) return { status: FAULT_ALIGNMENT };
  const what = decodeLoadStore(word);
  if (what === "exclusive") return { status: FAULT_UNSUPPORTED_EXCLUSIVE };
  return what === null ? null : new Emulation(cpu, access, vcpu, what).run();
}

/** The access that left at the start of a page began in the page before. */
export function isSecondHalf(cpu: PhysicalCpu): boolean {
  const access = cpu.instructions;
  const word = access?.word() ?? -1;
  const what = word < 0 ? null : decodeLoadStore(word);
  if (access === null || what === null || what === "exclusive") return false;
  return (startOf(cpu, access, what).low & PAGE_OFFSET) !== 0;
}

/** DC ZVA: SYS #3, C7, C4, #1 (C5.3). */
function isZeroBlock(word: number): boolean {
  return (word & ~31) >>> 0 === 0xd50b_7420;
}

interface Address {
  readonly low: number;
  readonly high: number;
}

function plus(to: Address, low: number, high = low < 0 ? -1 : 0): Address {
  const sum = (to.low >>> 0) + (low >>> 0);
  return { low: sum | 0, high: (to.high + high + (sum > 0xffff_ffff ? 1 : 0)) | 0 };
}

function baseOf(cpu: PhysicalCpu, access: InstructionAccess, { base }: LoadStore): Address {
  if (base === 31) return { low: access.stackPointerLow, high: access.stackPointerHigh };
  if (base < 0) return { low: access.pcLow, high: access.pcHigh };
  return { low: cpu.low(base), high: cpu.high(base) };
}

/** UXTW, LSL, SXTW, SXTX of a register, or a number. */
function withOffset(cpu: PhysicalCpu, to: Address, { index, offset }: LoadStore): Address {
  if (index === null) return plus(to, offset);
  const { register, option, shift } = index;
  let low = cpu.low(register) | 0;
  let high = option === 2 ? 0 : option === 6 ? low >> 31 : cpu.high(register) | 0;
  if (shift > 0) {
    high = (high << shift) | (low >>> (32 - shift));
    low <<= shift;
  }
  return plus(to, low, high);
}

/** Where the access begins. */
function startOf(cpu: PhysicalCpu, access: InstructionAccess, what: LoadStore): Address {
  const base = baseOf(cpu, access, what);
  return what.mode === "post" ? base : withOffset(cpu, base, what);
}

class Emulation {
  readonly #cpu: PhysicalCpu;
  readonly #access: InstructionAccess;
  readonly #vcpu: Vcpu;
  readonly #what: LoadStore;
  /** What lies in memory. */
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #start: Address;

  constructor(cpu: PhysicalCpu, access: InstructionAccess, vcpu: Vcpu, what: LoadStore) {
    this.#cpu = cpu;
    this.#access = access;
    this.#vcpu = vcpu;
    this.#what = what;
    this.#bytes = new Uint8Array(what.elements.reduce((sum, e) => sum + e.bytes, 0));
    this.#view = new DataView(this.#bytes.buffer);
    this.#start = startOf(cpu, access, what);
  }

  run(): "done" | AccessFault {
    const { load, alignment } = this.#what;
    if ((this.#start.low & (alignment - 1)) !== 0) return { status: FAULT_ALIGNMENT };
    const width = (this.#start.low & (this.#what.width - 1)) === 0 ? this.#what.width : alignment;
    const places: number[] = [];
    for (let at = 0; at < this.#bytes.length; at += width) {
      const address = plus(this.#start, at);
      const ipa = this.#access.translate(address.high, address.low, !load);
      if (ipa < 0) return { status: -1 - ipa, address };
      if (this.#isHole(ipa)) return this.#fault(externalAbort(RESPONSE_DECODE_ERROR), at);
      places.push(ipa);
    }
    if (!load) this.#gather();
    for (let i = 0; i < places.length; i++) {
      const response = this.#piece(places[i] as number, i * width, width);
      if (response !== 0) return this.#fault(externalAbort(response), i * width);
    }
    if (load) this.#scatter();
    this.#writeBack();
    this.#cpu.skip();
    return "done";
  }

  /** The fault of the piece at `at`: its address is that of what is moved at once with it, as far as it lies in the same page. */
  #fault(status: number, at: number): AccessFault {
    const piece = plus(this.#start, at);
    const unit = plus(this.#start, at - (at % this.#what.unit));
    const same = ((piece.low ^ unit.low) & ~PAGE_OFFSET) === 0;
    return { status, address: same ? unit : { high: piece.high, low: piece.low & ~PAGE_OFFSET } };
  }

  #isHole(ipa: number): boolean {
    const { vm } = this.#vcpu;
    return vm.bus.find(ipa) === null && vm.stage2.find(this.#cpu, ipa) < 0;
  }

  /** One access, of a model or of what stage 2 maps: the response. */
  #piece(ipa: number, at: number, size: number): number {
    const { vm, index } = this.#vcpu;
    const { load } = this.#what;
    const view = this.#view;
    if (vm.bus.find(ipa) === null) {
      this.#mapped(vm.stage2.find(this.#cpu, ipa), at, size);
      return 0;
    }
    const tx = vm.transaction;
    tx.cpu = index;
    tx.response = 0;
    tx.delay = 0;
    tx.high = 0;
    if (load) {
      const low = vm.bus.read(ipa, size, tx);
      if (size === 1) view.setUint8(at, low);
      else if (size === 2) view.setUint16(at, low, true);
      else view.setUint32(at, low, true);
      if (size === 8) view.setUint32(at + 4, tx.high, true);
    } else {
      if (size === 8) tx.high = view.getUint32(at + 4, true);
      const low = size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
      vm.bus.write(ipa, size, low, tx);
    }
    return tx.response;
  }

  /** Memory, or a passed device: by words, as numbers of 64 bits would lose some. */
  #mapped(physical: number, at: number, size: number): void {
    const view = this.#view;
    const cpu = this.#cpu;
    for (let i = 0; i < size; i += 4) {
      const to = physical + i;
      const from = at + i;
      if (this.#what.load) {
        if (size === 1) view.setUint8(from, cpu.read(to, 1));
        else if (size === 2) view.setUint16(from, cpu.read(to, 2), true);
        else view.setUint32(from, cpu.read(to, 4), true);
      } else if (size === 1) cpu.write(to, 1, view.getUint8(from));
      else if (size === 2) cpu.write(to, 2, view.getUint16(from, true));
      else cpu.write(to, 4, view.getUint32(from, true));
    }
  }

  /** The bytes of a register. */
  #register(number: number): Uint8Array {
    const words = this.#what.simd
      ? this.#access.vector(number)
      : Int32Array.of(this.#cpu.low(number), this.#cpu.high(number));
    return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  }

  #gather(): void {
    let done = 0;
    for (const { register, at, bytes } of this.#what.elements) {
      this.#bytes.set(this.#register(register).subarray(at, at + bytes), done);
      done += bytes;
    }
  }

  #scatter(): void {
    const { elements, simd } = this.#what;
    const vectors = new Map<number, Uint8Array>();
    let done = 0;
    for (const element of elements) {
      const data = this.#bytes.subarray(done, done + element.bytes);
      if (simd) this.#toVector(vectors, element.register, element.at, data);
      else this.#toGeneral(element.register, data);
      done += element.bytes;
    }
    for (const [register, vector] of vectors) this.#access.setVector(register, new Int32Array(vector.buffer));
  }

  #toVector(vectors: Map<number, Uint8Array>, register: number, at: number, data: Uint8Array): void {
    const { keep, replicate } = this.#what;
    const vector = vectors.get(register) ?? (keep ? this.#register(register).slice() : new Uint8Array(16));
    vectors.set(register, vector);
    for (let to = at; to < Math.max(at + data.length, replicate); to += data.length) vector.set(data, to);
  }

  #toGeneral(register: number, data: Uint8Array): void {
    const { signed } = this.#what;
    const words = new Int32Array(2);
    new Uint8Array(words.buffer).set(data);
    let [low = 0, high = 0] = words;
    if (signed !== 0) {
      const unused = 32 - 8 * data.length;
      low = (low << unused) >> unused;
      high = signed === 64 ? low >> 31 : 0;
    }
    this.#cpu.setRegister(register, low, high);
  }

  /** The base after the registers: where it is among those loaded, it wins, as on the CPU model (CONSTRAINED UNPREDICTABLE). */
  #writeBack(): void {
    const { mode, base } = this.#what;
    if (mode === "offset") return;
    const to = mode === "post" ? withOffset(this.#cpu, this.#start, this.#what) : this.#start;
    if (base === 31) this.#access.setStackPointer(to.low, to.high);
    else this.#cpu.setRegister(base, to.low, to.high);
  }
}
