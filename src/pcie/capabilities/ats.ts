/**
 * Address Translation Services (PCI Express Base 5.0, clause 10.5.1; 10.2, 10.3): a function asks the IOMMU for translations, keeps them in a cache of its own, and sends
 * requests with translated addresses. Entries stay until the IOMMU invalidates them, the function is reset, or others need their place. Translations are asked for a page of
 * 4 KiB at a time, without PASID; nothing is asked ahead. The smallest translation unit (STU) changes nothing, as pages here never are smaller.
 */
import { Port, type Target } from "../../bus/index.ts";
import { type Field, ro, rw } from "../../registers/index.ts";
import { Cells } from "../../sim/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { ConfigRegister, ResetKind } from "../space.ts";
import { UpstreamPath } from "../upstream.ts";

/** An IOMMU that answers translation requests. */
export interface TranslationAgent {
  /** What translated requests of a stream go to; the same stream gets the same target. */
  target(streamId: number, options: { readonly translated: true }): Target;
  translationRequest(request: {
    readonly streamId: number;
    readonly substreamId: number;
    readonly address: number;
    readonly write: boolean;
    readonly execute: boolean;
    readonly privileged: boolean;
  }):
    | { readonly status: "success"; readonly address: number; readonly read: boolean; readonly write: boolean }
    | { readonly status: "unsupported-request" | "completer-abort" };
  /** Says who answers invalidations of a stream. */
  attach(streamId: number, endpoint: AtsCache): void;
}

/** A function's cache as the IOMMU sees it. */
export interface AtsCache {
  invalidate(request: { readonly address: number; readonly bytes: number }): boolean;
  pageResponse(response: unknown): void;
}

const ENTRIES = 16;
const PAGE = 4096;
const ENABLE = 1 << 31;
const NOTHING = -1;
const WRITABLE = 2;
const CONTROL = "ATS_CAPABILITY_CONTROL";

export class Ats extends Capability implements AtsCache {
  override readonly name = "ATS";
  override readonly id = 0x000f;
  override readonly extended = true;
  override readonly length = 8;
  override readonly headFields: { readonly [name: string]: Field } = {};
  readonly #part = new Cells({
    /** Untranslated page, or -1. */
    pages: new Float64Array(ENTRIES).fill(NOTHING),
    outputs: new Float64Array(ENTRIES),
    /** Bit 0: readable, bit 1: writable. */
    rights: new Int32Array(ENTRIES),
    next: 0,
  });
  readonly #c = this.#part.cells;
  #path: UpstreamPath | null = null;
  #port: Port | null = null;
  #agent: TranslationAgent | null = null;

  constructor(place: CapabilityPlace = {}) {
    super(place);
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    const unit: Record<string, Field> = this.function.isVirtual
      ? { SmallestTranslationUnit: ro([20, 16], "Smallest Translation Unit: the PF's (9.3.7.8)") }
      : { SmallestTranslationUnit: rw([20, 16], "Smallest Translation Unit") };
    return {
      [CONTROL]: {
        at: 4,
        title: "ATS Capability and ATS Control",
        clause: "10.5.1.2; 10.5.1.3",
        hooks: {
          onWrite: (_written, _mask, before) => {
            // 10.3.1: what was cached is dropped when the cache is enabled.
            if (((this.get(CONTROL) ^ before) & ENABLE) !== 0) this.#empty();
          },
        },
        fields: {
          InvalidateQueueDepth: ro([4, 0], "Invalidate Queue Depth: 0 for 32"),
          PageAlignedRequest: ro(5, "Page Aligned Request", { reset: 1 }),
          GlobalInvalidateSupported: ro(6, "Global Invalidate Supported"),
          ...unit,
          Enable: rw(31, "Enable"),
        },
      },
    };
  }

  override ready(): void {
    const owner = this.function;
    owner.part("ats", this.#part);
    this.#path = new UpstreamPath(owner);
    this.#port = new Port(this.#path, owner.arena);
  }

  /** Called by the function when its way up has changed: `agent` is null where no translated request may leave. */
  update(agent: TranslationAgent | null): void {
    const { requesterId, bus } = this.function;
    this.#agent = agent;
    if (this.#port !== null) {
      this.#port.transaction.requesterId = requesterId;
      this.#port.transaction.streamId = requesterId;
    }
    this.#path?.update(agent?.target(requesterId, { translated: true }) ?? null, bus?.hops ?? []);
    agent?.attach(requesterId, this);
  }

  get enabled(): boolean {
    return (this.get(CONTROL) & ENABLE) !== 0;
  }

  /** Fills `into` by translated requests. False where some part has no translation or was refused. */
  readBlock(address: number, into: Uint8Array): boolean {
    return this.#transfer(address, into, false);
  }
  writeBlock(address: number, from: Uint8Array): boolean {
    return this.#transfer(address, from, true);
  }

  #transfer(address: number, data: Uint8Array, write: boolean): boolean {
    const port = this.#port as Port;
    for (let done = 0; done < data.length; ) {
      const at = address + done;
      const offset = at % PAGE;
      const n = Math.min(PAGE - offset, data.length - done);
      const page = this.#translate(at - offset, write);
      if (page === NOTHING) return false;
      const piece = data.subarray(done, done + n);
      if (!(write ? port.writeBlock(page + offset, piece) : port.readBlock(page + offset, piece))) return false;
      done += n;
    }
    return true;
  }

  /** The translated page, or -1. */
  #translate(page: number, write: boolean): number {
    const c = this.#c;
    const needed = write ? WRITABLE : 1;
    let place = c.pages.indexOf(page);
    if (place >= 0 && ((c.rights[place] as number) & needed) !== 0) return c.outputs[place] as number;
    const { requesterId: streamId } = this.function;
    const flags = { execute: false, privileged: false };
    const answer = this.#agent?.translationRequest({ streamId, substreamId: -1, address: page, write, ...flags });
    if (answer?.status !== "success") return NOTHING;
    const rights = (answer.read ? 1 : 0) | (answer.write ? WRITABLE : 0);
    if ((rights & needed) === 0) return NOTHING;
    if (place < 0) {
      place = c.next;
      c.next = (place + 1) % ENTRIES;
    }
    c.pages[place] = page;
    c.outputs[place] = answer.address;
    c.rights[place] = rights;
    return answer.address;
  }

  invalidate(request: { readonly address: number; readonly bytes: number }): boolean {
    const { pages } = this.#c;
    const { address, bytes } = request;
    for (let i = 0; i < ENTRIES; i++) {
      const page = pages[i] as number;
      if (page !== NOTHING && page < address + bytes && address < page + PAGE) pages[i] = NOTHING;
    }
    return true;
  }
  /** There are no page requests. */
  pageResponse(): void {}

  #empty(): void {
    this.#c.pages.fill(NOTHING);
  }

  override onReset(_kind: ResetKind): void {
    this.#empty();
  }
}
