/**
 * PAUSE frames (IEEE 802.3 annex 31B; 82576 datasheet 3.5.4): received ones stop the transmitter with CTRL.RFCE; with CTRL.TFCE the fill level of the
 * receive packet buffer sends them. XOFF is not repeated while the buffer stays full (FCRTV).
 */
import { get16, put16 } from "../../net/bytes.ts";
import type { Frame } from "../../net/index.ts";
import { SEC } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";

const RFCE = 1 << 27;
const TFCE = 1 << 28;
const XONE = 1 << 31;
const PAUSE_OPCODE = 1;
const QUANTUM_BITS = 512;

export class FlowControl {
  readonly #core: I82576Core;
  readonly #c: { until: number; sent: boolean };

  constructor(core: I82576Core) {
    this.#core = core;
    this.#c = core.cells({ until: 0, sent: false }, "flowControl");
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
    if (!this.#addressed(frame)) return false;
    const { statistics } = core;
    if (get16(frame, 14) !== PAUSE_OPCODE) statistics.add("FCRUC", 1);
    else {
      const quanta = get16(frame, 16);
      statistics.add(quanta === 0 ? "XONRXC" : "XOFFRXC", 1);
      if ((core.reg("CTRL") & RFCE) !== 0) {
        this.#c.until = core.simulation.now + Math.ceil((quanta * QUANTUM_BITS * SEC) / (core.speed * 1_000_000));
        if (quanta === 0) this.#c.until = 0;
        core.transmitter.kick();
      }
    }
    return (core.reg("RCTL") & (1 << 23)) === 0;
  }

  #addressed(frame: Frame): boolean {
    const low = this.#core.reg("FCAL");
    const high = this.#core.reg("FCAH");
    for (let i = 0; i < 6; i++) {
      const byte = i < 4 ? (low >>> (8 * i)) & 0xff : (high >>> (8 * (i - 4))) & 0xff;
      if (frame[i] !== byte) return false;
    }
    return true;
  }

  /** The fill level of the receive packet buffer may have changed. */
  filled(): void {
    const core = this.#core;
    if ((core.reg("CTRL") & TFCE) === 0) return;
    const level = core.receiver.filled;
    const high = core.reg("FCRTH") & 0xfff0;
    const low = core.reg("FCRTL");
    if (!this.#c.sent && high !== 0 && level >= high * 1) this.send(core.reg("FCTTV") & 0xffff);
    else if (this.#c.sent && level <= (low & 0xfff0)) {
      this.#c.sent = false;
      if ((low & XONE) !== 0) this.send(0);
    }
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
  }
}
