/** What happens when a connection's time has come: retransmission (RFC 6298), probes (RFC 9293 3.8.4, 3.8.6.1), the delayed acknowledgment, ends. */
import { MS, NEVER, SEC, type Time } from "../../../../sim/index.ts";
import { reduce } from "./congestion.ts";
import { CLOSED, type Connection, ESTABLISHED, LOSS, NONE, SYN_RECEIVED, SYN_SENT } from "./connection.ts";
import { onReordering } from "./input.ts";
import {
  armRetransmission,
  output,
  sendAck,
  sendData,
  sendReset,
  sendSyn,
  tailProbe,
  timeout,
  transmitProbe,
} from "./output.ts";
import { ACK, after } from "./segment.ts";
import type { Tcp } from "./tcp.ts";

/** Retransmissions of data, of SYN (at least 3 minutes: RFC 9293 3.8.3 R2) and of SYN-ACK before giving up. */
const DATA_TRIES = 15;
const SYN_TRIES = 7;
const SYN_ACK_TRIES = 5;

export function onTimer(t: Tcp, c: Connection): void {
  const { now } = t.engine;
  if (c.ackAt <= now) sendAck(t, c);
  if (c.rtxAt <= now) {
    c.rtxAt = NEVER;
    if (c.persist !== 0) probe(t, c, now);
    else if (c.probing === 1) tailProbe(t, c, now);
    else if (c.probing === 2) onReordering(t, c, now);
    else expire(t, c, now);
  }
  if (c.state !== CLOSED && c.keepAt <= now) keepAlive(t, c, now);
  if (c.state !== CLOSED && c.lingerAt <= now) t.finish(c, "closed");
  if (c.state === CLOSED) return;
  const next = Math.min(c.rtxAt, c.ackAt, c.keepAt, c.lingerAt);
  if (next < NEVER) t.engine.lower(c.number, next);
}

function overdue(c: Connection, now: Time, tries: number): boolean {
  if (c.stalledAt === NEVER) c.stalledAt = now - timeout(c);
  return c.userTimeout > 0 ? now - c.stalledAt >= c.userTimeout * MS : c.backoff >= tries;
}

/** RFC 6298 5.4 to 5.7, RFC 5681 3.1 (4). */
function expire(t: Tcp, c: Connection, now: Time): void {
  const opening = c.state === SYN_SENT || c.state === SYN_RECEIVED;
  if (overdue(c, now, c.state === SYN_SENT ? SYN_TRIES : c.state === SYN_RECEIVED ? SYN_ACK_TRIES : DATA_TRIES)) {
    t.finish(c, "timed-out");
    return;
  }
  t.engine.counts.tcpTimeouts++;
  c.rttAt = NEVER;
  c.backoff++;
  if (opening) {
    t.engine.counts.tcpRetransmitted++;
    sendSyn(t, c);
    armRetransmission(t, c, now);
    return;
  }
  // The threshold goes down once for a window of data, not again for a segment lost twice.
  if (c.mode !== LOSS) reduce(c, c.flight);
  // A receiver that has SACKed what it now misses has reneged (RFC 6675 5.1, RFC 2018 8).
  if (c.sacked.length > 0 && !after(c.sacked[0], c.sndUna)) c.sacked = NONE as number[];
  c.mode = LOSS;
  c.probed = 0;
  c.cwnd = c.smss;
  c.recover = c.sndNxt;
  c.highRxt = c.sndUna;
  c.dupAcks = 0;
  c.rescued = 0;
  output(t, c);
  armRetransmission(t, c, now);
}

/** One octet into a closed window; or a piece that silly window avoidance held back (3.8.6.2.1 (4)). */
function probe(t: Tcp, c: Connection, now: Time): void {
  const left = c.sending.used - ((c.sndNxt - c.sndBase) | 0);
  c.persist = 0;
  if (c.state < ESTABLISHED || c.flight > 0 || left < 0 || (left === 0 && c.finQueued === 0)) {
    output(t, c);
    return;
  }
  if (c.userTimeout > 0 && overdue(c, now, 1)) {
    t.finish(c, "timed-out");
    return;
  }
  const length = Math.min(left, Math.max(1, Math.min(c.sndWnd, c.smss)));
  const { sndNxt } = c;
  sendData(t, c, sndNxt, length, left === 0, false);
  c.rttAt = NEVER;
  // The octet counts as sent only where it was inside the window.
  if (c.sndWnd === 0 && length > 0) c.sndNxt = sndNxt;
  if (c.flight > 0) {
    armRetransmission(t, c, now);
    return;
  }
  c.backoff++;
  c.persist = 1;
  c.rtxAt = now + Math.max(200 * MS, timeout(c));
}

function keepAlive(t: Tcp, c: Connection, now: Time): void {
  if (c.keepAlive === 0 || c.state < ESTABLISHED) {
    c.keepAt = NEVER;
    return;
  }
  const due = c.heardAt + c.keepIdle * SEC + c.keepProbes * c.keepInterval * SEC;
  if (now < due || c.flight > 0) {
    c.keepAt = c.flight > 0 ? now + c.keepIdle * SEC : due;
    return;
  }
  if (c.keepProbes >= c.keepCount) {
    sendReset(t, c);
    t.finish(c, "timed-out");
    return;
  }
  c.keepProbes++;
  transmitProbe(t, c, (c.sndNxt - 1) | 0, ACK);
  c.keepAt = now + c.keepInterval * SEC;
}
