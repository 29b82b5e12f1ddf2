export type * from "./ats.ts";
export { SMMUV3 } from "./registers.ts";
export { Smmuv3, type Smmuv3Options } from "./smmuv3.ts";
export { type StreamOptions, StreamTarget } from "./stream.ts";
