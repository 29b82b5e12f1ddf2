/**
 * PCI Power Management capability (PCI Bus Power Management 1.2; PCI Express Base 5.0, clauses 5.3 and 7.5.2). States D0 and
 * D3hot; writes of D1 or D2, which no function here has, are ignored (7.5.2.2).
 */
import { type Field, ro, rw, w1c } from "../../registers/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { ConfigRegister } from "../space.ts";

export interface PowerManagementOptions extends CapabilityPlace {
  /** States in which PME can be raised: bit 0 D0, 3 D3hot, 4 D3cold. */
  readonly pmeSupport?: number;
  readonly deviceSpecificInitialization?: boolean;
  /** D3hot to D0 keeps the configuration; true unless given. */
  readonly noSoftReset?: boolean;
}

const PME_ENABLE = 1 << 8;
const PME_STATUS = 1 << 15;

export class PowerManagement extends Capability {
  override readonly name = "PM";
  override readonly id = 0x01;
  override readonly length = 8;
  override readonly headClause = "7.5.2.1";
  override readonly headFields: { readonly [name: string]: Field };
  readonly #noSoftReset: boolean;

  constructor(options: PowerManagementOptions = {}) {
    super(options);
    this.#noSoftReset = options.noSoftReset ?? true;
    this.headFields = {
      Version: ro([18, 16], "Version", { reset: 3 }),
      DSI: ro(21, "Device Specific Initialization", { reset: options.deviceSpecificInitialization ? 1 : 0 }),
      PMESupport: ro([31, 27], "PME_Support", { reset: options.pmeSupport ?? 0 }),
    };
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    return {
      PMCSR: {
        at: 4,
        title: "Power Management Control/Status",
        clause: "7.5.2.2",
        sticky: PME_STATUS | PME_ENABLE,
        hooks: { onWrite: (_written, _mask, before) => this.#written(before) },
        fields: {
          PowerState: rw([1, 0], "Power state", { values: { 0: "D0", 3: "D3hot" } }),
          NoSoftReset: ro(3, "No_Soft_Reset", { reset: this.#noSoftReset ? 1 : 0 }),
          PMEEnable: rw(8, "PME_En"),
          PMEStatus: w1c(15, "PME_Status"),
        },
      },
    };
  }

  #written(before: number): void {
    let now = this.get("PMCSR");
    const from = before & 3;
    const to = now & 3;
    if (to === 1 || to === 2) {
      now = (now & ~3) | from;
      this.set("PMCSR", now);
      this.function.guestError({
        kind: "value",
        register: "PMCSR",
        write: true,
        value: to,
        clause: "PCI Express Base 5.0 7.5.2.2",
        detail: `D${to} is not supported`,
      });
      return;
    }
    if (from === to) return;
    // Without No_Soft_Reset the way back to D0 ends uninitialized, as after a reset (5.3.1.4).
    if (to === 0 && !this.#noSoftReset) this.function.resetFunction("flr");
    this.function.update();
    this.function.onPowerState?.(to);
  }

  /** A power management event: status, and the message to the root port where software allows it (5.3.3). */
  raise(): void {
    const before = this.get("PMCSR");
    this.set("PMCSR", before | PME_STATUS);
    if ((before & PME_STATUS) === 0 && (before & PME_ENABLE) !== 0) this.function.sendPme(this.function.requesterId);
  }
}
