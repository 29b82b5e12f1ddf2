import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Memory, Port, RESPONSE_DECODE_ERROR, RESPONSE_OK, Router, type Window } from "../../src/bus/index.ts";
import { check } from "../support/soak.ts";
import { Bus, Recorder, Revocable } from "./parts.ts";

describe("windows", () => {
  it("pass accesses on with the offset in the target", () => {
    const bus = new Bus();
    const a = bus.device("a", 0x1000, 0x100);
    const target = new Recorder();
    bus.router.map({ name: "b", base: 0x2000, size: 0x100, target, offset: 0x40 });
    bus.port.read(0x1004, 4);
    bus.port.write(0x10ff, 1, 0x5a);
    bus.port.read(0x2000, 2);
    bus.router.peek(0x2008, 4);
    bus.router.poke(0x200c, 1, 7);
    expect(a.take()).toEqual(["read 4/4", "write ff/1 5a"]);
    expect(target.take()).toEqual(["read 40/2", "peek 48/4", "poke 4c/1 7"]);
  });

  it("that overlap are an error that names both, with their addresses", () => {
    const bus = new Bus();
    bus.device("uart", 0x1000, 0x1000);
    for (const [base, size] of [
      [0x1ff8, 8],
      [0xff8, 16],
      [0, 0x10000],
      [0x1000, 0x1000],
    ] as const) {
      expect(() => bus.device("timer", base, size)).toThrow(
        /bus: window "timer" \(0x.*\) overlaps "uart" \(0x1000 to 0x1fff\)/,
      );
    }
    expect(bus.router.windows.map((w) => w.name)).toEqual(["uart"]);
    bus.device("before", 0xff8, 8);
    bus.device("after", 0x2000, 8);
    expect(bus.router.segments.map((s) => s.window.name)).toEqual(["before", "uart", "after"]);
  });

  it("outside the address space, of no size, or not a multiple of 8 are refused", () => {
    const bus = new Bus();
    for (const [base, size] of [
      [-8, 8],
      [0, 0],
      [4, 8],
      [0, 12],
      [2 ** 52, 8],
      [0.5, 8],
      [Number.NaN, 8],
    ] as const) {
      expect(() => bus.device("bad", base, size)).toThrow(/bus: window "bad"/);
    }
  });

  it("must not reach beyond a memory's end, nor be wider than 32 bits onto registers", () => {
    const bus = new Bus();
    const target = new Memory(bus.simulation, "ram", bus.arena, { size: 0x2000 });
    expect(() => bus.router.map({ name: "ram", base: 0, size: 0x3000, target })).toThrow(
      "reaches beyond its target, which ends at 0x2000",
    );
    expect(() => bus.router.map({ name: "ram", base: 0, size: 0x2000, target, offset: 8 })).toThrow("reaches beyond");
    expect(() => bus.device("wide", 0, 2 ** 32 + 8, 7)).toThrow("offsets of at most 32 bits");
  });

  it("of higher priority cover others, which show again after unmap", () => {
    const bus = new Bus();
    const low = bus.device("low", 0, 0x1000);
    const high = new Recorder();
    const window = bus.router.map({ name: "high", base: 0x400, size: 0x100, target: high, priority: 1 });
    expect(bus.router.segments.map((s) => [s.window.name, s.start, s.end])).toEqual([
      ["low", 0, 0x400],
      ["high", 0x400, 0x500],
      ["low", 0x500, 0x1000],
    ]);
    bus.port.read(0x404, 4);
    bus.port.read(0x504, 4);
    bus.router.unmap(window);
    bus.port.read(0x404, 4);
    expect(high.take()).toEqual(["read 4/4"]);
    expect(low.take()).toEqual(["read 504/4", "read 404/4"]);
    expect(() => bus.router.unmap(window)).toThrow('bus: window "high" is not mapped');
  });

  it("are found as a naive search finds them, for random maps", () => {
    const piece = fc.record({ base: fc.nat(60), size: fc.integer({ min: 1, max: 30 }), priority: fc.nat(3) });
    check(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(100 * 8), { maxLength: 50 }),
        (pieces, addresses) => {
          const bus = new Bus();
          const mapped: Window[] = [];
          pieces.forEach(({ base, size, priority }, i) => {
            const window = { name: `w${i}`, base: base * 8, size: size * 8, priority, target: new Recorder() };
            const clash = mapped.some(
              (w) => w.priority === priority && window.base < w.base + w.size && w.base < window.base + window.size,
            );
            if (clash) expect(() => bus.router.map(window)).toThrow("overlaps");
            else mapped.push(bus.router.map(window));
          });
          for (const address of addresses) {
            const covering = mapped.filter((w) => w.base <= address && address < w.base + w.size);
            const expected = covering.sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0))[0];
            expect(bus.router.find(address)?.window).toBe(expected);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("addresses without a target", () => {
  it("abort by default, are recorded, and read as zero", () => {
    const bus = new Bus();
    bus.port.high = 7;
    bus.port.transaction.requesterId = 0x0108;
    expect(bus.port.read(0x5000, 8)).toBe(0);
    expect([bus.port.response, bus.port.high]).toEqual([RESPONSE_DECODE_ERROR, 0]);
    bus.port.write(0x5004, 4, 0xbeef);
    expect(bus.port.response).toBe(RESPONSE_DECODE_ERROR);
    expect(bus.errors).toMatchObject([
      { kind: "decode", module: "bus", address: 0x5000, size: 8, write: false, requesterId: 0x0108 },
      { kind: "decode", address: 0x5004, size: 4, write: true, value: 0xbeef },
    ]);
  });

  it("read as zero and ignore writes where the platform says so, and are recorded all the same", () => {
    const bus = new Bus("zero");
    expect(bus.port.read(0x5000, 4)).toBe(0);
    bus.port.write(0x5000, 4, 1);
    expect(bus.port.response).toBe(RESPONSE_OK);
    expect(bus.errors.length).toBe(2);
  });

  it("are peeked as zero without a record", () => {
    const bus = new Bus();
    expect(bus.router.peek(0x5000, 4)).toBe(0);
    bus.router.poke(0x5000, 4, 1);
    expect(bus.errors).toEqual([]);
  });
});

describe("sizes", () => {
  it("64 bits arrive as two of 32, low word first, where the target takes no more", () => {
    const bus = new Bus();
    const narrow = bus.device("narrow", 0, 0x100, 7);
    const wide = bus.device("wide", 0x100, 0x100, 15);
    expect(bus.port.read(0x10, 8)).toBe(0x10);
    expect(bus.port.high).toBe(0x14);
    bus.port.high = 0x1111;
    bus.port.write(0x18, 8, 0x2222);
    expect(bus.port.high).toBe(0x1111);
    expect(narrow.take()).toEqual(["read 10/4", "read 14/4", "write 18/4 2222", "write 1c/4 1111"]);
    bus.port.read(0x110, 8);
    expect(bus.port.high).toBe(0xabcd);
    bus.port.write(0x118, 8, 0x3333);
    expect(wide.take()).toEqual(["read 10/8", "write 18/8 abcd:3333"]);
  });

  it("that the target does not take are refused and recorded", () => {
    const bus = new Bus();
    const words = bus.device("words", 0, 0x100, 4);
    expect(bus.port.read(0x11, 1)).toBe(0);
    bus.port.write(0x12, 2, 5);
    expect(words.take()).toEqual([]);
    expect(bus.errors).toMatchObject([
      { kind: "width", address: 0x11, size: 1, detail: "words takes no access of this size" },
      { kind: "width", address: 0x12, size: 2, value: 5 },
    ]);
  });
});

describe("aliases", () => {
  it("show the same router's addresses, for every kind of access", () => {
    const bus = new Bus();
    const device = bus.device("uart", 0x1000, 0x100, 7);
    bus.router.alias("mirror", 0x8000, 0x1000, 0x1000);
    bus.port.read(0x8004, 4);
    bus.router.peek(0x8008, 4);
    bus.router.poke(0x800c, 4, 1);
    bus.port.read(0x8010, 8);
    expect(device.take()).toEqual(["read 4/4", "peek 8/4", "poke c/4 1", "read 10/4", "read 14/4"]);
    bus.port.read(0x8100, 4);
    expect(bus.errors).toMatchObject([{ kind: "decode", address: 0x8100 }]);
    expect(bus.router.find(0x8004)).toMatchObject({
      start: 0x8000,
      end: 0x8100,
      window: { name: "mirror" },
      delta: -0x8000,
    });
  });

  it("of aliases are followed, and RAM behind them is direct", () => {
    const bus = new Bus();
    bus.memory("ram", 0x100_0000, 0x10_0000);
    bus.router.alias("first", 0x200_0000, 0x10_0000, 0x100_0000);
    bus.router.alias("second", 0x300_0000, 0x1000, 0x200_8000);
    bus.port.write(0x300_0010, 4, 0x1234_5678);
    expect(bus.port.read(0x100_8010, 4)).toBe(0x1234_5678);
    expect(bus.router.direct(0x300_0010, true)).toMatchObject({ start: 0x300_0000, end: 0x300_1000, writable: true });
  });

  it("that overlap what they show, or show each other in a circle, are refused and leave the map alone", () => {
    const bus = new Bus();
    expect(() => bus.router.alias("self", 0x1000, 0x1000, 0x1800)).toThrow('alias "self" overlaps what it shows');
    bus.router.alias("there", 0x1000, 0x1000, 0x2000);
    expect(() => bus.router.alias("back", 0x2000, 0x1000, 0x1000)).toThrow(
      /bus: aliases show each other in a circle: "there", "back"|"back", "there"/,
    );
    expect(bus.router.windows.map((w) => w.name)).toEqual(["there"]);
    expect(bus.router.find(0x1000)).toBeNull();
  });
});

describe("nested routers", () => {
  function nested(): { bus: Bus; inner: Router } {
    const bus = new Bus();
    const inner = new Router(bus.simulation, "inner");
    return { bus, inner };
  }

  it("add up offsets and pass 64-bit accesses on whole", () => {
    const { bus, inner } = nested();
    const device = new Recorder();
    inner.map({ name: "device", base: 0x100, size: 0x100, target: device });
    bus.router.map({ name: "inner", base: 0x10_0000, size: 0x1000, target: inner });
    bus.port.read(0x10_0108, 8);
    expect(device.take()).toEqual(["read 8/8"]);
    bus.port.read(0x10_0008, 4);
    expect(bus.errors).toMatchObject([{ module: "inner", kind: "decode", address: 8 }]);
    expect(bus.port.response).toBe(RESPONSE_DECODE_ERROR);
  });

  it("that lead back to themselves are refused", () => {
    const { bus, inner } = nested();
    const middle = new Router(bus.simulation, "middle");
    middle.map({ name: "inner", base: 0, size: 0x1000, target: inner });
    bus.router.map({ name: "middle", base: 0, size: 0x1000, target: middle });
    expect(() => inner.map({ name: "outer", base: 0, size: 0x1000, target: bus.router })).toThrow(
      "leads back to inner through bus",
    );
  });

  it("give direct regions in the outer addresses, cut to the windows", () => {
    const { bus, inner } = nested();
    const target = new Memory(bus.simulation, "ram", bus.arena, { size: 0x40_0000 });
    inner.map({ name: "ram", base: 0x1000, size: 0x8000, target, offset: 0x2000 });
    bus.router.map({ name: "inner", base: 0x100_0000, size: 0x4000, target: inner, offset: 0x2000 });
    bus.port.write(0x100_0000, 4, 0xfeed);
    expect(target.peek(0x3000, 4)).toBe(0xfeed);
    expect(bus.router.direct(0x100_0010, false)).toMatchObject({ start: 0x100_0000, end: 0x100_4000 });
  });
});

describe("direct regions are taken back", () => {
  it("when the target says so, through windows, aliases and nested routers", () => {
    const bus = new Bus();
    const inner = new Router(bus.simulation, "inner");
    const target = new Revocable(bus.arena);
    inner.map({ name: "flash", base: 0x3000, size: 0x1000, target });
    bus.router.map({ name: "inner", base: 0x10_0000, size: 0x1_0000, target: inner });
    bus.router.alias("alias", 0x20_0000, 0x1000, 0x10_3000);
    const told: [number, number][] = [];
    bus.router.onInvalidate((address, length) => told.push([address, length]));
    const other = new Port(bus.router, bus.arena);
    bus.port.write(0x10_3000, 4, 0x77);
    expect(other.read(0x20_0000, 4)).toBe(0x77);
    expect(target.take()).toEqual([]);
    target.revoke(0, 0x800);
    expect(told).toEqual([
      [0x10_3000, 0x800],
      [0x20_0000, 0x800],
    ]);
    bus.port.write(0x10_3004, 4, 1);
    other.read(0x20_0004, 4);
    expect(target.take()).toEqual(["write 4/4 1", "read 4/4"]);
  });

  it("when a window is unmapped, covered, or shows something else", () => {
    const bus = new Bus();
    bus.memory("low", 0x10_0000, 0x1_0000);
    const back = bus.memory("back", 0x20_0000, 0x1_0000);
    bus.port.write(0x10_0000, 4, 0x11);
    const cover = bus.router.map({ name: "cover", base: 0x10_0000, size: 0x1000, target: back, priority: 2 });
    expect(bus.port.read(0x10_0000, 4)).toBe(0);
    bus.port.write(0x10_0000, 4, 0x22);
    expect(back.peek(0, 4)).toBe(0x22);
    bus.router.unmap(cover);
    expect(bus.port.read(0x10_0000, 4)).toBe(0x11);
    bus.router.unmap(bus.router.windows.find((w) => w.name === "low") as Window);
    bus.port.read(0x10_0000, 4);
    expect(bus.port.response).toBe(RESPONSE_DECODE_ERROR);
  });

  it("when what an alias shows changes", () => {
    const bus = new Bus();
    bus.memory("first", 0x10_0000, 0x1_0000);
    const second = new Memory(bus.simulation, "second", bus.arena, { size: 0x1_0000 });
    bus.router.alias("a", 0x20_0000, 0x1_0000, 0x10_0000);
    bus.router.alias("b", 0x30_0000, 0x1_0000, 0x20_0000);
    bus.port.write(0x30_0000, 4, 0x11);
    bus.router.map({ name: "cover", base: 0x10_0000, size: 0x1000, target: second, priority: 1 });
    expect(bus.port.read(0x30_0000, 4)).toBe(0);
    bus.port.write(0x30_0000, 4, 0x22);
    expect(second.peek(0, 4)).toBe(0x22);
  });
});
