/**
 * The hypervisor's driver of an 82576 whose virtual functions it gives to VMs (Intel 82576EB Datasheet 2.7, 7.10; messages as in its 7.10.2.9 and Linux's `igb`): one pool a VF
 * with switching between them, each with its own address, which it can neither change nor pretend another's; VLANs, multicast, long packets as VFs ask. The
 * physical function has no queues of its own and does no DMA but its interrupt message.
 *
 * Not offered to VFs: further unicast addresses, unicast promiscuous mode.
 */
import { CLEAR_TO_SEND, GRANTED, MAILBOX_BYTES, MESSAGE, P2V, REFUSED } from "../../devices/i82576/messages.ts";
import { I82576 } from "../../devices/i82576/registers/index.ts";
import { Module } from "../../sim/index.ts";
import type { CostTable } from "../costs.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import { COMMAND, CONFIG, config, type FunctionRecord } from "./topology.ts";

export interface VfSettings {
  /** 6 bytes. */
  readonly mac: Uint8Array;
  /** The VLAN that all its packets are in, 1 to 4094; none unless given. */
  readonly vlan?: number;
}

const R = I82576.registers;
const VFS = 8;
/** Pools of RAH; the first entry that the EEPROM has not filled. */
const POOL_SHIFT = 18;
const FIRST_ADDRESS = 1;
const VALID = 0x8000_0000;

const SET_LINK_UP = 0x241;
const RSTD = 1 << 14;
/** Receive: strip CRC, accept broadcast, VLAN filter, enable. Transmit: pad, enable. */
const RECEIVE = 0x0404_8002;
const TRANSMIT = 0xa;
const VMDQ = 3;
/** Replication; packets of no pool are dropped. */
const POOLS = 0x6000_0000;
const LOOPBACK = 0x8000_0000;
const VMOLR = { LPE: 1 << 16, AUPE: 1 << 24, ROMPE: 1 << 25, BAM: 1 << 27, MPE: 1 << 28, STRVLAN: 1 << 30 } as const;
const STRIP_CRC = 0x8000_0000;
const LONGEST = 0x2600;
const RLPML = 0x3fff;
const VLAN_ALWAYS = 1 << 30;
const VLAN_POOL_SHIFT = 12;
const VLAN_FILTERS = 32;

const CAUSE_LINK = 1 << 2;
const CAUSE_MAILBOX = 1 << 8;
/** GPIE: several vectors, auto mask, non-selective clear. IVAR_MISC: other causes by vector 0. */
const VECTORS = 0x4000_0011;
const OTHER_BY_0 = 0x8000;

/** Bits 23:16 of a message. */
const INFO_SHIFT = 16;
const INFO = 0xff;
const ADDRESS_FILTER_CLEAR = 1;
const MULTICAST_PROMISCUOUS = 2;
const MOST_HASHES = 30;

export class I82576Pf extends Module {
  readonly #costs: CostTable;
  readonly #settings: (VfSettings | null)[] = new Array<VfSettings | null>(VFS).fill(null);
  readonly #c = this.state({
    base: -1,
    interruptId: -1,
    /** VFs that have been reset and told so. */
    ready: 0,
    /** Multicast hashes by VF; more than `MOST_HASHES` are not listed. */
    hashes: Array.from({ length: VFS }, () => [] as number[]),
    messages: 0,
  });
  #cpu: PhysicalCpu | null = null;

  constructor(parent: Module, name: string, costs: CostTable) {
    super(parent, name);
    this.#costs = costs;
  }

  set(vf: number, settings: VfSettings): void {
    this.#settings[vf] = settings;
  }
  /** INTID of its message, or -1 before `start`. */
  get interruptId(): number {
    return this.#c.interruptId;
  }
  /** Messages of VFs that were answered. */
  get messages(): number {
    return this.#c.messages;
  }

  // Registers take their time.

  #read(at: number): number {
    const cpu = this.#cpu as PhysicalCpu;
    cpu.spend(this.#costs.deviceRead);
    return cpu.read(this.#c.base + at, 4);
  }
  #write(at: number, value: number): void {
    const cpu = this.#cpu as PhysicalCpu;
    cpu.spend(this.#costs.deviceWrite);
    cpu.write(this.#c.base + at, 4, value >>> 0);
  }

  /** The card is reset; VFs are switched on. Its message goes to `doorbell`. */
  start(cpu: PhysicalCpu, pf: FunctionRecord, ecam: number, doorbell: number, interruptId: number): void {
    this.#cpu = cpu;
    const c = this.#c;
    c.base = pf.bars[0] as number;
    c.interruptId = interruptId;
    const space = config(ecam, pf.id, cpu);
    const table = (pf.bars[pf.tableBar] as number) + pf.table;
    cpu.write(table, 4, doorbell);
    cpu.write(table + 4, 4, 0);
    cpu.write(table + 8, 4, interruptId);
    cpu.write(table + 12, 4, 0);
    space.write(pf.msix + 2, 2, 0x8000);
    space.write(CONFIG.command, 2, COMMAND.memory | COMMAND.master);

    this.#write(R.MRQC.at, VMDQ);
    this.#write(R.VT_CTL.at, POOLS);
    this.#write(R.RPLOLR.at, STRIP_CRC | VMOLR.STRVLAN);
    this.#write(R.VFRE.at, 0);
    this.#write(R.VFTE.at, 0);
    let pools = 0;
    this.#settings.forEach((settings, vf) => {
      if (settings === null) return;
      pools |= 1 << vf;
      this.#address(vf, settings.mac);
      this.#write(R.VMVIR.at + 4 * vf, settings.vlan === undefined ? 0 : settings.vlan | VLAN_ALWAYS);
      this.#forget(vf);
    });
    // nobody pretends to be another, by address or VLAN
    this.#write(R.DTXSWC.at, LOOPBACK | pools | (pools << 8));
    this.#write(R.TCTL.at, TRANSMIT);
    this.#write(R.RCTL.at, RECEIVE);
    this.#write(R.GPIE.at, VECTORS);
    this.#write(R.IVAR_MISC.at, OTHER_BY_0);
    this.#write(R.MBVFIMR.at, 0xff);
    this.#write(R.EIAC.at, 1);
    this.#write(R.EIMS.at, 1);
    // VFs were reset as they came up: no cause may wait from then, before anybody takes messages
    this.#write(R.VFLRE.at, this.#read(R.VFLRE.at));
    this.#write(R.MBVFICR.at, this.#read(R.MBVFICR.at));
    this.#read(R.ICR.at);
    this.#write(R.IMS.at, CAUSE_LINK | CAUSE_MAILBOX);
    this.#write(R.CTRL.at, SET_LINK_UP);
    this.#write(R.CTRL_EXT.at, this.#read(R.CTRL_EXT.at) | RSTD);
  }

  /** Its message has come. */
  interrupt(cpu: PhysicalCpu): void {
    this.#cpu = cpu;
    const causes = this.#read(R.ICR.at);
    const reset = this.#read(R.VFLRE.at);
    if (reset !== 0) this.#write(R.VFLRE.at, reset);
    const posted = this.#read(R.MBVFICR.at);
    if (posted !== 0) this.#write(R.MBVFICR.at, posted);
    for (let vf = 0; vf < VFS; vf++) {
      if ((reset & (1 << vf)) !== 0) this.#forget(vf);
      if ((posted & (1 << vf)) !== 0) this.#answer(vf);
    }
    if ((causes & CAUSE_LINK) !== 0) for (let vf = 0; vf < VFS; vf++) if (this.#settings[vf]) this.#ping(vf);
  }

  // --- messages

  #answer(vf: number): void {
    const at = R.VMBMEM.at + MAILBOX_BYTES * vf;
    const message = this.#read(at);
    // the answer of the PF to a message before is no message
    if ((message & (GRANTED | REFUSED)) !== 0) return;
    const settings = this.#settings[vf];
    this.#c.messages++;
    this.#write(R.P2VMAILBOX.at + 4 * vf, P2V.PFU);
    if (settings && message === MESSAGE.reset) {
      this.#forget(vf);
      this.#write(R.VFTE.at, this.#read(R.VFTE.at) | (1 << vf));
      this.#write(R.VFRE.at, this.#read(R.VFRE.at) | (1 << vf));
      this.#c.ready |= 1 << vf;
      const [low, high] = words(settings.mac);
      this.#write(at + 4, low);
      this.#write(at + 8, high);
      this.#write(at, GRANTED | MESSAGE.reset);
    } else {
      const heard = settings && (this.#c.ready & (1 << vf)) !== 0;
      const granted = heard && this.#serve(vf, at, message, settings);
      this.#write(at, message | (heard ? CLEAR_TO_SEND : 0) | (granted ? GRANTED : REFUSED));
    }
    this.#write(R.P2VMAILBOX.at + 4 * vf, P2V.STS | P2V.ACK);
  }

  #serve(vf: number, at: number, message: number, settings: VfSettings): boolean {
    const info = (message >>> INFO_SHIFT) & INFO;
    switch (message & 0xffff) {
      case MESSAGE.address: {
        if (info !== 0) return info === ADDRESS_FILTER_CLEAR;
        const [low, high] = words(settings.mac);
        return this.#read(at + 4) === low && (this.#read(at + 8) & 0xffff) === high;
      }
      case MESSAGE.multicast:
        this.#multicast(vf, at, info);
        return true;
      case MESSAGE.vlan: {
        const vlan = this.#read(at + 4) & 0xfff;
        // what is in one VLAN whatever it does, has none of its own
        return settings.vlan === undefined && this.#vlan(vf, vlan, (info & 1) !== 0);
      }
      case MESSAGE.long: {
        const longest = this.#read(at + 4);
        if (longest > LONGEST) return false;
        this.#pool(vf, RLPML | VMOLR.LPE, (longest + (settings.vlan === undefined ? 0 : 4)) | VMOLR.LPE);
        return true;
      }
      case MESSAGE.promiscuous: {
        const on = (info & MULTICAST_PROMISCUOUS) !== 0;
        const listed = (this.#c.hashes[vf] as number[]).length > 0;
        this.#pool(vf, VMOLR.MPE | VMOLR.ROMPE, on ? VMOLR.MPE : listed ? VMOLR.ROMPE : 0);
        return (info & ~MULTICAST_PROMISCUOUS) === 0;
      }
      default:
        return false;
    }
  }

  /** Tells a VF to look at the link. Not while its mailbox is in use: it looks by itself every two seconds. */
  #ping(vf: number): void {
    this.#write(R.P2VMAILBOX.at + 4 * vf, P2V.PFU);
    if ((this.#read(R.P2VMAILBOX.at + 4 * vf) & P2V.PFU) === 0) return;
    const ready = (this.#c.ready & (1 << vf)) !== 0;
    this.#write(R.VMBMEM.at + MAILBOX_BYTES * vf, MESSAGE.control | (ready ? CLEAR_TO_SEND : 0));
    this.#write(R.P2VMAILBOX.at + 4 * vf, P2V.STS);
  }

  // --- pools

  /** What a VF has asked for ends with its reset. */
  #forget(vf: number): void {
    const settings = this.#settings[vf];
    if (!settings) return;
    const c = this.#c;
    c.ready &= ~(1 << vf);
    this.#listen(vf, []);
    for (let n = 0; n < VLAN_FILTERS; n++) this.#leave(vf, n);
    const tagged = settings.vlan === undefined ? VMOLR.AUPE : 0;
    this.#write(R.VMOLR.at + 4 * vf, STRIP_CRC | VMOLR.STRVLAN | VMOLR.BAM | tagged);
    if (settings.vlan !== undefined) this.#vlan(vf, settings.vlan, true);
  }

  #pool(vf: number, clear: number, set: number): void {
    const at = R.VMOLR.at + 4 * vf;
    this.#write(at, (this.#read(at) & ~clear) | set);
  }

  #address(vf: number, mac: Uint8Array): void {
    const [low, high] = words(mac);
    const at = 8 * (FIRST_ADDRESS + vf);
    this.#write(R.RAL.at + at, low);
    this.#write(R.RAH.at + at, VALID | (1 << (POOL_SHIFT + vf)) | high);
  }

  /** Hashes in the message are of 12 bits, two a word. */
  #multicast(vf: number, at: number, count: number): void {
    const hashes: number[] = [];
    for (let n = 0; n < Math.min(count, MOST_HASHES); n++) {
      const word = this.#read(at + 4 + 4 * (n >> 1));
      hashes.push((word >>> (16 * (n & 1))) & 0xfff);
    }
    this.#listen(vf, hashes);
    this.#pool(vf, VMOLR.MPE | VMOLR.ROMPE, count > MOST_HASHES ? VMOLR.MPE : count > 0 ? VMOLR.ROMPE : 0);
  }

  /** The hash table is one for all pools. */
  #listen(vf: number, hashes: readonly number[]): void {
    const table = (): Int32Array => {
      const words = new Int32Array(128);
      for (const hash of this.#c.hashes.flat()) words[hash >> 5] = (words[hash >> 5] as number) | (1 << (hash & 31));
      return words;
    };
    const before = table();
    this.#c.hashes[vf] = [...hashes];
    table().forEach((word, n) => {
      if (word !== before[n]) this.#write(R.MTA.at + 4 * n, word);
    });
  }

  /** A pool joins or leaves a VLAN. False where no filter is free. */
  #vlan(vf: number, vlan: number, join: boolean): boolean {
    const filters = Array.from({ length: VLAN_FILTERS }, (_, n) => this.#read(R.VLVF.at + 4 * n));
    const found = filters.findIndex((f) => f >= VALID && (f & 0xfff) === vlan);
    if (!join) {
      if (found >= 0) this.#leave(vf, found);
      return true;
    }
    const n = found >= 0 ? found : filters.findIndex((f) => f < VALID);
    if (n < 0) return false;
    const pools = found >= 0 ? (filters[n] as number) : 0;
    this.#write(R.VLVF.at + 4 * n, VALID | pools | (1 << (VLAN_POOL_SHIFT + vf)) | vlan);
    this.#port(vlan, true);
    return true;
  }

  #leave(vf: number, n: number): void {
    const bit = 1 << (VLAN_POOL_SHIFT + vf);
    const filter = this.#read(R.VLVF.at + 4 * n);
    if (filter < VALID || (filter & bit) === 0) return;
    const rest = filter & ~bit;
    const anyone = (rest & (0xff << VLAN_POOL_SHIFT)) !== 0;
    this.#write(R.VLVF.at + 4 * n, anyone ? rest : 0);
    if (!anyone) this.#port(filter & 0xfff, false);
  }

  /** The port's own filter. */
  #port(vlan: number, on: boolean): void {
    const at = R.VFTA.at + 4 * (vlan >> 5);
    const bit = 1 << (vlan & 31);
    const word = this.#read(at);
    this.#write(at, on ? word | bit : word & ~bit);
  }
}

/** An address as RAL and RAH, and a mailbox, hold it. */
function words(mac: Uint8Array): [low: number, high: number] {
  const view = new DataView(mac.buffer, mac.byteOffset);
  return [view.getUint32(0, true), view.getUint16(4, true)];
}
