/** A guest that writes anything anywhere into its PCIe functions harms nobody but itself; a machine with functions in use is saved and restored. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GuestProgram } from "../../src/hypervisor/abstract/index.ts";
import { MS, SEC } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";
import { guests, program, vm } from "./support/machine.ts";
import { BAR0, device, FRAME, pciSystem } from "./support/pci.ts";

const RAM = 0x4000_0000;
const MEMORY = 0x40_0000;

/** Copies by the test function's DMA, 20 times: how often the right word arrived. */
function copier(good: { count: number }): GuestProgram {
  return {
    name: "victim",
    *main(g) {
      const cfg = device(1);
      good.count = 0;
      yield g.store(cfg + 0x10, BAR0);
      yield g.store(cfg + 4, 6, 2);
      for (let n = 1; n <= 20; n++) {
        yield g.store(RAM + 0x10_0000, n);
        yield g.store(BAR0 + 0x10, RAM + 0x10_0000);
        yield g.store(BAR0 + 0x18, RAM + 0x20_0000 + 4 * n);
        yield g.store(BAR0 + 0x20, 4);
        yield g.store(BAR0 + 0x24, 1);
        if ((yield g.load(RAM + 0x20_0000 + 4 * n)) === n) good.count++;
        yield g.compute(5000);
      }
    },
  };
}

interface Wild {
  readonly write: boolean;
  readonly at: number;
  readonly size: 1 | 2 | 4;
  readonly value: number;
}

const aligned = (base: number, bytes: number) =>
  fc.tuple(fc.nat(bytes - 1), fc.constantFrom(1 as const, 2 as const, 4 as const)).map(([offset, size]) => ({
    at: base + offset - (offset % size),
    size,
  }));
const value = fc.oneof(
  fc.nat(0xffff_ffff),
  fc.constantFrom(0, 0xffff_ffff, 6, 0x8000, FRAME + 0x40, RAM + MEMORY, RAM),
  // places of BARs
  fc.nat(0x2eff).map((n) => BAR0 + n * 0x1_0000),
);
const wild: fc.Arbitrary<Wild> = fc
  .tuple(
    fc.boolean(),
    fc.oneof(
      // headers and capabilities, all of configuration space, the window's first BARs, the frame
      { weight: 6, arbitrary: aligned(device(1), 0x100) },
      { weight: 6, arbitrary: aligned(device(2), 0x100) },
      { weight: 1, arbitrary: aligned(device(0), 0x10_0000) },
      { weight: 6, arbitrary: aligned(BAR0, 0x4000) },
      { weight: 1, arbitrary: aligned(BAR0, 0x2eff_0000) },
      { weight: 1, arbitrary: aligned(FRAME, 0x1000) },
    ),
    value,
  )
  .map(([write, { at, size }, v]) => ({ write, at, size, value: v % 2 ** (8 * size) }));

describe("a hostile guest with PCIe functions", () => {
  it("ends, and its neighbour's function does what it should; all memory comes back", () => {
    check(
      fc.property(fc.array(wild, { minLength: 50, maxLength: 150 }), (steps) => {
        const good = { count: 0 };
        const system = pciSystem({
          nic: { device: "igb", vfs: 2 },
          a: { device: "pcie-test" },
          b: { device: "pcie-test" },
        });
        const victim = system.add(copier(good), [{ card: "a" }]);
        const attacker: GuestProgram = {
          name: "wild",
          *main(g) {
            // BARs in place to begin with: table and registers are worth hitting
            for (const [n, cfg] of [device(1), device(2)].entries()) {
              yield g.store(cfg + 0x10, BAR0 + 0x2000 * n);
              yield g.store(cfg + 0x20, n === 1 ? BAR0 + 0x1000 : 0);
              yield g.store(cfg + 4, 6, 2);
            }
            for (const step of steps) {
              if (step.write) yield g.store(step.at, step.value, step.size);
              else yield g.load(step.at, step.size);
            }
          },
        };
        const settings = { mac: Uint8Array.of(2, 0, 0, 0, 0, 1) };
        const vm = system.add(attacker, [{ card: "nic", vf: 1, settings }, { card: "b" }]);
        const { simulation } = system.machine;
        const { pool } = system.h.hypervisor.options;
        simulation.run(20 * MS);
        expect([victim.status, vm.status, good.count]).toEqual(["off", "off", 20]);
        for (const v of [victim, vm]) system.h.hypervisor.request(v, "destroy");
        simulation.run(40 * MS);
        expect([victim.status, vm.status]).toEqual(["destroyed", "destroyed"]);
        // the SMMU's tables stay
        expect(pool.size - pool.free).toBeLessThan(0x20_0000);
      }),
      { numRuns: 8, seed: 1 },
    );
  });
});

/** A program of stores, 4 bytes unless said, then the last `again` of them for ever. */
function stores(list: readonly (readonly [at: number, value: number, size?: 2])[], again: number) {
  const words: number[] = [];
  const move = (register: number, v: number) => {
    for (let half = 0; half < 3; half++) {
      const bits = Math.floor(v / 2 ** (16 * half)) & 0xffff;
      if (half === 0 || bits !== 0)
        words.push(((half === 0 ? 0xd280_0000 : 0xf280_0000) | (half << 21) | (bits << 5) | register) >>> 0);
    }
  };
  let loop = 0;
  list.forEach(([at, v, size], n) => {
    if (n === list.length - again) loop = words.length;
    move(1, at);
    move(2, v);
    // STR or STRH W2, [X1]
    words.push(((size === 2 ? 0x7900_0000 : 0xb900_0000) | (1 << 5) | 2) >>> 0);
  });
  words.push((0x1400_0000 | ((loop - words.length) & 0x3ff_ffff)) >>> 0);
  return program(0xd503_201f, ...words);
}

describe("snapshots of a machine with PCIe functions in use", () => {
  it("BARs, messages and DMA go on in a new machine as in the first", () => {
    const cfg = device(1);
    const table = BAR0 + 0x20_0000;
    const kernel = stores(
      [
        [cfg + 0x10, BAR0],
        [cfg + 0x20, table],
        [cfg + 4, 6, 2],
        [table, FRAME + 0x40],
        [table + 8, 100],
        [table + 12, 0],
        [cfg + 0x72, 0x8000, 2],
        // GICD: SPI 68 is an edge
        [0x800_0c18, 0x200],
        [RAM + 0x10_0000, 0xcafe_f00d],
        [BAR0 + 0x10, RAM + 0x10_0000],
        [BAR0 + 0x18, RAM + 0x20_0000],
        [BAR0 + 0x20, 4],
        // for ever: the copy is cleared and made anew, with a message at its end
        [RAM + 0x20_0000, 0],
        [BAR0 + 0x24, 0x801],
      ],
      2,
    );
    const make = () =>
      guests({ pci: { dut: { device: "pcie-test" } }, vms: [vm("a", "trap", { pci: [{ function: "dut" }] })] }, [
        { kernel },
      ]);
    const first = make();
    const look = (g: typeof first) => [g.vms[0]?.peek(RAM + 0x20_0000), g.vms[0]?.distributor.isLatched(0, 100)];
    first.machine.simulation.run(0.001 * SEC);
    expect(look(first)).toEqual([0xcafe_f00d, true]);
    const saved = structuredClone(first.machine.simulation.save());
    first.machine.simulation.run(0.002 * SEC);

    const second = make();
    second.machine.simulation.load(saved);
    second.vms[0]?.distributor.unlatch(0, 100);
    second.machine.simulation.run(0.0015 * SEC);
    expect(look(second)).toEqual([0xcafe_f00d, true]);
    const third = make();
    third.machine.simulation.load(saved);
    third.machine.simulation.run(0.002 * SEC);
    expect(third.machine.simulation.stateHash()).toBe(first.machine.simulation.stateHash());
  });
});
