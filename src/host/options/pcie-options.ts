/** PCIe functions: `-device pcie-root-port,id=...`, `-device X,bus=...,addr=...`. One row a driver; `src/host/pcie.ts` builds them. */
import { InputError } from "../../formats/index.ts";
import { type Builder, TextRequest } from "./builder.ts";
import { optional } from "./chardev-spec.ts";
import { claimNetwork, macOf } from "./network-options.ts";
import type { PcieOption } from "./run-options.ts";
import type { KeyValues } from "./values.ts";
import { checkId } from "./virtio-requests.ts";

/** A device as options describe it, complete when all options are known. */
export interface PcieRequest {
  readonly driver: string;
  readonly where: string;
  readonly make: () => PcieOption;
}

interface Driver {
  readonly title: string;
  /** Whole numbers that the driver takes, with their ranges. */
  readonly numbers?: { readonly [key: string]: readonly [minimum: number, maximum: number] };
  /** Keys of QEMU's that change nothing here. */
  readonly accepted?: readonly string[];
  /** A port: others may sit behind it. */
  readonly port?: boolean;
  /** It has netdev= and mac=. */
  readonly network?: boolean;
}

const SLOT = { slot: [0, 0x1fff], chassis: [0, 255], port: [0, 255] } as const;
const PORT_KEYS = ["hotplug", "power_controller_present", "io-reserve", "mem-reserve", "pref64-reserve", "bus-reserve"];

export const PCIE_DRIVERS: { readonly [name: string]: Driver } = {
  "pcie-root-port": {
    title: "root port: [chassis=N][,slot=N][,port=N]",
    numbers: SLOT,
    accepted: PORT_KEYS,
    port: true,
  },
  "x3130-upstream": { title: "upstream port of a switch", port: true },
  "xio3130-downstream": {
    title: "downstream port of a switch: [chassis=N][,slot=N]",
    numbers: SLOT,
    accepted: PORT_KEYS,
    port: true,
  },
  igb: { title: "Intel 82576 with SR-IOV: [netdev=ID][,mac=MAC]", network: true },
  "toe-pci": {
    title: "TCP/IP offload engine: [netdev=ID][,mac=MAC][,interfaces=1..64]",
    numbers: { interfaces: [1, 64] },
    network: true,
  },
  "pcie-test": { title: "function to try PCIe with (docs/pcie.md): [vfs=N]", numbers: { vfs: [0, 64] } },
};

export const PCIE_DEVICES = `${Object.entries(PCIE_DRIVERS)
  .map(([name, d]) => `${name.padEnd(22)} ${d.title}`)
  .join("\n")}
          all of them: [id=ID][,bus=pcie.0 or a port's ID][,addr=DEVICE[.FUNCTION]][,multifunction=on]
`;

/** `addr=5.1`, numbers hexadecimal as in QEMU. */
function addressOf(list: KeyValues): { device?: number; functionNumber?: number } {
  const text = list.text("addr");
  if (text === undefined) return {};
  const m = /^(?:0x)?([0-9a-f]{1,2})(?:\.(?:0x)?([0-7]))?$/i.exec(text);
  const device = m === null ? Number.NaN : Number.parseInt(m[1] as string, 16);
  if (m === null || device > 31) {
    throw new InputError(`${list.where}: addr=${text}: expected DEVICE.FUNCTION, hexadecimal, from 0 to 1f.7`);
  }
  return { device, functionNumber: m[2] === undefined ? 0 : Number(m[2]) };
}

/** `-device` of a PCIe function; false where the driver is none of these. */
export function applyPcieDevice(b: Builder, driver: string, list: KeyValues): boolean {
  if (!Object.hasOwn(PCIE_DRIVERS, driver)) return false;
  const d = PCIE_DRIVERS[driver] as Driver;
  if (list.keys.includes("help")) throw new TextRequest(PCIE_DEVICES);
  const { where } = list;
  const id = list.text("id");
  if (id !== undefined) {
    checkId(where, id);
    if (b.virtio.ids.has(`device ${id}`)) throw new InputError(`${where}: there are two devices with id=${id}`);
    b.virtio.ids.add(`device ${id}`);
  }
  const bus = list.text("bus");
  const address = addressOf(list);
  const multifunction = list.flag("multifunction") ?? false;
  for (const taken of ["romfile", "rombar", "bootindex", ...(d.accepted ?? [])]) list.text(taken);
  const numbers: Record<string, number> = {};
  for (const [key, [minimum, maximum]] of Object.entries(d.numbers ?? {})) {
    const value = list.integer(key, minimum, maximum);
    if (value !== undefined) numbers[key] = value;
  }
  const netdev = d.network ? list.text("netdev") : undefined;
  const mac = d.network ? macOf(list) : undefined;
  list.finish();
  const count = b.pcie.filter((r) => r.driver === driver).length;
  const name = moduleName(id ?? `${driver}${count}`);
  b.pcie.push({
    driver,
    where,
    make: () => ({
      driver,
      where,
      name,
      ...optional("bus", bus === undefined || bus === "pcie.0" ? undefined : moduleName(bus)),
      ...address,
      multifunction,
      numbers,
      ...optional("mac", d.network ? (mac ?? b.virtio.nextMac()) : undefined),
      network: netdev === undefined ? null : claimNetwork(b, where, netdev),
    }),
  });
  return true;
}

/** Module names have no dots. */
function moduleName(id: string): string {
  return `pci_${id.replaceAll(".", "_")}`;
}
