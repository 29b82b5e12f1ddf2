/** C4.1.87: branches, exception generating and system instructions. */
import type { Emitter, I32, I64 } from "../engine/emitter.ts";
import * as L from "../engine/layout.ts";
import { signExtend } from "./bits.ts";
import { CONDITION_VALUES, CONDITIONS, conditionOf, hex, hex2, R, X30 } from "./common.ts";
import { axis, bit, type Row, row, source, target } from "./row.ts";

const link = (e: Emitter) => e.write(X30, e.add(e.pc(), e.k64(4)));
const imm19 = (f: { imm19: number }) => signExtend(f.imm19, 19) * 4;
const imm26 = (f: { imm26: number }) => signExtend(f.imm26, 26) * 4;
const imm14 = (f: { imm14: number }) => signExtend(f.imm14, 14) * 4;

const direct: Row[] = [
  row({
    name: "B",
    section: "C6.2.26",
    bits: "000101 imm26:26",
    branch: imm26,
    meaning: (e, o) => e.branch(o.near),
    asm: (f, pc) => `b ${hex(pc + imm26(f))}`,
  }),
  row({
    name: "BL",
    section: "C6.2.34",
    bits: "100101 imm26:26",
    branch: imm26,
    meaning: (e, o) => {
      link(e);
      e.branch(o.near);
    },
    asm: (f, pc) => `bl ${hex(pc + imm26(f))}`,
  }),
  row({
    name: "B.cond",
    section: "C6.2.27",
    bits: "01010100 imm19:19 0 cond:4",
    axes: { cond: axis(CONDITION_VALUES, (f: { cond: number }) => conditionOf(f.cond)) },
    branch: imm19,
    meaning: (e, o) => (o.cond === 14 ? e.branch(o.near) : e.branchIf(e.condition(o.cond), o.near)),
    asm: (f, pc) => `b.${CONDITIONS[f.cond]} ${hex(pc + imm19(f))}`,
  }),
  row({
    name: "CBZ, CBNZ",
    section: "C6.2.46, C6.2.45",
    bits: "sf 011010 op imm19:19 Rt:5",
    axes: { sf: bit("sf"), op: bit("op") },
    regs: { t: source("Rt") },
    branch: imm19,
    meaning: (e, o) => {
      const t = e.read(o.t, o.sf);
      e.branchIf(o.op ? e.ne(t, e.like(t, 0)) : e.eqz(t), o.near);
    },
    asm: (f, pc) => `${f.op ? "cbnz" : "cbz"} ${R(f.sf, f.Rt)}, ${hex(pc + imm19(f))}`,
  }),
  row({
    name: "TBZ, TBNZ",
    section: "C6.2.335, C6.2.334",
    bits: "b5 011011 op b40:5 imm14:14 Rt:5",
    axes: { op: bit("op") },
    regs: { t: source("Rt") },
    aux: (f) => (f.b5 << 5) | f.b40,
    branch: imm14,
    meaning: (e, o) => {
      const tested = e.and(e.wrap(e.shr(e.x(o.t), e.extendU(e.aux()))), e.k32(1));
      e.branchIf(o.op ? tested : e.eqz(tested), o.near);
    },
    asm: (f, pc) => `${f.op ? "tbnz" : "tbz"} ${R(f.b5, f.Rt)}, #${(f.b5 << 5) | f.b40}, ${hex(pc + imm14(f))}`,
  }),
];

const indirect: Row[] = [
  row({
    name: "BR",
    section: "C6.2.37",
    bits: "1101011000011111000000 Rn:5 00000",
    regs: { n: source("Rn") },
    meaning: (e, o) => e.branchTo(e.x(o.n)),
    asm: (f) => `br ${R(1, f.Rn)}`,
  }),
  row({
    name: "BLR",
    section: "C6.2.35",
    bits: "1101011000111111000000 Rn:5 00000",
    regs: { n: source("Rn") },
    meaning: (e, o) => {
      const to = e.let(e.x(o.n));
      link(e);
      e.branchTo(to);
    },
    asm: (f) => `blr ${R(1, f.Rn)}`,
  }),
  row({
    name: "RET",
    section: "C6.2.226",
    bits: "1101011001011111000000 Rn:5 00000",
    regs: { n: source("Rn") },
    meaning: (e, o) => e.branchTo(e.x(o.n)),
    asm: (f) => (f.Rn === 30 ? "ret" : `ret ${R(1, f.Rn)}`),
  }),
];

/** Leaves to the host with the instruction word in the mailbox. */
const hostRow = (name: string, section: string, bits: string, kind: number, asm: (f: { imm16: number }) => string) =>
  row({
    name,
    section,
    bits: bits as "imm16:16",
    cold: true,
    imm: () => 0,
    meaning: (e) => e.system(kind),
    asm,
  });
const imm16 = (name: string) => (f: { imm16: number }) => `${name} #${hex(f.imm16)}`;
const exceptions: Row[] = [
  hostRow("SVC", "C6.2.317", "11010100000 imm16:16 00001", L.SYSTEM_SVC, imm16("svc")),
  hostRow("HVC", "C6.2.92", "11010100000 imm16:16 00010", L.SYSTEM_HVC, imm16("hvc")),
  hostRow("SMC", "C6.2.239", "11010100000 imm16:16 00011", L.SYSTEM_SMC, imm16("smc")),
  hostRow("BRK", "C6.2.40", "11010100001 imm16:16 00000", L.SYSTEM_BRK, imm16("brk")),
  hostRow("HLT", "C6.2.91", "11010100010 imm16:16 00000", L.SYSTEM_HLT, imm16("hlt")),
  hostRow("DCPS1", "C6.2.69", "11010100101 imm16:16 00001", L.SYSTEM_DCPS, imm16("dcps1")),
  hostRow("DCPS2", "C6.2.70", "11010100101 imm16:16 00010", L.SYSTEM_DCPS, imm16("dcps2")),
  hostRow("DCPS3", "C6.2.71", "11010100101 imm16:16 00011", L.SYSTEM_DCPS, imm16("dcps3")),
  hostRow("ERET", "C6.2.83", "11010110100111110000001111100000", L.SYSTEM_ERET, () => "eret"),
  hostRow("DRPS", "C6.2.80", "11010110101111110000001111100000", L.SYSTEM_DRPS, () => "drps"),
];

const HINTS = ["nop", "yield", "wfe", "wfi", "sev", "sevl"];
const HINT_KINDS: readonly (number | undefined)[] = [
  undefined,
  undefined,
  L.SYSTEM_WFE,
  L.SYSTEM_WFI,
  L.SYSTEM_SEV,
  L.SYSTEM_SEVL,
];
const BARRIER_OPTIONS: readonly (string | undefined)[] = [
  undefined,
  "oshld",
  "oshst",
  "osh",
  undefined,
  "nshld",
  "nshst",
  "nsh",
  undefined,
  "ishld",
  "ishst",
  "ish",
  undefined,
  "ld",
  "st",
  "sy",
];
const option = (crm: number) => BARRIER_OPTIONS[crm] ?? `#${hex2(crm)}`;
const system: Row[] = [
  row({
    name: "HINT (NOP, YIELD, and those of later versions)",
    section: "C6.2.90",
    bits: "11010101000000110010 CRm:4 op2:3 11111",
    axes: {
      hint: axis([0, 2, 3, 4, 5], (f: { CRm: number; op2: number }) =>
        f.CRm === 0 && f.op2 >= 2 && f.op2 <= 5 ? f.op2 : 0,
      ),
    },
    cold: (v) => v.hint !== 0,
    meaning: (e, o) => {
      const kind = HINT_KINDS[o.hint];
      if (kind !== undefined) e.system(kind);
    },
    asm: (f) => HINTS[8 * f.CRm + f.op2] ?? `hint #${hex(8 * f.CRm + f.op2)}`,
  }),
  row({
    name: "CLREX",
    section: "C6.2.45",
    bits: "11010101000000110011 CRm:4 01011111",
    cold: true,
    meaning: (e) => e.clearExclusive(),
    asm: (f) => (f.CRm === 15 ? "clrex" : `clrex #${hex(f.CRm)}`),
  }),
  // accesses take effect in program order, and CPUs take turns: nothing to wait for
  row({
    name: "DSB, DMB",
    section: "C6.2.82, C6.2.79",
    bits: "11010101000000110011 CRm:4 10 op 11111",
    meaning: () => {},
    asm: (f) => `${f.op ? "dmb" : "dsb"} ${option(f.CRm)}`,
  }),
  // what an MSR or SYS changes is in force at the next instruction anyway
  row({
    name: "ISB",
    section: "C6.2.97",
    bits: "11010101000000110011 CRm:4 11011111",
    meaning: () => {},
    asm: (f) => (f.CRm === 15 ? "isb" : `isb #${hex(f.CRm)}`),
  }),
  row({
    name: "MSR (immediate)",
    section: "C6.2.195",
    bits: "1101010100000 op1:3 0100 CRm:4 op2:3 11111",
    axes: { daifset: axis([0, 1], (f: { op1: number; op2: number }) => (f.op1 === 3 && f.op2 === 6 ? 1 : 0)) },
    cold: true,
    imm: (f) => f.CRm,
    meaning: (e, o) => {
      // masking more interrupts has no consequence but in PSTATE; EL0 needs a permission
      if (!o.daifset) e.system(L.SYSTEM_MSR_IMMEDIATE);
      else
        e.when(
          e.contextI32(L.EL),
          () => e.setContext(L.DAIF, e.or(e.contextI32(L.DAIF), e.imm32())),
          () => e.system(L.SYSTEM_MSR_IMMEDIATE),
        );
    },
    asm: (f) =>
      `msr ${{ 30: "daifset", 31: "daifclr", 5: "spsel" }[8 * f.op1 + f.op2] ?? `op1_${f.op1}_${f.op2}`}, #${hex(f.CRm)}`,
  }),
  row({
    name: "SYS",
    section: "C6.2.320",
    bits: "1101010100001 op1:3 CRn:4 CRm:4 op2:3 Rt:5",
    axes: {
      zva: axis([0, 1], (f: { op1: number; CRn: number; CRm: number; op2: number }) =>
        f.op1 === 3 && f.CRn === 7 && f.CRm === 4 && f.op2 === 1 ? 1 : 0,
      ),
    },
    cold: true,
    regs: { t: source("Rt") },
    meaning: (e, o) => {
      const host = () => {
        e.setContext(L.MAIL_VALUE, e.x(o.t));
        e.system(L.SYSTEM_SYS);
      };
      if (o.zva) e.when(e.contextI32(L.ZERO_ENABLED), () => e.zeroBlock(e.x(o.t), host), host);
      else host();
    },
    asm: (f) => `sys #${f.op1}, C${f.CRn}, C${f.CRm}, #${f.op2}${f.Rt === 31 ? "" : `, ${R(1, f.Rt)}`}`,
  }),
  row({
    name: "SYSL",
    section: "C6.2.321",
    bits: "1101010100101 op1:3 CRn:4 CRm:4 op2:3 Rt:5",
    cold: true,
    regs: { t: target("Rt") },
    meaning: (e, o) => {
      e.system(L.SYSTEM_SYSL);
      e.write(o.t, e.contextI64(L.MAIL_VALUE));
    },
    asm: (f) => `sysl ${R(1, f.Rt)}, #${f.op1}, C${f.CRn}, C${f.CRm}, #${f.op2}`,
  }),
];

/** MRS and MSR of NZCV stay inside, and reading what kernels read all the time; all others are declared rows of the system side. */
const NZCV = 0b11_011_0100_0010_000;
const DAIF = 0b11_011_0100_0010_001;
const SP_EL0 = 0b11_000_0100_0001_000;
const TPIDR_EL1 = 0b11_000_1101_0000_100;
const TPIDR_EL0 = 0b11_011_1101_0000_010;
type RegisterFields = { o0: number; op1: number; CRn: number; CRm: number; op2: number };
/** op0:op1:CRn:CRm:op2 in 16 bits. */
const encoding = (f: RegisterFields) => 0x8000 | (f.o0 << 14) | (f.op1 << 11) | (f.CRn << 7) | (f.CRm << 3) | f.op2;
const isNzcv = (f: RegisterFields) => (encoding(f) === NZCV ? 1 : 0);
const READ_INSIDE = [0, NZCV, DAIF, SP_EL0, TPIDR_EL1, TPIDR_EL0];
const readInside = (f: RegisterFields) => Math.max(READ_INSIDE.indexOf(encoding(f)), 0);
/** The value of a register that is read inside, and the condition for that (else the system side has a say). */
function inside(e: Emitter, register: number): { v: I64; when?: I32 } | undefined {
  const aboveEl0 = e.contextI32(L.EL);
  switch (register) {
    case NZCV:
      return { v: e.shl(e.extendU(e.nzcv()), e.k64(28)) };
    case DAIF:
      return { v: e.shl(e.extendU(e.contextI32(L.DAIF)), e.k64(6)), when: aboveEl0 };
    case SP_EL0: // while it is not the current stack pointer
      return { v: e.contextI64(L.SYSREG_SP_EL0), when: e.and(e.ne(aboveEl0, e.k32(0)), e.contextI32(L.SPSEL)) };
    case TPIDR_EL1:
      return { v: e.contextI64(L.SYSREG_TPIDR_EL1), when: aboveEl0 };
    case TPIDR_EL0:
      return { v: e.contextI64(L.SYSREG_TPIDR_EL0) };
    default:
      return undefined;
  }
}
const registerText = (f: RegisterFields) =>
  encoding(f) === NZCV ? "nzcv" : `s${2 + f.o0}_${f.op1}_c${f.CRn}_c${f.CRm}_${f.op2}`;
const registers: Row[] = [
  row({
    name: "MRS",
    section: "C6.2.193",
    bits: "110101010011 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5",
    axes: { inside: axis([0, 1, 2, 3, 4, 5], readInside) },
    cold: (v) => v.inside === 0,
    regs: { t: target("Rt") },
    aux: encoding,
    meaning: (e, o) => {
      const host = () => {
        e.sysreg(e.aux(), 0);
        e.write(o.t, e.contextI64(L.MAIL_VALUE));
      };
      const known = inside(e, READ_INSIDE[o.inside] as number);
      if (known === undefined) host();
      else if (known.when === undefined) e.write(o.t, known.v);
      else e.when(known.when, () => e.write(o.t, known.v), host);
    },
    asm: (f) => `mrs ${R(1, f.Rt)}, ${registerText(f)}`,
  }),
  row({
    name: "MSR (register)",
    section: "C6.2.196",
    bits: "110101010001 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5",
    axes: { nzcv: axis([0, 1], isNzcv) },
    cold: true,
    regs: { t: source("Rt") },
    aux: encoding,
    meaning: (e, o) => {
      if (o.nzcv) {
        e.setNzcv(e.and(e.shr(e.w(o.t), e.k32(28)), e.k32(15)));
        return;
      }
      e.setContext(L.MAIL_VALUE, e.x(o.t));
      e.sysreg(e.aux(), 1);
    },
    asm: (f) => `msr ${registerText(f)}, ${R(1, f.Rt)}`,
  }),
];

export const branches: readonly Row[] = [...direct, ...indirect, ...exceptions, ...system, ...registers];
