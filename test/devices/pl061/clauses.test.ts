import { describe, expect, it } from "vitest";
import { Pl061, type Pl061Options } from "../../../src/devices/pl061/index.ts";
import { type Guest, guestOf } from "../guest.ts";

interface Gpio extends Guest {
  readonly gpio: Pl061;
}

function buildGpio(options: Pl061Options = {}): Gpio {
  let gpio: Pl061 | undefined;
  const guest = guestOf((simulation) => {
    gpio = new Pl061(simulation, "gpio", options);
    return { module: gpio, targets: [{ name: "registers", target: gpio.registers, size: 0x1000 }] };
  });
  return { ...guest, gpio: gpio as unknown as Pl061 };
}

const [DATA, DIR, IS, IBE, IEV, IE, RIS, MIS, IC, AFSEL] = [
  0x3fc, 0x400, 0x404, 0x408, 0x40c, 0x410, 0x414, 0x418, 0x41c, 0x420,
];
const NEVER = Number.MAX_SAFE_INTEGER;

function levels(lines: readonly { readonly level: boolean }[]): number {
  return lines.reduce((sum, line, n) => sum | (line.level ? 1 << n : 0), 0);
}

/** Table 3-1 and chapter 4: offset, name, value after reset, bits that hold what is written. */
const REGISTERS: readonly (readonly [number, string, number, number])[] = [
  [0x000, "GPIODATA, no pin", 0x00, 0],
  [0x3fc, "GPIODATA, all pins", 0x00, 0],
  [0x400, "GPIODIR", 0x00, 0xff],
  [0x404, "GPIOIS", 0x00, 0xff],
  [0x408, "GPIOIBE", 0x00, 0xff],
  [0x40c, "GPIOIEV", 0x00, 0xff],
  [0x410, "GPIOIE", 0x00, 0xff],
  [0x414, "GPIORIS", 0x00, 0],
  [0x418, "GPIOMIS", 0x00, 0],
  [0x420, "GPIOAFSEL", 0x00, 0xff],
  [0x600, "GPIOITCR", 0x00, 0x01],
  [0x604, "GPIOITIP1", 0x00, 0xff],
  [0x608, "GPIOITIP2", 0x00, 0xff],
  [0x610, "GPIOITOP2", 0x00, 0],
  [0x614, "GPIOITOP3", 0x00, 0xff],
  [0xfe0, "GPIOPeriphID0", 0x61, 0],
  [0xfe4, "GPIOPeriphID1", 0x10, 0],
  [0xfe8, "GPIOPeriphID2", 0x04, 0],
  [0xfec, "GPIOPeriphID3", 0x00, 0],
  [0xff0, "GPIOPCellID0", 0x0d, 0],
  [0xff4, "GPIOPCellID1", 0xf0, 0],
  [0xff8, "GPIOPCellID2", 0x05, 0],
  [0xffc, "GPIOPCellID3", 0xb1, 0],
];

describe("PL061 programmer's model, DDI 0190B 3.2", () => {
  it.each(REGISTERS)("table 3-1: offset 0x%s is %s, with its reset value", (offset, _name, reset) => {
    expect(buildGpio().read(offset)).toBe(reset);
  });

  it.each(REGISTERS.filter(([, , , bits]) => bits !== 0))(
    "table 3-1: offset 0x%s, %s, is so wide",
    (offset, _n, _r, bits) => {
      const g = buildGpio();
      for (const value of [0xffff_ffff, 0, 0x5555_5555, 0xaaaa_aaaa]) {
        g.write(offset, value);
        expect(g.read(offset)).toBe(value & bits);
      }
    },
  );

  it("table 3-1: GPIORIS and GPIOMIS are read-only, GPIOIC write-only; the other access is the guest's mistake", () => {
    const g = buildGpio();
    for (const offset of [RIS, MIS, 0x610, 0xfe0]) {
      const before = g.read(offset);
      g.write(offset, 0xffff_ffff);
      expect(g.read(offset)).toBe(before);
      expect(g.errors.at(-1)).toMatchObject({ kind: "access", offset, write: true });
    }
    for (const offset of [IC, 0x60c]) {
      expect(g.read(offset)).toBe(0);
      expect(g.errors.at(-1)).toMatchObject({ kind: "access", offset, write: false });
    }
  });

  it("3.2: reserved offsets read as zero and are reported", () => {
    const g = buildGpio();
    for (const offset of [0x424, 0x5fc, 0x618, 0xfcc, 0xfd0, 0xfdc]) {
      g.write(offset, 0xffff_ffff);
      expect(g.read(offset)).toBe(0);
    }
    expect(g.errors.map((e) => e.kind)).toEqual(Array(12).fill("reserved-offset"));
  });
});

describe("PL061 data and direction, DDI 0190B 3.3.1, 3.3.2, 3.3.10", () => {
  it("3.3.1: bits 9:2 of the address are the mask of a write: 0xFB to offset 0x098 sets pins 1, 2 and 5 as given", () => {
    const g = buildGpio();
    g.write(DIR, 0xff);
    g.write(0x098, 0xfb);
    // Mask 0b00100110: bits 5 and 1 written as 1, bit 2 as 0.
    expect(g.read(DATA)).toBe(0b0010_0010);
    g.write(DATA, 0xff);
    g.write(0x098, 0xfb);
    expect(g.read(DATA)).toBe(0b1111_1011);
  });

  it("3.3.1: bits 9:2 of the address are the mask of a read: offset 0x0C4 gives pins 0, 4 and 5", () => {
    const g = buildGpio();
    for (let pin = 0; pin < 8; pin++) g.gpio.setPin(pin, pin !== 4);
    expect(g.read(0x0c4)).toBe(0b0010_0001);
    expect(g.read(0x000)).toBe(0);
    expect(g.read(DATA)).toBe(0b1110_1111);
  });

  it("3.3.1: each of the 256 masks reaches its pins and no others", () => {
    const g = buildGpio();
    g.write(DIR, 0xff);
    for (let mask = 0; mask < 256; mask++) {
      g.write(DATA, 0x5a);
      g.write(mask << 2, 0xa5);
      expect(g.read(DATA)).toBe((0x5a & ~mask) | (0xa5 & mask));
      expect(g.read(mask << 2)).toBe(0xa5 & mask);
    }
  });

  it("3.3.1, 3.3.2: output pins give the value last written, input pins the level outside", () => {
    const g = buildGpio();
    g.write(DIR, 0xf0);
    g.write(DATA, 0xa0);
    for (let pin = 0; pin < 8; pin++) g.gpio.setPin(pin, true);
    expect(g.read(DATA)).toBe(0xaf);
    g.write(DIR, 0x00);
    expect(g.read(DATA)).toBe(0xff);
    g.write(DIR, 0xf0);
    expect(g.read(DATA)).toBe(0xaf);
  });

  it("a write reaches output pins only: a value written to an input pin is not there when it becomes an output", () => {
    const g = buildGpio();
    g.write(DATA, 0xff);
    g.write(DIR, 0xff);
    expect(g.read(DATA)).toBe(0);
  });

  it("3.3.2: nGPEN is low and GPOUT driven where GPIODIR is 1; all pins are inputs after reset", () => {
    const g = buildGpio();
    expect(levels(g.gpio.nGPEN)).toBe(0xff);
    g.write(DIR, 0x3c);
    g.write(DATA, 0x2a);
    expect([levels(g.gpio.nGPEN), levels(g.gpio.GPOUT)]).toEqual([0xc3, 0x28]);
    expect([g.gpio.pin(3), g.gpio.pin(4)]).toEqual([true, false]);
    g.reset();
    expect([levels(g.gpio.nGPEN), levels(g.gpio.GPOUT)]).toEqual([0xff, 0]);
  });

  it("3.3.10: GPIOAFSEL hands a pin to the hardware: GPAFOUT and nGPAFEN drive it, GPAFIN brings its level in", () => {
    const g = buildGpio();
    g.write(DIR, 0x01);
    g.write(AFSEL, 0x03);
    expect(levels(g.gpio.nGPEN)).toBe(0xff);
    g.gpio.setAlternate(1, true, true);
    expect([levels(g.gpio.nGPEN), levels(g.gpio.GPOUT)]).toEqual([0xfd, 0x02]);
    expect([levels(g.gpio.GPAFIN), g.gpio.pin(1)]).toEqual([0x02, true]);
    g.gpio.setAlternate(1, true, false);
    expect([levels(g.gpio.GPAFIN), g.gpio.pin(1)]).toEqual([0x00, false]);
    g.gpio.setPin(1, true);
    expect(levels(g.gpio.GPAFIN)).toBe(0x02);
    g.write(AFSEL, 0);
    expect(levels(g.gpio.nGPEN)).toBe(0xfe);
  });

  it("option pull: the level of pins that nothing drives", () => {
    const g = buildGpio({ pull: 0x81 });
    expect(g.read(DATA)).toBe(0x81);
    expect(g.read(RIS)).toBe(0);
    g.gpio.setPin(7, false);
    g.reset();
    expect(g.read(DATA)).toBe(0x81);
    expect(() => buildGpio({ pull: 256 })).toThrow(RangeError);
    expect(() => g.gpio.setPin(8, true)).toThrow(RangeError);
  });
});

describe("PL061 interrupts, DDI 0190B 3.3.3 to 3.3.9", () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7])(
    "3.3.5: pin %s by edge: rising with GPIOIEV 1, falling with 0, latched until GPIOIC",
    (pin) => {
      const g = buildGpio();
      const bit = 1 << pin;
      g.write(IE, bit);
      g.write(IEV, bit);
      g.gpio.setPin(pin, true);
      expect([g.read(RIS), g.read(MIS), levels(g.gpio.GPIOMIS), g.gpio.interrupt.level]).toEqual([bit, bit, bit, true]);
      g.gpio.setPin(pin, false);
      expect(g.read(RIS)).toBe(bit);
      g.write(IC, ~bit & 0xff);
      expect(g.read(RIS)).toBe(bit);
      g.write(IC, bit);
      expect([g.read(RIS), g.read(MIS), levels(g.gpio.GPIOMIS), g.gpio.interrupt.level]).toEqual([0, 0, 0, false]);
      g.write(IEV, 0);
      g.gpio.setPin(pin, true);
      expect(g.read(RIS)).toBe(0);
      g.gpio.setPin(pin, false);
      expect(g.read(RIS)).toBe(bit);
    },
  );

  it("3.3.4: GPIOIBE takes both edges, whatever GPIOIEV", () => {
    for (const iev of [0, 8]) {
      const g = buildGpio();
      g.write(IBE, 8);
      g.write(IEV, iev);
      for (const level of [true, false]) {
        g.gpio.setPin(3, level);
        expect(g.read(RIS)).toBe(8);
        g.write(IC, 8);
        expect(g.read(RIS)).toBe(0);
      }
    }
  });

  it.each([
    ["high", 4, true],
    ["low", 0, false],
  ])(
    "3.3.3: GPIOIS 1 detects the level, %s by GPIOIEV; it lasts as long as the level, and GPIOIC does not clear it",
    (...row) => {
      const [, iev, active] = row;
      const g = buildGpio();
      g.gpio.setPin(2, !active);
      g.write(IS, 4);
      g.write(IEV, iev);
      g.write(IC, 0xff);
      g.write(IE, 4);
      expect(g.read(RIS) & 4).toBe(0);
      g.gpio.setPin(2, active);
      expect([g.read(RIS) & 4, g.gpio.interrupt.level]).toEqual([4, true]);
      g.write(IC, 4);
      expect([g.read(RIS) & 4, g.gpio.interrupt.level]).toEqual([4, true]);
      g.gpio.setPin(2, !active);
      expect([g.read(RIS) & 4, g.gpio.interrupt.level]).toEqual([0, false]);
    },
  );

  it("3.3.6 to 3.3.8: GPIORIS does not depend on the mask; GPIOMIS and the lines are raw and mask", () => {
    const g = buildGpio();
    g.write(IBE, 0xff);
    g.gpio.setPin(0, true);
    g.gpio.setPin(5, true);
    expect([g.read(RIS), g.read(MIS), g.gpio.interrupt.level]).toEqual([0x21, 0, false]);
    g.write(IE, 0x20);
    expect([g.read(RIS), g.read(MIS), levels(g.gpio.GPIOMIS), g.gpio.interrupt.level]).toEqual([
      0x21,
      0x20,
      0x20,
      true,
    ]);
    g.write(IE, 0x01);
    expect([g.read(MIS), levels(g.gpio.GPIOMIS)]).toEqual([0x01, 0x01]);
    g.write(IE, 0);
    expect(g.gpio.interrupt.level).toBe(false);
  });

  it("3.3.9: GPIOIC clears the written bits and no others", () => {
    const g = buildGpio();
    g.write(IBE, 0xff);
    for (let pin = 0; pin < 8; pin++) g.gpio.setPin(pin, true);
    let left = 0xff;
    for (const pin of [4, 0, 7, 2, 6, 1, 5, 3]) {
      g.write(IC, 1 << pin);
      left &= ~(1 << pin);
      expect(g.read(RIS)).toBe(left);
    }
  });

  it("a change of configuration is no edge; an output pin's own edge is one, as GPIN sees the pad", () => {
    const g = buildGpio();
    g.gpio.setPin(1, true);
    g.write(IC, 0xff);
    g.write(IEV, 2);
    g.write(IBE, 2);
    g.write(IS, 2);
    g.write(IS, 0);
    expect(g.read(RIS)).toBe(0);
    g.write(DIR, 1);
    g.write(IEV, 1);
    g.write(DATA, 1);
    expect(g.read(RIS)).toBe(1);
  });

  it("reset clears detected edges, masks and lines; nothing ever waits in the queue", () => {
    const g = buildGpio();
    g.write(IBE, 0xff);
    g.write(IE, 0xff);
    g.gpio.setPin(3, true);
    expect(g.gpio.interrupt.level).toBe(true);
    g.reset();
    expect([RIS, MIS, IE, IBE, DATA].map((at) => g.read(at))).toEqual([0, 0, 0, 0, 0]);
    expect(g.gpio.interrupt.level).toBe(false);
    expect(g.simulation.nextEventTime).toBe(NEVER);
  });
});

describe("PL061 integration test registers, DDI 0190B 4.3", () => {
  it("GPIOITIP1 and GPIOITIP2 stand for GPAFOUT and nGPAFEN of hardware-controlled pins", () => {
    const g = buildGpio();
    g.write(AFSEL, 0xff);
    g.write(0x604, 0x5a);
    expect(levels(g.gpio.GPOUT)).toBe(0);
    g.write(0x600, 1);
    g.write(0x608, 0x0f);
    expect([levels(g.gpio.GPOUT), levels(g.gpio.nGPEN)]).toEqual([0x5a, 0x0f]);
    g.write(0x600, 0);
    expect([levels(g.gpio.GPOUT), levels(g.gpio.nGPEN)]).toEqual([0x00, 0xff]);
  });

  it("GPIOITOP1 drives the interrupts, read back in GPIOMIS and GPIOITOP2; GPIOITOP3 drives GPAFIN", () => {
    const g = buildGpio();
    g.write(0x60c, 0x81);
    g.write(0x614, 0x3c);
    expect([levels(g.gpio.GPIOMIS), g.gpio.interrupt.level]).toEqual([0, false]);
    g.write(0x600, 1);
    expect([levels(g.gpio.GPIOMIS), g.gpio.interrupt.level, g.read(MIS), g.read(0x610)]).toEqual([0x81, true, 0x81, 1]);
    expect(levels(g.gpio.GPAFIN)).toBe(0x3c);
    g.write(0x60c, 0);
    expect([g.gpio.interrupt.level, g.read(0x610)]).toEqual([false, 0]);
  });
});
