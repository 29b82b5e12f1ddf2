/**
 * What a process can wait for (IEEE 1666-2011 clauses 5.2.17 and 5.2.18): a time, an event, any or all of several events,
 * each of these with a time-out, its static sensitivity, or that a number of times.
 */
import type { Event } from "./event.ts";
import type { Time } from "./time.ts";

/** Something with an event for "it changed": a signal, a line, a clock. */
export interface Changing {
  readonly changed: Event;
}

/** Several events, of which any or all must fire. */
export class EventList {
  readonly all: boolean;
  readonly events: readonly Event[];

  constructor(all: boolean, events: readonly (Event | Changing)[]) {
    this.all = all;
    this.events = [...new Set(events.map(eventOf))];
    if (this.events.length === 0) throw new Error("a list of no events to wait for");
  }
}

/** Events with a time-out. */
export class TimedWait {
  readonly time: Time;
  readonly events: Event | EventList;

  constructor(time: Time, events: Event | EventList) {
    this.time = time;
    this.events = events;
  }
}

/** The static sensitivity, `count` times. */
export class Cycles {
  readonly count: number;

  constructor(count: number) {
    if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`wait for ${count} cycles: expected 1 or more`);
    this.count = count;
  }
}

/** Ready-made: a wait may be built once and used again. `undefined` is the static sensitivity. */
export type Wait = Time | Event | EventList | TimedWait | Cycles | undefined;

/** A thread's generator. `yield` gives true when the wait ended by its time-out. */
export type Thread = Generator<Wait, void, boolean>;

export function eventOf(source: Event | Changing): Event {
  return "changed" in source ? source.changed : source;
}

export function anyOf(...events: (Event | Changing)[]): EventList {
  return new EventList(false, events);
}

export function allOf(...events: (Event | Changing)[]): EventList {
  return new EventList(true, events);
}

/** The static sensitivity, `count` times: `wait(int)` of SystemC. */
export function cycles(count: number): Cycles {
  return new Cycles(count);
}

/**
 * `yield wait(10 * NS)`, `yield wait(event)`, `yield wait(anyOf(a, b))`, `yield wait(10 * NS, event)`; without arguments
 * the static sensitivity. A wait of 0 ends in the next delta cycle.
 */
export function wait(on?: Time | Event | EventList | Changing, events?: Event | EventList | Changing): Wait {
  if (events !== undefined) {
    if (typeof on !== "number") throw new TypeError("wait(time, events): expected a time first");
    return new TimedWait(on, events instanceof EventList ? events : eventOf(events));
  }
  if (on === undefined || typeof on === "number" || on instanceof EventList) return on;
  return eventOf(on);
}
