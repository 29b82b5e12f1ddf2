/** A station that sends the packets of a capture at their distances in time, and counts what it hears. */
import { type Event, Module, NS, type Simulation, type Time } from "../sim/index.ts";
import type { Frame } from "./link.ts";
import type { NetworkDevice } from "./user-link.ts";

export interface ReplayPacket {
  /** Nanoseconds behind the first packet; never smaller than the one before. */
  readonly time: number;
  readonly data: Uint8Array;
}

export interface ReplayOptions {
  /** When the first packet is sent; at once unless given. */
  readonly start?: Time;
  /** How many times the capture is sent; 0 for no end; 1 unless given. */
  readonly rounds?: number;
}

/** Shortest that is sent: an Ethernet header. */
const SHORTEST = 14;
/** Between the last packet of a round and the first of the next. */
const PAUSE: Time = 1000 * NS;

export class ReplayStation extends Module implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly counts: { sent: number; received: number };
  readonly #packets: readonly ReplayPacket[];
  readonly #rounds: number;
  readonly #start: Time;
  /** The next packet, and when its round began. */
  readonly #at: { packet: number; round: number; origin: Time };
  readonly #send: Event;

  constructor(
    parent: Module | Simulation,
    name: string,
    packets: readonly ReplayPacket[],
    options: ReplayOptions = {},
  ) {
    super(parent, name);
    this.#packets = packets.filter(({ data }) => data.length >= SHORTEST);
    this.#rounds = options.rounds ?? 1;
    this.#start = options.start ?? 0;
    this.counts = this.state({ sent: 0, received: 0 });
    this.#at = this.state({ packet: 0, round: 0, origin: 0 }, "place");
    this.#send = this.event("send", () => this.#next());
  }

  protected override onReset(): void {
    if (this.#packets.length === 0) return;
    this.#at.origin = this.simulation.now + this.#start;
    this.#send.scheduleAt(this.#at.origin);
  }

  receive(): void {
    this.counts.received++;
  }

  /** Everything that has left: no packet is to come. */
  get done(): boolean {
    return !this.#send.pending;
  }

  #next(): void {
    const at = this.#at;
    const { now } = this.simulation;
    for (;;) {
      const packet = this.#packets[at.packet];
      if (packet === undefined) {
        at.round++;
        if (this.#rounds > 0 && at.round >= this.#rounds) return;
        at.packet = 0;
        at.origin = now + PAUSE;
        this.#send.scheduleAt(at.origin);
        return;
      }
      const due = at.origin + packet.time * NS;
      if (due > now) {
        this.#send.scheduleAt(due);
        return;
      }
      at.packet++;
      this.counts.sent++;
      this.onTransmit?.(packet.data);
    }
  }
}
