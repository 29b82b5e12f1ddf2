/** PCIe as Debian's kernel and `lspci` see it: a root port and a switch beside QEMU's, and a function with DMA, resets and errors behind them. */
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, type Machine, machines, requireGuest } from "./support/machines.ts";

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

async function boot(machine: Machine, test: string, devices: readonly string[]): Promise<string> {
  using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
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
  await using session = machine.start([...options, ...devices, "-append", `console=ttyAMA0 vptest=${test}`]);
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
});
