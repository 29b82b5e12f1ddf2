export { type DirectIoOptions, type DirectIoResult, runDirectIo } from "./direct-io.ts";
export { IgbVf, type IgbVfOptions } from "./igbvf.ts";
export {
  type GuestResult,
  type Habit,
  type Percentiles,
  runScheduling,
  type SchedulingOptions,
  type SchedulingResult,
} from "./scheduling.ts";
export type { EventScan } from "./split-driver.ts";
export { type SriovOptions, type SriovResult, SriovSystem } from "./sriov.ts";
export { type ToeCommand, type ToeCompletion, ToeDriver, type ToeDriverOptions, toeRingBytes } from "./toe.ts";
