/** Segments that belong to a connection: RFC 9293 3.10.7.3 and 3.10.7.4 with RFC 5961, RFC 7323, RFC 6675, RFC 6582 and RFC 3168. */
import { MS, NEVER, SEC, type Time } from "../../../../sim/index.ts";
import { EVENT_ACKNOWLEDGED, EVENT_CONNECTED, EVENT_WRITABLE } from "../api.ts";
import { onAcknowledged, onRecovered, reduce } from "./congestion.ts";
import {
  CLOSING,
  type Connection,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  LOSS,
  NEWRENO_RECOVERY,
  OPEN,
  SACK_RECOVERY,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from "./connection.ts";
import {
  armReordering,
  armRetransmission,
  challenge,
  output,
  refuse,
  resend,
  sendAck,
  sendReset,
  sendSyn,
} from "./output.ts";
import { receiveData } from "./receive.ts";
import { DUPLICATES, highestSacked, holeEnd, noteSacked, prove, trimSacked, updateLossEdge } from "./sack.ts";
import { ACK, after, before, CWR, ECE, FIN, RST, SYN } from "./segment.ts";
import type { Tcp } from "./tcp.ts";

/** A timestamp older than that says nothing any more (RFC 7323 5.5: 24 days; a simulation lasts ten). */
const TS_OLD: Time = 24 * 86_400 * SEC;

export function process(t: Tcp, c: Connection): void {
  if (c.state === SYN_SENT) {
    synSent(t, c);
    return;
  }
  const s = t.segment;
  const { now, counts } = t.engine;
  const { flags } = s;
  if (c.state === TIME_WAIT) {
    timeWait(t, c);
    return;
  }
  // RFC 7323 5.3 R1; 3.2: without the option once it was agreed on, a segment is dropped.
  if (c.tsOk !== 0 && (flags & RST) === 0) {
    if (!s.timestamped) {
      counts.badFrames++;
      return;
    }
    if (before(s.tsVal, c.tsRecent) && now - c.tsRecentAt < TS_OLD) {
      counts.tcpPaws++;
      if (s.length > 0 || (flags & (SYN | FIN)) !== 0) sendAck(t, c);
      return;
    }
  }
  if (!acceptable(t, c)) return;
  if ((flags & RST) !== 0) {
    reset(t, c);
    return;
  }
  if ((flags & SYN) !== 0 && s.seq !== c.irs) {
    // RFC 5961 4.
    challenge(t, c);
    return;
  }
  if ((flags & ACK) === 0) return;
  if (c.state === SYN_RECEIVED) {
    if (!after(s.ack, c.sndUna) || after(s.ack, c.sndNxt)) {
      refuse(t);
      return;
    }
    if (!t.establish(c)) return;
    c.sndWnd = s.window << c.sndScale;
    c.sndWl1 = s.seq;
    c.sndWl2 = s.ack;
  }
  // RFC 7323 4.3 (3).
  if (c.tsOk !== 0 && !after(s.seq, c.lastAck)) {
    c.tsRecent = s.tsVal;
    c.tsRecentAt = now;
  }
  if (!acknowledge(t, c)) return;
  c.heardAt = now;
  c.keepProbes = 0;
  if (finished(t, c)) return;
  if (s.length > 0 || (flags & FIN) !== 0) {
    if (c.ecnOk !== 0) {
      if ((flags & CWR) !== 0) c.echo = 0;
      if (t.engine.rx.ecn === 3) {
        c.echo = 1;
        counts.tcpEcnMarks++;
      }
    }
    receiveData(t, c);
    if (c.state === 0) return;
  }
  output(t, c);
  if (c.ackNow !== 0) sendAck(t, c);
}

/**
 * RFC 9293 3.10.7.4, first: the sequence number. Parts outside the window are cut off in `receiveData`. What is not acceptable is answered
 * with an acknowledgment, which is rationed where the segment carries no data.
 */
function acceptable(t: Tcp, c: Connection): boolean {
  const s = t.segment;
  const window = (c.rcvAdv - c.rcvNxt) | 0;
  const size = s.length + ((s.flags & SYN) !== 0 ? 1 : 0) + ((s.flags & FIN) !== 0 ? 1 : 0);
  const offset = (s.seq - c.rcvNxt) | 0;
  // At the edge of a closed window acknowledgments count still; data in it is cut off. The segment just before the window probes (3.8.4).
  if (size === 0 ? offset === 0 || (offset > 0 && offset < window) : offset < window && offset + size > 0) return true;
  if (size > 0 && window === 0 && offset === 0) {
    c.ackNow = 1;
    return true;
  }
  if ((s.flags & RST) !== 0) return false;
  if (c.state === SYN_RECEIVED && (s.flags & SYN) !== 0 && s.seq === c.irs) {
    if ((s.flags & ACK) !== 0) return true;
    // The peer's SYN once more: ours has been lost.
    sendSyn(t, c);
    return false;
  }
  if (size > 0 && (s.flags & SYN) === 0) {
    t.engine.counts.tcpDuplicates++;
    // A FIN that comes again in TIME-WAIT's neighbours, data that has come already: always answered, the peer waits for it.
    // What it acknowledges counts, and may let out more: nothing else would.
    if (offset + size <= 0 && (s.flags & ACK) !== 0 && after(s.ack, c.sndUna) && !after(s.ack, c.sndNxt)) {
      if (!acknowledge(t, c) || finished(t, c)) return false;
      output(t, c);
    }
    sendAck(t, c);
  } else challenge(t, c);
  return false;
}

/** RST in the window: RFC 5961 3.2. */
function reset(t: Tcp, c: Connection): void {
  const s = t.segment;
  if (s.seq !== c.rcvNxt) {
    challenge(t, c);
    return;
  }
  t.engine.counts.tcpResetsIn++;
  const done = c.state === CLOSING || c.state === LAST_ACK;
  t.finish(c, c.state === SYN_RECEIVED ? "refused" : done ? "closed" : "reset");
}

/** RFC 9293 3.10.7.4, fifth: the acknowledgment. False: the segment goes no further. */
function acknowledge(t: Tcp, c: Connection): boolean {
  const s = t.segment;
  const { now } = t.engine;
  const { ack } = s;
  if (after(ack, c.sndNxt)) {
    // A zero-window probe that the peer took after all is one octet ahead.
    const probed = ack === ((c.sndNxt + 1) | 0) && c.persist !== 0 && c.sending.used > ((c.sndNxt - c.sndBase) | 0);
    if (!probed) {
      challenge(t, c);
      return false;
    }
    c.sndNxt = ack;
  }
  // RFC 5961 5.2.
  if (before(ack, (c.sndUna - c.maxWnd) | 0)) {
    challenge(t, c);
    return false;
  }
  if (before(ack, c.sndUna)) return true;
  const news = s.blocks > 0 && c.sackOk !== 0 && noteSacked(c, s);
  const oldWindow = c.sndWnd;
  if (before(c.sndWl1, s.seq) || (c.sndWl1 === s.seq && !after(c.sndWl2, ack))) {
    c.sndWnd = s.window << c.sndScale;
    c.sndWl1 = s.seq;
    c.sndWl2 = ack;
    if (c.sndWnd > c.maxWnd) c.maxWnd = c.sndWnd;
    if (oldWindow === 0 && c.sndWnd > 0 && c.persist !== 0) {
      c.persist = 0;
      c.rtxAt = NEVER;
      c.backoff = 0;
    }
  }
  if (c.ecnOk !== 0 && (s.flags & ECE) !== 0) congestionEcho(c);
  if (c.sndWnd === 0) {
    // A peer that answers with a closed window is alive, however long it lasts (RFC 9293 3.8.6.1).
    c.stalledAt = NEVER;
    c.backoff = Math.min(c.backoff, 8);
  }
  if (c.probed !== 0) probeAnswered(c, ack);
  if (news && ack === c.sndUna && c.headAt !== NEVER) lostAgain(t, c, now);
  if (ack !== c.sndUna) newAck(t, c, ack, now);
  else if (
    c.flight > 0 &&
    s.length === 0 &&
    (s.flags & (SYN | FIN)) === 0 &&
    (c.sackOk !== 0 ? news : oldWindow === c.sndWnd)
  ) {
    duplicate(t, c, now);
  }
  return true;
}

/** RFC 8985 7.4: what an acknowledgment says of the tail loss probe. */
function probeAnswered(c: Connection, ack: number): void {
  if (c.sacked.length > 0 && !before(highestSacked(c), c.probeEnd)) {
    // The probe is there: what was sent two round trips before it and is not, is lost (6.2, step 5).
    prove(c);
    c.probed = 0;
  } else if (!before(ack, c.probeEnd)) {
    // A loss that the probe itself has made good is a sign of congestion all the same; a second copy acknowledged is none.
    if (c.probed === 2 && after(ack, c.probeEnd) && c.mode === OPEN) {
      reduce(c, c.cwnd);
      c.cwnd = c.ssthresh;
    }
    if (c.probed === 1 || after(ack, c.probeEnd) || ack === c.sndUna) c.probed = 0;
  }
}

/**
 * RFC 8985 6.2 for the segment at SND.UNA alone: something sent later has arrived, a round trip and a quarter after it was sent again, so that it was lost
 * again. After a time-out all that is SACKed anew was sent again too, behind it.
 */
function lostAgain(t: Tcp, c: Connection, now: Time): void {
  if ((c.mode !== SACK_RECOVERY && c.mode !== LOSS) || now - c.headAt <= 1.25 * c.srtt) return;
  if (c.mode !== LOSS && !after(highestSacked(c), c.headNxt)) return;
  const { highRxt } = c;
  resend(t, c, c.sndUna, holeEnd(c, c.sndUna, c.sndNxt));
  if (after(highRxt, c.highRxt)) c.highRxt = highRxt;
  armRetransmission(t, c, now);
}

/** RFC 3168 6.1.2: as for a lost segment, once a round trip. */
function congestionEcho(c: Connection): void {
  if (c.mode !== OPEN || before(c.sndUna, c.ecnRecover)) return;
  reduce(c, c.flight);
  c.cwnd = c.ssthresh;
  c.ecnRecover = c.sndNxt;
  c.reduced = 1;
}

function newAck(t: Tcp, c: Connection, ack: number, now: Time): void {
  const { flight } = c;
  const acked = (ack - c.sndUna) | 0;
  const { engine } = t;
  c.sndUna = ack;
  const data = Math.min((ack - c.sndBase) | 0, c.sending.used);
  if (data > 0) {
    c.sending.drop(engine.pool, data, false);
    c.sndBase = (c.sndBase + data) | 0;
    c.acknowledged += data;
    let bits = EVENT_ACKNOWLEDGED;
    if (c.wantsRoom !== 0 && c.sendBuffer - c.sending.used >= c.sendBuffer >> 2) {
      c.wantsRoom = 0;
      bits |= EVENT_WRITABLE;
    }
    if (c.released === 0 && c.parent === 0) engine.raise(c.number, bits);
  }
  trimSacked(c);
  c.hop?.confirm(now);
  measure(t, c, ack, now);
  c.backoff = 0;
  c.stalledAt = NEVER;
  if (before(c.highRxt, ack)) c.highRxt = ack;
  if (!after(c.provenEdge, ack)) c.proven = 0;
  // What is missing now was sent again some time before this, if at all.
  c.headAt = c.mode !== OPEN && after(c.highRxt, ack) ? now : NEVER;
  c.headNxt = c.sndNxt;
  if (c.mode === OPEN) {
    c.dupAcks = 0;
    onAcknowledged(c, acked, flight, now);
  } else if (!before(ack, c.recover)) {
    onRecovered(c);
    if (c.mode === LOSS) c.cwnd = Math.min(c.ssthresh, Math.max(c.cwnd, c.smss));
    c.mode = OPEN;
    c.dupAcks = 0;
  } else if (c.mode === LOSS) {
    c.limited = 1;
    onAcknowledged(c, acked, flight, now);
  } else if (c.mode === NEWRENO_RECOVERY) {
    // RFC 6582 3.2 step 3 (2): a partial acknowledgment.
    c.cwnd = Math.max(c.smss, c.cwnd - acked + (acked >= c.smss ? c.smss : 0));
    resend(t, c, ack, c.sndNxt);
  }
  if (c.sndUna === c.sndNxt) c.rtxAt = NEVER;
  else if (c.mode !== NEWRENO_RECOVERY || c.rtxAt === NEVER || acked > 0) armRetransmission(t, c, now);
}

/** RFC 5681 3.2, RFC 6675 5, RFC 6582 3.2. */
function duplicate(t: Tcp, c: Connection, now: Time): void {
  c.dupAcks++;
  if (c.mode === NEWRENO_RECOVERY) {
    c.cwnd += c.smss;
    return;
  }
  if (c.mode !== OPEN) return;
  let lost = c.dupAcks >= DUPLICATES;
  if (c.sackOk !== 0 && !lost) {
    updateLossEdge(c);
    lost = after(c.lossEdge, c.sndUna);
  }
  // RFC 6582 4.1: not again for the window a time-out has dealt with. `recover` is the last of these.
  if (!lost || (c.sackOk === 0 && before(c.sndUna, c.recover))) {
    // Two at most, and perhaps no more will come: RFC 8985 6.2 step 5 gives the missing ones a while to turn up.
    if (c.sackOk !== 0 && c.probing !== 2 && c.srtt >= 0) armReordering(t, c, now);
    return;
  }
  recover(t, c, now);
}

/** RFC 8985 6.3: the while is over. */
export function onReordering(t: Tcp, c: Connection, now: Time): void {
  c.probing = 0;
  c.rtxAt = Math.max(now, c.rtoAt);
  if (c.mode === OPEN && c.sacked.length > 0 && c.flight > 0) {
    prove(c);
    recover(t, c, now);
    output(t, c);
  } else t.engine.lower(c.number, c.rtxAt);
}

/** Fast recovery begins: RFC 5681 3.2, RFC 6675 5, RFC 6582 3.2. */
function recover(t: Tcp, c: Connection, now: Time): void {
  t.engine.counts.tcpFastRetransmits++;
  reduce(c, c.flight);
  c.recover = c.sndNxt;
  c.reduced = c.ecnOk;
  c.rttAt = NEVER;
  c.highRxt = c.sndUna;
  c.rescued = 0;
  if (c.sackOk !== 0) {
    c.mode = SACK_RECOVERY;
    c.cwnd = c.ssthresh;
    updateLossEdge(c);
    // RFC 6675 5 (4.3): the first segment goes out whatever the pipe holds, IsLost() or not.
    const end = c.sacked.length > 0 ? c.sacked[0] : c.sndNxt;
    resend(t, c, c.sndUna, end);
  } else {
    c.mode = NEWRENO_RECOVERY;
    c.cwnd = c.ssthresh + 3 * c.smss;
    resend(t, c, c.sndUna, c.sndNxt);
  }
  armRetransmission(t, c, now);
}

/** RFC 6298 2 and 3, with a sample a round trip, or from timestamps where the segment timed was sent again (RFC 7323 4.1). */
function measure(t: Tcp, c: Connection, ack: number, now: Time): void {
  let sample: Time = -1;
  if (c.rttAt !== NEVER) {
    if (before(ack, c.rttSeq)) return;
    sample = now - c.rttAt;
    c.rttAt = NEVER;
  } else if (c.tsOk !== 0 && t.segment.tsEcr !== 0) {
    const elapsed = (t.timestamp + c.tsOffset - t.segment.tsEcr) | 0;
    if (elapsed >= 0 && elapsed < 600_000) sample = Math.max(1, elapsed) * MS;
  }
  if (sample < 0) return;
  if (c.srtt < 0) {
    c.srtt = sample;
    c.rttvar = Math.floor(sample / 2);
  } else {
    c.rttvar = Math.floor((3 * c.rttvar + Math.abs(c.srtt - sample)) / 4);
    c.srtt = Math.floor((7 * c.srtt + sample) / 8);
  }
  c.rto = Math.max(t.engine.options.minimumRto, c.srtt + Math.max(MS, 4 * c.rttvar));
}

/** Our FIN is acknowledged: on to the next state. True: the connection is gone, or the segment is done with. */
function finished(t: Tcp, c: Connection): boolean {
  if (c.finQueued === 0 || c.sending.used > 0 || c.sndUna !== c.sndNxt || c.sndUna === c.sndBase) return false;
  if (c.state === FIN_WAIT_1) {
    c.state = FIN_WAIT_2;
    if (c.released !== 0) t.linger(c);
  } else if (c.state === CLOSING) {
    t.enterTimeWait(c);
    return true;
  } else if (c.state === LAST_ACK) {
    t.finish(c, "closed");
    return true;
  }
  return false;
}

/** RFC 9293 3.10.7.3. */
function synSent(t: Tcp, c: Connection): void {
  const s = t.segment;
  const { flags } = s;
  const { engine } = t;
  if ((flags & ACK) !== 0 && (!after(s.ack, c.iss) || after(s.ack, c.sndNxt))) {
    refuse(t);
    return;
  }
  if ((flags & RST) !== 0) {
    if ((flags & ACK) !== 0) {
      engine.counts.tcpResetsIn++;
      t.finish(c, "refused");
    }
    return;
  }
  if ((flags & SYN) === 0) return;
  c.irs = s.seq;
  c.rcvNxt = (s.seq + 1) | 0;
  c.rcvAdv = (c.rcvNxt + Math.min(0xffff, c.receiveBuffer)) | 0;
  t.agree(c, c);
  c.ecnOk = c.ecn !== 0 && c.backoff === 0 && (flags & (ECE | CWR)) === ((flags & ACK) !== 0 ? ECE : ECE | CWR) ? 1 : 0;
  c.sndWnd = c.maxWnd = s.window;
  c.sndWl1 = s.seq;
  c.sndWl2 = s.ack;
  c.heardAt = engine.now;
  if ((flags & ACK) === 0) {
    // Both sides have opened at once (3.5, figure 8).
    c.state = SYN_RECEIVED;
    sendSyn(t, c);
    armRetransmission(t, c, engine.now);
    return;
  }
  c.sndUna = s.ack;
  c.hop?.confirm(engine.now);
  // RFC 6298 5.7: after a SYN sent twice the data starts with 3 s; a sample needs a SYN sent once.
  if (c.backoff > 0) c.rto = 3 * SEC;
  else measure(t, c, s.ack, engine.now);
  c.backoff = 0;
  c.stalledAt = NEVER;
  c.rtxAt = NEVER;
  t.begin(c);
  engine.raise(c.number, EVENT_CONNECTED | EVENT_WRITABLE);
  if (s.length > 0 || (flags & FIN) !== 0) {
    s.seq = c.rcvNxt;
    receiveData(t, c);
  }
  c.ackNow = 1;
  if (c.state >= ESTABLISHED) output(t, c);
  if (c.ackNow !== 0) sendAck(t, c);
}

/** RFC 9293 3.10.7.4 for TIME-WAIT, RFC 6191 for a new SYN, RFC 1337 for RST. */
function timeWait(t: Tcp, c: Connection): void {
  const s = t.segment;
  const { flags } = s;
  if ((flags & RST) !== 0) return;
  if ((flags & SYN) !== 0 && (flags & ACK) === 0) {
    const newer = c.tsOk !== 0 && s.timestamped ? after(s.tsVal, c.tsRecent) : after(s.seq, c.rcvNxt);
    if (newer && t.reopen(c)) return;
  }
  if (s.length === 0 && (flags & (SYN | FIN)) === 0 && s.seq === c.rcvNxt) return;
  if ((flags & FIN) !== 0 && !after((s.seq + s.length + 1) | 0, c.rcvNxt)) t.linger(c);
  challenge(t, c);
}

/** The owner's data after close, or the peer's: RST (RFC 9293 3.6.1). */
export function abortByData(t: Tcp, c: Connection): void {
  sendReset(t, c);
  t.finish(c, "aborted");
}
