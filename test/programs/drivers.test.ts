import { describe, expect, it } from "vitest";
import { acknowledge, enableGic, enableInterrupt, endOfInterrupt } from "../../src/guests/gic.ts";
import { print, receive, setUpUart } from "../../src/guests/pl011.ts";
import { clearTimer, startOnce, startPeriodic, stopTimer } from "../../src/guests/sp804.ts";
import { AbstractHypervisor, AbstractMachine, type GuestProgram } from "../../src/hypervisor/abstract/index.ts";
import { region } from "../../src/hypervisor/devices.ts";
import type { RegionOptions } from "../../src/hypervisor/vm.ts";
import { MS, SEC, US } from "../../src/sim/index.ts";

const UART = 0x900_0000;
const TIMER = 0xc00_0000;
const GICD = 0x800_0000;
const GIC = 0x801_0000;
const UART_INTERRUPT = 33;
const TIMER_INTERRUPT = 146;
const VIRTUAL_TIMER = 27;

function machine(program: GuestProgram, ...regions: RegionOptions[]) {
  const m = new AbstractMachine();
  const hypervisor = new AbstractHypervisor(m);
  const vm = hypervisor.add({ name: "guest", program, regions });
  return { m, hypervisor, vm };
}
const passUart = region({ part: "uart0", mode: "pass" });
const passTimer = region({ part: "timer0", mode: "pass" });

describe("guest drivers on passed-through devices", () => {
  it("PL011: text comes out, input comes in by interrupt", () => {
    let out = "";
    let got = "";
    const { m, vm } = machine(
      {
        name: "uart",
        *main(g) {
          yield* setUpUart(g, UART, 24_000_000, 115_200);
          yield* enableInterrupt(g, GICD, UART_INTERRUPT, "level");
          yield* enableGic(g, GIC);
          yield* print(g, UART, "hello, world\r\n");
          g.unmask();
          while (got.length < 3) yield g.wait();
          yield* print(g, UART, got);
        },
        *interrupt(g) {
          const id = yield* acknowledge(g, GIC);
          got += String.fromCharCode(...(yield* receive(g, UART)));
          yield* endOfInterrupt(g, GIC, id);
        },
      },
      passUart,
    );
    m.uart.onTransmit = (byte: number) => {
      out += String.fromCharCode(byte);
    };
    m.simulation.run(10 * MS);
    for (const c of "abc") m.uart.receive(c.charCodeAt(0));
    m.simulation.run(SEC);
    expect(out).toBe("hello, world\r\nabc");
    expect(vm.status).toBe("off");
  });

  it("SP804: periodic interrupts at 1 MHz counts, none lost, then one shot", () => {
    const at: number[] = [];
    const { m, vm } = machine(
      {
        name: "timer",
        *main(g) {
          yield* enableInterrupt(g, GICD, TIMER_INTERRUPT, "level");
          yield* enableGic(g, GIC);
          g.unmask();
          yield* startPeriodic(g, TIMER, 500);
          while (at.length < 10) yield g.wait();
          yield* stopTimer(g, TIMER);
          yield* startOnce(g, TIMER, 2000);
          while (at.length < 11) yield g.wait();
          yield g.compute(10_000_000);
        },
        *interrupt(g) {
          const id = yield* acknowledge(g, GIC);
          at.push(g.now);
          yield* clearTimer(g, TIMER);
          yield* endOfInterrupt(g, GIC, id);
        },
      },
      passTimer,
    );
    m.simulation.run(SEC);
    expect(at).toHaveLength(11);
    for (let n = 1; n < 10; n++) {
      expect(Math.abs((at[n] as number) - (at[n - 1] as number) - 500 * US)).toBeLessThan(20 * US);
    }
    expect((at[10] as number) - (at[9] as number)).toBeGreaterThan(2 * MS);
    expect(vm.vcpus[0]?.cells.presented).toBe(11);
  });

  it("the virtual timer wakes a domain that waits, also one that was switched out meanwhile", () => {
    const woken: number[] = [];
    const { m, hypervisor } = machine({
      name: "sleeper",
      *main(g) {
        yield* enableInterrupt(g, GICD, VIRTUAL_TIMER, "level");
        yield* enableGic(g, GIC);
        g.unmask();
        for (let n = 1; n <= 5; n++) {
          yield g.setTimer(n * 10 * MS);
          while (woken.length < n) yield g.wait();
        }
      },
      *interrupt(g) {
        const id = yield* acknowledge(g, GIC);
        expect(id).toBe(27);
        woken.push(g.now);
        yield g.setTimer(Number.MAX_SAFE_INTEGER);
        yield* endOfInterrupt(g, GIC, id);
      },
    });
    hypervisor.add({
      name: "hog",
      program: {
        name: "hog",
        *main(g) {
          for (let n = 0; n < 30; n++) yield g.compute(1_000_000);
        },
      },
    });
    m.simulation.run(SEC);
    expect(woken).toHaveLength(5);
    woken.forEach((time, n) => {
      expect(time).toBeGreaterThanOrEqual((n + 1) * 10 * MS);
      expect(time).toBeLessThan((n + 1) * 10 * MS + 10.2 * MS);
    });
    expect((woken[4] as number) - 50 * MS).toBeLessThan(50 * US);
  });

  it("a program that touches what its VM does not have ends with an abort that names the address; its neighbour goes on", () => {
    const { m, hypervisor, vm } = machine({
      name: "wild",
      *main(g) {
        yield g.store(0x900_0000, 1);
      },
    });
    const errors: string[] = [];
    m.simulation.reporter.observe({ guestError: (error) => errors.push(error.detail ?? "") });
    let done = false;
    const good = hypervisor.add({
      name: "good",
      program: {
        name: "good",
        *main(g) {
          yield g.compute(1_000_000);
          done = true;
        },
      },
    });
    m.simulation.run(SEC);
    expect(errors.some((e) => e.includes("0x9000000"))).toBe(true);
    expect([vm.status, good.status]).toEqual(["off", "off"]);
    expect(vm.statistics.table("regions").map((r) => r.name)).toEqual(["0x9000000"]);
    expect(done).toBe(true);
  });
});
