import { Arena, Memory, Port, Router } from "../../../src/bus/index.ts";
import { type VirtioDevice, VirtioEntropy, VirtioNetwork } from "../../../src/devices/virtio/index.ts";
import { VirtioMmio } from "../../../src/devices/virtio-mmio/index.ts";
import type { Simulation } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

/** 64 KiB of RAM, low, so that random ring addresses sometimes hit it. */
export function dmaPort(simulation: Simulation): Port {
  const arena = new Arena();
  const bus = new Router(simulation, "dma");
  bus.map({ name: "ram", base: 0, size: 0x1_0000, target: new Memory(simulation, "ram", arena, { size: 0x1_0000 }) });
  return new Port(bus, arena);
}

function slot(legacy: boolean, make: ((simulation: Simulation, port: Port) => VirtioDevice) | null): DeviceFactory {
  return (simulation) => {
    const device = make?.(simulation, dmaPort(simulation)) ?? null;
    const module = new VirtioMmio(simulation, "virtio0", { legacy, device });
    return { module, targets: [{ name: "registers", target: module.registers, size: 0x200 }] };
  };
}

const entropy = (simulation: Simulation, port: Port) => new VirtioEntropy(simulation, "rng", { port });
const network = (simulation: Simulation, port: Port) =>
  new VirtioNetwork(simulation, "net", { port, mac: Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56) });

export const buildEmpty = slot(true, null);
export const buildLegacy = slot(true, entropy);
export const buildModern = slot(false, entropy);
export const buildNetwork = slot(false, network);
export const devices = {
  "virtio-mmio-empty": buildEmpty,
  "virtio-mmio-legacy": buildLegacy,
  "virtio-mmio": buildModern,
  "virtio-mmio-network": buildNetwork,
};
