/** What Linux does with the cores beyond running programs: self-hosted debug, performance monitors. */
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, requireGuest } from "./support/machines.ts";
import { linuxProgram } from "./support/programs.ts";

function linux(initrd: string, append: string, cpus = 1): string[] {
  return [
    ...["-nographic", "-smp", `${cpus}`, "-m", "256M", "-kernel", requireGuest("vmlinuz")],
    ...["-initrd", initrd, "-append", `console=ttyAMA0 ${append}`],
  ];
}

describe("Linux's use of self-hosted debug and the PMU", () => {
  it("ptrace sets watchpoints and breakpoints and steps; perf counts instructions exactly, and samples", async () => {
    using initramfs = new Initramfs({ run: "selfhosted\n" }, { "bin/selfhosted": linuxProgram("selfhosted") });
    await using session = armature.start(linux(initramfs.path, "vptest=run"));
    await session.expect(/SELFHOSTED-\w+/, 150);
    expect(session.output).toContain("found 6 breakpoint and 4 watchpoint registers");
    expect(session.output).toContain("enabled with armv8_pmuv3 PMU driver, 7 counters available");
    expect(session.output.match(/^FAIL.*/gm) ?? []).toEqual([]);
    expect(session.output).toContain("SELFHOSTED-OK");
    expect(await session.exit()).toBe(0);
  });
});
