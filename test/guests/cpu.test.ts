/** What Linux does with the cores beyond running programs: self-hosted debug, performance monitors, VHE, switching CPUs off and on. */
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

describe("Linux as a VHE host", () => {
  it("runs at EL2 on -cpu max, with the EL2 timers, and KVM runs its guest", async () => {
    using initramfs = new Initramfs({ run: "kvmmini\nselfhosted\n" }, { "bin/selfhosted": linuxProgram("selfhosted") });
    const options = linux(initramfs.path, "vptest=run", 2);
    await using session = armature.start([...options, "-cpu", "max"], ",virtualization=on");
    await session.expect("KVMMINI-OK", 150);
    await session.expect(/SELFHOSTED-\w+/, 60);
    expect(session.output).toContain("CPU features: detected: Virtualization Host Extensions");
    expect(session.output).toContain("VHE mode initialized successfully");
    expect(session.output).toContain("CPU features: detected: LSE atomic instructions");
    expect(session.output.match(/^FAIL.*/gm) ?? []).toEqual([]);
    expect(session.output).toContain("SELFHOSTED-OK");
    expect(await session.exit()).toBe(0);
  });
});

/** PSCI CPU_OFF and CPU_ON, with work before, between and after. */
const HOTPLUG = `contention
cd /sys/devices/system/cpu
for n in 1 2 3; do echo 0 > cpu$n/online; done
echo "ONLINE-$(cat online)"
contention 2000
for n in 1 2 3; do echo 1 > cpu$n/online; done
echo "ONLINE-$(cat online)"
for n in 1 2 3; do echo 0 > cpu2/online; echo 1 > cpu2/online; done
contention 2000
echo HOTPLUG-DONE
`;

describe("Linux on four CPUs", () => {
  for (const model of ["cortex-a57", "max"]) {
    it(`${model}: exclusives, locks and WFE hold under contention, and CPUs go off and on`, async () => {
      using initramfs = new Initramfs({ run: HOTPLUG }, { "bin/contention": linuxProgram("contention") });
      await using session = armature.start([...linux(initramfs.path, "vptest=run", 4), "-cpu", model]);
      await session.expect("HOTPLUG-DONE", 200);
      const printed = [...session.output.matchAll(/(CONTENTION-\w+|ONLINE-\S+)/g)].map(([text]) => text);
      const OK = "CONTENTION-OK";
      // LSE atomics belong to max alone
      expect(session.output).toContain(model === "max" ? "atomics=1" : "atomics=0");
      expect(printed).toEqual([OK, "ONLINE-0", OK, "ONLINE-0-3", OK]);
      expect(await session.exit()).toBe(0);
    });
  }
});
