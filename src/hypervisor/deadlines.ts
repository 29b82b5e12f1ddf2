/** The timers of vCPUs that no CPU runs, and their emulated physical ones: which CPU's EL2 timer has to come when. A vCPU is looked after by its home, the CPU that it was last on. */
import { NEVER, type Time } from "../sim/index.ts";
import type { Vcpu } from "./vcpu.ts";

export class Deadlines {
  readonly #vcpus: readonly Vcpu[];
  /** By CPU: the first deadline, and the vCPUs whose home it is; null while they have to be looked for. */
  readonly #soonest: (Time | null)[];
  readonly #homed: (readonly Vcpu[] | null)[];

  constructor(vcpus: readonly Vcpu[], cpus: number) {
    this.#vcpus = vcpus;
    this.#soonest = new Array<Time | null>(cpus).fill(null);
    this.#homed = new Array<readonly Vcpu[] | null>(cpus).fill(null);
  }

  /** Something that any deadline depends on has changed: a VM's state, a timer's registers, which vCPUs there are. */
  lookAgain(): void {
    this.#soonest.fill(null);
    this.#homed.fill(null);
  }

  /** To be called before a vCPU is loaded or woken. */
  withdraw(vcpu: Vcpu, now: Time): void {
    const { home } = vcpu.cells;
    const soonest = this.#soonest[home] ?? NEVER;
    if (soonest < NEVER && vcpu.deadline(now) <= soonest) this.#soonest[home] = null;
  }
  /** To be called when a vCPU has been loaded or unloaded. */
  enter(vcpu: Vcpu, now: Time): void {
    const { home } = vcpu.cells;
    const soonest = this.#soonest[home] ?? null;
    if (soonest !== null) this.#soonest[home] = Math.min(soonest, vcpu.deadline(now));
  }
  /** A vCPU has another home. */
  moved(): void {
    this.#homed.fill(null);
  }

  /** Drives the physical timers that CPU `cpu` looks after, and wakes whose virtual timer is due. */
  expire(cpu: number, now: Time, wake: (vcpu: Vcpu) => void): void {
    if (now < (this.#soonest[cpu] ?? 0)) return;
    this.#soonest[cpu] = null;
    for (const v of this.#homeOf(cpu)) {
      if (v.activity === "off") continue;
      if (v.cells.control !== 0) v.updateTimer(now);
      if (v.activity !== "blocked" || v.cells.timer > now || v.vm.status !== "running") continue;
      v.cells.timer = NEVER;
      wake(v);
    }
  }

  /** When `expire` is to be called next. */
  next(cpu: number, now: Time): Time {
    let at = this.#soonest[cpu] ?? null;
    if (at !== null) return at;
    at = NEVER;
    for (const v of this.#homeOf(cpu)) at = Math.min(at, v.deadline(now));
    this.#soonest[cpu] = at;
    return at;
  }

  #homeOf(cpu: number): readonly Vcpu[] {
    let found = this.#homed[cpu] ?? null;
    if (found === null) {
      found = this.#vcpus.filter((v) => v.cells.home === cpu);
      this.#homed[cpu] = found;
    }
    return found;
  }
}
