/**
 * Configuration space of one function: 4 KiB put together from a header and its capabilities, compiled into one register bank.
 *
 * PCI Express Base Specification 5.0, clause 7.3.1: registers that are not there read as zero and ignore writes, and writes to
 * read-only bits are legal (that is how BARs are sized), so neither is a guest error. Accesses must not cross a double word (7.2.2).
 */
import type { Transaction } from "../bus/index.ts";
import {
  type Declaration,
  defineRegisters,
  type Field,
  type Hooks,
  type Register,
  RegisterBank,
} from "../registers/index.ts";
import type { Module } from "../sim/index.ts";

export const CONFIG_SIZE = 0x1000;
/** What a reset does not touch, by its kind: "power" clears everything. */
export type ResetKind = "power" | "hot" | "flr";

/** A register of a header or capability; `at` counts from the start of the piece. */
export interface ConfigRegister extends Register {
  readonly hooks?: Hooks;
  /** Bits that keep their value through hot and function-level reset (RWS, ROS, RW1CS: clause 7.4). */
  readonly sticky?: number;
  /** Bits that a function-level reset alone leaves as they are (clause 6.6.2). */
  readonly keptByFlr?: number;
}

/** A header or capability at its place. */
export interface Piece {
  readonly at: number;
  readonly registers: { readonly [name: string]: ConfigRegister };
}

const ABSENT = 0;
const READ_ONLY = 1;
const WRITABLE = 2;

export class ConfigSpace {
  readonly bank: RegisterBank<Declaration>;
  readonly #owner: Module;
  readonly #words = new Uint8Array(CONFIG_SIZE / 4);
  readonly #keptByHot: Int32Array;
  readonly #keptByFlr: Int32Array;

  /** Compiles `pieces` and adds the bank to `owner` under the name "config". Throws where pieces overlap. */
  constructor(owner: Module, name: string, title: string, pieces: readonly Piece[]) {
    this.#owner = owner;
    const registers: Record<string, Register> = {};
    const hooks: Record<string, Hooks> = {};
    for (const piece of pieces) {
      for (const [key, { hooks: own, sticky: _s, keptByFlr: _k, ...register }] of Object.entries(piece.registers)) {
        if (key in registers)
          throw new Error(`${owner.fullName}: two registers of configuration space are named ${key}`);
        registers[key] = { ...register, at: piece.at + register.at };
        if (own) hooks[key] = own;
        this.#words[(piece.at + register.at) >> 2] = Object.values(register.fields).some(writable)
          ? WRITABLE
          : READ_ONLY;
        for (let i = 1; i < (register.count ?? 1); i++)
          this.#words[((piece.at + register.at) >> 2) + i] = this.#words[(piece.at + register.at) >> 2] as number;
      }
    }
    const declaration = defineRegisters<Declaration>({
      name,
      title,
      manual: "PCI Express Base 5.0",
      size: CONFIG_SIZE,
      sizes: [1, 2, 4],
      registers,
    });
    this.bank = owner.part("config", new RegisterBank<Declaration>(owner, declaration, hooks));
    this.#keptByHot = new Int32Array(this.bank.values.length);
    this.#keptByFlr = new Int32Array(this.bank.values.length);
    for (const piece of pieces) {
      for (const [key, r] of Object.entries(piece.registers)) {
        for (let i = 0; i < (r.count ?? 1); i++) {
          const slot = this.slot(key) + i;
          this.#keptByHot[slot] = r.sticky ?? 0;
          this.#keptByFlr[slot] = (r.sticky ?? 0) | (r.keptByFlr ?? 0);
        }
      }
    }
  }

  /** Index of a register in `bank.values`. Throws on an unknown name. */
  slot(name: string): number {
    const slot = this.bank.slot[name];
    if (slot === undefined) throw new Error(`${this.#owner.fullName}: configuration space has no register ${name}`);
    return slot;
  }

  /** Reads 1, 2 or 4 bytes that do not cross a double word. */
  read(offset: number, size: number, tx: Transaction): number {
    if ((offset & (size - 1)) !== 0) return this.#misaligned(offset, size, false, 0);
    return this.#words[offset >> 2] === ABSENT ? 0 : this.bank.read(offset, size, tx);
  }

  write(offset: number, size: number, value: number, tx: Transaction): void {
    if ((offset & (size - 1)) !== 0) this.#misaligned(offset, size, true, value);
    else if (this.#words[offset >> 2] === WRITABLE) this.bank.write(offset, size, value, tx);
  }

  peek(offset: number, size: number): number {
    return this.bank.peek(offset, size);
  }

  poke(offset: number, size: number, value: number): void {
    this.bank.poke(offset, size, value);
  }

  /** Returns registers to their reset values, but for what this kind of reset keeps. */
  reset(kind: ResetKind): void {
    if (kind === "power") {
      this.bank.reset();
      return;
    }
    const kept = kind === "hot" ? this.#keptByHot : this.#keptByFlr;
    const { values } = this.bank;
    const before = values.slice();
    this.bank.reset();
    for (let i = 0; i < values.length; i++) {
      const mask = kept[i] as number;
      values[i] = ((values[i] as number) & ~mask) | ((before[i] as number) & mask);
    }
  }

  #misaligned(offset: number, size: number, write: boolean, value: number): number {
    this.#owner.guestError({
      kind: "width",
      offset,
      size,
      write,
      ...(write ? { value } : {}),
      clause: "PCI Express Base 5.0 7.2.2",
      detail: "access to configuration space that is not aligned",
    });
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
  }
}

function writable(f: Field): boolean {
  return f.access !== "ro" && f.access !== "reserved";
}
