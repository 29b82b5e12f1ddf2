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
  const { bytes } = machine.arena;
  const state = new Uint8Array(view.buffer);
  const { context } = machine;
  const copy = (at: number, offset: number, length: number): void => {
    if (intoMachine) bytes.set(state.subarray(at, at + length), offset);
    else state.set(bytes.subarray(offset, offset + length), at);
  };
  copy(AT.x, context + L.X, 31 * 8);
  copy(AT.x + 31 * 8, context + L.SP, 8);
  copy(AT.v, context + L.V, 512);
  copy(AT.fpcr, context + L.FPCR, 8);
  copy(AT.fpsr, context + L.FPSR, 8);
  copy(AT.memory, machine.host(WINDOW, WINDOW_BYTES), WINDOW_BYTES);
  if (intoMachine) machine.nzcv = view.getUint32(AT.nzcv, true);
  else view.setUint32(AT.nzcv, machine.nzcv, true);
}

/** Runs one case, by the stepping module or not. */
function replay(c: Case, before: DataView, step: boolean): Outcome {
  copyState(before, true);
  machine.set64(L.EXCLUSIVE_ADDRESS, -1n);
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

/** `slow`: with a TLB that never hits, so that every access takes the host's path. */
function check(cases: readonly Packed[], states: readonly DataView[], step: boolean, slow: boolean): void {
  machine.useTlb = !slow;
  machine.flush(L.TLB_READ);
  machine.flush(L.TLB_WRITE);
  cases.forEach(([word, seed, prepare, pins, outcome], i) => {
    const got = replay({ word, seed, prepare, pins }, states[i] as DataView, step);
    if (JSON.stringify(got) !== JSON.stringify(outcome)) {
      expect(got, `${word.toString(16).padStart(8, "0")} seed ${seed}${step ? ", stepped" : ""}`).toEqual(outcome);
    }
  });
}

describe("instructions behave as on the reference", () => {
  for (const [name, cases] of Object.entries(rows)) {
    it(name, () => {
      const states = cases.map(([word, seed, prepare, pins]) => stateOf({ word, seed, prepare, pins }));
      check(cases, states, false, false);
      check(cases, states, true, true);
      expect(cases.length).toBeGreaterThan(0);
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
