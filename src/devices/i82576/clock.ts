/**
 * 82576 datasheet 7.9 and 8.16: the IEEE 1588 clock and its stamps. SYSTIM grows by TIMINCA.IV every TIMINCA.IP times 16 ns; it is computed when it
 * is read. A stamp is kept until its high word is read; packets meanwhile get none.
 */
import type { Frame } from "../../net/index.ts";
import type { Packet } from "../../net/packet.ts";
import { NS } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";

const TWO32 = 4294967296;
const VALID = 1;
const ENABLE = 1 << 4;
const PTP_ETHERTYPE = 0x88f7;
const EVENT_PORT = 319;
const ETQF_ENABLE = 1 << 26;
const ETQF_1588 = 1 << 30;

export class PrecisionClock {
  readonly #core: I82576Core;
  /** SYSTIM at `since`, in halves, and the high half held for the read that follows. */
  readonly #c: { low: number; high: number; since: number; held: number; holding: boolean };

  constructor(core: I82576Core) {
    this.#core = core;
    this.#c = core.cells({ low: 0, high: 0, since: 0, held: 0, holding: false }, "systim");
  }

  /** SYSTIM at `time` as [low, high]. */
  at(time: number): [number, number] {
    const { low, high, since } = this.#c;
    const attributes = this.#core.reg("TIMINCA");
    const period = attributes >>> 24;
    if (period === 0) return [low, high];
    const n = Math.floor(Math.max(0, time - since) / (period * 16 * NS));
    return plus(low, high, n, attributes & 0xff_ffff);
  }

  get low(): number {
    return this.at(this.#core.simulation.now)[0] | 0;
  }
  get high(): number {
    return (this.#c.holding ? this.#c.held : this.at(this.#core.simulation.now)[1]) | 0;
  }
  hold(): void {
    this.#c.held = this.at(this.#core.simulation.now)[1];
    this.#c.holding = true;
  }
  release(): void {
    this.#c.holding = false;
  }

  /** Makes now the new base, before increments change. `phase` of the running period is lost. */
  rebase(oldAttributes: number): void {
    const now = this.#core.simulation.now;
    const attributes = this.#core.reg("TIMINCA");
    this.#core.setReg("TIMINCA", oldAttributes);
    const [low, high] = this.at(now);
    this.#core.setReg("TIMINCA", attributes);
    Object.assign(this.#c, { low, high, since: now });
  }

  setLow(value: number): void {
    this.rebase(this.#core.reg("TIMINCA"));
    this.#c.low = value >>> 0;
  }
  setHigh(value: number): void {
    this.rebase(this.#core.reg("TIMINCA"));
    this.#c.high = value >>> 0;
  }

  /** TIMADJH was written: the offset is added or subtracted. */
  adjust(): void {
    this.rebase(this.#core.reg("TIMINCA"));
    const c = this.#c;
    const low = this.#core.reg("TIMADJL") >>> 0;
    const high = this.#core.reg("TIMADJH");
    const top = high & 0x7fff_ffff;
    if (high < 0) {
      const difference = c.low - low;
      c.low = difference >>> 0;
      c.high = (c.high - top - (difference < 0 ? 1 : 0)) >>> 0;
    } else {
      const sum = c.low + low;
      c.low = sum >>> 0;
      c.high = (c.high + top + (sum >= TWO32 ? 1 : 0)) >>> 0;
    }
  }

  /** A packet that asked for a stamp leaves at `time`. */
  transmitted(time: number): void {
    const core = this.#core;
    const control = core.reg("TSYNCTXCTL");
    if ((control & ENABLE) === 0 || (control & VALID) !== 0) return;
    const [low, high] = this.at(time);
    core.setReg("TXSTMPL", low);
    core.setReg("TXSTMPH", high);
    core.setReg("TSYNCTXCTL", control | VALID);
  }

  /** Stamps a packet that arrives now, if it is one to stamp. */
  received(frame: Frame, packet: Packet): boolean {
    const core = this.#core;
    const control = core.reg("TSYNCRXCTL");
    if ((control & ENABLE) === 0 || (control & VALID) !== 0) return false;
    const at = this.#header(packet, (control >>> 1) & 7);
    if (at < 0 || at + 34 > frame.length || !this.#wanted(frame, at, (control >>> 1) & 7)) return false;
    const [low, high] = this.at(core.simulation.now);
    core.setReg("RXSTMPL", low);
    core.setReg("RXSTMPH", high);
    const b = (i: number) => frame[at + i] as number;
    core.setReg("RXSATRL", b(22) | (b(23) << 8) | (b(24) << 16) | (b(25) << 24));
    core.setReg("RXSATRH", b(26) | (b(27) << 8) | (b(31) << 16) | (b(30) << 24));
    core.setReg("TSYNCRXCTL", control | VALID);
    return true;
  }

  /** Where the PTP header begins, or -1. */
  #header(packet: Packet, type: number): number {
    const layer2 = type === 0 || type === 2 || type === 5;
    if (layer2 && packet.etherType === PTP_ETHERTYPE) {
      for (let i = 0; i < 8; i++) {
        const filter = this.#core.reg("ETQF", i);
        if ((filter & (ETQF_ENABLE | ETQF_1588)) === (ETQF_ENABLE | ETQF_1588) && (filter & 0xffff) === PTP_ETHERTYPE)
          return packet.l3At;
      }
      return -1;
    }
    const udp = packet.l4 === 17 && packet.destinationPort === EVENT_PORT;
    return udp && (type === 1 || type === 2 || type === 5) ? packet.payloadAt : -1;
  }

  #wanted(frame: Frame, at: number, type: number): boolean {
    const configuration = this.#core.reg("TSYNCRXCFG");
    const version = (frame[at + 1] as number) & 0xf;
    if (type === 1) return version === 1 && frame[at + 32] === (configuration & 0xff);
    const message = (frame[at] as number) & 0xf;
    if (version !== 2) return false;
    return type === 5 ? message < 4 : message === ((configuration >>> 8) & 0xf);
  }

  freeReceive(): void {
    this.#core.setReg("TSYNCRXCTL", this.#core.reg("TSYNCRXCTL") & ~VALID);
  }
  freeTransmit(): void {
    this.#core.setReg("TSYNCTXCTL", this.#core.reg("TSYNCTXCTL") & ~VALID);
  }
  reset(): void {
    Object.assign(this.#c, { low: 0, high: 0, since: this.#core.simulation.now, held: 0, holding: false });
  }
}

/** (high:low) + n * step modulo 2^64; n below 2^48, step below 2^24. */
function plus(low: number, high: number, n: number, step: number): [number, number] {
  const upper = Math.floor(n / 0x100_0000) * step;
  const sum = low + (n % 0x100_0000) * step + (upper % 256) * 0x100_0000;
  return [sum % TWO32, (high + Math.floor(sum / TWO32) + Math.floor(upper / 256)) % TWO32];
}
