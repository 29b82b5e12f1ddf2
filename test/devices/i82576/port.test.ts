import { describe, expect, it } from "vitest";
import { Driver, frameOf, OWN, PEER, REG } from "./driver.ts";

describe("82576 EEPROM (chapter 6, 8.4)", () => {
  const word = (d: Driver, address: number) => {
    d.write(REG.EERD, (address << 2) | 1);
    const value = d.read(REG.EERD);
    expect(value & 2).toBe(2);
    return value >>> 16;
  };

  it("chapter 6: words 0 to 2 hold the MAC address, low byte first; RAL and RAH 0 are loaded from them with AV", () => {
    const d = new Driver(false);
    expect([0, 1, 2].map((n) => word(d, n))).toEqual([0x1102, 0x3322, 0x5544]);
    expect(d.read(REG.RAL)).toBe(0x3322_1102);
    expect(d.read(REG.RAH)).toBe(0x8000_5544);
  });

  it("chapter 6: words 0 to 3Fh sum to BABAh; the device id is 10C9h", () => {
    const d = new Driver(false);
    let sum = 0;
    for (let i = 0; i < 0x40; i++) sum += word(d, i);
    expect(sum & 0xffff).toBe(0xbaba);
    expect(word(d, 0x0d)).toBe(0x10c9);
  });

  /** Bit-bang of EECD as 8.4 describes: SK bit 0, CS bit 1 (low selects), DI bit 2, DO bit 3, REQ bit 6, GNT bit 7. */
  const bang = (d: Driver) => {
    let pins = 0x40;
    const set = (value: number) => {
      pins = value;
      d.write(REG.EECD, pins);
    };
    const shiftOut = (value: number, bits: number) => {
      for (let b = bits - 1; b >= 0; b--) {
        const base = (pins & ~5) | (((value >>> b) & 1) << 2);
        set(base);
        set(base | 1);
        set(base);
      }
    };
    const shiftIn = (bits: number) => {
      let value = 0;
      for (let b = 0; b < bits; b++) {
        set(pins & ~4);
        set(pins | 1);
        value = (value << 1) | ((d.read(REG.EECD) >>> 3) & 1);
        set(pins & ~1);
      }
      return value;
    };
    set(0x42);
    return { select: () => set(0x40), deselect: () => set(0x42), shiftOut, shiftIn };
  };

  it("8.4: EE_REQ is granted; a READ command over the pins gives the same words", () => {
    const d = new Driver(false);
    const spi = bang(d);
    expect(d.read(REG.EECD) & 0x80).toBe(0x80);
    spi.select();
    spi.shiftOut(0x03, 8);
    spi.shiftOut(0, 16);
    expect([spi.shiftIn(8), spi.shiftIn(8), spi.shiftIn(8)]).toEqual([0x02, 0x11, 0x22]);
    spi.deselect();
  });

  it("8.4: a WRITE after WREN changes the word; without WREN it does not", () => {
    const d = new Driver(false);
    const spi = bang(d);
    const write = (byte: number, enable: boolean) => {
      if (enable) {
        spi.select();
        spi.shiftOut(0x06, 8);
        spi.deselect();
      }
      spi.select();
      spi.shiftOut(0x02, 8);
      spi.shiftOut(0x60, 16);
      spi.shiftOut(byte, 8);
      spi.deselect();
    };
    write(0x5a, false);
    expect(word(d, 0x30)).toBe(0xffff);
    write(0x5a, true);
    expect(word(d, 0x30)).toBe(0xff5a);
    spi.select();
    spi.shiftOut(0x05, 8);
    expect(spi.shiftIn(8)).toBe(0);
  });

  it("records a read beyond the part", () => {
    const d = new Driver(false);
    expect(word(d, 0x3fff)).toBe(0xffff);
    expect(d.errors.map((e) => e.kind)).toEqual(["value"]);
  });
});

describe("82576 PHY and link (8.2, 8.24)", () => {
  const mdicRead = (d: Driver, register: number, phy = 1) => {
    d.write(REG.MDIC, (2 << 26) | (phy << 21) | (register << 16));
    return d.read(REG.MDIC);
  };
  const mdicWrite = (d: Driver, register: number, value: number) => {
    d.write(REG.MDIC, (1 << 26) | (1 << 21) | (register << 16) | value);
  };

  it("8.2: a cycle ends with R; the internal PHY has address 1 and id 02A8 0391; other addresses give E", () => {
    const d = new Driver(false);
    expect(mdicRead(d, 2) & 0x1000_ffff).toBe(0x1000_02a8);
    expect(mdicRead(d, 3) & 0xffff).toBe(0x0391);
    expect(mdicRead(d, 2, 2) & 0x5000_0000).toBe(0x5000_0000);
  });

  it("802.3 22.2.4.2: link status latches low until it is read", () => {
    const d = new Driver();
    expect(mdicRead(d, 1) & 0x24).toBe(0x24);
    d.core.setCarrier(false);
    d.core.setCarrier(true);
    d.run(20_000_000_000);
    expect(mdicRead(d, 1) & 4).toBe(0);
    expect(mdicRead(d, 1) & 4).toBe(4);
  });

  it("8.2: STATUS shows link, 1000 Mb/s and full duplex once SLU is set and negotiation is done; LSC is raised", () => {
    const d = new Driver(false);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 2).toBe(0);
    d.write(REG.CTRL, 0x241);
    expect(d.read(REG.STATUS) & 0xc3).toBe(0x83);
    expect(d.read(REG.ICR) & 4).toBe(4);
  });

  it("negotiates the best of what is advertised", () => {
    const d = new Driver();
    mdicWrite(d, 9, 0);
    mdicWrite(d, 4, 0x01e1);
    mdicWrite(d, 0, 0x1340);
    expect(d.read(REG.STATUS) & 2).toBe(0);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 0xc3).toBe(0x43);
    mdicWrite(d, 4, 0x0021);
    mdicWrite(d, 0, 0x1340);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 0xc3).toBe(0x02);
  });

  it("no cable, power down and PHY_RST keep the link down", () => {
    const d = new Driver();
    d.core.setCarrier(false);
    expect(d.read(REG.STATUS) & 2).toBe(0);
    d.core.setCarrier(true);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 2).toBe(2);
    mdicWrite(d, 0, 0x1940);
    expect(d.read(REG.STATUS) & 2).toBe(0);
    mdicWrite(d, 0, 0x1140);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 2).toBe(2);
    d.write(REG.STATUS, 0);
    expect(d.read(REG.STATUS) & 0x400).toBe(0);
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x8000_0000);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 2).toBe(0);
    d.write(REG.CTRL, d.read(REG.CTRL) & 0x7fff_ffff);
    d.run(20_000_000_000);
    expect(d.read(REG.STATUS) & 0x402).toBe(0x402);
  });

  it("registers from 16 on are paged by register 31: cable lengths at 11B1h and its kin", () => {
    const d = new Driver();
    mdicWrite(d, 31, 0x11b1);
    expect((mdicRead(d, 0x11) & 0xffff) >>> 9).toBeGreaterThan(0);
    mdicWrite(d, 31, 0x11);
    expect(mdicRead(d, 0x11) & 0xc000).toBe(0xc000);
  });
});

describe("82576 semaphores and resets (8.7, 4.2)", () => {
  it("8.7: the read of SWSM that finds SMBI clear sets it; writing zero frees it", () => {
    const d = new Driver(false);
    expect(d.read(0x5b50) & 1).toBe(0);
    expect(d.read(0x5b50) & 1).toBe(1);
    d.write(0x5b50, 0);
    expect(d.read(0x5b50) & 1).toBe(0);
  });

  it("4.2: CTRL.RST returns registers to their reset values but leaves packet buffer sizes and EITR alone", () => {
    const d = new Driver();
    d.write(REG.RCTL, 0x0400_8002);
    d.write(0x2404, 0x20);
    d.write(REG.EITR + 4, 0x288);
    d.write(REG.RAL, 0);
    d.write(REG.IMS, 4);
    d.write(REG.CTRL, 0x0400_0000);
    expect([d.read(REG.RCTL), d.read(0x2404), d.read(REG.EITR + 4), d.read(REG.IMS)]).toEqual([0, 0x20, 0x288, 0]);
    expect(d.read(REG.RAL)).toBe(0x3322_1102);
    expect(d.read(REG.CTRL) & 0x0400_0000).toBe(0);
  });

  it("8.17: no SFP module answers: a cycle of I2CCMD ends with R, bit 29, and E, bit 31", () => {
    const d = new Driver();
    expect(d.read(0x1028)).toBe(0);
    d.write(0x1028, 0x0800_0000 | (0x60 << 16));
    expect(d.read(0x1028)).toBe(0xa860_0000);
  });

  it("8.13: DCA's registers keep what is written; what enables DCA is recorded as not modelled", () => {
    const d = new Driver();
    expect([0x5b74, 0xc014, 0xe014].map((at) => d.read(at))).toEqual([1, 0xa200, 0x2a00]);
    // Relaxed order and no snoop alone change nothing that could be missed.
    d.write(0xc014, 0xf700);
    d.write(0xe014, 0x3f00);
    expect([d.read(0xc014), d.read(0xe014), d.errors.length]).toEqual([0xf700, 0x3f00, 0]);
    for (const [at, value] of [
      [0x5b74, 0x0002],
      [0xc014, 0x0500_a2e0],
      [0xe014, 0x0500_2a20],
    ] as const) {
      d.write(at, value);
      expect([d.read(at), d.errors.splice(0).map((e) => e.kind)[0]]).toEqual([value, "unimplemented"]);
    }
  });

  it("8.21, 8.22: no MACsec and no IPsec is offered; each write there is recorded", () => {
    const d = new Driver();
    // LSECTXCAP, LSECRXCAP; LSECTXCTRL, a key and an SCI of each side; IPSRXIDX, IPSCTRL, IPSTXIDX and a key.
    expect([0xb000, 0xb300].map((at) => d.read(at))).toEqual([0, 0]);
    const places = [0xb004, 0xb02c, 0xb03c, 0xb3cc, 0xb3ec, 0xb400, 0xb430, 0xb450, 0xb46c];
    for (const at of places) d.write(at, 0x1234_5678);
    expect(d.errors.map((e) => e.kind)).toEqual(places.map(() => "unimplemented"));
    expect(places.map((at) => d.read(at))).toEqual(places.map(() => 0));
  });

  it("8.2: GIO_MASTER_ENABLE_STATUS follows GIO_MASTER_DISABLE", () => {
    const d = new Driver();
    expect(d.read(REG.STATUS) & 0x8_0000).toBe(0x8_0000);
    d.write(REG.CTRL, d.read(REG.CTRL) | 4);
    expect(d.read(REG.STATUS) & 0x8_0000).toBe(0);
  });

  it("8.1: registers answer at their second addresses", () => {
    const d = new Driver();
    d.write(0xc0c0, 0x4000_0000);
    expect(d.read(0x2900 + 0x200)).toBe(d.read(0xc0c0));
    d.write(0x3818, 0);
    d.write(0x0040, 0x1234_5678);
    expect(d.read(REG.RAL)).toBe(0x1234_5678);
    d.write(0xd0, 4);
    expect(d.read(REG.IMS)).toBe(4);
  });
});

describe("82576 LEDs (8.2)", () => {
  const lit = (d: Driver) => [0, 1, 2, 3].map((n) => d.core.leds.lit(n));
  /** The mode of LED 0 alone. */
  const mode = (d: Driver, value: number) => {
    d.write(0xe00, value);
    return d.core.leds.lit(0);
  };
  const MODES = Array.from({ length: 16 }, (_, n) => n);

  it("after reset they show link, blinking traffic, 100 and 1000 Mb/s", () => {
    const d = new Driver();
    expect(d.read(0xe00)).toBe(0x0706_8302);
    expect(lit(d)).toEqual([true, false, false, true]);
    d.core.setCarrier(false);
    expect(lit(d)).toEqual([false, false, false, false]);
  });

  it("modes 0, 1, 2, 5 to 7 and 9 tell the link's speed and duplex; 14 is on, 15 off, link or no link", () => {
    const down = new Driver(false);
    expect(MODES.filter((m) => mode(down, m))).toEqual([14]);
    const d = new Driver();
    expect(MODES.filter((m) => mode(d, m))).toEqual([0, 1, 2, 4, 7, 9, 14]);
    d.write(REG.MDIC, 0x0429_0000);
    d.write(REG.MDIC, 0x0424_01e1);
    d.write(REG.MDIC, 0x0420_1340);
    d.run(20_000_000_000);
    expect(MODES.filter((m) => mode(d, m))).toEqual([1, 2, 4, 6, 9, 14]);
    d.write(REG.MDIC, 0x0424_0061);
    d.write(REG.MDIC, 0x0420_1340);
    d.run(20_000_000_000);
    expect(MODES.filter((m) => mode(d, m))).toEqual([0, 2, 4, 5, 9, 14]);
  });

  it("mode 3 shows traffic that passes the filters, 11 any, 4 none; 13 that PAUSE holds the transmitter", () => {
    const d = new Driver();
    d.startReceive(0);
    d.core.receive(frameOf("02deadbeef00", PEER, 0x88b5));
    expect([3, 4, 11].map((m) => mode(d, m))).toEqual([false, false, true]);
    d.core.receive(frameOf(OWN, PEER, 0x88b5));
    expect([3, 4, 11].map((m) => mode(d, m))).toEqual([true, false, true]);
    d.run(1_000_000_000);
    expect([3, 4, 11].map((m) => mode(d, m))).toEqual([false, true, false]);
    d.startTransmit(0);
    d.send(0, frameOf(PEER, OWN, 0x88b5));
    expect(mode(d, 3)).toBe(true);
    d.write(REG.CTRL, d.read(REG.CTRL) | 0x0800_0000);
    expect(mode(d, 13)).toBe(false);
    d.core.receive(frameOf("0180c2000001", PEER, 0x8808, Uint8Array.of(0, 1, 0xff, 0xff, ...new Uint8Array(42))));
    expect(mode(d, 13)).toBe(true);
  });

  it("IVRT, bit 6, inverts; BLINK, bit 7, is 200 ms on and off, or 83 ms with GLOBAL_BLINK_MODE, bit 5 of LED 0", () => {
    const d = new Driver();
    expect([mode(d, 0x4e), mode(d, 0x4f)]).toEqual([false, true]);
    const changes = (value: number) => {
      d.write(0xe00, value);
      let n = 0;
      for (let ms = 0, last = d.core.leds.lit(0); ms < 2000; ms++) {
        d.run(10_000_000);
        if (d.core.leds.lit(0) !== last) n++;
        last = d.core.leds.lit(0);
      }
      return n;
    };
    expect(changes(0x8e)).toBe(10);
    expect(changes(0xae)).toBeGreaterThanOrEqual(24);
    expect(changes(0x0e)).toBe(0);
  });
});
