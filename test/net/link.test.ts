import { describe, expect, it } from "vitest";
import { Link } from "../../src/net/index.ts";
import { Simulation } from "../../src/sim/index.ts";

function setUp(options: ConstructorParameters<typeof Link>[2]) {
  const simulation = new Simulation();
  const link = new Link(simulation, "link", options);
  const arrivals: [number, number][] = [];
  link.attach(1, { receive: (frame) => arrivals.push([simulation.now, frame.length]) });
  return { simulation, link, arrivals };
}

describe("point-to-point link", () => {
  it("a 1,514-byte frame takes 1,538 bytes of wire time: 12,304 ns at 1 Gb/s, then the propagation delay", () => {
    const { simulation, link, arrivals } = setUp({ rate: 1_000_000_000, delay: 5_000 });
    link.send(0, new Uint8Array(1514));
    simulation.run(1_000_000);
    expect(arrivals).toEqual([[123_040 + 5_000, 1514]]);
  });

  it("short frames are padded on the wire to 64 bytes: 672 ns each at 1 Gb/s, back to back", () => {
    const { simulation, link, arrivals } = setUp({ rate: 1_000_000_000 });
    for (let i = 0; i < 3; i++) link.send(0, new Uint8Array(42));
    simulation.run(1_000_000);
    expect(arrivals.map(([t]) => t)).toEqual([6_720, 13_440, 20_160]);
  });

  it("drops what exceeds its queue and counts it", () => {
    const { simulation, link, arrivals } = setUp({ rate: 1_000_000, queue: 2 });
    expect([0, 1, 2].map(() => link.send(0, new Uint8Array(60)))).toEqual([true, true, false]);
    simulation.run(1e9);
    expect(arrivals).toHaveLength(2);
    expect(link.counts(0)).toMatchObject({ sent: 2, dropped: 1, received: 2 });
  });

  it("roomIn: until so many can be sent, or none is under way", () => {
    const { simulation, link } = setUp({ rate: 1_000_000_000, queue: 4 });
    for (let i = 0; i < 3; i++) link.send(0, new Uint8Array(60));
    // They arrive at 672, 1,344 and 2,016 ns; there is room for one more.
    expect([1, 2, 3, 4, 5].map((frames) => link.roomIn(0, frames))).toEqual([0, 6_720, 13_440, 20_160, 20_160]);
    simulation.run(6_720);
    expect([2, 3].map((frames) => link.roomIn(0, frames))).toEqual([0, 6_720]);
    simulation.run(100_000);
    expect(link.roomIn(0, 1_000)).toBe(0);
  });

  it("in batches frames arrive at multiples of the time given, none before its own, in order", () => {
    const { simulation, link, arrivals } = setUp({ rate: 1_000_000_000, batch: 100_000 });
    for (let i = 0; i < 16; i++) link.send(0, new Uint8Array(60 + i));
    simulation.run(50_000);
    link.send(0, new Uint8Array(1514));
    simulation.run(1_000_000);
    // 672 ns a frame of 60 bytes, 8 ns each byte more: the fourteenth is there at 10.136 us, the long one at 24.016 us
    expect(arrivals.map(([t]) => t)).toEqual([...Array(13).fill(100_000), ...Array(3).fill(200_000), 300_000]);
    expect(arrivals.map(([, length]) => length)).toEqual([...Array.from({ length: 16 }, (_, i) => 60 + i), 1514]);
    expect(link.counts(0)).toMatchObject({ sent: 17, received: 17 });
  });

  it("frames under way are saved and arrive in the restored machine at the same instant", () => {
    const a = setUp({ rate: 1_000_000_000 });
    a.link.send(0, Uint8Array.of(1, 2, 3));
    const b = setUp({ rate: 1_000_000_000 });
    b.simulation.load(a.simulation.save());
    expect(b.simulation.stateHash()).toBe(a.simulation.stateHash());
    b.simulation.run(1e6);
    expect(b.arrivals).toEqual([[6_720, 3]]);
  });
});
