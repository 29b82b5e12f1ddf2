/**
 * Guest programs in TypeScript under stage 2: sixty of them taking 10 Gb/s of packets from virtual functions passed through, what a packet costs with one guest and with
 * sixty under the same load each (aim: within 1.3 of each other), world switches, trapped and passed register accesses.
 */

import { RAM_BASE } from "../platform/virt/board.ts";
import { VirtMachine } from "../platform/virt/machine.ts";
import { SriovSystem } from "../src/guests/sriov.ts";
import { AbstractHypervisor, AbstractMachine, type GuestProgram } from "../src/hypervisor/abstract/index.ts";
import { region } from "../src/hypervisor/devices.ts";
import { addHypervisor } from "../src/hypervisor/machine.ts";
import { hypervisorTotals } from "../src/hypervisor/report.ts";
import { MS, SEC } from "../src/sim/index.ts";
import { median, report } from "./support/measure.ts";

const ROUNDS = 5;

/** Shortest wall time of `run` in milliseconds, after one round to warm up, and what that round gave. */
function shortest<T>(run: () => T, rounds = ROUNDS): { milliseconds: number; result: T } {
  let found = { milliseconds: Number.POSITIVE_INFINITY, result: run() };
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    const result = run();
    const milliseconds = performance.now() - start;
    if (milliseconds < found.milliseconds) found = { milliseconds, result };
  }
  return found;
}

/** Frames of 1,518 bytes a second on a link of 1 Gb/s. */
const LINE_RATE = 1e9 / 8 / 1538;
/** Packets of a round: the same however many guests share them. */
const PACKETS = 20_000;
const PACKET_ROUNDS = process.env["ARMATURE_BENCH"] === "short" ? 2 : 12;
/** Rounds in which code is compiled and the PF's domain comes to rest. */
const WARM_UP = 3;

interface Load {
  readonly name: string;
  readonly system: SriovSystem;
  readonly span: number;
  readonly cpu: number[];
  readonly wall: number[];
  bits: number;
}

function load(ports: number, functions: number, rate: number): Load {
  const system = new SriovSystem({ ports, functions, framesPerSecond: rate });
  const guests = ports * functions;
  const name = `${guests} guest${guests === 1 ? "" : "s"}`;
  return { name, system, span: Math.round((PACKETS / (rate * ports)) * SEC), cpu: [], wall: [], bits: 0 };
}

/** Rounds of all loads in turn, so that what else the machine does meets them alike. Of each: median user time of a packet, and the shortest. */
function packets(loads: readonly Load[]): { median: number; least: number }[] {
  for (let round = 0; round < WARM_UP + PACKET_ROUNDS; round++) {
    for (const l of loads) {
      const start = performance.now();
      const before = process.cpuUsage();
      const result = l.system.run(l.span);
      const { user } = process.cpuUsage(before);
      l.bits = result.bitsPerSecond;
      if (round < WARM_UP) continue;
      l.cpu.push(user / result.packets);
      l.wall.push((performance.now() - start) / 1000);
    }
  }
  return loads.map((l) => {
    const cost = { median: median(l.cpu), least: Math.min(...l.cpu) };
    const speed = l.span / SEC / median(l.wall);
    const title = `${l.name}, ${(l.bits / 1e9).toFixed(2)} Gb/s of 1,518-byte frames`.padEnd(52);
    const figures = `${cost.median.toFixed(2)} us of CPU a packet (least ${cost.least.toFixed(2)})`.padStart(38);
    console.log(`${title}${figures}, ${speed.toFixed(3)} simulated seconds a second`);
    return cost;
  });
}

const [, one, sixty] = packets([load(1, 1, LINE_RATE), load(1, 1, LINE_RATE / 6), load(10, 6, LINE_RATE)]);
if (one && sixty) {
  const ratio = `${(sixty.median / one.median).toFixed(2)} (of the least: ${(sixty.least / one.least).toFixed(2)})`;
  console.log(`a packet at 60 guests against one with the same load: ${ratio} (aim: at most 1.3)`);
}

/** Two guests on one CPU that give it up in turn. */
function worldSwitches(): void {
  const machine = new AbstractMachine();
  const guests = new AbstractHypervisor(machine);
  const program: GuestProgram = {
    name: "yielding",
    *main(g) {
      for (;;) yield g.yield();
    },
  };
  for (const name of ["one", "other"]) guests.add({ name, program });
  const { simulation } = machine;
  const { milliseconds, result } = shortest(() => {
    const before = hypervisorTotals(guests.hypervisor).worldSwitches;
    simulation.run(simulation.now + SEC / 2);
    return hypervisorTotals(guests.hypervisor).worldSwitches - before;
  });
  report("world switches, scheduler included", result / milliseconds / 1000);
}
worldSwitches();

/** A guest that reads UARTFR, of the real part through stage 2 or of a model behind every trapped access. */
function registers(mode: "trap" | "pass"): void {
  const machine = new AbstractMachine();
  const count = { accesses: 0 };
  const uart = 0x900_0000;
  new AbstractHypervisor(machine).add({
    name: "reader",
    program: {
      name: "reader",
      *main(g) {
        for (;;) {
          yield g.load(uart + 0x18);
          count.accesses++;
        }
      },
    },
    regions: [region({ part: "uart0", mode })],
  });
  const { simulation } = machine;
  const { milliseconds, result } = shortest(() => {
    const before = count.accesses;
    simulation.run(simulation.now + 100 * MS);
    return count.accesses - before;
  });
  report(`${mode === "trap" ? "trapped" : "passed"} register accesses, guest program`, result / milliseconds / 1000);
}
registers("pass");
registers("trap");

/** The same from AArch64 code under the hypervisor: LDR W1, [X0, #0x18] and a branch, for ever. */
function translated(mode: "trap" | "pass"): void {
  const code = Uint32Array.of(0xd2a1_2000, 0xb940_1801, 0x17ff_ffff);
  const machine = new VirtMachine({ virtualization: true, memory: 64 * 2 ** 20 });
  const hypervisor = addHypervisor(machine);
  const vm = hypervisor.createVm({
    name: "reader",
    memory: 2 * 2 ** 20,
    vcpus: 1,
    psci: "hvc",
    regions: [region({ part: "uart0", mode })],
    images: [{ address: RAM_BASE, data: new Uint8Array(code.buffer) }],
    entry: RAM_BASE,
    x0: 0,
  });
  machine.reset();
  hypervisor.request(vm, "start");
  const { simulation } = machine;
  const accesses = () =>
    mode === "trap" ? vm.statistics.total.count : (machine.cpus.cpus[0] as { instructions: number }).instructions / 2;
  simulation.run(simulation.now + MS);
  const { milliseconds, result } = shortest(() => {
    const before = accesses();
    simulation.run(simulation.now + (mode === "pass" ? 2 : 10) * MS);
    return accesses() - before;
  });
  report(`${mode === "trap" ? "trapped" : "passed"} register accesses, AArch64 code`, result / milliseconds / 1000);
}
translated("pass");
translated("trap");
