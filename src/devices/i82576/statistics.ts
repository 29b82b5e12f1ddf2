/** 82576 datasheet 8.18: packet counters stick at their maximum, octet counters are 64 bits wide, VFs' counters wrap. */
import type { Frame } from "../../net/index.ts";
import type { I82576Core, RegisterName } from "./i82576.ts";

/** Frame check sequence, which frames here do not have. */
export const FCS = 4;
const SIZES = [64, 127, 255, 511, 1023] as const;
const RECEIVED = ["PRC64", "PRC127", "PRC255", "PRC511", "PRC1023", "PRC1522"] as const;
const TRANSMITTED = ["PTC64", "PTC127", "PTC255", "PTC511", "PTC1023", "PTC1522"] as const;

export class Statistics {
  readonly #core: I82576Core;

  constructor(core: I82576Core) {
    this.#core = core;
  }

  add(name: RegisterName, n: number): void {
    const { bank } = this.#core;
    const slot = bank.slot[name];
    const value = ((bank.values[slot] as number) >>> 0) + n;
    bank.values[slot] = Math.min(value, 0xffff_ffff);
  }

  octets(low: RegisterName, high: RegisterName, n: number): void {
    const { bank } = this.#core;
    const value = ((bank.values[bank.slot[low]] as number) >>> 0) + n;
    bank.values[bank.slot[low]] = value;
    if (value > 0xffff_ffff) bank.values[bank.slot[high]] = (bank.values[bank.slot[high]] as number) + 1;
  }

  /** Of VF n; wraps. */
  virtual(name: RegisterName, vf: number, n: number): void {
    const { bank } = this.#core;
    const slot = bank.slot[name] + vf;
    bank.values[slot] = (bank.values[slot] as number) + n;
  }

  /** A frame came from the link, whether it is accepted or not. */
  arrived(frame: Frame): void {
    this.add("TPR", 1);
    this.octets("TORL", "TORH", frame.length + FCS);
  }

  /** A frame from the link passed the filters. */
  received(frame: Frame): void {
    const length = frame.length + FCS;
    this.add("GPRC", 1);
    this.octets("GORCL", "GORCH", length);
    this.add(RECEIVED[sizeClass(length)] as RegisterName, 1);
    if (isBroadcast(frame)) this.add("BPRC", 1);
    else if (isMulticast(frame)) this.add("MPRC", 1);
  }

  toHost(frame: Frame): void {
    this.add("RPTHC", 1);
    this.octets("HGORCL", "HGORCH", frame.length + FCS);
  }

  /** A frame left for the link. */
  transmitted(frame: Frame): void {
    const length = frame.length + FCS;
    this.add("GPTC", 1);
    this.add("TPT", 1);
    this.octets("GOTCL", "GOTCH", length);
    this.octets("TOTL", "TOTH", length);
    this.add(TRANSMITTED[sizeClass(length)] as RegisterName, 1);
    if (isBroadcast(frame)) this.add("BPTC", 1);
    else if (isMulticast(frame)) this.add("MPTC", 1);
  }

  fromHost(frame: Frame): void {
    this.add("HGPTC", 1);
    this.octets("HGOTCL", "HGOTCH", frame.length + FCS);
  }
}

function sizeClass(length: number): number {
  let i = 0;
  while (i < SIZES.length && length > (SIZES[i] as number)) i++;
  return i;
}

export function isMulticast(frame: Frame): boolean {
  return ((frame[0] as number) & 1) !== 0;
}

export function isBroadcast(frame: Frame): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return false;
  return true;
}
