import { describe, expect, it } from "vitest";
import { Driver, frameOf, hex, OWN, PEER } from "./driver.ts";

describe("82576 statistics (8.18)", () => {
  it("count packets, sizes and bytes with CRC in both directions, and clear when read", () => {
    const d = new Driver();
    d.startReceive(0);
    d.startTransmit(0);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    d.core.receive(frameOf("ffffffffffff", PEER, 0x88b5, 100));
    d.core.receive(frameOf("0600deadbeef", PEER, 0x88b5));
    d.send(0, frameOf(PEER, OWN, 0x88b5, 1500));
    d.send(0, frameOf("01005e000001", OWN, 0x88b5));
    // GPRC, TPR, PRC64, PRC127, BPRC; GPTC, PTC64, PTC1522, MPTC.
    const all = [0x4074, 0x40d0, 0x405c, 0x4060, 0x4078, 0x4080, 0x40d8, 0x40ec, 0x40f0];
    expect(all.map((at) => d.read(at))).toEqual([2, 3, 1, 1, 1, 2, 1, 1, 1]);
    expect(all.map((at) => d.read(at))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // GORC 64 + 118, TOR 246, GOTC 1518 + 64.
    expect([d.read(0x4088), d.read(0x40c0), d.read(0x4090)]).toEqual([182, 246, 1582]);
  });

  it("octet counters clear when their high word is read", () => {
    const d = new Driver();
    d.startReceive(0);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect([d.read(0x4088), d.read(0x4088), d.read(0x408c), d.read(0x4088)]).toEqual([64, 64, 0, 0]);
  });
});

describe("82576 IEEE 1588 (7.9, 8.16)", () => {
  /** 16 ns a step, 2^19 a nanosecond: as igb sets it. */
  const INCREMENT = 0x0180_0000;

  it("SYSTIM grows by TIMINCA's value every period of 16 ns; reading the low word holds the high one", () => {
    const d = new Driver();
    d.write(0xb608, INCREMENT);
    d.write(0xb600, 0);
    d.write(0xb604, 0);
    d.run(10_000_000);
    // 1 ms is 62,500 steps of 2^23: 7A 1200 0000h.
    expect([d.read(0xb600), d.read(0xb604)]).toEqual([0x1200_0000, 0x7a]);
    expect(d.read(0xb600)).toBe(0x1200_0000);
    d.run(10_000_000);
    expect(d.read(0xb604)).toBe(0x7a);
    expect(d.read(0xb604)).toBe(0xf4);
  });

  it("TIMADJ adds, or subtracts with its sign bit", () => {
    const d = new Driver();
    d.write(0xb600, 100);
    d.write(0xb604, 5);
    d.write(0xb60c, 200);
    d.write(0xb610, 0x8000_0000);
    expect([d.read(0xb600), d.read(0xb604)]).toEqual([0xffff_ff9c, 4]);
    d.write(0xb60c, 0x100);
    d.write(0xb610, 1);
    expect([d.read(0xb600), d.read(0xb604)]).toEqual([0x9c, 6]);
  });

  it("8.16: a sync message of version 2 over Ethernet is stamped once, until RXSTMPH is read", () => {
    const d = new Driver();
    d.write(0xb608, INCREMENT);
    d.write(0x5cbc, 0x4400_88f7);
    d.write(0xb620, 0x10);
    d.write(0x5f50, 0);
    d.startReceive(0);
    const sync = frameOf("ffffffffffff", PEER, 0x88f7, 46);
    sync.fill(0, 14);
    sync.set([0x00, 0x02, 0, 44], 14);
    sync.set(hex("0011223344556677 0001"), 34);
    sync.set([0x12, 0x34], 44);
    d.core.receive(sync);
    expect(d.rxDescriptor(0, 0)[2] & 0x1_0000).toBe(0x1_0000);
    expect(d.read(0xb620) & 1).toBe(1);
    expect([d.read(0xb62c), d.read(0xb630)]).toEqual([0x5544_3322, 0x1234_7766]);
    const first = d.read(0xb624);
    d.run(1_000_000);
    d.core.receive(sync);
    expect(d.rxDescriptor(0, 1)[2] & 0x1_0000).toBe(0);
    expect(d.read(0xb624)).toBe(first);
    d.read(0xb628);
    expect(d.read(0xb620) & 1).toBe(0);
  });

  it("8.16: TYPE chooses what is stamped: version 2 over Ethernet, version 1 or 2 over UDP to port 319, or all event messages", () => {
    /** UDP over IPv4 to port 319, with a message of 44 bytes. */
    const udp = (message: readonly number[]) => {
      const packet = new Uint8Array(72);
      packet.set(hex("4500 0048 0000 0000 4011 0000 0a000001 0a000002 013f 013f 0034 0000"));
      packet.set(message, 28);
      return frameOf(OWN, PEER, 0x0800, packet);
    };
    const layer2 = (message: number) => frameOf(OWN, PEER, 0x88f7, Uint8Array.of(message, 2, ...new Uint8Array(44)));
    // Version 1 has its control field at byte 32: 0 for sync, 1 for a delay request.
    const first = (control: number) => udp([1, 1, ...new Uint8Array(30), control]);
    const frames = [layer2(0), layer2(1), layer2(8), first(0), first(1), udp([0, 2]), udp([1, 2])];
    const stamped = (type: number, configuration: number) => {
      const d = new Driver();
      d.write(0xb608, INCREMENT);
      d.write(0x5cbc, 0x4400_88f7);
      d.write(0x5f50, configuration);
      d.startReceive(0, { count: 32 });
      return frames.map((frame) => {
        d.write(0xb620, 0x10 | (type << 1));
        d.read(0xb628);
        d.core.receive(frame);
        return d.read(0xb620) & 1;
      });
    };
    // TSYNCRXCFG: CTRLT in bits 7:0, MSGT in 11:8.
    expect(stamped(0, 0x000)).toEqual([1, 0, 0, 0, 0, 0, 0]);
    expect(stamped(0, 0x100)).toEqual([0, 1, 0, 0, 0, 0, 0]);
    expect(stamped(1, 0x000)).toEqual([0, 0, 0, 1, 0, 0, 0]);
    expect(stamped(1, 0x001)).toEqual([0, 0, 0, 0, 1, 0, 0]);
    expect(stamped(2, 0x100)).toEqual([0, 1, 0, 0, 0, 0, 1]);
    expect(stamped(5, 0x000)).toEqual([1, 1, 0, 0, 0, 1, 1]);
  });

  it("8.16: a packet whose descriptor has MACTSTAMP leaves a stamp of its end on the wire", () => {
    const d = new Driver();
    d.write(0xb608, INCREMENT);
    d.write(0xb614, 0x10);
    d.startTransmit(0);
    d.queueFrame(0, 0, frameOf(PEER, OWN, 0x88f7), 0x0008_0000);
    d.tail(0, 1);
    expect(d.read(0xb614) & 1).toBe(1);
    expect(d.read(0xb618) + d.read(0xb61c)).toBeGreaterThan(0);
    expect(d.read(0xb614) & 1).toBe(0);
  });

  it("8.15: FRTIMER counts microseconds, milliseconds and seconds", () => {
    const d = new Driver(false);
    d.run(20_034_560_000);
    expect(d.read(0x1048)).toBe((2 << 20) | (3 << 10) | 456);
  });
});
