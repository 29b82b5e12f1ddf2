import { describe, expect, it } from "vitest";
import type { Cpu } from "../../../../src/cpu/aarch64/cpu.ts";
import { US } from "../../../../src/sim/index.ts";
import { Machine } from "../cpu/machine.ts";

const CODE = 0x4001_0000;
const HVC = 0xd400_0002;
const SMC = 0xd400_0003;
const WFI = 0xd503_207f;
const BACK = 0x17ff_ffff; // b .-4

/** Calls a function from EL1 by HVC (or from EL2 by SMC) and gives X0. */
function machine(options: { el2?: boolean; cpus?: number } = {}): Machine {
  const m = Machine.fresh({ el2: options.el2 ?? false, cpus: options.cpus ?? 1 });
  m.words(CODE, [options.el2 ? SMC : HVC, WFI, BACK]);
  m.enter(options.el2 ? 2 : 1, BigInt(CODE));
  return m;
}
function call(m: Machine, id: number, ...args: bigint[]): bigint {
  m.cpu.start(CODE, 0);
  m.setX(0, BigInt(id));
  args.forEach((a, i) => {
    m.setX(1 + i, a);
  });
  m.step();
  return BigInt.asIntN(64, m.x(0));
}

describe("DEN 0022E: PSCI 1.1", () => {
  it("5.3 PSCI_VERSION is 1.1, by HVC from EL1 without EL2 and by SMC from EL2", () => {
    expect(call(machine(), 0x8400_0000)).toBe(0x1_0001n);
    expect(call(machine({ el2: true }), 0x8400_0000)).toBe(0x1_0001n);
  });
  it("the other conduit does not answer: SMC without EL2 is UNDEFINED, HVC from EL1 goes to EL2", () => {
    const m = machine();
    m.words(CODE, [SMC]);
    m.step();
    expect(m.sys("ESR_EL1")).toBe(0x0200_0000n);
    const el2 = machine({ el2: true });
    el2.words(CODE, [HVC]);
    el2.enter(1, BigInt(CODE));
    el2.step();
    expect(el2.sys("ESR_EL2")).toBe(0x5a00_0000n);
  });
  it("5.2.2 an unknown function is NOT_SUPPORTED, sign-extended", () => {
    const m = machine();
    for (const id of [0x8400_0005, 0x8400_000b, 0xc400_0000, 0x8000_0000, 0x1234]) {
      expect(call(m, id)).toBe(-1n);
    }
    expect(m.x(0)).toBe(2n ** 64n - 1n);
  });
  it("5.16 PSCI_FEATURES tells which functions there are", () => {
    const m = machine();
    const asked = (id: number) => call(m, 0x8400_000a, BigInt(id));
    for (const id of [
      0x8400_0000, 0x8400_0002, 0x8400_0003, 0xc400_0003, 0x8400_0004, 0xc400_0004, 0x8400_0006, 0x8400_0008,
      0x8400_0009, 0x8400_000a, 0x8400_0001, 0xc400_0001,
    ]) {
      expect([id.toString(16), asked(id)]).toEqual([id.toString(16), 0n]);
    }
    expect([asked(0x8400_0005), asked(0xc400_000e), asked(0x8400_0100)]).toEqual([-1n, -1n, -1n]);
  });
  it("5.9 MIGRATE_INFO_TYPE: no trusted OS, or none that needs migration", () => {
    expect(call(machine(), 0x8400_0006)).toBe(2n);
  });
  it("5.10, 5.11 SYSTEM_OFF and SYSTEM_RESET ask the machine, once, and the caller runs no more", () => {
    for (const [id, what] of [
      [0x8400_0008, "off"],
      [0x8400_0009, "reset"],
    ] as const) {
      const m = machine();
      m.setX(0, BigInt(id));
      expect(m.run()).toBe("paused");
      expect(m.power).toBe(what);
      const { instructions } = m.cpu;
      expect(m.run(100 * US)).toBe("time");
      expect(m.cpu.instructions).toBe(instructions);
    }
  });
  it("5.4 CPU_SUSPEND waits for an interrupt and then returns SUCCESS; power-down states are INVALID_PARAMETERS", () => {
    const m = machine();
    m.setX(0, 0x8400_0001n);
    m.setX(1, 0n);
    m.run(10 * US);
    expect([m.cpu.isRunning, m.x(0), m.pc()]).toEqual([false, 0n, BigInt(CODE) + 4n]);
    m.cpu.irq(true);
    expect(m.cpu.isRunning).toBe(true);
    expect(call(machine(), 0x8400_0001, 0x0100_0000n)).toBe(-2n);
  });
});

describe("DEN 0022E: secondary CPUs", () => {
  const second = (m: Machine) => m.cluster.cpus[1] as Cpu;
  it("5.6 CPU_ON starts a CPU at the entry point with the context id, at the caller's level, MMU off, all masked", () => {
    for (const el2 of [false, true]) {
      const m = machine({ el2, cpus: 2 });
      m.words(CODE + 0x100, [WFI, BACK]);
      expect(call(m, 0xc400_0004, 1n, 0n)).toBe(1n); // AFFINITY_INFO: off
      expect(second(m).isOff).toBe(true);
      expect(call(m, 0xc400_0003, 1n, BigInt(CODE) + 0x100n, 0x1234_5678_9abcn)).toBe(0n);
      expect(call(m, 0xc400_0004, 1n, 0n)).toBe(0n);
      m.run(100 * US);
      expect(m.x(0, second(m))).toBe(0x1234_5678_9abcn);
      expect(second(m).context.pstate & 0x3cf).toBe(el2 ? 0x3c9 : 0x3c5);
      expect(m.sys("SCTLR_EL1", second(m)) & 1n).toBe(0n);
      expect(m.pc(second(m))).toBe(BigInt(CODE) + 0x104n);
      expect(m.sys("MPIDR_EL1", second(m))).toBe(0x8000_0001n);
    }
  });
  it("5.6 CPU_ON: ALREADY_ON for a running CPU, INVALID_PARAMETERS for one that does not exist", () => {
    const m = machine({ cpus: 2 });
    expect(call(m, 0xc400_0003, 0n, BigInt(CODE), 0n)).toBe(-4n);
    expect(call(m, 0xc400_0003, 2n, BigInt(CODE), 0n)).toBe(-2n);
    expect(call(m, 0xc400_0003, 0x100n, BigInt(CODE), 0n)).toBe(-2n);
  });
  it("5.6 the SMC32 form takes 32-bit arguments", () => {
    const m = machine({ cpus: 2 });
    m.words(CODE + 0x100, [WFI, BACK]);
    expect(call(m, 0x8400_0003, 1n, 0xffff_ffff_0000_0000n | BigInt(CODE + 0x100), 0x5_0000_0007n)).toBe(0n);
    m.run(100 * US);
    expect([m.x(0, second(m)), m.pc(second(m))]).toEqual([7n, BigInt(CODE) + 0x104n]);
  });
  it("5.5, 5.7 CPU_OFF does not return; AFFINITY_INFO then says OFF, and the CPU can be started again", () => {
    const m = machine({ cpus: 2 });
    m.words(CODE + 0x100, [0xd2b0_8000, 0xf280_0040, HVC, BACK]); // mov x0, #0x84000000; movk x0, #2; hvc #0
    expect(call(m, 0xc400_0003, 1n, BigInt(CODE) + 0x100n, 0n)).toBe(0n);
    m.run(100 * US);
    expect(second(m).isOff).toBe(true);
    expect(call(m, 0xc400_0004, 1n, 0n)).toBe(1n);
    expect(call(m, 0xc400_0003, 1n, BigInt(CODE) + 0x100n, 0n)).toBe(0n);
  });
});
