export * from "./pl061.ts";
export * from "./registers.ts";
