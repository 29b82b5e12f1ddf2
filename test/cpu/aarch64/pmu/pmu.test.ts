import { describe, expect, it } from "vitest";
import { Machine, mrs, msr } from "../cpu/machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const VBAR1 = 0x4002_0000n;
const VBAR2 = 0x4003_0000n;
const NOP = 0xd503_201f;
const ERET = 0xd69f_03e0;
const SVC = 0xd400_0001;
const B_SELF = 0x1400_0000;
const SUBS = 0xf100_0400; // subs x0, x0, #1
const B_NE_BACK = 0x54ff_ffe1; // b.ne to the instruction before

const SW_INCR = 0x00n;
const INST_RETIRED = 0x08n;
const EXC_TAKEN = 0x09n;
const EXC_RETURN = 0x0an;
const CID_WRITE = 0x0bn;
const CPU_CYCLES = 0x11n;
const CHAIN = 0x1en;
const CYCLES = 1n << 31n;
// PMEVTYPER: P (not EL1), U (not EL0), NSH (EL2 too)
const NOT_EL1 = 1n << 31n;
const NOT_EL0 = 1n << 30n;
const EL2_TOO = 1n << 27n;

interface Setting {
  readonly el?: number;
  readonly el2?: boolean;
  readonly sys?: Record<string, bigint>;
}
/** Counters 0... count `events`; everything is on. */
function machine(words: readonly number[], events: readonly bigint[], s: Setting = {}, made?: Machine): Machine {
  const el = s.el ?? 1;
  const m = made ?? Machine.fresh({ el2: s.el2 ?? el === 2 });
  m.words(CODE, words);
  m.setSys("VBAR_EL1", VBAR1);
  if (m.cluster.el2) m.setSys("VBAR_EL2", VBAR2);
  events.forEach((event, n) => {
    m.setSys(`PMEVTYPER${n}_EL0`, event);
  });
  for (const [name, value] of Object.entries(s.sys ?? {})) m.setSys(name, value);
  m.setSys("PMCNTENSET_EL0", CYCLES | 0x3fn);
  m.enter(el, AT, 1, 0);
  m.setSys("PMCR_EL0", 1n);
  return m;
}
const counts = (m: Machine, n: number) => Array.from({ length: n }, (_, i) => Number(m.sys(`PMEVCNTR${i}_EL0`)));

describe("D13.11: events", () => {
  it("INST_RETIRED counts instructions, CPU_CYCLES and PMCCNTR cycles, exactly", () => {
    const m = machine([NOP, NOP, NOP, NOP, NOP], [INST_RETIRED, CPU_CYCLES]);
    m.step(5);
    expect([...counts(m, 2), m.sys("PMCCNTR_EL0")]).toEqual([5, 5, 5n]);
  });
  it("in a run of blocks as in single steps", () => {
    const loop = [SUBS, B_NE_BACK, B_SELF];
    const m = machine(loop, [INST_RETIRED | NOT_EL0]);
    m.setX(0, 1000n);
    m.run(10 * 2000);
    expect(m.cpu.instructions).toBeGreaterThan(1999);
    expect(counts(m, 1)).toEqual([m.cpu.instructions]);
  });
  it("a register's value includes the instructions before the MRS", () => {
    const m = machine([NOP, NOP, NOP, mrs(3, "S3_3_C14_C8_0"), mrs(4, "S3_3_C9_C13_0")], [INST_RETIRED]);
    m.step(5);
    expect([m.x(3), m.x(4)]).toEqual([3n, 4n]);
  });
  it("a counter register takes 50 ns: as many cycles more", () => {
    const m = machine([mrs(1, "S3_3_C14_C0_2"), NOP], [INST_RETIRED, CPU_CYCLES]);
    m.step(2);
    expect(counts(m, 2)).toEqual([2, 52]);
  });
  it("exceptions: SVC retires, an UNDEFINED instruction does not; EXC_TAKEN, EXC_RETURN", () => {
    const m = machine([SVC, 0, NOP], [INST_RETIRED, EXC_TAKEN, EXC_RETURN, CPU_CYCLES]);
    m.words(Number(VBAR1) + 0x200, [ERET]);
    m.step(2); // svc, eret
    expect(counts(m, 4)).toEqual([2, 1, 1, 2]);
    m.step(); // udf
    expect(counts(m, 4)).toEqual([2, 2, 1, 3]);
  });
  it("SW_INCR counts PMSWINC writes of its bit, on counters with that event", () => {
    const m = machine([NOP], [SW_INCR, SW_INCR, INST_RETIRED]);
    m.setSys("PMSWINC_EL0", 0x5n);
    m.setSys("PMSWINC_EL0", 0x1n);
    expect(counts(m, 3)).toEqual([2, 0, 0]);
  });
  it("CID_WRITE_RETIRED counts writes of CONTEXTIDR_EL1", () => {
    const m = machine([msr("S3_0_C13_C0_1", 1), NOP], [CID_WRITE]);
    m.step(2);
    expect(counts(m, 1)).toEqual([1]);
  });
  it("CHAIN on an odd counter counts overflows of the even one below", () => {
    const m = machine([NOP, NOP, NOP], [INST_RETIRED, CHAIN], { sys: { PMEVCNTR0_EL0: 0xffff_fffen } });
    m.step(3);
    expect([...counts(m, 2), m.sys("PMOVSSET_EL0")]).toEqual([1, 1, 1n]);
  });
  it("PMCEID0_EL0 lists what is counted, PMCEID1_EL0 nothing", () => {
    const m = Machine.fresh({});
    expect([m.sys("PMCEID0_EL0"), m.sys("PMCEID1_EL0")]).toEqual([0x4002_0f01n, 0n]);
    expect((m.sys("ID_AA64DFR0_EL1") >> 8n) & 15n).toBe(1n);
  });
});

describe("D17.5: PMEVTYPER and PMCCFILTR filters", () => {
  const filtered = (filter: bigint) => {
    // two instructions at EL0 (nop, svc), one at EL1 (eret), then a nop at EL0
    const m = machine([NOP, SVC, NOP], [INST_RETIRED | filter], { el: 0, sys: { PMCCFILTR_EL0: filter } });
    m.words(Number(VBAR1) + 0x400, [ERET]);
    m.step(4);
    return [counts(m, 1)[0], Number(m.sys("PMCCNTR_EL0"))];
  };
  it("none: EL0 and EL1; P: not EL1; U: not EL0", () => {
    expect([filtered(0n), filtered(NOT_EL1), filtered(NOT_EL0), filtered(NOT_EL0 | NOT_EL1)]).toEqual([
      [4, 4],
      [3, 3],
      [1, 1],
      [0, 0],
    ]);
  });
  it("EL2 counts with NSH alone", () => {
    const m = machine([NOP, NOP], [INST_RETIRED, INST_RETIRED | EL2_TOO], { el: 2 });
    m.step(2);
    expect(counts(m, 2)).toEqual([0, 2]);
  });
});

describe("D17.5: control registers", () => {
  it("PMCR_EL0: N 6, LC 1, part of the core; P resets the event counters, C the cycle counter", () => {
    const m = machine([NOP, NOP], [INST_RETIRED]);
    expect(m.sys("PMCR_EL0")).toBe(0x4101_3041n);
    m.step(2);
    m.setSys("PMCR_EL0", 3n);
    expect([...counts(m, 1), m.sys("PMCCNTR_EL0")]).toEqual([0, 2n]);
    m.setSys("PMCR_EL0", 5n);
    expect([m.sys("PMCCNTR_EL0"), m.sys("PMCR_EL0")]).toEqual([0n, 0x4101_3041n]);
  });
  it("nothing counts while PMCR.E is clear, or a counter's bit of PMCNTENSET", () => {
    const m = machine([NOP, NOP, NOP, NOP], [INST_RETIRED, INST_RETIRED]);
    m.setSys("PMCNTENCLR_EL0", 1n);
    m.step(2);
    m.setSys("PMCR_EL0", 0n);
    m.step(2);
    expect([...counts(m, 2), m.sys("PMCNTENSET_EL0")]).toEqual([0, 2, 0x8000_003en]);
  });
  it("PMSELR selects what PMXEVTYPER and PMXEVCNTR are; 31 the cycle counter's filter; others nothing", () => {
    const m = machine([NOP], []);
    m.setSys("PMSELR_EL0", 3n);
    m.setSys("PMXEVTYPER_EL0", 0xffff_ffffn);
    m.setSys("PMXEVCNTR_EL0", 0x1234n);
    expect([m.sys("PMEVTYPER3_EL0"), m.sys("PMEVCNTR3_EL0"), m.sys("PMXEVCNTR_EL0")]).toEqual([
      0xc800_03ffn,
      0x1234n,
      0x1234n,
    ]);
    m.setSys("PMSELR_EL0", 31n);
    m.setSys("PMXEVTYPER_EL0", 0xffff_ffffn);
    expect([m.sys("PMCCFILTR_EL0"), m.sys("PMXEVTYPER_EL0")]).toEqual([0xc800_0000n, 0xc800_0000n]);
    m.setSys("PMSELR_EL0", 6n);
    m.setSys("PMXEVCNTR_EL0", 1n);
    expect(m.sys("PMXEVCNTR_EL0")).toBe(0n);
  });
  it("MDCR_EL2.HPMN: EL1 sees as many counters, and PMCR.N says so; the rest counts by HPME", () => {
    const sys = { MDCR_EL2: 2n, PMEVTYPER2_EL0: INST_RETIRED };
    const m = machine([NOP, NOP], [INST_RETIRED, INST_RETIRED], { el2: true, sys });
    m.step(2);
    expect([(m.sys("PMCR_EL0") >> 11n) & 31n, m.sys("PMCNTENSET_EL0"), m.sys("PMEVCNTR2_EL0")]).toEqual([
      2n,
      0x8000_0003n,
      0n,
    ]);
    const hpme = machine([NOP, NOP], [], { el2: true, sys: { ...sys, MDCR_EL2: 2n | (1n << 7n) } });
    hpme.step(2);
    hpme.cpu.pmu.sync();
    hpme.enter(2, AT);
    expect(hpme.sys("PMEVCNTR2_EL0")).toBe(2n);
  });
  it("after reset MDCR_EL2.HPMN is the number of counters", () => {
    expect(Machine.fresh({ el2: true }).sys("MDCR_EL2")).toBe(6n);
  });
});

describe("D13.5: overflow", () => {
  it("PMOVSSET where a counter wraps: bit 31 of event counters, bit 63 of the cycle counter", () => {
    const m = machine([NOP, NOP], [INST_RETIRED], {
      sys: { PMEVCNTR0_EL0: 0xffff_ffffn, PMCCNTR_EL0: 0xffff_ffffn },
    });
    m.step();
    expect([m.sys("PMOVSSET_EL0"), m.sys("PMCCNTR_EL0")]).toEqual([1n, 0x1_0000_0000n]);
    const cycles = machine([NOP, NOP], [], { sys: { PMCCNTR_EL0: 0xffff_ffff_ffff_ffffn } });
    cycles.step();
    expect([cycles.sys("PMOVSSET_EL0"), cycles.sys("PMCCNTR_EL0")]).toEqual([CYCLES, 0n]);
    cycles.setSys("PMOVSCLR_EL0", CYCLES);
    expect(cycles.sys("PMOVSSET_EL0")).toBe(0n);
  });
  it("the line is high while PMCR.E, PMINTENSET and PMOVSSET are", () => {
    const m = machine([B_SELF], []);
    // the line changes in an event of its own
    const level = () => {
      m.run(2_000_000);
      return m.cpu.pmu.line.level;
    };
    m.setSys("PMOVSSET_EL0", 4n);
    expect(level()).toBe(false);
    m.setSys("PMINTENSET_EL1", 4n);
    expect(level()).toBe(true);
    m.setSys("PMCR_EL0", 0n);
    expect(level()).toBe(false);
    m.setSys("PMCR_EL0", 1n);
    m.setSys("PMOVSCLR_EL0", 4n);
    expect(level()).toBe(false);
  });
  it("the interrupt comes at the first block end behind the overflow", () => {
    const sys = { PMEVCNTR0_EL0: 0x1_0000_0000n - 101n, PMINTENSET_EL1: 1n };
    const m = machine([NOP, NOP, NOP, NOP, 0x17ff_fffc], [INST_RETIRED], { sys }, new Machine());
    // a loop of five instructions; the line goes straight to the core
    m.cpu.pmu.line.connect(m.cpu.irq);
    m.words(Number(VBAR1) + 0x280, [B_SELF]);
    m.run(100_000);
    expect(m.sys("ELR_EL1")).toBe(AT);
    // 105 instructions is the block end behind 101: the wait in the handler counts on
    expect(m.sys("PMOVSSET_EL0")).toBe(1n);
    const handler = Number(m.sys("PMEVCNTR0_EL0"));
    expect(handler).toBe(m.cpu.instructions - 101 - 1);
  });
  it("counting, a run in pieces and single steps end in the same state", () => {
    const end = (pieces: number) => {
      const words = [NOP, SVC, SUBS, 0x54ff_ffa1, B_SELF];
      const events = [INST_RETIRED, CPU_CYCLES | NOT_EL0, EXC_TAKEN];
      const m = machine(words, events, { el: 0 }, new Machine()); // the hash has the time since it was made
      m.words(Number(VBAR1) + 0x400, [mrs(5, "S3_3_C14_C0_2"), ERET]);
      m.setX(0, 500n);
      const until = m.simulation.now + 400_000;
      for (let i = 1; i <= pieces; i++) {
        m.cluster.debugger.resume();
        m.simulation.run(Math.floor(until - (400_000 * (pieces - i)) / pieces));
        if (pieces > 1) m.simulation.stateHash();
      }
      return [m.simulation.stateHash(), counts(m, 3)];
    };
    expect(end(7)).toEqual(end(1));
  });
  it("a machine restored in the middle of counting, with a breakpoint set, goes on as the one that was saved", () => {
    const made = () => {
      const words = [NOP, SVC, SUBS, 0x54ff_ffa1, B_SELF];
      const m = machine(
        words,
        [INST_RETIRED, CPU_CYCLES | NOT_EL0, EXC_TAKEN],
        { el: 0 },
        new Machine({ quantum: 5000 }),
      );
      // the breakpoint's handler steps over it: ELR_EL1 + 4
      m.words(Number(VBAR1) + 0x400, [mrs(5, "S3_0_C4_C0_1"), 0x9100_10a5, msr("S3_0_C4_C0_1", 5), ERET]);
      m.setX(0, 300n);
      m.setSys("OSLAR_EL1", 0n);
      m.setSys("DBGBVR0_EL1", AT + 16n);
      m.setSys("DBGBCR0_EL1", 1n | (2n << 1n));
      m.setSys("MDSCR_EL1", 1n << 15n);
      return m;
    };
    const saved = made();
    saved.run(20_000);
    const restored = made();
    restored.simulation.load(saved.simulation.save());
    expect(restored.simulation.stateHash()).toBe(saved.simulation.stateHash());
    saved.run(60_000);
    restored.run(60_000);
    expect(restored.simulation.stateHash()).toBe(saved.simulation.stateHash());
    expect(counts(restored, 3)).toEqual(counts(saved, 3));
    expect(saved.sys("PMEVCNTR0_EL0")).toBeGreaterThan(0n);
  });
});
