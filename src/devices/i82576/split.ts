/**
 * Header split and replication, 82576 datasheet 7.1: what of a packet goes to the header buffer, and what the descriptor tells of it. Choices: types 3
 * and 4 copy the headers that PSRTYPE names, nothing where they do not fit.
 */

export interface Split {
  /** Bytes that go to the header buffer. */
  bytes: number;
  /** They go there alone; else they are in the packet buffer too. */
  separate: boolean;
  /** HDR_LEN, SPH and HBO of the descriptor. */
  length: number;
  found: boolean;
  overflow: boolean;
}

/** SRRCTL.DESCTYPE. */
const SPLIT = 2;
const REPLICATE_LARGE = 4;
const ALWAYS = 5;

/**
 * Fills `split` for a packet of `packet` bytes with headers of `header` bytes, 0 for none that PSRTYPE names, and buffers of `headerBuffer` and
 * `packetBuffer` bytes.
 */
export function splitPacket(
  split: Split,
  type: number,
  packet: number,
  header: number,
  headerBuffer: number,
  packetBuffer: number,
): void {
  split.bytes = 0;
  split.separate = type === SPLIT || type === ALWAYS;
  split.length = 0;
  split.found = false;
  split.overflow = false;
  if (type < SPLIT) return;
  const fits = header > 0 && header <= headerBuffer;
  if (type === ALWAYS && (packet <= headerBuffer || !fits)) {
    // The header buffer takes what it can, whatever it is.
    split.bytes = Math.min(packet, headerBuffer);
    split.found = packet > headerBuffer && header > 0;
    split.overflow = split.found;
    split.length = split.found ? header : split.bytes;
    return;
  }
  if (header === 0) return;
  if (type === REPLICATE_LARGE && packet <= packetBuffer) return;
  split.found = true;
  split.length = header;
  if (fits) split.bytes = header;
  else split.overflow = true;
}
