/** A snapshot takes the TLB along: a guest that has not invalidated an old translation yet sees it in the machine that goes on, too. */
import { describe, expect, it } from "vitest";
import type { SimulationState } from "../../src/sim/index.ts";
import { Machine, msr } from "../cpu/aarch64/cpu/machine.ts";

const CODE = 0x4001_0000;
const TABLE = 0x4004_0000;
const DATA = 0x4010_0000;
const NORMAL = 0x705n; // AF, inner shareable, attribute 1, block
const LDR = 0xf940_0020; // ldr x0, [x1]
const STR = 0xf900_0020; // str x0, [x1]
const TLBI_VMALLE1 = msr("S1_0_C8_C7_0", 2);

/** EL1 with the MMU on: virtual 1 and 2 GiB both lead to 1 GiB. */
function mapped(words: readonly number[], el2: boolean): Machine {
  const m = new Machine({ el2, cpus: 2 });
  m.words(CODE, words);
  for (const index of [1, 2]) m.quads(TABLE + 8 * index, [0x4000_0000n | NORMAL]);
  m.setSys("VBAR_EL1", 0x4002_0000n);
  m.setSys("MAIR_EL1", 0xff04n);
  m.setSys("TCR_EL1", 25n | (1n << 23n) | (2n << 32n)); // T0SZ 25, EPD1, 40-bit output
  m.setSys("TTBR0_EL1", BigInt(TABLE));
  m.setSys("SCTLR_EL1", 1n);
  m.enter(1, BigInt(CODE), 1, 0);
  return m;
}

function moved(m: Machine, el2: boolean): Machine {
  const saved = structuredClone(m.simulation.save());
  const other = new Machine({ el2, cpus: 2 });
  other.simulation.load(saved);
  return other;
}

const tlbOf = (state: SimulationState, cpu: string) => {
  const sets = state.modules[cpu]?.state["tlb"] as unknown as { used: number }[];
  return sets.map(({ used: _, ...rest }) => rest);
};

describe.each([
  ["EL1 only", false],
  ["with EL2", true],
])("D8.14: a restored machine, %s,", (_, el2) => {
  it("has the entries of the one that was saved", () => {
    const m = mapped([LDR, STR, LDR], el2);
    m.setX(1, 0x8010_0000n);
    m.step(3);
    const before = m.simulation.save();
    const after = moved(m, el2).simulation.save();
    for (const cpu of ["cpus.cpu0", "cpus.cpu1"]) expect(tlbOf(after, cpu)).toEqual(tlbOf(before, cpu));
    const entries = tlbOf(before, "cpus.cpu0").flatMap((set) => [...(set as unknown as { low: Int32Array }).low]);
    expect(entries.length).toBeGreaterThanOrEqual(3); // read, write, fetch
  });

  it("loads and stores by a translation whose descriptor has gone, until TLBI", () => {
    const m = mapped([LDR, STR, LDR, STR, TLBI_VMALLE1, LDR], el2);
    m.quads(DATA, [7n]);
    m.setX(1, 0x8010_0000n);
    m.step(2);
    m.quads(TABLE + 16, [0n]);
    const other = moved(m, el2);
    for (const machine of [m, other]) {
      machine.setX(0, 0n);
      machine.step();
      expect(machine.x(0)).toBe(7n);
      machine.setX(0, 9n);
      machine.step();
      expect(machine.quad(DATA)).toBe(9n);
      machine.step(2);
      expect(machine.sys("ESR_EL1")).toBe(0x9600_0005n); // translation fault, level 1
    }
    expect(other.simulation.stateHash()).toBe(m.simulation.stateHash());
  });

  it("refuses entries that are none", () => {
    const m = mapped([LDR], el2);
    const saved = m.simulation.save();
    const cpu = saved.modules["cpus.cpu0"] as { version: number; state: object };
    const spoilt = (tlb: unknown) =>
      ({
        ...saved,
        modules: { ...saved.modules, "cpus.cpu0": { ...cpu, state: { ...cpu.state, tlb } } },
      }) as unknown as SimulationState;
    expect(() => m.simulation.load(spoilt([]))).toThrow("cpus.cpu0.tlb: expected 13 sets");
    expect(() => m.simulation.load(spoilt([1, ...new Array<null>(12).fill(null)]))).toThrow(
      "cpus.cpu0.tlb.0: expected a set of TLB entries",
    );
  });
});
