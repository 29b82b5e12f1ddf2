/** TCP (RFC 9293): the connections of a stack, and what begins and ends them. Segments: input.ts, receive.ts, output.ts; time: timers.ts. */

import { MS, NEVER, SEC, SnapshotError, type StateRecord, type StateValue, type Time } from "../../../../sim/index.ts";
import {
  EVENT_ACCEPTABLE,
  EVENT_CLOSED,
  EVENT_CONNECTED,
  EVENT_ERROR,
  EVENT_WRITABLE,
  type SocketError,
} from "../api.ts";
import type { Engine } from "../engine.ts";
import type { Quoted } from "../icmp.ts";
import { TCP } from "../ip.ts";
import type { Neighbour } from "../neighbours.ts";
import { type Family, fold, KeyedHash, pseudoSum, type Words } from "../words.ts";
import { initialWindow } from "./congestion.ts";
import {
  CLOSED,
  type Connection,
  ESTABLISHED,
  FIN_WAIT_1,
  LISTEN,
  LOSS,
  NONE,
  OPEN,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from "./connection.ts";
import { process } from "./input.ts";
import { toListener } from "./listener.ts";
import { output, refuse, sendReset } from "./output.ts";
import { after, before, Segment } from "./segment.ts";
import { ConnectionTable } from "./table.ts";

/** RFC 6298 2.1. */
const FIRST_RTO: Time = 1 * SEC;
/** A connection nobody owns any more waits that long for the peer's FIN. */
const FIN_WAIT: Time = 60 * SEC;
/** A peer that takes less a segment is given that much: a guard against one that asks for a segment a byte. */
const MSS_LEAST = 64;
const PORT_FIRST = 32_768;

export class Tcp {
  readonly engine: Engine;
  readonly segment = new Segment();
  readonly table: ConnectionTable;
  /** Bound sockets, listeners among them, by port. */
  readonly #bound = new Map<number, Connection[]>();
  /** Numbers of connections in TIME-WAIT, the oldest first. */
  readonly #timeWaits = new Set<number>();
  /** Keys: of the table, and of sequence numbers, ports, timestamps and cookies. */
  readonly #tableHash = new KeyedHash(new Int32Array(2));
  readonly #secret = new KeyedHash(new Int32Array(2));
  /** RFC 6056 3.3.3: how many ports have been given out. */
  #ports = 0;
  #stampAt: Time = -1;
  #stamp = 0;

  constructor(engine: Engine) {
    this.engine = engine;
    this.table = new ConnectionTable(this.#tableHash);
    this.newSecrets();
  }

  newSecrets(): void {
    const { random } = this.engine;
    for (const { key } of [this.#tableHash, this.#secret]) {
      key[0] = random.uint32();
      key[1] = random.uint32();
    }
  }

  /** The timestamp clock, 1 kHz (RFC 7323 5.4). */
  get timestamp(): number {
    const { now } = this.engine;
    if (now !== this.#stampAt) {
      this.#stampAt = now;
      this.#stamp = Math.floor(now / MS) | 0;
    }
    return this.#stamp;
  }

  /** The packet in `rx`. */
  input(): void {
    const { rx, counts } = this.engine;
    const s = this.segment;
    counts.tcpSegmentsIn++;
    if (!s.parse(rx) || s.localPort === 0 || s.remotePort === 0) {
      counts.badFrames++;
      return;
    }
    const pseudo = pseudoSum(rx.family, rx.s0, rx.s1, rx.s2, rx.s3, rx.d0, rx.d1, rx.d2, rx.d3, TCP);
    if (fold(pseudo + rx.length + this.engine.summer.sum(rx.frame, rx.at, rx.length)) !== 0) {
      counts.badChecksums++;
      return;
    }
    const c = this.table.find(rx.d0, rx.d1, rx.d2, rx.d3, s.localPort, rx.s0, rx.s1, rx.s2, rx.s3, s.remotePort);
    if (c !== null) process(this, c);
    else this.#unclaimed();
  }

  #unclaimed(): void {
    const l = this.#listenerFor();
    if (l?.listener) toListener(this, l, l.listener);
    else refuse(this);
  }

  #listenerFor(): Connection | null {
    const { rx } = this.engine;
    let found: Connection | null = null;
    for (const c of this.#bound.get(this.segment.localPort) ?? []) {
      if (c.state !== LISTEN || c.family !== rx.family) continue;
      if (c.l3 === rx.d3 && c.l2 === rx.d2 && c.l1 === rx.d1 && c.l0 === rx.d0) return c;
      if (anyLocal(c)) found = c;
    }
    return found;
  }

  pseudoOf(a: Words, b: Words, family: Family): number {
    return pseudoSum(family, a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], TCP);
  }

  /** The largest segment this side takes, and sends on this path (RFC 9293 3.7.1). */
  ourMss(c: Connection): number {
    const { ip } = this.engine;
    const mss = ip.pathMtu(c.family, c.r0, c.r1, c.r2, c.r3) - (c.family === 4 ? 40 : 60);
    return c.mssLimit > 0 ? Math.min(mss, c.mssLimit) : mss;
  }

  initialWindow(c: Connection): number {
    return this.engine.options.initialWindow || initialWindow(c.smss);
  }

  /** What the SYN in hand and the options of `own` agree on. */
  agree(c: Connection, own: Connection): void {
    const s = this.segment;
    c.peerMss = Math.max(MSS_LEAST, s.mss || (c.family === 4 ? 536 : 1220));
    c.scaleOk = s.scale >= 0 && own.windowScale !== 0 ? 1 : 0;
    c.sndScale = c.scaleOk !== 0 ? s.scale : 0;
    if (c.state !== SYN_SENT) c.rcvScale = scaleOf(c);
    if (c.scaleOk === 0) c.rcvScale = 0;
    c.sackOk = s.sackPermitted && own.sack !== 0 ? 1 : 0;
    c.tsOk = s.timestamped && own.timestamps !== 0 ? 1 : 0;
    if (c.tsOk !== 0) {
      c.tsRecent = s.tsVal;
      c.tsRecentAt = this.engine.now;
    }
    this.setMss(c);
  }

  setMss(c: Connection): void {
    c.smss = Math.max(MSS_LEAST, Math.min(c.peerMss, this.ourMss(c))) - (c.tsOk !== 0 ? 12 : 0);
  }

  /** A record that knows its addresses: what depends on these. */
  prepare(c: Connection): void {
    c.tsOffset = this.secretHash(c, 1, 0);
    c.rto = FIRST_RTO;
    c.rcvScale = scaleOf(c);
    c.heardAt = c.sentAt = this.engine.now;
  }

  /** RFC 6528: a clock of 4 microseconds and a keyed hash of the four-tuple. */
  initialSequence(c: Connection): number {
    return (Math.floor(this.engine.now / 40_000) + this.secretHash(c, 0, 0)) | 0;
  }

  secretHash(c: Connection, purpose: number, more: number): number {
    const h = this.#secret;
    h.start();
    h.word(purpose);
    h.word(more);
    h.word(c.l3);
    h.word(c.r3);
    if (c.family === 6) {
      h.word(c.l0);
      h.word(c.l1);
      h.word(c.l2);
      h.word(c.r0);
      h.word(c.r1);
      h.word(c.r2);
    }
    h.word((c.localPort << 16) | c.remotePort);
    return h.finish();
  }

  /** Gives the connection a number and a place in the table. A connection in TIME-WAIT makes room where the quota is used up. */
  enter(c: Connection): boolean {
    if (!this.number(c)) return false;
    this.table.add(c);
    return true;
  }

  number(c: Connection): boolean {
    let number = this.engine.enter(c);
    if (number === 0) {
      for (const oldest of this.#timeWaits) {
        const old = this.engine.sockets[oldest];
        if (old?.kind !== "tcp" || old.released === 0) continue;
        this.finish(old, "closed");
        break;
      }
      number = this.engine.enter(c);
    }
    c.number = number;
    return number !== 0;
  }

  inherit(c: Connection, l: Connection): void {
    c.noDelay = l.noDelay;
    c.keepAlive = l.keepAlive;
    c.keepIdle = l.keepIdle;
    c.keepInterval = l.keepInterval;
    c.keepCount = l.keepCount;
    c.sendBuffer = l.sendBuffer;
    c.receiveBuffer = l.receiveBuffer;
    c.cubic = l.cubic;
    c.ecn = l.ecn;
    c.sack = l.sack;
    c.timestamps = l.timestamps;
    c.windowScale = l.windowScale;
    c.mssLimit = l.mssLimit;
    c.delayedAck = l.delayedAck;
    c.userTimeout = l.userTimeout;
    c.hopLimit = l.hopLimit;
    c.trafficClass = l.trafficClass;
  }

  /** SYN-RECEIVED to ESTABLISHED by the acknowledgment in hand. False: nobody has room for it; the peer tries again. */
  establish(c: Connection): boolean {
    const { engine, segment } = this;
    const l = c.parent === 0 ? null : engine.sockets[c.parent];
    const listener = l?.kind === "tcp" ? l.listener : null;
    if (listener !== null && l !== null) {
      if (listener.ready.length >= listener.backlog) {
        engine.counts.tcpBacklogDrops++;
        return false;
      }
      listener.half--;
      listener.ready.push(c.number);
      engine.counts.tcpAccepted++;
      engine.raise(l.number, EVENT_ACCEPTABLE);
    }
    const lost = c.backoff > 0;
    // The acknowledgment of a SYN opens no window (RFC 5681 3.1).
    c.sndUna = segment.ack;
    if (!lost && c.rttAt !== NEVER) this.#firstSample(c, engine.now - c.rttAt);
    if (lost) c.rto = 3 * SEC;
    c.rttAt = NEVER;
    c.rtxAt = NEVER;
    c.backoff = 0;
    c.stalledAt = NEVER;
    c.hop?.confirm(engine.now);
    this.begin(c, lost);
    if (listener === null) engine.raise(c.number, EVENT_CONNECTED | EVENT_WRITABLE);
    return true;
  }

  #firstSample(c: Connection, sample: Time): void {
    c.srtt = sample;
    c.rttvar = Math.floor(sample / 2);
    c.rto = Math.max(this.engine.options.minimumRto, c.srtt + Math.max(MS, 4 * c.rttvar));
  }

  /** The connection is open. RFC 6928 2: one segment where a SYN was lost. */
  begin(c: Connection, lost = false): void {
    c.state = c.finQueued !== 0 ? FIN_WAIT_1 : ESTABLISHED;
    c.mode = OPEN;
    c.cwnd = lost ? c.smss : this.initialWindow(c);
    c.highRxt = c.recover = c.lossEdge = c.ecnRecover = c.sndUna;
    c.rcvMss = Math.min(536, c.smss);
    this.engine.counts.tcpOpens++;
    this.keepAlive(c);
  }

  keepAlive(c: Connection): void {
    const at = Math.max(this.engine.now, c.heardAt + c.keepIdle * SEC);
    c.keepAt = c.keepAlive !== 0 && c.state >= ESTABLISHED ? at : NEVER;
    if (c.keepAt !== NEVER) this.engine.lower(c.number, c.keepAt);
  }

  enterTimeWait(c: Connection): void {
    c.state = TIME_WAIT;
    c.sending.free(this.engine.pool);
    c.sacked = NONE as number[];
    c.rtxAt = c.keepAt = NEVER;
    c.persist = 0;
    this.#timeWaits.add(c.number);
    this.linger(c);
    this.engine.raise(c.number, EVENT_CLOSED);
  }

  /** Starts the wait of TIME-WAIT (3.6.1), or of FIN-WAIT-2 where nobody owns the connection. */
  linger(c: Connection): void {
    c.lingerAt = this.engine.now + (c.state === TIME_WAIT ? 2 * this.engine.options.segmentLifetime : FIN_WAIT);
    this.engine.lower(c.number, c.lingerAt);
  }

  /** A new SYN for a connection in TIME-WAIT, which ends here if somebody listens. */
  reopen(c: Connection): boolean {
    const l = this.#listenerFor();
    if (!l?.listener) return false;
    this.finish(c, "closed");
    toListener(this, l, l.listener);
    return true;
  }

  /** A connection made from a cookie goes on with the segment in hand. */
  continueWith(c: Connection): void {
    process(this, c);
  }

  /** The connection is gone: CLOSED, without a word to the peer. */
  finish(c: Connection, error: SocketError): void {
    if (c.state === CLOSED) return;
    const { engine } = this;
    const { state, number, parent } = c;
    if (state === LISTEN) this.#unlisten(c);
    else this.table.remove(c);
    this.unbind(c);
    if (state === TIME_WAIT) this.#timeWaits.delete(number);
    c.state = CLOSED;
    c.hop = null;
    c.sending.free(engine.pool);
    c.sacked = NONE as number[];
    c.early = NONE as number[];
    if (error !== "closed" || c.released !== 0 || parent !== 0) c.receiving.free(engine.pool);
    c.rtxAt = c.ackAt = c.keepAt = c.lingerAt = NEVER;
    c.persist = 0;
    c.error = error;
    engine.timers.remove(number);
    if (parent !== 0) {
      const l = engine.sockets[parent];
      if (l?.kind === "tcp" && l.listener) {
        if (state === SYN_RECEIVED) l.listener.half--;
        else l.listener.ready.splice(l.listener.ready.indexOf(number), 1);
      }
      engine.leave(number);
      return;
    }
    if (state !== TIME_WAIT)
      engine.raise(number, EVENT_CLOSED | (error === "closed" || c.released !== 0 ? 0 : EVENT_ERROR));
    if (c.released !== 0) engine.leave(number);
  }

  #unlisten(l: Connection): void {
    const { listener } = l;
    l.listener = null;
    if (listener === null) return;
    for (const socket of this.engine.sockets) {
      if (socket?.kind !== "tcp" || socket.parent !== l.number) continue;
      sendReset(this, socket);
      this.finish(socket, "aborted");
    }
  }

  bind(c: Connection): void {
    c.bound = 1;
    const chain = this.#bound.get(c.localPort);
    if (chain === undefined) this.#bound.set(c.localPort, [c]);
    else chain.push(c);
  }
  unbind(c: Connection): void {
    if (c.bound === 0) return;
    c.bound = 0;
    const chain = this.#bound.get(c.localPort);
    if (chain === undefined) return;
    const rest = chain.filter((d) => d !== c);
    if (rest.length === 0) this.#bound.delete(c.localPort);
    else this.#bound.set(c.localPort, rest);
  }

  /** May a socket be bound to this address and port? */
  free(family: Family, w: Words, port: number): boolean {
    for (const c of this.#bound.get(port) ?? []) {
      if (c.family !== family) continue;
      if (anyLocal(c) || (c.l3 === w[3] && c.l2 === w[2] && c.l1 === w[1] && c.l0 === w[0])) return false;
      if (w[3] === 0 && (family === 4 || (w[0] | w[1] | w[2]) === 0)) return false;
    }
    return true;
  }

  /** RFC 6056 3.3.3, for a connection whose other three are known; 0 where all ports are taken. */
  choosePort(c: Connection): number {
    const first = this.secretHash(c, 3, 0) + this.#ports;
    for (let i = 0; i < PORT_FIRST; i++) {
      const port = PORT_FIRST + ((first + i) & (PORT_FIRST - 1));
      if (this.#bound.has(port)) continue;
      if (this.table.find(c.l0, c.l1, c.l2, c.l3, port, c.r0, c.r1, c.r2, c.r3, c.remotePort) !== null) continue;
      this.#ports = (this.#ports + i + 1) | 0;
      return port;
    }
    return 0;
  }

  /** A neighbour does not answer: connections being opened end, others go on trying (RFC 1122 4.2.3.9). */
  hopFailed(hop: Neighbour): void {
    for (const c of [...this.engine.sockets]) {
      if (c?.kind !== "tcp" || c.hop !== hop) continue;
      if (c.state === SYN_SENT) this.finish(c, "unreachable");
      else c.hop = null;
    }
  }

  icmpError(q: Quoted, w0: number, w1: number, w2: number, w3: number): void {
    const { rx, ip } = this.engine;
    const c = this.table.find(rx.d0, rx.d1, rx.d2, rx.d3, q.local, w0, w1, w2, w3, q.remote);
    // RFC 5927 4.1.
    if (c === null || before(q.sequence, c.sndUna) || after(q.sequence, c.sndNxt) || c.state === TIME_WAIT) return;
    if (q.mtu > 0) {
      if (ip.learnMtu(c.family, w0, w1, w2, w3, q.mtu)) this.#smaller(c);
      return;
    }
    // RFC 5927 6: hard errors end only what is not yet open.
    if (q.hard && c.state === SYN_SENT) this.finish(c, q.error);
  }

  /** RFC 8201 5.4: smaller segments, and what is out again at once, without a change of window. */
  #smaller(c: Connection): void {
    const old = c.smss;
    this.setMss(c);
    if (c.smss >= old || c.flight === 0 || c.state < ESTABLISHED) return;
    c.mode = LOSS;
    c.recover = c.sndNxt;
    c.highRxt = c.sndUna;
    c.rttAt = NEVER;
    output(this, c);
  }

  /** Connections from addresses no longer ours end. */
  readdress(): void {
    const { configuration, sockets } = this.engine;
    for (const c of [...sockets]) {
      if (c?.kind !== "tcp" || c.state <= LISTEN) continue;
      c.hop = null;
      if (!configuration.owns(c.family, c.l0, c.l1, c.l2, c.l3)) this.finish(c, "address-not-available");
    }
  }

  clear(): void {
    this.table.clear();
    this.#bound.clear();
    this.#timeWaits.clear();
    this.#ports = 0;
    this.#stampAt = -1;
  }

  save(): StateRecord {
    return {
      tableKey: this.#tableHash.key.slice(),
      secret: this.#secret.key.slice(),
      ports: this.#ports,
      timeWaits: [...this.#timeWaits],
      // What is acknowledged confirms the neighbour that was sent to, before anything is sent again.
      hops: this.engine.sockets.flatMap((c) =>
        c?.kind !== "tcp" || c.hop === null || c.hop.gone ? [] : { socket: c.number, words: c.hop.words.slice() },
      ),
    };
  }
  /** After the sockets and the neighbours have been restored. */
  load(value: StateValue, path: string): void {
    const { tableKey, secret, ports, timeWaits, hops } = value as StateRecord;
    if (
      !(tableKey instanceof Int32Array) ||
      !(secret instanceof Int32Array) ||
      typeof ports !== "number" ||
      !Array.isArray(timeWaits) ||
      !Array.isArray(hops)
    ) {
      throw new SnapshotError(`${path}: expected keys, ports and lists`);
    }
    this.clear();
    this.#tableHash.key.set(tableKey);
    this.#secret.key.set(secret);
    this.#ports = ports;
    for (const number of timeWaits) this.#timeWaits.add(Number(number));
    for (const c of this.engine.sockets) {
      if (c?.kind !== "tcp") continue;
      if (c.state > LISTEN) this.table.add(c);
      if (c.bound !== 0) this.bind(c);
    }
    for (const { socket, words } of hops as { socket: number; words: Int32Array }[]) {
      const c = this.engine.sockets[socket];
      if (c?.kind === "tcp") c.hop = this.engine.neighbours.find(c.family, words[0], words[1], words[2], words[3]);
    }
  }
}

/** The least shift that lets the whole buffer be told (RFC 7323 2.3). */
export function scaleOf(c: Connection): number {
  let scale = 0;
  while (scale < 14 && c.receiveBuffer >> scale > 0xffff) scale++;
  return scale;
}

function anyLocal(c: Connection): boolean {
  return c.l3 === 0 && (c.family === 4 || (c.l0 | c.l1 | c.l2) === 0);
}
