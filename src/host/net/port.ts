/** The outer side of a network: what a TAP device or a socket is to the run. */
import type { Frame } from "../../net/index.ts";

/** Shortest and longest frame that is taken: an Ethernet header, and QEMU's largest with room for tags. */
export const SHORTEST = 14;
export const LONGEST = 65_553;

export abstract class OutsidePort {
  /** The option that made it, for messages. */
  readonly where: string;
  /** Called when frames have come that nobody had been told of; of some ports only after `listen`. */
  onReady: (() => void) | null = null;
  /** Frames that could not be sent: nobody there, or too slow. */
  lost = 0;

  constructor(where: string) {
    this.where = where;
  }

  /** Opens it. Rejects with an InputError for what the user got wrong. */
  abstract start(): Promise<void>;
  /** Sends a frame, which is not changed afterwards; what cannot be sent is lost, as on any network. */
  abstract send(frame: Frame): void;
  /** Sends what was gathered. */
  flush(): void {}
  /** Whoever asks is about to sleep: `onReady` is to be called when frames come, once. */
  listen(): void {}
  /** A frame waits. */
  abstract get ready(): boolean;
  /** The next frame that came, or null. */
  abstract take(): Frame | null;
  abstract close(): Promise<void>;
}

/** Frames that have come and wait for their instant. */
export class FrameQueue {
  readonly #frames: Frame[] = [];
  #at = 0;

  get length(): number {
    return this.#frames.length - this.#at;
  }
  push(frame: Frame): void {
    this.#frames.push(frame);
  }
  take(): Frame | null {
    const frame = this.#frames[this.#at];
    if (frame === undefined) return null;
    this.#at++;
    if (this.#at === this.#frames.length) {
      this.#frames.length = 0;
      this.#at = 0;
    }
    return frame;
  }
}
