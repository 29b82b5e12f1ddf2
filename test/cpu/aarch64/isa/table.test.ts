/** The table as data: no row overlaps another, every encoding selects a handler, gaps are UNDEFINED, text is as objdump's. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBitMasks } from "../../../../src/cpu/aarch64/isa/bits.ts";
import { disassemble } from "../../../../src/cpu/aarch64/isa/disassemble.ts";
import { type Encoded, parsePattern, type Row } from "../../../../src/cpu/aarch64/isa/row.ts";
import { TABLE } from "../../../../src/cpu/aarch64/isa/table.ts";
import { buildTree, findRow, overlaps } from "../../../../src/cpu/aarch64/isa/tree.ts";
import { check } from "../../../support/soak.ts";

const tree = buildTree(TABLE);
const encoded = (): Encoded => ({ variant: 0, regs: [0, 0, 0, 0], aux: 0, low: 0, high: 0 });
/** A word is UNDEFINED when no row takes it or its row refuses. */
const isUndefined = (word: number): boolean => {
  const row = findRow(tree, word);
  return row === undefined || !row.encode(word, 0, encoded());
};

describe("the table", () => {
  it("has no two rows that share an encoding", () => {
    expect(overlaps(TABLE).map(([a, b]) => `${a.name} / ${b.name}`)).toEqual([]);
  });
  it("notices overlapping rows", () => {
    const fake = (bits: string): Row => ({ ...(TABLE[0] as Row), ...parsePattern(bits), nonzero: 0, name: bits });
    const wide = fake("0000 a:28");
    expect(overlaps([wide, fake("0000 1111 b:24")])).toHaveLength(1);
    expect(() => buildTree([wide, fake("0000 1111 b:24")])).toThrow(/overlap/);
    expect(overlaps([wide, fake("0001 a:28")])).toEqual([]);
  });
  it("cites a section of the manual in every row", () => {
    expect(TABLE.filter((r) => !/^C[67]\.2/.test(r.section)).map((r) => r.name)).toEqual([]);
  });
  it("gives a text for every row", () => {
    expect(TABLE.filter((r) => r.asm === undefined).map((r) => r.name)).toEqual([]);
  });
  it("finds by the tree what a search of all rows finds, and operands stay in range", () => {
    check(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 1023 }), (word, index) => {
        const found = findRow(tree, word);
        const all = TABLE.filter(
          (r) => (word & r.mask) >>> 0 === r.value && (r.nonzero === 0 || (word & r.nonzero) !== 0),
        );
        expect(all).toEqual(found ? [found] : []);
        if (!found) return;
        const out = encoded();
        if (!found.encode(word, 4 * index, out)) return;
        expect(out.variant).toBeLessThan(found.variants);
        expect(found.has(out.variant)).toBe(true);
        for (const r of out.regs.slice(0, found.places)) expect(r).toBeLessThan(0x400);
        expect(out.aux).toBeLessThan(0x10000);
        expect(disassemble(tree, word, 4 * index)).not.toMatch(/undefined|NaN/);
      }),
      { numRuns: 20_000 },
    );
  });
  it("takes words of each row back to the row", () => {
    for (const r of TABLE) {
      const fields = r.fields.reduce((w, f) => (w | (1 << f.shift)) >>> 0, 0);
      const word = (r.value | (r.nonzero === 0 ? 0 : fields & r.nonzero)) >>> 0;
      expect(findRow(tree, word)?.name, r.name).toBe(r.name);
    }
  });
});

describe("UNDEFINED encodings", () => {
  it.each([
    ["C4.1.1: reserved, UDF", 0x00000000],
    ["C4.1.1: unallocated, op0 0001", 0x02000000],
    ["SVE space (not implemented)", 0x04000000],
    ["C6.2.12: AND (immediate) of W registers with N set", 0x12400000],
    ["C6.2.12: AND (immediate) with all-ones element", 0x9240fc00],
    ["C6.2.192: MOVZ of W with hw 2", 0x52c00000],
    ["C6.2.339: UBFM of W with N set", 0x53400000],
    ["C6.2.5: ADD (shifted register) with ROR", 0x0bc00000],
    ["C6.2.3: ADD (extended register) with shift of 5", 0x0b201400],
    ["C6.2.60: CRC32X with W register", 0x1ac04c00],
    ["C6.2.223: REV of W with opc 3", 0x5ac00c00],
    ["C6.2.158: LDPSW non-temporal", 0x68400000],
    ["C6.2.166: load register offset with option 0", 0x38600800],
    ["size 3, opc 3 loads", 0xf9c00000],
    ["C6.2, CASP: odd Rs", 0x48217c82],
    ["C6.2, CASP: odd Rt", 0x48207c83],
    ["C4.1.94: CAS with Rt2 other than 31", 0x88a07800],
    ["C4.1.94: LDAPR (FEAT_LRCPC)", 0xb8bfc000],
    ["C4.1.94: atomics with o3 1, opc 1", 0xb8209000],
    ["C7.2: FADD half precision (FEAT_FP16)", 0x1ee02800],
    ["C7.2: ADD of 1D vectors", 0x0ee08400],
  ])("%s", (_, word) => {
    expect(isUndefined(word)).toBe(true);
  });
  it("leaves hints of later versions as NOP (C6.2.90)", () => {
    expect(isUndefined(0xd503233f)).toBe(false); // PACIASP
    expect(disassemble(tree, 0xd503233f)).toBe("hint #0x19");
  });
});

describe("DecodeBitMasks (DDI 0487, shared/functions/integer)", () => {
  it.each([
    [1, 0, 0, 0x1, 0x0],
    [1, 0x3e, 0, -1, 0x7fffffff],
    [0, 0x1e, 0, 0x7fffffff, 0x7fffffff],
    [0, 0x3c, 0, 0x55555555, 0x55555555],
    [0, 0x3c, 1, 0xaaaaaaaa | 0, 0xaaaaaaaa | 0],
    [1, 7, 8, 0, 0xff000000 | 0],
  ])("N=%i imms=%i immr=%i", (n, imms, immr, low, high) => {
    expect(decodeBitMasks(n, imms, immr, true)?.wmask).toEqual({ low, high });
  });
});

describe("disassembly is objdump's", () => {
  // aarch64-linux-gnu-objdump -d -M no-aliases is not used: these are its preferred forms
  it.each([
    [0xd503201f, 0, "nop"],
    [0x91000420, 0, "add x0, x1, #0x1"],
    [0x910003fd, 0, "mov x29, sp"],
    [0xf100001f, 0, "cmp x0, #0x0"],
    [0xaa0103e0, 0, "mov x0, x1"],
    [0x2a2103e0, 0, "mvn w0, w1"],
    [0xd2800020, 0, "mov x0, #0x1"],
    [0xd3407c20, 0, "ubfx x0, x1, #0, #32"],
    [0x53017c20, 0, "lsr w0, w1, #1"],
    [0x93407c20, 0, "sxtw x0, w1"],
    [0x9b017c00, 0, "mul x0, x0, x1"],
    [0x1ac10800, 0, "udiv w0, w0, w1"],
    [0x9a9f17e0, 0, "cset x0, eq"],
    [0x54000041, 0x1000, "b.ne 0x1008"],
    [0x94000002, 0x1000, "bl 0x1008"],
    [0xb4ffffe0, 0x1000, "cbz x0, 0xffc"],
    [0x36180040, 0x1000, "tbz w0, #3, 0x1008"],
    [0xd65f03c0, 0, "ret"],
    [0xf9400420, 0, "ldr x0, [x1, #8]"],
    [0xf81f0fe0, 0, "str x0, [sp, #-16]!"],
    [0xa8c17bfd, 0, "ldp x29, x30, [sp], #16"],
    [0x38626820, 0, "ldrb w0, [x1, x2]"],
    [0xc85ffc20, 0, "ldaxr x0, [x1]"],
    [0xf8a30041, 0, "ldadda x3, x1, [x2]"],
    [0x38e31041, 0, "ldclralb w3, w1, [x2]"],
    [0x7863005f, 0, "staddlh w3, [x2]"],
    [0xb8a3005f, 0, "ldadda w3, wzr, [x2]"],
    [0xb8e383e1, 0, "swpal w3, w1, [sp]"],
    [0x08e3fc41, 0, "casalb w3, w1, [x2]"],
    [0x48627c84, 0, "caspa x2, x3, x4, x5, [x4]"],
    [0x6e828420, 0, "sqrdmlah v0.4s, v1.4s, v2.4s"],
    [0x7e428c20, 0, "sqrdmlsh h0, h1, h2"],
    [0x2f72d820, 0, "sqrdmlah v0.4h, v1.4h, v2.h[7]"],
    [0x7f82f820, 0, "sqrdmlsh s0, s1, v2.s[2]"],
    [0xd4000001, 0, "svc #0x0"],
    [0xd5033bbf, 0, "dmb ish"],
    [0x4ea28420, 0, "add v0.4s, v1.4s, v2.4s"],
    [0x4f000400, 0, "movi v0.4s, #0x0"],
    [0x1e622820, 0, "fadd d0, d1, d2"],
    [0x9e620020, 0, "scvtf d0, x1"],
    [0x3dc00020, 0, "ldr q0, [x1]"],
    [0x4cdf7020, 0, "ld1 {v0.16b}, [x1], #16"],
    [0x00000000, 0, ".inst 0x00000000"],
  ])("%s", (word, pc, text) => {
    expect(disassemble(tree, word, pc)).toBe(text);
  });
});
