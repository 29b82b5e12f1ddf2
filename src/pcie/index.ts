export { type BarOverlay, BarSet, type BarSpec } from "./bars.ts";
export { type BusParent, PcieBus, type PcieRoot, type Request } from "./bus.ts";
export { Msi, type MsiOptions } from "./capabilities/msi.ts";
export { Msix, type MsixOptions } from "./capabilities/msix.ts";
export { PowerManagement, type PowerManagementOptions } from "./capabilities/power-management.ts";
export { Capability, type CapabilityPlace } from "./capability.ts";
export { type FunctionOptions, PcieFunction } from "./function.ts";
export { type BarKind, type BarShape, COMMAND, type Identity, STATUS } from "./header.ts";
export { type ConfigRegister, ConfigSpace, type Piece, type ResetKind } from "./space.ts";
