/**
 * Segments for a listener (RFC 9293 3.10.7.2). The backlog bounds connections in SYN-RECEIVED; beyond it SYNs are answered from no memory at
 * all (RFC 4987 3.6): the initial sequence number carries the time in units of 64 s (5 bits), an index of the MSS (3 bits) and a keyed
 * hash (24 bits); window scale, SACK and ECN ride in the low bits of the timestamp where the peer sends one.
 */

import { SEC, type Time } from "../../../../sim/index.ts";
import { Connection, type Listener, SYN_RECEIVED } from "./connection.ts";
import { armRetransmission, refuse, sendSyn } from "./output.ts";
import { ACK, CWR, ECE, FIN, RST, SYN } from "./segment.ts";
import type { Tcp } from "./tcp.ts";

const COOKIE_UNIT: Time = 64 * SEC;
/** Sizes a cookie can tell, in ascending order. */
const COOKIE_MSS: readonly number[] = [88, 536, 1220, 1300, 1400, 1440, 1460, 8940];

/** A segment for the listener `l` that no connection claims. */
export function toListener(t: Tcp, l: Connection, listener: Listener): void {
  const s = t.segment;
  const { counts } = t.engine;
  const { flags } = s;
  if ((flags & RST) !== 0) return;
  if ((flags & ACK) !== 0) {
    if ((flags & SYN) !== 0 || !fromCookie(t, l, listener)) refuse(t);
    return;
  }
  if ((flags & SYN) === 0 || (flags & FIN) !== 0) {
    counts.badFrames++;
    return;
  }
  if (listener.ready.length >= listener.backlog) {
    counts.tcpBacklogDrops++;
    return;
  }
  const c = fresh(t, l);
  c.irs = s.seq;
  c.rcvNxt = (s.seq + 1) | 0;
  c.rcvAdv = (c.rcvNxt + Math.min(0xffff, c.receiveBuffer)) | 0;
  c.state = SYN_RECEIVED;
  t.agree(c, l);
  c.ecnOk = l.ecn !== 0 && (flags & (ECE | CWR)) === (ECE | CWR) ? 1 : 0;
  if (listener.half >= listener.backlog || !t.enter(c)) {
    sendCookie(t, c, listener);
    return;
  }
  listener.half++;
  c.parent = l.number;
  c.iss = t.initialSequence(c);
  c.sndUna = c.iss;
  c.sndNxt = c.sndBase = (c.iss + 1) | 0;
  c.sndWnd = c.maxWnd = s.window;
  c.rttAt = t.engine.now;
  c.rttSeq = c.sndNxt;
  sendSyn(t, c);
  armRetransmission(t, c, t.engine.now);
}

/** A connection with the listener's options and the segment's addresses. */
function fresh(t: Tcp, l: Connection): Connection {
  const { rx } = t.engine;
  const c = new Connection(rx.family);
  t.inherit(c, l);
  c.l0 = rx.d0;
  c.l1 = rx.d1;
  c.l2 = rx.d2;
  c.l3 = rx.d3;
  c.r0 = rx.s0;
  c.r1 = rx.s1;
  c.r2 = rx.s2;
  c.r3 = rx.s3;
  c.localPort = t.segment.localPort;
  c.remotePort = t.segment.remotePort;
  c.setPseudo();
  t.prepare(c);
  return c;
}

function cookie(t: Tcp, c: Connection, sequence: number, time: number, index: number): number {
  const head = ((time & 31) << 27) | (index << 24);
  return head | (t.secretHash(c, 2, sequence ^ head) & 0xffffff);
}

function sendCookie(t: Tcp, c: Connection, listener: Listener): void {
  const { now, counts } = t.engine;
  let index = COOKIE_MSS.length - 1;
  while (index > 0 && COOKIE_MSS[index] > c.peerMss) index--;
  counts.tcpCookiesSent++;
  listener.cookieAt = now;
  c.iss = cookie(t, c, c.irs, Math.floor(now / COOKIE_UNIT), index);
  let stamp: number | undefined;
  if (c.tsOk === 0) {
    c.sackOk = 0;
    c.scaleOk = 0;
    c.ecnOk = 0;
  } else {
    const bits = (c.scaleOk !== 0 ? c.sndScale : 15) | (c.sackOk << 4) | (c.ecnOk << 5);
    let raw = (t.timestamp & ~63) | bits;
    if (((raw - t.timestamp) | 0) > 0) raw = (raw - 64) | 0;
    stamp = (raw + c.tsOffset) | 0;
  }
  sendSyn(t, c, stamp);
}

/** The acknowledgment of a cookie makes the connection. */
function fromCookie(t: Tcp, l: Connection, listener: Listener): boolean {
  const s = t.segment;
  const { now, counts } = t.engine;
  if (listener.cookieAt === 0 || now - listener.cookieAt > 2 * COOKIE_UNIT) return false;
  const c = fresh(t, l);
  const iss = (s.ack - 1) | 0;
  const time = Math.floor(now / COOKIE_UNIT);
  const age = (time - (iss >>> 27)) & 31;
  const index = (iss >>> 24) & 7;
  if (age > 1 || cookie(t, c, (s.seq - 1) | 0, time - age, index) !== iss) {
    counts.tcpCookiesRejected++;
    return false;
  }
  if (listener.ready.length >= listener.backlog) {
    counts.tcpBacklogDrops++;
    return true;
  }
  c.irs = (s.seq - 1) | 0;
  c.rcvNxt = s.seq;
  c.rcvAdv = (c.rcvNxt + Math.min(0xffff, c.receiveBuffer)) | 0;
  c.state = SYN_RECEIVED;
  s.mss = COOKIE_MSS[index];
  s.scale = -1;
  s.sackPermitted = false;
  if (s.timestamped && l.timestamps !== 0) {
    const bits = (s.tsEcr - c.tsOffset) & 63;
    if ((bits & 15) !== 15) s.scale = bits & 15;
    s.sackPermitted = (bits & 16) !== 0;
    c.ecnOk = (bits >> 5) & l.ecn & 1;
  }
  t.agree(c, l);
  if (!t.enter(c)) {
    counts.tcpBacklogDrops++;
    return true;
  }
  counts.tcpCookiesAccepted++;
  listener.half++;
  c.parent = l.number;
  c.iss = iss;
  c.sndUna = iss;
  c.sndNxt = c.sndBase = (iss + 1) | 0;
  c.maxWnd = s.window << c.sndScale;
  t.continueWith(c);
  return true;
}
