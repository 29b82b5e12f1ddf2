import { describe, expect, it } from "vitest";
import type { Frame } from "../../../src/net/index.ts";
import { Driver, frameOf, hex, OWN, PEER, REG } from "./driver.ts";

const FRAME = frameOf(PEER, OWN, 0x88b5);
const word = (f: Frame | undefined, at: number) => ((f?.[at] ?? 0) << 8) | (f?.[at + 1] ?? 0);
/** RFC 1071 sum of `from` to `end` plus `start`, folded. */
function sum(f: Frame, from: number, end: number, start = 0): number {
  let s = start;
  for (let i = from; i < end; i++) s += (i - from) % 2 === 0 ? (f[i] ?? 0) << 8 : (f[i] ?? 0);
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

describe("82576 transmit descriptors (7.2)", () => {
  it("an advanced data descriptor sends its buffer; with RS the write-back sets DD", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.send(0, FRAME);
    expect(d.wire).toEqual([FRAME]);
    expect(d.txStatus(0, 0) & 1).toBe(1);
    expect(d.read(0xe010)).toBe(1);
    expect(d.read(REG.ICR) & 1).toBe(1);
    expect(d.errors).toEqual([]);
  });

  it("without RS nothing is written back", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.queueFrame(0, 0, FRAME);
    d.poke32(d.txRing(0) + 8, 0x2330_0000 | 60);
    d.tail(0, 1);
    expect(d.wire).toHaveLength(1);
    expect(d.txStatus(0, 0) & 1).toBe(0);
  });

  it("7.2: a legacy descriptor; IC sums from CSS to the end and stores at CSO", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.put(d.txBuffer(0, 0), FRAME);
    d.txDescriptor(0, 0, d.txBuffer(0, 0), 0, 0x0f00_0000 | (50 << 16) | 60, 20 << 8);
    d.tail(0, 1);
    const sent = d.wire[0] as Frame;
    expect(word(sent, 50)).toBe(~sum(FRAME, 20, 60) & 0xffff);
    expect(d.txStatus(0, 0) & 1).toBe(1);
  });

  it("a packet in several descriptors goes when its EOP is there, not before", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.put(d.txBuffer(0, 0), FRAME);
    d.txDescriptor(0, 0, d.txBuffer(0, 0), 0, 0x2230_0000 | 20, 60 << 14);
    d.tail(0, 1);
    expect(d.wire).toHaveLength(0);
    d.txDescriptor(0, 1, d.txBuffer(0, 0) + 20, 0, 0x2b30_0000 | 40, 0);
    d.tail(0, 2);
    expect(d.wire).toEqual([FRAME]);
  });

  it("short frames are padded to 60 bytes", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.send(0, FRAME.slice(0, 20));
    expect(d.wire[0]).toHaveLength(60);
    expect(d.wire[0]?.subarray(20)).toEqual(new Uint8Array(40));
  });

  it("7.2: head write-back stores TDH instead of writing descriptors", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.write(0xe038, (d.txRing(0) + 0x800) | 1);
    d.write(0xe03c, 0);
    d.send(0, FRAME);
    expect(d.peek32(d.txRing(0) + 0x800)).toBe(1);
    expect(d.txStatus(0, 0) & 1).toBe(0);
  });

  it("8.12: WTHRESH gathers write-backs; SWFLSH sends them", () => {
    const d = new Driver();
    d.write(REG.GPIE, 0x10);
    d.write(REG.IVAR, 0x8000);
    d.write(REG.EITR, 0x8000_0000 | (8000 << 2));
    d.write(REG.EIMS, 1);
    d.write(REG.EIAC, 1);
    d.write(REG.EICS, 1);
    d.startTransmit(0, 16, 3);
    d.send(0, FRAME);
    d.send(0, FRAME);
    expect(d.txStatus(0, 0) & 1).toBe(0);
    d.send(0, FRAME);
    expect([0, 1, 2].map((i) => d.txStatus(0, i) & 1)).toEqual([1, 1, 1]);
    d.send(0, FRAME);
    expect(d.txStatus(0, 3) & 1).toBe(0);
    d.write(0xe028, 0x0603_0000);
    expect(d.txStatus(0, 3) & 1).toBe(1);
  });

  it("nothing leaves while the link is down or TCTL.EN is clear", () => {
    const d = new Driver();
    d.startTransmit(0);
    d.core.setCarrier(false);
    d.send(0, FRAME);
    expect(d.wire).toHaveLength(0);
    d.core.setCarrier(true);
    d.run(20_000_000_000);
    expect(d.wire).toHaveLength(1);
    d.write(REG.TCTL, 8);
    d.send(0, FRAME);
    expect(d.wire).toHaveLength(1);
  });

  it("PHY loopback gives sent frames back", () => {
    const d = new Driver();
    d.write(REG.MDIC, (1 << 26) | (1 << 21) | 0x4140);
    d.startReceive(0);
    d.startTransmit(0);
    d.send(0, frameOf("ffffffffffff", OWN, 0x88b5));
    expect(d.wire).toHaveLength(0);
    expect(d.received(0)).toHaveLength(1);
  });
});

/** Headers of TCP over IPv4, 10.0.0.1:80 to 10.0.0.2:4660; the checksum field holds the pseudo header's sum without length. */
const TCP = hex("4500 0000 1234 4000 4006 0000 0a00 0001 0a00 0002  0050 1234 0000 1000 0000 2000 501b 0100 1409 0000");
/** Context: MACLEN 14, IPLEN 20, TCP, IPv4, L4LEN 20. */
function context(d: Driver, q: number, i: number, mss: number, vlan = 0): void {
  d.txDescriptor(q, i, (vlan << 16) | (14 << 9) | 20, 0, 0x2020_0000 | (1 << 10) | (1 << 11), (mss << 16) | (20 << 8));
}

describe("82576 transmit offloads (7.2)", () => {
  it("7.2: TXSM and IXSM insert sums that are right", () => {
    const d = new Driver();
    d.startTransmit(0);
    const frame = frameOf(PEER, OWN, 0x0800, Uint8Array.of(...TCP, ...new Uint8Array(32).fill(7)));
    frame[16] = 0;
    frame[17] = 72;
    // The whole pseudo header, length among it.
    frame[50] = 0x14;
    frame[51] = 0x3d;
    context(d, 0, 0, 0);
    d.queueFrame(0, 1, frame, 0, 0x300);
    d.tail(0, 2);
    const sent = d.wire[0] as Frame;
    expect(sum(sent, 14, 34)).toBe(0xffff);
    expect(sum(sent, 34, 86, 0x0a00 + 1 + 0x0a00 + 2 + 6 + 52)).toBe(0xffff);
    expect(d.read(0xe010)).toBe(2);
  });

  it("7.2: a large send becomes segments: lengths, identification, sequence, flags, sums", () => {
    const d = new Driver();
    d.startTransmit(0);
    const data = frameOf(PEER, OWN, 0x0800, Uint8Array.of(...TCP, ...new Uint8Array(1100).map((_, i) => i)));
    context(d, 0, 0, 500);
    d.queueFrame(0, 1, data, 0x8000_0000, 0x300);
    d.tail(0, 2);
    expect(d.wire.map((f) => f.length)).toEqual([554, 554, 154]);
    expect(d.wire.map((f) => word(f, 16))).toEqual([540, 540, 140]);
    expect(d.wire.map((f) => word(f, 18))).toEqual([0x1234, 0x1235, 0x1236]);
    expect(d.wire.map((f) => word(f, 40))).toEqual([0x1000, 0x11f4, 0x13e8]);
    // FIN and PSH (09h) in the last alone, as DTXTCPFLG's reset values say.
    expect(d.wire.map((f) => f[47])).toEqual([0x12, 0x12, 0x1b]);
    for (const f of d.wire) {
      expect(sum(f, 14, 34)).toBe(0xffff);
      expect(sum(f, 34, f.length, 0x0a00 + 1 + 0x0a00 + 2 + 6 + f.length - 34)).toBe(0xffff);
    }
    expect(d.read(0x40f8)).toBe(1);
  });

  it("7.2: a large send of TCP over IPv6: payload lengths without the header of 40 bytes, sums with the right lengths", () => {
    const d = new Driver();
    d.startTransmit(0);
    const ip = [0x60, 0, 0, 0, 0, 0, 6, 64, ...new Uint8Array(31), 1];
    const tcp = [0, 80, 0, 81, 0, 0, 0x10, 0, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0];
    // The pseudo header without length: address 1, protocol 6.
    tcp[17] = 7;
    const data = frameOf(PEER, OWN, 0x86dd, Uint8Array.of(...ip, ...tcp, ...new Uint8Array(1000).fill(9)));
    d.txDescriptor(0, 0, (14 << 9) | 40, 0, 0x2020_0000 | (1 << 11), ((400 << 16) | (20 << 8)) >>> 0);
    d.queueFrame(0, 1, data, 0x8000_0000, 0x200);
    d.tail(0, 2);
    expect(d.wire.map((f) => [f.length, word(f, 18), word(f, 60)])).toEqual([
      [474, 420, 0x1000],
      [474, 420, 0x1190],
      [274, 220, 0x1320],
    ]);
    for (const f of d.wire) expect(sum(f, 54, f.length, 1 + 6 + f.length - 54)).toBe(0xffff);
    // PSH in the last alone.
    expect(d.wire.map((f) => f[67])).toEqual([0x10, 0x10, 0x18]);
  });

  it("7.2: a large send of UDP over IPv4: a length of its own in each datagram, identifications that follow", () => {
    const d = new Driver();
    d.startTransmit(0);
    const ip = hex("4500 0000 00ff 0000 4011 0000 0a000001 0a000002");
    const udp = [0, 53, 0, 54, 0, 0, 0x14, 0x14];
    const data = frameOf(PEER, OWN, 0x0800, Uint8Array.of(...ip, ...udp, ...new Uint8Array(250).fill(5)));
    d.txDescriptor(0, 0, (14 << 9) | 20, 0, 0x2020_0000 | (1 << 10), ((100 << 16) | (8 << 8)) >>> 0);
    d.queueFrame(0, 1, data, 0x8000_0000, 0x300);
    d.tail(0, 2);
    expect(d.wire.map((f) => [word(f, 16), word(f, 18), word(f, 38)])).toEqual([
      [128, 0xff, 108],
      [128, 0x100, 108],
      [78, 0x101, 58],
    ]);
    for (const f of d.wire) {
      expect(sum(f, 14, 34)).toBe(0xffff);
      expect(sum(f, 34, f.length, 0x0a00 + 1 + 0x0a00 + 2 + 17 + f.length - 34)).toBe(0xffff);
    }
  });

  it("7.2: VLE inserts the context's tag with VET behind the addresses", () => {
    const d = new Driver();
    d.startTransmit(0);
    context(d, 0, 0, 0, 0x6005);
    d.queueFrame(0, 1, FRAME, 0x4000_0000);
    d.tail(0, 2);
    expect(d.wire[0]?.subarray(12, 18)).toEqual(hex("8100 6005 88b5"));
  });

  it("two contexts a queue: IDX chooses", () => {
    const d = new Driver();
    d.startTransmit(0);
    context(d, 0, 0, 0, 1);
    context(d, 0, 1, 0, 2);
    d.poke32(d.txRing(0) + 28, 0x10);
    d.queueFrame(0, 2, FRAME, 0x4000_0000, 0x10);
    d.queueFrame(0, 3, FRAME, 0x4000_0000, 0);
    d.tail(0, 4);
    expect(d.wire.map((f) => word(f, 14))).toEqual([2, 1]);
  });

  it("SCTP: TXSM inserts the CRC-32C", () => {
    const d = new Driver();
    d.startTransmit(0);
    // RFC 3720 B.4: the CRC-32C of 32 bytes of zeros is 8A9136AAh, low byte first on the wire.
    const frame = frameOf(
      PEER,
      OWN,
      0x0800,
      Uint8Array.of(...hex("4500 0034 0000 0000 4084 0000 0a000001 0a000002"), ...new Uint8Array(32)),
    );
    d.txDescriptor(0, 0, (14 << 9) | 20, 0, 0x2020_0000 | (1 << 10) | (2 << 11), 12 << 8);
    d.queueFrame(0, 1, frame, 0, 0x200);
    d.tail(0, 2);
    expect(d.wire[0]?.subarray(42, 46)).toEqual(hex("aa36918a"));
  });
});

describe("82576 transmit arbitration (7.2, 8.12)", () => {
  it("queues take turns; high priority goes first", () => {
    const d = new Driver();
    for (const q of [0, 1, 2]) {
      d.startTransmit(q);
      for (let i = 0; i < 2; i++) d.queueFrame(q, i, frameOf(PEER, OWN, 0x9000 + 16 * q + i));
    }
    d.write(0xe0a8, 0x0a00_0000);
    for (const q of [0, 1, 2]) d.write(0xe018 + 0x40 * q, 2);
    d.run(1_000_000);
    expect(d.wire.map((f) => word(f, 12))).toEqual([0x9020, 0x9021, 0x9000, 0x9010, 0x9001, 0x9011]);
  });

  it("the wire's speed is kept: 1000 frames of 1,514 bytes take 12.3 ms less what the packet buffer holds", () => {
    const d = new Driver();
    d.startTransmit(0, 2048);
    const long = frameOf(PEER, OWN, 0x88b5, 1500);
    d.put(d.txRing(0) + 0xa000, long);
    for (let i = 0; i < 1000; i++) d.txDescriptor(0, i, d.txRing(0) + 0xa000, 0, 0x2b30_0000 | 1514, 1514 << 14);
    d.write(0xe018, 1000);
    d.run(119_700_000 - 6_000_000);
    expect(d.wire.length).toBeGreaterThan(930);
    expect(d.wire.length).toBeLessThan(1000);
    d.run(8_000_000);
    expect(d.wire).toHaveLength(1000);
  });

  it("RTTDQSEL and RTTBCNRC: each pool has its own limit; what one leaves of the line is the others'", () => {
    const d = new Driver();
    d.write(REG.MRQC, 3);
    const long = frameOf(PEER, OWN, 0x88b5, 1500);
    // Pool 1 at a twentieth, pool 2 at a fifth of 1 Gb/s, pool 3 without limit.
    for (const [pool, factor] of [
      [1, 20],
      [2, 5],
      [3, 0],
    ] as const) {
      d.startTransmit(pool, 2048);
      long[13] = pool;
      d.put(d.txRing(pool) + 0xa000, long);
      for (let i = 0; i < 2000; i++)
        d.txDescriptor(pool, i, d.txRing(pool) + 0xa000, 0, 0x2b30_0000 | 1514, 1514 << 14);
      d.write(0x3604, pool);
      d.write(0x36b0, factor === 0 ? 0 : 0x8000_0000 | (factor << 14));
      expect(d.read(0x36b0)).toBe(factor === 0 ? 0 : 0x8000_0000 + (factor << 14));
    }
    for (const pool of [1, 2, 3]) d.write(0xe018 + 0x40 * pool, 2000);
    d.run(100_000_000);
    // 10 ms of the line are 812.7 frames, and 26.6 more are in the packet buffer of 40 KiB; of pool 1 40.6, of pool 2 162.5.
    const sent = [1, 2, 3].map((pool) => d.wire.filter((f) => f[13] === pool).length);
    expect(sent[0]).toBeGreaterThanOrEqual(40);
    expect(sent[0]).toBeLessThanOrEqual(42);
    expect(sent[1]).toBeGreaterThanOrEqual(162);
    expect(sent[1]).toBeLessThanOrEqual(164);
    expect(d.wire.length).toBeGreaterThanOrEqual(838);
    expect(d.wire.length).toBeLessThanOrEqual(841);
  });

  it("RTTBCNRC: a rate factor of 10 lets a queue send at 100 Mb/s", () => {
    const d = new Driver();
    d.startTransmit(3, 2048);
    d.write(0x3604, 3);
    d.write(0x36b0, 0x8000_0000 | (10 << 14));
    const long = frameOf(PEER, OWN, 0x88b5, 1500);
    d.put(d.txRing(3) + 0xa000, long);
    for (let i = 0; i < 100; i++) d.txDescriptor(3, i, d.txRing(3) + 0xa000, 0, 0x2b30_0000 | 1514, 1514 << 14);
    d.write(0xe0d8, 100);
    d.run(60_000_000);
    // 6 ms at 100 Mb/s are 75,000 bytes, 48.8 frames with preamble, check sequence and gap.
    expect(d.wire.length).toBeGreaterThanOrEqual(48);
    expect(d.wire.length).toBeLessThanOrEqual(50);
  });
});
