/**
 * The queue of timed notifications: a four-way heap in the order (time, priority, sequence). The times lie in a typed array
 * of their own, so that a comparison touches an event only where two times are equal. Taking the first event leaves a
 * hole at the root that the next insertion fills: a timer that is armed again inside its own action costs one pass.
 */
import type { Event } from "./event.ts";
import { NEVER, type Time } from "./time.ts";

/** Marks the hole: earlier than every instant, so that nothing rises past it. */
const HOLE = -1;

export class TimedQueue {
  #times = new Float64Array(64);
  #events: (Event | null)[] = new Array<Event | null>(64).fill(null);
  /** Places in use, the hole included. */
  #size = 0;
  #hole = false;

  get length(): number {
    return this.#hole ? this.#size - 1 : this.#size;
  }

  /** The earliest deadline, or NEVER. */
  get first(): Time {
    if (this.#hole) this.#closeHole();
    return this.#size === 0 ? NEVER : (this.#times[0] as number);
  }

  /** Takes the first event out if its deadline is `time` or earlier; null otherwise. Its `position` is -1 afterwards. */
  take(time: Time): Event | null {
    if (this.#hole) this.#closeHole();
    if (this.#size === 0 || (this.#times[0] as number) > time) return null;
    const event = this.#events[0] as Event;
    event.position = -1;
    event.deadline = NEVER;
    this.#times[0] = HOLE;
    this.#events[0] = null;
    this.#hole = true;
    return event;
  }

  /** Puts in an event that is not queued; `deadline`, `priority` and `sequence` are set. */
  insert(event: Event): void {
    if (this.#hole) {
      this.#hole = false;
      this.#down(0, event, event.deadline);
      return;
    }
    const at = this.#size++;
    if (at === this.#times.length) this.#grow();
    this.#up(at, event, event.deadline);
  }

  remove(event: Event): void {
    const at = event.position;
    const last = --this.#size;
    const moved = this.#events[last] as Event;
    this.#events[last] = null;
    event.position = -1;
    event.deadline = NEVER;
    if (at !== last) this.#settle(at, moved);
  }

  /** The queued event's deadline or sequence has changed. */
  moved(event: Event): void {
    this.#settle(event.position, event);
  }

  /** All queued events in the order in which they would fire. */
  inOrder(): Event[] {
    const events: Event[] = [];
    for (let i = this.#hole ? 1 : 0; i < this.#size; i++) events.push(this.#events[i] as Event);
    return events.sort((a, b) => a.deadline - b.deadline || a.priority - b.priority || a.sequence - b.sequence);
  }

  #settle(at: number, event: Event): void {
    const time = event.deadline;
    if (at > 0) {
      const parent = (at - 1) >> 2;
      const parentTime = this.#times[parent] as number;
      if (time < parentTime || (time === parentTime && sooner(event, this.#events[parent] as Event))) {
        this.#up(at, event, time);
        return;
      }
    }
    this.#down(at, event, time);
  }

  #closeHole(): void {
    this.#hole = false;
    const last = --this.#size;
    if (last === 0) return;
    const moved = this.#events[last] as Event;
    this.#events[last] = null;
    this.#down(0, moved, this.#times[last] as number);
  }

  #up(at: number, event: Event, time: Time): void {
    const times = this.#times;
    const events = this.#events;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const parentTime = times[parent] as number;
      if (parentTime < time) break;
      const other = events[parent] as Event;
      if (parentTime === time && !sooner(event, other)) break;
      times[at] = parentTime;
      events[at] = other;
      other.position = at;
      at = parent;
    }
    times[at] = time;
    events[at] = event;
    event.position = at;
  }

  #down(at: number, event: Event, time: Time): void {
    const times = this.#times;
    const events = this.#events;
    const size = this.#size;
    for (;;) {
      let child = 4 * at + 1;
      if (child >= size) break;
      const end = child + 4 < size ? child + 4 : size;
      let best = child;
      let bestTime = times[child] as number;
      while (++child < end) {
        const t = times[child] as number;
        if (t < bestTime || (t === bestTime && sooner(events[child] as Event, events[best] as Event))) {
          best = child;
          bestTime = t;
        }
      }
      if (time < bestTime) break;
      const other = events[best] as Event;
      if (time === bestTime && sooner(event, other)) break;
      times[at] = bestTime;
      events[at] = other;
      other.position = at;
      at = best;
    }
    times[at] = time;
    events[at] = event;
    event.position = at;
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2);
    times.set(this.#times);
    this.#times = times;
    for (let i = this.#events.length; i < times.length; i++) this.#events.push(null);
  }
}

/** Which of two different events of one instant fires first. */
function sooner(a: Event, b: Event): boolean {
  return a.priority !== b.priority ? a.priority < b.priority : a.sequence < b.sequence;
}
