import { Sp804 } from "../../../src/devices/sp804/index.ts";
import { SEC } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export const buildSp804: DeviceFactory = (simulation) => {
  const module = new Sp804(simulation, "timer0", { timclk: 24_000_000, timclken: [1, 3] });
  return { module, targets: [{ name: "registers", target: module.registers, size: 0x1000 }], longStep: 100 * SEC };
};
export const devices = { sp804: buildSp804 };
