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

  it("the examples are in order; comments and a last comma are allowed", () => {
    const names = (example: string) =>
      parseVmConfiguration("x", readFileSync(url(`examples/${example}.jsonc`), "utf8")).vms.map((v) => v.name);
    expect(names("two-guests")).toEqual(["trapped", "passed"]);
    expect(names("two-vfs")).toEqual(["left", "right"]);
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

  const NIC = '{ "pci": { "nic": { "device": "igb", "vfs": 2 } },';
  it.each([
    [
      "a card that does not exist",
      ['{ "pci": {', '"nic": { "device": "e1000" } },', `"vms": [ ${A} } ] }`],
      'f.jsonc:2: nic: there is no card "e1000": expected igb, pcie-test',
    ],
    [
      "more virtual functions than the card has",
      ['{ "pci": { "nic": { "device": "igb",', `"vfs": 9 } },`, `"vms": [ ${A} } ] }`],
      "f.jsonc:2: nic: 9 virtual functions: igb has up to 8",
    ],
    [
      "an address that is no station's",
      ['{ "pci": { "nic": { "device": "igb",', `"mac": "01:00:5e:00:00:01" } },`, `"vms": [ ${A} } ] }`],
      'f.jsonc:2: nic: mac "01:00:5e:00:00:01": expected an address of one station',
    ],
    [
      "a network for a card without a port",
      ['{ "pci": { "t": { "device": "pcie-test",', `"net": "user" } },`, `"vms": [ ${A} } ] }`],
      'f.jsonc:2: t: pcie-test has no "net"',
    ],
    [
      "a function of a card that is not there",
      [NIC, `"vms": [ ${A},`, '"pci": [', '{ "function": "gpu" } ] } ] }'],
      'f.jsonc:4: a: there is no card "gpu" in "pci": expected one of nic',
    ],
    [
      "a virtual function that is not there",
      [NIC, `"vms": [ ${A}, "pci": [`, '{ "function": "nic", "vf": 2 } ] } ] }'],
      "f.jsonc:3: a: there is no virtual function 2 of nic: it has 0 to 1 (the other: f.jsonc:1)",
    ],
    [
      "a card given as a whole that has virtual functions",
      [NIC, `"vms": [ ${A}, "pci": [`, '{ "function": "nic" } ] } ] }'],
      'f.jsonc:3: a: nic has virtual functions, so it stays the hypervisor\'s: expected "vf" (the other: f.jsonc:1)',
    ],
    [
      "a virtual function given twice",
      [
        NIC,
        `"vms": [ ${A}, "pci": [`,
        '{ "function": "nic", "vf": 1 } ] },',
        '{ "name": "b", "memory": "2M", "kernel": "k", "pci": [',
        '{ "function": "nic", "vf": 1 } ] } ] }',
      ],
      "f.jsonc:5: b: virtual function 1 of nic is given twice (the other: f.jsonc:3)",
    ],
    [
      "an address given twice",
      [
        NIC,
        `"vms": [ ${A}, "pci": [`,
        '{ "function": "nic", "vf": 0, "mac": "02:00:00:00:00:0a" },',
        '{ "function": "nic", "vf": 1, "mac": "02:00:00:00:00:0A" } ] } ] }',
      ],
      "f.jsonc:4: a: 02:00:00:00:00:0A is given twice (the other: f.jsonc:3)",
    ],
    [
      "an address for a whole card's function, whose driver is the guest",
      [
        '{ "pci": { "nic": { "device": "igb" } },',
        `"vms": [ ${A}, "pci": [ { "function": "nic",`,
        '"mac": "02:00:00:00:00:0a" } ] } ] }',
      ],
      'f.jsonc:3: a: nic has no "mac" to be set here',
    ],
    [
      "more MSI-X vectors than the machine's frame has interrupts",
      [
        '{ "pci": { "a": { "device": "igb" }, "b": { "device": "igb" }, "c": { "device": "igb" } },',
        `"vms": [ ${A}, "pci": [`,
        '{ "function": "a" }, { "function": "b" },',
        '{ "function": "c" } ] } ] }',
      ],
      "f.jsonc:4: a: c: its MSI-X vectors are more than are left of the machine's 64",
    ],
    [
      "a device over the window of the VM's PCIe bus",
      [
        NIC,
        `"vms": [ ${A}, "pci": [`,
        '{ "function": "nic", "vf": 0 } ],',
        '"devices": { "uart0": { "mode": "trap", "at": "0x20000000" } } } ] }',
      ],
      "f.jsonc:4: a: uart0 at 0x20000000 overlaps the PCIe window at 0x10000000 (the other: f.jsonc:2)",
    ],
  ])("PCIe: %s", (_what, lines, message) => {
    expect(complaint(...lines)).toContain(message);
  });
});
