/** One TCP socket: a record of numbers by the names of RFC 9293 3.3.1 where it has them, two rings and two short lists. */
import { NEVER, SnapshotError, type StateRecord, type StateValue, type Time } from "../../../../sim/index.ts";
import type { SocketError } from "../api.ts";
import type { Neighbour } from "../neighbours.ts";
import { type BufferPool, Ring } from "../ring.ts";
import { type Family, pseudoSum } from "../words.ts";

/** States in the order of RFC 9293 3.3.2. */
export const CLOSED = 0;
export const LISTEN = 1;
export const SYN_SENT = 2;
export const SYN_RECEIVED = 3;
export const ESTABLISHED = 4;
export const FIN_WAIT_1 = 5;
export const FIN_WAIT_2 = 6;
export const CLOSE_WAIT = 7;
export const CLOSING = 8;
export const LAST_ACK = 9;
export const TIME_WAIT = 10;

/** How the sender deals with loss at the moment. */
export const OPEN = 0;
export const SACK_RECOVERY = 1;
export const NEWRENO_RECOVERY = 2;
export const LOSS = 3;

/** What only a listener has. */
export interface Listener {
  backlog: number;
  /** Established connections nobody has accepted, in order. */
  readonly ready: number[];
  /** Connections in SYN-RECEIVED. */
  half: number;
  /** When a SYN cookie was sent last. */
  cookieAt: Time;
}

export class Connection {
  readonly kind = "tcp";
  readonly family: Family;
  number = 0;
  state = CLOSED;
  /** Local and remote address and port. */
  l0 = 0;
  l1 = 0;
  l2 = 0;
  l3 = 0;
  localPort = 0;
  r0 = 0;
  r1 = 0;
  r2 = 0;
  r3 = 0;
  remotePort = 0;
  /** Sum of the pseudo-header without length. */
  pseudo = 0;
  /** Next of the same bucket; the table's own. */
  chain: Connection | null = null;
  hop: Neighbour | null = null;

  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** Largest window the peer has offered. */
  maxWnd = 0;
  /** Sequence number of the first byte in `sending`. */
  sndBase = 0;
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window told to the peer. */
  rcvAdv = 0;
  /** Acknowledgment number of the last segment sent. */
  lastAck = 0;

  /** Largest segment the peer takes, and what is left of it for data under the options of every segment. */
  peerMss = 536;
  smss = 536;
  /** Largest segment the peer has sent. */
  rcvMss = 536;
  sndScale = 0;
  rcvScale = 0;
  scaleOk = 0;
  sackOk = 0;
  tsOk = 0;
  tsOffset = 0;
  tsRecent = 0;
  tsRecentAt: Time = 0;
  ecnOk = 0;
  /** Congestion was met by what came in: say so until the peer has heard. */
  echo = 0;
  /** Tell the peer with the next new data that the window was reduced. */
  reduced = 0;
  ecnRecover = 0;

  cwnd = 0;
  ssthresh = 0x7fffffff;
  mode = OPEN;
  dupAcks = 0;
  recover = 0;
  /** Holes below this have been retransmitted. */
  highRxt = 0;
  /** Below this what is not SACKed counts as lost. */
  lossEdge = 0;
  rescued = 0;
  /** When the segment at SND.UNA was sent again, or could have been at the latest, and SND.NXT then; NEVER: it was sent once. */
  headAt: Time = NEVER;
  headNxt = 0;
  /** A tail loss probe is out, which ends at `probeEnd`; 2: it was a retransmission (RFC 8985 7). */
  probed = 0;
  probeEnd = 0;
  /** Below this everything not SACKed was sent long before something SACKed, if `proven`. */
  provenEdge = 0;
  proven = 0;
  /** The congestion window was what stopped the sender. */
  limited = 0;
  /** CUBIC, in segments and seconds (RFC 9438 4.1). */
  wMax = 0;
  wEst = 0;
  cwndPrior = 0;
  cubicK = 0;
  epochAt: Time = NEVER;
  carry = 0;
  /** NewReno: bytes acknowledged towards the next segment. */
  counted = 0;

  /** -1: none measured yet. */
  srtt: Time = -1;
  rttvar: Time = 0;
  rto: Time = 0;
  backoff = 0;
  /** A segment being timed ends before this number, and was sent then; NEVER where none is. */
  rttSeq = 0;
  rttAt: Time = NEVER;
  /** Since when nothing has been acknowledged that should. */
  stalledAt: Time = NEVER;
  sentAt: Time = 0;
  heardAt: Time = 0;

  rtxAt: Time = NEVER;
  ackAt: Time = NEVER;
  keepAt: Time = NEVER;
  lingerAt: Time = NEVER;
  /** `rtxAt` is the persist timer's. */
  persist = 0;
  /** `rtxAt` is the tail loss probe's or the reordering timer's, and the retransmission timer's is `rtoAt`. */
  probing = 0;
  rtoAt: Time = NEVER;
  keepProbes = 0;
  ackNow = 0;
  challengeAt: Time = 0;
  challenges = 0;

  finQueued = 0;
  /** The peer's FIN has been taken in order. */
  finReceived = 0;
  /** A FIN has come early, with that sequence number. */
  finEarly = 0;
  finEarlySeq = 0;
  finSeq = 0;
  shutReceive = 0;
  /** The owner has closed it. */
  released = 0;
  /** In the list of bound sockets. */
  bound = 0;
  /** The owner waits for room. */
  wantsRoom = 0;
  /** Of the listener it came from, until accepted; 0 else. */
  parent = 0;
  acknowledged = 0;
  error: SocketError = "closed";

  /** Options. */
  noDelay = 0;
  keepAlive = 0;
  keepIdle = 7200;
  keepInterval = 75;
  keepCount = 9;
  sendBuffer = 262_144;
  receiveBuffer = 262_144;
  cubic = 1;
  ecn = 0;
  sack = 1;
  timestamps = 1;
  windowScale = 1;
  mssLimit = 0;
  delayedAck = 40;
  userTimeout = 0;
  hopLimit = 64;
  trafficClass = 0;

  readonly sending = new Ring();
  readonly receiving = new Ring();
  /** What has come out of order: start, end, ..., the most recent first. Sequence numbers. */
  early: number[] = NONE as number[];
  /** What the peer has SACKed: start, end, ..., in order. */
  sacked: number[] = NONE as number[];
  listener: Listener | null = null;

  constructor(family: Family) {
    this.family = family;
    if (family === 4) this.l2 = this.r2 = 0xffff;
  }

  /** How far beyond the readable bytes the ring holds something. */
  get extent(): number {
    let end = this.receiving.used;
    if (this.shutReceive !== 0) return end;
    for (let i = 1; i < this.early.length; i += 2) {
      const offset = ((this.early[i] - this.rcvNxt) | 0) + this.receiving.used;
      if (offset > end) end = offset;
    }
    return end;
  }

  /** Bytes in flight or waiting for acknowledgment, SYN and FIN among them. */
  get flight(): number {
    return (this.sndNxt - this.sndUna) | 0;
  }

  setPseudo(): void {
    this.pseudo = pseudoSum(this.family, this.l0, this.l1, this.l2, this.l3, this.r0, this.r1, this.r2, this.r3, 6);
  }

  save(): StateRecord {
    const record: Record<string, StateValue> = {};
    for (const name of Object.keys(this) as (keyof this)[]) {
      const value = this[name];
      if (typeof value === "number" || typeof value === "string") record[name as string] = value;
    }
    record["sending"] = this.sending.save(this.sending.used);
    record["sendingCapacity"] = this.sending.capacity;
    record["receiving"] = this.receiving.save(this.extent);
    record["receivingCapacity"] = this.receiving.capacity;
    record["readable"] = this.receiving.used;
    record["early"] = Int32Array.from(this.early);
    record["sacked"] = Int32Array.from(this.sacked);
    record["listener"] = this.listener === null ? null : { ...this.listener, ready: [...this.listener.ready] };
    return record;
  }

  static restore(value: StateValue, pool: BufferPool, path: string): Connection {
    const v = value as { [name: string]: StateValue };
    const c = new Connection(v["family"] === 6 ? 6 : 4);
    const into = c as unknown as Record<string, StateValue>;
    for (const name of Object.keys(c)) {
      if (typeof into[name] !== "number" && typeof into[name] !== "string") continue;
      if (typeof v[name] !== typeof into[name])
        throw new SnapshotError(`${path}.${name}: expected a ${typeof into[name]}`);
      into[name] = v[name];
    }
    const { sending, receiving, early, sacked } = v;
    const lists = early instanceof Int32Array && sacked instanceof Int32Array;
    if (!(sending instanceof Uint8Array) || !(receiving instanceof Uint8Array) || !lists) {
      throw new SnapshotError(`${path}: expected buffers and ranges`);
    }
    c.sending.restore(pool, sending, sending.length, Number(v["sendingCapacity"]));
    c.receiving.restore(pool, receiving, Number(v["readable"]), Number(v["receivingCapacity"]));
    if (early.length > 0) c.early = [...early];
    if (sacked.length > 0) c.sacked = [...sacked];
    const listener = v["listener"] as unknown as Listener | null;
    c.listener = listener === null ? null : { ...listener, ready: [...listener.ready] };
    return c;
  }
}

/** The empty list all connections without ranges share. */
export const NONE: readonly number[] = Object.freeze([]);
