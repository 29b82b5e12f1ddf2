// Offsets, bits and clauses typed from the PCI Express Base Specification 5.0.
import { describe, expect, it } from "vitest";
import { SwitchBench } from "./bench.ts";

const ABSENT = 0xffff_ffff;

/** Express capability's Device Control of a function. */
function deviceControl(b: SwitchBench, where: string): number {
  return b.capability(where, 0x10) + 8;
}

describe("function-level reset", () => {
  it("6.6.2: clears configuration, device registers, MSI-X table and pending bits, and the pin", () => {
    const b = new SwitchBench().enumerate();
    const msix = b.capability("03:00.0", 0x11);
    b.write(0x1000_0040, 0x1234);
    b.write(0x1000_1000, 0x0802_0040);
    b.setConfig("03:00.0", msix + 2, 0x8000, 2);
    b.write(0x1000_0030, 3);
    expect(b.read(0x1000_1800)).toBe(8);
    b.write(0x1000_0034, 1);
    b.setConfig("03:00.0", deviceControl(b, "03:00.0"), 0x8000, 2);
    expect(b.config("03:00.0", 4, 2)).toBe(0);
    expect([0x10, 0x14, 0x18, 0x20].map((r) => b.config("03:00.0", r))).toEqual([0, 1, 0xc, 0]);
    expect(b.config("03:00.0", msix + 2, 2)).toBe(7);
    expect(b.config("03:00.0", 6, 2) & 8).toBe(0);
    b.place("03:00.0", 0x1000_0000, 0, 0x1000);
    expect(b.read(0x1000_0040)).toBe(0);
    expect([b.read(0x1000_1000), b.read(0x1000_100c), b.read(0x1000_1800)]).toEqual([0, 1, 0]);
    expect(b.config("03:00.0", deviceControl(b, "03:00.0"), 2) & 0x8000).toBe(0);
  });

  it("6.6.2: keeps sticky bits, Max_Payload_Size and the link's settings; clears the other controls", () => {
    const b = new SwitchBench().enumerate();
    const control = deviceControl(b, "03:00.0");
    const aer = b.extended("03:00.0", 1);
    b.setConfig("03:00.0", control, 0x502f, 2);
    b.setConfig("03:00.0", control + 8, 0x42, 2);
    b.setConfig("03:00.0", aer + 8, 0x0010_0000);
    b.write(0x1000_8000, 0);
    b.setConfig("03:00.0", control, 0xd02f, 2);
    // Reset values: relaxed ordering and no snoop on, 512-byte read requests; payload 256 kept.
    expect(b.config("03:00.0", control, 2)).toBe(0x2830);
    expect(b.config("03:00.0", control + 8, 2)).toBe(0x42);
    expect(b.config("03:00.0", aer + 8)).toBe(0x0010_0000);
    expect(b.config("03:00.0", aer + 4)).toBe(0x0010_0000);
    expect(b.config("03:00.0", control + 2, 2)).toBe(0);
  });

  it("touches the other functions not at all", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x1010_0040, 5);
    b.setConfig("03:00.0", deviceControl(b, "03:00.0"), 0x8000, 2);
    expect(b.read(0x1010_0040)).toBe(5);
  });
});

describe("hot reset", () => {
  it("7.5.1.3.13, 6.6.1: Secondary Bus Reset resets all below; nothing answers while it is set", () => {
    const b = new SwitchBench().enumerate();
    const aer = b.extended("03:00.0", 1);
    b.setConfig("03:00.0", aer + 8, 0x0010_0000);
    b.setConfig("03:00.0", deviceControl(b, "03:00.0"), 0x0020, 2);
    b.setConfig("00:01.0", 0x3e, 0x42, 2);
    expect(b.config("01:00.0", 0)).toBe(ABSENT);
    expect(b.read(0x1000_0000)).toBe(ABSENT);
    b.setConfig("00:01.0", 0x3e, 2, 2);
    expect(b.config("01:00.0", 0)).toBe(0x8232_104c);
    expect(b.config("01:00.0", 0x18)).toBe(0);
    expect(b.config("03:00.0", 0)).toBe(ABSENT);
    // The root port itself is as it was.
    expect(b.config("00:01.0", 0x18)).toBe(0x0004_0100);
    b.enumerate();
    expect(b.config("03:00.0", deviceControl(b, "03:00.0"), 2)).toBe(0x2810);
    expect(b.config("03:00.0", aer + 8)).toBe(0x0010_0000);
  });

  it("a reset at the second downstream port leaves what is behind the first alone", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x1000_0040, 9);
    b.setConfig("02:01.0", 0x3e, 0x42, 2);
    b.setConfig("02:01.0", 0x3e, 2, 2);
    expect(b.read(0x1000_0040)).toBe(9);
    expect(b.config("04:00.0", 4, 2)).toBe(0);
  });

  it("7.5.3.7: Link Disable takes the link down and resets what is behind it", () => {
    const b = new SwitchBench().enumerate();
    const link = b.capability("02:00.0", 0x10) + 0x10;
    b.setConfig("02:00.0", link, 0x10, 2);
    expect(b.config("03:00.0", 0)).toBe(ABSENT);
    expect(b.config("02:00.0", link + 2, 2) & 0x2000).toBe(0);
    b.setConfig("02:00.0", link, 0, 2);
    expect(b.config("03:00.0", 0)).toBe(0x4152_1234);
    expect(b.config("03:00.0", 4, 2)).toBe(0);
  });

  it("power-on reset clears sticky bits too", () => {
    const b = new SwitchBench().enumerate();
    const aer = b.extended("03:00.0", 1);
    b.setConfig("03:00.0", aer + 8, 0x0010_0000);
    b.simulation.reset();
    expect(b.config("03:00.0", 0)).toBe(ABSENT);
    expect(b.host.intA.level || b.host.intB.level || b.host.intC.level || b.host.intD.level).toBe(false);
    b.enumerate();
    expect(b.config("03:00.0", aer + 8)).toBe(0);
  });
});

describe("power states", () => {
  it("5.3.1.4: in D3hot only configuration requests are answered, and nothing is sent", () => {
    const b = new SwitchBench().enumerate();
    const pm = b.capability("03:00.0", 1);
    b.setConfig("03:00.0", pm + 4, 3, 2);
    expect(b.config("03:00.0", pm + 4, 2)).toBe(0x000b);
    expect(b.config("03:00.0", 0)).toBe(0x4152_1234);
    expect(b.read(0x1000_0000)).toBe(ABSENT);
    b.first.function.port.write(0x4000_0000, 4, 1);
    expect(b.read(0x4000_0000)).toBe(0);
    expect(b.errors.at(-1)).toMatchObject({ kind: "dma", detail: "DMA outside D0" });
    // No_Soft_Reset: everything is as it was.
    b.setConfig("03:00.0", pm + 4, 0, 2);
    expect(b.read(0x1000_0000)).toBe(0x5443_5041);
    expect(b.config("03:00.0", 4, 2)).toBe(7);
  });

  it("7.5.2.2: D1 and D2, which are not supported, are not entered", () => {
    const b = new SwitchBench().enumerate();
    const pm = b.capability("03:00.0", 1);
    b.setConfig("03:00.0", pm + 4, 2, 2);
    expect(b.config("03:00.0", pm + 4, 2) & 3).toBe(0);
    expect(b.errors.at(-1)).toMatchObject({ kind: "value", value: 2 });
  });

  it("5.3.1.4.1: a port in D3hot lets no memory requests through, either way", () => {
    const b = new SwitchBench().enumerate();
    b.setConfig("02:00.0", b.capability("02:00.0", 1) + 4, 3, 2);
    expect(b.read(0x1000_0000)).toBe(ABSENT);
    expect(b.config("03:00.0", 0)).toBe(0x4152_1234);
    b.first.function.port.write(0x4000_0000, 4, 1);
    expect(b.read(0x4000_0000)).toBe(0);
  });
});
