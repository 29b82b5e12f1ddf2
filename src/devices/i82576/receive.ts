/**
 * The receive side, 82576 datasheet 7.1: packet buffer, rings, descriptors of every type, header split and replication, write-back thresholds.
 *
 * A packet that finds too few descriptors waits in the packet buffer, and all behind it with it, unless its queue drops (SRRCTL.DROP_EN, QDE);
 * a packet that the buffer has no room for is missed. Choices: a packet takes all its descriptors at once or none; descriptors below WTHRESH are
 * written back at the latest when the queue's EITR interval is over, or when a filter asks for an immediate interrupt; headers are split at the deepest header that PSRTYPE names.
 */
import type { Port } from "../../bus/index.ts";
import { crc32, crc32c, fold, pseudoHeader, sum } from "../../net/checksum.ts";
import type { Frame } from "../../net/index.ts";
import { type Packet, SCTP, TCP, UDP } from "../../net/packet.ts";
import type { Event } from "../../sim/index.ts";
import { put32le } from "./bytes.ts";
import type { Verdict } from "./filter.ts";
import type { I82576Core } from "./i82576.ts";
import { CAUSE } from "./interrupts.ts";
import { PacketBuffer, type Waiting } from "./packet-buffer.ts";
import { type Split, splitPacket } from "./split.ts";
import { FCS, isMulticast } from "./statistics.ts";

const QUEUES = 16;
const DESCRIPTOR = 16;
const WAITING_MAX = 32;
const ENABLE = 1 << 25;
const FLUSH = 1 << 26;
const RXEN = 1 << 1;
const SECRC = 1 << 26;
const TWO32 = 4294967296;

const DD = 1;
const EOP = 2;
const VP = 1 << 3;
const UDPCS = 1 << 4;
const L4CS = 1 << 5;
const IPCS = 1 << 6;
const PIF = 1 << 7;
const UDPV = 1 << 10;
const TS = 1 << 16;
const LB = 1 << 18;
const HBO = 1 << 23;
const L4E = 1 << 29;
const IPE = 1 << 30;
const SPH = 1 << 31;

export class Receiver {
  readonly #core: I82576Core;
  readonly #buffer: PacketBuffer;
  /** Descriptors that are done and wait for their write-back: index and four words each, and how many by queue. */
  readonly #held: Int32Array;
  readonly #c: { heldCount: Int32Array; packets: Int32Array };
  readonly #flush: Event;
  readonly #words = new Uint8Array(DESCRIPTOR);
  #draining = false;
  /** Of the packet that is being placed. */
  readonly #split: Split = { bytes: 0, separate: false, length: 0, found: false, overflow: false };

  constructor(core: I82576Core) {
    this.#core = core;
    this.#buffer = core.part("packetBuffer", new PacketBuffer());
    this.#held = core.cells({ held: new Int32Array(QUEUES * WAITING_MAX * 5) }, "receiveHeld").held;
    this.#c = core.cells({ heldCount: new Int32Array(QUEUES), packets: new Int32Array(QUEUES) }, "receive");
    this.#flush = core.event("receiveFlush", () => this.#flushDue());
  }

  /** Bytes that wait in the packet buffer. */
  get filled(): number {
    return this.#buffer.bytes;
  }
  get waiting(): number {
    return this.#buffer.list.length;
  }

  /** A packet for the queues of `verdict`. `flags` are status bits known so far. */
  accept(frame: Frame, packet: Packet, verdict: Verdict, loopback: boolean): void {
    const core = this.#core;
    let flags = loopback ? LB : 0;
    if (verdict.inexact) flags |= PIF;
    if (!loopback && core.clock.received(frame, packet)) flags |= TS;
    const { queues, hash, hashType, etqf, replicated, immediate } = verdict;
    const waiting: Waiting = { frame, queues, hash, hashType, etqf, flags, replicated, immediate };
    if (this.#buffer.list.length === 0) {
      this.#place(waiting, packet);
      if (waiting.queues === 0) return;
    }
    if (this.#buffer.bytes + frame.length + FCS > core.reg("RXPBS") * 1024) {
      core.statistics.add("MPC", 1);
      core.interrupts.cause(CAUSE.RXMISS);
      return;
    }
    this.#buffer.push(waiting);
    core.flowControl.filled();
  }

  /** Queues may have got room. */
  drain(): void {
    const { list } = this.#buffer;
    if (this.#draining) return;
    this.#draining = true;
    while (list.length > 0) {
      const first = list[0] as Waiting;
      this.#place(first, this.#core.parse(first.frame));
      if (first.queues !== 0) break;
      this.#buffer.shift();
    }
    this.#draining = false;
    this.#core.flowControl.filled();
  }

  /** Puts the packet into each of its queues that has room; drops it where the queue is off or drops. The rest stays in `queues`. */
  #place(w: Waiting, packet: Packet): void {
    for (let rest = w.queues; rest !== 0; rest &= rest - 1) {
      const q = 31 - Math.clz32(rest & -rest);
      const done = !this.#enabled(q) || this.#fill(q, w, packet);
      if (done) w.queues &= ~(1 << q);
    }
  }

  #enabled(q: number): boolean {
    const core = this.#core;
    if ((core.reg("RXDCTL", q) & ENABLE) === 0 || (core.reg("RCTL") & RXEN) === 0) return false;
    return !core.filter.virtualized || (core.reg("VFRE") & (1 << (q & 7))) !== 0;
  }

  #dropped(q: number): boolean {
    const core = this.#core;
    const count = core.reg("RQDPC", q);
    core.setReg("RQDPC", Math.min(count + 1, 0xfff), q);
    return true;
  }

  /** True where the packet is dealt with. */
  #fill(q: number, w: Waiting, packet: Packet): boolean {
    const core = this.#core;
    const srrctl = core.reg("SRRCTL", q);
    const count = core.reg("RDLEN", q) >>> 4;
    const head = core.reg("RDH", q);
    const tail = core.reg("RDT", q);
    const type = (srrctl >>> 25) & 7;
    if (count === 0 || head >= count || tail >= count || type > 5) {
      core.guestError({
        kind: "value",
        register: `RDT[${q}]`,
        value: tail,
        clause: "7.1",
        detail: type > 5 ? "reserved descriptor type" : "receive ring with head or tail beyond its length",
      });
      return this.#dropped(q);
    }
    const free = (tail - head + count) % count;
    const { frame, stripped, tag } = this.#shape(q, w, packet);
    const size = this.#bufferSize(srrctl);
    const header = type >= 2 ? this.#headers(q, packet, frame, stripped) : 0;
    const split = this.#split;
    splitPacket(split, type, frame.length, header, headerSize(srrctl), size);
    const payload = split.separate ? frame.length - split.bytes : frame.length;
    const needed = Math.max(1, Math.ceil(payload / size));
    if (needed > free) {
      if (needed >= count && count > 0) {
        core.guestError({
          kind: "value",
          register: `RDLEN[${q}]`,
          value: count,
          clause: "7.1",
          detail: "the ring is too short for the packet",
        });
        return this.#dropped(q);
      }
      core.statistics.add("RNBC", 1);
      if (srrctl >= 0 && (core.reg("QDE") & (1 << q)) === 0) return false;
      return this.#dropped(q);
    }
    this.#write(q, w, packet, { frame, tag, size, type, needed, head, count });
    this.#count(q, w, frame);
    const low = ((srrctl >>> 20) & 0x1f) * 16;
    if (low !== 0 && free - needed < low) {
      core.statistics.add("RXDMTC", 1);
      core.interrupts.cause(CAUSE.RXDMT0);
    }
    return true;
  }

  #count(q: number, w: Waiting, frame: Frame): void {
    const core = this.#core;
    core.statistics.toHost(frame);
    const vf = q & 7;
    if (!core.filter.virtualized) return;
    const { statistics } = core;
    statistics.virtual("PFVFGPRC", vf, 1);
    statistics.virtual("PFVFGORC", vf, frame.length);
    if (isMulticast(frame)) statistics.virtual("PFVFMPRC", vf, 1);
    if ((w.flags & LB) === 0) return;
    statistics.virtual("PFVFGPRLBC", vf, 1);
    statistics.virtual("PFVFGORLBC", vf, frame.length);
  }

  /** The bytes that go to memory: tag stripped, CRC added, as the registers say. */
  #shape(q: number, w: Waiting, packet: Packet): { frame: Frame; stripped: number; tag: number } {
    const core = this.#core;
    const offload = w.replicated ? core.reg("RPLOLR") : core.reg("VMOLR", q & 7);
    const virtualized = core.filter.virtualized;
    const strip = packet.tag >= 0 && (virtualized ? (offload & (1 << 30)) !== 0 : (core.reg("CTRL") & (1 << 30)) !== 0);
    const keepCrc = virtualized ? offload >= 0 : (core.reg("RCTL") & SECRC) === 0;
    let { frame } = w;
    if (strip) {
      const short = new Uint8Array(frame.length - 4);
      short.set(frame.subarray(0, packet.tagAt));
      short.set(frame.subarray(packet.tagAt + 4), packet.tagAt);
      frame = short;
    }
    if (keepCrc) {
      const long = new Uint8Array(frame.length + FCS);
      long.set(frame);
      put32le(long, frame.length, crc32(w.frame));
      frame = long;
    }
    return { frame, stripped: strip ? 4 : 0, tag: strip ? packet.tag : -1 };
  }

  #bufferSize(srrctl: number): number {
    const kilobytes = srrctl & 0x7f;
    return kilobytes !== 0 ? kilobytes * 1024 : 2048 >>> ((this.#core.reg("RCTL") >>> 16) & 3);
  }

  /** Bytes of the headers that PSRTYPE names, 0 where there are none. */
  #headers(q: number, packet: Packet, frame: Frame, stripped: number): number {
    const mask = this.#core.reg("PSRTYPE", this.#core.filter.virtualized ? q & 7 : 0);
    const on = (bit: number) => (mask & (1 << bit)) !== 0;
    const base = packet.ip === 4 ? 1 : packet.ip === 6 ? 7 : 0;
    if (base === 0) return 0;
    let at = 0;
    if (packet.l4 === TCP && on(base + 1)) at = packet.payloadAt;
    else if (packet.l4 === UDP && on(base + 2)) at = packet.payloadAt;
    else if (on(base)) at = packet.l4At;
    at -= stripped;
    return at > 0 && at <= frame.length ? at : 0;
  }

  #write(
    q: number,
    w: Waiting,
    packet: Packet,
    d: {
      frame: Frame;
      tag: number;
      size: number;
      type: number;
      needed: number;
      head: number;
      count: number;
    },
  ): void {
    const core = this.#core;
    const port = core.host.port(core.ownerOf(q));
    const { frame, size, type } = d;
    const split = this.#split;
    const common = (d.tag >= 0 ? VP : 0) | (split.overflow ? HBO : 0);
    const status = w.flags | this.#checked(w.frame, packet) | common;
    let done = 0;
    let { head } = d;
    for (let n = 0; n < d.needed; n++) {
      const at = this.#ring("RDBAL", "RDBAH", q) + head * DESCRIPTOR;
      const buffer = address(port, at);
      const first = n === 0;
      const last = n === d.needed - 1;
      let headerInfo = 0;
      if (first && type >= 2) {
        headerInfo = ((split.length & 0x3ff) << 21) | (split.found ? SPH : 0);
        if (split.bytes > 0) {
          port.writeBlock(address(port, at + 8), frame.subarray(0, split.bytes));
          if (split.separate) done = split.bytes;
        }
      }
      const end = Math.min(frame.length, done + size);
      const bytes = end - done;
      if (bytes > 0) port.writeBlock(buffer, bytes === frame.length ? frame : frame.subarray(done, end));
      done = end;
      const lastStatus = last ? status | EOP : common;
      if (type === 0)
        this.#hold(
          q,
          head,
          buffer,
          legacy(bytes, last ? this.#packetSum(frame) : 0, lastStatus | DD, last ? d.tag : -1),
        );
      else this.#hold(q, head, -1, this.#advanced(w, packet, headerInfo, bytes, lastStatus | DD, last ? d.tag : -1));
      head = (head + 1) % d.count;
    }
    core.setReg("RDH", head, q);
    const { packets, heldCount } = this.#c;
    packets[q] = (packets[q] as number) + 1;
    const threshold = (core.reg("RXDCTL", q) >>> 16) & 0x1f;
    if (w.immediate || (heldCount[q] as number) >= Math.max(1, threshold)) this.#writeBack(q, w.immediate);
    else this.#flush.notify(Math.max(0, core.interrupts.readyAt(q, false) - core.simulation.now));
  }

  #ring(low: "RDBAL", high: "RDBAH", q: number): number {
    return (this.#core.reg(high, q) >>> 0) * TWO32 + (this.#core.reg(low, q) >>> 0);
  }

  /** Status and error bits of checksums. */
  #checked(frame: Frame, packet: Packet): number {
    const control = this.#core.reg("RXCSUM");
    let bits = 0;
    if (packet.ip === 4 && (control & (1 << 8)) !== 0) {
      bits |= IPCS;
      if (sum(frame, packet.l3At, packet.l4At) !== 0xffff) bits |= IPE;
    }
    if (packet.ip === 0 || packet.fragment || packet.l4 === 0) return bits;
    if (packet.l4 === SCTP) {
      if ((control & (1 << 11)) === 0) return bits;
      const at = packet.l4At;
      const found =
        ((frame[at + 8] as number) |
          ((frame[at + 9] as number) << 8) |
          ((frame[at + 10] as number) << 16) |
          ((frame[at + 11] as number) << 24)) >>>
        0;
      return bits | L4CS | (found !== crc32c(frame, at, packet.end) ? L4E : 0);
    }
    if ((control & (1 << 9)) === 0) return bits;
    const length = packet.end - packet.l4At;
    if (packet.l4 === UDP) {
      if (frame[packet.l4At + 6] === 0 && frame[packet.l4At + 7] === 0) return bits;
      bits |= UDPCS | UDPV;
    }
    bits |= L4CS;
    const total = sum(frame, packet.l4At, packet.end, pseudoHeader(frame, packet.ip, packet.l3At, packet.l4, length));
    return fold(total) === 0xffff ? bits : bits | L4E;
  }

  /** The raw checksum from RXCSUM.PCSS on. */
  #packetSum(frame: Frame): number {
    return ~sum(frame, this.#core.reg("RXCSUM") & 0xff, frame.length) & 0xffff;
  }

  #advanced(
    w: Waiting,
    packet: Packet,
    headerInfo: number,
    bytes: number,
    status: number,
    tag: number,
  ): readonly [number, number, number, number] {
    const core = this.#core;
    let type = 0;
    if (w.etqf >= 0) type = (1 << 15) | (w.etqf << 4);
    else if (packet.ip !== 0) {
      type = packet.ip === 4 ? (packet.extended ? 0x20 : 0x10) : packet.extended ? 0x80 : 0x40;
      if (!packet.fragment)
        type |= packet.l4 === TCP ? 0x100 : packet.l4 === UDP ? 0x200 : packet.l4 === SCTP ? 0x400 : 0;
    }
    const last = (status & EOP) !== 0;
    const second =
      (core.reg("RXCSUM") & (1 << 13)) !== 0
        ? w.hash
        : (this.#fragmentSum(w.frame, packet) << 16) | identification(w.frame, packet);
    return [(last ? w.hashType : 0) | type | headerInfo, last ? second : 0, status, bytes | (tag >= 0 ? tag << 16 : 0)];
  }

  #fragmentSum(frame: Frame, packet: Packet): number {
    if ((this.#core.reg("RXCSUM") & (1 << 12)) === 0) return this.#packetSum(frame);
    return packet.ip === 4 && packet.fragment ? sum(frame, packet.l4At, packet.end) : 0;
  }

  // Write-back.

  #hold(q: number, index: number, buffer: number, words: readonly [number, number, number, number]): void {
    const { heldCount } = this.#c;
    if ((heldCount[q] as number) === WAITING_MAX) this.#writeBack(q);
    const n = heldCount[q] as number;
    const place = (q * WAITING_MAX + n) * 5;
    this.#held[place] = index;
    // word by word: `set` from an array is slow
    for (let k = 0; k < 4; k++) this.#held[place + 1 + k] = words[k] as number;
    // A legacy descriptor keeps its buffer address.
    if (buffer >= 0) {
      this.#held[place + 1] = buffer;
      this.#held[place + 2] = Math.floor(buffer / TWO32);
    }
    heldCount[q] = n + 1;
  }

  #writeBack(q: number, immediate = false): void {
    const core = this.#core;
    const { heldCount, packets } = this.#c;
    const n = heldCount[q] as number;
    if (n === 0) return;
    const port = core.host.port(core.ownerOf(q));
    const base = this.#ring("RDBAL", "RDBAH", q);
    for (let i = 0; i < n; i++) {
      const place = (q * WAITING_MAX + i) * 5;
      for (let k = 0; k < 4; k++) put32le(this.#words, 4 * k, this.#held[place + 1 + k] as number);
      port.writeBlock(base + (this.#held[place] as number) * DESCRIPTOR, this.#words);
    }
    heldCount[q] = 0;
    if ((packets[q] as number) === 0) return;
    packets[q] = 0;
    core.interrupts.queue(q, false, immediate);
  }

  #flushDue(): void {
    for (let q = 0; q < QUEUES; q++) this.#writeBack(q);
  }

  // Registers.

  tailWritten(_q: number): void {
    if (this.#buffer.list.length > 0) this.drain();
  }

  /** RXDCTL was written: a queue that rises begins at descriptor 0. */
  controlWritten(q: number, before: number): void {
    const core = this.#core;
    const now = core.reg("RXDCTL", q);
    if ((now & FLUSH) !== 0) {
      core.setReg("RXDCTL", now & ~FLUSH, q);
      this.#writeBack(q);
    }
    const rises = (now & ENABLE) !== 0 && (before & ENABLE) === 0;
    if (rises) core.setReg("RDH", 0, q);
    if ((now & ENABLE) === 0 && (before & ENABLE) !== 0) this.#writeBack(q);
    if (((now ^ before) & ENABLE) !== 0) this.drain();
  }

  /** Queue q as after reset. */
  resetQueue(q: number): void {
    this.#c.heldCount[q] = 0;
    this.#c.packets[q] = 0;
  }
  reset(): void {
    this.#c.heldCount.fill(0);
    this.#c.packets.fill(0);
    this.#buffer.reset();
    this.#flush.cancel();
  }
}

function headerSize(srrctl: number): number {
  return ((srrctl >>> 8) & 0x3f) * 64;
}

function identification(frame: Frame, packet: Packet): number {
  return packet.ip === 4 ? ((frame[packet.l3At + 4] as number) << 8) | (frame[packet.l3At + 5] as number) : 0;
}

function address(port: Port, at: number): number {
  const low = port.read(at, 4);
  return (port.read(at + 4, 4) >>> 0) * TWO32 + (low >>> 0);
}

function legacy(
  bytes: number,
  checksum: number,
  status: number,
  tag: number,
): readonly [number, number, number, number] {
  const errors = ((status & L4E) !== 0 ? 0x20 : 0) | ((status & IPE) !== 0 ? 0x40 : 0);
  const low = status & (DD | EOP | VP | UDPCS | L4CS | IPCS | PIF);
  return [0, 0, bytes | (checksum << 16), low | (errors << 8) | (tag >= 0 ? tag << 16 : 0)];
}
