/**
 * C4.1.94: the atomic instructions of FEAT_LSE (Armv8.1). Each is a load and a store of one operation: CPUs take turns between
 * operations, so nothing comes in between, and acquire and release add nothing. The load goes first: a fault that a read would have
 * has WnR 0 (D17.2.37). A comparison that fails stores what it loaded, so that write permission counts either way.
 */
import type { Emitter, I64, Operand } from "../engine/emitter.ts";
import * as L from "../engine/layout.ts";
import { R, RSP } from "./common.ts";
import { baseOf, stackAxis } from "./load-store.ts";
import { type Role, type Row, row, source, stack, target } from "./row.ts";

type Size = 1 | 2 | 4 | 8;
const SIZES = [
  ["00", 1, "b"],
  ["01", 2, "h"],
  ["10", 4, ""],
  ["11", 8, ""],
] as const;
/** Alignment is checked whatever SCTLR_ELx.A says. */
const ACCESS = L.ACCESS_ORDERED | L.ACCESS_ATOMIC;

type Operation = (e: Emitter, old: I64, value: I64) => I64;
/** The lesser or greater of two that have been extended from the size. */
const extreme =
  (signed: boolean, greater: boolean, size: Size): Operation =>
  (e, old, x) => {
    const extend = (a: I64): I64 => {
      if (size === 8) return a;
      return signed ? e.sext(a, (8 * size) as 8) : e.and(a, size === 4 ? e.k64(-1, 0) : e.k64(2 ** (8 * size) - 1));
    };
    const a = e.let(extend(old));
    const b = e.let(extend(x));
    const less = signed ? e.ltS(a, b) : e.ltU(a, b);
    return greater ? e.select(less, b, a) : e.select(less, a, b);
  };
const OPERATIONS: readonly (readonly [name: string, opc: string, of: (size: Size) => Operation])[] = [
  ["add", "0000", () => (e, old, x) => e.add(old, x)],
  ["clr", "0001", () => (e, old, x) => e.and(old, e.not(x))],
  ["eor", "0010", () => (e, old, x) => e.xor(old, x)],
  ["set", "0011", () => (e, old, x) => e.or(old, x)],
  ["smax", "0100", (size) => extreme(true, true, size)],
  ["smin", "0101", (size) => extreme(true, false, size)],
  ["umax", "0110", (size) => extreme(false, true, size)],
  ["umin", "0111", (size) => extreme(false, false, size)],
  ["swp", "1000", () => (_e, _old, x) => x],
];
const ordering = (acquire: number, release: number) => `${acquire ? "a" : ""}${release ? "l" : ""}`;

const operations = OPERATIONS.flatMap(([name, opc, of]) =>
  SIZES.map(([bits, size, suffix]) => {
    const sf = size === 8 ? 1 : 0;
    const operation = of(size);
    const swap = name === "swp";
    const load = `${swap ? "" : "ld"}${name}`;
    return row({
      name: `${load.toUpperCase()}${swap ? "" : `, ST${name.toUpperCase()}`} (${8 * size} bits)`,
      section: `C6.2, ${load.toUpperCase()}${suffix.toUpperCase()}`,
      feature: "LSE",
      bits: `${bits as "00"} 111000 A R 1 Rs:5 ${opc as "0000"} 00 Rn:5 Rt:5`,
      axes: { sp: stackAxis },
      cold: true,
      regs: { t: target("Rt"), n: stack("Rn"), s: source("Rs") },
      meaning: (e, o) => {
        const address = e.let(baseOf(e, o));
        const old = e.load(address, { size }, ACCESS);
        e.store(address, e.let(operation(e, old, e.x(o.s))), size, ACCESS);
        e.write(o.t, old);
      },
      asm: (f) => {
        const memory = `[${RSP(1, f.Rn)}]`;
        if (!swap && f.Rt === 31 && !f.A) return `st${name}${ordering(0, f.R)}${suffix} ${R(sf, f.Rs)}, ${memory}`;
        return `${load}${ordering(f.A, f.R)}${suffix} ${R(sf, f.Rs)}, ${R(sf, f.Rt)}, ${memory}`;
      },
    });
  }),
);

const compareAndSwap = SIZES.map(([bits, size, suffix]) => {
  const sf = size === 8 ? 1 : 0;
  return row({
    name: `CAS (${8 * size} bits)`,
    section: `C6.2, CAS${suffix.toUpperCase()}`,
    feature: "LSE",
    bits: `${bits as "00"} 001000 1 A 1 Rs:5 R 11111 Rn:5 Rt:5`,
    axes: { sp: stackAxis },
    cold: true,
    regs: { s: target("Rs"), n: stack("Rn"), t: source("Rt"), c: source("Rs") },
    meaning: (e, o) => {
      const address = e.let(baseOf(e, o));
      const old = e.load(address, { size }, ACCESS);
      const low: I64 = size === 8 ? e.x(o.c) : e.and(e.x(o.c), size === 4 ? e.k64(-1, 0) : e.k64(2 ** (8 * size) - 1));
      e.store(address, e.let(e.select(e.eq(old, low), e.x(o.t), old)), size, ACCESS);
      e.write(o.s, old);
    },
    asm: (f) => `cas${ordering(f.A, f.R)}${suffix} ${R(sf, f.Rs)}, ${R(sf, f.Rt)}, [${RSP(1, f.Rn)}]`,
  });
});

/** The register after an even one as destination; after X30 comes ZR. */
const next = <N extends string>(field: N): Role<N> => ({
  field,
  offset: (n) => (n === 30 ? L.SINK : L.X + 8 * (n + 1)),
});
/** The same as source: it lies behind the even one, ZR behind X30. */
const second = (e: Emitter, r: Operand, bytes: number): I64 => e.element(r, bytes, 8);

const pairRegisters = { s: source("Rs"), n: stack("Rn"), t: source("Rt"), u: next("Rs") } as const;
const odd = (f: { Rs: number; Rt: number }) => ((f.Rs | f.Rt) & 1) !== 0;
const pairText = (sf: number) => (f: { A: number; R: number; Rs: number; Rt: number; Rn: number }) => {
  const two = (n: number) => `${R(sf, n)}, ${R(sf, n + 1)}`;
  return `casp${ordering(f.A, f.R)} ${two(f.Rs)}, ${two(f.Rt)}, [${RSP(1, f.Rn)}]`;
};
const compareAndSwapPair: readonly Row[] = [
  row({
    name: "CASP (two of 32 bits)",
    section: "C6.2, CASP",
    feature: "LSE",
    bits: "00 001000 0 A 1 Rs:5 R 11111 Rn:5 Rt:5",
    axes: { sp: stackAxis },
    cold: true,
    regs: pairRegisters,
    undefinedIf: odd,
    meaning: (e, o) => {
      const both = (r: Operand) => e.or(e.element(r, 4, 0), e.shl(second(e, r, 4), e.k64(32)));
      const address = e.let(baseOf(e, o));
      const old = e.load(address, { size: 8 }, ACCESS);
      e.store(address, e.let(e.select(e.eq(old, both(o.s)), both(o.t), old)), 8, ACCESS);
      e.write(o.s, e.wrap(old));
      e.write(o.u, e.shr(old, e.k64(32)));
    },
    asm: pairText(0),
  }),
  row({
    name: "CASP (two of 64 bits)",
    section: "C6.2, CASP",
    feature: "LSE",
    bits: "01 001000 0 A 1 Rs:5 R 11111 Rn:5 Rt:5",
    axes: { sp: stackAxis },
    cold: true,
    regs: pairRegisters,
    undefinedIf: odd,
    meaning: (e, o) => {
      const address = e.let(baseOf(e, o));
      // exclusive for the alignment to the whole pair
      const [low, high] = e.loadPair(address, 8, false, L.ACCESS_EXCLUSIVE | L.ACCESS_ATOMIC);
      const same = e.let(e.and(e.eq(low, e.x(o.s)), e.eq(high, second(e, o.s, 8))));
      const newLow = e.let(e.select(same, e.x(o.t), low));
      const newHigh = e.let(e.select(same, second(e, o.t, 8), high));
      e.storePair(address, newLow, newHigh, 8, L.ACCESS_ATOMIC);
      e.write(o.s, low);
      e.write(o.u, high);
    },
    asm: pairText(1),
  }),
];

export const atomics: readonly Row[] = [...operations, ...compareAndSwap, ...compareAndSwapPair];
