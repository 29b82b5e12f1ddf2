/**
 * What the interpreter asks of the system side. All arguments and results are i32; values pass through the mailbox of the context
 * (`layout.ts`). Before each call PC, COUNT and SLOT of the context are set. Results are GO_ON, REFETCH, or LEAVE and above.
 */
export interface InterpreterHost {
  /** Translates PC for execution and fills the fetch TLB, or takes the exception. Misaligned PCs come here too. */
  fetch(context: number): number;
  /** Decodes the operation at arena address `slot`; see `CodeCache.decode`. */
  decode(context: number, slot: number): number;
  /** Loads `size` bytes (1 to 16) from MAIL_ADDRESS into MAIL_VALUE (and MAIL_VALUE_HIGH), zero-extended. */
  load(context: number, size: number): number;
  /**
   * Stores MAIL_VALUE (and MAIL_VALUE_HIGH). With ACCESS_EXCLUSIVE in MAIL_ACCESS: stores only if the monitor matches, and leaves 0 (stored)
   * or 1 in MAIL_WORD; the interpreter opens the monitor afterwards.
   */
  store(context: number, size: number): number;
  /**
   * MRS (`write` 0: result in MAIL_VALUE) or MSR (`write` 1: value in MAIL_VALUE). `encoding` is op0:op1:CRn:CRm:op2, bits 20 to 5 of the
   * instruction, 16 bits.
   */
  sysreg(context: number, encoding: number, write: number): number;
  /** System and exception generating instructions, `kind` being one of SYSTEM_*. */
  system(context: number, kind: number): number;
}
