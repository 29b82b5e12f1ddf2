import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtioNetwork, type VirtioNetworkOptions } from "../../../src/devices/virtio/index.ts";
import { type Frame, joinStations } from "../../../src/net/index.ts";
import { US } from "../../../src/sim/index.ts";
import { check } from "../../support/soak.ts";
import { Bench, INTERFACES, le } from "./driver.ts";
import { dissect, type PacketFields, packet, stream } from "./packets.ts";

// 5.1.3, 5.1.6, typed from the standard.
const CSUM = 1 << 0;
const GUEST_CSUM = 1 << 1;
const GUEST_TSO4 = 1 << 7;
const GUEST_TSO6 = 1 << 8;
const HOST_TSO4 = 1 << 11;
const HOST_TSO6 = 1 << 12;
const HOST_ECN = 1 << 13;
const MRG_RXBUF = 1 << 15;
const SENDING = CSUM | HOST_TSO4 | HOST_TSO6 | HOST_ECN;
const RECEIVING = GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | MRG_RXBUF;
const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const TCPV4 = 1;
const TCPV6 = 4;
const UDP_L4 = 5;
const ECN = 0x80;

function setUp(legacy: boolean, features: number, options: Partial<VirtioNetworkOptions> = {}, high = 1) {
  const sent: Frame[] = [];
  const bench = new Bench((simulation, port) => {
    const mac = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
    const device = new VirtioNetwork(simulation, "net", { port, mac, ...options });
    device.onTransmit = (f) => sent.push(f);
    return device;
  }, legacy);
  bench.start(16, features, high);
  const bytes = legacy && (features & MRG_RXBUF) === 0 ? 10 : 12;
  const send = (header: Partial<Header>, frame: Frame) => {
    bench.send(1, [{ data: headerOf(header, bytes) }, { data: frame }]);
    return sent;
  };
  return { bench, sent, send, bytes };
}

interface Header {
  readonly flags: number;
  readonly type: number;
  readonly length: number;
  readonly size: number;
  readonly start: number;
  readonly offset: number;
}

/** 5.1.6: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers. */
function headerOf(h: Partial<Header>, bytes: number): Uint8Array {
  const { flags = 0, type = 0, length = 0, size = 0, start = 0, offset = 0 } = h;
  const words = [...le(length, 2), ...le(size, 2), ...le(start, 2), ...le(offset, 2), 0, 0];
  return Uint8Array.from([flags, type, ...words]).slice(0, bytes);
}

describe.each(INTERFACES)("transmit offloads (VIRTIO 1.2, 5.1.6.2), %s", (_, legacy) => {
  it.each<[string, PacketFields, number, number]>([
    ["TCP over IPv4", { payload: 301 }, 34, 16],
    ["TCP over IPv6", { ip: 6, payload: 300 }, 54, 16],
    ["UDP over IPv4", { udp: true, payload: 33 }, 34, 6],
  ])(
    "NEEDS_CSUM: the sum from csum_start to the end goes to csum_offset behind it: %s",
    (__, fields, start, offset) => {
      const { send } = setUp(legacy, CSUM);
      expect(send({ flags: NEEDS_CSUM, start, offset }, packet({ ...fields, partial: true }))).toEqual([
        packet(fields),
      ]);
    },
  );

  it("a checksum of zero goes out as all ones, which UDP needs (RFC 768)", () => {
    const { send } = setUp(legacy, CSUM);
    const frame = new Uint8Array(60);
    frame.set([0xff, 0xff], 50);
    expect(send({ flags: NEEDS_CSUM, start: 34, offset: 6 }, frame)[0]?.slice(40, 42)).toEqual(
      Uint8Array.of(0xff, 0xff),
    );
  });

  it("without NEEDS_CSUM csum_start and csum_offset are not looked at, whatever they hold", () => {
    const { send, bench } = setUp(legacy, CSUM);
    const frame = packet({ payload: 9 });
    expect(send({ flags: 0, start: 60_000, offset: 60_000 }, frame)).toEqual([frame]);
    expect(bench.details).toBe("");
  });

  it.each<[string, number, PacketFields, number]>([
    ["TCPV4", TCPV4, { payload: 3000 }, 34],
    ["TCPV6", TCPV6, { ip: 6, payload: 3000 }, 54],
    ["TCPV4 with options", TCPV4, { payload: 2500, options: [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8] }, 34],
  ])(
    "%s: headers before each gso_size bytes; lengths, sequence numbers, identification, checksums right",
    (__, type, fields, start) => {
      const { send, bench } = setUp(legacy, SENDING);
      // hdr_len is a hint that may be wrong (5.1.6.2.2).
      const header = { flags: NEEDS_CSUM, type, length: 7, size: 1000, start, offset: 16 };
      const seen = send(header, packet({ ...fields, partial: true })).map(dissect);
      const payload = [...stream(fields.payload as number)];
      const parts = [0, 1000, 2000].map((at) => payload.slice(at, at + 1000)).filter((part) => part.length > 0);
      expect(seen.map((s) => s.payload)).toEqual(parts);
      expect(seen.map((s) => s.sequence)).toEqual(parts.map((___, i) => 1000 + 1000 * i));
      if (type === TCPV4) expect(seen.map((s) => s.identification)).toEqual(parts.map((___, i) => 100 + i));
      expect([bench.details, bench.device.counts.transmitted]).toEqual(["", parts.length]);
    },
  );

  it("RFC 9293, RFC 3168 6.1.2: FIN and PSH stay in the last segment, CWR in the first", () => {
    const { send } = setUp(legacy, SENDING);
    const header = { flags: NEEDS_CSUM, type: TCPV4 | ECN, size: 500, start: 34, offset: 16 };
    const frame = packet({ payload: 1200, flags: 0x99, partial: true });
    expect(send(header, frame).map((f) => dissect(f).flags)).toEqual([0x90, 0x10, 0x19]);
  });

  it("a packet of no more than gso_size goes out as it is, all flags in it", () => {
    const { send } = setUp(legacy, SENDING);
    const header = { flags: NEEDS_CSUM, type: TCPV4 | ECN, size: 500, start: 34, offset: 16 };
    const fields = { payload: 500, flags: 0x99 };
    expect(send(header, packet({ ...fields, partial: true }))).toEqual([packet(fields)]);
  });

  it("the largest packet, 65535 bytes of IP, behind a VLAN tag", () => {
    const { send, bench } = setUp(legacy, SENDING);
    const frame = packet({ payload: 65_495, vlan: 5, partial: true });
    expect(frame.length).toBe(65_553);
    send({ flags: NEEDS_CSUM, type: TCPV4, size: 1460, start: 38, offset: 16 }, frame);
    expect([bench.details, bench.device.counts.transmitted]).toEqual(["", Math.ceil(65_495 / 1460)]);
  });

  const good = { flags: NEEDS_CSUM, type: TCPV4, size: 500, start: 34, offset: 16 };
  it.each<[string, Partial<Header>, PacketFields, number]>([
    ["gso_size 0", { size: 0 }, {}, SENDING],
    ["more segments than any TCP makes", { size: 1 }, { payload: 3000 }, SENDING],
    ["csum_start beyond the frame", { start: 2000 }, {}, SENDING],
    ["csum_offset beyond the frame", { type: 0, start: 34, offset: 65_535 }, {}, SENDING],
    ["the checksum's last byte beyond the frame", { type: 0, start: 34, offset: 1200 + 20 - 1 }, {}, SENDING],
    ["segmentation without NEEDS_CSUM", { flags: 0 }, {}, SENDING],
    ["NEEDS_CSUM without CSUM", { type: 0 }, {}, 0],
    ["TCPV4 without HOST_TSO4", {}, {}, CSUM | HOST_TSO6],
    ["TCPV6 without HOST_TSO6", { type: TCPV6, start: 54 }, { ip: 6 }, CSUM | HOST_TSO4],
    ["UDP (UFO), which is never offered", { type: 3 }, { udp: true }, SENDING],
    ["UDP_L4 without HOST_USO", { type: UDP_L4, offset: 6 }, { udp: true }, SENDING],
    ["GSO_ECN without HOST_ECN", { type: TCPV4 | ECN }, {}, CSUM | HOST_TSO4],
    ["TCPV6 on an IPv4 packet", { type: TCPV6 }, {}, SENDING],
    ["TCPV4 on UDP", {}, { udp: true }, SENDING],
    ["a checksum elsewhere than in the TCP header", { start: 14 }, {}, SENDING],
    ["no payload", {}, { payload: 0 }, SENDING],
  ])("%s: recorded and not sent; the buffer comes back, the next frame goes", (__, header, fields, features) => {
    const { send, bench, sent, bytes } = setUp(legacy, features);
    send({ ...good, ...header }, packet({ payload: 1200, ...fields, partial: true }));
    expect(sent).toEqual([]);
    expect(bench.usedIndex(1)).toBe(1);
    expect(bench.errors.map((e) => [e.kind, e.clause])).toEqual([["value", "VIRTIO 1.2 5.1.6"]]);
    bench.send(1, [{ data: new Uint8Array(bytes) }, { data: packet() }], 2);
    expect(sent).toEqual([packet()]);
  });

  it("whatever the header says of whatever packet: a bounded number of frames, each no longer than the packet, or a record", () => {
    const { bench, sent, bytes } = setUp(legacy, SENDING);
    const word = fc.oneof(fc.nat(80), fc.nat(0xffff));
    const headers = fc.record({
      flags: fc.nat(3),
      type: fc.nat(0xff),
      length: word,
      size: word,
      start: word,
      offset: fc.nat(20),
    });
    const frames = fc.oneof(
      fc
        .record({ ip: fc.constantFrom<4 | 6>(4, 6), udp: fc.boolean(), payload: fc.nat(2000), flags: fc.nat(0xff) })
        .map(packet),
      fc.uint8Array({ minLength: 14, maxLength: 200 }),
    );
    check(
      fc.property(
        headers,
        frames,
        fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }),
        (header, frame, damage) => {
          for (const [at, value] of damage) if (at < frame.length) frame[at] = value;
          const [before, errors] = [bench.usedIndex(1), bench.errors.length];
          sent.length = 0;
          bench.send(1, [{ data: headerOf(header, bytes) }, { data: frame }]);
          expect((bench.usedIndex(1) - before) & 0xffff).toBe(1);
          expect(sent.length === 0).toBe(bench.errors.length > errors);
          expect(sent.length).toBeLessThanOrEqual(2048);
          for (const f of sent) expect(f.length).toBeLessThanOrEqual(frame.length);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("the link", () => {
  const run = (queue: number) => {
    const { bench, bytes } = setUp(false, SENDING);
    const arrived: Frame[] = [];
    const far = { receive: (f: Frame) => void arrived.push(f), onTransmit: null };
    const link = joinStations(bench.simulation, "line", bench.device, far, { rate: 1_000_000_000, queue });
    const header = headerOf({ flags: NEEDS_CSUM, type: TCPV4, size: 1000, start: 34, offset: 16 }, bytes);
    const send = (n: number) =>
      bench.post(
        1,
        [{ data: header }, { data: packet({ sequence: 1000 + 40_000 * n, payload: 40_000, partial: true }) }],
        2 * n,
      );
    for (let n = 0; n < 4; n++) send(n);
    bench.notify(1);
    return { bench, link, arrived };
  };

  it("packets stay in their queue while the link has no room for 64 frames; none is lost, the order is kept", () => {
    const { bench, link, arrived } = run(100);
    expect(bench.usedIndex(1)).toBe(1);
    bench.run(2000 * US);
    expect([bench.usedIndex(1), link.counts(0).dropped]).toEqual([4, 0]);
    expect(arrived.map((f) => dissect(f).sequence)).toEqual(Array.from({ length: 160 }, (_, i) => 1000 + 1000 * i));
  });

  it("a link that never has that room still gets every packet, when it is free", () => {
    const { bench, link, arrived } = run(30);
    bench.run(2000 * US);
    expect([bench.usedIndex(1), arrived.length, link.counts(0).dropped]).toEqual([4, 120, 40]);
  });

  it("a snapshot holds that they wait", () => {
    const one = run(100);
    const other = run(100);
    other.bench.simulation.load(structuredClone(one.bench.simulation.save()));
    for (const { bench } of [one, other]) bench.run(2000 * US);
    expect(other.bench.simulation.stateHash()).toBe(one.bench.simulation.stateHash());
    expect(other.bench.usedIndex(1)).toBe(4);
  });
});

describe("HOST_USO (56)", () => {
  it("5.1.6.2: UDP_L4 gives each gso_size bytes a UDP header", () => {
    // HOST_USO is bit 24 of the high word, VERSION_1 bit 0.
    const { send } = setUp(false, CSUM, {}, 0x0100_0001);
    const header = { flags: NEEDS_CSUM, type: UDP_L4, size: 700, start: 34, offset: 6 };
    const seen = send(header, packet({ udp: true, payload: 1500, partial: true })).map(dissect);
    expect(seen.map((s) => [s.udpLength, s.payload.length])).toEqual([
      [708, 700],
      [708, 700],
      [108, 100],
    ]);
  });
});

describe.each(INTERFACES)("receive offloads (VIRTIO 1.2, 5.1.6.4), %s", (_, legacy) => {
  /** Buffers of 4096 bytes, and what comes in them. */
  const receiving = (features = RECEIVING, options: Partial<VirtioNetworkOptions> = {}) => {
    const { bench, bytes } = setUp(legacy, features, options);
    const addresses = Array.from({ length: 16 }, (__, i) => bench.post(0, [{ space: 4096 }], i)[0] as number);
    bench.notify(0);
    /** Packets so far: header fields and frame. */
    const got = () => {
      const found: { header: number[]; frame: Uint8Array }[] = [];
      for (let n = 0; n < bench.usedIndex(0); ) {
        const at = addresses[bench.used(0, n).id] as number;
        const header = bench.bytes(at, bytes);
        const count = bytes === 12 ? (header[10] as number) : 1;
        const whole: number[] = [];
        for (let k = 0; k < count; k++, n++) {
          const { id, length } = bench.used(0, n);
          whole.push(...bench.bytes(addresses[id] as number, length));
        }
        found.push({ header, frame: Uint8Array.from(whole.slice(bytes)) });
      }
      return found;
    };
    return { bench, got, receive: (...frames: Frame[]) => frames.forEach((f) => void bench.device.receive(f)) };
  };
  /** Segments of 1000 bytes, one after the other. */
  const segments = (count: number, fields: PacketFields = {}, size = 1000) =>
    Array.from({ length: count }, (__, i) =>
      packet({ sequence: 1000 + size * i, identification: 100 + i, payload: stream(size, size * i), ...fields }),
    );

  it("GUEST_CSUM: DATA_VALID where the checksums of IP, TCP or UDP are right, else nothing; frames as they came", () => {
    const { got, receive } = receiving(GUEST_CSUM | MRG_RXBUF);
    const bad = packet({ payload: 50 });
    bad[60] = (bad[60] as number) ^ 1;
    const badIp = packet({ payload: 50 });
    badIp[22] = 63;
    const none = packet({ udp: true, payload: 5 });
    none.fill(0, 40, 42);
    const frames = [
      packet({ payload: 50 }),
      packet({ ip: 6, udp: true, payload: 5 }),
      bad,
      badIp,
      none,
      new Uint8Array(60),
    ];
    receive(...frames);
    expect(got().map((g) => g.header[0])).toEqual([DATA_VALID, DATA_VALID, 0, 0, 0, 0]);
    expect(got().map((g) => g.frame)).toEqual(frames);
  });

  it("without GUEST_CSUM flags is zero", () => {
    const { got, receive } = receiving(MRG_RXBUF);
    receive(packet({ payload: 50 }));
    expect(got().map((g) => g.header[0])).toEqual([0]);
  });

  it.each<[string, 4 | 6, number, number]>([
    ["TSO4", 4, TCPV4, 34],
    ["TSO6", 6, TCPV6, 54],
  ])(
    "GUEST_%s: consecutive segments become one packet, NEEDS_CSUM, with the fields that sending has",
    (__, ip, type, start) => {
      const { got, receive } = receiving();
      const last = packet({ ip, sequence: 4000, identification: 103, payload: stream(300, 3000), flags: 0x18 });
      receive(...segments(3, { ip }), last);
      const [one, ...more] = got();
      expect(more).toEqual([]);
      const expected = headerOf({ flags: NEEDS_CSUM, type, length: start + 20, size: 1000, start, offset: 16 }, 10);
      expect(one?.header.slice(0, 10)).toEqual([...expected]);
      // The checksum on the packet is that of the pseudo header; PSH is the last one's.
      expect(one?.frame).toEqual(packet({ ip, payload: stream(3300), flags: 0x18, partial: true }));
    },
  );

  it("what was received as one, sent, gives the very frames that were received", () => {
    const { bench, got, receive } = receiving(RECEIVING | SENDING);
    const sent: Frame[] = [];
    bench.device.onTransmit = (f) => sent.push(f);
    const frames = segments(4, { options: [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8], dontFragment: false });
    receive(...frames);
    bench.run(50 * US);
    const [one] = got();
    const header = Uint8Array.from([...(one?.header ?? [])]).fill(0, 10);
    bench.send(1, [{ data: header }, { data: one?.frame ?? new Uint8Array() }]);
    expect(sent).toEqual(frames);
  });

  it("a segment waits at most the coalescing time for the next one; PSH does not wait", () => {
    const { bench, got, receive } = receiving(RECEIVING, { coalescingTime: 20 * US });
    receive(...segments(2));
    bench.run(20 * US - 1);
    expect(got()).toEqual([]);
    bench.run(1);
    expect(got().map((g) => g.frame.length)).toEqual([2054]);
    receive(packet({ payload: 100, flags: 0x18 }));
    expect(got().map((g) => g.header[0])).toEqual([NEEDS_CSUM, DATA_VALID]);
  });

  it("without a coalescing time those of one instant are joined", () => {
    const { bench, got, receive } = receiving(RECEIVING, { coalescingTime: 0 });
    receive(...segments(3));
    bench.run();
    expect(got().map((g) => g.frame.length)).toEqual([3054]);
  });

  it("a segment alone comes as it was", () => {
    const { bench, got, receive } = receiving();
    receive(...segments(1));
    bench.run(50 * US);
    expect(got().map((g) => [g.header[0], g.header[1]])).toEqual([[DATA_VALID, 0]]);
    expect(got()[0]?.frame).toEqual(segments(1)[0]);
  });

  it.each<[string, PacketFields]>([
    ["a gap in the sequence", { sequence: 3001 }],
    ["an older segment", { sequence: 1000 }],
    ["another acknowledgment", { acknowledgment: 78 }],
    ["another window", { window: 501 }],
    ["FIN", { flags: 0x11 }],
    ["URG", { flags: 0x30 }],
    ["ECE", { flags: 0x50 }],
    ["no payload", { payload: 0 }],
    ["more bytes than before", { payload: 1001 }],
    ["options", { options: [1, 1, 1, 1] }],
    ["another type of service", { tos: 3 }],
    ["an identification out of line", { identification: 7 }],
  ])("only what segmentation would make: %s ends the packet; order is kept", (__, fields) => {
    const { bench, got, receive } = receiving();
    const next = packet({ sequence: 3000, identification: 102, payload: stream(1000, 2000), ...fields });
    receive(...segments(2), next);
    bench.run(50 * US);
    expect(got().map((g) => g.frame.length)).toEqual([2054, next.length]);
    expect(got()[1]?.frame).toEqual(next);
  });

  it("wrong checksums are never put together", () => {
    const { bench, got, receive } = receiving();
    const [a, b, c] = segments(3) as [Frame, Frame, Frame];
    c[70] = (c[70] as number) ^ 0x80;
    receive(a, b, c);
    bench.run(50 * US);
    expect(got().map((g) => [g.header[0], g.frame.length])).toEqual([
      [NEEDS_CSUM, 2054],
      [0, 1054],
    ]);
  });

  it("frames of others in between keep their order", () => {
    const { bench, got, receive } = receiving();
    const [a, b, c] = segments(3) as [Frame, Frame, Frame];
    const other = packet({ udp: true, payload: 30 });
    const [x, y] = segments(2, { sourcePort: 40_001 }) as [Frame, Frame];
    receive(a, b, other, c, x, y);
    bench.run(50 * US);
    expect(got().map((g) => g.frame.length)).toEqual([2054, other.length, 1054, 2054]);
  });

  it("a packet is at most 65535 bytes of IP", () => {
    const { got, receive, bench } = receiving();
    receive(...segments(50, {}, 1400));
    bench.run(50 * US);
    const lengths = got().map((g) => g.frame.length);
    expect(lengths).toEqual([54 + 46 * 1400]);
    expect(bench.device.counts).toMatchObject({ coalesced: 50, dropped: 0 });
  });

  it("without GUEST_TSO4 TCP over IPv4 is left alone, over IPv6 not", () => {
    const { got, receive, bench } = receiving(GUEST_CSUM | GUEST_TSO6 | MRG_RXBUF);
    receive(...segments(2), ...segments(2, { ip: 6 }));
    bench.run(50 * US);
    expect(got().map((g) => g.header[1])).toEqual([0, 0, TCPV6]);
  });

  it("a snapshot holds the segments that are held: both go on alike", () => {
    const one = receiving();
    const other = receiving();
    one.receive(...segments(3));
    const saved = one.bench.simulation.save();
    other.bench.simulation.load(saved);
    expect(other.bench.simulation.stateHash()).toEqual(one.bench.simulation.stateHash());
    for (const { bench, receive } of [one, other]) {
      receive(packet({ sequence: 4000, identification: 103, payload: stream(10, 3000) }));
      expect(bench.device.counts).toMatchObject({ coalesced: 4, received: 1 });
    }
    expect(other.bench.simulation.stateHash()).toEqual(one.bench.simulation.stateHash());
  });

  it("any stream of segments, cut anyhow, arrives whole and in order, put together or not", () => {
    check(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.nat(15), fc.boolean()), { maxLength: 14 }),
        (cuts) => {
          const { bench, got, receive } = receiving();
          let at = 0;
          for (const [i, [length, special, again]] of cuts.entries()) {
            const flags = special === 0 ? 0x18 : special === 1 ? 0x50 : 0x10;
            const frame = packet({
              sequence: 1000 + at,
              identification: i,
              payload: stream(again ? 100 : length, at),
              flags,
            });
            receive(frame);
            at += again ? 100 : length;
          }
          bench.run(50 * US);
          const bytes = got().flatMap((g) => [...g.frame.subarray(54)]);
          expect(Uint8Array.from(bytes)).toEqual(stream(at));
          expect(bench.details).toBe("");
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe("feature bit requirements (VIRTIO 1.2, 5.1.3.1)", () => {
  it.each([
    ["GUEST_TSO4 without GUEST_CSUM", GUEST_TSO4],
    ["HOST_TSO6 without CSUM", HOST_TSO6],
    ["HOST_ECN without HOST_TSO4 or HOST_TSO6", CSUM | HOST_ECN],
    ["CTRL_RX without CTRL_VQ", 1 << 18],
    ["CTRL_MAC_ADDR without CTRL_VQ", 1 << 23],
  ])("%s: FEATURES_OK does not stay set, and it is recorded", (__, features) => {
    const { bench } = setUp(false, features);
    expect(bench.status & 8).toBe(0);
    expect(bench.details).toContain("without the feature that it needs");
  });

  it("what is not offered takes with it what would need it: csum=off, ctrl_vq=off", () => {
    const without = (options: Partial<VirtioNetworkOptions>) => {
      const { bench } = setUp(false, 0, options);
      return (setUp(false, 0).bench.features(0) & ~bench.features(0)) >>> 0;
    };
    expect(without({ checksum: false })).toBe(SENDING);
    expect(without({ control: false })).toBe(0x009e_0004);
  });
});
