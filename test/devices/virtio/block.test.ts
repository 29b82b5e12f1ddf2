import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type BlockStore,
  OverlayStore,
  StoreError,
  VirtioBlock,
  type VirtioBlockOptions,
} from "../../../src/devices/virtio/index.ts";
import { US } from "../../../src/sim/index.ts";
import { check } from "../../support/soak.ts";
import { Bench, INTERFACES, le } from "./driver.ts";

class MemoryStore implements BlockStore {
  readonly data: Uint8Array;
  readonly sectors: number;
  readonly readOnly: boolean;
  flushes = 0;
  constructor(sectors: number, readOnly = false) {
    this.sectors = sectors;
    this.readOnly = readOnly;
    this.data = Uint8Array.from({ length: sectors * 512 }, (_, i) => (i >> 9) + i);
  }
  read(sector: number, into: Uint8Array): void {
    into.set(this.data.subarray(sector * 512, sector * 512 + into.length));
  }
  write(sector: number, from: Uint8Array): void {
    this.data.set(from, sector * 512);
  }
  flush(): void {
    this.flushes++;
  }
}

function setUpOn(
  legacy: boolean,
  store: BlockStore = new MemoryStore(64),
  options: Partial<VirtioBlockOptions> = {},
  features = 0,
) {
  const bench = new Bench(
    (simulation, port) => new VirtioBlock(simulation, "disk", { port, store, serial: "abc123", ...options }),
    legacy,
  );
  bench.start(8, features);
  /** 5.2.6: type, reserved, sector; data; one byte of status. */
  const request = (type: number, sector: number, middle: { data?: Uint8Array; space?: number }[]) => {
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(0, type, true);
    new DataView(header.buffer).setUint32(8, sector, true);
    const n = bench.usedIndex(0);
    const at = bench.send(0, [{ data: header }, ...middle, { space: 1 }]);
    return { at, status: bench.bytes(at[at.length - 1] as number, 1)[0], used: bench.used(0, n) };
  };
  return { bench, request };
}

type RestOfSetUp = Parameters<typeof setUpOn> extends [boolean, ...infer R] ? R : never;

describe.each(INTERFACES)("virtio block (VIRTIO 1.2, 5.2), %s", (_interface, legacy) => {
  const setUp = (...rest: RestOfSetUp) => setUpOn(legacy, ...rest);

  it("5.2.4: capacity in sectors of 512 bytes, little-endian", () => {
    const { bench } = setUp(new MemoryStore(0x123));
    expect(bench.read(0x008)).toBe(2);
    expect(bench.configuration(0, 8)).toEqual([0x23, 0x01, 0, 0, 0, 0, 0, 0]);
  });

  it("5.2.6: VIRTIO_BLK_T_IN reads, across buffers", () => {
    const store = new MemoryStore(64);
    const { bench, request } = setUp(store);
    const { at, status, used } = request(0, 2, [{ space: 512 }, { space: 1024 }]);
    expect(status).toBe(0);
    expect(used.length).toBe(1537);
    expect([...bench.bytes(at[1] as number, 512), ...bench.bytes(at[2] as number, 1024)]).toEqual([
      ...store.data.subarray(1024, 1024 + 1536),
    ]);
  });

  it("5.2.6: VIRTIO_BLK_T_OUT writes and writes back only the status byte", () => {
    const store = new MemoryStore(64);
    const { request } = setUp(store);
    const { status, used } = request(1, 3, [{ data: new Uint8Array(512).fill(0xaa) }]);
    expect([status, used.length]).toEqual([0, 1]);
    expect(store.data.subarray(1536, 2048).every((b) => b === 0xaa)).toBe(true);
  });

  it("T_FLUSH reaches the store; T_GET_ID gives 20 bytes", () => {
    const store = new MemoryStore(8);
    const { bench, request } = setUp(store);
    expect(request(4, 0, []).status).toBe(0);
    expect(store.flushes).toBe(1);
    const { at } = request(8, 0, [{ space: 20 }]);
    expect(String.fromCharCode(...bench.bytes(at[1] as number, 6))).toBe("abc123");
  });

  it.each([
    ["beyond the end", 0, 63, 1024],
    ["of half a sector", 0, 0, 256],
  ])("a request %s gives VIRTIO_BLK_S_IOERR", (_, type, sector, space) => {
    expect(setUp().request(type, sector, [{ space }]).status).toBe(1);
  });

  it("5.2.3: a read-only device offers VIRTIO_BLK_F_RO (bit 5) and fails writes", () => {
    const { bench, request } = setUp(new MemoryStore(8, true));
    expect(bench.features(0) & (1 << 5)).toBe(32);
    expect(request(1, 0, [{ data: new Uint8Array(512) }]).status).toBe(1);
  });

  it("an unknown request gives VIRTIO_BLK_S_UNSUPP", () => {
    expect(setUp().request(99, 0, []).status).toBe(2);
  });

  const range = (sector: number, count: number, flags = 0) =>
    Uint8Array.from([...le(sector, 8), ...le(count, 4), ...le(flags, 4)]);

  it.each([
    ["5.2.6.2: write zeroes clears a range", 13, 0],
    ["5.2.6.2: write zeroes may unmap", 13, 1],
    ["5.2.6.2: discarded sectors read as zero here", 11, 0],
  ])("%s", (_, type, flags) => {
    const store = new MemoryStore(64);
    const { request } = setUp(store);
    expect(request(type, 0, [{ data: range(4, 2, flags) }]).status).toBe(0);
    expect(store.data.subarray(2048, 3072).every((b) => b === 0)).toBe(true);
    expect([store.data[2047], store.data[3072]]).toEqual([(2047 + 3) & 255, 6]);
  });

  it.each([
    ["unmap of a discard", 11, range(4, 2, 1), 2],
    ["an unknown flag", 13, range(4, 2, 2), 2],
    ["two segments", 13, Uint8Array.from([...range(4, 2), ...range(8, 2)]), 1],
    ["half a segment", 11, range(4, 2).subarray(0, 8), 1],
    ["a range beyond the end", 13, range(63, 2), 1],
    ["more sectors than max_discard_sectors", 11, range(0, 0x40_0000), 1],
  ])("5.2.6.2: %s is refused and changes nothing", (_, type, data, status) => {
    const store = new MemoryStore(64);
    const before = store.data.slice();
    expect(setUp(store).request(type, 0, [{ data }]).status).toBe(status);
    expect(Buffer.compare(store.data, before)).toBe(0);
  });

  it("5.2.4: seg_max 254, blk_size 512, one discard and one write-zeroes segment of 0x3fffff sectors", () => {
    const { bench } = setUp();
    expect(bench.features(0) & 0x7fff).toBe((1 << 2) | (1 << 6) | (1 << 9) | (1 << 11) | (1 << 13) | (1 << 14));
    expect([bench.read(0x10c), bench.read(0x114)]).toEqual([254, 512]);
    expect([0x124, 0x128, 0x12c, 0x130, 0x134].map((o) => bench.read(o))).toEqual([0x3f_ffff, 1, 1, 0x3f_ffff, 1]);
  });

  it.each<[string, number, Partial<VirtioBlockOptions>, number, readonly number[]]>([
    ["FLUSH alone: a write is stable after a flush", 1 << 9, {}, 1, [0, 0, 0]],
    ["neither FLUSH nor CONFIG_WCE: a write is stable when it is done", 0, {}, 1, [1, 2, 3]],
    ["CONFIG_WCE with FLUSH: write-back", (1 << 9) | (1 << 11), {}, 1, [0, 0, 0]],
    [
      "CONFIG_WCE with FLUSH, write-cache=off: write-through",
      (1 << 9) | (1 << 11),
      { writeCache: false },
      0,
      [1, 2, 3],
    ],
  ])("5.2.6.2: %s", (_, features, options, writeback, flushes) => {
    const store = new MemoryStore(64);
    const { bench, request } = setUp(store, options, features);
    if ((features & (1 << 11)) !== 0) expect(bench.configuration(32, 1)).toEqual([writeback]);
    const after = [
      [1, [{ data: new Uint8Array(512) }]],
      [13, [{ data: range(4, 2) }]],
      [11, [{ data: range(4, 2) }]],
    ] as const;
    expect(after.map(([type, data]) => [request(type, 0, [...data]).status, store.flushes])).toEqual(
      flushes.map((n) => [0, n]),
    );
  });

  it("5.2.5: with CONFIG_WCE the driver switches the cache; a reset of the device forgets it", () => {
    const store = new MemoryStore(64);
    const both = (1 << 9) | (1 << 11);
    const { bench, request } = setUp(store, {}, both);
    bench.write(0x120, 0, 1);
    request(1, 0, [{ data: new Uint8Array(512) }]);
    expect([...bench.configuration(32, 1), store.flushes]).toEqual([0, 1]);
    bench.write(0x120, 1, 1);
    request(1, 0, [{ data: new Uint8Array(512) }]);
    expect([...bench.configuration(32, 1), store.flushes, bench.details]).toEqual([1, 1, ""]);
    bench.write(0x120, 2, 1);
    expect([...bench.configuration(32, 1), bench.errors.length]).toEqual([1, 1]);
    bench.write(0x120, 0, 1);
    bench.start(8, both);
    expect(bench.configuration(32, 1)).toEqual([1]);
  });

  it("config-wce=off: not offered, and writeback is read-only", () => {
    const { bench } = setUp(new MemoryStore(64), { cacheControl: false }, 1 << 9);
    expect(bench.features(0) & (1 << 11)).toBe(0);
    bench.write(0x120, 0, 1);
    expect([...bench.configuration(32, 1), bench.errors.length]).toEqual([1, 1]);
  });

  it("a medium that fails gives VIRTIO_BLK_S_IOERR and no guest error", () => {
    class Failing extends MemoryStore {
      override read(): void {
        throw new StoreError("no medium");
      }
      override flush(): void {
        throw new StoreError("no space");
      }
    }
    const { bench, request } = setUp(new Failing(8));
    const { status, used } = request(0, 0, [{ space: 512 }]);
    expect([status, used.length, request(4, 0, []).status]).toEqual([1, 1, 1]);
    expect(bench.errors).toEqual([]);
  });

  it.each([
    ["no status byte", [{ data: new Uint8Array(16) }]],
    ["a short header", [{ data: new Uint8Array(8) }, { space: 1 }]],
  ])("5.2.6: a request with %s: DEVICE_NEEDS_RESET", (_, buffers) => {
    const { bench } = setUp();
    bench.send(0, buffers);
    expect(bench.status & 64).toBe(64);
  });

  it("with a latency, requests are done that much later, and in order", () => {
    const store = new MemoryStore(64);
    const { bench, request } = setUpOn(legacy, store, { latency: 10 * US });
    const first = request(1, 3, [{ data: new Uint8Array(512).fill(0xaa) }]);
    expect(bench.usedIndex(0)).toBe(0);
    bench.run(9 * US);
    expect(bench.usedIndex(0)).toBe(0);
    bench.run(1 * US);
    expect(bench.usedIndex(0)).toBe(1);
    expect(bench.bytes(first.at[2] as number, 1)).toEqual([0]);
    expect(bench.takeInterrupt()).toBe(1);
  });

  it("reset drops a request that waits for its latency", () => {
    const store = new MemoryStore(64);
    const before = store.data.slice();
    const { bench, request } = setUpOn(legacy, store, { latency: 10 * US });
    request(1, 3, [{ data: new Uint8Array(512).fill(0xaa) }]);
    bench.write(0x070, 0);
    bench.run(20 * US);
    expect(Buffer.compare(store.data, before)).toBe(0);
  });

  it("what was written to an overlay is saved with the machine and goes on in another", () => {
    const base = new MemoryStore(64);
    const write = setUp(new OverlayStore(base));
    expect(write.request(1, 5, [{ data: new Uint8Array(512).fill(0x77) }]).status).toBe(0);
    const saved = structuredClone(write.bench.simulation.save());
    const other = setUp(new OverlayStore(base));
    other.request(1, 5, [{ data: new Uint8Array(512).fill(0x11) }]);
    expect(other.bench.simulation.stateHash()).not.toBe(write.bench.simulation.stateHash());
    other.bench.simulation.load(saved);
    expect(other.bench.simulation.stateHash()).toBe(write.bench.simulation.stateHash());
    const { at, status } = other.request(0, 5, [{ space: 512 }]);
    expect(status).toBe(0);
    expect(other.bench.bytes(at[1] as number, 512).every((b) => b === 0x77)).toBe(true);
    expect(base.data[5 * 512]).toBe(5);
  });
});

describe("snapshot of a disk", () => {
  it("does not fit a disk of another size", () => {
    const saved = setUpOn(false, new MemoryStore(64)).bench.simulation.save();
    const other = setUpOn(false, new MemoryStore(65)).bench.simulation;
    expect(() => other.load(structuredClone(saved))).toThrow("disk.medium: a disk of 64 sectors; here 65");
  });
});

describe("copy-on-write overlay", () => {
  it("property: reads see the last write; the base never changes; save and load keep it", () => {
    const write = fc.record({ sector: fc.nat(30), count: fc.integer({ min: 1, max: 12 }), fill: fc.nat(255) });
    check(
      fc.property(fc.array(write, { maxLength: 12 }), (writes) => {
        const base = new MemoryStore(43);
        const before = base.data.slice();
        const expected = base.data.slice();
        const overlay = new OverlayStore(base);
        for (const { sector, count, fill } of writes) {
          overlay.write(sector, new Uint8Array(count * 512).fill(fill));
          expected.fill(fill, sector * 512, (sector + count) * 512);
        }
        const copy = new OverlayStore(base);
        copy.load(overlay.save(), "disk");
        for (const store of [overlay, copy]) {
          const seen = new Uint8Array(43 * 512);
          store.read(0, seen);
          expect(Buffer.compare(seen, expected)).toBe(0);
        }
        expect(Buffer.compare(base.data, before)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
