/**
 * ICMP (RFC 792, 1122 3.2.2) and ICMPv6 (RFC 4443): echo replies, errors out at a bounded rate, errors in for those they concern. An
 * error about TCP is believed only where the segment it quotes is one under way (RFC 5927 4.1). Redirects and source quench are passed over.
 */

import { get16, put16 } from "../../../net/bytes.ts";
import { MS, SnapshotError, type StateValue } from "../../../sim/index.ts";
import type { SocketError } from "./api.ts";
import type { Engine } from "./engine.ts";
import { ETHERNET, ICMP, ICMP6, TCP, UDP } from "./ip.ts";
import { fold, isGroup, load, pseudoSum, sum16, type Words } from "./words.ts";

/** Errors out: so many at once, then one a millisecond (RFC 4443 2.4 f). */
const BURST = 50;
const HOP_LIMIT = 64;

/** What an error says of the packet it quotes. */
export interface Quoted {
  protocol: number;
  /** Ports, and the sequence number of a segment. */
  local: number;
  remote: number;
  sequence: number;
  /** Hard or soft error (RFC 1122 4.2.3.9). */
  hard: boolean;
  error: SocketError;
  /** The MTU a router tells; 0 where the error is another. */
  mtu: number;
}

export class Icmp {
  readonly #engine: Engine;
  readonly #quoted: Quoted = {
    protocol: 0,
    local: 0,
    remote: 0,
    sequence: 0,
    hard: false,
    error: "unreachable",
    mtu: 0,
  };
  readonly #a = new Int32Array(4);
  readonly #b = new Int32Array(4);
  #tokens = BURST;
  /** Whole milliseconds up to which tokens have been given. */
  #filled = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  input4(): void {
    const { rx, counts } = this.#engine;
    const { frame, at, length } = rx;
    counts.icmpIn++;
    if (length < 8 || fold(sum16(frame, at, length)) !== 0) {
      counts.badChecksums++;
      return;
    }
    const type = frame[at];
    const code = frame[at + 1];
    // Echo to a group or broadcast address is not answered (RFC 1122 3.2.2.6 permits that).
    if (type === 8 && code === 0) {
      if (!rx.group) this.#echo(0);
    } else if (type === 3 || type === 11 || type === 12) {
      const ip = at + 8;
      const header = (frame[ip] & 15) * 4;
      if (length < 8 + 20 + 8 || frame[ip] >> 4 !== 4 || header < 20 || 8 + header + 8 > length) return;
      // The quoted packet is ours, and not a later fragment.
      if (load(frame, ip + 12) !== rx.d3 || (get16(frame, ip + 6) & 0x1fff) !== 0 || rx.group) return;
      const q = this.#quoted;
      q.hard = type === 3 && (code === 2 || code === 3 || code === 4);
      q.error = type === 3 && (code === 2 || code === 3) ? "refused" : "unreachable";
      q.mtu = type === 3 && code === 4 ? get16(frame, at + 6) || plateau(get16(frame, ip + 2)) : 0;
      this.#about(frame[ip + 9], ip + header, 0, 0, 0xffff, load(frame, ip + 16));
    }
  }

  input6(): void {
    const { rx, counts, neighbours } = this.#engine;
    const { frame, at, length } = rx;
    counts.icmpIn++;
    if (length < 8 || !this.#goodSum6()) {
      counts.badChecksums++;
      return;
    }
    const type = frame[at];
    const code = frame[at + 1];
    if (type === 128 && code === 0) this.#echo(129);
    else if (type === 135 || type === 136) neighbours.discovery(type);
    else if (type >= 1 && type <= 4) {
      const ip = at + 8;
      if (length < 8 + 40 + 8 || frame[ip] >> 4 !== 6 || rx.group) return;
      if (load(frame, ip + 8) !== rx.d0 || load(frame, ip + 12) !== rx.d1) return;
      if (load(frame, ip + 16) !== rx.d2 || load(frame, ip + 20) !== rx.d3) return;
      const q = this.#quoted;
      q.hard = (type === 1 && (code === 1 || code === 4)) || (type === 4 && code === 1);
      q.error = type === 1 && code === 4 ? "refused" : "unreachable";
      q.mtu = type === 2 ? Math.min(0xffff, load(frame, at + 4) >>> 0) : 0;
      this.#about(
        frame[ip + 6],
        ip + 40,
        load(frame, ip + 24),
        load(frame, ip + 28),
        load(frame, ip + 32),
        load(frame, ip + 36),
      );
    }
  }

  /** Hands the error to the protocol of the quoted packet, which went to w0..w3. */
  #about(protocol: number, at: number, w0: number, w1: number, w2: number, w3: number): void {
    const { rx, tcp, udp } = this.#engine;
    const q = this.#quoted;
    q.protocol = protocol;
    q.local = get16(rx.frame, at);
    q.remote = get16(rx.frame, at + 2);
    q.sequence = load(rx.frame, at + 4);
    if (protocol === TCP) tcp.icmpError(q, w0, w1, w2, w3);
    else if (protocol === UDP) udp.icmpError(q, w0, w1, w2, w3);
  }

  #echo(type: number): void {
    const { rx, counts, ip } = this.#engine;
    const answer = rx.frame.slice(rx.at, rx.at + rx.length);
    answer[0] = type;
    put16(answer, 2, 0);
    counts.echoReplies++;
    this.#words();
    if (rx.family === 4) {
      put16(answer, 2, fold(sum16(answer, 0, answer.length)));
      ip.send(4, this.#b, this.#a, ICMP, answer, HOP_LIMIT);
    } else if (rx.group) {
      // To a group: from an address of the interface's own (RFC 4443 4.2).
      const own = this.#engine.configuration.source(6, rx.s0, rx.s1, rx.s2, rx.s3);
      if (own !== null) this.send6(own.words, this.#a, answer, HOP_LIMIT);
    } else this.send6(this.#b, this.#a, answer, HOP_LIMIT);
  }

  /** Sends an ICMPv6 message, of which the checksum is still missing; directly to `mac` where given. */
  send6(from: Words, to: Words, message: Uint8Array, hopLimit: number, mac?: Uint8Array): void {
    const { ip, configuration } = this.#engine;
    put16(message, 2, 0);
    const sum = pseudoSum(6, from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3], ICMP6);
    put16(message, 2, fold(sum + message.length + sum16(message, 0, message.length)));
    if (mac === undefined) {
      ip.send(6, from, to, ICMP6, message, hopLimit);
      return;
    }
    const frame = new Uint8Array(ETHERNET + 40 + message.length);
    frame.set(mac, 0);
    frame.set(configuration.mac, 6);
    ip.header(frame, 6, from, to, 40 + message.length, ICMP6, hopLimit, 0, false);
    frame.set(message, ETHERNET + 40);
    this.#engine.transmit(frame);
  }

  /** An error about the packet in `rx`, unless one must not be sent (RFC 1122 3.2.2). */
  error4(type: number, code: number, parameter: number): void {
    const { rx, counts, ip } = this.#engine;
    const { frame } = rx;
    if (rx.group || (get16(frame, rx.ip + 6) & 0x1fff) !== 0) return;
    if (rx.protocol === ICMP && frame[rx.ip + 9] === ICMP) {
      const inner = frame[rx.ip + (frame[rx.ip] & 15) * 4];
      if (inner !== 8 && inner !== 0) return;
    }
    if (!this.#token()) return;
    counts.icmpErrorsOut++;
    // As much of the packet as fits 576 bytes (RFC 1812 4.3.2.3).
    const quoted = Math.min(frame.length - rx.ip, get16(frame, rx.ip + 2), 576 - 28);
    const message = new Uint8Array(8 + quoted);
    message[0] = type;
    message[1] = code;
    put16(message, 6, parameter);
    message.set(frame.subarray(rx.ip, rx.ip + quoted), 8);
    put16(message, 2, fold(sum16(message, 0, message.length)));
    this.#words();
    ip.send(4, this.#b, this.#a, ICMP, message, HOP_LIMIT);
  }

  /** `evenGroup`: also about a packet to a group (RFC 4443 2.4 e.3). */
  error6(type: number, code: number, parameter: number, evenGroup = false): void {
    const { rx, counts, configuration } = this.#engine;
    const { frame } = rx;
    if ((rx.group && !evenGroup) || (rx.s0 | rx.s1 | rx.s2 | rx.s3) === 0 || isGroup(6, rx.s0, rx.s3)) return;
    // Never about an error (2.4 e.1).
    if (rx.protocol === ICMP6 && rx.length > 0 && frame[rx.at] < 128) return;
    if (!this.#token()) return;
    counts.icmpErrorsOut++;
    const quoted = Math.min(frame.length - rx.ip, 1280 - 48);
    const message = new Uint8Array(8 + quoted);
    message[0] = type;
    message[1] = code;
    put16(message, 4, parameter >>> 16);
    put16(message, 6, parameter);
    message.set(frame.subarray(rx.ip, rx.ip + quoted), 8);
    this.#words();
    const own = rx.group ? configuration.source(6, rx.s0, rx.s1, rx.s2, rx.s3)?.words : this.#b;
    if (own !== undefined) this.send6(own, this.#a, message, HOP_LIMIT);
  }

  clear(): void {
    this.#tokens = BURST;
    this.#filled = 0;
  }
  save(): StateValue {
    return { tokens: this.#tokens, filled: this.#filled };
  }
  load(value: StateValue, path: string): void {
    const { tokens, filled } = value as { tokens?: StateValue; filled?: StateValue };
    if (typeof tokens !== "number" || typeof filled !== "number") throw new SnapshotError(`${path}: expected tokens`);
    this.#tokens = tokens;
    this.#filled = filled;
  }

  #token(): boolean {
    const now = Math.floor(this.#engine.now / MS);
    this.#tokens = Math.min(BURST, this.#tokens + now - this.#filled);
    this.#filled = now;
    if (this.#tokens > 0) {
      this.#tokens--;
      return true;
    }
    this.#engine.counts.icmpErrorsHeld++;
    return false;
  }

  /** Source and destination of `rx` in words of their own. */
  #words(): void {
    const { rx } = this.#engine;
    this.#a[0] = rx.s0;
    this.#a[1] = rx.s1;
    this.#a[2] = rx.s2;
    this.#a[3] = rx.s3;
    this.#b[0] = rx.d0;
    this.#b[1] = rx.d1;
    this.#b[2] = rx.d2;
    this.#b[3] = rx.d3;
  }

  #goodSum6(): boolean {
    const { rx } = this.#engine;
    const sum = pseudoSum(6, rx.s0, rx.s1, rx.s2, rx.s3, rx.d0, rx.d1, rx.d2, rx.d3, ICMP6);
    return fold(sum + rx.length + sum16(rx.frame, rx.at, rx.length)) === 0;
  }
}

/** The next plateau below the length of a packet a router without RFC 1191 has refused (RFC 1191 7.1). */
function plateau(length: number): number {
  for (const mtu of [8166, 4352, 2002, 1492, 1006]) if (mtu < length) return mtu;
  return 552;
}
