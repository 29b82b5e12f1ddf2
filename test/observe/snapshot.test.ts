import { describe, expect, it } from "vitest";
import { InputError } from "../../src/formats/index.ts";
import { decodeSnapshot, encodeSnapshot, readSnapshotHeader } from "../../src/observe/snapshot.ts";
import { Simulation } from "../../src/sim/index.ts";

const state = {
  ...new Simulation().save(),
  time: 123,
  modules: {
    "soc.uart0": {
      version: 2,
      state: { registers: { UARTCR: 0x300 }, fifo: new Uint8Array([1, 2, 3]), on: true, none: null },
    },
    ram: {
      version: 1,
      state: {
        contents: { pages: Uint32Array.of(7), data: new Uint8Array(4096).fill(9) },
        wide: new Float64Array([1.5, -2]),
      },
    },
  },
};
const machine = { board: "virt", cpus: 2, memory: 1024 };
const options = ["-smp", "2"];
const snapshot = { machine, options, state, input: { serial0: new Uint8Array([104, 105]) }, midway: false };

describe("snapshot files", () => {
  it("what is saved is read back, arrays with their types", () => {
    const file = encodeSnapshot(snapshot);
    expect(readSnapshotHeader(file, "s")).toEqual({ machine, options });
    expect(decodeSnapshot(file, "s")).toEqual(snapshot);
  });

  it("a codec is named in the file and used", () => {
    const turn = (d: Uint8Array) => d.map((b) => b ^ 0x5a);
    const codec = { name: "turn", compress: turn, decompress: turn };
    const file = encodeSnapshot(snapshot, codec);
    expect(decodeSnapshot(file, "s", [codec])).toEqual(snapshot);
    expect(() => decodeSnapshot(file, "s")).toThrow('s: compressed with "turn"; this host has none');
  });

  const file = encodeSnapshot(snapshot);
  const patched = (at: number, value: number) => {
    const copy = file.slice();
    copy[at] = value;
    return copy;
  };
  it.each([
    ["another kind of file", new TextEncoder().encode("#!/bin/sh\necho hello"), "not an Armature snapshot"],
    ["an empty file", new Uint8Array(), "not an Armature snapshot"],
    ["a later format", patched(8, 9), "snapshot format 9; this version reads 1"],
    ["a header that is cut off", file.subarray(0, 40), "cut off"],
    ["a changed byte", patched(file.length - 5, 77), "damaged"],
    ["a lost end", file.subarray(0, file.length - 4), "damaged"],
    [
      "a header that says something else",
      patched(16 + JSON.stringify({ machine: { board: "virt" } }).length - 4, 88),
      "damaged",
    ],
    ["a spoilt header", patched(17, 0), "damaged"],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => decodeSnapshot(bytes, "my.snap")).toThrow(InputError);
    expect(() => decodeSnapshot(bytes, "my.snap")).toThrow(`my.snap: ${message}`);
  });
});
