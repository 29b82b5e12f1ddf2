/**
 * Intel 82576 Gigabit Ethernet Controller: one port's function. Manual: "Intel 82576EB Gigabit Ethernet Controller Datasheet", revision 2.7.
 *
 * Modelled: all registers of chapter 8 as declared in `registers/`; EEPROM, PHY, link; 16 queue pairs with every descriptor type; checksum, segmentation
 * and VLAN offloads; address, VLAN, multicast and unicast hash filters; RSS; pools with switching, replication and anti-spoofing; MSI-X,
 * MSI and INTx with throttling; eight VFs with mailbox and reset; statistics; PAUSE; IEEE 1588; rate limits; storm control.
 * Not modelled, and declared so: flash, SerDes and PCS, management, wake up, MACsec, IPsec, DCA. Frames carry no check sequence here, so none is ever bad.
 * This file is the core: registers and rooms. `functions.ts` puts it on PCI Express. Choices where the manual is open stand in each room.
 */
import { type Target, Transaction } from "../../bus/index.ts";
import type { Frame, Station } from "../../net/index.ts";
import { Packet } from "../../net/packet.ts";
import { RegisterBank } from "../../registers/index.ts";
import { type Event, Module, MS, SEC, type Simulation, type StateValue, type Time } from "../../sim/index.ts";
import { PrecisionClock } from "./clock.ts";
import { CsrSpace, IoWindow } from "./csr.ts";
import { Filter } from "./filter.ts";
import { FlowControl } from "./flow-control.ts";
import { hooksOf } from "./hooks.ts";
import { type Host, PF } from "./host.ts";
import { CAUSE, Interrupts } from "./interrupts.ts";
import { Leds } from "./leds.ts";
import { Mailbox } from "./mailbox.ts";
import { factoryImage, Nvm } from "./nvm.ts";
import { Phy } from "./phy.ts";
import { Receiver } from "./receive.ts";
import { I82576 } from "./registers/index.ts";
import { Statistics } from "./statistics.ts";
import { StormControl } from "./storm.ts";
import { Transmitter } from "./transmit.ts";
import { VirtualWindow } from "./vf.ts";

export type RegisterName = keyof (typeof I82576)["registers"];
export const VIRTUAL_FUNCTIONS = 8;

const RXEN = 1 << 1;
const CTRL_SLU = 1 << 6;
const CTRL_FRCSPD = 1 << 11;
const SHORTEST = 60;
/** What a software reset leaves alone: packet buffers, throttling, clocks of LEDs. */
const KEPT: readonly RegisterName[] = [
  "RXPBS",
  "TXPBS",
  "SWPBS",
  "EITR",
  "LEDCTL",
  "SW_FW_SYNC",
  "SWSM",
  "GCR",
  "EECD",
];

export interface I82576Options {
  /** Address in the EEPROM. */
  readonly mac: Uint8Array;
  readonly host: Host;
  /** 0 or 1: which of the chip's two ports; 0 unless given. */
  readonly portNumber?: number;
}

export class I82576Core extends Module implements Station {
  /** Version 1 had no storm control, no LEDs and no low latency credits, and fewer registers. */
  override readonly stateVersion = 2;
  readonly bank: RegisterBank<typeof I82576>;
  /** The PF's 128 KiB of registers. */
  readonly space: Target;
  /** The PF's I/O BAR. */
  readonly ioWindow: Target;
  /** Registers of each VF. */
  readonly windows: readonly VirtualWindow[];
  readonly host: Host;
  readonly portNumber: number;
  readonly statistics: Statistics;
  readonly interrupts: Interrupts;
  readonly mailbox: Mailbox;
  readonly nvm: Nvm;
  readonly phy: Phy;
  readonly clock: PrecisionClock;
  readonly filter: Filter;
  readonly flowControl: FlowControl;
  readonly storm: StormControl;
  readonly leds: Leds;
  readonly receiver: Receiver;
  readonly transmitter: Transmitter;
  /**
   * Bits a second of the line where 1000 Mb/s are agreed on, 0 for no limit. The real card has 10^9 and nothing else: another value is for lines faster
   * than the part's, and for slow ones. At 10 and 100 Mb/s the lower of both counts.
   */
  fullRate = 1_000_000_000;
  /** Where transmitted frames go; dropped while null. */
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly #c: { carrier: boolean; link: boolean; phyReset: boolean; virtualFunctions: number };
  readonly #packet = new Packet();
  readonly #tcpTimer: Event;
  /** For accesses of the device to its own registers. */
  readonly #own = new Transaction();

  constructor(parent: Module | Simulation, name: string, options: I82576Options) {
    super(parent, name);
    this.host = options.host;
    this.portNumber = options.portNumber ?? 0;
    this.#c = this.state({ carrier: true, link: false, phyReset: true, virtualFunctions: 0 });
    this.statistics = new Statistics(this);
    this.interrupts = new Interrupts(this);
    this.mailbox = new Mailbox(this);
    this.nvm = new Nvm(this, factoryImage(options.mac, this.portNumber));
    this.phy = new Phy(this);
    this.clock = new PrecisionClock(this);
    this.filter = new Filter(this);
    this.flowControl = new FlowControl(this);
    this.storm = new StormControl(this);
    this.leds = new Leds(this);
    this.receiver = new Receiver(this);
    this.transmitter = new Transmitter(this);
    this.#tcpTimer = this.event("tcpTimer", () => this.#tcpTimerDone());
    this.bank = this.part("registers", new RegisterBank(this, I82576, hooksOf(this)));
    this.space = new CsrSpace(this.bank, I82576.size);
    this.ioWindow = new IoWindow(this.space, this.state({ ioAddress: 0 }, "io"));
    this.windows = Array.from({ length: VIRTUAL_FUNCTIONS }, (_, n) => new VirtualWindow(this, n));
  }

  // For the rooms.

  /** Declares state of a room. */
  cells<T extends Record<string, StateValue>>(initial: T, part: string): T {
    return this.state(initial, part);
  }
  /** The stored value of a register as an int32. */
  reg(name: RegisterName, index = 0): number {
    return this.bank.values[this.bank.slot[name] + index] as number;
  }
  setReg(name: RegisterName, value: number, index = 0): void {
    this.bank.values[this.bank.slot[name] + index] = value;
  }
  /** A register as its owner reads it, and a write with all that it causes. */
  peekRegister(offset: number): number {
    return this.bank.peek(offset, 4) | 0;
  }
  writeRegister(offset: number, value: number): void {
    this.bank.write(offset, 4, value >>> 0, this.#own);
  }
  /** Parses into the one packet that all rooms share, as they run one after the other. */
  parse(frame: Frame): Packet {
    const types = this.reg("VET");
    return this.#packet.parse(frame, types & 0xffff, (this.reg("CTRL_EXT") & (1 << 26)) !== 0 ? types >>> 16 : -1);
  }

  /** Enabled VFs: VF n owns pool n, its queues n and n + 8, and three vectors. */
  get virtualFunctions(): number {
    return this.#c.virtualFunctions;
  }
  /** In whose name queue `q` does DMA. */
  ownerOf(q: number): number {
    const pool = q & 7;
    return pool < this.#c.virtualFunctions ? pool : PF;
  }

  // Link.

  get carrier(): boolean {
    return this.#c.carrier;
  }
  /** The cable is plugged in or pulled. */
  setCarrier(present: boolean): void {
    if (present === this.#c.carrier) return;
    this.#c.carrier = present;
    this.phy.restart();
  }
  get linkUp(): boolean {
    return this.#c.link;
  }
  /** Mb/s. */
  get speed(): number {
    const control = this.reg("CTRL");
    if ((control & CTRL_FRCSPD) === 0) return this.phy.speed;
    return [10, 100, 1000, 1000][(control >>> 8) & 3] as number;
  }
  /** Bits a second of the line; 0 for no limit. */
  get lineRate(): number {
    const { speed } = this;
    if (speed === 1000) return this.fullRate;
    const rate = speed * 1_000_000;
    return this.fullRate === 0 ? rate : Math.min(rate, this.fullRate);
  }
  /** How long `bits` take on the line. */
  lineTime(bits: number): Time {
    const rate = this.lineRate;
    return rate === 0 ? 0 : Math.ceil((bits * SEC) / rate);
  }
  linkChanged(): void {
    const up = this.phy.up && (this.reg("CTRL") & CTRL_SLU) !== 0;
    if (up === this.#c.link) return;
    this.#c.link = up;
    this.interrupts.cause(CAUSE.LSC);
    if (up) this.transmitter.kick();
  }
  get status(): number {
    const c = this.#c;
    const control = this.reg("CTRL");
    const forced = (control & (1 << 12)) !== 0;
    const full = forced ? (control & 1) !== 0 : this.phy.fullDuplex;
    const speed = this.speed === 1000 ? 2 : this.speed === 100 ? 1 : 0;
    let value = (full ? 1 : 0) | (c.link ? 2 : 0) | (this.portNumber << 2) | (this.flowControl.paused ? 1 << 4 : 0);
    value |= (speed << 6) | (speed << 8) | (c.phyReset ? 1 << 10 : 0) | (c.virtualFunctions << 14);
    if (c.virtualFunctions > 0) value |= 1 << 18;
    if ((control & (1 << 2)) === 0) value |= 1 << 19;
    return value | (1 << 31);
  }
  set phyReset(value: boolean) {
    this.#c.phyReset = value;
  }

  // Frames.

  /** A frame arrived from the link. */
  receive(frame: Frame): void {
    if (!this.#c.link || this.phy.loopback || frame.length < 14) return;
    this.#arrive(frame);
  }

  #arrive(given: Frame): void {
    let frame = given;
    if (frame.length < SHORTEST) {
      frame = new Uint8Array(SHORTEST);
      frame.set(given);
    }
    this.statistics.arrived(frame);
    this.leds.seen();
    if ((this.reg("RCTL") & RXEN) === 0 || this.flowControl.received(frame)) return;
    const packet = this.parse(frame);
    const verdict = this.filter.judge(frame, packet, -1);
    if (this.storm.armed && this.storm.drops(frame, verdict.unresolved)) return;
    if (verdict.queues === 0) return;
    this.statistics.received(frame);
    this.leds.passed();
    this.receiver.accept(frame, packet, verdict, false);
  }

  get mayTransmit(): boolean {
    if ((this.reg("TCTL") & 2) === 0 || (this.reg("CTRL") & (1 << 2)) !== 0) return false;
    return this.#c.link || this.#macLoopback;
  }
  get #macLoopback(): boolean {
    return ((this.reg("RCTL") >>> 6) & 3) === 1;
  }

  /** Queue `q` sends `frame`. True where it takes the wire. */
  send(q: number, frame: Frame): boolean {
    const { statistics } = this;
    const pool = q & 7;
    statistics.fromHost(frame);
    if (this.phy.loopback || this.#macLoopback) {
      statistics.transmitted(frame);
      this.#arrive(frame);
      return true;
    }
    if (!this.filter.virtualized) return this.#toWire(frame);
    const packet = this.parse(frame);
    if (this.#spoofed(q, pool, frame, packet.tag)) return false;
    statistics.virtual("PFVFGPTC", pool, 1);
    statistics.virtual("PFVFGOTC", pool, frame.length);
    if (this.reg("DTXSWC") >= 0) return this.#toWire(frame);
    const verdict = this.filter.judge(frame, packet, pool);
    const { local, queues } = verdict;
    if (queues !== 0) {
      statistics.virtual("PFVFGPTLBC", pool, 1);
      statistics.virtual("PFVFGOTLBC", pool, frame.length);
      if ((this.reg("RCTL") & RXEN) !== 0) this.receiver.accept(frame, packet, verdict, true);
    }
    if (local || (packet.tag >= 0 && this.filter.localVlan(packet.tag & 0xfff))) return false;
    return this.#toWire(frame);
  }

  #toWire(frame: Frame): boolean {
    this.statistics.transmitted(frame);
    this.leds.passed();
    this.onTransmit?.(frame);
    return true;
  }

  /** 7.10: a pool that pretends to be another is recorded and its packet dropped. */
  #spoofed(q: number, pool: number, frame: Frame, tag: number): boolean {
    const control = this.reg("DTXSWC");
    const bit = 1 << pool;
    const mac = (control & bit) !== 0 && (this.filter.poolsOfSource(frame) & bit) === 0;
    const vlan = ((control >>> 8) & bit) !== 0 && tag >= 0 && (this.filter.poolsOfVlan(tag & 0xfff) & bit) === 0;
    if (!mac && !vlan) return false;
    this.statistics.add("SSVPC", 1);
    this.setReg("WVBR", this.reg("WVBR") | (1 << q));
    if ((this.reg("DTXCTL") & (1 << 6)) !== 0) this.interrupts.cause(CAUSE.DOUTSYNC);
    return true;
  }

  // Resets.

  /** CTRL.RST: all but the PHY, the EEPROM and what `KEPT` names. */
  softwareReset(): void {
    const kept = KEPT.map((name) => {
      const first = this.bank.slot[name];
      return [first, this.bank.values.slice(first, first + (name === "EITR" ? 25 : 1))] as const;
    });
    this.bank.reset();
    for (const [first, values] of kept) this.bank.values.set(values, first);
    this.#resetRooms();
    this.linkChanged();
  }

  #resetRooms(): void {
    this.interrupts.reset();
    this.mailbox.physicalReset();
    this.receiver.reset();
    this.transmitter.reset();
    this.flowControl.reset();
    this.storm.restart();
    this.clock.reset();
    this.#tcpTimer.cancel();
    this.loadAddress();
  }

  /** RAL and RAH 0 from the EEPROM. */
  loadAddress(): void {
    const [low, high] = this.nvm.mac;
    this.setReg("RAL", low);
    this.setReg("RAH", high | (1 << 31));
  }

  /** Hot or function-level reset of the PF. */
  functionReset(): void {
    this.bank.reset();
    this.#resetRooms();
    this.linkChanged();
  }

  /** VFLR of VF n, or its own VTCTRL.RST (7.10). */
  virtualReset(vf: number): void {
    for (const q of [vf, vf + 8]) {
      for (const name of ["RXDCTL", "TXDCTL"] as const) this.setReg(name, name === "RXDCTL" ? 0x1_0000 : 0, q);
      for (const name of ["RDH", "RDT", "RDLEN", "TDH", "TDT", "TDLEN", "TDWBAL", "TDWBAH"] as const)
        this.setReg(name, 0, q);
      this.receiver.resetQueue(q);
      this.transmitter.resetQueue(q);
    }
    this.setReg("VTIVAR", 0, vf);
    this.setReg("VTIVAR_MISC", 0, vf);
    this.setReg("VFRE", this.reg("VFRE") & ~(1 << vf));
    this.setReg("VFTE", this.reg("VFTE") & ~(1 << vf));
    this.interrupts.resetVirtual(vf);
    this.mailbox.virtualReset(vf);
    this.receiver.drain();
  }

  /** NumVFs with VF Enable, or 0. */
  setVirtualFunctions(count: number): void {
    this.#c.virtualFunctions = Math.min(count, VIRTUAL_FUNCTIONS);
    this.interrupts.update();
  }

  // TCP timer, 8.15.

  tcpTimerWritten(written: number): void {
    const KICK = 1 << 8;
    const FINISH = 1 << 10;
    if ((written & FINISH) !== 0) this.#tcpTimerDone();
    else if ((written & KICK) !== 0) this.#tcpTimer.scheduleAt(this.simulation.now + Math.max(1, written & 0xff) * MS);
    if ((written & (1 << 9)) === 0) this.#tcpTimer.cancel();
  }
  #tcpTimerDone(): void {
    this.interrupts.cause(CAUSE.TCP_TIMER);
    const timer = this.reg("TCPTIMER");
    if ((timer & (1 << 11)) !== 0 && (timer & (1 << 9)) !== 0) this.#tcpTimer.notify(Math.max(1, timer & 0xff) * MS);
  }

  protected override onReset(): void {
    this.loadAddress();
    this.phy.restart();
  }
}
