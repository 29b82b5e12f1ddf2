import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtioNetwork, type VirtioNetworkOptions } from "../../../src/devices/virtio/index.ts";
import type { Frame } from "../../../src/net/index.ts";
import { check } from "../../support/soak.ts";
import { Bench, INTERFACES, le } from "./driver.ts";
import { packet } from "./packets.ts";

// 5.1.3: CTRL_GUEST_OFFLOADS 2, MAC 5, MRG_RXBUF 15, STATUS 16, CTRL_VQ 17, CTRL_RX 18, CTRL_VLAN 19, CTRL_RX_EXTRA 20, MQ 22, CTRL_MAC_ADDR 23.
const CTRL_VQ = 1 << 17;
const CONTROL = CTRL_VQ | (1 << 2) | (1 << 18) | (1 << 19) | (1 << 20) | (1 << 23);
const MAC = 1 << 5;
const MQ = 1 << 22;
const GUEST_CSUM = 1 << 1;
/** In the high word: VERSION_1, HASH_REPORT 57, RSS 60. */
const VERSION_1 = 1;
const HASH_REPORT = 1 << 25;
const RSS = 1 << 28;
const OK = 0;
const ERR = 1;
const OWN = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const BROADCAST = [255, 255, 255, 255, 255, 255];
const GROUP = [1, 0, 0x5e, 0, 0, 1];
const STRANGER = [2, 9, 9, 9, 9, 9];

interface Set {
  readonly legacy?: boolean;
  readonly features?: number;
  readonly high?: number;
  readonly options?: Partial<VirtioNetworkOptions>;
}

function setUp({ legacy = false, features = CONTROL, high = VERSION_1, options = {} }: Set = {}) {
  const bench = new Bench((simulation, port) => {
    return new VirtioNetwork(simulation, "net", { port, mac: Uint8Array.from(OWN), ...options });
  }, legacy);
  bench.start(64, features, high);
  const control = (features & MQ) !== 0 || (high & RSS) !== 0 ? 2 * (options.pairs ?? 1) : 2;
  let descriptor = 0;
  /** Class, command, data; the answer. */
  const command = (kind: number, number: number, ...data: readonly number[]): number => {
    const from = bench.usedIndex(control);
    const buffers = [{ data: Uint8Array.of(kind, number) }, { data: Uint8Array.from(data) }, { space: 1 }];
    const [, , answer] = bench.send(
      control,
      data.length === 0 ? [...buffers.slice(0, 1), { space: 1 }] : buffers,
      descriptor,
    );
    descriptor = (descriptor + 3) % 60;
    expect(bench.used(control, from)).toMatchObject({ length: 1 });
    return bench.bytes(
      answer ?? (bench.word(bench.ring(control).descriptors + 16 * (bench.used(control, from).id + 1)) as number),
      1,
    )[0] as number;
  };
  const to = (address: readonly number[], rest: Frame = new Uint8Array(60)): boolean => {
    const frame = rest.slice();
    frame.set(address);
    const before = bench.device.counts.filtered;
    bench.device.receive(frame);
    return bench.device.counts.filtered === before;
  };
  return { bench, command, to, control };
}

const addresses = (...list: readonly (readonly number[])[]) => [...le(list.length, 4), ...list.flat()];

describe.each(INTERFACES)("receive filtering (VIRTIO 1.2, 5.1.6.5.1, 5.1.6.5.2), %s", (_, legacy) => {
  it("a driver that asks for nothing gets everything; after PROMISC off its own address and broadcasts", () => {
    const { command, to } = setUp({ legacy });
    const all = [OWN, BROADCAST, GROUP, STRANGER];
    expect(all.map((a) => to(a))).toEqual([true, true, true, true]);
    expect(command(0, 0, 0)).toBe(OK);
    expect(all.map((a) => to(a))).toEqual([true, true, false, false]);
    expect(command(0, 0, 1)).toBe(OK);
    expect(all.map((a) => to(a))).toEqual([true, true, true, true]);
  });

  it.each<[string, number, readonly boolean[]]>([
    ["ALLMULTI", 1, [true, true, true, false]],
    ["ALLUNI", 2, [true, true, false, true]],
    ["NOUNI", 4, [false, true, false, false]],
    ["NOBCAST", 5, [true, false, false, false]],
  ])("%s: own address, broadcast, group, stranger", (__, number, expected) => {
    const { command, to } = setUp({ legacy });
    command(0, 0, 0);
    expect(command(0, number, 1)).toBe(OK);
    expect([OWN, BROADCAST, GROUP, STRANGER].map((a) => to(a))).toEqual(expected);
  });

  it("NOMULTI wins over ALLMULTI, not over broadcast; NOUNI over ALLUNI; PROMISC over all", () => {
    const { command, to } = setUp({ legacy });
    for (const [number, on] of [
      [0, 0],
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
    ] as const)
      expect(command(0, number, on)).toBe(OK);
    expect([OWN, BROADCAST, GROUP, STRANGER].map((a) => to(a))).toEqual([false, true, false, false]);
    command(0, 0, 1);
    expect([OWN, BROADCAST, GROUP, STRANGER].map((a) => to(a))).toEqual([true, true, true, true]);
  });

  it("MAC_TABLE_SET: unicast and multicast addresses beside the own one; a new table replaces the old", () => {
    const { command, to } = setUp({ legacy });
    command(0, 0, 0);
    expect(command(1, 0, ...addresses(STRANGER), ...addresses(GROUP))).toBe(OK);
    expect([OWN, GROUP, STRANGER, [2, 9, 9, 9, 9, 8], [1, 0, 0x5e, 0, 0, 2]].map((a) => to(a))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(command(1, 0, ...addresses(), ...addresses())).toBe(OK);
    expect([GROUP, STRANGER].map((a) => to(a))).toEqual([false, false]);
  });

  it("more than 64 addresses of a kind let all of the kind pass", () => {
    const { command, to } = setUp({ legacy });
    command(0, 0, 0);
    const many = Array.from({ length: 65 }, (__, i) => [2, 0, 0, 0, 1, i]);
    expect(command(1, 0, ...addresses(...many), ...addresses(GROUP))).toBe(OK);
    expect([STRANGER, GROUP, [1, 0, 0x5e, 0, 0, 2]].map((a) => to(a))).toEqual([true, true, false]);
  });

  it.each<[string, readonly number[]]>([
    ["no table", []],
    ["one table", addresses(STRANGER)],
    ["a table shorter than its number of entries", [...le(2, 4), ...STRANGER, ...addresses()]],
    ["a number of entries beyond all memory", [...le(0xffff_ffff, 4), ...STRANGER, ...addresses()]],
    ["something behind the tables", [...addresses(STRANGER), ...addresses(GROUP), 0]],
  ])("MAC_TABLE_SET with %s is refused and changes nothing", (__, data) => {
    const { bench, command, to } = setUp({ legacy });
    command(0, 0, 0);
    command(1, 0, ...addresses([2, 2, 2, 2, 2, 2]), ...addresses());
    expect(command(1, 0, ...data)).toBe(ERR);
    expect([[2, 2, 2, 2, 2, 2], STRANGER, GROUP].map((a) => to(a))).toEqual([true, false, false]);
    expect(bench.details).toContain("control command that");
  });

  it("MAC_ADDR_SET: the new address is in the configuration, filters, and outlives a reset of the device alone", () => {
    const { bench, command, to } = setUp({ legacy, features: CONTROL | MAC });
    command(0, 0, 0);
    expect(command(1, 1, ...STRANGER)).toBe(OK);
    expect(bench.configuration(0, 6)).toEqual(STRANGER);
    expect([OWN, STRANGER].map((a) => to(a))).toEqual([false, true]);
    bench.simulation.reset();
    expect(bench.configuration(0, 6)).toEqual(OWN);
  });

  it("5.1.6.5.3: with CTRL_VLAN frames of VLANs that were not added are filtered, untagged ones are not", () => {
    const { command, to } = setUp({ legacy });
    command(0, 0, 0);
    const of = (vlan: number) => packet({ vlan, payload: 20 });
    expect([to(OWN, of(5)), to(OWN, of(4095)), to(OWN)]).toEqual([false, false, true]);
    expect([command(2, 0, 5, 0), command(2, 0, 0xff, 0x0f)]).toEqual([OK, OK]);
    expect([to(OWN, of(5)), to(OWN, of(4095)), to(OWN, of(6))]).toEqual([true, true, false]);
    // The priority in the tag says nothing about the VLAN.
    expect(to(OWN, of(0xe005))).toBe(true);
    expect(command(2, 1, 5, 0)).toBe(OK);
    expect(to(OWN, of(5))).toBe(false);
    expect(command(2, 0, 0, 0x10)).toBe(ERR);
  });

  it("without CTRL_VLAN no VLAN is filtered; commands of features that were not negotiated are refused", () => {
    const { command, to } = setUp({ legacy, features: CTRL_VQ | (1 << 18) });
    command(0, 0, 0);
    expect(to(OWN, packet({ vlan: 5 }))).toBe(true);
    expect([command(2, 0, 5, 0), command(1, 1, ...STRANGER), command(0, 2, 1), command(5, 0, ...le(0, 8))]).toEqual([
      ERR,
      ERR,
      ERR,
      ERR,
    ]);
  });

  it("a reset of the device forgets modes, tables and VLANs", () => {
    const { bench, command, to } = setUp({ legacy });
    command(0, 0, 0);
    bench.start(64, CONTROL);
    expect([OWN, GROUP, STRANGER].map((a) => to(a))).toEqual([true, true, true]);
  });
});

describe.each(INTERFACES)("the control queue (VIRTIO 1.2, 5.1.6.5), %s", (_, legacy) => {
  it("without CTRL_VQ negotiated there is none; a command without class or answer is recorded", () => {
    const { bench } = setUp({ legacy });
    bench.send(2, [{ data: Uint8Array.of(0) }, { space: 1 }]);
    bench.send(2, [{ data: Uint8Array.of(0, 0, 0) }], 4);
    expect([0, 1].map((n) => bench.used(2, n).length)).toEqual([0, 0]);
    expect(bench.details.match(/without class, command or place/g)).toHaveLength(2);
  });

  it("5.1.6.5.7: GUEST_OFFLOADS_SET switches what was negotiated, and nothing else", () => {
    const { bench, command } = setUp({ legacy, features: CONTROL | GUEST_CSUM });
    const flags = () => {
      const [at] = bench.send(0, [{ space: 200 }], bench.usedIndex(0));
      bench.device.receive(packet({ payload: 10 }));
      return bench.bytes(at as number, 1)[0];
    };
    expect(flags()).toBe(2);
    expect(command(5, 0, ...le(0, 8))).toBe(OK);
    expect(flags()).toBe(0);
    // GUEST_TSO4 was not negotiated; CSUM is no offload towards the driver.
    expect([command(5, 0, ...le(1 << 7, 8)), command(5, 0, ...le(1, 8)), command(5, 0, ...le(2 ** 33, 8))]).toEqual([
      ERR,
      ERR,
      ERR,
    ]);
    expect(command(5, 0, ...le(2, 8))).toBe(OK);
    expect(flags()).toBe(2);
  });

  it("whatever a command holds: it is answered, and the device goes on", () => {
    const { bench, command, to } = setUp({ legacy, features: CONTROL | MQ, options: { pairs: 2 } });
    check(
      fc.property(fc.nat(7), fc.nat(6), fc.array(fc.nat(255), { maxLength: 40 }), (kind, number, data) => {
        expect([OK, ERR]).toContain(command(kind, number, ...data));
      }),
      { numRuns: 100 },
    );
    expect(bench.status & 64).toBe(0);
    expect(command(0, 0, 1)).toBe(OK);
    expect(to(STRANGER)).toBe(true);
  });
});

describe("several queue pairs", () => {
  const pairs = 3;
  /** Receive buffers in every queue, and how many each has used. */
  function withBuffers(set: Set) {
    const all = setUp({ ...set, options: { pairs, ...set.options } });
    const { bench } = all;
    for (let q = 0; q < pairs; q++) for (let i = 0; i < 16; i++) bench.send(2 * q, [{ space: 256 }], i);
    const used = () => Array.from({ length: pairs }, (_, q) => bench.usedIndex(2 * q));
    /** A frame of the driver's, with the header of 12 bytes, or of 20. */
    const transmit = (pair: number, frame: Frame, header = 12) =>
      bench.send(2 * pair + 1, [{ data: new Uint8Array(header) }, { data: frame }], 2 * bench.usedIndex(2 * pair + 1));
    return { ...all, used, transmit };
  }
  const flow = (n: number) => packet({ sourcePort: 50_000 + n, payload: 5 });

  it("5.1.2, 5.1.4: max_virtqueue_pairs, MQ and the control queue behind the last pair, or at 2 without MQ", () => {
    const { bench, command, control } = setUp({ features: CONTROL | MQ, options: { pairs } });
    expect([bench.features(0) & MQ, ...bench.configuration(8, 2), control]).toEqual([MQ, 3, 0, 6]);
    expect(command(0, 0, 0)).toBe(OK);
    const without = setUp({ options: { pairs } });
    expect([without.control, without.command(0, 0, 0)]).toEqual([2, OK]);
    expect(setUp().bench.features(0) & MQ).toBe(0);
  });

  it("5.1.6.5.5: only receiveq1 until VQ_PAIRS_SET; then the queue of the pair on which the flow was last sent", () => {
    const { bench, command, used, transmit } = withBuffers({ features: CONTROL | MQ });
    for (let n = 0; n < 4; n++) bench.device.receive(flow(n));
    expect(used()).toEqual([4, 0, 0]);
    expect(command(4, 0, 3, 0)).toBe(OK);
    transmit(2, flow(1));
    for (let n = 0; n < 3; n++) bench.device.receive(flow(1));
    expect(used()[2]).toBe(3);
    transmit(1, flow(1));
    bench.device.receive(flow(1));
    expect(used()[1]).toBe(1);
  });

  it("no frame goes to a queue beyond the pairs in use; 0 and more than there are is refused", () => {
    const { bench, command, used } = withBuffers({ features: CONTROL | MQ });
    expect([command(4, 0, 0, 0), command(4, 0, 4, 0), command(4, 0, 2, 1)]).toEqual([ERR, ERR, ERR]);
    expect(command(4, 0, 2, 0)).toBe(OK);
    for (let n = 0; n < 16; n++) bench.device.receive(flow(n));
    expect(used()[2]).toBe(0);
    expect((used()[0] as number) + (used()[1] as number)).toBe(16);
    expect(used().slice(0, 2)).not.toContain(0);
  });

  // The verification suite of the hash (Microsoft, "Verifying the RSS hash calculation").
  const KEY = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";
  const key = [...KEY.matchAll(/../g)].map(([byte]) => Number.parseInt(byte, 16));
  /** From 66.9.149.187:2794 to 161.142.100.80:1766. */
  const known = (() => {
    const frame = packet({ payload: 5 });
    frame.set([66, 9, 149, 187, 161, 142, 100, 80], 26);
    frame.set([2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255], 34);
    return frame;
  })();
  const TCP_HASH = 0x51ccc178;
  const IP_HASH = 0x323e8fc2;
  const table = [...le(0, 2), ...le(1, 2), ...le(2, 2), ...le(1, 2)];
  const config = (types: number, unclassified = 2) => [
    ...le(types, 4),
    ...le(3, 2),
    ...le(unclassified, 2),
    ...table,
    ...le(3, 2),
    40,
    ...key,
  ];

  it("5.1.4: rss_max_key_size 40, rss_max_indirection_table_length 128, supported_hash_types for IPv4, IPv6, TCP and UDP", () => {
    const { bench } = setUp({ options: { pairs, rss: true } });
    expect(bench.configuration(17, 7)).toEqual([40, 128, 0, 0x3f, 0, 0, 0]);
    expect(bench.features(1) & (RSS | HASH_REPORT)).toBe(RSS);
  });

  it("5.1.6.5.6: RSS_CONFIG: hash and table choose the queue, what has no hash goes to unclassified_queue", () => {
    const { bench, command, used } = withBuffers({ high: VERSION_1 | RSS, options: { rss: true } });
    expect(command(4, 1, ...config(0x3f))).toBe(OK);
    bench.device.receive(known);
    // 51ccc178h & 3 is 0.
    expect(used()).toEqual([1, 0, 0]);
    expect(command(4, 1, ...config(0x01))).toBe(OK);
    bench.device.receive(known);
    // 323e8fc2h & 3 is 2.
    expect(used()).toEqual([1, 0, 1]);
    bench.device.receive(new Uint8Array(60));
    expect(used()).toEqual([1, 0, 2]);
  });

  it("5.1.6.4.4: HASH_REPORT: a header of 20 bytes with hash_value and hash_report", () => {
    const { bench, command } = setUp({ high: VERSION_1 | HASH_REPORT, options: { hashReport: true } });
    const receive = (frame: Frame) => {
      const [at] = bench.send(0, [{ space: 256 }], bench.usedIndex(0));
      bench.device.receive(frame);
      expect(bench.used(0, bench.usedIndex(0) - 1).length).toBe(20 + frame.length);
      return bench.bytes(at as number, 20).slice(10);
    };
    expect(receive(known)).toEqual([1, 0, ...le(0, 8)]);
    const types = (mask: number) => command(4, 2, ...le(mask, 4), ...le(0, 8), 40, ...key);
    expect(types(0x3f)).toBe(OK);
    expect(receive(known)).toEqual([1, 0, ...le(TCP_HASH, 4), 2, 0, 0, 0]);
    expect(types(0x01)).toBe(OK);
    expect(receive(known)).toEqual([1, 0, ...le(IP_HASH, 4), 1, 0, 0, 0]);
    expect(receive(new Uint8Array(60))).toEqual([1, 0, ...le(0, 8)]);
    expect(types(0x40)).toBe(ERR);
  });

  it.each<[string, readonly number[]]>([
    ["hash types that are not supported", config(0x1c0)],
    [
      "a table whose length is no power of two",
      [...le(1, 4), ...le(2, 2), ...le(0, 2), ...table.slice(0, 6), ...le(3, 2), 40, ...key],
    ],
    [
      "a queue that does not exist in the table",
      [...le(1, 4), ...le(0, 2), ...le(0, 2), ...le(3, 2), ...le(3, 2), 40, ...key],
    ],
    ["an unclassified_queue that does not exist", config(1, 3)],
    ["a key shorter than its length", config(1).slice(0, -1)],
    ["a key of more than 40 bytes", [...config(1).slice(0, -41), 41, ...key, 0]],
    ["a table beyond its end", [...le(1, 4), ...le(127, 2), ...le(0, 2), ...table]],
    ["nothing", []],
  ])("RSS_CONFIG with %s is refused", (_, data) => {
    const { command } = setUp({ high: VERSION_1 | RSS, options: { pairs, rss: true } });
    expect(command(4, 1, ...data)).toBe(ERR);
  });

  it("a snapshot holds filters, steering and what waits in every queue", () => {
    const make = () => setUp({ features: CONTROL | MQ, high: VERSION_1 | RSS, options: { pairs, rss: true } });
    const one = make();
    one.command(0, 0, 0);
    one.command(1, 0, ...addresses(STRANGER), ...addresses(GROUP));
    one.command(2, 0, 7, 0);
    one.command(4, 1, ...config(0x3f));
    for (let n = 0; n < 9; n++) one.to(STRANGER, flow(n));
    const other = make();
    other.bench.simulation.load(structuredClone(one.bench.simulation.save()));
    expect(other.bench.simulation.stateHash()).toBe(one.bench.simulation.stateHash());
    expect([STRANGER, GROUP, [2, 9, 9, 9, 9, 8]].map((a) => other.to(a))).toEqual([true, true, false]);
    expect(other.to(OWN, packet({ vlan: 7 }))).toBe(true);
  });
});

describe("what the driver is told (VIRTIO 1.2, 5.1.4)", () => {
  it("host_mtu=: MTU is offered, and after it was negotiated nothing longer is received", () => {
    const { bench } = setUp({ features: 1 << 3, options: { mtu: 1000 } });
    expect([bench.features(0) & 8, ...bench.configuration(10, 2)]).toEqual([8, 1000 & 255, 1000 >> 8]);
    for (let i = 0; i < 4; i++) bench.send(0, [{ space: 1100 }], i);
    for (const length of [1014, 1015]) bench.device.receive(new Uint8Array(length));
    for (const length of [1018, 1019]) {
      const tagged = new Uint8Array(length);
      tagged.set([0x81, 0], 12);
      bench.device.receive(tagged);
    }
    expect(bench.device.counts).toMatchObject({ received: 2, dropped: 2 });
    expect(setUp().bench.features(0) & 8).toBe(0);
  });

  it("speed=, duplex=: SPEED_DUPLEX is offered with either, the other is unknown", () => {
    const of = (options: Partial<VirtioNetworkOptions>) => {
      const { bench } = setUp({ options });
      return [bench.features(1) >>> 31, ...bench.configuration(12, 5)];
    };
    expect(of({ speed: 10_000, duplex: "full" })).toEqual([1, ...le(10_000, 4), 1]);
    expect(of({ speed: 10 })).toEqual([1, ...le(10, 4), 0xff]);
    expect(of({ duplex: "half" })).toEqual([1, ...le(0xffff_ffff, 4), 0]);
    expect(of({})[0]).toBe(0);
  });

  it("rx_queue_size=, tx_queue_size=: sizes of the queues; more than eight pairs are refused", () => {
    const { bench } = setUp({ options: { receiveQueueSize: 1024, transmitQueueSize: 512 } });
    const sizes = [0, 1, 2].map((q) => {
      bench.write(0x030, q);
      return bench.read(0x034);
    });
    expect(sizes).toEqual([1024, 512, 64]);
    expect(() => setUp({ options: { pairs: 9 } })).toThrow(RangeError);
  });
});
