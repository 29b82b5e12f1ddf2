/** MSI (PCI Local Bus 3.0, clause 6.8.1; PCI Express Base 5.0, clauses 6.1.4 and 7.7.1). */
import type { Port } from "../../bus/index.ts";
import { type Field, ro, rw } from "../../registers/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { ConfigRegister } from "../space.ts";

export interface MsiOptions extends CapabilityPlace {
  /** 1, 2, 4, 8, 16 or 32; 1 unless given. */
  readonly vectors?: number;
  readonly address64?: boolean;
  readonly perVectorMasking?: boolean;
}

const ENABLE = 1 << 16;

export class Msi extends Capability {
  override readonly name = "MSI";
  override readonly id = 0x05;
  override readonly length: number;
  override readonly headClause = "7.7.1.2";
  override readonly headFields: { readonly [name: string]: Field };
  readonly #wide: boolean;
  readonly #masking: boolean;
  #port: Port | null = null;

  constructor(options: MsiOptions = {}) {
    super(options);
    const { vectors = 1, address64 = true, perVectorMasking = false } = options;
    this.#wide = address64;
    this.#masking = perVectorMasking;
    this.length = perVectorMasking ? (address64 ? 24 : 20) : address64 ? 14 : 10;
    this.headFields = {
      MSIEnable: rw(16, "MSI Enable"),
      MultipleMessageCapable: ro([19, 17], "Multiple Message Capable: vectors, as a power of two", {
        reset: Math.log2(vectors),
      }),
      MultipleMessageEnable: rw([22, 20], "Multiple Message Enable"),
      Address64Capable: ro(23, "64-bit Address Capable", { reset: address64 ? 1 : 0 }),
      PerVectorMaskingCapable: ro(24, "Per-Vector Masking Capable", { reset: perVectorMasking ? 1 : 0 }),
    };
  }

  override get head(): Pick<ConfigRegister, "hooks"> {
    return { hooks: { onWrite: () => this.#deliver() } };
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    const wide = this.#wide ? 4 : 0;
    const all = (title: string) => ({ Value: rw([31, 0] as const, title) });
    return {
      MSI_ADDRESS: {
        at: 4,
        title: "Message Address",
        clause: "7.7.1.3",
        fields: { Address: rw([31, 2], "Address bits 31:2") },
      },
      ...(this.#wide
        ? {
            MSI_ADDRESS_UPPER: {
              at: 8,
              title: "Message Upper Address",
              clause: "7.7.1.4",
              fields: all("Address bits 63:32"),
            },
          }
        : {}),
      MSI_DATA: { at: 8 + wide, title: "Message Data", clause: "7.7.1.5", fields: { Data: rw([15, 0], "Data") } },
      ...(this.#masking
        ? {
            MSI_MASK: {
              at: 12 + wide,
              title: "Mask Bits",
              clause: "7.7.1.7",
              hooks: { onWrite: () => this.#deliver() },
              fields: all("Vector n is masked"),
            },
            MSI_PENDING: {
              at: 16 + wide,
              title: "Pending Bits",
              clause: "7.7.1.8",
              fields: { Value: ro([31, 0], "Vector n waits") },
            },
          }
        : {}),
    };
  }

  override ready(): void {
    this.#port = this.function.makePort();
  }

  get enabled(): boolean {
    return (this.get("MSI") & ENABLE) !== 0;
  }
  /** How many vectors software has given, at most those that the function asks for. */
  get vectors(): number {
    const head = this.get("MSI");
    return 1 << Math.min((head >>> 20) & 7, (head >>> 17) & 7);
  }

  /** Sends vector `vector` (of those enabled the lower bits count, 6.1.4.1), or leaves it pending while masked. */
  raise(vector: number): void {
    if (!this.enabled) return;
    const v = vector & (this.vectors - 1);
    if (this.#masking && ((this.get("MSI_MASK") >>> v) & 1) !== 0) {
      this.set("MSI_PENDING", this.get("MSI_PENDING") | (1 << v));
      return;
    }
    this.#send(v);
  }

  #deliver(): void {
    if (!this.#masking || !this.enabled) return;
    const ready = this.get("MSI_PENDING") & ~this.get("MSI_MASK");
    this.set("MSI_PENDING", this.get("MSI_PENDING") & ~ready);
    for (let v = 0; v < this.vectors; v++) if (((ready >>> v) & 1) !== 0) this.#send(v);
  }

  #send(vector: number): void {
    const high = this.#wide ? this.get("MSI_ADDRESS_UPPER") >>> 0 : 0;
    const data = (this.get("MSI_DATA") & ~(this.vectors - 1)) | vector;
    this.#port?.write(high * 2 ** 32 + (this.get("MSI_ADDRESS") >>> 0), 4, data);
  }
}
