/** ATS: PCI Express Base 5.0 clause 10 on the function's side, Arm IHI 0070 3.9 and 4.5 on the SMMU's. */
import { describe, expect, it } from "vitest";
import type { Target } from "../../src/bus/index.ts";
import { Smmuv3 } from "../../src/devices/smmuv3/index.ts";
import { PcieTestFunction } from "../../src/pcie/index.ts";
import { PcieBench, RAM } from "./bench.ts";

const WHERE = "00:05.0";
const STREAM = 0x28;
const CSR = 0x1200_0000;
const SMMU = 0x905_0000;
const STREAMS = RAM + 0x2_0000;
const CONTEXT = RAM + 0x3000;
const TABLES = RAM + 0x4000;
const COMMANDS = RAM + 0x7000;
const EVENTS = RAM + 0x8000;
const DATA = RAM + 0x4_0000;
const LEVEL3 = TABLES + 0x2000;
/** 0x1000: DATA, 0x2000: DATA + 0x1000; both may be written. */
const MAPPED = 0xc43;

class Board extends PcieBench {
  readonly smmu: Smmuv3;
  readonly test: PcieTestFunction;
  #produced = 0;

  /** `eats` is STE.EATS: 1 with ATS. */
  constructor(eats = 1) {
    let smmu: Smmuv3 | null = null;
    super({
      target: (streamId: number, options?: { readonly translated: true }): Target =>
        (smmu as Smmuv3).target(streamId, options),
      translationRequest: (request: Parameters<Smmuv3["translationRequest"]>[0]) =>
        (smmu as Smmuv3).translationRequest(request),
      attach: (...words: Parameters<Smmuv3["attach"]>) => (smmu as Smmuv3).attach(...words),
    });
    const { arena, host, simulation, system } = this;
    smmu = new Smmuv3(simulation, "smmu", { bus: system, arena });
    this.smmu = smmu;
    system.map({ name: "smmu", base: SMMU, size: 0x2_0000, target: smmu.registers });
    this.test = new PcieTestFunction(host, "test", { arena });
    host.bus.attach(this.test.function, 5);
    simulation.reset();
    this.setConfig(WHERE, 0x10, CSR);
    this.setConfig(WHERE, 4, 6, 2);
    this.write(STREAMS + 64 * STREAM, 1 | (5 << 1) | CONTEXT);
    this.write(STREAMS + 64 * STREAM + 12, 0);
    this.write(STREAMS + 64 * STREAM + 8, (eats << 28) >>> 0);
    const words = [25 | (1 << 30) | (1 << 31), 4 | (1 << 9) | (1 << 13) | (1 << 14) | (1 << 16), TABLES, 0, 0, 0, 0xff];
    words.forEach((word, i) => {
      this.write(CONTEXT + 4 * i, word >>> 0);
    });
    this.write(TABLES, (TABLES + 0x1000) | 3);
    this.write(TABLES + 0x1000, LEVEL3 | 3);
    this.map(1, DATA);
    this.map(2, DATA + 0x1000);
    this.write(SMMU + 0x80, STREAMS);
    this.write(SMMU + 0x88, 8);
    this.write(SMMU + 0x90, COMMANDS | 4);
    this.write(SMMU + 0xa0, EVENTS | 4);
    this.write(SMMU + 0x20, 0x1d); // SMMUEN, EVENTQEN, CMDQEN, ATSCHK
    for (let i = 0; i < 64; i += 4) this.write(DATA + i, 0x1111_0000 + i);
  }

  map(page: number, to: number, bits = MAPPED): void {
    this.write(LEVEL3 + 8 * page, to === 0 ? 0 : (to | bits) >>> 0);
  }
  command(...words: readonly number[]): void {
    words.forEach((word, i) => {
      this.write(COMMANDS + 16 * (this.#produced & 15) + 4 * i, word >>> 0);
    });
    this.#produced = (this.#produced + 1) & 31;
    this.write(SMMU + 0x98, this.#produced);
  }
  /** CMD_TLBI_NH_ALL and CMD_SYNC. */
  invalidateTlb(): void {
    this.command(0x10, 0, 0, 0);
    this.command(0x46, 0, 0, 0);
  }
  /** CMD_ATC_INV of a page: StreamID in bits 63:32, address and log2 of pages. */
  invalidateCache(page: number): void {
    this.command(0x40, STREAM, page << 12, 0);
    this.command(0x46, 0, 0, 0);
  }
  get ats(): number {
    return this.extended(WHERE, 0x0f);
  }
  enable(on = true): void {
    this.setConfig(WHERE, this.ats + 4, on ? 0x8000_0000 : 0);
  }
  /** DMA_STATUS after 16 bytes were copied: 1 done, 2 refused. */
  copy(from: number, to: number): number {
    this.write(CSR + 0x10, from);
    this.write(CSR + 0x18, to);
    this.write(CSR + 0x20, 16);
    this.write(CSR + 0x24, 1);
    return this.read(CSR + 0x28);
  }
  /** Types of the events so far. */
  get events(): number[] {
    const count = this.smmu.registers.peek(0x100a8, 4) & 15;
    return Array.from({ length: count }, (_, i) => this.read(EVENTS + 32 * i) & 0xff);
  }
}

describe("ATS", () => {
  it("10.5.1: extended capability 000Fh, version 1; page aligned; STU and Enable are writable and cleared by FLR", () => {
    const b = new Board();
    expect(b.config(WHERE, b.ats) & 0xf_ffff).toBe(0x1_000f);
    expect(b.config(WHERE, b.ats + 4)).toBe(0x20);
    b.setConfig(WHERE, b.ats + 4, 0xffff_ffff);
    expect(b.config(WHERE, b.ats + 4)).toBe(0x801f_0020);
    b.setConfig(WHERE, b.capability(WHERE, 0x10) + 8, 0x8000, 2);
    expect(b.config(WHERE, b.ats + 4)).toBe(0x20);
  });

  it("10.2: with Enable the function asks for translations and sends translated requests", () => {
    const b = new Board();
    b.enable();
    expect(b.copy(0x1000, 0x2000)).toBe(1);
    expect(b.read(DATA + 0x1000 + 12)).toBe(0x1111_000c);
    expect(b.events).toEqual([]);
  });

  it("10.3, IHI 0070 4.5.1: a cached translation lives until CMD_ATC_INV, whatever the SMMU's TLB forgets", () => {
    const b = new Board();
    b.enable();
    expect(b.copy(0x1000, 0x2000)).toBe(1);
    b.map(2, DATA + 0x2000);
    b.invalidateTlb();
    expect([b.copy(0x1000, 0x2000), b.read(DATA + 0x2000)]).toEqual([1, 0]);
    b.invalidateCache(2);
    expect([b.copy(0x1000, 0x2000), b.read(DATA + 0x2000)]).toEqual([1, 0x1111_0000]);
    b.map(2, 0);
    b.invalidateTlb();
    b.invalidateCache(2);
    expect(b.copy(0x1000, 0x2000)).toBe(2);
  });

  it("IHI 0070 3.9.1: what is not mapped, or not to be written, has no translation, and leaves no event", () => {
    const b = new Board();
    b.enable();
    b.map(2, DATA + 0x1000, MAPPED | 0x80);
    expect([b.copy(0x1000, 0x5000), b.copy(0x5000, 0x1000), b.copy(0x1000, 0x2000)]).toEqual([2, 2, 2]);
    expect(b.copy(0x2000, 0x1000)).toBe(1);
    expect(b.events).toEqual([]);
  });

  it("IHI 0070 7.3.6, 7.3.8: without STE.EATS translation requests are refused with F_BAD_ATS_TREQ; untranslated ones go on", () => {
    const b = new Board(0);
    b.enable();
    expect(b.copy(0x1000, 0x2000)).toBe(2);
    expect(b.events).toEqual([0x05]);
    b.enable(false);
    expect(b.copy(0x1000, 0x2000)).toBe(1);
  });

  it("10.3.1, 6.6.2: Enable, FLR and Bus Master Enable: nothing cached outlives them, nothing leaves without", () => {
    const b = new Board();
    b.enable();
    expect(b.copy(0x1000, 0x2000)).toBe(1);
    b.map(2, DATA + 0x2000);
    b.invalidateTlb();
    b.enable(false);
    b.enable();
    expect([b.copy(0x1000, 0x2000), b.read(DATA + 0x2000)]).toEqual([1, 0x1111_0000]);
    b.setConfig(WHERE, 4, 2, 2);
    expect(b.copy(0x1000, 0x2000)).toBe(2);
    b.setConfig(WHERE, 4, 6, 2);
    expect(b.copy(0x1000, 0x2000)).toBe(1);
  });

  it("the cache is state: a restored machine goes on with it", () => {
    const b = new Board();
    b.enable();
    expect(b.copy(0x1000, 0x2000)).toBe(1);
    b.map(2, DATA + 0x2000);
    b.invalidateTlb();
    const saved = structuredClone(b.simulation.save());
    b.invalidateCache(2);
    expect([b.copy(0x1000, 0x2000), b.read(DATA + 0x2000)]).toEqual([1, 0x1111_0000]);
    b.simulation.load(saved);
    expect([b.copy(0x1000, 0x2000), b.read(DATA + 0x2000)]).toEqual([1, 0]);
  });
});
