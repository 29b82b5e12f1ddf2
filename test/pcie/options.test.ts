/** PCIe functions on the command line and on the board: QEMU's syntax, places, buses, what is refused in which words. */
import { describe, expect, it } from "vitest";
import { createVirtMachine, type VirtOptions } from "../../platform/virt/machine.ts";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { I82576Core } from "../../src/devices/i82576/index.ts";
import { findNode, parseFdt } from "../../src/formats/index.ts";
import { HostNetworks } from "../../src/host/net/networks.ts";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import type { RunOptions } from "../../src/host/options/run-options.ts";
import { pcieSlots } from "../../src/host/pcie.ts";

const code = new InterpreterCode();
const machine = (options: VirtOptions) => createVirtMachine({ code, ...options });

function parse(line: string): RunOptions {
  const words = line.split(" ").filter((w) => w !== "");
  const parsed = parseCommandLine(words, "qemu", { program: "armature-system-aarch64", version: "0" });
  if (parsed.kind !== "run") throw new Error(`text: ${parsed.text}`);
  return parsed.options;
}
const build = (line: string) => machine({ pcie: pcieSlots(parse(line).pcie, new HostNetworks()) });

const igbCores = (m: ReturnType<typeof machine>) =>
  [...m.simulation.modules.values()].filter((module) => module instanceof I82576Core);

describe("-device on the PCIe bus", () => {
  it("takes bus, hexadecimal addr, multifunction and the driver's own numbers", () => {
    const [port, test] = parse(
      "-device pcie-root-port,id=rp.0,bus=pcie.0,chassis=1,slot=3,addr=1f.7,multifunction=on -device pcie-test,bus=rp.0,vfs=4",
    ).pcie;
    expect(port).toMatchObject({
      driver: "pcie-root-port",
      device: 31,
      functionNumber: 7,
      multifunction: true,
      numbers: { slot: 3, chassis: 1 },
    });
    expect(port?.bus).toBeUndefined();
    expect(test).toMatchObject({ driver: "pcie-test", bus: port?.name, numbers: { vfs: 4 } });
  });

  it.each([
    ["-device pcie-test,addr=20", "addr=20: expected DEVICE.FUNCTION"],
    ["-device pcie-test,addr=1.8", "addr=1.8: expected DEVICE.FUNCTION"],
    ["-device pcie-test,vfs=65", '"65": expected a whole number from 0 to 64'],
    ["-device pcie-test,color=red", 'unknown parameter "color"'],
    ["-device pcie-root-port,id=a -device pcie-root-port,id=a", "there are two devices with id=a"],
    ["-M highmem=off -m 4G", "-M highmem=off: 4294967296 bytes of RAM: expected at most 3G"],
  ])("refuses %s", (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });

  it.each([
    ["-device pcie-test,bus=rp0", 'there is no PCIe bus "pci_rp0"'],
    ["-device pcie-test,addr=3 -device pcie-test,addr=3.1", "function 0 of device 3 on pcie.0 has no multifunction=on"],
    ["-device pcie-test,addr=0", "0.0 is taken by pcie.bridge"],
    ["-device pcie-root-port,id=rp0 -device pcie-test,bus=rp0,addr=1", "a port's link has device 0 only"],
    [
      "-device pcie-root-port,id=rp0 -device pcie-test,bus=rp0 -device pcie-test,bus=rp0",
      "every device number of pci_rp0 is taken",
    ],
  ])("the board refuses %s", (line, message) => {
    expect(() => build(line)).toThrow(message);
  });

  it("igb cards without mac= get QEMU's addresses in turn", () => {
    const list = parse("-device igb -device igb,mac=02:00:00:00:00:09 -device igb").pcie;
    expect(list.map((o) => [...(o.mac ?? [])])).toEqual([
      [0x52, 0x54, 0, 0x12, 0x34, 0x56],
      [2, 0, 0, 0, 0, 9],
      [0x52, 0x54, 0, 0x12, 0x34, 0x57],
    ]);
  });

  it("igb functions 0 and 1 of a slot are the two ports of a chip: LAN_ID, bits 3:2 of STATUS", () => {
    const m = build("-device igb,addr=3.0,multifunction=on -device igb,addr=3.1 -device igb,addr=4");
    expect(igbCores(m).map((core) => (core.status >>> 2) & 3)).toEqual([0, 1, 0]);
  });

  it("an igb card's line has the PHY's 1 Gb/s, to the outside too, unless the network says rate=", () => {
    const m = build(
      "-netdev user,id=a -netdev user,id=b,rate=100M -netdev user,id=c,rate=0 -netdev tap,id=d,ifname=t0 " +
        "-netdev tap,id=e,ifname=t1,rate=5G -device igb,netdev=a -device igb,netdev=b -device igb,netdev=c -device igb,netdev=d -device igb,netdev=e",
    );
    expect(igbCores(m).map((core) => core.lineRate)).toEqual([
      1_000_000_000, 100_000_000, 0, 1_000_000_000, 5_000_000_000,
    ]);
  });
});

const ECAM = 0x40_1000_0000;
const LOW_ECAM = 0x3f00_0000;

describe("PCIe on the virt board", () => {
  it("functions take the lowest free device number, or the one given", () => {
    const m = build(
      "-device pcie-test,multifunction=on -device pcie-root-port,id=rp,addr=1.1 -device pcie-test,addr=4 -device pcie-test",
    );
    const ids = (device: number, fn = 0) => m.bus.peek(ECAM + device * 0x8000 + fn * 0x1000, 4);
    expect(ids(0)).toBe(0x0008_1b36);
    expect(ids(1)).toBe(0x4152_1234);
    expect(ids(1, 1)).toBe(0x000c_1b36);
    expect([ids(2), ids(3), ids(4)]).toEqual([0x4152_1234, 0xffff_ffff, 0x4152_1234]);
  });

  it("configuration space at 0x40_1000_0000, or below 4 GiB for 16 buses; the tree says which", () => {
    const high = machine({});
    const low = machine({ highEcam: false, highMmio: false });
    expect([high.bus.peek(ECAM, 4), high.bus.find(LOW_ECAM)]).toEqual([0x0008_1b36, null]);
    expect([low.bus.peek(LOW_ECAM, 4), low.bus.find(ECAM)]).toEqual([0x0008_1b36, null]);
    expect(low.bus.find(0x80_0000_0000)).toBeNull();
    const words = (m: typeof low, property: string) => {
      const bytes = findNode(parseFdt(m.deviceTree, "tree"), "/pcie@10000000")?.properties.get(property);
      if (!bytes) throw new Error(`no ${property}`);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i));
    };
    expect(words(high, "reg")).toEqual([0x40, 0x1000_0000, 0, 0x1000_0000]);
    expect(words(high, "bus-range")).toEqual([0, 255]);
    expect(words(high, "ranges").length).toBe(21);
    expect(words(low, "reg")).toEqual([0, 0x3f00_0000, 0, 0x100_0000]);
    expect(words(low, "bus-range")).toEqual([0, 15]);
    expect(words(low, "ranges").length).toBe(14);
  });

  it("MSI-X of a function is an edge on an SPI of the GICv2m frame; INTA of device 1 is SPI 4", () => {
    const m = build("-device pcie-test,id=t");
    const tx = m.pcie.bridge.port.transaction;
    const config = ECAM + 0x8000;
    m.bus.write(config + 0x10, 4, 0x1000_0000, tx);
    m.bus.write(config + 0x20, 4, 0x1000_1000, tx);
    m.bus.write(config + 0x04, 2, 6, tx);
    // Distributor: SPI 60 (INTID 92) enabled and edge-triggered.
    m.bus.write(0x800_0000 + 0x104 + 4, 4, 1 << 28, tx);
    m.bus.write(0x800_0000 + 0xc00 + 20, 4, 2 << 24, tx);
    m.bus.write(0x1000_1000, 4, 0x0802_0040, tx);
    m.bus.write(0x1000_1008, 4, 92, tx);
    m.bus.write(0x1000_100c, 4, 0, tx);
    m.bus.write(config + 0x72, 2, 0x8000, tx);
    expect(m.bus.peek(0x800_0208, 4)).toBe(0);
    m.bus.write(0x1000_0030, 4, 0, tx);
    expect(m.bus.peek(0x800_0208, 4)).toBe(1 << 28);
    m.bus.write(config + 0x72, 2, 0, tx);
    m.bus.write(0x1000_0034, 4, 1, tx);
    // Level-sensitive SPI 4 is INTID 36.
    expect(m.bus.peek(0x800_0204, 4)).toBe(1 << 4);
  });
});
