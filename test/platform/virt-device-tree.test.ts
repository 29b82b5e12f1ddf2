import { describe, expect, it } from "vitest";
import { completeDeviceTree, virtDeviceTree } from "../../platform/virt/device-tree.ts";
import { encodeFdt, findNode, parseFdt, type RawNode, toRaw } from "../../src/formats/index.ts";

const options = {
  cpus: 2,
  cpuCompatible: "arm,cortex-a57",
  memory: 0x4000_0000,
  virtualization: true,
  gicVirtualization: true,
  bootargs: "console=ttyAMA0",
  random: Array.from({ length: 10 }, (_, i) => i + 1),
};

function text(tree: RawNode, path: string, property: string): string | undefined {
  const value = findNode(tree, path)?.properties.get(property);
  return value && new TextDecoder().decode(value.subarray(0, -1));
}
function cells(tree: RawNode, path: string, property: string): number[] | undefined {
  const bytes = findNode(tree, path)?.properties.get(property);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i));
}

// Numbers below are those of QEMU 10's own virt tree (-M virt,gic-version=2,virtualization=on -smp 2 -m 1G, dumpdtb).
describe("device tree of virt", () => {
  const tree = toRaw(virtDeviceTree(options));

  it.each([
    ["/pl011@9000000", [0, 0x9000000, 0, 0x1000], [0, 1, 4], "arm,pl011\0arm,primecell"],
    ["/pl031@9010000", [0, 0x9010000, 0, 0x1000], [0, 2, 4], "arm,pl031\0arm,primecell"],
    ["/pl061@9030000", [0, 0x9030000, 0, 0x1000], [0, 7, 4], "arm,pl061\0arm,primecell"],
    ["/fw-cfg@9020000", [0, 0x9020000, 0, 0x18], undefined, "qemu,fw-cfg-mmio"],
    ["/virtio_mmio@a000000", [0, 0xa000000, 0, 0x200], [0, 16, 1], "virtio,mmio"],
    ["/virtio_mmio@a003e00", [0, 0xa003e00, 0, 0x200], [0, 47, 1], "virtio,mmio"],
    ["/flash@0", [0, 0, 0, 0x4000000, 0, 0x4000000, 0, 0x4000000], undefined, "cfi-flash"],
    ["/memory@40000000", [0, 0x40000000, 0, 0x40000000], undefined, undefined],
    ["/pcie@10000000", [0x40, 0x10000000, 0, 0x10000000], undefined, "pci-host-ecam-generic"],
    [
      "/intc@8000000",
      [0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0, 0x10000, 0, 0x8030000, 0, 0x10000, 0, 0x8040000, 0, 0x10000],
      [1, 9, 4],
      "arm,cortex-a15-gic",
    ],
    ["/intc@8000000/v2m@8020000", [0, 0x8020000, 0, 0x1000], undefined, "arm,gic-v2m-frame"],
    ["/timer", undefined, [1, 13, 0x304, 1, 14, 0x304, 1, 11, 0x304, 1, 10, 0x304], "arm,armv8-timer\0arm,armv7-timer"],
    // Ours: QEMU's virt has no SP804. It is a child of the platform bus, whose addresses start at 0xc000000.
    ["/platform-bus@c000000/timer@0", [0, 0x1000], [0, 112, 4, 0, 113, 4, 0, 114, 4], "arm,sp804\0arm,primecell"],
  ] as const)("%s", (path, reg, interrupts, compatible) => {
    expect(findNode(tree, path)).not.toBeNull();
    expect(cells(tree, path, "reg")).toEqual(reg);
    expect(cells(tree, path, "interrupts")).toEqual(interrupts);
    expect(text(tree, path, "compatible")).toBe(compatible);
  });

  it("PSCI goes by SMC where EL2 is the guest's, by HVC otherwise", () => {
    expect(text(tree, "/psci", "method")).toBe("smc");
    expect(text(toRaw(virtDeviceTree({ ...options, virtualization: false })), "/psci", "method")).toBe("hvc");
  });

  it("PCIe: windows and the swizzled interrupt map of QEMU's tree", () => {
    expect(cells(tree, "/pcie@10000000", "ranges")).toEqual([
      0x1000000, 0, 0, 0, 0x3eff0000, 0, 0x10000, 0x2000000, 0, 0x10000000, 0, 0x10000000, 0, 0x2eff0000, 0x3000000,
      0x80, 0, 0x80, 0, 0x80, 0,
    ]);
    const map = cells(tree, "/pcie@10000000", "interrupt-map") ?? [];
    const spis = Array.from({ length: 16 }, (_, i) => map[10 * i + 8]);
    expect(spis).toEqual([3, 4, 5, 6, 4, 5, 6, 3, 5, 6, 3, 4, 6, 3, 4, 5]);
  });

  it("SMMU: QEMU's node, and the PCIe bus behind it, where the machine has one", () => {
    expect(findNode(tree, "/smmuv3@9050000")).toBeNull();
    expect(cells(tree, "/pcie@10000000", "iommu-map")).toBeUndefined();
    const behind = toRaw(virtDeviceTree({ ...options, smmu: true }));
    const node = "/smmuv3@9050000";
    expect(text(behind, node, "compatible")).toBe("arm,smmu-v3");
    expect(text(behind, node, "interrupt-names")).toBe("eventq\0priq\0cmdq-sync\0gerror");
    expect(cells(behind, node, "reg")).toEqual([0, 0x9050000, 0, 0x20000]);
    expect(cells(behind, node, "interrupts")).toEqual([0, 74, 1, 0, 75, 1, 0, 76, 1, 0, 77, 1]);
    expect(cells(behind, node, "#iommu-cells")).toEqual([1]);
    const [phandle] = cells(behind, node, "phandle") ?? [];
    expect(cells(behind, "/pcie@10000000", "iommu-map")).toEqual([0, phandle, 0, 0x10000]);
  });

  it("each interrupt-parent, clock and cpu reference is the phandle of a node", () => {
    const handles = new Set<number>();
    const visit = (n: RawNode) => {
      const own = n.properties.get("phandle");
      if (own) handles.add(new DataView(own.buffer, own.byteOffset).getUint32(0));
      n.children.forEach(visit);
    };
    visit(tree);
    expect(handles.size).toBe(7);
    for (const [path, property] of [
      ["/", "interrupt-parent"],
      ["/pl011@9000000", "clocks"],
      ["/cpus/cpu-map/socket0/cluster0/core1", "cpu"],
    ] as const) {
      for (const handle of cells(tree, path, property) ?? [-1]) expect(handles).toContain(handle);
    }
  });

  it("bootargs and seeds are in /chosen; the same options give the same blob", () => {
    expect(text(tree, "/chosen", "bootargs")).toBe("console=ttyAMA0");
    expect(cells(tree, "/chosen", "rng-seed")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(encodeFdt(virtDeviceTree(options))).toEqual(encodeFdt(virtDeviceTree(options)));
  });

  it("a user's tree gets memory, bootargs and initrd and keeps the rest", () => {
    const own = parseFdt(
      encodeFdt({
        name: "",
        properties: { model: "mine" },
        children: [{ name: "chosen", properties: { a: [1] }, children: [] }],
      }),
      "own",
    );
    completeDeviceTree(own, { memory: 0x1000_0000, bootargs: "x", initrd: { start: 0x48000000, end: 0x48000010 } });
    expect(text(own, "/", "model")).toBe("mine");
    expect(cells(own, "/chosen", "a")).toEqual([1]);
    expect(text(own, "/chosen", "bootargs")).toBe("x");
    expect(cells(own, "/memory", "reg")).toEqual([0, 0x40000000, 0, 0x10000000]);
  });
});
