/**
 * Driver of a TOE control interface for guest programs, from its technical reference manual (docs/devices/toe.md, version 1.0 of the programmer's
 * model). Completions are polled, and where there is none the program waits for an interrupt: it runs with interrupts masked and asks the
 * GIC's CPU interface itself.
 */
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const ID = 0x000;
const STATUS = 0x024;
const CONTROL = 0x020;
const INTERRUPT_STATUS = 0x040;
const INTERRUPT_ENABLE = 0x044;
const COMPLETION_MODERATION = 0x04c;
const SQ_BASE = 0x080;
const SQ_SIZE = 0x088;
const SQ_TAIL = 0x08c;
const CQ_BASE = 0x0a0;
const CQ_SIZE = 0x0a8;
const CQ_HEAD = 0x0ac;
const EQ_BASE = 0x0c0;
const EQ_SIZE = 0x0c8;
const EQ_HEAD = 0x0cc;
const RP_BASE = 0x0e0;
const RP_SIZE = 0x0e8;
const RP_TAIL = 0x0ec;

const ID_VALUE = 0x4945_4f54;
const READY = 1;
const COMPLETION = 1;
const EVENT = 2;
const ERROR = 4;

const GICC_IAR = 0x0c;
const GICC_EOIR = 0x10;

/** Opcodes (section 7). */
export const TOE_NOP = 0;
export const TOE_SOCKET = 1;
export const TOE_BIND = 2;
export const TOE_LISTEN = 3;
export const TOE_ACCEPT = 4;
export const TOE_CONNECT = 5;
export const TOE_SEND = 6;
export const TOE_RECEIVE = 7;
export const TOE_RECEIVE_FROM = 9;
export const TOE_CLOSE = 11;
export const TOE_SET_OPTION = 13;
export const TOE_POLL = 15;
export const TOE_CANCEL = 16;

/** Flags of commands. */
export const ACKNOWLEDGED = 1 << 2;
export const ALL = 1 << 3;
export const POOL = 1 << 4;
export const MULTI = 1 << 5;
/** Flag of a completion: more of the same command follow. */
export const MORE = 1 << 0;
/** Flag of a completion: the stream has ended. */
export const END = 1 << 1;
/** Option: events of a socket that are written to the event ring. */
export const EVENT_MASK = 256;

/** Cycles that this driver works for a command and for a completion, beside its memory accesses. Assumed. */
const COMMAND_CYCLES = 150;
const COMPLETION_CYCLES = 100;

const ENTRY = 64;
/** Bytes of an event, and of an entry of the receive pool. */
const SMALL_ENTRY = 16;

export interface ToeCommand {
  readonly opcode: number;
  readonly flags?: number;
  readonly socket?: number;
  readonly length?: number;
  /** Guest address of the data. */
  readonly buffer?: number;
  readonly arg0?: number;
  readonly arg1?: number;
  /** IPv4 as four bytes, IPv6 as sixteen. */
  readonly address?: readonly number[];
  readonly port?: number;
  /** Microseconds until it ends with COMMAND_TIMEOUT; never unless given. */
  readonly timeout?: number;
}

export interface ToeEvent {
  readonly socket: number;
  readonly events: number;
  readonly status: number;
}

export interface ToeCompletion {
  readonly tag: number;
  readonly socket: number;
  readonly result: number;
  readonly opcode: number;
  readonly flags: number;
  readonly status: number;
  /** The pool's buffer that was used: its number, or 0xffff_ffff, and guest address. */
  readonly bufferId: number;
  readonly buffer: number;
  readonly port: number;
}

export interface ToeDriverOptions {
  /** Guest addresses: the interface's frame, the GIC's CPU interface, 64-byte aligned memory of `toeRingBytes(log2, shared)`. */
  readonly base: number;
  readonly gic: number;
  readonly rings: number;
  /** Entries of each ring are 2 to the power of it; 8 unless given. */
  readonly log2?: number;
  /** Completions before an interrupt, and microseconds after the first; each its own unless given. */
  readonly moderation?: { readonly count: number; readonly microseconds: number };
  /** With event ring and receive pool, of as many entries. */
  readonly shared?: boolean;
}

const LOG2 = 8;
/** Memory of the rings, of 2 to the power of `log2` entries each. */
export function toeRingBytes(log2 = LOG2, shared = false): number {
  return (2 * ENTRY + (shared ? 2 * SMALL_ENTRY : 0)) << log2;
}

export class ToeDriver {
  readonly #o: ToeDriverOptions;
  readonly #command = new Uint8Array(ENTRY);
  readonly #commandView = new DataView(this.#command.buffer);
  readonly #entry = new Uint8Array(ENTRY);
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #small = new Uint8Array(SMALL_ENTRY);
  readonly #smallView = new DataView(this.#small.buffer);
  #done: ToeCompletion[] = [];
  #events: ToeEvent[] = [];
  readonly #log2: number;
  readonly #entries: number;
  #sqTail = 0;
  #sqHead = 0;
  #cqHead = 0;
  #phase = 1;
  #eqHead = 0;
  #eqPhase = 1;
  #rpTail = 0;
  #tag = 0;
  /** Commands submitted and not completed. */
  outstanding = 0;
  interrupts = 0;

  constructor(options: ToeDriverOptions) {
    this.#o = options;
    this.#log2 = options.log2 ?? LOG2;
    this.#entries = 1 << this.#log2;
  }

  get #completionRing(): number {
    return this.#o.rings + this.#entries * ENTRY;
  }

  get #eventRing(): number {
    return this.#completionRing + this.#entries * ENTRY;
  }
  get #pool(): number {
    return this.#eventRing + this.#entries * SMALL_ENTRY;
  }

  /** Resets the interface and sets its rings up; false where there is none, or it is not granted. */
  *open(g: Guest): Routine<boolean> {
    const { base, rings, moderation, shared = false } = this.#o;
    if ((yield g.load(base + ID)) >>> 0 !== ID_VALUE) return false;
    yield g.store(base + CONTROL, 2);
    yield g.write(rings, new Uint8Array(toeRingBytes(this.#log2, shared)));
    yield* this.#address(g, SQ_BASE, rings);
    yield g.store(base + SQ_SIZE, this.#log2);
    yield* this.#address(g, CQ_BASE, this.#completionRing);
    yield g.store(base + CQ_SIZE, this.#log2);
    if (shared) {
      yield* this.#address(g, EQ_BASE, this.#eventRing);
      yield g.store(base + EQ_SIZE, this.#log2);
      yield* this.#address(g, RP_BASE, this.#pool);
      yield g.store(base + RP_SIZE, this.#log2);
    }
    if (moderation) yield g.store(base + COMPLETION_MODERATION, (moderation.microseconds << 16) | moderation.count);
    yield g.store(base + INTERRUPT_ENABLE, COMPLETION | ERROR | (shared ? EVENT : 0));
    yield g.store(base + CONTROL, 1);
    this.#sqTail = 0;
    this.#sqHead = 0;
    this.#cqHead = 0;
    this.#phase = 1;
    this.#eqHead = 0;
    this.#eqPhase = 1;
    this.#rpTail = 0;
    return ((yield g.load(base + STATUS)) & READY) !== 0;
  }

  *#address(g: Guest, register: number, address: number): Routine {
    const { base } = this.#o;
    yield g.store(base + register, address >>> 0);
    yield g.store(base + register + 4, Math.floor(address / 2 ** 32));
  }

  /** There is room for another command. */
  get room(): boolean {
    return (this.#sqTail + 1) % this.#entries !== this.#sqHead && this.outstanding < this.#entries - 1;
  }

  /** Puts a command into the ring, when there is room; its tag. */
  *submit(g: Guest, c: ToeCommand): Routine<number> {
    while (!this.room) yield* this.wait(g);
    this.#tag = (this.#tag + 1) >>> 0;
    const tag = this.#tag;
    const v = this.#commandView;
    this.#command.fill(0);
    v.setUint8(0, c.opcode);
    v.setUint8(1, c.flags ?? 0);
    v.setUint32(4, tag, true);
    v.setUint32(8, c.socket ?? 0, true);
    v.setUint32(12, c.length ?? 0, true);
    v.setUint32(16, (c.buffer ?? 0) >>> 0, true);
    v.setUint32(20, Math.floor((c.buffer ?? 0) / 2 ** 32), true);
    v.setUint32(24, c.arg0 ?? 0, true);
    v.setUint32(28, c.arg1 ?? 0, true);
    if (c.address?.length === 4) {
      v.setUint16(42, 0xffff);
      this.#command.set(c.address, 44);
    } else if (c.address) this.#command.set(c.address, 32);
    v.setUint16(48, c.port ?? 0, true);
    v.setUint32(52, c.timeout ?? 0, true);
    yield g.compute(COMMAND_CYCLES);
    yield g.write(this.#o.rings + ENTRY * this.#sqTail, this.#command);
    this.#sqTail = (this.#sqTail + 1) % this.#entries;
    this.outstanding++;
    return tag;
  }

  /** The doorbell: the device is told of what was submitted. */
  *ring(g: Guest): Routine {
    yield g.store(this.#o.base + SQ_TAIL, this.#sqTail);
  }

  /** Takes the completions that are there; how many. */
  *poll(g: Guest): Routine<number> {
    let count = 0;
    for (;;) {
      const at = this.#completionRing + ENTRY * this.#cqHead;
      const last = yield g.load(at + 60);
      if (((last >>> 24) & 1) !== this.#phase) break;
      yield g.read(at, this.#entry);
      yield g.compute(COMPLETION_CYCLES);
      const v = this.#entryView;
      this.#sqHead = v.getUint16(50, true);
      const tag = v.getUint32(8, true);
      const flags = v.getUint8(61);
      this.#done.push({
        tag,
        socket: v.getUint32(12, true),
        result: v.getUint32(16, true),
        opcode: v.getUint8(60),
        flags,
        status: v.getUint8(62),
        bufferId: v.getUint32(20, true),
        buffer: v.getUint32(24, true) + v.getUint32(28, true) * 2 ** 32,
        port: v.getUint16(48, true),
      });
      if ((flags & MORE) === 0) this.outstanding--;
      this.#cqHead = (this.#cqHead + 1) % this.#entries;
      if (this.#cqHead === 0) this.#phase ^= 1;
      count++;
    }
    if (count > 0) yield g.store(this.#o.base + CQ_HEAD, this.#cqHead);
    return count;
  }

  /** Takes the events that are there; how many. */
  *pollEvents(g: Guest): Routine<number> {
    if (this.#o.shared !== true) return 0;
    const v = this.#smallView;
    for (let count = 0; ; count++) {
      yield g.read(this.#eventRing + SMALL_ENTRY * this.#eqHead, this.#small);
      if ((v.getUint8(15) & 1) !== this.#eqPhase) {
        if (count > 0) yield g.store(this.#o.base + EQ_HEAD, this.#eqHead);
        return count;
      }
      this.#events.push({ socket: v.getUint32(0, true), events: v.getUint32(4, true), status: v.getUint8(8) });
      this.#eqHead = (this.#eqHead + 1) % this.#entries;
      if (this.#eqHead === 0) this.#eqPhase ^= 1;
    }
  }
  /** The events taken so far, in order; they are the caller's now. */
  takeEvents(): ToeEvent[] {
    const all = this.#events;
    this.#events = [];
    return all;
  }

  /** Gives a buffer to the receive pool. No more than its entries, less one, may be there. */
  *give(g: Guest, buffer: number, length: number, id: number): Routine {
    const v = this.#smallView;
    v.setUint32(0, buffer >>> 0, true);
    v.setUint32(4, Math.floor(buffer / 2 ** 32), true);
    v.setUint32(8, length, true);
    v.setUint32(12, id, true);
    yield g.write(this.#pool + SMALL_ENTRY * this.#rpTail, this.#small);
    this.#rpTail = (this.#rpTail + 1) % this.#entries;
    yield g.store(this.#o.base + RP_TAIL, this.#rpTail);
  }

  /** Takes completions and events; where there is none, waits for the interrupt and tries again. */
  *wait(g: Guest): Routine {
    const { base, gic } = this.#o;
    while ((yield* this.poll(g)) + (yield* this.pollEvents(g)) === 0) {
      yield g.wait();
      const id = yield g.load(gic + GICC_IAR);
      if ((id & 0x3ff) >= 1020) continue;
      this.interrupts++;
      yield g.store(base + INTERRUPT_STATUS, yield g.load(base + INTERRUPT_STATUS));
      yield g.store(gic + GICC_EOIR, id);
    }
  }

  /** The completions taken so far that nobody has asked for by tag, in order; they are the caller's now. */
  takeAll(): ToeCompletion[] {
    const all = this.#done;
    this.#done = [];
    return all;
  }

  /** The completion of a command that was submitted, when it is there. */
  *completion(g: Guest, tag: number): Routine<ToeCompletion> {
    for (;;) {
      const at = this.#done.findIndex((c) => c.tag === tag);
      const [found] = at < 0 ? [] : this.#done.splice(at, 1);
      if (found) return found;
      yield* this.wait(g);
    }
  }

  /** One command from submission to completion. */
  *call(g: Guest, command: ToeCommand): Routine<ToeCompletion> {
    const tag = yield* this.submit(g, command);
    yield* this.ring(g);
    return yield* this.completion(g, tag);
  }

  /** A TCP socket connected to a peer; -1 where that fails. */
  *connect(g: Guest, address: readonly number[], port: number): Routine<number> {
    const { status, socket } = yield* this.call(g, {
      opcode: TOE_SOCKET,
      arg0: 1,
      arg1: address.length === 4 ? 4 : 6,
    });
    if (status !== 0) return -1;
    const connected = yield* this.call(g, { opcode: TOE_CONNECT, socket, address, port });
    return connected.status === 0 ? socket : -1;
  }

  /** A listening TCP socket at a port of every IPv4 address; -1 where that fails. */
  *listen(g: Guest, port: number, backlog: number): Routine<number> {
    const { status, socket } = yield* this.call(g, { opcode: TOE_SOCKET, arg0: 1, arg1: 4 });
    if (status !== 0) return -1;
    const bound = yield* this.call(g, { opcode: TOE_BIND, socket, address: [0, 0, 0, 0], port });
    if (bound.status !== 0) return -1;
    const listening = yield* this.call(g, { opcode: TOE_LISTEN, socket, arg0: backlog });
    return listening.status === 0 ? socket : -1;
  }
}
