export * from "./registers.ts";
export * from "./sp804.ts";
