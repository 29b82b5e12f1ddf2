export { AbstractCluster, type AbstractClusterOptions } from "./cluster.ts";
export { AbstractContext } from "./context.ts";
export { AbstractHypervisor, type AbstractVmOptions } from "./core.ts";
export { AbstractCpu } from "./cpu.ts";
export { AbstractMachine, type AbstractMachineOptions, createAbstractMachine } from "./machine.ts";
export { Guest, GuestAbort, type GuestProgram, type Operation, type Routine } from "./program.ts";
