// Whole behaviours under random use: translation beside a reference walker, isolation, hostile memory, snapshots.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RESPONSE_OK } from "../../../src/bus/index.ts";
import { Random } from "../../../src/sim/index.ts";
import { check, seeds } from "../../support/soak.ts";
import { ACCESS, Board, cd, DATA, HEAP, RAM, RAM_SIZE, RW, STREAM_TABLE, ste0, ste23, Tables, USER } from "./board.ts";

const LIMIT = 1n << 44n;

/** A stage's walk written down plainly from DDI 0487 D8.2 and D8.3: the output, or the event that it ends in. */
function walk(
  load: (address: bigint) => bigint,
  stage2: boolean,
  granule: bigint,
  bits: bigint,
  start: number,
  base: bigint,
  input: bigint,
  write: boolean,
): bigint | { event: number } {
  if (input >> bits !== 0n) return { event: 0x10 };
  const stride = granule - 3n;
  let table = base;
  for (let level = start; ; level++) {
    const shift = BigInt(3 - level) * stride + granule;
    const index = level === start ? input >> shift : (input >> shift) & ((1n << stride) - 1n);
    const descriptor = load(table + 8n * index);
    const kind = descriptor & 3n;
    const block = level < 3 && kind === 1n && (level === 2 || (level === 1 && granule === 12n));
    const leaf = level === 3 ? kind === 3n : block;
    if (!leaf && (kind !== 3n || level === 3)) return { event: 0x10 };
    const size = leaf ? shift : granule;
    const output = ((descriptor & 0xffff_ffff_ffffn) >> size) << size;
    if (output >= LIMIT) return { event: 0x11 };
    if (!leaf) {
      table = output;
      continue;
    }
    if ((descriptor & ACCESS) === 0n) return { event: 0x12 };
    const allowed = stage2
      ? (descriptor & (write ? 1n << 7n : 1n << 6n)) !== 0n
      : (descriptor & (1n << 6n)) !== 0n && !(write && (descriptor & (1n << 7n)) !== 0n);
    return allowed ? output | (input & ((1n << shift) - 1n)) : { event: 0x13 };
  }
}

describe("translation beside a reference walker", () => {
  const shapes = [
    { granule: 12, bits: 39, start: 1, tg: 0, sl0: 1 },
    { granule: 12, bits: 30, start: 2, tg: 0, sl0: 0 },
    { granule: 14, bits: 36, start: 2, tg: 2, sl0: 1 },
    { granule: 16, bits: 42, start: 2, tg: 1, sl0: 1 },
  ];
  it.each([1, 2])("stage %i: random tables, random accesses: same output, or same event", (stage) => {
    const run = fc.property(
      fc.constantFrom(...shapes),
      fc.integer(),
      fc.array(fc.tuple(fc.nat(), fc.boolean()), { minLength: 20, maxLength: 60 }),
      ({ granule, bits, start, tg, sl0 }, seed, accesses) => {
        const b = new Board().enable();
        const random = new Random(seed >>> 0, "tables");
        const bytes = 2 ** granule;
        // few tables, filled with descriptors that are now and then wrong; the input uses three indices a level
        const tables = Array.from({ length: 4 }, () => b.allocate(bytes));
        const leaf = () => {
          const size = random.below(8) === 0 ? random.below(2 ** 16) * 2 ** 30 : 0;
          let d = BigInt(DATA + random.below(8) * 0x1_0000 + size);
          if (random.below(6) > 0) d |= ACCESS;
          d |=
            BigInt(random.below(8) > 0 ? 0x40 : random.below(4) << 6) | (BigInt(random.below(4) === 0 ? 1 : 0) << 7n);
          if (stage === 2) d |= 0b1111_00n | (random.below(4) > 0 ? 3n << 6n : 0n);
          return d;
        };
        const fill = (table: number, level: number) => {
          for (let i = 0; i < 3; i++) {
            const next = tables[level - start + 1];
            const pick = random.below(8);
            let d: bigint;
            if (pick === 0) d = 0n;
            else if (level === 3) d = leaf() | 3n;
            else if (pick < 6 && next !== undefined) d = BigInt(next) | 3n;
            else d = leaf() | (pick === 7 ? 1n : 2n);
            b.store(table + 8 * i, d);
          }
        };
        for (let level = start; level <= 3; level++) fill(tables[level - start] as number, level);
        const base = tables[0] as number;
        if (stage === 1) b.stageOne(1, cd({ t0: base, bits, tg0: tg }));
        else {
          const [w2, w3] = ste23({ base, bits, tg, sl0 });
          b.ste(1, ste0(6), 0n, w2, w3);
        }
        const port = b.port(1);
        let marker = 0n;
        for (const [n, write] of accesses) {
          let input = BigInt((n % 512) * 8);
          for (let level = 3, m = n; level >= start; level--, m = Math.floor(m / 3)) {
            input |= BigInt(m % 3) << (BigInt(3 - level) * BigInt(granule - 3) + BigInt(granule));
          }
          if (n % 31 === 0) input |= 1n << BigInt(bits);
          const expected = walk(
            (a) => b.load(a),
            stage === 2,
            BigInt(granule),
            BigInt(bits),
            start,
            BigInt(base),
            input,
            write,
          );
          const inside = typeof expected === "bigint" && expected >= BigInt(RAM) && expected < BigInt(RAM + RAM_SIZE);
          marker++;
          if (inside && !write) b.store(expected & ~7n, marker * 0x1_0000_0001n);
          const read = write ? 0 : port.read(Number(input), 4);
          if (write) port.write(Number(input), 4, Number(marker));
          const events = b.events().map((e) => e.type);
          if (typeof expected === "bigint") {
            expect([events, port.response === RESPONSE_OK]).toEqual([[], inside]);
            const there = inside ? Number(b.load(expected & ~7n) & 0xffff_ffffn) : 0;
            if (inside) expect(write ? there : read).toBe(Number(marker));
          } else expect(events).toEqual([expected.event]);
        }
        expect(b.staleReports()).toEqual([]);
      },
    );
    check(run, { numRuns: 40, endOnFailure: true });
  });
});

describe("both stages beside the reference walker", () => {
  it("random tables of both stages, random accesses: same output, or same event, stage and class", () => {
    const SHIFT = 0x1000_0000;
    const run = fc.property(
      fc.integer(),
      fc.array(fc.tuple(fc.nat(26), fc.nat(511), fc.boolean()), { minLength: 20, maxLength: 40 }),
      (seed, accesses) => {
        const b = new Board().enable();
        const random = new Random(seed >>> 0, "nested");
        const two = new Tables(b, 12, 1);
        // all of RAM in blocks, but the data's first 2 MiB and the tables' in pages, some of them missing or without rights
        const hole = () => (random.below(10) === 0 ? random.below(3) : 3);
        const page = (at: number, rights: number) =>
          two.map(BigInt(at + SHIFT), at, (BigInt(rights) << 6n) | (15n << 2n) | (rights === 0 ? 0n : ACCESS));
        for (let at = RAM; at < RAM + RAM_SIZE; at += 0x20_0000) {
          if (at === DATA) continue;
          two.map(BigInt(at + SHIFT), at, (3n << 6n) | (15n << 2n) | ACCESS, 2);
        }
        for (let at = DATA; at < DATA + 0x1_0000; at += 0x1000) page(at, hole());
        // stage 1 tables lie in the data's memory, above what accesses reach
        const tables = Array.from({ length: 7 }, (_, n) => DATA + 0x8_0000 + 0x1000 * n);
        for (const at of tables) page(at, random.below(12) === 0 ? random.below(4) : 3);
        tables.forEach((table, n) => {
          const level = n === 0 ? 1 : n < 3 ? 2 : 3;
          for (let i = 0; i < 3; i++) {
            const next = level === 1 ? 1 + (i % 2) : 3 + ((2 * (n - 1) + i) % 4);
            const output = BigInt(DATA + SHIFT + 0x1000 * random.below(16));
            const rights = USER | (random.below(8) > 0 ? ACCESS : 0n) | (random.below(4) === 0 ? 1n << 7n : 0n);
            const d = level < 3 ? BigInt((tables[next] as number) + SHIFT) | 3n : output | rights | 3n;
            b.store(table + 8 * i, random.below(12) === 0 ? 0n : d);
          }
        });
        const context = b.allocate(64);
        b.store(context, ...cd({ t0: (tables[0] as number) + SHIFT }));
        const [w2, w3] = ste23({ base: two.base });
        b.ste(1, ste0(7, context + SHIFT), 0n, w2, w3);
        b.invalidateAll();

        const second = (ipa: bigint, write: boolean) =>
          walk((a) => b.load(a), true, 12n, 39n, 1, BigInt(two.base), ipa, write);
        const reference = (input: bigint, write: boolean): bigint | [number, boolean, number] => {
          let stopped: [number, boolean, number] | null = null;
          const load = (ipa: bigint) => {
            const pa = second(ipa, false);
            if (typeof pa === "bigint") return b.load(pa);
            stopped ??= [pa.event, true, 1];
            return 0n;
          };
          const ipa = walk(load, false, 12n, 39n, 1, BigInt((tables[0] as number) + SHIFT), input, write);
          if (stopped !== null) return stopped;
          if (typeof ipa !== "bigint") return [ipa.event, false, 2];
          const pa = second(ipa, write);
          return typeof pa === "bigint" ? pa : [pa.event, true, 2];
        };
        const port = b.port(1);
        let marker = 0n;
        for (const [way, word, write] of accesses) {
          const input = [0, 1, 2].reduce(
            (sum, l) => sum | (BigInt(Math.floor(way / 3 ** l) % 3) << BigInt(12 + 9 * l)),
            BigInt(word * 8),
          );
          const expected = reference(input, write);
          marker++;
          if (typeof expected === "bigint" && !write) b.store(expected, marker);
          const read = write ? 0 : port.read(Number(input), 4);
          if (write) port.write(Number(input), 4, Number(marker));
          const events = b.events().map((e) => [e.type, e.s2, e.class]);
          if (typeof expected !== "bigint") expect(events).toEqual([expected]);
          else expect([events, write ? Number(b.load(expected) & 0xffff_ffffn) : read]).toEqual([[], Number(marker)]);
        }
        expect(b.staleReports()).toEqual([]);
      },
    );
    check(run, { numRuns: 30, endOnFailure: true });
  });
});

describe("isolation", () => {
  it("a stream with one buffer reaches no other byte in 50,000 random accesses; each refusal leaves one record", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    const buffer = DATA + 0x1_2000;
    tables.map(0x8000_1000n, buffer, RW);
    b.stageOne(1, cd({ t0: tables.base }));
    const image = () => {
      const bytes = b.ram.slice(0, RAM_SIZE);
      bytes.fill(0, buffer - RAM, buffer - RAM + 4096);
      bytes.fill(0, 0x3_0000, 0x3_0000 + 64 * 32); // the Event queue
      return bytes;
    };
    for (let at = DATA; at < DATA + 0x4_0000; at += 8) b.store(at, BigInt(at) * 0x9e37_79b9n);
    const before = image();
    const random = new Random(4, "dma");
    const port = b.port(1);
    const starts = [0, RAM, DATA, buffer, 0x8000_0000, 0x8000_2000, 2 ** 38, 2 ** 43, 2 ** 51, -(2 ** 40)];
    let refused = 0;
    for (let n = 0; n < 50_000; n++) {
      const near = random.below(4) === 0;
      const address = near
        ? 0x8000_1000 + random.below(4096)
        : (starts[random.below(starts.length)] as number) + random.below(0x1_0000);
      const size = [1, 2, 4, 8][random.below(4)] as number;
      const aligned = address - (((address % size) + size) % size);
      const inside = aligned >= 0x8000_1000 && aligned < 0x8000_2000;
      if (random.below(2)) port.write(aligned, size, random.uint32());
      else if (!inside) expect(port.read(aligned, size)).toBe(0);
      else port.read(aligned, size);
      if ((port.response === RESPONSE_OK) !== inside) expect([aligned, port.response]).toEqual([aligned, inside]);
      if (!inside) refused++;
      if (refused === 32) {
        expect(b.events().length).toBe(32);
        refused = 0;
        b.errors.length = 0;
      }
    }
    expect(b.events().length).toBe(refused);
    expect(Buffer.compare(image(), before)).toBe(0);
  });
});

describe("hostile memory", () => {
  it.each(seeds(12))(
    "tables and entries of random words never throw, and end each access in data or at most one record; seed %i",
    (seed) => {
      const b = new Board().enable();
      const random = new Random(seed, "hostile");
      const word = () => {
        let high = random.below(3) === 0 ? random.uint32() : random.below(16);
        let low = random.uint32();
        if (random.below(2)) {
          low = (HEAP + random.below(64) * 64) | random.below(16);
          high = random.below(2) ? 0 : random.uint32() & 0xffff_0000;
        }
        return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
      };
      for (let n = 0; n < 512; n++) b.store(HEAP + 8 * n, word());
      for (let n = 0; n < 64; n++) {
        const base = HEAP + 64 * random.below(64);
        const [w2, w3] = ste23({
          base: HEAP + 4096 * random.below(2),
          bits: 25 + random.below(20),
          sl0: random.below(3),
        });
        const flips = random.below(3) === 0 ? 1n << BigInt(random.below(64)) : 0n;
        b.ste(n, ste0(random.below(8), base, random.below(4), random.below(4)) ^ flips, word() & 0x3n, w2, w3);
        b.store(base, ...cd({ t0: HEAP + 4096 * random.below(2), bits: 25 + random.below(20) }));
      }
      for (let n = 0; n < 200; n++) {
        const port = b.sideband(random.below(64), random.below(6) - 1, random.below(2) === 1);
        const address = random.uint32() * (random.below(2) ? 1 : 2 ** random.below(20));
        if (random.below(2)) port.write(address - (address % 8), 8, random.uint32());
        else port.read(address - (address % 4), 4);
        expect(b.events().length).toBeLessThanOrEqual(1);
      }
    },
  );
});

describe("snapshots", () => {
  it("keep TLB and configuration cache: a restored machine answers from them as the first one does", () => {
    const make = () => {
      const b = new Board().enable();
      const tables = new Tables(b, 12, 1);
      tables.map(0x1000n, DATA, RW);
      const at = b.stageOne(1, cd({ t0: tables.base }));
      return { b, tables, at };
    };
    const first = make();
    const port = first.b.port(1);
    port.write(0x1000, 4, 1);
    // stale from here on: table, context descriptor and stream table entry are gone
    first.b.store(first.tables.place(0x1000n), 0n);
    first.b.store(first.at, 0n);
    first.b.store(STREAM_TABLE + 64, 0n);
    const saved = structuredClone(first.b.simulation.save());
    const second = make();
    const other = second.b.port(1);
    other.write(0x1000, 4, 7); // direct access that must not survive
    second.b.simulation.load(saved);
    expect(second.b.simulation.stateHash()).toBe(first.b.simulation.stateHash());
    for (const [b, p] of [
      [first.b, port],
      [second.b, other],
    ] as const) {
      p.write(0x1004, 4, 2);
      expect([p.response, b.load(DATA)]).toEqual([RESPONSE_OK, 0x2_0000_0001n]);
      b.invalidateAll();
      p.write(0x1000, 4, 3);
      expect(p.response).not.toBe(RESPONSE_OK);
    }
    expect(second.b.simulation.stateHash()).toBe(first.b.simulation.stateHash());
  });

  it("reset empties the caches", () => {
    const b = new Board().enable();
    b.ste(1, ste0(4));
    const port = b.port(1);
    port.read(DATA, 4);
    b.ste(1, 0n);
    b.simulation.reset();
    b.enable();
    port.read(DATA, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x04]);
  });
});
