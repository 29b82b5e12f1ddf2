import { Pl031, type Pl031Options } from "../../../src/devices/pl031/index.ts";
import { SEC } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export function pl031With(options: Pl031Options): DeviceFactory {
  return (simulation) => {
    const module = new Pl031(simulation, "rtc", options);
    return { module, targets: [{ name: "registers", target: module.registers, size: 0x1000 }], longStep: 100 * SEC };
  };
}

export const buildPl031 = pl031With({});
export const devices = {
  pl031: buildPl031,
  "pl031-battery": pl031With({ base: 1_700_000_000 }),
};
