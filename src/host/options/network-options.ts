/** Networks and their captures: `-netdev`, `-nic`, `-object filter-dump`; entropy sources are objects too. */
import { PAIRS_MAX } from "../../devices/virtio/index.ts";
import { InputError } from "../../formats/index.ts";
import { parseMac } from "../../net/index.ts";
import { type Builder, TextRequest } from "./builder.ts";
import { optional } from "./chardev-spec.ts";
import { FAR_ENDS, farEndOf, linkOf } from "./far-end-options.ts";
import { applyPcieDevice } from "./pcie-options.ts";
import type { NetworkOption, SwitchedNetwork } from "./run-options.ts";
import { KeyValues } from "./values.ts";
import { checkId, NO_COMMON } from "./virtio-requests.ts";

export function applyNetdev(b: Builder, text: string, where: string): void {
  if (text === "help") throw new TextRequest(`Available netdev backend types:\n${FAR_ENDS.join("\n")}\n`);
  const list = new KeyValues(where, text, "type");
  addNetwork(b, list.required("id", "a name for -device virtio-net-device,netdev=ID"), list);
}

function addNetwork(b: Builder, id: string, list: KeyValues): void {
  const { where } = list;
  checkId(where, id);
  if (b.virtio.networks.has(id)) throw new InputError(`${where}: there are two networks with id=${id}`);
  const far = farEndOf(list);
  const queues = list.integer("queues", 1, PAIRS_MAX);
  b.virtio.networks.set(id, { where, id, far, link: linkOf(list), ...optional("queues", queues) });
  list.finish();
}

/** Models of `-nic`, and the device that each is. */
const MODELS: { readonly [model: string]: string } = {
  virtio: "virtio-net-device",
  "virtio-net-device": "virtio-net-device",
  igb: "igb",
};

/** `-nic KIND[,model=...][,mac=...][,KEYS OF THE NETWORK]` or `-nic none`. */
export function applyNic(b: Builder, text: string, where: string): void {
  if (text === "none") return;
  const list = new KeyValues(where, text, "type");
  const asked = list.text("model") ?? "virtio-net-device";
  const model = Object.hasOwn(MODELS, asked) ? MODELS[asked] : undefined;
  if (model === undefined) {
    throw new InputError(`${where}: not supported by Armature: model=${asked}: expected virtio-net-device or igb`);
  }
  const mac = macOf(list);
  const id = list.text("id") ?? `nic${b.virtio.automatic++}`;
  addNetwork(b, id, list);
  if (model === "igb") {
    // As -device igb,netdev=ID,mac=ADDRESS.
    const address = mac === undefined ? "" : `,mac=${[...mac].map((n) => n.toString(16).padStart(2, "0")).join(":")}`;
    applyPcieDevice(b, model, new KeyValues(where, `netdev=${id}${address}`));
    return;
  }
  b.virtio.implied.push({
    where,
    make: () => ({
      kind: "network",
      where,
      network: claimNetwork(b, where, id),
      mac: mac ?? b.virtio.nextMac(),
      ...NO_COMMON,
      card: {},
    }),
  });
}

export function macOf(list: KeyValues): Uint8Array | undefined {
  const text = list.text("mac");
  const mac = text === undefined ? undefined : parseMac(text);
  if (mac === null || (mac !== undefined && ((mac[0] as number) & 1) !== 0)) {
    throw new InputError(`${list.where}: mac=${text}: expected a unicast address such as 52:54:00:12:34:56`);
  }
  return mac;
}

/** The network for the one device that may have it, with its captures. */
export function claimNetwork(b: Builder, where: string, id: string): NetworkOption {
  const network = b.virtio.networks.get(id);
  if (network === undefined) throw new InputError(`${where}: there is no -netdev with id=${id}`);
  if (network.far.kind === "hubport" && network.far.via !== undefined) {
    throw new InputError(
      `${where}: network "${id}" joins "${network.far.via}" to a switch: expected one without netdev=`,
    );
  }
  const user = b.virtio.usedNetworks.get(id);
  if (user !== undefined)
    throw new InputError(`${where}: network "${id}" is already used by ${user}: expected one device a network`);
  b.virtio.usedNetworks.set(id, where);
  const captures = b.virtio.captures.filter((c) => c.network === id);
  return {
    ...network,
    captures: captures.map(({ where: from, path, longest, id: name }) => ({ where: from, path, longest, name })),
  };
}

/** `-netdev hubport,...,netdev=ID`: the networks that stand on switches, in the order of the options. */
export function switchedNetworks(b: Builder): SwitchedNetwork[] {
  const found: SwitchedNetwork[] = [];
  for (const { where, far } of b.virtio.networks.values()) {
    if (far.kind !== "hubport" || far.via === undefined) continue;
    const network = claimNetwork(b, where, far.via);
    if (network.far.kind === "hubport") {
      throw new InputError(`${where}: netdev=${far.via}: a switch cannot stand on a switch`);
    }
    found.push({ hub: far.hub, network });
  }
  return found;
}

/** `-object filter-dump,...` and the entropy sources. */
export function applyObject(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "qom-type");
  const type = list.required("qom-type", "filter-dump or rng-builtin");
  const id = list.required("id", "a name");
  checkId(where, id);
  if (b.virtio.ids.has(`object ${id}`)) throw new InputError(`${where}: there are two objects with id=${id}`);
  b.virtio.ids.add(`object ${id}`);
  if (type === "rng-random" || type === "rng-builtin") {
    // Entropy comes from the seed, whatever the source: runs repeat.
    list.text("filename");
    list.finish();
    b.virtio.entropySources.add(id);
    return;
  }
  if (type !== "filter-dump") {
    throw new InputError(
      `${where}: not supported by Armature: object "${type}": expected filter-dump, rng-builtin or rng-random`,
    );
  }
  const network = list.required("netdev", "the id of a -netdev");
  const path = list.required("file", "the capture's path");
  const longest = list.integer("maxlen", 1, 0x1_0000) ?? 0x1_0000;
  list.text("queue");
  list.finish();
  b.virtio.captures.push({ where, id, network, path, longest });
}
