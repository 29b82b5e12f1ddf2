import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtioNetwork, type VirtioNetworkOptions } from "../../../src/devices/virtio/index.ts";
import type { Frame } from "../../../src/net/index.ts";
import { check } from "../../support/soak.ts";
import { Bench, INTERFACES } from "./driver.ts";

const MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const F_MAC = 1 << 5;
const F_MRG_RXBUF = 1 << 15;
const F_STATUS = 1 << 16;
const frameOf = (length: number, first = 0): Frame => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);

function setUpOn(legacy: boolean, features: number, options: Partial<VirtioNetworkOptions> = {}) {
  const sent: Frame[] = [];
  const bench = new Bench((simulation, port) => {
    const device = new VirtioNetwork(simulation, "net", { port, mac: Uint8Array.from(MAC), ...options });
    device.onTransmit = (f) => sent.push(f);
    return device;
  }, legacy);
  bench.start(8, features);
  // 5.1.6: num_buffers is in the header with VERSION_1 or MRG_RXBUF.
  const header = legacy && (features & F_MRG_RXBUF) === 0 ? 10 : 12;
  return { bench, sent, header };
}

describe.each(INTERFACES)("virtio network (VIRTIO 1.2, 5.1), %s", (_, legacy) => {
  const setUp = (features = F_MAC, options?: Partial<VirtioNetworkOptions>) => setUpOn(legacy, features, options);

  it("5.1.2 to 5.1.4: device id 1; offloads, MRG_RXBUF, STATUS, the control queue and its commands; the link is up", () => {
    const { bench } = setUp();
    expect(bench.read(0x008)).toBe(1);
    // CSUM 0, GUEST_CSUM 1, CTRL_GUEST_OFFLOADS 2, MAC 5, GUEST_TSO4 7, TSO6 8, ECN 9, HOST_TSO4 11, TSO6 12, ECN 13, MRG_RXBUF 15, STATUS 16,
    // CTRL_VQ 17, CTRL_RX 18, CTRL_VLAN 19, CTRL_RX_EXTRA 20, CTRL_MAC_ADDR 23.
    expect(bench.features(0) & 0x07ff_ffff).toBe(0x009f_bba7);
    // HOST_USO 56, VERSION_1 32, RING_RESET 40.
    expect(bench.features(1)).toBe(legacy ? 0 : 0x0100_0101);
    expect(bench.configuration(0, 8)).toEqual([...MAC, 1, 0]);
    const queues = [0, 1, 2].map((q) => {
      bench.write(0x030, q);
      return bench.read(0x034);
    });
    expect(queues).toEqual([256, 256, 64]);
  });

  it("mrg_rxbuf=off, status=off: not offered", () => {
    const on = setUp().bench.features(0);
    const off = setUp(0, { mergeable: false, linkStatus: false }).bench.features(0);
    expect(on & ~off).toBe(F_MRG_RXBUF | F_STATUS);
  });

  it("5.1.6.2: what follows the header of a transmitted buffer is the frame", () => {
    const { bench, sent, header } = setUp();
    bench.send(1, [{ data: new Uint8Array(header) }, { data: frameOf(60) }, { data: frameOf(14, 60) }]);
    expect(sent).toEqual([frameOf(74)]);
    expect(bench.used(1, 0)).toEqual({ id: 0, length: 0 });
    expect(bench.takeInterrupt()).toBe(1);
  });

  it("header and frame in one buffer; several frames on one notification, in order", () => {
    const { bench, sent, header } = setUp();
    bench.post(1, [{ data: Uint8Array.from([...new Uint8Array(header), ...frameOf(60, 1)]) }], 0);
    bench.send(1, [{ data: Uint8Array.from([...new Uint8Array(header), ...frameOf(61, 2)]) }], 1);
    expect(sent).toEqual([frameOf(60, 1), frameOf(61, 2)]);
  });

  it.each([
    ["shorter than an Ethernet header", 13],
    ["no frame at all", 0],
    ["longer than a tagged Ethernet frame of a packet of 65535", 65_554],
  ])("a frame %s is a guest error; the buffer comes back", (__, length) => {
    const { bench, sent, header } = setUp();
    bench.send(1, [{ data: new Uint8Array(header + length) }]);
    expect(sent).toEqual([]);
    expect(bench.usedIndex(1)).toBe(1);
    expect(bench.details).toContain("impossible length");
  });

  it("5.1.6.4: a received frame follows a header of zeroes with num_buffers 1", () => {
    for (const features of [F_MAC, F_MAC | F_MRG_RXBUF]) {
      const { bench, header } = setUp(features);
      const [at] = bench.send(0, [{ space: 1526 }]);
      bench.device.receive(frameOf(100));
      expect(bench.used(0, 0)).toEqual({ id: 0, length: header + 100 });
      const expected = [...new Uint8Array(10), ...(header === 12 ? [1, 0] : [])];
      expect(bench.bytes(at as number, header + 100)).toEqual([...expected, ...frameOf(100)]);
      expect(bench.takeInterrupt()).toBe(1);
    }
  });

  it("5.1.6.4.1: with MRG_RXBUF a long frame fills buffers, all visible at once, the first with their number", () => {
    const { bench } = setUp(F_MRG_RXBUF);
    const first = bench.post(0, [{ space: 40 }, { space: 24 }], 0);
    const second = bench.post(0, [{ space: 64 }], 2);
    const third = bench.send(0, [{ space: 64 }], 3);
    bench.device.receive(frameOf(130));
    expect(bench.usedIndex(0)).toBe(3);
    expect([0, 1, 2].map((n) => bench.used(0, n))).toEqual([
      { id: 0, length: 64 },
      { id: 2, length: 64 },
      { id: 3, length: 14 },
    ]);
    const bytes = [
      ...bench.bytes(first[0] as number, 40),
      ...bench.bytes(first[1] as number, 24),
      ...bench.bytes(second[0] as number, 64),
      ...bench.bytes(third[0] as number, 14),
    ];
    expect(bytes).toEqual([...new Uint8Array(10), 3, 0, ...frameOf(130)]);
  });

  it("with MRG_RXBUF a frame waits, whole, until there are buffers enough", () => {
    const { bench } = setUp(F_MRG_RXBUF);
    bench.send(0, [{ space: 64 }], 0);
    bench.device.receive(frameOf(100));
    expect(bench.usedIndex(0)).toBe(0);
    bench.send(0, [{ space: 64 }], 1);
    expect(bench.usedIndex(0)).toBe(2);
  });

  it("frames wait for buffers in order; the 65th is dropped", () => {
    const { bench, header } = setUp();
    for (let i = 0; i < 65; i++) bench.device.receive(frameOf(60, i));
    expect(bench.device.counts).toMatchObject({ received: 0, transmitted: 0, dropped: 1 });
    for (let i = 0; i < 64; i++) {
      const [at] = bench.send(0, [{ space: 100 }], i % 8);
      expect(bench.bytes((at as number) + header, 1)).toEqual([i]);
    }
    expect(bench.device.counts.received).toBe(64);
  });

  it("5.1.6.3.1: a buffer too short for the frame is a guest error, the frame is lost, the next one is not", () => {
    const { bench, header } = setUp();
    bench.send(0, [{ space: 40 }], 0);
    bench.send(0, [{ space: 100 }], 1);
    bench.device.receive(frameOf(60));
    bench.device.receive(frameOf(60));
    expect([bench.used(0, 0).length, bench.used(0, 1).length]).toEqual([0, header + 60]);
    expect(bench.device.counts).toMatchObject({ received: 1, transmitted: 0, dropped: 1 });
    expect(bench.details).toContain("too short");
  });

  it("a device that no driver runs drops what arrives", () => {
    const { bench } = setUp();
    bench.write(0x070, 0);
    bench.device.receive(frameOf(60));
    expect(bench.device.counts.dropped).toBe(1);
  });

  it("5.1.4: the link goes down and up: STATUS, configuration interrupt; nothing passes while it is down", () => {
    const { bench, sent, header } = setUp(F_STATUS);
    bench.device.setLink(false);
    expect(bench.takeInterrupt()).toBe(2);
    expect(bench.read(0x106, 2)).toBe(0);
    bench.send(1, [{ data: new Uint8Array(header + 60) }]);
    bench.device.receive(frameOf(60));
    expect(sent).toEqual([]);
    bench.device.setLink(true);
    expect([bench.takeInterrupt(), bench.read(0x106, 2)]).toEqual([3, 1]);
  });

  it("waiting frames come back from a snapshot", () => {
    const { bench, header } = setUp();
    bench.device.receive(frameOf(60, 9));
    const saved = structuredClone(bench.simulation.save());
    const other = setUp();
    other.bench.simulation.load(saved);
    const [at] = other.bench.send(0, [{ space: 100 }]);
    expect(other.bench.bytes((at as number) + header, 60)).toEqual([...frameOf(60, 9)]);
  });

  it("property: frames arrive whole and in order through buffers of any size", () => {
    const buffers = fc.array(fc.integer({ min: 12, max: 200 }), { minLength: 1, maxLength: 40 });
    const lengths = fc.array(fc.integer({ min: 14, max: 300 }), { minLength: 1, maxLength: 6 });
    check(
      fc.property(buffers, lengths, (spaces, frames) => {
        const { bench } = setUp(F_MRG_RXBUF);
        const places: { at: number; space: number }[] = [];
        frames.forEach((length, i) => {
          bench.device.receive(frameOf(length, i));
        });
        spaces.forEach((space, i) => {
          const [at] = bench.send(0, [{ space }], i % 8);
          places.push({ at: at as number, space });
        });
        const got: number[][] = [];
        for (let n = 0; n < bench.usedIndex(0); ) {
          const start = places[n] as { at: number };
          const count = bench.bytes(start.at + 10, 1)[0] as number;
          const bytes: number[] = [];
          for (let k = 0; k < count; k++, n++) {
            const { at, space } = places[n] as { at: number; space: number };
            // All but the last are used up to their end (5.1.6.4.1). The ring keeps the last eight lengths.
            const length = bench.usedIndex(0) - n <= 8 ? bench.used(0, n).length : -1;
            if (k < count - 1 && length >= 0) expect(length).toBe(space);
            bytes.push(...bench.bytes(at, k < count - 1 ? space : Math.min(space, 312)));
          }
          got.push(bytes.slice(12));
        }
        got.forEach((bytes, i) => {
          const length = frames[i] as number;
          expect(bytes.slice(0, length)).toEqual([...frameOf(length, i)]);
        });
        expect(bench.details).toBe("");
      }),
      { numRuns: 60 },
    );
  });
});

describe("legacy network device", () => {
  it("5.1.4.3: the driver may write the MAC address, byte by byte; reset of the device keeps it, of the machine not", () => {
    const { bench } = setUpOn(true, F_MAC);
    [2, 1, 2, 3, 4, 5].forEach((byte, i) => {
      bench.write(0x100 + i, byte, 1);
    });
    bench.write(0x070, 0);
    expect(bench.configuration(0, 6)).toEqual([2, 1, 2, 3, 4, 5]);
    expect(bench.details).toBe("");
    bench.simulation.reset();
    expect(bench.configuration(0, 6)).toEqual(MAC);
  });

  it("with version 2 the configuration is read-only", () => {
    const { bench } = setUpOn(false, F_MAC);
    bench.write(0x100, 2, 1);
    expect(bench.configuration(0, 6)).toEqual(MAC);
    expect(bench.details).toContain("read-only");
  });
});
