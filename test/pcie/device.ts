import type { Target } from "../../src/bus/index.ts";
import type { Simulation } from "../../src/sim/index.ts";
import type { DeviceFactory } from "../registers/harness.ts";
import { SwitchBench } from "./bench.ts";

/** The registers of the test function alone. */
export const buildTestFunction: DeviceFactory = (simulation) => {
  const bench = new SwitchBench(0, simulation);
  return {
    module: bench.integrated,
    targets: [{ name: "registers", target: bench.integrated.registers, size: 0x1000 }],
  };
};

/** Configuration space of one function as the bank that it is compiled into. */
export const buildEndpointConfig: DeviceFactory = (simulation) => {
  const bench = new SwitchBench(4, simulation);
  const { config } = bench.first.function;
  return { module: bench.host, targets: [{ name: "config", target: config.bank, size: 0x1000 }] };
};
export const buildRootPortConfig: DeviceFactory = (simulation) => {
  const bench = new SwitchBench(0, simulation);
  return { module: bench.host, targets: [{ name: "config", target: bench.rootPort.config.bank, size: 0x1000 }] };
};

/** Functions of the hierarchy: bus, device and function as routing id, and their name. */
const PLACES: readonly (readonly [name: string, routingId: number])[] = [
  ["hostBridge", 0x0000],
  ["rootPort", 0x0008],
  ["integrated", 0x0028],
  ["upstream", 0x0100],
  ["downstream0", 0x0200],
  ["downstream1", 0x0208],
  ["first", 0x0300],
  ["vf1", 0x0382],
  ["second", 0x0400],
  ["absent", 0x0410],
];

/** A hierarchy with a switch, SR-IOV and all BARs mapped: configuration space of each function, and some of what the windows show. */
export const buildHierarchy: DeviceFactory = (simulation: Simulation) => {
  const bench = new SwitchBench(4, simulation).enumerate();
  // ARI forwarding, then 2 VFs enabled with their memory, at 0x80_0008_0000.
  bench.setConfig("02:00.0", 0x90 + 0x28, 0x20, 2);
  const sriov = bench.extended("03:00.0", 0x10);
  bench.setConfig("03:00.0", sriov + 0x10, 2, 2);
  bench.setConfig("03:00.0", sriov + 0x24, 0x0008_0000);
  bench.setConfig("03:00.0", sriov + 0x28, 0x80);
  bench.setConfig("03:00.0", sriov + 0x08, 0x19, 2);
  const { memory, io } = bench.host.bus;
  const { ecam } = bench.host;
  return {
    module: bench.host,
    targets: [
      ...PLACES.map(([name, id]) => ({ name, target: shifted(ecam, id * 0x1000), size: 0x1000 })),
      { name: "firstBars", target: shifted(memory, 0x1000_0000), size: 0x2000 },
      { name: "integratedBars", target: shifted(memory, 0x1200_0000), size: 0x2000 },
      { name: "unclaimed", target: shifted(memory, 0x1010_4000), size: 0x1000 },
      { name: "vfs", target: shifted(memory, 0x80_0008_0000), size: 0x2000 },
      { name: "io", target: io, size: 0x6000 },
    ],
  };
};

function shifted(target: Target, base: number): Target {
  return {
    accessSizes: target.accessSizes,
    read: (offset, size, tx) => target.read(base + offset, size, tx),
    write: (offset, size, value, tx) => target.write(base + offset, size, value, tx),
    peek: (offset, size) => target.peek(base + offset, size),
    poke: (offset, size, value) => target.poke(base + offset, size, value),
  };
}

export const devices = { "pcie-test": buildTestFunction, pcie: buildHierarchy };
