/** What benches of Debian's Linux in a machine share: its images, processor time of a machine's process, and iperf3 through TAP. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Initramfs } from "../../test/guests/support/initramfs.ts";
import { mayTap, Namespace } from "../../test/guests/support/namespace.ts";
import { Session } from "../../test/guests/support/session.ts";

const { ARMATURE_BENCH, ARMATURE_GUESTS } = process.env;
export const IMAGES = join(ARMATURE_GUESTS ?? join(homedir(), ".cache/armature-guests"), "img");
/** A short run shows that it works. */
export const short = ARMATURE_BENCH === "short";
const TICKS_PER_SECOND = 100; // USER_HZ

/** Ends the bench, with the reason, where images are missing. */
export function needImages(...names: readonly string[]): void {
  if (names.every((name) => existsSync(join(IMAGES, name)))) return;
  console.log(`${IMAGES}: no kernel; "npm run guests" fetches it`);
  process.exit(0);
}

/** The same where a TAP device cannot be made. */
export function needTap(): void {
  if (mayTap) return;
  console.log("no root or no /dev/net/tun");
  process.exit(0);
}

/** Processor time of a process and its threads: utime and stime of /proc/PID/stat. */
export function processorSeconds(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND;
}

/** Addresses of guest and host. */
const GUEST = "10.9.0.1/24";
const HOST = "10.9.0.2";
export const TAP = "tap,id=n0,ifname=tap0,script=no,downscript=no";

/** Words of a guest's script: transfer `n`, by iperf3 inside `client`. */
export function transfer(n: number, client: string, words: string, megabytes: number): string {
  const grep = "grep -E 'sender|receiver|error'";
  return `echo MARK-BEGIN-${n}; ${client} iperf3 -c ${words} -n ${megabytes}M -i 0 | ${grep}; echo MARK-END-${n}; sleep 1`;
}

/** Two transfers with the host: outwards, then inwards. */
export function outsideScript(megabytes: number): string {
  return [
    `ip link set eth0 up; /usr/bin/ip addr add ${GUEST} dev eth0; sleep 3; ping -c 2 ${HOST}`,
    transfer(0, "", HOST, megabytes),
    transfer(1, "", `${HOST} -R`, megabytes),
  ].join("\n");
}

export interface Transfer {
  /** Mb/s by this machine's clock. */
  readonly rate: number;
  /** Milliseconds of processor time of the machine's process a MiB. */
  readonly cost: number;
  /** Segments that the sender sent again. */
  readonly again: number;
}

/** Runs a machine with a guest script of `count` transfers, its options `words` without kernel and initramfs, in a namespace with a TAP device and iperf3's server. */
export async function transfers(
  words: readonly string[],
  script: string,
  count: number,
  megabytes: number,
): Promise<Transfer[]> {
  using initramfs = new Initramfs({ transfers: script }, {}, "initrd-full.cpio.gz");
  // A device of its own for each run: what one emulator negotiated for it (offloads) stays with it.
  using namespace = new Namespace("bench", [`${HOST}/24`]);
  await using _server = namespace.start("iperf3", "-s");
  const [program = "", ...options] = words;
  const images = ["-nographic", "-m", "512M", "-kernel", join(IMAGES, "vmlinuz"), "-initrd", initramfs.path];
  await using session = new Session(...namespace.command(program, ...options, ...images));
  const found: Transfer[] = [];
  await session.expect("VP-TEST-BEGIN", 100);
  for (let n = 0; n < count; n++) {
    await session.expect(`MARK-BEGIN-${n}`, 200);
    const [start, before] = [performance.now(), processorSeconds(session.pid)];
    const [, again] = await session.expect(/bits\/sec\s+(\d+)?.*sender/, 200);
    await session.expect(/receiver/, 200);
    const rate = (megabytes * 2 ** 20 * 8) / (performance.now() - start) / 1e3;
    const cost = (1000 * (processorSeconds(session.pid) - before)) / megabytes;
    found.push({ rate, cost, again: Number(again ?? 0) });
  }
  await session.exit(60);
  return found;
}
