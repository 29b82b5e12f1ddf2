export { TOE_INTERFACE } from "./interface.ts";
export { TOE_MANAGEMENT } from "./management.ts";
