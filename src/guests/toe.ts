/**
 * Driver of one control interface of the TOE (its technical reference manual: rings 6, commands 7, completions 8, interrupts 11, sequences 15): commands go into the submission
 * ring, a routine waits for the completion with its tag. Rings and a transfer buffer lie in one stretch of guest memory.
 */
import type { Guest, Routine } from "../hypervisor/abstract/index.ts";

const ID = 0x000;
const CONTROL = 0x020;
const STATUS = 0x024;
const INTERRUPT_STATUS = 0x040;
const INTERRUPT_ENABLE = 0x044;
const SQ_BASE = 0x080;
const SQ_SIZE = 0x088;
const SQ_TAIL = 0x08c;
const CQ_BASE = 0x0a0;
const CQ_SIZE = 0x0a8;
const CQ_HEAD = 0x0ac;

const INTERFACE_ID = 0x4945_4f54;
const ENABLE = 1;
const RESET = 2;
const READY = 1;
const GRANTED = 2;
const COMPLETION = 1;

const ENTRY = 64;
const RING_LOG2 = 6;
const ENTRIES = 1 << RING_LOG2;
/** Largest transfer of a command. */
export const TOE_BUFFER = 0x1_0000;

/** Opcodes (7) and flags. */
export const TOE_COMMAND = {
  SOCKET: 1,
  BIND: 2,
  LISTEN: 3,
  ACCEPT: 4,
  CONNECT: 5,
  SEND: 6,
  RECEIVE: 7,
  SHUTDOWN: 10,
  CLOSE: 11,
} as const;
const ALL = 1 << 3;
const TCP = 1;
const IPV4 = 4;
/** Completion flag: end of the stream. */
const END = 2;

export interface ToeCommand {
  readonly opcode: number;
  readonly flags?: number;
  readonly socket?: number;
  readonly length?: number;
  readonly arg0?: number;
  readonly arg1?: number;
  /** An IPv4 address, as a number: 10.0.0.1 is 0x0a000001. */
  readonly address?: number;
  readonly port?: number;
}

export interface ToeCompletion {
  readonly tag: number;
  readonly socket: number;
  readonly result: number;
  readonly flags: number;
  /** 0: success; else section 8.1. */
  readonly status: number;
}

export interface ToeOptions {
  /** Where the interface's frame is. */
  readonly base: number;
  /** Guest memory, 64-byte aligned: `ToeInterface.bytes` of it. */
  readonly memory: number;
  /** What DMA adds to the guest's addresses; 0 behind an SMMU with the VM's tables. */
  readonly dmaOffset?: number;
}

export class ToeInterface {
  static readonly bytes = 2 * ENTRY * ENTRIES + TOE_BUFFER;
  readonly #base: number;
  readonly #sq: number;
  readonly #cq: number;
  readonly #buffer: number;
  readonly #dma: number;
  #tail = 0;
  #head = 0;
  #phase = 1;
  #tag = 0;
  /** Completions that came while another was waited for. */
  readonly #early: ToeCompletion[] = [];

  constructor(options: ToeOptions) {
    this.#base = options.base;
    this.#sq = options.memory;
    this.#cq = options.memory + ENTRY * ENTRIES;
    this.#buffer = options.memory + 2 * ENTRY * ENTRIES;
    this.#dma = options.dmaOffset ?? 0;
  }

  /** Sequence "Interface" of section 15. False where there is no interface, or management has not granted it. */
  *start(g: Guest): Routine<boolean> {
    const b = this.#base;
    if ((yield g.load(b + ID)) !== INTERFACE_ID) return false;
    if (((yield g.load(b + STATUS)) & GRANTED) === 0) return false;
    yield g.store(b + CONTROL, RESET);
    yield g.write(this.#sq, new Uint8Array(2 * ENTRY * ENTRIES));
    yield* this.#ring(g, SQ_BASE, SQ_SIZE, this.#sq);
    yield* this.#ring(g, CQ_BASE, CQ_SIZE, this.#cq);
    yield g.store(b + INTERRUPT_ENABLE, COMPLETION);
    yield g.store(b + CONTROL, ENABLE);
    this.#tail = 0;
    this.#head = 0;
    this.#phase = 1;
    return ((yield g.load(b + STATUS)) & READY) !== 0;
  }

  *#ring(g: Guest, base: number, size: number, at: number): Routine {
    const address = at + this.#dma;
    yield g.store(this.#base + base, address % 2 ** 32);
    yield g.store(this.#base + base + 4, Math.floor(address / 2 ** 32));
    yield g.store(this.#base + size, RING_LOG2);
  }

  /** Puts a command into the ring and rings the doorbell: its tag. The caller keeps fewer outstanding than the ring has entries. */
  *submit(g: Guest, command: ToeCommand): Routine<number> {
    const entry = new Uint8Array(ENTRY);
    const view = new DataView(entry.buffer);
    const buffer = this.#buffer + this.#dma;
    this.#tag = (this.#tag + 1) >>> 0;
    view.setUint8(0, command.opcode);
    view.setUint8(1, command.flags ?? 0);
    view.setUint32(4, this.#tag, true);
    view.setUint32(8, command.socket ?? 0, true);
    view.setUint32(12, command.length ?? 0, true);
    view.setUint32(16, buffer % 2 ** 32, true);
    view.setUint32(20, Math.floor(buffer / 2 ** 32), true);
    view.setUint32(24, command.arg0 ?? 0, true);
    view.setUint32(28, command.arg1 ?? 0, true);
    if (command.address !== undefined) {
      view.setUint16(42, 0xffff);
      view.setUint32(44, command.address);
    }
    view.setUint16(48, command.port ?? 0, true);
    yield g.write(this.#sq + ENTRY * this.#tail, entry);
    this.#tail = (this.#tail + 1) % ENTRIES;
    yield g.store(this.#base + SQ_TAIL, this.#tail);
    return this.#tag;
  }

  /** Waits for the completion of a command. */
  *completion(g: Guest, tag: number): Routine<ToeCompletion> {
    for (;;) {
      const at = this.#early.findIndex((c) => c.tag === tag);
      if (at >= 0) return this.#early.splice(at, 1)[0] as ToeCompletion;
      if (yield* this.#take(g)) continue;
      g.mask();
      if (!(yield* this.#ready(g))) yield g.wait();
      g.unmask();
      yield g.compute(10);
    }
  }

  *call(g: Guest, command: ToeCommand): Routine<ToeCompletion> {
    return yield* this.completion(g, yield* this.submit(g, command));
  }

  *#ready(g: Guest): Routine<boolean> {
    return ((yield g.load(this.#cq + ENTRY * this.#head + ENTRY - 1, 1)) & 1) === this.#phase;
  }

  *#take(g: Guest): Routine<boolean> {
    if (!(yield* this.#ready(g))) return false;
    const entry = new Uint8Array(ENTRY);
    yield g.read(this.#cq + ENTRY * this.#head, entry);
    const view = new DataView(entry.buffer);
    this.#early.push({
      tag: view.getUint32(8, true),
      socket: view.getUint32(12, true),
      result: view.getUint32(16, true),
      flags: view.getUint8(61),
      status: view.getUint8(62),
    });
    this.#head = (this.#head + 1) % ENTRIES;
    if (this.#head === 0) this.#phase ^= 1;
    yield g.store(this.#base + CQ_HEAD, this.#head);
    return true;
  }

  /** What the interrupt routine does for this interface (15, "Interrupt"): the waiting routine reads the ring. */
  *interrupt(g: Guest): Routine {
    yield g.store(this.#base + INTERRUPT_STATUS, yield g.load(this.#base + INTERRUPT_STATUS));
  }

  // --- sockets

  /** A TCP socket connected to `address`:`port`, or -1. */
  *connect(g: Guest, address: number, port: number): Routine<number> {
    const { socket } = yield* this.call(g, { opcode: TOE_COMMAND.SOCKET, arg0: TCP, arg1: IPV4 });
    const { status } = yield* this.call(g, { opcode: TOE_COMMAND.CONNECT, socket, address, port });
    return status === 0 ? socket : -1;
  }

  /** A TCP socket that listens on `port`, or -1. */
  *listen(g: Guest, port: number, backlog = 16): Routine<number> {
    const { socket } = yield* this.call(g, { opcode: TOE_COMMAND.SOCKET, arg0: TCP, arg1: IPV4 });
    const bound = yield* this.call(g, { opcode: TOE_COMMAND.BIND, socket, port });
    const { status } = yield* this.call(g, { opcode: TOE_COMMAND.LISTEN, socket, arg0: backlog });
    return bound.status === 0 && status === 0 ? socket : -1;
  }

  *accept(g: Guest, listener: number): Routine<number> {
    const { status, socket } = yield* this.call(g, { opcode: TOE_COMMAND.ACCEPT, socket: listener });
    return status === 0 ? socket : -1;
  }

  /** Sends at most `TOE_BUFFER` bytes: how many, or -1. */
  *send(g: Guest, socket: number, data: Uint8Array): Routine<number> {
    const length = Math.min(data.length, TOE_BUFFER);
    yield g.write(this.#buffer, data.subarray(0, length));
    const { status, result } = yield* this.call(g, { opcode: TOE_COMMAND.SEND, socket, length });
    return status === 0 ? result : -1;
  }

  /** Fills `into` (with `all` to its end): bytes received, 0 at the end of the stream, -1 for an error. */
  *receive(g: Guest, socket: number, into: Uint8Array, all = false): Routine<number> {
    const length = Math.min(into.length, TOE_BUFFER);
    const flags = all ? ALL : 0;
    const c = yield* this.call(g, { opcode: TOE_COMMAND.RECEIVE, flags, socket, length });
    if (c.status !== 0) return (c.flags & END) !== 0 ? 0 : -1;
    if (c.result > 0) yield g.read(this.#buffer, into.subarray(0, c.result));
    return c.result;
  }

  *close(g: Guest, socket: number): Routine {
    yield* this.call(g, { opcode: TOE_COMMAND.CLOSE, socket });
  }
}
