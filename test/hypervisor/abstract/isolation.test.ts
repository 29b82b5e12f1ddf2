import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { print, setUpUart } from "../../../src/guests/pl011.ts";
import {
  AbstractHypervisor,
  AbstractMachine,
  GuestAbort,
  type GuestProgram,
} from "../../../src/hypervisor/abstract/index.ts";
import { region } from "../../../src/hypervisor/devices.ts";
import { MS } from "../../../src/sim/index.ts";
import { check } from "../../support/soak.ts";

const UART = 0x900_0000;
type Step = readonly [what: number, address: number, value: number, size: 1 | 2 | 4 | 8];

/** Does what it is told, whatever comes of it. */
function wild(steps: readonly Step[]): GuestProgram {
  return {
    name: "wild",
    *main(g) {
      g.unmask();
      for (const [what, place, value, size] of steps) {
        const address = place - (place % size);
        try {
          if (what === 0) yield g.load(address, size);
          else if (what === 1) yield g.store(address, value, size, value);
          else if (what === 2) yield g.hypercall(value & 0xffff, value, place, size, value);
          else if (what === 3) yield g.secureCall(value & 0xffff, value, place, size, value);
          else if (what === 4) yield g.write(place, new Uint8Array(value % 9000));
          else if (what === 5) yield g.clearBits(address - (address % 4), value);
          else if (what === 6) yield g.setTimer(value);
          else yield g.yield();
        } catch (error) {
          if (!(error instanceof GuestAbort)) throw error;
        }
      }
      for (;;) yield g.compute(100_000);
    },
    *interrupt(g) {
      // acknowledges nothing: a storm
      yield g.compute(1);
    },
  };
}

const good: GuestProgram = {
  name: "good",
  *main(g) {
    yield* setUpUart(g, UART, 24_000_000, 115_200);
    for (let n = 0; n < 5; n++) {
      yield g.store(0x4000_1000 + 8 * n, n);
      yield g.compute(500_000);
      yield* print(g, UART, `line ${n} ${yield g.load(0x4000_1000 + 8 * n)}\n`);
    }
  },
};

function outputBeside(neighbour: GuestProgram): { text: string; status: string } {
  const machine = new AbstractMachine();
  const h = new AbstractHypervisor(machine);
  let text = "";
  const onTransmit = (byte: number): void => {
    text += String.fromCharCode(byte);
  };
  h.add({ name: "wild", program: neighbour, regions: [region({ part: "uart0", mode: "trap" })] });
  const vm = h.add({ name: "good", program: good, regions: [region({ part: "uart0", mode: "trap", onTransmit })] });
  machine.simulation.run(150 * MS);
  return { text, status: vm.status };
}

describe("a guest program that does anything", () => {
  it("changes nothing of its neighbour's output", () => {
    const expected = outputBeside(wild([]));
    expect(expected).toEqual({ text: "line 0 0\nline 1 1\nline 2 2\nline 3 3\nline 4 4\n", status: "off" });
    const places = fc.oneof(
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.integer({ min: 0, max: 0xfff }).map((n) => UART + n),
      fc.integer({ min: 0, max: 0x2fff }).map((n) => 0x800_0000 + n),
      fc.integer({ min: 0, max: 0x1fff }).map((n) => 0x801_0000 + n),
      fc.integer({ min: 0, max: 0x2f_ffff }).map((n) => 0x4000_0000 + n),
      fc.integer({ min: 0, max: 2 ** 39 }),
    );
    const step = fc.tuple(
      fc.integer({ min: 0, max: 7 }),
      places,
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.constantFrom<(1 | 2 | 4 | 8)[]>(1, 2, 4, 8),
    );
    check(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        expect(outputBeside(wild(steps))).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });
});
