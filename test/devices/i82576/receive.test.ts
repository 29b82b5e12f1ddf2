import { describe, expect, it } from "vitest";
import { Driver, frameOf, hex, OWN, PEER, REG } from "./driver.ts";

/** A UDP datagram over IPv4 with right checksums: 10.0.0.2:1000 to 10.0.0.1:2000, "test". */
const UDP = hex(
  "4500 0020 0001 0000 4011 66ca 0a00 0002 0a00 0001  03e8 07d0 000c f841 7465 7374 0000 0000 0000 0000 0000 0000 0000",
);

describe("82576 receive descriptors (7.1)", () => {
  it("7.1: the advanced write-back has length, DD, EOP; the frame lies in the buffer without CRC (SECRC)", () => {
    const d = new Driver();
    d.startReceive(0);
    const frame = frameOf(OWN, PEER, 0x88b5);
    d.core.receive(frame);
    const [info, , status, length] = d.rxDescriptor(0, 0);
    expect([info, status, length]).toEqual([0, 3, 60]);
    expect(d.bytes(d.rxBuffer(0, 0), 60)).toEqual(frame);
    expect(d.read(0xc010)).toBe(1);
    expect(d.errors).toEqual([]);
  });

  it("8.10: without SECRC the CRC of 802.3 follows the frame, low byte first", () => {
    const d = new Driver();
    d.startReceive(0, { rctl: 0x8002 });
    const frame = new Uint8Array(60);
    frame.set(hex("ffffffffffff021122334455 0800"));
    d.core.receive(frame);
    const got = d.bytes(d.rxBuffer(0, 0), 64);
    expect(d.rxDescriptor(0, 0)[3]).toBe(64);
    // The residue of a frame with its check sequence: CRC-32 of all of it is 2144DF1Ch.
    expect(crcOf(got)).toBe(0x2144_df1c);
  });

  it("7.1: the legacy write-back has length, checksum, status, errors and tag", () => {
    const d = new Driver();
    d.startReceive(0, { srrctl: 0x2 });
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, UDP));
    const [low, high, length, status] = d.rxDescriptor(0, 0);
    expect([low, high, length & 0xffff, status]).toEqual([d.rxBuffer(0, 0), 0, 60, 0x73]);
  });

  it("7.1: packet type, IP and L4 checksum bits; a wrong sum sets L4E or IPE", () => {
    const d = new Driver();
    d.startReceive(0);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, UDP));
    const wrong = UDP.slice();
    wrong[28] = 0x99;
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, wrong));
    const header = UDP.slice();
    header[8] = 0x3f;
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, header));
    expect(d.rxDescriptor(0, 0)[0]).toBe(0x210);
    expect(d.rxDescriptor(0, 0)[2]).toBe(0x473);
    expect(d.rxDescriptor(0, 1)[2]).toBe(0x2000_0473);
    expect(d.rxDescriptor(0, 2)[2]).toBe(0x4000_0473);
  });

  it("8.10: RXCSUM switches the checks off, and PCSD = 0 gives IP identification and checksum", () => {
    const d = new Driver();
    d.write(REG.RXCSUM, 0);
    d.startReceive(0);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, UDP));
    expect(d.rxDescriptor(0, 0)[2]).toBe(3);
    expect(d.rxDescriptor(0, 0)[1] & 0xffff).toBe(1);
  });

  it("a packet longer than a buffer takes several descriptors; EOP is in the last", () => {
    const d = new Driver();
    d.startReceive(0, { rctl: 0x0400_8022, srrctl: 0x0200_0001 });
    const frame = frameOf(OWN, PEER, 0x88b5, 2600);
    d.core.receive(frame);
    expect([0, 1, 2].map((i) => d.rxDescriptor(0, i)[2])).toEqual([1, 1, 3]);
    expect([0, 1, 2].map((i) => d.rxDescriptor(0, i)[3])).toEqual([1024, 1024, 566]);
    expect(d.bytes(d.rxBuffer(0, 1), 1024)).toEqual(frame.subarray(1024, 2048));
    expect(d.read(0xc010)).toBe(3);
  });

  it("8.2: VME strips the tag into the descriptor and sets VP", () => {
    const d = new Driver();
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x4000_0000);
    d.startReceive(0);
    const frame = frameOf("ffffffffffff", PEER, 0x8100, 60);
    frame.set([0x60, 0x07, 0x88, 0xb5], 14);
    d.core.receive(frame);
    const [, , status, length] = d.rxDescriptor(0, 0);
    expect([status & 0xb, length]).toEqual([0xb, 0x6007_0046]);
    expect(d.bytes(d.rxBuffer(0, 0) + 12, 2)).toEqual(hex("88b5"));
  });

  it("7.1: split puts headers into the header buffer, with SPH and HDR_LEN; the payload into the packet buffer", () => {
    const d = new Driver();
    d.startReceive(0, { srrctl: 0x0400_0202 });
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, UDP));
    const [info, , status, length] = d.rxDescriptor(0, 0);
    expect(info).toBe(0x8000_0210 + (42 << 21));
    expect([status & 3, length]).toEqual([3, 60 - 42]);
    expect(d.bytes(d.rxHeader(0, 0), 42)).toEqual(frameOf("ffffffffffff", PEER, 0x0800, UDP).subarray(0, 42));
    expect(d.bytes(d.rxBuffer(0, 0), 4)).toEqual(hex("74657374"));
  });

  it("7.1: replication copies the headers and leaves the packet whole", () => {
    const d = new Driver();
    d.startReceive(0, { srrctl: 0x0600_0202 });
    d.core.receive(frameOf("ffffffffffff", PEER, 0x0800, UDP));
    expect(d.rxDescriptor(0, 0)[3]).toBe(60);
    expect(d.bytes(d.rxHeader(0, 0), 42)).toEqual(d.bytes(d.rxBuffer(0, 0), 42));
  });

  /** What the descriptor of `frame` tells with SRRCTL's type and a header buffer of `header` bytes: HDR_LEN, SPH, HBO, PKT_LEN. */
  function split(frame: Uint8Array, type: number, header: number, psrtype?: number) {
    const d = new Driver();
    d.startReceive(0, { srrctl: (type << 25) | ((header / 64) << 8) | 2 });
    if (psrtype !== undefined) d.write(0x5480, psrtype);
    d.core.receive(frame);
    const [info, , status, length] = d.rxDescriptor(0, 0);
    const told = [(info >>> 21) & 0x3ff, info >>> 31, (status >>> 23) & 1, length & 0xffff];
    return { d, told, header: d.bytes(d.rxHeader(0, 0), 128), packet: d.bytes(d.rxBuffer(0, 0), 128) };
  }
  /** UDP over IPv4 with all options, 14 + 60 + 8 bytes of headers and 100 of payload. */
  const LONG_HEADERS = frameOf(
    OWN,
    PEER,
    0x0800,
    Uint8Array.of(
      0x4f,
      0,
      0,
      168,
      0,
      1,
      0,
      0,
      64,
      17,
      ...new Uint8Array(54),
      0,
      108,
      0,
      0,
      ...new Uint8Array(100).fill(7),
    ),
  );
  const SHORT_HEADERS = frameOf(
    OWN,
    PEER,
    0x0800,
    Uint8Array.from({ length: 128 }, (_, i) => [0x45, 0, 0, 128, 0, 1, 0, 0, 64, 17][i] ?? i),
  );

  it("7.1: split with headers longer than the header buffer leaves the packet whole, with SPH, HBO and their length", () => {
    const { told, packet } = split(LONG_HEADERS, 2, 64);
    expect(told).toEqual([82, 1, 1, 182]);
    expect(packet).toEqual(LONG_HEADERS.subarray(0, 128));
    expect(split(LONG_HEADERS, 2, 128).told).toEqual([82, 1, 0, 100]);
    expect(split(frameOf(OWN, PEER, 0x88b5), 2, 64).told).toEqual([0, 0, 0, 60]);
  });

  it("7.1: always split: a short packet goes to the header buffer whole; of others as much as it takes, SPH and HBO where headers are longer", () => {
    const short = split(frameOf(OWN, PEER, 0x0800, SHORT_HEADERS.subarray(14, 60)), 5, 64);
    expect(short.told).toEqual([60, 0, 0, 0]);
    expect(short.d.rxDescriptor(0, 0)[2] & 3).toBe(3);
    expect(split(SHORT_HEADERS, 5, 64).told).toEqual([42, 1, 0, 100]);
    const unknown = split(frameOf(OWN, PEER, 0x88b5, 200), 5, 64);
    expect(unknown.told).toEqual([64, 0, 0, 150]);
    const long = split(LONG_HEADERS, 5, 64);
    expect(long.told).toEqual([82, 1, 1, 118]);
    expect(long.header.subarray(0, 64)).toEqual(LONG_HEADERS.subarray(0, 64));
    expect(long.packet.subarray(0, 118)).toEqual(LONG_HEADERS.subarray(64));
  });

  it("7.1: replication of large packets alone: what fits one packet buffer is not copied", () => {
    expect(split(SHORT_HEADERS, 4, 64).told).toEqual([0, 0, 0, 142]);
    const large = new Uint8Array(3000);
    large.set(SHORT_HEADERS);
    large.set([0x0b, 0xaa], 16);
    const d = new Driver();
    d.startReceive(0, { srrctl: 0x0800_0102, rctl: 0x0400_8022 });
    d.core.receive(large);
    expect([d.rxDescriptor(0, 0)[0] >>> 21, d.rxDescriptor(0, 0)[3], d.rxDescriptor(0, 1)[3]]).toEqual([
      0x400 | 42,
      2048,
      952,
    ]);
    expect(d.bytes(d.rxHeader(0, 0), 42)).toEqual(large.subarray(0, 42));
    expect(d.bytes(d.rxBuffer(0, 0), 42)).toEqual(large.subarray(0, 42));
  });

  it("8.10: PSRTYPE says at which headers: 3 with UDP over IPv4, 1 behind IPv4, neither for none", () => {
    expect(split(SHORT_HEADERS, 2, 64, 1 << 3).told[0]).toBe(42);
    expect(split(SHORT_HEADERS, 2, 64, 1 << 1).told[0]).toBe(34);
    expect(split(SHORT_HEADERS, 2, 64, 0x7_ffff & ~0xa).told[0]).toBe(0);
  });

  it("8.10: bits 7 to 9 do so for IPv6, alone, with TCP, with UDP", () => {
    const six = (next: number) => {
      const packet = new Uint8Array(140);
      packet.set([0x60, 0, 0, 0, 0, 100, next, 64]);
      if (next === 6) packet[40 + 12] = 0x50;
      return frameOf(OWN, PEER, 0x86dd, packet);
    };
    expect([7, 8, 9].map((bit) => split(six(6), 2, 128, 1 << bit).told[0])).toEqual([54, 74, 0]);
    expect([7, 8, 9].map((bit) => split(six(17), 2, 128, 1 << bit).told[0])).toEqual([54, 0, 62]);
  });

  it("8.10: descriptors below WTHRESH are written back together, at the latest when EITR's interval is over", () => {
    const d = new Driver();
    d.write(REG.GPIE, 0x10);
    d.write(REG.IVAR, 0x80);
    d.write(REG.EITR, 0x8000_0000 | (200 << 2));
    d.write(REG.EIAC, 1);
    d.write(REG.EIMS, 1);
    d.startReceive(0, { wthresh: 4 });
    const frame = frameOf(OWN, PEER, 0x88b5);
    d.write(REG.EICS, 1);
    for (let i = 0; i < 3; i++) d.core.receive(frame);
    expect(d.received(0)).toHaveLength(0);
    d.core.receive(frame);
    expect(d.received(0)).toHaveLength(4);
    d.core.receive(frame);
    expect(d.received(0)).toHaveLength(0);
    d.run(2_000_000);
    expect(d.received(0)).toHaveLength(1);
    expect(d.host.sent).toHaveLength(2);
  });
});

describe("82576 receive without descriptors (7.1, 8.14)", () => {
  it("packets wait in the packet buffer and go on when the tail moves; the wait is counted in RNBC", () => {
    const d = new Driver();
    d.startReceive(0, { count: 4 });
    for (let i = 0; i < 5; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5, 46 + i));
    expect(d.received(0)).toHaveLength(3);
    expect(d.read(0x40a0)).toBeGreaterThan(0);
    for (let i = 0; i < 4; i++) d.fillDescriptor(0, i);
    d.write(0xc018, 2);
    expect(d.received(0).map((f) => f.length)).toEqual([63, 64]);
  });

  it("beyond RXPBS KiB packets are missed: MPC, ICR.RXMISS", () => {
    const d = new Driver();
    d.write(0x2404, 2);
    d.startReceive(0, { count: 2 });
    for (let i = 0; i < 4; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5, 1000));
    expect(d.read(0x4010)).toBe(1);
    expect(d.read(REG.ICR) & 0x40).toBe(0x40);
  });

  it("8.10: DROP_EN drops instead and counts in RQDPC; other queues go on", () => {
    const d = new Driver();
    d.startReceive(0, { count: 2, srrctl: 0x8200_0002 });
    for (let i = 0; i < 3; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect(d.received(0)).toHaveLength(1);
    expect([d.read(0xc030), d.read(0xc030)]).toEqual([2, 0]);
  });

  it("8.10: RDMTS raises RXDMT0 when few descriptors are left", () => {
    const d = new Driver();
    d.startReceive(0, { count: 24, srrctl: 0x0210_0002 });
    for (let i = 0; i < 7; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect(d.read(REG.ICR) & 0x10).toBe(0);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect(d.read(REG.ICR) & 0x10).toBe(0x10);
  });

  it("a disabled queue or receiver gets nothing", () => {
    const d = new Driver();
    d.startReceive(0);
    d.write(0xc028, 0);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    d.write(0xc028, 0x0200_0000);
    d.write(REG.RCTL, 0x0400_8000);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect(d.rxDescriptor(0, 0)[2] & 1).toBe(0);
  });
});

describe("82576 PAUSE frames (8.5, 802.3 annex 31B)", () => {
  const pause = (quanta: number) =>
    frameOf("0180c2000001", PEER, 0x8808, Uint8Array.of(0, 1, quanta >> 8, quanta & 255, ...new Uint8Array(42)));

  it("with RFCE an XOFF stops the transmitter for its quanta of 512 bit times, XON lets it go", () => {
    const d = new Driver();
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x0800_0000);
    d.startReceive(0);
    d.startTransmit(0);
    d.core.receive(pause(1000));
    expect(d.read(REG.STATUS) & 0x10).toBe(0x10);
    d.queueFrame(0, 0, frameOf(PEER, OWN, 0x88b5));
    d.tail(0, 1);
    expect(d.wire).toHaveLength(0);
    d.run(5_120_000);
    expect(d.wire).toHaveLength(1);
    d.core.receive(pause(1000));
    d.core.receive(pause(0));
    d.send(0, frameOf(PEER, OWN, 0x88b5));
    expect(d.wire).toHaveLength(2);
    expect([d.read(0x4050), d.read(0x4048)]).toEqual([2, 1]);
    expect(d.received(0)).toHaveLength(0);
  });

  it("with TFCE the packet buffer above FCRTH sends XOFF with FCTTV, below FCRTL with XONE XON", () => {
    const d = new Driver();
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x1000_0000);
    d.write(0x2168, 0x800);
    d.write(0x2160, 0x8000_0400);
    d.write(0x0170, 0x1234);
    d.startReceive(0, { count: 2 });
    for (let i = 0; i < 4; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5, 1000));
    expect(d.wire).toHaveLength(1);
    expect(d.wire[0]?.subarray(0, 18)).toEqual(hex("0180c2000001 021122334455 8808 0001 1234"));
    for (const tail of [0, 1, 0]) d.write(0xc018, tail);
    expect(d.wire[1]?.subarray(14, 18)).toEqual(hex("0001 0000"));
    expect([d.read(0x4054), d.read(0x404c)]).toEqual([1, 1]);
  });

  it("8.5: with FCRTV another XOFF goes out when that many quanta of the last one are left, until the level is below FCRTL", () => {
    const d = new Driver();
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x1000_0000);
    d.write(0x2168, 0x800);
    d.write(0x2160, 0x8000_0400);
    d.write(0x0170, 1000);
    d.write(0x2460, 400);
    d.startReceive(0, { count: 2 });
    for (let i = 0; i < 4; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5, 1000));
    // 600 quanta of 512 ns at 1 Gb/s, in units of 100 ps.
    const sent = [3_071_999, 1, 3_071_999, 1].map((time) => {
      d.run(time);
      return d.wire.length;
    });
    expect(sent).toEqual([1, 2, 2, 3]);
    expect(d.read(0x4054)).toBe(3);
    for (const tail of [0, 1, 0]) d.write(0xc018, tail);
    d.run(10_000_000);
    expect(d.wire).toHaveLength(4);
    expect(d.wire[3]?.subarray(14, 18)).toEqual(hex("0001 0000"));
  });

  it("8.18: PAUSE to the station's own address counts too; the host sees it unless RCTL.DPF, others with RCTL.PMCF alone", () => {
    const d = new Driver();
    d.startReceive(0, { rctl: 0x0400_8012 });
    const own = frameOf(OWN, PEER, 0x8808, Uint8Array.of(0, 1, 0, 9, ...new Uint8Array(42)));
    const other = frameOf("0180c2000001", PEER, 0x8808, Uint8Array.of(1, 1, 0, 9, ...new Uint8Array(42)));
    const seen = [0, 1 << 22, 1 << 23].map((bits) => {
      d.write(REG.RCTL, 0x0400_8012 | bits);
      return [own, pause(9), other].map((frame) => {
        d.core.receive(frame);
        return d.received(0).length;
      });
    });
    expect(seen).toEqual([
      [1, 0, 0],
      [0, 0, 0],
      [1, 1, 1],
    ]);
    // XOFFRXC, FCRUC.
    expect([d.read(0x4050), d.read(0x4058)]).toEqual([6, 3]);
  });
});

function crcOf(data: Uint8Array): number {
  let c = 0xffff_ffff;
  for (const byte of data) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb8_8320 : c >>> 1;
  }
  return ~c >>> 0;
}
