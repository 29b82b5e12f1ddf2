/** Ports as QEMU has them: its own root port, and the switch of Texas Instruments' XIO3130. Identities and capabilities are those. */
import type { Arena } from "../bus/index.ts";
import type { Module, Simulation } from "../sim/index.ts";
import { PcieBridge } from "./bridge.ts";
import type { PcieRoot } from "./bus.ts";
import { Aer } from "./capabilities/aer.ts";
import { Express } from "./capabilities/express.ts";
import { Msi } from "./capabilities/msi.ts";
import { Msix } from "./capabilities/msix.ts";
import { PowerManagement } from "./capabilities/power-management.ts";
import { Acs, SubsystemIds } from "./capabilities/small.ts";

export interface PortOptions {
  readonly arena: Arena;
  readonly root: PcieRoot;
  /** Physical slot number; 0 unless given. */
  readonly slot?: number;
  readonly multifunction?: boolean;
  readonly linkSpeed?: 1 | 2 | 3 | 4;
  readonly linkWidth?: number;
  readonly portNumber?: number;
}

const BRIDGE_CLASS = 0x06_0400;

/** `pcie-root-port`: 1b36:000c, MSI-X with one vector in BAR 0. */
export function makeRootPort(parent: Module | Simulation, name: string, o: PortOptions): PcieBridge {
  return new PcieBridge(parent, name, {
    title: "PCIe root port",
    arena: o.arena,
    root: o.root,
    vendorId: 0x1b36,
    deviceId: 0x000c,
    classCode: BRIDGE_CLASS,
    interruptPin: 1,
    multifunction: o.multifunction ?? false,
    bars: [{ index: 0, size: 0x1000, kind: "mem32" }],
    capabilities: [
      new Express({
        at: 0x54,
        type: "root-port",
        slot: o.slot ?? 0,
        linkSpeed: o.linkSpeed ?? 4,
        linkWidth: o.linkWidth ?? 32,
        portNumber: o.portNumber ?? 0,
      }),
      new Msix({ at: 0x48, vectors: 1, table: { bar: 0, offset: 0 }, pba: { bar: 0, offset: 0x800 } }),
      new SubsystemIds({ vendor: 0x1b36, device: 0 }, { at: 0x40 }),
      new PowerManagement({ at: 0x90 }),
      new Aer({ at: 0x100, rootPort: true }),
      new Acs({ at: 0x148 }),
    ],
  });
}

/** `x3130-upstream`: 104c:8232. */
export function makeUpstreamPort(parent: Module | Simulation, name: string, o: PortOptions): PcieBridge {
  return new PcieBridge(parent, name, {
    title: "PCIe switch, upstream port",
    arena: o.arena,
    root: o.root,
    vendorId: 0x104c,
    deviceId: 0x8232,
    revision: 2,
    classCode: BRIDGE_CLASS,
    multifunction: o.multifunction ?? false,
    capabilities: [
      new Express({ at: 0x90, type: "upstream", linkSpeed: o.linkSpeed ?? 1, linkWidth: o.linkWidth ?? 1 }),
      new SubsystemIds({ vendor: 0, device: 0 }, { at: 0x80 }),
      new Msi({ at: 0x70 }),
      new PowerManagement({ at: 0x50 }),
      new Aer({ at: 0x100 }),
    ],
  });
}

/** `xio3130-downstream`: 104c:8233; with ACS, which the real part lacks, so that peer-to-peer requests can be kept apart. */
export function makeDownstreamPort(parent: Module | Simulation, name: string, o: PortOptions): PcieBridge {
  return new PcieBridge(parent, name, {
    title: "PCIe switch, downstream port",
    arena: o.arena,
    root: o.root,
    vendorId: 0x104c,
    deviceId: 0x8233,
    revision: 1,
    classCode: BRIDGE_CLASS,
    multifunction: o.multifunction ?? false,
    capabilities: [
      new Express({
        at: 0x90,
        type: "downstream",
        slot: o.slot ?? 0,
        linkSpeed: o.linkSpeed ?? 1,
        linkWidth: o.linkWidth ?? 1,
        portNumber: o.portNumber ?? 0,
      }),
      new SubsystemIds({ vendor: 0, device: 0 }, { at: 0x80 }),
      new Msi({ at: 0x70 }),
      new PowerManagement({ at: 0x50 }),
      new Aer({ at: 0x100 }),
      new Acs({ at: 0x148 }),
    ],
  });
}
