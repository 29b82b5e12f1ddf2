import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFdt, type FdtNode, findNode, InputError, parseFdt, printDts, toRaw } from "../../src/formats/index.ts";
import { check } from "../support/soak.ts";

const tree: FdtNode = {
  name: "",
  properties: {
    compatible: ["acme,board", "acme,any"],
    "#size-cells": [1],
    flag: true,
    mac: new Uint8Array([1, 2, 3]),
  },
  children: [
    { name: "cpus", properties: {}, children: [{ name: "cpu@0", properties: { reg: [0, 0xffffffff] }, children: [] }] },
  ],
};

describe("flattened device tree (Devicetree Specification 0.4, chapter 5)", () => {
  it("5.2: header words: magic, version 17, compatible with 16, offsets inside the blob", () => {
    const blob = encodeFdt(tree);
    const view = new DataView(blob.buffer);
    expect(view.getUint32(0)).toBe(0xd00dfeed);
    expect(view.getUint32(4)).toBe(blob.length);
    expect(view.getUint32(20)).toBe(17);
    expect(view.getUint32(24)).toBe(16);
    expect(view.getUint32(8) % 4).toBe(0);
    expect(view.getUint32(16) % 8).toBe(0);
  });

  it("5.3: an empty memory reservation block is one pair of zeros", () => {
    const blob = encodeFdt(tree);
    expect([...blob.subarray(40, 56)]).toEqual(Array(16).fill(0));
  });

  it("what is encoded is read back", () => {
    expect(parseFdt(encodeFdt(tree), "blob")).toEqual(toRaw(tree));
  });

  it("pads to the size asked for", () => {
    expect(encodeFdt(tree, 4096)).toHaveLength(4096);
    expect(parseFdt(encodeFdt(tree, 4096), "blob")).toEqual(toRaw(tree));
  });

  it("finds nodes by path", () => {
    const raw = parseFdt(encodeFdt(tree), "blob");
    expect(findNode(raw, "/cpus/cpu@0")?.properties.get("reg")).toEqual(
      new Uint8Array([0, 0, 0, 0, 255, 255, 255, 255]),
    );
    expect(findNode(raw, "/cpus/cpu@1")).toBeNull();
  });

  it("prints source as dtc does", () => {
    expect(printDts(toRaw(tree))).toBe(
      [
        "/dts-v1/;",
        "",
        "/ {",
        '\tcompatible = "acme,board\\0acme,any";',
        "\t#size-cells = <0x01>;",
        "\tflag;",
        "\tmac = [01 02 03];",
        "",
        "\tcpus {",
        "",
        "\t\tcpu@0 {",
        "\t\t\treg = <0x00 0xffffffff>;",
        "\t\t};",
        "\t};",
        "};",
        "",
      ].join("\n"),
    );
  });

  it("names the file and the fault of a blob that is cut off", () => {
    const blob = encodeFdt(tree);
    expect(() => parseFdt(blob.subarray(0, 20), "my.dtb")).toThrow("my.dtb: 20 bytes; expected a device tree blob");
    expect(() => parseFdt(blob.subarray(0, 100), "my.dtb")).toThrow("my.dtb: cut off: the header says");
    expect(() => parseFdt(new Uint8Array(64), "my.dtb")).toThrow("expected a device tree blob (0xd00dfeed)");
  });

  it("property: a damaged blob gives a tree or an InputError, nothing else", () => {
    const blob = encodeFdt(tree);
    check(
      fc.property(
        fc.array(fc.tuple(fc.nat(blob.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (damage) => {
          const bad = blob.slice();
          for (const [at, value] of damage) bad[at] = value;
          try {
            parseFdt(bad, "bad.dtb");
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
