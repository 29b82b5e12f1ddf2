/** Files of VMs: what is wrong with one is said with file, line and both parties. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseVmConfiguration } from "../../src/host/vm.ts";
import { bytesOf } from "../../src/hypervisor/config.ts";
import { VM_CONFIG_SCHEMA } from "../../src/hypervisor/config-schema.ts";

const url = (path: string) => new URL(`../../${path}`, import.meta.url);

/** The message for a file of these lines. */
function complaint(...lines: string[]): string {
  try {
    parseVmConfiguration("f.jsonc", lines.join("\n"));
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}
const A = '{ "name": "a", "memory": "64M", "kernel": "k"';

describe("configuration of VMs", () => {
  it("the schema in docs is the one that is checked", () => {
    expect(JSON.parse(readFileSync(url("docs/vm-config.schema.json"), "utf8"))).toEqual(VM_CONFIG_SCHEMA);
  });

  it("the example is in order; comments and a last comma are allowed", () => {
    const text = readFileSync(url("examples/two-guests.jsonc"), "utf8");
    expect(parseVmConfiguration("x", text).vms.map((v) => v.name)).toEqual(["trapped", "passed"]);
    expect(complaint('{ "vms": [', "// one", `${A} },`, "] }")).toBe("");
  });

  it("sizes: numbers, and K, M, G", () => {
    expect([4096, "8K", "64M", "1G", "123"].map(bytesOf)).toEqual([4096, 8192, 67_108_864, 1_073_741_824, 123]);
  });

  it.each([
    ["text that is no JSON", ['{ "vms": [', '{ "name" 5 } ] }'], "f.jsonc:2: colon expected"],
    [
      "a property that is missing",
      ['{ "vms": [', '{ "name": "a", "memory": "64M" } ] }'],
      "f.jsonc:2: vms.0: must have required property 'kernel'",
    ],
    [
      "a property that nobody knows",
      ['{ "vms": [', `${A},`, '"colour": 1 } ] }'],
      "f.jsonc:3: vms.0.colour: no such property is known",
    ],
    [
      "two VMs of one name",
      ['{ "vms": [', `${A} },`, `${A} } ] }`],
      'f.jsonc:3: two VMs are named "a" (the other: f.jsonc:2)',
    ],
    [
      "memory beyond RAM",
      [
        '{ "machine": { "memory": "100M" },',
        '"vms": [',
        `${A} },`,
        '{ "name": "b",',
        '"memory": "64M", "kernel": "k" } ] }',
      ],
      "f.jsonc:5: b: 64 MiB are more than is left of the machine's 100 MiB (the other: f.jsonc:1)",
    ],
    [
      "an unknown device",
      ['{ "vms": [', `${A}, "devices": {`, '"uart7": "trap" } } ] }'],
      'f.jsonc:3: a: there is no device "uart7": expected one of uart0',
    ],
    [
      "a device given twice",
      [
        '{ "vms": [',
        `${A}, "devices": {`,
        '"uart0": "pass" } },',
        '{ "name": "b", "memory": "2M", "kernel": "k", "devices": {',
        '"uart1": { "mode": "pass", "physical": "uart0" } } } ] }',
      ],
      "f.jsonc:5: b: uart0 is given twice (the other: f.jsonc:3)",
    ],
    [
      "devices that overlap",
      [
        '{ "vms": [',
        `${A}, "devices": {`,
        '"uart0": "trap",',
        '"timer0": { "mode": "trap", "at": "0x9000000" } } } ] }',
      ],
      "f.jsonc:4: a: timer0 at 0x9000000 overlaps uart0 at 0x9000000 (the other: f.jsonc:3)",
    ],
    [
      "a device over memory",
      ['{ "vms": [', `${A}, "devices": {`, '"uart0": { "mode": "trap", "at": "0x40000000" } } } ] }'],
      "f.jsonc:3: a: uart0 at 0x40000000 overlaps memory at 0x40000000 (the other: f.jsonc:2)",
    ],
    [
      "a register that the part does not have",
      ['{ "vms": [', `${A}, "devices": { "uart0": { "mode": "trap",`, '"registers": { "UARTXYZ": "pass" } } } } ] }'],
      'f.jsonc:3: a: uart0 has no register "UARTXYZ"',
    ],
    [
      "a CPU that is not there",
      ['{ "vms": [', `${A},`, '"affinity": [[0, 3]] } ] }'],
      "f.jsonc:3: CPU 3: the machine has 1",
    ],
    [
      "an unknown policy",
      ['{ "scheduler": { "policy": "lottery" },', `"vms": [ ${A} } ] }`],
      'f.jsonc:1: there is no policy "lottery"',
    ],
    [
      "a part of another class",
      ['{ "vms": [', `${A}, "devices": { "uart0": {`, '"mode": "pass", "physical": "timer0" } } } ] }'],
      'f.jsonc:3: a: "timer0" is no pl011 of the machine',
    ],
  ])("%s", (_what, lines, message) => {
    expect(complaint(...lines)).toContain(message);
  });
});
