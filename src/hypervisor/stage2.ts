/**
 * Stage 2 translation tables in the platform's memory (DDI 0487J.a D8.2, D8.3): 4 KiB granule, 39 bits of intermediate address, walks from level 1,
 * blocks of 2 MiB where both addresses are aligned. A valid entry is changed by break-before-make (D8.14.1): made invalid, TLBs
 * invalidated, then written anew.
 */
import { Module, type Simulation } from "../sim/index.ts";
import { BLOCK, clear, type MemoryPool, PAGE } from "./memory.ts";
import type { PhysicalCpu, Stage2Root } from "./physical-cpu.ts";

const INPUT_BITS = 39;
const LEVEL1 = 0x4000_0000;
/** T0SZ; SL0 1: level 1; inner and outer Write-Back, inner shareable; TG0 0: 4 KiB; bit 31 RES1. */
const VTCR = (0x8000_0000 | (3 << 12) | (1 << 10) | (1 << 8) | (1 << 6) | (64 - INPUT_BITS)) >>> 0;

const VALID = 1;
const TABLE = 3;
const LEAF_PAGE = 3;
const LEAF_BLOCK = 1;
/** AF; read and write; inner shareable, Normal Write-Back, or Device-nGnRE. */
const READ_WRITE = 0x400 | (3 << 6);
const READ_ONLY = 0x400 | (1 << 6);
const NORMAL = (3 << 8) | (15 << 2);
const DEVICE = 1 << 2;
/** XN[1], bit 54, in the high word. */
const EXECUTE_NEVER = 1 << 22;

export type MemoryKind = "memory" | "read-only memory" | "device";

/** What tables are written with: a CPU at EL2, or before any runs a loader. */
export interface TableAccess {
  read(address: number, size: 4): number;
  write(address: number, size: 4, value: number): void;
}

export class Stage2 extends Module {
  readonly #pool: MemoryPool;
  readonly #cells: { root: number; tables: number[] };
  readonly vmid: number;
  /** What `root` returned last. */
  #root: Stage2Root = { base: -1, vmid: -1, vtcr: 0 };

  constructor(parent: Module | Simulation, name: string, pool: MemoryPool, vmid: number) {
    super(parent, name);
    this.#pool = pool;
    this.vmid = vmid;
    this.#cells = this.state({ root: -1, tables: [] as number[] });
  }

  /** `physicalSize` is ID_AA64MMFR0_EL1.PARange, which VTCR_EL2.PS takes over. */
  root(physicalSize: number): Stage2Root {
    const base = this.#cells.root;
    const vtcr = (VTCR | (Math.min(physicalSize, 5) << 16)) >>> 0;
    if (this.#root.base !== base || this.#root.vtcr !== vtcr) this.#root = { base, vmid: this.vmid, vtcr };
    return this.#root;
  }
  /** Pages that tables take. */
  get pages(): number {
    return this.#cells.tables.length;
  }

  /** Makes empty tables. False where memory is used up. */
  create(access: TableAccess): boolean {
    this.destroy();
    this.#cells.root = this.#table(access);
    return this.#cells.root >= 0;
  }
  destroy(): void {
    for (const at of this.#cells.tables) this.#pool.release(at, PAGE);
    this.#cells.tables.length = 0;
    this.#cells.root = -1;
  }

  /** Maps `size` bytes; all multiples of a page. What was there before is replaced. False where memory for tables is used up. */
  map(access: TableAccess, cpu: PhysicalCpu | null, ipa: number, pa: number, size: number, kind: MemoryKind): boolean {
    const rights = kind === "read-only memory" ? READ_ONLY : READ_WRITE;
    const low = rights | (kind === "device" ? DEVICE : NORMAL);
    const high = kind === "device" ? EXECUTE_NEVER : 0;
    for (let done = 0; done < size; ) {
      const at = ipa + done;
      const to = pa + done;
      const block = at % BLOCK === 0 && to % BLOCK === 0 && size - done >= BLOCK;
      if (!this.#set(access, cpu, at, block, (to | low | (block ? LEAF_BLOCK : LEAF_PAGE)) >>> 0, page(to) | high))
        return false;
      done += block ? BLOCK : PAGE;
    }
    return true;
  }

  /** Takes `size` bytes away. */
  unmap(access: TableAccess, cpu: PhysicalCpu | null, ipa: number, size: number): boolean {
    for (let done = 0; done < size; ) {
      const at = ipa + done;
      // where no table is, nothing is to be taken away
      if (at % BLOCK === 0 && size - done >= BLOCK && this.find(access, at, BLOCK) < 0) {
        done += BLOCK;
        continue;
      }
      if (!this.#set(access, cpu, at, false, 0, 0)) return false;
      done += PAGE;
    }
    return true;
  }

  /** The entry that translates `ipa`: its physical address, or -1. With `level` BLOCK, -1 where there is neither block nor table of pages. */
  find(access: TableAccess, ipa: number, level: number = PAGE): number {
    let table = this.#cells.root;
    for (const size of [LEVEL1, BLOCK, PAGE]) {
      if (table < 0) return -1;
      const entry = table + 8 * (Math.floor(ipa / size) % 512);
      const low = access.read(entry, 4);
      if ((low & VALID) === 0) return -1;
      const output = (access.read(entry + 4, 4) & 0xffff) * 2 ** 32 + ((low & 0xffff_f000) >>> 0);
      if (size === level || (low & 2) === 0) return output - (output % size) + (ipa % size);
      table = output;
    }
    return -1;
  }

  #table(access: TableAccess): number {
    const at = this.#pool.allocate(PAGE);
    if (at < 0) return -1;
    this.#cells.tables.push(at);
    clear(access, at, PAGE);
    return at;
  }

  /** Writes the entry of a block or page, splitting a block on the way where a page of it is meant. */
  #set(access: TableAccess, cpu: PhysicalCpu | null, ipa: number, block: boolean, low: number, high: number): boolean {
    const one = this.#cells.root + 8 * Math.floor(ipa / LEVEL1);
    const two = this.#next(access, one);
    if (two < 0) return false;
    const entry = two + 8 * (Math.floor(ipa / BLOCK) % 512);
    if (block) {
      this.#replace(access, cpu, entry, ipa, BLOCK, low, high);
      return true;
    }
    const old = access.read(entry, 4);
    if (low === 0 && (old & VALID) === 0) return true;
    if ((old & 3) === LEAF_BLOCK && !this.#split(access, cpu, entry, ipa)) return false;
    const three = this.#next(access, entry);
    if (three < 0) return false;
    this.#replace(access, cpu, three + 8 * (Math.floor(ipa / PAGE) % 512), ipa, PAGE, low, high);
    return true;
  }

  /** The table that an entry points to, made where there is none. */
  #next(access: TableAccess, entry: number): number {
    const low = access.read(entry, 4);
    if ((low & 3) === TABLE) return (access.read(entry + 4, 4) & 0xffff) * 2 ** 32 + ((low & 0xffff_f000) >>> 0);
    const at = this.#table(access);
    if (at >= 0) this.#write(access, entry, (at | TABLE) >>> 0, page(at));
    return at;
  }

  #split(access: TableAccess, cpu: PhysicalCpu | null, entry: number, ipa: number): boolean {
    const low = access.read(entry, 4);
    const high = access.read(entry + 4, 4);
    const at = this.#table(access);
    if (at < 0) return false;
    for (let i = 0; i < 512; i++) this.#write(access, at + 8 * i, ((low | 2) + i * PAGE) >>> 0, high);
    this.#replace(access, cpu, entry, ipa - (ipa % BLOCK), BLOCK, (at | TABLE) >>> 0, page(at));
    return true;
  }

  #replace(
    access: TableAccess,
    cpu: PhysicalCpu | null,
    entry: number,
    ipa: number,
    size: number,
    low: number,
    high: number,
  ): void {
    const before = access.read(entry, 4);
    if ((before & VALID) !== 0) {
      access.write(entry, 4, 0);
      cpu?.invalidate(this.vmid, ipa, size);
    }
    if (low !== 0) this.#write(access, entry, low, high);
  }

  #write(access: TableAccess, entry: number, low: number, high: number): void {
    access.write(entry + 4, 4, high);
    access.write(entry, 4, low);
  }
}

/** Bits 47:32 of an address, as the high word of a descriptor. */
function page(address: number): number {
  return Math.floor(address / 2 ** 32) & 0xffff;
}
