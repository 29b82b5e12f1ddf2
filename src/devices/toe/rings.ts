/**
 * The four rings of an interface (manual 6, 8 to 10): commands come in, completions and events go out, pool buffers are taken.
 * Completions wait here for their time and for room; events of a socket that wait are merged. After each access to memory the interface may have
 * been stopped (a ring may lie on the device's own registers): `generation` tells.
 */
import { assignState, NEVER, type StatePart, type StateValue, type Time } from "../../sim/index.ts";
import { CAUSE, COUNTER, IRQ, STATUS } from "./codes.ts";
import {
  COMMAND_BYTES,
  COMPLETION_BYTES,
  type Command,
  type Completion,
  decodeCommand,
  EVENT_BYTES,
  encodeCompletion,
  loadCompletion,
  POOL_BYTES,
  saveCompletion,
} from "./command.ts";
import type { InterfaceFrame } from "./frame.ts";
import { Fifo } from "./queues.ts";

const TWO32 = 4294967296;
const LIMIT = 2 ** 48;

export interface PoolBuffer {
  readonly address: number;
  readonly length: number;
  readonly id: number;
}

type RingName = "SQ" | "CQ" | "EQ" | "RP";

export class Rings implements StatePart {
  readonly #of: InterfaceFrame;
  /** Bases and entries as latched when the interface was enabled; 0 entries for no ring. */
  readonly #c = {
    SQ: 0,
    CQ: 0,
    EQ: 0,
    RP: 0,
    sqEntries: 0,
    cqEntries: 0,
    eqEntries: 0,
    rpEntries: 0,
    cqPhase: 1,
    eqPhase: 1,
    poolFaulty: false,
  };
  /** Completions in the order in which they will be written. */
  readonly #held = new Fifo<Completion>();
  /** Events that wait, by socket: bits and status. */
  readonly #events = new Map<number, { bits: number; status: number }>();
  readonly #entry = new Uint8Array(COMMAND_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #completion = new Uint8Array(COMPLETION_BYTES);
  readonly #completionView = new DataView(this.#completion.buffer);
  readonly #event = new Uint8Array(EVENT_BYTES);
  readonly #eventView = new DataView(this.#event.buffer);
  readonly #pool = new Uint8Array(POOL_BYTES);
  readonly #poolView = new DataView(this.#pool.buffer);
  readonly #zero = new Uint8Array(16);
  /** The registers, and where the indices of the rings are among them. */
  readonly #values: Int32Array;
  readonly #sqHead: number;
  readonly #sqTail: number;
  readonly #cqHead: number;
  readonly #cqTail: number;
  readonly #eqHead: number;
  readonly #eqTail: number;

  constructor(of: InterfaceFrame) {
    this.#of = of;
    const { slot, values } = of.bank;
    this.#values = values;
    this.#sqHead = slot.SQ_HEAD;
    this.#sqTail = slot.SQ_TAIL;
    this.#cqHead = slot.CQ_HEAD;
    this.#cqTail = slot.CQ_TAIL;
    this.#eqHead = slot.EQ_HEAD;
    this.#eqTail = slot.EQ_TAIL;
  }

  /** Latches bases and sizes, and sets heads and tails to 0. False where a ring is not usable. */
  start(): boolean {
    const { bank } = this.#of;
    const c = this.#c;
    const entries = (name: RingName) => {
      const log = this.#of.reg(`${name}_SIZE`) & 15;
      return log === 0 ? 0 : 1 << log;
    };
    const base = (name: RingName) => {
      const slot = bank.slot[`${name}_BASE`];
      return ((bank.values[slot + 1] as number) & 0xffff) * TWO32 + ((bank.values[slot] as number) >>> 0);
    };
    for (const name of ["SQ", "CQ", "EQ", "RP"] as const) c[name] = base(name);
    c.sqEntries = entries("SQ");
    c.cqEntries = entries("CQ");
    c.eqEntries = entries("EQ");
    c.rpEntries = entries("RP");
    c.cqPhase = 1;
    c.eqPhase = 1;
    c.poolFaulty = false;
    for (const name of [
      "SQ_TAIL",
      "SQ_HEAD",
      "CQ_TAIL",
      "CQ_HEAD",
      "EQ_TAIL",
      "EQ_HEAD",
      "RP_TAIL",
      "RP_HEAD",
    ] as const)
      this.#of.setReg(name, 0);
    const good = (address: number, n: number, bytes: number) =>
      n === 0 || (address > 0 && address + n * bytes <= LIMIT);
    return (
      c.sqEntries > 0 &&
      c.cqEntries > 0 &&
      good(c.SQ, c.sqEntries, COMMAND_BYTES) &&
      good(c.CQ, c.cqEntries, COMPLETION_BYTES) &&
      good(c.EQ, c.eqEntries, EVENT_BYTES) &&
      good(c.RP, c.rpEntries, POOL_BYTES)
    );
  }

  /** Entries of a ring, for checking a doorbell. */
  entries(ring: RingName): number {
    const c = this.#c;
    return ring === "SQ" ? c.sqEntries : ring === "CQ" ? c.cqEntries : ring === "EQ" ? c.eqEntries : c.rpEntries;
  }

  /** Forgets all that waits. */
  clear(): void {
    this.#held.clear();
    this.#events.clear();
  }

  /** Completions that hold a place among the outstanding commands. */
  get heldFinal(): number {
    let n = 0;
    for (let i = 0; i < this.#held.length; i++) if (((this.#held.at(i)?.flags ?? 1) & 1) === 0) n++;
    return n;
  }
  get held(): number {
    return this.#held.length;
  }

  // Submission.

  /** The next command, or null: none, or the ring cannot be read (the interface has failed then). */
  fetch(id: number): Command | null {
    const of = this.#of;
    const c = this.#c;
    const values = this.#values;
    const head = values[this.#sqHead] as number;
    if (head === values[this.#sqTail]) return null;
    const address = c.SQ + head * COMMAND_BYTES;
    const { generation } = of;
    if (!of.port.readBlock(address, this.#entry)) {
      of.fail(CAUSE.SUBMISSION, address);
      return null;
    }
    if (of.generation !== generation) return null;
    values[this.#sqHead] = (head + 1) & (c.sqEntries - 1);
    of.count(COUNTER.FETCHED, 1);
    return decodeCommand(this.#entryView, id, this.#zero);
  }

  // Completion.

  /** A completion that is to be written at `ready` or later, behind those before it. */
  hold(completion: Completion): void {
    const last = this.#held.at(this.#held.length - 1);
    if (last !== undefined && last.ready > completion.ready) completion.ready = last.ready;
    this.#held.push(completion);
  }

  /** When the first one is due; NEVER where none waits or there is no room. */
  get due(): Time {
    const first = this.#held.at(0);
    return first === undefined || this.#completionsFull ? NEVER : first.ready;
  }

  /** Writes what is due, or, with `all`, as much as there is room for. */
  flush(now: Time, all = false): void {
    const of = this.#of;
    const { generation } = of;
    const c = this.#c;
    const values = this.#values;
    const held = this.#held;
    for (let completion = held.at(0); completion !== undefined; completion = held.at(0)) {
      if ((!all && completion.ready > now) || this.#completionsFull) return;
      const tail = values[this.#cqTail] as number;
      const address = c.CQ + tail * COMPLETION_BYTES;
      held.shift();
      encodeCompletion(completion, values[this.#sqHead] as number, c.cqPhase, this.#completionView);
      const good = of.port.writeBlock(address, this.#completion);
      if (of.generation !== generation) return;
      if (!good) {
        of.fail(CAUSE.COMPLETION, address);
        return;
      }
      if (tail + 1 === c.cqEntries) c.cqPhase ^= 1;
      values[this.#cqTail] = (tail + 1) & (c.cqEntries - 1);
      of.count(COUNTER.COMPLETED, 1);
      if (completion.status > STATUS.WOULD_BLOCK) of.count(COUNTER.ERRORS, 1);
      of.interrupts.happened(IRQ.COMPLETION);
    }
  }
  get #completionsFull(): boolean {
    const values = this.#values;
    const mask = this.#c.cqEntries - 1;
    return mask <= 0 || (((values[this.#cqTail] as number) + 1) & mask) === values[this.#cqHead];
  }

  // Events.

  addEvent(socket: number, bits: number, status: number): void {
    if (this.#c.eqEntries === 0) return;
    const waiting = this.#events.get(socket);
    if (waiting === undefined) this.#events.set(socket, { bits, status });
    else {
      waiting.bits |= bits;
      if (status !== 0) waiting.status = status;
    }
  }
  /** A socket is gone, and with it events that wait. */
  dropEvents(socket: number): void {
    this.#events.delete(socket);
  }

  flushEvents(): void {
    const of = this.#of;
    const c = this.#c;
    const { generation } = of;
    if (this.#events.size === 0) return;
    const values = this.#values;
    const view = this.#eventView;
    for (const [socket, { bits, status }] of this.#events) {
      const tail = values[this.#eqTail] as number;
      const mask = c.eqEntries - 1;
      if (mask <= 0 || ((tail + 1) & mask) === values[this.#eqHead]) return;
      this.#events.delete(socket);
      const address = c.EQ + tail * EVENT_BYTES;
      this.#event.fill(0);
      view.setUint32(0, socket, true);
      view.setUint32(4, bits, true);
      this.#event[8] = status;
      this.#event[15] = c.eqPhase;
      const good = of.port.writeBlock(address, this.#event);
      if (of.generation !== generation) return;
      if (!good) {
        of.fail(CAUSE.EVENT, address);
        return;
      }
      if (tail + 1 === c.eqEntries) c.eqPhase ^= 1;
      values[this.#eqTail] = (tail + 1) & mask;
      of.count(COUNTER.EVENTS, 1);
      of.interrupts.happened(IRQ.EVENT);
    }
  }

  // Pool.

  get hasPool(): boolean {
    return this.#c.rpEntries > 0;
  }
  poolRung(): void {
    this.#c.poolFaulty = false;
  }

  /** The buffer that would be taken next; null for none. Empty ones are passed over. */
  peekPool(): PoolBuffer | null {
    const of = this.#of;
    const c = this.#c;
    const { generation } = of;
    while (!c.poolFaulty && c.rpEntries > 0 && of.reg("RP_HEAD") !== of.reg("RP_TAIL")) {
      const head = of.reg("RP_HEAD");
      const address = c.RP + head * POOL_BYTES;
      const good = of.port.readBlock(address, this.#pool);
      if (of.generation !== generation) return null;
      if (!good) {
        c.poolFaulty = true;
        of.error(CAUSE.POOL, address);
        return null;
      }
      const view = this.#poolView;
      const high = view.getUint32(4, true);
      const length = view.getUint32(8, true);
      const at = high >= 0x1_0000 ? LIMIT : high * TWO32 + view.getUint32(0, true);
      if (length > 0) return { address: at, length, id: view.getUint32(12, true) };
      this.takePool();
    }
    return null;
  }

  /** Takes the buffer that `peekPool` gave. */
  takePool(): void {
    const of = this.#of;
    const mask = this.#c.rpEntries - 1;
    const head = (of.reg("RP_HEAD") + 1) & mask;
    of.setReg("RP_HEAD", head);
    of.count(COUNTER.POOL_BUFFERS, 1);
    if (((of.reg("RP_TAIL") - head) & mask) <= of.reg("POOL_LOW")) of.interrupts.set(IRQ.POOL);
  }

  save(): StateValue {
    return {
      ...this.#c,
      held: this.#held.toArray().map(saveCompletion),
      events: [...this.#events].flatMap(([socket, e]) => [socket, e.bits, e.status]),
    };
  }
  load(value: StateValue, path: string): void {
    const { held, events, ...rest } = value as { [name: string]: StateValue };
    assignState(this.#c, rest, path);
    this.clear();
    if (Array.isArray(held)) this.#held.set(held.map((c: StateValue, i) => loadCompletion(c, `${path}.held[${i}]`)));
    const flat = Array.isArray(events) ? (events as number[]) : [];
    for (let i = 0; i + 2 < flat.length; i += 3) {
      this.#events.set(flat[i] as number, { bits: flat[i + 1] as number, status: flat[i + 2] as number });
    }
  }
  reset(): void {
    const c = this.#c;
    c.sqEntries = 0;
    c.cqEntries = 0;
    c.eqEntries = 0;
    c.rpEntries = 0;
    for (const name of ["SQ", "CQ", "EQ", "RP"] as const) c[name] = 0;
    c.cqPhase = 1;
    c.eqPhase = 1;
    c.poolFaulty = false;
    this.clear();
  }
}
