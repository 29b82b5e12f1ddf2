/**
 * A point-to-point link between two ends: each frame takes its length at the link's rate, then the propagation delay, and may meet what a bad line does
 * (`impairments.ts`). Frames are never copied and never changed once sent; one that is corrupted is another frame. Frames under way
 * are state and are saved.
 */
import {
  Cells,
  type Event,
  Module,
  SEC,
  type Simulation,
  SnapshotError,
  type StatePart,
  type StateRecord,
  type StateValue,
  type Time,
} from "../sim/index.ts";
import { type Impairments, Line, type LineCounts } from "./impairments.ts";

/** An Ethernet frame from destination address to payload, without preamble and frame check sequence. */
export type Frame = Uint8Array;

/** What stands at an end of a link: a network device, a host, a switch port. */
export interface Station {
  /** A frame arrived, at the current instant. */
  receive(frame: Frame): void;
}

export interface LinkOptions {
  /** Bits per second, or what says them for each frame from its own state; 0, the default, for no serialization delay. */
  readonly rate?: number | (() => number);
  /** Propagation delay; 0 unless given. */
  readonly delay?: Time;
  /** Frames that wait for the transmitter before more are dropped; 1000 unless given. */
  readonly queue?: number;
  /** Frames arrive at multiples of this time only, together with all that would have come since the last; 0, each at its own, unless given. */
  readonly batch?: Time;
  /** What the line does to frames, of either end or of each; nothing unless given. */
  readonly impairments?: Impairments | readonly [fromEnd0: Impairments, fromEnd1: Impairments];
}

/** Bytes on the wire beside the frame: preamble and start delimiter 8, frame check sequence 4, gap 12 (IEEE 802.3). */
const OVERHEAD = 24;
/** Shortest frame without its check sequence. */
const SHORTEST = 60;

interface UnderWay {
  readonly frame: Frame;
  readonly arrival: Time;
}

const NO_COUNTS: LineCounts = {
  sent: 0,
  dropped: 0,
  lost: 0,
  duplicated: 0,
  corrupted: 0,
  reordered: 0,
  received: 0,
};

/** One direction of a link. */
class Direction implements StatePart {
  /** By arrival, then as sent; those before `#first` have arrived. */
  #under: UnderWay[] = [];
  #first = 0;
  /** When the transmitter is free again. */
  free: Time = 0;
  /** Latest arrival of a frame that was not held back: jitter does not let frames overtake. */
  #latest: Time = 0;
  readonly counts: LineCounts;
  readonly #link: Link;
  readonly #arrival: Event;
  readonly #line: Line | null;
  readonly #batch: Time;
  to: Station | null = null;

  constructor(link: Link, name: string, impairments: Impairments | undefined, batch: Time) {
    this.#link = link;
    this.#batch = batch;
    link.part(name, this);
    this.counts = link.part(`${name}Counts`, new Cells({ ...NO_COUNTS })).cells;
    this.#arrival = link.event(`${name}Arrival`, () => this.#arrive());
    this.#line =
      impairments === undefined
        ? null
        : new Line(
            link,
            name,
            impairments,
            this.counts,
            (initial) => link.part(`${name}Burst`, new Cells(initial)).cells,
          );
  }

  get waiting(): number {
    return this.#under.length - this.#first;
  }
  get frames(): Frame[] {
    return this.#under.slice(this.#first).map((u) => u.frame);
  }
  /** When so many frames fewer wait than now. */
  fewerAt(frames: number): Time {
    return this.#under[this.#first + Math.min(frames, this.waiting) - 1]?.arrival ?? 0;
  }

  /** The frame leaves the transmitter at `free` and needs `delay` on the way. */
  travel(frame: Frame, delay: Time): void {
    const line = this.#line;
    if (line === null) {
      this.#insert(frame, this.free + delay);
      return;
    }
    if (line.lost) return;
    this.#latest = Math.max(this.#latest, this.free + delay + line.jitter);
    const held = line.heldBack;
    const arrival = held > 0 ? this.free + delay + held : this.#latest;
    const arriving = line.corrupted(frame);
    this.#insert(arriving, arrival);
    if (line.duplicated) this.#insert(arriving, arrival);
  }

  #insert(frame: Frame, due: Time): void {
    const under = this.#under;
    const arrival = this.#batch === 0 ? due : Math.ceil(due / this.#batch) * this.#batch;
    let at = under.length;
    while (at > this.#first && (under[at - 1] as UnderWay).arrival > arrival) at--;
    if (at === under.length) under.push({ frame, arrival });
    else under.splice(at, 0, { frame, arrival });
    if (at === this.#first) this.#arrival.scheduleAt(arrival);
  }

  #arrive(): void {
    const { now } = this.#link.simulation;
    for (;;) {
      const next = this.#under[this.#first];
      if (next === undefined || next.arrival > now) break;
      this.#first++;
      if (this.#first >= 64 && 2 * this.#first >= this.#under.length) this.#compact();
      this.counts.received++;
      this.to?.receive(next.frame);
    }
    const next = this.#under[this.#first];
    if (next === undefined) this.#compact();
    else this.#arrival.scheduleAt(next.arrival);
  }

  #compact(): void {
    this.#under.splice(0, this.#first);
    this.#first = 0;
  }

  save(): StateValue {
    const frames = this.#under.slice(this.#first).map((u) => ({ frame: u.frame, arrival: u.arrival }));
    return { free: this.free, latest: this.#latest, frames };
  }
  load(value: StateValue, path: string): void {
    const { free, latest, frames } = value as { free?: StateValue; latest?: StateValue; frames?: StateValue };
    if (typeof free !== "number" || typeof latest !== "number" || !Array.isArray(frames))
      throw new SnapshotError(`${path}: expected free, latest and frames`);
    this.free = free;
    this.#latest = latest;
    this.#under = [];
    this.#first = 0;
    for (const item of frames as { frame?: StateValue; arrival?: StateValue }[]) {
      if (!(item.frame instanceof Uint8Array) || typeof item.arrival !== "number") {
        throw new SnapshotError(`${path}.frames: expected a frame and its arrival`);
      }
      this.#under.push({ frame: item.frame.slice(), arrival: item.arrival });
    }
  }
  reset(): void {
    this.#under = [];
    this.#first = 0;
    this.free = 0;
    this.#latest = 0;
  }
}

/** Hears every frame that enters the link: captures. `end` is the sender's, 0 or 1. */
export type LinkTap = (frame: Frame, end: 0 | 1, time: Time) => void;

export class Link extends Module {
  override readonly stateVersion = 2;
  readonly #rate: () => number;
  readonly #delay: Time;
  readonly #limit: number;
  readonly #directions: readonly [Direction, Direction];
  readonly #taps: LinkTap[] = [];

  /** Throws RangeError for impairments out of range. */
  constructor(parent: Module | Simulation, name: string, options: LinkOptions = {}) {
    super(parent, name);
    const { rate = 0 } = options;
    this.#rate = typeof rate === "number" ? () => rate : rate;
    this.#delay = options.delay ?? 0;
    this.#limit = options.queue ?? 1000;
    const { impairments, batch = 0 } = options;
    const [one, other] = isPair(impairments) ? impairments : [impairments, impairments];
    this.#directions = [new Direction(this, "forward", one, batch), new Direction(this, "backward", other, batch)];
  }

  /** Sets the station at an end; it receives what the other end sends. */
  attach(end: 0 | 1, station: Station): void {
    this.#directions[end === 0 ? 1 : 0].to = station;
  }

  tap(tap: LinkTap): void {
    this.#taps.push(tap);
  }

  /** What became of the frames that `end` has sent: sent + duplicated = received + lost + under way. */
  counts(end: 0 | 1): Readonly<LineCounts> {
    return this.#directions[end].counts;
  }
  /** Frames from `end` that have not arrived yet. */
  underWay(end: 0 | 1): number {
    return this.#directions[end].waiting;
  }
  /** Those frames, in the order in which they will arrive; they stay where they are. */
  framesUnderWay(end: 0 | 1): Frame[] {
    return this.#directions[end].frames;
  }
  /** How many frames `end` can send now before one is dropped. */
  room(end: 0 | 1): number {
    return this.#limit - this.#directions[end].waiting;
  }
  /** How long until `end` can send `frames` frames before one is dropped, or until none is under way; 0 for now. */
  roomIn(end: 0 | 1, frames: number): Time {
    const missing = frames - this.room(end);
    const d = this.#directions[end];
    return missing <= 0 || d.waiting === 0 ? 0 : Math.max(1, d.fewerAt(missing) - this.simulation.now);
  }

  /** Sends a frame from `end`. False, and the frame is dropped, where too many wait already. */
  send(end: 0 | 1, frame: Frame): boolean {
    const d = this.#directions[end];
    const now = this.simulation.now;
    if (d.waiting >= this.#limit) {
      d.counts.dropped++;
      return false;
    }
    d.counts.sent++;
    for (const tap of this.#taps) tap(frame, end, now);
    const bits = 8 * (Math.max(frame.length, SHORTEST) + OVERHEAD);
    const start = Math.max(now, d.free);
    const rate = this.#rate();
    d.free = rate === 0 ? start : start + Math.ceil((bits * SEC) / rate);
    d.travel(frame, this.#delay);
    return true;
  }

  /** Version 1 counted both directions together and had no jitter. */
  protected override upgradeState(record: StateRecord, version: number): StateRecord {
    if (version !== 1) return super.upgradeState(record, version);
    const { state: _, ...rest } = record;
    const upgraded: Record<string, StateValue> = { ...rest };
    for (const name of ["forward", "backward"]) {
      upgraded[name] = { ...(rest[name] as { [key: string]: StateValue }), latest: 0 };
      upgraded[`${name}Counts`] = { ...NO_COUNTS };
    }
    return upgraded;
  }
}

function isPair(value: LinkOptions["impairments"]): value is readonly [Impairments, Impairments] {
  return Array.isArray(value);
}
