export { Event } from "./event.ts";
export { StateHash } from "./hash.ts";
export { Line, type LineSink } from "./line.ts";
export { Module } from "./module.ts";
export { Random } from "./random.ts";
export * from "./report.ts";
export { type RunResult, Simulation, type SimulationOptions, type SimulationState } from "./simulation.ts";
export {
  assignState,
  Cells,
  cloneState,
  SnapshotError,
  type StatePart,
  type StateRecord,
  type StateValue,
  type TypedData,
} from "./state.ts";
export { Frequency, formatTime, MS, NEVER, NS, SEC, TICKS_PER_SECOND, type Time, US } from "./time.ts";
