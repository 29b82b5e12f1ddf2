/**
 * The machine's PCIe bus as the hypervisor sets it up: cards behind root ports of their own, memory windows and BARs given out, virtual functions switched on
 * (PCI Express Base 5.0, clauses 7.5, 7.7.2, 9.3.3). I/O BARs stay off.
 */

/** Registers and configuration space by physical address: a CPU at EL2. */
export interface Access {
  read(address: number, size: 1 | 2 | 4): number;
  write(address: number, size: 1 | 2 | 4, value: number): void;
}

/** A function that is there, as plain data. */
export type FunctionRecord = {
  /** Requester id, which is its stream too. */
  id: number;
  virtual: boolean;
  /** Vendor and device; those of a VF, which read as all ones in itself (9.3.4.1.1). */
  identity: number;
  /** Physical address, size and type bits (3:0) of each BAR; size 0 where there is none. The upper half of a 64-bit BAR has no entry of its own. */
  bars: number[];
  sizes: number[];
  kinds: number[];
  /** Offsets of capabilities, 0 where there is none. */
  express: number;
  msix: number;
  vectors: number;
  tableBar: number;
  /** Offset in that BAR. */
  table: number;
};

export const PAGE = 4096;
export const BARS = 6;
export const CONFIG = { command: 0x04, bar: 0x10, pointer: 0x34 } as const;
export const COMMAND = { memory: 2, master: 4 } as const;
export const KIND_64 = 4;
export const CAPABILITY = { express: 0x10, msix: 0x11 } as const;
/** Device Control of the PCI Express capability. */
export const DEVICE_CONTROL = 8;
export const FUNCTION_LEVEL_RESET = 1 << 15;

const DEVICE_CAPABILITIES_2 = 0x24;
const DEVICE_CONTROL_2 = 0x28;
/** ARI Forwarding Supported and Enable are the same bit. */
const ARI_FORWARDING = 1 << 5;
const SRIOV = 0x10;
const ARI_HIERARCHY = 1 << 4;
const VF_MSE = 1 << 3;
const VF_ENABLE = 1;
const MIB = 0x10_0000;
/** Prefetchable and I/O windows of a bridge with base above limit: closed. */
const CLOSED_PREFETCHABLE = 0x0000_fff0;
const CLOSED_IO = 0x00f0;

export interface Card {
  readonly pf: FunctionRecord;
  readonly vfs: readonly FunctionRecord[];
}

interface BarList {
  readonly sizes: number[];
  readonly kinds: number[];
}

/** Gives buses and memory out, card by card. */
export class Enumerator {
  readonly #ecam: number;
  readonly #end: number;
  #next: number;
  #bus = 1;

  /** `window`: where BARs go. */
  constructor(ecam: number, window: { readonly base: number; readonly size: number }) {
    this.#ecam = ecam;
    this.#next = window.base;
    this.#end = window.base + window.size;
  }

  /** The card behind the root port that is device `device` of bus 0. It has the port's first bus, its VFs that and the second. */
  card(access: Access, device: number, vfs: number): Card {
    const bus = this.#bus;
    this.#bus += 2;
    const port = config(this.#ecam, device << 3, access);
    port.write(0x18, 4, ((bus + 1) << 16) | (bus << 8));
    const express = findCapability(port, CAPABILITY.express);
    const ari = vfs > 0 && (port.read(express + DEVICE_CAPABILITIES_2, 4) & ARI_FORWARDING) !== 0;
    if (ari) port.write(express + DEVICE_CONTROL_2, 2, ARI_FORWARDING);

    this.#next = Math.ceil(this.#next / MIB) * MIB;
    const from = this.#next;
    const id = bus << 8;
    const pf = config(this.#ecam, id, access);
    const own = sizeBars(pf, CONFIG.bar);
    const record = describe(pf, id, pf.read(0, 4), own, this.#place(own, 1));
    restoreBars(pf, record);
    const virtual = vfs > 0 ? this.#virtual(access, pf, record, vfs, ari) : [];
    // a card takes at least its MiB, so that the window is open
    this.#next = Math.max(this.#next, from + 1);
    const last = (this.#next - 1) >>> 20;
    port.write(0x20, 4, ((last << 20) | ((from >>> 20) << 4)) >>> 0);
    port.write(0x1c, 2, CLOSED_IO);
    port.write(0x24, 4, CLOSED_PREFETCHABLE);
    port.write(CONFIG.command, 2, COMMAND.memory | COMMAND.master);
    return { pf: record, vfs: virtual };
  }

  #virtual(access: Access, pf: Config, record: FunctionRecord, vfs: number, ari: boolean): FunctionRecord[] {
    const at = findExtended(pf, SRIOV);
    if (at === 0) return [];
    pf.write(at + 0x10, 2, vfs);
    pf.write(at + 0x20, 4, 1); // System Page Size: 4 KiB
    const bars = sizeBars(pf, at + 0x24);
    const places = this.#place(bars, vfs);
    writeBars(pf, at + 0x24, places, bars.kinds);
    pf.write(at + 0x08, 2, ari ? ARI_HIERARCHY : 0);
    pf.write(at + 0x08, 2, VF_ENABLE | VF_MSE | (ari ? ARI_HIERARCHY : 0));
    const offset = pf.read(at + 0x14, 2);
    const stride = pf.read(at + 0x16, 2);
    const identity = ((pf.read(at + 0x18, 4) & 0xffff_0000) | (record.identity & 0xffff)) >>> 0;
    return Array.from({ length: vfs }, (_, n) => {
      const id = record.id + offset + n * stride;
      const own = places.map((p, i) => p + n * stretch(bars.sizes[i] as number));
      return { ...describe(config(this.#ecam, id, access), id, identity, bars, own), virtual: true };
    });
  }

  /** Addresses for `count` functions' BARs one after the other, aligned to their size; no two in one page. */
  #place(bars: BarList, count: number): number[] {
    const places = new Array<number>(BARS).fill(0);
    const order = bars.sizes.map((_, n) => n).sort((a, b) => (bars.sizes[b] as number) - (bars.sizes[a] as number));
    for (const n of order) {
      const size = stretch(bars.sizes[n] as number);
      if (size === 0) continue;
      const at = Math.ceil(this.#next / size) * size;
      if (at + size * count > this.#end) {
        bars.sizes[n] = 0;
        continue;
      }
      places[n] = at;
      this.#next = at + size * count;
    }
    return places;
  }
}

/** Bytes that a BAR takes for itself: whole pages, which stage 2 maps. */
export function stretch(size: number): number {
  return size === 0 ? 0 : Math.max(size, PAGE);
}

/** Configuration space of one function. */
export interface Config {
  read(offset: number, size: 1 | 2 | 4): number;
  write(offset: number, size: 1 | 2 | 4, value: number): void;
}
export function config(ecam: number, id: number, access: Access): Config {
  const base = ecam + id * PAGE;
  return {
    read: (offset, size) => access.read(base + offset, size),
    write: (offset, size, value) => access.write(base + offset, size, value),
  };
}

/** Addresses and memory decoding of a PF, which a function-level reset clears. */
export function restoreBars(pf: Config, { bars, kinds }: FunctionRecord): void {
  writeBars(pf, CONFIG.bar, bars, kinds);
  pf.write(CONFIG.command, 2, COMMAND.memory);
}

function writeBars(c: Config, at: number, places: readonly number[], kinds: readonly number[]): void {
  places.forEach((place, n) => {
    if (place === 0) return;
    c.write(at + 4 * n, 4, place % 2 ** 32);
    if (((kinds[n] ?? 0) & 6) === KIND_64) c.write(at + 4 * n + 4, 4, Math.floor(place / 2 ** 32));
  });
}

/** Sizes by writing ones (7.5.1.2.1); memory decoding is off. */
function sizeBars(c: Config, at: number): BarList {
  const sizes = new Array<number>(BARS).fill(0);
  const kinds = new Array<number>(BARS).fill(0);
  for (let n = 0; n < BARS; n++) {
    c.write(at + 4 * n, 4, 0xffff_ffff);
    const mask = c.read(at + 4 * n, 4);
    c.write(at + 4 * n, 4, 0);
    const io = (mask & 1) !== 0;
    if (mask === 0 || io) continue;
    sizes[n] = -(mask & ~15) >>> 0;
    kinds[n] = mask & 15;
    if ((mask & 6) === KIND_64) n++;
  }
  return { sizes, kinds };
}

function describe(c: Config, id: number, identity: number, bars: BarList, places: readonly number[]): FunctionRecord {
  const msix = findCapability(c, CAPABILITY.msix);
  const place = msix === 0 ? 0 : c.read(msix + 4, 4);
  return {
    id,
    virtual: false,
    identity,
    bars: [...places],
    sizes: [...bars.sizes],
    kinds: [...bars.kinds],
    express: findCapability(c, CAPABILITY.express),
    msix,
    vectors: msix === 0 ? 0 : (c.read(msix + 2, 2) & 0x7ff) + 1,
    tableBar: place & 7,
    table: (place & ~7) >>> 0,
  };
}

function findCapability(c: Config, id: number): number {
  let at = c.read(CONFIG.pointer, 1) & ~3;
  for (let n = 0; at >= 0x40 && n < 48; n++) {
    const head = c.read(at, 2);
    if ((head & 0xff) === id) return at;
    at = (head >>> 8) & ~3;
  }
  return 0;
}

function findExtended(c: Config, id: number): number {
  let at = 0x100;
  for (let n = 0; at >= 0x100 && n < 480; n++) {
    const head = c.read(at, 4);
    if ((head & 0xffff) === id) return at;
    at = (head >>> 20) & ~3;
  }
  return 0;
}
