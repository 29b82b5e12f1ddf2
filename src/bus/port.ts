/**
 * An initiator's port: the side-band that goes with its accesses, plain and block transfers, direct access to RAM. DMA goes
 * through a port, so that an IOMMU can stand between it and the bus: any `Target` may be what it is bound to.
 */
import type { Arena } from "./arena.ts";
import { type DirectRegion, RESPONSE_OK, type Target, Transaction } from "./transaction.ts";

const NOWHERE: DirectRegion = { start: 1, end: 0, arenaAt: 0, writable: false };

export class Port {
  /** Side-band of every access through this port; the initiator sets its fields. */
  readonly transaction = new Transaction();
  readonly #target: Target;
  readonly #arena: Arena;
  #readable: DirectRegion = NOWHERE;
  #writable: DirectRegion = NOWHERE;

  constructor(target: Target, arena: Arena) {
    this.#target = target;
    this.#arena = arena;
    target.onInvalidate?.((address, length) => {
      if (address < this.#readable.end && this.#readable.start < address + length) this.#readable = NOWHERE;
      if (address < this.#writable.end && this.#writable.start < address + length) this.#writable = NOWHERE;
    });
  }

  /** Answer of the last access: RESPONSE_*. */
  get response(): number {
    return this.transaction.response;
  }
  /** High word of the last 64-bit read; to be set before a 64-bit write. */
  get high(): number {
    return this.transaction.high;
  }
  set high(value: number) {
    this.transaction.high = value;
  }

  /** Reads 1, 2, 4 or 8 bytes, little-endian; the result is the low word. */
  read(address: number, size: number): number {
    const tx = this.transaction;
    tx.response = RESPONSE_OK;
    let region = this.#readable;
    if (address < region.start || address + size > region.end) {
      const found = this.#target.direct?.(address, false);
      if (!found || address + size > found.end) return this.#target.read(address, size, tx);
      region = found;
      this.#readable = found;
    }
    const at = region.arenaAt + (address - region.start);
    if (size === 4) return this.#arena.view.getUint32(at, true);
    if (size === 1) return this.#arena.bytes[at] as number;
    if (size === 2) return this.#arena.view.getUint16(at, true);
    tx.high = this.#arena.view.getUint32(at + 4, true);
    return this.#arena.view.getUint32(at, true);
  }

  /** Writes 1, 2, 4 or 8 bytes, little-endian; for 8, `high` holds the high word. */
  write(address: number, size: number, value: number): void {
    const tx = this.transaction;
    tx.response = RESPONSE_OK;
    let region = this.#writable;
    if (address < region.start || address + size > region.end) {
      const found = this.#target.direct?.(address, true);
      if (!found?.writable || address + size > found.end) {
        this.#target.write(address, size, value, tx);
        return;
      }
      region = found;
      this.#writable = found;
    }
    const at = region.arenaAt + (address - region.start);
    const { view, bytes } = this.#arena;
    if (size === 4) view.setUint32(at, value, true);
    else if (size === 1) bytes[at] = value;
    else if (size === 2) view.setUint16(at, value, true);
    else {
      view.setUint32(at, value, true);
      view.setUint32(at + 4, tx.high, true);
    }
    this.#arena.written(at, size);
  }

  /** Fills `into` from `address` on. False where some part was refused; that part reads as zero. */
  readBlock(address: number, into: Uint8Array): boolean {
    return this.#block(address, into, false);
  }

  /** Writes `from` to `address` on. False where some part was refused. */
  writeBlock(address: number, from: Uint8Array): boolean {
    return this.#block(address, from, true);
  }

  #block(address: number, data: Uint8Array, write: boolean): boolean {
    const tx = this.transaction;
    let good = true;
    for (let done = 0; done < data.length; ) {
      const at = address + done;
      const region = this.#target.direct?.(at, write);
      if (region && (!write || region.writable)) {
        const n = Math.min(region.end - at, data.length - done);
        const arenaAt = region.arenaAt + (at - region.start);
        if (write) {
          this.#arena.bytes.set(data.subarray(done, done + n), arenaAt);
          this.#arena.written(arenaAt, n);
        } else data.set(this.#arena.bytes.subarray(arenaAt, arenaAt + n), done);
        done += n;
        continue;
      }
      const word = at % 4 === 0 && data.length - done >= 4;
      const n = word ? 4 : 1;
      tx.response = RESPONSE_OK;
      if (write) {
        const value = word ? le32(data, done) : (data[done] as number);
        this.#target.write(at, n, value, tx);
      } else {
        const value = this.#target.read(at, n, tx);
        for (let i = 0; i < n; i++) data[done + i] = tx.response === RESPONSE_OK ? (value >>> (8 * i)) & 0xff : 0;
      }
      if (tx.response !== RESPONSE_OK) good = false;
      done += n;
    }
    return good;
  }
}

function le32(data: Uint8Array, at: number): number {
  return (
    ((data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24)) >>>
    0
  );
}
