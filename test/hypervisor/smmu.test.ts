/** DMA of a device that is passed to a VM: by the VM's stage 2 tables, to its memory and nowhere else. */
import { describe, expect, it } from "vitest";
import { createVirtMachine } from "../../platform/virt/machine.ts";
import { Port } from "../../src/bus/index.ts";
import { addHypervisor } from "../../src/hypervisor/machine.ts";
import { code, program } from "./support/machine.ts";

const US = 10_000;

describe("streams of a VM", () => {
  const machine = createVirtMachine({ code, virtualization: true, iommu: "smmuv3", memory: 64 * 2 ** 20 });
  const hypervisor = addHypervisor(machine);
  const make = (name: string, stream: number) =>
    hypervisor.createVm({
      name,
      memory: 4 * 2 ** 20,
      vcpus: 1,
      psci: "hvc",
      regions: [],
      images: [{ address: 0x4000_0000, data: program(0x14000000).data }],
      entry: 0x4000_0000,
      x0: 0,
      streams: [stream],
    });
  const [a, b] = [make("a", 0x100), make("b", 0x101)];
  machine.reset();
  const { smmu } = machine;
  if (smmu === null) throw new Error("no SMMU");
  const port = (stream: number) => new Port(smmu.target(stream), machine.arena);
  for (const vm of [a, b]) hypervisor.request(vm, "start");
  machine.simulation.run(50 * US);

  it("each reaches its own VM's memory at the guest's addresses", () => {
    const [pa, pb] = [port(0x100), port(0x101)];
    pa.write(0x4010_0000, 4, 0x1111);
    pb.write(0x4010_0000, 4, 0x2222);
    expect([pa.response, pb.response]).toEqual([0, 0]);
    expect([a.peek(0x4010_0000), b.peek(0x4010_0000)]).toEqual([0x1111, 0x2222]);
    expect(a.cells.memory).not.toBe(b.cells.memory);
    expect(pa.read(0x4000_0000, 4)).toBe(0x14000000);
  });

  it("beyond a VM's memory, at trapped devices and for streams that are nobody's: refused", () => {
    for (const [stream, address] of [
      [0x100, 0x4040_0000],
      [0x100, 0x900_0000],
      [0x100, 0x800_0000],
      [0x102, 0x4010_0000],
      [0x000, 0x4010_0000],
    ] as const) {
      const p = port(stream);
      p.write(address, 4, 0xdead);
      expect(p.response).not.toBe(0);
    }
  });

  it("after the VM is destroyed its stream is refused; the other's goes on", () => {
    const pa = port(0x100);
    pa.write(0x4010_0000, 4, 0x3333);
    expect(pa.response).toBe(0);
    hypervisor.request(a, "destroy");
    machine.simulation.run(100 * US);
    expect(a.status).toBe("destroyed");
    pa.write(0x4010_0000, 4, 0x4444);
    expect(pa.response).not.toBe(0);
    const pb = port(0x101);
    expect([pb.read(0x4010_0000, 4), pb.response]).toEqual([0x2222, 0]);
  });
});
