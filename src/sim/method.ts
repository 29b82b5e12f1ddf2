/**
 * Method processes: a function that runs from start to end whenever it is triggered (IEEE 1666-2011 clauses 5.2.10 and
 * 5.2.17).
 */
import type { Event } from "./event.ts";
import type { Module } from "./module.ts";
import { Process, type ProcessOptions, remove, Unwind, waitersOf } from "./process.ts";
import type { Wait } from "./wait.ts";

export class MethodProcess extends Process {
  override readonly isThread = false;

  /** `body` runs from start to end whenever the process is triggered. */
  constructor(owner: Module, name: string, body: (self: MethodProcess) => void, options: ProcessOptions = {}) {
    super(owner, name, options, body);
    this.attach();
  }

  /**
   * Within its own run: triggers the process next by this instead of its static sensitivity, once; the last call counts.
   * Without arguments the static sensitivity counts again.
   */
  nextTrigger(on?: Wait): void {
    if (this.simulation.current !== this) throw new Error(`${this.fullName}: nextTrigger outside its own run`);
    this.clearWait();
    this.startWait(on);
  }

  override run(): void {
    if (this.special) this.enterFromStart();
    try {
      (this.body as (self: MethodProcess) => void)(this);
    } catch (error) {
      this.#caught(error);
    }
  }

  #caught(error: unknown): void {
    if (!(error instanceof Unwind) || error.target !== this) throw error;
    if (error.isReset) this.run();
    else this.end();
  }

  protected override enqueue(): void {
    this.simulation.enqueueMethod(this);
  }
  protected override restart(): void {
    this.simulation.removeRunnable(this);
    this.simulation.runNow(this);
  }
  protected override dynamicWaiters(event: Event): Process[] {
    return waitersOf(event).dynamicMethods;
  }
  protected override addStatic(event: Event): void {
    const methods = event.waiters?.staticMethods ?? [];
    if (event.target === null && methods.length === 0) {
      event.target = this;
      return;
    }
    const list = waitersOf(event).staticMethods;
    if (event.target !== null) list.push(event.target as MethodProcess);
    event.target = null;
    list.push(this);
  }
  protected override removeStatic(event: Event): void {
    if (event.target === this) event.target = null;
    else if (event.waiters !== null) remove(event.waiters.staticMethods, this);
  }
}
