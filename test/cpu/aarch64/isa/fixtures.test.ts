/** Every row of the table against what qemu-aarch64 did with the same words and states (fixtures/generate.ts). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { InterpreterCode } from "../../../../src/cpu/aarch64/engine/interpreter.ts";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { TABLE } from "../../../../src/cpu/aarch64/isa/table.ts";
import { FlatMachine, LEFT_HVC } from "../engine/flat-machine.ts";
import {
  AT,
  type Case,
  CODE,
  type Outcome,
  outcomeOf,
  STATE_BYTES,
  stateOf,
  WINDOW,
  WINDOW_BYTES,
  WORD_AT,
} from "./fixtures/case.ts";

type Packed = [word: number, seed: number, prepare: number, pins: Case["pins"], outcome: Outcome];
const file = join(import.meta.dirname, "fixtures/fixtures.json.gz");
const { rows } = JSON.parse(gunzipSync(readFileSync(file)).toString()) as { rows: Record<string, Packed[]> };

const HVC = 0xd4000002;
const code = new InterpreterCode();
const machine = new FlatMachine(code, CODE, 0x10_0000);

function copyState(view: DataView, intoMachine: boolean): void {
  const word = (context: number, at: number): void => {
    if (intoMachine) machine.set64(context, view.getBigUint64(at, true));
    else view.setBigUint64(at, machine.get64(context), true);
  };
  for (let n = 0; n < 31; n++) word(L.X + 8 * n, AT.x + 8 * n);
  word(L.SP, AT.x + 8 * 31);
  for (let n = 0; n < 64; n++) word(L.V + 8 * n, AT.v + 8 * n);
  word(L.FPCR, AT.fpcr);
  word(L.FPSR, AT.fpsr);
  const memory = new Uint8Array(view.buffer, AT.memory, WINDOW_BYTES);
  const at = machine.host(WINDOW, WINDOW_BYTES);
  if (intoMachine) {
    machine.nzcv = Number(view.getBigUint64(AT.nzcv, true));
    machine.arena.bytes.set(memory, at);
  } else {
    view.setBigUint64(AT.nzcv, BigInt(machine.nzcv), true);
    memory.set(machine.arena.bytes.subarray(at, at + WINDOW_BYTES));
  }
}

/** Runs one case; `step` by the stepping module, `slow` with a TLB that never hits. */
function replay(c: Case, step: boolean, slow: boolean): Outcome {
  const before = stateOf(c);
  copyState(before, true);
  machine.set64(L.EXCLUSIVE_ADDRESS, -1n);
  machine.useTlb = !slow;
  if (slow) {
    machine.flush(L.TLB_READ);
    machine.flush(L.TLB_WRITE);
  }
  machine.loadWords([c.prepare || 0xd503201f, c.word, HVC, HVC], WORD_AT - 4);
  machine.pc = WORD_AT - 4;
  const after = new DataView(new ArrayBuffer(STATE_BYTES));
  new Uint8Array(after.buffer).set(new Uint8Array(before.buffer));
  if (step) {
    for (let i = 0; i < 2; i++) {
      const status = machine.run(1, true);
      if (status !== L.RUN_LIMIT) return { left: status.toString(16) };
    }
  } else {
    const status = machine.run(100);
    if (status !== LEFT_HVC) return { left: status.toString(16) };
  }
  copyState(after, false);
  if (machine.pc === WORD_AT + 8) after.setBigUint64(AT.taken, 1n, true);
  else if (machine.pc !== WORD_AT + 4) return { pc: machine.pc.toString(16) };
  return outcomeOf(before, after);
}

describe("instructions behave as on the reference", () => {
  for (const [name, cases] of Object.entries(rows)) {
    it(name, () => {
      for (const [word, seed, prepare, pins, outcome] of cases) {
        const c = { word, seed, prepare, pins };
        const label = `${word.toString(16).padStart(8, "0")} seed ${seed}`;
        expect(replay(c, false, false), label).toEqual(outcome);
        expect(replay(c, true, true), `${label}, stepped`).toEqual(outcome);
      }
    });
  }
});

describe("fixtures cover the table", () => {
  const untested = /^(SVC|HVC|SMC|BRK|HLT|DCPS|ERET|DRPS|HINT|SYS|MSR \(imm|ISB)/;
  it("every row that user mode can execute has at least 30 cases", () => {
    const missing = TABLE.filter((r) => !untested.test(r.name) && (rows[r.name]?.length ?? 0) < 30);
    expect(missing.map((r) => r.name)).toEqual([]);
  });
});
