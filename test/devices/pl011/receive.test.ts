import { describe, expect, it } from "vitest";
import { BREAK, FRAMING_ERROR, PARITY_ERROR } from "../../../src/devices/pl011/index.ts";
import { buildUart, setUp, type Uart } from "./uart.ts";

const CLOCK = { uartclk: 4_000_000 };
/** 32 bit periods of 4 us. */
const TIMEOUT = 1_280_000;

function fill(u: Uart, count: number): void {
  for (let i = 0; i < count; i++) u.uart.receive(i);
}

describe("PL011 receiver, DDI 0183G 2.4.3 and 3.3.1 to 3.3.3", () => {
  it("2.2.5: the receive FIFO holds 32 characters, in order; RXFE and RXFF tell", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    expect(u.read(0x018) & 0x50).toBe(0x10);
    fill(u, 31);
    expect(u.read(0x018) & 0x50).toBe(0);
    expect(u.uart.receiveSpace).toBe(1);
    u.uart.receive(31);
    expect(u.read(0x018) & 0x50).toBe(0x40);
    expect(Array.from({ length: 32 }, () => u.read(0x000))).toEqual(Array.from({ length: 32 }, (_, i) => i));
    expect(u.read(0x018) & 0x50).toBe(0x10);
  });

  it("2.4.3: with the FIFOs disabled there is one holding register", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    expect(u.uart.receive(1)).toBe(true);
    expect(u.read(0x018) & 0x50).toBe(0x40);
    expect(u.uart.receive(2)).toBe(false);
    expect(u.read(0x000)).toBe(1);
    expect(u.read(0x018) & 0x50).toBe(0x10);
  });

  it("the FIFO exists from reset: a character is received before UARTLCR_H is ever written, with the five bits of WLEN b00", () => {
    const u = buildUart(CLOCK);
    u.write(0x030, 0x301);
    expect(u.uart.receive(0xff)).toBe(true);
    expect(u.read(0x000)).toBe(0x1f);
  });

  it.each([
    ["the UART and the receiver enabled", 0x301, true],
    ["the UART alone", 0x101, false],
    ["the receiver alone", 0x300, false],
  ])("3.3.8: RXE and UARTEN must both be set to receive: %s", (_what, cr, taken) => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, cr);
    expect(u.uart.receive(0x41)).toBe(taken);
    expect(u.uart.receiveSpace > 0).toBe(taken);
    expect(u.read(0x018) & 0x10).toBe(taken ? 0 : 0x10);
  });

  it.each([
    ["framing (FE)", FRAMING_ERROR, 0x70, 0x141, 0x1, 0x080],
    ["parity (PE)", PARITY_ERROR, 0x72, 0x241, 0x2, 0x100],
    ["break (BE), which loads one 0 character", BREAK, 0x70, 0x400, 0x4, 0x200],
  ])(
    "tables 3-2 and 3-3: %s stands with its character, in UARTRSR after the read, and in its own interrupt",
    (...row) => {
      const [, flags, lcr, data, status, interrupt] = row;
      const u = buildUart(CLOCK);
      setUp(u, lcr);
      u.uart.receive(0x40);
      u.uart.receive(0x41, flags);
      u.uart.receive(0x42);
      expect(u.read(0x03c) & 0x780).toBe(interrupt);
      expect(u.read(0x000)).toBe(0x40);
      expect(u.read(0x004)).toBe(0);
      expect(u.read(0x000)).toBe(data);
      expect(u.read(0x004)).toBe(status);
      expect(u.read(0x000)).toBe(0x42);
      expect(u.read(0x004)).toBe(0);
    },
  );

  it("table 3-11: parity is not checked while PEN is 0", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.uart.receive(0x41, PARITY_ERROR);
    expect(u.read(0x000)).toBe(0x41);
    expect(u.read(0x03c) & 0x100).toBe(0);
  });

  it("table 3-3: UARTRSR changes with a read of UARTDR only; a write of any value to UARTECR clears it", () => {
    for (const value of [0, 0xff]) {
      const u = buildUart(CLOCK);
      setUp(u);
      u.uart.receive(0x41, FRAMING_ERROR | BREAK);
      expect(u.read(0x004)).toBe(0);
      u.read(0x000);
      expect(u.read(0x004)).toBe(0x5);
      u.write(0x004, value);
      expect(u.read(0x004)).toBe(0);
    }
  });

  it("2.4.3, overrun bit: OE in UARTRSR at once, FIFO contents kept, and in UARTDR with the next character received", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    fill(u, 32);
    expect(u.read(0x004)).toBe(0);
    expect(u.uart.receive(0x99)).toBe(false);
    expect(u.read(0x004)).toBe(0x8);
    expect(u.read(0x03c) & 0x400).toBe(0x400);
    expect(u.read(0x000)).toBe(0);
    u.uart.receive(0x77);
    u.read(0x000);
    u.uart.receive(0x78);
    expect(Array.from({ length: 32 }, () => u.read(0x000)).slice(-3)).toEqual([31, 0x877, 0x78]);
    expect(u.read(0x004)).toBe(0x8);
    u.write(0x004, 0);
    expect(u.read(0x004)).toBe(0);
  });

  it("3.3.3: a read of an empty FIFO gives zero, changes nothing and is reported", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    const hash = u.simulation.stateHash();
    expect(u.read(0x000)).toBe(0);
    expect(u.errors).toMatchObject([{ kind: "sequence", register: "UARTDR", write: false }]);
    expect(u.simulation.stateHash()).toBe(hash);
  });

  it("says when there is room again", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    let told = 0;
    u.uart.onReceiveSpace = () => told++;
    fill(u, 32);
    expect(told).toBe(0);
    u.read(0x000);
    u.read(0x000);
    expect(told).toBe(1);
    u.write(0x030, 0);
    u.write(0x030, 0x301);
    expect(told).toBe(2);
  });
});

describe("PL011 receive interrupts, DDI 0183G 2.8.2, 2.8.4, 2.8.5, 3.3.9", () => {
  it.each([
    ["1/8", 0, 4],
    ["1/4", 1, 8],
    ["1/2", 2, 16],
    ["3/4", 3, 24],
    ["7/8", 4, 28],
  ])(
    "table 3-13: RXIFLSEL %s raises UARTRXINTR at that fill level, and reading below it lowers it",
    (_name, select, level) => {
      const u = buildUart(CLOCK);
      setUp(u);
      u.write(0x034, select << 3);
      u.write(0x038, 0x10);
      fill(u, level - 1);
      expect(u.read(0x03c) & 0x10).toBe(0);
      u.uart.receive(0);
      expect(u.read(0x03c) & 0x10).toBe(0x10);
      expect(u.uart.UARTRXINTR.level).toBe(true);
      expect(u.uart.interrupt.level).toBe(true);
      u.read(0x000);
      expect(u.read(0x03c) & 0x10).toBe(0);
      expect(u.uart.interrupt.level).toBe(false);
    },
  );

  it.each([5, 6, 7])("table 3-13: the reserved selection %s is reported, and acts as 7/8", (select) => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x034, (select << 3) | select);
    expect(u.errors.map((e) => e.kind)).toEqual(["value"]);
    fill(u, 27);
    expect(u.read(0x03c) & 0x10).toBe(0);
    u.uart.receive(0);
    expect(u.read(0x03c) & 0x10).toBe(0x10);
  });

  it("2.8.2: cleared by UARTICR it stays clear above the level, until the level is passed again", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    fill(u, 16);
    u.write(0x044, 0x10);
    fill(u, 4);
    expect(u.read(0x03c) & 0x10).toBe(0);
    for (let i = 0; i < 5; i++) u.read(0x000);
    u.uart.receive(0);
    expect(u.read(0x03c) & 0x10).toBe(0x10);
  });

  it("2.8.2: with the FIFOs disabled one character raises it and a single read lowers it", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.uart.receive(1);
    expect(u.read(0x03c) & 0x10).toBe(0x10);
    u.read(0x000);
    expect(u.read(0x03c) & 0x10).toBe(0);
  });

  it("2.8.4: UARTRTINTR after 32 bit periods without data while the FIFO is not empty; each character starts them anew", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x038, 0x40);
    u.uart.receive(1);
    u.run(TIMEOUT - 1);
    u.uart.receive(2);
    u.run(TIMEOUT - 1);
    expect(u.read(0x03c) & 0x40).toBe(0);
    u.run(1);
    expect(u.read(0x03c) & 0x40).toBe(0x40);
    expect(u.uart.UARTRTINTR.level).toBe(true);
    u.read(0x000);
    expect(u.uart.UARTRTINTR.level).toBe(true);
    u.read(0x000);
    expect(u.read(0x03c) & 0x40).toBe(0);
    expect(u.uart.interrupt.level).toBe(false);
  });

  it("2.8.4: UARTICR clears the timeout; data left unread raises it again 32 bit periods later", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.uart.receive(1);
    u.run(TIMEOUT);
    u.write(0x044, 0x40);
    expect(u.read(0x03c) & 0x40).toBe(0);
    u.run(TIMEOUT - 1);
    expect(u.read(0x03c) & 0x40).toBe(0);
    u.run(1);
    expect(u.read(0x03c) & 0x40).toBe(0x40);
  });

  it("2.8.4: no timeout of an empty FIFO, and nothing waits for one", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.uart.receive(1);
    u.read(0x000);
    expect(u.simulation.nextEventTime).toBe(Number.MAX_SAFE_INTEGER);
    u.run(10 * TIMEOUT);
    expect(u.read(0x03c) & 0x40).toBe(0);
  });

  it("tables 3-14 and 3-17: the four error interrupts, bits 7 to 10, are enabled and cleared each on its own", () => {
    for (const bit of [0x080, 0x100, 0x200, 0x400]) {
      const u = buildUart(CLOCK);
      setUp(u, 0x72);
      fill(u, 31);
      u.uart.receive(1, FRAMING_ERROR | PARITY_ERROR | BREAK);
      u.uart.receive(2);
      expect(u.read(0x03c) & 0x780).toBe(0x780);
      expect(u.uart.UARTEINTR.level).toBe(false);
      u.write(0x038, bit);
      expect(u.read(0x038)).toBe(bit);
      expect(u.read(0x040)).toBe(bit);
      expect(u.uart.UARTEINTR.level).toBe(true);
      u.write(0x044, bit);
      expect(u.read(0x03c) & 0x780).toBe(0x780 & ~bit);
      expect(u.uart.UARTEINTR.level).toBe(false);
      expect(u.uart.interrupt.level).toBe(false);
    }
  });
});
