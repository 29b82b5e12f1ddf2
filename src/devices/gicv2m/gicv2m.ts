/**
 * GICv2m MSI frame (Arm DEN 0029 v2.2, appendix E), as QEMU's `virt` has it: one Non-secure frame. A write of an INTID
 * to MSI_SETSPI_NS is an edge on that SPI.
 *
 * Modelled: everything of the frame. There is no optional identification. A write of an INTID that is not the frame's
 * changes nothing and is recorded as a guest error. The SPI must be configured as edge-triggered in the GIC, else the
 * pulse leaves nothing behind.
 */
import { RegisterBank } from "../../registers/index.ts";
import { type Line, Module, type Simulation } from "../../sim/index.ts";
import { GICV2M } from "./registers.ts";

export interface Gicv2mOptions {
  /** The frame's first SPI, counted from 0; 48 (INTID 80) unless given. */
  readonly baseSpi?: number;
  /** How many SPIs; 64 unless given. */
  readonly spis?: number;
}

export class Gicv2m extends Module {
  readonly registers: RegisterBank<typeof GICV2M>;
  readonly baseSpi: number;
  /** Pulsed for MSIs: element n goes to the GIC's SPI `baseSpi` + n. */
  readonly spi: readonly Line[];

  constructor(parent: Module | Simulation, name: string, options: Gicv2mOptions = {}) {
    super(parent, name);
    const { baseSpi = 48, spis = 64 } = options;
    if (!(baseSpi >= 0 && spis >= 1 && baseSpi + spis <= 988)) {
      throw new RangeError(
        `${this.fullName}: SPIs ${baseSpi} to ${baseSpi + spis - 1}: expected 1 or more within 0 to 987`,
      );
    }
    this.baseSpi = baseSpi;
    this.spi = Array.from({ length: spis }, (_, n) => this.line(`spi${n}`));
    const first = 32 + baseSpi;
    this.registers = this.part(
      "registers",
      new RegisterBank(this, GICV2M, {
        MSI_TYPER: { get: () => (first << 16) | spis },
        MSI_SETSPI_NS: { onWrite: (written) => this.#set(written & 0x3ff) },
      }),
    );
  }

  #set(id: number): void {
    const line = this.spi[id - 32 - this.baseSpi];
    if (line !== undefined) line.pulse();
    else {
      this.guestError({
        kind: "value",
        register: "MSI_SETSPI_NS",
        write: true,
        value: id,
        clause: "Arm DEN 0029 E.7.2",
        detail: `INTID ${id} is not one of this frame's`,
      });
    }
  }
}
