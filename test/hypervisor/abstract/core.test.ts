import { describe, expect, it } from "vitest";
import { acknowledge, enableGic, endOfInterrupt } from "../../../src/guests/gic.ts";
import { print, setUpUart } from "../../../src/guests/pl011.ts";
import { clearTimer, startPeriodic, stopTimer } from "../../../src/guests/sp804.ts";
import { AbstractHypervisor } from "../../../src/hypervisor/abstract/core.ts";
import { AbstractMachine, type GuestProgram } from "../../../src/hypervisor/abstract/index.ts";
import { region } from "../../../src/hypervisor/devices.ts";
import type { RegionMode } from "../../../src/hypervisor/vm.ts";
import { MS, SEC } from "../../../src/sim/index.ts";

const UART = 0x900_0000;
const TIMER = 0xc00_0000;
const GICD = 0x800_0000;
const GICC = 0x801_0000;

/** Prints a line at each of `ticks` interrupts of the SP804 (combined, SPI 114), 1 ms apart, then switches itself off. */
function ticker(name: string, ticks: number): GuestProgram {
  let count = 0;
  return {
    name,
    *main(g) {
      count = 0;
      yield* setUpUart(g, UART, 24_000_000, 115_200);
      yield g.store(GICD, 1);
      yield g.store(GICD + 0x400 + 146, 0x80, 1);
      yield g.store(GICD + 0x800 + 146, 1, 1);
      yield g.store(GICD + 0x100 + 4 * 4, 1 << 18);
      yield* enableGic(g, GICC);
      g.unmask();
      yield* startPeriodic(g, TIMER, 1000);
      for (let n = 0; n < ticks; n++) {
        while (count <= n) yield g.wait();
        yield* print(g, UART, `${name} ${n}\n`);
      }
      yield* stopTimer(g, TIMER);
    },
    *interrupt(g) {
      const id = yield* acknowledge(g, GICC);
      if (id === 146) {
        count++;
        yield* clearTimer(g, TIMER);
      }
      if (id < 1020) yield* endOfInterrupt(g, GICC, id);
    },
  };
}

const lines = (name: string, ticks: number) => Array.from({ length: ticks }, (_, n) => `${name} ${n}\n`).join("");

describe("guest programs under the hypervisor", () => {
  it("one guest sees the same with devices trapped and passed", () => {
    const out = (mode: RegionMode) => {
      const machine = new AbstractMachine();
      const h = new AbstractHypervisor(machine);
      let text = "";
      const onTransmit = (byte: number): void => {
        text += String.fromCharCode(byte);
      };
      machine.uart.onTransmit = onTransmit;
      const vm = h.add({
        name: "guest",
        program: ticker("tick", 5),
        regions: [region({ part: "uart0", mode, onTransmit }), region({ part: "timer0", mode })],
      });
      machine.simulation.run(SEC);
      expect(vm.status).toBe("off");
      return { text, exits: vm.statistics.total.count };
    };
    const trapped = out("trap");
    const passed = out("pass");
    expect(trapped.text).toBe(lines("tick", 5));
    expect(passed.text).toBe(trapped.text);
    expect(trapped.exits).toBeGreaterThan(passed.exits * 2);
  });

  for (const [cpus, count] of [
    [1, 12],
    [4, 20],
    [8, 60],
  ] as const) {
    it(`${count} VMs with trapped devices on ${cpus} CPUs: each prints its own lines and goes off`, () => {
      const machine = new AbstractMachine({ cpus, memory: 256 * 2 ** 20 });
      const h = new AbstractHypervisor(machine);
      const texts = Array.from({ length: count }, () => "");
      const vms = texts.map((_, n) =>
        h.add({
          name: `vm${n}`,
          program: ticker(`vm${n}`, 3),
          regions: [
            region({
              part: "uart0",
              mode: "trap",
              onTransmit: (byte) => {
                texts[n] += String.fromCharCode(byte);
              },
            }),
            region({ part: "timer0", mode: "trap" }),
          ],
        }),
      );
      machine.simulation.run(200 * MS);
      expect(vms.map((vm) => vm.status)).toEqual(vms.map(() => "off"));
      expect(texts).toEqual(texts.map((_, n) => lines(`vm${n}`, 3)));
    });
  }

  it("a second vCPU comes up by PSCI CPU_ON with its context identifier", () => {
    const machine = new AbstractMachine({ cpus: 2 });
    const h = new AbstractHypervisor(machine);
    const seen: number[] = [];
    h.add({
      name: "smp",
      vcpus: 2,
      program: {
        name: "smp",
        *main(g) {
          if (g.vcpu === 1) {
            seen.push(g.register(0));
            for (;;) yield g.compute(1000);
          }
          yield g.hypercall(0, 0xc400_0003, 1, 0x4000_0000, 0x1234);
          yield g.compute(1_000_000);
        },
      },
    });
    machine.simulation.run(100 * MS);
    expect(seen).toEqual([0x1234]);
  });
});
