import { describe, expect, it } from "vitest";
import { Driver, REG } from "./driver.ts";

const US = 10_000;

/** Multiple MSI-X with auto masking: GPIE bits 4 and 30; other causes to vector 0. */
function vectors(): Driver {
  const d = new Driver();
  d.write(REG.GPIE, 0x4000_0011);
  d.write(REG.IVAR_MISC, 0x8000);
  return d;
}

describe("82576 interrupts with MSI-X (7.3, 8.8)", () => {
  it("8.8: other causes that are enabled in IMS set the bit of EICR that IVAR_MISC names; EIMS lets the message go", () => {
    const d = vectors();
    d.write(REG.IMS, 4);
    d.write(REG.ICS, 4);
    expect(d.host.sent).toEqual([]);
    expect(d.read(REG.EICS)).toBe(1);
    d.write(REG.EIMS, 1);
    expect(d.host.sent).toEqual(["-1:0"]);
    expect(d.read(REG.ICR) & 4).toBe(4);
    expect(d.read(REG.ICR)).toBe(0);
  });

  it("8.8: EIAC clears the cause when its message is sent, EIAM masks it", () => {
    const d = vectors();
    d.write(REG.EIAC, 2);
    d.write(REG.EIAM, 2);
    d.write(REG.EIMS, 6);
    d.write(REG.EICS, 2);
    expect(d.host.sent).toEqual(["-1:1"]);
    expect([d.read(REG.EICS), d.read(REG.EIMS)]).toEqual([0, 4]);
    d.write(REG.EICS, 2);
    expect(d.host.sent).toHaveLength(1);
    d.write(REG.EIMS, 2);
    expect(d.host.sent).toEqual(["-1:1", "-1:1"]);
  });

  it("a cause that stays set sends no second message until it was cleared", () => {
    const d = vectors();
    d.write(REG.EIMS, 4);
    d.write(REG.EICS, 4);
    d.write(REG.EICS, 4);
    expect(d.host.sent).toHaveLength(1);
    d.write(REG.EICR, 4);
    d.write(REG.EICS, 4);
    expect(d.host.sent).toHaveLength(2);
  });

  it("8.8: EITR spaces messages by its interval in microseconds, bits 14:2", () => {
    const d = vectors();
    d.write(REG.EITR + 4, 0x8000_0000 | (100 << 2));
    d.write(REG.EIAC, 2);
    d.write(REG.EIMS, 2);
    d.write(REG.EICS, 2);
    d.write(REG.EICS, 2);
    d.run(99 * US);
    expect(d.host.sent).toHaveLength(1);
    d.run(1 * US);
    expect(d.host.sent).toHaveLength(2);
  });

  it("8.8: reading EICR clears it, reading EICS does not", () => {
    const d = vectors();
    d.write(REG.EICS, 0x55);
    expect([d.read(REG.EICS), d.read(REG.EICR), d.read(REG.EICR)]).toEqual([0x55, 0x55, 0]);
  });

  it("8.8: IVAR maps receive queue 3 and transmit queue 11 by bytes 0 and 3 of IVAR 3", () => {
    const d = vectors();
    d.write(REG.IVAR + 12, 0x8700_0086);
    d.write(REG.EIMS, 0x1ff);
    d.startTransmit(11);
    d.send(11, new Uint8Array(60));
    expect(d.host.sent).toEqual(["-1:7"]);
  });

  it("vectors of enabled VFs are out of the PF's reach", () => {
    const d = vectors();
    d.core.setVirtualFunctions(1);
    d.write(REG.EIMS, 0x1ff_ffff);
    expect(d.read(REG.EIMS)).toBe(0x003f_ffff);
    d.vfWrite(0, 0x1524, 7);
    d.write(REG.EICS, 0x1c0_0000);
    expect(d.host.sent).toEqual([]);
    d.vfWrite(0, 0x1520, 2);
    expect(d.host.sent).toEqual(["0:1"]);
    d.write(REG.EIMC, 0x1ff_ffff);
    expect(d.vfRead(0, 0x1524)).toBe(7);
  });
});

describe("82576 interrupts without Multiple_MSIX (7.3, 8.8)", () => {
  const plain = () => {
    const d = new Driver();
    d.host.messages = false;
    return d;
  };

  it("a cause enabled in IMS asserts the line; reading ICR clears it and shows INTA, bit 31", () => {
    const d = plain();
    d.write(REG.ICS, 4);
    expect(d.host.asserted).toBe(false);
    d.write(REG.IMS, 4);
    expect(d.host.asserted).toBe(true);
    expect(d.read(REG.ICR)).toBe(0x8000_0004);
    expect(d.host.asserted).toBe(false);
  });

  it("8.8: with causes enabled and none of them set, reading ICR clears nothing", () => {
    const d = plain();
    d.write(REG.IMS, 4);
    d.write(REG.ICS, 0x10);
    expect([d.read(REG.ICR), d.read(REG.ICR)]).toEqual([0x10, 0x10]);
    d.write(REG.IMC, 4);
    expect([d.read(REG.ICR), d.read(REG.ICR)]).toEqual([0x10, 0]);
  });

  it("8.8: reading ICR while asserted masks what IAM names", () => {
    const d = plain();
    d.write(REG.IAM, 4);
    d.write(REG.IMS, 0x14);
    d.write(REG.ICS, 4);
    d.read(REG.ICR);
    expect(d.read(REG.IMS)).toBe(0x10);
  });

  it("8.8: every cause of 77D4FBFDh can be set by software and enabled, others cannot", () => {
    const d = plain();
    d.write(REG.IMS, 0xffff_ffff);
    expect(d.read(REG.IMS)).toBe(0x77d4_fbfd);
    for (let bit = 0; bit < 31; bit++) {
      const cause = 2 ** bit;
      d.write(REG.ICS, cause);
      const legal = (0x77d4_fbfd / cause) % 2 >= 1;
      expect(d.host.asserted, `bit ${bit}`).toBe(legal);
      expect(d.read(REG.ICR)).toBe(legal ? 0x8000_0000 + cause : 0);
    }
  });

  it("with MSI-X enabled all causes share vector 0", () => {
    const d = new Driver();
    d.write(REG.IMS, 4);
    d.write(REG.ICS, 4);
    expect(d.host.sent).toEqual(["-1:0"]);
  });

  it("8.15: the TCP timer fires after its milliseconds, again with LOOP", () => {
    const d = plain();
    d.write(REG.IMS, 0x2000_0000);
    d.write(0x104c, 0x0b05);
    d.run(49_999_999);
    expect(d.host.asserted).toBe(false);
    d.run(1);
    expect(d.read(REG.ICR)).toBe(0xa000_0000);
    d.run(50_000_000);
    expect(d.host.asserted).toBe(true);
    d.write(0x104c, 0);
    d.read(REG.ICR);
    d.run(100_000_000);
    expect(d.host.asserted).toBe(false);
  });
});
