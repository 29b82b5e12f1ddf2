/**
 * A small monitor in the manner of Xen for paravirtual guest programs: domains that share pages and event channels, devices passed to one of them (a
 * driver domain), a scheduler's dispatcher. Nothing is emulated: an access to what a domain does not have stops it. It is EL2 software as any
 * other: stage 2 tables in memory, GICH list registers, the EL2 timer; what it does costs what the cost table says.
 *
 * Domains see their memory from 0x4000_0000 on, GICV as GICC, the event page, and what is shared with or passed to them. Event channels raise virtual
 * interrupt 31 (a PPI, as Xen on Arm uses). HVC EVENT_CHANNEL with X0 = 0 sends on the port in X1; PSCI SYSTEM_OFF ends a domain.
 */
import { PPI, RAM_BASE, virtPart } from "../../../platform/virt/board.ts";
import { Transaction } from "../../bus/index.ts";
import { Module, NEVER, SnapshotError, type StateHash, type StateValue, type Time } from "../../sim/index.ts";
import { MemoryPool } from "../memory.ts";
import type { El2Handler, Exit, PhysicalCpu } from "../physical-cpu.ts";
import { Dispatcher, type Scheduler } from "../scheduler/index.ts";
import { Stage2, type TableAccess } from "../stage2.ts";
import { Domain, type DomainOptions, LISTS } from "./domain.ts";
import type { AbstractMachine } from "./machine.ts";

/** Immediate of the event-channel hypercall. */
export const EVENT_CHANNEL = 0x4556;
/** Virtual INTID of the event-channel upcall. */
export const UPCALL = 31;
/** Where a domain finds the pending bits of its ports: bit n of word n / 32. */
export const EVENT_PAGE = 0x0b00_0000;
export const DOMAIN_RAM = RAM_BASE;
const PSCI_SYSTEM_OFF = 0x8400_0008;

const GICD = virtPart("gicd").base;
const GICC = virtPart("gicc").base;
const GICH = virtPart("gich").base;
const GICH_ELRSR = GICH + 0x30;
const GICV = virtPart("gicv").base;
const PAGE = 4096;
const MIB = 2 ** 20;
const TIMER = 16 + PPI.hypervisorTimer;
const VIRTUAL_TIMER = 16 + PPI.virtualTimer;

/** Places in what is kept of GICH. */
const HCR = 0;
const VMCR = 1;
const APR = 2;

const PENDING = 0x1000_0000;
const STATE = 0x3000_0000;
const HARDWARE = 0x8000_0000;

export interface MonitorCounts {
  readonly exits: { readonly [reason: string]: number };
  readonly injections: number;
  readonly worldSwitches: number;
}

export class Monitor extends Module implements El2Handler {
  readonly machine: AbstractMachine;
  readonly dispatcher: Dispatcher;
  readonly domains: Domain[] = [];
  readonly #pool: MemoryPool;
  readonly #tables: TableAccess;
  readonly #routes = new Map<number, Domain>();
  readonly #edges = new Set<number>();
  readonly #targets = new Map<number, number>();
  readonly #last: (Domain | null)[];
  /** GICH_HCR, VMCR and APR of each CPU as they are. */
  readonly #present: Int32Array;
  readonly #exits = new Map<string, number>();
  readonly #transaction = new Transaction();
  #injections = 0;
  #worldSwitches = 0;
  /** The CPU whose exit is being handled, or -1. */
  #handling = -1;
  #ready = false;
  /** Told of a domain that has stopped, with the reason. */
  onStop: ((domain: Domain, reason: string) => void) | null = null;

  constructor(machine: AbstractMachine, scheduler: Scheduler) {
    super(machine.simulation, "monitor");
    this.#transaction.cpu = 0;
    this.machine = machine;
    const cpus = machine.physicalCpus;
    this.dispatcher = new Dispatcher(scheduler, cpus.length, {
      kick: (n) => {
        if (n !== this.#handling) cpus[n]?.kick();
      },
    });
    this.#pool = new MemoryPool(RAM_BASE, machine.ram.size);
    const { ram } = machine;
    this.#tables = {
      read: (address, size) => ram.peek(address - RAM_BASE, size),
      write: (address, size, value) => ram.poke(address - RAM_BASE, size, value),
    };
    this.#last = cpus.map(() => null);
    this.#present = new Int32Array(3 * cpus.length);
    for (const cpu of cpus) cpu.handler = this;
    this.part("domains", {
      save: (): StateValue => {
        throw new SnapshotError("domains of guest programs cannot be saved");
      },
      load: () => undefined,
      reset: () => undefined,
      hash: (hash: StateHash) => this.#hash(hash),
    });
  }

  /** Throws RangeError where memory is used up. */
  addDomain(options: DomainOptions): Domain {
    const id = this.domains.length;
    const { machine } = this;
    const size = (options.memory ?? 2) * MIB;
    const memory = this.#allocate(size, 2 * MIB);
    const events = this.#allocate(PAGE, PAGE);
    const stage2 = new Stage2(this, `stage2_${id}`, this.#pool, id + 1);
    if (!stage2.create(this.#tables)) throw new RangeError(`${options.name}: no memory is left`);
    const context = machine.cpus.createContext(options.program, 0);
    const timer = this.event(`timer_${id}`, () => this.#timerDue(id));
    const domain = new Domain(id, options, context, stage2, { memory, events }, timer);
    domain.gich[0] = 0;
    this.domains.push(domain);
    this.#map(domain, DOMAIN_RAM, memory, size, "memory");
    this.#map(domain, EVENT_PAGE, events, PAGE, "memory");
    this.#map(domain, GICC, GICV, 2 * PAGE, "device");
    for (const { ipa, base, size: length } of options.devices ?? []) this.#map(domain, ipa, base, length, "device");
    for (const { spi, edge, cpu } of options.interrupts ?? []) {
      this.#routes.set(32 + spi, domain);
      if (edge === true) this.#edges.add(32 + spi);
      this.#targets.set(32 + spi, cpu ?? 0);
      if (this.#ready) this.#enable(spi + 32);
    }
    this.dispatcher.addDomain(id, options.scheduling ?? {});
    this.dispatcher.add(domain, machine.simulation.now);
    return domain;
  }

  /** Makes `size` bytes (a multiple of 4096) that several domains see, each at its place. Returns the physical address. */
  share(size: number, views: readonly { readonly domain: Domain; readonly ipa: number }[]): number {
    const at = this.#allocate(size, PAGE);
    for (const { domain, ipa } of views) this.#map(domain, ipa, at, size, "memory");
    return at;
  }

  /** Joins a port of one domain with a port (0 to 1023) of another. */
  connect(one: Domain, onePort: number, other: Domain, otherPort: number): void {
    one.channels[onePort] = { domain: other, port: otherPort };
    other.channels[otherPort] = { domain: one, port: onePort };
  }

  /** Makes a domain runnable for the first time, at the present instant. */
  start(domain: Domain): void {
    this.dispatcher.wake(domain, this.simulation.now);
  }

  get counts(): MonitorCounts {
    return {
      exits: Object.fromEntries(this.#exits),
      injections: this.#injections,
      worldSwitches: this.#worldSwitches,
    };
  }

  #allocate(size: number, align: number): number {
    const at = this.#pool.allocate(size, align);
    if (at < 0) throw new RangeError(`no ${size} bytes of memory are left`);
    return at;
  }
  #map(domain: Domain, ipa: number, pa: number, size: number, kind: "memory" | "device"): void {
    if (!domain.stage2.map(this.#tables, null, ipa, pa, size, kind)) {
      throw new RangeError(`${domain.name}: no memory is left for tables`);
    }
  }

  #timerDue(id: number): void {
    const domain = this.domains[id];
    if (domain) this.dispatcher.wake(domain, this.simulation.now, "timer");
  }

  // --- at EL2

  exit(cpu: PhysicalCpu, exit: Exit): void {
    const { index } = cpu;
    const { costs } = this.machine.cpus;
    const { reason } = exit;
    this.#handling = index;
    this.#exits.set(reason, (this.#exits.get(reason) ?? 0) + 1);
    const current = this.dispatcher.current(index) as Domain | null;
    const domain = current?.on === index ? current : null;
    if (reason === "start") {
      if (!this.#ready) this.#setUp(cpu);
      this.#setUpCpu(cpu);
    } else cpu.spend(costs.exitEntry);
    if (reason === "irq" || reason === "start") this.#interrupts(cpu, domain);
    else if (domain !== null) this.#serve(cpu, exit, domain);
    this.#run(cpu);
    this.#handling = -1;
  }

  #serve(cpu: PhysicalCpu, exit: Exit, domain: Domain): void {
    switch (exit.reason) {
      case "wfi":
        cpu.skip();
        if (domain.pending.length === 0) this.dispatcher.block(domain, cpu.time);
        return;
      case "wfe":
        cpu.skip();
        this.dispatcher.yield(domain, cpu.time);
        return;
      case "hvc":
        domain.hypercalls++;
        if ((exit.syndrome & 0xffff) === EVENT_CHANNEL) this.#send(cpu, domain, cpu.low(1));
        else this.#stop(cpu, domain, cpu.low(0) === (PSCI_SYSTEM_OFF | 0) ? "off" : "unknown hypercall");
        return;
      default:
        this.#stop(cpu, domain, `${exit.reason} at 0x${exit.ipa.toString(16)}`);
    }
  }

  #stop(cpu: PhysicalCpu, domain: Domain, reason: string): void {
    domain.stopped = reason;
    this.#unload(cpu, domain);
    this.dispatcher.remove(domain, cpu.time);
    this.onStop?.(domain, reason);
  }

  #send(cpu: PhysicalCpu, domain: Domain, port: number): void {
    cpu.spend(this.machine.cpus.costs.hypercall);
    const channel = domain.channels[port];
    cpu.setRegister(0, channel ? 0 : -1, 0);
    if (!channel || channel.domain.stopped !== null) return;
    const at = channel.domain.events + 4 * (channel.port >> 5);
    const bit = (1 << (channel.port & 31)) >>> 0;
    const before = cpu.read(at, 4);
    if ((before & bit) !== 0) return;
    cpu.write(at, 4, (before | bit) >>> 0);
    this.#pend(channel.domain, UPCALL, cpu.time, "event");
  }

  #pend(domain: Domain, id: number, now: Time, reason: string): void {
    if (!domain.pending.includes(id)) domain.pending.push(id);
    this.dispatcher.wake(domain, now, reason);
    if (domain.on >= 0 && domain.on !== this.#handling) this.machine.physicalCpus[domain.on]?.kick();
  }

  #interrupts(cpu: PhysicalCpu, domain: Domain | null): void {
    for (;;) {
      const acknowledged = cpu.read(GICC + 0xc, 4);
      const id = acknowledged & 0x3ff;
      if (id >= 1020) return;
      cpu.write(GICC + 0x10, 4, acknowledged);
      const route = this.#routes.get(id);
      if (id === TIMER) cpu.setTimer(NEVER);
      if (id === VIRTUAL_TIMER && domain !== null) {
        this.#pend(domain, (id | HARDWARE) >>> 0, cpu.time, "timer");
      } else if (route && route.stopped === null) {
        this.#pend(route, (id | HARDWARE) >>> 0, cpu.time, "io");
      } else cpu.write(GICC + 0x1000, 4, acknowledged);
    }
  }

  /** Chooses and enters a guest, or sleeps. */
  #run(cpu: PhysicalCpu): void {
    const { index } = cpu;
    const { costs } = this.machine.cpus;
    const { dispatcher } = this;
    let next: Domain | null;
    do {
      if (dispatcher.due(index, cpu.time)) {
        cpu.spend(costs.schedule);
        dispatcher.dispatch(index, cpu.time);
      }
      next = dispatcher.current(index) as Domain | null;
      const loaded = this.#loaded(index);
      if (loaded !== next) {
        if (loaded !== null) this.#unload(cpu, loaded);
        if (next !== null) this.#load(cpu, next);
      }
      if (next !== null) this.#flush(cpu, next);
    } while (dispatcher.due(index, cpu.time));
    cpu.setTimer(dispatcher.deadline(index));
    if (next === null) cpu.sleep();
  }

  #loaded(index: number): Domain | null {
    const last = this.#last[index] ?? null;
    return last !== null && last.on === index ? last : null;
  }

  #load(cpu: PhysicalCpu, domain: Domain): void {
    const { index } = cpu;
    const { costs } = this.machine.cpus;
    if (this.#last[index] !== domain) {
      cpu.spend(costs.worldSwitch + costs.cacheRefill);
      this.#worldSwitches++;
    }
    this.#last[index] = domain;
    domain.on = index;
    domain.timer.cancel();
    cpu.load(domain.context, domain.root);
    const { gich } = domain;
    this.#gich(cpu, VMCR, gich[0] as number);
    this.#gich(cpu, APR, gich[1] as number);
    for (let n = 0; n < LISTS; n++) {
      const list = (gich[2 + n] as number) >>> 0;
      if (list === 0) continue;
      cpu.write(GICH + 0x100 + 4 * n, 4, list);
      // the physical timer interrupt is the CPU's own: active here while the guest handles it
      if (isTimer(list)) cpu.write(GICD + 0x300, 4, (1 << VIRTUAL_TIMER) >>> 0);
    }
    this.#gich(cpu, HCR, domain.waits ? 3 : 1);
  }

  /** Writes a register of GICH unless it has that value already. */
  #gich(cpu: PhysicalCpu, register: number, value: number): void {
    const at = 3 * cpu.index + register;
    if (this.#present[at] === value) return;
    this.#present[at] = value;
    cpu.write(GICH + (register === HCR ? 0 : register === VMCR ? 8 : 0xf0), 4, value >>> 0);
  }

  #unload(cpu: PhysicalCpu, domain: Domain): void {
    if (domain.on !== cpu.index) return;
    domain.on = -1;
    cpu.unload();
    const { gich } = domain;
    const present = 3 * cpu.index;
    gich[0] = cpu.read(GICH + 8, 4);
    this.#present[present + VMCR] = gich[0] as number;
    const empty = cpu.read(GICH_ELRSR, 4);
    // a priority is active only while a list register is
    gich[1] = empty === 15 ? 0 : cpu.read(GICH + 0xf0, 4);
    this.#present[present + APR] = gich[1] as number;
    for (let n = 0; n < LISTS; n++) {
      gich[2 + n] = 0;
      if ((empty & (1 << n)) !== 0) continue;
      const list = cpu.read(GICH + 0x100 + 4 * n, 4);
      gich[2 + n] = list;
      cpu.write(GICH + 0x100 + 4 * n, 4, 0);
      if (isTimer(list)) cpu.write(GICC + 0x1000, 4, VIRTUAL_TIMER);
    }
    this.#gich(cpu, HCR, 1);
    const { timerDeadline } = domain.context;
    if (domain.stopped === null && timerDeadline < NEVER) domain.timer.scheduleAt(timerDeadline);
  }

  /** Puts what is pending into list registers; a maintenance interrupt comes when they have room for what is left. */
  #flush(cpu: PhysicalCpu, domain: Domain): void {
    const { pending } = domain;
    if (pending.length === 0) {
      if (domain.waits) {
        this.#gich(cpu, HCR, 1);
        domain.waits = false;
      }
      return;
    }
    let empty = cpu.read(GICH_ELRSR, 4);
    let left = 0;
    for (const want of pending) {
      const id = want & 0x3ff;
      const same = this.#listOf(cpu, id, empty);
      const slot = same >= 0 ? same : 31 - Math.clz32(empty & -empty);
      if (slot < 0) {
        pending[left++] = want;
        continue;
      }
      const list =
        same >= 0
          ? cpu.read(GICH + 0x100 + 4 * slot, 4) | PENDING
          : (want >= HARDWARE ? HARDWARE | (id << 10) : 0) | PENDING | (16 << 23) | id;
      empty &= ~(1 << slot);
      cpu.write(GICH + 0x100 + 4 * slot, 4, list >>> 0);
      cpu.spend(this.machine.cpus.costs.injection);
      this.#injections++;
      domain.interrupts++;
    }
    pending.length = left;
    if (left > 0 !== domain.waits) {
      domain.waits = left > 0;
      this.#gich(cpu, HCR, left > 0 ? 3 : 1); // UIE: nearly empty
    }
  }

  /** The list register that holds interrupt `id`, or -1. */
  #listOf(cpu: PhysicalCpu, id: number, empty: number): number {
    for (let n = 0; n < LISTS; n++) {
      if ((empty & (1 << n)) === 0 && (cpu.read(GICH + 0x100 + 4 * n, 4) & 0x3ff) === id) return n;
    }
    return -1;
  }

  /** The distributor, once; the first CPU brings up the others. */
  #setUp(cpu: PhysicalCpu): void {
    this.#ready = true;
    cpu.write(GICD, 4, 1);
    for (const id of this.#routes.keys()) this.#enable(id);
    for (let n = 1; n < this.machine.physicalCpus.length; n++) cpu.powerOn(n);
  }

  /** Registers that are not banked: who writes them does not matter. */
  #enable(id: number): void {
    const { bus } = this.machine;
    const tx = this.#transaction;
    const config = GICD + 0xc00 + 4 * (id >> 4);
    bus.write(GICD + 0x400 + id, 1, 0x80, tx);
    bus.write(GICD + 0x800 + id, 1, 1 << (this.#targets.get(id) ?? 0), tx);
    if (this.#edges.has(id)) {
      bus.write(config, 4, (bus.read(config, 4, tx) | (2 << (2 * (id & 15)))) >>> 0, tx);
    }
    bus.write(GICD + 0x100 + 4 * (id >> 5), 4, (1 << (id & 31)) >>> 0, tx);
  }

  #setUpCpu(cpu: PhysicalCpu): void {
    if (cpu.read(GICC, 4) !== 0) return;
    for (const id of [16 + PPI.gicMaintenance, TIMER, VIRTUAL_TIMER]) {
      cpu.write(GICD + 0x400 + id, 1, 0x80);
      cpu.write(GICD + 0x100, 4, (1 << id) >>> 0);
    }
    cpu.write(GICC + 4, 4, 0xff);
    cpu.write(GICC, 4, 0x201); // EOImode: EOIR drops the priority alone
  }

  #hash(hash: StateHash): void {
    for (const d of this.domains) {
      hash
        .word(d.id)
        .word(d.on + 1)
        .word(d.pending.length)
        .words(d.gich)
        .text(d.stopped ?? "");
      for (const id of d.pending) hash.number(id);
    }
    hash.text(JSON.stringify(this.dispatcher.save()));
  }
}

function isTimer(list: number): boolean {
  return (list & STATE) !== 0 && list >= HARDWARE && ((list >>> 10) & 0x3ff) === VIRTUAL_TIMER;
}
