import { Arena, Memory, Port, Router, Transaction } from "../../../src/bus/index.ts";
import { FwCfg } from "../../../src/devices/fw-cfg/index.ts";
import type { Module, Simulation } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export const RAM_BASE = 0x4000_0000;
export const RAM_SIZE = 0x1_0000;
export const FW_CFG_BASE = 0x0902_0000;

/** fw_cfg on a bus with some RAM, as on the board. */
export function fwCfgOnBus(simulation: Simulation) {
  const arena = new Arena();
  const bus = new Router(simulation, "bus");
  const ram = new Memory(simulation, "ram", arena, { size: RAM_SIZE });
  const port = new Port(bus, arena);
  const fwCfg = new FwCfg(simulation, "fwcfg", { port, cpus: 4 });
  bus.map({ name: "ram", base: RAM_BASE, size: RAM_SIZE, target: ram });
  bus.map({ name: "fwcfg", base: FW_CFG_BASE, size: 0x18, target: fwCfg.registers });
  fwCfg.addFile("opt/writable", new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), { writable: true });
  return { arena, bus, ram, fwCfg };
}

function big(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

export const buildFwCfg: DeviceFactory = (simulation) => {
  const { fwCfg, ram } = fwCfgOnBus(simulation);
  const tx = new Transaction();
  return {
    module: fwCfg as Module,
    targets: [{ name: "registers", target: fwCfg.registers, size: 0x18 }],
    // DMA with descriptors of every kind, which random words hardly ever make.
    stimulate: (random) => {
      const place = random.below(RAM_SIZE / 64) * 64;
      const keys = [0, 1, 5, 0x19, 0x20, 0x22, 0x22, 0x3000, 0xc019];
      const control = ((keys[random.below(keys.length)] as number) << 16) | random.below(32);
      const to = random.below(8) === 0 ? random.uint32() : RAM_BASE + random.below(RAM_SIZE);
      const length = random.below(8) === 0 ? random.uint32() : random.below(20);
      ram.fill(place, new Uint8Array([...big(control), ...big(length), 0, 0, 0, 0, ...big(to)]));
      const at = random.below(16) === 0 ? FW_CFG_BASE + 4 * random.below(6) : RAM_BASE + place;
      const swapped = new DataView(big(at).buffer).getUint32(0, true);
      fwCfg.registers.write(0x14, 4, swapped, tx);
    },
  };
};
export const devices = { "fw-cfg": buildFwCfg };
