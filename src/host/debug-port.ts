/** The CPU cluster's debug interface as the debugger uses it. */
import type { DebugPort } from "./machine.ts";

export function debugPort(_cluster: unknown): DebugPort | null {
  return null;
}
