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

const ID_VALUE = 0x4945_4f54;
const READY = 1;
const COMPLETION = 1;
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
export const TOE_CLOSE = 11;
export const TOE_SET_OPTION = 13;

/** Flags of commands. */
export const ACKNOWLEDGED = 1 << 2;
export const ALL = 1 << 3;

/** Cycles that this driver works for a command and for a completion, beside its memory accesses. Assumed. */
const COMMAND_CYCLES = 150;
const COMPLETION_CYCLES = 100;

const ENTRY = 64;

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
}

export interface ToeCompletion {
  readonly tag: number;
  readonly socket: number;
  readonly result: number;
  readonly opcode: number;
  readonly flags: number;
  readonly status: number;
}

export interface ToeDriverOptions {
  /** Guest addresses: the interface's frame, the GIC's CPU interface, 64-byte aligned memory of `toeRingBytes(log2)`. */
  readonly base: number;
  readonly gic: number;
  readonly rings: number;
  /** Entries of each ring are 2 to the power of it; 8 unless given. */
  readonly log2?: number;
  /** Completions before an interrupt, and microseconds after the first; each its own unless given. */
  readonly moderation?: { readonly count: number; readonly microseconds: number };
}

const LOG2 = 8;
/** Memory of both rings, of 2 to the power of `log2` entries each. */
export function toeRingBytes(log2 = LOG2): number {
  return (2 * ENTRY) << log2;
}

export class ToeDriver {
  readonly #o: ToeDriverOptions;
  readonly #command = new Uint8Array(ENTRY);
  readonly #commandView = new DataView(this.#command.buffer);
  readonly #entry = new Uint8Array(ENTRY);
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #done = new Map<number, ToeCompletion>();
  readonly #log2: number;
  readonly #entries: number;
  #sqTail = 0;
  #sqHead = 0;
  #cqHead = 0;
  #phase = 1;
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

  /** Resets the interface and sets its rings up; false where there is none, or it is not granted. */
  *open(g: Guest): Routine<boolean> {
    const { base, rings, moderation } = this.#o;
    if ((yield g.load(base + ID)) >>> 0 !== ID_VALUE) return false;
    yield g.store(base + CONTROL, 2);
    yield g.write(rings, new Uint8Array(toeRingBytes(this.#log2)));
    yield* this.#address(g, SQ_BASE, rings);
    yield g.store(base + SQ_SIZE, this.#log2);
    yield* this.#address(g, CQ_BASE, this.#completionRing);
    yield g.store(base + CQ_SIZE, this.#log2);
    if (moderation) yield g.store(base + COMPLETION_MODERATION, (moderation.microseconds << 16) | moderation.count);
    yield g.store(base + INTERRUPT_ENABLE, COMPLETION | ERROR);
    yield g.store(base + CONTROL, 1);
    this.#sqTail = 0;
    this.#sqHead = 0;
    this.#cqHead = 0;
    this.#phase = 1;
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
      this.#done.set(tag, {
        tag,
        socket: v.getUint32(12, true),
        result: v.getUint32(16, true),
        opcode: v.getUint8(60),
        flags: v.getUint8(61),
        status: v.getUint8(62),
      });
      this.outstanding--;
      this.#cqHead = (this.#cqHead + 1) % this.#entries;
      if (this.#cqHead === 0) this.#phase ^= 1;
      count++;
    }
    if (count > 0) yield g.store(this.#o.base + CQ_HEAD, this.#cqHead);
    return count;
  }

  /** Takes completions; where there is none, waits for the interrupt and tries again. */
  *wait(g: Guest): Routine {
    const { base, gic } = this.#o;
    while ((yield* this.poll(g)) === 0) {
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
    const all = [...this.#done.values()];
    this.#done.clear();
    return all;
  }

  /** The completion of a command that was submitted, when it is there. */
  *completion(g: Guest, tag: number): Routine<ToeCompletion> {
    for (;;) {
      const found = this.#done.get(tag);
      if (found) {
        this.#done.delete(tag);
        return found;
      }
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
