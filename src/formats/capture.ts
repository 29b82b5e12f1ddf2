/**
 * Captures of packets: pcap (draft-ietf-opsawg-pcap: either order of bytes, microseconds or nanoseconds) and pcapng
 * (draft-ietf-opsawg-pcapng: enhanced and simple packet blocks, time resolutions to a picosecond). Only Ethernet; other interfaces are
 * passed over, as are blocks without packets.
 */
import { Parser } from "binary-parser";
import { InputError } from "./input-error.ts";

export interface CapturedPacket {
  /** Nanoseconds behind the first packet of the file; never smaller than the one before. */
  readonly time: number;
  readonly data: Uint8Array;
  /** The packet was longer than what the file has of it. */
  readonly cut: boolean;
}

const ETHERNET = 1;
/** Largest packet that is believed. */
const LONGEST = 262_144;

const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER = 0x1a2b3c4d;
const INTERFACE = 1;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const OPTION_END = 0;
const OPTION_TSRESOL = 9;

type Order = "little" | "big";

const fileHeader = (order: Order) => new Parser().endianness(order).skip(16).uint32("snapLength").uint32("linkType");
const packetHeader = (order: Order) =>
  new Parser().endianness(order).uint32("seconds").uint32("fraction").uint32("captured").uint32("original");
const interfaceHeader = (order: Order) =>
  new Parser().endianness(order).uint16("linkType").skip(2).uint32("snapLength");
const enhancedHeader = (order: Order) =>
  new Parser().endianness(order).uint32("interface").uint32("high").uint32("low").uint32("captured").uint32("original");

/** Reads a capture. Throws InputError, naming `where` and the place, for what is damaged or no Ethernet. */
export function parseCapture(bytes: Uint8Array, where: string): CapturedPacket[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length >= 24) {
    for (const order of ["little", "big"] as const) {
      const magic = view.getUint32(0, order === "little");
      if (magic === MICROSECONDS || magic === NANOSECONDS) {
        return classic(bytes, where, order, magic === NANOSECONDS ? 1 : 1000);
      }
    }
    if (view.getUint32(0) === SECTION_HEADER) return nextGeneration(bytes, view, where);
  }
  throw new InputError(`${where}: not a capture: expected pcap or pcapng`);
}

function damaged(where: string, at: number): InputError {
  return new InputError(`${where}: damaged or cut off at byte ${at}`);
}

function classic(bytes: Uint8Array, where: string, order: Order, unit: number): CapturedPacket[] {
  const { linkType } = fileHeader(order).parse(bytes.subarray(0, 24));
  // The upper bits say how long the check sequence is.
  if ((linkType & 0xffff) !== ETHERNET) {
    throw new InputError(`${where}: link type ${linkType & 0xffff}: expected Ethernet, 1`);
  }
  const header = packetHeader(order);
  const out = new Packets();
  for (let at = 24; at < bytes.length; ) {
    if (at + 16 > bytes.length) throw damaged(where, at);
    const { seconds, fraction, captured, original } = header.parse(bytes.subarray(at, at + 16));
    if (captured > LONGEST || at + 16 + captured > bytes.length) throw damaged(where, at);
    out.add(seconds, fraction * unit, bytes.slice(at + 16, at + 16 + captured), original > captured);
    at += 16 + captured;
  }
  return out.list;
}

interface Interface {
  readonly ethernet: boolean;
  /** Units of time a second. */
  readonly units: number;
}

function nextGeneration(bytes: Uint8Array, view: DataView, where: string): CapturedPacket[] {
  const out = new Packets();
  let order: Order = "little";
  let interfaces: Interface[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 12 > bytes.length) throw damaged(where, at);
    if (view.getUint32(at) === SECTION_HEADER) {
      order = view.getUint32(at + 8, true) === BYTE_ORDER ? "little" : "big";
      if (order === "big" && view.getUint32(at + 8) !== BYTE_ORDER) throw damaged(where, at);
      interfaces = [];
    }
    const little = order === "little";
    const type = view.getUint32(at, little);
    const length = view.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0 || at + length > bytes.length) throw damaged(where, at);
    const body = bytes.subarray(at + 8, at + length - 4);
    if (type === INTERFACE) {
      if (body.length < 8) throw damaged(where, at);
      const units = resolution(body, little);
      if (units > 1e12) throw new InputError(`${where}: time resolution beyond picoseconds: expected at most 10^-12 s`);
      interfaces.push({ ethernet: interfaceHeader(order).parse(body).linkType === ETHERNET, units });
    } else if (type === ENHANCED_PACKET) {
      if (body.length < 20) throw damaged(where, at);
      const packet = enhancedHeader(order).parse(body);
      const source = interfaces[packet.interface];
      if (source === undefined || packet.captured > body.length - 20) throw damaged(where, at);
      if (source.ethernet) {
        const [seconds, rest] = split(packet.high, packet.low, source.units);
        const data = body.slice(20, 20 + packet.captured);
        out.add(seconds, (rest * 1e9) / source.units, data, packet.original > packet.captured);
      }
    } else if (type === SIMPLE_PACKET && interfaces[0]?.ethernet === true) {
      if (body.length < 4) throw damaged(where, at);
      const original = new DataView(body.buffer, body.byteOffset).getUint32(0, little);
      const captured = Math.min(original, body.length - 4);
      out.again(body.slice(4, 4 + captured), original > captured);
    }
    at += length;
  }
  return out.list;
}

/** Seconds and what is left of them, of a 64-bit count: a long division by bytes, exact for up to 10^12 units a second. */
function split(high: number, low: number, units: number): [seconds: number, rest: number] {
  let seconds = 0;
  let rest = 0;
  for (const word of [high, low]) {
    for (let shift = 24; shift >= 0; shift -= 8) {
      const part = rest * 256 + ((word >>> shift) & 255);
      seconds = seconds * 256 + Math.floor(part / units);
      rest = part % units;
    }
  }
  return [seconds, rest];
}

/** if_tsresol: 10^-n, or 2^-n with the highest bit set; microseconds unless given. */
function resolution(body: Uint8Array, little: boolean): number {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  for (let at = 8; at + 4 <= body.length; ) {
    const code = view.getUint16(at, little);
    const length = view.getUint16(at + 2, little);
    if (code === OPTION_END) break;
    if (code === OPTION_TSRESOL && length >= 1 && at + 4 < body.length) {
      const value = body[at + 4] as number;
      return value < 128 ? 10 ** value : 2 ** (value & 127);
    }
    at += 4 + ((length + 3) & ~3);
  }
  return 1e6;
}

/** Times become distances from the first; a clock that was set back stands still. */
class Packets {
  readonly list: CapturedPacket[] = [];
  #seconds = 0;
  #offset = 0;
  #last = 0;

  add(seconds: number, nanoseconds: number, data: Uint8Array, cut: boolean): void {
    if (this.list.length === 0) {
      this.#seconds = seconds;
      this.#offset = nanoseconds;
    }
    const time = Math.round((seconds - this.#seconds) * 1e9 + (nanoseconds - this.#offset));
    this.#last = Math.max(this.#last, time);
    this.list.push({ time: this.#last, data, cut });
  }
  /** A packet without a time comes with the one before. */
  again(data: Uint8Array, cut: boolean): void {
    this.list.push({ time: this.#last, data, cut });
  }
}
