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
  /** The instant at which its virtual counter is 0. */
  readonly epoch?: Time;
}

/** Registers of a vCPU while it is not loaded: a module of the CPU kind that runs it, so that they are saved with the machine. */
export interface VcpuContext {
  readonly kind: PhysicalCpu["kind"];
  /** As after reset of the vCPU, about to begin at `start`. */
  reset(start: GuestStart): void;
  /** The instant at which the virtual timer of a context that is not loaded would raise its interrupt; NEVER: not as it is set. */
  readonly timerDeadline: Time;
}

/** An abort of the guest's own: fault status (ESR_ELx.ISS[9:0]), and where it is not that of the exit, the virtual address. */
export interface AccessFault {
  readonly status: number;
  readonly address?: { readonly high: number; readonly low: number };
}

/** What emulating an instruction without a syndrome (ISV = 0) takes beyond `PhysicalCpu`: AArch64 alone. */
export interface InstructionAccess {
  /** The trapped instruction, read through the guest's own translation; -1 where that fails. */
  word(): number;
  /** SP of the trapped instruction, for number 31 as a base. */
  readonly stackPointerLow: number;
  readonly stackPointerHigh: number;
  setStackPointer(low: number, high: number): void;
  readonly pcHigh: number;
  readonly pcLow: number;
  /** SIMD and floating-point register n, as four words. */
  vector(register: number): Int32Array;
  setVector(register: number, words: Int32Array): void;
  /**
   * The guest's translation of a virtual address, both stages, without side effects: intermediate physical address, or -1 - s with the status s of the
   * fault that the guest is to take (ESR_ELx.ISS[5:0]). An access of more than one page, or of a page that lies elsewhere, needs it.
   */
  translate(high: number, low: number, write: boolean): number;
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
  /** Lets time pass at EL2: `time` is later by that much at once, the rest of the machine sees it when `exit` returns. */
  spend(cycles: number): void;
  /** Makes `context`, saved before, this CPU's guest; EL1 registers and virtual timer with it (GICH is the hypervisor's own to switch). */
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
  /** Makes the guest take an abort at its access; null: an external one. */
  injectAbort(fault: AccessFault | null): void;
  /** Makes the guest take an Undefined Instruction exception. */
  injectUndefined(): void;

  /** Physical memory and registers, as this CPU at EL2 (GICH and GICC are banked by it). Faults read as 0. */
  read(address: number, size: 1 | 2 | 4 | 8): number;
  write(address: number, size: 1 | 2 | 4 | 8, value: number): void;

  /** The virtual timer of the loaded guest asserts its output now. */
  readonly virtualTimerAsserted: boolean;
  /** The guest was left at the first instruction of a vector that has just faulted itself: unless its tables change, it does so for ever. */
  readonly faultsAtVector: boolean;
  /** What decoding needs; null where every access has a syndrome. */
  readonly instructions: InstructionAccess | null;
  /** Exit "floating point": the guest gets the SIMD and floating-point registers. */
  giveFloatingPoint(): void;
  /** PSCI CPU_ON of another physical CPU, which then calls its handler with reason "start". */
  powerOn(index: number): void;
  /**
   * TLB maintenance after a change of stage 2 tables, on all CPUs (TLBI IPAS2E1IS, VMALLE1IS): `length` bytes from `ipa` on, or with `ipa` -1 all of
   * the VMID.
   */
  invalidate(vmid: number, ipa: number, length: number): void;

  /** The EL2 physical timer: its PPI is raised at that instant; NEVER disarms. */
  setTimer(at: Time): void;
  /** Asks for an exit with reason "irq" as soon as possible (an SGI of the hypervisor). From anywhere. */
  kick(): void;
}
