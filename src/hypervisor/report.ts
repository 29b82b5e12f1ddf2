/** What the hypervisor knows about its VMs, as plain data: for JSON, for tables at the end of a run, for a live view. */
import { TICKS_PER_SECOND, type Time } from "../sim/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { Table } from "./statistics.ts";

export interface ExitRow {
  readonly name: string;
  readonly count: number;
  /** Seconds at EL2, and cycles of the CPUs' clock. */
  readonly seconds: number;
  readonly cycles: number;
}

export interface VcpuReport {
  readonly name: string;
  readonly activity: string;
  /** CPU that it runs on, or ran on last. */
  readonly cpu: number;
  /** Seconds. "stolen": preempted while it wanted to run on; "waiting": woken and not run since. */
  readonly running: number;
  readonly waiting: number;
  readonly stolen: number;
  readonly blocked: number;
  readonly dispatches: number;
  readonly migrations: number;
  /** Interrupts presented; seconds from pending to presented, in the mean and at most. */
  readonly interrupts: number;
  readonly interruptLatency: number;
  readonly longestInterruptLatency: number;
}

export interface VmReport {
  readonly name: string;
  readonly state: string;
  readonly reason: string;
  readonly memory: number;
  readonly tablePages: number;
  /** Requests of its devices that the SMMU refused. */
  readonly refusedDma: number;
  readonly exits: number;
  readonly seconds: number;
  readonly reasons: readonly ExitRow[];
  readonly regions: readonly ExitRow[];
  readonly registers: readonly ExitRow[];
  readonly vcpus: readonly VcpuReport[];
}

export interface HypervisorReport {
  /** Simulated seconds. */
  readonly time: number;
  readonly scheduler: string;
  readonly cpus: readonly { readonly busy: number; readonly idle: number; readonly switches: number }[];
  readonly vms: readonly VmReport[];
}

const seconds = (time: Time): number => time / TICKS_PER_SECOND;

export interface HypervisorTotals {
  readonly exits: number;
  /** Changes of a CPU from one vCPU to another. */
  readonly worldSwitches: number;
  /** Interrupts presented to guests. */
  readonly injections: number;
}

/** What the counters of all VMs and CPUs come to, up to now. */
export function hypervisorTotals({ vms, dispatcher }: Hypervisor): HypervisorTotals {
  const totals = { exits: 0, worldSwitches: 0, injections: 0 };
  for (const vm of vms) {
    totals.exits += vm.statistics.total.count;
    for (const vcpu of vm.vcpus) totals.injections += vcpu.cells.presented;
  }
  for (let cpu = 0; cpu < dispatcher.cpuCount; cpu++) totals.worldSwitches += dispatcher.cpuAccount(cpu).switches;
  return totals;
}

/** A snapshot of all counters and times, up to now. */
export function hypervisorReport(hypervisor: Hypervisor): HypervisorReport {
  const { dispatcher, simulation, options } = hypervisor;
  const now = simulation.now;
  const frequency = options.physicalCpus[0]?.frequency ?? 0;
  return {
    time: seconds(now),
    scheduler: dispatcher.scheduler.name,
    cpus: options.physicalCpus.map((cpu) => {
      const { busy, idle, since, switches } = dispatcher.cpuAccount(cpu.index);
      // as of the vCPUs below
      const open = Math.max(0, now - since);
      const occupied = dispatcher.current(cpu.index) !== null;
      return { busy: seconds(occupied ? busy + open : busy), idle: seconds(occupied ? idle : idle + open), switches };
    }),
    vms: hypervisor.vms.map((vm) => {
      const rows = (table: Table): ExitRow[] =>
        vm.statistics.table(table).map(({ name, count, time }) => ({
          name,
          count,
          seconds: seconds(time),
          cycles: Math.round(seconds(time) * frequency),
        }));
      const total = vm.statistics.total;
      return {
        name: vm.name,
        state: vm.status,
        reason: vm.cells.reason,
        memory: vm.options.memory,
        tablePages: vm.stage2.pages + (vm.dma === vm.stage2 ? 0 : vm.dma.pages),
        refusedDma: hypervisor.services.reduce((sum, service) => sum + (service.refusedDma?.(vm) ?? 0), 0),
        exits: total.count,
        seconds: seconds(total.time),
        reasons: rows("reasons"),
        regions: rows("regions"),
        registers: rows("registers"),
        vcpus: vm.vcpus.map((v) => {
          const account = dispatcher.account(v);
          // without changing it: a look is no event of the machine's
          const a = { ...account };
          a[a.state] += Math.max(0, now - a.since);
          const { presented, latency, longest } = v.cells;
          return {
            name: v.name,
            activity: v.activity,
            cpu: a.cpu,
            running: seconds(a.running),
            waiting: seconds(a.waiting),
            stolen: seconds(a.stolen),
            blocked: seconds(a.blocked),
            dispatches: a.dispatches,
            migrations: a.migrations,
            interrupts: presented,
            interruptLatency: presented === 0 ? 0 : seconds(latency / presented),
            longestInterruptLatency: seconds(longest),
          };
        }),
      };
    }),
  };
}
