/**
 * Each case is a small program written twice: for SystemC in systemc/*.cpp and for this kernel in systemc/*.ts. What
 * SystemC 2.3.4 printed (time, delta count, text) is in systemc/expected.json; systemc/generate.ts makes it. Where this
 * kernel differs, systemc/differences.json has what it prints and why.
 */
import { describe, expect, it } from "vitest";
import { Bench } from "./systemc/bench.ts";
import differences from "./systemc/differences.json" with { type: "json" };
import { eventCases } from "./systemc/events.ts";
import expected from "./systemc/expected.json" with { type: "json" };
import { processCases } from "./systemc/processes.ts";
import { signalCases } from "./systemc/signals.ts";

const cases = { ...eventCases, ...processCases, ...signalCases };
const reference: Record<string, readonly string[]> = expected;
const differs: Record<string, { readonly why: string; readonly ours: readonly string[] }> = differences;

describe("order of execution, compared with SystemC 2.3.4", () => {
  it("has a twin for every case, and every twin's case", () => {
    expect(Object.keys(cases).sort()).toEqual(Object.keys(reference).sort());
  });

  for (const [name, body] of Object.entries(cases)) {
    const difference = differs[name];
    it(difference ? `${name} (differs: ${difference.why})` : name, () => {
      const bench = new Bench();
      body(bench);
      expect(bench.lines).toEqual(difference?.ours ?? reference[name]);
      if (difference) expect(difference.ours).not.toEqual(reference[name]);
    });
  }
});
