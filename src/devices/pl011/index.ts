export * from "./options.ts";
export * from "./pl011.ts";
export * from "./registers.ts";
