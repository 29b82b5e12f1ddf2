/** A segment as it comes in: header and options taken apart into one object, filled anew for each (RFC 9293 3.1, 3.2; RFC 7323; RFC 2018). */
import type { Packet } from "../engine.ts";
import { load } from "../words.ts";

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const ECE = 64;
export const CWR = 128;

const SACK_BLOCKS = 4;

/** a < b in sequence space. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
export function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

export class Segment {
  localPort = 0;
  remotePort = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header, not scaled. */
  window = 0;
  /** Start of the data in the frame, and its length. */
  at = 0;
  length = 0;
  /** 0: the option is not there. */
  mss = 0;
  /** -1: not there. */
  scale = -1;
  sackPermitted = false;
  timestamped = false;
  tsVal = 0;
  tsEcr = 0;
  blocks = 0;
  readonly sack = new Int32Array(2 * SACK_BLOCKS);

  /** False: no segment at all. Options that do not parse end the list, as far as they parsed they hold (RFC 9293 MUST-7). */
  parse(rx: Packet): boolean {
    const { frame, at, length } = rx;
    if (length < 20) return false;
    const header = (frame[at + 12] >> 4) * 4;
    if (header < 20 || header > length) return false;
    this.remotePort = (frame[at] << 8) | frame[at + 1];
    this.localPort = (frame[at + 2] << 8) | frame[at + 3];
    this.seq = load(frame, at + 4);
    this.ack = load(frame, at + 8);
    this.flags = frame[at + 13];
    this.window = (frame[at + 14] << 8) | frame[at + 15];
    this.at = at + header;
    this.length = length - header;
    this.mss = 0;
    this.scale = -1;
    this.sackPermitted = false;
    this.timestamped = false;
    this.blocks = 0;
    // Most segments have timestamps alone, in the layout RFC 7323 appendix A recommends.
    if (header === 32 && load(frame, at + 20) === 0x0101080a) {
      this.timestamped = true;
      this.tsVal = load(frame, at + 24);
      this.tsEcr = load(frame, at + 28);
    } else if (header > 20) this.#options(frame, at + 20, at + header);
    return true;
  }

  #options(frame: Uint8Array, from: number, end: number): void {
    let at = from;
    while (at < end) {
      const kind = frame[at];
      if (kind === 0) return;
      if (kind === 1) {
        at++;
        continue;
      }
      const size = at + 1 < end ? frame[at + 1] : 0;
      if (size < 2 || at + size > end) return;
      // An option of a wrong length is passed over.
      if (kind === 2 && size === 4) this.mss = (frame[at + 2] << 8) | frame[at + 3];
      else if (kind === 3 && size === 3) this.scale = Math.min(14, frame[at + 2]);
      else if (kind === 4 && size === 2) this.sackPermitted = true;
      else if (kind === 8 && size === 10) {
        this.timestamped = true;
        this.tsVal = load(frame, at + 2);
        this.tsEcr = load(frame, at + 6);
      } else if (kind === 5 && size % 8 === 2) {
        const blocks = Math.min((size - 2) >> 3, SACK_BLOCKS);
        for (let i = 0; i < blocks * 2; i++) this.sack[i] = load(frame, at + 2 + 4 * i);
        this.blocks = blocks;
      }
      at += size;
    }
  }
}
