/**
 * iperf3 over TCP through virtio-net under Debian's kernel to a peer behind a TAP device, Armature (with its offloads, and without) beside QEMU, by turns: the same
 * guest, a fixed number of bytes each way, by this machine's clock and by the processor time of the machine's process. Medians.
 * Needs root for TAP, iperf3, QEMU and what `npm run guests` fetches.
 *   node bench/virtio-net.ts [RUNS] [MEGABYTES]
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
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
/** A short run shows that it works. */
const short = process.env["ARMATURE_BENCH"] === "short";
const runs = Number(process.argv[2] ?? 1);
const MEGABYTES = Number(process.argv[3] ?? (short ? 16 : 256));
const NAMESPACE = `armature-bench-${process.pid}`;
const TAP = "tap0";

const transfer = (n: number, words: string) =>
  `echo MARK-BEGIN-${n}; iperf3 -c ${words} -n ${MEGABYTES}M -i 0 | grep -E 'sender|receiver|error'; echo MARK-END-${n}; sleep 1`;
const SCRIPTS = {
  outside: [
    "ip link set eth0 up; /usr/bin/ip addr add 10.9.0.1/24 dev eth0; sleep 3; ping -c 2 10.9.0.2",
    transfer(0, "10.9.0.2"),
    transfer(1, "10.9.0.2 -R"),
  ].join("\n"),
};

const OFF =
  "csum=off,guest_csum=off,host_tso4=off,host_tso6=off,host_ecn=off,guest_tso4=off,guest_tso6=off,guest_ecn=off";
const MACHINES = {
  Armature: [process.execPath, join(ROOT, "bin/armature-system-aarch64.mjs")],
  "Armature, no offloads": [process.execPath, join(ROOT, "bin/armature-system-aarch64.mjs")],
  QEMU: ["qemu-system-aarch64", "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-nic", "none"],
} as const;
type Name = keyof typeof MACHINES;
const NAMES = Object.keys(MACHINES) as Name[];

interface Figures {
  /** Mb/s by this machine's clock. */
  readonly rate: number;
  /** Milliseconds of processor time a MiB. */
  readonly cost: number;
  /** Segments that the sender sent again. */
  readonly again: number;
}

const ip = (...words: string[]) => execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });
const inside = (...words: string[]) => ip("netns", "exec", NAMESPACE, ...words);

/** Processor time of a process and its threads, in ticks of 10 ms: fields 14 and 15 of /proc/PID/stat. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

async function measure(name: Name): Promise<Figures[]> {
  using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
  // A device of its own for each run: what one emulator negotiated for it (offloads) stays with it.
  inside("ip", "tuntap", "add", "dev", TAP, "mode", "tap");
  inside("ip", "addr", "add", "10.9.0.2/24", "dev", TAP);
  inside("ip", "link", "set", TAP, "up");
  const device = `virtio-net-device,netdev=n0${name.endsWith("no offloads") ? `,${OFF}` : ""}`;
  await using session = new Session("ip", [
    ...["netns", "exec", NAMESPACE, ...MACHINES[name], "-M", "virt", "-nographic", "-m", "512M"],
    ...["-kernel", join(IMAGES, "vmlinuz"), "-initrd", initramfs.path],
    ...["-append", "console=ttyAMA0 vpmods=virtio_mmio,virtio_net vptest=outside"],
    ...["-netdev", `tap,id=n0,ifname=${TAP},script=no,downscript=no`, "-device", device],
  ]);
  const figures: Figures[] = [];
  await session.expect("VP-TEST-BEGIN", 100);
  for (let n = 0; n < 2; n++) {
    await session.expect(`MARK-BEGIN-${n}`, 200);
    const [start, before] = [performance.now(), ticks(session.pid ?? 0)];
    const [, again] = await session.expect(/bits\/sec\s+(\d+)?.*sender/, 200);
    await session.expect(/receiver/, 200);
    const rate = (MEGABYTES * 2 ** 20 * 8) / (performance.now() - start) / 1e3;
    figures.push({ rate, cost: ((ticks(session.pid ?? 0) - before) * 10) / MEGABYTES, again: Number(again ?? 0) });
  }
  await session.exit(60);
  inside("ip", "link", "del", TAP);
  return figures;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

ip("netns", "add", NAMESPACE);
let server: ReturnType<typeof spawn> | undefined;
try {
  inside("ip", "link", "set", "lo", "up");
  server = spawn("ip", ["netns", "exec", NAMESPACE, "iperf3", "-s"], { stdio: "ignore" });
  const all = NAMES.map((): Figures[][] => []);
  for (let i = 0; i < runs; i++) for (const [n, name] of NAMES.entries()) all[n]?.push(await measure(name));
  console.log(
    `iperf3, TCP, ${MEGABYTES} MiB, medians of ${runs}: Mb/s, processor time in ms a MiB, segments sent again`,
  );
  for (const [n, name] of NAMES.entries()) {
    const cells = ["guest to outside", "outside to guest"].map((what, k) => {
      const of = (key: keyof Figures) => median((all[n] as Figures[][]).map((r) => (r[k] as Figures)[key]));
      return `${what} ${of("rate").toFixed(0)}, ${of("cost").toFixed(1)}, ${of("again").toFixed(0)}`;
    });
    console.log(`${name.padEnd(22)}  ${cells.join("; ")}`);
  }
} finally {
  server?.kill();
  ip("netns", "del", NAMESPACE);
}
