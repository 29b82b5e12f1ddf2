/** Virtio devices and the folders that 9P shares: `-device virtio-*-device`, `-fsdev`, `-virtfs`. */
import { InputError } from "../../formats/index.ts";
import { type Builder, TextRequest } from "./builder.ts";
import { optional } from "./chardev-spec.ts";
import { claimDrive } from "./disk-options.ts";
import { CARD_KEYS, cardOf } from "./network-card-options.ts";
import { claimNetwork, macOf } from "./network-options.ts";
import type { SharedFolder } from "./run-options.ts";
import { KeyValues, parseInteger } from "./values.ts";
import { checkId, NO_COMMON, type SerialBus } from "./virtio-requests.ts";

/** Largest number of ports: QEMU's VIRTIO_SERIAL_MAX_PORTS. */
const MAX_PORTS = 31;

export const VIRTIO_DEVICES = `virtio-blk-device      disk: drive=ID[,serial=TEXT][,write-cache=off][,config-wce=off]
virtio-net-device      network card: netdev=ID[,mac=ADDRESS], on or off: ${CARD_KEYS}
                       [,host_mtu=N][,speed=N][,duplex=full][,rx_queue_size=N][,tx_queue_size=N][,rsc_interval=NS]
virtio-serial-device   console and ports: [id=ID][,max_ports=N], with
    virtconsole        ,chardev=ID[,name=NAME][,nr=N][,bus=ID.0]
    virtserialport     ,chardev=ID[,name=NAME][,nr=N][,bus=ID.0]
virtio-rng-device      entropy, from -seed
virtio-9p-device       shared folder: fsdev=ID,mount_tag=TAG
          all of them: [id=ID][,bus=virtio-mmio-bus.N][,event_idx=off][,indirect_desc=off]
`;

// Folders

function folderOf(list: KeyValues): SharedFolder {
  const { where } = list;
  const driver = list.required("fsdriver", "local");
  if (driver !== "local") throw new InputError(`${where}: not supported by Armature: "${driver}": expected local`);
  const path = list.required("path", "a folder of the host");
  const model = list.text("security_model") ?? "none";
  if (model !== "none") {
    throw new InputError(
      `${where}: security_model=${model}: not supported by Armature: expected none (owners are not changed)`,
    );
  }
  list.text("multidevs");
  return { path, readOnly: list.flag("readonly") ?? true };
}

export function applyFolder(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "fsdriver");
  const id = list.required("id", "a name for -device virtio-9p-device,fsdev=ID");
  checkId(where, id);
  if (b.virtio.folders.has(id)) throw new InputError(`${where}: there are two shared folders with id=${id}`);
  b.virtio.folders.set(id, folderOf(list));
  list.finish("path, id, security_model, readonly");
}

export function applyShare(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "fsdriver");
  const folder = folderOf(list);
  const tag = tagOf(list);
  list.text("id");
  list.finish("path, mount_tag, security_model, readonly");
  b.virtio.devices.push({ where, make: () => ({ kind: "9p", where, folder, tag, ...NO_COMMON }) });
}

function tagOf(list: KeyValues): string {
  const tag = list.required("mount_tag", "the name that the guest mounts");
  // As QEMU's MAX_TAG_LEN.
  if (new TextEncoder().encode(tag).length > 32)
    throw new InputError(`${list.where}: mount_tag=${tag}: expected at most 32 bytes`);
  return tag;
}

// Devices

/** What every virtio device takes. */
function commonOf(b: Builder, list: KeyValues): { eventIndex: boolean; indirect: boolean; slot?: number } {
  const { where } = list;
  const id = list.text("id");
  if (id !== undefined) {
    checkId(where, id);
    if (b.virtio.ids.has(`device ${id}`)) throw new InputError(`${where}: there are two devices with id=${id}`);
    b.virtio.ids.add(`device ${id}`);
  }
  const bus = list.text("bus");
  const m = bus === undefined ? null : /^virtio-mmio-bus\.(\d+)$/.exec(bus);
  if (bus !== undefined && m === null)
    throw new InputError(`${where}: bus=${bus}: expected virtio-mmio-bus.0 to virtio-mmio-bus.31`);
  const slot = m === null ? undefined : parseInteger(`${where}: bus`, m?.[1] ?? "", 0, 31);
  return {
    eventIndex: list.flag("event_idx") ?? true,
    indirect: list.flag("indirect_desc") ?? true,
    ...optional("slot", slot),
  };
}

const WRITE_CACHE = ["on", "off", "auto"] as const;

type Parser = (b: Builder, list: KeyValues) => void;

const PARSERS: { readonly [driver: string]: Parser } = {
  "virtio-blk-device": blockDevice,
  "virtio-net-device": networkDevice,
  "virtio-serial-device": serialDevice,
  virtconsole: (b, list) => serialPort(b, list, true),
  virtserialport: (b, list) => serialPort(b, list, false),
  "virtio-rng-device": entropyDevice,
  "virtio-9p-device": folderDevice,
};

/** `-device virtio-...`; false where the driver is none of these. */
export function applyVirtioDevice(b: Builder, driver: string, list: KeyValues): boolean {
  if (list.keys.includes("help")) throw new TextRequest(VIRTIO_DEVICES);
  const parser = PARSERS[driver];
  if (parser !== undefined) {
    parser(b, list);
    return true;
  }
  const bare = driver.replace(/-pci(-(non-)?transitional)?$/, "").replace(/^(virtio-[a-z0-9]+)$/, "$1-device");
  if (bare !== driver && PARSERS[bare] !== undefined) {
    throw new InputError(
      `${list.where}: not supported by Armature: virtio devices sit on the virtio-mmio bus; expected ${bare}`,
    );
  }
  return false;
}

function blockDevice(b: Builder, list: KeyValues): void {
  const { where } = list;
  const drive = list.required("drive", "the id of a -drive, or the node-name of a -blockdev");
  const serial = list.text("serial");
  if (serial !== undefined && new TextEncoder().encode(serial).length > 20) {
    throw new InputError(`${where}: serial=${serial}: expected at most 20 bytes`);
  }
  for (const key of ["logical_block_size", "physical_block_size"]) {
    const size = list.integer(key, 512, 32_768);
    if (size !== undefined && size !== 512)
      throw new InputError(`${where}: ${key}=${size}: not supported by Armature: expected 512`);
  }
  const queues = list.integer("num-queues", 1, 65_535) ?? 1;
  if (queues !== 1) throw new InputError(`${where}: num-queues=${queues}: not supported by Armature: expected 1`);
  for (const taken of ["bootindex", "share-rw", "werror", "rerror"]) list.text(taken);
  const cache = list.choice("write-cache", WRITE_CACHE) ?? "auto";
  const cacheControl = list.flag("config-wce");
  const common = commonOf(b, list);
  list.finish();
  b.virtio.devices.push({
    where,
    make: () => ({
      kind: "block",
      where,
      image: claimDrive(b, where, drive),
      ...optional("serial", serial),
      ...optional("writeCache", cache === "auto" ? undefined : cache === "on"),
      ...optional("cacheControl", cacheControl),
      ...common,
    }),
  });
}

function networkDevice(b: Builder, list: KeyValues): void {
  const { where } = list;
  const id = list.text("netdev");
  const mac = macOf(list);
  const { card, mq } = cardOf(list);
  list.text("bootindex");
  const common = commonOf(b, list);
  list.finish(`netdev, mac, id, bus, event_idx, indirect_desc, ${CARD_KEYS}`);
  b.virtio.devices.push({
    where,
    make: () => {
      const network = id === undefined ? null : claimNetwork(b, where, id);
      const pairs = mq ? (network?.queues ?? 1) : 1;
      return { kind: "network", where, network, mac: mac ?? b.virtio.nextMac(), card: { ...card, pairs }, ...common };
    },
  });
}

function serialDevice(b: Builder, list: KeyValues): void {
  const { where } = list;
  const id = list.text("id");
  const maxPorts = list.integer("max_ports", 1, MAX_PORTS) ?? MAX_PORTS;
  const common = commonOf(b, list);
  list.finish();
  const bus: SerialBus = { where, id, maxPorts, ports: [] };
  b.virtio.serialBuses.push(bus);
  b.virtio.devices.push({ where, make: () => ({ kind: "console", where, maxPorts, ports: bus.ports, ...common }) });
}

function serialPort(b: Builder, list: KeyValues, console: boolean): void {
  const { where } = list;
  const chardev = list.required("chardev", "the id of a -chardev");
  const name = list.text("name");
  const number = list.integer("nr", 0, MAX_PORTS - 1);
  const at = list.text("bus");
  list.text("id");
  list.finish("chardev, name, nr, bus, id");
  const bus = at === undefined ? b.virtio.serialBuses.at(-1) : b.virtio.serialBuses.find((s) => `${s.id}.0` === at);
  if (bus === undefined) {
    throw new InputError(`${where}: ${at === undefined ? "" : `bus=${at}: `}expected a virtio-serial-device before it`);
  }
  // As in QEMU, port 0 is for a console: software of before multiport knows only that one.
  const free = Array.from({ length: bus.maxPorts }, (_, n) => n).find(
    (n) => (console || n > 0) && !bus.ports.some((p) => p.number === n),
  );
  const chosen = number ?? free;
  if (chosen === undefined || chosen >= bus.maxPorts) {
    throw new InputError(`${where}: the virtio-serial-device has ${bus.maxPorts} ports: expected a larger max_ports=`);
  }
  if (chosen === 0 && !console)
    throw new InputError(`${where}: nr=0 is for a virtconsole: expected 1 to ${bus.maxPorts - 1}`);
  if (bus.ports.some((p) => p.number === chosen)) throw new InputError(`${where}: nr=${chosen}: the port is taken`);
  bus.ports.push({ number: chosen, console, device: { kind: "chardev", id: chardev }, ...optional("name", name) });
}

function entropyDevice(b: Builder, list: KeyValues): void {
  const { where } = list;
  const source = list.text("rng");
  const common = commonOf(b, list);
  list.finish("rng, id, bus, event_idx, indirect_desc");
  b.virtio.devices.push({
    where,
    make: () => {
      if (source !== undefined && !b.virtio.entropySources.has(source))
        throw new InputError(`${where}: there is no -object with id=${source}`);
      return { kind: "entropy", where, ...common };
    },
  });
}

function folderDevice(b: Builder, list: KeyValues): void {
  const { where } = list;
  const id = list.required("fsdev", "the id of a -fsdev");
  const tag = tagOf(list);
  const common = commonOf(b, list);
  list.finish();
  b.virtio.devices.push({
    where,
    make: () => {
      const folder = b.virtio.folders.get(id);
      if (folder === undefined) throw new InputError(`${where}: there is no -fsdev with id=${id}`);
      return { kind: "9p", where, folder, tag, ...common };
    },
  });
}
