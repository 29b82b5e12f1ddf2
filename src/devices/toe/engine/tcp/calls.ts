/** The owner's calls on TCP sockets: RFC 9293 3.9.1 and 3.10.1 to 3.10.6. */
import { EVENT_READABLE, type Outcome, type SocketError } from "../api.ts";
import { isGroup, isUnspecified, type Words } from "../words.ts";
import {
  CLOSE_WAIT,
  CLOSED,
  type Connection,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  LISTEN,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from "./connection.ts";
import { armRetransmission, output, sendAck, sendReset, sendSyn } from "./output.ts";
import type { Tcp } from "./tcp.ts";

const DONE: Outcome<void> = Object.freeze({ ok: true, value: undefined });

export function fail(error: SocketError): { readonly ok: false; readonly error: SocketError } {
  return { ok: false, error };
}

export function bind(t: Tcp, c: Connection, w: Words, port: number): Outcome<void> {
  if (c.state !== CLOSED || c.bound !== 0 || c.error !== "closed") return fail("wrong-state");
  if (!isUnspecified(c.family, w) && !t.engine.configuration.owns(c.family, w[0], w[1], w[2], w[3]))
    return fail("address-not-available");
  let chosen = port;
  for (let i = 0; chosen === 0 && i < 32_768; i++) {
    const candidate = 32_768 + t.engine.random.below(32_768);
    if (t.free(c.family, w, candidate)) chosen = candidate;
  }
  if (chosen === 0 || !t.free(c.family, w, chosen)) return fail("address-in-use");
  setLocal(c, w);
  c.localPort = chosen;
  t.bind(c);
  return DONE;
}

function setLocal(c: Connection, w: Words): void {
  c.l0 = w[0];
  c.l1 = w[1];
  c.l2 = w[2];
  c.l3 = w[3];
}

export function listen(_t: Tcp, c: Connection, backlog: number): Outcome<void> {
  if (!Number.isInteger(backlog) || backlog < 0) return fail("invalid");
  if (c.listener !== null) {
    c.listener.backlog = Math.max(1, backlog);
    return DONE;
  }
  if (c.state !== CLOSED || c.bound === 0) return fail("wrong-state");
  c.state = LISTEN;
  c.listener = { backlog: Math.max(1, backlog), ready: [], half: 0, cookieAt: 0 };
  return DONE;
}

export function accept(t: Tcp, l: Connection): Outcome<number> {
  if (l.listener === null) return fail("wrong-state");
  const number = l.listener.ready.shift();
  if (number === undefined) return fail("would-block");
  const c = t.engine.sockets[number];
  if (c?.kind === "tcp") {
    c.parent = 0;
    // What came before anyone could be told.
    if (c.receiving.used > 0 || c.finReceived !== 0) t.engine.raise(number, EVENT_READABLE);
  }
  return { ok: true, value: number };
}

export function connect(t: Tcp, c: Connection, w: Words, port: number): Outcome<void> {
  const { configuration, now } = t.engine;
  if (c.state !== CLOSED || c.irs !== 0 || c.iss !== 0) return fail("wrong-state");
  if (port < 1 || port > 0xffff || isUnspecified(c.family, w) || isGroup(c.family, w[0], w[3])) return fail("invalid");
  if (c.family === 4 && configuration.isBroadcast(w[3])) return fail("invalid");
  if (!configuration.route(c.family, w[0], w[1], w[2], w[3])) return fail("no-route");
  if (c.bound === 0 || isUnspecified(c.family, Int32Array.of(c.l0, c.l1, c.l2, c.l3))) {
    const source = configuration.source(c.family, w[0], w[1], w[2], w[3]);
    if (source === null) return fail("no-route");
    setLocal(c, source.words);
  }
  c.r0 = w[0];
  c.r1 = w[1];
  c.r2 = w[2];
  c.r3 = w[3];
  c.remotePort = port;
  if (c.bound === 0) {
    c.localPort = 0;
    c.localPort = t.choosePort(c);
    if (c.localPort === 0) return fail("address-in-use");
  } else if (t.table.find(c.l0, c.l1, c.l2, c.l3, c.localPort, c.r0, c.r1, c.r2, c.r3, port) !== null)
    return fail("address-in-use");
  c.setPseudo();
  t.prepare(c);
  c.state = SYN_SENT;
  t.table.add(c);
  c.iss = t.initialSequence(c);
  c.sndUna = c.iss;
  c.sndNxt = c.sndBase = (c.iss + 1) | 0;
  c.rttAt = now;
  c.rttSeq = c.sndNxt;
  sendSyn(t, c);
  armRetransmission(t, c, now);
  return DONE;
}

export function send(t: Tcp, c: Connection, data: Uint8Array): Outcome<number> {
  if (c.state === LISTEN) return fail("wrong-state");
  if (c.state === CLOSED) return fail(c.iss === 0 && c.irs === 0 ? "wrong-state" : c.error);
  if (c.finQueued !== 0 || c.state === TIME_WAIT) return fail("closed");
  const room = c.sendBuffer - c.sending.used;
  const length = Math.min(room, data.length);
  if (length < data.length) c.wantsRoom = 1;
  if (length <= 0) return data.length === 0 ? { ok: true, value: 0 } : fail("would-block");
  if (!c.sending.write(t.engine.pool, c.sending.used, data, 0, length, c.sending.used)) {
    c.wantsRoom = 1;
    return fail("no-memory");
  }
  c.sending.used += length;
  output(t, c);
  return { ok: true, value: length };
}

export function receive(t: Tcp, c: Connection, most: number): Outcome<Uint8Array> {
  if (!(most >= 0)) return fail("invalid");
  const length = Math.min(Math.floor(most), c.receiving.used);
  if (c.receiving.used === 0) {
    if (c.state === LISTEN || (c.state === CLOSED && c.iss === 0 && c.irs === 0)) return fail("wrong-state");
    if (c.finReceived !== 0 || c.shutReceive !== 0) return { ok: true, value: new Uint8Array(0) };
    return fail(c.state === CLOSED ? c.error : "would-block");
  }
  const data = t.engine.cut(length);
  c.receiving.read(0, data, 0, length);
  c.receiving.drop(t.engine.pool, length, c.early.length > 0);
  // A window that opens by two segments, or by half the buffer, is worth a segment (RFC 9293 3.8.6.2.2).
  if (c.state >= ESTABLISHED && c.state <= FIN_WAIT_2 && c.finReceived === 0) {
    const told = (c.rcvAdv - c.rcvNxt) | 0;
    const field = c.rcvScale === 0 ? Math.min(0xffff, c.receiveBuffer) : c.receiveBuffer;
    const opened = field - c.receiving.used - told;
    if (opened >= Math.min(c.receiveBuffer >> 1, 2 * c.rcvMss)) sendAck(t, c);
  }
  return { ok: true, value: data };
}

export function shutdown(t: Tcp, c: Connection, direction: "send" | "receive" | "both"): Outcome<void> {
  if (c.state < SYN_SENT) return fail("wrong-state");
  if (direction !== "send" && c.shutReceive === 0) {
    c.shutReceive = 1;
    dropReceived(t, c);
  }
  if (direction !== "receive") queueFin(t, c);
  return DONE;
}

/** What has come is thrown away, and counts as received. */
function dropReceived(t: Tcp, c: Connection): void {
  c.receiving.free(t.engine.pool);
  if (c.early.length > 0) c.early = [];
}

function queueFin(t: Tcp, c: Connection): void {
  if (c.finQueued !== 0 || c.state === TIME_WAIT || c.state === CLOSED) return;
  c.finQueued = 1;
  if (c.state === ESTABLISHED) c.state = FIN_WAIT_1;
  else if (c.state === CLOSE_WAIT) c.state = LAST_ACK;
  output(t, c);
}

export function close(t: Tcp, c: Connection): void {
  c.released = 1;
  const { state } = c;
  if (state === CLOSED) {
    t.unbind(c);
    c.receiving.free(t.engine.pool);
    t.engine.leave(c.number);
  } else if (state === LISTEN || state === SYN_SENT) t.finish(c, "closed");
  else if (state === SYN_RECEIVED || (c.receiving.used > 0 && c.shutReceive === 0)) {
    // Data nobody will read: the peer is told (3.6.1).
    if (state !== TIME_WAIT) {
      sendReset(t, c);
      t.finish(c, "closed");
    } else c.receiving.free(t.engine.pool);
  } else {
    queueFin(t, c);
    if (c.state === FIN_WAIT_2) t.linger(c);
  }
}

export function abort(t: Tcp, c: Connection): void {
  c.released = 1;
  if (c.state === CLOSED) {
    close(t, c);
    return;
  }
  if (c.state >= SYN_RECEIVED && c.state !== TIME_WAIT) sendReset(t, c);
  t.finish(c, "aborted");
}
