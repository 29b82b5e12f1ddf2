import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arena } from "../../../../src/bus/index.ts";
import { Context } from "../../../../src/cpu/aarch64/context.ts";
import { StageOne, StageTwo } from "../../../../src/cpu/aarch64/mmu/regime.ts";
import { offsetOf, type SysregName } from "../../../../src/cpu/aarch64/sysreg/table.ts";
import { type DescriptorReader, FETCH, READ, Walker, WRITE } from "../../../../src/mmu/index.ts";
import { check } from "../../../support/soak.ts";
import { type Access, type Registers, translate } from "./reference.ts";

const context = new Context(new Arena());
const put = (name: SysregName, v: bigint) =>
  context.set(offsetOf(name), Number(BigInt.asIntN(32, v)), Number(BigInt.asIntN(32, v >> 32n)));
const ALL_GRANULES = (1 << 12) | (1 << 14) | (1 << 16);

/** Descriptors by address: a table of what was put there, else made from the address. */
class Reader implements DescriptorReader {
  high = 0;
  failed = false;
  readonly get: (address: bigint) => bigint;
  constructor(get: (address: bigint) => bigint) {
    this.get = get;
  }
  read(address: number): number {
    const d = this.get(BigInt(address));
    this.high = Number(BigInt.asIntN(32, d >> 32n));
    return Number(BigInt.asIntN(32, d));
  }
}

interface Found {
  fault: number | null;
  stage2: boolean;
  onWalk: boolean;
  ipa: bigint;
  pa: bigint;
  device: boolean;
}

function walk(
  r: Registers,
  regime: 1 | 2,
  el: 0 | 1 | 2,
  va: bigint,
  access: Access,
  paSize: number,
  reader: DescriptorReader,
): Found {
  put(regime === 1 ? "SCTLR_EL1" : "SCTLR_EL2", r.sctlr);
  put(regime === 1 ? "TCR_EL1" : "TCR_EL2", r.tcr);
  put(regime === 1 ? "TTBR0_EL1" : "TTBR0_EL2", r.ttbr0);
  put("TTBR1_EL1", r.ttbr1);
  put(regime === 1 ? "MAIR_EL1" : "MAIR_EL2", r.mair);
  put("HCR_EL2", r.hcr);
  put("VTCR_EL2", r.vtcr);
  put("VTTBR_EL2", r.vttbr);
  const one = new StageOne(regime);
  const two = new StageTwo();
  one.update(context, paSize, ALL_GRANULES);
  two.update(context, paSize, ALL_GRANULES);
  const kind = access === "read" ? READ : access === "write" ? WRITE : FETCH;
  const t = new Walker(reader).translate(
    one,
    regime === 1 ? two : null,
    Number(BigInt.asIntN(32, va >> 32n)),
    Number(BigInt.asIntN(32, va)),
    el,
    kind,
    2 ** paSize,
  );
  const missing = t.fault < 0;
  const fault = missing ? t.permission : t.fault;
  return {
    fault: fault < 0 ? null : fault,
    stage2: missing ? t.permissionStage2 : t.stage2,
    onWalk: !missing && t.onWalk,
    ipa: BigInt(t.ipa),
    pa: BigInt(t.pa),
    device: t.device,
  };
}

/** A 64-bit hash of an address. */
function mix(x: bigint, seed: bigint): bigint {
  let z = BigInt.asUintN(64, x * 0x9e3779b97f4a7c15n + seed);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** Descriptors that are mostly tables with small addresses, so that walks get far. */
function descriptors(seed: bigint): (address: bigint) => bigint {
  return (address) => {
    const h = mix(address, seed);
    let d = mix(h, seed) & ~((h & 3n) === 0n ? 0n : 0xffff_0000_0000n);
    d |= (h >> 8n) % 16n === 0n ? 0n : 1n;
    d |= (h >> 12n) % 4n === 0n ? 0n : 2n;
    d |= (h >> 16n) % 8n === 0n ? 0n : 0x400n;
    if ((h >> 20n) % 4n !== 0n) d &= ~(31n << 59n); // tables seldom take rights away
    if ((h >> 24n) % 2n === 0n) d |= 0xc0n; // stage 2: all rights
    return d;
  };
}

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const registers = fc.record({
  on: fc.constantFrom(1n, 1n, 1n, 0n),
  wxn: fc.constantFrom(0n, 1n << 19n),
  t0: fc.integer({ min: 14, max: 41 }),
  t1: fc.integer({ min: 14, max: 41 }),
  tg0: fc.integer({ min: 0, max: 3 }),
  tg1: fc.integer({ min: 0, max: 3 }),
  ps: fc.integer({ min: 0, max: 7 }),
  epd: fc.constantFrom(0n, 0n, 0n, 1n << 7n, 1n << 23n),
  tbi: fc.integer({ min: 0, max: 3 }),
  mair: u64,
  base: u64,
  seed: u64,
  hcr: fc.constantFrom(0n, 0n, 1n, 1n, 5n, 1n << 12n, 1n << 27n),
  vt0: fc.integer({ min: 14, max: 41 }),
  vtg: fc.integer({ min: 0, max: 2 }),
  sl0: fc.integer({ min: 0, max: 3 }),
  vps: fc.integer({ min: 0, max: 7 }),
  regime: fc.constantFrom<1 | 2>(1, 1, 1, 2),
  user: fc.boolean(),
  va: u64,
  shape: fc.integer({ min: 0, max: 5 }),
  access: fc.constantFrom<Access>("read", "write", "fetch"),
  paSize: fc.constantFrom(40, 44, 48),
});

describe("stage 1 and 2 against a plain reference (DDI 0487J.a D8)", () => {
  it("finds the same address, attributes or fault for random regimes, tables and addresses", () => {
    const seen = new Map<string, number>();
    check(
      fc.property(registers, (c) => {
        const tcr =
          c.regime === 1
            ? BigInt(c.t0) |
              (BigInt(c.t1) << 16n) |
              (BigInt(c.tg0) << 14n) |
              (BigInt(c.tg1) << 30n) |
              c.epd |
              (BigInt(c.ps) << 32n) |
              (BigInt(c.tbi) << 37n)
            : BigInt(c.t0) | (BigInt(c.tg0) << 14n) | (BigInt(c.ps) << 16n) | (BigInt(c.tbi & 1) << 20n);
        const near = (v: bigint) => (c.shape === 0 ? v : v & ~0xffff_0000_0000n);
        const r: Registers = {
          sctlr: c.on | c.wxn,
          tcr,
          ttbr0: near(c.base) & ~1n,
          ttbr1: near(mix(c.base, 7n)) & ~1n,
          mair: c.mair,
          hcr: c.regime === 1 ? c.hcr : 0n,
          vtcr: BigInt(c.vt0) | (BigInt(c.sl0) << 6n) | (BigInt(c.vtg) << 14n) | (BigInt(c.vps) << 16n),
          vttbr: near(mix(c.base, 9n)) & ~1n,
        };
        // addresses of both ranges, with and without a tag, and anywhere
        const size = 64 - Math.min(Math.max(c.va % 2n === 0n ? c.t0 : c.t1, 16), 39);
        const inside = BigInt.asUintN(size, c.va);
        const va =
          c.shape === 1
            ? c.va
            : c.shape % 2 === 0
              ? inside
              : BigInt.asUintN(64, inside | (-1n << BigInt(size))) ^ (c.shape === 5 ? 0x5an << 56n : 0n);
        const el: 0 | 1 | 2 = c.regime === 2 ? 2 : c.user ? 0 : 1;
        const get = descriptors(c.seed);
        const expected = translate(r, c.regime, el, va, c.access, c.paSize, true, get);
        const found = walk(r, c.regime, el, va, c.access, c.paSize, new Reader(get));
        const key = expected.fault === null ? "none" : `${expected.stage2 ? "S2 " : ""}${expected.fault}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        if (expected.fault === null) expect(found).toEqual(expected);
        else {
          expect([found.fault, found.stage2, found.onWalk]).toEqual([expected.fault, expected.stage2, expected.onWalk]);
          if (expected.stage2) expect(found.ipa).toBe(expected.ipa);
        }
      }),
      { numRuns: 6000, seed: 20 },
    );
    // the generator reaches success and all kinds of fault of both stages
    const kinds = [...seen.keys()];
    for (const low of [0x00, 0x04, 0x08, 0x0c]) {
      expect(kinds.some((k) => !k.startsWith("S2") && k !== "none" && (Number(k) & ~3) === low)).toBe(true);
      expect(kinds.some((k) => k.startsWith("S2") && (Number(k.slice(3)) & ~3) === low)).toBe(true);
    }
    expect(seen.get("none")).toBeGreaterThan(300);
  });
});

// 4 KiB granule, 39-bit addresses (T0SZ 25): the walk starts at level 1
const BASE: Registers = {
  sctlr: 1n,
  tcr: 25n | (25n << 16n) | (2n << 30n) | (2n << 32n),
  ttbr0: 0x4000_1000n,
  ttbr1: 0x4000_2000n,
  mair: 0x44ff04n, // 0: Device-nGnRE, 1: Normal write-back, 2: Normal non-cacheable
  hcr: 0n,
  vtcr: 0n,
  vttbr: 0n,
};
const tables = (entries: Record<string, bigint>) => (address: bigint) => entries[`0x${address.toString(16)}`] ?? 0n;
const at = (
  entries: Record<string, bigint>,
  va: bigint,
  options: Partial<Registers & { el: 0 | 1; access: Access }> = {},
) => {
  const { el = 1, access = "read", ...r } = options;
  return walk({ ...BASE, ...r }, 1, el, va, access, 44, new Reader(tables(entries)));
};

describe("D8.3: descriptors", () => {
  it("a level 1 block maps 1 GiB, a level 2 block 2 MiB, a level 3 page 4 KiB", () => {
    expect(at({ "0x40001000": 0x8000_0701n }, 0x1234_5678n).pa).toBe(0x9234_5678n);
    const two = { "0x40001000": 0x4000_3003n, "0x40003008": 0x8820_0701n };
    expect(at(two, 0x0023_4567n).pa).toBe(0x8823_4567n);
    const three = { "0x40001000": 0x4000_3003n, "0x40003000": 0x4000_4003n, "0x40004010": 0x9999_9707n };
    expect(at(three, 0x2abcn).pa).toBe(0x9999_9abcn);
  });
  it("bit 0 clear is a translation fault of the level at which it is found", () => {
    expect(at({}, 0n).fault).toBe(0x05);
    expect(at({ "0x40001000": 0x4000_3003n }, 0n).fault).toBe(0x06);
    expect(at({ "0x40001000": 0x4000_3003n, "0x40003000": 0x4000_4003n }, 0n).fault).toBe(0x07);
  });
  it("a block descriptor at level 3 is a translation fault", () => {
    const t = { "0x40001000": 0x4000_3003n, "0x40003000": 0x4000_4003n, "0x40004000": 0x9999_9701n };
    expect(at(t, 0n).fault).toBe(0x07);
  });
  it("AF clear is an access flag fault", () => {
    expect(at({ "0x40001000": 0x8000_0301n }, 0n).fault).toBe(0x09);
  });
  it("an output beyond the configured size is an address size fault: level 0 for the base, else of the descriptor's level", () => {
    expect(at({}, 0n, { ttbr0: 0x0100_4000_1000n }).fault).toBe(0x00);
    expect(at({ "0x40001000": 0x0100_4000_3003n }, 0n).fault).toBe(0x01);
    expect(at({ "0x40001000": 0x4000_3003n, "0x40003000": 0x0100_0000_0701n }, 0n).fault).toBe(0x02);
  });
  it("TTBR0 and TTBR1 are chosen by bit 55; between the ranges lies a level 0 translation fault", () => {
    const t = { "0x40001000": 0x8000_0701n, "0x40002000": 0xc000_0701n };
    expect(at(t, 0x10n).pa).toBe(0x8000_0010n);
    expect(at(t, 0xffff_ff80_0000_0010n).pa).toBe(0xc000_0010n);
    expect(at(t, 0x0000_0080_0000_0000n).fault).toBe(0x04);
    expect(at(t, 0xffff_ff00_0000_0000n).fault).toBe(0x04);
    expect(at(t, 0x0100_0000_0000_0000n).fault).toBe(0x04);
  });
  it("TBI0 and TBI1 leave bits 63 to 56 out of the comparison", () => {
    const t = { "0x40001000": 0x8000_0701n, "0x40002000": 0xc000_0701n };
    const tcr = BASE.tcr | (3n << 37n);
    expect(at(t, 0xab00_0000_0000_0010n, { tcr }).pa).toBe(0x8000_0010n);
    expect(at(t, 0x01ff_ff80_0000_0010n, { tcr }).pa).toBe(0xc000_0010n);
  });
  it("EPD0 and EPD1 turn walks into level 0 translation faults", () => {
    const t = { "0x40001000": 0x8000_0701n, "0x40002000": 0xc000_0701n };
    expect(at(t, 0n, { tcr: BASE.tcr | (1n << 7n) }).fault).toBe(0x04);
    expect(at(t, 0xffff_ff80_0000_0000n, { tcr: BASE.tcr | (1n << 23n) }).fault).toBe(0x04);
  });
});

describe("D8.4: permissions", () => {
  const block = (bits: bigint) => ({ "0x40001000": 0x8000_0701n | bits });
  const rights = (bits: bigint, el: 0 | 1, r: Partial<Registers> = {}) =>
    (["read", "write", "fetch"] as const)
      .map((access) => (at(block(bits), 0n, { el, access, ...r }).fault === null ? "y" : "n"))
      .join("");
  const AP = (n: bigint) => n << 6n;
  const PXN = 1n << 53n;
  const UXN = 1n << 54n;
  it("AP[2:1], UXN, PXN: EL1 and EL0 rights to read, write, execute", () => {
    expect([rights(AP(0n), 1), rights(AP(0n), 0)]).toEqual(["yyy", "nny"]);
    expect([rights(AP(1n), 1), rights(AP(1n), 0)]).toEqual(["yyn", "yyy"]); // writable at EL0: never executed at EL1
    expect([rights(AP(2n), 1), rights(AP(2n), 0)]).toEqual(["yny", "nny"]);
    expect([rights(AP(3n), 1), rights(AP(3n), 0)]).toEqual(["yny", "yny"]);
    expect([rights(AP(3n) | PXN, 1), rights(AP(3n) | PXN, 0)]).toEqual(["ynn", "yny"]);
    expect([rights(AP(3n) | UXN, 1), rights(AP(3n) | UXN, 0)]).toEqual(["yny", "ynn"]);
  });
  it("a permission fault has the level of the descriptor", () => {
    expect(at(block(AP(2n)), 0n, { access: "write" }).fault).toBe(0x0d);
  });
  it("WXN makes what is writable not executable", () => {
    const sctlr = 1n | (1n << 19n);
    expect([rights(AP(0n), 1, { sctlr }), rights(AP(1n), 0, { sctlr })]).toEqual(["yyn", "yyn"]);
    expect(rights(AP(2n), 1, { sctlr })).toBe("yny");
  });
  it("APTable, UXNTable, PXNTable take rights away from all below", () => {
    const below = (table: bigint, el: 0 | 1) =>
      (["read", "write", "fetch"] as const)
        .map((access) => {
          const t = { "0x40001000": 0x4000_3003n | table, "0x40003000": 0x8000_0701n | AP(1n) };
          return at(t, 0n, { el, access }).fault === null ? "y" : "n";
        })
        .join("");
    expect([below(0n, 1), below(0n, 0)]).toEqual(["yyn", "yyy"]);
    expect([below(1n << 61n, 1), below(1n << 61n, 0)]).toEqual(["yyy", "nny"]); // APTable[0]: no EL0
    expect([below(1n << 62n, 1), below(1n << 62n, 0)]).toEqual(["yny", "yny"]); // APTable[1]: read-only
    expect(below(1n << 60n, 0)).toBe("yyn"); // UXNTable
    expect(below((1n << 62n) | (1n << 59n), 1)).toBe("ynn"); // PXNTable
  });
});

describe("D8.2: granules", () => {
  it("16 KiB: 47-bit addresses start at level 1 with a 2,048 entry table; a page is 16 KiB", () => {
    const tcr = 17n | (2n << 14n) | (5n << 32n);
    const t = { "0x40001000": 0n, "0x40010000": 0x4001_4003n, "0x40014008": 0x4001_8003n, "0x40018010": 0x8000_8703n };
    // indexes 0, 1, 2 of levels 1, 2, 3
    expect(at(t, (1n << 25n) | (2n << 14n) | 0x2345n, { tcr, ttbr0: 0x4001_0000n }).pa).toBe(0x8000_a345n);
  });
  it("64 KiB: 42-bit addresses start at level 2; a block is 512 MiB, a page 64 KiB", () => {
    const tcr = 22n | (1n << 14n) | (5n << 32n);
    const t = {
      "0x40020008": 0x8000_0000_0000n + 0x2000_0701n,
      "0x40020000": 0x4003_0003n,
      "0x40030018": 0x9_0000_0703n,
    };
    expect(at(t, (1n << 29n) | 0x123_4567n, { tcr, ttbr0: 0x4002_0000n }).fault).toBe(0x02); // 48-bit output, 44-bit part
    expect(at(t, (3n << 16n) | 0x4567n, { tcr, ttbr0: 0x4002_0000n }).pa).toBe(0x9_0000_4567n);
  });
});

describe("D8.13: faults of table walks", () => {
  it("an external abort on a descriptor has the level of the read", () => {
    const reader = new Reader(tables({ "0x40001000": 0x4000_3003n }));
    const failing: DescriptorReader = {
      high: 0,
      failed: false,
      read(address: number) {
        this.failed = address === 0x4000_3000;
        const low = reader.read(address);
        this.high = reader.high;
        return low;
      },
    };
    expect(walk(BASE, 1, 1, 0n, "read", 44, failing).fault).toBe(0x16);
  });
});

describe("D8.2.1: MMU off", () => {
  it("the address is the output; data is Device, fetches are Normal; bits beyond the physical size are an address size fault", () => {
    const off = { sctlr: 0n };
    expect(at({}, 0x123_4567n, off)).toMatchObject({ fault: null, pa: 0x123_4567n, device: true });
    expect(at({}, 0x123_4567n, { ...off, access: "fetch" })).toMatchObject({ fault: null, device: false });
    expect(at({}, 1n << 44n, off).fault).toBe(0x00);
    expect(at({}, 1n << 43n, off).fault).toBe(null);
  });
});
