import { expect, it } from "vitest";
import { Bench, fuzzDevice } from "../../registers/harness.ts";
import { buildEcam } from "./device.ts";

it("7.2.2, 2.3.2: every function of every bus is absent: all ones at every width, no error", () => {
  const bench = new Bench(buildEcam);
  // Bus n, device n, function n: bits 27:20, 19:15, 14:12.
  for (const offset of [0, 0x8000, 0x1000, 0x10_0000, 0xfff_fff8]) {
    expect([1, 2, 4, 8].map((size) => bench.read(0, offset, size))).toEqual([0xff, 0xffff, 0xffff_ffff, 0xffff_ffff]);
    expect(bench.transaction.high).toBe(0xffff_ffff);
    expect(bench.peek(0, offset, 4)).toBe(0xffff_ffff);
    expect(bench.transaction.response).toBe(0);
  }
  expect(bench.errors).toEqual([]);
});

it("writes are dropped", () => {
  const bench = new Bench(buildEcam);
  const hash = bench.simulation.stateHash();
  for (const size of [1, 2, 4, 8]) bench.write(0, 0x8000, size, 0);
  bench.poke(0, 0x8000, 4, 0);
  expect(bench.read(0, 0x8000, 4)).toBe(0xffff_ffff);
  expect(bench.simulation.stateHash()).toBe(hash);
});

fuzzDevice("pcie-ecam", buildEcam);
