/**
 * One CPU's memory management: regimes, the choice of TLB set, translation with the faults it raises, TLB maintenance, address
 * translation instructions and translation for debuggers.
 */

import {
  type DescriptorReader,
  FAULT_ALIGNMENT,
  FAULT_EXTERNAL,
  FETCH,
  NO_FAULT,
  physicalAddressSize,
  type Translation,
  Walker,
  WRITE,
} from "../../../mmu/index.ts";
import type { Context } from "../context.ts";
import type { Cpu } from "../cpu.ts";
import * as L from "../engine/layout.ts";
import { EC_DATA_ABORT, EC_INSTRUCTION_ABORT } from "../exceptions.ts";
import { dataAbortSyndrome } from "../isa/syndrome.ts";
import { offsetOf } from "../sysreg/table.ts";
import { StageOne, StageTwo } from "./regime.ts";
import { KEY_WORDS, TlbSet } from "./tlb.ts";

/** Data fault status code of an atomic access to memory that does not support it. */
const FAULT_UNSUPPORTED_ATOMIC = 0x35;

const EL1_KEY = [
  "SCTLR_EL1",
  "TCR_EL1",
  "TTBR0_EL1",
  "TTBR1_EL1",
  "MAIR_EL1",
  "HCR_EL2",
  "VTCR_EL2",
  "VTTBR_EL2",
] as const;
const EL2_KEY = ["SCTLR_EL2", "TCR_EL2", "TTBR0_EL2", "TTBR1_EL2", "MAIR_EL2"] as const;
/** Offsets of the words that make up a key; reserved high halves are left out. */
const KEYS = [keyOffsets(EL1_KEY), keyOffsets(EL1_KEY), keyOffsets(EL2_KEY)] as const;
/** Places in a key of the EL1&0 regime: TCR_EL1, two words, and the high words of TTBR0_EL1 and TTBR1_EL1. */
const KEY_TCR = 2;
const KEY_TTBR0 = 5;
const KEY_TTBR1 = 7;
/** HCR_EL2 bits that steer translation: VM, PTW, DC, TGE. Others (VI...) change often. */
const HCR_KEY = 0x0800_1005;
const HCR_EL2 = offsetOf("HCR_EL2");
const PAR_EL1 = offsetOf("PAR_EL1");

/**
 * Which sets serve which level; EL2 of a VHE host, which switches tables as EL1 does, has those of EL1 as well. Linux takes one set of EL0 and two
 * of EL1 a process, where it keeps its own pages from EL0 (KPTI): its tables and those of the entry code, all with the ASID of the process.
 */
const POOLS = [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11], [12]] as const;
const HOST_POOL = [...POOLS[1], ...POOLS[2]] as const;
const EL2_SET = 12;

export class Mmu {
  readonly #cpu: Cpu;
  readonly #context: Context;
  /** The regime by level. EL0 has that of EL1, or that of EL2 while it is the host's. */
  readonly one: [StageOne, StageOne, StageOne];
  readonly two = new StageTwo();
  readonly sets: readonly TlbSet[];
  readonly physicalLimit: number;
  readonly #physicalSize: number;
  readonly #granules: number;
  readonly #walker: Walker;
  readonly #debugWalker: Walker;
  /** The set in use at each level, valid while `#epochs` matches. */
  readonly #current: TlbSet[];
  readonly #epochs = [0, 0, 0];
  #epoch = 1;
  #uses = 0;
  readonly #key = new Int32Array(KEY_WORDS);
  #isE2h = false;
  #isHost = false;

  constructor(cpu: Cpu, reader: DescriptorReader, debugReader: DescriptorReader) {
    this.#cpu = cpu;
    this.#context = cpu.context;
    const guest = new StageOne(1);
    this.one = [guest, guest, new StageOne(2)];
    this.sets = POOLS.flat().map((i) => new TlbSet(cpu.context, i));
    this.#current = POOLS.map((pool) => this.sets[pool[0]] as TlbSet);
    this.#walker = new Walker(reader);
    this.#debugWalker = new Walker(debugReader);
    const mmfr0 = cpu.model.values["ID_AA64MMFR0_EL1"] ?? 0;
    this.#physicalSize = physicalAddressSize(mmfr0 & 15);
    this.physicalLimit = 2 ** this.#physicalSize;
    // ID_AA64MMFR0_EL1: TGran4 and TGran64 count from 0 (there), TGran16 from 1
    this.#granules =
      (((mmfr0 >>> 28) & 15) === 0 ? 1 << 12 : 0) |
      (((mmfr0 >>> 20) & 15) === 1 ? 1 << 14 : 0) |
      (((mmfr0 >>> 24) & 15) === 0 ? 1 << 16 : 0);
  }

  /** A register that steers translation was written. */
  changed(): void {
    const context = this.#context;
    this.one[1].update(context, this.#physicalSize, this.#granules);
    this.one[2].update(context, this.#physicalSize, this.#granules);
    this.two.update(context, this.#physicalSize, this.#granules);
    const { exceptions } = this.#cpu;
    this.#isE2h = exceptions.isE2h;
    this.#isHost = exceptions.isHost;
    this.one[0] = this.#isHost ? this.one[2] : this.one[1];
    this.#epoch++;
    this.enter();
  }

  /** Points the engine at the TLB set of the current level. */
  enter(): void {
    const context = this.#context;
    const set = context.base + this.set(context.el).offset;
    context.setLow(L.TLB, set);
    context.setLow(L.TLB_USER, this.hasUser ? context.base + this.set(0).offset : set);
  }

  /** LDTR and STTR at the current level are made with the rights of EL0. */
  get hasUser(): boolean {
    const { el } = this.#context;
    return el === 1 || (el === 2 && this.#isHost);
  }

  /** The TLB set for accesses with the rights of `el`. */
  set(el: number): TlbSet {
    if (this.#epochs[el] !== this.#epoch) this.#select(el);
    return this.#current[el] as TlbSet;
  }

  #select(el: number): void {
    const context = this.#context;
    const regime = el === 0 && this.#isHost ? 2 : el;
    const offsets = KEYS[regime] as readonly number[];
    const pool: readonly number[] = el === 2 && this.#isE2h ? HOST_POOL : (POOLS[el] as readonly number[]);
    const key = this.#key;
    const words = offsets.length + 1;
    key[0] = regime === 2 ? (this.#isE2h ? 3 : 2) : 1;
    for (let i = 1; i < words; i++) {
      const offset = offsets[i - 1] as number;
      const value = context.low(offset);
      key[i] = offset === HCR_EL2 ? value & HCR_KEY : value;
    }
    this.#epochs[el] = this.#epoch;
    let oldest = this.sets[pool[0] as number] as TlbSet;
    for (const index of pool) {
      const set = this.sets[index] as TlbSet;
      if (sameKey(set.key, key, words)) {
        set.used = ++this.#uses;
        this.#current[el] = set;
        return;
      }
      if (set.used < oldest.used) oldest = set;
    }
    oldest.flush();
    for (let i = 0; i < words; i++) oldest.key[i] = key[i] as number;
    oldest.used = ++this.#uses;
    this.#current[el] = oldest;
  }

  /** Walks the tables for an access with the rights of `el`. */
  translate(high: number, low: number, el: number, access: number): Translation {
    return this.#walk(this.#walker, high, low, el, access);
  }

  /** The same without side effects, for debuggers: level and registers as they are now. */
  translateForDebug(high: number, low: number, access: number): Translation {
    return this.#walk(this.#debugWalker, high, low, this.#context.el, access);
  }

  /** The same with the rights of `el`: for a model of software at EL2 that looks at its guest's memory. */
  translateAs(high: number, low: number, el: number, access: number): Translation {
    return this.#walk(this.#debugWalker, high, low, el, access);
  }

  #walk(walker: Walker, high: number, low: number, el: number, access: number): Translation {
    const one = this.one[el] as StageOne;
    const two = one.el === 2 || !this.#cpu.el2 ? null : this.two;
    return walker.translate(one, two, high, low, el, access, this.physicalLimit);
  }

  /** Takes the abort that `t` (a fault, or a missing right) calls for. `iss` has the bits CM and EA. */
  abort(t: Translation, access: number, iss: number, high: number, low: number): number {
    const missing = t.fault === NO_FAULT;
    return this.fault(
      missing ? t.permission : t.fault,
      missing ? t.permissionStage2 : t.stage2,
      !missing && t.onWalk,
      t.ipa,
      access,
      iss,
      high,
      low,
    );
  }

  /** Takes an instruction or data abort with fault status `code`. */
  fault(
    code: number,
    stage2: boolean,
    onWalk: boolean,
    ipa: number,
    access: number,
    iss: number,
    high: number,
    low: number,
  ): number {
    const { exceptions } = this.#cpu;
    let syndrome = code | (onWalk ? 1 << 7 : 0);
    if (access !== FETCH) {
      if (access === WRITE) syndrome |= 1 << 6;
      syndrome |= iss;
      // the instruction syndrome is given for stage 2 faults alone (DDI 0487J.a D17.2.37, ISV)
      if (stage2 && !onWalk) syndrome |= dataAbortSyndrome(this.#cpu.instructionWord);
    }
    const target = stage2 ? 2 : exceptions.defaultTarget;
    if (stage2) exceptions.setIntermediateAddress(ipa);
    return exceptions.abort(access === FETCH ? EC_INSTRUCTION_ABORT : EC_DATA_ABORT, syndrome, target, low, high);
  }

  alignmentFault(access: number, high: number, low: number): number {
    return this.fault(FAULT_ALIGNMENT, false, false, 0, access, 0, high, low);
  }

  /** An atomic instruction on what is no memory (DDI 0487J.a B2.2.5, a choice). */
  unsupportedAtomic(access: number, high: number, low: number): number {
    return this.fault(FAULT_UNSUPPORTED_ATOMIC, false, false, 0, access, 0, high, low);
  }

  /** Synchronous external abort; `slave` tells an error of the target from one of decoding (ESR_ELx.EA, a choice). */
  externalAbort(access: number, slave: boolean, high: number, low: number): number {
    return this.fault(FAULT_EXTERNAL, false, false, 0, access, slave ? 1 << 9 : 0, high, low);
  }

  /** Drops all entries of the EL1&0 (1) or EL2 (2) regime; with E2H, whose regimes share sets, of both. */
  flush(level: number): void {
    if (this.#isE2h) this.flushAll();
    else if (level === 2) this.sets[EL2_SET]?.flush();
    else for (let i = 0; i < EL2_SET; i++) this.sets[i]?.flush();
  }

  /** Drops entries of the EL1&0 regime that an ASID has, whichever the VMID; with E2H those of all. */
  flushAsid(asid: number): void {
    if (this.#isE2h) this.flushAll();
    else for (let i = 0; i < EL2_SET; i++) if (hasAsid((this.sets[i] as TlbSet).key, asid)) this.sets[i]?.flush();
  }

  /** Drops what the page at an address touches, of the EL1&0 (1) or EL2 (2) regime. */
  flushAddress(level: number, high: number, low: number): void {
    if (this.#isE2h) for (const set of this.sets) set.flushAddress(high, low);
    else if (level === 2) this.sets[EL2_SET]?.flushAddress(high, low);
    else for (let i = 0; i < EL2_SET; i++) this.sets[i]?.flushAddress(high, low);
  }

  /** After a restore: sets are used in the order that they have now. */
  restored(): void {
    for (const set of this.sets) this.#uses = Math.max(this.#uses, set.used);
  }

  flushAll(): void {
    for (const set of this.sets) set.flush();
  }

  /** AT: translates and leaves the outcome in PAR_EL1 (DDI 0487J.a D8.12, D17.2.105). */
  addressTranslate(high: number, low: number, asked: number, access: number, withStage2: boolean): number {
    const walker = this.#walker;
    // for a host, S1E1 and S12E1 are of its own regime (D8.12)
    const el = asked === 1 && this.#isHost ? 2 : asked;
    const one = this.one[el] as StageOne;
    const two = withStage2 && one.el < 2 && this.#cpu.el2 ? this.two : null;
    // S1 operations leave out stage 2 of the result, not that of the walk
    const twoForWalk = one.el < 2 && this.#cpu.el2 ? this.two : null;
    const t =
      two !== null
        ? this.#walk(walker, high, low, el, access)
        : walker.stageOneOnly(one, twoForWalk, high, low, el, access, this.physicalLimit);
    const missing = t.fault === NO_FAULT ? t.permission : t.fault;
    const context = this.#context;
    if (missing !== NO_FAULT) {
      const stage2 = t.fault === NO_FAULT ? t.permissionStage2 : t.stage2;
      // a stage 2 fault of an AT executed at EL1 is taken to EL2 as a data abort
      if (stage2 && context.el === 1) return this.abort(t, access, 1 << 8, high, low);
      context.set(PAR_EL1, 1 | (missing << 1) | (t.onWalk ? 1 << 8 : 0) | (stage2 ? 1 << 9 : 0) | (1 << 11), 0);
      return L.GO_ON;
    }
    // NS is 1 and bit 11 RES1
    const page = t.pa - (t.pa % 4096);
    context.set(
      PAR_EL1,
      (page % 4294967296) | 0 | (1 << 11) | (1 << 9) | (t.shareability << 7),
      (Math.floor(page / 4294967296) & 0xffff) | (t.attributes << 24),
    );
    return L.GO_ON;
  }
}

function sameKey(a: Int32Array, b: Int32Array, words: number): boolean {
  for (let i = 0; i < words; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The ASID in a key of the EL1&0 regime: TCR_EL1.A1 says of which table base, TCR_EL1.AS how many bits (DDI 0487J.a D17.2.131). */
function hasAsid(key: Int32Array, asid: number): boolean {
  const base = ((key[KEY_TCR] as number) & (1 << 22)) !== 0 ? (key[KEY_TTBR1] as number) : (key[KEY_TTBR0] as number);
  const mask = ((key[KEY_TCR + 1] as number) & (1 << 4)) !== 0 ? 0xffff : 0xff;
  return (((base >>> 16) ^ asid) & mask) === 0;
}

function keyOffsets(names: readonly ((typeof EL1_KEY)[number] | (typeof EL2_KEY)[number])[]): number[] {
  const out: number[] = [];
  for (const name of names) {
    const offset = offsetOf(name);
    out.push(offset);
    if (!name.startsWith("SCTLR") && name !== "HCR_EL2" && name !== "VTCR_EL2") out.push(offset + 4);
  }
  return out;
}
