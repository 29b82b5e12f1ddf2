/** The main job's firmware on Armature and on QEMU: the same lines, but for what QEMU is known to leave out. */
import { describe, expect, it } from "vitest";
import { checks, microseconds } from "./support/lines.ts";
import { armature, type Machine, machines, qemu, SELFTEST } from "./support/machines.ts";

/**
 * Checks in which QEMU 10 departs from the manuals, each with the clause that our model follows. They pass on Armature and
 * may fail on QEMU; all other lines are equal.
 */
const QEMU_DEPARTS: { readonly [check: string]: string } = {
  "exception.sp-alignment": "DDI 0487 D1.8.2: SP alignment is checked when SCTLR_ELx.SA is 1; QEMU never checks",
  "unaligned.device": "DDI 0487 B2.8.2: an unaligned access to Device memory faults; QEMU with one CPU lets it through",
  "gic.aliased": "IHI 0048B 4.4.9 to 4.4.11: GICC_AIAR, AEOIR and AHPPIR exist in GICv2; QEMU has none of them",
  "uart.rx-level":
    "DDI 0183G 3.3.9: the receive interrupt waits for the FIFO level of UARTIFLS; QEMU's comes with one character",
  "uart.rx-timeout": "DDI 0183G 2.8.4: receive timeout after 32 bit periods; QEMU has none",
  "uart.break-interrupt": "DDI 0183G 3.3.11: a break raises BERIS; QEMU sets the data bit alone",
  "uart.overrun-interrupt": "DDI 0183G 3.3.11: an overrun raises OERIS; QEMU drops the character in silence",
  "uart.overrun": "DDI 0183G 3.3.1: what is in the FIFO stays when an overrun comes",
  "flash.program-and": "CFI, Intel command set: programming clears bits and never sets one; QEMU stores the value",
};

/** Lines that exist on one of the two boards alone. */
const OURS_ALONE = /^(sp804|dtb\.sp804)/;

async function report(machine: Machine, el2: boolean): Promise<{ output: string; code: number }> {
  await using session = machine.start(
    ["-display", "none", "-serial", "stdio", "-monitor", "none", "-kernel", SELFTEST],
    el2 ? ",virtualization=on" : "",
  );
  session.closeInput();
  await session.expect(/^selftest: \d+ passed, \d+ failed/, 90);
  return { code: await session.exit(30), output: session.output };
}

for (const el2 of [false, true]) {
  const level = el2 ? "EL2" : "EL1";
  describe.runIf(machines.includes(armature))(`self test on Armature at ${level}`, () => {
    it("passes every check, SP804 included, and ends by SYSTEM_OFF with code 0", async () => {
      const { output, code } = await report(armature, el2);
      const failed = checks(output).filter((c) => c.result !== "PASS");
      expect(failed).toEqual([]);
      expect(checks(output).length).toBeGreaterThan(120);
      expect(output).toContain(`virt board, ${level}`);
      expect(output).toContain("selftest: ok");
      expect(code).toBe(0);
    });

    it("keeps time: interrupts come at their instant, to within a few instructions", async () => {
      const { output } = await report(armature, el2);
      expect(microseconds(output, "timer.physical")).toBeLessThanOrEqual(3);
      expect(microseconds(output, "timer.virtual")).toBeLessThanOrEqual(3);
      expect(Math.abs(microseconds(output, "sp804.periodic") - 1000)).toBeLessThanOrEqual(3);
      expect(Math.abs(microseconds(output, "sp804.one-shot") - 500)).toBeLessThanOrEqual(5);
    });

    it("prints the same in two runs, timing included", async () => {
      const [first, second] = [await report(armature, el2), await report(armature, el2)];
      expect(second.output).toBe(first.output);
    });
  });

  describe.runIf(machines.includes(qemu))(`self test on QEMU at ${level}`, () => {
    it("fails in nothing but where QEMU departs from the manuals", async () => {
      const { output, code } = await report(qemu, el2);
      const failed = checks(output).filter((c) => c.result === "FAIL" && !(c.name in QEMU_DEPARTS));
      expect(failed).toEqual([]);
      expect(checks(output).length).toBeGreaterThan(120);
      expect(code).toBe(0);
    });
  });

  describe.runIf(machines.length === 2)(`self test at ${level}`, () => {
    it("prints the same lines on both, timing and known departures aside", async () => {
      const [ours, theirs] = [await report(armature, el2), await report(qemu, el2)];
      const comparable = (output: string) =>
        checks(output)
          .filter((c) => !(c.name in QEMU_DEPARTS) && !OURS_ALONE.test(c.name))
          .map((c) => `${c.result} ${c.name} ${c.text}`);
      expect(comparable(ours.output)).toEqual(comparable(theirs.output));
    });
  });
}
