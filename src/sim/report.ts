/**
 * What a run tells its user beside the guest's own output. Three channels are kept apart: a guest's mistake and a limit of
 * the model are records on this reporter; a bug of ours is an exception. Call sites pass numbers; text is made in the sink.
 */
import type { Time } from "./time.ts";

export type GuestErrorKind =
  /** No target answers at this address. */
  | "decode"
  /** An access of a width or alignment that the register does not take. */
  | "width"
  /** A write to a read-only, or a read of a write-only, register. */
  | "access"
  /** An offset inside a device where the manual has no register. */
  | "reserved-offset"
  /** A reserved or inconsistent value. */
  | "value"
  /** A correct value at the wrong moment: sequence, ordering, a device not enabled. */
  | "sequence"
  /** DMA that was refused or went nowhere. */
  | "dma"
  /** Not the guest's fault: the model leaves this out; the record's detail says why. */
  | "unimplemented";

export interface GuestError {
  readonly kind: GuestErrorKind;
  /** Full name of the module that noticed. */
  readonly module: string;
  readonly time: Time;
  readonly register?: string;
  readonly offset?: number;
  readonly size?: number;
  readonly write?: boolean;
  readonly value?: number;
  readonly address?: number;
  /** Index of the CPU whose instruction caused it, with its program counter; absent for DMA and outside input. */
  readonly cpu?: number;
  readonly pc?: string;
  readonly requesterId?: number;
  /** The clause of the manual, e.g. "DDI 0183G 3.3.6". */
  readonly clause?: string;
  readonly detail?: string;
}

/** One access to a declared register, for traces. `value` is what was read or written, `before` what was stored. */
export interface RegisterAccess {
  readonly time: Time;
  readonly module: string;
  readonly register: string;
  readonly index: number;
  readonly offset: number;
  readonly size: number;
  readonly write: boolean;
  readonly value: number;
  readonly before: number;
  readonly after: number;
}

/** Who is acting right now; the CPU model installs itself here while it runs. */
export interface Initiator {
  readonly cpu: number;
  /** Program counter as "0x%016x", computed only when a record needs it. */
  pc(): string;
}

export interface Observer {
  guestError?(error: GuestError): void;
  registerAccess?(access: RegisterAccess): void;
}

export class Reporter {
  /** Guest errors and limits so far, by kind. */
  readonly counts: Partial<Record<GuestErrorKind, number>> = {};
  /** True while some observer wants register accesses: the one test that tracing costs when it is off. */
  tracing = false;
  #observers: readonly Observer[] = [];

  /** Returns the function that removes the observer again. */
  observe(observer: Observer): () => void {
    this.#set([...this.#observers, observer]);
    return () => this.#set(this.#observers.filter((o) => o !== observer));
  }

  guestError(error: GuestError): void {
    this.counts[error.kind] = (this.counts[error.kind] ?? 0) + 1;
    for (const o of this.#observers) o.guestError?.(error);
  }

  registerAccess(access: RegisterAccess): void {
    for (const o of this.#observers) o.registerAccess?.(access);
  }

  /** Guest errors proper: everything but limits of the model. */
  get guestErrors(): number {
    let sum = 0;
    for (const [kind, n] of Object.entries(this.counts)) if (kind !== "unimplemented") sum += n;
    return sum;
  }

  #set(observers: readonly Observer[]): void {
    this.#observers = observers;
    this.tracing = observers.some((o) => o.registerAccess !== undefined);
  }
}
