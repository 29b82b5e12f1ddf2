/**
 * Joining TCP segments into large sends, the reverse of segmentation: for a far end that takes those (Linux's TAP devices). What is joined, cut again
 * by `segment`, gives the same frames, so nothing is lost by it: headers, flags and identifications included.
 */
import { get16, get32, put16 } from "./bytes.ts";
import { pseudoHeader, sum } from "./checksum.ts";
import type { Frame } from "./link.ts";
import { TCP } from "./packet.ts";
import { ipChecksum, type SendHeaders } from "./segmentation.ts";

const IP = 14;
const TAG = 4;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ACK = 0x10;
const PSH = 0x08;
/** Don't fragment, nothing else. */
const DF = 0x4000;
/** Longest IP packet (RFC 791 3.1; RFC 8200 3). */
const LONGEST = 0xffff;

export class SegmentJoiner {
  /** The send, from `at` on. Nothing else may be written there while `frames` is above 0. */
  readonly buffer: Uint8Array;
  readonly at: number;
  /** Frames that have been joined. */
  frames = 0;
  /** Bytes of the send. */
  length = 0;
  #ipv4 = false;
  #tcpAt = 0;
  #header = 0;
  /** Payload of each frame but the last. */
  #mss = 0;
  /** Sequence and identification that a next frame has. */
  #sequence = 0;
  #identification = 0;
  /** The last frame has PSH. */
  #pushed = false;
  #short = false;

  /** Sends are put together behind `at` bytes that the caller uses; there is room for a single frame of any length, with a tag. */
  constructor(at: number) {
    this.at = at;
    this.buffer = new Uint8Array(at + IP + TAG + LONGEST);
  }

  /** The last frame is short of the others or has PSH: nothing can follow it. */
  get complete(): boolean {
    return this.#short || this.#pushed;
  }
  get headers(): SendHeaders {
    return {
      macLength: IP,
      ipLength: this.#tcpAt - IP,
      ipv4: this.#ipv4,
      l4: TCP,
      l4Length: this.#header - this.#tcpAt,
      mss: this.#mss,
    };
  }

  /** Copies `frame` as the first of a send, or behind those there are. False, and nothing is changed, where it cannot be joined. */
  add(frame: Frame): boolean {
    return this.frames === 0 ? this.#begin(frame) : this.#append(frame);
  }

  /** A data segment without options of IP, with nothing but ACK and PSH, and right checksums. */
  #begin(frame: Frame): boolean {
    const type = frame.length < IP + 40 ? 0 : get16(frame, 12);
    const ipv4 = type === IPV4;
    if (ipv4) {
      if (frame[IP] !== 0x45 || frame[IP + 9] !== TCP || (get16(frame, IP + 6) & ~DF) !== 0) return false;
    } else if (type !== IPV6 || (frame[IP] as number) >>> 4 !== 6 || frame[IP + 6] !== TCP) return false;
    const tcpAt = IP + (ipv4 ? 20 : 40);
    if (frame.length < tcpAt + 20) return false;
    const header = tcpAt + ((frame[tcpAt + 12] as number) >>> 4) * 4;
    const end = ipv4 ? IP + get16(frame, IP + 2) : tcpAt + get16(frame, IP + 4);
    // An empty segment stands alone, and so does one with padding behind it.
    if (header < tcpAt + 20 || header >= frame.length || end !== frame.length || end > IP + LONGEST) return false;
    if (((frame[tcpAt + 12] as number) & 0xf) !== 0 || ((frame[tcpAt + 13] as number) & ~PSH) !== ACK) return false;
    if (!sound(frame, ipv4, tcpAt)) return false;
    this.#ipv4 = ipv4;
    this.#tcpAt = tcpAt;
    this.#header = header;
    this.#mss = frame.length - header;
    this.buffer.set(frame, this.at);
    this.frames = 1;
    this.length = frame.length;
    this.#expect(frame, this.#mss);
    return true;
  }

  #append(frame: Frame): boolean {
    const payload = frame.length - this.#header;
    if (this.complete || payload <= 0 || payload > this.#mss || this.length + payload > IP + LONGEST) return false;
    if (!this.#follows(frame) || !sound(frame, this.#ipv4, this.#tcpAt)) return false;
    this.buffer.set(frame.subarray(this.#header), this.at + this.length);
    this.frames++;
    this.length += payload;
    this.#expect(frame, payload);
    return true;
  }

  #expect(frame: Frame, payload: number): void {
    this.#sequence = (get32(frame, this.#tcpAt + 4) + payload) >>> 0;
    this.#identification = (get16(frame, IP + 4) + 1) & 0xffff;
    this.#short = payload < this.#mss;
    this.#pushed = ((frame[this.#tcpAt + 13] as number) & PSH) !== 0;
  }

  /** Headers are those that `segment` makes from those of the first frame. */
  #follows(frame: Frame): boolean {
    const tcp = this.#tcpAt;
    if (get32(frame, tcp + 4) !== this.#sequence) return false;
    if (this.#ipv4) {
      if (get16(frame, IP + 2) !== frame.length - IP || get16(frame, IP + 4) !== this.#identification) return false;
      if (!this.#same(frame, 0, IP + 2) || !this.#same(frame, IP + 6, IP + 10)) return false;
      if (!this.#same(frame, IP + 12, tcp + 4)) return false;
    } else {
      if (get16(frame, IP + 4) !== frame.length - tcp) return false;
      if (!this.#same(frame, 0, IP + 4) || !this.#same(frame, IP + 6, tcp + 4)) return false;
    }
    // The first frame has no PSH: it would have been complete.
    if (((frame[tcp + 13] as number) & ~PSH) !== this.buffer[this.at + tcp + 13]) return false;
    return (
      this.#same(frame, tcp + 8, tcp + 13) &&
      this.#same(frame, tcp + 14, tcp + 16) &&
      this.#same(frame, tcp + 18, this.#header)
    );
  }

  #same(frame: Frame, from: number, to: number): boolean {
    const { buffer, at } = this;
    for (let i = from; i < to; i++) if (frame[i] !== buffer[at + i]) return false;
    return true;
  }

  /**
   * Makes the headers of more than one frame those of the whole send: lengths and IPv4 checksum of it all; in TCP's checksum field the sum of the pseudo
   * header, length included; PSH where the last frame had it.
   */
  finish(): void {
    if (this.frames < 2) return;
    const send = this.buffer.subarray(this.at, this.at + this.length);
    const tcp = this.#tcpAt;
    if (this.#ipv4) {
      put16(send, IP + 2, this.length - IP);
      ipChecksum(send, IP, tcp);
    } else put16(send, IP + 4, this.length - tcp);
    if (this.#pushed) send[tcp + 13] = (send[tcp + 13] as number) | PSH;
    put16(send, tcp + 16, pseudoHeader(send, this.#ipv4 ? 4 : 6, IP, TCP, this.length - tcp));
  }
}

/** The checksums of the IPv4 header and of TCP are right (RFC 1071: everything adds up to ones). */
function sound(frame: Frame, ipv4: boolean, tcpAt: number): boolean {
  if (ipv4 && sum(frame, IP, tcpAt) !== 0xffff) return false;
  const pseudo = pseudoHeader(frame, ipv4 ? 4 : 6, IP, TCP, frame.length - tcpAt);
  return sum(frame, tcpAt, frame.length, pseudo) === 0xffff;
}
