/**
 * Part: PCI Express Enhanced Configuration Access Mechanism (ECAM) of a root complex with nothing behind it.
 * Manual: PCI Express Base Specification Revision 5.0, clauses 7.2.2 (ECAM) and 2.3.2 (completion with Unsupported Request).
 *
 * Modelled: every function answers as absent: reads give all ones, writes are dropped, no error is signalled to the CPU, for software
 * finds out what is there by reading.
 * Not modelled: a host bridge, buses, functions. There are no registers to declare.
 * Open in the manual: how the root complex answers a read that ends with Unsupported Request; all ones is what software expects.
 */
import { SIZES_UP_TO_64, type Target, type Transaction } from "../../bus/index.ts";
import { Module, type Simulation } from "../../sim/index.ts";

export interface PcieEcamOptions {
  /** Bytes: 1 MiB a bus; 256 MiB, all 256 buses, unless given. */
  readonly size?: number;
}

export class PcieEcam extends Module implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly size: number;

  constructor(parent: Module | Simulation, name: string, options: PcieEcamOptions = {}) {
    super(parent, name);
    this.size = options.size ?? 0x1000_0000;
  }

  read(_offset: number, size: number, tx: Transaction): number {
    if (size === 8) tx.high = 0xffff_ffff;
    return ones(size);
  }

  write(): void {}

  peek(_offset: number, size: number): number {
    return ones(size);
  }

  poke(): void {}
}

function ones(size: number): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}
