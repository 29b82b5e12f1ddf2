/**
 * What of a context is state, by name: registers, PSTATE, the exclusive monitor, system registers. The TLB, the mailbox and
 * the count of the run under way are not.
 */
import { SnapshotError, type StatePart, type StateRecord, type StateValue } from "../../sim/index.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";
import type { Register } from "./sysreg/table.ts";

/** Fields of 64 bits outside the numbered registers. */
const WIDE = {
  sp: L.SP,
  pc: L.PC,
  fpcr: L.FPCR,
  fpsr: L.FPSR,
  exclusiveAddress: L.EXCLUSIVE_ADDRESS,
  exclusiveValue: L.EXCLUSIVE_VALUE,
  exclusiveValueHigh: L.EXCLUSIVE_VALUE_HIGH,
} as const;
const NARROW = {
  el: L.EL,
  spsel: L.SPSEL,
  daif: L.DAIF,
  ss: L.SS,
  il: L.IL,
  event: L.EVENT,
  exclusiveSize: L.EXCLUSIVE_SIZE,
} as const;

export class CpuState implements StatePart {
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  save(): StateValue {
    const { context, registers, pmu } = this.#cpu;
    pmu.sync();
    const out: Record<string, StateValue> = { nzcv: (context.nzcv >>> 28) & 15 };
    const x: string[] = [];
    for (let i = 0; i < 31; i++) x.push(context.hex(L.X + 8 * i));
    out["x"] = x;
    for (const [name, offset] of Object.entries(WIDE)) out[name] = context.hex(offset);
    for (const [name, offset] of Object.entries(NARROW)) out[name] = context.low(offset);
    out["v"] = context.words.slice(L.V / 4, L.V / 4 + 128);
    const system: Record<string, StateValue> = {};
    for (const r of registers.table.registers) {
      if (isState(r)) system[r.name] = context.hex(r.offset);
    }
    out["system"] = system;
    return out;
  }

  load(value: StateValue, path: string): void {
    const { context, registers } = this.#cpu;
    const record = asRecord(value, path);
    const nzcv = asNumber(record["nzcv"], `${path}.nzcv`);
    const x = record["x"];
    if (!Array.isArray(x) || x.length !== 31) throw new SnapshotError(`${path}.x: expected 31 registers`);
    const v = record["v"];
    if (!(v instanceof Int32Array) || v.length !== 128) throw new SnapshotError(`${path}.v: expected 128 words`);
    const system = asRecord(record["system"], `${path}.system`);
    const names = new Set(["nzcv", "x", "v", "system", ...Object.keys(WIDE), ...Object.keys(NARROW)]);
    for (const name of Object.keys(record)) {
      if (!names.has(name)) throw new SnapshotError(`${path}.${name}: unknown`);
    }
    context.words.fill(0, 0, L.TLB_SETS / 4);
    registers.reset();
    context.nzcv = nzcv << 28;
    x.forEach((r, i) => {
      this.#set(L.X + 8 * i, r as StateValue, `${path}.x.${i}`);
    });
    for (const [name, offset] of Object.entries(WIDE)) this.#set(offset, record[name], `${path}.${name}`);
    for (const [name, offset] of Object.entries(NARROW)) {
      context.setLow(offset, asNumber(record[name], `${path}.${name}`));
    }
    context.words.set(v, L.V / 4);
    for (const r of registers.table.registers) {
      if (isState(r)) this.#set(r.offset, system[r.name], `${path}.system.${r.name}`);
    }
    for (const name of Object.keys(system)) {
      const r = registers.table.byName(name);
      if (r === undefined || !isState(r)) throw new SnapshotError(`${path}.system.${name}: unknown`);
    }
  }

  /** The CPU resets its context itself. */
  reset(): void {}

  #set(offset: number, value: StateValue | undefined, path: string): void {
    const m = typeof value === "string" ? /^0x([0-9a-f]{8})([0-9a-f]{8})$/.exec(value) : null;
    if (m === null) throw new SnapshotError(`${path}: expected 16 hexadecimal digits`);
    this.#cpu.context.set(offset, Number.parseInt(m[2] as string, 16) | 0, Number.parseInt(m[1] as string, 16) | 0);
  }
}

/** Read-only registers are constants, but for the OS lock's status. */
function isState(register: Register): boolean {
  return register.writeLevel < 4 || register.hook === "OSLSR";
}

function asRecord(value: StateValue | undefined, path: string): StateRecord {
  if (value === null || typeof value !== "object" || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw new SnapshotError(`${path}: expected a record`);
  }
  return value as StateRecord;
}

function asNumber(value: StateValue | undefined, path: string): number {
  if (typeof value !== "number") throw new SnapshotError(`${path}: expected a number`);
  return value;
}
