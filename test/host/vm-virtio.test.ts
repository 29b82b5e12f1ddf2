/** What is behind the virtio devices of a file of VMs: files and networks of the host, by the rules of the command line. */
import { linkSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Arena, Port, Router } from "../../src/bus/index.ts";
import type { VirtioDevice } from "../../src/devices/virtio/index.ts";
import { HostNetworks } from "../../src/host/net/networks.ts";
import { VmVirtio } from "../../src/host/vm-virtio.ts";
import type { DeviceConfiguration, VmConfiguration } from "../../src/hypervisor/config.ts";
import { Module, Simulation } from "../../src/sim/index.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "armature-vm-virtio-"));
  writeFileSync(join(folder, "disk, one.img"), new Uint8Array(4096));
  linkSync(join(folder, "disk, one.img"), join(folder, "alias"));
  writeFileSync(join(folder, "qcow"), "QFI\xfb".padEnd(4096, "\0"), "latin1");
});
afterAll(() => rmSync(folder, { recursive: true }));

type Devices = Readonly<Record<string, Omit<DeviceConfiguration, "mode">>>;
function open(...vms: readonly Devices[]): { devices: VirtioDevice[]; virtio: VmVirtio } {
  const config = {
    vms: vms.map((devices, n): VmConfiguration => {
      const trapped = Object.entries(devices).map(([part, d]) => [part, { ...d, mode: "trap" as const }]);
      return { name: `vm${n}`, memory: "8M", kernel: "k", devices: Object.fromEntries(trapped) };
    }),
  };
  const virtio = new VmVirtio(config, folder, new HostNetworks());
  const simulation = new Simulation({ seed: 1 });
  const port = new Port(new Router(simulation, "bus"), new Arena());
  const devices = vms.flatMap((list, n) => {
    const parent = new Module(simulation, `vm${n}`);
    return Object.keys(list).map((part) => virtio.make(n, part)(parent, part, port));
  });
  return { devices, virtio };
}
function complaint(...vms: readonly Devices[]): string {
  try {
    open(...vms).virtio.close();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}
const BLOCK = "virtio-blk-device";

describe("virtio devices of VMs on the host", () => {
  it("devices by their drivers (VIRTIO 1.2, 5), files relative to the file of VMs, MAC addresses counted up", () => {
    const { devices, virtio } = open(
      { virtio4: { device: `${BLOCK},serial=x`, file: "disk, one.img" }, virtio0: { device: "virtio-net-device" } },
      {
        virtio0: { device: "virtio-net-device", net: "hubport,hubid=3" },
        virtio1: { device: "virtio-serial-device" },
        virtio2: { device: "virtio-rng-device" },
        virtio3: { device: "virtio-9p-device,mount_tag=t", folder: "." },
      },
    );
    expect(devices.map((d) => d.deviceId)).toEqual([2, 1, 1, 3, 4, 9]);
    // 5.2.4: capacity in sectors
    expect(devices[0]?.configurationByte(0)).toBe(8);
    expect([1, 2].map((n) => devices[n]?.configurationByte(5))).toEqual([0x56, 0x57]);
    virtio.close();
  });

  it("what a console prints is its VM's output, and it takes the VM's input", () => {
    const serial = { device: "virtio-serial-device" };
    const { virtio } = open({ virtio0: { device: "virtio-rng-device" } }, { virtio0: serial });
    const heard: string[] = [];
    virtio.onOutput((vm, byte) => heard.push(`${vm}: ${byte}`));
    virtio.consoleOf(1)?.onTransmit?.(65);
    expect([heard, virtio.consoleOf(0)]).toEqual([["1: 65"], null]);
  });

  it.each([
    [[{ virtio0: { device: BLOCK, file: "none" } }], "/none: cannot be opened: no such file or directory"],
    [[{ virtio0: { device: BLOCK, file: "qcow" } }], "qcow"],
    [
      [{ virtio0: { device: BLOCK, file: "disk, one.img" } }, { virtio0: { device: BLOCK, file: "alias" } }],
      "another drive has this file: expected readonly=on or snapshot=on for both",
    ],
    [
      [
        { virtio0: { device: BLOCK, file: "alias", snapshot: true } },
        { virtio0: { device: BLOCK, file: "alias", readonly: true } },
      ],
      "",
    ],
    [
      [{ virtio1: { device: `${BLOCK},bus=virtio-mmio-bus.3`, file: "alias" } }],
      "vm0: virtio1: bus=virtio-mmio-bus.3: the part says",
    ],
    [[{ virtio1: { device: `${BLOCK},colour=red`, file: "alias" } }], 'vm0: virtio1: unknown parameter "colour"'],
    [[{ virtio1: { device: "virtio-net-device", net: "vde" } }], "not supported by Armature: there is no VDE"],
    [[{ virtio1: { device: "virtio-net-device", net: "help" } }], 'vm0: virtio1: net "help"'],
    [[{ virtio1: { device: "virtio-rng-device,help" } }], "vm0: virtio1: help:"],
    [[{ virtio1: { device: "virtio-9p-device", folder: "." } }], "vm0: virtio1: mount_tag= is missing"],
  ])("%j", (vms, message) => {
    if (message === "") expect(complaint(...vms)).toBe("");
    else expect(complaint(...vms)).toContain(message);
  });
});
