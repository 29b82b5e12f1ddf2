/** The virtio devices of VMs, with the files, folders and networks of the host behind them: by the rules of -drive, -netdev, -fsdev and -device. */
import { resolve } from "node:path";
import { InputError } from "../formats/index.ts";
import type { HypervisorConfiguration } from "../hypervisor/config.ts";
import type { MakeVirtio, VirtioConfiguration } from "../hypervisor/virtio.ts";
import type { SerialPort } from "./machine.ts";
import type { HostNetworks } from "./net/networks.ts";
import { Builder } from "./options/builder.ts";
import { applyDisk } from "./options/disk-options.ts";
import { applyNetdev } from "./options/network-options.ts";
import type { VirtioOption } from "./options/run-options.ts";
import { KeyValues } from "./options/values.ts";
import { applyFolder, applyVirtioDevice } from "./options/virtio-options.ts";
import { HostVirtio } from "./virtio.ts";

export class VmVirtio {
  readonly #devices: HostVirtio;
  readonly #order: readonly { readonly vm: number; readonly part: string; readonly kind: VirtioOption["kind"] }[];

  /** Opens what the file names, relative to `folder`. Throws InputError where something does not fit. */
  constructor(config: HypervisorConfiguration, folder: string, networks: HostNetworks) {
    const builder = new Builder("armature");
    const order: { readonly vm: number; readonly part: string }[] = [];
    config.vms.forEach((vm, n) => {
      for (const [part, device] of Object.entries(vm.devices ?? {})) {
        if (!/^virtio\d+$/.test(part) || typeof device === "string" || device.mode !== "trap") continue;
        request(builder, `${vm.name}: ${part}`, `vm${n}.${part}`, folder, device);
        order.push({ vm: n, part });
      }
    });
    const options = builder.virtio.devices.map(({ make }) => make());
    this.#order = options.flatMap(({ kind }, i) => order.slice(i, i + 1).map((at) => ({ ...at, kind })));
    this.#devices = new HostVirtio(options, networks);
  }

  readonly make: MakeVirtio = (vm, part) => {
    const slot = this.#devices.slots[this.#order.findIndex((at) => at.vm === vm && at.part === part)];
    if (slot === undefined) throw new RangeError(`VM ${vm} has no ${part}`);
    return slot.make;
  };

  /** What consoles print is their VM's output. To be called when the machine is made. */
  onOutput(put: (vm: number, byte: number) => void): void {
    this.#consoles().forEach(({ vm, port }) => {
      port.onTransmit = (byte) => put(vm, byte);
    });
  }
  /** The first console of a VM, or null. */
  consoleOf(vm: number): SerialPort | null {
    return this.#consoles().find((c) => c.vm === vm)?.port ?? null;
  }

  #consoles(): { readonly vm: number; readonly port: SerialPort }[] {
    const { consoles } = this.#devices;
    return this.#order
      .filter((at) => at.kind === "console")
      .flatMap(({ vm }, n) => consoles.slice(n, n + 1).map(({ port }) => ({ vm, port })));
  }

  close(): void {
    this.#devices.close();
  }
}

/** Declares a device, and what is behind it under the id of its part. */
function request(b: Builder, where: string, id: string, folder: string, device: VirtioConfiguration): void {
  const [driver = "", ...words] = (device.device ?? "").split(",");
  const odd = words.find((word) => word.startsWith("bus=") || word === "help");
  if (odd !== undefined)
    throw new InputError(`${where}: ${odd}: the part says where it is: expected keys of ${driver}`);
  const { readonly: readOnly } = device;
  const flag = (name: string, value: boolean | undefined): string =>
    value === undefined ? "" : `,${name}=${value ? "on" : "off"}`;
  const path = (name: string): string => resolve(folder, name).replaceAll(",", ",,");
  if (device.file !== undefined) {
    const text = `file=${path(device.file)},id=${id}${flag("readonly", readOnly)}${flag("snapshot", device.snapshot)}`;
    applyDisk(b, new KeyValues(where, text), "none");
    words.push(`drive=${id}`);
  }
  if (device.folder !== undefined) {
    const text = `local,path=${path(device.folder)},id=${id},security_model=none${flag("readonly", readOnly)}`;
    applyFolder(b, text, where);
    words.push(`fsdev=${id}`);
  }
  if (device.net !== undefined) {
    if (device.net === "help") throw new InputError(`${where}: net "help": expected the kind of a network`);
    applyNetdev(b, `${device.net},id=${id}`, where);
    words.push(`netdev=${id}`);
  }
  applyVirtioDevice(b, driver, new KeyValues(where, words.join(",")));
  if (driver === "virtio-serial-device") applyVirtioDevice(b, "virtconsole", new KeyValues(where, `chardev=${id}`));
}
