/** UDP (RFC 768, RFC 8200 8.1). Datagrams wait in the socket up to its receive buffer and the stack's quota; more are lost. */

import { get16, put16 } from "../../../net/bytes.ts";
import { SnapshotError, type StateRecord, type StateValue } from "../../../sim/index.ts";
import { EVENT_ERROR, EVENT_READABLE, type IpAddress, type Outcome, type SocketError } from "./api.ts";
import type { Engine } from "./engine.ts";
import type { Quoted } from "./icmp.ts";
import { UDP } from "./ip.ts";
import { addressOf, type Family, fold, isUnspecified, pseudoSum, sum16, type Words } from "./words.ts";

interface Datagram {
  readonly data: Uint8Array;
  readonly from: IpAddress;
  readonly port: number;
}
/** What a waiting datagram costs beside its bytes. */
const COST = 64;

export class UdpSocket {
  readonly kind = "udp";
  readonly family: Family;
  number = 0;
  readonly local: Words = new Int32Array(4);
  port = 0;
  readonly remote: Words = new Int32Array(4);
  remotePort = 0;
  queue: Datagram[] = [];
  queued = 0;
  receiveBuffer = 262_144;
  hopLimit = 64;
  trafficClass = 0;
  error: SocketError = "closed";
  shut = 0;

  constructor(family: Family) {
    this.family = family;
    if (family === 4) this.local[2] = this.remote[2] = 0xffff;
  }
}

export class Udp {
  readonly #engine: Engine;
  readonly #ports = new Map<number, UdpSocket[]>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  input(): void {
    const { rx, counts, pool, icmp } = this.#engine;
    const { frame, at } = rx;
    const length = rx.length >= 8 ? get16(frame, at + 4) : 0;
    const check = length >= 8 ? get16(frame, at + 6) : 0;
    if (length < 8 || length > rx.length || (check === 0 && rx.family === 6)) {
      counts.badFrames++;
      return;
    }
    const sum = pseudoSum(rx.family, rx.s0, rx.s1, rx.s2, rx.s3, rx.d0, rx.d1, rx.d2, rx.d3, UDP);
    if (check !== 0 && fold(sum + length + sum16(frame, at, length)) !== 0) {
      counts.badChecksums++;
      return;
    }
    counts.udpIn++;
    const port = get16(frame, at);
    const socket = this.#find(get16(frame, at + 2), port, rx.group);
    if (socket === null) {
      if (!rx.group) {
        if (rx.family === 4) icmp.error4(3, 3, 0);
        else icmp.error6(1, 4, 0);
      }
      return;
    }
    const cost = length - 8 + COST;
    if ((socket.shut & 1) !== 0 || socket.queued + cost > socket.receiveBuffer || !pool.charge(cost)) {
      counts.udpDropped++;
      return;
    }
    socket.queued += cost;
    const from = addressOf(rx.family, rx.s0, rx.s1, rx.s2, rx.s3);
    socket.queue.push({ data: frame.slice(at + 8, at + length), from, port });
    this.#engine.raise(socket.number, EVENT_READABLE);
  }

  /** The best match: a connected socket before a bound address before a wildcard. */
  #find(port: number, remotePort: number, group: boolean): UdpSocket | null {
    const { rx } = this.#engine;
    let best: UdpSocket | null = null;
    let bestRank = -1;
    for (const s of this.#ports.get(port) ?? []) {
      if (s.family !== rx.family) continue;
      let rank = 0;
      if (!isUnspecified(s.family, s.local)) {
        if (!group && !same(s.local, rx.d0, rx.d1, rx.d2, rx.d3)) continue;
        rank = 1;
      }
      if (s.remotePort !== 0) {
        if (s.remotePort !== remotePort || !same(s.remote, rx.s0, rx.s1, rx.s2, rx.s3)) continue;
        rank += 2;
      }
      if (rank > bestRank) {
        best = s;
        bestRank = rank;
      }
    }
    return best;
  }

  icmpError(q: Quoted, w0: number, w1: number, w2: number, w3: number): void {
    const { rx, ip } = this.#engine;
    if (q.mtu > 0) {
      ip.learnMtu(rx.family, w0, w1, w2, w3, q.mtu);
      return;
    }
    for (const s of this.#ports.get(q.local) ?? []) {
      // Only a connected socket can be told (RFC 1122 4.1.3.3).
      if (s.family !== rx.family || s.remotePort !== q.remote || !same(s.remote, w0, w1, w2, w3)) continue;
      s.error = q.error;
      this.#engine.raise(s.number, EVENT_ERROR);
    }
  }

  /** Is the port free for this local address? */
  free(family: Family, local: Words, port: number): boolean {
    for (const s of this.#ports.get(port) ?? []) {
      if (s.family !== family) continue;
      if (
        isUnspecified(family, local) ||
        isUnspecified(family, s.local) ||
        same(s.local, local[0], local[1], local[2], local[3])
      )
        return false;
    }
    return true;
  }

  bind(socket: UdpSocket, port: number): void {
    socket.port = port;
    const chain = this.#ports.get(port);
    if (chain === undefined) this.#ports.set(port, [socket]);
    else {
      // In the order of their numbers, which a restore can know: of two that fit equally the first has the datagram.
      const after = chain.findIndex((s) => s.number > socket.number);
      chain.splice(after < 0 ? chain.length : after, 0, socket);
    }
  }

  /** A free port chosen at random (RFC 6056 3.3.2); 0 where there is none. */
  choose(family: Family, local: Words): number {
    const { random } = this.#engine;
    const first = random.below(32_768);
    for (let i = 0; i < 32_768; i++) {
      const port = 32_768 + ((first + i) % 32_768);
      if (this.free(family, local, port)) return port;
    }
    return 0;
  }

  send(socket: UdpSocket, to: Words, port: number, data: Uint8Array): Outcome<void> {
    const { configuration, ip, counts } = this.#engine;
    const { family } = socket;
    if (data.length > 65_535 - 8 - (family === 4 ? 20 : 0)) return { ok: false, error: "message-too-long" };
    if (!configuration.route(family, to[0], to[1], to[2], to[3])) return { ok: false, error: "no-route" };
    const from = isUnspecified(family, socket.local)
      ? configuration.source(family, to[0], to[1], to[2], to[3])?.words
      : socket.local;
    if (from === undefined) return { ok: false, error: "no-route" };
    const packet = new Uint8Array(8 + data.length);
    put16(packet, 0, socket.port);
    put16(packet, 2, port);
    put16(packet, 4, packet.length);
    packet.set(data, 8);
    const sum = pseudoSum(family, from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3], UDP);
    put16(packet, 6, fold(sum + packet.length + sum16(packet, 0, packet.length)) || 0xffff);
    counts.udpOut++;
    ip.send(family, from, to, UDP, packet, socket.hopLimit, socket.trafficClass);
    return { ok: true, value: undefined };
  }

  take(socket: UdpSocket): Datagram | null {
    const first = socket.queue.shift();
    if (first === undefined) return null;
    socket.queued -= first.data.length + COST;
    this.#engine.pool.release(first.data.length + COST);
    return first;
  }

  close(socket: UdpSocket): void {
    this.#engine.pool.release(socket.queued);
    socket.queue = [];
    socket.queued = 0;
    const rest = (this.#ports.get(socket.port) ?? []).filter((s) => s !== socket);
    if (rest.length === 0) this.#ports.delete(socket.port);
    else this.#ports.set(socket.port, rest);
    this.#engine.leave(socket.number);
  }

  clear(): void {
    this.#ports.clear();
  }

  save(s: UdpSocket): StateRecord {
    return {
      kind: "udp",
      family: s.family,
      local: s.local.slice(),
      port: s.port,
      remote: s.remote.slice(),
      remotePort: s.remotePort,
      queue: s.queue.map(({ data, from, port }) => ({ data: data.slice(), from: from.slice(), port })),
      receiveBuffer: s.receiveBuffer,
      hopLimit: s.hopLimit,
      trafficClass: s.trafficClass,
      error: s.error,
      shut: s.shut,
    };
  }
  load(number: number, value: StateValue, path: string): UdpSocket {
    const v = value as unknown as Partial<UdpSocket>;
    if (
      (v.family !== 4 && v.family !== 6) ||
      v.local === undefined ||
      v.remote === undefined ||
      !Array.isArray(v.queue)
    ) {
      throw new SnapshotError(`${path}: expected a UDP socket`);
    }
    const s = new UdpSocket(v.family);
    s.number = number;
    s.local.set(v.local);
    s.remote.set(v.remote);
    s.remotePort = v.remotePort ?? 0;
    s.receiveBuffer = v.receiveBuffer ?? 0;
    s.hopLimit = v.hopLimit ?? 64;
    s.trafficClass = v.trafficClass ?? 0;
    s.error = v.error ?? "closed";
    s.shut = v.shut ?? 0;
    s.queue = v.queue.map(({ data, from, port }) => ({ data: data.slice(), from: from.slice(), port }));
    s.queued = s.queue.reduce((n, d) => n + d.data.length + COST, 0);
    this.#engine.pool.used += s.queued;
    if (v.port !== undefined && v.port !== 0) this.bind(s, v.port);
    return s;
  }
}

function same(w: Words, w0: number, w1: number, w2: number, w3: number): boolean {
  return w[3] === w3 && w[2] === w2 && w[1] === w1 && w[0] === w0;
}
