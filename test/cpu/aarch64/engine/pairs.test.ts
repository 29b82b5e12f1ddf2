/** Joined operations do what they do one after the other: each pair with random operands, run and stepped. */
import { describe, expect, it } from "vitest";
import { InterpreterCode } from "../../../../src/cpu/aarch64/engine/interpreter.ts";
import * as L from "../../../../src/cpu/aarch64/engine/layout.ts";
import { PAIRS } from "../../../../src/cpu/aarch64/isa/pairs.ts";
import type { Row } from "../../../../src/cpu/aarch64/isa/row.ts";
import { TABLE } from "../../../../src/cpu/aarch64/isa/table.ts";
import { seeds } from "../../../support/soak.ts";
import { Generator } from "../isa/fixtures/case.ts";
import { FlatMachine, LEFT_FAULT, LEFT_HVC } from "./flat-machine.ts";

const BASE = 0x4000_0000;
const AT = BASE + 0x800;
const DATA = BASE + 0x10_0000;
const HVC = 0xd4000002;
const code = new InterpreterCode();
const run = new FlatMachine(code, BASE, 0x20_0000);
const step = new FlatMachine(code, BASE, 0x20_0000);
const variants = new Map<string, { r: Row; v: number }>();
for (const r of TABLE) for (let v = 0; v < r.variants; v++) if (r.has(v)) variants.set(r.describe(v), { r, v });

/** A random word of the variant, at `offset` in its page; branches go a few words forward. */
function wordOf(name: string, g: Generator, offset: number): number {
  const { r, v } = variants.get(name) as { r: Row; v: number };
  const out = { variant: 0, regs: [0, 0, 0, 0] as [number, number, number, number], aux: 0, low: 0, high: 0 };
  for (let tries = 0; tries < 200_000; tries++) {
    let word = r.value;
    for (const f of r.fields) {
      let n = g.below(f.mask + 1);
      if (/^imm(14|19|26)$/.test(f.name)) n = name.includes("near=0") ? 0x1000 + g.below(4) : 2 + g.below(2);
      // addresses: bases and indices from x16 on, data below, so that accesses stay in the window
      if (/^(Rn|Rm)$/.test(f.name) && /^(LD|ST)/.test(r.name))
        n = name.includes("sp=1") && f.name === "Rn" ? 31 : 16 + g.below(8);
      else if (/^R[dta]/.test(f.name) && /^(LD|ST)/.test(r.name)) n = g.below(16);
      word = (word | (n << f.shift)) >>> 0;
    }
    if (r.encode(word, offset, out) && out.variant === v) return word;
  }
  throw new Error(`no word for ${name}`);
}

/** Registers, data and, unless `words` is null, code: writing it drops what is decoded. */
function load(m: FlatMachine, words: readonly number[] | null, seed: number): void {
  const g = new Generator(seed);
  for (let n = 0; n < 31; n++) m.setX(n, g.below(3) === 0 ? BigInt(g.below(64)) : g.next());
  // bases in the middle of the data, as indices small: the sum of two of them would leave the window
  for (let n = 16; n < 24; n++) m.setX(n, BigInt(n % 2 === 0 ? DATA + 0x8_000 + 16 * g.below(64) : 8 * g.below(64)));
  m.set64(L.SP, BigInt(DATA + 0x8_000));
  m.nzcv = g.below(16);
  for (let n = 0; n < 64; n++) m.set64(L.V + 8 * n, g.next());
  m.set64(L.FPSR, BigInt(g.below(2) * 16));
  const bytes = new Uint8Array(0x1_0000);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length; i += 512) view.setBigUint64(i, g.next(), true);
  m.load8(bytes, DATA);
  if (words) m.loadWords([...words, HVC, HVC, HVC, HVC], AT);
  m.pc = AT;
}
function state(m: FlatMachine): unknown {
  const context = m.arena.bytes.slice(m.context, m.context + L.NRES);
  context.fill(0, L.SINK, L.SINK + 8);
  const vectors = m.arena.bytes.slice(m.context + L.V, m.context + L.FPSR + 8);
  const data = m.arena.bytes.slice(m.host(DATA, 0x1_0000), m.host(DATA, 0x1_0000) + 0x1_0000);
  return [
    m.pc,
    m.nzcv,
    Buffer.from(context).toString("hex"),
    Buffer.from(vectors).toString("hex"),
    Buffer.from(data).toString("base64"),
  ];
}

describe("joined operations", () => {
  it.each(seeds([99]))("do the same as their parts, and count the same; seed %i", (seed) => {
    const g = new Generator(seed);
    let joined = 0;
    PAIRS.forEach(([a, b], i) => {
      for (let k = 0; k < 2; k++) {
        const words = [wordOf(a, g, 0x800), wordOf(b, g, 0x804)];
        const label = `${a} + ${b}: ${words.map((w) => w.toString(16))}`;
        load(run, words, seed + 2 * i + k);
        load(step, words, seed + 2 * i + k);
        // once to decode, then joined
        run.run(50);
        const slot = run.interpreter.codeCache.page(run.host(AT, 4)) + 0x800 * 4;
        const handler = run.arena.halves[slot >>> 1] as number;
        if (code.handlers.first[handler] !== handler) joined++;
        load(run, null, seed + 2 * i + k);
        run.retired = 0;
        const status = run.run(50);
        let last: number = L.RUN_LIMIT;
        step.retired = 0;
        for (let n = 0; n < 50 && last === L.RUN_LIMIT; n++) last = step.run(1, true);
        expect([last, step.retired, state(step)], label).toEqual([status, run.retired, state(run)]);
      }
    });
    // taken branches and faults leave the second word undecoded
    expect(joined).toBeGreaterThan(PAIRS.length);
  });
  // cmp x0, x1; b.ne +8
  const pair = [0xeb01001f, 0x54000041];
  const isJoined = (m: FlatMachine): boolean => {
    const handler = m.arena.halves[(m.interpreter.codeCache.page(m.host(AT, 4)) + 0x800 * 4) >>> 1] as number;
    return code.handlers.first[handler] !== handler;
  };
  it("part when the second word is changed or gets a breakpoint", () => {
    load(run, pair, 1);
    run.run(10);
    expect(isJoined(run)).toBe(true);
    run.loadWords([0xd503201f], AT + 4);
    expect(isJoined(run)).toBe(false);
    load(run, pair, 1);
    run.run(10);
    expect(isJoined(run)).toBe(true);
    run.interpreter.codeCache.plant(run.host(AT + 4, 4));
    run.pc = AT;
    expect([run.run(10), run.pc]).toEqual([L.RUN_BREAKPOINT, AT + 4]);
    run.interpreter.codeCache.unplant(run.host(AT + 4, 4));
    run.pc = AT;
    expect(run.run(10)).toBe(LEFT_HVC);
    expect(isJoined(run)).toBe(true);
  });
  it("report a fault of the second at its own address and count", () => {
    // mov x0, x1; ldr w2, [x3], #4
    load(run, [0xaa0103e0, 0xb8404462], 1);
    run.setX(3, BigInt(DATA));
    run.run(10);
    expect(isJoined(run)).toBe(true);
    load(run, [0xaa0103e0, 0xb8404462], 1);
    run.setX(3, BigInt(DATA));
    run.run(10);
    run.pc = AT;
    run.setX(3, 0n);
    expect(run.run(10)).toBe(LEFT_FAULT);
    expect([run.pc, run.get32(L.COUNT) / 16, run.x(3)]).toEqual([AT + 4, 1, 0n]);
  });
});
