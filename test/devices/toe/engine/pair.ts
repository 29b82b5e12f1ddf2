/** Two stacks on a wire of the test's own, with impairments chosen by a seeded generator. */

import { EVENT_ACCEPTABLE } from "../../../../src/devices/toe/engine/api.ts";
import { Stack, type StackOptions, type StackQuotas } from "../../../../src/devices/toe/engine/index.ts";
import type { Frame } from "../../../../src/net/index.ts";
import {
  type Event,
  Module,
  type Random,
  SEC,
  Simulation,
  type StatePart,
  type StateValue,
  type Time,
  US,
} from "../../../../src/sim/index.ts";

export interface WireOptions {
  /** Bits a second; 0: no time. */
  readonly rate?: number;
  readonly delay?: Time;
  readonly jitter?: Time;
  /** Probabilities in parts of 10,000. */
  readonly loss?: number;
  /** Frames lost in a row, on average (two-state Gilbert model); 1 unless given. */
  readonly burst?: number;
  readonly duplicate?: number;
  /** Frames that wait for the transmitter. */
  readonly queue?: number;
  readonly tap?: (frame: Frame, from: 0 | 1, time: Time) => void;
}

/** One direction: frames under way, by the time of their arrival. */
class Way extends Module {
  to: { input(frame: Frame): void } | null = null;
  readonly #options: WireOptions;
  readonly #random: Random;
  readonly #arrival: Event;
  #free: Time = 0;
  #under: { frame: Frame; at: Time }[] = [];
  lost = 0;
  /** Within a burst of losses. */
  #bad = false;

  constructor(parent: Simulation, name: string, options: WireOptions) {
    super(parent, name);
    this.#options = options;
    this.#random = this.simulation.random(this, "impairments");
    this.#arrival = this.event("arrival", () => this.#arrive());
    const under: StatePart = {
      save: () => this.#save(),
      load: (value) => this.#load(value),
      reset: () => {
        this.#under = [];
        this.#free = 0;
        this.lost = 0;
        this.#bad = false;
      },
    };
    this.part("under", under);
  }
  send(frame: Frame): boolean {
    const { rate = 0, delay = 0, jitter = 0, duplicate = 0, queue = 1000 } = this.#options;
    const { now } = this.simulation;
    if (this.#under.length >= queue) return false;
    const bits = 8 * (Math.max(frame.length, 60) + 24);
    this.#free = Math.max(now, this.#free) + (rate === 0 ? 0 : Math.ceil((bits * SEC) / rate));
    if (this.#loses()) {
      this.lost++;
      return true;
    }
    const copies = duplicate > 0 && this.#random.below(10_000) < duplicate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const at = this.#free + delay + (jitter > 0 ? this.#random.below(jitter) : 0);
      let place = this.#under.length;
      while (place > 0 && this.#under[place - 1].at > at) place--;
      this.#under.splice(place, 0, { frame, at });
    }
    const first = this.#under[0];
    if (first !== undefined) this.#arrival.scheduleAt(Math.max(now, first.at));
    return true;
  }
  #loses(): boolean {
    const { loss = 0, burst = 1 } = this.#options;
    if (loss === 0) return false;
    // Bursts end with 1 / burst, and begin so often that the share of frames in them is the loss.
    const chance = burst === 1 ? loss : this.#bad ? 10_000 - 10_000 / burst : loss / (burst * (1 - loss / 10_000));
    this.#bad = this.#random.below(1_000_000) < 100 * chance;
    return this.#bad;
  }
  #arrive(): void {
    while (this.#under.length > 0 && this.#under[0].at <= this.simulation.now) {
      const next = this.#under.shift();
      if (next) this.to?.input(next.frame);
    }
    if (this.#under.length > 0) this.#arrival.scheduleAt(this.#under[0].at);
  }
  #save(): StateValue {
    return {
      free: this.#free,
      lost: this.lost,
      bad: this.#bad,
      under: this.#under.map(({ frame, at }) => ({ frame: frame.slice(), at })),
    };
  }
  #load(value: StateValue): void {
    const v = value as unknown as { free: number; lost: number; bad: boolean; under: { frame: Frame; at: Time }[] };
    this.#free = v.free;
    this.lost = v.lost;
    this.#bad = v.bad;
    this.#under = v.under.map(({ frame, at }) => ({ frame: frame.slice(), at }));
  }
}

export const A4 = Uint8Array.of(10, 0, 0, 1);
export const B4 = Uint8Array.of(10, 0, 0, 2);
export const A6 = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
export const B6 = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
export const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
export const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 0xb);

export class Host {
  readonly stack: Stack;
  /** What has been told, by socket. */
  readonly told = new Map<number, number>();
  on: (socket: number, events: number) => void = () => {};
  constructor(simulation: Simulation, name: string, way: () => { send(frame: Frame): boolean }, options: StackOptions) {
    this.stack = new Stack(
      simulation,
      name,
      {
        onSocket: (socket, events) => {
          this.told.set(socket, (this.told.get(socket) ?? 0) | events);
          this.on(socket, events);
        },
        transmit: (frame) => way().send(frame),
      },
      options,
    );
  }
}

export interface PairOptions extends WireOptions {
  readonly seed?: number;
  readonly mtu?: number;
  readonly quotas?: StackQuotas;
  readonly stack?: StackOptions;
}

export function pair(options: PairOptions = {}) {
  const simulation = new Simulation({ seed: options.seed ?? 1 });
  const wire = { delay: 100 * US, ...options };
  const forward = new Way(simulation, "forward", wire);
  const backward = new Way(simulation, "backward", wire);
  const { tap } = options;
  const tapped = (way: Way, end: 0 | 1) => ({
    send: (frame: Frame) => {
      tap?.(frame, end, simulation.now);
      return way.send(frame);
    },
  });
  const toB = tapped(forward, 0);
  const toA = tapped(backward, 1);
  const a = new Host(simulation, "a", () => toB, options.stack ?? {});
  const b = new Host(simulation, "b", () => toA, options.stack ?? {});
  forward.to = b.stack;
  backward.to = a.stack;
  const mtu = options.mtu ?? 1500;
  a.stack.configure({
    mac: MAC_A,
    mtu,
    addresses: [
      { address: A4, prefix: 24 },
      { address: A6, prefix: 64 },
    ],
    routes: [],
  });
  b.stack.configure({
    mac: MAC_B,
    mtu,
    addresses: [
      { address: B4, prefix: 24 },
      { address: B6, prefix: 64 },
    ],
    routes: [],
  });
  if (options.quotas) {
    a.stack.setQuotas(options.quotas);
    b.stack.setQuotas(options.quotas);
  }
  return { simulation, a, b, forward, backward };
}

export function value<T>(
  outcome: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string },
): T {
  if (!outcome.ok) throw new Error(outcome.error);
  return outcome.value;
}

/** A connection from `a` to port 80 of `b`, both open. */
export function connected(
  p: ReturnType<typeof pair>,
  family: 4 | 6 = 4,
  prepare: (stack: Stack, socket: number) => void = () => {},
) {
  const listener = value(p.b.stack.socket("tcp", family));
  prepare(p.b.stack, listener);
  value(p.b.stack.bind(listener, { address: new Uint8Array(family === 4 ? 4 : 16), port: 80 }));
  value(p.b.stack.listen(listener, 10));
  p.b.told.delete(listener);
  const client = value(p.a.stack.socket("tcp", family));
  prepare(p.a.stack, client);
  value(p.a.stack.connect(client, { address: family === 4 ? B4 : B6, port: 80 }));
  for (let i = 0; i < 200 && ((p.b.told.get(listener) ?? 0) & EVENT_ACCEPTABLE) === 0; i++)
    p.simulation.run(p.simulation.now + SEC / 4);
  const server = value(p.b.stack.accept(listener));
  return { listener, client, server };
}

/** Byte `i` of every test stream. */
export function byteAt(i: number): number {
  return (Math.imul(i, 0x9e3779b1) >>> 24) ^ (i & 0xff);
}

/** Sends `total` bytes from one host's socket to the other's as room comes up; both run by events. Gives what is known as it goes. */
export function stream(from: Host, out: number, to: Host, into: number, total: number, finish = true) {
  const progress = { sent: 0, received: 0, wrong: 0, ended: false };
  const block = new Uint8Array(16_384);
  const push = () => {
    while (progress.sent < total) {
      const size = Math.min(block.length, total - progress.sent);
      for (let i = 0; i < size; i++) block[i] = byteAt(progress.sent + i);
      const outcome = from.stack.send(out, block.slice(0, size));
      if (!outcome.ok) return;
      progress.sent += outcome.value;
    }
    if (finish && progress.sent === total) {
      from.stack.shutdown(out, "send");
      progress.sent++;
    }
  };
  const pull = () => {
    for (;;) {
      const outcome = to.stack.receive(into, 65_536);
      if (!outcome.ok) return;
      if (outcome.value.length === 0) {
        progress.ended = true;
        return;
      }
      for (const byte of outcome.value) if (byte !== byteAt(progress.received++)) progress.wrong++;
    }
  };
  const before = { from: from.on, to: to.on };
  from.on = (socket, events) => {
    before.from(socket, events);
    if (socket === out) push();
  };
  to.on = (socket, events) => {
    before.to(socket, events);
    if (socket === into) pull();
  };
  push();
  return progress;
}
