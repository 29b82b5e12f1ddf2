import { describe, expect, it } from "vitest";
import { Driver, frameOf, hex, OWN, PEER, REG } from "./driver.ts";

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

describe("82576 immediate interrupts (7.3, 8.8, 8.11)", () => {
  /** Four queues behind RSS that is off, vector 0 for queue 0 with an interval of 1 ms that has just begun, write-back in fours. */
  function quiet(eitr = 0, gpie = 0x10): Driver {
    const d = new Driver();
    d.write(REG.GPIE, gpie);
    d.write(REG.IVAR, 0x80);
    d.write(REG.EIAC, 1);
    d.write(REG.EIMS, 1);
    d.startReceive(0, { count: 64, wthresh: 4 });
    d.write(REG.EITR, (1000 << 2) | eitr);
    d.write(REG.EICS, 1);
    expect(d.host.sent.splice(0)).toEqual(["-1:0"]);
    return d;
  }
  const tcp = (flags: number, port = 80) => {
    const packet = hex(
      "4500 0028 0001 0000 40 06 0000 0a000001 0a000002 1111 0000 00000000 00000000 5000 0000 0000 0000",
    );
    packet[23] = port;
    packet[33] = flags;
    return frameOf(OWN, PEER, 0x0800, packet);
  };
  /** Messages that a frame causes at once. */
  const prompt = (d: Driver, frame: Uint8Array) => {
    d.core.receive(frame);
    return d.host.sent.splice(0).length;
  };
  /** A five-tuple filter for TCP to port 80, network order. */
  const filter = (d: Driver, imir: number, ext: number) => {
    d.write(0x5a80, (0x5000 | imir) >>> 0);
    d.write(0x5aa0, ext);
    d.write(0x59e0, 0xe000_8106);
  };

  it("PORT_IM_EN, bit 16 of IMIR: a packet that the five-tuple filter matches is written back and told at once", () => {
    const d = quiet();
    filter(d, 0x1_0000, 0x8_1000);
    expect(prompt(d, tcp(0x10, 81))).toBe(0);
    expect(d.received(0)).toHaveLength(0);
    expect(prompt(d, tcp(0x10))).toBe(1);
    expect(d.received(0)).toHaveLength(2);
    filter(d, 0, 0x8_1000);
    expect(prompt(d, tcp(0x10))).toBe(0);
  });

  it("IMIREXT: flags of TCP from URG, bit 13, to FIN, bit 18, and packets shorter than a size", () => {
    const d = quiet();
    // PSH, bit 15; any size.
    filter(d, 0x1_0000, 0x9000);
    expect([0x10, 0x18, 0x08].map((flags) => prompt(d, tcp(flags)))).toEqual([0, 1, 1]);
    // SYN and FIN, bits 17 and 18.
    filter(d, 0x1_0000, 0x6_1000);
    expect([0x02, 0x01, 0x03].map((flags) => prompt(d, tcp(flags)))).toEqual([0, 0, 1]);
    // Any flags; shorter than 65 bytes, and than 64.
    filter(d, 0x1_0000, 0x8_0041);
    expect(prompt(d, tcp(0x10))).toBe(1);
    filter(d, 0x1_0000, 0x8_0040);
    expect(prompt(d, tcp(0x10))).toBe(0);
  });

  it("ETQF, bit 29, and IMIRVP, priorities from its low bits on, do so for EtherTypes and tags", () => {
    const d = quiet();
    d.write(0x5cb0, 0x2400_88b5);
    expect(prompt(d, frameOf(OWN, PEER, 0x88b5))).toBe(1);
    d.write(0x5cb0, 0);
    d.write(0x5ac0, 8 | 5);
    const tagged = (priority: number) => {
      const frame = frameOf(OWN, PEER, 0x8100, 60);
      frame.set([priority << 5, 1, 0x88, 0xb5], 14);
      return frame;
    };
    expect([4, 5, 7].map((priority) => prompt(d, tagged(priority)))).toEqual([0, 1, 1]);
  });

  it("EITR.LLI_EN and GPIE.LL_INTERVAL: each takes a credit, and another is won every LL_INTERVAL times 4 us", () => {
    // Two credits; 5 times 4 us.
    const d = quiet((1 << 15) | (2 << 16), 0x10 | (5 << 7));
    filter(d, 0x1_0000, 0x8_1000);
    expect([1, 2, 3].map(() => prompt(d, tcp(0x10)))).toEqual([1, 1, 0]);
    expect((d.read(REG.EITR) >>> 16) & 0x1f).toBe(0);
    d.run(199_999);
    expect(prompt(d, tcp(0x10))).toBe(0);
    d.run(1);
    expect([1, 2].map(() => prompt(d, tcp(0x10)))).toEqual([1, 0]);
    // A write with CNT_INGR leaves the credits as they are.
    d.write(REG.EITR, (0x8000_0000 | (1000 << 2) | (1 << 15) | (7 << 16)) >>> 0);
    expect(d.read(REG.EITR)).toBe((1000 << 2) | (1 << 15));
  });

  it("8.11: of five-tuple filters that match the highest priority wins; SYN filters come first with RFCTL.SYNQFP alone", () => {
    const d = new Driver();
    for (const q of [1, 2, 3]) d.startReceive(q);
    for (const [i, queue, priority] of [
      [0, 1, 1],
      [1, 2, 6],
    ] as const) {
      d.write(0x5a80 + 4 * i, ((priority << 29) | 0x5000) >>> 0);
      d.write(0x5aa0 + 4 * i, 0x8_1000);
      d.write(0x59e0 + 4 * i, (0xe000_8106 | (queue << 16)) >>> 0);
    }
    d.write(0x55fc, 1 | (3 << 1));
    const queue = () => {
      d.core.receive(tcp(2));
      return [1, 2, 3].filter((q) => d.received(q).length > 0);
    };
    expect(queue()).toEqual([2]);
    d.write(0x5008, d.read(0x5008) | (1 << 19));
    expect(queue()).toEqual([3]);
    d.write(0x59e4, 0);
    d.write(0x5008, d.read(0x5008) & ~(1 << 19));
    expect(queue()).toEqual([1]);
    d.write(0x59e0, 0);
    expect(queue()).toEqual([3]);
  });
});
