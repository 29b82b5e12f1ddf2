import { describe, expect, it } from "vitest";
import {
  Arena,
  PAGE_HAS_CODE,
  Port,
  RESPONSE_DECODE_ERROR,
  RESPONSE_OK,
  RESPONSE_TARGET_ERROR,
} from "../../src/bus/index.ts";
import { Bus, Recorder } from "./parts.ts";

const MiB = 0x10_0000;

describe("a port", () => {
  it("clears answer and delay before each access", () => {
    const bus = new Bus();
    bus.memory("ram", 0, MiB);
    bus.port.read(2 * MiB, 4);
    expect(bus.port.response).toBe(RESPONSE_DECODE_ERROR);
    bus.port.transaction.delay = 50;
    bus.port.read(0, 4);
    expect([bus.port.response, bus.port.transaction.delay]).toEqual([RESPONSE_OK, 0]);
  });

  it("splits accesses that cross eight aligned bytes, and the border of two windows, into bytes", () => {
    const bus = new Bus();
    bus.memory("ram", 0, 0x1000);
    const device = bus.device("device", 0x1000, 0x100, 7);
    bus.port.high = 0x8877_6655;
    bus.port.write(0xffd, 8, 0x4433_2211);
    expect(device.take()).toEqual(["write 0/1 44", "write 1/1 55", "write 2/1 66", "write 3/1 77", "write 4/1 88"]);
    expect(bus.port.high).toBe(0x8877_6655);
    expect(bus.port.read(0xffd, 4)).toBe(0x0033_2211);
    expect(device.take()).toEqual(["read 0/1"]);
    expect(bus.port.read(0x1006, 4)).toBe(0x0908_0706);
    expect(bus.port.response).toBe(RESPONSE_OK);
  });

  it("reports an error in any part of a split access", () => {
    const bus = new Bus();
    bus.memory("ram", 0, 0x1000);
    bus.port.write(0xffe, 4, 0xaabb_ccdd);
    expect(bus.port.response).toBe(RESPONSE_DECODE_ERROR);
    expect(bus.port.read(0xffe, 4)).toBe(0xccdd);
    expect(bus.port.response).toBe(RESPONSE_DECODE_ERROR);
  });

  it("bound to a target without a router splits 64 bits, and refuses sizes the target does not take", () => {
    const target = new Recorder(6);
    const port = new Port(target, new Arena());
    port.high = 2;
    port.write(8, 8, 1);
    expect(port.read(8, 8)).toBe(8);
    expect(port.high).toBe(12);
    expect(target.take()).toEqual(["write 8/4 1", "write c/4 2", "read 8/4", "read c/4"]);
    expect(port.read(3, 1)).toBe(0);
    expect(port.response).toBe(RESPONSE_TARGET_ERROR);
    port.write(3, 1, 1);
    expect(port.response).toBe(RESPONSE_TARGET_ERROR);
    expect(target.take()).toEqual([]);
  });

  it("tells of writes to pages with decoded code, through the first access and through those that follow", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 4 * MiB);
    bus.port.write(0x2000, 4, 0);
    const at = ram.direct(0, true)?.arenaAt ?? 0;
    const seen: [number, number][] = [];
    bus.arena.onCodeWrite = (address, length) => seen.push([address - at, length]);
    bus.arena.pageFlags[at / 4096 + 3] = PAGE_HAS_CODE;
    bus.port.write(0x2ff8, 8, 0);
    expect(seen).toEqual([]);
    bus.port.write(0x3000, 4, 0);
    bus.port.write(0x2ffe, 4, 0);
    bus.port.writeBlock(0x2000, new Uint8Array(0x1000));
    bus.port.writeBlock(0x2000, new Uint8Array(0x1001));
    expect(seen).toEqual([
      [0x3000, 4],
      [0x2ffe, 4],
      [0x2000, 0x1001],
    ]);
  });
});

describe("block transfers", () => {
  it("cross chunks, windows and devices", () => {
    const bus = new Bus();
    bus.memory("ram", 0, 4 * MiB);
    const device = bus.device("device", 4 * MiB, 0x100);
    const data = Uint8Array.from({ length: 2 * MiB + 10 }, (_, i) => i * 7);
    expect(bus.port.writeBlock(2 * MiB - 3, data.subarray(0, 100))).toBe(true);
    expect(bus.port.writeBlock(2 * MiB - 3, data)).toBe(true);
    expect(device.take()).toEqual([
      `write 0/4 ${le(data, 2 * MiB + 3)}`,
      `write 4/1 ${(data[2 * MiB + 7] as number).toString(16)}`,
      `write 5/1 ${(data[2 * MiB + 8] as number).toString(16)}`,
      `write 6/1 ${(data[2 * MiB + 9] as number).toString(16)}`,
    ]);
    const back = new Uint8Array(2 * MiB + 3);
    expect(bus.port.readBlock(2 * MiB - 3, back)).toBe(true);
    expect(back.every((byte, i) => byte === data[i])).toBe(true);
  });

  it("say where some part was refused, which reads as zero, and go on behind it", () => {
    const bus = new Bus();
    bus.memory("low", 0, 0x1000);
    bus.memory("high", 0x1008, 0x1000);
    bus.port.writeBlock(0, new Uint8Array(0x1000).fill(0xaa));
    bus.port.writeBlock(0x1008, new Uint8Array(0x1000).fill(0xbb));
    const into = new Uint8Array(16).fill(0xff);
    expect(bus.port.readBlock(0xffc, into)).toBe(false);
    expect([...into]).toEqual([...new Array(4).fill(0xaa), ...new Array(8).fill(0), ...new Array(4).fill(0xbb)]);
    expect(bus.port.writeBlock(0xffe, new Uint8Array(11))).toBe(false);
    expect([bus.port.read(0xffc, 4), bus.port.read(0x1008, 4)]).toEqual([0xaaaa, 0xbbbb_bb00]);
    expect(bus.port.readBlock(0x9000, new Uint8Array(0))).toBe(true);
  });
});

function le(data: Uint8Array, at: number): string {
  return new DataView(data.buffer).getUint32(at, true).toString(16);
}
