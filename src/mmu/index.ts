export * from "./tables.ts";
export * from "./walk.ts";
