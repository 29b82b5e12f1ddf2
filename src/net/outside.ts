/**
 * The inner side of a connection to the world outside the simulation: the end of a link whose frames leave it, and where frames from outside
 * enter. Whoever owns the outer side (a TAP device, a socket, a test) calls `enter` between runs of the simulation only, at instants that it can
 * name again: then the run repeats from a recording of those frames.
 */
import { Module, type Simulation } from "../sim/index.ts";
import type { Frame } from "./link.ts";
import type { NetworkDevice } from "./user-link.ts";

/** Shortest Ethernet frame without its check sequence (IEEE 802.3 3.2.8): what is shorter gets zeroes behind it. */
const SHORTEST = 60;

export class OutsideEnd extends Module implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  /** Called with each frame at the instant at which it leaves; lost while null. */
  onLeave: ((frame: Frame) => void) | null = null;
  readonly counts: { entered: number; left: number };

  constructor(parent: Module | Simulation, name: string) {
    super(parent, name);
    this.counts = this.state({ entered: 0, left: 0 });
  }

  /** A frame comes in from outside, now. */
  enter(frame: Frame): void {
    this.counts.entered++;
    let whole = frame;
    if (frame.length < SHORTEST) {
      whole = new Uint8Array(SHORTEST);
      whole.set(frame);
    }
    this.onTransmit?.(whole);
  }

  receive(frame: Frame): void {
    this.counts.left++;
    this.onLeave?.(frame);
  }
}
