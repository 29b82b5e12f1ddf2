import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BlockStore, OverlayStore, VirtioBlock } from "../../../src/devices/virtio/index.ts";
import { Bench } from "./driver.ts";

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

function setUp(store: BlockStore = new MemoryStore(64)) {
  const bench = new Bench((simulation, port) => new VirtioBlock(simulation, "disk", { port, store, serial: "abc123" }));
  bench.start();
  /** 5.2.6: type, reserved, sector; data; one byte of status. */
  const request = (type: number, sector: number, middle: { data?: Uint8Array; space?: number }[]) => {
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(0, type, true);
    new DataView(header.buffer).setUint32(8, sector, true);
    const n = bench.usedIndex(0);
    const at = bench.send(0, [{ data: header }, ...middle, { space: 1 }]);
    return { at, status: bench.bytes(at[at.length - 1] as number, 1)[0], used: bench.used(0, n % 8) };
  };
  return { bench, request };
}

describe("virtio block (VIRTIO 1.2, 5.2)", () => {
  it("5.2.4: capacity in sectors of 512 bytes, little-endian", () => {
    const { bench } = setUp(new MemoryStore(0x123));
    expect([0, 1, 2, 3].map((i) => bench.device.configurationByte(i))).toEqual([0x23, 0x01, 0, 0]);
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
    expect(bench.device.features(0) & (1 << 5)).toBe(32);
    expect(request(1, 0, [{ data: new Uint8Array(512) }]).status).toBe(1);
  });

  it("an unknown request gives VIRTIO_BLK_S_UNSUPP", () => {
    expect(setUp().request(99, 0, []).status).toBe(2);
  });

  it("5.2.6: write zeroes clears a range", () => {
    const store = new MemoryStore(64);
    const { request } = setUp(store);
    const range = new Uint8Array(16);
    new DataView(range.buffer).setUint32(0, 4, true);
    new DataView(range.buffer).setUint32(8, 2, true);
    expect(request(13, 0, [{ data: range }]).status).toBe(0);
    expect(store.data.subarray(2048, 3072).every((b) => b === 0)).toBe(true);
    expect(store.data[3072]).toBe(6);
  });
});

describe("copy-on-write overlay", () => {
  it("property: reads see the last write; the base never changes; save and load keep it", () => {
    const write = fc.record({ sector: fc.nat(30), count: fc.integer({ min: 1, max: 12 }), fill: fc.nat(255) });
    fc.assert(
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
