/**
 * A traffic generator and a sink. Frames of the generator bear the EtherType of local experiments (IEEE 802: 0x88B5), a mark, a sequence number and
 * the instant of sending, so that the sink tells loss, duplication, reordering and latency. Sizes are of the frame without its
 * check sequence. All numbers are state.
 */
import { Cells, type Event, Module, type Random, SEC, type Simulation, type Time } from "../sim/index.ts";
import { get32, put16, put32 } from "./bytes.ts";
import type { Frame } from "./link.ts";
import type { NetworkDevice } from "./user-link.ts";

export type FrameSizes =
  | number
  /** Uniform, both ends included. */
  | { readonly from: number; readonly to: number }
  /** The simple mix of the Internet: seven frames of 60 bytes, four of 590, one of 1514. */
  | "imix";

export interface TrafficOptions {
  /** Bits a second, with preamble, check sequence and gap; 0 for frames at `interval`s only. 1 Gb/s unless given. */
  readonly load?: number;
  /** 60 unless given; at least 34, at most 65,535. */
  readonly size?: FrameSizes;
  /** Frames in all; 0, the default, for no end. */
  readonly count?: number;
  /** Frames sent at one instant; the load holds over bursts. 1 unless given. */
  readonly burst?: number;
  /** When the first burst is sent; at once unless given. */
  readonly start?: Time;
  /** Six bytes each. The destination is the broadcast address unless given. */
  readonly source?: Uint8Array;
  readonly destination?: Uint8Array;
}

export const TRAFFIC_SHORTEST = 34;
const LONGEST = 65_535;
const ETHERTYPE = 0x88b5;
/** "ARTG". */
const MARK = 0x41525447;
const OVERHEAD = 24;
const SHORTEST_WIRE = 60;
const IMIX: readonly number[] = [60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514];
/** How far behind the latest a frame may be to be told from a duplicate. */
const WINDOW = 4096;
/** Latencies from 2^n to 2^(n+1) - 1 nanoseconds each. */
const BUCKETS = 40;

/** Takes frames and counts them; those of a generator with all that their marks tell. */
export class TrafficSink extends Module implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly counts: {
    received: number;
    bytes: number;
    /** Frames of others. */
    foreign: number;
    duplicated: number;
    /** Frames that came behind a later one. */
    reordered: number;
    /** Frames so late that nobody can tell whether they came before. */
    stale: number;
    /** One more than the largest sequence number seen. */
    next: number;
    /** Different sequence numbers seen. */
    unique: number;
    latencyMinimum: number;
    latencyMaximum: number;
    latencySum: number;
  };
  /** Frames whose latency was 2^n to 2^(n+1) - 1 ns; the first bucket takes 0 too. */
  readonly latencies: Uint32Array;
  readonly #seen: Uint8Array;

  constructor(parent: Module | Simulation, name: string) {
    super(parent, name);
    this.counts = this.state({
      received: 0,
      bytes: 0,
      foreign: 0,
      duplicated: 0,
      reordered: 0,
      stale: 0,
      next: 0,
      unique: 0,
      latencyMinimum: 0,
      latencyMaximum: 0,
      latencySum: 0,
    });
    this.latencies = this.part("latencies", new Cells({ buckets: new Uint32Array(BUCKETS) })).cells.buckets;
    this.#seen = this.part("window", new Cells({ seen: new Uint8Array(WINDOW) })).cells.seen;
  }

  /** Frames with smaller numbers than the largest that have not come. */
  get missing(): number {
    return this.counts.next - this.counts.unique;
  }

  receive(frame: Frame): void {
    const c = this.counts;
    c.received++;
    c.bytes += frame.length;
    if (frame.length < TRAFFIC_SHORTEST || get32(frame, 14) !== MARK) {
      c.foreign++;
      return;
    }
    this.#sequence(get32(frame, 18));
    this.#latency(this.simulation.now - (get32(frame, 22) * 4_294_967_296 + get32(frame, 26)));
  }

  #sequence(n: number): void {
    const c = this.counts;
    const seen = this.#seen;
    if (n >= c.next) {
      // Numbers passed over have not been seen.
      for (let i = Math.max(c.next, n - WINDOW); i < n; i++) seen[i % WINDOW] = 0;
      c.next = n + 1;
    } else if (n < c.next - WINDOW) {
      c.stale++;
      return;
    } else if (seen[n % WINDOW] === 1) {
      c.duplicated++;
      return;
    } else c.reordered++;
    seen[n % WINDOW] = 1;
    c.unique++;
  }

  #latency(ticks: Time): void {
    const c = this.counts;
    // A corrupted time tells nothing.
    if (!(ticks >= 0 && ticks <= this.simulation.now)) return;
    const first = c.latencySum === 0 && c.latencyMaximum === 0 && c.latencyMinimum === 0;
    if (first || ticks < c.latencyMinimum) c.latencyMinimum = ticks;
    if (ticks > c.latencyMaximum) c.latencyMaximum = ticks;
    c.latencySum += ticks;
    const nanoseconds = Math.floor(ticks / 10);
    const bucket = nanoseconds < 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(nanoseconds)));
    this.latencies[bucket] = (this.latencies[bucket] as number) + 1;
  }

  /** Lines that tell what came. */
  report(): string[] {
    const c = this.counts;
    const marked = c.received - c.foreign;
    const us = (ticks: number) => (ticks / 10_000).toFixed(3);
    const mean = marked === 0 ? 0 : c.latencySum / marked;
    return [
      `received ${c.received} frames, ${c.bytes} bytes; ${c.foreign} of others`,
      ...(marked === 0
        ? []
        : [
            `missing ${this.missing}, duplicated ${c.duplicated}, reordered ${c.reordered}, stale ${c.stale}`,
            `latency in us: ${us(c.latencyMinimum)} to ${us(c.latencyMaximum)}, mean ${us(mean)}`,
          ]),
    ];
  }
}

/** Sends frames at a load; what comes back goes into its sink. */
export class TrafficGenerator extends Module implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly sink: TrafficSink;
  readonly sent: { frames: number; bytes: number };
  readonly #options: TrafficOptions;
  readonly #load: number;
  readonly #sizes: Random | null;
  readonly #send: Event;

  /** Throws RangeError for sizes and numbers out of range. */
  constructor(parent: Module | Simulation, name: string, options: TrafficOptions = {}) {
    super(parent, name);
    const { size = SHORTEST_WIRE, burst = 1, load = 1_000_000_000 } = options;
    if (size !== "imix") {
      const { from, to } = typeof size === "number" ? { from: size, to: size } : size;
      if (!(from >= TRAFFIC_SHORTEST && from <= to && to <= LONGEST)) {
        throw new RangeError(`size ${from} to ${to}: expected ${TRAFFIC_SHORTEST} to ${LONGEST} bytes`);
      }
    }
    if (!(burst >= 1) || !(load > 0)) throw new RangeError("burst and load: expected more than 0");
    this.#options = options;
    this.#load = load;
    this.sink = new TrafficSink(this, "sink");
    this.sent = this.state({ frames: 0, bytes: 0 });
    this.#sizes = typeof size === "number" ? null : this.simulation.random(this, "sizes");
    this.#send = this.event("send", () => this.#burst());
  }

  protected override onReset(): void {
    this.#send.scheduleAt(this.simulation.now + (this.#options.start ?? 0));
  }

  receive(frame: Frame): void {
    this.sink.receive(frame);
  }

  #burst(): void {
    const { burst = 1, count = 0 } = this.#options;
    let bits = 0;
    for (let i = 0; i < burst; i++) {
      if (count > 0 && this.sent.frames >= count) return;
      const frame = this.#frame();
      bits += 8 * (Math.max(frame.length, SHORTEST_WIRE) + OVERHEAD);
      this.sent.frames++;
      this.sent.bytes += frame.length;
      this.onTransmit?.(frame);
    }
    this.#send.notify(Math.max(1, Math.round((bits * SEC) / this.#load)));
  }

  #frame(): Frame {
    const frame = new Uint8Array(this.#size());
    frame.set(this.#options.destination ?? BROADCAST);
    frame.set(this.#options.source ?? SOURCE, 6);
    put16(frame, 12, ETHERTYPE);
    put32(frame, 14, MARK);
    put32(frame, 18, this.sent.frames);
    const { now } = this.simulation;
    put32(frame, 22, Math.floor(now / 4_294_967_296));
    put32(frame, 26, now % 4_294_967_296);
    for (let i = TRAFFIC_SHORTEST; i < frame.length; i++) frame[i] = i;
    return frame;
  }

  #size(): number {
    const { size = SHORTEST_WIRE } = this.#options;
    if (typeof size === "number" || this.#sizes === null) return size as number;
    if (size === "imix") return IMIX[this.#sizes.below(IMIX.length)] as number;
    return size.from + this.#sizes.below(size.to - size.from + 1);
  }
}

const BROADCAST = [255, 255, 255, 255, 255, 255];
/** Locally administered. */
const SOURCE = [0x02, 0, 0, 0x41, 0x52, 0x01];
