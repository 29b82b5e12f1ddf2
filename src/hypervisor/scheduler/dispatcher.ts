/**
 * Applies a policy to physical CPUs in the abstract. The dispatcher never runs anything: its owner tells it what
 * happens (wake, block, yield), asks it what a CPU is to run (`dispatch`), and comes back at `deadline`. It holds slice
 * timers, ticks and tickles, and accounts for every vCPU's and CPU's time. Time given must never go back on one CPU.
 *
 * How an owner uses it, on each CPU: at an exit, tell what it meant (`block` for WFI, `yield`); if `due(cpu, now)`,
 * `dispatch(cpu, now)` and load what it returns, unloading the last one first; arm the EL2 timer for `deadline(cpu)`;
 * on `kick(cpu)` come back as soon as possible. All calls of one dispatcher are serial.
 */
import {
  assignState,
  cloneState,
  NEVER,
  type StatePart,
  type StateRecord,
  type StateValue,
  type Time,
} from "../../sim/index.ts";
import type { DomainParameters, Schedulable, Scheduler, Tickled } from "./scheduler.ts";

export interface DispatcherHost {
  /** CPU `cpu` is to call `dispatch` as soon as possible, or its `deadline` has come nearer (a tickle, an IPI). */
  kick(cpu: number): void;
}

export type RunState = "blocked" | "waiting" | "running" | "stolen";

/** Where a vCPU's time went, in units of Time, up to the last change of its state or the last `settle`. */
export interface VcpuAccount {
  /** "waiting": woken, not run since. "stolen": preempted while it wanted to run on. */
  readonly state: RunState;
  readonly since: Time;
  /** The CPU it runs on, or ran on last; -1: none yet. */
  readonly cpu: number;
  readonly running: Time;
  readonly waiting: Time;
  readonly stolen: Time;
  readonly blocked: Time;
  /** Times it was given a CPU that it did not have. */
  readonly dispatches: number;
  readonly preemptions: number;
  readonly migrations: number;
  readonly wakes: number;
  readonly yields: number;
  /** Longest time from a wake to the next dispatch. */
  readonly longestWait: Time;
}

export interface CpuAccount {
  readonly busy: Time;
  readonly idle: Time;
  readonly since: Time;
  /** Changes from one vCPU to another, idle not counted, as the cost of a world switch falls. */
  readonly switches: number;
  readonly ticks: number;
  /** Kicks it was sent. */
  readonly tickles: number;
  /** Times the policy was asked. */
  readonly decisions: number;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

interface Tracked {
  readonly vcpu: Schedulable;
  readonly account: Writable<VcpuAccount>;
}

interface Cpu {
  current: Tracked | null;
  /** The last vCPU that ran here, whose state may still be loaded. */
  last: Tracked | null;
  /** `dispatch` is wanted. */
  pending: boolean;
  sliceEnd: Time;
  /** The deadline its owner knows of. */
  armed: Time;
  readonly account: Writable<CpuAccount>;
}

export class Dispatcher implements StatePart {
  readonly scheduler: Scheduler;
  readonly cpuCount: number;
  readonly #host: DispatcherHost;
  readonly #cpus: Cpu[];
  readonly #vcpus = new Map<Schedulable, Tracked>();

  constructor(scheduler: Scheduler, cpus: number, host: DispatcherHost) {
    this.scheduler = scheduler;
    this.cpuCount = cpus;
    this.#host = host;
    this.#cpus = Array.from({ length: cpus }, () => ({
      current: null,
      last: null,
      pending: true,
      sliceEnd: NEVER,
      armed: 0,
      account: { busy: 0, idle: 0, since: 0, switches: 0, ticks: 0, tickles: 0, decisions: 0 },
    }));
  }

  addDomain(domain: number, parameters: DomainParameters = {}): void {
    this.scheduler.addDomain(domain, parameters);
  }

  setDomain(domain: number, parameters: DomainParameters): void {
    this.scheduler.setDomain(domain, parameters);
  }

  removeDomain(domain: number): void {
    this.scheduler.removeDomain(domain);
  }

  /** A vCPU enters, blocked. Throws RangeError where its id or the object is in use, or its domain unknown. */
  add(vcpu: Schedulable, now: Time): void {
    for (const known of this.#vcpus.keys()) {
      if (known.id === vcpu.id) throw new RangeError(`two vCPUs have the id ${vcpu.id}`);
    }
    this.scheduler.add(vcpu, now);
    this.#vcpus.set(vcpu, { vcpu, account: newAccount(now) });
  }

  /** A vCPU leaves. Where it was running, its CPU is kicked and must not go on with it. */
  remove(vcpu: Schedulable, now: Time): void {
    const tracked = this.#tracked(vcpu);
    const cpu = this.#cpus.findIndex((c) => c.current === tracked);
    if (cpu >= 0) {
      this.#enter(tracked, "blocked", now);
      this.#settleCpu(this.#cpu(cpu), now);
      this.#cpu(cpu).current = null;
    }
    for (const c of this.#cpus) if (c.last === tracked) c.last = null;
    this.scheduler.remove(vcpu, now);
    this.#vcpus.delete(vcpu);
    if (cpu >= 0) this.#tickle(1 << cpu);
  }

  /** Something has come for the vCPU: it becomes runnable if it was blocked. */
  wake(vcpu: Schedulable, now: Time, reason = "event"): void {
    const tracked = this.#tracked(vcpu);
    if (tracked.account.state !== "blocked") {
      this.#tickle(this.scheduler.notify(vcpu, now, reason));
    } else {
      tracked.account.wakes++;
      const cpu = this.#cpus.findIndex((c) => c.current === tracked);
      // Blocked and woken before its CPU chose again: it has never stopped.
      this.#enter(tracked, cpu >= 0 ? "running" : "waiting", now);
      this.#tickle(this.scheduler.wake(vcpu, now, reason));
    }
    this.#rearm();
  }

  /** The vCPU waits for something (WFI), or is paused. Its CPU is due then; another CPU than the caller's is kicked. */
  block(vcpu: Schedulable, now: Time): void {
    const tracked = this.#tracked(vcpu);
    if (tracked.account.state === "blocked") return;
    this.#enter(tracked, "blocked", now);
    this.scheduler.block(vcpu, now);
    this.#tickle(this.#bitOf(tracked));
  }

  /** The running vCPU lets others run. Its CPU is due then. */
  yield(vcpu: Schedulable, now: Time): void {
    const tracked = this.#tracked(vcpu);
    if (tracked.account.state !== "running") return;
    tracked.account.yields++;
    this.scheduler.yield(vcpu, now);
    this.#tickle(this.#bitOf(tracked));
  }

  /** To be called after the affinity mask of a vCPU was changed (pinning, migration by hand). */
  affinityChanged(vcpu: Schedulable, now: Time): void {
    this.#tracked(vcpu);
    this.#tickle(this.scheduler.affinityChanged(vcpu, now));
    this.#rearm();
  }

  /** Whether `dispatch` has something to do on this CPU. */
  due(cpu: number, now: Time): boolean {
    return this.#cpu(cpu).pending || now >= this.deadline(cpu);
  }

  /** The instant at which `dispatch` is to be called again if nothing else happens; NEVER: only a kick. */
  deadline(cpu: number): Time {
    return Math.min(this.#cpu(cpu).sliceEnd, this.scheduler.nextTick(cpu));
  }

  /** Does what is due on a CPU and returns what it is to run from now on; null: nothing. */
  dispatch(cpu: number, now: Time): Schedulable | null {
    const c = this.#cpu(cpu);
    while (this.scheduler.nextTick(cpu) <= now) {
      c.account.ticks++;
      const tickled = this.scheduler.tick(cpu, now);
      if ((tickled >>> cpu) & 1) c.pending = true;
      this.#tickle(tickled & ~(1 << cpu));
    }
    if (c.pending || now >= c.sliceEnd) {
      c.pending = false;
      this.#decide(cpu, c, now);
    }
    c.armed = this.deadline(cpu);
    return c.current?.vcpu ?? null;
  }

  /** What the CPU runs by the last `dispatch`. */
  current(cpu: number): Schedulable | null {
    return this.#cpu(cpu).current?.vcpu ?? null;
  }

  /** The vCPU's times, brought up to `now` where it is given. */
  account(vcpu: Schedulable, now?: Time): VcpuAccount {
    const tracked = this.#tracked(vcpu);
    if (now !== undefined) this.#enter(tracked, tracked.account.state, now);
    return tracked.account;
  }

  cpuAccount(cpu: number, now?: Time): CpuAccount {
    const c = this.#cpu(cpu);
    if (now !== undefined) this.#settleCpu(c, now);
    return c.account;
  }

  save(): StateValue {
    const vcpus: Record<string, StateValue> = {};
    for (const t of this.#vcpus.values()) vcpus[String(t.vcpu.id)] = { ...t.account };
    return {
      policy: this.scheduler.name,
      scheduler: this.scheduler.save(),
      vcpus,
      cpus: this.#cpus.map((c) => ({
        current: c.current?.vcpu.id ?? -1,
        last: c.last?.vcpu.id ?? -1,
        pending: c.pending,
        sliceEnd: c.sliceEnd,
        armed: c.armed,
        account: { ...c.account },
      })),
    };
  }

  /** Restores what `save` gave, the same vCPUs having been added. */
  load(value: StateValue, path = "dispatcher"): void {
    const before = this.save() as StateRecord;
    const state = assignState(cloneState(before), value, path) as StateRecord;
    if (state["policy"] !== this.scheduler.name) throw new RangeError(`${path}: state of ${String(state["policy"])}`);
    this.scheduler.load(state["scheduler"] as StateValue);
    const byId = new Map([...this.#vcpus.values()].map((t) => [t.vcpu.id, t]));
    const vcpus = state["vcpus"] as StateRecord;
    for (const t of this.#vcpus.values()) Object.assign(t.account, vcpus[String(t.vcpu.id)]);
    const cpus = state["cpus"] as readonly StateRecord[];
    const shapes = before["cpus"] as readonly StateRecord[];
    for (let n = 0; n < this.cpuCount; n++) {
      const c = this.#cpu(n);
      const saved = assignState(
        cloneState(shapes[n] as StateRecord),
        cpus[n] ?? null,
        `${path}.cpus.${n}`,
      ) as StateRecord;
      c.current = byId.get(saved["current"] as number) ?? null;
      c.last = byId.get(saved["last"] as number) ?? null;
      c.pending = saved["pending"] as boolean;
      c.sliceEnd = saved["sliceEnd"] as number;
      c.armed = saved["armed"] as number;
      Object.assign(c.account, saved["account"]);
    }
  }

  /** Power-on: the owner removes its vCPUs and adds them anew; what is left here is the CPUs' times. */
  reset(): void {
    for (const vcpu of [...this.#vcpus.keys()]) {
      this.scheduler.remove(vcpu, 0);
      this.scheduler.add(vcpu, 0);
      this.#vcpus.set(vcpu, { vcpu, account: newAccount(0) });
    }
    for (const c of this.#cpus) {
      c.current = null;
      c.last = null;
      c.pending = true;
      c.sliceEnd = NEVER;
      c.armed = 0;
      Object.assign(c.account, { busy: 0, idle: 0, since: 0, switches: 0, ticks: 0, tickles: 0, decisions: 0 });
    }
  }

  #decide(cpu: number, c: Cpu, now: Time): void {
    c.account.decisions++;
    const choice = this.scheduler.schedule(cpu, now);
    const next = choice.vcpu === null ? null : this.#tracked(choice.vcpu);
    this.#settleCpu(c, now);
    const last = c.current;
    if (next !== last) {
      if (last?.account.state === "running") {
        last.account.preemptions++;
        this.#enter(last, "stolen", now);
      }
      c.current = next;
      if (next) {
        const account = next.account;
        if (account.state === "waiting") account.longestWait = Math.max(account.longestWait, now - account.since);
        this.#enter(next, "running", now);
        account.dispatches++;
        if (account.cpu >= 0 && account.cpu !== cpu) account.migrations++;
        account.cpu = cpu;
        if (c.last && c.last !== next) c.account.switches++;
        c.last = next;
      }
    }
    c.sliceEnd = choice.slice === NEVER ? NEVER : now + choice.slice;
    this.#tickle((choice.tickled ?? 0) & ~(1 << cpu));
  }

  #tickle(cpus: Tickled): void {
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      if (((cpus >>> cpu) & 1) === 0) continue;
      const c = this.#cpu(cpu);
      if (c.pending) continue;
      c.pending = true;
      c.account.tickles++;
      this.#host.kick(cpu);
    }
  }

  /** Kicks the CPUs whose deadline has come nearer than their owner knows. */
  #rearm(): void {
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      const c = this.#cpu(cpu);
      const at = this.deadline(cpu);
      if (at >= c.armed || c.pending) continue;
      c.armed = at;
      this.#host.kick(cpu);
    }
  }

  #bitOf(tracked: Tracked): Tickled {
    const cpu = this.#cpus.findIndex((c) => c.current === tracked);
    return cpu < 0 ? 0 : 1 << cpu;
  }

  #enter(tracked: Tracked, state: RunState, now: Time): void {
    const account = tracked.account;
    const passed = Math.max(0, now - account.since);
    account[account.state] += passed;
    account.state = state;
    account.since += passed;
  }

  #settleCpu(c: Cpu, now: Time): void {
    const passed = Math.max(0, now - c.account.since);
    if (c.current) c.account.busy += passed;
    else c.account.idle += passed;
    c.account.since += passed;
  }

  #cpu(cpu: number): Cpu {
    const c = this.#cpus[cpu];
    if (c === undefined) throw new RangeError(`CPU ${cpu}: there are ${this.cpuCount}`);
    return c;
  }

  #tracked(vcpu: Schedulable): Tracked {
    const tracked = this.#vcpus.get(vcpu);
    if (tracked === undefined) throw new RangeError(`vCPU ${vcpu.id} is not known to the dispatcher`);
    return tracked;
  }
}

function newAccount(now: Time): Writable<VcpuAccount> {
  return {
    state: "blocked",
    since: now,
    cpu: -1,
    running: 0,
    waiting: 0,
    stolen: 0,
    blocked: 0,
    dispatches: 0,
    preemptions: 0,
    migrations: 0,
    wakes: 0,
    yields: 0,
    longestWait: 0,
  };
}
