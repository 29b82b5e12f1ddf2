/**
 * The arena: one WebAssembly memory a machine, in which guest RAM, decoded code and CPU contexts lie. Its 4 GiB are
 * address space, not memory: the host gives a page when it is first written. It never grows, so views stay good.
 */

export const ARENA_PAGE_SHIFT = 12;
const ARENA_BYTES = 0x1_0000_0000;
const WASM_PAGE = 0x1_0000;
const PAGE_COUNT = ARENA_BYTES / 4096;

/** Page flag: decoded code was made from this page; whoever writes to it must call `codeWritten`. */
export const PAGE_HAS_CODE = 1;

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Int32Array;
  readonly view: DataView;
  /** One byte of flags for each 4 KiB page of the arena; it lies in the arena itself, at `pageFlagsAt`. */
  readonly pageFlags: Uint8Array;
  readonly pageFlagsAt: number;
  /** 2 MiB that are never written: what untouched RAM reads as. */
  readonly zeroChunkAt: number;
  /** Told of writes to pages with decoded code that did not come from a CPU's own store. */
  onCodeWrite: ((address: number, length: number) => void) | null = null;
  #next = WASM_PAGE; // address 0 stays unused, so that 0 can mean "none"

  constructor() {
    const pages = ARENA_BYTES / WASM_PAGE;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer;
    this.bytes = new Uint8Array(buffer);
    this.halves = new Uint16Array(buffer);
    this.words = new Int32Array(buffer);
    this.view = new DataView(buffer);
    this.pageFlagsAt = this.allocate(PAGE_COUNT);
    this.pageFlags = new Uint8Array(buffer, this.pageFlagsAt, PAGE_COUNT);
    this.zeroChunkAt = this.allocate(CHUNK_BYTES, CHUNK_BYTES);
  }

  /** The address of `bytes` zero bytes, aligned to `align` (a power of two); -1 when the arena is full. */
  allocate(bytes: number, align = WASM_PAGE): number {
    const at = Math.ceil(this.#next / align) * align;
    if (at + bytes > ARENA_BYTES) return -1;
    this.#next = at + bytes;
    return at;
  }

  /** To be called after any write to `address`..`address + length` that went past the CPUs. */
  written(address: number, length: number): void {
    if (this.onCodeWrite === null || length <= 0) return;
    const last = (address + length - 1) / 4096;
    for (let page = Math.floor(address / 4096); page <= last; page++) {
      if (((this.pageFlags[page] as number) & PAGE_HAS_CODE) !== 0) {
        this.onCodeWrite(address, length);
        return;
      }
    }
  }

  /** As `written`, for the at most 8 bytes of one access that crosses no page. */
  writtenWord(address: number, length: number): void {
    if (((this.pageFlags[address >>> ARENA_PAGE_SHIFT] as number) & PAGE_HAS_CODE) !== 0) {
      this.onCodeWrite?.(address, length);
    }
  }
}

/** RAM takes arena memory in chunks of this size. */
export const CHUNK_BYTES = 0x20_0000;
