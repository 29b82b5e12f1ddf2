/** `-device virtio-net-device`: the card's keys under QEMU's names. */
import type { NetworkSwitch } from "../../devices/virtio/index.ts";
import { InputError } from "../../formats/index.ts";
import { NS } from "../../sim/index.ts";
import { optional } from "./chardev-spec.ts";
import type { NetworkCard } from "./run-options.ts";
import type { KeyValues } from "./values.ts";

const SWITCHES: { readonly [key: string]: NetworkSwitch } = {
  csum: "checksum",
  guest_csum: "guestChecksum",
  host_tso4: "hostTso4",
  host_tso6: "hostTso6",
  host_ecn: "hostEcn",
  host_uso: "hostUso",
  guest_tso4: "guestTso4",
  guest_tso6: "guestTso6",
  guest_ecn: "guestEcn",
  mrg_rxbuf: "mergeable",
  status: "linkStatus",
  ctrl_vq: "control",
  ctrl_rx: "controlReceive",
  ctrl_rx_extra: "controlReceiveExtra",
  ctrl_vlan: "controlVlan",
  ctrl_mac_addr: "controlAddress",
  ctrl_guest_offloads: "controlOffloads",
};

const ABSENT = ["gso", "guest_ufo", "host_ufo", "guest_uso4", "guest_uso6", "guest_announce", "guest_rsc_ext"];

const DUPLEX = ["half", "full"] as const;

/** What a line of `-device help` lists. */
export const CARD_KEYS = [...Object.keys(SWITCHES), "mq", "rss", "hash"].join(", ");

/** Takes the card's keys from `list`. `mq`: as many queue pairs as the network has (`-netdev ...,queues=N`). */
export function cardOf(list: KeyValues): { readonly card: NetworkCard; readonly mq: boolean } {
  const { where } = list;
  for (const key of ABSENT) {
    if (list.flag(key) === true) throw new InputError(`${where}: ${key}=on: not supported by Armature: expected off`);
  }
  const switches: { [K in NetworkSwitch]?: boolean } = {};
  for (const [key, name] of Object.entries(SWITCHES)) {
    const on = list.flag(key);
    if (on !== undefined) switches[name] = on;
  }
  const mtu = list.integer("host_mtu", 0, 65_535) ?? 0;
  if (mtu > 0 && mtu < 68) throw new InputError(`${where}: host_mtu=${mtu}: expected 0, or 68 to 65535`);
  const speed = list.integer("speed", -1, 0x7fff_ffff) ?? -1;
  const interval = list.integer("rsc_interval", 0, 1_000_000_000);
  const card = {
    ...switches,
    ...optional("rss", list.flag("rss")),
    ...optional("hashReport", list.flag("hash")),
    ...optional("receiveQueueSize", queueSize(list, "rx_queue_size")),
    ...optional("transmitQueueSize", queueSize(list, "tx_queue_size")),
    ...optional("mtu", mtu === 0 ? undefined : mtu),
    ...optional("speed", speed < 0 ? undefined : speed),
    ...optional("duplex", list.choice("duplex", DUPLEX)),
    ...optional("coalescingTime", interval === undefined ? undefined : interval * NS),
  };
  return { card, mq: list.flag("mq") ?? false };
}

function queueSize(list: KeyValues, key: string): number | undefined {
  const size = list.integer(key, 256, 1024);
  if (size !== undefined && (size & (size - 1)) !== 0) {
    throw new InputError(`${list.where}: ${key}=${size}: expected 256, 512 or 1024`);
  }
  return size;
}
