/**
 * An initiator's port: the side-band that goes with its accesses, plain and block transfers, direct access to RAM. DMA goes
 * through a port, so that an IOMMU can stand between it and the bus: any `Target` may be what it is bound to.
 */
import type { Arena } from "./arena.ts";
import { type DirectRegion, RESPONSE_OK, RESPONSE_TARGET_ERROR, type Target, Transaction } from "./transaction.ts";

/** Bytes that are copied one by one. */
const SMALL = 32;
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

  /** Reads 1, 2, 4 or 8 bytes at any address, little-endian; the result is the low word. */
  read(address: number, size: number): number {
    const tx = this.transaction;
    tx.response = RESPONSE_OK;
    tx.delay = 0;
    const region = this.#readable;
    if (address < region.start || address + size > region.end) return this.#readElsewhere(address, size);
    return this.#load(region.arenaAt + (address - region.start), size);
  }

  /** Writes 1, 2, 4 or 8 bytes at any address, little-endian; for 8, `high` holds the high word. */
  write(address: number, size: number, value: number): void {
    const tx = this.transaction;
    tx.response = RESPONSE_OK;
    tx.delay = 0;
    const region = this.#writable;
    if (address < region.start || address + size > region.end) this.#writeElsewhere(address, size, value);
    else this.#store(region.arenaAt + (address - region.start), size, value);
  }

  /** Fills `into` from `address` on. False where some part was refused; that part reads as zero. */
  readBlock(address: number, into: Uint8Array): boolean {
    return this.#block(address, into, false);
  }

  /** Writes `from` to `address` on. False where some part was refused. */
  writeBlock(address: number, from: Uint8Array): boolean {
    return this.#block(address, from, true);
  }

  #load(at: number, size: number): number {
    const { view, bytes } = this.#arena;
    if (size === 4) return view.getUint32(at, true);
    if (size === 1) return bytes[at] as number;
    if (size === 2) return view.getUint16(at, true);
    this.transaction.high = view.getUint32(at + 4, true);
    return view.getUint32(at, true);
  }

  #store(at: number, size: number, value: number): void {
    const { view, bytes } = this.#arena;
    if (size === 4) view.setUint32(at, value, true);
    else if (size === 1) bytes[at] = value;
    else if (size === 2) view.setUint16(at, value, true);
    else {
      view.setUint32(at, value, true);
      view.setUint32(at + 4, this.transaction.high, true);
    }
    if ((at & 7) + size <= 8) this.#arena.writtenWord(at, size);
    else this.#arena.written(at, size);
  }

  #readElsewhere(address: number, size: number): number {
    const tx = this.transaction;
    const target = this.#target;
    if ((address & 7) + size > 8) return this.#readBytes(address, size);
    const found = target.direct?.(address, false);
    if (found && address + size <= found.end) {
      this.#readable = found;
      return this.#load(found.arenaAt + (address - found.start), size);
    }
    if ((target.accessSizes & size) !== 0) return target.read(address, size, tx);
    if (size !== 8) return this.#refuse();
    const low = target.read(address, 4, tx);
    const high = target.read(address + 4, 4, tx);
    tx.high = high;
    return low;
  }

  #writeElsewhere(address: number, size: number, value: number): void {
    const tx = this.transaction;
    const target = this.#target;
    if ((address & 7) + size > 8) {
      this.#writeBytes(address, size, value);
      return;
    }
    const found = target.direct?.(address, true);
    if (found?.writable && address + size <= found.end) {
      this.#writable = found;
      this.#store(found.arenaAt + (address - found.start), size, value);
    } else if ((target.accessSizes & size) !== 0) target.write(address, size, value, tx);
    else if (size !== 8) this.#refuse();
    else {
      const high = tx.high;
      target.write(address, 4, value, tx);
      target.write(address + 4, 4, high, tx);
      tx.high = high;
    }
  }

  /** An access that crosses eight aligned bytes, and perhaps the border of two targets: byte by byte. */
  #readBytes(address: number, size: number): number {
    const tx = this.transaction;
    let response = RESPONSE_OK;
    let low = 0;
    let high = 0;
    for (let i = 0; i < size; i++) {
      const byte = this.read(address + i, 1);
      if (tx.response !== RESPONSE_OK) response = tx.response;
      if (i < 4) low |= byte << (8 * i);
      else high |= byte << (8 * (i - 4));
    }
    tx.response = response;
    tx.high = high >>> 0;
    return low >>> 0;
  }

  #writeBytes(address: number, size: number, value: number): void {
    const tx = this.transaction;
    const high = tx.high;
    let response = RESPONSE_OK;
    for (let i = 0; i < size; i++) {
      this.write(address + i, 1, ((i < 4 ? value : high) >>> (8 * (i & 3))) & 0xff);
      if (tx.response !== RESPONSE_OK) response = tx.response;
    }
    tx.response = response;
    tx.high = high;
  }

  /** The target takes no access of this size. */
  #refuse(): number {
    this.transaction.response = RESPONSE_TARGET_ERROR;
    this.transaction.high = 0;
    return 0;
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
          // a view costs more than a descriptor's bytes
          const { bytes } = this.#arena;
          if (n <= SMALL) for (let i = 0; i < n; i++) bytes[arenaAt + i] = data[done + i] as number;
          else bytes.set(n === data.length ? data : data.subarray(done, done + n), arenaAt);
          this.#arena.written(arenaAt, n);
        } else data.set(this.#arena.bytes.subarray(arenaAt, arenaAt + n), done);
        done += n;
        continue;
      }
      const word = at % 4 === 0 && data.length - done >= 4;
      const n = word ? 4 : 1;
      tx.response = RESPONSE_OK;
      tx.delay = 0;
      tx.continued = done > 0;
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
    tx.continued = false;
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
