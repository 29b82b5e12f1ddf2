/**
 * Thread processes: a generator that runs until it yields a wait and goes on where it left off (IEEE 1666-2011 clause
 * 5.2.11). A generator's place cannot be saved, so threads are for test benches and guest programs, not for devices.
 */
import type { Event } from "./event.ts";
import type { StateHash } from "./hash.ts";
import type { Module } from "./module.ts";
import { NO_THROW, Process, type ProcessOptions, remove, Unwind, waitersOf } from "./process.ts";
import { SnapshotError, type StateValue } from "./state.ts";
import type { Thread } from "./wait.ts";

export class ThreadProcess extends Process {
  override readonly isThread = true;
  readonly #body: (self: ThreadProcess) => Thread;
  #generator: Thread | null = null;
  /** The generator's own `next`: each generator function makes a shape of its own, and a look-up by name would not be cached. */
  #next: Thread["next"] | null = null;
  /** True while the generator is on the call stack. */
  #executing = false;
  /** The module was reset from within the generator, which ends where it yields next; the thread is already due anew. */
  #abandoned = false;
  /** Times the thread has run: all that a hash can see of a generator's place. */
  #runs = 0;

  /** `body` is called once, and again after a reset; the thread ends when the generator does. */
  constructor(owner: Module, name: string, body: (self: ThreadProcess) => Thread, options: ProcessOptions = {}) {
    super(owner, name, options, null);
    this.#body = body;
    this.attach();
  }

  /** True between the first run and the end: such a thread cannot be saved. */
  get started(): boolean {
    return this.#generator !== null;
  }

  override run(): void {
    this.#runs++;
    if (this.#generator === null || (this.special && this.throwing !== NO_THROW)) this.#enter();
    else this.#step(this.#generator);
  }

  /** From the beginning: the first run, and a reset that is due. */
  #enter(): void {
    if (this.#generator !== null) this.unwind();
    this.enterFromStart();
    this.#generator = this.#body(this);
    this.#next = this.#generator.next;
    this.#step(this.#generator);
  }

  #step(generator: Thread): void {
    let result: ReturnType<Thread["next"]>;
    this.#executing = true;
    try {
      result = (this.#next as Thread["next"]).call(generator, this.timedOut);
    } catch (error) {
      this.#executing = this.#abandoned = false;
      this.#generator = null;
      if (!(error instanceof Unwind) || error.target !== this) throw error;
      if (error.isReset) this.#enter();
      else this.end();
      return;
    }
    this.#executing = false;
    if (this.#abandoned) {
      this.#abandoned = false;
      this.unwind();
    } else if (this.ended) this.unwind();
    else if (result.done === true) this.end();
    else this.startWait(result.value);
  }

  protected override unwind(): void {
    const generator = this.#generator;
    if (generator === null || this.#executing) return;
    this.unwinding = true;
    this.#generator = null;
    try {
      const { done } = generator.return();
      if (done !== true) throw new Error(`${this.fullName}: waits in the clean-up after a reset or a kill`);
    } finally {
      this.unwinding = false;
    }
  }

  protected override end(): void {
    this.#generator = null;
    super.end();
  }

  protected override enqueue(): void {
    this.simulation.enqueueThread(this);
  }
  protected override restart(): void {
    this.simulation.removeRunnable(this);
    if (this.simulation.evaluating && !this.#executing) this.simulation.runNow(this);
    else this.simulation.enqueueNext(this);
  }
  protected override dynamicWaiters(event: Event): Process[] {
    return waitersOf(event).dynamicThreads;
  }
  protected override addStatic(event: Event): void {
    waitersOf(event).staticThreads.push(this);
  }
  protected override removeStatic(event: Event): void {
    remove(waitersOf(event).staticThreads, this);
  }

  override save(): StateValue {
    if (this.started) throw new SnapshotError(`${this.fullName}: a running thread process cannot be saved`);
    return super.save();
  }
  override load(value: StateValue, path: string): void {
    this.#generator = null;
    super.load(value, path);
  }
  override hash(hash: StateHash): void {
    super.hash(hash);
    hash.number(this.started ? this.#runs : 0);
  }

  protected override initialState(): void {
    if (this.#executing) this.#abandoned = true;
    else this.unwind();
    super.initialState();
    this.#runs = 0;
  }
}
