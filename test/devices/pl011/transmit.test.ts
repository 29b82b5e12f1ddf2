import { describe, expect, it } from "vitest";
import { buildUart, CHARACTER, setUp } from "./uart.ts";

const CLOCK = { uartclk: 4_000_000 };

describe("PL011 transmitter, DDI 0183G 2.4.3 and 3.3.1 to 3.3.8", () => {
  it("3.3.6, table 3-9: divisor 1 + 5/64 of 4 MHz makes 231911 baud: ten bits of 4.3125 us", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x301, 1, 5);
    u.write(0x000, 0x55);
    u.run(431_249);
    expect(u.sent).toEqual([]);
    u.run(1);
    expect(u.sent).toEqual([{ byte: 0x55, at: 431_250 }]);
  });

  it("table 3-8: divisor 4 of 7.3728 MHz makes 115200 baud; a hundred characters in a row do not drift", () => {
    const u = buildUart({ uartclk: 7_372_800 });
    setUp(u, 0x70, 0x301, 4);
    let next = 0;
    while (u.sent.length < 100) {
      while (next < 100 && (u.read(0x018) & 0x20) === 0) u.write(0x000, next++);
      u.run(100_000);
    }
    // 1000 bits of 1/115200 s are 8.6805555... ms.
    expect(u.sent[99]?.at).toBe(86_805_556);
    expect(u.sent[0]?.at).toBe(868_056);
    expect(u.sent.map((c) => c.byte)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it.each([
    ["8 data bits, one stop bit", 0x70, 10],
    ["5 data bits (WLEN b00)", 0x10, 7],
    ["6 data bits (WLEN b01)", 0x30, 8],
    ["7 data bits (WLEN b10)", 0x50, 9],
    ["parity (PEN)", 0x72, 11],
    ["two stop bits (STP2)", 0x78, 11],
    ["parity and two stop bits", 0x7a, 12],
    ["EPS and SPS without PEN, which add nothing", 0xf4, 10],
  ])("table 3-10: a frame has its bits with %s", (_what, lcr, bits) => {
    const u = buildUart(CLOCK);
    setUp(u, lcr);
    u.write(0x000, 0x1f);
    u.run(100 * CHARACTER);
    expect(u.sent[0]?.at).toBe(bits * 40_000);
    expect(u.uart.frameTime).toBe(bits * 40_000);
  });

  it.each([
    [0x10, 0x1f],
    [0x30, 0x3f],
    [0x50, 0x7f],
    [0x70, 0xff],
  ])("table 3-10: with UARTLCR_H 0x%s only WLEN data bits leave", (lcr, byte) => {
    const u = buildUart(CLOCK);
    setUp(u, lcr);
    u.write(0x000, 0xff);
    u.run(CHARACTER);
    expect(u.sent.map((c) => c.byte)).toEqual([byte]);
  });

  it("3.3.7: UARTIBRD and UARTFBRD take effect with the write of UARTLCR_H, not before", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x024, 2);
    u.write(0x000, 1);
    u.run(2 * CHARACTER);
    u.write(0x02c, 0x70);
    u.write(0x000, 2);
    u.run(2 * CHARACTER);
    expect(u.sent.map((c) => c.at)).toEqual([CHARACTER, 4 * CHARACTER]);
  });

  it("3.3.6: a new divisor waits for the end of the current character", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x000, 1);
    u.write(0x000, 2);
    u.run(CHARACTER / 2);
    u.write(0x024, 3);
    u.write(0x02c, 0x70);
    u.run(10 * CHARACTER);
    expect(u.sent.map((c) => c.at)).toEqual([CHARACTER, 4 * CHARACTER]);
  });

  it("3.3.6: UARTIBRD 0 is invalid whatever UARTFBRD; 65535 with a fraction is too: nothing is sent, and it is said once", () => {
    for (const [ibrd, fbrd] of [
      [0, 63],
      [0xffff, 1],
    ] as const) {
      const u = buildUart(CLOCK);
      setUp(u, 0x70, 0x301, ibrd, fbrd);
      u.write(0x000, 1);
      u.write(0x000, 2);
      u.run(1e10);
      expect(u.sent).toEqual([]);
      expect(u.errors.map((e) => e.kind)).toEqual(["value"]);
      expect(u.read(0x018) & 0x08).toBe(0x08);
    }
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x301, 0xffff, 0);
    u.write(0x000, 1);
    u.run(65_535 * CHARACTER);
    expect(u.sent[0]?.at).toBe(65_535 * CHARACTER);
  });

  it("3.3.3: BUSY from the write, even of a disabled UART, to the end of the stop bits; TXFE tells of the FIFO alone", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x300);
    u.write(0x000, 0x41);
    expect(u.read(0x018) & 0x88).toBe(0x08);
    u.run(10 * CHARACTER);
    expect(u.sent).toEqual([]);
    u.write(0x030, 0x301);
    expect(u.read(0x018) & 0x88).toBe(0x88);
    u.run(CHARACTER - 1);
    expect(u.read(0x018) & 0x88).toBe(0x88);
    u.run(1);
    expect(u.read(0x018) & 0x88).toBe(0x80);
  });

  it("2.2.4: the FIFO holds 32 characters beside the one in the shift register; TXFF tells; one more is lost and reported", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    for (let i = 0; i < 32; i++) u.write(0x000, i);
    expect(u.read(0x018) & 0x20).toBe(0);
    u.write(0x000, 32);
    expect(u.read(0x018) & 0x20).toBe(0x20);
    u.write(0x000, 33);
    expect(u.errors).toMatchObject([{ kind: "sequence", register: "UARTDR" }]);
    u.run(40 * CHARACTER);
    expect(u.sent.map((c) => c.byte)).toEqual(Array.from({ length: 33 }, (_, i) => i));
  });

  it("2.4.3: with the FIFOs disabled a write bypasses the holding register unless the shift register is in use", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.write(0x000, 1);
    expect(u.read(0x018) & 0xa0).toBe(0x80);
    u.write(0x000, 2);
    expect(u.read(0x018) & 0xa0).toBe(0x20);
    u.run(2 * CHARACTER);
    expect(u.sent.map((c) => [c.byte, c.at])).toEqual([
      [1, CHARACTER],
      [2, 2 * CHARACTER],
    ]);
  });

  it.each([
    ["UARTEN", 0x300],
    ["TXE", 0x201],
  ])(
    "3.3.8: when %s is cleared in the middle of a character, that character is completed and the next waits",
    (_bit, cr) => {
      const u = buildUart(CLOCK);
      setUp(u);
      u.write(0x000, 1);
      u.write(0x000, 2);
      u.run(CHARACTER / 2);
      u.write(0x030, cr);
      u.run(5 * CHARACTER);
      expect(u.sent.map((c) => c.byte)).toEqual([1]);
      expect(u.read(0x018) & 0x88).toBe(0x08);
      u.write(0x030, 0x301);
      u.run(CHARACTER);
      expect(u.sent.map((c) => c.byte)).toEqual([1, 2]);
    },
  );

  it("3.3.8: clearing FEN flushes the transmit FIFO", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x300);
    u.write(0x000, 1);
    u.write(0x000, 2);
    u.write(0x02c, 0x60);
    expect(u.read(0x018) & 0xa8).toBe(0x80);
    u.write(0x030, 0x301);
    u.run(5 * CHARACTER);
    expect(u.sent).toEqual([]);
  });

  it("3.3.7: changing UARTLCR_H, UARTIBRD or UARTFBRD of an enabled UART is reported; writing the same is not", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x02c, 0x70);
    expect(u.errors).toEqual([]);
    u.write(0x024, 2);
    u.write(0x028, 2);
    u.write(0x02c, 0x60);
    expect(u.errors.map((e) => [e.kind, e.register])).toEqual([
      ["sequence", "UARTIBRD"],
      ["sequence", "UARTFBRD"],
      ["sequence", "UARTLCR_H"],
    ]);
  });

  it("3.3.7: BRK pulls UARTTXD low after the current character, until it is cleared; what waits is sent then", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x000, 1);
    u.write(0x000, 2);
    u.run(CHARACTER / 2);
    u.write(0x02c, 0x71);
    expect(u.breaks).toEqual([]);
    u.run(CHARACTER / 2);
    expect(u.breaks).toEqual([{ active: true, at: CHARACTER }]);
    u.run(3 * CHARACTER);
    expect(u.sent.map((c) => c.byte)).toEqual([1]);
    u.write(0x02c, 0x70);
    expect(u.breaks[1]).toEqual({ active: false, at: 4 * CHARACTER });
    u.run(CHARACTER);
    expect(u.sent.map((c) => c.byte)).toEqual([1, 2]);
  });

  it("an idle transmitter has no event waiting", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x000, 1);
    u.run(CHARACTER);
    expect(u.simulation.nextEventTime).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('PL011 with pacing "immediate"', () => {
  it("sends within the write, at any divisor, and is never busy", () => {
    const u = buildUart({ pacing: "immediate" });
    u.write(0x02c, 0x70);
    u.write(0x030, 0x301);
    for (const byte of [1, 2, 3]) u.write(0x000, byte);
    expect(u.sent.map((c) => c.byte)).toEqual([1, 2, 3]);
    expect(u.read(0x018) & 0xa8).toBe(0x80);
    expect(u.errors).toEqual([]);
  });

  it("takes each character as a passage through the transmit trigger level", () => {
    const u = buildUart({ pacing: "immediate" });
    u.write(0x02c, 0x70);
    u.write(0x030, 0x301);
    u.write(0x000, 1);
    expect(u.read(0x03c) & 0x20).toBe(0x20);
    u.write(0x044, 0x20);
    expect(u.read(0x03c) & 0x20).toBe(0);
  });

  it("keeps characters while the transmitter is disabled or CTS holds it", () => {
    const u = buildUart({ pacing: "immediate" });
    u.write(0x02c, 0x70);
    u.write(0x030, 0x8300);
    u.write(0x000, 1);
    u.write(0x030, 0x8301);
    expect(u.sent).toEqual([]);
    u.uart.nUARTCTS(false);
    expect(u.sent.map((c) => c.byte)).toEqual([1]);
  });
});

describe("PL011 that no guest has set up (option unconfigured)", () => {
  it('"disabled": sends and receives nothing', () => {
    const u = buildUart({ pacing: "immediate" });
    u.write(0x000, 0x41);
    expect(u.uart.receive(0x42)).toBe(false);
    expect(u.sent).toEqual([]);
    expect(u.uart.receiveSpace).toBe(0);
  });

  it('"enabled": sends and receives eight bits, and reports it once', () => {
    const u = buildUart({ pacing: "immediate", unconfigured: "enabled" });
    u.write(0x000, 0xc1);
    u.write(0x000, 0xc2);
    expect(u.sent.map((c) => c.byte)).toEqual([0xc1, 0xc2]);
    expect(u.read(0x018) & 0x08).toBe(0);
    expect(u.uart.receive(0xe4)).toBe(true);
    expect(u.read(0x000)).toBe(0xe4);
    expect(u.errors).toMatchObject([{ kind: "sequence", register: "UARTDR" }]);
  });

  it('"enabled": with the first write of UARTCR and of UARTLCR_H the manual holds', () => {
    const u = buildUart({ pacing: "immediate", unconfigured: "enabled" });
    u.write(0x02c, 0x10);
    u.write(0x000, 0xff);
    u.write(0x030, 0x300);
    u.write(0x000, 2);
    expect(u.uart.receive(3)).toBe(false);
    expect(u.sent.map((c) => c.byte)).toEqual([0x1f]);
    u.reset();
    u.write(0x000, 0xff);
    expect(u.sent.map((c) => c.byte)).toEqual([0x1f, 0xff]);
  });
});
