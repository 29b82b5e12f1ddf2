/** PCIe functions passed to VMs that run Debian's kernel: virtual functions of an 82576 under `igbvf`, and a whole one under `igb`. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { HypervisorConfiguration, VmConfiguration } from "../../src/hypervisor/config.ts";
import type { HypervisorReport } from "../../src/hypervisor/report.ts";
import { Initramfs } from "./support/initramfs.ts";
import { cli, requireGuest } from "./support/machines.ts";

const TROUBLE = /\b(BUG|WARNING|Oops|panic|Call trace|Unhandled|Tx Unit Hang|NETDEV WATCHDOG)\b/i;

/** Addresses of both; VLAN 7; packets of 4,000 bytes. */
const up = (own: number) =>
  [
    "ip() { /usr/bin/ip $@; }",
    `ip addr add 10.0.2.${own}/24 dev eth0; ip link set eth0 mtu 4000; ip link set eth0 up`,
    "modprobe 8021q; ip link add link eth0 name v7 type vlan id 7",
    `ip addr add 10.7.0.${own}/24 dev v7; ip link set v7 up; sleep 4; ip link show eth0`,
  ].join("\n");
const reach = (what: string) => `i=0; while [ $i -lt 40 ] && ! ping -c 1 -W 1 ${what}; do i=$((i+1)); sleep 0.5; done`;

const SCRIPTS = {
  left: [up(21), "iperf3 -s -1 | grep receiver; grep eth0 /proc/interrupts; ethtool -t eth0; lspci -nk"].join("\n"),
  right: [
    up(22),
    `${reach("10.0.2.21")} > /dev/null`,
    "echo PEER; ping -c 3 10.0.2.21; echo LONG; ping -c 2 -s 3500 10.0.2.21; echo VLAN; ping -c 2 10.7.0.21",
    // the peer's link-local address: its solicited-node group is a multicast filter of its VF
    "echo SIX; ping -6 -c 2 fe80::ff:fe00:a%eth0; echo HOST; ping -c 2 10.0.2.2; echo DONE",
    "iperf3 -c 10.0.2.21 -n 50M | grep sender",
  ].join("\n"),
  whole: [
    "ip link set eth0 up; sleep 4; udhcpc -i eth0 -n -q -f 2>&1 | grep lease",
    "ifconfig eth0 10.0.2.15; ping -c 2 10.0.2.2; ethtool -t eth0 offline; ethtool -i eth0; lspci -vvv; echo LSPCI-END",
    "i=0; while [ $i -lt 3 ]; do rmmod igb && modprobe igb && i=$((i+1)) || break; done; echo RELOADS $i",
    "rmmod igb; echo 1 > /sys/bus/pci/devices/0000:00:01.0/reset; echo RESET $?; modprobe igb; ip link set eth0 up; sleep 4",
    "udhcpc -i eth0 -n -q -f 2>&1 | grep lease",
  ].join("\n"),
};

function linux(name: keyof typeof SCRIPTS, module: string, more: Partial<VmConfiguration>): VmConfiguration {
  return {
    name,
    memory: "384M",
    kernel: requireGuest("vmlinuz"),
    initrd: "initrd",
    append: `console=ttyAMA0 quiet vptest=${name} vpmods=${module}`,
    devices: { uart0: "trap", rtc: "trap" },
    ...more,
  };
}

/** What each VM has printed, and the counters at the end. */
async function run(config: HypervisorConfiguration): Promise<{
  readonly said: (vm: string) => string;
  readonly report: HypervisorReport;
}> {
  const folder = mkdtempSync(join(tmpdir(), "armature-pci-"));
  try {
    using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
    const vms = config.vms.map((vm) => ({ ...vm, initrd: initramfs.path }));
    writeFileSync(join(folder, "vms.json"), JSON.stringify({ ...config, limit: 120, vms }));
    const json = join(folder, "report.json");
    await using session = cli("vm", "run", join(folder, "vms.json"), "--json", json, "--quiet");
    const code = await session.exit(420);
    expect([code, session.errors]).toEqual([0, ""]);
    const lines = session.output.split("\n");
    const said = (vm: string) =>
      lines
        .filter((line) => line.split("|")[0]?.trim() === vm)
        .map((line) => line.slice(line.indexOf("|") + 2))
        .join("\n");
    for (const { name } of config.vms) expect(said(name)).not.toMatch(TROUBLE);
    return { said, report: JSON.parse(readFileSync(json, "utf8")) as HypervisorReport };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Milliseconds: two kernels start, on a host that may be busy. */
const TIMEOUT = 480_000;

describe("an 82576 passed to Linux in VMs", { timeout: TIMEOUT }, () => {
  it("two VMs on two CPUs, a virtual function each under igbvf: they reach each other, in a VLAN and by multicast too, and the network; iperf3", async () => {
    const { said, report } = await run({
      machine: { cpus: 2, memory: "1G" },
      pci: { nic: { device: "igb", vfs: 2, net: "user" } },
      vms: [
        linux("left", "igbvf", { pci: [{ function: "nic", vf: 0, mac: "02:00:00:00:00:0a" }], affinity: [[0]] }),
        linux("right", "igbvf", { pci: [{ function: "nic", vf: 1, mac: "02:00:00:00:00:0b" }], affinity: [[1]] }),
      ],
    });
    expect(said("left")).toMatch(/link\/ether 02:00:00:00:00:0a /);
    expect(said("right")).toMatch(/link\/ether 02:00:00:00:00:0b /);
    expect(said("left")).toMatch(/00:01\.0 0200: 8086:10ca .*\n(?:.*\n)*?\s*Kernel driver in use: igbvf/);
    expect(said("left")).toContain("The test result is PASS");
    const part = (mark: string) => said("right").slice(said("right").indexOf(`\n${mark}\n`));
    expect(part("PEER")).toMatch(/^\nPEER\n(?:.*\n)*?3 packets transmitted, 3 packets received/);
    for (const mark of ["LONG", "VLAN", "SIX", "HOST"]) {
      expect(part(mark)).toMatch(new RegExp(`^\\n${mark}\\n(?:.*\\n)*?2 packets transmitted, 2 packets received`));
    }
    expect(said("right")).toMatch(/bits\/sec\s+\d+\s+sender/);
    expect(said("left")).toMatch(/bits\/sec\s+receiver/);
    // three vectors: receive, transmit, mailbox
    expect(said("left").match(/MSI +\d+ Edge +eth0/g)).toHaveLength(3);
    for (const vm of report.vms) {
      const trapped = vm.regions.filter((r) => r.name === "pcieMemory").reduce((sum, r) => sum + r.count, 0);
      // the MSI-X table alone: what the driver does with its registers and rings is no exit
      expect(trapped).toBeGreaterThan(0);
      expect(trapped).toBeLessThan(500);
    }
  });

  it("a whole one under igb: DHCP, all five self tests, well-formed capabilities, reloads, a function-level reset", async () => {
    const { said } = await run({
      machine: { memory: "512M" },
      pci: { nic: { device: "igb", net: "user" } },
      vms: [linux("whole", "igb", { pci: [{ function: "nic" }] })],
    });
    const output = said("whole");
    expect(output.match(/lease of 10\.0\.2\.15 obtained/g)).toHaveLength(2);
    expect(output).toMatch(/2 packets transmitted, 2 packets received/);
    expect(output).toMatch(/The test result is PASS/);
    for (const test of ["Register", "Eeprom", "Interrupt", "Loopback", "Link"])
      expect(output).toMatch(new RegExp(`${test} test .*\\t 0`));
    const lspci = output.slice(output.indexOf("00:01.0 Ethernet"), output.indexOf("LSPCI-END"));
    expect(lspci).toMatch(/MSI-X: Enable\+ Count=25 Masked-/);
    expect(lspci).not.toMatch(/chain (looped|broken)|unreadable|!!!|<unassigned>/i);
    expect(output).toContain("RELOADS 3");
    expect(output).toContain("RESET 0");
  });
});
