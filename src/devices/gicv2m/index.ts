export { Gicv2m, type Gicv2mOptions } from "./gicv2m.ts";
export { GICV2M } from "./registers.ts";
