import { Gicv2m } from "../../../src/devices/gicv2m/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export const buildGicv2m: DeviceFactory = (simulation) => {
  const module = new Gicv2m(simulation, "gicv2m");
  return { module, targets: [{ name: "registers", target: module.registers, size: 0x1000 }] };
};
export const devices = { gicv2m: buildGicv2m };
