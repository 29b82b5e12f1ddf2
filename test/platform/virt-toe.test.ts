/** The TOE on the board: docs/devices/toe.md 1.1, DMA of each interface confined by the SMMU (Arm IHI 0070). */
import { describe, expect, it } from "vitest";
import { createVirtMachine, type VirtMachine, type VirtOptions } from "../../platform/virt/machine.ts";
import { Transaction } from "../../src/bus/index.ts";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { findNode, InputError, parseFdt } from "../../src/formats/index.ts";

const code = new InterpreterCode();
const machine = (options: VirtOptions) => createVirtMachine({ code, ...options });
const MANAGEMENT = 0x0c80_0000;
const INTERFACE = (n: number) => 0x0c81_0000 + 0x1_0000 * n;
const SMMU = 0x0905_0000;
const RINGS = 0x4100_0000;
const STREAMS = 0x4200_0000;

function access(m: VirtMachine) {
  const tx = new Transaction();
  return {
    read: (address: number) => {
      tx.response = 0;
      const value = m.bus.read(address, 4, tx);
      return tx.response === 0 ? value : null;
    },
    write: (address: number, value: number) => m.bus.write(address, 4, value >>> 0, tx),
  };
}

/** Starts interface `n` and submits one NOP. */
function nop(m: VirtMachine, n: number): void {
  const { write } = access(m);
  const frame = INTERFACE(n);
  const base = RINGS + 0x1_0000 * n;
  write(MANAGEMENT + 0x1000 + 0x40 * n, 1);
  write(frame + 0x20, 2);
  write(frame + 0x80, base);
  write(frame + 0x88, 4);
  write(frame + 0xa0, base + 0x1000);
  write(frame + 0xa8, 4);
  write(frame + 0x44, 1);
  write(frame + 0x20, 1);
  write(frame + 0x8c, 1);
  m.simulation.run(m.simulation.now + 100_000);
}

describe("TOE on the virt board", () => {
  it("is absent unless asked for; then it has a frame for management and one for each interface", () => {
    expect(access(machine({})).read(MANAGEMENT)).toBeNull();
    const { read } = access(machine({ toe: { interfaces: 3 } }));
    expect([read(MANAGEMENT), read(MANAGEMENT + 8)]).toEqual([0x4d45_4f54, 3 | (8 << 8) | (16 << 16)]);
    expect([0, 1, 2].map((n) => [read(INTERFACE(n)), read(INTERFACE(n) + 8)])).toEqual(
      [0, 1, 2].map((n) => [0x4945_4f54, n]),
    );
    expect(read(INTERFACE(3))).toBeNull();
  });
  it("interfaces are 1 to 64", () => {
    expect(() => machine({ toe: { interfaces: 0 } })).toThrow(InputError);
    expect(() => machine({ toe: { interfaces: 65 } })).toThrow(InputError);
    expect(access(machine({ toe: { interfaces: 64 } })).read(INTERFACE(63) + 8)).toBe(63);
  });
  it("1.1: SPI 120 is management's, 121 + n interface n's", () => {
    const m = machine({ toe: { interfaces: 64 } });
    const { read, write } = access(m);
    const pending = (spi: number) => ((read(0x0800_0200 + 4 * ((spi + 32) >> 5)) ?? 0) >>> (spi & 31)) & 1;
    for (const n of [0, 7, 63]) {
      expect(pending(121 + n)).toBe(0);
      nop(m, n);
      expect(pending(121 + n)).toBe(1);
    }
    write(MANAGEMENT + 0x24, 1);
    m.toe?.network.setCarrier(false);
    expect(pending(120)).toBe(1);
  });
  it("1.1: the device tree has a node a frame, with its stream where there is an SMMU", () => {
    const tree = parseFdt(machine({ toe: { interfaces: 2 }, iommu: "smmuv3" }).deviceTree, "tree");
    const cells = (path: string, name: string) => {
      const data = findNode(tree, path)?.properties.get(name) as Uint8Array;
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      return Array.from({ length: data.length / 4 }, (_, i) => view.getUint32(4 * i));
    };
    expect(cells("/platform-bus@c000000/toe@800000", "interrupts")).toEqual([0, 120, 4]);
    expect(cells("/platform-bus@c000000/toe-interface@820000", "interrupts")).toEqual([0, 122, 4]);
    expect(cells("/platform-bus@c000000/toe-interface@820000", "reg")).toEqual([0x82_0000, 0x1_0000]);
    expect(cells("/platform-bus@c000000/toe-interface@820000", "iommus")[1]).toBe(0xff01);
    expect(findNode(parseFdt(machine({}).deviceTree, "tree"), "/platform-bus@c000000/toe@800000")).toBeNull();
  });
  it("an SMMU lets one interface's DMA through and stops another's: cause 2, and nobody else is disturbed", () => {
    const m = machine({ toe: { interfaces: 2 }, iommu: "smmuv3" });
    const { read, write } = access(m);
    // Linear stream table of 2^16 entries; 0xff00 bypasses (Config 0b100), 0xff01 aborts (Config 0b000).
    write(STREAMS + 64 * 0xff00, 9);
    write(STREAMS + 64 * 0xff01, 1);
    write(SMMU + 0x80, STREAMS);
    write(SMMU + 0x88, 16);
    write(SMMU + 0x20, 1);
    expect(read(SMMU + 0x24)).toBe(1);
    nop(m, 1);
    nop(m, 0);
    expect([read(INTERFACE(1) + 0x24), read(INTERFACE(1) + 0x28)]).toEqual([8 | 4 | 2, 2]);
    expect([read(INTERFACE(0) + 0x24), read(INTERFACE(0) + 0x28), read(INTERFACE(0) + 0x408)]).toEqual([
      8 | 2 | 1,
      0,
      1,
    ]);
    expect(read(RINGS + 0x1000 + 60)).toBe(0x0100_0000);
  });
});
