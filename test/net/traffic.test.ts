/** Traffic generator, sink, and packets of captures sent again. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCapture } from "../../src/formats/index.ts";
import {
  type Impairments,
  joinStations,
  pcapngHeader,
  pcapngPacket,
  ReplayStation,
  TrafficGenerator,
  type TrafficOptions,
  TrafficSink,
} from "../../src/net/index.ts";
import { MS, SEC, Simulation, US } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

function setUp(options: TrafficOptions, link: { impairments?: Impairments; delay?: number } = {}, seed = 1) {
  const simulation = new Simulation({ seed });
  const generator = new TrafficGenerator(simulation, "generator", options);
  const sink = new TrafficSink(simulation, "sink");
  const arrivals: [number, Uint8Array][] = [];
  const line = joinStations(simulation, "link", generator, sink, { rate: 10_000_000_000, queue: 10_000, ...link });
  line.attach(1, {
    receive: (frame) => {
      arrivals.push([simulation.now, frame]);
      sink.receive(frame);
    },
  });
  simulation.reset();
  return { simulation, generator, sink, arrivals, line };
}

describe("traffic generator and sink", () => {
  it("frames have the experimental EtherType 0x88B5 and come at the load: 1514 bytes each 123.04 us at 100 Mb/s", () => {
    const { simulation, arrivals, sink } = setUp({ load: 100_000_000, size: 1514, count: 10, start: 5 * US });
    simulation.run(SEC);
    expect(arrivals).toHaveLength(10);
    const [[first, frame], [second]] = arrivals as [[number, Uint8Array], [number, Uint8Array]];
    expect(second - first).toBe(1_230_400);
    // 1538 bytes of wire time at 10 Gb/s behind the start.
    expect(first).toBe(50_000 + 12_304);
    expect([...frame.subarray(0, 6), ...frame.subarray(12, 14)]).toEqual([255, 255, 255, 255, 255, 255, 0x88, 0xb5]);
    expect(sink.counts).toMatchObject({ received: 10, bytes: 15_140, foreign: 0, unique: 10, next: 10 });
    // 1230.4 ns: the bucket from 1024 to 2047.
    expect([...sink.latencies].flatMap((n, i) => (n > 0 ? [[i, n]] : []))).toEqual([[10, 10]]);
    expect([sink.counts.latencyMinimum, sink.counts.latencyMaximum, sink.counts.latencySum]).toEqual([
      12_304, 12_304, 123_040,
    ]);
  });

  it("bursts are sent at one instant, and the load holds over them", () => {
    const { simulation, generator } = setUp({ load: 1_000_000_000, size: 60, burst: 4, count: 8 });
    const sent: number[] = [];
    const forward = generator.onTransmit;
    generator.onTransmit = (frame) => {
      sent.push(simulation.now);
      forward?.(frame);
    };
    simulation.run(SEC);
    expect(sent).toEqual([0, 0, 0, 0, 26_880, 26_880, 26_880, 26_880]);
  });

  it("sizes: uniform within the bounds; the mix has seven, four and one of 60, 590 and 1514 bytes", () => {
    const uniform = setUp({ size: { from: 100, to: 110 }, count: 2000 });
    uniform.simulation.run(SEC);
    const sizes = uniform.arrivals.map(([, f]) => f.length);
    expect(new Set(sizes)).toEqual(new Set([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110]));
    const mix = setUp({ size: "imix", count: 2400 });
    mix.simulation.run(SEC);
    const of = (size: number) => mix.arrivals.filter(([, f]) => f.length === size).length;
    expect(of(60) + of(590) + of(1514)).toBe(2400);
    for (const [size, wanted] of [
      [60, 1400],
      [590, 800],
      [1514, 200],
    ] as const) {
      expect(Math.abs(of(size) - wanted)).toBeLessThan(120);
    }
  });

  it("the sink finds what the line did: losses, duplicates, overtaking", () => {
    check(
      fc.property(fc.integer(), fc.constantFrom(0, 0.1, 0.4), fc.constantFrom(0, 0.2), (seed, loss, duplicate) => {
        const { simulation, sink, line } = setUp({ count: 500 }, { impairments: { loss, duplicate } }, seed >>> 0);
        simulation.run(SEC);
        const c = line.counts(0);
        expect(sink.counts).toMatchObject({ received: c.received, duplicated: c.duplicated, reordered: 0, stale: 0 });
        expect(sink.counts.unique).toBe(500 - c.lost);
        expect(sink.missing).toBe(sink.counts.next - sink.counts.unique);
      }),
      { numRuns: 20 },
    );
    const late = setUp({ count: 500 }, { impairments: { reorder: 0.05, reorderDelay: 20 * US } });
    late.simulation.run(SEC);
    // All are overtaken but those behind which nothing comes within the time.
    const { reordered } = late.line.counts(0);
    expect(late.sink.counts.reordered).toBeGreaterThanOrEqual(reordered - 3);
    expect(late.sink.counts.reordered).toBeLessThanOrEqual(reordered);
    expect(late.sink.missing).toBe(0);
  });

  it("frames of others, short ones and corrupted ones are taken without harm", () => {
    const { simulation, sink } = setUp({ count: 500, size: 60 }, { impairments: { corrupt: 1 } });
    simulation.run(SEC);
    expect(sink.counts.received).toBe(500);
    check(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const before = sink.counts.received;
        sink.receive(bytes);
        sink.receive(Uint8Array.from([...Array(12).fill(1), 0x88, 0xb5, 0x41, 0x52, 0x54, 0x47, ...bytes]));
        expect(sink.counts.received).toBe(before + 2);
      }),
    );
    for (const line of sink.report()) expect(line).not.toMatch(/NaN|Infinity/);
  });

  it("a machine restored goes on with the same frames", () => {
    const options = { size: { from: 60, to: 1514 }, count: 300 } as const;
    const one = setUp(options);
    one.simulation.run(100 * US);
    const other = setUp(options);
    other.simulation.load(structuredClone(one.simulation.save()));
    const from = one.arrivals.length;
    for (const { simulation } of [one, other]) simulation.run(SEC);
    expect(other.arrivals).toEqual(one.arrivals.slice(from));
    expect(other.simulation.stateHash()).toBe(one.simulation.stateHash());
    expect(other.sink.counts.received).toBe(300);
  });

  it("impossible sizes and loads are refused", () => {
    const make = (options: TrafficOptions) => () => new TrafficGenerator(new Simulation(), "g", options);
    expect(make({ size: 33 })).toThrow(RangeError);
    expect(make({ size: { from: 70, to: 60 } })).toThrow(RangeError);
    expect(make({ load: 0 })).toThrow(RangeError);
  });
});

/** A file of pcap: its header and packets of (seconds, fraction, bytes). */
function pcap(magic: number, little: boolean, packets: [number, number, number[]][], link = 1): Uint8Array {
  const parts: number[] = [];
  const put = (value: number, size: 2 | 4) => {
    for (let i = 0; i < size; i++) parts.push((value >>> (8 * (little ? i : size - 1 - i))) & 255);
  };
  put(magic, 4);
  put(2, 2);
  put(4, 2);
  put(0, 4);
  put(0, 4);
  put(65_535, 4);
  put(link, 4);
  for (const [seconds, fraction, bytes] of packets) {
    for (const n of [seconds, fraction, bytes.length, bytes.length + 1]) put(n, 4);
    parts.push(...bytes);
  }
  return Uint8Array.from(parts);
}
const bytes = (n: number, length = 60) => Array.from({ length }, (_, i) => (i * n) & 255);

describe("captures", () => {
  it.each([
    ["microseconds, little endian", 0xa1b2c3d4, true, 1000],
    ["microseconds, big endian", 0xa1b2c3d4, false, 1000],
    ["nanoseconds, little endian", 0xa1b23c4d, true, 1],
    ["nanoseconds, big endian", 0xa1b23c4d, false, 1],
  ])("pcap of %s", (_, magic, little, unit) => {
    const file = pcap(magic, little, [
      [1_700_000_000, 999_999, bytes(1)],
      [1_700_000_001, 3, bytes(3, 61)],
      [1_699_999_000, 0, bytes(5)],
    ]);
    const packets = parseCapture(file, "x");
    const apart = 1e9 + (3 - 999_999) * unit;
    // The clock that was set back stands still.
    expect(packets.map((p) => [p.time, [...p.data], p.cut])).toEqual([
      [0, bytes(1), true],
      [apart, bytes(3, 61), true],
      [apart, bytes(5), true],
    ]);
  });

  it("pcapng: what Armature writes it reads; times of 1 ns behind 2^53 too", () => {
    const start = 12_345_678_901_230;
    const file = Uint8Array.from([
      ...pcapngHeader("net0"),
      ...pcapngPacket(Uint8Array.from(bytes(1)), start, true),
      ...pcapngPacket(Uint8Array.from(bytes(2, 1514)), start + 15 * US, false),
    ]);
    expect(parseCapture(file, "x").map((p) => [p.time, p.data.length])).toEqual([
      [0, 60],
      [15_000, 1514],
    ]);
    // 1,700,000,000.000000001 s in nanoseconds: 0x17979cfe_362a0001; one second less one nanosecond before: 2^64 counts are not exact as numbers.
    const stamped = file.slice();
    const view = new DataView(stamped.buffer);
    const packet = pcapngHeader("net0").length;
    view.setUint32(packet + 12, 0x17979cfe, true);
    view.setUint32(packet + 16, 0x362a0001, true);
    const second = packet + view.getUint32(packet + 4, true);
    view.setUint32(second + 12, 0x17979cfe, true);
    view.setUint32(second + 16, 0x362a0004, true);
    expect(parseCapture(stamped, "x").map((p) => p.time)).toEqual([0, 3]);
  });

  it.each([
    ["nothing", new Uint8Array(0), "not a capture"],
    ["text", new TextEncoder().encode("this is some text, and no capture"), "not a capture"],
    ["another link type", pcap(0xa1b2c3d4, true, [], 101), "link type 101: expected Ethernet"],
    [
      "a file that is cut off",
      pcap(0xa1b2c3d4, true, [[0, 0, bytes(1)]]).subarray(0, 90),
      "damaged or cut off at byte 24",
    ],
    ["pcapng that is cut off", pcapngHeader("n").subarray(0, 40), "damaged or cut off at byte 28"],
  ])("%s is refused", (_, file, message) => {
    expect(() => parseCapture(file, "x")).toThrow(message);
  });

  it("no bytes make the parser hang or throw anything but its message", () => {
    const good = [...pcapngHeader("n"), ...pcapngPacket(Uint8Array.from(bytes(1)), 0, true)];
    check(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
        const file = Uint8Array.from(good);
        for (const [at, value] of changes) file[at] = value;
        try {
          expect(parseCapture(file, "x").length).toBeLessThanOrEqual(2);
        } catch (error) {
          expect((error as Error).name).toBe("InputError");
        }
      }),
      { numRuns: 300 },
    );
  });

  it("are sent again at their distances, as often as asked, and go on after a restore", () => {
    const packets = [
      { time: 0, data: Uint8Array.from(bytes(1)) },
      { time: 0, data: Uint8Array.from(bytes(2)) },
      { time: 700_000, data: Uint8Array.from(bytes(3)) },
    ];
    const make = () => {
      const simulation = new Simulation();
      const station = new ReplayStation(simulation, "replay", packets, { start: MS, rounds: 2 });
      const sent: [number, number][] = [];
      station.onTransmit = (frame) => sent.push([simulation.now, frame[1] as number]);
      simulation.reset();
      return { simulation, station, sent };
    };
    const { simulation, station, sent } = make();
    simulation.run(MS + 100 * US);
    const other = make();
    other.simulation.load(structuredClone(simulation.save()));
    for (const s of [simulation, other.simulation]) s.run(SEC);
    const round = MS + 700 * US + US;
    expect(sent).toEqual([
      [MS, 1],
      [MS, 2],
      [MS + 700 * US, 3],
      [round, 1],
      [round, 2],
      [round + 700 * US, 3],
    ]);
    expect(other.sent).toEqual(sent.slice(2));
    expect([station.done, station.counts.sent]).toEqual([true, 6]);
  });
});
