export * from "./pl011.ts";
export * from "./registers.ts";
