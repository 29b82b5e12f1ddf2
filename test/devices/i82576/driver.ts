/**
 * A small driver for tests: register accesses of the PF and of VFs, rings in RAM. All numbers are the datasheet's, none is the model's.
 */
import { Transaction } from "../../../src/bus/index.ts";
import type { I82576Core } from "../../../src/devices/i82576/index.ts";
import type { Frame } from "../../../src/net/index.ts";
import { type GuestError, Simulation, type Time } from "../../../src/sim/index.ts";
import { build, RAM, type TestHost } from "./device.ts";

export const REG = {
  CTRL: 0x0,
  STATUS: 0x8,
  EECD: 0x10,
  EERD: 0x14,
  CTRL_EXT: 0x18,
  MDIC: 0x20,
  VET: 0x38,
  RCTL: 0x100,
  TCTL: 0x400,
  MBVFICR: 0xc80,
  MBVFIMR: 0xc84,
  VFLRE: 0xc88,
  VFRE: 0xc8c,
  VFTE: 0xc90,
  ICR: 0x1500,
  ICS: 0x1504,
  IMS: 0x1508,
  IMC: 0x150c,
  IAM: 0x1510,
  GPIE: 0x1514,
  EICS: 0x1520,
  EIMS: 0x1524,
  EIMC: 0x1528,
  EIAC: 0x152c,
  EIAM: 0x1530,
  EICR: 0x1580,
  EITR: 0x1680,
  IVAR: 0x1700,
  IVAR_MISC: 0x1740,
  DTXSWC: 0x3500,
  RXCSUM: 0x5000,
  RLPML: 0x5004,
  MTA: 0x5200,
  RAL: 0x5400,
  RAH: 0x5404,
  VFTA: 0x5600,
  MRQC: 0x5818,
  VT_CTL: 0x581c,
  VMOLR: 0x5ad0,
  RETA: 0x5c00,
  RSSRK: 0x5c80,
  VLVF: 0x5d00,
} as const;

/** Ring of queue q lies at RAM + q * 0x10000; buffers of 2 KiB behind it. */
const RING_STEP = 0x1_0000;
const TX_RINGS = RAM + 0x20_0000;

export class Driver {
  readonly simulation = new Simulation({ seed: 1 });
  readonly core: I82576Core;
  readonly host: TestHost;
  /** Frames that left for the link. */
  readonly wire: Frame[];
  readonly errors: GuestError[] = [];
  readonly #tx = new Transaction();
  readonly #heads = new Map<string, number>();

  constructor(linkUp = true) {
    const { core, host, wire } = build(this.simulation);
    this.core = core;
    this.host = host;
    this.wire = wire;
    this.simulation.reporter.observe({ guestError: (e) => void this.errors.push(e) });
    this.simulation.reset();
    if (linkUp) this.linkUp();
  }

  read(offset: number): number {
    return this.core.space.read(offset, 4, this.#tx) >>> 0;
  }
  write(offset: number, value: number): void {
    this.core.space.write(offset, 4, value >>> 0, this.#tx);
  }
  vfRead(vf: number, offset: number): number {
    return (this.core.windows[vf]?.bank.read(offset, 4, this.#tx) ?? 0) >>> 0;
  }
  vfWrite(vf: number, offset: number, value: number): void {
    this.core.windows[vf]?.bank.write(offset, 4, value >>> 0, this.#tx);
  }
  run(ticks: Time): void {
    this.simulation.run(this.simulation.now + ticks);
  }
  /** CTRL.SLU, then two seconds for auto-negotiation. */
  linkUp(): void {
    this.write(REG.CTRL, this.read(REG.CTRL) | 0x40);
    this.run(20_000_000_000);
    this.read(REG.ICR);
  }

  // Memory.

  poke32(address: number, value: number): void {
    this.host.port(-1).write(address, 4, value >>> 0);
  }
  peek32(address: number): number {
    return this.host.port(-1).read(address, 4) >>> 0;
  }
  bytes(address: number, length: number): Uint8Array {
    const data = new Uint8Array(length);
    this.host.port(-1).readBlock(address, data);
    return data;
  }
  put(address: number, data: Uint8Array): void {
    this.host.port(-1).writeBlock(address, data);
  }

  // Receive: RXDCTL.ENABLE is bit 25, RCTL.RXEN bit 1, SECRC bit 26.

  rxRing(q: number): number {
    return RAM + q * RING_STEP;
  }
  rxBuffer(q: number, i: number): number {
    return this.rxRing(q) + 0x1000 + i * 0x800;
  }
  rxHeader(q: number, i: number): number {
    return this.rxRing(q) + 0x800 + i * 0x80;
  }
  /** Gives queue `q` a ring of `count` descriptors with 2 KiB buffers, all but one of them to the device. */
  startReceive(q: number, options: { count?: number; srrctl?: number; rctl?: number; wthresh?: number } = {}): void {
    const { count = 8, srrctl = 0x0200_0002, rctl = 0x0400_8002, wthresh = 0 } = options;
    for (let i = 0; i < count; i++) this.fillDescriptor(q, i);
    const at = 0xc000 + 0x40 * q;
    this.write(at, this.rxRing(q));
    this.write(at + 4, 0);
    this.write(at + 8, count * 16);
    this.write(at + 0xc, srrctl);
    this.write(at + 0x28, 0x0200_0000 | (wthresh << 16));
    this.write(at + 0x18, count - 1);
    this.write(REG.RCTL, rctl);
    this.#heads.set(`rx${q}`, 0);
  }
  fillDescriptor(q: number, i: number): void {
    const at = this.rxRing(q) + 16 * i;
    this.poke32(at, this.rxBuffer(q, i));
    this.poke32(at + 4, 0);
    this.poke32(at + 8, this.rxHeader(q, i));
    this.poke32(at + 12, 0);
  }
  rxDescriptor(q: number, i: number): readonly [number, number, number, number] {
    const at = this.rxRing(q) + 16 * i;
    return [this.peek32(at), this.peek32(at + 4), this.peek32(at + 8), this.peek32(at + 12)];
  }
  /** Packets of queue `q` that are written back (one buffer each) since the last call. */
  received(q: number): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let i = this.#heads.get(`rx${q}`) ?? 0;
    const count = this.read(0xc008 + 0x40 * q) / 16;
    for (; frames.length < count; i = (i + 1) % count) {
      const [, , status, length] = this.rxDescriptor(q, i);
      if ((status & 1) === 0) break;
      frames.push(this.bytes(this.rxBuffer(q, i), length & 0xffff));
      this.poke32(this.rxRing(q) + 16 * i + 8, 0);
    }
    this.#heads.set(`rx${q}`, i);
    return frames;
  }

  // Transmit.

  txRing(q: number): number {
    return TX_RINGS + q * RING_STEP;
  }
  txBuffer(q: number, i: number): number {
    return this.txRing(q) + 0x1000 + i * 0x800;
  }
  startTransmit(q: number, count = 16, wthresh = 0): void {
    const at = 0xe000 + 0x40 * q;
    this.write(at, this.txRing(q));
    this.write(at + 4, 0);
    this.write(at + 8, count * 16);
    this.write(at + 0x28, 0x0200_0000 | (wthresh << 16));
    this.write(REG.TCTL, 0x0000_000a);
  }
  /** Writes a descriptor of four words. */
  txDescriptor(q: number, i: number, ...words: number[]): void {
    words.forEach((w, k) => {
      this.poke32(this.txRing(q) + 16 * i + 4 * k, w);
    });
  }
  txStatus(q: number, i: number): number {
    return this.peek32(this.txRing(q) + 16 * i + 12);
  }
  /** An advanced data descriptor with one buffer: EOP, IFCS, RS and DEXT. `command` and `options` are added. */
  queueFrame(q: number, i: number, frame: Uint8Array, command = 0, options = 0): void {
    this.put(this.txBuffer(q, i), frame);
    this.txDescriptor(
      q,
      i,
      this.txBuffer(q, i),
      0,
      0x2b30_0000 | command | frame.length,
      ((frame.length << 14) | options) >>> 0,
    );
  }
  tail(q: number, value: number): void {
    this.write(0xe018 + 0x40 * q, value);
    this.run(1_000_000);
  }
  send(q: number, frame: Uint8Array): void {
    const i = this.read(0xe018 + 0x40 * q);
    this.queueFrame(q, i, frame);
    this.tail(q, (i + 1) % (this.read(0xe008 + 0x40 * q) / 16));
  }
}

/** An Ethernet frame: addresses as texts of hexadecimal digits. */
export function frameOf(to: string, from: string, type: number, payload: Uint8Array | number = 46): Uint8Array {
  const data = typeof payload === "number" ? Uint8Array.from({ length: payload }, (_, i) => i) : payload;
  const frame = new Uint8Array(14 + data.length);
  frame.set(hex(to), 0);
  frame.set(hex(from), 6);
  frame[12] = type >>> 8;
  frame[13] = type & 0xff;
  frame.set(data, 14);
  return frame;
}

export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(/[\s:]/g, "").match(/../g) ?? [], (b) => Number.parseInt(b, 16));
}

export const OWN = "021122334455";
export const PEER = "02aabbccddee";
