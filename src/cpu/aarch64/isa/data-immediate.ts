/** C4.1.86: data processing, immediate. */
import type { Emitter, Int } from "../engine/emitter.ts";
import { decodeBitMasks, and as maskAnd, not, ones, shiftLeft, signExtend } from "./bits.ts";
import { addFlags, hex, logicFlags, R, RSP, subFlags } from "./common.ts";
import { axis, bit, type Row, row, source, stack, target, type Wide } from "./row.ts";

const zero: Wide = { low: 0, high: 0 };
const widthMask = (sf: number, v: Wide): Wide => (sf ? v : maskAnd(v, ones(32)));

const pcRelative: Row[] = [
  row({
    name: "ADR",
    section: "C6.2.10",
    bits: "0 immlo:2 10000 immhi:19 Rd:5",
    regs: { d: target("Rd") },
    imm: (f) => signExtend((f.immhi << 2) | f.immlo, 21),
    meaning: (e, o) => e.write(o.d, e.add(e.pc(), e.imm64())),
    asm: (f, pc) => `adr ${R(1, f.Rd)}, ${hex(pc + signExtend((f.immhi << 2) | f.immlo, 21))}`,
  }),
  row({
    name: "ADRP",
    section: "C6.2.11",
    bits: "1 immlo:2 10000 immhi:19 Rd:5",
    regs: { d: target("Rd") },
    imm: (f) => signExtend((f.immhi << 2) | f.immlo, 21) * 4096,
    meaning: (e, o) => e.write(o.d, e.add(e.and(e.pc(), e.k64(-4096)), e.imm64())),
    asm: (f, pc) => `adrp ${R(1, f.Rd)}, ${hex(pc - (pc % 4096) + signExtend((f.immhi << 2) | f.immlo, 21) * 4096)}`,
  }),
];

const imm12 = (f: { sh: number; imm12: number }) => (f.sh ? f.imm12 << 12 : f.imm12);
const imm12Text = (f: { sh: number; imm12: number }) => `#${hex(f.imm12)}${f.sh ? ", lsl #12" : ""}`;
const addSubImmediate: Row[] = [
  row({
    name: "ADD, SUB (immediate)",
    section: "C6.2.4, C6.2.308",
    bits: "sf op 0 100010 sh imm12:12 Rn:5 Rd:5",
    axes: { sf: bit("sf"), op: bit("op") },
    regs: { d: stack("Rd"), n: stack("Rn") },
    imm: imm12,
    meaning: (e, o) => {
      const a = e.read(o.n, o.sf);
      const b = e.immediate(o.sf);
      e.write(o.d, o.op ? e.sub(a, b) : e.add(a, b));
    },
    asm: (f) =>
      !f.op && !f.sh && !f.imm12 && (f.Rd === 31 || f.Rn === 31)
        ? `mov ${RSP(f.sf, f.Rd)}, ${RSP(f.sf, f.Rn)}`
        : `${f.op ? "sub" : "add"} ${RSP(f.sf, f.Rd)}, ${RSP(f.sf, f.Rn)}, ${imm12Text(f)}`,
  }),
  row({
    name: "ADDS, SUBS (immediate)",
    section: "C6.2.7, C6.2.314",
    bits: "sf op 1 100010 sh imm12:12 Rn:5 Rd:5",
    // CMP and CMN drop the result
    axes: { sf: bit("sf"), op: bit("op"), compare: axis([0, 1], (f: { Rd: number }) => (f.Rd === 31 ? 1 : 0)) },
    regs: { d: target("Rd"), n: stack("Rn") },
    imm: imm12,
    meaning: (e, o) => {
      const r = (o.op ? subFlags : addFlags)(e, e.read(o.n, o.sf), e.immediate(o.sf));
      if (!o.compare) e.write(o.d, r);
    },
    asm: (f) =>
      f.Rd === 31
        ? `${f.op ? "cmp" : "cmn"} ${RSP(f.sf, f.Rn)}, ${imm12Text(f)}`
        : `${f.op ? "subs" : "adds"} ${R(f.sf, f.Rd)}, ${RSP(f.sf, f.Rn)}, ${imm12Text(f)}`,
  }),
];

const logicalMask = (f: { sf: number; N: number; imms: number; immr: number }) =>
  decodeBitMasks(f.N, f.imms, f.immr, true);
const logicalReserved = (f: { sf: number; N: number; imms: number; immr: number }) =>
  (!f.sf && f.N === 1) || logicalMask(f) === null;
const logicalImmediate = (f: { sf: number; N: number; imms: number; immr: number }) =>
  widthMask(f.sf, logicalMask(f)?.wmask ?? zero);
const wideText = (v: Wide) =>
  v.high === 0 ? hex(v.low >>> 0) : `0x${(v.high >>> 0).toString(16)}${(v.low >>> 0).toString(16).padStart(8, "0")}`;
const logicals: readonly [string, string, string, (e: Emitter, a: Int, b: Int) => Int][] = [
  ["AND", "00", "C6.2.12", (e, a, b) => e.and(a, b)],
  ["ORR", "01", "C6.2.207", (e, a, b) => e.or(a, b)],
  ["EOR", "10", "C6.2.83", (e, a, b) => e.xor(a, b)],
];
const logical: Row[] = [
  ...logicals.map(([name, opc, section, apply]) =>
    row({
      name: `${name} (immediate)`,
      section,
      bits: `sf ${opc as "00"} 100100 N immr:6 imms:6 Rn:5 Rd:5`,
      axes: { sf: bit("sf") },
      regs: { d: stack("Rd"), n: source("Rn") },
      undefinedIf: logicalReserved,
      imm: logicalImmediate,
      meaning: (e, o) => e.write(o.d, apply(e, e.read(o.n, o.sf), e.immediate(o.sf))),
      asm: (f) =>
        name === "ORR" && f.Rn === 31
          ? `mov ${RSP(f.sf, f.Rd)}, #${wideText(logicalImmediate(f))}`
          : `${name.toLowerCase()} ${RSP(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, #${wideText(logicalImmediate(f))}`,
    }),
  ),
  row({
    name: "ANDS (immediate)",
    section: "C6.2.14",
    bits: "sf 11 100100 N immr:6 imms:6 Rn:5 Rd:5",
    axes: { sf: bit("sf") },
    regs: { d: target("Rd"), n: source("Rn") },
    undefinedIf: logicalReserved,
    imm: logicalImmediate,
    meaning: (e, o) => e.write(o.d, logicFlags(e, e.and(e.read(o.n, o.sf), e.immediate(o.sf)))),
    asm: (f) =>
      f.Rd === 31
        ? `tst ${R(f.sf, f.Rn)}, #${wideText(logicalImmediate(f))}`
        : `ands ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, #${wideText(logicalImmediate(f))}`,
  }),
];

const moveReserved = (f: { sf: number; hw: number }) => !f.sf && f.hw > 1;
const moved = (f: { imm16: number; hw: number }) => shiftLeft({ low: f.imm16, high: 0 }, 16 * f.hw);
const movePlain = (f: { imm16: number; hw: number }) => f.imm16 !== 0 || f.hw === 0;
const moveWide: Row[] = [
  row({
    name: "MOVN",
    section: "C6.2.191",
    bits: "sf 00 100101 hw:2 imm16:16 Rd:5",
    regs: { d: target("Rd") },
    undefinedIf: moveReserved,
    imm: (f) => widthMask(f.sf, not(moved(f))),
    meaning: (e, o) => e.write(o.d, e.imm64()),
    asm: (f) =>
      movePlain(f) && (f.sf || f.imm16 !== 0xffff)
        ? `mov ${R(f.sf, f.Rd)}, #${wideText(widthMask(f.sf, not(moved(f))))}`
        : `movn ${R(f.sf, f.Rd)}, #${hex(f.imm16)}${f.hw ? `, lsl #${16 * f.hw}` : ""}`,
  }),
  row({
    name: "MOVZ",
    section: "C6.2.192",
    bits: "sf 10 100101 hw:2 imm16:16 Rd:5",
    regs: { d: target("Rd") },
    undefinedIf: moveReserved,
    imm: moved,
    meaning: (e, o) => e.write(o.d, e.imm64()),
    asm: (f) =>
      movePlain(f)
        ? `mov ${R(f.sf, f.Rd)}, #${wideText(moved(f))}`
        : `movz ${R(f.sf, f.Rd)}, #${hex(f.imm16)}${f.hw ? `, lsl #${16 * f.hw}` : ""}`,
  }),
  row({
    name: "MOVK",
    section: "C6.2.190",
    bits: "sf 11 100101 hw:2 imm16:16 Rd:5",
    axes: { sf: bit("sf"), hw: axis([0, 1, 2, 3], (f: { hw: number }) => f.hw) },
    never: (v) => v.sf === 0 && v.hw > 1,
    regs: { d: target("Rd"), n: source("Rd") },
    undefinedIf: moveReserved,
    imm: moved,
    meaning: (e, o) => {
      const keep = not(shiftLeft({ low: 0xffff, high: 0 }, 16 * o.hw));
      const mask: Int = o.sf ? e.k64(keep.low, keep.high) : e.k32(keep.low);
      e.write(o.d, e.or(e.and(e.read(o.n, o.sf), mask), e.immediate(o.sf)));
    },
    asm: (f) => `movk ${R(f.sf, f.Rd)}, #${hex(f.imm16)}${f.hw ? `, lsl #${16 * f.hw}` : ""}`,
  }),
];

/** wmask AND tmask selects the bits of the rotated source; see BFM, UBFM (C6.2.32, C6.2.339). */
const fieldMask = (f: { sf: number; N: number; imms: number; immr: number }) => {
  const masks = decodeBitMasks(f.N, f.imms, f.immr, false);
  return masks ? widthMask(f.sf, maskAnd(masks.wmask, masks.tmask)) : zero;
};
const fieldReserved = (f: { sf: number; N: number; imms: number; immr: number }) =>
  f.N !== f.sf || (!f.sf && (f.immr > 31 || f.imms > 31));
type FieldForm = { sf: number; imms: number; immr: number };
const LSR_FORM = 1;
const LSL_FORM = 2;
const unsignedForm = (f: FieldForm) => {
  const top = f.sf ? 63 : 31;
  return f.imms === top ? LSR_FORM : f.imms + 1 === f.immr ? LSL_FORM : 0;
};
const ASR_FORM = 1;
const SXTW_FORM = 2;
const signedForm = (f: FieldForm) =>
  f.imms === (f.sf ? 63 : 31) ? ASR_FORM : f.sf && f.immr === 0 && f.imms === 31 ? SXTW_FORM : 0;
const fieldText = (p: string, f: FieldForm & { Rd: number; Rn: number }) => {
  const size = f.sf ? 64 : 32;
  const low = p === "bf" ? "bfxil" : `${p}x`;
  const high = p === "bf" ? "bfi" : `${p}iz`;
  const regs = `${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`;
  return f.imms < f.immr
    ? `${high} ${regs}, #${size - f.immr}, #${f.imms + 1}`
    : `${low} ${regs}, #${f.immr}, #${f.imms - f.immr + 1}`;
};
const bitfield: Row[] = [
  row({
    name: "UBFM",
    section: "C6.2.339",
    bits: "sf 10 100110 N immr:6 imms:6 Rn:5 Rd:5",
    axes: { sf: bit("sf"), form: axis([0, LSR_FORM, LSL_FORM], unsignedForm) },
    regs: { d: target("Rd"), n: source("Rn") },
    undefinedIf: fieldReserved,
    aux: (f) => f.immr,
    imm: (f) => {
      const form = unsignedForm(f);
      return form === LSR_FORM ? f.immr : form === LSL_FORM ? (f.sf ? 63 : 31) - f.imms : fieldMask(f);
    },
    meaning: (e, o) => {
      const a = e.read(o.n, o.sf);
      if (o.form === LSR_FORM) e.write(o.d, e.shr(a, e.immediate(o.sf)));
      else if (o.form === LSL_FORM) e.write(o.d, e.shl(a, e.immediate(o.sf)));
      else e.write(o.d, e.and(e.ror(a, o.sf ? e.extendU(e.aux()) : e.aux()), e.immediate(o.sf)));
    },
    asm: (f) => {
      const regs = `${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`;
      const form = unsignedForm(f);
      if (form === LSR_FORM) return `lsr ${regs}, #${f.immr}`;
      if (form === LSL_FORM) return `lsl ${regs}, #${(f.sf ? 63 : 31) - f.imms}`;
      if (!f.sf && f.immr === 0 && f.imms === 7) return `uxtb ${regs}`;
      if (!f.sf && f.immr === 0 && f.imms === 15) return `uxth ${regs}`;
      return fieldText("ubf", f);
    },
  }),
  row({
    name: "SBFM",
    section: "C6.2.234",
    bits: "sf 00 100110 N immr:6 imms:6 Rn:5 Rd:5",
    axes: { sf: bit("sf"), form: axis([0, ASR_FORM, SXTW_FORM], signedForm) },
    never: (v) => v.sf === 0 && v.form === SXTW_FORM,
    regs: { d: target("Rd"), n: source("Rn") },
    undefinedIf: fieldReserved,
    // up by `aux` so that the sign bit is at the top, then down arithmetically
    aux: (f) => (f.sf ? 63 : 31) - f.imms,
    imm: (f) => (f.imms >= f.immr ? (f.sf ? 63 : 31) - f.imms + f.immr : f.immr - 1 - f.imms),
    meaning: (e, o) => {
      const a = e.read(o.n, o.sf);
      if (o.form === ASR_FORM) e.write(o.d, e.sar(a, e.immediate(o.sf)));
      else if (o.form === SXTW_FORM) e.write(o.d, e.extendS(e.w(o.n)));
      else e.write(o.d, e.sar(e.shl(a, o.sf ? e.extendU(e.aux()) : e.aux()), e.immediate(o.sf)));
    },
    asm: (f) => {
      const regs = `${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}`;
      if (signedForm(f) === ASR_FORM) return `asr ${regs}, #${f.immr}`;
      const narrow = `${R(f.sf, f.Rd)}, ${R(0, f.Rn)}`;
      if (f.immr === 0 && f.imms === 7) return `sxtb ${narrow}`;
      if (f.immr === 0 && f.imms === 15) return `sxth ${narrow}`;
      if (f.immr === 0 && f.imms === 31) return `sxtw ${narrow}`;
      return fieldText("sbf", f);
    },
  }),
  row({
    name: "BFM",
    section: "C6.2.32",
    bits: "sf 01 100110 N immr:6 imms:6 Rn:5 Rd:5",
    axes: { sf: bit("sf") },
    regs: { d: target("Rd"), n: source("Rn") },
    undefinedIf: fieldReserved,
    // the destination is read too; from the write sink it gives garbage, which goes there again
    aux: (f) => f.immr,
    imm: fieldMask,
    meaning: (e, o) => {
      const mask = e.let(e.immediate(o.sf));
      const moved = e.and(e.ror(e.read(o.n, o.sf), o.sf ? e.extendU(e.aux()) : e.aux()), mask);
      e.write(o.d, e.or(e.and(e.read(o.d, o.sf), e.not(mask)), moved));
    },
    asm: (f) => fieldText("bf", f),
  }),
];

const extract: Row[] = [
  row({
    name: "EXTR",
    section: "C6.2.84",
    bits: "sf 00 100111 N 0 Rm:5 imms:6 Rn:5 Rd:5",
    axes: { sf: bit("sf"), rotate: axis([0, 1], (f: { Rn: number; Rm: number }) => (f.Rn === f.Rm ? 1 : 0)) },
    regs: { d: target("Rd"), n: source("Rn"), m: source("Rm") },
    undefinedIf: (f) => f.N !== f.sf || (!f.sf && f.imms > 31),
    imm: (f) => f.imms,
    meaning: (e, o) => {
      if (o.rotate) {
        e.write(o.d, e.ror(e.read(o.m, o.sf), e.immediate(o.sf)));
        return;
      }
      const lsb = e.let(e.immediate(o.sf));
      const low = e.shr(e.read(o.m, o.sf), lsb);
      const n = e.read(o.n, o.sf);
      // two shifts, so that a shift by the full width gives 0
      const high = e.shl(e.shl(n, e.like(n, 1)), e.sub(e.like(n, o.sf ? 63 : 31), lsb));
      e.write(o.d, e.or(low, high));
    },
    asm: (f) =>
      f.Rn === f.Rm
        ? `ror ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, #${f.imms}`
        : `extr ${R(f.sf, f.Rd)}, ${R(f.sf, f.Rn)}, ${R(f.sf, f.Rm)}, #${f.imms}`,
  }),
];

export const dataImmediate: readonly Row[] = [
  ...pcRelative,
  ...addSubImmediate,
  ...logical,
  ...moveWide,
  ...bitfield,
  ...extract,
];
