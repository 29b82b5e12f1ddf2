export { createScheduler, SCHEDULER_NAMES } from "./create.ts";
export { type CpuAccount, Dispatcher, type DispatcherHost, type RunState, type VcpuAccount } from "./dispatcher.ts";
export type { SchedulerOptions } from "./policy.ts";
export * from "./scheduler.ts";
export * from "./simulation.ts";
