/**
 * Work inside Debian's Linux, beside QEMU's translator (-accel tcg,thread=single) on the same machine: TCP over the guest's own loopback, large
 * and small segments; copying through the page cache; gzip; SHA-256; processes. Each load is timed between two lines that the guest prints: by this
 * machine's clock, and in processor time of all threads, which other work on the machine disturbs less. Runs of both by turns, medians. Needs what `npm run guests` fetches.
 *   node bench/linux-load.ts [RUNS] [LOAD...] [--only armature|qemu]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Initramfs } from "../test/guests/support/initramfs.ts";
import { ROOT } from "../test/guests/support/machines.ts";
import { Session } from "../test/guests/support/session.ts";
import { IMAGES, needImages, processorSeconds, short } from "./support/linux.ts";
import { median } from "./support/measure.ts";

needImages("vmlinuz", "initrd-full.cpio.gz");

const transfer = (bytes: string) => `iperf3 -c 127.0.0.1 -n ${bytes} -i 0 | grep -E 'receiver|error'`;
const LOADS: { readonly [name: string]: string } = {
  loopback: transfer("512M"),
  segments: `ifconfig lo mtu 1500; ethtool -K lo tso off gso off gro off > /dev/null; ${transfer("96M")}`,
  copy: "dd if=/dev/zero of=/tmp/a bs=64k count=1024; for i in 1 2 3 4; do dd if=/tmp/a of=/tmp/b bs=64k; done; rm /tmp/a /tmp/b",
  gzip: "gzip -c /lib/aarch64-linux-gnu/libcrypto.so.3 > /tmp/c; gunzip -c /tmp/c | md5sum; rm /tmp/c",
  sha256: "for i in 1 2 3 4; do sha256sum /lib/aarch64-linux-gnu/libcrypto.so.3; done",
  processes:
    "i=0; while [ $i -lt 400 ]; do /bin/busybox true; /bin/busybox true | /bin/busybox cat; i=$((i + 1)); done",
};

const { values, positionals } = parseArgs({ options: { only: { type: "string" } }, allowPositionals: true });
const runs = Number(positionals.find((word) => /^\d+$/.test(word)) ?? (short ? 1 : 3));
const asked = positionals.filter((word) => word in LOADS);
const names = asked.length > 0 ? asked : short ? ["gzip"] : Object.keys(LOADS);
const script = [
  "ifconfig lo up; iperf3 -s -D; sleep 1",
  ...names.map((name) => `echo MARK-BEGIN-${name}; ${LOADS[name]}; echo MARK-END-${name}`),
].join("\n");

const machines: readonly { readonly name: string; readonly command: string; readonly options: readonly string[] }[] = [
  {
    name: "Armature",
    command: process.execPath,
    options: [...process.execArgv, join(ROOT, "bin/armature-system-aarch64.mjs"), "-M", "virt"],
  },
  {
    name: "QEMU",
    command: "qemu-system-aarch64",
    options: ["-M", "virt,gic-version=2", "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-nic", "none"],
  },
].filter(({ name }) => name.toLowerCase() === (values.only ?? name).toLowerCase());

interface Seconds {
  readonly wall: number;
  readonly processor: number;
}

function now(pid: number | undefined): Seconds {
  return { wall: performance.now() / 1000, processor: processorSeconds(pid) };
}

/** What each load took. */
async function measure({ command, options }: (typeof machines)[number]): Promise<Seconds[]> {
  using initramfs = new Initramfs({ load: script }, {}, "initrd-full.cpio.gz");
  const common = ["-nographic", "-m", "512M", "-kernel", join(IMAGES, "vmlinuz"), "-initrd", initramfs.path];
  const append = "console=ttyAMA0 quiet vptest=load";
  await using session = new Session(command, [...options, ...common, "-append", append]);
  const seconds: Seconds[] = [];
  for (const name of names) {
    await session.expect(`MARK-BEGIN-${name}`, 120);
    const start = now(session.pid);
    await session.expect(`MARK-END-${name}`, 300);
    const end = now(session.pid);
    seconds.push({ wall: end.wall - start.wall, processor: end.processor - start.processor });
  }
  await session.exit(60);
  return seconds;
}

const all = machines.map((): Seconds[][] => []);
for (let i = 0; i < runs; i++) for (const [n, machine] of machines.entries()) all[n]?.push(await measure(machine));
for (const kind of ["wall", "processor"] as const) {
  console.log(`Work inside Debian's Linux, one CPU, seconds of ${kind} time, medians of ${runs}`);
  console.log(`load        ${machines.map(({ name }) => name.padStart(10)).join("")}   ratio`);
  for (const [k, name] of names.entries()) {
    const seconds = all.map((list) => median(list.map((s) => (s[k] as Seconds)[kind])));
    const ratio = seconds.length > 1 ? ((seconds[0] as number) / (seconds[1] as number)).toFixed(2).padStart(8) : "";
    console.log(`${name.padEnd(12)}${seconds.map((s) => s.toFixed(2).padStart(10)).join("")}${ratio}`);
  }
}
