/** What the rooms of a stack share: time, counters, buffers, timers, the way out, and the events told to the owner. */
import type { Frame } from "../../../net/index.ts";
import type { Event, Random, Simulation, Time } from "../../../sim/index.ts";
import type { StackEvents } from "./api.ts";
import type { Configuration } from "./configuration.ts";
import type { Fragments } from "./fragments.ts";
import type { Icmp } from "./icmp.ts";
import type { Ip } from "./ip.ts";
import type { Neighbours } from "./neighbours.ts";
import { BufferPool } from "./ring.ts";
import type { Connection } from "./tcp/connection.ts";
import type { Tcp } from "./tcp/tcp.ts";
import { HOUSEKEEPING, TimerHeap } from "./timers.ts";
import type { Udp, UdpSocket } from "./udp.ts";
import { type Family, Summer } from "./words.ts";

/** Frames waiting that the stack has sent to itself; more are lost. */
const INBOX_MAX = 256;

/** Frames are cut from blocks of this size: a typed array with memory of its own costs microseconds. Not state. */
const BLOCK = 65_536;

/** Counters, by the names under which `statistics` shows them. */
export function counters() {
  return {
    framesIn: 0,
    framesOut: 0,
    framesLost: 0,
    badFrames: 0,
    notForUs: 0,
    badChecksums: 0,
    arpIn: 0,
    neighbourFailures: 0,
    addressConflicts: 0,
    fragmentsIn: 0,
    fragmentsDropped: 0,
    reassembled: 0,
    icmpIn: 0,
    icmpErrorsOut: 0,
    icmpErrorsHeld: 0,
    echoReplies: 0,
    udpIn: 0,
    udpOut: 0,
    udpDropped: 0,
    tcpSegmentsIn: 0,
    tcpSegmentsOut: 0,
    tcpBytesIn: 0,
    tcpBytesOut: 0,
    tcpRetransmitted: 0,
    tcpTimeouts: 0,
    tcpFastRetransmits: 0,
    tcpOutOfOrder: 0,
    tcpDuplicates: 0,
    tcpChallengeAcks: 0,
    tcpResetsOut: 0,
    tcpResetsIn: 0,
    tcpOpens: 0,
    tcpAccepted: 0,
    tcpBacklogDrops: 0,
    tcpCookiesSent: 0,
    tcpCookiesAccepted: 0,
    tcpCookiesRejected: 0,
    tcpPaws: 0,
    tcpNoMemory: 0,
    tcpEcnMarks: 0,
  };
}
export type Counters = ReturnType<typeof counters>;

/** The packet being received: one object, filled anew for each. Nothing keeps it. */
export class Packet {
  frame: Frame = new Uint8Array(0);
  family: Family = 4;
  /** Source and destination. */
  s0 = 0;
  s1 = 0;
  s2 = 0;
  s3 = 0;
  d0 = 0;
  d1 = 0;
  d2 = 0;
  d3 = 0;
  /** Where the IP header starts, where its payload starts, and the payload's length. */
  ip = 0;
  at = 0;
  length = 0;
  protocol = 0;
  hopLimit = 0;
  /** Explicit congestion notification, two bits (RFC 3168 5). */
  ecn = 0;
  /** To a group or broadcast address, at either layer. */
  group = false;
}

export type AnySocket = Connection | UdpSocket;

export interface EngineParts {
  readonly simulation: Simulation;
  readonly owner: StackEvents;
  readonly counts: Counters;
  readonly configuration: Configuration;
  readonly random: Random;
  readonly timer: Event;
  readonly soon: Event;
  readonly options: Required<StackOptions>;
}

/** Behaviour that standards leave to the implementer. */
export interface StackOptions {
  /** Least retransmission time-out; 200 ms unless given (RFC 6298 2.4 recommends 1 s). */
  readonly minimumRto?: Time;
  /** Maximum segment lifetime; 30 s unless given. TIME-WAIT lasts twice that. */
  readonly segmentLifetime?: Time;
  /** Initial congestion window in bytes; 0 for RFC 6928's. */
  readonly initialWindow?: number;
}

export class Engine {
  readonly simulation: Simulation;
  readonly owner: StackEvents;
  readonly counts: Counters;
  readonly configuration: Configuration;
  readonly random: Random;
  readonly options: Required<StackOptions>;
  readonly timers = new TimerHeap();
  readonly pool = new BufferPool();
  readonly summer = new Summer();
  readonly rx = new Packet();
  /** By number; number 0 is not used. */
  readonly sockets: (AnySocket | null)[] = [null];
  readonly freeNumbers: number[] = [];
  readonly leaving: number[] = [];
  socketLimit = 0;
  neighbours: Neighbours;
  ip: Ip;
  icmp: Icmp;
  fragments: Fragments;
  udp: Udp;
  tcp: Tcp;
  /** Sockets with events to tell, in order, and what. */
  readonly telling: number[] = [];
  readonly bits: number[] = [];
  readonly inbox: Frame[] = [];
  readonly #timer: Event;
  readonly #soon: Event;
  #transmitting = false;
  #block: ArrayBuffer = new ArrayBuffer(0);
  #cut = 0;

  constructor(
    parts: EngineParts,
    rooms: (engine: Engine) => Pick<Engine, "neighbours" | "ip" | "icmp" | "fragments" | "udp" | "tcp">,
  ) {
    this.simulation = parts.simulation;
    this.owner = parts.owner;
    this.counts = parts.counts;
    this.configuration = parts.configuration;
    this.random = parts.random;
    this.options = parts.options;
    this.#timer = parts.timer;
    this.#soon = parts.soon;
    const { neighbours, ip, icmp, fragments, udp, tcp } = rooms(this);
    this.neighbours = neighbours;
    this.ip = ip;
    this.icmp = icmp;
    this.fragments = fragments;
    this.udp = udp;
    this.tcp = tcp;
  }

  get now(): Time {
    return this.simulation.now;
  }

  /** An empty frame for `length` bytes, not shorter than the wire allows, all zero. Headers lie so that what follows them is aligned. */
  frame(length: number): Frame {
    return this.cut(length < 60 ? 60 : length);
  }

  /** An array that is used for a short while, all zero. */
  cut(size: number): Uint8Array {
    if (size > BLOCK / 4) return new Uint8Array(size);
    let at = this.#cut;
    if (at + 2 + size > this.#block.byteLength) {
      this.#block = new ArrayBuffer(BLOCK);
      at = 0;
    }
    this.#cut = (at + 2 + size + 7) & ~7;
    return new Uint8Array(this.#block, at + 2, size);
  }

  /** A frame, complete, to the wire. */
  transmit(frame: Frame): void {
    this.counts.framesOut++;
    this.#transmitting = true;
    const taken = this.owner.transmit(frame);
    this.#transmitting = false;
    if (!taken) this.counts.framesLost++;
  }

  /** May a frame be worked on now? Not while the owner is being handed one: it comes back later, through the inbox. */
  get transmitting(): boolean {
    return this.#transmitting;
  }

  /** A frame to be received in the next delta cycle: what the stack sends to itself. */
  deliverLater(frame: Frame): void {
    if (this.inbox.length >= INBOX_MAX) return;
    this.inbox.push(frame);
    if (!this.#soon.pending) this.#soon.notify(0);
  }

  /** Notes what has become true of a socket; told by `tell`, at this instant. */
  raise(socket: number, bits: number): void {
    const before = this.bits[socket] ?? 0;
    this.bits[socket] = before | bits;
    if (before === 0) this.telling.push(socket);
  }

  /** After a call of the owner: what it has raised is told in the next delta cycle. */
  tellLater(): void {
    if (this.telling.length > 0 && !this.#soon.pending) this.#soon.notify(0);
  }

  /** Tells what has been raised. The owner may call the stack from there. */
  tell(): void {
    for (let i = 0; i < this.telling.length; i++) {
      const socket = this.telling[i];
      const bits = this.bits[socket];
      this.bits[socket] = 0;
      if (bits !== 0) this.owner.onSocket(socket, bits);
    }
    this.telling.length = 0;
    this.#reuse();
  }

  /** Sees to it that housekeeping runs at `at` or before. */
  housekeepBy(at: Time): void {
    this.lower(HOUSEKEEPING, at);
  }

  lower(slot: number, at: Time): void {
    this.timers.lower(slot, at);
    this.armTimer();
  }

  armTimer(): void {
    const at = this.timers.earliest;
    if (at < this.#timer.deadline) this.#timer.scheduleAt(at);
  }

  /** Puts a socket under a free number; 0 where the quota is used up. */
  enter(socket: AnySocket): number {
    if (this.telling.length === 0) this.#reuse();
    if (this.sockets.length - 1 - this.freeNumbers.length - this.leaving.length >= this.socketLimit) return 0;
    const number = this.freeNumbers.pop() ?? this.sockets.length;
    this.sockets[number] = socket;
    return number;
  }

  /** Forgets everything but configuration and quotas, and draws new secrets. */
  clear(): void {
    this.sockets.length = 1;
    this.freeNumbers.length = 0;
    this.leaving.length = 0;
    this.telling.length = 0;
    this.bits.length = 0;
    this.inbox.length = 0;
    this.fragments.clear();
    this.neighbours.clear();
    this.ip.clear();
    this.icmp.clear();
    this.udp.clear();
    this.tcp.clear();
    this.timers.clear();
    this.pool.used = 0;
  }

  /** Gives a number back. It is used again only when all there was to tell of it has been told. */
  leave(number: number): void {
    this.sockets[number] = null;
    this.timers.remove(number);
    this.leaving.push(number);
  }

  #reuse(): void {
    for (const number of this.leaving) this.freeNumbers.push(number);
    this.leaving.length = 0;
  }
}
