/**
 * Loads and stores that the engine does not do itself: TLB misses, Device memory, page crossings, checked alignment, exclusive
 * stores, pages with decoded code, watchpoints. One instruction's access is complete or has not happened, but for a
 * bus error in its middle.
 */
import { type Arena, PAGE_HAS_CODE, RESPONSE_OK, RESPONSE_TARGET_ERROR } from "../../../bus/index.ts";
import { NO_FAULT, READ, WRITE } from "../../../mmu/index.ts";
import type { Context } from "../context.ts";
import type { Cpu } from "../cpu.ts";
import * as L from "../engine/layout.ts";
import { ENTRY_ALIGNED, ENTRY_CODE, ENTRY_IO, ENTRY_WATCHED, type TlbSet } from "./tlb.ts";

/** Data cache line of DC ZVA, bytes: DCZID_EL0.BS = 4. */
const ZERO_BLOCK = 64;

export class DataPath {
  readonly #cpu: Cpu;
  readonly #context: Context;
  readonly #arena: Arena;
  readonly #bytes = new Uint8Array(16);
  /** Status of the exception that a failed preparation took. */
  #status = L.GO_ON;

  constructor(cpu: Cpu, arena: Arena) {
    this.#cpu = cpu;
    this.#context = cpu.context;
    this.#arena = arena;
  }

  load(size: number): number {
    const context = this.#context;
    const low = context.low(L.MAIL_ADDRESS);
    const high = context.high(L.MAIL_ADDRESS);
    const flags = context.low(L.MAIL_ACCESS);
    const el = this.#level(flags);
    const entry = this.#prepare(READ, high, low, size, flags, el);
    if (entry < 0) return entry === -2 ? this.#crossing(READ, high, low, size, flags, el) : this.#status;
    const set = this.#cpu.mmu.set(el);
    const kind = set.kind(entry);
    if ((kind & ENTRY_IO) !== 0) {
      if ((flags & L.ACCESS_ATOMIC) !== 0) return this.#cpu.mmu.unsupportedAtomic(READ, high, low);
      return this.#busRead(set.page(entry) + (low & 0xfff), size, high, low, flags);
    }
    const at = (set.addend(entry) + low) >>> 0;
    const { view, bytes } = this.#arena;
    if (size === 8) context.set(L.MAIL_VALUE, view.getInt32(at, true), view.getInt32(at + 4, true));
    else if (size === 4) context.set(L.MAIL_VALUE, view.getInt32(at, true), 0);
    else if (size === 1) context.set(L.MAIL_VALUE, bytes[at] as number, 0);
    else if (size === 2) context.set(L.MAIL_VALUE, view.getUint16(at, true), 0);
    else {
      context.set(L.MAIL_VALUE, view.getInt32(at, true), view.getInt32(at + 4, true));
      context.set(L.MAIL_VALUE_HIGH, view.getInt32(at + 8, true), view.getInt32(at + 12, true));
    }
    return L.GO_ON;
  }

  store(size: number): number {
    const context = this.#context;
    const low = context.low(L.MAIL_ADDRESS);
    const high = context.high(L.MAIL_ADDRESS);
    const flags = context.low(L.MAIL_ACCESS);
    const el = this.#level(flags);
    const exclusive = (flags & L.ACCESS_EXCLUSIVE) !== 0;
    if (exclusive && !this.#monitorMatches(high, low, size)) {
      context.setLow(L.MAIL_WORD, 1);
      return L.GO_ON;
    }
    const entry = this.#prepare(WRITE, high, low, size, flags, el);
    if (entry < 0) return entry === -2 ? this.#crossing(WRITE, high, low, size, flags, el) : this.#status;
    const set = this.#cpu.mmu.set(el);
    const kind = set.kind(entry);
    if ((kind & ENTRY_IO) !== 0) {
      if ((flags & L.ACCESS_ATOMIC) !== 0) return this.#cpu.mmu.unsupportedAtomic(WRITE, high, low);
      if (exclusive) context.setLow(L.MAIL_WORD, 0);
      return this.#busWrite(set.page(entry) + (low & 0xfff), size, high, low, flags);
    }
    const at = (set.addend(entry) + low) >>> 0;
    if (exclusive) {
      const good = this.#unchanged(at, size);
      context.setLow(L.MAIL_WORD, good ? 0 : 1);
      if (!good) return L.GO_ON;
    }
    const { view, bytes } = this.#arena;
    if (size === 1) bytes[at] = context.low(L.MAIL_VALUE);
    else if (size === 2) view.setInt16(at, context.low(L.MAIL_VALUE), true);
    else {
      view.setInt32(at, context.low(L.MAIL_VALUE), true);
      if (size >= 8) view.setInt32(at + 4, context.high(L.MAIL_VALUE), true);
      if (size === 16) {
        view.setInt32(at + 8, context.low(L.MAIL_VALUE_HIGH), true);
        view.setInt32(at + 12, context.high(L.MAIL_VALUE_HIGH), true);
      }
    }
    if ((kind & ENTRY_CODE) !== 0) this.#cpu.cluster.codeWritten(at, size);
    return L.GO_ON;
  }

  /** DC ZVA: zeroes the block around an address. */
  zero(high: number, address: number): number {
    const low = address & -ZERO_BLOCK;
    const el = this.#context.el;
    const mmu = this.#cpu.mmu;
    const set = mmu.set(el);
    let entry = set.find(WRITE, high, low);
    // FAR has the address that was given (DDI 0487J.a D17.2.40)
    if (entry < 0) entry = this.#fill(set, WRITE, high, address, el, false);
    if (entry < 0) return this.#status;
    const kind = set.kind(entry);
    // DC ZVA to Device memory is an alignment fault (DDI 0487J.a D7.5.8); without it an I/O page is ROM or a refused write
    if ((kind & ENTRY_ALIGNED) !== 0 && (!mmu.one[el as 0 | 1 | 2].alignmentChecked || this.#isDevice(high, low, el))) {
      return mmu.alignmentFault(WRITE, high, address);
    }
    if ((kind & ENTRY_WATCHED) !== 0 && this.#cpu.debug.watch(WRITE, high, low, ZERO_BLOCK, el))
      return this.#cpu.takeStatus();
    if ((kind & ENTRY_IO) !== 0) {
      const page = set.page(entry) + (low & 0xfff);
      const context = this.#context;
      context.set(L.MAIL_VALUE, 0, 0);
      for (let i = 0; i < ZERO_BLOCK; i += 8) {
        const status = this.#busWrite(page + i, 8, high, low + i, 0);
        if (status !== L.GO_ON) return status;
      }
      return L.GO_ON;
    }
    const at = (set.addend(entry) + low) >>> 0;
    this.#arena.bytes.fill(0, at, at + ZERO_BLOCK);
    if ((kind & ENTRY_CODE) !== 0) this.#cpu.cluster.codeWritten(at, ZERO_BLOCK);
    return L.GO_ON;
  }

  /** Translation faults of a cache operation by address; there is no cache to do anything with. */
  touch(access: number, high: number, low: number, el: number): number {
    const { mmu, debug } = this.#cpu;
    // of these, DC IVAC alone counts as a store for watchpoints (DDI 0487J.a D2.10.5)
    const watched = access === WRITE && debug.watches(high, low);
    if (!watched && mmu.set(el).find(access, high, low) >= 0) return L.GO_ON;
    const t = mmu.translate(high, low, el, access);
    if (t.fault === NO_FAULT && t.permission === NO_FAULT) {
      const block = low & -ZERO_BLOCK;
      return watched && debug.watch(WRITE, high, block, ZERO_BLOCK, el, 1 << 8) ? this.#cpu.takeStatus() : L.GO_ON;
    }
    // cache maintenance reports WnR 1 and CM 1
    return this.#cpu.mmu.abort(t, WRITE, 1 << 8, high, low);
  }

  #isDevice(high: number, low: number, el: number): boolean {
    return this.#cpu.mmu.translate(high, low, el, WRITE).device;
  }

  /** Whose rights an access has: LDTR and STTR at EL1, and at EL2 of a host, have those of EL0. */
  #level(flags: number): number {
    const el = this.#context.el;
    return (flags & L.ACCESS_UNPRIVILEGED) !== 0 && this.#cpu.mmu.hasUser ? 0 : el;
  }

  /** The entry to use; -1 when an exception was taken or the access has to wait, -2 when it crosses a page. */
  #prepare(access: number, high: number, low: number, size: number, flags: number, el: number): number {
    const mmu = this.#cpu.mmu;
    const aligned = (low & (this.#element(low, size, flags) - 1)) === 0;
    if (!aligned) {
      const strict = (flags & (L.ACCESS_EXCLUSIVE | L.ACCESS_ORDERED)) !== 0;
      if (strict || mmu.one[el as 0 | 1 | 2].alignmentChecked) {
        this.#status = mmu.alignmentFault(access, high, low);
        return -1;
      }
    }
    if ((low & 0xfff) + size > 4096) return -2;
    return this.#entry(access, high, low, size, el, aligned);
  }

  /** The entry for bytes within one page, all checks done. */
  #entry(access: number, high: number, low: number, size: number, el: number, aligned: boolean): number {
    const mmu = this.#cpu.mmu;
    const set = mmu.set(el);
    let entry = set.find(access, high, low);
    if (entry < 0) {
      entry = this.#fill(set, access, high, low, el, aligned);
      if (entry < 0) return -1;
    }
    const kind = set.kind(entry);
    if (!aligned && (kind & ENTRY_ALIGNED) !== 0) {
      this.#status = mmu.alignmentFault(access, high, low);
      return -1;
    }
    if ((kind & ENTRY_WATCHED) !== 0 && this.#cpu.debug.watch(access, high, low, size, el)) {
      this.#status = this.#cpu.takeStatus();
      return -1;
    }
    return entry;
  }

  #fill(set: TlbSet, access: number, high: number, low: number, el: number, aligned: boolean): number {
    const { mmu } = this.#cpu;
    const t = mmu.translate(high, low, el, access);
    if (t.fault !== NO_FAULT || t.permission !== NO_FAULT) {
      const misaligned = t.fault === NO_FAULT && t.device && !aligned;
      this.#status = misaligned ? mmu.alignmentFault(access, high, low) : mmu.abort(t, access, 0, high, low);
      return -1;
    }
    const strict = t.device || mmu.one[el as 0 | 1 | 2].alignmentChecked;
    return this.refill(set, access, high, low, t.pa - (t.pa % 4096), t.size, strict);
  }

  /** Makes the entry of a translation that is known: of the virtual page at (high, low) to the physical `page`. */
  refill(
    set: TlbSet,
    access: number,
    high: number,
    low: number,
    page: number,
    size: number,
    strictlyAligned: boolean,
  ): number {
    const { cluster } = this.#cpu;
    let kind = strictlyAligned ? ENTRY_ALIGNED : 0;
    let addend = 0;
    let code = 0;
    const at = cluster.arenaPage(page, access === WRITE);
    if (at >= 0) {
      addend = (at - (low & -4096)) | 0;
      if (access === WRITE && ((this.#arena.pageFlags[at / 4096] as number) & PAGE_HAS_CODE) !== 0) {
        kind |= ENTRY_CODE;
        if (kind === ENTRY_CODE) code = cluster.decodedPage(at);
      }
    } else kind |= ENTRY_IO;
    if (this.#cpu.debug.watches(high, low)) {
      kind |= ENTRY_WATCHED;
      code = 0;
    }
    return set.fill(access, high, low, page, size, kind, addend, code);
  }

  /** Bytes of what has to be aligned where alignment is asked for. */
  #element(low: number, size: number, flags: number): number {
    if ((flags & (L.ACCESS_PAIR | L.ACCESS_EXCLUSIVE)) === L.ACCESS_PAIR) return size >> 1;
    if (flags !== 0 || size < 8 || (low & (size - 1)) === 0) return size;
    return listElement(this.#cpu.instructionWord) || size;
  }
  /** Bytes of one access to what is no memory. */
  #piece(low: number, size: number, flags: number): number {
    let bytes = (flags & L.ACCESS_PAIR) !== 0 ? size >> 1 : Math.min(size, 8);
    if ((low & (bytes - 1)) !== 0) bytes = this.#element(low, size, flags);
    return (low & (bytes - 1)) !== 0 ? 1 : bytes;
  }

  /** An access to two pages: both are prepared before either is touched, then it goes piece by piece. */
  #crossing(access: number, high: number, low: number, size: number, flags: number, el: number): number {
    const context = this.#context;
    const aligned = (low & (this.#element(low, size, flags) - 1)) === 0;
    const nextLow = (low | 0xfff) + 1;
    const nextHigh = nextLow === 0 ? (high + 1) | 0 : high;
    const first = (nextLow - low) | 0;
    const one = this.#entry(access, high, low, first, el, aligned);
    if (one < 0) return this.#status;
    const two = this.#entry(access, nextHigh, nextLow, size - first, el, aligned);
    if (two < 0) return this.#status;
    const set = this.#cpu.mmu.set(el);
    if (access === WRITE) this.#unpack();
    const io = ((set.kind(one) | set.kind(two)) & ENTRY_IO) !== 0;
    if (io && !this.#cpu.beginAccess()) return this.#cpu.takeStatus();
    const exclusive = access === WRITE && (flags & L.ACCESS_EXCLUSIVE) !== 0;
    if (exclusive) context.setLow(L.MAIL_WORD, 0); // cannot happen: exclusives are aligned
    const step = this.#piece(low, size, flags);
    let failed = -1;
    for (let i = 0; i < size && failed < 0; i += step) {
      const entry = i < first ? one : two;
      const byteLow = (low + i) | 0;
      if ((set.kind(entry) & ENTRY_IO) === 0) {
        const at = (set.addend(entry) + byteLow) >>> 0;
        for (let k = 0; k < step; k++) {
          if (access === READ) this.#bytes[i + k] = this.#arena.bytes[at + k] as number;
          else this.#arena.bytes[at + k] = this.#bytes[i + k] as number;
        }
        if (access === WRITE && (set.kind(entry) & ENTRY_CODE) !== 0) this.#cpu.cluster.codeWritten(at, step);
      } else {
        const tx = this.#cpu.transaction;
        tx.response = RESPONSE_OK;
        const pa = set.page(entry) + (byteLow & 0xfff);
        if (access === READ) this.#readPiece(pa, i, step);
        else this.#writePiece(pa, i, step);
        if (tx.response !== RESPONSE_OK) failed = i;
      }
    }
    if (io) this.#cpu.endAccess();
    if (failed >= 0) return this.#external(access, high, low);
    if (access === READ) this.#pack(size);
    return L.GO_ON;
  }

  #busRead(pa: number, size: number, high: number, low: number, flags: number): number {
    const cpu = this.#cpu;
    const context = this.#context;
    const { bus } = cpu.cluster;
    const tx = cpu.transaction;
    if (!cpu.beginAccess()) return cpu.takeStatus();
    tx.response = RESPONSE_OK;
    tx.exclusive = (flags & L.ACCESS_EXCLUSIVE) !== 0;
    tx.exceptionLevel = (flags & L.ACCESS_UNPRIVILEGED) !== 0 ? 0 : context.el;
    const element = this.#piece(low, size, flags);
    if (element >= 4 || element === size) {
      // a pair of words is two accesses, low address first
      for (let i = 0; i < size && tx.response === RESPONSE_OK; i += element) {
        const value = bus.read(pa + i, element, tx);
        const at = (i >> 3) * 8;
        if (element === 8) context.set(L.MAIL_VALUE + at, value | 0, tx.high | 0);
        else if (i === 0) context.set(L.MAIL_VALUE, value | 0, 0);
        else context.words[(L.MAIL_VALUE + i) >> 2] = value | 0;
      }
    } else {
      for (let i = 0; i < size && tx.response === RESPONSE_OK; i += element) this.#readPiece(pa + i, i, element);
      this.#pack(size);
    }
    this.#note(false, pa, size);
    cpu.endAccess();
    return tx.response === RESPONSE_OK ? L.GO_ON : this.#external(READ, high, low);
  }

  #busWrite(pa: number, size: number, high: number, low: number, flags: number): number {
    const cpu = this.#cpu;
    const context = this.#context;
    const { bus } = cpu.cluster;
    const tx = cpu.transaction;
    if (!cpu.beginAccess()) return cpu.takeStatus();
    tx.response = RESPONSE_OK;
    tx.exclusive = (flags & L.ACCESS_EXCLUSIVE) !== 0;
    tx.exceptionLevel = (flags & L.ACCESS_UNPRIVILEGED) !== 0 ? 0 : context.el;
    const element = this.#piece(low, size, flags);
    if (element >= 4 || element === size) {
      for (let i = 0; i < size && tx.response === RESPONSE_OK; i += element) {
        const word = (context.words[(L.MAIL_VALUE + i) >> 2] as number) >>> 0;
        if (element === 8) tx.high = (context.words[((L.MAIL_VALUE + i) >> 2) + 1] as number) >>> 0;
        bus.write(pa + i, element, element === 1 ? word & 0xff : element === 2 ? word & 0xffff : word, tx);
      }
    } else {
      this.#unpack();
      for (let i = 0; i < size && tx.response === RESPONSE_OK; i += element) this.#writePiece(pa + i, i, element);
    }
    this.#note(true, pa, size);
    cpu.endAccess();
    return tx.response === RESPONSE_OK ? L.GO_ON : this.#external(WRITE, high, low);
  }

  /** One access of 1 to 8 bytes, to or from byte `i` of `#bytes`. */
  #readPiece(pa: number, i: number, size: number): void {
    const { transaction, cluster } = this.#cpu;
    const low = cluster.bus.read(pa, size, transaction);
    for (let k = 0; k < size; k++) this.#bytes[i + k] = (k < 4 ? low : transaction.high) >>> (8 * (k & 3));
  }
  #writePiece(pa: number, i: number, size: number): void {
    const { transaction, cluster } = this.#cpu;
    let low = 0;
    let high = 0;
    for (let k = 0; k < size; k++) {
      const byte = (this.#bytes[i + k] as number) << (8 * (k & 3));
      if (k < 4) low |= byte;
      else high |= byte;
    }
    if (size === 8) transaction.high = high >>> 0;
    cluster.bus.write(pa, size, low >>> 0, transaction);
  }

  #note(write: boolean, pa: number, size: number): void {
    const cpu = this.#cpu;
    const context = this.#context;
    const { response } = cpu.transaction;
    const value = context.low(L.MAIL_VALUE);
    cpu.recent.access(cpu.simulation.now, write, pa, size, value, response, context.high(L.PC), context.low(L.PC));
  }

  #external(access: number, high: number, low: number): number {
    const slave = this.#cpu.transaction.response === RESPONSE_TARGET_ERROR;
    return this.#cpu.mmu.externalAbort(access, slave, high, low);
  }

  #monitorMatches(high: number, low: number, size: number): boolean {
    const context = this.#context;
    return (
      context.low(L.EXCLUSIVE_ADDRESS) === low &&
      context.high(L.EXCLUSIVE_ADDRESS) === high &&
      context.low(L.EXCLUSIVE_SIZE) === size
    );
  }

  /** Memory still holds what the exclusive load saw. */
  #unchanged(at: number, size: number): boolean {
    const offset = L.EXCLUSIVE_VALUE;
    for (let i = 0; i < size; i++) {
      if (this.#context.bytes[offset + i] !== this.#arena.bytes[at + i]) return false;
    }
    return true;
  }

  #pack(size: number): void {
    const b = this.#bytes;
    b.fill(0, size);
    for (let i = 0; i < 16; i++) this.#context.bytes[L.MAIL_VALUE + i] = b[i] as number;
  }
  #unpack(): void {
    for (let i = 0; i < 16; i++) this.#bytes[i] = this.#context.bytes[L.MAIL_VALUE + i] as number;
  }
}

/**
 * Bytes of an element of LD1 to ST4 (multiple structures), each of which is an access of its own (DDI 0487J.a C7.2.177 and on): 0 where the word is none.
 */
function listElement(word: number): number {
  return (word & 0xbf00_0000) === 0x0c00_0000 ? 1 << ((word >>> 10) & 3) : 0;
}
