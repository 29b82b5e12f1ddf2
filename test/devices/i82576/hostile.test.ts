import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random, Simulation } from "../../../src/sim/index.ts";
import { check } from "../../support/soak.ts";
import { build, RAM, RAM_SIZE } from "./device.ts";
import { Driver, frameOf, OWN, PEER, REG } from "./driver.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
/** Words of which many look like descriptors. */
const word = fc.oneof(
  u32,
  fc.constantFrom(
    0x2b30_0040,
    0x2230_ffff,
    0x2020_0c00,
    0xab30_1000,
    0x0f00_0040,
    0x2b30_0000,
    0x2b50_0040,
    0xffff_ffff,
  ),
);
const address = fc.oneof(
  u32,
  fc.integer({ min: 0, max: RAM_SIZE - 1 }).map((n) => RAM + n),
);

describe("82576 and hostile drivers", () => {
  it("transmit descriptors of any content are dealt with: nothing thrown, the ring drained or stopped, frames of legal length", () => {
    check(
      fc.property(fc.array(fc.tuple(address, word, word, word), { minLength: 1, maxLength: 15 }), (descriptors) => {
        const d = new Driver();
        d.startTransmit(0);
        descriptors.forEach(([at, high, command, options], i) => {
          d.txDescriptor(0, i, at, i % 3 === 0 ? high : 0, command, options);
        });
        d.tail(0, descriptors.length);
        d.run(100_000_000);
        for (const frame of d.wire) {
          expect(frame.length).toBeGreaterThanOrEqual(60);
          expect(frame.length).toBeLessThanOrEqual(9732);
        }
        expect(d.read(0xe010)).toBeLessThanOrEqual(descriptors.length);
        // The device still works.
        d.write(0xe028, 0);
        d.startTransmit(1);
        d.wire.length = 0;
        d.send(1, frameOf(PEER, OWN, 0x88b5));
        expect(d.wire).toHaveLength(1);
      }),
      { numRuns: 25, seed: 82576 },
    );
  });

  it("rings anywhere, of any length, with any head and tail, receive or report", () => {
    check(
      fc.property(
        address,
        u32,
        u32,
        u32,
        u32,
        fc.integer({ min: 14, max: 3000 }),
        (base, length, tail, srrctl, rctl, size) => {
          const d = new Driver();
          d.write(0xc000, base);
          d.write(0xc004, tail & 1);
          d.write(0xc008, length);
          d.write(0xc00c, srrctl);
          d.write(0xc028, 0x0200_0000);
          d.write(0xc018, tail);
          d.write(REG.RCTL, (rctl | 0x8002) & ~0xc0);
          const frame = frameOf("ffffffffffff", PEER, 0x0800, size);
          for (let i = 0; i < 4; i++) d.core.receive(frame);
          d.run(10_000_000);
          expect(d.read(0xc010)).toBeLessThan(0x1_0000);
        },
      ),
      { numRuns: 40, seed: 82576 },
    );
  });

  it("frames of any content from the network are parsed without fault", () => {
    const d = new Driver();
    d.write(REG.RXCSUM, 0x2b00);
    d.write(REG.MRQC, 0x01ff_0002);
    d.startReceive(0, { count: 64, srrctl: 0x8400_0202, rctl: 0x0400_803a });
    let received = 0;
    check(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.constantFrom(0x0800, 0x86dd, 0x8100, 0x88f7, 0x8808),
        (bytes, type) => {
          const frame = frameOf("ffffffffffff", PEER, type, bytes);
          if (type === 0x0800) frame[14] = 0x40 | ((frame[14] ?? 0) & 15);
          if (type === 0x86dd) frame[14] = 0x60;
          d.core.receive(frame);
          received++;
          d.write(0xc018, (d.read(0xc010) + 63) % 64);
        },
      ),
      { numRuns: 300, seed: 82576 },
    );
    expect(received).toBeGreaterThanOrEqual(300);
    // TPR: total packets received
    expect(d.read(0x40d0)).toBe(received);
  });

  it("a ring without end of packet, and a tail that is the head, keep still", () => {
    const d = new Driver();
    d.startTransmit(0, 16);
    for (let i = 0; i < 16; i++) d.txDescriptor(0, i, d.txBuffer(0, 0), 0, 0x2230_0040, 0);
    d.tail(0, 15);
    expect(d.read(0xe010)).toBe(0);
    expect(d.wire).toHaveLength(0);
    d.tail(0, 0);
    expect(d.read(0xe010)).toBe(0);
  });

  it("8.14: with malicious driver protection a bad packet blocks its queue until MDFB frees it", () => {
    const d = new Driver();
    d.write(0x3590, 0x64);
    d.startTransmit(2);
    d.txDescriptor(2, 0, d.txBuffer(2, 0), 0, 0x2b50_0040, 0);
    d.tail(2, 1);
    expect([d.read(0x3558), d.read(REG.ICR) & 0x1000_0000]).toEqual([4, 0x1000_0000]);
    d.send(2, frameOf(PEER, OWN, 0x88b5));
    expect(d.wire).toHaveLength(0);
    d.write(0x3558, 4);
    d.run(1000);
    expect(d.wire).toHaveLength(1);
  });

  it("a VF's window reaches nothing but the VF's own: whatever it writes, other pools and the PF keep their registers", () => {
    const d = new Driver();
    d.core.setVirtualFunctions(8);
    d.write(REG.GPIE, 0x10);
    d.write(REG.RCTL, 0x8002);
    const random = new Random(3, "vf");
    // Queues, mailboxes, counters and interrupts of VF 3 lie at these places of the PF's space.
    const own = (at: number) =>
      [0xc0c0, 0xc2c0, 0xe0c0, 0xe2c0, 0x2b00, 0x3b00].some((q) => at >= q && at < q + 0x40) ||
      (at >= 0x8c0 && at < 0x900) ||
      (at >= 0x10300 && at < 0x10400) ||
      [0xc0c, 0x548c, 0x1170c, 0x1172c].includes(at) ||
      (at >= 0x16b4 && at < 0x16c0) ||
      // What a VF may change of what all share: events, causes, its bits of enables.
      [0xc0, 0xc8, 0xc80, 0xc88, 0xc8c, 0xc90, 0x1500, 0x1504, 0x1520, 0x1524, 0x152c, 0x1530, 0x1580, 0x4100].includes(
        at,
      );
    const snapshot = () => {
      const values = new Map<number, number>();
      for (let at = 0; at < 0x2_0000; at += 4) {
        if (!own(at) && at !== 0x1048 && at !== 0x4010) values.set(at, d.core.space.peek(at, 4));
      }
      return values;
    };
    const before = snapshot();
    for (let i = 0; i < 20_000; i++) {
      const offset = random.below(0x1000) * 4;
      if (random.below(4) === 0) d.vfRead(3, offset);
      else d.vfWrite(3, offset, random.below(2 ** 32));
    }
    const after = snapshot();
    const changed = [...before].filter(([at, value]) => after.get(at) !== value).map(([at]) => at.toString(16));
    expect(changed).toEqual([]);
    expect(d.read(REG.EIMS) & ~0x1ff_ffff).toBe(0);
  });
});

describe("82576 snapshots", () => {
  it("saved in the middle of traffic, a fresh machine goes on alike", () => {
    const machine = () => {
      const simulation = new Simulation({ seed: 1 });
      return { simulation, ...build(simulation) };
    };
    const d = new Driver();
    d.startReceive(0, { count: 4 });
    d.startTransmit(0, 256, 8);
    for (let i = 0; i < 200; i++) d.queueFrame(0, i % 200, frameOf(PEER, OWN, 0x9000 + i, 900));
    for (let i = 0; i < 6; i++) d.core.receive(frameOf(OWN, PEER, 0x88b5, 100 + i));
    d.write(0xe018, 200);
    d.run(3_000_000);
    const sent = d.wire.length;
    const saved = structuredClone(d.simulation.save());
    const other = machine();
    other.simulation.load(saved);
    expect(other.simulation.stateHash()).toBe(d.simulation.stateHash());
    d.run(40_000_000);
    other.simulation.run(other.simulation.now + 40_000_000);
    expect(sent).toBeLessThan(200);
    expect(d.wire).toHaveLength(200);
    expect(other.wire).toEqual(d.wire.slice(sent));
    expect(other.simulation.stateHash()).toBe(d.simulation.stateHash());
  });
});
