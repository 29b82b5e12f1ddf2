/** PCIe as Debian's kernel and `lspci` see it: a root port and a switch beside QEMU's, and a function with DMA, resets and errors behind them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, cli, type Machine, machines, requireGuest, requireModule, requireTool } from "./support/machines.ts";

const SCRIPTS = {
  list: "echo TREE-BEGIN\nlspci -tn\necho TREE-END\nlspci -vvv\n",
  function: [
    "D=0000:03:00.0",
    "for m in flr bus; do echo $m > /sys/bus/pci/devices/$D/reset_method; echo 1 > /sys/bus/pci/devices/$D/reset; echo RESET $m $?; done",
    "devmem 0x10000000 32",
    "echo 1 > /sys/bus/pci/devices/$D/enable; B=$(head -1 /sys/bus/pci/devices/$D/resource | cut -d' ' -f1)",
    "echo ID $(devmem $B 32)",
    "devmem $((B + 0x8000)) 32 1; sleep 1",
    "grep aerdrv /proc/interrupts",
    "lspci -vvv",
  ].join("\n"),
  // GICv2m does not remap interrupts, hence "unsafe". The VFs of a function on the root bus lie on bus 1: the root complex has no ARI.
  vfio: [
    "insmod /vptest/pci-pf-stub.ko; modprobe vfio_iommu_type1 allow_unsafe_interrupts=1; modprobe vfio-pci",
    "D=0000:00:05.0; V=0000:01:15.2",
    "echo pci-pf-stub > /sys/bus/pci/devices/$D/driver_override; echo $D > /sys/bus/pci/drivers/pci-pf-stub/bind",
    "echo 0 > /sys/bus/pci/devices/$D/sriov_drivers_autoprobe",
    "for i in 1 2 3 4; do echo 4 > /sys/bus/pci/devices/$D/sriov_numvfs; lspci -n | grep -c 1234:4156; echo 0 > /sys/bus/pci/devices/$D/sriov_numvfs; done",
    "echo 3 > /sys/bus/pci/devices/$D/sriov_numvfs",
    "echo vfio-pci > /sys/bus/pci/devices/$V/driver_override; echo $V > /sys/bus/pci/drivers/vfio-pci/bind",
    "/vptest/vfiodma $(basename $(readlink /sys/bus/pci/devices/$V/iommu_group)) $V",
    "echo 0 > /sys/bus/pci/devices/$D/sriov_numvfs",
  ].join("\n"),
};
const SWITCH = [
  "-device pcie-root-port,id=rp0,bus=pcie.0,chassis=1,slot=1,addr=1",
  "-device x3130-upstream,id=up0,bus=rp0",
  "-device xio3130-downstream,id=dn0,bus=up0,chassis=2,slot=2",
  "-device xio3130-downstream,id=dn1,bus=up0,chassis=3,slot=3",
].flatMap((line) => line.split(" "));

/** What lspci prints of a list of capabilities, or of a register, that it cannot make sense of. */
const MALFORMED = /chain (looped|broken)|unreadable|!!!|access denied|<unassigned>/i;
const TROUBLE = /\b(BUG|WARNING|Oops|panic|Call trace|Unhandled)\b/i;

async function boot(
  machine: Machine,
  test: string,
  devices: readonly string[],
  files: Readonly<Record<string, Uint8Array>> = {},
  board = "",
): Promise<string> {
  using initramfs = new Initramfs(SCRIPTS, files, "initrd-full.cpio.gz");
  const options = [
    "-nographic",
    "-m",
    "512M",
    "-nic",
    "none",
    "-kernel",
    requireGuest("vmlinuz"),
    "-initrd",
    initramfs.path,
  ];
  await using session = machine.start([...options, ...devices, "-append", `console=ttyAMA0 vptest=${test}`], board);
  await session.expect(`VP-TEST-END ${test}`, 150);
  expect(session.output).not.toMatch(TROUBLE);
  return session.output.replaceAll("\r", "");
}

for (const machine of machines) {
  it(`${machine.name}: a root port and a switch are enumerated, bridged and driven`, async () => {
    const output = await boot(machine, "list", SWITCH);
    const tree = /TREE-BEGIN\n([\s\S]*?)TREE-END/.exec(output)?.[1]?.replace(/ +/g, " ");
    expect(tree).toBe("-[0000:00]-+-00.0\n \\-01.0-[01-04]----00.0-[02-04]--+-00.0-[03]--\n \\-01.0-[04]--\n");
    expect(output.match(/Kernel driver in use: pcieport/g)?.length).toBe(4);
    expect(output).toContain("AER: enabled with IRQ");
    expect(output).not.toMatch(/chain (looped|broken)|unreadable/);
  });
}

describe("Armature", () => {
  it("lspci decodes every capability; BARs are assigned; FLR and bus reset work; an error comes by MSI-X from the root port", async () => {
    const output = await boot(armature, "function", [...SWITCH, "-device", "pcie-test,bus=dn0,vfs=4"]);
    expect(output.match(/^\d\d:\d\d\.\d /gm)?.length).toBe(6);
    expect(output.slice(output.indexOf("VP-TEST-BEGIN"))).not.toMatch(MALFORMED);
    for (const capability of ["SR-IOV", "ARI", "Advanced Error Reporting", "MSI-X: Enable", "Device Serial Number"]) {
      expect(output).toContain(capability);
    }
    expect(output).toContain("RESET flr 0");
    expect(output).toContain("RESET bus 0");
    expect(output).toContain("ID 0x54435041");
    expect(output).toMatch(/AER: Uncorrected \(Non-Fatal\) error message received from 0000:03:00.0/);
    expect(output).toMatch(/\[20\] UnsupReq\s+\(First\)/);
    expect(output).toMatch(/^ *\d+: +1 +MSI \d+ Edge +PCIe PME, aerdrv/m);
  });

  it("a VF behind the SMMU is driven from user space by VFIO: its DMA reaches what is mapped and nothing else", async () => {
    const files = vfioFiles();
    const output = await boot(armature, "vfio", ["-device", "pcie-test,addr=5,vfs=4"], files, ",iommu=smmuv3");
    expect(output.match(/^4$/gm)?.length).toBe(4);
    expect(output).toContain("ID 54435041 INDEX 2");
    // 1: done, 2: refused.
    expect(output).toContain("INSIDE status 1 equal 1 interrupts 1");
    expect(output).toContain("OUTSIDE read 2 write 2");
    expect(output).toContain("UNMAPPED read 2");
    expect(output).toContain("RESET source 00000000");
    expect(output).toContain("VFIO-OK");
    // Translation faults (F_TRANSLATION) of stream 01:15.2, one for each access outside.
    expect(output.match(/event 0x10 received/g)?.length).toBe(3);
    expect(output.match(/0x000001aa00000010/g)?.length).toBe(3);
  });

  it("saved between two transfers of that program, the machine goes on to the same state", async () => {
    using initramfs = new Initramfs(SCRIPTS, vfioFiles(), "initrd-full.cpio.gz");
    const folder = mkdtempSync(join(tmpdir(), "armature-pcie-"));
    try {
      const file = join(folder, "snapshot");
      const hashOf = async (...words: string[]): Promise<string | undefined> => {
        await using session = cli("run", "-display", "none", "-state-hash", ...words);
        session.closeInput();
        return (await session.expect(/state hash ([0-9a-f]{16})/, 150))[1];
      };
      const board = ["-M", "virt,iommu=smmuv3", "-m", "512M", "-device", "pcie-test,addr=5,vfs=4"];
      const images = [
        "-kernel",
        requireGuest("vmlinuz"),
        "-initrd",
        initramfs.path,
        "-append",
        "console=ttyAMA0 vptest=vfio",
      ];
      const first = await hashOf(...board, ...images, "--save-snapshot", file, "--save-at", "text=INSIDE");
      expect(await hashOf("--snapshot", file)).toBe(first);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function vfioFiles(): Record<string, Uint8Array> {
  return { "vptest/pci-pf-stub.ko": requireModule("drivers/pci/pci-pf-stub"), "vptest/vfiodma": compile("vfiodma.c") };
}

/** A program beside this file for the guest, linked statically. */
function compile(source: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "armature-program-"));
  try {
    const program = join(folder, "program");
    const path = fileURLToPath(new URL(`support/${source}`, import.meta.url));
    execFileSync(requireTool("aarch64-linux-gnu-gcc"), ["-O2", "-Wall", "-Werror", "-static", "-o", program, path]);
    return readFileSync(program);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
