/** The committed firmware: current, small, and the same wherever it is built. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { boardHeader } from "../../platform/virt/exports.ts";
import { parseElf } from "../../src/formats/index.ts";

const firmware = fileURLToPath(new URL("../../firmware/", import.meta.url));
// the hypervisor has the guest programs in it
const images = ["selftest.elf", "vm-two.elf", "vm-work.elf", "vm-wild.elf", "vm-probe.elf", "hypervisor.elf"];

describe("firmware", () => {
  it("include/board.h is what the board's data says", () => {
    expect(readFileSync(join(firmware, "include/board.h"), "utf8")).toBe(boardHeader());
  });

  it("the images were built from these sources", () => {
    const digests = readFileSync(join(firmware, "images/sources.sha256"), "utf8").trimEnd().split("\n");
    const listed = digests.map((line) => line.split("  ") as [string, string]);
    const present = ["start", "lib", "drivers", "drivers/toe", "toe", "selftest", "vm", "hypervisor", "include"]
      .flatMap((folder) =>
        readdirSync(join(firmware, folder), { withFileTypes: true })
          .filter((e) => e.isFile())
          .map((e) => `${folder}/${e.name}`),
      )
      .concat("Makefile");
    expect(listed.map(([, file]) => file).sort()).toEqual(present.sort());
    const changed = listed.filter(
      ([digest, file]) =>
        createHash("sha256")
          .update(readFileSync(join(firmware, file)))
          .digest("hex") !== digest,
    );
    expect(changed).toEqual([]);
  });

  it.each(images)(
    "%s is a small AArch64 image at RAM + 2 MiB that leaves its first 2 MiB to the device tree",
    (name) => {
      const elf = parseElf(readFileSync(join(firmware, "images", name)), name);
      expect(elf.entry).toBe(0x4020_0000);
      expect(statSync(join(firmware, "images", name)).size).toBeLessThan(
        (name === "hypervisor.elf" ? 192 : 128) * 1024,
      );
      for (const s of elf.segments) {
        expect(s.address).toBeGreaterThanOrEqual(0x4020_0000);
        expect(s.address + s.memoryBytes).toBeLessThanOrEqual(0x4040_0000);
      }
      expect(elf.symbols.map((s) => s.name)).toContain("firmware_start");
    },
  );

  it.each(images)("%s carries no path, compiler comment or build id", (name) => {
    const text = readFileSync(join(firmware, "images", name)).toString("latin1");
    expect(text).not.toMatch(/GCC: |\/home\/|\/usr\/|\/root\/|\/build\/|\.note\.gnu\.build-id/);
  });
});
