import { describe, expect, it } from "vitest";
import { buildUart, CHARACTER, setUp, type Uart } from "./uart.ts";

const CLOCK = { uartclk: 4_000_000 };

/** Levels of UARTTXDMASREQ, UARTTXDMABREQ, UARTRXDMASREQ, UARTRXDMABREQ. */
function requests(u: Uart): string {
  const { UARTTXDMASREQ, UARTTXDMABREQ, UARTRXDMASREQ, UARTRXDMABREQ } = u.uart;
  return [UARTTXDMASREQ, UARTTXDMABREQ, UARTRXDMASREQ, UARTRXDMABREQ].map((l) => Number(l.level)).join("");
}

describe("PL011 DMA interface, DDI 0183G 2.7 and 3.3.14", () => {
  it.each([
    ["1/8", 0, 4],
    ["1/4", 1, 8],
    ["1/2", 2, 16],
    ["3/4", 3, 24],
    ["7/8", 4, 28],
  ])(
    "table 2-4: at watermark %s the receive requests are single from one character, burst from %s filled locations",
    (...row) => {
      const [, select, filled] = row;
      const u = buildUart(CLOCK);
      setUp(u);
      u.write(0x034, select << 3);
      u.write(0x048, 0x1);
      expect(requests(u)).toBe("0000");
      u.uart.receive(0);
      expect(requests(u)).toBe("0010");
      for (let i = 1; i < filled - 1; i++) u.uart.receive(i);
      expect(requests(u)).toBe("0010");
      u.uart.receive(0);
      expect(requests(u)).toBe("0011");
    },
  );

  it.each([
    ["1/8", 0, 28],
    ["1/4", 1, 24],
    ["1/2", 2, 16],
    ["3/4", 3, 8],
    ["7/8", 4, 4],
  ])(
    "table 2-4: at watermark %s the transmit burst request needs %s... empty locations, the single one an empty location",
    (...row) => {
      const [, select, empty] = row;
      const u = buildUart(CLOCK);
      setUp(u, 0x70, 0x201);
      u.write(0x034, select);
      for (let i = 0; i < 32 - empty + 1; i++) u.write(0x000, i);
      u.write(0x048, 0x2);
      expect(requests(u)).toBe("1000");
      u.write(0x048, 0);
      u.write(0x080, 0x2);
      u.read(0x08c);
      u.write(0x048, 0x2);
      expect(requests(u)).toBe("1100");
    },
  );

  it("2.7: no single transmit request of a full FIFO", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x201);
    for (let i = 0; i < 32; i++) u.write(0x000, i);
    u.write(0x048, 0x2);
    expect(requests(u)).toBe("0000");
  });

  it("2.7: a request stays asserted until its clear input is; it comes again after the clear is taken back", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x048, 0x1);
    u.uart.receive(1);
    u.uart.receive(2);
    u.read(0x000);
    u.read(0x000);
    expect(requests(u)).toBe("0010");
    u.uart.UARTRXDMACLR(true);
    expect(requests(u)).toBe("0000");
    u.uart.receive(3);
    expect(requests(u)).toBe("0000");
    u.uart.UARTRXDMACLR(false);
    expect(requests(u)).toBe("0010");
    u.write(0x048, 0x3);
    expect(requests(u)).toBe("1110");
    u.uart.UARTTXDMACLR(true);
    expect(requests(u)).toBe("0010");
  });

  it.each([
    ["UARTEN is cleared", 0x030, 0x300],
    ["the enable bits are", 0x048, 0],
  ])("2.7: all requests fall when %s", (_what, offset, value) => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x048, 0x3);
    for (let i = 0; i < 20; i++) u.uart.receive(i);
    expect(requests(u)).toBe("1111");
    u.write(offset, value);
    expect(requests(u)).toBe("0000");
  });

  it("2.7: with the FIFOs disabled only single requests are made", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.write(0x048, 0x3);
    u.uart.receive(1);
    expect(requests(u)).toBe("1010");
  });

  it("2.7: DMAONERR holds the receive requests back while UARTEINTR is asserted, and no others", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x038, 0x080);
    u.write(0x048, 0x7);
    u.uart.receive(1, 1);
    expect(u.uart.UARTEINTR.level).toBe(true);
    expect(requests(u)).toBe("1100");
    u.write(0x044, 0x080);
    expect(requests(u)).toBe("1110");
    u.write(0x038, 0);
    u.uart.receive(1, 1);
    expect(requests(u)).toBe("1110");
  });

  it("2.7: a controller that answers requests at once empties the FIFO by bursts of four and singles: 19 characters", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    for (let i = 0; i < 19; i++) u.uart.receive(i);
    const transfers: string[] = [];
    u.write(0x034, 0);
    u.write(0x048, 0x1);
    while ((u.read(0x018) & 0x10) === 0) {
      const burst = u.uart.UARTRXDMABREQ.level;
      expect(u.uart.UARTRXDMASREQ.level).toBe(true);
      for (let i = 0; i < (burst ? 4 : 1); i++) u.read(0x000);
      transfers.push(burst ? "burst" : "single");
      u.uart.UARTRXDMACLR(true);
      u.uart.UARTRXDMACLR(false);
    }
    expect(transfers).toEqual(["burst", "burst", "burst", "burst", "single", "single", "single"]);
  });
});

describe("PL011 test registers, DDI 0183G chapter 4", () => {
  it("4.4.1, 4.4.4: with TESTFIFO UARTTDR writes the receive FIFO, error bits included, and reads the transmit FIFO", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x300);
    u.write(0x000, 0x31);
    u.write(0x000, 0x32);
    u.write(0x080, 0x2);
    u.write(0x08c, 0x541);
    u.write(0x08c, 0xffff_f842);
    expect([u.read(0x08c), u.read(0x08c), u.read(0x08c)]).toEqual([0x31, 0x32, 0]);
    expect(u.read(0x018) & 0x90).toBe(0x80);
    expect([u.read(0x000), u.read(0x000)]).toEqual([0x541, 0x042]);
    expect(u.read(0x03c) & 0x780).toBe(0x280);
  });

  it("4.4.1: without TESTFIFO UARTTDR reaches neither FIFO", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x300);
    u.write(0x000, 0x31);
    u.write(0x08c, 0x41);
    expect(u.read(0x08c)).toBe(0);
    expect(u.read(0x018) & 0x90).toBe(0x10);
  });

  it("4.4.2, 4.5: UARTITIP shows the input pins, and the clear lines behind the multiplexor", () => {
    const u = buildUart(CLOCK);
    expect(u.read(0x084)).toBe(0x3f);
    u.uart.nUARTRI(false);
    expect(u.read(0x084)).toBe(0x1f);
    u.uart.nUARTDCD(false);
    expect(u.read(0x084)).toBe(0x0f);
    u.uart.nUARTCTS(false);
    expect(u.read(0x084)).toBe(0x07);
    u.uart.nUARTDSR(false);
    expect(u.read(0x084)).toBe(0x03);
    u.uart.UARTTXDMACLR(true);
    expect(u.read(0x084)).toBe(0x83);
    u.uart.UARTRXDMACLR(true);
    expect(u.read(0x084)).toBe(0xc3);
    u.write(0x080, 1);
    expect(u.read(0x084)).toBe(0x03);
    u.write(0x084, 0xff);
    expect(u.read(0x084)).toBe(0xc3);
    u.write(0x084, 0x40);
    expect(u.read(0x084)).toBe(0x43);
  });

  it("4.5.1: in integration test mode UARTITIP[7:6] stand for the DMA clear inputs", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x048, 0x1);
    u.uart.receive(1);
    u.write(0x080, 1);
    u.write(0x088, 0);
    u.write(0x084, 0x40);
    u.write(0x080, 0);
    expect(requests(u)).toBe("0010");
    u.uart.UARTRXDMACLR(true);
    expect(requests(u)).toBe("0000");
  });

  it.each([
    [15, "UARTTXDMASREQ"],
    [14, "UARTTXDMABREQ"],
    [13, "UARTRXDMASREQ"],
    [12, "UARTRXDMABREQ"],
    [11, "UARTMSINTR"],
    [10, "UARTRXINTR"],
    [9, "UARTTXINTR"],
    [8, "UARTRTINTR"],
    [7, "UARTEINTR"],
    [6, "interrupt"],
    [5, "nUARTOut2"],
    [4, "nUARTOut1"],
    [3, "nUARTRTS"],
    [2, "nUARTDTR"],
  ] as const)(
    "4.4.3, 4.6: in integration test mode UARTITOP[%s] drives %s and no other, and reads back",
    (bit, line) => {
      const u = buildUart(CLOCK);
      const lines = [
        "UARTTXDMASREQ",
        "UARTTXDMABREQ",
        "UARTRXDMASREQ",
        "UARTRXDMABREQ",
        "UARTMSINTR",
        "UARTRXINTR",
        "UARTTXINTR",
        "UARTRTINTR",
        "UARTEINTR",
        "interrupt",
        "nUARTOut2",
        "nUARTOut1",
        "nUARTRTS",
        "nUARTDTR",
      ] as const;
      u.write(0x088, 1 << bit);
      u.write(0x080, 1);
      expect(lines.filter((name) => u.uart[name].level)).toEqual([line]);
      expect(u.read(0x088)).toBe(1 << bit);
      u.write(0x080, 0);
      expect(lines.filter((name) => u.uart[name].level)).toEqual(["nUARTOut2", "nUARTOut1", "nUARTRTS", "nUARTDTR"]);
    },
  );

  it("4.4.3: in normal operation UARTITOP[15:6] read the outputs behind the multiplexor", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.write(0x038, 0x30);
    u.uart.receive(1);
    u.write(0x000, 1);
    expect(u.read(0x088)).toBe(0x0640);
    u.run(CHARACTER);
  });

  it("4.5.2: with the outputs looped back to the inputs each pair is seen", () => {
    const u = buildUart(CLOCK);
    u.uart.nUARTRTS.connect(u.uart.nUARTCTS);
    u.uart.nUARTDTR.connect(u.uart.nUARTDSR);
    u.uart.nUARTOut1.connect(u.uart.nUARTDCD);
    u.uart.nUARTOut2.connect(u.uart.nUARTRI);
    u.write(0x080, 1);
    for (const [out, inn] of [
      [0x20, 0x20],
      [0x10, 0x10],
      [0x08, 0x08],
      [0x04, 0x04],
      [0x3c, 0x3c],
      [0x00, 0x00],
    ] as const) {
      u.write(0x088, out);
      expect(u.read(0x084) & 0x3c).toBe(inn);
    }
  });
});
