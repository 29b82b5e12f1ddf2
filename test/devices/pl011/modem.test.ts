import { describe, expect, it } from "vitest";
import { buildUart, CHARACTER, setUp } from "./uart.ts";

const CLOCK = { uartclk: 4_000_000 };

describe("PL011 modem outputs and flow control, DDI 0183G 2.6 and 3.3.8", () => {
  it.each([
    ["Out2", 13, "nUARTOut2"],
    ["Out1", 12, "nUARTOut1"],
    ["RTS", 11, "nUARTRTS"],
    ["DTR", 10, "nUARTDTR"],
  ] as const)("table 3-12: %s (bit %s) is the complement of %s, which is high after reset", (_bit, at, line) => {
    const u = buildUart(CLOCK);
    expect(u.uart[line].level).toBe(true);
    u.write(0x030, 1 << at);
    expect(u.uart[line].level).toBe(false);
    u.write(0x030, 0x3c00 & ~(1 << at));
    expect(u.uart[line].level).toBe(true);
    u.write(0x030, 1 << at);
    u.reset();
    expect(u.uart[line].level).toBe(true);
  });

  it("2.6.1: with RTSEn nUARTRTS is asserted until the receive FIFO is filled to its level, and again below it; RTS has no say", () => {
    for (const rts of [0, 0x800]) {
      const u = buildUart(CLOCK);
      setUp(u, 0x70, 0x4301 | rts);
      expect(u.uart.nUARTRTS.level).toBe(false);
      for (let i = 0; i < 15; i++) u.uart.receive(i);
      expect(u.uart.nUARTRTS.level).toBe(false);
      u.uart.receive(15);
      expect(u.uart.nUARTRTS.level).toBe(true);
      u.uart.receive(16);
      u.read(0x000);
      expect(u.uart.nUARTRTS.level).toBe(true);
      u.read(0x000);
      expect(u.uart.nUARTRTS.level).toBe(false);
    }
  });

  it("2.6.1: without RTSEn data is received until the FIFO is full", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x0b01);
    for (let i = 0; i < 32; i++) expect(u.uart.receive(i)).toBe(true);
    expect(u.uart.nUARTRTS.level).toBe(false);
  });

  it("2.6.2: with CTSEn a character starts only while nUARTCTS is asserted; the current one is completed", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x8301);
    u.write(0x000, 1);
    u.write(0x000, 2);
    u.run(5 * CHARACTER);
    expect(u.sent).toEqual([]);
    expect(u.read(0x018) & 0x08).toBe(0x08);
    u.uart.nUARTCTS(false);
    u.run(CHARACTER / 2);
    u.uart.nUARTCTS(true);
    u.run(5 * CHARACTER);
    expect(u.sent.map((c) => [c.byte, c.at])).toEqual([[1, 6 * CHARACTER]]);
    u.write(0x030, 0x0301);
    u.run(CHARACTER);
    expect(u.sent.map((c) => c.byte)).toEqual([1, 2]);
  });

  it("2.6.2: without CTSEn nUARTCTS does not matter", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.uart.nUARTCTS(true);
    u.write(0x000, 1);
    u.run(CHARACTER);
    expect(u.sent.map((c) => c.byte)).toEqual([1]);
  });

  it("figure 2-6: two UARTs with flow control lose nothing, however slowly the receiver reads", () => {
    const a = buildUart({ pacing: "immediate" });
    const b = buildUart({ pacing: "immediate" });
    setUp(a, 0x70, 0xc301);
    setUp(b, 0x70, 0xc301);
    a.uart.onTransmit = (byte) => b.uart.receive(byte);
    b.uart.nUARTRTS.connect(a.uart.nUARTCTS);
    a.uart.nUARTCTS(b.uart.nUARTRTS.level);
    const got: number[] = [];
    let next = 0;
    for (let round = 0; got.length < 200; round++) {
      expect(round).toBeLessThan(1000);
      while (next < 200 && (a.read(0x018) & 0x20) === 0) a.write(0x000, next++);
      for (let i = 0; i < 3; i++) if ((b.read(0x018) & 0x10) === 0) got.push(b.read(0x000));
    }
    expect(got).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(b.read(0x004)).toBe(0);
  });
});

describe("PL011 loopback, DDI 0183G 2.4.3 and 3.3.8 (LBE)", () => {
  it("data transmitted on UARTTXD is received on UARTRXD, a character time later; what arrives from outside is not", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x381);
    u.write(0x000, 0xa5);
    expect(u.uart.receive(0x11)).toBe(false);
    expect(u.uart.receiveSpace).toBe(0);
    u.run(CHARACTER - 1);
    expect(u.read(0x018) & 0x10).toBe(0x10);
    u.run(1);
    expect(u.read(0x000)).toBe(0xa5);
    expect(u.read(0x004)).toBe(0);
    expect(u.sent.map((c) => c.byte)).toEqual([0xa5]);
  });

  it("needs the receiver enabled, like any reception", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x181);
    u.write(0x000, 0xa5);
    u.run(5 * CHARACTER);
    expect(u.read(0x018) & 0x10).toBe(0x10);
  });

  it("overruns when nobody reads", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60, 0x381);
    u.write(0x000, 1);
    u.write(0x000, 2);
    u.run(3 * CHARACTER);
    expect(u.read(0x004)).toBe(0x8);
    expect(u.read(0x000)).toBe(1);
  });

  it.each([
    ["RTS", 0x0800, 0x001, 0x2],
    ["DTR", 0x0400, 0x002, 0x8],
    ["Out1", 0x1000, 0x004, 0x4],
    ["Out2", 0x2000, 0x100, 0x1],
  ])("modem outputs are fed through to the inputs: %s", (_name, cr, flag, interrupt) => {
    const u = buildUart(CLOCK);
    u.write(0x030, 0x80);
    expect(u.read(0x018) & 0x107).toBe(0);
    u.write(0x030, 0x80 | cr);
    expect(u.read(0x018) & 0x107).toBe(flag);
    expect(u.read(0x03c)).toBe(interrupt);
    u.write(0x044, 0xf);
    for (const pin of ["nUARTCTS", "nUARTDSR", "nUARTDCD", "nUARTRI"] as const) u.uart[pin](false);
    expect(u.read(0x018) & 0x107).toBe(flag);
    expect(u.read(0x03c)).toBe(0);
    u.write(0x030, cr);
    expect(u.read(0x018) & 0x107).toBe(0x107);
    expect(u.read(0x03c)).toBe(0xf & ~interrupt);
  });

  it("a break is received as one 0 character with BE, after more than a character's time", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x71, 0x381);
    u.run(CHARACTER - 1);
    expect(u.read(0x018) & 0x10).toBe(0x10);
    u.run(10 * CHARACTER);
    expect(u.read(0x000)).toBe(0x400);
    expect(u.read(0x018) & 0x10).toBe(0x10);
    expect(u.read(0x03c) & 0x200).toBe(0x200);
  });

  it("a break that is shorter than a character is none", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x71, 0x381);
    u.run(CHARACTER / 2);
    u.write(0x02c, 0x70);
    u.run(10 * CHARACTER);
    expect(u.read(0x018) & 0x10).toBe(0x10);
    expect(u.breaks.map((b) => b.active)).toEqual([true, false]);
  });
});
