/**
 * Reassembly (RFC 791 3.2, RFC 8200 4.5) within bounds: 64 datagrams, bytes charged to the stack's quota, 60 s from the first fragment on.
 * A datagram whose fragments overlap is given up at once, for both families (RFC 5722 4, RFC 8200 4.5); an exact repetition is
 * passed over (RFC 8200 allows it).
 */

import { get16, put16 } from "../../../net/bytes.ts";
import { NEVER, SEC, SnapshotError, type StateValue, type Time } from "../../../sim/index.ts";
import type { Engine } from "./engine.ts";
import { ETHERNET } from "./ip.ts";
import { type Family, fold, load, sum16 } from "./words.ts";

const DATAGRAMS_MAX = 64;
const PIECES_MAX = 128;
const TIMEOUT: Time = 60 * SEC;
/** Of the quota, fragments may hold no more than an eighth. */
const SHARE = 8;
/** What a piece costs beside its bytes. */
const PIECE_COST = 64;

interface Piece {
  readonly at: number;
  readonly data: Uint8Array;
}
interface Datagram {
  readonly key: string;
  readonly family: Family;
  readonly started: Time;
  /** Frame up to the end of the unfragmentable part, of the fragment with offset 0; empty before that has come. */
  head: Uint8Array;
  /** Beginning of the first fragment as it came, for the time exceeded message. */
  first: Uint8Array;
  /** Protocol in the first fragment. */
  protocol: number;
  /** Length of the whole payload; -1 while unknown. */
  total: number;
  pieces: Piece[];
  cost: number;
  ecn: number;
}

export class Fragments {
  readonly #engine: Engine;
  #datagrams: Datagram[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The IPv4 fragment in `rx`. */
  input4(offset: number, more: boolean): void {
    const { rx } = this.#engine;
    const { frame, ip } = rx;
    const key = `4 ${rx.s3} ${rx.d3} ${rx.protocol} ${get16(frame, ip + 4)}`;
    this.#add(key, 4, offset, more, rx.at, rx.length, rx.at, rx.protocol);
  }

  /** The IPv6 fragment whose fragment header is at `rx.at`. */
  input6(): void {
    const { rx, icmp } = this.#engine;
    const { frame, at } = rx;
    const word = get16(frame, at + 2);
    const offset = word & 0xfff8;
    const more = (word & 1) !== 0;
    if (more && (rx.length - 8) % 8 !== 0) {
      // RFC 8200 4.5: pointing to the payload length.
      icmp.error6(4, 0, 4);
      return;
    }
    if (offset + rx.length - 8 > 65_535) {
      icmp.error6(4, 0, at + 2 - rx.ip);
      return;
    }
    if (offset === 0 && !more) {
      // An atomic fragment is taken by itself (RFC 6946).
      this.#engine.ip.headers6(frame[at], at + 8, at + rx.length);
      return;
    }
    const key = `6 ${rx.s0} ${rx.s1} ${rx.s2} ${rx.s3} ${rx.d0} ${rx.d1} ${rx.d2} ${rx.d3} ${load(frame, at + 4)}`;
    this.#add(key, 6, offset, more, at + 8, rx.length - 8, ETHERNET + 40, frame[at]);
  }

  #add(
    key: string,
    family: Family,
    offset: number,
    more: boolean,
    at: number,
    length: number,
    headEnd: number,
    protocol: number,
  ): void {
    const { rx, counts, pool, now } = this.#engine;
    counts.fragmentsIn++;
    if (length === 0 || (more && length % 8 !== 0) || offset + length > 65_515 || rx.group) {
      counts.fragmentsDropped++;
      return;
    }
    const found = this.#datagrams.find((d) => d.key === key);
    const cost = length + PIECE_COST;
    if (this.#datagrams.reduce((n, d) => n + d.cost, cost) > pool.limit / SHARE || !pool.charge(cost)) {
      counts.fragmentsDropped++;
      return;
    }
    if (found === undefined && this.#datagrams.length >= DATAGRAMS_MAX) this.#drop(this.#datagrams[0]);
    const d: Datagram = found ?? {
      key,
      family,
      started: now,
      head: new Uint8Array(0),
      first: new Uint8Array(0),
      protocol: 0,
      total: -1,
      pieces: [],
      cost: 0,
      ecn: rx.ecn,
    };
    if (found === undefined) {
      this.#datagrams.push(d);
      this.#engine.housekeepBy(now + TIMEOUT);
    }
    d.cost += cost;
    const end = offset + length;
    const same = d.pieces.find((p) => p.at === offset && p.data.length === length);
    if (same !== undefined && !more === (d.total === end)) {
      d.cost -= cost;
      pool.release(cost);
      return;
    }
    const bad =
      d.pieces.length >= PIECES_MAX ||
      d.pieces.some((p) => offset < p.at + p.data.length && p.at < end) ||
      (d.total >= 0 && (end > d.total || (!more && end !== d.total))) ||
      (!more && d.pieces.some((p) => p.at + p.data.length > end));
    if (bad) {
      counts.fragmentsDropped++;
      this.#drop(d);
      return;
    }
    if (!more) d.total = end;
    if (offset === 0) {
      d.head = rx.frame.slice(0, headEnd);
      d.first = rx.frame.slice(0, at + length);
      d.protocol = protocol;
    }
    // RFC 3168 5.3: congestion met by any fragment is the datagram's.
    if (rx.ecn === 3) d.ecn = 3;
    d.pieces.push({ at: offset, data: rx.frame.slice(at, at + length) });
    if (d.total >= 0 && d.head.length > 0 && d.pieces.reduce((n, p) => n + p.data.length, 0) === d.total)
      this.#complete(d);
  }

  #complete(d: Datagram): void {
    const { rx, counts, ip } = this.#engine;
    const start = d.head.length;
    const frame = new Uint8Array(start + d.total);
    frame.set(d.head);
    for (const p of d.pieces) frame.set(p.data, start + p.at);
    this.#drop(d);
    counts.reassembled++;
    rx.frame = frame;
    rx.ip = ETHERNET;
    rx.ecn = d.ecn;
    if (d.family === 4) {
      const total = start - ETHERNET + d.total;
      if (total > 65_535) return;
      put16(frame, ETHERNET + 2, total);
      put16(frame, ETHERNET + 6, 0);
      frame[ETHERNET + 1] = (frame[ETHERNET + 1] & ~3) | d.ecn;
      put16(frame, ETHERNET + 10, 0);
      put16(frame, ETHERNET + 10, fold(sum16(frame, ETHERNET, start - ETHERNET)));
      ip.input4();
    } else {
      put16(frame, ETHERNET + 4, d.total);
      frame[ETHERNET + 6] = d.protocol;
      if (d.protocol !== 44) ip.headers6(d.protocol, start, frame.length);
    }
  }

  /** Gives up what is too old, with a time exceeded message where the first fragment came (RFC 1122 3.3.2, RFC 8200 4.5). */
  housekeep(now: Time): Time {
    let next = NEVER;
    for (const d of [...this.#datagrams]) {
      if (d.started + TIMEOUT <= now) {
        const { rx, icmp, ip } = this.#engine;
        this.#drop(d);
        if (d.first.length === 0) continue;
        rx.frame = d.first;
        rx.ip = ETHERNET;
        rx.family = d.family;
        rx.group = false;
        ip.addressesOf();
        if (d.family === 4) icmp.error4(11, 1, 0);
        else icmp.error6(3, 1, 0);
      } else next = Math.min(next, d.started + TIMEOUT);
    }
    return next;
  }

  clear(): void {
    for (const d of [...this.#datagrams]) this.#drop(d);
  }
  save(): StateValue {
    return this.#datagrams.map((d) => ({
      ...d,
      head: d.head.slice(),
      first: d.first.slice(),
      pieces: d.pieces.map(({ at, data }) => ({ at, data: data.slice() })),
    }));
  }
  /** The pool's charge is restored with it. */
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of datagrams`);
    this.#datagrams = (value as unknown as Datagram[]).map((d) => ({
      ...d,
      head: d.head.slice(),
      first: d.first.slice(),
      pieces: d.pieces.map(({ at, data }) => ({ at, data: data.slice() })),
    }));
    for (const d of this.#datagrams) this.#engine.pool.used += d.cost;
  }

  #drop(d: Datagram): void {
    this.#datagrams.splice(this.#datagrams.indexOf(d), 1);
    this.#engine.pool.release(d.cost);
  }
}
