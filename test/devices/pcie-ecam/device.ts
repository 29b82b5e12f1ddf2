import { PcieEcam } from "../../../src/devices/pcie-ecam/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export const buildEcam: DeviceFactory = (simulation) => {
  const module = new PcieEcam(simulation, "pcie");
  return { module, targets: [{ name: "ecam", target: module, size: 0x1000_0000 }] };
};
export const devices = { "pcie-ecam": buildEcam };
