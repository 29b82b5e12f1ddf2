/**
 * The rows compiled: where each register is stored in a CPU's context, and, for a CPU model, what each encoding means.
 * Storage does not depend on the model, so that contexts look the same everywhere.
 */
import { SYSREG } from "../engine/layout.ts";
import {
  type ControlRegister,
  type Effect,
  encodingOf,
  type Feature,
  type Hook,
  maskOf,
  type SysregRoom,
  type SysregRow,
  TRAPS,
  type Trap,
} from "./declaration.ts";
import { READ_HOOKS, type ReadHook, WRITE_HOOKS, type WriteHook } from "./hooks.ts";
import { breakpointRows, DEBUG_ROOM } from "./rows-debug.ts";
import { EL1_ROOM } from "./rows-el1.ts";
import { EL1_RESET_ROOM, EL2_ROOM } from "./rows-el2.ts";
import { ID_ROOM, reservedIdEncodings } from "./rows-id.ts";
import { PMU_COUNTER_ROOM, PMU_ROOM } from "./rows-pmu.ts";
import { TIMER_ROOM } from "./rows-timer.ts";
import { VHE_ROOM } from "./rows-vhe.ts";

type Names<R extends SysregRoom> = R["rows"][number]["name"];
export type SysregName =
  | Names<typeof ID_ROOM>
  | Names<typeof EL1_ROOM>
  | Names<typeof EL2_ROOM>
  | Names<typeof EL1_RESET_ROOM>
  | Names<typeof TIMER_ROOM>
  | Names<typeof DEBUG_ROOM>
  | Names<typeof PMU_ROOM>
  | Names<typeof VHE_ROOM>
  | `PMEV${"CNTR" | "TYPER"}${number}_EL0`
  | `DBG${"B" | "W"}${"V" | "C"}R${number}_EL1`;

/** All rows of all models; those of one model are a subset. */
export const ROOMS: readonly SysregRoom[] = [
  ID_ROOM,
  EL1_ROOM,
  EL2_ROOM,
  EL1_RESET_ROOM,
  TIMER_ROOM,
  DEBUG_ROOM,
  { section: "D17.3", title: "Breakpoints and watchpoints", rows: breakpointRows(16, 16) },
  PMU_ROOM,
  PMU_COUNTER_ROOM,
  VHE_ROOM,
];

/** `layout.ts` gives these the first places. */
const ENGINE_READS = ["SP_EL0", "TPIDR_EL1", "TPIDR_EL0"] as const;
const INDEX: ReadonlyMap<string, number> = new Map(
  [...new Set([...ENGINE_READS, ...ROOMS.flatMap((room) => room.rows).map((row) => row.name)])].map((name, index) => [
    name,
    index,
  ]),
);
const STORED = INDEX.size;

/** Offset in the context of the storage of `name`. */
export function offsetOf(name: SysregName): number {
  const index = INDEX.get(name);
  if (index === undefined) throw new Error(`no system register is named ${name}`);
  return SYSREG + 8 * index;
}

export interface CompiledTrap {
  /** Offset in the context of the controlling register. */
  readonly offset: number;
  readonly low: number;
  readonly high: number;
  /** The low word while HCR_EL2.E2H is set. */
  readonly lowE2h: number;
  /** The controlling register for EL0 of a VHE host (E2H and TGE), -1 where the control has no effect then. */
  readonly hostOffset: number;
  /** HCR_EL2.TGE switches it on as well. */
  readonly tge: boolean;
  /** True where set bits trap, false where the trap is on while all of them are clear. */
  readonly whenSet: boolean;
  /** Bit n: accesses from ELn are trapped. */
  readonly from: number;
  readonly read: boolean;
  readonly write: boolean;
  readonly target: number;
}

/** A row as the access path uses it. */
export interface Register {
  readonly row: SysregRow;
  readonly name: string;
  readonly section: string;
  readonly encoding: number;
  /** Offset in the context. */
  readonly offset: number;
  /** Lowest level that reads or writes, 4 where none does. */
  readonly readLevel: number;
  readonly writeLevel: number;
  readonly hook: Hook | undefined;
  /** Puts a computed value into MAIL_VALUE; false where the stored one is meant. */
  readonly read: ReadHook | undefined;
  /** Takes MAIL_VALUE; false where it is simply to be stored. */
  readonly write: WriteHook | undefined;
  readonly effect: Effect | undefined;
  /** Bits that a write changes. */
  readonly maskLow: number;
  readonly maskHigh: number;
  readonly resetLow: number;
  readonly resetHigh: number;
  readonly traps: readonly CompiledTrap[];
}

export interface TableOptions {
  readonly el2: boolean;
  readonly features: ReadonlySet<Feature>;
  readonly breakpoints: number;
  readonly watchpoints: number;
  /** Values of identification registers. */
  readonly values: { readonly [name: string]: number };
}

/** The registers of one CPU model. */
export class RegisterTable {
  readonly registers: readonly Register[];
  /** Index into `registers` by encoding, -1 where the encoding is UNDEFINED. */
  readonly #byEncoding = new Int16Array(0x1_0000).fill(-1);
  readonly #byName = new Map<string, Register>();

  constructor(options: TableOptions) {
    const registers: Register[] = [];
    const add = (register: Register) => {
      if (this.#byEncoding[register.encoding] !== -1) throw new Error(`${register.name}: encoding is taken`);
      this.#byEncoding[register.encoding] = registers.length;
      if (this.#byName.has(register.name)) throw new Error(`two system registers are named ${register.name}`);
      this.#byName.set(register.name, register);
      registers.push(register);
    };
    for (const room of ROOMS) {
      if (room === EL1_RESET_ROOM && options.el2) continue;
      for (const row of room.rows) {
        if (row.feature !== undefined && !options.features.has(row.feature)) continue;
        if (row.feature === "VHE" && !options.el2) continue;
        if (!breakpointExists(row.name, options)) continue;
        add(compile(row, room.section, options));
      }
    }
    const taken = new Set(registers.map((r) => r.row.at));
    for (const at of reservedIdEncodings(taken)) {
      add(compile({ name: at, at, access: "EL1:RO", traps: ["TID3"] }, "D17.1.3", options));
    }
    this.registers = registers;
  }

  /** The register of a 16-bit encoding op0:op1:CRn:CRm:op2, or undefined. */
  find(encoding: number): Register | undefined {
    return this.registers[this.#byEncoding[encoding] as number];
  }
  byName(name: string): Register | undefined {
    return this.#byName.get(name);
  }
}

function breakpointExists(name: string, options: TableOptions): boolean {
  const m = /^DBG([BW])[VC]R(\d+)_EL1$/.exec(name);
  return m === null || Number(m[2]) < (m[1] === "B" ? options.breakpoints : options.watchpoints);
}

function compile(row: SysregRow, section: string, options: TableOptions): Register {
  const index = INDEX.get(row.name) ?? STORED; // reserved identification registers share one slot that stays zero
  const { readLevel, writeLevel } = levels(row.access, options.el2);
  const mask = row.fields ? maskOf(Object.values(row.fields)) : { low: -1, high: -1 };
  const more = maskOf(options.features.has("VHE") ? Object.values(row.vhe ?? {}) : []);
  const ones = maskOf(row.res1 ?? []);
  const reset = options.values[row.name] ?? row.reset ?? 0;
  if (!Number.isSafeInteger(reset) || reset < 0) throw new Error(`${row.name}: reset value out of range`);
  return {
    row,
    name: row.name,
    section,
    encoding: encodingOf(row.at),
    offset: SYSREG + 8 * index,
    readLevel,
    writeLevel,
    hook: row.hook,
    read: row.hook === undefined ? undefined : READ_HOOKS[row.hook],
    write: row.hook === undefined ? undefined : WRITE_HOOKS[row.hook],
    effect: row.effect,
    maskLow: (mask.low & ~ones.low) | more.low,
    maskHigh: (mask.high & ~ones.high) | more.high,
    resetLow: reset | 0 | ones.low,
    resetHigh: Math.floor(reset / 4294967296) | ones.high,
    traps: (row.traps ?? []).map((name) => compileTrap(TRAPS[name])).filter((t) => t.target < 2 || options.el2),
  };
}

export function compileTrap(trap: Trap): CompiledTrap {
  const register: ControlRegister = trap.register;
  const mask = maskOf(trap.mask);
  let from = 0;
  for (const el of trap.from) from |= 1 << el;
  return {
    offset: offsetOf(register),
    low: mask.low,
    high: mask.high,
    lowE2h: trap.vhe === undefined ? mask.low : maskOf(trap.vhe).low,
    hostOffset: hostControl(register),
    tge: trap.tge ?? false,
    whenSet: trap.when === "set",
    from,
    read: trap.on !== "write",
    write: trap.on !== "read",
    target: trap.to,
  };
}

/** Controls of EL0 by a VHE host: those of EL1 are in the EL2 registers, those of guests have no effect. */
function hostControl(register: ControlRegister): number {
  switch (register) {
    case "SCTLR_EL1":
      return offsetOf("SCTLR_EL2");
    case "CNTKCTL_EL1":
      return offsetOf("CNTHCTL_EL2");
    case "HCR_EL2":
    case "CPTR_EL2":
    case "CNTHCTL_EL2":
      return -1;
    default:
      return offsetOf(register);
  }
}

function levels(access: string, el2: boolean): { readLevel: number; writeLevel: number } {
  let readLevel = 4;
  let writeLevel = 4;
  for (const part of access.split(" ")) {
    const [where, what] = part.split(":") as [string, string];
    const level = where === "highest" ? (el2 ? 2 : 1) : Number(where.slice(2));
    if (what.includes("R")) readLevel = Math.min(readLevel, level);
    if (what.includes("W") || what === "WO") writeLevel = Math.min(writeLevel, level);
  }
  return { readLevel, writeLevel };
}
