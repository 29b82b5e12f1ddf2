// Offsets, bits and clauses typed from the PCI Express Base Specification 5.0.
import { describe, expect, it } from "vitest";
import type { Target, Transaction } from "../../src/bus/index.ts";
import { RAM, SwitchBench } from "./bench.ts";

const ABSENT = 0xffff_ffff;

/** Lets the test function copy `bytes` bytes; true where it went well. */
function dma(b: SwitchBench, bar: number, from: number, to: number, bytes: number, control = 1): boolean {
  b.write(bar + 0x10, from % 2 ** 32);
  b.write(bar + 0x14, Math.floor(from / 2 ** 32));
  b.write(bar + 0x18, to % 2 ** 32);
  b.write(bar + 0x1c, Math.floor(to / 2 ** 32));
  b.write(bar + 0x20, bytes);
  b.write(bar + 0x24, control);
  return b.read(bar + 0x28) === 1;
}

describe("bridges", () => {
  it("7.5.1.3.2 to .5: requests go down for secondary to subordinate bus, nowhere else, and not before numbers are given", () => {
    const b = new SwitchBench();
    expect(b.config("01:00.0", 0)).toBe(ABSENT);
    b.enumerate();
    expect(b.config("01:00.0", 0)).toBe(0x8232_104c);
    expect([b.config("02:00.0", 0), b.config("02:01.0", 0)]).toEqual([0x8233_104c, 0x8233_104c]);
    expect([b.config("03:00.0", 0), b.config("04:00.0", 0)]).toEqual([0x4152_1234, 0x4152_1234]);
    b.setConfig("01:00.0", 0x1a, 3, 1);
    expect(b.config("04:00.0", 0)).toBe(ABSENT);
    b.setConfig("02:01.0", 0x18, 0x09_09_02);
    b.setConfig("01:00.0", 0x1a, 9, 1);
    b.setConfig("00:01.0", 0x1a, 9, 1);
    expect(b.config("09:00.0", 0)).toBe(0x4152_1234);
    expect(b.second.function.requesterId).toBe(0x0900);
  });

  it("7.3.1: below a port's link only device 0 exists", () => {
    const b = new SwitchBench().enumerate();
    expect(b.config("03:01.0", 0)).toBe(ABSENT);
    expect(b.config("01:1f.0", 0)).toBe(ABSENT);
  });

  it("7.5.1.3.8: a memory window forwards what lies in it; with its limit below its base it is closed", () => {
    const b = new SwitchBench().enumerate();
    expect([b.read(0x1000_0000), b.read(0x1010_0000)]).toEqual([0x5443_5041, 0x5443_5041]);
    b.setConfig("02:00.0", 0x20, 0x0000_fff0);
    expect(b.read(0x1000_0000)).toBe(ABSENT);
    expect(b.read(0x1010_0000)).toBe(0x5443_5041);
    // The root port's window no longer covers the second port's.
    b.setConfig("00:01.0", 0x22, 0x1000, 2);
    expect(b.read(0x1010_0000)).toBe(ABSENT);
  });

  it("7.5.1.3.9, .10: the prefetchable window has 64 bits; 7.5.1.3.6: the I/O window has 32", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x80_0000_0008, 77);
    b.write(0x80_0010_0008, 88);
    expect([b.read(0x80_0000_0008), b.read(0x80_0010_0008)]).toEqual([77, 88]);
    b.setConfig("02:01.0", 0x28, 0x81);
    expect(b.read(0x80_0010_0008)).toBe(ABSENT);
    expect(b.read(0x80_0000_0008)).toBe(77);
    b.write(0x1010_0040, 0x55);
    expect(b.io(0x2000)).toBe(0x55);
    b.setConfig("02:01.0", 0x30, 1, 2);
    expect(b.io(0x2000)).toBe(ABSENT);
  });

  it("7.5.1.1.3: a bridge forwards memory and I/O only with its own enable bits", () => {
    const b = new SwitchBench().enumerate();
    b.setConfig("01:00.0", 4, 5, 2);
    expect(b.read(0x1000_0000)).toBe(ABSENT);
    expect(b.io(0x1000)).toBe(0);
    b.setConfig("01:00.0", 4, 6, 2);
    expect(b.read(0x1000_0000)).toBe(0x5443_5041);
    expect(b.io(0x1000)).toBe(ABSENT);
  });
});

describe("DMA", () => {
  it("2.2.6.2: requests carry the requester id as buses are numbered now", () => {
    const b = new SwitchBench().enumerate();
    const { transaction } = b.first.function.port;
    expect([transaction.requesterId, transaction.streamId]).toEqual([0x0300, 0x0300]);
    expect(b.integrated.function.port.transaction.requesterId).toBe(0x0028);
    b.setConfig("02:00.0", 0x18, 0x07_07_02);
    expect([transaction.requesterId, transaction.streamId]).toEqual([0x0700, 0x0700]);
  });

  it("7.5.1.1.3: nothing leaves without Bus Master Enable, here or in any bridge above", () => {
    const b = new SwitchBench().enumerate();
    b.write(RAM, 0x1122_3344);
    expect(dma(b, 0x1000_0000, RAM, RAM + 0x100, 16)).toBe(true);
    expect(b.read(RAM + 0x100)).toBe(0x1122_3344);
    for (const where of ["03:00.0", "02:00.0", "01:00.0", "00:01.0"]) {
      b.write(RAM + 0x100, 0);
      b.setConfig(where, 4, 3, 2);
      expect(dma(b, 0x1000_0000, RAM, RAM + 0x100, 16)).toBe(false);
      expect(b.read(RAM + 0x100)).toBe(0);
      expect(b.errors.at(-1)).toMatchObject({ kind: "dma", requesterId: 0x0300 });
      b.setConfig(where, 4, 7, 2);
    }
    expect(dma(b, 0x1000_0000, RAM, RAM + 0x100, 16)).toBe(true);
  });

  it("7.5.1.1.4: a read that nobody answers sets Received Master Abort of the requester", () => {
    const b = new SwitchBench().enumerate();
    expect(dma(b, 0x1000_0000, 0x3_0000_0000, RAM, 16)).toBe(false);
    expect(b.config("03:00.0", 6, 2) & 0x2000).toBe(0x2000);
    expect(b.errors.some((e) => e.kind === "dma" && e.requesterId === 0x300 && e.address === 0x3_0000_0000)).toBe(true);
  });

  it("a block that is refused leaves one record for each stretch", () => {
    const b = new SwitchBench().enumerate();
    const { port } = b.first.function;
    const before = b.errors.length;
    // The last 64 bytes of RAM, and 64 beyond.
    expect(port.writeBlock(RAM + 0x10_0000 - 64, new Uint8Array(128))).toBe(false);
    const refused = b.errors.slice(before).filter((e) => e.kind === "dma");
    expect(refused.map((e) => e.address)).toEqual([RAM + 0x10_0000]);
    b.setConfig("03:00.0", 4, 3, 2);
    port.writeBlock(RAM, new Uint8Array(1500));
    port.writeBlock(RAM, new Uint8Array(1500));
    expect(b.errors.slice(before).filter((e) => e.kind === "dma" && e.address === RAM).length).toBe(2);
  });

  it("6.12: a switch turns peer-to-peer requests round; ACS P2P Request Redirect sends them to the root complex", () => {
    const refusing: Target = { ...EMPTY, read: (_a, _s, tx) => fail(tx), write: (_a, _s, _v, tx) => void fail(tx) };
    let asked = 0;
    const b = new SwitchBench(0, undefined, {
      target: () => {
        asked++;
        return refusing;
      },
    }).enumerate();
    expect(asked).toBeGreaterThan(0);
    b.write(0x80_0000_0000, 0xfeed_f00d);
    expect(dma(b, 0x1000_0000, 0x80_0000_0000, 0x80_0010_0020, 8)).toBe(false);
    // Its own memory lies behind its own port, and the port does not send a request back down.
    b.write(0x80_0010_0000, 0xfeed_f00d);
    expect(dma(b, 0x1000_0000, 0x80_0010_0000, 0x80_0010_0020, 8)).toBe(true);
    expect(b.read(0x80_0010_0020)).toBe(0xfeed_f00d);
    const acs = b.extended("02:00.0", 0x0d);
    expect(b.config("02:00.0", acs + 4, 2)).toBe(0x5f);
    b.setConfig("02:00.0", acs + 6, 4, 2);
    expect(dma(b, 0x1000_0000, 0x80_0010_0000, 0x80_0010_0020, 8)).toBe(false);
  });

  it("an IOMMU is asked for the target of each stream, and again when buses are renumbered", () => {
    const streams: number[] = [];
    const seen: number[] = [];
    const target: Target = {
      ...EMPTY,
      read: (_a, _s, tx) => {
        seen.push(tx.streamId);
        return 0;
      },
    };
    const b = new SwitchBench(0, undefined, {
      target: (id) => {
        streams.push(id);
        return target;
      },
    }).enumerate();
    expect(new Set(streams)).toContain(0x0300);
    b.first.function.port.read(0x1234_5678, 4);
    b.setConfig("02:01.0", 0x18, 0x08_08_02);
    b.second.function.port.read(0x1234_5678, 4);
    expect(seen).toEqual([0x0300, 0x0800]);
    expect(streams.at(-1)).toBe(0x0800);
  });
});

const EMPTY: Target = { accessSizes: 15, read: () => 0, write: () => undefined, peek: () => 0, poke: () => undefined };

function fail(tx: Transaction): number {
  tx.response = 1;
  return 0;
}
