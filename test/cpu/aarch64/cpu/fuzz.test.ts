import { describe, expect, it } from "vitest";
import type { Cpu } from "../../../../src/cpu/aarch64/cpu.ts";
import { Random, type Simulation, type Time, US } from "../../../../src/sim/index.ts";
import { seeds } from "../../../support/soak.ts";
import { Machine, type MachineOptions, PROBE, RAM } from "./machine.ts";

const REGISTERS = [
  "TCR_EL1",
  "TTBR0_EL1",
  "TTBR1_EL1",
  "MAIR_EL1",
  "SCTLR_EL1",
  "VTCR_EL2",
  "VTTBR_EL2",
  "HCR_EL2",
  "SPSR_EL1",
  "SPSR_EL2",
  "TCR_EL2",
  "TTBR0_EL2",
  "SCTLR_EL2",
  "CPACR_EL1",
  "MDSCR_EL1",
  "CNTKCTL_EL1",
  "CNTHCTL_EL2",
  "CNTV_CTL_EL0",
  "CNTP_CTL_EL0",
  "VBAR_EL1",
  "VBAR_EL2",
  "ELR_EL1",
  "ELR_EL2",
  "CPTR_EL2",
  "TTBR1_EL2",
  "MDCR_EL2",
  "OSLAR_EL1",
  "DBGBVR0_EL1",
  "DBGBCR0_EL1",
  "DBGBVR5_EL1",
  "DBGBCR5_EL1",
  "DBGWVR0_EL1",
  "DBGWCR0_EL1",
  "DBGWVR1_EL1",
  "DBGWCR1_EL1",
  "PMEVTYPER0_EL0",
  "PMEVTYPER1_EL0",
  "PMEVCNTR0_EL0",
  "PMCCFILTR_EL0",
  "PMINTENSET_EL1",
  "PMCNTENSET_EL0",
  "PMCR_EL0",
] as const;

/** An instruction word, system instructions and loads and stores more often than chance would have it. */
function word(r: Random): number {
  const any = r.uint32();
  switch (r.below(10)) {
    case 0:
      return any;
    case 1: // MRS, MSR of EL0 to EL2
      return (0xd510_0000 | (any & 0x0f_ffff) | (r.below(2) << 21)) >>> 0;
    case 2: // SYS, barriers, hints, MSR (immediate)
      return (0xd500_0000 | (any & 0x0f_ffff)) >>> 0;
    case 3: // exceptions
      return (0xd400_0000 | (any & 0x001f_ffe3)) >>> 0;
    case 4:
      return r.below(3) === 0 ? 0xd69f_03e0 : 0xd503_207f; // eret, wfi
    case 5: // branches near by
      return (0x5400_0000 | (any & 0xef)) >>> 0;
    case 6: // move wide
      return (0x9280_0000 | (any & 0x607f_ffff)) >>> 0;
    default: // loads and stores
      return ((any & 0xf7ff_ffff) | 0x0800_0000) >>> 0;
  }
}

const options = (model: string): MachineOptions => ({
  model,
  el2: true,
  cpus: 2,
  ramBytes: 0x20_0000,
  quantum: 20_000,
});

/** A machine full of random code, tables and registers; two CPUs. */
function machine(seed: number): Machine {
  const model = seed % 2 === 0 ? "max" : "cortex-a57";
  const m = Machine.fresh(options(model));
  const r = new Random(seed, "fuzz");
  for (let page = 0; page < 16; page++) {
    const words = Array.from({ length: 1024 }, () => word(r));
    // some pages look like tables: pairs of words with small output addresses
    if (page % 4 === 3) {
      for (let i = 1; i < 1024; i += 2) words[i] = r.below(4) === 0 ? r.uint32() : 0;
      for (let i = 0; i < 1024; i += 2) words[i] = (RAM | (r.uint32() & 0x1_ffff)) >>> 0;
    }
    m.words(RAM + 4096 * page, words);
  }
  m.cluster.cpus.forEach((cpu: Cpu, i) => {
    for (const name of REGISTERS) {
      if (r.below(2) === 0 || (name === "TTBR1_EL2" && model !== "max")) continue;
      const low = BigInt(r.uint32());
      let value = (BigInt(r.uint32()) << 32n) | low;
      if (
        name.startsWith("TTBR") ||
        name.startsWith("VTTBR") ||
        name.startsWith("VBAR") ||
        name.startsWith("ELR") ||
        /DBG.VR/.test(name)
      ) {
        value = BigInt(RAM) | (low & 0xfffcn);
      }
      if (name === "DBGBCR0_EL1" || name.startsWith("DBGWCR")) value &= 0x1f00_3fffn; // not reserved
      if (name.startsWith("PMEVTYPER")) value = (value & 0xf800_0000n) | [0x08n, 0x11n, 0x09n, 0x1en][Number(low & 3n)];
      if (name === "PMEVCNTR0_EL0") value |= 0xffff_f000n;
      if (name.startsWith("TCR")) value = (value & 0xff00_00ff_0000n) | 0x0080_3519n;
      m.setSys(name, value, cpu);
    }
    for (let x = 0; x < 31; x++) {
      const choice = r.below(4);
      const base = choice === 0 ? BigInt(PROBE) : BigInt(RAM);
      m.setX(
        x,
        choice === 3 ? (BigInt(r.uint32()) << 32n) | BigInt(r.uint32()) : base + BigInt(r.below(0x1_0000)),
        cpu,
      );
    }
    m.enter(r.below(3), BigInt(RAM) + BigInt(4 * r.below(0x3000)), r.below(2), r.below(16), cpu);
    cpu.start(cpu.context.low(0x110), 0);
    if (i === 1) cpu.virtualIrq(r.below(2) === 1);
  });
  listen(m);
  m.probe.later.notify(7777);
  return m;
}

/** The probe's event toggles the interrupt input of CPU 0. */
function listen(m: Machine): void {
  m.probe.onEvent = () => {
    m.cpu.irq(!m.cpu.irqLevel);
    m.probe.later.notify(7777);
  };
}

/** Machines to go on in; used again and again, so that what is loaded has to replace what was there. */
const others = new Map<string, readonly [Machine, Machine]>();
function elsewhere(from: Machine, n: 0 | 1, state: ReturnType<Simulation["save"]>): Machine {
  const { name } = from.cpu.model;
  const pair = others.get(name) ?? ([new Machine(options(name)), new Machine(options(name))] as const);
  others.set(name, pair);
  const m = pair[n];
  m.simulation.load(state);
  listen(m);
  return m;
}

/** Runs on, whatever a guest that switches the machine off has paused. */
function go({ simulation }: Machine, until: Time): void {
  while (simulation.run(until) === "paused");
}

function result(m: Machine) {
  const cpus = m.cluster.cpus.map((c) => `${m.pc(c)} ${c.instructions} ${m.x(3, c)} ${m.sys("ESR_EL1", c)}`);
  return { cpus, hash: m.simulation.stateHash() };
}

describe("random code, tables and registers", () => {
  it.each(seeds(8))(
    "never throws, never hangs, and ends in one state: whole, in pieces, moved, stepped; seed %i",
    (seed) => {
      const whole = machine(seed);
      const initial = structuredClone(whole.simulation.save());
      const until = whole.simulation.now + 20 * US;
      go(whole, until);
      const expected = result(whole);

      const pieces = elsewhere(whole, 0, initial);
      for (let left = 7; left >= 0; left--) {
        go(pieces, until - left * 24_567);
        if (left % 2 === 0) pieces.simulation.stateHash();
      }
      expect(result(pieces)).toEqual(expected);

      let moved = elsewhere(whole, 0, initial);
      for (let left = 4; left >= 0; left--) {
        go(moved, until - left * 37_111);
        const state = structuredClone(moved.simulation.save());
        const hash = moved.simulation.stateHash();
        moved = elsewhere(whole, left % 2 === 0 ? 1 : 0, state);
        expect(moved.simulation.stateHash()).toBe(hash);
      }
      expect(result(moved)).toEqual(expected);

      const stepped = elsewhere(whole, 0, initial);
      for (let n = 0; n < 400; n++) {
        stepped.cluster.debugger.resume(["step"]);
        if (stepped.simulation.run(until) !== "paused") break;
      }
      stepped.cluster.debugger.resume();
      go(stepped, until);
      expect(result(stepped)).toEqual(expected);
    },
  );
});
