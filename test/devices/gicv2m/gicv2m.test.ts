// Offsets and fields typed from Arm DEN 0029 v2.2, appendix E; identification and numbers from QEMU's virt machine.
import { describe, expect, it } from "vitest";
import { Transaction } from "../../../src/bus/index.ts";
import { Gicv2 } from "../../../src/devices/gicv2/index.ts";
import { Gicv2m } from "../../../src/devices/gicv2m/index.ts";
import { type GuestError, Simulation } from "../../../src/sim/index.ts";
import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildGicv2m } from "./device.ts";

function board() {
  const simulation = new Simulation();
  const gic = new Gicv2(simulation, "gic");
  const frame = new Gicv2m(simulation, "v2m");
  frame.spi.forEach((line, n) => {
    line.connect(gic.spi(frame.baseSpi + n));
  });
  const errors: GuestError[] = [];
  simulation.reporter.observe({ guestError: (e) => errors.push(e) });
  const tx = new Transaction();
  return { gic, frame, errors, tx };
}

describe("GICv2m", () => {
  it("E.7.1 MSI_TYPER: base SPI in 25:16, number in 9:0 (INTID 80, 64 of them)", () => {
    const { frame, tx } = board();
    expect(frame.registers.read(0x008, 4, tx)).toBe(0x00500040);
  });

  it("E.7.3 MSI_IIDR: the product id of QEMU's frame, by which Linux knows that it has no erratum", () => {
    const { frame, tx } = board();
    expect(frame.registers.read(0xfcc, 4, tx)).toBe(0x05100000);
  });

  it.each([80, 100, 143])("E.7.2 MSI_SETSPI_NS: a write of %i makes that edge-triggered SPI pending", (id) => {
    const { gic, frame, tx, errors } = board();
    gic.distributor.write(0xc00 + 4 * (id >> 4), 4, (2 << (2 * (id & 15))) >>> 0, tx);
    frame.registers.write(0x040, 4, id, tx);
    const pending = Array.from({ length: 9 }, (_, i) => gic.distributor.read(0x200 + 4 * i, 4, tx));
    expect(pending).toEqual(Array.from({ length: 9 }, (_, i) => (i === id >> 5 ? (1 << (id & 31)) >>> 0 : 0)));
    expect(errors).toEqual([]);
  });

  it("E.7.2: 16-bit writes are taken", () => {
    const { gic, frame, tx } = board();
    gic.distributor.write(0xc14, 4, 2, tx);
    frame.registers.write(0x040, 2, 80, tx);
    expect(gic.distributor.read(0x208, 4, tx)).toBe(1 << 16);
  });

  it.each([0, 79, 144, 1023])("E.7.2: INTID %i is not the frame's: nothing happens, and it is recorded", (id) => {
    const { frame, tx, errors } = board();
    let edges = 0;
    for (const line of frame.spi) line.connect(() => edges++);
    frame.registers.write(0x040, 4, id, tx);
    expect([edges, errors.map((e) => e.kind)]).toEqual([0, ["value"]]);
  });

  it("refuses SPIs that a GIC cannot have", () => {
    expect(() => new Gicv2m(new Simulation(), "v2m", { baseSpi: 960, spis: 64 })).toThrow(RangeError);
  });
});

describeDeclaration("GICv2m", buildGicv2m, {
  exempt: {
    MSI_TYPER: {
      rules: ["reset", "reset-after-use"],
      reason: "E.7.1: tells the configuration, here 64 SPIs from INTID 80",
    },
  },
});
fuzzDevice("GICv2m", buildGicv2m);
