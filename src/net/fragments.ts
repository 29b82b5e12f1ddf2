/** IPv4 fragmentation and reassembly (RFC 791 3.2) of Ethernet frames whose IPv4 header has no options. */
import { SnapshotError, type StatePart, type StateValue } from "../sim/index.ts";
import { checksum, get16, put16 } from "./bytes.ts";
import type { Frame } from "./link.ts";

const HEADERS = 34;
const MORE = 0x2000;
/** Datagrams put together at a time; the oldest gives way. RFC 791's timer is not modelled. */
const PARTIAL_MAX = 8;
/** Fragments of one datagram; one of more pieces is given up. */
const PIECES_MAX = 128;
/** Longest payload of a datagram. */
const LONGEST = 65_515;

interface Partial {
  readonly key: string;
  readonly pieces: Frame[];
}

export class Reassembly implements StatePart {
  readonly #partial: Partial[] = [];

  /** Takes a fragment; the whole datagram as one frame where this was the last that was missing, else null. */
  add(frame: Frame): Frame | null {
    // Source, destination, protocol and identification.
    const key = [...frame.subarray(26, 34), frame[23], get16(frame, 18)].join(" ");
    let partial = this.#partial.find((p) => p.key === key);
    if (partial === undefined) {
      partial = { key, pieces: [] };
      if (this.#partial.length >= PARTIAL_MAX) this.#partial.shift();
      this.#partial.push(partial);
    }
    const { pieces } = partial;
    // A fragment that comes again replaces the one there was, so their number has a bound.
    const again = pieces.findIndex((p) => offsetOf(p) === offsetOf(frame));
    if (again < 0) pieces.push(frame);
    else pieces[again] = frame;
    const whole = join(pieces);
    if (whole !== null || pieces.length >= PIECES_MAX) this.#partial.splice(this.#partial.indexOf(partial), 1);
    return whole;
  }

  save(): StateValue {
    return this.#partial.map(({ key, pieces }) => ({ key, pieces: [...pieces] }));
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of datagrams`);
    this.#partial.length = 0;
    for (const { key, pieces } of value as { key?: StateValue; pieces?: StateValue }[]) {
      if (typeof key !== "string" || !Array.isArray(pieces) || !pieces.every((p) => p instanceof Uint8Array)) {
        throw new SnapshotError(`${path}: expected fragments`);
      }
      this.#partial.push({ key, pieces: pieces.map((p: Uint8Array) => p.slice()) });
    }
  }
  reset(): void {
    this.#partial.length = 0;
  }
}

/** The frames that carry `frame` where no more than `mtu` bytes fit behind the Ethernet header. */
export function fragmented(frame: Frame, mtu = 1500): Frame[] {
  const total = get16(frame, 16);
  if (total <= mtu) return [frame];
  const room = (mtu - 20) & ~7;
  const pieces: Frame[] = [];
  for (let at = 0; at < total - 20; at += room) {
    const payload = frame.subarray(HEADERS + at, Math.min(HEADERS + at + room, 14 + total));
    const last = at + room >= total - 20;
    pieces.push(withPayload(frame, payload, (last ? 0 : MORE) | (at >> 3)));
  }
  return pieces;
}

function offsetOf(piece: Frame): number {
  return (get16(piece, 20) & 0x1fff) * 8;
}

/** The datagram of fragments that follow each other from 0 on to one without "more", or null. */
function join(pieces: readonly Frame[]): Frame | null {
  const payload = new Uint8Array(LONGEST);
  let end = 0;
  for (const piece of pieces.toSorted((a, b) => offsetOf(a) - offsetOf(b))) {
    const at = offsetOf(piece);
    const length = get16(piece, 16) - 20;
    if (at > end || at + length > LONGEST) return null;
    payload.set(piece.subarray(HEADERS, HEADERS + length), at);
    end = Math.max(end, at + length);
    if ((get16(piece, 20) & MORE) === 0) return withPayload(piece, payload.subarray(0, end), 0);
  }
  return null;
}

function withPayload(like: Frame, payload: Uint8Array, fragment: number): Frame {
  const frame = new Uint8Array(Math.max(60, HEADERS + payload.length));
  frame.set(like.subarray(0, HEADERS));
  frame.set(payload, HEADERS);
  put16(frame, 16, 20 + payload.length);
  put16(frame, 20, fragment);
  put16(frame, 24, 0);
  put16(frame, 24, checksum(frame, 14, 20));
  return frame;
}
