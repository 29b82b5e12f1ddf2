/** The Armv8.1 atomics as the system sees them: which models have them, faults, watchpoints, several CPUs, code. Results: see isa/fixtures. */
import { describe, expect, it } from "vitest";
import { US } from "../../../../src/sim/index.ts";
import { Machine, PROBE } from "./machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const TABLE = 0x4004_0000;
const DATA = 0x4010_0000;
const VBAR = 0x4002_0000n;
const NOP = 0xd503_201f;
const WFI = 0xd503_207f;
const BACK = 0x17ff_ffff; // b .-4

const LDADD = 0xf822_0023; // ldadd x2, x3, [x1]
const LDADD_W = 0xb822_0023; // ldadd w2, w3, [x1]
const CAS = 0xc8a2_7c23; // cas x2, x3, [x1]
const CASP = 0x4824_7c26; // casp x4, x5, x6, x7, [x1]

const NORMAL = 0x705n; // AF, inner shareable, attribute 1, block
const DEVICE = 0x401n;
const READ_ONLY = 1n << 7n;

/** EL1 with the MMU on: 1 GiB blocks, 0 devices, 1 RAM, 2 the same RAM read-only, 3 not mapped. */
function mapped(word: number, address: bigint, model = "max"): Machine {
  const m = Machine.fresh({ model });
  m.words(CODE, [word, NOP]);
  m.quads(TABLE, [DEVICE, 0x4000_0000n | NORMAL, 0x4000_0000n | NORMAL | READ_ONLY]);
  m.quads(DATA, [0x1111n, 0x2222n, 0x3333n]);
  m.setSys("VBAR_EL1", VBAR);
  m.setSys("MAIR_EL1", 0xff04n);
  m.setSys("TCR_EL1", 25n | (1n << 23n) | (2n << 32n));
  m.setSys("TTBR0_EL1", BigInt(TABLE));
  m.setSys("SCTLR_EL1", 1n);
  m.enter(1, AT, 1, 0);
  m.setX(1, address);
  for (let n = 2; n < 8; n++) m.setX(n, BigInt(n));
  return m;
}
const memory = (m: Machine) => [m.quad(DATA), m.quad(DATA + 8), m.quad(DATA + 16)];
const UNTOUCHED = [0x1111n, 0x2222n, 0x3333n];
const RAM_AT = BigInt(DATA);
const READ_ONLY_AT = BigInt(DATA) + 0x4000_0000n;

describe("FEAT_LSE by model", () => {
  const atomic = (model: string) => (Machine.fresh({ model }).sys("ID_AA64ISAR0_EL1") >> 20n) & 15n;
  it("D17.2.61: ID_AA64ISAR0_EL1.Atomic is 2 on max, 0 on the Armv8.0 cores", () => {
    expect([atomic("max"), atomic("cortex-a57"), atomic("cortex-a53")]).toEqual([2n, 0n, 0n]);
  });
  it("D17.2.61: ID_AA64ISAR0_EL1.RDM likewise", () => {
    const rdm = (model: string) => (Machine.fresh({ model }).sys("ID_AA64ISAR0_EL1") >> 28n) & 15n;
    expect([rdm("max"), rdm("cortex-a57"), rdm("cortex-a53")]).toEqual([1n, 0n, 0n]);
  });
  it.each([
    ["LDADD", LDADD],
    ["CAS", CAS],
    ["CASP", CASP],
    ["SWP", 0xf822_8023],
  ])("%s is UNDEFINED on the Armv8.0 cores, executed on max", (_name, word) => {
    const esr = (model: string) => {
      const m = mapped(word, RAM_AT, model);
      m.step();
      return m.sys("ESR_EL1");
    };
    expect([esr("cortex-a53"), esr("cortex-a57"), esr("max")]).toEqual([0x0200_0000n, 0x0200_0000n, 0n]);
  });
});

describe("D17.2.37: data aborts of atomics", () => {
  // EC 0x25 from the same level, IL; WnR is bit 6: 0 where a read would fault as well
  it.each([
    ["read-only memory: permission fault of the store", LDADD, READ_ONLY_AT, 0x9600_004dn],
    ["CAS that does not compare equal needs write permission too", CAS, READ_ONLY_AT, 0x9600_004dn],
    ["CASP that does not compare equal needs write permission too", CASP, READ_ONLY_AT, 0x9600_004dn],
    ["no translation: WnR 0", LDADD, 0xc000_0000n, 0x9600_0005n],
    ["CASP without translation: WnR 0", CASP, 0xc000_0000n, 0x9600_0005n],
    ["LDADD X, unaligned, SCTLR_EL1.A 0", LDADD, RAM_AT + 4n, 0x9600_0021n],
    ["LDADD W, unaligned", LDADD_W, RAM_AT + 2n, 0x9600_0021n],
    ["CAS, unaligned", CAS, RAM_AT + 1n, 0x9600_0021n],
    ["CASP X on a multiple of 8 that is none of 16", CASP, RAM_AT + 8n, 0x9600_0021n],
    ["across pages: alignment", LDADD, RAM_AT + 0xffcn, 0x9600_0021n],
    ["device: unsupported atomic access", LDADD, BigInt(PROBE), 0x9600_0035n],
    ["device, CASP", CASP, BigInt(PROBE), 0x9600_0035n],
  ])("%s", (_what, word, address, esr) => {
    const m = mapped(word, address);
    m.step();
    expect([m.sys("ESR_EL1"), m.sys("FAR_EL1"), m.sys("ELR_EL1")]).toEqual([esr, address, AT]);
    expect([2, 3, 4, 5].map((n) => m.x(n))).toEqual([2n, 3n, 4n, 5n]);
    expect(memory(m)).toEqual(UNTOUCHED);
    expect(m.probe.log).toEqual([]);
  });
  it("the other word of an aligned doubleword stays as it is", () => {
    const m = mapped(LDADD_W, RAM_AT + 4n);
    m.step();
    expect([m.x(3), m.quad(DATA), m.sys("ESR_EL1")]).toEqual([0n, 0x2_0000_1111n, 0n]);
  });
});

describe("D2.10: watchpoints see both halves of an atomic", () => {
  const watched = (word: number, control: number) => {
    const m = mapped(word, RAM_AT);
    m.setSys("OSLAR_EL1", 0n);
    m.setSys("DBGWVR0_EL1", RAM_AT);
    m.setSys("DBGWCR0_EL1", BigInt(1 | (1 << 1) | (control << 3) | (0xff << 5)));
    m.setSys("MDSCR_EL1", (1n << 15n) | (1n << 13n));
    m.enter(1, AT, 1, 0);
    m.step();
    return [m.sys("ESR_EL1"), ...memory(m)];
  };
  it.each([
    ["loads", 1, 0xd600_0022n],
    ["stores", 2, 0xd600_0062n],
  ])("%s", (_what, control, esr) => {
    for (const word of [LDADD, CAS, CASP]) expect(watched(word, control)).toEqual([esr, ...UNTOUCHED]);
  });
});

describe("B2.2: atomicity", () => {
  it("sums of several CPUs lose nothing, by LDADDAL and by exclusives on the same word", () => {
    const m = Machine.fresh({ model: "max", cpus: 4, quantum: 1237 });
    const adds = [0xf8e2_0023, 0xf100_0484, 0x54ff_ffc1, WFI, BACK]; // ldaddal; subs x4, x4, #1; b.ne .-8
    const exclusives = [0xc85f_7c25, 0x8b02_00a5, 0xc806_7c25, 0x35ff_ffa6, 0xf100_0484, 0x54ff_ff61, WFI, BACK];
    m.cluster.cpus.forEach((cpu, i) => {
      const at = CODE + 0x1000 * i;
      m.words(at, i % 2 === 0 ? adds : exclusives);
      m.enter(1, BigInt(at), 1, 15, cpu);
      if (i > 0) cpu.start(at, 0);
      m.setX(1, BigInt(DATA), cpu);
      m.setX(2, 1n, cpu);
      m.setX(4, 3000n, cpu);
    });
    m.setSys("SCTLR_EL1", 0n);
    m.run(1000 * US);
    expect(m.quad(DATA)).toBe(12_000n);
  });
  it("an atomic on code changes what is executed", () => {
    const m = Machine.fresh({ model: "max" });
    // movz w0, #1; stadd w2, [x1] (on the movz); subs x4, x4, #1; b.ne .-12
    m.words(CODE, [0x5280_0020, 0xb822_003f, 0xf100_0484, 0x54ff_ffa1, WFI, BACK]);
    m.enter(1, AT);
    m.setX(1, AT);
    m.setX(2, 0x20n);
    m.setX(4, 5n);
    m.run(10 * US);
    expect(m.x(0)).toBe(5n);
  });
});
