/** C4.1.90: FEAT_RDM (Armv8.1): SQRDMLAH and SQRDMLSH, on vectors, scalars and by element. */
import type { Emitter, I32, I64, Operand, V128 } from "../engine/emitter.ts";
import { saturate } from "./lanes.ts";
import { axis, type Row, row } from "./row.ts";
import { arrangement } from "./simd-memory.ts";
import { elementImmediate, elementRegister, elementText } from "./simd-three.ts";
import { qAxis, three } from "./vector-operands.ts";

const sizeAxis = axis([1, 2], (f: { size: number }) => f.size);
const reserved = (f: { size: number }) => f.size === 0 || f.size === 3;
const scalarText = (f: { size: number }, n: number) => `${"bhsd"[f.size]}${n}`;

/** Of elements of 16 or 32 bits. Half of what the manual adds up, which so stays within 64 bits: at most 2 to the 63rd, negative. */
const accumulate = (e: Emitter, subtract: boolean, a: I64, b: I64, d: I64, bytes: number): I64 => {
  const by = 8 * bytes - 1;
  const product = e.mul(a, b);
  const shifted = e.shl(d, e.k64(by));
  const sum = subtract ? e.sub(shifted, product) : e.add(shifted, product);
  return saturate(e, e.sar(e.add(sum, e.k64(2 ** (by - 1))), e.k64(by)), bytes, true);
};
function lanes(e: Emitter, subtract: boolean, size: number, limit: number | I32, n: V128, m: V128, d: Operand): V128 {
  const bytes = 1 << size;
  const sources = [n, m, e.v(d)].map((v) => ({ v, bytes, signed: true }));
  return e.mapLanes(bytes, limit, sources, (a, b, acc) => accumulate(e, subtract, a, b, acc, bytes));
}
const splat = (e: Emitter, m: Operand, size: number) => e.let(e.splat(1 << size, e.element(m, 1 << size, e.immHigh())));

const NAMES = [
  ["SQRDMLAH", false, "0"],
  ["SQRDMLSH", true, "1"],
] as const;
const common = { feature: "RDM", fp: true, cold: true, undefinedIf: reserved } as const;

export const roundingMultiply: readonly Row[] = NAMES.flatMap(([name, subtract, bit]) => {
  const S = bit as "0";
  const indexed = { ...three, m: elementRegister };
  const text = name.toLowerCase();
  return [
    row({
      ...common,
      name: `${name} (vector)`,
      section: `C7.2, ${name} (vector)`,
      bits: `0 Q 101110 size:2 0 Rm:5 1000 ${S} 1 Rn:5 Rd:5`,
      axes: { q: qAxis, size: sizeAxis },
      regs: three,
      meaning: (e, o) => e.writeQ(o.d, lanes(e, subtract, o.size, o.q ? 16 : 8, e.v(o.n), e.v(o.m), o.d), o.q),
      asm: (f) => {
        const t = arrangement(f.size, f.Q);
        return `${text} v${f.Rd}.${t}, v${f.Rn}.${t}, v${f.Rm}.${t}`;
      },
    }),
    row({
      ...common,
      name: `${name} (scalar)`,
      section: `C7.2, ${name} (vector)`,
      bits: `01 111110 size:2 0 Rm:5 1000 ${S} 1 Rn:5 Rd:5`,
      axes: { size: sizeAxis },
      regs: three,
      meaning: (e, o) => e.writeV(o.d, lanes(e, subtract, o.size, 1 << o.size, e.v(o.n), e.v(o.m), o.d)),
      asm: (f) => `${text} ${scalarText(f, f.Rd)}, ${scalarText(f, f.Rn)}, ${scalarText(f, f.Rm)}`,
    }),
    row({
      ...common,
      name: `${name} (by element)`,
      section: `C7.2, ${name} (by element)`,
      bits: `0 Q 101111 size:2 L Rm:5 11 ${S} 1 H 0 Rn:5 Rd:5`,
      axes: { q: qAxis, size: sizeAxis },
      regs: indexed,
      imm: (f) => elementImmediate(f, 0),
      meaning: (e, o) => {
        const m = splat(e, o.m, o.size);
        e.writeQ(o.d, lanes(e, subtract, o.size, o.q ? 16 : 8, e.v(o.n), m, o.d), o.q);
      },
      asm: (f) => {
        const t = arrangement(f.size, f.Q);
        return `${text} v${f.Rd}.${t}, v${f.Rn}.${t}, ${elementText(f)}`;
      },
    }),
    row({
      ...common,
      name: `${name} (by element, scalar)`,
      section: `C7.2, ${name} (by element)`,
      bits: `01 111111 size:2 L Rm:5 11 ${S} 1 H 0 Rn:5 Rd:5`,
      axes: { size: sizeAxis },
      regs: indexed,
      imm: (f) => elementImmediate(f, 0),
      meaning: (e, o) => {
        const m = splat(e, o.m, o.size);
        e.writeV(o.d, lanes(e, subtract, o.size, 1 << o.size, e.v(o.n), m, o.d));
      },
      asm: (f) => `${text} ${scalarText(f, f.Rd)}, ${scalarText(f, f.Rn)}, ${elementText(f)}`,
    }),
  ];
});
