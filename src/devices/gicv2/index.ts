export { Gicv2, type Gicv2Options } from "./gicv2.ts";
export { GICC, GICD } from "./registers.ts";
export { GICH, GICV } from "./registers-virtual.ts";
export { GicVirtualization } from "./virtualization.ts";
