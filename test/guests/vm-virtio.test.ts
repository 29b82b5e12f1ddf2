/** Two of Debian's kernels under the hypervisor, from a file of VMs, each with a disk and a network card of its own, the cards on one switch. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HypervisorReport } from "../../src/hypervisor/report.ts";
import { Initramfs } from "./support/initramfs.ts";
import { cli, requireGuest, requireModule } from "./support/machines.ts";

const MIB = 2 ** 20;
const md5 = (data: Uint8Array) => createHash("md5").update(data).digest("hex");
const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 9) * seed) & 0xff);
const disk = pattern(4 * MIB, 3);
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "armature-vm-virtio-"));
  writeFileSync(join(folder, "a.img"), disk);
  writeFileSync(join(folder, "b.img"), disk);
  mkdirSync(join(folder, "share"));
  writeFileSync(join(folder, "share/hello.txt"), "hello from the host\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

const MODULES = ["fs/netfs/netfs", "fs/fscache/fscache", "net/9p/9pnet", "net/9p/9pnet_virtio", "fs/9p/9p"];
const P9 = MODULES.map((m) => m.split("/").at(-1) as string);
const RANDOM = "drivers/char/hw_random/virtio-rng";

const DISK = `echo DISK $(cat /sys/block/vda/size) $(cat /sys/block/vda/serial); md5sum /dev/vda
dd if=/dev/zero of=/dev/vda bs=4k count=10 seek=3 conv=fsync,notrunc 2>/dev/null && echo WRITTEN
echo 3 > /proc/sys/vm/drop_caches; md5sum /dev/vda
`;
const SCRIPTS = {
  server: `${DISK}ifconfig eth0 10.0.2.1 netmask 255.255.255.0 up; echo NIC $(cat /sys/class/net/eth0/address)
iperf3 -s -1 | grep receiver
for m in ${P9.join(" ")} virtio-rng; do insmod /vptest/$m.ko; done
mkdir -p /mnt/a; mount -t 9p -o trans=virtio,version=9p2000.L share /mnt/a && cat /mnt/a/hello.txt
echo RANDOM $(dd if=/dev/hwrng bs=32 count=1 2>/dev/null | hexdump -v -e '1/1 "%02x"')
grep virtio /proc/interrupts
`,
  client: `${DISK}ifconfig eth0 10.0.2.2 netmask 255.255.255.0 up; echo NIC $(cat /sys/class/net/eth0/address)
for i in $(seq 100); do ping -c 1 -W 1 10.0.2.1 > /dev/null && break; done
ping -c 3 -i 0.2 10.0.2.1 | grep received
for i in $(seq 50); do iperf3 -c 10.0.2.1 -n 64M > /tmp/log && break; sleep 0.2; done; grep receiver /tmp/log
`,
};
const zeroed = disk.slice().fill(0, 3 * 4096, 13 * 4096);

function vm(name: string, initrd: string, extra: object): object {
  return {
    name,
    memory: "256M",
    kernel: requireGuest("vmlinuz"),
    initrd,
    append: `console=ttyAMA0 quiet vptest=${name},poweroff vpmods=virtio_mmio,virtio_blk,virtio_net`,
    devices: {
      uart0: "trap",
      rtc: "trap",
      virtio1: { mode: "trap", device: "virtio-net-device", net: "hubport,hubid=0" },
      ...extra,
    },
  };
}

/** Milliseconds: two kernels start, on a host that may be busy. */
const TIMEOUT = 480_000;

describe("virtio devices of VMs", { timeout: TIMEOUT }, () => {
  it("disks are read and written; ping and iperf3 between the two; a folder; entropy", async () => {
    const modules = Object.fromEntries(
      [...MODULES, RANDOM].map((m) => [`vptest/${m.split("/").at(-1)}.ko`, requireModule(m)]),
    );
    using initramfs = new Initramfs(SCRIPTS, modules, "initrd-full.cpio.gz");
    const file = join(folder, "vms.json");
    const [server, client] = [
      vm("server", initramfs.path, {
        virtio0: { mode: "trap", device: "virtio-blk-device,serial=one", file: "a.img" },
        virtio2: { mode: "trap", device: "virtio-9p-device,mount_tag=share", folder: "share" },
        virtio3: { mode: "trap", device: "virtio-rng-device" },
      }),
      vm("client", initramfs.path, {
        virtio9: { mode: "trap", device: "virtio-blk-device,serial=two", file: "b.img", snapshot: true, legacy: true },
      }),
    ];
    const config = { machine: { cpus: 2, memory: "1G" }, limit: 60, vms: [server, client] };
    writeFileSync(file, JSON.stringify(config));
    const json = join(folder, "report.json");
    await using session = cli("vm", "run", file, "--json", json);
    expect(await session.exit(400)).toBe(0);
    const said = (name: string) =>
      session.output
        .split("\n")
        .filter((line) => line.startsWith(`${name} |`))
        .map((line) => line.slice(9).trim());
    for (const name of ["server", "client"]) {
      const lines = said(name).join("\n");
      expect(lines).toContain(`DISK 8192 ${name === "server" ? "one" : "two"}\n${md5(disk)}  /dev/vda`);
      expect(lines).toContain(`WRITTEN\n${md5(zeroed)}  /dev/vda`);
      expect(lines).not.toMatch(/\b(BUG|WARNING|Oops|panic|Call trace)\b/);
      expect(lines).toMatch(/[\d.]+ [GM]bits\/sec.*receiver/);
    }
    expect(said("server")).toEqual(expect.arrayContaining(["NIC 52:54:00:12:34:56", "hello from the host"]));
    expect(said("server").join("\n")).toMatch(/RANDOM [0-9a-f]{64}/);
    expect(said("client")).toContain("NIC 52:54:00:12:34:57");
    expect(said("client").join("\n")).toContain("3 packets transmitted, 3 packets received, 0% packet loss");
    const report = JSON.parse(readFileSync(json, "utf8")) as HypervisorReport;
    const exits = report.vms.map(({ name, exits: all, regions }) => {
      const virtio = regions.filter((r) => r.name.startsWith("virtio")).map((r) => `${r.name} ${r.count}`);
      return `${name}: ${all} exits, ${virtio.join(", ")}`;
    });
    console.log([said("client").find((line) => line.includes("receiver")), ...exits].join("\n"));
    // written through, and kept in memory
    expect([md5(readFileSync(join(folder, "a.img"))), md5(readFileSync(join(folder, "b.img")))]).toEqual([
      md5(zeroed),
      md5(disk),
    ]);
  });
});
