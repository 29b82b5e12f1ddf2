/** The PCIe functions that options ask for. A driver of `PCIE_DRIVERS` has its maker here. */
import type { PcieMade, PcieSlot } from "../../platform/virt/pcie.ts";
import { makeStack } from "../../platform/virt/toe.ts";
import { I82576Device } from "../devices/i82576/index.ts";
import { ToeDevice } from "../devices/toe/index.ts";
import { makeDownstreamPort, makeRootPort, makeUpstreamPort, type PcieHost, PcieTestFunction } from "../pcie/index.ts";
import type { HostNetworks } from "./net/networks.ts";
import type { PcieOption } from "./options/run-options.ts";

type Maker = (host: PcieHost, name: string, option: PcieOption, networks: HostNetworks) => PcieMade;

const MAKERS: { readonly [driver: string]: Maker } = {
  "pcie-root-port": (host, name, o) => makeRootPort(host, name, portOptions(host, o)),
  "x3130-upstream": (host, name, o) => makeUpstreamPort(host, name, portOptions(host, o)),
  "xio3130-downstream": (host, name, o) => makeDownstreamPort(host, name, portOptions(host, o)),
  igb: (host, name, o, networks) => {
    const mac = o.mac ?? Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
    const device = new I82576Device(host, name, {
      arena: host.arena,
      mac,
      multifunction: o.multifunction,
      // As on the card: function 1 of a slot is the chip's second port.
      portNumber: (o.functionNumber ?? 0) & 1,
    });
    if (o.network !== null) networks.connect(host.simulation, `${name}_network`, device.core, o.network);
    return device;
  },
  "toe-pci": (host, name, o, networks) => {
    const { interfaces } = o.numbers;
    const device = new ToeDevice(host, name, {
      arena: host.arena,
      makeStack,
      mac: o.mac ?? Uint8Array.of(0x52, 0x54, 0x00, 0x54, 0x4f, 0x00),
      multifunction: o.multifunction,
      ...(interfaces === undefined ? {} : { interfaces }),
    });
    if (o.network !== null) networks.connect(host.simulation, `${name}_network`, device.core, o.network);
    return device;
  },
  "pcie-test": (host, name, o) =>
    new PcieTestFunction(host, name, {
      arena: host.arena,
      vfs: o.numbers["vfs"] ?? 0,
      multifunction: o.multifunction,
    }),
};

function portOptions(host: PcieHost, o: PcieOption) {
  const { slot, port } = o.numbers;
  return {
    arena: host.arena,
    root: host,
    multifunction: o.multifunction,
    ...(slot === undefined ? {} : { slot }),
    ...(port === undefined ? {} : { portNumber: port }),
  };
}

/** Functions for the board, in the order of the options. */
export function pcieSlots(options: readonly PcieOption[], networks: HostNetworks): PcieSlot[] {
  return options.map((o) => {
    const make = MAKERS[o.driver];
    if (make === undefined) throw new Error(`no maker for PCIe device ${o.driver}`);
    return {
      name: o.name,
      ...(o.bus === undefined ? {} : { bus: o.bus }),
      ...(o.device === undefined ? {} : { device: o.device }),
      ...(o.functionNumber === undefined ? {} : { functionNumber: o.functionNumber }),
      make: (host, name) => make(host, name, o, networks),
    };
  });
}
