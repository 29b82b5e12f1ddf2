export * from "./api.ts";
export type { StackOptions } from "./engine.ts";
export { Stack } from "./stack.ts";
