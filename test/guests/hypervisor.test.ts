/** Debian's Linux under the hypervisor: several at once, on shared CPUs, with trapped and passed consoles. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { VmConfiguration } from "../../src/hypervisor/config.ts";
import { hypervisorReport } from "../../src/hypervisor/report.ts";
import { guests } from "../hypervisor/support/machine.ts";
import { requireGuest } from "./support/machines.ts";

const TROUBLE = /\b(BUG|WARNING|Oops|panic|stall(s|ed)?|hung|Call trace|Unhandled|undefined instruction)\b/i;

function images() {
  const packed = readFileSync(requireGuest("vmlinuz"));
  const kernel = packed[0] === 0x1f && packed[1] === 0x8b ? gunzipSync(packed) : packed;
  return {
    kernel: { name: "vmlinuz", data: new Uint8Array(kernel) },
    initrd: { name: "initrd", data: new Uint8Array(readFileSync(requireGuest("initrd-min.cpio.gz"))) },
  };
}

function linux(name: string, more: Partial<VmConfiguration> = {}): VmConfiguration {
  return {
    name,
    memory: "256M",
    kernel: "vmlinuz",
    initrd: "initrd",
    append: "console=ttyAMA0 vptest=poweroff",
    devices: { uart0: "trap", rtc: "trap" },
    ...more,
  };
}

describe("Linux under the hypervisor", () => {
  it("two at once on one CPU, one with a trapped console and one with a passed one, to power-off", () => {
    const second = linux("b", { devices: { uart0: { mode: "pass", physical: "uart1" } }, psci: "smc" });
    const g = guests({ machine: { memory: "1G" }, vms: [linux("a"), second] }, [images(), images()]);
    g.run(20);
    for (const n of [0, 1]) {
      expect(g.output(n)).toMatch(/VP-BOOT-OK \S+ aarch64 cpus=1/);
      expect(g.output(n)).toContain("Power down");
      expect(g.output(n)).not.toMatch(TROUBLE);
    }
    expect(g.vms.map((v) => v.status)).toEqual(["off", "off"]);
    expect(g.output(0)).toContain("psci: PSCIv1.1 detected in firmware");
    const [a, b] = hypervisorReport(g.hypervisor).vms;
    expect(a?.registers[0]?.name).toBe("uart0.UARTFR");
    expect(b?.regions.map((r) => r.name)).not.toContain("uart0");
  });

  it("two with two vCPUs each on two CPUs", () => {
    const config = { machine: { cpus: 2, memory: "1G" }, vms: [linux("a", { vcpus: 2 }), linux("b", { vcpus: 2 })] };
    const g = guests(config, [images(), images()]);
    g.run(20);
    for (const n of [0, 1]) {
      expect(g.output(n)).toMatch(/VP-BOOT-OK \S+ aarch64 cpus=2/);
      expect(g.output(n)).not.toMatch(TROUBLE);
    }
    expect(g.vms.map((v) => v.status)).toEqual(["off", "off"]);
    expect(hypervisorReport(g.hypervisor).vms.flatMap((v) => v.vcpus.map((c) => c.migrations > 0))).toContain(true);
  });
});
