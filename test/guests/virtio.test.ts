/**
 * Debian's drivers for virtio-blk, virtio-net, virtio-console, virtio-rng and 9P on every device of the board's slots, on the legacy
 * interface and on version 2; U-Boot reads a disk and pings.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, machines, requireGuest, requireModule, requireTool } from "./support/machines.ts";
import { run, type Session } from "./support/session.ts";

const MIB = 2 ** 20;
const md5 = (data: Uint8Array) => createHash("md5").update(data).digest("hex");
const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 9) * seed) & 0xff);

let folder = "";
const disk = pattern(8 * MIB, 3);
const readOnlyDisk = pattern(16 * MIB, 5);
const big = pattern(3_000_001, 7);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "armature-virtio-"));
  writeFileSync(join(folder, "disk"), disk);
  writeFileSync(join(folder, "readonly"), readOnlyDisk);
  mkdirSync(join(folder, "share/sub"), { recursive: true });
  writeFileSync(join(folder, "share/hello.txt"), "hello from the host\n");
  writeFileSync(join(folder, "share/big"), big);
  writeFileSync(join(folder, "secret"), "not for guests\n");
  symlinkSync("../secret", join(folder, "share/leak"));
  mkdirSync(join(folder, "writable"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const MODULES = [
  "fs/netfs/netfs",
  "fs/fscache/fscache",
  "net/9p/9pnet",
  "net/9p/9pnet_virtio",
  "fs/9p/9p",
  "drivers/char/hw_random/virtio-rng",
];
const nameOf = (module: string) => module.split("/").at(-1) as string;

const SCRIPTS = {
  list: "for d in /sys/bus/virtio/devices/*; do echo SLOT $(basename $(readlink -f $d/..)) $(cat $d/device); done\n",
  blk: `for d in vda vdb; do echo DISK $d $(cat /sys/block/$d/size) ro=$(cat /sys/block/$d/ro) serial=$(cat /sys/block/$d/serial); done
md5sum /dev/vda /dev/vdb
dd if=/dev/zero of=/dev/vdb bs=4k count=10 seek=3 conv=fsync,notrunc 2>/dev/null && echo WRITTEN
dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync,notrunc 2>/dev/null || echo REFUSED
echo 3 > /proc/sys/vm/drop_caches
md5sum /dev/vdb
mkfs.ext2 -q /dev/vdb 2>/dev/null || mke2fs /dev/vdb > /dev/null 2>&1; echo MKFS
`,
  net: `ifconfig eth0 up
echo NIC $(cat /sys/class/net/eth0/address) carrier=$(cat /sys/class/net/eth0/carrier)
printf '#!/bin/sh\\n[ "$1" = bound ] && ifconfig eth0 $ip netmask $subnet && route add default gw $router && echo BOUND $ip $subnet $router $dns\\nexit 0\\n' > /tmp/bound
chmod +x /tmp/bound
udhcpc -i eth0 -s /tmp/bound -n -q
ping -c 3 -i 0.2 10.0.2.2
ping -c 2 -i 0.2 -s 1400 10.0.2.2
ping -c 1 -s 4000 10.0.2.2
`,
  rng: `insmod /vptest/virtio-rng.ko
echo CURRENT $(cat /sys/class/misc/hw_random/rng_current)
echo RANDOM $(dd if=/dev/hwrng bs=32 count=1 2>/dev/null | hexdump -v -e '1/1 "%02x"')
`,
  p9: `for m in ${MODULES.slice(0, 5).map(nameOf).join(" ")}; do insmod /vptest/$m.ko; done
mkdir -p /mnt/a /mnt/b
mount -t 9p -o trans=virtio,version=9p2000.L share /mnt/a && echo MOUNTED
ls /mnt/a | tr '\\n' ' '; echo
cat /mnt/a/hello.txt; md5sum /mnt/a/big
cat /mnt/a/leak 2>&1; cat /mnt/a/sub/../hello.txt
touch /mnt/a/new 2>&1
mount -t 9p -o trans=virtio,version=9p2000.L,msize=65536 writable /mnt/b
mkdir /mnt/b/dir && echo text > /mnt/b/dir/file && cp /mnt/a/big /mnt/b/dir/big && mv /mnt/b/dir/file /mnt/b/dir/renamed && ls /mnt/b/dir | tr '\\n' ' '
ln -s /etc/passwd /mnt/b/link; rm /mnt/b/dir/big; sync; echo DONE
`,
  console: `for i in $(seq 100); do grep -qs org.example /sys/class/virtio-ports/vport0p1/name && [ -c /dev/vport0p1 ] && break; sleep 0.1; done
for i in $(seq 100); do [ -d /sys/class/virtio-ports/vport0p0 ] && (echo > /dev/hvc0) 2>/dev/null && break; sleep 0.1; done
echo PORTS $(cat /sys/class/virtio-ports/vport0p1/name)
echo to the console > /dev/hvc0
exec 3<>/dev/vport0p1
echo ready >&3
read line <&3
echo PORT SAID $line
`,
};

function linux(initramfs: Initramfs, tests: string, options: readonly string[]): string[] {
  const append = `console=ttyAMA0 quiet vptest=${tests} vpmods=virtio_mmio,virtio_blk,virtio_net,virtio_console`;
  return [
    ...["-nographic", "-m", "512M", "-kernel", requireGuest("vmlinuz"), "-initrd", initramfs.path, "-append", append],
    ...options,
  ];
}
const modules = () => Object.fromEntries(MODULES.map((m) => [`vptest/${nameOf(m)}.ko`, requireModule(m)]));

/** A client of the guest's port: waits for "ready", answers, and gives what came. It stays until closed. */
async function portClient(path: string): Promise<{ text: string; close(): void }> {
  let text = "";
  return await new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.setTimeout(120_000, () => socket.destroy(new Error("no word from the guest's port")));
    socket.on("error", reject);
    socket.on("data", (data) => {
      text += String(data);
      if (!text.includes("ready")) return;
      socket.write("word from the host\n");
      resolve({ text, close: () => socket.destroy() });
    });
  });
}

async function off(session: Session): Promise<void> {
  await session.expect("Power down", 120);
  expect(await session.exit()).toBe(0);
}

for (const machine of machines) {
  for (const [version, force] of [
    ["legacy interface", []],
    ["version 2", ["-global", "virtio-mmio.force-legacy=false"]],
  ] as const) {
    describe(`Linux drivers on ${machine.name}, ${version}`, { retry: machine.retry }, () => {
      it("block devices: sizes, contents, copy-on-write, read-only", async () => {
        using initramfs = new Initramfs(SCRIPTS);
        const drives = [
          ...[
            "-drive",
            `if=none,id=a,file=${join(folder, "disk")},format=raw,snapshot=on`,
            "-device",
            "virtio-blk-device,drive=a,serial=A1",
          ],
          ...[
            "-blockdev",
            `driver=raw,node-name=b,read-only=on,file.driver=file,file.filename=${join(folder, "readonly")}`,
          ],
          ...["-device", "virtio-blk-device,drive=b"],
        ];
        await using session = machine.start(linux(initramfs, "list,blk", [...force, ...drives]));
        // The kernel goes through the slots upwards: the second device is its first disk.
        await session.expect("SLOT a003c00.virtio_mmio 0x0002", 150);
        await session.expect("SLOT a003e00.virtio_mmio 0x0002");
        await session.expect("DISK vda 32768 ro=1 serial=\r\nDISK vdb 16384 ro=0 serial=A1");
        await session.expect(`${md5(readOnlyDisk)}  /dev/vda\r\n${md5(disk)}  /dev/vdb`);
        await session.expect("WRITTEN");
        await session.expect("REFUSED");
        const changed = disk.slice().fill(0, 3 * 4096, 13 * 4096);
        await session.expect(`${md5(changed)}  /dev/vdb`);
        await session.expect("MKFS");
        await off(session);
        expect(session.output).not.toMatch(/I\/O error.*vdb/);
        expect(md5(readFileSync(join(folder, "disk")))).toBe(md5(disk));
      });

      it("network: DHCP, ping; a capture that tshark reads", async () => {
        using initramfs = new Initramfs(SCRIPTS);
        const capture = join(folder, `${machine.name}.cap`);
        const net = [
          ...["-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n,mac=52:54:00:ab:cd:ef"],
          ...["-object", `filter-dump,id=f,netdev=n,file=${capture}`],
        ];
        await using session = machine.start(linux(initramfs, "net", [...force, ...net]));
        await session.expect("NIC 52:54:00:ab:cd:ef carrier=1", 150);
        await session.expect("BOUND 10.0.2.15 255.255.255.0 10.0.2.2 10.0.2.3");
        await session.expect("3 packets transmitted, 3 packets received, 0% packet loss");
        await session.expect("2 packets transmitted, 2 packets received, 0% packet loss");
        await session.expect("1 packets transmitted, 1 packets received, 0% packet loss");
        await off(session);
        const { output, code } = await run(requireTool("tshark"), [
          "-r",
          capture,
          "-Y",
          "dhcp || icmp",
          "-T",
          "fields",
          "-e",
          "_ws.col.Protocol",
        ]);
        expect(code).toBe(0);
        const protocols = output.trim().split("\n");
        expect([protocols.filter((p) => p === "DHCP").length, protocols.filter((p) => p === "ICMP").length]).toEqual([
          4, 12,
        ]);
      });

      it("entropy: the kernel's generator takes it", async () => {
        using initramfs = new Initramfs(SCRIPTS, modules());
        await using session = machine.start(linux(initramfs, "rng", [...force, "-device", "virtio-rng-device"]));
        await session.expect("CURRENT virtio_rng.0", 150);
        const [, random = ""] = await session.expect(/RANDOM ([0-9a-f]{64})\r?$/);
        expect(new Set(random.match(/../g)).size).toBeGreaterThan(16);
        await off(session);
      });

      it("9P: a host folder, read-only; another, writable", async () => {
        using initramfs = new Initramfs(SCRIPTS, modules());
        rmSync(join(folder, "writable"), { recursive: true });
        mkdirSync(join(folder, "writable"));
        const shares = [
          ...["-fsdev", `local,id=s,path=${join(folder, "share")},security_model=none,readonly=on`],
          ...["-device", "virtio-9p-device,fsdev=s,mount_tag=share"],
          ...["-fsdev", `local,id=w,path=${join(folder, "writable")},security_model=none,readonly=off`],
          ...["-device", "virtio-9p-device,fsdev=w,mount_tag=writable"],
        ];
        await using session = machine.start(linux(initramfs, "p9", [...force, ...shares]));
        await session.expect("MOUNTED", 150);
        await session.expect("big hello.txt leak sub");
        await session.expect(`hello from the host\r\n${md5(big)}  /mnt/a/big`);
        // The link is the guest's to follow, in its own file system.
        await session.expect("leak': No such file");
        await session.expect("hello from the host");
        await session.expect("Read-only file system");
        await session.expect("big renamed DONE");
        await off(session);
        expect(readFileSync(join(folder, "writable/dir/renamed"), "utf8")).toBe("text\n");
        expect(session.output).not.toContain("not for guests");
      });

      it("console and port of a multiport device", async () => {
        using initramfs = new Initramfs(SCRIPTS);
        const socket = join(folder, `port-${machine.name}-${force.length}`);
        const hvc = join(folder, "hvc0");
        const ports = [
          ...["-chardev", `file,id=c,path=${hvc}`, "-chardev", `socket,id=p,path=${socket},server=on,wait=on`],
          ...["-device", "virtio-serial-device", "-device", "virtconsole,chardev=c"],
          ...["-device", "virtserialport,chardev=p,name=org.example.port"],
        ];
        await using session = machine.start(linux(initramfs, "console", [...force, ...ports]));
        const client = (async () => {
          for (;;) {
            try {
              return await portClient(socket);
            } catch (error) {
              if (session.ended) throw error;
              await new Promise((resolve) => setTimeout(resolve, 100));
            }
          }
        })();
        await session.expect("PORTS org.example.port", 150);
        await session.expect("PORT SAID word from the host");
        const { text, close } = await client;
        expect(text).toMatch(/^ready\r?\n$/);
        await off(session);
        close();
        expect(readFileSync(hvc, "utf8")).toBe("\r\nto the console\r\n");
      });
    });
  }
}

describe.runIf(machines.includes(armature))("the same run", () => {
  it("entropy, network and disk of two runs are alike: equal state hashes", async () => {
    using initramfs = new Initramfs(SCRIPTS, modules());
    const options = [
      ...[
        "-device",
        "virtio-rng-device",
        "-nic",
        "user",
        "-drive",
        `file=${join(folder, "disk")},format=raw,snapshot=on`,
      ],
      "--state-hash",
    ];
    const hashes: string[] = [];
    for (let i = 0; i < 2; i++) {
      await using session = armature.start(linux(initramfs, "net,rng", options));
      await session.expect("RANDOM", 150);
      await off(session);
      hashes.push(/state hash (\w+)/.exec(session.output)?.[1] ?? `none in run ${i}`);
    }
    expect(hashes[1]).toBe(hashes[0]);
  });
});

for (const machine of machines) {
  describe(`U-Boot on ${machine.name}`, { retry: machine.retry }, () => {
    it.each([["legacy"], ["version 2"]])("reads a disk, gets an address and pings, %s", async (version) => {
      const force = version === "legacy" ? [] : ["-global", "virtio-mmio.force-legacy=false"];
      const devices = [
        ...[
          "-drive",
          `if=none,id=a,file=${join(folder, "disk")},format=raw,readonly=on`,
          "-device",
          "virtio-blk-device,drive=a",
        ],
        ...["-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n"],
      ];
      await using session = machine.start(["-nographic", "-bios", requireGuest("u-boot.bin"), ...force, ...devices]);
      await session.expect("Hit any key to stop autoboot", 120);
      session.send("\r");
      const ask = async (command: string, wanted: string | RegExp) => {
        session.send(`${command}\r`);
        await session.expect(wanted, 120);
        await session.expect("=> ", 120);
      };
      await session.expect("=> ");
      await ask("virtio scan; virtio info", /Device 0: .*VirtIO Block Device/);
      await ask("virtio read 0x41000000 0 0x800", /2048 blocks read: OK/);
      await ask("crc32 0x41000000 0x100000", `==> ${crc32(disk.subarray(0, MIB)).toString(16).padStart(8, "0")}`);
      await ask("setenv autoload no", "autoload no");
      await ask("dhcp", /DHCP client bound to address 10\.0\.2\.15/);
      await ask("ping 10.0.2.2", "host 10.0.2.2 is alive");
    });
  });
}
