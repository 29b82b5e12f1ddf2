/** Stage 2 tables and memory, and the decoding of loads and stores without a syndrome; numbers from DDI 0487J.a D8.3 and C6.2. */
import { describe, expect, it } from "vitest";
import { decodeLoadStore } from "../../src/hypervisor/load-store.ts";
import { MemoryPool } from "../../src/hypervisor/memory.ts";
import { Stage2 } from "../../src/hypervisor/stage2.ts";
import { Simulation } from "../../src/sim/index.ts";

class Words {
  readonly words = new Map<number, number>();
  read(address: number): number {
    return this.words.get(address) ?? 0;
  }
  write(address: number, _size: 4, value: number): void {
    this.words.set(address, value);
  }
}

function tables(): { memory: Words; stage2: Stage2; pool: MemoryPool } {
  const pool = new MemoryPool(0x8000_0000, 0x10_0000);
  const stage2 = new Stage2(new Simulation(), "stage2", pool, 7);
  const memory = new Words();
  stage2.create(memory);
  return { memory, stage2, pool };
}

describe("stage 2 tables", () => {
  it("D17.2.154, D17.2.153: VTCR_EL2 for 39 bits from level 1 in 4 KiB granules; VMID of its own", () => {
    const { stage2 } = tables();
    // RES1 31, PS 44 bits (4), SH0 3, ORGN0 1, IRGN0 1, SL0 1, T0SZ 25
    expect(stage2.root(4)).toEqual({ base: 0x8000_0000, vmid: 7, vtcr: 0x8004_3559 });
  });

  it("D8.3.2: 2 MiB blocks where both addresses are aligned, pages elsewhere; Normal memory 0x7fd, Device 0x4c5 with XN", () => {
    const { memory, stage2 } = tables();
    expect(stage2.map(memory, null, 0x4000_0000, 0x9000_0000, 0x20_1000, "memory")).toBe(true);
    expect(stage2.map(memory, null, 0x900_0000, 0x904_0000, 0x1000, "device")).toBe(true);
    const next = (entry: number) => {
      expect(memory.read(entry) & 3).toBe(3);
      return (memory.read(entry) & 0xffff_f000) >>> 0;
    };
    // level 1 entry 1: a table, whose entry 0 is a block and whose entry 1 a table of one page
    const two = next(0x8000_0008);
    expect(memory.read(two)).toBe((0x9000_0000 | 0x7fd) >>> 0);
    expect(memory.read(next(two + 8))).toBe((0x9020_0000 | 0x7ff) >>> 0);
    const page = next(next(0x8000_0000) + 8 * 72) + 8 * 0;
    expect([memory.read(page), memory.read(page + 4)]).toEqual([0x904_04c7, 0x40_0000]);
    expect([0x4000_1234, 0x4020_0ffc, 0x4020_1000, 0x900_0018].map((ipa) => stage2.find(memory, ipa))).toEqual([
      0x9000_1234, 0x9020_0ffc, -1, 0x904_0018,
    ]);
  });

  it("D8.14.1 break-before-make: a valid entry is made invalid and invalidated in TLBs before it is written anew", () => {
    const { memory, stage2 } = tables();
    stage2.map(memory, null, 0x4000_0000, 0x9000_0000, 0x20_0000, "memory");
    // descriptors whose old value may be in a TLB still
    const stale = new Set<number>();
    let wrong = 0;
    let invalidations = 0;
    const write = memory.write.bind(memory);
    memory.write = (address, size, value) => {
      const valid = address % 8 === 0 && (memory.read(address) & 1) !== 0;
      if (valid && value !== 0) wrong++;
      if (valid && value === 0) stale.add(address);
      if (value !== 0 && stale.has(address - (address % 8))) wrong++;
      write(address, size, value);
    };
    const invalidate = () => {
      invalidations++;
      stale.clear();
    };
    const cpu = { invalidate } as unknown as Parameters<Stage2["unmap"]>[1];
    stage2.unmap(memory, cpu, 0x4000_3000, 0x1000);
    // the block gives way to a table, then the page goes
    expect([wrong, invalidations, stale.size]).toEqual([0, 2, 0]);
    expect([0x4000_2000, 0x4000_3000, 0x4000_4000].map((a) => stage2.find(memory, a))).toEqual([
      0x9000_2000, -1, 0x9000_4000,
    ]);
  });

  it("pages of tables are given back", () => {
    const { memory, stage2, pool } = tables();
    stage2.map(memory, null, 0, 0, 0x1000, "device");
    expect(pool.free).toBe(0x10_0000 - 3 * 0x1000);
    stage2.destroy();
    expect(pool.free).toBe(0x10_0000);
    expect([pool.allocate(0x20_0000), pool.allocate(0x10_0000, 0x1000)]).toEqual([-1, 0x8000_0000]);
  });
});

describe("loads and stores without a syndrome", () => {
  it.each([
    ["ldp w0, w1, [x2], #8", 0x28c10440, { load: true, size: 4, registers: [0, 1], base: 2, offset: 8, mode: "post" }],
    [
      "stp x3, x4, [sp, #-16]!",
      0xa9bf13e3,
      { load: false, size: 8, registers: [3, 4], base: 31, offset: -16, mode: "pre" },
    ],
    [
      "ldpsw x5, x6, [x7, #4]",
      0x6940_98e5,
      { load: true, size: 4, signed: 64, registers: [5, 6], base: 7, offset: 4, mode: "offset" },
    ],
    ["ldr w1, [x2], #4", 0xb8404441, { load: true, size: 4, registers: [1], base: 2, offset: 4, mode: "post" }],
    ["ldrsb w1, [x2, #-1]!", 0x38dffc41, { load: true, size: 1, signed: 32, offset: -1, mode: "pre" }],
    ["strh w1, [x2, #2]!", 0x78002c41, { load: false, size: 2, offset: 2, mode: "pre" }],
    ["ldr x1, .+8", 0x58000041, { load: true, size: 8, base: -1, offset: 8, mode: "offset" }],
    ["ldrsw x1, .-4", 0x98ffffe1, { load: true, size: 4, signed: 64, base: -1, offset: -4 }],
    ["ldr q1, [x2, #16]", 0x3dc00441, { load: true, simd: true, size: 16, offset: 16 }],
    [
      "str s3, [x4, x5, lsl #2]",
      0xbc257883,
      { load: false, simd: true, size: 4, index: { register: 5, option: 3, shift: 2 } },
    ],
    ["stp d0, d1, [x2]", 0x6d000440, { load: false, simd: true, size: 8, registers: [0, 1] }],
    ["ldr x1, [x2, w3, sxtw #3]", 0xf863d841, { load: true, size: 8, index: { register: 3, option: 6, shift: 3 } }],
  ])("%s", (_text, word, expected) => {
    const { registers, size, ...rest } = expected as { registers?: number[]; size?: number };
    const found = decodeLoadStore(word);
    expect(found).toMatchObject(rest);
    const elements = found !== null && found !== "exclusive" ? found.elements : [];
    if (registers !== undefined) expect(elements.map((e) => e.register)).toEqual(registers);
    if (size !== undefined) for (const e of elements) expect(e.bytes).toBe(size);
  });

  it.each([
    // C7.2.178: the element of two bytes after another, of one register after another
    ["ld2 {v31.4h, v0.4h}, [x1]", 0x0c40843f, [31, 0, 31, 0, 31, 0, 31, 0], [0, 0, 2, 2, 4, 4, 6, 6], 2],
    ["st1 {v3.2d, v4.2d}, [x1], x2", 0x4c82ac23, [3, 3, 4, 4], [0, 8, 0, 8], 8],
    ["ld3 {v1.s-v3.s}[2], [x0], #12", 0x4ddfa001, [1, 2, 3], [8, 8, 8], 4],
    ["ld4r {v0.8h-v3.8h}, [sp]", 0x4d60e7e0, [0, 1, 2, 3], [0, 0, 0, 0], 2],
  ])("%s", (_text, word, registers, places, size) => {
    const found = decodeLoadStore(word);
    const elements = found !== null && found !== "exclusive" ? found.elements : [];
    expect(elements).toEqual(registers.map((register, i) => ({ register, at: places[i], bytes: size })));
  });

  it("exclusives and atomics are told apart; what loads nothing is none", () => {
    // ldxr w0, [x1]; stxr w2, w0, [x1]; ldaxp x0, x1, [x2]; cas w0, w1, [x2]; casp x0, x1, x2, x3, [x4]; ldadd w0, w1, [x2]; swpb w0, w1, [x2]
    const exclusive = [0x885f7c20, 0x88027c20, 0xc87f8440, 0x88a07c41, 0x48207c82, 0xb8200041, 0x38208041];
    expect(exclusive.map(decodeLoadStore)).toEqual(exclusive.map(() => "exclusive"));
    // add x0, x0, x1; prfm pldl1keep, [x0]; prfm pldl1keep, .; ldar w0, [x1]
    expect([0x8b010000, 0xf9800000, 0xd8000000, 0x88dffc20].map(decodeLoadStore)).toEqual([null, null, null, null]);
  });
});
