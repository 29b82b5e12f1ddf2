export { ToeDevice, type ToeDeviceOptions } from "./functions.ts";
export type { StackMaker, ToeHost } from "./host.ts";
export type { ControlInterface } from "./interface.ts";
export { TOE_INTERFACE, TOE_MANAGEMENT } from "./registers/index.ts";
export { DEFAULT_INTERFACES, FRAME_SIZE, ToeCore, type ToeOptions } from "./toe.ts";
