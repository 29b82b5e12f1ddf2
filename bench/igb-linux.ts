/**
 * iperf3 over TCP between two VFs of one 82576, and between its PF and a VF, under Debian's igb and igbvf: Armature beside QEMU's own `igb`, by turns,
 * the same guest, a fixed number of bytes, timed by the clock of this machine (the guests' clocks differ in kind). Medians. Needs what
 * `npm run guests` fetches.
 *   node bench/igb-linux.ts [RUNS]
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Initramfs } from "../test/guests/support/initramfs.ts";
import { armature, type Machine, qemu } from "../test/guests/support/machines.ts";

const { ARMATURE_GUESTS } = process.env;
const IMAGES = join(ARMATURE_GUESTS ?? join(homedir(), ".cache/armature-guests"), "img");
if (!existsSync(join(IMAGES, "vmlinuz"))) {
  console.log(`${IMAGES}: no kernel; "npm run guests" fetches it`);
  process.exit(0);
}
const runs = Number(process.argv[2] ?? 3);
const MEGABYTES = 256;
const PATHS = ["VF to VF", "PF to VF", "VF to PF"] as const;

const transfer = (n: number, client: string, server: string) =>
  `echo MARK-BEGIN-${n}; ${client} iperf3 -c ${server} -n ${MEGABYTES}M -i 0 | grep -E 'receiver|error'; echo MARK-END-${n}; sleep 1`;
const SCRIPT = [
  "a() { /usr/bin/ip netns exec a $@; }; b() { /usr/bin/ip netns exec b $@; }",
  "ip link set eth0 up; sleep 2; echo 2 > /sys/class/net/eth0/device/sriov_numvfs; sleep 1",
  "/usr/bin/ip link set eth0 vf 0 mac 02:aa:00:00:00:01; /usr/bin/ip link set eth0 vf 1 mac 02:aa:00:00:00:02; modprobe igbvf; sleep 1",
  "/usr/bin/ip netns add a; /usr/bin/ip netns add b; /usr/bin/ip link set eth1 netns a; /usr/bin/ip link set eth2 netns b",
  "a /usr/bin/ip addr add 10.9.0.1/24 dev eth1; a /usr/bin/ip link set eth1 up; /usr/bin/ip addr add 10.9.0.3/24 dev eth0",
  "b /usr/bin/ip addr add 10.9.0.2/24 dev eth2; b /usr/bin/ip link set eth2 up; sleep 4",
  "ping -c 1 10.9.0.2; b iperf3 -s -D; iperf3 -s -D; sleep 1",
  transfer(0, "a", "10.9.0.2"),
  transfer(1, "", "10.9.0.2"),
  transfer(2, "b", "10.9.0.3"),
].join("\n");

async function measure(machine: Machine, initrd: string, board: string, append: string): Promise<number[]> {
  await using session = machine.start(
    [
      ...["-nographic", "-m", "512M", "-kernel", join(IMAGES, "vmlinuz"), "-initrd", initrd],
      ...["-netdev", "user,id=n0", "-device", "pcie-root-port,id=rp"],
      ...["-device", `igb,netdev=n0,bus=rp${machine === qemu ? ",romfile=" : ""}`],
      ...["-append", `console=ttyAMA0 vpmods=igb vptest=iperf ${append}`],
    ],
    board,
  );
  const rates: number[] = [];
  for (let n = 0; n < PATHS.length; n++) {
    await session.expect(`MARK-BEGIN-${n}`, 200);
    const start = performance.now();
    await session.expect(/receiver/, 100);
    rates.push((MEGABYTES * 2 ** 20 * 8) / (performance.now() - start) / 1e3);
  }
  return rates;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

using initramfs = new Initramfs({ iperf: SCRIPT }, {}, "initrd-full.cpio.gz");
const machines: readonly (readonly [string, Machine, string, string])[] = [
  ["Armature", armature, "", ""],
  //["QEMU", qemu, "", ""],
  ["Armature, SMMU", armature, ",iommu=smmuv3", "iommu.strict=1 iommu.passthrough=0"],
  //["QEMU, SMMU", qemu, ",iommu=smmuv3", "iommu.strict=1 iommu.passthrough=0"],
];
const all = new Map<string, number[][]>(machines.map(([name]) => [name, []]));
for (let i = 0; i < runs; i++)
  for (const [name, machine, board, append] of machines)
    all.get(name)?.push(await measure(machine, initramfs.path, board, append));

console.log(`iperf3, TCP, ${MEGABYTES} MiB, Mb/s by the host's clock, medians of ${runs}`);
console.log(`${"".padEnd(18)}${PATHS.map((p) => p.padStart(12)).join("")}`);
for (const [name] of machines) {
  const list = all.get(name) as number[][];
  const cells = PATHS.map((_, n) => median(list.map((rates) => rates[n] as number)).toFixed(0).padStart(12));
  console.log(`${name.padEnd(18)}${cells.join("")}`);
}
