/**
 * What a CPU did last, for reports to people: exceptions taken, and accesses to devices. A record of the past beside the machine, not part
 * of its state: neither saved nor hashed, and without influence on anything.
 */

/** An exception as it was taken. */
export interface TakenException {
  readonly time: number;
  readonly from: number;
  readonly to: number;
  /** Offset in the vector table: 0 synchronous, 0x80 IRQ, 0x100 FIQ, 0x180 SError. */
  readonly vector: number;
  /** ESR_ELx and FAR_ELx; only for synchronous ones and SError of meaning. */
  readonly syndrome: number;
  readonly returnHigh: number;
  readonly returnLow: number;
  readonly faultHigh: number;
  readonly faultLow: number;
}

/** An access that went over the bus. */
export interface BusAccess {
  readonly time: number;
  readonly write: boolean;
  readonly address: number;
  readonly size: number;
  /** Low word. */
  readonly value: number;
  /** RESPONSE_* of the bus. */
  readonly response: number;
  readonly pcHigh: number;
  readonly pcLow: number;
}

const KEPT = 16;
const EXCEPTION_CELLS = 9;
const ACCESS_CELLS = 8;

export class Recent {
  // interrupts apart, so that a ticking timer does not push out what went wrong
  readonly #synchronous = new Float64Array(KEPT * EXCEPTION_CELLS);
  #synchronousCount = 0;
  readonly #interrupts = new Float64Array(KEPT * EXCEPTION_CELLS);
  #interruptCount = 0;
  readonly #accesses = new Float64Array(KEPT * ACCESS_CELLS);
  #accessCount = 0;

  exception(
    time: number,
    from: number,
    to: number,
    vector: number,
    syndrome: number,
    returnHigh: number,
    returnLow: number,
    faultHigh: number,
    faultLow: number,
  ): void {
    const isInterrupt = (vector & 0x180) !== 0;
    const cells = isInterrupt ? this.#interrupts : this.#synchronous;
    const count = isInterrupt ? this.#interruptCount++ : this.#synchronousCount++;
    const at = (count % KEPT) * EXCEPTION_CELLS;
    cells[at] = time;
    cells[at + 1] = from;
    cells[at + 2] = to;
    cells[at + 3] = vector;
    cells[at + 4] = syndrome;
    cells[at + 5] = returnHigh;
    cells[at + 6] = returnLow;
    cells[at + 7] = faultHigh;
    cells[at + 8] = faultLow;
  }

  access(
    time: number,
    write: boolean,
    address: number,
    size: number,
    value: number,
    response: number,
    pcHigh: number,
    pcLow: number,
  ): void {
    const cells = this.#accesses;
    const at = (this.#accessCount++ % KEPT) * ACCESS_CELLS;
    cells[at] = time;
    cells[at + 1] = write ? 1 : 0;
    cells[at + 2] = address;
    cells[at + 3] = size;
    cells[at + 4] = value;
    cells[at + 5] = response;
    cells[at + 6] = pcHigh;
    cells[at + 7] = pcLow;
  }

  /** Synchronous ones, oldest first. */
  get exceptions(): TakenException[] {
    return taken(this.#synchronous, this.#synchronousCount);
  }
  /** IRQ, FIQ and SError, oldest first. */
  get interrupts(): TakenException[] {
    return taken(this.#interrupts, this.#interruptCount);
  }
  /** Oldest first. */
  get accesses(): BusAccess[] {
    return rows(this.#accesses, this.#accessCount, ACCESS_CELLS).map((c) => ({
      time: cell(c, 0),
      write: cell(c, 1) !== 0,
      address: cell(c, 2),
      size: cell(c, 3),
      value: cell(c, 4),
      response: cell(c, 5),
      pcHigh: cell(c, 6),
      pcLow: cell(c, 7),
    }));
  }
  clear(): void {
    this.#synchronousCount = 0;
    this.#interruptCount = 0;
    this.#accessCount = 0;
  }
}

function taken(cells: Float64Array, count: number): TakenException[] {
  return rows(cells, count, EXCEPTION_CELLS).map((c) => ({
    time: cell(c, 0),
    from: cell(c, 1),
    to: cell(c, 2),
    vector: cell(c, 3),
    syndrome: cell(c, 4),
    returnHigh: cell(c, 5),
    returnLow: cell(c, 6),
    faultHigh: cell(c, 7),
    faultLow: cell(c, 8),
  }));
}
function cell(row: Float64Array, index: number): number {
  return row[index] as number;
}
function rows(cells: Float64Array, count: number, width: number): Float64Array[] {
  const kept = Math.min(count, KEPT);
  return Array.from({ length: kept }, (_, i) => {
    const at = ((count - kept + i) % KEPT) * width;
    return cells.subarray(at, at + width);
  });
}
