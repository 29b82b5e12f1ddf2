/**
 * iperf3 over TCP through `igb` under Debian's kernel to a peer behind a TAP device, Armature beside QEMU's own `igb`, by turns: the same guest, a fixed
 * number of bytes each way, timed by this machine's clock. Then, on Armature alone, between two VFs of one card (Debian's igbvf gets no answer to its
 * mailbox messages on QEMU 10). Medians, Mb/s. Needs root for TAP, iperf3, QEMU and what `npm run guests` fetches.
 *   node bench/igb-linux.ts [RUNS]
 */
import { join } from "node:path";
import { ROOT } from "../test/guests/support/machines.ts";
import { needImages, needTap, outsideScript, short, TAP, type Transfer, transfer, transfers } from "./support/linux.ts";
import { median } from "./support/measure.ts";

needImages("vmlinuz");
needTap();
const runs = Number(process.argv[2] ?? 1);
const MEGABYTES = short ? 16 : 256;

const VFS = [
  "a() { /usr/bin/ip netns exec a $@; }; b() { /usr/bin/ip netns exec b $@; }",
  "ip link set eth0 up; sleep 2; echo 2 > /sys/class/net/eth0/device/sriov_numvfs; sleep 1",
  "/usr/bin/ip link set eth0 vf 0 mac 02:aa:00:00:00:01; /usr/bin/ip link set eth0 vf 1 mac 02:aa:00:00:00:02; modprobe igbvf; sleep 1",
  "/usr/bin/ip netns add a; /usr/bin/ip netns add b; /usr/bin/ip link set eth1 netns a; /usr/bin/ip link set eth2 netns b",
  "a /usr/bin/ip addr add 10.9.0.1/24 dev eth1; a /usr/bin/ip link set eth1 up",
  "b /usr/bin/ip addr add 10.9.0.2/24 dev eth2; b /usr/bin/ip link set eth2 up; sleep 4; b iperf3 -s -D; sleep 1",
  transfer(0, "a", "10.9.0.2", MEGABYTES),
].join("\n");

interface Row {
  readonly name: "Armature" | "QEMU";
  readonly smmu: boolean;
  readonly vfs: boolean;
}

/** Transfers of one run. */
function measure({ name, smmu, vfs }: Row): Promise<Transfer[]> {
  const qemu = name === "QEMU";
  const program = qemu
    ? ["qemu-system-aarch64", "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-nic", "none"]
    : [process.execPath, join(ROOT, "bin/armature-system-aarch64.mjs")];
  // QEMU's igb has no line rate: Armature's is given a line that is not what limits it.
  const netdev = vfs ? "user,id=n0" : `${TAP}${qemu ? "" : ",rate=5G"}`;
  const words = [
    ...[...program, "-M", `virt${smmu ? ",iommu=smmuv3" : ""}${qemu ? ",gic-version=2" : ""}`, "-netdev", netdev],
    ...["-device", "pcie-root-port,id=rp", "-device", `igb,netdev=n0,bus=rp${qemu ? ",romfile=" : ""}`],
    ...["-append", "console=ttyAMA0 vpmods=igb vptest=transfers iommu.strict=1"],
  ];
  return transfers(words, vfs ? VFS : outsideScript(MEGABYTES), vfs ? 1 : 2, MEGABYTES);
}

const rows: readonly Row[] = [
  { name: "Armature", smmu: false, vfs: false },
  { name: "QEMU", smmu: false, vfs: false },
  { name: "Armature", smmu: true, vfs: false },
  { name: "QEMU", smmu: true, vfs: false },
  { name: "Armature", smmu: false, vfs: true },
  { name: "Armature", smmu: true, vfs: true },
];
const measured = rows.slice(0, short ? 2 : 6).map((row) => ({ row, found: [] as Transfer[][] }));
for (let i = 0; i < runs; i++) for (const { row, found } of measured) found.push(await measure(row));
console.log(`iperf3, TCP, ${MEGABYTES} MiB, Mb/s, medians of ${runs}`);
for (const { row, found } of measured) {
  const names = row.vfs ? ["VF to VF"] : ["guest to outside", "outside to guest"];
  const cells = names.map((what, k) => `${what} ${median(found.map((r) => (r[k] as Transfer).rate)).toFixed(0)}`);
  console.log(`${`${row.name}${row.smmu ? ", SMMU" : ""}`.padEnd(16)}  ${cells.join(", ")}`);
}
