import { describe, expect, it } from "vitest";
import { US } from "../../../../src/sim/index.ts";
import { Machine, mrs, msr, PROBE } from "./machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;
const TABLE = 0x4004_0000;
const DATA = 0x4010_0000n;

const NORMAL = 0x705n; // AF, inner shareable, attribute 1, block
const DEVICE = 0x401n;
const USER = 1n << 6n;
const READ_ONLY = 1n << 7n;

/** EL1 with the MMU on: 39-bit addresses from TABLE, level 1 blocks of 1 GiB given by index. */
function mapped(words: readonly number[], blocks: Record<number, bigint>, options: { el?: 0 | 1; el2?: boolean } = {}) {
  const m = Machine.fresh({ el2: options.el2 ?? false });
  m.words(CODE, words);
  for (const [index, d] of Object.entries(blocks)) m.quads(TABLE + 8 * Number(index), [d]);
  m.setSys("VBAR_EL1", VBAR1);
  m.setSys("MAIR_EL1", 0xff04n);
  m.setSys("TCR_EL1", 25n | (1n << 23n) | (2n << 32n)); // T0SZ 25, EPD1, 40-bit output
  m.setSys("TTBR0_EL1", BigInt(TABLE));
  m.setSys("SCTLR_EL1", 1n);
  m.enter(options.el ?? 1, AT, 1, 0);
  return m;
}
const FLAT = { 0: DEVICE, 1: 0x4000_0000n | NORMAL, 2: 0x4000_0000n | NORMAL };

describe("B2: loads and stores through translation", () => {
  it("reads and writes RAM at the mapped address, unaligned and across a page as well", () => {
    const m = mapped([0xf900_0020, 0xf940_0022], FLAT); // str x0, [x1]; ldr x2, [x1]
    m.setX(0, 0x1122_3344_5566_7788n);
    m.setX(1, 0x8010_0ffdn); // virtual 2 GiB maps to 1 GiB
    m.step(2);
    expect(m.x(2)).toBe(0x1122_3344_5566_7788n);
    expect(m.quad(Number(DATA) + 0xff8) >> 40n).toBe(0x66_7788n);
    expect(m.quad(Number(DATA) + 0x1000) & 0xff_ffff_ffffn).toBe(0x11_2233_4455n);
  });
  it("a crossing whose second page is not mapped changes nothing; FAR is the first byte of that page", () => {
    const m = mapped([0xf900_0020], { 1: 0x4000_0000n | NORMAL });
    m.setX(0, 2n ** 64n - 1n);
    m.setX(1, 0x7fff_fffcn);
    m.words(0x4000_0000, [0]);
    m.step();
    expect([m.sys("ESR_EL1"), m.sys("FAR_EL1")]).toEqual([0x9600_0045n, 0x8000_0000n]);
  });
  it("Device memory: unaligned accesses are alignment faults before permission faults", () => {
    const m = mapped([0xb900_0020], { ...FLAT, 0: DEVICE | READ_ONLY }); // str w0, [x1]
    m.setX(1, BigInt(PROBE) + 2n);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x9600_0061n);
    const aligned = mapped([0xb900_0020], { ...FLAT, 0: DEVICE | READ_ONLY });
    aligned.setX(1, BigInt(PROBE));
    aligned.step();
    expect(aligned.sys("ESR_EL1")).toBe(0x9600_004dn);
  });
  it("SCTLR_EL1.A makes unaligned accesses to Normal memory alignment faults", () => {
    const m = mapped([0xf940_0020], FLAT); // ldr x0, [x1]
    m.setSys("SCTLR_EL1", 3n);
    m.setX(1, DATA + 4n);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x9600_0021n);
  });
  it("a pair is aligned by its elements, an exclusive by its size, also where alignment is not checked", () => {
    const pair = mapped([0xa940_1023], FLAT); // ldp x3, x4, [x1]
    pair.setSys("SCTLR_EL1", 3n);
    pair.setX(1, DATA + 8n);
    pair.step();
    expect(pair.pc()).toBe(AT + 4n);
    const exclusive = mapped([0xc85f_7c20], FLAT); // ldxr x0, [x1]
    exclusive.setX(1, DATA + 4n);
    exclusive.step();
    expect(exclusive.sys("ESR_EL1")).toBe(0x9600_0021n);
  });
  it("a list of structures is aligned by its elements, and each is an access to a device (C7.2.177)", () => {
    // ld1 {v0.8h}, [x1]; st2 {v2.4s, v3.4s}, [x1]
    const run = (word: number, at: bigint) => {
      const m = mapped([word], FLAT);
      m.setSys("SCTLR_EL1", 3n);
      m.setSys("CPACR_EL1", 3n << 20n);
      m.setX(1, at);
      m.step();
      return [m.sys("ESR_EL1"), m.probe.log.map(({ write, offset, size }) => [write, offset, size])];
    };
    expect(run(0x4c40_7420, DATA + 2n)).toEqual([0n, []]);
    expect(run(0x4c40_7420, DATA + 1n)).toEqual([0x9600_0021n, []]);
    const halves = Array.from({ length: 8 }, (_, i) => [false, 2 + 2 * i, 2]);
    expect(run(0x4c40_7420, BigInt(PROBE) + 2n)).toEqual([0n, halves]);
    const words = Array.from({ length: 8 }, (_, i) => [true, 4 + 4 * i, 4]);
    expect(run(0x4c00_8822, BigInt(PROBE) + 4n)).toEqual([0n, words]);
    expect(run(0x4c00_8822, BigInt(PROBE) + 2n)).toEqual([0x9600_0061n, []]);
  });
  it("LDTR and STTR at EL1 have the rights of EL0", () => {
    const run = (descriptor: bigint, word: number) => {
      const m = mapped([0xf940_0020, word], { ...FLAT, 2: descriptor }); // ldr first: the EL1 entry is there
      m.setX(1, 0x8010_0000n);
      m.step(2);
      return m.sys("ESR_EL1");
    };
    const LDTR = 0xf840_0820;
    const STTR = 0xf800_0820;
    expect(run(0x4000_0000n | NORMAL, LDTR)).toBe(0x9600_000dn);
    expect(run(0x4000_0000n | NORMAL | USER, LDTR)).toBe(0n);
    expect(run(0x4000_0000n | NORMAL | USER | READ_ONLY, STTR)).toBe(0x9600_004dn);
    expect(run(0x4000_0000n | NORMAL | USER, STTR)).toBe(0n);
  });
  it("an entry filled by a read does not let a write to a read-only page through", () => {
    const m = mapped([0xf940_0020, 0xf900_0020], { ...FLAT, 2: 0x4000_0000n | NORMAL | READ_ONLY });
    m.setX(1, 0x8010_0000n);
    m.step(2);
    expect(m.sys("ESR_EL1")).toBe(0x9600_004dn);
  });
  it("DC ZVA zeroes the 64 bytes around the address; to Device memory it is an alignment fault", () => {
    const m = mapped([0xd50b_7421], FLAT); // dc zva, x1
    m.quads(
      Number(DATA),
      Array.from({ length: 24 }, () => 2n ** 64n - 1n),
    );
    m.setX(1, DATA + 0x7bn);
    m.step();
    const words = Array.from({ length: 24 }, (_, i) => m.quad(Number(DATA) + 8 * i) === 0n);
    expect(words.indexOf(true)).toBe(8);
    expect(words.filter(Boolean).length).toBe(8);
    const device = mapped([0xd50b_7421], FLAT);
    device.setX(1, BigInt(PROBE));
    device.step();
    expect(device.sys("ESR_EL1")).toBe(0x9600_0061n);
  });
  it("cache maintenance by address reports translation faults with CM and WnR", () => {
    const m = mapped([0xd50b_7e21], FLAT); // dc civac, x1
    m.setX(1, 0x1_0000_0000n);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x9600_0145n);
  });
});

describe("devices", () => {
  it("get the access as it is: size, value, order of a pair, time of the instruction, CPU and level", () => {
    const m = mapped(
      [
        0xb940_0020, // ldr w0, [x1]
        0xb900_0420, // str w0, [x1, #4]
        0xa941_0c22, // ldp x2, x3, [x1, #16]
        0x2904_1424, // stp w4, w5, [x1, #32]
        0xf940_1426, // ldr x6, [x1, #40]
      ],
      FLAT,
    );
    m.setX(1, BigInt(PROBE));
    m.setX(4, 0x44n);
    m.setX(5, 0x55n);
    m.probe.values = [0x8765_4321, 2, 3, 0x1111_1111];
    m.probe.valueHigh = 0x9999_9999;
    const start = m.simulation.now;
    m.step(5);
    expect(m.probe.log.map((a) => [a.write, a.offset, a.size, a.value, (a.time - start) / 10, a.cpu, a.el])).toEqual([
      [false, 0, 4, 0x8765_4321, 0, 0, 1],
      [true, 4, 4, 0x8765_4321, 1, 0, 1],
      [false, 16, 8, 2, 2, 0, 1],
      [false, 24, 8, 3, 2, 0, 1],
      [true, 32, 4, 0x44, 3, 0, 1],
      [true, 36, 4, 0x55, 3, 0, 1],
      [false, 40, 8, 0x1111_1111, 4, 0, 1],
    ]);
    expect([m.x(2), m.x(3), m.x(6)]).toEqual([0x9999_9999_0000_0002n, 0x9999_9999_0000_0003n, 0x9999_9999_1111_1111n]);
  });
  it("an access that lies behind an event is made after it, at its own time", () => {
    const m = Machine.fresh({});
    // the probe's event is 100 ns after the store; straight-line code then runs beyond it without a block end
    m.words(CODE, [
      0x5280_7d00, // mov w0, #1000
      0xb901_0020, // str w0, [x1, #0x100]
      ...Array.from({ length: 200 }, () => 0xd503_201f), // nop
      0xb940_0022, // ldr w2, [x1]
      0x1400_0000, // b .
    ]);
    m.setX(1, BigInt(PROBE));
    m.enter(1, AT);
    const start = m.simulation.now;
    let loadsBefore = -1;
    m.probe.onEvent = () => {
      loadsBefore = m.probe.log.filter((a) => !a.write).length;
    };
    m.run(10_000);
    expect(loadsBefore).toBe(0);
    expect(m.probe.fired).toEqual([start + 10 + 1000]);
    expect(m.probe.log.map((a) => a.time - start)).toEqual([10, 2020]);
  });
});

describe("D8.14: TLB maintenance", () => {
  const LDR = 0xf940_0020; // ldr x0, [x1]
  const change = (m: Machine, index: number, d: bigint) => m.quads(TABLE + 8 * index, [d]);
  it("a changed descriptor is seen after TLBI, by address and by all, of blocks too", () => {
    for (const tlbi of [
      "S1_0_C8_C7_0",
      "S1_0_C8_C7_1",
      "S1_0_C8_C7_3",
      "S1_0_C8_C7_2",
      "S1_0_C8_C3_1",
      "S1_0_C8_C3_5",
    ]) {
      const m = mapped([LDR, msr(tlbi, 2), LDR], FLAT);
      m.quads(Number(DATA), [1n]);
      m.quads(0x4800_0000, [2n]);
      m.setX(1, 0x8010_0000n);
      m.step();
      expect(m.x(0)).toBe(1n);
      // 0x80100000 now leads to 0x00100000 + 1 GiB block at another place: not present
      change(m, 2, 0n);
      m.setX(2, 0x8020_0000n >> 12n); // another page of the same block
      m.step(2);
      expect(m.sys("ESR_EL1")).toBe(0x9600_0005n);
    }
  });
  it("a new TTBR0_EL1 or ASID takes effect at once; going back finds the old tables", () => {
    const other = 0x4004_2000;
    const m = mapped([LDR, msr("S3_0_C2_C0_0", 3), LDR, msr("S3_0_C2_C0_0", 4), LDR], FLAT);
    m.quads(other + 8, [0x4000_0000n | NORMAL]);
    m.quads(other + 16, [0x4000_0000n | NORMAL]);
    m.quads(Number(DATA), [7n]);
    m.setX(1, 0x8010_0000n);
    m.setX(3, BigInt(other) | (5n << 48n));
    m.setX(4, BigInt(TABLE));
    m.step(3);
    expect(m.x(0)).toBe(7n);
    change(m, 2, 0n); // without maintenance the entry of the first set may stay
    m.step(2);
    expect([7n, m.x(0)]).toContain(m.x(0));
  });
});

describe("C5.4: AT", () => {
  const at = (name: string, va: bigint, options: { el2?: boolean } = {}) => {
    const m = mapped(
      [msr(name, 1), mrs(0, "S3_0_C7_C4_0")],
      { ...FLAT, 3: 0x4000_0000n | NORMAL | READ_ONLY | USER },
      options,
    );
    m.setX(1, va);
    m.step(2);
    return m.x(0);
  };
  it("PAR_EL1 has the address, attributes and shareability, or the fault", () => {
    expect(at("S1_0_C7_C8_0", 0x8010_0abcn)).toBe(0xff00_0000_4010_0b80n); // S1E1R: NS, SH 3, RES1 bit 11
    expect(at("S1_0_C7_C8_0", 0x0a00_0000n)).toBe(0x0400_0000_0a00_0b00n); // Device-nGnRE
    expect(at("S1_0_C7_C8_0", 0x1_0000_0000n)).toBe(0x80bn); // translation fault, level 1
    expect(at("S1_0_C7_C8_1", 0xc000_0000n)).toBe(0x81bn); // S1E1W: permission fault, level 1
    expect(at("S1_0_C7_C8_2", 0x8010_0000n)).toBe(0x81bn); // S1E0R
    expect(at("S1_0_C7_C8_2", 0xc000_0000n) & 1n).toBe(0n);
  });
});

describe("D8.1.3: stage 2", () => {
  const TABLE2 = 0x4005_0000;
  /** Stage 1 flat, stage 2 with 39-bit addresses in 1 GiB blocks from TABLE2. */
  const guest = (words: readonly number[], blocks: Record<number, bigint>) => {
    const m = mapped(words, FLAT, { el2: true });
    m.setSys("VBAR_EL2", VBAR2);
    for (const [index, d] of Object.entries(blocks)) m.quads(TABLE2 + 8 * Number(index), [d]);
    m.setSys("VTCR_EL2", 25n | (1n << 6n) | (2n << 16n)); // T0SZ 25, SL0 1: level 1
    m.setSys("VTTBR_EL2", BigInt(TABLE2));
    m.setSys("HCR_EL2", 1n);
    m.enter(1, AT, 1, 0);
    return m;
  };
  const ALL = 0x4fdn; // AF, S2AP 3, MemAttr 15, block
  it("a load goes through both stages", () => {
    const m = guest([0xf940_0020], { 0: ALL, 1: 0x4000_0000n | ALL });
    m.quads(Number(DATA), [42n]);
    m.setX(1, 0x8010_0000n);
    m.step();
    expect(m.x(0)).toBe(42n);
  });
  it("a fault goes to EL2 with the syndrome of the instruction, FAR and HPFAR", () => {
    const m = guest([0xb980_0025], { 1: 0x4000_0000n | ALL }); // ldrsw x5, [x1]
    m.setX(1, BigInt(PROBE) + 0x124n);
    m.step();
    // EC 0x24, ISV, SAS word, SSE, SRT 5, SF, translation fault level 1
    expect(m.sys("ESR_EL2")).toBe(
      0x9200_0000n | (1n << 24n) | (2n << 22n) | (1n << 21n) | (5n << 16n) | (1n << 15n) | 5n,
    );
    expect([m.sys("FAR_EL2"), m.sys("HPFAR_EL2")]).toEqual([BigInt(PROBE) + 0x124n, (BigInt(PROBE) >> 12n) << 4n]);
    expect(m.sys("ELR_EL2")).toBe(AT);
  });
  it("a store gives WnR, a byte SAS 0; a pair gives no ISV", () => {
    const store = guest([0x3900_0027], { 1: 0x4000_0000n | ALL }); // strb w7, [x1]
    store.setX(1, BigInt(PROBE));
    store.step();
    expect(store.sys("ESR_EL2")).toBe(0x9200_0000n | (1n << 24n) | (7n << 16n) | (1n << 6n) | 5n);
    const pair = guest([0xa940_1023], { 1: 0x4000_0000n | ALL });
    pair.setX(1, BigInt(PROBE));
    pair.step();
    expect(pair.sys("ESR_EL2")).toBe(0x9200_0005n);
  });
  it("a fault on a stage 1 table walk has S1PTW and the table's address in HPFAR", () => {
    const m = guest([0xf940_0020], {});
    m.setX(1, DATA);
    m.step();
    expect(m.sys("ESR_EL2")).toBe(0x8200_0085n); // the fetch fails first: instruction abort
    expect(m.sys("HPFAR_EL2")).toBe((BigInt(TABLE) >> 12n) << 4n);
  });
  it("missing write permission at stage 2 is a permission fault taken to EL2", () => {
    const m = guest([0xf900_0020], { 1: 0x4000_0000n | (ALL & ~0x80n) }); // S2AP 1: read-only
    m.setX(1, DATA);
    m.step();
    expect(m.sys("ESR_EL2") & 0x3fn).toBe(0x0dn);
    expect(m.sys("ESR_EL2") >> 26n).toBe(0x24n);
  });
});

describe("code that changes", () => {
  it("an instruction that is overwritten is executed as written, by a CPU's store and by DMA", () => {
    const m = mapped(
      [
        0x9400_0008, // bl target
        0xb900_0041, // str w1, [x2]
        0xd50b_7b22, // dc cvau, x2
        0xd503_3f9f, // dsb sy
        0xd50b_7522, // ic ivau, x2
        0xd503_3fdf, // isb
        0x9400_0002, // bl target
        0x1400_0000, // b .
        0xd280_0020, // target: mov x0, #1
        0x8b00_0063, // add x3, x3, x0
        0xd65f_03c0, // ret
      ],
      FLAT,
    );
    m.setX(1, 0xd280_0140n); // mov x0, #10
    m.setX(2, AT + 32n);
    m.run(100 * US);
    expect(m.x(3)).toBe(11n);
    m.words(CODE + 32, [0xd280_0c80]); // mov x0, #100, from outside
    m.cpu.start(CODE, 0);
    m.setX(1, 0xd280_0c80n);
    m.run(300 * US); // the CPU has run ahead by up to a quantum of 100 us
    expect(m.x(3)).toBe(211n);
  });

  it("a page that is code, then data, then code again is executed as last written", () => {
    const m = mapped(
      [
        0xaa02_03e5, // mov x5, x2
        0xd280_0806, // mov x6, #64
        0xd50b_7425, // dc zva, x5
        0x9101_00a5, // add x5, x5, #64
        0xf100_04c6, // subs x6, x6, #1
        0x54ff_ffa1, // b.ne -12
        0x2900_1041, // stp w1, w4, [x2]
        0xd50b_7522, // ic ivau, x2
        0xd503_3fdf, // isb
        0xd63f_0040, // blr x2
        0x8b00_0063, // add x3, x3, x0
        0x1100_8021, // add w1, w1, #32: the next immediate
        0xf100_054a, // subs x10, x10, #1
        0x54ff_fe61, // b.ne to the first
        0x1400_0000, // b .
      ],
      FLAT,
    );
    const flags = () => (m.arena.pageFlags[m.cluster.arenaPage(Number(DATA), true) / 4096] as number) & 1;
    const run = (rounds: bigint) => {
      m.setX(1, 0xd280_0020n); // mov x0, #1
      m.setX(2, DATA);
      m.setX(3, 0n);
      m.setX(4, 0xd65f_03c0n); // ret
      m.setX(10, rounds);
      m.enter(1, AT, 1, 0);
      m.run(100 * US);
    };
    run(10n);
    expect(m.x(3)).toBe(55n);
    expect(flags()).toBe(1);
    // without the call the page holds data: stores need not look for code any more
    m.words(CODE + 36, [0xd503_201f]); // nop
    run(2n);
    expect(flags()).toBe(0);
    m.words(CODE + 36, [0xd63f_0040]);
    run(4n);
    expect(m.x(3)).toBe(10n);
  });
  it("many stores beside the code of a page leave the code as it is", () => {
    const m = mapped(
      [
        0xa901_1843, // stp x3, x6, [x2, #16]
        0xf900_1443, // str x3, [x2, #40]
        0xd63f_0040, // blr x2
        0x8b00_0063, // add x3, x3, x0
        0xf100_054a, // subs x10, x10, #1
        0x54ff_ff61, // b.ne to the first
        0x1400_0000, // b .
      ],
      FLAT,
    );
    m.words(Number(DATA), [0xd280_0020, 0xd65f_03c0]); // mov x0, #1; ret
    m.setX(2, DATA);
    m.setX(10, 5000n);
    m.run(200 * US);
    expect(m.x(3)).toBe(5000n);
    expect([m.quad(Number(DATA) + 16), m.quad(Number(DATA) + 40)]).toEqual([4999n, 4999n]);
  });
});

describe("D8.14: TLBI by ASID", () => {
  const LDR = 0xf940_0020; // ldr x0, [x1]
  const TLBI_ASIDE1 = msr("S1_0_C8_C7_2", 4);
  it("drops the entries of its ASID; those of others stay (a choice), and without TCR_EL1.AS bits 15:8 do not count", () => {
    const m = mapped([LDR, TLBI_ASIDE1, LDR, TLBI_ASIDE1, LDR], FLAT);
    m.setSys("TTBR0_EL1", (1n << 48n) | BigInt(TABLE));
    m.quads(Number(DATA), [7n]);
    m.setX(1, 0x8010_0000n);
    m.step();
    m.quads(TABLE + 16, [0n]);
    m.setX(0, 0n);
    m.setX(4, 2n << 48n);
    m.step(2);
    expect(m.x(0)).toBe(7n);
    m.setX(4, 0x101n << 48n);
    m.step(2);
    expect(m.sys("ESR_EL1")).toBe(0x9600_0005n); // translation fault, level 1
  });
});
