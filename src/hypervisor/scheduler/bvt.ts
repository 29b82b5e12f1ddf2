/**
 * Borrowed virtual time, as it stood in Xen until August 2006 (sched_bvt.c before db51cd09d3).
 *
 * Rules: a vCPU's actual virtual time (AVT) grows by `advance`, the inverse of its weight, for each begun unit (MCU) of
 * 100 us it ran; its effective virtual time (EVT) is AVT less the warp value while the domain warps. Lowest EVT runs.
 * Waking sets AVT to no less than the CPU's system virtual time (the least AVT on its queue) and switches at once where
 * EVT is no more than that of who runs. A run lasts the context switch allowance (5 ms), alone ten times that. A domain
 * warps for `warpLimit` of running in one go at most, then not for `unwarp`.
 *
 * Kept as it was: the lead over the second, (EVT2 - EVT1) / advance, is a count of units but is added to the allowance as
 * so many nanoseconds. Different: virtual time is a plain number and never wraps; running time is debited since the last
 * debit, where the original counts it anew from the last switch; nothing is asked while a CPU idles. vCPUs stay on
 * their home CPU unless their affinity changes: BVT has no balancer.
 */
import { MS, NEVER, NS, type StateRecord, type Time, US } from "../../sim/index.ts";
import { type DomainRecord, type Entry, Policy, readOptions, type SchedulerOptions } from "./policy.ts";
import type { Choice, DomainParameters, Schedulable, Tickled } from "./scheduler.ts";

const MCU: Time = 100 * US;

const DEFAULTS = {
  /** Context switch allowance in microseconds, no less than 10. */
  ctxAllow: 5000,
};

const DOMAIN_DEFAULTS = {
  /** Virtual time a unit: the inverse of the weight. */
  advance: 10,
  warp: false,
  /** Virtual time a warping domain is ahead. */
  warpValue: 0,
  /** Milliseconds; 0: no limit. */
  warpLimit: 2000,
  /** Milliseconds without warp after the limit; 0: warping ends for good. */
  unwarp: 1000,
};

interface BvtDomain extends DomainRecord {
  advance: number;
  warp: boolean;
  warpValue: number;
  warpLimit: number;
  unwarp: number;
  /** Warp is set and within its limits. */
  warping: boolean;
  warpTimer: Time;
  unwarpTimer: Time;
}

interface BvtEntry extends Entry {
  avt: number;
  evt: number;
  debited: Time;
  moved: boolean;
}

export class BvtScheduler extends Policy<BvtEntry, BvtDomain> {
  readonly name = "bvt";
  readonly #allowance: Time;
  readonly #svt: Float64Array;
  /** When a wake wants the CPU asked before its slice ends. */
  readonly #again: Float64Array;

  constructor(cpus: number, options: SchedulerOptions = {}) {
    super(cpus);
    const { ctxAllow } = readOptions("bvt", DEFAULTS, options);
    this.#allowance = Math.max(10, ctxAllow) * US;
    this.#svt = new Float64Array(cpus);
    this.#again = new Float64Array(cpus).fill(NEVER);
  }

  protected override makeDomain(parameters: DomainParameters): BvtDomain {
    const domain = readOptions("bvt domain", DOMAIN_DEFAULTS, parameters);
    if (domain.advance <= 0) throw new RangeError("bvt domain: advance=0: expected a number above 0");
    return { ...domain, warping: domain.warp, warpTimer: NEVER, unwarpTimer: NEVER };
  }

  protected override makeEntry(vcpu: Schedulable, cpu: number): BvtEntry {
    const svt = this.#svt[cpu] as number;
    return { vcpu, cpu, runnable: false, started: 0, avt: svt, evt: svt, debited: 0, moved: false };
  }

  /** Virtual times, for reports. */
  virtualTime(vcpu: Schedulable): { avt: number; evt: number } {
    const { avt, evt } = this.entry(vcpu);
    return { avt, evt };
  }

  override wake(vcpu: Schedulable, now: Time): Tickled {
    const entry = this.entry(vcpu);
    entry.runnable = true;
    if (this.isQueued(entry) || this.runsOn(entry) >= 0) return 0;
    return this.requeue(entry, now);
  }

  protected override requeue(entry: BvtEntry, now: Time): Tickled {
    const cpu = entry.cpu;
    this.queue(cpu).unshift(entry);
    const svt = this.#svt[cpu] as number;
    if (entry.avt < svt || entry.moved) entry.avt = svt;
    entry.moved = false;
    entry.evt = this.#effective(entry, entry.avt);
    const current = this.current[cpu];
    if (!current) return 1 << cpu;
    const evt = this.#effective(current, this.#advanced(current, now));
    if (entry.evt <= evt) return 1 << cpu;
    const at = current.started + this.#lead(entry.evt - evt, current) + this.#allowance;
    this.#again[cpu] = Math.min(this.#again[cpu] as number, Math.max(at, now + 1));
    return 0;
  }

  override affinityChanged(vcpu: Schedulable, now: Time): Tickled {
    const entry = this.entry(vcpu);
    if (!this.allowed(entry, entry.cpu)) entry.moved = true;
    return super.affinityChanged(vcpu, now);
  }

  override schedule(cpu: number, now: Time): Choice {
    const last = this.current[cpu];
    const queue = this.queue(cpu);
    let tickled = 0;
    this.current[cpu] = null;
    this.#again[cpu] = NEVER;
    if (last) {
      last.avt = this.#advanced(last, now);
      last.debited = now;
      last.evt = this.#effective(last, last.avt);
      const domain = this.domainOf(last.vcpu.domain);
      if (domain.warp && domain.warpLimit > 0) domain.warpTimer = NEVER;
      if (last.runnable && last.cpu === cpu) queue.push(last);
      else if (last.runnable) tickled |= this.requeue(last, now);
    }
    let next: BvtEntry | null = null;
    let second = Number.POSITIVE_INFINITY;
    let least = Number.POSITIVE_INFINITY;
    for (const e of queue) {
      if (next === null || e.evt < next.evt) {
        if (next) second = next.evt;
        next = e;
      } else if (e.evt < second) {
        second = e.evt;
      }
      least = Math.min(least, e.avt);
    }
    if (next === null) return { vcpu: null, slice: NEVER, tickled };
    this.#svt[cpu] = least;
    queue.splice(queue.indexOf(next), 1);
    this.current[cpu] = next;
    next.debited = now;
    if (next !== last) next.started = now;
    const domain = this.domainOf(next.vcpu.domain);
    if (domain.warping && domain.warpLimit > 0) domain.warpTimer = now + domain.warpLimit * MS;
    const slice =
      second === Number.POSITIVE_INFINITY
        ? 10 * this.#allowance
        : this.#lead(second - next.evt, next) + this.#allowance;
    return { vcpu: next.vcpu, slice, tickled };
  }

  override nextTick(cpu: number): Time {
    let at = this.#again[cpu] as number;
    for (const [id, d] of this.domains) {
      const timer = Math.min(d.warpTimer, d.unwarpTimer);
      if (timer < at && this.#home(id) === cpu) at = timer;
    }
    return at;
  }

  override tick(cpu: number, now: Time): Tickled {
    let tickled = 0;
    if ((this.#again[cpu] as number) <= now) {
      this.#again[cpu] = NEVER;
      tickled |= 1 << cpu;
    }
    for (const [id, d] of this.domains) {
      if (this.#home(id) !== cpu) continue;
      if (d.warpTimer <= now) {
        d.warpTimer = NEVER;
        d.warping = false;
        if (d.unwarp === 0) {
          d.warp = false;
          tickled |= 1 << cpu;
        } else {
          d.unwarpTimer = now + d.unwarp * MS;
        }
      }
      if (d.unwarpTimer <= now) {
        d.unwarpTimer = NEVER;
        if (d.warp) {
          d.warping = true;
          tickled |= 1 << cpu;
        }
      }
    }
    return tickled;
  }

  /** The CPU that serves a domain's warp timers: the home of its first vCPU. */
  #home(domain: number): number {
    for (const e of this.entries.values()) if (e.vcpu.domain === domain) return e.cpu;
    return 0;
  }

  #advanced(entry: BvtEntry, now: Time): number {
    const units = Math.ceil(Math.max(0, now - entry.debited) / MCU);
    return entry.avt + units * this.domainOf(entry.vcpu.domain).advance;
  }

  #effective(entry: BvtEntry, avt: number): number {
    const domain = this.domainOf(entry.vcpu.domain);
    return domain.warping ? avt - domain.warpValue : avt;
  }

  #lead(difference: number, entry: BvtEntry): Time {
    return Math.floor(difference / this.domainOf(entry.vcpu.domain).advance) * NS;
  }

  protected override saveShared(): StateRecord {
    return { svt: this.#svt.slice(), again: this.#again.slice() };
  }

  protected override loadShared(value: StateRecord): void {
    this.#svt.set(value["svt"] as Float64Array);
    this.#again.set(value["again"] as Float64Array);
  }
}
