export { ARENA_PAGE_SHIFT, Arena, CHUNK_BYTES, PAGE_HAS_CODE } from "./arena.ts";
export { Memory, type MemoryOptions } from "./memory.ts";
export { Port } from "./port.ts";
export { type DecodeErrorPolicy, Router, type Segment, type Window } from "./router.ts";
export * from "./transaction.ts";
