/** Which CPUs share a core or a socket, and from that where a vCPU would best run (Xen 3.3's csched_cpu_pick). */
import { cycle } from "./policy.ts";

export class Topology {
  readonly #cpus: number;
  readonly #threads: number;
  /** CPUs a socket; 0: one socket holds all. */
  readonly #socketSize: number;

  /** @param cores cores a socket, 0: all */
  constructor(cpus: number, threads: number, cores: number) {
    if (!Number.isInteger(threads) || threads < 1)
      throw new RangeError(`threadsPerCore=${threads}: expected 1 or more`);
    if (!Number.isInteger(cores)) throw new RangeError(`coresPerSocket=${cores}: expected a whole number`);
    this.#cpus = cpus;
    this.#threads = threads;
    this.#socketSize = threads * cores;
  }

  /** The idle CPU with the most idle neighbours in its grouping, of those `affinity` allows; else `home`. */
  pick(home: number, affinity: number, idlers: number): number {
    let candidates = affinity & (this.#cpus === 32 ? -1 : (1 << this.#cpus) - 1);
    let cpu = (candidates >>> home) & 1 ? home : cycle(home, candidates, this.#cpus);
    const idle = idlers | (1 << cpu);
    candidates &= idle & ~(1 << cpu);
    while (candidates !== 0) {
      const next = cycle(cpu, candidates, this.#cpus);
      // Within a socket cores are compared by their idle threads, else sockets by their idle CPUs.
      const ofCore = this.#socket(cpu) === this.#socket(next);
      const its = idle & this.#neighbours(next, ofCore);
      if (bits(idle & this.#neighbours(cpu, ofCore)) < bits(its)) {
        cpu = next;
        candidates &= ~(1 << cpu);
      } else {
        candidates &= ~its;
      }
    }
    return cpu;
  }

  #socket(cpu: number): number {
    return this.#socketSize === 0 ? 0 : Math.floor(cpu / this.#socketSize);
  }

  #neighbours(cpu: number, ofCore: boolean): number {
    const core = Math.floor(cpu / this.#threads);
    let mask = 0;
    for (let n = 0; n < this.#cpus; n++) {
      if (ofCore ? Math.floor(n / this.#threads) === core : this.#socket(n) === this.#socket(cpu)) mask |= 1 << n;
    }
    return mask;
  }
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
