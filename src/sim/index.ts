export { Clock, type ClockOptions } from "./clock.ts";
export { Event } from "./event.ts";
export { StateHash } from "./hash.ts";
export type { RunResult } from "./kernel.ts";
export { Line, type LineSink } from "./line.ts";
export { MethodProcess } from "./method.ts";
export { Module } from "./module.ts";
export { Process, type ProcessOptions, type ResetLevel, Unwind } from "./process.ts";
export { Random } from "./random.ts";
export * from "./report.ts";
export { Signal, type SignalValue, type WriterPolicy } from "./signal.ts";
export { type SchedulerState, Simulation, type SimulationOptions, type SimulationState } from "./simulation.ts";
export {
  assignState,
  Cells,
  cloneState,
  hashState,
  SnapshotError,
  type StatePart,
  type StateRecord,
  type StateValue,
  type TypedData,
} from "./state.ts";
export { ThreadProcess } from "./thread.ts";
export { Frequency, formatTime, MS, NEVER, NS, SEC, TICKS_PER_SECOND, type Time, US } from "./time.ts";
export {
  allOf,
  anyOf,
  type Changing,
  Cycles,
  cycles,
  EventList,
  type Thread,
  TimedWait,
  type Wait,
  wait,
} from "./wait.ts";
