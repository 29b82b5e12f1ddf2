import { describe, expect, it } from "vitest";
import type { Cpu } from "../../../../src/cpu/aarch64/cpu.ts";
import { SnapshotError, US } from "../../../../src/sim/index.ts";
import { Machine, mrs, msr, PROBE, RAM } from "./machine.ts";

const CODE = 0x4001_0000;
const AT = BigInt(CODE);
const NOP = 0xd503_201f;
const WFI = 0xd503_207f;
const BACK = 0x17ff_ffff; // b .-4

/**
 * A program with all that makes time matter: a loop over memory, a device whose event raises an interrupt, the generic timer, WFI.
 * Its handler reads the counter and starts the device again.
 */
function busy(options: { cpus?: number; ticksPerInstruction?: number } = {}): Machine {
  const m = new Machine({ ...options, ramBytes: 0x100_0000 });
  m.words(CODE, [
    0xf800_8420, // str x0, [x1], #8
    0x8b40_1c00, // add x0, x0, x0, lsr #7
    0xca01_0000, // eor x0, x0, x1
    0xf100_0442, // subs x2, x2, #1
    0x54ff_ff81, // b.ne .-16
    mrs(5, "S3_3_C14_C0_2"), // mrs x5, cntvct_el0
    0xca05_0000, // eor x0, x0, x5
    0xaa14_03e1, // mov x1, x20
    0xd280_0742, // mov x2, #58
    WFI,
    0x17ff_fff6, // b .-40
  ]);
  const handler = [
    0xb940_0266, // ldr w6, [x19]
    0x8b06_0000, // add x0, x0, x6
    0xb901_0275, // str w21, [x19, #0x100]: the event again in w21 ticks
    0x9100_04e7, // add x7, x7, #1
    0xd69f_03e0, // eret
  ];
  const vbar = 0x4002_0000;
  m.words(vbar + 0x280, handler);
  m.setSys("VBAR_EL1", BigInt(vbar));
  m.setX(0, 1n);
  m.setX(1, BigInt(RAM) + 0x10_0000n);
  m.setX(2, 1000n);
  m.setX(19, BigInt(PROBE));
  m.setX(20, BigInt(RAM) + 0x10_0000n);
  m.setX(21, 3333n);
  m.probe.onEvent = () => {
    m.cpu.irq(true);
  };
  // the handler's read of the device lowers the line
  const read = m.probe.read.bind(m.probe);
  m.probe.read = (offset, size, tx) => {
    m.cpu.irq(false);
    return read(offset, size, tx) + m.probe.log.length;
  };
  m.enter(1, AT, 1, 0);
  m.probe.later.notify(5000);
  return m;
}
const state = (m: Machine) => ({
  hash: m.simulation.stateHash(),
  x: [0, 1, 2, 5, 7].map((n) => m.x(n)),
  pc: m.pc(),
  instructions: m.cpu.instructions,
  accesses: m.probe.log.length,
});

describe("determinism", () => {
  it("the same run twice, and in pieces of any length, ends in the same state", () => {
    const whole = busy();
    whole.run(300 * US);
    const again = busy();
    again.run(300 * US);
    expect(state(again)).toEqual(state(whole));
    const pieces = busy();
    for (const piece of [1, 7 * US, 13, 99 * US, 101 * US - 14, 93 * US]) pieces.run(piece);
    expect(pieces.simulation.now).toBe(whole.simulation.now);
    expect(state(pieces)).toEqual(state(whole));
    expect(whole.x(7)).toBeGreaterThan(500n);
  });
  it("stepping by a debugger changes nothing: interrupts are taken at the same places", () => {
    const whole = busy();
    whole.run(40 * US);
    const stepped = busy();
    while (stepped.cpu.instructions < 8000) stepped.step();
    stepped.run(40 * US - stepped.simulation.now);
    expect(state(stepped)).toEqual(state(whole));
  });
  it("breakpoints and watchpoints change nothing", () => {
    const whole = busy();
    whole.run(60 * US);
    const m = busy();
    m.cluster.debugger.setBreakpoint(0, CODE + 8);
    m.cluster.debugger.setBreakpoint(0, 0x4002_0280);
    m.cluster.debugger.setWatchpoint(0, RAM + 0x10_0100, 8, "write");
    let stops = 0;
    while (m.run(60 * US - m.simulation.now) === "paused") if (++stops >= 3000) m.cluster.debugger.detach();
    expect(stops).toBeGreaterThan(500);
    expect(state(m)).toEqual(state(whole));
  });
  it("a snapshot continued in another machine ends as the run that was not interrupted", () => {
    const whole = busy();
    whole.run(100 * US);
    const saved = whole.simulation.save();
    const log = [...whole.probe.log];
    whole.run(100 * US);
    const other = busy();
    other.run(31 * US);
    other.simulation.load(saved);
    other.probe.log.splice(0, Number.POSITIVE_INFINITY, ...log);
    other.run(100 * US);
    expect(other.simulation.stateHash()).toBe(whole.simulation.stateHash());
    expect(other.x(0)).toBe(whole.x(0));
  });
  it("a snapshot that does not fit is refused by name", () => {
    const m = busy();
    const saved = m.simulation.save();
    const broken = structuredClone(saved) as typeof saved;
    const cpu = (broken.modules["cpus.cpu0"] as unknown as { state: { registers: { x: string[] } } }).state;
    cpu.registers.x[3] = "0x12";
    expect(() => m.simulation.load(broken)).toThrow(
      new SnapshotError("cpus.cpu0.registers.x.3: expected 16 hexadecimal digits"),
    );
  });
});

describe("time", () => {
  it("an instruction takes the ticks given; a counter's read takes 50 ns more", () => {
    const m = Machine.fresh({ ticksPerInstruction: 4 });
    m.words(CODE, [NOP, NOP, mrs(0, "S3_3_C14_C0_1"), NOP]);
    m.enter(1, AT);
    const start = m.cpu.time;
    m.step(2);
    expect(m.cpu.time - start).toBe(8);
    m.step(2);
    expect(m.cpu.time - start).toBe(16 + 500);
  });
  it("WFI with nothing to do lets time jump; the simulation starves when nothing will ever happen", () => {
    const m = Machine.fresh({});
    m.words(CODE, [WFI, BACK]);
    m.enter(1, AT);
    expect(m.run()).toBe("starved");
    expect(m.cpu.isRunning).toBe(false);
    const { instructions } = m.cpu;
    m.probe.later.notify(3_600 * 1_000_000 * US);
    m.probe.onEvent = () => m.cpu.irq(true);
    m.simulation.run(3_600 * 1_000_000 * US + m.simulation.now + 1000);
    expect(m.cpu.instructions - instructions).toBeGreaterThan(0);
  });
  it("WFI goes on at the instant the line rises, masked or not; PC is behind it", () => {
    const m = Machine.fresh({});
    m.words(CODE, [WFI, mrs(3, "S3_3_C14_C0_1"), 0x1400_0000]);
    m.enter(1, AT);
    m.probe.later.notify(16_000);
    m.probe.onEvent = () => m.cpu.irq(true);
    const start = m.simulation.now;
    m.run(50_000);
    expect(m.x(3)).toBe(BigInt(Math.floor((start + 16_000) / 160)));
  });
});

describe("interrupts and block ends", () => {
  it("an interrupt raised by a device access is taken at the next block end, not before", () => {
    const m = Machine.fresh({});
    m.words(CODE, [
      0xb900_0020, // str w0, [x1]
      NOP,
      NOP,
      0x1400_0001, // b .+4: block end
      NOP,
    ]);
    m.words(0x4002_0280, [0x1400_0000]);
    m.setSys("VBAR_EL1", 0x4002_0000n);
    m.setX(1, BigInt(PROBE));
    const write = m.probe.write.bind(m.probe);
    m.probe.write = (offset, size, value, tx) => {
      write(offset, size, value, tx);
      m.cpu.irq(true);
    };
    m.enter(1, AT, 1, 0);
    m.run(1 * US);
    m.probe.write = write;
    expect(m.sys("ELR_EL1")).toBe(AT + 16n);
  });
  it("unmasking with an interrupt pending takes it before the next instruction", () => {
    const m = Machine.fresh({});
    m.words(CODE, [0xd503_42ff, NOP, NOP]); // msr daifclr, #2
    m.words(0x4002_0280, [0x1400_0000]);
    m.setSys("VBAR_EL1", 0x4002_0000n);
    m.enter(1, AT, 1, 15);
    m.cpu.irq(true);
    m.run(1 * US);
    expect(m.sys("ELR_EL1")).toBe(AT + 4n);
  });
});

/** Starts all CPUs of a machine at addresses of their own, X1 pointing to `data`. */
function together(m: Machine, programs: readonly (readonly number[])[], data: bigint): void {
  programs.forEach((words, i) => {
    const at = CODE + i * 0x1000;
    m.words(at, words);
    const cpu = m.cluster.cpus[i] as Cpu;
    m.enter(1, BigInt(at), 1, 15, cpu);
    m.setX(1, data, cpu);
    cpu.start(at, 0);
  });
}

describe("several CPUs", () => {
  const INCREMENT = [
    0xd280_7d03, // mov x3, #1000
    0xc85f_fc20, // ldaxr x0, [x1]
    0x9100_0400, // add x0, x0, #1
    0xc802_fc20, // stlxr w2, x0, [x1]
    0x35ff_ffa2, // cbnz w2, .-12
    0xf100_0463, // subs x3, x3, #1
    0x54ff_ff61, // b.ne .-20
    WFI,
    BACK,
  ];
  const DATA = BigInt(RAM) + 0x2000n;

  it("exclusives hold across CPUs, whatever the quantum", () => {
    for (const quantum of [10, 30, 70, 1000, 100_000]) {
      const m = Machine.fresh({ cpus: 4, quantum });
      together(m, [INCREMENT, INCREMENT, INCREMENT, INCREMENT], DATA);
      m.run(3000 * US);
      expect([quantum, m.quad(Number(DATA))]).toEqual([quantum, 4000n]);
    }
  });
  it("the same run twice is the same", () => {
    const hash = () => {
      const m = new Machine({ cpus: 3, ramBytes: 0x20_0000 });
      together(m, [INCREMENT, INCREMENT, INCREMENT], DATA);
      m.run(33 * US);
      m.run(7);
      m.run(100 * US);
      return m.simulation.stateHash();
    };
    expect(hash()).toBe(hash());
  });
  it("WFE with an open monitor ends when another CPU stores (D1.6.1)", () => {
    const m = Machine.fresh({ cpus: 2 });
    const waiter = [
      0xc85f_fc20, // ldaxr x0, [x1]
      0xb500_0060, // cbnz x0, .+12
      0xd503_205f, // wfe
      0x17ff_fffd, // b .-12
      0xd280_00e5, // mov x5, #7
      WFI,
      BACK,
    ];
    const setter = [
      0xd287_d000, // mov x0, #16000
      0xf100_0400, // subs x0, x0, #1
      0x54ff_ffe1, // b.ne .-4
      0xd280_0020, // mov x0, #1
      0xf900_0020, // str x0, [x1]
      WFI,
      BACK,
    ];
    together(m, [waiter, setter], DATA);
    m.run(1000 * US);
    expect(m.x(5)).toBe(7n);
    expect(m.cpu.instructions).toBeLessThan(1000);
  });
  it("SEV wakes WFE on all CPUs", () => {
    const m = Machine.fresh({ cpus: 2 });
    const waiter = [0xd503_205f, 0xd280_0125, WFI, BACK]; // wfe; mov x5, #9
    const sender = [0xd287_d000, 0xf100_0400, 0x54ff_ffe1, 0xd503_209f, WFI, BACK]; // mov; loop; sev
    together(m, [waiter, sender], DATA);
    m.run(10 * US);
    expect(m.cpu.isRunning).toBe(false);
    m.run(1000 * US);
    expect(m.x(5)).toBe(9n);
  });
  it("counters and device accesses never show time going back, whichever CPU looks", () => {
    const m = Machine.fresh({ cpus: 3, quantum: 20_000 });
    const look = [
      mrs(4, "S3_3_C14_C0_1"),
      0xf940_0020, // ldr x0, [x1]
      ...Array.from({ length: 30 }, () => NOP),
      0x17ff_ffe0, // b to the start
    ];
    together(m, [look, look, look], BigInt(PROBE));
    m.run(30 * US);
    const times = m.probe.log.map((a) => a.time);
    expect(times.length).toBeGreaterThan(500);
    expect(times.every((t, i) => i === 0 || t >= (times[i - 1] as number))).toBe(true);
    expect(new Set(m.probe.log.map((a) => a.cpu)).size).toBe(3);
  });
  it("TLBI VAE1IS reaches the others, TLBI VAE1 does not have to", () => {
    const m = Machine.fresh({ cpus: 2 });
    const table = 0x4004_0000;
    const other = m.cluster.cpus[1] as Cpu;
    m.quads(table + 8, [0x4000_0705n]);
    m.quads(table + 16, [0x4000_0705n]);
    for (const cpu of m.cluster.cpus) {
      m.setSys("MAIR_EL1", 0xff04n, cpu);
      m.setSys("TCR_EL1", 25n | (1n << 23n) | (2n << 32n), cpu);
      m.setSys("TTBR0_EL1", BigInt(table), cpu);
      m.setSys("VBAR_EL1", 0x4002_0000n, cpu);
      m.setSys("SCTLR_EL1", 1n, cpu);
    }
    m.words(0x4002_0200, [WFI, BACK]);
    // CPU 1 loads, waits for an event, loads again
    m.words(CODE + 0x1000, [0xf940_0020, 0xd503_205f, 0xf940_0020, WFI, BACK]);
    m.enter(1, AT + 0x1000n, 1, 15, other);
    m.setX(1, 0x8000_0000n, other);
    other.start(CODE + 0x1000, 0);
    m.words(CODE, [WFI]);
    m.enter(1, AT);
    m.run(10 * US);
    expect(m.sys("ESR_EL1", other)).toBe(0n);
    m.quads(table + 16, [0n]);
    m.words(CODE, [msr("S1_0_C8_C3_1", 2), 0xd503_209f, WFI, BACK]); // tlbi vae1is, x2; sev
    m.setX(2, 0x8000_0000n >> 12n);
    m.enter(1, AT);
    m.cpu.start(CODE, 0);
    m.run(50 * US);
    expect(m.sys("ESR_EL1", other)).toBe(0x9600_0005n);
  });
});

describe("the debugger's view", () => {
  it("lists registers in GDB's order and reads and writes them without side effects", () => {
    const m = Machine.fresh({ el2: true });
    const d = m.cluster.debugger;
    const names = d.registers.map((r) => r.name);
    expect(names.slice(0, 34)).toEqual([...Array.from({ length: 31 }, (_, i) => `x${i}`), "sp", "pc", "cpsr"]);
    expect(names.slice(34, 68)).toEqual([...Array.from({ length: 32 }, (_, i) => `v${i}`), "fpsr", "fpcr"]);
    expect(d.registers[names.indexOf("HCR_EL2")]?.group).toBe("el2");
    expect(d.registers[names.indexOf("SCTLR_EL1")]?.group).toBe("el1");
    const before = m.simulation.stateHash();
    for (let i = 0; i < names.length; i++) {
      expect(d.readRegister(m.cpu, i)?.length).toBe((d.registers[i]?.bits as number) / 8);
    }
    expect(m.simulation.stateHash()).toBe(before);
    expect(d.writeRegister(m.cpu, 5, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toBe(true);
    expect(m.x(5)).toBe(0x0807_0605_0403_0201n);
    expect(d.writeRegister(m.cpu, names.indexOf("TPIDR_EL0"), Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0))).toBe(true);
    expect(m.sys("TPIDR_EL0")).toBe(9n);
    expect(d.writeRegister(m.cpu, names.indexOf("cpsr"), Uint8Array.of(0xc4, 0x03, 0, 0x60))).toBe(true);
    expect(m.pstate).toBe(0x6000_03c4);
    expect(d.writeRegister(m.cpu, 5, new Uint8Array(4))).toBe(false);
    expect(d.readRegister(m.cpu, names.length)).toBe(null);
  });
  it("reads and writes memory through the translation; unmapped parts end it", () => {
    const m = Machine.fresh({});
    m.words(RAM + 0x100, [0x1234_5678, 0x9abc_def0]);
    const d = m.cluster.debugger;
    expect([...d.readMemory(m.cpu, 0, RAM + 0x102, 4)]).toEqual([0x34, 0x12, 0xf0, 0xde]);
    expect(d.writeMemory(m.cpu, 0, RAM + 0xffe, Uint8Array.of(1, 2, 3, 4))).toBe(true);
    expect(m.quad(RAM + 0xff8) >> 48n).toBe(0x0201n);
    m.setSys("SCTLR_EL1", 1n); // no tables: nothing is mapped
    expect(d.readMemory(m.cpu, 0, RAM, 4).length).toBe(0);
    expect(d.writeMemory(m.cpu, 0, RAM, Uint8Array.of(1))).toBe(false);
  });
  it("stops at a breakpoint before the instruction, steps from it, and is told why", () => {
    const m = Machine.fresh({});
    m.words(CODE, [0xd280_0020, 0xd280_0041, 0xd280_0062, 0x1400_0000]); // mov x0, #1; mov x1, #2; mov x2, #3
    m.enter(1, AT);
    const d = m.cluster.debugger;
    expect(d.setBreakpoint(0, CODE + 4)).toBe(true);
    expect(m.run()).toBe("paused");
    expect([d.stop, m.pc(), m.x(0), m.x(1)]).toEqual([{ kind: "breakpoint", cpu: 0 }, AT + 4n, 1n, 0n]);
    m.step();
    expect([d.stop, m.pc(), m.x(1)]).toEqual([{ kind: "step", cpu: 0 }, AT + 8n, 2n]);
    expect(m.words.length).toBe(2);
    expect(d.clearBreakpoint(0, CODE + 4)).toBe(true);
    expect(d.clearBreakpoint(0, CODE + 4)).toBe(false);
  });
  it("stops before an access that a watchpoint covers, and not at others", () => {
    const m = Machine.fresh({});
    m.words(CODE, [0xf940_0022, 0xf900_0020, 0xd280_0063, 0x1400_0000]); // ldr x2, [x1]; str x0, [x1]; mov x3, #3
    m.setX(0, 77n);
    m.setX(1, BigInt(RAM) + 0x3000n);
    m.enter(1, AT);
    const d = m.cluster.debugger;
    d.setWatchpoint(0, RAM + 0x3004, 4, "write");
    expect(m.run()).toBe("paused");
    expect(d.stop).toEqual({ kind: "watchpoint", cpu: 0, watch: "write", high: 0, low: RAM + 0x3004 });
    expect([m.pc(), m.quad(RAM + 0x3000)]).toEqual([AT + 4n, 0n]);
    m.run(100 * US);
    expect([m.x(3), m.quad(RAM + 0x3000)]).toEqual([3n, 77n]);
  });
});
