import { describe, expect, it } from "vitest";
import { buildUart, CHARACTER, setUp } from "./uart.ts";

const CLOCK = { uartclk: 4_000_000 };

describe("PL011 transmit interrupt, DDI 0183G 2.8.3 and 3.3.9", () => {
  it.each([
    ["1/8", 0, 4],
    ["1/4", 1, 8],
    ["1/2", 2, 16],
    ["3/4", 3, 24],
    ["7/8", 4, 28],
  ])("table 3-13: TXIFLSEL %s raises UARTTXINTR when the FIFO sinks to that level", (_name, select, level) => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x034, select);
    u.write(0x038, 0x20);
    for (let i = 0; i < 33; i++) u.write(0x000, i);
    u.run((32 - level) * CHARACTER - 1);
    expect(u.read(0x03c) & 0x20).toBe(0);
    u.run(1);
    expect(u.read(0x03c) & 0x20).toBe(0x20);
    expect(u.uart.UARTTXINTR.level).toBe(true);
    expect(u.uart.interrupt.level).toBe(true);
    u.write(0x000, 0);
    expect(u.read(0x03c) & 0x20).toBe(0);
    expect(u.uart.interrupt.level).toBe(false);
  });

  it("2.8.3, note: enabling UART and interrupt before any data is written sets nothing", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    u.write(0x038, 0x20);
    u.run(10 * CHARACTER);
    expect(u.read(0x03c)).toBe(0);
  });

  it("3.3.9: a FIFO that never rose above the level passes none", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    for (let i = 0; i < 17; i++) u.write(0x000, i);
    u.run(40 * CHARACTER);
    expect(u.read(0x03c) & 0x20).toBe(0);
    for (let i = 0; i < 18; i++) u.write(0x000, i);
    u.run(40 * CHARACTER);
    expect(u.read(0x03c) & 0x20).toBe(0x20);
  });

  it("2.8.3: cleared by UARTICR it stays clear below the level, until the level is passed again", () => {
    const u = buildUart(CLOCK);
    setUp(u);
    for (let i = 0; i < 18; i++) u.write(0x000, i);
    u.run(CHARACTER);
    u.write(0x044, 0x20);
    u.run(100 * CHARACTER);
    expect(u.read(0x03c) & 0x20).toBe(0);
    u.write(0x000, 0);
    u.run(CHARACTER);
    expect(u.read(0x03c) & 0x20).toBe(0);
  });

  it("2.8.3: with the FIFOs disabled it is set when written data leaves the single location, cleared by a single write", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.write(0x000, 1);
    expect(u.read(0x03c) & 0x20).toBe(0x20);
    u.write(0x000, 2);
    expect(u.read(0x03c) & 0x20).toBe(0);
    u.run(CHARACTER);
    expect(u.read(0x03c) & 0x20).toBe(0x20);
    u.write(0x044, 0x20);
    u.run(5 * CHARACTER);
    expect(u.read(0x03c) & 0x20).toBe(0);
  });
});

describe("PL011 interrupt registers and lines, DDI 0183G 2.8, 3.3.10 to 3.3.13", () => {
  it("3.3.12: UARTMIS is UARTRIS and UARTIMSC, recomputed when either changes; UARTINTR is its OR", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.uart.receive(1);
    expect(u.read(0x03c)).toBe(0x10);
    expect(u.read(0x040)).toBe(0);
    expect(u.uart.interrupt.level).toBe(false);
    u.write(0x038, 0x10);
    expect(u.read(0x040)).toBe(0x10);
    expect(u.uart.interrupt.level).toBe(true);
    u.write(0x038, 0x7ef);
    expect(u.read(0x040)).toBe(0);
    expect(u.uart.interrupt.level).toBe(false);
  });

  it("3.3.13: UARTICR clears the written bits and no others", () => {
    const u = buildUart(CLOCK);
    u.uart.nUARTCTS(false);
    u.uart.nUARTDSR(false);
    u.uart.nUARTDCD(false);
    u.uart.nUARTRI(false);
    expect(u.read(0x03c)).toBe(0x00f);
    for (const [bit, left] of [
      [0x1, 0xe],
      [0x4, 0xa],
      [0x8, 0x2],
      [0x2, 0x0],
    ] as const) {
      u.write(0x044, bit);
      expect(u.read(0x03c)).toBe(left);
    }
  });

  it.each([
    ["nUARTRI", 0x001, 0x100],
    ["nUARTCTS", 0x002, 0x001],
    ["nUARTDCD", 0x004, 0x004],
    ["nUARTDSR", 0x008, 0x002],
  ] as const)(
    "2.8.1: any change of %s raises its interrupt and UARTMSINTR; UARTFR has the complement",
    (pin, bit, flag) => {
      const u = buildUart(CLOCK);
      u.write(0x038, bit);
      expect(u.read(0x018) & 0x107).toBe(0);
      for (const level of [false, true]) {
        u.uart[pin](level);
        expect(u.read(0x018) & 0x107).toBe(level ? 0 : flag);
        expect(u.read(0x03c)).toBe(bit);
        expect(u.uart.UARTMSINTR.level).toBe(true);
        expect(u.uart.interrupt.level).toBe(true);
        u.write(0x044, bit);
        expect(u.uart.UARTMSINTR.level).toBe(false);
        expect(u.uart.interrupt.level).toBe(false);
        u.uart[pin](level);
        expect(u.read(0x03c)).toBe(0);
      }
    },
  );

  it("2.8: each of the five interrupt lines follows its own sources", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.write(0x038, 0x7ff);
    const lines = () => {
      const { UARTRXINTR, UARTTXINTR, UARTRTINTR, UARTMSINTR, UARTEINTR } = u.uart;
      return [UARTRXINTR, UARTTXINTR, UARTRTINTR, UARTMSINTR, UARTEINTR].map((l) => Number(l.level)).join("");
    };
    expect(lines()).toBe("00000");
    u.uart.receive(1);
    expect(lines()).toBe("10000");
    u.write(0x000, 1);
    expect(lines()).toBe("11000");
    u.run(1_280_000);
    expect(lines()).toBe("11100");
    u.uart.nUARTRI(false);
    expect(lines()).toBe("11110");
    u.uart.receive(2);
    expect(lines()).toBe("11111");
    u.write(0x044, 0x7ff);
    expect(lines()).toBe("00000");
    expect(u.uart.interrupt.level).toBe(false);
  });

  it("reset clears every interrupt source, FIFO, error and line", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x60);
    u.write(0x038, 0x7ff);
    u.uart.receive(1, 1);
    u.uart.receive(2);
    u.read(0x000);
    u.uart.receive(3);
    u.uart.receive(4);
    u.uart.nUARTCTS(false);
    u.write(0x000, 5);
    u.write(0x000, 6);
    u.run(2_000_000);
    expect(u.uart.interrupt.level).toBe(true);
    u.reset();
    expect(u.read(0x03c)).toBe(0);
    expect(u.read(0x004)).toBe(0);
    expect(u.read(0x018)).toBe(0x090);
    expect(u.read(0x034)).toBe(0x12);
    expect(u.uart.interrupt.level).toBe(false);
    expect(u.simulation.nextEventTime).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("a debugger that looks at UARTDR and UARTTDR takes no character", () => {
    const u = buildUart(CLOCK);
    setUp(u, 0x70, 0x300);
    u.write(0x080, 0x2);
    u.write(0x000, 0x21);
    u.write(0x08c, 0x141);
    const hash = u.simulation.stateHash();
    expect(u.peek(0x000)).toBe(0x141);
    expect(u.peek(0x000)).toBe(0x141);
    expect(u.peek(0x08c)).toBe(0x21);
    expect(u.simulation.stateHash()).toBe(hash);
    expect(u.read(0x000)).toBe(0x141);
    expect(u.read(0x08c)).toBe(0x21);
    expect(u.read(0x018) & 0x90).toBe(0x90);
  });
});
