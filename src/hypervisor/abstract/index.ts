export { AbstractCluster, type AbstractClusterOptions } from "./cluster.ts";
export { AbstractContext } from "./context.ts";
export { AbstractHypervisor, type AbstractVmOptions } from "./core.ts";
export { AbstractCpu } from "./cpu.ts";
export { Domain, type DomainOptions, type PassedDevice } from "./domain.ts";
export { AbstractMachine, type AbstractMachineOptions, createAbstractMachine } from "./machine.ts";
export { EVENT_CHANNEL, EVENT_PAGE, Monitor, type MonitorCounts, UPCALL } from "./monitor.ts";
export { Guest, GuestAbort, type GuestProgram, type Operation, type Routine } from "./program.ts";
