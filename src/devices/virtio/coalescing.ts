/**
 * TCP segments that follow one another, received one after the other, for a driver that takes them as one packet (GUEST_TSO4, GUEST_TSO6). Only the last
 * segments are held, and anything else gives them on first: the order of frames is kept.
 */
import { SegmentJoiner } from "../../net/joining.ts";
import type { Frame } from "../../net/link.ts";
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

export class Coalescing implements StatePart {
  readonly joiner: SegmentJoiner;
  /** What has been joined, as it came. */
  #frames: Frame[] = [];

  /** Packets are put together behind `room` bytes. */
  constructor(room: number) {
    this.joiner = new SegmentJoiner(room);
  }

  /** The segment that is alone, or null. */
  get only(): Frame | null {
    return this.#frames.length === 1 ? (this.#frames[0] as Frame) : null;
  }

  /** Holds `frame` behind what is held. False where it does not follow, or is nothing that can be held. */
  add(frame: Frame): boolean {
    if (!this.joiner.add(frame)) return false;
    this.#frames.push(frame);
    return true;
  }

  save(): StateValue {
    return [...this.#frames];
  }
  load(value: StateValue, path: string): void {
    this.reset();
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of segments`);
    for (const frame of value as StateValue[]) {
      if (!(frame instanceof Uint8Array) || !this.add(frame.slice())) {
        throw new SnapshotError(`${path}: expected segments that follow one another`);
      }
    }
  }
  reset(): void {
    this.#frames = [];
    this.joiner.frames = 0;
  }
}
