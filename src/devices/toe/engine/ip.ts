/**
 * IPv4 (RFC 791, 1122) and IPv6 (RFC 8200), as a host: nothing is forwarded. Frames come untagged and without frame check sequence.
 * Packets with a source route are dropped (RFC 7126 4.3, RFC 5095); other IPv4 options and unknown skippable extension headers are passed over.
 */

import { get16, put16 } from "../../../net/bytes.ts";
import type { Frame } from "../../../net/index.ts";
import { SEC, SnapshotError, type StateValue, type Time } from "../../../sim/index.ts";
import { MTU_LEAST } from "./configuration.ts";
import type { Engine } from "./engine.ts";
import { type Family, fold, load, store, sum16, type Words } from "./words.ts";

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMP6 = 58;

/** Start of the IP header in a frame. */
export const ETHERNET = 14;
/** An IPv4 path MTU below that is not believed (a guard against a peer that would have every byte in a packet of its own). */
const MTU_FLOOR = 552;
/** A learnt path MTU is forgotten after that (RFC 8201 4: at least 5 minutes, 10 recommended). */
const PATH_AGE: Time = 600 * SEC;
const PATHS_MAX = 256;
const EXTENSIONS_MAX = 8;
/** Longest packet. */
const LONGEST = 65_535;

interface Path {
  mtu: number;
  expires: Time;
}

export class Ip {
  readonly #engine: Engine;
  readonly #paths = new Map<string, Path>();
  #identification = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  input(frame: Frame): void {
    const { counts, configuration, rx } = this.#engine;
    counts.framesIn++;
    if (frame.length < ETHERNET + 20) {
      counts.badFrames++;
      return;
    }
    rx.group = (frame[0] & 1) !== 0;
    if (!rx.group) {
      const { mac } = configuration;
      for (let i = 0; i < 6; i++) {
        if (frame[i] !== mac[i]) {
          counts.notForUs++;
          return;
        }
      }
    }
    const type = (frame[12] << 8) | frame[13];
    rx.frame = frame;
    rx.ip = ETHERNET;
    if (type === 0x0800) this.input4();
    else if (type === 0x86dd) this.#input6();
    else if (type === 0x0806) this.#engine.neighbours.arp(frame, ETHERNET);
    else counts.notForUs++;
  }

  /** An IPv4 packet in `rx`, of a frame or reassembled. */
  input4(): void {
    const engine = this.#engine;
    const { counts, configuration, rx } = engine;
    const { frame, ip } = rx;
    const header = (frame[ip] & 15) * 4;
    const total = get16(frame, ip + 2);
    if (
      frame[ip] >> 4 !== 4 ||
      header < 20 ||
      total < header ||
      ip + total > frame.length ||
      fold(sum16(frame, ip, header)) !== 0
    ) {
      counts.badFrames++;
      return;
    }
    rx.family = 4;
    this.addressesOf();
    rx.ecn = frame[ip + 1] & 3;
    rx.hopLimit = frame[ip + 8];
    rx.protocol = frame[ip + 9];
    rx.at = ip + header;
    rx.length = total - header;
    // A source that is a group, loopback or ours (RFC 1122 3.2.1.3); 0.0.0.0 has nobody to answer to.
    if (
      rx.s3 >>> 28 >= 0xe ||
      rx.s3 >>> 24 === 127 ||
      rx.s3 === 0 ||
      (configuration.owns(4, 0, 0, 0xffff, rx.s3) && rx.s3 !== rx.d3)
    ) {
      counts.badFrames++;
      return;
    }
    if (!configuration.owns(4, 0, 0, 0xffff, rx.d3)) {
      if (!configuration.isBroadcast(rx.d3)) {
        counts.notForUs++;
        return;
      }
      rx.group = true;
    }
    if (header > 20 && sourceRouted(frame, ip + 20, ip + header)) {
      counts.badFrames++;
      return;
    }
    const fragment = get16(frame, ip + 6);
    if ((fragment & 0x3fff) !== 0) {
      engine.fragments.input4((fragment & 0x1fff) * 8, (fragment & 0x2000) !== 0);
      return;
    }
    switch (rx.protocol) {
      case TCP:
        if (!rx.group) engine.tcp.input();
        break;
      case UDP:
        engine.udp.input();
        break;
      case ICMP:
        engine.icmp.input4();
        break;
      default:
        engine.icmp.error4(3, 2, 0);
    }
  }

  #input6(): void {
    const { counts, configuration, rx } = this.#engine;
    const { frame, ip } = rx;
    const payload = frame.length >= ip + 40 ? get16(frame, ip + 4) : -1;
    if (payload < 0 || frame[ip] >> 4 !== 6 || ip + 40 + payload > frame.length) {
      counts.badFrames++;
      return;
    }
    rx.family = 6;
    this.addressesOf();
    rx.ecn = (frame[ip + 1] >> 4) & 3;
    rx.hopLimit = frame[ip + 7];
    // A group is no source (RFC 4291 2.7); a mapped address does not belong on the wire (RFC 4942 2.2), nor does loopback.
    const mapped = (rx.s0 | rx.s1) === 0 && (rx.s2 === 0xffff || (rx.s2 === 0 && rx.s3 === 1));
    if (rx.s0 >>> 24 === 0xff || mapped) {
      counts.badFrames++;
      return;
    }
    if (rx.d0 >>> 24 === 0xff) {
      if (!configuration.joined(rx.d0, rx.d1, rx.d2, rx.d3)) {
        counts.notForUs++;
        return;
      }
      rx.group = true;
    } else if (!configuration.owns(6, rx.d0, rx.d1, rx.d2, rx.d3)) {
      counts.notForUs++;
      return;
    }
    this.headers6(frame[ip + 6], ip + 40, ip + 40 + payload);
  }

  /** Walks the extension headers of the IPv6 packet in `rx` from header `next` at `at` on (RFC 8200 4). */
  headers6(next: number, from: number, end: number): void {
    const engine = this.#engine;
    const { rx, counts } = engine;
    const { frame } = rx;
    let at = from;
    /** Where the number of the header at hand stands, for the error that points to it. */
    let pointer = rx.ip + 6;
    for (let n = 0; ; n++) {
      rx.at = at;
      rx.length = end - at;
      rx.protocol = next;
      switch (next) {
        case TCP:
          if (!rx.group) engine.tcp.input();
          return;
        case UDP:
          engine.udp.input();
          return;
        case ICMP6:
          engine.icmp.input6();
          return;
        case 59:
          return;
        case 44:
          if (at + 8 > end) counts.badFrames++;
          else engine.fragments.input6();
          return;
        case 0:
        case 43:
        case 60:
          break;
        default:
          engine.icmp.error6(4, 1, pointer - rx.ip);
          return;
      }
      const size = at + 8 <= end ? (frame[at + 1] + 1) * 8 : 0;
      if (size === 0 || at + size > end || n >= EXTENSIONS_MAX) {
        counts.badFrames++;
        return;
      }
      // Hop-by-hop options stand directly behind the IPv6 header alone (4.1).
      if (next === 0 && at !== rx.ip + 40) {
        engine.icmp.error6(4, 1, pointer - rx.ip);
        return;
      }
      if (next === 43) {
        if (frame[at + 3] !== 0) {
          engine.icmp.error6(4, 0, at + 2 - rx.ip);
          return;
        }
      } else if (!this.#options6(at + 2, at + size)) return;
      pointer = at;
      next = frame[at];
      at += size;
    }
  }

  /** Options of a hop-by-hop or destination header: the two highest bits of an unknown one say what to do (4.2). */
  #options6(from: number, end: number): boolean {
    const { rx, counts, icmp } = this.#engine;
    const { frame } = rx;
    for (let at = from; at < end; ) {
      const type = frame[at];
      if (type === 0) {
        at++;
        continue;
      }
      if (at + 1 >= end || at + 2 + frame[at + 1] > end) {
        counts.badFrames++;
        return false;
      }
      const action = type >> 6;
      // PadN, router alert.
      if (type !== 1 && type !== 5 && action !== 0) {
        if (action === 2 || (action === 3 && !rx.group)) icmp.error6(4, 2, at - rx.ip, action === 2);
        return false;
      }
      at += 2 + frame[at + 1];
    }
    return true;
  }

  /**
   * Sends a payload of any length up to the packet's own limit, in fragments where the path asks for them. For what is not TCP.
   * `whole`: leave out fragments' permission (IPv4 DF). False: no route, or too long.
   */
  send(
    family: Family,
    from: Words,
    to: Words,
    protocol: number,
    payload: Uint8Array,
    hopLimit: number,
    tos = 0,
  ): boolean {
    const { configuration, neighbours } = this.#engine;
    const overhead = family === 4 ? 20 : 40;
    const [w0, w1, w2, w3] = to;
    if (payload.length + (family === 4 ? 20 : 0) > LONGEST || !configuration.route(family, w0, w1, w2, w3))
      return false;
    const mtu = this.pathMtu(family, w0, w1, w2, w3);
    const group = family === 4 ? w3 >>> 28 === 0xe || configuration.isBroadcast(w3) : w0 >>> 24 === 0xff;
    const hop = group
      ? null
      : neighbours.get(family, configuration.hop[0], configuration.hop[1], configuration.hop[2], configuration.hop[3]);
    if (!group && hop === null) return true;
    const fits = overhead + payload.length <= mtu;
    const step = fits ? payload.length : (mtu - overhead - (family === 4 ? 0 : 8)) & ~7;
    this.#identification = (this.#identification + 1) | 0;
    const id = this.#identification;
    let at = 0;
    do {
      const size = Math.min(step, payload.length - at);
      const more = at + size < payload.length;
      const extra = family === 6 && !fits ? 8 : 0;
      const frame = new Uint8Array(Math.max(60, ETHERNET + overhead + extra + size));
      this.header(frame, family, from, to, overhead + extra + size, extra > 0 ? 44 : protocol, hopLimit, tos, false);
      if (family === 4) {
        put16(frame, ETHERNET + 4, id);
        put16(frame, ETHERNET + 6, (more ? 0x2000 : 0) | (at >> 3));
        put16(frame, ETHERNET + 10, 0);
        put16(frame, ETHERNET + 10, fold(sum16(frame, ETHERNET, 20)));
      } else if (extra > 0) {
        frame[ETHERNET + 40] = protocol;
        put16(frame, ETHERNET + 42, at | (more ? 1 : 0));
        store(frame, ETHERNET + 44, id);
      }
      frame.set(payload.subarray(at, at + size), ETHERNET + overhead + extra);
      if (hop !== null) neighbours.output(hop, frame);
      else this.#toGroup(frame, family, w3);
      at += size;
    } while (at < payload.length);
    return true;
  }

  #toGroup(frame: Frame, family: Family, w3: number): void {
    if (family === 6) {
      put16(frame, 0, 0x3333);
      store(frame, 2, w3);
    } else if (w3 >>> 28 === 0xe) {
      store(frame, 0, 0x01005e00);
      store(frame, 2, 0x5e000000 | (w3 & 0x7fffff));
    } else frame.fill(0xff, 0, 6);
    this.#engine.transmit(frame);
  }

  /** Ethernet source and type, and the IP header of a packet of `length` bytes with a good checksum. */
  header(
    frame: Frame,
    family: Family,
    from: Words,
    to: Words,
    length: number,
    protocol: number,
    hopLimit: number,
    tos: number,
    whole: boolean,
  ): void {
    frame.set(this.#engine.configuration.mac, 6);
    if (family === 4) writeHeader4(frame, from[3], to[3], length, protocol, hopLimit, tos, whole);
    else writeHeader6(frame, from, to, length - 40, protocol, hopLimit, tos);
  }

  pathMtu(family: Family, w0: number, w1: number, w2: number, w3: number): number {
    const { mtu } = this.#engine.configuration;
    if (this.#paths.size === 0) return mtu;
    const path = this.#paths.get(keyOf(family, w0, w1, w2, w3));
    return path !== undefined && path.expires > this.#engine.now ? Math.min(mtu, path.mtu) : mtu;
  }

  /** A router says that packets of more than `mtu` bytes do not pass. True where that is news. */
  learnMtu(family: Family, w0: number, w1: number, w2: number, w3: number, mtu: number): boolean {
    const least = family === 4 ? MTU_FLOOR : MTU_LEAST;
    const value = Math.max(least, mtu);
    if (value >= this.pathMtu(family, w0, w1, w2, w3)) return false;
    if (this.#paths.size >= PATHS_MAX) {
      for (const oldest of this.#paths.keys()) {
        this.#paths.delete(oldest);
        break;
      }
    }
    this.#paths.set(keyOf(family, w0, w1, w2, w3), { mtu: value, expires: this.#engine.now + PATH_AGE });
    return true;
  }

  /** Takes the addresses of `rx` from its frame once more. */
  addressesOf(): void {
    const { rx } = this.#engine;
    const { frame, ip } = rx;
    if (rx.family === 4) {
      rx.s0 = rx.s1 = rx.d0 = rx.d1 = 0;
      rx.s2 = rx.d2 = 0xffff;
      rx.s3 = load(frame, ip + 12);
      rx.d3 = load(frame, ip + 16);
      return;
    }
    rx.s0 = load(frame, ip + 8);
    rx.s1 = load(frame, ip + 12);
    rx.s2 = load(frame, ip + 16);
    rx.s3 = load(frame, ip + 20);
    rx.d0 = load(frame, ip + 24);
    rx.d1 = load(frame, ip + 28);
    rx.d2 = load(frame, ip + 32);
    rx.d3 = load(frame, ip + 36);
  }

  clear(): void {
    this.#paths.clear();
    this.#identification = 0;
  }
  save(): StateValue {
    return {
      identification: this.#identification,
      paths: [...this.#paths].map(([key, { mtu, expires }]) => ({ key, mtu, expires })),
    };
  }
  load(value: StateValue, path: string): void {
    const { identification, paths } = value as { identification?: StateValue; paths?: StateValue };
    if (typeof identification !== "number" || !Array.isArray(paths))
      throw new SnapshotError(`${path}: expected identification and paths`);
    this.#identification = identification;
    this.#paths.clear();
    for (const { key, mtu, expires } of paths as { key: string; mtu: number; expires: number }[]) {
      this.#paths.set(key, { mtu, expires });
    }
  }
}

export function writeHeader4(
  b: Frame,
  from: number,
  to: number,
  length: number,
  protocol: number,
  hopLimit: number,
  tos: number,
  whole: boolean,
): void {
  b[12] = 8;
  b[13] = 0;
  b[14] = 0x45;
  b[15] = tos;
  b[16] = length >>> 8;
  b[17] = length;
  // An atomic datagram needs no identification (RFC 6864 4.1).
  b[18] = 0;
  b[19] = 0;
  b[20] = whole ? 0x40 : 0;
  b[21] = 0;
  b[22] = hopLimit;
  b[23] = protocol;
  store(b, 26, from);
  store(b, 30, to);
  const sum =
    0x4500 +
    tos +
    length +
    (whole ? 0x4000 : 0) +
    (hopLimit << 8) +
    protocol +
    (from >>> 16) +
    (from & 0xffff) +
    (to >>> 16) +
    (to & 0xffff);
  const check = fold(sum);
  b[24] = check >>> 8;
  b[25] = check;
}

export function writeHeader6(
  b: Frame,
  from: Words,
  to: Words,
  payload: number,
  protocol: number,
  hopLimit: number,
  tos: number,
): void {
  b[12] = 0x86;
  b[13] = 0xdd;
  b[14] = 0x60 | (tos >> 4);
  b[15] = (tos & 15) << 4;
  b[18] = payload >>> 8;
  b[19] = payload;
  b[20] = protocol;
  b[21] = hopLimit;
  for (let i = 0; i < 4; i++) {
    store(b, 22 + 4 * i, from[i]);
    store(b, 38 + 4 * i, to[i]);
  }
}

function keyOf(family: Family, w0: number, w1: number, w2: number, w3: number): string {
  return `${family} ${w0} ${w1} ${w2} ${w3}`;
}

/** Loose or strict source route among IPv4 options, or options that do not parse. */
function sourceRouted(frame: Frame, from: number, end: number): boolean {
  for (let at = from; at < end; ) {
    const type = frame[at];
    if (type === 0) return false;
    if (type === 1) {
      at++;
      continue;
    }
    const size = at + 1 < end ? frame[at + 1] : 0;
    if (size < 2 || at + size > end || type === 131 || type === 137) return true;
    at += size;
  }
  return false;
}
