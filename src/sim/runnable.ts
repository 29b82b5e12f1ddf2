/**
 * The runnable processes of one kind: those due in the present pass of the evaluation phase, and those made runnable
 * meanwhile, which run in the next. Linked through the processes, so that nothing is allocated.
 */
import type { Process } from "./process.ts";

export class Runnable<P extends Process> {
  #due: Process | null = null;
  #queued: Process | null = null;
  #last: Process | null = null;

  /** Nothing runnable is left. */
  get empty(): boolean {
    return this.#due === null && this.#queued === null;
  }

  push(added: P): void {
    added.runnable = true;
    added.next = null;
    if (this.#queued === null) this.#queued = added;
    else (this.#last as Process).next = added;
    this.#last = added;
  }

  /** `added` runs next. */
  pushNext(added: P): void {
    added.runnable = true;
    added.next = this.#due;
    this.#due = added;
  }

  /** What is queued becomes due, if nothing is due. */
  begin(): void {
    if (this.#due !== null) return;
    this.#due = this.#queued;
    this.#queued = null;
  }

  /** Takes the next one that is due. */
  take(): P | null {
    const next = this.#due;
    if (next === null) return null;
    this.#due = next.next;
    next.runnable = false;
    return next as P;
  }

  remove(removed: P): void {
    if (!removed.runnable) return;
    removed.runnable = false;
    this.#due = this.#without(this.#due, removed);
    this.#queued = this.#without(this.#queued, removed);
    removed.next = null;
  }

  #without(head: Process | null, removed: P): Process | null {
    if (head === removed) return removed.next;
    for (let p = head; p !== null; p = p.next) {
      if (p.next !== removed) continue;
      p.next = removed.next;
      if (this.#last === removed) this.#last = p;
    }
    return head;
  }

  /** All of them in the order in which they would run. */
  inOrder(): P[] {
    const list: P[] = [];
    for (const head of [this.#due, this.#queued]) for (let p = head; p !== null; p = p.next) list.push(p as P);
    return list;
  }
}
