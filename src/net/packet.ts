/** What parsers of network cards find in a frame: VLAN, IP, TCP, UDP, SCTP. */
import { get16 } from "./bytes.ts";
import type { Frame } from "./link.ts";

export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;

/** Longest chain of IPv6 extension headers that is followed. */
const MAX_EXTENSIONS = 8;

export class Packet {
  /** Tag control information, or -1. */
  tag = -1;
  /** Offset of the tag, 12 or, behind an outer tag, 16. */
  tagAt = -1;
  outerTag = false;
  etherType = 0;
  l3At = 14;
  /** 4, 6 or 0. */
  ip = 0;
  /** IPv4 options, or IPv6 extension headers. */
  extended = false;
  fragment = false;
  /** End of the IP packet within the frame; padding lies beyond. */
  end = 0;
  /** Protocol number where its whole header is there, else 0. */
  l4 = 0;
  /** Protocol as the IP header says. */
  protocol = 0;
  l4At = 0;
  payloadAt = 0;
  sourcePort = 0;
  destinationPort = 0;

  /** Parses `frame`; `vlan` and `outer` are tag types, outer -1 unless packets carry two tags. */
  parse(frame: Frame, vlan: number, outer: number): this {
    const length = frame.length;
    this.tag = -1;
    this.tagAt = -1;
    this.outerTag = false;
    this.ip = 0;
    this.extended = false;
    this.fragment = false;
    this.l4 = 0;
    this.protocol = 0;
    this.end = length;
    let at = 12;
    if (outer >= 0 && length >= 18 && get16(frame, at) === outer) {
      this.outerTag = true;
      at += 4;
    }
    if (length >= at + 6 && get16(frame, at) === vlan) {
      this.tag = get16(frame, at + 2);
      this.tagAt = at;
      at += 4;
    }
    this.etherType = length >= at + 2 ? get16(frame, at) : 0;
    this.l3At = at + 2;
    this.l4At = this.l3At;
    this.payloadAt = this.l3At;
    if (this.etherType === 0x0800) this.#parse4(frame);
    else if (this.etherType === 0x86dd) this.#parse6(frame);
    return this;
  }

  #parse4(frame: Frame): void {
    const at = this.l3At;
    if (frame.length < at + 20 || (frame[at] as number) >>> 4 !== 4) return;
    const header = ((frame[at] as number) & 0xf) * 4;
    const total = get16(frame, at + 2);
    if (header < 20 || frame.length < at + header || total < header) return;
    this.ip = 4;
    this.extended = header > 20;
    this.end = Math.min(frame.length, at + total);
    this.protocol = frame[at + 9] as number;
    const place = get16(frame, at + 6);
    this.fragment = (place & 0x3fff) !== 0;
    this.l4At = at + header;
    this.payloadAt = this.l4At;
    if ((place & 0x1fff) === 0) this.#parseTransport(frame);
  }

  #parse6(frame: Frame): void {
    const at = this.l3At;
    if (frame.length < at + 40 || (frame[at] as number) >>> 4 !== 6) return;
    this.ip = 6;
    this.end = Math.min(frame.length, at + 40 + get16(frame, at + 4));
    let next = frame[at + 6] as number;
    let here = at + 40;
    let offset = 0;
    for (let i = 0; i < MAX_EXTENSIONS && here + 8 <= this.end; i++) {
      if (next === 44) {
        this.fragment = true;
        offset = get16(frame, here + 2) & 0xfff8;
      } else if (next !== 0 && next !== 43 && next !== 60) break;
      this.extended = true;
      const length = next === 44 ? 8 : 8 + 8 * (frame[here + 1] as number);
      next = frame[here] as number;
      here += length;
    }
    this.protocol = next;
    this.l4At = Math.min(here, this.end);
    this.payloadAt = this.l4At;
    if (offset === 0) this.#parseTransport(frame);
  }

  #parseTransport(frame: Frame): void {
    const at = this.l4At;
    const room = this.end - at;
    if (this.protocol === TCP && room >= 20) {
      const header = ((frame[at + 12] as number) >>> 4) * 4;
      if (header < 20 || header > room) return;
      this.payloadAt = at + header;
    } else if (this.protocol === UDP && room >= 8) this.payloadAt = at + 8;
    else if (this.protocol === SCTP && room >= 12) this.payloadAt = at + 12;
    else return;
    this.l4 = this.protocol;
    this.sourcePort = get16(frame, at);
    this.destinationPort = get16(frame, at + 2);
  }
}
