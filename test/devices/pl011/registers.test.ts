import { describe, expect, it } from "vitest";
import { buildUart } from "./uart.ts";

/** Tables 3-1 and 4-1 with the bit tables: offset, name, value after reset, bits that hold what is written. */
const REGISTERS: readonly (readonly [number, string, number, number])[] = [
  [0x000, "UARTDR", 0x000, 0],
  [0x004, "UARTRSR/UARTECR", 0x0, 0],
  // 0b-10010---: the modem bits follow their pins, which nothing drives here.
  [0x018, "UARTFR", 0x090, 0],
  [0x020, "UARTILPR", 0x00, 0xff],
  [0x024, "UARTIBRD", 0x0000, 0xffff],
  [0x028, "UARTFBRD", 0x00, 0x3f],
  [0x02c, "UARTLCR_H", 0x00, 0xff],
  [0x030, "UARTCR", 0x0300, 0xff87],
  [0x034, "UARTIFLS", 0x12, 0x3f],
  [0x038, "UARTIMSC", 0x000, 0x7ff],
  [0x03c, "UARTRIS", 0x000, 0],
  [0x040, "UARTMIS", 0x000, 0],
  [0x048, "UARTDMACR", 0x00, 0x7],
  [0x080, "UARTTCR", 0x0, 0x7],
  [0x088, "UARTITOP", 0x000, 0],
  [0xfe0, "UARTPeriphID0", 0x11, 0],
  [0xfe4, "UARTPeriphID1", 0x10, 0],
  [0xfe8, "UARTPeriphID2", 0x34, 0],
  [0xfec, "UARTPeriphID3", 0x00, 0],
  [0xff0, "UARTPCellID0", 0x0d, 0],
  [0xff4, "UARTPCellID1", 0xf0, 0],
  [0xff8, "UARTPCellID2", 0x05, 0],
  [0xffc, "UARTPCellID3", 0xb1, 0],
];

describe("PL011 programmer's model, DDI 0183G 3.2 and 4.3", () => {
  it.each(REGISTERS)("table 3-1: offset 0x%s is %s, with its reset value", (offset, _name, reset) => {
    expect(buildUart().read(offset)).toBe(reset);
  });

  it.each(REGISTERS.filter(([, , , bits]) => bits !== 0))(
    "table 3-1: offset 0x%s, %s, is so wide",
    (offset, _name, _r, bits) => {
      const u = buildUart();
      u.write(offset, 0xffff_ffff);
      expect(u.read(offset)).toBe(bits);
      u.write(offset, 0);
      expect(u.read(offset)).toBe(0);
      for (let bit = 0; bit < 16; bit++) {
        u.write(offset, 1 << bit);
        expect(u.read(offset)).toBe((1 << bit) & bits);
      }
    },
  );

  it("table 3-21: revision r1p5 reads back as 0x3, designer 0x41, part 0x011", () => {
    const u = buildUart();
    const id = [0xfe0, 0xfe4, 0xfe8, 0xfec].reduce((sum, at, i) => sum + u.read(at) * 256 ** i, 0);
    expect(id & 0xfff).toBe(0x011);
    expect((id >> 12) & 0xff).toBe(0x41);
    expect((id >> 20) & 0xf).toBe(0x3);
    expect(id >>> 24).toBe(0);
  });

  it("3.3.16: UARTPCellID is 0xB105F00D", () => {
    const u = buildUart();
    expect([0xffc, 0xff8, 0xff4, 0xff0].map((at) => u.read(at))).toEqual([0xb1, 0x05, 0xf0, 0x0d]);
  });

  it("3.2: UARTFR, UARTRIS, UARTMIS and the identification registers are read-only; a write is the guest's mistake", () => {
    const u = buildUart();
    for (const offset of [0x018, 0x03c, 0x040, 0xfe0, 0xffc]) {
      const before = u.read(offset);
      u.write(offset, 0xffff_ffff);
      expect(u.read(offset)).toBe(before);
      expect(u.errors.at(-1)).toMatchObject({ kind: "access", offset, write: true });
    }
  });

  it("3.2: UARTICR is write-only; a read gives zero and is the guest's mistake", () => {
    const u = buildUart();
    u.write(0x044, 0x7ff);
    expect(u.read(0x044)).toBe(0);
    expect(u.errors).toMatchObject([{ kind: "access", register: "UARTICR", write: false }]);
  });

  it("3.1: reserved offsets read as zero, ignore writes and are reported", () => {
    const u = buildUart();
    for (const offset of [0x008, 0x014, 0x01c, 0x04c, 0x07c, 0x090, 0xfcc, 0xfd0, 0xfdc]) {
      u.write(offset, 0xffff_ffff);
      expect(u.read(offset)).toBe(0);
    }
    expect(u.errors.map((e) => e.kind)).toEqual(Array(18).fill("reserved-offset"));
  });

  it("narrow accesses reach their byte lanes: UARTIBRD byte by byte, UARTCR half by half", () => {
    const u = buildUart();
    u.write(0x024, 0x34, 1);
    u.write(0x025, 0x12, 1);
    expect(u.read(0x024)).toBe(0x1234);
    expect(u.read(0x025, 1)).toBe(0x12);
    u.write(0x030, 0x0301, 2);
    u.write(0x032, 0xffff, 2);
    expect(u.read(0x030, 2)).toBe(0x0301);
    expect(u.read(0x032, 2)).toBe(0);
    expect(u.errors).toEqual([]);
  });

  it("infrared is declared as left out: setting SIREN, SIRLP, UARTILPR or SIRTEST says so, and the bits hold", () => {
    for (const [offset, value] of [
      [0x030, 0x302],
      [0x030, 0x304],
      [0x020, 0x0d],
      [0x080, 0x4],
    ] as const) {
      const u = buildUart();
      u.write(offset, value);
      expect(u.read(offset)).toBe(value);
      expect(u.errors.map((e) => e.kind)).toEqual(["unimplemented"]);
    }
  });
});
