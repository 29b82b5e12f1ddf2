/** The far ends of networks, `-netdev KIND,...`, and the keys of the link before them. */
import { InputError } from "../../formats/index.ts";
import {
  type FrameSizes,
  type Impairments,
  type LinkOptions,
  parseIpv4,
  parseMac,
  type ReplayOptions,
  TRAFFIC_SHORTEST,
  type TrafficOptions,
} from "../../net/index.ts";
import { MS, NS, SEC, type Time, US } from "../../sim/index.ts";
import { optional, type SocketAddress } from "./chardev-spec.ts";
import type { FarEnd } from "./run-options.ts";
import { type KeyValues, parseInteger } from "./values.ts";

const PARSERS: { readonly [type: string]: (list: KeyValues) => FarEnd } = {
  user: userNetwork,
  stream: streamNetwork,
  dgram: datagramNetwork,
  tap: tapNetwork,
  hubport: switchPort,
  generator: trafficGenerator,
  pcap: captureReplay,
};

export const FAR_ENDS: readonly string[] = Object.keys(PARSERS).sort();

const REFUSED: { readonly [type: string]: string } = {
  bridge: "join a TAP device to the bridge with the host's tools",
  socket: "use stream or dgram",
  l2tpv3: "tunnels are not built",
  vde: "there is no VDE",
  "vhost-user": "there is no vhost",
  "vhost-vdpa": "there is no vhost",
  passt: "start passt yourself and use stream",
};

/** Takes the far end's own keys from `list`. */
export function farEndOf(list: KeyValues): FarEnd {
  const type = list.required("type", FAR_ENDS.join(", "));
  const parser = Object.hasOwn(PARSERS, type) ? PARSERS[type] : undefined;
  if (parser === undefined) {
    const reason = Object.hasOwn(REFUSED, type) ? REFUSED[type] : `network "${type}"`;
    throw new InputError(`${list.where}: not supported by Armature: ${reason}; expected ${FAR_ENDS.join(", ")}`);
  }
  return parser(list);
}

// The link

/** Keys of Armature's own that every network takes. */
export function linkOf(list: KeyValues): LinkOptions {
  const { where } = list;
  const rate = list.text("rate");
  const delay = list.text("delay");
  const batch = list.text("batch");
  return {
    ...optional("rate", rate === undefined ? undefined : parseRate(where, rate)),
    ...optional("delay", delay === undefined ? undefined : parseDuration(`${where}: delay`, delay)),
    ...optional("batch", batch === undefined ? undefined : parseDuration(`${where}: batch`, batch)),
    ...optional("queue", list.integer("queue", 1, 100_000)),
    ...optional("impairments", impairmentsOf(list)),
  };
}

/** A mean number of frames, 1 to 1000, as decimal number. */
function meanOf(list: KeyValues, key: string): number | undefined {
  const text = list.text(key);
  if (text === undefined) return undefined;
  const mean = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (mean >= 1 && mean <= 1000) return mean;
  throw new InputError(`${list.where}: ${key}=${text}: expected a number of frames from 1 to 1000`);
}

function impairmentsOf(list: KeyValues): Impairments | undefined {
  const { where } = list;
  const percent = (key: string) => {
    const text = list.text(key);
    return text === undefined ? undefined : parsePercent(`${where}: ${key}`, text);
  };
  const time = (key: string) => {
    const text = list.text(key);
    return text === undefined ? undefined : parseDuration(`${where}: ${key}`, text);
  };
  const found: Impairments = {
    ...optional("loss", percent("loss")),
    ...optional("burst", meanOf(list, "burst")),
    ...optional("duplicate", percent("duplicate")),
    ...optional("corrupt", percent("corrupt")),
    ...optional("reorder", percent("reorder")),
    ...optional("reorderDelay", time("reorder-delay")),
    ...optional("jitter", time("jitter")),
  };
  if ((found.burst ?? 1) > 1 && (found.loss ?? 0) >= 1) {
    throw new InputError(`${where}: burst=: expected a loss below 100%`);
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

/** "0.5%" as 0.005. */
function parsePercent(where: string, text: string): number {
  const m = /^(\d+(?:\.\d+)?)%$/.exec(text);
  const share = m === null ? Number.NaN : Number(m[1]) / 100;
  if (!(share <= 1)) throw new InputError(`${where}=${text}: expected a share from 0% to 100%, such as 0.5%`);
  return share;
}

const BITS: { readonly [suffix: string]: number } = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

/** "100M", "1G", "2.5G": bits a second, decimal; 0 for no limit. */
function parseRate(where: string, text: string, key = "rate"): number {
  const m = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text);
  const bits = m === null ? Number.NaN : Math.round(Number(m[1]) * (BITS[(m[2] as string).toLowerCase()] as number));
  if (!(bits === 0 || (bits >= 1000 && bits <= 1e12))) {
    throw new InputError(`${where}: ${key}=${text}: expected bits a second such as 100M, 1G or 10G, or 0 for no limit`);
  }
  return bits;
}

const UNITS: { readonly [unit: string]: Time } = { ns: NS, us: US, ms: MS, s: SEC };

/** "20us", "1.5ms", "1s". */
export function parseDuration(where: string, text: string): Time {
  const m = /^(\d+(?:\.\d+)?)(ns|us|ms|s)$/.exec(text);
  const ticks = m === null ? Number.NaN : Math.round(Number(m[1]) * (UNITS[m[2] as string] as number));
  if (!(ticks <= 100 * SEC)) throw new InputError(`${where}=${text}: expected a time such as 20us, 1.5ms or 1s`);
  return ticks;
}

// Outside

/** `PREFIX.type=inet,PREFIX.host=,PREFIX.port=` or `PREFIX.type=unix,PREFIX.path=`; undefined where there is none. */
function addressOf(list: KeyValues, prefix: string): SocketAddress | undefined {
  const { where } = list;
  const type = list.text(`${prefix}.type`);
  if (type === "unix") {
    for (const key of ["abstract", "tight"]) list.flag(`${prefix}.${key}`);
    return { path: list.required(`${prefix}.path`, "the path of a socket") };
  }
  if (type === undefined) return undefined;
  if (type !== "inet") {
    throw new InputError(`${where}: ${prefix}.type=${type}: not supported by Armature: expected inet or unix`);
  }
  for (const key of ["numeric", "keep-alive", "mptcp"]) list.flag(`${prefix}.${key}`);
  for (const key of ["ipv4", "ipv6"]) list.flag(`${prefix}.${key}`);
  const port = parseInteger(`${where}: ${prefix}.port`, list.required(`${prefix}.port`, "a port number"), 0, 65_535);
  return { host: list.text(`${prefix}.host`) ?? "", port };
}

function streamNetwork(list: KeyValues): FarEnd {
  const { where } = list;
  const address = addressOf(list, "addr");
  if (address === undefined) throw new InputError(`${where}: addr.type= is missing: expected inet or unix`);
  const server = list.flag("server") ?? false;
  const seconds = list.integer("reconnect", 0, 86_400);
  const reconnect = list.integer("reconnect-ms", 0, 86_400_000) ?? (seconds ?? 0) * 1000;
  if (server && reconnect > 0) throw new InputError(`${where}: reconnect-ms= is for clients: expected server=off`);
  return { kind: "stream", server, address, reconnect };
}

function datagramNetwork(list: KeyValues): FarEnd {
  const { where } = list;
  const local = addressOf(list, "local");
  const remote = addressOf(list, "remote");
  if (local === undefined && remote === undefined) {
    throw new InputError(`${where}: local.type= and remote.type= are missing: expected inet or unix`);
  }
  if (local !== undefined && remote !== undefined && "path" in local !== "path" in remote) {
    throw new InputError(`${where}: local.type= and remote.type=: expected one type for both`);
  }
  const group = remote !== undefined && !("path" in remote) && isMulticast(remote.host);
  if (local === undefined && !group) {
    throw new InputError(
      `${where}: local.type= is missing: expected it with a remote address that is no multicast group`,
    );
  }
  return { kind: "dgram", ...optional("local", local), ...optional("remote", remote) };
}

export function isMulticast(host: string): boolean {
  const address = parseIpv4(host);
  return address !== null && address >>> 28 === 14;
}

function tapNetwork(list: KeyValues): FarEnd {
  const { where } = list;
  for (const key of ["script", "downscript"]) {
    const script = list.text(key);
    if (script !== undefined && script !== "no" && script !== "") {
      throw new InputError(`${where}: ${key}=${script}: not supported by Armature: no script is run; expected no`);
    }
  }
  for (const key of ["vhost", "vnet_hdr"]) {
    if (list.flag(key) === true) throw new InputError(`${where}: ${key}=on: not supported by Armature: expected off`);
  }
  for (const key of ["fd", "fds", "vhostfd", "vhostfds", "helper", "br"]) {
    if (list.text(key) !== undefined) {
      throw new InputError(`${where}: ${key}=: not supported by Armature: expected ifname=NAME`);
    }
  }
  if ((list.integer("queues", 1, 256) ?? 1) !== 1) {
    throw new InputError(`${where}: queues=: not supported by Armature: expected 1`);
  }
  list.text("sndbuf");
  const ifname = list.text("ifname") ?? "tap%d";
  // IFNAMSIZ of Linux's if.h, with the zero at its end.
  if (!/^[^/\s]{1,15}$/.test(ifname)) {
    throw new InputError(`${where}: ifname=${ifname}: expected the name of an interface, at most 15 characters`);
  }
  return { kind: "tap", ifname };
}

// Inside

/** A hub's number; the hub is a switch that learns. */
function switchPort(list: KeyValues): FarEnd {
  const { where } = list;
  const hub = parseInteger(`${where}: hubid`, list.required("hubid", "the number of a switch"), 0, 0x7fff_ffff);
  return { kind: "hubport", hub, ...optional("via", list.text("netdev")) };
}

/** "64", "64-1518" or "imix". */
function sizesOf(where: string, text: string): FrameSizes {
  if (text === "imix") return text;
  const [from = "", to] = text.split("-");
  const size = (value: string) => parseInteger(`${where}: size`, value, TRAFFIC_SHORTEST, 65_535);
  if (to === undefined) return size(from);
  const sizes = { from: size(from), to: size(to) };
  if (sizes.from > sizes.to) throw new InputError(`${where}: size=${text}: expected the smaller size first`);
  return sizes;
}

function trafficGenerator(list: KeyValues): FarEnd {
  const { where } = list;
  const load = list.text("load");
  const size = list.text("size");
  const start = list.text("start");
  const bits = load === undefined ? undefined : parseRate(where, load, "load");
  if (bits === 0) throw new InputError(`${where}: load=0: expected more`);
  const address = (key: string) => {
    const text = list.text(key);
    const mac = text === undefined ? undefined : parseMac(text);
    if (mac === null) throw new InputError(`${where}: ${key}=${text}: expected an address such as 52:54:00:12:34:56`);
    return mac;
  };
  const traffic: TrafficOptions = {
    ...optional("load", bits),
    ...optional("size", size === undefined ? undefined : sizesOf(where, size)),
    ...optional("count", list.integer("count", 0, 2 ** 32 - 1)),
    ...optional("burst", list.integer("burst", 1, 1000)),
    ...optional("start", start === undefined ? undefined : parseDuration(`${where}: start`, start)),
    ...optional("source", address("src")),
    ...optional("destination", address("dst")),
  };
  return { kind: "generator", traffic };
}

function captureReplay(list: KeyValues): FarEnd {
  const path = list.required("file", "a capture, pcap or pcapng");
  const start = list.text("start");
  const replay: ReplayOptions = {
    ...optional("start", start === undefined ? undefined : parseDuration(`${list.where}: start`, start)),
    ...optional("rounds", list.integer("rounds", 0, 1_000_000)),
  };
  return { kind: "pcap", path, replay };
}

// The host that answers

function userNetwork(list: KeyValues): FarEnd {
  const { where } = list;
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
  const option = {
    kind: "user" as const,
    network,
    mask,
    host: address("host", 2),
    dns: address("dns", 3),
    guest: address("dhcpstart", 15),
  };
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
