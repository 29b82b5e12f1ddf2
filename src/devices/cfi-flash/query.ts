/**
 * The CFI query structure (JEDEC JESD68.01; Intel primary extended table, version 1.0): one byte a device word, as a
 * device of the bank answers it. The figures are those of QEMU's `virt`, save that what the model can do is announced.
 */

export interface FlashGeometry {
  /** Bytes of the whole bank. */
  readonly size: number;
  /** Bytes of a sector of the bank. */
  readonly sectorSize: number;
  /** Bytes that the bank answers at once. */
  readonly bankWidth: number;
  /** Bytes that each of its devices contributes. */
  readonly deviceWidth: number;
}

/** Bytes of a device's program buffer, as a power of two. */
export const BUFFER_SHIFT = 11;

/** Optional functions, P + 5: suspend erase, suspend program, individual block locking. */
const FEATURES = 0x26;

export function cfiQuery(geometry: FlashGeometry): Uint8Array {
  const devices = geometry.bankWidth / geometry.deviceWidth;
  const blocks = geometry.size / geometry.sectorSize;
  const blockBytes = geometry.sectorSize / devices;
  const t = new Uint8Array(0x52);
  t.set([0x51, 0x52, 0x59], 0x10); // "QRY"
  t.set([0x01, 0x00], 0x13); // command set: Intel/Sharp extended
  t.set([0x31, 0x00], 0x15); // its table lies at word 0x31
  t.set([0x45, 0x55, 0x00, 0x00], 0x1b); // Vcc 4.5 V to 5.5 V, no Vpp pin
  t.set([0x07, 0x07, 0x0a, 0x00], 0x1f); // typical: 2^7 us a word, 2^7 us a buffer, 2^10 ms a block
  t.set([0x04, 0x04, 0x04, 0x00], 0x23); // at most 2^4 times typical
  t[0x27] = Math.log2(geometry.size / devices);
  t.set([0x02, 0x00], 0x28); // x8 and x16
  t.set([BUFFER_SHIFT, 0x00], 0x2a);
  t[0x2c] = 1; // one erase region
  t.set([(blocks - 1) & 0xff, (blocks - 1) >> 8], 0x2d);
  t.set([(blockBytes >> 8) & 0xff, blockBytes >> 16], 0x2f);
  t.set([0x50, 0x52, 0x49, 0x31, 0x30], 0x31); // "PRI10"
  t[0x36] = FEATURES;
  t[0x3a] = 0x01; // program is possible while an erase is suspended
  t[0x3b] = 0x01; // block status register: lock bit
  t[0x3f] = 0x01; // one protection field, of zero size
  return t;
}
