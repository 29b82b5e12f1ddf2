/** A guest that does what no sound guest does harms nobody but itself: it ends, or is stopped and reported, and its neighbour prints what it prints alone. */
import { describe, expect, it } from "vitest";
import { seeds } from "../support/soak.ts";
import { guests, image, program, vm } from "./support/machine.ts";

const two = image("vm-two.elf");
const wild = image("vm-wild.elf");
const scheduler = { options: { slice: 0.3 } };

const alone = guests({ scheduler, vms: [vm("victim", "trap")] }, [{ kernel: two }]);
alone.run(1);
const expected = alone.output(0);

describe("isolation", () => {
  it.each([
    ["ends by itself after random accesses, calls and traps", "trap", "seed=1 steps=40 end=0", "off", ""],
    ["the same with devices passed through", "pass", "seed=8 steps=40 end=0", "", ""],
    [
      "an exception whose vector is a hole",
      "trap",
      "seed=2 steps=12 end=1",
      "stopped",
      "aborts without end at 0xb000200",
    ],
    ["translation tables in a hole", "trap", "seed=3 steps=12 end=2", "stopped", "aborts without end at 0x"],
    ["code from a device", "trap", "seed=4 steps=12 end=3", "off", ""],
    ["an endless loop with interrupts masked", "trap", "seed=5 steps=12 end=4", "running", ""],
    ["faults at the vector without end", "pass", "seed=9 steps=12 end=5", "stopped", "faults without end"],
    ["vectors of random instructions", "trap", "seed=7 steps=12 end=6", "", ""],
    ["three thousand of them, storms of interrupts among them", "trap", "seed=1 steps=3000 end=0", "", ""],
  ] as const)("%s (%s)", (_what, mode, parameters, state, reason) => {
    const append = parameters.replaceAll(/(\w+)=/g, "wild.$1=");
    const g = guests({ scheduler, vms: [vm("victim", "trap"), vm("wild", mode, { append })] }, [
      { kernel: two },
      { kernel: wild },
    ]);
    g.run(0.045);
    expect(g.output(0)).toBe(expected);
    expect(g.vms[0]?.status).toBe("off");
    if (state !== "") expect(g.vms[1]?.status).toBe(state);
    expect(g.vms[1]?.cells.reason).toContain(reason);
  });

  it.each(seeds(4))("random words as code, seed %i", (seed) => {
    let x = seed * 0x9e37_79b9;
    const words = Array.from({ length: 4096 }, (_, n) => {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      return n === 0 ? 0xd503201f : x >>> 0; // NOP: the image has to begin with an instruction
    });
    const g = guests({ scheduler, vms: [vm("victim", "trap"), vm("random", "trap")] }, [
      { kernel: two },
      { kernel: program(...words) },
    ]);
    g.run(0.045);
    expect(g.output(0)).toBe(expected);
    expect(g.vms[0]?.status).toBe("off");
  });

  it("a VM for which no memory is left is stopped and reported", () => {
    const g = guests({ scheduler, machine: { memory: "16M" }, vms: [vm("victim", "trap"), vm("b", "trap")] }, [
      { kernel: two },
      { kernel: two },
    ]);
    g.run(0.045);
    expect([g.output(0), g.vms[1]?.status, g.vms[1]?.cells.reason]).toEqual([
      expected,
      "stopped",
      "no 8 MiB of memory are left",
    ]);
  });
});
