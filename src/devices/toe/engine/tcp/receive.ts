/** Text and FIN of a segment: RFC 9293 3.10.7.4, seventh and eighth; RFC 1122 4.2.3.2 for when to acknowledge. */
import { MS, NEVER } from "../../../../sim/index.ts";
import { EVENT_PEER_CLOSED, EVENT_READABLE } from "../api.ts";
import { CLOSE_WAIT, CLOSING, type Connection, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2 } from "./connection.ts";
import { abortByData } from "./input.ts";
import { noteEarly, takeEarly } from "./sack.ts";
import { after, before, FIN } from "./segment.ts";
import type { Tcp } from "./tcp.ts";

export function receiveData(t: Tcp, c: Connection): void {
  const s = t.segment;
  const { engine } = t;
  const { counts } = engine;
  if (c.finReceived !== 0) {
    // Nothing follows a FIN; a FIN sent again is acknowledged again.
    c.ackNow = 1;
    return;
  }
  let { seq, at, length } = s;
  // A SYN that came with it is old; its number is not the data's.
  if ((s.flags & 2) !== 0) seq = (seq + 1) | 0;
  const end = (seq + length) | 0;
  let fin = (s.flags & FIN) !== 0;
  const old = (c.rcvNxt - seq) | 0;
  if (old > 0) {
    at += old;
    length -= old;
    seq = c.rcvNxt;
    c.ackNow = 1;
    counts.tcpDuplicates++;
  }
  const over = (end - c.rcvAdv) | 0;
  if (over > 0) {
    length -= over;
    fin = false;
    c.ackNow = 1;
  }
  if (length > 0 && c.released !== 0) {
    abortByData(t, c);
    return;
  }
  if (length > c.rcvMss) c.rcvMss = length;
  if (seq !== c.rcvNxt) {
    early(t, c, seq, at, length);
    if (fin) {
      c.finEarly = 1;
      c.finEarlySeq = end;
    }
    return;
  }
  if (length > 0) {
    if (c.shutReceive === 0 && !store(t, c, seq, at, length)) {
      counts.tcpNoMemory++;
      c.ackNow = 1;
      return;
    }
    counts.tcpBytesIn += length;
    const filled = c.early.length > 0;
    advance(c, length);
    if (filled) {
      c.ackNow = 1;
      advance(c, (takeEarly(c) - c.rcvNxt) | 0);
    }
    if (c.shutReceive === 0 && c.parent === 0) engine.raise(c.number, EVENT_READABLE);
  }
  if (fin || (c.finEarly !== 0 && c.finEarlySeq === c.rcvNxt)) takeFin(t, c);
  else if (length > 0 && c.ackNow === 0) {
    // At least every second full-sized segment at once (RFC 1122 4.2.3.2).
    if (c.delayedAck === 0 || ((c.rcvNxt - c.lastAck) | 0) >= 2 * c.rcvMss) c.ackNow = 1;
    else if (c.ackAt === NEVER) {
      c.ackAt = engine.now + c.delayedAck * MS;
      engine.lower(c.number, c.ackAt);
    }
  }
}

function advance(c: Connection, length: number): void {
  c.rcvNxt = (c.rcvNxt + length) | 0;
  if (c.shutReceive === 0) c.receiving.used += length;
}

/** Into the ring, where nothing lies already: what came first stays. */
function store(t: Tcp, c: Connection, seq: number, at: number, length: number): boolean {
  const { pool, rx } = t.engine;
  const base = c.receiving.used;
  if (c.early.length === 0) return c.receiving.write(pool, base + ((seq - c.rcvNxt) | 0), rx.frame, at, length, base);
  const extent = c.extent;
  const end = (seq + length) | 0;
  let from = seq;
  while (before(from, end)) {
    let to = end;
    let inside = false;
    for (let i = 0; i < c.early.length; i += 2) {
      const start = c.early[i];
      const stop = c.early[i + 1];
      if (!after(start, from) && after(stop, from)) {
        from = stop;
        inside = true;
        break;
      }
      if (after(start, from) && before(start, to)) to = start;
    }
    if (inside) continue;
    const size = (to - from) | 0;
    const offset = base + ((from - c.rcvNxt) | 0);
    if (!c.receiving.write(pool, offset, rx.frame, at + ((from - seq) | 0), size, extent)) return false;
    from = to;
  }
  return true;
}

/** Data beyond a gap: kept, and answered at once (RFC 5681 4.2). */
function early(t: Tcp, c: Connection, seq: number, at: number, length: number): void {
  c.ackNow = 1;
  if (length <= 0) return;
  t.engine.counts.tcpOutOfOrder++;
  // Of what nobody will read the numbers are kept all the same: a peer that heard of no early data would send all of it again.
  if (c.shutReceive === 0 && !store(t, c, seq, at, length)) {
    t.engine.counts.tcpNoMemory++;
    return;
  }
  noteEarly(c, seq, (seq + length) | 0);
}

function takeFin(t: Tcp, c: Connection): void {
  c.finReceived = 1;
  c.finEarly = 0;
  c.rcvNxt = (c.rcvNxt + 1) | 0;
  if (before(c.rcvAdv, c.rcvNxt)) c.rcvAdv = c.rcvNxt;
  c.ackNow = 1;
  if (c.released === 0 && c.parent === 0) t.engine.raise(c.number, EVENT_READABLE | EVENT_PEER_CLOSED);
  if (c.state === ESTABLISHED) c.state = CLOSE_WAIT;
  else if (c.state === FIN_WAIT_1) c.state = CLOSING;
  else if (c.state === FIN_WAIT_2) t.enterTimeWait(c);
}
