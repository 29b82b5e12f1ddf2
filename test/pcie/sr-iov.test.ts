// Offsets, bits and clauses typed from the PCI Express Base Specification 5.0, chapter 9.
import { describe, expect, it } from "vitest";
import { RAM, SwitchBench } from "./bench.ts";

const ABSENT = 0xffff_ffff;
const PF = "03:00.0";

/** A PF with 8 VFs, ARI forwarding on at its port; `vfs` of them enabled, BARs at 0x80_0008_0000 and 0x80_0009_0000. */
function prepared(vfs = 0): { b: SwitchBench; at: number } {
  const b = new SwitchBench(8).enumerate();
  b.setConfig("02:00.0", b.capability("02:00.0", 0x10) + 0x28, 0x20, 2);
  const at = b.extended(PF, 0x10);
  b.setConfig(PF, at + 0x24, 0x0008_0000);
  b.setConfig(PF, at + 0x28, 0x80);
  b.setConfig(PF, at + 0x34, 0x0009_0000);
  b.setConfig(PF, at + 0x38, 0x80);
  if (vfs > 0) {
    b.setConfig(PF, at + 0x10, vfs, 2);
    b.setConfig(PF, at + 8, 0x19, 2);
  }
  return { b, at };
}

/** VFs by ARI: function numbers 0x80, 0x82, ... */
const VF = ["03:10.0", "03:10.2", "03:10.4", "03:10.6", "03:11.0"];

describe("SR-IOV", () => {
  it("9.3.3: capability, with InitialVFs and TotalVFs 8, VF device id and supported page sizes", () => {
    const { b, at } = prepared();
    expect(b.config(PF, at) & 0xf_ffff).toBe(0x1_0010);
    expect(b.config(PF, at + 0x0c)).toBe(0x0008_0008);
    expect(b.config(PF, at + 0x18)).toBe(0x4156_0000);
    expect(b.config(PF, at + 0x1c)).toBe(0x553);
    expect(b.config(PF, at + 0x20)).toBe(1);
  });

  it("9.3.3.9, .10: First VF Offset and Stride depend on ARI Capable Hierarchy", () => {
    const { b, at } = prepared();
    expect(b.config(PF, at + 0x14)).toBe(0x0002_0180);
    b.setConfig(PF, at + 8, 0x10, 2);
    expect(b.config(PF, at + 0x14)).toBe(0x0002_0080);
  });

  it("9.3.3.3.1: VFs are there with VF Enable, as many as NumVFs, at their routing ids", () => {
    const { b, at } = prepared();
    expect(b.config(VF[0] as string, 0)).toBe(ABSENT);
    b.setConfig(PF, at + 0x10, 3, 2);
    b.setConfig(PF, at + 8, 0x11, 2);
    // Vendor and device id of a VF read as all ones (9.3.4.1); its class tells that it is there.
    expect(VF.map((w) => b.config(w, 8))).toEqual([0xff00_0000, 0xff00_0000, 0xff00_0000, ABSENT, ABSENT]);
    expect(b.config(VF[0] as string, 0)).toBe(ABSENT);
    expect(b.config(VF[1] as string, 0x2c)).toBe(0x0001_1234);
    expect(b.config("03:10.1", 8)).toBe(ABSENT);
    b.setConfig(PF, at + 8, 0x10, 2);
    expect(b.config(VF[0] as string, 8)).toBe(ABSENT);
  });

  it("6.13: without ARI forwarding at the port above, function numbers from 8 on are not reached", () => {
    const { b } = prepared(2);
    b.setConfig("02:00.0", b.capability("02:00.0", 0x10) + 0x28, 0, 2);
    expect(b.config(VF[0] as string, 8)).toBe(ABSENT);
  });

  it("9.2.1.2: without ARI the VFs lie on the next bus number", () => {
    const { b, at } = prepared();
    b.setConfig("02:00.0", 0x1a, 4, 1);
    b.setConfig("02:01.0", 0x18, 0x05_05_02);
    b.setConfig("01:00.0", 0x1a, 5, 1);
    b.setConfig("00:01.0", 0x1a, 5, 1);
    b.setConfig(PF, at + 0x10, 2, 2);
    b.setConfig(PF, at + 8, 9, 2);
    expect(b.config("04:10.0", 8)).toBe(0xff00_0000);
    expect(b.config("04:10.2", 8)).toBe(0xff00_0000);
    expect(b.first.vfs[1]?.function.requesterId).toBe(0x0482);
  });

  it("9.3.3.14: sizing a VF BAR gives the size of one VF, at least a system page", () => {
    const { b, at } = prepared();
    b.setConfig(PF, at + 0x24, 0xffff_ffff);
    expect(b.config(PF, at + 0x24)).toBe(0xffff_f00c);
    b.setConfig(PF, at + 0x20, 0x10);
    expect(b.config(PF, at + 0x24)).toBe(0xffff_000c);
  });

  it("9.3.3.3.4, .14: each VF has its slice while VF MSE is set; slices are system pages apart", () => {
    const { b, at } = prepared(3);
    const base = 0x80_0008_0000;
    expect([0, 1, 2, 3].map((n) => b.read(base + 0x1000 * n + 4))).toEqual([1, 2, 3, ABSENT]);
    b.setConfig(PF, at + 8, 0x11, 2);
    expect(b.read(base + 4)).toBe(ABSENT);
    b.setConfig(PF, at + 0x20, 0x10);
    b.setConfig(PF, at + 8, 0x19, 2);
    expect([0, 1, 2].map((n) => b.read(base + 0x1_0000 * n + 4))).toEqual([1, 2, 3]);
    expect(b.read(base + 0x1004)).toBe(ABSENT);
  });

  it("9.3.4.1: of a VF's Command only Bus Master Enable is writable; it has no BARs and no pin of its own", () => {
    const { b } = prepared(1);
    const vf = VF[0] as string;
    b.setConfig(vf, 4, 0xffff, 2);
    expect(b.config(vf, 4, 2)).toBe(4);
    b.setConfig(vf, 0x10, 0xffff_ffff);
    expect([0x10, 0x14, 0x20, 0x3c].map((r) => b.config(vf, r))).toEqual([0, 0, 0, 0]);
  });

  it("9.3.5, 9.4.2: a VF's error reporting is controlled by its PF; its status bits are its own", () => {
    const { b } = prepared(2);
    const vf = VF[1] as string;
    const control = b.capability(vf, 0x10) + 8;
    const aer = b.extended(vf, 1);
    b.setConfig(vf, control, 0x7fff, 2);
    b.setConfig(vf, aer + 8, 0xffff_ffff);
    expect([
      b.config(vf, control, 2),
      b.config(vf, aer + 8),
      b.config(vf, aer + 0x0c),
      b.config(vf, aer + 0x14),
    ]).toEqual([0, 0, 0, 0]);
    b.setConfig(PF, b.capability(PF, 0x10) + 8, 0x000f, 2);
    for (const where of ["00:01.0", "01:00.0", "02:00.0"]) b.setConfig(where, b.capability(where, 0x10) + 8, 0x000f, 2);
    const { function: fn } = b.first.vfs[1] as (typeof b.first.vfs)[number];
    fn.unsupportedRequest({ address: 0x1000, size: 4, write: true, io: false, requesterId: 0 });
    expect(b.config(vf, control + 2, 2)).toBe(0b1010);
    expect(b.config(vf, aer + 4)).toBe(0x0010_0000);
    expect(b.config(PF, b.extended(PF, 1) + 4)).toBe(0);
    const root = b.extended("00:01.0", 1);
    expect(b.config("00:01.0", root + 0x34)).toBe(0x0382_0000);
  });

  it("a VF's DMA and messages carry its own requester id and need its own Bus Master Enable", () => {
    const { b } = prepared(2);
    const vf = VF[1] as string;
    const { function: fn } = b.first.vfs[1] as (typeof b.first.vfs)[number];
    fn.port.write(RAM, 4, 1);
    expect(b.read(RAM)).toBe(0);
    expect(b.errors.at(-1)).toMatchObject({ kind: "dma", requesterId: 0x0382 });
    b.setConfig(vf, 4, 4, 2);
    fn.port.write(RAM, 4, 0x42);
    expect(b.read(RAM)).toBe(0x42);
    expect(fn.port.transaction.streamId).toBe(0x0382);
    const table = 0x80_0009_1000;
    b.write(table, 0x0802_0040);
    b.write(table + 8, 0x99);
    b.write(table + 12, 0);
    b.setConfig(vf, b.capability(vf, 0x11) + 2, 0x8000, 2);
    b.write(0x80_0008_1000 + 0x30, 0);
    expect(b.messages).toEqual([[0x0802_0040, 0x99]]);
  });

  it("6.6.2: a VF's function-level reset touches that VF only; its slice stays", () => {
    const { b } = prepared(2);
    const vf = VF[1] as string;
    b.write(0x80_0008_0040, 11);
    b.write(0x80_0008_1040, 22);
    b.setConfig(vf, 4, 4, 2);
    b.setConfig(vf, b.capability(vf, 0x10) + 8, 0x8000, 2);
    expect([b.read(0x80_0008_0040), b.read(0x80_0008_1040)]).toEqual([11, 0]);
    expect(b.config(vf, 4, 2)).toBe(0);
    expect(b.config(vf, 8)).toBe(0xff00_0000);
  });

  it("9.2.2.2: the PF's function-level reset takes the VFs away", () => {
    const { b, at } = prepared(2);
    b.setConfig(PF, b.capability(PF, 0x10) + 8, 0x8000, 2);
    expect(b.config(VF[0] as string, 8)).toBe(ABSENT);
    expect(b.config(PF, at + 8, 2) & 1).toBe(0);
    expect(b.config(PF, at + 0x10, 2)).toBe(0);
    expect(b.read(0x80_0008_0004)).toBe(ABSENT);
  });

  it("VFs come up anew when they are enabled again", () => {
    const { b, at } = prepared(2);
    b.write(0x80_0008_0040, 11);
    b.setConfig(VF[0] as string, 4, 4, 2);
    b.setConfig(PF, at + 8, 0x10, 2);
    b.setConfig(PF, at + 8, 0x19, 2);
    expect(b.read(0x80_0008_0040)).toBe(0);
    expect(b.config(VF[0] as string, 4, 2)).toBe(0);
  });

  it("9.3.3.7: NumVFs beyond TotalVFs, or changed while VFs are enabled, stays as it was and is a guest error", () => {
    const { b, at } = prepared();
    b.setConfig(PF, at + 0x10, 9, 2);
    expect(b.config(PF, at + 0x10, 2)).toBe(0);
    b.setConfig(PF, at + 0x10, 2, 2);
    b.setConfig(PF, at + 8, 0x19, 2);
    const before = b.errors.length;
    b.setConfig(PF, at + 0x10, 5, 2);
    expect(b.config(PF, at + 0x10, 2)).toBe(2);
    expect(b.errors.slice(before)).toMatchObject([{ kind: "value", clause: "PCI Express Base 5.0 9.3.3.7" }]);
  });

  it("5.3: the PF in D3hot takes the VFs' memory and DMA with it", () => {
    const { b } = prepared(2);
    b.setConfig(VF[0] as string, 4, 4, 2);
    const vf = b.first.vfs[0]?.function;
    expect(vf?.upstream.enabled).toBe(true);
    b.setConfig(PF, b.capability(PF, 1) + 4, 3, 2);
    expect(b.read(0x80_0008_0004)).toBe(ABSENT);
    expect(vf?.upstream.enabled).toBe(false);
    b.setConfig(PF, b.capability(PF, 1) + 4, 0, 2);
    expect(vf?.upstream.enabled).toBe(true);
    expect(b.read(0x80_0008_0004)).toBe(1);
  });
});
