/**
 * A point-to-point link between two ends: each frame takes its length at the link's rate, then the propagation delay. Frames are
 * never copied and never changed once sent. Frames under way are state and are saved.
 */
import {
  type Event,
  Module,
  SEC,
  type Simulation,
  SnapshotError,
  type StatePart,
  type StateValue,
  type Time,
} from "../sim/index.ts";

/** An Ethernet frame from destination address to payload, without preamble and frame check sequence. */
export type Frame = Uint8Array;

/** What stands at an end of a link: a network device, a host, a switch port. */
export interface Station {
  /** A frame arrived, at the current instant. */
  receive(frame: Frame): void;
}

export interface LinkOptions {
  /** Bits per second; 0, the default, for no serialization delay. */
  readonly rate?: number;
  /** Propagation delay; 0 unless given. */
  readonly delay?: Time;
  /** Frames that wait for the transmitter before more are dropped; 1000 unless given. */
  readonly queue?: number;
}

/** Bytes on the wire beside the frame: preamble and start delimiter 8, frame check sequence 4, gap 12 (IEEE 802.3). */
const OVERHEAD = 24;
/** Shortest frame without its check sequence. */
const SHORTEST = 60;

interface UnderWay {
  readonly frame: Frame;
  readonly arrival: Time;
}

/** One direction of a link. */
class Direction implements StatePart {
  readonly under: UnderWay[] = [];
  /** When the transmitter is free again. */
  free: Time = 0;
  readonly arrival: Event;
  to: Station | null = null;

  constructor(link: Link, name: string) {
    link.part(name, this);
    this.arrival = link.event(`${name}Arrival`, () => this.#arrive(link));
  }
  #arrive(link: Link): void {
    const now = link.simulation.now;
    while (this.under.length > 0 && (this.under[0] as UnderWay).arrival <= now) {
      const { frame } = this.under.shift() as UnderWay;
      this.to?.receive(frame);
    }
    const next = this.under[0];
    if (next) this.arrival.scheduleAt(next.arrival);
  }
  save(): StateValue {
    return { free: this.free, frames: this.under.map((u) => ({ frame: u.frame, arrival: u.arrival })) };
  }
  load(value: StateValue, path: string): void {
    const { free, frames } = value as { free?: StateValue; frames?: StateValue };
    if (typeof free !== "number" || !Array.isArray(frames))
      throw new SnapshotError(`${path}: expected free and frames`);
    this.free = free;
    this.under.length = 0;
    for (const item of frames as { frame?: StateValue; arrival?: StateValue }[]) {
      if (!(item.frame instanceof Uint8Array) || typeof item.arrival !== "number") {
        throw new SnapshotError(`${path}.frames: expected a frame and its arrival`);
      }
      this.under.push({ frame: item.frame.slice(), arrival: item.arrival });
    }
  }
  reset(): void {
    this.under.length = 0;
    this.free = 0;
  }
}

/** Hears every frame that enters the link: captures. `end` is the sender's, 0 or 1. */
export type LinkTap = (frame: Frame, end: 0 | 1, time: Time) => void;

export class Link extends Module {
  readonly #rate: number;
  readonly #delay: Time;
  readonly #limit: number;
  readonly #directions: readonly [Direction, Direction];
  readonly #taps: LinkTap[] = [];
  readonly counts: { sent: number; dropped: number };

  constructor(parent: Module | Simulation, name: string, options: LinkOptions = {}) {
    super(parent, name);
    this.#rate = options.rate ?? 0;
    this.#delay = options.delay ?? 0;
    this.#limit = options.queue ?? 1000;
    this.counts = this.state({ sent: 0, dropped: 0 });
    this.#directions = [new Direction(this, "forward"), new Direction(this, "backward")];
  }

  /** Sets the station at an end; it receives what the other end sends. */
  attach(end: 0 | 1, station: Station): void {
    this.#directions[end === 0 ? 1 : 0].to = station;
  }

  tap(tap: LinkTap): void {
    this.#taps.push(tap);
  }

  /** How many frames `end` can send now before one is dropped. */
  room(end: 0 | 1): number {
    return this.#limit - this.#directions[end].under.length;
  }

  /** Sends a frame from `end`. False, and the frame is dropped, where too many wait already. */
  send(end: 0 | 1, frame: Frame): boolean {
    const d = this.#directions[end];
    const now = this.simulation.now;
    if (d.under.length >= this.#limit) {
      this.counts.dropped++;
      return false;
    }
    this.counts.sent++;
    for (const tap of this.#taps) tap(frame, end, now);
    const bits = 8 * (Math.max(frame.length, SHORTEST) + OVERHEAD);
    const start = Math.max(now, d.free);
    d.free = this.#rate === 0 ? start : start + Math.ceil((bits * SEC) / this.#rate);
    const arrival = d.free + this.#delay;
    d.under.push({ frame, arrival });
    if (!d.arrival.pending) d.arrival.scheduleAt(arrival);
    return true;
  }
}
