/** Debian's unmodified arm64 kernel to user space: from EL1 and EL2, on 1 to 8 CPUs, with KVM inside, and from U-Boot. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, cli, machines, ROOT, requireGuest, requireTool } from "./support/machines.ts";
import { run } from "./support/session.ts";

/** Check values of a scale in percent, as the programs print them anywhere. */
function reference(scale: 1 | 10 | 100): string[] {
  const column = { 100: 1, 10: 2, 1: 3 }[scale];
  return readFileSync(`${ROOT}/firmware/guests/kernels-reference.txt`, "latin1")
    .split("\n")
    .filter((l) => l !== "" && !l.startsWith("#"))
    .map((l) => l.split(" "))
    .map((l) => `K ${l[0]} check=${l[column]}`);
}

function linux(initrd: string | null, append: string, cpus: number, memory = "512M"): string[] {
  return [
    ...["-nographic", "-smp", `${cpus}`, "-m", memory, "-kernel", requireGuest("vmlinuz")],
    ...["-append", `console=ttyAMA0 ${append}`, ...(initrd === null ? [] : ["-initrd", initrd])],
  ];
}

/** What no sound boot prints. */
const TROUBLE = /\b(BUG|WARNING|Oops|panic|stall(s|ed)?|hung|Call trace|Unhandled|undefined instruction)\b/i;

const SCRIPTS = {
  programs: "kernels 10\nfor i in 1 2 3; do sha256sum /bin/busybox | cut -c1-16; done | sort -u | wc -l\n",
  idle: "sleep 3600\n",
  kvm: "kvmmini\n",
  parallel:
    "for i in 1 2 3 4; do kernels 1 > /tmp/$i & done; wait; cat /tmp/? | grep TOTAL | sed 's/ ns=.*//' | sort | uniq -c\n",
};

for (const machine of machines) {
  describe(`Linux on ${machine.name}`, { retry: machine.retry }, () => {
    for (const [el, cpus] of [
      [1, 1],
      [1, 2],
      [1, 4],
      [1, 8],
      [2, 1],
      [2, 2],
      [2, 4],
      [2, 8],
    ] as const) {
      const kvm = el === 2 && (cpus === 1 || cpus === 4);
      it(`boots from EL${el} on ${cpus} CPU${cpus > 1 ? "s" : ""}${kvm ? ", and KVM runs its guest" : ""}`, async () => {
        using initramfs = new Initramfs(SCRIPTS);
        const tests = kvm ? "kvm" : cpus === 4 ? "parallel" : "poweroff";
        const options = linux(initramfs.path, `vptest=${tests}`, cpus);
        await using session = machine.start(options, el === 2 ? ",virtualization=on" : "");
        const [, seen] = await session.expect(/VP-BOOT-OK \S+ aarch64 cpus=(\d+)/, 150);
        expect(Number(seen)).toBe(cpus);
        expect(session.output).toContain(`CPU: All CPU(s) started at EL${el}`);
        expect(session.output.includes("Hyp mode initialized successfully")).toBe(el === 2);
        if (kvm) await session.expect("KVMMINI-OK", 60);
        if (tests === "parallel") await session.expect(/4 K TOTAL check=\w+/, 60);
        await session.expect("Power down", 60);
        expect(await session.exit()).toBe(0);
        expect(session.output).not.toMatch(TROUBLE);
      });
    }

    it("runs programs that compute to the values that they have elsewhere", async () => {
      using initramfs = new Initramfs(SCRIPTS);
      await using session = machine.start(linux(initramfs.path, "quiet vptest=programs", 1));
      await session.expect("KERNELS-DONE", 150);
      const [, different] = await session.expect(/^(\d+)\r?$/, 60);
      expect(different).toBe("1");
      const printed = [...session.output.matchAll(/K \w+ check=\w+/g)].map(([line]) => line);
      expect(printed.toSorted()).toEqual(reference(10).toSorted());
      expect(await session.exit()).toBe(0);
    });
  });
}

/** An ext4 disk with the kernel and an initramfs. */
async function disk(folder: string, initrd: string): Promise<string> {
  const files = join(folder, "files");
  mkdirSync(files);
  copyFileSync(requireGuest("vmlinuz"), join(files, "vmlinuz"));
  copyFileSync(initrd, join(files, "initrd.gz"));
  const image = join(folder, "disk.img");
  const made = await run(requireTool("mke2fs"), ["-q", "-t", "ext4", "-d", files, image, "64M"]);
  if (made.code !== 0) throw new Error(`mke2fs: ${made.errors}`);
  return image;
}

for (const machine of machines) {
  it(`U-Boot on ${machine.name} loads Linux from virtio-blk and starts it`, async () => {
    using initramfs = new Initramfs(SCRIPTS);
    const folder = mkdtempSync(join(tmpdir(), "armature-linux-"));
    try {
      const image = await disk(folder, initramfs.path);
      await using session = machine.start([
        ...["-nographic", "-m", "512M", "-bios", requireGuest("u-boot.bin")],
        ...["-drive", `file=${image},if=none,id=d0,format=raw`, "-device", "virtio-blk-device,drive=d0"],
      ]);
      await session.expect("Hit any key to stop autoboot:", 90);
      session.send("\r");
      for (const command of [
        "virtio scan",
        "ext4load virtio 0:0 $kernel_addr_r vmlinuz",
        "ext4load virtio 0:0 $ramdisk_addr_r initrd.gz",
        "setenv bootargs console=ttyAMA0 vptest=poweroff",
      ]) {
        await session.expect("=> ", 60);
        session.send(`${command}\r`);
      }
      await session.expect("=> ", 60);
      session.send("booti $kernel_addr_r $ramdisk_addr_r:$filesize $fdtcontroladdr\r");
      await session.expect(/VP-BOOT-OK \S+ aarch64 cpus=1/, 150);
      await session.expect("Power down", 60);
      expect(await session.exit()).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

/** Programs of Debian's, in the root file system of rootfs.img. */
const PROGRAMS = `mount -t ext4 /dev/vda /mnt && mount -t proc proc /mnt/proc && mount -o bind /dev /mnt/dev && mount -t tmpfs tmp /mnt/tmp || exit 1
cat > /mnt/tmp/a.c << C
#include <math.h>
#include <stdio.h>
int main(void) { double s = 0; for (int i = 1; i < 1000; i++) s += sqrt(i) / i; printf("gcc %.6f\\n", s); return 0; }
C
cat > /mnt/tmp/run.sh << 'S'
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/tmp
perl -e 'my $s = 0; $s += $_ ** 2 for 1 .. 10000; printf "perl %d\\n", $s'
python3 -c 'import hashlib; print("python3", hashlib.sha256(bytes(range(256)) * 100).hexdigest()[:16], sum(x * 0.1 for x in range(1000)))'
printf armature | openssl dgst -sha512 | cut -d' ' -f2 | cut -c1-16 | sed 's/^/openssl /'
openssl speed -seconds 1 -bytes 1024 sha256 2>&1 | tail -1
gcc -O2 -o /tmp/a /tmp/a.c -lm && /tmp/a
S
chroot /mnt /bin/sh /tmp/run.sh
`;

for (const machine of machines) {
  it(`Debian's perl, Python, OpenSSL and GCC run on ${machine.name} from a root file system on virtio-blk`, async () => {
    using initramfs = new Initramfs({ debian: PROGRAMS }, {}, "initrd-full.cpio.gz");
    await using session = machine.start([
      ...linux(initramfs.path, "quiet vpmods=virtio_mmio,virtio_blk,ext4 vptest=debian", 1, "1G"),
      ...["-drive", `file=${requireGuest("rootfs.img")},if=none,id=d0,format=raw,snapshot=on`],
      ...["-device", "virtio-blk-device,drive=d0"],
    ]);
    await session.expect("VP-TEST-BEGIN debian", 150);
    await session.expect("perl 333383335000", 120);
    // hashlib.sha256(bytes(range(256)) * 100), and a sum of doubles with its rounding error
    await session.expect("python3 22c27b0217525961 49950.0", 120);
    await session.expect("openssl 77ee3fa9d0aac489", 120);
    await session.expect(/^sha256 +[\d.]+k/, 120);
    await session.expect("gcc 61.769386", 170);
    await session.expect("VP-TEST-END debian rc=0", 60);
    expect(await session.exit()).toBe(0);
  });
}

describe("Linux on Armature", () => {
  it("sleeps for an hour in seconds", async () => {
    using initramfs = new Initramfs(SCRIPTS);
    await using session = armature.start(linux(initramfs.path, "quiet vptest=idle", 1));
    await session.expect("VP-TEST-BEGIN idle", 150);
    // An hour of the host's would not fit in the wait.
    const [, uptime] = await session.expect(/VP-TEST-END idle rc=0 uptime=([\d.]+)/, 120);
    expect(Number(uptime)).toBeGreaterThan(3600);
    expect(await session.exit()).toBe(0);
  });

  it("that panics ends the run with 5 and a report", async () => {
    await using session = cli("run", ...linux(null, "quiet", 1));
    expect(await session.exit(150)).toBe(5);
    expect(session.errors).toContain("the guest's kernel panicked: VFS: Unable to mount root fs");
    expect(session.errors).toMatch(/CPU 0 \[running\], EL1, pc 0xffff/);
    expect(session.errors).toMatch(/exception from EL\d to EL1/);
    expect(session.errors).toMatch(/CPU 0 writes 0x\w+ \(\d bytes?\) to uart0 0x9000000/);
  });

  it("that asks for a reset ends the run with 4 where -no-reboot is given", async () => {
    using initramfs = new Initramfs(SCRIPTS);
    await using session = cli("run", "-no-reboot", ...linux(initramfs.path, "quiet vpend=reboot", 1));
    expect(await session.exit(150)).toBe(4);
    expect(session.errors).toContain("the guest asked for a reset");
    expect(session.output).toContain("VP-BOOT-OK");
  });

  it("takes kernels compressed with gzip", async () => {
    const folder = mkdtempSync(join(tmpdir(), "armature-linux-"));
    try {
      const path = join(folder, "vmlinuz.gz");
      writeFileSync(path, gzipSync(readFileSync(requireGuest("vmlinuz")), { level: 1 }));
      const rest = linux(null, "earlycon", 1);
      rest[rest.indexOf("-kernel") + 1] = path;
      await using session = cli("run", ...rest);
      await session.expect("Booting Linux on physical CPU 0x0000000000", 60);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("user errors", () => {
  const cases: readonly (readonly [string, () => string[], RegExp])[] = [
    [
      "an initrd that does not fit",
      () => linux(requireGuest("initrd-full.cpio"), "", 1, "48M"),
      /initrd-full\.cpio: needs 0x/,
    ],
    ["a kernel that does not fit", () => linux(null, "", 1, "16M"), /vmlinuz: needs 0x.* RAM is 0x40000000 to/],
    ["a program of the host as kernel", () => swap(linux(null, "", 1), "/bin/sh"), /\/bin\/sh: .*expected/],
    ["an initramfs as kernel", () => swap(linux(null, "", 1), requireGuest("initrd-min.cpio")), /a cpio archive/],
    ["a kernel that does not exist", () => swap(linux(null, "", 1), "/nonexistent"), /\/nonexistent/],
  ];
  for (const [what, options, message] of cases) {
    it(`${what}: exit code 2 and a message`, async () => {
      await using session = cli("run", ...options());
      expect(await session.exit()).toBe(2);
      expect(session.errors).toMatch(message);
      expect(session.output).toBe("");
    });
  }
});

function swap(options: string[], kernel: string): string[] {
  options[options.indexOf("-kernel") + 1] = kernel;
  return options;
}
