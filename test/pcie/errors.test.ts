// Offsets, bits and clauses typed from the PCI Express Base Specification 5.0.
import { describe, expect, it } from "vitest";
import { SwitchBench } from "./bench.ts";

const ABSENT = 0xffff_ffff;
/** Inside the window of downstream port 0, where no BAR is. */
const HOLE = 0x1000_8000;
const UNSUPPORTED = 1 << 20;

/** Error reporting as Linux turns it on: device control bits 3:0 everywhere, root error command, MSI-X of the root port to 0x0802_0040. */
function reporting(): { b: SwitchBench; aer: number; root: number; status: () => number } {
  const b = new SwitchBench().enumerate();
  for (const where of ["00:01.0", "01:00.0", "02:00.0", "03:00.0"]) {
    b.setConfig(where, b.capability(where, 0x10) + 8, 0x000f, 2);
  }
  const root = b.extended("00:01.0", 1);
  b.setConfig("00:01.0", root + 0x2c, 7);
  b.write(0x1100_0000, 0x0802_0040);
  b.write(0x1100_0008, 0x50);
  b.write(0x1100_000c, 0);
  b.setConfig("00:01.0", b.capability("00:01.0", 0x11) + 2, 0x8000, 2);
  const express = b.capability("03:00.0", 0x10);
  return { b, aer: b.extended("03:00.0", 1), root, status: () => b.config("03:00.0", express + 0x0a, 2) };
}

describe("Unsupported Request", () => {
  it("2.3.1: a read gives all ones; the port's Secondary Status shows Received Master Abort; no abort reaches the CPU", () => {
    const { b } = reporting();
    expect([1, 2, 4].map((n) => b.read(HOLE, n))).toEqual([0xff, 0xffff, ABSENT]);
    expect(b.transaction.response).toBe(0);
    expect(b.config("02:00.0", 0x1e, 2)).toBe(0x2000);
    b.setConfig("02:00.0", 0x1e, 0x2000, 2);
    expect(b.config("02:00.0", 0x1e, 2)).toBe(0);
    expect(b.errors.at(-1)).toMatchObject({ kind: "decode", address: HOLE });
  });

  it("6.2.3.2.4.1: a read is an advisory error, masked at first: correctable and unsupported detected, nothing sent", () => {
    const { b, aer, root, status } = reporting();
    b.read(HOLE);
    expect(status() & 15).toBe(0b1001);
    expect(b.config("03:00.0", aer + 0x10)).toBe(1 << 13);
    expect(b.config("03:00.0", aer + 4)).toBe(0);
    expect(b.config("00:01.0", root + 0x30)).toBe(0);
    expect(b.messages).toEqual([]);
  });

  it("6.2.3.2.4.1: unmasked, the advisory error is logged and sent as ERR_COR", () => {
    const { b, aer, root } = reporting();
    b.setConfig("03:00.0", aer + 0x14, 0);
    b.read(HOLE);
    expect(b.config("03:00.0", aer + 4)).toBe(UNSUPPORTED);
    expect(b.config("00:01.0", root + 0x30)).toBe(1);
    expect(b.config("00:01.0", root + 0x34, 2)).toBe(0x0300);
    expect(b.messages).toEqual([[0x0802_0040, 0x50]]);
    b.read(HOLE);
    expect(b.config("00:01.0", root + 0x30)).toBe(3);
  });

  it("7.8.4.2, .7, .8: a posted write is non-fatal: status, first error pointer 20, header of a 32-bit write", () => {
    const { b, aer, root, status } = reporting();
    b.write(HOLE + 4, 0, 2);
    expect(status() & 15).toBe(0b1010);
    expect(b.config("03:00.0", aer + 4)).toBe(UNSUPPORTED);
    expect(b.config("03:00.0", aer + 0x18) & 31).toBe(20);
    // Memory write, 3 double words of header, length 1; requester 0, first byte enables 0011; address.
    expect([0, 4, 8, 12].map((n) => b.config("03:00.0", aer + 0x1c + n))).toEqual([
      0x4000_0001,
      0x0000_0003,
      HOLE + 4,
      0,
    ]);
    // Uncorrectable received, non-fatal messages received; source in the upper half.
    expect(b.config("00:01.0", root + 0x30)).toBe(0x24);
    expect(b.config("00:01.0", root + 0x34)).toBe(0x0300_0000);
    expect(b.messages).toEqual([[0x0802_0040, 0x50]]);
    // Secondary Status of the ports on the way: Received System Error.
    expect(b.config("02:00.0", 0x1e, 2)).toBe(0x4000);
    expect(b.config("00:01.0", 0x1e, 2)).toBe(0x4000);
  });

  it("6.2.4.2: the header log keeps the first error until its status bit is cleared", () => {
    const { b, aer } = reporting();
    b.write(HOLE, 0);
    b.write(HOLE + 0x10, 0);
    expect(b.config("03:00.0", aer + 0x24)).toBe(HOLE);
    b.setConfig("03:00.0", aer + 4, UNSUPPORTED);
    expect(b.config("03:00.0", aer + 0x18) & 31).toBe(0);
    b.write(0x80_0004_0010, 0);
    // 64-bit address: 4 double words of header.
    expect([0, 8, 12].map((n) => b.config("03:00.0", aer + 0x1c + n))).toEqual([0x6000_0001, 0x80, 0x0004_0010]);
  });

  it("7.8.4.4: severity fatal sends ERR_FATAL; root status says first uncorrectable fatal", () => {
    const { b, aer, root, status } = reporting();
    b.setConfig("03:00.0", aer + 0x0c, UNSUPPORTED);
    b.read(HOLE);
    expect(status() & 15).toBe(0b1100);
    expect(b.config("00:01.0", root + 0x30)).toBe(0x54);
  });

  it("7.8.4.3: masked, the status bit is set, but nothing is logged or sent", () => {
    const { b, aer, root } = reporting();
    b.setConfig("03:00.0", aer + 8, UNSUPPORTED);
    b.write(HOLE, 0);
    expect(b.config("03:00.0", aer + 4)).toBe(UNSUPPORTED);
    expect(b.config("03:00.0", aer + 0x18) & 31).toBe(0);
    expect(b.config("00:01.0", root + 0x30)).toBe(0);
  });

  it("figure 6-3: a bridge forwards messages only with SERR# Enable of Bridge Control and its own reporting enables", () => {
    const { b, root } = reporting();
    b.setConfig("02:00.0", 0x3e, 0, 2);
    b.write(HOLE, 0);
    expect(b.config("00:01.0", root + 0x30)).toBe(0);
    b.setConfig("02:00.0", 0x3e, 2, 2);
    b.setConfig("01:00.0", b.capability("01:00.0", 0x10) + 8, 0, 2);
    b.write(HOLE, 0);
    expect(b.config("00:01.0", root + 0x30)).toBe(0);
    // SERR# Enable of Command does as well.
    b.setConfig("01:00.0", 4, 0x107, 2);
    b.write(HOLE, 0);
    expect(b.config("00:01.0", root + 0x30)).toBe(0x24);
    expect(b.config("01:00.0", 6, 2) & 0x4000).toBe(0x4000);
  });

  it("7.8.4.10: Root Error Status is write-one-to-clear; a further interrupt comes when the condition begins anew", () => {
    const { b, root } = reporting();
    b.write(HOLE, 0);
    b.write(HOLE, 0);
    expect(b.messages.length).toBe(1);
    expect(b.config("00:01.0", root + 0x30)).toBe(0x2c);
    b.setConfig("00:01.0", root + 0x30, 0x2c);
    expect(b.config("00:01.0", root + 0x30)).toBe(0);
    b.write(HOLE, 0);
    expect(b.messages.length).toBe(2);
  });

  it("without message-signalled interrupts the root port's pin shows the condition", () => {
    const { b, root } = reporting();
    b.setConfig("00:01.0", b.capability("00:01.0", 0x11) + 2, 0, 2);
    b.write(HOLE, 0);
    expect(b.host.intB.level).toBe(true);
    b.setConfig("00:01.0", root + 0x30, 0x24);
    expect(b.host.intB.level).toBe(false);
  });

  it("a request to the root bus that nobody claims reads as all ones and is a guest error, no more", () => {
    const { b, root } = reporting();
    expect(b.read(0x1500_0000)).toBe(ABSENT);
    expect(b.config("00:01.0", root + 0x30)).toBe(0);
    expect(b.errors.at(-1)).toMatchObject({ kind: "decode", module: "pcie.bus0", address: 0x1500_0000 });
  });
});

describe("power management events", () => {
  it("6.1.6, 7.5.3.14: the first PME shows in Root Status with its requester, later ones are pending", () => {
    const { b } = reporting();
    const express = b.capability("00:01.0", 0x10);
    b.setConfig("00:01.0", express + 0x1c, 8, 2);
    b.rootPort.sendPme(0x0300);
    b.rootPort.sendPme(0x0400);
    expect(b.config("00:01.0", express + 0x20)).toBe(0x0003_0300);
    expect(b.messages.length).toBe(1);
    b.setConfig("00:01.0", express + 0x20, 0x0001_0000);
    expect(b.config("00:01.0", express + 0x20)).toBe(0x0001_0400);
    b.setConfig("00:01.0", express + 0x20, 0x0001_0000);
    expect(b.config("00:01.0", express + 0x20)).toBe(0x0000_0400);
  });
});
