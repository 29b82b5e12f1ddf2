/**
 * The interpreter with the least host that runs something: RAM mapped one to one, no exceptions, a UART's data register.
 * For tests and benches of the engine alone.
 */
import { Arena } from "../../../../src/bus/arena.ts";
import type { InterpreterHost } from "../../../../src/cpu/aarch64/engine/host.ts";
import { Interpreter, type InterpreterCode } from "../../../../src/cpu/aarch64/engine/interpreter.ts";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";

export const LEFT_HVC = 0x200;
export const LEFT_FAULT = 0x201;
export const LEFT_UNDEFINED = 0x202;
export const LEFT_OTHER = 0x203;

const CURRENT_EL = 0b11_000_0100_0010_010;
const CNTVCT = 0b11_011_1110_0000_010;
const CNTFRQ = 0b11_011_1110_0000_000;
const FPCR = 0b11_011_0100_0100_000;
const FPSR = 0b11_011_0100_0100_001;

export class FlatMachine implements Omit<InterpreterHost, "decode"> {
  readonly arena = new Arena();
  readonly context: number;
  readonly ramBase: number;
  readonly ramBytes: number;
  readonly ram: number;
  readonly interpreter: Interpreter;
  output = "";
  onOutput: (text: string) => void = () => {};
  /** Counts of calls out, by import. */
  readonly calls = { fetch: 0, load: 0, store: 0, sysreg: 0, system: 0 };
  /** Instructions retired in earlier runs. */
  retired = 0;
  lastSystem = -1;
  /** When false, loads and stores never enter the TLB: everything takes the slow path. */
  useTlb = true;
  onUart: () => void = () => {};

  constructor(code: InterpreterCode, ramBase = 0x4000_0000, ramBytes = 0x100_0000, pages = 256) {
    this.ramBase = ramBase;
    this.ramBytes = ramBytes;
    this.ram = this.arena.allocate(ramBytes);
    this.context = this.arena.allocate(L.CONTEXT_BYTES);
    const { words } = this.arena;
    const tlb = this.context + L.TLB_SETS;
    words.fill(-1, tlb >>> 2, (tlb + L.TLB_CONTEXTS * L.TLB_SET_BYTES) >>> 2);
    this.set32(L.TLB, tlb + L.TLB_SET_BYTES);
    this.set32(L.TLB_USER, tlb);
    this.set32(L.EL, 1);
    this.set32(L.SPSEL, 1);
    this.set32(L.FP_ENABLED, 1);
    words.fill(-1, (this.context + L.EXCLUSIVE_ADDRESS) >>> 2, (this.context + L.EXCLUSIVE_ADDRESS + 8) >>> 2);
    this.interpreter = new Interpreter(code, this.arena, this, {
      pages,
      onCode: (page) => this.#purge(page),
      onDrop: () => this.flush(L.TLB_FETCH),
    });
    this.arena.onCodeWrite = (address, length) => this.interpreter.codeCache.invalidate(address, length);
  }

  get32(offset: number): number {
    return this.arena.words[(this.context + offset) >>> 2] as number;
  }
  set32(offset: number, v: number): void {
    this.arena.words[(this.context + offset) >>> 2] = v;
  }
  get64(offset: number): bigint {
    return this.arena.view.getBigUint64(this.context + offset, true);
  }
  set64(offset: number, v: bigint): void {
    this.arena.view.setBigUint64(this.context + offset, BigInt.asUintN(64, v), true);
  }
  x(n: number): bigint {
    return this.get64(L.X + 8 * n);
  }
  setX(n: number, v: bigint): void {
    this.set64(L.X + 8 * n, v);
  }
  get pc(): number {
    return Number(this.get64(L.PC));
  }
  set pc(v: number) {
    this.set64(L.PC, BigInt(v));
  }
  get nzcv(): number {
    const n = this.get64(L.NRES) >> 63n ? 8 : 0;
    return n | (this.get64(L.ZRES) === 0n ? 4 : 0) | (this.get32(L.CFLAG) << 1) | this.get32(L.VFLAG);
  }
  set nzcv(v: number) {
    this.set64(L.NRES, v & 8 ? 1n << 63n : 0n);
    this.set64(L.ZRES, v & 4 ? 0n : 1n);
    this.set32(L.CFLAG, (v >> 1) & 1);
    this.set32(L.VFLAG, v & 1);
  }

  load8(bytes: Uint8Array, address: number): void {
    this.arena.bytes.set(bytes, this.ram + address - this.ramBase);
    this.arena.written(this.ram + address - this.ramBase, bytes.length);
  }
  loadWords(words: readonly number[], address: number): void {
    this.load8(new Uint8Array(Uint32Array.from(words).buffer), address);
  }

  flush(table: number): void {
    for (let set = 0; set < L.TLB_CONTEXTS; set++) {
      const at = this.context + L.TLB_SETS + set * L.TLB_SET_BYTES + table;
      this.arena.words.fill(-1, at >>> 2, (at + L.TLB_ENTRIES * L.TLB_ENTRY_BYTES) >>> 2);
    }
  }
  #purge(page: number): void {
    const va = this.ramBase + page * 4096 - this.ram;
    const at = this.#entry(L.TLB_WRITE, va);
    this.arena.words.fill(-1, at, at + 2);
  }

  /** Runs at most about `instructions`; returns the status and adds what was retired. */
  run(instructions: number, step = false): number {
    this.set32(L.COUNT, 0);
    this.set32(L.LIMIT, instructions * 16);
    const status = step ? this.interpreter.step(this.context) : this.interpreter.run(this.context);
    this.retired += this.get32(L.COUNT) / 16;
    return status;
  }

  #entry(table: number, va: number): number {
    return (this.get32(L.TLB) + table + L.tlbSlot(va) * L.TLB_ENTRY_BYTES) >>> 2;
  }
  #fill(table: number, va: number, addend: number, code: number): void {
    const { words } = this.arena;
    const at = this.#entry(table, va);
    const page = Math.floor(va / 4096);
    words[at] = page;
    words[at + 1] = code === 0 ? 0 : 0x8000_0000;
    words[at + 2] = addend;
    words[at + 3] = code;
  }
  /** Arena address of a guest address, or -1. */
  host(va: number, size: number): number {
    const offset = va - this.ramBase;
    return offset >= 0 && offset + size <= this.ramBytes ? this.ram + offset : -1;
  }
  #mailAddress(): number {
    return Number(this.get64(L.MAIL_ADDRESS));
  }

  fetch(): number {
    this.calls.fetch++;
    const va = this.pc;
    const host = this.host(va, 4);
    if (host < 0 || va % 4 !== 0) return LEFT_FAULT;
    const page = this.interpreter.codeCache.page(host);
    this.#fill(L.TLB_FETCH, va, page, 0);
    return L.GO_ON;
  }
  load(context: number, size: number): number {
    this.calls.load++;
    const va = this.#mailAddress();
    this.set64(L.MAIL_VALUE, 0n);
    this.set64(L.MAIL_VALUE_HIGH, 0n);
    const host = this.host(va, size);
    if (host >= 0) {
      this.arena.bytes.copyWithin(context + L.MAIL_VALUE, host, host + size);
      if (this.useTlb) this.#fill(L.TLB_READ, va, (host - va) | 0, 0);
      return L.GO_ON;
    }
    return va >= 0x0900_0000 && va < 0x0900_1000 ? L.GO_ON : LEFT_FAULT;
  }
  store(context: number, size: number): number {
    this.calls.store++;
    const va = this.#mailAddress();
    const host = this.host(va, size);
    if (host >= 0) {
      const access = this.get32(L.MAIL_ACCESS);
      const { bytes } = this.arena;
      if (access & L.ACCESS_EXCLUSIVE) {
        const held = bytes.slice(host, host + size).every((b, i) => b === bytes[context + L.EXCLUSIVE_VALUE + i]);
        const matches = Number(this.get64(L.EXCLUSIVE_ADDRESS)) === va && this.get32(L.EXCLUSIVE_SIZE) === size && held;
        this.set32(L.MAIL_WORD, matches ? 0 : 1);
        if (!matches) return L.GO_ON;
      }
      bytes.copyWithin(host, context + L.MAIL_VALUE, context + L.MAIL_VALUE + size);
      const code = this.interpreter.codeCache.find(host);
      if (code !== 0) this.interpreter.codeCache.invalidate(host, size);
      if (this.useTlb) this.#fill(L.TLB_WRITE, va, (host - va) | 0, code);
      return L.GO_ON;
    }
    if (va === 0x0900_0000) {
      const text = String.fromCharCode(Number(this.get64(L.MAIL_VALUE) & 0xffn));
      this.output += text;
      this.onOutput(text);
      return L.GO_ON;
    }
    return LEFT_FAULT;
  }
  sysreg(_context: number, encoding: number, write: number): number {
    this.calls.sysreg++;
    if (write) {
      if (encoding === FPCR) this.set64(L.FPCR, this.get64(L.MAIL_VALUE) & 0x07c00000n);
      if (encoding === FPSR) this.set64(L.FPSR, this.get64(L.MAIL_VALUE) & 0xf800009fn);
      return L.GO_ON;
    }
    let v = 0n;
    if (encoding === CURRENT_EL) v = 4n;
    else if (encoding === CNTFRQ) v = 1_000_000_000n;
    else if (encoding === CNTVCT) v = BigInt(Math.round(this.retired + this.get32(L.COUNT) / 16));
    else if (encoding === FPCR) v = this.get64(L.FPCR);
    else if (encoding === FPSR) v = this.get64(L.FPSR);
    this.set64(L.MAIL_VALUE, v);
    return L.GO_ON;
  }
  system(_context: number, kind: number): number {
    this.calls.system++;
    this.lastSystem = kind;
    switch (kind) {
      case L.SYSTEM_HVC:
        return LEFT_HVC;
      case L.SYSTEM_UNDEFINED:
        return LEFT_UNDEFINED;
      case L.SYSTEM_SP_ALIGNMENT:
      case L.SYSTEM_SYS:
      case L.SYSTEM_MSR_IMMEDIATE:
        return L.GO_ON;
      default:
        return LEFT_OTHER;
    }
  }
}
