/** The TOE as a PCIe function: docs/devices/toe.md 1.2. Configuration offsets from the PCI Express Base Specification 5.0. */
import { describe, expect, it } from "vitest";
import { ToeDevice } from "../../../src/devices/toe/index.ts";
import { makeRootPort } from "../../../src/pcie/index.ts";
import { MS } from "../../../src/sim/index.ts";
import { PcieBench, RAM } from "../../pcie/bench.ts";
import { FakeStack } from "./fake-stack.ts";

const PF = "01:00.0";
const BAR0 = 0x80_0000_0000;
const MSIX = 0x80_0100_0000;
const VF_BAR0 = 0x80_0200_0000;
const VF_MSIX = 0x80_0300_0000;

class Board extends PcieBench {
  readonly device: ToeDevice;

  constructor() {
    super();
    const port = makeRootPort(this.host, "rp", { arena: this.arena, root: this.host });
    this.host.bus.attach(port, 1);
    this.device = new ToeDevice(this.host, "toe", {
      arena: this.arena,
      mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
      interfaces: 4,
      makeStack: (parent, name, events) => new FakeStack(parent, name, events),
    });
    port.below.attach(this.device.function, 0);
    this.simulation.reset();
    this.setConfig("00:01.0", 0x18, 0x01_01_00);
    this.setConfig("00:01.0", 0x24, 0x0ff1_0001);
    this.setConfig("00:01.0", 0x28, 0x80);
    this.setConfig("00:01.0", 0x2c, 0x80);
    this.setConfig("00:01.0", 0x04, 7, 2);
    this.setConfig("00:01.0", this.capability("00:01.0", 0x10) + 0x28, 0x20, 2);
    for (const [at, address] of [
      [0x10, BAR0],
      [0x20, MSIX],
    ] as const) {
      this.setConfig(PF, at, address % 2 ** 32);
      this.setConfig(PF, at + 4, Math.floor(address / 2 ** 32));
    }
    this.setConfig(PF, 0x04, 6, 2);
  }
  vector(where: string, table: number, vector: number, data: number): void {
    this.write(table + 16 * vector, 0x0802_0040);
    this.write(table + 16 * vector + 4, 0);
    this.write(table + 16 * vector + 8, data);
    this.write(table + 16 * vector + 12, 0);
    this.setConfig(where, this.capability(where, 0x11) + 2, 0x8000, 2);
  }
  enableVfs(count: number): void {
    const at = this.extended(PF, 0x10);
    this.setConfig(PF, at + 0x24, VF_BAR0 % 2 ** 32);
    this.setConfig(PF, at + 0x28, 0x80);
    this.setConfig(PF, at + 0x34, VF_MSIX % 2 ** 32);
    this.setConfig(PF, at + 0x38, 0x80);
    this.setConfig(PF, at + 0x10, count, 2);
    this.setConfig(PF, at + 8, 0x19, 2);
  }
  /** Starts the interface whose frame is at `frame`, rings at `base`, and submits a NOP. */
  nop(frame: number, base: number): void {
    this.write(frame + 0x20, 2);
    this.write(frame + 0x80, base);
    this.write(frame + 0x88, 4);
    this.write(frame + 0xa0, base + 0x1000);
    this.write(frame + 0xa8, 4);
    this.write(frame + 0x44, 1);
    this.write(frame + 0x20, 1);
    this.write(frame + 0x8c, 1);
    this.simulation.run(this.simulation.now + MS);
  }
}

describe("physical function", () => {
  it("1.2: ids, class, and BAR 0 with all frames", () => {
    const b = new Board();
    expect(b.config(PF, 0, 4)).toBe(0x544f_1234);
    expect(b.config(PF, 8, 4) >>> 8).toBe(0x02_8000);
    expect(b.read(BAR0)).toBe(0x4d45_4f54);
    for (let n = 0; n < 4; n++)
      expect([b.read(BAR0 + 0x1_0000 * (n + 1)), b.read(BAR0 + 0x1_0000 * (n + 1) + 8)]).toEqual([0x4945_4f54, n]);
    expect(b.read(BAR0 + 0x5_0000)).toBe(0);
  });
  it("1.2: vector 1 + n is interface n's; vector 0 management's", () => {
    const b = new Board();
    b.vector(PF, MSIX, 0, 48);
    b.vector(PF, MSIX, 3, 51);
    b.write(BAR0 + 0x1000 + 0x40 * 2, 1);
    b.nop(BAR0 + 0x3_0000, RAM);
    expect(b.messages.map((m) => m[1])).toEqual([51]);
    b.write(BAR0 + 0x24, 3);
    b.device.core.network.setCarrier(false);
    expect(b.messages.map((m) => m[1])).toEqual([51, 48]);
  });
  it("1.2: without MSI-X the pin is the OR of all interrupts", () => {
    const b = new Board();
    b.write(BAR0 + 0x1000, 1);
    b.nop(BAR0 + 0x1_0000, RAM);
    expect(b.device.function.intx.level).toBe(true);
    b.write(BAR0 + 0x1_0040, 1);
    expect(b.device.function.intx.level).toBe(false);
  });
});

describe("virtual functions", () => {
  const VF2 = "01:10.2";
  it("1.2: VF n is interface n, with its own DMA and vector", () => {
    const b = new Board();
    b.enableVfs(4);
    expect(b.device.function.virtualAt(0x182)?.requesterId).toBe(0x182);
    b.write(BAR0 + 0x1000 + 0x40 * 2, 1);
    b.vector(VF2, VF_MSIX + 0x2_0000, 0, 60);
    // Bus Master Enable of the VF is clear: its rings cannot be read.
    b.nop(VF_BAR0 + 0x2_0000, RAM);
    expect(b.read(VF_BAR0 + 0x2_0028)).toBe(2);
    b.setConfig(VF2, 0x04, 4, 2);
    b.nop(VF_BAR0 + 0x2_0000, RAM);
    expect([b.read(VF_BAR0 + 0x2_0008), b.read(VF_BAR0 + 0x2_0028), b.messages.map((m) => m[1])]).toEqual([2, 0, [60]]);
    expect(b.device.port(2)).not.toBe(b.device.port(3));
    expect(b.device.port(2).transaction.requesterId).toBe(0x182);
  });
  it("1.2: disabling VFs resets their interfaces: the physical function does not go on with a VF's rings", () => {
    const b = new Board();
    b.enableVfs(4);
    b.write(BAR0 + 0x1000 + 0x40 * 2, 1);
    b.setConfig(VF2, 0x04, 4, 2);
    b.nop(VF_BAR0 + 0x2_0000, RAM);
    expect(b.read(BAR0 + 0x3_0024) & 1).toBe(1);
    b.setConfig(PF, b.extended(PF, 0x10) + 8, 0, 2);
    expect([b.read(BAR0 + 0x3_0024), b.read(BAR0 + 0x3_0080)]).toEqual([8 | 2, 0]);
  });
});
