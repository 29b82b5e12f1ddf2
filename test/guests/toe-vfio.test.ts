/**
 * The TOE driven from user space of Debian's Linux through vfio-pci behind the SMMU: firmware/guests/toe-vfio with the driver of firmware/drivers/toe. The peer is
 * the bare-metal server on a TOE of its own, in another process.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, cli, ROOT, requireGuest, requireTool } from "./support/machines.ts";
import { fileHash, TOE_IMAGE } from "./support/toe.ts";

const PF = "0000:01:00.0";
const HERE = "toe.ip=10.67.0.1/24 toe.ip=fd67::1/64";

/** With a device tree Debian's 6.1 asks for ACS when all ports were set up already: the port's is switched on by hand (148h + 6). */
const BIND = `
printf '\\x1d\\x00' | dd of=/sys/bus/pci/devices/0000:00:01.0/config bs=1 seek=$((0x148 + 6)) 2> /dev/null
modprobe vfio_iommu_type1 allow_unsafe_interrupts=1; modprobe vfio-pci enable_sriov=1 disable_idle_d3=1
bind() { echo vfio-pci > /sys/bus/pci/devices/$1/driver_override; echo $1 > /sys/bus/pci/drivers_probe; }
bind ${PF}
`;
const SCRIPTS = {
  function: `${BIND}
echo HASH $(toe-vfio ${PF} get 10.67.0.2 80 /file ${HERE} | sha256sum)
toe-vfio ${PF} get fd67::2 80 / ${HERE} toe.interface=2
toe-vfio ${PF} wild 10.67.0.2 7 ${HERE}; sleep 1
toe-vfio ${PF} serve ${HERE} toe.client=10.67.0.2 toe.seconds=1
toe-vfio ${PF} serve ${HERE} toe.http=0 toe.echo=0 toe.bytes=1; echo SERVED $?
`,
  virtual: `${BIND}
echo 3 > /sys/bus/pci/devices/${PF}/sriov_numvfs; sleep 1
V=$(basename $(readlink /sys/bus/pci/devices/${PF}/virtfn1)); bind $V
for d in ${PF} $V; do echo GROUP $(basename $(readlink /sys/bus/pci/devices/$d/iommu_group)); done
echo HASH $(toe-vfio ${PF} $V get 10.67.0.2 80 /file ${HERE} toe.interface=1 | sha256sum)
toe-vfio ${PF} $V wild fd67::2 7 ${HERE} toe.interface=1; sleep 1
toe-vfio ${PF} $V serve ${HERE} toe.interface=1 toe.client=10.67.0.2 toe.seconds=1 toe.reverse=1
`,
};

async function drive(test: keyof typeof SCRIPTS): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "armature-toe-"));
  try {
    const make = ["-s", "-C", join(ROOT, "firmware"), `OBJ=${folder}/build`, "toe-vfio"];
    execFileSync(requireTool("make"), make, { stdio: ["ignore", "ignore", "inherit"] });
    const files = { "bin/toe-vfio": readFileSync(join(folder, "build/linux/toe-vfio")) };
    using initramfs = new Initramfs(SCRIPTS, files, "initrd-full.cpio.gz");
    const wire = `addr.type=unix,addr.path=${folder}/wire`;
    const peer = (more: string) =>
      cli(
        ...["run", "-M", "virt", "-m", "256", "-nographic", "-kernel", TOE_IMAGE],
        ...["-append", `toe.ip=10.67.0.2/24 toe.ip=fd67::2/64 ${more}`],
        ...["-netdev", `stream,id=n,server=on,${wire}`, "-device", "toe,netdev=n"],
      );
    await using server = peer("toe.file=4");
    await server.expect("iperf3 at port 5201, IPv6", 60);
    await using session = armature.start(
      [
        ...["-nographic", "-m", "512M", "-kernel", requireGuest("vmlinuz"), "-initrd", initramfs.path],
        ...["-append", `console=ttyAMA0 iommu.strict=1 iommu.passthrough=0 vptest=${test}`],
        ...["-netdev", `stream,id=n,${wire},reconnect-ms=100`, "-device", "pcie-root-port,id=rp"],
        ...["-device", "toe-pci,netdev=n,bus=rp"],
      ],
      ",iommu=smmuv3",
    );
    if (test === "function") {
      await session.expect("toe: iperf3 at port 5201, IPv6", 150);
      await server[Symbol.asyncDispose]();
      await using client = peer("toe.client=10.67.0.1 toe.seconds=1");
      await client.expect(/toe: iperf3 client sent: [1-9]\d* bytes/);
      expect(await client.exit()).toBe(0);
    }
    await session.expect(`VP-TEST-END ${test}`, 150);
    const output = session.output.replaceAll("\r", "");
    expect(await session.exit()).toBe(0);
    expect(output).not.toMatch(/\b(BUG|WARNING|Oops|panic|Call trace|Unhandled)\b/i);
    return output.slice(output.indexOf(`VP-TEST-BEGIN ${test}`));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * What `wild` meets. SMMU events: translation faults (10h) for what is not mapped, and a permission fault (13h) for what may only be read; each access is
 * answered by BUFFER_FAULT (36), a submission ring out of reach by FAILED and cause 2.
 */
function confined(output: string): void {
  expect(output).toContain("toe: send what is not mapped: status 36\n");
  expect(output).toContain("toe: send what is readable: 100 bytes\n");
  expect(output).toContain("toe: receive where nothing is mapped: status 36\n");
  expect(output).toContain("toe: receive where only reading is allowed: status 36, the byte is b\n");
  expect(output).toContain("toe: send what was unmapped: status 36\n");
  expect(output).toContain("toe: afterwards: 1000 there, 1000 back, the same: 1\n");
  expect(output).toContain("toe: a ring that is not mapped: status 6, cause 2\n");
  const events = [...output.matchAll(/event 0x(\w\w) received/g)].map((m) => m[1]);
  expect(events).toEqual(["10", "10", "13", "10", "10"]);
}

describe("the TOE under vfio-pci", () => {
  it("the physical function: a file over IPv4, a page over IPv6 from a third interface, iperf3 both ways; DMA reaches what is mapped alone", async () => {
    const output = await drive("function");
    expect(output).toContain(`HASH ${fileHash(4)}`);
    expect(output).toContain("<h1>A bare-metal web server</h1>");
    expect(output).toMatch(/toe: HTTP\/1\.1 200 OK\ntoe: got 4194304 bytes, [1-9]\d* interrupts/);
    confined(output);
    expect(output).toMatch(/toe: iperf3 client sent: [1-9]\d* bytes/);
    expect(output).toMatch(
      /toe: iperf3 server received: [1-9]\d* bytes[\s\S]*toe: served [1-9]\d* bytes.*\nSERVED 0\n/,
    );
  });

  it("a virtual function: one interface in an IOMMU group and a domain of its own", async () => {
    const output = await drive("virtual");
    const groups = [...output.matchAll(/^GROUP (\d+)$/gm)].map((m) => m[1]);
    expect(new Set(groups).size).toBe(2);
    expect(output).toContain(`HASH ${fileHash(4)}`);
    confined(output);
    expect(output).toMatch(/toe: iperf3 client received: [1-9]\d* bytes/);
  });
});
