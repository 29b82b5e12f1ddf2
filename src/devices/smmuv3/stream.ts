/** What a device's DMA port is bound to: one stream's view of the bus through the SMMU. */
import {
  type DirectRegion,
  RESPONSE_TARGET_ERROR,
  SIZES_UP_TO_64,
  type Target,
  type Transaction,
} from "../../bus/index.ts";
import type { Smmuv3 } from "./smmuv3.ts";
import { ABORT, ATS_TRANSLATED, NORMAL, OK, PEEK, type Request } from "./translate.ts";

export interface StreamOptions {
  /**
   * Substream, privilege and instruction mark come from each transaction. Such a stream has no direct access. Otherwise accesses are of
   * data, without a substream.
   */
  readonly sideband?: boolean;
  /** Privilege of the accesses of a stream without `sideband`; false unless given, as of PCIe requests without a PASID. */
  readonly privileged?: boolean;
  /** Addresses were translated by ATS before. */
  readonly translated?: boolean;
}

const PAGE = 4096;

export class StreamTarget implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly streamId: number;
  readonly #smmu: Smmuv3;
  readonly #bus: Target;
  readonly #sideband: boolean;
  readonly #mode: number;
  readonly #request: Request;
  /**
   * Page and end of a block transfer's beat that was refused, and whether it was a write: what follows it in its page is the same request. Beats
   * that a port carries out itself are not seen here, hence the end.
   */
  #refusedPage = Number.NaN;
  #refusedTo = 0;
  #refusedWrite = false;

  constructor(smmu: Smmuv3, bus: Target, streamId: number, options: StreamOptions) {
    this.#smmu = smmu;
    this.#bus = bus;
    this.streamId = streamId;
    this.#sideband = options.sideband ?? false;
    this.#mode = options.translated ? ATS_TRANSLATED : NORMAL;
    this.#request = {
      streamId,
      substreamId: -1,
      address: 0,
      write: false,
      instruction: false,
      privileged: options.privileged ?? false,
    };
  }

  read(address: number, size: number, tx: Transaction): number {
    const status = this.#translate(address, size, false, tx);
    if (status === OK) return this.#bus.read(this.#smmu.output, size, tx);
    tx.high = 0;
    if (status === ABORT) tx.response = RESPONSE_TARGET_ERROR;
    return 0;
  }

  write(address: number, size: number, value: number, tx: Transaction): void {
    const status = this.#translate(address, size, true, tx);
    if (status === OK) this.#bus.write(this.#smmu.output, size, value, tx);
    else if (status === ABORT) tx.response = RESPONSE_TARGET_ERROR;
  }

  peek(address: number, size: number): number {
    return this.#smmu.translate(this.#asked(address, false), PEEK) === OK ? this.#bus.peek(this.#smmu.output, size) : 0;
  }

  poke(address: number, size: number, value: number): void {
    if (this.#smmu.translate(this.#asked(address, false), PEEK) === OK) this.#bus.poke(this.#smmu.output, size, value);
  }

  direct(address: number, write: boolean): DirectRegion | null {
    if (this.#sideband) return null;
    return this.#smmu.direct(this.#asked(address, write), this.#mode);
  }

  onInvalidate(listener: (address: number, length: number) => void): void {
    this.#smmu.onInvalidate(listener);
  }

  #asked(address: number, write: boolean): Request {
    const request = this.#request;
    request.address = address;
    request.write = write;
    return request;
  }

  #translate(address: number, size: number, write: boolean, tx: Transaction): number {
    const page = Math.floor(address / PAGE);
    if (tx.continued && page === this.#refusedPage && write === this.#refusedWrite && address === this.#refusedTo) {
      this.#refusedTo = address + size;
      return ABORT;
    }
    const request = this.#asked(address, write);
    if (this.#sideband) {
      request.substreamId = tx.substreamId;
      request.privileged = tx.exceptionLevel > 0;
      request.instruction = tx.instruction;
    }
    const status = this.#smmu.access(request, this.#mode);
    this.#refusedPage = status === ABORT ? page : Number.NaN;
    this.#refusedWrite = write;
    this.#refusedTo = address + size;
    return status;
  }
}
