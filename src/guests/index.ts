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
export { TOE_BUFFER, TOE_COMMAND, type ToeCommand, type ToeCompletion, ToeInterface, type ToeOptions } from "./toe.ts";
