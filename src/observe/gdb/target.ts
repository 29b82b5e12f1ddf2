/**
 * What a debugger needs of a machine. The remote stub speaks to this and to nothing else; all calls come while the machine stands still,
 * except `interrupt`. Nothing here may change what the guest computes, but for the writes that the user asks for.
 */

export interface TargetRegister {
  /** GDB's name: x0 to x30, sp, pc, cpsr, v0 to v31, fpsr, fpcr; system registers by their architectural name. */
  readonly name: string;
  readonly bits: 32 | 64 | 128;
  readonly group: "core" | "fpu" | "el1" | "el2";
}

export type StopReason =
  /** The user's interrupt, or another who stopped the machine. */
  | { readonly kind: "interrupt"; readonly cpu: number }
  | { readonly kind: "step"; readonly cpu: number }
  /** `hardware` as the breakpoint was set. */
  | { readonly kind: "breakpoint"; readonly cpu: number; readonly hardware: boolean }
  | { readonly kind: "watchpoint"; readonly cpu: number; readonly access: WatchKind; readonly address: bigint }
  /** The machine is off for good. */
  | { readonly kind: "exit"; readonly code: number };

export type WatchKind = "read" | "write" | "access";
export type CpuAction = "continue" | "step" | "hold";

export interface DebugTarget {
  readonly cpus: number;
  /** In the order of their numbers in the protocol: first the 34 of `core` (x0..x30, sp, pc, cpsr), then the others. */
  readonly registers: readonly TargetRegister[];
  /** Little-endian bytes; null where the register cannot be read. */
  readRegister(cpu: number, index: number): Uint8Array | null;
  writeRegister(cpu: number, index: number, value: Uint8Array): boolean;
  /** Memory through the CPU's current translation, no side effects; shorter than asked where the rest is not mapped. */
  readMemory(cpu: number, address: bigint, length: number): Uint8Array;
  /** False where some of it is not mapped; then nothing is written. */
  writeMemory(cpu: number, address: bigint, data: Uint8Array): boolean;
  readPhysical(address: bigint, length: number): Uint8Array;
  writePhysical(address: bigint, data: Uint8Array): boolean;
  setBreakpoint(address: bigint, hardware: boolean): boolean;
  clearBreakpoint(address: bigint, hardware: boolean): boolean;
  setWatchpoint(address: bigint, length: number, kind: WatchKind): boolean;
  clearWatchpoint(address: bigint, length: number, kind: WatchKind): boolean;
  /** One line about a CPU: "CPU 0 [running]". */
  describe(cpu: number): string;
  /** Lets the machine run, one action for each CPU, until a stop is reported through `onStop`. */
  resume(actions: readonly CpuAction[]): void;
  /** Stops a running machine soon; reported as an interrupt. */
  interrupt(): void;
  readonly running: boolean;
  /** Called once for every `resume` when the machine stands still again. */
  onStop: ((reason: StopReason) => void) | null;
  /** The debugger leaves: breakpoints and watchpoints go, the machine runs on. */
  detach(): void;
  /** The debugger ends the machine. */
  kill(): void;
  /** Runs a line of the monitor and returns what it prints. */
  monitor(line: string, cpu: number): string;
}
