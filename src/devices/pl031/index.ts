export * from "./pl031.ts";
export * from "./registers.ts";
