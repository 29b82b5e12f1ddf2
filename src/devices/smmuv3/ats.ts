/** What PCIe functions and the SMMU say to each other by ATS and PRI (IHI 0070 3.9, chapter 8; PCIe Base 5.0, chapter 10). */

/** A function with an address translation cache. */
export interface AtsEndpoint {
  /** Drop cached translations of `bytes` from `address` on. False: no answer in time. */
  invalidate(request: AtsInvalidation): boolean;
  /** The answer to a page request group. */
  pageResponse(response: PageResponse): void;
}

export interface AtsInvalidation {
  /** -1 without. */
  readonly substreamId: number;
  /** Of all substreams. */
  readonly global: boolean;
  /** Aligned to `bytes`; below 0 it is the address 2^64 above. */
  readonly address: number;
  readonly bytes: number;
}

export type PageRequestResult = "success" | "invalid-request" | "failure";

export interface PageResponse {
  readonly substreamId: number;
  readonly group: number;
  readonly result: PageRequestResult;
}

export interface PageRequest {
  readonly streamId: number;
  /** -1 without. */
  readonly substreamId: number;
  readonly address: number;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  /** The last of its group: the one that is answered. */
  readonly last: boolean;
  /** 0 to 511. */
  readonly group: number;
}

export interface TranslationRequest {
  readonly streamId: number;
  readonly substreamId: number;
  readonly address: number;
  /** The function wants to write (NW = 0). */
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
}

export type TranslationCompletion =
  | {
      readonly status: "success";
      /** Start of the translated page; without any right the function may ask by PRI. */
      readonly address: number;
      readonly bytes: number;
      readonly read: boolean;
      readonly write: boolean;
      readonly execute: boolean;
      readonly global: boolean;
    }
  | { readonly status: "unsupported-request" | "completer-abort" };
