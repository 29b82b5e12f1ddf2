/**
 * virtio-mmio devices of a VM's own (Virtual I/O Device Version 1.2, 4.2): a trapped slot of its board with a device behind it, whose DMA reaches the
 * VM's memory and whose interrupt is the VM's. What is behind the device - files, networks - is made by whoever builds the machine.
 */
import { type BoardPart, virtPart } from "../../platform/virt/board.ts";
import type { Port } from "../bus/index.ts";
import type { VirtioDevice } from "../devices/virtio/index.ts";
import { VirtioMmio } from "../devices/virtio-mmio/index.ts";
import type { Module } from "../sim/index.ts";
import type { DeviceConfiguration, Place, Problem } from "./config.ts";
import type { DeviceModel, RegionMode, RegionOptions, Vm } from "./vm.ts";

/** Makes the device of a VM, by number, behind a slot, by name. */
export type MakeVirtio = (vm: number, part: string) => (parent: Module, name: string, port: Port) => VirtioDevice;

/** What the file says of a slot beyond its mode. */
export interface VirtioConfiguration {
  /** As -device: `virtio-blk-device,serial=one`. */
  readonly device?: string;
  /** Disk: an image, as -drive has it. */
  readonly file?: string;
  readonly readonly?: boolean;
  readonly snapshot?: boolean;
  /** Network card: as -netdev, without id. */
  readonly net?: string;
  /** 9P: a folder of the host. */
  readonly folder?: string;
  /** Version 1 of the register layout. */
  readonly legacy?: boolean;
}

/** By driver: what it has to have, and what it can have. */
const DRIVERS: {
  readonly [driver: string]: { readonly needs?: keyof VirtioConfiguration; readonly takes: readonly string[] };
} = {
  "virtio-blk-device": { needs: "file", takes: ["readonly", "snapshot"] },
  "virtio-net-device": { takes: ["net"] },
  "virtio-serial-device": { takes: [] },
  "virtio-rng-device": { takes: [] },
  "virtio-9p-device": { needs: "folder", takes: ["readonly"] },
};
const OWN: readonly string[] = ["device", "file", "readonly", "snapshot", "net", "folder", "legacy"];

/** What does not fit of a device that is none, or one. */
export function checkVirtio(
  where: string,
  isVirtio: boolean,
  device: DeviceConfiguration,
  at: Place,
  given: Map<string, Place>,
): Problem[] {
  const problems: Problem[] = [];
  const [driver = ""] = (device.device ?? "").split(",");
  const known = isVirtio && Object.hasOwn(DRIVERS, driver) ? DRIVERS[driver] : undefined;
  if (isVirtio && device.mode === "pass") {
    problems.push({ message: `${where}: the machine has no such device to pass`, at });
  }
  if (isVirtio && device.mode === "trap" && known === undefined) {
    const names = Object.keys(DRIVERS).join(", ");
    problems.push({ message: `${where}: device "${driver}": expected one of ${names}`, at });
    return problems;
  }
  const taken = known === undefined ? [] : ["mode", "device", "legacy", known.needs ?? "", ...known.takes];
  const candidates = isVirtio ? Object.keys(device) : Object.keys(device).filter((name) => OWN.includes(name));
  for (const name of candidates) {
    if (name === "mode" || taken.includes(name) || (isVirtio && known === undefined)) continue;
    problems.push({ message: `${where} has no "${name}"`, at: [...at, name] });
  }
  if (known?.needs !== undefined && device[known.needs] === undefined) {
    problems.push({ message: `${where}: ${driver}: expected "${known.needs}"`, at });
  }
  const { file, readonly = false, snapshot = false } = device;
  if (known !== undefined && file !== undefined) {
    const writes = !readonly && !snapshot;
    const writer = given.get(`writer of ${file}`);
    const other = writer ?? (writes ? given.get(`reader of ${file}`) : undefined);
    if (other !== undefined) {
      const message = `${where}: another device has ${file}: expected "readonly" or "snapshot" for both`;
      problems.push({ message, at: [...at, "file"], other });
    }
    given.set(`${writes ? "writer" : "reader"} of ${file}`, [...at, "file"]);
  }
  return problems;
}

/** The region of a slot; `make` is null where there is no device, then or later. */
export function virtioRegion(
  name: string,
  mode: RegionMode,
  legacy: boolean,
  make: ReturnType<MakeVirtio> | null,
): RegionOptions {
  const part = virtPart(name);
  const { base, size } = part;
  return { name, base, size, mode, ...(make === null ? {} : { model: (vm: Vm) => model(vm, part, legacy, make) }) };
}

function model(vm: Vm, part: BoardPart, legacy: boolean, make: ReturnType<MakeVirtio>): DeviceModel {
  const device = make(vm, `${part.name}-device`, vm.dmaPort());
  const slot = new VirtioMmio(vm, part.name, { legacy, device });
  return {
    target: slot.registers,
    lines: part.interrupts.map(({ number }) => ({ line: slot.interrupt, spi: number })),
    halt: () => device.resetDevice(),
  };
}
