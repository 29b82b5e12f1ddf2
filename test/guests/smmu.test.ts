/** Debian's unmodified arm-smmu-v3 driver: probe, a network card and vfio-pci behind the SMMU with strict translation, and what it reports of wild DMA. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, machines, ROOT, requireGuest, requireTool } from "./support/machines.ts";
import { run } from "./support/session.ts";

const TROUBLE =
  /\b(BUG|WARNING|Oops|panic|stall(s|ed)?|hung|Call trace|Unhandled)\b|9050000\.smmuv3: .*(event|error|timeout|unexpected)/i;

const SCRIPTS = {
  net: `ip link set eth0 up
for i in 1 2 3 4 5; do udhcpc -i eth0 -n -q -s /bin/true && break; sleep 1; done
ip addr add 10.0.2.15/24 dev eth0
ping -c 3 -s 1400 10.0.2.2 | grep received
for i in 1 2 3; do rmmod igb; modprobe igb; sleep 1; done
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; sleep 3
ping -c 3 10.0.2.2 | grep received
grep smmu /proc/interrupts
`,
  vfio: `modprobe vfio_iommu_type1 allow_unsafe_interrupts=1
modprobe vfio-pci
d=$(basename $(dirname $(grep -l 0x4152 /sys/bus/pci/devices/*/device)))
echo vfio-pci > /sys/bus/pci/devices/$d/driver_override
echo $d > /sys/bus/pci/drivers_probe
vfio-dma $(basename $(readlink /sys/bus/pci/devices/$d/iommu_group)) $d
grep evtq /proc/interrupts
`,
};

function linux(initrd: string, append: string): string[] {
  const options = ["-nographic", "-m", "512M", "-kernel", requireGuest("vmlinuz"), "-initrd", initrd];
  return [...options, "-append", `console=ttyAMA0 iommu.strict=1 ${append}`];
}

describe.runIf(machines.includes(armature))("arm-smmu-v3", () => {
  it.each([
    ["EL1", ""],
    ["EL2", ",virtualization=on"],
  ])("igb through it from %s: ping, module unloaded and loaded again, no fault", async (_el, more) => {
    using initramfs = new Initramfs({ net: SCRIPTS.net }, {}, "initrd-full.cpio.gz");
    await using session = armature.start(
      [
        ...linux(initramfs.path, "vpmods=igb vptest=net"),
        ...["-netdev", "user,id=n0", "-device", "igb,netdev=n0,mac=52:54:00:12:34:56"],
      ],
      `,iommu=smmuv3${more}`,
    );
    await session.expect("arm-smmu-v3 9050000.smmuv3: ias 44-bit, oas 44-bit", 100);
    await session.expect(/igb 0000:00:01\.0: Adding to iommu group \d/, 60);
    await session.expect("3 packets received", 100);
    await session.expect("3 packets received", 100);
    await session.expect("VP-TEST-END net rc=0", 60);
    expect(await session.exit()).toBe(0);
    expect(session.output).not.toMatch(TROUBLE);
  });

  it("vfio-pci: a user-space driver reaches what it mapped, and nothing else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "armature-vfio-"));
    try {
      const program = join(folder, "vfio-dma");
      const source = `${ROOT}/test/guests/programs/vfio-dma.c`;
      const { code, errors } = await run(requireTool("aarch64-linux-gnu-gcc"), [
        "-O2",
        "-static",
        "-o",
        program,
        source,
      ]);
      expect([code, errors]).toEqual([0, ""]);
      const others = { "bin/vfio-dma": readFileSync(program) };
      using initramfs = new Initramfs({ vfio: SCRIPTS.vfio }, others, "initrd-full.cpio.gz");
      await using session = armature.start(
        [...linux(initramfs.path, "vptest=vfio"), "-device", "pcie-test"],
        ",iommu=smmuv3",
      );
      await session.expect("VFIO mapped status=1 same=1", 150);
      await session.expect("VFIO unmapped-source status=2", 30);
      await session.expect("VFIO read-only status=2 byte=ee", 30);
      await session.expect("VFIO physical status=2", 30);
      await session.expect("VFIO after-unmap status=2", 30);
      await session.expect("VP-TEST-END vfio rc=0", 60);
      expect(await session.exit()).toBe(0);
      const events = [...session.output.matchAll(/event 0x(\w\w) received/g)].map((m) => m[1]);
      expect(events).toEqual(["10", "13", "10", "10"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
