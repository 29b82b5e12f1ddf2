export { AbstractCluster, type AbstractClusterOptions } from "./cluster.ts";
export { AbstractContext } from "./context.ts";
export { AbstractCpu } from "./cpu.ts";
export { AbstractMachine, type AbstractMachineOptions, createAbstractMachine } from "./machine.ts";
export {
  Domain,
  type DomainOptions,
  EVENT_CHANNEL,
  EVENT_PAGE,
  Monitor,
  type MonitorCounts,
  UPCALL,
} from "./monitor.ts";
export { Guest, GuestAbort, type GuestProgram, type Operation, type Routine } from "./program.ts";
