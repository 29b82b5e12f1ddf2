/**
 * Stage 2 as an abstract CPU walks it, with its TLB: direct-mapped, by VMID, of 4 KiB pages. As in hardware an entry stays until it is
 * replaced or invalidated, whatever has become of the tables.
 */
import type { Target, Transaction } from "../../bus/index.ts";
import {
  type DescriptorReader,
  NO_FAULT,
  physicalAddressSize,
  READ,
  StageOneTables,
  StageTwoTables,
  setBase,
  setGeometry,
  setStartLevel,
  type Translation,
  Walker,
  WRITE,
} from "../../mmu/index.ts";
import type { Stage2Root } from "../physical-cpu.ts";

const ENTRIES = 512;
const PHYSICAL_SIZE = 48;
/** A page that is not memory. */
export const NOT_DIRECT = -1;

const READABLE = 1;
const WRITABLE = 2;

class BusReader implements DescriptorReader {
  high = 0;
  failed = false;
  readonly #bus: Target;
  readonly #transaction: Transaction;

  constructor(bus: Target, transaction: Transaction) {
    this.#bus = bus;
    this.#transaction = transaction;
  }
  read(address: number): number {
    const tx = this.#transaction;
    tx.response = 0;
    const low = this.#bus.read(address, 8, tx);
    this.high = tx.high | 0;
    this.failed = tx.response !== 0;
    return low | 0;
  }
}

export class StageTwoTlb {
  /** Of the last fault. */
  readonly fault: { code: number; write: boolean } = { code: NO_FAULT, write: false };
  readonly #tags = new Float64Array(ENTRIES).fill(-1);
  readonly #pages = new Float64Array(ENTRIES);
  readonly #rights = new Uint8Array(ENTRIES);
  /** Arena address of the page for reads and for writes, NOT_DIRECT where there is none. */
  readonly #readAt = new Float64Array(ENTRIES);
  readonly #writeAt = new Float64Array(ENTRIES);
  readonly #one = new StageOneTables(1);
  readonly #two = new StageTwoTables();
  readonly #walker: Walker;
  readonly #bus: Target;
  #vmid = 0;
  /** VTCR_EL2 that the geometry was decoded from. */
  #vtcr = -1;
  #outputSize = 0;
  #slot = 0;
  walks = 0;

  constructor(bus: Target, transaction: Transaction) {
    this.#bus = bus;
    this.#walker = new Walker(new BusReader(bus, transaction));
    this.#two.enabled = true;
  }

  /** VTTBR_EL2 and VTCR_EL2 (DDI 0487 D17.2.157, .158) have been written. */
  setRoot(root: Stage2Root): void {
    const { vtcr } = root;
    const range = this.#two.range;
    if (vtcr === this.#vtcr) {
      setBase(range, Math.floor(root.base / 2 ** 32), root.base | 0, this.#outputSize);
      this.#vmid = root.vmid;
      return;
    }
    const outputSize = Math.min(physicalAddressSize((vtcr >>> 16) & 7), PHYSICAL_SIZE);
    const tg0 = (vtcr >>> 14) & 3;
    this.#vtcr = vtcr;
    this.#outputSize = outputSize;
    this.#two.outputLimit = 2 ** outputSize;
    range.disabled = false;
    setGeometry(range, tg0 === 1 ? 16 : tg0 === 2 ? 14 : 12, 64 - Math.min(Math.max(vtcr & 63, 16), 39));
    setStartLevel(range, (vtcr >>> 6) & 3);
    setBase(range, Math.floor(root.base / 2 ** 32), root.base | 0, outputSize);
    this.#vmid = root.vmid;
  }

  /** Finds the page of `ipa` and selects its entry; false with `fault` set. */
  find(ipa: number, write: boolean): boolean {
    const page = Math.floor(ipa / 4096);
    const tag = this.#vmid * 2 ** 36 + page;
    const slot = (page ^ (this.#vmid * 37)) & (ENTRIES - 1);
    this.#slot = slot;
    if (this.#tags[slot] === tag && ((this.#rights[slot] as number) & (write ? WRITABLE : READABLE)) !== 0) return true;
    return this.#walk(ipa, write, tag, slot);
  }

  #walk(ipa: number, write: boolean, tag: number, slot: number): boolean {
    this.walks++;
    const t = this.#translate(ipa, write ? WRITE : READ);
    if (t.fault !== NO_FAULT || t.permission !== NO_FAULT) {
      this.fault.code = t.fault !== NO_FAULT ? t.fault : t.permission;
      this.fault.write = write;
      return false;
    }
    const page = t.pa - (t.pa % 4096);
    // memory may take a chunk now and have all entries dropped, this one not yet among them
    this.#writeAt[slot] = write ? this.#direct(page, true) : NOT_DIRECT;
    this.#readAt[slot] = this.#direct(page, false);
    this.#tags[slot] = tag;
    this.#pages[slot] = page;
    this.#rights[slot] = (t.read ? READABLE : 0) | (write ? WRITABLE : 0);
    return true;
  }

  #translate(ipa: number, access: number): Translation {
    const high = Math.floor(ipa / 2 ** 32);
    return this.#walker.translate(this.#one, this.#two, high, ipa | 0, 1, access, 2 ** PHYSICAL_SIZE);
  }

  #direct(page: number, write: boolean): number {
    const region = this.#bus.direct?.(page, write);
    if (!region || page < region.start || page + 4096 > region.end || (write && !region.writable)) return NOT_DIRECT;
    return region.arenaAt + (page - region.start);
  }

  /** Of the entry found last: physical address of the page. */
  get page(): number {
    return this.#pages[this.#slot] as number;
  }
  get readAt(): number {
    return this.#readAt[this.#slot] as number;
  }
  get writeAt(): number {
    return this.#writeAt[this.#slot] as number;
  }

  /** TLBI IPAS2E1IS for a range, or VMALLS12E1IS where `ipa` is negative. */
  invalidate(vmid: number, ipa: number, length: number): void {
    const base = vmid * 2 ** 36;
    const first = ipa < 0 ? base : base + Math.floor(ipa / 4096);
    const last = ipa < 0 ? base + 2 ** 36 - 1 : base + Math.floor((ipa + length - 1) / 4096);
    for (let slot = 0; slot < ENTRIES; slot++) {
      const tag = this.#tags[slot] as number;
      if (tag >= first && tag <= last) this.#tags[slot] = -1;
    }
  }

  flush(): void {
    this.#tags.fill(-1);
  }
}
