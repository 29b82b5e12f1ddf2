/** Sending: which segment next (RFC 9293 3.8.6.2.1, RFC 5681, RFC 6675 4 NextSeg), and its bytes. */

import { get16, put16 } from "../../../../net/bytes.ts";
import { MS, NEVER, type Time } from "../../../../sim/index.ts";
import { ETHERNET, writeHeader4 } from "../ip.ts";
import { fold, store, sum16 } from "../words.ts";
import { afterIdle } from "./congestion.ts";
import {
  type Connection,
  ESTABLISHED,
  FIN_WAIT_2,
  LOSS,
  OPEN,
  SACK_RECOVERY,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from "./connection.ts";
import { highestSacked, holeEnd, holeStart, pipe, updateLossEdge } from "./sack.ts";
import { ACK, after, before, CWR, ECE, FIN, PSH, RST, SYN } from "./segment.ts";
import type { Tcp } from "./tcp.ts";

export const RTO_MOST: Time = 60_000 * MS;
const PERSIST_LEAST: Time = 200 * MS;
/** A probe comes no earlier, and so much later where the peer may wait with its acknowledgment (RFC 8985 7.2, WCDelAckT). */
const PROBE_LEAST: Time = 10 * MS;
const PROBE_DELAYED_ACK: Time = 200 * MS;

/** Sends what may be sent now: holes first, then new data, then FIN. */
export function output(t: Tcp, c: Connection): void {
  const { state } = c;
  if (state < ESTABLISHED || state === FIN_WAIT_2 || state === TIME_WAIT) return;
  const { now } = t.engine;
  const { smss } = c;
  const recovering = c.mode === SACK_RECOVERY || c.mode === LOSS;
  let inPipe = 0;
  if (recovering) {
    updateLossEdge(c);
    inPipe = pipe(c);
  } else if (c.sndNxt === c.sndUna && now - c.sentAt > c.rto && c.srtt >= 0) afterIdle(c, t.initialWindow(c));
  c.limited = 0;
  for (;;) {
    const flight = (c.sndNxt - c.sndUna) | 0;
    if (recovering) {
      if (c.cwnd - inPipe < smss && inPipe > 0) {
        c.limited = 1;
        break;
      }
      const sent = retransmitHole(t, c, true);
      if (sent > 0) {
        inPipe += sent;
        continue;
      }
    }
    const left = c.sending.used - ((c.sndNxt - c.sndBase) | 0);
    const fin = c.finQueued !== 0 && left >= 0;
    if (left < 0 || (left === 0 && !fin)) {
      if (recovering) {
        const sent = c.mode === SACK_RECOVERY ? retransmitHole(t, c, false) : 0;
        if (sent > 0) {
          inPipe += sent;
          continue;
        }
      }
      break;
    }
    const window = c.sndWnd - flight;
    let length = left < smss ? left : smss;
    if (length > window) {
      length = window > 0 ? window : 0;
      // Silly window avoidance (3.8.6.2.1): not a piece of what would fit, unless it is half of the largest window seen.
      if (length === 0 || length < c.maxWnd >> 1) {
        if (flight === 0) armPersist(t, c, now);
        break;
      }
    } else if (length === left && length < smss && flight > 0 && c.noDelay === 0 && !fin) break;
    // Nagle (3.7.4): the last short piece waits for the acknowledgment of what is out.
    if (flight > 0 && !recovering) {
      // Limited transmit (RFC 3042): a segment for each of the first two duplicates.
      const extra = c.mode === OPEN && c.dupAcks > 0 && c.dupAcks < 3 ? c.dupAcks * smss : 0;
      if (flight + length > c.cwnd + extra) {
        c.limited = 1;
        break;
      }
    }
    const last = length === left;
    sendData(t, c, c.sndNxt, length, fin && last, false);
    inPipe += length;
    if (fin && last) break;
  }
  if (c.sndNxt !== c.sndUna && c.rtxAt === NEVER) armRetransmission(t, c, now);
}

/** NextSeg rule 1 (`lost`) or rules 3 and 4. Gives the bytes sent. */
function retransmitHole(t: Tcp, c: Connection, lost: boolean): number {
  const from = before(c.highRxt, c.sndUna) ? c.sndUna : c.highRxt;
  const at = holeStart(c, from);
  const limit = lost ? c.lossEdge : highestSacked(c);
  if (before(at, limit)) {
    const end = holeEnd(c, at, lost && c.mode === LOSS ? limit : c.sndNxt);
    return resend(t, c, at, end);
  }
  // Rule 4, once a recovery: the last segment, so that an acknowledgment comes back.
  if (lost || c.rescued !== 0 || !after(c.sndNxt, highestSacked(c)) || c.sacked.length === 0) return 0;
  c.rescued = 1;
  const end = c.sndNxt;
  const start = holeStart(c, (end - c.smss) | 0);
  if (!before(start, end) || before(start, c.sndUna)) return 0;
  const high = c.highRxt;
  const sent = resend(t, c, start, end);
  c.highRxt = high;
  return sent;
}

/** Sends [at, end) once more, as far as one segment takes it, and moves `highRxt`. */
export function resend(t: Tcp, c: Connection, at: number, end: number): number {
  const size = (end - at) | 0;
  const fin = c.finQueued !== 0 && end === c.sndNxt && ((c.sndNxt - c.sndBase) | 0) > c.sending.used;
  const data = fin ? size - 1 : size;
  const length = Math.min(data, c.smss);
  const withFin = fin && length === data;
  sendData(t, c, at, length, withFin, true);
  c.highRxt = (at + length + (withFin ? 1 : 0)) | 0;
  if (at === c.sndUna) {
    c.headAt = t.engine.now;
    c.headNxt = c.sndNxt;
  }
  return length + (withFin ? 1 : 0);
}

/** One segment with data or FIN. New data moves SND.NXT. */
export function sendData(t: Tcp, c: Connection, seq: number, length: number, fin: boolean, again: boolean): void {
  const { now, counts } = t.engine;
  const offset = (seq - c.sndBase) | 0;
  let flags = ACK | (fin ? FIN : 0);
  if (length > 0 && offset + length === c.sending.used) flags |= PSH;
  if (c.reduced !== 0 && !again && length > 0) {
    flags |= CWR;
    c.reduced = 0;
  }
  if (again) {
    counts.tcpRetransmitted++;
    // Karn: what was sent twice measures nothing (RFC 6298 3).
    if (after(c.rttSeq, seq)) c.rttAt = NEVER;
  } else {
    c.sndNxt = (seq + length + (fin ? 1 : 0)) | 0;
    if (c.rttAt === NEVER) {
      c.rttAt = now;
      c.rttSeq = c.sndNxt;
    }
    counts.tcpBytesOut += length;
  }
  c.sentAt = now;
  transmit(t, c, seq, flags, offset, length, c.ecnOk !== 0 && !again && length > 0 ? 2 : 0);
}

export function sendAck(t: Tcp, c: Connection): void {
  transmit(t, c, c.sndNxt, ACK, 0, 0, 0);
}

/** A segment without data under a number of the caller's. */
export function transmitProbe(t: Tcp, c: Connection, seq: number, flags: number): void {
  transmit(t, c, seq, flags, 0, 0, 0);
}

/** The window field for a segment about to be sent; moves the right edge (RFC 9293 3.8.6.2.2). */
function advertise(t: Tcp, c: Connection): number {
  const { pool } = t.engine;
  const room = Math.min(
    c.receiveBuffer - c.receiving.used,
    c.receiving.capacity - c.receiving.used + Math.max(0, pool.limit - pool.used),
  );
  const now = (c.rcvAdv - c.rcvNxt) | 0;
  let window = now;
  // The edge goes on by a segment or half the buffer at least, and never back.
  if (room - now >= Math.min(c.receiveBuffer >> 1, c.rcvMss)) window = room;
  if (window < 0) window = 0;
  const scale = c.state === SYN_SENT || c.state === SYN_RECEIVED ? 0 : c.rcvScale;
  const field = Math.min(0xffff, (window + (1 << scale) - 1) >> scale);
  c.rcvAdv = (c.rcvNxt + (field << scale)) | 0;
  return field;
}

/** Builds and sends a segment of the connection. */
function transmit(
  t: Tcp,
  c: Connection,
  seq: number,
  flags: number,
  offset: number,
  length: number,
  ecn: number,
): void {
  const { engine } = t;
  const { counts } = engine;
  const ip = c.family === 4 ? 20 : 40;
  const at = ETHERNET + ip;
  const blocks = c.early.length === 0 || c.sackOk === 0 ? 0 : Math.min(c.early.length >> 1, c.tsOk !== 0 ? 3 : 4);
  const fits = blocks > 0 && length + 4 + 8 * blocks <= c.smss ? blocks : 0;
  const header = 20 + (c.tsOk !== 0 ? 12 : 0) + (fits > 0 ? 4 + 8 * fits : 0);
  const total = at + header + length;
  const b = engine.frame(total);
  begin(t, c, b, ip + header + length, ecn);
  const window = advertise(t, c);
  b[at] = c.localPort >>> 8;
  b[at + 1] = c.localPort;
  b[at + 2] = c.remotePort >>> 8;
  b[at + 3] = c.remotePort;
  store(b, at + 4, seq);
  store(b, at + 8, c.rcvNxt);
  b[at + 12] = header << 2;
  b[at + 13] = flags | (c.echo !== 0 ? ECE : 0);
  b[at + 14] = window >>> 8;
  b[at + 15] = window;
  let option = at + 20;
  if (c.tsOk !== 0) {
    store(b, option, 0x0101080a);
    store(b, option + 4, (t.timestamp + c.tsOffset) | 0);
    store(b, option + 8, c.tsRecent);
    option += 12;
  }
  if (fits > 0) {
    store(b, option, 0x01010502 + 8 * fits);
    for (let i = 0; i < 2 * fits; i++) store(b, option + 4 + 4 * i, c.early[i]);
  }
  if (length > 0) c.sending.read(offset, b, at + header, length);
  const sum = fold(c.pseudo + header + length + engine.summer.sum(b, at, header + length));
  b[at + 16] = sum >>> 8;
  b[at + 17] = sum;
  counts.tcpSegmentsOut++;
  c.lastAck = c.rcvNxt;
  c.ackNow = 0;
  c.ackAt = NEVER;
  send(t, c, b);
}

/** Ethernet and IP headers. */
function begin(t: Tcp, c: Connection, b: Uint8Array, length: number, ecn: number): void {
  const { mac } = t.engine.configuration;
  for (let i = 0; i < 6; i++) b[6 + i] = mac[i];
  const tos = (c.trafficClass & 0xfc) | ecn;
  if (c.family === 4) {
    writeHeader4(b, c.l3, c.r3, length, 6, c.hopLimit, tos, true);
    return;
  }
  b[12] = 0x86;
  b[13] = 0xdd;
  b[14] = 0x60 | (tos >> 4);
  b[15] = (tos & 15) << 4;
  put16(b, 18, length - 40);
  b[20] = 6;
  b[21] = c.hopLimit;
  store(b, 22, c.l0);
  store(b, 26, c.l1);
  store(b, 30, c.l2);
  store(b, 34, c.l3);
  store(b, 38, c.r0);
  store(b, 42, c.r1);
  store(b, 46, c.r2);
  store(b, 50, c.r3);
}

function send(t: Tcp, c: Connection, b: Uint8Array): void {
  const { neighbours, configuration } = t.engine;
  let { hop } = c;
  if (hop === null || hop.gone) {
    if (!configuration.route(c.family, c.r0, c.r1, c.r2, c.r3)) return;
    const to = configuration.hop;
    if (configuration.owns(c.family, to[0], to[1], to[2], to[3])) {
      // To ourselves: received in the next delta cycle.
      b.set(configuration.mac, 0);
      t.engine.deliverLater(b);
      return;
    }
    hop = c.hop = neighbours.get(c.family, to[0], to[1], to[2], to[3]);
    if (hop === null) return;
  }
  neighbours.output(hop, b);
}

/** SYN, or SYN with ACK, with all options; also the cookie's. `mss`: our own, told. */
export function sendSyn(t: Tcp, c: Connection, cookieTimestamp?: number): void {
  const answer = c.state === SYN_RECEIVED;
  const ip = c.family === 4 ? 20 : 40;
  const at = ETHERNET + ip;
  const scale = answer ? c.scaleOk !== 0 : c.windowScale !== 0;
  const stamps = answer ? c.tsOk !== 0 : c.timestamps !== 0;
  const sack = answer ? c.sackOk !== 0 : c.sack !== 0;
  const header = 20 + 4 + (scale ? 4 : 0) + (stamps ? 12 : 0) + (sack && !stamps ? 4 : 0);
  const b = t.engine.frame(at + header);
  begin(t, c, b, ip + header, 0);
  const window = advertise(t, c);
  let flags = SYN | (answer ? ACK : 0);
  // RFC 3168 6.1.1: ECN-setup SYN and SYN-ACK; a SYN sent again asks no more.
  if (answer ? c.ecnOk !== 0 : c.ecn !== 0 && c.backoff === 0) flags |= answer ? ECE : ECE | CWR;
  put16(b, at, c.localPort);
  put16(b, at + 2, c.remotePort);
  store(b, at + 4, c.iss);
  if (answer) store(b, at + 8, c.rcvNxt);
  b[at + 12] = header << 2;
  b[at + 13] = flags;
  put16(b, at + 14, window);
  let option = at + 20;
  store(b, option, 0x02040000 | t.ourMss(c));
  option += 4;
  if (stamps) {
    store(b, option, sack ? 0x0402080a : 0x0101080a);
    store(b, option + 4, cookieTimestamp ?? (t.timestamp + c.tsOffset) | 0);
    store(b, option + 8, answer ? c.tsRecent : 0);
    option += 12;
  } else if (sack) {
    store(b, option, 0x01010402);
    option += 4;
  }
  if (scale) store(b, option, 0x01030300 | c.rcvScale);
  put16(b, at + 16, fold(c.pseudo + header + sum16(b, at, header)));
  t.engine.counts.tcpSegmentsOut++;
  c.lastAck = c.rcvNxt;
  c.ackNow = 0;
  c.ackAt = NEVER;
  c.sentAt = t.engine.now;
  send(t, c, b);
}

/** RST for a connection of ours (RFC 9293 3.10.5). */
export function sendReset(t: Tcp, c: Connection, seq = c.sndNxt): void {
  t.engine.counts.tcpResetsOut++;
  transmit(t, c, seq, RST | ACK, 0, 0, 0);
}

/** RST in answer to the segment in hand, which belongs to no connection (RFC 9293 3.5.2 group 1). Turned around in a frame of its own. */
export function refuse(t: Tcp): void {
  const { engine, segment } = t;
  const { rx, counts, configuration, ip: internet } = engine;
  if ((segment.flags & RST) !== 0 || rx.group) return;
  counts.tcpResetsOut++;
  counts.tcpSegmentsOut++;
  const from = Int32Array.of(rx.d0, rx.d1, rx.d2, rx.d3);
  const to = Int32Array.of(rx.s0, rx.s1, rx.s2, rx.s3);
  const b = new Uint8Array(20);
  put16(b, 0, segment.localPort);
  put16(b, 2, segment.remotePort);
  b[12] = 0x50;
  if ((segment.flags & ACK) !== 0) {
    store(b, 4, segment.ack);
    b[13] = RST;
  } else {
    const size = segment.length + ((segment.flags & SYN) !== 0 ? 1 : 0) + ((segment.flags & FIN) !== 0 ? 1 : 0);
    store(b, 8, (segment.seq + size) | 0);
    b[13] = RST | ACK;
  }
  put16(b, 16, fold(t.pseudoOf(from, to, rx.family) + 20 + sum16(b, 0, 20)));
  if (get16(b, 2) !== 0 && configuration.addresses.length > 0) internet.send(rx.family, from, to, 6, b, 64);
}

/** Starts the retransmission timer anew (RFC 6298 5), and before it the tail loss probe's where one may be sent (RFC 8985 7.2). */
export function armRetransmission(t: Tcp, c: Connection, now: Time): void {
  c.persist = 0;
  c.probing = 0;
  c.rtxAt = c.rtoAt = now + timeout(c);
  if (mayProbe(c)) {
    const at = now + Math.max(PROBE_LEAST, 2 * c.srtt) + (c.flight <= c.smss ? PROBE_DELAYED_ACK : 0);
    if (at < c.rtoAt) {
      c.rtxAt = at;
      c.probing = 1;
    }
  }
  t.engine.lower(c.number, c.rtxAt);
}

/** Waits for what may only have been overtaken: a quarter of a round trip. */
export function armReordering(t: Tcp, c: Connection, now: Time): void {
  const at = now + Math.max(PROBE_LEAST, c.srtt / 4);
  if (c.rtxAt === NEVER || c.persist !== 0 || at >= c.rtoAt) return;
  c.probing = 2;
  c.rtxAt = Math.ceil(at);
  t.engine.lower(c.number, c.rtxAt);
}

/** RFC 8985 7.2: SACK, no recovery, nothing SACKed, one probe a flight. */
function mayProbe(c: Connection): boolean {
  const quiet = c.mode === OPEN && c.backoff === 0 && c.probed === 0 && c.sacked.length === 0;
  return quiet && c.sackOk !== 0 && c.srtt >= 0 && c.state >= ESTABLISHED && c.flight > 0;
}

/** RFC 8985 7.3: a segment that nobody asked for, new or else the last one again, brings an acknowledgment back which shows what the tail has lost. */
export function tailProbe(t: Tcp, c: Connection, now: Time): void {
  c.probing = 0;
  if (!mayProbe(c)) {
    c.rtxAt = Math.max(now, c.rtoAt);
    t.engine.lower(c.number, c.rtxAt);
    return;
  }
  const left = c.sending.used - ((c.sndNxt - c.sndBase) | 0);
  const length = Math.min(left, c.smss);
  if (length > 0 && c.flight + length <= c.sndWnd) {
    c.probed = 1;
    sendData(t, c, c.sndNxt, length, c.finQueued !== 0 && length === left, false);
  } else {
    const { highRxt, headAt } = c;
    const start = (c.sndNxt - c.smss) | 0;
    c.probed = 2;
    resend(t, c, after(start, c.sndUna) ? start : c.sndUna, c.sndNxt);
    c.highRxt = highRxt;
    c.headAt = headAt;
  }
  c.probeEnd = c.sndNxt;
  armRetransmission(t, c, now);
}

/** The time-out with its backing off (RFC 6298 5.5). */
export function timeout(c: Connection): Time {
  return Math.min(RTO_MOST, c.rto * 2 ** Math.min(c.backoff, 16));
}

/** Nothing is out and the window does not let anything out: ask for news after a while (RFC 9293 3.8.6.1). */
function armPersist(t: Tcp, c: Connection, now: Time): void {
  if (c.rtxAt !== NEVER) return;
  c.persist = 1;
  c.probing = 0;
  c.rtxAt = now + Math.max(PERSIST_LEAST, timeout(c));
  t.engine.lower(c.number, c.rtxAt);
}

/** An acknowledgment out of turn, no more than ten in five seconds a connection (RFC 5961 10). */
export function challenge(t: Tcp, c: Connection): void {
  const { now, counts } = t.engine;
  if (now - c.challengeAt > 5000 * MS) {
    c.challengeAt = now;
    c.challenges = 0;
  }
  if (c.challenges >= 10) return;
  c.challenges++;
  counts.tcpChallengeAcks++;
  sendAck(t, c);
}
