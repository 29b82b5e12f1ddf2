import { describe, expect, it } from "vitest";
import { SwitchBench } from "./bench.ts";

/** Everything in use: buses numbered, VFs enabled, a vector pending, a pin up, an error logged. */
function used(): SwitchBench {
  const b = new SwitchBench(4).enumerate();
  b.setConfig("02:00.0", 0x90 + 0x28, 0x20, 2);
  const sriov = b.extended("03:00.0", 0x10);
  b.setConfig("03:00.0", sriov + 0x24, 0x0008_0000);
  b.setConfig("03:00.0", sriov + 0x28, 0x80);
  b.setConfig("03:00.0", sriov + 0x10, 3, 2);
  b.setConfig("03:00.0", sriov + 8, 0x19, 2);
  b.setConfig("03:10.2", 4, 4, 2);
  b.write(0x80_0008_1040, 0x77);
  b.setConfig("00:05.0", 0x72, 0x8000, 2);
  b.write(0x1200_1030, 0x0802_0040);
  b.write(0x1200_1038, 0x63);
  b.write(0x1200_0030, 3);
  b.write(0x1010_0034, 1);
  b.write(0x1000_9000, 0);
  b.write(0x80_0100_0000, 0xabcd);
  return b;
}

describe("snapshots", () => {
  it("a fresh machine goes on from where the first was: routing, windows, VFs, pending vectors, wires", () => {
    const a = used();
    const saved = structuredClone(a.simulation.save());
    const b = new SwitchBench(4);
    b.simulation.load(saved);
    expect(b.simulation.stateHash()).toBe(a.simulation.stateHash());
    expect(b.config("04:00.0", 0)).toBe(0x4152_1234);
    expect(b.config("03:10.4", 8)).toBe(0xff00_0000);
    expect(b.read(0x80_0008_1040)).toBe(0x77);
    expect(b.first.vfs[1]?.function.port.transaction.requesterId).toBe(0x0382);
    expect(b.first.vfs[1]?.function.upstream.enabled).toBe(true);
    expect(b.first.vfs[0]?.function.upstream.enabled).toBe(false);
    expect(b.read(0x80_0100_0000)).toBe(0xabcd);
    expect(b.host.intC.level).toBe(true);
    expect(b.config("03:00.0", b.extended("03:00.0", 1) + 4)).toBe(0x0010_0000);
    for (const m of [a, b]) m.write(0x1200_103c, 0);
    expect(b.messages).toEqual([[0x0802_0040, 0x63]]);
    for (const m of [a, b]) {
      m.write(0x1010_0034, 0);
      m.setConfig("00:01.0", 0x3e, 0x42, 2);
    }
    expect(b.host.intC.level).toBe(false);
    expect(b.simulation.stateHash()).toBe(a.simulation.stateHash());
  });

  it("loading an earlier state over a later one takes windows and VFs away again", () => {
    const a = new SwitchBench(4);
    const saved = structuredClone(a.simulation.save());
    const b = used();
    b.simulation.load(saved);
    expect(b.config("01:00.0", 0)).toBe(0xffff_ffff);
    expect(b.read(0x1200_0000)).toBe(0xffff_ffff);
    expect(b.read(0x80_0008_1040)).toBe(0xffff_ffff);
    expect(b.simulation.stateHash()).toBe(a.simulation.stateHash());
  });
});
