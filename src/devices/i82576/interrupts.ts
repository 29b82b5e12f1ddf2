/**
 * 82576 datasheet 7.3 and 8.8: causes, masks, vectors, throttling.
 *
 * With GPIE.Multiple_MSIX, IVAR maps queues and other causes to bits 0 to 24 of EICR, one a vector; a message leaves when a bit is set in
 * EICR and EIMS and the vector's EITR interval has passed. The top vectors belong to enabled VFs, three each: VF n has 22 - 3n to 24 - 3n.
 * Without it all causes share one interrupt (vector 0, MSI or the pin), throttled by EITR 0.
 *
 * Choices: a message is sent again only after its bit fell in EICR or EIMS (auto clear and auto mask count). The counter of EITR is kept as an
 * instant: it reads as zero, and a write without CNT_INGR ends a running interval. LL_COUNTER tells the credits at the last low latency interrupt.
 */
import type { Event } from "../../sim/index.ts";
import { NEVER, US } from "../../sim/index.ts";
import { PF } from "./host.ts";
import type { I82576Core } from "./i82576.ts";

export const VECTORS = 25;
export const VF_VECTORS = 3;
export const CAUSE = {
  TXDW: 1 << 0,
  LSC: 1 << 2,
  RXDMT0: 1 << 4,
  RXMISS: 1 << 6,
  RXDW: 1 << 7,
  SWMB: 1 << 8,
  SCE: 1 << 25,
  DOUTSYNC: 1 << 28,
  TCP_TIMER: 1 << 29,
  DRSTA: 1 << 30,
} as const;

const ALL_CAUSES = 0x77d4fbfd;
const VECTOR_BITS = 0x01ff_ffff;
/** Bits of EICR without Multiple_MSIX: queues, TCP timer, other. */
const SHARED_BITS = 0xc000_ffff | 0;
const EICR_TCP_TIMER = 1 << 30;
const EICR_OTHER = 1 << 31;
const GPIE_NSICR = 1;
const GPIE_MULTIPLE = 1 << 4;
const GPIE_EIAME = 1 << 30;
const VALID = 0x80;
const LLI_EN = 1 << 15;
const LL_COUNTER = 0x1f << 16;

/** First bit of EICR that belongs to VF n. */
export function firstVector(vf: number): number {
  return 22 - VF_VECTORS * vf;
}

export class Interrupts {
  readonly #core: I82576Core;
  readonly #c: {
    icr: number;
    ims: number;
    eicr: number;
    eims: number;
    /** Bits whose message was sent since they rose. */
    sent: number;
    /** ICR & IMS when last looked at: what rises is passed on to EICR. */
    active: number;
    /** The shared interrupt is asserted. */
    level: boolean;
  };
  /** When each vector may send again. */
  readonly #ready: Float64Array;
  /** Up to when low latency credits are counted in EITR.LL_COUNTER. */
  readonly #credited: Float64Array;
  readonly #throttle: Event;

  constructor(core: I82576Core) {
    this.#core = core;
    this.#c = core.cells({ icr: 0, ims: 0, eicr: 0, eims: 0, sent: 0, active: 0, level: false }, "interrupts");
    this.#ready = core.cells({ ready: new Float64Array(VECTORS) }, "throttle").ready;
    this.#credited = core.cells({ credited: new Float64Array(VECTORS) }, "lowLatency").credited;
    this.#throttle = core.event("throttleDone", () => this.update());
  }

  get multiple(): boolean {
    return (this.#core.reg("GPIE") & GPIE_MULTIPLE) !== 0;
  }
  /** Bits of EICR that belong to enabled VFs. */
  get #virtualBits(): number {
    const n = this.#core.virtualFunctions;
    return n === 0 ? 0 : VECTOR_BITS & ~((1 << (25 - VF_VECTORS * n)) - 1);
  }

  /** Raises causes of ICR. */
  cause(bits: number): void {
    this.#c.icr |= bits & ALL_CAUSES;
    this.update();
  }

  /** Queue `q` has written descriptors back; with `immediate` a filter asked for a message at once. */
  queue(q: number, transmit: boolean, immediate = false): void {
    const c = this.#c;
    c.icr |= transmit ? CAUSE.TXDW : CAUSE.RXDW;
    const bit = this.#queueBit(q, transmit);
    if (immediate && bit >= 0 && this.#lowLatency(this.multiple ? bit : 0)) {
      c.eicr |= 1 << bit;
      this.update();
      return;
    }
    const before = c.eicr;
    if (bit >= 0) c.eicr |= 1 << bit;
    if (!this.#unmoved(before)) this.update();
  }

  /**
   * Ends the running interval of a vector: always, or with EITR.LLI_EN and GPIE.LL_INTERVAL as long as there are credits. False without.
   * A credit is won every LL_INTERVAL times 4 us, up to 31.
   */
  #lowLatency(vector: number): boolean {
    const core = this.#core;
    const eitr = core.reg("EITR", vector);
    const period = ((core.reg("GPIE") >>> 7) & 0x1f) * 4 * US;
    if ((eitr & LLI_EN) !== 0 && period !== 0) {
      const won = Math.floor((core.simulation.now - (this.#credited[vector] as number)) / period);
      const credits = Math.min(31, ((eitr >>> 16) & 0x1f) + won);
      this.#credited[vector] = (this.#credited[vector] as number) + won * period;
      core.setReg("EITR", (eitr & ~LL_COUNTER) | (Math.max(0, credits - 1) << 16), vector);
      if (credits === 0) return false;
    }
    this.#ready[vector] = 0;
    return true;
  }

  /** No enabled bit of EICR has risen since `update`, and no vector has come to its time: there is nothing to recompute. */
  #unmoved(before: number): boolean {
    const c = this.#c;
    if (((before ^ c.eicr) & c.eims) !== 0 || (c.icr & c.ims) !== c.active || c.level || !this.multiple) return false;
    return (c.eicr & c.eims & VECTOR_BITS & ~c.sent) === 0 || this.#core.simulation.now < this.#throttle.deadline;
  }

  /** When a descriptor of queue `q` that waits for its threshold is written back at the latest. */
  readyAt(q: number, transmit: boolean): number {
    const bit = this.#queueBit(q, transmit);
    return bit < 0 ? 0 : (this.#ready[this.multiple ? bit : 0] as number);
  }

  /** The PF has written VF n's mailbox. */
  mailbox(vf: number): void {
    const entry = this.#core.reg("VTIVAR_MISC", vf);
    if ((entry & VALID) === 0) return;
    const vector = entry & 3;
    if (vector >= VF_VECTORS) return;
    this.#c.eicr |= 1 << (firstVector(vf) + vector);
    this.update();
  }

  #queueBit(q: number, transmit: boolean): number {
    const vf = q & 7;
    if (vf < this.#core.virtualFunctions) {
      const entry = this.#core.reg("VTIVAR", vf) >>> ((q >= 8 ? 16 : 0) + (transmit ? 8 : 0));
      return (entry & VALID) !== 0 && (entry & 3) < VF_VECTORS ? firstVector(vf) + (entry & 3) : -1;
    }
    const entry = this.#core.reg("IVAR", q & 7) >>> ((q >= 8 ? 16 : 0) + (transmit ? 8 : 0));
    if ((entry & VALID) === 0) return -1;
    const bit = entry & 0x1f;
    if (this.multiple) return bit < VECTORS ? bit : -1;
    return bit & 0xf;
  }

  /** Recomputes what is asserted and sends what may be sent. */
  update(): void {
    if (this.multiple) this.#updateVectors();
    else this.#updateShared();
  }

  #updateVectors(): void {
    const c = this.#c;
    const active = c.icr & c.ims;
    const risen = active & ~c.active;
    c.active = active;
    if (risen !== 0) {
      const misc = this.#core.reg("IVAR_MISC");
      if ((risen & CAUSE.TCP_TIMER) !== 0 && (misc & VALID) !== 0) c.eicr |= 1 << (misc & 0x1f);
      if ((risen & ~CAUSE.TCP_TIMER) !== 0 && ((misc >> 8) & VALID) !== 0) c.eicr |= 1 << ((misc >> 8) & 0x1f);
    }
    if (c.level) this.#setLevel(false);
    let enabled = c.eicr & c.eims & VECTOR_BITS;
    c.sent &= enabled;
    let wake = NEVER;
    const now = this.#core.simulation.now;
    for (let rest = enabled & ~c.sent; rest !== 0; rest &= rest - 1) {
      const vector = 31 - Math.clz32(rest & -rest);
      const ready = this.#ready[vector] as number;
      if (ready > now) wake = Math.min(wake, ready);
      else this.#send(vector, now);
    }
    enabled = c.eicr & c.eims & VECTOR_BITS;
    c.sent &= enabled;
    if (wake !== NEVER) this.#throttle.notify(wake - now);
  }

  #send(vector: number, now: number): void {
    const core = this.#core;
    const c = this.#c;
    const bit = 1 << vector;
    c.sent |= bit;
    this.#ready[vector] = now + this.#interval(vector);
    if ((core.reg("EIAC") & bit) !== 0) c.eicr &= ~bit;
    if ((core.reg("GPIE") & GPIE_EIAME) !== 0 && (core.reg("EIAM") & bit) !== 0) c.eims &= ~bit;
    core.statistics.add("IAC", 1);
    const vf = Math.floor((24 - vector) / VF_VECTORS);
    if (vf < core.virtualFunctions) core.host.message(vf, vector - firstVector(vf));
    else core.host.message(PF, vector);
  }

  #interval(vector: number): number {
    return ((this.#core.reg("EITR", vector) >>> 2) & 0x1fff) * US;
  }

  #updateShared(): void {
    const c = this.#c;
    const active = c.icr & c.ims;
    c.active = active;
    c.eicr = active !== 0 ? c.eicr | EICR_OTHER : c.eicr & ~EICR_OTHER;
    const level = active !== 0 || (c.eicr & c.eims & SHARED_BITS) !== 0;
    if (level === c.level) return;
    const now = this.#core.simulation.now;
    if (level) {
      const ready = this.#ready[0] as number;
      if (ready > now) {
        this.#throttle.notify(ready - now);
        return;
      }
      this.#ready[0] = now + this.#interval(0);
      this.#core.statistics.add("IAC", 1);
    }
    this.#setLevel(level);
  }

  #setLevel(level: boolean): void {
    this.#c.level = level;
    const { host } = this.#core;
    if (!host.messages) host.level(level);
    else if (level) host.message(PF, 0);
  }

  // Registers.

  get icr(): number {
    const asserted = this.multiple ? (this.#c.icr & this.#c.ims) !== 0 : this.#c.level;
    return this.#c.icr | (asserted ? 1 << 31 : 0);
  }

  /** 8.8: reading clears, unless causes are enabled and none of them has raised the interrupt. */
  readIcr(): void {
    const c = this.#c;
    const selective = (this.#core.reg("GPIE") & GPIE_NSICR) === 0 && c.ims !== 0 && this.icr >= 0;
    if (!selective) c.icr = 0;
    this.#autoMask(this.icr < 0);
    this.update();
  }

  writeIcr(bits: number): void {
    this.#autoMask(this.icr < 0);
    this.#c.icr &= ~bits;
    this.update();
  }

  #autoMask(asserted: boolean): void {
    if ((this.#core.reg("GPIE") & GPIE_NSICR) !== 0 || asserted) this.#c.ims &= ~this.#core.reg("IAM");
  }

  get ims(): number {
    return this.#c.ims;
  }
  setIms(bits: number): void {
    this.#c.ims |= bits & ALL_CAUSES;
    this.update();
  }
  clearIms(bits: number): void {
    this.#c.ims &= ~bits;
    this.update();
  }

  get eicr(): number {
    return this.#c.eicr;
  }
  get eims(): number {
    return this.#c.eims;
  }
  /** Bits that an access by `owner` may reach, and their place. */
  #reach(owner: number): number {
    if (owner !== PF) return 7 << firstVector(owner);
    return (this.multiple ? VECTOR_BITS : SHARED_BITS) & ~this.#virtualBits;
  }
  setEicr(bits: number, owner = PF): void {
    this.#c.eicr |= bits & this.#reach(owner);
    this.update();
  }
  /** Clears by read or write, and masks what EIAM says. */
  clearEicr(bits: number, owner = PF): void {
    const reach = this.#reach(owner);
    this.#c.eicr &= ~(bits & reach);
    this.#c.eims &= ~(this.#core.reg("EIAM") & reach);
    this.update();
  }
  setEims(bits: number, owner = PF): void {
    this.#c.eims |= bits & this.#reach(owner);
    this.update();
  }
  clearEims(bits: number, owner = PF): void {
    this.#c.eims &= ~(bits & this.#reach(owner));
    this.update();
  }
  /** A write of EIAC or EIAM: bits of VFs are theirs. */
  writeAuto(name: "EIAC" | "EIAM", written: number, before: number, owner = PF): void {
    const reach = owner === PF ? ~this.#virtualBits : this.#reach(owner);
    const legal = name === "EIAC" ? VECTOR_BITS : -1;
    this.#core.setReg(name, (before & ~reach) | (written & reach & legal));
  }
  writeEitr(vector: number, written: number, before: number): void {
    const core = this.#core;
    // With CNT_INGR, bit 31, the counters stay.
    if (written < 0) core.setReg("EITR", (core.reg("EITR", vector) & ~LL_COUNTER) | (before & LL_COUNTER), vector);
    else {
      this.#ready[vector] = 0;
      this.#credited[vector] = core.simulation.now;
    }
    this.update();
  }

  /** Software reset: EITR and its intervals live on. */
  reset(): void {
    Object.assign(this.#c, { icr: 0, ims: 0, eicr: 0, eims: 0, sent: 0, active: 0 });
    if (this.#c.level) this.#setLevel(false);
    this.#throttle.cancel();
  }

  resetVirtual(vf: number): void {
    const bits = 7 << firstVector(vf);
    this.#c.eicr &= ~bits;
    this.#c.eims &= ~bits;
    this.#core.setReg("EIAC", this.#core.reg("EIAC") & ~bits);
    this.#core.setReg("EIAM", this.#core.reg("EIAM") & ~bits);
    this.update();
  }
}

export { EICR_OTHER, EICR_TCP_TIMER };
