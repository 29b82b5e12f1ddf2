/** `-device toe` and `-device toe-pci` on the command line (docs/devices/toe.md). */
import { describe, expect, it } from "vitest";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import type { RunOptions } from "../../src/host/options/run-options.ts";

function parse(line: string): RunOptions {
  const parsed = parseCommandLine(line.split(" "), "qemu", { program: "armature-system-aarch64", version: "0" });
  if (parsed.kind !== "run") throw new Error(`text: ${parsed.text}`);
  return parsed.options;
}

describe("-device toe", () => {
  it("is absent unless asked for", () => expect(parse("-m 128M").toe).toBeUndefined());
  it("takes a network, an address and a number of interfaces", () => {
    expect(parse("-netdev user,id=n -device toe,netdev=n,interfaces=4,mac=02:00:00:00:00:10").toe).toMatchObject({
      interfaces: 4,
      mac: Uint8Array.of(2, 0, 0, 0, 0, 0x10),
      network: { id: "n", far: { kind: "user" } },
    });
    expect(parse("-device toe").toe).toEqual({ network: null });
  });
  it("on PCIe it sits behind a port", () => {
    expect(
      parse("-device pcie-root-port,id=rp -netdev user,id=n -device toe-pci,bus=rp,netdev=n,interfaces=16").pcie[1],
    ).toMatchObject({ driver: "toe-pci", bus: "pci_rp", numbers: { interfaces: 16 }, network: { id: "n" } });
  });
  it.each([
    ["-device toe,interfaces=65", /interfaces=65/],
    ["-device toe,interfaces=0", /interfaces=0/],
    ["-device toe -device toe", /one toe/],
    ["-device toe,netdev=x", /no -netdev with id=x/],
    ["-device toe,color=red", /color/],
    ["-netdev user,id=n -device toe,netdev=n -device toe-pci,netdev=n", /n/],
    ["-device toe,mac=01:00:00:00:00:00", /unicast/],
  ])("%s is refused in words that name it", (line, words) => expect(() => parse(line)).toThrow(words));
});
