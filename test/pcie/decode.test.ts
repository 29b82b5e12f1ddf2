/** Address decoding against a plain reference: random windows, BARs and enables, overlaps and all. Clauses 7.5.1.1.3, 7.5.1.2.1, 7.5.1.3.8, .9. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { check } from "../support/soak.ts";
import { SwitchBench } from "./bench.ts";

interface Port {
  readonly memory: readonly [base: number, limit: number];
  readonly prefetchable: readonly [base: number, limit: number];
  readonly enabled: boolean;
}
interface Plan {
  readonly root: Port;
  readonly up: Port;
  readonly down: readonly [Port, Port];
  /** BAR 0 of the functions behind the ports and of the one on the root bus, in pages from 0x1000_0000 on; -1: memory disabled. */
  readonly bars: readonly [number, number, number];
}

const BASE = 0x1000_0000;
const MIB = 0x10_0000;
const PAGE = 0x1000;
const BRIDGES = ["00:01.0", "01:00.0", "02:00.0", "02:01.0"] as const;
const FUNCTIONS = ["03:00.0", "04:00.0", "00:05.0"] as const;

// Windows of 1 to 3 MiB within 4 MiB, closed ones among them; BARs within 4 MiB.
const window = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }));
const port = fc.record({
  memory: window,
  prefetchable: window,
  enabled: fc.integer({ min: 0, max: 7 }).map((n) => n > 0),
});
const page = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 1023 }) },
  { weight: 1, arbitrary: fc.constant(-1) },
);
const plans: fc.Arbitrary<Plan> = fc.record({
  root: fc.record({ memory: fc.constant([0, 3] as const), prefetchable: window, enabled: fc.boolean() }),
  up: port,
  down: fc.tuple(port, port),
  bars: fc.tuple(page, page, page),
});

function apply(b: SwitchBench, plan: Plan): void {
  const ports = [plan.root, plan.up, ...plan.down];
  ports.forEach((p, i) => {
    const where = BRIDGES[i] as string;
    const word = ([base, limit]: readonly [number, number]) =>
      (((BASE + base * MIB) >>> 16) | ((((BASE + limit * MIB) >>> 16) << 16) >>> 0)) >>> 0;
    b.setConfig(where, 0x20, word(p.memory));
    b.setConfig(where, 0x24, word(p.prefetchable));
    b.setConfig(where, 0x28, 0);
    b.setConfig(where, 0x2c, 0);
    b.setConfig(where, 4, p.enabled ? 7 : 5, 2);
  });
  plan.bars.forEach((at, i) => {
    const where = FUNCTIONS[i] as string;
    b.setConfig(where, 4, 0, 2);
    b.setConfig(where, 0x20, 0x3000_0000 + i * PAGE);
    b.setConfig(where, 0x10, BASE + Math.max(at, 0) * PAGE);
    b.setConfig(where, 4, at < 0 ? 4 : 6, 2);
  });
}

/** Which function answers at `address`: 0 to 2, or -1. What is attached last goes first where claims overlap. */
function reference(plan: Plan, address: number): number {
  const within = (p: Port) =>
    p.enabled &&
    [p.memory, p.prefetchable].some(
      ([base, limit]) => address >= BASE + base * MIB && address < BASE + (limit + 1) * MIB,
    );
  const bar = (i: number) => {
    const at = plan.bars[i] as number;
    return at >= 0 && address >= BASE + at * PAGE && address < BASE + (at + 1) * PAGE;
  };
  if (bar(2)) return 2;
  if (!within(plan.root) || !within(plan.up)) return -1;
  for (const i of [1, 0]) if (within(plan.down[i] as Port)) return bar(i) ? i : -1;
  return -1;
}

describe("address decoding", () => {
  it("finds the function that the windows and BARs say, and gives all ones where there is none", () => {
    const b = new SwitchBench().enumerate();
    [0x1000_0040, 0x1010_0040, 0x1200_0040].forEach((address, i) => {
      b.write(address, 0xa0 + i);
    });
    let answered = 0;
    check(
      fc.property(plans, fc.array(fc.integer({ min: 0, max: 1023 }), { maxLength: 6 }), (plan, pages) => {
        apply(b, plan);
        for (const p of [...plan.bars.filter((at) => at >= 0), ...pages]) {
          const address = BASE + p * PAGE + 0x40;
          const expected = reference(plan, address);
          if (expected >= 0) answered++;
          expect(b.read(address)).toBe(expected < 0 ? 0xffff_ffff : 0xa0 + expected);
        }
      }),
      { numRuns: 400, seed: 4 },
    );
    expect(answered).toBeGreaterThan(200);
  });
});
