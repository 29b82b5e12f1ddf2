export { I82576Device, type I82576DeviceOptions } from "./functions.ts";
export type { Host } from "./host.ts";
export { I82576Core, type I82576Options } from "./i82576.ts";
export { I82576, I82576_VF } from "./registers/index.ts";
