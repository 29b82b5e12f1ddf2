/** The virtio devices that options ask for, with the files and folders of the host behind them. */
import { closeSync, openSync, writeSync } from "node:fs";
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
import { connectUser, type Link, pcapngHeader, pcapngPacket } from "../net/index.ts";
import { FileStore } from "./files/block-store.ts";
import { Folder } from "./files/folder.ts";
import { systemReason } from "./files.ts";
import type { HostConsole, SerialPort } from "./machine.ts";
import type { DiskImage, NetworkOption, VirtioOption } from "./options/run-options.ts";

type Options<K extends VirtioOption["kind"]> = Extract<VirtioOption, { kind: K }>;

/** Bytes of a capture that are gathered before they are written. */
const GATHER = 1 << 16;

/** Opens what the options name, for reading; throws InputError where that fails. */
export class HostVirtio {
  readonly slots: readonly VirtioSlot[];
  readonly consoles: HostConsole[] = [];
  readonly #stores: { readonly store: FileStore; readonly shared: boolean }[] = [];
  readonly #captures: Capture[] = [];
  #networks = 0;

  constructor(options: readonly VirtioOption[]) {
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

  /** Opens the files that are written, once the machine is built. */
  open(): void {
    for (const capture of this.#captures) capture.open();
  }

  /** Writes what captures have gathered. */
  flush(): void {
    for (const capture of this.#captures) capture.flush();
  }

  close(): void {
    for (const { store } of this.#stores) store.close();
    this.#stores.length = 0;
    for (const capture of this.#captures) capture.close();
    this.#captures.length = 0;
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
    const serial = option.serial === undefined ? {} : { serial: option.serial };
    return (simulation, name, port) => new VirtioBlock(simulation, name, { port, store, ...serial, ...ring(option) });
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
    const { network } = option;
    // As QEMU counts them.
    const mac = option.mac ?? Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56 + this.#networks++);
    const captures = (network?.captures ?? []).map((c) => new Capture(option.where, c));
    this.#captures.push(...captures);
    const { mergeable, linkStatus } = option;
    return (simulation, name, port) => {
      const device = new VirtioNetwork(simulation, name, { port, mac, mergeable, linkStatus, ...ring(option) });
      if (network !== null) capture(connectUser(simulation, name, device, hostOf(network)).link, captures);
      return device;
    };
  }

  #console(option: Options<"console">): VirtioSlot["make"] {
    const { maxPorts, ports } = option;
    return (simulation, name, port): VirtioDevice => {
      const device = new VirtioConsole(simulation, name, { port, maxPorts, ports, ...ring(option) });
      for (const p of ports) {
        const found = device.ports.find((candidate) => candidate.number === p.number) as ConsolePort;
        this.consoles.push({ label: `${name}.${p.number}`, spec: p.device, port: serialPort(found) });
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

function hostOf({ network, mask, host, dns, guest }: NetworkOption) {
  return { network, mask, host, dns, guest };
}

function serialPort(port: ConsolePort): SerialPort {
  return {
    get onTransmit() {
      return port.onTransmit;
    },
    set onTransmit(listener) {
      port.onTransmit = listener;
    },
    get receiveSpace() {
      return port.receiveSpace;
    },
    receive: (byte) => void port.receive(byte),
    // virtio has no break.
    sendBreak: () => undefined,
  };
}

function capture(link: Link, captures: readonly Capture[]): void {
  for (const c of captures) link.tap((frame, end, time) => c.add(pcapngPacket(frame, time, end === 1, c.longest)));
}

/** A pcapng file; what cannot be written is said once, and the run goes on. */
class Capture {
  readonly longest: number;
  readonly #where: string;
  readonly #path: string;
  #file: number | null = null;
  #parts: Uint8Array[] = [];
  #gathered = 0;
  #broken = false;

  constructor(where: string, options: { readonly name: string; readonly path: string; readonly longest: number }) {
    this.longest = options.longest;
    this.#where = where;
    this.#path = options.path;
    this.add(pcapngHeader(options.name, options.longest));
  }

  open(): void {
    try {
      this.#file = openSync(this.#path, "w");
    } catch (error) {
      throw new InputError(`${this.#where}: ${this.#path}: cannot be written: ${systemReason(error)}`);
    }
    this.flush();
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#gathered += bytes.length;
    if (this.#gathered >= GATHER) this.flush();
  }

  flush(): void {
    if (this.#gathered === 0 || this.#file === null) return;
    const data = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#gathered = 0;
    if (this.#broken) return;
    try {
      for (let done = 0; done < data.length; ) done += writeSync(this.#file, data, done);
    } catch (error) {
      this.#broken = true;
      process.stderr.write(`${this.#path}: cannot be written: ${systemReason(error)}; the capture ends here\n`);
    }
  }

  close(): void {
    this.flush();
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}
