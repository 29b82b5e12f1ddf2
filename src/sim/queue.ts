/**
 * The queue of timed notifications: a timing wheel of twelve levels with 32 slots each, exact to the tick. An event's level is
 * that of the highest five-bit digit in which its time differs from the time of the event taken last, its slot that
 * digit; the earliest event is then in the lowest slot in use of the lowest level in use, and a slot of level 0 holds
 * events of one instant. Insertion and removal cost the same however many events wait; an event moves down a level or two
 * before it fires. Events of one instant keep the order of insertion, with the smaller priority first.
 */
import type { Event } from "./event.ts";
import { NEVER, type Time } from "./time.ts";

const SLOTS = 32;
/** Levels 0 to 6 are the digits of the low 32 bits of a time, 7 to 11 those of the high bits. */
const HIGH = 7;
const LEVELS = 12;
/** With more events than this in its slot, the first one's move down: fewer are found by looking at each. */
const CROWD = 2;
const TWO_32 = 4294967296;

export class TimedQueue {
  readonly #heads: (Event | null)[] = new Array<Event | null>(LEVELS * SLOTS).fill(null);
  readonly #tails: (Event | null)[] = new Array<Event | null>(LEVELS * SLOTS).fill(null);
  /** Slots in use, a word a level; levels in use. */
  readonly #used = new Int32Array(LEVELS);
  #levels = 0;
  /** The time that levels are relative to, not after any deadline: itself, low word, high word, and the end of times with this high word. */
  #base: Time = 0;
  #low = 0;
  #high = 0;
  #end = TWO_32;
  /** The first event, its deadline, and how many share its slot, where they are known. */
  #first: Event | null = null;
  #firstTime: Time = NEVER;
  #crowd = 0;
  #length = 0;
  /** Events were put in with sequence numbers of a snapshot, in any order. */
  #shuffled = false;

  get length(): number {
    return this.#length;
  }

  /** The earliest deadline, or NEVER. */
  get first(): Time {
    return this.#first !== null || this.#find() ? this.#firstTime : NEVER;
  }

  /** Takes the first event out if its deadline is `time` or earlier; null otherwise. Its `position` is -1 afterwards. */
  take(time: Time): Event | null {
    if ((this.#first === null && !this.#find()) || this.#firstTime > time) return null;
    if (this.#shuffled || this.#crowd > CROWD) this.#spread();
    const event = this.#first as Event;
    this.remove(event);
    return event;
  }

  /** Puts in an event that is not queued. */
  insert(event: Event, deadline: Time): void {
    if (deadline < this.#base) this.#rebase(deadline);
    event.low = deadline | 0;
    event.high = deadline < this.#end ? this.#high : Math.floor(deadline / TWO_32);
    this.#length++;
    this.#place(event);
    if (this.#first === null || deadline > this.#firstTime) return;
    if (deadline === this.#firstTime && event.priority >= this.#first.priority) return;
    this.#first = event;
    this.#firstTime = deadline;
  }

  /** As `insert`, in the place that the event's sequence number gives it. */
  restore(event: Event, deadline: Time): void {
    this.insert(event, deadline);
    this.#shuffled = true;
  }

  remove(event: Event): void {
    const at = event.position;
    const { queueNext, queuePrevious } = event;
    if (queuePrevious !== null) queuePrevious.queueNext = queueNext;
    else this.#heads[at] = queueNext;
    if (queueNext !== null) queueNext.queuePrevious = queuePrevious;
    else this.#tails[at] = queuePrevious;
    event.queueNext = event.queuePrevious = null;
    if (this.#heads[at] === null) this.#free(at);
    if (event === this.#first) this.#first = null;
    this.#length--;
    event.position = -1;
  }

  /** All queued events in the order in which they would fire. */
  inOrder(): Event[] {
    const events: Event[] = [];
    for (const head of this.#heads) for (let e = head; e !== null; e = e.queueNext) events.push(e);
    return events.sort((a, b) => a.deadline - b.deadline || a.priority - b.priority || a.sequence - b.sequence);
  }

  #free(at: number): void {
    const level = at >> 5;
    const used = (this.#used[level] as number) & ~(1 << (at & 31));
    this.#used[level] = used;
    if (used === 0) this.#levels &= ~(1 << level);
  }

  /** Finds the first event: false where there is none. Nothing moves, for time may not have come so far yet. */
  #find(): boolean {
    const levels = this.#levels;
    if (levels === 0) return false;
    const level = 31 - Math.clz32(levels & -levels);
    const used = this.#used[level] as number;
    let event = this.#heads[level * SLOTS + 31 - Math.clz32(used & -used)] as Event;
    let first = event;
    let crowd = 1;
    if (level > 0) {
      for (let next = event.queueNext; next !== null; next = event.queueNext) {
        event = next;
        crowd++;
        if (sooner(event, first)) first = event;
      }
    }
    this.#first = first;
    this.#firstTime = first.high * TWO_32 + (first.low >>> 0);
    this.#crowd = crowd;
    return true;
  }

  /** Makes levels relative to the first event's time, whose slot's events move down. Another may be first after `restore`. */
  #spread(): void {
    const time = this.#firstTime;
    if (this.#shuffled) {
      this.#shuffled = false;
      this.#rebase(time);
    } else {
      const at = (this.#first as Event).position;
      let event = this.#heads[at] as Event | null;
      this.#heads[at] = this.#tails[at] = null;
      this.#free(at);
      this.#setBase(time);
      while (event !== null) {
        const { queueNext } = event as Event;
        this.#place(event);
        event = queueNext;
      }
    }
    this.#find();
  }

  #setBase(time: Time): void {
    this.#base = time;
    this.#low = time | 0;
    if (time < this.#end && time >= this.#end - TWO_32) return;
    this.#high = Math.floor(time / TWO_32);
    this.#end = (this.#high + 1) * TWO_32;
  }

  #place(event: Event): void {
    const { low, high } = event;
    let at: number;
    if (high === this.#high) {
      // Five bits a level: n / 5 is n * 13 >> 6 for n below 32.
      const level = ((31 - Math.clz32((low ^ this.#low) | 1)) * 13) >> 6;
      at = (level << 5) | ((low >>> (level * 5)) & 31);
    } else {
      const level = ((31 - Math.clz32(high ^ this.#high)) * 13) >> 6;
      at = ((level + HIGH) << 5) | ((high >>> (level * 5)) & 31);
    }
    event.position = at;
    let before = this.#tails[at] as Event | null;
    if (before === null) {
      event.queueNext = event.queuePrevious = null;
      this.#heads[at] = this.#tails[at] = event;
      const level = at >> 5;
      (this.#used[level] as number) |= 1 << (at & 31);
      this.#levels |= 1 << level;
      return;
    }
    if (at < SLOTS && before.priority > event.priority) {
      while (before !== null && before.priority > event.priority) before = before.queuePrevious;
      this.#insertAfter(before, event, at);
      return;
    }
    before.queueNext = event;
    event.queuePrevious = before;
    event.queueNext = null;
    this.#tails[at] = event;
  }

  /** Not at the tail. */
  #insertAfter(before: Event | null, event: Event, at: number): void {
    const next = (before === null ? this.#heads[at] : before.queueNext) as Event;
    event.queuePrevious = before;
    event.queueNext = next;
    next.queuePrevious = event;
    if (before === null) this.#heads[at] = event;
    else before.queueNext = event;
  }

  /** Makes every level relative to `time`, which is not after any deadline: needed where time was set back. */
  #rebase(time: Time): void {
    const events = this.inOrder();
    this.#heads.fill(null);
    this.#tails.fill(null);
    this.#used.fill(0);
    this.#levels = 0;
    this.#setBase(time);
    for (const event of events) this.#place(event);
    this.#first = null;
  }
}

/** Whether `a`, which comes later in its list, is to fire before `b`. */
function sooner(a: Event, b: Event): boolean {
  if (a.high !== b.high) return a.high < b.high;
  if (a.low !== b.low) return a.low >>> 0 < b.low >>> 0;
  return a.priority < b.priority;
}
