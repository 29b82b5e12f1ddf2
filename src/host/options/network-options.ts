/** Networks and their captures: `-netdev`, `-nic`, `-object filter-dump`; entropy sources are objects too. */
import { InputError } from "../../formats/index.ts";
import { parseIpv4, parseMac } from "../../net/index.ts";
import type { Builder } from "./builder.ts";
import type { NetworkOption } from "./run-options.ts";
import { KeyValues } from "./values.ts";
import { checkId, NO_COMMON, NO_NETWORK_FLAGS } from "./virtio-requests.ts";

export function applyNetdev(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "type");
  const id = list.required("id", "a name for -device virtio-net-device,netdev=ID");
  checkId(where, id);
  if (b.virtio.networks.has(id)) throw new InputError(`${where}: there are two networks with id=${id}`);
  b.virtio.networks.set(id, userNetwork(list));
  list.finish();
}

const NETWORKS: { readonly [type: string]: string } = {
  tap: "TAP needs native code",
  bridge: "bridges need native code",
  socket: "links between machines are not built",
  stream: "links between machines are not built",
  dgram: "links between machines are not built",
  hubport: "hubs are not built",
  l2tpv3: "tunnels are not built",
  vde: "there is no VDE",
  "vhost-user": "there is no vhost",
  "vhost-vdpa": "there is no vhost",
  passt: "there is no passt",
};

function userNetwork(list: KeyValues): NetworkOption {
  const { where } = list;
  const type = list.required("type", "user");
  if (type !== "user") {
    throw new InputError(
      `${where}: not supported by Armature: ${NETWORKS[type] ?? `network "${type}"`}; expected user`,
    );
  }
  for (const key of ["hostfwd", "guestfwd", "smb", "tftp", "bootfile", "tftp-server-name"]) {
    if (list.text(key) !== undefined) {
      throw new InputError(
        `${where}: ${key}=: not supported by Armature: the user network reaches no farther than its own host`,
      );
    }
  }
  if (list.flag("ipv6") === true) throw new InputError(`${where}: ipv6=on: not supported by Armature: expected off`);
  if (list.flag("ipv4") === false) throw new InputError(`${where}: ipv4=off: not supported by Armature: expected on`);
  list.flag("restrict");
  const [network, mask] = subnet(where, list.text("net") ?? "10.0.2.0/24");
  const address = (key: string, host: number): number => {
    const given = list.text(key);
    const value = given === undefined ? network + host : parseIpv4(given);
    if (value === null || ((value ^ network) & mask) !== 0 || value === network || value === (network | ~mask) >>> 0) {
      throw new InputError(`${where}: ${key}=${given ?? ""}: expected an IPv4 address of the network`);
    }
    return value;
  };
  const option = { network, mask, host: address("host", 2), dns: address("dns", 3), guest: address("dhcpstart", 15) };
  if (new Set([option.host, option.dns, option.guest]).size < 3) {
    throw new InputError(`${where}: host, dns and dhcpstart: expected three addresses`);
  }
  return option;
}

/** "10.0.2.0/24", "10.0.2.0/255.255.255.0" or "10.0.2.0". */
function subnet(where: string, text: string): [network: number, mask: number] {
  const [base = "", width = "24"] = text.split("/");
  const address = parseIpv4(base);
  const bits = /^\d+$/.test(width) ? Number(width) : null;
  const mask = bits === null ? parseIpv4(width) : bits >= 8 && bits <= 27 ? (-1 << (32 - bits)) >>> 0 : null;
  const contiguous =
    mask !== null && ((~mask + 1) & ~mask) === 0 && mask >>> 0 <= 0xffff_ffe0 && mask >>> 0 >= 0xff00_0000;
  if (address === null || mask === null || !contiguous) {
    throw new InputError(`${where}: net=${text}: expected an IPv4 network of 8 to 27 bits, such as 10.0.2.0/24`);
  }
  return [(address & mask) >>> 0, mask >>> 0];
}

/** `-nic user[,model=virtio-net-device][,mac=...]` or `-nic none`. */
export function applyNic(b: Builder, text: string, where: string): void {
  if (text === "none") return;
  const list = new KeyValues(where, text, "type");
  const model = list.text("model") ?? "virtio-net-device";
  if (!["virtio", "virtio-net-device"].includes(model)) {
    throw new InputError(`${where}: not supported by Armature: model=${model}: expected virtio-net-device`);
  }
  const mac = macOf(list);
  const id = list.text("id") ?? `nic${b.virtio.automatic++}`;
  checkId(where, id);
  if (b.virtio.networks.has(id)) throw new InputError(`${where}: there are two networks with id=${id}`);
  b.virtio.networks.set(id, userNetwork(list));
  list.finish();
  b.virtio.implied.push({
    where,
    make: () => ({
      kind: "network",
      where,
      network: claimNetwork(b, where, id),
      mac: mac ?? b.virtio.nextMac(),
      ...NO_COMMON,
      ...NO_NETWORK_FLAGS,
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
