// Offsets, bits and clauses typed from the PCI Express Base Specification 5.0; identities from QEMU's lspci of the same topology.
import { describe, expect, it } from "vitest";
import { SwitchBench } from "./bench.ts";

const ABSENT = 0xffff_ffff;

describe("configuration space by ECAM", () => {
  it("7.2.2: bus in bits 27:20, device 19:15, function 14:12; the host bridge is at 00:00.0", () => {
    const b = new SwitchBench();
    expect(b.config("00:00.0", 0)).toBe(0x0008_1b36);
    expect(b.config("00:00.0", 8)).toBe(0x0600_0000);
    expect(b.config("00:00.0", 0x2c)).toBe(0x1100_1af4);
    expect(b.config("00:01.0", 0)).toBe(0x000c_1b36);
    expect(b.config("00:05.0", 0)).toBe(0x4152_1234);
  });

  it("2.3.2, 7.5.1.1.1: absent functions read as all ones at every width, writes are dropped, without an error", () => {
    const b = new SwitchBench();
    const before = b.errors.length;
    for (const where of ["00:05.1", "00:1f.7", "01:00.0", "ff:1f.7"]) {
      expect([1, 2, 4].map((size) => b.config(where, 0, size))).toEqual([0xff, 0xffff, ABSENT]);
      b.setConfig(where, 4, 7, 2);
      expect(b.config(where, 4)).toBe(ABSENT);
    }
    expect(b.transaction.response).toBe(0);
    expect(b.errors.length).toBe(before);
  });

  it("7.5.1.1: bytes and halves of a register are its parts; reserved registers read as zero and ignore writes, without an error", () => {
    const b = new SwitchBench();
    expect(b.config("00:05.0", 0, 2)).toBe(0x1234);
    expect(b.config("00:05.0", 2, 2)).toBe(0x4152);
    expect(b.config("00:05.0", 3, 1)).toBe(0x41);
    b.setConfig("00:05.0", 0x3c, 0x55, 1);
    expect(b.config("00:05.0", 0x3c)).toBe(0x0000_0155);
    b.setConfig("00:05.0", 0xf0, 0xffff_ffff);
    expect(b.config("00:05.0", 0xf0)).toBe(0);
    b.setConfig("00:05.0", 0, 0);
    expect(b.config("00:05.0", 0)).toBe(0x4152_1234);
    expect(b.errors).toEqual([]);
  });

  it("7.2.2: an access that is not aligned is a guest error and reads as all ones", () => {
    const b = new SwitchBench();
    expect(b.config("00:05.0", 2, 4)).toBe(ABSENT);
    b.setConfig("00:05.0", 1, 0xffff, 2);
    expect(b.config("00:05.0", 0)).toBe(0x4152_1234);
    expect(b.errors.map((e) => e.kind)).toEqual(["width", "width"]);
  });

  it("7.5.1.1.3 Command: bits 0, 1, 2, 6, 8 and 10 are writable, the others read as zero", () => {
    const b = new SwitchBench();
    b.setConfig("00:05.0", 4, 0xffff, 2);
    expect(b.config("00:05.0", 4, 2)).toBe(0x0547);
  });

  it("7.5.1.1.4 Status: error bits are write-one-to-clear, each alone; Capabilities List is set", () => {
    const b = new SwitchBench();
    const { function: fn } = b.integrated;
    fn.setStatus(0xf900_0000 | 0);
    expect(b.config("00:05.0", 6, 2)).toBe(0xf910);
    b.setConfig("00:05.0", 6, 0x2000, 2);
    expect(b.config("00:05.0", 6, 2)).toBe(0xd910);
    b.setConfig("00:05.0", 4, 0, 2);
    expect(b.config("00:05.0", 6, 2)).toBe(0xd910);
    b.setConfig("00:05.0", 6, 0xffff, 2);
    expect(b.config("00:05.0", 6, 2)).toBe(0x0010);
  });

  it("7.5.1.1.9: type 0 for functions, type 1 for ports; the multi-function bit where asked for", () => {
    const b = new SwitchBench().enumerate();
    expect(b.config("00:05.0", 0x0e, 1)).toBe(0);
    expect(["00:01.0", "01:00.0", "02:01.0"].map((w) => b.config(w, 0x0e, 1))).toEqual([1, 1, 1]);
  });

  it("7.5.1.1.11, 7.6.2: both lists of capabilities lead through every capability and end", () => {
    const b = new SwitchBench(4).enumerate();
    const lists = (where: string) => {
      const plain: number[] = [];
      for (let at = b.config(where, 0x34, 1); at !== 0; at = b.config(where, at + 1, 1))
        plain.push(b.config(where, at, 1));
      const extended: number[] = [];
      for (let at = 0x100; at !== 0; at = b.config(where, at) >>> 20) extended.push(b.config(where, at, 2));
      return [plain, extended];
    };
    expect(lists("03:00.0")).toEqual([
      [0x01, 0x05, 0x11, 0x10],
      [0x01, 0x0e, 0x0f, 0x03, 0x10],
    ]);
    expect(lists("00:01.0")).toEqual([
      [0x10, 0x11, 0x0d, 0x01],
      [0x01, 0x0d],
    ]);
  });

  it("7.5.3.2: an endpoint on the root bus is integrated in the root complex (9), behind a port it is not (0)", () => {
    const b = new SwitchBench().enumerate();
    const type = (w: string) => (b.config(w, b.capability(w, 0x10) + 2, 2) >>> 4) & 15;
    expect(["00:05.0", "03:00.0", "00:01.0", "01:00.0", "02:00.0"].map(type)).toEqual([9, 0, 4, 5, 6]);
  });

  it("7.5.3.6, 7.5.3.8: a port's link has the speed and width of the weaker end, and is active when something is below", () => {
    const b = new SwitchBench().enumerate();
    const express = b.capability("00:01.0", 0x10);
    expect(b.config("00:01.0", express + 0x0c) & 0x3ff).toBe(0x204);
    expect(b.config("00:01.0", express + 0x12, 2)).toBe(0x2011);
    // Slot: number 7, presence detect state.
    expect(b.config("00:01.0", express + 0x14) >>> 19).toBe(7);
    expect(b.config("00:01.0", express + 0x1a, 2)).toBe(0x40);
  });

  it("7.9.3: device serial number in two double words", () => {
    const b = new SwitchBench();
    const at = b.extended("00:05.0", 3);
    expect([b.config("00:05.0", at + 4), b.config("00:05.0", at + 8)]).toEqual([0x5043_4945, 0x0000_4152]);
  });
});

describe("BARs", () => {
  it("7.5.1.2.1: all ones read back as the size, with the kind in the low bits", () => {
    const b = new SwitchBench();
    const sizes = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((r) => {
      b.setConfig("00:05.0", r, 0xffff_ffff);
      return b.config("00:05.0", r);
    });
    // 4 KiB memory; 32 bytes I/O; 64 KiB 64-bit prefetchable; 4 KiB memory; none.
    expect(sizes).toEqual([0xffff_f000, 0xffff_ffe1, 0xffff_000c, 0xffff_ffff, 0xffff_f000, 0]);
    expect(b.errors).toEqual([]);
  });

  it("7.5.1.1.3: memory and I/O answer only with their enable bits, and move with the BAR", () => {
    const b = new SwitchBench().enumerate();
    expect(b.read(0x1200_0000)).toBe(0x5443_5041);
    b.setConfig("00:05.0", 4, 5, 2);
    expect(b.read(0x1200_0000)).toBe(ABSENT);
    b.write(0x1200_0040, 1);
    b.setConfig("00:05.0", 4, 7, 2);
    expect(b.read(0x1200_0040)).toBe(0);
    b.write(0x1200_0040, 0x1234_5678);
    expect(b.io(0x5000)).toBe(0x1234_5678);
    b.setIo(0x5002, 0xabcd, 2);
    b.setConfig("00:05.0", 0x10, 0x1300_0000);
    expect(b.read(0x1200_0040)).toBe(ABSENT);
    expect(b.read(0x1300_0040)).toBe(0xabcd_5678);
    b.setConfig("00:05.0", 4, 6, 2);
    expect(b.io(0x5000)).toBe(ABSENT);
    b.setConfig("00:05.0", 0x14, 0x6000);
    b.setConfig("00:05.0", 4, 7, 2);
    expect(b.io(0x6000)).toBe(0xabcd_5678);
    expect(b.io(0x5000)).toBe(ABSENT);
  });

  it("a 64-bit BAR moves across 4 GiB; its memory is reached directly there", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x80_0100_0010, 0x0bad_cafe);
    b.setConfig("00:05.0", 0x18, 0x2000_0000);
    b.setConfig("00:05.0", 0x1c, 0);
    expect(b.read(0x2000_0010)).toBe(0x0bad_cafe);
    expect(b.system.direct(0x2000_0010, true)).toMatchObject({ start: 0x2000_0000, end: 0x2001_0000, writable: true });
    expect(b.system.direct(0x80_0100_0010, true)).toBeNull();
  });

  it("BARs that software lets overlap, or puts beyond 2^52, are no exception", () => {
    const b = new SwitchBench().enumerate();
    b.setConfig("00:05.0", 0x20, 0x1200_0000);
    b.setConfig("00:05.0", 0x18, 0x1200_0000);
    b.setConfig("00:05.0", 0x1c, 0);
    expect(b.read(0x1200_0000)).toEqual(expect.any(Number));
    b.setConfig("00:05.0", 0x1c, 0xffff_ffff);
    b.setConfig("00:05.0", 0x20, 0x1200_1000);
    expect(b.read(0x1200_0000)).toBe(0x5443_5041);
  });
});
