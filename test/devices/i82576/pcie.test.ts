// Offsets and bits from the datasheet's chapter 9 and the PCI Express Base Specification 5.0.
import { describe, expect, it } from "vitest";
import { I82576Device } from "../../../src/devices/i82576/index.ts";
import { makeRootPort } from "../../../src/pcie/index.ts";
import { PcieBench, RAM } from "../../pcie/bench.ts";
import { frameOf, PEER } from "./driver.ts";

const PF = "01:00.0";
const VF = ["01:10.0", "01:10.2", "01:10.4"] as const;
const CSR = 0x1000_0000;
const MSIX = 0x1002_0000;
const VF_CSR = 0x80_0000_0000;
const VF_MSIX = 0x80_0002_0000;

/** The device behind root port 00:01.0, with addresses given, bus master on. */
class Board extends PcieBench {
  readonly device: I82576Device;
  readonly sent: Uint8Array[] = [];

  constructor() {
    super();
    const port = makeRootPort(this.host, "rp", { arena: this.arena, root: this.host });
    this.host.bus.attach(port, 1);
    this.device = new I82576Device(this.host, "eth", { arena: this.arena, mac: Uint8Array.of(2, 0, 0, 0, 0, 1) });
    port.below.attach(this.device.function, 0);
    this.device.core.onTransmit = (frame) => void this.sent.push(frame);
    this.simulation.reset();
    this.setConfig("00:01.0", 0x18, 0x01_01_00);
    this.setConfig("00:01.0", 0x20, 0x100f_1000 & ~0xf);
    this.setConfig("00:01.0", 0x24, 0x00f1_0001);
    this.setConfig("00:01.0", 0x28, 0x80);
    this.setConfig("00:01.0", 0x2c, 0x80);
    this.setConfig("00:01.0", 0x20, 0x1000_1000);
    this.setConfig("00:01.0", 0x04, 7, 2);
    // ARI forwarding, Device Control 2 bit 5.
    this.setConfig("00:01.0", this.capability("00:01.0", 0x10) + 0x28, 0x20, 2);
    this.setConfig(PF, 0x10, CSR);
    this.setConfig(PF, 0x1c, MSIX);
    this.setConfig(PF, 0x04, 6, 2);
  }

  /** Enables MSI-X of a function and points vector `vector` at the doorbell with data `data`. */
  vector(where: string, table: number, vector: number, data: number): void {
    this.write(table + 16 * vector, 0x0802_0040);
    this.write(table + 16 * vector + 4, 0);
    this.write(table + 16 * vector + 8, data);
    this.write(table + 16 * vector + 12, 0);
    this.setConfig(where, this.capability(where, 0x11) + 2, 0x8000, 2);
  }

  enableVfs(count: number): void {
    const at = this.extended(PF, 0x10);
    this.setConfig(PF, at + 0x24, 0x0000_0000);
    this.setConfig(PF, at + 0x28, 0x80);
    this.setConfig(PF, at + 0x30, 0x0002_0000);
    this.setConfig(PF, at + 0x34, 0x80);
    this.setConfig(PF, at + 0x10, count, 2);
    this.setConfig(PF, at + 8, 0x19, 2);
  }
}

describe("82576 on PCI Express (chapter 9)", () => {
  it("chapter 9: ids, class, revision; BAR 0 of 128 KiB, BAR 2 of 32 bytes of I/O, BAR 3 of 16 KiB", () => {
    const b = new Board();
    expect([b.config(PF, 0), b.config(PF, 8), b.config(PF, 0x2c)]).toEqual([0x10c9_8086, 0x0200_0001, 0xa03c_8086]);
    for (const at of [0x10, 0x18, 0x1c]) b.setConfig(PF, at, 0xffff_ffff);
    expect([0x10, 0x14, 0x18, 0x1c].map((at) => b.config(PF, at))).toEqual([0xfffe_0000, 0, 0xffff_ffe1, 0xffff_c000]);
  });

  it("chapter 9: power management at 40h, MSI at 50h, MSI-X at 70h with 25 vectors, PCIe at A0h with FLR", () => {
    const b = new Board();
    expect([1, 5, 0x11, 0x10].map((id) => b.capability(PF, id))).toEqual([0x40, 0x50, 0x70, 0xa0]);
    expect(b.config(PF, 0x72, 2) & 0x7ff).toBe(24);
    expect(b.config(PF, 0xa4) & 0x1000_0000).toBe(0x1000_0000);
    expect([1, 3, 0xe, 0x10].map((id) => b.extended(PF, id))).toEqual([0x100, 0x140, 0x150, 0x160]);
  });

  it("registers answer at BAR 0", () => {
    const b = new Board();
    expect(b.read(CSR + 8) & 0x8_0000).toBe(0x8_0000);
    // 8.13: DCA_ID has the bus in bits 15:8, the device in 7:3, the function in 2:0.
    expect(b.read(CSR + 0x5b70)).toBe(0x0100);
    expect(b.read(CSR + 0x5400)).toBe(2);
  });

  it("chapter 9: eight VFs of device id 10CAh at offset 80h with ARI, stride 2, with BARs 0 and 3", () => {
    const b = new Board();
    const at = b.extended(PF, 0x10);
    expect([b.config(PF, at + 0xc), b.config(PF, at + 0x18)]).toEqual([0x0008_0008, 0x10ca_0000]);
    b.enableVfs(3);
    expect(b.config(PF, at + 0x14)).toBe(0x0002_0080);
    expect(VF.map((w) => b.config(w, 8))).toEqual([0x0200_0001, 0x0200_0001, 0x0200_0001]);
    expect(b.read(CSR + 8) & 0x7_c000).toBe((3 << 14) | (1 << 18));
    expect([0, 1, 2].map((n) => b.read(VF_CSR + 0x4000 * n + 0xc40))).toEqual([0x40, 0x40, 0x40]);
  });

  it("a vector of the PF goes out as its message", () => {
    const b = new Board();
    b.vector(PF, MSIX, 3, 0x55);
    b.write(CSR + 0x1514, 0x10);
    b.write(CSR + 0x1524, 8);
    b.write(CSR + 0x1520, 8);
    expect(b.messages).toEqual([[0x0802_0040, 0x55]]);
  });

  it("a VF receives by its own DMA and its own vector; without its Bus Master Enable neither happens", () => {
    const b = new Board();
    b.enableVfs(2);
    const vf = VF_CSR + 0x4000;
    b.setConfig(VF[1], 4, 4, 2);
    b.vector(VF[1], VF_MSIX + 0x4000, 2, 0x66);
    b.write(CSR + 0x1514, 0x10);
    b.write(CSR + 0x5818, 3);
    b.write(CSR + 0x5ad4, 0x8900_2600);
    b.write(CSR + 0x0, 0x241);
    b.simulation.run(20_000_000_000);
    b.write(RAM, RAM + 0x1000);
    b.write(RAM + 0x10, RAM + 0x1800);
    b.write(vf + 0x2800, RAM);
    b.write(vf + 0x2808, 128);
    b.write(vf + 0x280c, 0x0200_0002);
    b.write(vf + 0x2828, 0x0200_0000);
    b.write(vf + 0x2818, 4);
    b.write(vf + 0x1700, 0x82);
    b.write(vf + 0x1524, 4);
    b.write(vf + 0x152c, 4);
    b.write(CSR + 0xc8c, 0xff);
    b.write(CSR + 0x100, 0x0400_8002);
    b.device.core.receive(frameOf("ffffffffffff", PEER, 0x88b5));
    expect(b.read(RAM + 8) & 3).toBe(3);
    expect(b.messages).toEqual([[0x0802_0040, 0x66]]);
    expect(b.errors).toEqual([]);
    b.setConfig(VF[1], 4, 0, 2);
    b.device.core.receive(frameOf("ffffffffffff", PEER, 0x88b5));
    expect(b.messages).toHaveLength(1);
    expect(b.errors.length).toBeGreaterThan(0);
    expect(b.errors.every((e) => e.kind === "dma")).toBe(true);
  });

  it("FLR of a VF resets its queues and tells the PF; FLR of the PF resets the port and takes the VFs away", () => {
    const b = new Board();
    b.enableVfs(2);
    b.write(CSR + 0xc88, 0xff);
    b.write(VF_CSR + 0x4000 + 0x2828, 0x0200_0000);
    b.setConfig(VF[1], b.capability(VF[1], 0x10) + 8, 0x8000, 2);
    expect([b.read(VF_CSR + 0x4000 + 0x2828), b.read(CSR + 0xc88)]).toEqual([0x1_0000, 2]);
    b.write(CSR + 0x100, 0x8002);
    b.setConfig(PF, 0xa8, 0x8000, 2);
    b.setConfig(PF, 0x10, CSR);
    b.setConfig(PF, 0x04, 6, 2);
    expect(b.read(CSR + 0x100)).toBe(0);
    expect(b.config(VF[0], 8)).toBe(0xffff_ffff);
    expect(b.read(CSR + 8) & 0x7_c000).toBe(0);
  });

  it("without MSI-X the interrupt is an MSI, or the pin", () => {
    const b = new Board();
    b.write(CSR + 0x1508, 4);
    b.write(CSR + 0x1504, 4);
    expect(b.config(PF, 6, 2) & 8).toBe(8);
    expect(b.read(CSR + 0x1500)).toBe(0x8000_0004);
    expect(b.config(PF, 6, 2) & 8).toBe(0);
    b.setConfig(PF, 0x54, 0x0802_0040);
    b.setConfig(PF, 0x5c, 0x77, 2);
    b.setConfig(PF, 0x52, 1, 2);
    b.write(CSR + 0x1504, 4);
    expect(b.messages).toEqual([[0x0802_0040, 0x77]]);
  });
});
