/**
 * The transmit side, 82576 datasheet 7.2: rings, legacy and advanced descriptors, contexts, write-back, arbitration between queues, rate limits.
 *
 * Packets are fetched in turn from queues that have a whole one, high-priority queues first, as long as the transmit packet buffer has room: the
 * wire empties it at the link's speed. A frame is given to the link when it is fetched; the link spaces frames out. Choices: a packet without
 * end stays where it is; a bad packet is dropped and its descriptors are written back; nothing is fetched while the link is down.
 */
import type { Port } from "../../bus/index.ts";
import { sum } from "../../net/checksum.ts";
import type { Frame } from "../../net/index.ts";
import { segment } from "../../net/segmentation.ts";
import { type Event, NEVER, SEC } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";
import { CAUSE } from "./interrupts.ts";
import { type Context, contextOf, insertChecksums, insertTag } from "./offload.ts";

const QUEUES = 16;
const DESCRIPTOR = 16;
const WAITING_MAX = 32;
const TWO32 = 4294967296;
const ENABLE = 1 << 25;
const FLUSH = 1 << 26;
const PRIORITY = 1 << 27;
/** Bytes of a frame on the wire beside itself: preamble 8, frame check sequence 4, gap 12. */
const OVERHEAD = 24;
const SHORTEST = 60;
/** Longest frame without its check sequence (7.2: 9.5 KiB). */
const LONGEST = 9728;
/** Longest large send: PAYLEN has 18 bits; headers come on top. */
const LONGEST_SEND = 0x4_0000 + 1024;
/** Packets between pools do not use the wire: the switch's own speed, 8 Gb/s. */
const SWITCH_RATE = 8_000_000_000;

const CMD = {
  EOP: 1 << 24,
  IFCS: 1 << 25,
  IC: 1 << 26,
  RS: 1 << 27,
  DEXT: 1 << 29,
  VLE: 1 << 30,
  TSE: 1 << 31,
  STAMP: 1 << 19,
} as const;
const POPTS_IXSM = 1 << 8;
const POPTS_TXSM = 1 << 9;
const DD = 1;

/** One packet's descriptors. */
interface Gathered {
  readonly head: number;
  /** Descriptors from the head to the end of the packet. */
  readonly used: number;
  readonly data: Uint8Array;
  readonly command: number;
  readonly options: number;
  readonly legacy: boolean;
  /** First descriptor's word 2 and 3, for legacy checksums. */
  readonly bad: string | null;
}

export class Transmitter {
  readonly #core: I82576Core;
  /** Context descriptors: queue, one of two, four words. */
  readonly #contexts: Int32Array;
  readonly #c: { next: number; wireFree: number };
  /** RTTBCNRC by queue, and when each queue may send again. */
  readonly #rates: Int32Array;
  readonly #ready: Float64Array;
  /** Indices of descriptors whose write-back waits for its threshold. */
  readonly #held: Int32Array;
  readonly #heldCount: Int32Array;
  /** Tail up to which each ring was searched for the end of a packet in vain, or -1: not searched again before the tail moves. */
  readonly #searched: Int32Array;
  readonly #pump: Event;
  readonly #flush: Event;
  #running = false;
  #scratch = new Uint8Array(0);

  constructor(core: I82576Core) {
    this.#core = core;
    this.#contexts = core.cells({ contexts: new Int32Array(QUEUES * 8) }, "transmitContexts").contexts;
    this.#c = core.cells({ next: 0, wireFree: 0 }, "transmit");
    const rates = core.cells({ rates: new Int32Array(QUEUES), ready: new Float64Array(QUEUES) }, "transmitRates");
    this.#rates = rates.rates;
    this.#ready = rates.ready;
    const held = core.cells(
      { held: new Int32Array(QUEUES * WAITING_MAX), count: new Int32Array(QUEUES) },
      "transmitHeld",
    );
    this.#held = held.held;
    this.#heldCount = held.count;
    this.#searched = core.cells({ searched: new Int32Array(QUEUES).fill(-1) }, "transmitSearched").searched;
    this.#pump = core.event("transmitPump", () => this.#run());
    this.#flush = core.event("transmitFlush", () => this.#flushDue());
  }

  // Registers.

  /** Something that may let a queue go on has changed. */
  kick(): void {
    this.#pump.notify(0);
  }

  tailWritten(q: number): void {
    this.#searched[q] = -1;
    this.kick();
  }

  controlWritten(q: number, before: number): void {
    const core = this.#core;
    const now = core.reg("TXDCTL", q);
    if ((now & FLUSH) !== 0) {
      core.setReg("TXDCTL", now & ~FLUSH, q);
      this.#writeBack(q);
    }
    if ((now & ENABLE) !== 0 && (before & ENABLE) === 0) core.setReg("TDH", 0, q);
    this.tailWritten(q);
  }

  get rate(): number {
    return this.#rates[this.#core.reg("RTTDQSEL") & 0xf] as number;
  }
  set rate(value: number) {
    const q = this.#core.reg("RTTDQSEL") & 0xf;
    this.#rates[q] = value;
    this.#ready[q] = 0;
    this.kick();
  }

  resetQueue(q: number): void {
    this.#heldCount[q] = 0;
    this.#searched[q] = -1;
    this.#contexts.fill(0, q * 8, q * 8 + 8);
  }
  reset(): void {
    this.#contexts.fill(0);
    this.#heldCount.fill(0);
    this.#searched.fill(-1);
    this.#rates.fill(0);
    this.#ready.fill(0);
    this.#c.next = 0;
    this.#c.wireFree = 0;
    this.#pump.cancel();
    this.#flush.cancel();
  }

  // Arbitration.

  #run(): void {
    if (this.#running) return;
    this.#running = true;
    const core = this.#core;
    const now = core.simulation.now;
    for (;;) {
      if (!core.mayTransmit) break;
      const wait = this.#bufferFreeAt(now);
      if (wait > now) {
        this.#pump.notify(wait - now);
        break;
      }
      const q = this.#choose(now);
      if (q < 0) break;
      this.#send(q, now);
    }
    this.#running = false;
  }

  /** When the transmit packet buffer has room again. */
  #bufferFreeAt(now: number): number {
    const core = this.#core;
    const paused = core.flowControl.pausedUntil;
    if (paused > now) return paused;
    const ahead = core.lineTime(core.reg("TXPBS") * 1024 * 8);
    return Math.max(now, this.#c.wireFree - ahead);
  }

  /** The next queue in turn that has something and may send; -1 for none. */
  #choose(now: number): number {
    const { next } = this.#c;
    const { values, slot } = this.#core.bank;
    const first = slot.TXDCTL;
    let high = 0;
    let low = 0;
    for (let q = 0; q < QUEUES; q++) {
      const control = values[first + q] as number;
      if ((control & ENABLE) === 0) continue;
      if ((control & PRIORITY) !== 0) high |= 1 << q;
      else low |= 1 << q;
    }
    let wake = NEVER;
    for (const set of high === 0 ? [low] : [high, low]) {
      for (let i = 0; i < QUEUES; i++) {
        const q = (next + i) % QUEUES;
        if ((set & (1 << q)) === 0 || !this.#pending(q)) continue;
        const ready = this.#ready[q] as number;
        if (ready > now) {
          wake = Math.min(wake, ready);
          continue;
        }
        this.#c.next = (q + 1) % QUEUES;
        return q;
      }
    }
    if (wake !== NEVER) this.#pump.notify(wake - now);
    return -1;
  }

  #pending(q: number): boolean {
    const core = this.#core;
    const tail = core.reg("TDT", q);
    if (core.reg("TDH", q) === tail || tail === this.#searched[q]) return false;
    if ((core.reg("MDFB") & (1 << q)) !== 0) return false;
    if (core.filter.virtualized && (core.reg("VFTE") & (1 << (q & 7))) === 0) return false;
    return this.#wholePacket(q);
  }

  /** True where descriptors up to the tail hold the end of a packet, or contexts to take. */
  #wholePacket(q: number): boolean {
    const core = this.#core;
    const count = core.reg("TDLEN", q) >>> 4;
    const tail = core.reg("TDT", q);
    let head = core.reg("TDH", q);
    if (count === 0 || head >= count || tail >= count) {
      core.guestError({
        kind: "value",
        register: `TDT[${q}]`,
        value: tail,
        clause: "7.2",
        detail: "transmit ring with head or tail beyond its length",
      });
      core.setReg("TDT", head, q);
      return false;
    }
    const port = core.host.port(core.ownerOf(q));
    const base = this.#base(q);
    for (; head !== tail; head = (head + 1) % count) {
      const word = port.read(base + head * DESCRIPTOR + 8, 4) | 0;
      if (isContext(word) || (word & CMD.EOP) !== 0) return true;
    }
    this.#searched[q] = tail;
    return false;
  }

  #base(q: number): number {
    return (this.#core.reg("TDBAH", q) >>> 0) * TWO32 + (this.#core.reg("TDBAL", q) >>> 0);
  }

  // One packet.

  #send(q: number, now: number): void {
    const core = this.#core;
    const count = core.reg("TDLEN", q) >>> 4;
    const port = core.host.port(core.ownerOf(q));
    const head = core.reg("TDH", q);
    const at = this.#base(q) + head * DESCRIPTOR;
    const word = port.read(at + 8, 4) | 0;
    if (isContext(word)) {
      this.#takeContext(q, port, at);
      this.#finish(q, head, 1, count, (word & CMD.RS) !== 0);
      return;
    }
    const packet = this.#gather(q, port, head, count);
    let bytes = 0;
    if (packet.bad !== null) this.#reject(q, packet.bad);
    else bytes = this.#transform(q, packet, now);
    this.#finishPacket(q, packet, count, port);
    this.#limit(q, bytes, now);
  }

  #takeContext(q: number, port: Port, at: number): void {
    const index = (port.read(at + 12, 4) >>> 4) & 7;
    if (index > 1) this.#reject(q, "context index above 1");
    const place = q * 8 + (index & 1) * 4;
    for (let i = 0; i < 4; i++) this.#contexts[place + i] = port.read(at + 4 * i, 4);
  }

  #gather(q: number, port: Port, head: number, count: number): Gathered {
    const base = this.#base(q);
    const tail = this.#core.reg("TDT", q);
    let total = 0;
    let used = 0;
    let command = 0;
    let options = 0;
    let bad: string | null = null;
    for (let i = head; i !== tail; i = (i + 1) % count) {
      const at = base + i * DESCRIPTOR;
      const word = port.read(at + 8, 4) | 0;
      if (used === 0) {
        command = word;
        options = port.read(at + 12, 4) | 0;
      } else if (isContext(word)) bad = "context descriptor inside a packet";
      else if ((word & CMD.DEXT) !== (command & CMD.DEXT)) bad = "legacy and advanced descriptors in one packet";
      if ((word & CMD.DEXT) !== 0 && ((word >>> 20) & 0xf) !== 3) bad = "reserved descriptor type";
      used++;
      total += word & 0xffff;
      if ((word & CMD.EOP) !== 0) break;
    }
    if (total > LONGEST_SEND) bad = "packet longer than the longest send";
    // A large send is cut into frames of their own memory; what goes out whole is a frame itself.
    const large = (command & CMD.DEXT) !== 0 && (command & CMD.TSE) !== 0;
    const data = bad !== null ? this.#scratchOf(0) : large ? this.#scratchOf(total) : new Uint8Array(total);
    for (let n = 0, done = 0; n < used && done < data.length; n++) {
      const at = base + ((head + n) % count) * DESCRIPTOR;
      const low = port.read(at, 4);
      const address = (port.read(at + 4, 4) >>> 0) * TWO32 + (low >>> 0);
      const length = Math.min(port.read(at + 8, 4) & 0xffff, total - done);
      const piece = length === total ? data : data.subarray(done, done + length);
      if (!port.readBlock(address, piece)) bad = "data buffer that cannot be read";
      done += length;
    }
    return { head, used, data, command, options, legacy: (command & CMD.DEXT) === 0, bad };
  }

  /** Memory for one large send at a time: made anew for each it would be half of all garbage. */
  #scratchOf(length: number): Uint8Array {
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(length);
    return this.#scratch.subarray(0, length);
  }

  /** Applies the offloads and sends what comes out. Returns bytes on the wire. */
  #transform(q: number, packet: Gathered, now: number): number {
    const core = this.#core;
    const { command, options, legacy } = packet;
    const context = contextOf(this.#contexts, q * 8 + ((options >>> 4) & 1) * 4);
    const stamp = !legacy && (command & CMD.STAMP) !== 0;
    let frames: Frame[];
    if (!legacy && (command & CMD.TSE) !== 0) {
      const low = core.reg("DTXTCPFLGL");
      const masks = { first: low & 0xfff, middle: (low >>> 16) & 0xfff, last: core.reg("DTXTCPFLGH") & 0xfff };
      const cut = segment(packet.data, context, (options & POPTS_IXSM) !== 0, (options & POPTS_TXSM) !== 0, masks);
      if (cut === null) return this.#reject(q, "large send that does not fit its context");
      core.statistics.add("TSCTC", 1);
      frames = cut;
    } else {
      const frame = packet.data;
      if (legacy) this.#legacyChecksum(packet);
      else if (!insertChecksums(frame, context, (options & POPTS_IXSM) !== 0, (options & POPTS_TXSM) !== 0))
        return this.#reject(q, "checksum beyond the packet's end");
      frames = [frame];
    }
    const tag = this.#tag(q, command, legacy ? options >>> 16 : context.vlan);
    let bytes = 0;
    for (const cut of frames) bytes += this.#emit(q, cut, tag, command, stamp, now);
    return bytes;
  }

  /** Legacy descriptors sum from CSS to the end and put the result at CSO (7.2). */
  #legacyChecksum(packet: Gathered): void {
    const { command, options, data } = packet;
    const offset = (command >>> 16) & 0xff;
    const start = (options >>> 8) & 0xff;
    if ((command & CMD.IC) === 0 || start >= data.length || offset + 2 > data.length) return;
    const result = ~sum(data, start, data.length) & 0xffff;
    data[offset] = result >>> 8;
    data[offset + 1] = result;
  }

  /** The tag to insert, or -1: VMVIR decides for pools (7.10.3.8). */
  #tag(q: number, command: number, tag: number): number {
    const core = this.#core;
    if (core.filter.virtualized) {
      const insert = core.reg("VMVIR", q & 7);
      const action = (insert >>> 30) & 3;
      if (action === 1) return insert & 0xffff;
      if (action === 2) return -1;
    }
    return (command & CMD.VLE) !== 0 ? tag : -1;
  }

  #emit(q: number, cut: Frame, tag: number, command: number, stamp: boolean, now: number): number {
    const core = this.#core;
    let frame = cut;
    // Without IFCS software has appended a check sequence; frames on links here have none.
    if ((command & CMD.IFCS) === 0 && frame.length > SHORTEST + 4) frame = frame.slice(0, frame.length - 4);
    if (frame.length < 14 || frame.length > LONGEST) return this.#reject(q, "frame of an impossible length");
    if (tag >= 0) frame = insertTag(frame, core.reg("VET") & 0xffff, tag);
    if (frame.length < SHORTEST) {
      const padded = new Uint8Array(SHORTEST);
      padded.set(frame);
      frame = padded;
    }
    const wire = core.send(q, frame);
    const bits = (frame.length + OVERHEAD) * 8;
    const c = this.#c;
    c.wireFree = Math.max(c.wireFree, now) + (wire ? core.lineTime(bits) : Math.ceil((bits * SEC) / SWITCH_RATE));
    if (stamp) core.clock.transmitted(c.wireFree);
    return frame.length + OVERHEAD;
  }

  /** A packet that the device does not send: recorded and, with malicious driver protection, its queue is blocked. */
  #reject(q: number, detail: string): number {
    const core = this.#core;
    core.guestError({ kind: "value", register: `TDH[${q}]`, value: core.reg("TDH", q), clause: "7.2", detail });
    core.statistics.add("HTDPMC", 1);
    core.setReg("LVMMC", (q << 27) | 1);
    if ((core.reg("DTXCTL") & (1 << 5)) !== 0) {
      core.setReg("MDFB", core.reg("MDFB") | (1 << q));
      core.interrupts.cause(CAUSE.DOUTSYNC);
    }
    return 0;
  }

  /** RTTBCNRC: a queue that sent `bytes` waits as long as they take at the link's speed divided by the rate factor. */
  #limit(q: number, bytes: number, now: number): void {
    const rate = this.#rates[q] as number;
    if (rate >= 0 || bytes === 0) return;
    const factor = Math.max(1, ((rate >>> 14) & 0x3fff) + (rate & 0x3fff) / 16384);
    const time = (bytes * 8 * SEC * factor) / (this.#core.speed * 1_000_000);
    this.#ready[q] = Math.max(now, this.#ready[q] as number) + Math.ceil(time);
  }

  // Write-back: 7.2 and 7.2.

  #finishPacket(q: number, packet: Gathered, count: number, port: Port): void {
    for (let n = 0; n < packet.used; n++) {
      const index = (packet.head + n) % count;
      const word = port.read(this.#base(q) + index * DESCRIPTOR + 8, 4) | 0;
      this.#finish(q, index, 1, count, (word & CMD.RS) !== 0);
    }
  }

  #finish(q: number, index: number, used: number, count: number, report: boolean): void {
    const core = this.#core;
    core.setReg("TDH", (index + used) % count, q);
    if (!report) return;
    const n = this.#heldCount[q] as number;
    this.#held[q * WAITING_MAX + n] = index;
    this.#heldCount[q] = n + 1;
    const threshold = (core.reg("TXDCTL", q) >>> 16) & 0x1f;
    if (n + 1 >= Math.max(1, threshold)) this.#writeBack(q);
    else this.#flush.notify(Math.max(0, core.interrupts.readyAt(q, true) - core.simulation.now));
  }

  #writeBack(q: number): void {
    const core = this.#core;
    const n = this.#heldCount[q] as number;
    if (n === 0) return;
    const port = core.host.port(core.ownerOf(q));
    const headAddress = core.reg("TDWBAL", q);
    if ((headAddress & 1) !== 0) {
      port.write((core.reg("TDWBAH", q) >>> 0) * TWO32 + ((headAddress & ~3) >>> 0), 4, core.reg("TDH", q));
    } else {
      for (let i = 0; i < n; i++) {
        const at = this.#base(q) + (this.#held[q * WAITING_MAX + i] as number) * DESCRIPTOR + 12;
        port.write(at, 4, (port.read(at, 4) | DD) >>> 0);
      }
    }
    this.#heldCount[q] = 0;
    core.interrupts.queue(q, true);
  }

  #flushDue(): void {
    for (let q = 0; q < QUEUES; q++) this.#writeBack(q);
  }
}

function isContext(word: number): boolean {
  return (word & CMD.DEXT) !== 0 && ((word >>> 20) & 0xf) === 2;
}

export type { Context };
