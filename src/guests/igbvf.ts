/**
 * Driver of an 82576 virtual function (Intel 82576EB Datasheet 2.7: VF device registers; descriptors 7.1.4, 7.2.2; mailbox 7.10.2.9): one receive and one transmit queue with advanced
 * one-buffer descriptors, one interrupt vector for both. Everything of it lies in one stretch of guest memory.
 */
import { MESSAGE } from "../devices/i82576/messages.ts";
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const VTCTRL = 0x0000;
const VMBMEM = 0x0800;
const V2PMAILBOX = 0x0c40;
const VTEIMS = 0x1524;
const VTEIAC = 0x152c;
const VTEIAM = 0x1530;
const VTEITR = 0x1680;
const VTIVAR = 0x1700;
const VTIVAR_MISC = 0x1740;
const RDBAL = 0x2800;
const RDBAH = 0x2804;
const RDLEN = 0x2808;
const SRRCTL = 0x280c;
const RDT = 0x2818;
const RXDCTL = 0x2828;
const TDBAL = 0x3800;
const TDBAH = 0x3804;
const TDLEN = 0x3808;
const TDT = 0x3818;
const TXDCTL = 0x3828;

const RST = 1 << 26;
const REQ = 1 << 0;
const ACK = 1 << 1;
const VFU = 1 << 2;
const PFSTS = 1 << 4;
const RSTI = 1 << 6;
const QUEUE_ENABLE = 1 << 25;
/** Drop when there are no descriptors; advanced, one buffer; 2 KiB buffers. */
const ONE_BUFFER = (0x8000_0000 | (1 << 25) | 2) >>> 0;
/** Report status, advanced, insert FCS, end of packet, data descriptor. */
const SEND = 0x2b30_0000;
const DONE = 1;

const BUFFER = 2048;
/** Descriptors given back at once. */
const REFILL = 32;

export interface IgbVfOptions {
  /** Where the VF's registers are. */
  readonly base: number;
  /** Guest memory for rings and buffers: `IgbVf.bytes(descriptors)` of it, 128-byte aligned. */
  readonly memory: number;
  /** What DMA adds to the guest's addresses: 0 behind an SMMU with the VM's tables, else the guest knows its machine addresses. */
  readonly dmaOffset?: number;
  /** Of each ring, a multiple of 8; 256 unless given. */
  readonly descriptors?: number;
  /** Least time between interrupts in microseconds; 125 (8,000 a second) unless given. */
  readonly interval?: number;
}

export class IgbVf {
  readonly descriptors: number;
  readonly #base: number;
  readonly #rx: number;
  readonly #tx: number;
  readonly #rxBuffers: number;
  readonly #txBuffers: number;
  readonly #dma: number;
  readonly #interval: number;
  #rxNext = 0;
  #rxTail = 0;
  #txTail = 0;
  #txDone = 0;

  constructor(options: IgbVfOptions) {
    const { base, memory, dmaOffset = 0, descriptors = 256, interval = 125 } = options;
    this.descriptors = descriptors;
    this.#base = base;
    this.#rx = memory;
    this.#tx = memory + 16 * descriptors;
    this.#rxBuffers = memory + 32 * descriptors;
    this.#txBuffers = this.#rxBuffers + BUFFER * descriptors;
    this.#dma = dmaOffset;
    this.#interval = interval;
  }

  static bytes(descriptors = 256): number {
    return descriptors * (32 + 2 * BUFFER);
  }

  /** Resets the function and asks the PF for it: the address that the PF gives, or null where it does not answer within 100 ms. */
  *reset(g: Guest): Routine<Uint8Array | null> {
    const b = this.#base;
    yield g.store(b + VTCTRL, RST);
    let patience = 1000;
    while (((yield g.load(b + V2PMAILBOX)) & RSTI) !== 0) {
      if (patience-- === 0) return null;
      yield* pause(g);
    }
    yield g.store(b + V2PMAILBOX, VFU);
    while (((yield g.load(b + V2PMAILBOX)) & VFU) === 0) {
      if (patience-- === 0) return null;
      yield* pause(g);
      yield g.store(b + V2PMAILBOX, VFU);
    }
    yield g.store(b + VMBMEM, MESSAGE.reset);
    yield g.store(b + V2PMAILBOX, REQ);
    while (((yield g.load(b + V2PMAILBOX)) & PFSTS) === 0) {
      if (patience-- === 0) return null;
      yield* pause(g);
    }
    const low = yield g.load(b + VMBMEM + 4);
    const high = yield g.load(b + VMBMEM + 8);
    yield g.store(b + V2PMAILBOX, ACK);
    return Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8);
  }

  /** Sets up both rings and the interrupt, all buffers given to the device. */
  *start(g: Guest): Routine {
    const b = this.#base;
    yield g.store(b + VTIVAR, 0x8080);
    yield g.store(b + VTIVAR_MISC, 0x80);
    yield g.store(b + VTEITR, this.#interval << 2);
    yield g.store(b + VTEIAC, 1);
    yield g.store(b + VTEIAM, 1);
    yield* this.#ring(g, TDBAL, TDBAH, TDLEN, this.#tx);
    yield g.store(b + TXDCTL, QUEUE_ENABLE);
    yield* this.#ring(g, RDBAL, RDBAH, RDLEN, this.#rx);
    yield g.store(b + SRRCTL, ONE_BUFFER);
    for (let n = 0; n < this.descriptors; n++) yield* this.#give(g, n);
    yield g.store(b + RXDCTL, QUEUE_ENABLE);
    this.#rxTail = this.descriptors - 1;
    yield g.store(b + RDT, this.#rxTail);
    yield g.store(b + VTEIMS, 1);
  }

  *#ring(g: Guest, low: number, high: number, length: number, at: number): Routine {
    const address = at + this.#dma;
    yield g.store(this.#base + low, address % 2 ** 32);
    yield g.store(this.#base + high, Math.floor(address / 2 ** 32));
    yield g.store(this.#base + length, 16 * this.descriptors);
  }

  /** Receive descriptor `n` as the device reads it. */
  *#give(g: Guest, n: number): Routine {
    const buffer = this.#rxBuffers + BUFFER * n + this.#dma;
    yield g.store(this.#rx + 16 * n, buffer % 2 ** 32, 8, Math.floor(buffer / 2 ** 32));
    yield g.store(this.#rx + 16 * n + 8, 0, 8, 0);
  }

  /** Length of the next packet received, or -1; `into`, where given, gets its beginning. */
  *receive(g: Guest, into: Uint8Array | null = null): Routine<number> {
    const n = this.#rxNext;
    const status = yield g.load(this.#rx + 16 * n + 8, 8);
    if ((status & DONE) === 0) return -1;
    const length = g.high & 0xffff;
    if (into !== null) yield g.read(this.#rxBuffers + BUFFER * n, into.subarray(0, length));
    // as #give does; a generator a packet would cost more than the two stores
    const buffer = this.#rxBuffers + BUFFER * n + this.#dma;
    yield g.store(this.#rx + 16 * n, buffer % 2 ** 32, 8, Math.floor(buffer / 2 ** 32));
    yield g.store(this.#rx + 16 * n + 8, 0, 8, 0);
    this.#rxNext = (n + 1) % this.descriptors;
    // one descriptor stays back, so that head and tail differ
    if ((n - this.#rxTail + this.descriptors) % this.descriptors >= REFILL) {
      this.#rxTail = n;
      yield g.store(this.#base + RDT, n);
    }
    return length;
  }

  /** Puts a packet into the ring; false where it is full. `flush` tells the device. */
  *transmit(g: Guest, data: Uint8Array): Routine<boolean> {
    const n = this.#txTail;
    if ((n + 1) % this.descriptors === this.#txDone) {
      yield* this.#reclaim(g);
      if ((n + 1) % this.descriptors === this.#txDone) return false;
    }
    const buffer = this.#txBuffers + BUFFER * n;
    yield g.write(buffer, data);
    const address = buffer + this.#dma;
    yield g.store(this.#tx + 16 * n, address % 2 ** 32, 8, Math.floor(address / 2 ** 32));
    yield g.store(this.#tx + 16 * n + 8, SEND | data.length, 8, data.length << 14);
    this.#txTail = (n + 1) % this.descriptors;
    return true;
  }

  *flush(g: Guest): Routine {
    yield g.store(this.#base + TDT, this.#txTail);
  }

  /** Takes back the descriptors that the device is done with. */
  *#reclaim(g: Guest): Routine {
    while (this.#txDone !== this.#txTail) {
      if (((yield g.load(this.#tx + 16 * this.#txDone + 12)) & DONE) === 0) return;
      this.#txDone = (this.#txDone + 1) % this.descriptors;
    }
  }

  /** The interrupt masks itself when it comes (VTEIAM); this allows the next. */
  *unmaskInterrupt(g: Guest): Routine {
    yield g.store(this.#base + VTEIMS, 1);
  }
}

function* pause(g: Guest): Routine {
  yield g.compute(100_000);
}
