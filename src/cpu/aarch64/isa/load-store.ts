/** C4.1.88: loads and stores of general registers, but for exclusives and pairs. */
import type { Emitter, I64, LoadKind, Operand } from "../engine/emitter.ts";
import * as L from "../engine/layout.ts";
import { signExtend } from "./bits.ts";
import { hex, hex2, R, RSP } from "./common.ts";
import { axis, bit, type Row, row, source, stack, target } from "./row.ts";

interface Transfer {
  readonly name: string;
  readonly size: string;
  readonly opc: string;
  readonly bytes: 1 | 2 | 4 | 8;
  /** Absent for stores. */
  readonly load?: LoadKind;
  /** Whether the register is shown as X. */
  readonly sf: number;
}
const TRANSFERS: readonly Transfer[] = [
  { name: "strb", size: "00", opc: "00", bytes: 1, sf: 0 },
  { name: "ldrb", size: "00", opc: "01", bytes: 1, sf: 0, load: { size: 1 } },
  { name: "ldrsb", size: "00", opc: "10", bytes: 1, sf: 1, load: { size: 1, signed: 64 } },
  { name: "ldrsb", size: "00", opc: "11", bytes: 1, sf: 0, load: { size: 1, signed: 32 } },
  { name: "strh", size: "01", opc: "00", bytes: 2, sf: 0 },
  { name: "ldrh", size: "01", opc: "01", bytes: 2, sf: 0, load: { size: 2 } },
  { name: "ldrsh", size: "01", opc: "10", bytes: 2, sf: 1, load: { size: 2, signed: 64 } },
  { name: "ldrsh", size: "01", opc: "11", bytes: 2, sf: 0, load: { size: 2, signed: 32 } },
  { name: "str", size: "10", opc: "00", bytes: 4, sf: 0 },
  { name: "ldr", size: "10", opc: "01", bytes: 4, sf: 0, load: { size: 4 } },
  { name: "ldrsw", size: "10", opc: "10", bytes: 4, sf: 1, load: { size: 4, signed: 64 } },
  { name: "str", size: "11", opc: "00", bytes: 8, sf: 1 },
  { name: "ldr", size: "11", opc: "01", bytes: 8, sf: 1, load: { size: 8 } },
];
const scaleOf = (t: Transfer) => 31 - Math.clz32(t.bytes);
const base: Operand = { offset: L.SP };
/** Base register SP has handlers of its own, with the alignment check. */
export const stackAxis = axis([0, 1], (f: { Rn: number }) => (f.Rn === 31 ? 1 : 0));
export function baseOf(e: Emitter, o: { readonly n: Operand; readonly sp: number }): I64 {
  if (!o.sp) return e.x(o.n);
  e.checkStackPointer();
  return e.x(base);
}
const text = (imm: number) => (imm === 0 ? "" : `, #${imm}`);

function transfer(e: Emitter, t: Transfer, address: I64, r: Operand, access = 0): void {
  if (t.load) e.write(r, e.load(address, t.load, access));
  else e.store(address, e.x(r), t.bytes, access);
}
const data = <N extends string>(t: Transfer, field: N) => (t.load ? target(field) : source(field));

function forms(t: Transfer): Row[] {
  const { size, opc } = t as { size: "00"; opc: "00" };
  const unscaled = t.name.replace(/^(ld|st)r/, "$1ur");
  const unprivileged = t.name.replace(/^(ld|st)r/, "$1tr");
  const regs = { t: data(t, "Rt"), n: stack("Rn") } as const;
  const Rt = (f: { Rt: number }) => R(t.sf, f.Rt);
  const width = t.load ? `to ${t.sf ? 64 : 32} bits` : `${8 * t.bytes} bits`;
  return [
    row({
      name: `${t.name.toUpperCase()} (unsigned offset, ${width})`,
      section: "C6.2.160 to C6.2.305",
      bits: `${size} 111001 ${opc} imm12:12 Rn:5 Rt:5`,
      axes: { sp: stackAxis },
      regs,
      imm: (f) => f.imm12 << scaleOf(t),
      meaning: (e, o) => transfer(e, t, e.add(baseOf(e, o), e.imm64()), o.t),
      asm: (f) => `${t.name} ${Rt(f)}, [${RSP(1, f.Rn)}${text(f.imm12 << scaleOf(t))}]`,
    }),
    row({
      name: `${unscaled.toUpperCase()} (unscaled offset, ${width})`,
      section: "C6.2.172 to C6.2.306",
      bits: `${size} 111000 ${opc} 0 imm9:9 00 Rn:5 Rt:5`,
      axes: { sp: stackAxis },
      regs,
      imm: (f) => signExtend(f.imm9, 9),
      meaning: (e, o) => transfer(e, t, e.add(baseOf(e, o), e.imm64()), o.t),
      asm: (f) => `${unscaled} ${Rt(f)}, [${RSP(1, f.Rn)}${text(signExtend(f.imm9, 9))}]`,
    }),
    row({
      name: `${unprivileged.toUpperCase()} (unprivileged, ${width})`,
      section: "C6.2.168 to C6.2.303",
      bits: `${size} 111000 ${opc} 0 imm9:9 10 Rn:5 Rt:5`,
      axes: { sp: stackAxis },
      // those of 64 bits are what Linux copies from and to user space with
      cold: (v) => v.sp === 1 || t.bytes !== 8,
      regs,
      imm: (f) => signExtend(f.imm9, 9),
      meaning: (e, o) => transfer(e, t, e.add(baseOf(e, o), e.imm64()), o.t, L.ACCESS_UNPRIVILEGED),
      asm: (f) => `${unprivileged} ${Rt(f)}, [${RSP(1, f.Rn)}${text(signExtend(f.imm9, 9))}]`,
    }),
    // Rn == Rt with write-back is CONSTRAINED UNPREDICTABLE: the base takes the new address, a store stores the old one
    row({
      name: `${t.name.toUpperCase()} (post-indexed, pre-indexed, ${width})`,
      section: "C6.2.160 to C6.2.305",
      bits: `${size} 111000 ${opc} 0 imm9:9 pre 1 Rn:5 Rt:5`,
      axes: { sp: stackAxis, pre: bit("pre") },
      regs,
      imm: (f) => signExtend(f.imm9, 9),
      meaning: (e, o) => {
        const n = e.let(baseOf(e, o));
        if (o.pre) {
          const address = e.let(e.add(n, e.imm64()));
          transfer(e, t, address, o.t);
          e.write(o.sp ? base : o.n, address);
        } else {
          transfer(e, t, n, o.t);
          e.write(o.sp ? base : o.n, e.add(n, e.imm64()));
        }
      },
      asm: (f) => {
        const imm = signExtend(f.imm9, 9);
        return `${t.name} ${Rt(f)}, [${RSP(1, f.Rn)}${f.pre ? `, #${imm}]!` : `], #${imm}`}`;
      },
    }),
    row({
      name: `${t.name.toUpperCase()} (register offset, ${width})`,
      section: "C6.2.161 to C6.2.299",
      bits: `${size} 111000 ${opc} 1 Rm:5 option:3 S 10 Rn:5 Rt:5`,
      axes: { sp: stackAxis, option: registerOption },
      cold: (v) => v.sp === 1,
      regs: { ...regs, m: source("Rm") },
      undefinedIf: (f) => (f.option & 2) === 0,
      imm: (f) => (f.S ? scaleOf(t) : 0),
      meaning: (e, o) => transfer(e, t, registerOffset(e, o), o.t),
      asm: (f) => `${t.name} ${Rt(f)}, [${registerText(f, scaleOf(t))}]`,
    }),
  ];
}

/** UXTW, LSL, SXTW; SXTX is as LSL. */
export const registerOption = axis([2, 3, 6], (f: { option: number }) => (f.option === 7 ? 3 : f.option));
type RegisterForm = {
  readonly n: Operand;
  readonly m: Operand;
  readonly sp: number;
  readonly option: number;
};
export function registerOffset(e: Emitter, o: RegisterForm): I64 {
  const m = o.option === 3 ? e.x(o.m) : o.option === 2 ? e.extendU(e.w(o.m)) : e.extendS(e.w(o.m));
  return e.add(baseOf(e, o), e.shl(m, e.imm64()));
}
export function registerText(f: { Rm: number; Rn: number; option: number; S: number }, scale: number): string {
  const m = `${RSP(1, f.Rn)}, ${R(f.option & 1, f.Rm)}`;
  if (f.option === 3) return f.S ? `${m}, lsl #${scale}` : m;
  return `${m}, ${["uxtw", "", "", "", "sxtw", "sxtx"][f.option - 2]}${f.S ? ` #${scale}` : ""}`;
}

const imm19 = (f: { imm19: number }) => signExtend(f.imm19, 19) * 4;
const literals: readonly [string, "00", number, LoadKind][] = [
  ["ldr", "00", 0, { size: 4 }],
  ["ldr", "01" as "00", 1, { size: 8 }],
  ["ldrsw", "10" as "00", 1, { size: 4, signed: 64 }],
];
const literal = literals.map(([name, opc, sf, load]) =>
  row({
    name: `${name.toUpperCase()} (literal, to ${sf ? 64 : 32} bits)`,
    section: "C6.2.167, C6.2.179",
    bits: `${opc} 011000 imm19:19 Rt:5`,
    regs: { t: target("Rt") },
    imm: imm19,
    meaning: (e, o) => e.write(o.t, e.load(e.add(e.pc(), e.imm64()), load)),
    asm: (f, pc) => `${name} ${R(sf, f.Rt)}, ${hex(pc + imm19(f))}`,
  }),
);

// prefetches are hints and do nothing, not even an alignment check
function prefetchOperation(f: { Rt: number }): string {
  const level = (f.Rt >> 1) & 3;
  const type = ["pld", "pli", "pst"][f.Rt >> 3];
  return type === undefined || level === 3 ? `#${hex2(f.Rt)}` : `${type}l${level + 1}${f.Rt & 1 ? "strm" : "keep"}`;
}
const prefetchText = (f: { Rt: number }) => `prfm ${prefetchOperation(f)}`;
const prefetch: Row[] = [
  row({
    name: "PRFM (unsigned offset)",
    section: "C6.2.217",
    bits: "1111100110 imm12:12 Rn:5 Rt:5",
    meaning: () => {},
    asm: (f) => `${prefetchText(f)}, [${RSP(1, f.Rn)}${text(8 * f.imm12)}]`,
  }),
  row({
    name: "PRFM (literal)",
    section: "C6.2.218",
    bits: "11011000 imm19:19 Rt:5",
    meaning: () => {},
    asm: (f, pc) => `${prefetchText(f)}, ${hex(pc + imm19(f))}`,
  }),
  row({
    name: "PRFM (register)",
    section: "C6.2.219",
    bits: "11111000101 Rm:5 option:3 S 10 Rn:5 Rt:5",
    undefinedIf: (f) => (f.option & 2) === 0,
    meaning: () => {},
    asm: (f) => `${prefetchText(f)}, [${registerText(f, 3)}]`,
  }),
  row({
    name: "PRFUM",
    section: "C6.2.220",
    bits: "11111000100 imm9:9 00 Rn:5 Rt:5",
    meaning: () => {},
    asm: (f) => `prfum ${prefetchOperation(f)}, [${RSP(1, f.Rn)}${text(signExtend(f.imm9, 9))}]`,
  }),
];

export const loadStore: readonly Row[] = [...TRANSFERS.flatMap(forms), ...literal, ...prefetch];
