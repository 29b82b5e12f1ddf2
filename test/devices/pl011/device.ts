import { Pl011, type Pl011Options } from "../../../src/devices/pl011/index.ts";
import { MS } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

/** A UART among people who type, unplug cables and run a DMA controller. */
export function pl011With(options: Pl011Options): DeviceFactory {
  return (simulation) => {
    const module = new Pl011(simulation, "uart0", options);
    const inputs = [
      module.nUARTCTS,
      module.nUARTDSR,
      module.nUARTDCD,
      module.nUARTRI,
      module.UARTRXDMACLR,
      module.UARTTXDMACLR,
    ];
    return {
      module,
      targets: [{ name: "registers", target: module.registers, size: 0x1000 }],
      stimulate: (random) => {
        if (random.below(4) === 0) inputs[random.below(inputs.length)]?.(random.below(2) === 0);
        else module.receive(random.below(256), random.below(4) === 0 ? random.below(8) : 0);
      },
      longStep: 50 * MS,
    };
  };
}

export const buildPl011 = pl011With({});
export const devices = {
  pl011: buildPl011,
  "pl011-immediate": pl011With({ pacing: "immediate", unconfigured: "enabled" }),
};
