/** PCIe functions passed to VMs: configuration space, BARs, messages, confinement (PCI Express Base 5.0; Arm DEN 0029 E for the message frame). */
import { describe, expect, it } from "vitest";
import { acknowledge, enableGic, endOfInterrupt } from "../../src/guests/gic.ts";
import { type Guest, GuestAbort, type GuestProgram, type Routine } from "../../src/hypervisor/abstract/index.ts";
import { MS, SEC } from "../../src/sim/index.ts";
import { aim, BAR0, device, enableEdges, FRAME, GICC, pciSystem } from "./support/pci.ts";

const RAM = 0x4000_0000;
/** Bytes of each VM. */
const MEMORY = 0x40_0000;
const CFG = device(1);
const TEST_CARD = { dut: { device: "pcie-test" } };

/** Runs a guest that has the test function until its program ends. */
function alone(main: (g: Guest) => Routine, interrupt?: (g: Guest) => Routine) {
  const system = pciSystem(TEST_CARD);
  const program: GuestProgram = { name: "a", main, ...(interrupt === undefined ? {} : { interrupt }) };
  const vm = system.add(program, [{ card: "dut" }]);
  system.machine.simulation.run(SEC);
  expect(vm.status).toBe("off");
  return { ...system, vm };
}

/** Memory decoding and mastering on, BAR 0, BAR 2 and BAR 4 of the test function in place. */
function* open(g: Guest): Routine {
  yield g.store(CFG + 0x10, BAR0);
  yield g.store(CFG + 0x18, BAR0 + 0x10_0000);
  yield g.store(CFG + 0x1c, 0);
  yield g.store(CFG + 0x20, BAR0 + 0x20_0000);
  yield g.store(CFG + 4, 6, 2);
}

describe("configuration space of a passed function", () => {
  it("identity and class are the function's; where no function is, ones (2.3.1)", () => {
    const seen: number[] = [];
    alone(function* (g) {
      for (const at of [0, 8, 0x2c]) seen.push(yield g.load(CFG + at));
      seen.push(yield g.load(CFG + 2, 2), yield g.load(CFG + 0x0b, 1));
      for (const place of [device(0), device(2), CFG + 0x1000]) seen.push(yield g.load(place));
      seen.push(yield g.load(device(3), 1));
    });
    expect(seen).toEqual([
      0x4152_1234,
      0xff00_0000,
      0x0001_1234,
      ...[0x4152, 0xff],
      ...[0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xff],
    ]);
  });

  it("a virtual function has its PF's vendor and the VF Device ID (9.3.4.1.1, 9.3.3.11), memory enable and BARs like any (7.5.1.2.1)", () => {
    const seen: number[] = [];
    const system = pciSystem({ dut: { device: "pcie-test", vfs: 2 } });
    const vm = system.add(
      {
        name: "a",
        *main(g) {
          seen.push(yield g.load(CFG));
          for (let n = 0; n < 6; n++) yield g.store(CFG + 0x10 + 4 * n, 0xffff_ffff);
          for (let n = 0; n < 6; n++) seen.push(yield g.load(CFG + 0x10 + 4 * n));
          yield g.store(CFG + 0x10, BAR0);
          yield g.store(CFG + 0x14, 0);
          yield g.store(CFG + 4, 2, 2);
          seen.push(yield g.load(CFG + 4, 2));
          // INDEX: VF 1 is the second
          seen.push(yield g.load(BAR0 + 4));
        },
      },
      [{ card: "dut", vf: 1 }],
    );
    system.machine.simulation.run(SEC);
    expect(vm.status).toBe("off");
    expect(seen).toEqual([0x4156_1234, 0xffff_f00c, 0xffff_ffff, 0, 0, 0xffff_f00c, 0xffff_ffff, 2, 2]);
  });

  it("BARs have their sizes (7.5.1.2.1), no I/O BAR, no ROM, no pin", () => {
    const seen: number[] = [];
    alone(function* (g) {
      for (let n = 0; n < 6; n++) yield g.store(CFG + 0x10 + 4 * n, 0xffff_ffff);
      yield g.store(CFG + 0x30, 0xffff_ffff);
      for (let n = 0; n < 6; n++) seen.push(yield g.load(CFG + 0x10 + 4 * n));
      seen.push(yield g.load(CFG + 0x30), yield g.load(CFG + 0x3c));
    });
    // 4 KiB of 32 bits; I/O; 64 KiB of 64 bits, prefetchable; 4 KiB of 32 bits
    expect(seen).toEqual([0xffff_f000, 0, 0xffff_000c, 0xffff_ffff, 0xffff_f000, 0, 0, 0]);
  });

  it("of the capabilities there are MSI-X and PCI Express, of the extended ones none (7.6.2: zero)", () => {
    const found: number[] = [];
    let extended = -1;
    alone(function* (g) {
      let at = yield g.load(CFG + 0x34, 1);
      while (at !== 0) {
        found.push(yield g.load(CFG + at, 1));
        at = yield g.load(CFG + at + 1, 1);
      }
      extended = yield g.load(CFG + 0x100);
    });
    expect(found).toEqual([0x11, 0x10]);
    expect(extended).toBe(0);
  });

  it("Device Control holds what was written and sends nothing on (7.5.3.4); Initiate Function Level Reset reads as zero", () => {
    const seen: number[] = [];
    const { machine } = alone(function* (g) {
      // Express at A0h: Max_Read_Request_Size 4096
      yield g.store(CFG + 0xa8, 0x5000, 2);
      seen.push(yield g.load(CFG + 0xa8, 2));
      yield g.store(CFG + 0xa8, 0xd000, 2);
      seen.push((yield g.load(CFG + 0xa8, 2)) & 0x8000);
    });
    expect(seen).toEqual([0x5000, 0]);
    const real = machine.pcie.bus.find(1, 0)?.config.peek(0xa8, 2) ?? 0;
    expect(real & 0x7000).toBe(0x2000);
  });

  it("a function-level reset takes BARs and command with it (6.6.2), and the registers behind", () => {
    const seen: number[] = [];
    alone(function* (g) {
      yield* open(g);
      yield g.store(BAR0 + 0x40, 0x1234_5678);
      seen.push(yield g.load(BAR0 + 0x40));
      yield g.store(CFG + 0xa8, 0x8000, 2);
      seen.push(yield g.load(CFG + 4, 2), yield g.load(CFG + 0x10));
      yield* open(g);
      seen.push(yield g.load(BAR0 + 0x40));
    });
    expect(seen).toEqual([0x1234_5678, 0, 0, 0]);
  });
});

describe("BARs of a passed function", () => {
  it("reach the device without exits, where the guest puts them; away from there is nothing (7.5.1.2.1)", () => {
    const seen: number[] = [];
    const { vm } = alone(function* (g) {
      yield* open(g);
      for (let n = 0; n < 100; n++) yield g.store(BAR0 + 0x40, n);
      seen.push(yield g.load(BAR0 + 0x40));
      yield g.store(CFG + 4, 4, 2);
      yield g.store(CFG + 0x10, 0x2000_0000);
      yield g.store(CFG + 4, 6, 2);
      seen.push(yield g.load(0x2000_0040), yield g.load(BAR0 + 0x40));
      yield g.store(CFG + 4, 4, 2);
      seen.push(yield g.load(0x2000_0040));
    });
    expect(seen).toEqual([99, 99, 0xffff_ffff, 0xffff_ffff]);
    const trapped = vm.statistics.table("regions").find((r) => r.name === "pcieMemory")?.count;
    expect(trapped).toBe(2);
  });

  it("outside the window, over memory, or unaligned they are not mapped", () => {
    const seen: number[] = [];
    alone(function* (g) {
      yield g.store(RAM + 0x1000, 0x600d);
      yield g.store(CFG + 0x10, RAM + 0x1000);
      yield g.store(CFG + 4, 6, 2);
      seen.push(yield g.load(RAM + 0x1000));
      yield g.store(CFG + 0x10, 0x3eff_0000);
      seen.push(yield g.load(RAM + 0x1000));
      // low bits are the type's
      yield g.store(CFG + 0x10, BAR0 + 0xfff);
      seen.push(yield g.load(CFG + 0x10), yield g.load(BAR0));
    });
    expect(seen).toEqual([0x600d, 0x600d, BAR0, 0x5443_5041]);
  });

  it("a window that is taken away is an external abort, BARs and all; given back, they are where they were", () => {
    const system = pciSystem(TEST_CARD);
    const seen: (number | string)[] = [];
    const look = function* (g: Guest): Routine {
      try {
        seen.push(yield g.load(BAR0));
      } catch (error) {
        seen.push(error instanceof GuestAbort ? "abort" : "bug");
      }
    };
    const vm = system.add(
      {
        name: "a",
        *main(g) {
          yield* open(g);
          for (let n = 0; n < 3; n++) {
            yield* look(g);
            yield g.compute(10_000_000);
          }
        },
      },
      [{ card: "dut" }],
    );
    const { simulation } = system.machine;
    for (const mode of ["none", "trap"] as const) {
      simulation.run(simulation.now + 5 * MS + (mode === "trap" ? 5 * MS : 0));
      system.h.hypervisor.request(vm, `mode pcieMemory ${mode}`);
    }
    simulation.run(SEC);
    expect(vm.status).toBe("off");
    expect(seen).toEqual([0x5443_5041, "abort", 0x5443_5041]);
  });

  it("of two functions in one place one answers; the other is back when that has gone", () => {
    const seen: number[] = [];
    const system = pciSystem({ one: { device: "pcie-test" }, two: { device: "pcie-test" } });
    const vm = system.add(
      {
        name: "a",
        *main(g) {
          for (const at of [device(1), device(2)]) {
            yield g.store(at + 0x10, BAR0);
            yield g.store(at + 4, 2, 2);
            yield g.store(BAR0 + 0x40, at % 2 ** 32);
          }
          yield g.store(device(2) + 4, 0, 2);
          seen.push(yield g.load(BAR0 + 0x40));
          yield g.store(device(1) + 4, 0, 2);
          seen.push(yield g.load(BAR0 + 0x40));
        },
      },
      [{ card: "one" }, { card: "two" }],
    );
    system.machine.simulation.run(SEC);
    expect(vm.status).toBe("off");
    expect(seen[0]).not.toBe(0xffff_ffff);
    expect(seen[1]).toBe(0xffff_ffff);
  });
});

describe("messages of a passed function", () => {
  it("the frame is the VM's: MSI_TYPER 80 and 64 (DEN 0029 E.7.1); vectors arrive as the INTIDs that the guest has chosen", () => {
    const taken: number[] = [];
    let typer = 0;
    let table: number[] = [];
    const { machine } = alone(
      function* (g) {
        typer = yield g.load(FRAME + 8);
        yield* enableGic(g, GICC);
        yield* enableEdges(g, [100, 143]);
        yield* open(g);
        const at = BAR0 + 0x20_0000;
        yield* aim(g, at, 0, 143);
        yield* aim(g, at, 7, 100);
        table = [yield g.load(at), yield g.load(at + 4), yield g.load(at + 8), yield g.load(at + 12)];
        yield g.store(CFG + 0x72, 0x8000, 2);
        g.unmask();
        for (const vector of [0, 7, 0]) {
          const before = taken.length;
          yield g.store(BAR0 + 0x30, vector);
          while (taken.length === before) yield g.compute(1000);
        }
      },
      function* (g) {
        const id = yield* acknowledge(g, GICC);
        if (id >= 1020) return;
        taken.push(id);
        yield* endOfInterrupt(g, GICC, id);
      },
    );
    expect(typer).toBe((80 << 16) | 64);
    expect(table).toEqual([0x802_0040, 0, 143, 0]);
    expect(taken).toEqual([143, 100, 143]);
    // reset at the end: every vector is masked (7.7.2.8)
    expect(machine.pcie.bus.find(1, 0)?.msix?.isMasked(0)).toBe(true);
  });

  it("a masked vector waits in the pending bits (6.1.4.5); to another address than the frame's it goes nowhere, and that is recorded", () => {
    const taken: number[] = [];
    const pending: number[] = [];
    const { machine } = alone(
      function* (g) {
        yield* enableGic(g, GICC);
        yield* enableEdges(g, [90]);
        yield* open(g);
        const at = BAR0 + 0x20_0000;
        yield* aim(g, at, 1, 90);
        yield g.store(CFG + 0x72, 0x8000, 2);
        g.unmask();
        yield g.store(at + 0x1c, 1);
        yield g.store(BAR0 + 0x30, 1);
        yield g.compute(10_000);
        pending.push((yield g.load(at + 0x800)) & 2, taken.length);
        yield g.store(at + 0x1c, 0);
        while (taken.length === 0) yield g.compute(1000);
        pending.push((yield g.load(at + 0x800)) & 2);
        yield* aim(g, at, 1, 90, RAM);
        yield g.store(BAR0 + 0x30, 1);
        yield g.compute(10_000);
        pending.push(yield g.load(RAM));
      },
      function* (g) {
        const id = yield* acknowledge(g, GICC);
        if (id >= 1020) return;
        taken.push(id);
        yield* endOfInterrupt(g, GICC, id);
      },
    );
    expect(pending).toEqual([2, 0, 0, 0]);
    expect(taken).toEqual([90]);
    expect(machine.simulation.reporter.guestErrors).toBe(1);
  });
});

describe("interrupts of passed functions on two CPUs", () => {
  it("go where the VM's first vCPU runs (GICD_ITARGETSR), and after it when that is moved", () => {
    const system = pciSystem(TEST_CARD, 2);
    const { hypervisor } = system.h;
    const { simulation, gic } = system.machine;
    const vm = system.add(
      {
        name: "a",
        *main(g) {
          for (;;) yield g.compute(10_000);
        },
      },
      [{ card: "dut" }],
    );
    // eight vectors from INTID 80 on
    const targets = () => [gic.distributor.peek(0x850, 4), gic.distributor.peek(0x854, 4)];
    for (const cpu of [1, 0]) {
      const [vcpu] = vm.vcpus;
      if (vcpu !== undefined) hypervisor.setAffinity(vcpu, 1 << cpu);
      simulation.run(simulation.now + 200 * MS);
      expect(targets()).toEqual(cpu === 1 ? [0x0202_0202, 0x0202_0202] : [0x0101_0101, 0x0101_0101]);
    }
  });
});

describe("DMA of a passed function", () => {
  /** Copies a word from `from` to `to`; DMA_STATUS. */
  function* copy(g: Guest, from: number, to: number): Routine<number> {
    yield g.store(BAR0 + 0x10, from);
    yield g.store(BAR0 + 0x18, to);
    yield g.store(BAR0 + 0x20, 4);
    yield g.store(BAR0 + 0x24, 1);
    return yield g.load(BAR0 + 0x28);
  }

  it("reaches the VM's memory at the guest's addresses; beyond, what is the machine's RAM, it is refused and recorded; so with Bus Master Enable clear", () => {
    const status: number[] = [];
    let word = 0;
    const { smmu } = alone(function* (g) {
      yield* open(g);
      yield g.store(RAM + 0x10_0000, 0xcafe_f00d);
      status.push(yield* copy(g, RAM + 0x10_0000, RAM + 0x20_0000));
      word = yield g.load(RAM + 0x20_0000);
      status.push(yield* copy(g, RAM + MEMORY, RAM + 0x20_0000));
      status.push(yield* copy(g, RAM + 0x10_0000, RAM + MEMORY + 0x1000));
      // other devices of the machine, and the guest's own trapped ones
      status.push(yield* copy(g, 0x800_0000, RAM + 0x20_0000));
      status.push(yield* copy(g, 0x900_0000, RAM + 0x20_0000));
      yield g.store(CFG + 4, 2, 2);
      status.push(yield* copy(g, RAM + 0x10_0000, RAM + 0x20_0000));
    });
    expect(word).toBe(0xcafe_f00d);
    expect(status).toEqual([1, 2, 2, 2, 2, 2]);
    expect(smmu.faults).toBe(4);
  });

  it("the guest's CPUs do not reach the machine's message frame, which DMA of theirs does", () => {
    const system = pciSystem(TEST_CARD);
    const seen: number[] = [];
    const vm = system.add(
      {
        name: "a",
        *main(g) {
          yield* open(g);
          // MSI_IIDR of the VM's own frame, by a trap
          seen.push(yield g.load(FRAME + 0xfcc));
        },
      },
      [{ card: "dut" }],
    );
    system.machine.simulation.run(SEC);
    expect(vm.status).toBe("off");
    expect(seen).toEqual([0x0510_0000]);
    expect(vm.statistics.table("regions").find((r) => r.name === "gicv2m")?.count).toBe(1);
  });

  it("when the VM has ended, the function is reset and reaches nothing; another start finds it as new", () => {
    const { machine, vm, h } = alone(function* (g) {
      yield* open(g);
      yield g.store(BAR0 + 0x44, 5);
    });
    const fn = machine.pcie.bus.find(1, 0);
    expect(fn?.command).toBe(2);
    const data = new Uint8Array(4);
    expect(fn?.port.readBlock(RAM, data)).toBe(false);
    h.hypervisor.request(vm, "start");
    machine.simulation.run(2 * SEC);
    expect(vm.status).toBe("off");
    h.hypervisor.request(vm, "destroy");
    machine.simulation.run(3 * SEC);
    expect(vm.status).toBe("destroyed");
  });
});
