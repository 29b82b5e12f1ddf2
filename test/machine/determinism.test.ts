/**
 * One seed, one result: the self test ends in the same state, and prints the same, whoever looks on, however the run is cut into pieces, and
 * whether it goes on in the machine it began in. All variants run from power-on to the last check, by way of a delay loop of 90 ms.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { createVirtMachine, type VirtMachine } from "../../platform/virt/machine.ts";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { decodeSnapshot, encodeSnapshot, GuestErrorLog, RegisterTrace } from "../../src/observe/index.ts";
import { MS, NEVER, type Time, US } from "../../src/sim/index.ts";

const SELFTEST = fileURLToPath(new URL("../../firmware/images/selftest.elf", import.meta.url));
const data = new Uint8Array(readFileSync(SELFTEST));
const code = new InterpreterCode();
const PC = 32;
const SP = 31;

interface Run {
  machine: VirtMachine;
  output: string;
}

function build(cpus: number, seed = 1, ownCode = false): Run {
  const machine = createVirtMachine({
    kernel: { name: "selftest.elf", data },
    cpus,
    virtualization: cpus === 1,
    seed,
    ...(ownCode ? {} : { code }),
  });
  const run: Run = { machine, output: "" };
  listen(run);
  return run;
}

function listen(run: Run): void {
  run.machine.uart.onTransmit = (byte) => {
    run.output += String.fromCharCode(byte);
  };
}

/** Runs on to `until` or to the power-off, whatever a debugger stops in between. */
function go(run: Run, until: Time = NEVER, stopped: (run: Run) => void = () => {}): void {
  for (;;) {
    const { machine } = run;
    if (machine.powerState !== "running" || machine.simulation.run(until) !== "paused") return;
    if (machine.cpus.debugger.stop === null) return;
    stopped(run);
    machine.cpus.debugger.resume();
  }
}

function result(run: Run): { hash: string; time: Time; instructions: number[]; output: string } {
  const { simulation, cpus } = run.machine;
  expect(run.machine.powerState).toBe("off");
  const instructions = cpus.cpus.map((c) => c.instructions);
  return { hash: simulation.stateHash(), time: simulation.now, instructions, output: run.output };
}

/** What CPU 0 has in a register, as two halves. */
function register({ machine }: Run, index: number): [high: number, low: number] {
  const bytes = machine.cpus.debugger.readRegister(machine.cpus.cpus[0] as never, index) as Uint8Array;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [view.getInt32(4, true), view.getInt32(0, true)];
}

/** The checks begin after a delay loop. */
const BUSY = 91 * MS;

/** Goes on in another machine, by way of a file. */
function moved(run: Run, cpus: number): void {
  const { simulation } = run.machine;
  const before = simulation.stateHash();
  const file = encodeSnapshot({ machine: {}, options: [], state: simulation.save(), input: {}, midway: false });
  run.machine = createVirtMachine({ kernel: { name: "selftest.elf", data }, cpus, virtualization: cpus === 1, code });
  run.machine.simulation.load(decodeSnapshot(file, "test").state);
  expect(run.machine.simulation.stateHash()).toBe(before);
  listen(run);
}

describe.each([
  ["one CPU at EL2", 1],
  ["four CPUs at EL1", 4],
])("the self test on %s ends alike", (_, cpus) => {
  let plain: ReturnType<typeof result>;
  beforeAll(() => {
    const run = build(cpus);
    go(run);
    plain = result(run);
  }, 60_000);

  it("the reference passes its checks", () => {
    expect(plain.output).toContain(", 0 failed");
    expect(plain.time).toBeGreaterThan(100 * MS);
  });

  it("in pieces of 250 us, of 9,973 ticks, and with the code of its own", () => {
    const run = build(cpus, 1, true);
    go(run, BUSY);
    for (let n = 1; n <= 2000; n++) go(run, BUSY + n * 9973);
    for (let at = BUSY + 2 * MS; run.machine.powerState === "running"; at += 250 * US) go(run, at);
    expect(result(run)).toEqual(plain);
  });

  it("with register trace and guest-error log", () => {
    const run = build(cpus);
    const { reporter } = run.machine.simulation;
    let lines = 0;
    reporter.observe(new RegisterTrace(["*"], run.machine.declarations, () => void lines++));
    const log = new GuestErrorLog([{ record: () => void lines++ }]);
    reporter.observe(log);
    go(run);
    expect(result(run)).toEqual(plain);
    expect(lines).toBeGreaterThan(1000);
  });

  it("with a debugger that looks, breaks, watches and steps", () => {
    const run = build(cpus);
    const { debugger: target, cpus: all } = run.machine.cpus;
    const stops = { breakpoint: 0, watchpoint: 0, step: 0 };
    const stopped = () => {
      const { stop } = target;
      if (stop !== null) stops[stop.kind]++;
      for (const cpu of all) {
        for (let i = 0; i < target.registers.length; i++) target.readRegister(cpu, i);
        target.readMemory(cpu, 0, 0x4000_0000, 64);
        target.readPhysical(0x900_0000, 64);
      }
    };
    go(run, BUSY, stopped);
    const points: [number, number][] = [];
    for (let n = 1; n <= 6; n++) {
      go(run, BUSY + n * MS, stopped);
      const [high, low] = register(run, PC);
      if (!target.setBreakpoint(high, low)) continue;
      points.push([high, low]);
      const [stackHigh, stackLow] = register(run, SP);
      target.setWatchpoint(stackHigh, stackLow - 32, 8, "write");
      for (let i = 0; i < 300; i++) {
        target.resume(["step"]);
        run.machine.simulation.run(BUSY + (n + 1) * MS);
        stopped();
      }
      target.resume();
      let left = 40;
      go(run, BUSY + (n + 1) * MS, () => {
        stopped();
        if (--left > 0) return;
        target.clearWatchpoint(stackHigh, stackLow - 32, 8, "write");
        for (const [h, l] of points) target.clearBreakpoint(h, l);
      });
      target.clearWatchpoint(stackHigh, stackLow - 32, 8, "write");
    }
    target.detach();
    go(run, NEVER, stopped);
    expect(result(run)).toEqual(plain);
    expect(stops.breakpoint).toBeGreaterThan(0);
    expect(stops.watchpoint).toBeGreaterThan(0);
    expect(stops.step).toBeGreaterThan(300);
  });

  it("moved into a new machine by snapshots, between events and at a breakpoint inside a slice", () => {
    const run = build(cpus);
    go(run, BUSY);
    moved(run, cpus);
    for (let n = 1; n <= 5; n++) {
      go(run, BUSY + n * MS + n * 777);
      moved(run, cpus);
      go(run, BUSY + n * MS + 100 * US);
      const target = run.machine.cpus.debugger;
      target.resume(["step"]);
      run.machine.simulation.run(BUSY + (n + 1) * MS);
      moved(run, cpus);
    }
    go(run);
    expect(result(run)).toEqual(plain);
  });
});

it("another seed gives another state", () => {
  const [one, two] = [build(1, 1), build(1, 2)];
  expect(one.machine.simulation.stateHash()).not.toBe(two.machine.simulation.stateHash());
  expect(build(1, 1).machine.simulation.stateHash()).toBe(one.machine.simulation.stateHash());
});
