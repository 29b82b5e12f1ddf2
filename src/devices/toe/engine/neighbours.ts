/**
 * Who is on the link: ARP (RFC 826) and neighbour discovery's address resolution and unreachability detection (RFC 4861 7.2, 7.3) in one
 * cache with one set of states. Not modelled: router and prefix discovery, redirects, duplicate address detection; addresses and routes
 * come from the management interface. The reachable time is the constant 30 s, not a random one around it.
 *
 * Bounds: 512 entries, 64 of them unresolved, three frames waiting for each; an unsolicited reply makes no entry.
 */

import { get16, put16 } from "../../../net/bytes.ts";
import type { Frame } from "../../../net/index.ts";
import { MS, NEVER, SEC, SnapshotError, type StateValue, type Time } from "../../../sim/index.ts";
import type { Engine } from "./engine.ts";
import { type Family, load, store } from "./words.ts";

const ENTRIES_MAX = 512;
const INCOMPLETE_MAX = 64;
const WAITING_MAX = 3;
const PROBES = 3;
const REACHABLE_TIME: Time = 30 * SEC;
const RETRANS_TIMER: Time = 1000 * MS;
const DELAY_FIRST_PROBE: Time = 5 * SEC;
/** A stale entry nobody uses is forgotten after that. */
const STALE_TIME: Time = 600 * SEC;

const INCOMPLETE = 0;
const REACHABLE = 1;
const STALE = 2;
const DELAY = 3;
const PROBE = 4;
const GONE = 5;

export class Neighbour {
  readonly family: Family;
  readonly words: Int32Array;
  readonly mac = new Uint8Array(6);
  state = INCOMPLETE;
  /** End of the state: of reachability, of the wait for an answer, of the entry. */
  deadline: Time = 0;
  probes = 0;
  waiting: Frame[] = [];

  constructor(family: Family, words: Int32Array) {
    this.family = family;
    this.words = words;
  }
  get gone(): boolean {
    return this.state === GONE;
  }
  /** News from an upper layer that the neighbour answers (RFC 4861 7.3.1). */
  confirm(now: Time): void {
    if (this.state === INCOMPLETE || this.state === GONE) return;
    this.state = REACHABLE;
    this.deadline = now + REACHABLE_TIME;
  }
}

export class Neighbours {
  readonly #engine: Engine;
  readonly #entries: Neighbour[] = [];
  readonly #index = new Map<number, Neighbour[]>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get count(): number {
    return this.#entries.length;
  }

  find(family: Family, w0: number, w1: number, w2: number, w3: number): Neighbour | null {
    const chain = this.#index.get(hashOf(w0, w1, w2, w3));
    if (chain === undefined) return null;
    for (const n of chain) {
      const { words } = n;
      if (words[3] === w3 && words[2] === w2 && words[1] === w1 && words[0] === w0 && n.family === family) return n;
    }
    return null;
  }

  /** The entry of an address on the link, made where there is none; null where the cache has no room. */
  get(family: Family, w0: number, w1: number, w2: number, w3: number): Neighbour | null {
    return this.find(family, w0, w1, w2, w3) ?? this.#add(family, Int32Array.of(w0, w1, w2, w3));
  }

  /** Sends a frame whose destination MAC address is still to be filled in. */
  output(n: Neighbour, frame: Frame): void {
    const engine = this.#engine;
    const { now } = engine;
    if (n.state === REACHABLE) {
      if (now < n.deadline) {
        frame.set(n.mac, 0);
        engine.transmit(frame);
        return;
      }
      n.state = STALE;
    }
    if (n.state === GONE) return;
    if (n.state === INCOMPLETE) {
      if (n.waiting.length >= WAITING_MAX) n.waiting.shift();
      n.waiting.push(frame);
      if (n.probes === 0) this.#solicit(n, now);
      return;
    }
    if (n.state === STALE) {
      n.state = DELAY;
      n.deadline = now + DELAY_FIRST_PROBE;
      engine.housekeepBy(n.deadline);
    }
    frame.set(n.mac, 0);
    engine.transmit(frame);
  }

  /** An ARP packet; `at` is its start in the frame. */
  arp(frame: Frame, at: number): void {
    const engine = this.#engine;
    const { counts, configuration } = engine;
    // Ethernet, IPv4, lengths 6 and 4.
    if (frame.length < at + 28 || load(frame, at) !== 0x00010800 || get16(frame, at + 4) !== 0x0604) {
      counts.badFrames++;
      return;
    }
    counts.arpIn++;
    const operation = get16(frame, at + 6);
    const sender = load(frame, at + 14);
    const target = load(frame, at + 24);
    if ((frame[at + 8] & 1) !== 0 || sender >>> 28 >= 0xe || (operation !== 1 && operation !== 2)) {
      counts.badFrames++;
      return;
    }
    if (configuration.owns(4, 0, 0, 0xffff, sender)) {
      counts.addressConflicts++;
      return;
    }
    const forUs = configuration.owns(4, 0, 0, 0xffff, target);
    if (sender !== 0) {
      const n = this.find(4, 0, 0, 0xffff, sender);
      const solicited = operation === 2 && forUs && (n?.state === INCOMPLETE || n?.state === PROBE);
      if (n !== null) this.#learn(n, frame, at + 8, solicited, true);
      else if (forUs && operation === 1 && configuration.route(4, 0, 0, 0xffff, sender)) {
        const added = this.#add(4, Int32Array.of(0, 0, 0xffff, sender));
        if (added !== null) this.#learn(added, frame, at + 8, false, true);
      }
    }
    if (!forUs || operation !== 1) return;
    const reply = this.#arpPacket(2, target, frame, at + 8, sender);
    reply.set(frame.subarray(at + 8, at + 14), 0);
    engine.transmit(reply);
  }

  /**
   * A link-layer address heard of: `solicited` makes the entry reachable, `override` lets it replace another (RFC 4861 7.2.5).
   * A change of address without a question asked makes it stale, so that its next use verifies it.
   */
  #learn(n: Neighbour, frame: Frame, mac: number, solicited: boolean, override: boolean): void {
    const { now } = this.#engine;
    const same = n.state !== INCOMPLETE && sameMac(n.mac, frame, mac);
    if (n.state !== INCOMPLETE && !same && !override) {
      if (n.state === REACHABLE) n.state = STALE;
      return;
    }
    const fresh = n.state === INCOMPLETE;
    if (!same) for (let i = 0; i < 6; i++) n.mac[i] = frame[mac + i];
    if (solicited) {
      n.state = REACHABLE;
      n.deadline = now + REACHABLE_TIME;
    } else if (fresh || !same) {
      n.state = STALE;
      n.deadline = now + STALE_TIME;
    }
    n.probes = 0;
    const { waiting } = n;
    if (waiting.length === 0) return;
    n.waiting = [];
    for (const held of waiting) this.output(n, held);
  }

  /** Neighbour solicitation and advertisement (RFC 4861 4.3, 4.4); the packet in `rx` has a good checksum. */
  discovery(type: number): void {
    const engine = this.#engine;
    const { rx, configuration, counts } = engine;
    const { frame, at, length } = rx;
    if (rx.hopLimit !== 255 || length < 24 || frame[at + 1] !== 0) {
      counts.badFrames++;
      return;
    }
    const t0 = load(frame, at + 8);
    const t1 = load(frame, at + 12);
    const t2 = load(frame, at + 16);
    const t3 = load(frame, at + 20);
    const option = linkLayerOption(frame, at + 24, at + length, type === 135 ? 1 : 2);
    if (option < 0 || t0 >>> 24 === 0xff) {
      counts.badFrames++;
      return;
    }
    if (type === 136) {
      if (configuration.owns(6, t0, t1, t2, t3)) {
        counts.addressConflicts++;
        return;
      }
      const n = this.find(6, t0, t1, t2, t3);
      const flags = frame[at + 4];
      if (n === null || ((flags & 0x40) !== 0 && rx.group)) return;
      if (option > 0) this.#learn(n, frame, option, (flags & 0x40) !== 0, (flags & 0x20) !== 0);
      else if ((flags & 0x40) !== 0) n.confirm(engine.now);
      return;
    }
    if (!configuration.owns(6, t0, t1, t2, t3)) return;
    const unspecified = (rx.s0 | rx.s1 | rx.s2 | rx.s3) === 0;
    if (unspecified) {
      // Another node's duplicate address detection for an address of ours (RFC 4862 5.4.3): answered to all nodes.
      counts.addressConflicts++;
      if (option > 0) return;
    } else if (option > 0) {
      const n = this.get(6, rx.s0, rx.s1, rx.s2, rx.s3);
      if (n !== null) this.#learn(n, frame, option, false, true);
    }
    const answer = new Uint8Array(32);
    answer[0] = 136;
    answer[4] = unspecified ? 0x20 : 0x60;
    answer.set(frame.subarray(at + 8, at + 24), 8);
    answer[24] = 2;
    answer[25] = 1;
    answer.set(configuration.mac, 26);
    const mine = Int32Array.of(t0, t1, t2, t3);
    if (unspecified) engine.icmp.send6(mine, Int32Array.of(0xff020000, 0, 0, 1), answer, 255);
    else engine.icmp.send6(mine, Int32Array.of(rx.s0, rx.s1, rx.s2, rx.s3), answer, 255);
  }

  /** Time passes. Gives the next instant at which something is due. */
  housekeep(now: Time): Time {
    let next = NEVER;
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const n = this.#entries[i];
      if (n.deadline <= now) this.#expire(n, now);
      if (n.state !== GONE && n.deadline < next) next = n.deadline;
    }
    return next;
  }

  clear(): void {
    for (const n of this.#entries) n.state = GONE;
    this.#entries.length = 0;
    this.#index.clear();
  }

  save(): StateValue {
    return this.#entries.map(({ family, words, mac, state, deadline, probes, waiting }) => ({
      family,
      words: words.slice(),
      mac: mac.slice(),
      state,
      deadline,
      probes,
      waiting: waiting.map((f) => f.slice()),
    }));
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of neighbours`);
    this.clear();
    for (const v of value as Record<string, StateValue>[]) {
      const { family, words, mac, state, deadline, probes, waiting } = v;
      if (!(words instanceof Int32Array) || !(mac instanceof Uint8Array) || !Array.isArray(waiting)) {
        throw new SnapshotError(`${path}: expected words, mac and waiting frames`);
      }
      const n = new Neighbour(family === 4 ? 4 : 6, words.slice());
      n.mac.set(mac);
      n.state = Number(state);
      n.deadline = Number(deadline);
      n.probes = Number(probes);
      n.waiting = waiting.map((f) => (f as Uint8Array).slice());
      this.#enter(n);
    }
  }

  #expire(n: Neighbour, now: Time): void {
    if (n.state === REACHABLE) {
      n.state = STALE;
      n.deadline = now + STALE_TIME;
    } else if (n.state === STALE) this.#remove(n);
    else if (n.state === DELAY) {
      n.state = PROBE;
      n.probes = 0;
      this.#solicit(n, now);
    } else if (n.probes >= PROBES) {
      this.#engine.counts.neighbourFailures++;
      this.#remove(n);
      this.#engine.tcp.hopFailed(n);
    } else this.#solicit(n, now);
  }

  /** Asks for the neighbour's address: by broadcast or to the solicited-node group, and directly when it is known (7.3.3). */
  #solicit(n: Neighbour, now: Time): void {
    const engine = this.#engine;
    const { configuration } = engine;
    n.probes++;
    n.deadline = now + RETRANS_TIMER;
    engine.housekeepBy(n.deadline);
    const [w0, w1, w2, w3] = n.words;
    const source = configuration.source(n.family, w0, w1, w2, w3);
    if (source === null) return;
    if (n.family === 4) {
      const request = this.#arpPacket(1, source.words[3], null, 0, w3);
      if (n.state === PROBE) request.set(n.mac, 0);
      else request.fill(0xff, 0, 6);
      engine.transmit(request);
      return;
    }
    const message = new Uint8Array(32);
    message[0] = 135;
    for (let i = 0; i < 4; i++) store(message, 8 + 4 * i, n.words[i]);
    message[24] = 1;
    message[25] = 1;
    message.set(configuration.mac, 26);
    if (n.state === PROBE) engine.icmp.send6(source.words, n.words, message, 255, n.mac);
    else engine.icmp.send6(source.words, Int32Array.of(0xff020000, 0, 1, w3 | 0xff000000), message, 255);
  }

  #arpPacket(operation: number, source: number, targetMac: Frame | null, mac: number, target: number): Frame {
    const frame = new Uint8Array(60);
    frame.set(this.#engine.configuration.mac, 6);
    put16(frame, 12, 0x0806);
    store(frame, 14, 0x00010800);
    put16(frame, 18, 0x0604);
    put16(frame, 20, operation);
    frame.set(this.#engine.configuration.mac, 22);
    store(frame, 28, source);
    if (targetMac !== null) frame.set(targetMac.subarray(mac, mac + 6), 32);
    store(frame, 38, target);
    return frame;
  }

  #add(family: Family, words: Int32Array): Neighbour | null {
    let incomplete = 0;
    let oldest: Neighbour | null = null;
    if (this.#entries.length >= INCOMPLETE_MAX) {
      for (const n of this.#entries) {
        if (n.state === INCOMPLETE) incomplete++;
        else if (n.state <= STALE && (oldest === null || n.deadline < oldest.deadline)) oldest = n;
      }
      if (incomplete >= INCOMPLETE_MAX) return null;
    }
    if (this.#entries.length >= ENTRIES_MAX) {
      if (oldest === null) return null;
      this.#remove(oldest);
    }
    const n = new Neighbour(family, words);
    n.deadline = this.#engine.now + RETRANS_TIMER;
    this.#enter(n);
    return n;
  }

  #enter(n: Neighbour): void {
    this.#entries.push(n);
    const [w0, w1, w2, w3] = n.words;
    const key = hashOf(w0, w1, w2, w3);
    const chain = this.#index.get(key);
    if (chain === undefined) this.#index.set(key, [n]);
    else chain.push(n);
  }

  #remove(n: Neighbour): void {
    n.state = GONE;
    n.waiting = [];
    this.#entries.splice(this.#entries.indexOf(n), 1);
    const [w0, w1, w2, w3] = n.words;
    const key = hashOf(w0, w1, w2, w3);
    const chain = this.#index.get(key)?.filter((m) => m !== n) ?? [];
    if (chain.length === 0) this.#index.delete(key);
    else this.#index.set(key, chain);
  }
}

function hashOf(w0: number, w1: number, w2: number, w3: number): number {
  return Math.imul(Math.imul(Math.imul(w0, 31) + w1, 31) + w2, 31) ^ w3;
}

function sameMac(mac: Uint8Array, frame: Frame, at: number): boolean {
  for (let i = 0; i < 6; i++) if (mac[i] !== frame[at + i]) return false;
  return true;
}

/** Where the address of the wanted option lies; 0 where there is none, -1 where an option has length 0 or overruns (RFC 4861 4.6). */
function linkLayerOption(frame: Frame, from: number, end: number, wanted: number): number {
  let found = 0;
  for (let at = from; at < end; ) {
    const size = at + 1 < end ? frame[at + 1] * 8 : 0;
    if (size === 0 || at + size > end) return -1;
    if (frame[at] === wanted && (frame[at + 2] & 1) === 0) found = at + 2;
    at += size;
  }
  return found;
}
