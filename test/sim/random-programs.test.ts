/**
 * Random programs against what SystemC 2.3.4 did with the same ones (systemc/random/expected.json, made by
 * systemc/generate.ts): order of every activation, delta counts, signal values.
 */
import { describe, expect, it } from "vitest";
import expected from "./systemc/random/expected.json" with { type: "json" };
import { Machine, makeProgram } from "./systemc/random/program.ts";

const traces: readonly string[] = expected;

describe("random programs, compared with SystemC 2.3.4", () => {
  it.each(traces.map((trace, seed) => [seed, trace] as const))("program %i", (seed, trace) => {
    expect(new Machine(makeProgram(seed)).run()).toEqual(trace.split("\n"));
  });
});
