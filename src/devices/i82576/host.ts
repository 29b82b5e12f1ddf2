/** What the 82576 needs from the bus it sits on; the PCIe functions give it, tests give their own. */
import type { Port } from "../../bus/index.ts";

/** The physical function among owners of queues and vectors; VFs are 0 to 7. */
export const PF = -1;

export interface Host {
  /** Bus, device and function of the PF as routed now. */
  readonly requesterId: number;
  /** DMA in the name of the PF or a VF. */
  port(owner: number): Port;
  /** MSI-X is enabled in the PF. */
  readonly messages: boolean;
  /** Sends MSI-X vector `vector` of the PF or a VF. */
  message(owner: number, vector: number): void;
  /** Clears a pending bit of the PF's or a VF's MSI-X table. */
  clearPending(owner: number, vector: number): void;
  /** Without MSI-X: an MSI where MSI is enabled (on rising levels), else the INTx pin. */
  level(asserted: boolean): void;
}
