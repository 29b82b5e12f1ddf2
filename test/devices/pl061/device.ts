import { Pl061 } from "../../../src/devices/pl061/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export const buildPl061: DeviceFactory = (simulation) => {
  const module = new Pl061(simulation, "gpio");
  return {
    module,
    targets: [{ name: "registers", target: module.registers, size: 0x1000 }],
    stimulate: (random) => {
      const pin = random.below(8);
      if (random.below(4) === 0) module.setAlternate(pin, random.below(2) === 0, random.below(2) === 0);
      else module.setPin(pin, random.below(2) === 0);
    },
  };
};
export const devices = { pl061: buildPl061 };
