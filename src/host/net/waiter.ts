/** Waits for any number of descriptors with one thread of Node's pool, which has four. */
import type { Native } from "./native.ts";

export class Waiter {
  readonly #wanted = new Map<number, () => void>();
  #alarm: number | null = null;
  #waiting: Promise<void> | null = null;

  /** Calls `tell` once, when `fd` can be read. */
  want(native: Native, fd: number, tell: () => void): void {
    if (this.#wanted.has(fd)) return;
    this.#wanted.set(fd, tell);
    if (this.#waiting === null) this.#wait(native);
    else this.#ring(native);
  }

  /** Resolves when nobody waits for `fd` any more: it may be closed. */
  async forget(native: Native, fd: number): Promise<void> {
    this.#wanted.delete(fd);
    if (this.#waiting === null) return;
    const current = this.#waiting;
    this.#ring(native);
    await current;
  }

  #ring(native: Native): void {
    if (this.#alarm !== null) native.write(this.#alarm, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 8);
  }

  #wait(native: Native): void {
    const alarm = native.eventfd(0, 0);
    this.#alarm = alarm;
    const fds = [...this.#wanted.keys()];
    this.#waiting = native.wait([alarm, ...fds]).then(([, ...ready]) => {
      native.close(alarm);
      this.#alarm = null;
      this.#waiting = null;
      const told = fds.filter((_, i) => ready[i]).map((fd) => [fd, this.#wanted.get(fd)] as const);
      for (const [fd] of told) this.#wanted.delete(fd);
      if (this.#wanted.size > 0) this.#wait(native);
      for (const [, tell] of told) tell?.();
    });
  }
}
