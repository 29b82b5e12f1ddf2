/**
 * The CPU context in WebAssembly memory: byte offsets from the context's base address, which is a multiple of 65,536.
 * The interpreter and the TypeScript side both use these names and no others.
 */

/** Integer registers, i64 each: X0 to X30, then the slots that register number 31 resolves to. */
export const X = 0;
/** Always zero: register 31 read as ZR. */
export const XZR = 31 * 8;
/** The current stack pointer; the banked ones below hold those that are not current. */
export const SP = 32 * 8;
/** Where writes to ZR go; never read. */
export const SINK = 33 * 8;

/** i64: program counter, valid whenever the interpreter is outside `run` or inside an import. */
export const PC = 34 * 8;
/** Flags: N is the sign of NRES, Z is set when ZRES is zero, C and V are 0 or 1. */
export const NRES = 35 * 8;
export const ZRES = 36 * 8;
export const CFLAG = 37 * 8;
export const VFLAG = 37 * 8 + 4;

/** i32: current exception level 0 to 3, PSTATE.SP, the DAIF bits as in PSTATE[9:6] >> 6, PSTATE.SS, PSTATE.IL. */
export const EL = 0x130;
export const SPSEL = 0x134;
export const DAIF = 0x138;
export const SS = 0x13c;
export const IL = 0x140;

/** i32: instructions retired times 16 up to which `run` may go; lowered to make it return at the next block end. */
export const LIMIT = 0x148;
/** i32: `bias + pc` when the interpreter last left or called out; see docs/decisions/0001-cpu-engine.md. */
export const COUNT = 0x14c;
/** i32: nonzero while the last instruction ended a block (the place where interrupts are sampled). */
export const BLOCK_END = 0x150;
/** i32: address of the TLB set of the current translation context. */
export const TLB = 0x154;
/** i32: the decoded operation being executed when the interpreter called out. */
export const SLOT = 0x158;

/** Mailbox of calls out: i64 address, two i64 values (low 64 bits, and high for 128-bit accesses), i32 word or argument. */
export const MAIL_ADDRESS = 0x160;
export const MAIL_VALUE = 0x168;
export const MAIL_VALUE_HIGH = 0x170;
export const MAIL_WORD = 0x178;
/** i32: attributes of the access in the mailbox, see ACCESS_*. */
export const MAIL_ACCESS = 0x17c;

/** Exclusive monitor: i64 address (all ones: open), i64 values loaded, i32 size in bytes. */
export const EXCLUSIVE_ADDRESS = 0x180;
export const EXCLUSIVE_VALUE = 0x188;
export const EXCLUSIVE_VALUE_HIGH = 0x190;
export const EXCLUSIVE_SIZE = 0x198;
/** i32: event register of WFE. */
export const EVENT = 0x19c;

/** i32: nonzero while SIMD and floating-point instructions may execute; kept by the system side (CPACR_EL1, CPTR_EL2, CPTR_EL3). */
export const FP_ENABLED = 0x1a0;
/** i32 each, the system side's: why the last import left `run` (LEAVE), and room for its own use. */
export const LEAVE_REASON = 0x1a4;

/** i32: address of the TLB set of LDTR and STTR: at EL1, and at EL2 of a VHE host, that of EL0, else that of TLB. */
export const TLB_USER = 0x1a8;

/** i32: nonzero while DC ZVA may execute without a trap; kept by the system side (SCTLR_EL1.DZE, HCR_EL2.TDZ). */
export const ZERO_ENABLED = 0x1ac;

/** V0 to V31, 16 bytes each. */
export const V = 0x200;
/** i64 each: FPCR and FPSR. */
export const FPCR = 0x400;
export const FPSR = 0x408;

/** The engines' own: four vectors and a result, while an instruction works on lanes. No state. */
export const SCRATCH = 0x420;

/** System registers, i64 each, in the order of the table in `sysreg/`: room for 512. The first are those that the engine reads itself. */
export const SYSREG = 0x1000;
export const SYSREG_SP_EL0 = SYSREG;
export const SYSREG_TPIDR_EL1 = SYSREG + 8;
export const SYSREG_TPIDR_EL0 = SYSREG + 16;

/**
 * TLB sets: read, write, fetch, TLB_ENTRIES of TLB_ENTRY_BYTES each. Which set serves which level is the system side's choice (`mmu/tlb.ts`):
 * TLB holds the address of the current one, TLB_USER that of LDTR and STTR.
 */
export const TLB_SETS = 0x2000;
export const TLB_ENTRIES = 2048;
export const TLB_ENTRY_BYTES = 16;
export const TLB_READ = 0;
export const TLB_WRITE = TLB_ENTRIES * TLB_ENTRY_BYTES;
export const TLB_FETCH = 2 * TLB_ENTRIES * TLB_ENTRY_BYTES;
export const TLB_SET_BYTES = 3 * TLB_ENTRIES * TLB_ENTRY_BYTES;
export const TLB_CONTEXTS = 13;
/** Entry number of an address by its low word: the page number folded, so that pages 4 MiB apart do not share an entry. */
export const tlbSlot = (low: number): number => ((low >>> 12) ^ (low >>> 22)) & (TLB_ENTRIES - 1);
/** Offsets in an entry. */
export const TLB_TAG = 0;
export const TLB_ADDEND = 8;
/**
 * In a write entry whose tag has bit 63 only because its page holds decoded code: the address of the decoded page, else 0. Stores to
 * words that are not decoded then stay inside WebAssembly.
 */
export const TLB_CODE = 12;

export const CONTEXT_BYTES = 0x14_0000;

/** Bits of MAIL_ACCESS. */
export const ACCESS_UNPRIVILEGED = 1; // LDTR, STTR
export const ACCESS_EXCLUSIVE = 2;
export const ACCESS_ORDERED = 4; // acquire or release
/** Syndrome of a data abort may give ISV=1: bits 8-12 hold the transfer register, 13 sixty-four, 14 sign extension. */
export const ACCESS_ISV = 8;
/** The access is two elements of half the size (LDP, STP, LDXP...): alignment and device accesses go by element. */
export const ACCESS_PAIR = 32;
/** Load and store of an atomic instruction: a fault where memory is none. */
export const ACCESS_ATOMIC = 64;
/** The access is a cache or address-translation operation (DC ZVA is a plain store). */
export const ACCESS_CACHE = 16;

/**
 * Status of a call out. GO_ON: the access or operation is complete, the interpreter goes on (and counts the instruction).
 * REFETCH: PC and COUNT in the context say where to go on; whoever returns it has added 16 to COUNT when the instruction was
 * executed (system instructions, exception entries of any kind: so nothing loops without being counted) and not when it
 * is to be run again. A block end. LEAVE or any greater value: `run` returns it, PC and COUNT as in the context.
 */
export const GO_ON = 0;
export const REFETCH = 1;
export const LEAVE = 2;
/** `run` returns this when COUNT has reached LIMIT. */
export const RUN_LIMIT = 0;
/** `run` returns this, before the operation, at a planted breakpoint. */
export const RUN_BREAKPOINT = 0x100;

/** Kinds of `system(ctx, kind)`. `Interpreter.wordAt` gives the instruction word. */
export const SYSTEM_UNDEFINED = 0;
export const SYSTEM_SVC = 1;
export const SYSTEM_HVC = 2;
export const SYSTEM_SMC = 3;
export const SYSTEM_BRK = 4;
export const SYSTEM_HLT = 5;
export const SYSTEM_DCPS = 6;
export const SYSTEM_DRPS = 7;
export const SYSTEM_ERET = 8;
export const SYSTEM_WFI = 9;
export const SYSTEM_WFE = 10;
export const SYSTEM_SEV = 11;
export const SYSTEM_SEVL = 12;
/** SYS: Xt in MAIL_VALUE. */
export const SYSTEM_SYS = 14;
/** SYSL: on GO_ON the result is in MAIL_VALUE. */
export const SYSTEM_SYSL = 15;
/** MSR (immediate): DAIFSet, DAIFClr, SPSel, and those UNDEFINED in this version. */
export const SYSTEM_MSR_IMMEDIATE = 16;
/** Base register SP is not a multiple of 16: a fault when SCTLR_ELx.SA (SA0) is set, else GO_ON. */
export const SYSTEM_SP_ALIGNMENT = 17;
/** A SIMD or floating-point instruction while FP_ENABLED is 0; GO_ON executes it all the same. */
export const SYSTEM_FP_ACCESS = 18;
