/** Commands of the network device's control queue (VIRTIO 1.2, 5.1.6.5). Everything a driver gets wrong is answered with VIRTIO_NET_ERR and recorded. */
import {
  F_CTRL_GUEST_OFFLOADS,
  F_CTRL_MAC_ADDR,
  F_CTRL_RX,
  F_CTRL_RX_EXTRA,
  F_CTRL_VLAN,
  F_HASH_REPORT,
  F_MQ,
  F_RSS,
} from "./network-features.ts";
import { ADDRESSES_MAX, type NetworkFilter } from "./network-filter.ts";
import { HASH_TYPES, KEY_BYTES, type RssSettings, type Steering, TABLE_ENTRIES } from "./network-steering.ts";
import { type Chain, lengthOf, type Virtqueue } from "./queue.ts";

const CLASS = { RX: 0, MAC: 1, VLAN: 2, MQ: 4, GUEST_OFFLOADS: 5 } as const;
const RX_ALLUNI = 2;
const MAC_TABLE_SET = 0;
const MAC_ADDR_SET = 1;
const VLAN_ADD = 0;
const VLAN_DEL = 1;
const MQ_VQ_PAIRS_SET = 0;
const MQ_RSS_CONFIG = 1;
const MQ_HASH_CONFIG = 2;
const OK = 0;
const ERR = 1;
/** Class and command. */
const HEADER = 2;
const OFFLOADS_BYTES = 8;

/** What commands act upon. */
export interface Controlled {
  readonly filter: NetworkFilter;
  readonly steering: Steering;
  /** Queue pairs that there are. */
  readonly pairs: number;
  accepted(feature: number): boolean;
  setAddress(mac: Uint8Array): void;
  /** GUEST_CSUM, GUEST_TSO4 and the like, as feature bits 0 to 31. False where one was not negotiated. */
  setOffloads(offloads: number): boolean;
  /** Fewer queue pairs may be in use now. */
  steeringChanged(): void;
  complain(detail: string, value: number): void;
}

export class NetworkControl {
  readonly #device: Controlled;

  constructor(device: Controlled) {
    this.#device = device;
  }

  /** Carries out the command in `chain`; the bytes written into it. */
  serve(queue: Virtqueue, chain: Chain): number {
    const command = new Command(queue, chain);
    if (command.length < 0 || lengthOf(chain.writable) === 0) {
      this.#device.complain("control command without class, command or place for the answer", 0);
      return 0;
    }
    const [kind, number] = command.bytes(-HEADER, HEADER) as unknown as [number, number];
    const good = this.#carryOut(command, kind, number);
    if (!good)
      this.#device.complain(
        "control command that does not exist, was not negotiated or does not fit",
        (kind << 8) | number,
      );
    return queue.write(chain, Uint8Array.of(good ? OK : ERR));
  }

  #carryOut(command: Command, kind: number, number: number): boolean {
    switch (kind) {
      case CLASS.RX:
        return this.#receiveMode(command, number);
      case CLASS.MAC:
        return this.#address(command, number);
      case CLASS.VLAN:
        return this.#vlan(command, number);
      case CLASS.MQ:
        return this.#multiqueue(command, number);
      case CLASS.GUEST_OFFLOADS:
        return this.#offloads(command, number);
      default:
        return false;
    }
  }

  #receiveMode(command: Command, number: number): boolean {
    const device = this.#device;
    if (!device.accepted(number < RX_ALLUNI ? F_CTRL_RX : F_CTRL_RX_EXTRA) || command.length !== 1) return false;
    return device.filter.setMode(number, command.bytes(0, 1)[0] !== 0);
  }

  #address(command: Command, number: number): boolean {
    const device = this.#device;
    if (number === MAC_ADDR_SET) {
      if (!device.accepted(F_CTRL_MAC_ADDR) || command.length !== 6) return false;
      device.setAddress(command.bytes(0, 6));
      return true;
    }
    return number === MAC_TABLE_SET && device.accepted(F_CTRL_RX) && this.#tables(command);
  }

  /** Two tables, each behind its number of entries; both are taken or neither. */
  #tables(command: Command): boolean {
    const unicast = command.word(0, 4);
    const second = 4 + 6 * unicast;
    if (command.length < second + 4) return false;
    const multicast = command.word(second, 4);
    if (command.length !== second + 4 + 6 * multicast) return false;
    const table = (at: number, count: number) => command.bytes(at, count > ADDRESSES_MAX ? 0 : 6 * count);
    const { filter } = this.#device;
    filter.setAddresses("unicast", unicast, table(4, unicast));
    filter.setAddresses("multicast", multicast, table(second + 4, multicast));
    return true;
  }

  #vlan(command: Command, number: number): boolean {
    const device = this.#device;
    if (!device.accepted(F_CTRL_VLAN) || (number !== VLAN_ADD && number !== VLAN_DEL) || command.length !== 2)
      return false;
    const id = command.word(0, 2);
    if (id > 0xfff) return false;
    device.filter.setVlan(id, number === VLAN_ADD);
    return true;
  }

  #multiqueue(command: Command, number: number): boolean {
    const device = this.#device;
    const { steering } = device;
    if (number === MQ_VQ_PAIRS_SET) {
      const pairs = command.word(0, 2);
      if (!device.accepted(F_MQ) || command.length !== 2 || pairs < 1 || pairs > device.pairs) return false;
      steering.setPairs(pairs);
    } else if (number === MQ_RSS_CONFIG) {
      const settings = device.accepted(F_RSS) ? this.#rss(command) : null;
      if (settings === null) return false;
      steering.setRss(settings, device.pairs);
    } else if (number === MQ_HASH_CONFIG) {
      const types = command.word(0, 4);
      const key = this.#key(command, 12);
      if (!device.accepted(F_HASH_REPORT) || key === null || (types & ~HASH_TYPES) !== 0) return false;
      steering.setHash(types, key);
    } else return false;
    device.steeringChanged();
    return true;
  }

  /** hash_types, indirection_table_mask, unclassified_queue, the table, max_tx_vq, the key (5.1.6.5.6.1). Null where they do not fit. */
  #rss(command: Command): RssSettings | null {
    const { pairs } = this.#device;
    const types = command.word(0, 4);
    const mask = command.word(4, 2);
    const unclassified = command.word(6, 2);
    if ((types & ~HASH_TYPES) !== 0 || mask >= TABLE_ENTRIES || (mask & (mask + 1)) !== 0) return null;
    const entries = mask + 1;
    const table = Uint16Array.from({ length: entries }, (_, i) => command.word(8 + 2 * i, 2));
    const transmit = command.word(8 + 2 * entries, 2);
    const key = this.#key(command, 10 + 2 * entries);
    const wrong = unclassified >= pairs || table.some((q) => q >= pairs) || transmit < 1 || transmit > pairs;
    return key === null || wrong ? null : { types, mask, unclassified, table, key };
  }

  /** The key behind its length, at the end of the command. */
  #key(command: Command, at: number): Uint8Array | null {
    const length = command.bytes(at, 1)[0] as number;
    return length > KEY_BYTES || command.length !== at + 1 + length ? null : command.bytes(at + 1, length);
  }

  #offloads(command: Command, number: number): boolean {
    const device = this.#device;
    if (!device.accepted(F_CTRL_GUEST_OFFLOADS) || number !== 0 || command.length !== OFFLOADS_BYTES) return false;
    return command.word(4, 4) === 0 && device.setOffloads(command.word(0, 4));
  }
}

/** The command's own data, little-endian; what lies beyond its end reads as zero. */
class Command {
  readonly #queue: Virtqueue;
  readonly #chain: Chain;
  readonly length: number;

  constructor(queue: Virtqueue, chain: Chain) {
    this.#queue = queue;
    this.#chain = chain;
    this.length = lengthOf(chain.readable) - HEADER;
  }

  bytes(at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#queue.read(this.#chain, bytes, HEADER + at);
    return bytes;
  }
  word(at: number, bytes: number): number {
    return this.bytes(at, bytes).reduceRight((value, byte) => value * 256 + byte, 0);
  }
}
