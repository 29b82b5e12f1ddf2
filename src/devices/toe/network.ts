/**
 * The network port (docs/devices/toe.md 13.4, 13.5): frames to and from the wire, between interfaces, VLAN tags, rate limits; one frame at a time
 * each way, at the line's rate and the engine's pace.
 */
import type { Frame } from "../../net/index.ts";
import { type Event, NEVER, NS, SnapshotError, type StatePart, type StateValue, type Time } from "../../sim/index.ts";
import { COUNTER, DEVICE_COUNTER } from "./codes.ts";
import { Dispatcher } from "./dispatcher/index.ts";
import type { ControlInterface } from "./interface.ts";
import { Fifo } from "./queues.ts";
import type { ToeCore } from "./toe.ts";

/** Bytes on the wire beside the frame: preamble 8, check sequence 4, gap 12. */
const OVERHEAD = 24;
const SHORTEST = 60;
const QUANTUM = 16 * 1024;
const TAG = 0x8100;
const BURST_MIN = 16 * 1024;
/** Ticks of a bit at 1 Mb/s. */
const TICKS_PER_BIT = 10_000;

/** Frames of one interface that wait. */
class FrameQueue {
  readonly frames = new Fifo<Frame>();
  bytes = 0;
}

interface Arrived {
  readonly number: number;
  readonly frame: Frame;
}

export class NetworkPort implements StatePart {
  readonly #core: ToeCore;
  /** Towards the wire, by interface, and who is next. */
  readonly #out: readonly FrameQueue[];
  readonly #order: Dispatcher;
  /** When the rate limit of an interface allows the next frame, less its burst. */
  readonly #limits: Float64Array;
  #sending: Frame | null = null;
  /** From the wire and from other interfaces, in order of arrival. */
  readonly #in = new Fifo<Arrived>();
  readonly #inBytes: Float64Array;
  #busy = false;
  readonly #c: { carrier: boolean };
  readonly #transmit: Event;
  readonly #limit: Event;
  readonly #receive: Event;
  /** Where frames to the wire go; dropped while null. */
  onTransmit: ((frame: Frame) => void) | null = null;

  constructor(core: ToeCore) {
    this.#core = core;
    const n = core.count;
    this.#out = Array.from({ length: n }, () => new FrameQueue());
    this.#order = new Dispatcher(n);
    this.#order.setQuantum(QUANTUM);
    this.#limits = new Float64Array(n);
    this.#inBytes = new Float64Array(n);
    this.#c = core.cells({ carrier: true }, "carrier");
    this.#transmit = core.event("transmit", () => this.#sent());
    this.#limit = core.event("rateLimit", () => this.#limitOver());
    this.#receive = core.event("receive", () => this.#received());
  }

  get carrier(): boolean {
    return this.#c.carrier;
  }
  setCarrier(present: boolean): void {
    if (present === this.#c.carrier) return;
    this.#c.carrier = present;
    this.#core.linkChanged();
    if (present) this.#pump();
  }

  /** Bytes of an interface that wait for the wire. */
  waiting(number: number): number {
    return (this.#out[number] as FrameQueue).bytes;
  }
  setWeight(number: number, weight: number): void {
    this.#order.setWeight(number, weight);
  }

  /** A rate was changed. */
  kick(): void {
    this.#pump();
  }

  // From the interfaces.

  /** A frame of an interface's stack, untagged. False where there is no room. */
  transmit(number: number, frame: Frame): boolean {
    const core = this.#core;
    const from = core.interfaces[number] as ControlInterface;
    if (frame.length < 14 || !from.running) return false;
    if (this.waiting(number) + frame.length > core.management("TRANSMIT_MEMORY")) {
      from.count(COUNTER.TRANSMIT_DROPS, 1);
      return false;
    }
    from.count(COUNTER.SENT, 1);
    from.count(COUNTER.SENT_BYTES, frame.length);
    const vlan = core.management("IF_VLAN", number);
    const group = isGroup(frame);
    const local = this.#deliver(frame, vlan, from);
    if (!group && local) return true;
    this.#enqueue(number, vlan === 0 ? padded(frame) : tagged(frame, vlan));
    return true;
  }

  #enqueue(number: number, frame: Frame): void {
    const queue = this.#out[number] as FrameQueue;
    queue.frames.push(frame);
    queue.bytes += frame.length;
    this.#order.enqueue(number, frame.length);
    this.#core.pressure(number);
    this.#pump();
  }

  /** Starts the next frame, if the wire is free. */
  #pump(): void {
    if (this.#sending !== null || !this.#c.carrier) return;
    const core = this.#core;
    const { now } = core.simulation;
    for (;;) {
      const number = this.#next(now);
      if (number < 0) return;
      const queue = this.#out[number] as FrameQueue;
      const frame = queue.frames.shift() as Frame;
      queue.bytes -= frame.length;
      core.pressure(number);
      this.#charge(number, frame, now);
      const rate = core.management("LINE_RATE");
      const time = Math.max(bitTime(wireBytes(frame), rate), core.management("SEGMENT_TIME") * NS);
      if (time > 0) {
        this.#sending = frame;
        this.#transmit.scheduleAt(now + time);
        return;
      }
      this.#toWire(frame);
    }
  }

  /** The interface that sends next; those over their rate limit are put aside until it allows. */
  #next(now: Time): number {
    const core = this.#core;
    let wake = NEVER;
    for (let n = 0; n < core.count; n++) {
      const rate = core.management("IF_RATE", n);
      const from = rate === 0 ? 0 : (this.#limits[n] as number) - bitTime(this.#burst(n), rate);
      this.#order.setReady(n, from <= now);
      if (from > now && this.#order.length(n) > 0) wake = Math.min(wake, from);
    }
    if (wake !== NEVER) this.#limit.scheduleAt(Math.ceil(wake));
    return this.#order.next();
  }

  #burst(number: number): number {
    return Math.max(BURST_MIN, this.#core.management("IF_BURST", number));
  }

  #charge(number: number, frame: Frame, now: Time): void {
    const rate = this.#core.management("IF_RATE", number);
    if (rate === 0) return;
    this.#limits[number] = Math.max(this.#limits[number] as number, now) + bitTime(wireBytes(frame), rate);
  }

  #limitOver(): void {
    this.#pump();
  }

  #sent(): void {
    const frame = this.#sending;
    this.#sending = null;
    if (frame !== null) this.#toWire(frame);
    this.#pump();
  }

  #toWire(frame: Frame): void {
    this.#core.countPort(DEVICE_COUNTER.SENT, 1);
    this.#core.countPort(DEVICE_COUNTER.SENT_BYTES, frame.length);
    this.onTransmit?.(frame);
  }

  // To the interfaces.

  /** A frame from the wire. */
  receive(given: Frame): void {
    const core = this.#core;
    if (!this.#c.carrier) return;
    core.countPort(DEVICE_COUNTER.RECEIVED, 1);
    core.countPort(DEVICE_COUNTER.RECEIVED_BYTES, given.length);
    if (given.length < 14) {
      core.countPort(DEVICE_COUNTER.SHORT, 1);
      return;
    }
    let frame = given;
    let vlan = 0;
    if (typeOf(given) === TAG && given.length >= 18) {
      vlan = (((given[14] as number) << 8) | (given[15] as number)) & 0xfff;
      frame = new Uint8Array(given.length - 4);
      frame.set(given.subarray(0, 12));
      frame.set(given.subarray(16), 12);
    }
    if (!this.#deliver(frame, vlan, null)) core.countPort(DEVICE_COUNTER.UNKNOWN, 1);
  }

  /** To the interfaces that it is for; `from` is the sender among them, or null for the wire. True where there was one. */
  #deliver(frame: Frame, vlan: number, from: ControlInterface | null): boolean {
    const core = this.#core;
    const group = isGroup(frame);
    let found = false;
    for (const to of core.interfaces) {
      if (to === from || !to.granted || core.management("IF_VLAN", to.number) !== vlan) continue;
      if (!group && !core.hasMac(to.number, frame)) continue;
      found = true;
      if (from !== null) {
        if (!core.mayReach(from.number, to.number)) {
          from.count(COUNTER.FILTERED, 1);
          if (group) continue;
          return true;
        }
        from.count(COUNTER.TO_PEERS, 1);
        to.count(COUNTER.FROM_PEERS, 1);
      }
      this.#arrive(to, frame);
      if (!group) return true;
    }
    return found;
  }

  #arrive(to: ControlInterface, frame: Frame): void {
    const bytes = (this.#inBytes[to.number] as number) + frame.length;
    if (bytes > this.#core.management("RECEIVE_MEMORY")) {
      to.count(COUNTER.RECEIVE_DROPS, 1);
      return;
    }
    this.#inBytes[to.number] = bytes;
    this.#in.push({ number: to.number, frame });
    this.#listen();
  }

  #listen(): void {
    if (this.#busy || this.#in.length === 0) return;
    this.#busy = true;
    // Never without time: interfaces that answer each other must not stop the clock.
    const time = Math.max(1, this.#core.management("SEGMENT_TIME")) * NS;
    this.#receive.scheduleAt(this.#core.simulation.now + time);
  }

  #received(): void {
    this.#busy = false;
    const arrived = this.#in.shift();
    if (arrived === undefined) return;
    const { number, frame } = arrived;
    this.#inBytes[number] = (this.#inBytes[number] as number) - frame.length;
    (this.#core.interfaces[number] as ControlInterface).receive(frame);
    this.#listen();
  }

  /** Frames of an interface that wait are dropped; one on the wire is not called back. */
  drop(number: number): void {
    const queue = this.#out[number] as FrameQueue;
    queue.frames.clear();
    queue.bytes = 0;
    this.#order.clear(number);
    this.#limits[number] = 0;
    this.#in.set(this.#in.toArray().filter((a) => a.number !== number));
    this.#inBytes[number] = 0;
  }

  // State.

  save(): StateValue {
    return {
      out: this.#out.map((q) => q.frames.toArray().map((f) => f.slice())),
      order: this.#order.save(),
      limits: this.#limits.slice(),
      sending: this.#sending?.slice() ?? null,
      in: this.#in.toArray().map(({ number, frame }) => ({ number, frame: frame.slice() })),
      busy: this.#busy,
    };
  }
  load(value: StateValue, path: string): void {
    const v = value as { [name: string]: StateValue };
    this.#order.load(v["order"] ?? null, `${path}.order`);
    const { limits, sending, out, in: arrived } = v;
    if (!(limits instanceof Float64Array) || limits.length !== this.#limits.length || !Array.isArray(out)) {
      throw new SnapshotError(`${path}: expected queues for ${this.#limits.length} interfaces`);
    }
    this.#limits.set(limits);
    this.#out.forEach((queue, n) => {
      const frames = (out as StateValue[])[n];
      queue.frames.set(Array.isArray(frames) ? (frames as Uint8Array[]).map((f) => f.slice()) : []);
      queue.bytes = queue.frames.toArray().reduce((sum, f) => sum + f.length, 0);
    });
    this.#sending = sending instanceof Uint8Array ? sending.slice() : null;
    this.#busy = v["busy"] === true;
    this.#inBytes.fill(0);
    const list = Array.isArray(arrived) ? (arrived as { number: number; frame: Uint8Array }[]) : [];
    this.#in.set(list.map(({ number, frame }) => ({ number, frame: frame.slice() })));
    for (const a of list) this.#inBytes[a.number] = (this.#inBytes[a.number] as number) + a.frame.length;
  }
  reset(): void {
    for (let n = 0; n < this.#core.count; n++) this.drop(n);
    this.#order.reset();
    this.#order.setQuantum(QUANTUM);
    this.#sending = null;
    this.#busy = false;
    this.#transmit.cancel();
    this.#limit.cancel();
    this.#receive.cancel();
  }
}

function isGroup(frame: Frame): boolean {
  return ((frame[0] as number) & 1) !== 0;
}
function typeOf(frame: Frame): number {
  return ((frame[12] as number) << 8) | (frame[13] as number);
}
function wireBytes(frame: Frame): number {
  return Math.max(frame.length, SHORTEST) + OVERHEAD;
}

/** Ticks that `bytes` take at `rate` Mb/s; 0 at rate 0. */
export function bitTime(bytes: number, rate: number): Time {
  return rate === 0 ? 0 : Math.ceil((bytes * 8 * TICKS_PER_BIT) / rate);
}

function padded(frame: Frame): Frame {
  if (frame.length >= SHORTEST) return frame;
  const out = new Uint8Array(SHORTEST);
  out.set(frame);
  return out;
}

function tagged(frame: Frame, vlan: number): Frame {
  const out = new Uint8Array(Math.max(SHORTEST, frame.length + 4));
  out.set(frame.subarray(0, 12));
  out[12] = TAG >>> 8;
  out[13] = TAG & 0xff;
  out[14] = vlan >>> 8;
  out[15] = vlan & 0xff;
  out.set(frame.subarray(12), 16);
  return out;
}
