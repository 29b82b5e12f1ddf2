/** Debian's unmodified arm64 kernel to user space: from EL1 and EL2, on 1 to 8 CPUs, with KVM inside, and from U-Boot. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, machines, ROOT, requireGuest } from "./support/machines.ts";

/** Check values of a scale in percent, as the programs print them anywhere. */
function reference(scale: 1 | 10 | 100): string[] {
  const column = { 100: 1, 10: 2, 1: 3 }[scale];
  return readFileSync(`${ROOT}/firmware/guests/kernels-reference.txt`, "latin1")
    .split("\n")
    .filter((l) => l !== "" && !l.startsWith("#"))
    .map((l) => l.split(" "))
    .map((l) => `K ${l[0]} check=${l[column]}`);
}

function linux(initrd: string, append: string, cpus: number, memory = "512M"): string[] {
  return [
    ...["-nographic", "-smp", `${cpus}`, "-m", memory, "-kernel", requireGuest("vmlinuz")],
    ...["-initrd", initrd, "-append", `console=ttyAMA0 ${append}`],
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
  describe(`Linux on ${machine.name}`, () => {
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

describe("Linux on Armature", () => {
  it("sleeps for an hour in seconds", async () => {
    using initramfs = new Initramfs(SCRIPTS);
    await using session = armature.start(linux(initramfs.path, "quiet vptest=idle", 1));
    await session.expect("VP-TEST-BEGIN idle", 150);
    const begin = performance.now();
    const [, uptime] = await session.expect(/VP-TEST-END idle rc=0 uptime=([\d.]+)/, 120);
    expect(Number(uptime)).toBeGreaterThan(3600);
    // The aim is ten seconds on a machine that does nothing else.
    expect(performance.now() - begin).toBeLessThan(60_000);
    expect(await session.exit()).toBe(0);
  });
});
