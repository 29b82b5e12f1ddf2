/** C4.1.88: loads and stores of SIMD and floating-point registers. */
import type { Emitter, I64, Operand, V128 } from "../engine/emitter.ts";
import * as L from "../engine/layout.ts";
import { signExtend } from "./bits.ts";
import { hex, R, RSP, registerList } from "./common.ts";
import { baseOf, registerOffset, registerOption, registerText, stackAxis } from "./load-store.ts";
import { modeAxis, POST, pairText } from "./load-store-pair.ts";
import { axis, bit, type Row, row, source, stack, vector } from "./row.ts";

const SP: Operand = { offset: L.SP };
const text = (imm: number) => (imm === 0 ? "" : `, #${imm}`);

interface Width {
  readonly letter: string;
  readonly size: "00";
  /** Upper bit of opc. */
  readonly high: "0";
  readonly bytes: 1 | 2 | 4 | 8 | 16;
}
const WIDTHS = [
  { letter: "b", size: "00", high: "0", bytes: 1 },
  { letter: "h", size: "01", high: "0", bytes: 2 },
  { letter: "s", size: "10", high: "0", bytes: 4 },
  { letter: "d", size: "11", high: "0", bytes: 8 },
  { letter: "q", size: "00", high: "1", bytes: 16 },
] as unknown as readonly Width[];

function loadTo(e: Emitter, r: Operand, address: I64, bytes: Width["bytes"]): void {
  if (bytes === 16) e.writeV(r, e.loadVector(address));
  else e.writeD(r, e.load(address, { size: bytes }));
}
function storeFrom(e: Emitter, r: Operand, address: I64, bytes: Width["bytes"]): void {
  if (bytes === 16) e.storeVector(address, e.v(r));
  else e.store(address, e.d(r), bytes);
}
const transfer = (e: Emitter, load: number, r: Operand, address: I64, bytes: Width["bytes"]) =>
  (load ? loadTo : storeFrom)(e, r, address, bytes);

function forms({ letter, size, high, bytes }: Width): Row[] {
  const label = `SIMD, ${8 * bytes} bits`;
  const scale = Math.log2(bytes);
  const name = (f: { L: number }, infix = "") => `${f.L ? "ld" : "st"}${infix}r ${letter}`;
  const regs = { t: vector("Rt"), n: stack("Rn") } as const;
  const cold = bytes < 4;
  return [
    row({
      name: `LDR, STR (unsigned offset, ${label})`,
      section: "C7.2.195, C7.2.348",
      bits: `${size} 111101 ${high} L imm12:12 Rn:5 Rt:5`,
      axes: { sp: stackAxis, L: bit("L") },
      fp: true,
      cold,
      regs,
      imm: (f) => f.imm12 * bytes,
      meaning: (e, o) => transfer(e, o.L, o.t, e.add(baseOf(e, o), e.imm64()), bytes),
      asm: (f) => `${name(f)}${f.Rt}, [${RSP(1, f.Rn)}${text(f.imm12 * bytes)}]`,
    }),
    row({
      name: `LDUR, STUR (unscaled offset, ${label})`,
      section: "C7.2.198, C7.2.350",
      bits: `${size} 111100 ${high} L 0 imm9:9 00 Rn:5 Rt:5`,
      axes: { sp: stackAxis, L: bit("L") },
      fp: true,
      cold,
      regs,
      imm: (f) => signExtend(f.imm9, 9),
      meaning: (e, o) => transfer(e, o.L, o.t, e.add(baseOf(e, o), e.imm64()), bytes),
      asm: (f) => `${name(f, "u")}${f.Rt}, [${RSP(1, f.Rn)}${text(signExtend(f.imm9, 9))}]`,
    }),
    row({
      name: `LDR, STR (post-indexed, pre-indexed, ${label})`,
      section: "C7.2.195, C7.2.348",
      bits: `${size} 111100 ${high} L 0 imm9:9 pre 1 Rn:5 Rt:5`,
      axes: { sp: stackAxis, pre: bit("pre"), L: bit("L") },
      fp: true,
      cold,
      regs,
      imm: (f) => signExtend(f.imm9, 9),
      meaning: (e, o) => {
        const n = e.let(baseOf(e, o));
        const moved = e.let(e.add(n, e.imm64()));
        transfer(e, o.L, o.t, o.pre ? moved : n, bytes);
        e.write(o.sp ? SP : o.n, moved);
      },
      asm: (f) => {
        const imm = signExtend(f.imm9, 9);
        return `${name(f)}${f.Rt}, [${RSP(1, f.Rn)}${f.pre ? `, #${imm}]!` : `], #${imm}`}`;
      },
    }),
    row({
      name: `LDR, STR (register offset, ${label})`,
      section: "C7.2.197, C7.2.349",
      bits: `${size} 111100 ${high} L 1 Rm:5 option:3 S 10 Rn:5 Rt:5`,
      axes: { sp: stackAxis, option: registerOption, L: bit("L") },
      fp: true,
      cold: (v) => cold || v.sp === 1 || v.option !== 3,
      regs: { ...regs, m: source("Rm") },
      undefinedIf: (f) => (f.option & 2) === 0,
      imm: (f) => (f.S ? scale : 0),
      meaning: (e, o) => transfer(e, o.L, o.t, registerOffset(e, o), bytes),
      asm: (f) => `${name(f)}${f.Rt}, [${registerText(f, scale)}]`,
    }),
  ];
}

const imm19 = (f: { imm19: number }) => signExtend(f.imm19, 19) * 4;
const literals = (
  [
    ["00", 4, "s"],
    ["01", 8, "d"],
    ["10", 16, "q"],
  ] as const
).map(([opc, bytes, letter]) =>
  row({
    name: `LDR (literal, SIMD, ${8 * bytes} bits)`,
    section: "C7.2.196",
    bits: `${opc as "00"} 011100 imm19:19 Rt:5`,
    fp: true,
    regs: { t: vector("Rt") },
    imm: imm19,
    meaning: (e, o) => loadTo(e, o.t, e.add(e.pc(), e.imm64()), bytes),
    asm: (f, pc) => `ldr ${letter}${f.Rt}, ${hex(pc + imm19(f))}`,
  }),
);

const pairs = (
  [
    ["00", 4, "s"],
    ["01", 8, "d"],
    ["10", 16, "q"],
  ] as const
).map(([opc, bytes, letter]) =>
  row({
    name: `LDP, STP, LDNP, STNP (SIMD, ${8 * bytes} bits)`,
    section: "C7.2.194, C7.2.347, C7.2.193, C7.2.346",
    bits: `${opc as "00"} 10110 mode:2 L imm7:7 Rt2:5 Rn:5 Rt:5`,
    axes: { sp: stackAxis, mode: modeAxis, L: bit("L") },
    fp: true,
    cold: bytes < 8,
    regs: { t: vector("Rt"), n: stack("Rn"), u: vector("Rt2") },
    imm: (f) => signExtend(f.imm7, 7) * bytes,
    meaning: (e, o) => {
      const n = e.let(baseOf(e, o));
      const moved = o.mode === POST ? undefined : e.let(e.add(n, e.imm64()));
      const address = moved ?? n;
      if (bytes === 16) {
        const second = e.let(e.add(address, e.k64(16)));
        if (o.L) {
          const a = e.loadVector(address);
          const b = e.loadVector(second);
          e.writeV(o.t, a);
          e.writeV(o.u, b);
        } else {
          e.storeVector(address, e.v(o.t));
          e.storeVector(second, e.v(o.u));
        }
      } else if (o.L) {
        const [a, b] = e.loadPair(address, bytes, false);
        e.writeD(o.t, a);
        e.writeD(o.u, b);
      } else e.storePair(address, e.d(o.t), e.d(o.u), bytes);
      if (o.mode !== 2) e.write(o.sp ? SP : o.n, moved ?? e.add(n, e.imm64()));
    },
    asm: (f) => {
      const name = `${f.L ? "ld" : "st"}${f.mode === 0 ? "n" : ""}p`;
      return `${name} ${letter}${f.Rt}, ${letter}${f.Rt2}, ${pairText(f, bytes)}`;
    },
  }),
);

const nth = (r: Operand, k: number): Operand => ("place" in r ? { ...r, plus: k } : r);
/** Where the base goes: offset absent, by immediate (Rm 31), or by register. */
const NONE = 0;
const BY_IMMEDIATE = 1;
const BY_REGISTER = 2;
const byAxis = axis([BY_IMMEDIATE, BY_REGISTER], (f: { Rm: number }) => (f.Rm === 31 ? BY_IMMEDIATE : BY_REGISTER));
function moveBase(e: Emitter, o: { n: Operand; sp: number; m?: Operand }, by: number, n: I64, bytes: number): void {
  if (by === NONE || o.m === undefined) return;
  e.write(o.sp ? SP : o.n, e.add(n, by === BY_IMMEDIATE ? e.k64(bytes) : e.x(o.m)));
}

/** opcode: registers per structure, structures (LD1 of several registers has one register per structure). */
export const STRUCTURES: Readonly<Record<number, readonly [structure: number, registers: number]>> = {
  0: [4, 4],
  2: [1, 4],
  4: [3, 3],
  6: [1, 3],
  7: [1, 1],
  8: [2, 2],
  10: [1, 2],
};
/** Lanes of a table that takes byte `i` of the result from byte `f(i)`. */
const lanes = (f: (i: number) => number) => Array.from({ length: 16 }, (_, i) => f(i));

function transferStructures(
  e: Emitter,
  o: { readonly t: Operand; readonly load: number; readonly q: number; readonly size: number },
  start: I64,
  structure: number,
  registers: number,
): void {
  const width = o.q ? 16 : 8;
  const at = (k: number) => (k === 0 ? start : e.let(e.add(start, e.k64(k * width))));
  const read = (k: number): V128 => (o.q ? e.loadVector(at(k)) : e.let(e.halves(e.load(at(k), { size: 8 }), e.k64(0))));
  const write = (k: number, v: V128) => (o.q ? e.storeVector(at(k), v) : e.store(at(k), e.half(v, 0), 8));
  const bytes = 1 << o.size;
  /** Byte `i` of register r lies at this byte of the memory block. */
  const place = (r: number, i: number) => (Math.floor(i / bytes) * structure + r) * bytes + (i % bytes);
  if (structure === 1) {
    if (o.load) {
      const all = Array.from({ length: registers }, (_, k) => read(k));
      all.forEach((v, k) => {
        e.writeQ(nth(o.t, k), v, o.q);
      });
    } else for (let k = 0; k < registers; k++) write(k, e.v(nth(o.t, k)));
    return;
  }
  /** Gathers 16 bytes: byte i from byte `from(i)` of the concatenation of `blocks`, `width` bytes each. */
  const gather = (blocks: readonly V128[], from: (i: number) => number): V128 => {
    let result: V128 | undefined;
    blocks.forEach((block, k) => {
      const index = (i: number) => {
        const b = from(i) - k * width;
        return i < width && b >= 0 && b < width ? b : -1;
      };
      // bytes of this block, the others from what was gathered before
      const lane = result
        ? lanes((i) => (index(i) >= 0 ? 16 + index(i) : i))
        : lanes((i) => (index(i) >= 0 ? index(i) : 0));
      result = e.shuffle(result ?? block, block, lane);
    });
    return result as V128;
  };
  const count = Array.from({ length: registers }, (_, k) => k);
  if (o.load) {
    const blocks = count.map(read);
    count.forEach((r) => {
      e.writeQ(
        nth(o.t, r),
        gather(blocks, (i) => place(r, i)),
        o.q,
      );
    });
    return;
  }
  const sources = count.map((r) => e.let(e.v(nth(o.t, r))));
  for (const k of count) {
    // byte i of block k comes from the register and byte that `place` sends there
    const from = (i: number) => {
      const element = Math.floor((k * width + i) / bytes);
      const r = element % structure;
      return r * width + Math.floor(element / structure) * bytes + (i % bytes);
    };
    write(k, gather(sources, from));
  }
}

const structureText = (f: { L: number; Q: number; size: number; Rt: number }, structure: number, n: number) => {
  return `${f.L ? "ld" : "st"}${structure} ${registerList(f.Rt, n, arrangement(f.size, f.Q))}`;
};
export const arrangement = (size: number, q: number) => `${(q ? 16 : 8) >> size}${"bhsd"[size]}`;
const multiple: Row[] = Object.entries(STRUCTURES).flatMap(([opcode, [structure, registers]]) => {
  const op = Number(opcode).toString(2).padStart(4, "0") as "0000";
  const axes = {
    sp: stackAxis,
    load: axis([0, 1], (f: { L: number }) => f.L),
    q: axis([0, 1], (f: { Q: number }) => f.Q),
    // memory order of whole registers is the same for all sizes
    size: axis(structure === 1 ? [0] : [0, 1, 2, 3], (f: { size: number }) => (structure === 1 ? 0 : f.size)),
  };
  const reserved = (f: { size: number; Q: number }) => structure !== 1 && f.size === 3 && f.Q === 0;
  const never = (v: { size: number; q: number }) => structure !== 1 && v.size === 3 && v.q === 0;
  const name = (f: { L: number; Q: number; size: number; Rt: number; Rn: number }) =>
    `${structureText(f, structure, registers)}, [${RSP(1, f.Rn)}]`;
  const title = `LD${structure}, ST${structure} (multiple structures, ${registers} registers`;
  return [
    row({
      name: `${title})`,
      section: "C7.2.177 to C7.2.344",
      bits: `0 Q 0011000 L 000000 ${op} size:2 Rn:5 Rt:5`,
      axes,
      fp: true,
      cold: true,
      never,
      undefinedIf: reserved,
      regs: { t: vector("Rt"), n: stack("Rn") },
      meaning: (e, o) => transferStructures(e, o, e.let(baseOf(e, o)), structure, registers),
      asm: name,
    }),
    row({
      name: `${title}, post-indexed)`,
      section: "C7.2.177 to C7.2.344",
      bits: `0 Q 0011001 L 0 Rm:5 ${op} size:2 Rn:5 Rt:5`,
      axes: { ...axes, by: byAxis },
      fp: true,
      cold: true,
      never,
      undefinedIf: reserved,
      regs: { t: vector("Rt"), n: stack("Rn"), m: source("Rm") },
      meaning: (e, o) => {
        const n = e.let(baseOf(e, o));
        transferStructures(e, o, n, structure, registers);
        moveBase(e, o, o.by, n, registers * (o.q ? 16 : 8));
      },
      asm: (f) => `${name(f)}, ${f.Rm === 31 ? `#${registers * (f.Q ? 16 : 8)}` : R(1, f.Rm)}`,
    }),
  ];
});

export type SingleFields = { R: number; opcode: number; S: number; size: number; Q: number; L: number };
/** Element size as a logarithm; 4 for the replicating form; -1 when UNDEFINED. */
export function singleScale(f: SingleFields): number {
  const scale = f.opcode >> 1;
  if (scale === 0) return 0;
  if (scale === 1) return f.size & 1 ? -1 : 1;
  if (scale === 2) {
    if ((f.size & 1) === 0) return f.size === 0 ? 2 : -1;
    return f.size === 1 && f.S === 0 ? 3 : -1;
  }
  return f.L && f.S === 0 ? 4 : -1;
}
export const registersOf = (f: SingleFields) => 1 + f.R + 2 * (f.opcode & 1);
/** Byte offset of the element in the register. */
export function singleOffset(f: SingleFields): number {
  const scale = singleScale(f);
  const all = (f.Q << 3) | (f.S << 2) | f.size;
  if (scale === 4) return 0;
  return (all >> scale) << scale;
}
const singleAxes = {
  sp: stackAxis,
  load: axis([0, 1], (f: { L: number }) => f.L),
  registers: axis([1, 2, 3, 4], registersOf),
  // 0 to 3 one element, 4 to 7 replicated elements
  scale: axis([0, 1, 2, 3, 4, 5, 6, 7], (f: SingleFields) => (singleScale(f) === 4 ? 4 + f.size : singleScale(f))),
};
const singleNever = (v: { scale: number; load: number }) => v.scale >= 4 && !v.load;
function transferSingle(
  e: Emitter,
  o: { readonly t: Operand; readonly load: number; readonly registers: number; readonly scale: number },
  start: I64,
  element: (r: Operand) => { read: () => I64; write: (v: I64) => void },
  replicate: (r: Operand, v: I64, bytes: number) => void,
): void {
  const bytes = (1 << (o.scale & 3)) as 1 | 2 | 4 | 8;
  const at = (k: number) => (k === 0 ? start : e.add(start, e.k64(k * bytes)));
  const all = Array.from({ length: o.registers }, (_, k) => k);
  if (o.load) {
    const values = all.map((k) => e.load(at(k), { size: bytes }));
    all.forEach((k) => {
      const v = values[k] as I64;
      if (o.scale >= 4) replicate(nth(o.t, k), v, bytes);
      else element(nth(o.t, k)).write(v);
    });
  } else for (const k of all) e.store(at(k), element(nth(o.t, k)).read(), bytes);
}
/** The byte offset of the element and Q (bit 4) come in the immediate's low word. */
function singleMeaning(e: Emitter, o: Parameters<typeof transferSingle>[1], start: I64): void {
  const bytes = 1 << (o.scale & 3);
  const offset = e.let(e.and(e.imm32(), e.k32(15)));
  const element = (r: Operand) => ({
    read: () => e.element(r, bytes, offset),
    write: (v: I64) => e.setElement(r, bytes, offset, v),
  });
  const replicate = (r: Operand, v: I64, size: number) => {
    const all = e.let(e.splat(size, v));
    const high = e.select(e.and(e.imm32(), e.k32(16)), e.half(all, 1), e.k64(0));
    e.writeV(r, e.halves(e.half(all, 0), high));
  };
  transferSingle(e, o, start, element, replicate);
}
const singleImmediate = (f: SingleFields) => singleOffset(f) | (f.Q << 4);
const singleText = (f: SingleFields & { Rt: number; Rn: number }) => {
  const n = registersOf(f);
  const scale = singleScale(f);
  const rep = scale === 4;
  const shape = rep ? arrangement(f.size, f.Q) : ("bhsd"[scale] as string);
  const index = rep ? "" : `[${singleOffset(f) >> scale}]`;
  return `${f.L ? "ld" : "st"}${n}${rep ? "r" : ""} ${registerList(f.Rt, n, shape)}${index}, [${RSP(1, f.Rn)}]`;
};
const single: Row[] = [
  row({
    name: "LD1, LD2, LD3, LD4, ST1... (single structure)",
    section: "C7.2.178 to C7.2.345",
    bits: "0 Q 0011010 L R 00000 opcode:3 S size:2 Rn:5 Rt:5",
    axes: singleAxes,
    never: singleNever,
    fp: true,
    cold: true,
    regs: { t: vector("Rt"), n: stack("Rn") },
    undefinedIf: (f) => singleScale(f) < 0,
    imm: singleImmediate,
    meaning: (e, o) => singleMeaning(e, o, e.let(baseOf(e, o))),
    asm: singleText,
  }),
  row({
    name: "LD1, LD2, LD3, LD4, ST1... (single structure, post-indexed)",
    section: "C7.2.178 to C7.2.345",
    bits: "0 Q 0011011 L R Rm:5 opcode:3 S size:2 Rn:5 Rt:5",
    axes: { ...singleAxes, by: byAxis },
    never: singleNever,
    fp: true,
    cold: true,
    regs: { t: vector("Rt"), n: stack("Rn"), m: source("Rm") },
    undefinedIf: (f) => singleScale(f) < 0,
    imm: singleImmediate,
    meaning: (e, o) => {
      const n = e.let(baseOf(e, o));
      singleMeaning(e, o, n);
      moveBase(e, o, o.by, n, o.registers << (o.scale & 3));
    },
    asm: (f) => {
      const bytes = registersOf(f) << (singleScale(f) === 4 ? f.size : singleScale(f));
      return `${singleText(f)}, ${f.Rm === 31 ? `#${bytes}` : R(1, f.Rm)}`;
    },
  }),
];

export const simdMemory: readonly Row[] = [...WIDTHS.flatMap(forms), ...literals, ...pairs, ...multiple, ...single];
