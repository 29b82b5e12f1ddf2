/**
 * virtio block device (Virtual I/O Device Version 1.2, clause 5.2). Requests complete at once, in order, unless a latency is
 * given. Modelled: read, write, flush, get id, discard and write zeroes; a cache that the driver may switch to write-through. Not modelled: multi-queue,
 * zoned devices, secure erase.
 */
import {
  type Event,
  type Module,
  type Simulation,
  SnapshotError,
  type StatePart,
  type StateRecord,
  type StateValue,
  type Time,
} from "../../sim/index.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { type BlockStore, OverlayStore, SECTOR_BYTES, StoreError } from "./overlay-store.ts";
import { type Chain, lengthOf, type Virtqueue } from "./queue.ts";

export interface VirtioBlockOptions extends VirtioOptions {
  readonly store: BlockStore;
  /** Answer to GET_ID, up to 20 bytes. */
  readonly serial?: string;
  /** Time from notification to completion; 0 unless given. */
  readonly latency?: Time;
  /** After reset the cache is write-back: what is written is stable after a flush. True unless given. */
  readonly writeCache?: boolean;
  /** Offer CONFIG_WCE: the driver may switch that. True unless given. */
  readonly cacheControl?: boolean;
}

const F_SEG_MAX = 2;
const F_RO = 5;
const F_BLK_SIZE = 6;
const F_FLUSH = 9;
const F_CONFIG_WCE = 11;
const F_DISCARD = 13;
const F_WRITE_ZEROES = 14;

const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const T_DISCARD = 11;
const T_WRITE_ZEROES = 13;

const S_OK = 0;
const S_IOERR = 1;
const S_UNSUPP = 2;

const QUEUE_SIZE = 256;
const SEG_MAX = QUEUE_SIZE - 2;
/** Sectors of one discard or write-zeroes segment, at most. */
const RANGE_MAX = 0x3fffff;
/** Place of `writeback` in the configuration. */
const WRITEBACK = 32;
/** Bytes moved at a time, so that a guest's length bounds no allocation. */
const PIECE = 0x1_0000;

/** What a snapshot says of the medium: one of another size is not the disk that the guest knows. */
class Medium implements StatePart {
  readonly #sectors: number;
  constructor(sectors: number) {
    this.#sectors = sectors;
  }
  save(): StateValue {
    return this.#sectors;
  }
  load(value: StateValue, path: string): void {
    if (value !== this.#sectors)
      throw new SnapshotError(`${path}: a disk of ${String(value)} sectors; here ${this.#sectors}`);
  }
  reset(): void {}
}

export class VirtioBlock extends VirtioDevice {
  override readonly stateVersion = 2;
  readonly deviceId = 2;
  readonly configurationBytes = 60;
  protected readonly ownFeatures: number;
  readonly #store: BlockStore;
  readonly #serial: Uint8Array;
  readonly #latency: Time;
  readonly #due: Event;
  readonly #writeCache: boolean;
  /** What the driver has written to `writeback`, -1 for nothing. */
  readonly #cache: { writeback: number };
  readonly #configuration = new Uint8Array(60);

  constructor(parent: Module | Simulation, name: string, options: VirtioBlockOptions) {
    super(parent, name, options, [QUEUE_SIZE]);
    this.#store = options.store;
    if (options.store instanceof OverlayStore) this.part("overlay", options.store);
    this.part("medium", new Medium(options.store.sectors));
    this.#serial = new TextEncoder().encode(options.serial ?? "").slice(0, 20);
    this.#latency = options.latency ?? 0;
    this.#due = this.event("due", () => this.#work());
    this.#writeCache = options.writeCache ?? true;
    this.#cache = this.state({ writeback: -1 }, "cache");
    this.ownFeatures =
      (1 << F_SEG_MAX) |
      (1 << F_BLK_SIZE) |
      (1 << F_FLUSH) |
      (options.cacheControl === false ? 0 : 1 << F_CONFIG_WCE) |
      (options.store.readOnly ? 1 << F_RO : (1 << F_DISCARD) | (1 << F_WRITE_ZEROES));
    const view = new DataView(this.#configuration.buffer);
    const { sectors } = options.store;
    view.setUint32(0, sectors % 2 ** 32, true);
    view.setUint32(4, Math.floor(sectors / 2 ** 32), true);
    view.setUint32(12, SEG_MAX, true);
    view.setUint32(20, SECTOR_BYTES, true);
    view.setUint32(36, RANGE_MAX, true); // max_discard_sectors
    view.setUint32(40, 1, true); // max_discard_seg
    view.setUint32(44, 1, true); // discard_sector_alignment
    view.setUint32(48, RANGE_MAX, true); // max_write_zeroes_sectors
    view.setUint32(52, 1, true); // max_write_zeroes_seg
  }

  configurationByte(offset: number): number {
    return offset === WRITEBACK ? this.#writeback : (this.#configuration[offset] ?? 0);
  }

  /** 5.2.5: the driver may switch the cache; on the legacy interface before it has accepted the feature, too. */
  override writeConfiguration(offset: number, size: number, value: number): void {
    const may = this.legacy ? (this.ownFeatures & (1 << F_CONFIG_WCE)) !== 0 : this.accepted(F_CONFIG_WCE);
    if (offset === WRITEBACK && size === 1 && value <= 1 && may) this.#cache.writeback = value;
    else super.writeConfiguration(offset, size, value);
  }

  get #writeback(): number {
    const { writeback } = this.#cache;
    if (writeback >= 0) return writeback;
    // A driver that cannot flush begins with write-through (5.2.5.2).
    const unflushed = !this.legacy && this.accepted(F_CONFIG_WCE) && !this.accepted(F_FLUSH);
    return this.#writeCache && !unflushed ? 1 : 0;
  }

  /** What is written must be stable when the request is done (5.2.6.2). */
  get #writeThrough(): boolean {
    return this.accepted(F_CONFIG_WCE) ? this.#writeback === 0 : !this.accepted(F_FLUSH);
  }

  protected serve(_queue: Virtqueue): void {
    if (this.#latency === 0) this.#work();
    else if (!this.#due.pending) this.#due.notify(this.#latency);
  }

  protected override stopped(): void {
    this.#due.cancel();
    this.#cache.writeback = -1;
  }

  #work(): void {
    const queue = this.queues[0] as Virtqueue;
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) queue.push(chain, this.#request(queue, chain));
    this.flush(queue);
  }

  /** Carries out one request; the number of bytes written into the chain. */
  #request(queue: Virtqueue, chain: Chain): number {
    const header = new Uint8Array(16);
    const room = lengthOf(chain.writable);
    if (queue.read(chain, header) < 16 || room === 0) {
      this.guestError({ kind: "value", detail: "request without header or status byte", clause: "VIRTIO 1.2 5.2.6" });
      this.needsReset();
      return 0;
    }
    const view = new DataView(header.buffer);
    const type = view.getUint32(0, true);
    const sector = view.getUint32(12, true) * 2 ** 32 + view.getUint32(8, true);
    const payload = room - 1;
    let status = S_UNSUPP;
    let filled = 0;
    try {
      if (type === T_IN) {
        status = this.#move(queue, chain, sector, payload, false);
        filled = status === S_OK ? payload : 0;
      } else if (type === T_OUT) {
        status = this.#move(queue, chain, sector, lengthOf(chain.readable) - 16, true);
      } else if (type === T_FLUSH) {
        this.#store.flush();
        status = S_OK;
      } else if (type === T_GET_ID) {
        const id = new Uint8Array(20);
        id.set(this.#serial);
        filled = queue.write(chain, id.subarray(0, Math.min(20, payload)));
        status = S_OK;
      } else if (type === T_DISCARD || type === T_WRITE_ZEROES) {
        status = this.#zero(queue, chain, type === T_DISCARD);
      } else {
        this.guestError({ kind: "value", value: type, detail: "unknown request type", clause: "VIRTIO 1.2 5.2.6" });
      }
      if (status === S_OK && (type === T_OUT || type === T_DISCARD || type === T_WRITE_ZEROES) && this.#writeThrough) {
        this.#store.flush();
      }
    } catch (error) {
      // The host's medium failed, the guest did nothing wrong.
      if (!(error instanceof StoreError)) throw error;
      status = S_IOERR;
      filled = 0;
    }
    queue.write(chain, new Uint8Array([status]), payload);
    return filled + 1;
  }

  #move(queue: Virtqueue, chain: Chain, sector: number, bytes: number, write: boolean): number {
    if (
      bytes % SECTOR_BYTES !== 0 ||
      sector + bytes / SECTOR_BYTES > this.#store.sectors ||
      (write && this.#store.readOnly)
    ) {
      this.guestError({
        kind: "value",
        detail: `request of ${bytes} bytes at sector ${sector} is beyond the device or read-only`,
      });
      return S_IOERR;
    }
    const piece = new Uint8Array(Math.min(PIECE, bytes));
    for (let done = 0; done < bytes; done += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, bytes - done));
      const at = sector + done / SECTOR_BYTES;
      if (write) {
        queue.read(chain, part, 16 + done);
        this.#store.write(at, part);
      } else {
        this.#store.read(at, part);
        queue.write(chain, part, done);
      }
    }
    return S_OK;
  }

  /** Discard and write zeroes (5.2.6.2): one segment, and of the flags only "unmap", for write zeroes. Both write zeroes. */
  #zero(queue: Virtqueue, chain: Chain, discard: boolean): number {
    const range = new Uint8Array(16);
    if (lengthOf(chain.readable) !== 32 || queue.read(chain, range, 16) < 16) return S_IOERR;
    const view = new DataView(range.buffer);
    const sector = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
    const count = view.getUint32(8, true);
    const flags = view.getUint32(12, true);
    if ((flags & ~(discard ? 0 : 1)) !== 0) return S_UNSUPP;
    if (this.#store.readOnly || count > RANGE_MAX || sector + count > this.#store.sectors) return S_IOERR;
    const zeros = new Uint8Array(PIECE);
    for (let done = 0; done < count; done += PIECE / SECTOR_BYTES) {
      this.#store.write(sector + done, zeros.subarray(0, Math.min(PIECE, (count - done) * SECTOR_BYTES)));
    }
    return S_OK;
  }

  protected override queueStopped(): void {
    this.#due.cancel();
  }

  /** Version 1 had no cache to switch. */
  protected override upgradeState(record: StateRecord, version: number): StateRecord {
    return version === 1 ? { ...record, cache: { writeback: -1 } } : super.upgradeState(record, version);
  }
}
