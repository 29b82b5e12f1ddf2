/**
 * iperf3 over TCP through `igb` under Debian's kernel to a peer behind a TAP device, Armature beside QEMU's own `igb`, by turns: the same guest, a fixed
 * number of bytes each way, timed by this machine's clock. Then, on Armature alone, between two VFs of one card (Debian's igbvf gets no answer to its
 * mailbox messages on QEMU 10). Medians, Mb/s. Needs root for TAP, iperf3, QEMU and what `npm run guests` fetches.
 *   node bench/igb-linux.ts [RUNS]
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Initramfs } from "../test/guests/support/initramfs.ts";
import { ROOT } from "../test/guests/support/machines.ts";
import { Session } from "../test/guests/support/session.ts";

const { ARMATURE_GUESTS } = process.env;
const IMAGES = join(ARMATURE_GUESTS ?? join(homedir(), ".cache/armature-guests"), "img");
const missing = !existsSync(join(IMAGES, "vmlinuz"))
  ? `${IMAGES}: no kernel; "npm run guests" fetches it`
  : process.getuid?.() !== 0 || !existsSync("/dev/net/tun")
    ? "no root or no /dev/net/tun"
    : null;
if (missing !== null) {
  console.log(missing);
  process.exit(0);
}
const runs = Number(process.argv[2] ?? 1);
/** A short run shows that it works. */
const short = process.env["ARMATURE_BENCH"] === "short";
const MEGABYTES = short ? 16 : 256;
const NAMESPACE = `armature-bench-${process.pid}`;
const TAP = "tap0";

const transfer = (n: number, client: string, words: string) =>
  `echo MARK-BEGIN-${n}; ${client} iperf3 -c ${words} -n ${MEGABYTES}M -i 0 | grep -E 'receiver|error'; echo MARK-END-${n}; sleep 1`;
const SCRIPTS = {
  outside: [
    "ip link set eth0 up; /usr/bin/ip addr add 10.9.0.1/24 dev eth0; sleep 3; ping -c 2 10.9.0.2",
    transfer(0, "", "10.9.0.2"),
    transfer(1, "", "10.9.0.2 -R"),
  ].join("\n"),
  vfs: [
    "a() { /usr/bin/ip netns exec a $@; }; b() { /usr/bin/ip netns exec b $@; }",
    "ip link set eth0 up; sleep 2; echo 2 > /sys/class/net/eth0/device/sriov_numvfs; sleep 1",
    "/usr/bin/ip link set eth0 vf 0 mac 02:aa:00:00:00:01; /usr/bin/ip link set eth0 vf 1 mac 02:aa:00:00:00:02; modprobe igbvf; sleep 1",
    "/usr/bin/ip netns add a; /usr/bin/ip netns add b; /usr/bin/ip link set eth1 netns a; /usr/bin/ip link set eth2 netns b",
    "a /usr/bin/ip addr add 10.9.0.1/24 dev eth1; a /usr/bin/ip link set eth1 up",
    "b /usr/bin/ip addr add 10.9.0.2/24 dev eth2; b /usr/bin/ip link set eth2 up; sleep 4; b iperf3 -s -D; sleep 1",
    transfer(0, "a", "10.9.0.2"),
  ].join("\n"),
};

const ip = (...words: string[]) => execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });

const inside = (...words: string[]) => ip("netns", "exec", NAMESPACE, ...words);

function machine(name: "Armature" | "QEMU", smmu: boolean, script: string, initrd: string, netdev: string): Session {
  const append = `console=ttyAMA0 vpmods=igb vptest=${script} iommu.strict=1`;
  const board = `virt${smmu ? ",iommu=smmuv3" : ""}${name === "QEMU" ? ",gic-version=2" : ""}`;
  const program =
    name === "QEMU"
      ? ["qemu-system-aarch64", "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-nic", "none"]
      : [process.execPath, join(ROOT, "bin/armature-system-aarch64.mjs")];
  const card = [
    "-device",
    "pcie-root-port,id=rp",
    "-device",
    `igb,netdev=n0,bus=rp${name === "QEMU" ? ",romfile=" : ""}`,
  ];
  const common = ["-M", board, "-nographic", "-m", "512M", "-kernel", join(IMAGES, "vmlinuz"), "-initrd", initrd];
  return new Session("ip", [
    "netns",
    "exec",
    NAMESPACE,
    ...program,
    ...common,
    "-netdev",
    netdev,
    ...card,
    "-append",
    append,
  ]);
}

/** Rates of the transfers of a script. */
async function measure(name: "Armature" | "QEMU", smmu: boolean, script: "outside" | "vfs"): Promise<number[]> {
  using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
  const outside = script === "outside";
  // QEMU's igb has no line rate: Armature's is given a line that is not what limits it.
  const rate = name === "Armature" ? ",rate=5G" : "";
  const netdev = outside ? `tap,id=n0,ifname=${TAP},script=no,downscript=no${rate}` : "user,id=n0";
  // A device of its own for each run: what one emulator negotiated for it (offloads) stays with it.
  inside("ip", "tuntap", "add", "dev", TAP, "mode", "tap");
  inside("ip", "addr", "add", "10.9.0.2/24", "dev", TAP);
  inside("ip", "link", "set", TAP, "up");
  await using session = machine(name, smmu, script, initramfs.path, netdev);
  const rates: number[] = [];
  await session.expect("VP-TEST-BEGIN", 100);
  for (let n = 0; n < (outside ? 2 : 1); n++) {
    await session.expect(`MARK-BEGIN-${n}`, 200);
    const start = performance.now();
    await session.expect(/receiver/, 200);
    rates.push((MEGABYTES * 2 ** 20 * 8) / (performance.now() - start) / 1e3);
  }
  await session.exit(60);
  inside("ip", "link", "del", TAP);
  return rates;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

ip("netns", "add", NAMESPACE);
let server: ReturnType<typeof spawn> | undefined;
try {
  inside("ip", "link", "set", "lo", "up");
  server = spawn("ip", ["netns", "exec", NAMESPACE, "iperf3", "-s"], { stdio: "ignore" });
  const rows: readonly (readonly ["Armature" | "QEMU", boolean, "outside" | "vfs"])[] = [
    ["Armature", false, "outside"],
    ["QEMU", false, "outside"],
    ["Armature", true, "outside"],
    ["QEMU", true, "outside"],
    ["Armature", false, "vfs"],
    ["Armature", true, "vfs"],
  ].slice(0, short ? 2 : 6) as ["Armature" | "QEMU", boolean, "outside" | "vfs"][];
  const all = rows.map((): number[][] => []);
  for (let i = 0; i < runs; i++) for (const [n, row] of rows.entries()) all[n]?.push(await measure(...row));
  console.log(`iperf3, TCP, ${MEGABYTES} MiB, Mb/s, medians of ${runs}`);
  for (const [n, [name, smmu, script]] of rows.entries()) {
    const names = script === "vfs" ? ["VF to VF"] : ["guest to outside", "outside to guest"];
    const cells = names.map(
      (what, k) => `${what} ${median((all[n] as number[][]).map((r) => r[k] as number)).toFixed(0)}`,
    );
    console.log(`${`${name}${smmu ? ", SMMU" : ""}`.padEnd(16)}  ${cells.join(", ")}`);
  }
} finally {
  server?.kill();
  ip("netns", "del", NAMESPACE);
}
