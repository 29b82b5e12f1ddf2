/** The devices that options ask for, with real files behind them, on the board. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import type { HostMachine } from "../../src/host/machine.ts";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import { buildMachine } from "../../src/host/virt.ts";

const code = new InterpreterCode();
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "armature-virtio-"));
  writeFileSync(join(folder, "disk"), new Uint8Array(4096).fill(7));
  mkdirSync(join(folder, "share"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Builds the machine; FOLDER stands for the test's own. */
function build(line: string): HostMachine {
  const words = line.split(" ").map((w) => w.replaceAll("FOLDER", folder));
  const parsed = parseCommandLine(words, "qemu", { program: "test", version: "0" });
  if (parsed.kind !== "run") throw new Error(parsed.text);
  const machine = buildMachine(parsed.options, code);
  if (machine === null) throw new Error("no machine");
  return machine;
}
const SLOT = (n: number) => 0x0a00_0000 + 0x200 * n;

describe("devices behind the slots", () => {
  it("the first -device is behind slot 31, the next behind slot 30; bus= chooses", () => {
    const machine = build(
      "-device virtio-rng-device -drive if=none,file=FOLDER/disk,format=raw,id=d,readonly=on -device virtio-blk-device,drive=d " +
        "-device virtio-rng-device,bus=virtio-mmio-bus.5 -nic user",
    );
    const ids = [31, 30, 29, 5, 0].map((n) => machine.bus.peek(SLOT(n) + 8, 4));
    expect(ids).toEqual([4, 2, 1, 4, 0]);
    // Capacity in sectors.
    expect(machine.bus.peek(SLOT(30) + 0x100, 4)).toBe(8);
    machine.finish();
  });

  it("legacy unless -global virtio-mmio.force-legacy=false", () => {
    for (const [option, version] of [
      ["-nic none", 1],
      ["-global virtio-mmio.force-legacy=false", 2],
    ] as const) {
      const machine = build(option);
      expect(machine.bus.peek(SLOT(31) + 4, 4)).toBe(version);
      machine.finish();
    }
  });

  it("MAC addresses count up from 52:54:00:12:34:56", () => {
    const machine = build("-nic user -nic user");
    expect([31, 30].map((n) => machine.bus.peek(SLOT(n) + 0x104, 2))).toEqual([0x5634, 0x5734]);
    machine.finish();
  });

  it("a capture is a pcapng file from the start", () => {
    const machine = build(
      "-netdev user,id=n -device virtio-net-device,netdev=n -object filter-dump,id=f,netdev=n,file=FOLDER/cap",
    );
    machine.finish();
    expect([...readFileSync(join(folder, "cap")).subarray(0, 12)]).toEqual([
      0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a,
    ]);
  });

  it("a capture of a PCIe card's network, with a virtio card beside it: addresses go on counting", () => {
    const machine = build(
      "-netdev user,id=n -device igb,netdev=n -object filter-dump,id=f,netdev=n,file=FOLDER/cap -device virtio-net-device",
    );
    expect(machine.bus.peek(SLOT(31) + 0x104, 2)).toBe(0x5634);
    machine.finish();
    expect(readFileSync(join(folder, "cap")).length).toBeGreaterThan(40);
  });

  it("one file behind two drives: both read-only or copy-on-write", () => {
    const two = (rest: string) =>
      `-drive if=none,file=FOLDER/disk,id=a,format=raw${rest} -device virtio-blk-device,drive=a ` +
      `-drive if=none,file=FOLDER/disk,id=b,format=raw,readonly=on -device virtio-blk-device,drive=b`;
    for (const rest of [",readonly=on", ",snapshot=on"]) build(two(rest)).finish();
    expect(() => build(two(""))).toThrow("another drive has this file");
  });
});

describe("user errors", () => {
  it.each([
    ["-drive file=FOLDER/none", "FOLDER/none: cannot be opened: no such file or directory"],
    ["-drive file=FOLDER/share", "FOLDER/share"],
    ["-drive file=FOLDER/empty", "FOLDER/empty: 0 bytes: expected at least one sector of 512"],
    [
      "-drive file=FOLDER/qcow",
      "FOLDER/qcow: a qcow2 image: not supported by Armature: expected raw (qemu-img convert",
    ],
    [
      "-virtfs local,path=FOLDER/none,mount_tag=t",
      "FOLDER/none: no such file or directory: expected a folder to share",
    ],
    ["-virtfs local,path=FOLDER/disk,mount_tag=t", "FOLDER/disk: not a directory: expected a folder to share"],
    [
      "-device virtio-rng-device,bus=virtio-mmio-bus.3 -device virtio-rng-device,bus=virtio-mmio-bus.3",
      "slot 3 is taken",
    ],
    [Array(33).fill("-device virtio-rng-device").join(" "), "the board has 32 virtio-mmio slots, all are taken"],
    [
      "-netdev user,id=n -device virtio-net-device,netdev=n -object filter-dump,id=f,netdev=n,file=FOLDER/none/cap",
      "FOLDER/none/cap: cannot be written: no such file or directory",
    ],
  ])("%s", (line, message) => {
    writeFileSync(join(folder, "empty"), "");
    writeFileSync(join(folder, "qcow"), Uint8Array.from([0x51, 0x46, 0x49, 0xfb, ...new Uint8Array(1020)]));
    expect(() => build(line)).toThrow(message.replaceAll("FOLDER", folder));
  });

  it("format=raw takes a file whatever it looks like", () => {
    writeFileSync(join(folder, "qcow"), Uint8Array.from([0x51, 0x46, 0x49, 0xfb, ...new Uint8Array(1020)]));
    build("-drive file=FOLDER/qcow,format=raw").finish();
  });

  it("a run that cannot start leaves no capture behind", () => {
    const line =
      "-netdev user,id=n -device virtio-net-device,netdev=n -object filter-dump,id=f,netdev=n,file=FOLDER/cap -virtfs local,path=FOLDER/none,mount_tag=t";
    expect(() => build(line)).toThrow("expected a folder");
    expect(existsSync(join(folder, "cap"))).toBe(false);
  });

  it("the folder itself may be named by a link", () => {
    symlinkSync("share", join(folder, "link"));
    build("-virtfs local,path=FOLDER/link,mount_tag=t").finish();
  });
});
