/**
 * 82576 datasheet 7.1 and 7.10: whether a packet is accepted, and which pools and queues get it.
 *
 * Choices: promiscuous modes of RCTL accept for the default pool; with several matches of one
 * kind and priority the lowest number wins; IMIREXT asks for all of its flags, and for no size where its threshold is 0. CTRL_EXT.EXTENDED_VLAN filters by the inner tag.
 */
import { get16, get32 } from "../../net/bytes.ts";
import type { Frame } from "../../net/index.ts";
import { type Packet, TCP } from "../../net/packet.ts";
import type { I82576Core } from "./i82576.ts";
import { hash, hashType } from "./rss.ts";
import { FCS, isBroadcast, isMulticast } from "./statistics.ts";

const RCTL = {
  UPE: 1 << 3,
  MPE: 1 << 4,
  LPE: 1 << 5,
  BAM: 1 << 15,
  VFE: 1 << 18,
  CFIEN: 1 << 19,
  CFI: 1 << 20,
} as const;
const VMOLR = {
  LPE: 1 << 16,
  RSSE: 1 << 17,
  VPE: 1 << 23,
  AUPE: 1 << 24,
  ROMPE: 1 << 25,
  ROPE: 1 << 26,
  BAM: 1 << 27,
  MPE: 1 << 28,
  UPE: 1 << 29,
} as const;
const IGNORE_MAC = 1 << 28;
const DIS_DEF_POOL = 1 << 29;
const RPL_EN = 1 << 30;
const VI_EN = 1 << 31;
const LVLAN = 1 << 20;
const TCP_SYN = 2;
const SYNQFP = 1 << 19;
const VLAN_PRI_EN = 1 << 3;
const PORT_IM_EN = 1 << 16;
/** IMIREXT. */
const SIZE_BP = 1 << 12;
const CTRL_BITS = 0x3f << 13;
const CTRL_BP = 1 << 19;
/** VMRCTL. */
const MIRROR = { POOL: 1, UPLINK: 2, DOWNLINK: 4, VLAN: 8 } as const;
const SHIFTS = [4, 3, 2, 0] as const;
const RAR = 24;
const TAG = 4;

/** What is known of a packet's place once it was looked at. */
export interface Verdict {
  /** Queues that get it, a bit each. */
  queues: number;
  /** RSS hash and type. */
  hash: number;
  hashType: number;
  /** Index of the EType filter that matched, or -1. */
  etqf: number;
  /** Accepted by a hash table alone: software must look. */
  inexact: boolean;
  /** A unicast address of another pool that takes the packet: not for the network. */
  local: boolean;
  /** A filter asks for an immediate interrupt. */
  immediate: boolean;
  /** A unicast address of no pool: the default pool gets it. */
  unresolved: boolean;
  /** More than one pool, or multicast: RPLOLR decides about stripping. */
  replicated: boolean;
}

export class Filter {
  readonly #core: I82576Core;
  readonly #v: Verdict = {
    queues: 0,
    hash: 0,
    hashType: 0,
    etqf: -1,
    inexact: false,
    local: false,
    immediate: false,
    unresolved: false,
    replicated: false,
  };

  constructor(core: I82576Core) {
    this.#core = core;
  }

  get virtualized(): boolean {
    return (this.#core.reg("MRQC") & 1) !== 0;
  }

  /** The verdict is good until the next call. `source` is the pool that sends, or -1 for the link. */
  judge(frame: Frame, packet: Packet, source: number): Verdict {
    const v = this.#v;
    v.queues = 0;
    v.hash = 0;
    v.hashType = 0;
    v.etqf = -1;
    v.inexact = false;
    v.local = false;
    v.immediate = false;
    v.unresolved = false;
    v.replicated = false;
    if (!this.virtualized) {
      if (this.#accepted(frame, packet)) this.#chooseQueue(frame, packet);
      return v;
    }
    let pools = this.#pools(frame, packet, source);
    if (source >= 0 && ((this.#core.reg("DTXSWC") >>> 16) & (1 << source)) === 0) pools &= ~(1 << source);
    v.local &&= pools !== 0;
    pools = (pools | this.#mirrors(pools, packet, source)) & this.#core.reg("VFRE");
    if (pools !== 0) this.#chooseInPools(frame, packet, pools);
    return v;
  }

  // Without pools: 7.1.

  #accepted(frame: Frame, packet: Packet): boolean {
    const rctl = this.#core.reg("RCTL");
    const longest =
      (rctl & RCTL.LPE) !== 0
        ? this.#core.reg("RLPML")
        : 1518 + (packet.tag >= 0 ? TAG : 0) + (packet.outerTag ? TAG : 0);
    if (frame.length + FCS > longest) {
      this.#core.statistics.add("ROC", 1);
      return false;
    }
    return this.#address(frame, rctl) && this.#vlan(packet, rctl);
  }

  #address(frame: Frame, rctl: number): boolean {
    if (isBroadcast(frame)) return (rctl & RCTL.BAM) !== 0 || this.#exact(frame, 0) !== 0;
    if (this.#exact(frame, 0) !== 0) return true;
    const multicast = isMulticast(frame);
    if ((rctl & (multicast ? RCTL.MPE : RCTL.UPE)) !== 0) return true;
    if (!this.#hashed(frame, multicast, rctl)) return false;
    this.#v.inexact = true;
    return true;
  }

  #vlan(packet: Packet, rctl: number): boolean {
    if ((rctl & RCTL.VFE) === 0 || packet.tag < 0) return true;
    const id = packet.tag & 0xfff;
    if ((this.#core.reg("VFTA", id >>> 5) & (1 << (id & 31))) === 0) return false;
    return (rctl & RCTL.CFIEN) === 0 || ((packet.tag & 0x1000) !== 0) === ((rctl & RCTL.CFI) !== 0);
  }

  /** Pools of valid RAL/RAH that match the address at `at`, as a mask; without pools in RAH, bit 8 says that one matched. */
  #exact(frame: Frame, at: number): number {
    const low =
      (frame[at] as number) |
      ((frame[at + 1] as number) << 8) |
      ((frame[at + 2] as number) << 16) |
      ((frame[at + 3] as number) << 24);
    const high = (frame[at + 4] as number) | ((frame[at + 5] as number) << 8);
    const { values, slot } = this.#core.bank;
    return (
      matching(values, slot.RAL, slot.RAH, 16, low, high) |
      matching(values, slot.RAL_16, slot.RAH_16, RAR - 16, low, high)
    );
  }

  #hashed(frame: Frame, multicast: boolean, rctl: number): boolean {
    const shift = SHIFTS[(rctl >>> 12) & 3] as number;
    const place = ((((frame[5] as number) << 8) | (frame[4] as number)) >>> shift) & 0xfff;
    return (this.#core.reg(multicast ? "MTA" : "UTA", place >>> 5) & (1 << (place & 31))) !== 0;
  }

  // With pools: 7.10.

  #pools(frame: Frame, packet: Packet, source: number): number {
    const core = this.#core;
    const rctl = core.reg("RCTL");
    const control = core.reg("VT_CTL");
    const multicast = isMulticast(frame);
    if (source < 0 && !this.#vlan(packet, rctl)) return 0;
    let pools = 0;
    if ((control & IGNORE_MAC) !== 0) pools = 0xff;
    else if (isBroadcast(frame)) pools = this.#poolsWith(VMOLR.BAM);
    else {
      const exact = this.#exact(frame, 0);
      pools = exact & 0xff;
      if (!multicast && pools !== 0) this.#v.local = true;
      const byHash = this.#hashed(frame, multicast, rctl) ? this.#poolsWith(multicast ? VMOLR.ROMPE : VMOLR.ROPE) : 0;
      if (exact === 0 && byHash !== 0) this.#v.inexact = true;
      pools |= byHash | this.#poolsWith(multicast ? VMOLR.MPE : VMOLR.UPE);
    }
    pools &= this.#vlanPools(packet, rctl);
    if (source < 0 && pools === 0 && (control & DIS_DEF_POOL) === 0) {
      // The default pool takes what no pool wants, as far as the port's own filters let it pass.
      const passes = !multicast || (rctl & (isBroadcast(frame) ? RCTL.BAM : RCTL.MPE)) !== 0;
      if (passes) pools = 1 << ((control >>> 7) & 7);
      this.#v.unresolved = !multicast;
    }
    if ((control & RPL_EN) === 0 && (multicast || isBroadcast(frame))) pools &= -pools;
    this.#v.replicated = multicast || (pools & (pools - 1)) !== 0;
    return this.#fitting(frame, packet, pools);
  }

  /** Pools that get copies by the mirror rules. */
  #mirrors(pools: number, packet: Packet, source: number): number {
    const core = this.#core;
    const { values, slot } = core.bank;
    const first = slot.VMRCTL;
    let copies = 0;
    for (let i = 0; i < 4; i++) {
      const rule = values[first + i] as number;
      if ((rule & 0xf) === 0) continue;
      const hit =
        ((rule & MIRROR.POOL) !== 0 && (pools & core.reg("VMRVM", i)) !== 0) ||
        ((rule & MIRROR.UPLINK) !== 0 && source < 0) ||
        ((rule & MIRROR.DOWNLINK) !== 0 && source >= 0 && !this.#v.local) ||
        ((rule & MIRROR.VLAN) !== 0 &&
          packet.tag >= 0 &&
          this.#mirroredVlan(packet.tag & 0xfff, core.reg("VMRVLAN", i)));
      if (hit) copies |= 1 << ((rule >>> 8) & 7);
    }
    return copies;
  }

  #mirroredVlan(id: number, entries: number): boolean {
    for (let i = 0; i < 32; i++) {
      const entry = this.#core.reg("VLVF", i);
      if ((entries & (1 << i)) !== 0 && (entry & VI_EN) !== 0 && (entry & 0xfff) === id) return true;
    }
    return false;
  }

  #poolsWith(bit: number): number {
    const { values, slot } = this.#core.bank;
    const first = slot.VMOLR;
    let pools = 0;
    for (let p = 0; p < 8; p++) if (((values[first + p] as number) & bit) !== 0) pools |= 1 << p;
    return pools;
  }

  #vlanPools(packet: Packet, rctl: number): number {
    if (packet.tag < 0) return this.#poolsWith(VMOLR.AUPE);
    if ((rctl & RCTL.VFE) === 0) return 0xff;
    return this.poolsOfVlan(packet.tag & 0xfff) | this.#poolsWith(VMOLR.VPE);
  }

  /** Pools that VLVF makes members of a VLAN. */
  poolsOfVlan(id: number): number {
    let pools = 0;
    for (let i = 0; i < 32; i++) {
      const entry = this.#core.reg("VLVF", i);
      if ((entry & VI_EN) !== 0 && (entry & 0xfff) === id) pools |= (entry >>> 12) & 0xff;
    }
    return pools;
  }

  /** A VLAN that stays inside the device. */
  localVlan(id: number): boolean {
    for (let i = 0; i < 32; i++) {
      const entry = this.#core.reg("VLVF", i);
      if ((entry & (VI_EN | LVLAN)) === (VI_EN | LVLAN) && (entry & 0xfff) === id) return true;
    }
    return false;
  }

  /** Pools whose source addresses may be that of `frame`. */
  poolsOfSource(frame: Frame): number {
    return this.#exact(frame, 6) & 0xff;
  }

  /** Takes away pools that the packet is too long for. */
  #fitting(frame: Frame, packet: Packet, pools: number): number {
    let fit = pools;
    for (let p = 0; p < 8; p++) {
      if ((fit & (1 << p)) === 0) continue;
      const vmolr = this.#core.reg("VMOLR", p);
      const longest = (vmolr & VMOLR.LPE) !== 0 ? vmolr & 0x3fff : 1518 + (packet.tag >= 0 ? TAG : 0);
      if (frame.length + FCS > longest) fit &= ~(1 << p);
    }
    if (fit === 0 && pools !== 0) this.#core.statistics.add("ROC", 1);
    return fit;
  }

  // Queues: 7.1.

  #chooseQueue(frame: Frame, packet: Packet): void {
    const v = this.#v;
    const chosen = this.#queueFilter(frame, packet);
    const mode = this.#core.reg("MRQC") & 7;
    if (mode === 2) this.#scale(frame, packet);
    if (chosen >= 0) v.queues = 1 << chosen;
    else if (mode === 2 && v.hashType !== 0) v.queues = 1 << this.#redirect();
    else v.queues = 1 << ((this.#core.reg("MRQC") >>> 3) & 0xf);
  }

  #chooseInPools(frame: Frame, packet: Packet, pools: number): void {
    const v = this.#v;
    v.queues = pools;
    this.#queueFilter(frame, packet);
    if ((this.#core.reg("MRQC") & 7) !== 5) return;
    this.#scale(frame, packet);
    // The second queue of a pool is its number plus 8: bit 3 of the redirection table's entry.
    if (v.hashType === 0 || (this.#redirect() & 8) === 0) return;
    const second = pools & this.#poolsWith(VMOLR.RSSE);
    v.queues = (pools & ~second) | (second << 8);
  }

  #scale(frame: Frame, packet: Packet): void {
    const core = this.#core;
    if ((core.reg("RXCSUM") & (1 << 13)) === 0) return;
    const v = this.#v;
    v.hashType = hashType(packet, core.reg("MRQC"));
    if (v.hashType !== 0) v.hash = hash(frame, packet, v.hashType, core.bank.values, core.bank.slot.RSSRK);
  }

  #redirect(): number {
    const entry = this.#v.hash & 0x7f;
    return (this.#core.reg("RETA", entry >>> 2) >>> ((entry & 3) << 3)) & 0xf;
  }

  /** The queue that a filter of chapter 8.11 selects, or -1: EType filters first, then five-tuple and SYN filters in the order of RFCTL.SYNQFP. */
  #queueFilter(frame: Frame, packet: Packet): number {
    const core = this.#core;
    const { values, slot } = core.bank;
    const v = this.#v;
    const urgent = values[slot.IMIRVP] as number;
    if ((urgent & VLAN_PRI_EN) !== 0 && packet.tag >= 0 && packet.tag >>> 13 >= (urgent & 7)) v.immediate = true;
    for (let i = 0; i < 8; i++) {
      const filter = values[slot.ETQF + i] as number;
      if ((filter & (1 << 26)) === 0 || (filter & 0xffff) !== packet.etherType) continue;
      v.etqf = i;
      if ((filter & (1 << 29)) !== 0) v.immediate = true;
      if (filter < 0) return (filter >>> 16) & 7;
      break;
    }
    if (packet.ip === 0) return -1;
    if (((values[slot.RFCTL] as number) & SYNQFP) === 0) {
      const queue = this.#fiveTuples(frame, packet);
      return queue >= 0 ? queue : this.#syn(frame, packet);
    }
    const queue = this.#syn(frame, packet);
    return queue >= 0 ? queue : this.#fiveTuples(frame, packet);
  }

  #syn(frame: Frame, packet: Packet): number {
    const syn = this.#core.reg("SYNQF");
    if ((syn & 1) === 0 || packet.l4 !== TCP || packet.fragment) return -1;
    return ((frame[packet.l4At + 13] as number) & 0x12) === TCP_SYN ? (syn >>> 1) & 0xf : -1;
  }

  /** The queue of the five-tuple filter that matches with the highest priority. */
  #fiveTuples(frame: Frame, packet: Packet): number {
    if (packet.ip !== 4) return -1;
    const { values, slot } = this.#core.bank;
    let best = -1;
    let priority = -1;
    for (let i = 0; i < 8; i++) {
      if (((values[slot.FTQF + i] as number) & (1 << 8)) === 0 || !this.#fiveTuple(frame, packet, i)) continue;
      const own = (values[slot.IMIR + i] as number) >>> 29;
      if (own <= priority) continue;
      best = i;
      priority = own;
    }
    if (best < 0) return -1;
    if (((values[slot.IMIR + best] as number) & PORT_IM_EN) !== 0) this.#v.immediate = true;
    return ((values[slot.FTQF + best] as number) >>> 16) & 0xf;
  }

  /** Size and flags of TCP are what IMIREXT asks for, where it asks. */
  #flagged(frame: Frame, packet: Packet, asked: number): boolean {
    const size = asked & 0xfff;
    if ((asked & SIZE_BP) === 0 && size !== 0 && frame.length + FCS >= size) return false;
    const flags = asked & CTRL_BITS;
    if ((asked & CTRL_BP) !== 0 || flags === 0) return true;
    return packet.l4 === TCP && !packet.fragment && (flagsOf(frame, packet) & flags) === flags;
  }

  #fiveTuple(frame: Frame, packet: Packet, i: number): boolean {
    const core = this.#core;
    const filter = core.reg("FTQF", i);
    if (!this.#flagged(frame, packet, core.reg("IMIREXT", i))) return false;
    if ((filter & (1 << 28)) === 0 && packet.protocol !== (filter & 0xff)) return false;
    if ((filter & (1 << 29)) === 0 && get32(frame, packet.l3At + 12) !== swap32(core.reg("SAQF", i))) return false;
    if ((filter & (1 << 30)) === 0 && get32(frame, packet.l3At + 16) !== swap32(core.reg("DAQF", i))) return false;
    if (packet.l4 === 0 || packet.fragment) return filter < 0 && (core.reg("IMIR", i) & (1 << 17)) !== 0;
    if (filter >= 0 && packet.sourcePort !== swap16(core.reg("SPQF", i))) return false;
    const immediate = core.reg("IMIR", i);
    return (immediate & (1 << 17)) !== 0 || get16(frame, packet.l4At + 2) === swap16(immediate);
  }
}

/** The flags of TCP in the order of IMIREXT, from URG in bit 13 to FIN in bit 18. */
function flagsOf(frame: Frame, packet: Packet): number {
  const flags = frame[packet.l4At + 13] as number;
  let bits = 0;
  for (let i = 0; i < 6; i++) if ((flags & (0x20 >>> i)) !== 0) bits |= 1 << (13 + i);
  return bits;
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}
function swap32(value: number): number {
  return ((swap16(value) << 16) | swap16(value >>> 16)) >>> 0;
}

/** Pools of `count` valid pairs of RAL and RAH from slots `ral` and `rah` on that hold an address. */
function matching(values: Int32Array, ral: number, rah: number, count: number, low: number, high: number): number {
  let pools = 0;
  for (let i = 0; i < count; i++) {
    if (values[ral + i] !== low) continue;
    const word = values[rah + i] as number;
    if (word < 0 && (word & 0xffff) === high) pools |= 0x100 | ((word >>> 18) & 0xff);
  }
  return pools;
}
