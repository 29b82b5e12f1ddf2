/**
 * PAUSE frames (IEEE 802.3 annex 31B; 82576 datasheet 3.5.4, 8.5): received ones stop the transmitter with CTRL.RFCE; with CTRL.TFCE the fill level of
 * the receive packet buffer sends them, again and again while it stays above FCRTL: when of the time in the last XOFF FCRTV is left. FCRTV 0: once.
 * Choices: the time between two is never less than two quanta. Of MAC control frames the host sees PAUSE to the station's own address unless RCTL.DPF,
 * and with RCTL.PMCF all that pass the filters.
 */
import { get16, put16 } from "../../net/bytes.ts";
import type { Frame } from "../../net/index.ts";
import { type Event, SEC } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";

const RFCE = 1 << 27;
const TFCE = 1 << 28;
const XONE = 1 << 31;
const DPF = 1 << 22;
const PMCF = 1 << 23;
const PAUSE_OPCODE = 1;
const QUANTUM_BITS = 512;

export class FlowControl {
  readonly #core: I82576Core;
  readonly #c: { until: number; sent: boolean };
  readonly #refresh: Event;

  constructor(core: I82576Core) {
    this.#core = core;
    this.#c = core.cells({ until: 0, sent: false }, "flowControl");
    this.#refresh = core.event("pauseRefresh", () => this.#again());
  }

  get pausedUntil(): number {
    return this.#c.until;
  }
  get paused(): boolean {
    return this.#c.until > this.#core.simulation.now;
  }
  get xoffSent(): boolean {
    return this.#c.sent;
  }

  /** True where `frame` is a MAC control frame that goes no further. */
  received(frame: Frame): boolean {
    const core = this.#core;
    if (frame.length < 18 || get16(frame, 12) !== (core.reg("FCT") & 0xffff)) return false;
    const own = isAt(frame, core.reg("RAL"), core.reg("RAH"));
    if (!own && !isAt(frame, core.reg("FCAL"), core.reg("FCAH"))) return false;
    const { statistics } = core;
    const pause = get16(frame, 14) === PAUSE_OPCODE;
    if (!pause) statistics.add("FCRUC", 1);
    else {
      const quanta = get16(frame, 16);
      statistics.add(quanta === 0 ? "XONRXC" : "XOFFRXC", 1);
      if ((core.reg("CTRL") & RFCE) !== 0) {
        this.#c.until = quanta === 0 ? 0 : core.simulation.now + this.#quanta(quanta);
        core.transmitter.kick();
      }
    }
    const control = core.reg("RCTL");
    return (control & PMCF) === 0 && (!pause || !own || (control & DPF) !== 0);
  }

  #quanta(n: number): number {
    return Math.ceil((n * QUANTUM_BITS * SEC) / (this.#core.speed * 1_000_000));
  }

  /** The fill level of the receive packet buffer may have changed. */
  filled(): void {
    const core = this.#core;
    if ((core.reg("CTRL") & TFCE) === 0) return;
    const level = core.receiver.filled;
    const high = core.reg("FCRTH") & 0xfff0;
    const low = core.reg("FCRTL");
    if (!this.#c.sent && high !== 0 && level >= high) this.#full();
    else if (this.#c.sent && level <= (low & 0xfff0)) {
      this.#c.sent = false;
      this.#refresh.cancel();
      if ((low & XONE) !== 0) this.send(0);
    }
  }

  #full(): void {
    const time = this.#core.reg("FCTTV");
    const left = this.#core.reg("FCRTV");
    this.send(time);
    if (left !== 0 && time !== 0) this.#refresh.notify(this.#quanta(Math.max(2, time - left)));
  }
  /** Still above the low threshold: the other side's time is running out. */
  #again(): void {
    if (this.#c.sent && (this.#core.reg("CTRL") & TFCE) !== 0 && this.#core.linkUp) this.#full();
  }

  /** Sends XOFF, or XON with 0. */
  send(quanta: number): void {
    const core = this.#core;
    const frame = new Uint8Array(60);
    const [low, high] = [core.reg("FCAL"), core.reg("FCAH")];
    const [ownLow, ownHigh] = [core.reg("RAL"), core.reg("RAH")];
    for (let i = 0; i < 6; i++) {
      frame[i] = i < 4 ? low >>> (8 * i) : high >>> (8 * (i - 4));
      frame[6 + i] = i < 4 ? ownLow >>> (8 * i) : ownHigh >>> (8 * (i - 4));
    }
    put16(frame, 12, core.reg("FCT"));
    put16(frame, 14, PAUSE_OPCODE);
    put16(frame, 16, quanta);
    core.statistics.add(quanta === 0 ? "XONTXC" : "XOFFTXC", 1);
    this.#c.sent = quanta !== 0;
    core.onTransmit?.(frame);
  }

  reset(): void {
    Object.assign(this.#c, { until: 0, sent: false });
    this.#refresh.cancel();
  }
}

/** The frame goes to the address in a pair of registers. */
function isAt(frame: Frame, low: number, high: number): boolean {
  for (let i = 0; i < 6; i++) {
    const byte = i < 4 ? (low >>> (8 * i)) & 0xff : (high >>> (8 * (i - 4))) & 0xff;
    if (frame[i] !== byte) return false;
  }
  return true;
}
