/**
 * All timers of a stack in one heap, one entry a socket; the stack's single event follows its top. Entries move earlier at once and
 * later only when they come up: setting a retransmission timer anew with each segment costs a store, not a walk through the heap.
 */
import { NEVER, SnapshotError, type StateValue, type Time } from "../../../sim/index.ts";

/** Entry of what belongs to no socket: neighbours, fragments, path MTUs. */
export const HOUSEKEEPING = 0;

export class TimerHeap {
  #wake = new Float64Array(64).fill(NEVER);
  #place = new Int32Array(64).fill(-1);
  #heap = new Int32Array(64);
  #count = 0;

  get earliest(): Time {
    return this.#count === 0 ? NEVER : this.#wake[this.#heap[0]];
  }

  /** Sees to it that `slot` comes up at `at` or before. */
  lower(slot: number, at: Time): void {
    if (slot >= this.#wake.length) this.#enlarge(slot);
    if (at >= this.#wake[slot]) return;
    this.#wake[slot] = at;
    let place = this.#place[slot];
    if (place < 0) place = this.#count++;
    this.#up(slot, place);
  }

  /** Takes the first entry out if it is due. -1: none is. */
  take(now: Time): number {
    if (this.#count === 0) return -1;
    const slot = this.#heap[0];
    if (this.#wake[slot] > now) return -1;
    this.remove(slot);
    return slot;
  }

  remove(slot: number): void {
    if (slot >= this.#place.length) return;
    const place = this.#place[slot];
    if (place < 0) return;
    this.#place[slot] = -1;
    this.#wake[slot] = NEVER;
    const last = this.#heap[--this.#count];
    if (last === slot) return;
    this.#up(last, place);
    this.#down(last, this.#place[last]);
  }

  clear(): void {
    this.#wake.fill(NEVER);
    this.#place.fill(-1);
    this.#count = 0;
  }

  save(): StateValue {
    const slots = this.#heap.slice(0, this.#count);
    return { slots, at: Float64Array.from(slots, (slot) => this.#wake[slot]) };
  }
  load(value: StateValue, path: string): void {
    const { slots, at } = value as { slots?: StateValue; at?: StateValue };
    if (!(slots instanceof Int32Array) || !(at instanceof Float64Array) || slots.length !== at.length) {
      throw new SnapshotError(`${path}: expected slots and instants`);
    }
    this.clear();
    for (let i = 0; i < slots.length; i++) {
      if (slots[i] >= this.#wake.length) this.#enlarge(slots[i]);
      this.#wake[slots[i]] = at[i];
      this.#heap[i] = slots[i];
      this.#place[slots[i]] = i;
    }
    this.#count = slots.length;
  }

  #up(slot: number, from: number): void {
    const at = this.#wake[slot];
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const other = this.#heap[parent];
      if (this.#wake[other] <= at) break;
      this.#heap[place] = other;
      this.#place[other] = place;
      place = parent;
    }
    this.#heap[place] = slot;
    this.#place[slot] = place;
  }

  #down(slot: number, from: number): void {
    const at = this.#wake[slot];
    let place = from;
    for (;;) {
      let child = place * 2 + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#wake[this.#heap[child + 1]] < this.#wake[this.#heap[child]]) child++;
      const other = this.#heap[child];
      if (this.#wake[other] >= at) break;
      this.#heap[place] = other;
      this.#place[other] = place;
      place = child;
    }
    this.#heap[place] = slot;
    this.#place[slot] = place;
  }

  #enlarge(slot: number): void {
    let size = this.#wake.length * 2;
    while (size <= slot) size *= 2;
    const wake = new Float64Array(size).fill(NEVER);
    wake.set(this.#wake);
    const place = new Int32Array(size).fill(-1);
    place.set(this.#place);
    const heap = new Int32Array(size);
    heap.set(this.#heap);
    this.#wake = wake;
    this.#place = place;
    this.#heap = heap;
  }
}
