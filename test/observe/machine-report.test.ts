import { describe, expect, it } from "vitest";
import { Recent } from "../../src/cpu/aarch64/recent.ts";
import { machineReport, PanicWatch } from "../../src/observe/index.ts";

describe("report of a machine", () => {
  const recent = new Recent();
  // a data abort from EL0: EC 0x24, address 0x10, and an interrupt after it
  recent.exception(10_000_000, 0, 1, 0, 0x9200_0046 | 0, 0, 0x4000_1234, 0, 0x10);
  recent.exception(20_000_000, 1, 1, 0x80, 0, -1, 0x8000_0000 | 0, 0, 0);
  recent.access(30_000_000, true, 0x900_0000, 4, 0x41, 0, 0, 0x4000_1000);
  const lines = machineReport({
    time: 40_000_000,
    instructions: 1234,
    cpus: [
      {
        description: "CPU 0 [running], EL1, pc 0x0000000040001008",
        pcHigh: 0,
        pcLow: 0x4000_1008,
        exceptions: recent.exceptions,
        interrupts: recent.interrupts,
        accesses: recent.accesses,
      },
    ],
    symbols: [
      { name: "start", address: 0x4000_1000, bytes: 0x100 },
      { name: "$x", address: 0x4000_1004, bytes: 0 },
      { name: "main", address: 0x4000_1200, bytes: 0 },
    ],
    part: (address) => (address === 0x900_0000 ? "uart0" : null),
  });
  it("says where CPUs are, with the symbol", () => {
    expect(lines[0]).toBe("at 0.004 s, after 1234 instructions");
    expect(lines[1]).toBe("CPU 0 [running], EL1, pc 0x0000000040001008 <start+0x8>");
  });
  it("names exceptions by class (D17.2.37), with syndrome, address and place", () => {
    expect(lines[2]).toContain("synchronous exception from EL0 to EL1: data abort from a lower level, ESR 0x92000046");
    expect(lines[2]).toContain("address 0x0000000000000010, return to 0x0000000040001234 <main+0x34>");
    expect(lines[3]).toContain("IRQ exception from EL1 to EL1, return to 0xffffffff80000000");
  });
  it("names the devices of the last accesses", () => {
    expect(lines.at(-1)).toContain("CPU 0 writes 0x41 (4 bytes) to uart0 0x9000000, at 0x0000000040001000 <start>");
  });
  it("keeps the last sixteen of each", () => {
    const many = new Recent();
    for (let i = 0; i < 40; i++) many.access(i, false, i, 1, i, 0, 0, 0);
    expect(many.accesses.map((a) => a.address)).toEqual(Array.from({ length: 16 }, (_, i) => 24 + i));
    many.clear();
    expect(many.accesses).toEqual([]);
  });
});

describe("words of a panic", () => {
  const watch = (text: string) => {
    const panics = new PanicWatch();
    return [...text].map((c) => panics.output(c.charCodeAt(0))).filter((r) => r !== null);
  };
  it("are found in a line of a Linux console", () => {
    const line =
      "[    1.5] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0) ]---\r\n";
    expect(watch(`x\n${line}y`)).toEqual(["VFS: Unable to mount root fs on unknown-block(0,0)"]);
  });
  it("are not found where Linux says that it reboots", () => {
    expect(watch("Kernel panic - not syncing: x\nRebooting in 1 seconds..\n")).toEqual([]);
    expect(watch(`${"z".repeat(5000)}\n`)).toEqual([]);
  });
});
