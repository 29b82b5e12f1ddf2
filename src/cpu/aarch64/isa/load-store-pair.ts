/** C4.1.88: pairs, exclusives and ordered accesses of general registers. */
import type { Operand } from "../engine/emitter.ts";
import * as L from "../engine/layout.ts";
import { signExtend } from "./bits.ts";
import { R, RSP } from "./common.ts";
import { baseOf, stackAxis } from "./load-store.ts";
import { axis, bit, type Row, row, source, stack, target } from "./row.ts";

const SP: Operand = { offset: L.SP };
export const POST = 1;
export const PRE = 3;
/** 0 non-temporal (a hint), 1 post-indexed, 2 offset, 3 pre-indexed; 0 is as 2. */
export const modeAxis = axis([POST, 2, PRE], (f: { mode: number }) => (f.mode === 0 ? 2 : f.mode));
export function pairText(f: { mode: number; imm7: number; Rn: number }, scale: number): string {
  const imm = signExtend(f.imm7, 7) * scale;
  const n = RSP(1, f.Rn);
  if (f.mode === POST) return `[${n}], #${imm}`;
  return f.mode === PRE ? `[${n}, #${imm}]!` : `[${n}${imm === 0 ? "" : `, #${imm}`}]`;
}

const pairs: readonly [string, "00", 4 | 8, boolean, number][] = [
  ["stp", "00", 4, false, 0],
  ["ldp", "00", 4, false, 1],
  ["ldpsw", "01" as "00", 4, true, 1],
  ["stp", "10" as "00", 8, false, 0],
  ["ldp", "10" as "00", 8, false, 1],
];
const pair = pairs.map(([name, opc, size, signed, load]) =>
  row({
    name: `${name.toUpperCase()}, ${name.replace("p", "np").toUpperCase()} (${8 * size} bits${signed ? ", signed" : ""})`,
    section: load ? "C6.2.156, C6.2.157, C6.2.158" : "C6.2.290, C6.2.289",
    bits: `${opc} 10100 mode:2 ${(load ? "1" : "0") as "0"} imm7:7 Rt2:5 Rn:5 Rt:5`,
    axes: { sp: stackAxis, mode: modeAxis },
    regs: {
      t: load ? target("Rt") : source("Rt"),
      n: stack("Rn"),
      u: load ? target("Rt2") : source("Rt2"),
    },
    undefinedIf: (f) => signed && f.mode === 0,
    imm: (f) => signExtend(f.imm7, 7) * size,
    // Rt == Rt2 and Rn among the loaded registers with write-back are CONSTRAINED UNPREDICTABLE: later writes win
    meaning: (e, o) => {
      const n = e.let(baseOf(e, o));
      const moved = o.mode === POST ? undefined : e.let(e.add(n, e.imm64()));
      const address = moved ?? n;
      if (load) {
        const [first, second] = e.loadPair(address, size, signed);
        e.write(o.t, first);
        e.write(o.u, second);
      } else e.storePair(address, e.x(o.t), e.x(o.u), size);
      if (o.mode !== 2) e.write(o.sp ? SP : o.n, moved ?? e.add(n, e.imm64()));
    },
    asm: (f) => {
      const sf = size === 8 || signed ? 1 : 0;
      const text = f.mode === 0 ? name.replace("p", "np") : name;
      return `${text} ${R(sf, f.Rt)}, ${R(sf, f.Rt2)}, ${pairText(f, size)}`;
    },
  }),
);

const SUFFIX = { 1: "b", 2: "h", 4: "", 8: "" } as const;
const SIZES = [
  ["00", 1],
  ["01", 2],
  ["10", 4],
  ["11", 8],
] as const;
const exclusives: Row[] = SIZES.flatMap(([bits, size]) => {
  const pattern = bits as "00";
  const sf = size === 8 ? 1 : 0;
  const s = SUFFIX[size];
  const S = s.toUpperCase();
  const ordered = bit("o0");
  return [
    row({
      name: `LDXR${S}, LDAXR${S} (${8 * size} bits)`,
      section: "C6.2.174, C6.2.132",
      bits: `${pattern} 001000 010 Rs:5 o0 Rt2:5 Rn:5 Rt:5`,
      axes: { sp: stackAxis, o0: ordered },
      regs: { t: target("Rt"), n: stack("Rn") },
      meaning: (e, o) => e.write(o.t, e.loadExclusive(baseOf(e, o), size, o.o0 ? L.ACCESS_ORDERED : 0)),
      asm: (f) => `ld${f.o0 ? "a" : ""}xr${s} ${R(sf, f.Rt)}, [${RSP(1, f.Rn)}]`,
    }),
    row({
      name: `STXR${S}, STLXR${S} (${8 * size} bits)`,
      section: "C6.2.302, C6.2.297",
      bits: `${pattern} 001000 000 Rs:5 o0 Rt2:5 Rn:5 Rt:5`,
      axes: { sp: stackAxis, o0: ordered },
      regs: { s: target("Rs"), n: stack("Rn"), t: source("Rt") },
      meaning: (e, o) => {
        const failed = e.storeExclusive(baseOf(e, o), e.x(o.t), size, o.o0 ? L.ACCESS_ORDERED : 0);
        e.write(o.s, failed);
      },
      asm: (f) => `st${f.o0 ? "l" : ""}xr${s} ${R(0, f.Rs)}, ${R(sf, f.Rt)}, [${RSP(1, f.Rn)}]`,
    }),
    row({
      name: `LDAR${S} (${8 * size} bits)`,
      section: "C6.2.129",
      bits: `${pattern} 001000 110 Rs:5 1 Rt2:5 Rn:5 Rt:5`,
      axes: { sp: stackAxis },
      regs: { t: target("Rt"), n: stack("Rn") },
      meaning: (e, o) => e.write(o.t, e.load(baseOf(e, o), { size }, L.ACCESS_ORDERED)),
      asm: (f) => `ldar${s} ${R(sf, f.Rt)}, [${RSP(1, f.Rn)}]`,
    }),
    row({
      name: `STLR${S} (${8 * size} bits)`,
      section: "C6.2.294",
      bits: `${pattern} 001000 100 Rs:5 1 Rt2:5 Rn:5 Rt:5`,
      axes: { sp: stackAxis },
      regs: { t: source("Rt"), n: stack("Rn") },
      meaning: (e, o) => e.store(baseOf(e, o), e.x(o.t), size, L.ACCESS_ORDERED),
      asm: (f) => `stlr${s} ${R(sf, f.Rt)}, [${RSP(1, f.Rn)}]`,
    }),
  ];
});

const exclusivePairs: Row[] = ([4, 8] as const).flatMap((size) => {
  const sz = (size === 8 ? "1" : "0") as "0";
  const sf = size === 8 ? 1 : 0;
  return [
    row({
      name: `LDXP, LDAXP (${8 * size} bits)`,
      section: "C6.2.173, C6.2.131",
      bits: `1${sz} 001000 011 Rs:5 o0 Rt2:5 Rn:5 Rt:5`,
      axes: { sp: stackAxis, o0: bit("o0") },
      cold: true,
      regs: { t: target("Rt"), n: stack("Rn"), u: target("Rt2") },
      meaning: (e, o) => {
        const access = L.ACCESS_EXCLUSIVE | (o.o0 ? L.ACCESS_ORDERED : 0);
        const address = e.let(baseOf(e, o));
        const [first, second] = e.loadPair(address, size, false, access);
        e.setContext(L.EXCLUSIVE_ADDRESS, address);
        // the monitor holds memory order: one doubleword for a pair of words
        e.setContext(L.EXCLUSIVE_VALUE, size === 8 ? first : e.or(first, e.shl(second, e.k64(32))));
        e.setContext(L.EXCLUSIVE_VALUE_HIGH, size === 8 ? second : e.k64(0));
        e.setContext(L.EXCLUSIVE_SIZE, e.k32(2 * size));
        e.write(o.t, first);
        e.write(o.u, second);
      },
      asm: (f) => `ld${f.o0 ? "a" : ""}xp ${R(sf, f.Rt)}, ${R(sf, f.Rt2)}, [${RSP(1, f.Rn)}]`,
    }),
    row({
      name: `STXP, STLXP (${8 * size} bits)`,
      section: "C6.2.301, C6.2.296",
      bits: `1${sz} 001000 001 Rs:5 o0 Rt2:5 Rn:5 Rt:5`,
      axes: { sp: stackAxis, o0: bit("o0") },
      cold: true,
      regs: { s: target("Rs"), n: stack("Rn"), t: source("Rt"), u: source("Rt2") },
      meaning: (e, o) => {
        const access = L.ACCESS_PAIR | L.ACCESS_EXCLUSIVE | (o.o0 ? L.ACCESS_ORDERED : 0);
        const address = e.let(baseOf(e, o));
        if (size === 8) {
          e.setContext(L.MAIL_VALUE, e.x(o.t));
          e.setContext(L.MAIL_VALUE_HIGH, e.x(o.u));
        } else {
          e.setContext(L.MAIL_VALUE, e.or(e.extendU(e.w(o.t)), e.shl(e.x(o.u), e.k64(32))));
        }
        e.storeSlow(address, e.k32(2 * size), e.k32(access));
        e.write(o.s, e.contextI32(L.MAIL_WORD));
        e.clearExclusive();
      },
      asm: (f) => `st${f.o0 ? "l" : ""}xp ${R(0, f.Rs)}, ${R(sf, f.Rt)}, ${R(sf, f.Rt2)}, [${RSP(1, f.Rn)}]`,
    }),
  ];
});

export const loadStorePair: readonly Row[] = [...pair, ...exclusives, ...exclusivePairs];
