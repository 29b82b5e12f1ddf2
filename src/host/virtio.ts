/** The virtio devices that options ask for, with the files and folders of the host behind them. */
import type { VirtioSlot } from "../../platform/virt/machine.ts";
import {
  type BlockStore,
  type ConsolePort,
  OverlayStore,
  VirtioBlock,
  VirtioConsole,
  type VirtioDevice,
  VirtioEntropy,
  VirtioNetwork,
  VirtioP9,
} from "../devices/virtio/index.ts";
import { InputError } from "../formats/index.ts";
import { FileStore } from "./files/block-store.ts";
import { Folder } from "./files/folder.ts";
import { type HostConsole, serialPort } from "./machine.ts";
import type { HostNetworks } from "./net/networks.ts";
import { optional } from "./options/chardev-spec.ts";
import type { DiskImage, VirtioOption } from "./options/run-options.ts";

type Options<K extends VirtioOption["kind"]> = Extract<VirtioOption, { kind: K }>;

/** Opens what the options name, for reading; throws InputError where that fails. */
export class HostVirtio {
  readonly slots: readonly VirtioSlot[];
  readonly consoles: HostConsole[] = [];
  readonly #stores: { readonly store: FileStore; readonly shared: boolean }[] = [];
  readonly #networks: HostNetworks;

  constructor(options: readonly VirtioOption[], networks: HostNetworks) {
    this.#networks = networks;
    const counts = new Map<string, number>();
    const slots: VirtioSlot[] = [];
    try {
      for (const option of options) {
        const count = counts.get(option.kind) ?? 0;
        counts.set(option.kind, count + 1);
        const name = `${NAMES[option.kind]}${count}`;
        const make = this.#maker(option);
        slots.push({ name, make, ...(option.slot === undefined ? {} : { slot: option.slot }) });
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.slots = slots;
  }

  close(): void {
    for (const { store } of this.#stores) store.close();
    this.#stores.length = 0;
  }

  #maker(option: VirtioOption): VirtioSlot["make"] {
    switch (option.kind) {
      case "block":
        return this.#block(option);
      case "network":
        return this.#network(option);
      case "console":
        return this.#console(option);
      case "entropy":
        return (simulation, name, port) => new VirtioEntropy(simulation, name, { port, ...ring(option) });
      case "9p":
        return this.#folder(option);
    }
  }

  #block(option: Options<"block">): VirtioSlot["make"] {
    const store = this.#store(option.where, option.image);
    const { serial, writeCache, cacheControl } = option;
    const disk = {
      ...optional("serial", serial),
      ...optional("writeCache", writeCache),
      ...optional("cacheControl", cacheControl),
    };
    return (simulation, name, port) => new VirtioBlock(simulation, name, { port, store, ...disk, ...ring(option) });
  }

  #store(where: string, image: DiskImage): BlockStore {
    const file = new FileStore(where, image.path, { readOnly: image.readOnly || image.snapshot, probe: image.probe });
    const shared = file.readOnly;
    const same = this.#stores.filter((s) => s.store.identity === file.identity);
    this.#stores.push({ store: file, shared });
    if (same.some((s) => !(s.shared && shared))) {
      throw new InputError(
        `${where}: ${image.path}: another drive has this file: expected readonly=on or snapshot=on for both`,
      );
    }
    return image.snapshot && !image.readOnly ? new OverlayStore(file) : file;
  }

  #network(option: Options<"network">): VirtioSlot["make"] {
    const { network, mac } = option;
    const card =
      network !== null && BATCHED.includes(network.far.kind) ? { coalescingTime: 0, ...option.card } : option.card;
    return (simulation, name, port) => {
      const device = new VirtioNetwork(simulation, name, { port, mac, ...card, ...ring(option) });
      if (network !== null) this.#networks.connect(simulation, name, device, network);
      return device;
    };
  }

  #console(option: Options<"console">): VirtioSlot["make"] {
    const { maxPorts, ports } = option;
    return (simulation, name, port): VirtioDevice => {
      const device = new VirtioConsole(simulation, name, { port, maxPorts, ports, ...ring(option) });
      for (const p of ports) {
        const found = device.ports.find((candidate) => candidate.number === p.number) as ConsolePort;
        this.consoles.push({ label: `${name}.${p.number}`, spec: p.device, port: serialPort(found, noBreak) });
      }
      return device;
    };
  }

  #folder(option: Options<"9p">): VirtioSlot["make"] {
    const { path, readOnly } = option.folder;
    const tree = new Folder(option.where, path, readOnly);
    return (simulation, name, port) => new VirtioP9(simulation, name, { port, tree, tag: option.tag, ...ring(option) });
  }
}

/**
 * Kinds of networks whose frames come in batches: what can be put together arrives at one instant. To hold the last segment would only keep an idle guest,
 * which is paced by the host's clock, from it.
 */
const BATCHED: readonly string[] = ["tap", "stream", "dgram"];

const NAMES: { readonly [K in VirtioOption["kind"]]: string } = {
  block: "block",
  network: "net",
  console: "console",
  entropy: "rng",
  "9p": "ninep",
};

function ring(option: VirtioOption): { eventIndex: boolean; indirect: boolean } {
  return { eventIndex: option.eventIndex, indirect: option.indirect };
}

/** virtio has no break. */
function noBreak(): void {}
