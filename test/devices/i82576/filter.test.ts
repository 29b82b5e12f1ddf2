import { describe, expect, it } from "vitest";
import { Driver, frameOf, hex, OWN, PEER, REG } from "./driver.ts";

const other = "0600deadbeef";
const arrives = (d: Driver, to: string, type = 0x88b5) => {
  d.core.receive(frameOf(to, PEER, type));
  return d.received(0).length;
};

describe("82576 address and VLAN filters (7.1)", () => {
  it("7.1: exact unicast matches with AV; others only with UPE", () => {
    const d = new Driver();
    d.startReceive(0);
    expect([arrives(d, OWN), arrives(d, other)]).toEqual([1, 0]);
    d.write(0x54e8, 0xadde_0006);
    d.write(0x54ec, 0x8000_efbe);
    expect(arrives(d, other)).toBe(1);
    d.write(0x54ec, 0xefbe);
    expect(arrives(d, other)).toBe(0);
    d.write(REG.RCTL, 0x0400_800a);
    expect(arrives(d, other)).toBe(1);
  });

  it("7.1: multicast by MTA, bits 47:36 of the address with RCTL.MO 0, or all with MPE; broadcast with BAM", () => {
    const d = new Driver();
    d.startReceive(0);
    const group = "01005e0000fb";
    expect(arrives(d, group)).toBe(0);
    // FB00h >> 4 = FB0h: word 7Dh, bit 10h.
    d.write(REG.MTA + 4 * 0x7d, 1 << 0x10);
    expect(arrives(d, group)).toBe(1);
    expect(d.rxDescriptor(0, 0)[0] & 0xf).toBe(0);
    d.write(REG.MTA + 4 * 0x7d, 0);
    d.write(REG.RCTL, 0x0400_8012);
    expect(arrives(d, group)).toBe(1);
    d.write(REG.RCTL, 0x0400_0002);
    expect([arrives(d, group), arrives(d, "ffffffffffff")]).toEqual([0, 0]);
  });

  it("7.1: unicast by UTA, as multicast by MTA; PIF, bit 7 of the status, says that only a hash matched", () => {
    const d = new Driver();
    d.startReceive(0);
    // EFBEh >> 4 = EFBh: word 77h, bit 1Bh.
    d.write(0xa000 + 4 * 0x77, 1 << 0x1b);
    expect([arrives(d, other), arrives(d, "0600deadbe0f"), arrives(d, OWN)]).toEqual([1, 0, 1]);
    d.write(0xa000 + 4 * 0x77, 0);
    expect(arrives(d, other)).toBe(0);
    const status = (to: string) => {
      const e = new Driver();
      e.startReceive(0);
      e.write(0xa000 + 4 * 0x77, 1 << 0x1b);
      e.core.receive(frameOf(to, PEER, 0x88b5));
      return e.rxDescriptor(0, 0)[2] & 0x83;
    };
    expect([status(other), status(OWN)]).toEqual([0x83, 3]);
  });

  it("8.2: with CTRL_EXT.EXTENDED_VLAN the inner tag is filtered and stripped; the outer one, of VET's upper half, stays", () => {
    const d = new Driver();
    d.startReceive(0, { rctl: 0x0404_8002 });
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x4000_0000);
    d.write(REG.CTRL_EXT, 0x0400_0000);
    d.write(REG.VET, 0x88a8_8100);
    const frame = frameOf(OWN, PEER, 0x88a8, 60);
    frame.set(hex("0007 8100 0064 88b5"), 14);
    d.core.receive(frame);
    expect(d.received(0)).toHaveLength(0);
    d.write(REG.VFTA + 4 * 3, 1 << 4);
    d.core.receive(frame);
    const [, , status, length] = d.rxDescriptor(0, 0);
    expect([status & 0xb, length]).toEqual([0xb, 0x0064_0000 | (frame.length - 4)]);
    expect(d.bytes(d.rxBuffer(0, 0) + 12, 6)).toEqual(hex("88a8 0007 88b5"));
  });

  it("7.1: with VFE a tagged packet needs its bit in VFTA", () => {
    const d = new Driver();
    d.startReceive(0, { rctl: 0x0404_8002 });
    const tagged = frameOf(OWN, PEER, 0x8100, 60);
    tagged.set([0x20, 0x64], 14);
    d.core.receive(tagged);
    expect(d.received(0)).toHaveLength(0);
    d.write(REG.VFTA + 4 * 3, 1 << 4);
    d.core.receive(tagged);
    expect(d.received(0)).toHaveLength(1);
    expect(arrives(d, OWN)).toBe(1);
  });

  it("8.10: packets beyond 1,518 bytes need LPE, and RLPML then", () => {
    const d = new Driver();
    d.startReceive(0);
    d.core.receive(frameOf(OWN, PEER, 0x88b5, 1501));
    expect(d.received(0)).toHaveLength(0);
    expect(d.read(0x40ac)).toBe(1);
    d.write(REG.RLPML, 1600);
    d.write(REG.RCTL, 0x0400_8022);
    d.core.receive(frameOf(OWN, PEER, 0x88b5, 1501));
    expect(d.received(0)).toHaveLength(1);
    d.core.receive(frameOf(OWN, PEER, 0x88b5, 1590));
    expect(d.received(0)).toHaveLength(0);
  });
});

/** The verification suite of Microsoft's RSS specification: key, packets, results. */
const KEY = hex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa");
const IPV4: readonly (readonly [string, string, number, number, number, number])[] = [
  ["420995bb", "a18e6450", 2794, 1766, 0x323e_8fc2, 0x51cc_c178],
  ["c75c6f02", "41458c53", 14230, 4739, 0xd718_262a, 0xc626_b0ea],
  ["1813c65f", "0c16cfb8", 12898, 38024, 0xd2d0_a5de, 0x5c2b_394a],
  ["261bcd1e", "d18ea306", 48228, 2217, 0x8298_9176, 0xafc7_327f],
  ["9927a3bf", "cabc7f02", 44251, 1303, 0x5d18_09c5, 0x10e8_28a2],
];
const IPV6: readonly (readonly [string, string, number, number, number, number])[] = [
  ["3ffe2501020000030000000000000001" as string, "3ffe2501020100030000000000000001" as string, 2794, 1766, 0, 0],
];

function ip4(source: string, destination: string, protocol: number, from: number, to: number): Uint8Array {
  const l4 = new Uint8Array(20);
  l4.set([from >> 8, from & 255, to >> 8, to & 255]);
  l4[12] = 0x50;
  return Uint8Array.of(
    ...hex("4500 0028 0000 0000 40"),
    protocol,
    0,
    0,
    ...hex(source),
    ...hex(destination),
    ...l4,
    ...new Uint8Array(6),
  );
}

describe("82576 receive side scaling (7.1)", () => {
  const rss = (fields: number) => {
    const d = new Driver();
    for (let i = 0; i < 10; i++) {
      d.write(
        REG.RSSRK + 4 * i,
        (KEY[4 * i] ?? 0) |
          ((KEY[4 * i + 1] ?? 0) << 8) |
          ((KEY[4 * i + 2] ?? 0) << 16) |
          ((KEY[4 * i + 3] ?? 0) << 24),
      );
    }
    d.write(REG.RXCSUM, 0x2000);
    d.write(REG.MRQC, (fields << 16) | 2);
    d.startReceive(0, { rctl: 0x0400_800a });
    return d;
  };

  it.each(IPV4)(
    "the Toeplitz hash of %s to %s with ports %i and %i is the specification's",
    (source, destination, from, to, plain, tcp) => {
      const d = rss(3);
      d.core.receive(frameOf(OWN, PEER, 0x0800, ip4(source, destination, 6, from, to)));
      d.core.receive(frameOf(OWN, PEER, 0x0800, ip4(source, destination, 17, from, to)));
      expect([d.rxDescriptor(0, 0)[1], d.rxDescriptor(0, 0)[0] & 0xf]).toEqual([tcp, 1]);
      expect([d.rxDescriptor(0, 1)[1], d.rxDescriptor(0, 1)[0] & 0xf]).toEqual([plain, 2]);
    },
  );

  it.each(IPV6)("IPv6 addresses %s to %s: the hash has type 5 and is not zero", (source, destination) => {
    const d = rss(1 << 4);
    d.core.receive(
      frameOf(
        OWN,
        PEER,
        0x86dd,
        Uint8Array.of(...hex("6000 0000 0014 06 40"), ...hex(source), ...hex(destination), ...new Uint8Array(20)),
      ),
    );
    expect(d.rxDescriptor(0, 0)[0] & 0xf).toBe(5);
    expect(d.rxDescriptor(0, 0)[1]).not.toBe(0);
  });

  it("8.10: the low seven bits of the hash choose the queue in RETA", () => {
    const d = rss(3);
    d.startReceive(5, { rctl: 0x0400_800a });
    // 51CCC178h: entry 78h, byte 0 of word 1Eh.
    d.write(REG.RETA + 4 * 0x1e, 5);
    d.core.receive(frameOf(OWN, PEER, 0x0800, ip4("420995bb", "a18e6450", 6, 2794, 1766)));
    expect([d.received(0).length, d.received(5).length]).toEqual([0, 1]);
    expect(arrives(d, OWN)).toBe(1);
  });

  it("8.11: EType and five-tuple filters choose queues before RSS", () => {
    const d = rss(3);
    d.startReceive(3, { rctl: 0x0400_800a });
    d.startReceive(6, { rctl: 0x0400_800a });
    d.write(0x5cb4, 0x8403_88b5);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect(d.rxDescriptor(3, 0)[0]).toBe(0x8010);
    expect(d.received(3)).toHaveLength(1);
    // Protocol 6, source port 2794 (0AEAh, network order), any addresses, any destination port.
    d.write(0x59c0, 0xea0a);
    d.write(0x5a80, 0x2_0000);
    d.write(0x59e0, 0x6006_8106);
    d.core.receive(frameOf(OWN, PEER, 0x0800, ip4("420995bb", "a18e6450", 6, 2794, 1766)));
    d.core.receive(frameOf(OWN, PEER, 0x0800, ip4("420995bb", "a18e6450", 6, 2795, 1766)));
    expect(d.received(6)).toHaveLength(1);
  });
});
