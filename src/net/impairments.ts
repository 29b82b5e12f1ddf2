/**
 * What a bad line does to the frames of one direction, each with a seeded stream of random numbers of its own, so that changing one does not move the
 * others. A frame that is lost has taken its time on the wire. Corruption flips one bit behind the check sequence's back, as
 * Linux's netem does: on a real line the receiver would see a bad check sequence and drop the frame.
 */
import type { Module, Random, Time } from "../sim/index.ts";
import type { Frame } from "./link.ts";

export interface Impairments {
  /** Probabilities from 0 to 1. */
  readonly loss?: number;
  /** Mean number of frames lost in a row (two-state Gilbert model); 1, the default, for losses that know nothing of each other. */
  readonly burst?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  /** Frames that are held back by `reorderDelay`, so that later ones overtake them. */
  readonly reorder?: number;
  /** 500 us unless given. */
  readonly reorderDelay?: Time;
  /** Largest extra delay; uniform, and without overtaking. */
  readonly jitter?: Time;
}

export interface LineCounts {
  /** Frames given to the link, without those dropped. */
  sent: number;
  /** Frames that found the queue full. */
  dropped: number;
  lost: number;
  duplicated: number;
  corrupted: number;
  reordered: number;
  /** Frames that came out at the other end. */
  received: number;
}

/** 500 us. */
const REORDER_DELAY: Time = 5_000_000;

/** The fate of each frame of one direction. */
export class Line {
  readonly #options: Impairments;
  readonly #counts: LineCounts;
  readonly #loss: Chance | null;
  readonly #end: Chance | null;
  readonly #duplicate: Chance | null;
  readonly #corrupt: Chance | null;
  readonly #reorder: Chance | null;
  readonly #jitter: Random | null;
  readonly #bits: Random | null;
  /** In the middle of a burst of losses. */
  readonly #state: { bad: boolean } | null;

  /** Throws RangeError for numbers out of range. Streams and state are `owner`'s, under names that begin with `name`. */
  constructor(owner: Module, name: string, options: Impairments, counts: LineCounts, cells: LineCells) {
    this.#options = options;
    this.#counts = counts;
    const chance = (purpose: string, p: number | undefined) => {
      if (p !== undefined && !(p >= 0 && p <= 1)) throw new RangeError(`${purpose}: expected a probability, not ${p}`);
      return p === undefined || p === 0 ? null : new Chance(owner, `${name}_${purpose}`, p);
    };
    const { loss = 0, burst = 1, jitter = 0 } = options;
    if (!(burst >= 1)) throw new RangeError(`burst: expected 1 or more frames, not ${burst}`);
    if (burst > 1 && loss >= 1) throw new RangeError("burst: expected a loss below 1");
    // Gilbert: bursts end with 1 / burst, and begin so often that the share of time in them is the loss.
    const begin = burst === 1 ? loss : Math.min(1, loss / (burst * (1 - loss)));
    this.#loss = chance("loss", begin);
    this.#end = burst > 1 && this.#loss !== null ? chance("burst", 1 / burst) : null;
    this.#state = this.#end === null ? null : cells({ bad: false });
    this.#duplicate = chance("duplicate", options.duplicate);
    this.#corrupt = chance("corrupt", options.corrupt);
    this.#bits = this.#corrupt === null ? null : owner.simulation.random(owner, `${name}_bits`);
    this.#reorder = chance("reorder", options.reorder);
    this.#jitter = jitter > 0 ? owner.simulation.random(owner, `${name}_jitter`) : null;
  }

  get lost(): boolean {
    const state = this.#state;
    let lost: boolean;
    if (state === null) lost = this.#loss?.happens === true;
    else {
      if (state.bad) state.bad = this.#end?.happens !== true;
      else state.bad = this.#loss?.happens === true;
      lost = state.bad;
    }
    if (lost) this.#counts.lost++;
    return lost;
  }

  get duplicated(): boolean {
    if (this.#duplicate?.happens !== true) return false;
    this.#counts.duplicated++;
    return true;
  }

  /** The frame, or another with one bit changed. */
  corrupted(frame: Frame): Frame {
    if (this.#bits === null || this.#corrupt?.happens !== true || frame.length === 0) return frame;
    this.#counts.corrupted++;
    const changed = frame.slice();
    const bit = this.#bits.below(8 * frame.length);
    changed[bit >>> 3] = (changed[bit >>> 3] as number) ^ (1 << (bit & 7));
    return changed;
  }

  get jitter(): Time {
    return this.#jitter === null ? 0 : this.#jitter.below((this.#options.jitter ?? 0) + 1);
  }

  /** By how much the frame is held back while others pass; 0 for most. */
  get heldBack(): Time {
    if (this.#reorder?.happens !== true) return 0;
    this.#counts.reordered++;
    return this.#options.reorderDelay ?? REORDER_DELAY;
  }
}

export type LineCells = (initial: { bad: boolean }) => { bad: boolean };

class Chance {
  readonly #random: Random;
  readonly #below: number;

  constructor(owner: Module, name: string, probability: number) {
    this.#random = owner.simulation.random(owner, name);
    this.#below = probability * 4_294_967_296;
  }
  get happens(): boolean {
    return this.#random.uint32() < this.#below;
  }
}
