import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Memory,
  Port,
  RESPONSE_DECODE_ERROR,
  RESPONSE_OK,
  RESPONSE_TARGET_ERROR,
  Transaction,
} from "../../src/bus/index.ts";
import { SnapshotError } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";
import { Bus } from "./parts.ts";

const MiB = 0x10_0000;
const GiB = 0x4000_0000;

/** Quicker than the test runner's own comparison of large arrays. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Bytes that the arena has handed out, seen from outside. */
function used(bus: Bus): number {
  return bus.arena.allocate(0x1_0000);
}

describe("memory is sparse", () => {
  it("4 GiB cost nothing until touched, and then 2 MiB a chunk", () => {
    const bus = new Bus();
    const before = used(bus);
    const ram = bus.memory("ram", 4 * GiB, 4 * GiB);
    expect(bus.port.read(8 * GiB - 4, 4)).toBe(0);
    bus.port.readBlock(6 * GiB, new Uint8Array(5 * MiB));
    expect(used(bus) - before).toBe(0x1_0000);
    for (const at of [4 * GiB, 6 * GiB + 12345, 8 * GiB - 4]) bus.port.write(at, 4, 0x5555);
    expect(used(bus) - before).toBeLessThanOrEqual(8 * MiB);
    expect(ram.peek(2 * GiB + 12345, 4)).toBe(0x5555);
    expect(ram.save()).toMatchObject({ pages: Uint32Array.of(0, (2 * GiB) / 4096 + 3, (4 * GiB) / 4096 - 1) });
  });

  it("an untouched chunk that a port has read directly is read anew once written by another", () => {
    const bus = new Bus();
    bus.memory("ram", 0, 4 * MiB);
    const other = new Port(bus.router, bus.arena);
    expect(bus.port.read(0x100, 4)).toBe(0);
    other.write(0x100, 4, 0xabcd);
    expect(bus.port.read(0x100, 4)).toBe(0xabcd);
    expect(bus.arena.bytes[bus.arena.zeroChunkAt + 0x100]).toBe(0);
  });

  it("never writes to the shared zeros, whatever way writes come", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 16 * MiB);
    const tx = new Transaction();
    bus.port.read(0, 4);
    bus.port.write(0, 8, 1);
    ram.write(2 * MiB, 4, 1, tx);
    ram.poke(4 * MiB, 1, 1);
    ram.fill(6 * MiB, Uint8Array.of(1));
    bus.port.writeBlock(8 * MiB - 1, Uint8Array.of(1, 1, 1));
    const zeros = bus.arena.bytes.subarray(bus.arena.zeroChunkAt, bus.arena.zeroChunkAt + 2 * MiB);
    expect(zeros.some((b) => b !== 0)).toBe(false);
  });

  it("touching more than the host has is a target error and a recorded limit, never an exception", () => {
    const bus = new Bus();
    bus.memory("ram", 0, 16 * MiB);
    while (bus.arena.allocate(64 * MiB) >= 0);
    while (bus.arena.allocate(2 * MiB, 2 * MiB) >= 0);
    bus.port.write(5 * MiB, 4, 1);
    expect(bus.port.response).toBe(RESPONSE_TARGET_ERROR);
    expect(bus.errors[0]).toMatchObject({ kind: "unimplemented", module: "ram" });
    expect(bus.port.read(5 * MiB, 4)).toBe(0);
    expect(bus.port.response).toBe(RESPONSE_OK);
    expect(bus.port.writeBlock(5 * MiB, new Uint8Array(16))).toBe(false);
  });

  it("refuses sizes that are no multiple of a page", () => {
    const bus = new Bus();
    for (const size of [0, -4096, 100, 4097, Number.NaN]) {
      expect(() => new Memory(bus.simulation, "bad", bus.arena, { size })).toThrow(
        "expected a positive multiple of 4096",
      );
      bus.simulation.modules.delete("bad");
    }
  });
});

describe("accesses", () => {
  it("of every width at every place read back what a byte array holds", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0x1000_0000, 4 * MiB);
    const model = new Uint8Array(4 * MiB);
    const view = new DataView(model.buffer);
    const near = fc.oneof(
      fc.nat(64),
      fc.integer({ min: 2 * MiB - 16, max: 2 * MiB + 8 }),
      fc.integer({ min: 4 * MiB - 40, max: 4 * MiB - 8 }),
    );
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    check(
      fc.property(
        fc.record({
          at: near,
          size: fc.constantFrom(1, 2, 4, 8),
          low: word,
          high: word,
          direct: fc.boolean(),
          write: fc.boolean(),
        }),
        ({ at, size, low, high, direct, write }) => {
          // Ports take any address; the transport keeps within eight aligned bytes.
          const through = direct || (at % 8) + size > 8;
          const tx = through ? bus.port.transaction : new Transaction();
          if (write) {
            tx.high = high;
            if (through) bus.port.write(0x1000_0000 + at, size, low);
            else bus.router.write(0x1000_0000 + at, size, low, tx);
            for (let i = 0; i < size; i++) model[at + i] = (i < 4 ? low : high) >>> (8 * (i % 4));
          }
          const got = through ? bus.port.read(0x1000_0000 + at, size) : bus.router.read(0x1000_0000 + at, size, tx);
          const expected =
            size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
          expect(got).toBe(expected);
          if (size === 8) expect(tx.high).toBe(view.getUint32(at + 4, true));
          expect(tx.response).toBe(RESPONSE_OK);
          if (size <= 4 && (at % 8) + size <= 8) expect(ram.peek(at, size)).toBe(expected);
        },
      ),
      { numRuns: 2000 },
    );
    expect(same(ram.slice(0, 4 * MiB), model)).toBe(true);
  });

  it("beyond the end are decode errors, and harmless", () => {
    const bus = new Bus();
    const ram = new Memory(bus.simulation, "ram", bus.arena, { size: 0x1000 });
    const tx = new Transaction();
    for (const [offset, size] of [
      [0x1000, 1],
      [0xffc, 8],
      [2 ** 40, 4],
    ] as const) {
      expect(ram.read(offset, size, tx)).toBe(0);
      ram.write(offset, size, 0xff, tx);
      expect(tx.response).toBe(RESPONSE_DECODE_ERROR);
      expect(ram.peek(offset, size)).toBe(0);
      ram.poke(offset, size, 1);
    }
    expect(ram.direct(0x1000, false)).toBeNull();
    expect(bus.errors.map((e) => e.kind)).toEqual(new Array(6).fill("decode"));
    expect(ram.save()).toEqual({ pages: new Uint32Array(), data: new Uint8Array() });
  });

  it("to read-only memory are guest errors that change nothing; images and debuggers may write", () => {
    const bus = new Bus();
    const rom = bus.memory("rom", 0, 0x1_0000, true);
    rom.fill(0x10, Uint8Array.of(1, 2, 3, 4));
    expect(bus.port.read(0x10, 4)).toBe(0x0403_0201);
    bus.port.write(0x10, 4, 0xffff_ffff);
    expect(bus.port.writeBlock(0x10, Uint8Array.of(9))).toBe(true);
    expect(bus.port.read(0x10, 4)).toBe(0x0403_0201);
    expect(bus.errors).toMatchObject([
      { kind: "access", module: "rom", offset: 0x10, size: 4, write: true, value: 0xffff_ffff },
      { kind: "access", size: 1 },
    ]);
    rom.poke(0x10, 1, 7);
    expect(bus.port.read(0x10, 1)).toBe(7);
    expect(bus.router.direct(0x10, true)).toBeNull();
    expect(bus.router.direct(0x10, false)?.writable).toBe(false);
  });

  it("fill and slice refuse what does not fit", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 0x1000);
    expect(() => ram.fill(0xfff, new Uint8Array(2))).toThrow("ram: 2 bytes at offset 4095 do not fit into 4096 bytes");
    expect(() => ram.slice(-1, 2)).toThrow(RangeError);
    expect(() => ram.slice(0xfff, 2)).toThrow(RangeError);
  });
});

describe("state", () => {
  it("is the pages that are not zero; the hash does not know touched from untouched zeros", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 8 * MiB);
    const empty = bus.simulation.stateHash();
    bus.port.write(0x3000, 4, 1);
    expect(bus.simulation.stateHash()).not.toBe(empty);
    bus.port.write(0x3000, 4, 0);
    expect(bus.simulation.stateHash()).toBe(empty);
    expect(ram.save()).toEqual({ pages: new Uint32Array(), data: new Uint8Array() });
  });

  it("tells contents and their places apart", () => {
    const hashes = [0x3000, 0x4000, 0x3004].map((at) => {
      const bus = new Bus();
      bus.memory("ram", 0, 8 * MiB);
      bus.port.write(at, 4, 1);
      return bus.simulation.stateHash();
    });
    expect(new Set(hashes).size).toBe(3);
  });

  it("comes back over other contents, and ports and code caches hear of it", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 8 * MiB);
    bus.port.write(0x3000, 4, 0x1111);
    const saved = structuredClone(bus.simulation.save());
    const hash = bus.simulation.stateHash();
    bus.port.write(0x3000, 4, 0x2222);
    bus.port.write(5 * MiB, 4, 0x3333);
    const page = ((ram.direct(5 * MiB, false)?.arenaAt ?? 0) + MiB) / 4096;
    bus.arena.pageFlags[page] = 1;
    let code = 0;
    bus.arena.onCodeWrite = () => void code++;
    bus.simulation.load(saved);
    expect([bus.port.read(0x3000, 4), bus.port.read(5 * MiB, 4)]).toEqual([0x1111, 0]);
    expect(bus.simulation.stateHash()).toBe(hash);
    expect(code).toBe(1);
    const fresh = new Bus();
    fresh.memory("ram", 0, 8 * MiB);
    fresh.simulation.load(saved);
    expect(fresh.simulation.stateHash()).toBe(hash);
  });

  it.each([
    ["no record", null, "ram.contents: expected page numbers and their contents"],
    ["a short page", { pages: Uint32Array.of(1), data: new Uint8Array(10) }, "ram.contents: 10 bytes for 1 pages"],
    [
      "a page beyond the end",
      { pages: Uint32Array.of(4), data: new Uint8Array(4096) },
      "ram.contents: page 4 is outside the memory",
    ],
    ["pages without contents", { pages: Uint32Array.of(1) }, "ram.contents: expected page numbers and their contents"],
  ])("a snapshot that does not fit is refused: %s", (_, saved, message) => {
    const ram = new Bus().memory("ram", 0, 0x4000);
    expect(() => ram.load(saved, "ram.contents")).toThrow(SnapshotError);
    expect(() => ram.load(saved, "ram.contents")).toThrow(message);
  });

  it("survives a reset; clear empties it", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 4 * MiB);
    bus.port.write(8, 4, 5);
    bus.simulation.reset();
    expect(bus.port.read(8, 4)).toBe(5);
    ram.clear();
    expect(bus.port.read(8, 4)).toBe(0);
  });

  it("clear of a range zeroes its pages, in chunks and across them, and leaves the others", () => {
    const bus = new Bus();
    const ram = bus.memory("ram", 0, 4 * MiB);
    const pages = [0, 1, 2, 255, 256, 511, 512, 767, 768, 1023];
    for (const page of pages) bus.port.write(page * 4096 + 4092, 4, page + 1);
    ram.clear(4096, 4096);
    ram.clear(255 * 4096, 513 * 4096);
    const left = pages.map((page) => bus.port.read(page * 4096 + 4092, 4));
    expect(left).toEqual([1, 0, 3, 0, 0, 0, 0, 0, 769, 1024]);
    ram.clear(768 * 4096);
    expect(pages.map((page) => bus.port.read(page * 4096 + 4092, 4))).toEqual([1, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
  });
});
