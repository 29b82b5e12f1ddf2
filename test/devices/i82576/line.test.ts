/** What the PHY has agreed on is the line's rate: IEEE 802.3, a frame takes its bytes, 4 of check sequence, 8 of preamble and 12 of gap. */
import { describe, expect, it } from "vitest";
import { I82576Core } from "../../../src/devices/i82576/index.ts";
import { joinStations } from "../../../src/net/index.ts";
import { Simulation } from "../../../src/sim/index.ts";
import { MAC, TestHost } from "./device.ts";
import { Driver, frameOf, OWN, PEER, REG } from "./driver.ts";

const COUNT = 60;
/** 1,538 bytes of wire in units of 100 ps, at 1000, 100 and 10 Mb/s. */
const WIRE: readonly (readonly [
  speed: number,
  phy: readonly (readonly [register: number, value: number])[],
  time: number,
])[] = [
  [1000, [], 123_040],
  [
    100,
    [
      [9, 0],
      [4, 0x01e1],
      [0, 0x1340],
    ],
    1_230_400,
  ],
  [
    10,
    [
      [9, 0],
      [4, 0x0061],
      [0, 0x1340],
    ],
    12_304_000,
  ],
];

/** The driver's card on a line to a station; when each frame arrived, at the station and at the card. */
function onLine(phy: readonly (readonly [number, number])[], fullRate?: number) {
  const d = new Driver();
  if (fullRate !== undefined) d.core.fullRate = fullRate;
  for (const [register, value] of phy) d.write(REG.MDIC, (1 << 26) | (1 << 21) | (register << 16) | value);
  d.run(20_000_000_000);
  const out: number[] = [];
  const peer = { onTransmit: null, receive: () => void out.push(d.simulation.now) };
  const link = joinStations(d.simulation, "line", d.core, peer, { rate: () => d.core.lineRate });
  return { d, link, out };
}

function spacing(times: readonly number[]): number {
  return ((times.at(-1) as number) - (times[0] as number)) / (times.length - 1);
}

describe("82576 line rate (8.2, 8.24, IEEE 802.3)", () => {
  for (const [speed, phy, time] of WIRE) {
    it(`${speed} Mb/s agreed on: frames of 1,514 bytes leave and arrive ${time / 10} ns apart`, () => {
      const { d, link, out } = onLine(phy);
      expect((d.read(REG.STATUS) >>> 6) & 3).toBe(speed === 1000 ? 2 : speed === 100 ? 1 : 0);
      d.startTransmit(0, 128);
      const long = frameOf(PEER, OWN, 0x88b5, 1500);
      d.put(d.txRing(0) + 0xa000, long);
      for (let i = 0; i < COUNT; i++) d.txDescriptor(0, i, d.txRing(0) + 0xa000, 0, 0x2b30_0000 | 1514, 1514 << 14);
      d.write(0xe018, COUNT);
      d.run(time * (COUNT + 1));
      expect(out).toHaveLength(COUNT);
      expect(spacing(out)).toBe(time);
      // GPRC by time: none before the first frame is whole, one more each frame time.
      d.startReceive(0, { count: 128 });
      for (let i = 0; i < 10; i++) link.send(1, frameOf(OWN, PEER, 0x88b5, 1500));
      d.run(time - 1);
      expect(d.read(0x4074)).toBe(0);
      d.run(1);
      expect(d.read(0x4074)).toBe(1);
      d.run(9 * time - 1);
      expect(d.read(0x4074)).toBe(8);
      d.run(1);
      expect(d.read(0x4074)).toBe(1);
    });
  }

  it("a line that was given another rate for 1000 Mb/s has it then; a lower speed stays the standard's", () => {
    for (const [rate, phy, time] of [
      [10_000_000_000, [], 12_304],
      [50_000_000, [], 2_460_800],
      [10_000_000_000, WIRE[1]?.[1] ?? [], 1_230_400],
      [50_000_000, WIRE[1]?.[1] ?? [], 2_460_800],
      [0, [], 0],
      [0, WIRE[1]?.[1] ?? [], 1_230_400],
    ] as const) {
      const { d, link, out } = onLine(phy, rate);
      d.startTransmit(0, 128);
      for (let i = 0; i < 10; i++) d.queueFrame(0, i, frameOf(PEER, OWN, 0x88b5, 1500));
      const begin = d.simulation.now;
      d.write(0xe018, 10);
      d.run(11 * Math.max(1, time));
      expect(out).toHaveLength(10);
      expect((out.at(-1) as number) - begin).toBe(10 * time);
      expect(link.counts(0).dropped).toBe(0);
    }
  });

  it("1 Gb/s unless given otherwise", () => {
    const simulation = new Simulation();
    const core = new I82576Core(simulation, "eth0", { mac: MAC, host: new TestHost(simulation) });
    expect(core.lineRate).toBe(1_000_000_000);
  });
});
