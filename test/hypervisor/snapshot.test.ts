/** A machine with hypervisor and VMs is saved in the middle and goes on elsewhere as if nothing had been. */
import { describe, expect, it } from "vitest";
import { guests, image, vm } from "./support/machine.ts";

const kernel = image("vm-two.elf");
const SECOND = 10_000_000_000;
const make = () =>
  guests(
    {
      machine: { cpus: 2 },
      scheduler: { options: { slice: 1 } },
      // found, reset and given, though these guests do not look for them
      pci: { nic: { device: "igb", vfs: 2 }, dut: { device: "pcie-test" } },
      vms: [
        vm("a", "trap", { pci: [{ function: "nic", vf: 1 }] }),
        vm("b", "pass", { pci: [{ function: "nic", vf: 0 }, { function: "dut" }] }),
      ],
    },
    [{ kernel }, { kernel }],
  );

describe("snapshots of a machine with a hypervisor", () => {
  it.each([0.0021, 0.0123])("saved at %d s and restored into a new machine, it ends alike", (at) => {
    const first = make();
    first.machine.simulation.run(at * SECOND);
    const saved = structuredClone(first.machine.simulation.save());
    const before = [first.output(0), first.output(1)];
    first.run(1);

    const second = make();
    second.machine.simulation.load(saved);
    expect(second.vms.map((v) => v.status)).toEqual(["running", "running"]);
    second.run(1);
    expect([0, 1].map((n) => (before[n] ?? "") + second.output(n))).toEqual([0, 1].map((n) => first.output(n)));
    expect(second.machine.simulation.stateHash()).toBe(first.machine.simulation.stateHash());
  });
});
