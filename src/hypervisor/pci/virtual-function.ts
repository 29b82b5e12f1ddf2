/**
 * A PCIe function of the machine as the VM sees it that has been given it (PCI Express Base 5.0, clauses 7.5.1, 7.5.3, 7.7.2). Its configuration space is trapped:
 *
 * - Identity, header type, BARs, command and interrupt line are the hypervisor's; of the command register Bus Master Enable reaches the function.
 * - Of its capabilities there are PCI Express, whose Device Control holds what the guest wrote and starts function-level resets, and MSI-X, whose
 *   enable and mask go through. Of the rest software finds nothing: no MSI, power management, extended capabilities (SR-IOV, ATS, AER), I/O BARs, ROM, pin.
 * - The MSI-X table is kept here. The entry in the function holds what the hypervisor put there: the machine's doorbell, an interrupt of its own, the guest's mask bit.
 */
import type { Target, Transaction } from "../../bus/index.ts";
import { Module } from "../../sim/index.ts";
import {
  type Access,
  BARS,
  COMMAND,
  CONFIG,
  type Config,
  config,
  DEVICE_CONTROL,
  FUNCTION_LEVEL_RESET,
  type FunctionRecord,
  KIND_64,
  PAGE,
  stretch,
} from "./topology.ts";

/** Memory, master, parity, SERR, interrupt disable. */
const COMMAND_BITS = 0x0546;
/** Status: capability list there; interrupt status is the pin's. */
const STATUS_LIST = 1 << 20;
const STATUS_INTERRUPT = 1 << 19;
const EXPRESS_BYTES = 0x3c;
const MSIX_BYTES = 12;
const ENTRY_WORDS = 4;
const VECTOR_CONTROL = 3;
const MSI_SETSPI = 0x40;
const MASK_16 = 0xffff;

/** A stretch of a BAR that the guest reaches by itself: both addresses and bytes. */
export interface Stretch {
  readonly ipa: number;
  readonly physical: number;
  readonly size: number;
}

export interface VirtualFunctionHost {
  readonly ecam: number;
  /** The machine's bus. */
  readonly bus: Target;
  /** Where the guest may put memory BARs. */
  readonly window: { readonly base: number; readonly size: number };
  /** The guest's message frame: its address and what is behind it. */
  readonly frame: number;
  message(interrupt: number): void;
  /** The function as the machine has it; null before the hypervisor has looked. */
  record(): FunctionRecord | null;
  /** Resets the function and prepares it anew. */
  reset(): void;
  /** `stretches` gives another answer now. */
  changed(): void;
}

export class VirtualFunction extends Module {
  readonly #host: VirtualFunctionHost;
  readonly #access: Access & { peek(address: number): number };
  readonly #c: {
    /** It is the VM's: reset and prepared. */
    begun: boolean;
    command: number;
    deviceControl: number;
    cacheLine: number;
    interruptLine: number;
    bars: number[];
    /** As the guest wrote it: four words a vector. */
    table: number[];
  };

  constructor(parent: Module, name: string, host: VirtualFunctionHost, tx: Transaction) {
    super(parent, name);
    this.#host = host;
    const { bus } = host;
    this.#access = {
      read: (address, size) => bus.read(address, size, tx),
      write: (address, size, value) => bus.write(address, size, value, tx),
      peek: (address) => bus.peek(address, 4),
    };
    this.#c = this.state({
      begun: false,
      command: 0,
      deviceControl: 0,
      cacheLine: 0,
      interruptLine: 0,
      bars: [] as number[],
      table: [] as number[],
    });
  }

  get begun(): boolean {
    return this.#c.begun;
  }

  /** As after a reset, which the function has had. */
  begin(r: FunctionRecord): void {
    const c = this.#c;
    c.begun = true;
    c.command = 0;
    c.cacheLine = 0;
    c.interruptLine = 0;
    c.bars = new Array<number>(BARS).fill(0);
    c.deviceControl = r.express === 0 ? 0 : this.#config(r).read(r.express + DEVICE_CONTROL, 2);
    c.table = Array.from({ length: ENTRY_WORDS * r.vectors }, (_, n) => (n % ENTRY_WORDS === VECTOR_CONTROL ? 1 : 0));
    this.#host.changed();
  }
  end(): void {
    this.#c.begun = false;
  }

  /** The function has sent vector `vector`: the guest's own message goes where the guest has aimed it, though it be masked since. */
  deliver(vector: number): void {
    const at = ENTRY_WORDS * vector;
    const [low = 0, high = 0, data = 0] = this.#c.table.slice(at, at + VECTOR_CONTROL);
    if (high === 0 && low === this.#host.frame + MSI_SETSPI) this.#host.message(data);
    else {
      this.guestError({
        kind: "value",
        register: `MSI-X table[${vector}]`,
        value: low,
        clause: "PCI Express Base 5.0 7.7.2.5",
        detail: "a message to an address that is not the message frame's is dropped",
      });
    }
  }

  // --- configuration space

  read(offset: number, size: number): number {
    const r = this.#host.record();
    const word = r === null ? 0xffff_ffff : this.#word(r, offset & ~3, this.#config(r).read);
    return narrow(word, offset, size);
  }
  /** Without side effects. */
  peek(offset: number, size: number): number {
    const r = this.#host.record();
    if (r === null) return narrow(0xffff_ffff, offset, size);
    const base = this.#host.ecam + r.id * PAGE;
    return narrow(
      this.#word(r, offset & ~3, (at) => this.#access.peek(base + at)),
      offset,
      size,
    );
  }

  write(offset: number, size: number, value: number): void {
    const r = this.#host.record();
    if (r === null) return;
    const at = offset & ~3;
    const shift = 8 * (offset & 3);
    const mask = size === 4 ? -1 : ((1 << (8 * size)) - 1) << shift;
    const c = this.#c;
    const merged = (before: number): number => ((before & ~mask) | ((value << shift) & mask)) >>> 0;
    if (at === CONFIG.command) this.#command(r, merged(c.command) & COMMAND_BITS, (value << shift) & mask);
    else if (at === 0x0c) c.cacheLine = merged(c.cacheLine) & 0xff;
    else if (at === 0x3c) c.interruptLine = merged(c.interruptLine) & 0xff;
    else if (at >= CONFIG.bar && at < CONFIG.bar + 4 * BARS) {
      const n = (at - CONFIG.bar) >> 2;
      c.bars[n] = merged(c.bars[n] ?? 0);
      if ((c.command & COMMAND.memory) !== 0) this.#host.changed();
    } else if (r.express !== 0 && at === r.express + DEVICE_CONTROL) {
      const errors = (((value << shift) & mask) >>> 16) & 0xf;
      if (errors !== 0) this.#config(r).write(at + 2, 2, errors);
      c.deviceControl = merged(c.deviceControl) & MASK_16 & ~FUNCTION_LEVEL_RESET;
      if (((value << shift) & mask & FUNCTION_LEVEL_RESET) !== 0) this.#host.reset();
    } else if (r.msix !== 0 && at === r.msix && (mask & 0xff00_0000) !== 0) {
      // enable and function mask
      this.#config(r).write(at + 2, 2, (merged(0) >>> 16) & 0xc000);
    }
  }

  #command(r: FunctionRecord, command: number, written: number): void {
    const c = this.#c;
    const before = c.command;
    c.command = command;
    if (((before ^ command) & COMMAND.master) !== 0) {
      const decoding = r.virtual ? 0 : COMMAND.memory;
      this.#config(r).write(CONFIG.command, 2, decoding | (command & COMMAND.master));
    }
    const status = written >>> 16;
    if (status !== 0) this.#config(r).write(CONFIG.command + 2, 2, status);
    if (((before ^ command) & COMMAND.memory) !== 0) this.#host.changed();
  }

  #word(r: FunctionRecord, at: number, real: (at: number, size: 4) => number): number {
    const c = this.#c;
    switch (at) {
      case 0x00:
        return r.identity;
      case CONFIG.command:
        return (((real(at, 4) & 0xffff_0000 & ~STATUS_INTERRUPT) | STATUS_LIST) >>> 0) + c.command;
      case 0x08:
      case 0x2c:
        return real(at, 4);
      case 0x0c:
        return c.cacheLine;
      case CONFIG.pointer:
        return this.#after(r, 0);
      case 0x3c:
        return c.interruptLine;
    }
    if (at >= CONFIG.bar && at < CONFIG.bar + 4 * BARS) return this.#bar(r, (at - CONFIG.bar) >> 2);
    for (const start of [r.express, r.msix]) {
      if (start === 0 || at < start || at >= start + (start === r.msix ? MSIX_BYTES : EXPRESS_BYTES)) continue;
      const word = real(at, 4);
      if (at === start) return ((word & 0xffff_00ff) | (this.#after(r, start) << 8)) >>> 0;
      if (at === r.express + DEVICE_CONTROL) return ((word & 0xffff_0000) | c.deviceControl) >>> 0;
      return word;
    }
    return 0;
  }

  /** The capability that follows, by offset. */
  #after(r: FunctionRecord, at: number): number {
    const next = [r.express, r.msix].filter((offset) => offset > at);
    return next.length === 0 ? 0 : Math.min(...next);
  }

  #bar(r: FunctionRecord, n: number): number {
    const written = this.#c.bars[n] ?? 0;
    const size = stretch(r.sizes[n] as number);
    if (size > 0) return ((written & -size) | (r.kinds[n] as number)) >>> 0;
    const below = n > 0 ? n - 1 : 0;
    return (r.sizes[below] as number) > 0 && ((r.kinds[below] as number) & 6) === KIND_64 ? written : 0;
  }

  #config(r: FunctionRecord): Config {
    return config(this.#host.ecam, r.id, this.#access);
  }

  // --- BARs

  /** Where the guest has put BAR `n`, or -1 where that is no place. */
  #place(r: FunctionRecord, n: number): number {
    const size = stretch(r.sizes[n] as number);
    const c = this.#c;
    if (size === 0 || !c.begun || (c.command & COMMAND.memory) === 0) return -1;
    const high = ((r.kinds[n] as number) & 6) === KIND_64 ? (c.bars[n + 1] ?? 0) : 0;
    const at = high * 2 ** 32 + (((c.bars[n] ?? 0) & -size) >>> 0);
    const { base, size: room } = this.#host.window;
    return at >= base && at + size <= base + room ? at : -1;
  }

  /** What the guest reaches by itself: its BARs, but for the pages of the MSI-X table. */
  stretches(): Stretch[] {
    const r = this.#host.record();
    const out: Stretch[] = [];
    if (r === null) return out;
    for (let n = 0; n < BARS; n++) {
      const ipa = this.#place(r, n);
      if (ipa < 0) continue;
      const size = stretch(r.sizes[n] as number);
      const physical = r.bars[n] as number;
      const [from, to] = r.msix !== 0 && n === r.tableBar ? trapped(r) : [size, size];
      if (from > 0) out.push({ ipa, physical, size: from });
      if (to < size) out.push({ ipa: ipa + to, physical: physical + to, size: size - to });
    }
    return out;
  }

  /** The BAR and the offset in it that a trapped access is for; null: none of this function's. */
  find(ipa: number): { readonly bar: number; readonly offset: number } | null {
    const r = this.#host.record();
    for (let bar = 0; r !== null && bar < BARS; bar++) {
      const at = this.#place(r, bar);
      if (at >= 0 && ipa >= at && ipa < at + stretch(r.sizes[bar] as number)) return { bar, offset: ipa - at };
    }
    return null;
  }

  readBar(bar: number, offset: number, size: number): number {
    const r = this.#host.record();
    if (r === null) return narrow(0xffff_ffff, 0, size);
    const entry = inTable(r, bar, offset);
    if (entry >= 0) return narrow(this.#c.table[entry >> 2] ?? 0, offset, size);
    return this.#access.read((r.bars[bar] as number) + offset, size as 1 | 2 | 4);
  }
  peekBar(bar: number, offset: number, size: number): number {
    const r = this.#host.record();
    if (r === null) return 0;
    const entry = inTable(r, bar, offset);
    const word = entry >= 0 ? this.#c.table[entry >> 2] : this.#access.peek((r.bars[bar] as number) + (offset & ~3));
    return narrow(word ?? 0, offset, size);
  }

  writeBar(bar: number, offset: number, size: number, value: number): void {
    const r = this.#host.record();
    if (r === null) return;
    const entry = inTable(r, bar, offset);
    if (entry < 0) {
      this.#access.write((r.bars[bar] as number) + offset, size as 1 | 2 | 4, value);
      return;
    }
    if (size !== 4) {
      this.guestError({
        kind: "width",
        register: "MSI-X table",
        offset: entry,
        size,
        write: true,
        value,
        clause: "PCI Express Base 5.0 6.1.4.2",
        detail: "MSI-X structures take aligned accesses of 4 or 8 bytes",
      });
      return;
    }
    const n = entry >> 2;
    const control = n % ENTRY_WORDS === VECTOR_CONTROL;
    // bits 1:0 of the address are zero (7.7.2.5)
    this.#c.table[n] = control ? value & 1 : n % ENTRY_WORDS === 0 ? (value & ~3) >>> 0 : value;
    if (control) this.#access.write((r.bars[bar] as number) + r.table + entry, 4, value & 1);
  }

  /** What the entries of the function itself hold: each vector's message, masked. */
  program(r: FunctionRecord, doorbell: number, interrupt: (vector: number) => number): void {
    for (let vector = 0; vector < r.vectors; vector++) {
      const at = (r.bars[r.tableBar] as number) + r.table + 4 * ENTRY_WORDS * vector;
      this.#access.write(at, 4, doorbell + MSI_SETSPI);
      this.#access.write(at + 4, 4, 0);
      this.#access.write(at + 8, 4, interrupt(vector));
      this.#access.write(at + 12, 4, 1);
    }
  }
}

/** Offset in the MSI-X table, or -1 outside. */
function inTable(r: FunctionRecord, bar: number, offset: number): number {
  const entry = offset - r.table;
  return r.msix !== 0 && bar === r.tableBar && entry >= 0 && entry < 4 * ENTRY_WORDS * r.vectors ? entry : -1;
}

/** First and last page of the table: offsets in its BAR. */
function trapped(r: FunctionRecord): [from: number, to: number] {
  const end = r.table + 4 * ENTRY_WORDS * r.vectors;
  return [r.table - (r.table % PAGE), Math.ceil(end / PAGE) * PAGE];
}

function narrow(word: number, offset: number, size: number): number {
  return size === 4 ? word : (word >>> (8 * (offset & 3))) & ((1 << (8 * size)) - 1);
}
