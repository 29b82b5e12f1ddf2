import { describe, expect, it } from "vitest";
import { planBoot } from "../../platform/virt/boot.ts";
import { findNode, InputError, parseFdt } from "../../src/formats/index.ts";

const board = {
  cpus: 1,
  cpuCompatible: "arm,cortex-a57",
  memory: 0x4000_0000,
  virtualization: false,
  gicVirtualization: false,
  random: Array.from({ length: 10 }, (_, i) => i),
};
const file = (name: string, data: Uint8Array) => ({ name, data });

/** An arm64 image header: text_offset 0, image_size. */
function image(bytes: number, imageBytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  const view = new DataView(data.buffer);
  view.setBigUint64(16, BigInt(imageBytes), true);
  view.setUint32(56, 0x644d5241, true);
  return data;
}

function cellsOf(blob: Uint8Array, path: string, property: string): number[] {
  const bytes = findNode(parseFdt(blob, "dt"), path)?.properties.get(property) ?? new Uint8Array();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i));
}

describe("placement of images (as QEMU's virt, hw/arm/boot.c)", () => {
  it("an arm64 image with text_offset 0 goes to RAM + 2 MiB, the initrd to RAM + 128 MiB, the tree to the next 2 MiB", () => {
    const plan = planBoot(
      { kernel: file("Image", image(4096, 0x2010000)), initrd: file("initrd", new Uint8Array(0x1fa639)), append: "hi" },
      board,
    );
    expect(plan.entry).toBe(0x4020_0000);
    expect(plan.blobs.map((b) => [b.name, b.address])).toEqual([
      ["Image", 0x4020_0000],
      ["initrd", 0x4800_0000],
      ["device tree", 0x4820_0000],
    ]);
    expect(plan.x0).toBe(0x4820_0000);
    expect(cellsOf(plan.deviceTree, "/chosen", "linux,initrd-start")).toEqual([0, 0x4800_0000]);
    expect(cellsOf(plan.deviceTree, "/chosen", "linux,initrd-end")).toEqual([0, 0x481f_a639]);
  });

  it("a flat binary goes to RAM + 0x80000", () => {
    expect(planBoot({ kernel: file("a.bin", new Uint8Array(64)) }, board).entry).toBe(0x4008_0000);
  });

  it("firmware starts at 0 with the tree at the start of RAM", () => {
    const plan = planBoot({ firmware: file("u-boot.bin", new Uint8Array(64)) }, board);
    expect(plan.entry).toBe(0);
    expect(plan.x0).toBe(0);
    expect(plan.blobs.map((b) => [b.name, b.address])).toEqual([["device tree", 0x4000_0000]]);
  });

  it("with 64 MiB of RAM the initrd goes to the middle", () => {
    const plan = planBoot(
      { kernel: file("Image", image(64, 0x100000)), initrd: file("initrd", new Uint8Array(4)) },
      { ...board, memory: 0x400_0000 },
    );
    expect(plan.blobs[1]?.address).toBe(0x4200_0000);
  });

  const refused: [string, Parameters<typeof planBoot>[0], string][] = [
    ["an empty kernel", { kernel: file("k", new Uint8Array()) }, "k: the file is empty"],
    ["an initrd alone", { initrd: file("i", new Uint8Array(4)) }, "i: an initrd needs a kernel"],
    [
      "a kernel beyond RAM",
      { kernel: file("Image", image(64, 0x8000_0000)) },
      "Image: needs 0x40200000 to 0xc01fffff; RAM is 0x40000000 to 0x7fffffff",
    ],
    [
      "too much firmware",
      { firmware: file("fw", new Uint8Array(0x400_0001)) },
      "fw: 67108865 bytes; flash bank 0 holds 67108864",
    ],
    [
      "a loader on top of the kernel",
      {
        kernel: file("k", new Uint8Array(64)),
        loaders: [{ image: file("x", new Uint8Array(8)), address: 0x4008_0010 }],
      },
      "x at 0x40080010 overlaps k at 0x40080000",
    ],
    [
      "a flat loader without address",
      { loaders: [{ image: file("x", new Uint8Array(8)) }] },
      "x: no ELF file, so addr= is needed",
    ],
    [
      "a loader into devices",
      { loaders: [{ image: file("x", new Uint8Array(8)), address: 0x900_0000 }] },
      "x: needs 0x9000000 to 0x9000007; RAM is",
    ],
  ];
  it.each(refused)("refuses %s", (_, options, message) => {
    expect(() => planBoot(options, board)).toThrow(InputError);
    expect(() => planBoot(options, board)).toThrow(message);
  });
});
