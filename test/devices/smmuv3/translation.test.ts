// Formats, bits and numbers typed from Arm IHI 0070 (3.3 to 3.13, chapters 5, 7, 15) and DDI 0487 D8.
import { describe, expect, it } from "vitest";
import { RESPONSE_OK, RESPONSE_TARGET_ERROR } from "../../../src/bus/index.ts";
import {
  ACCESS,
  Board,
  CR0,
  CR0ACK,
  CR2,
  cd,
  DATA,
  GBPA,
  NOT_GLOBAL,
  PXN,
  RAM,
  READ_ONLY,
  RW,
  S2_NORMAL,
  S2_READ,
  S2_RW,
  S2_WRITE,
  STREAM_TABLE,
  STRTAB_BASE,
  STRTAB_BASE_CFG,
  ste0,
  ste23,
  Tables,
  USER,
  XN,
} from "./board.ts";

describe("before translation is enabled", () => {
  it("3.11, 6.3.14: SMMUEN = 0 and GBPA.ABORT = 0: transactions pass unchanged", () => {
    const b = new Board();
    const port = b.port(5);
    port.write(DATA, 4, 0x1234_5678);
    expect([port.read(DATA, 4), port.response, b.load(DATA)]).toEqual([0x1234_5678, RESPONSE_OK, 0x1234_5678n]);
  });

  it("6.3.14: GBPA.ABORT with UPDATE aborts everything, without an event; a write without UPDATE changes nothing", () => {
    const b = new Board();
    const port = b.port(5);
    expect(port.read(DATA, 4)).toBe(0);
    b.write(GBPA, 1 << 20);
    expect([b.read(GBPA), port.read(DATA, 4), port.response]).toEqual([0x1000, 0, RESPONSE_OK]);
    b.write(GBPA, 0x8010_1000);
    expect(b.read(GBPA)).toBe(0x0010_1000);
    port.write(DATA, 4, 1);
    expect([port.response, b.load(DATA)]).toEqual([RESPONSE_TARGET_ERROR, 0n]);
  });

  it("6.3.9, 6.3.10: enables are acknowledged; reserved bits stay zero", () => {
    const b = new Board();
    b.write(CR0, 0xffff_ffff);
    expect([b.read(CR0), b.read(CR0ACK)]).toEqual([0x1f, 0x1f]);
  });

  it("6.3.23: STRTAB_BASE keeps its value while SMMUEN = 1, and the attempt is recorded", () => {
    const b = new Board().enable();
    b.write(STRTAB_BASE, 0);
    b.write(CR2, 0);
    expect([b.read(STRTAB_BASE), b.read(CR2)]).toEqual([STREAM_TABLE, 2]);
    expect(b.errors.map((e) => [e.kind, e.register])).toEqual([
      ["sequence", "SMMU_STRTAB_BASE"],
      ["sequence", "SMMU_CR2"],
    ]);
  });
});

describe("stream table", () => {
  it("5.2: V = 0 is C_BAD_STE; Config 0b000 aborts without an event; 0b100 passes", () => {
    const b = new Board().enable();
    b.ste(2, ste0(0));
    b.ste(3, ste0(4));
    for (const n of [1, 2, 3]) b.port(n).write(DATA + 8 * n, 4, n);
    expect(b.events().map((e) => [e.type, e.streamId])).toEqual([[0x04, 1]]);
    expect([1, 2, 3].map((n) => b.load(DATA + 8 * n))).toEqual([0n, 0n, 3n]);
  });

  it("7.3.3: a StreamID beyond the table is C_BAD_STREAMID, recorded with CR2.RECINVSID alone", () => {
    const b = new Board().enable();
    b.port(256).read(DATA, 4);
    expect(b.events()).toMatchObject([{ type: 0x02, streamId: 256, substreamId: null }]);
    b.write(CR0, 0xe);
    b.write(CR2, 0);
    b.write(CR0, 0xf);
    b.port(256).read(DATA, 4);
    expect(b.events()).toEqual([]);
  });

  it("3.3.1.2: two levels; Span 0, and streams beyond the span, are C_BAD_STREAMID", () => {
    const b = new Board().enable();
    b.write(CR0, 0xe);
    b.write(STRTAB_BASE_CFG, 16 | (8 << 6) | (1 << 16));
    b.write(CR0, 0xf);
    const leaf = b.allocate(64 * 16);
    b.store(STREAM_TABLE + 8 * 0x12, BigInt(leaf) | 5n); // 2^4 streams of bus 0x12
    b.store(leaf + 64 * 3, ste0(4));
    const port = b.port(0x1203);
    port.write(DATA, 4, 77);
    expect([port.response, b.load(DATA)]).toEqual([RESPONSE_OK, 77n]);
    b.port(0x1210).read(DATA, 4);
    b.port(0x1300).read(DATA, 4);
    b.port(0x1204).read(DATA, 4);
    expect(b.events().map((e) => [e.type, e.streamId])).toEqual([
      [0x02, 0x1210],
      [0x02, 0x1300],
      [0x04, 0x1204],
    ]);
  });

  it("7.3.4: an entry that cannot be read is F_STE_FETCH with its address", () => {
    const b = new Board().enable();
    b.write(CR0, 0xe);
    b.write64(STRTAB_BASE, 0x2_0000_0000n);
    b.write(CR0, 0xf);
    b.port(4).read(DATA, 4);
    expect(b.events()).toMatchObject([{ type: 0x03, streamId: 4, ipa: 0x2_0000_0100n }]);
  });

  it.each([
    ["S1STALLD without stalls", 1, 1n << 27n],
    ["STRW 0b01", 1, 1n << 30n],
    ["STRW 0b11", 1, 3n << 30n],
    ["EATS 0b11", 1, 3n << 28n],
    ["split-stage ATS without stage 2", 1, 2n << 28n],
  ])("5.2: %s is ILLEGAL", (_what, word, bits) => {
    const b = new Board().enable();
    const words = [ste0(5, b.allocate(64)), 0n, 0n, 0n];
    words[word] = bits;
    b.ste(1, ...words);
    b.port(1).read(DATA, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x04]);
  });

  it.each([
    ["S2AA64 = 0", (w: bigint) => w & ~(1n << 51n)],
    ["S2ENDI", (w: bigint) => w | (1n << 52n)],
    ["S2HD", (w: bigint) => w | (1n << 55n)],
    ["S2HA", (w: bigint) => w | (1n << 56n)],
    ["S2S", (w: bigint) => w | (1n << 57n)],
    ["S2TG 0b11", (w: bigint) => w | (3n << 46n)],
    ["S2T0SZ of 45 bits, more than OAS", (w: bigint) => (w & ~(63n << 32n)) | (19n << 32n)],
    ["S2T0SZ of 24 bits", (w: bigint) => (w & ~(63n << 32n)) | (40n << 32n)],
    ["S2SL0 0b11", (w: bigint) => w | (3n << 38n)],
    ["S2SL0 of level 0 for 28 bits", (w: bigint) => (w & ~(255n << 32n)) | (36n << 32n) | (2n << 38n)],
  ])("5.2: %s is ILLEGAL", (_what, change) => {
    const b = new Board().enable();
    const [two, three] = ste23({ base: b.allocate(4096) });
    b.ste(1, ste0(6), 0n, two, three);
    const good = b.port(1);
    good.read(DATA, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x10]); // the unchanged one is legal
    b.ste(1, ste0(6), 0n, change(two), three);
    b.invalidateAll();
    good.read(DATA, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x04]);
  });
});

describe("stage 1", () => {
  it.each([
    ["4 KiB", 12, 39, 1, 0],
    ["4 KiB, 48 bits", 12, 48, 0, 0],
    ["16 KiB", 14, 36, 2, 2],
    ["16 KiB, 47 bits", 14, 47, 1, 2],
    ["64 KiB", 16, 42, 2, 1],
    ["64 KiB, 29 bits", 16, 29, 3, 1],
  ])("granule %s: pages translate, others fault with F_TRANSLATION", (_name, granule, bits, start, tg0) => {
    const b = new Board().enable();
    const tables = new Tables(b, granule, start);
    const page = 2 ** granule;
    const input = 0x123_0000n & ((1n << BigInt(bits)) - 1n);
    tables.map(input, DATA + 4 * page, RW);
    b.stageOne(1, cd({ t0: tables.base, bits, tg0 }));
    const port = b.port(1);
    const at = Number(input) + page - 8;
    port.write(at, 4, 0xabcd);
    expect([port.response, b.load(DATA + 5 * page - 8), port.read(at, 4)]).toEqual([RESPONSE_OK, 0xabcdn, 0xabcd]);
    port.read(Number(input) + page, 4);
    expect(port.response).toBe(RESPONSE_TARGET_ERROR);
    expect(b.events()).toEqual([
      {
        type: 0x10,
        streamId: 1,
        substreamId: null,
        pnu: false,
        ind: false,
        rnw: true,
        s2: false,
        class: 2,
        address: input + BigInt(page),
        ipa: 0n,
      },
    ]);
    expect(b.staleReports()).toEqual([]);
  });

  it.each([
    ["1 GiB, 4 KiB granule", 12, 39, 1, 1, 0, 30],
    ["2 MiB, 4 KiB granule", 12, 39, 1, 2, 0, 21],
    ["32 MiB, 16 KiB granule", 14, 36, 2, 2, 2, 25],
  ])("blocks of %s", (_name, granule, bits, start, level, tg0, size) => {
    const b = new Board().enable();
    const tables = new Tables(b, granule, start);
    tables.map(3n << BigInt(size), BigInt(DATA) & ~((1n << BigInt(size)) - 1n), RW, level);
    b.stageOne(1, cd({ t0: tables.base, bits, tg0 }));
    const port = b.port(1);
    const offset = (DATA + 0x5008) % 2 ** size;
    port.write(3 * 2 ** size + offset, 4, 99);
    expect([port.response, b.load(DATA + 0x5008)]).toEqual([RESPONSE_OK, 99n]);
  });

  it("5.4: the upper half has tables of its own (TTB1, T1SZ, TG1)", () => {
    const b = new Board().enable();
    const lower = new Tables(b, 12, 1);
    const upper = new Tables(b, 16, 2);
    lower.map(0x1000n, DATA, RW);
    upper.map(0x1_0000n, DATA + 0x1_0000, RW);
    b.stageOne(1, cd({ t0: lower.base, t1: upper.base, tg1: 3, bits1: 42 }));
    const port = b.port(1);
    port.write(0x1000, 4, 1);
    // 0xffff_fc00_0001_0004, as a signed number
    port.write(-(2 ** 42) + 0x1_0004, 4, 2);
    expect([b.load(DATA), b.load(DATA + 0x1_0000)]).toEqual([1n, 2n << 32n]);
    port.read(-(2 ** 43), 4);
    port.read(2 ** 39, 4);
    expect(b.events().map((e) => [e.type, e.address])).toEqual([
      [0x10, 0xffff_f800_0000_0000n],
      [0x10, 1n << 39n],
    ]);
  });

  it("5.4: EPD0 disables the lower half's walks", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, RW);
    b.stageOne(1, cd({ t0: tables.base, set: 1n << 14n }));
    b.port(1).read(0x1000, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x10]);
  });

  it("5.4: TBI0 ignores the top byte", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, RW);
    b.stageOne(1, cd({ t0: tables.base, set: 1n << 38n }));
    const port = b.port(1);
    port.write(0x1000, 4, 5);
    port.write(-(2 ** 56) + 0x1000, 4, 7); // 0xff00_0000_0000_1000
    expect([port.response, b.load(DATA)]).toEqual([RESPONSE_OK, 7n]);
  });

  it.each([
    ["V = 0", 1n << 31n, 0n],
    ["AA64 = 0", 1n << 41n, 0n],
    ["S: stalls are not supported", 0n, 1n << 44n],
    ["HA", 0n, 1n << 43n],
    ["HD", 0n, 1n << 42n],
    ["ENDI", 0n, 1n << 15n],
    ["T0SZ 40", 63n, 40n],
    ["T0SZ 15", 63n, 15n],
    ["TG0 0b11", 0n, 3n << 6n],
  ])("5.4: %s is ILLEGAL: C_BAD_CD", (_what, clear, set) => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, RW);
    const words = cd({ t0: tables.base });
    words[0] = ((words[0] as bigint) & ~clear) | set;
    b.stageOne(1, words);
    b.port(1).read(0x1000, 4);
    expect(b.events()).toMatchObject([{ type: 0x0a, streamId: 1 }]);
  });

  it("5.4: a table base above IPS is C_BAD_CD", () => {
    const b = new Board().enable();
    b.stageOne(1, cd({ t0: 0x10_0000_0000, ips: 1 }));
    b.port(1).read(0, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x0a]);
  });

  it("7.3.14: an output beyond IPS is F_ADDR_SIZE; a clear access flag is F_ACCESS, unless AFFD", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, 0x1_0000_0000, RW);
    tables.map(0x2000n, DATA, USER);
    const at = b.stageOne(1, cd({ t0: tables.base, ips: 0 }));
    const port = b.port(1);
    port.read(0x1000, 4);
    port.read(0x2000, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x11, 0x12]);
    b.store(at, ...cd({ t0: tables.base, set: 1n << 35n }));
    b.invalidateAll();
    port.write(0x2000, 4, 8);
    expect([port.response, b.load(DATA)]).toEqual([RESPONSE_OK, 8n]);
  });

  it("7.3.12: a descriptor that cannot be read is F_WALK_EABT with its address, CLASS TT", () => {
    const b = new Board().enable();
    b.stageOne(1, cd({ t0: 0x3_0000_0000 }));
    b.port(1).write(0x4000_0000, 4, 0);
    expect(b.events()).toMatchObject([
      { type: 0x0b, rnw: false, class: 1, ipa: 0x3_0000_0008n, address: 0x4000_0000n },
    ]);
  });

  it("7.3.10: a context descriptor that cannot be read is F_CD_FETCH with its address", () => {
    const b = new Board().enable();
    b.ste(1, ste0(5, 0x9000_0000));
    b.port(1).read(0, 4);
    expect(b.events()).toMatchObject([{ type: 0x09, ipa: 0x9000_0000n }]);
  });
});

describe("rights", () => {
  const rights = (attributes: bigint, change: Parameters<typeof cd>[0] = {}) => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, attributes | ACCESS);
    b.stageOne(1, cd({ t0: tables.base, ...change }));
    const out: string[] = [];
    for (const privileged of [false, true]) {
      const port = b.sideband(1, -1, privileged);
      port.read(0x1000, 4);
      const read = port.response === RESPONSE_OK ? "r" : "-";
      port.write(0x1000, 4, 0);
      const write = port.response === RESPONSE_OK ? "w" : "-";
      port.transaction.instruction = true;
      port.read(0x1000, 4);
      out.push(`${read}${write}${port.response === RESPONSE_OK ? "x" : "-"}`);
    }
    const events = b.events();
    expect(events.every((e) => e.type === 0x13 && e.class === 2 && !e.s2)).toBe(true);
    const refused = out.join("").split("-").length - 1;
    expect(events.length).toBe(refused);
    return out;
  };

  it.each([
    ["AP 00: privileged read/write", 0n, {}, ["--x", "rwx"]],
    ["AP 01: all read/write; not executed by privileged ones", USER, {}, ["rwx", "rw-"]],
    ["AP 10: privileged read", READ_ONLY, {}, ["--x", "r-x"]],
    ["AP 11: all read", READ_ONLY | USER, {}, ["r-x", "r-x"]],
    ["UXN", USER | READ_ONLY | XN, {}, ["r--", "r-x"]],
    ["PXN", USER | READ_ONLY | PXN, {}, ["r-x", "r--"]],
    ["CD.WXN: what is writable is not executed", 0n, { set: 1n << 36n }, ["--x", "rw-"]],
    ["CD.PAN: privileged ones do not touch unprivileged data", USER | READ_ONLY, { set: 1n << 40n }, ["r-x", "--x"]],
  ])("DDI 0487 D8.4: %s", (_what, attributes, change, expected) => {
    expect(rights(attributes, change)).toEqual(expected);
  });

  it("5.4: table descriptors take rights away, unless HAD0 = 1", () => {
    const run = (had: bigint) => {
      const b = new Board().enable();
      const tables = new Tables(b, 12, 1);
      tables.map(0x1000n, DATA, RW);
      const top = tables.place(0x1000n, 1);
      b.store(top, b.load(top) | (1n << 62n)); // APTable[1]: read-only below
      b.stageOne(1, cd({ t0: tables.base, set1: had }));
      b.port(1).write(0x1000, 4, 3);
      return [b.events().map((e) => e.type), b.load(DATA)];
    };
    expect(run(0n)).toEqual([[0x13], 0n]);
    expect(run(2n)).toEqual([[], 3n]);
  });

  it("5.2: PRIVCFG and INSTCFG override what the transaction says", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, ACCESS); // privileged alone
    const at = b.stageOne(1, cd({ t0: tables.base }));
    const port = b.sideband(1, -1, false);
    const run = (word: bigint) => {
      b.ste(1, ste0(5, at), word);
      b.invalidateAll();
      port.read(0x1000, 4);
      return b.events().map((e) => [e.pnu, e.ind, e.type]);
    };
    expect(run(0n)).toEqual([[false, false, 0x13]]);
    expect(run(3n << 48n)).toEqual([]);
    port.transaction.exceptionLevel = 1;
    expect(run(2n << 48n)).toEqual([[false, false, 0x13]]);
    b.store(tables.place(0x1000n), BigInt(DATA) | ACCESS | PXN | 3n);
    port.transaction.instruction = true;
    expect(run(0n)).toEqual([[true, true, 0x13]]);
    expect(run(2n << 50n)).toEqual([]);
  });

  it("5.4: CD.R = 0 records nothing; CD.A = 0 ends transactions as RAZ/WI", () => {
    const b = new Board().enable();
    const at = b.stageOne(1, cd({ clear: 1n << 45n }));
    const port = b.port(1);
    port.read(0x1000, 4);
    expect([port.response, b.events()]).toEqual([RESPONSE_TARGET_ERROR, []]);
    b.store(at, ...cd({ clear: 1n << 46n }));
    b.invalidateAll();
    port.read(0x1000, 4);
    expect([port.response, b.events().length]).toEqual([RESPONSE_OK, 1]);
  });
});

describe("substreams", () => {
  /** Four context descriptors; substream n maps page 0x1000 to data page n. */
  const board = (format: number, dss: bigint, contextBits = 2) => {
    const b = new Board().enable();
    const linear = format === 0;
    const table = b.allocate(linear ? 64 * 4 : 8 * 2, 0x1000);
    const leaf = linear ? table : b.allocate(format === 1 ? 0x1000 : 0x1_0000);
    if (!linear) b.store(table, BigInt(leaf) | 1n);
    for (let n = 0; n < 4; n++) {
      const tables = new Tables(b, 12, 1);
      tables.map(0x1000n, DATA + 0x1000 * n, RW);
      b.store(leaf + 64 * n, ...cd({ t0: tables.base, asid: 10 + n }));
    }
    b.ste(1, ste0(5, table, format, contextBits), dss);
    b.invalidateAll();
    return b;
  };

  it.each([
    ["linear", 0, 2],
    ["two levels, 4 KiB leaves", 1, 7],
    ["two levels, 64 KiB leaves", 2, 11],
  ])("5.4, 5.3: %s: each substream has its own context", (_name, format, contextBits) => {
    const b = board(format, 0n, contextBits);
    for (const n of [1, 2, 3]) b.sideband(1, n).write(0x1000, 4, n);
    expect([1, 2, 3].map((n) => b.load(DATA + 0x1000 * n))).toEqual([1n, 2n, 3n]);
    b.sideband(1, 2 ** contextBits).read(0x1000, 4);
    expect(b.events()).toMatchObject([{ type: 0x08, substreamId: 2 ** contextBits }]);
    if (format === 0) return;
    b.sideband(1, format === 1 ? 64 : 1024).read(0x1000, 4); // the second leaf is not valid
    expect(b.events().map((e) => e.type)).toEqual([0x08]);
  });

  it("5.2, S1DSS: without a substream: terminated, bypassing stage 1, or substream 0", () => {
    const terminated = board(0, 0n);
    terminated.port(1).read(0x1000, 4);
    expect(terminated.events()).toMatchObject([{ type: 0x06, substreamId: null }]);
    const bypass = board(0, 1n);
    bypass.port(1).write(DATA + 0x3000, 4, 9);
    expect([bypass.events(), bypass.load(DATA + 0x3000)]).toEqual([[], 9n]);
    const zero = board(0, 2n);
    zero.port(1).write(0x1000, 4, 9);
    expect([zero.events(), zero.load(DATA)]).toEqual([[], 9n]);
    zero.sideband(1, 0).read(0x1000, 4);
    expect(zero.events()).toMatchObject([{ type: 0x06, substreamId: 0 }]);
  });

  it("7.3.9: a substream where none is configured is C_BAD_SUBSTREAMID", () => {
    const b = new Board().enable();
    b.stageOne(1, cd({}));
    b.ste(2, ste0(4));
    b.sideband(1, 3).read(0, 4);
    b.sideband(2, 3).read(DATA, 4);
    expect(b.events().map((e) => [e.type, e.streamId, e.substreamId])).toEqual([
      [0x08, 1, 3],
      [0x08, 2, 3],
    ]);
  });
});

describe("stage 2", () => {
  it.each([
    ["4 KiB, from level 1", 12, 39, 1, 0, 1, 4096],
    ["4 KiB, from level 2", 12, 30, 0, 0, 2, 4096],
    ["4 KiB, from level 0", 12, 44, 2, 0, 0, 4096],
    ["16 KiB, 2 concatenated tables", 14, 37, 1, 2, 2, 0x8000],
    ["64 KiB", 16, 42, 1, 1, 2, 0x1_0000],
  ])("%s", (_name, granule, bits, sl0, tg, start, firstBytes) => {
    const b = new Board().enable();
    const tables = new Tables(b, granule, start, firstBytes);
    const page = 2 ** granule;
    tables.map(0x10_0000n, DATA, S2_RW);
    tables.map(0x20_0000n, DATA + page, S2_READ | S2_NORMAL | ACCESS);
    tables.map(0x30_0000n, DATA + 2 * page, S2_WRITE | S2_NORMAL | ACCESS);
    const [two, three] = ste23({ base: tables.base, bits, sl0, tg });
    b.ste(1, ste0(6), 0n, two, three);
    const port = b.port(1);
    port.write(0x10_0010, 4, 7);
    expect([port.response, b.load(DATA + 0x10)]).toEqual([RESPONSE_OK, 7n]);
    port.write(0x20_0000, 4, 7);
    port.read(0x30_0000, 4);
    port.read(0x40_0000, 4);
    port.read(2 ** bits, 4);
    port.write(0x30_0000, 4, 8);
    expect(b.load(DATA + 2 * page)).toBe(8n);
    expect(b.events().map((e) => [e.type, e.s2, e.rnw, e.class, e.ipa])).toEqual([
      [0x13, true, false, 2, 0x20_0000n],
      [0x13, true, true, 2, 0x30_0000n],
      [0x10, true, true, 2, 0x40_0000n],
      [0x10, true, true, 2, 1n << BigInt(bits)],
    ]);
  });

  it.each([
    [0n, [true, true]],
    [1n, [true, false]],
    [2n, [false, false]],
    [3n, [false, true]],
  ])("6.3.4, XNX: XN[1:0] = %i: executed by unprivileged and privileged transactions: %j", (xn, expected) => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, S2_RW | (xn << 53n));
    const [two, three] = ste23({ base: tables.base });
    b.ste(1, ste0(6), 0n, two, three);
    const seen = [false, true].map((privileged) => {
      const port = b.sideband(1, -1, privileged);
      port.transaction.instruction = true;
      port.read(0x1000, 4);
      return port.response === RESPONSE_OK;
    });
    expect(seen).toEqual(expected);
  });

  it("5.2: S2R = 0 records nothing; S2AFFD takes entries with a clear access flag", () => {
    const b = new Board().enable();
    const tables = new Tables(b, 12, 1);
    tables.map(0x1000n, DATA, S2_READ | S2_WRITE | S2_NORMAL);
    const [two, three] = ste23({ base: tables.base });
    b.ste(1, ste0(6), 0n, two & ~(1n << 58n), three);
    const port = b.port(1);
    port.read(0x1000, 4);
    expect([port.response, b.events()]).toEqual([RESPONSE_TARGET_ERROR, []]);
    b.ste(1, ste0(6), 0n, two | (1n << 53n), three);
    b.invalidateAll();
    port.read(0x1000, 4);
    expect(port.response).toBe(RESPONSE_OK);
  });

  it("5.2: a bypassing stream's address beyond OAS is F_ADDR_SIZE", () => {
    const b = new Board().enable();
    b.ste(1, ste0(4));
    b.port(1).read(2 ** 44, 4);
    expect(b.events()).toMatchObject([{ type: 0x11, s2: false, address: 1n << 44n }]);
  });
});

describe("both stages", () => {
  /** Intermediate addresses are physical ones plus 256 MiB. */
  const SHIFT = 0x1000_0000;
  const nested = (attributes = S2_RW) => {
    const b = new Board().enable();
    const two = new Tables(b, 12, 1);
    for (let at = RAM; at < RAM + 0x100_0000; at += 0x20_0000) two.map(BigInt(at + SHIFT), at, attributes, 2);
    // a stage 1 whose tables are at intermediate addresses
    const one = new Tables(b, 12, 1);
    const leaf = one.place(0x5000n);
    for (const at of [2, 1].map((level) => one.place(0x5000n, level))) {
      b.store(at, b.load(at) + BigInt(SHIFT));
    }
    const context = b.allocate(64);
    b.store(context, ...cd({ t0: one.base + SHIFT, asid: 3 }));
    const [w2, w3] = ste23({ base: two.base, vmid: 7 });
    b.ste(1, ste0(7, context + SHIFT), 0n, w2, w3);
    b.invalidateAll();
    return { b, two, leaf, context, w2, w3 };
  };

  it("3.4: context descriptor, tables and output of stage 1 go through stage 2", () => {
    const { b, leaf } = nested();
    b.store(leaf, BigInt(DATA + SHIFT) | RW | 3n);
    const port = b.port(1);
    port.write(0x5678, 4, 0x55);
    expect([port.response, b.load(DATA + 0x678), b.events()]).toEqual([RESPONSE_OK, 0x55n, []]);
  });

  it("7.3: where stage 2 faults tells CLASS: CD, TT or IN, with the intermediate address", () => {
    const { b, two, leaf, context } = nested();
    const port = b.port(1);
    const unmap = (address: number, act: () => void) => {
      const at = two.place(BigInt(address + SHIFT), 2);
      const before = b.load(at);
      b.store(at, 0n);
      act();
      b.store(at, before);
      b.invalidateAll();
    };
    b.store(leaf, BigInt(DATA + SHIFT) | RW | 3n);
    unmap(context, () => port.read(0x5008, 4));
    // the context descriptor is cached now
    port.read(0x5008, 4);
    b.command([0x30n, 0n], [0x46n, 0n]);
    unmap(leaf, () => port.read(0x5008, 4));
    port.read(0x5008, 4);
    b.command([0x30n, 0n], [0x46n, 0n]);
    const later = b.events();
    expect(later.map((e) => [e.type, e.s2, e.class])).toEqual([
      [0x10, true, 0],
      [0x10, true, 1],
    ]);
    expect(later[0]?.ipa).toBe(BigInt(context + SHIFT) & ~0xfffn);
    b.store(two.place(BigInt(DATA + SHIFT), 2), 0n);
    port.write(0x5008, 4, 0);
    expect(b.events()).toMatchObject([{ type: 0x10, s2: true, class: 2, rnw: false, ipa: BigInt(DATA + SHIFT) }]);
  });

  it("5.2, S2PTW: stage 1 tables in Device memory are refused", () => {
    const device = S2_READ | S2_WRITE | ACCESS;
    for (const [extra, expected] of [
      [0n, []],
      [1n << 54n, [[0x13, true, 1]]],
    ] as const) {
      const { b, leaf, context, w2, w3 } = nested(device);
      b.store(leaf, BigInt(DATA + SHIFT) | RW | 3n);
      b.ste(1, ste0(7, context + SHIFT), 0n, w2 | extra, w3);
      b.invalidateAll();
      b.port(1).read(0x5000, 4);
      expect(b.events().map((e) => [e.type, e.s2, e.class])).toEqual(expected);
    }
  });

  it("5.2: both stages with an EL2 context is ILLEGAL", () => {
    const { b, context, w2, w3 } = nested();
    b.ste(1, ste0(7, context + SHIFT), 2n << 30n, w2, w3);
    b.invalidateAll();
    b.port(1).read(0x5000, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x04]);
  });
});

describe("EL2 contexts", () => {
  it("5.2, STRW 0b10: one range, no user rights; with CR2.E2H two ranges", () => {
    const b = new Board();
    const lower = new Tables(b, 12, 1);
    const upper = new Tables(b, 12, 1);
    lower.map(0x1000n, DATA, ACCESS);
    upper.map(0x1000n, DATA + 0x1000, ACCESS | NOT_GLOBAL);
    const context = b.allocate(64);
    b.store(context, ...cd({ t0: lower.base, t1: upper.base }));
    b.ste(1, ste0(5, context), 2n << 30n);
    b.enable();
    const unprivileged = b.sideband(1, -1, false);
    unprivileged.write(0x1000, 4, 1);
    expect([unprivileged.response, b.load(DATA)]).toEqual([RESPONSE_OK, 1n]);
    unprivileged.read(-(2 ** 39) + 0x1000, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x10]);

    b.write(CR0, 0xe);
    b.write(CR2, 3);
    b.write(CR0, 0xf);
    b.invalidateAll();
    const privileged = b.sideband(1, -1, true);
    privileged.write(-(2 ** 39) + 0x1000, 4, 2);
    expect([privileged.response, b.load(DATA + 0x1000)]).toEqual([RESPONSE_OK, 2n]);
    unprivileged.read(0x1000, 4);
    expect(b.events().map((e) => e.type)).toEqual([0x13]);
  });
});

it("7.3: each block transfer that runs from a mapped page into another leaves a record of its own, the same transfer again too", () => {
  const b = new Board().enable();
  const tables = new Tables(b, 12, 1);
  tables.map(0x1000n, DATA, RW);
  b.stageOne(1, cd({ t0: tables.base }));
  const port = b.port(1);
  for (let n = 0; n < 3; n++) expect(port.writeBlock(0x1ff0, new Uint8Array(64))).toBe(false);
  expect(port.readBlock(0x1ffc, new Uint8Array(8))).toBe(false);
  expect(b.events().map((e) => [e.type, e.address, e.rnw])).toEqual([
    [0x10, 0x2000n, false],
    [0x10, 0x2000n, false],
    [0x10, 0x2000n, false],
    [0x10, 0x2000n, true],
  ]);
});
