/** C4.1.90: Advanced SIMD copies, permutations, table lookups and modified immediates. */
import type { V128 } from "../engine/emitter.ts";
import { hex, R, registerList } from "./common.ts";
import { axis, bit, type Row, row, source, target, vector, type Wide } from "./row.ts";
import { arrangement } from "./simd-memory.ts";
import { qAxis, three } from "./vector-operands.ts";

/** Size from imm5: position of its lowest set bit; 4 and above is UNDEFINED. */
const scaleOf = (f: { imm5: number }) => (f.imm5 === 0 ? 5 : 31 - Math.clz32(f.imm5 & -f.imm5));
const indexOf = (f: { imm5: number }) => f.imm5 >> (scaleOf(f) + 1);
const byteOf = (f: { imm5: number }) => indexOf(f) << scaleOf(f);
const scaleAxis = axis([0, 1, 2, 3], scaleOf);
const element = (n: number, f: { imm5: number }) => `v${n}.${"bhsd"[scaleOf(f)]}[${indexOf(f)}]`;

const copies: Row[] = [
  row({
    name: "DUP (element)",
    section: "C7.2.39",
    bits: "0 Q 001110000 imm5:5 000001 Rn:5 Rd:5",
    axes: { q: qAxis, scale: scaleAxis },
    never: (v) => v.scale === 3 && v.q === 0,
    fp: true,
    undefinedIf: (f) => scaleOf(f) > 3 || (scaleOf(f) === 3 && !f.Q),
    regs: { d: vector("Rd"), n: vector("Rn") },
    aux: byteOf,
    meaning: (e, o) => {
      const bytes = 1 << o.scale;
      e.writeQ(o.d, e.splat(bytes, e.element(o.n, bytes, e.aux())), o.q);
    },
    asm: (f) => `dup v${f.Rd}.${arrangement(scaleOf(f), f.Q)}, ${element(f.Rn, f)}`,
  }),
  row({
    name: "DUP (element, scalar)",
    section: "C7.2.39",
    bits: "01011110000 imm5:5 000001 Rn:5 Rd:5",
    axes: { scale: scaleAxis },
    fp: true,
    undefinedIf: (f) => scaleOf(f) > 3,
    regs: { d: vector("Rd"), n: vector("Rn") },
    aux: byteOf,
    meaning: (e, o) => e.writeD(o.d, e.element(o.n, 1 << o.scale, e.aux())),
    asm: (f) => `mov ${"bhsd"[scaleOf(f)]}${f.Rd}, ${element(f.Rn, f)}`,
  }),
  row({
    name: "DUP (general)",
    section: "C7.2.40",
    bits: "0 Q 001110000 imm5:5 000011 Rn:5 Rd:5",
    axes: { q: qAxis, scale: scaleAxis },
    never: (v) => v.scale === 3 && v.q === 0,
    fp: true,
    undefinedIf: (f) => scaleOf(f) > 3 || (scaleOf(f) === 3 && !f.Q),
    regs: { d: vector("Rd"), n: source("Rn") },
    meaning: (e, o) => e.writeQ(o.d, e.splat(1 << o.scale, e.x(o.n)), o.q),
    asm: (f) => `dup v${f.Rd}.${arrangement(scaleOf(f), f.Q)}, ${R(scaleOf(f) === 3 ? 1 : 0, f.Rn)}`,
  }),
  row({
    name: "SMOV",
    section: "C7.2.279",
    bits: "0 Q 001110000 imm5:5 001011 Rn:5 Rd:5",
    axes: { q: qAxis, scale: axis([0, 1, 2], scaleOf) },
    never: (v) => v.scale === 2 && v.q === 0,
    fp: true,
    undefinedIf: (f) => scaleOf(f) > (f.Q ? 2 : 1),
    regs: { d: target("Rd"), n: vector("Rn") },
    aux: byteOf,
    meaning: (e, o) => {
      const v = e.element(o.n, 1 << o.scale, e.aux(), true);
      e.write(o.d, o.q ? v : e.wrap(v));
    },
    asm: (f) => `smov ${R(f.Q, f.Rd)}, ${element(f.Rn, f)}`,
  }),
  row({
    name: "UMOV",
    section: "C7.2.388",
    bits: "0 Q 001110000 imm5:5 001111 Rn:5 Rd:5",
    axes: { scale: scaleAxis },
    fp: true,
    undefinedIf: (f) => (f.Q ? scaleOf(f) !== 3 : scaleOf(f) > 2),
    regs: { d: target("Rd"), n: vector("Rn") },
    aux: byteOf,
    meaning: (e, o) => e.write(o.d, e.element(o.n, 1 << o.scale, e.aux())),
    asm: (f) => `${scaleOf(f) >= 2 ? "mov" : "umov"} ${R(f.Q, f.Rd)}, ${element(f.Rn, f)}`,
  }),
  row({
    name: "INS (general)",
    section: "C7.2.176",
    bits: "01001110000 imm5:5 000111 Rn:5 Rd:5",
    axes: { scale: scaleAxis },
    fp: true,
    undefinedIf: (f) => scaleOf(f) > 3,
    regs: { d: vector("Rd"), n: source("Rn") },
    aux: byteOf,
    meaning: (e, o) => e.setElement(o.d, 1 << o.scale, e.aux(), e.x(o.n)),
    asm: (f) => `mov ${element(f.Rd, f)}, ${R(scaleOf(f) === 3 ? 1 : 0, f.Rn)}`,
  }),
  row({
    name: "INS (element)",
    section: "C7.2.175",
    bits: "01101110000 imm5:5 0 imm4:4 1 Rn:5 Rd:5",
    axes: { scale: scaleAxis },
    fp: true,
    undefinedIf: (f) => scaleOf(f) > 3,
    regs: { d: vector("Rd"), n: vector("Rn") },
    aux: byteOf,
    imm: (f) => (f.imm4 >> scaleOf(f)) << scaleOf(f),
    meaning: (e, o) => e.setElement(o.d, 1 << o.scale, e.aux(), e.element(o.n, 1 << o.scale, e.imm32())),
    asm: (f) => `mov ${element(f.Rd, f)}, v${f.Rn}.${"bhsd"[scaleOf(f)]}[${f.imm4 >> scaleOf(f)}]`,
  }),
];

const sizeAxis = axis([0, 1, 2, 3], (f: { size: number }) => f.size);
const bytesFrom = (width: number, f: (i: number) => number) =>
  Array.from({ length: 16 }, (_, i) => (i < width ? f(i) : 0));
/** Element numbers of the result in the concatenation of the two sources, `count` elements each. */
const PERMUTATIONS: readonly [string, string, (i: number, count: number) => number][] = [
  ["UZP1", "001", (i) => 2 * i],
  ["TRN1", "010", (i, count) => (i & 1 ? count + i - 1 : i)],
  ["ZIP1", "011", (i, count) => (i & 1 ? count + (i >> 1) : i >> 1)],
  ["UZP2", "101", (i) => 2 * i + 1],
  ["TRN2", "110", (i, count) => (i & 1 ? count + i : i + 1)],
  ["ZIP2", "111", (i, count) => (i & 1 ? count + ((count + i) >> 1) : (count + i) >> 1)],
];
const permutations = PERMUTATIONS.map(([name, opcode, from]) =>
  row({
    name,
    section: "C7.2.403 to C7.2.413",
    bits: `0 Q 001110 size:2 0 Rm:5 0 ${opcode as "001"} 10 Rn:5 Rd:5`,
    axes: { q: qAxis, size: sizeAxis },
    never: (v) => v.size === 3 && v.q === 0,
    fp: true,
    undefinedIf: (f) => f.size === 3 && !f.Q,
    regs: three,
    meaning: (e, o) => {
      const width = o.q ? 16 : 8;
      const count = width >> o.size;
      const bytes = 1 << o.size;
      const lane = bytesFrom(width, (i) => {
        const at = from(i >> o.size, count);
        // the second source begins at lane 16
        return at < count ? at * bytes + (i % bytes) : 16 + (at - count) * bytes + (i % bytes);
      });
      e.writeQ(o.d, e.shuffle(e.v(o.n), e.v(o.m), lane), o.q);
    },
    asm: (f) => {
      const t = arrangement(f.size, f.Q);
      return `${name.toLowerCase()} v${f.Rd}.${t}, v${f.Rn}.${t}, v${f.Rm}.${t}`;
    },
  }),
);

const extract = row({
  name: "EXT",
  section: "C7.2.43",
  bits: "0 Q 101110000 Rm:5 0 imm4:4 0 Rn:5 Rd:5",
  axes: {
    q: qAxis,
    position: axis(
      Array.from({ length: 16 }, (_, i) => i),
      (f: { imm4: number }) => f.imm4,
    ),
  },
  never: (v) => v.q === 0 && v.position > 7,
  fp: true,
  cold: true,
  undefinedIf: (f) => !f.Q && f.imm4 > 7,
  regs: three,
  meaning: (e, o) => {
    const width = o.q ? 16 : 8;
    const lane = bytesFrom(width, (i) => (i + o.position < width ? i + o.position : 16 + i + o.position - width));
    e.writeQ(o.d, e.shuffle(e.v(o.n), e.v(o.m), lane), o.q);
  },
  asm: (f) => {
    const t = arrangement(0, f.Q);
    return `ext v${f.Rd}.${t}, v${f.Rn}.${t}, v${f.Rm}.${t}, #${f.imm4}`;
  },
});

const tables = row({
  name: "TBL, TBX",
  section: "C7.2.372, C7.2.373",
  bits: "0 Q 001110000 Rm:5 0 len:2 op 00 Rn:5 Rd:5",
  axes: { q: qAxis, op: bit("op"), count: axis([1, 2, 3, 4], (f: { len: number }) => f.len + 1) },
  fp: true,
  cold: true,
  regs: three,
  meaning: (e, o) => {
    const index = e.let(e.v(o.m));
    let result: V128 = o.op ? e.v(o.d) : e.kv(new Array<number>(16).fill(0));
    for (let k = 0; k < o.count; k++) {
      const at = k === 0 ? index : e.let(e.vector("i8x16.sub", index, e.splat(1, e.k64(16 * k))));
      const here = e.vector("i8x16.lt_u", at, e.splat(1, e.k64(16)));
      const found = e.vector("i8x16.swizzle", e.v({ ...(o.n as { place: 1 }), plus: k }), at);
      result = e.let(e.vector("v128.bitselect", found, result, here));
    }
    e.writeQ(o.d, result, o.q);
  },
  asm: (f) => {
    const t = arrangement(0, f.Q);
    return `${f.op ? "tbx" : "tbl"} v${f.Rd}.${t}, ${registerList(f.Rn, f.len + 1, "16b")}, v${f.Rm}.${t}`;
  },
});

/** AdvSIMDExpandImm (shared/functions/vector) as two words. */
export function expandImmediate(op: number, cmode: number, imm8: number): Wide {
  const both = (word: number): Wide => ({ low: word | 0, high: word | 0 });
  const kind = cmode >> 1;
  if (kind < 4) return both(imm8 << (8 * kind));
  if (kind < 6) {
    const half = imm8 << (8 * (kind - 4));
    return both(half | (half << 16));
  }
  if (kind === 6) return both(cmode & 1 ? (imm8 << 16) | 0xffff : (imm8 << 8) | 0xff);
  if (!(cmode & 1)) {
    if (!op) return both(imm8 * 0x01010101);
    const spread = (bits: number) => [0, 1, 2, 3].reduce((v, i) => v | ((bits >> i) & 1 ? 0xff << (8 * i) : 0), 0);
    return { low: spread(imm8), high: spread(imm8 >> 4) };
  }
  const sign = imm8 >> 7;
  const b = (imm8 >> 6) & 1;
  if (!op) return both((sign << 31) | ((b ? 0x1f : 0x20) << 25) | ((imm8 & 63) << 19));
  return { low: 0, high: (sign << 31) | ((b ? 0xff : 0x100) << 22) | ((imm8 & 63) << 16) };
}
type ImmediateFields = { Q: number; op: number; cmode: number; abc: number; defgh: number };
const imm8 = (f: ImmediateFields) => (f.abc << 5) | f.defgh;
const MOVE = 0;
const INVERT = 1;
const ORR = 2;
const BIC = 3;
const operation = (f: ImmediateFields) => {
  if (f.cmode < 12 && f.cmode & 1) return f.op ? BIC : ORR;
  return f.op && f.cmode < 14 ? INVERT : MOVE;
};
const modified = row({
  name: "MOVI, MVNI, ORR, BIC, FMOV (vector, immediate)",
  section: "C7.2.231, C7.2.234, C7.2.238, C7.2.20, C7.2.141",
  bits: "0 Q op 0111100000 abc:3 cmode:4 01 defgh:5 Rd:5",
  axes: { q: qAxis, operation: axis([MOVE, INVERT, ORR, BIC], operation) },
  fp: true,
  undefinedIf: (f) => f.cmode === 15 && f.op === 1 && f.Q === 0,
  regs: { d: vector("Rd") },
  imm: (f) => expandImmediate(f.op, f.cmode, imm8(f)),
  meaning: (e, o) => {
    const imm = e.splat(8, e.imm64());
    const v = [
      () => imm,
      () => e.vector("v128.not", imm),
      () => e.vector("v128.or", e.v(o.d), imm),
      () => e.vector("v128.andnot", e.v(o.d), imm),
    ][o.operation] as () => V128;
    e.writeQ(o.d, v(), o.q);
  },
  asm: (f) => {
    const { cmode, op, Q } = f;
    const kind = cmode >> 1;
    const name = ["movi", "mvni", "orr", "bic"][operation(f)];
    const imm = `#${hex(imm8(f))}`;
    if (kind < 4) return `${name} v${f.Rd}.${arrangement(2, Q)}, ${imm}${kind ? `, lsl #${8 * kind}` : ""}`;
    if (kind < 6) return `${name} v${f.Rd}.${arrangement(1, Q)}, ${imm}${kind > 4 ? ", lsl #8" : ""}`;
    if (kind === 6) return `${name} v${f.Rd}.${arrangement(2, Q)}, ${imm}, msl #${cmode & 1 ? 16 : 8}`;
    if (cmode === 14 && !op) return `movi v${f.Rd}.${arrangement(0, Q)}, ${imm}`;
    const wide = expandImmediate(op, cmode, imm8(f));
    if (cmode === 14) {
      const text = `0x${(wide.high >>> 0).toString(16).padStart(8, "0")}${(wide.low >>> 0).toString(16).padStart(8, "0")}`;
      return `movi ${Q ? `v${f.Rd}.2d` : `d${f.Rd}`}, #${short(text)}`;
    }
    return `fmov v${f.Rd}.${arrangement(op ? 3 : 2, Q)}, #${floatText(imm8(f))}`;
  },
});
/** Without leading zeros. */
const short = (text: string) => text.replace(/^0x0+(?=.)/, "0x");
/** VFPExpandImm as decimal text with 18 digits after the point, as disassemblers have it. */
export function floatText(imm: number): string {
  const exponent = ((imm >> 4) & 7) ^ 4;
  const v = (1 + (imm & 15) / 16) * 2 ** (exponent - 3) * (imm & 128 ? -1 : 1);
  return v.toExponential(18).replace(/e([+-])(\d)$/, "e$10$2");
}

export const simdMove: readonly Row[] = [...copies, ...permutations, extract, tables, modified];
