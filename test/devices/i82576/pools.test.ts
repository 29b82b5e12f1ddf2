import { describe, expect, it } from "vitest";
import { Driver, frameOf, hex, PEER, REG } from "./driver.ts";

const MACS = ["020000000001", "020000000002", "020000000003"] as const;

/** VMDq (MRQC 3) with pools 0 to 2, each with an address, broadcast and untagged packets accepted, receive and transmit queues on. */
function pools(options: { loopback?: boolean; vfs?: number } = {}): Driver {
  const d = new Driver();
  if (options.vfs) d.core.setVirtualFunctions(options.vfs);
  d.write(REG.MRQC, 3);
  d.write(REG.VT_CTL, 0x4000_0000 | (7 << 7));
  MACS.forEach((mac, p) => {
    const m = hex(mac);
    d.write(REG.RAL + 8 * (p + 1), (m[0] ?? 0) | ((m[1] ?? 0) << 8) | ((m[2] ?? 0) << 16) | ((m[3] ?? 0) << 24));
    d.write(REG.RAH + 8 * (p + 1), (0x8000_0000 | (1 << (18 + p)) | (m[4] ?? 0) | ((m[5] ?? 0) << 8)) >>> 0);
    d.write(REG.VMOLR + 4 * p, 0x8900_2600);
    d.startReceive(p);
    d.startTransmit(p);
  });
  if (options.loopback !== false) d.write(REG.DTXSWC, 0x8000_0000);
  return d;
}
const counts = (d: Driver) => [0, 1, 2].map((p) => d.received(p).length);

describe("82576 pools: packets from the network (7.10)", () => {
  it("unicast goes to the pool of RAH.POOLSEL", () => {
    const d = pools();
    d.core.receive(frameOf(MACS[1], PEER, 0x88b5));
    expect(counts(d)).toEqual([0, 1, 0]);
  });

  it("broadcast is replicated to pools with BAM; without RPL_EN one pool gets it", () => {
    const d = pools();
    d.write(REG.VMOLR + 4, 0x8100_2600);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x88b5));
    expect(counts(d)).toEqual([1, 0, 1]);
    d.write(REG.VT_CTL, 7 << 7);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x88b5));
    expect(counts(d)).toEqual([1, 0, 0]);
  });

  it("multicast goes to pools with ROMPE when its bit of MTA is set, and to those with MPE", () => {
    const d = pools();
    d.write(REG.VMOLR + 8, 0x9100_2600);
    d.write(REG.VMOLR, 0x8300_2600);
    d.core.receive(frameOf("01005e0000fb", PEER, 0x88b5));
    expect(counts(d)).toEqual([0, 0, 1]);
    d.write(REG.MTA + 4 * 0x7d, 1 << 0x10);
    d.core.receive(frameOf("01005e0000fb", PEER, 0x88b5));
    expect(counts(d)).toEqual([1, 0, 1]);
  });

  it("8.14: packets of no pool go to the default pool, or nowhere with DIS_DEF_POOL", () => {
    const d = pools();
    d.write(REG.VT_CTL, 0x4000_0000 | (2 << 7));
    d.core.receive(frameOf("020000000099", PEER, 0x88b5));
    expect(counts(d)).toEqual([0, 0, 1]);
    d.write(REG.VT_CTL, 0x6000_0000 | (2 << 7));
    d.core.receive(frameOf("020000000099", PEER, 0x88b5));
    expect(counts(d)).toEqual([0, 0, 0]);
  });

  it("8.14: a tagged packet reaches pools of its VLVF entry alone; an untagged one those with AUPE", () => {
    const d = pools();
    d.write(REG.RCTL, 0x0404_8002);
    d.write(REG.VFTA, 1 << 5);
    d.write(REG.VLVF, (0x8000_0005 | (0b001 << 12)) >>> 0);
    const tagged = frameOf("ffffffffffff", PEER, 0x8100, 60);
    tagged.set([0, 5], 14);
    d.core.receive(tagged);
    expect(counts(d)).toEqual([1, 0, 0]);
    d.write(REG.VMOLR, 0x8800_2600);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x88b5));
    expect(counts(d)).toEqual([0, 1, 1]);
  });

  it("8.14: VFRE switches a pool off", () => {
    const d = pools();
    d.write(REG.VFRE, 0xfd);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x88b5));
    expect(counts(d)).toEqual([1, 0, 1]);
  });

  it("8.14: a packet longer than a pool's limit does not reach it", () => {
    const d = pools();
    d.write(REG.VMOLR, 0x8901_2600);
    d.core.receive(frameOf("ffffffffffff", PEER, 0x88b5, 1600));
    expect(counts(d)).toEqual([1, 0, 0]);
  });

  it("7.10: with VMDq and RSS, bit 3 of the entry chooses the second queue of a pool with RSSE", () => {
    const d = pools();
    d.startReceive(9);
    d.write(REG.VMOLR + 4, 0x8902_2600);
    d.write(REG.RXCSUM, 0x2000);
    d.write(REG.MRQC, 0x0002_0005);
    for (let i = 0; i < 32; i++) d.write(REG.RETA + 4 * i, 0x0808_0808);
    const ip = Uint8Array.of(...hex("4500 0028 0000 0000 4006 0000 01020304 05060708"), ...new Uint8Array(26));
    d.core.receive(frameOf(MACS[1], PEER, 0x0800, ip));
    d.core.receive(frameOf(MACS[0], PEER, 0x0800, ip));
    expect([d.received(0).length, d.received(1).length, d.received(9).length]).toEqual([1, 0, 1]);
  });
});

describe("82576 switching between pools (7.10.3.6)", () => {
  it("unicast to another pool stays inside and is marked LB, bit 18", () => {
    const d = pools();
    d.send(0, frameOf(MACS[1], MACS[0], 0x88b5));
    expect(d.rxDescriptor(1, 0)[2]).toBe(0x0004_0003);
    expect(counts(d)).toEqual([0, 1, 0]);
    expect(d.wire).toHaveLength(0);
  });

  it("broadcast goes to other pools and to the network; to its own pool with LLE only", () => {
    const d = pools();
    d.send(0, frameOf("ffffffffffff", MACS[0], 0x88b5));
    expect(counts(d)).toEqual([0, 1, 1]);
    expect(d.wire).toHaveLength(1);
    d.write(REG.DTXSWC, 0x8001_0000);
    d.send(0, frameOf("ffffffffffff", MACS[0], 0x88b5));
    expect(counts(d)).toEqual([1, 1, 1]);
  });

  it("unknown unicast goes to the network, and to no default pool", () => {
    const d = pools();
    d.write(REG.VT_CTL, 0x4000_0000 | (2 << 7));
    d.send(0, frameOf("020000000099", MACS[0], 0x88b5));
    expect(counts(d)).toEqual([0, 0, 0]);
    expect(d.wire).toHaveLength(1);
  });

  it("without LOOPBACK_EN all goes to the network", () => {
    const d = pools({ loopback: false });
    d.send(0, frameOf(MACS[1], MACS[0], 0x88b5));
    expect(counts(d)).toEqual([0, 0, 0]);
    expect(d.wire).toHaveLength(1);
  });

  it("8.14: a local VLAN never leaves", () => {
    const d = pools();
    d.write(REG.RCTL, 0x0404_8002);
    d.write(REG.VLVF, (0x8010_0005 | (0b111 << 12)) >>> 0);
    const tagged = frameOf("ffffffffffff", MACS[0], 0x8100, 60);
    tagged.set([0, 5], 14);
    d.send(0, tagged);
    expect(counts(d)).toEqual([0, 1, 1]);
    expect(d.wire).toHaveLength(0);
  });

  it("8.14: VMVIR inserts the pool's tag always, or never", () => {
    const d = pools({ loopback: false });
    d.write(0x3700, 0x4000_0009);
    d.send(0, frameOf(PEER, MACS[0], 0x88b5));
    expect(d.wire[0]?.subarray(12, 18)).toEqual(hex("8100 0009 88b5"));
  });

  it("8.14: VFTE switches a pool's transmission off", () => {
    const d = pools();
    d.write(REG.VFTE, 0xfe);
    d.send(0, frameOf(PEER, MACS[0], 0x88b5));
    expect(d.wire).toHaveLength(0);
    d.write(REG.VFTE, 0xff);
    d.run(1000);
    expect(d.wire).toHaveLength(1);
  });
});

describe("82576 mirror rules (8.14)", () => {
  it("a pool rule copies what goes to its pools, the uplink rule what comes from the network", () => {
    const d = pools();
    d.write(0x5d80, 0x201);
    d.write(0x5da0, 0b001);
    d.core.receive(frameOf(MACS[0], PEER, 0x88b5));
    d.core.receive(frameOf(MACS[1], PEER, 0x88b5));
    expect(counts(d)).toEqual([1, 1, 1]);
    d.write(0x5d80, 0x202);
    d.core.receive(frameOf(MACS[1], PEER, 0x88b5));
    d.send(0, frameOf(MACS[1], MACS[0], 0x88b5));
    expect(counts(d)).toEqual([0, 2, 1]);
  });

  it("the downlink rule copies what goes to the network, the VLAN rule what VLVF entries name", () => {
    const d = pools();
    d.write(0x5d84, 0x204);
    d.send(0, frameOf(PEER, MACS[0], 0x88b5));
    d.send(0, frameOf(MACS[1], MACS[0], 0x88b5));
    expect(counts(d)).toEqual([0, 1, 1]);
    expect(d.wire).toHaveLength(1);
    d.write(0x5d84, 0x208);
    d.write(0x5d94, 1 << 3);
    d.write(REG.VLVF + 12, (0x8000_0005 | (0b001 << 12)) >>> 0);
    d.write(REG.RCTL, 0x0404_8002);
    d.write(REG.VFTA, 1 << 5);
    const tagged = frameOf(MACS[0], PEER, 0x8100, 60);
    tagged.set([0, 5], 14);
    d.core.receive(tagged);
    expect(counts(d)).toEqual([1, 0, 1]);
  });
});

describe("82576 anti-spoofing (7.10)", () => {
  it("MACAS drops packets with a foreign source address: SSVPC, WVBR, DOUTSYNC", () => {
    const d = pools();
    d.write(REG.DTXSWC, 0x8000_0002);
    d.send(1, frameOf(PEER, MACS[0], 0x88b5));
    expect(d.wire).toHaveLength(0);
    expect([d.read(0x41a0), d.read(0x3554), d.read(0x3554)]).toEqual([1, 2, 0]);
    expect(d.read(REG.ICR) & 0x1000_0000).toBe(0x1000_0000);
    d.send(1, frameOf(PEER, MACS[1], 0x88b5));
    expect(d.wire).toHaveLength(1);
    expect(d.txStatus(1, 0) & 1).toBe(1);
  });

  it("VLANAS drops tags that the pool is no member of", () => {
    const d = pools();
    d.write(REG.DTXSWC, 0x8000_0200);
    d.write(REG.VLVF, (0x8000_0005 | (0b010 << 12)) >>> 0);
    const tagged = frameOf(PEER, MACS[1], 0x8100, 60);
    tagged.set([0, 5], 14);
    d.send(1, tagged);
    expect(d.wire).toHaveLength(1);
    tagged[15] = 6;
    d.send(1, tagged);
    expect(d.wire).toHaveLength(1);
  });
});

describe("82576 mailbox (7.10, 8.14)", () => {
  const V2P = 0xc40;
  it("ownership goes to one side at a time", () => {
    const d = new Driver();
    d.vfWrite(2, V2P, 4);
    expect(d.vfRead(2, V2P) & 0xc).toBe(4);
    d.write(0xc08, 8);
    expect(d.read(0xc08) & 0xc).toBe(4);
    d.vfWrite(2, V2P, 0);
    d.write(0xc08, 8);
    expect(d.read(0xc08) & 0xc).toBe(8);
    d.vfWrite(2, V2P, 4);
    expect(d.vfRead(2, V2P) & 0xc).toBe(8);
  });

  it("a VF's REQ and ACK set MBVFICR and, enabled in MBVFIMR, interrupt the PF (ICR bit 8)", () => {
    const d = new Driver();
    d.vfWrite(1, 0x800, 0xcafe_f00d);
    d.vfWrite(1, V2P, 1);
    expect([d.read(REG.MBVFICR), d.read(0x840), d.read(REG.ICR) & 0x100]).toEqual([2, 0xcafe_f00d, 0x100]);
    d.write(REG.MBVFICR, 2);
    d.write(REG.MBVFIMR, 0);
    d.vfWrite(1, V2P, 2);
    expect([d.read(REG.MBVFICR), d.read(REG.ICR) & 0x100]).toEqual([0x2_0000, 0]);
  });

  it("the PF's STS and ACK show as PFSTS and PFACK once and send the VF's vector", () => {
    const d = new Driver();
    d.write(REG.GPIE, 0x10);
    d.core.setVirtualFunctions(3);
    d.vfWrite(1, 0x1740, 0x81);
    d.vfWrite(1, 0x1524, 2);
    d.vfRead(1, V2P);
    d.write(0xc04, 1);
    expect(d.host.sent).toEqual(["1:1"]);
    expect([d.vfRead(1, V2P) & 0x30, d.vfRead(1, V2P) & 0x30]).toEqual([0x10, 0]);
    d.write(0xc04, 2);
    expect(d.vfRead(1, V2P) & 0x30).toBe(0x20);
  });

  it("RVFU takes the buffer from the VF and drops its request", () => {
    const d = new Driver();
    d.vfWrite(0, V2P, 5);
    d.write(0xc00, 0x10);
    expect([d.read(0xc00), d.read(REG.MBVFICR)]).toEqual([0, 0]);
  });

  it("RSTI stands from the PF's reset until CTRL_EXT.PFRSTD, which shows RSTD once", () => {
    const d = new Driver();
    expect(d.vfRead(4, V2P)).toBe(0x40);
    d.write(REG.CTRL_EXT, 0x4000);
    expect([d.vfRead(4, V2P), d.vfRead(4, V2P)]).toEqual([0x80, 0]);
    d.write(REG.CTRL, 0x0400_0000);
    expect(d.vfRead(4, V2P)).toBe(0x40);
  });

  it("VFs see their own 64 bytes", () => {
    const d = new Driver();
    for (let vf = 0; vf < 8; vf++) d.vfWrite(vf, 0x83c, 100 + vf);
    for (let vf = 0; vf < 8; vf++) expect(d.read(0x800 + 64 * vf + 60)).toBe(100 + vf);
  });
});

describe("82576 VFs (7.10, 8.14)", () => {
  it("queues 0 and 1 of VF n are the port's n and n + 8, and DMA in the VF's name", () => {
    const d = pools({ vfs: 2 });
    d.vfWrite(1, 0x2900, 0x1234_5680);
    expect(d.read(0xc240)).toBe(0x1234_5680);
    const before = d.host.port(1).transaction;
    d.core.receive(frameOf(MACS[1], PEER, 0x88b5));
    expect(d.core.ownerOf(1)).toBe(1);
    expect(d.core.ownerOf(9)).toBe(1);
    expect(d.core.ownerOf(2)).toBe(-1);
    expect(before.response).toBe(0);
  });

  it("VTCTRL.RST disables the VF's queues, clears VFRE and VFTE and tells the PF by VFLRE", () => {
    const d = pools({ vfs: 2 });
    d.vfWrite(1, 0x1524, 7);
    d.vfWrite(1, 0, 0x0400_0000);
    expect([d.read(0xc068), d.read(0xe068)]).toEqual([0x1_0000, 0]);
    expect([d.read(REG.VFRE), d.read(REG.VFTE), d.read(REG.VFLRE)]).toEqual([0xfd, 0xfd, 2]);
    expect(d.vfRead(1, 0x1524)).toBe(0);
    d.write(REG.VFLRE, 2);
    expect(d.read(REG.VFLRE)).toBe(0);
  });

  it("VTIVAR maps queues of an enabled VF to its vectors: bits 22 - 3n and up of EICR", () => {
    const d = pools({ vfs: 2 });
    d.write(REG.GPIE, 0x10);
    d.vfWrite(1, 0x1700, 0x8180);
    d.vfWrite(1, 0x1524, 7);
    d.vfWrite(1, 0x152c, 7);
    d.core.receive(frameOf(MACS[1], PEER, 0x88b5));
    d.send(1, frameOf(PEER, MACS[1], 0x88b5));
    expect(d.host.sent).toEqual(["1:0", "1:1"]);
  });

  it("counts packets and bytes of each VF, of which some went round inside", () => {
    const d = pools({ vfs: 3 });
    d.send(0, frameOf(MACS[1], MACS[0], 0x88b5));
    d.core.receive(frameOf(MACS[1], PEER, 0x88b5));
    expect([d.vfRead(1, 0xf10), d.vfRead(1, 0xf18), d.vfRead(1, 0xf40)]).toEqual([2, 120, 1]);
    expect([d.vfRead(0, 0xf14), d.vfRead(0, 0xf34), d.vfRead(0, 0xf44)]).toEqual([1, 60, 1]);
    expect(d.read(0x10110)).toBe(2);
  });

  it("STATUS shows NumVFs and IOV mode", () => {
    const d = pools({ vfs: 7 });
    expect(d.read(REG.STATUS) & 0x7_c000).toBe((7 << 14) | (1 << 18));
    expect(d.vfRead(3, 8)).toBe(d.read(REG.STATUS));
    expect(d.errors).toEqual([]);
  });
});
