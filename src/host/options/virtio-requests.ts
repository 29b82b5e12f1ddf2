/** What options about disks, networks, folders and virtio devices have declared, until all of them are known. */
import { InputError } from "../../formats/index.ts";
import type { ConsolePort, DiskImage, NetworkOption, SharedFolder, VirtioOption } from "./run-options.ts";

/** What options have declared so far. */
export class VirtioRequests {
  readonly drives = new Map<string, DiskImage>();
  readonly networks = new Map<string, NetworkOption>();
  readonly folders = new Map<string, SharedFolder>();
  readonly entropySources = new Set<string>();
  readonly captures: { where: string; id: string; network: string; path: string; longest: number }[] = [];
  /** In the order of their slots; each is made when all options are known. */
  readonly devices: { readonly where: string; readonly make: () => VirtioOption }[] = [];
  /** Drives of `if=virtio` and networks of `-nic`: after the devices named by `-device`. */
  readonly implied: VirtioRequests["devices"] = [];
  readonly serialBuses: SerialBus[] = [];
  readonly usedDrives = new Map<string, string>();
  readonly usedNetworks = new Map<string, string>();
  readonly ids = new Set<string>();
  automatic = 0;
  #cards = 0;

  /** The address of the next network card that has none given: QEMU's, counted up. */
  nextMac(): Uint8Array {
    return Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56 + this.#cards++);
  }
}

export interface SerialBus {
  readonly where: string;
  readonly id: string | undefined;
  readonly maxPorts: number;
  readonly ports: ConsolePort[];
}

const IDENTIFIER = /^[A-Za-z][\w.-]*$/;

/** Settings of a device that no `-device` describes. */
export const NO_COMMON = { eventIndex: true, indirect: true } as const;

export function checkId(where: string, id: string): void {
  if (!IDENTIFIER.test(id)) throw new InputError(`${where}: id=${id}: expected a letter, then letters, digits, - . _`);
}
