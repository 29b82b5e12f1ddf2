/**
 * What the hypervisor needs of a CPU, real or abstract, and what a CPU tells it. All methods of `PhysicalCpu` but `kick` and `setTimer` may be called
 * only from inside `El2Handler.exit` of the same CPU.
 */
import type { Time } from "../sim/index.ts";

/** Why a guest was left for EL2. Names are those of the exception classes (DDI 0487 D24.2.40) and interrupts. */
export type ExitReason =
  | "start" // the CPU has come up, or woken from `sleep`, with no guest loaded
  | "irq"
  | "fiq"
  | "serror"
  | "wfi"
  | "wfe"
  | "hvc"
  | "smc"
  | "system register"
  | "floating point"
  | "data abort" // stage 2
  | "instruction abort"
  | "other";

/** One exit. The object belongs to the CPU and is reused by the next exit. */
export interface Exit {
  readonly reason: ExitReason;
  /** ESR_EL2 as the architecture has it, also on an abstract CPU; 0 for interrupts. */
  readonly syndrome: number;
  /** Guest's program counter, 0 on an abstract CPU. */
  readonly pc: number;
  /** Aborts: the guest's virtual address (FAR_EL2), and the intermediate physical address. */
  readonly virtualAddress: number;
  readonly ipa: number;
  /** Data aborts with a valid syndrome (ISV): bytes (1, 2, 4, 8), direction, extension. */
  readonly valid: boolean;
  readonly size: number;
  readonly write: boolean;
}

/** Where a guest begins. */
export interface GuestStart {
  /** AArch64: entry and X0. An abstract guest's program is its own. */
  readonly entry: number;
  readonly x0: number;
}

/** Registers of a vCPU while it is not loaded. Made by the CPU kind that runs it. */
export interface VcpuContext {
  save(): unknown;
  load(value: unknown): void;
}

/** VTTBR_EL2 and VTCR_EL2: the VM's tables. */
export interface Stage2Root {
  /** Physical address of the first table. */
  readonly base: number;
  readonly vmid: number;
  /** VTCR_EL2, low word. */
  readonly vtcr: number;
}

export interface El2Handler {
  /** A guest has been left, or the CPU has nothing loaded. On return the CPU goes on with the loaded guest, or sleeps. */
  exit(cpu: PhysicalCpu, exit: Exit): void;
}

export interface PhysicalCpu {
  readonly index: number;
  readonly kind: "aarch64" | "abstract";
  /** The present instant on this CPU. */
  readonly time: Time;
  /** Cycles a second, for the cost table. */
  readonly frequency: number;
  handler: El2Handler | null;
  /** Lets time pass at EL2. */
  spend(cycles: number): void;
  /** Makes `context`, saved before, this CPU's guest; EL1 registers, timers and list registers with it. */
  load(context: VcpuContext, stage2: Stage2Root): void;
  /** Saves the loaded guest into its context; nothing is loaded then. */
  unload(): void;
  readonly loaded: VcpuContext | null;
  /** With nothing loaded: sleeps until an interrupt is pending for this CPU; then `exit` with reason "start". */
  sleep(): void;

  /** General register n of the loaded guest (31 reads as zero), as two 32-bit halves; of an access under way: the value stored, or to be returned. */
  low(register: number): number;
  high(register: number): number;
  setRegister(register: number, low: number, high: number): void;
  /** The trapped access, by its halves: what is being written. */
  readonly storedLow: number;
  readonly storedHigh: number;
  /** Ends a trapped load with its value (extended as the instruction asks), or a trapped store, and steps over the instruction. */
  complete(low: number, high: number): void;
  /** Steps over the trapped instruction (WFI, system register, SMC). */
  skip(): void;
  /** Makes the guest take an external abort at its access. */
  injectAbort(): void;

  /** Physical memory and registers, as this CPU at EL2 (GICH and GICC are banked by it). Faults read as 0. */
  read(address: number, size: 1 | 2 | 4 | 8): number;
  write(address: number, size: 1 | 2 | 4 | 8, value: number): void;

  /** The EL2 physical timer: its PPI is raised at that instant; NEVER disarms. */
  setTimer(at: Time): void;
  /** Asks for an exit with reason "irq" as soon as possible (an SGI of the hypervisor). From anywhere. */
  kick(): void;
}
