/** Capabilities of few registers: Subsystem IDs of bridges, Device Serial Number, ACS, ARI. */
import { type Field, ro, rw } from "../../registers/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { ConfigRegister } from "../space.ts";

/** Subsystem ID and Subsystem Vendor ID of a bridge (clause 7.9.24). */
export class SubsystemIds extends Capability {
  override readonly name = "SSVID";
  override readonly id = 0x0d;
  override readonly length = 8;
  override readonly headFields: { readonly [name: string]: Field } = {};
  readonly #ids: { readonly vendor: number; readonly device: number };

  constructor(ids: { readonly vendor: number; readonly device: number }, place: CapabilityPlace = {}) {
    super(place);
    this.#ids = ids;
  }
  override registers(): { readonly [name: string]: ConfigRegister } {
    return {
      SSVID_IDS: {
        at: 4,
        title: "Subsystem Vendor ID and Subsystem ID",
        clause: "7.9.24",
        fields: {
          SubsystemVendorID: ro([15, 0], "Subsystem Vendor ID", { reset: this.#ids.vendor }),
          SubsystemID: ro([31, 16], "Subsystem ID", { reset: this.#ids.device }),
        },
      },
    };
  }
}

/** Device Serial Number (clause 7.9.3). */
export class SerialNumber extends Capability {
  override readonly name = "DSN";
  override readonly id = 0x0003;
  override readonly extended = true;
  override readonly length = 12;
  override readonly headFields: { readonly [name: string]: Field } = {};
  readonly #words: readonly [low: number, high: number];

  /** An EUI-64 as two words of 32 bits. */
  constructor(low: number, high: number, place: CapabilityPlace = {}) {
    super(place);
    this.#words = [low >>> 0, high >>> 0];
  }
  override registers(): { readonly [name: string]: ConfigRegister } {
    const word = (at: number, reset: number, title: string): ConfigRegister => ({
      at,
      title,
      clause: "7.9.3.2",
      fields: { SerialNumber: ro([31, 0], title, { reset }) },
    });
    return {
      DSN_LOWER: word(4, this.#words[0], "Serial Number, lower double word"),
      DSN_UPPER: word(8, this.#words[1], "Serial Number, upper double word"),
    };
  }
}

const ACS_BITS: readonly (readonly [name: string, title: string, port: boolean])[] = [
  ["SourceValidation", "ACS Source Validation: requester ids are always right", true],
  ["TranslationBlocking", "ACS Translation Blocking: there are no translated requests", true],
  ["P2PRequestRedirect", "ACS P2P Request Redirect", true],
  ["P2PCompletionRedirect", "ACS P2P Completion Redirect: completions follow their requests", true],
  ["UpstreamForwarding", "ACS Upstream Forwarding", true],
  ["P2PEgressControl", "ACS P2P Egress Control", false],
  ["DirectTranslatedP2P", "ACS Direct Translated P2P", true],
];

/** Access Control Services (clauses 6.12 and 7.7.8). Of downstream ports the redirection of peer-to-peer requests has an effect. */
export class Acs extends Capability {
  override readonly name = "ACS";
  override readonly id = 0x000d;
  override readonly extended = true;
  override readonly length = 8;
  override readonly headFields: { readonly [name: string]: Field } = {};

  override registers(): { readonly [name: string]: ConfigRegister } {
    const fields: Record<string, Field> = {};
    ACS_BITS.forEach(([name, title, there], bit) => {
      fields[`${name}Capable`] = ro(bit, title, { reset: there ? 1 : 0 });
      if (there) fields[`${name}Enable`] = rw(16 + bit, `${title}: enable`);
    });
    return {
      ACS_CAPABILITY_CONTROL: {
        at: 4,
        title: "ACS Capability and ACS Control",
        clause: "7.7.8.2; 7.7.8.3",
        hooks: { onWrite: () => this.onChange?.() },
        fields,
      },
    };
  }
  /** Set by the port. */
  onChange: (() => void) | null = null;

  get redirectsRequests(): boolean {
    return (this.get("ACS_CAPABILITY_CONTROL") & (1 << 18)) !== 0;
  }
}

/** Alternative Routing-ID Interpretation (clauses 6.13 and 7.8.8). The next function is the next one that sits on the bus. */
export class Ari extends Capability {
  override readonly name = "ARI";
  override readonly id = 0x000e;
  override readonly extended = true;
  override readonly length = 8;
  override readonly headFields: { readonly [name: string]: Field } = {};

  override registers(): { readonly [name: string]: ConfigRegister } {
    return {
      ARI_CAPABILITY_CONTROL: {
        at: 4,
        title: "ARI Capability and ARI Control",
        clause: "7.8.8.2; 7.8.8.3",
        hooks: { get: () => this.#next() << 8 },
        fields: {
          MFVCFunctionGroupsCapability: ro(0, "MFVC Function Groups Capability"),
          ACSFunctionGroupsCapability: ro(1, "ACS Function Groups Capability"),
          NextFunctionNumber: ro([15, 8], "Next Function Number"),
        },
      },
    };
  }

  #next(): number {
    const { bus, devfn, isVirtual, device } = this.function;
    if (isVirtual) return 0;
    return bus?.functions.find((f) => f.devfn > devfn && f.device === device)?.devfn ?? 0;
  }
}
