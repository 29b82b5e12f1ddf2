/**
 * Consecutive TCP segments of one connection, received one after the other, become one packet for the driver (GUEST_TSO4, GUEST_TSO6). Only what
 * segmentation would cut into the very same frames again is put together: the headers differ in length, checksum, sequence number, PSH of the last and, counting
 * up, IPv4 identification; all but the last carry the same number of bytes; all checksums are right.
 */
import { get16, get32, put16 } from "../../net/bytes.ts";
import { pseudoHeader } from "../../net/checksum.ts";
import type { Frame } from "../../net/link.ts";
import { Packet, TCP } from "../../net/packet.ts";
import { ipChecksum } from "../../net/segmentation.ts";
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { VLAN } from "./network-transmit.ts";

/** Connections whose segments are held at a time; the oldest gives way. */
const FLOWS_MAX = 16;
/** Longest IP packet. */
const PACKET_MAX = 65_535;
const ACK = 0x10;
const PSH = 0x08;
const DONT_FRAGMENT = 0x4000;

/** Segments that are held, in order, and the places of their headers, which all have. */
export class Held {
  readonly frames: Frame[];
  readonly l3At: number;
  readonly l4At: number;
  readonly payloadAt: number;
  readonly ip: number;
  /** Bytes of payload of each segment but the last. */
  readonly size: number;
  /** Bytes of the frame that all make together. */
  length: number;
  next: number;

  constructor(frame: Frame, packet: Packet) {
    this.frames = [frame];
    this.l3At = packet.l3At;
    this.l4At = packet.l4At;
    this.payloadAt = packet.payloadAt;
    this.ip = packet.ip;
    this.length = frame.length;
    this.size = frame.length - packet.payloadAt;
    this.next = (get32(frame, packet.l4At + 4) + this.size) >>> 0;
  }

  get first(): Frame {
    return this.frames[0] as Frame;
  }
  /** Bytes that `frame` adds. */
  bytesOf(frame: Frame): number {
    return frame.length - this.payloadAt;
  }
  append(frame: Frame): void {
    const bytes = this.bytesOf(frame);
    this.frames.push(frame);
    this.length += bytes;
    this.next = (this.next + bytes) >>> 0;
  }

  /** Writes the frame that all make together to `into` from `at` on: its TCP checksum is the sum of the pseudo header alone. */
  write(into: Uint8Array, at: number): void {
    let end = at;
    for (const [i, frame] of this.frames.entries()) {
      const part = i === 0 ? frame : frame.subarray(this.payloadAt);
      into.set(part, end);
      end += part.length;
    }
    const whole = into.subarray(at, end);
    const { l3At, l4At } = this;
    const last = this.frames.at(-1) as Frame;
    whole[l4At + 13] = last[l4At + 13] as number;
    if (this.ip === 4) {
      put16(whole, l3At + 2, whole.length - l3At);
      ipChecksum(whole, l3At, l4At);
    } else put16(whole, l3At + 4, whole.length - l3At - 40);
    put16(whole, l4At + 16, pseudoHeader(whole, this.ip, l3At, TCP, whole.length - l4At));
  }
}

export class Coalescing implements StatePart {
  #flows: Held[] = [];
  readonly #give: (held: Held) => void;

  /** `give` takes what need not be held any longer. */
  constructor(give: (held: Held) => void) {
    this.#give = give;
  }

  get empty(): boolean {
    return this.#flows.length === 0;
  }

  /**
   * Takes `frame`, whose checksums are right, to hold it or to give it on with others. False: it goes on alone; what was held of its connection has gone
   * before it.
   */
  take(frame: Frame, packet: Packet): boolean {
    const i = this.#flows.findIndex((held) => sameConnection(held, frame, packet));
    const held = this.#flows[i];
    const fits = suitable(frame, packet);
    if (held !== undefined) {
      if (fits && continues(held, frame, packet)) {
        held.append(frame);
        const full = held.length - held.l3At + held.size > PACKET_MAX;
        if (full || held.bytesOf(frame) < held.size || pushes(frame, packet)) this.#release(i);
        return true;
      }
      this.#release(i);
    }
    // Alone, the end of what was sent has nothing to wait for.
    if (!fits || pushes(frame, packet)) return false;
    if (this.#flows.length >= FLOWS_MAX) this.#release(0);
    this.#flows.push(new Held(frame, packet));
    return true;
  }

  #release(i: number): void {
    const [held] = this.#flows.splice(i, 1);
    if (held !== undefined) this.#give(held);
  }

  /** Gives on all that is held. */
  releaseAll(): void {
    while (!this.empty) this.#release(0);
  }

  save(): StateValue {
    return this.#flows.map((held) => [...held.frames]);
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of connections`);
    this.#flows = value.map((frames: StateValue) => {
      if (!Array.isArray(frames)) throw new SnapshotError(`${path}: expected lists of frames`);
      return restored(frames as readonly StateValue[], path);
    });
  }
  reset(): void {
    this.#flows = [];
  }
}

function restored(frames: readonly StateValue[], path: string): Held {
  let held: Held | null = null;
  for (const value of frames) {
    if (!(value instanceof Uint8Array)) throw new SnapshotError(`${path}: expected frames`);
    const frame = value.slice();
    const packet = new Packet().parse(frame, VLAN, -1);
    if (packet.l4 !== TCP) throw new SnapshotError(`${path}: expected TCP segments`);
    if (held === null) held = new Held(frame, packet);
    else held.append(frame);
  }
  if (held === null) throw new SnapshotError(`${path}: expected frames`);
  return held;
}

/** A segment with data, ACK and at most PSH beside it, no IP options, nothing behind the packet. */
function suitable(frame: Frame, packet: Packet): boolean {
  if (packet.l4 !== TCP || packet.extended || packet.fragment || packet.end !== frame.length) return false;
  const flags = get16(frame, packet.l4At + 12) & 0xfff;
  return (flags & ~PSH) === ACK && frame.length > packet.payloadAt;
}

function pushes(frame: Frame, packet: Packet): boolean {
  return ((frame[packet.l4At + 13] as number) & PSH) !== 0;
}

/** Same addresses and ports, at the same places. */
function sameConnection(held: Held, frame: Frame, packet: Packet): boolean {
  if (packet.ip !== held.ip || packet.l3At !== held.l3At || packet.l4 !== TCP) return false;
  const at = held.l3At + (held.ip === 4 ? 12 : 8);
  if (!sameRange(held.first, frame, at, at + (held.ip === 4 ? 8 : 32))) return false;
  return packet.l4At === held.l4At && sameRange(held.first, frame, held.l4At, held.l4At + 4);
}

/** The segment follows those held, and segmentation would give it this header. */
function continues(held: Held, frame: Frame, packet: Packet): boolean {
  const { first, l3At, l4At, payloadAt } = held;
  const bytes = held.bytesOf(frame);
  return (
    packet.payloadAt === payloadAt &&
    bytes <= held.size &&
    held.length + bytes - l3At <= PACKET_MAX &&
    get32(frame, l4At + 4) === held.next &&
    (held.ip === 4 ? sameIpv4(held, frame) : sameIpv6(held, frame)) &&
    // Acknowledgment; data offset, flags but PSH, window; urgent pointer and options.
    get32(frame, l4At + 8) === get32(first, l4At + 8) &&
    ((get32(frame, l4At + 12) ^ get32(first, l4At + 12)) & ~(PSH << 16)) === 0 &&
    sameRange(first, frame, l4At + 18, payloadAt)
  );
}

function sameIpv4({ first, frames, l3At }: Held, frame: Frame): boolean {
  const identification = (get16(first, l3At + 4) + frames.length) & 0xffff;
  return (
    sameRange(first, frame, 0, l3At + 2) &&
    // Without fragments the identification means nothing (RFC 6864 4.1).
    (get16(frame, l3At + 4) === identification || (get16(frame, l3At + 6) & DONT_FRAGMENT) !== 0) &&
    sameRange(first, frame, l3At + 6, l3At + 10)
  );
}

function sameIpv6({ first, l3At }: Held, frame: Frame): boolean {
  return sameRange(first, frame, 0, l3At + 4) && sameRange(first, frame, l3At + 6, l3At + 8);
}

function sameRange(a: Frame, b: Frame, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (a[i] !== b[i]) return false;
  return true;
}
