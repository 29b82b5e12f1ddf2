/**
 * Xen's credit scheduler as of Xen 3.3 (sched_credit.c, unchanged from October 2007 to August 2008 but for a helper's
 * name), each later change an option.
 *
 * Rules: a tick of 10 ms a CPU, accounting every third tick of CPU 0, slices of 30 ms. Who runs at a tick pays 100
 * credits for all of it. Accounting hands 300 credits a CPU to the active domains by weight, no more to one than its
 * active vCPUs (or its cap) can use, what is left going to the rest. Below 0 a vCPU is OVER, else UNDER; above 300 it
 * stops earning. A vCPU that wakes as UNDER is BOOSTed until a tick finds it running. Run queues, one a CPU, are sorted
 * by priority only, FIFO within; a CPU whose best is OVER or nothing steals strictly better work from its neighbours.
 *
 * Not modelled: 32-bit overflow of credits times weight; the try-lock of a neighbour's queue (calls are serial here);
 * the pause of ticks on CPUs put to sleep by power management (2008, another file). Open in the source, chosen here:
 * the home CPU of a new vCPU (the one with fewest), and the idler tickled first (`tickleOneIdler` counts from one cursor
 * for the host; Xen has one for each CPU that wakes another).
 */
import { MS, NEVER, type StateRecord, type Time, US } from "../../sim/index.ts";
import { cycle, type DomainRecord, type Entry, Policy, readOptions, type SchedulerOptions } from "./policy.ts";
import type { Choice, DomainParameters, Schedulable, Tickled } from "./scheduler.ts";
import { Topology } from "./topology.ts";

export const BOOST = 0;
export const UNDER = -1;
export const OVER = -2;
const IDLE = -64;

const TICK: Time = 10 * MS;
/** Exact debit: the time of one credit. */
const CREDIT_TIME: Time = MS / 100_000;
const TICKS_PER_ACCOUNTING = 3;
const SLICE: Time = 30 * MS;

const DEFAULTS = {
  /** Debit by time stamps, 100,000 credits a millisecond (78c9b2a64b, August 2009); else by ticks, 100 each. */
  exactDebit: false,
  /** A running vCPU is left alone until it ran so many microseconds (64908a0466, January 2012: 1000); 0: no limit. */
  rateLimit: 0,
  /** A wake on a busy CPU tickles one idler, not all (e4434634c4, April 2010). */
  tickleOneIdler: false,
  /** Credits are halved, not zeroed, when a vCPU stops earning (c92d5f4e0f, August 2010). */
  halveCredits: false,
  /** Yielding goes behind one vCPU of lower priority (5fc9f5ef6c, August 2010); else only behind its equals. */
  yield: false,
  /** No BOOST for a vCPU that was moved to another CPU by the balancer (66c7449a4d, February 2016). */
  noBoostOnMigrate: false,
  /** No BOOST at unparking: 3.3's rule; false is what a later rewrite did until 5c8c0ae7c4 (May 2019). */
  noBoostWhenCapped: true,
  /** false: nobody is boosted (Ongaro's matrix; the scheduler before 59f9d8ef44, October 2006). */
  boost: true,
  /** false: a wake does not interrupt a running vCPU; idle CPUs are told all the same. */
  tickle: true,
  /** Run queue sorted by remaining credits within a priority (Ongaro's change). */
  sorted: false,
  /** Hardware threads a core and cores a socket (0: all), for the balancer's choice of an idle CPU. */
  threadsPerCore: 1,
  coresPerSocket: 0,
};
export type CreditOptions = typeof DEFAULTS;

const DOMAIN_DEFAULTS = {
  /** Share against other domains, 1 to 65535. */
  weight: 256,
  /** Percent of one CPU, 0: none. */
  cap: 0,
};

export interface CreditDomain extends DomainRecord {
  weight: number;
  cap: number;
}

export interface CreditEntry extends Entry {
  priority: number;
  credit: number;
  parked: boolean;
  yielding: boolean;
  /** Leaves its CPU for a better one. */
  migrating: boolean;
  /** Since when its running time is not accounted for. */
  debited: Time;
  /** Of this accounting period: wakes by a device or an event channel, time run, credits earned. */
  ioWakes: number;
  ran: Time;
  earned: number;
  /** Set and used by the policies built on this one: does I/O; since when, or how long, it has a privilege for it. */
  io: boolean;
  ioTime: Time;
}

export class CreditScheduler extends Policy<CreditEntry, CreditDomain> {
  readonly name: string = "credit";
  protected readonly options: CreditOptions;
  /** Credits a vCPU that runs all the time uses in one accounting period; the bound on either side. */
  protected readonly full: number;
  /** Earning vCPUs and their domains, the last to become active first. */
  protected readonly active: CreditEntry[] = [];
  readonly #activeDomains: number[] = [];
  protected readonly cells = {
    balance: 0,
    epoch: 0,
    lastTickled: 0,
    /** Of adjustable credit: percent of credits given at present. */
    level: 0,
  };
  readonly #topology: Topology;
  readonly #nextTick: Float64Array;
  readonly #ticks: Uint32Array;
  readonly #sorted: Uint32Array;
  #idlers: number;

  constructor(cpus: number, options: SchedulerOptions = {}) {
    super(cpus);
    this.options = readOptions("credit", DEFAULTS, options);
    this.#topology = new Topology(cpus, this.options.threadsPerCore, this.options.coresPerSocket);
    this.full = this.options.exactDebit ? 3_000_000 : 300;
    this.#nextTick = new Float64Array(cpus).fill(TICK);
    this.#ticks = new Uint32Array(cpus);
    this.#sorted = new Uint32Array(cpus);
    this.#idlers = cpus === 32 ? -1 : (1 << cpus) - 1;
  }

  /** Credits of a vCPU, for reports. 300 (exact debit: 3,000,000) are one CPU for 30 ms. */
  creditOf(vcpu: Schedulable): number {
    return this.entry(vcpu).credit;
  }

  /** 1 I/O (preemptive-io only), 0 BOOST, -1 UNDER, -2 OVER. */
  priorityOf(vcpu: Schedulable): number {
    return this.entry(vcpu).priority;
  }

  protected override makeDomain(parameters: DomainParameters): CreditDomain {
    const domain = readOptions("credit domain", DOMAIN_DEFAULTS, parameters);
    const { weight } = domain;
    if (!Number.isInteger(weight) || weight < 1 || weight > 65535) {
      throw new RangeError(`credit domain: weight=${weight}: expected 1 to 65535`);
    }
    return domain;
  }

  protected override makeEntry(vcpu: Schedulable, cpu: number): CreditEntry {
    return {
      vcpu,
      cpu,
      runnable: false,
      started: 0,
      priority: UNDER,
      credit: 0,
      parked: false,
      yielding: false,
      migrating: false,
      debited: 0,
      ioWakes: 0,
      ran: 0,
      earned: 0,
      io: false,
      ioTime: 0,
    };
  }

  override remove(vcpu: Schedulable, now: Time): void {
    const entry = this.entry(vcpu);
    if (this.active.includes(entry)) this.#stopEarning(entry);
    super.remove(vcpu, now);
  }

  override wake(vcpu: Schedulable, now: Time, reason: string): Tickled {
    const entry = this.entry(vcpu);
    entry.runnable = true;
    if (reason !== "timer") entry.ioWakes++;
    return this.enqueueWoken(entry, now, reason);
  }

  /** A vCPU has become able to run: boost, queue, tickle. */
  protected enqueueWoken(entry: CreditEntry, _now: Time, _reason: string, boost = true): Tickled {
    if (entry.parked || this.runsOn(entry) >= 0 || this.isQueued(entry)) return 0;
    if (boost && this.options.boost && entry.priority === UNDER) entry.priority = BOOST;
    this.insert(entry.cpu, entry);
    return this.tickleFor(entry);
  }

  override yield(vcpu: Schedulable, _now: Time): void {
    if (this.options.yield) this.entry(vcpu).yielding = true;
  }

  protected override requeue(entry: CreditEntry): Tickled {
    this.insert(entry.cpu, entry);
    return this.tickleFor(entry);
  }

  protected insert(cpu: number, entry: CreditEntry): void {
    const queue = this.queue(cpu);
    let at = queue.findIndex((e) => this.before(entry, e));
    if (at < 0) at = queue.length;
    else if (entry.yielding) at++;
    queue.splice(at, 0, entry);
  }

  /** Whether `a`, coming later, goes before `b`. */
  protected before(a: CreditEntry, b: CreditEntry): boolean {
    if (a.priority !== b.priority) return a.priority > b.priority;
    return this.options.sorted && a.credit > b.credit;
  }

  /** The CPUs to tell that `entry` is on its queue. */
  protected tickleFor(entry: CreditEntry): Tickled {
    const cpu = entry.cpu;
    const current = this.current[cpu];
    if (!current) return 1 << cpu;
    let mask = entry.priority > current.priority && this.options.tickle ? 1 << cpu : 0;
    // 3.3 masks the CPU itself with the affinity too; it is in it.
    const idlers = this.#idlers & entry.vcpu.affinity;
    if (idlers === 0) return mask;
    if (this.options.tickleOneIdler) {
      this.cells.lastTickled = cycle(this.cells.lastTickled, idlers, this.cpus);
      mask |= 1 << this.cells.lastTickled;
    } else {
      mask |= idlers;
    }
    return mask;
  }

  override schedule(cpu: number, now: Time): Choice {
    const last = this.current[cpu] ?? null;
    if (last) {
      this.#burn(last, now);
      const ran = now - last.started;
      const limit = this.options.rateLimit * US;
      if (ran < limit && this.#wants(last) && !last.migrating && last.cpu === cpu) {
        return { vcpu: last.vcpu, slice: limit - ran };
      }
    }
    this.current[cpu] = null;
    let tickled = 0;
    if (last && this.#wants(last)) {
      if (last.migrating) {
        last.migrating = false;
        last.cpu = this.#pick(last);
        tickled |= this.enqueueWoken(last, now, "migrate", !this.options.noBoostOnMigrate);
      } else {
        this.insert(last.cpu, last);
        if (last.cpu !== cpu) tickled |= this.tickleFor(last);
      }
    }
    if (last) last.yielding = false;
    if (last?.migrating) {
      last.migrating = false;
      last.cpu = this.#pick(last);
    }
    const next = this.#take(cpu);
    this.current[cpu] = next;
    if (next === null) {
      this.#idlers |= 1 << cpu;
      return { vcpu: null, slice: NEVER, tickled };
    }
    this.#idlers &= ~(1 << cpu);
    next.debited = now;
    if (next !== last) next.started = now;
    return { vcpu: next.vcpu, slice: this.sliceOf(next, now), tickled };
  }

  protected sliceOf(_entry: CreditEntry, _now: Time): Time {
    return SLICE;
  }

  override nextTick(cpu: number): Time {
    return this.#nextTick[cpu] as number;
  }

  override tick(cpu: number, now: Time): Tickled {
    this.#nextTick[cpu] = now + TICK;
    this.#ticks[cpu] = ((this.#ticks[cpu] as number) + 1) >>> 0;
    let tickled = 0;
    const running = this.current[cpu];
    if (running) {
      this.demote(running);
      this.#burn(running, now);
      if (!this.options.exactDebit) running.credit -= 100;
      if (!this.active.includes(running)) this.#startEarning(running);
      else if (running.cpu === cpu && this.#pick(running) !== cpu) {
        running.migrating = true;
        tickled |= 1 << cpu;
      }
    }
    if (cpu === 0 && (this.#ticks[0] as number) % TICKS_PER_ACCOUNTING === 0) tickled |= this.#accounting(now);
    if (this.#sorted[cpu] !== this.cells.epoch) {
      this.#sorted[cpu] = this.cells.epoch;
      this.sortQueue(cpu);
    }
    return tickled;
  }

  /** A tick found the vCPU running: it is no longer one that only wakes for a moment. */
  protected demote(entry: CreditEntry): void {
    if (entry.priority === BOOST) entry.priority = UNDER;
  }

  protected sortQueue(cpu: number): void {
    const queue = this.queue(cpu);
    if (this.options.sorted) {
      queue.sort((a, b) => b.priority - a.priority || b.credit - a.credit);
      return;
    }
    // The ones with credits move up before those without, each group in its order.
    const sorted = [...queue.filter((e) => e.priority >= UNDER), ...queue.filter((e) => e.priority < UNDER)];
    queue.splice(0, queue.length, ...sorted);
  }

  /** What a policy built on this one does to credits once they have been handed out. */
  protected afterAccounting(_now: Time): Tickled {
    return 0;
  }

  /** Whether a vCPU with more than a full period's credits leaves the earning ones. */
  protected stopsEarning(_entry: CreditEntry): boolean {
    return true;
  }

  #accounting(now: Time): Tickled {
    const totalWeight = this.#activeDomains.reduce((sum, id) => sum + this.domainOf(id).weight, 0);
    if (totalWeight === 0) {
      this.cells.balance = 0;
      return this.afterAccounting(now);
    }
    const deficit = this.cells.balance < 0 ? -this.cells.balance : 0;
    let total = this.full * this.cpus + deficit;
    let weightLeft = totalWeight;
    let balance = 0;
    let unused = false;
    let tickled = 0;
    for (const id of [...this.#activeDomains]) {
      const domain = this.domainOf(id);
      const vcpus = this.active.filter((e) => e.vcpu.domain === id);
      weightLeft -= domain.weight;
      let peak = vcpus.length * this.full + Math.ceil((deficit * domain.weight) / totalWeight);
      let capEach = 0;
      if (domain.cap !== 0) {
        const cap = Math.ceil((domain.cap * this.full) / 100);
        peak = Math.min(peak, cap);
        capEach = Math.ceil(cap / vcpus.length);
      }
      let fair = Math.ceil((total * domain.weight) / totalWeight);
      if (fair < peak) {
        unused = true;
      } else {
        if (weightLeft !== 0) total += Math.ceil(((fair - peak) * totalWeight) / weightLeft);
        if (unused) {
          this.#activeDomains.splice(this.#activeDomains.indexOf(id), 1);
          this.#activeDomains.unshift(id);
        }
        fair = peak;
      }
      const share = Math.ceil(fair / vcpus.length);
      for (const entry of vcpus) {
        tickled |= this.#earn(entry, share, domain.cap !== 0 ? capEach : -1, now);
        balance += entry.credit;
      }
    }
    this.cells.balance = balance;
    this.cells.epoch = (this.cells.epoch + 1) >>> 0;
    return tickled | this.afterAccounting(now);
  }

  /** Hands a vCPU its share. `cap`: credits below zero at which it is parked, -1: not capped. */
  #earn(entry: CreditEntry, share: number, cap: number, now: Time): Tickled {
    let tickled = 0;
    entry.credit += share;
    entry.earned = share;
    if (entry.credit < 0) {
      entry.priority = OVER;
      if (cap >= 0 && entry.credit < -cap && !entry.parked) {
        entry.parked = true;
        const cpu = this.runsOn(entry);
        if (cpu >= 0) tickled |= 1 << cpu;
        else this.unqueue(entry);
      }
      if (entry.credit < -this.full) entry.credit = -this.full;
      return tickled;
    }
    entry.priority = UNDER;
    if (entry.parked) {
      entry.parked = false;
      if (entry.runnable) tickled |= this.enqueueWoken(entry, now, "unpark", !this.options.noBoostWhenCapped);
    }
    if (entry.credit > this.full && this.stopsEarning(entry)) {
      this.#stopEarning(entry);
      entry.credit = this.options.halveCredits ? Math.floor(entry.credit / 2) : 0;
    }
    return tickled;
  }

  #startEarning(entry: CreditEntry): void {
    this.active.unshift(entry);
    const { domain } = entry.vcpu;
    if (!this.#activeDomains.includes(domain)) this.#activeDomains.unshift(domain);
  }

  #stopEarning(entry: CreditEntry): void {
    this.active.splice(this.active.indexOf(entry), 1);
    const { domain } = entry.vcpu;
    if (!this.active.some((e) => e.vcpu.domain === domain)) {
      this.#activeDomains.splice(this.#activeDomains.indexOf(domain), 1);
    }
  }

  #wants(entry: CreditEntry): boolean {
    return entry.runnable && !entry.parked;
  }

  #burn(entry: CreditEntry, now: Time): void {
    const ran = now - entry.debited;
    if (ran <= 0) return;
    entry.ran += ran;
    entry.debited = now;
    if (this.options.exactDebit) entry.credit -= Math.floor(ran / CREDIT_TIME) + 1;
  }

  /** The head of the CPU's queue, or something strictly better of another CPU where the head has no credits. */
  #take(cpu: number): CreditEntry | null {
    const queue = this.queue(cpu);
    const head = queue[0];
    const priority = head?.priority ?? IDLE;
    if (head === undefined || priority <= OVER) {
      let peers = ~this.#idlers & ~(1 << cpu) & (this.cpus === 32 ? -1 : (1 << this.cpus) - 1);
      let peer = cpu;
      while (peers !== 0) {
        peer = cycle(peer, peers, this.cpus);
        peers &= ~(1 << peer);
        const stolen = this.#steal(peer, cpu, priority);
        if (stolen) return stolen;
      }
    }
    queue.shift();
    return head ?? null;
  }

  #steal(peer: number, cpu: number, priority: number): CreditEntry | null {
    if (this.current[peer] === null) return null;
    const queue = this.queue(peer);
    for (let at = 0; at < queue.length; at++) {
      const entry = queue[at] as CreditEntry;
      if (entry.priority <= priority) return null;
      if (!this.allowed(entry, cpu)) continue;
      queue.splice(at, 1);
      entry.cpu = cpu;
      return entry;
    }
    return null;
  }

  #pick(entry: CreditEntry): number {
    return this.#topology.pick(entry.cpu, entry.vcpu.affinity, this.#idlers);
  }

  protected override saveShared(): StateRecord {
    return {
      ...this.cells,
      active: this.active.map((e) => e.vcpu.id),
      activeDomains: [...this.#activeDomains],
      nextTick: this.#nextTick.slice(),
      ticks: this.#ticks.slice(),
      sorted: this.#sorted.slice(),
      idlers: this.#idlers,
    };
  }

  protected override loadShared(value: StateRecord): void {
    const cells: Record<string, number> = this.cells;
    for (const name of Object.keys(cells)) cells[name] = value[name] as number;
    this.active.length = 0;
    for (const e of this.byIds(value["active"] ?? null, "active")) if (e) this.active.push(e);
    this.#activeDomains.length = 0;
    for (const id of value["activeDomains"] as readonly number[]) {
      this.domainOf(id);
      this.#activeDomains.push(id);
    }
    this.#nextTick.set(value["nextTick"] as Float64Array);
    this.#ticks.set(value["ticks"] as Uint32Array);
    this.#sorted.set(value["sorted"] as Uint32Array);
    this.#idlers = value["idlers"] as number;
  }
}
