/**
 * Root complex of QEMU's `virt` board: a generic host bridge whose configuration space is reached by ECAM alone (clause 7.2.2), one root bus,
 * windows for memory and I/O, four interrupt wires. Requests that nobody claims read as all ones and are no abort: software finds out
 * what is there by reading.
 */
import { type Arena, SIZES_UP_TO_32, type Target, type Transaction } from "../bus/index.ts";
import { type Line, Module, type Simulation } from "../sim/index.ts";
import { ones, PcieBus, type PcieRoot } from "./bus.ts";
import type { TranslationAgent } from "./capabilities/ats.ts";
import { PcieFunction } from "./function.ts";

/** An IOMMU: one target a stream. */
export interface StreamTargets {
  /** What requests of this stream go to. Asked again whenever bus numbers change; the same stream gets the same target. */
  target(streamId: number): Target;
}

export interface PcieHostOptions {
  readonly arena: Arena;
  /** Memory for DMA, or the IOMMU before it. */
  readonly dma: Target | StreamTargets | (StreamTargets & TranslationAgent);
  /** Bytes of the ECAM: 1 MiB a bus; 256 MiB unless given. */
  readonly ecamSize?: number;
}

export class PcieHost extends Module implements PcieRoot {
  readonly arena: Arena;
  readonly bus: PcieBus;
  /** The host bridge's own function at 00:00.0. */
  readonly bridge: PcieFunction;
  /** Configuration space of all buses. */
  readonly ecam: Target;
  readonly intA: Line = this.line("intA");
  readonly intB: Line = this.line("intB");
  readonly intC: Line = this.line("intC");
  readonly intD: Line = this.line("intD");
  readonly #dma: PcieHostOptions["dma"];

  constructor(parent: Module | Simulation, name: string, options: PcieHostOptions) {
    super(parent, name);
    this.arena = options.arena;
    this.#dma = options.dma;
    this.bus = new PcieBus(this, "bus0", this, null);
    this.bridge = new PcieFunction(this, "bridge", {
      title: "Generic PCIe host bridge",
      arena: options.arena,
      vendorId: 0x1b36,
      deviceId: 0x0008,
      classCode: 0x06_0000,
      subsystemVendorId: 0x1af4,
      subsystemId: 0x1100,
    });
    this.bus.attach(this.bridge, 0);
    this.ecam = this.#makeEcam(options.ecamSize ?? 0x1000_0000);
  }

  dmaTarget(requesterId: number): Target {
    const dma = this.#dma;
    return "target" in dma ? dma.target(requesterId) : dma;
  }

  get translationAgent(): TranslationAgent | null {
    const dma = this.#dma;
    return "translationRequest" in dma ? dma : null;
  }

  interruptChanged(): void {
    const wires = this.bus.interruptWires;
    this.intA.set((wires & 1) !== 0);
    this.intB.set((wires & 2) !== 0);
    this.intC.set((wires & 4) !== 0);
    this.intD.set((wires & 8) !== 0);
  }

  protected override onReset(): void {
    this.interruptChanged();
  }

  /** The function at an offset of the ECAM: bus in bits 27:20, device and function in 19:12. */
  #at(offset: number): PcieFunction | null {
    return this.bus.find((offset >>> 20) & 0xff, (offset >>> 12) & 0xff);
  }

  #makeEcam(size: number): Target {
    return {
      accessSizes: SIZES_UP_TO_32,
      size,
      read: (offset, bytes, tx: Transaction) => this.#at(offset)?.configRead(offset & 0xfff, bytes, tx) ?? ones(bytes),
      write: (offset, bytes, value, tx: Transaction) => this.#at(offset)?.configWrite(offset & 0xfff, bytes, value, tx),
      peek: (offset, bytes) => this.#at(offset)?.config.peek(offset & 0xfff, bytes) ?? ones(bytes),
      poke: (offset, bytes, value) => this.#at(offset)?.config.poke(offset & 0xfff, bytes, value),
    };
  }
}
