/**
 * One bus transaction's side-band and its answer, in the spirit of TLM-2.0's generic payload. Each initiator has one and uses it
 * again; address, size and data travel as arguments of the transport calls.
 *
 * Data wider than 32 bits travels as halves: the low word is the argument or result (0 to 2^32 - 1), the high word is `high`.
 */

export type AccessSize = 1 | 2 | 4 | 8;

/** Answers of a target. */
export const RESPONSE_OK = 0;
/** No target at this address (AXI DECERR). */
export const RESPONSE_DECODE_ERROR = 1;
/** The target refused (AXI SLVERR). */
export const RESPONSE_TARGET_ERROR = 2;

export class Transaction {
  /** High word of 64-bit data, 0 to 2^32 - 1: set by the initiator for writes, by the target for reads. */
  high = 0;
  /** RESPONSE_*; initiators clear it before a call, targets set it on error only. */
  response = 0;
  /** Ticks that targets added to this access: the time annotation of blocking transport. Initiators clear it as well. */
  delay = 0;

  /** Index of the CPU, or -1 for other initiators. Banked registers choose their bank by it. */
  cpu = -1;
  /** Exception level of the access, 0 for unprivileged; 1 for initiators that are no CPU. */
  exceptionLevel = 1;
  /** Secure access (NS = 0). */
  secure = false;
  /** Load- or store-exclusive. */
  exclusive = false;
  /** Instruction fetch. */
  instruction = false;
  /** A further beat of a block transfer: with the beats before it this is one request, that an IOMMU refuses once. */
  continued = false;
  /** PCIe requester id (bus, device, function), or -1. */
  requesterId = -1;
  /** SMMU stream and substream, or -1. */
  streamId = -1;
  substreamId = -1;
}

/** Memory that an initiator may reach without transport: addresses `start` to `end - 1` lie at `arenaAt` in the arena. */
export interface DirectRegion {
  readonly start: number;
  readonly end: number;
  readonly arenaAt: number;
  readonly writable: boolean;
}

/** Bits of `Target.accessSizes`. */
export const SIZES_UP_TO_32 = 1 | 2 | 4;
export const SIZES_UP_TO_64 = 1 | 2 | 4 | 8;

/**
 * What answers accesses: a register bank, a memory, a router with more behind it. Offsets are within the target. Sizes are
 * bytes; an access never crosses a naturally aligned 8 bytes (ports split those that would); one of a size that is not in `accessSizes`
 * does not arrive (router and port split 64-bit accesses into two of 32 bits, low word first, and refuse others).
 */
export interface Target {
  /** Sizes this target takes, as the sum of 1, 2, 4, 8. */
  readonly accessSizes: number;
  /** Bytes from offset 0 on that exist, where a window must not show more: memories. */
  readonly size?: number;
  read(offset: number, size: number, tx: Transaction): number;
  write(offset: number, size: number, value: number, tx: Transaction): void;
  /** Debug transport: as `read` and `write` of at most 4 bytes, without any side effect, at no time, by nobody. */
  peek(offset: number, size: number): number;
  poke(offset: number, size: number, value: number): void;
  /** Direct memory access for the byte at `offset`, or null. */
  direct?(offset: number, write: boolean): DirectRegion | null;
  /** The target calls `listener` when direct regions in offset..offset + length must no longer be used. */
  onInvalidate?(listener: (offset: number, length: number) => void): void;
}
