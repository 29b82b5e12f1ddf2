/**
 * The datasheet's chapter 4.5, initialization and reset, access by access, in the orders that drivers keep to: nothing on the way may be recorded as
 * a mistake, and in the end packets go both ways.
 */
import { describe, expect, it } from "vitest";
import { Driver, frameOf, hex, OWN, PEER, REG } from "./driver.ts";

const SECOND = 10_000_000_000;
const QUEUES = [0, 1, 2, 3] as const;
const COUNT = 64;
/** Chapter 8.18: all counters that clear when read, of which none may tell anything of the time before. */
const STATISTICS = [
  [0x4000, 0x4020],
  [0x4028, 0x4040],
  [0x4048, 0x4080],
  [0x4088, 0x4094],
  [0x40a0, 0x4110],
  [0x4118, 0x4138],
  [0x41a0, 0x41a4],
] as const;

function mdicRead(d: Driver, register: number): number {
  d.write(REG.MDIC, (2 << 26) | (1 << 21) | (register << 16));
  expect(d.read(REG.MDIC) & 0x5000_0000).toBe(0x1000_0000);
  return d.read(REG.MDIC) & 0xffff;
}
function mdicWrite(d: Driver, register: number, value: number): void {
  d.write(REG.MDIC, (1 << 26) | (1 << 21) | (register << 16) | value);
  expect(d.read(REG.MDIC) & 0x5000_0000).toBe(0x1000_0000);
}
const change = (d: Driver, at: number, clear: number, set: number) => d.write(at, (d.read(at) & ~clear) | set);

/** 4.2, 4.5.1: interrupts off, traffic off, CTRL.RST, configuration from the EEPROM done. */
function reset(d: Driver): void {
  d.write(REG.EIMC, 0xffff_ffff);
  d.write(REG.EIAC, 0);
  d.write(REG.EIAM, 0);
  d.write(REG.IMC, 0xffff_ffff);
  d.write(REG.RCTL, 0);
  d.write(REG.TCTL, 8);
  d.run(100_000_000);
  change(d, REG.CTRL, 0, 0x0400_0000);
  // RST clears itself; AUTO_RD, bit 9 of EECD; CFG_DONE of port 0, bit 18 of EEMNGCTL; EEPROM present, bit 8.
  expect(d.read(REG.CTRL) & 0x0400_0000).toBe(0);
  expect(d.read(REG.EECD) & 0x300).toBe(0x300);
  expect(d.read(0x1010) & 0x4_0000).toBe(0x4_0000);
  d.write(REG.IMC, 0xffff_ffff);
  d.read(REG.ICR);
  expect(d.read(REG.ICR)).toBe(0);
}

/** 8.7: SMBI, then SWESMBI, then the resource's bit; all given back. */
function withSemaphore(d: Driver, resource: number, work: () => void): void {
  const take = () => {
    expect(d.read(0x5b50) & 1).toBe(0);
    change(d, 0x5b50, 0, 2);
    expect(d.read(0x5b50) & 2).toBe(2);
  };
  take();
  expect(d.read(0x5b5c) & (resource | (resource << 16))).toBe(0);
  d.write(0x5b5c, d.read(0x5b5c) | resource);
  change(d, 0x5b50, 3, 0);
  work();
  take();
  change(d, 0x5b5c, resource, 0);
  change(d, 0x5b50, 3, 0);
}

/** 4.5.4: the address from the EEPROM into RAL and RAH 0; all other filters empty. */
function setFilters(d: Driver): void {
  const words: number[] = [];
  withSemaphore(d, 1, () => {
    for (const n of [0, 1, 2]) {
      d.write(REG.EERD, (n << 2) | 1);
      expect(d.read(REG.EERD) & 2).toBe(2);
      words.push(d.read(REG.EERD) >>> 16);
    }
  });
  const [a = 0, b = 0, c = 0] = words;
  d.write(REG.RAL, (a | (b << 16)) >>> 0);
  d.write(REG.RAH, (0x8000_0000 | c) >>> 0);
  for (let n = 1; n < 24; n++) {
    const at = n < 16 ? REG.RAL + 8 * n : 0x54e0 + 8 * (n - 16);
    d.write(at, 0);
    d.write(at + 4, 0);
  }
  for (let n = 0; n < 128; n++) for (const table of [REG.VFTA, REG.MTA, 0xa000]) d.write(table + 4 * n, 0);
  expect([d.read(REG.RAL), d.read(REG.RAH), d.read(0x54e4)]).toEqual([0x3322_1102, 0x8000_5544, 0]);
}

/** 4.5.7, 8.5: PHY reset and negotiation, flow control as both sides agree. */
function setLink(d: Driver): void {
  withSemaphore(d, 2, () => {
    expect(mdicRead(d, 2)).toBe(0x02a8);
    mdicWrite(d, 0, mdicRead(d, 0) & ~0x0800);
    change(d, REG.CTRL, 0, 0x8000_0000);
    d.run(1_000_000);
    change(d, REG.CTRL, 0x8000_0000, 0);
    d.run(1_500_000);
    // Asymmetric and symmetric pause, all of 10 and 100; 1000 full duplex; restart.
    mdicWrite(d, 4, 0x0de1);
    mdicWrite(d, 9, 0x0200);
    mdicWrite(d, 0, mdicRead(d, 0) | 0x1200);
  });
  change(d, REG.CTRL, 0x1800, 0x40);
  d.write(0x30, 0x8808);
  d.write(0x2c, 0x100);
  d.write(0x28, 0x00c2_8001);
  d.write(0x170, 0x0680);
  d.write(0x2160, 0x8000_e800);
  d.write(0x2168, 0xee00);
  d.run(2 * SECOND);
  mdicRead(d, 1);
  expect(mdicRead(d, 1) & 0x24).toBe(0x24);
  // ASM_DIR and PAUSE of both sides: pause both ways. CTRL.RFCE and TFCE.
  expect(mdicRead(d, 5) & mdicRead(d, 4) & 0x0c00).toBe(0x0c00);
  change(d, REG.CTRL, 0, 0x1800_0000);
  // LU, FD, 1000 Mb/s.
  expect(d.read(REG.STATUS) & 0xc3).toBe(0x83);
}

function clearStatistics(d: Driver): void {
  for (const [from, to] of STATISTICS) for (let at = from; at <= to; at += 4) d.read(at);
  for (const [from, to] of STATISTICS) for (let at = from; at <= to; at += 4) expect([at, d.read(at)]).toEqual([at, 0]);
}

/** 7.1, 8.10: the key, four queues in turn in all 128 entries, IPv4 and IPv6 with and without TCP. */
function setScaling(d: Driver): void {
  for (let n = 0; n < 10; n++) d.write(REG.RSSRK + 4 * n, 0x6d5a_56da + n);
  for (let n = 0; n < 32; n++) d.write(REG.RETA + 4 * n, 0x0302_0100);
  d.write(REG.MRQC, 0x0033_0002);
  change(d, REG.RXCSUM, 0, 0x2000);
}

/** A TCP segment from port `port`. */
function tcp(port: number): Uint8Array {
  const packet = hex(
    "4500 0028 0001 0000 40 06 0000 0a000001 0a000002 0000 0050 00000000 00000000 5010 0000 0000 0000",
  );
  packet[20] = port >> 8;
  packet[21] = port & 0xff;
  return frameOf(OWN, PEER, 0x0800, packet);
}

describe("82576 initialization (4.5)", () => {
  it("4.5: reset, semaphores, filters, link, statistics, MSI-X, four queues with RSS; then packets both ways, and down again", () => {
    const d = new Driver(false);
    reset(d);
    setFilters(d);
    setLink(d);
    clearStatistics(d);

    // 7.3: vector 0 for other causes, n + 1 for receive and transmit queue n. MSIX_MODE, PBA, EIAME, NSICR.
    d.write(REG.GPIE, 0xc000_0011);
    for (const q of QUEUES) {
      change(d, REG.IVAR + 4 * q, 0xffff, 0x8181 + 0x0101 * q);
      d.write(REG.EITR + 4 * (q + 1), 0x8000_0000 | (3 << 2));
    }
    d.write(REG.IVAR_MISC, 0x8000);
    d.write(REG.EIAC, 0x1f);
    d.write(REG.EIAM, 0x1f);

    // 4.5.9: rings of queues 0 to 3 by their first addresses, 100h apart.
    setScaling(d);
    for (const q of QUEUES) {
      const at = 0x2800 + 0x100 * q;
      for (let i = 0; i < COUNT; i++) d.fillDescriptor(q, i);
      d.write(at + 0x28, 0);
      d.write(at + 0x00, d.rxRing(q));
      d.write(at + 0x04, 0);
      d.write(at + 0x08, COUNT * 16);
      d.write(at + 0x10, 0);
      d.write(at + 0x18, 0);
      d.write(at + 0x0c, 0x8200_0002);
      d.write(at + 0x28, 0x0201_0808);
      expect(d.read(at + 0x28) & 0x0200_0000).toBe(0x0200_0000);
    }
    change(d, REG.RCTL, 0x3000, 0x0400_8002);
    for (const q of QUEUES) d.write(0x2818 + 0x100 * q, COUNT - 1);

    // 4.5.10.
    for (const q of QUEUES) {
      const at = 0x3800 + 0x100 * q;
      d.write(at + 0x28, 0);
      d.write(at + 0x08, COUNT * 16);
      d.write(at + 0x00, d.txRing(q));
      d.write(at + 0x04, 0);
      d.write(at + 0x10, 0);
      d.write(at + 0x18, 0);
      d.write(at + 0x28, 0x0201_0108);
      expect(d.read(at + 0x28) & 0x0200_0000).toBe(0x0200_0000);
    }
    change(d, REG.TCTL, 0xff0, 0x0100_00fa);

    d.read(REG.ICR);
    d.write(REG.EIMS, 0x1f);
    d.write(REG.IMS, 4);
    expect(d.host.sent.splice(0)).toEqual([]);

    // Sixteen flows: each packet in the queue that its hash names, one message a vector that got any.
    for (let port = 1; port <= 16; port++) d.core.receive(tcp(port));
    d.run(1_000_000);
    const got = QUEUES.map((q) =>
      Array.from({ length: COUNT }, (_, i) => d.rxDescriptor(q, i)).filter(([, , s]) => s & 1),
    );
    expect(got.flat()).toHaveLength(16);
    for (const q of QUEUES) for (const [, hash] of got[q] ?? []) expect(hash & 3).toBe(q);
    expect(new Set(d.host.sent.splice(0))).toEqual(
      new Set(QUEUES.filter((q) => (got[q] ?? []).length > 0).map((q) => `-1:${q + 1}`)),
    );
    // GPRC.
    expect(d.read(0x4074)).toBe(16);

    d.write(REG.EIMS, 0x1f);
    for (const q of QUEUES) {
      d.queueFrame(q, 0, frameOf(PEER, OWN, 0x9000 + q));
      d.write(0x3818 + 0x100 * q, 1);
    }
    d.run(1_000_000);
    expect(d.wire.map((f) => f[13])).toEqual([0, 1, 2, 3]);
    expect(QUEUES.map((q) => d.txStatus(q, 0) & 1)).toEqual([1, 1, 1, 1]);
    expect(d.host.sent.splice(0).sort()).toEqual(["-1:1", "-1:2", "-1:3", "-1:4"]);

    // The cable is pulled: LSC by vector 0.
    d.core.setCarrier(false);
    expect(d.host.sent.splice(0)).toEqual(["-1:0"]);
    expect(d.read(REG.ICR) & 4).toBe(4);

    // 4.5.9: queues off; then as after reset.
    change(d, REG.RCTL, 2, 0);
    for (const q of QUEUES) {
      change(d, 0x2828 + 0x100 * q, 0x0200_0000, 0);
      expect(d.read(0x2828 + 0x100 * q) & 0x0200_0000).toBe(0);
    }
    reset(d);
    expect([d.read(REG.GPIE), d.read(REG.MRQC), d.read(0x2808), d.read(REG.EIMS)]).toEqual([0, 0, 0, 0]);
    expect(d.errors).toEqual([]);
  });

  it("lengths before addresses, thresholds with the enable, heads and tails after RCTL.RXEN; one interrupt for all", () => {
    const d = new Driver(false);
    reset(d);
    setFilters(d);
    setLink(d);
    setScaling(d);
    for (const q of QUEUES) {
      for (let i = 0; i < COUNT; i++) d.fillDescriptor(q, i);
      const at = 0x2800 + 0x100 * q;
      d.write(at + 0x08, COUNT * 16);
      d.write(at + 0x04, 0);
      d.write(at + 0x00, d.rxRing(q));
      d.write(at + 0x0c, 0x0200_0002);
      d.write(at + 0x28, ((d.read(at + 0x28) | 0x0200_0000) & 0xfff0_0000) | 0x0001_0808);
    }
    change(d, REG.RCTL, 0x0004_3004, 0x0400_8002);
    // What comes now waits in the packet buffer.
    for (let port = 1; port <= 4; port++) d.core.receive(tcp(port));
    expect(QUEUES.flatMap((q) => d.received(q)).length).toBe(0);
    for (const q of QUEUES) {
      d.write(0x2810 + 0x100 * q, 0);
      d.write(0x2818 + 0x100 * q, COUNT - 1);
    }
    expect(QUEUES.flatMap((q) => d.received(q)).length).toBe(4);
    // 4.5.10, TXDCTL 0 is enabled after reset: what was written stays beside it.
    for (const q of QUEUES) {
      const at = 0x3800 + 0x100 * q;
      d.write(at + 0x08, COUNT * 16);
      d.write(at + 0x04, 0);
      d.write(at + 0x00, d.txRing(q));
      d.write(at + 0x18, 0);
      d.write(at + 0x10, 0);
      d.write(at + 0x28, d.read(at + 0x28) | 0x0200_0000 | 0x0001_0108);
    }
    change(d, REG.TCTL, 0xff0, 0x0100_00fa);
    d.write(REG.EITR, 0xffff);
    expect(d.read(REG.EITR)).toBe(0xfffc);
    d.host.messages = false;
    d.read(REG.ICR);
    // TXDW, LSC, RXDMT0, RXO, RXDW.
    d.write(REG.IMS, 0xd5);
    for (const q of QUEUES) {
      d.queueFrame(q, 0, frameOf(PEER, OWN, 0x9000 + q));
      d.write(0x3818 + 0x100 * q, 1);
    }
    d.run(1_000_000);
    expect(d.wire.map((f) => f[13]).sort()).toEqual([0, 1, 2, 3]);
    expect(d.host.asserted).toBe(true);
    expect((d.read(REG.ICR) & 0x8000_0001) >>> 0).toBe(0x8000_0001);
    expect(d.host.asserted).toBe(false);
    expect(d.errors).toEqual([]);
  });

  it("4.5.11: a VF resets itself, talks to the PF, sets its vectors and rings, and packets go both ways", () => {
    const d = new Driver();
    d.core.setVirtualFunctions(2);
    d.write(REG.MRQC, 3);
    d.write(REG.VT_CTL, 0x4000_0000 | (7 << 7));
    d.write(REG.DTXSWC, 0x8000_0000);
    d.write(REG.VFRE, 0x80);
    d.write(REG.VFTE, 0x80);
    d.write(REG.GPIE, 0xc000_0011);
    d.write(REG.RCTL, 0x0400_8002);
    d.write(REG.TCTL, 0x0100_00fa);
    d.write(REG.CTRL_EXT, 0x4000);
    const VF = 1;

    // 4.5.11.2: VTCTRL.RST; RSTD of V2PMAILBOX; the message 1, "reset", in VMBMEM.
    d.vfWrite(VF, 0, 0x0400_0000);
    d.vfWrite(VF, 0x1528, 7);
    expect(d.vfRead(VF, 0xc40) & 0xc0).toBe(0x80);
    expect(d.read(REG.VFLRE)).toBe(2);
    d.write(REG.VFLRE, 2);
    d.vfWrite(VF, 0xc40, 4);
    expect(d.vfRead(VF, 0xc40) & 4).toBe(4);
    d.vfWrite(VF, 0x800, 1);
    d.vfWrite(VF, 0xc40, 1);
    // The PF: takes the message, grants address and traffic, acknowledges.
    expect(d.read(REG.MBVFICR)).toBe(2);
    d.write(REG.MBVFICR, 2);
    d.write(0xc04, 8);
    expect([d.read(0xc04) & 8, d.read(0x840)]).toEqual([8, 1]);
    d.write(0xc04, 2);
    d.write(REG.RAL + 8, 0x0000_0002);
    d.write(REG.RAH + 8, 0x8008_0900);
    d.write(REG.VMOLR + 4 * VF, 0x8900_2600);
    change(d, REG.VFRE, 0, 2);
    change(d, REG.VFTE, 0, 2);
    d.write(0xc04, 8);
    for (const [i, word] of [0x8000_0001, 0x0000_0002, 0x0900].entries()) d.write(0x840 + 4 * i, word);
    d.write(0xc04, 1);
    // The VF: PFSTS and PFACK, its address, an acknowledgement.
    expect(d.vfRead(VF, 0xc40) & 0x30).toBe(0x30);
    expect([0x800, 0x804, 0x808].map((at) => d.vfRead(VF, at))).toEqual([0x8000_0001, 2, 0x0900]);
    d.vfWrite(VF, 0xc40, 2);

    // 4.5.11.3: vector 0 for the queue, 1 for the mailbox; auto clear, auto mask.
    d.vfWrite(VF, 0x1700, 0x8080);
    d.vfWrite(VF, 0x1740, 0x81);
    d.vfWrite(VF, 0x1680, 0x8000_0000 | (3 << 2));
    d.vfWrite(VF, 0x152c, 3);
    d.vfWrite(VF, 0x1530, 3);
    d.vfWrite(VF, 0x1524, 3);
    for (let i = 0; i < COUNT; i++) d.fillDescriptor(VF, i);
    d.vfWrite(VF, 0x2828, 0);
    d.vfWrite(VF, 0x2800, d.rxRing(VF));
    d.vfWrite(VF, 0x2804, 0);
    d.vfWrite(VF, 0x2808, COUNT * 16);
    d.vfWrite(VF, 0x2810, 0);
    d.vfWrite(VF, 0x2818, 0);
    d.vfWrite(VF, 0x280c, 0x8200_0002);
    d.vfWrite(VF, 0xf0c, 0);
    d.vfWrite(VF, 0x2828, 0x0201_0808);
    d.vfWrite(VF, 0x2818, COUNT - 1);
    d.vfWrite(VF, 0x3828, 0);
    d.vfWrite(VF, 0x3808, COUNT * 16);
    d.vfWrite(VF, 0x3800, d.txRing(VF));
    d.vfWrite(VF, 0x3804, 0);
    d.vfWrite(VF, 0x3810, 0);
    d.vfWrite(VF, 0x3818, 0);
    d.vfWrite(VF, 0x3828, 0x0201_0108);
    expect([d.vfRead(VF, 0x2828), d.vfRead(VF, 0x3828)].map((v) => v & 0x0200_0000)).toEqual([
      0x0200_0000, 0x0200_0000,
    ]);
    d.host.sent.length = 0;

    d.core.receive(frameOf("020000000009", PEER, 0x88b5));
    expect(d.rxDescriptor(VF, 0)[2] & 3).toBe(3);
    expect(d.host.sent.splice(0)).toEqual([`${VF}:0`]);
    d.vfWrite(VF, 0x1524, 3);
    d.run(1_000_000);
    d.queueFrame(VF, 0, frameOf(PEER, "020000000009", 0x88b5));
    d.vfWrite(VF, 0x3818, 1);
    d.run(1_000_000);
    expect([d.wire.length, d.txStatus(VF, 0) & 1, d.host.sent.length]).toEqual([1, 1, 1]);
    // VFGPRC, VFGPTC; the PF's mailbox message comes by vector 1.
    expect([d.vfRead(VF, 0xf10), d.vfRead(VF, 0xf14)]).toEqual([1, 1]);
    d.vfWrite(VF, 0x1524, 3);
    d.host.sent.length = 0;
    d.write(0xc04, 1);
    expect(d.host.sent).toEqual([`${VF}:1`]);
    expect(d.errors).toEqual([]);
  });
});
