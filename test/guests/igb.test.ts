/** The 82576 under Debian's `igb` and `igbvf`: self test, VFs with traffic between them and to the network, resets and reloads, behind the SMMU. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, ROOT, requireGuest, requireTool } from "./support/machines.ts";

const IP = "ip() { /usr/bin/ip $@; }; a() { /usr/bin/ip netns exec a $@; }; b() { /usr/bin/ip netns exec b $@; }";
const VFS = [
  IP,
  "ip link set eth0 up; sleep 2",
  "echo 7 > /sys/class/net/eth0/device/sriov_numvfs; sleep 2",
  "ip link set eth0 vf 0 mac 02:aa:00:00:00:01; ip link set eth0 vf 1 mac 02:aa:00:00:00:02",
  "modprobe igbvf; lspci -n | grep -c 8086:10ca",
  "ip netns add a; ip netns add b; ip link set eth1 netns a; ip link set eth2 netns b",
  "a /usr/bin/ip addr add 10.9.0.1/24 dev eth1; a /usr/bin/ip link set eth1 up",
  "b /usr/bin/ip addr add 10.9.0.2/24 dev eth2; b /usr/bin/ip link set eth2 up; sleep 4",
].join("\n");

/** Features that igb lets be switched, off and on again; what follows from one is switched back with it. */
const FEATURES = ["rx", "tx", "sg", "tso", "gso", "rxvlan", "rxhash", "rx-all", "tx-udp-segmentation"];
const ETHTOOL = [
  'x() { echo "## $*"; "$@" 2>&1; echo "rc=$?"; }',
  "ip link set eth0 up; sleep 2; x ethtool eth0; x ethtool -i eth0",
  `for f in ${FEATURES.join(" ")}; do for v in off on; do x ethtool -K eth0 $f $v; done; done; x ethtool -k eth0`,
  "x ethtool -G eth0 rx 512 tx 1024; x ethtool -g eth0; x ethtool -C eth0 rx-usecs 50; x ethtool -c eth0",
  "x ethtool -L eth0 combined 4; x ethtool -l eth0; sleep 2; x ethtool -x eth0; x ethtool -X eth0 equal 2; x ethtool -x eth0",
  "x ethtool -A eth0 autoneg off rx off tx on; sleep 3; x ethtool -a eth0; x ethtool -A eth0 autoneg on rx on tx on; sleep 3",
  "x ethtool -N eth0 rx-flow-hash udp4 sdfn; x ethtool -n eth0 rx-flow-hash udp4; x ethtool -T eth0; x ethtool -p eth0 1",
  "x ethtool -s eth0 autoneg on speed 100 duplex full; sleep 4; x ethtool eth0; x ethtool -s eth0 autoneg on advertise 0x2f; sleep 4",
  "x ethtool -s eth0 wol d; x ethtool -s eth0 wol g; x ethtool -r eth0; sleep 3; x ethtool -e eth0 length 16",
  "x ethtool --show-eee eth0; x ethtool --set-eee eth0 eee off; x ethtool -d eth0; x ethtool -t eth0 offline; x ethtool -t eth0 online",
  "x ethtool -S eth0",
  "echo 2 > /sys/class/net/eth0/device/sriov_numvfs; sleep 1; modprobe igbvf; sleep 1; ip link set eth1 up; sleep 2",
  "x ethtool eth1; x ethtool -S eth1; x ethtool -t eth1; x ethtool -d eth1; x ethtool -g eth1; lspci -vvv; echo LSPCI-END",
  "rmmod igbvf; echo 0 > /sys/class/net/eth0/device/sriov_numvfs; rmmod igb; modprobe igb; sleep 1; rmmod igb; echo DMESG; dmesg",
].join("\n");

/**
 * Lines that Linux logs on a machine without firmware (QEMU's too) or with real cards of the family: no DMI tables; bridges that no firmware has numbered;
 * a 64-bit window; igbvf clears its address filters without an address, which igb refuses.
 */
const ACCEPTED =
  /DMI not present|bridge configuration invalid|resource size exceeds max for 32 bits|attempted to set invalid MAC filter|policy: strict/;

const SCRIPTS = {
  ethtool: ETHTOOL,
  // With a device tree Debian's 6.1 asks for ACS when all ports were set up already: the port's is switched on by hand (148h + 6).
  vfio: [
    "printf '\\x1d\\x00' | dd of=/sys/bus/pci/devices/0000:00:01.0/config bs=1 seek=$((0x148 + 6)); modprobe igb; ip link set eth0 up; sleep 2",
    "D=0000:01:00.0; V=0000:01:10.2; echo 0 > /sys/bus/pci/devices/$D/sriov_drivers_autoprobe",
    "echo 3 > /sys/bus/pci/devices/$D/sriov_numvfs; sleep 1; /usr/bin/ip link set eth0 vf 1 mac 02:aa:00:00:00:02",
    "modprobe vfio_iommu_type1 allow_unsafe_interrupts=1; modprobe vfio-pci",
    "echo vfio-pci > /sys/bus/pci/devices/$V/driver_override; echo $V > /sys/bus/pci/drivers_probe",
    "for d in 0000:00:01.0 $D $V; do echo GROUP $d $(readlink /sys/bus/pci/devices/$d/iommu_group | sed 's,.*/,,'); done",
    "vfio-igbvf $(basename $(readlink /sys/bus/pci/devices/$V/iommu_group)) $V 0a00024d 0a000202",
    "udhcpc -i eth0 -n -q -f 2>&1 | grep lease",
  ].join("\n"),
  self: [
    "ip link set eth0 up; sleep 2; udhcpc -i eth0 -n -q -f 2>&1 | grep lease",
    "ethtool -t eth0 offline; ethtool -i eth0; lspci -vvv -s 01:00.0",
    "ifconfig eth0 10.0.2.15; ping -c 2 10.0.2.2",
    "i=0; while [ $i -lt 10 ]; do rmmod igb && modprobe igb && i=$((i+1)) || break; done; echo RELOADS $i",
  ].join("\n"),
  // Beyond 2 KiB igbvf asks for headers apart from payloads, always (receive descriptors of type 5).
  large: [
    VFS.replace("echo 7", "echo 2"),
    "a /usr/bin/ip link set eth1 mtu 9000; b /usr/bin/ip link set eth2 mtu 9000; sleep 4; a ping -c 1 -W 2 10.9.0.2 > /dev/null",
    "for s in 20 100 1473 4000 8972; do echo SIZE $s; a ping -c 2 -W 2 -s $s 10.9.0.2 | grep received; done",
  ].join("\n"),
  vfs: [
    VFS,
    "a ping -c 3 10.9.0.2 | grep received",
    "b /usr/bin/ip addr add 10.0.2.77/24 dev eth2; b ping -c 3 10.0.2.2 | grep received",
    "b iperf3 -s -D; sleep 1; a iperf3 -c 10.9.0.2 -t 1 | grep sender",
    "ip link set eth0 vf 0 vlan 5; ip link set eth0 vf 1 vlan 6; sleep 1; echo APART; a ping -c 2 -W 2 10.9.0.2 | grep received",
    "ip link set eth0 vf 1 vlan 5; sleep 1; echo TOGETHER; a ping -c 2 -W 2 10.9.0.2 | grep received",
    "echo 0000:01:10.0 > /sys/bus/pci/drivers/igbvf/unbind; echo 1 > /sys/bus/pci/devices/0000:01:10.0/reset; echo RESET $?",
    "echo 0 > /sys/class/net/eth0/device/sriov_numvfs; lspci -n | grep -c 8086:10ca",
  ].join("\n"),
};
const TROUBLE = /\b(BUG|WARNING|Oops|panic|Call trace|Unhandled|Tx Unit Hang|NETDEV WATCHDOG|Spoof event)\b/i;

const PORT = ["-device", "pcie-root-port,id=rp"];
const BELOW_SWITCH = [
  ...["-device", "pcie-root-port,id=rp0,slot=1", "-device", "x3130-upstream,id=up0,bus=rp0"],
  ...["-device", "xio3130-downstream,id=rp,bus=up0,chassis=2,slot=2"],
];

async function boot(
  test: keyof typeof SCRIPTS,
  options: readonly string[],
  append = "vpmods=igb",
  ports = PORT,
  files: Readonly<Record<string, Uint8Array>> = {},
): Promise<string> {
  using initramfs = new Initramfs(SCRIPTS, files, "initrd-full.cpio.gz");
  const machine = ["-nographic", "-m", "512M", "-kernel", requireGuest("vmlinuz"), "-initrd", initramfs.path];
  const card = ["-netdev", "user,id=n0", ...ports, "-device", "igb,netdev=n0,bus=rp"];
  await using session = armature.start([
    ...machine,
    ...options,
    ...card,
    "-append",
    `console=ttyAMA0 vptest=${test} ${append}`,
  ]);
  await session.expect(`VP-TEST-END ${test}`, 240);
  expect(session.output).not.toMatch(TROUBLE);
  return session.output.replaceAll("\r", "");
}

// Armature alone: the messages and VFs' timing asked for here were not tried with QEMU's igb.
describe("82576 under Linux", () => {
  it("igb: address by DHCP, all five self tests, well-formed capabilities, ten reloads", async () => {
    const output = await boot("self", []);
    expect(output).toMatch(/lease of 10\.0\.2\.15 obtained/);
    expect(output).toMatch(/The test result is PASS/);
    for (const test of ["Register", "Eeprom", "Interrupt", "Loopback", "Link"])
      expect(output).toMatch(new RegExp(`${test} test .*\\t 0`));
    expect(output).not.toMatch(/chain (looped|broken)|unreadable|!!!|<unassigned>/i);
    expect(output).toMatch(/2 packets received/);
    expect(output).toMatch(/RELOADS 10/);
  });

  for (const [where, options, append] of [
    ["", [], "vpmods=igb"],
    [
      " behind the SMMUv3, translation strict",
      ["-M", "virt,iommu=smmuv3"],
      "vpmods=igb iommu.strict=1 iommu.passthrough=0",
    ],
  ] as const) {
    it(`igbvf: seven VFs, traffic between them and outside, VLANs keep apart, FLR${where}`, async () => {
      const output = await boot("vfs", options, append);
      const after = output.slice(output.indexOf("VP-TEST-BEGIN vfs"));
      expect(after).toMatch(/^7$/m);
      expect(after.match(/3 packets received/g)).toHaveLength(2);
      expect(after).toMatch(/bits\/sec\s+\d+\s+sender/);
      expect(after).toMatch(/APART\n(?:.*\n)*?2 packets transmitted, 0 packets received/);
      expect(after).toMatch(/TOGETHER\n(?:.*\n)*?2 packets transmitted, 2 packets received/);
      expect(after).toMatch(/RESET 0/);
      expect(after).toMatch(/^0$/m);
      expect(after).not.toMatch(/event 0x[0-9a-f]+ received/);
    });
  }

  it("igbvf with frames of 9,000 bytes, headers and payloads in buffers of their own", async () => {
    const output = await boot("large", []);
    const sizes = [...output.matchAll(/^SIZE (\d+)\n(?:.*\n)*?2 packets transmitted, (\d) packets received/gm)];
    expect(sizes.map(([, size, received]) => [size, received])).toEqual(
      ["20", "100", "1473", "4000", "8972"].map((size) => [size, "2"]),
    );
  });

  it("ethtool: every request is answered, below a switch; capabilities are well formed; no warning from probe to unload", async () => {
    const output = await boot("ethtool", [], undefined, BELOW_SWITCH);
    const answers = [...output.matchAll(/^## (.*)\n([\s\S]*?)^rc=(\d+)$/gm)].map(
      (m) => m.slice(1) as [string, string, string],
    );
    const of = (request: string, last = false): string => {
      const found = answers.filter(([asked]) => asked === `ethtool ${request}`);
      return (last ? found.at(-1) : found[0])?.[1] ?? `${request}: not asked`;
    };
    // The 82576 has no EEE: Linux says so for every part before the I350.
    expect(answers.filter(([, , rc]) => rc !== "0").map(([asked]) => asked)).toEqual([
      "ethtool --show-eee eth0",
      "ethtool --set-eee eth0 eee off",
    ]);
    expect(of("--show-eee eth0")).toContain("Operation not supported");
    expect(of("eth0")).toMatch(/Speed: 1000Mb\/s\n\s*Duplex: Full\n\s*Auto-negotiation: on/);
    expect(of("eth0", true)).toMatch(/Speed: 100Mb\/s\n\s*Duplex: Full/);
    expect(of("-i eth0")).toMatch(/driver: igb\n[\s\S]*bus-info: 0000:03:00\.0\n/);
    for (const feature of [
      "rx-checksumming",
      "tx-checksum-sctp",
      "tx-tcp6-segmentation",
      "rx-vlan-offload",
      "receive-hashing",
      "rx-all",
    ])
      expect(of("-k eth0")).toMatch(new RegExp(`${feature}: on$`, "m"));
    expect(of("-g eth0")).toMatch(/Current[\s\S]*RX:\s+512\n[\s\S]*TX:\s+1024\n/);
    expect(of("-c eth0")).toMatch(/^rx-usecs: 50$/m);
    expect(of("-l eth0")).toMatch(/Current[\s\S]*Combined:\s+4\n/);
    expect(of("-x eth0")).toMatch(/96: +3 +3/);
    expect(of("-x eth0", true)).toMatch(/120: +0 +1 +0 +1/);
    expect(of("-a eth0")).toMatch(/Autonegotiate:\s+off\nRX:\s+off\nTX:\s+on\n/);
    expect(of("-n eth0 rx-flow-hash udp4")).toContain("L4 bytes 0 & 1 [TCP/UDP src port]");
    expect(of("-T eth0")).toMatch(/hardware-transmit[\s\S]*PTP Hardware Clock: 0\n/);
    // The address and the words behind it, in the EEPROM's order of bytes.
    expect(of("-e eth0 length 16")).toMatch(/0x0000:\s+52 54 00 12 34 56 /);
    expect(of("-d eth0")).toMatch(/Link speed: +1000Mb\/s\n\s*Bus type: +PCI Express\n/);
    expect(of("-t eth0 offline")).toContain("The test result is PASS");
    expect(of("-t eth0 online")).toContain("The test result is PASS");
    expect(of("-S eth0")).toMatch(/ rx_crc_errors: 0\n[\s\S]* tx_queue_3_packets: \d+\n/);
    expect(of("eth1")).toMatch(/Speed: 1000Mb\/s\n[\s\S]*Link detected: yes/);
    expect(of("-t eth1")).toContain("The test result is PASS");
    const lspci = output.slice(
      output.indexOf("rc=0\n", output.indexOf("## ethtool -g eth1")),
      output.indexOf("LSPCI-END"),
    );
    expect(lspci.match(/^\d\d:\d\d\.\d /gm)).toHaveLength(7);
    expect(lspci).not.toMatch(/chain (looped|broken)|unreadable|!!!|access denied|<unassigned>/i);
    const log = output.slice(output.indexOf("\nDMESG\n")).split("\n");
    const trouble = /warn|error|fail|bug|unable|invalid|timeout|timed out|hang|exceeds|stuck/i;
    expect(log.filter((line) => /igb|pci|smmu|DMA/.test(line) && trouble.test(line) && !ACCEPTED.test(line))).toEqual(
      [],
    );
    expect(log.filter((line) => line.includes("removed PHC on eth0"))).toHaveLength(2);
  });

  it("a VF under vfio-pci, translation strict: a program sends and receives through it, and cannot send what is not mapped", async () => {
    const folder = mkdtempSync(join(tmpdir(), "armature-igbvf-"));
    try {
      const program = join(folder, "vfio-igbvf");
      const source = `${ROOT}/test/guests/programs/vfio-igbvf.c`;
      execFileSync(requireTool("aarch64-linux-gnu-gcc"), ["-O2", "-Wall", "-Werror", "-static", "-o", program, source]);
      const files = { "bin/vfio-igbvf": readFileSync(program) };
      const options = ["-M", "virt,iommu=smmuv3"];
      const output = await boot("vfio", options, "iommu.strict=1 iommu.passthrough=0", PORT, files);
      expect(output).toMatch(/GROUP 0000:00:01\.0 0\nGROUP 0000:01:00\.0 1\nGROUP 0000:01:10\.2 2\n/);
      expect(output).toContain("IGBVF address 02:aa:00:00:00:02 link 1");
      // Host 10.0.2.2 of the user network.
      expect(output).toContain("IGBVF interrupt 1 answer of 52:55:0a:00:02:02 to me 1");
      expect(output).toContain("IGBVF answers 1\n");
      expect(output).toContain("IGBVF-OK");
      // F_TRANSLATION of stream 01:10.2 for the buffer at 2000_0000h, and nothing else; the PF works on.
      expect(output.match(/event 0x[0-9a-f]+ received/g)).toEqual(["event 0x10 received"]);
      expect(output).toMatch(/0x0000018200000010[\s\S]*0x0000000020000000/);
      expect(output).toMatch(/lease of 10\.0\.2\.15 obtained/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
