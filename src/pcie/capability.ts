/** A capability: registers that a function has in its list of capabilities (clause 7.5.1.1.11) or of extended ones (7.6.2). */
import { type Field, ro } from "../registers/index.ts";
import type { PcieFunction } from "./function.ts";
import type { ConfigRegister, ResetKind } from "./space.ts";

export interface CapabilityPlace {
  /** Byte offset in configuration space; unless given the next free place that is a multiple of 4 (16 for MSI-X and the like is not asked). */
  readonly at?: number;
}

export abstract class Capability {
  /** Prefix of register names: "MSIX". */
  abstract readonly name: string;
  /** Capability id. */
  abstract readonly id: number;
  /** Bytes. */
  abstract readonly length: number;
  /** Extended capabilities live from 0x100 on and carry a version. */
  readonly extended: boolean = false;
  readonly version: number = 1;
  readonly at: number | undefined;
  #function: PcieFunction | null = null;
  /** Where the capability's own first double word is kept, once asked for. */
  #values: Int32Array | null = null;
  #headSlot = 0;

  constructor(place: CapabilityPlace = {}) {
    this.at = place.at;
  }

  /** The function that has this capability; a capability belongs to one function only. */
  get function(): PcieFunction {
    if (!this.#function) throw new Error(`capability ${this.name}: not part of a function yet`);
    return this.#function;
  }

  /** Called by the constructor of the function, before registers are compiled. */
  attach(owner: PcieFunction): void {
    if (this.#function) throw new Error(`capability ${this.name}: part of ${this.#function.fullName} already`);
    this.#function = owner;
  }

  /**
   * Fields of bits 31:16 of the first double word; id and pointer to the next capability are added.
   * Extended capabilities have none.
   */
  abstract readonly headFields: { readonly [name: string]: Field };
  readonly headClause: string = "7.5.1.1.11";
  /** Hooks, sticky bits of the first double word. */
  get head(): Pick<ConfigRegister, "hooks" | "sticky" | "keptByFlr"> {
    return {};
  }
  /** The double words after the first. */
  abstract registers(): { readonly [name: string]: ConfigRegister };

  /** Called once registers exist. */
  ready(): void {}
  /** Called after the registers were reset. */
  onReset(_kind: ResetKind): void {}
  /** Called after a snapshot was restored. */
  onRestore(): void {}

  /** The stored value of a register of this capability, as an int32. */
  protected get(register: string): number {
    const { config } = this.function;
    return config.bank.values[config.slot(register)] as number;
  }

  /** As `get` of the first double word, which interrupts ask for at every message. */
  protected get headWord(): number {
    return (this.#values ?? this.#findHead())[this.#headSlot] as number;
  }

  #findHead(): Int32Array {
    const { config } = this.function;
    this.#headSlot = config.slot(this.name);
    this.#values = config.bank.values;
    return this.#values;
  }

  protected set(register: string, value: number): void {
    const { config } = this.function;
    config.bank.values[config.slot(register)] = value;
  }
}

/** All registers of a capability, its first double word among them. */
export function registersOf(c: Capability, next: number): { readonly [name: string]: ConfigRegister } {
  const fields = c.extended
    ? {
        CapabilityID: ro([15, 0], "PCI Express Extended Capability ID", { reset: c.id }),
        CapabilityVersion: ro([19, 16], "Capability Version", { reset: c.version }),
        NextCapabilityOffset: ro([31, 20], "Next Capability Offset", { reset: next }),
      }
    : {
        CapabilityID: ro([7, 0], "Capability ID", { reset: c.id }),
        NextCapabilityPointer: ro([15, 8], "Next Capability Pointer", { reset: next }),
        ...c.headFields,
      };
  const head: ConfigRegister = {
    at: 0,
    title: `${c.name} capability header`,
    clause: c.extended ? "7.6.3" : c.headClause,
    fields,
    ...c.head,
  };
  return { [c.name]: head, ...c.registers() };
}
